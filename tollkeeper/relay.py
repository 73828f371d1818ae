"""From the outbox to the deliveries: each message that has a receiver gets its workflow, once."""

import asyncio

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.export import Receivers
from activities.postgres import Pool, transaction
from lifecycle.orders import Deliver
from workflows.delivery import DeliveryWorkflow

POLL_SECONDS = 0.3
OUTAGE_SECONDS = 3.0
BATCH = 100

log = structlog.get_logger()


async def relay(client: Client, pool: Pool, receivers: Receivers, queue: str, exports: str) -> None:
    """Start a delivery for every message that waits, until cancelled; outages are waited out."""
    while True:
        try:
            for kind, key in await _waiting(pool, receivers):
                await _start(client, kind, key, queue, exports)
                await _started(pool, key)
        except Exception as broken:  # whatever it is, deliveries must not end with it
            log.warning("relay waits", reason=repr(broken))
            await asyncio.sleep(OUTAGE_SECONDS)
        await asyncio.sleep(POLL_SECONDS)


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
    try:
        await client.start_workflow(
            DeliveryWorkflow.run,
            Deliver(key=key, queue=exports),
            id=f"out.{kind}.{key}".replace(":", ".").replace("#", "."),
            task_queue=queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        )
    except WorkflowAlreadyStartedError:
        return
