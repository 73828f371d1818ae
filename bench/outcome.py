"""Settlements of outcome contracts on one core, against their bare arithmetic; memory, and cost by lines."""

import gc
import resource
import sys
from collections.abc import Callable
from fractions import Fraction
from time import perf_counter
from typing import Any

from bench.common import compare
from contracts.money import round_half_away
from contracts.outcome.outcome import OutcomeContract
from contracts.outcome.readings import Readings
from lifecycle.settlement import Settler
from tollkeeper.cli.screen import out, table, told

PAIRS = 7
SECONDS = 0.5
"""How long each side of a pair runs."""
MILLION = 1_000_000
CARDS = (10, 20, 40, 80, 160, 320)


async def measure() -> bool:
    """Whether memory stayed flat; nothing is asserted about time."""
    bet, card = settles(bet_of_three()), settles(rate_card(40))
    assert (bet(), card()) == (bare_bet(), bare_card())
    told("measuring")
    pairs: dict[str, list[tuple[float, float]]] = {
        "bet, 3 indicators": [],
        "rate card, 40 lines": [],
    }
    for _ in range(PAIRS):
        pairs["bet, 3 indicators"].append((rate(bet), rate(bare_bet)))
        pairs["rate card, 40 lines"].append((rate(card), rate(bare_card)))
    compare("Settlements, one core", "settlements", pairs)
    _by_lines()
    return _memory(bet)


def document(**outcome: Any) -> OutcomeContract:
    """A contract of one year with these terms."""
    side = {"name": {"en": "A party"}}
    return OutcomeContract.model_validate(
        {
            "apiVersion": "tollkeeper/v1",
            "kind": "Contract",
            "id": "BENCH",
            "version": 1,
            "title": {"en": "A bench"},
            "signed_on": "2025-01-01",
            "effective_on": "2025-01-01",
            "currency": "EUR",
            "timezone": "UTC",
            "parties": {"consultant": side, "client": side},
            "outcome": {
                "periods": {"every": "P1Y", "count": "1"},
                "rounding": {"decimals": "2", "mode": "half_away", "at": "each_line"},
                "payment": {"clause": "9", "negative": "paid_back"},
                **outcome,
            },
        }
    )


def bet_of_three() -> tuple[OutcomeContract, Readings]:
    """Three indicators, each scored between baseline and target, weighted, times the stake."""
    names = ("a", "b", "c")
    contract = document(
        inputs=[{"id": f"in_{name}"} for name in names],
        measures=[{"id": name, "kind": "latest", "of": f"in_{name}"} for name in names],
        scores=[
            {
                "id": f"score_{name}",
                "clause": "1",
                "of": name,
                "baseline": "10",
                "target": "20",
                "scoring": {"kind": "clamped_linear"},
            }
            for name in names
        ],
        totals=[
            {
                "id": "score",
                "kind": "weighted_sum",
                "missing": "missing",
                "of": [
                    {"score": f"score_{name}", "weight": weight}
                    for name, weight in zip(names, ("40%", "20%", "40%"), strict=True)
                ],
            }
        ],
        lines=[{"id": "stake", "clause": "2", "kind": "amount", "amount": "540000 * score"}],
    )
    return contract, observed(in_a="15", in_b="17.5", in_c="33")


def bare_bet() -> int:
    """The arithmetic of that bet, and nothing else; in minor units."""
    score = Fraction(0)
    for value, weight in (("15", 40), ("17.5", 20), ("33", 40)):
        attained = (Fraction(value) - 10) / (Fraction(20) - 10)
        score += Fraction(weight, 100) * min(max(attained, Fraction(0)), Fraction(1))
    return round_half_away(540_000 * score * 100)


def rate_card(lines: int) -> tuple[OutcomeContract, Readings]:
    """A price for each of many things, each counted on its own."""
    contract = document(
        inputs=[{"id": f"in_{n}"} for n in range(lines)],
        measures=[{"id": f"m_{n}", "kind": "sum", "of": f"in_{n}"} for n in range(lines)],
        lines=[
            {
                "id": "card",
                "clause": "2",
                "kind": "rate_card",
                "items": [
                    {"id": f"item-{n}", "rate": f"{n}.37", "quantity": f"m_{n}"}
                    for n in range(lines)
                ],
            }
        ],
    )
    return contract, observed(**{f"in_{n}": str(n + 3) for n in range(lines)})


def bare_card() -> int:
    total = sum((Fraction(f"{n}.37") * Fraction(str(n + 3)) for n in range(40)), Fraction(0))
    return round_half_away(total * 100)


def observed(**values: str) -> Readings:
    series = {name: [value] for name, value in values.items()}
    return Readings.model_validate(
        {"apiVersion": "tollkeeper/v1", "kind": "Readings", "contract": "BENCH", "series": series}
    )


def settles(given: tuple[OutcomeContract, Readings]) -> Callable[[], int]:
    """Settles it, and gives the payment in minor units."""
    contract, readings = given
    settler = Settler(contract)
    return lambda: settler.settle(readings).paid_in_all.minor


def rate(work: Callable[[], int]) -> float:
    """How often a second, over `SECONDS`."""
    done, started = 0, perf_counter()
    while perf_counter() - started < SECONDS:
        work()
        done += 1
    return done / (perf_counter() - started)


def _by_lines() -> None:
    """The cost of a rate card by its lines: a straight line has the same microseconds a line."""
    rows = []
    for lines in CARDS:
        each = 1 / rate(settles(rate_card(lines)))
        rows.append((lines, f"{each * 1e6:,.0f}", f"{each * 1e6 / lines:.1f}"))
    table("Rate cards by length", ["lines>", "us a settlement>", "us a line>"], rows)


def _memory(work: Callable[[], int]) -> bool:
    """Whether the memory after a million settlements is that after the first ten thousand."""
    rows, peaks, started = [], [], perf_counter()
    for done in range(1, MILLION + 1):
        work()
        if done in (10_000, 100_000, MILLION):
            gc.collect()
            peaks.append(_peak_mb())
            rows.append((f"{done:,}", f"{peaks[-1]:.1f}", f"{perf_counter() - started:,.0f}"))
    table("Peak memory", ["settlements>", "MB>", "s>"], rows)
    flat = peaks[-1] - peaks[0] < 1
    out.print("flat" if flat else "it grew by 1 MB or more")
    return flat


def _peak_mb() -> float:
    """The most memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
