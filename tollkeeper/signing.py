"""The key with which bundles are signed: Ed25519, made on first use, private to the data folder."""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from contracts.errors import TermsError

KEY = "bundle-signing.pem"
OTHERS = 0o077


@dataclass(frozen=True)
class Signer:
    """Signs with the private key; the other side knows the public one, or its fingerprint."""

    key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        return f"sha256:{sha256(self.public_key).hexdigest()}"

    @property
    def pem(self) -> str:
        """The public key as a file for the other side."""
        public = self.key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)


def signer_of(folder: Path) -> Signer:
    """The signer of a data folder; its key is made, with mode 0600, where there is none.

    Raises:
        TermsError: others may read the private key, or it is none.
    """
    path = folder / KEY
    if not path.exists():
        _make(path)
    if path.stat().st_mode & OTHERS:
        mode = f"{path.stat().st_mode & 0o777:04o}"
        raise TermsError(f"{path}: found mode {mode}, expected 0600, as it is a private key")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as unreadable:
        raise TermsError(f"{path}: found no private key, expected one in PEM") from unreadable
    if not isinstance(key, Ed25519PrivateKey):
        raise TermsError(f"{path}: found a key of another kind, expected Ed25519")
    return Signer(key)


def _make(path: Path) -> None:
    """Whole or not at all; of two that make one at a time, the first stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    # A temporary file is 0600 from the start.
    with NamedTemporaryFile(dir=path.parent, prefix=path.name) as draft:
        draft.write(pem)
        draft.flush()
        os.fsync(draft.fileno())
        try:
            os.link(draft.name, path)
        except FileExistsError:
            return
