"""What the faces read: engagements, money and reasons, each answer from one snapshot."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
from pydantic import BaseModel, ConfigDict, computed_field

from activities.postgres import Connection, Pool, transaction
from contracts.commercial import HoldEffect, HoldKind
from contracts.contract import Contract
from contracts.errors import NotFound
from contracts.events import Event
from contracts.explanation import Calculation, Explanation
from contracts.fields import Title
from contracts.money import Money
from contracts.setting import Book, ClockKind
from lifecycle.hold import HoldState
from lifecycle.ledger import Group, Posting
from lifecycle.micro_consulting import Clocks

Row = asyncpg.Record


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True)


class Waiting(View):
    """Whom a process waits for, why and since when; `due_at` is when it goes on without them."""

    process: str
    for_whom: str
    why: str
    since: datetime
    due_at: datetime | None
    overdue: bool


class Process(View):
    """One process of an engagement; `detail` is what it shows beside its state."""

    id: str
    kind: str
    subject: str
    state: str
    finished: bool
    detail: dict[str, Any]
    waiting: Waiting | None


class Engagement(View):
    """Where an engagement stands; `held` and `invoiced` are net, credit notes taken off.

    What an invoice retains is invoiced; an advance is, as far as it is not deducted yet.
    """

    id: str
    contract: str
    title: Title
    book: Book
    clock: ClockKind
    clock_now: datetime | None
    phase: str
    opened_at: datetime
    proceeded_at: datetime | None
    closed_at: datetime | None
    held: Money
    invoiced: Money
    waiting: tuple[Waiting, ...]


class EngagementDetail(Engagement):
    """An engagement with its processes; `clocks` are those of the latest micro-consulting."""

    consultant: Title
    client: Title
    timezone: str
    processes: tuple[Process, ...]
    clocks: Clocks | None


class Happening(Event):
    """An event with the process that wrote it."""

    process: str


class HoldBalance(View):
    """The buckets of a hold, net. Always: placed == held + released + forfeited."""

    id: str
    engagement: str
    timezone: str
    """Of the contract."""
    book: Book
    clause: str
    kind: HoldKind
    effect: HoldEffect
    fee: str
    bet: str | None
    milestone: str | None
    invoice: str | None
    on: str
    """What it is about: a bet, a milestone, an invoice line, or all of a fee."""
    state: HoldState
    disputed: bool
    due_at: datetime | None
    reason: str
    placed: Money
    held: Money
    reserved: Money
    released: Money
    forfeited: Money


class Document(View):
    """An invoice or credit note, gross where nothing else is said.

    `payable`, `retained`, `withheld` and `disputed` are what an invoice claims today; `paid`,
    `credited` and `written_off` what is settled of it. `status` is derived from them: OPEN,
    PARTLY_SETTLED, OVERDUE, DISPUTED, WITHHELD, SETTLED, CREDITED or WRITTEN_OFF.
    """

    number: str
    document: str
    purpose: str
    engagement: str
    contract: str
    book: Book
    issued_on: date
    due_on: date
    net: Money
    tax: Money
    gross: Money
    payable: Money
    retained: Money
    withheld: Money
    disputed: Money
    paid: Money
    credited: Money
    written_off: Money
    status: str | None
    corrects: str | None
    delivered_at: datetime | None


class DocumentLine(View):
    """One line, net, with its part of the tax, the line that it corrects and its reasons."""

    line: int
    claim: str
    fee: str
    clause: str
    title: Title
    net: Money
    tax: Money
    tax_code: str
    tax_rate: str
    corrects: str | None
    explanation: Explanation


class DocumentTax(View):
    """The tax of one code and rate; `net` is what is taxed."""

    code: str
    rate: str
    net: Money
    tax: Money
    calculation: Calculation


class Delivery(View):
    """What the receiving system answered."""

    url: str
    sha256: str
    status: int
    attempt: int
    received_at: datetime


class DocumentDetail(Document):
    """A document with its lines, its tax, what was not payable at issue and the receipt of its export."""

    lines: tuple[DocumentLine, ...]
    taxes: tuple[DocumentTax, ...]
    retained_at_issue: Money
    withheld_at_issue: Money
    advance: Money
    delivery: Delivery | None


class Balance(View):
    """One account; `balance` is on its normal side."""

    book: Book
    account: str
    name: str
    ledger: str
    debit: Money
    credit: Money
    balance: Money


class Amounts(View):
    """An amount with its tax."""

    net: Money
    tax: Money

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> Money:
        return self.net + self.tax


class FeeMoney(View):
    """What became of one fee line, net; what is in no bucket is still to be earned."""

    fee: str
    clause: str
    title: Title
    amount: Money
    fixed: Money
    held: Money
    released: Money
    forfeited: Money
    invoiced: Amounts
    credited: Amounts


class JournalGroup(Group):
    """A journal group as booked."""

    key: str
    occurred_at: datetime
    effective_on: date


class Explained(View):
    """Why amounts are what they are; `waiting` says what the undecided rest waits for."""

    subject: str
    explanations: tuple[Explanation, ...]
    taxes: tuple[DocumentTax, ...] = ()
    journal: tuple[JournalGroup, ...] = ()
    waiting: tuple[Waiting, ...] = ()


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction that writes nothing and sees one state of the database."""
    async with transaction(pool) as connection:
        await connection.execute("set transaction isolation level repeatable read, read only")
        yield connection


async def engagements(pool: Pool) -> list[Engagement]:
    """All engagements, the latest first."""
    async with snapshot(pool) as connection:
        return await _engagements(connection, None)


async def engagement(pool: Pool, engagement_id: str) -> EngagementDetail:
    """All of one engagement.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        return await engagement_of(connection, engagement_id)


async def engagement_of(connection: Connection, engagement_id: str) -> EngagementDetail:
    """All of one engagement, in a snapshot that sees more.

    Raises:
        NotFound: no such engagement.
    """
    contract = await contract_of(connection, engagement_id)
    (summary,) = await _engagements(connection, engagement_id)
    processes = [_process(row) for row in await _processes(connection, engagement_id)]
    micro = [process for process in processes if process.kind == "micro_consulting"]
    return EngagementDetail(
        **dict(summary),
        consultant=contract.parties.consultant.name,
        client=contract.parties.client.name,
        timezone=contract.timezone,
        processes=tuple(processes),
        clocks=Clocks.model_validate(micro[-1].detail["clocks"]) if micro else None,
    )


async def timeline(pool: Pool, engagement_id: str) -> list[Happening]:
    """What happened, in the order of business time.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await contract_of(connection, engagement_id)
        rows = await connection.fetch(
            """
            select workflow_id as process, type, occurred_at, actor, command_id, facts
            from event where engagement_id = $1 order by occurred_at, id
            """,
            engagement_id,
        )
    return [Happening(**dict(row)) for row in rows]


async def holds(pool: Pool, engagement_id: str | None = None) -> list[HoldBalance]:
    """The holds of one engagement, or all.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await _require(connection, engagement_id)
        return await holds_of(connection, engagement_id)


async def holds_of(connection: Connection, engagement_id: str | None) -> list[HoldBalance]:
    """The holds of one engagement, or all, in a snapshot that sees more."""
    rows = await connection.fetch(
        """
        select h.*, e.book, c.document->>'timezone' as timezone
        from hold_balance h join engagement e using (engagement_id)
        join contract_version c on c.contract_id = e.contract_id and c.version = e.contract_version
        where $1::text is null or engagement_id = $1 order by hold_id
        """,
        engagement_id,
    )
    return [_hold(row) for row in rows]


async def invoices(pool: Pool, engagement_id: str | None = None) -> list[Document]:
    """The invoices and credit notes of one engagement, or all, by date and number.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await _require(connection, engagement_id)
        chosen = "where $1::text is null or i.engagement_id = $1 order by issued_on, number"
        rows = await connection.fetch(f"{DOCUMENTS} {chosen}", engagement_id)
    return [Document(**_document(row)) for row in rows]


async def invoice(pool: Pool, number: str) -> DocumentDetail:
    """One invoice or credit note, whole.

    Raises:
        NotFound: no such number.
    """
    async with snapshot(pool) as connection:
        row = await connection.fetchrow(f"{DOCUMENTS} where i.number = $1", number)
        if row is None:
            raise await _not_found(connection, number, "the number of a document", NUMBERS)
        lines = await _lines(connection, number, row["currency"])
        taxes = await _taxes(connection, number, row["currency"])
        receipt = await connection.fetchrow(
            "select url, sha256, status, attempt, received_at from delivery_receipt where key = $1",
            number,
        )
    return DocumentDetail(
        **_document(row) | _amounts(row, "retained_at_issue", "withheld_at_issue", "advance"),
        lines=tuple(lines),
        taxes=tuple(taxes),
        delivery=Delivery(**dict(receipt)) if receipt else None,
    )


async def balances(pool: Pool, engagement_id: str | None = None) -> list[Balance]:
    """The accounts of one engagement, or of all, per book and currency.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await _require(connection, engagement_id)
        rows = await connection.fetch(
            """
            select g.book, a.code, a.name, a.ledger, a.normal, p.currency,
                   coalesce(sum(p.amount_minor) filter (where p.side = 'D'), 0) as debit,
                   coalesce(sum(p.amount_minor) filter (where p.side = 'C'), 0) as credit
            from posting p
            join journal_group g on g.id = p.group_id
            join account a on a.code = p.account
            where $1::text is null or g.engagement_id = $1
            group by g.book, p.currency, a.code order by g.book, p.currency, a.code
            """,
            engagement_id,
        )
    return [_balance(row) for row in rows]


async def money_table(pool: Pool, engagement_id: str) -> list[FeeMoney]:
    """What became of each fee line of an engagement.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        contract = await contract_of(connection, engagement_id)
        rows = await connection.fetch(
            """
            with of_engagement as (
                select p.* from posting p join journal_group g on g.id = p.group_id
                where g.engagement_id = $1
            )
            select fee, 'fixed' as what,
                   sum(case side when 'C' then amount_minor else -amount_minor end) as net, 0 as tax
            from of_engagement where account = '4000' group by fee
            union all
            select fee, bucket, sum(minor), 0
            from hold_balance, lateral (values
                ('held', held_minor), ('released', released_minor), ('forfeited', forfeited_minor)
            ) as buckets (bucket, minor)
            where engagement_id = $1 group by fee, bucket
            union all
            select l.fee, i.document,
                   coalesce(sum(l.net_minor) filter (where i.purpose <> 'retention'), 0),
                   sum(l.tax_minor)
            from invoice i join invoice_line l using (number)
            where i.engagement_id = $1 and i.purpose <> 'advance' group by l.fee, i.document
            """,
            engagement_id,
        )
    found = {
        (row["fee"], row["what"]): Amounts(
            net=money(row["net"], contract.currency), tax=money(row["tax"], contract.currency)
        )
        for row in rows
    }
    nothing = Amounts(net=Money(0, contract.currency), tax=Money(0, contract.currency))
    return [
        FeeMoney(
            fee=fee.id,
            clause=fee.clause,
            title=fee.title,
            amount=fee.amount,
            fixed=found.get((fee.id, "fixed"), nothing).net,
            held=found.get((fee.id, "held"), nothing).net,
            released=found.get((fee.id, "released"), nothing).net,
            forfeited=found.get((fee.id, "forfeited"), nothing).net,
            invoiced=found.get((fee.id, "invoice"), nothing),
            credited=found.get((fee.id, "credit_note"), nothing),
        )
        for fee in contract.fees
    ]


async def explain(pool: Pool, what: str) -> Explained:
    """Why an amount is what it is.

    Args:
        what: a document line (`NUMBER/1`), a document, a decision by its key, or a hold with all
            its decisions.

    Raises:
        NotFound: none of these.
    """
    async with snapshot(pool) as connection:
        explained = (
            await _explain_line(connection, what)
            or await _explain_document(connection, what)
            or await _explain_decision(connection, what)
            or await _explain_hold(connection, what)
        )
        if explained is None:
            expected = "a document line (NUMBER/1), a document, a decision or a hold"
            raise await _not_found(connection, what, expected, EXPLAINABLE)
    return explained


def money(minor: int | Decimal, currency: str) -> Money:
    """An amount as the database has it; sums come as decimals."""
    return Money(int(minor), currency)


def _amounts(row: Row, *names: str) -> dict[str, Money]:
    return {name: money(row[f"{name}_minor"], row["currency"]) for name in names}


DOCUMENTS = """
    select i.number, i.document, i.purpose, i.key, i.engagement_id, i.contract_id, i.contract_version,
           i.book, i.issued_on, i.due_on, i.currency, i.net_minor, i.tax_minor, i.gross_minor,
           i.retained_minor as retained_at_issue_minor, i.withheld_minor as withheld_at_issue_minor,
           i.advance_minor, i.corrects, o.delivered_at,
           coalesce(s.open_minor, 0) as payable_minor,
           coalesce(s.retained_minor, 0) as retained_minor,
           coalesce(s.withheld_minor, 0) as withheld_minor,
           coalesce(s.disputed_minor, 0) as disputed_minor,
           coalesce(s.paid_minor, 0) as paid_minor,
           coalesce(s.credited_minor, 0) as credited_minor,
           coalesce(s.written_off_minor, 0) as written_off_minor,
           status_on(
               s, (coalesce(e.clock_now, now()) at time zone (c.document->>'timezone'))::date
           ) as status
    from invoice i
    join engagement e using (engagement_id)
    join contract_version c on c.contract_id = i.contract_id and c.version = i.contract_version
    left join outbox o on o.key = i.number
    left join invoice_settlement s on s.number = i.number
"""

ENGAGEMENTS = "select engagement_id as name from engagement"
NUMBERS = "select number as name from invoice"
EXPLAINABLE = f"""
    {NUMBERS}
    union all select hold_id from hold
    union all select key from decision_record
"""


async def _engagements(connection: Connection, engagement_id: str | None) -> list[Engagement]:
    rows = await connection.fetch(
        """
        select e.*, c.document->'title' as title, c.document->>'currency' as currency,
            (select coalesce(sum(held_minor), 0) from hold_balance h
             where h.engagement_id = e.engagement_id) as held_minor,
            -- What was retained is invoiced already; the invoice of its release only taxes it.
            (select coalesce(sum(
                 case document when 'invoice' then 1 else -1 end
                 * (net_minor - advance_minor + advance_tax_minor)
             ), 0) from invoice i
             where i.engagement_id = e.engagement_id and purpose <> 'retention') as invoiced_minor
        from engagement e join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        where $1::text is null or e.engagement_id = $1
        order by e.opened_at desc, e.engagement_id
        """,
        engagement_id,
    )
    waiting: dict[str, list[Waiting]] = {}
    for row in await _processes(connection, engagement_id):
        if wait := _waiting(row):
            waiting.setdefault(row["engagement_id"], []).append(wait)
    return [
        Engagement(
            id=row["engagement_id"],
            contract=f"{row['contract_id']}@v{row['contract_version']}",
            title=Title.model_validate(row["title"]),
            book=row["book"],
            clock=row["clock"],
            clock_now=row["clock_now"],
            phase=row["phase"],
            opened_at=row["opened_at"],
            proceeded_at=row["proceeded_at"],
            closed_at=row["closed_at"],
            **_amounts(row, "held", "invoiced"),
            waiting=tuple(waiting.get(row["engagement_id"], ())),
        )
        for row in rows
    ]


async def _processes(connection: Connection, engagement_id: str | None) -> list[Row]:
    """The processes of one engagement; of all, those that are not finished."""
    return await connection.fetch(
        """
        select * from process where engagement_id = $1 or ($1::text is null and not finished)
        order by engagement_id, workflow_id
        """,
        engagement_id,
    )


def _process(row: Row) -> Process:
    return Process(
        id=row["workflow_id"],
        kind=row["kind"],
        subject=row["subject"],
        state=row["state"],
        finished=row["finished"],
        detail=row["detail"],
        waiting=_waiting(row),
    )


def _waiting(row: Row) -> Waiting | None:
    if row["finished"] or row["waiting_for"] is None:
        return None
    return Waiting(
        process=row["workflow_id"],
        for_whom=row["waiting_for"],
        why=row["why"],
        since=row["since"],
        due_at=row["due_at"],
        overdue=row["overdue"],
    )


def _hold(row: Row) -> HoldBalance:
    return HoldBalance(
        id=row["hold_id"],
        engagement=row["engagement_id"],
        timezone=row["timezone"],
        book=row["book"],
        clause=row["clause"],
        kind=row["kind"],
        effect=row["effect"],
        fee=row["fee"],
        bet=row["bet"],
        milestone=row["milestone"],
        invoice=row["invoice"],
        on=row["bet"] or row["milestone"] or _line_or_fee(row),
        state=row["state"],
        disputed=row["disputed_at"] is not None,
        due_at=row["due_at"],
        reason=row["reason"],
        **_amounts(row, "placed", "held", "reserved", "released", "forfeited"),
    )


def _line_or_fee(row: Row) -> str:
    return f"{row['invoice']}/{row['invoice_line']}" if row["invoice_line"] else str(row["fee"])


def _document(row: Row) -> dict[str, Any]:
    return {
        "number": row["number"],
        "document": row["document"],
        "purpose": row["purpose"],
        "engagement": row["engagement_id"],
        "contract": f"{row['contract_id']}@v{row['contract_version']}",
        "book": row["book"],
        "issued_on": row["issued_on"],
        "due_on": row["due_on"],
        **_amounts(row, "net", "tax", "gross"),
        **_amounts(row, "payable", "retained", "withheld", "disputed"),
        **_amounts(row, "paid", "credited", "written_off"),
        "status": row["status"],
        "corrects": row["corrects"],
        "delivered_at": row["delivered_at"],
    }


async def _lines(connection: Connection, number: str, currency: str) -> list[DocumentLine]:
    rows = await connection.fetch(
        """
        select *, corrects_number || '/' || corrects_line as corrects
        from invoice_line where number = $1 order by line
        """,
        number,
    )
    return [
        DocumentLine(
            line=row["line"],
            claim=row["claim"],
            fee=row["fee"],
            clause=row["clause"],
            title=Title.model_validate(row["title"]),
            net=money(row["net_minor"], currency),
            tax=money(row["tax_minor"], currency),
            tax_code=row["tax_code"],
            tax_rate=row["tax_rate"],
            corrects=row["corrects"],
            explanation=Explanation.model_validate(row["explanation"]),
        )
        for row in rows
    ]


async def _taxes(connection: Connection, number: str, currency: str) -> list[DocumentTax]:
    """In the order in which its lines have them."""
    rows = await connection.fetch(
        """
        select t.* from invoice_tax t join invoice_line l using (number, tax_code, tax_rate)
        where number = $1 group by t.number, t.tax_code, t.tax_rate order by min(l.line)
        """,
        number,
    )
    return [
        DocumentTax(
            code=row["tax_code"],
            rate=row["tax_rate"],
            net=money(row["net_minor"], currency),
            tax=money(row["tax_minor"], currency),
            calculation=Calculation.model_validate(row["explanation"]),
        )
        for row in rows
    ]


def _balance(row: Row) -> Balance:
    debit, credit = money(row["debit"], row["currency"]), money(row["credit"], row["currency"])
    return Balance(
        book=row["book"],
        account=row["code"],
        name=row["name"],
        ledger=row["ledger"],
        debit=debit,
        credit=credit,
        balance=debit - credit if row["normal"] == "D" else credit - debit,
    )


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
    lines = await _lines(connection, number, row["currency"])
    taxes = await _taxes(connection, number, row["currency"])
    return Explained(
        subject=f"{_words(row['document'])} {number}",
        explanations=tuple(line.explanation for line in lines),
        taxes=tuple(taxes),
        journal=await _journal(connection, [row["key"]], number),
    )


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
        waiting=tuple(wait for wait in map(_waiting, deciding) if wait),
    )


async def _journal(
    connection: Connection, effects: Sequence[str], number: str | None = None
) -> tuple[JournalGroup, ...]:
    """The groups that some effects posted, and those that moved the claim of an invoice."""
    rows = await connection.fetch(
        """
        select g.id, g.key, g.code, g.occurred_at, g.effective_on, p.account, p.side,
               p.amount_minor, p.currency, p.fee, p.hold, p.invoice, p.item
        from journal_group g join posting p on p.group_id = g.id
        where g.effect_key = any($1)
           or g.id in (select group_id from posting where invoice = $2)
        order by g.id, p.line
        """,
        effects,
        number,
    )
    postings: dict[int, list[Posting]] = {}
    for row in rows:
        postings.setdefault(row["id"], []).append(
            Posting(
                account=row["account"],
                side=row["side"],
                amount=money(row["amount_minor"], row["currency"]),
                fee=row["fee"],
                hold=row["hold"],
                invoice=row["invoice"],
                item=row["item"],
            )
        )
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


async def contract_of(connection: Connection, engagement_id: str) -> Contract:
    """The contract version that an engagement runs under.

    Raises:
        NotFound: no such engagement.
    """
    document = await connection.fetchval(
        """
        select c.document from engagement e join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        where e.engagement_id = $1
        """,
        engagement_id,
    )
    if document is None:
        raise await _not_found(connection, engagement_id, "an engagement", ENGAGEMENTS)
    return Contract.model_validate(document)


async def currency_of(pool: Pool, engagement_id: str) -> str:
    """The currency of an engagement's contract.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        await _require(connection, engagement_id)
        return (await contract_of(connection, engagement_id)).currency


async def timezone_of(pool: Pool, engagement_id: str) -> str:
    """The time zone of an engagement's contract.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        return (await contract_of(connection, engagement_id)).timezone


async def _require(connection: Connection, engagement_id: str | None) -> None:
    known = "select 1 from engagement where engagement_id = $1"
    if engagement_id is not None and not await connection.fetchval(known, engagement_id):
        raise await _not_found(connection, engagement_id, "an engagement", ENGAGEMENTS)


async def _not_found(connection: Connection, found: str, expected: str, names: str) -> NotFound:
    """The refusal, with the existing names that stand next to it in the alphabet."""
    rows = await connection.fetch(
        f"""
        with names as ({names})
        (select name from names where name < $1 order by name desc limit 2)
        union all
        (select name from names where name >= $1 order by name limit 2)
        order by name
        """,
        found,
    )
    nearest = ", ".join(row["name"] for row in rows) or "none exists yet"
    return NotFound(f"found {found!r}, expected {expected}; nearest: {nearest}")
