"""Signed checkpoints of the journal's chain, in a folder outside the database.

Whoever can write to the database can rewrite its journal, every digest and the whole chain; the
checkpoints that were signed before, and copies of them, still say what it was.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict

from activities.books.seals import Head, seal
from activities.postgres import Connection, Pool, transaction
from contracts.errors import NotFound, TransitionError
from contracts.fields import canonical
from contracts.setting import Book
from tollkeeper.signing import Signer
from tollkeeper.verify.core import Check
from tollkeeper.views.base import snapshot

READ_ONLY = 0o444


class Link(NamedTuple):
    """One place of the chain, as the database has it."""

    hash: str
    key: str


class Checkpoint(BaseModel):
    """The head of a chain at one time: `seq` groups were sealed, the last one with this hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    book: Book
    seq: int
    hash: str
    sealed_at: datetime

    @property
    def name(self) -> str:
        return f"{self.book.value}-{self.seq:012}.json"


class SignedCheckpoint(BaseModel):
    """A checkpoint with the Ed25519 signature over its canonical text; key and signature in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: Checkpoint
    public_key: str
    signature: str

    @property
    def fingerprint(self) -> str:
        return f"sha256:{sha256(bytes.fromhex(self.public_key)).hexdigest()}"

    def require_signature(self) -> None:
        """Refuse what the key did not sign.

        Raises:
            ValueError: the signature is not of this text.
        """
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
        try:
            key.verify(bytes.fromhex(self.signature), canonical(self.checkpoint).encode())
        except InvalidSignature:
            raise ValueError("found a signature of something else") from None


async def seal_books(pool: Pool, folder: Path, signer: Signer) -> list[Head]:
    """Seal every book and leave a checkpoint of each.

    Raises:
        TransitionError: a checkpoint of the same place says otherwise: the journal was rewritten.
    """
    heads = []
    for book in Book:
        async with transaction(pool) as connection:
            heads.append(await seal(connection, book))
    for head in heads:
        leave(folder, head, signer)
    return heads


def leave(folder: Path, head: Head, signer: Signer) -> None:
    """Write the checkpoint of a head; one that is there stays, and must say the same.

    Raises:
        TransitionError: it says otherwise.
    """
    if head.sealed_at is None:
        return
    checkpoint = Checkpoint(book=head.book, seq=head.seq, hash=head.hash, sealed_at=head.sealed_at)
    path = folder / checkpoint.name
    if not path.exists():
        signature = signer.sign(canonical(checkpoint).encode())
        _write(
            path,
            SignedCheckpoint(
                checkpoint=checkpoint,
                public_key=signer.public_key.hex(),
                signature=signature.hex(),
            ),
        )
    kept = _read(path).checkpoint
    if kept.hash != checkpoint.hash:
        raise TransitionError(
            f"{path}: found hash {kept.hash} of group {kept.seq} signed, expected "
            f"{checkpoint.hash}, as the journal has it; the journal was rewritten"
        )


def _write(path: Path, signed: SignedCheckpoint) -> None:
    """Whole or not at all; of two that write one at a time, the first stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".draft") as draft:
        draft.write(f"{signed.model_dump_json(indent=2)}\n".encode())
        draft.flush()
        os.fsync(draft.fileno())
        os.chmod(draft.fileno(), READ_ONLY)
        try:
            os.link(draft.name, path)
        except FileExistsError:
            return


def _read(path: Path) -> SignedCheckpoint:
    return SignedCheckpoint.model_validate_json(path.read_bytes())


def checkpoints_in(folder: Path) -> list[Path]:
    """The files of all checkpoints, oldest first within a book."""
    return sorted(folder.glob("*.json"))


async def compare(pool: Pool, folder: Path, fingerprint: str) -> Check:
    """Compare the chain with every checkpoint in a folder, oldest first.

    Args:
        fingerprint: of the key that signed them, known from elsewhere.

    Raises:
        NotFound: there is no checkpoint in that folder.
    """
    paths = checkpoints_in(folder)
    if not paths:
        raise NotFound(f"found no checkpoint in {folder}, expected those that sealing left")
    signed, violations = [], []
    for path in paths:
        try:
            signed.append(_trusted(path, fingerprint))
        except ValueError as wrong:
            why = str(wrong).partition("\n")[0]
            violations.append(f"{path.name}: {why}, expected one signed by {fingerprint}")
    async with snapshot(pool) as connection:
        for book in Book:
            chain = await _chain(connection, book, [at.seq for at in signed if at.book == book])
            violations += _first_difference([at for at in signed if at.book == book], chain)
    return Check(
        id="checkpoints-match",
        rule="c.5-15",
        title="The chain is what was signed: nothing is rewritten, nothing is cut off",
        checked=len(paths),
        violations=tuple(violations),
    )


def _trusted(path: Path, fingerprint: str) -> Checkpoint:
    """A checkpoint that was signed with that key.

    Raises:
        ValueError: it cannot be read, has another name, or another signature.
    """
    signed = _read(path)
    signed.require_signature()
    if signed.fingerprint != fingerprint:
        raise ValueError(f"found a checkpoint signed by {signed.fingerprint}")
    if signed.checkpoint.name != path.name:
        raise ValueError(f"found the checkpoint {signed.checkpoint.name} under this name")
    return signed.checkpoint


async def _chain(connection: Connection, book: Book, places: list[int]) -> dict[int, Link]:
    """The links at some places of a chain."""
    rows = await connection.fetch(
        """
        select s.seq, s.hash, coalesce(g.key, 'a group that is gone') as key
        from journal_seal s left join journal_group g on g.id = s.group_id
        where s.book = $1 and s.seq = any($2::bigint[])
        """,
        book,
        places,
    )
    return {row["seq"]: Link(row["hash"], row["key"]) for row in rows}


def _first_difference(signed: Sequence[Checkpoint], chain: dict[int, Link]) -> Iterator[str]:
    """Where the chain first differs from what was signed; after it, it differs everywhere."""
    agreed = 0
    for at in sorted(signed, key=lambda each: each.seq):
        found = chain.get(at.seq)
        if found is None:
            yield (
                f"{at.name}: found no group {at.seq} in the chain, expected hash {at.hash}, sealed "
                f"at {at.sealed_at.isoformat()}; groups after {agreed} were cut off"
            )
            return
        if found.hash != at.hash:
            yield (
                f"{at.name}: found hash {found.hash} of group {at.seq} ({found.key}), expected "
                f"{at.hash}, sealed at {at.sealed_at.isoformat()}; groups {agreed + 1} to {at.seq} "
                "were rewritten, one or more of them"
            )
            return
        agreed = at.seq
