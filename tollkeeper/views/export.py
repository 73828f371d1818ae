"""What leaves the house: which messages wait, and whether the other side has the documents we have."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import asyncpg
from pydantic import BaseModel, ConfigDict

from activities.export.port import Listed, message
from activities.postgres import Pool, transaction
from contracts.errors import NotFound
from contracts.money import MINOR_DIGITS, Money, parse_amount
from contracts.setting import Book
from workflows.delivery import PATIENCE


class State(StrEnum):
    """Where a message is. A delivery that had no success within its patience has failed."""

    NOT_STARTED = "not started"
    ON_ITS_WAY = "on its way"
    FAILED = "failed"
    DELIVERED = "delivered"


STATE = """
    case when o.delivered_at is not null then 'delivered'
         when o.failed_at is not null or o.started_at + $2 < now() then 'failed'
         when o.started_at is not null then 'on its way'
         else 'not started' end
"""


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True)


class Pending(View):
    """A message without a receipt: since when, and what the other side said last."""

    key: str
    kind: str
    engagement: str
    state: State
    since: datetime
    refused_at: datetime | None
    refusal: str | None


class Ours(View):
    """A document or release as we have it, with the SHA-256 of its message."""

    number: str
    document: str
    gross: Money
    sha256: str | None
    state: State


class Finding(StrEnum):
    """What may be wrong with a document; the first that holds is told."""

    MISSING_THERE = "missing there"
    MISSING_HERE = "missing here"
    TWICE = "there more than once"
    UNREADABLE = "there without an amount"
    DOCUMENT = "other kind of document"
    AMOUNT = "other amount"
    CONTENT = "other content"


class Difference(View):
    """One document on which the two sides differ; `state` is of our delivery.

    `difference` is theirs less ours, where a missing document counts as nothing.
    """

    number: str
    document: str
    finding: Finding
    theirs: Money | None
    ours: Money | None
    difference: Money | None
    state: State | None


class Total(View):
    """All documents of one kind and currency; `difference` is theirs less ours."""

    document: str
    currency: str
    theirs: Money
    ours: Money
    difference: Money
    documents_theirs: int
    documents_ours: int


class Reconciliation(View):
    """Two sides of one book; `agrees` when no document differs."""

    book: Book
    source: str
    agrees: bool
    totals: tuple[Total, ...]
    differences: tuple[Difference, ...]


async def pending(pool: Pool, book: Book) -> list[Pending]:
    """What waits, oldest first."""
    async with transaction(pool) as connection:
        rows = await connection.fetch(
            f"""
            select o.key, o.kind, o.engagement_id as engagement, {STATE} as state,
                   o.created_at as since, o.refused_at, o.refusal
            from outbox o where o.book = $1 and o.delivered_at is null order by o.id
            """,
            book,
            PATIENCE,
        )
    return [Pending(**dict(row)) for row in rows]


async def failed(pool: Pool, book: Book) -> list[str]:
    """The keys of the messages whose delivery has failed.

    Raises:
        NotFound: there is none.
    """
    keys = [row.key for row in await pending(pool, book) if row.state is State.FAILED]
    if not keys:
        raise NotFound(f"found no failed delivery in the {book} book, expected one")
    return keys


async def ours(pool: Pool, book: Book) -> list[Ours]:
    """Every document of the book, and every release of withheld money."""
    async with transaction(pool) as connection:
        rows = await connection.fetch(
            f"""
            with o as (select *, {STATE} as state from outbox o where book = $1)
            select i.number, i.document, i.currency::text, i.gross_minor, o.payload, o.state
            from invoice i left join o on o.key = i.number where i.book = $1
            union all
            select o.key, o.kind, o.payload->>'currency', null, o.payload, o.state
            from o where o.kind = 'release'
            order by 1
            """,
            book,
            PATIENCE,
        )
    return [_ours(row) for row in rows]


def _ours(row: asyncpg.Record) -> Ours:
    number, document, payload = row["number"], row["document"], row["payload"]
    if row["gross_minor"] is None:
        gross = parse_amount(payload["payable"], row["currency"])
    else:
        gross = Money(row["gross_minor"], row["currency"])
    return Ours(
        number=number,
        document=document,
        gross=gross,
        sha256=message(number, document, payload).sha256 if payload else None,
        state=row["state"] or State.NOT_STARTED,
    )


def reconcile(
    book: Book, source: str, theirs: Sequence[Listed], ours: Sequence[Ours]
) -> Reconciliation:
    """Compare document by document; an amount on either side that nobody can read counts as none."""
    here, there = {row.number: row for row in ours}, {row.number: row for row in theirs}
    copies = Counter(row.number for row in theirs)
    differences = tuple(
        _difference(number, finding, here.get(number), there.get(number))
        for number in sorted(here.keys() | there.keys())
        if (finding := _finding(here.get(number), there.get(number), copies[number]))
    )
    return Reconciliation(
        book=book,
        source=source,
        agrees=not differences,
        totals=tuple(_totals(theirs, ours)),
        differences=differences,
    )


def _difference(
    number: str, finding: Finding, mine: Ours | None, other: Listed | None
) -> Difference:
    named = mine or other
    assert named
    left, right = _gross(other), mine.gross if mine else None
    return Difference(
        number=number,
        document=named.document,
        finding=finding,
        theirs=left,
        ours=right,
        difference=_less(left, right),
        state=mine.state if mine else None,
    )


def _less(theirs: Money | None, ours: Money | None) -> Money | None:
    """Theirs less ours; None where neither has an amount, or in different currencies."""
    if theirs is None or ours is None:
        nothing = Money(0, ours.currency if ours else theirs.currency if theirs else "")
        return (theirs or nothing) - (ours or nothing) if theirs or ours else None
    return theirs - ours if theirs.currency == ours.currency else None


def _finding(mine: Ours | None, other: Listed | None, copies: int) -> Finding | None:
    if other is None:
        return Finding.MISSING_THERE
    if mine is None:
        return Finding.MISSING_HERE
    if copies > 1:
        return Finding.TWICE
    if (gross := _gross(other)) is None:
        return Finding.UNREADABLE
    if other.document != mine.document:
        return Finding.DOCUMENT
    if gross != mine.gross:
        return Finding.AMOUNT
    if other.sha256 is not None and other.sha256 != mine.sha256:
        return Finding.CONTENT
    return None


def _gross(listed: Listed | None) -> Money | None:
    """Their amount, where it is one."""
    if listed is None or listed.currency not in MINOR_DIGITS:
        return None
    try:
        return parse_amount(listed.gross, listed.currency)
    except ValueError:
        return None


def _totals(theirs: Iterable[Listed], ours: Iterable[Ours]) -> Iterable[Total]:
    there = [(row.document, gross) for row in theirs if (gross := _gross(row))]
    here = [(row.document, row.gross) for row in ours]
    for document, currency in sorted({(name, m.currency) for name, m in (*there, *here)}):
        left, right = (
            [money for name, money in side if (name, money.currency) == (document, currency)]
            for side in (there, here)
        )
        total_left, total_right = (sum(side, Money(0, currency)) for side in (left, right))
        yield Total(
            document=document,
            currency=currency,
            theirs=total_left,
            ours=total_right,
            difference=total_left - total_right,
            documents_theirs=len(left),
            documents_ours=len(right),
        )
