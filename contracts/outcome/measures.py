"""What was observed: statistics of readings, ratios, run lengths, days that passed. Pure."""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from contracts.calendar import DayOff, Period, due_day
from contracts.fields import Count, Span
from contracts.formula import Formula
from contracts.outcome.basics import (
    STATISTICS,
    THE_PERIOD,
    At,
    Condition,
    Name,
    Node,
    Observation,
    Part,
    Window,
    as_day,
    percentile,
    statistic,
)


class Truncation(Part):
    """Readings beyond a limit count as the limit."""

    at_least: Formula | None = None
    at_most: Formula | None = None

    def apply(self, values: list[Fraction], at: At) -> list[Fraction] | None:
        """The values, none of them beyond; None where a limit is missing."""
        for limit, beyond in ((self.at_least, max), (self.at_most, min)):
            if limit is not None:
                bound = at.value_of(limit)
                if bound is None:
                    return None
                values = [beyond(value, bound) for value in values]
        return values


class Statistic(Node):
    """One number out of the readings of an input: their sum, mean, latest, and so on.

    A reading over fewer items than `min_sample` is no reading (sr-sample), and readings over fewer
    than `min_sample_in_all` are no measure.
    """

    kind: STATISTICS
    of: Name
    window: Window = THE_PERIOD
    where: Condition | None = None
    truncate: Truncation | None = None
    min_sample: Count = 0
    min_sample_in_all: Count = 0
    each: Literal["subject"] | None = None

    def value(self, at: At) -> Fraction | None:
        observed = at.readings(self.of, self.window)
        if observed is None:
            return None
        large = [
            (reading.value, reading.sample)
            for reading in observed
            if reading.value is not None and reading.sample >= self.min_sample
        ]
        if sum(sample for _, sample in large) < self.min_sample_in_all:
            return None
        values = [value for value, _ in large]
        if self.truncate:
            truncated = self.truncate.apply(values, at)
            if truncated is None:
                return None
            values = truncated
        if self.where:
            values = [value for value in values if self.where.holds(value, at.value_of)]
        return statistic(self.kind, values)


class Ratio(Node):
    """A numerator over a denominator, both kept: pooled over the window, or the mean of its readings' ratios.

    Both are formulas over inputs. Pooled, each input is first added up over the window; the mean takes
    the ratio of each day, or span of days, that has all inputs. A day of which one input is reported
    missing is left out of all. `deemed` are the inputs of each day that no reading covers, such as
    days before the service began.
    """

    kind: Literal["ratio"]
    numerator: Formula
    denominator: Formula
    taken: Literal["pooled", "mean_of_ratios"]
    window: Window = THE_PERIOD
    times: Formula = Formula("1")
    """100 for a percentage."""
    min_denominator: Formula | None = None
    deemed: dict[Name, Formula] = Field(default_factory=dict)
    each: Literal["subject"] | None = None

    def value(self, at: At) -> Fraction | None:
        names = dict.fromkeys((*self.numerator.names, *self.denominator.names))
        observed = {name: at.readings(name, self.window) for name in names}
        if any(readings is None for readings in observed.values()):
            return None
        unknown = {
            (r.first_day, r.last_day)
            for rs in observed.values()
            for r in rs or ()
            if r.value is None
        }
        seen = {
            name: [r for r in readings or () if (r.first_day, r.last_day) not in unknown]
            for name, readings in observed.items()
        }
        times = at.value_of(self.times)
        if times is None:
            return None
        if self.taken == "pooled":
            ratio = self._pooled(seen, unknown, at)
        else:
            ratio = self._mean(seen, at)
        return ratio * times if ratio is not None else None

    def _pooled(
        self, seen: dict[str, list[Observation]], unknown: set[tuple[date, date]], at: At
    ) -> Fraction | None:
        totals: dict[str, Fraction | None] = {}
        for name, readings in seen.items():
            total = statistic("sum", [r.value for r in readings if r.value is not None])
            if name in self.deemed:
                deemed = at.value_of(self.deemed[name])
                if deemed is None:
                    return None
                total = (total or Fraction(0)) + deemed * self._uncovered(readings, unknown, at)
            totals[name] = total
        return self._one(totals, at)

    def _uncovered(
        self, readings: Sequence[Observation], unknown: set[tuple[date, date]], at: At
    ) -> int:
        """How many days of the window no reading covers, not even one that says it is missing."""
        window = at.days(self.window)
        if window is None:
            return 0
        spans = {(r.first_day, r.last_day) for r in readings} | unknown
        covered = {
            day
            for first, last in spans
            for day in _days(max(first, window[0]), min(last, window[1]))
        }
        return (window[1] - window[0]).days + 1 - len(covered)

    def _mean(self, seen: dict[str, list[Observation]], at: At) -> Fraction | None:
        by_day: dict[tuple[date, date], dict[str, Fraction | None]] = {}
        for name, readings in seen.items():
            for reading in readings:
                days = reading.first_day, reading.last_day
                by_day.setdefault(days, {})[name] = reading.value
        ratios = [
            ratio
            for values in by_day.values()
            if len(values) == len(seen) and (ratio := self._one(values, at)) is not None
        ]
        return statistic("mean", ratios)

    def _one(self, values: dict[str, Fraction | None], at: At) -> Fraction | None:
        given = {name: value for name, value in values.items() if value is not None}
        if len(given) < len(values):
            return None
        denominator = self.denominator.evaluate(given)
        least = at.value_of(self.min_denominator) if self.min_denominator else None
        if denominator == 0 or (least is not None and denominator < least):
            return None
        return self.numerator.evaluate(given) / denominator


class Run(Node):
    """How many periods a condition has held up to now: in a row, or in all, with gaps."""

    kind: Literal["run"]
    of: Formula
    where: Condition
    counted: Literal["in_a_row", "in_all"]

    def value(self, at: At) -> Fraction | None:
        run = 0
        for back in range(at.period.number):
            value = at.before(self.of, back)
            if value is not None and self.where.holds(value, at.value_of):
                run += 1
            elif self.counted == "in_a_row":
                break
        return Fraction(run)


class RunOfReadings(Node):
    """How many readings of an input in a row meet a condition; the longest run, or the one still open."""

    kind: Literal["run_of_readings"]
    of: Name
    where: Condition
    taken: Literal["longest", "latest"]
    window: Window = THE_PERIOD
    each: Literal["subject"] | None = None

    def value(self, at: At) -> Fraction | None:
        observed = at.readings(self.of, self.window)
        if observed is None:
            return None
        run = longest = 0
        for reading in observed:
            held = reading.value is not None and self.where.holds(reading.value, at.value_of)
            run = run + 1 if held else 0
            longest = max(longest, run)
        return Fraction(longest if self.taken == "longest" else run)


class Elapsed(Node):
    """Days from one date to another, less excused days; below zero only if `early` says so.

    The first of the two days does not count, unless `first_day` is counted. Where the second date
    has not come, the days run on to the end of the period, or are missing.
    """

    kind: Literal["elapsed"]
    from_day: Formula
    to_day: Formula
    counted: Literal["calendar_days", "working_days"]
    first_day: Literal["counted", "not_counted"] = "not_counted"
    until_then: Literal["runs_on", "missing"] = "missing"
    early: Literal["zero", "negative"] = "zero"
    excused: tuple[Name, ...] = ()

    def value(self, at: At) -> Fraction | None:
        start, end = at.value_of(self.from_day), at.value_of(self.to_day)
        if self.until_then == "runs_on":
            today = Fraction(at.period.last_day.toordinal())
            end = today if end is None else min(end, today)
        if start is None or end is None:
            return None
        first, last = as_day(start), as_day(end)
        if last < first:
            return -self._between(last, first, at) if self.early == "negative" else Fraction(0)
        return self._between(first, last, at)

    def _between(self, first: date, last: date, at: At) -> Fraction:
        if self.first_day == "not_counted":
            first += timedelta(days=1)
        excused = set(at.excused_days(self.excused, first, last)) if self.excused else set()
        if self.counted == "calendar_days":
            return Fraction((last - first).days + 1 - len(excused))
        days = (day for day in _days(first, last) if day not in excused)
        return Fraction(sum(at.calendar.is_working_day(day) for day in days))


class EventDay(Node):
    """The day on which an event happened, by the end of the period, or by so much later.

    With `later_by` an event after the period still counts in it, such as a cancellation, and the
    difference is part of the settlement by which it is known.
    """

    kind: Literal["event_day"]
    of: Name
    later_by: Span | None = None
    each: Literal["subject"] | None = None

    def value(self, at: At) -> Fraction | None:
        day = at.happened(self.of, self.later_by)
        return None if day is None else Fraction(day.toordinal())


class DayAfter(Node):
    """The day so many calendar months and days after another, then working days, then rolled.

    A month end clamps: a month after 31 January is the end of February. The first day never counts.
    """

    kind: Literal["day_after"]
    of: Formula
    after: Span | None = None
    working_days: Count = 0
    falls_on_a_day_off: DayOff = "stays"

    def value(self, at: At) -> Fraction | None:
        day = at.value_of(self.of)
        if day is None:
            return None
        start, span = as_day(day), self.after or Period()
        due = due_day(start, span, self.working_days, self.falls_on_a_day_off, at.calendar)
        return Fraction(due.toordinal())


class Calculated(Node):
    """A formula over other values; missing where one of them is."""

    kind: Literal["formula"]
    formula: Formula

    def value(self, at: At) -> Fraction | None:
        return at.value_of(self.formula)


class Previous(Node):
    """The value of an earlier period, and `initial` before the first."""

    kind: Literal["previous"]
    of: Formula
    periods: Count = 1
    initial: Formula | None = None

    LOOKS_BACK: ClassVar[frozenset[str]] = frozenset({"of"})

    def value(self, at: At) -> Fraction | None:
        if at.period.number > self.periods:
            return at.before(self.of, self.periods)
        return at.value_of(self.initial) if self.initial is not None else None


class Mark(Node):
    """The best value so far, from a starting point: a high-water mark or a low-water mark."""

    kind: Literal["high_water_mark", "low_water_mark"]
    of: Formula
    start: Formula | None = None

    def value(self, at: At) -> Fraction | None:
        seen = [at.before(self.of, back) for back in range(at.period.number)]
        if self.start is not None:
            seen.append(at.value_of(self.start))
        return statistic(
            "maximum" if self.kind == "high_water_mark" else "minimum",
            [value for value in seen if value is not None],
        )


Missing = Literal["left_out", "missing"]


class Combined(Node):
    """One number out of several values of the same period: their mean, weakest, best, sum."""

    kind: Literal["combined"]
    take: Literal["sum", "mean", "median", "minimum", "maximum", "count"]
    of: Annotated[tuple[Formula, ...], Field(min_length=1)]
    missing: Missing
    """Whether a missing value is left out, or makes the result missing."""

    def value(self, at: At) -> Fraction | None:
        values = [at.value_of(formula) for formula in self.of]
        given = [value for value in values if value is not None]
        if self.missing == "missing" and len(given) < len(values):
            return None
        return statistic(self.take, given)


class AcrossSubjects(Node):
    """One number out of the values of all subjects: of the peers, the cohort, the sites.

    `only` keeps the subjects for which it is 1. A percentile is the smallest value that at least
    that share of the subjects does not exceed.
    """

    kind: Literal["across_subjects"]
    take: Literal["sum", "mean", "median", "minimum", "maximum", "count", "percentile"]
    of: Formula
    only: Formula | None = None
    where: Condition | None = None
    without: tuple[str, ...] = ()
    percentile: Formula | None = None

    REDUCES: ClassVar[bool] = True

    def value(self, at: At) -> Fraction | None:
        kept = at.column(self.only) if self.only is not None else None
        values = [
            value
            for subject, value in sorted(at.column(self.of).items())
            if value is not None
            and subject not in self.without
            and (kept is None or kept.get(subject) == 1)
            and (self.where is None or self.where.holds(value, at.value_of))
        ]
        if self.take == "percentile":
            return percentile(values, at.value_of(self.percentile) if self.percentile else None)
        return statistic(self.take, values)


def _days(first: date, last: date) -> Sequence[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


Measure = Annotated[
    Statistic
    | Ratio
    | Run
    | RunOfReadings
    | Elapsed
    | EventDay
    | DayAfter
    | Calculated
    | Previous
    | Mark
    | Combined
    | AcrossSubjects,
    Field(discriminator="kind"),
]
