"""A process that carries out an order and kills itself, as `kill -9` would, before one of its calls."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from activities import decisions, postgres  # noqa: F401  # for what requests do once they are decided
from activities.export.port import Endpoint
from activities.postgres import Pool
from activities.receivables.refunds import Refunds, settle_refund
from lifecycle.orders.receivables import SendRefund, SettleRefund
from tollkeeper.checkpoints import seal_books
from tollkeeper.signing import signer_of

Act = Callable[[Pool], Awaitable[Any]]


class Mortal:
    """Counts what is asked of the database: statements, transactions begun and ended, connections reset."""

    def __init__(self, dies_before: int) -> None:
        self.left = dies_before

    def counted(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(asyncpg.Connection, name)

        async def asked(*args: Any, **named: Any) -> Any:
            # With values to fill in, `execute` goes on to `_execute`, which is counted.
            self.left -= not (name == "execute" and args[2:])
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
            return await call(*args, **named)

        return asked


def work(dsn: str, act: Act, dies_before: int) -> None:
    """Carry it out, and die before that many calls to the database."""
    mortal = Mortal(dies_before)
    for call in ("execute", "_execute", "_executemany"):
        setattr(asyncpg.Connection, call, mortal.counted(call))
    asyncio.run(alive(dsn, act))


async def alive(dsn: str, act: Act) -> Any:
    pool = await postgres.connect(dsn, 2)
    try:
        return await act(pool)
    finally:
        await pool.close()


async def activity(pool: Pool, of: type[Any], name: str, order: Any) -> Any:
    return await getattr(of(pool), name)(order)


async def function(
    pool: Pool, carry_out: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
) -> Any:
    return await carry_out(pool, *args)


async def refund(pool: Pool, provider: Endpoint, send: SendRefund) -> None:
    """Sent and settled, as its process does it."""
    async with httpx.AsyncClient() as client:
        said = await Refunds(pool, client, provider).send_refund(send)
    about = {"key": f"{send.refund}:{said.state}", "state": said.state, "evidence": said.evidence}
    settled = SettleRefund.model_validate(dict(send) | about)
    await settle_refund(pool, settled)


async def sealed(pool: Pool, data: Path) -> None:
    await seal_books(pool, data / "checkpoints", signer_of(data))
