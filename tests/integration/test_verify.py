"""The verification finds each kind of damage, and names what is damaged."""

import asyncio

import pytest

from activities.postgres import transaction
from contracts.setting import ClockKind
from tests.integration.conftest import Story
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
    assert set(found) == {"groups-balance", "groups-unaltered", "trial-balance"}


ONE_CENT = """
    update posting set amount_minor = amount_minor + 1
    where account = '1200' and group_id = (
        select id from journal_group where key = 'eng.L1.milestone.M1:evaluate:E01:project'
    )
"""

TEN_TIMES = "update invoice_line set {0}_minor = {0}_minor * 10 where number = 'TEST-QM-CN-2025-000001'"

DAMAGES = [
    (
        "groups-balance",
        ONE_CENT,
        "found debit 360000.01 and credit 360000.00 CNY in the money ledger, expected equal sums",
    ),
    (
        "groups-balance",
        """
        delete from posting where group_id = (
            select id from journal_group where key = 'eng.L1.bet.B1:place:E14'
        )
        """,
        "found no postings, expected some",
    ),
    (
        "groups-unaltered",
        "update posting set fee = 'micro' where invoice = 'QM-INV-2024-000002'",
        "eng.L1.milestone.M1:bill:E02 (group",
    ),
    (
        "trial-balance",
        ONE_CENT,
        "live book, money ledger: found a difference in CNY of 0.01, expected 0.00",
    ),
    (
        "accounts-not-negative",
        "delete from posting where group_id in (select id from journal_group where code = 'E14')",
        "engagement L1, account M40 Stake open, not invoiced, eng.L1.hold.HB1: "
        "found -540000.00 CNY, expected 0 or more",
    ),
    (
        "accounts-not-negative",
        """
        update posting set invoice = 'TEST-QM-INV-2025-000001'
        where invoice = 'TEST-QM-INV-2025-000002' and account = '1120' and side = 'C'
        """,
        "engagement W1, account 1120 Receivable, withheld, TEST-QM-INV-2025-000001: "
        "found -572400.00 CNY, expected 0 or more",
    ),
    (
        "documents-add-up",
        "update invoice_line set net_minor = net_minor + 1 where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002: found lines of together 360000.01, expected 360000.00",
    ),
    (
        "documents-add-up",
        "delete from invoice_line where number = 'QM-INV-2025-000002' and line = 2",
        "QM-INV-2025-000002: found lines of together 216000.00, expected 251996.40",
    ),
    (
        "documents-add-up",
        """
        update invoice set tax_minor = tax_minor + 1, gross_minor = gross_minor + 1
        where number = 'QM-INV-2024-000002'
        """,
        "QM-INV-2024-000002: found tax of lines of together 21600.00, expected 21600.01",
    ),
    (
        "claims-in-ledger",
        """
        update posting set invoice = 'QM-INV-2024-000003'
        where invoice = 'QM-INV-2024-000002' and account = '1100'
        """,
        "QM-INV-2024-000002: found nothing, expected the gross without the advance, 381600.00",
    ),
    (
        "tax-by-rate",
        "update invoice_tax set tax_minor = tax_minor + 1 where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002 CN-VAT-6 3/50: found tax on lines 2160000, expected 2160001",
    ),
    (
        "tax-by-rate",
        """
        update invoice_tax set tax_minor = tax_minor + 1 where number = 'QM-INV-2024-000002';
        update invoice_line set tax_minor = tax_minor + 1 where number = 'QM-INV-2024-000002'
        """,
        "found tax 2160001 minor units, expected 3/50 of what is taxed, 2160000.00",
    ),
    (
        "tax-by-rate",
        "delete from invoice_tax where number = 'QM-INV-2024-000002'",
        "found lines or a group alone, expected both",
    ),
    (
        "tax-by-rate",
        "update invoice_line set tax_minor = -tax_minor where number = 'QM-INV-2024-000002'",
        "found tax -2160000 on 36000000, expected it on the same side of 0",
    ),
    (
        "retained-and-withheld",
        "update invoice set withheld_minor = 1 where number = 'TEST-QM-INV-2025-000002'",
        "TEST-QM-INV-2025-000002: found withheld 572400.00, expected 0.01",
    ),
    (
        "credits-in-ledger",
        "delete from invoice where number = 'TEST-QM-CN-2026-000001'",
        "TEST-QM-INV-2025-000002: found credited 228961.43, expected 76323.82",
    ),
    (
        "credits-within-invoice",
        TEN_TIMES.format("net"),
        "TEST-QM-INV-2025-000002: found net 864033.75 credited, expected at most 540000.00",
    ),
    (
        "credits-within-invoice",
        TEN_TIMES.format("tax"),
        "TEST-QM-INV-2025-000002: found tax 51842.06 credited, expected at most 32400.00",
    ),
    (
        "credits-within-rate",
        TEN_TIMES.format("tax"),
        "TEST-QM-INV-2025-000002 CN-VAT-6 3/50: found tax 51842.06 credited, "
        "expected at most 32400.00",
    ),
    (
        "credits-within-line",
        TEN_TIMES.format("net"),
        "TEST-QM-INV-2025-000002/1: found net 864033.75 credited, expected at most 540000.00",
    ),
    (
        "credits-within-line",
        "update invoice_line set net_minor = 21600135 where number = 'TEST-QM-INV-2025-000002'",
        "TEST-QM-INV-2025-000002/1: found tax credited 12960.08, expected 32400.00",
    ),
    (
        "numbers-without-gap",
        "delete from invoice where number in ('QM-INV-2024-000002', 'QM-INV-2024-000003')",
        "QM-INV of 2024: found none from QM-INV-2024-000002 to QM-INV-2024-000003, expected no gap",
    ),
    (
        "numbers-without-gap",
        "delete from invoice where number = 'QM-INV-2026-000001'",
        "QM-INV of 2026: found the last number QM-INV-2026-000000, expected QM-INV-2026-000001",
    ),
    (
        "numbers-without-gap",
        "delete from invoice_series where series = 'QM-INV' and year = 2026",
        "QM-INV of 2026: found the last number QM-INV-2026-000001, expected QM-INV-2026-000000",
    ),
    (
        "numbers-without-gap",
        """
        alter table invoice drop constraint invoice_series_year_sequence_key;
        update invoice set sequence = 2 where number = 'QM-INV-2024-000003'
        """,
        "QM-INV of 2024: found QM-INV-2024-000002 twice, expected it once",
    ),
    (
        "numbers-in-order",
        """
        with taken as (delete from outbox where key = 'QM-INV-2024-000001' returning *)
        insert into outbox (key, kind, book, engagement_id, payload)
        select key, kind, book, engagement_id, payload from taken
        """,
        "QM-INV-2024-000002: found it issued before QM-INV-2024-000001, expected after",
    ),
    (
        "numbers-in-order",
        "update invoice set number = 'QM-INV-2024-2' where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-2: found the number QM-INV-2024-2, expected QM-INV-2024-000002",
    ),
    (
        "numbers-in-order",
        "update invoice set issued_on = '2023-12-31' where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002: found the year of issue 2023, expected 2024",
    ),
    (
        "claims-billed-once",
        """
        alter table invoice_line drop constraint invoice_line_claim_key;
        update invoice_line set claim = 'eng.L1.milestone.M1' where number = 'QM-INV-2024-000003'
        """,
        "eng.L1.milestone.M1: found QM-INV-2024-000002/1, QM-INV-2024-000003/1, expected one line",
    ),
    (
        "documents-sent",
        "delete from outbox where key = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002: found no message in the outbox, expected one",
    ),
    (
        "documents-sent",
        """
        update outbox set payload = jsonb_set(payload, '{gross}', '"381600.01"')
        where key = 'QM-INV-2024-000002'
        """,
        "QM-INV-2024-000002: found a message with gross 381600.01, expected 381600.00",
    ),
    (
        "holds-within-placed",
        """
        update hold_movement set amount_minor = 54000000
        where hold_id = 'eng.H1.hold.HB1' and movement = 'released'
        """,
        "eng.H1.hold.HB1: found -72003.60 held, expected 0 or more",
    ),
    (
        "holds-within-placed",
        "delete from hold_movement where hold_id = 'eng.H1.hold.HB1'",
        "eng.H1.hold.HB1: found placements: 0, expected 1",
    ),
    (
        "holds-in-ledger",
        "update hold_movement set amount_minor = amount_minor - 1 where movement = 'placed'",
        "eng.H1.hold.HB1: found withheld (1120) 228960.00, expected 228959.99",
    ),
    (
        "holds-in-ledger",
        """
        update hold_movement set amount_minor = amount_minor - 1
        where hold_id = 'eng.L1.hold.HB1' and movement = 'forfeited' and key like '%W6%'
        """,
        "eng.L1.hold.HB1: found stake not invoiced (M40) 0.00, expected 0.01",
    ),
    (
        "decisions-on-record",
        "delete from decision_record where key = 'eng.L1.bet.B1:W6:forfeit'",
        "eng.L1.bet.B1:W6:forfeit: found the movement forfeited and the decision None, "
        "expected both alike",
    ),
    (
        "decisions-on-record",
        """
        update decision_record set amount_minor = amount_minor - 1
        where key = 'eng.L1.bet.B1:W6:forfeit'
        """,
        "eng.L1.bet.B1:W6:forfeit: found decided 72003.59, expected 72003.60",
    ),
    (
        "decisions-on-record",
        """
        update hold_movement set amount_minor = amount_minor - 1
        where key = 'eng.L1.bet.B1:W6:forfeit'
        """,
        "eng.L1.bet.B1:W6:forfeit: found moved 72003.59, expected 72003.60",
    ),
    (
        "decisions-on-record",
        "delete from verdict where key = 'eng.L1.bet.B1:W6:verdict'",
        "eng.L1.bet.B1:W6:release: found no verdict, expected the one that decided",
    ),
    (
        "verdicts-recompute",
        """
        update reading set value = 86.25
        where engagement_id = 'L1' and indicator = 'ka-dso-days'
        """,
        "eng.L1.bet.B1:W6:verdict: found the verdict win-rate-count released 216000.00 forfeited "
        "0.00, ka-dso-days released 35996.40 forfeited 72003.60, expected win-rate-count released "
        "216000.00 forfeited 0.00, ka-dso-days released 54000.00 forfeited 54000.00",
    ),
    (
        "verdicts-recompute",
        "update reading set evidence = 'another' where engagement_id = 'L1'",
        "eng.L1.bet.B1:W12:verdict: found an explanation with digest",
    ),
    (
        "verdicts-recompute",
        "delete from reading where engagement_id = 'L1' and indicator = 'ka-dso-days'",
        "eng.L1.bet.B1:W6:verdict: found no reading of ka-dso-days that counts, expected one",
    ),
    (
        "verdicts-recompute",
        """update verdict set result = '{"verdict": 1}' where key = 'eng.L1.bet.B1:W6:verdict'""",
        "eng.L1.bet.B1:W6:verdict: found what cannot be read (1 validation error for Assessed",
    ),
    (
        "verdicts-recompute",
        "update reading set value = 95 where engagement_id = 'H1' and measured_on < '2025-05-01'",
        "eng.H1.bet.B1:W3:trend: found trends ka-average-output INSUFFICIENT_DATA, ka-dso-days "
        "IMPROVING, win-rate-count INSUFFICIENT_DATA, expected ka-average-output "
        "INSUFFICIENT_DATA, ka-dso-days FLAT, win-rate-count INSUFFICIENT_DATA",
    ),
    (
        "loss-bound",
        "delete from event where engagement_id = 'L1' and type = 'engagement.proceeded'",
        "engagement L1: found 1683998.65 invoiced before PROCEED, expected at most 100000.00",
    ),
    (
        "fee-adds-up",
        """
        update hold_movement set amount_minor = amount_minor - 1
        where key = 'eng.L1.bet.B1:W6:forfeit'
        """,
        "engagement L1: found fixed 1360000.00 + released 323998.65 + forfeited 216001.34 "
        "+ held 0.01, expected 1900000.00 and nothing held in a closed engagement",
    ),
    (
        "fee-adds-up",
        "update hold_movement set amount_minor = amount_minor + 1 where movement = 'placed'",
        "engagement H1: found fixed 1360000.00 + released 251996.40 + forfeited 72003.60 "
        "+ held 216000.01, expected at most the fee 1900000.00",
    ),
    (
        "amounts-explained",
        """
        update invoice_line set explanation = jsonb_set(explanation, '{amount}', '"1.00 CNY"')
        where number = 'QM-INV-2024-000002'
        """,
        "QM-INV-2024-000002/1: found an explanation of 1.00, expected 360000.00",
    ),
    (
        "amounts-explained",
        """
        update decision_record set explanations = explanations - 0
        where key = 'eng.L1.bet.B1:W6:release'
        """,
        "eng.L1.bet.B1:W6:release: found an explanation of 35996.40, expected 251996.40",
    ),
    (
        "amounts-explained",
        "update invoice set contract_version = 2 where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002/1: found an explanation under KA-2024-017@v1, expected KA-2024-017@v2",
    ),
    (
        "contracts-unaltered",
        """
        update contract_version set document = jsonb_set(document, '{holdback,rate}', '"1/5"')
        where contract_id = 'KA-2024-017'
        """,
        "KA-2024-017@v1: found a document with digest",
    ),
    (
        "books-apart",
        "update invoice set book = 'sandbox' where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002: found the book sandbox, expected live",
    ),
    (
        "books-apart",
        "update invoice set series = 'QM-CN' where number = 'TEST-QM-CN-2026-000001'",
        "series of TEST-QM-CN-2026-000001: found the book live, expected sandbox",
    ),
    (
        "books-apart",
        "update journal_group set book = 'live' where key = 'eng.W1.bet.B1:place:E02'",
        "journal group eng.W1.bet.B1:place:E02: found the book live, expected sandbox",
    ),
    (
        "books-apart",
        "update outbox set book = 'live' where key = 'TEST-QM-CN-2026-000001'",
        "message TEST-QM-CN-2026-000001: found the book live, expected sandbox",
    ),
    (
        "books-apart",
        "update engagement set book = 'live' where engagement_id = 'S1'",
        "engagement S1: found the book live, expected sandbox",
    ),
    (
        "effects-complete",
        "delete from effect where key = 'eng.L1.milestone.M1:bill'",
        "document QM-INV-2024-000002: found no effect eng.L1.milestone.M1:bill, expected it",
    ),
    (
        "effects-complete",
        "delete from journal_group where effect_key = 'eng.L1.milestone.M1:bill'",
        "document QM-INV-2024-000002: found no journal group of eng.L1.milestone.M1:bill, "
        "expected its postings",
    ),
    (
        "answers-on-record",
        "delete from invoice where number = 'QM-INV-2024-000002'",
        "eng.L1.milestone.M1:bill: found the document None, expected QM-INV-2024-000002",
    ),
    (
        "answers-on-record",
        """
        update effect set result = jsonb_set(result, '{gross}', '"1.00 CNY"')
        where key = 'eng.L1.milestone.M1:bill'
        """,
        "eng.L1.milestone.M1:bill: found gross 381600.00 CNY, expected 1.00 CNY",
    ),
    (
        "answers-on-record",
        "delete from hold_movement where key = 'eng.H1.bet.B1:place'",
        "eng.H1.bet.B1:place: found moved None, expected 540000.00 CNY",
    ),
]


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
