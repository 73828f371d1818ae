"""The worker: workflows on one queue, exports on another, and the relay that starts deliveries."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import httpx
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Interceptor, Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities import decisions  # noqa: F401  # for what requests do once they are decided
from activities.approvals import Approvals
from activities.billing.invoices import Billing
from activities.change_orders import ChangeOrders
from activities.edge import Edge
from activities.engagements import Engagements
from activities.export.delivery import Export
from activities.export.port import Endpoint, Receivers
from activities.holdbacks import Holdbacks
from activities.holds.by_people import Holds
from activities.postgres import Pool
from activities.receivables.refunds import Refunds
from activities.value_bets import ValueBets
from tollkeeper.desk import Desk
from tollkeeper.news import telling
from tollkeeper.payouts import payouts
from tollkeeper.relay import relay
from tollkeeper.settings import EXPORT_QUEUE, TASK_QUEUE
from tollkeeper.starting import starting
from workflows.change_order import ChangeOrderWorkflow
from workflows.delivery import DeliveryWorkflow
from workflows.engagement import EngagementWorkflow
from workflows.hold import HoldWorkflow
from workflows.micro_consulting import MicroConsultingWorkflow
from workflows.milestone import MilestoneWorkflow
from workflows.refund import RefundWorkflow
from workflows.request import RequestWorkflow
from workflows.value_bet import ValueBetWorkflow

WORKFLOWS = [
    EngagementWorkflow,
    MicroConsultingWorkflow,
    MilestoneWorkflow,
    ValueBetWorkflow,
    HoldWorkflow,
    RequestWorkflow,
    ChangeOrderWorkflow,
    DeliveryWorkflow,
    RefundWorkflow,
]

LIBRARIES = (
    "annotated_types",
    "dateutil",
    "holidays",
    "pydantic",
    "pydantic_core",
    "ruamel",
    "six",
)
PURE = ("contracts", "lifecycle")
"""Our own that neither reads a clock nor rolls dice, which ruff and the replay tests see to."""


def sandbox(*shared: str) -> SandboxedWorkflowRunner:
    """What refuses a workflow a stray clock or random number; it loads all but `shared` for each run."""
    restrictions = SandboxRestrictions.default
    return SandboxedWorkflowRunner(
        restrictions=replace(
            restrictions.with_passthrough_modules(*shared),
            # `ZoneInfo` is refused for its cache and files; looking up a zone reads no clock.
            invalid_module_members=restrictions.invalid_module_members.with_child_unrestricted(
                "zoneinfo", "ZoneInfo"
            ),
        )
    )


SANDBOX = sandbox(*LIBRARIES, *PURE)

GRACE = timedelta(seconds=10)


@asynccontextmanager
async def working(
    client: Client,
    pool: Pool,
    receivers: Receivers,
    *,
    provider: Endpoint | None = None,
    queue: str = TASK_QUEUE,
    build_id: str | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> AsyncIterator[None]:
    """Work until the block ends.

    Args:
        provider: pays refunds; without one they wait for people to confirm them.
        build_id: the commit that runs. Given, workers are versioned: a process stays on the build
            it began a run with and moves on when it renews. Without it, one build at a time
            carries all processes on, which is what an office with one machine wants.
        interceptors: further ones, inside the one that turns our errors into Temporal's.
    """
    exports = f"{EXPORT_QUEUE}{queue.removeprefix(TASK_QUEUE)}"
    async with httpx.AsyncClient() as http:
        engagements, billing = Engagements(pool), Billing(pool)
        holds, approvals, changes = Holds(pool), Approvals(pool), ChangeOrders(pool)
        holdbacks, bets, export = Holdbacks(pool), ValueBets(pool), Export(pool, http, receivers)
        refunds = Refunds(pool, http, provider)
        workflow_worker = Worker(
            client,
            task_queue=queue,
            workflows=WORKFLOWS,
            activities=[
                engagements.open_engagement,
                engagements.record,
                engagements.close_account,
                billing.bill_micro_consulting,
                billing.evaluate_milestone,
                billing.bill_milestone,
                holdbacks.place_holdback,
                holdbacks.release_holdback,
                holdbacks.forfeit_holdback,
                holds.look_at_hold,
                holds.end_hold_clock,
                approvals.look_at_request,
                approvals.expire_request,
                changes.apply_change,
                bets.read_trend,
                bets.assess_window,
                refunds.send_refund,
                refunds.ask_refund,
                refunds.settle_refund,
            ],
            workflow_runner=SANDBOX,
            interceptors=[Edge(), *interceptors],
            deployment_config=_deployment(build_id),
            graceful_shutdown_timeout=GRACE,
        )
        export_worker = Worker(
            client,
            task_queue=exports,
            activities=[export.deliver],
            interceptors=[Edge(), *interceptors],
            graceful_shutdown_timeout=GRACE,
        )
        async with workflow_worker, export_worker:
            beside = [
                asyncio.create_task(relay(client, pool, receivers, queue, exports)),
                asyncio.create_task(starting(client, pool, queue)),
                asyncio.create_task(telling(pool, Desk(client, pool, queue).catch_up)),
            ]
            if provider is not None:
                beside.append(asyncio.create_task(payouts(client, pool, queue)))
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task


def _deployment(build_id: str | None) -> WorkerDeploymentConfig | None:
    if build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name="tollkeeper", build_id=build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )
