"""A value bet: the holdback placed, the windows read and settled, each part of the stake decided."""

from datetime import datetime
from typing import Any

from temporalio import workflow

from contracts.contract import SettlementWindow, TrendWindow, Window
from contracts.errors import EngagementError
from contracts.events import EventType
from lifecycle.bet import Verdict
from lifecycle.orders import (
    Assessed,
    AssessWindow,
    ForfeitHoldback,
    PlaceHoldback,
    ReadTrend,
    ReleaseHoldback,
    Wait,
)
from lifecycle.process import BetState
from workflows.process import Process


@workflow.defn(failure_exception_types=[EngagementError])
class ValueBetWorkflow(Process[BetState]):
    """holdback placed -> each window over -> trend read, or assessed -> released and forfeited."""

    kind = "value_bet"

    @workflow.init
    def __init__(self, state: BetState) -> None:
        super().__init__(state)

    @workflow.run
    async def run(self, state: BetState) -> None:
        await self.holdback_placed()

        for window in self.windows_to_come():
            await self.window_over(window)
            match window:
                case TrendWindow():
                    await self.trend_read(window)
                case SettlementWindow():
                    verdict, at = await self.assessed(window)
                    await self.released(window, verdict, at)
                    await self.forfeited(window, verdict, at)
            self.s.over += (window.id,)

        await self.report(self.s.now, bet=self.s.bet.id)
        await self.finish()

    # How each part is done.

    async def holdback_placed(self) -> None:
        """The trailing part of the fee waits from the measuring start on (BET-02)."""
        if self.s.placed:
            return
        order = self.about("place", self.s.live_at, f"clause:{self.s.clause}")
        await self.book(PlaceHoldback(**order, bet=self.s.bet.id))
        self.s.placed = True

    def windows_to_come(self) -> list[Window]:
        return [window for window in self.s.bet.windows if window.id not in self.s.over]

    async def window_over(self, window: Window) -> None:
        """Calendar months from the measuring start, to the end of the last day (BET-05, BET-06)."""
        ends_at = self._end(window)
        wait = Wait(
            for_whom="calendar",
            why=f"window {window.id} runs until {self.s.setting.calendar.local_date(ends_at)}",
            since=self.s.live_at,
            due_at=ends_at,
        )
        await self.wait_for(lambda: False, wait)

    async def trend_read(self, window: TrendWindow) -> None:
        """Both sides read the direction; no money moves (BET-07)."""
        await self.book(
            ReadTrend(
                **self.about(f"{window.id}:trend", self._end(window), f"clause:{window.clause}"),
                bet=self.s.bet.id,
                window=window.id,
                started_on=self.s.started_on,
            )
        )

    async def assessed(self, window: SettlementWindow) -> tuple[Verdict, datetime]:
        """Decide on the readings; what was not measured is waited for, and is never a miss."""
        while True:
            news = self.stirred()
            assessed = await self._assess(window)
            if assessed.verdict is not None and assessed.decided_at is not None:
                self.hear(assessed.decided_at)
                return assessed.verdict, assessed.decided_at
            ends_at = self._end(window)
            due_at = await self.working_days_after(ends_at, window.readings_due)
            overdue = self.now() >= due_at
            wait = Wait(
                for_whom="readings",
                why=f"window {window.id} has no reading of {', '.join(assessed.missing)}",
                since=ends_at,
                due_at=None if overdue else due_at,
                overdue=overdue,
            )
            if not await self.wait_for(news, wait):
                self.remind(EventType.READINGS_OVERDUE, wait, due_at)

    async def released(self, window: SettlementWindow, verdict: Verdict, at: datetime) -> None:
        """What the window won leaves the hold, on an invoice or as payable."""
        if verdict.released.minor:
            order = self.about(f"{window.id}:release", at, f"clause:{window.clause}")
            await self.decided(ReleaseHoldback(**order, bet=self.s.bet.id, window=window.id))

    async def forfeited(self, window: SettlementWindow, verdict: Verdict, at: datetime) -> None:
        """What the window lost leaves the hold for good, by a recorded decision."""
        if verdict.forfeited.minor:
            order = self.about(f"{window.id}:forfeit", at, f"clause:{window.clause}")
            await self.decided(ForfeitHoldback(**order, bet=self.s.bet.id, window=window.id))

    async def decided(self, order: ReleaseHoldback | ForfeitHoldback) -> None:
        """By an automatic policy at once, else when enough people have signed."""
        while True:
            news = self.stirred()
            decided = await self.book(order)
            if decided.waits_for is None:
                return
            wait = Wait(for_whom="approval", why=decided.waits_for, since=order.at)
            await self.wait_for(news, wait)

    async def _assess(self, window: SettlementWindow) -> Assessed:
        return await self.book(
            AssessWindow(
                **self.about(f"{window.id}:verdict", self._end(window), f"clause:{window.clause}"),
                bet=self.s.bet.id,
                window=window.id,
                started_on=self.s.started_on,
            )
        )

    def _end(self, window: Window) -> datetime:
        return self.s.setting.calendar.period_after(self.s.started_on, window.after)

    def subject(self) -> str:
        return self.s.bet.id

    def state(self) -> str:
        to_come = self.windows_to_come()
        return f"window {to_come[0].id}" if to_come else "settled"

    def detail(self) -> dict[str, Any]:
        return {"started_on": self.s.started_on.isoformat(), "over": list(self.s.over)}
