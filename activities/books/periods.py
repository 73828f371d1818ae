"""The day a posting or a document counts for: the business day, or the first open one after it."""

from datetime import date

from activities.postgres import Connection
from contracts.setting import Book
from lifecycle.books import open_day_after


async def open_day(connection: Connection, entity: str, book: Book, day: date) -> date:
    """The day itself, or the first one after the closed periods of that seller in that book.

    No period of the seller is closed from here on until this transaction ends.
    """
    closed = await connection.fetchval("select closed_through($1, $2)", book, entity)
    return open_day_after(day, closed)
