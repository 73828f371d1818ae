"""Mutation testing of the pure modules that move money: `make mutants`, and the plugin for its tests."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
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

    def __str__(self) -> str:
        return f"{self.module}, {self.function}:\n  - {self.was}\n  + {self.becomes}\n "


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


def main(*only: str) -> int:
    """Test all mutants from the start, or some again; 1 where too many survive, or one that is not listed.

    Args:
        only: patterns of mutants, such as `lifecycle.hold.*`.
    """
    if not only:
        shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    started = monotonic()
    mutmut = Path(sys.executable).with_name("mutmut")
    # One at a time: the time that a mutant may take depends on nothing else then.
    subprocess.run([mutmut, "run", "--max-children", "1", *only], cwd=ROOT, check=True)
    found = list(results(only or ("*",)))
    print(f"\n{'module':34} {'total':>5} {'killed':>6} {'survived':>8}")
    for result in found:
        print(result)
    print(f"{(monotonic() - started) / 60:.0f} minutes in all")
    known = listed()
    complaints = [*too_few(found), *not_listed(found, known)]
    if not only:
        complaints += not_surviving(found, known)
    print(*complaints, sep="\n")
    return 1 if complaints else 0


def results(only: Sequence[str]) -> Iterator[Result]:
    """What mutmut wrote down, by module; what it could not decide counts as survived."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    for path in sorted((ROOT / "mutants").rglob("*.py.meta")):
        source = path.relative_to(ROOT / "mutants").with_suffix("")
        meta: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        codes = {
            mutant: code
            for mutant, code in meta["exit_code_by_key"].items()
            if any(fnmatch(mutant, pattern) for pattern in only)
        }
        survivors = []
        for mutant, code in codes.items():
            if status_by_exit_code[code] not in ("killed", "timeout"):
                function, owner = orig_function_and_class_names_from_key(mutant)
                name = f"{owner}.{function}" if owner else function
                was, becomes = changed(get_diff_for_mutant(mutant, path=source))
                survivors.append(Survivor(source.as_posix(), name, was, becomes))
        seconds = sum(meta["durations_by_key"].get(mutant, 0) for mutant in codes)
        if codes:
            yield Result(source.as_posix(), len(codes), seconds, tuple(survivors))


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
        Survivor(entry["module"], entry["function"], entry["was"], becomes): entry["reason"]
        for entry in entries
        for becomes in entry["becomes"]
    }


def too_few(found: Sequence[Result]) -> Iterator[str]:
    for result in found:
        if result.percent < LEAST:
            yield f"{result.module}: found {result.percent:.1f} % killed, expected {LEAST} %"


def not_listed(found: Sequence[Result], known: Mapping[Survivor, str]) -> Iterator[str]:
    for survivor in sorted(survived(found) - known.keys()):
        yield f"{survivor}: survived; write the test that notices it, or list it with its reason"


def not_surviving(found: Sequence[Result], known: Mapping[Survivor, str]) -> Iterator[str]:
    for survivor in sorted(known.keys() - survived(found)):
        yield f"{survivor}: is listed and did not survive; take it off {LISTED.name}"


def survived(found: Sequence[Result]) -> set[Survivor]:
    return {survivor for result in found for survivor in result.survivors}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
