"""Mutation testing of the pure modules that move money: `make mutants`, and the plugin for its tests."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
LISTED = ROOT / "tests" / "data" / "mutants.yaml"
LEAST = 90
"""Percent of the mutants of a module that some test has to notice."""


class Survivor(NamedTuple):
    """A change that no test notices; lines as in the source, without their indentation."""

    module: str
    function: str
    was: str
    becomes: str


class Result(NamedTuple):
    """What became of the mutants of one module."""

    module: str
    total: int
    seconds: float
    survivors: tuple[Survivor, ...]

    @property
    def killed(self) -> int:
        return self.total - len(self.survivors)

    @property
    def percent(self) -> float:
        return 100 * self.killed / self.total

    def __str__(self) -> str:
        return (
            f"{self.module:34} {self.total:5} {self.killed:6} {len(self.survivors):8} "
            f"{self.percent:5.1f} % {self.seconds / 60:5.1f} min"
        )


def pytest_configure(config: pytest.Config) -> None:
    """Each mutant meets the same examples, and fewer than a change of ours would."""
    settings.register_profile(
        "mutants", derandomize=True, database=None, deadline=None, max_examples=40
    )
    settings.load_profile("mutants")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Worked examples first: they are quick, and mostly enough."""
    items.sort(key=lambda item: hasattr(getattr(item, "obj", None), "hypothesis"))


def main() -> int:
    """Test all mutants from the start; 1 where too many survive, or others than the listed ones."""
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    started = monotonic()
    mutmut = Path(sys.executable).with_name("mutmut")
    subprocess.run([mutmut, "run", "--max-children", "1"], cwd=ROOT, check=True)
    found = sorted(results())
    print(f"\n{'module':34} {'total':>5} {'killed':>6} {'survived':>8}")
    for result in found:
        print(result)
    print(f"{(monotonic() - started) / 60:.0f} minutes in all")
    complaints = [*too_few(found), *differences(found, listed())]
    print(*complaints, sep="\n")
    return 1 if complaints else 0


def results() -> Iterator[Result]:
    """What mutmut wrote down; what it could not decide counts as survived."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    for path in sorted((ROOT / "mutants").rglob("*.py.meta")):
        source = path.relative_to(ROOT / "mutants").with_suffix("")
        meta: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        survivors = []
        for mutant, code in meta["exit_code_by_key"].items():
            if status_by_exit_code[code] not in ("killed", "timeout"):
                function, owner = orig_function_and_class_names_from_key(mutant)
                name = f"{owner}.{function}" if owner else function
                was, becomes = changed(get_diff_for_mutant(mutant, path=source))
                survivors.append(Survivor(source.as_posix(), name, was, becomes))
        seconds = sum(meta["durations_by_key"].values())
        if meta["exit_code_by_key"]:
            count = len(meta["exit_code_by_key"])
            yield Result(source.as_posix(), count, seconds, tuple(survivors))


def changed(diff: str) -> tuple[str, str]:
    """The lines that a unified diff takes away, and those that it puts in their place."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    was, becomes = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    return was, becomes


def listed() -> dict[Survivor, str]:
    """The survivors that are known, with the reason why no test could notice them."""
    entries = YAML(typ="safe").load(LISTED.read_text(encoding="utf-8"))["survivors"]
    return {
        Survivor(*(str(entry[field]) for field in Survivor._fields)): str(entry["reason"])
        for entry in entries
    }


def too_few(found: Sequence[Result]) -> Iterator[str]:
    for result in found:
        if result.percent < LEAST:
            yield f"{result.module}: found {result.percent:.1f} % killed, expected {LEAST} %"


def differences(found: Sequence[Result], known: Mapping[Survivor, str]) -> Iterator[str]:
    survived = {survivor for result in found for survivor in result.survivors}
    for survivor in sorted(survived - known.keys()):
        yield f"{shown(survivor)}: survived; write the test that notices it, or list it with a reason"
    for survivor in sorted(known.keys() - survived):
        yield f"{shown(survivor)}: is listed and did not survive; take it off {LISTED.name}"


def shown(survivor: Survivor) -> str:
    module, function, was, becomes = survivor
    return f"{module}, {function}:\n  - {was}\n  + {becomes}\n "


if __name__ == "__main__":
    sys.exit(main())
