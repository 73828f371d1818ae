"""Holds and verdicts: buckets, ledger, the verdict recomputed from its readings."""

from collections.abc import Iterable, Iterator
from typing import Any

from contracts.commercial import HoldEffect, HoldKind
from contracts.contract import SettlementWindow, TrendWindow
from contracts.money import Money
from lifecycle.bet import Reading, Verdict, assess, read_trends, reading_for
from lifecycle.hold import HoldState
from lifecycle.orders import Assessed, TrendRead
from lifecycle.tax import Taxed, net_part
from tollkeeper.verify.core import (
    amount_of,
    contract_from,
    differs,
    digest_of,
    indicators_from,
    invariant,
    zero,
)
from tollkeeper.views.base import Row


@invariant(
    "holds-within-placed",
    "c.5-5",
    "A hold is placed, no more is decided than was placed, no more is asked for than is held",
    """
    select b.hold_id as name, b.currency, b.kind, b.state, b.held_minor, b.reserved_minor, (
        select count(*) from hold_movement m where m.hold_id = b.hold_id and movement = 'placed'
    ) as placements
    from hold_balance b order by b.hold_id
    """,
)
def _holds_within_placed(row: Row) -> Iterator[str]:
    # Retention grows with each invoice.
    if row["placements"] < 1 or (row["placements"] > 1 and row["kind"] != HoldKind.RETENTION):
        yield f"found {row['placements']} placements, expected one"
    held, reserved = amount_of(row, "held"), amount_of(row, "reserved")
    if held.minor < 0:
        yield f"found {held} held, expected 0 or more"
    if reserved.minor > held.minor:
        yield f"found {reserved} reserved, expected at most the {held} held"
    settled = row["state"] == HoldState.SETTLED
    yield from differs("settled:", settled, held.minor == 0)


IN_LEDGER = {
    HoldEffect.BLOCK_INVOICING: "stake",
    HoldEffect.WITHHOLD_PAYMENT: "withheld",
    HoldEffect.RESERVE_REFUND: "refundable",
}
"""Where what a hold holds stands: M40 net, 1120 (1110 for retention) gross, 2200 net."""


@invariant(
    "holds-in-ledger",
    "c.5-5",
    "The ledger holds what the hold holds: net while not invoiced or refundable, gross where withheld",
    """
    select b.hold_id as name, b.*, t.tax_minor, coalesce(p.stake_minor, 0) as stake_minor,
           coalesce(p.withheld_minor, 0) as withheld_minor,
           coalesce(p.refundable_minor, 0) as refundable_minor
    from hold_balance b
    cross join lateral (
        select coalesce(sum(case movement when 'placed' then tax_minor else -tax_minor end), 0) as tax_minor
        from hold_movement m where m.hold_id = b.hold_id
    ) t
    left join (
        select hold, sum(minor) filter (where account = 'M40') as stake_minor,
               sum(minor) filter (where account in ('1110', '1120')) as withheld_minor,
               -sum(minor) filter (where account = '2200') as refundable_minor
        from posting, lateral (
            select case side when 'D' then amount_minor else -amount_minor end as minor
        ) signed
        group by hold
    ) p on p.hold = b.hold_id
    order by b.hold_id
    """,
)
def _holds_in_ledger(row: Row) -> Iterator[str]:
    here = IN_LEDGER[HoldEffect(row["effect"])]
    gross = amount_of(row, "held") + amount_of(row, "tax")
    for where in IN_LEDGER.values():
        yield from differs(where, amount_of(row, where), gross if where == here else zero(row))


@invariant(
    "holds-tax-by-parts",
    "c.5-8",
    "The tax that leaves a withheld part is that of the parts so far, and is all of it in the end",
    """
    select b.hold_id as name, b.*, (
        select jsonb_agg(to_jsonb(m) order by m.id) from hold_movement m where m.hold_id = b.hold_id
    ) as movements
    from hold_balance b order by b.hold_id
    """,
)
def _tax_by_parts(row: Row) -> Iterator[str]:
    placed = decided = Taxed(zero(row), zero(row))
    for stored in row["movements"] or ():
        net, inside = (
            Money(stored[f"{name}_minor"], row["currency"]) for name in ("amount", "tax")
        )
        if stored["movement"] == "placed":
            placed = Taxed(placed.net + net, placed.tax + inside)
            continue
        due = net_part(placed, decided, net)
        yield from differs(f"tax of {stored['key']}", inside, due.tax)
        decided = Taxed(decided.net + net, decided.tax + inside)


@invariant(
    "decisions-on-record",
    "BET-02",
    "What left a hold has a decision on record, of the amount that was approved or that the verdict gives",
    """
    select left_hold.key as name, left_hold.*, h.currency, q.amount_minor as approved_minor,
           q.state, q.decided_by as approved_by, v.result->'verdict'->>left_hold.decision as given,
           -- What people, silence or time decide has the name of the hold.
           not starts_with(left_hold.key, left_hold.hold_id || ':') as by_verdict
    from (
        select key, hold_id, m.movement, m.amount_minor as moved_minor,
               d.decision, d.amount_minor as decided_minor, d.decided_by, d.request_id
        from (select * from hold_movement where movement <> 'placed') m
        full join decision_record d using (key, hold_id)
    ) left_hold
    join hold h using (hold_id)
    left join approval_request q on q.request_id = left_hold.request_id
    left join verdict v on v.key = regexp_replace(left_hold.key, ':(release|forfeit)$', ':verdict')
    order by left_hold.key
    """,
)
def _decisions_on_record(row: Row) -> Iterator[str]:
    if row["movement"] is None or row["decision"] is None:
        yield (
            f"found the movement {row['movement']} and the decision {row['decision']}, "
            "expected both alike"
        )
        return
    if row["state"] is None:
        yield "found no request, expected the one that was approved"
        return
    yield from differs("the decision", row["decision"], row["movement"])
    yield from differs("the request", row["state"], "approved")
    yield from differs("decided by", row["decided_by"], row["approved_by"])
    yield from differs("moved", amount_of(row, "moved"), amount_of(row, "approved"))
    yield from differs("decided", amount_of(row, "decided"), amount_of(row, "approved"))
    if not row["by_verdict"]:
        return
    if row["given"] is None:
        yield "found no verdict, expected the one that decided"
        return
    given = row["given"].removesuffix(f" {row['currency']}")
    yield from differs("moved", str(amount_of(row, "moved")), given)


@invariant(
    "verdicts-recompute",
    "INV-12",
    "A verdict comes out again from the contract and the readings that were known",
    """
    select v.key as name, v.kind, v.bet, v.window_id, v.started_on, v.result,
           c.document::text as contract, c.indicators::text as indicators, coalesce((
               select jsonb_agg(
                   to_jsonb(r) || jsonb_build_object('value', r.value::text) order by r.id
               )
               from reading r where r.engagement_id = v.engagement_id and r.id <= v.last_reading
           ), '[]') as readings
    from verdict v
    join engagement e using (engagement_id)
    -- What a verdict is explained with says under which version it was given.
    join contract_version c on c.contract_id = e.contract_id and c.version = coalesce(
        split_part(v.result#>>'{verdict,indicators,0,explanation,contract}', '@v', 2)::integer,
        e.contract_version
    )
    order by v.key
    """,
)
def _verdicts_recompute(row: Row) -> Iterator[str]:
    contract = contract_from(row["contract"])
    bet = contract.bet(row["bet"])
    window = {window.id: window for window in bet.windows}[row["window_id"]]
    indicators = indicators_from(row["indicators"])
    readings = _readings(row["readings"])
    match window:
        case TrendWindow():
            read = read_trends(bet, window, row["started_on"], readings, indicators)
            found = TrendRead.model_validate(row["result"]).trends
            yield from differs("trends", _words(found), _words(read))
        case SettlementWindow():
            measured = {}
            for name in window.settles:
                reading = reading_for(window, row["started_on"], indicators[name], readings)
                if reading is None:
                    yield f"found no reading of {name} that counts, expected one"
                    return
                measured[name] = reading
            yield from _verdict_differs(
                Assessed.model_validate(row["result"]).verdict,
                assess(contract, bet, window, measured, indicators),
            )


def _verdict_differs(found: Verdict | None, expected: Verdict) -> Iterator[str]:
    yield from differs("the verdict", _parts(found), _parts(expected))
    if _parts(found) == _parts(expected):
        yield from differs("an explanation with digest", digest_of(found), digest_of(expected))


def _parts(verdict: Verdict | None) -> str:
    parts = [
        f"{part.indicator} released {part.released} forfeited {part.forfeited}"
        for part in (verdict.indicators if verdict else ())
    ]
    return ", ".join(parts) or "nothing decided"


def _readings(stored: Iterable[dict[str, Any]]) -> list[Reading]:
    """In the order they came; a later one of the same day corrects the earlier."""
    readings = map(Reading.model_validate, stored)
    by_day = {(reading.indicator, reading.measured_on): reading for reading in readings}
    return list(by_day.values())


def _words(trends: dict[str, Any]) -> str:
    return ", ".join(f"{indicator} {trend}" for indicator, trend in sorted(trends.items()))
