"""Posting to the ledger: one journal group, its digest, its lines."""

from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from activities.agreement import Agreement
from activities.books.periods import open_day
from activities.postgres import Connection
from contracts.fields import canonical
from contracts.money import Money
from contracts.setting import Book
from lifecycle.ledger import Group, Posting
from lifecycle.orders import A, Order


@dataclass(frozen=True)
class Journal:
    """Where a group is posted: whose books, about which customer, on which local date.

    A day in a closed period counts on the first open day after it. Money of a customer that pays
    for no invoice yet belongs to no engagement.
    """

    book: Book
    entity: str
    customer: str
    day: date
    engagement_id: str | None = None


def posting_of(row: Any) -> Posting:
    """A posting from its row, or from the same as JSON."""
    return Posting(
        account=row["account"],
        side=row["side"],
        amount=Money(row["amount_minor"], row["currency"]),
        fee=row["fee"],
        hold=row["hold"],
        invoice=row["invoice"],
        item=row["item"],
    )


def journal(terms: Agreement, at: datetime) -> Journal:
    """The journal of an engagement, on the date in the contract's time zone."""
    parties = terms.contract.parties
    return Journal(
        book=terms.book,
        entity=parties.consultant.entity,
        customer=parties.client.entity,
        day=terms.local_date(at),
        engagement_id=terms.engagement_id,
    )


async def post(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    group: Group,
    *,
    part: str | None = None,
    reverses: int | None = None,
) -> str:
    """Write a journal group of an engagement: `post_to` its journal."""
    where = journal(terms, order.at)
    return await post_to(connection, order, where, group, part=part, reverses=reverses)


async def post_to(
    connection: Connection,
    order: Order[A],
    where: Journal,
    group: Group,
    *,
    part: str | None = None,
    reverses: int | None = None,
) -> str:
    """Write a journal group, and say its key, which is the order's key and its E-number.

    Args:
        part: tells groups apart where one order posts several of one E-number.
        reverses: id of the group that this one mirrors (E30).
    """
    key = ":".join(filter(None, (order.key, group.code, part)))
    group_id = await connection.fetchval(
        """
        insert into journal_group
            (key, effect_key, code, engagement_id, entity, customer, book, occurred_at,
             effective_on, digest, reverses)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning id
        """,
        key,
        order.key,
        group.code,
        where.engagement_id,
        where.entity,
        where.customer,
        where.book,
        order.at,
        await open_day(connection, where.entity, where.book, where.day),
        digest(group),
        reverses,
    )
    await connection.executemany(
        """
        insert into posting
            (group_id, line, account, side, amount_minor, currency, fee, hold, invoice, item)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        [
            (
                group_id,
                line,
                posting.account,
                posting.side,
                posting.amount.minor,
                posting.amount.currency,
                posting.fee,
                posting.hold,
                posting.invoice,
                posting.item,
            )
            for line, posting in enumerate(group.postings, start=1)
        ],
    )
    return key


def digest(group: Group) -> str:
    """SHA-256 over the postings of a group, for finding one that was altered."""
    return sha256(canonical(group).encode()).hexdigest()
