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

from activities.billing import Billing
from activities.edge import Edge
from activities.engagements import Engagements
from activities.export import Export, Receivers
from activities.holdbacks import Holdbacks
from activities.postgres import Pool
from activities.value_bets import ValueBets
from tollkeeper.relay import relay
from tollkeeper.settings import EXPORT_QUEUE, TASK_QUEUE
from workflows.delivery import DeliveryWorkflow
from workflows.engagement import EngagementWorkflow
from workflows.micro_consulting import MicroConsultingWorkflow
from workflows.milestone import MilestoneWorkflow
from workflows.value_bet import ValueBetWorkflow

WORKFLOWS = [
    EngagementWorkflow,
    MicroConsultingWorkflow,
    MilestoneWorkflow,
    ValueBetWorkflow,
    DeliveryWorkflow,
]

# Libraries only: our own pure code stays inside, so that a stray clock or random number is refused.
LIBRARIES = (
    "annotated_types",
    "dateutil",
    "holidays",
    "pydantic",
    "pydantic_core",
    "ruamel",
    "six",
)
# `ZoneInfo` is refused for its cache and file functions; looking up a zone reads no clock.
SANDBOX = SandboxedWorkflowRunner(
    restrictions=replace(
        SandboxRestrictions.default.with_passthrough_modules(*LIBRARIES),
        invalid_module_members=SandboxRestrictions.invalid_module_members_default.with_child_unrestricted(
            "zoneinfo", "ZoneInfo"
        ),
    )
)

GRACE = timedelta(seconds=10)


@asynccontextmanager
async def working(
    client: Client,
    pool: Pool,
    receivers: Receivers,
    *,
    queue: str = TASK_QUEUE,
    build_id: str | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> AsyncIterator[None]:
    """Work until the block ends.

    Args:
        build_id: the commit that runs. Given, workers are versioned: a process stays on the build
            it began a run with and moves on when it renews. Without it, one build at a time
            carries all processes on, which is what an office with one machine wants.
        interceptors: further ones, inside the one that turns our errors into Temporal's.
    """
    exports = f"{EXPORT_QUEUE}{queue.removeprefix(TASK_QUEUE)}"
    async with httpx.AsyncClient() as http:
        engagements, billing = Engagements(pool), Billing(pool)
        holdbacks, bets, export = Holdbacks(pool), ValueBets(pool), Export(pool, http, receivers)
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
                bets.read_trend,
                bets.assess_window,
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
            relaying = asyncio.create_task(relay(client, pool, receivers, queue, exports))
            try:
                yield
            finally:
                relaying.cancel()
                with suppress(asyncio.CancelledError):
                    await relaying


def _deployment(build_id: str | None) -> WorkerDeploymentConfig | None:
    if build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name="tollkeeper", build_id=build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )
