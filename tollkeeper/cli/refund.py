"""`tollkeeper refund`: credit of a customer that is paid back."""

from typing import Literal

from cyclopts import App

from contracts.money import parse_amount
from lifecycle.orders.approvals import Requested
from lifecycle.orders.receivables import Refunding, RequestRefund, SettleRefund
from lifecycle.receivables import RefundState
from tollkeeper.cli.common import Asked, at_the_desk, booked, in_the_records, instruction, told
from tollkeeper.cli.screen import TABLES, Output, dump, out, table
from tollkeeper.office import Office
from tollkeeper.views.base import currency_of
from tollkeeper.views.receivables import refunds

app = App(name="refund")


@app.command
def request(
    engagement: str,
    refund: str,
    source: str,
    /,
    *,
    amount: str,
    pay_to: str,
    reason: str,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Ask for credit to be paid back; it is reserved, and paid when enough people signed.

    Parameters
    ----------
    engagement
        One of the customer's, whose contract says who signs.
    refund
        A new id for it, and for the request.
    source
        The receipt (SELLER/ACCOUNT/REFERENCE), or the number of the credit note, that it is from.
    pay_to
        The account it goes to, as the bank wants it.
    """

    async def requesting(office: Office) -> Requested:
        key = f"eng.{engagement}.request.{refund}"
        order = RequestRefund(
            **await instruction(office, engagement, asked, key),
            refund=_id(engagement, refund),
            source=source,
            amount=parse_amount(amount, await currency_of(office.pool, engagement)),
            pay_to=pay_to,
            reason=reason,
        )
        return await booked(office, order)

    told(at_the_desk(requesting), output)


@app.command
def confirm(
    engagement: str, refund: str, /, *, evidence: str, asked: Asked, output: Output = TABLES
) -> None:
    """Record that an approved refund was paid, where no provider says so.

    Parameters
    ----------
    evidence
        What proves it, such as the line of the bank statement.
    """
    _settle(engagement, refund, RefundState.CONFIRMED, evidence, asked, output)


@app.command
def fail(
    engagement: str, refund: str, /, *, evidence: str, asked: Asked, output: Output = TABLES
) -> None:
    """Record that an approved refund was not paid and will not be; its credit is free again.

    Parameters
    ----------
    evidence
        What proves it, such as the bank's letter. That no answer came proves nothing.
    """
    _settle(engagement, refund, RefundState.FAILED, evidence, asked, output)


def _settle(
    engagement: str,
    refund: str,
    state: Literal[RefundState.CONFIRMED, RefundState.FAILED],
    evidence: str,
    asked: Asked,
    output: Output,
) -> None:
    async def settling(office: Office) -> Refunding:
        name = _id(engagement, refund)
        order = SettleRefund(
            **await instruction(office, engagement, asked, f"{name}:{state.value}"),
            refund=name,
            state=state,
            evidence=evidence,
        )
        return await booked(office, order)

    settled = at_the_desk(settling)
    if output.json:
        return dump(settled)
    out.print(f"{refund}: {settled.state.value}, {settled.evidence}")


@app.command(name="list")
def list_refunds(engagement: str | None = None, /, *, output: Output = TABLES) -> None:
    """Every refund and where it stands.

    Parameters
    ----------
    engagement
        Asked for under this engagement alone.
    """
    rows = in_the_records(lambda pool: refunds(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Refunds",
        ["refund", "customer", "of", "amount>", "", "pay to", "state", "since", "evidence"],
        [
            (
                row.id, row.customer, row.source, row.amount, row.amount.currency, row.pay_to,
                row.state.value, row.since.date(), row.evidence,
            )
            for row in rows
        ],
    )  # fmt: skip


def _id(engagement: str, refund: str) -> str:
    """The short id, or the whole one, as `refund list` prints it."""
    return refund if refund.startswith("eng.") else f"eng.{engagement}.refund.{refund}"
