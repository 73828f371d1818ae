"""Orders about advances, service credits and gain share. Pure."""

from contracts.fields import Id, Text
from contracts.money import Money
from lifecycle.orders import Billed, Instruction
from lifecycle.orders.approvals import Requested


class IssueAdvance(Instruction[Billed]):
    """Invoice the advance of the contract, once."""


class GrantServiceCredit(Instruction[Requested]):
    """Ask to credit service below its level against an invoice; `credit` names it."""

    credit: Id
    invoice: str
    amount: Money
    reason: Text
    evidence: Text


class ReportGainShare(Instruction[Requested]):
    """Report the benefit of a period; a later report of the period corrects it, and a true-up follows."""

    period: Id
    benefit: Money
    evidence: Text
