"""Receipts, credit, refunds, disputes, credit notes and ageing, on a real PostgreSQL."""

import asyncio
from datetime import date

import httpx
import pytest
from temporalio.testing import ActivityEnvironment

from activities.approvals import Approvals
from activities.export.port import Endpoint
from activities.postgres import Pool
from activities.receivables.receipts import take_in
from activities.receivables.refunds import Refunds
from contracts.commercial import Decision
from contracts.errors import KeyReused, NotAuthorised, NotFound, TermsError, TransitionError
from contracts.events import EventType
from contracts.money import Money
from contracts.setting import Book, ClockKind
from lifecycle.approval import RequestState
from lifecycle.orders.approvals import AskAgain
from lifecycle.orders.receivables import Applied, AskRefund, SendRefund
from lifecycle.receivables import Age, DisputeState, RefundState
from tests.integration.conftest import Story
from tests.integration.money.house import M1, M2, MICRO, NOW, House, came, invoiced, yuan
from tests.provider import paying
from tollkeeper.verify import verify
from tollkeeper.views.approvals import approvals
from tollkeeper.views.engagements import timeline
from tollkeeper.views.receivables import ageing, disputes, receipt, receipts, refunds
from tollkeeper.why_not import why_not


@pytest.fixture
async def house(pool, key_account) -> House:
    return await invoiced(Story(pool, key_account, "E1", ClockKind.LIVE))


async def broken(pool: Pool) -> set[str]:
    """The checks that find something."""
    return {check.id for check in (await verify(pool)).checks if not check.ok}


async def is_verified(pool: Pool) -> bool:
    verification = await verify(pool)
    assert [check for check in verification.checks if not check.ok] == []
    return True


# Receipts.


async def test_a_receipt_pays_the_invoice_that_its_text_names(house):
    (told,) = await house.took(came("TX1", 106_000, f"re {MICRO}"))
    assert [(part.invoice, part.amount) for part in told.applied] == [(MICRO, yuan(106_000))]
    assert told.left == yuan(0)
    assert await house.open(MICRO) == yuan(0)
    assert await house.account("1000") == yuan(106_000)
    assert await is_verified(house.pool)


async def test_part_payment_leaves_the_rest_open_and_over_payment_becomes_credit(house):
    await house.took(came("TX1", 6_000, MICRO))
    assert await house.open(MICRO) == yuan(100_000)
    (told,) = await house.took(came("TX2", 150_000, MICRO))
    assert (await house.open(MICRO), told.left) == (yuan(0), yuan(50_000))
    assert [each.id for each in await receipts(house.pool, unapplied=True)] == ["QM/CN62/TX2"]
    assert await is_verified(house.pool)


async def test_without_a_number_the_amount_decides_and_nothing_is_guessed(house):
    told = await house.took(came("TX1", 286_200, "thanks"), came("TX2", 1_000, "thanks"))
    assert [[part.invoice for part in each.applied] for each in told] == [[M2], []]
    assert await is_verified(house.pool)


async def test_money_of_nobody_known_waits_until_somebody_says_whose_it_is(house):
    (told,) = await house.took(came("TX1", 106_000, "no words", customer=None))
    assert (told.customer, told.applied, told.left) == (None, (), yuan(106_000))
    assert (await receipt(house.pool, "QM/CN62/TX1")).customer is None
    with pytest.raises(TransitionError, match="of nobody known yet with QM"):
        await house.applied("QM/CN62/TX1", MICRO)
    told = await house.assigned("QM/CN62/TX1")
    assert (told.customer, [part.invoice for part in told.applied]) == ("HD", [MICRO])
    assert await house.account("2300") == yuan(0)
    assert await is_verified(house.pool)


async def test_an_invoice_number_says_who_paid(house):
    (told,) = await house.took(came("TX1", 106_000, MICRO, customer=None))
    assert (told.customer, len(told.applied)) == ("HD", 1)
    assert await is_verified(house.pool)


async def test_what_is_of_a_customer_and_used_is_not_given_to_another(house):
    await house.took(came("TX1", 106_000, MICRO))
    with pytest.raises(NotFound, match="found customer 'XX', expected a client of QM: HD"):
        await house.assigned("QM/CN62/TX1", "XX")
    with pytest.raises(TransitionError, match="is of HD already"):
        await house.assigned("QM/CN62/TX1", "HD")


async def test_taking_a_file_in_twice_stores_and_applies_once(house):
    """d-1, d-2: also where files overlap."""
    first = [came("TX1", 106_000, MICRO), came("TX2", 100)]
    told = await house.took(*first)
    assert await house.took(*first) == told
    assert (await house.took(*first, came("TX3", 1)))[:2] == told
    assert len(await receipts(house.pool)) == 3
    assert await house.account("1000") == yuan(106_101)
    assert await is_verified(house.pool)


async def test_of_twenty_files_that_overlap_at_once_each_receipt_is_stored_and_applied_once(house):
    """In whatever order they come, none waits for another that waits for it."""
    came_in = [came(f"TX{number}", 1_000, MICRO) for number in range(5)]
    files = [(came_in, came_in[::-1], came_in[1:])[number % 3] for number in range(20)]
    told = await asyncio.gather(*(house.took(*file) for file in files), return_exceptions=True)
    assert [each for each in told if isinstance(each, BaseException)] == []
    assert await house.open(MICRO) == yuan(101_000)
    assert await house.account("1000") == yuan(5_000)
    assert await is_verified(house.pool)


async def test_a_reference_that_comes_with_other_content_is_refused_and_nothing_of_the_file_stored(
    house,
):
    await house.took(came("TX1", 100))
    with pytest.raises(KeyReused, match=r"bank.csv, line 3: found reference 'TX1' .* 200.00 CNY"):
        await take_in(
            house.pool,
            [came("TX0", 1), came("TX1", 200)],
            "clerk",
            NOW,
            ["bank.csv, line 2", "bank.csv, line 3"],
        )
    assert [each.id for each in await receipts(house.pool)] == ["QM/CN62/TX1"]


async def test_an_unknown_customer_code_and_a_day_to_come_are_refused(house):
    with pytest.raises(NotFound, match="found customer 'HDD', expected a client of QM: HD"):
        await house.took(came("TX1", 100, customer="HDD"))
    with pytest.raises(TermsError, match="found money received on 2052-01-02"):
        await house.took(came("TX1", 100, received_on=date(2052, 1, 2)))


async def test_the_books_never_mix(house, key_account):
    """The sandbox's money pays the sandbox's invoices alone, and its receipts are called TEST."""
    played = Story(house.pool, key_account, "S1", ClockKind.TEST)
    await played.opened()
    number = (await played.consulted()).number
    (told,) = await house.took(came("TX1", 106_000, f"{number} {MICRO}", book=Book.SANDBOX))
    assert told.receipt == "TEST-QM/CN62/TX1"
    assert [part.invoice for part in told.applied] == [number]
    with pytest.raises(TransitionError, match="in the sandbox book, expected it in CNY of HD"):
        await house.applied("TEST-QM/CN62/TX1", MICRO)
    assert await is_verified(house.pool)


# By hand.


async def test_a_person_applies_what_is_left_and_takes_it_back(house):
    await house.took(came("TX1", 500_000))
    assert (await house.applied("QM/CN62/TX1", M1, 81_600)).amount == yuan(81_600)
    assert (await house.applied("QM/CN62/TX1", M1, command="2")).amount == yuan(300_000)
    with pytest.raises(TransitionError, match="found nothing to apply"):
        await house.applied("QM/CN62/TX1", M1, command="3")
    assert (await house.unapplied("QM/CN62/TX1", M1)).amount == yuan(381_600)
    assert await house.open(M1) == yuan(381_600)
    assert (await receipt(house.pool, "QM/CN62/TX1")).left == yuan(500_000)
    assert await is_verified(house.pool)


async def test_of_twenty_at_once_no_more_is_applied_than_came_in(house):
    await house.took(came("TX1", 10_500))
    attempts = [house.applied("QM/CN62/TX1", M1, 1_000, str(number)) for number in range(20)]
    told = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(each, Applied) for each in told) == 10
    assert {type(each) for each in told} == {Applied, TransitionError}
    assert await house.open(M1) == yuan(371_600)
    assert await is_verified(house.pool)


async def test_a_receipt_that_bounced_opens_what_it_paid_again_once(house):
    await house.took(came("TX1", 487_600, f"{MICRO} {M1}"))
    assert await house.open(M1) == yuan(0)
    told = await house.bounced("QM/CN62/TX1")
    assert await house.bounced("QM/CN62/TX1") == told
    assert (await house.open(MICRO), await house.open(M1)) == (yuan(106_000), yuan(381_600))
    assert await house.account("1000") == yuan(0)
    assert (await receipt(house.pool, "QM/CN62/TX1")).bounced
    with pytest.raises(TransitionError, match="found nothing to apply"):
        await house.applied("QM/CN62/TX1", M1)
    with pytest.raises(TransitionError):
        await house.assigned("QM/CN62/TX1", "HD")
    assert await is_verified(house.pool)


async def test_a_receipt_does_not_bounce_before_it_came_in(house):
    await house.took(came("TX1", 100))
    with pytest.raises(TransitionError, match="expected 2025-01-02, when it came in, or later"):
        await house.bounced("QM/CN62/TX1", day=1)


# Refunds.


async def test_two_payments_alike_are_two_events_as_they_are_two_postings(house):
    await house.took(came("TX1", 1_000))
    for command in ("1", "2"):
        await house.applied("QM/CN62/TX1", MICRO, 400, command)
    await house.unapplied("QM/CN62/TX1", MICRO)
    told = [
        (event.type, event.facts["amount"], event.facts["group"])
        for event in await timeline(house.pool, "E1")
        if event.type in (EventType.PAYMENT_APPLIED, EventType.PAYMENT_TAKEN_BACK)
    ]
    assert [(kind, amount) for kind, amount, _ in told] == [
        (EventType.PAYMENT_APPLIED, "400.00"),
        (EventType.PAYMENT_APPLIED, "400.00"),
        (EventType.PAYMENT_TAKEN_BACK, "400.00"),
        (EventType.PAYMENT_TAKEN_BACK, "400.00"),
    ]
    posted = await house.pool.fetch(
        "select key from journal_group where code in ('E08', 'E30') order by id"
    )
    assert [group for *_, group in told] == [row["key"] for row in posted]


async def test_a_refund_is_reserved_then_approved_then_paid_by_hand(house):
    await house.took(came("TX1", 1_000))
    requested = await house.refund("R1", "QM/CN62/TX1", 600)
    reserved = r"600\.00 is reserved by eng\.E1\.refund\.R1"
    with pytest.raises(
        TransitionError, match=rf"\(400\.00 is left of it, {reserved}, 106000\.00 is"
    ):
        await house.applied("QM/CN62/TX1", MICRO, 401)
    with pytest.raises(TransitionError, match=rf"at most 400\.00: 1000\.00 is left, {reserved}"):
        await house.refund("R2", "QM/CN62/TX1", 401)
    with pytest.raises(
        TransitionError, match=rf"400\.00 of 1000\.00 CNY left, {reserved}, expected"
    ):
        await house.bounced("QM/CN62/TX1")
    with pytest.raises(TransitionError, match="expected it to be approved first"):
        await house.settled("R1", RefundState.CONFIRMED)
    assert (await house.signed(requested)).state is RequestState.APPROVED
    await house.settled("R1", RefundState.CONFIRMED)
    await house.settled("R1", RefundState.CONFIRMED, by="another")
    assert await house.account("1000") == yuan(400)
    assert (await receipt(house.pool, "QM/CN62/TX1")).left == yuan(400)
    with pytest.raises(TransitionError, match="is confirmed, found a step to failed"):
        await house.settled("R1", RefundState.FAILED)
    assert await is_verified(house.pool)


async def test_a_refund_that_is_rejected_or_fails_gives_its_credit_back(house):
    await house.took(came("TX1", 1_000))
    await house.rejected(await house.refund("R1", "QM/CN62/TX1", 1_000))
    await house.signed(await house.refund("R2", "QM/CN62/TX1", 1_000))
    await house.settled("R2", RefundState.FAILED)
    assert [each.state for each in await refunds(house.pool)] == [RefundState.FAILED] * 2
    assert (await house.applied("QM/CN62/TX1", M1)).amount == yuan(1_000)
    assert await is_verified(house.pool)


async def test_of_twenty_refunds_and_applications_at_once_the_credit_is_used_once(house):
    await house.took(came("TX1", 1_000))
    attempts = [
        house.refund(f"R{number}", "QM/CN62/TX1", 300)
        if number % 2
        else house.applied("QM/CN62/TX1", M1, 300, str(number))
        for number in range(20)
    ]
    told = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in told) == 3
    assert await is_verified(house.pool)


async def test_a_receipt_that_is_being_paid_back_does_not_bounce(house):
    await house.took(came("TX1", 1_000))
    await house.refund("R1", "QM/CN62/TX1", 600)
    with pytest.raises(TransitionError, match=r"found 400.00 of 1000.00 CNY left"):
        await house.bounced("QM/CN62/TX1")


async def test_a_provider_that_loses_its_answer_leaves_it_unknown_until_it_is_asked(house):
    """d-11: UNKNOWN is resolved by asking; the second sending pays nothing twice."""
    await house.took(came("TX1", 1_000))
    await house.signed(await house.refund("R1", "QM/CN62/TX1", 600))
    with paying() as provider:
        async with httpx.AsyncClient() as client:
            activities = Refunds(house.pool, client, Endpoint(provider.url, (provider.secret,)))
            about = house.about("eng.E1.refund.R1:send")
            send = SendRefund(**about, refund="eng.E1.refund.R1")
            ask = AskRefund(**about, refund="eng.E1.refund.R1")
            run = ActivityEnvironment().run
            provider.answers = ["lost", "broken", "pending"]
            assert (await run(activities.send_refund, send)).state is RefundState.UNKNOWN
            assert (await run(activities.ask_refund, ask)).state is RefundState.UNKNOWN
            assert (await run(activities.send_refund, send)).state is RefundState.SENT
            assert (await run(activities.ask_refund, ask)).state is RefundState.CONFIRMED
            assert list(provider.paid) == ["eng.E1.refund.R1"]
            assert provider.paid["eng.E1.refund.R1"]["amount"] == "600.00"
    assert provider.unsigned == 0
    assert await is_verified(house.pool)


async def test_a_provider_that_refuses_says_that_nothing_is_paid(house):
    await house.took(came("TX1", 1_000))
    await house.signed(await house.refund("R1", "QM/CN62/TX1", 600))
    with paying() as provider:
        provider.answers = ["refused"]
        async with httpx.AsyncClient() as client:
            activities = Refunds(house.pool, client, Endpoint(provider.url, (provider.secret,)))
            send = SendRefund(**house.about("x"), refund="eng.E1.refund.R1")
            told = await ActivityEnvironment().run(activities.send_refund, send)
    assert told.state is RefundState.FAILED
    assert "account closed" in str(told.evidence)


async def test_what_is_not_approved_is_not_sent(house):
    await house.took(came("TX1", 1_000))
    await house.refund("R1", "QM/CN62/TX1", 600)
    with paying() as provider:
        async with httpx.AsyncClient() as client:
            activities = Refunds(house.pool, client, Endpoint(provider.url, (provider.secret,)))
            send = SendRefund(**house.about("x"), refund="eng.E1.refund.R1")
            with pytest.raises(TransitionError, match="expected it to be approved"):
                await ActivityEnvironment().run(activities.send_refund, send)
    assert provider.paid == {}


# Disputes.


async def test_a_disputed_part_is_set_aside_and_comes_back_when_it_is_withdrawn(house):
    told = await house.dispute("D1", M1, 81_600)
    assert (told.state, await house.open(M1)) == (DisputeState.OPEN, yuan(300_000))
    with pytest.raises(NotAuthorised, match=r"found 'sun.hao', expected one of the people of HD"):
        await house.ended("D1", DisputeState.WITHDRAWN, "sun.hao")
    await house.ended("D1", DisputeState.WITHDRAWN, "wang.fang")
    with pytest.raises(TransitionError, match="is withdrawn, found a step to rejected"):
        await house.ended("D1", DisputeState.REJECTED, "sun.hao")
    assert await house.open(M1) == yuan(381_600)
    assert await is_verified(house.pool)


async def test_only_what_is_open_is_disputed_and_only_the_client_disputes(house):
    await house.took(came("TX1", 106_000, MICRO))
    with pytest.raises(TransitionError, match="for what is paid, ask for a credit"):
        await house.dispute("D1", MICRO, 1)
    with pytest.raises(NotAuthorised, match="expected one of the people of HD"):
        await house.dispute("D1", M1, 1, by="sun.hao")
    with pytest.raises(TermsError, match="found lines and an amount, or neither"):
        await house.dispute("D1", M1, 1, 1)
    with pytest.raises(NotFound, match=f"found line 7 of {M1}, expected one of 1"):
        await house.dispute("D1", M1, None, 7)


async def test_a_line_is_disputed_as_far_as_it_is_open(house):
    await house.took(came("TX1", 81_600, M1))
    assert (await house.dispute("D1", M1, None, 1)).amount == yuan(300_000)
    assert await is_verified(house.pool)


async def test_a_dispute_upheld_in_part_is_credited_in_part_and_the_rest_is_to_be_paid(house):
    """Of 106,000.00, 53,000.00 is upheld: 50,000.00 net and 3,000.00 tax of it."""
    await house.dispute("D1", MICRO, 106_000)
    requested = await house.ruling("D1", 53_000)
    with pytest.raises(TransitionError, match=r"found the ruling .* waiting for approval"):
        await house.ended("D1", DisputeState.REJECTED, "sun.hao")
    signed = await house.signed(requested)
    assert signed.document == "QM-CN-2025-000001"
    (dispute,) = await disputes(house.pool)
    assert (dispute.state, dispute.upheld) == (DisputeState.PARTLY, yuan(53_000))
    assert dispute.document == signed.document
    assert (await house.open(MICRO), await house.account("1130")) == (yuan(53_000), yuan(0))
    assert await house.account("4090") == yuan(50_000)
    assert await is_verified(house.pool)


async def test_a_ruling_that_is_not_approved_leaves_the_dispute_open(house):
    await house.dispute("D1", MICRO, 106_000)
    await house.rejected(await house.ruling("D1", 106_000))
    assert [each.state for each in await disputes(house.pool)] == [DisputeState.OPEN]
    await house.ended("D1", DisputeState.REJECTED, "sun.hao")
    assert await house.open(MICRO) == yuan(106_000)
    assert await is_verified(house.pool)


# Credit notes and write-offs.


async def test_a_credit_is_taken_off_what_is_open_and_what_is_paid_becomes_credit(house):
    """E23: 86,000 of 106,000 is paid; of a credit of 53,000, 20,000 is off the claim."""
    await house.took(came("TX1", 86_000, MICRO))
    note = (await house.signed(await house.credit("C1", MICRO, 53_000))).document
    assert note is not None
    assert await house.open(MICRO) == yuan(0)
    assert await house.account("2300") == yuan(-33_000)
    with pytest.raises(TransitionError, match=r"expected at most 53000.00"):
        await house.credit("C2", MICRO, 53_001)
    assert (await house.applied(note, M1)).amount == yuan(33_000)
    await house.signed(await house.credit("C3", MICRO, 53_000))
    assert await is_verified(house.pool)


async def test_each_request_says_whether_its_amount_is_net_or_gross(house):
    """All three are put in gross; of 106.00, 6.00 is tax."""
    await house.took(came("TX1", 1_000))
    await house.credit("C1", MICRO, 106)
    await house.write_off("W1", MICRO, 106)
    await house.refund("R1", "QM/CN62/TX1", 106)
    asked = [(each.decision, each.amount, each.basis) for each in await approvals(house.pool)]
    assert asked == [
        (Decision.CREDIT, yuan(100), "net"),
        (Decision.REFUND, yuan(106), "gross"),
        (Decision.WRITE_OFF, yuan(106), "gross"),
    ]
    found = await why_not(house.pool, "E1")
    assert [(each.decision, each.amount, each.basis) for each in found.asked] == asked


async def test_what_is_disputed_is_not_credited_beside_its_ruling(house):
    await house.dispute("D1", MICRO, 100_000)
    with pytest.raises(TransitionError, match=r"at most 6000.00: 6000.00 is open and 0.00 paid"):
        await house.credit("C1", MICRO, 7_000)


async def test_the_credit_of_a_credit_note_is_paid_back_like_any_other(house):
    await house.took(came("TX1", 106_000, MICRO))
    note = (await house.signed(await house.credit("C1", MICRO, 10_600))).document
    await house.signed(await house.refund("R1", note, 10_600))
    await house.settled("R1", RefundState.CONFIRMED)
    assert (await house.account("2300"), await house.account("1000")) == (yuan(0), yuan(95_400))
    assert await is_verified(house.pool)


async def test_an_open_part_is_written_off_gross(house):
    requested = await house.write_off("W1", MICRO, 6_000)
    await house.took(came("TX1", 100_000, MICRO))
    await house.signed(requested)
    assert (await house.open(MICRO), await house.account("5100")) == (yuan(0), yuan(6_000))
    assert await is_verified(house.pool)


async def test_what_was_paid_meanwhile_is_not_written_off(house):
    """The guard is asked again when it is carried out; the last signature is refused."""
    requested = await house.write_off("W1", MICRO, 6_000)
    await house.took(came("TX1", 106_000, MICRO))
    with pytest.raises(TransitionError, match=r"found 6000.00 CNY to write off, .* the 0.00"):
        await house.signed(requested)
    assert await house.account("5100") == yuan(0)


# Ageing.


async def test_ageing_tells_what_is_overdue_and_what_is_set_apart(house):
    days = await house.pool.fetchval("select due_on - issued_on from invoice where number = $1", M1)
    due = date(2024, 12, 2).toordinal() + days
    await house.took(came("TX1", 6_000, MICRO), came("TX2", 500, received_on=date(2025, 1, 15)))
    await house.dispute("D1", M1, 81_600)
    (row,) = await ageing(house.pool, date.fromordinal(due + 62))
    assert (row.book, row.seller, row.customer) == (Book.LIVE, "QM", "HD")
    assert row.ages[Age.TO_90] == yuan(300_000 + 286_200)
    assert sum(amount.minor for amount in row.ages.values()) == yuan(686_200).minor
    assert (row.disputed, row.withheld, row.credit) == (yuan(81_600), yuan(0), yuan(500))


async def test_ageing_of_a_day_before_knows_nothing_of_what_came_later(house):
    await house.took(came("TX1", 106_000, MICRO))
    (row,) = await ageing(house.pool, date(2024, 10, 1))
    assert sum(amount.minor for amount in row.ages.values()) == yuan(106_000).minor


async def test_what_is_held_is_apart_and_never_overdue(pool, withheld):
    one = Story(pool, withheld, "E1", ClockKind.LIVE)
    await one.live()
    (row,) = await ageing(pool, date(2030, 1, 1))
    held = await pool.fetchval("select sum(withheld_minor)::bigint from invoice_settlement")
    assert row.withheld == Money(held, "CNY")
    assert row.ages[Age.NOT_DUE] == yuan(0)


# What verify finds.


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        (
            "update refund set state = 'confirmed'",
            {"refunds-in-ledger", "cash-adds-up", "credit-adds-up"},
        ),
        ("update refund set amount_minor = 200000", {"credit-covers-refunds"}),
        ("update dispute set amount_minor = 1", {"disputes-in-ledger"}),
        (
            "update dispute set state = 'upheld', upheld_minor = amount_minor, closed_at = now()",
            {"disputes-in-ledger"},
        ),
        (
            """
            alter table receipt disable trigger written_once;
            update receipt set amount_minor = 1
            """,
            {"receipts-in-ledger", "cash-adds-up", "credit-adds-up"},
        ),
    ],
)
async def test_verify_finds_what_the_ledger_does_not_say(house, tampering, found):
    await house.took(came("TX1", 1_000))
    await house.refund("R1", "QM/CN62/TX1", 600)
    await house.dispute("D1", M1, 100)
    assert await broken(house.pool) == set()
    await house.pool.execute(tampering)
    assert await broken(house.pool) == found


async def test_a_refund_that_was_turned_down_is_asked_for_as_another_one(house):
    """Asked for again, it could be signed and never be carried out: its credit was free again."""
    await house.took(came("B1", 1000))
    asked = await house.refund("RF1", "QM/CN62/B1", 1000)
    await house.rejected(asked)
    again = AskAgain(**house.about("eng.E1.request.again"), request=asked.request)
    with pytest.raises(TransitionError, match="expected another refund"):
        await Approvals(house.pool).ask_again(again)
    await house.refund("RF2", "QM/CN62/B1", 1000)


async def test_money_for_a_seller_without_an_engagement_in_that_book_is_refused(house):
    """A name mistyped, or the other book: it would be cash that nobody misses."""
    receipt = came("TX1", 100).model_copy(update={"seller": "QX"})
    with pytest.raises(NotFound, match=r"found seller 'QX', expected .* the live book: QM"):
        await house.took(receipt)
    receipt = came("TX1", 100).model_copy(update={"book": Book.SANDBOX})
    with pytest.raises(NotFound, match=r"in the sandbox book: nobody, it has no engagement yet"):
        await house.took(receipt)
