"""From a measurement to an attainment to a score, as exact fractions. Pure.

A kind of scoring is one class here and one line in `Scoring`; a contract names the kind and sets
its numbers. The contract language grows by adding kinds, never by naming schemes.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from contracts.errors import TermsError
from contracts.fields import Share, Terms


def attainment(baseline: Decimal, target: Decimal, actual: Decimal) -> Fraction:
    """How far `actual` has come from baseline to target, not clamped, unrounded.

    The direction lies in the two numbers: "91 days to 81 days" runs downwards, and a reading above
    the baseline is negative there.

    Raises:
        TermsError: baseline and target are equal; there is no way to go.
    """
    way = Fraction(target) - Fraction(baseline)
    if way == 0:
        raise TermsError(f"baseline and target are both {target:f}, expected two different values")
    return (Fraction(actual) - Fraction(baseline)) / way


class Binary(Terms):
    """All at target, nothing before (BET-02). At the target exactly counts as reached."""

    kind: Literal["binary"]

    def score(self, attained: Fraction) -> Fraction:
        return Fraction(attained >= 1)

    def words(self) -> str:
        return "1 if attainment >= 1 else 0"


class ClampedLinear(Terms):
    """Proportional between `floor` and `cap` of attainment; 0 at or below, 1 at or above."""

    kind: Literal["clamped_linear"]
    floor: Share = Fraction(0)
    cap: Share = Fraction(1)

    @model_validator(mode="after")
    def _some_way(self) -> "ClampedLinear":
        if self.floor >= self.cap:
            raise ValueError(f"found floor {self.floor} and cap {self.cap}, expected floor < cap")
        return self

    def score(self, attained: Fraction) -> Fraction:
        return min(max((attained - self.floor) / (self.cap - self.floor), Fraction(0)), Fraction(1))

    def words(self) -> str:
        return f"clamp((attainment - {self.floor}) / ({self.cap} - {self.floor}), 0, 1)"


Scoring = Annotated[Binary | ClampedLinear, Field(discriminator="kind")]
