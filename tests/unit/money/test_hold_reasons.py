"""Why a hold keeps, gives or takes just that amount: clause, inputs with evidence, roundings."""

from datetime import date
from fractions import Fraction

import pytest

from contracts.calendar import Period
from contracts.commercial import Decision, HoldEffect, HoldKind, Retention, RetentionStep
from contracts.explanation import Explanation
from contracts.money import Money
from lifecycle.bet import reading_input
from lifecycle.hold import Hold
from lifecycle.hold_reasons import (
    as_asked,
    of_all_free,
    of_holdback,
    of_miss,
    of_retained,
    of_step,
)
from lifecycle.tax import Taxed
from tests.unit.lifecycle.conftest import CONTRACT, beijing, cny
from tests.unit.money.test_miss import SLA, TERMS, month

NONE = Money(0, "CNY")
RT1 = Hold(
    id="eng.E7.hold.RT1",
    kind=HoldKind.RETENTION,
    effect=HoldEffect.WITHHOLD_PAYMENT,
    clause="7.3",
    fee="project",
    placed=cny("105000.01"),
    placed_tax=NONE,
    decided_tax=NONE,
    released=NONE,
    forfeited=NONE,
    reserved=NONE,
    placed_by="clause:7.3",
    placed_at=beijing("2025-07-15 10:00"),
)
STEP = RetentionStep(id="R6M", clause="7.3(a)", after=Period(months=6), share=Fraction(3, 5))
MISSES = [month(1, "0.79"), month(3, "0.78")]


def given(explanation: Explanation) -> dict[str, str]:
    return {each.name: each.value for each in explanation.inputs}


def steps(explanation: Explanation) -> list[tuple[str, str, str | None]]:
    return [(step.formula, step.exact, step.rounded) for step in explanation.steps]


def test_a_holdback_is_a_share_of_its_fee():
    why = of_holdback(CONTRACT)
    assert (why.amount, why.clause) == (cny("540000.00"), "5.1")
    assert given(why) == {"fee": "1800000.00", "rate": "30%"}
    assert steps(why) == [("placed = fee * rate", "540000", "540000.00")]


@pytest.mark.parametrize(
    ("base", "before", "part", "expected"),
    [
        (
            "636000.00",
            "19080.00",
            Taxed(cny("12102.00"), cny("618.00")),
            [
                ("to date = base to date * rate", "31800", "31800.00"),
                ("retained = to date - before", "12720.00", None),
                ("net = 12720.00 - 618.00 of tax inside", "12102.00", None),
            ],
        ),
        (
            "1140000.00",
            "31800.00",
            Taxed(cny("22200.00"), NONE),
            [
                ("to date = base to date * rate", "57000", "57000.00"),
                ("to date = at most the limit", "54000.00", None),
                ("retained = to date - before", "22200.00", None),
            ],
        ),
    ],
    ids=["a rate of what is invoiced to date", "at most the limit"],
)
def test_a_retention_tells_what_it_is_a_share_of(base, before, part, expected):
    terms = Retention(
        id="RT1",
        clause="7.3",
        fee="project",
        rate=Fraction(5, 100),
        base="gross",
        tax="invoice",
        limit=Fraction(3, 100),
        release=(STEP,),
    )
    contract = CONTRACT.model_copy(update={"retention": terms})
    why = of_retained(contract, cny(base), cny(before), part)
    assert (why.what, why.clause) == ("retention RT1: 5% of fee project, gross", "7.3")
    assert why.amount == part.net
    assert given(why) == {
        "rate": "5%",
        "base to date": base,
        "before": before,
        "limit": "54000.00",
    }
    assert steps(why) == expected


def test_a_miss_tells_each_reading_with_its_evidence_and_what_was_expected():
    why = of_miss(CONTRACT, TERMS, SLA, MISSES, cny("540000.00"))
    assert why.what == "SLA attainment below 0.8 in 2 of the last 3: 30% of milestone M4"
    assert (why.amount, why.clause) == (cny("81000.00"), "7.5")
    expected = [each.value for each in why.inputs if each.name == "expected"]
    found = [(each.value, each.evidence) for each in why.inputs if each.name == "found"]
    assert expected == ["at least 0.8 ratio"]
    assert found == [(f"{each.value} ratio", each.evidence) for each in MISSES]
    assert steps(why) == [("placed = milestone * share", "81000", "81000.00")]


def test_where_less_is_left_to_hold_a_miss_says_so():
    why = of_miss(CONTRACT, TERMS, SLA, MISSES, cny("80000.00"))
    assert why.amount == cny("80000.00")
    assert steps(why)[-1] == ("placed = at most what is left to hold", "80000.00", None)


def test_beyond_a_limit_above_at_most_that_was_expected():
    terms = TERMS.model_copy(update={"missed": "above"})
    assert given(of_miss(CONTRACT, terms, SLA, MISSES, NONE))["expected"] == "at most 0.8 ratio"


def test_a_step_releases_a_share_to_date_less_what_was_decided():
    """0.6 * 105,000.01 = 63,000.006, rounded once; of it 40,000.00 were forfeited."""
    decided = RT1.model_copy(update={"forfeited": cny("40000.00")})
    why = of_step(CONTRACT, decided, STEP, date(2025, 9, 1), Fraction(3, 5))
    assert why.what == "retention RT1, step R6M: 60% of 105000.01 retained to date"
    assert (why.amount, why.clause) == (cny("23000.01"), "7.3(a)")
    assert given(why) == {
        "retained": "105000.01",
        "share to date": "60%",
        "go-live": "2025-09-01, + 6 months",
        "decided before": "40000.00",
    }
    assert steps(why) == [
        ("due = retained * share to date", "31500003/500", "63000.01"),
        ("released = due - decided before", "23000.01", None),
    ]


def test_what_others_asked_for_is_told_where_it_is_left_out():
    asked = RT1.model_copy(update={"reserved": cny("1000.00")})
    why = of_step(CONTRACT, asked, STEP, date(2025, 9, 1), Fraction(3, 5))
    assert (given(why)["reserved"], why.amount) == ("1000.00", cny("62000.01"))
    assert why.steps[-1].formula == "released = due - decided before - reserved"
    all_of_it = of_all_free(CONTRACT, asked, Decision.FORFEIT, "8.3", reason="silence")
    assert (all_of_it.amount, all_of_it.clause) == (cny("104000.01"), "8.3")
    assert steps(all_of_it) == [("forfeited = held - reserved", "104000.01", None)]


def test_a_cure_names_the_reading_that_is_met_again():
    met = month(4, "0.85")
    why = of_all_free(
        CONTRACT,
        RT1,
        Decision.RELEASE,
        "7.5",
        reason="cured",
        given=(reading_input("found", SLA, met),),
    )
    assert [(each.name, each.evidence) for each in why.inputs] == [
        ("found", met.evidence),
        ("held", None),
    ]


@pytest.mark.parametrize("decision", [Decision.RELEASE, Decision.FORFEIT])
def test_people_decide_about_what_they_asked_for(decision):
    why = as_asked(
        CONTRACT, RT1, decision, cny("5.00"), by="sun.hao", reason="agreed", evidence="mail 7"
    )
    first, held = why.inputs
    assert (first.value, first.source, first.evidence) == ("5.00", "sun.hao", "mail 7")
    assert held.value == "105000.01 of 105000.01 placed"
    assert why.amount == cny("5.00")
