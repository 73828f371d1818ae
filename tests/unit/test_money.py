"""No minor unit is made or lost, and an amount has one spelling."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.errors import Refused, TermsError
from contracts.money import (
    MINOR_DIGITS,
    MINOR_LIMIT,
    Money,
    allocate,
    amounts_in,
    parse_amount,
    round_half_away,
)

MONEY: TypeAdapter[Money] = TypeAdapter(Money)

minors = st.integers(-MINOR_LIMIT + 1, MINOR_LIMIT - 1)
currencies = st.sampled_from(sorted(MINOR_DIGITS))
weights = st.lists(
    st.fractions(0, 1000, max_denominator=1000), min_size=1, max_size=12
).filter(any)  # fmt: skip


def cny(text: str) -> Money:
    return parse_amount(text, "CNY")


def parts(total: str, *shares: str) -> list[str]:
    return [str(part) for part in allocate(cny(total), [Fraction(share) for share in shares])]


@given(minors, weights)
def test_parts_add_up_to_the_total(minor, shares):
    assert sum(part.minor for part in allocate(Money(minor, "CNY"), shares)) == minor


@given(minors, weights)
def test_each_part_is_within_one_minor_unit_of_its_exact_share(minor, shares):
    for part, share in zip(allocate(Money(minor, "CNY"), shares), shares, strict=True):
        assert abs(part.minor - minor * share / sum(shares)) < 1


@given(minors, weights)
def test_a_credit_splits_as_the_mirror_of_its_invoice(minor, shares):
    mirrored = [-part.minor for part in allocate(Money(-minor, "CNY"), shares)]
    assert mirrored == [part.minor for part in allocate(Money(minor, "CNY"), shares)]


@given(minors, weights)
def test_nothing_goes_to_a_weight_of_nothing(minor, shares):
    for part, share in zip(allocate(Money(minor, "CNY"), shares), shares, strict=True):
        assert share or part.minor == 0


@given(minors, weights, st.integers(1, 1000))
def test_only_the_ratio_of_the_weights_counts(minor, shares, factor):
    total = Money(minor, "CNY")
    assert allocate(total, shares) == allocate(total, [share * factor for share in shares])


@pytest.mark.parametrize("shares", [[], [0, 0], [2, -1]])
def test_an_amount_is_split_over_something(shares):
    with pytest.raises(TermsError):
        allocate(cny("1.00"), [Fraction(share) for share in shares])


# How billing systems lost or made a cent, and what it has to be.


def test_a_third_each_of_5_47_loses_no_fen():
    assert parts("5.47", "33.34", "33.33", "33.33") == ["1.83", "1.82", "1.82"]


def test_a_ratio_splits_30000_evenly_where_decimal_shares_do_not():
    assert parts("30000.00", "1", "1", "1") == ["10000.00"] * 3


def test_three_instalments_of_100_are_100():
    assert parts("100.00", "1", "1", "1") == ["33.34", "33.33", "33.33"]


def test_30_percent_first_leaves_the_rest_for_the_second_invoice():
    total = cny("145.05")
    first = total.share(Fraction(30, 100))  # 43.515
    assert (str(first), str(total - first)) == ("43.52", "101.53")


def test_two_halves_of_an_odd_amount_differ_by_one_fen():
    assert parts("12870.59", "1", "1") == ["6435.30", "6435.29"]


def test_gross_is_net_and_tax():
    gross = cny("100.00")
    net = gross.share(Fraction(100, 121))  # 82.6446...
    assert (str(net), str(gross - net)) == ("82.64", "17.36")


def test_a_tie_goes_to_the_larger_weight_then_to_the_earlier():
    assert parts("0.01", "1", "1") == ["0.01", "0.00"]
    assert parts("0.02", "1", "3") == ["0.00", "0.02"]  # 0.5 and 1.5


def test_one_part_may_shrink_as_the_total_grows():
    """The known price of largest remainder (R5): frozen parts are never split again."""
    assert parts("0.03", "1", "3", "3") == ["0.01", "0.01", "0.01"]
    assert parts("0.04", "1", "3", "3") == ["0.00", "0.02", "0.02"]


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6))
def test_the_one_rounding_is_half_away_from_zero(numerator, denominator):
    exact = Fraction(numerator, denominator)
    rounded = round_half_away(exact)
    assert abs(rounded - exact) <= Fraction(1, 2)
    assert rounded == -round_half_away(-exact)


@given(st.decimals(-(10**12), 10**12, allow_nan=False, places=4))
def test_the_rounding_agrees_with_the_decimal_module(value):
    assert round_half_away(Fraction(value)) == int(value.quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.parametrize(
    ("value", "rounded"),
    [("1/2", 1), ("-1/2", -1), ("3/2", 2), ("5/2", 3), ("2.4999", 2), ("0", 0)],
)
def test_half_goes_away_from_zero(value, rounded):
    assert round_half_away(Fraction(value)) == rounded


@given(minors, currencies)
def test_an_amount_survives_its_text(minor, currency):
    money = Money(minor, currency)
    assert parse_amount(str(money), currency) == money


@given(minors, currencies)
def test_an_amount_survives_the_wire(minor, currency):
    money = Money(minor, currency)
    assert MONEY.validate_json(MONEY.dump_json(money)) == money


@given(minors, currencies)
def test_thousands_are_grouped_for_people_only(minor, currency):
    money = Money(minor, currency)
    assert money.grouped().replace(",", "") == str(money)


@pytest.mark.parametrize(
    ("minor", "currency", "text", "grouped"),
    [
        (180000000, "CNY", "1800000.00", "1,800,000.00"),
        (-5, "CNY", "-0.05", "-0.05"),
        (-123450, "CNY", "-1234.50", "-1,234.50"),
        (0, "CNY", "0.00", "0.00"),
        (1234, "JPY", "1234", "1,234"),
        (0, "JPY", "0", "0"),
        (5, "KWD", "0.005", "0.005"),
    ],
)
def test_an_amount_is_written_with_the_decimals_of_its_currency(minor, currency, text, grouped):
    assert str(Money(minor, currency)) == text
    assert Money(minor, currency).grouped() == grouped


def test_decimals_may_be_left_out_but_not_exceeded():
    assert cny("12").minor == 1200
    assert cny("12.5").minor == 1250
    with pytest.raises(Refused, match=r"'12\.345', expected at most 2 decimals for CNY") as refused:
        cny("12.345")
    assert refused.value.rule == "scale"
    with pytest.raises(Refused, match=r"'12\.0', expected at most 0 decimals for JPY"):
        parse_amount("12.0", "JPY")


@pytest.mark.parametrize(
    "text",
    ["", ".", "-", "+5", ".5", "5.", "01", "1_000", "1,000", "1 000", "1e3", "0x10", " 1", "1\n",
     "NaN", "inf", "１２", "١٢", "²", "--1", "-0", "-0.00"],
)  # fmt: skip
def test_an_amount_is_plain_digits(text):
    with pytest.raises(ValueError, match=r"expected a plain amount such as 1000000\.00"):
        cny(text)


@pytest.mark.parametrize(
    "text", ["10000000000000.00", "-10000000000000.00", "99999999999999999", "9" * 5000]
)
def test_an_amount_stays_below_10_to_the_15_minor_units(text):
    with pytest.raises(Refused, match=r"expected an amount below 10\^15 minor units") as refused:
        cny(text)
    assert refused.value.rule == "range"


def test_an_amount_names_its_currency_or_stands_in_a_document_that_does():
    assert MONEY.validate_python("12.50 EUR") == Money(1250, "EUR")
    with amounts_in("CNY"):
        assert MONEY.validate_python("12.50") == Money(1250, "CNY")
        assert MONEY.validate_python("12.50 EUR") == Money(1250, "EUR")
    with pytest.raises(ValidationError, match="expected an amount with its currency"):
        MONEY.validate_python("12.50")


@pytest.mark.parametrize("value", [12.5, 1250, None, True, ["12.50"], "12.50 eur", "12.50 ", "EUR"])
def test_an_amount_is_never_read_from_a_number(value):
    with amounts_in("CNY"), pytest.raises(ValidationError):
        MONEY.validate_python(value)


def test_a_number_that_python_does_not_print_is_refused_in_words():
    with pytest.raises(ValidationError, match="found a number of more than 18 digits"):
        MONEY.validate_python(10**5000)


def test_amounts_of_two_currencies_never_mix():
    with pytest.raises(TermsError, match="amounts in CNY and EUR cannot be combined"):
        Money(1, "CNY") + Money(1, "EUR")
    with pytest.raises(TermsError):
        Money(1, "CNY") - Money(1, "EUR")


@given(minors, st.fractions(0, 1))
def test_a_share_and_its_rest_are_the_whole(minor, rate):
    total = Money(minor, "CNY")
    held = total.share(rate)
    assert (total - held) + held == total
    assert abs(held.minor) <= abs(minor)


# What an amount says of itself, and what is said where it is refused.


def test_an_amount_travels_as_text_with_its_currency():
    kept: TypeAdapter[Money] = TypeAdapter(Money)
    assert kept.dump_python(cny("-1234.50"), mode="json") == "-1234.50 CNY"
    assert kept.validate_python("-1234.50 CNY") == cny("-1234.50")
    assert kept.validate_python(cny("1.00")) == cny("1.00")


def test_an_amount_in_a_schema_is_text_or_a_number_of_plain_digits():
    assert TypeAdapter(Money).json_schema() == {
        "type": ["string", "number"],
        "pattern": r"^(0|[1-9][0-9]*)(\.[0-9]+)?( [A-Z]{3})?$",
        "examples": ["1800000.00"],
    }


def test_a_document_inside_another_has_its_own_currency():
    with amounts_in("CNY"):
        with amounts_in("EUR"):
            assert MONEY.validate_python("1.00") == Money(100, "EUR")
        assert MONEY.validate_python("1.00") == Money(100, "CNY")


def refusal(value: object) -> tuple[str, str | None]:
    """What is said of a value that is no amount, and the rule it breaks."""
    with pytest.raises(ValidationError) as refused:
        MONEY.validate_python(value)
    (error,) = refused.value.errors()
    cause = error["ctx"]["error"]
    return str(cause), cause.rule if isinstance(cause, Refused) else None


@pytest.mark.parametrize(
    ("value", "expected", "rule"),
    [
        ("12.50", "an amount with its currency, such as 12.50 CNY", "currency"),
        ("12.50 XXX", "an amount with its currency, such as 12.50 CNY", "currency"),
        ("12.50 1", "an amount with its currency, such as 12.50 CNY", "invalid_value"),
        ("12.50 CNY ", "an amount with its currency, such as 12.50 CNY", "invalid_value"),
        ("1,0 CNY", "a plain amount such as 1000000.00", None),
        ("1,0 JPY", "a plain amount such as 1000000", None),
        ("1.234 CNY", "at most 2 decimals for CNY", "scale"),
        ("10000000000000.00 CNY", "an amount below 10^15 minor units", "range"),
    ],
)
def test_a_refused_amount_says_what_was_found_and_what_is_expected(value, expected, rule):
    found = value.partition(" ")[0] if rule in (None, "scale", "range") else value
    assert refusal(value) == (f"found {found!r}, expected {expected}", rule)


def test_an_amount_that_is_no_text_says_so():
    assert refusal(12.5) == ("found 12.5, expected a plain amount such as 1000000.00", None)


def test_the_largest_amount_has_one_minor_unit_less_than_the_limit():
    assert cny("9999999999999.99").minor == MINOR_LIMIT - 1
    assert cny("-9999999999999.99").minor == 1 - MINOR_LIMIT


def test_what_cannot_be_combined_or_split_is_said_in_a_whole_sentence():
    with pytest.raises(TermsError, match=r"^amounts in CNY and EUR cannot be combined$"):
        cny("1.00") + Money(1, "EUR")
    expected = r"^an amount can only be split over weights that are not negative, one positive$"
    with pytest.raises(TermsError, match=expected):
        allocate(cny("1.00"), [Fraction(2), Fraction(-1)])


def test_the_opposite_of_an_amount_takes_it_away():
    assert -cny("1.25") == cny("-1.25")
    assert cny("1.25") + -cny("1.25") == cny("0.00")


def test_a_fen_that_cannot_be_split_goes_to_the_larger_weight_then_to_the_earlier():
    assert parts("0.01", "1", "1") == ["0.01", "0.00"]
    assert parts("0.01", "1", "2", "1") == ["0.00", "0.01", "0.00"]
    assert parts("0.05", "1", "3", "1") == ["0.01", "0.03", "0.01"]
    # 0.015 and 0.045: both remainders are a half, and the larger weight has it.
    assert parts("0.06", "1", "3") == ["0.01", "0.05"]
