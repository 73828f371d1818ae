"""PostgreSQL and Temporal from pip wheels, in one data folder, as long as one process runs them.

On Linux the kernel stops the servers when the thread that started them ends, however it ends: enter
`Embedded` on the main thread. Elsewhere servers that outlive a killed parent are stopped by the
next holder of the folder.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from pathlib import Path
from typing import TypeVar

from tollkeeper.embedded.folder import Addresses, AlreadyRunning, Running, announced, hold, running
from tollkeeper.embedded.postgres import serve_postgres
from tollkeeper.embedded.server import PortTaken, StartFailed

__all__ = ["Addresses", "AlreadyRunning", "Embedded", "Running", "StartFailed", "running"]

T = TypeVar("T")

PORT_ATTEMPTS = 3


class Embedded:
    """The embedded servers, running inside `async with`.

    Args:
        data: the data folder; made (0700) if it does not exist.
        postgres: False where a DSN names another server.
        temporal: False where another server is used, or none is needed.
        ui: whether Temporal brings its web UI.
        dynamic_config: Temporal's, each `KEY=VALUE` with the value in JSON.

    Raises:
        AlreadyRunning: on entering, when another process holds the data folder.
        StartFailed: on entering, with the end of the server's log, or the folder that is not ours.
    """

    def __init__(
        self,
        data: Path,
        *,
        postgres: bool = True,
        temporal: bool = True,
        ui: bool = True,
        dynamic_config: Sequence[str] = (),
    ) -> None:
        self.data = data.resolve()
        self.postgres = postgres
        self.temporal = temporal
        self.ui = ui
        self.dynamic_config = dynamic_config
        self._entered = AsyncExitStack()

    async def __aenter__(self) -> Addresses:
        try:
            return await self._enter()
        except PermissionError as error:
            raise StartFailed(
                f"{error.filename}: {error.strerror}; expected a data folder of our own: run as "
                "the user who made it, or choose another"
            ) from error

    async def _enter(self) -> Addresses:
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(hold(self.data))
            dsn = address = web = None
            if self.postgres:
                dsn = await _entered(stack, lambda: serve_postgres(folder))
            if self.temporal:
                # Imported here: the SDK loads for longer than most of what reads the records takes.
                from tollkeeper.embedded.temporal import serve_temporal

                address, web = await _entered(
                    stack,
                    lambda: serve_temporal(folder, ui=self.ui, dynamic_config=self.dynamic_config),
                )
            addresses = Addresses(dsn=dsn, temporal=address, temporal_ui=web)
            stack.enter_context(announced(folder, addresses))
            self._entered = stack.pop_all()
        return addresses

    async def __aexit__(self, *_: object) -> None:
        await self._entered.aclose()


async def _entered(
    stack: AsyncExitStack, server: Callable[[], AbstractAsyncContextManager[T]]
) -> T:
    """Enter a server, anew with other ports as long as somebody takes ours first."""
    for _ in range(PORT_ATTEMPTS - 1):
        with suppress(PortTaken):
            return await stack.enter_async_context(server())
    return await stack.enter_async_context(server())
