"""A milestone: evidence handed in, then accepted, rejected or deemed accepted. Pure."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from contracts.calendar import BusinessCalendar
from contracts.commands import AcceptMilestone, RejectMilestone, SubmitEvidence
from contracts.contract import Contract, Milestone
from contracts.errors import TransitionError
from contracts.events import Event, EventType


class MilestoneState(StrEnum):
    IN_DELIVERY = "in_delivery"
    IN_ACCEPTANCE = "in_acceptance"
    ACCEPTED = "accepted"
    BILLED = "billed"
    WITHDRAWN = "withdrawn"
    """Taken out of the contract by a change order."""


class Acceptance(BaseModel):
    """Who accepted when, and on which evidence; `deemed` when the clause did, by silence."""

    model_config = ConfigDict(frozen=True)

    by: str
    at: datetime
    deemed: bool
    evidence: dict[str, str]


class MilestoneWork(BaseModel):
    """Where one milestone stands. `due_at` is the end of the acceptance clock while it runs."""

    model_config = ConfigDict(frozen=True)

    terms: Milestone
    state: MilestoneState = MilestoneState.IN_DELIVERY
    evidence: dict[str, str] = {}
    submissions: int = 0
    submitted_at: datetime | None = None
    rejected_at: datetime | None = None
    due_at: datetime | None = None
    acceptance: Acceptance | None = None


def submit(
    work: MilestoneWork, command: SubmitEvidence, calendar: BusinessCalendar
) -> tuple[MilestoneWork, list[Event]]:
    """Hand in the evidence; the acceptance clock starts on the working day after it came in.

    Raises:
        TransitionError: not in delivery at that time, or required evidence is missing.
        CalendarNotCovered: the clock would end in a year whose working days are unknown.
    """
    _expect(work, MilestoneState.IN_DELIVERY, work.rejected_at, "submitted", command.at)
    given = [kind for kind, proof in command.evidence.items() if proof]
    missing = [kind for kind in work.terms.evidence if kind not in given]
    if missing:
        raise TransitionError(
            f"milestone {work.terms.id}: found evidence {', '.join(sorted(given)) or 'none'}, "
            f"expected also {', '.join(missing)} (clause {work.terms.clause})"
        )
    due_at = calendar.working_days_after(command.known_at(), work.terms.acceptance.working_days)
    after = work.model_copy(
        update={
            "state": MilestoneState.IN_ACCEPTANCE,
            "evidence": command.evidence,
            "submissions": work.submissions + 1,
            "submitted_at": command.at,
            "due_at": due_at,
        }
    )
    return after, [
        command.makes(
            EventType.MILESTONE_SUBMITTED,
            milestone=work.terms.id,
            submission=after.submissions,
            evidence=command.evidence,
            accept_by=due_at.isoformat(),
        )
    ]


def accept(work: MilestoneWork, command: AcceptMilestone) -> tuple[MilestoneWork, list[Event]]:
    """The client accepts; the amount is frozen from here on.

    Raises:
        TransitionError: nothing is handed in at that time, or it is accepted already.
    """
    _expect_before_deemed(work, "accepted", command.at)
    return _accepted(work, command.by, command.at, deemed=False, command_id=command.command_id)


def reject(work: MilestoneWork, command: RejectMilestone) -> tuple[MilestoneWork, list[Event]]:
    """The client rejects with reasons; the milestone goes back to delivery.

    Raises:
        TransitionError: nothing is handed in at that time, or it is accepted already.
    """
    _expect_before_deemed(work, "rejected", command.at)
    after = work.model_copy(
        update={"state": MilestoneState.IN_DELIVERY, "due_at": None, "rejected_at": command.at}
    )
    rejected = command.makes(
        EventType.MILESTONE_REJECTED,
        milestone=work.terms.id,
        submission=work.submissions,
        reasons=list(command.reasons),
    )
    return after, [rejected]


def clock_ended(work: MilestoneWork) -> tuple[MilestoneWork, list[Event]]:
    """The acceptance clock has run out: silence accepts, where the clause says so."""
    assert work.due_at is not None
    if not work.terms.acceptance.deemed:
        raise TransitionError(f"clause {work.terms.clause} has no deemed acceptance")
    return _accepted(work, f"clause:{work.terms.clause}", work.due_at, deemed=True, command_id=None)


def amended(work: MilestoneWork, contract: Contract) -> MilestoneWork:
    """With the terms of the contract's new version; a clock that runs ends as it was to end.

    What is accepted keeps its terms. What the new version does not have is withdrawn.
    """
    if work.acceptance is not None:
        return work
    for terms in contract.milestones:
        if terms.id == work.terms.id:
            return work.model_copy(update={"terms": terms})
    return work.model_copy(update={"state": MilestoneState.WITHDRAWN, "due_at": None})


def billed(work: MilestoneWork) -> MilestoneWork:
    """The accepted amount is on an invoice."""
    return work.model_copy(update={"state": MilestoneState.BILLED})


def _accepted(
    work: MilestoneWork, by: str, at: datetime, *, deemed: bool, command_id: str | None
) -> tuple[MilestoneWork, list[Event]]:
    acceptance = Acceptance(by=by, at=at, deemed=deemed, evidence=work.evidence)
    after = work.model_copy(
        update={"state": MilestoneState.ACCEPTED, "due_at": None, "acceptance": acceptance}
    )
    facts = {"milestone": work.terms.id, "deemed": deemed, "title": work.terms.title.en}
    event = Event(
        type=EventType.MILESTONE_ACCEPTED,
        occurred_at=at,
        actor=by,
        command_id=command_id,
        facts=facts,
    )
    return after, [event]


def _expect_before_deemed(work: MilestoneWork, wish: str, at: datetime) -> None:
    """Handed in, and silence has not accepted it yet, even where its timer still has to fire."""
    _expect(work, MilestoneState.IN_ACCEPTANCE, work.submitted_at, wish, at)
    if work.terms.acceptance.deemed and work.due_at and at > work.due_at:
        raise TransitionError(
            f"milestone {work.terms.id} is accepted by clause {work.terms.clause} since "
            f"{work.due_at.isoformat()}, found it {wish} at {at.isoformat()}"
        )


def _expect(
    work: MilestoneWork, state: MilestoneState, since: datetime | None, wish: str, at: datetime
) -> None:
    if work.state is not state:
        raise TransitionError(
            f"milestone {work.terms.id} is {work.state.value.replace('_', ' ')}, "
            f"expected {state.value.replace('_', ' ')} to be {wish}"
        )
    if since and at < since:
        raise TransitionError(
            f"milestone {work.terms.id} is {state.value.replace('_', ' ')} since "
            f"{since.isoformat()}, found it {wish} at {at.isoformat()}, expected that time or later"
        )
