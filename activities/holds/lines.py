"""The invoice lines that holds are on: what is held, open and creditable of each."""

from dataclasses import dataclass

from activities.agreement import Agreement
from activities.billing.credit_notes import room_of
from activities.billing.invoices import billed_lines, creditable_lines, without_held
from activities.postgres import Connection
from activities.timeline import send
from contracts.errors import NotFound
from contracts.money import Money
from lifecycle.credits import most_of
from lifecycle.hold import Hold
from lifecycle.invoice import BilledLine, Purpose
from lifecycle.ledger import Account
from lifecycle.orders import A, Order
from lifecycle.tax import Taxed

AT_RISK = {Purpose.HOLDBACK, Purpose.RELEASE}
"""Invoices of fees at risk; every other earns fixed revenue, but for gain share."""


@dataclass(frozen=True)
class HeldLine:
    """An invoice line that a hold may be placed on: what can still be withheld, or claimed back; net.

    Of `billed`, what was credited and what holds keep is taken.
    """

    billed: BilledLine
    open_net: Money
    refundable_net: Money
    revenue: Account

    @property
    def creditable_net(self) -> Money:
        return self.billed.left.net

    def part(self, net: Money) -> Taxed:
        """The part with that net, after what was taken back or is held already."""
        return self.billed.part(net)


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
    room = await room_of(connection, terms, number, advance=True)
    return HeldLine(
        billed=billed,
        open_net=most_of(billed, billed.left.net, room.open).net,
        refundable_net=most_of(billed, billed.left.net, room.whole).net,
        revenue=await revenue_of(connection, number),
    )


async def revenue_of(connection: Connection, number: str) -> Account:
    """The revenue that an invoice earned."""
    purpose = await connection.fetchval("select purpose from invoice where number = $1", number)
    if purpose == Purpose.GAIN_SHARE:
        return Account.REVENUE_GAIN_SHARE
    return Account.REVENUE_AT_RISK if purpose in AT_RISK else Account.REVENUE_FIXED


async def line_held(connection: Connection, terms: Agreement, hold: Hold) -> BilledLine:
    """The invoice line that a hold is on, with what was credited and what other holds keep as taken."""
    assert hold.invoice
    billed = await billed_lines(connection, terms, hold.invoice)
    lines = await without_held(connection, hold.invoice, billed, but=hold.id)
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
