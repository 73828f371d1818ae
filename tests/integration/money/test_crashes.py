"""A process killed before any of its calls to the database: carried out again, the books are the same."""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from activities.approvals import Approvals
from activities.billing.advances import Advances
from activities.billing.invoices import Billing
from activities.change_orders import ChangeOrders
from activities.closing import Books
from activities.export.port import Endpoint
from activities.postgres import Pool
from activities.receivables.receipts import apply_credit, take_in
from contracts.contract import Contract
from contracts.setting import Book, ClockKind
from lifecycle.orders import EvaluateMilestone
from lifecycle.orders.adjustments import IssueAdvance
from lifecycle.orders.approvals import SignRequest
from lifecycle.orders.books import ClosePeriod
from lifecycle.orders.change_orders import ApplyChange, ProposeChange
from lifecycle.orders.receivables import ApplyCredit, SendRefund
from tests.integration.conftest import MEASURED, WINDOW_ENDS, Databases, Story
from tests.integration.money import crashing
from tests.integration.money.crashing import Act, activity, function
from tests.integration.money.histories.agreements import (
    ADVANCE,
    AGREEMENTS,
    RETENTION,
    amended,
    with_clauses,
)
from tests.integration.money.house import House, came, invoiced
from tests.provider import paying
from tollkeeper.verify import verify

SECONDS = 60
AT_LEAST = 8
"""Calls: to begin, to lock, to look for the key, to do something, to put the key on record, to commit."""

VOLATILE = {
    "id", "place", "group_id", "reverses", "registered_at", "booked_at", "created_at",
    "received_at", "sealed_at", "previous", "hash",
}  # fmt: skip
"""Counters, the time of the machine, and hashes over them: no two runs have these alike."""

Arrange = Callable[[Story, Path], Awaitable[Act]]

PROCESSES = multiprocessing.get_context("forkserver")
# Loaded once, so that each process starts in a moment; it looks at what the main one is, too.
PROCESSES.set_forkserver_preload(["pytest", crashing.__name__])


# What is carried out, on what.


async def a_milestone_with_retention_and_advance(story: Story, _: Path) -> Act:
    await story.opened()
    await story.consulted()
    await story.proceeded()
    advance = story.order(IssueAdvance, "advance", "2024-10-15").model_copy(
        update={"by": "sun.hao"}
    )
    await Advances(story.pool).issue_advance(advance)
    await story.delivered("M1")
    bill = story.milestone("M2")
    evaluate = EvaluateMilestone(**dict(bill) | {"key": bill.key.replace("bill", "evaluate")})
    await story.billing.evaluate_milestone(evaluate)
    return _activity(Billing, "bill_milestone", bill)


async def a_release_by_the_last_signature(story: Story, _: Path) -> Act:
    return await _last_signature(story, "release")


async def a_forfeiture_by_the_last_signature(story: Story, _: Path) -> Act:
    return await _last_signature(story, "forfeit")


async def _last_signature(story: Story, decision: str) -> Act:
    await story.live()
    for indicator, value in MEASURED["W6"].items():
        await story.measured(indicator, value, WINDOW_ENDS["W6"][:8] + "10")
    await story.assessed("W6")
    await (story.released("W6") if decision == "release" else story.forfeited("W6"))
    [request] = await story.pool.fetch("select request_id, digest from approval_request")
    first, last = (
        story.order(
            SignRequest, f"sign:{person}", "2025-07-16", request=request[0], digest=request[1]
        ).model_copy(update={"by": person})
        for person in ("gao.feng", "li.wei")
    )
    await Approvals(story.pool).sign_request(first)
    return _activity(Approvals, "sign_request", last)


async def receipts_from_the_bank(story: Story, _: Path) -> Act:
    await invoiced(story)
    receipts = (
        came("A1", 106_000),
        came("A2", 500_000, "QM-INV-2024-000002 and QM-INV-2024-000003"),
    )
    return partial(function, carry_out=take_in, args=(receipts, "clerk", _day("2025-02-01")))


async def credit_applied_by_hand(story: Story, _: Path) -> Act:
    house = await invoiced(story)
    await house.took(came("A1", 50_000))
    order = ApplyCredit(
        **house.about("A1:apply"), source="QM/CN62/A1", invoice="QM-INV-2024-000002"
    )
    return partial(function, carry_out=apply_credit, args=(order,))


async def a_change_order_on_its_day(story: Story, _: Path) -> Act:
    await story.opened()
    await story.consulted()
    await story.proceeded()
    await story.delivered("M1")
    new = amended(story.contract, "M1", Fraction(1, 10), date(2024, 12, 20))
    house = House(story.pool)
    change = f"eng.{story.id}.change.CO1"
    propose = ProposeChange(
        **house.about(f"eng.{story.id}.request.CO1", "chen.yu") | {"at": _day("2024-12-05")},
        change="CO1",
        contract=new,
        retroactive=True,
        reason="the scope grew",
    )
    asked = await ChangeOrders(story.pool).propose_change(propose)
    for person in ("gao.feng", "sun.hao"):
        about = house.about(f"{asked.request}:sign:{person}", person) | {"at": _day("2024-12-06")}
        sign = SignRequest(**about, request=asked.request, digest=asked.digest)
        await Approvals(story.pool).sign_request(sign)
    about = house.about(f"{change}:apply", change) | {"at": _day("2024-12-20")}
    return _activity(ChangeOrders, "apply_change", ApplyChange(**about, change=change))


async def a_period_closed(story: Story, _: Path) -> Act:
    await invoiced(story)
    order = ClosePeriod(
        key="books.live.QM.2024-12:close",
        at=_day("2025-01-02"),
        by="sun.hao",
        book=Book.LIVE,
        entity="QM",
        month="2024-12",
    )
    return _activity(Books, "close_period", order)


async def a_journal_sealed(story: Story, data: Path) -> Act:
    await invoiced(story)
    return partial(crashing.sealed, data=data)


KEY_ACCOUNT = with_clauses("key-account.yaml", retention=RETENTION, advance=ADVANCE)

SCENES: dict[Arrange, Contract] = {
    a_milestone_with_retention_and_advance: KEY_ACCOUNT,
    a_release_by_the_last_signature: AGREEMENTS["withheld"],
    a_forfeiture_by_the_last_signature: AGREEMENTS["withheld"],
    receipts_from_the_bank: AGREEMENTS["blocked"],
    credit_applied_by_hand: AGREEMENTS["blocked"],
    a_change_order_on_its_day: KEY_ACCOUNT,
    a_period_closed: AGREEMENTS["blocked"],
    a_journal_sealed: AGREEMENTS["blocked"],
}


@pytest.mark.parametrize("arrange", SCENES, ids=lambda arrange: arrange.__name__)
async def test_killed_before_any_call_and_carried_out_again_it_is_done_once(
    databases: Databases, arrange: Arrange, tmp_path: Path
) -> None:
    async with Stage.set(databases, arrange, SCENES[arrange], tmp_path) as stage:
        assert await stage.crashes() >= AT_LEAST


async def test_a_refund_killed_before_any_call_is_paid_once(
    databases: Databases, tmp_path: Path
) -> None:
    with paying() as provider:

        async def a_refund(story: Story, _: Path) -> Act:
            house = await invoiced(story)
            await house.took(came("A1", 50_000))
            await house.signed(
                await house.refund("RF1", "QM/CN62/A1", 20_000), "gao.feng", "li.wei"
            )
            refund = f"eng.{story.id}.refund.RF1"
            send = SendRefund(**house.about(f"{refund}:send", refund), refund=refund)
            endpoint = Endpoint(provider.url, (provider.secret,))
            return partial(crashing.refund, provider=endpoint, send=send)

        async with Stage.set(databases, a_refund, AGREEMENTS["blocked"], tmp_path) as stage:
            assert await stage.crashes() >= 2 * AT_LEAST
        assert [paid["amount"] for paid in provider.paid.values()] == ["20000.00"]


class Stage:
    """A scene that can be set again and again, and what the books say when nobody was killed."""

    def __init__(self, databases: Databases, scene: str, act: Act) -> None:
        self.databases = databases
        self.scene = scene
        self.act = act

    @classmethod
    @asynccontextmanager
    async def set(
        cls, databases: Databases, arrange: Arrange, contract: Contract, data: Path
    ) -> AsyncIterator["Stage"]:
        async with databases.copy() as pool:
            act = await arrange(Story(pool, contract, "E1", ClockKind.LIVE), data)
            scene = await pool.fetchval("select current_database()")
            await pool.close()
            yield cls(databases, scene, act)

    async def crashes(self) -> int:
        """Kill at every call in turn; from whatever that leaves, it is carried out again.

        A scene that a crash left as it was serves for the next one.

        Returns:
            How many calls there are.
        """
        async with self.databases.copy(self.scene) as pool:
            begun = await on_record(pool)
            await self.act(pool)
            expected = await on_record(pool)
        assert begun != expected
        calls, survived = 0, False
        mended = []
        while not survived:
            async with self.databases.copy(self.scene) as pool:
                left = begun
                while left == begun and not survived:
                    survived = await self.survives(pool, calls + 1)
                    calls += not survived
                    left = await on_record(pool)
                if left not in mended:
                    mended.append(left)
                    await self.act(pool)
                    assert await on_record(pool) == expected
                    checks = (await verify(pool)).checks
                    assert [check for check in checks if not check.ok] == []
        return calls

    async def survives(self, pool: Pool, dies_before: int) -> bool:
        name = await pool.fetchval("select current_database()")
        dsn = urlsplit(self.databases.dsn)._replace(path=f"/{name}").geturl()
        process = PROCESSES.Process(
            target=crashing.work, args=(dsn, self.act, dies_before), daemon=True
        )
        await asyncio.to_thread(process.start)
        try:
            await asyncio.to_thread(process.join, SECONDS)
            assert process.exitcode in {0, -signal.SIGKILL}, process.exitcode
            return process.exitcode == 0
        finally:
            process.kill()


async def on_record(pool: Pool) -> dict[str, list[str]]:
    """Every row of every table, without what no two runs have alike; postings by their group."""
    tables = "select tablename from pg_tables where schemaname = 'public' order by 1"
    return {row[0]: await _rows(pool, row[0]) for row in await pool.fetch(tables)}


async def _rows(pool: "asyncpg.Pool[asyncpg.Record]", table: str) -> list[str]:
    grouped = table in {"posting", "journal_seal"}
    group = "(select key from journal_group g where g.id = t.group_id)" if grouped else "''"
    rows = await pool.fetch(
        f"select {group} || (to_jsonb(t) - $1::text[])::text as row from {table} t order by 1",
        sorted(VOLATILE),
    )
    return [row["row"] for row in rows]


def _activity(of: type[Any], name: str, order: Any) -> Act:
    return partial(activity, of=of, name=name, order=order)


def _day(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T10:00:00+08:00")
