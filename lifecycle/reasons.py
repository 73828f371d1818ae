"""Why a payment is what it is: the tree of clauses, values, readings and roundings below it. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from pydantic import BaseModel

from contracts.formula import Formula
from contracts.outcome.basics import FIRST_DAY, LAST_DAY, Node, Value, Window
from contracts.outcome.graph import read_inputs, uses, values_used
from contracts.outcome.lines import Line
from contracts.outcome.outcome import Parameter, Score
from contracts.outcome.payment import Cap, Figure, Retention
from lifecycle.evaluation import Row, View
from lifecycle.order import Piece, stage_of
from lifecycle.settlement import Restatement, SettledPeriod, Settlement, factor_of, shown


@dataclass(frozen=True)
class Reason:
    """One value and what it is made of; `stage` is its step in the order of operations, 1 to 21.

    `calculation` is what the contract says, `values` what stood in it. Where the value was told
    above already, `because` is empty.
    """

    name: str
    value: str
    stage: int
    clause: str | None = None
    title: str | None = None
    calculation: str = ""
    evidence: tuple[str, ...] = ()
    because: tuple["Reason", ...] = ()

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": self.value,
            "stage": self.stage,
            "clause": self.clause,
            "title": self.title,
            "calculation": self.calculation,
            "evidence": list(self.evidence),
            "because": [reason.as_json() for reason in self.because],
        }


def exact(value: Value, *, is_day: bool = False) -> str:
    """A value as text: a plain decimal where it ends, else a ratio; `missing` where there is none."""
    if value is None:
        return "missing"
    if isinstance(value, Mapping):
        told = ((subject, exact(each, is_day=is_day)) for subject, each in value.items())
        return ", ".join(f"{subject}: {each}" for subject, each in told)
    if is_day and value.denominator == 1 and FIRST_DAY <= value <= LAST_DAY:
        return date.fromordinal(int(value)).isoformat()
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1 or value.denominator.bit_length() > 100:
        return str(value)
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    return f"{Decimal((value * 10**digits).numerator).scaleb(-digits):f}"


def reasons_for(settlement: Settlement, number: int) -> Reason:
    """The tree below the payment of a period."""
    settled = settlement.periods[number - 1]
    return _Teller(settled, number - 1, settled.values).payment()


class _Teller:
    """Tells each value once, from the payment down to the readings."""

    def __init__(self, settled: SettledPeriod, index: int, values: Row) -> None:
        self.settled, self.values = settled, values
        self.view = View(settled.rows, index)
        self.plan = settled.rows.plans[index]
        self.outcome = self.plan.outcome
        pieces: list[Piece] = [*self.outcome.parameters, *self.outcome.nodes()]
        pieces += [*self.outcome.caps, *self.outcome.retentions, *self.outcome.statement]
        self.pieces = {piece.id: piece for piece in pieces}
        self.told: set[str] = set()

    def payment(self) -> Reason:
        terms, settled = self.outcome.payment, self.settled
        inner = {member for cap in self.outcome.caps for member in cap.of}
        tops = [*(cap.id for cap in self.outcome.caps), *(line.id for line in self.outcome.lines)]
        gross = Reason(
            name="gross",
            value=exact(settled.values["gross"]),
            stage=15,
            calculation=f"amounts to date, rounded to {self.outcome.rounding.decimals} decimals, "
            f"{self.outcome.rounding.mode.value}, at {self.outcome.rounding.at}",
            because=(
                *(self.amount(name) for name in tops if name not in inner),
                *(self.restated(each) for each in settled.restated),
            ),
        )
        kept = Reason(
            name="retained",
            value=exact(settled.values["retained"]),
            stage=17,
            calculation="what is kept back, to date",
            because=tuple(self.reason(each.id) for each in self.outcome.retentions),
        )
        paid = Reason("paid", exact(settled.values["paid"]), 18, calculation="paid to date")
        return Reason(
            name="payment",
            value=f"{settled.payment} {settled.payment.currency}",
            stage=20,
            clause=terms.clause,
            calculation=_rule(terms)
            + f"; due {exact(settled.values['due'])} = gross - retained - paid",
            evidence=tuple(f"{payer}: {part}" for payer, part in settled.by_payer.items()),
            because=(gross, *([kept] if self.outcome.retentions else []), paid),
        )

    def amount(self, name: str) -> Reason:
        """A line or a cap, with what it came to, to date."""
        reason = self.reason(name)
        to_date = exact(self.settled.to_date[name])
        waits = self.settled.waiting.get(name)
        told = (f"to date {to_date}", *([f"waits for {waits}"] if waits else []))
        return replace(reason, evidence=(*told, *reason.evidence))

    def restated(self, restatement: Restatement) -> Reason:
        """A line of an earlier period that changed, with what it is made of now."""
        index = restatement.number - 1
        rows = self.settled.rows
        now = _Teller(self.settled, index, rows.rows[index]).reason(restatement.line)
        return Reason(
            name=f"{restatement.line} of period {restatement.number}, restated",
            value=exact(restatement.now),
            stage=12,
            clause=now.clause,
            calculation=f"was {exact(restatement.was)} before more became known",
            because=(now,),
        )

    def reason(self, name: str) -> Reason:
        piece = self.pieces[name]
        value = self.told_value(name)
        heading = Reason(
            name=name,
            value=value,
            stage=stage_of(piece, self.outcome).number,
            clause=piece.clause,
            title=piece.title.en if piece.title else None,
        )
        if name in self.told:
            return replace(heading, calculation=TOLD_ABOVE)
        self.told.add(name)
        below = [self.amount(each) for each in piece.of] if isinstance(piece, Cap) else []
        below += [self.reason(used) for used in self._made_of(piece) if used in self.pieces]
        return replace(
            heading,
            calculation=_rule(piece) + self._extra(piece),
            evidence=tuple(self._evidence(piece)),
            because=tuple(below),
        )

    def told_value(self, name: str) -> str:
        value = shown(self.plan, name, self.values.get(name))
        return exact(value, is_day=name in self.plan.days)

    def _made_of(self, piece: Piece) -> Iterable[str]:
        if isinstance(piece, Node) and not isinstance(piece, Figure):
            return uses(piece)
        return dict.fromkeys(use.name for use in values_used(piece))

    def _extra(self, piece: Piece) -> str:
        if isinstance(piece, Score) and piece.baseline is not None:
            return f"; attainment {exact(piece.attained(self.view))}"
        if isinstance(piece, Retention):
            return f"; factor in this state {exact(factor_of(piece, self.view))}"
        if isinstance(piece, Line) and (closed := [g for g in piece.gates if self.view[g] != 1]):
            return f"; closed: {', '.join(closed)}"
        return ""

    def _evidence(self, piece: Piece) -> Iterator[str]:
        """The readings that a measure looked at."""
        if not isinstance(piece, Node):
            return
        window = getattr(piece, "window", None)
        column = self.values.get(piece.id)
        subjects = list(column) if isinstance(column, Mapping) else [""]
        for name in read_inputs(piece):
            for subject in subjects:
                view = View(self.view.rows, self.view.index, subject)
                if not isinstance(window, Window):
                    day = view.happened(name, getattr(piece, "later_by", None))
                    yield f"{name}{_of(subject)}: {day or 'has not happened'}"
                    continue
                for report in view.readings(name, window) or ():
                    days = f"{report.first_day} to " if report.first_day < report.last_day else ""
                    proof = f", {report.evidence}" if report.evidence else ""
                    yield (
                        f"{name}{_of(subject)} = {exact(report.value)} "
                        f"({days}{report.last_day}, "
                        f"{'verified' if report.verified else 'declared'}{proof})"
                    )


def _of(subject: str) -> str:
    return f" of {subject}" if subject else ""


TOLD_ABOVE = "told above"
UNSAID = {"id", "clause", "title", "unit", "kind"}


def _rule(piece: BaseModel) -> str:
    """What the contract says about a piece: its kind and each setting that is not the default."""
    if isinstance(piece, Parameter) and not piece.changes and is_number(piece):
        return ""
    said = [
        f"{name} {_text(getattr(piece, name))}"
        for name, field in type(piece).model_fields.items()
        if name not in UNSAID
        and getattr(piece, name) != field.get_default(call_default_factory=True)
    ]
    kind = getattr(piece, "kind", None)
    return f"{kind}: {', '.join(said)}" if kind else ", ".join(said)


def is_number(piece: Parameter) -> bool:
    """Whether a parameter says no more than its value does."""
    return piece.value is None or piece.value.constant is not None


def _text(value: object) -> str:
    if isinstance(value, BaseModel):
        return "{" + _rule(value) + "}"
    if isinstance(value, tuple):
        return "[" + "; ".join(_text(item) for item in value) + "]"
    if isinstance(value, Fraction):
        return exact(value)
    if isinstance(value, Formula):
        return value.text
    return str(getattr(value, "value", value))
