"""A hold that people, an indicator or retention placed: its clocks, until nothing is held any more."""

from collections.abc import Callable
from typing import Any

from temporalio import workflow

from contracts.errors import EngagementError
from contracts.events import EventType
from lifecycle.hold import OPEN, HoldState
from lifecycle.orders import Wait
from lifecycle.orders.holds import EndHoldClock, HoldNow, LookAtHold
from lifecycle.process import HoldProcessState
from workflows.process import Process


@workflow.defn(failure_exception_types=[EngagementError])
class HoldWorkflow(Process[HoldProcessState]):
    """held -> cure notice -> cured, or the cure clock ends -> decision due -> decided, or by default.

    Notices, disputes and decisions are transactions in the database; this process runs the clocks.
    """

    kind = "hold"

    @workflow.init
    def __init__(self, state: HoldProcessState) -> None:
        super().__init__(state)
        self.seen: HoldNow | None = None

    @workflow.run
    async def run(self, state: HoldProcessState) -> None:
        while True:
            news = self.stirred()
            hold = await self.looked_at()
            if hold.state not in OPEN:
                break
            await self.decided_or_due(hold, news)
        await self.finish()

    async def looked_at(self) -> HoldNow:
        """Where it stands in the database."""
        about = self.about("look", self.s.now, self.id)
        self.seen = await self.book(LookAtHold(**about, hold=self.s.hold))
        # A hold that was settled before has had a run before: the numbers of its records go on.
        self.s.seq = max(self.s.seq, self.seen.recorded)
        return self.seen

    async def decided_or_due(self, hold: HoldNow, news: Callable[[], bool]) -> None:
        """Until something happens to it, or the clock of its state ends."""
        undecided = hold.due_at is None and hold.state is HoldState.DECISION_DUE
        wait = Wait(
            for_whom=hold.waits_for,
            why=hold.why,
            since=hold.since,
            due_at=None if hold.disputed else hold.due_at,
            overdue=undecided and not hold.disputed,
        )
        if await self.wait_for(news, wait):
            return
        assert hold.due_at is not None
        about = self.about(f"clock:{hold.due_at.isoformat()}", hold.due_at, self.id)
        moved = await self.book(EndHoldClock(**about, hold=self.s.hold, due_at=hold.due_at))
        if moved.state is HoldState.DECISION_DUE:
            # Without a further clock the decision itself is late, and silence decides nothing.
            late = moved.due_at is None
            kind = EventType.ESCALATION_RAISED if late else EventType.REMINDER_RAISED
            self.remind(kind, wait, hold.due_at)

    def subject(self) -> str:
        return self.s.hold.rpartition(".")[2]

    def state(self) -> str:
        return self.seen.state.value if self.seen else HoldState.ACTIVE.value

    def detail(self) -> dict[str, Any]:
        return {"hold": self.s.hold, "held": str(self.seen.held) if self.seen else None}
