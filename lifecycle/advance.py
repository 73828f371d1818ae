"""The advance: what the invoices still to come can deduct of it. Pure."""

from collections.abc import Collection

from contracts.commercial import Advance
from contracts.contract import Contract
from contracts.errors import TransitionError
from contracts.money import Money


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


def require_recoverable(contract: Contract, billed: Collection[str]) -> None:
    """Refuse an advance that the milestones not billed yet would not deduct in full.

    Args:
        billed: ids of the milestones that are invoiced.

    Raises:
        TransitionError: a rest would stay.
    """
    advance = agreed(contract)
    to_come = sum(
        (
            line.amount.share(advance.recovered)
            for milestone in contract.milestones
            if milestone.id not in billed
            for line in contract.lines_of(milestone.id)
            if line.fee == advance.fee
        ),
        Money(0, contract.currency),
    )
    if (to_come - advance.amount).minor < 0:
        raise TransitionError(
            f"advance {advance.id}: found {advance.amount} {advance.amount.currency} to be invoiced, "
            f"expected at most the {to_come} that the milestones not billed yet would deduct "
            f"(clause {advance.clause})"
        )
