"""Refunds of the customers' credit: asked for, approved, sent to a payment provider, asked about."""

import time
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio import activity

from activities.agreement import Agreement, agreement, require_named
from activities.approvals import CarriedOut, ask, carries_out, gives_up, guards
from activities.books.journal import post
from activities.export.http import words_of
from activities.export.port import Endpoint
from activities.export.signature import signed
from activities.postgres import Connection, Pool, once, transaction
from activities.receivables.receipts import require_same, source_of
from activities.timeline import happened
from contracts.commercial import Decision
from contracts.errors import NotFound, TransitionError, Unavailable
from contracts.events import EventType
from contracts.fields import canonical
from contracts.money import Money
from lifecycle.approval import Request
from lifecycle.ledger import refunded
from lifecycle.orders import Order
from lifecycle.orders.approvals import Requested
from lifecycle.orders.receivables import (
    AskRefund,
    Refunding,
    RequestRefund,
    SendRefund,
    SettleRefund,
)
from lifecycle.receivables import FROM, RefundState, require_step

ANSWER_SECONDS = 20.0
WORDS_KEPT = 500
PASSING = {401, 403, 408, 409, 425, 429}
"""Refusals that do not say that nothing is paid. Other 4xx do."""


class _Fate(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class _Said(BaseModel):
    """What a provider answers: the fate of a refund, and its own reference or reason."""

    model_config = ConfigDict(frozen=True)

    state: _Fate
    evidence: str = ""


class Refunds:
    """Activities that carry refunds to the provider; without one, people settle them by hand."""

    def __init__(self, pool: Pool, client: httpx.AsyncClient, provider: Endpoint | None) -> None:
        self.pool = pool
        self.client = client
        self.provider = provider

    @activity.defn
    async def send_refund(self, order: SendRefund) -> Refunding:
        """Send an approved refund; that it is sent is on record before it leaves.

        No answer, or one that says nothing, makes it UNKNOWN, never failed. Sent again, it has the
        same idempotency key, so that it is paid once.

        Raises:
            NotFound: no such refund.
            TransitionError: not approved.
            Unavailable: no provider is set.
        """
        row = await self._begun(order)
        if row["state"] in (RefundState.CONFIRMED, RefundState.FAILED):
            return _as_stored(row)
        provider = self._provider()
        amount = Money(row["amount_minor"], row["currency"])
        body = canonical(
            {
                "refund": row["refund_id"],
                "amount": str(amount),
                "currency": amount.currency,
                "pay_to": row["pay_to"],
                "reason": row["reason"],
            }
        ).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": row["refund_id"]}
        answer = await self._answer(
            self.client.build_request(
                "POST",
                provider.url,
                content=body,
                headers=headers | _signed(provider, row["refund_id"], body),
                timeout=ANSWER_SECONDS,
            )
        )
        if answer is not None and 400 <= answer.status_code < 500:
            if answer.status_code not in PASSING:
                said = f"refused with {answer.status_code}: {words_of(answer, WORDS_KEPT)}"
                return Refunding(refund=order.refund, state=RefundState.FAILED, evidence=said)
        return await self._told(order.refund, answer)

    @activity.defn
    async def ask_refund(self, order: AskRefund) -> Refunding:
        """Ask the provider what became of a refund; settled by hand meanwhile, it is settled.

        Returns:
            Its state as far as anybody knows; APPROVED where the provider never got it, so that it
            can be sent again.

        Raises:
            NotFound: no such refund.
        """
        row = await self._row(order.refund)
        if row["state"] in (RefundState.CONFIRMED, RefundState.FAILED):
            return _as_stored(row)
        provider = self._provider()
        url = f"{provider.url.rstrip('/')}/{quote(order.refund, safe='')}"
        answer = await self._answer(
            self.client.build_request(
                "GET",
                url,
                headers=_signed(provider, order.refund, httpx.URL(url).raw_path),
                timeout=ANSWER_SECONDS,
            )
        )
        if answer is not None and answer.status_code == httpx.codes.NOT_FOUND:
            return Refunding(refund=order.refund, state=RefundState.APPROVED)
        return await self._told(order.refund, answer)

    @activity.defn
    async def settle_refund(self, order: SettleRefund) -> Refunding:
        """Post a refund as paid, or give its credit back as not paid; once.

        Raises:
            NotFound: the engagement has no such refund.
            TransitionError: not approved yet, or settled otherwise.
        """
        return await settle_refund(self.pool, order)

    def _provider(self) -> Endpoint:
        if self.provider is None:
            raise Unavailable("found no payment provider, expected TOLLKEEPER_REFUND_URL to be set")
        return self.provider

    async def _row(self, refund: str) -> asyncpg.Record:
        async with transaction(self.pool) as connection:
            row = await connection.fetchrow("select * from refund where refund_id = $1", refund)
        if row is None:
            raise NotFound(f"found refund {refund!r}, expected one that was asked for")
        return row

    async def _begun(self, order: SendRefund) -> asyncpg.Record:
        """The refund, on record as sent; one that was sent in an attempt before is as well."""
        async with transaction(self.pool) as connection:
            await connection.execute(
                """
                update refund set state = 'sent', since = $2
                where refund_id = $1 and state = any($3::text[])
                """,
                order.refund,
                order.at,
                list(FROM[RefundState.SENT]),
            )
        row = await self._row(order.refund)
        if row["state"] == RefundState.REQUESTED:
            raise TransitionError(
                f"refund {order.refund} is {row['state']}, expected it to be approved before it is sent"
            )
        return row

    async def _answer(self, request: httpx.Request) -> httpx.Response | None:
        """No answer is no error: what became of the refund is not known, that is all."""
        try:
            return await self.client.send(request)
        except httpx.TransportError:
            return None

    async def _told(self, refund: str, answer: httpx.Response | None) -> Refunding:
        """What an answer says about a refund; what it does not say is UNKNOWN, and on record so."""
        said = _read(answer)
        if said is not None and said.state is not _Fate.PENDING:
            evidence = said.evidence[:WORDS_KEPT] or f"the provider says {said.state.value}"
            return Refunding(refund=refund, state=RefundState(said.state.value), evidence=evidence)
        if said is None:
            async with transaction(self.pool) as connection:
                await connection.execute(
                    "update refund set state = 'unknown' where refund_id = $1 and state = 'sent'",
                    refund,
                )
        return _as_stored(await self._row(refund))


def _signed(provider: Endpoint, refund: str, content: bytes) -> dict[str, str]:
    return signed(provider.secrets, refund.replace(".", ":"), int(time.time()), content)


def _read(answer: httpx.Response | None) -> _Said | None:
    if answer is None or not answer.is_success:
        return None
    try:
        return _Said.model_validate_json(answer.content)
    except ValidationError:
        return None


def _as_stored(row: asyncpg.Record) -> Refunding:
    return Refunding(
        refund=row["refund_id"], state=RefundState(row["state"]), evidence=row["evidence"]
    )


async def request_refund(pool: Pool, order: RequestRefund) -> Requested:
    """Ask for credit to be paid back; from here on it is reserved.

    Raises:
        NotFound: no such engagement, receipt or credit note.
        NotAuthorised: the contract does not name that person.
        TransitionError: of another customer, or more than is left.
    """
    return await once(pool, order, lambda connection: _request(connection, order))


async def settle_refund(pool: Pool, order: SettleRefund) -> Refunding:
    """Post a refund as paid, or give its credit back as not paid; once.

    Raises:
        NotFound: the engagement has no such refund.
        TransitionError: not approved yet, or settled otherwise.
    """
    return await once(pool, order, lambda connection: _settle(connection, order))


async def _request(connection: Connection, order: RequestRefund) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    require_named(terms, order.by)
    source = await source_of(connection, order.source)
    require_same(source, terms)
    if not 0 < order.amount.minor <= source.free.minor:
        raise TransitionError(
            f"{source.id}: found {order.amount} {order.amount.currency} to pay back, expected more "
            f"than 0 and at most {source.free}: {source.credit} is left{source.besides}"
        )
    await connection.execute(
        """
        insert into refund
            (refund_id, engagement_id, book, customer, source, currency, amount_minor, pay_to,
             reason, requested_by, requested_at, state, since, key)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'requested', $11, $12)
        """,
        order.refund,
        order.engagement_id,
        terms.book,
        source.customer,
        source.id,
        order.amount.currency,
        order.amount.minor,
        order.pay_to,
        order.reason,
        order.by,
        order.at,
        order.key,
    )
    await happened(
        connection,
        order,
        terms,
        EventType.REFUND_REQUESTED,
        refund=order.refund,
        source=source.id,
        amount=str(order.amount),
    )
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.REFUND,
        subject=order.refund,
        named=None,
        payload={
            "refund": order.refund,
            "source": source.id,
            "amount": f"{order.amount} {order.amount.currency}",
            "pay_to": order.pay_to,
            "reason": order.reason,
        },
        amount=order.amount,
        effect_key=f"{order.refund}:approved",
    )


@guards(Decision.REFUND)
async def _ended(connection: Connection, terms: Agreement, request: Request) -> None:
    """Its credit was given back with the request, so a refund is asked for as another one."""
    raise TransitionError(
        f"request {request.id}: found refund {request.subject} asked for again, expected another "
        "refund: the credit of this one is free again"
    )


@carries_out(Decision.REFUND)
async def _approved(
    connection: Connection, order: Order[Any], terms: Agreement, request: Request
) -> CarriedOut:
    await _step(connection, order, request.subject, RefundState.APPROVED)
    return CarriedOut(amount=request.amount)


@gives_up(Decision.REFUND)
async def _given_up(
    connection: Connection, order: Order[Any], terms: Agreement, request: Request
) -> CarriedOut:
    why = f"not approved: {request.reason}"
    await _step(connection, order, request.subject, RefundState.FAILED, why)
    return CarriedOut(amount=request.amount)


async def _settle(connection: Connection, order: SettleRefund) -> Refunding:
    terms = await agreement(connection, order.engagement_id)
    row = await connection.fetchrow(
        "select * from refund where refund_id = $1 and engagement_id = $2",
        order.refund,
        order.engagement_id,
    )
    if row is None:
        raise NotFound(
            f"found refund {order.refund!r}, expected one of engagement {order.engagement_id}"
        )
    await source_of(connection, row["source"])
    if row["state"] == RefundState.REQUESTED:
        raise TransitionError(
            f"refund {order.refund} is {row['state']}, expected it to be approved first"
        )
    await _step(connection, order, order.refund, order.state, order.evidence)
    amount = Money(row["amount_minor"], row["currency"])
    kind = EventType.REFUND_FAILED
    if order.state is RefundState.CONFIRMED:
        kind = EventType.REFUND_CONFIRMED
        await post(connection, order, terms, refunded(amount, refund=order.refund))
    await happened(
        connection,
        order,
        terms,
        kind,
        refund=order.refund,
        amount=str(amount),
        evidence=order.evidence,
    )
    return Refunding(refund=order.refund, state=order.state, evidence=order.evidence)


async def _step(
    connection: Connection,
    order: Order[Any],
    refund: str,
    to: RefundState,
    evidence: str | None = None,
) -> None:
    """Compare and set: a step that the state machine has, once."""
    done = await connection.execute(
        """
        update refund set state = $2, since = $3, evidence = $4
        where refund_id = $1 and state = any($5::text[])
        """,
        refund,
        to,
        order.at,
        evidence,
        list(FROM[to]),
    )
    if done != "UPDATE 1":
        found = await connection.fetchval("select state from refund where refund_id = $1", refund)
        require_step(f"refund {refund}", found, to)
