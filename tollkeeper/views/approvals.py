"""Requests for decisions about money, as people read them."""

from datetime import datetime
from typing import Any

from activities.books.requests import read_request
from activities.postgres import Pool
from contracts.commercial import Decision
from contracts.errors import NotFound
from contracts.fields import short_id
from contracts.money import Money
from lifecycle.approval import RequestState, missing
from lifecycle.tax import Prices
from tollkeeper.views.base import View, contract_of, snapshot


class Approval(View):
    """One request. `digest` is what a signature is of; `can_sign` who could still sign."""

    id: str
    engagement: str
    timezone: str
    """Of the contract."""
    decision: Decision
    subject: str
    amount: Money
    basis: Prices
    """Whether `amount` is net or gross."""
    state: RequestState
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    needed: int
    signed: tuple[str, ...]
    can_sign: tuple[str, ...]
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    document: str | None
    digest: str
    payload: dict[str, Any]


async def approvals(
    pool: Pool, engagement_id: str | None = None, *, pending: bool = False
) -> list[Approval]:
    """Every request, of one engagement or of all, in the order they were made.

    Args:
        pending: those that nobody has decided yet.
    """
    async with snapshot(pool) as connection:
        rows = await connection.fetch(
            """
            select q.*, coalesce(s.people, '{}') as people from approval_request q
            left join (
                select request_id, array_agg(person order by signed_at, place) as people
                from approval_signature group by request_id
            ) s using (request_id)
            where ($1::text is null or engagement_id = $1) and (not $2 or state = 'pending')
            order by requested_at, request_id
            """,
            engagement_id,
            pending,
        )
        found = []
        for row in rows:
            request = read_request(row, tuple(row["people"]))
            contract = await contract_of(connection, request.engagement_id)
            open_ = request.state is RequestState.PENDING
            found.append(
                Approval(
                    **request.model_dump(
                        exclude={"workflow_id", "engagement_id", "effect_key", "amount"}
                    ),
                    engagement=request.engagement_id,
                    timezone=contract.timezone,
                    amount=request.amount,
                    basis=request.basis,
                    can_sign=tuple(missing(request, contract)) if open_ else (),
                    document=row["document"],
                )
            )
    return found


async def approval(pool: Pool, engagement_id: str, request: str) -> Approval:
    """One request, by its short id.

    Raises:
        NotFound: the engagement has none of that id.
    """
    found = await approvals(pool, engagement_id)
    for each in found:
        if each.id in {request, f"eng.{engagement_id}.request.{request}"}:
            return each
    known = ", ".join(short_id(each.id) for each in found)
    raise NotFound(
        f"found request {request!r}, expected one of engagement {engagement_id}: {known or 'none'}"
    )
