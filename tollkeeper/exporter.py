"""`/metrics`, `/healthz` and `/status`, on a port and a thread of their own.

The database belongs to the application's event loop. A request asks that loop, and waits for a
bounded time: it is answered even when the database, or the loop, is stuck.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from socketserver import ThreadingMixIn
from threading import Lock, Thread
from typing import Any, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from activities.postgres import Pool, transaction
from contracts.errors import Unavailable
from contracts.metrics import METRICS, Metric
from contracts.money import MINOR_DIGITS
from contracts.setting import Book
from lifecycle.receivables import UNKNOWN_CUSTOMER
from tollkeeper.sealing import Rounds
from tollkeeper.settings import product_version

log = structlog.get_logger()

T = TypeVar("T")

Values = dict[str, dict[tuple[str, ...], float]]
"""Of each metric, the value of each of its series."""

Status = Callable[[], Coroutine[Any, Any, object]]
"""Gives what `/status` shows, in the types of JSON."""

READING_SECONDS = 0.7
"""Leaves time to answer a scrape within a second."""
STATEMENT_MS = 500
STATUS_SECONDS = 10.0
IDLE_SECONDS = 10.0

# Each statement starts from what is open and goes by index, whatever the statistics say of its share.
SETTINGS = f"""
set local statement_timeout = {STATEMENT_MS};
set local enable_seqscan = off;
set local enable_hashjoin = off;
set local enable_mergejoin = off;
set local jit = off;
"""

# One row a series: the metric, its labels in the order of the table, the value.
STATE = """
with money (currency, minor_units) as (
    select * from unnest($1::text[], $2::float8[])
),
held as (
    select h.kind, h.effect, case when h.disputed_at is null then h.state else 'disputed' end as state,
           h.currency::text, e.book, (
               select sum(case movement when 'placed' then amount_minor else -amount_minor end)
               from hold_movement m where m.hold_id = h.hold_id
           ) as minor
    from hold h join engagement e using (engagement_id)
    where h.state not in ('settled', 'cancelled')
),
running as (
    select p.*, e.book, e.clock from process p join engagement e using (engagement_id)
    where not p.finished
),
asked as (
    select decision, book, expires_at
    from approval_request join engagement using (engagement_id) where state = 'pending'
),
pending as (select * from outbox where delivered_at is null),
untold as (
    select booked_at,
           (select book from engagement e where e.engagement_id = news.engagement_id) as book
    from news
)

select 'tollkeeper_engagements' as metric, array[phase, book] as labels, count(*)::float8 as value
from engagement where closed_at is null group by phase, book
union all
select 'tollkeeper_processes_open', array[kind, book], count(*)
from running group by kind, book
union all
select 'tollkeeper_decisions_overdue', array[party, book], count(*)
from running, string_to_table(waiting_for, ' and ') as party
where overdue or (clock = 'live' and due_at < now()) group by party, book
union all
select 'tollkeeper_holds_outstanding', array[kind, effect, state, book], count(*)
from held group by kind, effect, state, book
union all
select 'tollkeeper_holds_outstanding_amount', array[effect, currency, book],
    sum(minor)::float8 / (select minor_units from money where money.currency = held.currency)
from held group by effect, currency, book
union all
select 'tollkeeper_requests_pending', array[decision, book], count(*)
from asked group by decision, book
union all
select 'tollkeeper_requests_first_expiry_timestamp_seconds', array[decision, book],
    extract(epoch from min(expires_at))::float8
from asked group by decision, book
union all
select 'tollkeeper_invoices_issued_total', array[document, book], sum(last)
from invoice_series s cross join lateral (
    select document, book from invoice i
    where (i.series, i.year, i.sequence) = (s.series, s.year, s.last) limit 1
) latest group by document, book
union all
select 'tollkeeper_outbox_pending', array[kind, book], count(*)
from pending group by kind, book
union all
select 'tollkeeper_outbox_oldest_pending_timestamp_seconds', array[kind, book],
    extract(epoch from min(created_at))::float8
from pending group by kind, book
union all
select 'tollkeeper_news_oldest_untold_timestamp_seconds', array[book],
    extract(epoch from min(booked_at))::float8
from untold group by book
"""

# A group may commit after younger ones were sealed. But no transaction takes ten minutes, so what was
# booked that long before the last sealing is sealed. `month` steps from month to month by the index,
# past all postings of each and past the months that are closed.
BOOKS = """
with recursive money (currency, minor_units) as (
    select * from unnest($1::text[], $2::float8[])
),
refunding as (select * from refund where state not in ('confirmed', 'failed')),
credit as (
    select o.book, o.currency, o.credit_minor - coalesce(reserved.minor, 0) as minor, received_on,
           case o.customer when $3 then 'unknown' else 'known' end as payer
    from open_credit o
    left join receipt on receipt_id = o.source
    cross join lateral (
        select sum(amount_minor) as minor from refund
        where source = o.source and state not in ('confirmed', 'failed')
    ) reserved
    where o.credit_minor > coalesce(reserved.minor, 0)
),
sealed as (
    select book, last.sealed_at
    from unnest($4::text[]) as book left join lateral (
        select sealed_at from journal_seal s where s.book = book.book order by seq desc limit 1
    ) last on true
),
unsealed as (
    select g.book, g.booked_at
    from sealed join journal_group g
        on g.book = sealed.book
       and g.booked_at > coalesce(sealed.sealed_at - interval '10 minutes', '-infinity')
    where not exists (select from journal_seal s where s.group_id = g.id)
),
month (book, entity, first_day) as (
    (
        select book, entity, date_trunc('month', effective_on)::date
        from journal_group order by book, entity, effective_on limit 1
    )
    union all
    select next.* from month
    cross join lateral (
        select max(c.month) as last from period_close c
        where c.book = month.book and c.entity = month.entity
    ) closed
    cross join lateral (
        select g.book, g.entity, date_trunc('month', g.effective_on)::date
        from journal_group g
        where (g.book, g.entity, g.effective_on) >= (
            month.book, month.entity,
            (greatest(month.first_day, closed.last) + interval '1 month')::date
        )
        order by g.book, g.entity, g.effective_on limit 1
    ) next
),
open_month as (
    select book, first_day + interval '1 month' as ended_at
    from month
    where first_day + interval '1 month' <= now() at time zone 'UTC'
      and not exists (
          select from period_close c
          where c.book = month.book and c.entity = month.entity and c.month >= month.first_day
      )
)

select 'tollkeeper_refunds_in_flight' as metric, array[state, book] as labels,
    count(*)::float8 as value
from refunding group by state, book
union all
select 'tollkeeper_refunds_oldest_in_flight_timestamp_seconds', array[state, book],
    extract(epoch from min(since))::float8
from refunding group by state, book
union all
select 'tollkeeper_receipts_unapplied', array[payer, book], count(*)
from credit where received_on is not null group by payer, book
union all
select 'tollkeeper_receipts_oldest_unapplied_timestamp_seconds', array[payer, book],
    extract(epoch from min(received_on))::float8
from credit where received_on is not null group by payer, book
union all
select 'tollkeeper_credit_unapplied_amount', array[currency, book],
    sum(minor)::float8 / (select minor_units from money where money.currency = credit.currency)
from credit group by currency, book
union all
select 'tollkeeper_journal_groups_unsealed', array[book], count(*) from unsealed group by book
union all
select 'tollkeeper_journal_oldest_unsealed_timestamp_seconds', array[book],
    extract(epoch from min(booked_at))::float8
from unsealed group by book
union all
select 'tollkeeper_journal_last_seal_timestamp_seconds', array[book],
    extract(epoch from sealed_at)::float8
from sealed where sealed_at is not null
union all
select 'tollkeeper_periods_open', array[book], count(*) from open_month group by book
union all
select 'tollkeeper_periods_oldest_open_timestamp_seconds', array[book],
    extract(epoch from min(ended_at))::float8
from open_month group by book
"""

MONEY = (list(MINOR_DIGITS), [10.0**digits for digits in MINOR_DIGITS.values()])
STATEMENTS: tuple[tuple[str, tuple[object, ...]], ...] = (
    (STATE, MONEY),
    (BOOKS, (*MONEY, UNKNOWN_CUSTOMER, list(Book))),
)
"""Each with its arguments."""


class Exporter:
    """The HTTP server, running inside `async with`; `address` is where it answers.

    Raises:
        Unavailable: on entering, when the address cannot be listened on.
    """

    def __init__(
        self,
        pool: Pool,
        status: Status,
        sealing: Rounds,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.pool = pool
        self.status = status
        self.sealing = sealing
        self.host = host
        self.port = port

    async def __aenter__(self) -> "Exporter":
        loop = asyncio.get_running_loop()
        # On a thread, since it asks for the host's name, and that may take a while.
        self._server = await asyncio.to_thread(_listening, self.host, self.port)
        self._server.set_app(_application(self.pool, self.status, self.sealing, loop))
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()
        self.address = f"http://{self.host}:{self._server.server_port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class DatabaseCollector(Collector):
    """The state of the database at each scrape, or else as it was last read (O-08).

    Before the first good reading only the process's own metrics are exported: zeros that nobody
    has counted would be good news, and would reset the counters.
    """

    def __init__(self, pool: Pool, sealing: Rounds, loop: asyncio.AbstractEventLoop) -> None:
        self.pool = pool
        self.sealing = sealing
        self.loop = loop
        self.values: Values = {}
        self.seconds = 0.0
        self.errors = 0
        self.succeeded_at = 0.0
        self._counting = Lock()  # each scrape has a thread

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        self._read()
        values = self.values | self._own()
        for metric in METRICS:
            if metric.name in values:
                yield _family(metric, values[metric.name])

    def _read(self) -> None:
        started = time.monotonic()
        try:
            values = _asked(self.loop, read_state(self.pool), READING_SECONDS)
        except Exception as failure:  # whatever it is, the scrape is answered
            log.warning(
                "metrics keep their last values", reason=f"{type(failure).__name__}: {failure}"
            )
            with self._counting:
                self.errors += 1
        else:
            self.values, self.succeeded_at = values, time.time()
        self.seconds = time.monotonic() - started

    def _own(self) -> Values:
        return {
            "tollkeeper_collector_duration_seconds": {(): self.seconds},
            "tollkeeper_collector_errors_total": {(): self.errors},
            "tollkeeper_collector_last_success_timestamp_seconds": {(): self.succeeded_at},
            "tollkeeper_sealing_errors_total": {(): self.sealing.errors},
            "tollkeeper_sealing_last_success_timestamp_seconds": {(): self.sealing.succeeded_at},
            "tollkeeper_build_info": {(product_version(),): 1},
        }


async def read_state(pool: Pool) -> Values:
    """Every series of the table, zero where the database has nothing to count.

    Raises:
        Unavailable: the database does not answer.
    """
    async with transaction(pool) as connection:
        await connection.execute(SETTINGS)
        rows = [
            row
            for statement, arguments in STATEMENTS
            for row in await connection.fetch(statement, *arguments)
        ]
    metrics = {metric.name: metric for metric in METRICS}
    values = {name: dict.fromkeys(metric.series(), 0.0) for name, metric in metrics.items()}
    for row in rows:
        name = row["metric"]
        values[name][metrics[name].series_of(row["labels"])] += row["value"]
    return values


def _asked(loop: asyncio.AbstractEventLoop, question: Coroutine[Any, Any, T], seconds: float) -> T:
    """The answer of the application's loop to another thread.

    Raises:
        Unavailable: it took longer; the question is withdrawn.
    """
    answer = asyncio.run_coroutine_threadsafe(question, loop)
    try:
        return answer.result(seconds)
    except TimeoutError as late:
        answer.cancel()
        raise Unavailable(f"no answer within {seconds} s") from late


def _family(
    metric: Metric, values: Mapping[tuple[str, ...], float]
) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=list(metric.labels))
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _application(
    pool: Pool, status: Status, sealing: Rounds, loop: asyncio.AbstractEventLoop
) -> WSGIApplication:
    registry = CollectorRegistry()
    registry.register(DatabaseCollector(pool, sealing, loop))
    metrics: WSGIApplication = make_wsgi_app(registry)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case "GET", "/metrics":
                return metrics(environ, start_response)
            case "GET", "/healthz":
                code, body = _told(loop, _healthy(), READING_SECONDS)
            case "GET", "/status":
                code, body = _told(loop, status(), STATUS_SECONDS)
            case method, path:
                expected = "GET of /metrics, /healthz or /status"
                code, body = "404 Not Found", {"found": f"{method} {path}", "expected": expected}
        start_response(code, [("Content-Type", "application/json; charset=utf-8")])
        return [json.dumps(body, ensure_ascii=False).encode()]

    return application


def _told(
    loop: asyncio.AbstractEventLoop, question: Coroutine[Any, Any, object], seconds: float
) -> tuple[str, object]:
    try:
        return "200 OK", _asked(loop, question, seconds)
    except Exception as failure:  # whatever it is, it is the answer
        return "503 Service Unavailable", {"error": f"{type(failure).__name__}: {failure}"}


async def _healthy() -> object:
    """The loop goes round; a database that is away is no reason to restart this process."""
    return {"healthy": True}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = IDLE_SECONDS

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes come every few seconds; they are counted, not logged."""


def _listening(host: str, port: int) -> _Server:
    try:
        return _Server((host, port), _Handler)
    except OSError as refused:
        raise Unavailable(
            f"metrics: found {host}:{port} taken or not ours ({refused.strerror}), "
            "expected a free port; 0 picks one"
        ) from refused
