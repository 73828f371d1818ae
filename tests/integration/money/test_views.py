"""What people read of the money: where the amount of a hold comes from, what is invoiced."""

import pytest

from contracts.commercial import Decision, HoldEffect
from contracts.contract import Contract
from contracts.explanation import Explanation
from contracts.money import parse_amount
from contracts.setting import ClockKind
from lifecycle.orders import Wait
from tests.integration.conftest import Databases
from tests.integration.money import test_holds as holds
from tests.integration.money.everything import Told, agreed
from tollkeeper.verify import verify
from tollkeeper.views.engagements import engagements
from tollkeeper.views.explained import explain
from tollkeeper.views.ledger import money_table


@pytest.fixture(scope="module")
async def pool(databases: Databases, key_account: Contract):
    """Live, with a miss that withholds, two holds by people, and the first step of the retention."""
    async with databases.copy() as pool:
        one = Told(pool, agreed(key_account), "E1", ClockKind.TEST)
        await one.opened()
        await one.consulted()
        await one.proceeded()
        desk = holds.Desk(one)
        await desk.place("H1", "100000.00", milestone="M2", evidence="mail 3")
        await desk.signed_by_two("place-H1")
        await desk.decide(Decision.RELEASE, "H1", "100000.00", "R1")
        await desk.signed_by_two("R1")
        for milestone in one.contract.milestones:
            await one.delivered(milestone.id, "2025-01-15" if milestone.go_live else "2024-12-06")
        line = await pool.fetchval(
            "select number || '/1' from invoice where key = 'eng.E1.milestone.M1:bill'"
        )
        await desk.place("H2", "5.00", effect=HoldEffect.WITHHOLD_PAYMENT, line=line)
        await desk.signed_by_two("place-H2")
        await one.placed()
        for month, value in (("02", "101.5"), ("03", "99"), ("04", "102")):
            await one.measured("ka-dso-days", value, f"2025-{month}-03")
        look = await desk.look("MH1")
        wait = Wait(for_whom=look.waits_for, why=look.why, since=look.since)
        await one.recorded("2025-04-03", "hold", "MH1", wait, "hold", "MH1")
        await desk.clock_ended("RT1")
        await desk.clock_ended("H2")
        await desk.clock_ended("H2")
        assert [check.id for check in (await verify(pool)).checks if not check.ok] == []
        yield pool


def inputs(explanation: Explanation, name: str) -> list[str]:
    return [
        f"{each.value} ({each.source}, {each.evidence})"
        for each in explanation.inputs
        if each.name == name
    ]


async def test_a_hold_of_a_miss_names_readings_clause_and_share(pool):
    found = await explain(pool, "eng.E1.hold.MH1")
    (why,) = found.explanations
    assert why.clause == "7.5"
    assert inputs(why, "milestone") == ["270000.00 (clause 4.4, None)"]
    assert inputs(why, "expected") == ["at most 100 days (clause 7.5, None)"]
    assert inputs(why, "found") == [
        "101.5 days (CRM, 2025-02-03, n=60, sha256:ka-dso-days)",
        "102 days (CRM, 2025-04-03, n=60, sha256:ka-dso-days)",
    ]
    # 270,000.00 / 7
    (step,) = why.steps
    assert (step.exact, step.rounded) == ("270000/7", "38571.43")
    assert found.subject == "hold eng.E1.hold.MH1, 38571.43 CNY held"
    assert [(wait.for_whom, wait.why) for wait in found.waiting] == [
        ("release", "38571.43 CNY held by clause:7.5")
    ]


async def test_a_step_of_the_retention_tells_its_share_and_what_was_retained(pool):
    found = await explain(pool, "eng.E1.hold.RT1:R3M")
    (why,) = found.explanations
    assert (why.clause, str(why.amount)) == ("7.3(a)", "18000.00")
    assert why.what.endswith("step R3M: 1/3 of 54000.00 retained to date")
    assert inputs(why, "go-live") == ["2025-01-15, + 3 months (timeline, None)"]
    # Its invoice tells from which invoices it comes, and of which step.
    number = await pool.fetchval("select number from invoice where purpose = 'retention'")
    (line,) = (await explain(pool, f"{number}/1")).explanations
    assert line.what == why.what
    assert {each.name.partition(" ")[0] for each in line.inputs} == {"retained"}


async def test_a_hold_by_people_tells_who_asked_for_it_and_who_decided(pool):
    placed, released = (await explain(pool, "eng.E1.hold.H1")).explanations
    assert (placed.what, placed.clause) == ("H1 placed: scope is disputed", "8.1")
    assert inputs(placed, "asked for") == ["100000.00 (sun.hao, mail 3)"]
    assert inputs(released, "held") == ["100000.00 of 100000.00 placed (H1, None)"]


async def test_silence_decides_about_all_that_is_free(pool):
    (why,) = (await explain(pool, "eng.E1.hold.H2:default")).explanations
    assert (why.clause, why.amount) == ("8.3", parse_amount("5.00", "CNY"))
    assert [step.formula for step in why.steps] == ["forfeited = held"]


async def test_what_an_invoice_retains_is_invoiced_whenever_it_is_taxed(pool):
    """100,000.00 micro, 1,260,000.00 of milestones and 10,000.03 / 1.13 of licences, 5.00 credited."""
    (one,) = await engagements(pool)
    assert str(one.invoiced) == "1368844.58"
    fees = {row.fee: row for row in await money_table(pool, "E1")}
    project = fees["project"]
    assert (str(project.invoiced.net), str(project.credited.net)) == ("1260000.00", "5.00")
    # 6 % but of the two thirds of 54,000.00 that are still retained, rounded on each document.
    assert str(project.invoiced.tax) == "73440.01"


async def test_the_holdback_of_a_bet_is_a_share_of_its_fee(pool):
    (why,) = (await explain(pool, "eng.E1.hold.HB1")).explanations
    assert inputs(why, "rate") == ["30% (clause 5.1, None)"]
