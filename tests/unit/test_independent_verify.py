"""The counterparty's arithmetic: against numbers worked out by hand, then against the engine's."""

import ast
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.calendar import BusinessCalendar, Period, add_period
from contracts.commercial import Decision, GainBand, GainShare
from contracts.contract import BetIndicator
from contracts.errors import TermsError
from contracts.fields import Title
from contracts.formula import Formula
from contracts.indicators import catalogue
from contracts.money import Money, allocate, round_half_away
from contracts.outcome.basics import RoundingMode, round_to
from contracts.scoring import Scoring, share_won
from lifecycle import bet
from lifecycle.gain_share import shared
from lifecycle.invoice import Purpose
from lifecycle.ledger import tax_of_part
from lifecycle.tax import Taxed, gross_part, net_part, shares
from tollkeeper.independent import verify

SCORING: TypeAdapter[Any] = TypeAdapter(Scoring)
AMOUNTS = st.integers(-(10**12), 10**12)
WEIGHTS = st.lists(st.fractions(0, 5, max_denominator=50), min_size=1, max_size=7)
NUMBERS = st.decimals(-20, 20, places=2).map(lambda number: f"{number:f}")
ATTAINED = st.fractions(-3, 3, max_denominator=80)


def test_it_imports_nothing_but_the_standard_library_and_cryptography() -> None:
    tree = ast.parse(Path(verify.__file__).read_text(encoding="utf-8"))
    imported = [
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    roots = {name.partition(".")[0] for name in imported}
    assert roots - set(sys.stdlib_module_names) == {"cryptography"}


def test_copied_elsewhere_it_runs_as_a_plain_file(tmp_path: Path) -> None:
    alone = tmp_path / "verify.py"
    alone.write_bytes(Path(verify.__file__).read_bytes())
    (tmp_path / "no.zip").write_bytes(b"not a zip")
    call = [sys.executable, "-I", str(alone), "no.zip"]
    answer = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith("REFUSED  the end record of the zip")


def test_a_file_or_a_key_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    for call in ([str(tmp_path / "none.zip")], [__file__, "--key", "0123"]):
        with pytest.raises(SystemExit) as left:
            verify.main(call)
        assert left.value.code == 2


def test_a_wrong_call_says_what_was_found_and_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = str(tmp_path / "none.zip")
    for call, words in (
        ([none], f"found {none} (No such file or directory), expected a bundle"),
        ([__file__, "--key", "sha256:0123"], "--key: found 'sha256:0123', expected sha256: and 64"),
    ):
        with pytest.raises(SystemExit):
            verify.main(call)
        assert words in capsys.readouterr().err


def test_a_reader_that_has_read_enough_is_no_traceback() -> None:
    program = (
        "import sys\nfrom tollkeeper.independent import verify\n"
        "verify.verify = lambda *_: print('ok' * 1_000_000)\n"
        "sys.exit(verify.main([verify.__file__]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        ran.stdout.close()
        assert ran.stderr.read() == b""
    assert ran.returncode == 1


# By hand.


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1/2", 1), ("-1/2", -1), ("49/100", 0), ("5/2", 3), ("-5/2", -3), ("-249/100", -2), ("7", 7)],
)
def test_half_is_rounded_away_from_zero(value: str, expected: int) -> None:
    assert verify.rounded(Fraction(value)) == expected


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (547, ["3334", "3333", "3333"], [183, 182, 182]),
        (3_000_000, ["1", "1", "1"], [1_000_000] * 3),
        (10_000, ["1", "1", "1"], [3_334, 3_333, 3_333]),
        (-10_000, ["1", "1", "1"], [-3_334, -3_333, -3_333]),
        (3, ["1", "3", "3"], [1, 1, 1]),
        (4, ["1", "3", "3"], [0, 2, 2]),
        (54_000_000, ["2/5", "1/5", "2/5"], [21_600_000, 10_800_000, 21_600_000]),
    ],
)
def test_a_split_by_largest_remainder(total: int, weights: list[str], parts: list[int]) -> None:
    assert verify.split(total, [Fraction(weight) for weight in weights]) == parts


def test_the_tax_of_parts_comes_to_the_tax_of_the_whole() -> None:
    # 334.99 gross of 279.16 net at 20 %, in four credit notes.
    parts, taken, taxes = [6_837, 5_747, 8_496, 6_836], 0, []
    for part in parts:
        taxes.append(verify.part_of_tax(5_583, 27_916, taken, part))
        taken += part
    assert taxes == [1_367, 1_150, 1_699, 1_367]
    assert sum(taxes) == 5_583


def test_tax_of_lines_is_rounded_once_then_spread() -> None:
    # 6 % of 1.00 + 1.00 + 0.25 is 0.135: 0.14, of which the quarter gets what the others leave.
    assert verify.spread([100, 100, 25], Fraction(6, 100)) == [6, 6, 2]
    # 10.00 with 21 % inside.
    assert verify.spread([1_000], 1 / Fraction(121, 100)) == [826]
    # Both signs: 6 % of -0.25 is -0.02 by itself, and of all together 0.11.
    assert verify.spread([200, -25], Fraction(6, 100)) == [13, -2]


def test_parts_of_a_line_end_at_exactly_its_tax() -> None:
    # 334.99 gross of 279.16 net at 20 %, in four parts by gross.
    whole, taken = verify.Taxed(27_916, 5_583), verify.Taxed()
    for gross in (8_204, 6_897, 10_195, 8_203):
        taken += verify.next_by_gross(whole, taken, gross)
    assert taken == whole
    with pytest.raises(ValueError, match="1 minor units taken, where 0 are left"):
        verify.next_by_net(whole, taken, 1)


BY_HAND: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "binary", "at_target": "met"}, "1", "1"),
    ({"kind": "binary", "at_target": "missed"}, "1", "0"),
    ({"kind": "clamped_linear", "floor": "1/2", "cap": "1"}, "5/8", "1/4"),
    ({"kind": "clamped_linear", "floor": "0", "cap": "1"}, "-1/10", "0"),
    (
        {
            "kind": "steps",
            "steps": [{"at_least": "1", "gives": "1"}, {"more_than": "1/2", "gives": "50%"}],
            "otherwise": "0",
        },
        "1/2",
        "0",
    ),
    ({"kind": "affine", "slope": "2", "offset": "-1", "at_least": "0"}, "3/4", "1/2"),
    (
        {
            "kind": "curve",
            "knots": [
                {"at": "0", "gives": "0"},
                {"at": "0.5", "gives": "0.25", "jumps_to": "0.5", "at_the_jump": "after"},
                {"at": "1", "gives": "1"},
            ],
        },
        "3/4",
        "3/4",
    ),
    (
        {
            "kind": "table",
            "rows": [{"at": "0.5", "gives": "0.2"}, {"at": "1", "gives": "1"}],
            "between": "straight_line",
            "before": "0",
        },
        "3/4",
        "3/5",
    ),
    ({"kind": "shortfall", "target": "1", "better": "higher"}, "3/4", "1/4"),
    (
        {
            "kind": "per_unit",
            "start": "0",
            "direction": "above",
            "unit_size": "0.2",
            "counted": "started_units",
            "gives": "0.1",
        },
        "1/2",
        "3/10",
    ),
    ({"kind": "logistic", "midpoint": "0", "steepness": "1", "decimals": 4}, "1", "7311/10000"),
]


@pytest.mark.parametrize(("scoring", "attained", "expected"), BY_HAND)
def test_a_score_worked_out_by_hand(scoring: Any, attained: str, expected: str) -> None:
    assert verify.share_won(scoring, Fraction(attained)) == Fraction(expected)


def test_every_decision_and_purpose_is_known_to_the_verifier() -> None:
    """A new one is refused until the rule is written a second time."""
    posted_later = {"extend", "refund"}
    assert verify.CARRY_OUT.keys() | posted_later == {each.value for each in Decision}
    source = Path(verify.__file__).read_text(encoding="utf-8")
    assert [each.value for each in Purpose if f'"{each.value}"' not in source] == []


def test_every_kind_that_a_bet_can_have_is_recomputed() -> None:
    kinds = SCORING.json_schema()["discriminator"]["mapping"]
    assert set(verify.SCORES) == set(kinds) == {scoring["kind"] for scoring, *_ in BY_HAND}


@pytest.mark.parametrize("text", ["x", "2 ** 3", "(1, 2)", "open(1)", "max", "1 if 2 else 3"])
def test_what_is_no_formula_of_numbers_is_refused(text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        verify.formula(text)


# Against the engine.


@given(st.fractions())
def test_rounding_agrees_with_the_engine(value: Fraction) -> None:
    assert verify.rounded(value) == round_half_away(value)


@given(AMOUNTS, WEIGHTS)
def test_splits_agree_with_the_engine(total: int, weights: list[Fraction]) -> None:
    assume(sum(weights) > 0)
    expected = [part.minor for part in allocate(Money(total, "CNY"), weights)]
    assert verify.split(total, weights) == expected


@given(st.integers(0, 10**9), st.lists(st.integers(1, 10**9), min_size=1, max_size=5))
def test_taxes_of_parts_agree_with_the_engine(tax: int, parts: list[int]) -> None:
    taken, whole = 0, sum(parts)
    for part in parts:
        expected = tax_of_part(*(Money(each, "CNY") for each in (tax, whole, taken, part)))
        assert verify.part_of_tax(tax, whole, taken, part) == expected.minor
        taken += part


@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=6),
    st.fractions(0, 1, max_denominator=200),
)
def test_taxes_of_lines_agree_with_the_engine(parts: list[int], rate: Fraction) -> None:
    expected = [each.minor for each in shares([Money(part, "CNY") for part in parts], rate)]
    assert verify.spread(parts, rate) == expected


@given(
    st.integers(1, 10**9),
    st.fractions(0, 1, max_denominator=100),
    st.lists(st.fractions(0, 1, max_denominator=50), max_size=5),
    st.sampled_from(
        [(net_part, verify.next_by_net, "net"), (gross_part, verify.next_by_gross, "gross")]
    ),
)
def test_parts_of_lines_agree_with_the_engine(
    net: int, rate: Fraction, parts: list[Fraction], way: tuple[Any, Any, str]
) -> None:
    engine, own, given_as = way
    whole = verify.Taxed(net, verify.rounded(net * rate))
    taken = verify.Taxed()
    for part in parts:
        asked = int(getattr(whole - taken, given_as) * part)
        due = own(whole, taken, asked)
        assert engine(money_of(whole), money_of(taken), Money(asked, "CNY")) == money_of(due)
        taken += due


def money_of(part: verify.Taxed) -> Taxed:
    return Taxed(Money(part.net, "CNY"), Money(part.tax, "CNY"))


@given(
    st.integers(-(10**9), 10**9),
    st.integers(0, 10**7),
    st.lists(st.integers(1, 10**7), max_size=3),
    st.lists(st.fractions(0, 1, max_denominator=50), min_size=4, max_size=4),
)
def test_shares_of_a_benefit_agree_with_the_engine(
    benefit: int, dead_band: int, widths: list[int], rates: list[Fraction]
) -> None:
    limits = [dead_band + sum(widths[: i + 1]) for i in range(len(widths))]
    ends = [Money(limit, "CNY") for limit in limits]
    terms = GainShare(
        id="X1",
        clause="9",
        title=Title(en="Gain share"),
        dead_band=Money(dead_band, "CNY") if dead_band else None,
        bands=tuple(
            GainBand(share=rate, up_to=end) for rate, end in zip(rates, [*ends, None], strict=False)
        ),
        pain=rates[-1],
        cap=Money(10**6, "CNY"),
        floor=Money(10**5, "CNY"),
    )
    agreed = terms.model_dump(mode="json")
    found = verify.shared_benefit(CNY, agreed, benefit)
    assert found == shared(terms, Money(benefit, "CNY"))


CNY: Any = SimpleNamespace(minor=lambda text: int(text.removesuffix(" CNY").replace(".", "")))
"""What reading an amount takes of a bundle."""


@given(st.fractions(-50, 50), st.integers(-3, 6), st.sampled_from(RoundingMode))
def test_rounding_to_decimals_agrees_with_the_engine(
    value: Fraction, decimals: int, mode: RoundingMode
) -> None:
    assert verify.at_decimals(value, decimals, mode.value) == round_to(value, decimals, mode)


def kind(name: str, **fields: "st.SearchStrategy[Any]") -> "st.SearchStrategy[dict[str, Any]]":
    return st.fixed_dictionaries({"kind": st.just(name), **fields})


def rising(entry: "st.SearchStrategy[dict[str, Any]]") -> "st.SearchStrategy[list[dict[str, Any]]]":
    entries = st.lists(entry, min_size=2, max_size=5, unique_by=lambda each: Decimal(each["at"]))
    return entries.map(lambda found: sorted(found, key=lambda each: Decimal(each["at"])))


FEW = st.sampled_from(["-1", "0", "0.25", "1/2", "50%", "1", "max(0, 1 - 1/3)", "1.5", "2"])
MAYBE = st.none() | FEW
KNOT = st.fixed_dictionaries({"at": NUMBERS, "gives": FEW})
JUMP = st.fixed_dictionaries(
    {
        "at": NUMBERS,
        "gives": FEW,
        "jumps_to": FEW,
        "at_the_jump": st.sampled_from(["before", "after"]),
    }
)
STEP = st.sampled_from(list(verify.COMPARISONS)).flatmap(
    lambda name: st.fixed_dictionaries({name: FEW, "gives": FEW})
)
SCORINGS = st.one_of(
    kind("binary", at_target=st.sampled_from(["met", "missed"])),
    kind("clamped_linear", floor=st.sampled_from(["0", "1/3"]), cap=st.sampled_from(["50%", "1"])),
    kind("steps", steps=st.lists(STEP, min_size=1, max_size=4), otherwise=FEW),
    kind(
        "affine",
        slope=FEW,
        offset=FEW,
        at_least=MAYBE,
        at_most=MAYBE,
        round=st.none()
        | st.fixed_dictionaries(
            {
                "decimals": st.integers(0, 3),
                "mode": st.sampled_from([m.value for m in RoundingMode]),
            }
        ),
    ),
    kind("curve", knots=rising(KNOT | JUMP)),
    kind(
        "table",
        rows=rising(KNOT),
        between=st.sampled_from(["row_below", "row_above", "straight_line"]),
        before=FEW,
    ),
    kind("shortfall", target=FEW, better=st.sampled_from(["higher", "lower"])),
    kind(
        "per_unit",
        start=FEW,
        direction=st.sampled_from(["above", "below"]),
        unit_size=st.sampled_from(["0.1", "1/3", "2"]),
        counted=st.sampled_from(["full_units", "started_units", "pro_rata"]),
        gives=FEW,
        at_most=MAYBE,
    ),
    kind("logistic", midpoint=FEW, steepness=FEW, decimals=st.integers(1, 12)),
)


@given(SCORINGS, ATTAINED | st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(1)]))
def test_scores_agree_with_the_engine(stated: dict[str, Any], attained: Fraction) -> None:
    try:
        scoring = SCORING.validate_python(stated)
    except ValidationError:
        assume(False)
    kept = SCORING.dump_python(scoring, mode="json")
    assert verify.share_won(kept, attained) == share_won(scoring, attained)


@given(
    st.recursive(
        st.sampled_from(["0", "1", "2.5", "30%", "0.125"]),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({' '.join(t)})"),
            st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(
                lambda t: f"{t[0]}({t[1]}, {t[2]})"
            ),
            st.tuples(st.sampled_from(["abs", "floor", "ceiling", "-"]), inner).map(
                lambda t: f"{t[0]}({t[1]})"
            ),
        ),
        max_leaves=12,
    )
)
def test_formulas_agree_with_the_engine(text: str) -> None:
    try:
        expected = Formula(text).evaluate({})
    except TermsError:
        assume(False)
    assert verify.formula(text) == expected


@given(
    st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    st.builds(Period, st.integers(0, 60), st.integers(0, 400)),
)
def test_days_agree_with_the_engine(start: date, period: Period) -> None:
    assume(period != Period())
    back = Period(-period.months, -period.days)
    assert verify.later(start, str(period)) == add_period(start, period)
    assert verify.later(start, str(period), -1) == add_period(start, back)


NEAR = st.sets(st.dates(date(2025, 1, 1), date(2025, 3, 31)), max_size=20)


@given(
    NEAR,
    NEAR,
    st.lists(st.tuples(NEAR, NEAR, st.integers(2024, 2026)), max_size=2),
    st.integers(0, 90 * 24).map(
        lambda hours: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    ),
    st.integers(0, 40),
)
def test_working_days_agree_with_the_engine(
    off: set[date],
    on: set[date],
    decrees: list[tuple[set[date], set[date], int]],
    start: datetime,
    days: int,
) -> None:
    """A later decree wins."""
    zone = "Asia/Shanghai"
    engine = BusinessCalendar("own", zone, 2025, 2025, tuple(off), tuple(on))
    own = verify.WorkingDays(ZoneInfo(zone), texts(off), texts(on), 2025)
    for working, not_working, last_year in decrees:
        engine = engine.with_days("decree", working, not_working, last_year)
        own = own.decreed(
            {"working": texts(working), "off": texts(not_working), "last_year": last_year}
        )
    due = engine.working_days_after(start, days)
    assert own.after(start, days) == due
    assert own.between(start, due) == engine.working_days_between(start, due)
    assert verify.end_of(start.date(), own.zone) == engine.end_of_day(start.date())


def texts(days: set[date]) -> frozenset[str]:
    return frozenset(day.isoformat() for day in days)


def test_days_of_a_year_that_nobody_has_decreed_are_refused() -> None:
    days = verify.WorkingDays(ZoneInfo("Asia/Shanghai"), frozenset(), frozenset(), 2025)
    with pytest.raises(verify.Differs, match="no working days of 2026"):
        days.after(datetime(2025, 12, 30, tzinfo=UTC), 5)


@given(
    st.sampled_from([("10", "5"), ("5", "10")]),
    st.dictionaries(st.integers(0, 120), st.decimals(0, 15, places=1), max_size=8),
)
def test_trends_agree_with_the_engine(way: tuple[str, str], values: dict[int, Decimal]) -> None:
    baseline, target = way
    terms = BetIndicator.model_validate(
        {
            "indicator": "ka-dso-days",
            "clause": "6.1",
            "weight": "1",
            "baseline": baseline,
            "target": target,
            "scoring": {"kind": "clamped_linear"},
        }
    )
    start = date(2025, 1, 1)
    series = [(start + timedelta(day), Fraction(values[day])) for day in sorted(values)]
    readings = [
        bet.Reading(
            indicator="ka-dso-days",
            measured_on=day,
            value=values[(day - start).days],
            sample=10_000,
            source="ERP",
            evidence="x.csv",
            occurred_at=datetime(2025, 6, 1, tzinfo=UTC),
        )
        for day, _ in series
    ]
    expected = bet.trend(terms, catalogue().indicators["ka-dso-days"], readings)
    assert verify.trend(Fraction(baseline), Fraction(target), series) == expected.value
