"""A milestone: evidence, acceptance clock, accepted or deemed, evaluated, billed once."""

from collections.abc import Callable, Sequence
from typing import Any

from temporalio import workflow

from contracts.commands import AcceptMilestone, Receipt, RejectMilestone, SubmitEvidence
from contracts.contract import Contract, Milestone, Role
from contracts.errors import EngagementError
from contracts.events import Event, EventType
from lifecycle import milestone
from lifecycle.milestone import Acceptance, MilestoneState
from lifecycle.orders import BillMilestone, EvaluateMilestone, Wait
from lifecycle.process import MilestoneProcessState
from workflows.process import Process


@workflow.defn(failure_exception_types=[EngagementError])
class MilestoneWorkflow(Process[MilestoneProcessState]):
    """evidence submitted -> accepted, rejected (and again) or deemed accepted -> evaluated -> billed."""

    kind = "milestone"

    @workflow.init
    def __init__(self, state: MilestoneProcessState) -> None:
        super().__init__(state)

    @workflow.run
    async def run(self, state: MilestoneProcessState) -> None:
        while self.s.work.acceptance is None:
            if self.s.work.state is MilestoneState.WITHDRAWN:
                return await self.finish()
            await self.evidence_submitted()
            await self.accepted_rejected_or_deemed()

        await self.evaluated(self.s.work.acceptance)
        await self.billed(self.s.work.acceptance)

        await self.told(self.s.work.acceptance)
        await self.finish()

    # What people may say.

    @workflow.update
    async def submit(self, command: SubmitEvidence) -> Receipt:
        """Hand in the deliverable with its evidence."""
        return await self.take(command, self._submit)

    @submit.validator
    def check_submit(self, command: SubmitEvidence) -> None:
        self.check(command, self._submit)

    @workflow.update
    async def accept(self, command: AcceptMilestone) -> Receipt:
        """Accept the deliverable, for the client."""
        return await self.take(command, self._accept)

    @accept.validator
    def check_accept(self, command: AcceptMilestone) -> None:
        self.check(command, self._accept)

    @workflow.update
    async def reject(self, command: RejectMilestone) -> Receipt:
        """Reject the deliverable with reasons, for the client."""
        return await self.take(command, self._reject)

    @reject.validator
    def check_reject(self, command: RejectMilestone) -> None:
        self.check(command, self._reject)

    def _submit(self, command: SubmitEvidence) -> Sequence[Event]:
        self.sign(command.by, Role.DELIVERY_LEAD)
        self.s.work, events = milestone.submit(self.s.work, command, self.s.setting.calendar)
        return events

    def _accept(self, command: AcceptMilestone) -> Sequence[Event]:
        self.sign(command.by, Role.ACCEPTOR)
        self.s.work, events = milestone.accept(self.s.work, command)
        return events

    def _reject(self, command: RejectMilestone) -> Sequence[Event]:
        self.sign(command.by, Role.ACCEPTOR)
        self.s.work, events = milestone.reject(self.s.work, command)
        return events

    def amend(self, contract: Contract) -> None:
        before = self.s.work.state
        self.s.work = milestone.amended(self.s.work, contract)
        if self.s.work.state is not before:
            facts = {"milestone": self.s.work.terms.id, "version": contract.version}
            kind = EventType.MILESTONE_WITHDRAWN
            self.note(Event(type=kind, occurred_at=self.s.now, actor=self.id, facts=facts))

    # How each part is done.

    async def evidence_submitted(self) -> None:
        """Delivery has no clock of its own here: the plan's dates are not the contract's."""
        wait = Wait(
            for_whom=Role.DELIVERY_LEAD.value,
            why=f"evidence: {', '.join(self.s.work.terms.evidence)}",
            since=self.s.now,
        )
        await self.wait_for(self._handed_in_or_amended(self.s.work.terms), wait)

    def _handed_in_or_amended(self, terms: Milestone) -> Callable[[], bool]:
        return lambda: (
            self.s.work.state is not MilestoneState.IN_DELIVERY or self.s.work.terms != terms
        )

    async def accepted_rejected_or_deemed(self) -> None:
        """The client's working days run; where the clause says so, silence accepts."""
        work = self.s.work
        if work.submitted_at is None or work.state is not MilestoneState.IN_ACCEPTANCE:
            return
        wait = Wait(
            for_whom=Role.ACCEPTOR.value,
            why="accept or reject",
            since=work.submitted_at,
            due_at=work.due_at,
        )
        if await self.wait_for(self._answered_by_client, wait):
            return
        assert work.due_at is not None
        if work.terms.acceptance.deemed:
            self.s.work, events = milestone.clock_ended(self.s.work)
            self.note(*events)
        else:
            self.remind(EventType.ESCALATION_RAISED, wait, work.due_at)
            late = wait.model_copy(update={"due_at": None, "overdue": True})
            await self.wait_for(self._answered_by_client, late)

    def _answered_by_client(self) -> bool:
        return self.s.work.state is not MilestoneState.IN_ACCEPTANCE

    async def evaluated(self, acceptance: Acceptance) -> None:
        """The accepted amount is earned."""
        await self.book(
            EvaluateMilestone(
                **self.about("evaluate", acceptance.at, acceptance.by),
                milestone=self.s.work.terms.id,
                acceptance=acceptance,
            )
        )

    async def billed(self, acceptance: Acceptance) -> None:
        """The accepted amount is invoiced, once; a hold may keep it from that."""
        at = acceptance.at
        while True:
            news = self.stirred()
            billed = await self.book(
                BillMilestone(
                    **self.about("bill", at, f"clause:{self.s.work.terms.clause}"),
                    milestone=self.s.work.terms.id,
                    acceptance=acceptance,
                )
            )
            if not billed.blocked_by:
                break
            await self.told(acceptance)
            names = ", ".join(hold.rpartition(".")[2] for hold in billed.blocked_by)
            wait = Wait(for_whom="hold", why=f"not invoiced while held by {names}", since=at)
            await self.wait_for(news, wait)
            # What is free again is invoiced on the day on which it became so.
            at = max(at, self.now())
        self.s.work = milestone.billed(self.s.work)

    async def told(self, acceptance: Acceptance) -> None:
        """The engagement goes on with what was accepted, whether it is invoiced or held."""
        if not self.s.told:
            self.s.told = True
            await self.report(acceptance.at, milestone=self.s.work.terms.id)

    def subject(self) -> str:
        return self.s.work.terms.id

    def state(self) -> str:
        return self.s.work.state.value

    def detail(self) -> dict[str, Any]:
        work = self.s.work
        return {
            "title": work.terms.title.model_dump(mode="json"),
            "amount": str(work.terms.amount),
            "submissions": work.submissions,
            "acceptance": work.acceptance.model_dump(mode="json") if work.acceptance else None,
        }
