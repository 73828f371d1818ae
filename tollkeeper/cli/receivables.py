"""`tollkeeper credit`, `write-off` and `ageing`: what is given up of a claim, and how old the rest is."""

from contracts.money import parse_amount
from lifecycle.orders.approvals import Requested
from lifecycle.orders.receivables import CreditReason, RequestCredit, RequestWriteOff
from lifecycle.receivables import Age
from tollkeeper.cli.common import (
    Asked,
    OneDay,
    at_the_desk,
    booked,
    in_the_records,
    instruction,
    told,
)
from tollkeeper.cli.screen import TABLES, Output, dump, table
from tollkeeper.office import Office
from tollkeeper.views.base import currency_of
from tollkeeper.views.receivables import ageing as ages_of


def credit(
    engagement: str,
    credit: str,
    invoice: str,
    /,
    *,
    amount: str,
    code: CreditReason,
    reason: str,
    asked: Asked,
    line: list[int] | None = None,
    output: Output = TABLES,
) -> None:
    """Ask for a credit note on an invoice: off what is open of it; what is paid becomes credit.

    Parameters
    ----------
    credit
        A new id for it, and for the request.
    invoice
        The invoice's number.
    amount
        Gross.
    code
        Why, for reports; `reason` says it in words.
    line
        A line that it is for, once for each; all of them, unless said.
    """

    async def requesting(office: Office) -> Requested:
        key = f"eng.{engagement}.request.{credit}"
        order = RequestCredit(
            **await instruction(office, engagement, asked, key),
            credit=f"eng.{engagement}.credit.{credit}",
            invoice=invoice,
            lines=tuple(line or ()),
            amount=parse_amount(amount, await currency_of(office.pool, engagement)),
            code=code,
            reason=reason,
        )
        return await booked(office, order)

    told(at_the_desk(requesting), output)


def write_off(
    engagement: str,
    write_off: str,
    invoice: str,
    /,
    *,
    amount: str,
    reason: str,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Ask for an open part of an invoice to be given up; no tax is taken back with it.

    Parameters
    ----------
    write_off
        A new id for it, and for the request.
    invoice
        The invoice's number.
    amount
        Gross; at most what is open.
    """

    async def requesting(office: Office) -> Requested:
        key = f"eng.{engagement}.request.{write_off}"
        order = RequestWriteOff(
            **await instruction(office, engagement, asked, key),
            write_off=f"eng.{engagement}.write-off.{write_off}",
            invoice=invoice,
            amount=parse_amount(amount, await currency_of(office.pool, engagement)),
            reason=reason,
        )
        return await booked(office, order)

    told(at_the_desk(requesting), output)


def ageing(*, on: OneDay | None = None, output: Output = TABLES) -> None:
    """What each customer owes, gross, by days overdue; disputed, held and unapplied money apart.

    Parameters
    ----------
    on
        As the books stood on that day; today, unless said, and for test clocks where they stand.
    """
    rows = in_the_records(lambda pool: ages_of(pool, on))
    if output.json:
        return dump(rows)
    table(
        "Receivables by days overdue, gross",
        [
            "book", "seller", "customer", "", *(f"{each.value}>" for each in Age), "disputed>",
            "withheld>", "retained>", "credit>",
        ],
        [
            (
                row.book.value, row.seller, row.customer or "not known yet", row.credit.currency,
                *(row.ages[each] for each in Age),
                row.disputed, row.withheld, row.retained, row.credit,
            )
            for row in rows
        ],
    )  # fmt: skip
