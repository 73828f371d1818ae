"""Handing a document or a notice to another system over HTTP, with a receipt kept here."""

from collections.abc import Mapping

import asyncpg
import httpx
from temporalio import activity

from activities.postgres import Pool, transaction
from contracts.errors import NotFound, TermsError, Unavailable
from lifecycle.orders import Deliver, Delivered

ANSWER_SECONDS = 20.0
BODY_KEPT = 2_000
PASSING = {408, 409, 425, 429}
"""Refusals that the other side may take back; every other 4xx is final."""


Receivers = Mapping[tuple[str, str], str]
"""Where each kind of message of each book goes: `("live", "invoice")` to a URL."""


class Export:
    """Activities that write to the systems of others."""

    def __init__(self, pool: Pool, client: httpx.AsyncClient, receivers: Receivers) -> None:
        self.pool = pool
        self.client = client
        self.receivers = receivers

    @activity.defn
    async def deliver(self, message: Deliver) -> Delivered:
        """Send a message and keep the receipt; a message with a receipt is not sent again.

        The idempotency key is the message's own, so that the other side can drop a second copy.

        Raises:
            Unavailable: no answer, or one that may pass; tried again for days.
            TermsError: the other side refuses the content for good.
        """
        key = message.key
        row = await self._message(key)
        if row["status"] is not None:
            return Delivered(key=key, status=row["status"])
        name, url = f"{row['kind']} {key}", self.receivers[row["book"], row["kind"]]
        try:
            answer = await self.client.post(
                url,
                json=row["payload"],
                headers={"Idempotency-Key": key},
                timeout=ANSWER_SECONDS,
            )
        except httpx.TransportError as down:
            raise Unavailable(f"{name}: no answer: {down!r}") from down
        if answer.status_code >= 500 or answer.status_code in PASSING:
            raise Unavailable(f"{name}: answered {answer.status_code}")
        if not answer.is_success:
            raise TermsError(f"{name} was refused with {answer.status_code}: {answer.text[:200]}")
        return Delivered(key=key, status=await self._keep(key, url, answer))

    async def _message(self, key: str) -> asyncpg.Record:
        async with transaction(self.pool) as connection:
            row = await connection.fetchrow(
                """
                select o.kind, o.book, o.payload, r.status
                from outbox o left join delivery_receipt r using (key) where o.key = $1
                """,
                key,
            )
        if row is None:
            raise NotFound(f"found no message {key!r} in the outbox")
        return row

    async def _keep(self, key: str, url: str, answer: httpx.Response) -> int:
        """The status on record: of two copies that were sent at once, the first answer counts."""
        async with transaction(self.pool) as connection:
            await connection.execute(
                """
                insert into delivery_receipt (key, url, status, attempt, body)
                values ($1, $2, $3, $4, $5) on conflict (key) do nothing
                """,
                key,
                url,
                answer.status_code,
                activity.info().attempt,
                answer.text[:BODY_KEPT],
            )
            await connection.execute(
                "update outbox set delivered_at = now() where key = $1 and delivered_at is null",
                key,
            )
            status: int = await connection.fetchval(
                "select status from delivery_receipt where key = $1", key
            )
        return status
