"""Events, bytes and Temporal Actions of an engagement, and whether micro-consulting keeps its budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory

from bench.common import AtOnce, eventually, example, machine, own_office, signed_today
from contracts.commands import Outcome
from contracts.contract import Contract
from contracts.setting import ClockKind
from tollkeeper.cli.screen import out, table, told
from tollkeeper.demo import Demo
from tollkeeper.desk import Desk

MOST_EVENTS, MOST_ACTIONS = 1_100, 250
"""The budget of micro-consulting: all it adds to the histories until its decision is reported."""

ACTIONS = {
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: 2,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: 1,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: 1,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: 1,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: 1,
    EventType.EVENT_TYPE_TIMER_STARTED: 1,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: 1,
}
WORKFLOW_TASK = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
}
LOCAL_ACTIVITY = "core_local_activity"

COLUMNS = ("events>", "KiB>", "actions>")

Events = Sequence[HistoryEvent]


@dataclass(frozen=True)
class Cost:
    """What a history costs."""

    events: int
    size: int
    actions: int

    @classmethod
    def of(cls, *histories: Events) -> "Cost":
        return cls(
            events=sum(map(len, histories)),
            size=sum(event.ByteSize() for events in histories for event in events),
            actions=sum(map(actions, histories)),
        )

    def cells(self) -> tuple[str, str, str]:
        return f"{self.events:,}", f"{self.size / 1024:.1f}", f"{self.actions:,}"


def actions(events: Events) -> int:
    """Temporal Actions in a history of one run.

    A signal counts where it arrives; a child start counts at the parent; the local activities of
    one workflow task are one. A refused update is an Action too, but leaves no event.
    """
    local = {
        event.marker_recorded_event_attributes.workflow_task_completed_event_id
        for event in events
        if event.marker_recorded_event_attributes.marker_name == LOCAL_ACTIVITY
    }
    return len(local) + sum(_actions_of(event) for event in events)


def _actions_of(event: HistoryEvent) -> int:
    match event.event_type:
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            started = event.workflow_execution_started_event_attributes
            by_another = started.HasField("parent_workflow_execution")
            return int(not by_another and not started.continued_execution_run_id)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            return event.activity_task_started_event_attributes.attempt - 1
        case kind:
            return ACTIONS.get(kind, 0)


def of_the_clock(events: Events) -> Events:
    """The `settle` updates that only a test clock needs, with workflow tasks that did nothing else."""
    asked = {
        event.event_id
        for event in events
        if event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        == "settle"
    }
    found: list[HistoryEvent] = []
    for task in _tasks(events):
        settles = [
            event
            for event in task
            if event.event_id in asked
            or event.workflow_execution_update_completed_event_attributes.accepted_event_id in asked
        ]
        others = [
            event
            for event in task
            if event not in settles and event.event_type not in WORKFLOW_TASK
        ]
        found += task if settles and not others else settles
    return found


def _tasks(events: Events) -> Iterator[Events]:
    """Each workflow task with all that follows it until the next."""
    starts = [
        position
        for position, event in enumerate(events)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
    ]
    for start, end in zip(starts, [*starts[1:], len(events)], strict=True):
        yield events[start:end]


def micro_part(histories: Sequence[WorkflowHistory]) -> list[Events]:
    """Micro-consulting, and the engagement up to the event that reports its decision."""
    (engagement,) = [each for each in histories if _kind(each) == "EngagementWorkflow"]
    micro = [each for each in histories if _kind(each) == "MicroConsultingWorkflow"]
    ids = {each.workflow_id for each in micro}
    reported = [
        position
        for position, event in enumerate(engagement.events)
        if event.workflow_execution_signaled_event_attributes.external_workflow_execution.workflow_id
        in ids
    ]
    return [engagement.events[: reported[-1] + 1], *(each.events for each in micro)]


def _kind(history: WorkflowHistory) -> str:
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


def _input_size(history: WorkflowHistory) -> int:
    return history.events[0].workflow_execution_started_event_attributes.input.ByteSize()


async def measure() -> bool:
    """Play the story and account for it; False when micro-consulting exceeds its budget."""
    contract = example()
    async with own_office() as (office, receiver):
        told("playing the story on a test clock")
        outcome = await Demo(office, receiver, contract, lambda _: None).play(shelved=False)
        sent = await _deliveries(office.client, len(receiver.received))
        told("playing micro-consulting on a live clock")
        live_id = await _consulted_live(office.desk, contract)
        tested = await _histories(office.client, f"eng.{outcome.engagement.id}")
        lived = await _histories(office.client, f"eng.{live_id}")
    _print_story(tested, sent)
    kept = _print_micro(micro_part(tested), micro_part(lived))
    out.print(machine())
    return kept


async def _consulted_live(desk: Desk, contract: Contract) -> str:
    """Up to PROCEED, reworked once as in the story."""
    terms = signed_today(contract)
    story = AtOnce(desk, "live-1", terms, ClockKind.LIVE)
    await story.opened()
    await story.positions_disagree_then_agree()
    await story.steps_done(terms.micro_consulting.plan.steps)
    await story.decided(Outcome.REWORK_ONCE)
    await story.reworked()
    await story.decided(Outcome.PROCEED)

    async def decided() -> bool:
        return not await story.consulting()

    await eventually(decided)
    return story.id


async def _histories(client: Client, prefix: str) -> list[WorkflowHistory]:
    found = client.list_workflows(f'WorkflowId STARTS_WITH "{prefix}"')
    histories = [history async for history in found.map_histories()]
    return sorted(histories, key=lambda history: history.workflow_id)


async def _deliveries(client: Client, messages: int) -> list[WorkflowHistory]:
    """Those of all messages, when the last has ended; its receipt comes a moment earlier."""
    histories: list[WorkflowHistory] = []

    async def ended() -> bool:
        histories[:] = await _histories(client, "out.")
        return len(histories) == messages and all(map(_completed, histories))

    await eventually(ended)
    return histories


def _completed(history: WorkflowHistory) -> bool:
    last = history.events[-1].event_type
    return last == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED


def _print_story(processes: Sequence[WorkflowHistory], sent: Sequence[WorkflowHistory]) -> None:
    rows = [
        (_name(each), *Cost.of(each.events).cells(), f"{_input_size(each) / 1024:.1f}")
        for each in processes
    ]
    everything = [each.events for each in processes]
    deliveries = [each.events for each in sent]
    table(
        "The story on a test clock, from the signed contract to the closed account",
        ["workflow", *COLUMNS, "start KiB>"],
        [
            *rows,
            ("total", *Cost.of(*everything).cells()),
            ("  of it settle", *Cost.of(*map(of_the_clock, everything)).cells()),
            (f"apart: {len(sent)} deliveries", *Cost.of(*deliveries).cells()),
        ],
    )


def _name(history: WorkflowHistory) -> str:
    """The path within the engagement."""
    return ".".join(history.workflow_id.split(".")[2:]) or "engagement"


def _print_micro(tested: list[Events], lived: list[Events]) -> bool:
    """Both must keep the budget: a test clock has its `settle` updates, a live one its timers."""
    costs = {
        "test clock": Cost.of(*tested),
        "  of it settle": Cost.of(*map(of_the_clock, tested)),
        "live clock, nobody late": Cost.of(*lived),
    }
    kept = all(cost.events < MOST_EVENTS and cost.actions < MOST_ACTIONS for cost in costs.values())
    out.print()
    table(
        "Micro-consulting with one rework: its workflow, and the engagement's until PROCEED is reported",
        ["", *COLUMNS],
        [(name, *cost.cells()) for name, cost in costs.items()],
    )
    verdict = "kept" if kept else "EXCEEDED"
    out.print(f"Budget: below {MOST_EVENTS:,} events and {MOST_ACTIONS} actions: {verdict}")
    return kept
