"""The delivery of one message: handed over, with a receipt kept here."""

import asyncpg
import httpx
from temporalio import activity

from activities.export.folder import InFolder
from activities.export.http import OverHttp
from activities.export.port import Endpoint, Message, OtherSide, Receivers, Taken, message
from activities.postgres import Pool, transaction
from contracts.errors import EngagementError, NotFound, Unavailable
from lifecycle.orders import Deliver, Delivered


def other_side(endpoint: Endpoint, client: httpx.AsyncClient) -> OtherSide:
    """The adapter for an endpoint."""
    folder = endpoint.folder
    return OverHttp(endpoint, client) if folder is None else InFolder(folder)


class Export:
    """Activities that write to the systems of others."""

    def __init__(self, pool: Pool, client: httpx.AsyncClient, receivers: Receivers) -> None:
        self.pool = pool
        self.client = client
        self.receivers = receivers

    @activity.defn
    async def deliver(self, order: Deliver) -> Delivered:
        """Hand over a message and keep the receipt; a message with a receipt is not sent again.

        A refusal is noted beside the message before it is raised.

        Raises:
            Unavailable: no answer, or one that may pass; tried again for days.
            KeyReused: the other side has other content under this key.
            TermsError: the other side refuses the content for good.
        """
        row = await self._row(order.key)
        if row["status"] is not None:
            return Delivered(key=order.key, status=row["status"])
        leaving = message(order.key, row["kind"], row["payload"])
        try:
            taken = await self._receiver(row["book"], leaving).take(leaving)
        except EngagementError as refused:
            await self._note(order.key, refused)
            raise
        return Delivered(key=order.key, status=await self._keep(leaving, taken))

    def _receiver(self, book: str, leaving: Message) -> OtherSide:
        endpoint = self.receivers.get((book, leaving.kind))
        if endpoint is None:
            raise Unavailable(f"{leaving}: found no receiver for the {book} book, expected one")
        return other_side(endpoint, self.client)

    async def _row(self, key: str) -> asyncpg.Record:
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

    async def _note(self, key: str, refused: EngagementError) -> None:
        async with transaction(self.pool) as connection:
            await connection.execute(
                """
                update outbox set refusal = $2, refused_at = now(),
                    failed_at = case when $3 then null else now() end
                where key = $1 and delivered_at is null
                """,
                key,
                str(refused),
                refused.retryable,
            )

    async def _keep(self, sent: Message, taken: Taken) -> int:
        """The status on record: of two copies that were sent at once, the first answer counts."""
        async with transaction(self.pool) as connection:
            await connection.execute(
                """
                insert into delivery_receipt (key, url, sha256, status, attempt, body)
                values ($1, $2, $3, $4, $5, $6) on conflict (key) do nothing
                """,
                sent.key,
                taken.where,
                sent.sha256,
                taken.status,
                activity.info().attempt,
                taken.words,
            )
            await connection.execute(
                """
                update outbox set delivered_at = now(), failed_at = null
                where key = $1 and delivered_at is null
                """,
                sent.key,
            )
            status: int = await connection.fetchval(
                "select status from delivery_receipt where key = $1", sent.key
            )
        return status
