"""The outcome terms as a whole, and the contract that consists of them. Pure."""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.calendar import ONE_DAY, BusinessCalendar, DayOff, Period, add_period, due_day
from contracts.contract import AgreedCalendar, Agreement
from contracts.fields import Clause, Count, Day, Id, Span, Text, Title
from contracts.formula import Formula
from contracts.outcome.baselines import Baseline
from contracts.outcome.basics import At, Name, Node, Part, Subject, ValueOf
from contracts.outcome.gates import Gate
from contracts.outcome.lines import AnyLine
from contracts.outcome.measures import Measure
from contracts.outcome.payment import AmountRounding, Cap, Figure, Payment, Retention
from contracts.outcome.totals import Total
from contracts.scoring import Scoring
from contracts.working_days import WorkingDays


class Settling(Part):
    """When a period is settled: after calendar months and days, then working days, then rolled."""

    after: Span | None = None
    working_days: Count = 0
    falls_on_a_day_off: DayOff = "stays"

    def day(self, last_day: date, calendar: BusinessCalendar) -> date:
        """The day on which a period that ended on `last_day` is settled.

        Raises:
            CalendarNotCovered: working days are counted in a year that the calendar does not have.
        """
        after = self.after or Period()
        return due_day(last_day, after, self.working_days, self.falls_on_a_day_off, calendar)


class Periods(Part):
    """The periods of service: `count` of them, each `every` long, or ending on stated days.

    They are counted from the start, so that the 31st never drifts. A pause moves every later end.
    """

    start: Day | None = None
    """The contract's effective date, where it is not stated."""
    every: Span | None = None
    count: Count | None = None
    ends: tuple[Day, ...] = ()
    settled: Settling = Settling.model_construct(
        after=None, working_days=0, falls_on_a_day_off="stays"
    )
    pauses: Literal["move_the_end", "change_nothing"] = "change_nothing"
    final_settlement: Settling | None = None
    """One more settlement, counted from the last one: of what arrives, or is decided, after it."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        regular = self.every is not None and self.count is not None
        if regular == bool(self.ends) or (self.every is None) != (self.count is None):
            raise ValueError("found no way to count periods, expected every and count, or ends")
        if not 1 <= (self.count or len(self.ends)) <= 400:
            raise ValueError(f"found {self.count} periods, expected 1 to 400")
        if list(self.ends) != sorted(set(self.ends)):
            raise ValueError("found ends that are not in order, expected each later than the last")
        return self

    def last_days(self, start: date) -> list[date]:
        """The last day of each period, without pauses."""
        if self.every is None or self.count is None:
            return list(self.ends)
        months, days = self.every.months, self.every.days
        return [
            add_period(start, Period(months * n, days * n)) - ONE_DAY
            for n in range(1, self.count + 1)
        ]


class Change(Part):
    """From the effective date on: another value, or one that is added to or multiplied with the last."""

    clause: Clause
    effective_on: Day
    value: Formula | None = None
    add: Formula | None = None
    times: Formula | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(given is not None for given in (self.value, self.add, self.times)) != 1:
            raise ValueError("found not exactly one change, expected one of value, add, times")
        return self


class Parameter(Part):
    """An agreed number or day, or a number for each subject, with its dated changes."""

    id: Name
    title: Title | None = None
    clause: Clause | None = None
    unit: Text | None = None
    value: Formula | None = None
    day: Day | None = None
    by_subject: dict[Subject, Formula] = Field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        stated = (self.value is not None, self.day is not None, bool(self.by_subject))
        if sum(stated) != 1:
            raise ValueError(
                "found not exactly one of value, day and by_subject, expected one of them"
            )
        if self.day is not None and any(c.times or c.value for c in self.changes):
            raise ValueError("found a change of a day, expected add, with days")
        return self

    def on(self, day: date, value_of: ValueOf, subject: str | None = None) -> Fraction | None:
        """The value in force on that day, of a subject where there is one for each."""
        if self.day is not None:
            value: Fraction | None = Fraction(self.day.toordinal())
        else:
            agreed = self.value if subject is None else self.by_subject.get(subject)
            value = value_of(agreed) if agreed is not None else None
        for change in sorted(self.changes, key=lambda change: change.effective_on):
            if change.effective_on > day or value is None:
                break
            other = change.value or change.add or change.times
            by = value_of(other) if other is not None else None
            if by is None:
                return None
            value = by if change.value else value + by if change.add else value * by
        return value


class Input(Part):
    """Something that readings report.

    `verified` inputs count only once verified. Readings that carry one of the `exclusions` as their
    reason are left out, or count as `excluded_as`. `indicator` is what it is in the catalogue.
    """

    id: Name
    title: Title | None = None
    indicator: Id | None = None
    unit: Text | None = None
    type: Literal["number", "day", "yes_no", "judgement"] = "number"
    accepts: Literal["declared", "verified"] = "declared"
    if_none: Formula | None = None
    """What stands where nothing is reported, such as 0 for incidents; without it, it is missing."""
    exclusions: tuple[Name, ...] = ()
    excluded_as: Formula | None = None
    reported_within: Span | None = None
    """Later reports of a reading do not count."""


class Event(Part):
    """Something that happens on a day, once, or once for each subject."""

    id: Name
    title: Title | None = None


class Score(Node):
    """A value turned into a score; where baseline and target are given, its attainment between them."""

    clause: Clause
    of: Formula
    baseline: Formula | None = None
    target: Formula | None = None
    scoring: Scoring
    gates: tuple[Name, ...] = ()
    while_closed: Literal["zero", "missing"] = "zero"

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.baseline is None) != (self.target is None):
            raise ValueError("found one of baseline and target, expected both or none")
        return self

    def value(self, at: At) -> Fraction | None:
        x = self.attained(at)
        for gate in self.gates:
            passed = at[gate]
            if passed is None:
                return None
            if passed == 0:
                return Fraction(0) if self.while_closed == "zero" else None
        return None if x is None else self.scoring.score(x, at.value_of)

    def attained(self, at: At) -> Fraction | None:
        """The way covered from baseline to target, or the value itself where there is none."""
        x = at.value_of(self.of)
        if self.baseline is None or self.target is None or x is None:
            return x
        start, end = at.value_of(self.baseline), at.value_of(self.target)
        if start is None or end is None or start == end:
            return None
        return (x - start) / (end - start)


class Side(Part):
    """One party of an outcome contract."""

    name: Title
    entity: Id | None = None


class Sides(Part):
    consultant: Side
    client: Side


class Outcome(Part):
    """All terms, in the order in which they are applied."""

    periods: Periods
    rounding: AmountRounding
    parameters: tuple[Parameter, ...] = ()
    inputs: tuple[Input, ...] = ()
    events: tuple[Event, ...] = ()
    excuses: tuple[Name, ...] = ()
    """The reasons for which days may be excused."""
    measures: tuple[Measure, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    scores: tuple[Score, ...] = ()
    totals: tuple[Total, ...] = ()
    gates: tuple[Gate, ...] = ()
    lines: Annotated[tuple[AnyLine, ...], Field(min_length=1)]
    caps: tuple[Cap, ...] = ()
    retentions: tuple[Retention, ...] = ()
    payment: Payment
    statement: tuple[Figure, ...] = ()

    def nodes(self) -> Iterator[Node]:
        """Every value that is computed before the payment, in the order of the document."""
        yield from (*self.measures, *self.baselines, *self.scores)
        yield from (*self.totals, *self.gates, *self.lines)


class OutcomeContract(Agreement):
    """A contract that consists of outcome terms: it is settled from readings, and has no workflow."""

    parties: Sides
    value_position: Literal["cost_centre", "profit_centre"] | None = None
    """How the client's unit earns its place; a cost centre is not paid by margins (FND-04)."""
    calendar: AgreedCalendar | None = None
    outcome: Outcome

    @property
    def start(self) -> date:
        """The first day of the first period."""
        return self.outcome.periods.start or self.effective_on

    def working_calendar(self) -> BusinessCalendar:
        """Working days to the year after the last settlement; Monday to Friday where none are agreed."""
        terms = self.calendar or WorkingDays(country="weekdays")
        if terms.country == "weekdays":
            return terms.covering(self.timezone, date.min.year, date.max.year)
        periods = self.outcome.periods
        settled = periods.last_days(self.start)[-1]
        for settling in filter(None, (periods.settled, periods.final_settlement)):
            settled = add_period(settled, settling.after or Period())
        first_year = min(self.start, self.effective_on).year
        return terms.covering(self.timezone, first_year, settled.year + 1)
