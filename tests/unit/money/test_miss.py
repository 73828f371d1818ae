"""A miss: an indicator beyond its limit so often of its last readings, and when that is cured."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commercial import MissHold
from lifecycle.bet import Reading
from lifecycle.miss import cured, is_miss, latest, misses
from tests.unit.lifecycle.conftest import CATALOGUE, property_of, reading

SLA = CATALOGUE["sla-attainment-rate"]
TERMS = MissHold(
    id="MH1",
    clause="7.5",
    indicator="sla-attainment-rate",
    limit=Decimal("0.8"),
    missed="below",
    times=2,
    of=3,
    effect="withhold_payment",
    milestone="M4",
    share=Fraction(3, 10),
)


def month(number: int, value: str, sample: int = 400) -> Reading:
    return reading(SLA.id, f"2026-{number:02}-28", value, sample)


def months(found: list[Reading]) -> list[int]:
    return [each.measured_on.month for each in found]


def year(*values: str) -> list[Reading]:
    return [month(number, value) for number, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("side", "value", "missed"),
    [
        ("below", "0.79", True),
        ("below", "0.8", False),  # the limit itself is met
        ("below", "0.81", False),
        ("above", "0.79", False),
        ("above", "0.8", False),
        ("above", "0.81", True),
    ],
)
def test_a_miss_is_beyond_the_limit_on_the_side_that_the_clause_names(side, value, missed):
    terms = TERMS.model_copy(update={"missed": side})
    assert is_miss(terms, month(1, value)) is missed


@pytest.mark.parametrize(
    ("values", "missed"),
    [
        (["0.7", "0.9", "0.7"], [1, 3]),
        (["0.7", "0.9", "0.9"], []),  # one of three
        (["0.7", "0.7", "0.7"], [1, 2, 3]),
        (["0.7", "0.7", "0.9", "0.9"], []),  # the first is of no account any more
        (["0.9", "0.9", "0.7", "0.7"], [3, 4]),
    ],
)
def test_the_hold_is_placed_for_so_many_misses_of_the_last_readings(values, missed):
    assert months(misses(TERMS, SLA, year(*values))) == missed


def test_what_was_not_measured_is_no_miss():
    """Two readings where the clause looks at three."""
    assert misses(TERMS, SLA, year("0.7", "0.7")) == []


def test_a_reading_of_too_few_cases_is_no_reading():
    enough = [month(3, "0.7", sample=SLA.min_sample), *year("0.7", "0.9")]
    assert months(misses(TERMS, SLA, enough)) == [1, 3]
    few = [month(3, "0.7", sample=SLA.min_sample - 1), *year("0.7", "0.9")]
    assert misses(TERMS, SLA, few) == []


def test_readings_of_another_indicator_are_of_no_account():
    others = [reading("win-rate-count", f"2026-0{number}-01", "0.1") for number in (4, 5, 6)]
    assert months(latest(TERMS, SLA, [*year("0.7", "0.9", "0.9"), *others])) == [1, 2, 3]
    assert latest(TERMS, SLA, others) == []


@property_of
@given(st.permutations(year("0.7", "0.9", "0.7", "0.9", "0.7")))
def test_the_day_of_measuring_counts_and_not_the_day_on_which_a_reading_came_in(readings):
    assert months(latest(TERMS, SLA, readings)) == [3, 4, 5]
    assert months(misses(TERMS, SLA, readings)) == [3, 5]


def test_it_is_cured_by_the_last_reading_alone():
    last = cured(TERMS, SLA, [month(4, "0.8"), *year("0.7", "0.7", "0.7")])
    assert last == month(4, "0.8")
    assert cured(TERMS, SLA, year("0.7", "0.9", "0.79")) is None


def test_nothing_is_cured_where_nothing_was_measured():
    assert cured(TERMS, SLA, []) is None
    assert cured(TERMS, SLA, [month(1, "0.9", sample=SLA.min_sample - 1)]) is None
