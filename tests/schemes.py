"""Settle the contracts of `examples/schemes`, compare with what is expected: `python -m tests.schemes`."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from contracts.document import Kind, decode, read_document
from contracts.errors import TermsError
from contracts.kinds import OUTCOME, READINGS
from contracts.outcome.basics import Value
from lifecycle.settlement import Settlement, Settler

FOLDER = Path(__file__).parents[1] / "examples/schemes"
CASES = Path(__file__).parent / "data/outcome-cases.json"

ADDRESS = re.compile(r"(?P<name>[a-z][a-z0-9_]*)(@(?P<period>[1-9][0-9]*))?")
"""A value by its name: that of the last period, or of period 2 as in `fee@2`."""
ITEM = re.compile(r"(?P<name>\w+)\.(?P<number>[1-9][0-9]*)")
"""One item of an expected list, for cases that try one contract with several readings."""

Address = str | list[str]
Number = Fraction | None


class Run(NamedTuple):
    """One contract, settled with one set of readings, and what it gives by expected name."""

    contract: str
    readings: str
    gives: Mapping[str, Address]


class Pair(NamedTuple):
    """Two contracts that differ in one line, and a value in which that shows."""

    setting: str
    contracts: tuple[str, str]
    readings: str
    value: str


@dataclass(frozen=True)
class Answer:
    """One expected number, or list of numbers, and what the contract gave."""

    name: str
    expected: Sequence[Number]
    found: Sequence[Number]

    @property
    def ok(self) -> bool:
        return self.expected == self.found

    def __str__(self) -> str:
        sign = "=" if self.ok else "!="
        return f"{self.name} {_numbers(self.expected)} {sign} {_numbers(self.found)}"


@cache
def outcome_cases() -> dict[str, dict[str, Any]]:
    """The cases by id: title, inputs, expected."""
    return {case["id"]: case for case in json.loads(CASES.read_text(encoding="utf-8"))}


@cache
def runs() -> dict[str, list[Run]]:
    """By case, what stands in `cases*.yaml`."""
    return {
        case: [Run(**run) for run in entries]
        for entries_by_case in _case_files()
        for case, entries in entries_by_case.items()
        if case != "pairs"
    }


@cache
def pairs() -> list[Pair]:
    """What stands under `pairs` in `cases*.yaml`."""
    found = [pair for data in _case_files() for pair in data.get("pairs", ())]
    return [Pair(**{**pair, "contracts": tuple(pair["contracts"])}) for pair in found]


def answers(case: str) -> list[Answer]:
    """What the contracts of a case give, beside what is expected.

    Raises:
        TermsError: a document is refused, or has no value of a name.
    """
    expected = outcome_cases()[case]["expected"]
    found = []
    for run in runs().get(case, ()):
        settlement = settled(run.contract, run.readings)
        for name, address in run.gives.items():
            wanted = _expected(expected, name)
            numbers = found_at(settlement, address, several=isinstance(wanted, list))
            found.append(Answer(name, _exact(wanted), numbers))
    return found


def given_names(case: str) -> set[str]:
    """The expected names that the runs of a case give, items written out: `balance.1`."""
    return {name for run in runs().get(case, ()) for name in run.gives}


def expected_names(case: str) -> set[str]:
    """The expected names of a case; a list whose items are given one by one stands as its items."""
    given = given_names(case)
    names: set[str] = set()
    for name, value in outcome_cases()[case]["expected"].items():
        count = len(value) if isinstance(value, list) else 0
        items = {f"{name}.{n}" for n in range(1, count + 1)}
        names |= items if items & given else {name}
    return names


@cache
def settled(contract: str, readings: str) -> Settlement:
    return Settler(read(contract, OUTCOME)).settle(read(readings, READINGS))


def read(name: str, kind: Kind[Any]) -> Any:
    """A document of the folder. Raises: DocumentRefused."""
    return read_document(decode((FOLDER / name).read_bytes(), name), name, [kind])


def found_at(settlement: Settlement, address: Address, several: bool) -> list[Number]:
    """The numbers at an address, as they are shown.

    Args:
        several: without a period in the address, those of all periods, not of the last one.
    """
    if isinstance(address, list):
        return [n for each in address for n in found_at(settlement, each, several=False)]
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise TermsError(f"found {address!r}, expected a name such as fee, or fee@2")
    last = len(settlement.periods)
    if parts["period"]:
        numbers: Sequence[int] = [int(parts["period"])]
    else:
        numbers = range(1, last + 1) if several else [last]
    if numbers[-1] > last:
        raise TermsError(f"found {address!r}, expected a period up to {last}")
    return [_number(settlement.shown(number, parts["name"]), address) for number in numbers]


def main() -> int:
    done = 0
    for case, terms in outcome_cases().items():
        try:
            found = answers(case)
            ok = expected_names(case) == given_names(case) and all(each.ok for each in found)
            told = ", ".join(map(str, found)) or "no contract"
        except TermsError as refused:
            ok, told = False, str(refused).replace("\n", "; ")
        done += ok
        print(f"{case:<12}{'ok' if ok else 'DIFFERS':<9}{terms['title']}: {told}")
    print(f"{done} of {len(outcome_cases())}")
    return 0 if done == len(outcome_cases()) else 1


@cache
def _case_files() -> list[dict[str, Any]]:
    yaml = YAML(typ="safe", pure=True)
    return [yaml.load(path) or {} for path in sorted(FOLDER.glob("cases*.yaml"))]


def _expected(expected: Mapping[str, Any], name: str) -> Any:
    item = ITEM.fullmatch(name)
    if item and item["name"] in expected:
        return expected[item["name"]][int(item["number"]) - 1]
    if name not in expected:
        raise TermsError(f"found {name!r}, expected one of {', '.join(expected)}")
    return expected[name]


def _exact(expected: Any) -> list[Number]:
    given = expected if isinstance(expected, list) else [expected]
    return [None if value is None else Fraction(value) for value in given]


def _number(value: Value, address: str) -> Number:
    if isinstance(value, Mapping):
        raise TermsError(f"found a value for each subject at {address!r}, expected one number")
    return value


def _numbers(values: Sequence[Number]) -> str:
    shown = [_decimal(value) for value in values]
    return shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"


def _decimal(value: Number) -> str:
    if value is None:
        return "missing"
    exact = Decimal(value.numerator) / value.denominator
    return f"{exact.normalize():f}" if Fraction(exact) == value else str(value)


if __name__ == "__main__":
    sys.exit(main())
