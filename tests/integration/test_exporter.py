"""The exporter on a real PostgreSQL, and the SDK's metrics on a real Temporal server."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.postgres import Pool, connect
from contracts.errors import Unavailable
from contracts.metrics import METRICS
from tollkeeper import exporter as exporting
from tollkeeper.database import migrate
from tollkeeper.embedded import Embedded
from tollkeeper.embedded.server import free_ports
from tollkeeper.exporter import Exporter
from tollkeeper.telemetry import telemetry

Scrape = dict[str, dict[tuple[str, ...], float]]

LABELS = {metric.name: tuple(metric.labels) for metric in METRICS}

OLDEST = datetime(2026, 3, 2, 8, tzinfo=UTC)


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
        await pool.execute("set session_replication_role = replica; truncate engagement cascade")


@pytest.fixture
async def exporter(pool: Pool) -> AsyncIterator[Exporter]:
    async with Exporter(pool, nothing_waits) as exporter:
        yield exporter


async def nothing_waits() -> object:
    return []


async def fill(pool: Pool, engagements: int) -> None:
    """Rows as the activities leave them, without what the metrics do not read.

    Odd engagements are live, even ones in the sandbox. Each has a milestone that waits for two
    people, overdue, and one that is finished; a hold of 100.00 of which 40.00 is released, one of
    500 yen in dispute, and one that is decided; two requests to release, pending, and one that is
    decided; an invoice, sent, and a credit note and a notice, pending.
    """
    async with pool.acquire() as connection, connection.transaction():
        # Their keys would need an effect each.
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            """
            create temporary table e on commit drop as
            select n, 'E' || n as id, case when n % 2 = 1 then 'live' else 'sandbox' end as book,
                   now() as at, date '2026-03-01' as day
            from generate_series(1, $1::int) n
            """,
            engagements,
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
            select id, 'invoice', 'micro', 'R', 2026, n, id, id, 'K', 1, book, 'C', day, day, 'CNY',
                   100, 6, 106 from e;

            insert into reading (key, engagement_id, indicator, measured_on, value, sample, source,
                                 evidence, recorded_by, occurred_at)
            select id || month, id, 'dso', day, 30, 12, 'erp', 'r1', 'anna', at
            from e, generate_series(1, 3) month;
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
    assert time.monotonic() - started < 1
    return scrape


async def scrape(exporter: Exporter) -> Scrape:
    return await asyncio.to_thread(scraped, exporter)


def errors(scrape: Scrape) -> float:
    return scrape["tollkeeper_collector_errors_total"][()]


def domain(scrape: Scrape) -> Scrape:
    own = ("tollkeeper_collector", "tollkeeper_build")
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
        return {
            (*labels, book): value for *labels, value in counted for book in ("live", "sandbox")
        }

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
        "tollkeeper_readings_total": in_each_book((6,)),
        "tollkeeper_outbox_pending": in_each_book(("credit_note", 2), ("notice", 2)),
        "tollkeeper_outbox_oldest_pending_timestamp_seconds": {
            (kind, book): (OLDEST + timedelta(minutes=first)).timestamp()
            for kind in ("credit_note", "notice")
            for book, first in (("live", 1), ("sandbox", 2))
        },
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


async def test_ten_thousand_contracts_have_no_more_series_than_ten(
    pool: Pool, exporter: Exporter
) -> None:
    """O-07: and the statement is done in its time."""
    await fill(pool, engagements=10)
    few = await scrape(exporter)
    await pool.execute("set session_replication_role = replica; truncate engagement cascade")
    await fill(pool, engagements=10_000)
    many = await scrape(exporter)
    assert errors(many) == 0
    assert many["tollkeeper_engagements"]["operating", "live"] == 5_000
    assert {name: series.keys() for name, series in many.items()} == {
        name: series.keys() for name, series in few.items()
    }


async def test_without_its_database_a_scrape_has_the_last_values_and_one_more_error(
    tmp_path: Path,
) -> None:
    """O-08."""
    async with Embedded(tmp_path, temporal=False) as addresses:
        assert addresses.dsn is not None
        await migrate(addresses.dsn)
        pool = await connect(addresses.dsn)
        await fill(pool, engagements=3)
        serving = Exporter(pool, nothing_waits)
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
    async with Exporter(closed, nothing_waits) as exporter:
        first = await scrape(exporter)
    assert domain(first) == {}
    assert errors(first) == 1
    assert first["tollkeeper_collector_last_success_timestamp_seconds"] == {(): 0}


async def test_the_status_is_asked_of_the_application(pool: Pool) -> None:
    async def status() -> object:
        phases = await pool.fetch("select engagement_id, phase from engagement")
        return [dict(row) for row in phases]

    await fill(pool, engagements=1)
    async with Exporter(pool, status) as exporter:
        answer = await asyncio.to_thread(get, exporter.address, "/status")
    assert json.loads(answer) == [{"engagement_id": "E1", "phase": "operating"}]


async def test_what_cannot_be_answered_says_why(pool: Pool) -> None:
    async def status() -> object:
        raise Unavailable("the database does not answer")

    async with Exporter(pool, status) as exporter:
        code, body = await asyncio.to_thread(refused, exporter.address, "/status")
        assert code == 503
        assert "the database does not answer" in body["error"]
        code, body = await asyncio.to_thread(refused, exporter.address, "/metric")
        assert code == 404
        assert body["found"] == "GET /metric"


async def test_a_port_that_is_taken_is_named(pool: Pool) -> None:
    async with Exporter(pool, nothing_waits) as exporter:
        port = int(exporter.address.rpartition(":")[2])
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port} .*[Aa]ddress already in use"):
            await Exporter(pool, nothing_waits, port=port).__aenter__()


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
