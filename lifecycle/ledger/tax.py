"""The tax inside a part of an invoiced amount. Pure."""

from fractions import Fraction

from contracts.money import Money, round_half_away


def tax_of_part(tax: Money, net: Money, done: Money, part: Money) -> Money:
    """The tax inside the next part of an invoiced amount, by cumulative rounding (R3, R6).

    Args:
        tax: tax of the whole; net: the whole, net; done: net of the parts before; part: this one.

    Returns:
        Parts that come to exactly `tax` when the whole is done.
    """
    until = round_half_away(Fraction(tax.minor * (done.minor + part.minor), net.minor))
    before = round_half_away(Fraction(tax.minor * done.minor, net.minor))
    return Money(until - before, tax.currency)
