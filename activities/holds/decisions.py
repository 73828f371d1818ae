"""A part of a hold released or forfeited: asked for, then carried out as its effect wants it."""

from typing import Any, NamedTuple

from activities.agreement import Agreement
from activities.approvals import CarriedOut, ask, carries_out, guards
from activities.billing.credit_notes import room_of
from activities.billing.invoices import issue
from activities.books.holds import hold_of, move, named_in_contract, settle
from activities.books.journal import post
from activities.holds.lines import line_held, revenue_of, tell_finance
from activities.holds.retention import retention_forfeited, retention_released
from activities.postgres import Connection
from activities.timeline import happened
from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.events import EventType
from contracts.explanation import Explanation
from contracts.fields import Title
from contracts.money import Money, parse_amount
from lifecycle.approval import Request
from lifecycle.hold import Hold, require_open
from lifecycle.hold_reasons import VERBS
from lifecycle.invoice import BilledLine, Draft, Line, Purpose, credit_of, draft
from lifecycle.ledger import (
    block_lifted,
    clawed_back,
    refund_lapsed,
    stake_hit,
    stake_missed,
    tax_of_part,
    withheld_forfeited,
    withheld_released,
)
from lifecycle.orders import A, Order
from lifecycle.orders.approvals import Requested
from lifecycle.tax import Taxed, net_part


class Part(NamedTuple):
    """A part of what is decided, with the reason for its amount; net."""

    claim: str
    clause: str
    title: Title
    net: Money
    explanation: Explanation


async def ask_to_decide(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    decision: Decision,
    amount: Money,
    *,
    request_id: str,
    effect_key: str,
    reason: str,
    parts: tuple[Part, ...],
    by_clause: str | None = None,
) -> Requested:
    """Ask for a part of a hold, net, to be released or forfeited; from then on it is reserved.

    Args:
        parts: what the amount is made of, with the reasons for it.
        by_clause: the clause that decides alone, where silence or time does.

    Raises:
        TransitionError: more than is held and free.
    """
    hold.require(amount)
    return await ask(
        connection,
        order,
        terms,
        request_id=request_id,
        decision=decision,
        subject=hold.id,
        named=named_in_contract(terms, hold),
        payload={
            "hold": hold.id,
            "decision": decision.value,
            "amount": _text(amount),
            "reason": reason,
            "parts": [_stored(part) for part in parts],
        },
        amount=amount,
        effect_key=effect_key,
        by_clause=by_clause,
    )


def one_part(hold: Hold, decision: Decision, claim: str, why: Explanation) -> Part:
    """What is decided for one reason."""
    name = hold.id.rpartition(".")[2]
    chinese = {Decision.RELEASE: "释放", Decision.FORFEIT: "扣除"}
    title = Title(en=f"Hold {name} {VERBS[decision]}", zh=f"{chinese[decision]}保留款{name}")
    return Part(claim, hold.clause, title, why.amount, why)


def _stored(part: Part) -> dict[str, Any]:
    return {
        "claim": part.claim,
        "clause": part.clause,
        "title": part.title.model_dump(mode="json"),
        "net": _text(part.net),
        "explanation": part.explanation.model_dump(mode="json"),
    }


def _parts(request: Request) -> list[Part]:
    return [
        Part(
            claim=stored["claim"],
            clause=stored["clause"],
            title=Title.model_validate(stored["title"]),
            net=_money(stored["net"]),
            explanation=Explanation.model_validate(stored["explanation"]),
        )
        for stored in request.payload["parts"]
    ]


@guards(Decision.RELEASE)
@guards(Decision.FORFEIT)
async def _still_free(connection: Connection, terms: Agreement, request: Request) -> None:
    await _free(connection, terms, request, "decided")


async def _free(connection: Connection, terms: Agreement, request: Request, wish: str) -> Hold:
    """The hold of a request, locked: it is open, and has what is asked for free."""
    hold = await hold_of(connection, terms.engagement_id, request.subject)
    require_open(hold, wish)
    hold.require(request.amount)
    return hold


@carries_out(Decision.RELEASE)
async def _release(
    connection: Connection, order: Order[Requested], terms: Agreement, request: Request
) -> CarriedOut:
    """What leaves the hold is invoiced, becomes payable, or is final."""
    hold = await _free(connection, terms, request, "released")
    part = part_of(hold, request.amount)
    if hold.kind is HoldKind.RETENTION:
        why = _only_reason(request)
        document = await retention_released(connection, order, terms, hold, part, why)
    else:
        document = await _RELEASED[hold.effect](connection, order, terms, hold, part, request)
    return await _decided(connection, order, terms, hold, request, "released", document)


@carries_out(Decision.FORFEIT)
async def _forfeit(
    connection: Connection, order: Order[Requested], terms: Agreement, request: Request
) -> CarriedOut:
    """What leaves the hold is lost: a decision on record, a credit note where it was invoiced."""
    hold = await _free(connection, terms, request, "forfeited")
    part = part_of(hold, request.amount)
    if hold.kind is HoldKind.RETENTION:
        why = _only_reason(request)
        document = await retention_forfeited(connection, order, terms, hold, part, why)
    else:
        document = await _FORFEITED[hold.effect](connection, order, terms, hold, part, request)
    return await _decided(connection, order, terms, hold, request, "forfeited", document)


def _only_reason(request: Request) -> Explanation:
    (alone,) = _parts(request)
    return alone.explanation


def part_of(hold: Hold, net: Money) -> Taxed:
    """A part of a hold with the tax inside it, so that all parts come to the tax of the whole (R6)."""
    whole, taken = Taxed(hold.placed, hold.placed_tax), Taxed(hold.decided, hold.decided_tax)
    return net_part(whole, taken, net)


# Not invoiced yet.


async def _invoiced_now(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    request: Request,
) -> str | None:
    """A bet's stake is invoiced when it is won; a milestone's own process invoices what is free again."""
    if hold.milestone is not None:
        await post(connection, order, terms, block_lifted(part.net, fee=hold.fee, hold=hold.id))
        return None
    lines = tuple(
        Line(
            claim=each.claim,
            fee=hold.fee,
            clause=each.clause,
            title=each.title,
            amount=each.net,
            explanation=each.explanation,
        )
        for each in _parts(request)
    )
    priced = draft(terms.contract, lines)
    number = await issue(connection, order, terms, priced, "invoice", Purpose.RELEASE)
    won = stake_hit(priced.net, priced.taxes(), fee=hold.fee, hold=hold.id, invoice=number)
    await post(connection, order, terms, won)
    return number


async def _never_invoiced(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    request: Request,
) -> str | None:
    """No document: the decision is the record. An accepted milestone loses what it had earned."""
    earned = hold.milestone is not None and await connection.fetchval(
        "select true from journal_group where effect_key = $1 limit 1",
        f"eng.{terms.engagement_id}.milestone.{hold.milestone}:evaluate",
    )
    lost = stake_missed(part.net, fee=hold.fee, hold=hold.id, earned=bool(earned))
    await post(connection, order, terms, lost)
    return None


# Invoiced, and not to be paid yet.


async def _payable_now(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    request: Request,
) -> str | None:
    """No new document: a part of an invoice that was issued before has become payable."""
    assert hold.invoice
    payable = withheld_released(part.gross, hold=hold.id, invoice=hold.invoice)
    await post(connection, order, terms, payable)
    await tell_finance(connection, order, terms, hold.invoice, part)
    return hold.invoice


async def _never_paid(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    request: Request,
) -> str | None:
    """A credit note takes back what is lost, with its tax."""
    line = await line_held(connection, terms, hold)
    note, taxes = await _credit(connection, order, terms, hold, line, part, request)
    await post(
        connection,
        order,
        terms,
        withheld_forfeited(part.net, taxes, fee=hold.fee, hold=hold.id, invoice=line.number),
    )
    return note


# Invoiced and to be paid, and refundable.


async def _final_now(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    request: Request,
) -> str | None:
    """The right to claim it back ends."""
    assert hold.invoice
    lapsed = refund_lapsed(
        part.net,
        fee=hold.fee,
        hold=hold.id,
        invoice=hold.invoice,
        revenue=await revenue_of(connection, hold.invoice),
    )
    await post(connection, order, terms, lapsed)
    return hold.invoice


async def _claimed_back(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    request: Request,
) -> str | None:
    """A credit note: against what is still open of the invoice, the rest is the customer's credit."""
    line = await line_held(connection, terms, hold)
    part = line.part(part.net)
    # At most what was paid before, by money or by the advance: nobody gets credit for anything else.
    room = await room_of(connection, terms, line.number, advance=True)
    settled = room.settled(part.gross)
    note, taxes = await _credit(connection, order, terms, hold, line, part, request)
    clawed = clawed_back(
        part.net,
        taxes,
        fee=hold.fee,
        hold=hold.id,
        invoice=line.number,
        note=note,
        settled=settled,
    )
    await post(connection, order, terms, clawed)
    return note


_RELEASED = {
    HoldEffect.BLOCK_INVOICING: _invoiced_now,
    HoldEffect.WITHHOLD_PAYMENT: _payable_now,
    HoldEffect.RESERVE_REFUND: _final_now,
}
_FORFEITED = {
    HoldEffect.BLOCK_INVOICING: _never_invoiced,
    HoldEffect.WITHHOLD_PAYMENT: _never_paid,
    HoldEffect.RESERVE_REFUND: _claimed_back,
}


# What they share.


async def _credit(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    line: BilledLine,
    part: Taxed,
    request: Request,
) -> tuple[str, dict[str, Money]]:
    """The credit note for a part of a line, with a line for each reason; its number and its taxes."""
    lines, done = [], Money(0, part.net.currency)
    for each in _parts(request):
        tax = tax_of_part(part.tax, part.net, done, each.net)
        done += each.net
        lines.append(
            credit_of(
                line,
                Taxed(each.net, tax),
                claim=each.claim,
                clause=each.clause,
                title=each.title,
                explanation=each.explanation,
            )
        )
    priced: Draft = draft(terms.contract, tuple(lines))
    number = await issue(
        connection,
        order,
        terms,
        priced,
        "credit_note",
        Purpose.FORFEIT,
        corrects=line.number,
    )
    return number, priced.taxes()


async def _decided(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    request: Request,
    decision: str,
    document: str | None,
) -> CarriedOut:
    """Move it out of the hold, and put on record who decided: people, a policy, or a clause."""
    amount = request.amount
    part = part_of(hold, amount)
    await move(connection, order, hold.id, decision, amount, part.tax)
    await settle(connection, terms.engagement_id, hold.id)
    await connection.execute(
        """
        insert into decision_record
            (key, engagement_id, hold_id, decision, amount_minor, currency, requested_by,
             decided_by, clause, decided_on, request_id, document, explanations)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        order.key,
        terms.engagement_id,
        hold.id,
        decision,
        amount.minor,
        amount.currency,
        request.requested_by,
        order.by,
        hold.clause,
        terms.local_date(order.at),
        request.id,
        document,
        [part.explanation.model_dump(mode="json") for part in _parts(request)],
    )
    kind = EventType.HOLD_RELEASED if decision == "released" else EventType.HOLD_FORFEITED
    facts = {"hold": hold.id, "amount": str(amount), "document": document}
    await happened(connection, order, terms, kind, **facts, decided_by=order.by)
    return CarriedOut(amount=amount, document=document)


def _text(amount: Money) -> str:
    return f"{amount} {amount.currency}"


def _money(text: str) -> Money:
    amount, _, currency = text.partition(" ")
    return parse_amount(amount, currency)
