"""`tollkeeper invoice print` and `decision print`: a document as a PDF, the same bytes every time."""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

from cyclopts import App

from activities.postgres import Pool
from contracts.errors import TermsError
from tollkeeper.cli.common import in_the_records, settings
from tollkeeper.cli.screen import TABLES, Output, dump, out
from tollkeeper.printing import stored
from tollkeeper.printing.model import Paper, PrintLanguage
from tollkeeper.printing.render import render

NO_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


decision = App(name="decision")


def print_document(
    number: str,
    /,
    *,
    language: PrintLanguage = PrintLanguage.BOTH,
    to: Path | None = None,
    output: Output = TABLES,
) -> None:
    """Print an invoice or credit note as a PDF.

    The same document gives the same bytes, whenever and wherever it is printed.

    Parameters
    ----------
    number
        Its number.
    language
        Of labels and names: one, or both beside each other.
    to
        The file to write; NUMBER.pdf, unless said.
    """
    _print(lambda pool: stored.document(pool, number), number, language, to, output)


@decision.command(name="print")
def print_decision(
    key: str,
    /,
    *,
    language: PrintLanguage = PrintLanguage.BOTH,
    to: Path | None = None,
    output: Output = TABLES,
) -> None:
    """Print the record of a release or a forfeiture as a PDF: who decided what, and why.

    The same record gives the same bytes, whenever and wherever it is printed.

    Parameters
    ----------
    key
        Its key, as `tollkeeper explain HOLD` shows it.
    language
        Of labels and names: one, or both beside each other.
    to
        The file to write; the key with .pdf, unless said.
    """
    _print(lambda pool: stored.decision(pool, key), key, language, to, output)


def _print(
    read: Callable[[Pool], Awaitable[Paper]],
    name: str,
    language: PrintLanguage,
    to: Path | None,
    output: Output,
) -> None:
    pdf = render(in_the_records(read), language, settings().fonts)
    file = to or Path(NO_FILE_NAME.sub("-", name) + ".pdf")
    try:
        file.write_bytes(pdf)
    except OSError as refused:
        raise TermsError(f"--to: found {file} ({refused.strerror}), expected a file") from refused
    digest = sha256(pdf).hexdigest()
    if output.json:
        return dump({"file": str(file), "bytes": len(pdf), "sha256": digest})
    out.print(f"wrote {file}", f"SHA-256 {digest}", sep="\n", markup=False)
