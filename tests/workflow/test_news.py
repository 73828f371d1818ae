"""News from the books: whoever waits is told, though the desk that wrote it is killed or unheard."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from activities.engagements import Engagements
from contracts.calendar import Period, add_period
from contracts.commands import AddReading
from contracts.commercial import (
    AutomaticPolicy,
    Decision,
    HoldClocks,
)
from contracts.contract import Contract
from contracts.errors import Unavailable
from contracts.events import Event, EventType
from contracts.indicators import catalogue
from contracts.money import parse_amount
from contracts.setting import ClockKind, Setting
from contracts.working_days import WorkingDays
from lifecycle.hold import HoldState
from lifecycle.orders import OpenEngagement, Record, Wait
from lifecycle.orders.holds import CloseHoldDispute, DisputeHold
from lifecycle.process import BetState
from tests.workflow.conftest import example
from tests.workflow.test_change_order import People as Deliveries
from tests.workflow.test_holds import CLOCKS, People, advance, contract, playing, waiting
from tollkeeper import news
from tollkeeper.desk import Desk
from tollkeeper.news import untold
from tollkeeper.story import Story
from tollkeeper.views.documents import invoices
from tollkeeper.views.engagements import engagement
from tollkeeper.views.holds import holds
from workflows.value_bet import ValueBetWorkflow

SECONDS = 40.0
"""How long a worker may take to tell, on a small machine; it begins after a few."""


class Killed(BaseException):
    """The end of a desk."""


class KilledDesk(Desk):
    """A desk that is killed right after a commit."""

    async def tell(self, engagement_id: str, clock: object = None) -> None:
        raise Killed


class UnheardDesk(Desk):
    """A desk whose signals Temporal does not take at that moment."""

    async def _signal(self, process: str, signal: str, *facts: object) -> None:
        raise Unavailable("Temporal does not answer")


class InterruptedDesk(Desk):
    """A desk beside which somebody commits, and dies, while it tells."""

    def __init__(self, desk: Desk, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(desk.client, desk.pool, desk.queue)
        self.meanwhile = [meanwhile]

    async def _signal(self, process: str, signal: str, *facts: object) -> None:
        await super()._signal(process, signal, *facts)
        while self.meanwhile:
            await self.meanwhile.pop()()


def like(kind: type[Desk], desk: Desk) -> Desk:
    return kind(desk.client, desk.pool, desk.queue)


async def eventually(holds_true: Callable[[], Awaitable[bool]]) -> None:
    """What a worker does by itself."""
    until = asyncio.get_running_loop().time() + SECONDS
    while not await holds_true():
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.2)


async def everything_is_told(desk: Desk, engagement_id: str) -> bool:
    return not await untold(desk.pool, engagement_id)


# On a live clock.


async def a_request(desk: Desk, engagement_id: str) -> People:
    """A live engagement of today, with a request to hold something that nobody has signed."""
    terms = contract(
        id=f"KA-{engagement_id}", hold_clocks=CLOCKS, calendar=WorkingDays(country="weekdays")
    )
    story = Story(desk, engagement_id, terms)
    story.moment = datetime.now(UTC)
    await desk.open(engagement_id, terms, ClockKind.LIVE, story.moment, "sun.hao")
    people = People(desk, story)
    await people.place("H1", "M1", "1000.00")
    await eventually(lambda: waits_for(desk, engagement_id, "request.place-H1", "approval"))
    await eventually(lambda: everything_is_told(desk, engagement_id))
    return people


async def waits_for(desk: Desk, engagement_id: str, process: str, whom: str | None) -> bool:
    """What a process waits for, by what is on record; None for one that has ended."""
    found = await engagement(desk.pool, engagement_id)
    ids = [each.id for each in found.processes]
    if f"eng.{engagement_id}.{process}" not in ids:
        return False
    wait = await waiting(desk, engagement_id, process)
    return wait is None if whom is None else wait is not None and wait.for_whom == whom


async def test_a_worker_tells_of_what_a_killed_desk_wrote(desk: Desk, engagement_id: str) -> None:
    people = await a_request(desk, engagement_id)
    people.desk = like(KilledDesk, desk)
    for person in ("gao.feng", "li.wei"):
        with pytest.raises(Killed):
            await people.sign("place-H1", person)
    await eventually(lambda: waits_for(desk, engagement_id, "request.place-H1", None))
    await eventually(lambda: waits_for(desk, engagement_id, "hold.H1", "release"))
    hold = f"eng.{engagement_id}.hold.H1"

    dispute = DisputeHold(
        **people.about(f"{hold}:dispute:D1", "li.wei"), hold=hold, reason="it is valid"
    )
    with pytest.raises(Killed):
        await people.desk.book(people.holds.dispute_hold, dispute)
    await eventually(lambda: waits_for(desk, engagement_id, "hold.H1", "ruling"))

    ruling = CloseHoldDispute(
        **people.about(f"{hold}:dispute:D1:close", "sun.hao"), hold=hold, ruling="it has expired"
    )
    with pytest.raises(Unavailable):
        await like(UnheardDesk, desk).book(people.holds.close_hold_dispute, ruling)
    await eventually(lambda: waits_for(desk, engagement_id, "hold.H1", "release"))
    await eventually(lambda: everything_is_told(desk, engagement_id))


async def test_what_is_written_while_a_desk_tells_is_told_as_well(
    desk: Desk, engagement_id: str
) -> None:
    people = await a_request(desk, engagement_id)

    async def meanwhile() -> None:
        other = People(like(KilledDesk, desk), people.story)
        with pytest.raises(Killed):
            await other.sign("place-H1", "li.wei")

    people.desk = InterruptedDesk(desk, meanwhile)
    await people.sign("place-H1", "gao.feng")
    assert not await everything_is_told(desk, engagement_id)
    await eventually(lambda: waits_for(desk, engagement_id, "request.place-H1", None))
    await eventually(lambda: everything_is_told(desk, engagement_id))


async def test_a_worker_tells_a_bet_of_readings_that_a_killed_desk_stored(
    desk: Desk, engagement_id: str
) -> None:
    terms = example("key-account").model_copy(
        update={"id": f"KA-{engagement_id}", "calendar": WorkingDays(country="weekdays")}
    )
    ended_on = await a_bet_without_readings(desk, engagement_id, terms)
    await eventually(lambda: waits_for(desk, engagement_id, "bet.B1", "readings"))
    for indicator, value in (("win-rate-count", "0.29"), ("ka-dso-days", "60")):
        reading = AddReading(
            command_id=indicator,
            by="zhao.min",
            at=datetime.now(UTC),
            indicator=indicator,
            measured_on=ended_on,
            value=Decimal(value),
            sample=1_000,
            source="CRM",
            evidence=f"{indicator}.csv",
        )
        with pytest.raises(Killed):
            await like(KilledDesk, desk).add_reading(engagement_id, reading)

    async def settled() -> bool:
        [hold] = await holds(desk.pool, engagement_id)
        return str(hold.released) == "324000.00"  # both met: 40 % and 20 % of 540,000.00

    await eventually(settled)
    await eventually(lambda: everything_is_told(desk, engagement_id))


async def a_bet_without_readings(desk: Desk, id: str, terms: Contract) -> date:
    """Laid down by its own activities, as live for so long that its second window is over: its end."""
    started_on = (datetime.now(UTC) - timedelta(days=250)).date()
    live_at = datetime.combine(started_on, time(1), UTC)
    engagements, known = Engagements(desk.pool), catalogue().indicators
    about: dict[str, Any] = {
        "engagement_id": id,
        "workflow_id": f"eng.{id}",
        "at": live_at,
        "by": "sun.hao",
    }
    await engagements.open_engagement(
        OpenEngagement(
            **about,
            key=f"eng.{id}:open",
            contract=terms,
            indicators=tuple(known[each.indicator] for each in terms.bets[0].indicators),
            clock=ClockKind.LIVE,
            phase="operating",
        )
    )
    proceeded = Event(type=EventType.PROCEEDED, occurred_at=live_at, actor="li.wei")
    await engagements.record(
        Record(
            **about,
            key=f"eng.{id}:#1",
            seq=1,
            kind="engagement",
            subject=terms.id,
            state="operating",
            detail={},
            events=(proceeded,),
            wait=None,
            finished=True,
        )
    )
    setting = Setting(
        engagement_id=id,
        clock=ClockKind.LIVE,
        calendar=terms.working_calendar(),
        people=terms.people(),
    )
    await desk.client.start_workflow(
        ValueBetWorkflow.run,
        BetState(
            setting=setting,
            now=live_at,
            bet=terms.bet("B1"),
            clause=terms.bet("B1").clause,
            started_on=started_on,
            live_at=live_at,
        ),
        id=f"eng.{id}.bet.B1",
        task_queue=desk.queue,
    )
    return add_period(started_on, Period(months=6))


# On a test clock.


def decided_alone() -> Contract:
    """The example, in which small holds on M1 are placed and released at once."""
    base = example("key-account")
    policy = AutomaticPolicy(
        id="AP2",
        clause="8.2",
        decisions=(Decision.PLACE_HOLD, Decision.RELEASE),
        of="M1",
        up_to=parse_amount("1000.00", "CNY"),
    )
    return contract(approvals=base.approvals.model_copy(update={"automatic": (policy,)}))


async def test_a_worker_tells_what_time_a_test_clock_shows(desk: Desk, engagement_id: str) -> None:
    story, people = await playing(desk, engagement_id, decided_alone())
    await people.place("H1", "M1", "1000.00")
    await Deliveries(desk, story).delivered("M1", story.contract.milestone("M1"))
    before = len(await invoices(desk.pool, story.id))
    await advance(story, story.moment + timedelta(days=40))
    people.desk = like(KilledDesk, desk)
    with pytest.raises(Killed):
        await people.release("H1", "1000.00", "R1")

    async def invoiced() -> bool:
        return len(await invoices(desk.pool, story.id)) > before

    await eventually(invoiced)
    assert (await invoices(desk.pool, story.id))[-1].issued_on == story.today()
    await eventually(lambda: everything_is_told(desk, engagement_id))


async def test_what_a_clock_frees_is_invoiced_when_the_advance_returns(
    desk: Desk, engagement_id: str
) -> None:
    clocks = HoldClocks(clause="8.3", review=60, decision=5, default="release")
    story, people = await playing(desk, engagement_id, contract(hold_clocks=clocks))
    await people.place("H1", "M1", "1000.00")
    await people.sign("place-H1", "gao.feng", "li.wei")
    placed_at = story.moment
    await Deliveries(desk, story).delivered("M1", story.contract.milestone("M1"))
    before = len(await invoices(desk.pool, story.id))
    wait = await waiting(desk, story.id, "milestone.M1")
    assert wait is not None
    assert wait.for_whom == "hold"

    released_at = story.calendar.working_days_after(
        story.calendar.working_days_after(placed_at, 60), 5
    )
    await advance(story, released_at + timedelta(days=20))
    [hold] = await holds(desk.pool, story.id)
    assert hold.state is HoldState.SETTLED
    issued = (await invoices(desk.pool, story.id))[before:]
    assert [each.issued_on for each in issued] == [story.calendar.local_date(released_at)]
    assert await everything_is_told(desk, story.id)


async def test_whoever_advances_a_clock_is_left_alone(desk: Desk, engagement_id: str) -> None:
    story, people = await playing(desk, engagement_id, contract())
    people.desk = like(KilledDesk, desk)
    async with desk._alone(story.id):
        with pytest.raises(Killed):
            await people.place("H1", "M1", "1000.00")
        await desk.catch_up(story.id)
        assert not await everything_is_told(desk, story.id)
    await desk.catch_up(story.id)
    assert await everything_is_told(desk, story.id)


async def test_an_engagement_that_cannot_be_told_keeps_no_other_from_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    async def tell(engagement_id: str) -> None:
        if engagement_id == "broken":
            raise Unavailable("Temporal does not answer")
        await told.put(engagement_id)

    async def late(_: object) -> list[str]:
        return ["broken", "sound"]

    monkeypatch.setattr(news, "_late", late)
    monkeypatch.setattr(news, "OUTAGE_SECONDS", 0)
    monkeypatch.setattr(news, "POLL_SECONDS", 0.01)
    round_by_round = asyncio.create_task(news.telling(desk.pool, tell))
    try:
        assert [await asyncio.wait_for(told.get(), SECONDS) for _ in range(2)] == ["sound"] * 2
    finally:
        round_by_round.cancel()


# In the database.


async def test_that_a_process_begins_to_listen_is_news(desk: Desk, engagement_id: str) -> None:
    terms = contract(id=f"KA-{engagement_id}")
    story = Story(desk, engagement_id, terms)
    await desk.open(engagement_id, terms, ClockKind.TEST, story.moment, "sun.hao")
    engagements = Engagements(desk.pool)

    async def recorded(seq: int, whom: str | None, why: str = "") -> int:
        process = f"eng.{engagement_id}.milestone.M0"
        await engagements.record(
            Record(
                key=f"{process}:#{seq}",
                engagement_id=engagement_id,
                workflow_id=process,
                at=story.moment,
                by=process,
                seq=seq,
                kind="milestone",
                subject="M0",
                state="accepted",
                detail={},
                events=(),
                wait=Wait(for_whom=whom, why=why, since=story.moment) if whom else None,
                finished=whom is None,
            )
        )
        return len(await untold(desk.pool, engagement_id))

    async with desk._alone(engagement_id):
        assert await recorded(1, "acceptor") == 0
        assert await recorded(2, "hold", "H1") == 1
        assert await recorded(3, "hold", "H2") == 1
        assert await recorded(2, "acceptor") == 1  # late, and of the past
        assert await recorded(4, "operations") == 1
        assert await recorded(5, "hold", "H2") == 2
        assert await recorded(6, None) == 2
