"""The story on a live clock, on a server that skips time, beside the same story on a test clock."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.testing import TimeSkipper

from contracts.commands import Opened
from contracts.contract import Contract, WorkingDays
from contracts.setting import ClockKind
from tests.workflow.conftest import example, office
from tollkeeper.desk import Clock, Desk
from tollkeeper.queries import engagement, money_table
from tollkeeper.story import Story
from tollkeeper.verify import verify

# A fast-forward of several timers takes a second each without the second one.
SKIPPING = [
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="1ms"',
]
TEST, LIVE = "on-test-clock", "on-live-clock"
SECONDS = 20.0

RECORDS = {
    "documents": """
        select number, document, issued_on, currency, net_minor, tax_minor, gross_minor, tax_code,
               tax_rate, tax_explanation, withheld, corrects
        from invoice where engagement_id = $1 order by number
        """,
    "lines": """
        select number, line, claim, clause, title, l.net_minor, explanation
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
        select workflow_id, type, occurred_at, actor, command_id, facts::text
        from event where engagement_id = $1 order by occurred_at, workflow_id, type, facts::text
        """,
    "messages": """
        select kind, payload - 'sandbox' from outbox where engagement_id = $1
        order by kind, payload ->> 'number'
        """,
    "processes": """
        select workflow_id, kind, subject, state, detail, waiting_for, why, since, due_at, overdue,
               finished
        from process where engagement_id = $1 order by workflow_id
        """,
}
"""What has to be the same on both clocks; all but the book, and the time of booking."""


async def on_record(desk: Desk, engagement_id: str, record: str) -> list[str]:
    """Rows without what tells the two engagements apart."""
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

    async def advance(self, engagement_id: str, to: datetime | None = None) -> Clock:
        assert to
        await self._same_as_noted(engagement_id)
        # The engagement has children and is not skipped while they live; it has no deadline either.
        for process in await self._processes(engagement_id, "kind <> 'engagement'"):
            handle = self.client.get_workflow_handle(process)
            now = await self.skipper.get_current_time(handle)
            await self.skipper.fast_forward(handle, to - now)
        self.moment = to
        await self._same_as_noted(engagement_id)
        return await self.clock(engagement_id)

    async def _same_as_noted(self, engagement_id: str) -> None:
        noted = next(self.noted)
        until = asyncio.get_running_loop().time() + SECONDS
        while (found := await on_record(self, engagement_id, "processes")) != noted:
            if asyncio.get_running_loop().time() > until:
                assert found == noted
            await asyncio.sleep(0.02)


def agreed_today() -> Contract:
    """The example, from today on, where a server's clock begins, and with working days for ever."""
    contract = example("key-account")
    today = datetime.now(ZoneInfo(contract.timezone)).date()
    weekdays = WorkingDays(country="weekdays")
    return contract.model_copy(
        update={"signed_on": today, "effective_on": today, "calendar": weekdays}
    )


@pytest.fixture(scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """The story is over, on both clocks."""
    contract = agreed_today()
    async with office(tmp_path_factory.mktemp("skipping"), SKIPPING) as desk:
        noting = NotingDesk(desk)
        await _play(Story(noting, TEST, contract))
        await _play(Story(SkippingDesk(desk, noting.noted), LIVE, contract))
        yield desk


async def _play(story: Story) -> None:
    await story.value_bet()
    await story.desk.advance(story.id, story.moment)


async def history(desk: Desk, *path: str) -> list[HistoryEvent]:
    handle = desk.client.get_workflow_handle(".".join(("eng", LIVE, *path)))
    return list((await handle.fetch_history()).events)


async def fired(desk: Desk, *path: str) -> list[str]:
    """What the timers of a live process stood for that ran out, in order."""
    events = await history(desk, *path)
    return [
        json.loads(events[fired.started_event_id - 1].user_metadata.summary.data)
        for event in events
        if (fired := event.timer_fired_event_attributes).started_event_id
    ]


async def asked(desk: Desk, *path: str) -> list[str]:
    """The commands that a live process was given, in order."""
    return [
        event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        for event in await history(desk, *path)
        if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]


@pytest.mark.parametrize("record", RECORDS)
async def test_a_live_clock_leaves_the_same_record_as_a_test_clock(
    played: Desk, record: str
) -> None:
    live = await on_record(played, LIVE, record)
    assert live
    assert live == await on_record(played, TEST, record)


async def test_a_live_clock_ends_with_every_fen_accounted_for(played: Desk) -> None:
    micro, project = await money_table(played.pool, LIVE)
    assert str(micro.fixed) == "100000.00"
    assert str(project.fixed) == "1260000.00"
    assert str(project.released) == "351000.00"  # 216,000.00 + 0 + 135,000.00
    assert str(project.forfeited) == "189000.00"  # 0 + 108,000.00 + 81,000.00
    assert str(project.held) == "0.00"
    assert (await engagement(played.pool, LIVE)).phase == "closed"
    assert (await verify(played.pool)).ok


async def test_silence_accepts_a_deliverable_when_its_timer_runs_out(played: Desk) -> None:
    assert (await fired(played, "milestone", "M2"))[-1] == "accept or reject"
    assert await asked(played, "milestone", "M2") == ["submit"]


async def test_a_late_client_step_is_reminded_of_when_its_timer_runs_out(played: Desk) -> None:
    assert await fired(played, "micro", "key-account") == ["S05 Client supplements material"]
    assert set(await asked(played, "micro", "key-account")) == {"complete_step", "decide"}


async def test_windows_are_read_and_settled_when_their_timers_run_out(played: Desk) -> None:
    ended = [summary.split(" runs ")[0] for summary in await fired(played, "bet", "B1")]
    assert ended == ["window W3", "window W6", "window W12"]
    assert await asked(played, "bet", "B1") == []
