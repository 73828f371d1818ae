"""Closed periods stay closed, the chain of hashes holds, a reversal mirrors one group."""

from collections.abc import Iterator

from activities.books.seals import POSTINGS, content
from lifecycle.books import Month, link
from tollkeeper.verify.core import differs, invariant
from tollkeeper.views.base import Row


@invariant(
    "periods-closed",
    "c.5-14",
    "Nothing is booked into a period after it was closed",
    """
    select c.entity || ' ' || to_char(c.month, 'YYYY-MM') || ', ' || c.book || ' book' as name,
           c.month, array(
               select g.key from journal_group g left join journal_seal s on s.group_id = g.id
               where g.book = c.book and g.entity = c.entity
                 and g.effective_on < (c.month + interval '1 month')::date
                 and (s.seq is null or s.seq > c.sealed_seq)
               order by g.id
           ) as late
    from period_close c order by c.book, c.entity, c.month
    """,
)
def _periods_closed(row: Row) -> Iterator[str]:
    for key in row["late"]:
        yield (
            f"found {key} in {Month(row['month'])} or before, booked after the period was closed, "
            "expected it in a later one"
        )


@invariant(
    "chain-verifies",
    "c.5-15",
    "Each sealed journal group has its hash, over its own content and the hash before it",
    f"""
    select s.book || ' book, ' || s.seq || ': ' || coalesce(g.key, 'nothing') as name,
           s.seq, s.previous, s.hash, g.*, ({POSTINGS}) as postings,
           coalesce(lag(s.seq) over chain, 0) + 1 as next_seq,
           coalesce(lag(s.hash) over chain, '') as hash_before
    from journal_seal s left join journal_group g on g.id = s.group_id
    window chain as (partition by s.book order by s.seq)
    order by s.book, s.seq
    """,
)
def _chain_verifies(row: Row) -> Iterator[str]:
    yield from differs("place", row["seq"], row["next_seq"])
    yield from differs("the hash before", row["previous"], row["hash_before"])
    if row["id"] is None:
        yield "found no journal group, expected the one that was sealed"
        return
    yield from differs("hash", link(row["hash_before"], content(dict(row))), row["hash"])


@invariant(
    "reversals-mirror",
    "c.5-16",
    "A reversal is the exact mirror of one group, which is none itself",
    """
    select r.key as name, r.code, r.book, r.entity, r.engagement_id, r.customer,
           g.code as reversed_code, g.book as reversed_book, g.entity as reversed_entity,
           g.engagement_id as reversed_engagement_id, g.customer as reversed_customer,
           r.lines, g.mirrored
    from (
        select j.*, (
            select array_agg(concat_ws('|', account, side, amount_minor, currency, 'fee', fee,
                'hold', hold, 'invoice', invoice, 'item', item) order by line)
            from posting where group_id = j.id
        ) as lines
        from journal_group j where code = 'E30' or reverses is not null
    ) r
    left join (
        select j.*, (
            select array_agg(concat_ws('|', account, case side when 'D' then 'C' else 'D' end,
                amount_minor, currency, 'fee', fee,
                'hold', hold, 'invoice', invoice, 'item', item) order by line)
            from posting where group_id = j.id
        ) as mirrored
        from journal_group j
    ) g on g.id = r.reverses
    order by r.id
    """,
)
def _reversals_mirror(row: Row) -> Iterator[str]:
    yield from differs("the code", row["code"], "E30")
    if row["reversed_code"] is None:
        yield "found no group that it reverses, expected one"
        return
    if row["reversed_code"] == "E30":
        yield "found a reversal reversed, expected none"
    for name in ("book", "entity", "engagement_id", "customer"):
        yield from differs(f"the {name}", row[name], row[f"reversed_{name}"])
    yield from differs("the postings", row["lines"], row["mirrored"])
