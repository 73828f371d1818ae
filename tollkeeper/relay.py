"""From the outbox to the deliveries: each message that has a receiver gets its workflow, once."""

from contextlib import suppress

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.export.port import Receivers
from activities.postgres import Connection, Pool, transaction
from contracts.errors import NotFound, TransitionError, Unavailable
from lifecycle.orders import Deliver
from tollkeeper.polling import polling
from tollkeeper.settings import EXPORT_QUEUE, TASK_QUEUE
from workflows.delivery import DeliveryWorkflow

POLL_SECONDS = 0.3
BATCH = 100


async def relay(client: Client, pool: Pool, receivers: Receivers, queue: str, exports: str) -> None:
    """Start a delivery for every message that waits, until cancelled; outages are waited out."""

    async def start_waiting() -> None:
        for kind, key in await _waiting(pool, receivers):
            await _start(client, kind, key, queue, exports)
            await _started(pool, key)

    await polling(start_waiting, POLL_SECONDS, "relay waits")


async def _waiting(pool: Pool, receivers: Receivers) -> list[tuple[str, str]]:
    async with transaction(pool) as connection:
        rows = await connection.fetch(
            """
            select o.kind, o.key from outbox o
            join unnest($1::text[], $2::text[]) as r (book, kind) on r.book = o.book and r.kind = o.kind
            where o.started_at is null order by o.id limit $3
            """,
            [book for book, _ in receivers],
            [kind for _, kind in receivers],
            BATCH,
        )
    return [(row["kind"], row["key"]) for row in rows]


async def _started(pool: Pool, key: str) -> None:
    async with transaction(pool) as connection:
        await connection.execute("update outbox set started_at = now() where key = $1", key)


async def _start(client: Client, kind: str, key: str, queue: str, exports: str) -> None:
    """The workflow's id is the message's: a delivery that runs, ran or failed is not started again."""
    with suppress(WorkflowAlreadyStartedError):
        await client.start_workflow(
            DeliveryWorkflow.run,
            Deliver(key=key, queue=exports),
            id=delivery_id(kind, key),
            task_queue=queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        )


async def deliver_again(client: Client, pool: Pool, key: str) -> None:
    """Start a delivery that failed again, with all its patience; one that runs begins anew.

    Raises:
        NotFound: no such message.
        TransitionError: it is delivered, or was never started.
        Unavailable: Temporal does not answer.
    """
    async with transaction(pool) as connection:
        kind = await _undelivered(connection, key)
        await connection.execute(
            "update outbox set started_at = now(), failed_at = null where key = $1", key
        )
        # Before the commit: whatever the delivery has to note waits for this row.
        try:
            await client.start_workflow(
                DeliveryWorkflow.run,
                Deliver(key=key, queue=EXPORT_QUEUE),
                id=delivery_id(kind, key),
                task_queue=TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
            )
        except WorkflowAlreadyStartedError as done:
            raise TransitionError(f"{key}: found it delivered, expected it to wait") from done
        except RPCError as down:
            raise Unavailable(f"Temporal does not answer: {down.message}") from down


async def _undelivered(connection: Connection, key: str) -> str:
    """Its kind; its row stays locked."""
    row = await connection.fetchrow(
        "select kind, started_at, delivered_at from outbox where key = $1 for update", key
    )
    if row is None:
        raise NotFound(f"found no message {key!r} in the outbox")
    if row["delivered_at"]:
        raise TransitionError(f"{key}: found it delivered, expected it to wait")
    if row["started_at"] is None:
        raise TransitionError(
            f"{key}: found it not started yet, expected a delivery that runs or failed; a worker "
            "starts it as soon as it knows a receiver"
        )
    kind: str = row["kind"]
    return kind


def delivery_id(kind: str, key: str) -> str:
    """The id of a message's workflow."""
    return f"out.{kind}.{key}".replace(":", ".").replace("#", ".")
