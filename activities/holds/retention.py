"""Retention: parts of many invoices, released or forfeited with the oldest first."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from activities.agreement import Agreement, working_days_of
from activities.billing.invoices import billed_lines, issue
from activities.books.journal import post
from activities.holds.lines import tell_finance
from activities.postgres import Connection
from contracts.calendar import add_period
from contracts.commercial import RetentionStep
from contracts.events import EventType
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Title
from contracts.money import Money
from lifecycle import ledger
from lifecycle.change_order import billed_of
from lifecycle.hold import Hold
from lifecycle.hold_reasons import of_step
from lifecycle.invoice import Line, Purpose, credit_of, draft, parts_of
from lifecycle.orders import A, Order
from lifecycle.tax import Taxed


@dataclass(frozen=True)
class StepDue:
    """The next step of a retention clause: when it is due, what it releases, net, and why.

    `id` is the step's, `S2`, or for what a milestone retains after the last step `S2-M4`.
    """

    id: str
    terms: RetentionStep
    due_at: datetime
    explanation: Explanation

    @property
    def amount(self) -> Money:
        return self.explanation.amount


async def retention_due(connection: Connection, terms: Agreement, hold: Hold) -> StepDue | None:
    """The next step that still releases something; none before go-live.

    What people decided before may be more than a step would release: it is passed over. What is
    retained after a step's day is released no earlier than it is retained; after the last step, by
    that step again.
    """
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
    asked = {
        row["request_id"].rpartition(".")[2]: row["requested_at"]
        for row in await connection.fetch(
            "select request_id, requested_at from approval_request where subject = $1", hold.id
        )
    }
    milestone, retained_at = await _last_retained(connection, hold)
    steps = sorted(retention.release, key=lambda step: add_period(live_on, step.after))
    last = steps[-1].id
    names = [(step.id, step) for step in steps]
    if last in asked and retained_at >= asked[last]:
        names.append((f"{last}-{milestone}", steps[-1]))
    until = Fraction(0)
    for name, step in names:
        until = min(until + step.share, Fraction(1))
        why = of_step(terms.contract, hold, step, live_on, until)
        if name not in asked and why.amount.minor > 0:
            due_at = max(calendar.period_after(live_on, step.after), retained_at)
            return StepDue(name, step, due_at, why)
    return None


async def _last_retained(connection: Connection, hold: Hold) -> tuple[str, datetime]:
    """The milestone whose invoice was the last to retain something, and since when all is retained."""
    row = await connection.fetchrow(
        """
        select (array_agg(key order by id desc))[1] as key, max(occurred_at) as at
        from hold_movement where hold_id = $1 and movement = 'placed'
        """,
        hold.id,
    )
    assert row is not None
    return billed_of(Purpose.MILESTONE, row["key"]), row["at"]


async def retention_released(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    why: Explanation,
) -> str | None:
    """Each invoice that retains a part of it has it payable; taxed only now, an invoice bills it."""
    retention = terms.contract.retention
    assert retention
    retained = await _oldest_first(connection, hold, part.gross)
    if retention.tax == "invoice":
        for number, gross in retained:
            payable = ledger.retention_released(gross, hold=hold.id, invoice=number)
            await post(connection, order, terms, payable, part=number)
            await tell_finance(connection, order, terms, number, _inside(part, gross), part=number)
        return None
    title = Title(en=f"Retention {retention.id} released", zh=f"释放质保金{retention.id}")
    line = Line(
        claim=order.key,
        fee=hold.fee,
        clause=retention.clause,
        title=title,
        amount=part.net,
        prices="net",
        explanation=_retained_explanation(terms, hold, part.net, retained, why),
    )
    priced = draft(terms.contract, (line,))
    release = await issue(connection, order, terms, priced, "invoice", Purpose.RETENTION)
    taxes = priced.taxes()
    for number, net in retained:
        billed = ledger.retention_billed(net, taxes, hold=hold.id, invoice=number, release=release)
        await post(connection, order, terms, billed, part=number)
        taxes = {}
    return release


async def retention_forfeited(
    connection: Connection,
    order: Order[A],
    terms: Agreement,
    hold: Hold,
    part: Taxed,
    why: Explanation,
) -> str | None:
    """A credit note for each invoice that retains a part of it."""
    retention = terms.contract.retention
    assert retention
    retained = await _oldest_first(connection, hold, part.gross)
    lines = [
        line
        for number, gross in retained
        for line in await _lost_lines(connection, order, terms, hold, number, gross, why)
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
        lost = ledger.retention_forfeited(
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
    why: Explanation,
) -> list[Line]:
    """What a credit note takes back of an invoice that retains that much."""
    assert terms.contract.retention
    untaxed = terms.contract.retention.tax == "release"
    billed = await billed_lines(connection, terms, number)
    own = [line for line in billed if line.fee == hold.fee]
    # A milestone has one line of a fee; of what it is taxed for nothing is taken.
    untaxed_parts = [(own[0], Taxed(gross, Money(0, gross.currency)))]
    parts = untaxed_parts if untaxed else parts_of(own, gross)
    return [
        credit_of(
            line,
            part,
            claim=f"{order.key}:{number}/{line.line}",
            clause=hold.clause,
            explanation=_retained_explanation(terms, hold, part.net, [(number, gross)], why),
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
    tax = ledger.tax_of_part(part.tax, part.gross, Money(0, gross.currency), gross)
    return Taxed(gross - tax, tax)


def _retained_explanation(
    terms: Agreement,
    hold: Hold,
    amount: Money,
    retained: list[tuple[str, Money]],
    why: Explanation,
) -> Explanation:
    return Explanation(
        what=why.what,
        amount=amount,
        contract=terms.contract.reference(),
        clause=hold.clause,
        inputs=tuple(
            Input(name=f"retained on {number}", value=str(part), source=number)
            for number, part in retained
        ),
        steps=(Calculation(formula="amount = parts, the oldest first", exact=str(amount)),),
    )
