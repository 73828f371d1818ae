"""Recompute every number of a bundle with arithmetic of its own: `tollkeeper-verify BUNDLE`.

This one file needs Python and the `cryptography` package, and nothing of Tollkeeper; copied
elsewhere it runs as `python verify.py BUNDLE`. Exit codes: 0 every number agrees, 1 the bundle is
altered or a number differs, 2 the call is wrong.

From the top down: the zip and its signature; arithmetic, scores, days; the bundle and the terms; the
checks of what is told and signed; prices; the books, made again effect by effect; the checks of what
comes out of them, with the clocks of holds; the program.
"""

import argparse
import ast
import json
import operator
import os
import re
import struct
import sys
from calendar import monthrange
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from itertools import groupby, pairwise, takewhile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from zlib import crc32
from zoneinfo import ZoneInfo

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "tollkeeper-bundle/1"
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
DIGITS = {
    "CNY": 2, "EUR": 2, "GBP": 2, "HKD": 2, "JPY": 0, "KRW": 0, "KWD": 3, "SGD": 2, "TWD": 2, "USD": 2,
}  # fmt: skip
Json = Any


class Refused(Exception):
    """The bundle is not what was signed: where, what was found, what is expected."""

    expected = "expected"

    def __init__(self, place: object, found: object, expected: object) -> None:
        super().__init__(f"{place}\n  {'found':12}{found}\n  {self.expected:12}{expected}")


class Differs(Refused):
    """A number is not what comes out."""

    expected = "recomputed"


@dataclass(frozen=True)
class At:
    """A place in a file of the bundle: `journal.json: groups[3].postings[0].amount`."""

    file: str
    path: str = ""

    def __truediv__(self, step: str | int) -> "At":
        if isinstance(step, int):
            return At(self.file, f"{self.path}[{step}]")
        return At(self.file, f"{self.path}.{step}" if self.path else step)

    def __str__(self) -> str:
        return f"{self.file}: {self.path}" if self.path else self.file


def agree(at: At, found: Json, expected: Json) -> int:
    """How many values were compared; of an object only what is expected of it."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return sum(agree(at / key, found.get(key), value) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            raise Differs(at, f"{len(found)} entries", f"{len(expected)} entries")
        return sum(agree(at / i, *pair) for i, pair in enumerate(zip(found, expected, strict=True)))
    if type(found) is not type(expected) or found != expected:
        raise Differs(at, found, expected)
    return 1


# The zip: read strictly, so that no byte of it is without a meaning.

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
PLAIN = re.compile(rb"[A-Za-z0-9_./-]+")
VERSION, UNIX, FIRST_OF_1980, FILE_MODE = 20, 3, 0x21, 0o100644


def read_zip(data: bytes) -> dict[str, bytes]:
    """The files of the zip: stored, without dates, one after the other, nothing between them.

    Raises:
        Refused: anything else, with the file or the part of the zip where it begins.
    """
    count, start = _end_record(data)
    files: dict[str, bytes] = {}
    entry_at, header_at = start, 0
    for number in range(1, count + 1):
        place = f"entry {number} of the zip's central directory, at byte {entry_at}"
        name, content = _file(data, entry_at, header_at, place)
        if name in files:
            raise Refused(f"{name}, {place}", "a second file of that name", "each name once")
        files[name] = content
        entry_at += CENTRAL.size + len(name)
        header_at += LOCAL.size + len(name) + len(content)
    if (entry_at, header_at) != (len(data) - END.size, start):
        raise Refused(THE_END, f"{count} files, and more bytes", "nothing between the files")
    return files


THE_END = "the end record of the zip"


def _end_record(data: bytes) -> tuple[int, int]:
    """How many files there are, and where the central directory begins."""
    end = len(data) - END.size
    if end < 0 or data[end : end + 4] != b"PK\5\6":
        raise Refused(THE_END, "none in the last 22 bytes", "one, after which the zip is over")
    _, _, _, _, count, _, start, _ = END.unpack_from(data, end)
    expected = END.pack(b"PK\5\6", 0, 0, count, count, max(end - start, 0), start, 0)
    if data[end:] != expected:
        raise Refused(THE_END, data[end:].hex(), expected.hex())
    return count, start


def _file(data: bytes, entry_at: int, header_at: int, place: str) -> tuple[str, bytes]:
    """Name and content; what both headers say has to be the same, and all there is to say."""
    if entry_at + CENTRAL.size > len(data):
        raise Refused(place, "the end of the zip", "an entry")
    fields = CENTRAL.unpack_from(data, entry_at)
    crc, size, name_size = fields[7], fields[8], fields[10]
    raw = data[entry_at + CENTRAL.size :][:name_size]
    if not PLAIN.fullmatch(raw):
        raise Refused(place, f"the name {raw!r}", "a name in plain letters")
    name = raw.decode()
    both = (VERSION, 0, 0, 0, FIRST_OF_1980, crc, size, size, name_size, 0)
    entry = CENTRAL.pack(b"PK\1\2", UNIX << 8 | VERSION, *both, 0, 0, 0, FILE_MODE << 16, header_at)
    found = data[entry_at:][: len(entry)]
    if found != entry:
        raise Refused(f"{name}, {place}", found.hex(), entry.hex())
    header = LOCAL.pack(b"PK\3\4", *both) + raw
    found = data[header_at:][: len(header)]
    if found != header:
        where = f"{name}, its header at byte {header_at}, or {place}"
        raise Refused(where, found.hex(), header.hex())
    content = data[header_at + len(header) :][:size]
    if crc32(content) != crc:
        raise Refused(name, f"CRC {crc32(content):08x}", f"CRC {crc:08x}, as the zip has it")
    return name, content


def canonical(value: Json) -> bytes:
    """One text per value, over which the hashes inside the files are taken."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def read_json(name: str, data: bytes) -> Json:
    def once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        if len(dict(pairs)) < len(pairs):
            raise Refused(name, "a key a second time in one object", "each key once")
        return dict(pairs)

    try:
        return json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as unreadable:
        raise Refused(name, f"no JSON: {unreadable}", "JSON") from unreadable


# The signature.


def fingerprint(public_key: bytes) -> str:
    return f"sha256:{sha256(public_key).hexdigest()}"


def wanted_fingerprint(key: str) -> str:
    """Of `--key`: a fingerprint, or a file with the public key (PEM).

    Raises:
        ValueError: neither of them.
    """
    if re.fullmatch(r"(sha256:)?[0-9a-f]{64}", key):
        return f"sha256:{key.removeprefix('sha256:')}"
    if not Path(key).is_file():
        raise ValueError(
            f"--key: found {key!r}, expected sha256: and 64 hexadecimal digits, or a file with the "
            "public key"
        )
    loaded = serialization.load_pem_public_key(Path(key).read_bytes())
    if not isinstance(loaded, Ed25519PublicKey):
        raise ValueError(f"found a key of another kind in {key}, expected Ed25519")
    return fingerprint(loaded.public_bytes_raw())


def check_signature(files: dict[str, bytes], wanted: str | None) -> str:
    """The fingerprint of the key that signed the manifest, and with it every file."""
    for name in (MANIFEST, SIGNATURE):
        if name not in files:
            raise Refused(name, "no such file", "a signed manifest")
    signed, at = read_json(SIGNATURE, files[SIGNATURE]), At(SIGNATURE)
    try:
        public_key = bytes.fromhex(signed["public_key"])
        signature = bytes.fromhex(signed["signature"])
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, files[MANIFEST])
    except InvalidSignature as wrong:
        place = f"{MANIFEST} and {SIGNATURE}"
        raise Refused(place, "a signature of something else", "that of the manifest") from wrong
    except (ValueError, KeyError, TypeError) as wrong:
        raise Refused(at, f"no signature: {wrong!r}", "key and signature in hex") from wrong
    expected = {
        "algorithm": "Ed25519",
        "fingerprint": fingerprint(public_key),
        "public_key": public_key.hex(),
        "signature": signature.hex(),
    }
    agree(at, signed, expected)
    text = json.dumps(expected, sort_keys=True, indent=1) + "\n"
    if files[SIGNATURE] != text.encode():
        raise Refused(
            at, "the same in another layout, or more", "the four values as they are written"
        )
    if wanted and wanted != expected["fingerprint"]:
        raise Refused(at / "public_key", f"the key {expected['fingerprint']}", f"the key {wanted}")
    return expected["fingerprint"]


def check_manifest(files: dict[str, bytes]) -> int:
    manifest, at = read_json(MANIFEST, files[MANIFEST]), At(MANIFEST)
    agree(at, manifest, {"format": FORMAT})
    listed = {entry["path"]: entry for entry in manifest["files"]}
    for name in sorted({*files, *listed} - {MANIFEST, SIGNATURE}):
        if name not in listed:
            raise Refused(name, "a file that the manifest does not name", "no other file")
        if name not in files:
            raise Refused(name, "no such file", "a file that the manifest names")
        digest = sha256(files[name]).hexdigest()
        if digest != listed[name]["sha256"]:
            raise Refused(name, f"SHA-256 {digest}", f"SHA-256 {listed[name]['sha256']}")
        agree(at / f"files[{name}]", listed[name], {"bytes": len(files[name])})
    return len(listed)


# Arithmetic.


def rounded(value: Fraction) -> int:
    """Half away from zero."""
    magnitude = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return magnitude if value >= 0 else -magnitude


def split(total: int, weights: list[Fraction]) -> list[int]:
    """By largest remainder; of two alike the larger weight, then the earlier, gets the unit."""
    exact = [Fraction(total) * weight / sum(weights) for weight in weights]
    parts = [int(each) for each in exact]  # towards zero
    unit = 1 if total >= 0 else -1
    claims = sorted(
        (-abs(each - part), -weight, i)
        for i, (each, part, weight) in enumerate(zip(exact, parts, weights, strict=True))
    )
    for _, _, i in claims[: abs(total - sum(parts))]:
        parts[i] += unit
    return parts


def part_of_tax(tax: int, whole: int, before: int, part: int) -> int:
    """The tax inside the next part of an amount that is taken apart over time."""
    return rounded(Fraction(tax * (before + part), whole)) - rounded(Fraction(tax * before, whole))


def share(text: str) -> Fraction:
    return Fraction(text.removesuffix("%")) / (100 if text.endswith("%") else 1)


OPERATORS: dict[type[ast.AST], Callable[..., Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}
FUNCTIONS: dict[str, Callable[..., Fraction]] = {
    "abs": abs,
    "ceiling": lambda x: Fraction(-(-x // 1)),
    "clamp": lambda x, low, high: min(max(x, low), high),
    "floor": lambda x: Fraction(x // 1),
    "max": max,
    "min": min,
}


def formula(text: str) -> Fraction:
    """The value of a formula of numbers: + - * /, parentheses, percent and six functions."""
    quoted = re.sub(r"[0-9]+(\.[0-9]+)?%?", lambda number: f"'{number[0]}'", text)

    def value(node: ast.AST) -> Fraction:
        match node:
            case ast.Constant(value=str(number)):
                return share(number)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(left), value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
                return FUNCTIONS[name](*map(value, args))
        raise ValueError(f"{text!r} is no formula of numbers")

    return value(ast.parse(quoted.strip(), mode="eval").body)


def at_decimals(value: Fraction, decimals: int, mode: str) -> Fraction:
    scaled = value * Fraction(10) ** decimals
    down, up = Fraction(scaled // 1), Fraction(-(-scaled // 1))
    inner, outer = (down, up) if scaled >= 0 else (up, down)
    middle = abs(scaled - inner) - Fraction(1, 2)
    far = {
        "half_away": middle >= 0,
        "half_even": middle > 0 or (middle == 0 and inner % 2 == 1),
        "half_down": middle > 0,
        "away": True,
        "towards_zero": False,
        "ceiling": outer == up,
        "floor": outer == down,
    }[mode]
    return (outer if far else inner) / Fraction(10) ** decimals


def straight(
    x: Fraction, left: tuple[Fraction, Fraction], right: tuple[Fraction, Fraction]
) -> Fraction:
    """The line through two points."""
    return left[1] + (right[1] - left[1]) / (right[0] - left[0]) * (x - left[0])


# Scores, one function for each kind of scoring.


def _binary(terms: Json, x: Fraction) -> Fraction:
    return Fraction(x > 1 or (x == 1 and terms["at_target"] == "met"))


def _clamped_linear(terms: Json, x: Fraction) -> Fraction:
    floor, cap = share(terms["floor"]), share(terms["cap"])
    return Fraction(0) if x <= floor else Fraction(1) if x >= cap else (x - floor) / (cap - floor)


COMPARISONS = {
    "at_least": operator.ge,
    "more_than": operator.gt,
    "at_most": operator.le,
    "less_than": operator.lt,
}


def _steps(terms: Json, x: Fraction) -> Fraction:
    for step in terms["steps"]:
        stated = [name for name in COMPARISONS if step.get(name) is not None]
        if all(COMPARISONS[name](x, formula(step[name])) for name in stated):
            return formula(step["gives"])
    return formula(terms["otherwise"])


def _affine(terms: Json, x: Fraction) -> Fraction:
    score = formula(terms["slope"]) * x + formula(terms["offset"])
    if rounding := terms.get("round"):
        score = at_decimals(score, rounding["decimals"], rounding["mode"])
    if terms.get("at_least") is not None:
        score = max(score, formula(terms["at_least"]))
    return min(score, formula(terms["at_most"])) if terms.get("at_most") is not None else score


def _curve(terms: Json, x: Fraction) -> Fraction:
    at = [formula(knot["at"]) for knot in terms["knots"]]
    arrives = [formula(knot["gives"]) for knot in terms["knots"]]
    leaves = [
        arrived if knot.get("jumps_to") is None else formula(knot["jumps_to"])
        for knot, arrived in zip(terms["knots"], arrives, strict=True)
    ]
    if x in at:
        i = at.index(x)
        return leaves[i] if terms["knots"][i].get("at_the_jump") == "after" else arrives[i]
    passed = sum(each < x for each in at)
    if passed in (0, len(at)):
        return arrives[0] if passed == 0 else leaves[-1]
    return straight(x, (at[passed - 1], leaves[passed - 1]), (at[passed], arrives[passed]))


def _table(terms: Json, x: Fraction) -> Fraction:
    rows = [(formula(row["at"]), formula(row["gives"])) for row in terms["rows"]]
    passed = sum(at <= x for at, _ in rows)
    if passed == 0:
        return formula(terms["before"])
    last = rows[passed - 1]
    if passed == len(rows) or last[0] == x or terms["between"] == "row_below":
        return last[1]
    following = rows[passed]
    return following[1] if terms["between"] == "row_above" else straight(x, last, following)


def _shortfall(terms: Json, x: Fraction) -> Fraction:
    missing = formula(terms["target"]) - x
    return max(missing if terms["better"] == "higher" else -missing, Fraction(0))


def _per_unit(terms: Json, x: Fraction) -> Fraction:
    beyond = x - formula(terms["start"])
    exact = max(beyond if terms["direction"] == "above" else -beyond, Fraction(0))
    exact /= formula(terms["unit_size"])
    counted = {
        "full_units": Fraction(exact // 1),
        "started_units": Fraction(-(-exact // 1)),
        "pro_rata": exact,
    }[terms["counted"]]
    score = counted * formula(terms["gives"])
    return min(score, formula(terms["at_most"])) if terms.get("at_most") is not None else score


def _logistic(terms: Json, x: Fraction) -> Fraction:
    exponent = -formula(terms["steepness"]) * (x - formula(terms["midpoint"]))
    if abs(exponent) > 1000:
        return Fraction(exponent < 0)
    with localcontext() as context:
        context.prec = terms["decimals"] + 50
        odds = (Decimal(exponent.numerator) / Decimal(exponent.denominator)).exp()
        step = Decimal(1).scaleb(-terms["decimals"])
        return Fraction((1 / (1 + odds)).quantize(step, rounding=ROUND_HALF_EVEN))


SCORES: dict[str, Callable[[Json, Fraction], Fraction]] = {
    "binary": _binary,
    "clamped_linear": _clamped_linear,
    "steps": _steps,
    "affine": _affine,
    "curve": _curve,
    "table": _table,
    "shortfall": _shortfall,
    "per_unit": _per_unit,
    "logistic": _logistic,
}


def share_won(scoring: Json, attainment: Fraction) -> Fraction:
    """The share of a stake, from 0 to 1."""
    score = SCORES[scoring["kind"]](scoring, attainment)
    return min(max(score, Fraction(0)), Fraction(1))


# Days.


def later(day: date, period: str, sign: int = 1) -> date:
    """That many months, a month end clamped, and then that many days, on or back."""
    match = re.fullmatch(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?", period)
    if not match:
        raise ValueError(f"{period!r} is no period")
    years, months, days = (int(each or 0) for each in match.groups())
    number = day.year * 12 + day.month - 1 + sign * (12 * years + months)
    year, month = number // 12, number % 12 + 1
    clamped = date(year, month, min(day.day, monthrange(year, month)[1]))
    return clamped + timedelta(sign * days)


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The last second of a day there."""
    midnight = datetime.combine(day + timedelta(1), time(), zone)
    return midnight.astimezone(UTC) - timedelta(seconds=1)


@dataclass(frozen=True)
class WorkingDays:
    """Monday to Friday but for days off, and with the weekends that are worked, up to a last year."""

    zone: ZoneInfo
    off: frozenset[str]
    on: frozenset[str]
    last_year: int

    def decreed(self, facts: Json) -> "WorkingDays":
        """With days that were decreed later; they win."""
        off, on = frozenset(facts["off"]), frozenset(facts["working"])
        last_year = max(self.last_year, facts["last_year"])
        return WorkingDays(self.zone, (self.off | off) - on, (self.on | on) - off, last_year)

    def works(self, day: date) -> bool:
        if day.year > self.last_year:
            raise Differs(
                "calendar.json", f"no working days of {day.year}", "those a clock reaches"
            )
        text = day.isoformat()
        return text in self.on or (day.weekday() < 5 and text not in self.off)

    def after(self, when: datetime, days: int) -> datetime:
        """The end of that working day; the day of `when` itself never counts."""
        day = when.astimezone(self.zone).date()
        while days:
            day += timedelta(1)
            days -= self.works(day)
        return end_of(day, self.zone)

    def between(self, since: datetime, until: datetime) -> int:
        """How many follow the day of `since`, up to that of `until`."""
        first, last = (when.astimezone(self.zone).date() for when in (since, until))
        return sum(self.works(first + timedelta(i + 1)) for i in range((last - first).days))


def trend(baseline: Fraction, target: Fraction, series: list[tuple[date, Fraction]]) -> str:
    """The median of all slopes and the median of the last third, against the baseline."""
    if len({day for day, _ in series}) < 3:
        return "INSUFFICIENT_DATA"
    better = 1 if target > baseline else -1
    slope = median(
        Fraction(right - left) / (until - since).days
        for i, (since, left) in enumerate(series)
        for until, right in series[i + 1 :]
    )
    last = [value for _, value in series[len(series) - -(-len(series) // 3) :]]
    signs = {better * slope > 0, better * (median(last) - baseline) > 0}
    against = {better * slope < 0, better * (median(last) - baseline) < 0}
    return "IMPROVING" if signs == {True} else "WORSENING" if against == {True} else "FLAT"


# The bundle.


@dataclass
class Bundle:
    """The files, read; amounts in it are minor units of the contract's one currency."""

    files: dict[str, bytes]
    notes: list[str] = field(default_factory=list)
    _read: dict[str, Json] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Json:
        """`bundle["journal"]` is what `journal.json` says."""
        if name not in self._read:
            self._read[name] = read_json(f"{name}.json", self.text(f"{name}.json"))
        return self._read[name]

    def text(self, file: str) -> bytes:
        if file not in self.files:
            raise Refused(file, "no such file", "a file of every bundle")
        return self.files[file]

    @cached_property
    def versions(self) -> dict[str, "Terms"]:
        """Each contract version that something was done under, by `ID@v1`."""
        names = [str(version["contract"]) for version in self["contracts"]]
        read = {name: self[contract_file(name).removesuffix(".json")] for name in names}
        return {name: Terms(name, content) for name, content in read.items()}

    def version(self, name: str) -> "Terms":
        if name not in self.versions:
            raise Refused("contracts.json", f"not {name}", "every version used")
        return self.versions[name]

    @cached_property
    def in_force(self) -> list["Terms"]:
        """The versions as they came into force: the one it was opened with, then by change orders."""
        return [
            self.version(event["facts"]["contract"])
            for _, event in self.events("engagement.opened", "change_order.applied")
        ]

    def terms_told(self, told: Json) -> "Terms":
        """The version in force when an event was told; at one instant there may be two."""
        terms = self.in_force[0]
        for event in takewhile(lambda event: event is not told, self["timeline"]):
            if event["type"] == "change_order.applied":
                terms = self.version(event["facts"]["contract"])
        return terms

    @cached_property
    def terms(self) -> "Terms":
        """The version that is in force now."""
        return self.version(self["engagement"]["contract"])

    def indicators(self, terms: "Terms") -> dict[str, Json]:
        (version,) = (each for each in self["contracts"] if each["contract"] == terms.name)
        return {entry["id"]: entry for entry in version["indicators"]}

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.terms["timezone"])

    @cached_property
    def book(self) -> "Book":
        """Everything that has to be in the books, made again."""
        return Book(self).kept()

    def milestone_of(self, hold: str) -> str | None:
        """The milestone that a hold blocks."""
        blocked = [each["milestone"] for each in self["holds"] if each["id"] == hold]
        return blocked[0] if blocked else None

    def asked_of(self, hold: str) -> list[Json]:
        """Requests that reserve a part of a hold until they are decided."""
        return [
            request
            for request in self["requests"]
            if request["subject"] == hold and request["decision"] in ("release", "forfeit")
        ]

    def readings_until(self, indicator: str, when: str, terms: "Terms") -> list[Json]:
        """What an indicator was known to be then, by day; a later reading of a day corrects it."""
        known = [each for each in self["readings"] if instant(each["occurred_at"]) <= instant(when)]
        return by_day(known, indicator, self.indicators(terms)[indicator])

    def working_days(self, told: Json, *processes: str) -> WorkingDays:
        """Those known when an event was told: with what was decreed before it, to whom it concerns."""
        agreed = self["calendar"]
        off, on = frozenset(agreed["days_off"]), frozenset(agreed["days_on"])
        days = WorkingDays(self.zone, off, on, agreed["last_year"])
        for event in takewhile(lambda event: event is not told, self["timeline"]):
            if event["type"] == "calendar.set" and event["process"] in (self.process, *processes):
                days = days.decreed(event["facts"])
        return days

    @cached_property
    def process(self) -> str:
        return f"eng.{self['engagement']['id']}"

    def minor(self, text: str) -> int:
        """Read `360000.00 CNY`."""
        amount, _, currency = text.partition(" ")
        scaled = Fraction(amount) * 10 ** DIGITS[self.terms["currency"]]
        if currency != self.terms["currency"] or scaled.denominator != 1:
            raise ValueError(f"{text!r} is no amount in {self.terms['currency']}")
        return int(scaled)

    def exact(self, minor: int) -> Fraction:
        return Fraction(minor, 10 ** DIGITS[self.terms["currency"]])

    def plain(self, minor: int) -> str:
        """Write `360000.00`."""
        digits = DIGITS[self.terms["currency"]]
        whole, rest = divmod(abs(minor), 10**digits)
        sign = "-" if minor < 0 else ""
        return f"{sign}{whole}.{rest:0{digits}}" if digits else f"{sign}{whole}"

    def full(self, minor: int) -> str:
        return f"{self.plain(minor)} {self.terms['currency']}"

    def day(self, when: str) -> date:
        """The date in the contract's time zone."""
        return datetime.fromisoformat(when).astimezone(self.zone).date()

    def events(self, *types: str) -> Iterator[tuple[At, Json]]:
        for i, event in enumerate(self["timeline"]):
            if event["type"] in types:
                yield At("timeline.json") / i, event

    def asked(self, request: Json) -> tuple[At, Json]:
        """The event of the timeline that tells of it first."""
        for told in self.told_of(request, "approval.requested"):
            return told
        raise Differs("timeline.json", f"no approval.requested of {request['id']}", "one")

    def told_of(self, request: Json, *types: str) -> list[tuple[At, Json]]:
        """What the timeline tells of a request."""
        return [
            told for told in self.events(*types) if told[1]["facts"]["request"] == request["id"]
        ]


NAMED_BY_CONTRACT = {"release", "forfeit", "extend", "place_hold", "gain_share"}
"""Decisions about what the contract has an id for; policies may name it."""


@dataclass(frozen=True)
class Terms:
    """One version of the contract; `name` is `ID@v1`."""

    name: str
    content: Json

    def __getitem__(self, clause: str) -> Json:
        return self.content[clause]

    def get(self, clause: str) -> Json:
        """An optional clause, where the contract has it."""
        return self.content.get(clause)

    @property
    def bet(self) -> Json:
        return one(self["bets"], self["holdback"]["bet"])

    def holdback(self, b: Bundle) -> int:
        fee = one(self["fees"], self["holdback"]["fee"])
        return rounded(b.minor(fee["amount"]) * share(self["holdback"]["rate"]))

    def stakes(self, b: Bundle) -> dict[str, int]:
        weights = [share(terms["weight"]) for terms in self.bet["indicators"]]
        names = [terms["indicator"] for terms in self.bet["indicators"]]
        return dict(zip(names, split(self.holdback(b), weights), strict=True))

    def _is_gain_share(self, fee: str) -> bool:
        return bool(self.get("gain_share")) and self["gain_share"]["id"] == fee

    def tax_of(self, fee: str) -> tuple[str, Fraction]:
        """Code and rate: those that the fee line names, else the contract's own."""
        code = None if self._is_gain_share(fee) else one(self["fees"], fee).get("tax")
        named = [tax for tax in self.get("taxes") or [] if tax["code"] == code]
        tax = named[0] if named else self["tax"]
        return str(tax["code"]), share(tax["rate"])

    def prices_of(self, fee: str) -> str:
        """Whether amounts of a fee are `net`, or `gross` with their tax inside."""
        return "net" if self._is_gain_share(fee) else one(self["fees"], fee).get("prices", "net")

    def level_of(self, fee: str) -> str:
        return f"gain_share:{fee}" if self._is_gain_share(fee) else f"fee:{fee}"

    def authorised(self, b: Bundle) -> dict[str, int]:
        """What may be billed of the contract and of each fee; a ceiling lowers it."""
        levels = {f"fee:{fee['id']}": b.minor(fee["amount"]) for fee in self["fees"]}
        if gain := self.get("gain_share"):
            levels[f"gain_share:{gain['id']}"] = b.minor(gain["cap"])
        levels = {"contract": sum(levels.values())} | levels
        for ceiling in self.get("ceilings") or []:
            of_fee = ceiling["level"] != "contract"
            level = self.level_of(ceiling["level"]) if of_fee else "contract"
            levels[level] = min(levels[level], b.minor(ceiling["amount"]))
        return levels

    def people_of(self, side: str) -> set[str]:
        return {person["id"] for person in self["parties"][side]["people"]}

    def clauses_that_decide(self, request: Json) -> list[str]:
        """Clauses that decide without people: silence after a decision clock, a retention's step."""
        hold, _, what = request["effect_key"].partition(":")
        clocks, retention = self.get("hold_clocks"), self.get("retention")
        if what == "default" and clocks and clocks["default"] == request["decision"]:
            return [clocks["clause"]]
        if retention and hold.endswith(f".hold.{retention['id']}"):
            again = [
                f"{retention['release'][-1]['id']}-{each['id']}" for each in self["milestones"]
            ]
            if what in again:
                return [retention["release"][-1]["clause"]]
            return [step["clause"] for step in retention["release"] if step["id"] == what]
        return []

    def names_of(self, request: Json, milestone: str | None) -> set[str]:
        """How the contract may name, for a policy, what a request is about; people name the rest."""
        if request["decision"] not in NAMED_BY_CONTRACT:
            return set()
        own, payload = request["subject"].rpartition(".")[2], request["payload"]
        placed = {self["holdback"]["id"], *(each["id"] for each in self.get("miss_holds") or [])}
        placed |= {self["retention"]["id"]} if self.get("retention") else set()
        if own in placed:
            return {own}
        names = {own, request["subject"], milestone, payload.get("milestone")}
        return {name for name in names if name}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def by_day(readings: list[Json], indicator: str, agreed: Json) -> list[Json]:
    """The readings over enough items, one a day: a later one corrects an earlier one."""
    days = {each["measured_on"]: each for each in readings if each["indicator"] == indicator}
    return [days[day] for day in sorted(days) if days[day]["sample"] >= agreed["min_sample"]]


def one(entries: Iterable[Json], wanted: str) -> Json:
    for entry in entries:
        if entry["id"] == wanted:
            return entry
    raise ValueError(f"{wanted!r} is not in the contract")


def contract_file(contract: str) -> str:
    return f"contracts/{contract.replace('@', '-')}.json"


# The checks, in the order in which they run; each gives how many values it compared.

Check = Callable[[Bundle], int]
CHECKS: list[tuple[str, Check]] = []


def check(title: str) -> Callable[[Check], Check]:
    def register(judge: Check) -> Check:
        CHECKS.append((title, judge))
        return judge

    return register


@check("each contract version is the text whose digest was agreed, and the last one is in force")
def _contracts(b: Bundle) -> int:
    at, compared = At("contracts.json"), 0
    for i, version in enumerate(b["contracts"]):
        file = contract_file(version["contract"])
        document = b[file.removesuffix(".json")]
        stated = {
            "contract": f"{document['id']}@v{document['version']}",
            "digest": sha256(b.text(file)).hexdigest(),
        }
        compared += agree(at / i, version, stated)
    digests = {version["contract"]: version["digest"] for version in b["contracts"]}
    for place, event in b.events("engagement.opened", "change_order.applied"):
        digest = digests.get(event["facts"]["contract"])
        compared += agree(place / "facts.sha256", event["facts"]["sha256"], digest)
    at = At("engagement.json", "contract")
    compared += agree(at, b["engagement"]["contract"], b.in_force[-1].name)
    for turn in ("opened", "proceeded", "closed"):
        told = [event["occurred_at"] for _, event in b.events(f"engagement.{turn}")]
        reached = {f"{turn}_at": told[0] if told else None}
        compared += agree(At("engagement.json"), b["engagement"], reached)
    return compared


@check("the milestones of a fee and its holdback are the fee; the weights of the bet are 100 %")
def _terms(b: Bundle) -> int:
    compared = 0
    for name, terms in b.versions.items():
        at = At(contract_file(name))
        lines = [
            line
            for milestone in terms["milestones"]
            for line in (milestone, *milestone.get("more", []))
        ]
        for i, fee in enumerate(terms["fees"]):
            total = sum(b.minor(line["amount"]) for line in lines if line["fee"] == fee["id"])
            total += terms.holdback(b) if fee["id"] == terms["holdback"]["fee"] else 0
            if fee["id"] != terms["micro_consulting"]["fee"]:
                compared += agree(at / "fees" / i / "amount", fee["amount"], b.full(total))
        weights = sum(share(indicator["weight"]) for indicator in terms.bet["indicators"])
        compared += agree(at / "bets[0].weights", str(weights), "1")
    return compared


@check("each reading has its hash, and was told in the timeline as it is")
def _readings(b: Bundle) -> int:
    compared = 0
    for i, reading in enumerate(b["readings"]):
        content = {key: value for key, value in reading.items() if key != "sha256"}
        expected = {"sha256": sha256(canonical(content)).hexdigest(), "number": i + 1}
        compared += agree(At("readings.json") / i, reading, expected)
    facts = [event["facts"] for _, event in b.events("indicator.observed")]
    names = ("indicator", "measured_on", "value")
    told = [{name: reading[name] for name in names} for reading in b["readings"]]
    return compared + agree(At("timeline.json", "indicator.observed"), facts, told)


@check(
    "each acceptance is in the timeline with its evidence; its clock ran the agreed working days"
)
def _acceptances(b: Bundle) -> int:
    expected: list[Json] = []
    submitted: dict[str, Json] = {}
    compared = 0
    for at, event in b.events("milestone.submitted", "milestone.accepted"):
        terms = b.terms_told(event)
        milestone = one(terms["milestones"], event["facts"]["milestone"])
        if event["type"] == "milestone.submitted":
            submitted[milestone["id"]] = event["facts"]
            compared += _accept_by(b, at, event, milestone["acceptance"]["working_days"])
            continue
        handed_in = submitted[milestone["id"]]
        if event["facts"]["deemed"]:
            until = datetime.fromisoformat(handed_in["accept_by"]).isoformat()
            compared += agree(at / "occurred_at", event["occurred_at"], until)
        expected.append(
            {
                "milestone": milestone["id"],
                "by": event["actor"],
                "at": event["occurred_at"],
                "deemed": event["facts"]["deemed"],
                "evidence": handed_in["evidence"],
            }
        )
    compared += agree(At("acceptances.json"), b["acceptances"], expected)
    for at, event in b.events("engagement.went_live"):
        compared += agree(at / "occurred_at", event["occurred_at"], _went_live(b))
    return compared


def _accept_by(b: Bundle, at: At, event: Json, working_days: int) -> int:
    """The clock ends with a working day, and no earlier than the agreed number of them."""
    days = b.working_days(event, event["process"])
    found, earliest = (
        instant(event["facts"]["accept_by"]),
        days.after(instant(event["occurred_at"]), working_days),
    )
    # It begins when the evidence came in, which may be after the day that it names.
    last = found.astimezone(b.zone).date()
    if found != end_of(last, b.zone) or found < earliest or not days.works(last):
        raise Differs(at / "facts.accept_by", found.isoformat(), earliest.isoformat())
    return 1


@check("the journal is one chain of hashes, its head is in the manifest")
def _chain(b: Bundle) -> int:
    previous = "0" * 64
    for i, group in enumerate(b["journal"]["groups"]):
        content = {key: value for key, value in group.items() if key != "hash"}
        at = At("journal.json") / "groups" / i
        agree(at, group, {"number": i + 1, "previous": previous})
        agree(at / "hash", group["hash"], sha256(canonical(content)).hexdigest())
        previous = group["hash"]
    agree(At(MANIFEST) / "journal_head", b["manifest"]["journal_head"], previous)
    return len(b["journal"]["groups"])


@check(
    "each journal group balances in each ledger, and is dated on its day, or after closed months"
)
def _balanced(b: Bundle) -> int:
    for i, group in enumerate(b["journal"]["groups"]):
        at = At("journal.json") / "groups" / i
        sides: Counter[tuple[bool, str]] = Counter()
        for j, posting in enumerate(group["postings"]):
            amount = b.minor(posting["amount"])
            if amount <= 0:
                raise Differs(at / "postings" / j / "amount", posting["amount"], "more than 0")
            sides[posting["account"].startswith("M"), posting["side"]] += amount
        for memo in (False, True):
            debit, credit = sides[memo, "D"], sides[memo, "C"]
            if debit != credit or sum(sides.values()) == 0:
                found = f"debit {b.full(debit)}, credit {b.full(credit)}"
                raise Differs(at / "postings", found, "equal sums, above 0 in all")
        agree(at / "effective_on", group["effective_on"], _effective_on(b, group))
    return len(b["journal"]["groups"])


def _effective_on(b: Bundle, group: Json) -> str:
    """Its day; where that month was closed, the first day after a month that is closed."""
    day = b.day(group["occurred_at"]).isoformat()
    if group["effective_on"] != day:
        for period in b["periods"]:
            month = date.fromisoformat(period["month"])
            after = later(month, "P1M").isoformat()
            if period["entity"] == group["entity"] and day < after == group["effective_on"]:
                return after
    return day


@check("each verdict: reading chosen, stake, attainment, score, released and forfeited")
def _verdicts(b: Bundle) -> int:
    compared = 0
    for i, verdict in enumerate(b["verdicts"]):
        at = At("verdicts.json") / i
        terms = _assessed_under(b, verdict["window"])
        window = one(terms.bet["windows"], verdict["window"])
        what = "trend" if window["reads"] == "trend" else "verdict"
        key = f"{b.process}.bet.{terms.bet['id']}:{window['id']}:{what}"
        compared += agree(
            at, verdict, {"key": key, "bet": terms.bet["id"], "kind": window["reads"]}
        )
        compared += agree(
            at / "started_on", verdict["started_on"], b.day(_went_live(b)).isoformat()
        )
        if window["reads"] == "trend":
            expected: Json = {"trends": _trends(b, terms, window, verdict)}
        else:
            expected = {"verdict": _settled(b, terms, window, verdict)}
        compared += agree(at / "result", verdict["result"], expected)
    return compared + _outcomes_told(b)


def _assessed_under(b: Bundle, window: str) -> Terms:
    """The version in force when a window was assessed, which may be long after its end."""
    for _, event in b.events("trend.read", "outcome.settled"):
        if event["facts"]["window"] == window:
            return b.terms_told(event)
    return b.terms


def _went_live(b: Bundle) -> str:
    """The measuring start: when the go-live milestone was accepted."""
    (live,) = (each["id"] for each in b.terms["milestones"] if each["go_live"])
    for accepted in b["acceptances"]:
        if accepted["milestone"] == live:
            return str(accepted["at"])
    raise Differs("acceptances.json", f"no acceptance of {live}", "one, before what follows it")


def _by_day(b: Bundle, terms: Terms, indicator: str, verdict: Json) -> list[Json]:
    """What was known when it was decided."""
    known = b["readings"][: verdict["readings_known"]]
    return by_day(known, indicator, b.indicators(terms)[indicator])


def _trends(b: Bundle, terms: Terms, window: Json, verdict: Json) -> dict[str, str]:
    start = date.fromisoformat(verdict["started_on"])
    first, last = start.isoformat(), later(start, window["after"]).isoformat()
    return {
        agreed["indicator"]: trend(
            Fraction(agreed["baseline"]),
            Fraction(agreed["target"]),
            [
                (date.fromisoformat(each["measured_on"]), Fraction(each["value"]))
                for each in _by_day(b, terms, agreed["indicator"], verdict)
                if first < each["measured_on"] <= last
            ],
        )
        for agreed in terms.bet["indicators"]
    }


def _settled(b: Bundle, terms: Terms, window: Json, verdict: Json) -> Json:
    """The verdict that the contract gives on the readings."""
    last = later(date.fromisoformat(verdict["started_on"]), window["after"])
    first = later(last + timedelta(1), window["reading_within"], -1)
    parts, released, forfeited = [], 0, 0
    for name in window["settles"]:
        usable = [
            each
            for each in _by_day(b, terms, name, verdict)
            if first.isoformat() <= each["measured_on"] <= last.isoformat()
        ]
        if not usable:
            raise Differs("readings.json", f"no reading of {name} for {window['id']}", "one")
        part, won = _part(b, terms, name, usable[-1])
        parts.append(part)
        released, forfeited = released + won, forfeited + terms.stakes(b)[name] - won
    return {
        "window": window["id"],
        "indicators": parts,
        "released": b.full(released),
        "forfeited": b.full(forfeited),
    }


def _part(b: Bundle, terms: Terms, name: str, reading: Json) -> tuple[Json, int]:
    (agreed,) = (each for each in terms.bet["indicators"] if each["indicator"] == name)
    start, goal, actual = (
        Fraction(each) for each in (agreed["baseline"], agreed["target"], reading["value"])
    )
    attainment = (actual - start) / (goal - start)
    score = share_won(agreed["scoring"], attainment)
    stake = terms.stakes(b)[name]
    won = rounded(stake * score)
    indicator = b.indicators(terms)[name]
    inputs = [
        {"name": "holdback", "value": b.plain(terms.holdback(b))},
        {"name": "weight", "value": str(share(agreed["weight"]))},
        {"name": "baseline", "value": agreed["baseline"]},
        {"name": "target", "value": agreed["target"]},
        {
            "name": "actual",
            "value": f"{reading['value']} {indicator['unit']}",
            "source": f"{reading['source']}, {reading['measured_on']}, n={reading['sample']}",
            "evidence": reading["evidence"],
        },
    ]
    steps = [
        {
            "exact": str(b.exact(terms.holdback(b)) * share(agreed["weight"])),
            "rounded": b.plain(stake),
        },
        {"exact": str(attainment)},
        {"exact": str(score)},
        {"exact": str(b.exact(stake) * score), "rounded": b.plain(won)},
        {"exact": b.plain(stake - won)},
    ]
    explanation = {
        "what": f"{indicator['name']['en']}: stake {b.plain(stake)}, score {score}",
        "amount": b.full(won),
        "contract": terms.name,
        "clause": agreed["clause"],
        "inputs": inputs,
        "steps": steps,
    }
    amounts = {"stake": stake, "released": won, "forfeited": stake - won}
    part = {key: b.full(amount) for key, amount in amounts.items()}
    return part | {"indicator": name, "explanation": explanation}, won


def _outcomes_told(b: Bundle) -> int:
    told = [event["facts"] for _, event in b.events("trend.read", "outcome.settled")]
    expected: list[Json] = []
    for verdict in b["verdicts"]:
        facts: Json = {"window": verdict["window"]}
        if verdict["kind"] == "trend":
            facts["trends"] = verdict["result"]["trends"]
        else:
            result = verdict["result"]["verdict"]
            for name in ("released", "forfeited"):
                facts[name] = b.plain(b.minor(result[name]))
            facts["scores"] = {
                part["indicator"]: part["explanation"]["steps"][2]["exact"]
                for part in result["indicators"]
            }
        expected.append(facts)
    at = At("timeline.json", "trend.read, outcome.settled")
    told.sort(key=lambda facts: str(facts["window"]))
    expected.sort(key=lambda facts: str(facts["window"]))
    return agree(at, told, expected)


@check("each request: what was asked for, who signed it with what authority, or which clause did")
def _requests(b: Bundle) -> int:
    compared = 0
    for i, request in enumerate(b["requests"]):
        at = At("requests.json") / i
        compared += agree(at / "digest", request["digest"], digest_of(request["payload"]))
        compared += _signatures(b, at, request)
        if request["state"] == "approved":
            compared += _decided_by(b, at, request)
        compared += _request_told(b, request) + _expires(b, at, request)
    return compared


def _expires(b: Bundle, at: At, request: Json) -> int:
    """At once where nobody had to sign; else after working days, and not before."""
    place, told = b.asked(request)
    expires = instant(request["requested_at"])
    if request["needed"]:
        days = b.terms_told(told)["approvals"]["expire_after"]
        expires = b.working_days(told).after(expires, days)
    compared = agree(at / "expires_at", instant(request["expires_at"]), expires)
    compared += agree(place / "facts.expires_at", instant(told["facts"]["expires_at"]), expires)
    if request["state"] == "expired":
        compared += agree(at / "decided_at", instant(request["decided_at"]), expires)
    return compared


def digest_of(payload: Json) -> str:
    return sha256(canonical(payload)).hexdigest()


def _signatures(b: Bundle, at: At, request: Json) -> int:
    """Different people with authority, in time, none of them the one who asked, all of this payload."""
    amount = b.minor(request["amount"])
    asked, until = instant(request["requested_at"]), instant(request["expires_at"])
    people = set[str]()
    told = b.told_of(request, "approval.signed")
    for i, (signature, (_, event)) in enumerate(zip(request["signatures"], told, strict=False)):
        place, person = at / "signatures" / i, signature["person"]
        able = {
            entry["person"]
            for entry in b.terms_told(event)["approvals"]["authority"]
            if entry["up_to"] is None or amount <= b.minor(entry["up_to"])
        }
        agree(place / "digest", signature["digest"], request["digest"])
        if person not in able or person == request["requested_by"] or person in people:
            others = able - {request["requested_by"]} - people
            expected = ", ".join(sorted(others)) or "nobody"
            raise Differs(place / "person", person, f"one with authority for it: {expected}")
        if not asked <= instant(signature["signed_at"]) <= until:
            expected = f"from {request['requested_at']} to {request['expires_at']}"
            raise Differs(place / "signed_at", signature["signed_at"], expected)
        people.add(person)
    return 3 * len(people)


def _decided_by(b: Bundle, at: At, request: Json) -> int:
    """A clause or a policy that the contract has, or as many people as it wants."""
    terms, by = b.terms_told(b.asked(request)[1]), str(request["decided_by"])
    if by.startswith("clause:"):
        clauses = terms.clauses_that_decide(request)
        if by.removeprefix("clause:") not in clauses:
            expected = " or ".join(clauses) or "no clause, but people"
            raise Differs(at / "decided_by", by, expected)
        return agree(at, request, {"needed": 0, "signatures": []})
    if by.startswith("policy:"):
        policy = one(terms["approvals"]["automatic"], by.removeprefix("policy:"))
        names = terms.names_of(request, b.milestone_of(request["subject"]))
        within = policy["up_to"] is None or b.minor(request["amount"]) <= b.minor(policy["up_to"])
        covered = request["decision"] in policy["decisions"] and policy["of"] in {None, *names}
        if not (within and covered):
            raise Differs(at / "decided_by", by, f"a policy for {request['decision']} of it")
        return agree(at, request, {"needed": 0, "signatures": []})
    people = [signature["person"] for signature in request["signatures"]]
    compared = agree(at / "decided_by", by, ", ".join(people))
    if request["decision"] == "change_order":
        sides = {side: terms.people_of(side) for side in ("client", "consultant")}
        for side, names in sides.items():
            if not names & set(people):
                raise Differs(at / "signatures", by, f"somebody of the {side}")
        return compared + agree(at / "needed", request["needed"], 2)
    needed = terms["approvals"]["needed"]
    compared += agree(at / "needed", request["needed"], needed)
    compared += agree(at / "signatures", f"{len(people)} people", f"{needed} people")
    return compared + agree(
        at / "decided_at", request["decided_at"], request["signatures"][-1]["signed_at"]
    )


def _request_told(b: Bundle, request: Json) -> int:
    """It was asked for, signed and decided in the timeline, as it is here."""
    about = {"request": request["id"]}
    expected = [
        {
            "type": "approval.requested",
            "occurred_at": request["requested_at"],
            "actor": request["requested_by"],
            "facts": about
            | {name: request[name] for name in ("decision", "subject", "digest", "needed")}
            | {"amount": b.plain(b.minor(request["amount"]))},
        }
    ]
    expected += [
        {
            "type": "approval.signed",
            "occurred_at": signature["signed_at"],
            "actor": signature["person"],
            "facts": about | {"digest": signature["digest"]},
        }
        for signature in request["signatures"]
    ]
    if request["state"] != "pending":
        facts = {name: request[name] for name in ("state", "decided_by")}
        ended = {"occurred_at": request["decided_at"], "facts": about | facts}
        expected.append({"type": "approval.decided"} | ended)
    kinds = ("approval.requested", "approval.signed", "approval.decided")
    told = [event for _, event in b.told_of(request, *kinds)]
    return agree(At("timeline.json", f"approval.* of {request['id']}"), told, expected)


# Prices: net, tax for each code and rate, gross.


@dataclass(frozen=True)
class Taxed:
    """An amount with its tax."""

    net: int = 0
    tax: int = 0

    @property
    def gross(self) -> int:
        return self.net + self.tax

    def __add__(self, other: "Taxed") -> "Taxed":
        return Taxed(self.net + other.net, self.tax + other.tax)

    def __sub__(self, other: "Taxed") -> "Taxed":
        return Taxed(self.net - other.net, self.tax - other.tax)


def spread(parts: list[int], rate: Fraction) -> list[int]:
    """`rate` of the sum, rounded once, to each part by largest remainder.

    Where there are parts of both signs, the side that weighs less is rounded and spread by itself.
    """
    sides = [[min(part, 0) for part in parts], [max(part, 0) for part in parts]]
    lighter, heavier = sides if sum(parts) >= 0 else reversed(sides)
    of_lighter = rounded(sum(lighter) * rate)
    totals = (of_lighter, rounded(sum(parts) * rate) - of_lighter)
    shared = [
        split(total, [Fraction(abs(part)) for part in side]) if any(side) else side
        for total, side in zip(totals, (lighter, heavier), strict=True)
    ]
    return [one + other for one, other in zip(*shared, strict=True)]


def next_by_net(whole: Taxed, taken: Taxed, net: int) -> Taxed:
    """The next part of a taxed amount: its tax is that of all parts to date, less that before."""
    left = whole - taken
    require_part(net, left.net)
    exact = Fraction(whole.tax * (taken.net + net), whole.net) if whole.net else Fraction(0)
    return Taxed(net, between(0, rounded(exact) - taken.tax, left.tax))


def next_by_gross(whole: Taxed, taken: Taxed, gross: int) -> Taxed:
    left = whole - taken
    require_part(gross, left.gross)
    exact = Fraction(whole.tax * (taken.gross + gross), whole.gross) if whole.gross else Fraction(0)
    tax = between(0, rounded(exact) - taken.tax, left.tax)
    tax = between(gross - left.net, tax, gross)
    return Taxed(gross - tax, tax)


def between(one: int, value: int, other: int) -> int:
    return min(max(value, min(one, other)), max(one, other))


def require_part(part: int, left: int) -> None:
    if not min(0, left) <= part <= max(0, left):
        raise ValueError(f"{part} minor units taken, where {left} are left")


@dataclass
class Line:
    """A line of a document, priced. `reason` is what has to stand in its explanation."""

    claim: str
    fee: str
    clause: str
    amount: int
    reason: Json
    prices: str = "net"
    net: int = 0
    tax: int = 0
    deferred: int = 0
    code: str = ""
    rate: Fraction = Fraction(0)
    corrects: tuple[str, int] | None = None

    @property
    def by_tax(self) -> tuple[str, Fraction]:
        return self.code, self.rate


def total(lines: Iterable[Line]) -> Taxed:
    return sum((Taxed(line.net, line.tax) for line in lines), Taxed())


@dataclass
class Billed:
    """A line that was billed, as far as it is taxed, and what was taken back of that since."""

    number: str
    position: int
    line: Line
    whole: Taxed
    taken: Taxed

    @property
    def left(self) -> Taxed:
        return self.whole - self.taken

    def next(self, net: int) -> Taxed:
        return next_by_net(self.whole, self.taken, net)

    def most(self, net: int, room: int) -> Taxed:
        """The largest next part within that net, what is left of it, and that gross."""
        within = room * self.whole.net // self.whole.gross if self.whole.gross else 0
        part = self.next(max(min(net, self.left.net, within), 0))
        return self.next(part.net - 1) if part.gross > room else part

    def back(
        self, part: Taxed, claim: str, clause: str, reason: Json, untaxed: bool = False
    ) -> Line:
        """A line that takes a part of it back."""
        return Line(
            claim,
            self.line.fee,
            clause,
            part.net,
            reason,
            net=part.net,
            tax=part.tax,
            deferred=part.net if untaxed else 0,
            code=self.line.code,
            rate=self.line.rate,
            corrects=(self.number, self.position),
        )


@dataclass
class Paper:
    """A document as it has to be, but for its number and dates, which are facts."""

    number: str
    document: str
    purpose: str
    key: str
    contract: str
    issued_on: str
    lines: list[Line]
    retained: Taxed = Taxed()
    withheld: Taxed = Taxed()
    advance: Taxed = Taxed()
    corrects: str | None = None

    @property
    def whole(self) -> Taxed:
        return total(self.lines)

    @property
    def net(self) -> int:
        return self.whole.net

    @property
    def deferred(self) -> int:
        return sum(line.deferred for line in self.lines)

    def of_fee(self, fee: str) -> Taxed:
        return total(line for line in self.lines if line.fee == fee)

    def on(self, number: str) -> list[Line]:
        """The lines that correct one document."""
        return [line for line in self.lines if line.corrects and line.corrects[0] == number]


def raises(paper: Paper, line: Line) -> bool:
    """Whether a change order bills more with it."""
    more = (line.net, line.tax) > (0, 0)
    return paper.purpose == "delta" and paper.document == "invoice" and more


def nets(lines: Iterable[Line]) -> dict[str, int]:
    """By fee."""
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.fee] = sums.get(line.fee, 0) + line.net
    return sums


def taxes(lines: Iterable[Line]) -> dict[str, int]:
    """By tax code."""
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.code] = sums.get(line.code, 0) + line.tax
    return sums


def priced(b: Bundle, terms: Terms, lines: list[Line]) -> list[Line]:
    """With net and tax of lines that take nothing back; the reason of each with its net."""
    groups: dict[tuple[str, Fraction, str], list[Line]] = {}
    for line in lines:
        line.code, line.rate = terms.tax_of(line.fee)
        groups.setdefault((line.code, line.rate, line.prices), []).append(line)
    for (_, rate, prices), members in groups.items():
        amounts = [line.amount for line in members]
        shares = spread(amounts, 1 / (1 + rate) if prices == "gross" else rate)
        for line, share_of_it in zip(members, shares, strict=True):
            if prices == "net":
                line.net, line.tax = line.amount, share_of_it
                continue
            line.net, line.tax = share_of_it, line.amount - share_of_it
            steps = line.reason.get("steps", [])
            exact = str(b.exact(line.amount) / (1 + rate))
            line.reason |= {"steps": [*steps, {"exact": exact, "rounded": b.plain(line.net)}]}
    return lines


def tax_groups(b: Bundle, lines: list[Line]) -> list[Json]:
    """One entry for each code and rate, as they stand in the bundle."""
    groups: dict[tuple[str, Fraction], list[Line]] = {}
    for line in lines:
        groups.setdefault(line.by_tax, []).append(line)
    found = []
    for (code, rate), members in groups.items():
        exact = Fraction(0)
        for line in members:
            if line.corrects:
                exact += b.exact(line.tax)
            elif line.prices == "net":
                exact += b.exact(line.net - line.deferred) * rate
            else:
                exact += b.exact(line.amount) * rate / (1 + rate)
        tax = sum(line.tax for line in members)
        found.append(
            {
                "code": code,
                "rate": str(rate),
                "net": b.full(sum(line.net - line.deferred for line in members)),
                "tax": b.full(tax),
                "calculation": {"exact": str(exact), "rounded": b.plain(tax)},
            }
        )
    return sorted(found, key=lambda group: (group["code"], group["rate"]))


# The books, made again: every effect in the order of the journal, from what happened and was decided.


class Posting(NamedTuple):
    account: str
    side: str
    amount: int
    fee: str | None = None
    hold: str | None = None
    invoice: str | None = None
    item: str | None = None


def debit(account: str, amount: int, **of: Any) -> Posting:
    """Below zero it is posted on the other side."""
    return Posting(account, "D" if amount >= 0 else "C", abs(amount), **of)


def credit(account: str, amount: int, **of: Any) -> Posting:
    return debit(account, -amount, **of)


OPEN, RETAINED, WITHHELD, DISPUTED, UNBILLED = "1100", "1110", "1120", "1130", "1200"
CASH, ADVANCES, REFUNDABLE, CUSTOMER, VAT = "1000", "2110", "2200", "2300", "2400"
FIXED, AT_RISK, GAIN, REDUCED, LOSS = "4000", "4020", "4030", "4090", "5100"
KEPT_BY = {
    "1100": ("invoice",), "1110": ("invoice", "hold"), "1120": ("invoice", "hold"),
    "1130": ("invoice", "item"), "1200": ("fee",), "2110": ("item",), "2200": ("hold",),
    "M10": ("item",), "M20": ("item",), "M30": ("item",), "M40": ("hold",),
}  # fmt: skip
"""Accounts that are never on their other side, for any of what they are kept by."""


@dataclass
class Hold:
    """What a hold is about, and its buckets, net."""

    id: str
    clause: str
    kind: str
    effect: str
    fee: str
    bet: str | None = None
    milestone: str | None = None
    invoice: str | None = None
    invoice_line: int | None = None
    clocks: Json = None
    placed: Taxed = Taxed()
    released: Taxed = Taxed()
    forfeited: Taxed = Taxed()
    movements: list[Json] = field(default_factory=list)

    @property
    def decided(self) -> Taxed:
        return self.released + self.forfeited

    @property
    def left(self) -> Taxed:
        return self.placed - self.decided

    @property
    def held(self) -> int:
        return self.left.net

    def part(self, net: int) -> Taxed:
        """The next part that leaves it, with the tax inside."""
        if not 0 < net <= self.held:
            raise ValueError(f"{net} minor units leave {self.id}, where {self.held} are held")
        return next_by_net(self.placed, self.decided, net)


Run = list[Json]
"""The journal groups of one effect."""


class Book:
    """What has to be in the journal, on the documents and in the holds, effect by effect."""

    def __init__(self, b: Bundle) -> None:
        self.b = b
        self.terms = b.in_force[0]
        self.groups: list[Json] = []
        self.postings: list[Posting] = []
        self.papers: list[Paper] = []
        self.holds: dict[str, Hold] = {}
        self.decisions: list[Json] = []
        self.told: list[Json] = []
        self.gains: list[tuple[str, int, int]] = []
        self.reports: list[Json] = []
        self.requests = {r["effect_key"]: r for r in b["requests"] if r["state"] == "approved"}
        self.asked = {r["id"]: r for r in b["requests"]}
        self.numbers = {(d["key"], d["part"]): d for d in b["documents"]}
        self.key, self.at = "", ""
        self.run: Run = []

    def kept(self) -> "Book":
        """Every effect of the journal, made again."""
        groups, seen = self.b["journal"]["groups"], set[str]()
        posted = {group["effect_key"] for group in groups}
        for key in self.due():
            if key not in posted:
                raise Differs(At("journal.json", "groups"), f"no group of {key}", "one or more")
        quiet = self.quiet(posted)
        for key, run in groupby(groups, key=lambda group: str(group["effect_key"])):
            made = list(run)
            place = At("journal.json") / "groups" / (made[0]["number"] - 1)
            if key in seen:
                raise Differs(place / "effect_key", f"{key} a second time", "each effect once")
            seen.add(key)
            try:
                while quiet and quiet[0][0] <= self.told_at(key):
                    self.made_quietly(*quiet.pop(0))
                self.key, self.at, self.run = key, made[0]["occurred_at"], made
                before = len(self.postings)
                self.made(place)
                self.stands(before)
            except ValueError as wrong:
                raise Differs(place, f"{key}: {wrong}", "what contract and facts give") from wrong
        for each in quiet:
            self.made_quietly(*each)
        return self

    # What changes no amount posts nothing; what comes after builds on it all the same.

    def quiet(self, posted: set[str]) -> list[tuple[int, str]]:
        """Change orders and reports of a benefit without a group, and where they are told."""
        found = []
        for i, event in enumerate(self.b["timeline"]):
            facts, key = event["facts"], None
            if event["type"] == "change_order.applied":
                key = facts["change"]
            if event["type"] == "approval.decided" and facts["state"] == "approved":
                request = self.asked[facts["request"]]
                key = request["effect_key"] if request["decision"] == "gain_share" else None
            if key and not posted & {key, f"{key}:apply"}:
                found.append((i, key))
        return found

    def told_at(self, key: str) -> int:
        """Where the timeline tells of the effect that comes next."""
        timeline = self.b["timeline"]
        what, request = "approval.requested", self.asked.get(key)
        if key in self.requests:
            what, request = "approval.decided", self.requests[key]
        if request:
            ((_, event),) = self.b.told_of(request, what)
            return int(timeline.index(event))
        done = len({canonical(each) for each in self.told})
        return [*money_told(self.b)[done:], len(timeline)][0]

    def made_quietly(self, told_at: int, key: str) -> None:
        self.key, self.at, self.run = key, self.b["timeline"][told_at]["occurred_at"], []
        request = self.requests[key]
        CARRY_OUT[request["decision"]](self, request)

    def due(self) -> Iterator[str]:
        """Effects that other files know of, and that post something."""
        yield from (f"{self.b.process}:open" for _ in self.b.events("engagement.opened"))
        yield from (document["key"] for document in self.b["documents"])
        yield from (decision["key"] for decision in self.b["decisions"])
        yield from (dispute["key"] for dispute in self.b["disputes"])
        for hold in self.b["holds"]:
            yield from (movement["key"] for movement in hold["movements"])
        yield from (
            key for key, request in self.requests.items() if request["decision"] in ALWAYS_POSTED
        )

    def made(self, place: At) -> None:
        """The effect of the current key, by what it is."""
        request = self.requests.get(self.key)
        if request is not None and request["decision"] in CARRY_OUT:
            agree(place / "occurred_at", self.at, request["decided_at"])
            return CARRY_OUT[request["decision"]](self, request)
        if self.key in self.asked:
            return _gain_reserved(self, self.asked[self.key])
        own = self.key.startswith(self.b.process)
        path, _, what = self.key.removeprefix(self.b.process).partition(":")
        match path.split(".")[1:] if own else ["receipt"], what:
            case [], "open":
                return _opened(self)
            case ["micro", _], "fee":
                return _micro(self)
            case ["milestone", milestone], "evaluate":
                return _evaluated(self, milestone)
            case ["milestone", milestone], "bill":
                return _billed(self, milestone)
            case ["bet", _], "place":
                return _holdback_placed(self)
            case ["hold", hold], "place":
                return _missed(self, hold)
            case ["change", _], "apply":
                return _changed(self, self.key.rpartition(":")[0])
            case _:
                code = self.run[0]["code"]
                if code not in BY_CODE:
                    raise ValueError(f"{code} under {self.key} has no cause in the bundle")
                return BY_CODE[code](self)

    # What an effect writes.

    def post(self, code: str, *lines: Posting, part: str | None = None, of: Json = None) -> None:
        """A group of the lines that are not zero; nothing where all are."""
        written = [line for line in lines if line.amount]
        if not written:
            return
        self.postings += written
        self.groups.append(
            {
                "key": ":".join(filter(None, (self.key, code, part))),
                "effect_key": self.key,
                "code": code,
                "reverses": of,
                "postings": [
                    line._asdict() | {"amount": self.b.full(line.amount)} for line in written
                ],
            }
        )

    def stands(self, before: int) -> None:
        """No account that the effect touched is on its wrong side, no level over what is authorised."""
        for line in self.postings[before:]:
            if line.account in KEPT_BY:
                side = -1 if line.account[0] == "2" else 1
                kept_by = {name: getattr(line, name) for name in KEPT_BY[line.account]}
                if side * self.balance(line.account, **kept_by) < 0:
                    raise ValueError(f"account {line.account} is left below zero")
            if line.account in ("M10", "M20", "M30"):
                used = sum(self.balance(account, item=line.item) for account in ("M20", "M30"))
                if used > self.balance("M10", item=line.item):
                    raise ValueError(f"beyond what is authorised at level {line.item}")

    def balance(self, account: str, **of: str | None) -> int:
        """Debit less credit, of what is kept by those."""
        return sum(
            line.amount if line.side == "D" else -line.amount
            for line in self.postings
            if line.account == account
            and all(getattr(line, name) == value for name, value in of.items())
        )

    def tell(self, what: str, **facts: Json) -> None:
        self.told.append({"type": what, "occurred_at": self.at, "facts": facts})

    def issue(self, paper: Paper) -> Paper:
        """A document, counted against the levels it touches (E27), and told."""
        counted = () if paper.purpose in ("advance", "retention") else paper.lines
        sign = 1 if paper.document == "invoice" else -1
        used = {level: sign * amount for level, amount in self.levels(counted).items()}
        number = paper.number
        more = {level: amount for level, amount in used.items() if amount > 0}
        back = {level: -amount for level, amount in used.items() if amount < 0}
        self.moved("M30", "M39", more, number, number)
        self.moved("M39", "M30", back, number, f"{number}:credited")
        self.papers.append(paper)
        b = self.b
        facts = {name: b.plain(getattr(paper.whole, name)) for name in ("net", "tax", "gross")}
        later = {"retained": paper.retained.gross, "withheld": paper.withheld.gross}
        facts |= {name: b.plain(amount) for name, amount in later.items() if amount}
        facts |= {"number": number, "purpose": paper.purpose}
        self.tell(f"{paper.document}.issued", **facts, corrects=paper.corrects)
        return paper

    def levels(self, lines: Iterable[Line]) -> dict[str, int]:
        """What lines use of the contract and of their fees, in the prices of each fee."""
        used: dict[str, int] = {}
        for line in lines:
            gross = self.terms.prices_of(line.fee) == "gross"
            for level in ("contract", self.terms.level_of(line.fee)):
                used[level] = used.get(level, 0) + line.net + (line.tax if gross else 0)
        return used

    def moved(
        self, up: str, down: str, levels: dict[str, int], invoice: str | None, part: str
    ) -> None:
        """E27: value reserved, freed, billed or given back at levels."""
        self.post("E27", *_memo(up, down, levels, invoice), part=part)

    def paper(self, document: str, purpose: str, lines: list[Line], **more: Any) -> Paper:
        """The document of the current effect; its number and date are facts of the bundle."""
        if (self.key, "") not in self.numbers:
            raise Differs("documents.json", f"no document of {self.key}", f"the {document}")
        found = self.numbers[self.key, ""]
        return Paper(
            number=found["number"],
            document=document,
            purpose=purpose,
            key=self.key,
            contract=self.terms.name,
            issued_on=found["issued_on"],
            lines=lines,
            **more,
        )

    def lines_of(self, number: str) -> list[Billed]:
        """The lines that a document bills, as change orders left them, with what was taken back."""
        for paper in self.papers:
            if paper.number == number:
                return [
                    self._billed(number, position, line)
                    for position, line in enumerate(paper.lines, start=1)
                    if paper.purpose != "delta" or raises(paper, line)
                ]
        raise ValueError(f"{number} is not issued before it is corrected")

    def bills_advance(self, number: str) -> bool:
        return any((paper.number, paper.purpose) == (number, "advance") for paper in self.papers)

    def require_performance(self, number: str) -> None:
        """An advance is deducted or credited, and nothing else."""
        if self.bills_advance(number):
            raise ValueError(f"{number} bills an advance, nothing that was delivered")

    def advance_left(self) -> Billed | None:
        """The line that billed the advance, with what was deducted and credited of it as taken."""
        if self.terms.get("advance") is None:
            return None  # It was credited whole; a change order has taken it out.
        for paper in self.papers:
            if (paper.document, paper.purpose) == ("invoice", "advance"):
                (line,) = self.lines_of(paper.number)
                left = -self.balance(ADVANCES, item=self.terms["advance"]["id"])
                deducted = sum(each.advance.tax for each in self.papers)
                line.taken = Taxed(line.whole.net - left, line.taken.tax + deducted)
                return line
        return None

    def creditable(self, number: str, but: str | None = None) -> list[Billed]:
        """The lines of a document with what holds keep of each as taken, but for one hold."""
        lines = self.lines_of(number)
        for line in lines:
            kept = [
                hold
                for hold in self.holds.values()
                if (hold.invoice, hold.invoice_line) == (number, line.position) and hold.id != but
            ]
            withheld = [hold.left for hold in kept if hold.effect == "withhold_payment"]
            refundable = sum(hold.held for hold in kept if hold.effect == "reserve_refund")
            line.taken += sum(withheld, Taxed())
            if refundable:
                line.taken += line.next(refundable)
        return lines

    def line_at(self, number: str, position: int, but: str | None = None) -> Billed:
        for line in self.creditable(number, but):
            if line.position == position:
                return line
        raise ValueError(f"{number} has no line {position}")

    def line_held(self, hold: Hold) -> Billed:
        """The line that a hold is on, with what other holds keep of it as taken."""
        assert hold.invoice
        assert hold.invoice_line
        return self.line_at(hold.invoice, hold.invoice_line, but=hold.id)

    def _billed(self, number: str, position: int, line: Line) -> Billed:
        whole, taken = Taxed(line.net - line.deferred, line.tax), Taxed()
        for paper in self.papers:
            for each in paper.lines:
                if each.corrects != (number, position) or raises(paper, each):
                    continue  # What is billed more is a line of its own.
                sign = 1 if paper.document == "credit_note" else -1
                part = Taxed(sign * (each.net - each.deferred), sign * each.tax)
                if paper.purpose == "delta":
                    whole -= part
                else:
                    taken += part
        return Billed(number, position, line, whole, taken)

    def unblocked(self, milestone: Json) -> int:
        """What holds neither keep from being invoiced, nor have forfeited, of a milestone."""
        blocked = sum(
            hold.held + hold.forfeited.net
            for hold in self.holds.values()
            if hold.milestone == milestone["id"]
        )
        return self.b.minor(milestone["amount"]) - blocked

    def outcome(self, request: Json) -> str | None:
        """The document that carries what was decided: a new one, or the invoice it is about."""
        if request["state"] != "approved":
            return None
        for decision in self.decisions:
            if decision["key"] == request["effect_key"]:
                return str(decision["document"]) if decision["document"] else None
        issued = [paper.number for paper in self.papers if paper.key == request["effect_key"]]
        return issued[0] if issued else None

    def request_at(self, request: Json) -> At:
        return At("requests.json") / int(self.b["requests"].index(request))

    def reserved(self, hold: Hold, request: Json) -> int:
        """What other requests keep of a hold while this one is decided."""
        decided = instant(request["decided_at"])
        return sum(
            self.b.minor(other["amount"])
            for other in self.b.asked_of(hold.id)
            if instant(other["requested_at"]) < decided
            and (other["decided_at"] is None or instant(other["decided_at"]) > decided)
        )

    def require_amount(self, request: Json, net: int, invoice: str) -> None:
        """What authority was measured against is the net, unless others were credited meanwhile.

        Of an advance, as much may have been deducted.
        """
        at, since = self.request_at(request) / "amount", self.documents_since(request)
        bills_advance = self.bills_advance(invoice)
        between = [
            paper
            for paper in self.papers
            if paper.number in since
            and paper.key != self.key
            and (paper.on(invoice) or (bills_advance and paper.advance.net))
        ]
        if request["amount"] != self.b.full(net) and between:
            self.b.notes.append(f"{at}: other credits or deductions of {invoice} came between")
            return
        agree(at, request["amount"], self.b.full(net))

    def documents_since(self, request: Json) -> set[str]:
        """The numbers of documents that the timeline tells of after it tells of a request."""
        found = set()
        asked = False
        kinds = ("approval.requested", "invoice.issued", "credit_note.issued")
        for _, event in self.b.events(*kinds):
            if asked and event["type"] != "approval.requested":
                found.add(event["facts"]["number"])
            asked = asked or event["facts"].get("request") == request["id"]
        return found

    def revenue_of(self, number: str) -> str:
        (purpose,) = (paper.purpose for paper in self.papers if paper.number == number)
        return {"gain_share": GAIN, "holdback": AT_RISK, "release": AT_RISK}.get(purpose, FIXED)

    def settled(self, number: str, gross: int) -> int:
        """What of a credit was paid before: what is open goes first."""
        return max(gross - self.balance(OPEN, invoice=number), 0)

    def place(self, hold: Hold, part: Taxed) -> None:
        self.holds.setdefault(hold.id, hold)
        hold = self.holds[hold.id]
        hold.placed += part
        self._moved(hold, "placed", part)
        facts = {"hold": hold.id, "amount": self.b.plain(part.net), "effect": hold.effect}
        self.tell("hold.placed", **facts)

    def _moved(self, hold: Hold, movement: str, part: Taxed) -> None:
        hold.movements.append(
            {
                "movement": movement,
                "key": self.key,
                "occurred_at": self.at,
                "amount": self.b.full(part.net),
                "tax": self.b.full(part.tax),
            }
        )

    def decide(
        self, hold: Hold, request: Json, decision: str, part: Taxed, document: str | None
    ) -> None:
        """It leaves the hold, and who decided is on record."""
        self._moved(hold, decision, part)
        if decision == "released":
            hold.released += part
        else:
            hold.forfeited += part
        self.decisions.append(
            {
                "key": self.key,
                "hold": hold.id,
                "decision": decision,
                "amount": self.b.full(part.net),
                "requested_by": request["requested_by"],
                "decided_by": request["decided_by"],
                "clause": hold.clause,
                "decided_on": self.b.day(self.at).isoformat(),
                "request": request["id"],
                "document": document,
                "explanations": [part["explanation"] for part in request["payload"]["parts"]],
            }
        )
        facts = {"hold": hold.id, "amount": self.b.plain(part.net), "document": document}
        self.tell(f"hold.{decision}", **facts, decided_by=request["decided_by"])


# Earned and billed.


def _opened(book: Book) -> None:
    """E28: the value of the contract and of each fee line."""
    _raised(book, {}, book.terms.authorised(book.b))


def _raised(book: Book, before: dict[str, int], after: dict[str, int]) -> None:
    """E28: what is authorised more at each level."""
    more = {level: after[level] - before.get(level, 0) for level in after}
    rises = {level: change for level, change in more.items() if change > 0}
    book.post("E28", *_memo("M10", "M19", rises), part="raised")


def _memo(up: str, down: str, levels: dict[str, int], invoice: str | None = None) -> list[Posting]:
    return [
        line
        for level, amount in levels.items()
        for line in (
            debit(up, amount, invoice=invoice, item=level),
            credit(down, amount, invoice=invoice, item=level),
        )
    ]


def _earned(net: int, fee: str, revenue: str = FIXED) -> tuple[Posting, Posting]:
    return debit(UNBILLED, net, fee=fee), credit(revenue, net, fee=fee)


def _charged(paper: Paper, less: dict[str, int] | None = None) -> list[Posting]:
    """The tax of a document, one line a code."""
    return [
        credit(VAT, tax - (less or {}).get(code, 0), invoice=paper.number, item=code)
        for code, tax in taxes(paper.lines).items()
    ]


def _invoiced(book: Book, paper: Paper) -> None:
    """E02: what was earned is invoiced."""
    number = paper.number
    book.post(
        "E02",
        debit(OPEN, paper.whole.gross, invoice=number),
        *(credit(UNBILLED, net, fee=fee, invoice=number) for fee, net in nets(paper.lines).items()),
        *_charged(paper),
    )


def _micro(book: Book) -> None:
    if not any(book.b.events("mc.final_submitted")):
        raise ValueError("the final version of micro-consulting is not submitted before")
    lines = _micro_lines(book.b, book.terms, book.key.rpartition(":")[0])
    paper = book.paper("invoice", "micro", lines)
    book.post("E01", *_earned(paper.net, lines[0].fee))
    book.issue(paper)
    _invoiced(book, paper)


def _micro_lines(b: Bundle, terms: Terms, claim: str) -> list[Line]:
    fee = one(terms["fees"], terms["micro_consulting"]["fee"])
    return priced(b, terms, [stated_line(b, terms, claim, fee["id"], fee)])


def stated_line(b: Bundle, terms: Terms, claim: str, fee: str, clause: Json) -> Line:
    """A line over a stated amount; what proves that it became due is no number."""
    amount = b.plain(b.minor(clause["amount"]))
    inputs = [{"name": "amount", "value": amount}, {}]
    reason = {"inputs": inputs, "steps": [{"exact": amount, "rounded": None}]}
    minor = b.minor(clause["amount"])
    return Line(claim, fee, clause["clause"], minor, reason, prices=terms.prices_of(fee))


def _require_accepted(book: Book, name: str) -> None:
    accepted = [each for each in book.b["acceptances"] if each["milestone"] == name]
    if not any(instant(each["at"]) <= instant(book.at) for each in accepted):
        raise ValueError(f"milestone {name} is not accepted before")


def _milestone(book: Book, name: str) -> list[Line]:
    """What a milestone bills, without what holds on it have forfeited."""
    claim = f"{book.b.process}.milestone.{name}"
    lines = milestone_lines(book.b, book.terms, name, claim)
    forfeited = sum(h.forfeited.net for h in book.holds.values() if h.milestone == name)
    return without_forfeited(book.b, lines, forfeited)


def milestone_lines(b: Bundle, terms: Terms, name: str, claim: str) -> list[Line]:
    milestone = one(terms["milestones"], name)
    lines = [
        stated_line(b, terms, claim if position == 1 else f"{claim}:{position}", each["fee"], each)
        for position, each in enumerate([milestone, *milestone.get("more", [])], start=1)
    ]
    return priced(b, terms, lines)


def without_forfeited(b: Bundle, lines: list[Line], forfeited: int) -> list[Line]:
    """The first line less what is forfeited; the nets of the others stay, the tax follows."""
    if not forfeited:
        return lines
    first, *more = lines
    rest = first.net - forfeited
    if rest < 0:
        raise ValueError(f"{forfeited} minor units forfeited of {first.net}")
    first.reason |= {
        "inputs": [*first.reason["inputs"], {"name": "forfeited", "value": b.plain(forfeited)}],
        "steps": [*first.reason["steps"], {"exact": b.plain(rest)}],
    }
    first.amount, first.net, first.prices = rest, rest, "net"
    kept = [first, *more] if rest else more
    again = [line for line in kept if line.prices == "net" and line.by_tax == first.by_tax]
    for line, tax in zip(again, spread([line.net for line in again], first.rate), strict=True):
        line.tax = tax
    return kept


def _evaluated(book: Book, name: str) -> None:
    """E01, for each fee line of an accepted milestone; E16, what was forfeited before it was earned."""
    _require_accepted(book, name)
    lines = milestone_lines(book.b, book.terms, name, f"{book.b.process}.milestone.{name}")
    for fee, net in nets(lines).items():
        book.post("E01", *_earned(net, fee), part=fee)
    for _, hold in sorted(book.holds.items()):
        if hold.milestone == name:
            book.post("E16", *_given_up(hold.forfeited.net, hold), part=hold.id)
    earned = sum(line.net for line in lines)
    book.tell("milestone.evaluated", milestone=name, earned=book.b.plain(earned))


def _billed(book: Book, name: str) -> None:
    """E02; E03 where the retained part is taxed later; E06 where an advance is deducted."""
    _require_accepted(book, name)
    for hold in book.holds.values():
        if hold.milestone == name and hold.held:
            raise ValueError(f"milestone {name} is billed while {hold.id} blocks it")
    paper = book.paper("invoice", "milestone", _milestone(book, name))
    _retain(book, paper)
    advance = _deduct(book, paper)
    number = book.issue(paper).number
    retention = None
    if paper.retained.gross:
        clause = book.terms["retention"]
        retention = f"{book.b.process}.hold.{clause['id']}"
        kind = ("RETENTION", "withhold_payment", clause["fee"])
        book.place(Hold(retention, clause["clause"], *kind), paper.retained)
    code = "E06" if advance else "E03" if paper.deferred else "E02"
    payable = paper.whole.gross - paper.retained.gross - paper.advance.gross
    book.post(
        code,
        debit(OPEN, payable, invoice=number),
        debit(ADVANCES, paper.advance.net, invoice=number, item=advance and advance[0]),
        debit(RETAINED, paper.retained.gross, hold=retention, invoice=number),
        *(credit(UNBILLED, net, fee=fee, invoice=number) for fee, net in nets(paper.lines).items()),
        *_charged(paper, {advance[1]: paper.advance.tax} if advance else None),
    )


def _retain(book: Book, paper: Paper) -> None:
    """The rate of the base since it is agreed, less what was retained, at most the base; the limit."""
    retention = book.terms.get("retention")
    if not retention:
        return
    agreed = [
        each
        for each in [*book.papers, paper]
        if each.purpose == "milestone"
        and (book.b.version(each.contract).get("retention") or {}).get("id") == retention["id"]
    ]
    parts = [each.of_fee(retention["fee"]) for each in agreed]
    bases = [part.net if retention["base"] == "net" else part.gross for part in parts]
    kept = sum(each.retained.gross for each in book.papers)
    part = min(rounded(sum(bases) * share(retention["rate"])) - kept, bases[-1])
    if retention.get("limit") is not None:
        fee = one(book.terms["fees"], retention["fee"])
        part = min(part, rounded(book.b.minor(fee["amount"]) * share(retention["limit"])) - kept)
    if part <= 0:
        return
    if retention["tax"] == "invoice":
        paper.retained = next_by_gross(paper.of_fee(retention["fee"]), Taxed(), part)
        return
    paper.retained = Taxed(part, 0)
    own = [line for line in paper.lines if line.fee == retention["fee"]]
    later_taxed = split(part, [Fraction(line.net) for line in own])
    for line, deferred in zip(own, later_taxed, strict=True):
        line.deferred = deferred
    again = [line for line in paper.lines if line.by_tax == own[0].by_tax]
    bases = [line.net - line.deferred for line in again]
    for line, tax in zip(again, spread(bases, own[0].rate), strict=True):
        line.tax = tax


def _deduct(book: Book, paper: Paper) -> tuple[str, str] | None:
    """The advance's share of the fee's net, at most what is left of it and what is to be paid."""
    line = book.advance_left()
    if line is None:
        return None
    advance = book.terms["advance"]
    payable = paper.whole.gross - paper.retained.gross - paper.withheld.gross
    room = payable * line.whole.net // line.whole.gross
    recovered = rounded(paper.of_fee(advance["fee"]).net * share(advance["recovered"]))
    net = min(recovered, line.left.net, room)
    if net <= 0:
        return None
    tax = next_by_net(line.whole, line.taken, net).tax
    paper.advance = Taxed(net, min(tax, taxes(paper.lines).get(line.line.code, 0)))
    return advance["id"], line.line.code


def _advance(book: Book) -> None:
    """E05."""
    advance = book.terms["advance"]
    claim = f"{book.b.process}.advance.{advance['id']}"
    line = stated_line(book.b, book.terms, claim, advance["fee"], advance)
    paper = book.issue(book.paper("invoice", "advance", priced(book.b, book.terms, [line])))
    book.post(
        "E05",
        debit(OPEN, paper.whole.gross, invoice=paper.number),
        credit(ADVANCES, paper.net, invoice=paper.number, item=advance["id"]),
        *_charged(paper),
    )


# Holds.


def _holdback_placed(book: Book) -> None:
    """E14 where it is not invoiced; else E01 with E02, withheld, or with E17, refundable."""
    terms, b = book.terms, book.b
    holdback = terms["holdback"]
    hold = Hold(
        f"{b.process}.hold.{holdback['id']}",
        holdback["clause"],
        "VALUE_BET",
        holdback["effect"],
        holdback["fee"],
        bet=holdback["bet"],
    )
    if hold.effect == "block_invoicing":
        book.post("E14", *_staked(terms.holdback(b), hold))
        book.place(hold, Taxed(terms.holdback(b)))
        return
    claim = f"{book.key.rpartition(':')[0]}:placed"
    clause = {"clause": hold.clause, "amount": b.full(terms.holdback(b))}
    line = stated_line(b, terms, claim, hold.fee, clause)
    paper = book.paper("invoice", "holdback", priced(b, terms, [line]))
    withheld = hold.effect == "withhold_payment"
    paper.withheld = paper.whole if withheld else Taxed()
    hold.invoice, hold.invoice_line = book.issue(paper).number, 1
    book.post("E01", *_earned(paper.net, hold.fee, AT_RISK))
    of = {"fee": hold.fee, "hold": hold.id, "invoice": paper.number}
    book.post(
        "E02" if withheld else "E17",
        debit(OPEN, 0 if withheld else paper.whole.gross, invoice=paper.number),
        debit(WITHHELD, paper.withheld.gross, hold=hold.id, invoice=paper.number),
        credit(UNBILLED, paper.net, fee=hold.fee, invoice=paper.number),
        *_charged(paper),
        debit(AT_RISK, 0 if withheld else paper.net, **of),
        credit(REFUNDABLE, 0 if withheld else paper.net, **of),
    )
    book.place(hold, Taxed(paper.net, paper.withheld.tax))


def _staked(net: int, hold: Hold) -> tuple[Posting, Posting]:
    of = {"fee": hold.fee, "hold": hold.id}
    return debit("M40", net, **of), credit("M49", net, **of)


def _struck(net: int, hold: Hold) -> tuple[Posting, Posting]:
    of = {"fee": hold.fee, "hold": hold.id}
    return credit("M40", net, **of), debit("M49", net, **of)


def _given_up(net: int, hold: Hold) -> tuple[Posting, Posting]:
    of = {"fee": hold.fee, "hold": hold.id}
    return debit(REDUCED, net, **of), credit(UNBILLED, net, **of)


def _put(book: Book, hold: Hold, net: int) -> None:
    """A hold that people or a miss place: E14, E31 or E32."""
    hold.clocks = book.terms.get("hold_clocks")
    if hold.effect == "block_invoicing":
        book.place(hold, Taxed(net))
        book.post("E14", *_staked(net, hold))
        return
    assert hold.invoice
    assert hold.invoice_line
    part = book.line_at(hold.invoice, hold.invoice_line).next(net)
    if hold.effect == "withhold_payment":
        book.place(hold, part)
        of = {"hold": hold.id, "invoice": hold.invoice}
        book.post("E31", debit(WITHHELD, part.gross, **of), credit(OPEN, part.gross, **of))
        return
    book.place(hold, Taxed(net))
    of = {"fee": hold.fee, "hold": hold.id, "invoice": hold.invoice}
    revenue = book.revenue_of(hold.invoice)
    book.post("E32", debit(revenue, net, **of), credit(REFUNDABLE, net, **of))


def _hold_asked(book: Book, request: Json) -> None:
    """A hold by people: what they signed is what is placed."""
    asked = request["payload"]
    amount = book.b.minor(asked["amount"])
    agree(book.request_at(request) / "amount", request["amount"], asked["amount"])
    number, _, position = (asked["line"] or "").rpartition("/")
    if number:
        book.require_performance(number)
        fee = book.line_at(number, int(position)).line.fee
    else:
        milestone = one(book.terms["milestones"], asked["milestone"])
        fee = milestone["fee"]
        require_part(amount, book.unblocked(milestone))
    hold = Hold(
        f"{book.b.process}.hold.{asked['hold']}",
        book.terms["approvals"]["clause"],
        asked["kind"],
        asked["effect"],
        fee,
        milestone=asked["milestone"],
        invoice=number or None,
        invoice_line=int(position) if number else None,
    )
    _put(book, hold, amount)


def _missed(book: Book, name: str) -> None:
    """A hold that placed itself: so many of the last readings miss the limit."""
    clause = one(book.terms.get("miss_holds") or [], name)
    b = book.b
    readings = b.readings_until(clause["indicator"], book.at, book.terms)[-clause["of"] :]
    below, limit = clause["missed"] == "below", Fraction(clause["limit"])
    misses = [
        each
        for each in readings
        if (Fraction(each["value"]) < limit if below else Fraction(each["value"]) > limit)
    ]
    if len(readings) < clause["of"] or len(misses) < clause["times"]:
        found = ", ".join(each["value"] for each in readings) or "nothing"
        raise ValueError(f"placed on {found}, which is no miss by clause {clause['clause']}")
    milestone = one(book.terms["milestones"], clause["milestone"])
    amount = rounded(b.minor(milestone["amount"]) * share(clause["share"]))
    hold = Hold(
        f"{b.process}.hold.{name}",
        clause["clause"],
        "VALUE_BET",
        clause["effect"],
        milestone["fee"],
    )
    if hold.effect == "block_invoicing":
        hold.milestone = milestone["id"]
        room = book.unblocked(milestone)
    else:
        key = f"{b.process}.milestone.{milestone['id']}:bill"
        hold.invoice, hold.invoice_line = book.numbers[key, ""]["number"], 1
        billed = book.line_at(hold.invoice, 1)
        room = billed.most(billed.left.net, book.balance(OPEN, invoice=hold.invoice)).net
    _put(book, hold, min(amount, room))


def _hold_decided(book: Book, request: Json) -> None:
    """A part is released or forfeited: as much as the verdict, the clause or people decided."""
    hold = book.holds[request["subject"]]
    payload, b = request["payload"], book.b
    released = request["decision"] == "release"
    amount = _decided_amount(book, hold, request)
    at = book.request_at(request)
    agree(at / "payload", payload, {"hold": hold.id, "decision": request["decision"]})
    agree(at / "payload.amount", payload["amount"], b.full(amount))
    agree(at / "amount", request["amount"], payload["amount"])
    parts = [b.minor(part["net"]) for part in payload["parts"]]
    agree(at / "payload.parts", b.full(sum(parts)), payload["amount"])
    for i, part in enumerate(payload["parts"]):
        place = at / "payload.parts" / i / "explanation.amount"
        agree(place, part["explanation"]["amount"], part["net"])
    left = hold.part(amount)
    if hold.kind == "RETENTION":
        step = _retention_released if released else _retention_forfeited
        document = step(book, hold, left)
    else:
        leave = (_RELEASED if released else _FORFEITED)[hold.effect]
        document = leave(book, hold, left, payload["parts"])
    book.decide(hold, request, "released" if released else "forfeited", left, document)


def _decided_amount(book: Book, hold: Hold, request: Json) -> int:
    """What the contract gives, where it decides; what people asked for, where they do."""
    b, key = book.b, book.key
    for verdict in b["verdicts"]:
        decided_for = f"{b.process}.bet.{verdict['bet']}:{verdict['window']}:{request['decision']}"
        if verdict["kind"] == "settlement" and key == decided_for:
            return _by_verdict(book, request, verdict)
    if hold.bet:
        raise ValueError(f"{hold.id} is decided by a verdict, and there is none for {key}")
    free = hold.held - book.reserved(hold, request)
    if key == f"{hold.id}:default" or key.startswith(f"{hold.id}:cured:"):
        return free
    if hold.kind == "RETENTION" and str(request["decided_by"]).startswith("clause:"):
        return _retention_due(book, hold, key.rpartition(":")[2], request)
    amount = b.minor(request["payload"]["amount"])
    require_part(amount, free)
    return amount


def _by_verdict(book: Book, request: Json, verdict: Json) -> int:
    """The parts are those of the verdict, indicator by indicator."""
    b = book.b
    movement = "released" if request["decision"] == "release" else "forfeited"
    process = f"{b.process}.bet.{verdict['bet']}"
    expected = [
        {
            "claim": f"{process}:{verdict['window']}:{part['indicator']}:{movement}",
            "clause": part["explanation"]["clause"],
            "net": part[movement],
            "explanation": part["explanation"] | {"amount": part[movement]},
        }
        for part in verdict["result"]["verdict"]["indicators"]
        if b.minor(part[movement])
    ]
    agree(book.request_at(request) / "payload.parts", request["payload"]["parts"], expected)
    return b.minor(verdict["result"]["verdict"][movement])


def _retention_due(book: Book, hold: Hold, step: str, request: Json) -> int:
    """Up to and with a step: the share of what was retained, less what was decided.

    What is retained later than that is released as soon; after the last step by that step again, which
    then has the milestone in its name.
    """
    b, retention = book.b, book.terms["retention"]
    retained = [each for each in hold.movements if each["movement"] == "placed"]
    live = b.day(_went_live(b))
    steps = sorted(retention["release"], key=lambda each: later(live, each["after"]))
    names = [each["id"] for each in steps]
    milestone = retained[-1]["key"].removesuffix(":bill").rpartition(".")[2]
    if step == f"{names[-1]}-{milestone}":
        step = names[-1]
    if step not in names:
        raise ValueError(f"{step} is no step of clause {retention['clause']}")
    until = names.index(step)
    day = end_of(later(live, steps[until]["after"]), b.zone)
    due = max(day, *(instant(each["occurred_at"]) for each in retained))
    agree(book.request_at(request) / "requested_at", instant(request["requested_at"]), due)
    cumulative = sum((share(each["share"]) for each in steps[: until + 1]), Fraction(0))
    return rounded(hold.placed.net * cumulative) - hold.decided.net - book.reserved(hold, request)


def _parts_as_lines(book: Book, hold: Hold, parts: Json) -> list[Line]:
    lines = [
        Line(
            each["claim"],
            hold.fee,
            each["clause"],
            book.b.minor(each["net"]),
            dict(each["explanation"]),
            prices=book.terms.prices_of(hold.fee),
        )
        for each in parts
    ]
    return priced(book.b, book.terms, lines)


def _invoiced_now(book: Book, hold: Hold, part: Taxed, parts: Json) -> str | None:
    """E15: a stake won is invoiced; a milestone is free to be invoiced by its own process."""
    if hold.milestone:
        book.post("E15", *_struck(part.net, hold))
        return None
    paper = book.issue(book.paper("invoice", "release", _parts_as_lines(book, hold, parts)))
    of = {"hold": hold.id, "invoice": paper.number}
    book.post(
        "E15",
        *_struck(paper.net, hold),
        debit(OPEN, paper.whole.gross, **of),
        credit(AT_RISK, paper.net, fee=hold.fee, **of),
        *_charged(paper),
    )
    return paper.number


def _never_invoiced(book: Book, hold: Hold, part: Taxed, parts: Json) -> str | None:
    """E16: the decision is the record; an accepted milestone loses what it had earned."""
    evaluated = f"{book.b.process}.milestone.{hold.milestone}:evaluate"
    earned = any(group["effect_key"] == evaluated for group in book.groups)
    lost = _given_up(part.net if earned else 0, hold)
    book.post("E16", *_struck(part.net, hold), *lost)
    return None


def _payable_now(book: Book, hold: Hold, part: Taxed, parts: Json) -> str | None:
    of = {"hold": hold.id, "invoice": hold.invoice}
    book.post("E11", debit(OPEN, part.gross, **of), credit(WITHHELD, part.gross, **of))
    return hold.invoice


def _never_paid(book: Book, hold: Hold, part: Taxed, parts: Json) -> str | None:
    """E12: a credit note takes it back with its tax."""
    note = _held_credited(book, hold, part, parts)
    of = {"hold": hold.id, "invoice": hold.invoice}
    book.post(
        "E12",
        debit(REDUCED, part.net, fee=hold.fee, **of),
        *_taken_back(note.lines, hold.invoice),
        credit(WITHHELD, part.gross, **of),
    )
    return note.number


def _final_now(book: Book, hold: Hold, part: Taxed, parts: Json) -> str | None:
    """E19: the right to claim it back ends."""
    assert hold.invoice
    of = {"fee": hold.fee, "hold": hold.id, "invoice": hold.invoice}
    revenue = book.revenue_of(hold.invoice)
    book.post("E19", debit(REFUNDABLE, part.net, **of), credit(revenue, part.net, **of))
    return hold.invoice


def _claimed_back(book: Book, hold: Hold, part: Taxed, parts: Json) -> str | None:
    """E18: against what is open of the invoice, the rest is the customer's credit."""
    assert hold.invoice
    part = book.line_held(hold).next(part.net)
    settled = book.settled(hold.invoice, part.gross)
    note = _held_credited(book, hold, part, parts)
    book.post(
        "E18",
        debit(REFUNDABLE, part.net, fee=hold.fee, hold=hold.id, invoice=hold.invoice),
        *_taken_back(note.lines, hold.invoice),
        *_given_back(part.gross, settled, hold.invoice, note.number),
    )
    return note.number


_RELEASED = {
    "block_invoicing": _invoiced_now, "withhold_payment": _payable_now, "reserve_refund": _final_now,
}  # fmt: skip
_FORFEITED = {
    "block_invoicing": _never_invoiced, "withhold_payment": _never_paid,
    "reserve_refund": _claimed_back,
}  # fmt: skip


def _held_credited(book: Book, hold: Hold, part: Taxed, parts: Json) -> Paper:
    """The credit note over a part of the line that is held, a line for each reason."""
    line = book.line_held(hold)
    lines, done = [], 0
    for each in parts:
        net = book.b.minor(each["net"])
        tax = part_of_tax(part.tax, part.net, done, net)
        done += net
        back = line.back(Taxed(net, tax), each["claim"], each["clause"], dict(each["explanation"]))
        lines.append(back)
    return book.issue(book.paper("credit_note", "forfeit", lines, corrects=hold.invoice))


def _taken_back(lines: list[Line], invoice: str | None) -> list[Posting]:
    return [debit(VAT, tax, invoice=invoice, item=code) for code, tax in taxes(lines).items()]


def _reduced(lines: list[Line], invoice: str) -> list[Posting]:
    return [debit(REDUCED, net, fee=fee, invoice=invoice) for fee, net in nets(lines).items()]


def _given_back(gross: int, settled: int, invoice: str, note: str) -> tuple[Posting, Posting]:
    of = {"invoice": invoice, "item": note}
    return credit(OPEN, gross - settled, **of), credit(CUSTOMER, settled, **of)


def _oldest_first(book: Book, hold: Hold, gross: int) -> list[tuple[str, int]]:
    """How much of it each invoice retains, by date and number."""
    found, left = [], gross
    for paper in sorted(book.papers, key=lambda paper: (paper.issued_on, paper.number)):
        part = min(left, book.balance(RETAINED, hold=hold.id, invoice=paper.number))
        if part > 0:
            found.append((paper.number, part))
            left -= part
    if left:
        raise ValueError(f"{left} minor units more than the invoices retain")
    return found


def _retention_released(book: Book, hold: Hold, part: Taxed) -> str | None:
    """E09; E10 with a document where the tax comes with the release."""
    retention = book.terms["retention"]
    retained = _oldest_first(book, hold, part.gross)
    if retention["tax"] == "invoice":
        for number, gross in retained:
            of = {"hold": hold.id, "invoice": number}
            book.post("E09", debit(OPEN, gross, **of), credit(RETAINED, gross, **of), part=number)
        return None
    reason = _retained_reason(book, part.net, retained)
    line = Line(book.key, hold.fee, retention["clause"], part.net, reason)
    paper = book.issue(book.paper("invoice", "retention", priced(book.b, book.terms, [line])))
    charged, taxed = _charged(paper), paper.whole.tax
    for number, net in retained:
        book.post(
            "E10",
            debit(OPEN, net + taxed, hold=hold.id, invoice=paper.number),
            credit(RETAINED, net, hold=hold.id, invoice=number),
            *charged,
            part=number,
        )
        charged, taxed = [], 0
    return paper.number


def _retention_forfeited(book: Book, hold: Hold, part: Taxed) -> str | None:
    """E13: one credit note over the invoices that retain it."""
    untaxed = book.terms["retention"]["tax"] == "release"
    retained = _oldest_first(book, hold, part.gross)
    lines = []
    for number, gross in retained:
        billed = [line for line in book.lines_of(number) if line.line.fee == hold.fee]
        # Of what is taxed later, nothing was taxed that could be taken; a milestone has one line of a fee.
        taken = [(billed[0], Taxed(gross, 0))] if untaxed else _by_what_is_left(billed, gross)
        for line, lost in taken:
            claim = f"{book.key}:{number}/{line.position}"
            reason = _retained_reason(book, lost.net, [(number, gross)])
            lines.append(line.back(lost, claim, hold.clause, reason, untaxed))
    corrects = retained[0][0] if len(retained) == 1 else None
    note = book.issue(book.paper("credit_note", "forfeit", lines, corrects=corrects))
    for number, _ in retained:
        own = note.on(number)
        lost, of = total(own), {"hold": hold.id, "invoice": number}
        book.post(
            "E13",
            debit(REDUCED, lost.net, fee=hold.fee, **of),
            *_taken_back(own, number),
            credit(RETAINED, lost.gross, **of),
            part=number,
        )
    return note.number


def _retained_reason(book: Book, amount: int, retained: list[tuple[str, int]]) -> Json:
    inputs = [{"name": f"retained on {n}", "value": book.b.plain(part)} for n, part in retained]
    return {"inputs": inputs, "steps": [{"exact": book.b.plain(amount)}]}


# Credit notes, disputes, write-offs, payments, refunds, reversals.


def _by_what_is_left(lines: list[Billed], gross: int) -> list[tuple[Billed, Taxed]]:
    """A gross part of several lines, taken from each by what is left of it."""
    left = [line.left.gross for line in lines]
    require_part(gross, sum(left))
    parts = split(gross, [Fraction(each) for each in left]) if any(left) else left
    taken = [
        next_by_gross(line.whole, line.taken, part) for line, part in zip(lines, parts, strict=True)
    ]
    return [(line, part) for line, part in zip(lines, taken, strict=True) if part.gross]


def _credit_lines(
    book: Book, billed: list[Billed], chosen: list[int], gross: int, claim: str
) -> list[Line]:
    lines = []
    among = [line for line in billed if not chosen or line.position in chosen]
    for line, part in _by_what_is_left(among, gross):
        reason = {"steps": [{"exact": book.b.plain(part.gross)}, {"exact": book.b.plain(part.net)}]}
        name = f"{claim}:{line.number}/{line.position}"
        lines.append(line.back(part, name, line.line.clause, reason))
    return lines


def _credited(book: Book, code: str, paper: Paper, settled: dict[str, int], *, parts: bool) -> None:
    """E23, E25: on each invoice off what is open, the rest is the customer's credit."""
    for number, paid in settled.items():
        own = paper.on(number)
        book.post(
            code,
            *_reduced(own, number),
            *_taken_back(own, number),
            *_given_back(total(own).gross, paid, number, paper.number),
            part=number if parts else None,
        )


def _credit_asked(book: Book, request: Json) -> None:
    """E23; E33 where it gives back what is left of the advance, which earned nothing."""
    payload = request["payload"]
    invoice, gross = payload["invoice"], book.b.minor(payload["amount"])
    require_part(gross, _rooms(book, [invoice])[invoice])
    settled, of_advance = book.settled(invoice, gross), book.bills_advance(invoice)
    left = book.advance_left() if of_advance else None
    if of_advance != (payload["code"] == "advance"):
        raise ValueError(f"{invoice} is credited for {payload['code']}, which it does not bill")
    if of_advance and left is None:
        raise ValueError(f"{invoice} bills an advance that was credited whole")
    billed = [left] if left else book.creditable(invoice)
    lines = _credit_lines(book, billed, payload["lines"], gross, payload["credit"])
    purpose = "advance" if of_advance else "correction"
    paper = book.issue(book.paper("credit_note", purpose, lines, corrects=invoice))
    book.require_amount(request, paper.net, invoice)
    if not of_advance:
        return _credited(book, "E23", paper, {invoice: settled}, parts=False)
    book.post(
        "E33",
        debit(ADVANCES, paper.net, invoice=invoice, item=book.terms["advance"]["id"]),
        *_taken_back(lines, invoice),
        *_given_back(gross, settled, invoice, paper.number),
    )


def _dispute_ruled(book: Book, request: Json) -> None:
    """E22 for what is upheld, E21 back for the rest."""
    payload, b = request["payload"], book.b
    dispute = one(b["disputes"], request["subject"])
    invoice, disputed = dispute["invoice"], b.minor(dispute["amount"])
    upheld = b.minor(f"{payload['upheld']} {payload['currency']}")
    at = book.request_at(request) / "payload"
    agree(at, payload, {"disputed": b.plain(disputed), "invoice": invoice})
    agree(At("disputes.json", dispute["id"]), dispute, {"upheld": b.full(upheld)})
    lines = _credit_lines(book, book.creditable(invoice), dispute["lines"], upheld, book.key)
    paper = book.issue(book.paper("credit_note", "dispute", lines, corrects=invoice))
    book.require_amount(request, paper.net, invoice)
    of = {"invoice": invoice, "item": dispute["id"]}
    book.post(
        "E22",
        *_reduced(lines, invoice),
        *_taken_back(lines, invoice),
        credit(DISPUTED, upheld, **of),
    )
    rest = disputed - upheld
    book.post("E21", debit(OPEN, rest, **of), credit(DISPUTED, rest, **of))
    state = "partly" if rest else "upheld"
    agree(At("disputes.json", dispute["id"]), dispute, {"state": state, "document": paper.number})
    _dispute_told(book, dispute, state, upheld, paper.number)


def _dispute_told(
    book: Book, dispute: Json, state: str, upheld: int = 0, document: str | None = None
) -> None:
    b = book.b
    facts = {"dispute": dispute["id"], "invoice": dispute["invoice"], "state": state}
    amounts = {"amount": b.plain(b.minor(dispute["amount"])), "upheld": b.plain(upheld)}
    book.tell("dispute.closed", **facts, **amounts, document=document)


def _dispute(book: Book) -> None:
    """E21: opened, at most what is open; or ended without a credit."""
    b = book.b
    name = book.run[0]["postings"][0]["item"]
    dispute = one(b["disputes"], name)
    amount, invoice = b.minor(dispute["amount"]), dispute["invoice"]
    of = {"invoice": invoice, "item": name}
    book.require_performance(invoice)
    if book.key == dispute["key"]:
        unpaid = book.balance(OPEN, invoice=invoice)
        if dispute["lines"]:
            lines = [line for line in book.creditable(invoice) if line.position in dispute["lines"]]
            due = min(sum(line.left.gross for line in lines), unpaid)
            agree(At("disputes.json", name) / "amount", dispute["amount"], b.full(due))
        require_part(amount, unpaid)
        book.post("E21", debit(DISPUTED, amount, **of), credit(OPEN, amount, **of))
        facts = {"dispute": name, "invoice": invoice, "amount": b.plain(amount)}
        book.tell("dispute.opened", **facts)
        return
    if dispute["state"] not in ("rejected", "withdrawn"):
        raise ValueError(f"dispute {name} is {dispute['state']}, and was ended without a credit")
    book.post("E21", debit(OPEN, amount, **of), credit(DISPUTED, amount, **of))
    _dispute_told(book, dispute, dispute["state"])


def _written_off(book: Book, request: Json) -> None:
    """E26."""
    b, invoice = book.b, request["payload"]["invoice"]
    amount = b.minor(request["payload"]["amount"])
    agree(book.request_at(request) / "amount", request["amount"], b.full(amount))
    book.post("E26", debit(LOSS, amount, invoice=invoice), credit(OPEN, amount, invoice=invoice))
    book.tell("invoice.written_off", invoice=invoice, amount=b.plain(amount))


def _paid(book: Book) -> None:
    """E08: how much of what came in pays which invoice is a fact; it is never more than is open."""
    for group in book.run:
        line = group["postings"][0]
        amount, source, invoice = book.b.minor(line["amount"]), line["item"], line["invoice"]
        of = {"invoice": invoice, "item": source}
        book.at = group["occurred_at"]
        book.post("E08", debit(CUSTOMER, amount, **of), credit(OPEN, amount, **of), part=invoice)
        _require_credit(book, source)
        book.tell("payment.applied", invoice=invoice, source=source, amount=book.b.plain(amount))


def _require_credit(book: Book, source: str) -> None:
    """A receipt or a credit note pays at most what it is over."""
    receipts = {each["id"]: book.b.minor(each["amount"]) for each in book.b["receipts"]}
    used = book.balance(CUSTOMER, item=source)
    notes = {paper.number for paper in book.papers if paper.document == "credit_note"}
    if source in receipts:
        if used > receipts[source]:
            raise ValueError(f"{source} pays {book.b.full(used)}, more than came in with it")
    elif source in notes:
        if used > 0:
            raise ValueError(f"{source} pays more than it credits")
    else:
        book.b.notes.append(f"receipts.json: {source}, a credit note of another engagement")


def _refunded(book: Book) -> None:
    """E20."""
    name = book.run[0]["postings"][0]["item"]
    refund = one(book.b["refunds"], name)
    amount = book.b.minor(refund["amount"])
    agree(At("refunds.json", name) / "state", refund["state"], "confirmed")
    asked = [r for r in book.b["requests"] if r["subject"] == name and r["state"] == "approved"]
    if not asked:
        raise ValueError(f"refund {name} is paid, and nobody approved it")
    at = At("refunds.json", name)
    agree(at / "amount", refund["amount"], asked[-1]["payload"]["amount"])
    book.post("E20", debit(CUSTOMER, amount, item=name), credit(CASH, amount, item=name))
    book.tell("refund.confirmed", refund=name, amount=book.b.plain(amount))


def _mirrored(book: Book, request: Json | None = None) -> None:
    """E30: each line of one group on the opposite side, once."""
    for group in book.run:
        book.at = group["occurred_at"]
        originals = [each for each in book.groups if each["key"] == group["reverses"]]
        if not originals:
            raise ValueError(f"{group['key']} reverses {group['reverses']}, which is not before it")
        if any(each["reverses"] == group["reverses"] for each in book.groups):
            raise ValueError(f"{group['reverses']} is reversed a second time")
        lines = [
            Posting(
                **line | {"amount": book.b.minor(line["amount"]), "side": "CD"[line["side"] == "C"]}
            )
            for line in originals[0]["postings"]
        ]
        book.post(
            "E30",
            *lines,
            part=group["key"].removeprefix(f"{book.key}:E30").removeprefix(":"),
            of=group["reverses"],
        )
        amount = sum(line.amount for line in lines if line.side == "D")
        if request is not None:
            agree(book.request_at(request) / "amount", request["amount"], book.b.full(amount))
            book.tell("posting.reversed", group=group["reverses"], amount=book.b.plain(amount))
        elif originals[0]["code"] == "E08":
            facts = {"invoice": lines[0].invoice, "source": lines[0].item}
            book.tell("payment.taken_back", **facts, amount=book.b.plain(amount))
        else:
            raise ValueError(f"{originals[0]['code']} is reversed, and nobody approved it")


# Service credits, gain share.


def _in_turn(
    lines: list[Billed], rooms: dict[str, int], net: int
) -> Iterator[tuple[Billed, Taxed]]:
    """A credit over lines in their order, each as far as it and its invoice go."""
    rest = net
    for line in lines:
        part = line.most(rest, rooms[line.number])
        if part.net > 0:
            rest -= part.net
            rooms[line.number] -= part.gross
            yield line, part
    if rest:
        raise ValueError(f"{rest} minor units more than the invoices have open or paid")


def _rooms(book: Book, numbers: Iterable[str]) -> dict[str, int]:
    """What is open and what was paid of each invoice."""
    return {
        number: book.balance(OPEN, invoice=number) + book.balance(CUSTOMER, invoice=number)
        for number in numbers
    }


def _settled_of(book: Book, paper: Paper) -> dict[str, int]:
    """Of each document that it corrects, what was paid before; a note names the one it is about."""
    numbers = list(dict.fromkeys(line.corrects[0] for line in paper.lines if line.corrects))
    alone = paper.document == "credit_note" and len(numbers) == 1
    paper.corrects = numbers[0] if alone else None
    return {number: book.settled(number, total(paper.on(number)).gross) for number in numbers}


def _notes_of(book: Book, lines: list[Line], purpose: str, code: str) -> Paper:
    """One credit note over lines of invoices, and its posting on each."""
    paper = book.paper("credit_note", purpose, lines)
    settled = _settled_of(book, paper)
    book.issue(paper)
    _credited(book, code, paper, settled, parts=True)
    return paper


def _service_credited(book: Book, request: Json) -> None:
    """E25, within the limit of the clause."""
    b, terms, wanted = book.b, book.terms, request["payload"]
    clause, amount = terms["service_credits"], b.minor(wanted["amount"])
    agree(book.request_at(request) / "amount", request["amount"], wanted["amount"])
    fee = one(terms["fees"], clause["fee"])
    inside = terms.tax_of(fee["id"])[1] if terms.prices_of(fee["id"]) == "gross" else 0
    limit = rounded(b.minor(fee["amount"]) * share(clause["limit"]) / (1 + inside))
    before = sum(paper.net for paper in book.papers if paper.purpose == "service_credit")
    if before + amount > limit:
        raise ValueError(f"{b.full(before + amount)} credited, beyond the limit {b.full(limit)}")
    book.require_performance(wanted["invoice"])
    billed = [line for line in book.creditable(wanted["invoice"]) if line.line.fee == fee["id"]]
    inputs = [{"value": b.plain(amount)}, {}, {"value": b.plain(before)}]
    lines = [
        line.back(
            part,
            f"{request['subject']}:{line.number}/{line.position}",
            clause["clause"],
            {"inputs": inputs, "steps": [{"exact": b.plain(before + amount)}]},
        )
        for line, part in _in_turn(billed, _rooms(book, [wanted["invoice"]]), amount)
    ]
    _notes_of(book, lines, "service_credit", "E25")


def shared_benefit(b: Bundle, terms: Json, benefit: int) -> Fraction:
    """By bands beyond the dead band; of a loss the pain share. Before cap and floor."""
    start = b.minor(terms["dead_band"]) if terms["dead_band"] else 0
    if benefit < 0:
        return min(benefit + start, 0) * share(terms["pain"])
    earned, at = Fraction(0), start
    for band in terms["bands"]:
        end = benefit if band["up_to"] is None else min(b.minor(band["up_to"]), benefit)
        if end > at:
            earned += (end - at) * share(band["share"])
            at = end
    return earned


def _trued_up(book: Book, proposal: Json, at: At) -> tuple[int, Json]:
    """The amount of a report, compared with what was approved; and its explanation."""
    b, terms = book.b, book.terms["gain_share"]
    by_period = {period: benefit for period, benefit, _ in book.gains}
    by_period[proposal["period"]] = b.minor(proposal["benefit"])
    benefit, before = sum(by_period.values()), sum(amount for *_, amount in book.gains)
    exact = shared_benefit(b, terms, benefit)
    limited = max(min(exact, Fraction(b.minor(terms["cap"]))), Fraction(-b.minor(terms["floor"])))
    fee = rounded(limited)
    amounts = {"benefit_to_date": benefit, "fee_to_date": fee, "amount": fee - before}
    agree(at, proposal, {name: b.full(amount) for name, amount in amounts.items()})
    unit = 10 ** DIGITS[b.terms["currency"]]
    agreed = [terms["dead_band"], terms["cap"], terms["floor"]]
    dead_band, cap, floor = (b.plain(b.minor(each)) if each else "none" for each in agreed)
    floor = f"-{floor}" if b.minor(terms["floor"]) else floor
    of_period, to_date = b.plain(b.minor(proposal["benefit"])), b.plain(benefit)
    values = [of_period, to_date, dead_band, None, None, cap, floor, b.plain(before)]
    return fee - before, {
        "inputs": [{"value": value} if value else {} for value in values],
        "steps": [
            {"exact": str(exact / unit)},
            {"exact": str(limited / unit), "rounded": b.plain(fee)},
            {"exact": b.plain(fee - before)},
        ],
    }


def _gain_lines(book: Book, amount: int, reason: Json, claim: str) -> list[Line]:
    """Billed on fees that bore a loss before, then on the gain share's own level."""
    terms = book.terms["gain_share"]
    borne = Counter[str]()
    for paper in book.papers:
        if paper.purpose == "gain_share":
            sign = 1 if paper.document == "credit_note" else -1
            for line in paper.lines:
                borne[line.fee] += sign * line.net
    lines, rest = [], amount
    for fee in [*sorted(fee for fee in borne if fee != terms["id"]), terms["id"]]:
        part = rest if fee == terms["id"] else min(borne[fee], rest)
        if part > 0:
            lines.append(Line(f"{claim}:{fee}", fee, terms["clause"], part, dict(reason)))
            rest -= part
    return priced(book.b, book.terms, lines)


def _gain_reserved(book: Book, request: Json) -> None:
    """E27: what a report would bill is reserved until it is decided."""
    if request["decision"] != "gain_share":
        raise ValueError(f"a request for {request['decision']} posts nothing by itself")
    at = book.request_at(request) / "payload"
    amount, reason = _trued_up(book, request["payload"], at)
    levels = book.levels(_gain_lines(book, amount, reason, "proposed"))
    stated = {level: book.b.full(part) for level, part in levels.items()}
    agree(at / "levels", request["payload"]["levels"], stated)
    book.moved("M20", "M29", levels, None, "reserved")


def _freed(book: Book, request: Json) -> None:
    levels = {level: book.b.minor(part) for level, part in request["payload"]["levels"].items()}
    book.moved("M29", "M20", levels, None, "freed")


def _gain_given_up(book: Book) -> None:
    """E27: a report that came to nothing frees what it reserved."""
    for request in book.b["requests"]:
        ended = request["state"] in ("rejected", "expired", "superseded")
        if request["decision"] == "gain_share" and ended and request["decided_at"] == book.at:
            return _freed(book, request)
    raise ValueError("a reservation is freed, and no report came to nothing then")


def _gain_settled(book: Book, request: Json) -> None:
    """E24 with E02 upwards, E23 downwards."""
    b, terms, payload = book.b, book.terms["gain_share"], request["payload"]
    _freed(book, request)
    amount, reason = _trued_up(book, payload, book.request_at(request) / "payload")
    agree(book.request_at(request) / "amount", request["amount"], b.full(abs(amount)))
    if amount > 0:
        lines = _gain_lines(book, amount, reason, book.key)
        for fee, net in nets(lines).items():
            book.post("E24", *_earned(net, fee, GAIN), part=fee)
        _invoiced(book, book.issue(book.paper("invoice", "gain_share", lines)))
    elif amount < 0:
        issued = [
            paper
            for paper in book.papers
            if paper.document == "invoice" and paper.purpose not in ("advance", "retention")
        ]
        issued.sort(key=lambda paper: (paper.issued_on, paper.number), reverse=True)
        issued.sort(key=lambda paper: paper.purpose != "gain_share")
        # A share is net: what is priced with its tax inside bears no loss.
        billed = [
            line
            for paper in issued
            for line in book.creditable(paper.number)
            if book.terms.prices_of(line.line.fee) == "net"
        ]
        rooms = _rooms(book, [paper.number for paper in issued])
        lines = [
            line.back(
                part, f"{book.key}:{line.number}/{line.position}", terms["clause"], dict(reason)
            )
            for line, part in _in_turn(billed, rooms, -amount)
        ]
        _notes_of(book, lines, "gain_share", "E23")
    book.gains.append((payload["period"], b.minor(payload["benefit"]), amount))
    names = ("period", "benefit", "evidence", "benefit_to_date", "fee_to_date", "amount")
    whole = {"amount": b.full(amount), "contract": book.terms.name}
    book.reports.append(
        {name: payload[name] for name in names}
        | {"key": book.key, "request": request["id"], "explanation": reason | whole}
        | {"document": request["document"], "settled_at": request["decided_at"]}
    )


# Change orders.


def _change_agreed(book: Book, request: Json) -> None:
    """Both sides have signed, and its day has come already."""
    _changed(book, request["subject"])


def _changed(book: Book, name: str) -> None:
    """E28 for what is authorised; one delta document, so that bill and delta are the new bill."""
    b, old = book.b, book.terms
    change = one(b["changes"], name)
    at = At("changes.json", name)
    (request,) = (each for each in b["requests"] if each["id"] == change["request"])
    names = ("contract", "effective_on", "retroactive", "reason")
    terms = {name: change[name] for name in names} | {"sha256": change["digest"]}
    agree(book.request_at(request) / "payload", request["payload"], terms)
    times = {"agreed_at": request["decided_at"], "ended_at": book.at}
    agree(at, change, {"state": "applied"} | times)
    if request["state"] != "approved":
        raise ValueError(f"{name} is applied, and its request is {request['state']}")
    if b.day(book.at).isoformat() < change["effective_on"]:
        raise ValueError(f"{name} is applied before {change['effective_on']}")
    digests = {version["contract"]: version["digest"] for version in b["contracts"]}
    agree(at / "digest", change["digest"], digests.get(change["contract"]))
    book.terms = b.version(change["contract"])
    agree(book.request_at(request) / "amount", request["amount"], b.full(_size(b, old, book.terms)))
    before, after = old.authorised(b), book.terms.authorised(b)
    _raised(book, before, after)
    due = [each for root in _roots(book) for each in _correction_due(book, root, old, book.terms)]
    document, delta = None, sum((part for *_, part in due), Taxed())
    if any(part != Taxed() for *_, part in due):
        document = _delta(book, name, due, (delta.net, delta.tax) < (0, 0))
    less = {level: before[level] - after.get(level, 0) for level in before}
    falls = {level: change for level, change in less.items() if change > 0}
    book.post("E28", *_memo("M19", "M10", falls), part="lowered")
    agree(at / "invoice", change["invoice"], document)
    facts = {"change": name, "contract": change["contract"], "document": document}
    book.tell("change_order.applied", **facts, net=b.plain(delta.net))


def _size(b: Bundle, old: Terms, new: Terms) -> int:
    """What authority is measured against: the more of all that rises and all that falls, net."""
    before, after = _priced_lines(b, old), _priced_lines(b, new)
    moved = [after.get(line, 0) - before.get(line, 0) for line in {**before, **after}]
    return max(sum(each for each in moved if each > 0), -sum(each for each in moved if each < 0))


def _priced_lines(b: Bundle, terms: Terms) -> dict[tuple[str, str], int]:
    bills = {MICRO: _micro_lines(b, terms, "")}
    bills |= {each["id"]: milestone_lines(b, terms, each["id"], "") for each in terms["milestones"]}
    lines = {(what, line.fee): line.net for what, bill in bills.items() for line in bill}
    return lines | {("holdback", terms["holdback"]["fee"]): terms.holdback(b)}


MICRO = "micro-consulting"


def _roots(book: Book) -> list[Paper]:
    """The bills that a change order may correct."""
    bills = [paper for paper in book.papers if paper.purpose in ("micro", "milestone")]
    return sorted(bills, key=lambda paper: (paper.issued_on[:4], paper.number))


Due = tuple[Paper, str, int, int, Taxed]
"""A bill, one of its fees, its net before and after, and what is to be corrected of it."""


def _correction_due(book: Book, root: Paper, old: Terms, new: Terms) -> Iterator[Due]:
    before, after = (_bill_under(book, terms, root) for terms in (old, new))
    if before.keys() != after.keys():
        raise ValueError(f"{root.number} bills other fees than the new version")
    for fee in before:
        yield root, fee, before[fee].net, after[fee].net, after[fee] - before[fee]


def _bill_under(book: Book, terms: Terms, root: Paper) -> dict[str, Taxed]:
    """What a bill would say by fee, had it been issued under that version."""
    if root.purpose == "micro":
        lines = _micro_lines(book.b, terms, root.number)
    else:
        name = root.key.rpartition(":")[0].rpartition(".")[2]
        lines = milestone_lines(book.b, terms, name, root.number)
        forfeited = sum(h.forfeited.net for h in book.holds.values() if h.milestone == name)
        lines = without_forfeited(book.b, lines, forfeited)
    return {line.fee: Taxed(line.net, line.tax) for line in lines}


def _delta(book: Book, name: str, due: list[Due], lower: bool) -> str:
    """Which lines of a bill carry it is a fact; for each bill and fee they come to what is due."""
    b, sign = book.b, -1 if lower else 1
    found = book.numbers[book.key, ""]
    at = At("documents.json", found["number"])
    lines, sums = [], dict[tuple[str, str], Taxed]()
    stated = {(root.number, fee): (before, after) for root, fee, before, after, _ in due}
    for each in found["lines"]:
        number, _, position = (each["corrects"] or "").rpartition("/")
        billed = book.line_at(number, int(position))
        root = (billed.line.corrects or (number, 0))[0]
        before, after = stated[root, billed.line.fee]
        part = Taxed(b.minor(each["net"]), b.minor(each["tax"]))
        reason = {
            "inputs": [{"value": b.plain(before)}, {"value": b.plain(after)}],
            "steps": [{"exact": b.plain(part.net)}],
        }
        lines.append(billed.back(part, f"{name}:{number}/{position}", billed.line.clause, reason))
        of = (root, billed.line.fee)
        sums[of] = sums.get(of, Taxed()) + Taxed(sign * part.net, sign * part.tax)
    for root, fee, _, _, part in due:
        carried = sums.pop((root.number, fee), Taxed())
        place = at / f"lines on {root.number}, {fee}"
        agree(place / "net", b.full(carried.net), b.full(part.net))
        agree(place / "tax", b.full(carried.tax), b.full(part.tax))
    paper = book.paper("credit_note" if lower else "invoice", "delta", lines)
    settled = _settled_of(book, paper)
    book.issue(paper)
    book.post("E01", *(each for line in lines for each in _earned(sign * line.net, line.fee)))
    if lower:
        for number, paid in sorted(settled.items()):
            _delta_credited(book, paper, number, paid)
    else:
        _invoiced(book, paper)
    return paper.number


def _delta_credited(book: Book, paper: Paper, number: str, settled: int) -> None:
    """E23: what is earned less is not claimed; what was paid of it is the customer's credit."""
    own, of = paper.on(number), {"invoice": number, "item": paper.number}
    book.post(
        "E23",
        debit(OPEN, settled - total(own).gross, **of),
        debit(CUSTOMER, -settled, **of),
        *(debit(UNBILLED, net, fee=fee, invoice=number) for fee, net in nets(own).items()),
        *_taken_back(own, number),
        part=number,
    )


CARRY_OUT: dict[str, Callable[[Book, Json], None]] = {
    "place_hold": _hold_asked,
    "release": _hold_decided,
    "forfeit": _hold_decided,
    "credit": _credit_asked,
    "dispute_ruling": _dispute_ruled,
    "write_off": _written_off,
    "reversal": _mirrored,
    "service_credit": _service_credited,
    "gain_share": _gain_settled,
    "change_order": _change_agreed,
}
"""What an approved request of each kind makes; a refund is posted when it is confirmed (E20)."""

ALWAYS_POSTED = CARRY_OUT.keys() - {"gain_share", "reversal", "change_order"}
"""A gain share or a change order may change no amount; a receipt that is reversed may belong to no
engagement."""

BY_CODE: dict[str, Callable[[Book], None]] = {
    "E05": _advance,
    "E08": _paid,
    "E20": _refunded,
    "E21": _dispute,
    "E27": _gain_given_up,
    "E30": _mirrored,
}


# What comes out of the books.


@check(
    "each document: its lines, the tax of each code and rate, what is retained, withheld, deducted"
)
def _documents(b: Bundle) -> int:
    expected = {paper.number: paper for paper in b.book.papers}
    compared = 0
    for i, document in enumerate(b["documents"]):
        at = At("documents.json") / i
        if document["number"] not in expected:
            raise Differs(at / "number", document["number"], "a document that something caused")
        compared += agree(at, document, _as_text(b, expected[document["number"]]))
        compared += agree(at / "due_on", document["due_on"], _due_on(b, document))
    claims = Counter(line["claim"] for each in b["documents"] for line in each["lines"])
    for claim, times in claims.items():
        if times > 1:
            raise Differs("documents.json", f"the claim {claim} {times} times", "once")
    return compared


def _as_text(b: Bundle, paper: Paper) -> Json:
    amounts = {
        "net": paper.net,
        "tax": paper.whole.tax,
        "gross": paper.whole.gross,
        "retained": paper.retained.gross,
        "withheld": paper.withheld.gross,
        "advance": paper.advance.gross,
        "advance_tax": paper.advance.tax,
        "deferred": paper.deferred,
    }
    return {
        "document": paper.document,
        "purpose": paper.purpose,
        "key": paper.key,
        "contract": paper.contract,
        "corrects": paper.corrects,
        "lines": [
            {
                "line": position,
                "claim": line.claim,
                "clause": line.clause,
                "fee": line.fee,
                "net": b.full(line.net),
                "tax": b.full(line.tax),
                "deferred": b.full(line.deferred),
                "tax_code": line.code,
                "tax_rate": str(line.rate),
                "corrects": line.corrects and f"{line.corrects[0]}/{line.corrects[1]}",
                "explanation": {"contract": paper.contract, "clause": line.clause}
                | line.reason
                | {"amount": b.full(line.net)},
            }
            for position, line in enumerate(paper.lines, start=1)
        ],
        "taxes": tax_groups(b, paper.lines),
        **{name: b.full(amount) for name, amount in amounts.items()},
    }


def _due_on(b: Bundle, document: Json) -> str:
    """An invoice is due so many days after its date, where the contract gives days."""
    terms = b.versions[document["contract"]]
    days = terms["payment"]["days"] if terms.get("payment") else 0
    if document["document"] == "credit_note":
        days = 0
    return (date.fromisoformat(document["issued_on"]) + timedelta(days)).isoformat()


@check("each posting is what the documents, the acceptances and the holds say, and none is missing")
def _postings(b: Bundle) -> int:
    groups, expected = b["journal"]["groups"], b.book.groups
    found = [group["key"] for group in groups]
    compared = agree(At("journal.json", "groups"), found, [group["key"] for group in expected])
    parties = b.terms["parties"]
    whose = {"entity": parties["consultant"]["entity"], "customer": parties["client"]["entity"]}
    for i, (group, due) in enumerate(zip(groups, expected, strict=True)):
        compared += agree(At("journal.json") / "groups" / i, group, due | whose)
    return compared


HOLD_FACTS = (
    "clause", "kind", "effect", "fee", "bet", "milestone", "invoice", "invoice_line", "clocks",
)  # fmt: skip


@check("each hold: placed = held + released + forfeited, each movement with its tax, each decision")
def _holds(b: Bundle) -> int:
    compared, known = 0, b.book.holds
    for i, hold in enumerate(b["holds"]):
        at = At("holds.json") / i
        if hold["id"] not in known:
            raise Differs(at / "id", hold["id"], "a hold that the contract or people placed")
        due = known[hold["id"]]
        compared += agree(at, hold, {name: getattr(due, name) for name in HOLD_FACTS})
        time_only = "time_only" if due.kind == "RETENTION" else "performance"
        first = {"condition": time_only, "placed_at": due.movements[0]["occurred_at"]}
        compared += agree(at, hold, first)
        compared += agree(at / "movements", hold["movements"], due.movements)
        balance = {
            "placed": due.placed.net,
            "released": due.released.net,
            "forfeited": due.forfeited.net,
            "held": due.held,
            "reserved": sum(
                b.minor(each["amount"]) for each in b.asked_of(due.id) if each["state"] == "pending"
            ),
        }
        stated = {name: b.full(amount) for name, amount in balance.items()}
        compared += agree(at / "balance", hold["balance"], stated)
        if balance["reserved"] > due.held:
            raise Differs(at / "balance.reserved", stated["reserved"], f"at most {stated['held']}")
    if missing := known.keys() - {hold["id"] for hold in b["holds"]}:
        raise Differs("holds.json", f"no {', '.join(sorted(missing))}", "each hold that was placed")
    decided = sorted(b.book.decisions, key=lambda each: str(each["key"]))
    return compared + agree(At("decisions.json"), b["decisions"], decided)


# The clocks of holds, followed through the timeline.

MOVED = ("hold.placed", "hold.released", "hold.forfeited")
TURNED = (
    "hold.cure_noticed", "hold.decision_due", "hold.extended", "hold.disputed",
    "hold.dispute_closed",
)  # fmt: skip
"""Events that say until when a hold waits from then on."""


@check("each clock of a hold: begun, stopped and ended in working days; what its end decided")
def _clocks(b: Bundle) -> int:
    clocks = {hold.id: Clock(b, hold) for hold in b.book.holds.values()}
    last = {event["facts"]["hold"]: event for _, event in b.events(*MOVED)}
    compared = 0
    for at, event in b.events(*MOVED, *TURNED, "approval.requested", "escalation.raised"):
        facts = event["facts"]
        hold = facts.get("hold") or facts.get("subject") or event["process"]
        if hold not in clocks:
            continue
        clock = clocks[hold]
        try:
            compared += clock.turned(at, event)
        except ValueError as wrong:
            raise Differs(at, f"{event['type']}: {wrong}", "what the clause gives") from wrong
        if event is last[hold] and clock.hold.held == 0:
            clock.state, clock.due_at = "settled", None
    for i, hold in enumerate(b["holds"]):
        compared += clocks[hold["id"]].stands(At("holds.json") / i, hold)
    return compared


@dataclass
class Clock:
    """What a hold waits for, and until when; a dispute stops that."""

    b: Bundle
    hold: Hold
    state: str = "active"
    due_at: datetime | None = None
    disputed_at: datetime | None = None
    extensions: int = 0

    def turned(self, at: At, event: Json) -> int:
        """An event of the timeline: whether it could be, and until when the hold waits after it."""
        when, days = instant(event["occurred_at"]), self.b.working_days(event)
        match event["type"]:
            case "hold.placed":
                if self.hold.clocks and self.hold.clocks["review"]:
                    self.due_at = days.after(when, self.agreed("review"))
            case "hold.cure_noticed":
                self.require("active")
                self.state, self.due_at = "curing", days.after(when, self.agreed("cure"))
            case "hold.decision_due":
                self.require("active", "curing")
                self.require_end(at / "occurred_at", event["occurred_at"])
                self.state, self.due_at = "decision_due", days.after(when, self.agreed("decision"))
            case "hold.extended":
                self.require("decision_due")
                clock = "review" if self.hold.clocks["review"] else "decision"
                self.state, self.due_at = "active", days.after(when, self.agreed(clock))
                self.extensions += 1
                if self.extensions > self.hold.clocks["extensions"]:
                    raise ValueError(f"{self.hold.id} is extended {self.extensions} times")
            case "hold.disputed":
                self.require("active", "curing", "decision_due")
                self.require_running()
                self.disputed_at = when
                if self.has_lapsed(event["facts"]["due_at"], when):
                    self.due_at = None
                if self.due_at and self.due_at < when:
                    raise ValueError(f"{self.hold.id} waited until {self.due_at.isoformat()}")
            case "hold.dispute_closed":
                if self.disputed_at is None:
                    raise ValueError(f"{self.hold.id} is not disputed")
                if self.due_at:
                    self.due_at = days.after(when, days.between(self.disputed_at, self.due_at))
                self.disputed_at = None
            case "escalation.raised" if self.due_at:
                self.require("decision_due")
                self.require_end(at / "occurred_at", event["occurred_at"])
                if not self.is_silent(when):
                    raise ValueError(f"silence decides: {self.hold.clocks['default']}")
                self.due_at = None
            case "approval.requested":
                return self.decided_alone(self.b.book.asked[event["facts"]["request"]])
        told = event["type"] in TURNED
        return self.is_due(at / "facts.due_at", event["facts"]["due_at"]) if told else 0

    def decided_alone(self, request: Json) -> int:
        """By silence when the last clock ends, by a step of the retention, by a cure in time."""
        what = request["effect_key"].removeprefix(f"{self.hold.id}:")
        at = self.b.book.request_at(request)
        if str(request["decided_by"]).startswith("clause:"):
            self.require_running()
            if what == "default":
                self.require("decision_due")
                self.require_end(at / "requested_at", request["requested_at"])
                default = self.hold.clocks["default"]
                return 1 + agree(at / "decision", request["decision"], default)
        if what.startswith("cured:") and request["requested_by"].startswith("clause:"):
            self.require("curing")
            if not self.due_at or self.due_at < instant(request["requested_at"]):
                raise Differs(at / "requested_at", request["requested_at"], f"by {self.due_at}")
            return 1
        return 0

    def is_silent(self, ended: datetime) -> bool:
        """Whether the end of the last clock decides nothing: so agreed, or people are asked for it."""
        asked = any(
            instant(request["requested_at"]) <= ended
            and (request["decided_at"] is None or instant(request["decided_at"]) >= ended)
            for request in self.b.asked_of(self.hold.id)
        )
        return asked or self.hold.clocks["default"] == "escalate"

    def has_lapsed(self, stated: str | None, by: datetime | None = None) -> bool:
        """Its last clock has ended and decided nothing, though no escalation is told before."""
        if stated or self.state != "decision_due" or self.due_at is None:
            return False
        return (by is None or self.due_at <= by) and self.is_silent(self.due_at)

    def stands(self, at: At, hold: Json) -> int:
        """Where all that was told leaves it."""
        if self.due_at and self.has_lapsed(hold["due_at"]):
            ended = self.due_at.isoformat()
            self.b.notes.append(f"{at / 'due_at'}: the end at {ended}, not in the timeline yet")
            self.due_at = None
        compared = agree(at, hold, {"state": self.state, "extensions": self.extensions})
        disputed_at = hold["disputed_at"] and instant(hold["disputed_at"])
        compared += agree(at / "disputed_at", disputed_at, self.disputed_at)
        return compared + self.is_due(at / "due_at", hold["due_at"])

    def is_due(self, at: At, stated: str | None) -> int:
        return agree(at, stated and instant(stated), self.due_at)

    def agreed(self, clock: str) -> int:
        """Its working days."""
        days = int((self.hold.clocks or {}).get(clock) or 0)
        if not days:
            raise ValueError(f"{self.hold.id} has no {clock} clock")
        return days

    def require(self, *states: str) -> None:
        if self.state not in states:
            raise ValueError(f"{self.hold.id} is {self.state}, not {' or '.join(states)}")

    def require_running(self) -> None:
        if self.disputed_at:
            raise ValueError(f"{self.hold.id} is disputed since {self.disputed_at.isoformat()}")

    def require_end(self, at: At, when: str) -> None:
        """It comes when the clock has ended, and not while a dispute stops it."""
        self.require_running()
        agree(at, instant(when), self.due_at)


# The rest of what comes out of the books.


@check("each report of a benefit: benefit and fee to date, and what it changed")
def _gain_shares(b: Bundle) -> int:
    compared, due = 0, {report["key"]: report for report in b.book.reports}
    for i, report in enumerate(b["gain_share"]):
        at = At("gain_share.json") / i
        if report["key"] not in due:
            raise Differs(at / "key", report["key"], "a report that people approved")
        compared += agree(at, report, due[report["key"]])
    keys = sorted(report["key"] for report in b["gain_share"])
    return compared + agree(At("gain_share.json", "keys"), keys, sorted(due))


MONEY_TOLD = (
    "milestone.evaluated", "invoice.issued", "credit_note.issued", "hold.placed", "hold.released",
    "hold.forfeited", "posting.reversed", "payment.applied", "payment.taken_back",
    "refund.confirmed", "dispute.opened", "dispute.closed", "invoice.written_off", "change_order.applied",
)  # fmt: skip


@check(
    "the timeline tells of each document, hold, decision and payment, in the order of the journal"
)
def _told(b: Bundle) -> int:
    found = [(At("timeline.json") / i, b["timeline"][i]) for i in money_told(b)]
    compared, told = 0, list[Json]()
    for due in b.book.told:
        if due in told and not (found and matches(found[0][1], due)):
            continue  # The timeline keeps one of several that are the same in all their parts.
        if not found:
            raise Differs(At("timeline.json"), f"no {due['type']} of {due['facts']}", "one")
        at, event = found.pop(0)
        compared += agree(at, event, due)
        told.append(due)
    if found:
        at, event = found[0]
        raise Differs(at, event["type"], "no such event")
    return compared


def money_told(b: Bundle) -> list[int]:
    """Where the timeline tells of money."""
    keys = {group["key"] for group in b["journal"]["groups"]}
    return [
        i
        for i, event in enumerate(b["timeline"])
        # A receipt that is reversed belongs to no engagement.
        if event["type"] in MONEY_TOLD
        and (event["type"] != "posting.reversed" or event["facts"]["group"] in keys)
    ]


def matches(found: Json, expected: Json) -> bool:
    try:
        return agree(At(""), found, expected) > 0
    except Differs:
        return False


@check("each request, dispute, refund and change order ended as it was posted")
def _ended(b: Bundle) -> int:
    compared = 0
    for i, request in enumerate(b["requests"]):
        at = At("requests.json") / i / "document"
        compared += agree(at, request["document"], b.book.outcome(request))
    for dispute in b["disputes"]:
        due = b.minor(dispute["amount"]) if dispute["state"] == "open" else 0
        left = b.full(b.book.balance(DISPUTED, item=dispute["id"]))
        at = At("disputes.json", dispute["id"])
        compared += agree(at / "state", left, b.full(due))
        if dispute["state"] not in ("upheld", "partly"):
            compared += agree(at, dispute, {"upheld": b.full(0), "document": None})
    for refund in b["refunds"]:
        due = b.minor(refund["amount"]) if refund["state"] == "confirmed" else 0
        left = b.full(b.book.balance(CUSTOMER, item=refund["id"]))
        compared += agree(At("refunds.json", refund["id"]) / "state", left, b.full(due))
    applied = [event["facts"]["change"] for _, event in b.events("change_order.applied")]
    stated = [change["id"] for change in b["changes"] if change["state"] == "applied"]
    return compared + agree(At("changes.json"), sorted(stated), sorted(applied))


@check("each number has its series, year and place, and follows the one before as it was booked")
def _numbers(b: Bundle) -> int:
    sandbox = "TEST-" if b["engagement"]["book"] == "sandbox" else ""
    seller = b.terms["parties"]["consultant"]["entity"]
    kinds = {"invoice": "INV", "credit_note": "CN"}
    booked = {group["effect_key"]: group for group in b["journal"]["groups"]}
    visible: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for i, document in enumerate(b["documents"]):
        at = At("documents.json") / i
        series = f"{sandbox}{seller}-{kinds[document['document']]}"
        year, sequence = date.fromisoformat(document["issued_on"]).year, document["sequence"]
        number = f"{series}-{year}-{sequence:06}"
        agree(at, document, {"series": series, "year": year, "number": number})
        agree(at / "customer", document["customer"], b.terms["parties"]["client"]["entity"])
        group = booked[document["key"]]
        agree(at / "issued_on", document["issued_on"], group["effective_on"])
        visible.setdefault((series, year), []).append((sequence, group["number"]))
    for (series, year), places in visible.items():
        places.sort()
        for (earlier, before), (sequence, after) in pairwise(places):
            if sequence == earlier or after < before:
                found = f"{sequence} booked before {earlier}, or twice"
                raise Differs(f"documents.json: {series} of {year}", found, "in order, each once")
        first, last = places[0][0], places[-1][0]
        if others := last - first + 1 - len(places):
            b.notes.append(
                f"{series} of {year}: {others} of the numbers {first} to {last} are of other engagements"
            )
    return len(b["documents"])


@check("each account stands where its postings put it; nothing is paid, billed or held below zero")
def _accounts(b: Bundle) -> int:
    debits, credits = Counter[str](), Counter[str]()
    for group in b["journal"]["groups"]:
        for posting in group["postings"]:
            side = debits if posting["side"] == "D" else credits
            side[posting["account"]] += b.minor(posting["amount"])
    stated = [
        {"account": code, "debit": b.full(debits[code]), "credit": b.full(credits[code])}
        for code in sorted({*debits, *credits})
    ]
    return agree(At("journal.json") / "balances", b["journal"]["balances"], stated)


@check("the final account: the fee, what was earned outright, what the bet gave and took")
def _final(b: Bundle) -> int:
    compared, bets = 0, [hold for hold in b.book.holds.values() if hold.bet]
    account = {
        "fee": sum(b.minor(each["amount"]) for each in b.terms["fees"]),
        "fixed": _earned_outright(b),
        "released": sum(hold.released.net for hold in bets),
        "forfeited": sum(hold.forfeited.net for hold in bets),
    }
    for at, event in b.events("engagement.closed"):
        stated = {name: b.plain(amount) for name, amount in account.items()}
        compared += agree(at / "facts", event["facts"], stated)
    return compared


def _earned_outright(b: Bundle) -> int:
    """In the contract's prices: with the tax of a fee that has it inside."""
    sums = Counter[str]()
    for group in b.book.groups:
        for line in group["postings"]:
            # A right to claim back, and its end, leave it as it is.
            if line["account"] == FIXED and group["code"] not in ("E19", "E32"):
                sums[line["side"]] += b.minor(line["amount"])
    inside = 0
    for paper in b.book.papers:
        sign = 1 if paper.document == "invoice" else -1
        for line in paper.lines if paper.purpose in ("milestone", "delta") else ():
            inside += sign * line.tax if b.terms.prices_of(line.fee) == "gross" else 0
    return sums["C"] - sums["D"] + inside + sum(_forgone(b, each) for each in b.terms["milestones"])


def _forgone(b: Bundle, milestone: Json) -> int:
    """The tax inside what was forfeited before it was invoiced, which stands on no document."""
    holds = [hold for hold in b.book.holds.values() if hold.milestone == milestone["id"]]
    process = f"{b.process}.milestone.{milestone['id']}"
    first = [
        b.minor(line["amount"])
        for group in b.book.groups
        if group["effect_key"] == f"{process}:evaluate" and group["code"] == "E01"
        for line in group["postings"]
        if line["account"] == FIXED and line["fee"] == milestone["fee"]
    ]
    inside = b.terms.prices_of(milestone["fee"]) == "gross"
    if not (inside and first and any(hold.forfeited.net for hold in holds)):
        return 0
    roots = [paper for paper in b.book.papers if paper.key == f"{process}:bill"]
    own = [
        line
        for root in roots
        for paper in b.book.papers
        if paper.document == "invoice" and paper.purpose in ("milestone", "delta")
        for line in b.book.lines_of(paper.number)
        if line.line.fee == milestone["fee"]
        and root.number in (paper.number, (line.line.corrects or ("",))[0])
    ]
    # Its tax, and what change orders made of it since.
    billed = sum(line.whole.gross for line in own)
    at_first = sum(
        line.net for root in roots for line in root.lines if line.fee == milestone["fee"]
    )
    return b.minor(milestone["amount"]) - first[0] - (billed - at_first)


# The program.

UNREADABLE = (
    ArithmeticError, AttributeError, LookupError, RecursionError, SyntaxError, TypeError, ValueError,
)  # fmt: skip


def verify(data: bytes, key: str | None, say: Callable[[str], None]) -> None:
    """Check a bundle; the first difference ends it.

    Args:
        key: the fingerprint of the signer, where it is known.
        say: is called with each line for people.

    Raises:
        Refused: altered, signed by somebody else, or a number differs.
    """
    files = read_zip(data)
    signer = check_signature(files, key)
    say(f"signed by {signer}")
    if key is None:
        say("NOT COMPARED: whose key that is; give its fingerprint with --key, had by another way")
    say(f"ok {check_manifest(files):7}  each file has the SHA-256 that the signed manifest names")
    bundle, total = Bundle(files), 0
    for title, judge in CHECKS:
        try:
            compared = judge(bundle)
        except UNREADABLE as unreadable:
            raise Refused(title, f"what cannot be read: {unreadable!r}", "a bundle") from unreadable
        say(f"ok {compared:7}  {title}")
        total += compared
    for note in bundle.notes:
        say(f"NOT RECOMPUTED: {note}")
    say(f"{bundle['engagement']['id']}: {total} values agree in {len(CHECKS)} checks")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tollkeeper-verify", description="Recompute every number of a Tollkeeper bundle."
    )
    parser.add_argument("bundle", type=Path, help="the zip that `tollkeeper bundle` wrote")
    parser.add_argument("--key", help="fingerprint of the signer, or a file with the public key")
    given = parser.parse_args(arguments)
    try:
        data = given.bundle.read_bytes()
        key = wanted_fingerprint(given.key) if given.key else None
    except OSError as wrong:
        parser.error(
            f"found {wrong.filename} ({wrong.strerror}), expected a bundle or a public key"
        )
    except ValueError as wrong:
        parser.error(str(wrong))
    try:
        verify(data, key, print)
    except Refused as refused:
        print(f"REFUSED  {refused}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads has read enough: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
