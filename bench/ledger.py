"""Postings through the one write path, verified by the million, and numbers while writers are killed."""

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from io import BytesIO
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg

from activities.billing.invoices import Billing
from activities.postgres import connect
from bench.common import compare, machine
from bench.settle import (
    CONNECTIONS,
    RUNS,
    WARMING,
    PlainPool,
    Settlements,
    copied,
    pair_of,
    prepare,
    seconds,
)
from contracts.errors import Unavailable
from contracts.fields import canonical
from contracts.money import Money
from lifecycle.ledger import Group, Posting
from lifecycle.milestone import Acceptance
from lifecycle.orders import (
    Billed,
    BillMicroConsulting,
    BillMilestone,
    EvaluateMilestone,
)
from tollkeeper.cli.screen import out, table, told
from tollkeeper.database import migrate
from tollkeeper.embedded import Embedded
from tollkeeper.verify import verify

T = TypeVar("T")

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

POSTINGS = 1_000_000
INVOICES, WRITERS, KILLED = 10_000, 8, 0.05
PAUSE_SECONDS = 0.01
PASSES = 3
SECONDS = 600.0
"""Longest wait for one statement over a whole table."""


async def measure() -> bool:
    """False when the books do not hold or a number is missing; nothing is asserted about time."""
    with TemporaryDirectory(prefix="tollkeeper-bench-") as folder:
        told("starting PostgreSQL")
        async with Embedded(Path(folder) / "data", temporal=False) as addresses:
            assert addresses.dsn
            await _postings(addresses.dsn)
            numbered = await _numbers(await _database(addresses.dsn, "numbers"))
            held = await _verification(await _database(addresses.dsn, "million"))
    out.print(machine())
    return numbered and held


async def _database(dsn: str, name: str) -> str:
    """A new database with our tables."""
    address = urlsplit(dsn)
    admin = await asyncpg.connect(address._replace(path="/postgres").geturl())
    await admin.execute(f"create database {name}")
    await admin.close()
    own = address._replace(path=f"/{name}").geturl()
    await migrate(own)
    return own


# Postings through the one write path.


async def _postings(dsn: str) -> None:
    """The pairs of `bench settle`, counted in postings."""
    told("preparing engagements")
    await prepare(dsn)
    copy = await copied(dsn)
    told("measuring postings")
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    async with (
        await connect(dsn, max(CONNECTIONS)) as pool,
        asyncpg.create_pool(dsn, min_size=1) as reader,
        asyncpg.create_pool(copy, min_size=1, max_size=max(CONNECTIONS)) as floor,
    ):
        for run in range(RUNS):
            for connections in CONNECTIONS:
                before = await _written(reader)
                ours, bare = await pair_of(run, connections, pool, reader, floor)
                postings, effects = (await _written(reader)) - before
                if run >= WARMING:
                    share = postings / effects
                    pairs[f"connections: {connections}"].append((ours * share, bare * share))
    compare("Postings of holdbacks placed, released and forfeited", "postings", pairs)


async def _written(reader: PlainPool) -> "Written":
    row = await reader.fetchrow(
        "select (select count(*) from posting) as postings, (select count(*) from effect) as effects"
    )
    assert row is not None
    return Written(row["postings"], row["effects"])


@dataclass(frozen=True)
class Written:
    postings: int
    effects: int

    def __sub__(self, before: "Written") -> tuple[int, int]:
        return self.postings - before.postings, self.effects - before.effects


# Numbers, while writers are killed.


class Death(StrEnum):
    """How a transaction is killed at one of its statements."""

    TERMINATED = "the server ends the session before it"
    INTERRUPTED = "the server ends the session while it runs"
    ABORTED = "the connection breaks before it"
    UNANSWERED = "the connection breaks after the commit, before its answer"


@dataclass
class Fate:
    """Where a transaction dies; the first of its statements is its `begin`."""

    death: Death
    statement: int
    killer: PlainPool

    def has_come(self, query: str) -> bool:
        self.statement -= 1
        if self.death is Death.UNANSWERED:
            return query == "COMMIT;"
        return self.statement == 0


STATEMENTS = 24
"""Those of one invoice, `begin` and `commit` among them."""
FATE: ContextVar[Fate | None] = ContextVar("fate", default=None)


def fate(seed: int, key: str, attempt: int, killer: PlainPool) -> Fate | None:
    """The same for the same attempt, whatever else runs."""
    chance = Random(f"{seed}:{key}:{attempt}")
    if chance.random() >= KILLED:
        return None
    return Fate(chance.choice(list(Death)), chance.randint(1, STATEMENTS), killer)


class Mortal(asyncpg.Connection):
    """A connection on which a transaction meets its fate."""

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        return await self._lived(query, super().execute(query, *args, **options))

    async def executemany(self, command: str, *args: Any, **options: Any) -> None:
        await self._lived(command, super().executemany(command, *args, **options))

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._lived(query, super().fetch(query, *args, **options))

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._lived(query, super().fetchval(query, *args, **options))

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._lived(query, super().fetchrow(query, *args, **options))

    async def _lived(self, query: str, statement: Awaitable[T]) -> T:
        own = FATE.get()
        if own is None or not own.has_come(query):
            return await statement
        match own.death:
            case Death.TERMINATED:
                await self._terminated(own.killer)
                return await statement
            case Death.INTERRUPTED:
                killing = asyncio.ensure_future(self._terminated(own.killer))
                try:
                    return await statement
                finally:
                    await killing
            case Death.ABORTED:
                self.terminate()
                return await statement
            case Death.UNANSWERED:
                await statement
                self.terminate()
                raise ConnectionResetError("no answer to the commit")

    async def _terminated(self, killer: PlainPool) -> None:
        await killer.execute("select pg_terminate_backend($1)", self.get_server_pid())


@dataclass(frozen=True)
class Issued:
    """What became of so many orders."""

    answers: Mapping[str, Billed]
    """By key, of those who insisted."""
    killed: Mapping[Death, int]
    seconds: float


async def issued_under_kills(dsn: str, invoices: int, seed: int) -> Issued:
    """Issue the fee of as many engagements, by eight writers; who is cut off asks again, by key."""
    names = [f"N{number}" for number in range(1, invoices + 1)]
    async with await connect(dsn) as pool:
        await seconds(Whole(pool).open, names, WRITERS)
    async with (
        asyncpg.create_pool(dsn, min_size=1) as killer,
        asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=WRITERS,
            connection_class=Mortal,
            init=_prepare_connection,
        ) as pool,
    ):
        billing, whole = Billing(pool), Whole(pool)
        orders = iter(list(map(whole.fee, names)))
        answers, killed = dict[str, Billed](), Counter[Death]()

        async def writer() -> None:
            for order in orders:
                for attempt in count(1):
                    own = fate(seed, order.key, attempt, killer)
                    FATE.set(own)
                    killed.update([own.death] if own else [])
                    try:
                        answers[order.key] = await billing.bill_micro_consulting(order)
                        break
                    except Unavailable:
                        # As every caller does; the loop hears of the lost connection meanwhile.
                        await asyncio.sleep(PAUSE_SECONDS)

        started = perf_counter()
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(writer())
        return Issued(answers, killed, perf_counter() - started)


async def _prepare_connection(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=canonical, decoder=json.loads, schema="pg_catalog"
    )


async def _numbers(dsn: str) -> bool:
    told(f"issuing {INVOICES:,} invoices")
    issued = await issued_under_kills(dsn, INVOICES, seed=1)
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(NUMBERS)
    await connection.close()
    table(
        f"{INVOICES:,} invoices by {WRITERS} writers, {KILLED:.0%} of their transactions killed",
        ["series", "documents>", "numbers>", "last>"],
        [tuple(row.values()) for row in rows],
    )
    for death, times in sorted(issued.killed.items()):
        out.print(f"{times:>5,} times {death}")
    out.print(f"{issued.seconds:,.0f} s, {INVOICES / issued.seconds:,.0f} invoices a second\n")
    return [tuple(row.values())[1:] for row in rows] == [(INVOICES,) * 3]


NUMBERS = """
    select series, count(*) as documents, count(distinct sequence) as numbers, max(sequence) as last
    from invoice group by series order by series
"""


# A million postings.


class Whole(Settlements):
    """Engagements with all that they bill: the fee, the milestones, the holdback."""

    def fee(self, engagement: str) -> BillMicroConsulting:
        return BillMicroConsulting(**self._of(engagement, "micro", "fee"), evidence="S11 done")

    async def play(self, engagement: str) -> None:
        billing = Billing(self.pool)
        await self.prepare(engagement)
        await billing.bill_micro_consulting(self.fee(engagement))
        for milestone in self.contract.milestones:
            process = f"milestone.{milestone.id}"
            accepted: dict[str, Any] = {
                "milestone": milestone.id,
                "acceptance": Acceptance(
                    by="wang.fang",
                    at=self._at(self.started_on),
                    deemed=False,
                    evidence={"minutes": f"{milestone.id}.pdf"},
                ),
            }
            evaluate = EvaluateMilestone(**self._of(engagement, process, "evaluate"), **accepted)
            await billing.evaluate_milestone(evaluate)
            await billing.bill_milestone(
                BillMilestone(**self._of(engagement, process, "bill"), **accepted)
            )
        await self.settle(engagement)

    def _of(self, engagement: str, process: str, what: str) -> dict[str, Any]:
        workflow_id = f"eng.{engagement}.{process}"
        about = {"key": f"{workflow_id}:{what}", "workflow_id": workflow_id}
        return self._about(engagement, what) | about


MODEL = "MODEL"
"""The engagement that the others are printed from."""
TABLES = (
    "engagement",
    "effect",
    "event",
    "invoice",
    "invoice_line",
    "invoice_tax",
    "approval_request",
    "hold",
    "hold_movement",
    "decision_record",
    "journal_group",
    "posting",
    "reading",
    "verdict",
    "outbox",
)
MARKED = {
    ("journal_group", "id"): "'<id ' || id || '>'",
    ("posting", "group_id"): "'<id ' || group_id || '>'",
    ("reading", "id"): "'<id ' || id || '>'",
    ("verdict", "last_reading"): "'<id ' || last_reading || '>'",
    ("invoice", "sequence"): "'<sequence ' || sequence || '>'",
    ("journal_group", "digest"): "'<digest ' || id || '>'",
    ("approval_request", "digest"): "'<payload ' || abs(hashtext(effect_key)) || '>'",
    ("effect", "digest"): """
        case when exists (select from approval_request where effect_key = effect.key)
            then '<payload ' || abs(hashtext(key)) || '>' else digest
        end
    """,
}
"""What differs from engagement to engagement, and is not a name."""
STRIDE = 1_000
"""More than the rows of a kind in one engagement; also, how many engagements are copied at once."""


class Press:
    """Prints the rows of the model as those of the n-th engagement like it."""

    def __init__(
        self, series: str, invoices: int, groups: Mapping[int, str], payloads: Mapping[int, str]
    ) -> None:
        self.series = series
        self.invoices = invoices
        self.groups = groups
        self.payloads = payloads
        self.mark = re.compile(rf"{MODEL}|{series}(?P<number>\d{{6}})|<(?P<kind>\w+) (?P<of>\d+)>")

    def print(self, block: str, n: int) -> str:
        return self.mark.sub(lambda mark: self._shown(mark, n), block)

    def _shown(self, mark: re.Match[str], n: int) -> str:
        if mark["number"]:
            return f"{self.series}{self._sequence(int(mark['number']), n):06}"
        match mark["kind"], int(mark["of"] or 0):
            case "id", own:
                return str(own + n * STRIDE)
            case "sequence", own:
                return str(self._sequence(own, n))
            case "digest", own:
                return sha256(self.print(self.groups[own], n).encode()).hexdigest()
            case "payload", own:
                return sha256(self.print(self.payloads[own], n).encode()).hexdigest()
            case _:
                return f"{MODEL[0]}{n}"

    def _sequence(self, own: int, n: int) -> int:
        return own + n * self.invoices


async def printed(dsn: str, postings: int) -> None:
    """Play one engagement, then print others like it until there are so many postings."""
    async with await connect(dsn, 1) as pool:
        await Whole(pool).play(MODEL)
    connection = await asyncpg.connect(dsn, command_timeout=SECONDS)
    last = await connection.fetchrow("select series, year, last from invoice_series")
    assert last is not None
    groups = await _groups(connection)
    series = f"{last['series']}-{last['year']}-"
    press = Press(series, last["last"], groups, await _payloads(connection))
    own = await connection.fetchval("select count(*) from posting")
    engagements = -(-postings // own)
    # The model has passed every trigger; the verification looks at all of them.
    await connection.execute("set session_replication_role = replica")
    for name in TABLES:
        columns = await _columns(connection, name)
        block = await _block(connection, name, columns)
        for first in range(1, engagements, STRIDE):
            some = range(first, min(first + STRIDE, engagements))
            source = BytesIO("".join(press.print(block, n) for n in some).encode())
            await connection.copy_to_table(name, source=source, columns=columns, format="csv")
    await connection.execute("update invoice_series set last = last * $1", engagements)
    await connection.execute("vacuum analyze")
    await connection.close()


async def _groups(connection: Connection) -> dict[int, str]:
    """What the digests of the model's journal groups are made of."""
    rows = await connection.fetch(
        "select * from posting p join journal_group g on g.id = p.group_id order by g.id, p.line"
    )
    postings: dict[tuple[int, str], list[Posting]] = defaultdict(list)
    for row in rows:
        amount = Money(row["amount_minor"], row["currency"])
        postings[row["group_id"], row["code"]].append(Posting(**dict(row) | {"amount": amount}))
    return {
        id: canonical(Group(code=code, postings=tuple(lines)))
        for (id, code), lines in postings.items()
    }


async def _payloads(connection: Connection) -> dict[int, str]:
    """What the digests of the model's requests are made of."""
    rows = await connection.fetch(
        "select abs(hashtext(effect_key)) as of, payload::text from approval_request"
    )
    return {row["of"]: canonical(json.loads(row["payload"])) for row in rows}


async def _columns(connection: Connection, name: str) -> list[str]:
    """All but a row's own number, where no other row refers to it."""
    rows = await connection.fetch(
        """
        select column_name as name, is_identity = 'YES' as numbered from information_schema.columns
        where table_schema = 'public' and table_name = $1 order by ordinal_position
        """,
        name,
    )
    return [row["name"] for row in rows if not row["numbered"] or (name, row["name"]) in MARKED]


async def _block(connection: Connection, name: str, columns: Sequence[str]) -> str:
    """The rows of the model in the order they were written, as CSV with marks."""
    shown = ", ".join(MARKED.get((name, column), column) for column in columns)
    block = BytesIO()
    await connection.copy_from_query(
        f"select {shown} from {name} order by ctid", output=block, format="csv"
    )
    return block.getvalue().decode()


PASS = """
    select account, side, currency, count(*), sum(amount_minor) from posting
    group by account, side, currency
"""


async def _verification(dsn: str) -> bool:
    told(f"printing {POSTINGS:,} postings")
    await printed(dsn, POSTINGS)
    async with await connect(dsn, 1) as pool:
        told("verifying")
        started = perf_counter()
        verification = await verify(pool)
        ours = perf_counter() - started
        bare = []
        for _ in range(PASSES):
            started = perf_counter()
            await pool.fetch(PASS)
            bare.append(perf_counter() - started)
    table(
        f"{POSTINGS:,} postings verified",
        ["", "checked>", "wrong>"],
        [(check.id, f"{check.checked:,}", len(check.violations)) for check in verification.checks],
    )
    out.print(
        f"{ours:,.1f} s in all; one bare pass over the postings {median(bare):.2f} s, "
        f"ratio {ours / median(bare):,.0f}\n"
    )
    return verification.ok
