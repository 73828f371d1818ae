"""Deliveries on a real Temporal server: refused, begun again by a person, delivered once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.export.port import Endpoint
from activities.export.signature import read_secrets
from activities.postgres import Pool, connect
from contracts.errors import NotFound, TransitionError
from contracts.setting import Book
from tests.integration.money.books import written
from tollkeeper.database import migrate
from tollkeeper.embedded import Embedded
from tollkeeper.receiver import Receiver, receiving
from tollkeeper.relay import deliver_again, delivery_id
from tollkeeper.views.export import State, failed, pending
from tollkeeper.worker import working

PATIENCE_SECONDS = 20


class Moody(Receiver):
    """Answers with this status until it is told otherwise."""

    mood: HTTPStatus | None = None

    def take(self, key: str, body: bytes) -> HTTPStatus:
        self.digests.setdefault(key, "")  # it answers with the digest
        if self.mood:
            return self.mood
        self.digests.pop(key)
        return super().take(key, body)


@dataclass(frozen=True)
class Post:
    """Servers, and a worker that delivers what is for the live book."""

    client: Client
    pool: Pool
    receiver: Moody

    async def state(self, key: str) -> str | None:
        rows = [*await pending(self.pool, Book.LIVE), *await pending(self.pool, Book.SANDBOX)]
        return next((row.state for row in rows if row.key == key), None)

    async def refusal(self, key: str) -> str | None:
        rows = await pending(self.pool, Book.LIVE)
        return next((row.refusal for row in rows if row.key == key), None)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Moody]:
    with receiving(Moody()) as receiver:
        assert isinstance(receiver, Moody)
        yield receiver


@pytest.fixture(scope="module")
async def post(tmp_path_factory: pytest.TempPathFactory, receiver: Moody) -> AsyncIterator[Post]:
    data: Path = tmp_path_factory.mktemp("post")
    receivers = {("live", "invoice"): Endpoint(receiver.url, read_secrets(receiver.secret))}
    async with Embedded(data, ui=False) as addresses:
        assert addresses.dsn
        assert addresses.temporal
        await migrate(addresses.dsn)
        pool = await connect(addresses.dsn)
        client = await Client.connect(addresses.temporal, data_converter=pydantic_data_converter)
        async with working(client, pool, receivers):
            yield Post(client, pool, receiver)
        await pool.close()


@pytest.fixture(autouse=True)
def friendly(receiver: Moody) -> Iterator[None]:
    yield
    receiver.mood = None


async def becomes(so: Callable[[], Awaitable[object]], expected: object) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await so() == expected:
                return
            await asyncio.sleep(0.05)


async def test_a_delivery_refused_for_good_fails_and_begins_again_when_a_person_says_so(post):
    key = "QM-INV-2026-000001"
    post.receiver.mood = HTTPStatus.UNPROCESSABLE_ENTITY
    payload = await written(post.pool, key)
    await becomes(lambda: post.state(key), State.FAILED)
    assert await failed(post.pool, Book.LIVE) == [key]
    assert f"invoice {key} was refused with 422" in (await post.refusal(key) or "")

    post.receiver.mood = None
    await deliver_again(post.client, post.pool, key)
    await becomes(lambda: post.state(key), None)
    assert post.receiver.received[key] == payload
    with pytest.raises(TransitionError, match=f"{key}: found it delivered"):
        await deliver_again(post.client, post.pool, key)
    with pytest.raises(NotFound, match="no failed delivery in the live book"):
        await failed(post.pool, Book.LIVE)


async def test_a_delivery_that_waits_long_begins_anew_instead_of_waiting(post):
    key = "QM-INV-2026-000002"
    post.receiver.mood = HTTPStatus.SERVICE_UNAVAILABLE
    await written(post.pool, key)
    await becomes(lambda: post.state(key), State.ON_ITS_WAY)
    handle = post.client.get_workflow_handle(delivery_id("invoice", key))
    first = await handle.describe()

    await deliver_again(post.client, post.pool, key)
    second = await handle.describe()
    assert first.run_id != second.run_id
    post.receiver.mood = None
    await becomes(lambda: post.state(key), None)
    ended = await post.client.get_workflow_handle(handle.id, run_id=first.run_id).describe()
    assert ended.status is WorkflowExecutionStatus.TERMINATED


async def test_what_no_worker_may_deliver_is_not_begun_by_hand(post):
    key = "TEST-QM-INV-2026-000001"
    await written(post.pool, key, book="sandbox")
    with pytest.raises(TransitionError, match="found it not started yet"):
        await deliver_again(post.client, post.pool, key)
    assert await post.state(key) == State.NOT_STARTED
    assert key not in post.receiver.received
    with pytest.raises(NotFound, match="no message 'none'"):
        await deliver_again(post.client, post.pool, "none")
