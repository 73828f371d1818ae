"""`tollkeeper demo`, `up` and `worker`: what runs until it is done, or until it is stopped."""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog

import tollkeeper
from contracts.contract import Contract
from contracts.events import EventType
from tollkeeper.assembly import whole_office, worker_alone
from tollkeeper.cli.common import running, settings
from tollkeeper.cli.contract import load
from tollkeeper.cli.screen import TABLES, Output, dump, err, lasting, out, table, told, when
from tollkeeper.demo import Demo, Outcome
from tollkeeper.office import Office
from tollkeeper.receiver import receiving
from tollkeeper.views.engagements import Happening

T = TypeVar("T")


def _example() -> Path:
    """The example contract: in the wheel, or beside the packages in a checkout."""
    package = Path(tollkeeper.__file__).parent
    shipped = package / "examples" / "key-account.yaml"
    return shipped if shipped.exists() else package.parent / "examples" / "key-account.yaml"


def demo(
    *,
    contract: Path | None = None,
    shelved: bool = False,
    stay: bool = False,
    output: Output = TABLES,
) -> None:
    """Play a contract from signature to the settled value bet on a test clock, and check the books.

    Parameters
    ----------
    contract
        The contract document to play; the key-account example, unless said.
    shelved
        Play the other story: the client shelves the project, and resumes it.
    stay
        Leave everything up afterwards, until Ctrl-C.
    """
    terms = load(contract or _example())
    outcome = _at_work(
        _demo(terms, shelved=shelved, stay=stay, quiet=output.json, show=_shown(output))
    )
    if not outcome.ok:
        sys.exit(1)


def _shown(output: Output) -> Callable[[Outcome], None]:
    return dump if output.json else _account


async def _demo(
    terms: Contract, *, shelved: bool, stay: bool, quiet: bool, show: Callable[[Outcome], None]
) -> Outcome:
    def tell(event: Happening) -> None:
        if not quiet:
            _event(event, terms.timezone)

    with receiving() as receiver:
        sandbox = settings(sandbox_url=receiver.url, sandbox_secret=receiver.secret)
        async with whole_office(sandbox, told) as office:
            outcome = await Demo(office, receiver, terms, tell).play(shelved=shelved)
            show(outcome)
            if stay:
                _addresses(office)
                await _stopped()
    return outcome


def up() -> None:
    """Run everything in the foreground: servers, worker, deliveries, metrics; until Ctrl-C."""

    async def office() -> None:
        async with whole_office(settings(), told) as running_office:
            _addresses(running_office)
            await _stopped()

    _at_work(office())


def worker() -> None:
    """Run a worker beside servers that run elsewhere, until Ctrl-C or SIGTERM."""

    async def working() -> None:
        async with worker_alone(settings()) as office:
            _addresses(office)
            await _stopped()

    _at_work(working())


def _at_work(office: Awaitable[T]) -> T:
    """Run an office to its end, with its log on standard error."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    # A refusal is on record and in the metrics; its traceback tells nobody anything.
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
    return running(office)


async def _stopped() -> None:
    """Return at the first Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await stop.wait()
    told("stopping")


def _addresses(office: Office) -> None:
    rows = [
        ("Temporal", office.addresses.temporal),
        ("Temporal UI", office.addresses.temporal_ui),
        ("status", f"{office.status}/status"),
        ("metrics", f"{office.status}/metrics"),
        ("SDK metrics", f"http://{office.sdk_metrics}/metrics"),
    ]
    err.print()
    for name, address in rows:
        if address:
            err.print(f"{name:12} {address}")
    err.print("running; Ctrl-C stops it")


WORDS = {
    EventType.STEP_COMPLETED: "{step} {title}, {minutes} min",
    EventType.POSITION_ANSWERED: "round {round}, {role} has answered",
    EventType.POSITION_DISAGREED: "{why}: {stances}",
    EventType.POSITION_AGREED: "{stance}",
    EventType.REMINDER_RAISED: "{waiting_for} is waited for: {why}",
    EventType.ESCALATION_RAISED: "{waiting_for} is waited for: {why}",
    EventType.DECISION_SIGNED: "{outcome} as {role}",
    EventType.REWORK_ORDERED: "from step {from_step}",
    EventType.PHASE_BEGUN: "{phase}",
    EventType.MILESTONE_SUBMITTED: "{milestone}, submission {submission}",
    EventType.MILESTONE_REJECTED: "{milestone}: {reasons}",
    EventType.MILESTONE_EVALUATED: "{milestone}, earned {earned}",
    EventType.WENT_LIVE: "{milestone}",
    EventType.APPROVAL_REQUESTED: "{decision} {amount} of {subject}",
    EventType.APPROVAL_DECIDED: "{state}: {request}",
    EventType.HOLD_PLACED: "{amount}, {effect}",
    EventType.HOLD_RELEASED: "{amount}",
    EventType.HOLD_FORFEITED: "{amount}",
    EventType.INVOICE_ISSUED: "{number}: {net} + {tax} = {gross}",
    EventType.CREDIT_NOTE_ISSUED: "{number}: {net} + {tax} = {gross}",
    EventType.READING_ADDED: "{indicator} {value}",
    EventType.TREND_READ: "{window}: {trends}",
    EventType.OUTCOME_SETTLED: "{window}: scores {scores}, released {released}, forfeited {forfeited}",
    EventType.ENGAGEMENT_OPENED: "{contract}",
    EventType.ENGAGEMENT_CLOSED: "fee {fee} = fixed {fixed} + released {released} + forfeited {forfeited}",
}


def _event(event: Happening, timezone: str) -> None:
    facts = {name: _plain(value) for name, value in event.facts.items()}
    words = WORDS.get(event.type, "").format_map(facts)
    if event.facts.get("deemed"):
        words = f"{facts['milestone']}, deemed by {event.actor}"
    elif event.type is EventType.MILESTONE_ACCEPTED:
        words = f"{facts['milestone']}"
    line = f"{when(event.occurred_at, timezone)}  {event.type.value:27} {event.actor:22} {words}"
    out.print(line, markup=False)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value


def _account(outcome: Outcome) -> None:
    """The money table, the three clocks, what was refused, and what was checked."""
    found = outcome.engagement
    currency = found.held.currency
    out.print()
    table(
        f"Money of {found.id}, net {currency}",
        ["fee", "clause", "amount>", "fixed>", "held>", "released>", "forfeited>", "invoiced>", "VAT>",
         "credited>"],
        [
            (
                row.fee, row.clause, row.amount, row.fixed, row.held, row.released, row.forfeited,
                row.invoiced.net, row.invoiced.tax, row.credited.net,
            )
            for row in outcome.money
        ],
    )  # fmt: skip
    out.print()
    table(
        "Documents",
        ["number", "issued", "net>", "VAT>", "gross>", "corrects"],
        [
            (row.number, row.issued_on, row.net, row.tax, row.gross, row.corrects)
            for row in outcome.invoices
        ],
    )
    out.print()
    if clocks := found.clocks:
        out.print(
            f"Clocks of micro-consulting: {clocks.online_minutes} min online + "
            f"{clocks.offline_minutes} min offline = {clocks.effort_minutes} min, rework "
            f"{clocks.rework_minutes} min; client waiting "
            f"{lasting(clocks.client_waiting)}; elapsed {lasting(clocks.elapsed)}"
        )
    for refusal in outcome.refusals:
        out.print(f"Refused, as it should be: {refusal}", markup=False)
    checked = sum(check.checked for check in outcome.verification.checks)
    out.print(
        f"Delivered to the receiver: documents {len(outcome.invoices)}, notices {outcome.notices}. "
        f"Verified: invariants {len(outcome.verification.checks)}, objects {checked}."
    )
    for problem in outcome.problems:
        err.print(f"[red]{problem}[/]")
    out.print("The books hold." if outcome.ok else "The books do NOT hold.")
