"""What a process waits for, and how it goes on: readings, working days, a refused order."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from activities.readings import add_reading
from contracts.calendar import Period, add_period
from contracts.commands import AddReading, SetCalendar
from contracts.contract import Contract
from contracts.events import EventType
from tests.workflow.conftest import example
from tollkeeper.desk import Desk
from tollkeeper.story import Story
from tollkeeper.views.documents import invoices
from tollkeeper.views.engagements import Waiting, engagement, timeline
from tollkeeper.views.holds import holds


async def waits(desk: Desk, engagement_id: str, kind: str) -> Waiting | None:
    found = await engagement(desk.pool, engagement_id)
    (process,) = [p for p in found.processes if p.kind == kind and not p.finished]
    return process.waiting


async def kinds(desk: Desk, engagement_id: str) -> Sequence[EventType]:
    return [event.type for event in await timeline(desk.pool, engagement_id)]


async def live(desk: Desk, engagement_id: str) -> tuple[Story, date]:
    """An engagement that went live, and its measuring start."""
    story = Story(desk, engagement_id, example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.proceeded()
    await story.milestones_delivered()
    return story, story.today()


async def test_what_was_not_measured_is_waited_for_and_never_a_miss(
    desk: Desk, engagement_id: str
) -> None:
    story, started_on = await live(desk, engagement_id)
    (bet,) = story.contract.bets
    month_6 = add_period(started_on, Period(months=6))
    await desk.advance(story.id, story.calendar.end_of_day(month_6))
    wait = await waits(desk, story.id, "value_bet")
    assert wait is not None
    assert wait.why == "window W6 has no reading of win-rate-count, ka-dso-days"
    assert not wait.overdue

    due_at = story.calendar.working_days_after(story.calendar.end_of_day(month_6), 10)
    await desk.advance(story.id, due_at)
    assert EventType.READINGS_OVERDUE in await kinds(desk, story.id)
    wait = await waits(desk, story.id, "value_bet")
    assert wait is not None
    assert wait.overdue
    (hold,) = await holds(desk.pool, story.id)
    assert hold.held == hold.placed

    # The readings come late; they are of the window, so they settle it, on the day they came.
    story.moment = due_at
    await story.measured(bet, ["win-rate-count"], started_on, month_6)
    (hold,) = await holds(desk.pool, story.id)
    assert hold.held == hold.placed
    await story.measured(bet, ["ka-dso-days"], started_on, month_6)
    (hold,) = await holds(desk.pool, story.id)
    assert (str(hold.released), str(hold.forfeited)) == ("216000.00", "108000.00")
    settled = (await invoices(desk.pool, story.id))[-1]
    assert settled.issued_on == story.calendar.local_date(due_at)


async def test_a_nudge_makes_a_bet_look_again_where_the_signal_of_a_reading_got_lost(
    desk: Desk, engagement_id: str
) -> None:
    story, started_on = await live(desk, engagement_id)
    month_6 = add_period(started_on, Period(months=6))
    await desk.advance(story.id, story.calendar.end_of_day(month_6))
    now = (await desk.clock(story.id)).now
    for name in ("win-rate-count", "ka-dso-days"):
        reading = AddReading(
            command_id=name,
            by="zhao.min",
            at=now,
            indicator=name,
            measured_on=month_6,
            value=Decimal("0.25") if name == "win-rate-count" else Decimal("90"),
            sample=100,
            source="ERP",
            evidence="x.csv",
        )
        await add_reading(desk.pool, story.id, reading)  # stored, and nobody is told
    (hold,) = await holds(desk.pool, story.id)
    assert hold.held == hold.placed
    await desk.nudge(story.id)
    await desk.advance(story.id, now)
    (hold,) = await holds(desk.pool, story.id)
    # 216,000.00 missed; of 108,000.00 an eighth: (90 - 91.25) / (81.25 - 91.25).
    assert (str(hold.released), str(hold.forfeited)) == ("13500.00", "310500.00")


async def test_silence_at_the_gate_reminds_and_escalates_and_decides_nothing(
    desk: Desk, engagement_id: str
) -> None:
    story = Story(desk, engagement_id, example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    before = await kinds(desk, story.id)
    await desk.advance(story.id, story.moment + timedelta(days=180))
    after = list(await kinds(desk, story.id))[len(before) :]
    assert after == [EventType.REMINDER_RAISED, EventType.ESCALATION_RAISED]  # MC-08
    assert (await engagement(desk.pool, story.id)).phase == "decision"
    wait = await waits(desk, story.id, "micro_consulting")
    assert wait is not None
    assert wait.overdue


async def test_a_clock_without_working_days_waits_until_they_are_decreed(
    desk: Desk, engagement_id: str
) -> None:
    story = Story(desk, engagement_id, _signed_late())
    await story.opened_twice()
    await story.positions_agree()
    steps = story.contract.micro_consulting.plan.steps
    await story.steps_done(steps[:2])  # S03 is the client's, with a reminder after 3 working days
    await desk.advance(story.id, story.moment)
    wait = await waits(desk, story.id, "micro_consulting")
    assert wait is not None
    assert wait.for_whom == "calendar"
    assert "expected that year's working days" in wait.why

    decreed = SetCalendar(
        command_id="cal",
        by="sun.hao",
        at=story.moment,
        off=(date(2027, 1, 1),),
        last_year=2027,
    )
    await desk.set_calendar(story.id, decreed)
    wait = await waits(desk, story.id, "micro_consulting")
    assert wait is not None
    assert wait.for_whom == "client"
    # Wednesday 30 December; the third working day after it, 1 January off, is Tuesday the 5th.
    assert wait.due_at == story.calendar.end_of_day(date(2027, 1, 5))


def _signed_late() -> Contract:
    """The example, beginning so late in 2026 that its clocks reach a year not decreed yet."""
    return example("key-account").model_copy(
        update={"id": "KA-LATE", "signed_on": date(2026, 12, 1), "effective_on": date(2026, 12, 24)}
    )


async def test_a_refused_order_waits_for_a_person_and_loses_nothing(
    desk: Desk, engagement_id: str
) -> None:
    story = Story(desk, engagement_id, example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    key = f"eng.{story.id}.micro.key-account:fee"
    await desk.pool.execute(
        """
        insert into effect (key, digest, kind, actor, occurred_at, content, result, engagement_id)
        values ($1, 'other', 'bill_micro_consulting', 'sun.hao', now(), '{"evidence": "S9"}', '{}', $2)
        """,
        key,
        story.id,
    )
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    wait = await waits(desk, story.id, "micro_consulting")
    assert wait is not None
    assert wait.for_whom == "operations"
    assert "found other content than on record (bill micro consulting by sun.hao" in wait.why
    assert not await invoices(desk.pool, story.id)

    async with desk.pool.acquire() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute("delete from effect where key = $1", key)
    await desk.nudge(story.id)
    await desk.advance(story.id, story.moment)
    assert len(await invoices(desk.pool, story.id)) == 1
    assert (await engagement(desk.pool, story.id)).phase == "decision"
