"""Requests for decisions about money, and the approvals that carry them out, in one transaction each."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.agreement import Agreement, agreement, working_days_of
from activities.books.requests import request_of
from activities.postgres import Connection, Pool, once, write_effect
from activities.timeline import happened
from contracts.commercial import Decision
from contracts.contract import Contract
from contracts.errors import TransitionError
from contracts.events import EventType
from contracts.fields import canonical
from contracts.money import Money
from lifecycle.approval import (
    Request,
    RequestState,
    digest_of,
    missing,
    needed,
    require_authority,
    require_pending,
    sign,
)
from lifecycle.orders import A, Answer, Order
from lifecycle.orders.approvals import (
    AskAgain,
    ExpireRequest,
    LookAtRequest,
    RejectRequest,
    Requested,
    RequestSeen,
    SignRequest,
    WithdrawRequest,
)


class CarriedOut(Answer):
    """What carrying a request out did: the amount it moved, net, and the document that carries it."""

    amount: Money
    document: str | None = None


CarryOut = Callable[[Connection, Order[Any], Agreement, Request], Awaitable[CarriedOut]]
"""The order it gets has the key of the effect and is by those who decided."""

Guard = Callable[[Connection, Agreement, Request], Awaitable[None]]
CARRY_OUT: dict[Decision, CarryOut] = {}
GUARD: dict[Decision, Guard] = {}
GIVE_UP: dict[Decision, CarryOut] = {}
"""What else is undone when a request of that kind comes to nothing; reservations end by themselves."""


def carries_out(decision: Decision) -> Callable[[CarryOut], CarryOut]:
    """Register what an approved request of that kind does."""

    def register(effect: CarryOut) -> CarryOut:
        CARRY_OUT[decision] = effect
        return effect

    return register


def guards(decision: Decision) -> Callable[[Guard], Guard]:
    """Register what is checked before a request of that kind is asked anew."""

    def register(guard: Guard) -> Guard:
        GUARD[decision] = guard
        return guard

    return register


def gives_up(decision: Decision) -> Callable[[CarryOut], CarryOut]:
    """Register what is undone when a request of that kind is rejected, withdrawn or expires."""

    def register(effect: CarryOut) -> CarryOut:
        GIVE_UP[decision] = effect
        return effect

    return register


class Approvals:
    """Activities on requests: signed, turned down, expired, looked at."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def sign_request(self, order: SignRequest) -> Requested:
        """Approve a request; the last signature needed carries it out in the same transaction.

        Raises:
            NotFound: no such request.
            NotAuthorised: the requester, or somebody without authority for the amount.
            TransitionError: decided, expired, signed before, another payload, or not possible any more.
        """
        return await once(self.pool, order, lambda connection: _sign(connection, order))

    @activity.defn
    async def reject_request(self, order: RejectRequest) -> Requested:
        """Turn a request down.

        Raises:
            NotFound, NotAuthorised, TransitionError: as for a signature.
        """
        return await once(self.pool, order, lambda connection: _reject(connection, order))

    @activity.defn
    async def withdraw_request(self, order: WithdrawRequest) -> Requested:
        """Take one's own request back.

        Raises:
            NotFound: no such request.
            TransitionError: somebody else's, or decided.
        """
        return await once(self.pool, order, lambda connection: _withdraw(connection, order))

    @activity.defn
    async def ask_again(self, order: AskAgain) -> Requested:
        """Ask anew for what came to nothing before: the same payload, a new request.

        Raises:
            NotFound: no such request.
            TransitionError: it is pending or done, or not possible any more.
        """
        return await once(self.pool, order, lambda connection: _ask_again(connection, order))

    @activity.defn
    async def expire_request(self, order: ExpireRequest) -> Requested:
        """End a request that nobody decided in time; one decided meanwhile is left as it is."""
        return await once(self.pool, order, lambda connection: _expire(connection, order))

    @activity.defn
    async def look_at_request(self, order: LookAtRequest) -> RequestSeen:
        """How a request stands now."""
        return await once(self.pool, order, lambda connection: _look(connection, order))


async def ask(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    *,
    request_id: str,
    decision: Decision,
    subject: str,
    named: str | None,
    payload: dict[str, Any],
    amount: Money,
    effect_key: str,
    by_clause: str | None = None,
    workflow_id: str | None = None,
) -> Requested:
    """Ask for a decision: an automatic policy of the contract decides at once, else people do.

    The caller has guarded the decision and locked what it is about. What is asked for is reserved
    from here on, until it is decided.

    Args:
        request_id: `eng.E.request.ID`; subject: what it is about, as the database names it.
        named: what it is about, as the contract names it (for policies); none where people name it.
        payload: exactly what will be carried out, as JSON.
        amount: what authority is measured against; net or gross as `Request.basis` says.
        effect_key: key of the effect, made of what it is.
        by_clause: the clause that decides, where silence does.
        workflow_id: the process that asked first, where it is asked anew.

    Raises:
        TransitionError: the same effect is asked for already, or done.
    """
    if order.key == request_id:
        _require_own_name(terms.contract, request_id)
    policy = terms.contract.policy_for(decision, named, amount)
    alone = f"clause:{by_clause}" if by_clause else f"policy:{policy.id}" if policy else None
    expires_at = order.at if alone else await _last_day(connection, order, terms)
    request = Request(
        id=request_id,
        engagement_id=terms.engagement_id,
        workflow_id=workflow_id or order.workflow_id,
        decision=decision,
        subject=subject,
        payload=payload,
        digest=digest_of(payload),
        effect_key=effect_key,
        amount=amount,
        requested_by=order.by,
        requested_at=order.at,
        expires_at=expires_at,
        needed=0 if alone else needed(terms.contract, decision),
    )
    await _insert(connection, request)
    if order.key != request_id:
        asking = order.model_copy(update={"key": request_id})
        kind = f"request_{decision.value}"
        await write_effect(connection, asking, kind, canonical(payload), _answer(request, terms))
    await happened(
        connection,
        order,
        terms,
        EventType.APPROVAL_REQUESTED,
        request=request_id,
        decision=decision.value,
        subject=subject,
        amount=str(amount),
        digest=request.digest,
        needed=request.needed,
        expires_at=expires_at.isoformat(),
    )
    if alone is None:
        return _answer(request, terms)
    decided = request.model_copy(
        update={
            "state": RequestState.APPROVED,
            "decided_by": alone,
            "decided_at": order.at,
        }
    )
    return await _carry_out(connection, order, terms, decided)


async def _last_day(connection: Connection, order: Order[A], terms: Agreement) -> datetime:
    """Until when people may sign what is asked for now.

    Raises:
        CalendarNotCovered: nobody has decreed the working days until then yet.
    """
    days = await working_days_of(connection, terms)
    return days.working_days_after(order.at, terms.contract.approvals.expire_after)


async def _sign(connection: Connection, order: SignRequest) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    before = await request_of(connection, order.engagement_id, order.request)
    after = sign(before, terms.contract, order.by, order.digest, order.at)
    await connection.execute(
        """
        insert into approval_signature (request_id, person, digest, signed_at, key)
        values ($1, $2, $3, $4, $5)
        """,
        after.id,
        order.by,
        order.digest,
        order.at,
        order.key,
    )
    await happened(
        connection, order, terms, EventType.APPROVAL_SIGNED, request=after.id, digest=order.digest
    )
    if after.state is RequestState.PENDING:
        return _answer(after, terms)
    return await _carry_out(connection, order, terms, after)


async def _carry_out(
    connection: Connection, order: Order[A], terms: Agreement, request: Request
) -> Requested:
    """Decide, and do it: the state first, so that what is reserved for it is free for it."""
    await _decide(connection, request)
    acting = order.model_copy(
        update={
            "key": request.effect_key,
            "workflow_id": request.workflow_id,
            "by": request.decided_by,
        }
    )
    await happened(
        connection,
        acting,
        terms,
        EventType.APPROVAL_DECIDED,
        request=request.id,
        state=request.state.value,
        decided_by=request.decided_by,
    )
    done = await CARRY_OUT[request.decision](connection, acting, terms, request)
    content = canonical(request.payload)
    await write_effect(connection, acting, request.decision.value, content, done)
    await connection.execute(
        "update approval_request set document = $2 where request_id = $1",
        request.id,
        done.document,
    )
    return _answer(request, terms).model_copy(update={"document": done.document})


async def _reject(connection: Connection, order: RejectRequest) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    request = await request_of(connection, order.engagement_id, order.request)
    require_pending(request, order.at)
    # Whoever may approve may reject.
    require_authority(request, terms.contract, order.by)
    return await _end(connection, order, terms, request, RequestState.REJECTED, order.reason)


async def _withdraw(connection: Connection, order: WithdrawRequest) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    request = await request_of(connection, order.engagement_id, order.request)
    if order.by != request.requested_by:
        raise TransitionError(
            f"request {request.id}: found {order.by!r} to withdraw it, expected "
            f"{request.requested_by}, who asked for it"
        )
    require_pending(request, order.at)
    return await _end(connection, order, terms, request, RequestState.SUPERSEDED, "withdrawn")


async def _ask_again(connection: Connection, order: AskAgain) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    before = await request_of(connection, order.engagement_id, order.request)
    if before.state in {RequestState.PENDING, RequestState.APPROVED}:
        raise TransitionError(
            f"request {before.id}: found it {before.state.value}, expected it to have come to nothing"
        )
    if (guard := GUARD.get(before.decision)) is not None:
        await guard(connection, terms, before)
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=before.decision,
        subject=before.subject,
        named=None,
        payload=before.payload,
        amount=before.amount,
        effect_key=before.effect_key,
        workflow_id=before.workflow_id,
    )


async def _expire(connection: Connection, order: ExpireRequest) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    request = await request_of(connection, order.engagement_id, order.request)
    if request.state is not RequestState.PENDING:
        return _answer(request, terms)
    return await _end(
        connection, order, terms, request, RequestState.EXPIRED, "nobody decided in time"
    )


async def _end(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    request: Request,
    state: RequestState,
    reason: str,
) -> Requested:
    ended = request.model_copy(
        update={
            "state": state, "decided_by": order.by, "decided_at": order.at, "reason": reason,
        }
    )  # fmt: skip
    await _decide(connection, ended)
    if (undo := GIVE_UP.get(request.decision)) is not None:
        await undo(connection, order, terms, ended)
    await happened(
        connection,
        order,
        terms,
        EventType.APPROVAL_DECIDED,
        request=request.id,
        state=state.value,
        decided_by=order.by,
        reason=reason,
    )
    return _answer(ended, terms)


async def _look(connection: Connection, order: LookAtRequest) -> RequestSeen:
    terms = await agreement(connection, order.engagement_id)
    request = await request_of(connection, order.engagement_id, order.request)
    seen = _answer(request, terms)
    return RequestSeen(
        **seen.model_dump(),
        what=f"{request.decision.value.replace('_', ' ')} of {request.amount} "
        f"{request.amount.currency} ({request.subject})",
    )


def _require_own_name(contract: Contract, request_id: str) -> None:
    """Refuse a name by which the contract itself asks: of its holds, of retention's steps, of silence.

    Raises:
        TransitionError: a person gives a request such a name.
    """
    name = request_id.rpartition(".")[2]
    steps = {step.id for step in contract.retention.release} if contract.retention else set()
    kept = name in steps or name.endswith("-default")
    if kept or any(name.startswith(f"{own}-") for own in (*contract.hold_ids(), *steps)):
        raise TransitionError(
            f"found request id {name!r}, which the contract's own decisions use; expected another"
        )


async def _insert(connection: Connection, request: Request) -> None:
    if await connection.fetchval(
        "select 1 from approval_request where request_id = $1", request.id
    ):
        raise TransitionError(f"found request {request.id} made already, expected a new id")
    taken = await connection.fetchrow(
        """
        select request_id, state from approval_request
        where effect_key = $1 and state in ('pending', 'approved')
        """,
        request.effect_key,
    )
    if taken is not None:
        raise TransitionError(
            f"{request.effect_key}: found it asked for as {taken['request_id']} "
            f"({taken['state']}), expected it not to be asked for yet"
        )
    await connection.execute(
        """
        insert into approval_request
            (request_id, engagement_id, workflow_id, decision, subject, payload, digest,
             amount_minor, currency, requested_by, requested_at, expires_at, effect_key, needed,
             state)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        request.id,
        request.engagement_id,
        request.workflow_id,
        request.decision,
        request.subject,
        request.payload,
        request.digest,
        request.amount.minor,
        request.amount.currency,
        request.requested_by,
        request.requested_at,
        request.expires_at,
        request.effect_key,
        request.needed,
        request.state,
    )


async def _decide(connection: Connection, request: Request) -> None:
    """Compare and set: only a pending request is decided."""
    done = await connection.execute(
        """
        update approval_request set state = $2, decided_by = $3, decided_at = $4, reason = $5
        where request_id = $1 and state = 'pending'
        """,
        request.id,
        request.state,
        request.decided_by,
        request.decided_at,
        request.reason,
    )
    if done != "UPDATE 1":
        raise TransitionError(f"request {request.id}: found it decided, expected it to be pending")


def _answer(request: Request, terms: Agreement) -> Requested:
    pending = request.state is RequestState.PENDING
    return Requested(
        request=request.id,
        state=request.state,
        digest=request.digest,
        expires_at=request.expires_at,
        signed=request.signed,
        missing=tuple(missing(request, terms.contract)) if pending else (),
        decided_by=request.decided_by,
    )
