"""What another system must be able to do for us: take a message, and list the documents it has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from pydantic import BaseModel, ConfigDict

from contracts.errors import TermsError
from contracts.fields import canonical

TAKEN, HAD = 201, 200
"""The status of a receipt: taken now, or had already."""


@dataclass(frozen=True)
class Message:
    """One message of the outbox; every attempt sends the same bytes."""

    key: str
    kind: str
    body: bytes

    @property
    def sha256(self) -> str:
        return sha256(self.body).hexdigest()

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


@dataclass(frozen=True)
class Taken:
    """What the other side gave for a message: where it is, a status as in HTTP, and its words."""

    where: str
    status: int
    words: str = ""


def message(key: str, kind: str, payload: object) -> Message:
    """A row of the outbox as it leaves: one text per payload, in UTF-8."""
    return Message(key, kind, canonical(payload).encode())


class Listed(BaseModel):
    """A document or release as the other side has it; `gross` is text, in major units.

    `sha256` is of the message as it was handed over; a system that keeps no messages has none.
    """

    model_config = ConfigDict(frozen=True)

    number: str
    document: str
    gross: str
    currency: str
    sha256: str | None = None


class OtherSide(Protocol):
    """The port; over HTTP and in a folder it is the same to us."""

    async def take(self, message: Message) -> Taken:
        """Hand over a message; a second copy of it is dropped, there or here.

        Raises:
            Unavailable: not reached, or not able now; it is tried again.
            KeyReused: other content is there under the same key.
            TermsError: the content is refused for good.
        """

    async def documents(self) -> list[Listed]:
        """Everything that is there.

        Raises:
            Unavailable: not reached.
            TermsError: the answer is no listing.
        """


@dataclass(frozen=True)
class Endpoint:
    """Where messages go: a folder, or a URL with the secrets that sign for it.

    Always: what goes over HTTP has a secret.
    """

    url: str
    secrets: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        try:
            read_address(self.url)
        except ValueError as wrong:
            raise TermsError(str(wrong)) from wrong
        if self.folder is None and not self.secrets:
            raise TermsError(
                f"found no secret for {self.url}, expected one: nothing is sent unsigned"
            )

    @property
    def folder(self) -> Path | None:
        """The folder, where it is one."""
        parts = urlsplit(self.url)
        return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


Receivers: TypeAlias = Mapping[tuple[str, str], Endpoint]
"""Where each kind of message of each book goes: `("live", "invoice")` to an endpoint."""


def read_address(text: str) -> str:
    """The address of a receiver as it is set.

    Raises:
        ValueError: neither `https://` nor `file:///`, or with a password or fragment in it.
    """
    parts = urlsplit(text)
    match parts.scheme:
        case "file" if parts.netloc in ("", "localhost") and parts.path.strip("/"):
            return text
        case "https" | "http" if parts.hostname and not (parts.username or parts.fragment):
            if parts.scheme == "http" and not _stays_here(parts):
                raise ValueError(
                    f"found {text!r}, expected https: only to 127.0.0.1 documents may travel in "
                    "the clear"
                )
            return text
    raise ValueError(
        f"found {text!r}, expected https://HOST/PATH or file:///FOLDER, without user or fragment"
    )


def _stays_here(parts: SplitResult) -> bool:
    if parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
