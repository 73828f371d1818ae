"""The rows of requests: read and locked."""

import asyncpg

from activities.postgres import Connection
from contracts.errors import NotFound
from contracts.money import Money
from lifecycle.approval import Request


async def request_of(connection: Connection, engagement_id: str, request_id: str) -> Request:
    """A request, locked until the end of the transaction.

    Raises:
        NotFound: the engagement has no such request.
    """
    row = await connection.fetchrow(
        "select * from approval_request where request_id = $1 and engagement_id = $2 for update",
        request_id,
        engagement_id,
    )
    if row is None:
        raise NotFound(f"found request {request_id!r}, expected one of engagement {engagement_id}")
    signed = await connection.fetch(
        "select person from approval_signature where request_id = $1 order by signed_at, place",
        request_id,
    )
    return read_request(row, tuple(each["person"] for each in signed))


def read_request(row: asyncpg.Record, signed: tuple[str, ...]) -> Request:
    """A request as its row says."""
    names = Request.model_fields.keys() & dict(row).keys()
    return Request(
        **{name: row[name] for name in names},
        id=row["request_id"],
        amount=Money(row["amount_minor"], row["currency"]),
        signed=signed,
    )
