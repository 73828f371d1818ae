"""Months, open days, the encoding under the hashes, and what may be reversed."""

from datetime import date, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import TermsError
from lifecycle.books import (
    CORRECTED_BY,
    REVERSIBLE,
    Month,
    encoded,
    link,
    open_day_after,
    why_not_reversible,
)

DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@given(DAYS)
def test_a_month_ends_on_the_day_before_the_next_one_begins(day):
    month = Month.of(day)
    assert month.first_day <= day <= month.last_day
    assert Month.of(month.last_day) == month
    assert (month.last_day + timedelta(days=1)).day == 1
    assert Month.parse(str(month)) == month


@pytest.mark.parametrize("text", ["2025-3", "2025-13", "2025-00", "25-03", "2025-03-01", "", "x"])
def test_what_is_no_month_is_refused_with_an_example(text):
    with pytest.raises(TermsError, match="expected a month such as 2025-03"):
        Month.parse(text)


@pytest.mark.parametrize(
    ("day", "closed_through", "open_day"),
    [
        ("2025-03-31", None, "2025-03-31"),  # nothing is closed
        ("2025-03-31", "2025-02-28", "2025-03-31"),
        ("2025-03-01", "2025-03-31", "2025-04-01"),
        ("2025-03-31", "2025-03-31", "2025-04-01"),
        ("2024-12-30", "2025-03-31", "2025-04-01"),  # all before a closed month is closed
        ("2025-04-01", "2025-03-31", "2025-04-01"),
    ],
)
def test_a_closed_period_moves_a_day_to_the_first_open_one(day, closed_through, open_day):
    closed = None if closed_through is None else date.fromisoformat(closed_through)
    assert open_day_after(date.fromisoformat(day), closed) == date.fromisoformat(open_day)


CONTENT = st.recursive(
    st.none() | st.text(max_size=5) | st.integers(),
    lambda part: st.lists(part, max_size=4),
    max_leaves=8,
)


@given(CONTENT, CONTENT)
def test_two_contents_have_one_encoding_only_when_they_are_the_same(one, other):
    assert (encoded(one) == encoded(other)) == (one == other)


def test_a_separator_inside_a_text_makes_no_difference_disappear():
    """The lesson of chains that join with a bar (money, d 20)."""
    assert encoded(["a|b", "c"]) != encoded(["a", "b|c"])
    assert encoded(["1", "2"]) != encoded(["12", ""])
    assert encoded([1]) != encoded(["1"])
    assert encoded([None]) != encoded([""])
    assert encoded([[], "a"]) != encoded([["a"]])


def test_a_link_covers_the_whole_content_and_the_link_before():
    assert link("", ["a"]) == sha256(b"l2:s0:l1:s1:a").hexdigest()
    assert len({link("", ["a"]), link("", ["b"]), link("x", ["a"])}) == 3


def test_every_event_is_either_reversible_or_says_what_to_do_instead():
    codes = {f"E{number:02}" for number in range(1, 34)} - {"E29"}  # two currencies: not posted
    assert REVERSIBLE.keys() | CORRECTED_BY.keys() == codes
    assert not REVERSIBLE.keys() & CORRECTED_BY.keys()
    assert why_not_reversible("E08") is None
    assert "credit note" in (why_not_reversible("E02") or "")
    assert why_not_reversible("E99")
