"""Invoices and credit notes as people read them, with lines, tax and what is settled of each."""

from datetime import date, datetime
from typing import Any

from activities.postgres import Connection, Pool
from contracts.explanation import Calculation, Explanation
from contracts.fields import Title
from contracts.money import Money
from contracts.setting import Book
from tollkeeper.views.base import Row, View, amounts_of, money, not_found, require_known, snapshot


class Document(View):
    """An invoice or credit note, gross where nothing else is said.

    `payable`, `retained`, `withheld` and `disputed` are what an invoice claims today; `paid`,
    `credited` and `written_off` what is settled of it. `status` is derived from them: OPEN,
    PARTLY_SETTLED, OVERDUE, DISPUTED, WITHHELD, SETTLED, CREDITED or WRITTEN_OFF.
    """

    number: str
    document: str
    purpose: str
    engagement: str
    contract: str
    book: Book
    issued_on: date
    due_on: date
    net: Money
    tax: Money
    gross: Money
    payable: Money
    retained: Money
    withheld: Money
    disputed: Money
    paid: Money
    credited: Money
    written_off: Money
    status: str | None
    corrects: str | None
    delivered_at: datetime | None


class DocumentLine(View):
    """One line, net, with its part of the tax, the line that it corrects and its reasons."""

    line: int
    claim: str
    fee: str
    clause: str
    title: Title
    net: Money
    tax: Money
    tax_code: str
    tax_rate: str
    corrects: str | None
    explanation: Explanation


class DocumentTax(View):
    """The tax of one code and rate; `net` is what is taxed."""

    code: str
    rate: str
    net: Money
    tax: Money
    calculation: Calculation


class Delivery(View):
    """What the receiving system answered."""

    url: str
    sha256: str
    status: int
    attempt: int
    received_at: datetime


class DocumentDetail(Document):
    """A document with its lines, its tax, what was not payable at issue and the receipt of its export."""

    lines: tuple[DocumentLine, ...]
    taxes: tuple[DocumentTax, ...]
    retained_at_issue: Money
    withheld_at_issue: Money
    advance: Money
    delivery: Delivery | None


async def invoices(pool: Pool, engagement_id: str | None = None) -> list[Document]:
    """The invoices and credit notes of one engagement, or all, by date and number.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await require_known(connection, engagement_id)
        chosen = "where $1::text is null or i.engagement_id = $1 order by issued_on, number"
        rows = await connection.fetch(f"{DOCUMENTS} {chosen}", engagement_id)
    return [Document(**_document(row)) for row in rows]


async def invoice(pool: Pool, number: str) -> DocumentDetail:
    """One invoice or credit note, whole.

    Raises:
        NotFound: no such number.
    """
    async with snapshot(pool) as connection:
        row = await connection.fetchrow(f"{DOCUMENTS} where i.number = $1", number)
        if row is None:
            raise await not_found(connection, number, "the number of a document", NUMBERS)
        lines = await lines_of(connection, number, row["currency"])
        taxes = await taxes_of(connection, number, row["currency"])
        receipt = await connection.fetchrow(
            "select url, sha256, status, attempt, received_at from delivery_receipt where key = $1",
            number,
        )
    return DocumentDetail(
        **_document(row) | amounts_of(row, "retained_at_issue", "withheld_at_issue", "advance"),
        lines=tuple(lines),
        taxes=tuple(taxes),
        delivery=Delivery(**dict(receipt)) if receipt else None,
    )


DOCUMENTS = """
    select i.number, i.document, i.purpose, i.key, i.engagement_id, i.contract_id, i.contract_version,
           i.book, i.issued_on, i.due_on, i.currency, i.net_minor, i.tax_minor, i.gross_minor,
           i.retained_minor as retained_at_issue_minor, i.withheld_minor as withheld_at_issue_minor,
           i.advance_minor, i.corrects, o.delivered_at,
           coalesce(s.open_minor, 0) as payable_minor,
           coalesce(s.retained_minor, 0) as retained_minor,
           coalesce(s.withheld_minor, 0) as withheld_minor,
           coalesce(s.disputed_minor, 0) as disputed_minor,
           coalesce(s.paid_minor, 0) as paid_minor,
           coalesce(s.credited_minor, 0) as credited_minor,
           coalesce(s.written_off_minor, 0) as written_off_minor,
           status_on(
               s, (coalesce(e.clock_now, now()) at time zone (c.document->>'timezone'))::date
           ) as status
    from invoice i
    join engagement e using (engagement_id)
    join contract_version c on c.contract_id = i.contract_id and c.version = i.contract_version
    left join outbox o on o.key = i.number
    left join invoice_settlement s on s.number = i.number
"""


NUMBERS = "select number as name from invoice"


def _document(row: Row) -> dict[str, Any]:
    return {
        "number": row["number"],
        "document": row["document"],
        "purpose": row["purpose"],
        "engagement": row["engagement_id"],
        "contract": f"{row['contract_id']}@v{row['contract_version']}",
        "book": row["book"],
        "issued_on": row["issued_on"],
        "due_on": row["due_on"],
        **amounts_of(row, "net", "tax", "gross"),
        **amounts_of(row, "payable", "retained", "withheld", "disputed"),
        **amounts_of(row, "paid", "credited", "written_off"),
        "status": row["status"],
        "corrects": row["corrects"],
        "delivered_at": row["delivered_at"],
    }


async def lines_of(connection: Connection, number: str, currency: str) -> list[DocumentLine]:
    rows = await connection.fetch(
        """
        select *, corrects_number || '/' || corrects_line as corrects
        from invoice_line where number = $1 order by line
        """,
        number,
    )
    return [
        DocumentLine(
            line=row["line"],
            claim=row["claim"],
            fee=row["fee"],
            clause=row["clause"],
            title=Title.model_validate(row["title"]),
            net=money(row["net_minor"], currency),
            tax=money(row["tax_minor"], currency),
            tax_code=row["tax_code"],
            tax_rate=row["tax_rate"],
            corrects=row["corrects"],
            explanation=Explanation.model_validate(row["explanation"]),
        )
        for row in rows
    ]


async def taxes_of(connection: Connection, number: str, currency: str) -> list[DocumentTax]:
    """In the order in which its lines have them."""
    rows = await connection.fetch(
        """
        select t.* from invoice_tax t join invoice_line l using (number, tax_code, tax_rate)
        where number = $1 group by t.number, t.tax_code, t.tax_rate order by min(l.line)
        """,
        number,
    )
    return [
        DocumentTax(
            code=row["tax_code"],
            rate=row["tax_rate"],
            net=money(row["net_minor"], currency),
            tax=money(row["tax_minor"], currency),
            calculation=Calculation.model_validate(row["explanation"]),
        )
        for row in rows
    ]
