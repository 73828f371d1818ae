"""A part of a hold released or forfeited: asked for, then carried out as its effect wants it."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, NamedTuple

from activities.agreement import Agreement, working_days_of
from activities.approvals import CarriedOut, ask, carries_out, guards
from activities.billing.invoices import billed_lines, creditable_lines, issue
from activities.books.journal import post
from activities.holds.rows import change, hold_of, move, named_in_contract
from activities.postgres import Connection
from activities.timeline import happened, send
from contracts.calendar import add_period
from contracts.commercial import Decision, HoldEffect, HoldKind, RetentionStep
from contracts.errors import NotFound
from contracts.events import EventType
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Title
from contracts.money import Money, parse_amount
from lifecycle.approval import Request
from lifecycle.hold import Hold, moved, require_open
from lifecycle.hold_reasons import VERBS, of_step
from lifecycle.invoice import BilledLine, Draft, Line, Purpose, credit_of, draft, parts_of
from lifecycle.ledger import (
    Account,
    block_lifted,
    clawed_back,
    refund_lapsed,
    retention_billed,
    retention_forfeited,
    retention_released,
    stake_hit,
    stake_missed,
    tax_of_part,
    withheld_forfeited,
    withheld_released,
)
from lifecycle.orders import A, Order
from lifecycle.orders.approvals import Requested
from lifecycle.tax import Taxed

AT_RISK = {Purpose.HOLDBACK, Purpose.RELEASE}
"""Invoices of fees at risk; every other earns fixed revenue, but for gain share."""


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
    hold = await hold_of(connection, terms.engagement_id, request.subject)
    require_open(hold, "decided")
    hold.require(request.amount)


@carries_out(Decision.RELEASE)
async def _release(
    connection: Connection, order: Order[Requested], terms: Agreement, request: Request
) -> CarriedOut:
    """What leaves the hold is invoiced, becomes payable, or is final."""
    hold = await hold_of(connection, terms.engagement_id, request.subject)
    require_open(hold, "released")
    hold.require(request.amount)
    part = part_of(hold, request.amount)
    if hold.kind is HoldKind.RETENTION:
        document = await _retention_released(connection, order, terms, hold, part, request)
    else:
        document = await _RELEASED[hold.effect](connection, order, terms, hold, part, request)
    return await _decided(connection, order, terms, hold, request, "released", document)


@carries_out(Decision.FORFEIT)
async def _forfeit(
    connection: Connection, order: Order[Requested], terms: Agreement, request: Request
) -> CarriedOut:
    """What leaves the hold is lost: a decision on record, a credit note where it was invoiced."""
    hold = await hold_of(connection, terms.engagement_id, request.subject)
    require_open(hold, "forfeited")
    hold.require(request.amount)
    part = part_of(hold, request.amount)
    if hold.kind is HoldKind.RETENTION:
        document = await _retention_forfeited(connection, order, terms, hold, part, request)
    else:
        document = await _FORFEITED[hold.effect](connection, order, terms, hold, part, request)
    return await _decided(connection, order, terms, hold, request, "forfeited", document)


def part_of(hold: Hold, net: Money) -> Taxed:
    """A part of a hold with the tax inside it, so that all parts come to the tax of the whole (R6)."""
    return Taxed(net, tax_of_part(hold.placed_tax, hold.placed, hold.decided, net))


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
    await _tell_finance(connection, order, terms, hold.invoice, part)
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
    line = await _line_held(connection, terms, hold)
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
    line = await _line_held(connection, terms, hold)
    part = line.part(part.net)
    note, taxes = await _credit(connection, order, terms, hold, line, part, request)
    open_part = await balance_of(
        connection, Account.RECEIVABLE_OPEN, line.number, part.net.currency
    )
    settled = Money(max((part.gross - open_part).minor, 0), part.net.currency)
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


# Retention: parts of many invoices, the oldest first.


async def _retention_released(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    request: Request,
) -> str | None:
    retention = terms.contract.retention
    assert retention
    retained = await _oldest_first(connection, hold, part.gross)
    if retention.tax == "invoice":
        for number, gross in retained:
            payable = retention_released(gross, hold=hold.id, invoice=number)
            await post(connection, order, terms, payable, part=number)
            await _tell_finance(connection, order, terms, number, _inside(part, gross), part=number)
        return None
    title = Title(en=f"Retention {retention.id} released", zh=f"释放质保金{retention.id}")
    line = Line(
        claim=order.key,
        fee=hold.fee,
        clause=retention.clause,
        title=title,
        amount=part.net,
        prices="net",
        explanation=_retained_explanation(terms, hold, part.net, retained, request),
    )
    priced = draft(terms.contract, (line,))
    release = await issue(connection, order, terms, priced, "invoice", Purpose.RETENTION)
    taxes = priced.taxes()
    for number, net in retained:
        billed = retention_billed(net, taxes, hold=hold.id, invoice=number, release=release)
        await post(connection, order, terms, billed, part=number)
        taxes = {}
    return release


async def _retention_forfeited(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    request: Request,
) -> str | None:
    """A credit note for each invoice that retains a part of it."""
    retention = terms.contract.retention
    assert retention
    retained = await _oldest_first(connection, hold, part.gross)
    lines = [
        line
        for number, gross in retained
        for line in await _lost_lines(connection, order, terms, hold, number, gross, request)
    ]
    priced = draft(terms.contract, lines)
    (alone, *others) = [number for number, _ in retained]
    note = await issue(
        connection,
        order,
        terms,
        priced,
        "credit_note",
        Purpose.FORFEIT,
        corrects=None if others else alone,
    )
    for number, _ in retained:
        of_invoice = priced.correcting(number)
        lost = retention_forfeited(
            of_invoice.net, of_invoice.taxes(), fee=hold.fee, hold=hold.id, invoice=number
        )
        await post(connection, order, terms, lost, part=number)
    return note


async def _lost_lines(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    number: str,
    gross: Money,
    request: Request,
) -> list[Line]:
    """What a credit note takes back of an invoice that retains that much."""
    assert terms.contract.retention
    untaxed = terms.contract.retention.tax == "release"
    billed = await billed_lines(connection, terms, number)
    taken = parts_of([line for line in billed if line.fee == hold.fee], gross)
    parts = [
        (line, Taxed(part.gross, Money(0, gross.currency)) if untaxed else part)
        for line, part in taken
    ]
    return [
        credit_of(
            line,
            part,
            claim=f"{order.key}:{number}/{line.line}",
            clause=hold.clause,
            explanation=_retained_explanation(terms, hold, part.net, [(number, gross)], request),
            untaxed=untaxed,
        )
        for line, part in parts
    ]


async def _oldest_first(
    connection: Connection, hold: Hold, gross: Money
) -> list[tuple[str, Money]]:
    """How much of it each invoice retains, by date and number, until it is all found."""
    rows = await connection.fetch(
        """
        select i.number,
               sum(case p.side when 'D' then p.amount_minor else -p.amount_minor end)::bigint as minor
        from posting p join invoice i on i.number = p.invoice
        where p.account = '1110' and p.hold = $1
        group by i.number, i.issued_on having
            sum(case p.side when 'D' then p.amount_minor else -p.amount_minor end) > 0
        order by i.issued_on, i.number
        """,
        hold.id,
    )
    found, left = [], gross.minor
    for row in rows:
        taken = min(left, row["minor"])
        if taken:
            found.append((row["number"], Money(taken, gross.currency)))
        left -= taken
    return found


def _inside(part: Taxed, gross: Money) -> Taxed:
    """A gross part of a part, with its share of the tax."""
    tax = tax_of_part(part.tax, part.gross, Money(0, gross.currency), gross)
    return Taxed(gross - tax, tax)


def _retained_explanation(
    terms: Agreement,
    hold: Hold,
    amount: Money,
    retained: list[tuple[str, Money]],
    request: Request,
) -> Explanation:
    (decided,) = _parts(request)
    return Explanation(
        what=decided.explanation.what,
        amount=amount,
        contract=f"{terms.contract.id}@v{terms.contract.version}",
        clause=hold.clause,
        inputs=tuple(
            Input(name=f"retained on {number}", value=str(part), source=number)
            for number, part in retained
        ),
        steps=(Calculation(formula="amount = parts, the oldest first", exact=str(amount)),),
    )


@dataclass(frozen=True)
class StepDue:
    """The next step of a retention clause: when it is due, what it releases, net, and why."""

    terms: RetentionStep
    due_at: datetime
    explanation: Explanation

    @property
    def amount(self) -> Money:
        return self.explanation.amount


async def retention_due(connection: Connection, terms: Agreement, hold: Hold) -> StepDue | None:
    """The next step that has not been released yet; none before go-live."""
    retention = terms.contract.retention
    assert retention
    live_at: datetime | None = await connection.fetchval(
        "select occurred_at from event where engagement_id = $1 and type = $2",
        terms.engagement_id,
        EventType.WENT_LIVE,
    )
    if live_at is None:
        return None
    calendar = await working_days_of(connection, terms)
    live_on = calendar.local_date(live_at)
    done = {
        row["request_id"].rpartition(".")[2]
        for row in await connection.fetch(
            "select request_id from approval_request where subject = $1", hold.id
        )
    }
    steps = sorted(retention.release, key=lambda step: add_period(live_on, step.after))
    until = Fraction(0)
    for step in steps:
        until += step.share
        if step.id not in done:
            why = of_step(terms.contract, hold, step, live_on, until)
            return StepDue(step, calendar.period_after(live_on, step.after), why)
    return None


# What they share.


@dataclass(frozen=True)
class HeldLine:
    """An invoice line that a hold may be placed on: what can still be withheld, or claimed back; net."""

    billed: BilledLine
    held: Taxed
    open_net: Money
    creditable_net: Money
    revenue: Account

    def part(self, net: Money) -> Taxed:
        """The part with that net, after what was taken back or is held already."""
        taken = self.billed.taken
        together = Taxed(taken.net + self.held.net, taken.tax + self.held.tax)
        return self.billed.model_copy(update={"taken": together}).part(net)


async def line_of(connection: Connection, terms: Agreement, line: str) -> HeldLine:
    """An invoice line by `NUMBER/1`.

    Raises:
        NotFound: the engagement has no such line.
        TransitionError: it bills an advance.
    """
    number, _, position = line.rpartition("/")
    owner = await connection.fetchrow(
        "select * from invoice where number = $1 and engagement_id = $2 and document = 'invoice' for update",
        number,
        terms.engagement_id,
    )
    lines = await creditable_lines(connection, terms, number) if owner else []
    chosen = [each for each in lines if str(each.line) == position]
    if owner is None or not chosen:
        raise NotFound(
            f"found line {line!r}, expected one of engagement {terms.engagement_id}, such as "
            "QM-INV-2025-000001/1"
        )
    (billed,) = chosen
    currency = owner["currency"]
    row = await connection.fetchrow(
        """
        select coalesce(sum(b.held_minor), 0)::bigint as net,
               coalesce(sum(b.held_minor) filter (where b.effect = 'withhold_payment'), 0)::bigint as kept
        from hold_balance b where b.invoice = $1 and b.invoice_line = $2
        """,
        number,
        billed.line,
    )
    assert row is not None
    held = billed.part(Money(row["net"], currency))
    open_gross = await balance_of(connection, Account.RECEIVABLE_OPEN, number, currency)
    creditable = billed.left.net - held.net
    payable = Money(
        open_gross.minor * billed.billed.net.minor // max(billed.billed.gross.minor, 1), currency
    )
    return HeldLine(
        billed=billed,
        held=held,
        open_net=min(payable, creditable, key=lambda amount: amount.minor),
        creditable_net=creditable,
        revenue=await revenue_of(connection, number),
    )


async def revenue_of(connection: Connection, number: str) -> Account:
    """The revenue that an invoice earned."""
    purpose = await connection.fetchval("select purpose from invoice where number = $1", number)
    if purpose == Purpose.GAIN_SHARE:
        return Account.REVENUE_GAIN_SHARE
    return Account.REVENUE_AT_RISK if purpose in AT_RISK else Account.REVENUE_FIXED


async def balance_of(
    connection: Connection, account: Account, invoice: str, currency: str
) -> Money:
    """What an account says of an invoice now, debit less credit."""
    minor = await connection.fetchval(
        """
        select coalesce(sum(case side when 'D' then amount_minor else -amount_minor end), 0)::bigint
        from posting where account = $1 and invoice = $2
        """,
        account,
        invoice,
    )
    return Money(minor, currency)


async def _line_held(connection: Connection, terms: Agreement, hold: Hold) -> BilledLine:
    assert hold.invoice
    lines = await billed_lines(connection, terms, hold.invoice)
    (line,) = [each for each in lines if each.line == hold.invoice_line]
    return line


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


async def _tell_finance(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    invoice: str,
    payable: Taxed,
    part: str | None = None,
) -> None:
    key = f"{order.key}:{part}" if part else order.key
    payload: dict[str, object] = {
        "release": key,
        "invoice": invoice,
        "released_on": terms.local_date(order.at).isoformat(),
        "sandbox": terms.book == "sandbox",
        "engagement": terms.engagement_id,
        "currency": payable.net.currency,
        "net": str(payable.net),
        "tax": str(payable.tax),
        "payable": str(payable.gross),
    }
    await send(connection, order, terms.book, "release", key, payload)


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
    after = await hold_of(connection, terms.engagement_id, hold.id)
    if (settled := moved(after)) != after:
        await change(connection, after, settled)
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
