"""What the command line prints: tables for people, JSON for scripts, progress on standard error."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from cyclopts import Parameter
from pydantic import BaseModel
from rich.table import Table
from rich.tree import Tree

from contracts.explanation import Explanation
from contracts.money import Money
from tollkeeper.cli.consoles import err as err
from tollkeeper.cli.consoles import out as out


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """How to print."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Print JSON instead of tables."""


TABLES = Output()


def dump(value: Any) -> None:
    """Print a value, or a list of values, as JSON."""
    print(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; a column whose name ends in `>` is set to the right, without the sign."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        grid.add_column(
            name.removesuffix(">"), justify="right" if name.endswith(">") else "left", no_wrap=True
        )
    for row in rows:
        grid.add_row(*[_cell(value) for value in row])
    out.print(grid)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Money):
        return value.grouped()
    return str(value)


def when(instant: datetime | None, timezone: str = "UTC") -> str:
    """An instant for people, in the contract's own time."""
    return instant.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M") if instant else ""


def lasting(span: timedelta) -> str:
    """A length of time for people: `15 d 8 h`."""
    hours = span // timedelta(hours=1)
    return f"{hours // 24} d {hours % 24} h"


def tree(explanation: Explanation) -> Tree:
    """An explanation as a tree: clause, inputs with evidence, steps and roundings."""
    root = Tree(
        f"[bold]{explanation.amount.grouped()}[/] {explanation.amount.currency}  {explanation.what}"
    )
    root.add(f"contract {explanation.contract}, clause {explanation.clause}")
    inputs = root.add("inputs")
    for given in explanation.inputs:
        proof = f", evidence {given.evidence}" if given.evidence else ""
        inputs.add(f"{given.name} = {given.value}   ({given.source}{proof})")
    steps = root.add("steps")
    for step in explanation.steps:
        rounded = f" -> {step.rounded}" if step.rounded is not None else ""
        rule = f"   ({step.rule})" if step.rule else ""
        steps.add(f"{step.formula} = {step.exact}{rounded}{rule}")
    for part in explanation.because:
        root.add(tree(part))
    return root


def told(line: str) -> None:
    """Progress: one line on standard error."""
    err.print(f"[dim]{line} ...[/]")


@contextmanager
def busy(line: str) -> Iterator[None]:
    """Progress while something may take longer than a second."""
    if sys.stderr.isatty():
        with err.status(line):
            yield
    else:
        yield
