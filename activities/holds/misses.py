"""Holds that place themselves when an indicator misses its limit, and are released when it is cured."""

from activities.agreement import Agreement
from activities.approvals import CarriedOut
from activities.books.holds import hold_of
from activities.holds.by_people import invoice_of, put_hold, room_for
from activities.holds.decisions import ask_to_decide, one_part
from activities.postgres import Connection, write_effect
from activities.timeline import happened
from contracts.commercial import Decision, HoldEffect, HoldKind, MissHold
from contracts.events import EventType
from contracts.money import Money
from lifecycle.bet import Reading, reading_input
from lifecycle.hold import HoldState
from lifecycle.hold_reasons import of_all_free, of_miss
from lifecycle.miss import cured, misses
from lifecycle.orders import A, Order
from lifecycle.orders.holds import PlaceHold


async def look_for_misses(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    indicator: str,
    readings: list[Reading],
) -> None:
    """After a reading: place each hold whose clause is met, ask to release each that is cured."""
    for clause in terms.contract.miss_holds:
        if clause.indicator != indicator:
            continue
        hold_id = f"eng.{terms.engagement_id}.hold.{clause.id}"
        if await connection.fetchval("select 1 from hold where hold_id = $1", hold_id):
            await _cured(connection, order, terms, clause, hold_id, readings)
        elif missed := misses(clause, terms.indicators[indicator], readings):
            await _place(connection, order, terms, clause, hold_id, missed)


async def _place(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    clause: MissHold,
    hold_id: str,
    missed: list[Reading],
) -> None:
    milestone = terms.contract.milestone(clause.milestone)
    invoice = await invoice_of(connection, terms, milestone.id)
    effect = HoldEffect(clause.effect)
    on_invoice = effect is HoldEffect.WITHHOLD_PAYMENT
    values = ", ".join(f"{each.value:f} on {each.measured_on.isoformat()}" for each in missed)
    asked = PlaceHold(
        key=f"{hold_id}:place",
        engagement_id=terms.engagement_id,
        workflow_id=order.workflow_id,
        at=order.at,
        by=f"clause:{clause.clause}",
        hold=clause.id,
        kind=HoldKind.VALUE_BET,
        effect=effect,
        milestone=None if on_invoice else milestone.id,
        line=f"{invoice}/1" if on_invoice and invoice else None,
        amount=milestone.amount.share(clause.share),
        reason=f"{clause.indicator} {clause.missed} {clause.limit:f}: {values}",
        evidence=", ".join(each.evidence for each in missed),
    )
    fits = bool(invoice) is on_invoice
    room = await room_for(connection, terms, asked) if fits else Money(0, asked.amount.currency)
    if room.minor <= 0:
        where = f"billed as {invoice}" if invoice else "not billed yet"
        await happened(
            connection,
            asked,
            terms,
            EventType.HOLD_NOT_PLACED,
            hold=hold_id,
            reason=asked.reason,
            because=f"milestone {milestone.id} is {where}, or nothing of it is left to hold",
        )
        return
    why = of_miss(terms.contract, clause, terms.indicators[clause.indicator], missed, room)
    asked = asked.model_copy(update={"amount": why.amount})
    await put_hold(connection, asked, terms, asked, why)
    done = CarriedOut(amount=asked.amount)
    await write_effect(connection, asked, asked.activity(), asked.content(), done)


async def _cured(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    clause: MissHold,
    hold_id: str,
    readings: list[Reading],
) -> None:
    """Measured again, and met within the cure clock: it is asked to be released, once for a day.

    What was turned down then, people ask for again.
    """
    hold = await hold_of(connection, terms.engagement_id, hold_id)
    met = cured(clause, terms.indicators[clause.indicator], readings)
    in_time = hold.due_at is not None and order.at <= hold.due_at
    if hold.state is not HoldState.CURING or met is None or not in_time or not hold.free.minor:
        return
    day = met.measured_on.isoformat()
    request_id = f"eng.{terms.engagement_id}.request.{clause.id}-cured-{day}"
    if await connection.fetchval(
        "select 1 from approval_request where request_id = $1", request_id
    ):
        return
    reason = f"cured: {clause.indicator} {met.value:f} on {day}"
    effect_key = f"{hold_id}:cured:{day}"
    reading = reading_input("found", terms.indicators[clause.indicator], met)
    why = of_all_free(
        terms.contract, hold, Decision.RELEASE, clause.clause, reason=reason, given=(reading,)
    )
    await ask_to_decide(
        connection,
        order.model_copy(update={"by": f"clause:{clause.clause}"}),
        terms,
        hold,
        Decision.RELEASE,
        hold.free,
        request_id=request_id,
        effect_key=effect_key,
        reason=reason,
        parts=(one_part(hold, Decision.RELEASE, effect_key, why),),
    )
