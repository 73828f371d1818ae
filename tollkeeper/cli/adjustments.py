"""`tollkeeper gain-share`, `service-credit`, `advance` and `cap`: what changes a fee, and what bounds it."""

from cyclopts import App

from lifecycle.orders import Billed
from lifecycle.orders.adjustments import GrantServiceCredit, IssueAdvance, ReportGainShare
from lifecycle.orders.approvals import Requested
from tollkeeper.cli.common import Asked, at_the_desk, booked, in_the_records, instruction, told
from tollkeeper.cli.screen import TABLES, Output, dump, out, table
from tollkeeper.office import Office
from tollkeeper.views.adjustments import caps, gain_share_reports, service_credits
from tollkeeper.views.base import currency_of

gain_share = App(name="gain-share")
service_credit = App(name="service-credit")
advance = App(name="advance")
cap = App(name="cap")


@gain_share.command
def report(
    engagement: str,
    period: str,
    /,
    *,
    benefit: str,
    evidence: str,
    asked: Asked,
    request: str | None = None,
    output: Output = TABLES,
) -> None:
    """Report the benefit of a period; once approved, the fee to date is billed or credited.

    Parameters
    ----------
    period
        Its name, such as 2026-Q1. Reported again, the later report replaces the earlier.
    benefit
        In the contract's currency; a loss is negative.
    evidence
        What proves it.
    request
        The id of the request; `gain-share-` and the period, unless said. A correction needs another.
    """

    async def reporting(office: Office) -> Requested:
        key = f"eng.{engagement}.request.{request or f'gain-share-{period}'}"
        order = ReportGainShare.model_validate(
            {
                **await instruction(office, engagement, asked, key),
                "period": period,
                "benefit": f"{benefit} {await currency_of(office.pool, engagement)}",
                "evidence": evidence,
            }
        )
        return await booked(office, order)

    told(at_the_desk(reporting), output)


@gain_share.command(name="list")
def list_reports(engagement: str, /, *, output: Output = TABLES) -> None:
    """Every reported benefit, and what it makes of the fee to date."""
    rows = in_the_records(lambda pool: gain_share_reports(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Gain share",
        [
            "request", "period", "benefit>", "benefit to date>", "fee to date>", "amount>", "",
            "state", "document",
        ],
        [
            (
                row.name, row.period, row.benefit, row.benefit_to_date, row.fee_to_date, row.amount,
                row.amount.currency, row.state.value, row.document,
            )
            for row in rows
        ],
    )  # fmt: skip


@service_credit.command
def grant(
    engagement: str,
    credit: str,
    /,
    *,
    amount: str,
    invoice: str,
    reason: str,
    evidence: str,
    asked: Asked,
    request: str | None = None,
    output: Output = TABLES,
) -> None:
    """Ask for a service credit against an invoice; once approved, its credit note is issued.

    Parameters
    ----------
    credit
        A new id for it.
    amount
        Net, in the contract's currency.
    invoice
        The number of the invoice that bills the service.
    reason
        Which level was missed.
    evidence
        What proves it.
    request
        The id of the request; `service-credit-` and the credit's id, unless said.
    """

    async def granting(office: Office) -> Requested:
        key = f"eng.{engagement}.request.{request or f'service-credit-{credit}'}"
        order = GrantServiceCredit.model_validate(
            {
                **await instruction(office, engagement, asked, key),
                "credit": credit,
                "invoice": invoice,
                "amount": f"{amount} {await currency_of(office.pool, engagement)}",
                "reason": reason,
                "evidence": evidence,
            }
        )
        return await booked(office, order)

    told(at_the_desk(granting), output)


@service_credit.command(name="list")
def list_credits(engagement: str, /, *, output: Output = TABLES) -> None:
    """Every service credit that was asked for."""
    rows = in_the_records(lambda pool: service_credits(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Service credits, net",
        ["request", "credit", "invoice", "amount>", "", "reason", "state", "document"],
        [
            (
                row.name, row.id, row.invoice, row.amount, row.amount.currency, row.reason,
                row.state.value, row.document,
            )
            for row in rows
        ],
    )  # fmt: skip


@advance.command
def issue(engagement: str, /, *, asked: Asked, output: Output = TABLES) -> None:
    """Invoice the advance of the contract; the invoices of its fee deduct it."""

    async def issuing(office: Office) -> Billed:
        key = f"eng.{engagement}.advance"
        order = IssueAdvance(**await instruction(office, engagement, asked, key))
        return await booked(office, order)

    billed = at_the_desk(issuing)
    if output.json:
        return dump(billed)
    out.print(f"{billed.number}: {billed.gross} {billed.gross.currency}, tax included")


@cap.command(name="list")
def list_caps(engagement: str, /, *, output: Output = TABLES) -> None:
    """What each level is authorised for, and what is reserved, billed and left of it."""
    rows = in_the_records(lambda pool: caps(pool, engagement))
    if output.json:
        return dump(rows)
    table(
        "Caps, in the contract's prices",
        ["level", "authorised>", "reserved>", "billed>", "left>", ""],
        [
            (row.level, row.authorised, row.reserved, row.billed, row.left, row.left.currency)
            for row in rows
        ],
    )  # fmt: skip
