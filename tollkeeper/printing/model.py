"""What a printed document says, before it has a shape. Pure."""

from datetime import date
from enum import StrEnum
from functools import reduce
from operator import sub
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer, computed_field

from contracts.explanation import Explanation
from contracts.fields import Share, Title, percent
from contracts.money import Money


class PrintLanguage(StrEnum):
    """Which language the labels and names are in."""

    EN = "en"
    ZH = "zh"
    BOTH = "both"


Rate = Annotated[Share, PlainSerializer(percent)]
"""Exact; shown as `6%`."""


class Printed(BaseModel):
    model_config = ConfigDict(frozen=True)


class Side(Printed):
    """Seller or buyer; `entity` is the code that document numbers begin with."""

    name: Title
    entity: str


class Line(Printed):
    """One line, net; `corrects` is the line that it corrects, `NUMBER/1`."""

    line: int
    clause: str
    title: Title
    tax_code: str
    tax_rate: Rate
    net: Money
    corrects: str | None = None


class TaxGroup(Printed):
    """The tax of all lines of one code and rate."""

    code: str
    rate: Rate
    net: Money
    tax: Money


DeductionKind = Literal["retained", "withheld", "advance"]


class Deduction(Printed):
    """A part of the gross that is not to be paid now; `amount` is positive."""

    kind: DeductionKind
    clause: str | None
    amount: Money


class Note(Printed):
    """A sentence below the totals; `subject` is its code as in an electronic invoice (UNTDID 4451)."""

    subject: str | None = None
    text: Title


class PrintedDocument(Printed):
    """An invoice or credit note. The totals are of the full supply; deductions stand below them."""

    document: Literal["invoice", "credit_note"]
    number: str
    purpose: str
    sandbox: bool
    issued_on: date
    due_on: date
    engagement: str
    contract: str
    contract_title: Title
    seller: Side
    buyer: Side
    corrects: str | None
    lines: tuple[Line, ...]
    taxes: tuple[TaxGroup, ...]
    net: Money
    tax: Money
    gross: Money
    deductions: tuple[Deduction, ...] = ()
    notes: tuple[Note, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def payable(self) -> Money:
        """What is to be paid by the due date: the gross less what is kept back and what was paid."""
        return reduce(sub, (part.amount for part in self.deductions), self.gross)


class Signed(Printed):
    """One approval; `on` is the date in the contract's time zone."""

    person: Title
    on: date


class Request(Printed):
    """What was asked for and signed; `digest` is the SHA-256 of exactly that."""

    id: str
    on: date
    digest: str
    signatures: tuple[Signed, ...]


class PrintedDecision(Printed):
    """A release or a forfeiture, by people or by a policy of the contract."""

    key: str
    decision: Literal["released", "forfeited"]
    sandbox: bool
    engagement: str
    contract: str
    contract_title: Title
    seller: Side
    buyer: Side
    hold: str
    kind: str
    effect: str
    fee: Title
    clause: str
    amount: Money
    requested_by: Title
    decided_by: tuple[Title, ...]
    decided_on: date
    request: Request | None
    document: str | None
    reasons: tuple[Explanation, ...]


Paper = PrintedDocument | PrintedDecision
