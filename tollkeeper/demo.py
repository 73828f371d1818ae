"""The demo: a contract played to its end on a test clock, told, accounted for and verified."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pydantic import BaseModel

from activities.postgres import transaction
from contracts.contract import Contract
from contracts.errors import NotFound, Unavailable
from contracts.fields import canonical
from tollkeeper.office import Office
from tollkeeper.receiver import Receiver
from tollkeeper.story import Story
from tollkeeper.verify import Verification, verify
from tollkeeper.views.documents import Document, invoices
from tollkeeper.views.engagements import EngagementDetail, Happening, engagement, timeline
from tollkeeper.views.holds import HoldBalance, holds
from tollkeeper.views.ledger import FeeMoney, money_table

TELLING_SECONDS = 0.2
DELIVERY_SECONDS = 30.0


class Outcome(BaseModel):
    """Everything that the demo shows; `ok` when every check holds."""

    ok: bool
    engagement: EngagementDetail
    timeline: tuple[Happening, ...]
    refusals: tuple[str, ...]
    money: tuple[FeeMoney, ...]
    holds: tuple[HoldBalance, ...]
    invoices: tuple[Document, ...]
    notices: int
    verification: Verification
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Demo:
    """One playing of a story in an office that runs."""

    office: Office
    receiver: Receiver
    contract: Contract
    told: Callable[[Happening], None]

    async def play(self, *, shelved: bool) -> Outcome:
        """Play the story, tell each event as it is on record, and check the books at the end."""
        story = Story(self.office.desk, await self._free_id(), self.contract)
        playing = asyncio.create_task(story.shelved_and_resumed() if shelved else story.value_bet())
        told: set[str] = set()
        while not playing.done():
            await asyncio.wait([playing], timeout=TELLING_SECONDS)
            await self._tell(story.id, told)
        await playing
        await self._delivered(story.id)
        return await self._outcome(story)

    async def _free_id(self) -> str:
        """`key-account-1`, then `key-account-2`: every demo is an engagement of its own."""
        name = self.contract.micro_consulting.product
        async with transaction(self.office.pool) as connection:
            taken = await connection.fetchval(
                "select count(*) from engagement where engagement_id like $1 || '-%'", name
            )
        return f"{name}-{taken + 1}"

    async def _tell(self, engagement_id: str, told: set[str]) -> None:
        with suppress(NotFound):  # until it is open
            for event in await timeline(self.office.pool, engagement_id):
                if (key := canonical(event)) not in told:
                    told.add(key)
                    self.told(event)

    async def _delivered(self, engagement_id: str) -> None:
        """Wait until every message that the story sent has its receipt.

        Raises:
            Unavailable: a message has none in time.
        """
        until = asyncio.get_running_loop().time() + DELIVERY_SECONDS
        while waiting := await self._undelivered(engagement_id):
            if asyncio.get_running_loop().time() > until:
                raise Unavailable(f"{waiting} messages have not been delivered")
            await asyncio.sleep(0.1)

    async def _undelivered(self, engagement_id: str) -> int:
        async with transaction(self.office.pool) as connection:
            waiting: int = await connection.fetchval(
                "select count(*) from outbox where delivered_at is null and engagement_id = $1",
                engagement_id,
            )
        return waiting

    async def _outcome(self, story: Story) -> Outcome:
        pool = self.office.pool
        documents = await invoices(pool, story.id)
        verification = await verify(pool)
        problems = [
            f"{check.id}: {violation}"
            for check in verification.checks
            for violation in check.violations
        ]
        problems += [
            f"{document.number} did not reach the receiver"
            for document in documents
            if document.number not in self.receiver.received
        ]
        return Outcome(
            ok=not problems,
            engagement=await engagement(pool, story.id),
            timeline=tuple(await timeline(pool, story.id)),
            refusals=tuple(story.refusals),
            money=tuple(await money_table(pool, story.id)),
            holds=tuple(await holds(pool, story.id)),
            invoices=tuple(documents),
            notices=sum(
                "type" in message and message["engagement"] == story.id
                for message in self.receiver.received.values()
            ),
            verification=verification,
            problems=tuple(problems),
        )
