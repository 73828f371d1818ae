"""What is owed and paid, as people read it: receipts, refunds, disputes, the age of what is open."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

from activities.postgres import Pool
from contracts.errors import NotFound
from contracts.money import Money
from contracts.setting import Book
from lifecycle.receivables import (
    UNKNOWN_CUSTOMER,
    Age,
    DisputeState,
    Due,
    Part,
    RefundState,
    age,
    still_due,
)
from tollkeeper.views.base import Row, View, money, snapshot


class ReceiptOnRecord(View):
    """Money that came in. Always, unless it bounced: amount == applied + refunded + left."""

    id: str
    book: Book
    seller: str
    received_on: date
    amount: Money
    payer: str
    text: str
    customer: str | None
    applied: tuple[Part, ...]
    refunded: Money
    left: Money
    reserved: Money
    """Of what is left, for refunds that are under way."""
    bounced: bool


class RefundOnRecord(View):
    """Credit on its way back to the customer."""

    id: str
    engagement: str
    book: Book
    customer: str
    source: str
    amount: Money
    pay_to: str
    reason: str
    state: RefundState
    since: datetime
    evidence: str | None


class DisputeOnRecord(View):
    """A part of an invoice that the client does not accept, gross."""

    id: str
    engagement: str
    book: Book
    invoice: str
    lines: tuple[int, ...]
    amount: Money
    upheld: Money
    reason: str
    raised_by: str
    raised_at: datetime
    state: DisputeState
    closed_by: str | None
    ruling: str | None
    document: str | None


class Ageing(View):
    """What one customer owes in one currency and book, gross, by how long it is overdue.

    What is disputed, withheld or retained is not overdue; `credit` is what is paid and not applied.
    """

    book: Book
    seller: str
    customer: str | None
    ages: dict[Age, Money]
    disputed: Money
    withheld: Money
    retained: Money
    credit: Money


RECEIPTS = """
    select r.*, c.customer, s.left_minor, s.applied, s.refunded_minor, s.reserved_minor, s.bounced
    from receipt r
    left join lateral (
        select customer from receipt_customer n where n.receipt_id = r.receipt_id
        order by id desc limit 1
    ) c on true
    cross join lateral (
        select coalesce(sum(case p.side when 'C' then p.amount_minor else -p.amount_minor end), 0)
                 ::bigint - f.refunded_minor as left_minor,
               coalesce(jsonb_agg(jsonb_build_array(p.invoice, p.amount_minor) order by g.id)
                        filter (where g.code = 'E08' and not g.undone), '[]') as applied,
               not bool_or(g.code = 'E07' and not g.undone) as bounced,
               f.refunded_minor, f.reserved_minor
        from posting p
        join lateral (
            select id, code, exists (select from journal_group x where x.reverses = o.id) as undone
            from journal_group o where o.id = p.group_id
        ) g on true
        cross join (
            select coalesce(sum(amount_minor) filter (where state = 'confirmed'), 0)::bigint
                       as refunded_minor,
                   coalesce(sum(amount_minor) filter (
                       where state in ('requested', 'approved', 'sent', 'unknown')), 0)::bigint
                       as reserved_minor
            from refund where source = r.receipt_id
        ) f
        where p.account = '2300' and p.item = r.receipt_id
        group by f.refunded_minor, f.reserved_minor
    ) s
"""


async def receipts(pool: Pool, *, unapplied: bool = False) -> list[ReceiptOnRecord]:
    """What came in, by day.

    Args:
        unapplied: only what is left of it, for a person to apply or pay back.
    """
    async with snapshot(pool) as connection:
        rows = await connection.fetch(
            f"{RECEIPTS} where not $1 or s.left_minor > 0 order by r.received_on, r.receipt_id",
            unapplied,
        )
    return [_receipt(row) for row in rows]


async def receipt(pool: Pool, receipt_id: str) -> ReceiptOnRecord:
    """One receipt.

    Raises:
        NotFound: no such receipt.
    """
    async with snapshot(pool) as connection:
        row = await connection.fetchrow(f"{RECEIPTS} where r.receipt_id = $1", receipt_id)
    if row is None:
        raise NotFound(
            f"found receipt {receipt_id!r}, expected one on record, such as SELLER/ACCOUNT/REFERENCE"
        )
    return _receipt(row)


def _receipt(row: Row) -> ReceiptOnRecord:
    currency = row["currency"]
    return ReceiptOnRecord(
        id=row["receipt_id"],
        **{name: row[name] for name in ("book", "seller", "received_on", "payer", "text")},
        customer=row["customer"],
        amount=money(row["amount_minor"], currency),
        applied=tuple(
            Part(invoice=invoice, amount=money(minor, currency))
            for invoice, minor in row["applied"]
        ),
        refunded=money(row["refunded_minor"], currency),
        left=money(row["left_minor"], currency),
        reserved=money(row["reserved_minor"], currency),
        bounced=row["bounced"],
    )


async def refunds(pool: Pool, engagement_id: str | None = None) -> list[RefundOnRecord]:
    """Every refund, of one engagement or of all, in the order they were asked for."""
    async with snapshot(pool) as connection:
        rows = await connection.fetch(
            """
            select * from refund where $1::text is null or engagement_id = $1
            order by requested_at, refund_id
            """,
            engagement_id,
        )
    same = ("book", "customer", "source", "pay_to", "reason", "state", "since", "evidence")
    return [
        RefundOnRecord(
            id=row["refund_id"],
            engagement=row["engagement_id"],
            amount=money(row["amount_minor"], row["currency"]),
            **{name: row[name] for name in same},
        )
        for row in rows
    ]


async def disputes(pool: Pool, engagement_id: str | None = None) -> list[DisputeOnRecord]:
    """Every dispute, of one engagement or of all, in the order they were raised."""
    async with snapshot(pool) as connection:
        rows = await connection.fetch(
            """
            select d.*, e.book from dispute d join engagement e using (engagement_id)
            where $1::text is null or engagement_id = $1 order by raised_at, dispute_id
            """,
            engagement_id,
        )
    same = (
        "book", "invoice", "lines", "reason", "raised_by", "raised_at", "state", "closed_by",
        "ruling", "document",
    )  # fmt: skip
    return [
        DisputeOnRecord(
            id=row["dispute_id"],
            engagement=row["engagement_id"],
            amount=money(row["amount_minor"], row["currency"]),
            upheld=money(row["upheld_minor"], row["currency"]),
            **{name: row[name] for name in same},
        )
        for row in rows
    ]


async def engagement_of(pool: Pool, number: str) -> str:
    """The engagement that an invoice belongs to.

    Raises:
        NotFound: no such invoice.
    """
    async with snapshot(pool) as connection:
        engagement: str | None = await connection.fetchval(
            "select engagement_id from invoice where number = $1 and document = 'invoice'", number
        )
    if engagement is None:
        raise NotFound(f"found {number!r}, expected the number of an invoice")
    return engagement


CLAIMS = """
    select i.book, p.seller, i.customer, i.currency, i.issued_on, i.due_on, p.*,
           coalesce($1, (coalesce(e.clock_now, now()) at time zone (c.document->>'timezone'))::date)
               as on_day
    from invoice i
    join engagement e using (engagement_id)
    join contract_version c
      on c.contract_id = e.contract_id and c.version = e.contract_version
    cross join lateral (
        select max(seller) as seller,
               coalesce(sum(minor) filter (where account = '1100'), 0)::bigint as open_minor,
               coalesce(sum(minor) filter (where account = '1110'), 0)::bigint as retained_minor,
               coalesce(sum(minor) filter (where account = '1120'), 0)::bigint as withheld_minor,
               coalesce(sum(minor) filter (where account = '1130'), 0)::bigint as disputed_minor,
               coalesce(jsonb_agg(jsonb_build_array(day::text, minor))
                        filter (where account = '1100' and code in ('E09', 'E11')), '[]') as released
        from (
            select q.account, g.code, g.entity as seller, g.effective_on as day,
                   case q.side when 'D' then q.amount_minor else -q.amount_minor end as minor
            from posting q join journal_group g on g.id = q.group_id
            where q.invoice = i.number and q.account in ('1100', '1110', '1120', '1130')
              and ($1::date is null or g.effective_on <= $1)
        ) moved
    ) p
    where i.document = 'invoice'
      and (p.open_minor, p.retained_minor, p.withheld_minor, p.disputed_minor) <> (0, 0, 0, 0)
"""

CREDIT = """
    select g.book, g.entity as seller, g.customer, p.currency,
           sum(case p.side when 'C' then p.amount_minor else -p.amount_minor end)::bigint as credit_minor
    from posting p join journal_group g on g.id = p.group_id
    where p.account = '2300' and ($1::date is null or g.effective_on <= $1)
    group by g.book, g.entity, g.customer, p.currency
    having sum(case p.side when 'C' then p.amount_minor else -p.amount_minor end) <> 0
"""

Key = tuple[str, str, str, str]
APART = ("disputed", "withheld", "retained", "credit")


async def ageing(pool: Pool, on: date | None = None) -> list[Ageing]:
    """What each customer owes, by book, customer and currency.

    Args:
        on: as the books stood at the end of that day; without it today, in the sandbox as far as
            each clock has come.
    """
    async with snapshot(pool) as connection:
        claims = await connection.fetch(CLAIMS, on)
        credits = await connection.fetch(CREDIT, on)
    ages: defaultdict[Key, defaultdict[Age, int]] = defaultdict(lambda: defaultdict(int))
    apart: defaultdict[Key, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in claims:
        for due in _dues(row):
            ages[_key(row)][age(due.due_on, row["on_day"])] += due.amount.minor
        for name in ("disputed", "withheld", "retained"):
            apart[_key(row)][name] += row[f"{name}_minor"]
    for row in credits:
        apart[_key(row)]["credit"] += row["credit_minor"]
    return [_ageing(key, ages[key], apart[key]) for key in sorted({*ages, *apart})]


def _dues(row: Row) -> list[Due]:
    """The open parts of a claim; what was released of it later has its own days to be paid."""
    days: timedelta = row["due_on"] - row["issued_on"]
    open = money(row["open_minor"], row["currency"])
    released = [
        Due(due_on=date.fromisoformat(day) + days, amount=money(minor, row["currency"]))
        for day, minor in row["released"]
    ]
    return still_due(open, [Due(due_on=row["due_on"], amount=open), *released])


def _key(row: Row) -> Key:
    return row["book"], row["seller"], row["customer"], row["currency"]


def _ageing(key: Key, ages: dict[Age, int], apart: dict[str, int]) -> Ageing:
    book, seller, customer, currency = key
    amounts: dict[str, Any] = {name: Money(apart.get(name, 0), currency) for name in APART}
    return Ageing(
        book=Book(book),
        seller=seller,
        customer=None if customer == UNKNOWN_CUSTOMER else customer,
        ages={each: Money(ages.get(each, 0), currency) for each in Age},
        **amounts,
    )
