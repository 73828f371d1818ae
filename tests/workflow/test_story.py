"""The two stories of the demo, played through the real workflows on a test clock."""

from pathlib import Path
from typing import Any

import pytest

from contracts.contract import Contract
from contracts.events import EventType
from tests.workflow.conftest import example, office
from tollkeeper.desk import Desk
from tollkeeper.story import Story
from tollkeeper.verify import verify
from tollkeeper.views.documents import invoices
from tollkeeper.views.engagements import engagement, timeline
from tollkeeper.views.holds import holds
from tollkeeper.views.ledger import money_table


async def told(desk: Desk, engagement_id: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """The timeline without what differs between two playings: ids and numbers."""
    return [
        (event.occurred_at.isoformat(), event.type.value, event.actor, event.facts)
        for event in await timeline(desk.pool, engagement_id)
        if "number" not in event.facts and "hold" not in event.facts
    ]


async def journal(desk: Desk, engagement_id: str) -> list[tuple[Any, ...]]:
    """Every posting of an engagement in order, without ids and numbers."""
    rows = await desk.pool.fetch(
        """
        select g.code, g.effective_on, p.account, p.side, p.amount_minor, p.currency, p.fee,
               p.hold is not null as hold, p.invoice is not null as invoice
        from journal_group g join posting p on p.group_id = g.id
        where g.engagement_id = $1 order by g.occurred_at, g.id, p.line
        """,
        engagement_id,
    )
    return [tuple(row) for row in rows]


@pytest.fixture(scope="module")
async def played(desk: Desk) -> str:
    story = Story(desk, "story", example("key-account"))
    await story.value_bet()
    return story.id


async def test_the_engagement_closes_with_every_fen_accounted_for(desk: Desk, played: str) -> None:
    project, micro = sorted(
        await money_table(desk.pool, played), key=lambda row: row.fee, reverse=True
    )
    assert (str(micro.fixed), str(micro.held)) == ("100000.00", "0.00")
    # 540,000.00 at risk: 40 % met, 20 % missed, 40 % at 5/8.
    assert str(project.fixed) == "1260000.00"
    assert str(project.released) == "351000.00"  # 216,000.00 + 0 + 135,000.00
    assert str(project.forfeited) == "189000.00"  # 0 + 108,000.00 + 81,000.00
    assert str(project.held) == "0.00"
    assert project.fixed + project.released + project.forfeited == project.amount  # INV-06
    assert (await verify(desk.pool)).ok
    assert (await engagement(desk.pool, played)).phase == "closed"


async def test_each_document_is_issued_once_with_vat_and_a_gapless_number(
    desk: Desk, played: str
) -> None:
    documents = await invoices(desk.pool, played)
    assert [(str(d.net), str(d.tax)) for d in documents] == [
        ("100000.00", "6000.00"),
        ("360000.00", "21600.00"),
        ("270000.00", "16200.00"),
        ("360000.00", "21600.00"),
        ("270000.00", "16200.00"),
        ("216000.00", "12960.00"),
        ("135000.00", "8100.00"),
    ]
    assert all(document.number.startswith("TEST-QM-INV-") for document in documents)


async def test_the_three_clocks_are_kept_apart(desk: Desk, played: str) -> None:
    clocks = (await engagement(desk.pool, played)).clocks
    assert clocks is not None
    assert (clocks.online_minutes, clocks.offline_minutes) == (960, 1_440)  # INV-04
    assert clocks.effort_minutes == 2_400
    assert clocks.rework_minutes == 360  # free, three quarters of 480
    assert clocks.client_waiting < clocks.elapsed


async def test_positions_first_disagree_and_nothing_is_revealed_before_both_are_in(
    desk: Desk, played: str
) -> None:
    events = [e for e in await timeline(desk.pool, played) if "position" in e.type.value]
    assert [e.type for e in events] == [
        EventType.POSITION_ANSWERED,
        EventType.POSITION_ANSWERED,
        EventType.POSITION_DISAGREED,
        EventType.POSITION_ANSWERED,
        EventType.POSITION_ANSWERED,
        EventType.POSITION_AGREED,
    ]
    assert all("stance" not in e.facts for e in events if e.type is EventType.POSITION_ANSWERED)


async def test_one_milestone_is_accepted_one_deemed_one_rejected_and_handed_in_again(
    desk: Desk, played: str
) -> None:
    events = await timeline(desk.pool, played)
    accepted = {
        e.facts["milestone"]: e.facts["deemed"]
        for e in events
        if e.type is EventType.MILESTONE_ACCEPTED
    }
    assert accepted == {"M1": False, "M2": True, "M3": False, "M4": False}
    submissions = [
        e.facts["submission"]
        for e in events
        if e.type is EventType.MILESTONE_SUBMITTED and e.facts["milestone"] == "M3"
    ]
    assert submissions == [1, 2]


async def test_a_late_client_step_is_reminded_of_once(desk: Desk, played: str) -> None:
    events = await timeline(desk.pool, played)
    reminders = [e.facts["why"] for e in events if e.type is EventType.REMINDER_RAISED]
    assert reminders == ["S05 Client supplements material"]
    notices = await desk.pool.fetchval(
        "select count(*) from outbox where kind = 'notice' and engagement_id = $1", played
    )
    assert notices == 1


async def test_the_trend_at_month_three_moves_no_money(desk: Desk, played: str) -> None:
    (trend,) = [e for e in await timeline(desk.pool, played) if e.type is EventType.TREND_READ]
    assert trend.facts["trends"] == {
        "win-rate-count": "IMPROVING",
        "ka-dso-days": "WORSENING",
        "ka-average-output": "IMPROVING",
    }
    moved = await desk.pool.fetchval(
        "select count(*) from journal_group where engagement_id = $1 and occurred_at = $2",
        played,
        trend.occurred_at,
    )
    assert moved == 0  # INV-10


async def test_nothing_of_the_project_is_possible_before_proceed(desk: Desk) -> None:
    story = Story(desk, "before-proceed", example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.refused_before_proceed()
    (refusal,) = story.refusals
    assert "eng.before-proceed.milestone.M1" in refusal or "does not run now" in refusal
    (document,) = await invoices(desk.pool, story.id)
    assert document.net == story.contract.loss_bound()  # INV-05


async def test_a_shelved_engagement_is_resumed_with_fresh_material_and_a_fresh_position(
    desk: Desk,
) -> None:
    story = Story(desk, "shelved", example("key-account"))
    await story.shelved_and_resumed()
    (refusal,) = story.refusals
    assert "expected it to be confirmed anew" in refusal
    found = await engagement(desk.pool, story.id)
    assert found.phase == "consulting"
    kinds = [e.type for e in await timeline(desk.pool, story.id)]
    assert kinds.count(EventType.POSITION_AGREED) == 2
    assert len(await invoices(desk.pool, story.id)) == 1  # the micro fee, not a second time
    assert (await verify(desk.pool)).ok


async def test_a_shelved_engagement_can_be_given_up(desk: Desk) -> None:
    story = Story(desk, "given-up", example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.shelved()
    await story.closed()
    assert (await engagement(desk.pool, story.id)).phase == "closed"
    assert (await verify(desk.pool)).ok


async def test_a_withheld_holdback_is_invoiced_and_its_lost_part_credited(desk: Desk) -> None:
    story = Story(desk, "withheld", example("key-account-withheld"))
    await story.value_bet()
    documents = await invoices(desk.pool, story.id)
    withheld = [d for d in documents if d.net.minor == 54_000_000]
    credits = [d for d in documents if d.corrects]
    assert len(withheld) == 1
    assert [(str(d.net), str(d.tax)) for d in credits] == [
        ("108000.00", "6480.00"),
        ("81000.00", "4860.00"),
    ]
    assert {d.corrects for d in credits} == {withheld[0].number}
    (hold,) = await holds(desk.pool, story.id)
    assert (str(hold.released), str(hold.forfeited)) == ("351000.00", "189000.00")
    assert (await verify(desk.pool)).ok


async def test_after_sales_runs_through_the_same_processes(desk: Desk) -> None:
    story = Story(desk, "after-sales", example("after-sales"))
    await story.value_bet()
    clocks = (await engagement(desk.pool, story.id)).clocks
    assert clocks is not None
    assert clocks.effort_minutes == 4_800  # 80 h (MC-12)
    assert (await verify(desk.pool)).ok


async def test_the_same_story_always_ends_with_the_same_ledger(desk: Desk, played: str) -> None:
    again = Story(desk, "again", example("key-account"))
    await again.value_bet()
    assert await journal(desk, again.id) == await journal(desk, played)
    assert [e[:3] for e in await told(desk, again.id) if "eng." not in e[2]] == [
        e[:3] for e in await told(desk, played) if "eng." not in e[2]
    ]


async def test_runs_that_renew_themselves_all_the_time_end_with_the_same_ledger(
    desk: Desk, played: str, tmp_path: Path
) -> None:
    """A server that suggests continue-as-new after every few events: nothing may get lost."""
    async with office(tmp_path, ["limit.historyCount.suggestContinueAsNew=25"]) as busy:
        contract: Contract = example("key-account")
        story = Story(busy, "renewing", contract)
        await story.value_bet()
        assert await journal(busy, story.id) == await journal(desk, played)
        renewed = [
            execution
            async for execution in busy.client.list_workflows("ExecutionStatus = 'ContinuedAsNew'")
        ]
        assert {run.id.split(".")[2] for run in renewed if run.id.count(".") > 1} >= {
            "micro",
            "milestone",
            "bet",
        }
        assert any(run.id == "eng.renewing" for run in renewed)
        assert (await verify(busy.pool)).ok
