"""The documentation names what the program has, neither less nor more."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from cyclopts import App
from pydantic import BaseModel

from contracts import (
    checks,
    checks_commercial,
    checks_indicators,
    contract,
    document,
    errors,
    fields,
    money,
    parts,
    problems,
)
from contracts.contract import Contract, Role
from contracts.document import DocumentRefused, Kind, json_schema, read_document
from contracts.errors import EngagementError
from contracts.events import EventType
from contracts.kinds import KINDS, PARTS
from contracts.outcome import checks as outcome
from lifecycle.process import EngagementPhase
from tollkeeper.cli import app
from tollkeeper.cli import contract as cli
from tollkeeper.settings import Settings

ROOT = Path(__file__).parents[2]
HANDBOOK, COMMANDS, CONTRACT = "docs/handbook.md", "docs/cli.md", "docs/contract.md"
LINE = "## 1. The line"
ROLES = "## 6. Who may sign what"
REFUSED = "## 8. What is refused, and how to put it right"
EVENTS = "## 11. Every event"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"))
)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level."""
    level = heading.split(" ")[0]
    _, found, rest = page(name).partition(f"\n{heading}\n")
    assert found, f"{name} has no heading {heading!r}"
    return re.split(rf"^{level} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of the tables, without the heads."""
    lines = text.splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("|") and not line.startswith("|---") and not after.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def words(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def first_words(text: str) -> set[str]:
    """What stands between backticks in the first column of the tables."""
    return {word for row in rows(text) for word in words(row[0])}


def leaves(parent: App, path: str = "tollkeeper") -> Iterator[tuple[str, App]]:
    """Each command with its full name."""
    for name in parent:
        if not name.startswith("-"):
            part = parent[name]
            if part.default_command:
                yield f"{path} {name}", part
            else:
                yield from leaves(part, f"{path} {name}")


LEAVES = dict(leaves(app))


def test_every_command_has_its_heading() -> None:
    headings = re.findall(r"^### `(.+)`$", page(COMMANDS), re.MULTILINE)
    assert sorted(headings) == sorted(LEAVES)


@pytest.mark.parametrize("command", LEAVES)
def test_every_option_is_in_the_synopsis_of_its_command(command: str) -> None:
    synopsis = section(COMMANDS, f"### `{command}`").split("```")[1]
    assert synopsis.strip().startswith(command)
    options = {
        name
        for argument in LEAVES[command].assemble_argument_collection()
        for name in argument.names
        if name.startswith("--") and name not in argument.negatives
    }
    assert set(re.findall(r"--[a-z-]+", synopsis)) == options


def test_every_setting_is_in_the_table() -> None:
    assert first_words(section("README.md", "## Settings")) == {
        f"TOLLKEEPER_{name.upper()}" for name in Settings.model_fields
    }


def test_every_error_is_in_the_table_with_its_status() -> None:
    classes: list[type[EngagementError]] = [DocumentRefused]
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, EngagementError):
            classes.append(kind)
    told = {words(name)[0]: status for name, status, *_ in rows(section(HANDBOOK, REFUSED))}
    assert told == {kind.__name__: str(kind.status) for kind in classes}


def test_every_event_is_in_the_table() -> None:
    assert first_words(section(HANDBOOK, EVENTS)) == {kind.value for kind in EventType}


def test_every_role_and_every_phase_is_in_the_tables() -> None:
    assert first_words(section(HANDBOOK, ROLES)) == {role.value for role in Role}
    line = first_words(section(HANDBOOK, LINE))
    assert line == {phase.value for phase in EngagementPhase}


def models(kind: object) -> Iterator[type[BaseModel]]:
    """A model and all those inside it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation)
    for argument in get_args(kind):
        yield from models(argument)


def test_every_field_of_a_contract_is_in_the_reference() -> None:
    fields = {name for model in models(Contract) for name in model.model_fields}
    reference = section(CONTRACT, "## The document")
    values = section(CONTRACT, "## How values are written")
    # What a part states, and the kinds of scoring that few bets need, is told elsewhere.
    language = (page(name) for name in PAGES if name.startswith("docs/language/"))
    elsewhere = section(CONTRACT, "## Reusable parts") + "".join(language)
    assert fields <= single(reference + values + elsewhere)
    assert first_words(reference) <= fields


def single(text: str) -> set[str]:
    """The words between backticks, one by one."""
    return {part for word in words(text) for part in re.split(r"\W+", word)}


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.slug)
def test_every_field_of_a_part_is_in_the_reference(kind: Kind[BaseModel]) -> None:
    fields = {name for model in models(kind.model) for name in model.model_fields}
    reference = page(CONTRACT)
    assert fields <= single(reference)
    assert f"`kind: {kind.name}`" in reference


def test_every_part_that_the_reference_shows_is_well_formed() -> None:
    shown = section(CONTRACT, "## Reusable parts").split("```yaml\n")[1:]
    texts = [text.split("```")[0] for text in shown]
    read = [read_document(text, "shown", PARTS) for text in texts if text.startswith("apiVersion")]
    assert [part.kind for part in read] == ["Calendar", "TaxTable"]


def test_every_kind_of_document_is_named_where_its_schema_is_printed() -> None:
    told = words(section(COMMANDS, "### `tollkeeper contract schema`"))
    assert {kind.slug for kind in KINDS} <= set(told)


RULE_AT = {"Refused": 1, "Problem": 3, "Fault": 5, "_refuse": 4, "_stop": 3, "_unknown": 3}
"""Where a call that refuses something has its rule."""


def refusals(module: ModuleType) -> Iterator[str]:
    """The rules that a module names where it refuses something."""
    for call in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(call, ast.Call):
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            rule = call.args[RULE_AT[name] :][:1] if name in RULE_AT else []
            found = (each for given in rule for each in ast.walk(given))
            yield from (str(each.value) for each in found if isinstance(each, ast.Constant))


def test_every_code_of_the_checks_is_in_the_reference() -> None:
    modules = (
        checks,
        checks_commercial,
        checks_indicators,
        cli,
        contract,
        document,
        fields,
        money,
        parts,
        problems,
    )
    used = {rule for module in modules for rule in refusals(module)}
    used |= {rule for _, rule in checks.NEEDED.values()}
    used |= {rule for *_, rule in checks.TWO_PEOPLE}
    assert first_words(section(CONTRACT, "## What is checked")) == used


def test_every_code_of_the_checks_of_outcome_terms_is_in_the_reference() -> None:
    # Words between blanks say what was expected in place of a name; they are no codes.
    used = {rule for rule in refusals(outcome) if " " not in rule}
    assert used
    assert first_words(section("docs/contract-language.md", "## What is checked")) >= used


def test_the_excerpt_is_what_the_example_says() -> None:
    excerpt = page("README.md").split("```yaml\n")[1].split("```")[0].splitlines()
    example = page("examples/key-account.yaml").splitlines()
    assert [line for line in excerpt if line.strip() != "..." and line not in example] == []


def anchors(name: str) -> set[str]:
    """What a link into a page may name: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", page(name), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page(name)):
        file, _, anchor = target.partition("#")
        to = (ROOT / name).parent / file if file else ROOT / name
        assert to.exists(), target
        if anchor:
            assert anchor in anchors(to.resolve().relative_to(ROOT).as_posix()), target


@pytest.mark.parametrize("slug", ["contract", "outcome-contract", "readings", "forecast"])
def test_the_schemas_beside_the_examples_are_those_that_are_printed(slug: str) -> None:
    (kind,) = (kind for kind in KINDS if kind.slug == slug)
    assert json.loads(page(f"examples/{slug}.schema.json")) == json_schema(kind)
