"""Refunds on a real Temporal server, with a provider that loses answers."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from activities.export.port import Endpoint
from contracts.setting import ClockKind
from lifecycle.receivables import RefundState
from tests.integration.conftest import Story
from tests.integration.money.house import House, came, invoiced, yuan
from tests.provider import PaymentProvider, paying
from tests.workflow.conftest import example, office
from tollkeeper.verify import verify
from tollkeeper.views.receivables import refunds

PATIENCE_SECONDS = 20


@pytest.fixture(scope="module")
def provider() -> Iterator[PaymentProvider]:
    with paying() as provider:
        yield provider


@pytest.fixture(scope="module")
async def house(
    tmp_path_factory: pytest.TempPathFactory, provider: PaymentProvider
) -> AsyncIterator[House]:
    """An engagement on the live clock, and a worker that pays its refunds."""
    pays = Endpoint(provider.url, (provider.secret,))
    async with office(tmp_path_factory.mktemp("payouts"), provider=pays) as desk:
        yield await invoiced(Story(desk.pool, example("key-account"), "E1", ClockKind.LIVE))


async def becomes(house: House, id: str, state: RefundState) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if (await states(house))[id] is state:
                return
            await asyncio.sleep(0.1)


async def states(house: House) -> dict[str, RefundState]:
    return {each.id.rpartition(".")[2]: each.state for each in await refunds(house.pool)}


async def test_an_answer_that_is_lost_is_asked_for_and_the_refund_posted_once(house, provider):
    provider.answers = ["lost", "broken"]
    await house.took(came("TX1", 1_000))
    await house.signed(await house.refund("R1", "QM/CN62/TX1", 600))
    await becomes(house, "R1", RefundState.CONFIRMED)
    assert provider.answers == []
    assert list(provider.paid) == ["eng.E1.refund.R1"]
    assert await house.account("1000") == yuan(400)
    assert (await verify(house.pool)).ok


async def test_a_refund_that_never_arrived_is_sent_again_under_its_key(house, provider):
    provider.answers = ["forgotten"]
    await house.took(came("TX2", 500))
    await house.signed(await house.refund("R2", "QM/CN62/TX2", 500))
    await becomes(house, "R2", RefundState.CONFIRMED)
    assert provider.paid["eng.E1.refund.R2"]["amount"] == "500.00"


async def test_a_refund_that_the_provider_refuses_gives_its_credit_back(house, provider):
    provider.answers = ["refused"]
    await house.took(came("TX3", 300))
    await house.signed(await house.refund("R3", "QM/CN62/TX3", 300))
    await becomes(house, "R3", RefundState.FAILED)
    assert "eng.E1.refund.R3" not in provider.paid
    await house.refund("R4", "QM/CN62/TX3", 300)
    assert (await verify(house.pool)).ok
