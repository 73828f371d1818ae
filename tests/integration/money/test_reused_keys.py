"""A key that stands for something: whoever comes with other content is told for what, and whose."""

from datetime import timedelta

import pytest

from activities.receivables.receipts import take_in
from activities.receivables.refunds import request_refund
from contracts.errors import KeyReused
from contracts.setting import ClockKind
from lifecycle.orders.receivables import RequestRefund
from tests.integration.conftest import Story
from tests.integration.money.house import M1, MICRO, NOW, House, came, invoiced, yuan


@pytest.fixture
async def house(pool, key_account) -> House:
    return await invoiced(Story(pool, key_account, "E1", ClockKind.LIVE))


BOOKED = r"booked 20\d\d-\d\d-\d\d \d\d:\d\d"


async def test_an_id_given_twice_tells_what_it_stands_for_who_gave_it_when_and_what_differs(house):
    await house.dispute("D1", M1, 100)
    told = (
        r"^eng\.E1\.dispute\.D1:open: found other content than on record \(open dispute by wang\.fang "
        rf"at 2025-02-01 08:00, {BOOKED} Asia/Shanghai\): amount: 100\.00 CNY on record, 200\.00 CNY "
        rf"given; invoice: {M1} on record, {MICRO} given; expected the same, or another id$"
    )
    with pytest.raises(KeyReused, match=told):
        await house.dispute("D1", MICRO, 200)


async def test_an_id_of_another_kind_of_request_says_so_first(house):
    await house.write_off("R1", MICRO, 100)
    told = (
        r"\(request write off by sun\.hao at .*\): order: request write off on record, request credit "
        r"given; amount: 100\.00 CNY on record, 50\.00 CNY given; .*"
        r"write_off: eng\.E1\.write-off\.R1 on record, nothing given"
    )
    with pytest.raises(KeyReused, match=told):
        await house.credit("R1", MICRO, 50)


async def test_another_person_under_the_same_id_is_told_whose_it_is(house):
    await house.dispute("D1", M1, 100)
    with pytest.raises(KeyReused, match=r"by: wang\.fang on record, zhao\.lei given"):
        await house.dispute("D1", M1, 100, by="zhao.lei")


async def test_a_reference_of_the_bank_tells_who_recorded_it_and_what_differs(house):
    await house.took(came("TX1", 100, "one"))
    told = (
        r"^bank\.csv, line 2: found reference 'TX1' of account CN62 with other content than on record "
        rf"\(recorded by clerk, {BOOKED} UTC\): text: one on record, two given; "
        r"customer: HD on record, nothing given; expected the same, or another reference$"
    )
    receipts = [came("TX1", 100, "two", customer=None)]
    with pytest.raises(KeyReused, match=told):
        await take_in(house.pool, receipts, "clerk", NOW, ["bank.csv, line 2"])


async def test_two_lines_of_one_file_under_one_reference_are_told_apart(house):
    told = r"amount: 100\.00 CNY on record, 200\.00 CNY given"
    with pytest.raises(KeyReused, match=told):
        await house.took(came("TX1", 100), came("TX1", 200))


async def test_a_contract_version_of_another_text_tells_for_whom_it_is_registered(
    house, key_account
):
    changed = key_account.model_copy(update={"signed_on": key_account.signed_on - timedelta(1)})
    told = (
        r"^contract KA-2024-017 version 1 is registered with another text \(for engagement E1 by \S+, "
        rf"{BOOKED} UTC\): signed_on: {key_account.signed_on} on record, {changed.signed_on} given; "
        r"expected that text, or a new version number for a changed document$"
    )
    with pytest.raises(KeyReused, match=told):
        await Story(house.pool, changed, "E2", ClockKind.LIVE).opened()


async def test_the_same_request_handed_in_again_later_is_the_same_request(house):
    """What people ask for is dated by when they ask first; a live clock has gone on by then."""
    await house.took(came("TX1", 1_000))
    first = await house.refund("R1", "QM/CN62/TX1", 600)
    again = RequestRefund(
        **house.about("eng.E1.request.R1") | {"at": NOW + timedelta(hours=1)},
        refund=house.id("refund", "R1"),
        source="QM/CN62/TX1",
        amount=yuan(600),
        pay_to="CN99 HENGDA",
        reason="paid twice",
    )
    assert await request_refund(house.pool, again) == first
