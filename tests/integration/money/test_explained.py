"""What `explain` says of money: where it came from, where it went, who decided and what is left."""

from datetime import date

import pytest

from contracts.setting import ClockKind
from lifecycle.receivables import DisputeState, RefundState
from tests.integration.conftest import Story
from tests.integration.money.house import M1, MICRO, House, came, invoiced, yuan
from tollkeeper.views.explained import Explained, explain

TX1 = "QM/CN62/TX1"


@pytest.fixture
async def house(pool, key_account) -> House:
    return await invoiced(Story(pool, key_account, "E1", ClockKind.LIVE))


def told(found: Explained) -> list[tuple[object, ...]]:
    return [(step.what, step.amount, step.by, step.decided_by, step.why) for step in found.steps]


async def test_a_receipt_tells_who_paid_what_it_paid_what_went_back_and_what_is_left(house):
    await house.took(came("TX1", 200_000, MICRO, payer="Hengda"))
    await house.applied(TX1, M1, 10_000)
    await house.unapplied(TX1, M1)
    await house.signed(await house.refund("R1", TX1, 600))
    await house.settled("R1", RefundState.CONFIRMED)
    await house.refund("R2", TX1, 400)
    found = await explain(house.pool, TX1)
    assert found.subject == f"receipt {TX1} of 2025-01-02, 200000.00 CNY"
    assert told(found) == [
        ("came in from HD", yuan(200_000), "clerk", None, f"Hengda {MICRO}"),
        (f"applied to {MICRO}", yuan(-106_000), "clerk", None, None),
        (f"applied to {M1}", yuan(-10_000), "sun.hao", None, None),
        (f"taken back from {M1}", yuan(10_000), "sun.hao", None, "a slip"),
        (
            "paid back as refund eng.E1.refund.R1", yuan(-600), "sun.hao", "R1: gao.feng, li.wei",
            "statement 17",
        ),
    ]  # fmt: skip
    assert found.steps[0].on == date(2025, 1, 2)
    assert (found.left, found.reserved) == (yuan(93_400), yuan(400))
    assert [group.code for group in found.journal] == ["E07", "E08", "E08", "E30", "E20"]


async def test_money_of_nobody_known_that_bounced_in_the_end_tells_each_change(house):
    await house.took(came("TX1", 100, customer=None))
    await house.assigned(TX1)
    await house.bounced(TX1)
    found = await explain(house.pool, TX1)
    assert [(what, amount, why) for what, amount, _, _, why in told(found)] == [
        ("came in from nobody known yet", yuan(100), None),
        ("said to be from HD", None, None),
        ("taken back", yuan(-100), "no funds"),
    ]
    assert found.left == yuan(0)


async def test_a_refund_tells_where_its_money_came_from_who_signed_and_how_it_ended(house):
    await house.took(came("TX1", 1_000, payer="Hengda"))
    asked = await house.refund("R1", TX1, 600)
    found = await explain(house.pool, "eng.E1.refund.R1")
    came_in = (f"{TX1}: came in from HD", yuan(1_000), "clerk", None, "Hengda")
    wanted = ("refund asked for as R1", None, "sun.hao", None, "paid twice")
    assert told(found) == [came_in, wanted]
    await house.signed(asked)
    await house.settled("R1", RefundState.CONFIRMED)
    found = await explain(house.pool, "eng.E1.refund.R1")
    assert found.subject == "refund eng.E1.refund.R1, 600.00 CNY to CN99 HENGDA: confirmed"
    assert told(found) == [
        came_in,
        wanted,
        ("R1 approved", None, None, "gao.feng, li.wei", None),
        ("paid", yuan(-600), "clerk", None, "statement 17"),
    ]
    assert [group.code for group in found.journal] == ["E20"]


async def test_a_refund_that_was_turned_down_tells_why(house):
    await house.took(came("TX1", 1_000))
    await house.rejected(await house.refund("R1", TX1, 600))
    *_, asked, rejected, failed = told(await explain(house.pool, "eng.E1.refund.R1"))
    assert asked[0] == "refund asked for as R1"
    assert rejected == ("R1 rejected", None, None, "gao.feng", "no")
    assert failed == ("not paid, its credit is free again", None, None, None, "not approved: no")


async def test_a_dispute_tells_who_raised_it_how_it_was_ruled_and_what_is_to_be_paid(house):
    await house.dispute("D1", M1, 1_000)
    await house.signed(await house.ruling("D1", 400))
    found = await explain(house.pool, "eng.E1.dispute.D1")
    note = "QM-CN-2025-000001"
    assert told(found) == [
        (f"disputed of {M1}", yuan(1_000), "wang.fang", None, "not delivered"),
        ("dispute ruling asked for as rule-D1", None, "sun.hao", None, "half was there"),
        ("rule-D1 approved", None, None, "gao.feng, li.wei", None),
        (f"upheld: credited by {note}", yuan(-400), "gao.feng, li.wei", None, "half was there"),
        ("not upheld: to be paid", yuan(-600), "gao.feng, li.wei", None, "half was there"),
    ]
    assert [group.code for group in found.journal] == ["E21", "E22", "E21"]


async def test_a_dispute_that_is_withdrawn_is_to_be_paid(house):
    await house.dispute("D1", M1, None, 1)
    await house.ended("D1", DisputeState.WITHDRAWN, "wang.fang")
    raised, ended = told(await explain(house.pool, "eng.E1.dispute.D1"))
    assert raised[0] == f"disputed of {M1}, line 1"
    assert ended == ("withdrawn: to be paid", yuan(-381_600), "wang.fang", None, "seen")


async def test_an_invoice_tells_what_paid_it_and_a_credit_note_where_its_credit_went(house):
    await house.took(came("TX1", 106_000, MICRO, payer="Hengda"))
    await house.signed(await house.credit("C1", MICRO, 1_060))
    note = "QM-CN-2025-000001"
    await house.applied(note, M1)
    assert told(await explain(house.pool, MICRO)) == [
        (f"paid from {TX1}", yuan(106_000), "clerk", None, None),
        (f"credit again by {note}", yuan(-1_060), "sun.hao", "C1: gao.feng, li.wei", "late"),
    ]
    found = await explain(house.pool, note)
    assert told(found) == [
        (f"credited by {note}, paid before on {MICRO}", yuan(1_060), "sun.hao",
         "C1: gao.feng, li.wei", "late"),
        (f"applied to {M1}", yuan(-1_060), "sun.hao", None, None),
    ]  # fmt: skip
    assert found.left == yuan(0)


async def test_what_is_not_paid_has_no_steps(house):
    found = await explain(house.pool, M1)
    assert (found.steps, found.left) == ((), None)


async def test_the_key_of_what_was_posted_tells_who_ordered_it_and_with_which_approval(house):
    await house.took(came("TX1", 1_000))
    await house.applied(TX1, M1, 100)
    await house.signed(await house.write_off("W1", M1, 50))
    (group,) = (await explain(house.pool, f"{TX1}:apply:1")).journal
    for key in (f"{TX1}:apply:1", group.key):
        found = await explain(house.pool, key)
        assert found.subject == f"{TX1}:apply:1, apply credit"
        assert told(found) == [("apply credit", None, "sun.hao", None, None)]
        assert found.journal == (group,)
    found = await explain(house.pool, "eng.E1.write-off.W1")
    assert told(found) == [
        ("write off", None, "sun.hao", "W1: gao.feng, li.wei", "not worth a claim"),
    ]  # fmt: skip
