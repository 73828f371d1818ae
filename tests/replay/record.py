"""Record the golden histories: `make histories`, after a change that is meant to change them.

Each is the history of one workflow of a story; a released one is never recorded again, since
processes that began under it are still on their way.
"""

import asyncio
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client, WorkflowHistory

from activities.export.port import Endpoint
from contracts.setting import ClockKind
from lifecycle.receivables import RefundState
from tests.integration import conftest as integration
from tests.integration.money.house import came, invoiced
from tests.provider import paying
from tests.workflow import test_change_order, test_holds
from tests.workflow.conftest import example, office
from tests.workflow.test_refund import becomes
from tollkeeper.desk import Desk
from tollkeeper.story import Story
from tollkeeper.views.approvals import approval

HISTORIES = Path(__file__).parent / "histories"


async def record(version: str) -> None:
    """Play the stories, and write the histories of all their workflows below that version."""
    folder = HISTORIES / version
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, paying() as provider:
        pays = Endpoint(provider.url, (provider.secret,))
        async with office(Path(data), provider=pays) as desk:
            await Story(desk, "met", example("key-account")).value_bet()
            await Story(desk, "withheld", example("key-account-withheld")).value_bet()
            await Story(desk, "shelved", example("after-sales")).shelved_and_resumed()
            await held(desk)
            await changed(desk)
            await refunded(desk)
            for history in await histories(desk.client):
                path = folder / f"{history.workflow_id}.json"
                path.write_text(history.to_json(), encoding="utf-8")
                print(f"{path.relative_to(HISTORIES.parent)}: {len(history.events)} events")


async def held(desk: Desk) -> None:
    """A hold blocks a milestone; asked for twice, since the first time nobody decides in time."""
    story, people = await test_holds.playing(
        desk, "held", test_holds.contract(hold_clocks=test_holds.CLOCKS)
    )
    await people.place("H1", "M1", "360000.00")
    lapsed = await approval(desk.pool, story.id, "place-H1")
    await test_holds.advance(story, lapsed.expires_at + timedelta(hours=1))
    await people.ask_again("place-H1", "place-H1-again")
    await people.sign("place-H1-again", "gao.feng", "li.wei")
    await people.cure_notice("H1")
    deliveries = test_change_order.People(desk, story)
    await deliveries.delivered("M1", story.contract.milestone("M1"))
    await people.release("H1", "360000.00", "R1")
    await people.sign("R1", "gao.feng", "li.wei")


async def changed(desk: Desk) -> None:
    """A later version waits for its day."""
    story, people = await test_change_order.consulting(desk, "changed")
    first, second, *rest = story.contract.milestones
    dearer = second.model_copy(update={"amount": second.amount + second.amount})
    day = story.today() + timedelta(days=10)
    contract = test_change_order.next_version(
        story.contract, (first, dearer, *rest), effective_on=day
    )
    await people.agreed("CO1", contract)
    await test_holds.advance(story, story.moment + timedelta(days=11))


async def refunded(desk: Desk) -> None:
    """On the live clock, as no money is paid back in the sandbox; and on record without processes."""
    one = integration.Story(desk.pool, example("key-account"), "refunded", ClockKind.LIVE)
    house = await invoiced(one)
    await house.took(came("TX1", 1_000))
    await house.signed(await house.refund("RF1", "QM/CN62/TX1", 600))
    await becomes(house, "RF1", RefundState.CONFIRMED)
    await desk.client.get_workflow_handle("eng.refunded.refund.RF1").result()


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
