"""What the faces read is what the activities wrote, and each amount has its reasons."""

from datetime import UTC, date, datetime, timedelta

import pytest

from contracts.errors import NotFound
from contracts.money import Money
from contracts.setting import ClockKind
from lifecycle.micro_consulting import Clocks
from lifecycle.orders import Wait
from tests.integration.conftest import Story
from tollkeeper.views.documents import invoice, invoices
from tollkeeper.views.engagements import engagement, engagements, timeline
from tollkeeper.views.explained import explain
from tollkeeper.views.holds import holds
from tollkeeper.views.ledger import balances, money_table

SINCE = datetime(2025, 1, 15, 2, tzinfo=UTC)
BET_WAITS = Wait(
    for_whom="readings", why="window W12 runs", since=SINCE, due_at=SINCE, overdue=True
)
CLOCKS = Clocks(
    online_minutes=960,
    offline_minutes=1440,
    rework_minutes=0,
    client_waiting=timedelta(days=3),
    elapsed=timedelta(days=25),
)


def yuan(amount):
    return Money(int(amount.replace(".", "")), "CNY")


@pytest.fixture(scope="module")
async def pool(databases, key_account, withheld):
    """B1 is half way through its bet, W1 is closed, N1 has only begun; B1 is live."""
    async with databases.copy() as pool:
        await Story(pool, withheld, "W1", ClockKind.TEST).played()
        await Story(pool, key_account, "N1", ClockKind.TEST).opened()
        half = Story(pool, key_account, "B1", ClockKind.LIVE)
        await half.live()
        await half.settled("W6")
        clocks = {"clocks": CLOCKS.model_dump(mode="json")}
        path = ("micro", "key-account")
        await half.recorded(
            "2024-09-27",
            "micro_consulting",
            "key-account",
            None,
            *path,
            state="proceed",
            detail=clocks,
            finished=True,
        )
        await half.recorded("2025-07-16", "value_bet", "B1", BET_WAITS, "bet", "B1")
        yield pool


async def test_the_portfolio_says_where_each_stands_and_who_is_waited_for(pool):
    rows = {row.id: row for row in await engagements(pool)}
    assert set(rows) == {"B1", "N1", "W1"}
    assert (rows["B1"].contract, rows["B1"].book, rows["B1"].clock_now) == (
        "KA-2024-017@v1",
        "live",
        None,
    )
    # 100,000.00 + 1,260,000.00 fixed + 251,996.40 released
    assert (rows["B1"].held, rows["B1"].invoiced) == (yuan("216000.00"), yuan("1611996.40"))
    waiting = [(wait.process, wait.for_whom, wait.overdue) for wait in rows["B1"].waiting]
    assert waiting == [("eng.B1", "milestones", False), ("eng.B1.bet.B1", "readings", True)]
    assert rows["N1"].waiting == ()
    assert (rows["W1"].phase, rows["W1"].clock_now is None) == ("closed", False)
    # 1,360,000.00 + 540,000.00 withheld, less 216,001.35 credited
    assert (rows["W1"].held, rows["W1"].invoiced) == (yuan("0.00"), yuan("1683998.65"))


async def test_an_engagement_shows_its_processes_and_its_clocks(pool):
    found = await engagement(pool, "B1")
    assert [(process.id, process.finished) for process in found.processes] == [
        ("eng.B1", False),
        ("eng.B1.bet.B1", False),
        ("eng.B1.micro.key-account", True),
    ]
    assert found.clocks == CLOCKS
    assert found.client.zh == "恒达精密装备有限公司"
    assert found.processes[1].waiting is not None
    assert found.processes[1].waiting.due_at == SINCE
    assert (await engagement(pool, "N1")).clocks is None
    assert found.model_dump(mode="json")["held"] == "216000.00 CNY"


async def test_the_timeline_is_in_business_time(pool):
    rows = await timeline(pool, "W1")
    assert [row.occurred_at for row in rows] == sorted(row.occurred_at for row in rows)
    assert rows[0].type == "engagement.opened"
    assert rows[-1].type == "engagement.closed"
    settled = [row.facts["released"] for row in rows if row.type == "outcome.settled"]
    assert settled == ["251996.40", "72002.25"]


async def test_holds_show_their_buckets(pool):
    (blocked,) = await holds(pool, "B1")
    assert (blocked.placed, blocked.held, blocked.released, blocked.forfeited) == (
        yuan("540000.00"),
        yuan("216000.00"),
        yuan("251996.40"),
        yuan("72003.60"),
    )
    assert [hold.id for hold in await holds(pool)] == ["eng.B1.hold.HB1", "eng.W1.hold.HB1"]
    assert await holds(pool, "N1") == []


async def test_documents_come_with_what_they_claim_today(pool):
    rows = {row.number: row for row in await invoices(pool, "W1")}
    assert len(rows) == 8  # micro-consulting, four milestones, the stake, two credit notes
    stake = rows["TEST-QM-INV-2025-000002"]
    assert (stake.payable, stake.withheld, stake.credited, stake.gross) == (
        yuan("343438.57"),
        yuan("0.00"),
        yuan("228961.43"),
        yuan("572400.00"),
    )
    note = rows["TEST-QM-CN-2025-000001"]
    assert (note.corrects, note.payable, note.issued_on) == (
        stake.number,
        yuan("0.00"),
        date(2025, 7, 15),
    )
    whole = await invoice(pool, note.number)
    assert [(line.clause, line.net) for line in whole.lines] == [("6.1(b)", yuan("72003.60"))]
    assert whole.delivery is None
    assert len(await invoices(pool)) == len(rows) + 6


async def test_balances_are_per_book(pool):
    rows = {(row.book.value, row.account): row for row in await balances(pool)}
    assert rows["live", "M40"].debit == yuan("540000.00")
    assert rows["live", "M40"].balance == yuan("216000.00")
    assert rows["sandbox", "4090"].balance == yuan("216001.35")
    assert ("sandbox", "M40") not in rows
    # What its contract authorises, at each level: 1,900,000.00 in all.
    assert [(row.account, row.balance) for row in await balances(pool, "N1")] == [
        ("M10", yuan("3800000.00")),
        ("M19", yuan("3800000.00")),
    ]


async def test_the_money_table_accounts_for_every_fee_line(pool):
    micro, project = await money_table(pool, "W1")
    assert (micro.amount, micro.fixed, micro.invoiced.gross) == (
        yuan("100000.00"),
        yuan("100000.00"),
        yuan("106000.00"),
    )
    assert (project.amount, project.fixed, project.released, project.forfeited, project.held) == (
        yuan("1800000.00"),
        yuan("1260000.00"),
        yuan("323998.65"),
        yuan("216001.35"),
        yuan("0.00"),
    )
    # 6 % of 1,800,000.00; credited 4,320.22 + 8,639.86
    assert (project.invoiced.tax, project.credited.tax) == (yuan("108000.00"), yuan("12960.08"))
    assert project.model_dump(mode="json")["credited"] == {
        "net": "216001.35 CNY",
        "tax": "12960.08 CNY",
        "gross": "228961.43 CNY",
    }
    untouched = await money_table(pool, "N1")
    assert {row.invoiced.net for row in untouched} == {yuan("0.00")}


async def test_a_line_is_explained_down_to_clause_and_evidence(pool):
    found = await explain(pool, "QM-INV-2025-000002/2")
    assert found.subject == "invoice QM-INV-2025-000002, line 2"
    (tree,) = found.explanations
    assert (tree.amount, tree.clause, tree.contract) == (
        yuan("35996.40"),
        "6.1(b)",
        "KA-2024-017@v1",
    )
    assert tree.inputs[-1].evidence == "sha256:ka-dso-days"
    assert (found.taxes, found.journal) == ((), ())


async def test_a_document_is_explained_with_its_tax_and_its_postings(pool):
    found = await explain(pool, "QM-INV-2025-000002")
    assert [str(tree.amount) for tree in found.explanations] == ["216000.00", "35996.40"]
    (tax,) = found.taxes
    assert tax.calculation.rounded == "15119.78"
    billed, group = found.journal
    assert billed.code == "E27"
    assert (group.key, group.code) == ("eng.B1.bet.B1:W6:release:E15", "E15")
    assert [(posting.account, str(posting.amount)) for posting in group.postings] == [
        ("M40", "251996.40"),
        ("M49", "251996.40"),
        ("1100", "267116.18"),
        ("4020", "251996.40"),
        ("2400", "15119.78"),
    ]
    # A stake that was withheld shows what became of it.
    found = await explain(pool, "TEST-QM-INV-2025-000002")
    assert [group.code for group in found.journal] == [
        "E27",
        "E01",
        "E02",
        "E11",
        "E12",
        "E11",
        "E12",
    ]
    found = await explain(pool, "TEST-QM-CN-2025-000001")
    assert [group.code for group in found.journal] == ["E27", "E12"]


async def test_a_decision_is_explained_by_its_key_and_a_hold_by_all_of_them(pool):
    found = await explain(pool, "eng.B1.bet.B1:W6:forfeit")
    assert found.subject == "72003.60 CNY of eng.B1.hold.HB1 forfeited"
    assert [str(tree.amount) for tree in found.explanations] == ["72003.60"]
    assert [group.code for group in found.journal] == ["E16"]
    found = await explain(pool, "eng.B1.hold.HB1")
    assert found.subject == "hold eng.B1.hold.HB1, 216000.00 CNY held"
    assert [str(tree.amount) for tree in found.explanations] == [
        "540000.00",  # placed
        "216000.00",
        "35996.40",
        "72003.60",
    ]
    assert [group.code for group in found.journal] == ["E14", "E27", "E15", "E16"]
    assert [wait.why for wait in found.waiting] == ["window W12 runs"]


@pytest.mark.parametrize(
    ("what", "nearest"),
    [
        ("QM-INV-2025-000099", "QM-INV-2025-000001, QM-INV-2025-000002, TEST-QM-CN"),
        ("QM-INV-2025-000002/3", "QM-INV-2025-000002"),
        ("eng.B1.hold.HB2", "eng.B1.bet.B1:W6:release, eng.B1.hold.HB1, eng.W1.bet.B1:W12:forfeit"),
    ],
)
async def test_what_is_not_there_is_named_with_its_nearest_neighbours(pool, what, nearest):
    with pytest.raises(NotFound) as refused:
        await explain(pool, what)
    assert f"found {what!r}, expected a document line (NUMBER/1), a document" in str(refused.value)
    assert nearest in str(refused.value)


@pytest.mark.parametrize("read", [engagement, timeline, holds, invoices, balances, money_table])
async def test_an_engagement_that_is_not_there_is_never_an_empty_answer(pool, read):
    with pytest.raises(NotFound, match="found 'B2', expected an engagement; nearest: B1, N1, W1"):
        await read(pool, "B2")


async def test_a_number_that_is_not_there_is_named(pool):
    with pytest.raises(NotFound, match="found '4711', expected the number of a document"):
        await invoice(pool, "4711")
