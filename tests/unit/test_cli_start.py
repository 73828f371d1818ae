"""The command line loads what the command needs that is called, and no more: people wait for it."""

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from tollkeeper.cli import app

ROOT = Path(__file__).parents[2]
LIBRARIES = {
    "asyncpg",
    "cryptography",
    "holidays",
    "httpx",
    "prometheus_client",
    "pydantic",
    "ruamel",
    "structlog",
    "temporalio",
    "typst",
}
"""Each takes a noticeable time to load."""
RECORDS = {"asyncpg", "pydantic"}
"""What every look into the records needs."""
LOADED = """
import json, sys
from tollkeeper.cli import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded(folder: Path, *words: str) -> set[str]:
    """The libraries that a command has loaded when it ends."""
    answer = subprocess.run(
        [sys.executable, "-c", LOADED, *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return LIBRARIES & set(json.loads(answer.stdout.splitlines()[-1]))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_asks_for_no_command_loads_none(tmp_path: Path, option: str) -> None:
    assert loaded(tmp_path, option) == set()


@pytest.mark.parametrize(
    "command",
    [
        "ageing",
        "approval list",
        "cap list",
        "engagement list",
        "explain E1",
        "hold list",
        "invoice list",
        "ledger balance",
        "receipt list",
        "why-not E1",
    ],
)
def test_a_command_that_reads_the_records_needs_no_workflows(tmp_path: Path, command: str) -> None:
    # There are no records in an empty folder: the command has loaded all it needs, and is refused.
    assert loaded(tmp_path, *command.split()) - {"ruamel"} == RECORDS


def test_a_contract_is_checked_without_any_server(tmp_path: Path) -> None:
    example = ROOT / "examples" / "key-account.yaml"
    assert loaded(tmp_path, "contract", "check", str(example)) == {"pydantic", "ruamel", "holidays"}


def parts(parent: App) -> Iterator[tuple[str, App]]:
    """Every group of commands and every command."""
    for name in parent:
        if not name.startswith("-"):
            yield name, parent[name]
            yield from parts(parent[name])


def description(text: str | None) -> str:
    return inspect.cleandoc(text or "").partition("\n\nParameters\n")[0]


def test_what_is_said_of_a_command_before_it_is_loaded_is_what_it_says_itself() -> None:
    for name, part in parts(app):
        assert part.help, name
        if command := part.default_command:
            assert description(part.help) == description(command.__doc__), name
