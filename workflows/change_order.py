"""A change order that both sides signed: in force on its day, and heard of by every process that runs."""

from typing import Any

from temporalio import workflow

from contracts.errors import EngagementError
from contracts.events import EventType
from lifecycle.orders import Wait
from lifecycle.orders.change_orders import ApplyChange, ChangeApplied
from lifecycle.process import ChangeOrderState
from workflows.process import Process


@workflow.defn(failure_exception_types=[EngagementError])
class ChangeOrderWorkflow(Process[ChangeOrderState]):
    """agreed -> its effective date -> in force, or lapsed -> told to every process of the engagement."""

    kind = "change_order"

    @workflow.init
    def __init__(self, state: ChangeOrderState) -> None:
        super().__init__(state)
        self.applied: ChangeApplied | None = None

    @workflow.run
    async def run(self, state: ChangeOrderState) -> None:
        await self.effective()
        applied = await self.in_force()
        if applied.contract is not None:
            await self.tell_of(applied.contract, applied.running)
        await self.finish()

    async def effective(self) -> None:
        """Its day has begun, in the contract's time zone."""
        wait = Wait(
            for_whom="effective date",
            why=f"change order {self.subject()} takes effect",
            since=self.s.now,
            due_at=self.s.due_at,
        )
        await self.wait_for(lambda: False, wait)

    async def in_force(self) -> ChangeApplied:
        """One that was in force when the last signature came stays as it is."""
        about = self.about("apply", self.s.due_at, self.id)
        self.applied = await self.book(ApplyChange(**about, change=self.s.change))
        if self.applied.state == "lapsed":
            since = Wait(for_whom="both sides", why="another change order", since=self.s.due_at)
            self.remind(EventType.ESCALATION_RAISED, since, self.s.due_at)
        return self.applied

    def subject(self) -> str:
        return self.s.change.rpartition(".")[2]

    def state(self) -> str:
        return self.applied.state if self.applied else "agreed"

    def detail(self) -> dict[str, Any]:
        return {"change": self.s.change, "effective_at": self.s.due_at.isoformat()}
