"""A hold on money: its buckets, its states, its clocks in working days (c.2). Pure."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from contracts.calendar import BusinessCalendar
from contracts.commercial import HoldClocks, HoldEffect, HoldKind
from contracts.errors import TransitionError
from contracts.money import Money


class HoldState(StrEnum):
    """What a hold waits for; requests in flight are beside it, as reservations."""

    ACTIVE = "active"
    CURING = "curing"
    DECISION_DUE = "decision_due"
    SETTLED = "settled"
    CANCELLED = "cancelled"


OPEN = (HoldState.ACTIVE, HoldState.CURING, HoldState.DECISION_DUE)


class Hold(BaseModel):
    """One hold, net. Always: placed == held + released + forfeited, and reserved <= held.

    `line` is `NUMBER/1`, the invoice line that is not to be paid or may be claimed back; `milestone`
    what is not to be invoiced. `due_at` is the end of the clock of its state.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: HoldKind
    effect: HoldEffect
    clause: str
    fee: str
    bet: str | None = None
    milestone: str | None = None
    invoice: str | None = None
    invoice_line: int | None = None
    placed: Money
    placed_tax: Money
    released: Money
    forfeited: Money
    decided_tax: Money
    """Inside what has left it; retention may have grown since."""
    reserved: Money
    placed_by: str
    placed_at: datetime
    state: HoldState = HoldState.ACTIVE
    disputed_at: datetime | None = None
    due_at: datetime | None = None
    extensions: int = 0
    clocks: HoldClocks | None = None

    @property
    def held(self) -> Money:
        return self.placed - self.released - self.forfeited

    @property
    def decided(self) -> Money:
        """What has left the hold, either way."""
        return self.released + self.forfeited

    @property
    def free(self) -> Money:
        """What is held and not reserved for a decision that is asked for."""
        return self.held - self.reserved

    def require(self, part: Money) -> None:
        """Refuse to decide about more than is still held and free.

        Raises:
            TransitionError: nothing, or more than that.
            TermsError: another currency.
        """
        if part.minor <= 0 or (self.free - part).minor < 0:
            reserved = f" ({self.reserved} of it is asked for)" if self.reserved.minor else ""
            raise TransitionError(
                f"hold {self.id}: found {part} {part.currency} to decide, expected more than 0 and "
                f"at most {self.free} of {self.held} still held{reserved}"
            )


def first_clock(
    clocks: HoldClocks | None, at: datetime, calendar: BusinessCalendar
) -> datetime | None:
    """When a hold that is placed then is to be decided, where the clause says so."""
    if clocks is None or clocks.review is None:
        return None
    return calendar.working_days_after(at, clocks.review)


def cure_noticed(hold: Hold, at: datetime, calendar: BusinessCalendar) -> Hold:
    """A cure notice is served: the other side has that many working days to put it right.

    Raises:
        TransitionError: the clause has no cure, or the hold is not active.
    """
    require_state(hold, "given a cure notice", HoldState.ACTIVE)
    if hold.clocks is None or hold.clocks.cure is None:
        raise TransitionError(f"hold {hold.id}: its clause {hold.clause} knows no cure")
    due_at = calendar.working_days_after(at, hold.clocks.cure)
    return hold.model_copy(update={"state": HoldState.CURING, "due_at": due_at})


def clock_ended(hold: Hold, calendar: BusinessCalendar) -> Hold:
    """The clock of an active or curing hold has run out: it is to be decided, within its own clock."""
    assert hold.due_at is not None
    require_state(hold, "decided", HoldState.ACTIVE, HoldState.CURING)
    return decision_due(hold, hold.due_at, calendar)


def decision_due(hold: Hold, at: datetime, calendar: BusinessCalendar) -> Hold:
    """People are to decide from then on."""
    days = (hold.clocks or HoldClocks(clause=hold.clause)).decision
    due_at = calendar.working_days_after(at, days)
    return hold.model_copy(update={"state": HoldState.DECISION_DUE, "due_at": due_at})


def extended(hold: Hold, at: datetime, calendar: BusinessCalendar) -> Hold:
    """More time before the decision, as often as the clause allows.

    Raises:
        TransitionError: not to be decided now, or extended too often.
    """
    require_state(hold, "extended", HoldState.DECISION_DUE)
    clocks = hold.clocks or HoldClocks(clause=hold.clause)
    if hold.extensions >= clocks.extensions:
        raise TransitionError(
            f"hold {hold.id}: found it extended {hold.extensions} times, expected at most "
            f"{clocks.extensions} (clause {clocks.clause})"
        )
    days = clocks.review or clocks.decision
    return hold.model_copy(
        update={
            "state": HoldState.ACTIVE,
            "due_at": calendar.working_days_after(at, days),
            "extensions": hold.extensions + 1,
        }
    )


def disputed(hold: Hold, at: datetime) -> Hold:
    """A dispute is opened: the clocks stand still until it is closed.

    Raises:
        TransitionError: settled, disputed already, or its clock has ended before.
    """
    require_open(hold, "disputed")
    if hold.disputed_at is not None:
        raise TransitionError(
            f"hold {hold.id}: found it disputed since {hold.disputed_at.isoformat()}, expected it "
            "not to be disputed"
        )
    if hold.due_at is not None and at > hold.due_at:
        raise TransitionError(
            f"hold {hold.id}: its clock ended at {hold.due_at.isoformat()}, found it disputed at "
            f"{at.isoformat()}"
        )
    return hold.model_copy(update={"disputed_at": at})


def dispute_closed(hold: Hold, at: datetime, calendar: BusinessCalendar) -> Hold:
    """The dispute is over: the clocks run on with the working days that were left.

    Raises:
        TransitionError: it is not disputed, or was only later.
    """
    since = hold.disputed_at
    if since is None or at < since:
        raise TransitionError(
            f"hold {hold.id}: found its dispute closed at {at.isoformat()}, expected it to be open "
            "by then"
        )
    due_at = hold.due_at
    if due_at is not None:
        due_at = calendar.working_days_after(at, calendar.working_days_between(since, due_at))
    return hold.model_copy(update={"disputed_at": None, "due_at": due_at})


def moved(hold: Hold) -> Hold:
    """After a part has come or left: settled when nothing is held, active again when something is."""
    if not hold.held.minor:
        return hold.model_copy(update={"state": HoldState.SETTLED, "due_at": None})
    if hold.state is HoldState.SETTLED:
        return hold.model_copy(update={"state": HoldState.ACTIVE})
    return hold


def require_open(hold: Hold, wish: str) -> None:
    """Refuse what only an open hold allows."""
    require_state(hold, wish, *OPEN)


def require_state(hold: Hold, wish: str, *states: HoldState) -> None:
    """Refuse what this state does not allow.

    Raises:
        TransitionError: the hold is in another state.
    """
    if hold.state not in states:
        expected = " or ".join(_words(state) for state in states)
        raise TransitionError(
            f"hold {hold.id}: found it {_words(hold.state)}, expected {expected} to be {wish}"
        )


def _words(state: HoldState) -> str:
    return state.value.replace("_", " ")
