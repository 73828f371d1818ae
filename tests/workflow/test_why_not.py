"""What is not billed, and why, through the stories on real servers, at many moments of the test clock."""

import asyncio
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from activities.receivables.disputes import open_dispute
from contracts.calendar import Period, add_period
from contracts.commands import (
    AddReading,
    Command,
    Decide,
    Outcome,
    Receipt,
    RejectMilestone,
    SubmitEvidence,
)
from contracts.commercial import Decision
from contracts.contract import Milestone, Role
from contracts.errors import NotFound
from contracts.money import Money, parse_amount
from lifecycle.orders.holds import DecideHold
from lifecycle.orders.receivables import OpenDispute
from tests.workflow.conftest import example
from tests.workflow.test_holds import People, playing, retained
from tollkeeper.desk import Clock, Desk
from tollkeeper.story import Story
from tollkeeper.views.documents import invoices
from tollkeeper.views.holds import holds
from tollkeeper.why_not import Reason, Then, Unbilled, Unsettled, WhyNot, why_not


class WatchedDesk(Desk):
    """Looks at what is not billed after each command, each reading and each due instant."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.client, desk.pool)
        self.seen: list[WhyNot] = []

    async def ask(self, update: str, command: Command, engagement_id: str, *path: str) -> Receipt:
        receipt = await super().ask(update, command, engagement_id, *path)
        self.seen.append(await why_not(self.pool, engagement_id))
        return receipt

    async def add_reading(self, engagement_id: str, reading: AddReading) -> None:
        await super().add_reading(engagement_id, reading)
        self.seen.append(await why_not(self.pool, engagement_id))

    async def advance(self, engagement_id: str, to: datetime | None = None) -> Clock:
        while (due := (await self.clock(engagement_id)).next_due) and to and due < to:
            await super().advance(engagement_id, due)
            self.seen.append(await why_not(self.pool, engagement_id))
        clock = await super().advance(engagement_id, to)
        self.seen.append(await why_not(self.pool, engagement_id))
        return clock


async def watch(desk: Desk, engagement_id: str, seen: list[WhyNot]) -> None:
    """Look again and again, also while a process is between two of its orders."""
    while True:
        with suppress(NotFound):
            seen.append(await why_not(desk.pool, engagement_id))
        await asyncio.sleep(0.02)


Line = Unbilled | Unsettled


def every(found: WhyNot) -> tuple[Line, ...]:
    return (*found.never, *found.waiting, *found.not_payable)


def lines(found: WhyNot) -> dict[str, Any]:
    """Of what is lost in part and open in part, the open one."""
    return {line.what: line for line in every(found)}


def not_payable(found: WhyNot) -> Money:
    return sum((line.amount for line in found.not_payable), Money(0, "CNY"))


async def unbilled(desk: Desk, story: Story, what: str) -> Any:
    return lines(await why_not(desk.pool, story.id))[what]


def waits(line: Line) -> tuple[Any, ...]:
    """Whom a line waits for, who that is, until when, and what happens then."""
    wait = line.awaited
    assert wait
    return wait.for_whom, wait.people, wait.due_at, wait.then


@pytest.mark.parametrize("name", ["key-account", "key-account-withheld"])
async def test_billed_and_not_billed_are_the_fee_at_every_moment_of_the_story(
    desk: Desk, engagement_id: str, name: str
) -> None:
    watched = WatchedDesk(desk)
    between: list[WhyNot] = []
    watching = asyncio.create_task(watch(desk, engagement_id, between))
    try:
        await Story(watched, engagement_id, example(name)).value_bet()
    finally:
        watching.cancel()

    assert len(watched.seen) > 60
    assert len(between) > 60
    for found in (*watched.seen, *between):
        sums = (*found.fees, found.total)
        assert [s.difference.minor for s in sums] == [0] * len(sums), found
        both = sum(s.amount.minor for s in found.by_reason)
        assert both == found.total.waiting.minor + found.total.never.minor
    for found in watched.seen:
        assert all(line.awaited for line in found.waiting)
    reasons = {line.reason for found in watched.seen for line in every(found)}
    assert reasons == {
        Reason.VALUE_POSITION,
        Reason.STEP,
        Reason.DECISION,
        Reason.PHASE,
        Reason.EVIDENCE,
        Reason.ACCEPTANCE,
        Reason.GO_LIVE,
        Reason.WINDOW,
        Reason.FORFEITED,
    }
    assert str(watched.seen[0].total.waiting) == "1900000.00"
    end = watched.seen[-1]
    assert (end.phase, end.waiting) == ("closed", ())
    assert [str(line.amount) for line in end.never] == ["108000.00", "81000.00"]
    assert str(end.total.billed) == "1711000.00"  # 100,000 + 1,260,000 + 351,000
    withheld = {str(not_payable(found)) for found in watched.seen}
    if name == "key-account":
        assert withheld == {"0.00"}
    else:
        assert withheld == {"0.00", "572400.00", "228960.00"}


async def test_the_fee_waits_for_answers_then_for_steps_and_the_project_for_both_signatures(
    desk: Desk, engagement_id: str
) -> None:
    story = Story(desk, engagement_id, example("key-account"))
    await story.opened_twice()
    found = lines(await why_not(desk.pool, story.id))
    fee = found["micro-consulting"]
    assert (fee.reason, fee.clause, str(fee.amount)) == (Reason.VALUE_POSITION, "3.1", "100000.00")
    everyone = ("gao.feng", "li.wei")
    assert waits(fee) == ("unit_head and group_management", everyone, None, None)
    assert {line.reason for what, line in found.items() if what != fee.what} == {Reason.DECISION}
    assert waits(found["stake ka-dso-days"]) == waits(fee)

    await story.positions_agree()
    steps = story.contract.micro_consulting.plan.steps
    fee = await unbilled(desk, story, "micro-consulting")
    assert fee.reason is Reason.STEP
    assert waits(fee) == ("consultant", ("chen.yu",), None, None)

    await story.steps_done(steps[:2])  # S03 is the client's: reminder after 3 working days, then 8
    client = ("li.wei", "zhao.min")
    patience = story.contract.micro_consulting.waiting
    remind_at, escalate_at = (
        story.calendar.working_days_after(story.moment, days)
        for days in (patience.remind_after, patience.escalate_after)
    )
    fee = await unbilled(desk, story, "micro-consulting")
    assert fee.awaited
    assert fee.awaited.why == "S03 Client prepares material"
    assert fee.awaited.since == story.moment
    assert fee.awaited.since.isoformat().endswith("+08:00")
    assert waits(fee) == ("client", client, remind_at, Then.REMINDER)
    await desk.advance(story.id, remind_at)
    fee = await unbilled(desk, story, "micro-consulting")
    assert waits(fee) == ("client", client, escalate_at, Then.ESCALATION)
    await desk.advance(story.id, escalate_at)
    fee = await unbilled(desk, story, "micro-consulting")
    assert waits(fee) == ("client", client, None, None)
    assert fee.awaited
    assert fee.awaited.overdue

    story.moment = escalate_at
    await story.steps_done(steps[2:])
    found = lines(await why_not(desk.pool, story.id))
    assert "micro-consulting" not in found
    milestone = found["milestone M1"]
    assert milestone.reason is Reason.DECISION
    remind_at = story.calendar.working_days_after(story.moment, 5)
    assert waits(milestone) == ("business_lead and it_lead", client, remind_at, Then.REMINDER)
    signature = Decide(
        command_id="first",
        by="li.wei",
        at=story.moment,
        role=Role.BUSINESS_LEAD,
        outcome=Outcome.PROCEED,
        reason="agreed",
    )
    await desk.ask("decide", signature, story.id, *await desk.micro_consulting(story.id))
    milestone = await unbilled(desk, story, "milestone M1")
    assert waits(milestone) == ("it_lead", ("zhao.min",), remind_at, Then.REMINDER)


async def test_a_milestone_waits_for_its_phase_its_evidence_and_its_acceptance_clock(
    desk: Desk, engagement_id: str
) -> None:
    story = Story(desk, engagement_id, example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.proceeded()
    first, _, third, _ = story.contract.milestones
    found = lines(await why_not(desk.pool, story.id))
    assert found["milestone M1"].reason is Reason.EVIDENCE
    assert found["milestone M1"].why == "evidence is missing: process-set, review-minutes"
    assert waits(found["milestone M1"]) == ("delivery_lead", ("sun.hao",), None, None)
    assert found["milestone M3"].reason is Reason.PHASE
    assert found["milestone M3"].why == "phase design_build begins when M1 is accepted"
    assert found["milestone M3"].awaited == found["milestone M1"].awaited
    stake = found["stake ka-average-output"]
    assert stake.reason is Reason.GO_LIVE
    assert stake.why == "the bet starts at go-live, when M1, M2, M3, M4 are accepted"
    assert (stake.hold, stake.awaited) == (None, found["milestone M1"].awaited)

    await handed_in(desk, story, first)
    milestone = await unbilled(desk, story, "milestone M1")
    ends_at = story.calendar.working_days_after(story.moment, 10)
    assert milestone.reason is Reason.ACCEPTANCE
    assert waits(milestone) == ("acceptor", ("wang.fang",), ends_at, Then.DEEMED_ACCEPTANCE)
    await desk.advance(story.id, ends_at)
    found = lines(await why_not(desk.pool, story.id))
    assert "milestone M1" not in found
    assert found["milestone M2"].reason is Reason.EVIDENCE

    story.moment = ends_at
    await handed_in(desk, story, third)
    ends_at = story.calendar.working_days_after(story.moment, 10)
    milestone = await unbilled(desk, story, "milestone M3")
    assert waits(milestone) == ("acceptor", ("wang.fang",), ends_at, Then.ESCALATION)
    rejection = RejectMilestone(
        command_id="no", by="wang.fang", at=story.moment, reasons=("two acceptance tests fail",)
    )
    await desk.ask("reject", rejection, story.id, "milestone", third.id)
    milestone = await unbilled(desk, story, "milestone M3")
    assert milestone.reason is Reason.EVIDENCE
    rejected = "rejected (two acceptance tests fail), evidence is missing: test-report"
    assert milestone.why == rejected


@pytest.mark.parametrize("name", ["key-account", "key-account-withheld"])
async def test_a_stake_waits_for_its_own_window_then_for_a_reading_that_counts(
    desk: Desk, engagement_id: str, name: str
) -> None:
    story = Story(desk, engagement_id, example(name))
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.proceeded()
    await story.milestones_delivered()
    month_6, month_12 = (add_period(story.today(), Period(months=months)) for months in (6, 12))

    answer = await why_not(desk.pool, story.id)
    (hold,) = await holds(desk.pool, story.id)
    found = lines(answer)
    blocked = name == "key-account"
    open_lines: tuple[Line, ...] = answer.waiting if blocked else answer.not_payable
    assert answer.waiting == (open_lines if blocked else ())
    assert {line.reason for line in open_lines} == {Reason.WINDOW}
    assert {line.hold for line in open_lines} == {hold.id}
    assert (hold.invoice is None) == blocked
    assert {line.invoice for line in answer.not_payable} == (set() if blocked else {hold.invoice})
    assert [str(line.amount) for line in open_lines] == (
        ["216000.00", "108000.00", "216000.00"]
        if blocked
        else ["228960.00", "114480.00", "228960.00"]
    )
    for what, ends_on in (("ka-dso-days", month_6), ("ka-average-output", month_12)):
        stake = found[f"stake {what}"]
        ends_at = story.calendar.end_of_day(ends_on)
        assert waits(stake) == ("calendar", (), ends_at, Then.SETTLEMENT)
        assert stake.awaited
        assert stake.awaited.since == story.moment

    ends_at = story.calendar.end_of_day(month_6)
    await desk.advance(story.id, ends_at)
    due_at = story.calendar.working_days_after(ends_at, 10)
    stake = await unbilled(desk, story, "stake win-rate-count")
    assert (stake.reason, stake.clause) == (Reason.READING, "6.1(a)")
    assert stake.why == "no reading in the last P1M of window W6"
    assert waits(stake) == ("readings", ("zhao.min",), due_at, Then.READINGS_OVERDUE)

    await measured(desk, story, "win-rate-count", "0.29", month_6, sample=7)
    found = lines(await why_not(desk.pool, story.id))
    needed = story.contract.indicators()["win-rate-count"].min_sample
    small = (
        f"the sample of the reading of {month_6} is too small: found 7, expected {needed} or more"
    )
    assert found["stake win-rate-count"].why == small
    await measured(desk, story, "win-rate-count", "0.29", month_6, sample=needed)
    found = lines(await why_not(desk.pool, story.id))
    others = "measured, but window W6 has no reading of ka-dso-days"
    assert found["stake win-rate-count"].why == others
    assert found["stake ka-dso-days"].why == "no reading in the last P1M of window W6"
    assert found["stake ka-average-output"].reason is Reason.WINDOW

    await desk.advance(story.id, due_at)
    stake = await unbilled(desk, story, "stake ka-dso-days")
    assert stake.awaited
    assert stake.awaited.overdue

    await measured(desk, story, "ka-dso-days", "87.5", month_6, sample=10_000)
    answer = await why_not(desk.pool, story.id)
    (lost,) = answer.never
    assert (lost.what, lost.clause, lost.reason) == (
        "stake ka-dso-days",
        "6.1(b)",
        Reason.FORFEITED,
    )
    assert str(lost.amount) == "67500.00"  # of 108,000.00 five eighths
    assert lost.decision == f"eng.{story.id}.bet.B1:W6:forfeit"
    open_lines = answer.waiting if blocked else answer.not_payable
    assert [line.what for line in open_lines] == ["stake ka-average-output"]
    assert answer.total.difference.minor == 0


async def test_what_is_held_asked_for_disputed_and_retained_is_told_and_the_fees_add_up(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await playing(desk, engagement_id, retained())
    await people.place("H1", "M1", "100000.00")
    found = await why_not(desk.pool, story.id)
    (asked,) = found.asked
    assert (asked.id.rpartition(".")[2], str(asked.amount)) == ("place-H1", "100000.00")
    assert asked.awaited.people == ("gao.feng", "li.wei")
    assert asked.awaited.then is Then.EXPIRY
    await people.sign("place-H1", "gao.feng", "li.wei")

    found = await why_not(desk.pool, story.id)
    assert (found.asked, str(lines(found)["milestone M1"].amount)) == ((), "260000.00")
    kept = lines(found)["milestone M1, hold H1"]
    assert waits(kept) == ("release", ("gao.feng", "li.wei", "sun.hao"), None, None)
    await story.milestones_delivered()
    found = await why_not(desk.pool, story.id)
    own = lines(found)["milestone M1"]
    assert (own.reason, str(own.amount)) == (Reason.HOLD, "260000.00")
    assert {line.reason for line in found.waiting} == {Reason.HOLD, Reason.WINDOW}

    await forfeited(people, "H1", "60000.00", "F1")
    await people.release("H1", "40000.00", "R1")
    await people.sign("R1", "gao.feng", "li.wei")
    found = await why_not(desk.pool, story.id)
    (lost,) = found.never
    assert (str(lost.amount), lost.why) == ("60000.00", "forfeited by gao.feng, li.wei")
    assert lost.decision == f"eng.{story.id}.hold.H1:decide:F1"

    first = (await invoices(desk.pool, story.id))[1]
    disputed_id = f"eng.{story.id}.dispute.D1"
    dispute = OpenDispute(
        **people.about(f"{disputed_id}:open", "li.wei"),
        dispute=disputed_id,
        invoice=first.number,
        amount=parse_amount("1060.00", "CNY"),
        reason="two tests fail",
    )
    await desk.book(lambda order: open_dispute(desk.pool, order), dispute)
    found = await why_not(desk.pool, story.id)
    retention = [line for line in found.not_payable if line.reason is Reason.RETENTION]
    assert str(sum((line.amount for line in retention), Money(0, "CNY"))) == "60000.00"
    assert {line.why for line in retention} == {
        "to be paid 50% 3 months after go-live, 50% 12 months after go-live"
    }
    assert waits(retention[0])[0::3] == ("calendar", Then.RELEASE)
    (disputed,) = [line for line in found.not_payable if line.reason is Reason.DISPUTE]
    assert (disputed.what, str(disputed.amount)) == ("dispute D1", "1060.00")
    assert [fee.difference.minor for fee in found.fees] == [0, 0]


async def forfeited(people: People, hold: str, amount: str, request: str) -> None:
    order = DecideHold(
        **people.about(people.request(request), "sun.hao"),
        hold=f"eng.{people.story.id}.hold.{hold}",
        decision=Decision.FORFEIT,
        amount=parse_amount(amount, "CNY"),
        reason="agreed",
    )
    await people.desk.book(people.holds.decide_hold, order)
    await people.sign(request, "gao.feng", "li.wei")


async def test_what_is_shelved_is_never_billed_unless_it_is_resumed(
    desk: Desk, engagement_id: str
) -> None:
    story = Story(desk, engagement_id, example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.shelved()
    answer = await why_not(desk.pool, story.id)
    assert answer.waiting == ()
    assert {line.reason for line in answer.never} == {Reason.SHELVED}
    assert str(answer.total.never) == "1800000.00"
    assert answer.total.difference.minor == 0
    assert waits(answer.never[0]) == ("business_lead", ("li.wei",), None, None)

    await story.resumed()
    answer = await why_not(desk.pool, story.id)
    assert (answer.never, str(answer.total.waiting)) == ((), "1800000.00")
    assert {line.reason for line in answer.waiting} == {Reason.DECISION}

    await story.positions_agree()
    await story.shelved()
    await story.closed()
    answer = await why_not(desk.pool, story.id)
    assert {line.why for line in answer.never} == {
        "the engagement is shelved, closed without PROCEED"
    }
    assert str(answer.total.billed) == "100000.00"


async def test_an_order_that_was_refused_is_named_and_operations_is_waited_for(
    desk: Desk, engagement_id: str
) -> None:
    story = Story(desk, engagement_id, example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    await desk.pool.execute(
        """
        insert into effect (key, digest, kind, actor, occurred_at, content, result, engagement_id)
        values ($1, 'other', 'bill_micro_consulting', 'sun.hao', now(), '{"evidence": "S9"}', '{}', $2)
        """,
        f"eng.{story.id}.micro.key-account:fee",
        story.id,
    )
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    fee = await unbilled(desk, story, "micro-consulting")
    assert fee.reason is Reason.REFUSED
    assert f"eng.{story.id}.micro.key-account:fee was refused" in fee.why
    assert waits(fee) == ("operations", (), None, None)


async def test_an_engagement_that_is_not_there_is_named(desk: Desk) -> None:
    with pytest.raises(NotFound, match="found 'nowhere', expected an engagement"):
        await why_not(desk.pool, "nowhere")


async def handed_in(desk: Desk, story: Story, milestone: Milestone) -> None:
    submission = SubmitEvidence(
        command_id=f"{milestone.id}-in",
        by="sun.hao",
        at=story.moment,
        evidence={kind: f"{kind}.pdf" for kind in milestone.evidence},
    )
    await desk.ask("submit", submission, story.id, "milestone", milestone.id)


async def measured(
    desk: Desk, story: Story, indicator: str, value: str, read_on: date, *, sample: int
) -> None:
    reading = AddReading(
        command_id=f"{indicator}-{sample}",
        by="zhao.min",
        at=(await desk.clock(story.id)).now,
        indicator=indicator,
        measured_on=read_on,
        value=Decimal(value),
        sample=sample,
        source="ERP extract, signed",
        evidence=f"{indicator}.csv",
    )
    await desk.add_reading(story.id, reading)
