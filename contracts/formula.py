"""Formulas over named inputs: + - * / and parentheses, in exact fractions. Pure.

    sum     = product { ("+" | "-") product }
    product = factor { ("*" | "/") factor }
    factor  = [ "-" ] ( name | number | "(" sum ")" )
    name    = a small letter, then small letters, digits and "_"
    number  = a plain decimal such as 365 or 0.25

What these lines do not say is refused: a formula cannot call, compare, repeat or raise to a power.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import NamedTuple

from contracts.errors import TermsError

Number = int | Decimal | Fraction

MAX_LENGTH = 500
MAX_DEPTH = 20
"""Parentheses inside parentheses."""
MAX_DIGITS = 40
"""Of an input; where it is a fraction, of its numerator and of its denominator."""

TOKEN = re.compile(r"[\w.]+|[^ ]")
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
NUMBER = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?", re.ASCII)
OPERAND = "a name in small letters such as ka_count, a plain number such as 0.25, or ("
SIGNS: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@dataclass(frozen=True)
class Formula:
    """An expression, read once; `names` are its inputs in the order in which they appear.

    Raises:
        TermsError: the text is no formula; it says at which column, what was found and expected.
    """

    text: str
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _steps: tuple["_Step", ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.text) > MAX_LENGTH:
            found = f"found a formula of {len(self.text)} characters"
            raise TermsError(f"{found}, expected at most {MAX_LENGTH}")
        steps = _Reader(self.text).read()
        names = dict.fromkeys(step.text for step in steps if isinstance(step, _Token))
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "_steps", steps)

    def __str__(self) -> str:
        return self.text

    def evaluate(self, values: Mapping[str, Number]) -> Fraction:
        """The exact value; `values` may hold more than the names of the formula.

        Raises:
            TermsError: a name has no value, a value is not exact or too long, a divisor is zero.
        """
        stack: list[Fraction] = []
        for step in self._steps:
            match step:
                case Fraction():
                    stack.append(step)
                case _Token():
                    stack.append(self._value(step, values))
                case _Operation():
                    right, left = stack.pop(), stack.pop()
                    if step.sign.text == "/" and right == 0:
                        raise self._by_zero(step, values)
                    stack.append(SIGNS[step.sign.text](left, right))
        return stack.pop()

    def _value(self, name: "_Token", values: Mapping[str, Number]) -> Fraction:
        if name.text not in values:
            near = get_close_matches(name.text, values, n=1)
            expected = f"a name that has one{f', nearest is {near[0]}' if near else ''}"
            raise _refusal(self.text, name, f"{name.text!r} without a value", expected)
        value = values[name.text]
        if isinstance(value, bool) or not isinstance(value, Number):
            found = f"{name.text} as {type(value).__name__}"
            raise _refusal(self.text, name, found, "an int, a Decimal or a Fraction")
        if not _is_short(value):
            expected = f"a finite number of at most {MAX_DIGITS} digits"
            raise _refusal(self.text, name, f"a value of {name.text} out of range", expected)
        return Fraction(value)

    def _by_zero(self, division: "_Operation", values: Mapping[str, Number]) -> TermsError:
        words = dict.fromkeys(TOKEN.findall(division.right))
        given = ", ".join(f"{word} = {values[word]}" for word in words if NAME.fullmatch(word))
        found = f"0 for the divisor {division.right}{f', as {given}' if given else ''}"
        return _refusal(self.text, division.sign, found, "another number")


class _Token(NamedTuple):
    """A word or a sign of the text; the last one is empty."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class _Operation(NamedTuple):
    """Joins the last two values; `right` is the text that the second one comes from."""

    sign: _Token
    right: str


_Step = Fraction | _Token | _Operation
"""A constant, a name or an operation. A formula is these in postfix order."""


class _Reader:
    """Goes through the tokens once, with one method for each line of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [_Token(match[0], match.start()) for match in TOKEN.finditer(text)]
        self.tokens.append(_Token("", len(text)))
        self.at = 0
        self.depth = 0
        self.steps: list[_Step] = []

    def read(self) -> tuple[_Step, ...]:
        self.sum()
        if self.next:
            raise self.refusal("one of + - * / or the end")
        return tuple(self.steps)

    def sum(self) -> None:
        self.product()
        while self.next in {"+", "-"}:
            self.operation(self.product)

    def product(self) -> None:
        self.factor()
        while self.next in {"*", "/"}:
            self.operation(self.factor)

    def factor(self) -> None:
        if self.next == "-":
            self.steps.append(Fraction(0))
            self.operation(self.operand)
        else:
            self.operand()

    def operand(self) -> None:
        if self.next == "(":
            self.parentheses()
        elif NAME.fullmatch(self.next):
            self.steps.append(self.take())
        elif NUMBER.fullmatch(self.next):
            self.steps.append(Fraction(self.take().text))
        else:
            raise self.refusal(OPERAND)

    def parentheses(self) -> None:
        if self.depth == MAX_DEPTH:
            raise self.refusal(f"at most {MAX_DEPTH} parentheses inside one another")
        self.depth += 1
        self.take()
        self.sum()
        if self.next != ")":
            raise self.refusal("one of + - * / or )")
        self.take()
        self.depth -= 1

    def operation(self, read_right: Callable[[], None]) -> None:
        sign, start = self.take(), self.tokens[self.at].start
        read_right()
        self.steps.append(_Operation(sign, self.text[start : self.tokens[self.at - 1].end]))

    @property
    def next(self) -> str:
        return self.tokens[self.at].text

    def take(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def refusal(self, expected: str) -> TermsError:
        token = self.tokens[self.at]
        return _refusal(self.text, token, repr(token.text) if token.text else "its end", expected)


def _is_short(value: Number) -> bool:
    """Asked before anything is computed: the fraction of 1e999999999 would fill the memory."""
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        return isinstance(exponent, int) and max(len(digits), abs(exponent)) <= MAX_DIGITS
    limit: int = 10**MAX_DIGITS
    return max(abs(value.numerator), value.denominator) < limit


def _refusal(text: str, at: _Token, found: str, expected: str) -> TermsError:
    where = f"formula {text!r}, column {at.start + 1}"
    return TermsError(f"{where}: found {found}, expected {expected}")
