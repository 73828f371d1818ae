"""Micro-consulting: steps as data, three clocks, one decision gate (MC-01 to MC-12). Pure."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from contracts.commands import CompleteStep, Decide, Outcome
from contracts.contract import Role
from contracts.errors import TransitionError
from contracts.events import Event, EventType
from contracts.step_plan import Lead, Mode, Step, StepPlan

SIGNATORIES = (Role.BUSINESS_LEAD, Role.IT_LEAD)
LEADERS = {
    Lead.CONSULTANT: (Role.EXPERT,),
    Lead.CLIENT: (Role.BUSINESS_LEAD, Role.IT_LEAD, Role.UNIT_HEAD),
}


class StepDone(BaseModel):
    """One pass through a step; `rework` passes are free and kept apart from the planned effort."""

    model_config = ConfigDict(frozen=True)

    step: str
    opened_at: datetime
    done_at: datetime
    minutes: int
    rework: bool


class MicroWork(BaseModel):
    """Where the work stands. `step_open_since` is when the current step, or the gate, opened."""

    model_config = ConfigDict(frozen=True)

    plan: StepPlan
    started_at: datetime
    step_open_since: datetime
    done: tuple[StepDone, ...] = ()
    reworking: bool = False
    reworked: bool = False
    signatures: dict[Role, Outcome] = {}
    outcome: Outcome | None = None

    def current(self) -> Step | None:
        """The step to be done now; None when the gate is open."""
        passes = [done.step for done in self.done if done.rework == self.reworking]
        steps = self.plan.from_step(self.plan.rework_from) if self.reworking else self.plan.steps
        return next((step for step in steps if step.id not in passes), None)

    def unsigned(self) -> list[str]:
        """Who still has to sign at the gate."""
        return [role.value for role in SIGNATORIES if role not in self.signatures]


class Clocks(BaseModel):
    """The three clocks (MC-07): consultant effort, client waiting, elapsed; never mixed.

    Efforts are minutes; `rework_minutes` is outside the planned effort and not charged.
    """

    model_config = ConfigDict(frozen=True)

    online_minutes: int
    offline_minutes: int
    rework_minutes: int
    client_waiting: timedelta
    elapsed: timedelta

    @property
    def effort_minutes(self) -> int:
        return self.online_minutes + self.offline_minutes


def clocks(work: MicroWork, now: datetime) -> Clocks:
    """Read the clocks; a client step that is still open counts as waiting up to `now`."""
    steps = {step.id: step for step in work.plan.steps}

    def effort(mode: Mode) -> int:
        return sum(d.minutes for d in work.done if not d.rework and steps[d.step].mode is mode)

    waits = [d.done_at - d.opened_at for d in work.done if steps[d.step].lead is Lead.CLIENT]
    current = work.current()
    if current and current.lead is Lead.CLIENT:
        waits.append(max(now - work.step_open_since, timedelta()))
    ended = work.done[-1].done_at if work.done and current is None else now
    return Clocks(
        online_minutes=effort(Mode.ONLINE),
        offline_minutes=effort(Mode.OFFLINE),
        rework_minutes=sum(d.minutes for d in work.done if d.rework),
        client_waiting=sum(waits, timedelta()),
        elapsed=max(ended - work.started_at, timedelta()),
    )


def complete_step(work: MicroWork, command: CompleteStep) -> tuple[MicroWork, list[Event]]:
    """Do the current step.

    Raises:
        TransitionError: another step is current; minutes on a client step; time runs backwards;
            a rework beyond its agreed effort.
    """
    step = work.current()
    if step is None:
        raise TransitionError(
            f"found step {command.step}, but every step is done; the gate is open"
        )
    if step.id != command.step:
        raise TransitionError(f"found step {command.step}, expected {step.id} ({step.title.en})")
    if step.lead is Lead.CLIENT and command.minutes:
        raise TransitionError(
            f"step {step.id} is led by the client: found {command.minutes} minutes of consultant "
            "effort, expected 0 (INV-04)"
        )
    _expect_later(work, f"step {step.id}", command.at)
    spent = command.minutes + sum(d.minutes for d in work.done if d.rework)
    if work.reworking and spent > work.plan.rework_minutes:
        raise TransitionError(
            f"found {spent} minutes of rework, expected at most {work.plan.rework_minutes} (Q15)"
        )
    passed = StepDone(
        step=step.id,
        opened_at=work.step_open_since,
        done_at=command.at,
        minutes=command.minutes,
        rework=work.reworking,
    )
    after = work.model_copy(update={"done": (*work.done, passed), "step_open_since": command.at})
    facts = {
        "step": step.id,
        "title": step.title.en,
        "lead": step.lead.value,
        "minutes": command.minutes,
        "planned": step.minutes,
        "rework": work.reworking,
        "evidence": command.evidence,
    }
    events = [command.makes(EventType.STEP_COMPLETED, **facts)]
    if after.current() is None:
        events.append(command.makes(EventType.FINAL_SUBMITTED, rework=work.reworking))
    return after, events


def decide(work: MicroWork, command: Decide) -> tuple[MicroWork, list[Event]]:
    """Sign at the gate; when both have signed the same outcome, it is decided.

    Two different signatures decide nothing: both are asked again.

    Raises:
        TransitionError: the gate is not open at that time, is decided, no right to sign, or a
            second rework.
    """
    if work.outcome:
        raise TransitionError(f"the gate has decided: {work.outcome.value}")
    if step := work.current():
        raise TransitionError(f"the gate opens after the last step; {step.id} is still open")
    if command.role not in SIGNATORIES:
        raise TransitionError(
            f"found a signature as {command.role.value}, expected {' and '.join(SIGNATORIES)}"
        )
    if command.outcome is Outcome.REWORK_ONCE and work.reworked:
        raise TransitionError("found REWORK_ONCE, but the one rework has been used (MC-08)")
    _expect_later(work, "the gate", command.at)
    signatures = work.signatures | {command.role: command.outcome}
    signed = command.makes(
        EventType.DECISION_SIGNED,
        role=command.role.value,
        outcome=command.outcome.value,
        reason=command.reason,
    )
    if len(signatures) < len(SIGNATORIES):
        return work.model_copy(update={"signatures": signatures}), [signed]
    if len(set(signatures.values())) > 1:
        split = {role.value: outcome.value for role, outcome in signatures.items()}
        return work.model_copy(update={"signatures": {}}), [
            signed,
            command.makes(EventType.DECISION_SPLIT, signatures=split),
        ]
    if command.outcome is Outcome.REWORK_ONCE:
        again = {
            "signatures": {},
            "reworking": True,
            "reworked": True,
            "step_open_since": command.at,
        }
        ordered = command.makes(EventType.REWORK_ORDERED, from_step=work.plan.rework_from)
        return work.model_copy(update=again), [signed, ordered]
    final = {"signatures": signatures, "outcome": command.outcome}
    decided = {
        Outcome.PROCEED: EventType.PROCEEDED,
        Outcome.SHELVE: EventType.SHELVED,
    }[command.outcome]
    return work.model_copy(update=final), [signed, command.makes(decided)]


def gate_reopened(work: MicroWork, at: datetime) -> MicroWork:
    """The same work at its gate again, after a shelved engagement was resumed.

    Raises:
        TransitionError: before the gate that shelved it was open.
    """
    _expect_later(work, "the gate", at)
    return work.model_copy(update={"signatures": {}, "outcome": None, "step_open_since": at})


def _expect_later(work: MicroWork, what: str, at: datetime) -> None:
    if at < work.step_open_since:
        raise TransitionError(
            f"{what} opened at {work.step_open_since.isoformat()}, found {at.isoformat()}, "
            "expected that time or later"
        )
