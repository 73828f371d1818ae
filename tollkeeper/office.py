"""The pieces put together: an office that runs everything, and a visit to one that runs."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import Runtime

from activities.export import Receivers
from activities.postgres import Pool, connect
from contracts.errors import Unavailable
from tollkeeper.database import migrate
from tollkeeper.desk import Desk
from tollkeeper.embedded import Addresses, Embedded, running
from tollkeeper.exporter import Exporter
from tollkeeper.queries import engagements
from tollkeeper.sealing import sealing
from tollkeeper.settings import Settings
from tollkeeper.telemetry import telemetry
from tollkeeper.worker import working

Told = Callable[[str], None]


@dataclass(frozen=True)
class Office:
    """A desk with its records; addresses are None where nothing of it is ours."""

    pool: Pool
    client: Client
    desk: Desk
    addresses: Addresses
    status: str | None = None
    sdk_metrics: str | None = None


@asynccontextmanager
async def whole_office(settings: Settings, told: Told) -> AsyncIterator[Office]:
    """Everything in one process: servers that no setting replaces, worker, relay, metrics.

    Args:
        told: is called with a line before each part that takes a moment.

    Raises:
        TermsError: a receiver would be sent to unsigned.
        Unavailable: a server does not start or answer.
    """
    receivers = settings.receivers()
    async with AsyncExitStack() as stack:
        own = Embedded(
            settings.data, postgres=settings.dsn is None, temporal=settings.temporal is None
        )
        if settings.dsn is None or settings.temporal is None:
            told(f"starting the servers in {settings.data}")
        addresses = await stack.enter_async_context(own)
        dsn = settings.dsn or addresses.dsn
        temporal = settings.temporal or addresses.temporal
        assert dsn
        assert temporal
        yield await _at_work(stack, settings, receivers, dsn, temporal, addresses, told)


@asynccontextmanager
async def worker_alone(settings: Settings) -> AsyncIterator[Office]:
    """A worker beside servers that run elsewhere.

    Raises:
        TermsError: a receiver would be sent to unsigned.
        Unavailable: one of them does not answer.
    """
    receivers = settings.receivers()
    async with AsyncExitStack() as stack:
        dsn, temporal = _addresses(settings)
        yield await _at_work(stack, settings, receivers, dsn, temporal, Addresses(), _untold)


@asynccontextmanager
async def visit(settings: Settings) -> AsyncIterator[Office]:
    """The desk of an office that runs.

    Raises:
        Unavailable: nothing runs there.
    """
    async with AsyncExitStack() as stack:
        dsn, temporal = _addresses(settings)
        pool = await _pool(stack, dsn)
        client = await _client(settings, temporal, None)
        yield Office(pool, client, Desk(client, pool), Addresses())


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
                raise Unavailable(_nothing(settings))
            embedded = Embedded(settings.data, temporal=False)
            dsn = (await stack.enter_async_context(embedded)).dsn
            assert dsn
            await migrate(dsn)
        yield await _pool(stack, dsn)


async def _at_work(
    stack: AsyncExitStack,
    settings: Settings,
    receivers: Receivers,
    dsn: str,
    temporal: str,
    addresses: Addresses,
    told: Told,
) -> Office:
    """A worker at these servers with its metrics, until the stack unwinds."""
    pool = await _pool(stack, dsn)
    told("bringing the database up to date")
    await migrate(dsn)
    sdk_metrics = f"127.0.0.1:{settings.sdk_metrics_port or _free_port()}"
    client = await _client(settings, temporal, telemetry(sdk_metrics))
    told("starting the worker")
    await stack.enter_async_context(
        working(client, pool, receivers, provider=settings.provider(), build_id=settings.build_id)
    )
    rounds = await stack.enter_async_context(
        sealing(pool, settings.data, settings.checkpoints_folder())
    )
    exporter = await stack.enter_async_context(
        Exporter(pool, lambda: _status(pool), rounds, port=settings.metrics_port)
    )
    return Office(pool, client, Desk(client, pool), addresses, exporter.address, sdk_metrics)


def _untold(_: str) -> None:
    """Nobody watches."""


def _addresses(settings: Settings) -> tuple[str, str]:
    note = running(settings.data)
    dsn = settings.dsn or (note.dsn if note else None)
    temporal = settings.temporal or (note.temporal if note else None)
    if dsn is None or temporal is None:
        raise Unavailable(_nothing(settings))
    return dsn, temporal


def _nothing(settings: Settings) -> str:
    return (
        f"nothing runs in {settings.data}: start `tollkeeper up` in another terminal, or set "
        "TOLLKEEPER_DSN and TOLLKEEPER_TEMPORAL"
    )


async def _pool(stack: AsyncExitStack, dsn: str) -> Pool:
    pool = await connect(dsn)
    stack.push_async_callback(pool.close)
    return pool


async def _client(settings: Settings, address: str, runtime: Runtime | None) -> Client:
    try:
        return await Client.connect(
            address,
            namespace=settings.temporal_namespace,
            data_converter=pydantic_data_converter,
            runtime=runtime,
        )
    except RuntimeError as down:
        raise Unavailable(f"no Temporal server answers at {address}: {down}") from down


async def _status(pool: Pool) -> object:
    return [row.model_dump(mode="json") for row in await engagements(pool)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
