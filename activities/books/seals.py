"""The chain of hashes over the journal of a book: each group sealed once, in the order of sealing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from activities.postgres import Connection
from contracts.setting import Book
from lifecycle.books import NOTHING_BEFORE, Content, link

BATCH = 2_000

GROUP = (
    "id", "key", "effect_key", "code", "book", "entity", "engagement_id", "customer", "occurred_at",
    "effective_on", "booked_at", "digest", "reverses",
)  # fmt: skip
POSTING = ("line", "account", "side", "amount_minor", "currency", "fee", "hold", "invoice", "item")
"""What a hash covers, in this order: every column of a journal group and of its postings."""

POSTINGS = """
    select coalesce(jsonb_agg(to_jsonb(p) order by p.line), '[]')
    from posting p where p.group_id = g.id
"""


@dataclass(frozen=True)
class Head:
    """The last link of a chain; `seq` is how many groups are sealed."""

    book: Book
    seq: int
    hash: str
    sealed_at: datetime | None


async def seal(connection: Connection, book: Book) -> Head:
    """Chain every group of a book that is committed and not sealed yet.

    A group whose transaction is still open is sealed the next time, after groups with a higher id:
    the chain is in the order of sealing, so none is skipped.
    """
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended('seal.' || $1::text, 3))", book
    )
    head = await head_of(connection, book)
    while rows := await _unsealed(connection, book):
        links, previous = [], head.hash
        for seq, row in enumerate(rows, start=head.seq + 1):
            hash = link(previous, content(row))
            links.append((book, seq, row["id"], previous, hash))
            previous = hash
        await connection.executemany(
            "insert into journal_seal (book, seq, group_id, previous, hash) values ($1, $2, $3, $4, $5)",
            links,
        )
        head = await head_of(connection, book)
    return head


async def head_of(connection: Connection, book: Book) -> Head:
    """The last link of a book's chain; of a chain without any, the one that it starts from."""
    row = await connection.fetchrow(
        "select seq, hash, sealed_at from journal_seal where book = $1 order by seq desc limit 1",
        book,
    )
    if row is None:
        return Head(book, 0, NOTHING_BEFORE, None)
    return Head(book, row["seq"], row["hash"], row["sealed_at"])


async def _unsealed(connection: Connection, book: Book) -> list[Any]:
    return await connection.fetch(
        f"""
        select g.*, ({POSTINGS}) as postings
        from journal_group g
        where g.book = $1 and not exists (select from journal_seal s where s.group_id = g.id)
        order by g.id limit $2
        """,
        book,
        BATCH,
    )


def content(row: Mapping[str, Any]) -> Content:
    """What the hash of a group covers: the group and its postings, whole."""
    postings = [[posting[name] for name in POSTING] for posting in row["postings"]]
    return [*(_plain(row[name]) for name in GROUP), postings]


def _plain(value: object) -> Content:
    match value:
        case None | int() | str():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case date():
            return value.isoformat()
    raise TypeError(f"found {value!r}, expected a value that a hash covers")
