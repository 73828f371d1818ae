"""An office: its desk, and the way to its records, for which nothing else has to be loaded."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.postgres import Pool, connect
from contracts.errors import Unavailable
from tollkeeper.database import migrate
from tollkeeper.embedded import Addresses, Embedded, running
from tollkeeper.settings import Settings

# Temporal's SDK loads for longer than most commands that read the records take.
if TYPE_CHECKING:
    from temporalio.client import Client

    from tollkeeper.desk import Desk


@dataclass(frozen=True)
class Office:
    """A desk with its records; addresses are None where nothing of it is ours."""

    pool: Pool
    client: "Client"
    desk: "Desk"
    addresses: Addresses
    status: str | None = None
    sdk_metrics: str | None = None


@asynccontextmanager
async def records(settings: Settings) -> AsyncIterator[Pool]:
    """The database alone; one that is embedded and at rest is started for the occasion.

    Raises:
        Unavailable: there is none.
    """
    async with AsyncExitStack() as stack:
        dsn = settings.dsn
        if dsn is None:
            note = running(settings.data)
            dsn = note.dsn if note else None
        if dsn is None:
            if not settings.data.exists():
                raise Unavailable(nothing_runs(settings))
            embedded = Embedded(settings.data, temporal=False)
            dsn = (await stack.enter_async_context(embedded)).dsn
            assert dsn
            await migrate(dsn)
        yield await opened(stack, dsn)


async def opened(stack: AsyncExitStack, dsn: str) -> Pool:
    """The database at that address, until the stack unwinds."""
    pool = await connect(dsn)
    stack.push_async_callback(pool.close)
    return pool


def nothing_runs(settings: Settings) -> str:
    return (
        f"nothing runs in {settings.data}: start `tollkeeper up` in another terminal, or set "
        "TOLLKEEPER_DSN and TOLLKEEPER_TEMPORAL"
    )
