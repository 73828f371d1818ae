"""The advance: invoiced once, after PROCEED; the invoices of its fee deduct it."""

from temporalio import activity

from activities.agreement import Agreement, agreement, require_running
from activities.billing.invoices import issue
from activities.books.journal import post
from activities.postgres import Connection, Pool, once
from contracts.contract import Role
from contracts.errors import LossBoundExceeded
from contracts.explanation import Input
from lifecycle.advance import agreed, require_recoverable
from lifecycle.invoice import Purpose, draft, fixed_fee_line
from lifecycle.ledger import advance_invoiced
from lifecycle.orders import Billed
from lifecycle.orders.adjustments import IssueAdvance

MAY_BILL = (Role.DELIVERY_LEAD, Role.FINANCE)


class Advances:
    """Activities on advances."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def issue_advance(self, order: IssueAdvance) -> Billed:
        """Invoice the advance, once (E05).

        Raises:
            NotAuthorised: neither the delivery lead nor of finance.
            LossBoundExceeded: before PROCEED nothing is invoiced in advance (INV-05).
            TransitionError: the contract has no advance, it is invoiced already, the milestones that
                are not billed yet would not deduct all of it, or the engagement is closed.
        """
        return await once(self.pool, order, lambda connection: _issue(connection, order))


async def _issue(connection: Connection, order: IssueAdvance) -> Billed:
    terms = await agreement(connection, order.engagement_id)
    contract, advance = terms.contract, agreed(terms.contract)
    contract.people().require(order.by, *MAY_BILL)
    await require_running(connection, terms)
    if terms.proceeded_at is None:
        raise LossBoundExceeded(
            f"engagement {order.engagement_id} has not been decided to proceed: found advance "
            f"{advance.id} to be invoiced, expected PROCEED first (INV-05)"
        )
    require_recoverable(contract, await _billed_milestones(connection, terms))
    proof = Input(
        name="proceeded",
        value=terms.local_date(terms.proceeded_at).isoformat(),
        source=f"eng.{order.engagement_id}",
    )
    line = fixed_fee_line(
        contract,
        f"eng.{order.engagement_id}.advance.{advance.id}",
        advance.fee,
        advance.clause,
        advance.title,
        advance.amount,
        proof,
    )
    priced = draft(contract, (line,))
    number = await issue(connection, order, terms, priced, "invoice", Purpose.ADVANCE)
    group = advance_invoiced(priced.net, priced.taxes(), advance=advance.id, invoice=number)
    await post(connection, order, terms, group)
    return Billed(number=number, gross=priced.gross)


async def _billed_milestones(connection: Connection, terms: Agreement) -> set[str]:
    rows = await connection.fetch(
        """
        select l.claim from invoice_line l join invoice i using (number)
        where i.engagement_id = $1 and i.purpose = 'milestone'
        """,
        terms.engagement_id,
    )
    claims = f"eng.{terms.engagement_id}.milestone."
    return {row["claim"].removeprefix(claims).partition(":")[0] for row in rows}
