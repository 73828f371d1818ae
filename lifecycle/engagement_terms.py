"""An engagement contract in outcome terms: its fees, milestones and bet as one language says them. Pure."""

import re
from datetime import date
from typing import Any

from contracts.calendar import add_period
from contracts.contract import Bet, Contract, SettlementWindow
from contracts.errors import TermsError
from contracts.fields import percent
from contracts.indicators import Indicator
from contracts.money import MINOR_DIGITS
from contracts.outcome.outcome import OutcomeContract
from lifecycle.bet import stakes

SUBMITTED, GO_LIVE = "micro_consulting_submitted", "go_live"
"""The events that readings of an engagement report, beside `accepted_` and the milestone."""


def in_outcome_terms(contract: Contract, live_on: date) -> OutcomeContract:
    """What the engine does with an engagement contract, as terms that settle from readings alone.

    The micro-consulting fee is due on submission, a milestone once it is accepted, and each
    indicator's stake by its score at the end of the window that settles it; the windows count from
    the go-live. A period ends with each window. Always: the same amounts as the engagement's ledger.

    Payment, advance and retention say when an amount is paid, and are not part of it.

    Args:
        live_on: the day of the go-live, at which the windows begin (BET-05, Q04).

    Raises:
        TermsError: a clause by which amounts depend on more than events and readings.
    """
    _require_amounts_from_readings(contract)
    bet, known = contract.bet(contract.holdback.bet), contract.indicators()
    windows = [window for window in bet.windows if isinstance(window, SettlementWindow)]
    micro = contract.fee(contract.micro_consulting.fee)
    submitted: dict[str, Any] = {
        "id": "micro_consulting",
        "kind": "amount",
        "clause": micro.clause,
        "title": micro.title,
        "amount": str(micro.amount),
        "basis": "to_date",
        "gates": ["submitted"],
        "while_closed": "waits",
    }
    accepted = [
        {
            "id": name("milestone", milestone.id, *([line.fee] if line in milestone.more else [])),
            "kind": "amount",
            "clause": line.clause,
            "title": line.title,
            "amount": str(line.amount),
            "basis": "to_date",
            "gates": [name("is_accepted", milestone.id)],
            "while_closed": "waits",
        }
        for milestone in contract.milestones
        for line in contract.lines_of(milestone.id)
    ]
    gates = [{"id": "submitted", "kind": "evidence", "event": SUBMITTED}]
    gates += [
        {
            "id": name("is_accepted", milestone.id),
            "kind": "evidence",
            "event": name("accepted", milestone.id),
        }
        for milestone in contract.milestones
    ]
    terms, held = _bet(contract, bet, windows)
    document = {
        "apiVersion": contract.apiVersion,
        "kind": "Contract",
        "id": contract.id,
        "version": contract.version,
        "title": contract.title,
        "signed_on": contract.signed_on,
        "effective_on": contract.effective_on,
        "currency": contract.currency,
        "timezone": contract.timezone,
        "parties": {
            side: {"name": party.name, "entity": party.entity}
            for side, party in (
                ("consultant", contract.parties.consultant),
                ("client", contract.parties.client),
            )
        },
        "outcome": {
            "periods": {"ends": [add_period(live_on, window.after) for window in windows]},
            "rounding": {
                "decimals": MINOR_DIGITS[contract.currency],
                "mode": "half_away",
                "at": "each_line",
            },
            "inputs": [_input(known[terms.indicator]) for terms in bet.indicators],
            "events": [
                {"id": SUBMITTED},
                {"id": GO_LIVE},
                *({"id": name("accepted", m.id), "title": m.title} for m in contract.milestones),
            ],
            **terms,
            "gates": gates,
            "lines": [submitted, *accepted, *held],
            "payment": {"clause": contract.holdback.clause, "negative": "paid_back"},
        },
    }
    return OutcomeContract.model_validate(document)


def _require_amounts_from_readings(contract: Contract) -> None:
    stated = [
        ("a fee whose prices are gross", any(fee.prices == "gross" for fee in contract.fees)),
        ("miss_holds, which people decide", contract.miss_holds),
        ("service_credits, which people give", contract.service_credits),
        ("gain_share, which is reported", contract.gain_share),
        ("ceilings, which stop invoices", contract.ceilings),
    ]
    found = [clause for clause, is_stated in stated if is_stated]
    if found:
        raise TermsError(
            f"contract {contract.id}: found {', '.join(found)}; expected net fees, milestones and a "
            "bet alone, as only they settle from readings; open an engagement instead"
        )


def name(*words: str) -> str:
    """The name that formulas give to something with those ids."""
    return re.sub("[^a-z0-9_]", "_", "_".join(words).lower())


def _input(entry: Indicator) -> dict[str, Any]:
    return {"id": name(entry.id), "title": entry.name, "unit": entry.unit}


def _bet(
    contract: Contract, bet: Bet, windows: list[SettlementWindow]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Each indicator as a measure and a score; and the line of its stake."""
    parts, known = stakes(contract, bet), contract.indicators()
    measures, scores, lines = [], [], []
    for number, window in enumerate(windows, start=1):
        for indicator in window.settles:
            terms, entry = bet.indicator(indicator), known[indicator]
            measures.append(
                {
                    "id": name("actual", indicator),
                    "kind": "latest",
                    "of": name(indicator),
                    "title": entry.name,
                    "unit": entry.unit,
                    "clause": terms.clause,
                    "min_sample": entry.min_sample,
                    "window": {"over": "rolling", "length": window.reading_within},
                }
            )
            scores.append(
                {
                    "id": name("score", indicator),
                    "clause": terms.clause,
                    "of": name("actual", indicator),
                    "baseline": f"{terms.baseline:f}",
                    "target": f"{terms.target:f}",
                    "scoring": terms.scoring,
                }
            )
            lines.append(
                {
                    "id": name("stake", indicator),
                    "kind": "amount",
                    "clause": terms.clause,
                    "title": {"en": f"Stake of {percent(terms.weight)}: {entry.name.en}"},
                    "amount": f"{parts[indicator]} * clamp({name('score', indicator)}, 0, 1)",
                    "due": [number],
                }
            )
    return {"measures": measures, "scores": scores}, lines
