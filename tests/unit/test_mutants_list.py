"""The changes that no test notices: each is of a line that still stands, and has its reason."""

from collections.abc import Iterable

import pytest

from tests.mutants import LEAST, ROOT, Result, Survivor, changed, listed, not_listed, too_few

ONE = Survivor("lifecycle/hold.py", "moved", "if hold.held.minor:", "if not hold.held.minor:")


@pytest.mark.parametrize(
    "survivor", sorted(listed()), ids=lambda one: f"{one.module} {one.function}"
)
def test_a_listed_change_is_of_a_line_of_its_module_and_has_a_reason(survivor: Survivor) -> None:
    source = (ROOT / survivor.module).read_text(encoding="utf-8")
    assert f"def {survivor.function.rpartition('.')[2]}(" in source
    assert survivor.was in (line.strip() for line in source.splitlines())
    assert survivor.was != survivor.becomes
    assert listed()[survivor].endswith(".")


def test_a_survivor_that_is_not_listed_is_told() -> None:
    found = [Result("lifecycle/hold.py", total=100, seconds=60.0, survivors=(ONE,))]
    (told,) = not_listed(found, {})
    assert told.startswith("lifecycle/hold.py, moved:\n  - if hold.held.minor:\n  + if not")
    assert list(not_listed(found, {ONE: "It is known."})) == []


@pytest.mark.parametrize(("survivors", "told"), [(10, 0), (11, 1)])
def test_nine_of_ten_changes_have_to_be_noticed(survivors: int, told: int) -> None:
    assert LEAST == 90
    one = Result("lifecycle/hold.py", total=100, seconds=60.0, survivors=(ONE,) * survivors)
    assert count(too_few([one])) == told


def count(lines: Iterable[str]) -> int:
    return len(list(lines))


def test_a_change_is_told_by_its_lines_without_their_indentation() -> None:
    diff = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n def f():\n-    return 1\n+    return 2\n"
    assert changed(diff) == ("return 1", "return 2")
