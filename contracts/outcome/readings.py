"""What was observed, and what is only assumed: the data of a settlement and of a forecast. Pure."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from contracts.fields import DAY, DECIMAL, PERCENT, Count, Day, Id, Share, Text
from contracts.outcome.basics import Name, Part, Subject


def _observed(value: object) -> Fraction | None:
    """A number, a day as its ordinal, yes and no as 1 and 0; nothing is missing."""
    if value is None or isinstance(value, Fraction):
        return value
    if isinstance(value, bool):
        return Fraction(value)
    if isinstance(value, str):
        if DECIMAL.fullmatch(value):
            return Fraction(value)
        if percent := PERCENT.fullmatch(value):
            return Fraction(percent[1]) / 100
        if DAY.fullmatch(value):
            try:
                return Fraction(date.fromisoformat(value).toordinal())
            except ValueError as unknown:
                raise ValueError(
                    f"found {value!r}, expected a day that the calendar has"
                ) from unknown
    raise ValueError(
        f"found {value!r}, expected a plain number, a percentage, a day, true or false, "
        "or null where it is missing"
    )


def _plain(value: Fraction) -> str:
    """As it is read: every observed number has an end."""
    return f"{Decimal(value.numerator) / value.denominator:f}"


Observed = Annotated[
    Fraction | None,
    BeforeValidator(_observed),
    PlainSerializer(lambda value: None if value is None else _plain(value)),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]
Series = tuple[Observed, ...] | dict[Subject, tuple[Observed, ...]]


class Reading(Part):
    """What one input was, on a day or over days; `value` null is a report that it is missing.

    Of several reports of the same thing the verified one counts, and then the latest received.
    """

    input: Name
    value: Observed
    on: Day | None = None
    from_day: Day | None = None
    to_day: Day | None = None
    subject: Subject | None = None
    sample: Count = 1
    status: Literal["declared", "verified"] = "declared"
    received_on: Day | None = None
    """The day itself, where it is not stated."""
    excluded_for: Name | None = None
    by: Text | None = None
    source: Text | None = None
    evidence: Text | None = None

    @model_validator(mode="after")
    def _when(self) -> Self:
        if (self.on is None) == (self.from_day is None) or (
            (self.from_day is None) != (self.to_day is None)
        ):
            raise ValueError("found no day, expected on, or from_day and to_day")
        if self.first_day > self.last_day:
            raise ValueError(f"found {self.first_day} to {self.last_day}, expected days in order")
        return self

    @property
    def first_day(self) -> date:
        return self.from_day or self.on or date.min

    @property
    def last_day(self) -> date:
        return self.to_day or self.on or date.min

    @property
    def known_on(self) -> date:
        return self.received_on or self.last_day


class Happening(Part):
    """An event on its day."""

    event: Name
    on: Day
    subject: Subject | None = None
    received_on: Day | None = None
    evidence: Text | None = None


class Excuse(Part):
    """Days that are excused, for a reason that the contract admits."""

    reason: Name
    from_day: Day
    to_day: Day
    evidence: Text | None = None


class Pause(Part):
    """Days on which the service was suspended, both included."""

    from_day: Day
    to_day: Day
    evidence: Text | None = None


class Paid(Part):
    """A payment that was made, or, where negative, received back."""

    on: Day
    amount: Observed
    evidence: Text | None = None


class Readings(Part):
    """All that is known about one contract.

    `series` is the short form: one value for each period, on its last day. Where `paid` is not
    stated, every payment before is taken to have been made as it was settled.
    """

    apiVersion: Literal["tollkeeper/v1"]
    kind: Literal["Readings"]
    contract: Id
    title: Text | None = None
    series: dict[Name, Series] = Field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    events: tuple[Happening, ...] = ()
    excused: tuple[Excuse, ...] = ()
    pauses: tuple[Pause, ...] = ()
    paid: tuple[Paid, ...] | None = None


class Possibility(Part):
    """One thing that may come: its probability, and the values it brings."""

    id: Id
    probability: Share
    series: dict[Name, Series] = Field(default_factory=dict)
    events: tuple[Happening, ...] = ()


class Unknown(Part):
    """Something that is decided independently of the rest, in one of several ways."""

    id: Id
    possibilities: Annotated[tuple[Possibility, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = sum((each.probability for each in self.possibilities), Fraction(0))
        if total != 1:
            raise ValueError(f"found probabilities of {total} in all, expected 1")
        return self


class Forecast(Part):
    """What is assumed about one contract; nothing in it was observed.

    `certain` holds in every case; each of `unknowns` takes one of its possibilities, independently
    of the others.
    """

    apiVersion: Literal["tollkeeper/v1"]
    kind: Literal["Forecast"]
    contract: Id
    title: Text | None = None
    certain: dict[Name, Series] = Field(default_factory=dict)
    events: tuple[Happening, ...] = ()
    unknowns: tuple[Unknown, ...] = ()
