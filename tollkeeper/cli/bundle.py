"""`tollkeeper bundle` and `signing-key`: what the other side recomputes, and whose signature it has."""

from pathlib import Path

from contracts.errors import TermsError
from tollkeeper.bundle import bundle as made
from tollkeeper.cli.common import in_the_records, settings
from tollkeeper.cli.screen import TABLES, Output, dump, out
from tollkeeper.signing import signer_of


def bundle(engagement: str, /, *, to: Path, output: Output = TABLES) -> None:
    """Write all that the other side needs to recompute every number of an engagement, signed.

    The same state gives the same bytes. The other side checks it with `tollkeeper-verify`.

    Parameters
    ----------
    engagement
        Its id.
    to
        The zip to write.
    """
    signer = signer_of(settings().data)
    content = in_the_records(lambda pool: made(pool, engagement, signer))
    try:
        to.write_bytes(content)
    except OSError as refused:
        raise TermsError(f"--to: found {to} ({refused.strerror}), expected a file") from refused
    if output.json:
        return dump({"file": str(to), "bytes": len(content), "fingerprint": signer.fingerprint})
    out.print(f"{to}: {len(content):,} bytes, signed by {signer.fingerprint}")


def signing_key(*, output: Output = TABLES) -> None:
    """Print the public key that bundles are signed with, and its fingerprint.

    Give the fingerprint to the other side once, by another way than the bundles take.
    """
    signer = signer_of(settings().data)
    if output.json:
        return dump({"fingerprint": signer.fingerprint, "public_key": signer.pem})
    out.print(f"{signer.pem}{signer.fingerprint}")
