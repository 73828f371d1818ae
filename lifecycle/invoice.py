"""What stands on an invoice or credit note before it gets its number. Pure."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from contracts.commercial import Advance, Retention
from contracts.contract import Contract
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Title
from contracts.money import Money, allocate
from contracts.setting import Book
from lifecycle.tax import (
    Prices,
    Taxed,
    gross_part,
    gross_parts,
    net_part,
    nothing,
    shares,
    taxed,
)

Kind = Literal["invoice", "credit_note"]


class Purpose(StrEnum):
    """What a document is for; the value is the one in storage and in messages."""

    MICRO = "micro"
    MILESTONE = "milestone"
    HOLDBACK = "holdback"
    RELEASE = "release"
    FORFEIT = "forfeit"
    RETENTION = "retention"
    ADVANCE = "advance"
    DELTA = "delta"
    SERVICE_CREDIT = "service_credit"
    GAIN_SHARE = "gain_share"
    DISPUTE = "dispute"
    CORRECTION = "correction"


class Correction(BaseModel):
    """Which line a line takes a part of back, and the tax of that part.

    `untaxed` where the part was to be taxed later, as a retention can be.
    """

    model_config = ConfigDict(frozen=True)

    number: str
    line: int
    tax_code: str
    tax_rate: Fraction
    tax: Money
    untaxed: bool = False


class Line(BaseModel):
    """One line before its tax; `claim` is the tranche that it bills, which can be billed once.

    `amount` is in `prices`, which are those of its fee line where nothing is said. One that
    `corrects` another is net and has its tax: it is positive on a credit note, negative on an invoice.
    """

    model_config = ConfigDict(frozen=True)

    claim: str
    fee: str
    clause: str
    title: Title
    amount: Money
    explanation: Explanation
    prices: Prices | None = None
    corrects: Correction | None = None


class PricedLine(Line):
    """One line with its tax; what is `deferred` of the net is taxed on another document, later."""

    prices: Prices
    net: Money
    deferred: Money
    tax: Money
    tax_code: str
    tax_rate: Fraction

    @property
    def taxable(self) -> Money:
        return self.net - self.deferred


class TaxGroup(BaseModel):
    """The lines of one code and rate together; `net` is what is taxed of them."""

    model_config = ConfigDict(frozen=True)

    code: str
    rate: Fraction
    net: Money
    tax: Money
    calculation: Calculation


class Draft(BaseModel):
    """A priced document. Always: gross == payable + retained + withheld + advance, with their tax."""

    model_config = ConfigDict(frozen=True)

    lines: tuple[PricedLine, ...]
    retained: Taxed
    withheld: Taxed
    advance: Taxed

    @property
    def net(self) -> Money:
        return _sum(line.net for line in self.lines)

    @property
    def tax(self) -> Money:
        return _sum(line.tax for line in self.lines)

    @property
    def gross(self) -> Money:
        return self.net + self.tax

    @property
    def deferred(self) -> Money:
        """What of the net is taxed later."""
        return _sum(line.deferred for line in self.lines)

    @property
    def payable(self) -> Money:
        """What is to be paid by the due date."""
        return self.gross - self.retained.gross - self.withheld.gross - self.advance.gross

    @property
    def groups(self) -> tuple[TaxGroup, ...]:
        """The tax by code and rate, in the order of the lines."""
        by_tax = _grouped(self.lines, _rate)
        return tuple(_tax_group(lines) for lines in by_tax.values())

    def nets(self) -> dict[str, Money]:
        """By fee, for the ledger."""
        by_fee = _grouped(self.lines, lambda line: line.fee)
        return {fee: _sum(line.net for line in lines) for fee, lines in by_fee.items()}

    def taxes(self) -> dict[str, Money]:
        """By tax code, for the ledger."""
        by_code = _grouped(self.lines, lambda line: line.tax_code)
        return {code: _sum(line.tax for line in lines) for code, lines in by_code.items()}

    def of_fee(self, fee: str) -> Taxed:
        """The lines of a fee together."""
        lines = [line for line in self.lines if line.fee == fee]
        none = Money(0, self.net.currency)
        return Taxed(
            sum((line.net for line in lines), none), sum((line.tax for line in lines), none)
        )

    def correcting(self, number: str) -> "Draft":
        """The part of it that corrects one document."""
        lines = [line for line in self.lines if line.corrects and line.corrects.number == number]
        return self.model_copy(update={"lines": tuple(lines)})

    def all_withheld(self) -> "Draft":
        """Nothing of it is to be paid yet."""
        return self.model_copy(update={"withheld": Taxed(self.net, self.tax)})


def draft(contract: Contract, lines: Sequence[Line]) -> Draft:
    """Price the lines of an invoice or of a credit note, one or more."""
    priced: dict[int, PricedLine] = {}
    by_tax = _grouped(enumerate(lines), lambda numbered: _tax_of(contract, numbered[1]))
    for tax, members in by_tax.items():
        parts = taxed([line.amount for _, line in members], tax.rate, tax.prices)
        for (position, line), part in zip(members, parts, strict=True):
            priced[position] = _priced(line, tax, part)
    return Draft(
        lines=tuple(line for _, line in sorted(priced.items())),
        retained=nothing(contract.currency),
        withheld=nothing(contract.currency),
        advance=nothing(contract.currency),
    )


class _Tax(NamedTuple):
    code: str
    rate: Fraction
    prices: Prices
    given: bool


def _tax_of(contract: Contract, line: Line) -> _Tax:
    if line.corrects:
        return _Tax(line.corrects.tax_code, line.corrects.tax_rate, "net", True)
    tax = contract.tax_of(line.fee)
    return _Tax(tax.code, tax.rate, line.prices or contract.fee(line.fee).prices, False)


def _priced(line: Line, tax: _Tax, part: Taxed) -> PricedLine:
    deferred = Money(0, part.net.currency)
    explanation = line.explanation
    if line.corrects:
        part = Taxed(line.amount, line.corrects.tax)
        deferred = line.amount if line.corrects.untaxed else deferred
    elif tax.prices == "gross":
        explanation = _without_tax(explanation, line.amount, tax.rate, part.net)
    return PricedLine(
        **dict(line)
        | {
            "prices": tax.prices,
            "net": part.net,
            "deferred": deferred,
            "tax": part.tax,
            "tax_code": tax.code,
            "tax_rate": tax.rate,
            "explanation": explanation,
        }
    )


def _without_tax(explanation: Explanation, gross: Money, rate: Fraction, net: Money) -> Explanation:
    step = Calculation(
        formula=f"net = gross {gross} / (1 + {rate})",
        exact=str(gross.exact / (1 + rate)),
        rounded=str(net),
        rule="R1 half away from zero, once per code and rate, R2 spread over its lines",
    )
    return explanation.model_copy(update={"amount": net, "steps": (*explanation.steps, step)})


def _tax_group(lines: Sequence[PricedLine]) -> TaxGroup:
    first = lines[0]
    steps = list(_tax_steps(lines, first.tax_code, first.tax_rate))
    tax = _sum(line.tax for line in lines)
    calculation = Calculation(
        formula=f"tax = {' + '.join(formula for formula, _, _ in steps)}",
        exact=str(sum((exact for _, exact, _ in steps), Fraction(0))),
        rounded=str(tax),
        rule=", ".join(dict.fromkeys(rule for _, _, rule in steps)),
    )
    return TaxGroup(
        code=first.tax_code,
        rate=first.tax_rate,
        net=_sum(line.taxable for line in lines),
        tax=tax,
        calculation=calculation,
    )


def _tax_steps(
    lines: Sequence[PricedLine], code: str, rate: Fraction
) -> Iterator[tuple[str, Fraction, str]]:
    """What the tax of a group is made of: formula, exact value, rule."""
    once = "R1 half away from zero, once per code and rate"
    if net := [line.taxable.exact for line in lines if not line.corrects and line.prices == "net"]:
        yield f"net * {rate} ({code})", sum(net) * rate, once
    if gross := [line.amount.exact for line in lines if line.prices == "gross"]:
        yield f"gross - gross / (1 + {rate}) ({code})", sum(gross) * rate / (1 + rate), once
    if given := [line.tax.exact for line in lines if line.corrects]:
        part = f"part of the tax of the corrected lines ({code})"
        yield part, sum(given, Fraction(0)), "R6 cumulative over the parts of a line"


# What is not to be paid now.


def retention_now(
    terms: Retention, fee: Money, base_before: Money, base_now: Money, retained_before: Money
) -> Money:
    """What an invoice retains: the rate of the base to date, less what was retained, then the limit (R7).

    Never more than its own base: where a change order has raised the limit, the rest waits.

    Args:
        fee: amount of the fee line, of which the limit is a share.
        base_before: lines of the fee on the invoices before, net or gross as the terms say.
    """
    now = _lower((base_before + base_now).share(terms.rate) - retained_before, base_now)
    if terms.limit is not None:
        now = _lower(now, fee.share(terms.limit) - retained_before)
    return Money(max(now.minor, 0), now.currency)


def retain(priced: Draft, terms: Retention, part: Money) -> Draft:
    """With a part of the retention's fee retained; it has its tax on the invoice, or at its release."""
    if not part.minor:
        return priced
    of_fee = priced.of_fee(terms.fee)
    if terms.tax == "invoice":
        inside = gross_part(of_fee, nothing(part.currency), part)
        return priced.model_copy(update={"retained": inside})
    retained = Taxed(part, Money(0, part.currency))
    lines = _taxed_later(priced.lines, terms.fee, part)
    return priced.model_copy(update={"lines": lines, "retained": retained})


def _taxed_later(lines: Sequence[PricedLine], fee: str, part: Money) -> tuple[PricedLine, ...]:
    """With a part of a fee's net left out of what is taxed now."""
    own = [line for line in lines if line.fee == fee]
    parts = allocate(part, [Fraction(line.net.minor) for line in own])
    deferred = dict(zip((line.claim for line in own), parts, strict=True))
    taxes = {line.claim: line.tax for line in lines}
    changed = [line for line in lines if _rate(line) == _rate(own[0])]
    bases = [line.net - deferred.get(line.claim, Money(0, part.currency)) for line in changed]
    taxes |= zip((line.claim for line in changed), shares(bases, own[0].tax_rate), strict=True)
    return tuple(
        line.model_copy(
            update={
                "deferred": deferred.get(line.claim, line.deferred),
                "tax": taxes[line.claim],
            }
        )
        for line in lines
    )


def deduct(priced: Draft, terms: Advance, advance: "BilledLine") -> Draft:
    """With the advance deducted: its share of the fee's net, at most what is left of it and to be paid.

    Args:
        advance: the line that billed it, with what was deducted before as taken.
    """
    left, billed = advance.left, advance.billed
    payable = Fraction(priced.payable.minor * billed.net.minor, billed.gross.minor)
    room = Money(payable.numerator // payable.denominator, left.net.currency)
    net = _lower(priced.of_fee(terms.fee).net.share(terms.recovered), left.net, room)
    if net.minor <= 0:
        return priced
    none = Money(0, net.currency)
    tax = _lower(advance.part(net).tax, priced.taxes().get(advance.tax_code, none))
    return priced.model_copy(update={"advance": Taxed(net, tax)})


# What is taken back.


class BilledLine(BaseModel):
    """A line of an issued document, as far as it is taxed, and what was taken back of that since."""

    model_config = ConfigDict(frozen=True)

    number: str
    line: int
    fee: str
    clause: str
    title: Title
    tax_code: str
    tax_rate: Fraction
    billed: Taxed
    taken: Taxed

    @property
    def left(self) -> Taxed:
        return Taxed(self.billed.net - self.taken.net, self.billed.tax - self.taken.tax)

    def part(self, net: Money) -> Taxed:
        """The next part with that net (R6).

        Raises:
            TransitionError: more than is left.
        """
        return net_part(self.billed, self.taken, net)

    def without_held(self, withheld: Taxed, refundable: Money) -> "BilledLine":
        """With what holds keep of it as taken; of what may be claimed back only the net is fixed.

        Raises:
            TransitionError: more than is left.
        """
        kept = self._taking(withheld)
        return kept._taking(kept.part(refundable)) if refundable.minor else kept

    def _taking(self, part: Taxed) -> "BilledLine":
        taken = Taxed(self.taken.net + part.net, self.taken.tax + part.tax)
        return self.model_copy(update={"taken": taken})


def parts_of(lines: Sequence[BilledLine], gross: Money) -> list[tuple[BilledLine, Taxed]]:
    """A gross part of several lines, taken from each by what is left of it (R2, R6).

    Raises:
        TransitionError: more than is left of them together.
    """
    parts = gross_parts([line.billed for line in lines], [line.taken for line in lines], gross)
    return [(line, part) for line, part in zip(lines, parts, strict=True) if part.gross.minor]


def credit_of(
    line: BilledLine,
    part: Taxed,
    *,
    claim: str,
    clause: str,
    explanation: Explanation,
    title: Title | None = None,
    untaxed: bool = False,
) -> Line:
    """A line that takes back a part of a billed line; `draft` makes the credit note of one or more.

    The part is `line.part(net)`, or one of `parts_of(lines, gross)`; where it left a hold, the hold's
    own net and tax. With `untaxed` it was to be taxed later, so it has no tax to give back.
    """
    return Line(
        claim=claim,
        fee=line.fee,
        clause=clause,
        title=title or line.title,
        amount=part.net,
        explanation=explanation,
        corrects=Correction(
            number=line.number,
            line=line.line,
            tax_code=line.tax_code,
            tax_rate=line.tax_rate,
            tax=part.tax,
            untaxed=untaxed,
        ),
    )


# Lines, numbers and days.


def fixed_fee_line(
    contract: Contract, claim: str, fee: str, clause: str, title: Title, amount: Money, proof: Input
) -> Line:
    """A line for a stated amount that became due with `proof`: a milestone, say."""
    stated = Input(name="amount", value=str(amount), source=f"clause {clause}")
    formula = "net = amount" if contract.fee(fee).prices == "net" else "gross = amount"
    return Line(
        claim=claim,
        fee=fee,
        clause=clause,
        title=title,
        amount=amount,
        explanation=Explanation(
            what=title.en,
            amount=amount,
            contract=contract.reference(),
            clause=clause,
            inputs=(stated, proof),
            steps=(Calculation(formula=formula, exact=str(amount)),),
        ),
    )


def milestone_lines(contract: Contract, milestone: str, claim: str, proof: Input) -> list[Line]:
    """Everything that a milestone's acceptance bills, one claim a line."""
    return [
        fixed_fee_line(
            contract,
            claim if position == 1 else f"{claim}:{position}",
            line.fee,
            line.clause,
            line.title,
            line.amount,
            proof,
        )
        for position, line in enumerate(contract.lines_of(milestone), start=1)
    ]


def without_forfeited(priced: Draft, forfeited: Money) -> Draft | None:
    """A milestone of whose own fee a net part is forfeited: its other lines keep their nets.

    Returns:
        None where nothing is left to bill.
    """
    first, *more = priced.lines
    rest = first.net - forfeited
    lines = [_lowered(first, forfeited), *more] if rest.minor else more
    again = [line for line in lines if line.prices == "net" and _rate(line) == _rate(first)]
    taxes = shares([line.net for line in again], first.tax_rate) if again else []
    changed = {line.claim: tax for line, tax in zip(again, taxes, strict=True)}
    retaxed = tuple(
        line.model_copy(update={"tax": changed.get(line.claim, line.tax)}) for line in lines
    )
    return priced.model_copy(update={"lines": retaxed}) if retaxed else None


def _lowered(line: PricedLine, forfeited: Money) -> PricedLine:
    rest = line.net - forfeited
    lost = Input(name="forfeited", value=str(forfeited), source="decision")
    step = Calculation(formula=f"net = {line.net} - forfeited", exact=str(rest))
    explanation = line.explanation.model_copy(
        update={
            "amount": rest,
            "inputs": (*line.explanation.inputs, lost),
            "steps": (*line.explanation.steps, step),
        }
    )
    lower = {"amount": rest, "net": rest, "prices": "net", "explanation": explanation}
    return line.model_copy(update=lower)


def _rate(line: PricedLine) -> tuple[str, Fraction]:
    return line.tax_code, line.tax_rate


def series(contract: Contract, book: Book, document: Kind) -> str:
    """The number series of a document: legal entity, kind, and TEST for the sandbox."""
    kind = {"invoice": "INV", "credit_note": "CN"}[document]
    sandbox = "TEST-" if book is Book.SANDBOX else ""
    return f"{sandbox}{contract.parties.consultant.entity}-{kind}"


def due_on(contract: Contract, issued_on: date) -> date:
    """When an invoice of that day is to be paid: at once, unless the contract gives days."""
    return issued_on + timedelta(days=contract.payment.days if contract.payment else 0)


Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items by their key, keys in the order of their first item."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _sum(amounts: Iterable[Money]) -> Money:
    first, *rest = amounts
    return sum(rest, first)


def _lower(*amounts: Money) -> Money:
    return min(amounts, key=lambda amount: amount.minor)
