"""Credit notes on invoices and write-offs: asked for with a reason, carried out when approved."""

from collections.abc import Sequence
from typing import Any

from activities.agreement import Agreement, agreement
from activities.approvals import CarriedOut, ask, carries_out
from activities.billing import creditable_lines, issue
from activities.holds import require_named
from activities.ledger import post
from activities.postgres import Connection, Pool, once
from activities.receivables import claim_on
from activities.timeline import happened
from contracts.commercial import Decision
from contracts.errors import NotFound, TransitionError
from contracts.events import EventType
from contracts.explanation import Calculation, Explanation, Input
from contracts.money import Money
from lifecycle.approval import Request
from lifecycle.invoice import BilledLine, Draft, Line, Purpose, credit_of, draft, parts_of
from lifecycle.ledger import credited, written_off
from lifecycle.orders import Order
from lifecycle.orders.approvals import Requested
from lifecycle.orders.receivables import RequestCredit, RequestWriteOff
from lifecycle.tax import Taxed


async def request_credit(pool: Pool, order: RequestCredit) -> Requested:
    """Ask for a credit note on an invoice: off what is open of it, else to the customer's credit.

    Raises:
        NotFound: no such engagement, invoice or line.
        NotAuthorised: the contract does not name that person.
        TransitionError: more than is left of the lines, or more than is open and paid.
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
    await claim_on(connection, terms, invoice)
    lines = await creditable_lines(connection, terms, invoice)
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
        contract=f"{terms.contract.id}@v{terms.contract.version}",
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
    lines = await chosen_lines(connection, terms, order.invoice, order.lines)
    await _settled(connection, terms, order.invoice, order.amount)
    priced = credit_note(terms, lines, order.amount, order.credit, order.code.value, ())
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.CREDIT,
        subject=order.invoice,
        named=order.invoice,
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
    lines = await chosen_lines(connection, terms, asked.invoice, asked.lines)
    settled = await _settled(connection, terms, asked.invoice, asked.amount)
    why = Input(name=asked.code.value, value=asked.reason, source=f"request {request.id}")
    what = f"Credit for {asked.code.value}"
    priced = credit_note(terms, lines, asked.amount, asked.credit, what, [why])
    number = await issue(
        connection, order, terms, priced, "credit_note", Purpose.CORRECTION, corrects=asked.invoice
    )
    group = credited(
        priced.nets(), priced.taxes(), invoice=asked.invoice, note=number, settled=settled
    )
    await post(connection, order, terms, group)
    return CarriedOut(amount=priced.net, document=number)


async def _settled(connection: Connection, terms: Agreement, invoice: str, gross: Money) -> Money:
    """What of a credit was paid before, and becomes the customer's credit.

    Raises:
        TransitionError: the rest is neither open nor paid: it is held, disputed or written off.
    """
    claim = await claim_on(connection, terms, invoice)
    minor = await connection.fetchval(
        "select paid_minor - returned_minor from invoice_settlement where number = $1", invoice
    )
    paid = Money(minor, gross.currency)
    settled = Money(max(0, gross.minor - claim.open.minor), gross.currency)
    if settled.minor > paid.minor:
        raise TransitionError(
            f"{invoice}: found {gross} {gross.currency} to credit, expected at most "
            f"{claim.open + paid}: {claim.open} is open and {paid} paid; what is held, disputed or "
            "written off is decided on there"
        )
    return settled


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
        named=order.invoice,
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
    await post(connection, order, terms, written_off(request.amount, {}, invoice=request.subject))
    await happened(
        connection,
        order,
        terms,
        EventType.WRITTEN_OFF,
        invoice=request.subject,
        amount=str(request.amount),
        reason=request.payload["reason"],
    )
    return CarriedOut(amount=request.amount)


async def _require_open(
    connection: Connection, terms: Agreement, invoice: str, amount: Money
) -> None:
    claim = await claim_on(connection, terms, invoice)
    if not 0 < amount.minor <= claim.open.minor:
        raise TransitionError(
            f"{invoice}: found {amount} {amount.currency} to write off, expected more than 0 and at "
            f"most the {claim.open} that is open"
        )
