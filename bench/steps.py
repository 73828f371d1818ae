"""Human steps through the desk and its processes, against bare updates of a trivial workflow."""

import asyncio
from collections import defaultdict
from time import perf_counter

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from bench.common import AtOnce, compare, example, own_office
from contracts.setting import ClockKind
from tollkeeper.cli.screen import told
from tollkeeper.office import Office

IN_FLIGHT = 8
RUNS, WARMING = 4, 1
QUEUE = "bare"


@workflow.defn
class Trivial:
    """Answers updates."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def step(self, number: int) -> int:
        return number


async def measure() -> bool:
    """Engagements in flight, each step asked for when the one before is answered; run after run."""
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    async with (
        own_office() as (office, _),
        Worker(office.client, task_queue=QUEUE, workflows=[Trivial]),
    ):
        told("measuring")
        for run in range(RUNS):
            for clock in ClockKind:
                pair = await _ours(office, clock, run), await _bare(office.client, f"{clock}-{run}")
                if run >= WARMING:
                    pairs[f"{clock.value} clock"].append(pair)
    compare(f"Human steps, {IN_FLIGHT} engagements in flight", "steps", pairs)
    return True


async def _ours(office: Office, clock: ClockKind, run: int) -> float:
    """Steps a second: both positions, then every step of micro-consulting."""
    contract = example()
    ...
