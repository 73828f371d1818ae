"""What is paid and deducted: amounts, units, bands, rate cards, instalments. Pure."""

from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.fields import Clause, Count, Id, Title
from contracts.formula import Formula
from contracts.outcome.basics import At, Condition, Name, Node, Part, Rounding
from contracts.outcome.units import Counted, units
from contracts.scoring import in_order


class Minimum(Condition):
    """An amount that does not meet this is not due; asked before the line is rounded, or after."""

    asked: Literal["before_rounding", "after_rounding"]


class Line(Node):
    """One amount of a settlement.

    Always: due to the consultant where it `pays`, due to the client where it `deducts`. An amount is
    earned anew in each period, or it is the entitlement to date, of which the last one counts. While
    a gate is closed, the amount is lost, or it waits and becomes due once all gates are open.
    """

    clause: Clause
    effect: Literal["pays", "deducts"] = "pays"
    basis: Literal["each_period", "to_date"] = "each_period"
    due: Literal["every_period", "last_period", "final_settlement"] | tuple[Count, ...] = (
        "every_period"
    )
    gates: tuple[Name, ...] = ()
    while_closed: Literal["lost", "waits"] = "lost"
    cap: Formula | None = None
    floor: Formula | None = None
    minimum: Minimum | None = None

    def is_due(self, number: int, count: int) -> bool:
        """Whether the line is asked for in that period."""
        match self.due:
            case "every_period":
                return number <= count
            case "last_period":
                return number == count
            case "final_settlement":
                return number > count
            case numbers:
                return number in numbers


class Amount(Line):
    """A formula, such as pool * score."""

    kind: Literal["amount"]
    amount: Formula

    def value(self, at: At) -> Fraction | None:
        return at.value_of(self.amount)


class Units(Line):
    """A rate for each unit of a quantity: for full units, for each unit or part of one, or pro rata."""

    kind: Literal["units"]
    quantity: Formula
    unit_size: Formula = Formula("1")
    counted: Counted
    rate: Formula

    def value(self, at: At) -> Fraction | None:
        quantity, size = at.value_of(self.quantity), at.value_of(self.unit_size)
        rate = at.value_of(self.rate)
        if quantity is None or size is None or rate is None:
            return None
        return units(quantity, size, self.counted) * rate


class Band(Part):
    """A rate up to a limit; the last band has none."""

    up_to: Formula | None = None
    rate: Formula


class Bands(Line):
    """The way from one value to another, cut into bands that each have a rate.

    `each_band` pays each piece of the way at the rate of its band; `whole_amount` pays the whole way
    at the rate of the band that `of` lies in, where a value on a limit belongs to the band `below`
    or `above`. The amount is positive on the better side of `against`.
    """

    kind: Literal["bands"]
    of: Formula
    against: Formula = Formula("0")
    better: Literal["higher", "lower"]
    applied: Literal["each_band", "whole_amount"]
    on_a_limit: Literal["band_below", "band_above"] | None = None
    """Not asked of `each_band`, which is the same on either side."""
    bands: Annotated[tuple[Band, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _last_is_open(self) -> Self:
        for n, band in enumerate(self.bands, start=1):
            if (band.up_to is None) != (n == len(self.bands)):
                found = "no up_to" if band.up_to is None else "up_to in the last band"
                raise ValueError(f"found {found}, expected up_to in every band but the last")
        if self.applied == "whole_amount" and self.on_a_limit is None:
            raise ValueError(
                "found no on_a_limit for whole_amount, expected band_below or band_above"
            )
        return self

    def value(self, at: At) -> Fraction | None:
        of, against = at.value_of(self.of), at.value_of(self.against)
        limits = [at.value_of(band.up_to) for band in self.bands if band.up_to is not None]
        rates = [at.value_of(band.rate) for band in self.bands]
        known_limits = [limit for limit in limits if limit is not None]
        known_rates = [rate for rate in rates if rate is not None]
        if (
            of is None
            or against is None
            or len(known_limits) + len(known_rates) < (len(limits) + len(rates))
        ):
            return None
        in_order(known_limits, "bands")
        if self.applied == "whole_amount":
            way = (of - against) * self._rate_at(of, known_limits, known_rates)
        else:
            way = along(against, of, known_limits, known_rates)
        return way if self.better == "higher" else -way

    def _rate_at(self, of: Fraction, limits: list[Fraction], rates: list[Fraction]) -> Fraction:
        for limit, rate in zip(limits, rates, strict=False):
            if of < limit or (of == limit and self.on_a_limit == "band_below"):
                return rate
        return rates[-1]


def along(
    start: Fraction, end: Fraction, limits: list[Fraction], rates: list[Fraction]
) -> Fraction:
    """The sum of length times rate over the bands between two values; negative when going down."""
    low, high = min(start, end), max(start, end)
    total, at = Fraction(0), low
    for limit, rate in zip([*limits, high], rates, strict=True):
        reach = min(max(limit, at), high)
        total += (reach - at) * rate
        at = reach
    return total if end >= start else -total


class RateItem(Part):
    """One entry of a rate card."""

    id: Id
    title: Title | None = None
    rate: Formula
    quantity: Formula
    at_most: Formula | None = None
    """Most units that are paid."""


class RateCard(Line):
    """A price for each of several things, times how many of them there were."""

    kind: Literal["rate_card"]
    items: Annotated[tuple[RateItem, ...], Field(min_length=1)]

    def value(self, at: At) -> Fraction | None:
        total = Fraction(0)
        for item in self.items:
            quantity, rate = at.value_of(item.quantity), at.value_of(item.rate)
            most = at.value_of(item.at_most) if item.at_most is not None else quantity
            if quantity is None or rate is None or most is None:
                return None
            total += min(quantity, most) * rate
        return total


class Instalments(Line):
    """An amount in equal instalments, rounded alike; one of them takes the remainder.

    When the amount changes on the way, what is left is spread over the instalments that are left;
    after the last one a change is due at once.
    """

    kind: Literal["instalments"]
    of: Formula
    count: Count
    remainder: Literal["first", "last"]
    round: Rounding
    recovered_in: Count | None = None
    """An advance: from this period on nothing of it is due any more, so that it is set off."""

    basis: Literal["to_date"] = "to_date"

    def value(self, at: At) -> Fraction | None:
        if self.recovered_in is not None and at.period.number >= self.recovered_in:
            return Fraction(0)
        due = before = Fraction(0)
        spread, first = None, 1
        for number in range(1, min(at.period.number, self.count) + 1):
            amount = at.before(self.of, at.period.number - number)
            if amount is None:
                return None
            if amount != spread:
                spread, first, before = amount, number, due
            left = self.count - first + 1
            each = self.round.apply((amount - before) / left)
            takes_remainder = number == (self.count if self.remainder == "last" else first)
            due += amount - before - each * (left - 1) if takes_remainder else each
        return due if at.period.number <= self.count else at.value_of(self.of)


AnyLine = Annotated[Amount | Units | Bands | RateCard | Instalments, Field(discriminator="kind")]
