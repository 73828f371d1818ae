"""Documents leave for a real receiver and a real folder, and both sides are compared afterwards."""

import asyncio
import hmac
import json
import os
import stat
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.testing import ActivityEnvironment

from activities.export.delivery import Export, other_side
from activities.export.port import Endpoint, message
from activities.export.signature import read_secrets
from activities.postgres import Pool
from contracts.errors import KeyReused, TermsError, Unavailable
from contracts.money import Money
from contracts.setting import Book
from lifecycle.orders import Deliver, Delivered
from tests.integration.money.books import release, written
from tollkeeper.receiver import PAGE, Receiver, receiving
from tollkeeper.views.export import (
    Finding,
    Reconciliation,
    State,
    failed,
    ours,
    pending,
    reconcile,
)

ONE, TWO = "QM-INV-2026-000001", "QM-INV-2026-000002"


class Forgetful(Receiver):
    """Books a document and hangs up before it answers, as often as it is told to."""

    lose = 0

    def take(self, key: str, body: bytes) -> HTTPStatus:
        status = super().take(key, body)
        if self.lose:
            self.lose -= 1
            raise ConnectionAbortedError
        return status

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The answer is lost; nothing is printed."""


@pytest.fixture
def receiver() -> Iterator[Forgetful]:
    with receiving(Forgetful()) as receiver:
        assert isinstance(receiver, Forgetful)
        yield receiver


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


def endpoint(receiver: Receiver) -> Endpoint:
    return Endpoint(receiver.url, read_secrets(receiver.secret))


def folder_of(path: Path) -> Endpoint:
    return Endpoint(path.as_uri())


Deliverer = Callable[..., Any]


@pytest.fixture
def deliver(pool: Pool, client: httpx.AsyncClient) -> Deliverer:
    """Carries out one attempt, as a worker with this receiver for the live book would."""

    async def delivered(to: Endpoint, key: str) -> Delivered:
        kinds = ("invoice", "credit_note", "release", "notice")
        export = Export(pool, client, {("live", kind): to for kind in kinds})
        order = Deliver(key=key, queue="exports")
        answer: Delivered = await ActivityEnvironment().run(export.deliver, order)
        return answer

    return delivered


@pytest.fixture
def compared(pool: Pool, client: httpx.AsyncClient) -> Callable[..., Any]:
    async def reconciled(to: Endpoint, book: Book = Book.LIVE) -> Reconciliation:
        theirs = await other_side(to, client).documents()
        return reconcile(book, to.url, theirs, await ours(pool, book))

    return reconciled


async def receipts(pool: Pool) -> list[tuple[Any, ...]]:
    rows = await pool.fetch("select key, url, status, sha256 from delivery_receipt order by key")
    return [tuple(row) for row in rows]


def found(result: Reconciliation) -> dict[str, Finding]:
    return {row.number: row.finding for row in result.differences}


# Over HTTP.


async def test_a_document_is_taken_over_http_and_its_receipt_has_the_digest(
    pool, receiver, deliver, compared
):
    payload = await written(pool, ONE)
    assert (await deliver(endpoint(receiver), ONE)).status == HTTPStatus.CREATED
    assert receiver.received == {ONE: payload}
    digest = sha256(message(ONE, "invoice", payload).body).hexdigest()
    assert await receipts(pool) == [(ONE, receiver.url, 201, digest)]
    assert (await compared(endpoint(receiver))).agrees


async def test_a_wrong_secret_is_refused_and_tried_again_until_it_is_right(pool, receiver, deliver):
    await written(pool, ONE)
    wrong = Endpoint(receiver.url, (b"w" * 32,))
    with pytest.raises(Unavailable, match=r"answered 401: .*no signature by our secret"):
        await deliver(wrong, ONE)
    [waiting] = await pending(pool, Book.LIVE)
    assert "answered 401" in (waiting.refusal or "")
    assert receiver.received == {}
    replaced = Endpoint(receiver.url, (b"w" * 32, *read_secrets(receiver.secret)))
    assert (await deliver(replaced, ONE)).status == HTTPStatus.CREATED
    assert await pending(pool, Book.LIVE) == []


async def test_a_lost_answer_and_a_second_attempt_make_one_document(pool, receiver, deliver):
    """c.5-23"""
    payload = await written(pool, ONE)
    receiver.lose = 1
    with pytest.raises(Unavailable, match="no answer"):
        await deliver(endpoint(receiver), ONE)
    assert receiver.received == {ONE: payload}  # it is there, and we do not know
    assert (await deliver(endpoint(receiver), ONE)).status == HTTPStatus.OK
    assert receiver.received == {ONE: payload}
    assert [status for _, _, status, _ in await receipts(pool)] == [200]


async def test_other_content_under_a_key_is_refused_for_good(pool, receiver, deliver):
    await written(pool, ONE)
    receiver.take(ONE, b'{"gross": "1.00", "currency": "CNY"}')
    told = f"invoice {ONE} is there with other content: .*; expected sha256 [0-9a-f]{{64}}"
    with pytest.raises(KeyReused, match=told):
        await deliver(endpoint(receiver), ONE)
    assert await failed(pool, Book.LIVE) == [ONE]
    assert receiver.received[ONE]["gross"] == "1.00"


def posted(receiver: Receiver, key: str, body: bytes, sent: int, **changed: str) -> httpx.Response:
    """A message as the standard says it is signed, written here by hand."""
    secret = b64decode(receiver.secret.removeprefix("whsec_"))
    proof = hmac.digest(secret, f"{key}.{sent}.".encode() + body, "sha256")
    headers = {
        "Idempotency-Key": key,
        "webhook-id": key,
        "webhook-timestamp": str(sent),
        "webhook-signature": f"v1,{b64encode(proof).decode()}",
    }
    return httpx.post(receiver.url, content=body, headers=headers | changed)


@pytest.mark.parametrize(
    ("late", "changed", "body", "status"),
    [
        (0, {}, b"{}", 201),
        (290, {}, b"{}", 201),
        (310, {}, b"{}", 401),  # listened to and sent again
        (-310, {}, b"{}", 401),
        (0, {"webhook-timestamp": "soon"}, b"{}", 401),
        (0, {"webhook-id": "M2"}, b"{}", 401),
        (0, {"Idempotency-Key": "M2"}, b"{}", 400),  # would make a second copy
        (0, {"webhook-signature": ""}, b"{}", 401),
        (0, {"webhook-signature": "v1,x v1a,y"}, b"{}", 401),
    ],
)
async def test_the_receiver_takes_what_is_signed_and_of_the_last_five_minutes(
    receiver, late, changed, body, status
):
    sent = int(time.time()) - late
    answer = await asyncio.to_thread(posted, receiver, "M1", body, sent, **changed)
    assert answer.status_code == status
    assert set(receiver.received) == ({"M1"} if status == HTTPStatus.CREATED else set())


async def test_a_listing_that_nobody_signed_is_not_shown(receiver, client):
    assert (await client.get(receiver.url)).status_code == HTTPStatus.UNAUTHORIZED
    wrong = Endpoint(receiver.url, (b"w" * 32,))
    with pytest.raises(Unavailable, match=r"the listing .* answered 401"):
        await other_side(wrong, client).documents()


async def test_a_listing_is_read_to_its_last_page(receiver, client):
    for number in range(PAGE * 2 + 1):
        body = json.dumps({"document": "invoice", "gross": "1.00", "currency": "CNY"}).encode()
        receiver.take(f"QM-INV-2026-{number:06}", body)
    listed = await other_side(endpoint(receiver), client).documents()
    assert len({row.number for row in listed}) == len(listed) == PAGE * 2 + 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("not json", "expected a page of documents"),
        ('{"documents": [{"number": "M1"}]}', "documents.0.document: Field required"),
        ('{"documents": [], "next": "M1"}', "announced twice"),
    ],
)
async def test_an_answer_that_is_no_listing_is_refused_by_name(answer, said):
    def finance(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=answer)

    to = Endpoint("https://finance.test/documents", (b"s" * 32,))
    async with httpx.AsyncClient(transport=httpx.MockTransport(finance)) as client:
        with pytest.raises(TermsError, match=said):
            await other_side(to, client).documents()


# Into a folder.


async def test_a_document_is_a_file_with_the_bytes_that_http_would_carry(
    pool, tmp_path, deliver, compared
):
    payload = await written(pool, ONE)
    assert (await deliver(folder_of(tmp_path), ONE)).status == HTTPStatus.CREATED
    [file] = tmp_path.iterdir()
    assert file.name == f"invoice-{ONE}.json"
    assert file.read_bytes() == message(ONE, "invoice", payload).body
    assert stat.S_IMODE(file.stat().st_mode) & 0o007 == 0
    digest = sha256(file.read_bytes()).hexdigest()
    assert await receipts(pool) == [(ONE, file.as_uri(), 201, digest)]
    assert (await compared(folder_of(tmp_path))).agrees


async def test_a_crash_between_the_file_and_its_receipt_makes_one_file(
    pool, tmp_path, deliver, monkeypatch
):
    await written(pool, ONE)
    with monkeypatch.context() as crash:
        crash.setattr(Export, "_keep", _dies)
        with pytest.raises(_Crash):
            await deliver(folder_of(tmp_path), ONE)
    [file] = tmp_path.iterdir()
    before = file.read_bytes(), file.stat().st_ino
    assert await receipts(pool) == []
    assert (await deliver(folder_of(tmp_path), ONE)).status == HTTPStatus.OK
    assert [(one.read_bytes(), one.stat().st_ino) for one in tmp_path.iterdir()] == [before]
    assert len(await receipts(pool)) == 1


class _Crash(BaseException):
    """The worker is gone."""


async def _dies(*_: object) -> int:
    raise _Crash


async def test_a_crash_before_the_file_is_whole_leaves_nothing_that_is_read(
    pool, tmp_path, deliver, compared, monkeypatch
):
    await written(pool, ONE)
    with monkeypatch.context() as crash:
        crash.setattr(os, "fsync", _full)
        with pytest.raises(Unavailable, match="No space left"):
            await deliver(folder_of(tmp_path), ONE)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".4711.part").write_bytes(b'{"gro')  # of a worker that was killed
    await deliver(folder_of(tmp_path), ONE)
    assert (await compared(folder_of(tmp_path))).agrees


def _full(_: int) -> None:
    raise OSError(28, "No space left on device")


async def test_a_file_with_other_content_is_never_overwritten(pool, tmp_path, deliver):
    await written(pool, ONE)
    file = tmp_path / f"invoice-{ONE}.json"
    file.write_bytes(b'{"gross": "1.00"}')
    told = (
        r"found other content in .*invoice-QM-INV.*, written 20.* UTC\): gross: 1\.00 on record, "
    )
    with pytest.raises(KeyReused, match=told):
        await deliver(folder_of(tmp_path), ONE)
    assert file.read_bytes() == b'{"gross": "1.00"}'
    assert [row.state for row in await pending(pool, Book.LIVE)] == [State.FAILED]


async def test_fifty_attempts_at_once_make_one_file_and_one_receipt(pool, tmp_path, deliver):
    await written(pool, ONE)
    answers = await asyncio.gather(*(deliver(folder_of(tmp_path), ONE) for _ in range(50)))
    assert len({answer.status for answer in answers}) == 1
    assert len(list(tmp_path.iterdir())) == 1
    assert len(await receipts(pool)) == 1


async def test_a_folder_that_is_not_there_is_not_made(pool, tmp_path, deliver):
    await written(pool, ONE)
    away = tmp_path / "not-mounted"
    with pytest.raises(Unavailable, match="the folder cannot be used"):
        await deliver(folder_of(away), ONE)
    assert not away.exists()
    assert [row.state for row in await pending(pool, Book.LIVE)] == [State.NOT_STARTED]


async def test_a_key_of_any_letters_is_a_name_inside_the_folder(pool, tmp_path, deliver, compared):
    key = "eng.E1.bet.B1:W6:release/../x#1"
    await release(pool, key, "216000.00")
    await deliver(folder_of(tmp_path), key)
    assert [file.name for file in tmp_path.iterdir()] == [
        "release-eng.E1.bet.B1%3AW6%3Arelease%2F..%2Fx%231.json"
    ]
    assert (await compared(folder_of(tmp_path))).agrees


# Both sides compared.


async def test_a_difference_of_every_kind_is_found_by_number(pool, tmp_path, deliver, compared):
    to = folder_of(tmp_path)
    numbers = [f"QM-INV-2026-{number:06}" for number in range(1, 7)]
    for number in numbers:
        await written(pool, number, minor=10_600)
    for number in numbers[1:]:
        await deliver(to, number)
    assert found(await compared(to)) == {numbers[0]: Finding.MISSING_THERE}

    def altered(number: str, change: Callable[[bytes], bytes]) -> None:
        file = tmp_path / f"invoice-{number}.json"
        file.write_bytes(change(file.read_bytes()))

    altered(numbers[1], lambda said: said.replace(b"106.00", b"106.01"))
    altered(numbers[2], lambda said: said.replace(b"Qiming", b"Qiminq"))
    altered(numbers[3], lambda said: said[:-1])
    (tmp_path / f"invoice-{numbers[4]}.json").rename(tmp_path / f"credit_note-{numbers[4]}.json")
    altered(numbers[5], lambda said: said.replace(b'"CNY"', b'"EUR"'))
    stranger = json.dumps({"gross": "7.00", "currency": "CNY"})
    (tmp_path / "invoice-QM-INV-2026-000099.json").write_text(stranger)

    result = await compared(to)
    assert found(result) == {
        numbers[0]: Finding.MISSING_THERE,
        numbers[1]: Finding.AMOUNT,
        numbers[2]: Finding.CONTENT,
        numbers[3]: Finding.UNREADABLE,
        numbers[4]: Finding.DOCUMENT,
        numbers[5]: Finding.AMOUNT,
        "QM-INV-2026-000099": Finding.MISSING_HERE,
    }
    differences = {row.number: row.difference for row in result.differences}
    assert differences[numbers[0]] == Money(-10_600, "CNY")
    assert differences[numbers[1]] == Money(1, "CNY")
    assert differences[numbers[5]] is None  # no sum of two currencies
    assert differences["QM-INV-2026-000099"] == Money(700, "CNY")
    # 106.01 + 106.00 + 7.00 in CNY; ours 6 x 106.00
    totals = {(row.document, row.currency): row for row in result.totals}
    assert totals["invoice", "CNY"].theirs == Money(10_601 + 10_600 + 700, "CNY")
    assert totals["invoice", "CNY"].ours == Money(63_600, "CNY")
    assert totals["credit_note", "CNY"].difference == Money(10_600, "CNY")
    assert totals["invoice", "EUR"].documents_theirs == 1


async def test_a_document_booked_twice_is_found(pool, receiver, deliver, client):
    await written(pool, ONE)
    await deliver(endpoint(receiver), ONE)
    listed = await other_side(endpoint(receiver), client).documents()
    result = reconcile(Book.LIVE, "a file", [*listed, *listed], await ours(pool, Book.LIVE))
    assert found(result) == {ONE: Finding.TWICE}
    assert result.totals[0].difference == result.totals[0].ours


async def test_a_listing_without_digests_is_compared_by_its_amounts(
    pool, receiver, deliver, client
):
    await written(pool, ONE)
    await deliver(endpoint(receiver), ONE)
    [listed] = await other_side(endpoint(receiver), client).documents()
    bare = listed.model_copy(update={"sha256": None})
    assert reconcile(Book.LIVE, "a file", [bare], await ours(pool, Book.LIVE)).agrees


async def test_each_book_is_compared_with_its_own_documents(pool, tmp_path, deliver, compared):
    await written(pool, ONE)
    await written(pool, "TEST-QM-INV-2026-000001", book="sandbox")
    await deliver(folder_of(tmp_path), ONE)
    assert (await compared(folder_of(tmp_path))).agrees
    assert found(await compared(folder_of(tmp_path), Book.SANDBOX)) == {
        ONE: Finding.MISSING_HERE,
        "TEST-QM-INV-2026-000001": Finding.MISSING_THERE,
    }


async def test_what_waits_is_listed_with_its_state_and_the_last_refusal(pool, deliver):
    """After seven days without success a delivery has failed, whoever ended it."""
    for number in (ONE, TWO):
        await written(pool, number)
    await pool.execute("update outbox set started_at = now() where key = $1", ONE)
    await pool.execute(
        "update outbox set started_at = now() - interval '7 days 1 s' where key = $1", TWO
    )
    with pytest.raises(Unavailable):
        await deliver(Endpoint("http://127.0.0.1:9/", (b"s" * 32,)), ONE)
    first, second = await pending(pool, Book.LIVE)
    assert (first.key, first.state, second.state) == (ONE, State.ON_ITS_WAY, State.FAILED)
    assert (first.refusal or "").startswith(f"invoice {ONE}: no answer")
    assert await failed(pool, Book.LIVE) == [TWO]
    assert await pending(pool, Book.SANDBOX) == []
