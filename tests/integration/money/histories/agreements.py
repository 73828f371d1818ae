"""The contracts that histories run under: each effect of a hold, each default of silence, each clause."""

import json
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

NO_POLICY = [{"person": "gao.feng"}, {"person": "li.wei"}, {"person": "sun.hao", "up_to": "90000.00"}]


def _with(name: str, **clauses: Any) -> Contract:
    document = example(name).model_dump(mode="json")
    for clause, terms in clauses.items():
        agreed = document.get(clause)
        document[clause] = agreed | terms if isinstance(agreed, dict) else terms
    return read_contract(json.dumps(document), name)


AGREEMENTS = {
    "blocked": _with("key-account.yaml", hold_clocks=CLOCKS | {"default": "escalate"}),
    "withheld": _with(
        "key-account-withheld.yaml",
        hold_clocks=CLOCKS | {"default": "release"},
        approvals={"automatic": [], "authority": NO_POLICY},
        advance=ADVANCE,
        gain_share=GAIN_SHARE,
        service_credits=SERVICE_CREDITS,
    ),
    "refundable": _with(
        "key-account.yaml",
        id="KA-2024-019",
        holdback={"effect": "reserve_refund"},
        hold_clocks=CLOCKS | {"default": "forfeit"},
        retention=RETENTION,
        payment={"clause": "3.6", "days": 30},
    ),
    "managed": _with("managed-rollout.yaml"),
}
