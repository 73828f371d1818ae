"""Several scores as one: weights, points, repeats, ranks. Pure."""

from fractions import Fraction
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from contracts.formula import Formula
from contracts.outcome.basics import At, Condition, Node, Part
from contracts.outcome.measures import AcrossSubjects, Calculated, Combined, Mark, Previous


class Weighted(Part):
    """One term of a weighted sum."""

    score: Formula
    weight: Formula
    cap: Formula | None = None
    """Most that the score counts for, before its weight."""


class WeightedSum(Node):
    """Scores times weights; a missing one drops out and the other weights grow, or counts as nothing."""

    kind: Literal["weighted_sum"]
    of: Annotated[tuple[Weighted, ...], Field(min_length=1)]
    missing: Literal["renormalised", "zero", "missing"]
    cap: Formula | None = None
    floor: Formula | None = None

    def value(self, at: At) -> Fraction | None:
        total = weights = given = Fraction(0)
        for term in self.of:
            weight, score = at.value_of(term.weight), at.value_of(term.score)
            if weight is None or (score is None and self.missing == "missing"):
                return None
            weights += weight
            if score is not None:
                counted = within(score, None, term.cap, at)
                if counted is None:
                    return None
                given += weight
                total += weight * counted
        if self.missing == "renormalised":
            if given == 0:
                return None
            total = total * weights / given
        return within(total, self.floor, self.cap, at)


class EqualWeights(Node):
    """The mean of scores; a missing one drops out, counts as nothing, or makes all of it missing."""

    kind: Literal["equal_weights"]
    of: Annotated[tuple[Formula, ...], Field(min_length=1)]
    missing: Literal["renormalised", "zero", "missing"]

    def value(self, at: At) -> Fraction | None:
        scores = [at.value_of(score) for score in self.of]
        given = [score for score in scores if score is not None]
        if (self.missing == "missing" and len(given) < len(scores)) or not given:
            return Fraction(0) if self.missing == "zero" else None
        count = len(given) if self.missing == "renormalised" else len(scores)
        return sum(given, Fraction(0)) / count


class Points(Node):
    """Points earned over points that could be earned; bonus points are in the first alone."""

    kind: Literal["points"]
    earned: Annotated[tuple[Formula, ...], Field(min_length=1)]
    bonus: tuple[Formula, ...] = ()
    out_of: Formula
    missing: Literal["zero", "missing"]
    cap: Formula | None = None

    def value(self, at: At) -> Fraction | None:
        out_of = at.value_of(self.out_of)
        points = [at.value_of(formula) for formula in (*self.earned, *self.bonus)]
        given = [value for value in points if value is not None]
        if not out_of or (self.missing == "missing" and len(given) < len(points)):
            return None
        return within(sum(given, Fraction(0)) / out_of, None, self.cap, at)


class Repeat(Node):
    """A value that grows while a failure repeats from period to period.

    The first failing period counts `factors[0]` times, the next one in a row `factors[1]` times, and
    so on; the last factor stands for all later ones.
    """

    kind: Literal["repeat"]
    of: Formula
    fails: Condition
    factors: Annotated[tuple[Formula, ...], Field(min_length=1)]

    def value(self, at: At) -> Fraction | None:
        value, failing = at.value_of(self.of), 0
        if value is None:
            return None
        for back in range(at.period.number):
            seen = at.before(self.of, back)
            if seen is None or not self.fails.holds(seen, at.value_of):
                break
            failing += 1
        if failing == 0:
            return value
        factor = at.value_of(self.factors[min(failing, len(self.factors)) - 1])
        return None if factor is None else value * factor


class PeerRank(Node):
    """The share of the other subjects that a subject is better than; equals count as stated."""

    kind: Literal["peer_rank"]
    of: Formula
    own_subject: str
    better: Literal["higher", "lower"]
    equals: Literal["beaten", "half", "not_beaten"]

    REDUCES: ClassVar[bool] = True

    def value(self, at: At) -> Fraction | None:
        column = at.column(self.of)
        own = column.get(self.own_subject)
        others = [v for s, v in column.items() if s != self.own_subject and v is not None]
        if own is None or not others:
            return None
        beaten = sum(other < own if self.better == "higher" else other > own for other in others)
        equal = sum(other == own for other in others)
        counted = {"beaten": Fraction(1), "half": Fraction(1, 2), "not_beaten": Fraction(0)}
        return (beaten + equal * counted[self.equals]) / len(others)


Total = Annotated[
    WeightedSum
    | EqualWeights
    | Points
    | Combined
    | Repeat
    | PeerRank
    | AcrossSubjects
    | Calculated
    | Previous
    | Mark,
    Field(discriminator="kind"),
]


def within(value: Fraction, floor: Formula | None, cap: Formula | None, at: At) -> Fraction | None:
    """`value`, not below the floor and not above the cap; missing where one of them is."""
    for formula, choose in ((floor, max), (cap, min)):
        if formula is not None:
            bound = at.value_of(formula)
            if bound is None:
                return None
            value = choose(value, bound)
    return value
