"""A milestone: required evidence, a clock in working days, silence only where agreed."""

from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calendar import BusinessCalendar, country_calendar
from contracts.commands import AcceptMilestone, RejectMilestone, SubmitEvidence
from contracts.errors import CalendarNotCovered, TransitionError
from contracts.events import Event, EventType
from lifecycle.milestone import (
    Acceptance,
    MilestoneState,
    MilestoneWork,
    accept,
    billed,
    clock_ended,
    reject,
    submit,
)
from tests.unit.lifecycle.conftest import (
    CALENDAR,
    CONTRACT,
    beijing,
    plain,
    property_of,
    say,
    travels,
    unchanged,
)

# Clause 4.1 accepts on silence after ten working days; clause 4.4 never does.
M1, M4 = CONTRACT.milestone("M1"), CONTRACT.milestone("M4")
EVIDENCE = {"process-set": "doc-17", "review-minutes": "doc-18", "go-live-protocol": "doc-44"}
SUBMITTED = beijing("2024-09-27 10:00")
DUE = beijing("2024-10-16 23:59:59")
IN_TIME = beijing("2024-10-10 09:00")


def submitted(
    work: MilestoneWork,
    at: datetime = SUBMITTED,
    evidence: dict[str, str] = EVIDENCE,
    calendar: BusinessCalendar = CALENDAR,
) -> tuple[MilestoneWork, list[Event]]:
    return submit(work, say(SubmitEvidence, "sun.hao", at, evidence=evidence), calendar)


def accepted(work: MilestoneWork, at: datetime = IN_TIME) -> tuple[MilestoneWork, list[Event]]:
    return accept(work, say(AcceptMilestone, "wang.fang", at))


def rejected(work: MilestoneWork, at: datetime = IN_TIME) -> tuple[MilestoneWork, list[Event]]:
    return reject(work, say(RejectMilestone, "wang.fang", at, reasons=("level 3 is missing",)))


IN_DELIVERY = MilestoneWork(terms=M1)
IN_ACCEPTANCE = submitted(IN_DELIVERY)[0]
ACCEPTED = accepted(IN_ACCEPTANCE)[0]
BILLED = billed(ACCEPTED)


def test_a_backdated_submission_takes_no_day_from_the_client():
    late = say(SubmitEvidence, "sun.hao", SUBMITTED, evidence=EVIDENCE)
    received = late.model_copy(update={"received_at": beijing("2024-11-01 09:00")})
    work, _ = submit(IN_DELIVERY, received, CALENDAR)
    assert work.submitted_at == SUBMITTED
    assert work.due_at == beijing("2024-11-15 23:59:59")  # ten working days after 1 November


# The acceptance clock. In 2024 the days from Tuesday 1 to Monday 7 October are off; Sunday
# 29 September and Saturday 12 October are worked instead.


@pytest.mark.parametrize(
    ("submitted_at", "days", "accept_by"),
    [
        # Su 29 | Mo 30 | Tu 8, We 9, Th 10, Fr 11, Sa 12 | Mo 14, Tu 15, We 16: the tenth.
        ("2024-09-27 10:00", 10, "2024-10-16"),
        # Tu 8, We 9, Th 10, Fr 11, Sa 12 October: the fifth is the make-up Saturday.
        ("2024-09-30 18:00", 5, "2024-10-12"),
        ("2024-10-03 09:00", 5, "2024-10-12"),  # handed in on the holiday: the same days
        # Mo 14 to Fr 18 October: the make-up day it was handed in on does not count.
        ("2024-10-12 09:00", 5, "2024-10-18"),
        # 28 September 23:59 is a Saturday off: Su 29 | Mo 30 | Tu 8, We 9, Th 10.
        ("2024-09-28 23:59", 5, "2024-10-10"),
        # One minute later it is Sunday the 29th, which no longer counts: Mo 30, Tu 8 to Fr 11.
        ("2024-09-29 00:00", 5, "2024-10-11"),
    ],
)
def test_the_client_has_so_many_chinese_working_days_to_answer(submitted_at, days, accept_by):
    acceptance = M1.acceptance.model_copy(update={"working_days": days})
    work = MilestoneWork(terms=M1.model_copy(update={"acceptance": acceptance}))

    work, (event,) = submitted(work, beijing(submitted_at))

    assert work.due_at == beijing(f"{accept_by} 23:59:59")
    assert event.facts["accept_by"] == f"{accept_by}T15:59:59+00:00"  # Beijing is UTC+8


def test_the_day_of_handing_in_is_the_contracts_own_and_not_the_one_in_london():
    """The evening of the 29th in London is the 30th in Beijing: Tu 8 to Sa 12 October."""
    work, _ = submitted(
        MilestoneWork(terms=M4), datetime.fromisoformat("2024-09-29T16:30:00+00:00")
    )
    assert work.due_at == beijing("2024-10-12 23:59:59")


def test_a_clock_that_would_end_in_an_undecreed_year_is_refused_and_nothing_is_guessed():
    only_2024 = country_calendar("CN", "Asia/Shanghai", 2024, 2024, {})

    with pytest.raises(CalendarNotCovered, match="covers 2024 to 2024; a clock reaches 2025-01-01"):
        submitted(IN_DELIVERY, beijing("2024-12-27 10:00"), calendar=only_2024)


# What may happen in which state.

MOVES = {"submit": submitted, "accept": accepted, "reject": rejected}
POSSIBLE = {
    (MilestoneState.IN_DELIVERY, "submit"): MilestoneState.IN_ACCEPTANCE,
    (MilestoneState.IN_ACCEPTANCE, "accept"): MilestoneState.ACCEPTED,
    (MilestoneState.IN_ACCEPTANCE, "reject"): MilestoneState.IN_DELIVERY,
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("work", [IN_DELIVERY, IN_ACCEPTANCE, ACCEPTED, BILLED])
def test_a_milestone_is_submitted_then_accepted_or_rejected_and_nothing_else(work, move):
    to = POSSIBLE.get((work.state, move))
    if to:
        assert MOVES[move](work, IN_TIME)[0].state is to
    else:
        with pytest.raises(TransitionError, match=rf"milestone M1 is .* to be {move[:5]}"):
            MOVES[move](work, IN_TIME)


def test_the_accepted_amount_is_billed_last():
    assert BILLED == ACCEPTED.model_copy(update={"state": MilestoneState.BILLED})


# Evidence.


@pytest.mark.parametrize(
    ("evidence", "found", "missing"),
    [
        ({}, "none", "process-set, review-minutes"),
        ({"process-set": "doc-17"}, "process-set", "review-minutes"),
        ({"process-set": "doc-17", "review-minutes": ""}, "process-set", "review-minutes"),
        ({"test-report": "doc-9"}, "test-report", "process-set, review-minutes"),
    ],
)
def test_each_piece_of_required_evidence_that_is_missing_is_named(evidence, found, missing):
    message = rf"M1: found evidence {found}, expected also {missing} \(clause 4\.1\)"
    with pytest.raises(TransitionError, match=message):
        submitted(IN_DELIVERY, evidence=evidence)


def test_more_evidence_than_required_is_kept():
    evidence = EVIDENCE | {"film": "doc-99"}
    work, (event,) = submitted(IN_DELIVERY, evidence=evidence)
    assert work.evidence == event.facts["evidence"] == evidence


# The client's answer.


def test_an_acceptance_says_who_when_and_on_which_evidence():
    work, (event,) = accepted(IN_ACCEPTANCE)

    assert work.acceptance == Acceptance(
        by="wang.fang", at=IN_TIME, deemed=False, evidence=EVIDENCE
    )
    assert work.due_at is None
    assert event.facts == {
        "milestone": "M1",
        "deemed": False,
        "title": "Four-level processes approved",
    }


def test_a_rejection_gives_its_reasons_and_stops_the_clock():
    work, (event,) = rejected(IN_ACCEPTANCE)

    assert (work.state, work.due_at) == (MilestoneState.IN_DELIVERY, None)
    assert event.facts == {
        "milestone": "M1",
        "submission": 1,
        "reasons": ["level 3 is missing"],
    }


def test_a_rejected_milestone_is_submitted_again_with_new_evidence_and_a_whole_new_clock():
    work, _ = rejected(IN_ACCEPTANCE)
    better = EVIDENCE | {"process-set": "doc-17-v2"}

    again, (event,) = submitted(work, beijing("2024-10-14 10:00"), better)

    assert event.facts["submission"] == again.submissions == 2
    assert again.evidence == better
    # Tu 15 to Fr 18, Mo 21 to Fr 25, Mo 28 October: the tenth.
    assert again.due_at == beijing("2024-10-28 23:59:59")


def test_nothing_is_answered_before_it_was_submitted():
    too_early = SUBMITTED - timedelta(minutes=1)
    for answered in (accepted, rejected):
        with pytest.raises(TransitionError, match="is in acceptance since 2024-09-27T10:00"):
            answered(IN_ACCEPTANCE, too_early)
        assert answered(IN_ACCEPTANCE, SUBMITTED)


def test_nothing_is_submitted_again_before_it_was_rejected():
    """A submission dated back into the first round would shorten the second clock."""
    work, _ = rejected(IN_ACCEPTANCE)
    with pytest.raises(TransitionError, match="is in delivery since 2024-10-10T09:00"):
        submitted(work, IN_TIME - timedelta(minutes=1))


# Silence.


def test_silence_accepts_at_the_end_of_the_clock_where_the_clause_says_so():
    work, (event,) = clock_ended(IN_ACCEPTANCE)

    assert work.acceptance == Acceptance(by="clause:4.1", at=DUE, deemed=True, evidence=EVIDENCE)
    assert (event.actor, event.command_id, event.occurred_at) == ("clause:4.1", None, DUE)
    assert event.facts["deemed"] is True


def test_silence_accepts_nothing_where_the_clause_does_not_say_so():
    waiting, _ = submitted(MilestoneWork(terms=M4))
    with pytest.raises(TransitionError, match=r"clause 4\.4 has no deemed acceptance"):
        clock_ended(waiting)


def test_the_client_may_answer_up_to_the_last_second_of_the_clock():
    assert accepted(IN_ACCEPTANCE, DUE)[0].state is MilestoneState.ACCEPTED
    assert rejected(IN_ACCEPTANCE, DUE)[0].state is MilestoneState.IN_DELIVERY


def test_what_silence_has_accepted_is_neither_rejected_nor_accepted_at_a_later_date():
    """The end of the clock holds even when an answer overtakes its timer."""
    too_late = DUE + timedelta(seconds=1)
    for answered in (accepted, rejected):
        with pytest.raises(TransitionError, match=r"by clause 4\.1 since 2024-10-16T15:59:59"):
            answered(IN_ACCEPTANCE, too_late)


def test_without_deemed_acceptance_a_late_answer_still_counts():
    waiting, _ = submitted(MilestoneWork(terms=M4))
    assert waiting.due_at
    late = waiting.due_at + timedelta(days=30)
    assert accepted(waiting, late)[0].state is MilestoneState.ACCEPTED
    assert rejected(waiting, late)[0].state is MilestoneState.IN_DELIVERY


# Any order of any commands.


@property_of
@given(
    terms=st.sampled_from([M1, M4]),
    moves=st.lists(
        st.tuples(
            st.sampled_from(["submit", "submit empty", "accept", "reject", "reject", "silence"]),
            st.integers(min_value=-5, max_value=40),
        ),
        max_size=15,
    ),
)
def test_whatever_is_commanded_a_milestone_is_accepted_once_and_on_evidence(terms, moves):
    work = MilestoneWork(terms=terms)
    now = SUBMITTED
    log: list[Event] = []
    for move, days in moves:
        now += timedelta(days=days)
        made: list[Event] = []
        before = work
        with unchanged(before), suppress(TransitionError):
            if move == "submit":
                work, made = submitted(before, now)
            elif move == "submit empty":
                work, made = submitted(before, now, {})
            elif move == "accept":
                work, made = accepted(before, now)
            elif move == "reject":
                work, made = rejected(before, now)
            elif before.due_at:
                work, made = clock_ended(before)
        log += made

        assert plain(made)
        assert (work.due_at is not None) == (work.state is MilestoneState.IN_ACCEPTANCE)
        assert (work.acceptance is not None) == (work.state is MilestoneState.ACCEPTED)
        if work.acceptance:
            assert work.acceptance.evidence.keys() >= set(terms.evidence)
            assert terms.acceptance.deemed or not work.acceptance.deemed
            assert work.submitted_at
            assert work.submitted_at <= work.acceptance.at

    kinds = [event.type for event in log]
    assert travels(work)
    assert kinds.count(EventType.MILESTONE_SUBMITTED) == work.submissions
    assert kinds.count(EventType.MILESTONE_ACCEPTED) == (work.acceptance is not None)
    in_time_order = [event.occurred_at for event in log]
    assert in_time_order == sorted(in_time_order)
