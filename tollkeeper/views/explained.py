"""Why amounts are what they are, and what became of money: down to clause, evidence, people and postings."""

from collections.abc import Sequence
from datetime import date, datetime

from activities.books.journal import posting_of
from activities.postgres import Connection, Pool
from contracts.explanation import Explanation
from contracts.money import Money
from lifecycle.ledger import Group, Posting
from lifecycle.receivables import IN_FLIGHT
from tollkeeper.views.base import View, money, not_found, snapshot
from tollkeeper.views.documents import NUMBERS, DocumentTax, lines_of, taxes_of
from tollkeeper.views.engagements import Waiting, waiting_of
from tollkeeper.views.steps import Step, of_credit, of_dispute, of_effect, of_invoice, of_refund


class JournalGroup(Group):
    """A journal group as booked."""

    key: str
    occurred_at: datetime
    effective_on: date


class Explained(View):
    """Why amounts are what they are; `waiting` says what the undecided rest waits for.

    `steps` is what became of money that came in, was credited, disputed or paid back; `left` of it
    is still the customer's credit, and of that `reserved` for refunds under way.
    """

    subject: str
    explanations: tuple[Explanation, ...] = ()
    taxes: tuple[DocumentTax, ...] = ()
    steps: tuple[Step, ...] = ()
    left: Money | None = None
    reserved: Money | None = None
    journal: tuple[JournalGroup, ...] = ()
    waiting: tuple[Waiting, ...] = ()


async def explain(pool: Pool, what: str) -> Explained:
    """Why an amount is what it is, or what became of it.

    Args:
        what: a document line (`NUMBER/1`), a document, a decision by its key, a hold with all its
            decisions, a receipt, a refund, a dispute, or the key of what was posted.

    Raises:
        NotFound: none of these.
    """
    async with snapshot(pool) as connection:
        explained = (
            await _explain_line(connection, what)
            or await _explain_document(connection, what)
            or await _explain_decision(connection, what)
            or await _explain_hold(connection, what)
            or await _explain_receipt(connection, what)
            or await _explain_refund(connection, what)
            or await _explain_dispute(connection, what)
            or await _explain_posted(connection, what)
        )
        if explained is None:
            expected = (
                "a document line (NUMBER/1), a document, a decision, a hold, a receipt, a refund, a "
                "dispute or the key of what was posted"
            )
            raise await not_found(connection, what, expected, EXPLAINABLE)
    return explained


EXPLAINABLE = f"""
    {NUMBERS}
    union all select hold_id from hold
    union all select key from decision_record
    union all select receipt_id from receipt
    union all select refund_id from refund
    union all select dispute_id from dispute
"""


async def _explain_line(connection: Connection, what: str) -> Explained | None:
    number, _, line = what.rpartition("/")
    row = await connection.fetchrow(
        """
        select l.explanation, i.document from invoice_line l join invoice i using (number)
        where number = $1 and line::text = $2
        """,
        number,
        line,
    )
    if row is None:
        return None
    return Explained(
        subject=f"{_words(row['document'])} {number}, line {line}",
        explanations=(Explanation.model_validate(row["explanation"]),),
    )


async def _explain_document(connection: Connection, number: str) -> Explained | None:
    row = await connection.fetchrow(
        "select document, key, currency from invoice where number = $1", number
    )
    if row is None:
        return None
    lines = await lines_of(connection, number, row["currency"])
    taxes = await taxes_of(connection, number, row["currency"])
    explained = Explained(
        subject=f"{_words(row['document'])} {number}",
        explanations=tuple(line.explanation for line in lines),
        taxes=tuple(taxes),
        steps=await of_invoice(connection, number),
        journal=await _journal(connection, [row["key"]], number),
    )
    return await _with_credit(connection, explained, number)


async def _with_credit(connection: Connection, explained: Explained, source: str) -> Explained:
    """With what became of the credit that is from there, where there is any."""
    steps = await of_credit(connection, source)
    amounts = [step.amount for step in steps if step.amount]
    if not amounts:
        return explained
    currency = amounts[0].currency
    reserved = await connection.fetchval(
        """
        select coalesce(sum(amount_minor), 0) from refund
        where source = $1 and state = any($2)
        """,
        source,
        IN_FLIGHT,
    )
    left = {"left": sum(amounts, Money(0, currency)), "reserved": money(reserved, currency)}
    return explained.model_copy(update={"steps": explained.steps + steps} | left)


async def _explain_decision(connection: Connection, key: str) -> Explained | None:
    row = await connection.fetchrow(
        """
        select decision, amount_minor, currency, hold_id, explanations
        from decision_record where key = $1
        """,
        key,
    )
    if row is None:
        return None
    amount = money(row["amount_minor"], row["currency"])
    return Explained(
        subject=f"{amount} {row['currency']} of {row['hold_id']} {row['decision']}",
        explanations=tuple(map(Explanation.model_validate, row["explanations"])),
        journal=await _journal(connection, [key]),
    )


async def _explain_hold(connection: Connection, hold_id: str) -> Explained | None:
    hold = await connection.fetchrow(
        "select engagement_id, bet, held_minor, currency from hold_balance where hold_id = $1",
        hold_id,
    )
    if hold is None:
        return None
    movements = await connection.fetch(
        """
        select m.key, coalesce(d.explanations, jsonb_build_array(m.explanation)) as explanations
        from hold_movement m left join decision_record d using (key)
        where m.hold_id = $1 order by m.id
        """,
        hold_id,
    )
    deciding = await connection.fetch(
        """
        select * from process
        where engagement_id = $1 and (kind = 'value_bet' and subject = $2 or workflow_id = $3)
        order by workflow_id
        """,
        hold["engagement_id"],
        hold["bet"],
        hold_id,
    )
    held = money(hold["held_minor"], hold["currency"])
    return Explained(
        subject=f"hold {hold_id}, {held} {hold['currency']} held",
        explanations=tuple(
            Explanation.model_validate(explanation)
            for movement in movements
            for explanation in movement["explanations"]
            if explanation
        ),
        journal=await _journal(connection, [movement["key"] for movement in movements]),
        waiting=tuple(wait for wait in map(waiting_of, deciding) if wait),
    )


async def _explain_receipt(connection: Connection, receipt: str) -> Explained | None:
    row = await connection.fetchrow("select * from receipt where receipt_id = $1", receipt)
    if row is None:
        return None
    amount = money(row["amount_minor"], row["currency"])
    refunds = await connection.fetch("select refund_id from refund where source = $1", receipt)
    explained = Explained(
        subject=f"receipt {receipt} of {row['received_on']}, {amount} {amount.currency}",
        journal=await _journal(
            connection, items=[receipt, *(each["refund_id"] for each in refunds)]
        ),
    )
    return await _with_credit(connection, explained, receipt)


async def _explain_refund(connection: Connection, refund: str) -> Explained | None:
    row = await connection.fetchrow("select * from refund where refund_id = $1", refund)
    if row is None:
        return None
    amount = money(row["amount_minor"], row["currency"])
    return Explained(
        subject=f"refund {refund}, {amount} {amount.currency} to {row['pay_to']}: {row['state']}",
        steps=await of_refund(connection, row),
        journal=await _journal(connection, items=[refund]),
        waiting=await _waiting_about(connection, refund, row["key"]),
    )


async def _explain_dispute(connection: Connection, dispute: str) -> Explained | None:
    row = await connection.fetchrow("select * from dispute where dispute_id = $1", dispute)
    if row is None:
        return None
    amount = money(row["amount_minor"], row["currency"])
    ruling = await connection.fetchval(
        "select request_id from approval_request where subject = $1 and state = 'pending'", dispute
    )
    return Explained(
        subject=f"dispute {dispute}, {amount} {amount.currency} of {row['invoice']}: {row['state']}",
        steps=await of_dispute(connection, row),
        journal=await _journal(connection, items=[dispute]),
        waiting=await _waiting_about(connection, dispute, ruling),
    )


async def _explain_posted(connection: Connection, key: str) -> Explained | None:
    """An effect, by its own key or by that of a group that it posted."""
    row = await connection.fetchrow(
        """
        select * from effect
        where key = coalesce((select effect_key from journal_group where key = $1), $1)
        """,
        key,
    )
    if row is None:
        return None
    return Explained(
        subject=f"{row['key']}, {_words(row['kind'])}",
        steps=(await of_effect(connection, row),),
        journal=await _journal(connection, [row["key"]]),
    )


async def _waiting_about(connection: Connection, *processes: str | None) -> tuple[Waiting, ...]:
    rows = await connection.fetch(
        "select * from process where workflow_id = any($1) order by workflow_id",
        [process for process in processes if process],
    )
    return tuple(wait for wait in map(waiting_of, rows) if wait)


async def _journal(
    connection: Connection,
    effects: Sequence[str] = (),
    number: str | None = None,
    items: Sequence[str] = (),
) -> tuple[JournalGroup, ...]:
    """The groups that some effects posted, those that moved the claim of an invoice, and those that
    moved a credit or a dispute.
    """
    rows = await connection.fetch(
        """
        select g.id, g.key, g.code, g.occurred_at, g.effective_on, p.account, p.side,
               p.amount_minor, p.currency, p.fee, p.hold, p.invoice, p.item
        from journal_group g join posting p on p.group_id = g.id
        where g.id in (
            select id from journal_group where effect_key = any($1)
            union select group_id from posting where invoice = $2
            union select group_id from posting where account = '2300' and item = any($3)
            union select group_id from posting where account = '1130' and item = any($3)
        )
        order by g.id, p.line
        """,
        effects,
        number,
        items,
    )
    postings: dict[int, list[Posting]] = {}
    for row in rows:
        postings.setdefault(row["id"], []).append(posting_of(row))
    groups = {row["id"]: row for row in rows}
    return tuple(
        JournalGroup(
            key=group["key"],
            code=group["code"],
            occurred_at=group["occurred_at"],
            effective_on=group["effective_on"],
            postings=tuple(postings[group_id]),
        )
        for group_id, group in groups.items()
    )


def _words(document: str) -> str:
    return document.replace("_", " ")
