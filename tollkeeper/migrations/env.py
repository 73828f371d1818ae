"""Alembic environment: one asyncpg connection, one transaction, one advisory lock."""

import asyncio

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

# Any constant will do, as long as all processes that migrate use the same.
LOCK = 7_240_113


def upgrade(connection: Connection) -> None:
    """Run the pending scripts; a second process waits, then finds nothing to do."""
    context.configure(connection=connection)
    with context.begin_transaction():
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.run_migrations()


async def online() -> None:
    dsn: str = context.config.attributes["dsn"]
    # asyncpg reads the DSN itself: SQLAlchemy knows fewer of its parameters.
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()


asyncio.run(online())
