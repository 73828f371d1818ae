"""What every piece of outcome terms is made of: names, conditions, rounding, and what it may see. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import Annotated, ClassVar, Literal, Protocol, Self

from pydantic import (
    BeforeValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from contracts.calendar import BusinessCalendar, Period
from contracts.errors import TermsError
from contracts.fields import Clause, Span, Terms, Text, Title
from contracts.formula import Formula

NAME = r"^[a-z][a-z0-9_]{0,47}$"

Name = Annotated[str, StringConstraints(pattern=NAME)]
"""What formulas call a value: small letters, digits and `_`."""

Subject = Annotated[str, StringConstraints(min_length=1, max_length=80)]
"""What a column has a value for: a site, a person, a peer."""

Column = Mapping[str, Fraction | None]
"""One value for each subject, such as a site, a person or a peer."""

Value = Fraction | Column | None
"""A number, a number for each subject, or missing. Dates count as days; yes and no as 1 and 0."""


ValueOf = Callable[[Formula], Fraction | None]
"""The value of a formula where it is asked; None where one of its inputs is missing."""


class Part(Terms):
    """A piece of outcome terms."""


class RoundingMode(StrEnum):
    """Which neighbour a number between two steps goes to; `half_away` is the commercial rule."""

    HALF_AWAY = "half_away"
    HALF_EVEN = "half_even"
    HALF_DOWN = "half_down"
    AWAY = "away"
    TOWARDS_ZERO = "towards_zero"
    CEILING = "ceiling"
    FLOOR = "floor"


def _decimals(value: object) -> object:
    if isinstance(value, str) and DECIMALS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -9 <= value <= 12:
        raise ValueError(f"found {value!r}, expected a whole number of decimals from -9 to 12")
    return value


DECIMALS = re.compile(r"-?(0|[1-9][0-9]?)", re.ASCII)
Decimals = Annotated[int, BeforeValidator(_decimals), WithJsonSchema({"type": "integer"})]


class Rounding(Part):
    """A named place of rounding. `shown` rounds what is printed and goes on with the exact value."""

    decimals: Decimals
    mode: RoundingMode
    result: Literal["used", "shown"] = "used"

    def apply(self, value: Fraction) -> Fraction:
        """The rounded value."""
        return round_to(value, self.decimals, self.mode)


def round_to(value: Fraction, decimals: int, mode: RoundingMode) -> Fraction:
    """`value` at that many decimals; negative decimals round to tens, hundreds, and so on."""
    scale = Fraction(10) ** decimals
    scaled = abs(value) * scale
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    half = 2 * rest - scaled.denominator
    match mode:
        case RoundingMode.HALF_AWAY:
            up = half >= 0
        case RoundingMode.HALF_EVEN:
            up = half > 0 or (half == 0 and whole % 2 == 1)
        case RoundingMode.HALF_DOWN:
            up = half > 0
        case RoundingMode.AWAY:
            up = rest > 0
        case RoundingMode.TOWARDS_ZERO:
            up = False
        case RoundingMode.CEILING:
            up = rest > 0 and value > 0
        case RoundingMode.FLOOR:
            up = rest > 0 and value < 0
    rounded = Fraction(whole + up) / scale
    return rounded if value >= 0 else -rounded


COMPARISONS = ("at_least", "more_than", "at_most", "less_than")


class Condition(Part):
    """A comparison that says on which side its boundary lies; two of them make a range."""

    at_least: Formula | None = None
    more_than: Formula | None = None
    at_most: Formula | None = None
    less_than: Formula | None = None

    @model_validator(mode="after")
    def _stated(self) -> Self:
        if not self.comparisons():
            raise ValueError(
                f"found no comparison, expected one of {', '.join(COMPARISONS)}, or two for a range"
            )
        lower = self.at_least is not None and self.more_than is not None
        if lower or (self.at_most is not None and self.less_than is not None):
            raise ValueError("found two comparisons on one side, expected one for each side")
        return self

    def comparisons(self) -> list[tuple[str, Formula]]:
        """The comparisons that are stated, with what they compare to."""
        stated = ((name, getattr(self, name)) for name in COMPARISONS)
        return [(name, formula) for name, formula in stated if formula is not None]

    def holds(self, value: Fraction, value_of: "ValueOf") -> bool | None:
        """Whether `value` is on the right side; None where a limit is missing."""
        for name, formula in self.comparisons():
            limit = value_of(formula)
            if limit is None:
                return None
            if not compare(value, name, limit):
                return False
        return True


def compare(value: Fraction, comparison: str, limit: Fraction) -> bool:
    match comparison:
        case "at_least":
            return value >= limit
        case "more_than":
            return value > limit
        case "at_most":
            return value <= limit
        case _:
            return value < limit


@dataclass(frozen=True)
class AssessmentPeriod:
    """One period of service. Both days belong to it; it is settled on `settled_on`, not before."""

    number: int
    count: int
    first_day: date
    last_day: date
    settled_on: date


class WindowKind(StrEnum):
    """Which days a measure looks at."""

    PERIOD = "period"
    TO_DATE = "to_date"
    ROLLING = "rolling"
    FIXED = "fixed"
    SUBJECT = "subject"


class Window(Part):
    """The days a measure looks at; the first and the last day belong to it.

    `earlier_by` moves it back, as for a previous year; `later_by` forward, as for what is observed
    twelve months after the service. Before its last day has come, a window that is moved forward or
    fixed gives nothing.
    """

    over: WindowKind
    length: Span | None = None
    from_day: Formula | None = None
    to_day: Formula | None = None
    since: Name | None = None
    """The event of each subject from which its own window counts."""
    first_day: Literal["counted", "not_counted"] = "counted"
    earlier_by: Span | None = None
    later_by: Span | None = None
    restarts_after: Formula | None = None
    """A condition that is 1 in a period uses its days up: later windows begin after it."""

    LOOKS_BACK: ClassVar[frozenset[str]] = frozenset({"restarts_after"})
    NEEDS: ClassVar[Mapping[WindowKind, tuple[str, ...]]] = {
        WindowKind.PERIOD: (),
        WindowKind.TO_DATE: (),
        WindowKind.ROLLING: ("length",),
        WindowKind.FIXED: ("from_day", "to_day"),
        WindowKind.SUBJECT: ("since", "length"),
    }

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = self.NEEDS[self.over]
        own = {name for names in self.NEEDS.values() for name in names}
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(
                f"found a window over {self.over.value} without {' and '.join(missing)}, "
                f"expected {' and '.join(needed)}"
            )
        if extra := [n for n in own - set(needed) if getattr(self, n) is not None]:
            raise ValueError(
                f"found {' and '.join(sorted(extra))} in a window over {self.over.value}, "
                f"expected {' and '.join(needed) or 'none of them'}"
            )
        return self


THE_PERIOD = Window.model_construct(over=WindowKind.PERIOD)


class Observation(Protocol):
    """A reading as a measure sees it. `value` is None where it was reported as missing."""

    @property
    def first_day(self) -> date: ...
    @property
    def last_day(self) -> date: ...
    @property
    def value(self) -> Fraction | None: ...
    @property
    def sample(self) -> int: ...


class At(Protocol):
    """What a piece of terms may look at: one period, and there one subject, if there are several."""

    @property
    def period(self) -> AssessmentPeriod: ...
    @property
    def calendar(self) -> BusinessCalendar: ...

    def __getitem__(self, name: str) -> Fraction | None:
        """The value of a name in this period."""

    def value_of(self, formula: Formula) -> Fraction | None:
        """The value of a formula in this period; None where one of its inputs is missing."""

    def before(self, formula: Formula, periods: int = 1) -> Fraction | None:
        """The same, that many periods earlier; None before the first."""

    def last(self, name: str) -> Fraction | None:
        """The value of a name one period earlier; None before the first."""

    def earlier(self, formula: Formula, by: Period) -> Fraction | None:
        """The same with the windows of its measures moved back."""

    def column(self, name: Formula) -> Column:
        """The values of all subjects of a name; a single number has the one subject ``""``."""

    def readings(self, name: str, window: Window) -> Sequence[Observation] | None:
        """What counts of an input, in order of days; None while the window is not over."""

    def days(self, window: Window) -> tuple[date, date] | None:
        """The first and the last day of a window; None while it is not over, or never begins."""

    def happened(self, event: str, later_by: Period | None = None) -> date | None:
        """The first day of an event, if that is by the end of this period, or so much later."""

    def recorded(self, event: str) -> date | None:
        """The first day of an event, if it is known when the period is settled."""

    def excused_days(self, reasons: Sequence[str], first: date, last: date) -> list[date]:
        """The days from `first` to `last`, both included, for which a reason is recorded."""


class Node(Part):
    """A value with a name, one for each period."""

    id: Name
    title: Title | None = None
    clause: Clause | None = None
    unit: Text | None = None
    if_missing: Formula | None = None
    """What counts instead of a missing value. Without it, missing stays missing; it is never zero."""
    round: Rounding | None = None

    LOOKS_BACK: ClassVar[frozenset[str]] = frozenset()
    """The fields whose values are those of earlier periods."""
    REDUCES: ClassVar[bool] = False
    """Whether it takes all subjects together; anything else is done for each of them."""

    def value(self, at: At) -> Fraction | None:
        """The exact value in one period; None is missing, and never zero."""
        raise NotImplementedError


STATISTICS = Literal["sum", "mean", "median", "minimum", "maximum", "count", "latest", "first"]


def statistic(kind: str, values: Sequence[Fraction]) -> Fraction | None:
    """One number out of several, in the order of days. Out of none it is missing, but for a count."""
    if kind == "count":
        return Fraction(len(values))
    if not values:
        return None
    match kind:
        case "sum":
            return sum(values, Fraction(0))
        case "mean":
            return sum(values, Fraction(0)) / len(values)
        case "median":
            middle, ordered = len(values) // 2, sorted(values)
            return (ordered[middle] + ordered[~middle]) / 2
        case "minimum":
            return min(values)
        case "maximum":
            return max(values)
        case "latest":
            return values[-1]
        case _:
            return values[0]


def percentile(values: Sequence[Fraction], share: Fraction | None) -> Fraction | None:
    """The smallest value that at least that share of the values does not exceed."""
    if share is None or not values:
        return None
    rank = max(1, ceil(share * len(values)))
    return sorted(values)[min(rank, len(values)) - 1]


def as_day(value: Fraction) -> date:
    """The day that a number counts.

    Raises:
        TermsError: it is no day from 1900 to 2199.
    """
    if value.denominator != 1 or not FIRST_DAY <= value <= LAST_DAY:
        raise TermsError(f"found {value} as a day, expected the value of a day")
    return date.fromordinal(value.numerator)


FIRST_DAY, LAST_DAY = date(1900, 1, 1).toordinal(), date(2199, 12, 31).toordinal()
