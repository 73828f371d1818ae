"""Holds as people read them, each with its buckets."""

from datetime import datetime

from activities.postgres import Connection, Pool
from contracts.commercial import HoldEffect, HoldKind
from contracts.money import Money
from contracts.setting import Book
from lifecycle.hold import HoldState
from tollkeeper.views.base import Row, View, amounts_of, require_known, snapshot


class HoldBalance(View):
    """The buckets of a hold, net. Always: placed == held + released + forfeited."""

    id: str
    engagement: str
    timezone: str
    """Of the contract."""
    book: Book
    clause: str
    kind: HoldKind
    effect: HoldEffect
    fee: str
    bet: str | None
    milestone: str | None
    invoice: str | None
    on: str
    """What it is about: a bet, a milestone, an invoice line, or all of a fee."""
    state: HoldState
    disputed: bool
    due_at: datetime | None
    reason: str
    placed: Money
    held: Money
    reserved: Money
    released: Money
    forfeited: Money


async def holds(pool: Pool, engagement_id: str | None = None) -> list[HoldBalance]:
    """The holds of one engagement, or all.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await require_known(connection, engagement_id)
        return await holds_of(connection, engagement_id)


async def holds_of(connection: Connection, engagement_id: str | None) -> list[HoldBalance]:
    """The holds of one engagement, or all, in a snapshot that sees more."""
    rows = await connection.fetch(
        """
        select h.*, e.book, c.document->>'timezone' as timezone
        from hold_balance h join engagement e using (engagement_id)
        join contract_version c on c.contract_id = e.contract_id and c.version = e.contract_version
        where $1::text is null or engagement_id = $1 order by hold_id
        """,
        engagement_id,
    )
    return [_hold(row) for row in rows]


def _hold(row: Row) -> HoldBalance:
    return HoldBalance(
        id=row["hold_id"],
        engagement=row["engagement_id"],
        timezone=row["timezone"],
        book=row["book"],
        clause=row["clause"],
        kind=row["kind"],
        effect=row["effect"],
        fee=row["fee"],
        bet=row["bet"],
        milestone=row["milestone"],
        invoice=row["invoice"],
        on=row["bet"] or row["milestone"] or _line_or_fee(row),
        state=row["state"],
        disputed=row["disputed_at"] is not None,
        due_at=row["due_at"],
        reason=row["reason"],
        **amounts_of(row, "placed", "held", "reserved", "released", "forfeited"),
    )


def _line_or_fee(row: Row) -> str:
    return f"{row['invoice']}/{row['invoice_line']}" if row["invoice_line"] else str(row["fee"])
