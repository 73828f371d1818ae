"""One credit note over parts of invoice lines, and its postings on each invoice."""

from collections.abc import Callable, Iterable, Sequence

from activities.agreement import Agreement
from activities.billing.invoices import creditable_lines, issue
from activities.books.journal import post
from activities.postgres import Connection
from contracts.errors import NotFound
from contracts.money import Money
from lifecycle.credits import Room
from lifecycle.invoice import BilledLine, Line, Purpose, draft
from lifecycle.ledger import Group
from lifecycle.orders import A, Order


async def credit(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    lines: Sequence[Line],
    purpose: Purpose,
    posting: Callable[..., Group],
) -> str:
    """Issue a credit note; on each invoice it takes off what is open, the rest is the customer's credit.

    Args:
        posting: the group of one invoice, E23 or E25.
    """
    invoices = list(dict.fromkeys(line.corrects.number for line in lines if line.corrects))
    rooms = await rooms_of(connection, terms, invoices)
    note = await issue(
        connection,
        order,
        terms,
        draft(terms.contract, lines),
        "credit_note",
        purpose,
        corrects=invoices[0] if len(invoices) == 1 else None,
    )
    for number in invoices:
        part = draft(
            terms.contract,
            [line for line in lines if line.corrects and line.corrects.number == number],
        )
        settled = rooms[number].settled(part.gross)
        group = posting(part.nets(), part.taxes(), invoice=number, note=note, settled=settled)
        await post(connection, order, terms, group, part=number)
    return note


async def creditable(
    connection: Connection, terms: Agreement, invoices: Iterable[str]
) -> tuple[list[BilledLine], dict[str, Room]]:
    """The lines of invoices, in their order, with what can be credited of each invoice.

    Raises:
        NotFound: the engagement has no such invoice.
        TransitionError: it bills an advance.
    """
    numbers = list(invoices)
    lines = [
        line for number in numbers for line in await creditable_lines(connection, terms, number)
    ]
    return lines, await rooms_of(connection, terms, numbers)


async def room_of(
    connection: Connection, terms: Agreement, invoice: str, *, advance: bool = False
) -> Room:
    """What is open and what is paid of an invoice, gross.

    Args:
        advance: what an advance paid of it counts, too.

    Raises:
        NotFound: the engagement has no such invoice.
    """
    return (await rooms_of(connection, terms, [invoice], advance=advance))[invoice]


async def rooms_of(
    connection: Connection, terms: Agreement, invoices: Sequence[str], *, advance: bool = False
) -> dict[str, Room]:
    """What is open and what is paid of each invoice, gross.

    Args:
        advance: what an advance paid of it counts, too.

    Raises:
        NotFound: the engagement has no such invoice.
    """
    rows = await connection.fetch(
        """
        select number, open_minor as open,
               paid_minor + case when $3 then advance_minor else 0 end - returned_minor as paid
        from invoice_settlement where engagement_id = $1 and number = any($2::text[])
        """,
        terms.engagement_id,
        invoices,
        advance,
    )
    currency = terms.contract.currency
    rooms = {
        row["number"]: Room(
            invoice=row["number"],
            open=Money(row["open"], currency),
            paid=Money(row["paid"], currency),
        )
        for row in rows
    }
    for number in invoices:
        if number not in rooms:
            raise NotFound(
                f"found {number!r}, expected an invoice of engagement {terms.engagement_id}"
            )
    return rooms
