"""What every process shares: its clock, its commands, its orders, and its record of what happened."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from contracts.commands import Command, Receipt, SetCalendar, Settled, Tick
from contracts.contract import Contract, Patience, Role
from contracts.errors import CalendarNotCovered, KeyReused, TransitionError
from contracts.events import Event, EventType
from contracts.fields import canonical
from contracts.setting import ClockKind
from lifecycle.orders import A, Order, Record, Wait
from lifecycle.process import ProcessState, Report

S = TypeVar("S", bound=ProcessState)
C = TypeVar("C", bound=Command)

PARK = timedelta(days=90)
"""A live process without a deadline looks around this often."""

SOFT_EVENTS, SOFT_BYTES = 2_000, 1 << 20
"""A run renews itself beyond this history: half of what the server suggests."""

ANSWERS_KEPT = 500

DATABASE: dict[str, Any] = {
    "start_to_close_timeout": timedelta(seconds=20),
    "retry_policy": RetryPolicy(maximum_interval=timedelta(minutes=1)),
}
"""Short transactions: retried for as long as the database is away."""

LOCAL_RETRY = timedelta(seconds=10)
"""A local activity that waits longer than this for its next try waits on a timer."""

Refused = (ActivityError, ApplicationError)
"""What a refused order raises; a local activity's failure comes as it was raised, unwrapped."""


class Process(Generic[S]):
    """Base of the business processes; a subclass says in `run` what happens, in order."""

    kind: ClassVar[str]

    def __init__(self, state: S) -> None:
        self.s = state
        self.over = False
        self.done = False
        self.renewing = False
        self.resting: Callable[[], bool] | None = None
        self.unrecorded: list[Event] = []
        self.noted = self.recorded = 0
        self.shown: tuple[Wait | None, str, str | None] | None = None
        self.touched: list[str] = []
        self.nudges = 0
        self.stirs = 0
        self.commanded_at = -1
        """Length of the history when the latest command came in."""

    # What a subclass tells about itself.

    def subject(self) -> str:
        """Which one of its kind: a milestone's id, a bet's id."""
        raise NotImplementedError

    def state(self) -> str:
        """Where it stands, in one word."""
        raise NotImplementedError

    def detail(self) -> dict[str, Any]:
        """What a screen shows beside it."""
        return {}

    def phase(self) -> str | None:
        """The engagement's phase, told by the engagement alone."""
        return None

    # Messages that every process understands.

    @workflow.update
    async def settle(self, tick: Tick) -> Settled:
        """A test clock has reached an instant: do everything due, then answer."""
        self.hear(tick.now)
        await workflow.wait_condition(
            lambda: self.done or self.renewing or (self.resting is not None and self.resting())
        )
        touched, self.touched = self.touched, []
        return Settled(touched=tuple(touched) + ((self.id,) if self.renewing else ()))

    @workflow.update
    async def set_calendar(self, command: SetCalendar) -> Receipt:
        """Take working days that were decreed after the contract was signed."""
        return await self.take(command, self._with_days)

    @set_calendar.validator
    def check_set_calendar(self, command: SetCalendar) -> None:
        self.check(command, self._with_days)

    @workflow.signal
    def nudge(self) -> None:
        """Try again what was refused, and look whether to renew."""
        self.nudges += 1

    @workflow.signal
    def money_moved(self, at: datetime | None = None) -> None:
        """Something happened in the books of the engagement: whoever waits for that looks again.

        Args:
            at: where a test clock stands; a live one is known.
        """
        if at is not None:
            self.hear(at)
        self.stirs += 1

    @workflow.signal
    def contract_changed(self, contract: Contract) -> None:
        """A new version is in force; one heard of before, or an older one, changes nothing."""
        if contract.version > self.s.setting.version:
            who = {"version": contract.version, "people": contract.people()}
            self.s.setting = self.s.setting.model_copy(update=who)
            self.amend(contract)

    def amend(self, contract: Contract) -> None:
        """Take over of a new version what concerns this process, beside the people."""

    def stirred(self) -> Callable[[], bool]:
        """Whether there was a nudge, or news from the books, since now."""
        seen = self.stirs + self.nudges
        return lambda: self.stirs + self.nudges > seen

    # Commands.

    @property
    def id(self) -> str:
        return workflow.info().workflow_id

    def check(self, command: C, change: Callable[[C], Sequence[Event]]) -> None:
        """For validators: refuse what `change` would refuse, and change nothing.

        Raises:
            KeyReused: the command's id came before, with other content.
            TransitionError: the process is over.
        """
        if self._answered(command) is None:
            if self.over:
                raise TransitionError(f"{self.kind} {self.subject()} is over")
            before = self.s.model_copy()
            try:
                change(command)
            finally:
                self.s = before

    async def take(self, command: C, change: Callable[[C], Sequence[Event]]) -> Receipt:
        """Apply a command once, and answer when what it caused is on record."""
        if (answered := self._answered(command)) is not None:
            return answered
        self.hear(command.at)
        self.commanded_at = workflow.info().get_current_history_length()
        events = change(command)
        self.note(*events)
        receipt = Receipt(
            command_id=command.command_id,
            events=tuple(event.type.value for event in events),
            digest=_content(command),
        )
        self.s.answers[command.command_id] = receipt
        for oldest in list(self.s.answers)[:-ANSWERS_KEPT]:
            del self.s.answers[oldest]
        await self.on_record()
        return receipt

    async def on_record(self) -> None:
        """Return when everything noted so far is in the database."""
        noted = self.noted
        await workflow.wait_condition(lambda: self.recorded >= noted)

    def sign(self, person: str, role: Role) -> None:
        """Refuse a signature that the contract does not give that person."""
        self.s.setting.people.require(person, role)

    def _answered(self, command: Command) -> Receipt | None:
        receipt = self.s.answers.get(command.command_id)
        if receipt is not None and receipt.digest != _content(command):
            raise KeyReused(
                f"command {command.command_id} came to {self.id} before, with other content, and "
                f"caused {', '.join(receipt.events) or 'nothing'}; expected the same, or another id"
            )
        return receipt

    # Time.

    def now(self) -> datetime:
        return self.s.now if self.s.setting.clock is ClockKind.TEST else workflow.now()

    def hear(self, at: datetime) -> None:
        """Business has come to an instant, by a tick, a command or a deadline; it never goes back."""
        self.s.now = max(self.s.now, at)

    async def wait_for(self, ready: Callable[[], bool], wait: Wait) -> bool:
        """Wait until `ready`, or until the wait is due: True for ready, which wins."""
        while True:
            if ready():
                return True
            if wait.due_at is not None and self._reached(wait.due_at):
                self.hear(wait.due_at)
                return False
            await self.write(wait)
            await self._renew_if_wanted()
            await self._rest(ready, wait)

    async def _rest(self, ready: Callable[[], bool], wait: Wait) -> None:
        """Until something is to be done: the wait is over, there is news to record, or to renew."""

        def resting() -> bool:
            return not (
                ready() or self._reached(wait.due_at) or self._news(wait) or self._should_renew()
            )

        self.resting = resting
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: not resting(),
                timeout=self._timer(wait.due_at),
                timeout_summary=wait.why[:80],
            )
        self.resting = None

    async def patiently(self, ready: Callable[[], bool], wait: Wait, patience: Patience) -> None:
        """Wait without end, but remind and then escalate after that many working days."""
        for kind, days in (
            (EventType.REMINDER_RAISED, patience.remind_after),
            (EventType.ESCALATION_RAISED, patience.escalate_after),
        ):
            due_at = await self.working_days_after(wait.since, days)
            if await self.wait_for(ready, wait.model_copy(update={"due_at": due_at})):
                return
            self.remind(kind, wait, due_at)
        await self.wait_for(ready, wait.model_copy(update={"overdue": True}))

    def remind(self, kind: EventType, wait: Wait, at: datetime) -> None:
        """Note that somebody is waited for longer than agreed; a notice goes out with it."""
        facts = {"waiting_for": wait.for_whom, "why": wait.why, "since": wait.since.isoformat()}
        self.note(Event(type=kind, occurred_at=at, actor=self.id, facts=facts))

    async def working_days_after(self, start: datetime, days: int) -> datetime:
        """End of that working day; waits for the calendar where its year is not yet decreed."""
        while True:
            try:
                return self.s.setting.calendar.working_days_after(start, days)
            except CalendarNotCovered as missing:
                wait = Wait(for_whom="calendar", why=str(missing), since=start, overdue=True)
                await self.wait_for(self._another_calendar(), wait)

    def _another_calendar(self) -> Callable[[], bool]:
        calendar = self.s.setting.calendar
        return lambda: self.s.setting.calendar != calendar

    def _reached(self, due_at: datetime | None) -> bool:
        return due_at is not None and self.now() >= due_at

    def _timer(self, due_at: datetime | None) -> timedelta | None:
        if self.s.setting.clock is ClockKind.TEST:
            return None
        return PARK if due_at is None else due_at - workflow.now()

    def _with_days(self, command: SetCalendar) -> Sequence[Event]:
        self.sign(command.by, Role.DELIVERY_LEAD)
        calendar = self.s.setting.calendar.with_days(
            command.command_id, command.working, command.off, command.last_year
        )
        self.s.setting = self.s.setting.model_copy(update={"calendar": calendar})
        return [
            command.makes(
                EventType.CALENDAR_SET,
                decree=command.command_id,
                working=[day.isoformat() for day in command.working],
                off=[day.isoformat() for day in command.off],
                last_year=calendar.last_year,
            )
        ]

    # Orders and the record.

    def about(self, what: str, at: datetime, by: str) -> dict[str, Any]:
        """The common part of an order: its key is this process and what the effect is."""
        return {
            "key": f"{self.id}:{what}",
            "engagement_id": self.s.setting.engagement_id,
            "workflow_id": self.id,
            "at": at,
            "by": by,
        }

    async def book(self, order: Order[A]) -> A:
        """Have an order carried out; one that is refused waits for a person, nothing is lost.

        What happened is on record before what follows from it.
        """
        while True:
            if not isinstance(order, Record):
                await self._put_on_record()
            try:
                return await self.carry_out(order)
            except Refused as failure:
                why = f"{order.key} was refused: {failure.cause or failure}"
                if isinstance(order, Record):
                    raise RuntimeError(why) from failure
                await self._nudged(order, why)

    async def _nudged(self, order: Order[A], why: str) -> None:
        """A refused order is on record, and waits until somebody has put its cause right.

        Working days may be what it lacked.
        """
        facts = {"order": order.key, "why": why}
        self.note(
            Event(type=EventType.STEP_REFUSED, occurred_at=order.at, actor=self.id, facts=facts)
        )
        nudges, decreed = self.nudges, self._another_calendar()
        wait = Wait(for_whom="operations", why=why, since=order.at, overdue=True)
        await self.wait_for(lambda: self.nudges > nudges or decreed(), wait)

    async def carry_out(self, order: Order[A]) -> A:
        """Run the order's activity; an outage is waited out, a refusal raises `Refused`.

        A command is in the history before anything that follows from it is done: until then
        orders are activities, after that local activities, which are quicker.
        """
        name, answer = order.activity(), order.answer()
        done: A
        if workflow.info().get_current_history_length() > self.commanded_at:
            done = await workflow.execute_local_activity(
                name,
                order,
                result_type=answer,
                summary=order.key,
                local_retry_threshold=LOCAL_RETRY,
                **DATABASE,
            )
        else:
            done = await workflow.execute_activity(
                name, order, result_type=answer, summary=order.key, **DATABASE
            )
        return done

    async def _put_on_record(self) -> None:
        if self.unrecorded:
            await self.write(None)

    def note(self, *events: Event) -> None:
        """Keep events for the next record."""
        self.unrecorded += events
        self.noted += len(events)

    async def write(self, wait: Wait | None, *, finished: bool = False) -> None:
        """Put what happened, and what is waited for now, into the database."""
        if not finished and not self._news(wait):
            return
        events, self.unrecorded = tuple(self.unrecorded), []
        noted, self.shown = self.noted, self._show(wait)
        self.s.seq += 1
        await self.book(
            Record(
                **self.about(f"#{self.s.seq}", self.s.now, self.id),
                seq=self.s.seq,
                kind=self.kind,
                subject=self.subject(),
                state=self.state(),
                detail=self.detail(),
                events=events,
                wait=wait,
                finished=finished,
                phase=self.phase(),
            )
        )
        self.recorded = noted

    def _show(self, wait: Wait | None) -> tuple[Wait | None, str, str | None]:
        return wait, self.state(), self.phase()

    def _news(self, wait: Wait | None) -> bool:
        return bool(self.unrecorded) or self._show(wait) != self.shown

    async def finish(self) -> None:
        """Take no more commands, put everything on record, let the answers leave."""
        self.over = True
        await self.write(None, finished=True)
        self.done = True
        await workflow.wait_condition(workflow.all_handlers_finished)

    # Other processes.

    async def start(self, process: Any, state: ProcessState, *path: str) -> None:
        """Start a child that outlives this run; it reports by signal."""
        await self._put_on_record()
        child_id = self.s.setting.workflow_id(*path)
        await workflow.start_child_workflow(
            process,
            state,
            id=child_id,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
        self.touched.append(child_id)

    async def tell_of(self, contract: Contract, processes: Iterable[str]) -> None:
        """Have other processes take over a new version; one that is gone is not told."""
        for process in processes:
            handle = workflow.get_external_workflow_handle(process)
            try:
                await handle.signal("contract_changed", contract)
            except FailureError:
                workflow.logger.warning("%s is gone and was not told", process)
            self.touched.append(process)

    async def report(self, at: datetime, **facts: Any) -> None:
        """Tell the engagement; one that is gone is not told."""
        await self._put_on_record()
        parent = self.s.setting.workflow_id()
        self.s.seq += 1
        report = Report(child=self.id, seq=self.s.seq, at=at, facts=facts)
        try:
            await workflow.get_external_workflow_handle(parent).signal("child_report", report)
        except FailureError:
            workflow.logger.warning("%s is gone and was not told", parent)
        self.touched.append(parent)

    # The next run.

    def _should_renew(self) -> bool:
        info = workflow.info()
        return (
            info.is_continue_as_new_suggested()
            or info.is_target_worker_deployment_version_changed()
            or info.get_current_history_length() > SOFT_EVENTS
            or info.get_current_history_size() > SOFT_BYTES
        )

    async def _renew_if_wanted(self) -> None:
        if not self._should_renew():
            return
        self.renewing = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        self.renewing = False
        if not self.unrecorded:
            workflow.continue_as_new(
                self.s,
                initial_versioning_behavior=workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
            )


def _content(command: Command) -> str:
    """What makes two commands the same one: all but the times, of which the first hold."""
    return canonical(command.model_dump(mode="json", exclude={"at", "received_at"}))
