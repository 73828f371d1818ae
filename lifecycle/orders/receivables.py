"""Orders about what is owed and paid: receipts, refunds, disputes, credits, write-offs. Pure."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from contracts.fields import Text, canonical
from contracts.money import Money
from lifecycle.orders import A, Answer, Instruction, Order
from lifecycle.orders.approvals import Requested
from lifecycle.receivables import BankReceipt, DisputeState, Part, RefundState


class Fact(Order[A]):
    """Something the bank says, and says to everybody alike: whoever tells it first is on record."""

    def content(self) -> str:
        return canonical(self.model_dump(mode="json", exclude={"at", "by"}))


class OfNoEngagement(Fact[A]):
    """Money belongs to no engagement before it pays an invoice."""

    engagement_id: str = ""
    workflow_id: str = ""


class Recorded(Answer):
    """The receipts that are on record now, by id; those that were before are among them."""

    receipts: tuple[str, ...]


class RecordReceipts(OfNoEngagement[Recorded]):
    """Store receipts, all or none of them; the key is the receipt's, or made of what they are."""

    receipts: tuple[BankReceipt, ...]
    places: tuple[str, ...] = ()
    """Where each was found, for the message of a refusal."""

    def content(self) -> str:
        return canonical({each.id: each.model_dump(mode="json") for each in self.receipts})


class Matched(Answer):
    """What of a receipt went to which invoices, and what is left as the customer's credit."""

    receipt: str
    customer: str | None
    applied: tuple[Part, ...]
    left: Money


class MatchReceipt(OfNoEngagement[Matched]):
    """Apply a receipt as far as its text or its amount says to what; once, when it came in."""

    receipt: str


class AssignReceipt(OfNoEngagement[Matched]):
    """Say who paid a receipt of which nothing is applied, and apply it as far as it says to what."""

    receipt: str
    customer: str


class Applied(Answer):
    """What of a credit went to an invoice, or came back from it."""

    source: str
    invoice: str
    amount: Money


class ApplyCredit(Instruction[Applied]):
    """Pay an invoice from a receipt or a credit note of the customer; without amount, all it can."""

    source: str
    invoice: str
    amount: Money | None = None


class UnapplyCredit(Instruction[Applied]):
    """Take back what a receipt or credit note paid of an invoice."""

    source: str
    invoice: str
    reason: Text


class ReverseReceipt(OfNoEngagement[Matched]):
    """The bank took the money back: everything it paid is open again."""

    receipt: str
    reason: Text


class RequestRefund(Instruction[Requested]):
    """Ask for credit to be paid back; the key is the request's: `eng.E.request.ID`."""

    refund: str
    source: str
    amount: Money
    pay_to: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Text


class Refunding(Answer):
    """Where a refund stands; while it is neither confirmed nor failed it is asked for again."""

    refund: str
    state: RefundState
    evidence: str | None = None

    def final(self) -> bool:
        return self.settled

    @property
    def settled(self) -> bool:
        return self.state in {RefundState.CONFIRMED, RefundState.FAILED}


class SendRefund(Order[Refunding]):
    """Hand an approved refund to the provider; sent twice, it has the same idempotency key."""

    refund: str


class AskRefund(Order[Refunding]):
    """Ask the provider what became of a refund."""

    refund: str


class SettleRefund(Fact[Refunding]):
    """A refund was paid, or was not: as the provider says, or the bank's statement."""

    refund: str
    state: Literal[RefundState.CONFIRMED, RefundState.FAILED]
    evidence: Text

    def content(self) -> str:
        return canonical({"state": self.state})


class Disputed(Answer):
    """A dispute and what it is about, gross."""

    dispute: str
    invoice: str
    state: DisputeState
    amount: Money


class OpenDispute(Instruction[Disputed]):
    """Dispute lines of an invoice, or an amount of it, gross: that part is not overdue any more."""

    dispute: str
    invoice: str
    lines: tuple[int, ...] = ()
    amount: Money | None = None
    reason: Text


class EndDispute(Instruction[Disputed]):
    """The client withdraws a dispute, or the consultant rejects it: its part is to be paid again."""

    dispute: str
    state: Literal[DisputeState.WITHDRAWN, DisputeState.REJECTED]
    reason: Text


class RuleDispute(Instruction[Requested]):
    """Ask for a dispute to be upheld, in all or in part (gross); the key is the request's."""

    dispute: str
    upheld: Money
    reason: Text


class CreditReason(StrEnum):
    ERROR = "error"
    GOODWILL = "goodwill"
    ADVANCE = "advance"


class RequestCredit(Instruction[Requested]):
    """Ask for a credit note on an invoice, gross; the key is the request's.

    Over the lines named, or over all, in proportion to what is left of each.
    """

    credit: str
    invoice: str
    lines: tuple[int, ...] = ()
    amount: Money
    code: CreditReason
    reason: Text


class RequestWriteOff(Instruction[Requested]):
    """Ask for an open part of an invoice to be given up, gross; the key is the request's."""

    write_off: str
    invoice: str
    amount: Money
    reason: Text
