"""The verification finds each kind of damage, and names what is damaged."""

import asyncio

import pytest

from activities.postgres import transaction
from contracts.setting import ClockKind
from tests.integration.conftest import Story
from tests.integration.damages import DAMAGES, ONE_CENT
from tests.integration.money.eventful import Eventful
from tests.integration.money.histories.agreements import AGREEMENTS
from tollkeeper.verify import INVARIANTS, verify


@pytest.fixture(scope="module")
async def history(databases, key_account, withheld):
    """A database with engagements of every kind, closed and open, and no connection to it."""
    async with databases.copy() as pool:
        await Story(pool, key_account, "L1", ClockKind.LIVE).played()
        await Story(pool, withheld, "W1", ClockKind.TEST).played()

        half = Story(pool, withheld, "H1", ClockKind.LIVE)
        await half.live()
        for day, days in (("2025-02-14", "91"), ("2025-03-14", "90"), ("2025-04-14", "88")):
            await half.measured("ka-dso-days", days, day)
        await half.trend_read()
        await half.settled("W6")

        shelved = Story(pool, key_account, "S1", ClockKind.TEST)
        await shelved.opened()
        await shelved.consulted()
        await shelved.closed(shelved=True)

        await Story(pool, key_account, "N1", ClockKind.LIVE).opened()
        await Story(pool, AGREEMENTS["refundable"], "R1", ClockKind.LIVE).live()
        await Eventful(pool, key_account, "K1").happens()
        name = await pool.fetchval("select current_database()")
        await pool.close()
        yield name


@pytest.fixture
async def copy(databases, history):
    async with databases.copy(history) as pool:
        yield pool


async def violations(pool):
    return {check.id: check.violations for check in (await verify(pool)).checks}


async def test_what_the_activities_wrote_is_in_order(copy):
    verification = await verify(copy)
    assert verification.ok
    assert [check.id for check in verification.checks if not check.checked] == []
    assert verification.model_dump(mode="json")["ok"] is True


async def test_an_empty_database_is_in_order(pool):
    verification = await verify(pool)
    assert verification.ok
    assert {check.checked for check in verification.checks} == {0}


async def test_it_sees_one_state_while_others_write(pool, key_account, withheld):
    blocked, credited = (
        Story(pool, contract, contract.id, ClockKind.LIVE) for contract in (key_account, withheld)
    )
    playing = asyncio.gather(blocked.played(), credited.played())
    seen = []
    while not playing.done():
        seen.append(await verify(pool))
    await playing
    assert [check for each in seen for check in each.checks if not check.ok] == []
    assert (await verify(pool)).ok


async def test_an_altered_cent_is_found_in_its_group(copy):
    await damage(copy, ONE_CENT)
    key = "eng.L1.milestone.M1:evaluate:E01:project"
    group = await copy.fetchval("select id from journal_group where key = $1", key)
    digest = await copy.fetchval("select digest from journal_group where key = $1", key)
    found = {name: faults for name, faults in (await violations(copy)).items() if faults}
    assert found["groups-balance"] == (
        f"{key} (group {group}): found debit 360000.01 and credit 360000.00 CNY "
        "in the money ledger, expected equal sums",
    )
    (altered,) = found["groups-unaltered"]
    assert altered.startswith(f"{key} (group {group}): found postings with digest ")
    assert altered.endswith(f", expected {digest}")
    assert set(found) == {"groups-balance", "groups-unaltered", "trial-balance", "chain-verifies"}


async def damage(pool, sql):
    """Change what is written once, as only the owner of the database can."""
    async with transaction(pool) as connection:
        await connection.execute(f"set local session_replication_role = replica; {sql}")


@pytest.mark.parametrize(
    ("check", "sql", "violation"), DAMAGES, ids=[check for check, _, _ in DAMAGES]
)
async def test_damage_is_found_and_named(copy, check, sql, violation):
    await damage(copy, sql)
    found = (await violations(copy))[check]
    assert any(violation in each for each in found), found


def test_every_check_has_been_seen_to_fail():
    assert {check for check, _, _ in DAMAGES} == {each.id for each in INVARIANTS}
