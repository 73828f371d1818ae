"""The books checked against themselves: each invariant recomputed from what is stored."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import groupby

from pydantic import BaseModel, ConfigDict, computed_field

from activities.postgres import Connection, Pool
from contracts.contract import Contract
from contracts.errors import EngagementError
from contracts.fields import canonical
from contracts.indicators import Indicator
from contracts.money import Money
from tollkeeper.views.base import Row, money, snapshot

SECONDS = 600.0
"""Longest wait for the next rows of a check; a sum over a whole ledger takes its time."""
ROWS_AHEAD = 1_000


class Check(BaseModel):
    """One invariant: how many objects it was checked on, and each one that breaks it."""

    model_config = ConfigDict(frozen=True)

    id: str
    rule: str
    title: str
    checked: int
    violations: tuple[str, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        return not self.violations


class Verification(BaseModel):
    """All checks on one state of the database."""

    model_config = ConfigDict(frozen=True)

    checks: tuple[Check, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


Judge = Callable[[Row], Iterator[str]]
"""From a row about one object to what is wrong with it: found, expected."""


@dataclass(frozen=True)
class Invariant:
    """A query with one row an object, called `name`, and a judgement of each row."""

    id: str
    rule: str
    title: str
    query: str
    judge: Judge


INVARIANTS: list[Invariant] = []


def invariant(id: str, rule: str, title: str, query: str) -> Callable[[Judge], Judge]:
    """Register a judgement; the checks run in the order of this file."""

    def register(judge: Judge) -> Judge:
        INVARIANTS.append(Invariant(id, rule, title, query, judge))
        return judge

    return register


async def verify(pool: Pool) -> Verification:
    """Check every invariant on one snapshot of the database; nothing is written."""
    checks: list[Check] = []
    async with snapshot(pool) as connection:
        for query, rules in groupby(INVARIANTS, key=lambda rule: rule.query):
            checks += await _checked(connection, query, list(rules))
    return Verification(checks=tuple(checks))


async def _checked(connection: Connection, query: str, rules: list[Invariant]) -> list[Check]:
    """Invariants that look at the same rows, in one pass over them."""
    checked, violations = 0, defaultdict[str, list[str]](list)
    async for row in connection.cursor(query, prefetch=ROWS_AHEAD, timeout=SECONDS):
        checked += 1
        for rule in rules:
            violations[rule.id] += [f"{row['name']}: {fault}" for fault in _faults(rule, row)]
    return [
        Check(
            id=rule.id,
            rule=rule.rule,
            title=rule.title,
            checked=checked,
            violations=tuple(violations[rule.id]),
        )
        for rule in rules
    ]


def _faults(rule: Invariant, row: Row) -> list[str]:
    """What is wrong with one object; what can no longer be read is wrong as well."""
    try:
        return list(rule.judge(row))
    except (ValueError, TypeError, LookupError, ArithmeticError, EngagementError) as unreadable:
        why = str(unreadable).partition("\n")[0]
        return [f"found what cannot be read ({why}), expected it as it was written"]


def differs(what: str, found: object, expected: object) -> Iterator[str]:
    if found != expected:
        yield f"found {what} {found}, expected {expected}"


def amount_of(row: Row, name: str) -> Money:
    return money(row[f"{name}_minor"], row["currency"])


def zero(row: Row) -> Money:
    return Money(0, row["currency"])


def text_of(amount: Money) -> str:
    return f"{amount} {amount.currency}"


def digest_of(value: object) -> str:
    return sha256(canonical(value).encode()).hexdigest()


@lru_cache(maxsize=64)
def contract_from(document: str) -> Contract:
    return Contract.model_validate_json(document)


@lru_cache(maxsize=64)
def indicators_from(stored: str) -> dict[str, Indicator]:
    return {entry["id"]: Indicator.model_validate(entry) for entry in json.loads(stored)}
