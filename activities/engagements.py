"""The engagement's own rows: opened, what its processes record, closed with a final account."""

from collections.abc import Iterable

from temporalio import activity

from activities.agreement import Agreement, agreement
from activities.billing.caps import authorise
from activities.postgres import Connection, Pool, once, transaction
from activities.timeline import happened, write_events
from contracts.contract import Contract
from contracts.difference import told_apart
from contracts.errors import KeyReused, TransitionError
from contracts.events import Event, EventType
from contracts.indicators import Indicator
from contracts.money import Money
from contracts.setting import Book, ClockKind
from lifecycle.orders import CloseAccount, Closed, Done, OpenEngagement, Record


class Engagements:
    """Activities on the engagement and the projection that people read."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def open_engagement(self, order: OpenEngagement) -> Done:
        """Register the contract version, once, and the engagement under it.

        Raises:
            KeyReused: that version of the contract is registered with another text.
        """
        return await once(self.pool, order, lambda connection: _open(connection, order))

    @activity.defn
    async def record(self, order: Record) -> Done:
        """Write the events of a process and what it waits for now; the latest state wins."""
        async with transaction(self.pool) as connection:
            return await _record(connection, order)

    @activity.defn
    async def close_account(self, order: CloseAccount) -> Closed:
        """Close the books of an engagement.

        Raises:
            TransitionError: money is still held or unbilled, or the parts do not add up to the fee.
        """
        return await once(self.pool, order, lambda connection: _close(connection, order))


async def _open(connection: Connection, order: OpenEngagement) -> Done:
    contract, sandbox = order.contract, order.clock is ClockKind.TEST
    digest = await register_version(connection, contract, order.indicators)
    book = Book.SANDBOX if sandbox else Book.LIVE
    await connection.execute(
        """
        insert into engagement
            (engagement_id, contract_id, contract_version, book, clock, clock_now, phase, opened_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        order.engagement_id,
        contract.id,
        contract.version,
        book,
        order.clock,
        order.at if sandbox else None,
        order.phase,
        order.at,
    )
    await authorise(connection, order, await agreement(connection, order.engagement_id))
    opened = Event(
        type=EventType.ENGAGEMENT_OPENED,
        occurred_at=order.at,
        actor=order.by,
        facts={"contract": contract.reference(), "sha256": digest},
    )
    await write_events(connection, order, book, [opened])
    return Done()


async def register_version(
    connection: Connection, contract: Contract, indicators: Iterable[Indicator]
) -> str:
    """Put a contract version on record, or find it there; its digest.

    Raises:
        KeyReused: that version of the contract is registered with another text.
    """
    digest = contract.digest()
    await connection.execute(
        """
        insert into contract_version (contract_id, version, digest, document, indicators, effective_on)
        values ($1, $2, $3, $4, $5, $6) on conflict do nothing
        """,
        contract.id,
        contract.version,
        digest,
        contract.model_dump(mode="json"),
        [indicator.model_dump(mode="json") for indicator in indicators],
        contract.effective_on,
    )
    registered = await connection.fetchval(
        "select digest from contract_version where contract_id = $1 and version = $2",
        contract.id,
        contract.version,
    )
    if registered != digest:
        raise await _another_text(connection, contract)
    return digest


async def _another_text(connection: Connection, contract: Contract) -> KeyReused:
    row = await connection.fetchrow(
        """
        select document, registered_at at time zone 'UTC' as registered, e.engagement_id, e.actor
        from contract_version
        cross join lateral (
            select engagement_id, actor from event
            where type = any($3) and facts->>'contract' = $4 order by id limit 1
        ) e
        where contract_id = $1 and version = $2
        """,
        contract.id,
        contract.version,
        [EventType.ENGAGEMENT_OPENED, EventType.CHANGE_APPLIED],
        contract.reference(),
    )
    assert row is not None
    return KeyReused(
        f"contract {contract.id} version {contract.version} is registered with another text (for "
        f"engagement {row['engagement_id']} by {row['actor']}, booked "
        f"{row['registered']:%Y-%m-%d %H:%M} UTC): "
        f"{told_apart(row['document'], contract.model_dump(mode='json'))}; expected that text, or a "
        "new version number for a changed document"
    )


async def _record(connection: Connection, order: Record) -> Done:
    wait = order.wait
    # What happened after its last look at the books nobody could tell a process that did not listen
    # yet: that it does now is news, too.
    await connection.execute(
        """
        with before as (select from process where workflow_id = $1 and listening),
        after as (
            insert into process
                (workflow_id, engagement_id, kind, subject, state, detail,
                 waiting_for, why, since, due_at, overdue, seq, finished)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            on conflict (workflow_id) do update set
                state = excluded.state, detail = excluded.detail,
                waiting_for = excluded.waiting_for, why = excluded.why, since = excluded.since,
                due_at = excluded.due_at, overdue = excluded.overdue, seq = excluded.seq,
                finished = excluded.finished
            where process.seq <= excluded.seq
            returning listening
        )
        insert into news (engagement_id)
        select $2 from after where listening and not exists (select from before)
        """,
        order.workflow_id,
        order.engagement_id,
        order.kind,
        order.subject,
        order.state,
        order.detail,
        wait and wait.for_whom,
        wait and wait.why,
        wait and wait.since,
        wait and wait.due_at,
        wait is not None and wait.overdue,
        order.seq,
        order.finished,
    )
    book = Book(
        await connection.fetchval(
            """
            update engagement set
                phase = coalesce($2, phase),
                proceeded_at = coalesce(proceeded_at, $3)
            where engagement_id = $1 returning book
            """,
            order.engagement_id,
            order.phase,
            next((e.occurred_at for e in order.events if e.type is EventType.PROCEEDED), None),
        )
    )
    await write_events(connection, order, book, order.events)
    return Done()


async def _close(connection: Connection, order: CloseAccount) -> Closed:
    terms = await agreement(connection, order.engagement_id)
    account = await _final_account(connection, terms)
    obstacles = await _obstacles(connection, order.engagement_id)
    if not order.shelved and account.fixed + account.released + account.forfeited != account.fee:
        obstacles.append(
            f"fixed {account.fixed} + released {account.released} + forfeited {account.forfeited} "
            f"is not the fee {account.fee} (INV-06)"
        )
    if obstacles:
        raise TransitionError(
            f"engagement {order.engagement_id} cannot close: {'; '.join(obstacles)}"
        )
    await connection.execute(
        "update engagement set phase = 'closed', closed_at = $2 where engagement_id = $1",
        order.engagement_id,
        order.at,
    )
    facts = {
        name: str(getattr(account, name)) for name in ("fee", "fixed", "released", "forfeited")
    }
    await happened(connection, order, terms, EventType.ENGAGEMENT_CLOSED, **facts, note=order.note)
    return account


async def _final_account(connection: Connection, terms: Agreement) -> Closed:
    """In the contract's prices: all fee lines; what was earned outright; what the verdicts gave and took."""
    currency = terms.contract.currency
    row = await connection.fetchrow(
        """
        select
            (select fixed_minor from fixed_fee where engagement_id = $1) as fixed,
            (select coalesce(sum(released_minor), 0) from hold_balance
             where engagement_id = $1 and bet is not null)::bigint as released,
            (select coalesce(sum(forfeited_minor), 0) from hold_balance
             where engagement_id = $1 and bet is not null)::bigint as forfeited
        """,
        terms.engagement_id,
    )
    assert row is not None
    return Closed(
        fee=sum((fee.amount for fee in terms.contract.fees), Money(0, currency)),
        fixed=Money(row["fixed"], currency),
        released=Money(row["released"], currency),
        forfeited=Money(row["forfeited"], currency),
    )


OPEN_BALANCES = ("1110", "1120", "1130", "1200", "2110", "2200", "M20", "M40")
"""What has to be nothing before the books of an engagement close; the customer may still owe."""


async def _obstacles(connection: Connection, engagement_id: str) -> list[str]:
    held = await connection.fetch(
        """
        select hold_id, held_minor, currency from hold_balance
        where engagement_id = $1 and held_minor <> 0 order by hold_id
        """,
        engagement_id,
    )
    asked = await connection.fetch(
        """
        select request_id from approval_request
        where engagement_id = $1 and state = 'pending' order by request_id
        """,
        engagement_id,
    )
    balances = await connection.fetch(
        """
        select a.code, a.name, p.currency,
               sum(case p.side when a.normal then p.amount_minor else -p.amount_minor end)::bigint as minor
        from posting p
        join journal_group g on g.id = p.group_id
        join account a on a.code = p.account
        where g.engagement_id = $1 and a.code = any($2::text[])
        group by a.code, p.currency
        having sum(case p.side when 'D' then p.amount_minor else -p.amount_minor end) <> 0
        order by a.code
        """,
        engagement_id,
        OPEN_BALANCES,
    )
    return [
        *(
            f"hold {row['hold_id']} still holds {_amount(row['held_minor'], row['currency'])}"
            for row in held
        ),
        *(f"request {row['request_id']} is not decided" for row in asked),
        *(
            f"account {row['code']} ({row['name']}) stands at {_amount(row['minor'], row['currency'])}"
            for row in balances
        ),
    ]


def _amount(minor: int, currency: str) -> str:
    return f"{Money(minor, currency)} {currency}"
