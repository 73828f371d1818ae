"""Change orders as people read them, and what a new version would cost before anybody signs it."""

from datetime import date

from activities.agreement import agreement
from activities.books.requests import read_request
from activities.change_orders import priced
from activities.postgres import Pool, transaction
from contracts.contract import Contract
from contracts.errors import EngagementError, NotFound, Unavailable
from contracts.fields import short_id
from contracts.money import Money
from lifecycle.approval import Request, RequestState
from lifecycle.change_order import Pricing
from tollkeeper.views.base import Row, View, snapshot

SUBMITTED, ONE_SIDE = "submitted", "signed by one"
ENDED = {
    RequestState.REJECTED: "rejected",
    RequestState.EXPIRED: "expired",
    RequestState.SUPERSEDED: "withdrawn",
}


class ChangeOrder(View):
    """One change order. `refusal` is why it lapsed, or why it could not be applied now."""

    id: str
    engagement: str
    contract: str
    state: str
    effective_on: date
    retroactive: bool
    reason: str
    requested_by: str
    amount: Money
    signed: tuple[str, ...]
    document: str | None
    refusal: str | None


class ChangeOrderDetail(ChangeOrder):
    """With what it changes; `pricing` as it is now, where it is not in force yet."""

    request: str
    digest: str
    edits: tuple[str, ...]
    pricing: Pricing | None


async def what_if(
    pool: Pool, engagement_id: str, contract: Contract, *, retroactive: bool
) -> Pricing:
    """What a new version would change now; nothing is written.

    Raises:
        NotFound: no such engagement.
        TransitionError: it changes what is settled.
        TermsError: it is no later version of the engagement's contract.
    """
    async with transaction(pool) as connection:
        terms = await agreement(connection, engagement_id)
        now = await connection.fetchval(
            "select coalesce(clock_now, now()) from engagement where engagement_id = $1",
            engagement_id,
        )
        return await priced(connection, terms, contract, retroactive=retroactive, at=now)


async def change_orders(pool: Pool, engagement_id: str | None = None) -> list[ChangeOrder]:
    """Every change order, of one engagement or of all, in the order they were proposed."""
    return [_summary(row, request) for row, request in await _found(pool, engagement_id)]


async def change_order(pool: Pool, engagement_id: str, change: str) -> ChangeOrderDetail:
    """One change order, by its short id.

    Raises:
        NotFound: the engagement has none of that id.
    """
    found = await _found(pool, engagement_id)
    named = {change, f"eng.{engagement_id}.change.{change}"}
    for row, request in found:
        if row["change_id"] in named:
            return await _detail(pool, row, request)
    known = ", ".join(short_id(row["change_id"]) for row, _ in found)
    raise NotFound(
        f"found change order {change!r}, expected one of engagement {engagement_id}: "
        f"{known or 'none'}"
    )


async def _detail(pool: Pool, row: Row, request: Request) -> ChangeOrderDetail:
    summary, pricing = _summary(row, request), None
    if summary.state in {SUBMITTED, ONE_SIDE, "agreed"}:
        new = Contract.model_validate(row["terms"])
        retroactive = summary.retroactive
        try:
            pricing = await what_if(pool, summary.engagement, new, retroactive=retroactive)
        except Unavailable:
            raise
        except EngagementError as impossible:
            summary = summary.model_copy(update={"refusal": str(impossible)})
    return ChangeOrderDetail(
        **dict(summary),
        request=request.id,
        digest=request.digest,
        edits=tuple(request.payload["edits"]),
        pricing=pricing,
    )


async def _found(pool: Pool, engagement_id: str | None) -> list[tuple[Row, Request]]:
    async with snapshot(pool) as connection:
        rows = await connection.fetch(
            """
            select q.*, c.change_id, c.document as terms, c.retroactive, c.reason as why,
                   c.effective_on, c.state as stands, c.refusal, c.invoice, array(
                       select person from approval_signature s where s.request_id = q.request_id
                       order by signed_at, place
                   ) as people
            from change_order c cross join lateral (
                select * from approval_request where effect_key = c.change_id
                order by state = 'pending' desc, request_id = c.request_id desc limit 1
            ) q
            where $1::text is null or c.engagement_id = $1
            order by q.requested_at, c.change_id
            """,
            engagement_id,
        )
    return [(row, read_request(row, tuple(row["people"]))) for row in rows]


def _summary(row: Row, request: Request) -> ChangeOrder:
    return ChangeOrder(
        id=row["change_id"],
        engagement=request.engagement_id,
        contract=request.payload["contract"],
        state=_state(row["stands"], request),
        effective_on=row["effective_on"],
        retroactive=row["retroactive"],
        reason=row["why"],
        requested_by=request.requested_by,
        amount=request.amount,
        signed=request.signed,
        document=row["invoice"],
        refusal=row["refusal"],
    )


def _state(stands: str, request: Request) -> str:
    """The change order's own state once it is agreed; before that, its request says it."""
    if stands != "proposed":
        return stands
    if request.state is RequestState.PENDING:
        return ONE_SIDE if request.signed else SUBMITTED
    return ENDED[request.state]
