"""One embedded PostgreSQL for all tests, a new database for each, and engagements to play in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest

from activities.billing.invoices import Billing
from activities.engagements import Engagements
from activities.holdbacks import Holdbacks
from activities.postgres import Pool, connect
from activities.readings import add_reading
from activities.value_bets import ValueBets
from contracts.commands import AddReading
from contracts.contract import Contract
from contracts.document import read_contract
from contracts.events import Event, EventType
from contracts.indicators import catalogue
from contracts.setting import ClockKind
from lifecycle.milestone import Acceptance
from lifecycle.orders import (
    Assessed,
    AssessWindow,
    Billed,
    BillMicroConsulting,
    BillMilestone,
    CloseAccount,
    Closed,
    Decided,
    EvaluateMilestone,
    ForfeitHoldback,
    OpenEngagement,
    Order,
    Placed,
    PlaceHoldback,
    ReadTrend,
    Record,
    ReleaseHoldback,
    TrendRead,
    Wait,
)
from tollkeeper.database import migrate
from tollkeeper.embedded import Embedded

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = 8
LIVE_ON = date(2025, 1, 15)
WINDOW_ENDS = {"W3": "2025-04-15", "W6": "2025-07-15", "W12": "2026-01-15"}
MEASURED = {
    "W6": {"win-rate-count": "0.29", "ka-dso-days": "87.917"},
    "W12": {"ka-average-output": "11466675"},
}
"""Above target; a third of the way; a third of the way. The amounts are awkward on purpose."""

AnOrder = TypeVar("AnOrder", bound=Order[Any])


class Databases:
    """Copies of a migrated database, each with a pool, dropped when done with."""

    def __init__(self, dsn: str, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.dsn = dsn
        self.admin = admin
        self.numbers = count(1)

    @asynccontextmanager
    async def copy(self, of: str = "tollkeeper") -> AsyncIterator[Pool]:
        name = f"copy_{next(self.numbers)}"
        await self.admin.execute(f"create database {name} template {of}")
        pool = await connect(urlsplit(self.dsn)._replace(path=f"/{name}").geturl(), SIZE)
        try:
            yield pool
        finally:
            await pool.close()
            await self.admin.execute(f"drop database {name} with (force)")


class Story:
    """An engagement carried by its activities alone, with the keys that its processes give."""

    def __init__(self, pool: Pool, contract: Contract, id: str, clock: ClockKind) -> None:
        self.contract = contract
        self.id = id
        self.clock = clock
        self.pool = pool
        self.engagements, self.billing = Engagements(pool), Billing(pool)
        self.holdbacks, self.bets = Holdbacks(pool), ValueBets(pool)
        self.records = count(1)

    # In the order of an engagement's life.

    async def opened(self) -> None:
        names = {terms.indicator for bet in self.contract.bets for terms in bet.indicators}
        order = self.order(
            OpenEngagement,
            "open",
            "2024-09-02",
            contract=self.contract,
            indicators=tuple(catalogue().indicators[name] for name in sorted(names)),
            clock=self.clock,
            phase="value_positioning",
        )
        await self.engagements.open_engagement(order)

    def micro_fee(self) -> BillMicroConsulting:
        terms = self.contract.micro_consulting
        return self.order(
            BillMicroConsulting, "fee", "2024-09-27", "micro", terms.product, evidence="S11 done"
        )

    async def consulted(self) -> Billed:
        return await self.billing.bill_micro_consulting(self.micro_fee())

    async def proceeded(self) -> None:
        await self.happened(EventType.PROCEEDED, "2024-10-10", "consulting")

    def milestone(self, id: str, day: str = "2024-12-02") -> BillMilestone:
        acceptance = Acceptance(
            by="wang.fang", at=_at(day), deemed=False, evidence={"proof": f"{id}.pdf"}
        )
        return self.order(
            BillMilestone, "bill", day, "milestone", id, milestone=id, acceptance=acceptance
        )

    async def delivered(self, id: str, day: str = "2024-12-02") -> Billed:
        bill = self.milestone(id, day)
        evaluate = EvaluateMilestone(**dict(bill) | {"key": bill.key.replace("bill", "evaluate")})
        await self.billing.evaluate_milestone(evaluate)
        return await self.billing.bill_milestone(bill)

    async def placed(self) -> Placed:
        order = self.bet_order(PlaceHoldback, "place", LIVE_ON.isoformat())
        return await self.holdbacks.place_holdback(order)

    async def live(self) -> Placed:
        """Everything up to the measuring start."""
        await self.opened()
        await self.consulted()
        await self.proceeded()
        for milestone in self.contract.milestones:
            day = LIVE_ON.isoformat() if milestone.go_live else "2024-12-02"
            await self.delivered(milestone.id, day)
        return await self.placed()

    async def measured(
        self, indicator: str, value: str, day: str, *, sample: int = 60, command: str = ""
    ) -> None:
        reading = AddReading(
            command_id=command or f"{indicator}-{day}",
            by="zhao.min",
            at=_at(day),
            indicator=indicator,
            measured_on=date.fromisoformat(day),
            value=Decimal(value),
            sample=sample,
            source="CRM",
            evidence=f"sha256:{indicator}",
        )
        await add_reading(self.pool, self.id, reading)

    async def trend_read(self, window: str = "W3") -> TrendRead:
        return await self.bets.read_trend(self.window_order(ReadTrend, window, "trend"))

    async def assessed(self, window: str) -> Assessed:
        return await self.bets.assess_window(self.window_order(AssessWindow, window, "verdict"))

    async def released(self, window: str) -> Decided:
        order = self.window_order(ReleaseHoldback, window, "release")
        return await self.holdbacks.release_holdback(order)

    async def forfeited(self, window: str) -> Decided:
        order = self.window_order(ForfeitHoldback, window, "forfeit")
        return await self.holdbacks.forfeit_holdback(order)

    async def settled(self, window: str) -> tuple[Decided, Decided]:
        """Measure a window a few days before its end, and decide it."""
        for indicator, value in MEASURED[window].items():
            await self.measured(indicator, value, WINDOW_ENDS[window][:8] + "10")
        await self.assessed(window)
        return await self.released(window), await self.forfeited(window)

    async def closed(self, *, shelved: bool = False) -> Closed:
        note = "shelved for good" if shelved else "the cycle is reviewed"
        order = self.order(CloseAccount, "close", "2026-02-02", shelved=shelved, note=note)
        return await self.engagements.close_account(order)

    async def played(self) -> Closed:
        """The whole story."""
        await self.live()
        await self.trend_read()
        await self.settled("W6")
        await self.settled("W12")
        return await self.closed()

    # How its orders look.

    def order(
        self, kind: type[AnOrder], what: str, day: str, /, *path: str, **fields: Any
    ) -> AnOrder:
        process = ".".join(("eng", self.id, *path))
        return kind(
            key=f"{process}:{what}",
            engagement_id=self.id,
            workflow_id=process,
            at=_at(day),
            by="clause:1",
            **fields,
        )

    def bet_order(self, kind: type[AnOrder], what: str, day: str, **fields: Any) -> AnOrder:
        (bet,) = self.contract.bets
        return self.order(kind, what, day, "bet", bet.id, bet=bet.id, **fields)

    def window_order(self, kind: type[AnOrder], window: str, what: str) -> AnOrder:
        fields: dict[str, Any] = {"window": window}
        if "started_on" in kind.model_fields:
            fields["started_on"] = LIVE_ON
        return self.bet_order(kind, f"{window}:{what}", WINDOW_ENDS[window], **fields)

    async def happened(self, type: EventType, day: str, phase: str) -> None:
        event = Event(type=type, occurred_at=_at(day), actor="li.wei")
        wait = Wait(for_whom="milestones", why="acceptance in consulting", since=_at(day))
        await self.recorded(day, "engagement", self.contract.id, wait, events=(event,), phase=phase)

    async def recorded(
        self, day: str, kind: str, subject: str, wait: Wait | None, *path: str, **fields: Any
    ) -> None:
        seq = next(self.records)
        defaults: dict[str, Any] = {"state": "open", "detail": {}, "events": (), "finished": False}
        order = self.order(
            Record,
            f"#{seq}",
            day,
            *path,
            seq=seq,
            kind=kind,
            subject=subject,
            wait=wait,
            **defaults | fields,
        )
        await self.engagements.record(order)


def _at(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T10:00:00+08:00")


def example(name: str) -> Contract:
    path = EXAMPLES / name
    return read_contract(path.read_text(encoding="utf-8"), str(path))


@pytest.fixture(scope="session")
async def databases(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Databases]:
    folder = tmp_path_factory.mktemp("server")
    async with Embedded(folder, temporal=False) as addresses:
        assert addresses.dsn is not None
        await migrate(addresses.dsn)
        admin = await asyncpg.connect(urlsplit(addresses.dsn)._replace(path="/postgres").geturl())
        yield Databases(addresses.dsn, admin)
        await admin.close()


@pytest.fixture
async def pool(databases: Databases) -> AsyncIterator[Pool]:
    async with databases.copy() as pool:
        yield pool


@pytest.fixture(scope="session")
def key_account() -> Contract:
    """The bet blocks invoicing."""
    return example("key-account.yaml")


@pytest.fixture(scope="session")
def withheld() -> Contract:
    """The bet is invoiced and its payment withheld."""
    return example("key-account-withheld.yaml")


@pytest.fixture
def story(pool: Pool, key_account: Contract) -> Any:
    """Makes an engagement: of the example contract, in the sandbox, if nothing else is said."""

    def make(
        id: str = "E1", contract: Contract = key_account, clock: ClockKind = ClockKind.TEST
    ) -> Story:
        return Story(pool, contract, id, clock)

    return make
