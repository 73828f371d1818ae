"""A hold: what was placed is held, released or forfeited; its states, and its clocks in working days."""

import re
from contextlib import suppress
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commercial import HoldClocks, HoldEffect, HoldKind
from contracts.errors import TermsError, TransitionError
from contracts.money import Money
from lifecycle.hold import (
    OPEN,
    Hold,
    HoldState,
    clock_ended,
    cure_noticed,
    decision_due,
    dispute_closed,
    disputed,
    extended,
    first_clock,
    moved,
    require_open,
)
from tests.unit.lifecycle.conftest import CALENDAR, amounts, beijing, cny, property_of, travels

NONE = Money(0, "CNY")
CLOCKS = HoldClocks(clause="8.3", review=20, cure=10, decision=5, extensions=2)
PLACED = beijing("2024-12-06 10:00")  # a Friday

H1 = Hold(
    id="eng.E7.hold.H1",
    kind=HoldKind.ADMIN_BLOCK,
    effect=HoldEffect.BLOCK_INVOICING,
    clause="8.3",
    fee="project",
    milestone="M1",
    placed=cny("540000.00"),
    placed_tax=NONE,
    decided_tax=NONE,
    released=cny("243000.00"),
    forfeited=cny("81000.00"),
    reserved=cny("16000.00"),
    placed_by="gao.feng, li.wei",
    placed_at=PLACED,
    clocks=CLOCKS,
)


def hold(**other: object) -> Hold:
    return H1.model_copy(update=other)


def end_of(day: str) -> datetime:
    """The last moment of a day where the contract is."""
    return CALENDAR.end_of_day(date.fromisoformat(day))


def says(text: str) -> str:
    return f"^{re.escape(text)}$"


# Amounts.


def test_what_is_neither_released_nor_forfeited_is_held():
    assert H1.held == cny("216000.00")  # 540,000.00 - 243,000.00 - 81,000.00
    assert H1.decided == cny("324000.00")


def test_what_is_asked_for_is_not_free():
    assert H1.free == cny("200000.00")  # 216,000.00 - 16,000.00


@pytest.mark.parametrize("part", ["0.01", "199999.99", "200000.00"])
def test_up_to_what_is_free_may_be_decided(part):
    H1.require(cny(part))


@pytest.mark.parametrize("part", ["200000.01", "216000.00", "0.00", "-0.01"])
def test_nothing_and_more_than_is_free_are_refused(part):
    expected = (
        f"hold eng.E7.hold.H1: found {part} CNY to decide, expected more than 0 and at most "
        "200000.00 of 216000.00 still held (16000.00 of it is asked for)"
    )
    with pytest.raises(TransitionError, match=says(expected)):
        H1.require(cny(part))


def test_where_nothing_is_asked_for_all_that_is_held_is_free():
    hold(reserved=NONE).require(cny("216000.00"))
    with pytest.raises(TransitionError, match=r"at most 216000\.00 of 216000\.00 still held$"):
        hold(reserved=NONE).require(cny("216000.01"))


def test_a_fen_that_is_asked_for_is_told():
    with pytest.raises(TransitionError, match=r"\(0\.01 of it is asked for\)$"):
        hold(reserved=cny("0.01")).require(cny("216000.00"))


def test_another_currency_is_refused():
    with pytest.raises(TermsError, match="CNY and EUR cannot be combined"):
        H1.require(Money(1, "EUR"))


@property_of
@given(placed=amounts, parts=st.lists(st.tuples(st.booleans(), amounts)))
def test_a_hold_is_never_decided_beyond_what_was_placed(placed, parts):
    one = hold(placed=placed, released=NONE, forfeited=NONE, reserved=NONE)
    for won, part in parts:
        with suppress(TransitionError):
            one.require(part)
            bucket = "released" if won else "forfeited"
            one = moved(one.model_copy(update={bucket: getattr(one, bucket) + part}))
        assert one.held + one.released + one.forfeited == placed
        assert 0 <= one.held.minor <= placed.minor
        assert (one.state is HoldState.SETTLED) == (one.held == NONE)


def test_a_hold_travels_between_processes():
    assert travels(H1)


def test_a_hold_is_settled_with_the_last_fen_and_no_clock_runs_any_more():
    waiting = hold(due_at=end_of("2025-01-06"))
    left = moved(waiting.model_copy(update={"released": cny("458999.99")}))
    assert (left.held, left.state, left.due_at) == (
        cny("0.01"),
        HoldState.ACTIVE,
        end_of("2025-01-06"),
    )
    gone = moved(waiting.model_copy(update={"released": cny("459000.00")}))
    assert (gone.held, gone.state, gone.due_at) == (NONE, HoldState.SETTLED, None)
    more = moved(gone.model_copy(update={"placed": cny("540000.01")}))
    assert (more.held, more.state, more.due_at) == (cny("0.01"), HoldState.ACTIVE, None)


# Clocks.


def test_the_first_clock_is_the_review_in_working_days():
    """The 20th after Friday 6 December; 1 January is a holiday."""
    assert first_clock(CLOCKS, PLACED, CALENDAR) == end_of("2025-01-06")


@pytest.mark.parametrize("clocks", [None, HoldClocks(clause="8.3", cure=10)])
def test_without_a_review_a_hold_waits_until_it_is_decided(clocks):
    assert first_clock(clocks, PLACED, CALENDAR) is None


def test_a_cure_notice_gives_the_working_days_of_the_clause():
    curing = cure_noticed(H1, beijing("2024-12-09 09:00"), CALENDAR)
    assert (curing.state, curing.due_at) == (HoldState.CURING, end_of("2024-12-23"))
    assert curing.held == H1.held


@pytest.mark.parametrize("clocks", [None, HoldClocks(clause="8.3", review=20)])
def test_a_clause_without_cure_has_no_cure_notice(clocks):
    expected = "hold eng.E7.hold.H1: its clause 8.3 knows no cure"
    with pytest.raises(TransitionError, match=says(expected)):
        cure_noticed(hold(clocks=clocks), PLACED, CALENDAR)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (HoldState.CURING, "curing"),
        (HoldState.DECISION_DUE, "decision due"),
        (HoldState.SETTLED, "settled"),
        (HoldState.CANCELLED, "cancelled"),
    ],
)
def test_a_cure_notice_is_for_an_active_hold(state, found):
    expected = f"hold eng.E7.hold.H1: found it {found}, expected active to be given a cure notice"
    with pytest.raises(TransitionError, match=says(expected)):
        cure_noticed(hold(state=state), PLACED, CALENDAR)


@pytest.mark.parametrize("state", [HoldState.ACTIVE, HoldState.CURING])
def test_when_its_clock_has_ended_a_hold_is_to_be_decided_within_the_next_one(state):
    """Five working days after 6 January, whenever that is noticed."""
    due = clock_ended(hold(state=state, due_at=end_of("2025-01-06")), CALENDAR)
    assert (due.state, due.due_at) == (HoldState.DECISION_DUE, end_of("2025-01-13"))


def test_a_hold_that_is_to_be_decided_is_not_so_again():
    expected = "hold eng.E7.hold.H1: found it decision due, expected active or curing to be decided"
    with pytest.raises(TransitionError, match=says(expected)):
        clock_ended(hold(state=HoldState.DECISION_DUE, due_at=end_of("2025-01-13")), CALENDAR)


def test_without_clocks_of_its_own_a_hold_is_decided_within_ten_working_days():
    due = decision_due(hold(clocks=None), beijing("2024-12-09 09:00"), CALENDAR)
    assert (due.state, due.due_at) == (HoldState.DECISION_DUE, end_of("2024-12-23"))


def test_more_time_is_another_review_as_often_as_the_clause_allows():
    due = hold(state=HoldState.DECISION_DUE, due_at=end_of("2025-01-13"))
    once = extended(due, beijing("2025-01-07 16:00"), CALENDAR)
    # 26 January is a working Sunday, 28 January to 4 February is new year, 8 February a working Saturday.
    assert (once.state, once.due_at, once.extensions) == (
        HoldState.ACTIVE,
        end_of("2025-02-10"),
        1,
    )
    twice = extended(clock_ended(once, CALENDAR), beijing("2025-02-11 09:00"), CALENDAR)
    assert (twice.state, twice.extensions) == (HoldState.ACTIVE, 2)
    expected = "hold eng.E7.hold.H1: found it extended 2 times, expected at most 2 (clause 8.3)"
    with pytest.raises(TransitionError, match=says(expected)):
        extended(clock_ended(twice, CALENDAR), beijing("2025-03-12 09:00"), CALENDAR)


def test_where_a_clause_has_no_review_more_time_is_another_decision_clock():
    clocks = HoldClocks(clause="8.3", decision=5)
    due = hold(state=HoldState.DECISION_DUE, clocks=clocks)
    assert extended(due, PLACED, CALENDAR).due_at == end_of("2024-12-13")


def test_without_clocks_of_its_own_a_hold_is_extended_once_by_ten_working_days():
    due = hold(state=HoldState.DECISION_DUE, clocks=None)
    assert extended(due, beijing("2024-12-09 09:00"), CALENDAR).due_at == end_of("2024-12-23")
    with pytest.raises(TransitionError, match=r"1 times, expected at most 1 \(clause 8\.3\)$"):
        extended(hold(state=HoldState.DECISION_DUE, clocks=None, extensions=1), PLACED, CALENDAR)


def test_more_time_is_given_when_the_decision_is_due_and_not_before():
    expected = "hold eng.E7.hold.H1: found it active, expected decision due to be extended"
    with pytest.raises(TransitionError, match=says(expected)):
        extended(H1, PLACED, CALENDAR)


# Disputes.

SINCE = beijing("2024-12-16 10:00")
RUNNING = hold(due_at=end_of("2025-01-06"))


def test_a_dispute_stops_the_clock_and_gives_back_the_working_days_that_were_left():
    """Fourteen were left on 16 December; 5 February is the first working day after new year."""
    standing = disputed(RUNNING, SINCE)
    assert (standing.disputed_at, standing.state) == (SINCE, HoldState.ACTIVE)
    going = dispute_closed(standing, beijing("2025-02-05 10:00"), CALENDAR)
    assert (going.disputed_at, going.due_at) == (None, end_of("2025-02-24"))


def test_a_dispute_that_is_closed_at_once_costs_no_time():
    assert dispute_closed(disputed(RUNNING, SINCE), SINCE, CALENDAR) == RUNNING


def test_a_hold_without_a_clock_has_none_after_its_dispute():
    closed = dispute_closed(disputed(H1, SINCE), beijing("2025-02-05 10:00"), CALENDAR)
    assert closed == H1


def test_a_hold_is_disputed_until_the_last_moment_of_its_clock():
    last = end_of("2025-01-06")
    assert disputed(RUNNING, last).disputed_at == last
    late = last + timedelta(seconds=1)
    expected = (
        f"hold eng.E7.hold.H1: its clock ended at {last.isoformat()}, found it disputed at "
        f"{late.isoformat()}"
    )
    with pytest.raises(TransitionError, match=says(expected)):
        disputed(RUNNING, late)


def test_a_hold_is_disputed_once_at_a_time():
    expected = (
        "hold eng.E7.hold.H1: found it disputed since 2024-12-16T10:00:00+08:00, expected it not to "
        "be disputed"
    )
    with pytest.raises(TransitionError, match=says(expected)):
        disputed(disputed(RUNNING, SINCE), SINCE)


@pytest.mark.parametrize("state", [HoldState.SETTLED, HoldState.CANCELLED])
def test_a_hold_that_is_over_is_not_disputed(state):
    expected = (
        f"hold eng.E7.hold.H1: found it {state.value}, expected active or curing or decision due "
        "to be disputed"
    )
    with pytest.raises(TransitionError, match=says(expected)):
        disputed(hold(state=state), SINCE)


@pytest.mark.parametrize("disputed_at", [None, beijing("2024-12-16 10:01")])
def test_a_dispute_is_closed_after_it_was_opened(disputed_at):
    expected = (
        "hold eng.E7.hold.H1: found its dispute closed at 2024-12-16T10:00:00+08:00, expected it "
        "to be open by then"
    )
    with pytest.raises(TransitionError, match=says(expected)):
        dispute_closed(hold(disputed_at=disputed_at), SINCE, CALENDAR)


@pytest.mark.parametrize("state", HoldState)
def test_a_hold_is_open_until_it_is_settled_or_cancelled(state):
    assert (state in OPEN) == (state not in (HoldState.SETTLED, HoldState.CANCELLED))
    if state in OPEN:
        require_open(hold(state=state), "decided")
        return
    with pytest.raises(TransitionError, match=f"found it {state.value}, .* to be decided$"):
        require_open(hold(state=state), "decided")
