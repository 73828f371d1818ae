"""The table of metrics: well-formed, bounded, and the same in code, handbook and alert rules."""

import re
from pathlib import Path

import pytest

from contracts.metrics import METRICS, OTHER, PHASES, PROCESSES, REFUND, Metric
from lifecycle.process import EngagementPhase
from lifecycle.receivables import IN_FLIGHT
from tollkeeper.worker import WORKFLOWS
from workflows.process import Process

ROOT = Path(__file__).parents[2]
NAMES = {metric.name for metric in METRICS}


def cells(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def words(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" for value in values)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_name_says_what_is_counted_and_in_what_unit(metric: Metric) -> None:
    """O-04, O-05."""
    assert re.fullmatch(r"tollkeeper(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_timestamp_seconds") == (metric.unit == "seconds since 1970")
    assert not re.search(r"_(age|lag)_", metric.name)
    assert re.search(r"(Moves|Rises|Always)", metric.help)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_has_few_series(metric: Metric) -> None:
    """O-07."""
    assert len(metric.series()) <= 100


def test_what_is_counted_by_our_own_words_has_a_series_for_each_of_them() -> None:
    assert (*PHASES, EngagementPhase.CLOSED) == tuple(EngagementPhase)
    assert REFUND["state"] == tuple(state.value for state in IN_FLIGHT)
    assert set(PROCESSES) == {kind.kind for kind in WORKFLOWS if issubclass(kind, Process)}


def test_a_word_of_a_later_version_counts_as_other() -> None:
    [engagements] = (metric for metric in METRICS if metric.name == "tollkeeper_engagements")
    assert engagements.series_of(["live", "sandbox"]) == ("live", "sandbox")
    assert engagements.series_of(["negotiating", "live"]) == (OTHER, "live")


def test_the_handbook_has_the_table_as_it_is() -> None:
    """O-18: the message of a failure has the lines to paste."""
    metrics = [
        cells(f"`{m.name}`", m.kind, m.unit, ", ".join(f"`{label}`" for label in m.labels), m.help)
        for m in METRICS
    ]
    sets = {
        cells(f"`{label}`", words(tuple(values)))
        for m in METRICS
        for label, values in m.labels.items()
        if values
    }
    handbook = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    told = [line for line in handbook.splitlines() if line.startswith("| `")]
    assert told == [*metrics, *sorted(sets)]


def test_no_rule_names_a_metric_that_does_not_exist() -> None:
    """O-17."""
    for file in (ROOT / "deploy/prometheus").glob("*.yml"):
        named = set(re.findall(r"\btollkeeper_\w+", file.read_text(encoding="utf-8")))
        assert named <= NAMES, f"{file.name} names {named - NAMES}"
