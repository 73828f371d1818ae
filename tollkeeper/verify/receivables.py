"""Receivables: cash, customers' credit, refunds and disputes, in the ledger and on record."""

from collections.abc import Iterator

from tollkeeper.verify.core import amount_of, differs, invariant
from tollkeeper.views.base import Row

SIGNED = "case p.side when 'C' then p.amount_minor else -p.amount_minor end"
STANDS = """
    exists (
        select from posting e join journal_group f on f.id = e.group_id
        where e.account = '2300' and e.item = r.receipt_id and f.code = 'E07'
          and not exists (select from journal_group x where x.reverses = f.id)
    )
"""
"""A receipt that did not bounce."""


@invariant(
    "receipts-in-ledger",
    "c.5-22",
    "The cash of a receipt is its amount, or zero when it bounced",
    f"""
    select r.receipt_id as name, r.currency, r.amount_minor, {STANDS} as stands, (
        select coalesce(sum(-({SIGNED})), 0) from posting p
        where p.account = '1000' and p.item = r.receipt_id
    )::bigint as cash_minor
    from receipt r order by r.receipt_id
    """,
)
def _receipts_in_ledger(row: Row) -> Iterator[str]:
    expected = amount_of(row, "amount")
    yield from differs(
        "cash of", amount_of(row, "cash"), expected if row["stands"] else expected - expected
    )


@invariant(
    "cash-adds-up",
    "c.5-22",
    "Cash is what came in and did not bounce, less the refunds that are confirmed",
    f"""
    select book || ' book of ' || seller as name, currency, sum(cash_minor)::bigint as cash_minor,
           sum(received_minor)::bigint as received_minor, sum(refunded_minor)::bigint as refunded_minor
    from (
        select g.book, g.entity as seller, p.currency, -({SIGNED}) as cash_minor,
               0 as received_minor, 0 as refunded_minor
        from posting p join journal_group g on g.id = p.group_id where p.account = '1000'
        union all
        select book, seller, currency, 0, amount_minor, 0 from receipt r where {STANDS}
        union all
        select r.book, c.document #>> '{{parties,consultant,entity}}', r.currency, 0, 0, r.amount_minor
        from refund r join engagement e using (engagement_id)
        join contract_version c on c.contract_id = e.contract_id and c.version = e.contract_version
        where r.state = 'confirmed'
    ) each
    group by book, seller, currency order by book, seller, currency
    """,
)
def _cash_adds_up(row: Row) -> Iterator[str]:
    expected = amount_of(row, "received") - amount_of(row, "refunded")
    yield from differs(f"cash in {row['currency']} of", amount_of(row, "cash"), expected)


@invariant(
    "credit-adds-up",
    "c.5-22",
    "A customer's credit is what came in and was credited, less what was applied and paid back",
    f"""
    select book || ' book of ' || seller || ', customer ' || customer as name, currency,
           sum(credit_minor)::bigint as credit_minor, sum(received_minor)::bigint as received_minor,
           sum(credited_minor)::bigint as credited_minor, sum(applied_minor)::bigint as applied_minor,
           sum(refunded_minor)::bigint as refunded_minor
    from (
        select g.book, g.entity as seller, g.customer, p.currency, {SIGNED} as credit_minor,
               0 as received_minor,
               case when g.code in ('E18', 'E23', 'E25', 'E33') then {SIGNED} else 0 end as credited_minor,
               case when 'E08' in (g.code, undone.code) then -({SIGNED}) else 0 end as applied_minor,
               0 as refunded_minor
        from posting p join journal_group g on g.id = p.group_id
        left join journal_group undone on undone.id = g.reverses
        where p.account = '2300'
        union all
        select r.book, r.seller, coalesce(c.customer, '?'), r.currency, 0, r.amount_minor, 0, 0, 0
        from receipt r left join lateral (
            select customer from receipt_customer n where n.receipt_id = r.receipt_id
            order by id desc limit 1
        ) c on true
        where {STANDS}
        union all
        select r.book, c.document #>> '{{parties,consultant,entity}}', r.customer, r.currency,
               0, 0, 0, 0, r.amount_minor
        from refund r join engagement e using (engagement_id)
        join contract_version c on c.contract_id = e.contract_id and c.version = e.contract_version
        where r.state = 'confirmed'
    ) each
    group by book, seller, customer, currency order by book, seller, customer, currency
    """,
)
def _credit_adds_up(row: Row) -> Iterator[str]:
    gained = amount_of(row, "received") + amount_of(row, "credited")
    expected = gained - amount_of(row, "applied") - amount_of(row, "refunded")
    yield from differs(f"credit in {row['currency']} of", amount_of(row, "credit"), expected)


@invariant(
    "credit-covers-refunds",
    "c.5-22",
    "Of no receipt or credit note more is applied, paid back or reserved than there is",
    """
    select book || ' book, customer ' || customer || ', ' || source as name, currency, credit_minor,
           reserved_minor
    from customer_credit where source is not null order by book, customer, source
    """,
)
def _credit_covers_refunds(row: Row) -> Iterator[str]:
    # Credit that passed to another customer is zero with the one before; its refunds went along.
    credit, reserved = amount_of(row, "credit"), amount_of(row, "reserved")
    if credit.minor < 0 or (credit.minor and credit.minor < reserved.minor):
        yield f"found {credit} {row['currency']} left, expected at least the {reserved} reserved"


@invariant(
    "open-credit-kept",
    "c.5-22",
    "What is kept as open credit is what the postings leave of each receipt and credit note",
    """
    select book || ' book, customer ' || customer || ', ' || source as name, currency,
           coalesce(kept.credit_minor, 0) as kept_minor,
           coalesce(posted.credit_minor, 0) as posted_minor
    from (select * from customer_credit where credit_minor <> 0) posted
    full join open_credit kept using (book, customer, source, currency)
    order by book, customer, source
    """,
)
def _open_credit_kept(row: Row) -> Iterator[str]:
    yield from differs("kept", amount_of(row, "kept"), amount_of(row, "posted"))


@invariant(
    "refunds-in-ledger",
    "c.2",
    "A refund is posted when it is confirmed, and only then",
    """
    select r.refund_id as name, r.state, r.currency, r.amount_minor, (
        select coalesce(sum(p.amount_minor), 0) from posting p
        where p.account = '2300' and p.item = r.refund_id
    )::bigint as posted_minor
    from refund r order by r.refund_id
    """,
)
def _refunds_in_ledger(row: Row) -> Iterator[str]:
    amount = amount_of(row, "amount")
    expected = amount if row["state"] == "confirmed" else amount - amount
    yield from differs(f"{row['state']} with postings of", amount_of(row, "posted"), expected)


@invariant(
    "disputes-in-ledger",
    "c.2",
    "What is disputed is set aside while the dispute is open, and credited as far as it was upheld",
    """
    select d.dispute_id as name, d.state, d.currency, d.amount_minor, d.upheld_minor,
           coalesce(n.gross_minor, 0) as credited_minor, (
               select coalesce(sum(case p.side when 'D' then p.amount_minor else -p.amount_minor end), 0)
               from posting p where p.account = '1130' and p.item = d.dispute_id
           )::bigint as aside_minor
    from dispute d left join invoice n on n.number = d.document order by d.dispute_id
    """,
)
def _disputes_in_ledger(row: Row) -> Iterator[str]:
    amount = amount_of(row, "amount")
    expected = amount if row["state"] == "open" else amount - amount
    yield from differs(f"{row['state']} with aside", amount_of(row, "aside"), expected)
    yield from differs("credited", amount_of(row, "credited"), amount_of(row, "upheld"))
