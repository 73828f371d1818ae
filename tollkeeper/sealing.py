"""Beside the worker: every minute the journal is sealed, and a signed checkpoint leaves the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from activities.postgres import Pool
from tollkeeper.checkpoints import seal_books
from tollkeeper.signing import signer_of

SECONDS = 60.0

log = structlog.get_logger()


@asynccontextmanager
async def sealing(pool: Pool, data: Path, checkpoints: Path) -> AsyncIterator[None]:
    """Seal until the block ends; outages are waited out, a rewritten journal is told each time.

    Args:
        data: the folder with the signing key.
    """
    task = asyncio.create_task(_sealing(pool, data, checkpoints))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sealing(pool: Pool, data: Path, checkpoints: Path) -> None:
    while True:
        try:
            await seal_books(pool, checkpoints, signer_of(data))
        except Exception as broken:  # whatever it is, sealing must not end with it
            log.warning("the journal is not sealed", reason=repr(broken))
        await asyncio.sleep(SECONDS)
