"""The small grammars of documents and commands: ids, counts, shares, quantities, days, instants. Pure."""

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from contracts.calendar import Period
from contracts.errors import Refused, TermsError

DIGITS = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?", re.ASCII)
PERCENT = re.compile(r"((?:0|[1-9][0-9]{0,2})(?:\.[0-9]{1,6})?) ?%", re.ASCII)
RATIO = re.compile(r"(0|[1-9][0-9]{0,8})/([1-9][0-9]{0,8})", re.ASCII)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
OFFSET = re.compile(r"[Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
COUNTS = range(10**9)
YEARS = range(2000, 2100)
"""Business is dated in this century; a later date is a slip, and overflows in some time zone."""
ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$"
CLAUSE = r"^[^\s].{0,31}$"


class Terms(BaseModel):
    """A piece of the agreement: immutable, and nothing unknown in it."""

    # Whoever loads the kinds of terms uses a few, and each takes a moment to build.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def shown(value: object) -> str:
    """A value in a message; Python itself refuses to print a number of very many digits."""
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a number of more than 18 digits"
    return repr(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"found {shown(value)}, expected a whole number such as 10")
    if isinstance(value, str) and not DIGITS.fullmatch(value):
        raise ValueError(f"found {value!r}, expected a whole number in plain digits, such as 10")
    if isinstance(value, int) and value not in COUNTS:
        raise Refused(f"found {shown(value)}, expected 0 to {COUNTS[-1]}", "range")
    return int(value)


def _share(value: object) -> Fraction:
    if isinstance(value, Fraction):
        share = value
    elif not isinstance(value, str):
        raise ValueError(f"found {shown(value)}, expected a share such as 30% or 1/3")
    elif percent := PERCENT.fullmatch(value):
        share = Fraction(percent[1]) / 100
    elif ratio := RATIO.fullmatch(value):
        share = Fraction(int(ratio[1]), int(ratio[2]))
    elif value in {"0", "1"}:
        share = Fraction(value)
    else:
        raise ValueError(f"found {value!r}, expected a share such as 30% or 1/3")
    if not 0 <= share <= 1:
        raise ValueError(f"found {value!r}, expected a share between 0% and 100%")
    return share


def _quantity(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise ValueError(f"found {shown(value)}, expected a plain decimal number such as 81.25")
    return Decimal(value)


def _period(value: object) -> Period:
    if isinstance(value, Period):
        return value
    try:
        return Period.parse(value if isinstance(value, str) else shown(value))
    except TermsError as refused:
        raise ValueError(str(refused)) from refused


def read_day(value: object) -> date:
    if type(value) is date:
        day = value
    elif not isinstance(value, str) or not DAY.fullmatch(value):
        raise ValueError(f"found {shown(value)}, expected a date such as 2024-08-30")
    else:
        try:
            day = date.fromisoformat(value)
        except ValueError as unknown:
            message = f"found {value!r}, expected a day that the calendar has"
            raise Refused(message, "date_invalid") from unknown
    if day.year not in YEARS:
        message = f"found {str(value)!r}, expected a date from 2000-01-01 to 2099-12-31"
        raise Refused(message, "date_range")
    return day


def read_instant(value: object) -> datetime:
    instant = _parsed(value) if isinstance(value, str) else value
    if not isinstance(instant, datetime):
        raise ValueError(f"found {shown(value)}, expected a time such as 2024-08-30T09:00:00Z")
    if instant.tzinfo is None:
        message = f"found {str(value)!r}, expected a time with its zone: Z, or an offset as +08:00"
        raise Refused(message, "timezone")
    if not datetime(2000, 1, 1, tzinfo=UTC) <= instant < datetime(2100, 1, 1, tzinfo=UTC):
        message = f"found {str(value)!r}, expected a time from 2000 to 2099 in UTC"
        raise Refused(message, "time_range")
    return instant


def _parsed(text: str) -> datetime:
    """What is finer than a microsecond is dropped; a leap second is no second here."""
    match = INSTANT.fullmatch(text)
    if not match:
        raise ValueError(f"found {text!r}, expected a time such as 2024-08-30T09:00:00Z")
    if match["zone"] and not OFFSET.fullmatch(match["zone"]):
        raise Refused(f"found {text!r}, expected an offset of at most 23:59", "timezone")
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError as unknown:
        message = f"found {text!r}, expected a day that the calendar has and a time of the day"
        raise Refused(message, "date_invalid") from unknown


def short_id(id: str) -> str:
    """`H1` of `eng.E7.hold.H1`; what is in no engagement stays as it is."""
    return id.rpartition(".")[2]


def percent(share: Fraction) -> str:
    """For people: `30%`, `62.5%`; a share that is no short percentage stays a ratio, `1/3`."""
    scaled = share * 100
    if 10**6 % scaled.denominator:
        return str(share)
    return f"{(Decimal(scaled.numerator) / scaled.denominator).normalize():f}%"


Id = Annotated[str, StringConstraints(pattern=ID)]
"""Letters, digits, `-` and `_`: ids become part of workflow ids and of keys."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Clause = Annotated[str, StringConstraints(pattern=CLAUSE)]

Count = Annotated[int, BeforeValidator(_count), WithJsonSchema({"type": ["integer", "string"]})]
Share = Annotated[
    Fraction,
    BeforeValidator(_share),
    PlainSerializer(str),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["30%", "1/3"]}),
]
"""Exact, 0..1."""

Quantity = Annotated[
    Decimal,
    BeforeValidator(_quantity),
    PlainSerializer(lambda value: f"{value:f}"),
    WithJsonSchema({"type": ["number", "string"]}),
]
"""An exact decimal in the unit of the indicator."""

Span = Annotated[
    Period,
    BeforeValidator(_period),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["P3M", "P10D"]}),
]
"""Calendar months and days."""

Day = Annotated[
    date, BeforeValidator(read_day), WithJsonSchema({"type": "string", "format": "date"})
]
"""A calendar date, `2024-08-30`; neither a timestamp nor an instant."""

Instant = Annotated[AwareDatetime, BeforeValidator(read_instant)]
"""A time with its offset as RFC 3339 writes it, `2024-08-30T09:00:00+08:00`; never a number."""


class Title(Terms):
    """A name in the languages of the contract."""

    en: Text
    zh: Text | None = None


def canonical(value: Any) -> str:
    """One text per value: sorted keys, no blanks, for digests and for comparing payloads."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
