"""Service credits: a credit for service below its level, within a share of the fee. Pure."""

from pydantic import BaseModel, ConfigDict

from contracts.commercial import ServiceCredits
from contracts.contract import Contract
from contracts.errors import TransitionError
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Id, percent
from contracts.money import Money


class ServiceCredit(BaseModel):
    """What is to be credited, net, against an invoice; `evidence` proves the service that was missed."""

    model_config = ConfigDict(frozen=True)

    id: Id
    invoice: str
    amount: Money
    reason: str
    evidence: str


def clause_of(contract: Contract) -> ServiceCredits:
    """The clause that allows service credits.

    Raises:
        TransitionError: the contract has none.
    """
    if contract.service_credits is None:
        raise TransitionError(
            f"contract {contract.id}: found no service_credits, expected the clause that allows them"
        )
    return contract.service_credits


def limit(contract: Contract) -> Money:
    """The most that all service credits may come to, net."""
    clause = clause_of(contract)
    fee = contract.fee(clause.fee)
    inside = contract.tax_of(fee.id).rate if fee.prices == "gross" else 0
    return fee.amount.share(clause.limit / (1 + inside))


def require_within(contract: Contract, granted: Money, amount: Money) -> None:
    """Refuse a credit beyond the limit.

    Args:
        granted: what was granted or asked for before.

    Raises:
        TransitionError: nothing, or more than is left.
    """
    left = limit(contract) - granted
    if amount.minor <= 0 or (left - amount).minor < 0:
        raise TransitionError(
            f"service credit: found {amount} {amount.currency}, expected more than 0 and at most "
            f"{left}, for {granted} of {limit(contract)} is granted or asked for "
            f"(clause {clause_of(contract).clause})"
        )


def explained(contract: Contract, credit: ServiceCredit, granted: Money) -> Explanation:
    """Why it is credited; `granted` is what was granted before."""
    clause = clause_of(contract)
    agreed, most = f"clause {clause.clause}", str(limit(contract))
    share = f"{percent(clause.limit)} of fee {clause.fee}"
    return Explanation(
        what=f"Service credit {credit.id}: {credit.reason}",
        amount=credit.amount,
        contract=contract.reference(),
        clause=clause.clause,
        inputs=(
            Input(
                name="credit",
                value=str(credit.amount),
                source="request",
                evidence=credit.evidence,
            ),
            Input(name="limit", value=f"{share} = {most}", source=agreed),
            Input(name="granted before", value=str(granted), source="credits before"),
        ),
        steps=(
            Calculation(
                formula="granted to date = granted before + credit, at most the limit",
                exact=str(granted + credit.amount),
            ),
        ),
    )
