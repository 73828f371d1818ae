"""An indicator that misses its limit: when a hold places itself, and when that is cured. Pure."""

from collections.abc import Sequence

from contracts.commercial import MissHold
from contracts.indicators import Indicator
from lifecycle.bet import Reading


def latest(terms: MissHold, indicator: Indicator, readings: Sequence[Reading]) -> list[Reading]:
    """The last readings that a clause looks at, in the order they were measured.

    Below the minimum sample it is no reading; with fewer than `of` there is nothing to judge, for
    what was not measured is no miss.
    """
    usable = sorted(
        (
            reading
            for reading in readings
            if reading.indicator == terms.indicator and reading.sample >= indicator.min_sample
        ),
        key=lambda reading: reading.measured_on,
    )
    return usable[-terms.of :] if len(usable) >= terms.of else []


def is_miss(terms: MissHold, reading: Reading) -> bool:
    """Beyond the limit, on the side that the clause names; the limit itself is met."""
    if terms.missed == "below":
        return reading.value < terms.limit
    return reading.value > terms.limit


def misses(terms: MissHold, indicator: Indicator, readings: Sequence[Reading]) -> list[Reading]:
    """The misses for which the hold is placed; none while it is not."""
    found = [reading for reading in latest(terms, indicator, readings) if is_miss(terms, reading)]
    return found if len(found) >= terms.times else []


def cured(terms: MissHold, indicator: Indicator, readings: Sequence[Reading]) -> Reading | None:
    """The last reading, where it meets the limit again."""
    last = latest(terms.model_copy(update={"of": 1}), indicator, readings)
    return last[0] if last and not is_miss(terms, last[0]) else None
