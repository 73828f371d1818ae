"""The journal: balanced, unaltered, on the right side."""

from collections import Counter
from collections.abc import Iterator

from activities.books.journal import digest, posting_of
from contracts.money import Money
from lifecycle.ledger import Group
from tollkeeper.verify.core import amount_of, differs, invariant, zero
from tollkeeper.views.base import Row

GROUPS = """
    select g.key || ' (group ' || g.id || ')' as name, g.code, g.digest,
           coalesce(
               jsonb_agg(to_jsonb(p) || jsonb_build_object('ledger', a.ledger) order by p.line)
               filter (where p.group_id is not null), '[]'
           ) as postings
    from journal_group g
    left join posting p on p.group_id = g.id
    left join account a on a.code = p.account
    group by g.id order by g.id
"""


@invariant(
    "groups-balance",
    "c.5-1",
    "Every journal group has postings, and balances per ledger and currency",
    GROUPS,
)
def _groups_balance(row: Row) -> Iterator[str]:
    if not row["postings"]:
        yield "found no postings, expected some"
    debits, credits = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for posting in row["postings"]:
        side = debits if posting["side"] == "D" else credits
        side[posting["ledger"], posting["currency"]] += posting["amount_minor"]
    for ledger, currency in sorted(debits | credits):
        debit, credit = debits[ledger, currency], credits[ledger, currency]
        if debit != credit:
            yield (
                f"found debit {Money(debit, currency)} and credit {Money(credit, currency)} "
                f"{currency} in the {ledger} ledger, expected equal sums"
            )


@invariant(
    "groups-unaltered",
    "c.5-15",
    "Every journal group has the digest that it was booked with",
    GROUPS,
)
def _groups_unaltered(row: Row) -> Iterator[str]:
    group = Group(code=row["code"], postings=tuple(map(posting_of, row["postings"])))
    yield from differs("postings with digest", digest(group), row["digest"])


@invariant(
    "trial-balance",
    "c.5-15",
    "Debits and credits of each book, ledger and currency come to zero",
    """
    select g.book || ' book, ' || a.ledger || ' ledger' as name, p.currency,
           sum(case p.side when 'D' then p.amount_minor else -p.amount_minor end) as sum_minor
    from posting p
    join journal_group g on g.id = p.group_id
    join account a on a.code = p.account
    group by g.book, a.ledger, p.currency order by g.book, a.ledger, p.currency
    """,
)
def _trial_balance(row: Row) -> Iterator[str]:
    yield from differs(f"a difference in {row['currency']} of", amount_of(row, "sum"), zero(row))


@invariant(
    "accounts-not-negative",
    "c.5-4",
    "No account of an invoice, hold, customer, advance, level or fee line is on its wrong side",
    """
    select d.whose || ', account ' || a.code || ' ' || a.name
           || coalesce(', ' || d.dimension, '') as name, p.currency,
           sum(case p.side when a.normal then p.amount_minor else -p.amount_minor end) as sum_minor
    from posting p
    join journal_group g on g.id = p.group_id
    join account a on a.code = p.account
    cross join lateral (select
        case
            when a.code = '2300'
                then g.book || ' book of ' || g.entity || ', customer ' || g.customer
            else coalesce('engagement ' || g.engagement_id, 'no engagement')
        end as whose,
        case
            when a.code in ('1100', '1110', '1120', '1130', '2400') then p.invoice
            when a.code in ('2200', 'M40', 'M49') then p.hold
            when a.code = '2110' or a.code between 'M10' and 'M39' then p.item
            when a.code <> '2300' then p.fee
        end as dimension
    ) d
    where a.never_negative
    group by d.whose, a.code, d.dimension, p.currency
    order by d.whose, a.code, d.dimension, p.currency
    """,
)
def _accounts_not_negative(row: Row) -> Iterator[str]:
    balance = amount_of(row, "sum")
    if balance.minor < 0:
        yield f"found {balance} {row['currency']}, expected 0 or more"
