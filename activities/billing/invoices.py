"""Invoices and credit notes: guard, gapless number, journal and outbox in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import NamedTuple

import asyncpg
from temporalio import activity

from activities.agreement import Agreement, agreement
from activities.billing.caps import bill
from activities.books.holds import insert_hold, move, settle
from activities.books.journal import post
from activities.books.periods import open_day
from activities.postgres import Connection, Pool, once
from activities.timeline import happened, send
from contracts.commercial import HoldEffect, HoldKind
from contracts.errors import LossBoundExceeded, NotFound, TransitionError
from contracts.events import EventType
from contracts.explanation import Explanation, Input
from contracts.fields import Title
from contracts.money import Money
from lifecycle.caps import counted
from lifecycle.hold_reasons import of_retained
from lifecycle.invoice import (
    BilledLine,
    Draft,
    Kind,
    PricedLine,
    Purpose,
    deduct,
    draft,
    due_on,
    fixed_fee_line,
    milestone_lines,
    retain,
    retention_now,
    series,
    without_forfeited,
)
from lifecycle.ledger import earned, invoiced, missed_before_earned
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
from lifecycle.tax import Taxed


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
        """Invoice an accepted milestone, once; while a hold blocks it, say which.

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
        terms.contract, order.workflow_id, fee.id, fee.clause, fee.title, fee.amount, proof
    )
    priced = draft(terms.contract, (line,))
    await post(connection, order, terms, earned(priced.net, fee=fee.id))
    number = await issue(connection, order, terms, priced, "invoice", Purpose.MICRO)
    await post(connection, order, terms, invoiced(priced.nets(), priced.taxes(), invoice=number))
    return Billed(number=number, gross=priced.gross)


# A milestone.


async def _evaluate(connection: Connection, order: EvaluateMilestone) -> Done:
    terms = await agreement(connection, order.engagement_id)
    priced = _priced(order, terms)
    for fee, net in priced.nets().items():
        await post(connection, order, terms, earned(net, fee=fee), part=fee)
    for hold_id, lost in await _forfeited(connection, order, terms):
        fee = terms.contract.milestone(order.milestone).fee
        group = missed_before_earned(lost, fee=fee, hold=hold_id)
        await post(connection, order, terms, group, part=hold_id)
    await happened(
        connection,
        order,
        terms,
        EventType.MILESTONE_EVALUATED,
        milestone=order.milestone,
        earned=str(priced.net),
    )
    return Done()


async def _bill_milestone(connection: Connection, order: BillMilestone) -> Billed:
    terms = await agreement(connection, order.engagement_id)
    nothing = Money(0, terms.contract.currency)
    if blocked_by := await _blocked_by(connection, order):
        return Billed(gross=nothing, blocked_by=blocked_by)
    priced = await _milestone(connection, order, terms)
    if priced is None:
        return Billed(gross=nothing)
    priced, why_retained = await _retained(connection, terms, priced)
    priced, deducted = await _deducted(connection, terms, priced)
    number = await issue(connection, order, terms, priced, "invoice", Purpose.MILESTONE)
    hold_id = await _hold_retention(connection, order, terms, priced, why_retained)
    group = invoiced(
        priced.nets(),
        priced.taxes(),
        invoice=number,
        retained={hold_id: priced.retained.gross} if hold_id else {},
        tax_on_release=priced.deferred.minor > 0,
        advances={deducted.advance: priced.advance.net} if deducted else {},
        advance_taxes={deducted.tax_code: priced.advance.tax} if deducted else {},
    )
    await post(connection, order, terms, group)
    return Billed(number=number, gross=priced.gross)


async def _milestone(
    connection: Connection, order: BillMilestone, terms: Agreement
) -> Draft | None:
    """What a milestone bills, priced, without what holds on it have forfeited; none if that is all."""
    priced = _priced(order, terms)
    forfeited = await _forfeited(connection, order, terms)
    if not forfeited:
        return priced
    nothing = Money(0, terms.contract.currency)
    return without_forfeited(priced, sum((lost for _, lost in forfeited), nothing))


def _priced(order: EvaluateMilestone | BillMilestone, terms: Agreement) -> Draft:
    """All that a milestone's acceptance earns."""
    proof = _acceptance(terms, order.acceptance)
    claim = order.workflow_id
    return draft(terms.contract, milestone_lines(terms.contract, order.milestone, claim, proof))


async def _forfeited(
    connection: Connection, order: EvaluateMilestone | BillMilestone, terms: Agreement
) -> list[tuple[str, Money]]:
    """What each hold that keeps the milestone from being invoiced has forfeited, net."""
    rows = await connection.fetch(
        """
        select hold_id, forfeited_minor from hold_balance
        where engagement_id = $1 and milestone = $2 and effect = 'block_invoicing'
          and forfeited_minor > 0
        order by hold_id
        """,
        order.engagement_id,
        order.milestone,
    )
    currency = terms.contract.currency
    return [(row["hold_id"], Money(row["forfeited_minor"], currency)) for row in rows]


async def _blocked_by(connection: Connection, order: BillMilestone) -> tuple[str, ...]:
    """The holds that keep a milestone from being invoiced."""
    rows = await connection.fetch(
        """
        select hold_id from hold_balance
        where engagement_id = $1 and milestone = $2 and effect = 'block_invoicing'
          and state not in ('settled', 'cancelled') and held_minor > 0
        order by hold_id
        """,
        order.engagement_id,
        order.milestone,
    )
    return tuple(row["hold_id"] for row in rows)


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


# What of an invoice is not to be paid now.


async def _retained(
    connection: Connection, terms: Agreement, priced: Draft
) -> tuple[Draft, Explanation | None]:
    """With the part that the retention keeps back, over all milestone invoices since it is agreed."""
    retention = terms.contract.retention
    if retention is None:
        return priced, None
    before = await connection.fetchrow(
        """
        select coalesce(sum(l.net_minor), 0)::bigint as net,
               coalesce(sum(l.net_minor + l.tax_minor), 0)::bigint as gross,
               (select coalesce(sum(retained_minor), 0) from invoice
                where engagement_id = $1)::bigint as retained
        from invoice_line l join invoice i using (number)
        join contract_version c
          on c.contract_id = i.contract_id and c.version = i.contract_version
        where i.engagement_id = $1 and i.purpose = 'milestone' and l.fee = $2
          and c.document->'retention'->>'id' = $3
        """,
        terms.engagement_id,
        retention.fee,
        retention.id,
    )
    assert before is not None
    of_fee, currency = priced.of_fee(retention.fee), terms.contract.currency
    base = Money(before[retention.base], currency)
    now = of_fee.net if retention.base == "net" else of_fee.gross
    kept = Money(before["retained"], currency)
    part = retention_now(retention, terms.contract.fee(retention.fee).amount, base, now, kept)
    if not part.minor:
        return priced, None
    retaining = retain(priced, retention, part)
    return retaining, of_retained(terms.contract, base + now, kept, retaining.retained)


async def _hold_retention(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    priced: Draft,
    why: Explanation | None,
) -> str | None:
    """Place what an invoice retains in the engagement's retention hold, which its first one makes."""
    retention = terms.contract.retention
    if retention is None or why is None:
        return None
    hold_id = f"eng.{order.engagement_id}.hold.{retention.id}"
    if not await connection.fetchval("select 1 from hold where hold_id = $1", hold_id):
        await insert_hold(
            connection,
            order,
            hold_id=hold_id,
            clause=retention.clause,
            kind=HoldKind.RETENTION,
            effect=HoldEffect.WITHHOLD_PAYMENT,
            fee=retention.fee,
            currency=terms.contract.currency,
            reason="retention",
        )
    retained = priced.retained
    await move(connection, order, hold_id, "placed", retained.net, retained.tax, why)
    await settle(connection, order.engagement_id, hold_id)
    await happened(
        connection,
        order,
        terms,
        EventType.HOLD_PLACED,
        hold=hold_id,
        amount=str(retained.net),
        effect=HoldEffect.WITHHOLD_PAYMENT.value,
    )
    return hold_id


class Deducted(NamedTuple):
    """Which advance an invoice deducts, for the ledger."""

    advance: str
    tax_code: str


async def _deducted(
    connection: Connection, terms: Agreement, priced: Draft
) -> tuple[Draft, Deducted | None]:
    """With the part of the advance that this invoice gives back."""
    advance, line = terms.contract.advance, await advance_left(connection, terms)
    if advance is None or line is None:
        return priced, None
    priced = deduct(priced, advance, line)
    if not priced.advance.net.minor:
        return priced, None
    return priced, Deducted(advance.id, line.tax_code)


async def advance_left(connection: Connection, terms: Agreement) -> BilledLine | None:
    """The line that billed the advance, with what was deducted and credited of it as taken.

    What is left of its net is what the ledger has (2110). None before it is invoiced.
    """
    advance = terms.contract.advance
    if advance is None:
        return None
    row = await connection.fetchrow(
        """
        select (
            select coalesce(sum(case p.side when 'C' then p.amount_minor else -p.amount_minor end), 0)
            from posting p join journal_group g on g.id = p.group_id
            where g.engagement_id = $1 and p.account = '2110' and p.item = $2
        )::bigint as left, (
            select coalesce(sum(advance_tax_minor), 0) from invoice where engagement_id = $1
        )::bigint as deducted_tax, (
            select number from invoice
            where engagement_id = $1 and purpose = 'advance' and document = 'invoice'
        ) as number
        """,
        terms.engagement_id,
        advance.id,
    )
    assert row is not None
    if row["number"] is None:
        return None
    (line,) = await billed_lines(connection, terms, row["number"])
    left, deducted = (
        Money(row[name], terms.contract.currency) for name in ("left", "deducted_tax")
    )
    taken = Taxed(line.billed.net - left, line.taken.tax + deducted)
    return line.model_copy(update={"taken": taken})


# What was billed before.


async def billed_lines(connection: Connection, terms: Agreement, number: str) -> list[BilledLine]:
    """The lines of a document of the engagement, with what was taken back of each.

    Raises:
        NotFound: the engagement has no document of that number.
    """
    rows = await connection.fetch(
        "select * from billed_line where engagement_id = $1 and number = $2 order by line",
        terms.engagement_id,
        number,
    )
    if not rows:
        raise NotFound(
            f"found document {number!r}, expected one of engagement {terms.engagement_id}"
        )
    return [billed_line(row) for row in rows]


async def creditable_lines(
    connection: Connection, terms: Agreement, number: str
) -> list[BilledLine]:
    """The lines of an invoice that bills a performance, which may be held, claimed back or credited.

    What a hold keeps of a line counts as taken: it is decided on there.

    Raises:
        NotFound: the engagement has no document of that number.
        TransitionError: it bills an advance; what it says is owed by the seller until it is deducted.
    """
    lines = await billed_lines(connection, terms, number)
    purpose = await connection.fetchval("select purpose from invoice where number = $1", number)
    if purpose == Purpose.ADVANCE:
        raise TransitionError(
            f"{number}: found the invoice of an advance, expected one of what was delivered; milestones "
            "deduct an advance, and `tollkeeper credit` gives back what is left of it"
        )
    return await without_held(connection, number, lines)


async def without_held(
    connection: Connection, number: str, lines: Sequence[BilledLine], *, but: str | None = None
) -> list[BilledLine]:
    """Lines of an invoice with what holds keep of each as taken, except for what the hold `but` keeps."""
    rows = await connection.fetch(
        """
        select b.invoice_line as line, b.currency,
               coalesce(sum(held_minor) filter (where effect = 'withhold_payment'), 0)::bigint as net,
               coalesce(sum(t.minor) filter (where effect = 'withhold_payment'), 0)::bigint as tax,
               coalesce(sum(held_minor) filter (where effect = 'reserve_refund'), 0)::bigint
                   as refundable
        from hold_balance b cross join lateral (
            select sum(case movement when 'placed' then tax_minor else -tax_minor end) as minor
            from hold_movement m where m.hold_id = b.hold_id
        ) t
        where b.invoice = $1 and b.held_minor > 0 and b.hold_id is distinct from $2
        group by b.invoice_line, b.currency
        """,
        number,
        but,
    )
    held = {
        row["line"]: [Money(row[name], row["currency"]) for name in ("net", "tax", "refundable")]
        for row in rows
    }
    return [
        line.without_held(Taxed(*held[line.line][:2]), held[line.line][2])
        if line.line in held
        else line
        for line in lines
    ]


def billed_line(row: asyncpg.Record) -> BilledLine:
    """A line as its row in the view `billed_line` says."""
    amounts = {
        name: Money(row[f"{name}_minor"], row["currency"])
        for name in ("taxable", "tax", "taken_taxable", "taken_tax")
    }
    return BilledLine(
        number=row["number"],
        line=row["line"],
        fee=row["fee"],
        clause=row["clause"],
        title=Title.model_validate(row["title"]),
        tax_code=row["tax_code"],
        tax_rate=Fraction(row["tax_rate"]),
        billed=Taxed(amounts["taxable"], amounts["tax"]),
        taken=Taxed(amounts["taken_taxable"], amounts["taken_tax"]),
    )


# The document.


async def issue(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    priced: Draft,
    document: Kind,
    purpose: Purpose,
    *,
    corrects: str | None = None,
    part: str = "",
) -> str:
    """Give a document its gapless number and write it, with its claims and its outbox message.

    Its postings are the caller's. The number is taken from the series row that stays locked until
    the commit, so a transaction that fails leaves no gap. In a closed period it is dated on the
    first open day.

    Args:
        corrects: the invoice that a credit note takes back from, where it is one alone.
        part: tells documents apart where one order issues several.

    Raises:
        LossBoundExceeded: before PROCEED, more than the loss bound would be invoiced (INV-05).
        CapExceeded: more than is authorised at a level (c.5-11).
    """
    if document == "invoice":
        await _keep_loss_bound(connection, terms, priced.net)
    head = await _numbered(connection, order, terms, document, purpose, corrects)
    await _write(connection, order, terms, head, priced, part)
    levels = counted(terms.contract, priced, document, purpose)
    await bill(connection, order, terms, levels, head.number)
    message = _for_finance(terms, head, priced)
    kind = EventType.INVOICE_ISSUED if document == "invoice" else EventType.CREDIT_NOTE_ISSUED
    facts = {name: message[name] for name in ("number", "purpose", "net", "tax", "gross")}
    later = {
        name: str(amount.gross)
        for name, amount in (("retained", priced.retained), ("withheld", priced.withheld))
        if amount.gross.minor
    }
    await happened(connection, order, terms, kind, **facts, **later, corrects=corrects)
    await send(connection, order, terms.book, document, head.number, message)
    return head.number


@dataclass(frozen=True)
class Head:
    """What stands at the top of a document."""

    number: str
    series: str
    sequence: int
    document: Kind
    purpose: Purpose
    issued_on: date
    due_on: date
    corrects: str | None


async def _numbered(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    document: Kind,
    purpose: Purpose,
    corrects: str | None,
) -> Head:
    entity = terms.contract.parties.consultant.entity
    issued_on = await open_day(connection, entity, terms.book, terms.local_date(order.at))
    name = series(terms.contract, terms.book, document)
    sequence = await connection.fetchval(
        """
        insert into invoice_series as s (series, year, last) values ($1, $2, 1)
        on conflict (series, year) do update set last = s.last + 1 returning last
        """,
        name,
        issued_on.year,
    )
    return Head(
        number=f"{name}-{issued_on.year}-{sequence:06}",
        series=name,
        sequence=sequence,
        document=document,
        purpose=purpose,
        issued_on=issued_on,
        due_on=due_on(terms.contract, issued_on) if document == "invoice" else issued_on,
        corrects=corrects,
    )


async def _write(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    head: Head,
    priced: Draft,
    part: str,
) -> None:
    await connection.execute(
        """
        insert into invoice
            (number, document, purpose, series, year, sequence, key, engagement_id, contract_id,
             contract_version, book, customer, issued_on, due_on, currency, net_minor, tax_minor,
             gross_minor, retained_minor, withheld_minor, advance_minor, advance_tax_minor,
             deferred_minor, corrects, part)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                $19, $20, $21, $22, $23, $24, $25)
        """,
        head.number,
        head.document,
        head.purpose,
        head.series,
        head.issued_on.year,
        head.sequence,
        order.key,
        order.engagement_id,
        terms.contract.id,
        terms.contract.version,
        terms.book,
        terms.contract.parties.client.entity,
        head.issued_on,
        head.due_on,
        terms.contract.currency,
        priced.net.minor,
        priced.tax.minor,
        priced.gross.minor,
        priced.retained.gross.minor,
        priced.withheld.gross.minor,
        priced.advance.gross.minor,
        priced.advance.tax.minor,
        priced.deferred.minor,
        head.corrects,
        part,
    )
    await connection.executemany(
        """
        insert into invoice_line
            (number, line, claim, clause, fee, title, net_minor, tax_minor, deferred_minor,
             tax_code, tax_rate, corrects_number, corrects_line, explanation)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        [
            (
                head.number,
                position,
                line.claim,
                line.clause,
                line.fee,
                line.title.model_dump(mode="json"),
                line.net.minor,
                line.tax.minor,
                line.deferred.minor,
                line.tax_code,
                str(line.tax_rate),
                line.corrects and line.corrects.number,
                line.corrects and line.corrects.line,
                line.explanation.model_dump(mode="json"),
            )
            for position, line in enumerate(priced.lines, start=1)
        ],
    )
    await connection.executemany(
        """
        insert into invoice_tax (number, tax_code, tax_rate, net_minor, tax_minor, explanation)
        values ($1, $2, $3, $4, $5, $6)
        """,
        [
            (
                head.number,
                group.code,
                str(group.rate),
                group.net.minor,
                group.tax.minor,
                group.calculation.model_dump(mode="json"),
            )
            for group in priced.groups
        ],
    )


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


def _for_finance(terms: Agreement, head: Head, priced: Draft) -> dict[str, object]:
    """The document as a finance system gets it; amounts are text, exact, in major units."""
    parties = terms.contract.parties
    return {
        "number": head.number,
        "document": head.document,
        "purpose": head.purpose.value,
        "issued_on": head.issued_on.isoformat(),
        "due_on": head.due_on.isoformat(),
        "sandbox": terms.book == "sandbox",
        "engagement": terms.engagement_id,
        "contract": terms.contract.reference(),
        "seller": parties.consultant.name.en,
        "buyer": parties.client.name.en,
        "customer": parties.client.entity,
        "currency": terms.contract.currency,
        "lines": [
            _line_for_finance(position, line) for position, line in enumerate(priced.lines, start=1)
        ],
        "net": str(priced.net),
        "tax": str(priced.tax),
        "taxes": [
            {
                "code": group.code,
                "rate": str(group.rate),
                "net": str(group.net),
                "amount": str(group.tax),
            }
            for group in priced.groups
        ],
        "gross": str(priced.gross),
        "retained": str(priced.retained.gross),
        "withheld": str(priced.withheld.gross),
        "advance": {"net": str(priced.advance.net), "tax": str(priced.advance.tax)},
        "payable": str(priced.payable),
        "corrects": head.corrects,
    }


def _line_for_finance(position: int, line: PricedLine) -> dict[str, object]:
    return {
        "line": position,
        "fee": line.fee,
        "clause": line.clause,
        "title": line.title.model_dump(mode="json", exclude_none=True),
        "net": str(line.net),
        "tax": {"code": line.tax_code, "rate": str(line.tax_rate), "amount": str(line.tax)},
        "corrects": f"{line.corrects.number}/{line.corrects.line}" if line.corrects else None,
    }
