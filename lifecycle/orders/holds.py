"""Orders about holds: placed by people, decided, cured, disputed, their clocks. Pure."""

from datetime import datetime
from typing import Literal

from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.money import Money
from lifecycle.hold import HoldState
from lifecycle.orders import Answer, Instruction, Order
from lifecycle.orders.approvals import Requested


class PlaceHold(Instruction[Requested]):
    """Ask for a hold on a milestone's fee, or on a line of an issued invoice (`NUMBER/1`).

    The key is the request's: `eng.E.request.ID`. `amount` is net.
    """

    hold: str
    kind: HoldKind
    effect: HoldEffect
    milestone: str | None = None
    line: str | None = None
    amount: Money
    reason: str
    evidence: str | None = None


class DecideHold(Instruction[Requested]):
    """Ask for a part of a hold to be released or forfeited; it is reserved until decided. Net."""

    hold: str
    decision: Literal[Decision.RELEASE, Decision.FORFEIT]
    amount: Money
    reason: str
    evidence: str | None = None


class ExtendHold(Instruction[Requested]):
    """Ask for more time before the decision about a hold."""

    hold: str
    reason: str


class HoldNow(Answer):
    """How a hold stands now; asked again, it is looked at again.

    `recorded` is the number of the latest record of its process, in whichever run of it.
    """

    hold: str
    state: HoldState
    held: Money
    reserved: Money
    since: datetime
    due_at: datetime | None
    disputed: bool
    waits_for: str
    why: str
    recorded: int = 0

    def final(self) -> bool:
        return False


class LookAtHold(Order[HoldNow]):
    """How a hold stands now."""

    hold: str


class HoldMoved(Answer):
    """A hold after something happened to it."""

    hold: str
    state: HoldState
    due_at: datetime | None
    disputed: bool = False
    early: bool = False
    """The clock had not ended, or stood still: not kept, since it may end at the same time later."""
    asked: str | None = None
    """What a step of retention asked for: that is the effect, and another may be due at the same time."""

    def final(self) -> bool:
        return not self.early and self.asked is None


class ServeCureNotice(Instruction[HoldMoved]):
    """The other side is told to put it right; `proof` of service starts the cure clock."""

    hold: str
    proof: str


class DisputeHold(Instruction[HoldMoved]):
    """One side disputes the hold: its clocks stand still."""

    hold: str
    reason: str


class CloseHoldDispute(Instruction[HoldMoved]):
    """The dispute is over; `ruling` says how. Amounts are decided by a request, as ever."""

    hold: str
    ruling: str


class EndHoldClock(Order[HoldMoved]):
    """The clock that ends at `due_at` has ended; where it was stopped or moved since, nothing happens."""

    hold: str
    due_at: datetime
