"""Micro-consulting: steps in order, three clocks that never mix, a gate that never guesses."""

from contextlib import suppress
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.commands import CompleteStep, Decide, Outcome
from contracts.contract import Role
from contracts.errors import TransitionError
from contracts.events import Event, EventType
from contracts.step_plan import Lead, Mode, StepPlan, standard_plan
from lifecycle.micro_consulting import (
    SIGNATORIES,
    Clocks,
    MicroWork,
    clocks,
    complete_step,
    decide,
    gate_reopened,
)
from tests.unit.lifecycle.conftest import (
    PLAN,
    beijing,
    plain,
    property_of,
    say,
    travels,
    unchanged,
)

BUSINESS, IT = SIGNATORIES
NAMES = {BUSINESS: "li.wei", IT: "zhao.min"}
IDS = [step.id for step in PLAN.steps]
START = beijing("2024-09-02 09:00")
GATE = beijing("2024-09-23 09:00")


def done(
    work: MicroWork, step: str, at: datetime, minutes: int = 0
) -> tuple[MicroWork, list[Event]]:
    return complete_step(work, say(CompleteStep, "chen.yu", at, step=step, minutes=minutes))


def signed(
    work: MicroWork, role: Role, outcome: Outcome, at: datetime = GATE
) -> tuple[MicroWork, list[Event]]:
    by = NAMES.get(role, "somebody")
    return decide(work, say(Decide, by, at, role=role, outcome=outcome, reason="as discussed"))


def both_signed(work: MicroWork, outcome: Outcome, at: datetime = GATE) -> MicroWork:
    for role in SIGNATORIES:
        work, _ = signed(work, role, outcome, at)
    return work


def begun(plan: StepPlan = PLAN) -> MicroWork:
    return MicroWork(plan=plan, started_at=START, step_open_since=START)


def worked(work: MicroWork, steps: int) -> MicroWork:
    """The next steps done as planned, a day each."""
    for _ in range(steps):
        step = work.current()
        assert step
        work, _ = done(work, step.id, work.step_open_since + timedelta(days=1), step.minutes)
    return work


def reworked(work: MicroWork, minutes: tuple[int, ...]) -> MicroWork:
    """The next steps done at one instant, with these minutes of effort."""
    for spent in minutes:
        step = work.current()
        assert step
        work, _ = done(work, step.id, GATE, spent)
    return work


def at_the_gate() -> MicroWork:
    return worked(begun(), len(IDS))


def told(work: MicroWork, *steps: tuple[str, str, int]) -> MicroWork:
    """A story: which step was done when, with how many minutes of effort."""
    for step, at, minutes in steps:
        work, _ = done(work, step, beijing(at), minutes)
    return work


# The plan.


def test_the_key_account_plan_is_960_minutes_online_and_1440_offline_inv_04():
    online = {"S01": 480, "S02": 120, "S04": 120, "S07": 120, "S10": 120}  # 8+2+2+2+2 = 16 h
    offline = {"S06": 720, "S09": 480, "S11": 240}  # 12+8+4 = 24 h
    planned = {step.id: step.minutes for step in PLAN.steps if step.minutes}

    assert planned == online | offline
    assert (PLAN.minutes(Mode.ONLINE), PLAN.minutes(Mode.OFFLINE)) == (960, 1440)
    assert sum(planned.values()) == 2400  # 40 h = 5 days of 8 h


def test_the_client_leads_steps_3_5_and_8_without_consultant_effort_inv_04():
    led = {step.id: step.minutes for step in PLAN.steps if step.lead is Lead.CLIENT}
    assert led == {"S03": 0, "S05": 0, "S08": 0}


def test_the_consultant_works_offline_in_steps_6_9_and_11_err_01():
    """The source prints 6, 8, 11; step 8 is the client's, and 12 + 4 h alone are not 24 h."""
    offline = [
        step.id for step in PLAN.steps if step.lead is Lead.CONSULTANT and step.mode is Mode.OFFLINE
    ]
    assert offline == ["S06", "S09", "S11"]


def test_the_after_sales_plan_is_the_same_steps_with_doubled_effort_mc_12():
    doubled = standard_plan("after-sales")

    assert [step.id for step in doubled.steps] == IDS
    assert [step.minutes for step in doubled.steps] == [2 * step.minutes for step in PLAN.steps]
    assert sum(step.minutes for step in doubled.steps) == 4800  # 80 h


# Steps.


@pytest.mark.parametrize("position", range(len(IDS)), ids=IDS)
def test_only_the_next_step_of_the_plan_can_be_done(position):
    work, current = worked(begun(), position), IDS[position]
    for other in set(IDS) - {current}:
        with pytest.raises(TransitionError, match=f"found step {other}, expected {current}"):
            done(work, other, GATE)
    assert done(work, current, GATE)[0].done[-1].step == current


@pytest.mark.parametrize("step", ["S03", "S05", "S08"])
def test_a_client_step_takes_no_minute_of_consultant_effort_inv_04(step):
    work = worked(begun(), IDS.index(step))

    with pytest.raises(TransitionError, match=r"found 1 minutes .* expected 0 \(INV-04\)"):
        done(work, step, GATE, 1)
    assert done(work, step, GATE, 0)[0].done[-1].minutes == 0


def test_a_step_is_not_done_before_it_opened():
    work = worked(begun(), 1)

    with pytest.raises(TransitionError, match="step S02 opened at 2024-09-03T09:00"):
        done(work, "S02", beijing("2024-09-03 08:59"), 120)
    assert done(work, "S02", beijing("2024-09-03 09:00"), 120)[0].done[-1].step == "S02"


def test_a_step_tells_what_it_took_beside_what_was_planned():
    _, (event,) = done(begun(), "S01", beijing("2024-09-02 18:00"), 500)

    assert event.type is EventType.STEP_COMPLETED
    assert event.facts == {
        "step": "S01",
        "title": "Training",
        "lead": "consultant",
        "minutes": 500,
        "planned": 480,
        "rework": False,
        "evidence": None,
    }


def test_the_last_step_and_no_other_submits_the_final_version():
    work, submitted = begun(), []
    for step in PLAN.steps:
        work, events = done(work, step.id, GATE, step.minutes)
        submitted += [step.id for event in events if event.type is EventType.FINAL_SUBMITTED]
    assert submitted == ["S11"]


def test_after_the_last_step_there_is_nothing_to_do_but_to_decide():
    with pytest.raises(TransitionError, match="every step is done"):
        done(at_the_gate(), "S11", GATE, 60)


# The three clocks (MC-07), worked out by hand.

UP_TO_STEP_8 = (
    ("S01", "2024-09-02 18:00", 480),
    ("S02", "2024-09-03 12:00", 120),
    ("S03", "2024-09-06 12:00", 0),  # client, open since the 3rd: 3 days
    ("S04", "2024-09-06 15:00", 130),  # ten minutes longer than planned
    ("S05", "2024-09-10 15:00", 0),  # client, open since the 6th: 4 days
    ("S06", "2024-09-12 18:00", 700),
    ("S07", "2024-09-13 11:00", 120),
)
TO_THE_END = (
    ("S08", "2024-09-16 11:00", 0),  # client, open since the 13th: 3 days
    ("S09", "2024-09-17 17:00", 500),
    ("S10", "2024-09-18 11:00", 120),
    ("S11", "2024-09-19 09:00", 240),
)


def test_an_open_client_step_waits_up_to_now_and_costs_no_effort_mc_07():
    work = told(begun(), *UP_TO_STEP_8)

    assert clocks(work, beijing("2024-09-14 11:00")) == Clocks(
        online_minutes=850,  # 480 + 120 + 130 + 120
        offline_minutes=700,
        rework_minutes=0,
        client_waiting=timedelta(days=8),  # 3 + 4, and 1 so far
        elapsed=timedelta(days=12, hours=2),  # 2 September 09:00 to 14 September 11:00
    )


def test_an_open_consultant_step_makes_the_client_wait_for_nothing_mc_07():
    work = told(begun(), *UP_TO_STEP_8[:5])

    read = clocks(work, beijing("2024-09-11 15:00"))

    assert read.client_waiting == timedelta(days=7)  # 3 + 4; step 6 is the consultant's
    assert read.elapsed == timedelta(days=9, hours=6)


def test_the_clocks_stand_still_once_the_final_version_is_submitted_mc_07():
    work = told(begun(), *UP_TO_STEP_8, *TO_THE_END)
    read = clocks(work, beijing("2024-09-30 09:00"))

    assert read == Clocks(
        online_minutes=970,  # 850 + 120
        offline_minutes=1440,  # 700 + 500 + 240
        rework_minutes=0,
        client_waiting=timedelta(days=10),  # 3 + 4 + 3
        elapsed=timedelta(days=17),  # 2 September 09:00 to 19 September 09:00
    )
    assert read.effort_minutes == 2410


def test_rework_is_kept_apart_from_the_effort_and_runs_on_the_elapsed_clock_alone_mc_07_q15():
    submitted = told(begun(), *UP_TO_STEP_8, *TO_THE_END)
    again = told(
        both_signed(submitted, Outcome.REWORK_ONCE, beijing("2024-09-24 09:00")),
        ("S09", "2024-09-25 09:00", 300),
        ("S10", "2024-09-26 09:00", 60),
        ("S11", "2024-09-27 09:00", 120),
    )

    assert clocks(again, beijing("2024-09-30 09:00")) == Clocks(
        online_minutes=970,
        offline_minutes=1440,
        rework_minutes=480,  # 300 + 60 + 120
        client_waiting=timedelta(days=10),
        elapsed=timedelta(days=25),  # 2 September 09:00 to 27 September 09:00
    )


def test_the_clocks_of_work_that_has_just_begun_stand_at_zero():
    read = clocks(begun(), START)
    assert (read.effort_minutes, read.client_waiting, read.elapsed) == (0, timedelta(), timedelta())


# The gate (MC-08).


@pytest.mark.parametrize("steps", range(len(IDS)))
def test_nothing_is_signed_before_the_last_step_mc_s12(steps):
    with pytest.raises(TransitionError, match=f"{IDS[steps]} is still open"):
        signed(worked(begun(), steps), BUSINESS, Outcome.PROCEED)


@pytest.mark.parametrize("role", [role for role in Role if role not in SIGNATORIES])
def test_only_business_and_it_sign_at_the_gate_mc_s12(role):
    with pytest.raises(TransitionError, match="expected business_lead and it_lead"):
        signed(at_the_gate(), role, Outcome.PROCEED)


def test_nobody_signs_before_the_gate_is_open_mc_07():
    """A signature dated back would start a rework in the past, and count its waiting twice."""
    opened = at_the_gate().step_open_since

    with pytest.raises(TransitionError, match="the gate opened at 2024-09-13T09:00"):
        signed(at_the_gate(), BUSINESS, Outcome.REWORK_ONCE, opened - timedelta(minutes=1))
    assert signed(at_the_gate(), BUSINESS, Outcome.REWORK_ONCE, opened)


@pytest.mark.parametrize(("role", "outcome"), list(product(SIGNATORIES, Outcome)))
def test_one_signature_alone_decides_nothing_mc_08(role, outcome):
    work, events = signed(at_the_gate(), role, outcome)

    assert work.outcome is None
    assert work.current() is None
    assert work.unsigned() == [other.value for other in SIGNATORIES if other is not role]
    assert [event.type for event in events] == [EventType.DECISION_SIGNED]


@pytest.mark.parametrize(
    ("outcome", "decided"),
    [(Outcome.PROCEED, EventType.PROCEEDED), (Outcome.SHELVE, EventType.SHELVED)],
)
@pytest.mark.parametrize(("first", "second"), [(BUSINESS, IT), (IT, BUSINESS)])
def test_two_equal_signatures_decide_mc_08(first, second, outcome, decided):
    work, _ = signed(at_the_gate(), first, outcome)
    work, events = signed(work, second, outcome)

    assert work.outcome is outcome
    assert work.unsigned() == []
    assert [event.type for event in events] == [EventType.DECISION_SIGNED, decided]


@pytest.mark.parametrize(
    ("business", "it"), [(b, i) for b, i in product(Outcome, repeat=2) if b is not i]
)
def test_two_different_signatures_decide_nothing_and_both_are_asked_again_mc_08(business, it):
    work, _ = signed(at_the_gate(), BUSINESS, business)
    work, events = signed(work, IT, it)

    assert events[-1].type is EventType.DECISION_SPLIT
    assert events[-1].facts == {
        "signatures": {"business_lead": business.value, "it_lead": it.value}
    }
    assert (work.outcome, work.current(), work.reworked) == (None, None, False)
    assert work.unsigned() == ["business_lead", "it_lead"]


def test_a_signature_may_be_changed_until_the_other_is_there():
    work, _ = signed(at_the_gate(), BUSINESS, Outcome.SHELVE)
    work, _ = signed(work, BUSINESS, Outcome.PROCEED)
    work, _ = signed(work, IT, Outcome.PROCEED)
    assert work.outcome is Outcome.PROCEED


def test_what_is_decided_is_not_signed_again():
    with pytest.raises(TransitionError, match="the gate has decided: SHELVE"):
        signed(both_signed(at_the_gate(), Outcome.SHELVE), IT, Outcome.PROCEED)


@pytest.mark.parametrize("days", [5, 10, 3650])
def test_silence_decides_nothing_however_long_it_lasts_mc_08(days):
    """No rule takes the time alone: only the clocks can be read, and they change nothing."""
    work, _ = signed(at_the_gate(), BUSINESS, Outcome.PROCEED)
    with unchanged(work):
        clocks(work, GATE + timedelta(days=days))
    assert (work.outcome, work.unsigned()) == (None, ["it_lead"])


# The one rework (Q15).


def test_a_rework_starts_again_at_step_9_and_leads_back_to_the_gate_q15():
    reworking = both_signed(at_the_gate(), Outcome.REWORK_ONCE)
    step = reworking.current()
    assert step
    assert (step.id, reworking.outcome) == ("S09", None)

    again = reworked(reworking, (300, 60, 120))
    assert [passed.step for passed in again.done if passed.rework] == ["S09", "S10", "S11"]
    assert both_signed(again, Outcome.PROCEED).outcome is Outcome.PROCEED


@pytest.mark.parametrize("minutes", [(480, 0, 0), (300, 60, 120), (0, 0, 480)])
def test_a_rework_may_take_a_fifth_of_the_planned_effort_q15(minutes):
    work = reworked(both_signed(at_the_gate(), Outcome.REWORK_ONCE), minutes)
    assert clocks(work, GATE).rework_minutes == 480  # 20 % of 2,400


@pytest.mark.parametrize("minutes", [(481,), (300, 181), (300, 60, 121)])
def test_a_rework_may_not_take_a_minute_more_q15(minutes):
    with pytest.raises(TransitionError, match=r"found 481 minutes .* at most 480 \(Q15\)"):
        reworked(both_signed(at_the_gate(), Outcome.REWORK_ONCE), minutes)


@pytest.mark.parametrize("role", SIGNATORIES)
def test_there_is_one_rework_and_no_second_mc_08(role):
    again = reworked(both_signed(at_the_gate(), Outcome.REWORK_ONCE), (0, 0, 0))
    with pytest.raises(TransitionError, match="the one rework has been used"):
        signed(again, role, Outcome.REWORK_ONCE)


def test_a_rework_submits_the_final_version_once_more():
    work = reworked(both_signed(at_the_gate(), Outcome.REWORK_ONCE), (0, 0))
    _, events = done(work, "S11", GATE)
    assert [(event.type, event.facts["rework"]) for event in events] == [
        (EventType.STEP_COMPLETED, True),
        (EventType.FINAL_SUBMITTED, True),
    ]


# Shelved, and taken up again.


def test_a_shelved_engagement_can_be_reopened_and_then_proceed_mc_08():
    shelved = both_signed(at_the_gate(), Outcome.SHELVE)
    resumed_at = beijing("2025-01-06 09:00")

    reopened = gate_reopened(shelved, resumed_at)

    assert (reopened.outcome, reopened.done) == (None, shelved.done)
    assert reopened.unsigned() == ["business_lead", "it_lead"]
    assert both_signed(reopened, Outcome.PROCEED, resumed_at).outcome is Outcome.PROCEED


def test_signatures_from_before_the_pause_do_not_count():
    reopened = gate_reopened(both_signed(at_the_gate(), Outcome.SHELVE), GATE)
    work, _ = signed(reopened, IT, Outcome.PROCEED)
    assert work.outcome is None


def test_a_used_rework_stays_used_after_the_pause_mc_08():
    work = reworked(both_signed(at_the_gate(), Outcome.REWORK_ONCE), (0, 0, 0))
    reopened = gate_reopened(both_signed(work, Outcome.SHELVE), GATE)
    with pytest.raises(TransitionError, match="the one rework has been used"):
        signed(reopened, BUSINESS, Outcome.REWORK_ONCE)


def test_an_unused_rework_is_still_there_after_the_pause_mc_08():
    reopened = gate_reopened(both_signed(at_the_gate(), Outcome.SHELVE), GATE)
    step = both_signed(reopened, Outcome.REWORK_ONCE).current()
    assert step
    assert step.id == "S09"


def test_a_gate_is_not_reopened_before_it_was_open():
    with pytest.raises(TransitionError, match="the gate opened at"):
        gate_reopened(both_signed(at_the_gate(), Outcome.SHELVE), START)


# Any order of any commands.

step_moves = st.tuples(
    st.just("step"),
    st.sampled_from(["", "", "", "", "S01", "S09"]),
    st.sampled_from([0, 0, 60, 300]),
)
gate_moves = st.tuples(
    st.just("sign"), st.sampled_from([*SIGNATORIES, Role.EXPERT]), st.sampled_from(Outcome)
)
joint_moves = st.tuples(st.just("both sign"), st.none(), st.sampled_from(Outcome))
pauses = st.tuples(st.just("reopen"), st.none(), st.none())
moves = st.lists(
    st.tuples(
        st.one_of(step_moves, gate_moves, joint_moves, pauses),
        st.integers(min_value=-100, max_value=200),
    ),
    max_size=30,
)


def moved(
    work: MicroWork, move: tuple[str, Any, Any], at: datetime
) -> tuple[MicroWork, list[Event]]:
    match move:
        case "step", wanted, minutes:
            step = work.current()
            return done(work, wanted or (step.id if step else "S01"), at, minutes)
        case "sign", role, outcome:
            return signed(work, role, outcome, at)
        case "both sign", _, outcome:
            work, first = signed(work, BUSINESS, outcome, at)
            work, second = signed(work, IT, outcome, at)
            return work, [*first, *second]
        case _ if work.outcome is Outcome.SHELVE:
            return gate_reopened(work, at), []
    return work, []


@settings(property_of, max_examples=300)
@given(rework_from=st.sampled_from(IDS), steps=st.sampled_from([0, 2, 7, 11, 11, 11]), moves=moves)
def test_whatever_is_commanded_the_clocks_and_the_gate_hold_mc_07_mc_08(rework_from, steps, moves):
    work = worked(begun(PLAN.model_copy(update={"rework_from": rework_from})), steps)
    effort = sum(step.minutes for step in PLAN.steps[:steps])
    rework = 0
    log: list[Event] = []
    latest = now = work.step_open_since
    for move, hours in moves:
        now += timedelta(hours=hours)
        before, made = work, list[Event]()
        with unchanged(before), suppress(TransitionError):
            work, made = moved(before, move, now)
        if work != before:
            latest = max(latest, now)
        for event in made:
            if event.type is EventType.STEP_COMPLETED:
                effort += 0 if before.reworking else event.facts["minutes"]
                rework += event.facts["minutes"] if before.reworking else 0
        log += made

        read = clocks(work, latest)
        assert (read.effort_minutes, read.rework_minutes) == (effort, rework)
        assert rework <= PLAN.rework_minutes
        assert timedelta() <= read.client_waiting <= read.elapsed
        assert before.step_open_since <= work.step_open_since
        assert plain(made)
        if work.outcome:
            assert work.signatures == dict.fromkeys(SIGNATORIES, work.outcome)
        decided = {EventType.PROCEEDED, EventType.SHELVED} & {event.type for event in made}
        assert bool(decided) == (work.outcome is not None and before.outcome is None)

    assert travels(work)
    assert [event.type for event in log].count(EventType.REWORK_ORDERED) == work.reworked
