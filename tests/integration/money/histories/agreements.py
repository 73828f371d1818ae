"""The contracts that histories run under: each effect of a hold, each default of silence, each clause."""

import json
from datetime import date
from fractions import Fraction
from typing import Any

from contracts.contract import Contract
from contracts.document import read_contract
from tests.integration.conftest import example

CLOCKS = {"clause": "8.3", "review": 20, "cure": 10, "decision": 5, "extensions": 1}

ADVANCE = {
    "id": "AD1",
    "clause": "3.4",
    "title": {"en": "Advance on the project fee"},
    "fee": "project",
    "amount": "180000.01",
    "recovered": "30%",
}
RETENTION = {
    "id": "RT1",
    "clause": "3.5",
    "fee": "project",
    "rate": "7%",
    "base": "gross",
    "tax": "invoice",
    "limit": "4%",
    "release": [
        {"id": "half-year", "clause": "3.5(a)", "after": "P6M", "share": "1/3"},
        {"id": "year", "clause": "3.5(b)", "after": "P12M", "share": "2/3"},
    ],
}
GAIN_SHARE = {
    "id": "GS1",
    "clause": "9.1",
    "title": {"en": "Gain share"},
    "dead_band": "100000.00",
    "bands": [{"share": "10%", "up_to": "1000000.00"}, {"share": "1/3"}],
    "pain": "1/7",
    "cap": "250000.00",
    "floor": "50000.00",
}
SERVICE_CREDITS = {"clause": "7.2", "fee": "project", "limit": "2%"}

NO_POLICY = [
    {"person": "gao.feng"},
    {"person": "li.wei"},
    {"person": "sun.hao", "up_to": "90000.00"},
]


def with_clauses(name: str, **clauses: Any) -> Contract:
    document = example(name).model_dump(mode="json")
    for clause, terms in clauses.items():
        agreed = document.get(clause)
        document[clause] = agreed | terms if isinstance(agreed, dict) else terms
    return read_contract(json.dumps(document), name)


KEY_ACCOUNT = example("key-account.yaml").model_dump(mode="json")
LICENCES = KEY_ACCOUNT["fees"][1] | {
    "id": "licences",
    "clause": "3.9",
    "amount": "20000.05 CNY",
    "tax": "CN-VAT-13",
    "prices": "gross",
}
LICENSED = KEY_ACCOUNT["milestones"][1] | {"id": "L1", "fee": "licences", "amount": "20000.05 CNY"}

AGREEMENTS = {
    "blocked": with_clauses("key-account.yaml", hold_clocks=CLOCKS | {"default": "escalate"}),
    "withheld": with_clauses(
        "key-account-withheld.yaml",
        hold_clocks=CLOCKS | {"default": "release"},
        approvals={"automatic": [], "authority": NO_POLICY},
        advance=ADVANCE,
        gain_share=GAIN_SHARE,
        service_credits=SERVICE_CREDITS,
    ),
    "refundable": with_clauses(
        "key-account.yaml",
        id="KA-2024-019",
        holdback={"effect": "reserve_refund"},
        fees=[*KEY_ACCOUNT["fees"], LICENCES],
        milestones=[*KEY_ACCOUNT["milestones"][:2], LICENSED, *KEY_ACCOUNT["milestones"][2:]],
        taxes=[{"clause": "3.4", "code": "CN-VAT-13", "rate": "13%"}],
        hold_clocks=CLOCKS | {"default": "forfeit"},
        retention=RETENTION,
        payment={"clause": "3.6", "days": 30},
    ),
    "managed": with_clauses("managed-rollout.yaml"),
}


def amended(contract: Contract, milestone: str, more: Fraction, day: date) -> Contract:
    """The next version: one milestone by that share dearer or cheaper, and with it its fee."""
    delta = contract.milestone(milestone).amount.share(more)
    fee = contract.milestone(milestone).fee
    held = contract.holdback_amount()
    fees = [
        each.model_copy(update={"amount": each.amount + delta}) if each.id == fee else each
        for each in contract.fees
    ]
    # The holdback stays what it was, a smaller share of a higher fee.
    whole = next(each.amount.minor for each in fees if each.id == contract.holdback.fee)
    new = contract.model_copy(
        update={
            "version": contract.version + 1,
            "effective_on": day,
            "fees": tuple(fees),
            "milestones": tuple(
                each.model_copy(update={"amount": each.amount + delta})
                if each.id == milestone
                else each
                for each in contract.milestones
            ),
            "holdback": contract.holdback.model_copy(update={"rate": Fraction(held.minor, whole)}),
        }
    )
    return Contract.model_validate_json(new.model_dump_json())
