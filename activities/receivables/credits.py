"""Credit notes on invoices and write-offs: asked for with a reason, carried out when approved."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from activities.agreement import Agreement, agreement, require_named
from activities.approvals import CarriedOut, ask, carries_out
from activities.billing.credit_notes import room_of
from activities.billing.invoices import advance_left, creditable_lines, issue
from activities.books.journal import post
from activities.postgres import Connection, Pool, once
from activities.timeline import happened
from contracts.commercial import Decision
from contracts.errors import NotFound, TransitionError
from contracts.events import EventType
from contracts.explanation import Calculation, Explanation, Input
from contracts.money import Money
from lifecycle.advance import agreed, require_left
from lifecycle.approval import Request
from lifecycle.credits import ELSEWHERE
from lifecycle.invoice import BilledLine, Draft, Line, Purpose, credit_of, draft, parts_of
from lifecycle.ledger import Group, advance_credited, credited, written_off
from lifecycle.orders import Order
from lifecycle.orders.approvals import Requested
from lifecycle.orders.receivables import CreditReason, RequestCredit, RequestWriteOff
from lifecycle.tax import Taxed


async def request_credit(pool: Pool, order: RequestCredit) -> Requested:
    """Ask for a credit note on an invoice: off what is open of it, else to the customer's credit.

    Raises:
        NotFound: no such engagement, invoice or line.
        NotAuthorised: the contract does not name that person.
        TransitionError: more than is left of the lines or of the advance, or than is open and paid.
    """
    return await once(pool, order, lambda connection: _ask_credit(connection, order))


async def request_write_off(pool: Pool, order: RequestWriteOff) -> Requested:
    """Ask for an open part of an invoice to be given up.

    Raises:
        NotFound: no such engagement or invoice.
        NotAuthorised: the contract does not name that person.
        TransitionError: more than is open.
    """
    return await once(pool, order, lambda connection: _ask_write_off(connection, order))


async def chosen_lines(
    connection: Connection, terms: Agreement, invoice: str, chosen: Sequence[int]
) -> list[BilledLine]:
    """Those lines of an invoice, or all of them where none is chosen.

    Raises:
        NotFound: the engagement has no such invoice, or it no such line.
        TransitionError: it bills an advance.
    """
    lines = await creditable_lines(connection, terms, invoice)
    return _chosen(lines, invoice, chosen)


def _chosen(lines: Sequence[BilledLine], invoice: str, chosen: Sequence[int]) -> list[BilledLine]:
    known = [line.line for line in lines]
    for number in chosen:
        if number not in known:
            raise NotFound(
                f"found line {number} of {invoice}, expected one of {', '.join(map(str, known))}"
            )
    return [line for line in lines if not chosen or line.line in chosen]


def credit_note(
    terms: Agreement,
    lines: Sequence[BilledLine],
    gross: Money,
    claim: str,
    what: str,
    why: Sequence[Input],
) -> Draft:
    """A credit note of a gross amount over lines of an invoice, by what is left of each.

    Args:
        claim: what is credited; `what` and `why` go on record as its explanation.

    Raises:
        TransitionError: nothing, or more than is left of the lines.
    """
    if gross.minor <= 0:
        raise TransitionError(f"found {gross} {gross.currency} to credit, expected more than 0")
    left = sum((line.left.gross for line in lines), Money(0, gross.currency))
    if (left - gross).minor < 0:
        raise TransitionError(
            f"{lines[0].number}: found {gross} {gross.currency} to credit of line "
            f"{', '.join(str(line.line) for line in lines)}, expected at most the {left} that is "
            f"left; {ELSEWHERE}"
        )
    parts = parts_of(lines, gross)
    return draft(
        terms.contract,
        [_credit_line(terms, line, part, gross, claim, what, why) for line, part in parts],
    )


def _credit_line(
    terms: Agreement,
    line: BilledLine,
    part: Taxed,
    gross: Money,
    claim: str,
    what: str,
    why: Sequence[Input],
) -> Line:
    explanation = Explanation(
        what=what,
        amount=part.net,
        contract=terms.contract.reference(),
        clause=line.clause,
        inputs=(
            *why,
            Input(name="to credit", value=str(gross), source="approval"),
            Input(name="left", value=str(line.left.gross), source=f"{line.number}/{line.line}"),
        ),
        steps=(
            Calculation(
                formula="part of this line = to credit, by what is left of each line",
                exact=str(part.gross),
                rule="R2 largest remainder",
            ),
            Calculation(
                formula="net = part - tax of it, cumulative over the parts of the line",
                exact=str(part.net),
                rule="R6 cumulative",
            ),
        ),
    )
    return credit_of(
        line,
        part,
        claim=f"{claim}:{line.number}/{line.line}",
        clause=line.clause,
        explanation=explanation,
    )


async def _ask_credit(connection: Connection, order: RequestCredit) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    require_named(terms, order.by)
    priced = (await _priced(connection, terms, order, order.code.value, ())).note
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.CREDIT,
        subject=order.invoice,
        named=None,
        payload={
            "credit": order.credit,
            "invoice": order.invoice,
            "lines": list(order.lines),
            "amount": f"{order.amount} {order.amount.currency}",
            "code": order.code.value,
            "reason": order.reason,
        },
        amount=priced.net,
        effect_key=order.credit,
    )


@carries_out(Decision.CREDIT)
async def _credit(
    connection: Connection, order: Order[Any], terms: Agreement, request: Request
) -> CarriedOut:
    asked = RequestCredit(
        **request.payload
        | {
            "key": request.id,
            "engagement_id": request.engagement_id,
            "workflow_id": request.workflow_id,
            "at": request.requested_at,
            "by": request.requested_by,
        }
    )
    why = Input(name=asked.code.value, value=asked.reason, source=f"request {request.id}")
    what = f"Credit for {asked.code.value}"
    priced = await _priced(connection, terms, asked, what, [why])
    purpose = Purpose.ADVANCE if priced.advance else Purpose.CORRECTION
    number = await issue(
        connection, order, terms, priced.note, "credit_note", purpose, corrects=asked.invoice
    )
    await post(connection, order, terms, _posting(terms, asked.invoice, number, priced))
    return CarriedOut(amount=priced.note.net, document=number)


class _Priced(NamedTuple):
    """A credit note on an invoice, or on that of an advance; what of it was paid before, gross."""

    note: Draft
    settled: Money
    advance: bool


async def _priced(
    connection: Connection,
    terms: Agreement,
    asked: RequestCredit,
    what: str,
    why: Sequence[Input],
) -> _Priced:
    room = await room_of(connection, terms, asked.invoice)
    left = await advance_left(connection, terms)
    advance = left if left is not None and left.number == asked.invoice else None
    if (advance is not None) != (asked.code is CreditReason.ADVANCE):
        expected = "one for advance" if advance else "another reason: it bills no advance"
        raise TransitionError(
            f"{asked.invoice}: found a credit for {asked.code.value}, expected {expected}"
        )
    if advance is None:
        lines = await chosen_lines(connection, terms, asked.invoice, asked.lines)
    else:
        lines = _chosen([advance], asked.invoice, asked.lines)
        require_left(advance, asked.amount)
    settled = room.settled(asked.amount)
    note = credit_note(terms, lines, asked.amount, asked.credit, what, why)
    return _Priced(note, settled, advance is not None)


def _posting(terms: Agreement, invoice: str, number: str, priced: _Priced) -> Group:
    note, settled = priced.note, priced.settled
    if not priced.advance:
        return credited(note.nets(), note.taxes(), invoice=invoice, note=number, settled=settled)
    return advance_credited(
        note.net,
        note.taxes(),
        advance=agreed(terms.contract).id,
        invoice=invoice,
        note=number,
        settled=settled,
    )


async def _ask_write_off(connection: Connection, order: RequestWriteOff) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    require_named(terms, order.by)
    await _require_open(connection, terms, order.invoice, order.amount)
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.WRITE_OFF,
        subject=order.invoice,
        named=None,
        payload={
            "write_off": order.write_off,
            "invoice": order.invoice,
            "amount": f"{order.amount} {order.amount.currency}",
            "reason": order.reason,
        },
        amount=order.amount,
        effect_key=order.write_off,
    )


@carries_out(Decision.WRITE_OFF)
async def _write_off(
    connection: Connection, order: Order[Any], terms: Agreement, request: Request
) -> CarriedOut:
    await _require_open(connection, terms, request.subject, request.amount)
    loss = written_off(request.amount, {}, invoice=request.subject)
    group = await post(connection, order, terms, loss)
    await happened(
        connection,
        order,
        terms,
        EventType.WRITTEN_OFF,
        invoice=request.subject,
        amount=str(request.amount),
        reason=request.payload["reason"],
        group=group,
    )
    return CarriedOut(amount=request.amount)


async def _require_open(
    connection: Connection, terms: Agreement, invoice: str, amount: Money
) -> None:
    room = await room_of(connection, terms, invoice)
    if not 0 < amount.minor <= room.open.minor:
        raise TransitionError(
            f"{invoice}: found {amount} {amount.currency} to write off, expected more than 0 and at "
            f"most the {room.open} that is open"
        )
