"""The pages of the contract language: every snippet runs, and every field is in a table."""

import inspect
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

from contracts import scoring
from contracts.contract import Agreement
from contracts.document import read_document
from contracts.kinds import FORECAST, OUTCOME, READINGS
from contracts.outcome import (
    baselines,
    basics,
    gates,
    lines,
    measures,
    outcome,
    payment,
    readings,
    totals,
)
from contracts.outcome.outcome import OutcomeContract
from contracts.outcome.readings import Forecast, Readings
from lifecycle.forecast import outlook
from lifecycle.order import ORDER
from lifecycle.settlement import SettledPeriod, Settlement, Settler
from tollkeeper.cli.settle import as_json

DOCS = Path(__file__).parents[2] / "docs"
INDEX = DOCS / "contract-language.md"
PAGES = (INDEX, *sorted((DOCS / "language").glob("*.md")))

BLOCK = re.compile(r"^```yaml (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
JSON = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^<!-- fields: ([\w ]+) -->\n\n((?:\|.*\n)+)", re.MULTILINE)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

BASE: dict[str, Any] = {
    "apiVersion": "tollkeeper/v1",
    "kind": "Contract",
    "id": "SNIPPET",
    "version": 1,
    "title": {"en": "A snippet of the documentation"},
    "signed_on": "2025-01-01",
    "effective_on": "2025-01-01",
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "parties": {
        "consultant": {"name": {"en": "Consultant"}},
        "client": {"name": {"en": "Client"}},
    },
    "value_position": "profit_centre",
    "calendar": {"country": "weekdays"},
    "outcome": {
        "periods": {"every": "P1Y", "count": 1},
        "rounding": {"decimals": 2, "mode": "half_away", "at": "each_line"},
        "lines": [{"id": "fee", "clause": "1", "kind": "amount", "amount": 0}],
        "payment": {"clause": "9", "negative": "paid_back"},
    },
}
"""What stands around the terms of a snippet; docs/contract-language.md says so."""

WORDS = {"null": None, "true": True, "false": False}

Tree = Any
"""Mappings, lists and texts, as YAML has them."""


def load(text: str) -> Tree:
    """Numbers stay text, as in the documents themselves."""
    return _plain(YAML(typ="base").load(text))


def _plain(value: Tree) -> Tree:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return WORDS.get(value, value)


@dataclass(frozen=True)
class Snippet:
    """Terms with readings, or with assumptions, and the values that come out."""

    at: str
    versions: tuple[Tree, ...] = ()
    data: Tree = field(default_factory=dict)
    assumed: Tree = None
    gives: Tree = None


def snippets(page: Path) -> Iterator[Snippet]:
    """`terms` or `contract` begin a snippet; each `gives` asks for what stands above it."""
    text = page.read_text(encoding="utf-8")
    now = Snippet("")
    for block in BLOCK.finditer(text):
        kind, body = block[1], block[2]
        line = text[: block.start()].count("\n") + 1
        match kind:
            case "terms":
                merged = {**BASE, "outcome": {**BASE["outcome"], **load(body)}}
                now = Snippet("", versions=(merged,))
            case "contract":
                now = Snippet("", versions=(load(body),))
            case "instead":
                now = replace(now, versions=(*now.versions[:-1], _set(now.versions[-1], body)))
            case "amended":
                now = replace(now, versions=(*now.versions, _amended(now.versions[-1], body)))
            case "readings":
                now = replace(now, data=load(body))
            case "forecast":
                now = replace(now, assumed=load(body))
            case "gives":
                yield replace(now, at=f"{page.name}:{line}", gives=load(body))
            case _:
                raise AssertionError(f"{page.name}:{line}: found a block of {kind!r}")


def _amended(terms: Tree, body: str) -> Tree:
    changed = load(body)
    version = {"version": int(terms["version"]) + 1, "effective_on": changed.pop("effective_on")}
    return _set({**terms, **version}, json.dumps(changed))


def _set(terms: Tree, body: str) -> Tree:
    """The terms with one setting changed: `lines.damages.counted: full_units`."""
    terms = json.loads(json.dumps(terms))
    for path, value in load(body).items():
        *way, last = path.split(".")
        at = terms["outcome"]
        for step in way:
            at = at[step] if isinstance(at, dict) else _entry(at, step)
        if isinstance(at, dict):
            at[last] = value
        else:
            at[at.index(_entry(at, last))] = value
    return terms


def _entry(entries: Sequence[Tree], name: str) -> Tree:
    if name.isdigit():
        return entries[int(name)]
    return next(entry for entry in entries if entry["id"] == name)


def contracts(snippet: Snippet) -> list[OutcomeContract]:
    return [read_document(json.dumps(each), snippet.at, [OUTCOME]) for each in snippet.versions]


def known(snippet: Snippet) -> Readings:
    return read_document(json.dumps(_whole(snippet, snippet.data, "Readings")), "", [READINGS])


def assumptions(snippet: Snippet) -> Forecast:
    return read_document(json.dumps(_whole(snippet, snippet.assumed, "Forecast")), "", [FORECAST])


def _whole(snippet: Snippet, given: Tree, kind: str) -> Tree:
    header = {"apiVersion": "tollkeeper/v1", "kind": kind, "contract": snippet.versions[0]["id"]}
    return {**header, **given}


ALL = {snippet.at: snippet for page in PAGES for snippet in snippets(page)}


@pytest.mark.parametrize("at", ALL)
def test_a_snippet_gives_what_its_page_says(at: str) -> None:
    snippet = ALL[at]
    settler = Settler(*contracts(snippet))
    if snippet.assumed is not None:
        view = outlook(settler, assumptions(snippet))
        assert {name: _told(getattr(view, name)) for name in snippet.gives} == {
            name: _read(value) for name, value in snippet.gives.items()
        }
        return
    settlement = settler.settle(known(snippet))
    found = {name: _asked(settlement, name, wanted) for name, wanted in snippet.gives.items()}
    assert found == {name: _read(wanted) for name, wanted in snippet.gives.items()}


def _asked(settlement: Settlement, name: str, wanted: Tree) -> object:
    """The value of the last period, or those of all periods where a list is given."""
    values = [_told(_value(settlement, settled, name)) for settled in settlement.periods]
    return values if isinstance(wanted, list) else values[-1]


def _value(settlement: Settlement, settled: SettledPeriod, name: str) -> object:
    if name in settled.values:
        return settlement.shown(settled.period.number, name)
    of_the_period = getattr(settled.period, name, None)
    return getattr(settled, name) if of_the_period is None else of_the_period


def _told(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _told(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_told(each) for each in value]
    if isinstance(value, date):
        return Fraction(value.toordinal())
    return getattr(value, "exact", value)


def _read(wanted: Tree) -> object:
    """A number, a ratio such as 5/7, a day; null is missing."""
    if isinstance(wanted, Mapping):
        return {name: _read(each) for name, each in wanted.items()}
    if isinstance(wanted, list):
        return [_read(each) for each in wanted]
    if wanted is None:
        return None
    if DAY.fullmatch(wanted):
        return Fraction(date.fromisoformat(wanted).toordinal())
    return Fraction(wanted) if re.fullmatch(r"-?[\d./]+", wanted) else wanted


MODULES = (
    basics, baselines, gates, lines, measures, outcome, payment, readings, totals, scoring,
)  # fmt: skip
MODELS = {
    model.__name__: model
    for module in MODULES
    for model in vars(module).values()
    if inspect.isclass(model)
    and issubclass(model, BaseModel)
    and model.__module__ == module.__name__
}
MODELS[Agreement.__name__] = Agreement


def own_fields(model: type[BaseModel]) -> list[str]:
    """The fields that a model itself declares; the others are in the table of its base."""
    return [name for name in inspect.get_annotations(model) if name in model.model_fields]


def owner(model: type[BaseModel], name: str) -> str:
    """The model in whose table a field stands."""
    return next(base.__name__ for base in model.__mro__ if name in inspect.get_annotations(base))


def choices(annotation: object) -> Iterator[str]:
    """The words that a field may have."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        yield from (each.value for each in annotation)
    elif get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    else:
        for argument in get_args(annotation):
            yield from choices(argument)


@dataclass(frozen=True)
class Told:
    """What a reference table says about one field."""

    page: str
    value: str
    default: str
    meaning: str


@cache
def tables() -> dict[str, dict[str, Told]]:
    """The reference tables by model, each with its fields in the order of the page."""
    found: dict[str, dict[str, Told]] = {}
    for page in PAGES:
        for names, body in TABLE.findall(page.read_text(encoding="utf-8")):
            rows = [
                [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                for line in body.splitlines()[2:]
            ]
            for name in names.split():
                assert name not in found, f"{name} has two tables"
                found[name] = {cells[0].strip("`"): Told(page.name, *cells[1:]) for cells in rows}
    return found


def test_every_model_has_its_reference_table() -> None:
    assert set(tables()) == {name for name, model in MODELS.items() if own_fields(model)}


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if own_fields(model)])
def test_a_reference_table_has_the_fields_of_its_model_and_their_defaults(name: str) -> None:
    model, told = MODELS[name], tables()[name]
    assert sorted(told) == sorted(own_fields(model))
    for each in own_fields(model):
        info = model.model_fields[each]
        words = list(choices(info.annotation))
        assert set(words) <= set(re.findall(r"`([^`]+)`", told[each].value)), each
        if isinstance(info.default, BaseModel):
            assert told[each].default, each
        else:
            assert told[each].default == _default(info.get_default(call_default_factory=True)), each
        assert told[each].value, each


def _default(value: object) -> str:
    """Nothing where the field is required; `none` where there is nothing unless stated."""
    if value is PydanticUndefined:
        return ""
    if value is None or value in ((), {}):
        return "none"
    return str(value).lower() if isinstance(value, bool) else f"`{value}`"


def documents() -> Iterator[BaseModel]:
    for snippet in ALL.values():
        yield from contracts(snippet)
        yield known(snippet) if snippet.assumed is None else assumptions(snippet)


def pieces(value: object) -> Iterator[BaseModel]:
    """A document and everything inside it."""
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from pieces(getattr(value, name))
    elif isinstance(value, tuple):
        for each in value:
            yield from pieces(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from pieces(each)


def test_every_field_and_every_word_of_the_language_runs_in_a_snippet() -> None:
    used: Counter[str] = Counter()
    for document in documents():
        for piece in pieces(document):
            for name in type(piece).model_fields:
                where = f"{owner(type(piece), name)}.{name}"
                used[where] += name in piece.model_fields_set
                for word in _words(getattr(piece, name)):
                    used[f"{where}: {word}"] += 1
    needed: set[str] = set()
    for model in MODELS.values():
        for name in own_fields(model):
            where = f"{model.__name__}.{name}"
            needed |= {
                where,
                *(f"{where}: {w}" for w in choices(model.model_fields[name].annotation)),
            }
    # A document that uses others needs their files; docs/contract.md has one.
    needed.remove("Agreement.uses")
    unused = sorted(each for each in needed if not used[each])
    assert not unused, unused


def _words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield str(getattr(value, "value", value))
    elif isinstance(value, tuple):
        for each in value:
            yield from _words(each)


def section(heading: str) -> str:
    """What stands below a heading of the index."""
    _, found, rest = INDEX.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    assert found, heading
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without their heads."""
    bodies = re.findall(r"^\|.*\|\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for body in bodies
        for line in body.splitlines()
    ]


def test_the_index_leads_to_every_page() -> None:
    linked = re.findall(
        r"^\| \[.+?\]\((language/[\w-]+\.md)\)", INDEX.read_text(encoding="utf-8"), re.M
    )
    assert sorted(linked) == [page.relative_to(DOCS).as_posix() for page in PAGES[1:]]


def test_the_order_of_operations_is_the_one_that_is_followed() -> None:
    told = [(int(number), words) for number, words in rows(section("The order of operations"))]
    assert told == [(stage.number, stage.en) for stage in ORDER]


@cache
def in_full() -> Settlement:
    snippet = next(each for each in ALL.values() if each.at.startswith(INDEX.name))
    return Settler(*contracts(snippet)).settle(known(snippet))


def test_the_settlement_is_printed_as_documented() -> None:
    (told,) = JSON.findall(section("The settlement as JSON"))
    printed = as_json(in_full())
    period = printed["periods"][1]
    del period["values"]
    assert {**printed, "periods": [period]} == {**json.loads(told), "digest": printed["digest"]}


def test_every_key_of_a_settlement_is_documented() -> None:
    told = {
        word
        for row in rows(section("The settlement as JSON"))
        for word in re.findall(r"`(\w+)`", row[0])
    }
    printed = as_json(in_full(), explain=True)
    period = printed["periods"][0]
    levels = (printed, period, period["lines"][0], period["reasons"])
    assert told == {key for level in levels for key in level}
