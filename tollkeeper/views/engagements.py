"""Engagements as people read them: where each stands, who is waited for, what happened."""

from datetime import datetime
from typing import Any

from activities.postgres import Connection, Pool
from contracts.events import Event
from contracts.fields import Title
from contracts.money import Money
from contracts.setting import Book, ClockKind
from lifecycle.micro_consulting import Clocks
from tollkeeper.views.base import Row, View, amounts_of, contract_of, snapshot


class Waiting(View):
    """Whom a process waits for, why and since when; `due_at` is when it goes on without them."""

    process: str
    for_whom: str
    why: str
    since: datetime
    due_at: datetime | None
    overdue: bool


class Process(View):
    """One process of an engagement; `detail` is what it shows beside its state."""

    id: str
    kind: str
    subject: str
    state: str
    finished: bool
    detail: dict[str, Any]
    waiting: Waiting | None


class Engagement(View):
    """Where an engagement stands; `held` and `invoiced` are net, credit notes taken off.

    What an invoice retains is invoiced; an advance is, as far as it is not deducted yet.
    """

    id: str
    contract: str
    title: Title
    book: Book
    clock: ClockKind
    clock_now: datetime | None
    phase: str
    opened_at: datetime
    proceeded_at: datetime | None
    closed_at: datetime | None
    held: Money
    invoiced: Money
    waiting: tuple[Waiting, ...]


class EngagementDetail(Engagement):
    """An engagement with its processes; `clocks` are those of the latest micro-consulting."""

    consultant: Title
    client: Title
    timezone: str
    processes: tuple[Process, ...]
    clocks: Clocks | None


class Happening(Event):
    """An event with the process that wrote it."""

    process: str


async def engagements(pool: Pool) -> list[Engagement]:
    """All engagements, the latest first."""
    async with snapshot(pool) as connection:
        return await _engagements(connection, None)


async def engagement(pool: Pool, engagement_id: str) -> EngagementDetail:
    """All of one engagement.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        return await engagement_of(connection, engagement_id)


async def engagement_of(connection: Connection, engagement_id: str) -> EngagementDetail:
    """All of one engagement, in a snapshot that sees more.

    Raises:
        NotFound: no such engagement.
    """
    contract = await contract_of(connection, engagement_id)
    (summary,) = await _engagements(connection, engagement_id)
    processes = [_process(row) for row in await _processes(connection, engagement_id)]
    micro = [process for process in processes if process.kind == "micro_consulting"]
    return EngagementDetail(
        **dict(summary),
        consultant=contract.parties.consultant.name,
        client=contract.parties.client.name,
        timezone=contract.timezone,
        processes=tuple(processes),
        clocks=Clocks.model_validate(micro[-1].detail["clocks"]) if micro else None,
    )


async def timeline(pool: Pool, engagement_id: str) -> list[Happening]:
    """What happened, in the order of business time.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await contract_of(connection, engagement_id)
        rows = await connection.fetch(
            """
            select workflow_id as process, type, occurred_at, actor, command_id, facts
            from event where engagement_id = $1 order by occurred_at, id
            """,
            engagement_id,
        )
    return [Happening(**dict(row)) for row in rows]


async def _engagements(connection: Connection, engagement_id: str | None) -> list[Engagement]:
    rows = await connection.fetch(
        """
        select e.*, c.document->'title' as title, c.document->>'currency' as currency,
            (select coalesce(sum(held_minor), 0) from hold_balance h
             where h.engagement_id = e.engagement_id) as held_minor,
            -- What was retained is invoiced already; the invoice of its release only taxes it.
            (select coalesce(sum(
                 case document when 'invoice' then 1 else -1 end
                 * (net_minor - advance_minor + advance_tax_minor)
             ), 0) from invoice i
             where i.engagement_id = e.engagement_id and purpose <> 'retention') as invoiced_minor
        from engagement e join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        where $1::text is null or e.engagement_id = $1
        order by e.opened_at desc, e.engagement_id
        """,
        engagement_id,
    )
    waiting: dict[str, list[Waiting]] = {}
    for row in await _processes(connection, engagement_id):
        if wait := waiting_of(row):
            waiting.setdefault(row["engagement_id"], []).append(wait)
    return [
        Engagement(
            id=row["engagement_id"],
            contract=f"{row['contract_id']}@v{row['contract_version']}",
            title=Title.model_validate(row["title"]),
            book=row["book"],
            clock=row["clock"],
            clock_now=row["clock_now"],
            phase=row["phase"],
            opened_at=row["opened_at"],
            proceeded_at=row["proceeded_at"],
            closed_at=row["closed_at"],
            **amounts_of(row, "held", "invoiced"),
            waiting=tuple(waiting.get(row["engagement_id"], ())),
        )
        for row in rows
    ]


async def _processes(connection: Connection, engagement_id: str | None) -> list[Row]:
    """The processes of one engagement; of all, those that are not finished."""
    return await connection.fetch(
        """
        select * from process where engagement_id = $1 or ($1::text is null and not finished)
        order by engagement_id, workflow_id
        """,
        engagement_id,
    )


def _process(row: Row) -> Process:
    return Process(
        id=row["workflow_id"],
        kind=row["kind"],
        subject=row["subject"],
        state=row["state"],
        finished=row["finished"],
        detail=row["detail"],
        waiting=waiting_of(row),
    )


def waiting_of(row: Row) -> Waiting | None:
    if row["finished"] or row["waiting_for"] is None:
        return None
    return Waiting(
        process=row["workflow_id"],
        for_whom=row["waiting_for"],
        why=row["why"],
        since=row["since"],
        due_at=row["due_at"],
        overdue=row["overdue"],
    )
