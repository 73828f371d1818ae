"""A worker that kills itself, as `kill -9` would, before or after one step of its processes."""

import asyncio
import multiprocessing
import os
import signal
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.postgres import connect
from tollkeeper.worker import working


@dataclass(frozen=True)
class Crash:
    """Where the worker dies: before an order is carried out, or when its effect has committed.

    `order` is the end of the order's key. The worker dies when so many engagements have come there.
    """

    order: str
    committed: bool
    engagements: int

    def __str__(self) -> str:
        return f"{'after' if self.committed else 'before'} {self.order}"


class Killer(Interceptor):
    """Stops each engagement at the point of the crash, and dies with the last."""

    def __init__(self, crash: Crash) -> None:
        self.crash = crash
        self.stopped = 0

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _KillerInbound(next, self)

    async def stop(self) -> None:
        self.stopped += 1
        if self.stopped == self.crash.engagements:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.Event().wait()


class _KillerInbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, killer: Killer) -> None:
        super().__init__(next)
        self.killer = killer

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        [order] = input.args
        crash, here = self.killer.crash, order.key.endswith(self.killer.crash.order)
        if here and not crash.committed:
            await self.killer.stop()
        answer = await super().execute_activity(input)
        if here and crash.committed:
            await self.killer.stop()
        return answer


def work(dsn: str, temporal: str, queue: str, crash: Crash) -> None:
    """Work until dead, or until whoever started this is."""
    asyncio.run(_work(dsn, temporal, queue, crash))


async def _work(dsn: str, temporal: str, queue: str, crash: Crash) -> None:
    client = await Client.connect(temporal, data_converter=pydantic_data_converter)
    pool = await connect(dsn)
    async with working(client, pool, {}, queue=queue, interceptors=[Killer(crash)]):
        starter = multiprocessing.parent_process()
        assert starter
        await asyncio.to_thread(starter.join)
