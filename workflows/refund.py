"""One refund at the payment provider: sent, and asked about until the provider says what became of it."""

from collections.abc import Iterator
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from contracts.errors import EngagementError
from lifecycle.orders import A, Order
from lifecycle.orders.receivables import AskRefund, Refunding, SendRefund, SettleRefund
from lifecycle.receivables import RefundState

RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=10))
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(hours=6)


@workflow.defn(failure_exception_types=[EngagementError])
class RefundWorkflow:
    """approved -> sent -> confirmed or failed.

    No answer decides nothing: an unknown refund is asked about, with growing pauses, for as long as
    it takes. Sent again only where the provider says that it never got it, under the same key.
    """

    @workflow.run
    async def run(self, given: SendRefund) -> Refunding:
        refund = await self.ordered(SendRefund, given, "send")
        for pause in pauses():
            if refund.settled:
                break
            await workflow.sleep(pause)
            refund = await self.ordered(AskRefund, given, "ask")
            if refund.state is RefundState.APPROVED:
                refund = await self.ordered(SendRefund, given, "send")
        return await self.settled(given, refund)

    async def settled(self, given: SendRefund, refund: Refunding) -> Refunding:
        """On record as the provider says; settled by hand meanwhile, it is on record already."""
        assert refund.state in {RefundState.CONFIRMED, RefundState.FAILED}
        order = SettleRefund(
            key=f"{given.refund}:{refund.state.value}",
            engagement_id=given.engagement_id,
            workflow_id=given.workflow_id,
            at=workflow.now(),
            by=given.by,
            refund=given.refund,
            state=refund.state,
            evidence=refund.evidence or "the provider's answer",
        )
        return await self.carried_out(order)

    async def ordered(
        self, kind: type[SendRefund] | type[AskRefund], given: SendRefund, what: str
    ) -> Refunding:
        about = {"key": f"{given.refund}:{what}", "at": workflow.now()}
        return await self.carried_out(kind(**dict(given) | about))

    async def carried_out(self, order: Order[A]) -> A:
        answer: A = await workflow.execute_activity(
            order.activity(),
            order,
            result_type=order.answer(),
            start_to_close_timeout=timedelta(seconds=60),
            retry_policy=RETRIES,
            summary=order.key,
        )
        return answer


def pauses() -> Iterator[timedelta]:
    """One second, then twice as long each time, up to six hours, without end."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)
