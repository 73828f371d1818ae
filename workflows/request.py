"""A request for a decision about money: open until enough people signed, or its time is over."""

from collections.abc import Callable
from typing import Any

from temporalio import workflow

from contracts.errors import EngagementError
from lifecycle.approval import RequestState
from lifecycle.orders import Wait
from lifecycle.orders.approvals import ExpireRequest, LookAtRequest, RequestSeen
from lifecycle.process import RequestProcessState
from workflows.process import Process


@workflow.defn(failure_exception_types=[EngagementError])
class RequestWorkflow(Process[RequestProcessState]):
    """asked for -> signed by enough people, turned down, or expired.

    The signatures themselves are transactions in the database, which also carry the decision out:
    this process waits, and ends what nobody decides.
    """

    kind = "request"

    @workflow.init
    def __init__(self, state: RequestProcessState) -> None:
        super().__init__(state)
        self.seen: RequestSeen | None = None

    @workflow.run
    async def run(self, state: RequestProcessState) -> None:
        while True:
            news = self.stirred()
            request = await self.looked_at()
            if request.state is not RequestState.PENDING:
                break
            await self.signed_or_expired(request, news)
        await self.finish()

    async def looked_at(self) -> RequestSeen:
        """Where it stands in the database."""
        about = self.about("look", self.s.now, self.id)
        self.seen = await self.book(LookAtRequest(**about, request=self.s.request))
        return self.seen

    async def signed_or_expired(self, request: RequestSeen, news: Callable[[], bool]) -> None:
        """Until somebody decides something, or nobody does in time."""
        wait = Wait(
            for_whom="approval",
            why=f"{request.what}: {len(request.signed)} signed, can sign: "
            f"{', '.join(request.missing) or 'nobody'}",
            since=self.s.asked_at,
            due_at=request.expires_at,
        )
        if not await self.wait_for(news, wait):
            about = self.about("expire", request.expires_at, self.id)
            await self.book(ExpireRequest(**about, request=self.s.request))

    def subject(self) -> str:
        return self.s.request.rpartition(".")[2]

    def state(self) -> str:
        return self.seen.state.value if self.seen else RequestState.PENDING.value

    def detail(self) -> dict[str, Any]:
        return {"request": self.s.request}
