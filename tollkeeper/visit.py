"""A visit to the desk of an office that runs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import Runtime

from contracts.errors import Unavailable
from tollkeeper.desk import Desk
from tollkeeper.embedded import Addresses, running
from tollkeeper.office import Office, nothing_runs, opened
from tollkeeper.settings import Settings


@asynccontextmanager
async def visit(settings: Settings) -> AsyncIterator[Office]:
    """The desk of an office that runs.

    Raises:
        Unavailable: nothing runs there.
    """
    async with AsyncExitStack() as stack:
        dsn, temporal = addresses_of(settings)
        pool = await opened(stack, dsn)
        client = await connected(settings, temporal)
        yield Office(pool, client, Desk(client, pool), Addresses())


def addresses_of(settings: Settings) -> tuple[str, str]:
    """Of the database and of Temporal: those that are set, or of the servers that run in the folder.

    Raises:
        Unavailable: nothing runs there.
    """
    note = running(settings.data)
    dsn = settings.dsn or (note.dsn if note else None)
    temporal = settings.temporal or (note.temporal if note else None)
    if dsn is None or temporal is None:
        raise Unavailable(nothing_runs(settings))
    return dsn, temporal


async def connected(settings: Settings, address: str, runtime: Runtime | None = None) -> Client:
    """Temporal at that address.

    Args:
        runtime: the SDK's, where its metrics are kept; not for a visit.

    Raises:
        Unavailable: nothing answers there.
    """
    try:
        return await Client.connect(
            address,
            namespace=settings.temporal_namespace,
            data_converter=pydantic_data_converter,
            runtime=runtime,
        )
    except RuntimeError as down:
        raise Unavailable(f"no Temporal server answers at {address}: {down}") from down
