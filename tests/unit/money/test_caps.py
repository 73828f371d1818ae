"""Caps: what a document counts for at each level, and what is left of a level."""

import re

import pytest

from contracts.commercial import Ceiling
from contracts.contract import Contract
from contracts.errors import CapExceeded
from contracts.explanation import Input
from contracts.money import Money
from lifecycle.caps import Level, authorised, changes, counted, level_of
from lifecycle.invoice import Draft, Purpose, draft, fixed_fee_line
from tests.unit.lifecycle.conftest import CONTRACT, cny
from tests.unit.money.test_gain_share import SHARE

WITH_SHARE = CONTRACT.model_copy(update={"gain_share": SHARE})
GROSS = CONTRACT.model_copy(
    update={
        "fees": tuple(
            fee.model_copy(update={"prices": "gross"}) if fee.id == "micro" else fee
            for fee in CONTRACT.fees
        )
    }
)
"""The micro-consulting fee is stated with its tax, the project's without."""


def document(contract: Contract, *amounts: tuple[str, str]) -> Draft:
    """A priced document of these fees and amounts, in the prices of the fee."""
    proof = Input(name="acceptance", value="accepted", source="wang.fang")
    title = CONTRACT.milestone("M1").title
    return draft(
        contract,
        [
            fixed_fee_line(contract, f"T{n}", fee, "4.1", title, cny(amount), proof)
            for n, (fee, amount) in enumerate(amounts)
        ],
    )


def test_an_invoice_uses_each_fee_line_and_the_contract_by_the_stated_prices():
    priced = document(GROSS, ("project", "100.00"), ("micro", "53.00"), ("project", "7.00"))
    assert priced.net == cny("157.00")
    assert counted(GROSS, priced, "invoice", Purpose.MILESTONE) == {
        "contract": cny("160.00"),
        "fee:project": cny("107.00"),
        "fee:micro": cny("53.00"),
    }


def test_a_credit_note_gives_value_back():
    priced = document(GROSS, ("project", "100.00"), ("micro", "53.00"))
    assert counted(GROSS, priced, "credit_note", Purpose.CORRECTION) == {
        "contract": cny("-153.00"),
        "fee:project": cny("-100.00"),
        "fee:micro": cny("-53.00"),
    }


@pytest.mark.parametrize("purpose", Purpose)
def test_an_advance_and_a_released_retention_are_counted_by_the_invoices_of_the_fee(purpose):
    found = counted(CONTRACT, document(CONTRACT, ("project", "1.00")), "invoice", purpose)
    elsewhere = purpose in (Purpose.ADVANCE, Purpose.RETENTION)
    used = cny("0.00") if elsewhere else cny("1.00")
    assert found == {"contract": used, "fee:project": used}


def test_the_gain_share_has_a_level_of_its_own():
    assert level_of(WITH_SHARE, "X1") == "gain_share:X1"
    assert level_of(WITH_SHARE, "project") == "fee:project"
    assert level_of(CONTRACT, "X1") == "fee:X1"


def test_a_ceiling_on_the_gain_share_lowers_its_cap_and_not_the_contract():
    ceiling = Ceiling(clause="3.9", level="X1", amount=cny("1000.00"))
    levels = authorised(WITH_SHARE.model_copy(update={"ceilings": (ceiling,)}))
    assert levels["gain_share:X1"] == cny("1000.00")
    assert levels["contract"] == authorised(WITH_SHARE)["contract"]


def test_a_level_that_a_version_no_longer_has_is_given_back():
    before = {"contract": cny("9.00"), "fee:a": cny("5.00"), "fee:b": cny("4.00")}
    assert changes(before, {"contract": cny("5.00"), "fee:a": cny("5.00")}) == {
        "contract": cny("-4.00"),
        "fee:a": cny("0.00"),
        "fee:b": cny("-4.00"),
    }


def test_a_refusal_says_what_is_left_and_of_what():
    level = Level(
        level="fee:project",
        authorised=cny("100.00"),
        reserved=cny("30.00"),
        billed=cny("49.99"),
    )
    expected = (
        "level fee:project: found 20.02 CNY to be billed, expected at most the 20.01 that is left of "
        "100.00 authorised, with 49.99 billed and 30.00 reserved"
    )
    with pytest.raises(CapExceeded, match=f"^{re.escape(expected)}$"):
        level.require(cny("20.02"))
    level.require(cny("20.01"))
    level.require(Money(0, "CNY"))
