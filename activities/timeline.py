"""Writing what happened: events, and the notices that some of them send to people."""

from collections.abc import Sequence
from hashlib import sha256

from activities.agreement import Agreement
from activities.postgres import Connection
from contracts.events import Event, EventType
from contracts.fields import canonical
from contracts.setting import Book
from lifecycle.orders import A, Order

NOTICES = {EventType.REMINDER_RAISED, EventType.ESCALATION_RAISED, EventType.READINGS_OVERDUE}


async def write_events(
    connection: Connection, order: Order[A], book: Book, events: Sequence[Event]
) -> None:
    """Append events to the engagement's timeline; a reminder also goes to the outbox.

    An event is the same event when it is the same in all its parts: a process that has to write
    once more, after a crash, may know of more events by then, and writes the first ones again.
    """
    for event in events:
        await _append(connection, order, book, event, canonical(event))


async def happened(
    connection: Connection, order: Order[A], terms: Agreement, kind: EventType, **facts: object
) -> None:
    """Append an event that an effect is; another effect of the same kind and time is another event."""
    event = Event(type=kind, occurred_at=order.at, actor=order.by, facts=facts)
    await _append(connection, order, terms.book, event, f"{order.key} {canonical(event)}")


async def _append(
    connection: Connection, order: Order[A], book: Book, event: Event, meaning: str
) -> None:
    key = f"{order.workflow_id}:{sha256(meaning.encode()).hexdigest()}"
    await connection.execute(
        """
        insert into event
            (key, engagement_id, workflow_id, type, occurred_at, actor, command_id, facts)
        values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (key) do nothing
        """,
        key,
        order.engagement_id,
        order.workflow_id,
        event.type,
        event.occurred_at,
        event.actor,
        event.command_id,
        event.facts,
    )
    if event.type in NOTICES:
        notice = event.model_dump(mode="json") | {"engagement": order.engagement_id}
        await send(connection, order, book, "notice", key, notice)


async def send(
    connection: Connection,
    order: Order[A],
    book: Book,
    kind: str,
    key: str,
    payload: dict[str, object],
) -> None:
    """Put a message into the outbox; it leaves after the commit, and at least once."""
    await connection.execute(
        """
        insert into outbox (key, kind, book, engagement_id, payload) values ($1, $2, $3, $4, $5)
        on conflict (key) do nothing
        """,
        key,
        kind,
        book,
        order.engagement_id,
        payload,
    )
