"""A value bet: stakes by weight, verdicts on readings, the trend (BET-01 to BET-07). Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from statistics import median

from pydantic import BaseModel, ConfigDict

from contracts.calendar import ONE_DAY, Period, add_period
from contracts.contract import Bet, BetIndicator, Contract, SettlementWindow, TrendWindow
from contracts.explanation import Calculation, Explanation, Input
from contracts.indicators import Indicator
from contracts.money import Money, allocate
from contracts.scoring import attainment, share_won

TREND_POINTS = 3
"""Fewest monthly points from which a direction is read."""


class Reading(BaseModel):
    """A measured value of one indicator on one day, with what proves it and when it came in."""

    model_config = ConfigDict(frozen=True)

    indicator: str
    measured_on: date
    value: Decimal
    sample: int
    source: str
    evidence: str
    occurred_at: datetime


class Trend(StrEnum):
    """How the value moves at month three; it moves no money (BET-07)."""

    IMPROVING = "IMPROVING"
    FLAT = "FLAT"
    WORSENING = "WORSENING"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class IndicatorVerdict(BaseModel):
    """One indicator settled. Always: released + forfeited == stake."""

    model_config = ConfigDict(frozen=True)

    indicator: str
    stake: Money
    released: Money
    forfeited: Money
    explanation: Explanation


class Verdict(BaseModel):
    """One window settled: the parts of the holdback that go each way, net, with their reasons."""

    model_config = ConfigDict(frozen=True)

    window: str
    indicators: tuple[IndicatorVerdict, ...]
    released: Money
    forfeited: Money


def stakes(contract: Contract, bet: Bet) -> dict[str, Money]:
    """The holdback split over the bet's indicators by weight, once and for good (R2)."""
    parts = allocate(contract.holdback_amount(), [terms.weight for terms in bet.indicators])
    return {terms.indicator: part for terms, part in zip(bet.indicators, parts, strict=True)}


def reading_for(
    window: SettlementWindow,
    started_on: date,
    indicator: Indicator,
    readings: Sequence[Reading],
) -> Reading | None:
    """The reading that counts for a window: the latest of its last `reading_within`, large enough.

    None is "not measured", never zero: below the minimum sample it is no reading (sr-sample). Of each
    day `readings` holds one, the latest to come in.
    """
    ends_on = add_period(started_on, window.after)
    within = window.reading_within
    # As in every window, the day after its end moves, so that month ends stay month ends.
    opens_on = add_period(ends_on + ONE_DAY, Period(-within.months, -within.days))
    usable = [
        reading
        for reading in readings
        if reading.indicator == indicator.id
        and opens_on <= reading.measured_on <= ends_on
        and reading.sample >= indicator.min_sample
    ]
    return max(usable, key=lambda reading: reading.measured_on, default=None)


def assess(
    contract: Contract,
    bet: Bet,
    window: SettlementWindow,
    measured: Mapping[str, Reading],
    catalogue: Mapping[str, Indicator],
) -> Verdict:
    """Settle a window: score each of its indicators and split its stake, rounding once each.

    Args:
        measured: one reading for every indicator that the window settles.
    """
    parts = stakes(contract, bet)
    verdicts = [
        _indicator_verdict(
            contract, bet.indicator(name), catalogue[name], measured[name], parts[name]
        )
        for name in window.settles
    ]
    nothing = Money(0, contract.currency)
    return Verdict(
        window=window.id,
        indicators=tuple(verdicts),
        released=sum((verdict.released for verdict in verdicts), nothing),
        forfeited=sum((verdict.forfeited for verdict in verdicts), nothing),
    )


def _indicator_verdict(
    contract: Contract, terms: BetIndicator, indicator: Indicator, reading: Reading, stake: Money
) -> IndicatorVerdict:
    attained = attainment(terms.baseline, terms.target, reading.value)
    score = share_won(terms.scoring, attained)
    released = stake.share(score)
    holdback = contract.holdback_amount()
    explanation = Explanation(
        what=f"{indicator.name.en}: stake {stake}, score {score}",
        amount=released,
        contract=contract.reference(),
        clause=terms.clause,
        inputs=(
            Input(
                name="holdback", value=str(holdback), source=f"clause {contract.holdback.clause}"
            ),
            Input(name="weight", value=str(terms.weight), source=f"clause {terms.clause}"),
            Input(name="baseline", value=f"{terms.baseline:f}", source=f"clause {terms.clause}"),
            Input(name="target", value=f"{terms.target:f}", source=f"clause {terms.clause}"),
            reading_input("actual", indicator, reading),
        ),
        steps=(
            Calculation(
                formula="stake = holdback * weight",
                exact=str(holdback.exact * terms.weight),
                rounded=str(stake),
                rule="R2 largest remainder",
            ),
            Calculation(
                formula="attainment = (actual - baseline) / (target - baseline)",
                exact=str(attained),
            ),
            Calculation(formula=f"score = {terms.scoring.words()}", exact=str(score)),
            Calculation(
                formula="released = stake * score",
                exact=str(stake.exact * score),
                rounded=str(released),
                rule="R1 half away from zero",
            ),
            Calculation(
                formula="forfeited = stake - released", exact=str(stake - released), rule="rest"
            ),
        ),
    )
    return IndicatorVerdict(
        indicator=indicator.id,
        stake=stake,
        released=released,
        forfeited=stake - released,
        explanation=explanation,
    )


def reading_input(name: str, indicator: Indicator, reading: Reading) -> Input:
    """A reading as an input, with its source, its day, its sample and what proves it."""
    return Input(
        name=name,
        value=f"{reading.value:f} {indicator.unit}",
        source=f"{reading.source}, {reading.measured_on.isoformat()}, n={reading.sample}",
        evidence=reading.evidence,
    )


def trend(terms: BetIndicator, indicator: Indicator, readings: Sequence[Reading]) -> Trend:
    """Direction of a series: slope and level must agree, else it is flat (spec 7, trend reading).

    Improving when the Theil-Sen slope points the good way and the median of the last third is
    better than the baseline; worsening when both point the other way.
    """
    series = sorted(
        (r for r in readings if r.sample >= indicator.min_sample), key=lambda r: r.measured_on
    )
    if len({reading.measured_on for reading in series}) < TREND_POINTS:
        return Trend.INSUFFICIENT_DATA
    good = 1 if terms.target > terms.baseline else -1
    slopes = [
        Fraction(later.value - earlier.value) / (later.measured_on - earlier.measured_on).days
        for i, earlier in enumerate(series)
        for later in series[i + 1 :]
        if later.measured_on > earlier.measured_on
    ]
    slope = good * median(slopes)
    # Rounded up, as -n // 3 rounds away from zero.
    last_third = [Fraction(reading.value) for reading in series[-len(series) // 3 :]]
    level = good * (median(last_third) - Fraction(terms.baseline))
    if slope > 0 and level > 0:
        return Trend.IMPROVING
    if slope < 0 and level < 0:
        return Trend.WORSENING
    return Trend.FLAT


def read_trends(
    bet: Bet,
    window: TrendWindow,
    started_on: date,
    readings: Sequence[Reading],
    catalogue: Mapping[str, Indicator],
) -> dict[str, Trend]:
    """The trend of every indicator of a bet over a trend window."""
    ends_on = add_period(started_on, window.after)
    seen = [reading for reading in readings if started_on < reading.measured_on <= ends_on]
    return {
        terms.indicator: trend(
            terms,
            catalogue[terms.indicator],
            [reading for reading in seen if reading.indicator == terms.indicator],
        )
        for terms in bet.indicators
    }
