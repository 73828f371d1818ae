"""Tax on a document: rounded once for each code and rate, then spread over its lines. Pure."""

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Literal, NamedTuple

from contracts.errors import TransitionError
from contracts.money import Money, allocate, round_half_away

Prices = Literal["net", "gross"]


class Taxed(NamedTuple):
    """An amount with its tax."""

    net: Money
    tax: Money

    @property
    def gross(self) -> Money:
        return self.net + self.tax


def nothing(currency: str) -> Taxed:
    return Taxed(Money(0, currency), Money(0, currency))


def taxed(amounts: Sequence[Money], rate: Fraction, prices: Prices) -> list[Taxed]:
    """Net and tax of the lines of one code and rate.

    Net prices: the tax of their sum is rounded. Prices with tax inside: they are the fixed point,
    the net of their sum is rounded, and the tax is the difference.
    """
    if prices == "gross":
        nets = shares(amounts, 1 / (1 + rate))
        return [Taxed(net, gross - net) for net, gross in zip(nets, amounts, strict=True)]
    return [Taxed(*pair) for pair in zip(amounts, shares(amounts, rate), strict=True)]


def shares(parts: Sequence[Money], rate: Fraction) -> list[Money]:
    """`rate` of the sum of the parts, rounded once (R1), spread by largest remainder (R2).

    Where the parts have both signs, the side that weighs less is rounded and spread by itself, and
    the other side takes the rest. So each share has the sign of its part and is less than two minor
    units from its exact value (less than one on a document of one sign), and the shares of the
    negated parts are the negated shares.
    """
    whole = reduce(add, parts)
    sign = -1 if whole.minor < 0 else 1
    lighter = [max(-sign * part.minor, 0) for part in parts]
    heavier = [max(sign * part.minor, 0) for part in parts]
    of_lighter = Money(-sign * sum(lighter), whole.currency).share(rate)
    of_heavier = whole.share(rate) - of_lighter
    return [
        one + other
        for one, other in zip(_split(of_lighter, lighter), _split(of_heavier, heavier), strict=True)
    ]


def _split(total: Money, weights: Sequence[int]) -> list[Money]:
    if not any(weights):
        return [Money(0, total.currency) for _ in weights]
    return allocate(total, [Fraction(weight) for weight in weights])


def net_part(whole: Taxed, taken: Taxed, net: Money) -> Taxed:
    """The next part of a taxed amount, given net (R6).

    The tax taken to date is the tax of the whole times the net taken to date over its net, so that
    taking everything ends at exactly zero, in whatever parts.

    Raises:
        TransitionError: more than is left.
    """
    left = _left(whole, taken, net, whole.net - taken.net)
    exact = Fraction(0)
    if whole.net.minor:
        exact = Fraction(whole.tax.minor * (taken.net + net).minor, whole.net.minor)
    tax = _between(0, round_half_away(exact) - taken.tax.minor, left.tax.minor)
    return Taxed(net, Money(tax, net.currency))


def gross_part(whole: Taxed, taken: Taxed, gross: Money) -> Taxed:
    """The next part of a taxed amount, given with its tax (R6); as `net_part` otherwise.

    Raises:
        TransitionError: more than is left.
    """
    left = _left(whole, taken, gross, whole.gross - taken.gross)
    exact = Fraction(0)
    if whole.gross.minor:
        exact = Fraction(whole.tax.minor * (taken.gross + gross).minor, whole.gross.minor)
    tax = _between(0, round_half_away(exact) - taken.tax.minor, left.tax.minor)
    tax = _between(gross.minor - left.net.minor, tax, gross.minor)
    return Taxed(gross - Money(tax, gross.currency), Money(tax, gross.currency))


def gross_parts(wholes: Sequence[Taxed], taken: Sequence[Taxed], gross: Money) -> list[Taxed]:
    """A part of several taxed amounts together, given with its tax: each gives by what is left of it.

    Raises:
        TransitionError: more than is left.
    """
    left = [whole.gross - before.gross for whole, before in zip(wholes, taken, strict=True)]
    _require(gross, reduce(add, left))
    parts = _split(gross, [part.minor for part in left])
    return [gross_part(*each) for each in zip(wholes, taken, parts, strict=True)]


def _left(whole: Taxed, taken: Taxed, part: Money, left: Money) -> Taxed:
    _require(part, left)
    return Taxed(whole.net - taken.net, whole.tax - taken.tax)


def _require(part: Money, left: Money) -> None:
    """Refuse what is not a part: on the other side of zero, or more than is left."""
    if not min(0, left.minor) <= part.minor <= max(0, left.minor):
        raise TransitionError(
            f"found {part} {part.currency} to be taken back, expected at most the {left} that is left"
        )


def _between(one: int, value: int, other: int) -> int:
    return min(max(value, min(one, other)), max(one, other))
