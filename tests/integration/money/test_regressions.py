"""What random histories have broken once, each as short as it could be made."""

from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from activities.approvals import Approvals
from activities.billing.advances import Advances
from activities.billing.service_credits import ServiceCredits
from activities.change_orders import ChangeOrders
from activities.holds.by_people import Holds
from contracts.commercial import HoldEffect, HoldKind
from contracts.errors import TransitionError
from contracts.money import parse_amount
from lifecycle.approval import RequestState
from lifecycle.orders.adjustments import GrantServiceCredit, IssueAdvance
from lifecycle.orders.approvals import AskAgain, RejectRequest, Requested, SignRequest
from lifecycle.orders.change_orders import ProposeChange
from lifecycle.orders.holds import PlaceHold
from tests.integration.conftest import Story
from tests.integration.money.histories.agreements import AGREEMENTS, amended
from tollkeeper.verify import verify
from tollkeeper.views.change_orders import change_order

SIDES = ("gao.feng", "sun.hao")
ADVANCE = "TEST-QM-INV-2024-000002"


def cny(amount: str) -> Any:
    return parse_amount(amount, "CNY")


@pytest.fixture
def begun(story: Any) -> Any:
    """Makes an engagement that has proceeded, under one of the agreements of the histories."""

    async def make(agreement: str) -> Story:
        one: Story = story(contract=AGREEMENTS[agreement])
        await one.opened()
        await one.consulted()
        await one.proceeded()
        return one

    return make


def asked(one: Story, order: Any, name: str, /, **fields: Any) -> Any:
    """An order by a person; it has the key of its request."""
    by_clause = one.order(order, name, "2024-12-05", "request", **fields)
    return by_clause.model_copy(update={"by": "chen.yu", "key": f"eng.{one.id}.request.{name}"})


async def is_verified(one: Story) -> bool:
    verification = await verify(one.pool)
    assert [check for check in verification.checks if not check.ok] == []
    return True


@pytest.fixture
async def advanced(begun: Any) -> Story:
    one: Story = await begun("withheld")
    order = one.order(IssueAdvance, "advance", "2024-10-15").model_copy(update={"by": "sun.hao"})
    assert (await Advances(one.pool).issue_advance(order)).number == ADVANCE
    return one


async def test_a_service_credit_is_not_taken_from_an_advance(advanced):
    """c.5-4: it took value back that no invoice had used, and M30 went below zero."""
    order = asked(
        advanced,
        GrantServiceCredit,
        "SC1",
        credit="SC1",
        invoice=ADVANCE,
        amount=cny("100.00"),
        reason="late",
        evidence="ticket 7",
    )
    with pytest.raises(TransitionError, match=f"{ADVANCE}: found the invoice of an advance"):
        await ServiceCredits(advanced.pool).grant_service_credit(order)
    assert await is_verified(advanced)


@pytest.mark.parametrize("effect", [HoldEffect.WITHHOLD_PAYMENT, HoldEffect.RESERVE_REFUND])
async def test_no_hold_is_placed_on_an_advance(advanced, effect):
    """An advance has earned nothing that could be claimed back; its invoices deduct it."""
    order = asked(
        advanced,
        PlaceHold,
        "H1",
        hold="H1",
        kind=HoldKind.ADMIN_BLOCK,
        effect=effect,
        line=f"{ADVANCE}/1",
        amount=cny("100.00"),
        reason="scope",
    )
    with pytest.raises(TransitionError, match="found the invoice of an advance"):
        await Holds(advanced.pool).place_hold(order)


async def proposed(one: Story, name: str, share: str) -> Requested:
    new = amended(one.contract, "M1", Fraction(share), date(2024, 12, 5))
    order = asked(
        one, ProposeChange, name, change=name, contract=new, retroactive=True, reason="scope"
    )
    return await ChangeOrders(one.pool).propose_change(order)


async def rejected(one: Story, request: Requested) -> None:
    order = one.order(
        RejectRequest, "reject", "2024-12-05", request=request.request, reason="too dear"
    ).model_copy(update={"by": "gao.feng"})
    await Approvals(one.pool).reject_request(order)


async def asked_again(one: Story, request: Requested) -> Requested:
    return await Approvals(one.pool).ask_again(
        asked(one, AskAgain, "again", request=request.request)
    )


async def test_a_change_order_that_is_asked_for_again_is_agreed_by_its_new_signatures(begun):
    """c.5-13: it stayed tied to the request that was turned down."""
    one = await begun("blocked")
    first = await proposed(one, "CO1", "1/50")
    await rejected(one, first)
    again = await asked_again(one, first)
    assert (await change_order(one.pool, one.id, "CO1")).state == "submitted"
    for person in SIDES:
        order = one.order(
            SignRequest, f"sign:{person}", "2024-12-06", request=again.request, digest=again.digest
        ).model_copy(update={"by": person})
        done = await Approvals(one.pool).sign_request(order)
    assert done.state is RequestState.APPROVED
    assert (await change_order(one.pool, one.id, "CO1")).signed == SIDES
    assert await is_verified(one)


async def test_a_change_order_is_not_asked_for_again_while_another_is_under_way(begun):
    one = await begun("blocked")
    first = await proposed(one, "CO1", "1/50")
    await rejected(one, first)
    await proposed(one, "CO2", "1/25")
    with pytest.raises(TransitionError, match="CO2: found it waiting for its signatures"):
        await asked_again(one, first)
