"""A credit over lines of several invoices: how much of each, never more than is left of it. Pure."""

from collections.abc import Iterable
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from contracts.errors import TransitionError
from contracts.money import Money
from lifecycle.invoice import BilledLine
from lifecycle.tax import Taxed

ELSEWHERE = "what is held, disputed or written off is decided on there"
"""Where the rest of an invoice is that is neither open nor paid."""


class Room(BaseModel):
    """What can be credited of an invoice, gross: what is open of it, and what was paid."""

    model_config = ConfigDict(frozen=True)

    invoice: str
    open: Money
    paid: Money

    @property
    def whole(self) -> Money:
        return self.open + self.paid

    def settled(self, gross: Money) -> Money:
        """What of a credit was paid before, and becomes the customer's credit: what is open goes first.

        Raises:
            TransitionError: more than is open and paid.
        """
        if (self.whole - gross).minor < 0:
            raise TransitionError(
                f"{self.invoice}: found {gross} {gross.currency} to credit, expected at most "
                f"{self.whole}: {self.open} is open and {self.paid} paid; {ELSEWHERE}"
            )
        return Money(max((gross - self.open).minor, 0), gross.currency)


def in_turn(
    lines: Iterable[BilledLine], rooms: dict[str, Room], net: Money
) -> list[tuple[BilledLine, Taxed]]:
    """A credit over lines in their order, each as far as it goes.

    What is held, disputed or written off of an invoice is not credited here.

    Raises:
        TransitionError: all of them together do not come to it.
    """
    parts, rest = [], net
    left = {number: room.whole for number, room in rooms.items()}
    for line in lines:
        part = most_of(line, rest, left[line.number])
        if part.net.minor > 0:
            parts.append((line, part))
            rest -= part.net
            left[line.number] -= part.gross
    if rest.minor:
        raise TransitionError(
            f"found {net} {net.currency} to credit, expected at most the {net - rest} that is open "
            f"or paid of the invoices; {ELSEWHERE}"
        )
    return parts


def most_of(line: BilledLine, net: Money, room: Money) -> Taxed:
    """The largest next part of a line within that net, what is left of it, and that gross."""
    whole = line.billed
    within = Fraction(room.minor * whole.net.minor, whole.gross.minor) if whole.gross.minor else 0
    most = max(min(net.minor, line.left.net.minor, int(within)), 0)
    part = line.part(Money(most, net.currency))
    # Its tax is rounded over all parts of the line, so it may be one unit more than that of the room.
    if part.gross.minor > room.minor:
        part = line.part(Money(most - 1, net.currency))
    return part
