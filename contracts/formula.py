"""Formulas over named inputs, read by a closed grammar and computed in exact fractions. Pure.

    sum      = product { ("+" | "-") product }
    product  = factor { ("*" | "/") factor }
    factor   = [ "-" ] ( name | number | call | "(" sum ")" )
    call     = function "(" sum { "," sum } ")"
    name     = a small letter, then small letters, digits and "_"; not one of the functions
    number   = a plain decimal such as 365 or 0.25; directly before "%" a hundredth of it
    function = "abs" | "ceiling" | "clamp" | "floor" | "max" | "min"

What these lines do not say is refused: a formula cannot compare, repeat or raise to a power.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from contracts.errors import TermsError

Number = int | Decimal | Fraction

MAX_LENGTH = 500
MAX_DEPTH = 20
"""Parentheses inside parentheses."""
MAX_DIGITS = 40
"""Of an input that is an int or a Decimal."""
MAX_FRACTION_DIGITS = 400
"""Of the numerator and of the denominator of an input that earlier formulas gave."""
MAX_SHOWN = 100
"""Of the characters of a formula, in what is told about a field."""

TOKEN = re.compile(r"[0-9][\w.]*%?|[\w.]+|[^ ]")
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
NUMBER = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?%?", re.ASCII)
OPERAND = (
    "a name in small letters such as ka_count, a number such as 0.25 or 30%, "
    "a function such as max, or ("
)
SIGNS: Mapping[str, Callable[..., Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
IMPOSSIBLE = {
    "/": ("0 for the divisor", "another number"),
    "clamp": ("low above high in", "low at most high"),
}
"""What is found and expected where an operation has no value for the inputs given."""


class NoResult(TermsError):
    """The formula has no value for these inputs: a divisor is zero, or a clamp is upside down."""


_LIMIT: int = 10**MAX_DIGITS
_FRACTION_LIMIT: int = 10**MAX_FRACTION_DIGITS


EXPECTED = {
    "%": "a per cent sign directly after its number, such as 2%",
    **dict.fromkeys(
        (">", "<", "="), "no comparison; what compares is a gate, a step or a condition"
    ),
    ",": "no comma; thousands are not separated",
}
"""What is told where another sign stands than one of + - * /."""


@dataclass(frozen=True)
class Formula:
    """An expression, read once; `names` are its inputs in the order in which they appear.

    `constant` is its value where it has no names and no error.

    Raises:
        TermsError: the text is no formula; it says at which column, what was found and expected.
    """

    text: str
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    constant: Fraction | None = field(init=False, repr=False, compare=False)
    _steps: tuple["_Step", ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.text) > MAX_LENGTH:
            found = f"found a formula of {len(self.text)} characters"
            raise TermsError(f"{found}, expected at most {MAX_LENGTH}")
        steps = _Reader(self.text).read()
        names = dict.fromkeys(step.text for step in steps if isinstance(step, _Token))
        object.__setattr__(self, "names", tuple(names))
        # A constant comes last only where it is the only step.
        object.__setattr__(self, "constant", steps[-1] if isinstance(steps[-1], Fraction) else None)
        object.__setattr__(self, "_steps", steps)

    def __str__(self) -> str:
        return self.text

    def evaluate(self, values: Mapping[str, Number | None]) -> Fraction:
        """The exact value; `values` may hold more than the names of the formula.

        Raises:
            TermsError: a name has no value or None, a value is not exact or too long.
            NoResult: a divisor is zero, or a clamp has its low above its high.
        """
        if self.constant is not None:
            return self.constant
        stack: list[Fraction] = []
        for step in self._steps:
            if isinstance(step, _Token):
                stack.append(self._value(step, values))
            elif isinstance(step, _Operation):
                operands = stack[-step.arity :]
                del stack[-step.arity :]
                try:
                    stack.append(step.apply(*operands))
                except ArithmeticError as impossible:
                    raise self._impossible(step, values) from impossible
            else:
                stack.append(step)
        return stack.pop()

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Travels as its text; a number stands for itself."""
        return core_schema.no_info_plain_validator_function(
            _read_formula, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        description = (
            f"A number, or a formula over named inputs with + - * / and {', '.join(FUNCTIONS)}"
        )
        return {
            "type": ["string", "number"],
            "description": description,
            "examples": ["1.25%", "max(0, won - lost) / decided"],
        }

    def _value(self, name: "_Token", values: Mapping[str, Number | None]) -> Fraction:
        value = values.get(name.text)
        if type(value) is Fraction and _is_short(value):
            return value
        if value is None:
            near = get_close_matches(name.text, (n for n in values if values[n] is not None), n=1)
            expected = f"a name that has one{f', nearest is {near[0]}' if near else ''}"
            raise _refusal(self.text, name, f"{name.text!r} without a value", expected)
        if isinstance(value, bool) or not isinstance(value, Number):
            found = f"{name.text} as {type(value).__name__}"
            raise _refusal(self.text, name, found, "an int, a Decimal or a Fraction")
        if not _is_short(value):
            digits = MAX_FRACTION_DIGITS if isinstance(value, Fraction) else MAX_DIGITS
            expected = f"a finite number of at most {digits} digits"
            raise _refusal(self.text, name, f"a value of {name.text} out of range", expected)
        return Fraction(value)

    def _impossible(self, operation: "_Operation", values: Mapping[str, Number | None]) -> NoResult:
        found, expected = IMPOSSIBLE[operation.token.text]
        words = dict.fromkeys(TOKEN.findall(operation.part))
        given = ", ".join(f"{word} = {values[word]}" for word in words if word in self.names)
        found = f"{found} {operation.part}{f', as {given}' if given else ''}"
        return NoResult(str(_refusal(self.text, operation.token, found, expected)))


class _Token(NamedTuple):
    """A word or a sign of the text; the last one is empty."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class _Operation(NamedTuple):
    """Joins the last `arity` values; `part` is the text of its divisor, or of the whole call."""

    token: _Token
    apply: Callable[..., Fraction]
    arity: int
    part: str


_Step = Fraction | _Token | _Operation
"""A constant, a name or an operation. A formula is these in postfix order."""


class _Function(NamedTuple):
    apply: Callable[..., Fraction]
    parameters: str
    arities: range


def _floor(value: Fraction) -> Fraction:
    return Fraction(math.floor(value))


def _ceiling(value: Fraction) -> Fraction:
    return Fraction(math.ceil(value))


def _clamp(value: Fraction, low: Fraction, high: Fraction) -> Fraction:
    if low > high:
        raise ArithmeticError("low above high")
    return min(max(value, low), high)


FUNCTIONS: Mapping[str, _Function] = {
    "abs": _Function(abs, "a", range(1, 2)),
    "ceiling": _Function(_ceiling, "a", range(1, 2)),
    "clamp": _Function(_clamp, "x, low, high", range(3, 4)),
    "floor": _Function(_floor, "a", range(1, 2)),
    "max": _Function(max, "a, b, ...", range(2, MAX_LENGTH)),
    "min": _Function(min, "a, b, ...", range(2, MAX_LENGTH)),
}


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
            raise self.refusal(EXPECTED.get(self.next, "one of + - * / or the end"))
        return tuple(self.steps)

    def sum(self) -> None:
        self.product()
        while self.next in {"+", "-"}:
            self.infix(self.product)

    def product(self) -> None:
        self.factor()
        while self.next in {"*", "/"}:
            self.infix(self.factor)

    def infix(self, read_right: Callable[[], None]) -> None:
        sign, start = self.take(), self.at
        read_right()
        self.join(_Operation(sign, SIGNS[sign.text], 2, self.since(start)))

    def factor(self) -> None:
        if self.next == "-":
            sign, start = self.take(), self.at
            self.operand()
            self.join(_Operation(sign, operator.neg, 1, self.since(start)))
        else:
            self.operand()

    def operand(self) -> None:
        if self.next == "(":
            self.parentheses()
        elif self.next in FUNCTIONS or self.is_call():
            self.call()
        elif NAME.fullmatch(self.next):
            self.steps.append(self.take())
        elif NUMBER.fullmatch(self.next):
            number = self.take().text
            value = Fraction(number.removesuffix("%"))
            self.steps.append(value / 100 if number.endswith("%") else value)
        else:
            raise self.refusal(OPERAND)

    def is_call(self) -> bool:
        return self.next.isidentifier() and self.tokens[self.at + 1].text == "("

    def call(self) -> None:
        start = self.at
        name = self.tokens[start]
        if name.text not in FUNCTIONS:
            near = get_close_matches(name.text.lower(), FUNCTIONS, n=1)
            expected = f"one of {', '.join(FUNCTIONS)}{f', nearest is {near[0]}' if near else ''}"
            raise _refusal(self.text, name, f"the function {name.text!r}", expected)
        function = FUNCTIONS[self.take().text]
        if self.next != "(":
            raise self.refusal(f"( after the function {name.text}")
        count = self.parentheses(many=True)
        if count not in function.arities:
            found = f"{count} argument{'s' if count > 1 else ''}"
            raise _refusal(self.text, name, found, f"{name.text}({function.parameters})")
        self.join(_Operation(name, function.apply, count, self.since(start)))

    def parentheses(self, *, many: bool = False) -> int:
        """How many sums they hold: one, or as `many` as commas part."""
        if self.depth == MAX_DEPTH:
            raise self.refusal(f"at most {MAX_DEPTH} parentheses inside one another")
        self.depth += 1
        self.take()
        self.sum()
        count = 1
        while many and self.next == ",":
            self.take()
            self.sum()
            count += 1
        if self.next != ")":
            raise self.refusal(f"one of + - * / {', ' if many else ''}or )")
        self.take()
        self.depth -= 1
        return count

    def join(self, operation: _Operation) -> None:
        """Appends the operation, or its value where that is already known and no error."""
        operands = self.steps[-operation.arity :]
        if all(isinstance(operand, Fraction) for operand in operands):
            try:
                self.steps[-operation.arity :] = [operation.apply(*operands)]
            except ArithmeticError:
                pass
            else:
                return
        self.steps.append(operation)

    def since(self, start: int) -> str:
        return self.text[self.tokens[start].start : self.tokens[self.at - 1].end]

    @property
    def next(self) -> str:
        return self.tokens[self.at].text

    def take(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def refusal(self, expected: str) -> TermsError:
        token = self.tokens[self.at]
        return _refusal(self.text, token, repr(token.text) if token.text else "its end", expected)


def _read_formula(value: object) -> Formula:
    if isinstance(value, Formula):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(f"found {value!r}, expected a number or a formula such as won / decided")
    if not isinstance(value, str) and not _is_short(value):
        expected = f"a finite number of at most {MAX_DIGITS} digits"
        raise ValueError(f"found a number out of range, expected {expected}")
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    try:
        return Formula(text)
    except TermsError as refused:
        raise ValueError(_of_a_field(text, str(refused))) from refused


def _of_a_field(text: str, refused: str) -> str:
    """Told as of any other field: what was found first, then where in it."""
    where, _, rest = refused.removeprefix(f"formula {text!r}, column ").partition(": found ")
    if not rest:
        return refused
    found, _, expected = rest.rpartition(", expected ")
    shown = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return f"found {shown!r} with {found} at column {where}, expected {expected}"


def _is_short(value: Number) -> bool:
    """Asked before anything is computed: the fraction of 1e999999999 would fill the memory."""
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        return isinstance(exponent, int) and max(len(digits), abs(exponent)) <= MAX_DIGITS
    if isinstance(value, int):
        return -_LIMIT < value < _LIMIT
    return (
        -_FRACTION_LIMIT < value.numerator < _FRACTION_LIMIT and value.denominator < _FRACTION_LIMIT
    )


def _refusal(text: str, at: _Token, found: str, expected: str) -> TermsError:
    where = f"formula {text!r}, column {at.start + 1}"
    return TermsError(f"{where}: found {found}, expected {expected}")
