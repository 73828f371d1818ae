"""From approved refunds to the payment provider: each gets its workflow, once; the live book alone."""

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.postgres import Pool, transaction
from lifecycle.orders.receivables import SendRefund
from tollkeeper.polling import polling
from workflows.refund import RefundWorkflow

POLL_SECONDS = 1.0

log = structlog.get_logger()


async def payouts(client: Client, pool: Pool, queue: str) -> None:
    """Start a workflow for every approved refund, until cancelled; outages are waited out."""
    await polling(lambda: start_refunds(client, pool, queue), POLL_SECONDS, "payouts wait")


async def start_refunds(client: Client, pool: Pool, queue: str) -> None:
    """Start what waits. The workflow's id is the refund's: one that runs or ran is not started again."""
    async with transaction(pool) as connection:
        rows = await connection.fetch(
            """
            select refund_id, engagement_id, since from refund
            where state = 'approved' and started_at is null and book = 'live' order by refund_id
            """
        )
    for row in rows:
        refund = row["refund_id"]
        try:
            await client.start_workflow(
                RefundWorkflow.run,
                SendRefund(
                    key=refund,
                    engagement_id=row["engagement_id"],
                    workflow_id=refund,
                    at=row["since"],
                    by=refund,
                    refund=refund,
                ),
                id=refund,
                task_queue=queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            )
        except WorkflowAlreadyStartedError:
            log.info("refund runs already", refund=refund)
        async with transaction(pool) as connection:
            await connection.execute(
                "update refund set started_at = now() where refund_id = $1", refund
            )
