"""Months that close, the chain of hashes over the journal, what may be reversed. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256

from contracts.errors import TermsError

MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)
ONE_DAY = timedelta(days=1)

NOTHING_BEFORE = ""
"""What the first link of a chain follows."""

Content = str | int | None | Sequence["Content"]
"""What a hash covers: texts, whole numbers, nothing, and lists of them."""


@dataclass(frozen=True, order=True)
class Month:
    """An accounting period: a calendar month of one legal entity in one book."""

    first_day: date

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Read `2025-03`.

        Raises:
            TermsError: anything else.
        """
        match = MONTH.fullmatch(text)
        if not match:
            raise TermsError(f"found {text!r}, expected a month such as 2025-03")
        return cls(date(int(match[1]), int(match[2]), 1))

    @classmethod
    def of(cls, day: date) -> "Month":
        """The period of a day."""
        return cls(day.replace(day=1))

    @property
    def last_day(self) -> date:
        return (self.first_day + 31 * ONE_DAY).replace(day=1) - ONE_DAY

    def __str__(self) -> str:
        return f"{self.first_day:%Y-%m}"


def open_day_after(day: date, closed_through: date | None) -> date:
    """The first open day from `day` on; `closed_through` is the last day that is closed."""
    return day if closed_through is None or day > closed_through else closed_through + ONE_DAY


def encoded(content: Content) -> bytes:
    """One text per content and one content per text: every part says its kind and its length."""
    match content:
        case None:
            return b"-"
        case str():
            text = content.encode()
            return b"s%d:%s" % (len(text), text)
        case int():
            digits = b"%d" % content
            return b"i%d:%s" % (len(digits), digits)
        case _:
            return b"l%d:%s" % (len(content), b"".join(map(encoded, content)))


def link(previous: str, content: Content) -> str:
    """The hash of a link: SHA-256 over the hash before it and its own content."""
    return sha256(encoded((previous, content))).hexdigest()


REVERSIBLE = {
    "E07": "a receipt that never came, or was booked twice",
    "E08": "a receipt applied to the wrong invoice",
    "E26": "a claim written off that the client pays after all",
}
"""What nobody but the one who booked it has seen, so that an exact mirror puts it right."""

_DOCUMENT = "issue a credit note: the client has the document, and its VAT is reported"
_HOLD = "decide again about the money: place a hold of effect reserve_refund on its invoice"
_CAP = "the limits follow their documents and contract versions: correct those"

CORRECTED_BY = {
    "E01": "bill it and issue a credit note, or sign a change order",
    **dict.fromkeys(("E02", "E03", "E04", "E05", "E06", "E10"), _DOCUMENT),
    **dict.fromkeys(("E09", "E11", "E15", "E19"), _HOLD),
    **dict.fromkeys(("E12", "E13", "E18", "E22", "E23", "E25"), "issue the invoice anew"),
    "E14": "decide about the hold",
    "E16": "open a dispute: what a verdict took is final until it is ruled on",
    "E17": "decide about the hold",
    "E20": "book the money that came back as a receipt",
    "E21": "rule on the dispute",
    "E24": "report the benefit of the period anew: the true-up takes the difference back",
    "E27": _CAP,
    "E28": "sign a change order",
    "E30": "book what was reversed anew: a reversal is not reversed",
    "E31": "decide about the hold",
    "E32": "decide about the hold",
    "E33": "bill the milestones: they deduct only what is left of the advance",
}
"""What to do where a mirror would leave a document, a hold or a limit behind that says otherwise."""


def why_not_reversible(code: str) -> str | None:
    """What to do instead of a reversal; nothing for a code that may be reversed."""
    if code in REVERSIBLE:
        return None
    return CORRECTED_BY.get(code, "correct it by the command that booked it")
