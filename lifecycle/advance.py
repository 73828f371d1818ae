"""The advance: what the invoices still to come can deduct of it, and what can be credited. Pure."""

from collections.abc import Collection

from contracts.commercial import Advance
from contracts.contract import Contract
from contracts.errors import TransitionError
from contracts.money import Money
from lifecycle.invoice import BilledLine


def agreed(contract: Contract) -> Advance:
    """The clause that agrees an advance.

    Raises:
        TransitionError: the contract has none.
    """
    if contract.advance is None:
        raise TransitionError(
            f"contract {contract.id}: found no advance, expected the clause that agrees one"
        )
    return contract.advance


def recoverable(contract: Contract, billed: Collection[str]) -> Money:
    """What the milestones not billed yet would deduct of the advance, in the prices of its fee.

    Args:
        billed: ids of the milestones that are invoiced.

    Raises:
        TransitionError: the contract has no advance.
    """
    advance = agreed(contract)
    return sum(
        (
            line.amount.share(advance.recovered)
            for milestone in contract.milestones
            if milestone.id not in billed
            for line in contract.lines_of(milestone.id)
            if line.fee == advance.fee
        ),
        Money(0, contract.currency),
    )


def require_recoverable(contract: Contract, billed: Collection[str]) -> None:
    """Refuse an advance that the milestones not billed yet would not deduct in full.

    Args:
        billed: ids of the milestones that are invoiced.

    Raises:
        TransitionError: a rest would stay.
    """
    advance, to_come = agreed(contract), recoverable(contract, billed)
    if (to_come - advance.amount).minor < 0:
        raise TransitionError(
            f"advance {advance.id}: found {advance.amount} {advance.amount.currency} to be invoiced, "
            f"expected at most the {to_come} that the milestones not billed yet would deduct "
            f"(clause {advance.clause})"
        )


def require_left(advance: BilledLine, gross: Money) -> None:
    """Refuse to credit more of an advance than is left of it.

    Args:
        advance: the line that billed it, with what was deducted and credited of it as taken.

    Raises:
        TransitionError: it is more.
    """
    left = advance.left.gross
    if (left - gross).minor < 0:
        raise TransitionError(
            f"{advance.number}: found {gross} {gross.currency} to credit, expected at most the {left} "
            f"that is left of the advance: of {advance.billed.gross}, {advance.taken.gross} is deducted "
            "or credited already"
        )
