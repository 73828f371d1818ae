"""Record the golden histories: `make histories`, after a change that is meant to change them.

Each is the history of one workflow of a story; a released one is never recorded again, since
processes that began under it are still on their way.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from temporalio.client import Client, WorkflowHistory

from tests.workflow.conftest import example, office
from tollkeeper.story import Story

HISTORIES = Path(__file__).parent / "histories"


async def record(version: str) -> None:
    """Play the stories, and write the histories of all their workflows below that version."""
    folder = HISTORIES / version
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        async with office(Path(data)) as desk:
            met = Story(desk, "met", example("key-account"))
            await met.value_bet()
            withheld = Story(desk, "withheld", example("key-account-withheld"))
            await withheld.value_bet()
            shelved = Story(desk, "shelved", example("after-sales"))
            await shelved.shelved_and_resumed()
            for history in await histories(desk.client):
                path = folder / f"{history.workflow_id}.json"
                path.write_text(history.to_json(), encoding="utf-8")
                print(f"{path.relative_to(HISTORIES.parent)}: {len(history.events)} events")


async def histories(client: Client) -> list[WorkflowHistory]:
    """The histories of all engagements' workflows, in the order of their ids."""
    found = [
        await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        async for run in client.list_workflows()
        if run.id.startswith("eng.")
    ]
    return sorted(found, key=lambda history: history.workflow_id)


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1] if len(sys.argv) > 1 else "0.1.0"))
