"""Stories on a live clock, on a server that skips time, beside the same ones on a test clock."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.testing import TimeSkipper

from contracts.calendar import add_period
from contracts.commands import Command, Opened, Receipt
from contracts.contract import Contract, SettlementWindow
from contracts.errors import Unavailable
from contracts.events import EventType
from contracts.setting import ClockKind
from contracts.working_days import WorkingDays
from tests.workflow.conftest import example, office
from tollkeeper.desk import Clock, Desk
from tollkeeper.story import Story
from tollkeeper.verify import verify
from tollkeeper.views.engagements import engagement, timeline
from tollkeeper.views.ledger import money_table

# Without the second, a timer that is skipped takes a second of real time.
SKIPPING = [
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="1ms"',
]
SECONDS = 20.0
"""How long the live clock may take to stand where the test clock stood."""

RECORDS = {
    "documents": """
        select number, document, purpose, issued_on, due_on, currency, net_minor, tax_minor,
               gross_minor, retained_minor, withheld_minor, advance_minor, corrects
        from invoice where engagement_id = $1 order by number
        """,
    "lines": """
        select number, line, claim, fee, clause, title, l.net_minor, l.tax_minor, l.tax_code,
               l.tax_rate, corrects_number, corrects_line, explanation
        from invoice_line l join invoice i using (number)
        where engagement_id = $1 order by number, line
        """,
    "holds": """
        select hold_id, clause, kind, effect, fee, bet, currency, invoice, placed_minor, held_minor,
               released_minor, forfeited_minor
        from hold_balance where engagement_id = $1 order by hold_id
        """,
    "journal": """
        select g.key, code, occurred_at, effective_on, account, side, amount_minor, currency, fee,
               hold, invoice
        from journal_group g join posting p on p.group_id = g.id
        where engagement_id = $1 order by g.key, p.line
        """,
    "verdicts": """
        select bet, window_id, kind, started_on, result, occurred_at
        from verdict where engagement_id = $1 order by occurred_at
        """,
    "decisions": """
        select hold_id, decision, amount_minor, decided_by, decided_on, document, explanations
        from decision_record where engagement_id = $1 order by key
        """,
    "events": """
        select workflow_id, type, occurred_at, actor, command_id, (facts - 'digest')::text as facts
        from event where engagement_id = $1 order by occurred_at, workflow_id, type, facts
        """,
    "messages": """
        select kind, payload - 'sandbox' from outbox where engagement_id = $1
        order by kind, payload::text
        """,
    "processes": """
        select workflow_id, kind, subject, state, detail, waiting_for, why, since, due_at, overdue,
               finished
        from process where engagement_id = $1 order by workflow_id
        """,
}
"""What has to be the same on both clocks; all but the book, and the time of booking."""


async def on_record(desk: Desk, engagement_id: str, record: str) -> list[str]:
    """Rows without what tells an engagement from its twin on the other clock."""
    rows = await desk.pool.fetch(RECORDS[record], engagement_id)
    return [str(tuple(row)).replace(engagement_id, "E").replace("TEST-", "") for row in rows]


class NotingDesk(Desk):
    """Notes where each process stands before and after a test clock is advanced."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.client, desk.pool, desk.queue)
        self.noted: list[list[str]] = []

    async def advance(self, engagement_id: str, to: datetime | None = None) -> Clock:
        self.noted.append(await on_record(self, engagement_id, "processes"))
        clock = await super().advance(engagement_id, to)
        self.noted.append(await on_record(self, engagement_id, "processes"))
        return clock


class SkippingDesk(Desk):
    """A live clock on a server that skips time, step by step beside what was noted.

    On a live clock nothing says that all has happened which a command, or a time, causes: here it
    has when each process stands where it stood on the test clock.
    """

    def __init__(self, desk: Desk, noted: list[list[str]]) -> None:
        super().__init__(desk.client, desk.pool, desk.queue)
        self.skipper = TimeSkipper(desk.client)
        self.noted = iter(noted)

    async def open(
        self, engagement_id: str, contract: Contract, clock: ClockKind, at: datetime, by: str
    ) -> Opened:
        self.moment = at
        return await super().open(engagement_id, contract, ClockKind.LIVE, at, by)

    async def clock(self, engagement_id: str) -> Clock:
        """The skipped time, of which the clock on the wall knows nothing."""
        return replace(await super().clock(engagement_id), now=self.moment)

    async def ask(self, update: str, command: Command, engagement_id: str, *path: str) -> Receipt:
        """An engagement that ends while its last child does loses the command: it is asked again."""
        try:
            return await super().ask(update, command, engagement_id, *path)
        except Unavailable:
            return await super().ask(update, command, engagement_id, *path)

    async def advance(self, engagement_id: str, to: datetime | None = None) -> Clock:
        assert to
        await self._same_as_noted(engagement_id)
        # The engagement has children and is not skipped while they live; it has no deadline either.
        for process in await self._processes(engagement_id, "kind <> 'engagement'"):
            handle = self.client.get_workflow_handle(process)
            if (now := await self.skipper.get_current_time(handle)) < to:
                await self.skipper.fast_forward(handle, to - now)
        self.moment = to
        await self._same_as_noted(engagement_id)
        return await self.clock(engagement_id)

    async def _same_as_noted(self, engagement_id: str) -> None:
        noted = next(self.noted)
        until = asyncio.get_running_loop().time() + SECONDS
        while (found := await on_record(self, engagement_id, "processes")) != noted:
            assert asyncio.get_running_loop().time() < until, (found, noted)
            await asyncio.sleep(0.02)


async def on_both_clocks(
    desk: Desk, name: str, contract: Contract, play: Callable[[Story], Awaitable[None]]
) -> None:
    """Play a story as `name-test`, then as `name-live`, to the end of what it causes."""
    noting = NotingDesk(desk)
    for clock, its_desk in (("test", noting), ("live", SkippingDesk(desk, noting.noted))):
        story = Story(its_desk, f"{name}-{clock}", contract)
        await play(story)
        await its_desk.advance(story.id, story.moment)


def agreed_today() -> Contract:
    """The example, from today on, where a server's clock begins, and with working days for ever."""
    contract = example("key-account")
    today = datetime.now(ZoneInfo(contract.timezone)).date()
    weekdays = WorkingDays(country="weekdays")
    return contract.model_copy(
        update={"signed_on": today, "effective_on": today, "calendar": weekdays}
    )


@pytest.fixture(scope="module")
async def skipping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with office(tmp_path_factory.mktemp("skipping"), SKIPPING) as desk:
        yield desk


@pytest.fixture(scope="module")
async def played(skipping: Desk) -> Desk:
    """The main story is over, on both clocks."""
    await on_both_clocks(skipping, "story", agreed_today(), Story.value_bet)
    return skipping


async def history(desk: Desk, *path: str) -> list[HistoryEvent]:
    """What the server knows of a process of the main story on the live clock."""
    handle = desk.client.get_workflow_handle(".".join(("eng", "story-live", *path)))
    return list((await handle.fetch_history()).events)


async def run_out(desk: Desk, *path: str) -> list[str]:
    """What those timers of a process stood for that ran out, in order."""
    events = await history(desk, *path)
    return [
        json.loads(events[timer.started_event_id - 1].user_metadata.summary.data)
        for event in events
        if (timer := event.timer_fired_event_attributes).started_event_id
    ]


async def asked(desk: Desk, *path: str) -> list[str]:
    """The commands that a process was given, in order."""
    return [
        event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        for event in await history(desk, *path)
        if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]


@pytest.mark.parametrize("record", RECORDS)
async def test_a_live_clock_leaves_the_same_record_as_a_test_clock(
    played: Desk, record: str
) -> None:
    live = await on_record(played, "story-live", record)
    assert live
    assert live == await on_record(played, "story-test", record)


async def test_a_live_clock_ends_with_every_fen_accounted_for(played: Desk) -> None:
    micro, project = await money_table(played.pool, "story-live")
    assert str(micro.fixed) == "100000.00"
    assert str(project.fixed) == "1260000.00"
    assert str(project.released) == "351000.00"  # 216,000.00 + 0 + 135,000.00
    assert str(project.forfeited) == "189000.00"  # 0 + 108,000.00 + 81,000.00
    assert str(project.held) == "0.00"
    assert (await engagement(played.pool, "story-live")).phase == "closed"
    assert (await verify(played.pool)).ok


async def test_silence_accepts_a_deliverable_when_its_timer_runs_out(played: Desk) -> None:
    assert (await run_out(played, "milestone", "M2"))[-1] == "accept or reject"
    assert await asked(played, "milestone", "M2") == ["submit"]


async def test_a_late_client_step_is_reminded_of_when_its_timer_runs_out(played: Desk) -> None:
    assert await run_out(played, "micro", "key-account") == ["S05 Client supplements material"]
    assert set(await asked(played, "micro", "key-account")) == {"complete_step", "decide"}


async def test_windows_are_read_and_settled_when_their_timers_run_out(played: Desk) -> None:
    ended = [summary.split(" runs ")[0] for summary in await run_out(played, "bet", "B1")]
    assert ended == ["window W3", "window W6", "window W12"]
    assert await asked(played, "bet", "B1") == []


async def test_late_readings_are_reminded_of_and_settled_alike_on_both_clocks(
    skipping: Desk,
) -> None:
    contract = agreed_today()
    everything = contract.fee("project").amount - contract.holdback_amount()
    go_live = contract.milestone("M4").model_copy(update={"amount": everything})
    quick = contract.model_copy(update={"id": "KA-LATE", "milestones": (go_live,)})
    await on_both_clocks(skipping, "late", quick, _measured_late)
    for record in RECORDS:
        live = await on_record(skipping, "late-live", record)
        assert live == await on_record(skipping, "late-test", record)
    kinds = [event.type for event in await timeline(skipping.pool, "late-live")]
    assert kinds.count(EventType.READINGS_OVERDUE) == 2


async def _measured_late(story: Story) -> None:
    """The readings are of their windows, but nobody enters them before they are overdue."""
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.proceeded()
    await story.milestones_delivered()
    started_on = story.today()
    (bet,) = story.contract.bets
    for window in bet.windows:
        if isinstance(window, SettlementWindow):
            ends_on = add_period(started_on, window.after)
            story.moment = story.calendar.end_of_day(ends_on + timedelta(days=30))
            await story.measured(bet, window.settles, started_on, ends_on)
    await story.closed()
