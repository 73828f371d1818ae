"""What a measure is compared with: the agreed start, an earlier year, peers, and how it may move. Pure."""

from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from contracts.calendar import Period
from contracts.fields import Clause, Count, Title
from contracts.formula import Formula
from contracts.outcome.basics import At, Node, Part, percentile, statistic

Better = Literal["higher", "lower"]


class FixedBaseline(Node):
    """A value that was agreed, or one that is measured elsewhere, such as in a control group."""

    kind: Literal["fixed", "control_group"]
    of: Formula

    def value(self, at: At) -> Fraction | None:
        return at.value_of(self.of)


class EarlierYear(Node):
    """The same measure in the same days of earlier years: of the previous year, or the best of several."""

    kind: Literal["previous_year", "best_previous"]
    of: Formula
    years: Count = 1
    better: Better | None = None

    @model_validator(mode="after")
    def _side(self) -> "EarlierYear":
        if self.kind == "best_previous" and self.better is None:
            raise ValueError("found no side that is better, expected better: higher or lower")
        return self

    def value(self, at: At) -> Fraction | None:
        if self.kind == "previous_year":
            return at.earlier(self.of, Period(months=12 * self.years))
        years = [at.earlier(self.of, Period(months=12 * (n + 1))) for n in range(self.years)]
        known = [value for value in years if value is not None]
        return statistic("maximum" if self.better == "higher" else "minimum", known)


class Peers(Node):
    """What the other subjects reach: their median, mean, or a percentile of them."""

    kind: Literal["peers"]
    of: Formula
    take: Literal["median", "mean", "percentile"]
    own_subject: str | None = None
    """The subject that is measured against the others."""
    percentile: Formula | None = None

    REDUCES: ClassVar[bool] = True

    def value(self, at: At) -> Fraction | None:
        others = {
            s: v for s, v in at.column(self.of).items() if s != self.own_subject and v is not None
        }
        values = [others[subject] for subject in sorted(others)]
        if self.take == "percentile":
            return percentile(values, at.value_of(self.percentile) if self.percentile else None)
        return statistic(self.take, values)


class Adjustment(Part):
    """A signed change of a baseline: routine, such as weather and volume, or not."""

    clause: Clause
    title: Title | None = None
    kind: Literal["routine", "non_routine"]
    by: Formula


class Adjusted(Node):
    """A baseline with signed adjustments; together they move it no further than the two limits."""

    kind: Literal["adjusted"]
    of: Formula
    adjustments: Annotated[tuple[Adjustment, ...], Field(min_length=1)]
    up_by_at_most: Formula | None = None
    down_by_at_most: Formula | None = None

    @model_validator(mode="after")
    def _limits(self) -> "Adjusted":
        for limit in (self.up_by_at_most, self.down_by_at_most):
            if limit is not None and limit.constant is not None and limit.constant < 0:
                raise ValueError(f"found {limit}, expected how far it may go, 0 or more")
        return self

    def value(self, at: At) -> Fraction | None:
        base = at.value_of(self.of)
        by = [at.value_of(adjustment.by) for adjustment in self.adjustments]
        known = [value for value in by if value is not None]
        if base is None or len(known) < len(by):
            return None
        change = sum(known, Fraction(0))
        for formula, sign in ((self.up_by_at_most, 1), (self.down_by_at_most, -1)):
            if formula is None:
                continue
            limit = at.value_of(formula)
            if limit is None:
                return None
            change = sign * min(sign * change, limit)
        return base + change


class Ratchet(Node):
    """A target that never becomes easier than it was in an earlier period."""

    kind: Literal["ratchet"]
    of: Formula
    better: Better

    def value(self, at: At) -> Fraction | None:
        seen = [at.before(self.of, back) for back in range(at.period.number)]
        hardest: Callable[[list[Fraction]], Fraction] = max if self.better == "higher" else min
        known = [value for value in seen if value is not None]
        return hardest(known) if known else None


Baseline = Annotated[
    FixedBaseline | EarlierYear | Peers | Adjusted | Ratchet, Field(discriminator="kind")
]
