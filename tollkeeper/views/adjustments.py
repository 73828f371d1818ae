"""What people see of caps, gain share and service credits."""

from datetime import datetime
from typing import Any

from pydantic import computed_field

from activities.postgres import Pool
from contracts.fields import short_id
from contracts.money import Money
from lifecycle.approval import RequestState
from lifecycle.caps import Level
from tollkeeper.views.base import Row, View, contract_of, money, snapshot


class Cap(Level):
    """A level with what is left of it."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def left(self) -> Money:
        return super().left


class Asked(View):
    """What a request came to; `document` once it is carried out."""

    request: str
    state: RequestState
    requested_by: str
    requested_at: datetime
    evidence: str
    decided_by: str | None
    document: str | None

    @property
    def name(self) -> str:
        """As people call it in a command."""
        return short_id(self.request)


class GainShareReport(Asked):
    """The benefit of a period, and what it made of the fee; `amount` is negative where it is credited."""

    period: str
    benefit: Money
    benefit_to_date: Money
    fee_to_date: Money
    amount: Money


class ServiceCredit(Asked):
    """A credit for service below its level, net."""

    id: str
    invoice: str
    amount: Money
    reason: str


async def caps(pool: Pool, engagement_id: str) -> list[Cap]:
    """How far each level of an engagement is used, `contract` first.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await contract_of(connection, engagement_id)
        rows = await connection.fetch(
            """
            select * from cap_level where engagement_id = $1
            order by level <> 'contract', level
            """,
            engagement_id,
        )
    return [
        Cap(
            level=row["level"],
            **{
                name: money(row[f"{name}_minor"], row["currency"])
                for name in ("authorised", "reserved", "billed")
            },
        )
        for row in rows
    ]


async def gain_share_reports(pool: Pool, engagement_id: str) -> list[GainShareReport]:
    """Every report of a benefit, in the order they came.

    Raises:
        NotFound: no such engagement.
    """
    return [
        GainShareReport(**_asked(row), **row["payload"])
        for row in await _requests(pool, engagement_id, "gain_share")
    ]


async def service_credits(pool: Pool, engagement_id: str) -> list[ServiceCredit]:
    """Every service credit that was asked for, in the order they came.

    Raises:
        NotFound: no such engagement.
    """
    return [
        ServiceCredit(**_asked(row), **row["payload"])
        for row in await _requests(pool, engagement_id, "service_credit")
    ]


async def _requests(pool: Pool, engagement_id: str, decision: str) -> list[Row]:
    async with snapshot(pool) as connection:
        await contract_of(connection, engagement_id)
        return await connection.fetch(
            """
            select * from approval_request where engagement_id = $1 and decision = $2
            order by requested_at, request_id
            """,
            engagement_id,
            decision,
        )


def _asked(row: Row) -> dict[str, Any]:
    names = ("state", "requested_by", "requested_at", "decided_by", "document")
    return {"request": row["request_id"], **{name: row[name] for name in names}}
