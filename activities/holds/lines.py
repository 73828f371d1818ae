"""The invoice lines that holds are on: what is held, open and creditable of each."""

from dataclasses import dataclass

from activities.agreement import Agreement
from activities.billing.invoices import billed_lines, creditable_lines
from activities.postgres import Connection
from activities.timeline import send
from contracts.errors import NotFound
from contracts.money import Money
from lifecycle.hold import Hold
from lifecycle.invoice import BilledLine, Purpose
from lifecycle.ledger import Account
from lifecycle.orders import A, Order
from lifecycle.tax import Taxed

AT_RISK = {Purpose.HOLDBACK, Purpose.RELEASE}
"""Invoices of fees at risk; every other earns fixed revenue, but for gain share."""


@dataclass(frozen=True)
class HeldLine:
    """An invoice line that a hold may be placed on: what can still be withheld, or claimed back; net."""

    billed: BilledLine
    held: Taxed
    open_net: Money
    creditable_net: Money
    revenue: Account

    def part(self, net: Money) -> Taxed:
        """The part with that net, after what was taken back or is held already."""
        taken = self.billed.taken
        together = Taxed(taken.net + self.held.net, taken.tax + self.held.tax)
        return self.billed.model_copy(update={"taken": together}).part(net)


async def line_of(connection: Connection, terms: Agreement, line: str) -> HeldLine:
    """An invoice line by `NUMBER/1`.

    Raises:
        NotFound: the engagement has no such line.
        TransitionError: it bills an advance.
    """
    number, _, position = line.rpartition("/")
    owner = await connection.fetchrow(
        "select * from invoice where number = $1 and engagement_id = $2 and document = 'invoice' for update",
        number,
        terms.engagement_id,
    )
    lines = await creditable_lines(connection, terms, number) if owner else []
    chosen = [each for each in lines if str(each.line) == position]
    if owner is None or not chosen:
        raise NotFound(
            f"found line {line!r}, expected one of engagement {terms.engagement_id}, such as "
            "QM-INV-2025-000001/1"
        )
    (billed,) = chosen
    currency = owner["currency"]
    row = await connection.fetchrow(
        """
        select coalesce(sum(b.held_minor), 0)::bigint as net,
               coalesce(sum(b.held_minor) filter (where b.effect = 'withhold_payment'), 0)::bigint as kept
        from hold_balance b where b.invoice = $1 and b.invoice_line = $2
        """,
        number,
        billed.line,
    )
    assert row is not None
    held = billed.part(Money(row["net"], currency))
    open_gross = await balance_of(connection, Account.RECEIVABLE_OPEN, number, currency)
    creditable = billed.left.net - held.net
    payable = Money(
        open_gross.minor * billed.billed.net.minor // max(billed.billed.gross.minor, 1), currency
    )
    return HeldLine(
        billed=billed,
        held=held,
        open_net=min(payable, creditable, key=lambda amount: amount.minor),
        creditable_net=creditable,
        revenue=await revenue_of(connection, number),
    )


async def revenue_of(connection: Connection, number: str) -> Account:
    """The revenue that an invoice earned."""
    purpose = await connection.fetchval("select purpose from invoice where number = $1", number)
    if purpose == Purpose.GAIN_SHARE:
        return Account.REVENUE_GAIN_SHARE
    return Account.REVENUE_AT_RISK if purpose in AT_RISK else Account.REVENUE_FIXED


async def balance_of(
    connection: Connection, account: Account, invoice: str, currency: str
) -> Money:
    """What an account says of an invoice now, debit less credit."""
    minor = await connection.fetchval(
        """
        select coalesce(sum(case side when 'D' then amount_minor else -amount_minor end), 0)::bigint
        from posting where account = $1 and invoice = $2
        """,
        account,
        invoice,
    )
    return Money(minor, currency)


async def line_held(connection: Connection, terms: Agreement, hold: Hold) -> BilledLine:
    """The invoice line that a hold is on."""
    assert hold.invoice
    lines = await billed_lines(connection, terms, hold.invoice)
    (line,) = [each for each in lines if each.line == hold.invoice_line]
    return line


async def tell_finance(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    invoice: str,
    payable: Taxed,
    part: str | None = None,
) -> None:
    """Send word that a part of an invoice is to be paid now; `part` tells several of one order apart."""
    key = f"{order.key}:{part}" if part else order.key
    payload: dict[str, object] = {
        "release": key,
        "invoice": invoice,
        "released_on": terms.local_date(order.at).isoformat(),
        "sandbox": terms.book == "sandbox",
        "engagement": terms.engagement_id,
        "currency": payable.net.currency,
        "net": str(payable.net),
        "tax": str(payable.tax),
        "payable": str(payable.gross),
    }
    await send(connection, order, terms.book, "release", key, payload)
