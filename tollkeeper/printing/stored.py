"""What is printed, read from rows that never change: printed today or in ten years, it is the same."""

from collections.abc import Iterable
from datetime import date, datetime
from fractions import Fraction

from activities.postgres import Connection, Pool
from contracts.calendar import local_date
from contracts.commercial import RetentionStep
from contracts.contract import Contract, Party
from contracts.errors import NotFound
from contracts.explanation import Explanation
from contracts.fields import Title
from contracts.words.said import Said, Words, listed, say
from contracts.words.values import day, money, period, share
from tollkeeper.printing.model import (
    Deduction,
    DeductionKind,
    Line,
    Note,
    PrintedDecision,
    PrintedDocument,
    Request,
    Side,
    Signed,
    TaxGroup,
)
from tollkeeper.views.base import Row, snapshot
from tollkeeper.views.base import money as amount

PAYMENT_TERMS = "PMT"
"""UNTDID 4451: payment information, as an electronic invoice states a retention."""


async def document(pool: Pool, number: str) -> PrintedDocument:
    """An invoice or credit note.

    Raises:
        NotFound: no such document.
    """
    async with snapshot(pool) as connection:
        row = await connection.fetchrow(
            """
            select i.*, c.document as contract from invoice i join contract_version c
              on c.contract_id = i.contract_id and c.version = i.contract_version
            where i.number = $1
            """,
            number,
        )
        if row is None:
            raise NotFound(f"found {number!r}, expected the number of an invoice or credit note")
        lines = await connection.fetch(
            "select * from invoice_line where number = $1 order by line", number
        )
        taxes = await connection.fetch(
            """
            select * from invoice_tax where number = $1
            order by tax_code collate "C", tax_rate collate "C"
            """,
            number,
        )
    contract = Contract.model_validate(row["contract"])
    currency = row["currency"]
    return PrintedDocument(
        document=row["document"],
        number=number,
        purpose=row["purpose"],
        sandbox=row["book"] == "sandbox",
        issued_on=row["issued_on"],
        due_on=row["due_on"],
        engagement=row["engagement_id"],
        contract=contract.reference(),
        contract_title=contract.title,
        seller=_side(contract.parties.consultant),
        buyer=_side(contract.parties.client),
        corrects=row["corrects"],
        lines=tuple(_line(line, currency) for line in lines),
        taxes=tuple(
            TaxGroup(
                code=tax["tax_code"],
                rate=Fraction(tax["tax_rate"]),
                net=amount(tax["net_minor"], currency),
                tax=amount(tax["tax_minor"], currency),
            )
            for tax in taxes
        ),
        net=amount(row["net_minor"], currency),
        tax=amount(row["tax_minor"], currency),
        gross=amount(row["gross_minor"], currency),
        deductions=tuple(_deductions(row, contract)),
        notes=tuple(_notes(row, contract)),
    )


async def decision(pool: Pool, key: str) -> PrintedDecision:
    """The record of a release or a forfeiture.

    Raises:
        NotFound: no such decision.
    """
    async with snapshot(pool) as connection:
        row = await connection.fetchrow(
            """
            select d.*, h.kind, h.effect, h.fee, e.book, e.contract_id, e.contract_version
            from decision_record d join hold h using (hold_id)
            join engagement e on e.engagement_id = d.engagement_id
            where d.key = $1
            """,
            key,
        )
        if row is None:
            raise NotFound(f"found {key!r}, expected the key of a decision")
        reasons = tuple(map(Explanation.model_validate, row["explanations"]))
        contract = await _contract_then(connection, row, reasons)
        request = await _request(connection, row["request_id"], contract)
    return PrintedDecision(
        key=key,
        decision=row["decision"],
        sandbox=row["book"] == "sandbox",
        engagement=row["engagement_id"],
        contract=contract.reference(),
        contract_title=contract.title,
        seller=_side(contract.parties.consultant),
        buyer=_side(contract.parties.client),
        hold=row["hold_id"],
        kind=row["kind"],
        effect=row["effect"],
        fee=contract.fee(row["fee"]).title,
        clause=row["clause"],
        amount=amount(row["amount_minor"], row["currency"]),
        requested_by=who(row["requested_by"], contract),
        decided_by=tuple(who(actor, contract) for actor in _actors(row["decided_by"])),
        decided_on=row["decided_on"],
        request=request,
        document=row["document"],
        reasons=reasons,
    )


def who(actor: str, contract: Contract) -> Title:
    """A person by name and id; a clause or a policy of the contract as what decided by itself."""
    kind, _, name = actor.partition(":")
    if kind == "clause":
        return _title(say("clause {name} of the contract", "合同条款{name}", name=name))
    if kind == "policy":
        clauses = {policy.id: policy.clause for policy in contract.approvals.automatic}
        return _title(
            say(
                "automatic policy {name}, clause {clause}",
                "自动审批政策{name}，条款{clause}",
                name=name,
                clause=clauses.get(name, "?"),
            )
        )
    names = {person.id: person.name for person in contract.people().everyone}
    return Title(en=f"{names[actor]} ({actor})" if actor in names else actor)


def _actors(text: str) -> list[str]:
    return [actor.strip() for actor in text.split(",")]


async def _contract_then(
    connection: Connection, row: Row, reasons: tuple[Explanation, ...]
) -> Contract:
    """The version that the decision was made under, which its reasons name."""
    named, _, version = reasons[0].contract.rpartition("@v") if reasons else ("", "", "")
    document = await connection.fetchval(
        "select document from contract_version where contract_id = $1 and version = $2",
        named or row["contract_id"],
        int(version or row["contract_version"]),
    )
    return Contract.model_validate(document)


async def _request(
    connection: Connection, request_id: str | None, contract: Contract
) -> Request | None:
    row = await connection.fetchrow(
        "select * from approval_request where request_id = $1", request_id
    )
    if row is None:
        return None
    signatures = await connection.fetch(
        """
        select person, signed_at from approval_signature where request_id = $1
        order by signed_at, place
        """,
        request_id,
    )

    def on(instant: datetime) -> date:
        return local_date(instant, contract.timezone)

    return Request(
        id=row["request_id"],
        on=on(row["requested_at"]),
        digest=row["digest"],
        signatures=tuple(
            Signed(person=who(signed["person"], contract), on=on(signed["signed_at"]))
            for signed in signatures
        ),
    )


def _side(party: Party) -> Side:
    return Side(name=party.name, entity=party.entity)


def _line(row: Row, currency: str) -> Line:
    corrected = row["corrects_number"]
    return Line(
        line=row["line"],
        clause=row["clause"],
        title=Title.model_validate(row["title"]),
        tax_code=row["tax_code"],
        tax_rate=Fraction(row["tax_rate"]),
        net=amount(row["net_minor"], currency),
        corrects=f"{corrected}/{row['corrects_line']}" if corrected else None,
    )


def _deductions(row: Row, contract: Contract) -> Iterable[Deduction]:
    clauses: dict[DeductionKind, str | None] = {
        "retained": contract.retention.clause if contract.retention else None,
        "withheld": contract.holdback.clause,
        "advance": contract.advance.clause if contract.advance else None,
    }
    for kind, clause in clauses.items():
        if minor := row[f"{kind}_minor"]:
            yield Deduction(kind=kind, clause=clause, amount=amount(minor, row["currency"]))


def _notes(row: Row, contract: Contract) -> Iterable[Note]:
    if row["document"] == "credit_note":
        return
    if contract.payment:
        yield _note(
            "To be paid by {day}, {days} days after the date of this document (clause {clause}).",
            "请于{day}前付款，即本单据日期后{days}天（条款{clause}）。",
            day=day(row["due_on"]),
            days=contract.payment.days,
            clause=contract.payment.clause,
        )
    if contract.retention and row["retained_minor"]:
        yield _note(
            "Retention of {amount} (clause {clause}) is not to be paid now; to be released are {steps}.",
            "保留金{amount}（条款{clause}）本次不付；释放安排：{steps}。",
            PAYMENT_TERMS,
            amount=money(amount(row["retained_minor"], row["currency"])),
            clause=contract.retention.clause,
            steps=listed(map(_released, contract.retention.release)),
        )
        if row["deferred_minor"]:
            yield _note(
                "Of the net, {amount} is taxed when it is released.",
                "不含税金额中{amount}在释放时计税。",
                amount=money(amount(row["deferred_minor"], row["currency"])),
            )


def _released(step: RetentionStep) -> Said:
    return say(
        "{share} {after} after go-live (clause {clause})",
        "上线后{after}{share}（条款{clause}）",
        share=share(step.share),
        after=period(step.after),
        clause=step.clause,
    )


def _note(en: str, zh: str, subject: str | None = None, /, **parts: Words) -> Note:
    return Note(subject=subject, text=_title(say(en, zh, **parts)))


def _title(said: Said) -> Title:
    return Title(en=said.en, zh=said.zh)
