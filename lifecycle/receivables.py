"""What is owed and paid: matching money with invoices, the age of what is open, two state machines. Pure."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from contracts.errors import TransitionError
from contracts.fields import Day, Id
from contracts.money import Money
from contracts.setting import Book

UNKNOWN_CUSTOMER = "?"
"""Whose credit money is while nobody knows who paid it; no party can have this code."""

Account = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,47}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,62}[!-~])?$")]
"""As the bank writes it: one line of printable ASCII, with no blank at its ends."""

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no such character."""


class BankReceipt(BaseModel):
    """Money that came in, as the bank says; the bank's reference is what makes it one receipt."""

    model_config = ConfigDict(frozen=True)

    book: Book
    seller: Id
    account: Account
    reference: Reference
    received_on: Day
    amount: Money
    payer: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""
    text: Annotated[str, Field(max_length=1000, pattern=NO_NUL)] = ""
    customer: Id | None = None

    @model_validator(mode="after")
    def _something(self) -> "BankReceipt":
        if self.amount.minor <= 0:
            raise ValueError(f"found amount {self.amount}, expected more than 0")
        return self

    @property
    def id(self) -> str:
        """Seller and account have no slash, so that it names one receipt."""
        sandbox = "TEST-" if self.book is Book.SANDBOX else ""
        return f"{sandbox}{self.seller}/{self.account}/{self.reference}"


class Claim(BaseModel):
    """The open part of an invoice: neither retained, nor withheld, nor disputed."""

    model_config = ConfigDict(frozen=True)

    invoice: str
    engagement_id: str
    issued_on: date
    due_on: date
    open: Money


class Part(BaseModel):
    """What of a receipt goes to an invoice."""

    model_config = ConfigDict(frozen=True)

    invoice: str
    amount: Money


def named_in(text: str, numbers: Iterable[str]) -> list[str]:
    """The document numbers that stand in a payment's text; `X-INV-2024-000001` is not `INV-2024-000001`."""
    return [
        number
        for number in numbers
        if re.search(rf"(?<![\w-]){re.escape(number)}(?!\w)", text, re.IGNORECASE | re.ASCII)
    ]


def match(received: Money, named: Sequence[Claim], others: Sequence[Claim]) -> tuple[Part, ...]:
    """Which open claims a receipt pays; what is left over stays with the customer as credit.

    Named invoices first: the one that is open with just this amount, else the one due first, as far
    as the money goes. Where the payer named none, the amount has to say it: the one open claim of
    just this amount, and nothing if there are two.

    Args:
        named: the claims whose numbers the payer wrote.
        others: all claims of the customer, where the payer wrote no number at all; else none.
    """
    if received.minor <= 0:
        return ()
    exact = [claim for claim in named if claim.open == received]
    if exact:
        return (Part(invoice=_by_due(exact)[0].invoice, amount=received),)
    if named:
        return _fill(received, _by_due(named))
    exact = [claim for claim in others if claim.open == received]
    return (Part(invoice=exact[0].invoice, amount=received),) if len(exact) == 1 else ()


def _by_due(claims: Iterable[Claim]) -> list[Claim]:
    return sorted(claims, key=lambda claim: (claim.due_on, claim.invoice))


def _fill(received: Money, claims: Iterable[Claim]) -> tuple[Part, ...]:
    parts, left = [], received
    for claim in claims:
        paid = min(left, claim.open, key=lambda amount: amount.minor)
        if paid.minor > 0:
            parts.append(Part(invoice=claim.invoice, amount=paid))
            left = left - paid
    return tuple(parts)


def applicable(
    wanted: Money | None, credit: Money, claim: Claim, source: str, besides: str = ""
) -> Money:
    """What of a credit goes to an invoice: as asked, or as much as both allow.

    Args:
        credit: what is free.
        besides: what is reserved of it, for the message.

    Raises:
        TransitionError: nothing is left or open, or less than asked.
    """
    most = min(credit, claim.open, key=lambda amount: amount.minor)
    amount = most if wanted is None else wanted
    if not 0 < amount.minor <= most.minor:
        found = "nothing" if wanted is None else f"{wanted} {wanted.currency}"
        raise TransitionError(
            f"{source} to {claim.invoice}: found {found} to apply, expected more than 0 and at most "
            f"{most} {most.currency} ({credit} is left of it{besides}, {claim.open} is open)"
        )
    return amount


class RefundState(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    SENT = "sent"
    UNKNOWN = "unknown"
    """Sent, and no answer tells what became of it: only asking does."""
    CONFIRMED = "confirmed"
    FAILED = "failed"


IN_FLIGHT = (
    RefundState.REQUESTED,
    RefundState.APPROVED,
    RefundState.SENT,
    RefundState.UNKNOWN,
)
"""While a refund is in one of these, its amount is reserved."""


class DisputeState(StrEnum):
    OPEN = "open"
    UPHELD = "upheld"
    PARTLY = "partly"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


State = TypeVar("State", RefundState, DisputeState)

FROM: dict[RefundState | DisputeState, tuple[str, ...]] = {
    RefundState.APPROVED: (RefundState.REQUESTED,),
    # Again from UNKNOWN: the provider says that it never got it.
    RefundState.SENT: (RefundState.APPROVED, RefundState.UNKNOWN),
    RefundState.UNKNOWN: (RefundState.SENT,),
    # From APPROVED by hand, where people pay it at the bank.
    RefundState.CONFIRMED: (RefundState.APPROVED, RefundState.SENT, RefundState.UNKNOWN),
    RefundState.FAILED: IN_FLIGHT,
    DisputeState.UPHELD: (DisputeState.OPEN,),
    DisputeState.PARTLY: (DisputeState.OPEN,),
    DisputeState.REJECTED: (DisputeState.OPEN,),
    DisputeState.WITHDRAWN: (DisputeState.OPEN,),
}
"""Each state with those it may be reached from; the rest are beginnings."""


def require_step(what: str, found: str, to: RefundState | DisputeState) -> None:
    """Refuse a step that a state machine does not have.

    Raises:
        TransitionError: names the thing, its state and those that lead on.
    """
    if found not in FROM[to]:
        raise TransitionError(
            f"{what} is {found}, found a step to {to.value}, expected it to be "
            f"{' or '.join(FROM[to])}"
        )


def ruling(disputed: Money, upheld: Money) -> DisputeState:
    """What upholding that much of a dispute makes of it.

    Raises:
        TransitionError: nothing, or more than is disputed.
    """
    if not 0 < upheld.minor <= disputed.minor:
        raise TransitionError(
            f"found {upheld} {upheld.currency} to uphold, expected more than 0 and at most "
            f"{disputed}; a dispute without any merit is rejected"
        )
    return DisputeState.UPHELD if upheld == disputed else DisputeState.PARTLY


class Age(StrEnum):
    """How long a claim is overdue, in calendar days."""

    NOT_DUE = "not due"
    TO_30 = "1-30"
    TO_60 = "31-60"
    TO_90 = "61-90"
    OVER_90 = "over 90"


LAST_DAY = {Age.NOT_DUE: 0, Age.TO_30: 30, Age.TO_60: 60, Age.TO_90: 90}


def age(due_on: date, on: date) -> Age:
    """The day on which a claim is due is not overdue yet."""
    overdue = (on - due_on).days
    return next((bucket for bucket, last in LAST_DAY.items() if overdue <= last), Age.OVER_90)


class Due(BaseModel):
    """A part of a claim and the day on which it is due."""

    model_config = ConfigDict(frozen=True)

    due_on: date
    amount: Money


def still_due(open: Money, claimed: Iterable[Due]) -> list[Due]:
    """The parts that an open amount consists of: payments settle what is due first.

    Args:
        claimed: what became payable, and when: the invoice, then what was released of it later.
    """
    parts, left = [], open
    for due in sorted(claimed, key=lambda due: due.due_on, reverse=True):
        amount = min(left, due.amount, key=lambda amount: amount.minor)
        if amount.minor > 0:
            parts.append(Due(due_on=due.due_on, amount=amount))
            left = left - amount
    return parts
