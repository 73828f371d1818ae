"""A change order: what it changes, and what that does to what is billed already (c.5-17). Pure.

What was billed under the old version is never issued again. One delta document corrects its lines,
so that bill and delta together are the bill that the new version would have made from the start:
net for each line, tax for each code and rate of each document.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from contracts.contract import Contract
from contracts.difference import Difference, differences
from contracts.errors import TransitionError
from contracts.explanation import Calculation, Explanation, Input
from contracts.money import Money
from lifecycle.caps import authorised, changes
from lifecycle.invoice import (
    BilledLine,
    Correction,
    Draft,
    Kind,
    Line,
    PricedLine,
    Purpose,
    draft,
    fixed_fee_line,
    milestone_lines,
    without_forfeited,
)
from lifecycle.tax import Taxed, nothing

MICRO = "micro-consulting"
"""How the bill of micro-consulting is named beside those of the milestones."""


class EditKind(StrEnum):
    MILESTONE_ADDED = "milestone added"
    MILESTONE_REMOVED = "milestone removed"
    AMOUNT_CHANGED = "amount changed"
    DATE_MOVED = "date moved"
    CLAUSE_CHANGED = "clause changed"


class Edit(NamedTuple):
    """One value that the new version changes."""

    kind: EditKind
    difference: Difference

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.difference}"


def edits(old: Contract, new: Contract) -> list[Edit]:
    """What the new version changes, in the order of the document.

    Raises:
        TermsError: two different contracts, or a version that is not a later one.
    """
    found = differences(old, new)
    return [Edit(_kind(each), each) for each in found if each.path != "version"]


def _kind(difference: Difference) -> EditKind:
    listed, _, rest = difference.path.partition("[")
    if listed == "milestones" and rest.endswith("]") and "[" not in rest:
        added = difference.before is None
        return EditKind.MILESTONE_ADDED if added else EditKind.MILESTONE_REMOVED
    if difference.path.endswith(".amount"):
        return EditKind.AMOUNT_CHANGED
    if difference.path in {"signed_on", "effective_on"}:
        return EditKind.DATE_MOVED
    return EditKind.CLAUSE_CHANGED


class Tranche(BaseModel):
    """What a bill has of one fee: its line, then what earlier change orders billed more, in that order."""

    model_config = ConfigDict(frozen=True)

    fee: str
    net: Money
    lines: tuple[BilledLine, ...]


class Bill(BaseModel):
    """The invoice of a milestone, or of micro-consulting; `forfeited` of the milestone before it, net."""

    model_config = ConfigDict(frozen=True)

    number: str
    what: str
    forfeited: Money
    tranches: tuple[Tranche, ...]


class PricedChange(BaseModel):
    """What one line is in the old version and in the new one, net, and what is billed of it.

    `billed` is None where nothing is; `before` or `after` where a version does not have the line.
    """

    model_config = ConfigDict(frozen=True)

    what: str
    fee: str
    clause: str
    billed: Money | None = None
    before: Money | None
    after: Money | None
    delta: Taxed | None = None


class Corrected(BaseModel):
    """A billed line with what is added to it, or taken off it."""

    model_config = ConfigDict(frozen=True)

    line: BilledLine
    part: Taxed
    before: Money
    after: Money


class Pricing(BaseModel):
    """What a change order costs: line by line, at each level, and on the one delta document."""

    model_config = ConfigDict(frozen=True)

    edits: tuple[str, ...]
    lines: tuple[PricedChange, ...]
    authorised: dict[str, Money]
    corrections: tuple[Corrected, ...]
    delta: Taxed

    @property
    def document(self) -> Kind | None:
        """An invoice where there is more to pay, or the same; none where nothing billed changes."""
        if not self.corrections:
            return None
        sign = self.delta.net.minor, self.delta.tax.minor
        return "invoice" if sign >= (0, 0) else "credit_note"

    @property
    def size(self) -> Money:
        """What authority is measured against: the more of all that rises and all that falls, net."""
        moved = [_minor(line.after) - _minor(line.before) for line in self.lines]
        up = sum(each for each in moved if each > 0)
        down = sum(-each for each in moved if each < 0)
        return Money(max(up, down), self.delta.net.currency)


def price(old: Contract, new: Contract, bills: Sequence[Bill]) -> Pricing:
    """What the new version changes about every line, billed or not.

    Raises:
        TransitionError: a bill would have other lines, or net and gross of the delta would have
            different signs.
    """
    lines = [
        line
        for what in _all_named(old, new)
        for line in _priced(what, old, new, next((b for b in bills if b.what == what), None))
    ]
    corrections = [each for bill in bills for each in _corrections(bill, old, new)]
    parts = [each.part for each in corrections]
    delta = nothing(new.currency)
    for part in parts:
        delta = Taxed(delta.net + part.net, delta.tax + part.tax)
    if delta.net.minor * delta.gross.minor < 0:
        raise TransitionError(
            f"found a delta of {delta.net} {new.currency} net and {delta.gross} with tax, expected "
            "both on one side of 0; raise and lower billed lines in two change orders"
        )
    return Pricing(
        edits=tuple(map(str, edits(old, new))),
        lines=(*lines, _holdback(old, new)),
        authorised={
            level: change
            for level, change in changes(authorised(old), authorised(new)).items()
            if change.minor
        },
        corrections=tuple(corrections),
        delta=delta,
    )


def billed_as(contract: Contract, bill: Bill) -> dict[str, Taxed]:
    """What a bill would say under a version of the contract, by fee, had it been issued under that."""
    lines = _lines(contract, bill.what, bill.number, bill.forfeited)
    return {line.fee: Taxed(line.net, line.tax) for line in lines}


def billed_of(purpose: str, key: str) -> str:
    """What an invoice bills: micro-consulting, or the milestone of its key `eng.E.milestone.M1:bill`."""
    return MICRO if purpose == Purpose.MICRO else key.rpartition(":")[0].rpartition(".")[2]


def document(new: Contract, pricing: Pricing, change: str) -> Draft:
    """The delta document over all corrected lines; on a credit note what is taken off is positive.

    Args:
        change: id of the change order; it is part of each claim.
    """
    lower = pricing.document == "credit_note"
    return draft(new, [_line(new, each, change, lower) for each in pricing.corrections])


def _line(new: Contract, corrected: Corrected, change: str, lower: bool) -> Line:
    line, part = corrected.line, corrected.part
    net, tax = (-part.net, -part.tax) if lower else part
    contract = new.reference()
    formula = "net = old - new" if lower else "net = new - old"
    if abs(part.net.minor) != abs((corrected.after - corrected.before).minor):
        formula = f"{formula}, as far as it is of this line"
    explanation = Explanation(
        what=f"{line.title.en}, change order {change.rpartition('.')[2]}",
        amount=net,
        contract=contract,
        clause=line.clause,
        inputs=(
            Input(name="old", value=str(corrected.before), source=f"{new.id}, version before"),
            Input(
                name="new", value=str(corrected.after), source=f"{contract}, clause {line.clause}"
            ),
        ),
        steps=(Calculation(formula=formula, exact=str(net)),),
    )
    return Line(
        claim=f"{change}:{line.number}/{line.line}",
        fee=line.fee,
        clause=line.clause,
        title=line.title,
        amount=net,
        explanation=explanation,
        corrects=Correction(
            number=line.number,
            line=line.line,
            tax_code=line.tax_code,
            tax_rate=line.tax_rate,
            tax=tax,
        ),
    )


def _corrections(bill: Bill, old: Contract, new: Contract) -> Iterator[Corrected]:
    before, after = billed_as(old, bill), billed_as(new, bill)
    if before.keys() != after.keys():
        raise TransitionError(
            f"{bill.what} is billed as {bill.number}: found lines of {_names(after)} in the new "
            f"version, expected those of {_names(before)}"
        )
    for tranche in bill.tranches:
        one, other = before[tranche.fee], after[tranche.fee]
        delta = Taxed(other.net - one.net, other.tax - one.tax)
        for line, part in _spread(tranche.lines, delta):
            yield Corrected(line=line, part=part, before=one.net, after=other.net)


def _spread(lines: Sequence[BilledLine], delta: Taxed) -> Iterator[tuple[BilledLine, Taxed]]:
    """More is added to the first line; less is taken off the latest first, each as far as it goes."""
    first, *more = lines
    if (delta.net.minor, delta.tax.minor) > (0, 0):
        yield first, delta
        return
    for line in reversed(more):
        left = line.left
        if left.net.minor <= -delta.net.minor and left.net.minor:
            yield line, Taxed(-left.net, -left.tax)
            delta = Taxed(delta.net + left.net, delta.tax + left.tax)
        elif delta.net.minor and left.net.minor:
            yield line, delta
            return
    if delta.net.minor or delta.tax.minor:
        yield first, delta


def _priced(what: str, old: Contract, new: Contract, bill: Bill | None) -> Iterator[PricedChange]:
    forfeited = bill.forfeited if bill else Money(0, new.currency)
    one, other = (
        {line.fee: line for line in _lines(each, what, what, forfeited)}
        if what in _named(each)
        else {}
        for each in (old, new)
    )
    billed = {tranche.fee: tranche.net for tranche in bill.tranches} if bill else {}
    for fee, line in (one | other).items():
        before, after = one.get(fee), other.get(fee)
        delta = None
        if fee in billed and before and after:
            delta = Taxed(after.net - before.net, after.tax - before.tax)
        yield PricedChange(
            what=what,
            fee=fee,
            clause=line.clause,
            billed=billed.get(fee),
            before=before.net if before else None,
            after=after.net if after else None,
            delta=delta,
        )


def _holdback(old: Contract, new: Contract) -> PricedChange:
    """It is invoiced when the bet is decided, so nothing of it is corrected."""
    return PricedChange(
        what=f"holdback {new.holdback.id}",
        fee=new.holdback.fee,
        clause=new.holdback.clause,
        before=old.holdback_amount(),
        after=new.holdback_amount(),
    )


def _lines(contract: Contract, what: str, claim: str, forfeited: Money) -> tuple[PricedLine, ...]:
    """The bill of a milestone, or of micro-consulting, as a version has it."""
    proof = Input(name="billed", value=claim, source=what)
    if what == MICRO:
        fee = contract.fee(contract.micro_consulting.fee)
        line = fixed_fee_line(contract, claim, fee.id, fee.clause, fee.title, fee.amount, proof)
        return draft(contract, (line,)).lines
    priced = draft(contract, milestone_lines(contract, what, claim, proof))
    left = without_forfeited(priced, forfeited) if forfeited.minor else priced
    return left.lines if left else ()


def _named(contract: Contract) -> list[str]:
    return [MICRO, *(milestone.id for milestone in contract.milestones)]


def _all_named(old: Contract, new: Contract) -> list[str]:
    return list(dict.fromkeys((*_named(new), *_named(old))))


def _names(fees: Iterable[str]) -> str:
    return ", ".join(sorted(fees)) or "nothing"


def _minor(amount: Money | None) -> int:
    return amount.minor if amount else 0
