"""From measurement to attainment to score, exactly and in both directions."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.errors import TermsError
from contracts.scoring import Binary, ClampedLinear, Scoring, attainment

SCORING: TypeAdapter[Binary | ClampedLinear] = TypeAdapter(Scoring)

values = st.decimals(-(10**9), 10**9, allow_nan=False, places=4)
attained = st.fractions(-3, 3)
shares = st.fractions(0, 1)


@pytest.mark.parametrize(
    ("baseline", "target", "actual", "expected"),
    [
        # upwards: win rate 24 % to 28 %
        ("0.24", "0.28", "0.24", "0"),
        ("0.24", "0.28", "0.26", "1/2"),
        ("0.24", "0.28", "0.28", "1"),
        ("0.24", "0.28", "0.30", "3/2"),
        ("0.24", "0.28", "0.23", "-1/4"),
        # downwards: days of sales outstanding 91.25 to 81.25
        ("91.25", "81.25", "91.25", "0"),
        ("91.25", "81.25", "85.25", "3/5"),
        ("91.25", "81.25", "81.25", "1"),
        ("91.25", "81.25", "80.25", "11/10"),
        ("91.25", "81.25", "96.25", "-1/2"),
        # below zero: a net promoter score from -10 to 20
        ("-10", "20", "0", "1/3"),
    ],
)
def test_attainment_runs_from_baseline_to_target(baseline, target, actual, expected):
    found = attainment(Decimal(baseline), Decimal(target), Decimal(actual))
    assert found == Fraction(expected)


@given(values, values, values)
def test_attainment_is_the_same_in_the_mirror(baseline, target, actual):
    assume(baseline != target)
    upwards = attainment(baseline, target, actual)
    assert upwards == attainment(-baseline, -target, -actual)


@given(values, values)
def test_baseline_attains_nothing_and_target_everything(baseline, target):
    assume(baseline != target)
    assert attainment(baseline, target, baseline) == 0
    assert attainment(baseline, target, target) == 1


def test_without_a_way_to_go_nothing_is_attained():
    with pytest.raises(TermsError, match=r"both 0\.24, expected two different values"):
        attainment(Decimal("0.24"), Decimal("0.24"), Decimal("0.30"))


@pytest.mark.parametrize(
    ("reached", "score"), [("0", 0), ("999999/1000000", 0), ("1", 1), ("2", 1), ("-1", 0)]
)
def test_a_binary_bet_pays_all_at_target_and_nothing_before_bet_02(reached, score):
    assert Binary(kind="binary").score(Fraction(reached)) == score


@pytest.mark.parametrize(
    ("floor", "cap", "reached", "score"),
    [
        ("0", "1", "3/5", "3/5"),
        ("0", "1", "-1/2", "0"),  # behind the baseline takes nothing away
        ("0", "1", "11/10", "1"),  # no bonus above the target
        ("1/2", "9/10", "1/2", "0"),
        ("1/2", "9/10", "7/10", "1/2"),
        ("1/2", "9/10", "9/10", "1"),
    ],
)
def test_a_clamped_linear_score_runs_from_floor_to_cap(floor, cap, reached, score):
    scoring = ClampedLinear(kind="clamped_linear", floor=Fraction(floor), cap=Fraction(cap))
    assert scoring.score(Fraction(reached)) == Fraction(score)


@given(attained, attained, shares, shares)
def test_a_score_stays_within_0_and_1_and_never_falls_as_attainment_rises(one, other, floor, cap):
    assume(floor < cap)
    low, high = sorted((one, other))
    for scoring in (
        Binary(kind="binary"),
        ClampedLinear(kind="clamped_linear", floor=floor, cap=cap),
    ):
        assert 0 <= scoring.score(low) <= scoring.score(high) <= 1


@given(shares, shares)
def test_the_floor_is_below_the_cap(floor, cap):
    assume(floor >= cap)
    with pytest.raises(ValidationError, match="expected floor < cap"):
        ClampedLinear(kind="clamped_linear", floor=floor, cap=cap)


def test_a_contract_names_the_kind_and_its_numbers():
    assert SCORING.validate_python({"kind": "binary"}) == Binary(kind="binary")
    linear = SCORING.validate_python({"kind": "clamped_linear", "floor": "50%", "cap": "9/10"})
    assert linear.words() == "clamp((attainment - 1/2) / (9/10 - 1/2), 0, 1)"
    assert SCORING.validate_json(SCORING.dump_json(linear)) == linear
    with pytest.raises(ValidationError):
        SCORING.validate_python({"kind": "python", "code": "1"})
