"""The commercial clauses: what they come to, what they need, and where they cannot go."""

from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from contracts.checks import check
from contracts.commercial import Decision, HoldEffect
from contracts.contract import Contract
from contracts.difference import differences, told_apart
from contracts.document import DocumentRefused, read_contract, read_document
from contracts.errors import TermsError
from contracts.indicators import Direction
from contracts.kinds import PARTS
from contracts.money import Money
from contracts.outcome.lines import Amount
from lifecycle.engagement_terms import in_outcome_terms

EXAMPLES = Path(__file__).parents[2] / "examples"
EVERY_CLAUSE = (EXAMPLES / "managed-rollout.yaml").read_text(encoding="utf-8")
PARTLY = ("miss_holds", "service_credits", "gain_share", "ceilings")
"""What settles only with people, beside gross prices."""


def contract(*changes: tuple[str, str]) -> Contract:
    text = EVERY_CLAUSE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return read_contract(text, "mr.yaml")


def cny(minor: int) -> Money:
    return Money(minor, "CNY")


def test_the_example_states_every_clause_there_is():
    stated = contract().model_dump()
    left_out = [name for name in Contract.model_fields if name not in stated]
    assert left_out == ["uses", "own_indicators"]
    assert contract().holdback.effect is HoldEffect.RESERVE_REFUND


def test_a_fee_line_has_the_tax_that_it_names_or_that_of_the_contract():
    rates = {fee.id: contract().tax_of(fee.id).rate for fee in contract().fees}
    assert rates == {
        "micro": Fraction("0.06"),
        "rollout": Fraction("0.06"),
        "licences": Fraction("0.13"),
    }


def test_an_automatic_policy_covers_its_hold_and_its_amount_alone():
    agreed = contract()
    verdict = agreed.policy_for(Decision.RELEASE, "HB1", cny(60_000_000))
    assert verdict is not None
    assert verdict.id == "AP1"
    assert agreed.policy_for(Decision.RELEASE, "HB1", cny(60_000_001)) is None
    assert agreed.policy_for(Decision.RELEASE, "RT1", cny(1)) is None
    assert agreed.policy_for(Decision.EXTEND, "HB1", cny(1)) is None


def test_a_contract_says_who_approves():
    without = EVERY_CLAUSE[: EVERY_CLAUSE.index("approvals:")]
    with pytest.raises(DocumentRefused) as refused:
        read_contract(without, "mr.yaml")
    (fault,) = refused.value.faults
    assert (fault.path, fault.rule) == ("approvals", "required_field")


def test_finance_may_be_on_either_side_and_need_not_be_named():
    text = contract(("roles: [finance]", "roles: [expert]"))
    assert check(text) == []


def test_nothing_needs_people_where_policies_cover_all():
    """A change order still takes one of each side, so that somebody has authority at all."""
    others = [
        each.value for each in Decision if each.value not in {"change_order", "dispute_ruling"}
    ]
    policy = f'    - {{id: ALL, clause: "8.9", decisions: [{", ".join(others)}]}}\n'
    alone = EVERY_CLAUSE.replace("needed: 2", "needed: 4") + policy
    with pytest.raises(DocumentRefused, match="4 can approve dispute_ruling whoever asks"):
        read_contract(alone, "mr.yaml")


def test_an_amount_that_nobody_may_approve_is_told_with_who_could():
    """30 % of M4, 216,000.00, and 5 % of milestones of 2,400,000.00, 120,000.00."""
    low = ("{person: zhou.ke, up_to: 1000000.00}", "{person: zhou.ke, up_to: 119999.99}")
    others = [
        ("{person: du.heng, up_to: 500000.00}", "{person: du.heng, up_to: 100.00}"),
        ("{person: fang.yi, up_to: 300000.00}", "{person: fang.yi, up_to: 216000.00}"),
    ]
    assert check(contract(low, *others)) == []
    others[1] = (others[1][0], "{person: fang.yi, up_to: 215999.99}")
    with pytest.raises(DocumentRefused) as refused:
        contract(low, *others)
    (fault,) = refused.value.faults
    assert fault.found == "1 person (lin.shuang) for the release and forfeit of MH1, 216000.00"


def test_retention_and_advance_may_take_all_of_an_invoice_and_no_more():
    assert check(contract(("recovered: 20%", "recovered: 65%"))) == []
    with pytest.raises(DocumentRefused, match=r"found 100\.01% of milestone M4"):
        contract(("recovered: 20%", "recovered: 65.01%"))


def test_a_hold_that_blocks_the_invoice_is_not_deducted_from_it():
    whole = ("share: 30%", "share: 100%")
    assert check(contract(whole, ("effect: withhold_payment", "effect: block_invoicing"))) == []
    with pytest.raises(DocumentRefused, match=r"found 125% of milestone M4"):
        contract(whole)


@pytest.mark.parametrize("missed", ["below", "above"])
def test_an_indicator_with_a_band_misses_on_either_side(missed):
    agreed = contract()
    banded = next(e for e in agreed.indicators().values() if e.direction is Direction.TARGET_BAND)
    hold = agreed.miss_holds[0].model_copy(update={"indicator": banded.id, "missed": missed})
    assert check(agreed.model_copy(update={"miss_holds": (hold,)})) == []


def test_a_part_gives_a_further_tax_and_the_indicator_of_a_miss_hold():
    files = EXAMPLES / "parts"

    def find(path: str):
        return read_document((files / path).read_text(encoding="utf-8"), path, PARTS)

    text = EVERY_CLAUSE
    for old, new in (
        (
            "timezone: Asia/Shanghai",
            "timezone: Asia/Shanghai\nuses: [cn-vat.yaml, lanhai-indicators.yaml]",
        ),
        ("code: CN-VAT-13, rate: 13%", "code: CN-VAT-GOODS, part: cn-vat"),
        ("tax: CN-VAT-13", "tax: CN-VAT-GOODS"),
        (
            "indicator: sla-attainment-rate\n    limit",
            "indicator: installation-first-pass-rate\n    limit",
        ),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    agreed = read_contract(text, "mr.yaml", find)
    assert agreed.tax_of("licences").rate == Fraction("0.13")
    assert [entry.id for entry in agreed.own_indicators] == ["installation-first-pass-rate"]
    assert Contract.model_validate_json(agreed.model_dump_json()).digest() == agreed.digest()


def test_a_contract_without_these_clauses_has_none_of_them_in_its_text():
    text = (EXAMPLES / "key-account.yaml").read_text(encoding="utf-8")
    stated = read_contract(text, "ka.yaml").model_dump(mode="json")
    assert not stated.keys() & {"retention", "advance", "taxes", "ceilings", *PARTLY}
    assert not stated["milestones"][0].keys() & {"more"}
    assert not stated["fees"][0].keys() & {"tax", "prices"}


@pytest.mark.parametrize("clause", [*PARTLY, "gross"])
def test_amounts_that_people_have_a_part_in_are_not_settled_from_readings(clause):
    with pytest.raises(TermsError, match=rf"found .*{clause}.*open an engagement instead"):
        in_outcome_terms(contract(), date(2026, 3, 31))


def test_further_lines_of_a_milestone_settle_with_it():
    agreed = contract(("prices: gross\n", "prices: net\n"))
    alone = agreed.model_copy(update={name: getattr(_bare(), name) for name in PARTLY})
    outcome = in_outcome_terms(alone, date(2026, 3, 31)).outcome
    lines = {line.id: line for line in outcome.lines if isinstance(line, Amount)}
    assert str(lines["milestone_m2"].amount) == "600000.00"
    assert str(lines["milestone_m2_licences"].amount) == "452000.00"
    assert lines["milestone_m2_licences"].gates == lines["milestone_m2"].gates


def _bare() -> Contract:
    text = (EXAMPLES / "key-account.yaml").read_text(encoding="utf-8")
    return read_contract(text, "ka.yaml")


def test_an_amendment_tells_authority_and_ceilings_by_their_names():
    after = contract(
        ("version: 1", "version: 2"),
        ("{person: du.heng, up_to: 500000.00}", "{person: du.heng, up_to: 600000.00}"),
        ("level: contract, amount: 4400000.00", "level: contract, amount: 4500000.00"),
        ("amount: 452000.00", "amount: 451000.00"),
        ("amount: 226000.00", "amount: 227000.00"),
    )
    told = [str(each) for each in differences(contract(), after)]
    assert told == [
        "version: 1 -> 2",
        "approvals.authority[du.heng].up_to (clause 8.1): 500000.00 CNY -> 600000.00 CNY",
        "milestones[M2].more[licences].amount (clause 4.2(b)): 452000.00 CNY -> 451000.00 CNY",
        "milestones[M4].more[licences].amount (clause 4.4(b)): 226000.00 CNY -> 227000.00 CNY",
        "ceilings[contract].amount (clause 3.7): 4400000.00 CNY -> 4500000.00 CNY",
    ]


def test_two_contents_are_told_apart_field_by_field_and_not_without_end():
    there = {"amount": "1.00 CNY", "reason": "late", "lines": [1, 2]}
    given = {"amount": "2.00 CNY", "reason": "late", "lines": [1], "evidence": "x" * 200}
    assert told_apart(there, there) == ""
    assert told_apart(there, given) == (
        "amount: 1.00 CNY on record, 2.00 CNY given; lines[1]: 2 on record, nothing given; "
        f"evidence: nothing on record, {'x' * 100}... given"
    )
    many = told_apart({}, {str(each): each for each in range(10)})
    assert many.endswith("7: nothing on record, 7 given; 2 more")
