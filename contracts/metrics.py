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
REFUND = {"state": ("requested", "approved", "sent", "unknown")}
RECEIPT = {"payer": ("known", "unknown")}

METRICS = (
    Metric(
        "tollkeeper_engagements",
        "gauge",
        "engagements",
        "Engagements that are not closed, by phase. Moves when one is opened and with each change of "
        "phase.",
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
        "tollkeeper_news_oldest_untold_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When the oldest effect was booked of which the processes of its engagement have not been "
        "told, 0 if there is none. Moves when they are told: by the desk at once, or by a worker.",
        BOOK,
    ),
    Metric(
        "tollkeeper_refunds_in_flight",
        "gauge",
        "refunds",
        "Refunds neither confirmed nor failed; of an unknown one nobody knows whether it is paid. "
        "Rises when one is asked for, falls when it is paid or will not be.",
        {**REFUND, **BOOK},
    ),
    Metric(
        "tollkeeper_refunds_oldest_in_flight_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "Since when the oldest of these refunds is in its state, an unknown one since it was last "
        "sent; 0 if there is none. Moves when that one does.",
        {**REFUND, **BOOK},
    ),
    Metric(
        "tollkeeper_receipts_unapplied",
        "gauge",
        "receipts",
        "Receipts of which money is left that pays no invoice and no refund. Rises when one comes in "
        "and does not say what it pays, falls when all of it is applied, paid back or reversed.",
        {**RECEIPT, **BOOK},
    ),
    Metric(
        "tollkeeper_receipts_oldest_unapplied_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When the oldest of these receipts came in, by the bank's day; 0 if there is none. Moves "
        "when nothing of that one is left, or an earlier one is booked.",
        {**RECEIPT, **BOOK},
    ),
    Metric(
        "tollkeeper_credit_unapplied_amount",
        "gauge",
        "major units of the currency, gross",
        "Credit of customers, from receipts and credit notes, neither applied nor reserved for a "
        "refund. Rises with either, falls as it is applied or a refund is asked for.",
        {"currency": tuple(MINOR_DIGITS), **BOOK},
    ),
    Metric(
        "tollkeeper_journal_groups_unsealed",
        "gauge",
        "journal groups",
        "Journal groups without a place in the chain. Rises with each posting, falls to 0 when the "
        "journal is sealed, every minute.",
        BOOK,
    ),
    Metric(
        "tollkeeper_journal_oldest_unsealed_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When the oldest of these groups was booked, 0 if there is none. Moves when the journal is "
        "sealed.",
        BOOK,
    ),
    Metric(
        "tollkeeper_journal_last_seal_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When the last group of the chain was sealed, 0 if none ever was. Moves with each sealing "
        "that found something to seal.",
        BOOK,
    ),
    Metric(
        "tollkeeper_periods_open",
        "gauge",
        "months",
        "Months of a seller with postings that are over and not closed. Rises at the end of a month, "
        "falls when one is closed, which closes all before it.",
        BOOK,
    ),
    Metric(
        "tollkeeper_periods_oldest_open_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When the oldest of these months ended, in UTC; 0 if there is none. Moves when it is closed.",
        BOOK,
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
        "tollkeeper_sealing_errors_total",
        "counter",
        "rounds of sealing",
        "Rounds in which some book was not sealed or has no checkpoint. Rises every minute while the "
        "database is away, the folder cannot be written, or a checkpoint says that the journal was "
        "rewritten.",
    ),
    Metric(
        "tollkeeper_sealing_last_success_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When this worker last sealed every book and left its checkpoint, 0 if never. Moves every "
        "minute, also when there was nothing new.",
    ),
    Metric(
        "tollkeeper_build_info",
        "gauge",
        "1",
        "Always 1, under the version that runs. Moves with a deployment.",
        {"version": ()},
    ),
)
