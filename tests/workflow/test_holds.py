"""Holds and requests as processes: what is blocked waits, clocks run in working days, silence ends them."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from activities.approvals import Approvals
from activities.holds.by_people import Holds
from activities.postgres import transaction
from contracts.calendar import Period, add_period
from contracts.commands import AddReading
from contracts.commercial import (
    AutomaticPolicy,
    Decision,
    HoldClocks,
    HoldEffect,
    HoldKind,
    MissHold,
)
from contracts.contract import Contract, SettlementWindow
from contracts.events import EventType
from contracts.money import parse_amount
from lifecycle.approval import RequestState
from lifecycle.hold import HoldState
from lifecycle.orders.approvals import AskAgain, SignRequest
from lifecycle.orders.holds import DecideHold, PlaceHold, ServeCureNotice
from tests.workflow.conftest import example
from tollkeeper.desk import Desk
from tollkeeper.starting import _setting, _start, start_missing
from tollkeeper.story import Story
from tollkeeper.verify import verify
from tollkeeper.views.approvals import approval, approvals
from tollkeeper.views.documents import invoices
from tollkeeper.views.engagements import Waiting, engagement, timeline
from tollkeeper.views.holds import HoldBalance, holds

CLOCKS = HoldClocks(clause="8.3", review=None, cure=10, decision=5)


class People:
    """What the contract's people do about holds, at the story's moment."""

    def __init__(self, desk: Desk, story: Story) -> None:
        self.desk, self.story = desk, story
        self.holds, self.approvals = Holds(desk.pool), Approvals(desk.pool)

    def about(self, key: str, by: str) -> dict[str, Any]:
        return {
            "key": key,
            "engagement_id": self.story.id,
            "workflow_id": f"eng.{self.story.id}",
            "at": self.story.moment,
            "by": by,
        }

    def request(self, name: str) -> str:
        return f"eng.{self.story.id}.request.{name}"

    async def place(self, name: str, milestone: str, amount: str) -> None:
        order = PlaceHold(
            **self.about(self.request(f"place-{name}"), "sun.hao"),
            hold=name,
            kind=HoldKind.COMPLIANCE,
            effect=HoldEffect.BLOCK_INVOICING,
            milestone=milestone,
            amount=parse_amount(amount, "CNY"),
            reason="the certificate has expired",
        )
        await self.desk.book(self.holds.place_hold, order)

    async def release(self, name: str, amount: str, request: str) -> None:
        order = DecideHold(
            **self.about(self.request(request), "sun.hao"),
            hold=f"eng.{self.story.id}.hold.{name}",
            decision=Decision.RELEASE,
            amount=parse_amount(amount, "CNY"),
            reason="the certificate is there",
        )
        await self.desk.book(self.holds.decide_hold, order)

    async def cure_notice(self, name: str) -> None:
        hold = f"eng.{self.story.id}.hold.{name}"
        order = ServeCureNotice(
            **self.about(f"{hold}:cure-notice", "wang.fang"), hold=hold, proof="courier 7"
        )
        await self.desk.book(self.holds.serve_cure_notice, order)

    async def sign(self, name: str, *people: str) -> None:
        found = await approval(self.desk.pool, self.story.id, name)
        for person in people:
            order = SignRequest(
                **self.about(f"{found.id}:sign:{person}", person),
                request=found.id,
                digest=found.digest,
            )
            await self.desk.book(self.approvals.sign_request, order)

    async def ask_again(self, name: str, anew: str) -> None:
        about = self.about(self.request(anew), "sun.hao")
        order = AskAgain(**about, request=self.request(name))
        await self.desk.book(self.approvals.ask_again, order)


async def playing(desk: Desk, engagement_id: str, contract: Contract) -> tuple[Story, People]:
    """An engagement that was decided to proceed."""
    contract = contract.model_copy(update={"id": f"KA-{engagement_id}"})
    story = Story(desk, engagement_id, contract)
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(contract.micro_consulting.plan.steps)
    await story.proceeded()
    return story, People(desk, story)


def contract(**changes: Any) -> Contract:
    """The example, whose people decide everything."""
    base = example("key-account")
    approvals = base.approvals.model_copy(update={"automatic": ()})
    return base.model_copy(update={"approvals": approvals} | changes)


async def waiting(desk: Desk, engagement_id: str, process: str) -> Waiting | None:
    found = await engagement(desk.pool, engagement_id)
    (one,) = [each for each in found.processes if each.id.endswith(f".{process}")]
    return None if one.finished else one.waiting


async def advance(story: Story, moment: datetime) -> None:
    await story.desk.advance(story.id, moment)
    story.moment = moment


async def holds_up(desk: Desk, engagement_id: str) -> bool:
    broken = [check for check in (await verify(desk.pool)).checks if not check.ok]
    assert broken == []
    assert EventType.STEP_REFUSED not in [e.type for e in await timeline(desk.pool, engagement_id)]
    return True


async def test_a_blocked_milestone_waits_and_is_invoiced_when_the_hold_is_released(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await playing(desk, engagement_id, contract())
    await people.place("H1", "M1", "360000.00")
    wait = await waiting(desk, story.id, "request.place-H1")
    assert wait is not None
    assert wait.why.endswith("0 signed, can sign: gao.feng, li.wei")
    await people.sign("place-H1", "gao.feng", "li.wei")
    assert await waiting(desk, story.id, "request.place-H1") is None

    await story.milestones_delivered()
    wait = await waiting(desk, story.id, "milestone.M1")
    assert wait is not None
    assert (wait.for_whom, wait.why) == ("hold", "not invoiced while held by H1")
    # M3 bills the same amount.
    assert [str(document.gross) for document in await invoices(desk.pool, story.id)].count(
        "381600.00"
    ) == 1

    await people.release("H1", "360000.00", "R1")
    await people.sign("R1", "gao.feng", "li.wei")
    assert [str(document.gross) for document in await invoices(desk.pool, story.id)].count(
        "381600.00"
    ) == 2
    assert await waiting(desk, story.id, "hold.H1") is None
    assert await holds_up(desk, story.id)


async def test_the_cure_clock_of_a_missed_indicator_runs_out_and_the_decision_is_due(
    desk: Desk, engagement_id: str
) -> None:
    miss = MissHold.model_validate(
        {
            "id": "MH1",
            "clause": "8.4",
            "indicator": "win-rate-count",
            "limit": Decimal("0.20"),
            "missed": "below",
            "effect": "block_invoicing",
            "milestone": "M1",
            "share": Fraction(1, 2),
        }
    )
    story, people = await playing(
        desk, engagement_id, contract(hold_clocks=CLOCKS, miss_holds=(miss,))
    )
    await measured(story, "0.15")
    (hold,) = await holds(desk.pool, story.id)
    assert (str(hold.held), hold.reason) == (
        "180000.00",
        f"win-rate-count below 0.20: 0.15 on {story.today().isoformat()}",
    )
    await people.cure_notice("MH1")
    (hold,) = await holds(desk.pool, story.id)
    assert hold.due_at == story.calendar.working_days_after(story.moment, 10)

    await advance(story, story.calendar.working_days_after(story.moment, 11))
    (hold,) = await holds(desk.pool, story.id)
    assert hold.state is HoldState.DECISION_DUE
    await measured(story, "0.30")
    assert await approvals(desk.pool, story.id) == []
    await advance(story, story.calendar.working_days_after(story.moment, 10))
    kinds = [event.type for event in await timeline(desk.pool, story.id)]
    assert [kinds.count(EventType.DECISION_DUE), EventType.ESCALATION_RAISED in kinds] == [1, True]
    wait = await waiting(desk, story.id, "hold.MH1")
    assert wait is not None
    assert (wait.for_whom, wait.overdue) == ("decision", True)
    assert await holds_up(desk, story.id)


async def test_a_missed_indicator_that_is_cured_in_time_is_asked_to_be_released(
    desk: Desk, engagement_id: str
) -> None:
    miss = MissHold.model_validate(
        {
            "id": "MH1",
            "clause": "8.4",
            "indicator": "win-rate-count",
            "limit": Decimal("0.20"),
            "missed": "below",
            "effect": "block_invoicing",
            "milestone": "M1",
            "share": Fraction(1, 2),
        }
    )
    story, people = await playing(
        desk, engagement_id, contract(hold_clocks=CLOCKS, miss_holds=(miss,))
    )
    await measured(story, "0.15")
    await people.cure_notice("MH1")
    await advance(story, story.calendar.working_days_after(story.moment, 9))
    await measured(story, "0.25")
    (request,) = await approvals(desk.pool, story.id)
    assert (request.requested_by, request.decision, str(request.amount)) == (
        "clause:8.4",
        Decision.RELEASE,
        "180000.00",
    )
    await people.sign(request.id.rpartition(".")[2], "gao.feng", "li.wei")
    (hold,) = await holds(desk.pool, story.id)
    assert (hold.state, str(hold.released)) == (HoldState.SETTLED, "180000.00")
    assert await holds_up(desk, story.id)


async def measured(story: Story, value: str) -> None:
    """One reading of the win rate, today."""
    today = story.today()
    reading = AddReading(
        command_id=f"reading-{value}-{today.isoformat()}",
        by="zhao.min",
        at=story.moment,
        indicator="win-rate-count",
        measured_on=today,
        value=Decimal(value),
        sample=1_000,
        source="CRM",
        evidence=f"sha256:{value}",
    )
    await story.desk.add_reading(story.id, reading)


async def test_what_a_verdict_gives_waits_for_two_people_where_no_policy_covers_it(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await playing(desk, engagement_id, contract())
    await story.milestones_delivered()
    started_on = story.today()
    (bet,) = story.contract.bets
    for window in bet.windows:
        ends_on = add_period(started_on, window.after)
        if isinstance(window, SettlementWindow):
            await story.measured(bet, window.settles, started_on, ends_on)
        await advance(story, story.calendar.end_of_day(ends_on))
        if window.id == "W6":
            wait = await waiting(desk, story.id, "bet.B1")
            assert wait is not None
            assert wait.for_whom == "approval"
            (hold,) = await holds(desk.pool, story.id)
            assert (str(hold.released), str(hold.reserved)) == ("0.00", "216000.00")
        # The loss is asked for when the gain is decided.
        for _ in ("release", "forfeit"):
            for request in await approvals(desk.pool, story.id, pending=True):
                await people.sign(request.id.rpartition(".")[2], "gao.feng", "li.wei")
    (hold,) = await holds(desk.pool, story.id)
    assert hold.state is HoldState.SETTLED
    await story.closed()
    assert (await engagement(desk.pool, story.id)).phase == "closed"
    assert await holds_up(desk, story.id)


async def test_a_request_that_nobody_signs_expires_by_the_clock_and_is_asked_again(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await playing(desk, engagement_id, contract())
    await people.place("H1", "M1", "100.00")
    until = (await approval(desk.pool, story.id, "place-H1")).expires_at
    await advance(story, until + timedelta(seconds=1))
    assert (await approval(desk.pool, story.id, "place-H1")).state is RequestState.EXPIRED
    assert await waiting(desk, story.id, "request.place-H1") is None

    await people.ask_again("place-H1", "place-H1-again")
    await people.sign("place-H1-again", "gao.feng", "li.wei")
    (hold,) = await holds(desk.pool, story.id)
    assert str(hold.placed) == "100.00"
    assert await holds_up(desk, story.id)


async def test_a_policy_decides_at_once_and_is_on_record_for_it(
    desk: Desk, engagement_id: str
) -> None:
    base = example("key-account")
    policy = AutomaticPolicy(
        id="AP2",
        clause="8.2",
        decisions=(Decision.PLACE_HOLD, Decision.RELEASE),
        of="M1",
        up_to=parse_amount("100.00", "CNY"),
    )
    approvals_terms = base.approvals.model_copy(update={"automatic": (policy,)})
    story, people = await playing(
        desk, engagement_id, base.model_copy(update={"approvals": approvals_terms})
    )
    await people.place("H1", "M1", "100.00")
    await people.place("H2", "M1", "100.01")
    states = {each.id.rpartition(".")[2]: each for each in await approvals(desk.pool, story.id)}
    assert states["place-H1"].decided_by == "policy:AP2"
    assert states["place-H2"].state is RequestState.PENDING
    await people.release("H1", "100.00", "R1")
    assert (await approval(desk.pool, story.id, "R1")).decided_by == "policy:AP2"
    assert await holds_up(desk, story.id)


async def test_retention_is_released_step_by_step_from_go_live(
    desk: Desk, engagement_id: str
) -> None:
    story, _ = await playing(desk, engagement_id, retained())
    await story.milestones_delivered()
    (kept,) = [hold for hold in await holds(desk.pool, story.id) if hold.kind is HoldKind.RETENTION]
    assert str(kept.held) == "63000.00"
    live_on = story.today()
    steps = {3: "31500.00", 12: "0.00"}
    for months, held in steps.items():
        due = story.calendar.end_of_day(add_period(live_on, Period(months=months)))
        await advance(story, due)
        (kept,) = [
            hold for hold in await holds(desk.pool, story.id) if hold.kind is HoldKind.RETENTION
        ]
        assert str(kept.held) == held
    assert kept.state is HoldState.SETTLED
    assert await holds_up(desk, story.id)


async def test_a_retention_that_was_settled_and_is_refilled_is_released_by_its_next_step(
    desk: Desk, engagement_id: str
) -> None:
    """63,000 retained in all; 45,000 of it decided by people before 18,000 of it was retained."""
    story, people = await settled_by_people(desk, engagement_id)
    await refilled(people, "H1")
    live_on = story.today()
    kept = await retention(desk, story.id)
    assert (kept.state, str(kept.held)) == (HoldState.ACTIVE, "18000.00")
    wait = await waiting(desk, story.id, "hold.RT1")
    assert wait is not None
    # S1 would have released 31,500 by then: people were ahead of it.
    due = story.calendar.end_of_day(add_period(live_on, Period(months=12)))
    assert (wait.for_whom, wait.due_at) == ("calendar", due)

    await advance(story, due)
    kept = await retention(desk, story.id)
    assert (kept.state, str(kept.released)) == (HoldState.SETTLED, "63000.00")
    assert (await approval(desk.pool, story.id, "S2")).decided_by == "clause:5.9(b)"
    assert await waiting(desk, story.id, "hold.RT1") is None
    assert await holds_up(desk, story.id)


async def test_what_is_retained_after_the_last_step_is_released_as_soon(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await settled_by_people(desk, engagement_id, "M1", "M2")
    last = story.calendar.end_of_day(add_period(story.today(), Period(months=12)))
    await advance(story, last + timedelta(days=1))
    for hold, step in (("H1", "S2"), ("H2", "S2-M2")):  # at the same moment
        await refilled(people, hold)
        assert (await retention(desk, story.id)).state is HoldState.SETTLED
        released = await approval(desk.pool, story.id, step)
        assert (released.decided_by, released.requested_at) == ("clause:5.9(b)", story.moment)
    assert str((await retention(desk, story.id)).released) == "63000.00"
    assert await waiting(desk, story.id, "hold.RT1") is None
    assert await holds_up(desk, story.id)


async def test_who_starts_the_process_of_a_hold_from_a_stale_reading_does_no_harm(
    desk: Desk, engagement_id: str
) -> None:
    """The records of its runs are numbered on; a run that began with an old number left none."""
    story, people = await settled_by_people(desk, engagement_id)
    hold = f"eng.{story.id}.hold.RT1"
    async with transaction(desk.pool) as connection:
        setting = await _setting(connection, story.id)
        stale = await connection.fetchrow(
            "select 'hold' as kind, workflow_id as id, $2::timestamptz as now, finished from process "
            "where workflow_id = $1",
            hold,
            story.moment,
        )
    assert stale is not None
    assert stale["finished"]
    await refilled(people, "H1")
    runs = desk.client.get_workflow_handle(hold)
    running = (await runs.describe()).run_id

    await asyncio.gather(
        *(start_missing(desk.client, desk.pool, desk.queue, story.id) for _ in range(3)),
        *(_start(desk.client, desk.queue, stale, setting) for _ in range(3)),
    )
    assert (await runs.describe()).run_id == running

    await people.release("RT1", "18000.00", "R2")
    await people.sign("R2", "gao.feng", "li.wei")
    await runs.result()
    number = "select seq from process where workflow_id = $1 and finished"
    before = await desk.pool.fetchval(number, hold)
    await _start(desk.client, desk.queue, stale, setting)
    await runs.result()
    assert (await runs.describe()).run_id != running
    assert await desk.pool.fetchval(number, hold) == before + 1
    assert await waiting(desk, story.id, "hold.RT1") is None
    assert await start_missing(desk.client, desk.pool, desk.queue, story.id) == []
    assert await holds_up(desk, story.id)


async def settled_by_people(desk: Desk, engagement_id: str, *blocked: str) -> tuple[Story, People]:
    """Live, with a milestone or two still blocked; what the others retain is released by people."""
    story, people = await playing(desk, engagement_id, retained())
    blocked = blocked or ("M1",)
    for number, milestone in enumerate(blocked, start=1):
        amount = str(story.contract.milestone(milestone).amount)
        await people.place(f"H{number}", milestone, amount)
        await people.sign(f"place-H{number}", "gao.feng", "li.wei")
    await story.milestones_delivered()
    kept = await retention(desk, story.id)
    await people.release("RT1", str(kept.held), "R1")
    await people.sign("R1", "gao.feng", "li.wei")
    assert (await retention(desk, story.id)).state is HoldState.SETTLED
    assert await waiting(desk, story.id, "hold.RT1") is None
    return story, people


async def refilled(people: People, hold: str) -> None:
    """A milestone that was blocked is invoiced after all, less what is retained of it."""
    (found,) = [
        each for each in await holds(people.desk.pool, people.story.id) if each.id.endswith(hold)
    ]
    await people.release(hold, str(found.held), f"free-{hold}")
    await people.sign(f"free-{hold}", "gao.feng", "li.wei")


async def retention(desk: Desk, engagement_id: str) -> HoldBalance:
    (kept,) = [
        hold for hold in await holds(desk.pool, engagement_id) if hold.kind is HoldKind.RETENTION
    ]
    return kept


def retained() -> Contract:
    """The example with 5 % of its milestones paid later, in two steps."""
    base = example("key-account")
    return Contract.model_validate(
        base.model_dump(mode="json")
        | {
            "retention": {
                "id": "RT1",
                "clause": "5.9",
                "fee": "project",
                "rate": "5%",
                "base": "net",
                "tax": "release",
                "release": [
                    {"id": "S1", "clause": "5.9(a)", "after": "P3M", "share": "50%"},
                    {"id": "S2", "clause": "5.9(b)", "after": "P12M", "share": "50%"},
                ],
            }
        }
    )
