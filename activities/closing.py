"""The books as a whole: periods that close for good, and reversals that mirror one group once."""

from dataclasses import dataclass

from activities.agreement import Agreement, agreement
from activities.approvals import CarriedOut, ask, carries_out
from activities.books.journal import Journal, post_to, posting_of
from activities.books.seals import seal
from activities.postgres import Connection, Pool, once, transaction
from activities.receivables.receipts import source_of
from activities.timeline import happened
from contracts.commercial import Decision
from contracts.errors import KeyReused, NotAuthorised, NotFound, TransitionError
from contracts.events import EventType
from contracts.money import Money
from lifecycle.approval import Request
from lifecycle.books import Month, why_not_reversible
from lifecycle.ledger import Account, Group, Side, mirror
from lifecycle.orders import A, Order
from lifecycle.orders.approvals import Requested
from lifecycle.orders.books import AskReversal, ClosePeriod, PeriodClosed
from lifecycle.receivables import UNKNOWN_CUSTOMER


class Books:
    """What people order about the books as a whole."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def close_period(self, order: ClosePeriod) -> PeriodClosed:
        """Close a month of a legal entity, and everything before it, for good; seal the journal.

        The checks, in this order: the month is over, the entity has postings, the person is one of
        its people, no later month is closed, the trial balance is zero.

        Raises:
            TermsError: not a month.
            NotFound: the entity has no postings in that book.
            NotAuthorised: no contract names that person on the side of the entity.
            TransitionError: not over, closed already, or the books do not balance.
        """
        try:
            return await once(self.pool, order, lambda connection: _close(connection, order))
        except KeyReused:
            async with transaction(self.pool) as connection:
                await _require_person(connection, order)
                await _require_later(connection, order, Month.parse(order.month))
            raise

    async def ask_reversal(self, order: AskReversal) -> Requested:
        """Ask for the exact mirror of a journal group.

        Raises:
            NotFound: the engagement has no such group, nor its customer.
            TransitionError: it is corrected in another way, reversed already, or its money is used.
        """
        return await once(self.pool, order, lambda connection: _ask(connection, order))


async def _close(connection: Connection, order: ClosePeriod) -> PeriodClosed:
    month = Month.parse(order.month)
    if order.at.date() <= month.last_day:
        raise TransitionError(
            f"period {month} of {order.entity}: found it closed on {order.at.date()}, expected "
            f"a day after {month.last_day}, when it is over"
        )
    # Whoever posts for the entity has committed by now, or waits until this is committed.
    await connection.execute(
        "select pg_advisory_xact_lock(period_lock($1, $2))", order.book, order.entity
    )
    await _require_postings(connection, order)
    await _require_person(connection, order)
    await _require_later(connection, order, month)
    await _require_balance(connection, order)
    head = await seal(connection, order.book)
    await connection.execute(
        """
        insert into period_close (key, book, entity, month, closed_by, closed_at, sealed_seq)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        order.key,
        order.book,
        order.entity,
        month.first_day,
        order.by,
        order.at,
        head.seq,
    )
    return PeriodClosed(entity=order.entity, month=str(month), sealed=head.seq)


async def _require_postings(connection: Connection, order: ClosePeriod) -> None:
    rows = await connection.fetch(
        "select distinct entity from journal_group where book = $1 order by entity", order.book
    )
    entities = [row["entity"] for row in rows]
    if order.entity not in entities:
        raise NotFound(
            f"found no postings of {order.entity!r} in the {order.book.value} book, expected one of: "
            f"{', '.join(entities) or 'none, it is empty'}"
        )


async def _require_person(connection: Connection, order: ClosePeriod) -> None:
    rows = await connection.fetch(
        """
        select distinct person->>'id' as id
        from contract_version c,
             jsonb_array_elements(c.document->'parties'->'consultant'->'people') person
        where c.document->'parties'->'consultant'->>'entity' = $1 order by id
        """,
        order.entity,
    )
    people = [row["id"] for row in rows]
    if order.by not in people:
        raise NotAuthorised(
            f"found {order.by!r}, expected one of the people of {order.entity}: "
            f"{', '.join(people) or 'none, it is the seller of no contract'}"
        )


async def _require_later(connection: Connection, order: ClosePeriod, month: Month) -> None:
    """Refuse a month that is closed, by itself or with a later one."""
    closed = await connection.fetchrow(
        """
        select month, closed_by, closed_at from period_close
        where book = $1 and entity = $2 and month >= $3 order by month limit 1
        """,
        order.book,
        order.entity,
        month.first_day,
    )
    if closed is not None:
        with_it = Month(closed["month"])
        how = "closed" if with_it == month else f"closed with {with_it}"
        raise TransitionError(
            f"period {month} of {order.entity}: found it {how} by {closed['closed_by']} at "
            f"{closed['closed_at']:%Y-%m-%d %H:%M} UTC, expected a later month; a closed period "
            "stays closed, correct it in the next open one"
        )


async def _require_balance(connection: Connection, order: ClosePeriod) -> None:
    rows = await connection.fetch(
        """
        select a.ledger, p.currency,
               sum(case p.side when 'D' then p.amount_minor else -p.amount_minor end) as minor
        from posting p
        join journal_group g on g.id = p.group_id
        join account a on a.code = p.account
        where g.book = $1 and g.entity = $2
        group by a.ledger, p.currency
        having sum(case p.side when 'D' then p.amount_minor else -p.amount_minor end) <> 0
        """,
        order.book,
        order.entity,
    )
    for row in rows:
        raise TransitionError(
            f"the {row['ledger']} ledger of {order.entity}: found a trial balance of "
            f"{Money(int(row['minor']), row['currency'])} {row['currency']}, expected zero; "
            "`tollkeeper ledger verify` names the group"
        )


@dataclass(frozen=True)
class Posted:
    """A journal group as it was posted."""

    id: int
    key: str
    journal: Journal
    digest: str
    group: Group

    @property
    def amount(self) -> Money:
        """The sum of its debits."""
        debits = [line.amount for line in self.group.postings if line.side is Side.DEBIT]
        return sum(debits[1:], debits[0])


async def _ask(connection: Connection, order: AskReversal) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    posted = await _reversible(connection, order, terms, order.group)
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.REVERSAL,
        subject=posted.key,
        named=None,
        payload={"group": posted.key, "digest": posted.digest, "reason": order.reason},
        amount=posted.amount,
        effect_key=f"{posted.key}:reversed",
    )


@carries_out(Decision.REVERSAL)
async def reverse(
    connection: Connection, order: Order[A], terms: Agreement, request: Request
) -> CarriedOut:
    """Post the exact mirror of a group (E30), once.

    Raises:
        TransitionError: it is reversed already, or its money was used meanwhile.
    """
    posted = await _reversible(connection, order, terms, request.subject)
    await post_to(connection, order, posted.journal, mirror(posted.group), reverses=posted.id)
    await happened(
        connection,
        order,
        terms,
        EventType.POSTING_REVERSED,
        group=posted.key,
        amount=str(posted.amount),
        reason=request.payload["reason"],
    )
    return CarriedOut(amount=posted.amount)


async def _reversible(
    connection: Connection, order: Order[A], terms: Agreement, key: str
) -> Posted:
    """A group that may be reversed now, locked; its mirror is dated on the order's day."""
    posted = await _posted(connection, order, terms, key)
    if (instead := why_not_reversible(posted.group.code)) is not None:
        raise TransitionError(
            f"{key}: found a reversal of {posted.group.code} asked for, expected another "
            f"correction: {instead}"
        )
    by = await connection.fetchval("select key from journal_group where reverses = $1", posted.id)
    if by is not None:
        raise TransitionError(f"{key}: found it reversed by {by}, expected it not to be reversed")
    await _require_unused(connection, posted)
    return posted


async def _posted(connection: Connection, order: Order[A], terms: Agreement, key: str) -> Posted:
    parties = terms.contract.parties
    row = await connection.fetchrow(
        """
        select * from journal_group
        where key = $1 and book = $2 and entity = $3
          and (engagement_id = $4 or engagement_id is null and customer = any($5::text[]))
        for no key update
        """,
        key,
        terms.book,
        parties.consultant.entity,
        terms.engagement_id,
        [parties.client.entity, UNKNOWN_CUSTOMER],
    )
    if row is None:
        raise NotFound(
            f"found journal group {key!r}, expected one of engagement {terms.engagement_id}, or one "
            f"of {parties.client.entity} that belongs to no engagement"
        )
    lines = await connection.fetch(
        "select * from posting where group_id = $1 order by line", row["id"]
    )
    postings = tuple(map(posting_of, lines))
    return Posted(
        id=row["id"],
        key=key,
        journal=Journal(
            book=terms.book,
            entity=row["entity"],
            customer=row["customer"],
            day=terms.local_date(order.at),
            engagement_id=row["engagement_id"],
        ),
        digest=row["digest"],
        group=Group(code=row["code"], postings=postings),
    )


async def _require_unused(connection: Connection, posted: Posted) -> None:
    """Refuse to take back a receipt that is applied, given back or reserved by now."""
    taken = {
        line.item: line.amount
        for line in posted.group.postings
        if line.account is Account.CUSTOMER_CREDIT and line.side is Side.CREDIT and line.item
    }
    for receipt, amount in taken.items():
        source = await source_of(connection, receipt)
        if source.free.minor < amount.minor:
            raise TransitionError(
                f"{posted.key}: found {source.free} {amount.currency} left of "
                f"{receipt}, expected all of its {amount}; take back first what uses it"
            )
