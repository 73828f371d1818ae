"""The state that each process carries through its life and into its next run. Pure."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contracts.commands import CloseEngagement, Receipt
from contracts.contract import Bet, Contract, MicroConsulting, Phase
from contracts.indicators import Indicator
from contracts.setting import Setting
from lifecycle.micro_consulting import MicroWork
from lifecycle.milestone import MilestoneWork
from lifecycle.value_position import ValuePosition


class EngagementPhase(StrEnum):
    """Go-live is a phase on the way, never the end of it (FND-07)."""

    VALUE_POSITIONING = "value_positioning"
    MICRO_CONSULTING = "micro_consulting"
    DECISION = "decision"
    SHELVED = "shelved"
    CONSULTING = "consulting"
    DESIGN_BUILD = "design_build"
    LIVE = "live"
    OPERATING = "operating"
    CYCLE_REVIEW = "cycle_review"
    CLOSED = "closed"


class ProcessState(BaseModel):
    """What every process knows. `now` is the latest business instant it has come to."""

    schema_version: int = 1
    setting: Setting
    now: datetime
    seq: int = 0
    answers: dict[str, Receipt] = Field(default_factory=dict)


class Report(BaseModel):
    """What a child tells its parent; `seq` lets the parent drop a report it has seen."""

    model_config = ConfigDict(frozen=True)

    child: str
    seq: int
    at: datetime
    facts: dict[str, Any] = Field(default_factory=dict)


class MicroState(ProcessState):
    """Micro-consulting; `billed` once the fee is on an invoice."""

    work: MicroWork
    terms: MicroConsulting
    billed: bool = False


class MilestoneProcessState(ProcessState):
    """One milestone."""

    work: MilestoneWork
    told: bool = False


class BetState(ProcessState):
    """One value bet. `started_on` is the measuring start, `over` the windows that are done."""

    bet: Bet
    clause: str
    started_on: date
    live_at: datetime
    over: tuple[str, ...] = ()
    placed: bool = False


class HoldProcessState(ProcessState):
    """One hold, by its id in the database."""

    hold: str


class RequestProcessState(ProcessState):
    """One request for a decision, by its id in the database."""

    request: str
    asked_at: datetime


class ChangeOrderState(ProcessState):
    """One change order that both sides signed, by its id in the database; `due_at` its effective date."""

    change: str
    due_at: datetime


class EngagementState(ProcessState):
    """The engagement as a whole; `phase` is where it stands on its line (spec 11.1)."""

    contract: Contract
    indicators: tuple[Indicator, ...]
    opened_by: str
    opened_at: datetime
    opened: bool = False
    phase: EngagementPhase = EngagementPhase.VALUE_POSITIONING
    position: ValuePosition
    micro: MicroWork | None = None
    micro_rounds: int = 0
    micro_running: bool = False
    decided_at: datetime | None = None
    begun: tuple[Phase, ...] = ()
    started: tuple[str, ...] = ()
    """The milestones that have their process."""
    accepted: dict[str, datetime] = Field(default_factory=dict)
    bets_running: bool = False
    bets_settled: tuple[str, ...] = ()
    closing: CloseEngagement | None = None
    reports: dict[str, int] = Field(default_factory=dict)
