"""One pool, and the one write path: guard, rows and effect key in one transaction."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, TypeAlias

import asyncpg

from contracts.difference import told_apart
from contracts.errors import KeyReused, TransitionError, Unavailable
from contracts.fields import canonical
from lifecycle.orders import A, Answer, Order

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

COMMAND_SECONDS = 15.0
UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # A session that the server ended, where its last word is read before its connection is gone.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InvalidAuthorizationSpecificationError,
)


async def connect(dsn: str, size: int = 10) -> Pool:
    """A pool whose connections read and write JSON as Python values.

    Raises:
        Unavailable: no database answers at that address.
    """
    with _unavailable():
        pool = await asyncpg.create_pool(
            dsn, min_size=0, max_size=size, command_timeout=COMMAND_SECONDS, init=_prepare
        )
        async with pool.acquire(timeout=COMMAND_SECONDS):
            return pool


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """One transaction; a lost connection becomes `Unavailable`, which is retried."""
    with _unavailable():
        async with pool.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            yield connection


async def once(pool: Pool, order: Order[A], effect: Callable[[Connection], Awaitable[A]]) -> A:
    """Carry out an order exactly once: its key and its rows commit together; again, the same answer.

    Raises:
        KeyReused: the key stands for a different order; it tells which, whose, and what differs.
        TransitionError: another order, under its own key, did what can be done once.
    """
    try:
        return await _once(pool, order, effect)
    except asyncpg.UniqueViolationError as taken:
        raise TransitionError(
            f"{order.key}: found it done by another order ({taken.table_name}: {taken.detail}), "
            "expected it to be still undone"
        ) from taken


async def _once(pool: Pool, order: Order[A], effect: Callable[[Connection], Awaitable[A]]) -> A:
    content = order.content()
    async with transaction(pool) as connection:
        # Whoever comes second waits here until the first has committed.
        await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", order.key)
        row = await connection.fetchrow(
            "select digest, result from effect where key = $1", order.key
        )
        if row is not None:
            if row["digest"] != _digest(content):
                raise await _reused(connection, order)
            return order.answer().model_validate(row["result"])
        answer = await effect(connection)
        if answer.final():
            await write_effect(connection, order, order.activity(), content, answer)
        return answer


async def write_effect(
    connection: Connection, order: Order[Any], kind: str, content: str, answer: Answer
) -> None:
    """Put an effect on record, with what it answered; the order's key is taken from here on.

    The processes of its engagement, if it has one, are still to be told.

    Args:
        kind: what was done, such as `open_dispute`.
        content: what was ordered, as a JSON object, for whoever comes with other content.
    """
    await connection.execute(
        """
        with written as (
            insert into effect
                (key, digest, kind, actor, occurred_at, content, result, engagement_id)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
        )
        insert into news (engagement_id) select $8 where $8 <> ''
        """,
        order.key,
        _digest(content),
        kind,
        order.by,
        order.at,
        content,
        answer.model_dump(mode="json"),
        order.engagement_id,
    )


async def _reused(connection: Connection, order: Order[Any]) -> KeyReused:
    row = await connection.fetchrow(
        """
        select f.kind, f.actor, f.content, z.zone,
               to_char(f.occurred_at at time zone z.zone, 'YYYY-MM-DD HH24:MI') as at,
               to_char(f.booked_at at time zone z.zone, 'YYYY-MM-DD HH24:MI') as booked
        from effect f
        left join engagement e using (engagement_id)
        left join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        cross join lateral (select coalesce(c.document->>'timezone', 'UTC') as zone) z
        where f.key = $1
        """,
        order.key,
    )
    assert row is not None
    there = {"order": _words(row["kind"])} | json.loads(row["content"])
    given = {"order": _words(order.activity())} | json.loads(order.content())
    return KeyReused(
        f"{order.key}: found other content than on record ({there['order']} by {row['actor']} at "
        f"{row['at']}, booked {row['booked']} {row['zone']}): {told_apart(there, given)}; "
        "expected the same, or another id"
    )


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _digest(content: str) -> str:
    return sha256(content.encode()).hexdigest()


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec(
        "jsonb", encoder=canonical, decoder=json.loads, schema="pg_catalog"
    )


class _unavailable:
    """Turns whatever says "no database" into `Unavailable`."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, UNREACHABLE):
            raise Unavailable(f"the database does not answer: {error}") from error
