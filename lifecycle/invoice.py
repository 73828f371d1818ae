"""What stands on an invoice or credit note before it gets its number. Pure."""

from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from contracts.contract import Contract
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Title
from contracts.money import Money
from contracts.setting import Book


class Line(BaseModel):
    """One line, net; `claim` is the tranche it bills, which can be billed once."""

    model_config = ConfigDict(frozen=True)

    claim: str
    clause: str
    title: Title
    net: Money
    explanation: Explanation


class Draft(BaseModel):
    """Lines with their tax, computed once per document on the sum of the rounded nets.

    `tax_given` where it is a part of the tax of an invoice before instead.
    """

    model_config = ConfigDict(frozen=True)

    lines: tuple[Line, ...]
    net: Money
    tax: Money
    tax_code: str
    tax_rate: Fraction
    tax_given: bool

    @property
    def gross(self) -> Money:
        return self.net + self.tax


def draft(contract: Contract, lines: tuple[Line, ...], tax: Money | None = None) -> Draft:
    """Price a document.

    Args:
        tax: given for a part of an invoice that already carries its tax, as a credit note does.
    """
    net = sum((line.net for line in lines), Money(0, contract.currency))
    return Draft(
        lines=lines,
        net=net,
        tax=net.share(contract.tax.rate) if tax is None else tax,
        tax_code=contract.tax.code,
        tax_rate=contract.tax.rate,
        tax_given=tax is not None,
    )


def fixed_fee_line(
    contract: Contract, claim: str, clause: str, title: Title, net: Money, proof: Input
) -> Line:
    """A line for a stated amount that became due with `proof`: a milestone, say."""
    amount = Input(name="amount", value=str(net), source=f"clause {clause}")
    return Line(
        claim=claim,
        clause=clause,
        title=title,
        net=net,
        explanation=Explanation(
            what=title.en,
            amount=net,
            contract=f"{contract.id}@v{contract.version}",
            clause=clause,
            inputs=(amount, proof),
            steps=(Calculation(formula="net = amount", exact=str(net)),),
        ),
    )


def tax_calculation(priced: Draft) -> Calculation:
    """The rounding of the document's tax, for `explain`."""
    if priced.tax_given:
        return Calculation(
            formula=f"tax = part of the tax of the corrected invoice ({priced.tax_code})",
            exact=str(priced.tax),
            rule="R6 cumulative over the parts of the invoice",
        )
    return Calculation(
        formula=f"tax = net * {priced.tax_rate} ({priced.tax_code})",
        exact=str(priced.net.exact * priced.tax_rate),
        rounded=str(priced.tax),
        rule="R1 half away from zero, once per document",
    )


def series(contract: Contract, book: Book, document: str) -> str:
    """The number series of a document: legal entity, kind, and TEST for the sandbox."""
    kind = {"invoice": "INV", "credit_note": "CN"}[document]
    sandbox = "TEST-" if book is Book.SANDBOX else ""
    return f"{sandbox}{contract.parties.consultant.entity}-{kind}"
