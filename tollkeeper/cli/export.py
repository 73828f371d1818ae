"""`tollkeeper export`: what waits to leave, sending it again, and whether both sides have the same."""

import sys
from pathlib import Path
from typing import Annotated

import httpx
from cyclopts import App, Parameter

from activities.export.delivery import other_side
from activities.export.http import read_page
from activities.export.port import Endpoint, Listed
from activities.postgres import Pool
from contracts.errors import TermsError
from contracts.setting import Book
from tollkeeper.cli.common import at_the_desk, in_the_records, settings
from tollkeeper.cli.screen import TABLES, Output, dump, out, table, when
from tollkeeper.office import Office
from tollkeeper.relay import deliver_again
from tollkeeper.settings import FOR_FINANCE, Settings
from tollkeeper.views import export as views

app = App(name="export")


@app.command(name="list")
def list_(*, book: Book = Book.LIVE, output: Output = TABLES) -> None:
    """The messages without a receipt: since when each waits, and the last refusal.

    Parameters
    ----------
    book
        Of this book.
    """
    rows = in_the_records(lambda pool: views.pending(pool, book))
    if output.json:
        return dump(rows)
    table(
        f"Waiting to leave, {book} book",
        ["message", "kind", "engagement", "since, UTC", "state", "last refusal"],
        [
            (row.key, row.kind, row.engagement, when(row.since), row.state.value, _refusal(row))
            for row in rows
        ],
    )


def _refusal(row: views.Pending) -> str | None:
    return f"{when(row.refused_at)}  {row.refusal}" if row.refusal else None


@app.command
def retry(
    key: str | None = None,
    /,
    *,
    all: bool = False,
    book: Book = Book.LIVE,
    output: Output = TABLES,
) -> None:
    """Start a delivery again, for as long as the first time. Sending twice does no harm.

    Parameters
    ----------
    key
        The message, as `export list` names it; failed, or on its way and not to wait any longer.
    all
        Every failed delivery of the book.
    book
        The book, for --all.
    """
    if (key is None) != all:
        raise TermsError("expected one of KEY and --all")

    async def again(office: Office) -> list[str]:
        keys = [key] if key is not None else await views.failed(office.pool, book)
        for each in keys:
            await deliver_again(office.client, office.pool, each)
        return keys

    started = at_the_desk(again)
    if output.json:
        return dump({"started": started})
    for each in started:
        out.print(f"started again: {each}", markup=False)


@app.command
def reconcile(
    *,
    source: Annotated[str | None, Parameter(name="--from")] = None,
    book: Book = Book.LIVE,
    output: Output = TABLES,
) -> None:
    """Compare the documents the other side has with ours; exit 1 where they differ.

    Parameters
    ----------
    source
        A URL, a folder, or a file with a listing; the receiver of the book, unless said.
    book
        The book.
    """
    ours_to = settings()

    async def compared(pool: Pool) -> views.Reconciliation:
        where, theirs = await _theirs(ours_to, source, book)
        return views.reconcile(book, where, theirs, await views.ours(pool, book))

    found = in_the_records(compared)
    if output.json:
        dump(found)
    else:
        _show(found)
    if not found.agrees:
        sys.exit(1)


async def _theirs(ours_to: Settings, source: str | None, book: Book) -> tuple[str, list[Listed]]:
    """Where the other side's documents were found, and they."""
    path = Path(source) if source and "://" not in source else None
    if path and path.is_file():
        page = read_page(path.read_text(encoding="utf-8"), str(path))
        if page.next is not None:
            raise TermsError(f"{path}: found a next page, expected the whole listing in one file")
        return str(path), list(page.documents)
    endpoint = _endpoint(ours_to, path.absolute().as_uri() if path else source, book)
    async with httpx.AsyncClient() as client:
        return endpoint.url, await other_side(endpoint, client).documents()


def _endpoint(ours_to: Settings, url: str | None, book: Book) -> Endpoint:
    if url is not None:
        return Endpoint(url, ours_to.secrets(book))
    endpoint = ours_to.receivers().get((book.value, FOR_FINANCE[0]))
    if endpoint is None:
        raise TermsError(f"found no receiver of the {book} book in the settings, expected --from")
    return endpoint


def _show(found: views.Reconciliation) -> None:
    table(
        f"{found.source} and the {found.book} book",
        ["document", "", "theirs>", "gross>", "ours>", "gross>", "difference>"],
        [
            (
                row.document, row.currency, row.documents_theirs, row.theirs, row.documents_ours,
                row.ours, row.difference,
            )
            for row in found.totals
        ],
    )  # fmt: skip
    if found.differences:
        out.print()
        table(
            "Differences",
            ["number", "document", "theirs>", "ours>", "difference>", "", "found", "our delivery"],
            [_row(row) for row in found.differences],
        )
    out.print("The two sides agree." if found.agrees else "The two sides do NOT agree.")


def _row(row: views.Difference) -> tuple[object, ...]:
    amount = row.ours or row.theirs
    return (
        row.number, row.document, row.theirs, row.ours, row.difference,
        amount.currency if amount else None, row.finding.value,
        row.state.value if row.state else None,
    )  # fmt: skip
