"""Every released history replays on today's code: a process that is on its way goes on."""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.workflow import NondeterminismError

from tests.replay.record import HISTORIES
from tollkeeper.worker import LIBRARIES, SANDBOX, WORKFLOWS, sandbox

GOLDEN = sorted(HISTORIES.glob("*/*.json"))


def replayer(runner: WorkflowRunner) -> Replayer:
    return Replayer(
        workflows=WORKFLOWS, workflow_runner=runner, data_converter=pydantic_data_converter
    )


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def kind(path: Path) -> str:
    """Which process of its engagement it is."""
    return path.stem.split(".")[2] if path.stem.count(".") > 1 else "eng"


@pytest.mark.parametrize("path", GOLDEN, ids=named)
async def test_a_released_history_replays(path: Path) -> None:
    await replayer(UnsandboxedWorkflowRunner()).replay_workflow(recorded(path))


# It reads all our modules anew for each history, which takes seconds.
@pytest.mark.parametrize("path", {kind(path): path for path in GOLDEN}.values(), ids=named)
async def test_each_kind_of_process_replays_where_even_pure_modules_may_read_no_clock(
    path: Path,
) -> None:
    await replayer(sandbox(*LIBRARIES)).replay_workflow(recorded(path))


def recorded(path: Path, text: str | None = None) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, text or path.read_text(encoding="utf-8"))


def test_every_kind_of_process_has_a_history() -> None:
    assert {kind(path) for path in GOLDEN} == {
        "eng", "micro", "milestone", "bet", "hold", "request", "change", "refund",
    }  # fmt: skip


async def test_a_history_of_other_orders_does_not_replay() -> None:
    """The check can fail: a history whose first order was another one."""
    path = next(path for path in GOLDEN if ".milestone." in path.stem)
    history = recorded(path).to_json_dict()
    marker = next(e for e in history["events"] if "markerRecordedEventAttributes" in e)
    (payload,) = marker["markerRecordedEventAttributes"]["details"]["data"]["payloads"]
    order = json.loads(b64decode(payload["data"]))
    assert order["activity_type"] == "record"
    other = json.dumps(order | {"activity_type": "bill_milestone"}).encode()
    payload["data"] = b64encode(other).decode()
    with pytest.raises(NondeterminismError):
        await replayer(SANDBOX).replay_workflow(recorded(path, json.dumps(history)))
