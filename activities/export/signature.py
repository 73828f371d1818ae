"""Signatures as in Standard Webhooks 1.0: HMAC-SHA256 over id, timestamp and the exact bytes. Pure."""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets of one receiver, with blanks between them: while one is replaced, both sign.

    Raises:
        ValueError: one is too short, or written otherwise; none of it is repeated.
    """
    return tuple(map(_read_secret, text.split()))


def _read_secret(text: str) -> bytes:
    try:
        secret = b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or len(secret) not in SECRET_BYTES:
        raise ValueError(
            f"found a secret of {len(text)} characters that is none, expected {PREFIX} and the "
            "base64 of 24 to 64 random bytes"
        )
    return secret


def signed(
    secrets: Sequence[bytes], identity: str, timestamp: int, content: bytes
) -> dict[str, str]:
    """The three headers that prove who sent this content, and when.

    Args:
        identity: what the message is; the same at every attempt, without a `.`.
        timestamp: of this attempt, in seconds since 1970.
    """
    said = f"{identity}.{timestamp}.".encode() + content
    proofs = (b64encode(hmac.digest(secret, said, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{proof}" for proof in proofs),
    }
