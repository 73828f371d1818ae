"""Every metric of our own as data: name, kind, unit, and labels with their closed sets. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Literal

from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.contract import Role
from contracts.money import MINOR_DIGITS
from contracts.setting import Book
from contracts.step_plan import Lead

OTHER = "other"
"""Counts what this version has no word for, such as a phase that a later version has written."""


@dataclass(frozen=True)
class Metric:
    """One metric; `labels` has all values of each label, and none of them is an id (O-07)."""

    name: str
    kind: Literal["gauge", "counter"]
    unit: str
    help: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def series(self) -> list[tuple[str, ...]]:
        """The label values of each series; all are exported, at zero until something counts."""
        return list(product(*self.labels.values()))

    def series_of(self, values: Iterable[str]) -> tuple[str, ...]:
        """The series that counts these label values; an unknown one counts as `other`."""
        labels = zip(values, self.labels.values(), strict=True)
        return tuple(value if value in known else OTHER for value, known in labels)


def _values(words: type[StrEnum]) -> tuple[str, ...]:
    return tuple(word.value for word in words)


PHASES = (
    "value_positioning",
    "micro_consulting",
    "decision",
    "shelved",
    "consulting",
    "design_build",
    "live",
    "operating",
    "cycle_review",
    "closed",
)
PROCESSES = (
    "engagement",
    "micro_consulting",
    "milestone",
    "value_bet",
    "hold",
    "request",
    "change_order",
)
WAITED_FOR = (
    *_values(Role),
    *_values(Lead),
    "calendar",
    "readings",
    "release",
    "cure",
    "decision",
    "approval",
    "effective date",
    "operations",
)

BOOK = {"book": _values(Book)}
EFFECT = {"effect": _values(HoldEffect)}
HOLD = {
    "kind": _values(HoldKind),
    **EFFECT,
    "state": ("active", "curing", "decision_due", "disputed"),
}
REQUEST = {"decision": (*_values(Decision), OTHER)}
MESSAGE = {"kind": ("invoice", "credit_note", "release", "notice")}

METRICS = (
    Metric(
        "tollkeeper_engagements",
        "gauge",
        "engagements",
        "Engagements by phase. Moves when one is opened and with each change of phase.",
        {"phase": (*PHASES, OTHER), **BOOK},
    ),
    Metric(
        "tollkeeper_processes_open",
        "gauge",
        "processes",
        "Processes not finished. Moves when one first says what it waits for, and at its end.",
        {"kind": (*PROCESSES, OTHER), **BOOK},
    ),
    Metric(
        "tollkeeper_decisions_overdue",
        "gauge",
        "waits",
        "Waits past their agreed time, by who is waited for; one for two people counts for both. "
        "Rises when patience has run out or a live deadline has passed unnoticed, falls when the "
        "process goes on.",
        {"waiting_for": (*WAITED_FOR, OTHER), **BOOK},
    ),
    Metric(
        "tollkeeper_holds_outstanding",
        "gauge",
        "holds",
        "Holds with an amount not decided yet; one in dispute is counted as disputed alone. Rises "
        "when a hold is placed, falls when the last part of it is released or forfeited.",
        {**HOLD, **BOOK},
    ),
    Metric(
        "tollkeeper_holds_outstanding_amount",
        "gauge",
        "major units of the currency, net",
        "Amount held and not decided yet. Rises when a hold is placed, falls with each part "
        "released or forfeited.",
        {**EFFECT, "currency": tuple(MINOR_DIGITS), **BOOK},
    ),
    Metric(
        "tollkeeper_requests_pending",
        "gauge",
        "requests",
        "Requests for a decision about money that nobody has decided. Rises when one is made, falls "
        "when it is signed by enough people, turned down, withdrawn or expired.",
        {**REQUEST, **BOOK},
    ),
    Metric(
        "tollkeeper_requests_first_expiry_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When the first of these requests expires, 0 if there is none. Moves when that one is "
        "decided or expires, or an earlier one is made.",
        {**REQUEST, **BOOK},
    ),
    Metric(
        "tollkeeper_invoices_issued_total",
        "counter",
        "documents",
        "Invoices and credit notes ever issued. Rises when a document gets its number.",
        {"document": ("invoice", "credit_note"), **BOOK},
    ),
    Metric(
        "tollkeeper_readings_total",
        "counter",
        "readings",
        "Readings of indicators ever stored, corrections included. Rises with each.",
        BOOK,
    ),
    Metric(
        "tollkeeper_outbox_pending",
        "gauge",
        "messages",
        "Messages without a receipt. Rises when one is written, falls when its receiver has it.",
        {**MESSAGE, **BOOK},
    ),
    Metric(
        "tollkeeper_outbox_oldest_pending_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When the oldest message without a receipt was written, 0 if there is none. Moves when "
        "that one is received.",
        {**MESSAGE, **BOOK},
    ),
    Metric(
        "tollkeeper_collector_duration_seconds",
        "gauge",
        "seconds",
        "How long the latest reading of the database took, failed or not. Moves with each scrape.",
    ),
    Metric(
        "tollkeeper_collector_errors_total",
        "counter",
        "readings of the database",
        "Scrapes answered with the last good values. Rises when the database gave none in time.",
    ),
    Metric(
        "tollkeeper_collector_last_success_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When the values were read, 0 if never. Moves with each scrape that reaches the database.",
    ),
    Metric(
        "tollkeeper_build_info",
        "gauge",
        "1",
        "Always 1, under the version that runs. Moves with a deployment.",
        {"version": ()},
    ),
)
