"""A system that takes messages as files in a folder: one file a message, whole or not there."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote
from uuid import uuid4

from activities.export.port import HAD, TAKEN, Listed, Message, Taken
from contracts.difference import told_apart
from contracts.errors import KeyReused, Unavailable

GROUP_READS = 0o640
SUFFIX = ".json"
AMOUNT_OF = {"invoice": "gross", "credit_note": "gross", "release": "payable"}
"""Which field of a kind of message is its amount; kinds without one are no documents."""


@dataclass(frozen=True)
class InFolder:
    """The folder is never made here: on a share that is not mounted, files would go astray."""

    folder: Path

    async def take(self, message: Message) -> Taken:
        """As the port says; readers see the whole file or none."""
        return await asyncio.to_thread(self._take, message)

    async def documents(self) -> list[Listed]:
        """As the port says; a file that is no document any more is listed without amount."""
        return await asyncio.to_thread(lambda: list(self._documents()))

    def _take(self, message: Message) -> Taken:
        path = self.folder / file_name(message)
        with _reachable(str(message)):
            fresh = _place(path, message.body)
            if not fresh and (there := path.read_bytes()) != message.body:
                raise _reused(message, path, there)
            _settle(self.folder)
        return Taken(path.as_uri(), TAKEN if fresh else HAD)

    def _documents(self) -> Iterator[Listed]:
        with _reachable("the listing"):
            for path in sorted(self.folder.iterdir()):
                kind, dash, key = path.name.removesuffix(SUFFIX).partition("-")
                if dash and path.suffix == SUFFIX and kind in AMOUNT_OF:
                    yield _listed(kind, unquote(key), path.read_bytes())


def _reused(message: Message, path: Path, there: bytes) -> KeyReused:
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return KeyReused(
        f"{message}: found other content in {path} (sha256 {sha256(there).hexdigest()}, written "
        f"{written:%Y-%m-%d %H:%M} UTC){_told_apart(there, message.body)}; expected sha256 "
        f"{message.sha256}"
    )


def _told_apart(there: bytes, given: bytes) -> str:
    """What a file says otherwise, if it is a document at all."""
    try:
        found, ours = json.loads(there), json.loads(given)
    except ValueError:
        return ""
    if not isinstance(found, dict):
        return ""
    return f": {told_apart(found, {name: ours[name] for name in found if name in ours})}"


def file_name(message: Message) -> str:
    """One name a key, on every file system: what is no letter, digit or `-_.~` is `%` and hex."""
    return f"{message.kind}-{quote(message.key, safe='')}{SUFFIX}"


def _place(path: Path, content: bytes) -> bool:
    """Write a file under a passing name, then link it in place; False if something is there."""
    draft = path.with_name(f".{uuid4().hex}.part")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, GROUP_READS), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A rename would replace what another has put there in this very moment.
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    return True


def _settle(folder: Path) -> None:
    """Have the names in the folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _listed(kind: str, number: str, content: bytes) -> Listed:
    digest = sha256(content).hexdigest()
    try:
        said = json.loads(content)
        gross, currency = said[AMOUNT_OF[kind]], said["currency"]
    except (ValueError, LookupError, TypeError):
        gross, currency = "", ""
    return Listed(
        number=number, document=kind, gross=str(gross), currency=str(currency), sha256=digest
    )


@contextmanager
def _reachable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as broken:
        raise Unavailable(f"{name}: the folder cannot be used: {broken}") from broken
