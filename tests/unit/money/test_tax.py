"""Tax: one rounding for each rate, spread to the fen, given back to exactly zero in whatever parts."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import TransitionError
from contracts.money import Money
from lifecycle.tax import Taxed, gross_part, gross_parts, net_part, nothing, shares, taxed
from tests.unit.lifecycle.conftest import cny, property_of

NONE = nothing("CNY")
signed = st.integers(min_value=-(10**9), max_value=10**9).map(lambda minor: Money(minor, "CNY"))
positive = st.integers(min_value=1, max_value=10**9).map(lambda minor: Money(minor, "CNY"))
rates = st.fractions(min_value=0, max_value=1, max_denominator=1000)


def minor(amounts: list[Money]) -> list[int]:
    return [amount.minor for amount in amounts]


def negated(amounts: list[Money]) -> list[Money]:
    return [Money(-amount.minor, amount.currency) for amount in amounts]


# Net prices.


def test_the_tax_of_the_sum_is_rounded_once_and_spread_by_largest_remainder():
    """0.25 three times at 6 %: 0.045 is 0.05, not three times 0.02."""
    parts = taxed([cny("0.25")] * 3, Fraction(6, 100), "net")
    assert [part.tax for part in parts] == [cny("0.02"), cny("0.02"), cny("0.01")]


def test_lines_of_both_signs_have_a_tax_of_their_own_sign():
    """100.00 more and 99.99 less at 13 %: 0.0013 in all, so 0.00; 13.00 more and 13.00 less."""
    parts = taxed([cny("100.00"), cny("-99.99")], Fraction(13, 100), "net")
    assert [part.tax for part in parts] == [cny("13.00"), cny("-13.00")]


@property_of
@given(nets=st.lists(signed, min_size=1, max_size=8), rate=rates)
def test_the_shares_come_to_the_rounded_whole_each_on_the_side_of_its_part(nets, rate):
    found = shares(nets, rate)
    whole = Money(sum(minor(nets)), "CNY")
    assert sum(minor(found)) == whole.share(rate).minor
    for part, share in zip(nets, found, strict=True):
        assert part.minor * share.minor >= 0
        assert abs(share.minor - part.minor * rate) < 2


@property_of
@given(nets=st.lists(positive, min_size=1, max_size=8), rate=rates)
def test_on_a_document_of_one_sign_each_share_is_within_one_unit(nets, rate):
    found = shares(nets, rate)
    total = sum(minor(found))
    for part, share in zip(nets, found, strict=True):
        assert abs(share.minor - Fraction(total * part.minor, sum(minor(nets)))) < 1


@property_of
@given(nets=st.lists(signed, min_size=1, max_size=8), rate=rates)
def test_a_document_with_every_sign_turned_has_every_tax_turned(nets, rate):
    assert shares(negated(nets), rate) == negated(shares(nets, rate))


@property_of
@given(nets=st.lists(signed, min_size=1, max_size=6), rate=rates, data=st.data())
def test_the_order_of_the_lines_changes_no_line(nets, rate, data):
    order = data.draw(st.permutations(range(len(nets))))
    here = sorted(zip(minor(nets), minor(shares(nets, rate)), strict=True))
    moved = [nets[i] for i in order]
    assert sorted(zip(minor(moved), minor(shares(moved, rate)), strict=True)) == here


# Prices with the tax inside.


def test_a_gross_price_is_the_fixed_point():
    """Odoo PR 135262: 100.00 at 21 % is 82.64 + 17.36, though 21 % of 82.64 are 17.35."""
    (part,) = taxed([cny("100.00")], Fraction(21, 100), "gross")
    assert part == Taxed(cny("82.64"), cny("17.36"))
    assert part.gross == cny("100.00")


@property_of
@given(prices=st.lists(signed, min_size=1, max_size=8), rate=rates)
def test_gross_prices_keep_each_line_and_round_the_net_of_their_sum(prices, rate):
    parts = taxed(prices, rate, "gross")
    assert [part.gross for part in parts] == prices
    whole = Money(sum(minor(prices)), "CNY")
    assert sum(part.net.minor for part in parts) == whole.share(1 / (1 + rate)).minor
    for part in parts:
        assert part.net.minor * part.tax.minor >= 0
        assert abs(part.net.minor) + abs(part.tax.minor) == abs(part.gross.minor)


# Parts that are taken back.


@st.composite
def wholes(draw: st.DrawFn) -> Taxed:
    """A taxed line of either sign, whose tax may be a unit off its rate, as the spread makes it."""
    net, rate = draw(positive), draw(rates)
    tax = max(0, net.share(rate).minor + draw(st.integers(min_value=-1, max_value=1)))
    sign = draw(st.sampled_from([1, -1]))
    return Taxed(Money(sign * net.minor, "CNY"), Money(sign * min(tax, net.minor), "CNY"))


def within(part: Money, whole: Money) -> bool:
    return min(0, whole.minor) <= part.minor <= max(0, whole.minor)


@property_of
@given(whole=wholes(), data=st.data())
def test_taken_back_in_any_parts_net_or_gross_nothing_is_left_and_never_too_much(whole, data):
    """c.5-8"""
    taken, cuts = NONE, data.draw(st.lists(st.fractions(0, 1, max_denominator=50), max_size=6))
    for cut in cuts:
        by = data.draw(st.sampled_from([net_part, gross_part]))
        left = whole.net - taken.net if by is net_part else whole.gross - taken.gross
        part = by(whole, taken, left.share(cut))
        taken = Taxed(taken.net + part.net, taken.tax + part.tax)
        assert within(taken.net, whole.net)
        assert within(taken.tax, whole.tax)
    last = gross_part(whole, taken, whole.gross - taken.gross)
    assert Taxed(taken.net + last.net, taken.tax + last.tax) == whole


@property_of
@given(whole=wholes(), cuts=st.lists(st.fractions(0, 1, max_denominator=50), max_size=6))
def test_the_tax_to_date_depends_on_the_net_to_date_alone_r6(whole, cuts):
    taken = NONE
    for cut in cuts:
        part = net_part(whole, taken, (whole.net - taken.net).share(cut))
        taken = Taxed(taken.net + part.net, taken.tax + part.tax)
    assert taken == net_part(whole, NONE, taken.net)


def test_four_credits_of_the_lago_invoice_come_to_its_tax_r6():
    """279.16 at 20 % is 55.83; each credit by itself would be 55.84."""
    whole, taken, taxes = Taxed(cny("279.16"), cny("55.83")), NONE, []
    for net in ("68.33", "57.50", "85.00", "68.33"):
        part = net_part(whole, taken, cny(net))
        taken = Taxed(taken.net + part.net, taken.tax + part.tax)
        taxes.append(str(part.tax))
    assert taxes == ["13.67", "11.50", "16.99", "13.67"]


@property_of
@given(lines=st.lists(wholes(), min_size=1, max_size=5), data=st.data())
def test_a_part_of_several_lines_comes_from_all_of_them_and_ends_at_zero(lines, data):
    lines = [line for line in lines if line.net.minor > 0] or [Taxed(cny("1.00"), cny("0.06"))]
    taken = [NONE for _ in lines]
    for cut in [*data.draw(st.lists(st.fractions(0, 1, max_denominator=9), max_size=4)), 1]:
        left = sum(
            line.gross.minor - done.gross.minor for line, done in zip(lines, taken, strict=True)
        )
        gross = Money(left, "CNY").share(Fraction(cut))
        parts = gross_parts(lines, taken, gross)
        assert sum(part.gross.minor for part in parts) == gross.minor
        taken = [
            Taxed(done.net + part.net, done.tax + part.tax)
            for done, part in zip(taken, parts, strict=True)
        ]
    assert taken == lines


@pytest.mark.parametrize("asked", ["100.01", "-0.01"])
def test_no_more_is_taken_back_than_is_left(asked):
    whole = Taxed(cny("100.00"), cny("6.00"))
    with pytest.raises(TransitionError, match=r"expected at most the 100\.00 that is left"):
        net_part(whole, NONE, cny(asked))
    with pytest.raises(TransitionError, match=r"expected at most the 106\.00 that is left"):
        gross_part(whole, NONE, cny(asked) + cny("6.00") if asked[0] != "-" else cny(asked))


WHOLE, TAKEN = Taxed(cny("100.00"), cny("6.00")), Taxed(cny("40.00"), cny("2.40"))


def test_no_more_is_taken_back_than_the_parts_before_have_left():
    assert net_part(WHOLE, TAKEN, cny("60.00")) == Taxed(cny("60.00"), cny("3.60"))
    assert gross_part(WHOLE, TAKEN, cny("63.60")) == Taxed(cny("60.00"), cny("3.60"))
    expected = r"^found 60\.01 CNY to be taken back, expected at most the 60\.00 that is left$"
    with pytest.raises(TransitionError, match=expected):
        net_part(WHOLE, TAKEN, cny("60.01"))
    expected = r"^found 63\.61 CNY to be taken back, expected at most the 63\.60 that is left$"
    with pytest.raises(TransitionError, match=expected):
        gross_part(WHOLE, TAKEN, cny("63.61"))


def test_of_what_is_all_taken_back_not_a_fen_is_left():
    assert net_part(WHOLE, WHOLE, cny("0.00")) == NONE
    for fen in (cny("0.01"), cny("-0.01")):
        with pytest.raises(TransitionError, match=r"at most the 0\.00 that is left"):
            net_part(WHOLE, WHOLE, fen)
        with pytest.raises(TransitionError, match=r"at most the 0\.00 that is left"):
            gross_part(WHOLE, WHOLE, fen)


def test_a_part_too_small_for_a_fen_of_tax_has_none():
    """6 % of 0.01 are 0.0006."""
    assert net_part(WHOLE, NONE, cny("0.01")) == Taxed(cny("0.01"), cny("0.00"))
    assert gross_part(WHOLE, NONE, cny("0.01")) == Taxed(cny("0.01"), cny("0.00"))


@pytest.mark.parametrize(
    "whole", [NONE, Taxed(cny("0.00"), cny("0.05")), Taxed(cny("-0.05"), cny("0.05"))]
)
def test_nothing_of_a_line_that_comes_to_nothing_is_nothing(whole):
    assert net_part(whole, NONE, cny("0.00")) == NONE
    assert gross_part(whole, NONE, cny("0.00")) == NONE
