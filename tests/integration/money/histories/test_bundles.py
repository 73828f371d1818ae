"""Histories at random, in bundles: the counterparty's own program agrees with the engine on each."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from activities.engagements import Engagements
from contracts.events import Event, EventType
from lifecycle.orders import Record
from tests.forgery import said
from tests.integration.money.histories.agreements import AGREEMENTS
from tests.integration.money.histories.books import Books, books_on
from tests.integration.money.histories.machine import Engagement, Histories, Tally
from tests.integration.money.histories.test_histories import NIGHTLY, PROFILE
from tollkeeper.bundle import bundle
from tollkeeper.signing import Signer, signer_of

FIRST = 300
"""The histories of each run are the same: those from here on, others than without bundles."""


class Bundled(Histories):
    """Told as the processes tell it, each command a second after the one before."""

    def __init__(self, books: Books, tally: Tally, agreement: str, signer: Signer) -> None:
        super().__init__(books, tally, agreement)
        self.signer = signer

    @property
    def at(self) -> datetime:
        return self.now

    @at.setter
    def at(self, _: datetime) -> None:
        """No command lies on somebody's desk: what was agreed when it is told was agreed at its time."""

    def look(self) -> None:
        super().look()
        self.now += timedelta(seconds=1)

    def teardown(self) -> None:
        for engagement in self.engagements:
            data = self.books.run(bundle(self.books.pool, engagement.id, self.signer))
            assert "values agree" in said(data)[-1]

    def _consulted(self, engagement: Engagement) -> None:
        self._told(engagement, EventType.FINAL_SUBMITTED)
        super()._consulted(engagement)

    def _accepted(self, engagement: Engagement, milestone: str) -> None:
        days = self.contract.milestone(milestone).acceptance.working_days
        until = self.contract.working_calendar().working_days_after(self.at, days)
        facts = {"milestone": milestone, "evidence": {"proof": f"{milestone}.pdf"}}
        self._told(engagement, EventType.MILESTONE_SUBMITTED, **facts, accept_by=until.isoformat())
        self._told(engagement, EventType.MILESTONE_ACCEPTED, milestone=milestone, deemed=False)
        super()._accepted(engagement, milestone)

    def _told(self, engagement: Engagement, kind: EventType, **facts: Any) -> None:
        seq = next(engagement.records)
        order = Record(
            **self.step(engagement, self.client(0), f"#{seq}"),
            seq=seq,
            kind="engagement",
            subject=self.contract.id,
            state="consulting",
            detail={},
            events=(Event(type=kind, occurred_at=self.at, actor=self.client(0), facts=facts),),
            wait=None,
            finished=False,
            phase="consulting",
        )
        assert self.give(Engagements(self.books.pool).record, order)


@pytest.fixture(scope="module")
def books(databases) -> Iterator[Books]:
    with books_on(databases.dsn, "bundles") as books:
        yield books


@pytest.mark.timeout(0)
@pytest.mark.parametrize("agreement", AGREEMENTS)
def test_the_counterparty_agrees_with_every_history(books, tmp_path, agreement):
    """Change orders and benefits that changed no amount, and a part forfeited early, were refused."""
    histories = partial(Bundled, books, Tally(), agreement, signer_of(tmp_path))
    run_state_machine_as_test(
        cast(type[Histories], histories if NIGHTLY else seed(FIRST)(histories)),
        settings=settings(
            PROFILE, deadline=None, report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
