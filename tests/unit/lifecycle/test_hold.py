"""A hold: what was placed is held, released or forfeited, to the last minor unit."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import TermsError, TransitionError
from contracts.money import Money
from lifecycle.hold import Hold
from tests.unit.lifecycle.conftest import amounts, cny, property_of

HB1 = Hold(
    id="eng.E7.hold.HB1",
    placed=cny("540000.00"),
    released=cny("243000.00"),
    forfeited=cny("81000.00"),
)


def test_what_is_neither_released_nor_forfeited_is_held():
    assert HB1.held == cny("216000.00")  # 540,000.00 - 243,000.00 - 81,000.00
    assert HB1.decided == cny("324000.00")


@pytest.mark.parametrize("part", ["0.01", "215999.99", "216000.00"])
def test_up_to_what_is_held_may_be_decided(part):
    HB1.require(cny(part))


@pytest.mark.parametrize("part", ["216000.01", "540000.00", "0.00", "-0.01"])
def test_nothing_and_more_than_is_held_are_refused(part):
    with pytest.raises(TransitionError, match=rf"found {part} CNY .* at most 216000\.00 still"):
        HB1.require(cny(part))


def test_another_currency_is_refused():
    with pytest.raises(TermsError, match="CNY and EUR cannot be combined"):
        HB1.require(Money(1, "EUR"))


@property_of
@given(placed=amounts, parts=st.lists(st.tuples(st.booleans(), amounts)))
def test_a_hold_is_never_decided_beyond_what_was_placed(placed, parts):
    nothing = Money(0, "CNY")
    hold = Hold(id="HB1", placed=placed, released=nothing, forfeited=nothing)
    for won, part in parts:
        with suppress(TransitionError):
            hold.require(part)
            bucket = "released" if won else "forfeited"
            hold = hold.model_copy(update={bucket: getattr(hold, bucket) + part})
        assert hold.held + hold.released + hold.forfeited == placed
        assert 0 <= hold.held.minor <= placed.minor
