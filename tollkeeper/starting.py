"""From the books to the processes: each open hold, request and change order gets its process."""

from typing import Any

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.agreement import agreement, working_days_of
from activities.postgres import Connection, Pool, transaction
from contracts.setting import ClockKind, Setting
from lifecycle.process import (
    ChangeOrderState,
    HoldProcessState,
    ProcessState,
    RequestProcessState,
)
from tollkeeper.polling import polling
from tollkeeper.views.base import Row
from workflows.change_order import ChangeOrderWorkflow
from workflows.hold import HoldWorkflow
from workflows.request import RequestWorkflow

POLL_SECONDS = 1.0

OPEN = """
    select 'hold' as kind, hold_id as id, engagement_id, placed_at as since from hold h
    where state in ('active', 'curing', 'decision_due') and bet is null
      and (kind <> 'RETENTION' or exists (
          select from event went
          where went.engagement_id = h.engagement_id and went.type = 'engagement.went_live'
      ))
    union all
    select 'request', request_id, engagement_id, requested_at from approval_request
    where state = 'pending'
    union all
    select 'change_order', change_id, engagement_id, due_at from change_order
    where state in ('agreed', 'applied')
"""
"""What runs a clock: the hold of a bet waits for the bet's own process, retention for go-live."""


async def starting(client: Client, pool: Pool, queue: str) -> None:
    """Start what is missing, until cancelled; outages are waited out.

    Who places a hold starts its process as well; this finds those whose starter was lost.
    """
    await polling(lambda: start_missing(client, pool, queue), POLL_SECONDS, "starting waits")


async def start_missing(
    client: Client, pool: Pool, queue: str, engagement_id: str | None = None
) -> list[str]:
    """Start the processes that are not there, of one engagement or of all; their ids.

    A hold that was settled, and holds something again, has its process started again. What was read
    may be out of date by then: a process that runs is left alone, one that finds nothing to do ends.
    """
    async with transaction(pool) as connection:
        rows = await connection.fetch(
            f"""
            select o.*, e.clock, coalesce(e.clock_now, now()) as now, p.finished
            from ({OPEN}) o join engagement e on e.engagement_id = o.engagement_id
            left join process p on p.workflow_id = o.id
            where ($1::text is null or o.engagement_id = $1)
              and (p.workflow_id is null or (o.kind = 'hold' and p.finished))
            order by o.id
            """,
            engagement_id,
        )
        settings = {
            each: await _setting(connection, each)
            for each in {row["engagement_id"] for row in rows}
        }
    for row in rows:
        await _start(client, queue, row, settings[row["engagement_id"]])
    return [row["id"] for row in rows]


async def _setting(connection: Connection, engagement_id: str) -> Setting:
    terms = await agreement(connection, engagement_id)
    return Setting(
        engagement_id=engagement_id,
        clock=ClockKind.TEST if terms.book == "sandbox" else ClockKind.LIVE,
        calendar=await working_days_of(connection, terms),
        people=terms.contract.people(),
        version=terms.contract.version,
    )


async def _start(client: Client, queue: str, row: Row, setting: Setting) -> None:
    process, state = _process(row, setting)
    again = row["finished"]
    reuse = WorkflowIDReusePolicy
    try:
        await client.start_workflow(
            process,
            state,
            id=row["id"],
            task_queue=queue,
            id_reuse_policy=reuse.ALLOW_DUPLICATE if again else reuse.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
    except WorkflowAlreadyStartedError:
        return


def _process(row: Row, setting: Setting) -> tuple[Any, ProcessState]:
    if row["kind"] == "hold":
        return HoldWorkflow.run, HoldProcessState(setting=setting, now=row["now"], hold=row["id"])
    if row["kind"] == "change_order":
        return ChangeOrderWorkflow.run, ChangeOrderState(
            setting=setting, now=row["now"], change=row["id"], due_at=row["since"]
        )
    return RequestWorkflow.run, RequestProcessState(
        setting=setting, now=row["now"], request=row["id"], asked_at=row["since"]
    )
