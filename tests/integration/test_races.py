"""Fifty at once about one thing, on a real PostgreSQL with READ COMMITTED, its own default."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from temporalio.testing import ActivityEnvironment

from activities.approvals import Approvals
from activities.export.delivery import Export
from activities.export.port import Endpoint
from activities.postgres import Pool, connect
from contracts.commercial import Decision, HoldEffect
from contracts.contract import Contract
from contracts.errors import KeyReused, TransitionError
from contracts.setting import ClockKind
from lifecycle.orders import Deliver, EvaluateMilestone, Order, PlaceHoldback
from lifecycle.orders.approvals import Requested, SignRequest
from lifecycle.receivables import RefundState
from tests.integration.conftest import LIVE_ON, MEASURED, WINDOW_ENDS, Story
from tests.integration.money.eventful import Eventful
from tests.integration.money.house import MICRO, House, came, invoiced, yuan
from tollkeeper.verify import verify
from tollkeeper.views.documents import invoices
from tollkeeper.views.holds import holds

ATTEMPTS = 50
ENGAGEMENTS = 10
"""Each has 33 things done for it: 330 races in all."""
REQUESTS = 40

Attempt = Callable[[], Awaitable[Any]]


@pytest.fixture
async def crowd(databases):
    """A pool in which each of the fifty has a connection of its own."""
    async with databases.copy() as pool:
        name = await pool.fetchval("select current_database()")
        dsn = urlsplit(databases.dsn)._replace(path=f"/{name}").geturl()
        async with await connect(dsn, ATTEMPTS) as crowd:
            yield crowd


def life(one: Story) -> list[Attempt]:
    """What an engagement needs done, in order; each is one thing to race for."""
    things: list[Attempt] = [one.opened, one.consulted, one.proceeded]
    for milestone in one.contract.milestones:
        day = LIVE_ON.isoformat() if milestone.go_live else "2024-12-02"
        bill = one.milestone(milestone.id, day)
        earn = EvaluateMilestone(**dict(bill) | {"key": bill.key.replace("bill", "evaluate")})
        things.append(partial(one.billing.evaluate_milestone, earn))
        things.append(partial(one.billing.bill_milestone, bill))
    things += [*claims(one), one.placed]
    for window in ("W6", "W12"):
        for indicator, value in MEASURED[window].items():
            day = WINDOW_ENDS[window][:8] + "10"
            things.append(partial(one.measured, indicator, value, day))
        things += [partial(act, window) for act in (one.assessed, one.released, one.forfeited)]
    return [*things, one.closed]


def claims(one: Story) -> list[Attempt]:
    """What people do about the claim of its first invoice."""
    house = House(one.pool, one.id)

    async def of_its_fee(what: Callable[[str], Awaitable[Any]]) -> Any:
        number = await one.pool.fetchval(
            "select number from invoice where engagement_id = $1 and purpose = 'micro'", one.id
        )
        return await what(number)

    async def signed(request: str, person: str) -> Requested:
        id = house.id("request", request)
        digest = "select digest from approval_request where request_id = $1"
        order = SignRequest(
            **house.about(f"{id}:sign:{person}", person),
            request=id,
            digest=await one.pool.fetchval(digest, id),
        )
        return await Approvals(one.pool).sign_request(order)

    receipt = f"QM/CN62/{one.id}"
    return [
        partial(house.took, came(one.id, 50_000)),
        partial(of_its_fee, lambda number: house.applied(receipt, number, 30_000)),
        partial(of_its_fee, lambda number: house.unapplied(receipt, number)),
        partial(house.refund, "RF1", receipt, 10_000),
        *(partial(signed, "RF1", person) for person in ("gao.feng", "li.wei")),
        partial(house.settled, "RF1", RefundState.CONFIRMED),
        partial(of_its_fee, lambda number: house.dispute("D1", number, 53_000)),
        partial(house.ruling, "D1", 10_600),
        *(partial(signed, "rule-D1", person) for person in ("gao.feng", "li.wei")),
    ]


async def at_once(attempts: Sequence[Attempt]) -> list[Any]:
    """What each was told; a refusal is told as well."""
    return await asyncio.gather(*(attempt() for attempt in attempts), return_exceptions=True)


def split(told: list[Any]) -> tuple[list[Any], list[BaseException]]:
    """Answers and refusals."""
    refusals = [each for each in told if isinstance(each, BaseException)]
    return [each for each in told if not isinstance(each, BaseException)], refusals


async def rows(pool):
    """How many rows each table has."""
    tables = await pool.fetch("select tablename from pg_tables where schemaname = 'public'")
    return {
        table: await pool.fetchval(f"select count(*) from {table}") for (table,) in sorted(tables)
    }


async def is_verified(pool):
    verification = await verify(pool)
    assert [check for check in verification.checks if not check.ok] == []
    return True


async def test_fifty_at_once_about_one_thing_are_one_effect_and_one_answer(
    crowd, pool, key_account, withheld
):
    """As if each had been asked for once, one after the other: to the last number and row."""
    assert await crowd.fetchval("show transaction_isolation") == "read committed"
    for number in range(ENGAGEMENTS):
        contract = withheld if number % 2 else key_account
        raced = life(Story(crowd, contract, f"E{number}", ClockKind.LIVE))
        alone = life(Story(pool, contract, f"E{number}", ClockKind.LIVE))
        for thing, once in zip(raced, alone, strict=True):
            assert await at_once([thing] * ATTEMPTS) == [await once()] * ATTEMPTS
    assert await rows(crowd) == await rows(pool)
    assert await is_verified(crowd)


async def test_of_fifty_different_orders_for_one_thing_one_is_carried_out(crowd, key_account):
    """c.5-10: the others are told what is there already."""
    one = Story(crowd, key_account, "E1", ClockKind.LIVE)
    await one.opened()
    await one.proceeded()
    milestone = one.milestone("M1")
    earn = EvaluateMilestone(**dict(milestone) | {"key": milestone.key.replace("bill", "evaluate")})
    await one.billing.evaluate_milestone(earn)
    place = one.bet_order(PlaceHoldback, "place", LIVE_ON.isoformat())
    things: list[tuple[Callable[[Any], Awaitable[Any]], Order[Any], str]] = [
        (one.billing.bill_micro_consulting, one.micro_fee(), "claim.*eng.E1.micro"),
        (one.billing.bill_milestone, milestone, "claim.*eng.E1.milestone.M1"),
        (one.holdbacks.place_holdback, place, "hold.*eng.E1.hold.HB1"),
    ]
    for carry_out, order, names_it in things:
        keys = [f"{order.key}:{number}" for number in range(ATTEMPTS)]
        orders = [order.model_copy(update={"key": key}) for key in keys]
        answers, refusals = split(await at_once([partial(carry_out, each) for each in orders]))
        assert len(answers) == 1
        for refusal in refusals:
            assert type(refusal) is TransitionError
            assert re.search(names_it, str(refusal))
    assert [row.number for row in await invoices(crowd)] == [
        "QM-INV-2024-000001", "QM-INV-2024-000002",
    ]  # fmt: skip
    assert await is_verified(crowd)


async def test_of_two_orders_under_one_key_the_first_holds_and_the_other_is_refused(
    crowd, key_account
):
    """c.5-2: whoever asked for the first has its answer, whoever asked for the other is told."""
    for number in range(ENGAGEMENTS):
        one = Story(crowd, key_account, f"E{number}", ClockKind.LIVE)
        await one.opened()
        fee = one.micro_fee()
        other = fee.model_copy(update={"evidence": "S10 done"})
        orders = [fee, other] * (ATTEMPTS // 2)
        bill = one.billing.bill_micro_consulting
        answers, refusals = split(await at_once([partial(bill, order) for order in orders]))
        assert answers == answers[:1] * (ATTEMPTS // 2)
        assert [type(refusal) for refusal in refusals] == [KeyReused] * (ATTEMPTS // 2)
        assert {str(refusal).partition(": ")[0] for refusal in refusals} == {fee.key}
    assert len(await invoices(crowd)) == ENGAGEMENTS
    assert await is_verified(crowd)


async def test_of_fifty_requests_on_one_hold_no_more_is_asked_for_than_is_held(crowd, key_account):
    """c.5-5: what is asked for is reserved until it is decided."""
    one = await held(crowd, key_account)
    ask = partial(one.decision, hold="H1", decision=Decision.RELEASE, amount="9000.00")
    answers, refusals = split(await at_once([partial(ask, f"R{n}") for n in range(ATTEMPTS)]))
    assert len(answers) == 40  # of 9,000.00 each
    assert {str(refusal).partition(" (")[0] for refusal in refusals} == {
        "hold eng.E1.hold.H1: found 9000.00 CNY to decide, expected more than 0 and at most 0.00 of "
        "360000.00 still held"
    }
    assert await is_verified(crowd)


async def test_of_fifty_signatures_each_person_counts_once_and_the_last_one_needed_decides(
    crowd, key_account
):
    """c.5-13: signed by two people 25 times each, every request is carried out once."""
    one = await held(crowd, key_account)
    for number in range(REQUESTS):
        asked = await one.decision(f"R{number}", "H1", Decision.RELEASE, "9000.00")
        signs = [
            SignRequest(
                **one.about(f"{asked.request}:sign:{person}:{n}", person),
                request=asked.request,
                digest=asked.digest,
            )
            for n in range(ATTEMPTS // 2)
            for person in ("gao.feng", "li.wei")
        ]
        sign = Approvals(crowd).sign_request
        answers, refusals = split(await at_once([partial(sign, each) for each in signs]))
        assert sorted(answer.state for answer in answers) == ["approved", "pending"]
        assert {type(refusal) for refusal in refusals} == {TransitionError}
    (held_now,) = await holds(crowd, "E1")
    assert (str(held_now.released), str(held_now.held)) == ("360000.00", "0.00")
    assert await is_verified(crowd)


async def test_of_fifty_applications_no_more_is_paid_than_came_in_and_is_open(crowd, key_account):
    one = Story(crowd, key_account, "E1", ClockKind.LIVE)
    house = await invoiced(one)
    await house.took(came("TX1", 81_000))
    pay = [partial(house.applied, "QM/CN62/TX1", MICRO, 10_000, str(n)) for n in range(ATTEMPTS)]
    answers, refusals = split(await at_once(pay))
    assert len(answers) == 8
    assert {type(refusal) for refusal in refusals} == {TransitionError}
    assert await house.open(MICRO) == yuan(26_000)
    assert await is_verified(crowd)


async def test_of_fifty_receipts_that_name_one_invoice_it_takes_no_more_than_is_open(
    crowd, key_account
):
    house = await invoiced(Story(crowd, key_account, "E1", ClockKind.LIVE))
    receipts = [came(f"TX{n}", 10_000, MICRO) for n in range(ATTEMPTS)]
    answers, refusals = split(await at_once([partial(house.took, each) for each in receipts]))
    assert refusals == []
    assert len(answers) == ATTEMPTS
    assert await house.open(MICRO) == yuan(0)
    assert await house.account("2300") == yuan(106_000 - ATTEMPTS * 10_000)
    assert await is_verified(crowd)


async def held(pool: Pool, contract: Contract) -> Eventful:
    """All of M3, 360,000.00, is held."""
    one = Eventful(pool, contract, "E1")
    await one.story.opened()
    await one.story.consulted()
    await one.story.proceeded()
    await one.hold("H1", 360_000, HoldEffect.BLOCK_INVOICING, milestone="M3")
    return one


async def test_fifty_deliveries_of_one_document_keep_one_receipt_and_answer_with_it(
    crowd, key_account
):
    """The other side gets one key from all of them; only its first answer is on record."""
    one = Story(crowd, key_account, "E1", ClockKind.LIVE)
    await one.opened()
    number = (await one.consulted()).number
    assert number
    booked = set[str]()

    def finance(request: httpx.Request) -> httpx.Response:
        key = request.headers["Idempotency-Key"]
        status = 200 if key in booked else 201
        booked.add(key)
        return httpx.Response(status)

    async with httpx.AsyncClient(transport=httpx.MockTransport(finance)) as client:
        finance_system = Endpoint("https://finance.test/documents", (b"s" * 32,))
        export = Export(crowd, client, {("live", "invoice"): finance_system})
        message = Deliver(key=number, queue="exports")
        deliver = partial(ActivityEnvironment().run, export.deliver, message)
        answers, refusals = split(await at_once([deliver] * ATTEMPTS))
    kept = await crowd.fetchval("select status from delivery_receipt where key = $1", number)
    assert refusals == []
    assert {answer.status for answer in answers} == {kept}
    assert booked == {number}
    assert await is_verified(crowd)
