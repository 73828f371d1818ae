"""Beside the worker: every minute the journal is sealed, and a signed checkpoint leaves the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import time

import structlog

from activities.postgres import Pool
from tollkeeper.checkpoints import seal_books
from tollkeeper.signing import signer_of

SECONDS = 60.0

log = structlog.get_logger()


@dataclass
class Rounds:
    """How sealing goes in this process, for the exporter.

    `succeeded_at`: when every book was sealed and had its checkpoint, in seconds since 1970; 0 if never.
    """

    errors: int = 0
    succeeded_at: float = 0.0


@asynccontextmanager
async def sealing(pool: Pool, data: Path, checkpoints: Path) -> AsyncIterator[Rounds]:
    """Seal until the block ends; outages are waited out, a rewritten journal is told each time.

    Args:
        data: the folder with the signing key.
    """
    rounds = Rounds()
    task = asyncio.create_task(_sealing(pool, data, checkpoints, rounds))
    try:
        yield rounds
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sealing(pool: Pool, data: Path, checkpoints: Path, rounds: Rounds) -> None:
    while True:
        try:
            await seal_books(pool, checkpoints, signer_of(data))
            rounds.succeeded_at = time()
        except Exception as broken:  # whatever it is, sealing must not end with it
            rounds.errors += 1
            log.warning("the journal is not sealed", reason=repr(broken))
        await asyncio.sleep(SECONDS)
