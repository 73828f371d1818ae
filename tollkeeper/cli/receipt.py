"""`tollkeeper receipt`: money that came in, one at a time or as the bank's file, and what it pays."""

from datetime import UTC, datetime, time
from pathlib import Path
from uuid import uuid4

from cyclopts import App

from activities.receivables.receipts import (
    assign_receipt,
    reverse_receipt,
    take_in,
)
from contracts.errors import NotFound
from contracts.money import MINOR_DIGITS, parse_amount
from contracts.setting import Book
from lifecycle.bank_file import read_bank_file
from lifecycle.orders.receivables import (
    Applied,
    ApplyCredit,
    AssignReceipt,
    Matched,
    ReverseReceipt,
    UnapplyCredit,
)
from lifecycle.receivables import BankReceipt
from tollkeeper.cli.common import (
    Asked,
    OneDay,
    at_the_desk,
    booked,
    in_the_records,
    instruction,
    well_formed,
)
from tollkeeper.cli.screen import TABLES, Output, dump, out, table
from tollkeeper.office import Office
from tollkeeper.views.base import currency_of
from tollkeeper.views.receivables import engagement_of, receipts
from tollkeeper.views.receivables import receipt as receipt_on_record

app = App(name="receipt")


@app.command
def record(
    seller: str,
    account: str,
    reference: str,
    /,
    *,
    amount: str,
    currency: str,
    received_on: OneDay,
    by: str,
    payer: str = "",
    text: str = "",
    customer: str | None = None,
    book: Book = Book.LIVE,
    output: Output = TABLES,
) -> None:
    """Record money that came in, and apply it as far as it says to what.

    Parameters
    ----------
    seller
        Entity code of the consultant whose account it is.
    account
        The bank account, as your bank files call it.
    reference
        The bank's reference; with seller and account it names the receipt.
    amount
        In plain digits, more than 0.
    received_on
        The day it came in.
    by
        Who records it.
    payer
        Who paid, as the bank writes it.
    text
        What the payer wrote; invoice numbers in it are paid.
    customer
        Entity code of the client; later, if it is not known yet.
    """
    if currency not in MINOR_DIGITS:
        raise NotFound(f"found currency {currency!r}, expected one of {', '.join(MINOR_DIGITS)}")
    with well_formed():
        receipt = BankReceipt(
            book=book,
            seller=seller,
            account=account,
            reference=reference,
            received_on=received_on,
            amount=parse_amount(amount, currency),
            payer=payer,
            text=text,
            customer=customer,
        )
    (matched,) = in_the_records(lambda pool: take_in(pool, [receipt], by, datetime.now(UTC)))
    if output.json:
        return dump(matched)
    _tell(matched)


@app.command(name="import")
def import_file(
    file: Path,
    /,
    *,
    seller: str,
    by: str,
    book: Book = Book.LIVE,
    output: Output = TABLES,
) -> None:
    """Record the receipts of a bank's CSV file, all or none, and apply each as far as it says to what.

    A file taken in twice, or one that overlaps with another, stores nothing twice.

    Parameters
    ----------
    file
        UTF-8, with a header: account, reference, received_on, amount, currency, and if wanted payer,
        text, customer.
    seller
        Entity code of the consultant whose accounts they are.
    by
        Who imports it.
    """
    try:
        content = file.read_bytes()
    except OSError as missing:
        raise NotFound(f"{file}: {missing.strerror}, expected a bank's CSV file") from missing
    lines = read_bank_file(content, str(file), seller, book)
    places = [f"{file}, line {number}" for number, _ in lines]
    read = [receipt for _, receipt in lines]
    told = in_the_records(lambda pool: take_in(pool, read, by, datetime.now(UTC), places))
    if output.json:
        return dump(told)
    for matched in told:
        _tell(matched)
    waiting = sum(matched.left.minor > 0 for matched in told)
    out.print(f"{len(told)} receipts are on record; {waiting} have money left to apply")


def _tell(matched: Matched) -> None:
    for part in matched.applied:
        out.print(f"{matched.receipt}: {part.amount} {part.amount.currency} to {part.invoice}")
    if matched.left.minor:
        whose = f"as credit of {matched.customer}" if matched.customer else "of nobody known yet"
        out.print(f"{matched.receipt}: {matched.left} {matched.left.currency} left {whose}")


@app.command(name="list")
def list_receipts(*, unapplied: bool = False, output: Output = TABLES) -> None:
    """Every receipt: what of it is applied, paid back and left.

    Parameters
    ----------
    unapplied
        Only those of which something is left.
    """
    rows = in_the_records(lambda pool: receipts(pool, unapplied=unapplied))
    if output.json:
        return dump(rows)
    table(
        "Receipts",
        [
            "receipt", "customer", "received", "amount>", "applied to", "paid back>", "left>",
            "reserved>", "", "",
        ],
        [
            (
                row.id, row.customer, row.received_on, row.amount,
                ", ".join(dict.fromkeys(part.invoice for part in row.applied)),
                row.refunded if row.refunded.minor else None, row.left,
                row.reserved if row.reserved.minor else None, row.amount.currency,
                "bounced" if row.bounced else "",
            )
            for row in rows
        ],
    )  # fmt: skip


@app.command
def show(receipt: str, /, *, output: Output = TABLES) -> None:
    """One receipt: what the bank said, and what it pays.

    Parameters
    ----------
    receipt
        SELLER/ACCOUNT/REFERENCE.
    """
    found = in_the_records(lambda pool: receipt_on_record(pool, receipt))
    if output.json:
        return dump(found)
    bounced = ", bounced" if found.bounced else ""
    out.print(
        f"[bold]{found.id}[/]  {found.amount.grouped()} {found.amount.currency} of "
        f"{found.received_on}, {found.customer or 'customer not known yet'}{bounced}"
    )
    out.print(f"payer {found.payer!r}, text {found.text!r}", markup=False)
    table("", ["invoice", "applied>"], [(part.invoice, part.amount) for part in found.applied])
    out.print(f"left {found.left.grouped()}, of it reserved {found.reserved.grouped()}")


@app.command
def assign(
    receipt: str,
    customer: str,
    /,
    *,
    by: str,
    command_id: str | None = None,
    output: Output = TABLES,
) -> None:
    """Say who paid a receipt, and apply it as far as it says to what.

    Parameters
    ----------
    receipt
        SELLER/ACCOUNT/REFERENCE; nothing of it may be applied.
    customer
        Entity code of the client.
    by
        Who says so.
    command_id
        Repeat a command under its id, and it is done once.
    """
    order = AssignReceipt(
        key=f"receipt.{receipt}:assign:{command_id or uuid4().hex}",
        at=datetime.now(UTC),
        by=by,
        receipt=receipt,
        customer=customer,
    )
    matched = in_the_records(lambda pool: assign_receipt(pool, order))
    if output.json:
        return dump(matched)
    _tell(matched)


@app.command
def apply(
    source: str,
    invoice: str,
    /,
    *,
    asked: Asked,
    amount: str | None = None,
    output: Output = TABLES,
) -> None:
    """Pay an invoice from what is left of a receipt or a credit note of the same customer.

    Parameters
    ----------
    source
        The receipt (SELLER/ACCOUNT/REFERENCE), or the number of the credit note.
    invoice
        The invoice's number.
    amount
        As much as both allow, unless said.
    """

    async def applying(office: Office) -> Applied:
        engagement = await engagement_of(office.pool, invoice)
        key = f"{source}:apply:{asked.command_id or uuid4().hex}"
        currency = await currency_of(office.pool, engagement)
        order = ApplyCredit(
            **await instruction(office, engagement, asked, key),
            source=source,
            invoice=invoice,
            amount=None if amount is None else parse_amount(amount, currency),
        )
        return await booked(office, order)

    applied = at_the_desk(applying)
    if output.json:
        return dump(applied)
    out.print(f"{source}: {applied.amount} {applied.amount.currency} to {invoice}")


@app.command
def unapply(
    source: str, invoice: str, /, *, reason: str, asked: Asked, output: Output = TABLES
) -> None:
    """Take back what a receipt or a credit note paid of an invoice.

    Parameters
    ----------
    source
        The receipt (SELLER/ACCOUNT/REFERENCE), or the number of the credit note.
    invoice
        The invoice's number.
    """

    async def unapplying(office: Office) -> Applied:
        engagement = await engagement_of(office.pool, invoice)
        key = f"{source}:unapply:{asked.command_id or uuid4().hex}"
        order = UnapplyCredit(
            **await instruction(office, engagement, asked, key),
            source=source,
            invoice=invoice,
            reason=reason,
        )
        return await booked(office, order)

    applied = at_the_desk(unapplying)
    if output.json:
        return dump(applied)
    out.print(f"{source}: {applied.amount} {applied.amount.currency} back from {invoice}")


@app.command
def reverse(receipt: str, /, *, on: OneDay, reason: str, by: str, output: Output = TABLES) -> None:
    """Take back a receipt that bounced: everything it paid is open again.

    Parameters
    ----------
    receipt
        SELLER/ACCOUNT/REFERENCE.
    on
        The day the bank took the money back.
    by
        Who records it.
    """
    order = ReverseReceipt(
        key=f"receipt.{receipt}:reverse",
        at=datetime.combine(on, time(), UTC),
        by=by,
        receipt=receipt,
        reason=reason,
    )
    matched = in_the_records(lambda pool: reverse_receipt(pool, order))
    if output.json:
        return dump(matched)
    out.print(f"{receipt} is taken back; what it paid is open again")
