"""`tollkeeper engagement` and `decide`: open, follow, position, decide, resume, close."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from cyclopts import App

from contracts.commands import (
    AnswerPosition,
    CloseEngagement,
    Decide,
    Outcome,
    Receipt,
    Resume,
    SetCalendar,
    Stance,
)
from contracts.contract import Role
from contracts.setting import ClockKind
from tollkeeper.cli.common import (
    MICRO,
    Asked,
    Days,
    Moment,
    ask,
    at_the_desk,
    in_the_records,
    signed,
)
from tollkeeper.cli.contract import load
from tollkeeper.cli.screen import TABLES, Output, dump, err, lasting, out, table, when
from tollkeeper.office import Office
from tollkeeper.views.engagements import EngagementDetail, Happening, Waiting
from tollkeeper.views.engagements import engagement as find
from tollkeeper.views.engagements import engagements as find_all
from tollkeeper.views.engagements import timeline as find_timeline

app = App(name="engagement")


@app.command(name="open")
def open_(
    engagement: str,
    /,
    *,
    contract: Path,
    by: str,
    clock: ClockKind = ClockKind.LIVE,
    at: Moment | None = None,
    output: Output = TABLES,
) -> None:
    """Open an engagement under a contract; opened again, it is the same engagement.

    Parameters
    ----------
    engagement
        Its id: letters, digits, - and _.
    contract
        The contract document.
    by
        Who opens it.
    clock
        `live` waits for the wall clock; `test` stands still until it is advanced, in a sandbox book.
    at
        When it begins; now, or for a test clock the contract's effective date, unless said.
    """
    terms = load(contract)
    if at is None:
        start = terms.working_calendar().end_of_day(terms.effective_on)
        at = start if clock is ClockKind.TEST else datetime.now(UTC)
    opened = at_the_desk(lambda office: office.desk.open(engagement, terms, clock, at, by))
    if output.json:
        dump(opened)
    else:
        out.print(
            f"{opened.engagement_id} is open under {opened.contract}, "
            f"{opened.clock.value} clock, since {when(opened.opened_at, terms.timezone)}"
        )


@app.command(name="list")
def list_(*, output: Output = TABLES) -> None:
    """Every engagement: its phase, whom it waits for, what is held and invoiced."""
    rows = in_the_records(find_all)
    if output.json:
        return dump(rows)
    table(
        "Engagements",
        ["id", "contract", "book", "phase", "waits for", "why", "held>", "invoiced net>"],
        [
            (
                row.id,
                row.contract,
                row.book.value,
                row.phase,
                row.waiting[-1].for_whom if row.waiting else "",
                row.waiting[-1].why if row.waiting else "",
                row.held,
                row.invoiced,
            )
            for row in rows
        ],
    )


@app.command
def show(engagement: str, /, *, output: Output = TABLES) -> None:
    """One engagement: its processes, whom each waits for, why, since when and until when."""
    found = in_the_records(lambda pool: find(pool, engagement))
    if output.json:
        return dump(found)
    _show(found)


def _show(found: EngagementDetail) -> None:
    zone = found.timezone
    out.print(f"[bold]{found.id}[/]  {found.title.en}  ({found.contract}, {found.book.value} book)")
    out.print(f"phase {found.phase}, opened {when(found.opened_at, zone)}")
    if found.clock_now:
        out.print(f"test clock at {when(found.clock_now, zone)}")
    if found.clocks:
        clocks = found.clocks
        out.print(
            f"micro-consulting: {clocks.online_minutes} min online + {clocks.offline_minutes} min "
            f"offline, {clocks.rework_minutes} min rework; client waiting "
            f"{lasting(clocks.client_waiting)}, elapsed {lasting(clocks.elapsed)}"
        )
    table(
        "Processes",
        ["process", "state", "waits for", "why", "since", "until"],
        [
            (
                f"{process.kind} {process.subject}",
                process.state,
                process.waiting.for_whom if process.waiting else "",
                process.waiting.why if process.waiting else "",
                when(process.waiting.since, zone) if process.waiting else "",
                _until(process.waiting, zone),
            )
            for process in found.processes
        ],
    )


def _until(wait: Waiting | None, zone: str) -> str:
    if wait is None:
        return ""
    return "overdue" if wait.overdue else when(wait.due_at, zone)


@app.command
def timeline(engagement: str, /, *, output: Output = TABLES) -> None:
    """What happened, in order."""

    rows = in_the_records(lambda pool: find_timeline(pool, engagement))
    if output.json:
        return dump(rows)
    table("Timeline", ["when, UTC", "what", "who", "facts"], [_happening(row) for row in rows])


def _happening(row: Happening) -> tuple[str, str, str, str]:
    facts = ", ".join(f"{name}={value}" for name, value in row.facts.items() if value is not None)
    return when(row.occurred_at), row.type.value, row.actor, facts


@app.command
def position(
    engagement: str,
    stance: Stance,
    /,
    *,
    role: Role,
    assessed_by: str,
    asked: Asked,
    other: str | None = None,
    margin_exception: bool = False,
    output: Output = TABLES,
) -> None:
    """Give one of the two blind answers on the value position.

    Parameters
    ----------
    stance
        How the unit earns its place: cost_centre, profit_centre or other.
    role
        unit_head or group_management.
    assessed_by
        How that value is assessed, in a sentence.
    other
        What it is, where the stance is other.
    margin_exception
        Sign that margin gains may be bet on although the unit is a cost centre.
    """
    ask(
        output,
        engagement,
        asked,
        "answer_position",
        lambda who: AnswerPosition(
            **who,
            role=role,
            stance=stance,
            other=other,
            assessed_by=assessed_by,
            margin_exception=margin_exception,
        ),
    )


def decide(
    engagement: str,
    outcome: Outcome,
    /,
    *,
    role: Role,
    reason: str,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Sign at the decision gate; business and IT must sign the same.

    Parameters
    ----------
    outcome
        PROCEED, SHELVE or REWORK_ONCE.
    role
        business_lead or it_lead.
    reason
        Why, in a sentence.
    """
    ask(
        output,
        engagement,
        asked,
        "decide",
        lambda who: Decide(**who, role=role, outcome=outcome, reason=reason),
        *MICRO,
    )


@app.command
def resume(
    engagement: str, /, *, asked: Asked, material_confirmed: bool = False, output: Output = TABLES
) -> None:
    """Take a shelved engagement up again.

    Parameters
    ----------
    material_confirmed
        The client's material has been looked through and still holds.
    """
    ask(
        output,
        engagement,
        asked,
        "resume",
        lambda who: Resume(**who, material_confirmed=material_confirmed),
    )


@app.command
def close(engagement: str, /, *, note: str, asked: Asked, output: Output = TABLES) -> None:
    """Close an engagement after its review, or give up a shelved one; exit 1 while it cannot close.

    Parameters
    ----------
    note
        What the review found, in a sentence.
    """
    ask(output, engagement, asked, "close", lambda who: CloseEngagement(**who, note=note))
    found = in_the_records(lambda pool: find(pool, engagement))
    for wait in found.waiting:
        if wait.process == f"eng.{engagement}" and wait.for_whom == "operations":
            err.print(f"{engagement} is not closed yet: {wait.why}", markup=False)
            err.print(f"put it right, then `tollkeeper engagement nudge {engagement}`")
            sys.exit(1)


@app.command
def calendar(
    engagement: str,
    /,
    *,
    last_year: int,
    working: Days | None = None,
    off: Days | None = None,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Give an engagement the working days that were decreed after its contract was signed.

    Parameters
    ----------
    last_year
        The last year whose working days are now complete.
    working
        Weekend days that are worked.
    off
        Weekdays that are not.
    """

    async def everywhere(office: Office) -> list[Receipt]:
        who = await signed(office, engagement, asked)
        command = SetCalendar(
            **who, last_year=last_year, working=tuple(working or ()), off=tuple(off or ())
        )
        return await office.desk.set_calendar(engagement, command)

    receipts = at_the_desk(everywhere)
    if output.json:
        return dump(receipts)
    out.print(f"{len(receipts)} processes know the working days up to {last_year}")


@app.command
def nudge(engagement: str, /) -> None:
    """Have every process try again what was refused, once its cause is put right."""

    async def nudging(office: Office) -> None:
        await office.desk.clock(engagement)  # an engagement that does not exist is refused
        await office.desk.nudge(engagement)

    at_the_desk(nudging)
    out.print(f"{engagement}: what was refused is tried again")
