"""`tollkeeper hold`: placed, released, forfeited, cured, disputed."""

from datetime import date
from typing import Literal

from cyclopts import App

from contracts.calendar import local_date
from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.money import parse_amount
from lifecycle.orders.approvals import Requested
from lifecycle.orders.holds import (
    CloseHoldDispute,
    DecideHold,
    DisputeHold,
    ExtendHold,
    HoldMoved,
    PlaceHold,
    ServeCureNotice,
)
from tollkeeper.cli.common import (
    Asked,
    at_the_desk,
    booked,
    contract_time,
    in_the_records,
    instruction,
    told,
)
from tollkeeper.cli.screen import TABLES, Output, dump, out, table
from tollkeeper.office import Office
from tollkeeper.views.base import currency_of
from tollkeeper.views.holds import HoldBalance, holds

app = App(name="hold")


@app.command(name="list")
def list_holds(engagement: str | None = None, /, *, output: Output = TABLES) -> None:
    """Every hold: what was placed, is held, was released and forfeited, net, and its clock.

    Parameters
    ----------
    engagement
        Of this engagement alone.
    """
    rows = in_the_records(lambda pool: holds(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Holds, net",
        [
            "hold", "clause", "kind", "effect", "on", "state", "until", "placed>", "held>", "reserved>",
            "released>", "forfeited>", "",
        ],
        [
            (
                row.id, row.clause, row.kind.value, row.effect.value, row.on,
                "disputed" if row.disputed else row.state.value, _day(row),
                row.placed, row.held, row.reserved if row.reserved.minor else None,
                row.released, row.forfeited, row.placed.currency,
            )
            for row in rows
        ],
    )  # fmt: skip


def _day(row: HoldBalance) -> date | None:
    """The day of the contract's own time on which its clock ends."""
    return local_date(row.due_at, row.timezone) if row.due_at else None


@app.command
def place(
    engagement: str,
    hold: str,
    /,
    *,
    kind: Literal["ADMIN_BLOCK", "COMPLIANCE"],
    effect: HoldEffect,
    amount: str,
    reason: str,
    asked: Asked,
    milestone: str | None = None,
    line: str | None = None,
    evidence: str | None = None,
    request: str | None = None,
    output: Output = TABLES,
) -> None:
    """Ask for a hold, on a milestone that is not billed yet or on a line of an invoice.

    Parameters
    ----------
    hold
        A new id for it.
    effect
        block-invoicing (a milestone), withhold-payment or reserve-refund (an invoice line).
    amount
        Net, in the contract's currency.
    line
        The invoice line, such as QM-INV-2025-000001/1.
    request
        The id of the request; `place-` and the hold's id, unless said.
    """

    async def placing(office: Office) -> Requested:
        name = request or f"place-{hold}"
        key = f"eng.{engagement}.request.{name}"
        order = PlaceHold(
            **await instruction(office, engagement, asked, key),
            hold=hold,
            kind=HoldKind(kind),
            effect=effect,
            milestone=milestone,
            line=line,
            amount=parse_amount(amount, await currency_of(office.pool, engagement)),
            reason=reason,
            evidence=evidence,
        )
        return await booked(office, order)

    told(at_the_desk(placing), output)


@app.command
def release(
    engagement: str,
    hold: str,
    /,
    *,
    amount: str,
    reason: str,
    request: str,
    asked: Asked,
    evidence: str | None = None,
    output: Output = TABLES,
) -> None:
    """Ask for a part of a hold to be released.

    Parameters
    ----------
    amount
        Net, in the contract's currency.
    request
        A new id for the request.
    evidence
        What proves that the condition is met.
    """
    _decide(engagement, hold, Decision.RELEASE, amount, reason, request, asked, evidence, output)


@app.command
def forfeit(
    engagement: str,
    hold: str,
    /,
    *,
    amount: str,
    reason: str,
    request: str,
    asked: Asked,
    evidence: str | None = None,
    output: Output = TABLES,
) -> None:
    """Ask for a part of a hold to be forfeited; a credit note follows where it is invoiced.

    Parameters
    ----------
    amount
        Net, in the contract's currency.
    request
        A new id for the request.
    evidence
        What proves it.
    """
    _decide(engagement, hold, Decision.FORFEIT, amount, reason, request, asked, evidence, output)


def _decide(
    engagement: str,
    hold: str,
    decision: Literal[Decision.RELEASE, Decision.FORFEIT],
    amount: str,
    reason: str,
    request: str,
    asked: Asked,
    evidence: str | None,
    output: Output,
) -> None:
    async def deciding(office: Office) -> Requested:
        key = f"eng.{engagement}.request.{request}"
        order = DecideHold(
            **await instruction(office, engagement, asked, key),
            hold=_id(engagement, hold),
            decision=decision,
            amount=parse_amount(amount, await currency_of(office.pool, engagement)),
            reason=reason,
            evidence=evidence,
        )
        return await booked(office, order)

    told(at_the_desk(deciding), output)


@app.command
def extend(
    engagement: str,
    hold: str,
    /,
    *,
    reason: str,
    request: str,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Ask for more time before the decision about a hold, as often as its clause allows."""

    async def extending(office: Office) -> Requested:
        key = f"eng.{engagement}.request.{request}"
        order = ExtendHold(
            **await instruction(office, engagement, asked, key),
            hold=_id(engagement, hold),
            reason=reason,
        )
        return await booked(office, order)

    told(at_the_desk(extending), output)


@app.command
def cure_notice(
    engagement: str, hold: str, /, *, proof: str, asked: Asked, output: Output = TABLES
) -> None:
    """Serve a cure notice: the working days of the clause run from its proof of service."""

    async def serving(office: Office) -> HoldMoved:
        order = ServeCureNotice(
            **await instruction(office, engagement, asked, f"{_id(engagement, hold)}:cure-notice"),
            hold=_id(engagement, hold),
            proof=proof,
        )
        return await booked(office, order)

    _moved(at_the_desk(serving), output)


@app.command
def dispute(
    engagement: str,
    hold: str,
    dispute: str,
    /,
    *,
    reason: str,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Open a dispute about a hold: its clocks stand still.

    Parameters
    ----------
    dispute
        A new id for it.
    """

    async def disputing(office: Office) -> HoldMoved:
        key = f"{_id(engagement, hold)}:dispute:{dispute}"
        order = DisputeHold(
            **await instruction(office, engagement, asked, key),
            hold=_id(engagement, hold),
            reason=reason,
        )
        return await booked(office, order)

    _moved(at_the_desk(disputing), output, "disputed, its clock stands still")


@app.command
def close_dispute(
    engagement: str,
    hold: str,
    dispute: str,
    /,
    *,
    ruling: str,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Close a dispute about a hold: its clocks run on with the working days that were left."""

    async def closing(office: Office) -> HoldMoved:
        key = f"{_id(engagement, hold)}:dispute:{dispute}:close"
        order = CloseHoldDispute(
            **await instruction(office, engagement, asked, key),
            hold=_id(engagement, hold),
            ruling=ruling,
        )
        return await booked(office, order)

    _moved(at_the_desk(closing), output)


def _moved(moved: HoldMoved, output: Output, became: str | None = None) -> None:
    if output.json:
        return dump(moved)
    until = f" until {contract_time(moved.hold, moved.due_at)}" if moved.due_at else ""
    if moved.disputed:
        until = ", disputed: its clocks stand still"
    out.print(f"{moved.hold}: {became or moved.state.value.replace('_', ' ') + until}")


def _id(engagement: str, hold: str) -> str:
    """The short id, or the whole one, as `hold list` prints it."""
    return hold if hold.startswith("eng.") else f"eng.{engagement}.hold.{hold}"
