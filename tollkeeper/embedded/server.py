"""A server as a child process: started, awaited, stopped; what it says goes to `<data>/log`."""

import asyncio
import socket
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from contracts.errors import Unavailable
from tollkeeper.embedded import child
from tollkeeper.embedded.folder import Folder

START_SECONDS = 120
"""Long, because PostgreSQL may have a crash to recover from."""
STOP_SECONDS = 30
TAIL_LINES = 12


class StartFailed(Unavailable):
    """An embedded server did not start; the message ends with what it said last."""


class PortTaken(StartFailed):
    """Somebody else took the port between our choice and the server's use of it."""


@dataclass(frozen=True)
class Server:
    """A child process and its log, which it shares with its predecessors."""

    name: str
    process: Process
    log: Path
    log_start: int

    async def finished(self) -> None:
        """Wait for a program that is no server.

        Raises:
            StartFailed: it ended with another code than 0.
        """
        if await self.process.wait() != 0:
            raise self._failure(f"ended with exit code {self.process.returncode}")

    async def answers(self, asked: Callable[[], Awaitable[bool]]) -> None:
        """Ask until the answer is yes.

        Raises:
            StartFailed: the server ended, or the answer is still no after START_SECONDS.
        """
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            yes = await asked()
            # First, since on a port that we failed to get another server might have answered.
            if self.process.returncode is not None:
                raise self._failure(f"ended with exit code {self.process.returncode}")
            if yes:
                return
            await asyncio.sleep(0.05)
        raise self._failure(f"did not answer within {START_SECONDS} s")

    async def stop(self) -> None:
        """Ask it to end, and insist after STOP_SECONDS."""
        with suppress(ProcessLookupError):
            self.process.send_signal(child.STOP)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def _failure(self, what: str) -> StartFailed:
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            said = log.read().decode(errors="replace")
        tail = "\n".join(said.splitlines()[-TAIL_LINES:])
        kind = PortTaken if "address already in use" in said.lower() else StartFailed
        return kind(f"{self.name} {what}; {self.log} ends with:\n{tail}")


@asynccontextmanager
async def spawned(
    folder: Folder,
    program: Path,
    *arguments: str,
    name: str,
    environment: Mapping[str, str] | None = None,
    owned: Path | None = None,
) -> AsyncIterator[Server]:
    """Run a program in the data folder; it is stopped when the context ends, or when we die.

    Args:
        environment: instead of our own.
        owned: the PostgreSQL cluster that the program works on, if it does.
    """
    with _appended(folder.path / "log" / f"{name}.log") as log:
        log_start = log.tell()
        process = await asyncio.create_subprocess_exec(
            *child.command(owned, program, *arguments),
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
            cwd=folder.path,
            env=environment,
            pass_fds=[folder.servers],
            # Ctrl-C in a terminal is for the parent alone; its servers leave when it has finished.
            start_new_session=True,
        )
        server = Server(name, process, Path(log.name), log_start)
    try:
        folder.remember(process.pid)
        yield server
    finally:
        await server.stop()


def free_ports(count: int) -> list[str]:
    """Ports of the loopback interface that nobody listens on at this moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


def _appended(file: Path) -> BinaryIO:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    return file.open("ab")
