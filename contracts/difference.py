"""What is not the same in two versions of a document, or two contents under one key. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contracts.contract import Agreement
from contracts.errors import TermsError

NAMES = ("id", "indicator", "party", "code", "person", "level", "fee")
"""The keys by which an entry of a list is recognised, wherever it stands in the list."""

SAID, LONGEST = 8, 100
"""How many differences a refusal tells, and how much of each value."""


@dataclass(frozen=True)
class Difference:
    """One value that is not the same; None where a version does not have it."""

    path: str
    clause: str | None
    before: str | None
    after: str | None

    @property
    def where(self) -> str:
        return f"{self.path} (clause {self.clause})" if self.clause else self.path

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.where}: new, {self.after}"
        if self.after is None:
            return f"{self.where}: gone, was {self.before}"
        return f"{self.where}: {self.before} -> {self.after}"


def differences(before: Agreement, after: Agreement) -> list[Difference]:
    """Every value that differs, in the order of the document; what is only moved does not.

    Raises:
        TermsError: two different contracts, or a version that is not a later one.
    """
    if before.id != after.id:
        raise TermsError(
            f"found contracts {before.id} and {after.id}, expected versions of one contract"
        )
    if after.version <= before.version:
        raise TermsError(
            f"found version {after.version} after version {before.version}, expected a later one"
        )
    if after.effective_on < before.effective_on:
        raise TermsError(
            f"found version {after.version} effective on {after.effective_on}, expected "
            f"{before.effective_on} or later, when version {before.version} took effect"
        )
    one, other = before.model_dump(mode="json"), after.model_dump(mode="json")
    return list(_compared("", None, one, other))


def told_apart(there: Any, given: Any) -> str:
    """Two contents of one key, as JSON, for a refusal: `amount: 1.00 on record, 2.00 given; ...`."""
    found = [
        f"{each.where}: {_said(each.before)} on record, {_said(each.after)} given"
        for each in _compared("", None, there, given)
    ]
    more = [f"{len(found) - SAID} more"] if len(found) > SAID else []
    return "; ".join(found[:SAID] + more)


def _said(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}..."


def _compared(path: str, clause: str | None, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, list) and isinstance(after, list):
        before, after = _keyed(before), _keyed(after)
    if not isinstance(before, dict) or not isinstance(after, dict):
        if before != after:
            yield Difference(path, clause, _text(before), _text(after))
        return
    clause = after.get("clause") or before.get("clause") or clause
    for key in dict.fromkeys((*before, *after)):
        inner = f"{path}{key}" if key.startswith("[") else f"{path}.{key}".removeprefix(".")
        yield from _compared(inner, clause, before.get(key), after.get(key))


def _keyed(items: list[Any]) -> dict[str, Any]:
    """The entries of a list by their name, or by their place where they have none."""
    return {f"[{_name(item) or place}]": item for place, item in enumerate(items)}


def _name(item: Any) -> str | None:
    if isinstance(item, dict):
        return next((str(item[key]) for key in NAMES if item.get(key)), None)
    return str(item) if isinstance(item, str) else None


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items() if each is not None)
    if isinstance(value, list):
        return ", ".join(str(_text(each)) for each in value) or "none"
    return str(value)
