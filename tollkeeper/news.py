"""From the books to the processes: whoever waits for news of an engagement is told, whoever dies.

An effect leaves a mark in its own transaction, and whoever has told the processes takes that mark
away, by its number: one that came meanwhile stays.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from activities.postgres import Pool, transaction
from tollkeeper.polling import OUTAGE_SECONDS, polling

POLL_SECONDS = 1.0
PATIENCE = timedelta(seconds=5)
"""The desk tells at once; older than this is what nobody told."""
BATCH = 100

log = structlog.get_logger()


async def telling(pool: Pool, tell: Callable[[str], Awaitable[None]]) -> None:
    """Have engagements told whose news is old, until cancelled; outages are waited out."""

    async def tell_late() -> None:
        for engagement_id in await _late(pool):
            await _tell_or_wait(engagement_id, tell)

    await polling(tell_late, POLL_SECONDS, "telling waits")


async def _tell_or_wait(engagement_id: str, tell: Callable[[str], Awaitable[None]]) -> None:
    """One engagement that cannot be told keeps the others waiting for a moment only."""
    try:
        await tell(engagement_id)
    except Exception as broken:
        log.warning("telling waits", engagement=engagement_id, reason=repr(broken))
        await asyncio.sleep(OUTAGE_SECONDS)


async def untold(pool: Pool, engagement_id: str) -> list[int]:
    """The numbers of what the processes of an engagement have not been told of yet."""
    async with transaction(pool) as connection:
        rows = await connection.fetch("select id from news where engagement_id = $1", engagement_id)
    return [row["id"] for row in rows]


async def told(pool: Pool, engagement_id: str, news: Sequence[int]) -> None:
    """Take away what they have been told of; who tells at the same time takes the rest."""
    if not news:
        return
    async with transaction(pool) as connection:
        await connection.execute(
            """
            delete from news where engagement_id = $1 and id in (
                select id from news where engagement_id = $1 and id = any($2::bigint[])
                for update skip locked
            )
            """,
            engagement_id,
            news,
        )


async def _late(pool: Pool) -> list[str]:
    async with transaction(pool) as connection:
        rows = await connection.fetch(
            """
            select engagement_id from news where booked_at < now() - $1::interval
            group by engagement_id order by min(id) limit $2
            """,
            PATIENCE,
            BATCH,
        )
    return [row["engagement_id"] for row in rows]
