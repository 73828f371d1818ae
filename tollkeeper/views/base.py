"""What every view stands on: one snapshot of the database, amounts, contracts, what is not there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import asyncpg
from pydantic import BaseModel, ConfigDict

from activities.postgres import Connection, Pool, transaction
from contracts.contract import Contract
from contracts.errors import NotFound
from contracts.money import Money

Row = asyncpg.Record


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, defer_build=True)


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction that writes nothing and sees one state of the database."""
    async with transaction(pool) as connection:
        await connection.execute("set transaction isolation level repeatable read, read only")
        yield connection


def money(minor: int | Decimal, currency: str) -> Money:
    """An amount as the database has it; sums come as decimals."""
    return Money(int(minor), currency)


def amounts_of(row: Row, *names: str) -> dict[str, Money]:
    return {name: money(row[f"{name}_minor"], row["currency"]) for name in names}


ENGAGEMENTS = "select engagement_id as name from engagement"


async def contract_of(connection: Connection, engagement_id: str) -> Contract:
    """The contract version that an engagement runs under.

    Raises:
        NotFound: no such engagement.
    """
    document = await connection.fetchval(
        """
        select c.document from engagement e join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        where e.engagement_id = $1
        """,
        engagement_id,
    )
    if document is None:
        raise await not_found(connection, engagement_id, "an engagement", ENGAGEMENTS)
    return Contract.model_validate(document)


async def currency_of(pool: Pool, engagement_id: str) -> str:
    """The currency of an engagement's contract.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await require_known(connection, engagement_id)
        return (await contract_of(connection, engagement_id)).currency


async def timezone_of(pool: Pool, engagement_id: str) -> str:
    """The time zone of an engagement's contract.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        return (await contract_of(connection, engagement_id)).timezone


async def require_known(connection: Connection, engagement_id: str | None) -> None:
    known = "select 1 from engagement where engagement_id = $1"
    if engagement_id is not None and not await connection.fetchval(known, engagement_id):
        raise await not_found(connection, engagement_id, "an engagement", ENGAGEMENTS)


async def not_found(connection: Connection, found: str, expected: str, names: str) -> NotFound:
    """The refusal, with the existing names that stand next to it in the alphabet."""
    rows = await connection.fetch(
        f"""
        with names as ({names})
        (select name from names where name < $1 order by name desc limit 2)
        union all
        (select name from names where name >= $1 order by name limit 2)
        order by name
        """,
        found,
    )
    nearest = ", ".join(row["name"] for row in rows) or "none exists yet"
    return NotFound(f"found {found!r}, expected {expected}; nearest: {nearest}")
