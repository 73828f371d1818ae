"""Effects on a real PostgreSQL: done once, whole or not at all, and to the fen."""

import asyncio
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from temporalio.testing import ActivityEnvironment

from activities.books.journal import post
from activities.export.delivery import Export
from activities.export.port import Endpoint
from contracts.errors import (
    KeyReused,
    LossBoundExceeded,
    NotFound,
    TermsError,
    TransitionError,
    Unavailable,
)
from contracts.money import Money
from contracts.setting import ClockKind
from lifecycle.bet import Trend
from lifecycle.orders import Assessed, Billed, Deliver
from tollkeeper import migrations
from tollkeeper.verify import verify
from tollkeeper.views.documents import invoice, invoices
from tollkeeper.views.holds import holds
from tollkeeper.views.ledger import balances

FINANCE = Endpoint("https://finance.test/documents", (b"s" * 32,))

SCHEMA = Path(migrations.__file__).parent / "versions" / "schema"
WRITTEN_ONCE = [
    table
    for file in sorted(SCHEMA.glob("*.sql"))
    for table in re.findall(r"select written_once\('(\w+)'\)", file.read_text(encoding="utf-8"))
]
SAID = [
    table
    for file in sorted(SCHEMA.glob("*.sql"))
    for table in re.findall(
        r"create table (\w+) \( +-- written once", file.read_text(encoding="utf-8")
    )
]


def yuan(amount: str) -> Money:
    return Money(int(amount.replace(".", "")), "CNY")


async def accounts(pool, id="E1"):
    """Without the levels of the caps, M10 to M39."""
    rows = await balances(pool, id)
    return {row.account: str(row.balance) for row in rows if not "M10" <= row.account <= "M39"}


async def rows(pool):
    """How many rows each table has."""
    tables = await pool.fetch("select tablename from pg_tables where schemaname = 'public'")
    return {
        table: await pool.fetchval(f"select count(*) from {table}") for (table,) in sorted(tables)
    }


async def is_verified(pool):
    verification = await verify(pool)
    assert [check for check in verification.checks if not check.ok] == []
    return True


# Once.


async def test_the_same_order_twice_is_one_effect_and_one_answer(story, pool):
    one = story()
    await one.opened()
    first = await one.consulted()
    before = await rows(pool)
    assert await one.consulted() == first
    assert await rows(pool) == before
    assert await is_verified(pool)


async def test_the_same_key_with_another_order_is_refused(story, pool):
    one = story()
    await one.opened()
    await one.consulted()
    before = await rows(pool)
    fee = one.micro_fee()
    for changed in ({"evidence": "S10 done"}, {"at": fee.at + timedelta(days=1)}):
        with pytest.raises(KeyReused, match=r"eng\.E1\.micro\.key-account:fee"):
            await one.billing.bill_micro_consulting(fee.model_copy(update=changed))
    assert await rows(pool) == before


async def test_a_contract_version_stands_for_one_text(story, key_account):
    await story().opened()
    changed = key_account.model_copy(update={"timezone": "Asia/Tokyo"})
    with pytest.raises(KeyReused, match="KA-2024-017 version 1"):
        await story("E2", changed).opened()
    await story("E2", changed.model_copy(update={"version": 2})).opened()


async def test_twenty_identical_orders_at_once_make_one_invoice_and_get_one_answer(story, pool):
    one = story()
    await one.opened()
    answers = await asyncio.gather(*(one.consulted() for _ in range(20)))
    assert set(answers) == {Billed(number="TEST-QM-INV-2024-000001", gross=yuan("106000.00"))}
    assert len(await invoices(pool)) == 1
    assert await is_verified(pool)


async def test_two_decisions_at_once_never_take_more_than_is_held(story, pool):
    one = story()
    await one.live()
    for window in ("W6", "W12"):
        for indicator, value in {
            "win-rate-count": "0.29",
            "ka-dso-days": "86.25",
            "ka-average-output": "11800000",
        }.items():
            await one.measured(indicator, value, "2025-07-10" if window == "W6" else "2026-01-10")
        await one.assessed(window)
    decisions = [one.released("W6"), one.forfeited("W6"), one.released("W12"), one.forfeited("W12")]
    await asyncio.gather(*decisions)
    (hold,) = await holds(pool)
    assert (hold.held, hold.released + hold.forfeited) == (yuan("0.00"), hold.placed)
    assert await is_verified(pool)


# Numbers.


async def test_forty_invoices_at_once_are_numbered_without_a_gap_though_some_fail(
    story, pool, monkeypatch
):
    """c.5-9: a number is taken in the transaction that issues it, and given back with it."""
    many = [story(f"E{n:02}", clock=ClockKind.LIVE) for n in range(40)]
    for one in many:
        await one.opened()
    failing = {one.micro_fee().key for one in many[::4]}

    async def fails_once(connection, order, terms, group):
        if group.code == "E02" and order.key in failing:
            failing.remove(order.key)
            raise ConnectionResetError("cut off after the number was taken")
        await post(connection, order, terms, group)

    monkeypatch.setattr("activities.billing.invoices.post", fails_once)

    async def insisting(one):
        try:
            return await one.consulted()
        except Unavailable:
            return await one.consulted()

    answers = await asyncio.gather(*(insisting(one) for one in many))
    assert failing == set()
    assert sorted(answer.number for answer in answers) == [
        f"QM-INV-2024-{n:06}" for n in range(1, 41)
    ]
    assert await is_verified(pool)


async def test_the_sandbox_has_its_own_book_and_series(story, pool):
    await story("L1", clock=ClockKind.LIVE).live()
    await story("T1").live()
    assert {(row.book, row.number.rsplit("-", 2)[0]) for row in await invoices(pool)} == {
        ("live", "QM-INV"),
        ("sandbox", "TEST-QM-INV"),
    }
    assert await accounts(pool, "L1") == await accounts(pool, "T1")
    assert await is_verified(pool)


# Guards.


async def test_before_proceed_nothing_beyond_the_loss_bound_is_invoiced(story, pool):
    """INV-05"""
    one = story()
    await one.opened()
    await one.consulted()
    before = await rows(pool)
    with pytest.raises(LossBoundExceeded, match=r"460000\.00 CNY .* loss bound 100000\.00"):
        await one.billing.bill_milestone(one.milestone("M1"))
    assert await rows(pool) == before
    await one.proceeded()
    assert (await one.delivered("M1")).number == "TEST-QM-INV-2024-000002"
    assert await is_verified(pool)


async def test_what_does_not_exist_is_named(story):
    one = story()
    with pytest.raises(NotFound, match="found engagement 'E1'"):
        await one.consulted()
    await one.opened()
    with pytest.raises(NotFound, match="found milestone 'M9', expected one of M1, M2, M3, M4"):
        await one.delivered("M9")
    with pytest.raises(NotFound, match=r"no verdict for window W6 of eng\.E1\.bet\.B1"):
        await one.released("W6")
    with pytest.raises(TermsError, match="found a reading of 'nps'"):
        await one.measured("nps", "40", "2025-07-10")


async def test_an_engagement_does_not_close_while_money_is_held(story, pool):
    """INV-06"""
    one = story()
    await one.live()
    with pytest.raises(
        TransitionError, match=r"hold eng\.E1\.hold\.HB1 still holds 540000\.00 CNY"
    ):
        await one.closed()
    assert await is_verified(pool)


async def test_a_shelved_engagement_closes_with_its_micro_consulting_fee(story, pool):
    one = story()
    await one.opened()
    await one.consulted()
    account = await one.closed(shelved=True)
    assert (account.fixed, account.released, account.forfeited) == (
        yuan("100000.00"),
        yuan("0.00"),
        yuan("0.00"),
    )
    assert await is_verified(pool)


@pytest.mark.parametrize("table", WRITTEN_ONCE)
async def test_nothing_written_once_is_changed(pool, table):
    column = await pool.fetchval(
        """
        select column_name from information_schema.columns
        where table_name = $1 and is_identity = 'NO' order by ordinal_position limit 1
        """,
        table,
    )
    for change in (
        f"update {table} set {column} = {column}",
        f"delete from {table}",
        f"truncate {table} cascade",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="is written once"):
            await pool.execute(change)


async def test_the_list_of_tables_written_once_is_complete(pool):
    found = await pool.fetch(
        "select tgrelid::regclass::text as name from pg_trigger where tgname = 'written_once'"
    )
    assert sorted(row["name"] for row in found) == sorted(WRITTEN_ONCE) == sorted(SAID)


async def test_the_database_refuses_a_group_that_does_not_balance(story, pool):
    """c.5-1"""
    await story().opened()
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not balance"):
        await pool.execute(
            """
            with booked as (
                insert into journal_group (key, effect_key, code, engagement_id, entity, customer,
                    book, occurred_at, effective_on, digest)
                values ('k', 'eng.E1:open', 'E01', 'E1', 'QM', 'HD', 'sandbox', now(), now(), '')
                returning id
            )
            insert into posting
            select id, line, account, side, minor, 'CNY', 'micro'
            from booked, (values (1, '1200', 'D', 100), (2, '4000', 'C', 99))
                as lines (line, account, side, minor)
            """
        )


async def test_the_database_refuses_to_decide_more_than_was_placed(story, pool):
    """c.5-5"""
    one = story()
    placed = await one.live()
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="more than was placed"):
        await pool.execute(
            """
            insert into hold_movement (hold_id, movement, amount_minor, key, occurred_at)
            values ($1, 'released', 54000001, 'eng.E1:open', now())
            """,
            placed.hold,
        )


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e18"])
async def test_the_database_refuses_a_reading_that_is_no_number(story, pool, value):
    """M-01: NaN passes `value >= 0`, as PostgreSQL holds it above every number."""
    await story().opened()
    with pytest.raises(asyncpg.CheckViolationError, match="reading_value_check"):
        await pool.execute(
            """
            insert into reading (key, engagement_id, indicator, measured_on, value, sample, source,
                                 evidence, recorded_by, occurred_at)
            values ('eng.E1:open', 'E1', 'ka-dso-days', now(), $1::text::numeric, 1, '', '', '', now())
            """,
            value,
        )


async def test_an_effect_without_its_key_is_refused(story, pool):
    await story().opened()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await pool.execute(
            """
            insert into reading (key, engagement_id, indicator, measured_on, value, sample, source,
                                 evidence, recorded_by, occurred_at)
            values ('nobody', 'E1', 'ka-dso-days', now(), 1, 1, '', '', '', now())
            """
        )


# Amounts. 540,000.00 is held: 216,000.00 on the win rate, 108,000.00 on days sales outstanding and
# 216,000.00 on the average output. VAT is 6 %.
#   W6   win rate 0.29, target 0.28: reached      released 216,000.00
#        days (91.25 - 87.917) / 10 = 0.3333      released  35,996.40  forfeited  72,003.60
#   W12  output 266,675 / 800,000                 released  72,002.25  forfeited 143,997.75


async def test_a_stake_not_invoiced_is_invoiced_as_far_as_it_is_won(story, pool):
    one = story()
    placed = await one.live()
    assert (placed.amount, placed.invoice) == (yuan("540000.00"), None)
    # 6 % of 1,360,000.00, the fixed fees of which everything is invoiced
    fixed = {"1100": "1441600.00", "1200": "0.00", "2400": "81600.00", "4000": "1360000.00"}
    assert await accounts(pool) == fixed | {"M40": "540000.00", "M49": "540000.00"}

    released, forfeited = await one.settled("W6")
    assert released.document == "TEST-QM-INV-2025-000002"
    assert (forfeited.amount, forfeited.document) == (yuan("72003.60"), None)
    bill = await invoice(pool, released.document)
    assert [str(line.net) for line in bill.lines] == ["216000.00", "35996.40"]
    # 251,996.40 * 6 % = 15,119.784
    assert (bill.net, bill.tax) == (yuan("251996.40"), yuan("15119.78"))
    assert (await accounts(pool))["M40"] == "216000.00"

    released, forfeited = await one.settled("W12")
    bill = await invoice(pool, released.document)
    # 72,002.25 * 6 % = 4,320.135
    assert (bill.net, bill.tax, bill.gross) == (
        yuan("72002.25"),
        yuan("4320.14"),
        yuan("76322.39"),
    )
    assert forfeited.amount == yuan("143997.75")

    closed = await one.closed()
    assert (closed.fee, closed.fixed, closed.released, closed.forfeited) == (
        yuan("1900000.00"),
        yuan("1360000.00"),
        yuan("323998.65"),
        yuan("216001.35"),
    )
    assert await accounts(pool) == {
        "1100": "1785038.57",  # 1,441,600.00 + 267,116.18 + 76,322.39
        "1200": "0.00",
        "2400": "101039.92",  # 81,600.00 + 15,119.78 + 4,320.14
        "4000": "1360000.00",
        "4020": "323998.65",
        "M40": "0.00",
        "M49": "0.00",
    }
    assert await is_verified(pool)


async def test_a_stake_withheld_becomes_payable_or_is_credited_with_exactly_its_tax(
    story, pool, withheld
):
    one = story(contract=withheld)
    placed = await one.live()
    assert placed.invoice == "TEST-QM-INV-2025-000002"
    assert (await accounts(pool))["1120"] == "572400.00"  # 540,000.00 + 32,400.00

    released, forfeited = await one.settled("W6")
    assert released.document == placed.invoice
    assert forfeited.document == "TEST-QM-CN-2025-000001"
    # Released 251,996.40 + 15,119.78; with what is forfeited 324,000.00, so tax up to 19,440.00
    note = await invoice(pool, forfeited.document)
    assert (note.net, note.tax, note.corrects) == (
        yuan("72003.60"),
        yuan("4320.22"),
        placed.invoice,
    )
    assert (await accounts(pool))["1120"] == "228960.00"  # 216,000.00 + 12,960.00

    released, forfeited = await one.settled("W12")
    # Released 72,002.25, tax 23,760.135 up to here, so 4,320.14; the rest of 32,400.00 is credited,
    # where 6 % of 143,997.75 alone would be 8,639.87 and one fen too much.
    note = await invoice(pool, forfeited.document)
    assert (note.net, note.tax) == (yuan("143997.75"), yuan("8639.86"))

    bill = await invoice(pool, placed.invoice)
    assert (bill.payable, bill.withheld, bill.credited) == (
        yuan("343438.57"),  # 267,116.18 + 76,322.39
        yuan("0.00"),
        yuan("228961.43"),  # 76,323.82 + 152,637.61
    )
    await one.closed()
    assert await accounts(pool) == {
        "1100": "1785038.57",
        "1120": "0.00",
        "1200": "0.00",
        "2400": "101039.92",
        "4000": "1360000.00",
        "4020": "540000.00",
        "4090": "216001.35",
    }
    assert await is_verified(pool)


async def test_both_effects_of_a_hold_leave_the_same_money(story, pool, withheld):
    one, other = story("B1"), story("W1", withheld)
    assert await one.played() == await other.played()
    blocked, credited = await accounts(pool, "B1"), await accounts(pool, "W1")
    assert blocked["1100"] == credited["1100"]
    assert blocked["2400"] == credited["2400"]


# Readings and verdicts.


async def test_a_missing_reading_is_named_and_nothing_is_written(story, pool):
    """Not measured is not zero: no verdict, no key; the same order asks again later."""
    one = story()
    await one.live()
    await one.measured("win-rate-count", "0.29", "2025-07-10")
    await one.measured("ka-dso-days", "86.25", "2025-06-15")  # a day before the last month
    await one.measured("ka-dso-days", "86.25", "2025-07-10", sample=19)  # 20 are needed
    before = await rows(pool)
    assert await one.assessed("W6") == Assessed(missing=("ka-dso-days",))
    assert await rows(pool) == before

    await one.measured("ka-dso-days", "86.25", "2025-07-11")
    assessed = await one.assessed("W6")
    assert assessed.verdict is not None
    assert assessed.verdict.forfeited == yuan("54000.00")
    assert await one.assessed("W6") == assessed
    assert await is_verified(pool)


async def test_a_reading_is_corrected_by_a_later_one_of_its_day_until_the_verdict(story, pool):
    """INV-12"""
    one = story()
    await one.live()
    await one.measured("win-rate-count", "0.29", "2025-07-10")
    await one.measured("ka-dso-days", "91.25", "2025-07-10", command="first")
    await one.measured("ka-dso-days", "81.25", "2025-07-10", command="corrected")
    assessed = await one.assessed("W6")
    assert assessed.verdict is not None
    assert assessed.verdict.released == yuan("324000.00")

    await one.measured("ka-dso-days", "91.25", "2025-07-10", command="too late")
    assert await one.assessed("W6") == assessed
    assert await is_verified(pool)


async def test_a_trend_is_read_and_moves_no_money(story, pool):
    """BET-07"""
    one = story()
    await one.live()
    for day, days in (("2025-02-14", "91"), ("2025-03-14", "90"), ("2025-04-14", "88")):
        await one.measured("ka-dso-days", days, day)
    before = await accounts(pool)
    read = await one.trend_read()
    assert read.trends["ka-dso-days"] is Trend.IMPROVING
    assert Counter(read.trends.values())[Trend.INSUFFICIENT_DATA] == 2
    assert await accounts(pool) == before
    assert await is_verified(pool)


# The way out.


async def test_a_document_is_delivered_once_and_its_receipt_kept(story, pool):
    one = story(clock=ClockKind.LIVE)
    await one.opened()
    number = (await one.consulted()).number
    seen = []

    def finance(request):
        seen.append(request.headers["Idempotency-Key"])
        return httpx.Response([503, 201][len(seen) - 1], text="booked as 4711")

    async with httpx.AsyncClient(transport=httpx.MockTransport(finance)) as client:
        export = Export(pool, client, {("live", "invoice"): FINANCE})
        message = Deliver(key=number, queue="exports")
        with pytest.raises(Unavailable, match="answered 503"):
            await ActivityEnvironment().run(export.deliver, message)
        assert (await invoice(pool, number)).delivery is None
        for _ in range(2):
            await ActivityEnvironment().run(export.deliver, message)
    assert seen == [number, number]
    delivery = (await invoice(pool, number)).delivery
    assert delivery is not None
    assert (delivery.url, delivery.status) == (FINANCE.url, 201)
    assert await is_verified(pool)


async def test_a_database_that_is_gone_is_unavailable(story, pool):
    one = story()
    await one.opened()
    await pool.close()
    with pytest.raises(Unavailable, match="the database does not answer"):
        await one.consulted()
