"""Instants that commands about requests and holds print are in the contract's own time."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.money import Money
from contracts.setting import Book
from lifecycle.approval import RequestState
from lifecycle.hold import HoldState
from lifecycle.orders.approvals import Requested
from tollkeeper.cli import approval, common, hold
from tollkeeper.cli.screen import TABLES
from tollkeeper.views.approvals import Approval
from tollkeeper.views.holds import HoldBalance

NEW_YORK = "America/New_York"
END_OF_DAY = datetime(2025, 7, 30, 3, 59, 59, tzinfo=UTC)
"""The end of 29 July in New York."""
CNY = Money(100, "CNY")
NOTHING = Money(0, "CNY")
REQUEST = Approval(
    id="eng.E1.request.R1",
    engagement="E1",
    timezone=NEW_YORK,
    decision=Decision.RELEASE,
    subject="eng.E1.hold.H1",
    amount=CNY,
    basis="net",
    state=RequestState.PENDING,
    requested_by="sun.hao",
    requested_at=END_OF_DAY,
    expires_at=END_OF_DAY,
    needed=2,
    signed=(),
    can_sign=("li.wei",),
    decided_by=None,
    decided_at=None,
    reason=None,
    document=None,
    digest="0" * 64,
    payload={},
)
HOLD = HoldBalance(
    id="eng.E1.hold.H1",
    engagement="E1",
    timezone=NEW_YORK,
    book=Book.SANDBOX,
    clause="8.1",
    kind=HoldKind.ADMIN_BLOCK,
    effect=HoldEffect.BLOCK_INVOICING,
    fee="project",
    bet=None,
    milestone="M1",
    invoice=None,
    on="M1",
    state=HoldState.ACTIVE,
    disputed=False,
    due_at=END_OF_DAY,
    reason="scope",
    placed=CNY,
    held=CNY,
    reserved=NOTHING,
    released=NOTHING,
    forfeited=NOTHING,
)

Records = Callable[[object], None]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Records:
    """What every look into the records finds."""

    def found(what: object) -> None:
        for module in (common, approval, hold):
            monkeypatch.setattr(module, "in_the_records", lambda look: what)

    return found


def test_a_pending_request_is_open_until_the_end_of_a_day_where_the_contract_is(
    answer: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(NEW_YORK)
    requested = Requested(
        request=REQUEST.id, state=RequestState.PENDING, digest="0" * 64, expires_at=END_OF_DAY
    )
    common.told(requested, TABLES)
    assert "can be signed by nobody until 2025-07-29 23:59\n" in capsys.readouterr().out


def test_requests_on_record_are_shown_in_the_contracts_own_time(
    answer: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(REQUEST)
    approval.show("E1", "R1")
    shown = capsys.readouterr().out
    assert "asked by sun.hao at 2025-07-29 23:59 America/New_York\n" in shown
    assert "can be signed by li.wei until 2025-07-29 23:59\n" in shown
    answer([REQUEST])
    approval.list_requests("E1")
    assert capsys.readouterr().out.rstrip().endswith("li.wei    2025-07-29")


def test_the_clock_of_a_hold_ends_on_a_day_of_the_contract(
    answer: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    answer([HOLD])
    hold.list_holds("E1")
    assert " 2025-07-29 " in capsys.readouterr().out
