"""Effects on holdbacks through the one write path, against their bare rows."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date, datetime, time
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import asyncpg

from activities.engagements import Engagements
from activities.holdbacks import Holdbacks
from activities.postgres import Pool, connect
from activities.readings import add_reading
from activities.value_bets import ValueBets
from bench.common import compare, example
from contracts.calendar import add_period
from contracts.commands import AddReading
from contracts.contract import SettlementWindow
from contracts.events import Event, EventType
from contracts.indicators import catalogue
from contracts.setting import ClockKind
from lifecycle.orders import (
    AssessWindow,
    ForfeitHoldback,
    OpenEngagement,
    PlaceHoldback,
    Record,
    ReleaseHoldback,
)
from tollkeeper.cli.screen import told
from tollkeeper.database import migrate
from tollkeeper.embedded import Embedded

CONNECTIONS = (1, 8)
RUNS, WARMING = 8, 1
ENGAGEMENTS = 16
"""In each run, as many at a time as there are connections; the effects of one come in order."""

# In an order that every reference allows. The counter of the gapless numbers is not among them.
TABLES = (
    "effect",
    "news",
    "invoice",
    "invoice_line",
    "invoice_tax",
    "approval_request",
    "hold",
    "hold_movement",
    "decision_record",
    "journal_group",
    "posting",
    "event",
    "outbox",
)
WRITTEN_BY = {
    "hold": "(select min(m.xmin::text::bigint) from hold_movement m where m.hold_id = t.hold_id)",
}
"""A hold changes its state when it is settled; it came with its first movement."""

T = TypeVar("T")

PlainPool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Inserts: TypeAlias = list[tuple[str, list[tuple[Any, ...]]]]
"""One transaction: statements, each with the rows it inserts."""


class Settlements:
    """Engagements whose windows are assessed: halfway, so that each releases and forfeits."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.engagements, self.bets = Engagements(pool), ValueBets(pool)
        self.holdbacks = Holdbacks(pool)
        self.contract = example()
        (self.bet,) = self.contract.bets
        self.windows = [each for each in self.bet.windows if isinstance(each, SettlementWindow)]
        self.started_on = self.contract.effective_on

    async def open(self, engagement: str) -> None:
        """Its contract and what that authorises, on record."""
        known = catalogue().indicators
        await self.engagements.open_engagement(
            OpenEngagement(
                **self._about(engagement, "open"),
                contract=self.contract,
                indicators=tuple(known[terms.indicator] for terms in self.bet.indicators),
                clock=ClockKind.TEST,
                phase="operating",
            )
        )

    async def prepare(self, engagement: str) -> None:
        """Everything that comes before the effects."""
        await self.open(engagement)
        await self._proceeded(engagement)
        for window in self.windows:
            for indicator in window.settles:
                await self._halfway(
                    engagement, indicator, add_period(self.started_on, window.after)
                )
            await self.bets.assess_window(
                AssessWindow(
                    **self._about(engagement, f"{window.id}:verdict"),
                    bet=self.bet.id,
                    window=window.id,
                    started_on=self.started_on,
                )
            )

    async def settle(self, engagement: str) -> None:
        """The effects: placed, then released and forfeited, window by window."""
        placing = PlaceHoldback(**self._about(engagement, "place"), bet=self.bet.id)
        await self.holdbacks.place_holdback(placing)
        for window in self.windows:
            what: dict[str, Any] = {"bet": self.bet.id, "window": window.id}
            await self.holdbacks.release_holdback(
                ReleaseHoldback(**self._about(engagement, f"{window.id}:release"), **what)
            )
            await self.holdbacks.forfeit_holdback(
                ForfeitHoldback(**self._about(engagement, f"{window.id}:forfeit"), **what)
            )

    async def _proceeded(self, engagement: str) -> None:
        about = self._about(engagement, "#1")
        proceeded = Event(type=EventType.PROCEEDED, occurred_at=about["at"], actor="li.wei")
        await self.engagements.record(
            Record(
                **about,
                seq=1,
                kind="value_bet",
                subject=self.bet.id,
                state="operating",
                detail={},
                events=(proceeded,),
                wait=None,
                finished=False,
            )
        )

    async def _halfway(self, engagement: str, indicator: str, day: date) -> None:
        terms = self.bet.indicator(indicator)
        reading = AddReading(
            command_id=indicator,
            by="zhao.min",
            at=self._at(day),
            indicator=indicator,
            measured_on=day,
            value=(terms.baseline + terms.target) / 2,
            sample=60,
            source="ERP extract, signed",
            evidence=f"{indicator}.csv",
        )
        await add_reading(self.pool, engagement, reading)

    def _about(self, engagement: str, what: str) -> dict[str, Any]:
        process = f"eng.{engagement}.bet.{self.bet.id}"
        return {
            "key": f"{process}:{what}",
            "engagement_id": engagement,
            "workflow_id": process,
            "at": self._at(self.started_on),
            "by": "clause:5.1",
        }

    def _at(self, day: date) -> datetime:
        return datetime.combine(day, time(9), ZoneInfo(self.contract.timezone))


async def measure() -> bool:
    """Settle in one database, then write the same rows to its copy; run after run."""
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with TemporaryDirectory(prefix="tollkeeper-bench-") as folder:
        told("starting PostgreSQL")
        async with Embedded(Path(folder) / "data", temporal=False) as addresses:
            assert addresses.dsn
            told("preparing engagements")
            await prepare(addresses.dsn)
            copy = await copied(addresses.dsn)
            told("measuring")
            async with (
                await connect(addresses.dsn, max(CONNECTIONS)) as pool,
                asyncpg.create_pool(addresses.dsn, min_size=1) as reader,
                asyncpg.create_pool(copy, min_size=1, max_size=max(CONNECTIONS)) as floor,
            ):
                for run in range(RUNS):
                    for connections in CONNECTIONS:
                        pair = await pair_of(run, connections, pool, reader, floor)
                        if run >= WARMING:
                            pairs[f"connections: {connections}"].append(pair)
    compare("Effects: place, release and forfeit holdbacks", "effects", pairs)
    return True


async def pair_of(
    run: int, connections: int, pool: Pool, reader: PlainPool, floor: PlainPool
) -> tuple[float, float]:
    """Effects a second: ours, and the bare rows of the same ones."""
    settlements = Settlements(pool)
    mark = await reader.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    ours = await seconds(settlements.settle, _names(run, connections), connections)
    written = await _written_since(mark, reader)
    effects = sum(map(len, written))
    bare = await seconds(lambda each: _write(floor, each), written, connections)
    return effects / ours, effects / bare


async def seconds(
    work: Callable[[T], Awaitable[None]], everything: Iterable[T], workers: int
) -> float:
    """How long so many workers take together."""
    left = iter(everything)

    async def worker() -> None:
        for each in left:
            await work(each)

    started = perf_counter()
    await asyncio.gather(*(worker() for _ in range(workers)))
    return perf_counter() - started


async def prepare(dsn: str) -> None:
    await migrate(dsn)
    workers = max(CONNECTIONS)
    async with await connect(dsn, workers) as pool:
        names = [
            name
            for run in range(RUNS)
            for connections in CONNECTIONS
            for name in _names(run, connections)
        ]
        await seconds(Settlements(pool).prepare, names, workers)


def _names(run: int, connections: int) -> list[str]:
    return [f"run{run}-over{connections}-{number}" for number in range(ENGAGEMENTS)]


async def copied(dsn: str) -> str:
    """A copy of a database that nobody is connected to."""
    address = urlsplit(dsn)
    admin = await asyncpg.connect(address._replace(path="/postgres").geturl())
    await admin.execute(f"create database floor template {address.path.removeprefix('/')}")
    await admin.close()
    return address._replace(path="/floor").geturl()


async def _written_since(mark: int, reader: PlainPool) -> list[list[Inserts]]:
    """What each engagement wrote: its transactions in order, told apart by who inserted a row."""
    inserts: dict[int, Inserts] = defaultdict(list)
    engagement: dict[int, str] = {}
    for table in TABLES:
        writer = WRITTEN_BY.get(table, "t.xmin::text::bigint")
        rows = await reader.fetch(
            f"select {writer} as xid, t.* from {table} t where t.xmin::text::bigint >= $1", mark
        )
        if table == "effect":
            engagement = {row["xid"]: row["engagement_id"] for row in rows}
        for xid in engagement:
            if own := [tuple(row.values())[1:] for row in rows if row["xid"] == xid]:
                inserts[xid].append((_insert(table, list(rows[0].keys())[1:]), own))
    return [
        [inserts[xid] for xid in sorted(engagement) if engagement[xid] == name]
        for name in dict.fromkeys(engagement.values())
    ]


def _insert(table: str, columns: Sequence[str]) -> str:
    values = ", ".join(f"${position}" for position, _ in enumerate(columns, start=1))
    return f"insert into {table} ({', '.join(columns)}) overriding system value values ({values})"


async def _write(floor: PlainPool, transactions: Sequence[Inserts]) -> None:
    for inserts in transactions:
        async with floor.acquire() as connection, connection.transaction():
            for statement, rows in inserts:
                await connection.executemany(statement, rows)
