"""Evaluating a bet on its readings: the trend that moves no money, the verdict that does."""

from temporalio import activity

from activities.agreement import agreement
from activities.measured import readings_of
from activities.postgres import Connection, Pool, once
from activities.timeline import happened, write_events
from contracts.contract import Bet, SettlementWindow, TrendWindow, Window
from contracts.errors import NotFound
from contracts.events import Event, EventType
from lifecycle.bet import Verdict, assess, read_trends, reading_for
from lifecycle.orders import Answer, Assessed, AssessWindow, ReadTrend, TrendRead


class ValueBets:
    """Activities that evaluate value bets."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def read_trend(self, order: ReadTrend) -> TrendRead:
        """Read the trend of every indicator of a bet, once (BET-07)."""
        return await once(self.pool, order, lambda connection: _read_trend(connection, order))

    @activity.defn
    async def assess_window(self, order: AssessWindow) -> Assessed:
        """Decide a closed window, once; until every reading is there, name those that are missing."""
        return await once(self.pool, order, lambda connection: _assess(connection, order))


async def _read_trend(connection: Connection, order: ReadTrend) -> TrendRead:
    terms = await agreement(connection, order.engagement_id)
    bet = terms.contract.bet(order.bet)
    window = _window(bet, order.window)
    assert isinstance(window, TrendWindow)
    readings = await readings_of(connection, order.engagement_id)
    answer = TrendRead(
        trends=read_trends(bet, window, order.started_on, readings, terms.indicators)
    )
    await _write_verdict(connection, order, "trend", answer)
    trends = {indicator: trend.value for indicator, trend in answer.trends.items()}
    await happened(connection, order, terms, EventType.TREND_READ, window=window.id, trends=trends)
    return answer


async def _assess(connection: Connection, order: AssessWindow) -> Assessed:
    terms = await agreement(connection, order.engagement_id)
    bet = terms.contract.bet(order.bet)
    window = _window(bet, order.window)
    assert isinstance(window, SettlementWindow)
    readings = await readings_of(connection, order.engagement_id)
    found = {
        name: reading_for(window, order.started_on, terms.indicators[name], readings)
        for name in window.settles
    }
    measured = {name: reading for name, reading in found.items() if reading is not None}
    if len(measured) < len(found):
        return Assessed(missing=tuple(name for name in found if name not in measured))
    verdict = assess(terms.contract, bet, window, measured, terms.indicators)
    came_in = [reading.occurred_at for reading in measured.values()]
    decided_at = max(order.at, *came_in)
    answer = Assessed(verdict=verdict, decided_at=decided_at)
    await _write_verdict(connection, order, "settlement", answer)
    facts = {
        "window": window.id,
        "scores": {part.indicator: part.explanation.steps[2].exact for part in verdict.indicators},
        "released": str(verdict.released),
        "forfeited": str(verdict.forfeited),
    }
    settled = Event(
        type=EventType.OUTCOME_SETTLED, occurred_at=decided_at, actor=order.by, facts=facts
    )
    await write_events(connection, order, terms.book, [settled])
    return answer


async def verdict_of(connection: Connection, bet_workflow_id: str, window: str) -> Verdict:
    """The verdict that a window was settled with.

    Raises:
        NotFound: the window is not settled.
    """
    result = await connection.fetchval(
        "select result from verdict where key = $1", f"{bet_workflow_id}:{window}:verdict"
    )
    if result is None:
        raise NotFound(f"found no verdict for window {window} of {bet_workflow_id}")
    verdict = Assessed.model_validate(result).verdict
    assert verdict is not None
    return verdict


def _window(bet: Bet, window_id: str) -> Window:
    for window in bet.windows:
        if window.id == window_id:
            return window
    raise NotFound(f"found window {window_id!r}, expected one of bet {bet.id}")


async def _write_verdict(
    connection: Connection, order: ReadTrend | AssessWindow, kind: str, answer: Answer
) -> None:
    await connection.execute(
        """
        insert into verdict
            (key, engagement_id, bet, window_id, kind, started_on, last_reading, result,
             occurred_at)
        values ($1, $2, $3, $4, $5, $6,
                (select coalesce(max(id), 0) from reading where engagement_id = $2), $7, $8)
        """,
        order.key,
        order.engagement_id,
        order.bet,
        order.window,
        kind,
        order.started_on,
        answer.model_dump(mode="json"),
        order.at,
    )
