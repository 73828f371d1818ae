"""A value bet: what a reading releases and forfeits, which one counts, and what a trend is."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calendar import Period
from contracts.contract import Bet, BetIndicator, Contract
from contracts.money import Money
from contracts.scoring import Binary, ClampedLinear
from lifecycle.bet import (
    IndicatorVerdict,
    Reading,
    Trend,
    assess,
    read_trends,
    reading_for,
    stakes,
    trend,
)
from tests.unit.lifecycle.conftest import (
    BET,
    CATALOGUE,
    CONTRACT,
    amounts,
    cny,
    property_of,
    reading,
    settlement,
    shares,
    travels,
    trend_window,
    unchanged,
)

WIN_RATE, DSO, OUTPUT = "win-rate-count", "ka-dso-days", "ka-average-output"
LIVE_ON = date(2025, 3, 15)
W6_ENDS, W12_ENDS = date(2025, 9, 15), date(2026, 3, 15)


def settled(
    values: dict[str, str], contract: Contract = CONTRACT, bet: Bet = BET
) -> dict[str, IndicatorVerdict]:
    """The verdict on each measured indicator, from the window that settles it."""
    verdicts: dict[str, IndicatorVerdict] = {}
    for window in (settlement("W6"), settlement("W12")):
        settles = tuple(name for name in window.settles if name in values)
        measured = {name: reading(name, W6_ENDS, values[name]) for name in settles}
        measured_only = window.model_copy(update={"settles": settles})
        verdict = assess(contract, bet, measured_only, measured, CATALOGUE)
        verdicts |= {part.indicator: part for part in verdict.indicators}
    return verdicts


def scored(terms: BetIndicator, **changes: object) -> Bet:
    """The example bet, with these terms changed for one of its indicators."""
    changed = terms.model_copy(update=changes)
    indicators = [changed if t.indicator == terms.indicator else t for t in BET.indicators]
    return BET.model_copy(update={"indicators": tuple(indicators)})


# Stakes (BET-02).


def test_the_trailing_30_percent_are_staked_by_weight_bet_02():
    assert CONTRACT.holdback_amount() == cny("540000.00")  # 30 % of 1,800,000.00
    assert stakes(CONTRACT, BET) == {
        WIN_RATE: cny("216000.00"),  # 40 %
        DSO: cny("108000.00"),  # 20 %
        OUTPUT: cny("216000.00"),  # 40 %
    }


def test_the_last_fen_goes_to_the_larger_weight_and_then_to_the_first_r2():
    fees = tuple(
        fee.model_copy(update={"amount": cny("0.03")}) if fee.id == "project" else fee
        for fee in CONTRACT.fees
    )
    contract = CONTRACT.model_copy(update={"fees": fees})

    assert contract.holdback_amount() == cny("0.01")  # 0.009
    assert stakes(contract, BET) == {WIN_RATE: cny("0.01"), DSO: cny("0.00"), OUTPUT: cny("0.00")}


# Scores.


@pytest.mark.parametrize(
    ("value", "released"),
    [
        ("0.20", "0.00"),  # below the baseline of 24 %
        ("0.2799", "0.00"),
        ("0.28", "216000.00"),  # at the target exactly
        ("0.35", "216000.00"),  # beyond it: no bonus
    ],
)
def test_a_binary_bet_pays_all_at_target_and_nothing_before_bet_02(value, released):
    verdict = settled({WIN_RATE: value})[WIN_RATE]
    assert verdict.released == cny(released)
    assert verdict.forfeited == cny("216000.00") - cny(released)


@pytest.mark.parametrize(
    ("value", "released"),
    [
        ("95.00", "0.00"),  # slower than the baseline of 91.25 days
        ("91.25", "0.00"),  # at the baseline
        ("88.75", "27000.00"),  # (88.75 - 91.25) / (81.25 - 91.25) = 1/4 of 108,000.00
        ("86.25", "54000.00"),  # 1/2
        ("81.25", "108000.00"),  # at the target
        ("75.00", "108000.00"),  # beyond it: no bonus
    ],
)
def test_a_linear_bet_on_days_that_fall_pays_for_the_way_covered(value, released):
    verdict = settled({DSO: value})[DSO]
    assert verdict.released == cny(released)
    assert verdict.forfeited == cny("108000.00") - cny(released)


@pytest.mark.parametrize(
    ("value", "released"),
    [
        ("11000000", "0.00"),
        ("11650000", "121500.00"),  # 450,000 / 800,000 = 9/16 of 216,000.00
        ("12000000", "216000.00"),
        ("15000000", "216000.00"),
    ],
)
def test_a_linear_bet_on_output_that_rises_pays_for_the_way_covered(value, released):
    assert settled({OUTPUT: value})[OUTPUT].released == cny(released)


@pytest.mark.parametrize(
    ("value", "released"),
    [
        ("11600000", "0.00"),  # 1/2, at the floor
        ("11800000", "108000.00"),  # (3/4 - 1/2) / (1 - 1/2) = 1/2 of 216,000.00
        ("12000000", "216000.00"),
    ],
)
def test_a_floor_pays_nothing_for_the_first_part_of_the_way(value, released):
    half_way = ClampedLinear(kind="clamped_linear", floor=Fraction(1, 2))
    bet = scored(BET.indicator(OUTPUT), scoring=half_way)
    assert settled({OUTPUT: value}, bet=bet)[OUTPUT].released == cny(released)


def test_half_a_fen_is_rounded_away_from_zero_once_r1():
    """0.0000125 of 10 days is 1/800,000 of 10,800,000 fen: 13.5, rounded to 14."""
    verdict = settled({DSO: "91.2499875"})[DSO]
    assert (verdict.released, verdict.forfeited) == (cny("0.14"), cny("107999.86"))


# A window and its reasons.


def test_a_window_settles_its_own_indicators_and_sums_them():
    measured = {WIN_RATE: reading(WIN_RATE, W6_ENDS, "0.28"), DSO: reading(DSO, W6_ENDS, "88.75")}

    verdict = assess(CONTRACT, BET, settlement("W6"), measured, CATALOGUE)

    assert [part.indicator for part in verdict.indicators] == [WIN_RATE, DSO]
    assert verdict.released == cny("243000.00")  # 216,000.00 + 27,000.00
    assert verdict.forfeited == cny("81000.00")  # 0.00 + 81,000.00
    assert travels(verdict)


def test_a_verdict_quotes_its_clause_its_evidence_and_its_arithmetic():
    explanation = settled({DSO: "88.75"})[DSO].explanation

    assert explanation.amount == cny("27000.00")
    assert (explanation.contract, explanation.clause) == ("KA-2024-017@v1", "6.1(b)")
    assert {i.name: (i.value, i.source, i.evidence) for i in explanation.inputs} == {
        "holdback": ("540000.00", "clause 5.1", None),
        "weight": ("1/5", "clause 6.1(b)", None),
        "baseline": ("91.25", "clause 6.1(b)", None),
        "target": ("81.25", "clause 6.1(b)", None),
        "actual": ("88.75 days", "CRM, 2025-09-15, n=400", "report-2025-09-15"),
    }
    assert [(step.formula, step.exact, step.rounded, step.rule) for step in explanation.steps] == [
        ("stake = holdback * weight", "108000", "108000.00", "R2 largest remainder"),
        ("attainment = (actual - baseline) / (target - baseline)", "1/4", None, None),
        ("score = clamp((attainment - 0) / (1 - 0), 0, 1)", "1/4", None, None),
        ("released = stake * score", "27000", "27000.00", "R1 half away from zero"),
        ("forfeited = stake - released", "81000.00", None, "rest"),
    ]


# The reading that counts: the latest of the last month of the window.


@pytest.mark.parametrize(
    ("started_on", "window_id", "measured_on", "counts"),
    [
        # Live on 15 March, six months: the window ends on 15 September.
        ("2025-03-15", "W6", "2025-08-15", False),  # the last month opens after that day
        ("2025-03-15", "W6", "2025-08-16", True),
        ("2025-03-15", "W6", "2025-09-15", True),
        ("2025-03-15", "W6", "2025-09-16", False),
        ("2025-03-15", "W12", "2026-02-15", False),
        ("2025-03-15", "W12", "2026-02-16", True),
        ("2025-03-15", "W12", "2026-03-15", True),
        # Live on 31 August: there is no 31 February, so it ends on the 28th, or on the 29th.
        ("2025-08-31", "W6", "2026-01-31", False),
        ("2025-08-31", "W6", "2026-02-01", True),
        ("2025-08-31", "W6", "2026-02-28", True),
        ("2025-08-31", "W6", "2026-03-01", False),
        ("2023-08-31", "W6", "2024-02-29", True),
        ("2023-08-31", "W6", "2024-01-31", False),
        # Live on 30 September: it ends on 30 March, and a month before the 31st is 28 February.
        ("2024-09-30", "W6", "2025-02-27", False),
        ("2024-09-30", "W6", "2025-02-28", True),
        ("2024-09-30", "W6", "2025-03-30", True),
    ],
)
def test_only_a_reading_of_the_last_month_of_the_window_counts(
    started_on, window_id, measured_on, counts
):
    of_that_day = reading(WIN_RATE, measured_on, "0.27")
    found = reading_for(
        settlement(window_id),
        date.fromisoformat(started_on),
        CATALOGUE[WIN_RATE],
        [of_that_day],
    )
    assert found == (of_that_day if counts else None)


def test_a_contract_may_give_its_readings_days_instead_of_a_month():
    window = settlement("W6").model_copy(update={"reading_within": Period(days=10)})
    readings = [reading(WIN_RATE, day, "0.27") for day in ("2025-09-05", "2025-09-06")]

    assert reading_for(window, LIVE_ON, CATALOGUE[WIN_RATE], readings[:1]) is None
    assert reading_for(window, LIVE_ON, CATALOGUE[WIN_RATE], readings) == readings[1]


def read(*readings: Reading) -> Reading | None:
    return reading_for(settlement("W6"), LIVE_ON, CATALOGUE[WIN_RATE], readings)


def test_the_latest_reading_of_the_month_counts_also_when_it_is_the_worse_one():
    earlier = reading(WIN_RATE, "2025-08-31", "0.30")
    later = reading(WIN_RATE, "2025-09-14", "0.26")
    assert read(later, earlier) == later


def test_a_reading_below_the_minimum_sample_is_no_reading_sr_sample():
    """The catalogue wants 30 decided opportunities."""
    assert CATALOGUE[WIN_RATE].min_sample == 30
    too_few = reading(WIN_RATE, "2025-09-15", "0.40", sample=29)
    enough = reading(WIN_RATE, "2025-09-01", "0.26", sample=30)

    assert read(too_few) is None
    assert read(too_few, enough) == enough


def test_what_was_not_measured_is_no_reading_and_never_a_miss():
    assert read() is None
    assert read(reading(DSO, "2025-09-15", "80")) is None


# The trend at month three (BET-07).


def series(indicator: str, *values: str) -> list[Reading]:
    """A value every ten days of the window that ends on 15 June."""
    return [
        reading(indicator, LIVE_ON + timedelta(days=10 * n), value)
        for n, value in enumerate(values, start=1)
    ]


def trend_of(indicator: str, *values: str) -> Trend:
    return trend(BET.indicator(indicator), CATALOGUE[indicator], series(indicator, *values))


@pytest.mark.parametrize(
    ("indicator", "values", "expected"),
    [
        # The win rate stood at 24 %; the median of one in three is the last value.
        (WIN_RATE, ("0.25", "0.26", "0.27"), Trend.IMPROVING),
        (WIN_RATE, ("0.23", "0.22", "0.21"), Trend.WORSENING),
        (WIN_RATE, ("0.20", "0.21", "0.22"), Trend.FLAT),  # rises, still below the baseline
        (WIN_RATE, ("0.30", "0.28", "0.26"), Trend.FLAT),  # falls, still above it
        (WIN_RATE, ("0.26", "0.26", "0.26"), Trend.FLAT),
        (WIN_RATE, ("0.22", "0.22", "0.22"), Trend.FLAT),
        (WIN_RATE, ("0.22", "0.23", "0.24"), Trend.FLAT),  # rises to the baseline exactly
        (WIN_RATE, ("0.26", "0.25", "0.24"), Trend.FLAT),  # falls to the baseline exactly
        # Payment took 91.25 days, and is to take fewer.
        (DSO, ("91", "90", "88"), Trend.IMPROVING),
        (DSO, ("92", "93", "95"), Trend.WORSENING),
        (DSO, ("95", "94", "93"), Trend.FLAT),
        (DSO, ("85", "86", "87"), Trend.FLAT),
    ],
)
def test_a_trend_needs_direction_and_level_to_agree_bet_07(indicator, values, expected):
    assert trend_of(indicator, *values) is expected


def test_the_level_is_the_median_of_the_last_third_rounded_up():
    # Of four values two: 0.235 is below 24 %, although the last one alone is above.
    assert trend_of(WIN_RATE, "0.20", "0.21", "0.22", "0.25") is Trend.FLAT
    # Of six values two: 0.2475 is above 24 %, although the last three have 0.235 in their middle.
    rising = ("0.22", "0.22", "0.225", "0.23", "0.235", "0.26")
    assert trend_of(WIN_RATE, *rising) is Trend.IMPROVING


def test_one_outlier_does_not_turn_a_trend():
    """Seven of the ten slopes rise; a least-squares line would fall."""
    spiked = ("0.250", "0.900", "0.251", "0.252", "0.253")
    assert trend_of(WIN_RATE, *spiked) is Trend.IMPROVING


def on_days(*points: tuple[int, str], sample: int = 400) -> Trend:
    """The trend of win rates that were measured so many days after go-live."""
    readings = [
        reading(WIN_RATE, LIVE_ON + timedelta(days=n), value, sample) for n, value in points
    ]
    return trend(BET.indicator(WIN_RATE), CATALOGUE[WIN_RATE], readings)


def test_a_slope_is_change_per_day_and_not_per_reading():
    """The two middle slopes are -0.01 in 37 days and +0.02 in 59; their mean rises.

    Per reading they would be -0.01 / 1 and +0.02 / 3, and fall.
    """
    shown = on_days((1, "0.27"), (3, "0.31"), (40, "0.30"), (60, "0.29"))
    assert shown is Trend.IMPROVING


def test_the_slope_is_the_median_over_every_pair_of_readings():
    """Neighbours apart the two middle slopes fall; with them they are -0.01 / 20 and +0.02 / 30."""
    shown = on_days((10, "0.28"), (20, "0.31"), (30, "0.27"), (40, "0.30"))
    assert shown is Trend.IMPROVING


def test_two_readings_of_one_day_have_no_slope_between_them():
    shown = on_days((10, "0.25"), (20, "0.26"), (20, "0.27"), (30, "0.28"))
    assert shown is Trend.IMPROVING


def test_fewer_than_three_days_show_no_direction():
    assert on_days() is Trend.INSUFFICIENT_DATA
    assert on_days((10, "0.25"), (20, "0.27")) is Trend.INSUFFICIENT_DATA
    assert on_days((10, "0.25"), (20, "0.27"), (20, "0.28")) is Trend.INSUFFICIENT_DATA


@pytest.mark.parametrize(
    ("sample", "shown"), [(29, Trend.INSUFFICIENT_DATA), (30, Trend.IMPROVING)]
)
def test_readings_below_the_minimum_sample_show_no_direction_sr_sample(sample, shown):
    assert on_days((10, "0.25"), (20, "0.26"), (30, "0.27"), sample=sample) is shown


def test_month_three_reads_every_indicator_of_the_bet_over_its_own_window_bet_07():
    """Of 15 March to 15 June: after the first day, and up to the last."""
    readings = [
        reading(WIN_RATE, "2025-03-15", "0.90"),  # go-live itself is before
        reading(WIN_RATE, "2025-03-16", "0.25"),
        reading(WIN_RATE, "2025-05-01", "0.26"),
        reading(WIN_RATE, "2025-06-15", "0.27"),
        reading(WIN_RATE, "2025-06-16", "0.10"),  # the day after is too late
        *series(DSO, "92", "93", "95"),
        *series(OUTPUT, "11500000", "11600000"),
    ]

    assert read_trends(BET, trend_window("W3"), LIVE_ON, readings, CATALOGUE) == {
        WIN_RATE: Trend.IMPROVING,
        DSO: Trend.WORSENING,
        OUTPUT: Trend.INSUFFICIENT_DATA,
    }


# For any fee, rate, weights and readings.

values = st.decimals(min_value=-1000, max_value=1000, places=4)
scorings = st.one_of(
    st.just(Binary(kind="binary", at_target="met")),
    st.tuples(shares, shares)
    .filter(lambda ends: ends[0] != ends[1])
    .map(
        lambda ends: ClampedLinear(kind="clamped_linear", floor=min(ends), cap=max(ends)),
    ),
)
weights = st.lists(st.integers(min_value=1, max_value=1000), min_size=3, max_size=3).map(
    lambda parts: [Fraction(part, sum(parts)) for part in parts]
)
ways = st.tuples(values, values).filter(lambda ends: ends[0] != ends[1])


@st.composite
def agreed(draw: st.DrawFn) -> tuple[Contract, Bet]:
    """A contract like the example, with other money, weights, goals and scorings."""
    fees = tuple(
        fee.model_copy(update={"amount": draw(amounts)}) if fee.id == "project" else fee
        for fee in CONTRACT.fees
    )
    holdback = CONTRACT.holdback.model_copy(update={"rate": draw(shares)})
    indicators = []
    for terms, weight in zip(BET.indicators, draw(weights), strict=True):
        baseline, target = draw(ways)
        changes = {
            "weight": weight,
            "baseline": baseline,
            "target": target,
            "scoring": draw(scorings),
        }
        indicators.append(terms.model_copy(update=changes))
    contract = CONTRACT.model_copy(update={"fees": fees, "holdback": holdback})
    return contract, BET.model_copy(update={"indicators": tuple(indicators)})


@property_of
@given(agreed=agreed(), measured=st.tuples(values, values, values))
def test_no_fen_of_the_stake_is_made_or_lost_inv_06(agreed, measured):
    contract, bet = agreed
    given_values = {
        terms.indicator: f"{value:f}" for terms, value in zip(bet.indicators, measured, strict=True)
    }

    with unchanged(contract, bet):
        verdicts = settled(given_values, contract, bet)

    nothing = Money(0, "CNY")
    for verdict in verdicts.values():
        assert verdict.released + verdict.forfeited == verdict.stake
        assert 0 <= verdict.released.minor <= verdict.stake.minor
    held = contract.holdback_amount()
    assert sum((v.stake for v in verdicts.values()), nothing) == held
    released = sum((v.released for v in verdicts.values()), nothing)
    forfeited = sum((v.forfeited for v in verdicts.values()), nothing)
    fee = contract.fee("project").amount
    assert fee - held + released + forfeited == fee


@property_of
@given(way=ways, scoring=scorings, one=values, other=values)
def test_more_value_never_releases_less(way, scoring, one, other):
    """More is the way from the baseline to the target, up or down."""
    baseline, target = way
    terms = BET.indicator(DSO)
    bet = scored(terms, baseline=baseline, target=target, scoring=scoring)
    less, more = sorted((one, other), reverse=target < baseline)

    def released(value: Decimal) -> int:
        return settled({DSO: f"{value:f}"}, bet=bet)[DSO].released.minor

    assert released(less) <= released(more)
    assert released(target) == cny("108000.00").minor
    assert released(baseline) == 0


daily_readings = st.lists(
    st.builds(
        reading,
        st.sampled_from([WIN_RATE, DSO]),
        st.dates(date(2025, 3, 10), date(2025, 9, 20)),
        st.decimals(min_value=0, max_value=1, places=3).map(str),
        st.sampled_from([10, 400, 400]),
    ),
    max_size=12,
    unique_by=lambda r: (r.indicator, r.measured_on),
)


@property_of
@given(readings=daily_readings, data=st.data())
def test_the_order_in_which_readings_come_in_is_irrelevant(readings, data):
    shuffled = data.draw(st.permutations(readings))
    entry = CATALOGUE[WIN_RATE]

    def found(given_readings: list[Reading]) -> Reading | None:
        return reading_for(settlement("W6"), LIVE_ON, entry, given_readings)

    def trends(given_readings: list[Reading]) -> dict[str, Trend]:
        return read_trends(BET, trend_window("W3"), LIVE_ON, given_readings, CATALOGUE)

    assert found(readings) == found(shuffled)
    assert trends(readings) == trends(shuffled)


@property_of
@given(readings=daily_readings)
def test_the_reading_that_counts_is_one_that_was_made_in_time_and_large_enough(readings):
    in_time = [
        r
        for r in readings
        if r.indicator == WIN_RATE
        and date(2025, 8, 16) <= r.measured_on <= date(2025, 9, 15)
        and r.sample >= 30
    ]
    found = read(*readings)
    assert found in in_time or (found is None and not in_time)
    assert all(found and r.measured_on <= found.measured_on for r in in_time)
