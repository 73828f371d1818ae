"""Counting units: full ones, started ones, or pro rata. Pure."""

from fractions import Fraction
from math import ceil, floor, trunc
from typing import Literal

from contracts.errors import TermsError

Counted = Literal["full_units", "started_units", "pro_rata"]


def units(quantity: Fraction, size: Fraction, counted: Counted) -> Fraction:
    """How many units of that size a quantity has; part of a unit counts as stated.

    A negative quantity has as many as the positive one, negated.

    Raises:
        TermsError: the size is not above zero.
    """
    if size <= 0:
        raise TermsError(f"found units of size {size}, expected a size above 0")
    exact = quantity / size
    match counted:
        case "full_units":
            return Fraction(trunc(exact))
        case "started_units":
            return Fraction(ceil(exact) if exact > 0 else floor(exact))
        case "pro_rata":
            return exact
