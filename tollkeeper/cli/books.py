"""`tollkeeper period` and the commands of `ledger` about the whole: seal, verify, reverse."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from cyclopts import App

from activities.closing import Books
from activities.postgres import Pool
from contracts.setting import Book
from lifecycle.orders.approvals import Requested
from lifecycle.orders.books import AskReversal, ClosePeriod, PeriodClosed
from tollkeeper.checkpoints import checkpoints_in, compare, seal_books
from tollkeeper.cli.common import (
    Asked,
    Moment,
    at_the_desk,
    booked,
    in_the_records,
    instruction,
    settings,
    told,
    well_formed,
)
from tollkeeper.cli.screen import TABLES, Output, dump, err, out, table, when
from tollkeeper.office import Office
from tollkeeper.signing import signer_of
from tollkeeper.verify import Verification
from tollkeeper.verify import verify as verify_ledger
from tollkeeper.views.books import periods

period = App(name="period")


@period.command
def close(
    entity: str,
    month: str,
    /,
    *,
    by: str,
    book: Book = Book.LIVE,
    at: Moment | None = None,
    output: Output = TABLES,
) -> None:
    """Close a month, and everything before it, for good, and seal the journal.

    What happens later and belongs to a closed month is booked, and dated, on the first open day.

    Parameters
    ----------
    entity
        The seller, as its contracts name it: the first part of its invoice numbers.
    month
        2025-03, say. It must be over.
    by
        One of the seller's people in its contracts.
    book
        The sandbox has periods of its own.
    at
        When it is closed; now, unless said.
    """
    with well_formed():
        order = ClosePeriod(
            key=f"books.{book.value}.{entity}.{month}:close",
            at=at or datetime.now(UTC),
            by=by,
            book=book,
            entity=entity,
            month=month,
        )
    given = settings()

    async def closing(pool: Pool) -> PeriodClosed:
        closed = await Books(pool).close_period(order)
        await seal_books(pool, given.checkpoints_folder(), signer_of(given.data))
        return closed

    closed = in_the_records(closing)
    if output.json:
        return dump(closed)
    out.print(
        f"{closed.entity}: everything up to the end of {closed.month} is closed; "
        f"{closed.sealed} groups of the {book.value} book are sealed"
    )


@period.command(name="list")
def list_periods(entity: str | None = None, /, *, output: Output = TABLES) -> None:
    """Every month with postings: how many groups, open or closed, by whom and when.

    Parameters
    ----------
    entity
        Of this seller alone.
    """
    rows = in_the_records(lambda pool: periods(pool, entity))
    if output.json:
        return dump(rows)
    table(
        "Periods",
        ["book", "entity", "month", "groups>", "state", "closed by", "closed at, UTC"],
        [
            (
                row.book.value, row.entity, row.month, row.groups,
                "closed" if row.closed_at else "open", row.closed_by, when(row.closed_at),
            )
            for row in rows
        ],
    )  # fmt: skip


def seal(*, output: Output = TABLES) -> None:
    """Chain every journal group that is not sealed yet, and write a signed checkpoint of each book.

    A worker does so every minute.
    """
    given = settings()
    signer, folder = signer_of(given.data), given.checkpoints_folder()
    heads = in_the_records(lambda pool: seal_books(pool, folder, signer))
    if output.json:
        return dump(
            [{"book": head.book.value, "groups": head.seq, "hash": head.hash} for head in heads]
        )
    table(
        f"Sealed; checkpoints in {folder}",
        ["book", "groups>", "hash of the last"],
        [(head.book.value, head.seq, head.hash) for head in heads],
    )


def verify(
    *,
    checkpoints: Path | None = None,
    signed_by: str | None = None,
    output: Output = TABLES,
) -> None:
    """Check every invariant of the books; exit 1 and name the place where one is broken.

    Parameters
    ----------
    checkpoints
        A folder with checkpoints to compare the journal with; the one they are written to, unless
        said.
    signed_by
        The fingerprint of the key that signed them; of our own key, unless said.
    """

    async def checked(pool: Pool) -> Verification:
        result = await verify_ledger(pool)
        given = settings()
        folder = checkpoints or given.checkpoints_folder()
        if checkpoints is None and not checkpoints_in(folder):
            err.print(f"no checkpoints in {folder}: compared with nothing outside the database")
            return result
        fingerprint = signed_by or signer_of(given.data).fingerprint
        compared = await compare(pool, folder, fingerprint)
        return Verification(checks=(*result.checks, compared))

    result = in_the_records(checked)
    if output.json:
        dump(result)
    else:
        table(
            "Invariants",
            ["check", "rule", "looked at>", "result"],
            [
                (check.title, check.rule, check.checked, "ok" if check.ok else "BROKEN")
                for check in result.checks
            ],
        )
        for check in result.checks:
            for violation in check.violations:
                err.print(f"[red]{check.id}[/]: {violation}")
    if not result.ok:
        sys.exit(1)


def reverse(
    engagement: str,
    group: str,
    /,
    *,
    request: str,
    reason: str,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Ask for the exact mirror of a journal group; it is posted when others have approved it.

    Parameters
    ----------
    engagement
        Its engagement, whose contract says who approves; for a receipt, one with its customer.
    group
        The key of the group, as `explain` prints it.
    request
        An id for the request, such as RQ7.
    reason
        What was wrong.
    """

    async def asking(office: Office) -> Requested:
        key = f"eng.{engagement}.request.{request}"
        order = AskReversal(
            **await instruction(office, engagement, asked, key), group=group, reason=reason
        )
        return await booked(office, order)

    told(at_the_desk(asking), output)
