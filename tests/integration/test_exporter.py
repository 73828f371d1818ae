"""The exporter on a real PostgreSQL, and the SDK's metrics on a real Temporal server."""

import asyncio
import json
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.books.seals import seal
from activities.closing import Books
from activities.export.port import Endpoint
from activities.postgres import Pool, connect, transaction
from activities.receivables.receipts import take_in
from activities.receivables.refunds import Refunds
from contracts.contract import Contract
from contracts.errors import Unavailable
from contracts.metrics import METRICS
from contracts.setting import Book, ClockKind
from lifecycle.orders.books import ClosePeriod
from lifecycle.orders.receivables import SendRefund
from lifecycle.receivables import RefundState
from tests.integration.conftest import Databases, Story
from tests.integration.money.house import M1, MICRO, NOW, House, came, invoiced
from tests.provider import paying
from tollkeeper import exporter as exporting
from tollkeeper.checkpoints import seal_books
from tollkeeper.database import migrate
from tollkeeper.embedded import Embedded
from tollkeeper.embedded.server import free_ports
from tollkeeper.exporter import Exporter
from tollkeeper.sealing import Rounds, sealing
from tollkeeper.signing import signer_of
from tollkeeper.telemetry import telemetry

Scrape = dict[str, dict[tuple[str, ...], float]]

LABELS = {metric.name: tuple(metric.labels) for metric in METRICS}

OLDEST = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = datetime(2025, 3, 1, tzinfo=UTC)
ANSWERED_SECONDS = 3
"""A second, and what a busy machine adds."""
BOOKS = ("live", "sandbox")
EMPTY = """
set session_replication_role = replica;
truncate engagement, receipt, invoice_series, open_credit cascade
"""


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "product_version", lambda: "1.2.3")


@pytest.fixture(scope="module")
async def dsn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with Embedded(tmp_path_factory.mktemp("data"), temporal=False) as addresses:
        assert addresses.dsn is not None
        await migrate(addresses.dsn)
        yield addresses.dsn


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """On a database without rows."""
    async with await connect(dsn) as pool:
        yield pool
        await pool.execute(EMPTY)


@pytest.fixture
async def exporter(pool: Pool) -> AsyncIterator[Exporter]:
    async with Exporter(pool, nothing_waits, Rounds()) as exporter:
        yield exporter


async def nothing_waits() -> object:
    return []


async def fill(pool: Pool, engagements: int, first: int = 1) -> None:
    """Rows as the activities leave them, without what the metrics do not read.

    Odd engagements are live, even ones in the sandbox. Each has a milestone that waits for two
    people, overdue, and one that is finished; a hold of 100.00 of which 40.00 is released, one of
    500 yen in dispute, and one that is decided; two requests to release, pending, and one that is
    decided; an invoice, sent, and a credit note and a notice, pending; a receipt of 50.00 that is
    nobody's, 20.00 of it on its way back, and its postings, of a month that is over, not sealed. The
    first four have news.
    """
    async with pool.acquire() as connection, connection.transaction():
        # Their keys would need an effect each.
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            """
            create temporary table e on commit drop as
            select n, 'E' || n as id, case when n % 2 = 1 then 'live' else 'sandbox' end as book,
                   now() as at, date '2025-03-01' as day, timestamptz '2025-03-01 00:00Z' as began
            from generate_series($1::int, $2::int) n
            """,
            first,
            first + engagements - 1,
        )
        await connection.execute(
            """
            insert into engagement (engagement_id, contract_id, contract_version, book, clock,
                                    clock_now, phase, opened_at)
            select id, 'K', 1, book, case book when 'live' then 'live' else 'test' end,
                   case book when 'sandbox' then at end, 'operating', at from e;

            insert into process (workflow_id, engagement_id, kind, subject, state, detail,
                                 waiting_for, why, since, overdue, seq, finished)
            select id || kind || finished, id, kind, '', '', '{}', waiting_for, '', at, overdue, 1,
                   finished
            from e, (values ('milestone', 'acceptor and it_lead', true, false),
                            ('milestone', null, false, true),
                            ('engagement', 'value bets', false, false))
                as p (kind, waiting_for, overdue, finished);

            insert into hold (hold_id, engagement_id, clause, kind, effect, condition, fee, bet,
                              currency, reason, placed_by, placed_at, state, disputed_at)
            select id || currency || effect, id, '5', 'VALUE_BET', effect, 'performance', 'F', 'B',
                   currency, 'bet', 'anna', at, state, case currency when 'JPY' then at end
            from e, (values ('CNY', 'block_invoicing', 'active'),
                            ('JPY', 'block_invoicing', 'curing'),
                            ('CNY', 'withhold_payment', 'settled')) as h (currency, effect, state);

            insert into approval_request (request_id, engagement_id, workflow_id, decision, subject,
                                          payload, digest, amount_minor, currency, requested_by,
                                          requested_at, expires_at, effect_key, needed, state,
                                          decided_at)
            select id || r, id, id, 'release', id, '{}', '', 100, 'CNY', 'anna', at,
                   timestamptz '2126-03-02 08:00+00' + r * interval '1 day', id || r, 2,
                   case r when 0 then 'approved' else 'pending' end, case r when 0 then at end
            from e, generate_series(0, 2) r;

            insert into hold_movement (hold_id, movement, amount_minor, key, occurred_at)
            select id || hold, movement, minor, id || hold || movement, at
            from e, (values ('CNYblock_invoicing', 'placed', 10000),
                            ('CNYblock_invoicing', 'released', 4000),
                            ('JPYblock_invoicing', 'placed', 500),
                            ('CNYwithhold_payment', 'placed', 300),
                            ('CNYwithhold_payment', 'released', 100),
                            ('CNYwithhold_payment', 'forfeited', 200)) as m (hold, movement, minor);

            insert into invoice (number, document, purpose, series, year, sequence, key, engagement_id,
                                 contract_id, contract_version, book, customer, issued_on, due_on,
                                 currency, net_minor, tax_minor, gross_minor)
            select id, 'invoice', 'micro', book, 2026, (n + 1) / 2, id, id, 'K', 1, book, 'C', day,
                   day, 'CNY', 100, 6, 106 from e;

            insert into invoice_series as s (series, year, last)
            select book, 2026, count(*) from e group by book
            on conflict (series, year) do update set last = s.last + excluded.last;

            insert into receipt (receipt_id, book, seller, account, reference, received_on, currency,
                                 amount_minor, payer, text, digest, recorded_by, key)
            select id, book, 'S', 'A', id, day, 'CNY', 5000, '', '', '', 'clerk', id from e;

            insert into journal_group (key, effect_key, code, entity, customer, book, occurred_at,
                                       effective_on, booked_at, digest)
            select id, id, 'E07', 'S', '?', book, at, day, began + n * interval '1 minute', '' from e;

            set local session_replication_role = origin;
            insert into posting (group_id, line, account, side, amount_minor, currency, item)
            select g.id, line, account, side, 5000, 'CNY', key
            from e join journal_group g on key = e.id,
                 (values (1, '1000', 'D'), (2, '2300', 'C')) as p (line, account, side);
            set local session_replication_role = replica;

            insert into refund (refund_id, engagement_id, book, customer, source, currency,
                                amount_minor, pay_to, reason, requested_by, requested_at, state, since,
                                key)
            select id || state, id, book, 'C', id, 'CNY', minor, 'A', '', 'anna', at, state,
                   began + n * interval '1 hour', id
            from e, (values ('unknown', 2000), ('failed', 9000)) as r (state, minor);
            """
        )
        await connection.execute(
            """
            insert into outbox (key, kind, book, engagement_id, payload, created_at, delivered_at)
            select id || kind, kind, book, id, '{}', $1::timestamptz + n * interval '1 minute',
                   case kind when 'invoice' then now() end
            from e, unnest(array['invoice', 'credit_note', 'notice']) kind
            """,
            OLDEST,
        )
        await connection.execute(
            "insert into news (engagement_id, booked_at) "
            "select id, $1::timestamptz + n * interval '1 second' from e where n < 5",
            OLDEST,
        )


async def finish(pool: Pool) -> None:
    """All that is in the database is over with: decided, delivered, paid, sealed, its months closed."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            """
            insert into posting (group_id, line, account, side, amount_minor, currency, item)
            select id, line, account, side, minor, 'CNY', key || part
            from journal_group, (values (3, '2300', 'D', 3000, ''),
                                        (4, '2300', 'D', 2000, 'unknown'),  -- the refund
                                        (5, '1000', 'C', 5000, '')) as p (line, account, side, minor, part);

            set constraints all immediate;
            set local session_replication_role = replica;
            update engagement set phase = 'closed', closed_at = opened_at;
            update process set finished = true;
            update hold set state = 'settled';
            update approval_request set state = 'approved', decided_at = requested_at;
            update outbox set delivered_at = created_at;
            delete from news;
            update refund set state = 'confirmed' where state = 'unknown';
            update journal_group set effective_on = effective_on - id::int % 365 - 1;

            insert into journal_seal (book, seq, group_id, previous, hash, sealed_at)
            select book, row_number() over (partition by book order by booked_at), id, '', '', booked_at
            from journal_group;

            insert into period_close (key, book, entity, month, closed_by, closed_at, sealed_seq)
            select distinct book || month, book, entity, month, 'clerk', now(), 1
            from journal_group, date_trunc('month', effective_on) month;
            """
        )


def get(address: str, path: str) -> str:
    with urlopen(address + path, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def refused(address: str, path: str) -> tuple[int, Any]:
    with pytest.raises(HTTPError) as refusal:
        get(address, path)
    return refusal.value.code, json.loads(refusal.value.read())


def read(text: str) -> Scrape:
    scrape: Scrape = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[label] for label in LABELS[sample.name])
            scrape.setdefault(sample.name, {})[labels] = sample.value
    return scrape


def scraped(exporter: Exporter) -> Scrape:
    started = time.monotonic()
    scrape = read(get(exporter.address, "/metrics"))
    assert time.monotonic() - started < ANSWERED_SECONDS
    return scrape


async def scrape(exporter: Exporter) -> Scrape:
    return await asyncio.to_thread(scraped, exporter)


def errors(scrape: Scrape) -> float:
    return scrape["tollkeeper_collector_errors_total"][()]


def domain(scrape: Scrape) -> Scrape:
    own = ("tollkeeper_collector", "tollkeeper_sealing", "tollkeeper_build")
    return {name: series for name, series in scrape.items() if not name.startswith(own)}


async def test_the_table_is_what_is_exported_at_zero_from_the_first_scrape(
    exporter: Exporter,
) -> None:
    text = await asyncio.to_thread(get, exporter.address, "/metrics")
    exported = {
        family.name + "_total" * (family.type == "counter"): (
            family.type,
            family.documentation,
            [sample.labels for sample in family.samples],
        )
        for family in text_string_to_metric_families(text)
    }
    assert exported == {
        metric.name: (
            metric.kind,
            metric.help,
            [dict(zip(metric.labels, series, strict=True)) for series in metric.series()]
            or [{"version": "1.2.3"}],
        )
        for metric in METRICS
    }
    assert not any(value for series in domain(read(text)).values() for value in series.values())


async def test_each_metric_shows_what_is_in_the_database(pool: Pool, exporter: Exporter) -> None:
    await fill(pool, engagements=4)  # 1 and 3 live, 2 and 4 in the sandbox
    seen = {
        name: {labels: value for labels, value in series.items() if value}
        for name, series in domain(await scrape(exporter)).items()
    }

    def in_each_book(*counted: tuple[*tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
        return {(*labels, book): value for *labels, value in counted for book in BOOKS}

    def as_they_came(since: datetime, apart: timedelta) -> dict[str, float]:
        return {book: (since + nth * apart).timestamp() for nth, book in enumerate(BOOKS, start=1)}

    unknown_since = as_they_came(DAY, timedelta(hours=1))
    booked_at = as_they_came(DAY, timedelta(minutes=1))

    assert seen == {
        "tollkeeper_engagements": in_each_book(("operating", 2)),
        "tollkeeper_processes_open": in_each_book(("milestone", 2), ("engagement", 2)),
        "tollkeeper_decisions_overdue": in_each_book(("acceptor", 2), ("it_lead", 2)),
        "tollkeeper_holds_outstanding": in_each_book(
            ("VALUE_BET", "block_invoicing", "active", 2),
            ("VALUE_BET", "block_invoicing", "disputed", 2),
        ),
        "tollkeeper_holds_outstanding_amount": in_each_book(
            ("block_invoicing", "CNY", 120.0),  # 2 x (100.00 - 40.00)
            ("block_invoicing", "JPY", 1000.0),  # 2 x 500, no decimals
        ),
        "tollkeeper_requests_pending": in_each_book(("release", 4)),
        "tollkeeper_requests_first_expiry_timestamp_seconds": in_each_book(
            ("release", datetime(2126, 3, 3, 8, tzinfo=UTC).timestamp())
        ),
        "tollkeeper_invoices_issued_total": in_each_book(("invoice", 2)),
        "tollkeeper_outbox_pending": in_each_book(("credit_note", 2), ("notice", 2)),
        "tollkeeper_outbox_oldest_pending_timestamp_seconds": {
            (kind, book): since
            for kind in ("credit_note", "notice")
            for book, since in as_they_came(OLDEST, timedelta(minutes=1)).items()
        },
        "tollkeeper_news_oldest_untold_timestamp_seconds": {
            (book,): since for book, since in as_they_came(OLDEST, timedelta(seconds=1)).items()
        },
        "tollkeeper_refunds_in_flight": in_each_book(("unknown", 2)),
        "tollkeeper_refunds_oldest_in_flight_timestamp_seconds": {
            ("unknown", book): since for book, since in unknown_since.items()
        },
        "tollkeeper_receipts_unapplied": in_each_book(("unknown", 2)),
        "tollkeeper_receipts_oldest_unapplied_timestamp_seconds": in_each_book(
            ("unknown", DAY.timestamp())
        ),
        "tollkeeper_credit_unapplied_amount": in_each_book(("CNY", 60.0)),  # 2 x (50.00 - 20.00)
        "tollkeeper_journal_groups_unsealed": in_each_book((2,)),
        "tollkeeper_journal_oldest_unsealed_timestamp_seconds": {
            (book,): since for book, since in booked_at.items()
        },
        "tollkeeper_journal_last_seal_timestamp_seconds": {},
        "tollkeeper_periods_open": in_each_book((1,)),
        "tollkeeper_periods_oldest_open_timestamp_seconds": in_each_book(
            (datetime(2025, 4, 1, tzinfo=UTC).timestamp(),)
        ),
    }


@pytest.mark.parametrize(
    ("clock", "due", "overdue"),
    [
        ("live", "1 hour ago", 1),
        ("live", "1 hour", 0),
        ("test", "1 hour ago", 0),  # a test clock has a time of its own
    ],
)
async def test_a_deadline_that_a_live_process_has_not_noticed_is_overdue(
    pool: Pool, exporter: Exporter, clock: str, due: str, overdue: int
) -> None:
    await fill(pool, engagements=1)
    await pool.execute(
        "update engagement set clock = $1, clock_now = case $1 when 'test' then now() end", clock
    )
    await pool.execute(
        "update process set due_at = now() + $1::text::interval, waiting_for = 'nobody we know' "
        "where kind = 'engagement'",
        due,
    )
    waits = (await scrape(exporter))["tollkeeper_decisions_overdue"]
    assert waits["other", "live"] == overdue


async def moved(exporter: Exporter, before: Scrape) -> Scrape:
    """What of the live book is another value than before."""
    after = domain(await scrape(exporter))
    return {
        name: changed
        for name, series in after.items()
        if (
            changed := {
                labels: value
                for labels, value in series.items()
                if "live" in labels and value != before[name][labels]
            }
        )
    }


@pytest.fixture
async def house(databases: Databases, key_account: Contract) -> AsyncIterator[House]:
    """An office with an engagement in the live book, whose journal is sealed."""
    async with databases.copy() as pool:
        house = await invoiced(Story(pool, key_account, "E1", ClockKind.LIVE))
        async with transaction(pool) as connection:
            await seal(connection, Book.LIVE)
        yield house


@pytest.fixture
async def watching(house: House) -> AsyncIterator[Exporter]:
    async with Exporter(house.pool, nothing_waits, Rounds()) as exporter:
        yield exporter


async def test_a_receipt_waits_until_all_of_it_is_applied(house: House, watching: Exporter) -> None:
    before = await scrape(watching)
    count, oldest, amount = (
        "tollkeeper_receipts_unapplied",
        "tollkeeper_receipts_oldest_unapplied_timestamp_seconds",
        "tollkeeper_credit_unapplied_amount",
    )

    async def left() -> tuple[dict[str, float], dict[str, float], float]:
        after = await scrape(watching)
        payers = ("known", "unknown")
        return (
            {payer: after[count][payer, "live"] for payer in payers if after[count][payer, "live"]},
            {
                payer: after[oldest][payer, "live"]
                for payer in payers
                if after[oldest][payer, "live"]
            },
            after[amount]["CNY", "live"],
        )

    assert before[amount]["CNY", "live"] == 0
    first, second = date(2025, 1, 2), date(2025, 1, 9)
    days = [datetime.combine(day, clock(), UTC).timestamp() for day in (first, second)]
    await house.took(
        came("TX1", 106_001, MICRO, received_on=second), came("TX2", 500, customer=None)
    )
    assert await left() == (
        {"known": 1, "unknown": 1}, {"known": days[1], "unknown": days[0]}, 501
    )  # fmt: skip
    await house.assigned("QM/CN62/TX2")
    assert await left() == ({"known": 2}, {"known": days[0]}, 501)
    await house.applied("QM/CN62/TX2", M1)
    assert await left() == ({"known": 1}, {"known": days[1]}, 1)
    await house.unapplied("QM/CN62/TX2", M1)
    await house.refund("R1", "QM/CN62/TX2", 500)
    assert await left() == ({"known": 1}, {"known": days[1]}, 1)


async def test_a_credit_note_of_what_was_paid_is_credit_and_no_receipt(
    house: House, watching: Exporter
) -> None:
    await house.took(came("TX1", 106_000, MICRO))
    before = await scrape(watching)
    await house.signed(await house.credit("C1", MICRO, 10_600))
    changed = await moved(watching, before)
    assert changed["tollkeeper_credit_unapplied_amount"] == {("CNY", "live"): 10_600}
    assert "tollkeeper_receipts_unapplied" not in changed


async def test_a_refund_without_an_answer_is_unknown_until_somebody_says_what_became_of_it(
    house: House, watching: Exporter
) -> None:
    count = "tollkeeper_refunds_in_flight"
    oldest = "tollkeeper_refunds_oldest_in_flight_timestamp_seconds"
    await house.took(came("TX1", 1_000))
    before = await scrape(watching)

    async def in_flight() -> tuple[dict[tuple[str, ...], float], dict[tuple[str, ...], float]]:
        changed = await moved(watching, before)
        return changed.get(count, {}), changed.get(oldest, {})

    def one(state: str) -> object:
        return {(state, "live"): 1}, {(state, "live"): NOW.timestamp()}

    requested = await house.refund("R1", "QM/CN62/TX1", 600)
    assert await in_flight() == one("requested")
    await house.signed(requested)
    assert await in_flight() == one("approved")
    with paying() as provider:
        provider.answers = ["lost"]
        async with httpx.AsyncClient() as client:
            refunds = Refunds(house.pool, client, Endpoint(provider.url, (provider.secret,)))
            send = SendRefund(**house.about("eng.E1.refund.R1:send"), refund="eng.E1.refund.R1")
            await ActivityEnvironment().run(refunds.send_refund, send)
    assert await in_flight() == one("unknown")
    await house.settled("R1", RefundState.CONFIRMED)
    assert await in_flight() == ({}, {})
    after = await scrape(watching)
    assert after["tollkeeper_credit_unapplied_amount"]["CNY", "live"] == 400


async def test_what_is_booked_waits_for_the_next_sealing(
    house: House, watching: Exporter, tmp_path: Path
) -> None:
    before = await scrape(watching)
    assert before["tollkeeper_journal_groups_unsealed"]["live",] == 0
    sealed_at = before["tollkeeper_journal_last_seal_timestamp_seconds"]["live",]
    assert 0 < sealed_at <= time.time()
    await house.took(came("TX1", 106_000, MICRO))
    unsealed = await scrape(watching)
    assert unsealed["tollkeeper_journal_groups_unsealed"]["live",] == 2  # E07 and E08
    booked_at = unsealed["tollkeeper_journal_oldest_unsealed_timestamp_seconds"]["live",]
    assert sealed_at < booked_at <= time.time()
    await seal_books(house.pool, tmp_path, signer_of(tmp_path))
    after = await scrape(watching)
    assert after["tollkeeper_journal_groups_unsealed"]["live",] == 0
    assert after["tollkeeper_journal_oldest_unsealed_timestamp_seconds"]["live",] == 0
    assert after["tollkeeper_journal_last_seal_timestamp_seconds"]["live",] > booked_at


async def until(counted: Callable[[], float]) -> None:
    async with asyncio.timeout(10):
        while True:
            if counted():
                return
            await asyncio.sleep(0.01)


async def test_a_round_of_sealing_that_leaves_no_checkpoint_is_an_error(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollkeeper.sealing.SECONDS", 0.01)
    folder = tmp_path / "checkpoints"
    folder.write_text("a file where the folder should be")
    async with (
        sealing(house.pool, tmp_path, folder) as rounds,
        Exporter(house.pool, nothing_waits, rounds) as exporter,
    ):
        await until(lambda: rounds.errors)
        broken = await scrape(exporter)
        assert broken["tollkeeper_sealing_errors_total"][()] > 0
        assert broken["tollkeeper_sealing_last_success_timestamp_seconds"][()] == 0
        mended_at = time.time()
        folder.unlink()
        await until(lambda: rounds.succeeded_at)
        after = await scrape(exporter)
        assert after["tollkeeper_sealing_last_success_timestamp_seconds"][()] >= mended_at


async def test_a_group_that_commits_after_younger_ones_are_sealed_is_unsealed(
    house: House, watching: Exporter
) -> None:
    before = await scrape(watching)
    # The oldest group of all, as if it had been on its way until now.
    await house.pool.execute(
        """
        set session_replication_role = replica;
        delete from journal_seal where seq = 1
        """
    )
    changed = await moved(watching, before)
    assert changed["tollkeeper_journal_groups_unsealed"] == {("live",): 1}


async def test_a_month_that_is_over_is_open_until_it_or_a_later_one_is_closed(
    house: House, watching: Exporter
) -> None:
    """It was opened and billed in September and December 2024; then a receipt of January."""
    await house.took(came("TX1", 106_000, MICRO))

    async def opened() -> tuple[float, float]:
        after = await scrape(watching)
        ended = after["tollkeeper_periods_oldest_open_timestamp_seconds"]["live",]
        return after["tollkeeper_periods_open"]["live",], ended

    async def closed(month: str) -> None:
        order = ClosePeriod(
            key=f"books.live.QM.{month}:close", at=NOW, by="sun.hao", book=Book.LIVE, entity="QM",
            month=month,
        )  # fmt: skip
        await Books(house.pool).close_period(order)

    assert await opened() == (3, datetime(2024, 10, 1, tzinfo=UTC).timestamp())
    await closed("2024-09")
    assert await opened() == (2, datetime(2025, 1, 1, tzinfo=UTC).timestamp())
    await closed("2025-01")
    assert await opened() == (0, 0)


async def test_the_month_that_runs_is_not_open_yet(house: House, watching: Exporter) -> None:
    before = await scrape(watching)
    now = datetime.now(UTC)
    await take_in(house.pool, [came("TX1", 1, received_on=now.date())], "clerk", now)
    assert "tollkeeper_periods_open" not in await moved(watching, before)


async def test_ten_thousand_contracts_have_no_more_series_than_ten(
    pool: Pool, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O-07; docs/metrics.md tells how long the statements take."""
    patient = exporting.SETTINGS.replace(f"= {exporting.STATEMENT_MS};", "= '10s';")
    monkeypatch.setattr(exporting, "SETTINGS", patient)
    await fill(pool, engagements=10)
    few = await scrape(exporter)
    await pool.execute(EMPTY)
    await fill(pool, engagements=10_000)
    many = await scrape(exporter)
    assert errors(many) == 0
    assert many["tollkeeper_engagements"]["operating", "live"] == 5_000
    assert {name: series.keys() for name, series in many.items()} == {
        name: series.keys() for name, series in few.items()
    }


async def rows_read(pool: Pool) -> dict[str, float]:
    """How many rows of each table a scrape looks at, those that it then leaves out included."""
    read: dict[str, float] = defaultdict(float)

    def count(node: dict[str, Any]) -> None:
        if "Relation Name" in node:
            looked_at = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
            rows = sum(node.get(each, 0) for each in looked_at)
            read[node["Relation Name"]] += round(rows * node["Actual Loops"])
        for each in node.get("Plans", ()):
            count(each)

    async with transaction(pool) as connection:
        await connection.execute(exporting.SETTINGS)
        for statement, arguments in exporting.STATEMENTS:
            explained = f"explain (analyze, format json) {statement}"
            [plan] = json.loads(await connection.fetchval(explained, *arguments))
            count(plan["Plan"])
    return dict(read)


async def test_a_scrape_looks_at_nothing_that_is_over(pool: Pool) -> None:
    """However long the history, and whatever the planner has been told of it."""
    opened = 20
    for finished in (1_000, 4_000):
        await fill(pool, finished)
        await finish(pool)
        await fill(pool, opened, first=finished + 1)
        for told in (False, True):
            if told:
                await pool.execute("analyze")
            read = await rows_read(pool)
            assert "journal_group" in read
            assert {table: rows for table, rows in read.items() if rows > 10 * opened} == {}
        await pool.execute(EMPTY)


async def test_without_its_database_a_scrape_has_the_last_values_and_one_more_error(
    tmp_path: Path,
) -> None:
    """O-08."""
    async with Embedded(tmp_path, temporal=False) as addresses:
        assert addresses.dsn is not None
        await migrate(addresses.dsn)
        pool = await connect(addresses.dsn)
        await fill(pool, engagements=3)
        serving = Exporter(pool, nothing_waits, Rounds())
        await serving.__aenter__()
        before = await scrape(serving)
    try:
        for failed in (1, 2):
            after = await scrape(serving)
            assert errors(after) == errors(before) + failed
            assert domain(after) == domain(before)
            last_success = "tollkeeper_collector_last_success_timestamp_seconds"
            assert after[last_success] == before[last_success]
        healthy = await asyncio.to_thread(get, serving.address, "/healthz")
        assert json.loads(healthy) == {"healthy": True}
    finally:
        await serving.__aexit__()
        pool.terminate()


async def test_a_scrape_does_not_wait_for_a_slow_database(pool: Pool, exporter: Exporter) -> None:
    before = await scrape(exporter)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table engagement")
        during = await scrape(exporter)
        assert errors(during) == errors(before) + 1
        assert domain(during) == domain(before)
    after = await scrape(exporter)
    assert errors(after) == errors(during)


async def test_a_scrape_does_not_wait_for_a_busy_application(exporter: Exporter) -> None:
    before = await scrape(exporter)
    with ThreadPoolExecutor() as threads:
        scraping = threads.submit(scraped, exporter)
        asked = threads.submit(refused, exporter.address, "/healthz")
        during = scraping.result()  # the loop stands still until here
        code, _ = asked.result()
    assert code == 503
    assert errors(during) == errors(before) + 1
    assert domain(during) == domain(before)


async def test_nothing_is_said_about_a_database_that_was_never_read(pool: Pool, dsn: str) -> None:
    closed = await connect(dsn)
    await closed.close()
    async with Exporter(closed, nothing_waits, Rounds()) as exporter:
        first = await scrape(exporter)
    assert domain(first) == {}
    assert errors(first) == 1
    assert first["tollkeeper_collector_last_success_timestamp_seconds"] == {(): 0}


async def test_the_status_is_asked_of_the_application(pool: Pool) -> None:
    async def status() -> object:
        phases = await pool.fetch("select engagement_id, phase from engagement")
        return [dict(row) for row in phases]

    await fill(pool, engagements=1)
    async with Exporter(pool, status, Rounds()) as exporter:
        answer = await asyncio.to_thread(get, exporter.address, "/status")
    assert json.loads(answer) == [{"engagement_id": "E1", "phase": "operating"}]


async def test_what_cannot_be_answered_says_why(pool: Pool) -> None:
    async def status() -> object:
        raise Unavailable("the database does not answer")

    async with Exporter(pool, status, Rounds()) as exporter:
        code, body = await asyncio.to_thread(refused, exporter.address, "/status")
        assert code == 503
        assert "the database does not answer" in body["error"]
        code, body = await asyncio.to_thread(refused, exporter.address, "/metric")
        assert code == 404
        assert body["found"] == "GET /metric"


async def test_a_port_that_is_taken_is_named(pool: Pool) -> None:
    async with Exporter(pool, nothing_waits, Rounds()) as exporter:
        port = int(exporter.address.rpartition(":")[2])
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port} .*[Aa]ddress already in use"):
            await Exporter(pool, nothing_waits, Rounds(), port=port).__aenter__()


@activity.defn
async def said() -> str:
    return "done"


@workflow.defn
class OneActivityWorkflow:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(said, start_to_close_timeout=timedelta(seconds=5))


async def test_the_sdk_counts_in_seconds_around_the_thresholds_of_our_alerts(
    tmp_path: Path,
) -> None:
    """O-10."""
    [port] = free_ports(1)
    address = f"127.0.0.1:{port}"
    async with Embedded(tmp_path, postgres=False, ui=False) as addresses:
        assert addresses.temporal is not None
        client = await Client.connect(addresses.temporal, runtime=telemetry(address))
        async with Worker(
            client,
            task_queue="metrics",
            workflows=[OneActivityWorkflow],
            activities=[said],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            await client.execute_workflow(OneActivityWorkflow.run, id="one", task_queue="metrics")
            text = await asyncio.to_thread(get, f"http://{address}", "/metrics")

    families = {family.name: family for family in text_string_to_metric_families(text)}

    def bounds(name: str) -> set[float]:
        return {float(each.labels["le"]) for each in families[name].samples if "le" in each.labels}

    for queue in ("workflow_task", "activity"):
        waits = bounds(f"temporal_{queue}_schedule_to_start_latency_seconds")
        assert waits >= {0.005, 0.05, 0.1, 0.2, 300}
    assert max(bounds("temporal_workflow_endtoend_latency_seconds") - {float("inf")}) == (
        timedelta(days=400).total_seconds()
    )
    assert bounds("temporal_request_latency_seconds") >= {0.01, 0.1, 1}
    assert "temporal_workflow_completed_total" in {
        sample.name for sample in families["temporal_workflow_completed"].samples
    }


def test_an_address_that_the_sdk_cannot_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unavailable, match=f"{address}.*[Aa]ddress already in use"):
            telemetry(address)
    with pytest.raises(Unavailable, match=r"'localhost'.*such as 127.0.0.1:9465"):
        telemetry("localhost")
