"""What a process orders from the outside: one class an effect, with its key and its answer. Pure.

The activity of an order has its name in snake case. An order's key says what the effect is; carried
out twice, it is done once and answered twice.
"""

import re
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from contracts.contract import Contract
from contracts.events import Event
from contracts.fields import canonical
from contracts.indicators import Indicator
from contracts.money import Money
from contracts.setting import ClockKind
from lifecycle.bet import Trend, Verdict
from lifecycle.milestone import Acceptance


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    def final(self) -> bool:
        """Whether the order is carried out; an answer that is not final may be asked for again."""
        return True


A = TypeVar("A", bound=Answer)


class Order(BaseModel, Generic[A]):
    """Base of all orders. `at` is business time; `by` a person, a clause or a process."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    key: str
    engagement_id: str
    workflow_id: str
    at: datetime
    by: str

    def content(self) -> str:
        """What is ordered, as a JSON object; the same key with other content is another order."""
        return canonical(self)

    @classmethod
    def activity(cls) -> str:
        """The name of the activity that carries it out: `ReleaseHoldback` is `release_holdback`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def answer(cls) -> type[A]:
        """The type of its answer."""
        (kind,) = cls.__bases__[0].__pydantic_generic_metadata__["args"]  # type: ignore[attr-defined]
        answer: type[A] = kind
        return answer


class Instruction(Order[A], Generic[A]):
    """Base of the orders by people: handed in again, later, it is the same one; the first time holds."""

    def content(self) -> str:
        return canonical(self.model_dump(mode="json", exclude={"at"}))


class Done(Answer):
    """It is written."""


class OpenEngagement(Order[Done]):
    """Register the contract version and the engagement under it."""

    contract: Contract
    indicators: tuple[Indicator, ...]
    clock: ClockKind
    phase: str

    def content(self) -> str:
        """The text of a contract is on record once, whoever runs under it; its digest says which."""
        rest = self.model_dump(mode="json", exclude={"contract"})
        return canonical(rest | {"contract": self.contract.digest()})


class Wait(BaseModel):
    """Whom a process waits for, why and since when; `due_at` is when it goes on without them."""

    model_config = ConfigDict(frozen=True)

    for_whom: str
    why: str
    since: datetime
    due_at: datetime | None = None
    overdue: bool = False


class Record(Order[Done]):
    """Write what happened in a process and what it waits for now; `seq` counts in the process."""

    seq: int
    kind: str
    subject: str
    state: str
    detail: dict[str, Any]
    events: tuple[Event, ...]
    wait: Wait | None
    finished: bool
    phase: str | None = None


class Billed(Answer):
    """The document that bills it; none where all of it is forfeited, or while holds block it."""

    number: str | None = None
    gross: Money
    blocked_by: tuple[str, ...] = ()

    def final(self) -> bool:
        return not self.blocked_by


class BillMicroConsulting(Order[Billed]):
    """Invoice the micro-consulting fee; due on submission of the final version (Q17)."""

    evidence: str


class EvaluateMilestone(Order[Done]):
    """Post an accepted milestone as earned."""

    milestone: str
    acceptance: Acceptance


class BillMilestone(Order[Billed]):
    """Invoice an accepted milestone, once."""

    milestone: str
    acceptance: Acceptance


class Placed(Answer):
    """The holdback stands; `invoice` where it is invoiced and withheld."""

    hold: str
    amount: Money
    invoice: str | None = None


class PlaceHoldback(Order[Placed]):
    """Hold back the trailing part of the fee against a bet."""

    bet: str


class TrendRead(Answer):
    """The direction of each indicator."""

    trends: dict[str, Trend]


class ReadTrend(Order[TrendRead]):
    """Read the trend of a bet's indicators; moves no money (BET-07)."""

    bet: str
    window: str
    started_on: date


class Assessed(Answer):
    """The verdict of a window, or the indicators without a reading that counts.

    It is decided when the window is over and the last reading that counts has come in.
    """

    missing: tuple[str, ...] = ()
    verdict: Verdict | None = None
    decided_at: datetime | None = None

    def final(self) -> bool:
        return self.verdict is not None


class AssessWindow(Order[Assessed]):
    """Evaluate a closed window on its readings; decided once, when all are there."""

    bet: str
    window: str
    started_on: date


class Decided(Answer):
    """What was released or forfeited, net, and the document that carries it; or what that waits for.

    It is never the effect itself: that belongs to the request, and is looked up again.
    """

    amount: Money
    document: str | None = None
    waits_for: str | None = None

    def final(self) -> bool:
        return False


class ReleaseHoldback(Order[Decided]):
    """Release the won part of a window's stake: invoice it, or make it payable."""

    bet: str
    window: str


class ForfeitHoldback(Order[Decided]):
    """Forfeit the lost part of a window's stake by a decision; a credit note where invoiced."""

    bet: str
    window: str


class Closed(Answer):
    """The final account, in the contract's prices. Always: fixed + released + forfeited == fee."""

    fee: Money
    fixed: Money
    released: Money
    forfeited: Money


class CloseAccount(Order[Closed]):
    """Check the final account of an engagement and close its books.

    `shelved` engagements close with the micro-consulting fee alone.
    """

    shelved: bool
    note: str


class Deliver(BaseModel):
    """One outbox message, to be carried out by the workers of that queue."""

    model_config = ConfigDict(frozen=True)

    key: str
    queue: str


class Delivered(BaseModel):
    """The status that the other side answered with."""

    model_config = ConfigDict(frozen=True)

    key: str
    status: int
