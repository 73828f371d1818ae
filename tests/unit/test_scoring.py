"""From measurement to attainment to score, exactly and in both directions."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.errors import TermsError
from contracts.formula import Formula
from contracts.scoring import (
    Affine,
    Binary,
    ClampedLinear,
    Curve,
    Logistic,
    PerUnit,
    Scoring,
    Shortfall,
    Steps,
    Table,
    attainment,
    share_won,
)

AnyScoring = (
    Binary | ClampedLinear | Steps | Affine | Curve | Table | Shortfall | PerUnit | Logistic
)
SCORING: TypeAdapter[AnyScoring] = TypeAdapter(Scoring)

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
    assert Binary(kind="binary", at_target="met").score(Fraction(reached)) == score


def test_a_binary_bet_may_ask_for_more_than_the_target():
    strict = Binary(kind="binary", at_target="missed")
    assert strict.score(Fraction(1)) == 0
    assert strict.score(Fraction("1.000001")) == 1


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
        Binary(kind="binary", at_target="met"),
        ClampedLinear(kind="clamped_linear", floor=floor, cap=cap),
    ):
        assert 0 <= scoring.score(low) <= scoring.score(high) <= 1


@given(shares, shares)
def test_the_floor_is_below_the_cap(floor, cap):
    assume(floor >= cap)
    with pytest.raises(ValidationError, match="expected floor < cap"):
        ClampedLinear(kind="clamped_linear", floor=floor, cap=cap)


def test_a_contract_names_the_kind_and_its_numbers():
    binary = SCORING.validate_python({"kind": "binary", "at_target": "met"})
    assert binary == Binary(kind="binary", at_target="met")
    linear = SCORING.validate_python({"kind": "clamped_linear", "floor": "50%", "cap": "9/10"})
    assert linear.words() == "clamp((attainment - 1/2) / (9/10 - 1/2), 0, 1)"
    assert SCORING.validate_json(SCORING.dump_json(linear)) == linear
    with pytest.raises(ValidationError):
        SCORING.validate_python({"kind": "python", "code": "1"})


def scored(scoring: Mapping[str, object], *at: str) -> list[Fraction | None]:
    """The exact scores at some values."""
    kind = SCORING.validate_python(scoring)
    return [kind.score(Fraction(x)) for x in at]


def exact(*numbers: str) -> list[Fraction]:
    return [Fraction(number) for number in numbers]


CREDITS = {
    "kind": "steps",
    "steps": [
        {"at_least": "99.9", "gives": "0"},
        {"at_least": "99", "gives": "10%"},
        {"at_least": "95", "gives": "25%"},
    ],
    "otherwise": "1",
}


def test_each_step_says_on_which_side_its_boundary_lies():
    at = ("100", "99.9", "99.89999", "99", "98.99999", "95", "94.99999")
    assert scored(CREDITS, *at) == exact("0", "0", "0.1", "0.1", "0.25", "0.25", "1")
    strict = {
        "kind": "steps",
        "steps": [{"more_than": "99.9", "gives": "0"}, {"more_than": "99", "gives": "10%"}],
        "otherwise": "25%",
    }
    # On a boundary the lower step counts.
    assert scored(strict, "99.90001", "99.9", "99.00001", "99") == exact("0", "0.1", "0.1", "0.25")


@pytest.mark.parametrize(
    ("range_of_days", "inside"),
    [
        ({"at_least": "10", "at_most": "20"}, ["0", "1", "1", "1", "0"]),
        ({"more_than": "10", "at_most": "20"}, ["0", "0", "1", "1", "0"]),
        ({"at_least": "10", "less_than": "20"}, ["0", "1", "1", "0", "0"]),
        ({"more_than": "10", "less_than": "20"}, ["0", "0", "1", "0", "0"]),
    ],
)
def test_two_comparisons_make_a_range_with_its_own_sides(range_of_days, inside):
    steps = {"kind": "steps", "steps": [{**range_of_days, "gives": "1"}], "otherwise": "0"}
    assert scored(steps, "9.99", "10", "15", "20", "20.01") == exact(*inside)


def test_of_overlapping_steps_the_first_counts():
    steps = [{"at_least": "0", "gives": "1"}, {"at_least": "50", "gives": "2"}]
    table = {"kind": "steps", "steps": steps, "otherwise": "0"}
    assert scored(table, "-0.01", "0", "60") == exact("0", "1", "1")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"gives": "1"}, "found no comparison"),
        ({"at_least": "1", "more_than": "0", "gives": "1"}, "two comparisons on one side"),
        ({"at_most": "1", "less_than": "2", "gives": "1"}, "two comparisons on one side"),
    ],
)
def test_a_step_compares_once_on_each_side(step, message):
    with pytest.raises(ValidationError, match=message):
        scored({"kind": "steps", "steps": [step], "otherwise": "0"}, "1")


def test_a_straight_line_is_rounded_before_it_meets_its_limits():
    line = {
        "kind": "affine",
        "slope": "2.5",
        "offset": "-30",
        "round": {"decimals": "0", "mode": "half_away"},
        "at_least": "-4.5",
        "at_most": "10.5",
    }
    # 2.5 * 10.1 - 30 = -4.75, to -5, not below -4.5; 2.5 * 11 - 30 = -2.5, to -3
    # 2.5 * 16 - 30 = 10; 2.5 * 16.2 - 30 = 10.5, to 11, not above 10.5
    assert scored(line, "10.1", "11", "16", "16.2", "99") == exact(
        "-4.5", "-3", "10", "10.5", "10.5"
    )
    free = {"kind": "affine", "slope": "-1/3"}
    assert scored(free, "1", "-6") == exact("-1/3", "2")  # no offset, no limit, no rounding


CURVE = [{"at": "60", "gives": "0"}, {"at": "80", "gives": "0.5"}, {"at": "100", "gives": "1"}]


def test_a_curve_is_straight_between_its_knots_and_level_beyond_them():
    curve = {"kind": "curve", "knots": [*CURVE[:2], {"at": "90", "gives": "1"}]}
    # (70 - 60) / 20 * 0.5; 0.5 + (82 - 80) / 10 * 0.5
    at = ("0", "59.99", "60", "70", "80", "82", "90", "90.01", "500")
    assert scored(curve, *at) == exact("0", "0", "0", "0.25", "0.5", "0.6", "1", "1", "1")


@pytest.mark.parametrize(("side", "at_the_jump"), [("before", "0.5"), ("after", "0.7")])
def test_a_knot_that_jumps_says_which_value_counts_at_the_jump(side, at_the_jump):
    jump = {"at": "80", "gives": "0.5", "jumps_to": "0.7", "at_the_jump": side}
    curve = {"kind": "curve", "knots": [CURVE[0], jump, CURVE[2]]}
    # 79: 0.5 * 19/20; 81: 0.7 + 0.3 / 20
    assert scored(curve, "79", "80", "81") == exact("0.475", at_the_jump, "0.715")


@pytest.mark.parametrize("side", ["before", "after"])
def test_the_first_and_the_last_knot_may_jump_too(side):
    first = {"at": "60", "gives": "0", "jumps_to": "0.2", "at_the_jump": side}
    last = {"at": "100", "gives": "0.8", "jumps_to": "1", "at_the_jump": side}
    low, high = ("0", "0.8") if side == "before" else ("0.2", "1")
    # half-way: 0.2 + (0.8 - 0.2) / 2
    assert scored({"kind": "curve", "knots": [first, last]}, "59", "60", "80", "100", "101") == (
        exact("0", low, "0.5", high, "1")
    )


def test_knots_stand_in_order():
    with pytest.raises(TermsError, match="found knots at 100, 80, expected each further"):
        scored({"kind": "curve", "knots": [CURVE[2], CURVE[1]]}, "90")
    with pytest.raises(TermsError, match="found knots at 80, 80"):
        scored({"kind": "curve", "knots": [CURVE[1], CURVE[1]]}, "90")


def test_a_jump_says_both_its_value_and_its_side():
    for half in ({"jumps_to": "1"}, {"at_the_jump": "after"}):
        with pytest.raises(ValidationError, match="expected both"):
            scored({"kind": "curve", "knots": [{**CURVE[0], **half}, CURVE[1]]}, "1")


@pytest.mark.parametrize(
    ("between", "scores"),
    [
        ("row_below", ["0", "0.02", "0.02", "0.04", "0.1", "0.1"]),
        ("row_above", ["0", "0.02", "0.04", "0.04", "0.1", "0.1"]),
        # 12 is two fifths of the way from 10 to 15: 2% + 2/5 * 2%
        ("straight_line", ["0", "0.02", "0.028", "0.04", "0.1", "0.1"]),
    ],
)
def test_a_table_says_what_counts_between_two_rows(between, scores):
    rows = [
        {"at": "10", "gives": "2%"},
        {"at": "15", "gives": "4%"},
        {"at": "30", "gives": "10%"},
    ]
    table = {"kind": "table", "rows": rows, "between": between, "before": "0"}
    assert scored(table, "9.99", "10", "12", "15", "30", "45") == exact(*scores)


@pytest.mark.parametrize(
    ("better", "scores"),
    # target 98: a success rate of 75 misses 23 points; 120 days miss 22 where less is better
    [("higher", ["23", "0", "0"]), ("lower", ["0", "0", "22"])],
)
def test_a_shortfall_is_told_in_the_unit_of_the_measure(better, scores):
    shortfall = {"kind": "shortfall", "target": "98", "better": better}
    assert scored(shortfall, "75", "98", "120") == exact(*scores)


@pytest.mark.parametrize(
    ("counted", "scores"),
    [
        ("full_units", ["0", "0", "0", "50", "50"]),
        ("started_units", ["0", "50", "50", "50", "100"]),
        ("pro_rata", ["0", "5", "35", "50", "55"]),  # 50 for a week of 10 days
    ],
)
def test_units_beyond_a_start_count_full_started_or_pro_rata(counted, scores):
    late = {
        "kind": "per_unit",
        "start": "30",
        "direction": "above",
        "unit_size": "10",
        "counted": counted,
        "gives": "50",
    }
    assert scored(late, "30", "31", "37", "40", "41") == exact(*scores)
    early = {**late, "direction": "below"}
    assert scored(early, "30", "29", "23", "20", "19") == exact(*scores)
    assert scored(late, "0") == scored(early, "60") == [0]


def test_units_stop_at_their_limit():
    late = {
        "kind": "per_unit",
        "start": "0",
        "direction": "above",
        "unit_size": "1",
        "counted": "pro_rata",
        "gives": "0.1%",
        "at_most": "10%",
    }
    assert scored(late, "45", "100", "120") == exact("0.045", "0.1", "0.1")


def test_units_have_a_size_above_zero():
    unit = {"kind": "per_unit", "start": "0", "direction": "above", "unit_size": "0"}
    with pytest.raises(TermsError, match="units of size 0, expected a size above 0"):
        scored({**unit, "counted": "full_units", "gives": "1"}, "5")


def test_a_logistic_score_has_as_many_decimals_as_stated():
    curve = {"kind": "logistic", "midpoint": "0.5", "steepness": "10", "decimals": "6"}
    # 1 / (1 + e^5) = 0.0066928..., 1 / (1 + e^-5) = 0.9933071...
    assert scored(curve, "0", "0.5", "1") == exact("0.006693", "0.5", "0.993307")
    # 1 / (1 + e^-1) = 0.731058578630004879251159241821836...
    fine = {"kind": "logistic", "midpoint": "0", "steepness": "1", "decimals": "30"}
    assert scored(fine, "1") == exact("0.731058578630004879251159241822")


def test_a_logistic_score_far_out_is_0_or_1():
    curve = {"kind": "logistic", "midpoint": "0", "steepness": "1", "decimals": "2"}
    assert scored(curve, "-1000000", "1000000", "-1000", "1000") == exact("0", "1", "0", "1")


@given(st.fractions(-20, 20, max_denominator=1000), st.fractions(-20, 20, max_denominator=1000))
def test_a_logistic_score_never_falls(one, other):
    curve = SCORING.validate_python(
        {"kind": "logistic", "midpoint": "0", "steepness": "2", "decimals": "8"}
    )
    low, high = (curve.score(x) for x in sorted((one, other)))
    assert low is not None
    assert high is not None
    assert 0 <= low <= high <= 1


BY_PARAMETER = [
    {"kind": "steps", "steps": [{"at_least": "p", "gives": "1"}], "otherwise": "0"},
    {"kind": "steps", "steps": [{"at_least": "0", "gives": "p"}], "otherwise": "0"},
    {"kind": "affine", "slope": "p"},
    {"kind": "affine", "slope": "1", "offset": "p"},
    {"kind": "affine", "slope": "1", "at_least": "p"},
    {"kind": "affine", "slope": "1", "at_most": "p"},
    {"kind": "curve", "knots": [{"at": "0", "gives": "0"}, {"at": "p", "gives": "1"}]},
    {
        "kind": "table",
        "rows": [{"at": "p", "gives": "1"}],
        "between": "row_below",
        "before": "0",
    },
    {"kind": "shortfall", "target": "p", "better": "higher"},
    {
        "kind": "per_unit",
        "start": "0",
        "direction": "above",
        "unit_size": "1",
        "counted": "pro_rata",
        "gives": "1",
        "at_most": "p",
    },
    {"kind": "logistic", "midpoint": "p", "steepness": "1", "decimals": "2"},
]


@pytest.mark.parametrize("scoring", BY_PARAMETER, ids=lambda s: str(s["kind"]))
def test_a_score_is_missing_where_one_of_its_own_numbers_is(scoring):
    kind = SCORING.validate_python(scoring)

    def value_of(formula: Formula) -> Fraction | None:
        return None if formula.names else formula.evaluate({})

    def known(formula: Formula) -> Fraction | None:
        return formula.evaluate({"p": 2})

    assert kind.score(Fraction(5), value_of) is None
    assert kind.score(Fraction(5), known) is not None


def test_each_kind_of_scoring_says_itself_in_one_line():
    assert SCORING.validate_python(CREDITS).words() == (
        "0 if x >= 99.9; 10% if x >= 99; 25% if x >= 95; else 1"
    )
    curve = {"kind": "curve", "knots": CURVE[:2]}
    assert SCORING.validate_python(curve).words() == "straight between 60: 0, 80: 0.5"
    shortfall = {"kind": "shortfall", "target": "30", "better": "lower"}
    assert SCORING.validate_python(shortfall).words() == "max(x - 30, 0)"
    for scoring in BY_PARAMETER:
        assert "p" in SCORING.validate_python(scoring).words()


@pytest.mark.parametrize("scoring", BY_PARAMETER, ids=lambda s: str(s["kind"]))
def test_a_scoring_travels_as_json(scoring):
    kind = SCORING.validate_python(scoring)
    assert SCORING.validate_json(SCORING.dump_json(kind)) == kind


def test_a_stake_is_won_in_part_or_in_full_and_no_more_bet_02():
    doubled = SCORING.validate_python({"kind": "affine", "slope": "2", "offset": "-0.5"})
    # 2 * 0.1 - 0.5 is below zero; 2 * 0.5 - 0.5; 2 * 1 - 0.5 is above one
    won = [share_won(doubled, Fraction(x)) for x in ("0.1", "0.5", "1")]
    assert won == exact("0", "0.5", "1")
