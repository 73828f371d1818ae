"""Holds by people: placed, cured, disputed, extended; their clocks, and what silence means."""

from temporalio import activity

from activities.agreement import Agreement, agreement, require_named, working_days_of
from activities.approvals import CarriedOut, ask, carries_out
from activities.books.holds import change, hold_of, insert_hold, move, named_in_contract
from activities.books.journal import post
from activities.holds.decisions import ask_to_decide, one_part
from activities.holds.lines import line_of
from activities.holds.retention import retention_due
from activities.postgres import Connection, Pool, once
from activities.timeline import happened
from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.errors import TermsError, TransitionError
from contracts.events import EventType
from contracts.explanation import Explanation, Input
from contracts.money import Money
from lifecycle.approval import Request
from lifecycle.hold import (
    OPEN,
    Hold,
    HoldState,
    clock_ended,
    cure_noticed,
    dispute_closed,
    disputed,
    extended,
    first_clock,
    require_open,
)
from lifecycle.hold_reasons import as_asked, as_placed, of_all_free
from lifecycle.invoice import draft, milestone_lines
from lifecycle.ledger import payment_withheld, refund_reserved, stake_opened
from lifecycle.orders import A, Order
from lifecycle.orders.approvals import Requested
from lifecycle.orders.holds import (
    CloseHoldDispute,
    DecideHold,
    DisputeHold,
    EndHoldClock,
    ExtendHold,
    HoldMoved,
    HoldNow,
    LookAtHold,
    PlaceHold,
    ServeCureNotice,
)

BY_PEOPLE = {HoldKind.ADMIN_BLOCK, HoldKind.COMPLIANCE}


class Holds:
    """Activities on holds."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def place_hold(self, order: PlaceHold) -> Requested:
        """Ask for a hold on a milestone's fee, or on a line of an invoice.

        Raises:
            NotAuthorised: the contract does not name that person.
            NotFound: no such milestone or invoice line.
            TermsError: the effect does not fit what is held, or the kind is not for people.
            TransitionError: more than there is to hold, or billed already.
        """
        return await once(self.pool, order, lambda connection: _place(connection, order))

    @activity.defn
    async def decide_hold(self, order: DecideHold) -> Requested:
        """Ask for a part of a hold to be released or forfeited; it is reserved until then.

        Raises:
            NotFound: no such hold.
            TransitionError: more than is held and free, or the hold is not open.
        """
        return await once(self.pool, order, lambda connection: _decide(connection, order))

    @activity.defn
    async def extend_hold(self, order: ExtendHold) -> Requested:
        """Ask for more time before the decision about a hold.

        Raises:
            TransitionError: not to be decided now, or extended as often as the clause allows.
        """
        return await once(self.pool, order, lambda connection: _extend(connection, order))

    @activity.defn
    async def serve_cure_notice(self, order: ServeCureNotice) -> HoldMoved:
        """Serve a cure notice; the cure clock starts.

        Raises:
            TransitionError: the clause knows no cure, or the hold is not active.
        """
        return await once(self.pool, order, lambda connection: _notice(connection, order))

    @activity.defn
    async def dispute_hold(self, order: DisputeHold) -> HoldMoved:
        """Open a dispute about a hold: its clocks stand still.

        Raises:
            TransitionError: settled, or disputed already.
        """
        return await once(self.pool, order, lambda connection: _dispute(connection, order))

    @activity.defn
    async def close_hold_dispute(self, order: CloseHoldDispute) -> HoldMoved:
        """Close a dispute about a hold: its clocks run on.

        Raises:
            TransitionError: it is not disputed.
        """
        return await once(self.pool, order, lambda connection: _close(connection, order))

    @activity.defn
    async def look_at_hold(self, order: LookAtHold) -> HoldNow:
        """How a hold stands now, and whom it waits for."""
        return await once(self.pool, order, lambda connection: _look(connection, order))

    @activity.defn
    async def end_hold_clock(self, order: EndHoldClock) -> HoldMoved:
        """Do what the end of a hold's clock means; where it was stopped or moved since, nothing."""
        return await once(self.pool, order, lambda connection: _end_clock(connection, order))


async def _place(connection: Connection, order: PlaceHold) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    require_named(terms, order.by)
    if order.kind not in BY_PEOPLE:
        kinds = ", ".join(sorted(BY_PEOPLE))
        raise TermsError(f"found kind {order.kind}, expected one that people place: {kinds}")
    hold_id = f"eng.{order.engagement_id}.hold.{order.hold}"
    placed = await connection.fetchval("select 1 from hold where hold_id = $1", hold_id)
    if placed or order.hold in terms.contract.hold_ids():
        raise TransitionError(
            f"found hold {hold_id} placed already, or to be placed by the contract; expected a new id"
        )
    if order.hold in {milestone.id for milestone in terms.contract.milestones}:
        raise TransitionError(
            f"found a hold of the name of milestone {order.hold}, expected another id: what is "
            "decided without approval about the milestone would hold for it"
        )
    await _require_room(connection, terms, order)
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.PLACE_HOLD,
        subject=hold_id,
        named=order.milestone or order.hold,
        payload=order.model_dump(mode="json", exclude={"key", "workflow_id", "at"}),
        amount=order.amount,
        effect_key=f"{hold_id}:place",
    )


async def _require_room(connection: Connection, terms: Agreement, order: PlaceHold) -> None:
    """Refuse a hold of nothing, or of more than there is."""
    room = await room_for(connection, terms, order)
    if order.amount.minor <= 0 or (room - order.amount).minor < 0:
        raise TransitionError(
            f"found {order.amount} {order.amount.currency} to hold, expected more than 0 and at most "
            f"{room}, which is there to be held"
        )


async def room_for(connection: Connection, terms: Agreement, order: PlaceHold) -> Money:
    """How much, net, there is to be held of what a hold is about.

    Raises:
        TermsError: the effect does not fit it.
        TransitionError: it is billed already.
        NotFound: no such milestone or invoice line.
    """
    if order.effect is HoldEffect.BLOCK_INVOICING:
        if order.milestone is None or order.line is not None:
            raise TermsError(
                "a hold that blocks invoicing is on a milestone: found none, or an invoice line"
            )
        milestone = terms.contract.milestone(order.milestone)
        if number := await invoice_of(connection, terms, milestone.id):
            raise TransitionError(
                f"milestone {milestone.id}: found it billed as {number}, expected it not to be "
                "billed yet; withhold the payment of that invoice instead"
            )
        return _net_of(terms, milestone.id) - await _blocked(connection, terms, milestone.id)
    if order.line is None or order.milestone is not None:
        raise TermsError(
            f"a hold with effect {order.effect.value} is on an invoice line such as "
            "QM-INV-2025-000001/1: found none, or a milestone"
        )
    line = await line_of(connection, terms, order.line)
    return line.open_net if order.effect is HoldEffect.WITHHOLD_PAYMENT else line.refundable_net


async def invoice_of(connection: Connection, terms: Agreement, milestone: str) -> str | None:
    """The number of the invoice that bills a milestone; none before it is billed."""
    number: str | None = await connection.fetchval(
        "select number from invoice where key = $1",
        f"eng.{terms.engagement_id}.milestone.{milestone}:bill",
    )
    return number


def _net_of(terms: Agreement, milestone: str) -> Money:
    """What a milestone earns of its own fee, net where its prices have the tax inside."""
    agreed = Input(name="agreed", value=milestone, source="contract")
    priced = draft(terms.contract, milestone_lines(terms.contract, milestone, milestone, agreed))
    return priced.lines[0].net


async def _blocked(connection: Connection, terms: Agreement, milestone: str) -> Money:
    """What other holds keep from being invoiced, or have forfeited, of a milestone."""
    minor = await connection.fetchval(
        """
        select coalesce(sum(held_minor + forfeited_minor), 0)::bigint from hold_balance
        where engagement_id = $1 and milestone = $2 and effect = 'block_invoicing'
        """,
        terms.engagement_id,
        milestone,
    )
    return Money(minor, terms.contract.currency)


@carries_out(Decision.PLACE_HOLD)
async def _placed(
    connection: Connection, order: Order[Requested], terms: Agreement, request: Request
) -> CarriedOut:
    asked = PlaceHold.model_validate(
        request.payload | {"key": request.id, "workflow_id": order.workflow_id, "at": order.at}
    )
    await _require_room(connection, terms, asked)
    await put_hold(connection, order, terms, asked, as_placed(terms.contract, asked))
    return CarriedOut(amount=request.amount)


async def put_hold(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    asked: PlaceHold,
    explanation: Explanation,
) -> None:
    """Write the hold with its movement and its postings; the order has the key of the effect."""
    hold_id = f"eng.{terms.engagement_id}.hold.{asked.hold}"
    clocks = terms.contract.hold_clocks
    line = await line_of(connection, terms, asked.line) if asked.line else None
    fee = line.billed.fee if line else terms.contract.milestone(asked.milestone or "").fee
    await insert_hold(
        connection,
        order,
        hold_id=hold_id,
        clause=explanation.clause,
        kind=asked.kind,
        effect=asked.effect,
        fee=fee,
        currency=asked.amount.currency,
        reason=asked.reason,
        evidence=asked.evidence,
        milestone=asked.milestone,
        invoice=line.billed.number if line else None,
        invoice_line=line.billed.line if line else None,
        clocks=clocks,
        due_at=first_clock(clocks, order.at, await working_days_of(connection, terms)),
    )
    nothing = Money(0, asked.amount.currency)
    tax = nothing
    match asked.effect:
        case HoldEffect.BLOCK_INVOICING:
            group = stake_opened(asked.amount, fee=fee, hold=hold_id)
        case HoldEffect.WITHHOLD_PAYMENT:
            assert line
            part = line.part(asked.amount)
            tax = part.tax
            group = payment_withheld(part.gross, hold=hold_id, invoice=line.billed.number)
        case HoldEffect.RESERVE_REFUND:
            assert line
            group = refund_reserved(
                asked.amount,
                fee=fee,
                hold=hold_id,
                invoice=line.billed.number,
                revenue=line.revenue,
            )
    await move(connection, order, hold_id, "placed", asked.amount, tax, explanation)
    await post(connection, order, terms, group)
    await happened(
        connection,
        order,
        terms,
        EventType.HOLD_PLACED,
        hold=hold_id,
        amount=str(asked.amount),
        effect=asked.effect.value,
        reason=asked.reason,
    )


async def _asked_about(
    connection: Connection,
    order: DecideHold | ExtendHold | ServeCureNotice | DisputeHold | CloseHoldDispute,
) -> tuple[Agreement, Hold]:
    """The hold that one of the contract's people gives an order about, locked, and the terms."""
    terms = await agreement(connection, order.engagement_id)
    require_named(terms, order.by)
    return terms, await hold_of(connection, order.engagement_id, order.hold)


async def _decide(connection: Connection, order: DecideHold) -> Requested:
    terms, hold = await _asked_about(connection, order)
    require_open(hold, "decided")
    if hold.bet is not None:
        raise TransitionError(
            f"hold {hold.id} is decided by the verdicts of bet {hold.bet}; what a verdict gives, and "
            "was turned down, is asked for with `tollkeeper approval ask-again`"
        )
    effect_key = f"{hold.id}:decide:{order.key.rpartition('.')[2]}"
    why = as_asked(
        terms.contract,
        hold,
        order.decision,
        order.amount,
        by=order.by,
        reason=order.reason,
        evidence=order.evidence,
    )
    return await ask_to_decide(
        connection,
        order,
        terms,
        hold,
        order.decision,
        order.amount,
        request_id=order.key,
        effect_key=effect_key,
        reason=order.reason,
        parts=(one_part(hold, order.decision, effect_key, why),),
    )


async def _extend(connection: Connection, order: ExtendHold) -> Requested:
    terms, hold = await _asked_about(connection, order)
    extended(hold, order.at, await working_days_of(connection, terms))
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.EXTEND,
        subject=hold.id,
        named=named_in_contract(terms, hold),
        payload={"hold": hold.id, "reason": order.reason, "extensions": hold.extensions},
        amount=hold.held,
        effect_key=f"{hold.id}:extend:{hold.extensions + 1}",
    )


@carries_out(Decision.EXTEND)
async def _extended(
    connection: Connection, order: Order[Requested], terms: Agreement, request: Request
) -> CarriedOut:
    hold = await hold_of(connection, terms.engagement_id, request.subject)
    after = extended(hold, order.at, await working_days_of(connection, terms))
    await _changed(connection, order, terms, hold, after, EventType.HOLD_EXTENDED)
    return CarriedOut(amount=hold.held)


async def _notice(connection: Connection, order: ServeCureNotice) -> HoldMoved:
    terms, hold = await _asked_about(connection, order)
    after = cure_noticed(hold, order.at, await working_days_of(connection, terms))
    return await _changed(
        connection, order, terms, hold, after, EventType.CURE_NOTICED, proof=order.proof
    )


async def _dispute(connection: Connection, order: DisputeHold) -> HoldMoved:
    terms, hold = await _asked_about(connection, order)
    after = disputed(hold, order.at)
    return await _changed(
        connection, order, terms, hold, after, EventType.HOLD_DISPUTED, reason=order.reason
    )


async def _close(connection: Connection, order: CloseHoldDispute) -> HoldMoved:
    terms, hold = await _asked_about(connection, order)
    after = dispute_closed(hold, order.at, await working_days_of(connection, terms))
    return await _changed(
        connection, order, terms, hold, after, EventType.HOLD_DISPUTE_CLOSED, ruling=order.ruling
    )


async def _look(connection: Connection, order: LookAtHold) -> HoldNow:
    terms = await agreement(connection, order.engagement_id)
    hold = await hold_of(connection, order.engagement_id, order.hold)
    due_at = hold.due_at
    if hold.kind is HoldKind.RETENTION and hold.state in OPEN:
        step = await retention_due(connection, terms, hold)
        due_at = step.due_at if step else None
    who, why = _waits_for(terms, hold)
    recorded = await connection.fetchval(
        "select seq from process where workflow_id = $1", order.workflow_id
    )
    return HoldNow(
        hold=hold.id,
        state=hold.state,
        held=hold.held,
        reserved=hold.reserved,
        since=hold.disputed_at or hold.placed_at,
        due_at=due_at,
        disputed=hold.disputed_at is not None,
        waits_for=who,
        why=why,
        recorded=recorded or 0,
    )


def _waits_for(terms: Agreement, hold: Hold) -> tuple[str, str]:
    held = f"{hold.held} {hold.held.currency} held"
    if hold.disputed_at is not None:
        return "ruling", f"{held}, disputed: clocks stand still"
    if hold.reserved.minor:
        return "approval", f"{held}, {hold.reserved} of it asked to be decided"
    if hold.kind is HoldKind.RETENTION:
        return "calendar", f"{held} until the steps of clause {hold.clause}"
    match hold.state:
        case HoldState.CURING:
            return "cure", f"{held}, cure notice served"
        case HoldState.DECISION_DUE:
            return "decision", f"{held}, to be released or forfeited"
        case _:
            return "release", f"{held} by {hold.placed_by}"


async def _end_clock(connection: Connection, order: EndHoldClock) -> HoldMoved:
    terms = await agreement(connection, order.engagement_id)
    hold = await hold_of(connection, order.engagement_id, order.hold)
    if hold.kind is HoldKind.RETENTION:
        return await _retention_step(connection, order, terms, hold)
    if hold.due_at != order.due_at or hold.disputed_at is not None or hold.state not in OPEN:
        return HoldMoved(hold=hold.id, state=hold.state, due_at=hold.due_at, early=True)
    if hold.state is not HoldState.DECISION_DUE:
        after = clock_ended(hold, await working_days_of(connection, terms))
        return await _changed(connection, order, terms, hold, after, EventType.DECISION_DUE)
    default = hold.clocks.default if hold.clocks else "escalate"
    if default == "escalate" or not hold.free.minor:
        after = hold.model_copy(update={"due_at": None})
        await change(connection, hold, after)
        return HoldMoved(hold=hold.id, state=after.state, due_at=None)
    assert hold.clocks
    clause, effect_key = hold.clocks.clause, f"{hold.id}:default"
    decision, reason = Decision(default), f"silence: clause {clause}"
    why = of_all_free(terms.contract, hold, decision, clause, reason=reason)
    await ask_to_decide(
        connection,
        order,
        terms,
        hold,
        decision,
        hold.free,
        request_id=f"eng.{terms.engagement_id}.request.{hold.id.rpartition('.')[2]}-default",
        effect_key=effect_key,
        reason=reason,
        parts=(one_part(hold, decision, effect_key, why),),
        by_clause=clause,
    )
    left = await hold_of(connection, order.engagement_id, order.hold)
    # What is asked for is decided by those who were asked, however long that takes.
    after = left.model_copy(update={"due_at": None})
    await change(connection, left, after)
    return HoldMoved(hold=hold.id, state=after.state, due_at=None)


async def _retention_step(
    connection: Connection, order: EndHoldClock, terms: Agreement, hold: Hold
) -> HoldMoved:
    """A step of the clause is due: only time had to pass, so the clause releases."""
    step = await retention_due(connection, terms, hold)
    if step is None or step.due_at != order.due_at or hold.disputed_at is not None:
        return HoldMoved(hold=hold.id, state=hold.state, due_at=hold.due_at, early=True)
    effect_key = f"{hold.id}:{step.id}"
    asked = await ask_to_decide(
        connection,
        order,
        terms,
        hold,
        Decision.RELEASE,
        step.amount,
        request_id=f"eng.{terms.engagement_id}.request.{step.id}",
        effect_key=effect_key,
        reason=f"step {step.terms.id} of clause {step.terms.clause} is due",
        parts=(one_part(hold, Decision.RELEASE, effect_key, step.explanation),),
        by_clause=step.terms.clause,
    )
    after = await hold_of(connection, order.engagement_id, hold.id)
    return HoldMoved(hold=hold.id, state=after.state, due_at=after.due_at, asked=asked.request)


async def _changed(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    before: Hold,
    after: Hold,
    kind: EventType,
    **facts: object,
) -> HoldMoved:
    await change(connection, before, after)
    due = after.due_at and after.due_at.isoformat()
    await happened(connection, order, terms, kind, hold=after.id, due_at=due, **facts)
    disputed = after.disputed_at is not None
    return HoldMoved(hold=after.id, state=after.state, due_at=after.due_at, disputed=disputed)
