"""Money in minor units, exact shares, and the one rounding. Pure."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from contracts.errors import Refused, TermsError
from contracts.fields import shown

# ISO 4217 minor-unit digits of the currencies a contract may be written in.
MINOR_DIGITS = {
    "CNY": 2, "EUR": 2, "GBP": 2, "HKD": 2, "JPY": 0, "KRW": 0, "KWD": 3, "SGD": 2, "TWD": 2, "USD": 2,
}  # fmt: skip
MINOR_LIMIT = 10**15
"""Amounts are below this many minor units, here and in the database."""

MAX_WHOLE = 18
"""Digits before the point that are looked at; an amount with more of them is out of range."""

AMOUNT = re.compile(r"(?!-[0.]+$)-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
"""Plain digits; a zero has no sign."""

_document_currency: ContextVar[str | None] = ContextVar("document_currency", default=None)


@contextmanager
def amounts_in(currency: str) -> Iterator[None]:
    """Inside, an amount that names no currency is read in this one, as in a contract document."""
    token = _document_currency.set(currency)
    try:
        yield
    finally:
        _document_currency.reset(token)


def round_half_away(value: Fraction) -> int:
    """The one rounding of money: half away from zero (R1)."""
    whole, rest = divmod(abs(value.numerator), value.denominator)
    rounded = whole + (2 * rest >= value.denominator)
    return rounded if value >= 0 else -rounded


@dataclass(frozen=True, order=False)
class Money:
    """An amount in minor units of one currency; amounts of different currencies never mix."""

    minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other).minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    @property
    def exact(self) -> Fraction:
        """The amount in major units, for showing the steps of a calculation."""
        return Fraction(self.minor, 10 ** MINOR_DIGITS[self.currency])

    def share(self, part: Fraction) -> "Money":
        """That part of the amount, rounded half away from zero, once (R1)."""
        return Money(round_half_away(self.minor * part), self.currency)

    def __str__(self) -> str:
        """The plain figure without the currency, as the contract document writes it: `-1234.50`."""
        digits = MINOR_DIGITS[self.currency]
        text = str(abs(self.minor)).rjust(digits + 1, "0")
        sign = "-" if self.minor < 0 else ""
        return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"

    def grouped(self) -> str:
        """For people: `1,234.50`."""
        whole, _, cents = str(self).partition(".")
        return f"{int(whole):,}" + (f".{cents}" if cents else "") if whole != "-0" else str(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Travels as text: `1800000.00 CNY`; inside a document the currency may be left out."""
        return core_schema.no_info_plain_validator_function(
            _read_money,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda money: f"{money} {money.currency}"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        pattern = r"^(0|[1-9][0-9]*)(\.[0-9]+)?( [A-Z]{3})?$"
        return {"type": ["string", "number"], "pattern": pattern, "examples": ["1800000.00"]}

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise TermsError(f"amounts in {self.currency} and {other.currency} cannot be combined")
        return other


def parse_amount(text: str, currency: str) -> Money:
    """Read an amount as a contract writes it: plain ASCII digits, at most the currency's decimals.

    Raises:
        ValueError: separators, exponents, other digits, a zero with a sign.
        Refused: too many decimals (`scale`), or too large (`range`).
    """
    digits = MINOR_DIGITS[currency]
    if not AMOUNT.fullmatch(text):
        example = "1000000.00"[: 8 + digits] if digits else "1000000"
        raise ValueError(f"found {text!r}, expected a plain amount such as {example}")
    whole, _, decimals = text.partition(".")
    if len(decimals) > digits:
        raise Refused(f"found {text!r}, expected at most {digits} decimals for {currency}", "scale")
    too_long = len(whole) > MAX_WHOLE
    minor = MINOR_LIMIT if too_long else int(whole + decimals.ljust(digits, "0"))
    if abs(minor) >= MINOR_LIMIT:
        raise Refused(f"found {text!r}, expected an amount below 10^15 minor units", "range")
    return Money(minor, currency)


def _read_money(value: object) -> Money:
    if isinstance(value, Money):
        return value
    if not isinstance(value, str):
        raise ValueError(f"found {shown(value)}, expected a plain amount such as 1000000.00")
    amount, blank, currency = value.partition(" ")
    if not blank:
        currency = _document_currency.get() or ""
    if currency not in MINOR_DIGITS:
        message = f"found {value!r}, expected an amount with its currency, such as 12.50 CNY"
        named = not blank or currency.isalpha()
        raise Refused(message, "currency" if named else "invalid_value")
    return parse_amount(amount, currency)


def allocate(total: Money, weights: Sequence[Fraction]) -> list[Money]:
    """Split without losing a minor unit, by largest remainder (R2).

    Each part is within one minor unit of its exact share; ties go to the larger weight, then to
    the earlier one; negating the total negates every part.

    Raises:
        TermsError: no positive weight, or a negative one.
    """
    whole = sum(weights, Fraction(0))
    if whole <= 0 or any(weight < 0 for weight in weights):
        raise TermsError(
            "an amount can only be split over weights that are not negative, one positive"
        )
    sign = -1 if total.minor < 0 else 1
    exact = [abs(total.minor) * weight / whole for weight in weights]
    parts = [share.numerator // share.denominator for share in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], -weights[i], i))
    for i in by_remainder[: abs(total.minor) - sum(parts)]:
        parts[i] += 1
    return [Money(sign * part, total.currency) for part in parts]
