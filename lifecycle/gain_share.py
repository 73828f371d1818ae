"""Gain share (X): what the benefit to date earns, and what that makes of this period (R8). Pure."""

from collections.abc import Iterable
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from contracts.commercial import GainShare
from contracts.contract import Contract
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Id, percent
from contracts.money import MINOR_DIGITS, Money, round_half_away
from contracts.outcome.lines import along


class Report(BaseModel):
    """The benefit of one period, negative where it was a loss; `evidence` proves it."""

    model_config = ConfigDict(frozen=True)

    period: Id
    benefit: Money
    evidence: str


class Proposal(Report):
    """What is to be approved; `levels` is what it reserves until then."""

    benefit_to_date: Money
    fee_to_date: Money
    amount: Money
    levels: dict[str, Money]


class TrueUp(Report):
    """What a report changes. `amount` is the fee to date less that before; below zero it is credited."""

    benefit_to_date: Money
    fee_to_date: Money
    amount: Money
    explanation: Explanation


def benefit_to_date(reports: Iterable[Report], currency: str) -> Money:
    """The sum over the periods; of two reports of a period the later one counts."""
    by_period = {report.period: report.benefit for report in reports}
    return sum(by_period.values(), Money(0, currency))


def shared(terms: GainShare, benefit: Money) -> Fraction:
    """The fee on a benefit to date before cap and floor, in minor units, unrounded.

    The dead band itself is never shared, only what lies beyond it; each piece of a benefit has the
    share of its band, and a loss has the pain share.
    """
    start = terms.dead_band.minor if terms.dead_band else 0
    if benefit.minor < 0:
        return min(benefit.minor + start, 0) * terms.pain
    limits = [Fraction(band.up_to.minor) for band in terms.bands if band.up_to]
    shares = [band.share for band in terms.bands]
    return along(Fraction(start), Fraction(max(benefit.minor, start)), limits, shares)


def fee_to_date(terms: GainShare, benefit: Money) -> Money:
    """The fee on a benefit to date: by bands, then cap, then floor, rounded once (R1)."""
    capped = min(shared(terms, benefit), Fraction(terms.cap.minor))
    return Money(round_half_away(max(capped, Fraction(-terms.floor.minor))), benefit.currency)


def true_up(
    contract: Contract, terms: GainShare, reports: Iterable[Report], new: Report, before: Money
) -> TrueUp:
    """What a new report makes of the fee.

    Args:
        reports: all that were approved, in their order.
        before: the fee to date that they came to.
    """
    benefit = benefit_to_date((*reports, new), contract.currency)
    fee = fee_to_date(terms, benefit)
    amount = fee - before
    return TrueUp(
        period=new.period,
        benefit=new.benefit,
        evidence=new.evidence,
        benefit_to_date=benefit,
        fee_to_date=fee,
        amount=amount,
        explanation=Explanation(
            what=f"{terms.title.en}, {new.period}",
            amount=amount,
            contract=contract.reference(),
            clause=terms.clause,
            inputs=_inputs(terms, new, benefit, before),
            steps=_steps(terms, benefit, fee, amount),
        ),
    )


def _inputs(terms: GainShare, new: Report, benefit: Money, before: Money) -> tuple[Input, ...]:
    clause = f"clause {terms.clause}"
    agreed = {
        "dead band": str(terms.dead_band or "none"),
        "bands": ", ".join(
            f"{percent(band.share)} up to {band.up_to}" if band.up_to else f"{percent(band.share)}"
            for band in terms.bands
        ),
        "pain share": percent(terms.pain),
        "cap": str(terms.cap),
        "floor": f"-{terms.floor}" if terms.floor.minor else str(terms.floor),
    }
    return (
        Input(
            name=f"benefit of {new.period}",
            value=str(new.benefit),
            source="report",
            evidence=new.evidence,
        ),
        Input(name="benefit to date", value=str(benefit), source="all reports"),
        *(Input(name=name, value=value, source=clause) for name, value in agreed.items()),
        Input(name="fee to date before", value=str(before), source="true-ups before"),
    )


def _steps(terms: GainShare, benefit: Money, fee: Money, amount: Money) -> tuple[Calculation, ...]:
    by_bands = shared(terms, benefit) / 10 ** MINOR_DIGITS[benefit.currency]
    limited = max(min(by_bands, terms.cap.exact), -terms.floor.exact)
    way = "pain share of the loss" if benefit.minor < 0 else "sum of the bands of the benefit"
    return (
        Calculation(formula=f"shared = {way} to date beyond the dead band", exact=str(by_bands)),
        Calculation(
            formula="fee to date = shared, then cap, then floor",
            exact=str(limited),
            rounded=str(fee),
            rule="R1 half away from zero, once",
        ),
        Calculation(
            formula="amount = fee to date - fee to date before",
            exact=str(amount),
            rule="R8 cumulative true-up",
        ),
    )


def billed_again(
    terms: GainShare, amount: Money, borne: dict[str, Money]
) -> list[tuple[str, Money]]:
    """What an amount to be billed is billed on: fees that bore a loss before first, then the gain share.

    Args:
        borne: by fee, what a loss to date took of it and no gain has given back.
    """
    parts, rest = [], amount
    for fee, loss in borne.items():
        part = min(loss, rest, key=lambda each: each.minor)
        parts.append((fee, part))
        rest -= part
    return [(fee, part) for fee, part in (*parts, (terms.id, rest)) if part.minor > 0]
