"""Recompute every number of a bundle with arithmetic of its own: `tollkeeper-verify BUNDLE`.

This one file needs Python and the `cryptography` package, and nothing of Tollkeeper; copied
elsewhere it runs as `python verify.py BUNDLE`. Exit codes: 0 every number agrees, 1 the bundle is
altered or a number differs, 2 the call is wrong.
"""

import argparse
import ast
import json
import operator
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
from itertools import pairwise
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
    def terms(self) -> Json:
        """The contract version under which the engagement runs."""
        return self[contract_file(self["engagement"]["contract"]).removesuffix(".json")]

    @cached_property
    def indicators(self) -> dict[str, Json]:
        for version in self["contracts"]:
            if version["contract"] == self["engagement"]["contract"]:
                return {entry["id"]: entry for entry in version["indicators"]}
        raise Refused(
            "contracts.json", "not " + self["engagement"]["contract"], "every version used"
        )

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.terms["timezone"])

    @cached_property
    def rate(self) -> Fraction:
        return share(self.terms["tax"]["rate"])

    @cached_property
    def bet(self) -> Json:
        return one(self.terms["bets"], self.terms["holdback"]["bet"])

    @cached_property
    def holdback(self) -> int:
        fee = one(self.terms["fees"], self.terms["holdback"]["fee"])
        return rounded(self.minor(fee["amount"]) * share(self.terms["holdback"]["rate"]))

    @cached_property
    def stakes(self) -> dict[str, int]:
        weights = [share(terms["weight"]) for terms in self.bet["indicators"]]
        names = [terms["indicator"] for terms in self.bet["indicators"]]
        return dict(zip(names, split(self.holdback, weights), strict=True))

    @cached_property
    def withheld(self) -> bool:
        """Whether the holdback is invoiced at go-live, and its payment withheld."""
        return bool(self.terms["holdback"]["effect"] == "withhold_payment")

    @cached_property
    def movements(self) -> list[Json]:
        return [movement for hold in self["holds"] for movement in hold["movements"]]

    @cached_property
    def movements_with_tax(self) -> list[tuple[Json, int]]:
        """Each with the VAT in it where the holdback is invoiced and its payment withheld."""
        tax = rounded(self.holdback * self.rate) if self.withheld else 0
        taken, found = 0, list[tuple[Json, int]]()
        for movement in self.movements:
            if movement["movement"] == "placed":
                found.append((movement, tax))
            else:
                amount = self.minor(movement["amount"])
                found.append((movement, part_of_tax(tax, self.holdback, taken, amount)))
                taken += amount
        return found

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

    def day(self, instant: str) -> date:
        """The date in the contract's time zone."""
        return datetime.fromisoformat(instant).astimezone(self.zone).date()

    def end_of(self, day: date) -> datetime:
        midnight = datetime.combine(day + timedelta(1), time(), self.zone)
        return midnight.astimezone(UTC) - timedelta(seconds=1)

    def events(self, *types: str) -> Iterator[tuple[At, Json]]:
        for i, event in enumerate(self["timeline"]):
            if event["type"] in types:
                yield At("timeline.json") / i, event


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


@check("each contract version is the text whose digest the engagement was opened with")
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
    opened = {"contract": b["engagement"]["contract"]}
    for version in b["contracts"]:
        if version["contract"] == opened["contract"]:
            opened["sha256"] = version["digest"]
    for place, event in b.events("engagement.opened"):
        compared += agree(place / "facts", event["facts"], opened)
    for turn in ("opened", "proceeded", "closed"):
        told = [event["occurred_at"] for _, event in b.events(f"engagement.{turn}")]
        reached = {f"{turn}_at": told[0] if told else None}
        compared += agree(At("engagement.json"), b["engagement"], reached)
    return compared


@check("the milestones of a fee and its holdback are the fee; the weights of the bet are 100 %")
def _terms(b: Bundle) -> int:
    at = At(contract_file(b["engagement"]["contract"]))
    micro, held = b.terms["micro_consulting"]["fee"], b.terms["holdback"]["fee"]
    for i, fee in enumerate(b.terms["fees"]):
        parts = [b.minor(m["amount"]) for m in b.terms["milestones"] if m["fee"] == fee["id"]]
        total = sum(parts) + (b.holdback if fee["id"] == held else 0)
        if fee["id"] != micro:
            agree(at / "fees" / i / "amount", fee["amount"], b.full(total))
    weights = sum(share(terms["weight"]) for terms in b.bet["indicators"])
    return len(b.terms["fees"]) + agree(at / "bets[0].weights", str(weights), "1")


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
        milestone = one(b.terms["milestones"], event["facts"]["milestone"])
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
                "amount": milestone["amount"],
            }
        )
    return compared + agree(At("acceptances.json"), b["acceptances"], expected)


def _accept_by(b: Bundle, at: At, event: Json, working_days: int) -> int:
    """The clock ends with a working day, and no earlier than the agreed number of them."""
    calendar = b["calendar"]
    found = datetime.fromisoformat(event["facts"]["accept_by"])
    if found.astimezone(b.zone).year > calendar["last_year"] or any(b.events("calendar.set")):
        note = "working days decreed later are not in the bundle"
        b.notes.append(f"{at / 'facts.accept_by'}: {note}")
        return 0

    def works(day: date) -> bool:
        text = day.isoformat()
        weekday = day.weekday() < 5 and text not in calendar["days_off"]
        return weekday or text in calendar["days_on"]

    day = b.day(event["occurred_at"])
    while working_days:
        day += timedelta(1)
        working_days -= works(day)
    # It begins when the evidence came in, which may be after the day that it names.
    last = found.astimezone(b.zone).date()
    if found != b.end_of(last) or last < day or not works(last):
        raise Differs(at / "facts.accept_by", found.isoformat(), b.end_of(day).isoformat())
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


@check("each journal group balances in each ledger, and is dated in the contract's time zone")
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
        agree(at, group, {"effective_on": b.day(group["occurred_at"]).isoformat()})
    return len(b["journal"]["groups"])


@check("each verdict: reading chosen, stake, attainment, score, released and forfeited")
def _verdicts(b: Bundle) -> int:
    compared = 0
    for i, verdict in enumerate(b["verdicts"]):
        at = At("verdicts.json") / i
        window = one(b.bet["windows"], verdict["window"])
        what = "trend" if window["reads"] == "trend" else "verdict"
        key = f"{b.process}.bet.{b.bet['id']}:{window['id']}:{what}"
        compared += agree(at, verdict, {"key": key, "bet": b.bet["id"], "kind": window["reads"]})
        compared += agree(at / "started_on", verdict["started_on"], _went_live(b).isoformat())
        if window["reads"] == "trend":
            expected: Json = {"trends": _trends(b, window, verdict)}
        else:
            expected = {"verdict": _settled(b, window, verdict)}
        compared += agree(at / "result", verdict["result"], expected)
    return compared + _outcomes_told(b)


def _went_live(b: Bundle) -> date:
    """The measuring start: the day on which the go-live milestone was accepted."""
    (live,) = (m["id"] for m in b.terms["milestones"] if m["go_live"])
    for accepted in b["acceptances"]:
        if accepted["milestone"] == live:
            return b.day(accepted["at"])
    raise Differs("acceptances.json", f"no acceptance of {live}", "one, as the bet was measured")


def _by_day(b: Bundle, indicator: str, verdict: Json) -> list[Json]:
    """What was known when it was decided; a later reading of the same day corrects the earlier."""
    known = b["readings"][: verdict["readings_known"]]
    days = {each["measured_on"]: each for each in known if each["indicator"] == indicator}
    enough = b.indicators[indicator]["min_sample"]
    return [days[day] for day in sorted(days) if days[day]["sample"] >= enough]


def _trends(b: Bundle, window: Json, verdict: Json) -> dict[str, str]:
    start = date.fromisoformat(verdict["started_on"])
    first, last = start.isoformat(), later(start, window["after"]).isoformat()
    return {
        terms["indicator"]: trend(
            Fraction(terms["baseline"]),
            Fraction(terms["target"]),
            [
                (date.fromisoformat(each["measured_on"]), Fraction(each["value"]))
                for each in _by_day(b, terms["indicator"], verdict)
                if first < each["measured_on"] <= last
            ],
        )
        for terms in b.bet["indicators"]
    }


def _settled(b: Bundle, window: Json, verdict: Json) -> Json:
    """The verdict that the contract gives on the readings."""
    last = later(date.fromisoformat(verdict["started_on"]), window["after"])
    first = later(last + timedelta(1), window["reading_within"], -1)
    parts, released, forfeited = [], 0, 0
    for name in window["settles"]:
        usable = [
            each
            for each in _by_day(b, name, verdict)
            if first.isoformat() <= each["measured_on"] <= last.isoformat()
        ]
        if not usable:
            raise Differs("readings.json", f"no reading of {name} for {window['id']}", "one")
        part, won = _part(b, name, usable[-1])
        parts.append(part)
        released, forfeited = released + won, forfeited + b.stakes[name] - won
    return {
        "window": window["id"],
        "indicators": parts,
        "released": b.full(released),
        "forfeited": b.full(forfeited),
    }


def _part(b: Bundle, name: str, reading: Json) -> tuple[Json, int]:
    (terms,) = (each for each in b.bet["indicators"] if each["indicator"] == name)
    start, goal, actual = (
        Fraction(each) for each in (terms["baseline"], terms["target"], reading["value"])
    )
    attainment = (actual - start) / (goal - start)
    score = share_won(terms["scoring"], attainment)
    stake = b.stakes[name]
    won = rounded(stake * score)
    indicator = b.indicators[name]
    inputs = [
        {"name": "holdback", "value": b.plain(b.holdback)},
        {"name": "weight", "value": str(share(terms["weight"]))},
        {"name": "baseline", "value": terms["baseline"]},
        {"name": "target", "value": terms["target"]},
        {
            "name": "actual",
            "value": f"{reading['value']} {indicator['unit']}",
            "source": f"{reading['source']}, {reading['measured_on']}, n={reading['sample']}",
            "evidence": reading["evidence"],
        },
    ]
    steps = [
        {"exact": str(b.exact(b.holdback) * share(terms["weight"])), "rounded": b.plain(stake)},
        {"exact": str(attainment)},
        {"exact": str(score)},
        {"exact": str(b.exact(stake) * score), "rounded": b.plain(won)},
        {"exact": b.plain(stake - won)},
    ]
    explanation = {
        "what": f"{indicator['name']['en']}: stake {b.plain(stake)}, score {score}",
        "amount": b.full(won),
        "contract": b["engagement"]["contract"],
        "clause": terms["clause"],
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


@check("each hold: released + forfeited + held = placed, each as the verdict gives, and decided so")
def _holds(b: Bundle) -> int:
    compared = 0
    bet = f"{b.process}.bet.{b.bet['id']}"
    hold_id = f"{b.process}.hold.{b.terms['holdback']['id']}"
    due = {(f"{bet}:place", "placed"): b.full(b.holdback)}
    for verdict in b["verdicts"]:
        if verdict["kind"] == "settlement":
            result = verdict["result"]["verdict"]
            due[f"{bet}:{verdict['window']}:release", "released"] = result["released"]
            due[f"{bet}:{verdict['window']}:forfeit", "forfeited"] = result["forfeited"]
    for i, hold in enumerate(b["holds"]):
        at = At("holds.json") / i
        sums: Counter[str] = Counter()
        for j, movement in enumerate(hold["movements"]):
            amount = due.pop((movement["key"], movement["movement"]), "no such movement")
            compared += agree(at / "movements" / j / "amount", movement["amount"], amount)
            sums[movement["movement"]] += b.minor(amount)
        held = sums["placed"] - sums["released"] - sums["forfeited"]
        balance = {name: b.full(sums[name]) for name in ("placed", "released", "forfeited")}
        effect = b.terms["holdback"]["effect"]
        stated = {"id": hold_id, "effect": effect}
        compared += agree(at, hold, {"balance": balance | {"held": b.full(held)}} | stated)
    left = [each for each in b.movements if each["movement"] != "placed"]
    decided = [
        {
            "key": each["key"],
            "hold": hold_id,
            "decision": each["movement"],
            "amount": each["amount"],
            "decided_by": f"clause:{one(b.bet['windows'], each['key'].split(':')[1])['clause']}",
            "decided_on": b.day(each["occurred_at"]).isoformat(),
            "document": _document_of(b, each),
            "explanations": [line.reason for line in _decided(b, each)],
        }
        for each in sorted(left, key=lambda each: str(each["key"]))
    ]
    compared += agree(At("decisions.json"), b["decisions"], decided)
    names = ("placed", "released", "forfeited")
    told = [event for _, event in b.events(*(f"hold.{name}" for name in names))]
    expected = [
        {
            "type": f"hold.{each['movement']}",
            "occurred_at": each["occurred_at"],
            "facts": {"hold": hold_id, "amount": b.plain(b.minor(each["amount"]))}
            | ({"document": _document_of(b, each)} if each in left else {}),
        }
        for each in b.movements
    ]
    return compared + agree(At("timeline.json", "hold.*"), told, expected)


def _document_of(b: Bundle, movement: Json) -> str | None:
    """What carries a decision: a new document, or the invoice whose payment was withheld."""
    issued = {document["key"]: document["number"] for document in b["documents"]}
    released = movement["movement"] == "released"
    by = b.movements[0]["key"] if b.withheld and released else movement["key"]
    return issued.get(by)


@check("each document: lines, net, VAT once per document, gross, and the reason of each line")
def _documents(b: Bundle) -> int:
    compared = 0
    due = dict(_due(b))
    for i, document in enumerate(b["documents"]):
        at = At("documents.json") / i
        if document["key"] not in due:
            raise Differs(at / "key", document["key"], f"one of {', '.join(due) or 'none'}")
        compared += agree(at, document, _priced(b, due.pop(document["key"])))
    claims = Counter(line["claim"] for each in b["documents"] for line in each["lines"])
    for claim, times in claims.items():
        if times > 1:
            raise Differs("documents.json", f"the claim {claim} {times} times", "once")
    return compared + _documents_told(b)


class DueLine(NamedTuple):
    """One line as it has to be; `reason` is what has to stand in its explanation."""

    claim: str
    clause: str
    net: int
    reason: Json


@dataclass(frozen=True)
class Due:
    """A document as it has to be; `tax` where it is a part of that of the invoice it corrects."""

    document: str
    lines: list[DueLine]
    tax: int | None = None
    withheld: bool = False
    corrects: str | None = None


def _due(b: Bundle) -> Iterator[tuple[str, Due]]:
    """Every document that has its cause in the contract and in what happened, under its key."""
    for _ in b.events("mc.final_submitted"):
        fee = one(b.terms["fees"], b.terms["micro_consulting"]["fee"])
        process = f"{b.process}.micro.{b.terms['micro_consulting']['product']}"
        yield f"{process}:fee", Due("invoice", [_fixed(b, process, fee)])
    for accepted in b["acceptances"]:
        milestone = one(b.terms["milestones"], accepted["milestone"])
        process = f"{b.process}.milestone.{milestone['id']}"
        yield f"{process}:bill", Due("invoice", [_fixed(b, process, milestone)])
    for movement, tax in b.movements_with_tax:
        key, what = movement["key"], movement["movement"]
        if b.withheld and what == "placed":
            clause = {"clause": b.terms["holdback"]["clause"], "amount": b.full(b.holdback)}
            line = _fixed(b, f"{key.partition(':')[0]}:placed", clause)
            yield key, Due("invoice", [line], withheld=True)
        if not b.withheld and what == "released":
            yield key, Due("invoice", list(_decided(b, movement)))
        if b.withheld and what == "forfeited":
            corrects = _number(b, b.movements[0]["key"])
            yield key, Due("credit_note", list(_decided(b, movement)), tax, corrects=corrects)


def _fixed(b: Bundle, claim: str, clause: Json) -> DueLine:
    """A stated amount; what proves that it became due is no number."""
    net = b.minor(clause["amount"])
    amount = b.plain(net)
    inputs = [{"name": "amount", "value": amount}, {}]
    reason = {"inputs": inputs, "steps": [{"exact": amount, "rounded": None}]}
    return DueLine(claim, clause["clause"], net, reason)


def _decided(b: Bundle, movement: Json) -> Iterator[DueLine]:
    """What a verdict gave or took, a line for each indicator."""
    process, window, _ = movement["key"].split(":")
    for verdict in b["verdicts"]:
        if (verdict["window"], verdict["kind"]) == (window, "settlement"):
            for part in verdict["result"]["verdict"]["indicators"]:
                if net := b.minor(part[movement["movement"]]):
                    claim = f"{process}:{window}:{part['indicator']}:{movement['movement']}"
                    reason = part["explanation"] | {"amount": b.full(net)}
                    yield DueLine(claim, reason["clause"], net, reason)


def _number(b: Bundle, key: str) -> str:
    for document in b["documents"]:
        if document["key"] == key:
            return str(document["number"])
    raise Differs("documents.json", f"no document of {key}", "one")


def _priced(b: Bundle, due: Due) -> Json:
    """The document as it has to be, but for its number and date."""
    net = sum(line.net for line in due.lines)
    tax = rounded(net * b.rate) if due.tax is None else due.tax
    exact = str(b.exact(net) * b.rate) if due.tax is None else b.plain(tax)
    contract = b["engagement"]["contract"]
    return {
        "document": due.document,
        "contract": contract,
        "lines": [
            {
                "line": number,
                "claim": line.claim,
                "clause": line.clause,
                "net": b.full(line.net),
                "explanation": line.reason
                | {"amount": b.full(line.net), "clause": line.clause, "contract": contract},
            }
            for number, line in enumerate(due.lines, start=1)
        ],
        "net": b.full(net),
        "tax": b.full(tax),
        "gross": b.full(net + tax),
        "tax_code": b.terms["tax"]["code"],
        "tax_rate": str(b.rate),
        "tax_calculation": {
            "exact": exact,
            "rounded": b.plain(tax) if due.tax is None else None,
        },
        "withheld": due.withheld,
        "corrects": due.corrects,
    }


def _documents_told(b: Bundle) -> int:
    told = list(b.events("invoice.issued", "credit_note.issued"))
    numbers = sorted(event["facts"]["number"] for _, event in told)
    issued = {document["number"]: document for document in b["documents"]}
    compared = agree(At("timeline.json", "documents issued"), numbers, sorted(issued))
    for at, event in told:
        document = issued[event["facts"]["number"]]
        facts = {name: b.plain(b.minor(document[name])) for name in ("net", "tax", "gross")}
        facts |= {name: document[name] for name in ("corrects", "withheld")}
        compared += agree(at / "facts", event["facts"], facts)
        place = At("documents.json", document["number"]) / "issued_on"
        compared += agree(place, document["issued_on"], b.day(event["occurred_at"]).isoformat())
    return compared


@check("each posting is what the documents, the acceptances and the holds say, and none is missing")
def _postings(b: Bundle) -> int:
    expected = dict(_booked(b))
    groups = b["journal"]["groups"]
    compared = agree(
        At("journal.json", "groups"), sorted(g["key"] for g in groups), sorted(expected)
    )
    for i, group in enumerate(groups):
        at = At("journal.json") / "groups" / i
        effect, _, code = group["key"].rpartition(":")
        compared += agree(at, group, {"effect_key": effect, "code": code})
        compared += agree(at / "postings", group["postings"], expected[group["key"]])
    for at, event in b.events("milestone.evaluated"):
        milestone = one(b.terms["milestones"], event["facts"]["milestone"])
        amount = b.plain(b.minor(milestone["amount"]))
        compared += agree(at / "facts.earned", event["facts"]["earned"], amount)
    return compared


Line = tuple[str, str, int]
"""Account, side, amount."""


def _booked(b: Bundle) -> Iterator[tuple[str, list[Json]]]:
    """Every group under its key, from what happened and what was issued."""
    issued = {document["key"]: document for document in b["documents"]}
    for _, event in b.events("milestone.evaluated"):
        milestone = one(b.terms["milestones"], event["facts"]["milestone"])
        key = f"{b.process}.milestone.{milestone['id']}:evaluate:E01"
        yield key, _group(b, _earned(b.minor(milestone["amount"])), milestone["fee"])
    for key, document in issued.items():
        net, tax, number = b.minor(document["net"]), b.minor(document["tax"]), document["number"]
        kind, _, name = key.removeprefix(f"{b.process}.").partition(":")[0].partition(".")
        if kind == "micro":
            fee = b.terms["micro_consulting"]["fee"]
            yield f"{key}:E01", _group(b, _earned(net), fee)
            yield f"{key}:E02", _group(b, _invoiced(net, tax), fee, invoice=number)
        if kind == "milestone":
            fee = one(b.terms["milestones"], name)["fee"]
            yield f"{key}:E02", _group(b, _invoiced(net, tax), fee, invoice=number)
    for movement, tax in b.movements_with_tax:
        key, amount = movement["key"], b.minor(movement["amount"])
        invoiced_by = b.movements[0]["key"] if b.withheld else key
        number = issued[invoiced_by]["number"] if invoiced_by in issued else None
        hold = f"{b.process}.hold.{b.terms['holdback']['id']}"
        for code, lines in _moved(b, movement["movement"], amount, tax).items():
            fee = b.terms["holdback"]["fee"]
            yield f"{key}:{code}", _group(b, lines, fee, hold=hold, invoice=number)


def _group(
    b: Bundle, lines: list[Line], fee: str, hold: str | None = None, invoice: str | None = None
) -> list[Json]:
    of = {"fee": fee, "hold": hold, "invoice": invoice}
    return [
        {"account": account, "side": side, "amount": b.full(amount)} | of
        for account, side, amount in lines
        if amount
    ]


def _earned(net: int, revenue: str = "4000") -> list[Line]:
    return [("1200", "D", net), (revenue, "C", net)]


def _invoiced(net: int, tax: int, receivable: str = "1100") -> list[Line]:
    return [(receivable, "D", net + tax), ("1200", "C", net), ("2400", "C", tax)]


def _moved(b: Bundle, movement: str, net: int, tax: int) -> dict[str, list[Line]]:
    """The groups of a movement of the hold; where it is not invoiced before, a release is."""
    gross, struck = net + tax, [("M40", "C", net), ("M49", "D", net)]
    won = net + rounded(net * b.rate)
    match movement, b.withheld:
        case "placed", True:
            return {"E01": _earned(net, "4020"), "E02": _invoiced(net, tax, "1120")}
        case "released", True:
            return {"E11": [("1100", "D", gross), ("1120", "C", gross)]}
        case "forfeited", True:
            return {"E12": [("4090", "D", net), ("2400", "D", tax), ("1120", "C", gross)]}
        case "placed", False:
            return {"E14": [("M40", "D", net), ("M49", "C", net)]}
        case "released", False:
            invoiced = [("1100", "D", won), ("4020", "C", net), ("2400", "C", won - net)]
            return {"E15": struck + invoiced}
        case _:
            return {"E16": struck}


@check("each number has its series, year and place, and follows the one before as it was booked")
def _numbers(b: Bundle) -> int:
    sandbox = "TEST-" if b["engagement"]["book"] == "sandbox" else ""
    seller = b.terms["parties"]["consultant"]["entity"]
    kinds = {"invoice": "INV", "credit_note": "CN"}
    booked = {group["effect_key"]: group["number"] for group in b["journal"]["groups"]}
    visible: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for i, document in enumerate(b["documents"]):
        at = At("documents.json") / i
        series = f"{sandbox}{seller}-{kinds[document['document']]}"
        year, sequence = date.fromisoformat(document["issued_on"]).year, document["sequence"]
        number = f"{series}-{year}-{sequence:06}"
        agree(at, document, {"series": series, "year": year, "number": number})
        visible.setdefault((series, year), []).append((sequence, booked[document["key"]]))
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


@check("each account stands where the documents and the holds put it")
def _accounts(b: Bundle) -> int:
    debits, credits = Counter[str](), Counter[str]()
    for group in b["journal"]["groups"]:
        for posting in group["postings"]:
            side = debits if posting["side"] == "D" else credits
            side[posting["account"]] += b.minor(posting["amount"])
    at = At("journal.json") / "balances"
    stated = [
        {"account": code, "debit": b.full(debits[code]), "credit": b.full(credits[code])}
        for code in sorted({*debits, *credits})
    ]
    compared = agree(at, b["journal"]["balances"], stated)
    standing = Counter(debits)
    standing.subtract(credits)
    for code, amount in _standing(b).items():
        compared += agree(at / code, b.full(standing[code]), b.full(amount))
    return compared


def _standing(b: Bundle) -> dict[str, int]:
    """Debit less credit of each account, summed over documents and holds alone."""
    sums: Counter[str] = Counter()
    for document in b["documents"]:
        for name in ("net", "tax", "gross"):
            sums[f"{document['document']} {name}"] += b.minor(document[name])
    for hold in b["holds"]:
        for name, text in hold["balance"].items():
            sums[name] += b.minor(text)
    accepted = sum(
        b.minor(one(b.terms["milestones"], event["facts"]["milestone"])["amount"])
        for _, event in b.events("milestone.evaluated")
    )
    micro = f"{b.process}.micro."
    fixed = accepted + sum(b.minor(d["net"]) for d in b["documents"] if d["key"].startswith(micro))
    tax = rounded(b.holdback * b.rate) if b.withheld and sums["placed"] else 0
    decided = sums["released"] + sums["forfeited"]
    held_gross = sums["held"] + tax - part_of_tax(tax, b.holdback, 0, decided)
    at_risk = sums["placed"] if b.withheld else sums["released"]
    memo = 0 if b.withheld else sums["held"]
    return {
        "1100": sums["invoice gross"]
        - sums["credit_note gross"]
        - (held_gross if b.withheld else 0),
        "1120": held_gross if b.withheld else 0,
        "1200": fixed + at_risk - sums["invoice net"],
        "2400": sums["credit_note tax"] - sums["invoice tax"],
        "4000": -fixed,
        "4020": -at_risk,
        "4090": sums["credit_note net"],
        "M40": memo,
        "M49": -memo,
    }


@check("the final account: fixed + released + forfeited is the fee, or nothing is final yet")
def _final(b: Bundle) -> int:
    compared = 0
    standing = _standing(b)
    sums: Counter[str] = Counter()
    for movement in b.movements:
        sums[movement["movement"]] += b.minor(movement["amount"])
    fee = sum(b.minor(each["amount"]) for each in b.terms["fees"])
    account = {"fee": fee, "fixed": -standing["4000"]}
    account |= {name: sums[name] for name in ("released", "forfeited")}
    for at, event in b.events("engagement.closed"):
        stated = {name: b.plain(amount) for name, amount in account.items()}
        compared += agree(at / "facts", event["facts"], stated)
        settled = account["fixed"] + account["released"] + account["forfeited"]
        if b["engagement"]["proceeded_at"]:
            compared += agree(at / "facts.fee", b.plain(settled), event["facts"]["fee"])
    return compared


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
    except (OSError, ValueError) as wrong:
        parser.error(str(wrong))
    try:
        verify(data, key, print)
    except Refused as refused:
        print(f"REFUSED  {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
