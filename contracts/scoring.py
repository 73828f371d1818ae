"""From a measurement to an attainment to a score, as exact fractions. Pure.

A kind of scoring is one class here and one line in `Scoring`; a contract names the kind and sets
its numbers. The contract language grows by adding kinds, never by naming schemes. Every kind says on
which side its boundaries lie.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.errors import TermsError
from contracts.fields import Count, Share, Terms
from contracts.formula import Formula
from contracts.outcome.basics import Condition, Part, Rounding, ValueOf
from contracts.outcome.units import Counted, units


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


def constant(formula: Formula) -> Fraction | None:
    """The value of a formula without names, for scoring that stands alone."""
    return formula.evaluate({})


class Binary(Terms):
    """All at target, nothing before (BET-02); whether the target itself is enough is stated."""

    kind: Literal["binary"]
    at_target: Literal["met", "missed"]

    def score(self, x: Fraction, value_of: ValueOf = constant) -> Fraction:
        return Fraction(x >= 1 if self.at_target == "met" else x > 1)

    def words(self) -> str:
        return f"1 if attainment {'>=' if self.at_target == 'met' else '>'} 1 else 0"


class ClampedLinear(Terms):
    """Proportional between `floor` and `cap` of attainment; 0 at or below, 1 at or above."""

    kind: Literal["clamped_linear"]
    floor: Share = Fraction(0)
    cap: Share = Fraction(1)

    @model_validator(mode="after")
    def _some_way(self) -> Self:
        if self.floor >= self.cap:
            raise ValueError(f"found floor {self.floor} and cap {self.cap}, expected floor < cap")
        return self

    def score(self, x: Fraction, value_of: ValueOf = constant) -> Fraction:
        return min(max((x - self.floor) / (self.cap - self.floor), Fraction(0)), Fraction(1))

    def words(self) -> str:
        return f"clamp((attainment - {self.floor}) / ({self.cap} - {self.floor}), 0, 1)"


class Step(Condition):
    """One step: where the comparison holds, the score is `gives`."""

    gives: Formula


class Steps(Part):
    """A table of steps; the first one that holds counts, and `otherwise` where none does."""

    kind: Literal["steps"]
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    otherwise: Formula

    def score(self, x: Fraction, value_of: ValueOf = constant) -> Fraction | None:
        for step in self.steps:
            held = step.holds(x, value_of)
            if held is None:
                return None
            if held:
                return value_of(step.gives)
        return value_of(self.otherwise)

    def words(self) -> str:
        tests = (
            " and ".join(f"x {SIGNS[name]} {limit}" for name, limit in step.comparisons())
            for step in self.steps
        )
        gives = (str(step.gives) for step in self.steps)
        cases = "; ".join(f"{given} if {test}" for given, test in zip(gives, tests, strict=True))
        return f"{cases}; else {self.otherwise}"


SIGNS = {"at_least": ">=", "more_than": ">", "at_most": "<=", "less_than": "<"}


class Affine(Part):
    """A straight line, slope * x + offset, rounded if stated, then kept between its limits."""

    kind: Literal["affine"]
    slope: Formula
    offset: Formula = Formula("0")
    round: Rounding | None = None
    at_least: Formula | None = None
    at_most: Formula | None = None

    def score(self, x: Fraction, value_of: ValueOf = constant) -> Fraction | None:
        slope, offset = value_of(self.slope), value_of(self.offset)
        if slope is None or offset is None:
            return None
        score = slope * x + offset
        if self.round:
            score = self.round.apply(score)
        for limit, choose in ((self.at_least, max), (self.at_most, min)):
            if limit is not None:
                bound = value_of(limit)
                if bound is None:
                    return None
                score = choose(score, bound)
        return score

    def words(self) -> str:
        line = f"{self.slope} * x + {self.offset}"
        if self.round:
            line = f"round({line}, {self.round.decimals})"
        low = f"max({self.at_least}, {line})" if self.at_least is not None else line
        return f"min({self.at_most}, {low})" if self.at_most is not None else low


def in_order(limits: Sequence[Fraction], what: str) -> None:
    """Raises: TermsError, where one is not further than the last."""
    if any(left >= right for left, right in pairwise(limits)):
        found = ", ".join(map(str, limits))
        raise TermsError(f"found {what} at {found}, expected each further than the last")


class Knot(Part):
    """A point of a curve. With `jumps_to` it has two values: one that is reached, one that follows."""

    at: Formula
    gives: Formula
    jumps_to: Formula | None = None
    at_the_jump: Literal["before", "after"] | None = None

    @model_validator(mode="after")
    def _side(self) -> Self:
        if (self.jumps_to is None) != (self.at_the_jump is None):
            raise ValueError(
                "found one of jumps_to and at_the_jump, expected both: which of the two values "
                "counts at the jump itself"
            )
        return self


class Curve(Part):
    """Straight between its knots, level beyond them; a knot may jump, and says which value counts there."""

    kind: Literal["curve"]
    knots: Annotated[tuple[Knot, ...], Field(min_length=2)]

    def score(self, x: Fraction, value_of: ValueOf = constant) -> Fraction | None:
        points: list[tuple[Fraction, Fraction, Fraction, Fraction]] = []
        for knot in self.knots:
            at, before = value_of(knot.at), value_of(knot.gives)
            after = value_of(knot.jumps_to) if knot.jumps_to is not None else before
            if at is None or before is None or after is None:
                return None
            points.append((at, before, after, after if knot.at_the_jump == "after" else before))
        in_order([point[0] for point in points], "knots")
        if x < points[0][0]:
            return points[0][1]
        for left, right in pairwise(points):
            if x == left[0]:
                return left[3]
            if x < right[0]:
                return left[2] + (right[1] - left[2]) * (x - left[0]) / (right[0] - left[0])
        return points[-1][3] if x == points[-1][0] else points[-1][2]

    def words(self) -> str:
        knots = ", ".join(
            f"{knot.at}: {knot.gives}"
            + (f" then {knot.jumps_to} ({knot.at_the_jump} at it)" if knot.jumps_to else "")
            for knot in self.knots
        )
        return f"straight between {knots}"


class Row(Part):
    """One row of a table."""

    at: Formula
    gives: Formula


class Table(Part):
    """A table that is looked up, such as points to a percentage.

    Between two rows counts the row below, the row above, or the straight line; below the first row
    it is `before`, beyond the last one the last row.
    """

    kind: Literal["table"]
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    between: Literal["row_below", "row_above", "straight_line"]
    before: Formula

    def score(self, x: Fraction, value_of: ValueOf = constant) -> Fraction | None:
        rows = [(value_of(row.at), value_of(row.gives)) for row in self.rows]
        known = [(at, gives) for at, gives in rows if at is not None and gives is not None]
        if len(known) < len(rows):
            return None
        in_order([at for at, _ in known], "rows")
        below = [row for row in known if row[0] <= x]
        above = [row for row in known if row[0] > x]
        if not below:
            return value_of(self.before)
        at, gives = below[-1]
        if at == x or not above or self.between == "row_below":
            return gives
        if self.between == "row_above":
            return above[0][1]
        return gives + (above[0][1] - gives) * (x - at) / (above[0][0] - at)

    def words(self) -> str:
        rows = ", ".join(f"{row.at}: {row.gives}" for row in self.rows)
        return f"table({rows}; between: {self.between}; before: {self.before})"


class Shortfall(Part):
    """How much is missing to the target, in the unit of the measure; nothing beyond it."""

    kind: Literal["shortfall"]
    target: Formula
    better: Literal["higher", "lower"]

    def score(self, x: Fraction, value_of: ValueOf = constant) -> Fraction | None:
        target = value_of(self.target)
        if target is None:
            return None
        return max(target - x if self.better == "higher" else x - target, Fraction(0))

    def words(self) -> str:
        way = f"{self.target} - x" if self.better == "higher" else f"x - {self.target}"
        return f"max({way}, 0)"


class PerUnit(Part):
    """So much for each unit by which a value is beyond `start`: each full one, each one or part, pro rata."""

    kind: Literal["per_unit"]
    start: Formula
    direction: Literal["above", "below"]
    unit_size: Formula
    counted: Counted
    gives: Formula
    at_most: Formula | None = None

    def score(self, x: Fraction, value_of: ValueOf = constant) -> Fraction | None:
        start, size, gives = value_of(self.start), value_of(self.unit_size), value_of(self.gives)
        if start is None or size is None or gives is None:
            return None
        beyond = max(x - start if self.direction == "above" else start - x, Fraction(0))
        score = units(beyond, size, self.counted) * gives
        if self.at_most is None:
            return score
        most = value_of(self.at_most)
        return None if most is None else min(score, most)

    def words(self) -> str:
        way = f"x - {self.start}" if self.direction == "above" else f"{self.start} - x"
        score = f"{self.gives} * {self.counted}(max({way}, 0) / {self.unit_size})"
        return score if self.at_most is None else f"min({score}, {self.at_most})"


MAX_EXPONENT = 1000


class Logistic(Part):
    """1 / (1 + e^(-steepness * (x - midpoint))), to a stated number of decimals, half even."""

    kind: Literal["logistic"]
    midpoint: Formula
    steepness: Formula
    decimals: Annotated[Count, Field(ge=1, le=30)]

    def score(self, x: Fraction, value_of: ValueOf = constant) -> Fraction | None:
        midpoint, steepness = value_of(self.midpoint), value_of(self.steepness)
        if midpoint is None or steepness is None:
            return None
        exponent = -steepness * (x - midpoint)
        if abs(exponent) > MAX_EXPONENT:
            return Fraction(exponent < 0)
        with localcontext() as context:
            context.prec = self.decimals + 30
            power = (Decimal(exponent.numerator) / exponent.denominator).exp()
            score = 1 / (1 + power)
            step = Decimal(1).scaleb(-self.decimals)
            return Fraction(score.quantize(step, rounding=ROUND_HALF_EVEN))

    def words(self) -> str:
        return f"round(1 / (1 + e^(-{self.steepness} * (x - {self.midpoint}))), {self.decimals})"


Scoring = Annotated[
    Binary | ClampedLinear | Steps | Affine | Curve | Table | Shortfall | PerUnit | Logistic,
    Field(discriminator="kind"),
]


def share_won(scoring: Scoring, attained: Fraction) -> Fraction:
    """The share of a stake that an attainment wins, by a scoring without names: 0..1 (BET-02)."""
    score = scoring.score(attained)
    assert score is not None
    return min(max(score, Fraction(0)), Fraction(1))
