"""Gain share: a reported benefit, its approval, and the document of its true-up (R8)."""

from collections.abc import Iterable
from typing import Any

from temporalio import activity

from activities.agreement import Agreement, agreement, require_named, require_running
from activities.approvals import CarriedOut, ask, carries_out, gives_up, guards
from activities.billing.caps import free, reserve
from activities.billing.credit_notes import credit, creditable
from activities.billing.invoices import issue
from activities.books.journal import post
from activities.postgres import Connection, Pool, once
from contracts.commercial import Decision, GainShare
from contracts.errors import LossBoundExceeded, TransitionError
from contracts.explanation import Explanation
from contracts.money import Money
from lifecycle.approval import Request
from lifecycle.caps import counted
from lifecycle.credits import in_turn
from lifecycle.gain_share import Proposal, Report, TrueUp, billed_again, true_up
from lifecycle.invoice import BilledLine, Draft, Line, Purpose, credit_of, draft
from lifecycle.ledger import credited, gain_share_earned, invoiced
from lifecycle.orders import Order
from lifecycle.orders.adjustments import ReportGainShare
from lifecycle.orders.approvals import Requested


class GainShares:
    """Activities on gain shares."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @activity.defn
    async def report_gain_share(self, order: ReportGainShare) -> Requested:
        """Report the benefit of a period; what it would bill is reserved until it is decided.

        Raises:
            NotAuthorised: the contract does not name that person.
            LossBoundExceeded: before PROCEED nothing has a benefit to share (INV-05).
            TransitionError: the contract has no gain share, a report waits for approval already, more
                would be credited than is open or paid, or the engagement is closed.
            CapExceeded: more would be billed than is authorised at a level (c.5-11).
        """
        return await once(self.pool, order, lambda connection: _report(connection, order))


async def _report(connection: Connection, order: ReportGainShare) -> Requested:
    terms = await agreement(connection, order.engagement_id)
    require_named(terms, order.by)
    await require_running(connection, terms)
    share = _clause(terms)
    if terms.proceeded_at is None:
        raise LossBoundExceeded(
            f"engagement {order.engagement_id} has not been decided to proceed: found a benefit of "
            f"{order.period} for {share.id}, expected PROCEED first (INV-05)"
        )
    waiting = await connection.fetchval(
        """
        select request_id from approval_request
        where engagement_id = $1 and decision = 'gain_share' and state = 'pending'
        """,
        order.engagement_id,
    )
    if waiting:
        raise TransitionError(
            f"found report {waiting} waiting for approval, expected it to be decided before the next"
        )
    new = Report(period=order.period, benefit=order.benefit, evidence=order.evidence)
    reports, step = await _true_up(connection, terms, new)
    proposal = await _proposal(connection, terms, step)
    if proposal.levels:
        await reserve(connection, order, terms, proposal.levels)
    count = sum(report.period == new.period for report in reports) + 1
    subject = f"eng.{order.engagement_id}.gain_share.{share.id}"
    return await ask(
        connection,
        order,
        terms,
        request_id=order.key,
        decision=Decision.GAIN_SHARE,
        subject=subject,
        named=share.id,
        payload=proposal.model_dump(mode="json"),
        amount=Money(abs(step.amount.minor), step.amount.currency),
        effect_key=f"{subject}.{new.period}.{count}:true_up",
    )


async def _proposal(connection: Connection, terms: Agreement, step: TrueUp) -> Proposal:
    """What is to be approved, once it is sure that its document could be issued now."""
    levels: dict[str, Money] = {}
    if step.amount.minor > 0:
        priced = await _invoice(connection, terms, step, "proposed")
        levels = counted(terms.contract, priced, "invoice", Purpose.GAIN_SHARE)
    elif step.amount.minor < 0:
        await _credit_lines(connection, terms, step, "proposed")
    return Proposal(**step.model_dump(exclude={"explanation"}), levels=levels)


@guards(Decision.GAIN_SHARE)
async def _not_as_it_was(connection: Connection, terms: Agreement, request: Request) -> None:
    """The reports since change what a benefit comes to, so it is not asked for as it was."""
    period = Proposal.model_validate(request.payload).period
    raise TransitionError(
        f"request {request.id}: found a report of {period} asked for again, expected the period to "
        "be reported anew, for its true-up depends on the reports since"
    )


@carries_out(Decision.GAIN_SHARE)
async def _settle(
    connection: Connection, order: Order[Any], terms: Agreement, request: Request
) -> CarriedOut:
    approved = Proposal.model_validate(request.payload)
    await _free(connection, order, terms, request)
    _, step = await _true_up(connection, terms, approved)
    if step.amount != approved.amount:
        raise TransitionError(
            f"request {request.id}: found a true-up of {step.amount}, expected the approved "
            f"{approved.amount}; the contract has changed since, report the period anew"
        )
    document = await _document(connection, order, terms, step)
    await _write(connection, order, request, step, document)
    return CarriedOut(amount=request.amount, document=document)


@gives_up(Decision.GAIN_SHARE)
async def _given_up(
    connection: Connection, order: Order[Any], terms: Agreement, request: Request
) -> CarriedOut:
    await _free(connection, order, terms, request)
    return CarriedOut(amount=request.amount)


async def _free(
    connection: Connection, order: Order[Any], terms: Agreement, request: Request
) -> None:
    if levels := Proposal.model_validate(request.payload).levels:
        await free(connection, order, terms, levels)


async def _document(
    connection: Connection, order: Order[Any], terms: Agreement, step: TrueUp
) -> str | None:
    if not step.amount.minor:
        return None
    if step.amount.minor < 0:
        lines = await _credit_lines(connection, terms, step, order.key)
        return await credit(connection, order, terms, lines, Purpose.GAIN_SHARE, credited)
    priced = await _invoice(connection, terms, step, order.key)
    for fee, net in priced.nets().items():
        await post(connection, order, terms, gain_share_earned(net, fee=fee), part=fee)
    number = await issue(connection, order, terms, priced, "invoice", Purpose.GAIN_SHARE)
    await post(connection, order, terms, invoiced(priced.nets(), priced.taxes(), invoice=number))
    return number


async def _invoice(connection: Connection, terms: Agreement, step: TrueUp, claim: str) -> Draft:
    """What is billed: on the fees that bore a loss before, then on the gain share's own level."""
    share = _clause(terms)
    borne = await _borne(connection, terms, share)
    lines = [
        Line(
            claim=f"{claim}:{fee}",
            fee=fee,
            clause=share.clause,
            title=share.title,
            amount=part,
            prices="net",
            explanation=_part(step.explanation, part, f"on {fee}"),
        )
        for fee, part in billed_again(share, step.amount, borne)
    ]
    return draft(terms.contract, lines)


async def _credit_lines(
    connection: Connection, terms: Agreement, step: TrueUp, claim: str
) -> list[Line]:
    """What is credited: gain share billed before first, then the latest invoices of the fees.

    A share is net: a fee whose prices have the tax inside bears no loss. Given back and billed again,
    its price could differ by the rounding of the tax, and exceed its level.

    Raises:
        TransitionError: they do not come to it.
    """
    share = _clause(terms)
    rows = await connection.fetch(
        """
        select number from invoice
        where engagement_id = $1 and document = 'invoice' and purpose not in ('advance', 'retention')
        order by purpose <> 'gain_share', issued_on desc, sequence desc
        """,
        terms.engagement_id,
    )
    lines, rooms = await creditable(connection, terms, [row["number"] for row in rows])
    lowered = Money(-step.amount.minor, step.amount.currency)
    return [
        credit_of(
            line,
            part,
            claim=f"{claim}:{line.number}/{line.line}",
            clause=share.clause,
            title=share.title,
            explanation=_part(step.explanation, part.net, f"of {line.number}/{line.line}"),
        )
        for line, part in in_turn(_priced_net(terms, lines), rooms, lowered)
    ]


def _priced_net(terms: Agreement, lines: Iterable[BilledLine]) -> list[BilledLine]:
    gross = {fee.id for fee in terms.contract.fees if fee.prices == "gross"}
    return [line for line in lines if line.fee not in gross]


def _part(whole: Explanation, part: Money, where: str) -> Explanation:
    """Why one line is what it is: its part of the true-up."""
    return whole.model_copy(update={"what": f"{whole.what}, {where}", "amount": part})


async def _borne(connection: Connection, terms: Agreement, share: GainShare) -> dict[str, Money]:
    """By fee, what a loss to date took of it and no gain has given back since."""
    rows = await connection.fetch(
        """
        select fee, sum(case document when 'credit_note' then l.net_minor else -l.net_minor end)::bigint
            as minor
        from invoice_line l join invoice i using (number)
        where i.engagement_id = $1 and i.purpose = 'gain_share' and l.fee <> $2
        group by fee
        having sum(case document when 'credit_note' then l.net_minor else -l.net_minor end) > 0
        order by fee
        """,
        terms.engagement_id,
        share.id,
    )
    return {row["fee"]: Money(row["minor"], terms.contract.currency) for row in rows}


async def _true_up(
    connection: Connection, terms: Agreement, new: Report
) -> tuple[list[Report], TrueUp]:
    """The reports that were approved, and what a new one makes of the fee."""
    rows = await connection.fetch(
        """
        select period, benefit_minor, evidence, amount_minor from gain_share
        where engagement_id = $1 order by id
        """,
        terms.engagement_id,
    )
    currency = terms.contract.currency
    reports = [
        Report(
            period=row["period"],
            benefit=Money(row["benefit_minor"], currency),
            evidence=row["evidence"],
        )
        for row in rows
    ]
    before = Money(sum(row["amount_minor"] for row in rows), currency)
    return reports, true_up(terms.contract, _clause(terms), reports, new, before)


async def _write(
    connection: Connection,
    order: Order[Any],
    request: Request,
    step: TrueUp,
    document: str | None,
) -> None:
    await connection.execute(
        """
        insert into gain_share
            (key, engagement_id, request_id, period, benefit_minor, evidence, benefit_to_date_minor,
             fee_to_date_minor, amount_minor, currency, document, settled_at, explanation)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        order.key,
        order.engagement_id,
        request.id,
        step.period,
        step.benefit.minor,
        step.evidence,
        step.benefit_to_date.minor,
        step.fee_to_date.minor,
        step.amount.minor,
        step.amount.currency,
        document,
        order.at,
        step.explanation.model_dump(mode="json"),
    )


def _clause(terms: Agreement) -> GainShare:
    if terms.contract.gain_share is None:
        raise TransitionError(
            f"contract {terms.contract.id}: found no gain_share, expected the clause that agrees one"
        )
    return terms.contract.gain_share
