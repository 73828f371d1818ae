"""An engagement, from the signed contract to the closed account."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from temporalio import workflow

from contracts.calendar import add_period, local_date
from contracts.commands import (
    AnswerPosition,
    CloseEngagement,
    Opened,
    OpenWish,
    Outcome,
    Receipt,
    Resume,
)
from contracts.contract import Contract, Phase, Role
from contracts.errors import EngagementError, KeyReused, TransitionError
from contracts.events import Event, EventType
from lifecycle import value_position
from lifecycle.micro_consulting import MicroWork, gate_reopened
from lifecycle.milestone import MilestoneWork
from lifecycle.orders import CloseAccount, OpenEngagement, Wait
from lifecycle.process import (
    BetState,
    EngagementPhase,
    EngagementState,
    MicroState,
    MilestoneProcessState,
    Report,
)
from lifecycle.value_position import ValuePosition
from workflows.micro_consulting import MicroConsultingWorkflow
from workflows.milestone import MilestoneWorkflow
from workflows.process import Process, Refused
from workflows.value_bet import ValueBetWorkflow


@workflow.defn(failure_exception_types=[EngagementError])
class EngagementWorkflow(Process[EngagementState]):
    """positioned -> micro-consulted -> decided -> delivered -> live -> value settled -> closed."""

    kind = "engagement"

    @workflow.init
    def __init__(self, state: EngagementState) -> None:
        super().__init__(state)
        self.refusal: BaseException | None = None

    @workflow.run
    async def run(self, state: EngagementState) -> None:
        await self.opened()
        await self.value_position_agreed()

        while await self.decided() is Outcome.SHELVE:
            if await self.given_up():
                return await self.closed()
            await self.value_position_agreed()

        await self.delivered(Phase.CONSULTING)
        await self.delivered(Phase.DESIGN_BUILD)

        await self.value_settled()
        await self.cycle_reviewed()
        await self.closed()

    # What people may say.

    @workflow.update
    async def open(self, wish: OpenWish) -> Opened:
        """Answers when the engagement is on record; said again, it is the same engagement."""
        await workflow.wait_condition(lambda: self.s.opened or self.refusal is not None)
        if self.refusal:
            raise self.refusal
        return Opened(
            engagement_id=self.s.setting.engagement_id,
            contract=self._contract(),
            clock=self.s.setting.clock,
            opened_at=self.s.opened_at,
        )

    @open.validator
    def check_open(self, wish: OpenWish) -> None:
        if (wish.contract_digest, wish.clock) != (
            self.s.contract.digest(),
            self.s.setting.clock,
        ):
            same = wish.contract_digest == self.s.contract.digest()
            raise KeyReused(
                f"engagement {self.s.setting.engagement_id} is open under contract "
                f"{self._contract()} on a {self.s.setting.clock.value} clock (opened by "
                f"{self.s.opened_by} on {local_date(self.s.opened_at, self.s.contract.timezone)}); "
                f"found {'the same text' if same else 'another text'} and a {wish.clock.value} clock, "
                "expected the same of both"
            )

    @workflow.update
    async def answer_position(self, command: AnswerPosition) -> Receipt:
        """One of the two blind answers on how the unit earns its place (FND-03)."""
        return await self.take(command, self._answer_position)

    @answer_position.validator
    def check_answer_position(self, command: AnswerPosition) -> None:
        self.check(command, self._answer_position)

    @workflow.update
    async def resume(self, command: Resume) -> Receipt:
        """Take a shelved engagement up again; the value position is asked for anew."""
        return await self.take(command, self._resume)

    @resume.validator
    def check_resume(self, command: Resume) -> None:
        self.check(command, self._resume)

    @workflow.update
    async def close(self, command: CloseEngagement) -> Receipt:
        """End the engagement after its review, or give up a shelved one."""
        return await self.take(command, self._close)

    @close.validator
    def check_close(self, command: CloseEngagement) -> None:
        self.check(command, self._close)

    def _answer_position(self, command: AnswerPosition) -> Sequence[Event]:
        self.sign(command.by, command.role)
        self.s.position, events = value_position.answer(self.s.position, command)
        return events

    def _resume(self, command: Resume) -> Sequence[Event]:
        self.sign(command.by, Role.BUSINESS_LEAD)
        self._expect(EngagementPhase.SHELVED, "resumed")
        assert self.s.micro
        assert self.s.decided_at
        if command.at < self.s.decided_at:
            raise TransitionError(
                f"the engagement was shelved at {self.s.decided_at.isoformat()}, found it resumed at "
                f"{command.at.isoformat()}, expected a later time"
            )
        shelved_on = self.s.setting.calendar.local_date(self.s.decided_at)
        valid_until = add_period(shelved_on, self.s.contract.micro_consulting.material_valid)
        today = self.s.setting.calendar.local_date(command.at)
        if today > valid_until and not command.material_confirmed:
            raise TransitionError(
                f"the client's material was good until {valid_until}, found {today}; "
                "expected it to be confirmed anew"
            )
        self.s.position = self.s.position.reopened()
        self.s.micro = gate_reopened(self.s.micro, command.at)
        self.s.phase = EngagementPhase.VALUE_POSITIONING
        return [command.makes(EventType.RESUMED, shelved_on=shelved_on.isoformat())]

    def _close(self, command: CloseEngagement) -> Sequence[Event]:
        self.sign(command.by, Role.DELIVERY_LEAD)
        if self.s.phase is not EngagementPhase.SHELVED:
            self._expect(EngagementPhase.CYCLE_REVIEW, "closed")
        self.s.closing = command
        return []

    def _expect(self, phase: EngagementPhase, wish: str) -> None:
        if self.s.phase is not phase:
            raise TransitionError(
                f"the engagement is in phase {self.s.phase.value}, "
                f"expected {phase.value} to be {wish}"
            )

    # What the children report.

    @workflow.signal
    def child_report(self, report: Report) -> None:
        """A child's news; one seen before is dropped."""
        if report.seq <= self.s.reports.get(report.child, 0):
            return
        self.s.reports = self.s.reports | {report.child: report.seq}
        self.hear(report.at)
        match report.facts:
            case {"phase": phase}:
                self.s.phase = EngagementPhase(phase)
            case {"work": work}:
                self.s.micro = MicroWork.model_validate(work)
                self.s.micro_running = False
                self.s.decided_at = report.at
            case {"milestone": milestone_id}:
                self.s.accepted = self.s.accepted | {milestone_id: report.at}
            case {"bet": bet_id}:
                self.s.bets_settled += (bet_id,)

    # How each part is done.

    async def opened(self) -> None:
        """The contract version and the engagement are on record."""
        if self.s.opened:
            return
        order = OpenEngagement(
            **self.about("open", self.s.opened_at, self.s.opened_by),
            contract=self.s.contract,
            indicators=self.s.indicators,
            clock=self.s.setting.clock,
            phase=self.s.phase,
        )
        try:
            await self.carry_out(order)
        except Refused as failure:
            # An engagement that was never opened ends, and its id is free again.
            self.refusal = failure.cause or failure
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise
        self.s.opened = True

    async def value_position_agreed(self) -> None:
        """Two blind answers must agree; no default, no skip, no time-out (FND-03)."""
        while (position := self.s.position).agreed is None:
            wait = Wait(
                for_whom=" and ".join(position.missing()),
                why=f"blind answers on the value position, round {position.round}",
                since=self.s.now,
            )
            await self.wait_for(self._another_answer(position), wait)

    def _another_answer(self, before: ValuePosition) -> Callable[[], bool]:
        return lambda: self.s.position != before

    async def decided(self) -> Outcome:
        """Micro-consulting up to its gate; after a shelving, the gate alone."""
        if not self.s.micro_running and (self.s.micro is None or self.s.micro.outcome is None):
            await self._start_micro_consulting()
        wait = Wait(for_whom="micro-consulting", why="steps and decision gate", since=self.s.now)
        await self.wait_for(lambda: not self.s.micro_running, wait)
        assert self.s.micro
        assert self.s.micro.outcome
        return self.s.micro.outcome

    async def given_up(self) -> bool:
        """Shelved until somebody resumes it, or closes it for good."""
        assert self.s.decided_at
        self.s.phase = EngagementPhase.SHELVED
        wait = Wait(
            for_whom=Role.BUSINESS_LEAD.value,
            why="shelved: resume or close",
            since=self.s.decided_at,
        )
        await self.wait_for(
            lambda: self.s.closing is not None or self.s.phase is not EngagementPhase.SHELVED, wait
        )
        return self.s.closing is not None

    async def delivered(self, phase: Phase) -> None:
        """Every milestone of the phase accepted and billed; a change order may add or withdraw some."""
        if phase not in self.s.begun:
            self._begin(phase)
        while True:
            contract = self.s.contract
            await self._start_milestones(phase)
            wait = Wait(for_whom="milestones", why=f"acceptance in {phase.value}", since=self.s.now)
            await self.wait_for(self._accepted_or_amended(phase, contract), wait)
            if self.s.contract is contract:
                return
            running = [name for name in self.s.started if name not in self.s.accepted]
            await self.tell_of(self.s.contract, map(self._milestone_process, running))

    def _accepted_or_amended(self, phase: Phase, contract: Contract) -> Callable[[], bool]:
        return lambda: (
            self.s.contract is not contract
            or all(terms.id in self.s.accepted for terms in contract.milestones_of(phase))
        )

    async def value_settled(self) -> None:
        """Live is where the value bets start to run, and no success (BET-01)."""
        if not self.s.bets_running:
            await self._go_live()
        bets = [bet.id for bet in self.s.contract.bets]
        wait = Wait(for_whom="value bets", why="windows of the value bets", since=self.s.now)
        await self.wait_for(lambda: all(bet in self.s.bets_settled for bet in bets), wait)

    async def cycle_reviewed(self) -> None:
        """What was learnt goes into the next period; a person closes this one (FND-01)."""
        self.s.phase = EngagementPhase.CYCLE_REVIEW
        wait = Wait(for_whom=Role.DELIVERY_LEAD.value, why="cycle review", since=self.s.now)
        await self.wait_for(lambda: self.s.closing is not None, wait)

    async def closed(self) -> None:
        """The final account adds up, or the engagement stays open."""
        assert self.s.closing
        await self.book(
            CloseAccount(
                **self.about("close", self.s.closing.at, self.s.closing.by),
                shelved=self.s.phase is EngagementPhase.SHELVED,
                note=self.s.closing.note,
            )
        )
        self.s.phase = EngagementPhase.CLOSED
        await self.finish()

    async def _start_micro_consulting(self) -> None:
        terms = self.s.contract.micro_consulting
        self.s.phase = EngagementPhase.MICRO_CONSULTING
        self.s.micro_rounds += 1
        self.s.micro_running = True
        work = self.s.micro or MicroWork(
            plan=terms.plan, started_at=self.s.now, step_open_since=self.s.now
        )
        suffix = [] if self.s.micro is None else [str(self.s.micro_rounds)]
        await self.start(
            MicroConsultingWorkflow.run,
            MicroState(
                setting=self.s.setting,
                now=self.s.now,
                work=work,
                terms=terms,
                billed=self.s.micro is not None,
            ),
            "micro",
            terms.product,
            *suffix,
        )

    def _begin(self, phase: Phase) -> None:
        self.s.phase = EngagementPhase(phase.value)
        self.s.begun += (phase,)
        begun_at = max((at for at in self.s.accepted.values()), default=self.s.decided_at)
        assert begun_at
        self.note(self._event(EventType.PHASE_BEGUN, begun_at, phase=phase.value))

    async def _start_milestones(self, phase: Phase) -> None:
        """Those that have no process yet."""
        for terms in self.s.contract.milestones_of(phase):
            if terms.id in self.s.started:
                continue
            self.s.started += (terms.id,)
            await self.start(
                MilestoneWorkflow.run,
                MilestoneProcessState(
                    setting=self.s.setting, now=self.s.now, work=MilestoneWork(terms=terms)
                ),
                "milestone",
                terms.id,
            )

    def _milestone_process(self, name: str) -> str:
        return self.s.setting.workflow_id("milestone", name)

    def amend(self, contract: Contract) -> None:
        self.s.contract = contract

    async def _go_live(self) -> None:
        (go_live,) = [terms for terms in self.s.contract.milestones if terms.go_live]
        live_at = self.s.accepted[go_live.id]
        self.s.phase = EngagementPhase.LIVE
        self.note(self._event(EventType.WENT_LIVE, live_at, milestone=go_live.id))
        for bet in self.s.contract.bets:
            await self.start(
                ValueBetWorkflow.run,
                BetState(
                    setting=self.s.setting,
                    now=self.s.now,
                    bet=bet,
                    clause=self.s.contract.holdback.clause,
                    started_on=self.s.setting.calendar.local_date(live_at),
                    live_at=live_at,
                ),
                "bet",
                bet.id,
            )
        self.s.bets_running = True
        self.s.phase = EngagementPhase.OPERATING

    def _event(self, kind: EventType, at: datetime, **facts: object) -> Event:
        return Event(type=kind, occurred_at=at, actor=self.id, facts=facts)

    def _contract(self) -> str:
        return f"{self.s.contract.id}@v{self.s.contract.version}"

    def subject(self) -> str:
        return self.s.contract.id

    def state(self) -> str:
        return self.s.phase.value

    def phase(self) -> str:
        return self.s.phase.value

    def detail(self) -> dict[str, Any]:
        return {
            "contract": self._contract(),
            "accepted": sorted(self.s.accepted),
            "settled": list(self.s.bets_settled),
        }
