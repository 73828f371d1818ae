"""The commercial clauses: payment, approvals, holds, retention, advance, credits, gain share. Pure."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.fields import Clause, Count, Id, Quantity, Share, Span, Terms, Title
from contracts.money import Money

PERSON_ID = r"^[a-z0-9][a-z0-9._-]{0,47}$"
PersonId = Annotated[str, StringConstraints(pattern=PERSON_ID)]


class HoldEffect(StrEnum):
    """What a hold does to the money."""

    BLOCK_INVOICING = "block_invoicing"
    """Not invoiced yet."""
    WITHHOLD_PAYMENT = "withhold_payment"
    """Invoiced, and not to be paid yet."""
    RESERVE_REFUND = "reserve_refund"
    """Invoiced and to be paid, and claimed back if it is forfeited."""


class HoldKind(StrEnum):
    """Why money is held."""

    VALUE_BET = "VALUE_BET"
    RETENTION = "RETENTION"
    ADMIN_BLOCK = "ADMIN_BLOCK"
    COMPLIANCE = "COMPLIANCE"


class Decision(StrEnum):
    """What can be asked for and needs approval, unless an automatic policy covers it."""

    RELEASE = "release"
    FORFEIT = "forfeit"
    PLACE_HOLD = "place_hold"
    EXTEND = "extend"
    CREDIT = "credit"
    SERVICE_CREDIT = "service_credit"
    GAIN_SHARE = "gain_share"
    DISPUTE_RULING = "dispute_ruling"
    WRITE_OFF = "write_off"
    REFUND = "refund"
    REVERSAL = "reversal"
    CHANGE_ORDER = "change_order"


class Payment(Terms):
    """When a document is to be paid: calendar days after its date."""

    clause: Clause
    days: Annotated[Count, Field(le=365)]


class Authority(Terms):
    """One person who may approve, up to an amount; without `up_to` there is no limit."""

    person: PersonId
    up_to: Money | None = None


class AutomaticPolicy(Terms):
    """The only way round approval: decided by the clause alone, and recorded as the one who decided.

    `of` names one hold, retention or milestone; without it the policy covers every one.
    """

    id: Id
    clause: Clause
    decisions: Annotated[tuple[Decision, ...], Field(min_length=1)]
    of: Id | None = None
    up_to: Money | None = None


class Approvals(Terms):
    """Decisions about money need `needed` different people, none of them the one who asks."""

    clause: Clause
    needed: Annotated[Count, Field(ge=1, le=5)] = 2
    expire_after: Annotated[Count, Field(ge=1, le=250)] = 10
    """Working days after which a request that nobody decided is void."""
    authority: tuple[Authority, ...] = ()
    automatic: tuple[AutomaticPolicy, ...] = ()


class HoldClocks(Terms):
    """The clocks of a hold, in working days, and what silence means when the last one has ended."""

    clause: Clause
    review: Count | None = None
    """From placing to the decision; without it a hold waits until it is decided."""
    cure: Count | None = None
    """From a cure notice to the decision; without it no cure notice can be served."""
    decision: Count = 10
    default: Literal["release", "forfeit", "escalate"] = "escalate"
    extensions: Annotated[Count, Field(le=5)] = 1


class MissHold(Terms):
    """A hold that places itself when an indicator misses its limit `times` out of the last `of` readings.

    A reading below the minimum sample is no reading; with fewer than `of` readings nothing is missed.
    """

    id: Id
    clause: Clause
    indicator: Id
    limit: Quantity
    missed: Literal["below", "above"]
    times: Annotated[Count, Field(ge=1)] = 1
    of: Annotated[Count, Field(ge=1, le=24)] = 1
    effect: Literal["block_invoicing", "withhold_payment"]
    milestone: Id
    """The milestone whose fee is held: not invoiced, or invoiced and not to be paid."""
    share: Share
    """Of the milestone's amount."""


class RetentionStep(Terms):
    """A share of what was retained, released that long after go-live."""

    id: Id
    clause: Clause
    after: Span
    share: Share


class Retention(Terms):
    """A part of each milestone invoice that is paid later.

    With `tax` at `release`, the retained part carries its tax only when it is released; its base
    is then the net. `limit` bounds what is retained in all, as a share of the fee.
    """

    id: Id
    clause: Clause
    fee: Id
    rate: Share
    base: Literal["net", "gross"]
    tax: Literal["invoice", "release"]
    limit: Share | None = None
    release: Annotated[tuple[RetentionStep, ...], Field(min_length=1)]


class Advance(Terms):
    """Paid before performance and deducted from later invoices of its fee, by `recovered` of each net."""

    id: Id
    clause: Clause
    title: Title
    fee: Id
    amount: Money
    recovered: Share


class ServiceCredits(Terms):
    """Credits for service below its level: at most `limit` of the fee in all."""

    clause: Clause
    fee: Id
    limit: Share


class GainBand(Terms):
    """A band of the cumulative benefit; the last one has no end."""

    share: Share
    up_to: Money | None = None


class GainShare(Terms):
    """X: a share of the benefit beyond the fee, by bands of the benefit to date, then cap, then floor.

    `floor` is the most that the supplier pays in the end, as a positive amount (pain share).
    """

    id: Id
    clause: Clause
    title: Title
    dead_band: Money | None = None
    """Benefit (or loss) up to this is not shared."""
    bands: Annotated[tuple[GainBand, ...], Field(min_length=1)]
    pain: Share = Field(default="0%", validate_default=True)
    """Share of a loss to date that the supplier bears."""
    cap: Money
    floor: Money


class Ceiling(Terms):
    """Not to exceed: reserved and billed stay within the amount, for the contract or one fee line."""

    clause: Clause
    level: Id
    """`contract`, or the id of a fee line."""
    amount: Money
