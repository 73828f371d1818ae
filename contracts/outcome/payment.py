"""What becomes of the lines: caps by scope, retention by state, what was paid, who pays. Pure."""

import re
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.fields import Clause, Id, Share, Title
from contracts.formula import Formula
from contracts.outcome.basics import Condition, Name, Node, Part, Rounding


class Cap(Part):
    """A limit on the sum of several lines, or of lines and other caps, in each period or to date.

    Its members count in their own direction: where all of them deduct, the cap limits deductions.
    What is over the limit lapses, or counts again in the next period; what is left of a limit lapses,
    or makes room in the next period.
    """

    id: Name
    clause: Clause
    title: Title | None = None
    of: Annotated[tuple[Name, ...], Field(min_length=1)]
    scope: Literal["each_period", "to_date"]
    at_most: Formula | None = None
    at_least: Formula | None = None
    excess: Literal["lapses", "carried_forward"] = "lapses"
    unused: Literal["lapses", "carried_forward"] = "lapses"

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError("found neither limit, expected at_most, at_least or both")
        if self.at_most is None and "carried_forward" in (self.excess, self.unused):
            raise ValueError("found a carry without at_most, expected the limit that it is over")
        amounts_are_no_shares(self.at_most, self.at_least)
        if self.scope == "to_date" and "carried_forward" in (self.excess, self.unused):
            raise ValueError(
                "found a carry in a limit to date, expected scope: each_period, "
                "as a limit to date carries by itself"
            )
        return self


def amounts_are_no_shares(*limits: Formula | None) -> None:
    """Raises: ValueError, where an amount of money is a bare percentage."""
    for limit in limits:
        if limit is not None and re.fullmatch(r"-?[0-9.]+%", limit.text):
            raise ValueError(
                f"found {limit}, which is {limit.constant} of the currency, "
                f"expected an amount, such as {limit} * fee"
            )


class RetentionState(Part):
    """From this event on, and not before the date, the retention is multiplied by `factor`."""

    after: Name
    not_before: Formula | None = None
    factor: Share


class Retention(Part):
    """What is kept back of the amount to date, as a function of that amount and of the state.

    retained = min(limit, rate * max(0, amount - free_amount)) * factor of the last state that was reached;
    release falls out of it.
    """

    id: Name
    clause: Clause
    title: Title | None = None
    of: Annotated[tuple[Name, ...], Field(min_length=1)] | Literal["all"] = "all"
    rate: Formula
    free_amount: Formula = Formula("0")
    limit: Formula | None = None
    states: tuple[RetentionState, ...] = ()
    round: Rounding

    @model_validator(mode="after")
    def _amounts(self) -> Self:
        amounts_are_no_shares(self.free_amount, self.limit)
        return self


class Payer(Part):
    """Who pays which part; a refund goes back by the same parts."""

    party: Id
    share: Share


class Payment(Part):
    """How what is due becomes a payment: due to date, less paid to date.

    A negative payment is paid back, or it is set off against later payments and never refunded. Less
    than the minimum waits for the next settlement, or lapses. What several payers cannot share
    evenly goes by largest remainder.
    """

    clause: Clause
    negative: Literal["paid_back", "set_off"]
    minimum: Condition | None = None
    below_minimum: Literal["waits", "lapses"] = "waits"
    later_data: Literal["supersedes", "ignored"] = "supersedes"
    """Whether readings that arrive after a settlement change the periods before, or each is final."""
    payers: tuple[Payer, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = sum((payer.share for payer in self.payers), Fraction(0))
        if self.payers and total != 1:
            raise ValueError(f"found payers for {total} of the payment, expected 1 in all")
        return self


class AmountRounding(Rounding):
    """The rounding of money, on each line or once on their sum."""

    at: Literal["each_line", "sum"]
    result: Literal["used"] = "used"


class Figure(Node):
    """A figure for the statement, out of any value, also of those after the payment."""

    formula: Formula


OWN_NAMES = ("days_in_period", "gross", "retained", "earned", "paid", "payment", "due")
"""What a settlement itself calls its values; formulas of `statement` may use them."""
