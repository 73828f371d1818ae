"""The data folder: one holder at a time, and a note that says where its servers answer."""

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from contracts.errors import Unavailable
from tollkeeper.embedded.child import STOP

HOLDER = "lock"
SERVERS = "servers.lock"
NOTE = "running.json"


class AlreadyRunning(Unavailable):
    """Another process holds the data folder."""

    def __init__(self, path: Path, pids: Sequence[int]) -> None:
        holder = " or ".join(map(str, pids)) or "unknown"
        super().__init__(
            f"{path} is in use by process {holder}: stop it first, or choose another data folder"
        )
        self.path = path
        self.pids = pids


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the servers answer; None for one that was not started."""

    dsn: str | None = field(default=None, repr=False)  # it holds the password
    temporal: str | None = None
    temporal_ui: str | None = None


@dataclass(frozen=True, kw_only=True)
class Running(Addresses):
    """What the process that holds a data folder says about itself."""

    pid: int
    started_at: datetime


@dataclass(frozen=True)
class Folder:
    """A data folder held by this process.

    `servers` is an open, locked file that every server inherits: it stays locked while one of them
    lives, whatever became of their parent.
    """

    path: Path
    servers: int

    def remember(self, pid: int) -> None:
        """Write down a server, so that the next holder can stop it if this one cannot."""
        os.write(self.servers, f"{pid}\n".encode())


@asynccontextmanager
async def hold(path: Path) -> AsyncIterator[Folder]:
    """Hold the data folder alone; made with mode 0700 if it does not exist, else left as it is.

    Raises:
        AlreadyRunning: another process holds it, or a server left behind by one does not stop.
    """
    _make(path)
    with _opened(path / HOLDER) as holder, _opened(path / SERVERS) as servers:
        # Not at once: `running` looks at a lock by taking it for a moment.
        if not await _locked(holder, seconds=0.5):
            raise AlreadyRunning(path, _pids(path / HOLDER))
        _rewrite(holder, f"{os.getpid()}\n")
        (path / NOTE).unlink(missing_ok=True)
        await _outlast(path, servers)
        _rewrite(servers, "")
        yield Folder(path, servers)


@contextmanager
def announced(folder: Folder, addresses: Addresses) -> Iterator[None]:
    """Let other processes find the servers, by `running`, until the context ends."""
    note, draft = folder.path / NOTE, folder.path / f"{NOTE}.new"
    me = Running(pid=os.getpid(), started_at=datetime.now(UTC), **asdict(addresses))
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(me), default=str, indent=2) + "\n")
    draft.rename(note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def running(path: Path) -> Running | None:
    """Where the servers of a data folder answer; None if nobody holds it, or not all answer yet."""
    try:
        with open(path / HOLDER) as holder:
            fcntl.flock(holder, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pass
    try:
        note = json.loads((path / NOTE).read_text())
    except FileNotFoundError:
        return None
    return Running(**note | {"started_at": datetime.fromisoformat(note["started_at"])})


def works_in(pid: int, path: Path) -> bool:
    """Whether a process lives, a zombie does not, with its working folder in `path`."""
    if sys.platform == "linux":
        try:
            return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(path)
        except OSError:
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


async def _outlast(path: Path, servers: int) -> None:
    """Wait for the servers of a holder that was killed; those that stay are stopped."""
    if await _locked(servers, seconds=5):
        return
    pids = _pids(path / SERVERS)
    for signum, seconds in ((STOP, 15), (signal.SIGKILL, 5)):
        for pid in pids:
            if works_in(pid, path):
                with suppress(ProcessLookupError):
                    os.kill(pid, signum)
        if await _locked(servers, seconds):
            return
    raise AlreadyRunning(path, pids)


def _make(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


async def _locked(fd: int, seconds: float) -> bool:
    """Lock the file; False if another still has it after so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.05)


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _rewrite(fd: int, text: str) -> None:
    os.ftruncate(fd, 0)
    os.write(fd, text.encode())


def _pids(file: Path) -> list[int]:
    return [int(pid) for pid in file.read_text().split()]
