"""What every process of one engagement shares, as data. Pure."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from contracts.calendar import BusinessCalendar
from contracts.contract import People


class ClockKind(StrEnum):
    """Live waits on timers; a test clock stands still until it is advanced."""

    LIVE = "live"
    TEST = "test"


class Book(StrEnum):
    """Test-clock engagements are a sandbox with their own book and invoice series."""

    LIVE = "live"
    SANDBOX = "sandbox"


EngagementId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$")]


class Setting(BaseModel):
    """The engagement a process belongs to, its clock, its working days and who may sign.

    `version` is that of the contract which names them.
    """

    model_config = ConfigDict(frozen=True)

    engagement_id: EngagementId
    clock: ClockKind
    calendar: BusinessCalendar
    people: People
    version: int = 1

    @property
    def book(self) -> Book:
        return Book.SANDBOX if self.clock is ClockKind.TEST else Book.LIVE

    def workflow_id(self, *path: str) -> str:
        """Dotted path of a process: `eng.E7`, `eng.E7.milestone.M1`."""
        return ".".join(("eng", self.engagement_id, *path))
