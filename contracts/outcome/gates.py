"""What must hold before a score counts or an amount is due: thresholds, guardrails, evidence. Pure."""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from contracts.formula import Formula
from contracts.outcome.basics import (
    At,
    Condition,
    Decimals,
    Name,
    Node,
    Part,
    RoundingMode,
    as_day,
    round_to,
)


class RoundedValue(Part):
    """A gate looks at the value after rounding."""

    decimals: Decimals
    mode: RoundingMode


class Threshold(Node):
    """A test of a value, which is passed (1) or not (0): on the exact value, or on the rounded one.

    A guardrail is the same test on what must not get worse. A missing value fails the gate, passes
    it, or leaves it undecided. `stays_passed` keeps it passed once it was, as for a qualifying period.
    """

    kind: Literal["threshold", "guardrail"]
    of: Formula
    passes: Condition
    on: Literal["exact"] | RoundedValue
    missing: Literal["fails", "passes", "undecided"]
    stays_passed: StrictBool = False

    def value(self, at: At) -> Fraction | None:
        if self.stays_passed and at.last(self.id) == 1:
            return Fraction(1)
        value = at.value_of(self.of)
        if value is None:
            return {"fails": Fraction(0), "passes": Fraction(1), "undecided": None}[self.missing]
        if isinstance(self.on, RoundedValue):
            value = round_to(value, self.on.decimals, self.on.mode)
        held = self.passes.holds(value, at.value_of)
        return None if held is None else Fraction(held)


class Evidence(Node):
    """Passed once an event is recorded by the settlement, and not before the earliest date."""

    kind: Literal["evidence"]
    event: Name
    not_before: Formula | None = None

    def value(self, at: At) -> Fraction | None:
        happened = at.recorded(self.event)
        if happened is None:
            return Fraction(0)
        earliest = at.value_of(self.not_before) if self.not_before is not None else None
        if earliest is None:
            return Fraction(self.not_before is None)
        return Fraction(as_day(earliest) <= at.period.settled_on)


Gate = Annotated[Threshold | Evidence, Field(discriminator="kind")]
