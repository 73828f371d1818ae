"""Service credits: asked for within the clause's limit, granted by a credit note (E25)."""

from typing import Any

from temporalio import activity

from activities.agreement import Agreement, agreement, require_named
from activities.approvals import CarriedOut, ask, carries_out, guards
from activities.billing.credit_notes import credit, creditable
from activities.postgres import Connection, Pool, once
from contracts.commercial import Decision
from contracts.errors import TransitionError
from contracts.money import Money
from lifecycle.approval import Request, RequestState
from lifecycle.credits import in_turn
from lifecycle.invoice import Line, Purpose, credit_of
from lifecycle.ledger import service_credited
from lifecycle.orders import Order
from lifecycle.orders.adjustments import GrantServiceCredit
from lifecycle.orders.approvals import Requested
from lifecycle.service_credits import ServiceCredit, clause_of, explained, require_within


class ServiceCredits:
    """Activities on service credits."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def grant_service_credit(self, order: GrantServiceCredit) -> Requested:
        """Ask for a service credit against an invoice.

        Raises:
            NotAuthorised: the contract does not name that person.
            NotFound: the engagement has no such invoice.
            TransitionError: the contract allows none, more than is left of the limit, more than is
                open or paid of the fee on that invoice, or granted before.
        """
        return await once(self.pool, order, lambda connection: _ask(connection, order))


async def _ask(connection: Connection, order: GrantServiceCredit) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    require_named(terms, order.by)
    wanted = ServiceCredit(
        id=order.credit,
        invoice=order.invoice,
        amount=order.amount,
        reason=order.reason,
        evidence=order.evidence,
    )
    subject = f"eng.{order.engagement_id}.service_credit.{order.credit}"
    await _require_possible(connection, terms, wanted, subject)
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.SERVICE_CREDIT,
        subject=subject,
        named=None,
        payload=wanted.model_dump(mode="json"),
        amount=order.amount,
        effect_key=f"{subject}:grant",
    )


@guards(Decision.SERVICE_CREDIT)
async def _still_possible(connection: Connection, terms: Agreement, request: Request) -> None:
    wanted = ServiceCredit.model_validate(request.payload)
    await _require_possible(connection, terms, wanted, request.subject)


async def _require_possible(
    connection: Connection, terms: Agreement, wanted: ServiceCredit, claim: str
) -> None:
    """Refuse what would not be granted now, beside all that is granted or asked for."""
    before = await _asked(connection, terms, RequestState.APPROVED, RequestState.PENDING)
    require_within(terms.contract, before, wanted.amount)
    await _lines(connection, terms, wanted, claim, before)


@carries_out(Decision.SERVICE_CREDIT)
async def _grant(
    connection: Connection, order: Order[Any], terms: Agreement, request: Request
) -> CarriedOut:
    wanted = ServiceCredit.model_validate(request.payload)
    # This request is approved by now, and counts itself.
    before = await _asked(connection, terms, RequestState.APPROVED) - wanted.amount
    require_within(terms.contract, before, wanted.amount)
    lines = await _lines(connection, terms, wanted, request.subject, before)
    number = await credit(connection, order, terms, lines, Purpose.SERVICE_CREDIT, service_credited)
    return CarriedOut(amount=wanted.amount, document=number)


async def _lines(
    connection: Connection, terms: Agreement, wanted: ServiceCredit, claim: str, before: Money
) -> list[Line]:
    """The lines of its credit note: on the lines of the clause's fee, in their order."""
    clause = clause_of(terms.contract)
    billed, rooms = await creditable(connection, terms, [wanted.invoice])
    of_fee = [line for line in billed if line.fee == clause.fee]
    if not of_fee:
        raise TransitionError(
            f"{wanted.invoice}: found no line of fee {clause.fee}, expected the invoice of the "
            f"service that clause {clause.clause} is about"
        )
    why = explained(terms.contract, wanted, before)
    return [
        credit_of(
            line,
            part,
            claim=f"{claim}:{line.number}/{line.line}",
            clause=clause.clause,
            explanation=why.model_copy(update={"amount": part.net}),
        )
        for line, part in in_turn(of_fee, rooms, wanted.amount)
    ]


async def _asked(connection: Connection, terms: Agreement, *states: RequestState) -> Money:
    """What the service credits in those states come to, net."""
    minor = await connection.fetchval(
        """
        select coalesce(sum(amount_minor), 0)::bigint from approval_request
        where engagement_id = $1 and decision = 'service_credit' and state = any($2::text[])
        """,
        terms.engagement_id,
        [state.value for state in states],
    )
    return Money(minor, terms.contract.currency)
