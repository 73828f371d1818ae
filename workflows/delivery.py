"""One message to one receiver, with its own retries, for days."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from lifecycle.orders import Deliver, Delivered

PATIENCE = timedelta(days=7)
RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(hours=1))


@workflow.defn
class DeliveryWorkflow:
    """in the outbox -> at the receiver, with a receipt; refused or unanswered, it fails visibly."""

    @workflow.run
    async def run(self, message: Deliver) -> Delivered:
        delivered: Delivered = await workflow.execute_activity(
            "deliver",
            message,
            result_type=Delivered,
            task_queue=message.queue,
            start_to_close_timeout=timedelta(seconds=30),
            schedule_to_close_timeout=PATIENCE,
            retry_policy=RETRIES,
            summary=message.key,
        )
        return delivered
