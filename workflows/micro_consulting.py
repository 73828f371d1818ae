"""Micro-consulting: the steps, the fee, and the decision gate (MC-01 to MC-12)."""

from collections.abc import Callable, Sequence
from typing import Any

from temporalio import workflow

from contracts.commands import CompleteStep, Decide, Receipt
from contracts.contract import Role
from contracts.errors import EngagementError, NotAuthorised
from contracts.events import Event
from contracts.step_plan import Lead, Step
from lifecycle import micro_consulting
from lifecycle.micro_consulting import LEADERS, clocks
from lifecycle.orders import BillMicroConsulting, Wait
from lifecycle.process import MicroState
from workflows.process import Process


@workflow.defn(failure_exception_types=[EngagementError])
class MicroConsultingWorkflow(Process[MicroState]):
    """every step done -> final version billed -> gate: PROCEED, SHELVE, or REWORK_ONCE and again."""

    kind = "micro_consulting"

    @workflow.init
    def __init__(self, state: MicroState) -> None:
        super().__init__(state)

    @workflow.run
    async def run(self, state: MicroState) -> None:
        while self.s.work.outcome is None:
            await self.every_step_done()
            await self.fee_billed()
            await self.gate_decided()

        await self.outcome_reported()
        await self.finish()

    # What people may say.

    @workflow.update
    async def complete_step(self, command: CompleteStep) -> Receipt:
        """A step is done, with the effort it took."""
        return await self.take(command, self._complete_step)

    @complete_step.validator
    def check_complete_step(self, command: CompleteStep) -> None:
        self.check(command, self._complete_step)

    @workflow.update
    async def decide(self, command: Decide) -> Receipt:
        """Sign under the gate as business or as IT lead."""
        return await self.take(command, self._decide)

    @decide.validator
    def check_decide(self, command: Decide) -> None:
        self.check(command, self._decide)

    def _complete_step(self, command: CompleteStep) -> Sequence[Event]:
        step = self.s.work.current()
        if step is not None:
            self._sign_for(step, command.by)
        self.s.work, events = micro_consulting.complete_step(self.s.work, command)
        return events

    def _decide(self, command: Decide) -> Sequence[Event]:
        self.sign(command.by, command.role)
        self.s.work, events = micro_consulting.decide(self.s.work, command)
        return events

    def _sign_for(self, step: Step, person: str) -> None:
        refusals = []
        for role in LEADERS[step.lead]:
            try:
                return self.sign(person, role)
            except NotAuthorised as refused:
                refusals.append(str(refused))
        raise NotAuthorised(
            f"step {step.id} is led by the {step.lead.value}: {'; '.join(refusals)}"
        )

    # How each part is done.

    async def every_step_done(self) -> None:
        """In order; a client step that takes long is reminded of, then escalated."""
        while (step := self.s.work.current()) is not None:
            done = self._one_more_done()
            wait = Wait(
                for_whom=step.lead.value,
                why=f"{step.id} {step.title.en}",
                since=self.s.work.step_open_since,
            )
            if step.lead is Lead.CLIENT:
                patience = self.s.terms.waiting
                await self.patiently(done, wait, patience)
            else:
                await self.wait_for(done, wait)

    def _one_more_done(self) -> Callable[[], bool]:
        before = self.s.work.done
        return lambda: self.s.work.done != before

    async def fee_billed(self) -> None:
        """The fee is due when the final version is submitted, whatever the gate decides (Q17)."""
        if self.s.billed:
            return
        final = self.s.work.done[-1]
        await self.book(
            BillMicroConsulting(
                **self.about("fee", final.done_at, f"clause:{self.s.terms.clause}"),
                evidence=f"{final.step} done {final.done_at.isoformat()}",
            )
        )
        self.s.billed = True

    async def gate_decided(self) -> None:
        """Both must sign the same; silence is reminded of and never decides (MC-08)."""
        await self.report(self.s.work.step_open_since, phase="decision")
        wait = Wait(
            for_whom=" and ".join(role.value for role in (Role.BUSINESS_LEAD, Role.IT_LEAD)),
            why="decision gate: PROCEED, SHELVE or REWORK_ONCE",
            since=self.s.work.step_open_since,
        )
        await self.patiently(
            lambda: self.s.work.outcome is not None or self.s.work.current() is not None,
            wait,
            self.s.terms.decision,
        )
        if self.s.work.reworking and self.s.work.outcome is None:
            await self.report(self.s.work.step_open_since, phase="micro_consulting")

    async def outcome_reported(self) -> None:
        """The engagement goes on from here, with the work as it stands."""
        await self.report(self.s.now, work=self.s.work.model_dump(mode="json"))

    def subject(self) -> str:
        return self.s.terms.product

    def state(self) -> str:
        work = self.s.work
        if work.outcome:
            return work.outcome.value.lower()
        step = work.current()
        return f"step {step.id}" if step else "gate open"

    def detail(self) -> dict[str, Any]:
        work = self.s.work
        return {
            "steps": [done.model_dump(mode="json") for done in work.done],
            "clocks": clocks(work, self.s.now).model_dump(mode="json"),
        }
