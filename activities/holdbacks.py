"""Holdbacks: placed at go-live, released or forfeited on the verdict of a window."""

from datetime import datetime

from temporalio import activity

from activities.agreement import Agreement, agreement
from activities.billing.invoices import issue
from activities.books.holds import hold_of, insert_hold, move
from activities.books.journal import post
from activities.books.requests import request_of
from activities.holds.decisions import Part, ask_to_decide
from activities.postgres import Connection, Pool, once, transaction
from activities.timeline import happened
from activities.value_bets import verdict_of
from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.contract import Contract
from contracts.events import EventType
from contracts.explanation import Input
from contracts.fields import Title, percent
from contracts.money import Money
from lifecycle.approval import RequestState, missing
from lifecycle.bet import IndicatorVerdict
from lifecycle.hold_reasons import of_holdback
from lifecycle.invoice import Draft, Purpose, draft, fixed_fee_line
from lifecycle.ledger import Account, Refundable, earned, invoiced, stake_opened
from lifecycle.orders import (
    Decided,
    ForfeitHoldback,
    Placed,
    PlaceHoldback,
    ReleaseHoldback,
)


class Holdbacks:
    """Activities that place, release and forfeit the part of the fee that is at risk."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def place_holdback(self, order: PlaceHoldback) -> Placed:
        """Place the holdback of a bet; where the clause says so, invoice it: withheld, or refundable."""
        return await once(self.pool, order, lambda connection: _place(connection, order))

    @activity.defn
    async def release_holdback(self, order: ReleaseHoldback) -> Decided:
        """Release what a settled window won, or say whose approval that waits for.

        Raises:
            NotFound: the window has no verdict, or the hold is not placed.
            TransitionError: more than is held.
        """
        async with transaction(self.pool) as connection:
            return await _settle(connection, order)

    @activity.defn
    async def forfeit_holdback(self, order: ForfeitHoldback) -> Decided:
        """Forfeit what a settled window lost, or say whose approval that waits for.

        Raises:
            NotFound: the window has no verdict, or the hold is not placed.
            TransitionError: more than is held.
        """
        async with transaction(self.pool) as connection:
            return await _settle(connection, order)


async def _place(connection: Connection, order: PlaceHoldback) -> Placed:
    terms = await agreement(connection, order.engagement_id)
    order = order.model_copy(update={"at": await _agreed_at(connection, order)})
    holdback, amount = terms.contract.holdback, terms.contract.holdback_amount()
    hold_id = _hold_id(terms)
    number, priced = None, None
    if holdback.effect is not HoldEffect.BLOCK_INVOICING:
        priced = _priced(order, terms, amount)
        number = await issue(connection, order, terms, priced, "invoice", Purpose.HOLDBACK)
    await insert_hold(
        connection,
        order,
        hold_id=hold_id,
        clause=holdback.clause,
        kind=HoldKind.VALUE_BET,
        effect=holdback.effect,
        fee=holdback.fee,
        currency=amount.currency,
        reason=f"value bet {order.bet}",
        bet=order.bet,
        invoice=number,
        invoice_line=1 if number else None,
    )
    if priced is None or number is None:
        why = of_holdback(terms.contract)
        await move(connection, order, hold_id, "placed", amount, explanation=why)
        await post(connection, order, terms, stake_opened(amount, fee=holdback.fee, hold=hold_id))
    else:
        await _placed_on_invoice(connection, order, terms, hold_id, number, priced)
    await happened(
        connection,
        order,
        terms,
        EventType.HOLD_PLACED,
        hold=hold_id,
        amount=str(amount),
        effect=holdback.effect.value,
    )
    return Placed(hold=hold_id, amount=amount, invoice=number)


async def _agreed_at(connection: Connection, order: PlaceHoldback) -> datetime:
    """Since when the holdback is what it is: the measuring start, or a change order after it."""
    changes = await connection.fetch(
        """
        select c.ended_at, one.document as before, other.document as after
        from change_order c join engagement e using (engagement_id)
        join contract_version one
          on one.contract_id = e.contract_id and one.version = c.version - 1
        join contract_version other
          on other.contract_id = e.contract_id and other.version = c.version
        where c.engagement_id = $1 and c.state = 'applied' and c.ended_at > $2
        order by c.version desc
        """,
        order.engagement_id,
        order.at,
    )
    for change in changes:
        one, other = (Contract.model_validate(change[name]) for name in ("before", "after"))
        if (one.holdback, one.holdback_amount()) != (other.holdback, other.holdback_amount()):
            agreed_at: datetime = change["ended_at"]
            return agreed_at
    return order.at


def _priced(order: PlaceHoldback, terms: Agreement, amount: Money) -> Draft:
    contract, holdback = terms.contract, terms.contract.holdback
    fee = contract.fee(holdback.fee)
    basis = Input(
        name="holdback",
        value=f"{percent(holdback.rate)} of {fee.amount}",
        source=f"clause {holdback.clause}",
    )
    claim = f"{order.workflow_id}:placed"
    line = fixed_fee_line(contract, claim, fee.id, holdback.clause, fee.title, amount, basis)
    priced = draft(contract, (line,))
    return priced.all_withheld() if holdback.effect is HoldEffect.WITHHOLD_PAYMENT else priced


async def _placed_on_invoice(
    connection: Connection,
    order: PlaceHoldback,
    terms: Agreement,
    hold_id: str,
    number: str,
    priced: Draft,
) -> None:
    """Earned and invoiced in one: withheld, or to be paid and refundable."""
    fee = terms.contract.holdback.fee
    withheld = terms.contract.holdback.effect is HoldEffect.WITHHOLD_PAYMENT
    tax, why = priced.tax if withheld else None, of_holdback(terms.contract)
    await move(connection, order, hold_id, "placed", priced.net, tax, why)
    await post(
        connection, order, terms, earned(priced.net, fee=fee, revenue=Account.REVENUE_AT_RISK)
    )
    await post(
        connection,
        order,
        terms,
        invoiced(
            priced.nets(),
            priced.taxes(),
            invoice=number,
            withheld={hold_id: priced.gross} if withheld else {},
            refundable=() if withheld else (Refundable(hold_id, fee, priced.net),),
        ),
    )


async def _settle(connection: Connection, order: ReleaseHoldback | ForfeitHoldback) -> Decided:
    """Ask for what the verdict says, once; asked again, where that stands."""
    terms = await agreement(connection, order.engagement_id)
    verdict = await verdict_of(connection, order.workflow_id, order.window)
    released = isinstance(order, ReleaseHoldback)
    decision = Decision.RELEASE if released else Decision.FORFEIT
    amount = verdict.released if released else verdict.forfeited
    latest = await connection.fetchrow(
        """
        select request_id, state, attempts from (
            select request_id, state, requested_at,
                   count(*) over () as attempts,
                   row_number() over (order by requested_at desc, request_id desc) as latest
            from approval_request where effect_key = $1
        ) asked where latest = 1
        """,
        order.key,
    )
    if latest is None:
        request_id = _request_id(terms, order, decision)
        hold = await hold_of(connection, order.engagement_id, _hold_id(terms))
        await ask_to_decide(
            connection,
            order,
            terms,
            hold,
            decision,
            amount,
            request_id=request_id,
            effect_key=order.key,
            reason=f"verdict of window {order.window}",
            parts=tuple(
                _part(order, each) for each in verdict.indicators if _won(order, each).minor
            ),
        )
    else:
        request_id = latest["request_id"]
    request = await request_of(connection, order.engagement_id, request_id)
    if request.state is RequestState.APPROVED:
        document = await connection.fetchval(
            "select document from approval_request where request_id = $1", request_id
        )
        return Decided(amount=amount, document=document)
    name = request_id.rpartition(".")[2]
    if request.state is RequestState.PENDING:
        able = ", ".join(missing(request, terms.contract)) or "nobody"
        return Decided(amount=amount, waits_for=f"request {name} is to be signed by {able}")
    return Decided(
        amount=amount,
        waits_for=f"request {name} was {request.state.value} by {request.decided_by}: ask again with "
        "`tollkeeper approval ask-again`",
    )


def _request_id(
    terms: Agreement, order: ReleaseHoldback | ForfeitHoldback, decision: Decision
) -> str:
    name = f"{terms.contract.holdback.id}-{order.window}-{decision.value}"
    return f"eng.{terms.engagement_id}.request.{name}"


def _won(order: ReleaseHoldback | ForfeitHoldback, part: IndicatorVerdict) -> Money:
    return part.released if isinstance(order, ReleaseHoldback) else part.forfeited


def _part(order: ReleaseHoldback | ForfeitHoldback, part: IndicatorVerdict) -> Part:
    movement = "released" if isinstance(order, ReleaseHoldback) else "forfeited"
    amount = _won(order, part)
    return Part(
        claim=f"{order.workflow_id}:{order.window}:{part.indicator}:{movement}",
        clause=part.explanation.clause,
        title=Title(en=f"{part.indicator} {movement}, window {order.window}"),
        net=amount,
        explanation=part.explanation.model_copy(update={"amount": amount}),
    )


def _hold_id(terms: Agreement) -> str:
    return f"eng.{terms.engagement_id}.hold.{terms.contract.holdback.id}"
