"""A worker killed between any two steps of a settlement: everything that follows happens once."""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import Client, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.engagements import Engagements
from activities.postgres import Pool, connect
from contracts.commands import AddReading, AnswerPosition, Stance, Tick
from contracts.contract import Contract, Role
from contracts.errors import Unavailable
from contracts.events import Event, EventType
from contracts.indicators import catalogue
from contracts.setting import ClockKind, Setting
from lifecycle.orders import OpenEngagement, Record
from lifecycle.process import BetState
from tests.workflow import crashing_worker
from tests.workflow.conftest import example
from tests.workflow.crashing_worker import Crash
from tollkeeper.database import migrate
from tollkeeper.desk import Desk
from tollkeeper.embedded import Embedded
from tollkeeper.settings import TASK_QUEUE
from tollkeeper.verify import Verification, verify
from tollkeeper.views.engagements import timeline
from tollkeeper.worker import working
from workflows.engagement import EngagementWorkflow
from workflows.value_bet import ValueBetWorkflow

T = TypeVar("T")

# Whoever asks for the first test waits for all crashes.
pytestmark = pytest.mark.timeout(900)

CONTRACTS = {"block_invoicing": "key-account", "withhold_payment": "key-account-withheld"}
"""By effect of the hold; each worker that crashes has an engagement of either kind."""

STEPS = ("B1:place", "B1:#2", "B1:W6:verdict", "B1:W6:release", "B1:W6:forfeit", "B1:#3")
"""The orders of a bet to the end of its first settlement; its second record says that W6 runs."""

CRASHES = [
    Crash("B1:place", committed=False, engagements=len(CONTRACTS)),
    *(Crash(step, committed=True, engagements=len(CONTRACTS)) for step in STEPS),
]

FORGOTTEN = Crash("eng.E1:#2", committed=True, engagements=1)
"""The second record of an engagement: that of the first answer on its value position."""

SHANGHAI = ZoneInfo("Asia/Shanghai")
BEGUN_ON, LIVE_ON, READ_ON = date(2024, 9, 2), date(2025, 1, 15), date(2025, 7, 10)
W6_ENDS = datetime(2025, 7, 16, tzinfo=SHANGHAI)
MEASURED = {"win-rate-count": Decimal("0.29"), "ka-dso-days": Decimal("87.917")}
"""Above target; a third of the way."""

DIES_WITHIN_SECONDS = 300
TASK_TIMEOUT = timedelta(seconds=20)
"""So many workers start at once that their first tasks take long on a small machine; this is also how
long Temporal waits for a dead one."""
SIZE = 40
"""Connections: whoever advances a clock holds one until everything due has happened."""


@dataclass(frozen=True)
class Books:
    """What one engagement has on record, in order, without its name and its document numbers."""

    journal: list[tuple[Any, ...]]
    movements: list[tuple[Any, ...]]
    documents: list[tuple[Any, ...]]
    decisions: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]


JOURNAL = r"""
    select regexp_replace(replace(g.key, $1, ''), '[A-Z-]+-\d{4}-\d{6}', ''), g.effective_on::text,
           p.account, p.side, p.amount_minor, p.currency
    from journal_group g join posting p on p.group_id = g.id
    where engagement_id = $1 order by g.id, p.line
"""
MOVEMENTS = """
    select movement, amount_minor from hold_movement join hold using (hold_id)
    where engagement_id = $1 order by id
"""
DOCUMENTS = """
    select document, net_minor, tax_minor, withheld_minor, issued_on::text, replace(key, $1, '')
    from invoice where engagement_id = $1 order by issued_on, number
"""
DECISIONS = """
    select decision, amount_minor, decided_by, decided_on::text, replace(key, $1, '')
    from decision_record where engagement_id = $1 order by key
"""
EVENTS = """
    select type, occurred_at::text, actor from event where engagement_id = $1 order by id
"""


class Stage:
    """Embedded servers, and engagements that come to the first settlement of their value bet."""

    def __init__(self, dsn: str, temporal: str, client: Client, pool: Pool) -> None:
        self.servers = dsn, temporal
        self.client = client
        self.pool = pool
        self.processes = multiprocessing.get_context("forkserver")
        # Loaded once, so that each worker starts in a moment.
        self.processes.set_forkserver_preload([crashing_worker.__name__])

    async def settled(self, number: int, crash: Crash | None) -> dict[str, Books]:
        """Play an engagement of either kind, through the crash of its worker if there is one."""
        queue = f"{TASK_QUEUE}-{number}"
        async with asyncio.TaskGroup() as engagements:
            playing = {
                effect: engagements.create_task(self._play(f"{effect}-{number}", effect, queue))
                for effect in CONTRACTS
            }
            if crash:
                await self.work_until_dead(queue, crash)
            async with working(self.client, self.pool, {}, queue=queue):
                await asyncio.wait(playing.values())
        return {effect: played.result() for effect, played in playing.items()}

    def desk(self, queue: str = TASK_QUEUE) -> Desk:
        return Desk(self.client, self.pool, queue)

    async def work_until_dead(self, queue: str, crash: Crash) -> None:
        """Have a worker work that dies at the point of its crash."""
        worker = self.processes.Process(
            target=crashing_worker.work, args=(*self.servers, queue, crash), daemon=True
        )
        # The first start waits for what all of them load.
        await asyncio.to_thread(worker.start)
        try:
            await asyncio.to_thread(worker.join, DIES_WITHIN_SECONDS)
            assert worker.exitcode == -signal.SIGKILL, f"the worker did not die {crash}"
        finally:
            worker.kill()

    async def _play(self, id: str, effect: str, queue: str) -> Books:
        """Laid down up to go-live by its own activities; from there on, its value bet runs."""
        contract, desk = example(CONTRACTS[effect]), self.desk(queue)
        await self._lay_down(id, contract)
        bet = await self.client.start_workflow(
            ValueBetWorkflow.run,
            _bet(id, contract),
            id=f"eng.{id}.bet.B1",
            task_queue=queue,
            task_timeout=TASK_TIMEOUT,
        )
        tick = Tick(now=_at(LIVE_ON))
        await _answered(lambda: bet.execute_update(ValueBetWorkflow.settle, tick))
        await _answered(lambda: desk.advance(id, _at(READ_ON)))
        for indicator, value in MEASURED.items():
            reading = _reading(indicator, value)
            await _answered(partial(desk.add_reading, id, reading))
        await _answered(lambda: desk.advance(id, W6_ENDS))
        return await self._books(id)

    async def _lay_down(self, id: str, contract: Contract) -> None:
        engagements, known = Engagements(self.pool), catalogue().indicators
        about: dict[str, Any] = {"engagement_id": id, "workflow_id": f"eng.{id}", "by": "sun.hao"}
        await engagements.open_engagement(
            OpenEngagement(
                **about,
                key=f"eng.{id}:open",
                at=_at(BEGUN_ON),
                contract=contract,
                indicators=tuple(known[terms.indicator] for terms in contract.bets[0].indicators),
                clock=ClockKind.TEST,
                phase="value_positioning",
            )
        )
        proceeded = Event(type=EventType.PROCEEDED, occurred_at=_at(BEGUN_ON), actor="li.wei")
        await engagements.record(
            Record(
                **about,
                key=f"eng.{id}:#1",
                at=_at(LIVE_ON),
                seq=1,
                kind="engagement",
                subject=contract.id,
                state="operating",
                detail={},
                events=(proceeded,),
                wait=None,
                # No process to settle with: this engagement is on record, and does not run.
                finished=True,
                phase="operating",
            )
        )

    async def _books(self, id: str) -> Books:
        queries = (JOURNAL, MOVEMENTS, DOCUMENTS, DECISIONS, EVENTS)
        return Books(*[list(map(tuple, await self.pool.fetch(query, id))) for query in queries])


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer, as the refusal of one that takes too long says."""
    while True:
        try:
            return await ask()
        except (Unavailable, WorkflowUpdateRPCTimeoutOrCancelledError):
            continue


def _bet(id: str, contract: Contract) -> BetState:
    setting = Setting(
        engagement_id=id,
        clock=ClockKind.TEST,
        calendar=contract.working_calendar(),
        people=contract.people(),
    )
    return BetState(
        setting=setting,
        now=_at(LIVE_ON),
        bet=contract.bet("B1"),
        clause=contract.holdback.clause,
        started_on=LIVE_ON,
        live_at=_at(LIVE_ON),
    )


def _reading(indicator: str, value: Decimal) -> AddReading:
    return AddReading(
        command_id=indicator,
        by="zhao.min",
        at=_at(READ_ON),
        indicator=indicator,
        measured_on=READ_ON,
        value=value,
        sample=60,
        source="CRM",
        evidence=f"{indicator}.csv",
    )


def _answer(role: Role) -> AnswerPosition:
    return AnswerPosition(
        command_id=role.value,
        by={Role.UNIT_HEAD: "li.wei", Role.GROUP_MANAGEMENT: "gao.feng"}[role],
        at=_at(BEGUN_ON),
        role=role,
        stance=Stance.PROFIT_CENTRE,
        assessed_by="contribution margin",
    )


def _at(day: date) -> datetime:
    return datetime.combine(day, time(9), SHANGHAI)


MIGRATING = asyncio.Lock()
"""Alembic knows one migration at a time in a process."""


@asynccontextmanager
async def stage(data: Path) -> AsyncIterator[Stage]:
    async with Embedded(data, ui=False) as addresses:
        assert addresses.dsn
        assert addresses.temporal
        async with MIGRATING:
            await migrate(addresses.dsn)
        pool = await connect(addresses.dsn, SIZE)
        client = await Client.connect(addresses.temporal, data_converter=pydantic_data_converter)
        yield Stage(addresses.dsn, addresses.temporal, client, pool)
        await pool.close()


@dataclass(frozen=True)
class Settlements:
    """The books of every settlement by crash and effect, and the check of them all."""

    books: dict[Crash | None, dict[str, Books]]
    verification: Verification


async def _settlements(data: Path) -> Settlements:
    async with stage(data) as played:
        async with asyncio.TaskGroup() as all_at_once:
            settled = {
                crash: all_at_once.create_task(played.settled(number, crash))
                for number, crash in enumerate([None, *CRASHES])
            }
        books = {crash: task.result() for crash, task in settled.items()}
        return Settlements(books, await verify(played.pool))


async def _forgotten(data: Path) -> list[str]:
    """What happened to a command when the worker died that took it, then Temporal, and its author."""
    async with stage(data) as before:
        asking = asyncio.create_task(_asked(before.desk(), "E1", Role.UNIT_HEAD))
        await before.work_until_dead(TASK_QUEUE, FORGOTTEN)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    async with stage(data) as after, working(after.client, after.pool, {}):
        await _answered(lambda: _asked(after.desk(), "E1", Role.GROUP_MANAGEMENT))
        return [event.type.value for event in await timeline(after.pool, "E1")]


async def _asked(desk: Desk, id: str, *roles: Role) -> None:
    await desk.open(id, example("key-account"), ClockKind.TEST, _at(BEGUN_ON), "sun.hao")
    for role in roles:
        await desk.ask("answer_position", _answer(role), id)


@pytest.fixture(scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settlements, list[str]]:
    """All crashes at the same time: most of it is waiting for Temporal to miss the dead."""
    return await asyncio.gather(
        _settlements(tmp_path_factory.mktemp("settlements")),
        _forgotten(tmp_path_factory.mktemp("forgotten")),
    )


@pytest.fixture(scope="module")
def settlements(played: tuple[Settlements, list[str]]) -> Settlements:
    return played[0]


@pytest.fixture(scope="module")
def forgotten(played: tuple[Settlements, list[str]]) -> list[str]:
    return played[1]


@pytest.mark.parametrize("effect", CONTRACTS)
@pytest.mark.parametrize("crash", CRASHES, ids=str)
async def test_a_worker_killed_at_any_point_of_a_settlement_leaves_the_books_of_one_that_lived(
    settlements: Settlements, crash: Crash, effect: str
) -> None:
    found, expected = settlements.books[crash][effect], settlements.books[None][effect]
    for part in fields(Books):
        assert getattr(found, part.name) == getattr(expected, part.name)


async def test_a_settlement_is_one_release_and_one_forfeiture_with_their_documents(
    settlements: Settlements,
) -> None:
    # 40 % of 540,000.00 met; of 20 % as much as 3.333 days of 10: 216,000.00 + 35,996.40
    released, forfeited = ("released", 25_199_640), ("forfeited", 7_200_360)
    blocked, withheld = (settlements.books[None][effect] for effect in CONTRACTS)
    for books in (blocked, withheld):
        assert books.movements == [("placed", 54_000_000), released, forfeited]
        assert [decision[:2] for decision in books.decisions] == [forfeited, released]
    # 6 % VAT. What was won is invoiced; or all was, and what was lost is credited.
    assert [document[:3] for document in blocked.documents] == [("invoice", 25_199_640, 1_511_978)]
    assert [document[:3] for document in withheld.documents] == [
        ("invoice", 54_000_000, 3_240_000),
        ("credit_note", 7_200_360, 432_022),
    ]


async def test_a_command_outlives_the_worker_and_the_server_that_took_it_though_nobody_asks_again(
    forgotten: list[str],
) -> None:
    assert forgotten == [
        "engagement.opened",
        "value_position.answered",
        "value_position.answered",
        "value_position.agreed",
    ]


async def test_the_ledger_verifies_after_all_crashes(settlements: Settlements) -> None:
    assert [check.title for check in settlements.verification.checks if not check.ok] == []


class Late(Interceptor):
    """Holds the first record of a micro-consulting back, and says when it has come to it."""

    def __init__(self) -> None:
        self.come, self.go_on = asyncio.Event(), asyncio.Event()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _LateInbound(next, self)


class _LateInbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, late: Late) -> None:
        super().__init__(next)
        self.late = late

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if input.args[0].key.endswith(".micro.key-account:#1"):
            self.late.come.set()
            await self.late.go_on.wait()
        return await super().execute_activity(input)


async def test_a_clock_waits_for_a_process_that_is_not_on_record_when_its_author_is_killed(
    desk: Desk,
) -> None:
    queue, late, id = f"{TASK_QUEUE}-late", Late(), "late"
    engagement = desk.client.get_workflow_handle(f"eng.{id}")
    here = Desk(desk.client, desk.pool, queue)
    async with working(desk.client, desk.pool, {}, queue=queue, interceptors=[late]):
        asking = asyncio.create_task(_asked(here, id, Role.UNIT_HEAD, Role.GROUP_MANAGEMENT))
        await late.come.wait()
        # It has heard of the new process, and takes that with it.
        await engagement.execute_update(EngagementWorkflow.settle, Tick(now=_at(BEGUN_ON)))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        asyncio.get_running_loop().call_later(0.5, late.go_on.set)
        await here.advance(id, _at(LIVE_ON))
        assert await here.micro_consulting(id) == ("micro", "key-account")
