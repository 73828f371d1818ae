"""Disputes about invoices: the part is set aside, then paid after all or credited by a ruling."""

from typing import Any

import asyncpg

from activities.agreement import Agreement, agreement, require_named
from activities.approvals import CarriedOut, ask, carries_out
from activities.billing.credit_notes import room_of
from activities.billing.invoices import issue
from activities.books.journal import post
from activities.postgres import Connection, Pool, once
from activities.receivables.credits import chosen_lines, credit_note
from activities.timeline import happened
from contracts.commercial import Decision
from contracts.contract import Party
from contracts.errors import NotAuthorised, NotFound, TermsError, TransitionError
from contracts.events import EventType
from contracts.explanation import Input
from contracts.money import Money, parse_amount
from lifecycle.approval import Request
from lifecycle.invoice import Draft, Purpose
from lifecycle.ledger import dispute_opened, dispute_rejected, dispute_upheld
from lifecycle.orders import Order
from lifecycle.orders.approvals import Requested
from lifecycle.orders.receivables import Disputed, EndDispute, OpenDispute, RuleDispute
from lifecycle.receivables import DisputeState, require_step, ruling


async def open_dispute(pool: Pool, order: OpenDispute) -> Disputed:
    """Set a disputed part of an invoice aside, at most what is open of it.

    Raises:
        NotFound: no such engagement, invoice or line.
        NotAuthorised: not one of the client's people.
        TermsError: lines and an amount, or neither.
        TransitionError: more than is open, or nothing is; it bills an advance.
    """
    return await once(pool, order, lambda connection: _open(connection, order))


async def end_dispute(pool: Pool, order: EndDispute) -> Disputed:
    """End a dispute without a credit: the client withdraws it, or the consultant rejects it.

    Raises:
        NotFound: no such dispute.
        NotAuthorised: not one of that side's people.
        TransitionError: not open any more, or a ruling waits for approval.
    """
    return await once(pool, order, lambda connection: _end(connection, order))


async def rule_dispute(pool: Pool, order: RuleDispute) -> Requested:
    """Ask for a dispute to be upheld, in all or in part; approved, a credit note is issued.

    Raises:
        NotFound: no such dispute.
        NotAuthorised: the contract does not name that person.
        TransitionError: not open any more, more than is disputed, or a ruling waits already.
    """
    return await once(pool, order, lambda connection: _rule(connection, order))


async def _open(connection: Connection, order: OpenDispute) -> Disputed:
    terms = await agreement(connection, order.engagement_id)
    _require_side(terms.contract.parties.client, order.by)
    amount = await _disputed(connection, terms, order)
    await connection.execute(
        """
        insert into dispute
            (dispute_id, engagement_id, invoice, lines, currency, amount_minor, reason, raised_by,
             raised_at, state, key)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open', $10)
        """,
        order.dispute,
        order.engagement_id,
        order.invoice,
        list(order.lines),
        amount.currency,
        amount.minor,
        order.reason,
        order.by,
        order.at,
        order.key,
    )
    group = dispute_opened(amount, invoice=order.invoice, dispute=order.dispute)
    await post(connection, order, terms, group)
    await happened(
        connection,
        order,
        terms,
        EventType.DISPUTE_OPENED,
        dispute=order.dispute,
        invoice=order.invoice,
        lines=list(order.lines),
        amount=str(amount),
        reason=order.reason,
    )
    return Disputed(
        dispute=order.dispute, invoice=order.invoice, state=DisputeState.OPEN, amount=amount
    )


async def _disputed(connection: Connection, terms: Agreement, order: OpenDispute) -> Money:
    """How much is disputed: the amount, or what is left of the lines, as far as it is open."""
    if bool(order.lines) == (order.amount is not None):
        raise TermsError("found lines and an amount, or neither, expected one of the two")
    room = await room_of(connection, terms, order.invoice)
    lines = await chosen_lines(connection, terms, order.invoice, order.lines)
    amount = order.amount
    if amount is None:
        left = sum((line.left.gross for line in lines), Money(0, room.open.currency))
        amount = min(left, room.open, key=lambda each: each.minor)
    if not 0 < amount.minor <= room.open.minor:
        raise TransitionError(
            f"{order.invoice}: found {amount} {amount.currency} to dispute, expected more than 0 and "
            f"at most the {room.open} that is open; for what is paid, ask for a credit"
        )
    return amount


async def _end(connection: Connection, order: EndDispute) -> Disputed:
    terms = await agreement(connection, order.engagement_id)
    parties = terms.contract.parties
    withdrawn = order.state is DisputeState.WITHDRAWN
    _require_side(parties.client if withdrawn else parties.consultant, order.by)
    row = await _dispute(connection, order.engagement_id, order.dispute)
    require_step(f"dispute {order.dispute}", row["state"], order.state)
    waiting = await connection.fetchval(
        "select request_id from approval_request where subject = $1 and state = 'pending'",
        order.dispute,
    )
    if waiting is not None:
        raise TransitionError(
            f"dispute {order.dispute}: found the ruling {waiting} waiting for approval, expected it "
            "to be rejected or withdrawn first"
        )
    amount = Money(row["amount_minor"], row["currency"])
    group = dispute_rejected(amount, invoice=row["invoice"], dispute=order.dispute)
    await post(connection, order, terms, group)
    return await _closed(connection, order, terms, row, order.state, order.reason)


async def _rule(connection: Connection, order: RuleDispute) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    require_named(terms, order.by)
    row = await _dispute(connection, order.engagement_id, order.dispute)
    to = ruling(Money(row["amount_minor"], row["currency"]), order.upheld)
    require_step(f"dispute {order.dispute}", row["state"], to)
    priced = await _credit(connection, terms, row, order.upheld, order.reason)
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.DISPUTE_RULING,
        subject=order.dispute,
        named=None,
        payload={
            "dispute": order.dispute,
            "invoice": row["invoice"],
            "disputed": str(Money(row["amount_minor"], row["currency"])),
            "upheld": str(order.upheld),
            "currency": row["currency"],
            "reason": order.reason,
        },
        amount=priced.net,
        effect_key=f"{order.dispute}:ruling",
    )


@carries_out(Decision.DISPUTE_RULING)
async def _ruled(
    connection: Connection, order: Order[Any], terms: Agreement, request: Request
) -> CarriedOut:
    row = await _dispute(connection, request.engagement_id, request.subject)
    disputed = Money(row["amount_minor"], row["currency"])
    upheld = parse_amount(request.payload["upheld"], row["currency"])
    reason = request.payload["reason"]
    to = ruling(disputed, upheld)
    require_step(f"dispute {request.subject}", row["state"], to)
    priced = await _credit(connection, terms, row, upheld, reason)
    invoice = row["invoice"]
    number = await issue(
        connection, order, terms, priced, "credit_note", Purpose.DISPUTE, corrects=invoice
    )
    group = dispute_upheld(priced.nets(), priced.taxes(), invoice=invoice, dispute=request.subject)
    await post(connection, order, terms, group)
    if to is DisputeState.PARTLY:
        rest = dispute_rejected(disputed - upheld, invoice=invoice, dispute=request.subject)
        await post(connection, order, terms, rest)
    await _closed(connection, order, terms, row, to, reason, upheld, number)
    return CarriedOut(amount=priced.net, document=number)


async def _credit(
    connection: Connection, terms: Agreement, row: asyncpg.Record, upheld: Money, reason: str
) -> Draft:
    lines = await chosen_lines(connection, terms, row["invoice"], row["lines"])
    why = Input(name="dispute", value=row["reason"], source=row["dispute_id"])
    ruled = Input(name="ruling", value=reason, source=f"{row['dispute_id']}:ruling")
    what = f"Dispute {row['dispute_id'].rpartition('.')[2]} upheld"
    return credit_note(terms, lines, upheld, f"{row['dispute_id']}:ruling", what, [why, ruled])


async def _closed(
    connection: Connection,
    order: Order[Any],
    terms: Agreement,
    row: asyncpg.Record,
    to: DisputeState,
    reason: str,
    upheld: Money | None = None,
    document: str | None = None,
) -> Disputed:
    """Compare and set: an open dispute ends once. Its row is locked since it was read."""
    await connection.execute(
        """
        update dispute set state = $2, upheld_minor = $3, closed_by = $4, closed_at = $5,
            ruling = $6, document = $7
        where dispute_id = $1 and state = 'open'
        """,
        row["dispute_id"],
        to,
        upheld.minor if upheld else 0,
        order.by,
        order.at,
        reason,
        document,
    )
    amount = Money(row["amount_minor"], row["currency"])
    await happened(
        connection,
        order,
        terms,
        EventType.DISPUTE_CLOSED,
        dispute=row["dispute_id"],
        invoice=row["invoice"],
        state=to.value,
        amount=str(amount),
        upheld=str(upheld or Money(0, amount.currency)),
        document=document,
        reason=reason,
    )
    return Disputed(dispute=row["dispute_id"], invoice=row["invoice"], state=to, amount=amount)


async def _dispute(connection: Connection, engagement_id: str, dispute: str) -> asyncpg.Record:
    """A dispute, locked until the end of the transaction."""
    row = await connection.fetchrow(
        "select * from dispute where dispute_id = $1 and engagement_id = $2 for no key update",
        dispute,
        engagement_id,
    )
    if row is None:
        raise NotFound(f"found dispute {dispute!r}, expected one of engagement {engagement_id}")
    return row


def _require_side(party: Party, person: str) -> None:
    people = [each.id for each in party.people]
    if person not in people:
        raise NotAuthorised(
            f"found {person!r}, expected one of the people of {party.entity}: {', '.join(people)}"
        )
