"""Orders about the books as a whole: close a period, ask for a reversal. Pure."""

from contracts.setting import Book
from lifecycle.orders import Answer, Instruction
from lifecycle.orders.approvals import Requested


class PeriodClosed(Answer):
    """The month is closed, and everything before it; `sealed` groups of the book are in its chain."""

    entity: str
    month: str
    sealed: int


class ClosePeriod(Instruction[PeriodClosed]):
    """Close a month of a legal entity in one book, for good."""

    engagement_id: str = ""
    """Of none: a period closes for all engagements of the seller."""
    workflow_id: str = ""
    book: Book
    entity: str
    month: str


class AskReversal(Instruction[Requested]):
    """Ask for the exact mirror of a journal group; the key is the request's: `eng.E.request.ID`.

    The engagement is the group's; of a group that belongs to none, one with the same customer,
    whose contract says who approves.
    """

    group: str
    reason: str
