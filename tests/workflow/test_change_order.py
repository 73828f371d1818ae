"""Change orders as processes: what runs goes on under the new version, from its effective date."""

from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from activities.approvals import Approvals
from activities.change_orders import ChangeOrders
from contracts.calendar import add_period
from contracts.commands import AcceptMilestone, SubmitEvidence
from contracts.commercial import Authority
from contracts.contract import Contract, Milestone, Phase, SettlementWindow
from contracts.errors import NotAuthorised, NotFound
from contracts.events import EventType
from contracts.money import Money, parse_amount
from lifecycle.orders.approvals import SignRequest
from lifecycle.orders.change_orders import ProposeChange
from tests.forgery import said
from tests.workflow.conftest import example
from tollkeeper.bundle import bundle
from tollkeeper.desk import Desk
from tollkeeper.signing import signer_of
from tollkeeper.story import Story
from tollkeeper.verify import verify
from tollkeeper.views.approvals import approval
from tollkeeper.views.change_orders import change_order
from tollkeeper.views.documents import invoices
from tollkeeper.views.engagements import engagement, timeline


def cny(amount: str) -> Money:
    return parse_amount(amount, "CNY")


def first_version() -> Contract:
    contract = example("key-account")
    people = ("gao.feng", "li.wei", "sun.hao", "chen.yu")
    authority = tuple(Authority(person=person) for person in people)
    approvals = contract.approvals.model_copy(update={"authority": authority})
    # Of its own, since a contract version is registered with one text.
    return again(contract, id="KA-2024-CO", approvals=approvals)


def again(contract: Contract, **update: Any) -> Contract:
    return Contract.model_validate_json(contract.model_copy(update=update).model_dump_json())


def next_version(contract: Contract, milestones: tuple[Milestone, ...], **update: Any) -> Contract:
    """With these milestones; the project fee is what they and the holdback of before come to."""
    held = contract.holdback_amount()
    total = Money(held.minor + sum(terms.amount.minor for terms in milestones), "CNY")
    micro, project = contract.fees
    rate = Fraction(held.minor, total.minor)
    return again(
        contract,
        **{
            "version": contract.version + 1,
            "fees": (micro, project.model_copy(update={"amount": total})),
            "milestones": milestones,
            "holdback": contract.holdback.model_copy(update={"rate": rate}),
        }
        | update,
    )


class People:
    """What both sides do about change orders, at the story's moment."""

    def __init__(self, desk: Desk, story: Story) -> None:
        self.desk, self.story = desk, story

    def about(self, key: str, by: str) -> dict[str, Any]:
        return {
            "key": key,
            "engagement_id": self.story.id,
            "workflow_id": f"eng.{self.story.id}",
            "at": self.story.moment,
            "by": by,
        }

    async def agreed(self, name: str, contract: Contract, *, retroactive: bool = False) -> None:
        key = f"eng.{self.story.id}.request.{name}"
        order = ProposeChange(
            **self.about(key, "chen.yu"),
            change=name,
            contract=contract,
            retroactive=retroactive,
            reason="the scope grew",
        )
        await self.desk.book(ChangeOrders(self.desk.pool).propose_change, order)
        for person in ("gao.feng", "sun.hao"):
            found = await approval(self.desk.pool, self.story.id, name)
            sign = SignRequest(
                **self.about(f"{found.id}:sign:{person}", person),
                request=found.id,
                digest=found.digest,
            )
            await self.desk.book(Approvals(self.desk.pool).sign_request, sign)

    async def delivered(self, name: str, terms: Milestone, accepted_by: str = "wang.fang") -> None:
        evidence = {kind: f"{name}/{kind}.pdf" for kind in terms.evidence}
        submission = SubmitEvidence(
            command_id=f"submit-{name}", evidence=evidence, by="sun.hao", at=self.story.moment
        )
        await self.desk.ask("submit", submission, self.story.id, "milestone", name)
        acceptance = AcceptMilestone(
            command_id=f"accept-{name}-{accepted_by}", by=accepted_by, at=self.story.moment
        )
        await self.desk.ask("accept", acceptance, self.story.id, "milestone", name)


async def consulting(desk: Desk, engagement_id: str) -> tuple[Story, People]:
    """An engagement whose first phase has begun."""
    contract = again(first_version(), id=f"KA-{engagement_id}")
    story = Story(desk, engagement_id, contract)
    await story.opened_twice()
    await story.positions_agree()
    await story.steps_done(story.contract.micro_consulting.plan.steps)
    await story.proceeded()
    return story, People(desk, story)


async def kinds(desk: Desk, engagement_id: str) -> list[EventType]:
    return [event.type for event in await timeline(desk.pool, engagement_id)]


async def sound(desk: Desk) -> None:
    assert [check for check in (await verify(desk.pool)).checks if not check.ok] == []


async def test_a_milestone_that_is_added_is_delivered_and_billed(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await consulting(desk, engagement_id)
    one, *rest = story.contract.milestones
    added = one.model_copy(update={"id": "M1b", "amount": cny("50000.00"), "clause": "4.1b"})
    second = next_version(story.contract, (one, added, *rest), effective_on=story.today())
    await people.agreed("CO1", second)
    await people.delivered("M1", one)
    found = await engagement(desk.pool, story.id)
    assert found.phase == "consulting"  # M1 alone does not end it any more
    await people.delivered("M1b", added)
    assert (await engagement(desk.pool, story.id)).phase == "design_build"
    billed = [(str(each.net), each.contract) for each in await invoices(desk.pool, story.id)]
    assert billed[1:] == [
        ("360000.00", f"{second.id}@v2"),
        ("50000.00", f"{second.id}@v2"),
    ]
    await sound(desk)


async def test_one_that_is_withdrawn_is_waited_for_no_longer(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await consulting(desk, engagement_id)
    await people.delivered("M1", story.contract.milestone("M1"))
    _, gone, *rest = story.contract.milestones
    kept = (story.contract.milestone("M1"), *rest)
    await people.agreed("CO1", next_version(story.contract, kept, effective_on=story.today()))
    assert EventType.MILESTONE_WITHDRAWN in await kinds(desk, story.id)
    with pytest.raises(NotFound):
        await people.delivered("M2", gone)
    for terms in rest:
        await people.delivered(terms.id, terms)
    assert (await engagement(desk.pool, story.id)).phase == "operating"
    await sound(desk)


async def test_a_retroactive_raise_of_a_billed_milestone_issues_one_document(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await consulting(desk, engagement_id)
    one, *rest = story.contract.milestones
    await people.delivered("M1", one)
    dearer = one.model_copy(update={"amount": cny("380000.00")})
    second = next_version(story.contract, (dearer, *rest), effective_on=story.today())
    await people.agreed("CO1", second, retroactive=True)
    *_, delta = await invoices(desk.pool, story.id)
    assert (delta.purpose, delta.document, str(delta.net)) == ("delta", "invoice", "20000.00")
    assert (await change_order(desk.pool, story.id, "CO1")).document == delta.number
    await desk.tell(story.id)
    assert len(await invoices(desk.pool, story.id)) == 3
    await sound(desk)


async def test_it_waits_for_its_effective_date(desk: Desk, engagement_id: str) -> None:
    story, people = await consulting(desk, engagement_id)
    _, two, *rest = story.contract.milestones
    dearer = two.model_copy(update={"amount": cny("300000.00"), "evidence": ("design", "letter")})
    first = story.contract.milestone("M1")
    day = story.today() + timedelta(days=30)
    second = next_version(story.contract, (first, dearer, *rest), effective_on=day)
    await people.agreed("CO1", second)
    assert (await change_order(desk.pool, story.id, "CO1")).state == "agreed"
    await people.delivered("M1", first)
    process = next(
        each for each in (await engagement(desk.pool, story.id)).processes if each.id.endswith("M2")
    )
    assert process.waiting is not None
    assert process.waiting.why == "evidence: solution-design"
    await story._until(story._nine_o_clock(day))
    assert (await change_order(desk.pool, story.id, "CO1")).state == "applied"
    process = next(
        each for each in (await engagement(desk.pool, story.id)).processes if each.id.endswith("M2")
    )
    assert process.waiting is not None
    assert process.waiting.why == "evidence: design, letter"
    await people.delivered("M2", dearer)
    *_, billed = await invoices(desk.pool, story.id)
    assert str(billed.net) == "300000.00"
    await sound(desk)


async def test_one_that_became_impossible_lapses_and_people_are_told(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await consulting(desk, engagement_id)
    one, *rest = story.contract.milestones
    dearer = one.model_copy(update={"amount": cny("400000.00")})
    day = story.today() + timedelta(days=30)
    await people.agreed("CO1", next_version(story.contract, (dearer, *rest), effective_on=day))
    await people.delivered("M1", one)
    await story._until(story._nine_o_clock(day))
    found = await change_order(desk.pool, story.id, "CO1")
    assert found.state == "lapsed"
    assert found.refusal is not None
    assert "M1" in found.refusal
    told = await kinds(desk, story.id)
    assert told.count(EventType.CHANGE_LAPSED) == 1
    assert EventType.ESCALATION_RAISED in told
    await sound(desk)


async def test_after_the_go_live_milestone_the_fee_grows_with_what_is_at_stake(
    desk: Desk, engagement_id: str, tmp_path: Path
) -> None:
    """Measured from the go-live milestone on; at stake is what was agreed before all was accepted."""
    story, people = await consulting(desk, engagement_id)
    one, two, three, live = story.contract.milestones
    for terms in (one, two, live):
        await people.delivered(terms.id, terms)
    started_on = story.today()
    await story._working_days(5)
    dearer = three.model_copy(update={"amount": cny("400000.00")})
    added = three.model_copy(update={"id": "M5", "clause": "4.5", "amount": cny("30000.00")})
    micro, project = story.contract.fees
    # 70 % of 1,900,000: 360,000 + 270,000 + 400,000 + 270,000 + 30,000.
    second = next_version(
        story.contract,
        (one, two, dearer, live, added),
        fees=(micro, project.model_copy(update={"amount": cny("1900000.00")})),
        holdback=story.contract.holdback,
        effective_on=story.today(),
    )
    await people.agreed("CO1", second)
    agreed_at, story.contract = story.moment, second
    await story._working_days(5)
    for terms in (dearer, added):
        assert (await engagement(desk.pool, story.id)).phase == "design_build"
        await people.delivered(terms.id, terms)
    assert (await engagement(desk.pool, story.id)).phase == "operating"
    (placed,) = [
        event
        for event in await timeline(desk.pool, story.id)
        if event.type is EventType.HOLD_PLACED
    ]
    assert (placed.facts["amount"], placed.occurred_at) == ("570000.00", agreed_at)

    (bet,) = second.bets
    for window in bet.windows:
        ends_on = add_period(started_on, window.after)
        if isinstance(window, SettlementWindow):
            await story.measured(bet, window.settles, started_on, ends_on)
        await story._until(story._nine_o_clock(ends_on + timedelta(days=1)))
    await story.closed()
    assert (await engagement(desk.pool, story.id)).phase == "closed"
    await sound(desk)
    signer = signer_of(tmp_path)
    said(await bundle(desk.pool, story.id, signer), signer.fingerprint)


async def test_whom_the_new_version_names_may_sign_from_then_on(
    desk: Desk, engagement_id: str
) -> None:
    story, people = await consulting(desk, engagement_id)
    parties = story.contract.parties
    everyone = tuple(
        person.model_copy(update={"id": "liu.yang"}) if person.id == "wang.fang" else person
        for person in parties.client.people
    )
    client = parties.client.model_copy(update={"people": everyone})
    second = next_version(
        story.contract,
        story.contract.milestones,
        parties=parties.model_copy(update={"client": client}),
        effective_on=story.today(),
    )
    await people.agreed("CO1", second)
    one = story.contract.milestone("M1")
    with pytest.raises(NotAuthorised, match=r"liu\.yang"):
        await people.delivered("M1", one)
    acceptance = AcceptMilestone(command_id="accept", by="liu.yang", at=story.moment)
    await desk.ask("accept", acceptance, story.id, "milestone", "M1")
    assert (await engagement(desk.pool, story.id)).phase == Phase.DESIGN_BUILD.value
    await sound(desk)
