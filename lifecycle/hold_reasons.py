"""Why a hold keeps, gives or takes just that amount: clause, inputs with evidence, steps. Pure."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from contracts.commercial import Decision, MissHold, RetentionStep
from contracts.contract import Contract
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import percent
from contracts.indicators import Indicator
from contracts.money import Money
from contracts.words.values import period
from lifecycle.bet import Reading, reading_input
from lifecycle.hold import Hold
from lifecycle.orders.holds import PlaceHold
from lifecycle.tax import Taxed

VERBS = {Decision.RELEASE: "released", Decision.FORFEIT: "forfeited"}


def of_holdback(contract: Contract) -> Explanation:
    """Why a bet's holdback is placed: a share of its fee."""
    terms = contract.holdback
    fee, placed = contract.fee(terms.fee), contract.holdback_amount()
    return Explanation(
        what=f"holdback {terms.id}: {percent(terms.rate)} of fee {fee.id}",
        amount=placed,
        contract=contract.reference(),
        clause=terms.clause,
        inputs=(
            _of_clause("fee", str(fee.amount), fee.clause),
            _of_clause("rate", percent(terms.rate), terms.clause),
        ),
        steps=(_rounded("placed = fee * rate", fee.amount.exact * terms.rate, placed),),
    )


def of_miss(
    contract: Contract,
    terms: MissHold,
    indicator: Indicator,
    misses: Sequence[Reading],
    room: Money,
) -> Explanation:
    """Why a miss places a hold: a share of the milestone, as far as there is room for it."""
    milestone = contract.milestone(terms.milestone)
    share = milestone.amount.share(terms.share)
    steps = (
        _rounded("placed = milestone * share", milestone.amount.exact * terms.share, share),
        Calculation(formula="placed = at most what is left to hold", exact=str(room)),
    )
    met = "at least" if terms.missed == "below" else "at most"
    return Explanation(
        what=f"{indicator.name.en} {terms.missed} {terms.limit:f} in {len(misses)} of the last "
        f"{terms.of}: {percent(terms.share)} of milestone {milestone.id}",
        amount=min(share, room, key=lambda amount: amount.minor),
        contract=contract.reference(),
        clause=terms.clause,
        inputs=(
            _of_clause("milestone", str(milestone.amount), milestone.clause),
            _of_clause("share", percent(terms.share), terms.clause),
            _of_clause("expected", f"{met} {terms.limit:f} {indicator.unit}", terms.clause),
            *(reading_input("found", indicator, reading) for reading in misses),
            _of_clause(
                "misses",
                f"{len(misses)} of the last {terms.of}, {terms.times} are enough",
                terms.clause,
            ),
        ),
        steps=steps if room.minor < share.minor else steps[:1],
    )


def of_retained(contract: Contract, base: Money, before: Money, part: Taxed) -> Explanation:
    """Why an invoice retains that much: a rate of what was invoiced to date, less what was retained.

    Args:
        base: lines of the fee on all milestone invoices with this one, net or gross as the terms say.
        before: what the invoices before retain, in the same prices.
    """
    terms = contract.retention
    assert terms
    fee = contract.fee(terms.fee)
    to_date = base.share(terms.rate)
    limit = None if terms.limit is None else fee.amount.share(terms.limit)
    limited = () if limit is None else (_of_clause("limit", str(limit), terms.clause),)
    steps = [_rounded("to date = base to date * rate", base.exact * terms.rate, to_date)]
    if limit is not None and limit.minor < to_date.minor:
        steps.append(Calculation(formula="to date = at most the limit", exact=str(limit)))
    steps.append(
        Calculation(formula="retained = to date - before", exact=str(part.gross), rule="rest")
    )
    if part.tax.minor:
        net = f"{part.gross} - {part.tax} of tax inside"
        steps.append(Calculation(formula=f"net = {net}", exact=str(part.net), rule="R6 cumulative"))
    return Explanation(
        what=f"retention {terms.id}: {percent(terms.rate)} of fee {fee.id}, {terms.base}",
        amount=part.net,
        contract=contract.reference(),
        clause=terms.clause,
        inputs=(
            _of_clause("rate", percent(terms.rate), terms.clause),
            Input(name="base to date", value=str(base), source=f"invoices of fee {fee.id}"),
            Input(name="before", value=str(before), source=terms.id),
            *limited,
        ),
        steps=tuple(steps),
    )


def as_placed(contract: Contract, asked: PlaceHold) -> Explanation:
    """Why people place a hold: they asked for that amount."""
    return Explanation(
        what=f"{asked.hold} placed: {asked.reason}",
        amount=asked.amount,
        contract=contract.reference(),
        clause=contract.approvals.clause,
        inputs=(_asked_for(asked.amount, asked.by, asked.evidence),),
        steps=(Calculation(formula="placed = asked for", exact=str(asked.amount)),),
    )


def as_asked(
    contract: Contract,
    hold: Hold,
    decision: Decision,
    amount: Money,
    *,
    by: str,
    reason: str,
    evidence: str | None,
) -> Explanation:
    """Why people decide about just that much: they asked for it."""
    verb = VERBS[decision]
    return Explanation(
        what=f"{_name(hold)} {verb}: {reason}",
        amount=amount,
        contract=contract.reference(),
        clause=hold.clause,
        inputs=(_asked_for(amount, by, evidence), *_held(hold)),
        steps=(Calculation(formula=f"{verb} = asked for", exact=str(amount)),),
    )


def of_all_free(
    contract: Contract,
    hold: Hold,
    decision: Decision,
    clause: str,
    *,
    reason: str,
    given: Sequence[Input] = (),
) -> Explanation:
    """Why a clause decides about all that is held and not reserved."""
    verb = VERBS[decision]
    return Explanation(
        what=f"{_name(hold)} {verb}: {reason}",
        amount=hold.free,
        contract=contract.reference(),
        clause=clause,
        inputs=(*given, *_held(hold)),
        steps=(Calculation(formula=f"{verb} = held{_less_reserved(hold)}", exact=str(hold.free)),),
    )


def of_step(
    contract: Contract, hold: Hold, step: RetentionStep, live_on: date, until: Fraction
) -> Explanation:
    """Why a step of a retention releases that much: a share to date of what was retained.

    Args:
        until: the share of this step and of those before.
    """
    due = hold.placed.share(until)
    released = due - hold.decided - hold.reserved
    return Explanation(
        what=f"retention {_name(hold)}, step {step.id}: {percent(until)} of {hold.placed} retained "
        "to date",
        amount=released,
        contract=contract.reference(),
        clause=step.clause,
        inputs=(
            _of_clause("retained", str(hold.placed), hold.clause),
            _of_clause("share to date", percent(until), step.clause),
            Input(
                name="go-live",
                value=f"{live_on.isoformat()}, + {period(step.after).en}",
                source="timeline",
            ),
            Input(name="decided before", value=str(hold.decided), source=_name(hold)),
            *_reserved(hold),
        ),
        steps=(
            _rounded("due = retained * share to date", hold.placed.exact * until, due),
            Calculation(
                formula=f"released = due - decided before{_less_reserved(hold)}",
                exact=str(released),
                rule="rest",
            ),
        ),
    )


def _of_clause(name: str, value: str, clause: str) -> Input:
    return Input(name=name, value=value, source=f"clause {clause}")


def _asked_for(amount: Money, by: str, evidence: str | None) -> Input:
    return Input(name="asked for", value=str(amount), source=by, evidence=evidence)


def _held(hold: Hold) -> tuple[Input, ...]:
    held = f"{hold.held} of {hold.placed} placed"
    return Input(name="held", value=held, source=_name(hold)), *_reserved(hold)


def _reserved(hold: Hold) -> tuple[Input, ...]:
    """What other requests keep of it, where there are any."""
    if not hold.reserved.minor:
        return ()
    return (Input(name="reserved", value=str(hold.reserved), source="requests"),)


def _less_reserved(hold: Hold) -> str:
    return " - reserved" if hold.reserved.minor else ""


def _rounded(formula: str, exact: Fraction, rounded: Money) -> Calculation:
    return Calculation(
        formula=formula, exact=str(exact), rounded=str(rounded), rule="R1 half away from zero"
    )


def _name(hold: Hold) -> str:
    return hold.id.rpartition(".")[2]
