"""What became of money, step by step: what came in, what paid an invoice, refunds, disputes."""

import json
from datetime import date

from activities.postgres import Connection
from contracts.calendar import local_date
from contracts.fields import short_id
from contracts.money import Money
from lifecycle.approval import RequestState
from lifecycle.receivables import UNKNOWN_CUSTOMER, RefundState
from tollkeeper.views.base import Row, View, contract_of, money


class Step(View):
    """One step, gross, dated as booked; `by` took it, `decided_by` is the approval that it needed.

    `amount` is what it brought, below zero what it took; without one it moved no money.
    """

    on: date
    what: str
    amount: Money | None = None
    by: str | None = None
    decided_by: str | None = None
    why: str | None = None


MOVED = """
    select g.code, g.effective_on, g.customer, p.side, p.amount_minor, p.currency, p.invoice, p.item,
           f.kind, f.actor, f.content::jsonb->>'reason' as ordered_why, c.payer, c.text,
           r.refund_id, r.evidence, q.request_id, q.requested_by, q.decided_by,
           q.payload->>'reason' as asked_why
    from posting p
    join journal_group g on g.id = p.group_id
    join effect f on f.key = g.effect_key
    left join receipt c on c.receipt_id = p.item and g.code = 'E07'
    left join refund r on r.refund_id = p.item
    left join approval_request q on q.state = 'approved' and q.effect_key in (
        g.effect_key, r.refund_id || ':approved'
    )
    where p.account = '2300' and {chosen}
    order by g.id, p.line
"""


SAY_WHOSE = ("match_receipt", "assign_receipt")
"""What moves a receipt from one customer to another: its booking is mirrored and made anew."""


async def of_credit(connection: Connection, source: str) -> tuple[Step, ...]:
    """How a receipt, or what was paid of a credited invoice, became credit, and where that went."""
    chosen = "p.item in (select $1 union all select refund_id from refund where source = $1)"
    rows = await connection.fetch(MOVED.format(chosen=chosen), source)
    told = []
    for row in rows:
        if row["kind"] not in SAY_WHOSE or row["code"] == "E08":
            told.append(_moved(row, _of_credit(row), row["side"] == "C"))
        elif row["code"] == "E07":
            what = f"said to be from {_whose(row)}"
            told.append(Step(on=row["effective_on"], what=what, by=row["actor"]))
    return tuple(told)


async def of_invoice(connection: Connection, number: str) -> tuple[Step, ...]:
    """What paid an invoice, and what of that was taken back."""
    rows = await connection.fetch(MOVED.format(chosen="p.invoice = $1 and p.item <> $1"), number)
    return tuple(_moved(row, _of_invoice(row), row["side"] == "D") for row in rows)


def _moved(row: Row, what: str, brought: bool) -> Step:
    amount = money(row["amount_minor"], row["currency"])
    bank = " ".join(part for part in (row["payer"], row["text"]) if part) or None
    return Step(
        on=row["effective_on"],
        what=what,
        amount=amount if brought else -amount,
        by=row["requested_by"] or row["actor"],
        decided_by=row["decided_by"] and _decided_by(row),
        why=row["evidence"] or row["asked_why"] or row["ordered_why"] or bank,
    )


def _of_credit(row: Row) -> str:
    match row["code"], row["side"], row["invoice"]:
        case "E07", _, _:
            return f"came in from {_whose(row)}"
        case "E08", _, invoice:
            return f"applied to {invoice}"
        case "E20", _, _:
            return f"paid back as refund {row['refund_id']}"
        case "E30", "C", invoice:
            return f"taken back from {invoice}"
        case "E30", _, _:
            return "taken back"
        case _, _, invoice:
            return f"credited by {row['item']}, paid before on {invoice}"


def _whose(row: Row) -> str:
    unknown = row["customer"] == UNKNOWN_CUSTOMER
    return "nobody known yet" if unknown else str(row["customer"])


def _of_invoice(row: Row) -> str:
    match row["code"]:
        case "E08":
            return f"paid from {row['item']}"
        case "E30":
            return f"taken back to {row['item']}"
        case _:
            return f"credit again by {row['item']}"


async def of_refund(connection: Connection, refund: Row) -> tuple[Step, ...]:
    """Where the money of a refund came from, who decided about it, and what became of it."""
    timezone = (await contract_of(connection, refund["engagement_id"])).timezone
    amount = money(refund["amount_minor"], refund["currency"])
    came = [
        step.model_copy(update={"what": f"{refund['source']}: {step.what}"})
        for step in await of_credit(connection, refund["source"])
        if step.amount and step.amount.minor > 0
    ]
    asked = await _requests(connection, refund["refund_id"], timezone)
    state = RefundState(refund["state"])
    if state in {RefundState.REQUESTED, RefundState.APPROVED}:
        return (*came, *asked)
    settled_by = await connection.fetchval(
        "select actor from effect where key = $1", f"{refund['refund_id']}:{state.value}"
    )
    became = Step(
        on=local_date(refund["since"], timezone),
        what=BECAME[state],
        amount=-amount if state is RefundState.CONFIRMED else None,
        by=settled_by,
        why=refund["evidence"],
    )
    return (*came, *asked, became)


BECAME = {
    RefundState.SENT: "sent to the payment provider",
    RefundState.UNKNOWN: "sent, and nobody knows yet whether it is paid",
    RefundState.CONFIRMED: "paid",
    RefundState.FAILED: "not paid, its credit is free again",
}


async def of_dispute(connection: Connection, dispute: Row) -> tuple[Step, ...]:
    """Who disputed what of an invoice, how that ended, and who decided."""
    timezone = (await contract_of(connection, dispute["engagement_id"])).timezone
    amount = money(dispute["amount_minor"], dispute["currency"])
    invoice, lines = dispute["invoice"], ", ".join(map(str, dispute["lines"]))
    raised = Step(
        on=local_date(dispute["raised_at"], timezone),
        what=f"disputed of {invoice}" + (f", line {lines}" if lines else ""),
        amount=amount,
        by=dispute["raised_by"],
        why=dispute["reason"],
    )
    asked = await _requests(connection, dispute["dispute_id"], timezone)
    if dispute["closed_at"] is None:
        return (raised, *asked)
    upheld = money(dispute["upheld_minor"], dispute["currency"])
    ended = Step(
        on=local_date(dispute["closed_at"], timezone),
        what="",
        by=dispute["closed_by"],
        why=dispute["ruling"],
    )
    rest = f"{dispute['state']}: to be paid" if not upheld.minor else "not upheld: to be paid"
    parts = ((f"upheld: credited by {dispute['document']}", upheld), (rest, amount - upheld))
    told = (
        ended.model_copy(update={"what": what, "amount": -part})
        for what, part in parts
        if part.minor
    )
    return (raised, *asked, *told)


async def _requests(connection: Connection, subject: str, timezone: str) -> tuple[Step, ...]:
    """What was asked for about it, and what those who may sign made of that."""
    rows = await connection.fetch(
        """
        select *, payload->>'reason' as asked_why from approval_request where subject = $1
        order by requested_at, request_id
        """,
        subject,
    )
    told = []
    for row in rows:
        name, state = short_id(row["request_id"]), RequestState(row["state"])
        told.append(
            Step(
                on=local_date(row["requested_at"], timezone),
                what=f"{row['decision'].replace('_', ' ')} asked for as {name}",
                by=row["requested_by"],
                why=row["asked_why"],
            )
        )
        if state is not RequestState.PENDING:
            told.append(
                Step(
                    on=local_date(row["decided_at"], timezone),
                    what=f"{name} {state.value}",
                    decided_by=row["decided_by"],
                    why=row["reason"],
                )
            )
    return tuple(told)


async def of_effect(connection: Connection, effect: Row) -> Step:
    """What somebody ordered, and the approval that it carries out, if it does."""
    request = await connection.fetchrow(
        "select * from approval_request where effect_key = $1 and state = 'approved'", effect["key"]
    )
    timezone = "UTC"
    if effect["engagement_id"]:
        timezone = (await contract_of(connection, effect["engagement_id"])).timezone
    return Step(
        on=local_date(effect["occurred_at"], timezone),
        what=effect["kind"].replace("_", " "),
        by=request["requested_by"] if request else effect["actor"],
        decided_by=_decided_by(request) if request else None,
        why=json.loads(effect["content"]).get("reason"),
    )


def _decided_by(request: Row) -> str:
    return f"{short_id(request['request_id'])}: {request['decided_by']}"
