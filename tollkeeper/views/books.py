"""What the faces read about the books as a whole: periods, open and closed."""

from datetime import date, datetime

from activities.postgres import Pool
from contracts.setting import Book
from lifecycle.books import Month
from tollkeeper.views.base import View, snapshot


class Period(View):
    """A month of a legal entity with what is booked in it; `closed_at` is empty while it is open."""

    book: Book
    entity: str
    month: str
    groups: int
    closed_by: str | None
    closed_at: datetime | None


async def periods(pool: Pool, entity: str | None = None) -> list[Period]:
    """Every month with postings, and every month that was closed, oldest first.

    Closing a month closes all before it: those carry the close of the first month that covers them.
    """
    async with snapshot(pool) as connection:
        rows = await connection.fetch(
            """
            select month.book, month.entity, month.first_day, month.groups,
                   c.closed_by, c.closed_at
            from (
                select book, entity, first_day, sum(groups)::bigint as groups
                from (
                    select book, entity, date_trunc('month', effective_on)::date as first_day,
                           count(*) as groups
                    from journal_group group by 1, 2, 3
                    union all
                    select book, entity, month, 0 from period_close
                ) counted
                group by book, entity, first_day
            ) month
            left join lateral (
                select closed_by, closed_at from period_close c
                where c.book = month.book and c.entity = month.entity
                  and c.month >= month.first_day
                order by c.month limit 1
            ) c on true
            where $1::text is null or month.entity = $1
            order by month.book, month.entity, month.first_day
            """,
            entity,
        )
    return [_period(row["first_day"], dict(row)) for row in rows]


def _period(first_day: date, row: dict[str, object]) -> Period:
    return Period.model_validate(row | {"month": str(Month(first_day))})
