"""What may be asked of an engagement, in the imperative. Pure.

Every command names who asks (`by`), when it happened in business time (`at`, aware), and carries an
id made by the client, so that asking twice is asking once. The desk adds when it came in.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from contracts.contract import Role
from contracts.events import Event, EventType
from contracts.fields import Day, Id, Instant, Quantity, Text
from contracts.setting import ClockKind


class Command(BaseModel):
    """Base of all commands."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    command_id: Annotated[str, Field(min_length=1, max_length=100)]
    by: str
    at: Instant
    received_at: Instant | None = None

    def known_at(self) -> datetime:
        """When the engagement could know of it: no clock of the other side begins before."""
        return max(self.at, self.received_at or self.at)

    def makes(self, kind: EventType, **facts: object) -> Event:
        """The event this command caused, at its time, by its author."""
        return Event(
            type=kind, occurred_at=self.at, actor=self.by, command_id=self.command_id, facts=facts
        )


class Receipt(BaseModel):
    """The answer to a command: which events it made. Asked again, the same answer."""

    model_config = ConfigDict(frozen=True)

    command_id: str
    events: tuple[str, ...]
    digest: str = ""


class Stance(StrEnum):
    """How the unit earns its place in the group's strategy (FND-04)."""

    COST_CENTRE = "cost_centre"
    PROFIT_CENTRE = "profit_centre"
    OTHER = "other"


class Outcome(StrEnum):
    """What the decision gate may decide (MC-08); silence is none of them."""

    PROCEED = "PROCEED"
    SHELVE = "SHELVE"
    REWORK_ONCE = "REWORK_ONCE"


class AnswerPosition(Command):
    """One of the two blind answers (FND-03).

    `other` says what, where the stance is neither centre; `margin_exception` signs that margin gains
    may be bet on although the unit is a cost centre.
    """

    role: Role
    stance: Stance
    other: Text | None = None
    assessed_by: Text
    margin_exception: bool = False


class CompleteStep(Command):
    """A micro-consulting step is done; `minutes` is the consultant effort it took."""

    step: Id
    minutes: Annotated[int, Field(ge=0, le=100_000)]
    evidence: str | None = None


class Decide(Command):
    """One signature under the decision gate; business and IT must both sign the same outcome."""

    role: Role
    outcome: Outcome
    reason: Text


class Resume(Command):
    """Take a shelved engagement up again; the material must still be good, or be confirmed anew."""

    material_confirmed: bool = False


class SubmitEvidence(Command):
    """The deliverable and its evidence are handed in; the acceptance clock starts."""

    evidence: dict[str, str]


class AcceptMilestone(Command):
    """The client accepts the deliverable."""


class RejectMilestone(Command):
    """The client rejects the deliverable, with reasons."""

    reasons: Annotated[tuple[Text, ...], Field(min_length=1)]


class CloseEngagement(Command):
    """The review of the cycle is done, or a shelved engagement is given up."""

    note: Text


class SetCalendar(Command):
    """Working days that were decreed after the contract was signed."""

    working: tuple[Day, ...] = ()
    off: tuple[Day, ...] = ()
    last_year: Annotated[int, Field(ge=2000, le=2099)]


class AddReading(Command):
    """A measured value of an indicator; corrections are new readings of the same day."""

    indicator: Id
    measured_on: Day
    value: Quantity
    sample: Annotated[int, Field(ge=0, le=1_000_000_000)]
    source: Text
    evidence: Text


class OpenWish(BaseModel):
    """Open an engagement under a document, or find it open under just that document."""

    model_config = ConfigDict(frozen=True)

    contract_digest: str
    clock: ClockKind


class Opened(BaseModel):
    """An engagement that is open."""

    model_config = ConfigDict(frozen=True)

    engagement_id: str
    contract: str
    clock: ClockKind
    opened_at: datetime


class Tick(BaseModel):
    """A test clock reaches an instant."""

    model_config = ConfigDict(frozen=True)

    now: datetime


class Settled(BaseModel):
    """A process has done everything that was due; `touched` are the processes it wrote to."""

    model_config = ConfigDict(frozen=True)

    touched: tuple[str, ...] = ()
