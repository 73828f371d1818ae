"""Invoices and credit notes: guard, gapless number, journal and outbox in one transaction."""

from temporalio import activity

from activities.agreement import Agreement, agreement
from activities.ledger import post
from activities.postgres import Connection, Pool, once
from activities.timeline import happened, send
from contracts.errors import LossBoundExceeded
from contracts.events import EventType
from contracts.explanation import Input
from contracts.money import Money
from lifecycle.invoice import Draft, draft, fixed_fee_line, series, tax_calculation
from lifecycle.ledger import Dimensions, earned, invoiced
from lifecycle.milestone import Acceptance
from lifecycle.orders import (
    A,
    Billed,
    BillMicroConsulting,
    BillMilestone,
    Done,
    EvaluateMilestone,
    Order,
)


class Billing:
    """Activities that earn and bill the fixed part of the fee."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def bill_micro_consulting(self, order: BillMicroConsulting) -> Billed:
        """Invoice the micro-consulting fee.

        Raises:
            LossBoundExceeded: before PROCEED, more than the loss bound would be invoiced (INV-05).
        """
        return await once(self.pool, order, lambda connection: _bill_micro(connection, order))

    @activity.defn
    async def evaluate_milestone(self, order: EvaluateMilestone) -> Done:
        """Post an accepted milestone as earned."""
        return await once(self.pool, order, lambda connection: _evaluate(connection, order))

    @activity.defn
    async def bill_milestone(self, order: BillMilestone) -> Billed:
        """Invoice an accepted milestone, once.

        Raises:
            LossBoundExceeded: before PROCEED, more than the loss bound would be invoiced (INV-05).
        """
        return await once(self.pool, order, lambda connection: _bill_milestone(connection, order))


async def _bill_micro(connection: Connection, order: BillMicroConsulting) -> Billed:
    terms = await agreement(connection, order.engagement_id)
    fee = terms.contract.fee(terms.contract.micro_consulting.fee)
    proof = Input(
        name="final version submitted",
        value=terms.local_date(order.at).isoformat(),
        source=order.workflow_id,
        evidence=order.evidence,
    )
    line = fixed_fee_line(
        terms.contract, order.workflow_id, fee.clause, fee.title, fee.amount, proof
    )
    priced = draft(terms.contract, (line,))
    of = Dimensions(fee=fee.id)
    await post(connection, order, terms, earned(priced.net, of))
    number = await issue(connection, order, terms, priced, "invoice")
    await post(connection, order, terms, invoiced(priced.net, priced.tax, _on(of, number)))
    return Billed(number=number, gross=priced.gross)


async def _evaluate(connection: Connection, order: EvaluateMilestone) -> Done:
    terms = await agreement(connection, order.engagement_id)
    milestone = terms.contract.milestone(order.milestone)
    await post(connection, order, terms, earned(milestone.amount, Dimensions(fee=milestone.fee)))
    await happened(
        connection,
        order,
        terms,
        EventType.MILESTONE_EVALUATED,
        milestone=milestone.id,
        earned=str(milestone.amount),
    )
    return Done()


async def _bill_milestone(connection: Connection, order: BillMilestone) -> Billed:
    terms = await agreement(connection, order.engagement_id)
    milestone = terms.contract.milestone(order.milestone)
    line = fixed_fee_line(
        terms.contract,
        order.workflow_id,
        milestone.clause,
        milestone.title,
        milestone.amount,
        _acceptance(terms, order.acceptance),
    )
    priced = draft(terms.contract, (line,))
    number = await issue(connection, order, terms, priced, "invoice")
    of = Dimensions(fee=milestone.fee, invoice=number)
    await post(connection, order, terms, invoiced(priced.net, priced.tax, of))
    return Billed(number=number, gross=priced.gross)


def _acceptance(terms: Agreement, acceptance: Acceptance) -> Input:
    how = "deemed accepted" if acceptance.deemed else "accepted"
    return Input(
        name="acceptance",
        value=f"{how} on {terms.local_date(acceptance.at).isoformat()}",
        source=acceptance.by,
        evidence=", ".join(
            f"{kind}={proof}" for kind, proof in sorted(acceptance.evidence.items())
        ),
    )


def _on(of: Dimensions, number: str) -> Dimensions:
    return of.model_copy(update={"invoice": number})


async def issue(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    priced: Draft,
    document: str,
    *,
    withheld: bool = False,
    corrects: str | None = None,
) -> str:
    """Give a document its gapless number and write it, with its claims and its outbox message.

    The number is taken from the series row that stays locked until the commit, so a transaction
    that fails leaves no gap.

    Raises:
        LossBoundExceeded: before PROCEED, more than the loss bound would be invoiced (INV-05).
    """
    await _keep_loss_bound(connection, terms, priced.net)
    issued_on = terms.local_date(order.at)
    name = series(terms.contract, terms.book, document)
    sequence = await connection.fetchval(
        """
        insert into invoice_series as s (series, year, last) values ($1, $2, 1)
        on conflict (series, year) do update set last = s.last + 1 returning last
        """,
        name,
        issued_on.year,
    )
    number = f"{name}-{issued_on.year}-{sequence:06}"
    await connection.execute(
        """
        insert into invoice
            (number, document, series, year, sequence, key, engagement_id, contract_id,
             contract_version, book, issued_on, currency, net_minor, tax_minor, gross_minor,
             tax_code, tax_rate, tax_explanation, withheld, corrects)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
        """,
        number,
        document,
        name,
        issued_on.year,
        sequence,
        order.key,
        order.engagement_id,
        terms.contract.id,
        terms.contract.version,
        terms.book,
        issued_on,
        terms.contract.currency,
        priced.net.minor,
        priced.tax.minor,
        priced.gross.minor,
        priced.tax_code,
        str(priced.tax_rate),
        tax_calculation(priced).model_dump(mode="json"),
        withheld,
        corrects,
    )
    await connection.executemany(
        """
        insert into invoice_line (number, line, claim, clause, title, net_minor, explanation)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        [
            (
                number,
                position,
                line.claim,
                line.clause,
                line.title.model_dump(mode="json"),
                line.net.minor,
                line.explanation.model_dump(mode="json"),
            )
            for position, line in enumerate(priced.lines, start=1)
        ],
    )
    kind = EventType.INVOICE_ISSUED if document == "invoice" else EventType.CREDIT_NOTE_ISSUED
    facts = {
        "number": number,
        "net": str(priced.net),
        "tax": str(priced.tax),
        "gross": str(priced.gross),
    }
    await happened(connection, order, terms, kind, **facts, withheld=withheld, corrects=corrects)
    payload = _for_finance(
        terms, priced, number, document, issued_on.isoformat(), withheld, corrects
    )
    await send(connection, order, terms.book, document, number, payload)
    return number


async def _keep_loss_bound(connection: Connection, terms: Agreement, net: Money) -> None:
    if terms.proceeded_at is not None:
        return
    billed = await connection.fetchval(
        """
        select coalesce(sum(case document when 'invoice' then net_minor else -net_minor end), 0)::bigint
        from invoice where engagement_id = $1
        """,
        terms.engagement_id,
    )
    bound = terms.contract.loss_bound()
    after = Money(billed, net.currency) + net
    if after.minor > bound.minor:
        raise LossBoundExceeded(
            f"engagement {terms.engagement_id} has not been decided to proceed: found {after} "
            f"{net.currency} to be invoiced in all, expected at most the loss bound {bound} (INV-05)"
        )


def _for_finance(
    terms: Agreement,
    priced: Draft,
    number: str,
    document: str,
    issued_on: str,
    withheld: bool,
    corrects: str | None,
) -> dict[str, object]:
    """The document as a finance system gets it; amounts are text, exact, in major units."""
    parties = terms.contract.parties
    return {
        "number": number,
        "document": document,
        "issued_on": issued_on,
        "sandbox": terms.book == "sandbox",
        "engagement": terms.engagement_id,
        "contract": f"{terms.contract.id}@v{terms.contract.version}",
        "seller": parties.consultant.name.en,
        "buyer": parties.client.name.en,
        "currency": terms.contract.currency,
        "lines": [
            {"line": position, "clause": line.clause, "title": line.title.en, "net": str(line.net)}
            for position, line in enumerate(priced.lines, start=1)
        ],
        "net": str(priced.net),
        "tax": {"code": priced.tax_code, "rate": str(priced.tax_rate), "amount": str(priced.tax)},
        "gross": str(priced.gross),
        "payment_withheld": withheld,
        "corrects": corrects,
    }
