"""`tollkeeper dispute`: parts of invoices that the client does not accept."""

from typing import Literal

from cyclopts import App

from contracts.fields import short_id
from contracts.money import parse_amount
from lifecycle.orders.approvals import Requested
from lifecycle.orders.receivables import Disputed, EndDispute, OpenDispute, RuleDispute
from lifecycle.receivables import DisputeState
from tollkeeper.cli.common import Asked, at_the_desk, booked, in_the_records, instruction, told
from tollkeeper.cli.screen import TABLES, Output, dump, out, table
from tollkeeper.office import Office
from tollkeeper.views.base import currency_of
from tollkeeper.views.receivables import disputes

app = App(name="dispute")


@app.command(name="open")
def open_(
    engagement: str,
    dispute: str,
    invoice: str,
    /,
    *,
    reason: str,
    asked: Asked,
    line: list[int] | None = None,
    amount: str | None = None,
    output: Output = TABLES,
) -> None:
    """Dispute lines of an invoice, or an amount of it: that part is not overdue any more.

    Parameters
    ----------
    dispute
        A new id for it.
    invoice
        The invoice's number.
    line
        A line that is disputed, as far as it is open; once for each.
    amount
        Gross, in place of lines; at most what is open.
    """

    async def opening(office: Office) -> Disputed:
        name = _id(engagement, dispute)
        currency = await currency_of(office.pool, engagement)
        order = OpenDispute(
            **await instruction(office, engagement, asked, f"{name}:open"),
            dispute=name,
            invoice=invoice,
            lines=tuple(line or ()),
            amount=None if amount is None else parse_amount(amount, currency),
            reason=reason,
        )
        return await booked(office, order)

    _tell(at_the_desk(opening), output)


@app.command
def withdraw(
    engagement: str, dispute: str, /, *, reason: str, asked: Asked, output: Output = TABLES
) -> None:
    """The client takes a dispute back: its part is to be paid, and due as it was."""
    _end(engagement, dispute, DisputeState.WITHDRAWN, reason, asked, output)


@app.command
def reject(
    engagement: str, dispute: str, /, *, reason: str, asked: Asked, output: Output = TABLES
) -> None:
    """The consultant rejects a dispute: its part is to be paid, and due as it was."""
    _end(engagement, dispute, DisputeState.REJECTED, reason, asked, output)


def _end(
    engagement: str,
    dispute: str,
    state: Literal[DisputeState.WITHDRAWN, DisputeState.REJECTED],
    reason: str,
    asked: Asked,
    output: Output,
) -> None:
    async def ending(office: Office) -> Disputed:
        name = _id(engagement, dispute)
        order = EndDispute(
            **await instruction(office, engagement, asked, f"{name}:{state.value}"),
            dispute=name,
            state=state,
            reason=reason,
        )
        return await booked(office, order)

    _tell(at_the_desk(ending), output)


@app.command
def uphold(
    engagement: str,
    dispute: str,
    /,
    *,
    amount: str,
    reason: str,
    request: str,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Ask for a dispute to be upheld; approved, a credit note is issued, and the rest is to be paid.

    Parameters
    ----------
    amount
        Gross: what is disputed, or a part of it.
    request
        A new id for the request.
    """

    async def upholding(office: Office) -> Requested:
        key = f"eng.{engagement}.request.{request}"
        order = RuleDispute(
            **await instruction(office, engagement, asked, key),
            dispute=_id(engagement, dispute),
            upheld=parse_amount(amount, await currency_of(office.pool, engagement)),
            reason=reason,
        )
        return await booked(office, order)

    told(at_the_desk(upholding), output)


@app.command(name="list")
def list_disputes(engagement: str | None = None, /, *, output: Output = TABLES) -> None:
    """Every dispute, what of it was upheld, and the credit note.

    Parameters
    ----------
    engagement
        Of this engagement alone.
    """
    rows = in_the_records(lambda pool: disputes(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Disputes, gross",
        ["dispute", "invoice", "lines", "disputed>", "upheld>", "", "by", "state", "credit note", "reason"],
        [
            (
                row.id, row.invoice, ", ".join(map(str, row.lines)), row.amount, row.upheld,
                row.amount.currency, row.raised_by, row.state.value, row.document, row.reason,
            )
            for row in rows
        ],
    )  # fmt: skip


def _tell(disputed: Disputed, output: Output) -> None:
    if output.json:
        return dump(disputed)
    name = short_id(disputed.dispute)
    amount = f"{disputed.amount} {disputed.amount.currency}"
    out.print(f"{name}: {disputed.state.value}, {amount} of {disputed.invoice}")


def _id(engagement: str, dispute: str) -> str:
    """The short id, or the whole one, as `dispute list` prints it."""
    return dispute if dispute.startswith("eng.") else f"eng.{engagement}.dispute.{dispute}"
