"""Human steps through the desk and its processes, against bare updates of a trivial workflow."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable
from time import perf_counter

from temporalio.client import Client
from temporalio.worker import Worker

from bench.common import AtOnce, compare, example, own_office, signed_today
from bench.trivial import TrivialWorkflow
from contracts.contract import Contract
from contracts.setting import ClockKind
from tollkeeper.cli.screen import told
from tollkeeper.desk import Desk

IN_FLIGHT = 4
POSITIONS = 2
RUNS = 3
QUEUE = "trivial"


async def measure() -> bool:
    """Engagements in flight, each step asked for when the last is answered; run after run."""
    contracts = {ClockKind.TEST: example(), ClockKind.LIVE: signed_today(example())}
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    async with (
        own_office() as (office, _),
        Worker(office.client, task_queue=QUEUE, workflows=[TrivialWorkflow]),
    ):
        told("measuring")
        for run in range(RUNS):
            for clock, contract in contracts.items():
                name = f"{clock.value}-{run}"
                steps = POSITIONS + len(contract.micro_consulting.plan.steps)
                ours = await _ours(office.desk, name, contract, clock)
                bare = await _bare(office.client, name, steps)
                total = steps * IN_FLIGHT
                pairs[f"{clock.value} clock"].append((total / ours, total / bare))
    compare(f"Human steps, {IN_FLIGHT} engagements in flight", "steps", pairs)
    return True


async def _ours(desk: Desk, name: str, contract: Contract, clock: ClockKind) -> float:
    """Seconds for the two positions and every step of micro-consulting."""
    stories = [AtOnce(desk, f"{name}-{number}", contract, clock) for number in range(IN_FLIGHT)]
    for story in stories:
        await story.opened()

    async def play(story: AtOnce) -> None:
        await story.positions_agree()
        await story.steps_done(contract.micro_consulting.plan.steps)

    return await _seconds(play(story) for story in stories)


async def _bare(client: Client, name: str, steps: int) -> float:
    """Seconds for as many updates, as many workflows in flight."""
    handles = [
        await client.start_workflow(
            TrivialWorkflow.run, id=f"trivial.{name}.{number}", task_queue=QUEUE
        )
        for number in range(IN_FLIGHT)
    ]

    async def play(number: int) -> None:
        for step in range(steps):
            await handles[number].execute_update(TrivialWorkflow.step, step)

    return await _seconds(play(number) for number in range(IN_FLIGHT))


async def _seconds(everything: Iterable[Awaitable[None]]) -> float:
    started = perf_counter()
    await asyncio.gather(*everything)
    return perf_counter() - started
