"""The desk where commands are handed in: to the processes, in business time, once each."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities import decisions  # noqa: F401  # for what requests do once they are decided
from activities.postgres import Pool, transaction
from activities.readings import add_reading
from contracts import errors
from contracts.commands import (
    AddReading,
    Command,
    Opened,
    OpenWish,
    Receipt,
    SetCalendar,
    Settled,
    Tick,
)
from contracts.contract import Contract
from contracts.difference import told_apart
from contracts.errors import (
    EngagementError,
    KeyReused,
    NotAuthorised,
    NotFound,
    TransitionError,
    Unavailable,
)
from contracts.setting import ClockKind, Setting
from lifecycle.orders import Order
from lifecycle.process import EngagementState
from lifecycle.value_position import ValuePosition
from tollkeeper.news import told, untold
from tollkeeper.settings import TASK_QUEUE
from tollkeeper.starting import start_missing
from workflows.engagement import EngagementWorkflow

T = TypeVar("T")
AnOrder = TypeVar("AnOrder", bound=Order[Any])

ANSWER = timedelta(seconds=60)
PASSING = {
    RPCStatusCode.ABORTED,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.RESOURCE_EXHAUSTED,
}
AGAIN_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 4)


@dataclass(frozen=True)
class Clock:
    """The clock of an engagement; `now` is the wall clock's time for a live one."""

    kind: ClockKind
    now: datetime
    next_due: datetime | None = None

    @property
    def stands_at(self) -> datetime | None:
        """The time that a test clock shows until somebody advances it; none of a live one."""
        return self.now if self.kind is ClockKind.TEST else None


class Desk:
    """Everything a person or a system may ask of engagements; refusals are our own errors."""

    def __init__(self, client: Client, pool: Pool, queue: str = TASK_QUEUE) -> None:
        self.client = client
        self.pool = pool
        self.queue = queue

    async def open(
        self, engagement_id: str, contract: Contract, clock: ClockKind, at: datetime, by: str
    ) -> Opened:
        """Open an engagement, or find it open under the same document and clock.

        Raises:
            KeyReused: the id, or the contract's version, stands for something else.
            NotAuthorised: the contract does not name that person.
        """
        names = [person.id for person in contract.people().everyone]
        if by not in names:
            raise NotAuthorised(
                f"found {by!r}, expected one of the contract's people: {', '.join(names)}"
            )
        wish = OpenWish(contract_digest=contract.digest(), clock=clock)
        state = _first_state(engagement_id, contract, clock, at, by)

        async def start() -> Opened:
            operation = WithStartWorkflowOperation(
                EngagementWorkflow.run,
                state,
                id=f"eng.{engagement_id}",
                task_queue=self.queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                static_summary=f"engagement under {contract.id}@v{contract.version}",
            )
            return await self.client.execute_update_with_start_workflow(
                EngagementWorkflow.open,
                wish,
                start_workflow_operation=operation,
                rpc_timeout=ANSWER,
            )

        try:
            opened = await _answer(start, f"eng.{engagement_id}")
        except WorkflowAlreadyStartedError:
            return await self._closed_one(engagement_id, wish)
        if clock is ClockKind.TEST:
            await self._settle([f"eng.{engagement_id}"], at)
        return opened

    async def ask(self, update: str, command: Command, engagement_id: str, *path: str) -> Receipt:
        """Hand a command to a process of an engagement: `ask("accept", ..., "E7", "milestone", "M1")`.

        On a test clock, everything the command causes has happened when this returns.

        Raises:
            NotFound: no such engagement, or that process does not run now.
            TransitionError: the command is dated after the engagement's clock.
            EngagementError: as the process refuses it.
        """
        clock = await self._clock_for(engagement_id, command.at)
        process = ".".join(("eng", engagement_id, *path))
        received = command.model_copy(update={"received_at": clock.now})
        try:
            receipt: Receipt = await self._update(process, update, received, Receipt)
        except NotFound:
            if (done := await self._done(process, command)) is None:
                raise
            receipt = done
        except KeyReused as reused:
            raise KeyReused(f"{reused}{await self._stands_for(process, command)}") from reused
        if clock.kind is ClockKind.TEST:
            await self._settle([process], clock.now)
        return receipt

    async def micro_consulting(self, engagement_id: str) -> tuple[str, ...]:
        """The path of the micro-consulting that runs now.

        Raises:
            NotFound: none runs.
        """
        async with transaction(self.pool) as connection:
            process = await connection.fetchval(
                """
                select workflow_id from process
                where engagement_id = $1 and kind = 'micro_consulting' and not finished
                """,
                engagement_id,
            )
        if process is None:
            raise NotFound(f"engagement {engagement_id} has no micro-consulting that runs now")
        return tuple(process.split(".")[2:])

    async def add_reading(self, engagement_id: str, reading: AddReading) -> None:
        """Store a reading, and wake the bets that wait for one.

        Raises:
            NotFound: no such engagement.
            NotAuthorised: only the client's IT lead signs for a source (sr-source).
            TermsError: the contract does not bet on that indicator, or the day is still to come.
            TransitionError: it is dated after the engagement's clock.
        """
        clock = await self._clock_for(engagement_id, reading.at)
        await add_reading(self.pool, engagement_id, reading)
        await self.tell(engagement_id, clock)

    async def book(self, carry_out: Callable[[AnOrder], Awaitable[T]], order: AnOrder) -> T:
        """Carry out an order that somebody gave about the money of an engagement.

        Args:
            carry_out: the activity, which is one transaction.

        Raises:
            NotFound: no such engagement.
            TransitionError: it is dated after the engagement's clock.
            EngagementError: as the activity refuses it.
        """
        clock = await self._clock_for(order.engagement_id, order.at)
        answer = await carry_out(order)
        await self.tell(order.engagement_id, clock)
        return answer

    async def tell(self, engagement_id: str, clock: Clock | None = None) -> None:
        """Have everything that waits for news from the books look again, and start what is missing.

        On a test clock, what follows from it has happened when this returns.

        Raises:
            NotFound: no such engagement.
        """
        clock = clock or await self.clock(engagement_id)
        looking = await self._tell(engagement_id, clock.stands_at)
        if clock.stands_at:
            await self._settle(looking, clock.stands_at)

    async def catch_up(self, engagement_id: str) -> None:
        """Tell what its author did not, and wait for nothing; whoever advances the clock tells as well."""
        async with transaction(self.pool) as connection:
            alone = await connection.fetchval(
                "select pg_try_advisory_xact_lock(hashtextextended($1, 1))", engagement_id
            )
            if alone:
                clock = await self.clock(engagement_id)
                await self._tell(engagement_id, clock.stands_at)

    async def _tell(self, engagement_id: str, at: datetime | None) -> list[str]:
        """Signal whoever listens, if there is news, and start what is missing; who that is.

        Args:
            at: where a test clock stands.
        """
        news = await untold(self.pool, engagement_id)
        listening = await self._processes(engagement_id, "listening") if news else []
        for process in listening:
            with suppress(NotFound):
                await self._signal(process, "money_moved", at)
        await told(self.pool, engagement_id, news)
        started = await start_missing(self.client, self.pool, self.queue, engagement_id)
        return [*listening, *started]

    async def set_calendar(self, engagement_id: str, command: SetCalendar) -> list[Receipt]:
        """Give every process of an engagement working days decreed after the signature.

        Raises:
            NotFound: no such engagement.
        """
        await self._clock_for(engagement_id, command.at)
        path_of = len(f"eng.{engagement_id}")
        return [
            await self.ask(
                "set_calendar", command, engagement_id, *process[path_of:].split(".")[1:]
            )
            for process in await self._processes(engagement_id, "true")
        ]

    async def nudge(self, engagement_id: str) -> None:
        """Have every process of an engagement try again what was refused.

        On a test clock, it has been tried when this returns.

        Raises:
            NotFound: no such engagement.
        """
        clock = await self.clock(engagement_id)
        processes = await self._processes(engagement_id, "true")
        for process in processes:
            await self._signal(process, "nudge")
        if clock.kind is ClockKind.TEST:
            await self._settle(processes, clock.now)

    async def clock(self, engagement_id: str) -> Clock:
        """Where the clock of an engagement stands, and what is due next.

        Raises:
            NotFound: no such engagement.
        """
        async with transaction(self.pool) as connection:
            row = await connection.fetchrow(
                """
                select clock, clock_now,
                       (select min(due_at) from process p
                        where p.engagement_id = e.engagement_id and not finished) as next_due
                from engagement e where engagement_id = $1
                """,
                engagement_id,
            )
        if row is None:
            raise NotFound(f"found engagement {engagement_id!r}, expected one that was opened")
        return Clock(
            kind=ClockKind(row["clock"]),
            now=row["clock_now"] or datetime.now(UTC),
            next_due=row["next_due"],
        )

    async def advance(self, engagement_id: str, to: datetime | None = None) -> Clock:
        """Advance a test clock, stopping at each due instant in order; without `to`, to the next one.

        Returns when everything due has happened.

        Raises:
            TransitionError: a live clock, or time would run backwards.
        """
        async with self._alone(engagement_id):
            clock = await self.clock(engagement_id)
            if clock.kind is ClockKind.LIVE:
                raise TransitionError(
                    f"engagement {engagement_id} has a live clock; it advances alone"
                )
            goal = to or clock.next_due or clock.now
            if goal < clock.now:
                raise TransitionError(
                    f"the clock of {engagement_id} stands at {clock.now.isoformat()}, "
                    f"found {goal.isoformat()}, expected a later time"
                )
            running = await self._processes(engagement_id, "true")
            begun = await self._begun(engagement_id)
            await self._settle([*running, *begun], clock.now)
            while (due := (await self.clock(engagement_id)).next_due) is not None and due <= goal:
                await self._set_clock(engagement_id, due)
                await self._settle(await self._processes(engagement_id, "due_at <= $2", due), due)
            await self._set_clock(engagement_id, goal)
        return await self.clock(engagement_id)

    async def _begun(self, engagement_id: str) -> list[str]:
        """The processes that the engagement has begun; after a crash one may not be on record yet."""
        engagement = f"eng.{engagement_id}"
        try:
            described = await _answer(
                self.client.get_workflow_handle(engagement).describe, engagement
            )
        except NotFound:
            return []
        return [child.workflow_id for child in described.raw_description.pending_children]

    async def _settle(self, processes: Iterable[str], now: datetime) -> None:
        """Let processes do what is due, then those they wrote to, until nothing is left to do."""
        waiting = set(processes)
        while waiting:
            process = min(waiting)
            engagement_id = process.split(".")[1]
            waiting.remove(process)
            waiting |= await self._settle_one(process, now)
            if not waiting:
                # What they did is news to others, and what it opened runs clocks of its own.
                waiting |= set(await self._tell(engagement_id, now))

    async def _settle_one(self, process: str, now: datetime) -> set[str]:
        engagement = ".".join(process.split(".")[:2])
        try:
            settled: Settled = await self._update(process, "settle", Tick(now=now), Settled)
        except NotFound:
            # It ended meanwhile; the last it did was to tell the engagement.
            return {engagement} - {process}
        return set(settled.touched)

    async def _update(self, process: str, update: str, argument: BaseModel, answer: type[T]) -> T:
        handle = self.client.get_workflow_handle(process)
        return await _answer(
            lambda: handle.execute_update(update, argument, result_type=answer, rpc_timeout=ANSWER),
            process,
        )

    async def _done(self, process: str, command: Command) -> Receipt | None:
        """The receipt of a command to a process that has ended, from what is on record."""
        async with transaction(self.pool) as connection:
            rows = await connection.fetch(
                """
                select type from event
                where workflow_id = $1 and command_id = $2 and actor = $3 order by id
                """,
                process,
                command.command_id,
                command.by,
            )
        events = tuple(row["type"] for row in rows)
        return Receipt(command_id=command.command_id, events=events) if events else None

    async def _stands_for(self, process: str, command: Command) -> str:
        """What a command's id stands for already: who gave it, when, and what was other about it."""
        async with transaction(self.pool) as connection:
            row = await connection.fetchrow(
                """
                select actor, occurred_at at time zone 'UTC' as at, facts from event
                where workflow_id = $1 and command_id = $2 order by id limit 1
                """,
                process,
                command.command_id,
            )
        if row is None:
            return ""
        there, given = {"by": row["actor"]} | row["facts"], command.model_dump(mode="json")
        both = there.keys() & given.keys()
        apart = told_apart(*({name: one[name] for name in sorted(both)} for one in (there, given)))
        who = f"given by {row['actor']} at {row['at']:%Y-%m-%d %H:%M} UTC"
        return f" ({who}: {apart})" if apart else f" ({who})"

    async def _clock_for(self, engagement_id: str, at: datetime) -> Clock:
        clock = await self.clock(engagement_id)
        if at > clock.now:
            raise TransitionError(
                f"the clock of {engagement_id} stands at {clock.now.isoformat()}, found a command "
                f"of {at.isoformat()}, expected that time or earlier"
            )
        return clock

    async def _signal(self, process: str, signal: str, *facts: object) -> None:
        handle = self.client.get_workflow_handle(process)
        await _answer(lambda: handle.signal(signal, args=facts), process)

    async def _set_clock(self, engagement_id: str, now: datetime) -> None:
        async with transaction(self.pool) as connection:
            await connection.execute(
                """
                update engagement set clock_now = $2
                where engagement_id = $1 and clock_now < $2 and closed_at is null
                """,
                engagement_id,
                now,
            )

    async def _processes(self, engagement_id: str, which: str, *values: object) -> list[str]:
        async with transaction(self.pool) as connection:
            rows = await connection.fetch(
                f"select workflow_id from process where engagement_id = $1 and not finished "
                f"and {which} order by workflow_id",
                engagement_id,
                *values,
            )
        return [row["workflow_id"] for row in rows]

    async def _closed_one(self, engagement_id: str, wish: OpenWish) -> Opened:
        async with transaction(self.pool) as connection:
            row = await connection.fetchrow(
                """
                select e.*, c.digest from engagement e join contract_version c
                  on c.contract_id = e.contract_id and c.version = e.contract_version
                where engagement_id = $1
                """,
                engagement_id,
            )
        if row is None:
            raise KeyReused(
                f"engagement {engagement_id} was open before and is not on record; expected a new id"
            )
        contract = f"{row['contract_id']}@v{row['contract_version']}"
        if (row["digest"], row["clock"]) != (wish.contract_digest, wish.clock):
            same = row["digest"] == wish.contract_digest
            raise KeyReused(
                f"engagement {engagement_id} was open under contract {contract} on a {row['clock']} "
                f"clock; found {'the same text' if same else 'another text'} and a "
                f"{wish.clock.value} clock, expected a new id"
            )
        return Opened(
            engagement_id=engagement_id,
            contract=contract,
            clock=wish.clock,
            opened_at=row["opened_at"],
        )

    @asynccontextmanager
    async def _alone(self, engagement_id: str) -> AsyncIterator[None]:
        """One at a time advances the clock of an engagement."""
        async with transaction(self.pool) as connection:
            await connection.execute(
                "select pg_advisory_xact_lock(hashtextextended($1, 1))", engagement_id
            )
            yield


def _first_state(
    engagement_id: str, contract: Contract, clock: ClockKind, at: datetime, by: str
) -> EngagementState:
    known = contract.indicators()
    indicators = {terms.indicator for bet in contract.bets for terms in bet.indicators}
    indicators |= {terms.indicator for terms in contract.miss_holds}
    heaviest = [
        terms
        for bet in contract.bets
        for terms in bet.indicators
        if terms.weight == max(other.weight for other in bet.indicators)
    ]
    return EngagementState(
        setting=Setting(
            engagement_id=engagement_id,
            clock=clock,
            calendar=contract.working_calendar(),
            people=contract.people(),
            version=contract.version,
        ),
        now=at,
        contract=contract,
        indicators=tuple(known[name] for name in sorted(indicators)),
        opened_by=by,
        opened_at=at,
        position=ValuePosition(
            margin_bet=any(known[terms.indicator].value_type == "margin_gain" for terms in heaviest)
        ),
    )


async def _answer(call: Callable[[], Awaitable[T]], process: str) -> T:
    """Make a call to Temporal; what it refuses comes back as the error it was raised as.

    A process that just renews itself, or whose worker is replaced, is asked again: a command is
    done once, however often it is handed in.
    """
    patience = iter(AGAIN_SECONDS)
    while True:
        try:
            return await call()
        except WorkflowUpdateFailedError as failure:
            raise _refusal(failure.cause) from failure
        except WorkflowUpdateRPCTimeoutOrCancelledError as late:
            raise Unavailable("no answer yet; ask again with the same command id") from late
        except RPCError as failure:
            if failure.status is RPCStatusCode.NOT_FOUND:
                raise NotFound(f"{process} does not run now") from failure
            if failure.status not in PASSING or (pause := next(patience, None)) is None:
                raise Unavailable(f"Temporal does not answer: {failure.message}") from failure
            await asyncio.sleep(pause)


def _refusal(cause: BaseException | None) -> EngagementError:
    """Our error again, by its name, which is its code everywhere."""
    if isinstance(cause, ApplicationError):
        known = getattr(errors, cause.type or "", None)
        if isinstance(known, type) and issubclass(known, EngagementError):
            return known(cause.message)
    return TransitionError(f"refused: {cause}")
