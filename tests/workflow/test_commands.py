"""What the processes answer to people: once each, in order, and only from those who may."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from contracts.commands import (
    AddReading,
    AnswerPosition,
    CompleteStep,
    Decide,
    Outcome,
    Stance,
    SubmitEvidence,
)
from contracts.contract import Role
from contracts.errors import (
    EngagementError,
    KeyReused,
    NotAuthorised,
    NotFound,
    TransitionError,
)
from contracts.setting import ClockKind
from tests.workflow.conftest import example
from tollkeeper.desk import Desk
from tollkeeper.story import Story
from tollkeeper.views.engagements import timeline

NINE = datetime(2024, 9, 2, 1, tzinfo=UTC)


def answer(
    command_id: str = "a1", by: str = "li.wei", stance: Stance = Stance.PROFIT_CENTRE
) -> AnswerPosition:
    return AnswerPosition(
        command_id=command_id,
        by=by,
        at=NINE,
        role=Role.UNIT_HEAD,
        stance=stance,
        assessed_by="contribution margin",
    )


async def opened(desk: Desk, engagement_id: str) -> None:
    await desk.open(engagement_id, example("key-account"), ClockKind.TEST, NINE, "sun.hao")


async def test_opening_twice_finds_the_same_engagement(desk: Desk, engagement_id: str) -> None:
    contract = example("key-account")
    first = await desk.open(engagement_id, contract, ClockKind.TEST, NINE, "sun.hao")
    later = NINE + timedelta(days=1)
    assert await desk.open(engagement_id, contract, ClockKind.TEST, later, "chen.yu") == first


async def test_an_id_in_use_is_not_opened_under_another_contract(
    desk: Desk, engagement_id: str
) -> None:
    await opened(desk, engagement_id)
    told = (
        r"KA-2024-017@v1 on a test clock \(opened by sun\.hao on 2024-09-02\); found another text"
    )
    with pytest.raises(KeyReused, match=told):
        await desk.open(engagement_id, example("after-sales"), ClockKind.TEST, NINE, "xu.jing")


async def test_a_contract_version_stands_for_one_text(desk: Desk, engagement_id: str) -> None:
    await opened(desk, engagement_id)
    changed = example("key-account")
    changed = changed.model_copy(update={"signed_on": changed.signed_on - timedelta(days=1)})
    other = f"{engagement_id}-other"
    with pytest.raises(KeyReused, match="registered with another text"):
        await desk.open(other, changed, ClockKind.TEST, NINE, "sun.hao")
    # The id that was refused is free for the right document.
    await opened(desk, other)


async def test_a_command_asked_twice_is_done_once(desk: Desk, engagement_id: str) -> None:
    await opened(desk, engagement_id)
    first = await desk.ask("answer_position", answer(), engagement_id)
    assert await desk.ask("answer_position", answer(), engagement_id) == first
    events = [e for e in await timeline(desk.pool, engagement_id) if "position" in e.type.value]
    assert len(events) == 1


async def test_a_command_id_with_other_content_is_refused(desk: Desk, engagement_id: str) -> None:
    await opened(desk, engagement_id)
    await desk.ask("answer_position", answer(), engagement_id)
    told = (
        r"command a1 came to eng\.\S+ before, with other content, and caused value_position\.answered; .* "
        r"\(given by li\.wei at 2024-09-02 01:00 UTC\)"
    )
    with pytest.raises(KeyReused, match=told):
        await desk.ask("answer_position", answer(stance=Stance.OTHER), engagement_id)


async def test_only_the_person_the_contract_names_may_sign(desk: Desk, engagement_id: str) -> None:
    await opened(desk, engagement_id)
    with pytest.raises(NotAuthorised, match=r"found 'chen\.yu', expected the contract's unit head"):
        await desk.ask("answer_position", answer(by="chen.yu"), engagement_id)


async def test_a_command_from_the_future_of_a_test_clock_is_refused(
    desk: Desk, engagement_id: str
) -> None:
    await opened(desk, engagement_id)
    early = answer().model_copy(update={"at": NINE + timedelta(hours=1)})
    with pytest.raises(TransitionError, match="stands at 2024-09-02T01:00:00"):
        await desk.ask("answer_position", early, engagement_id)


async def test_steps_are_done_in_their_order(desk: Desk, engagement_id: str) -> None:
    story = Story(desk, engagement_id, example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    second = CompleteStep(command_id="s", by="chen.yu", at=story.moment, step="S02", minutes=60)
    with pytest.raises(TransitionError, match=r"expected S01 \(Training\)"):
        await desk.ask(
            "complete_step", second, engagement_id, *await desk.micro_consulting(engagement_id)
        )


async def test_a_milestone_that_does_not_run_is_not_found(desk: Desk, engagement_id: str) -> None:
    await opened(desk, engagement_id)
    submission = SubmitEvidence(
        command_id="m", by="sun.hao", at=NINE, evidence={"process-set": "p.pdf"}
    )
    with pytest.raises(NotFound, match="does not run now"):
        await desk.ask("submit", submission, engagement_id, "milestone", "M1")


async def test_the_last_command_of_a_process_asked_again_has_its_receipt(
    desk: Desk, engagement_id: str
) -> None:
    story = Story(desk, engagement_id, example("key-account"))
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    micro = await desk.micro_consulting(engagement_id)
    signatures = [
        Decide(
            command_id=by, by=by, at=story.moment, role=role, outcome=Outcome.PROCEED, reason="x"
        )
        for by, role in (("li.wei", Role.BUSINESS_LEAD), ("zhao.min", Role.IT_LEAD))
    ]
    for signature in signatures:
        receipt = await desk.ask("decide", signature, engagement_id, *micro)
    again = await desk.ask("decide", signatures[-1], engagement_id, *micro)
    assert again.events == receipt.events == ("decision.signed", "engagement.proceeded")
    with pytest.raises(
        NotFound, match=rf"eng\.{engagement_id}\.micro\.key-account does not run now"
    ):
        await desk.ask(
            "decide",
            signatures[-1].model_copy(update={"command_id": "new"}),
            engagement_id,
            *micro,
        )


async def test_a_reading_is_signed_by_the_it_lead_and_of_a_day_that_was(
    desk: Desk, engagement_id: str
) -> None:
    await opened(desk, engagement_id)
    reading = AddReading(
        command_id="r1",
        by="zhao.min",
        at=NINE,
        indicator="ka-dso-days",
        measured_on=NINE.date(),
        value=Decimal("90.5"),
        sample=40,
        source="ERP",
        evidence="x.csv",
    )
    for wrong, refusal in (
        ({"by": "sun.hao"}, "expected the contract's it lead: zhao.min"),
        ({"measured_on": date(2031, 1, 1)}, "found a reading of 2031-01-01"),
        ({"indicator": "win-rate-value"}, "found a reading of 'win-rate-value'"),
        ({"at": NINE + timedelta(hours=1)}, "expected that time or earlier"),
    ):
        with pytest.raises(EngagementError, match=refusal):
            await desk.add_reading(engagement_id, reading.model_copy(update=wrong))
    await desk.add_reading(engagement_id, reading)
    earlier = reading.model_copy(update={"at": NINE - timedelta(minutes=1)})
    await desk.add_reading(engagement_id, earlier)  # the same command, said again
    count = await desk.pool.fetchval(
        "select count(*) from reading where engagement_id = $1", engagement_id
    )
    assert count == 1


async def test_somebody_the_contract_does_not_name_opens_nothing(
    desk: Desk, engagement_id: str
) -> None:
    with pytest.raises(NotAuthorised, match="expected one of the contract's people"):
        await desk.open(engagement_id, example("key-account"), ClockKind.TEST, NINE, "nobody")


async def test_an_unknown_engagement_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound, match="'nobody'"):
        await desk.ask("answer_position", answer(), "nobody")


async def test_a_test_clock_never_runs_backwards(desk: Desk, engagement_id: str) -> None:
    await opened(desk, engagement_id)
    with pytest.raises(TransitionError, match="expected a later time"):
        await desk.advance(engagement_id, NINE - timedelta(seconds=1))
