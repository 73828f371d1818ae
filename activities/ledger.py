"""Posting to the ledger: one journal group, its digest, its lines."""

from hashlib import sha256

from activities.agreement import Agreement
from activities.postgres import Connection
from contracts.fields import canonical
from lifecycle.ledger import Group
from lifecycle.orders import A, Order


async def post(connection: Connection, order: Order[A], terms: Agreement, group: Group) -> None:
    """Write a journal group. Its key is the order's key and its E-number."""
    group_id = await connection.fetchval(
        """
        insert into journal_group
            (key, effect_key, code, engagement_id, book, occurred_at, effective_on, digest)
        values ($1, $2, $3, $4, $5, $6, $7, $8) returning id
        """,
        f"{order.key}:{group.code}",
        order.key,
        group.code,
        order.engagement_id,
        terms.book,
        order.at,
        terms.local_date(order.at),
        digest(group),
    )
    await connection.executemany(
        """
        insert into posting (group_id, line, account, side, amount_minor, currency, fee, hold, invoice)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
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
            )
            for line, posting in enumerate(group.postings, start=1)
        ],
    )


def digest(group: Group) -> str:
    """SHA-256 over the postings of a group, for finding one that was altered."""
    return sha256(canonical(group).encode()).hexdigest()
