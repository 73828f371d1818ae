"""What is wrong in a document, and the checks that every kind of document needs. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from contracts.commercial import PERSON_ID
from contracts.fields import CLAUSE, ID

Loc = tuple[str | int, ...]
"""The way from the root of the document to a value: keys and list positions."""

PATTERNS = {
    ID: "letters, digits, - and _, at most 48, such as KA-2024-017",
    PERSON_ID: "small letters, digits, and . _ -, at most 48, such as chen.yu",
    CLAUSE: "a clause of at most 32 characters, such as 4.1",
}
"""What a pattern that a text does not match asks for."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at one place; `rule` is a rule of the method or an error code."""

    loc: Loc
    found: str
    expected: str
    rule: str
    nearest: str | None = None


Problems = Iterator[Problem]


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, if one is near."""
    close = get_close_matches(word, names, n=1) if len(word) <= 80 else []
    return close[0] if close else None


def repeated(places: Iterable[tuple[Loc, str]]) -> Problems:
    seen: set[str] = set()
    for loc, name in places:
        if name.casefold() in seen:
            yield Problem(loc, f"{name!r} a second time", "each id once", "duplicate_id")
        seen.add(name.casefold())


def unknown_ref(loc: Loc, wanted: str, known: Sequence[str]) -> Problems:
    if wanted not in known:
        expected = f"one of {', '.join(known)}"
        yield Problem(loc, repr(wanted), expected, "unknown_ref", nearest(wanted, known))
