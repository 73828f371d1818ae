"""The pieces put together: an office at work, with or without servers of its own."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from activities.export.port import Receivers
from activities.postgres import Pool
from tollkeeper.database import migrate
from tollkeeper.desk import Desk
from tollkeeper.embedded import Addresses, Embedded
from tollkeeper.exporter import Exporter
from tollkeeper.office import Office, opened
from tollkeeper.sealing import sealing
from tollkeeper.settings import Settings
from tollkeeper.telemetry import telemetry
from tollkeeper.views.engagements import engagements
from tollkeeper.visit import addresses_of, connected
from tollkeeper.worker import working

Told = Callable[[str], None]


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
        dsn, temporal = addresses_of(settings)
        yield await _at_work(stack, settings, receivers, dsn, temporal, Addresses(), _untold)


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
    pool = await opened(stack, dsn)
    told("bringing the database up to date")
    await migrate(dsn)
    sdk_metrics = f"127.0.0.1:{settings.sdk_metrics_port or _free_port()}"
    client = await connected(settings, temporal, telemetry(sdk_metrics))
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


async def _status(pool: Pool) -> object:
    return [row.model_dump(mode="json") for row in await engagements(pool)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
