"""Receipts and the customers' credit: stored, matched with invoices, applied, taken back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import NoReturn
from zoneinfo import ZoneInfo

import asyncpg

from activities.agreement import Agreement, agreement
from activities.books.journal import Journal, post, post_to
from activities.postgres import Connection, Pool, once
from activities.timeline import happened
from contracts.difference import told_apart
from contracts.errors import KeyReused, NotFound, TermsError, TransitionError
from contracts.events import EventType
from contracts.fields import canonical
from contracts.money import Money
from contracts.setting import Book
from lifecycle.ledger import credit_applied, mirror, received
from lifecycle.orders import A, Order
from lifecycle.orders.receivables import (
    Applied,
    ApplyCredit,
    AssignReceipt,
    Matched,
    MatchReceipt,
    Recorded,
    RecordReceipts,
    ReverseReceipt,
    UnapplyCredit,
)
from lifecycle.receivables import (
    UNKNOWN_CUSTOMER,
    BankReceipt,
    Claim,
    Part,
    applicable,
    match,
    named_in,
)


async def record_receipts(pool: Pool, order: RecordReceipts) -> Recorded:
    """Store what the bank says came in, all of it or nothing; each receipt is stored once.

    Raises:
        NotFound: the seller has no engagement in that book, or no contract with that customer.
        TermsError: money of a day to come.
        KeyReused: the bank's reference stands for other content already.
    """
    return await once(pool, order, lambda connection: _record(connection, order))


async def take_in(
    pool: Pool, receipts: Sequence[BankReceipt], by: str, at: datetime, places: Sequence[str] = ()
) -> list[Matched]:
    """Store receipts, all or none, then apply each as far as it says to what.

    Taken in twice, everything is stored and applied once, and the answer is the same.

    Args:
        places: where each was found, for the message of a refusal.

    Raises:
        NotFound, TermsError, KeyReused: as for `record_receipts`.
    """
    content = canonical([receipt.model_dump(mode="json") for receipt in receipts])
    order = RecordReceipts(
        key=f"receipts.{sha256(content.encode()).hexdigest()}",
        receipts=tuple(receipts),
        places=tuple(places),
        by=by,
        at=at,
    )
    await record_receipts(pool, order)
    matches = [
        MatchReceipt(key=f"receipt.{receipt.id}:match", receipt=receipt.id, by=by, at=at)
        for receipt in receipts
    ]
    return [await match_receipt(pool, match) for match in matches]


async def match_receipt(pool: Pool, order: MatchReceipt) -> Matched:
    """Apply a receipt to the invoices that its text names, or the one with just its amount.

    Raises:
        NotFound: no such receipt.
    """
    return await once(pool, order, lambda connection: _settle(connection, order, None))


async def assign_receipt(pool: Pool, order: AssignReceipt) -> Matched:
    """Say who paid a receipt, and apply it as far as it says to what.

    Raises:
        NotFound: no such receipt, or no contract of the seller has that customer.
        TransitionError: it is that customer's already, or not whole any more.
    """
    return await once(pool, order, lambda connection: _settle(connection, order, order.customer))


async def apply_credit(pool: Pool, order: ApplyCredit) -> Applied:
    """Pay an invoice from a receipt or a credit note of the same customer.

    Raises:
        NotFound: no such receipt, credit note or invoice.
        TransitionError: of another customer or currency, more than is left, more than is open.
    """
    return await once(pool, order, lambda connection: _apply(connection, order))


async def unapply_credit(pool: Pool, order: UnapplyCredit) -> Applied:
    """Take back what a receipt or credit note paid of an invoice.

    Raises:
        NotFound: no such receipt, credit note or invoice.
        TransitionError: it pays nothing of that invoice.
    """
    return await once(pool, order, lambda connection: _unapply(connection, order))


async def reverse_receipt(pool: Pool, order: ReverseReceipt) -> Matched:
    """Take back a receipt that bounced, with everything it paid.

    Raises:
        NotFound: no such receipt.
        TransitionError: reversed already, before it came in, or paid back to the customer.
    """
    return await once(pool, order, lambda connection: _reverse(connection, order))


@dataclass(frozen=True)
class Source:
    """Credit of a customer by where it comes from, locked: nobody else uses it meanwhile."""

    id: str
    book: Book
    seller: str
    customer: str
    credit: Money
    reserved: Money
    refunds: tuple[str, ...]
    """Those that reserve it."""

    @property
    def free(self) -> Money:
        return self.credit - self.reserved

    @property
    def besides(self) -> str:
        """What of it is not free, and why, to go on a sentence with; empty where all of it is."""
        if not self.refunds:
            return ""
        return f", {self.reserved} is reserved by {', '.join(self.refunds)}"


async def source_of(connection: Connection, source: str) -> Source:
    """A receipt or a credit note, locked until the end of the transaction.

    Raises:
        NotFound: neither.
    """
    row = await connection.fetchrow(
        """
        select book, seller, $2 as customer, currency
        from receipt where receipt_id = $1 for no key update
        """,
        source,
        UNKNOWN_CUSTOMER,
    ) or await connection.fetchrow(
        """
        select i.book, g.entity as seller, i.customer, i.currency
        from invoice i join journal_group g on g.effect_key = i.key
        where i.number = $1 and i.document = 'credit_note' limit 1 for no key update of i
        """,
        source,
    )
    if row is None:
        raise NotFound(
            f"found {source!r}, expected a receipt such as SELLER/ACCOUNT/REFERENCE, or the number "
            "of a credit note"
        )
    # A statement of its own: it sees what was committed while the one above waited.
    credit = await connection.fetchrow(
        """
        with reserving as (
            select * from refund
            where source = $1 and state in ('requested', 'approved', 'sent', 'unknown')
        )
        select coalesce(sum(case p.side when 'C' then p.amount_minor else -p.amount_minor end), 0)::bigint
                   as credit_minor,
               (array_agg(g.customer order by g.id desc))[1] as customer,
               (select coalesce(sum(amount_minor), 0)::bigint from reserving) as reserved_minor,
               array(select refund_id from reserving order by refund_id) as refunds
        from posting p join journal_group g on g.id = p.group_id
        where p.account = '2300'
          and p.item = any($1::text || array(select refund_id from refund where source = $1))
        """,
        source,
    )
    assert credit is not None
    return Source(
        id=source,
        book=Book(row["book"]),
        seller=row["seller"],
        customer=credit["customer"] or row["customer"],
        credit=Money(credit["credit_minor"], row["currency"]),
        reserved=Money(credit["reserved_minor"], row["currency"]),
        refunds=tuple(credit["refunds"]),
    )


def require_same(source: Source, terms: Agreement) -> None:
    """Refuse credit that is not of the parties, the book and the currency of an engagement.

    Raises:
        TransitionError: it is not.
    """
    parties, currency = terms.contract.parties, terms.contract.currency
    found = (source.book, source.seller, source.customer, source.credit.currency)
    expected = (terms.book, parties.consultant.entity, parties.client.entity, currency)
    if found != expected:
        raise TransitionError(
            f"{source.id}: found credit in {_in_words(found)}, expected it in {_in_words(expected)}, "
            f"as engagement {terms.engagement_id}"
        )


def _in_words(of: tuple[Book, str, str, str]) -> str:
    book, seller, customer, currency = of
    whose = "nobody known yet" if customer == UNKNOWN_CUSTOMER else customer
    return f"{currency} of {whose} with {seller} in the {book.value} book"


async def claims_of(connection: Connection, numbers: Iterable[str]) -> list[Claim]:
    """What those invoices claim now. Whoever decides on it holds their engagements' rows."""
    rows = await connection.fetch(
        "select * from invoice_settlement where number = any($1::text[]) order by number",
        list(numbers),
    )
    return [
        Claim(
            invoice=row["number"],
            engagement_id=row["engagement_id"],
            issued_on=row["issued_on"],
            due_on=row["due_on"],
            open=Money(row["open_minor"], row["currency"]),
        )
        for row in rows
    ]


async def claim_on(connection: Connection, terms: Agreement, number: str) -> Claim:
    """What an invoice of an engagement claims now.

    Raises:
        NotFound: the engagement has no such invoice.
    """
    for claim in await claims_of(connection, [number]):
        if claim.engagement_id == terms.engagement_id:
            return claim
    raise NotFound(f"found {number!r}, expected an invoice of engagement {terms.engagement_id}")


# Storing.


async def _record(connection: Connection, order: RecordReceipts) -> Recorded:
    ids = [receipt.id for receipt in order.receipts]
    places = order.places or tuple(ids)
    known: dict[tuple[Book, str], list[str]] = {}
    # In one order everywhere: of two files that overlap, one waits for the other.
    for receipt, place in sorted(
        zip(order.receipts, places, strict=True), key=lambda pair: pair[0].id
    ):
        whose = (receipt.book, receipt.seller)
        if whose not in known:
            known[whose] = await _customers(connection, *whose)
            if not known[whose]:
                await _refuse_seller(connection, *whose, place)
        if receipt.customer is not None:
            _require_customer(receipt.customer, known[whose], receipt.seller, place)
        _require_past(receipt, order.at, place)
        if await _stored(connection, order, receipt, place):
            where = _journal(receipt, receipt.customer or UNKNOWN_CUSTOMER, receipt.received_on)
            group = received(receipt.amount, receipt=receipt.id)
            dated = order.model_copy(update={"at": _midnight(receipt.received_on)})
            await post_to(connection, dated, where, group, part=receipt.id)
            if receipt.customer is not None:
                await _name(connection, order, receipt.id, receipt.customer)
    return Recorded(receipts=tuple(ids))


def _require_past(receipt: BankReceipt, now: datetime, place: str) -> None:
    """Somewhere it may be the next day already."""
    latest = now.astimezone(UTC).date() + timedelta(days=1)
    if receipt.book is Book.LIVE and receipt.received_on > latest:
        raise TermsError(
            f"{place}: found money received on {receipt.received_on}, expected today or earlier"
        )


async def _stored(
    connection: Connection, order: RecordReceipts, receipt: BankReceipt, place: str
) -> bool:
    """Whether it is new; one that is there has to be the same."""
    digest = sha256(canonical(receipt).encode()).hexdigest()
    fresh = await connection.fetchval(
        """
        insert into receipt
            (receipt_id, book, seller, account, reference, received_on, currency, amount_minor,
             payer, text, digest, recorded_by, key)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        on conflict (receipt_id) do nothing returning receipt_id
        """,
        receipt.id,
        receipt.book,
        receipt.seller,
        receipt.account,
        receipt.reference,
        receipt.received_on,
        receipt.amount.currency,
        receipt.amount.minor,
        receipt.payer,
        receipt.text,
        digest,
        order.by,
        order.key,
    )
    if fresh is not None:
        return True
    there = await connection.fetchrow(
        """
        select r.*, c.customer, coalesce(f.booked_at, now()) at time zone 'UTC' as booked
        from receipt r
        left join effect f using (key)
        left join receipt_customer c on c.receipt_id = r.receipt_id and c.key = r.key
        where r.receipt_id = $1
        """,
        receipt.id,
    )
    assert there is not None
    if there["digest"] != digest:
        told = told_apart(_read(there).model_dump(mode="json"), receipt.model_dump(mode="json"))
        raise KeyReused(
            f"{place}: found reference {receipt.reference!r} of account {receipt.account} with other "
            f"content than on record (recorded by {there['recorded_by']}, booked "
            f"{there['booked']:%Y-%m-%d %H:%M} UTC): {told}; expected the same, or another reference"
        )
    return False


async def _name(connection: Connection, order: Order[A], receipt: str, customer: str) -> None:
    await connection.execute(
        "insert into receipt_customer (receipt_id, customer, named_by, key) values ($1, $2, $3, $4)",
        receipt,
        customer,
        order.by,
        order.key,
    )


async def _refuse_seller(connection: Connection, book: Book, seller: str, place: str) -> NoReturn:
    rows = await connection.fetch(
        """
        select distinct c.document #>> '{parties,consultant,entity}' as seller
        from engagement e join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        where e.book = $1 order by 1
        """,
        book,
    )
    sellers = ", ".join(row["seller"] for row in rows) or "nobody, it has no engagement yet"
    raise NotFound(
        f"{place}: found seller {seller!r}, expected one with an engagement in the {book.value} book: "
        f"{sellers}"
    )


async def _customers(connection: Connection, book: Book, seller: str) -> list[str]:
    rows = await connection.fetch(
        """
        select distinct c.document #>> '{parties,client,entity}' as customer
        from engagement e join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        where e.book = $1 and c.document #>> '{parties,consultant,entity}' = $2 order by 1
        """,
        book,
        seller,
    )
    return [row["customer"] for row in rows]


def _require_customer(customer: str, known: list[str], seller: str, place: str) -> None:
    if customer not in known:
        raise NotFound(
            f"{place}: found customer {customer!r}, expected a client of {seller}: "
            f"{', '.join(known) or 'it has none in this book'}"
        )


# Matching.


async def _settle(
    connection: Connection, order: MatchReceipt | AssignReceipt, customer: str | None
) -> Matched:
    """Find out what a receipt pays, lock that, look again, and apply it."""
    receipt = await _receipt(connection, order.receipt)
    if customer is not None:
        known = await _customers(connection, receipt.book, receipt.seller)
        _require_customer(customer, known, receipt.seller, receipt.id)
    customer = customer or receipt.customer
    named = await _named(connection, receipt, customer)
    if customer is None and len({invoice.customer for invoice in named}) == 1:
        customer = named[0].customer
    numbers = [invoice.number for invoice in named if invoice.customer == customer]
    if customer is not None and not named:
        numbers = await _of_amount(connection, receipt, customer)
    candidates = await claims_of(connection, numbers)
    engagements = sorted({claim.engagement_id for claim in candidates})
    terms = {engagement: await agreement(connection, engagement) for engagement in engagements}
    source = await source_of(connection, receipt.id)
    if isinstance(order, AssignReceipt) or source.customer == UNKNOWN_CUSTOMER:
        if customer is not None:
            await _assign(connection, order, receipt, source, customer)
    elif source.customer != customer:
        customer, candidates = source.customer, []  # Somebody named another one meanwhile.
    claims = await claims_of(connection, [claim.invoice for claim in candidates])
    left = source.free
    parts = match(left, claims, []) if named else match(left, [], claims)
    await _pay(connection, order, receipt, terms, claims, parts)
    for part in parts:
        left = left - part.amount
    return Matched(receipt=receipt.id, customer=customer, applied=parts, left=left)


@dataclass(frozen=True)
class _Named:
    number: str
    customer: str


async def _receipt(connection: Connection, receipt_id: str) -> BankReceipt:
    row = await connection.fetchrow(
        """
        select r.*, (
            select customer from receipt_customer c where c.receipt_id = r.receipt_id
            order by id desc limit 1
        ) as customer
        from receipt r where receipt_id = $1
        """,
        receipt_id,
    )
    if row is None:
        raise NotFound(
            f"found receipt {receipt_id!r}, expected one on record, such as SELLER/ACCOUNT/REFERENCE"
        )
    return _read(row)


def _read(row: asyncpg.Record) -> BankReceipt:
    fields = ("book", "seller", "account", "reference", "received_on", "payer", "text", "customer")
    return BankReceipt(
        **{field: row[field] for field in fields},
        amount=Money(row["amount_minor"], row["currency"]),
    )


async def _named(
    connection: Connection, receipt: BankReceipt, customer: str | None
) -> list[_Named]:
    """The invoices whose numbers the payer wrote, paid or not: of the seller, book and currency."""
    rows = await connection.fetch(
        """
        select number, customer from invoice i
        where document = 'invoice' and book = $1 and currency = $3
          and ($4::text is null or customer = $4) and strpos(upper($5), upper(number)) > 0
          and exists (select from journal_group g where g.effect_key = i.key and g.entity = $2)
        order by number
        """,
        receipt.book,
        receipt.seller,
        receipt.amount.currency,
        customer,
        receipt.text,
    )
    written = set(named_in(receipt.text, [row["number"] for row in rows]))
    return [_Named(row["number"], row["customer"]) for row in rows if row["number"] in written]


async def _of_amount(connection: Connection, receipt: BankReceipt, customer: str) -> list[str]:
    """The customer's invoices that are open with just the amount of the receipt."""
    rows = await connection.fetch(
        """
        select number from invoice_settlement s
        where book = $1 and currency = $3 and customer = $4 and open_minor = $5 and exists (
            select from invoice i join journal_group g on g.effect_key = i.key
            where i.number = s.number and g.entity = $2
        )
        """,
        receipt.book,
        receipt.seller,
        receipt.amount.currency,
        customer,
        receipt.amount.minor,
    )
    return [row["number"] for row in rows]


async def _assign(
    connection: Connection, order: Order[A], receipt: BankReceipt, source: Source, customer: str
) -> None:
    """Make a receipt the credit of another customer: its E07 is mirrored and posted anew."""
    if source.customer == customer:
        raise TransitionError(f"{receipt.id} is of {customer} already, expected another customer")
    _require_whole(receipt, source)
    dated = order.model_copy(update={"at": _midnight(receipt.received_on)})
    group = received(receipt.amount, receipt=receipt.id)
    before = _journal(receipt, source.customer, receipt.received_on)
    reverses = await _booked(connection, receipt.id)
    await post_to(connection, dated, before, mirror(group), part=receipt.id, reverses=reverses)
    after = _journal(receipt, customer, receipt.received_on)
    await post_to(connection, dated, after, group, part=receipt.id)
    await _name(connection, order, receipt.id, customer)


def _require_whole(receipt: BankReceipt, source: Source) -> None:
    if source.free != receipt.amount:
        raise TransitionError(
            f"{receipt.id}: found {source.free} of {receipt.amount} {receipt.amount.currency} left"
            f"{source.besides}, expected all of it: take back first what it paid, and end its refunds"
        )


async def _booked(connection: Connection, receipt: str) -> int:
    """The group that booked a receipt and is not reversed."""
    group: int | None = await connection.fetchval(
        """
        select g.id from posting p join journal_group g on g.id = p.group_id
        where p.account = '2300' and p.item = $1 and g.code = 'E07'
          and not exists (select from journal_group r where r.reverses = g.id)
        """,
        receipt,
    )
    if group is None:
        raise TransitionError(f"{receipt}: found it reversed, expected a receipt that stands")
    return group


async def _pay(
    connection: Connection,
    order: Order[A],
    receipt: BankReceipt,
    terms: Mapping[str, Agreement],
    claims: Iterable[Claim],
    parts: Iterable[Part],
) -> None:
    """Apply parts of a receipt on the day it came in, or when the invoice was issued after it."""
    by_number = {claim.invoice: claim for claim in claims}
    for part in parts:
        claim = by_number[part.invoice]
        under = terms[claim.engagement_id]
        day = max(receipt.received_on, claim.issued_on)
        await _post_payment(connection, _within(order, under, day), under, receipt.id, part)


def _within(order: Order[A], terms: Agreement, day: date) -> Order[A]:
    """The order as one about an engagement, on a day of its time zone."""
    at = datetime.combine(day, time(), ZoneInfo(terms.contract.timezone))
    engagement = terms.engagement_id
    return order.model_copy(
        update={"engagement_id": engagement, "workflow_id": f"eng.{engagement}", "at": at}
    )


async def _post_payment(
    connection: Connection, order: Order[A], terms: Agreement, source: str, part: Part
) -> None:
    group = credit_applied(part.amount, source=source, invoice=part.invoice)
    posted = await post(connection, order, terms, group, part=part.invoice)
    await happened(
        connection,
        order,
        terms,
        EventType.PAYMENT_APPLIED,
        invoice=part.invoice,
        source=source,
        amount=str(part.amount),
        group=posted,
    )


# By hand.


async def _apply(connection: Connection, order: ApplyCredit) -> Applied:
    terms = await agreement(connection, order.engagement_id)
    source = await source_of(connection, order.source)
    require_same(source, terms)
    claim = await claim_on(connection, terms, order.invoice)
    amount = applicable(order.amount, source.free, claim, source.id, source.besides)
    part = Part(invoice=claim.invoice, amount=amount)
    await _post_payment(connection, order, terms, source.id, part)
    return Applied(source=source.id, invoice=claim.invoice, amount=amount)


async def _unapply(connection: Connection, order: UnapplyCredit) -> Applied:
    terms = await agreement(connection, order.engagement_id)
    source = await source_of(connection, order.source)
    claim = await claim_on(connection, terms, order.invoice)
    rows = [
        row for row in await _payments(connection, source.id) if row["invoice"] == claim.invoice
    ]
    if not rows:
        raise TransitionError(
            f"{source.id} pays nothing of {claim.invoice}, expected an invoice it is applied to"
        )
    amount = Money(0, source.credit.currency)
    for row in rows:
        amount = amount + await _take_back(connection, order, terms, row, order.reason)
    return Applied(source=source.id, invoice=claim.invoice, amount=amount)


async def _payments(connection: Connection, source: str) -> list[asyncpg.Record]:
    """What a credit pays now: each application that was not taken back."""
    return await connection.fetch(
        """
        select g.id, g.engagement_id, p.invoice, p.item as source, p.amount_minor, p.currency
        from posting p join journal_group g on g.id = p.group_id
        where p.account = '2300' and p.item = $1 and g.code = 'E08'
          and not exists (select from journal_group r where r.reverses = g.id)
        order by g.id
        """,
        source,
    )


async def _take_back(
    connection: Connection, order: Order[A], terms: Agreement, row: asyncpg.Record, reason: str
) -> Money:
    """Mirror one application (E30)."""
    amount = Money(row["amount_minor"], row["currency"])
    group = mirror(credit_applied(amount, source=row["source"], invoice=row["invoice"]))
    posted = await post(connection, order, terms, group, part=str(row["id"]), reverses=row["id"])
    await happened(
        connection,
        order,
        terms,
        EventType.PAYMENT_TAKEN_BACK,
        invoice=row["invoice"],
        source=row["source"],
        amount=str(amount),
        reason=reason,
        group=posted,
    )
    return amount


async def _reverse(connection: Connection, order: ReverseReceipt) -> Matched:
    receipt = await _receipt(connection, order.receipt)
    day = order.at.astimezone(UTC).date()
    if day < receipt.received_on:
        raise TransitionError(
            f"{receipt.id}: found it taken back on {day}, expected {receipt.received_on}, when it "
            "came in, or later"
        )
    paid = {row["engagement_id"] for row in await _payments(connection, receipt.id)}
    terms = {engagement: await agreement(connection, engagement) for engagement in sorted(paid)}
    await source_of(connection, receipt.id)
    for row in await _payments(connection, receipt.id):
        under = terms.get(row["engagement_id"])
        if under is None:
            raise TransitionError(
                f"{receipt.id} was applied to {row['invoice']} in this moment; reverse it again"
            )
        acting = _within(order, under, day)
        await _take_back(connection, acting, under, row, order.reason)
    source = await source_of(connection, receipt.id)
    _require_whole(receipt, source)
    where = _journal(receipt, source.customer, day)
    group = mirror(received(receipt.amount, receipt=receipt.id))
    reverses = await _booked(connection, receipt.id)
    await post_to(connection, order, where, group, part=receipt.id, reverses=reverses)
    nothing = Money(0, receipt.amount.currency)
    return Matched(receipt=receipt.id, customer=receipt.customer, applied=(), left=nothing)


def _journal(receipt: BankReceipt, customer: str, day: date) -> Journal:
    return Journal(book=receipt.book, entity=receipt.seller, customer=customer, day=day)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
