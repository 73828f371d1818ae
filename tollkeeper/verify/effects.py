"""Effects: what was written belongs to one, and answered what is stored."""

from collections.abc import Iterator

from tollkeeper.verify.core import amount_of, differs, invariant, text_of
from tollkeeper.views.base import Row


@invariant(
    "effects-complete",
    "c.5-2",
    "What is written once belongs to an effect, and money that moves has its postings",
    """
    select written.*, e.key is not null as done,
           exists (select 1 from journal_group g where g.effect_key = written.key) as booked
    from (
        select 'document ' || number as name, key, true as moves_money from invoice
        union all select 'movement ' || id || ' of ' || hold_id, key, true from hold_movement
        union all select 'journal group ' || key, effect_key, false from journal_group
        union all select 'decision ' || key, key, false from decision_record
        union all select 'reading ' || key, key, false from reading
        union all select 'verdict ' || key, key, false from verdict
        union all select 'signature of ' || request_id || ' by ' || person, key, false
            from approval_signature
        union all select 'receipt ' || receipt_id, key, false from receipt
        union all select 'customer of ' || receipt_id, key, false from receipt_customer
        union all select 'gain share ' || key, key, false from gain_share
        union all select 'close of ' || entity || ' ' || month, key, false from period_close
    ) written
    left join effect e using (key)
    order by name
    """,
)
def _effects_complete(row: Row) -> Iterator[str]:
    if not row["done"]:
        yield f"found no effect {row['key']}, expected it"
    if row["moves_money"] and not row["booked"]:
        yield f"found no journal group of {row['key']}, expected its postings"


@invariant(
    "answers-on-record",
    "c.5-2",
    "What an effect answered is what the database has",
    """
    select e.key as name, e.result, i.number, i.gross_minor,
           m.amount_minor as moved_minor, coalesce(i.currency, h.currency) as currency
    from effect e
    left join invoice i using (key)
    left join hold_movement m using (key)
    left join hold h using (hold_id)
    where e.result ? 'number' or e.result ?& array['hold', 'amount'] or m.key is not null
    order by e.key
    """,
)
def _answers_on_record(row: Row) -> Iterator[str]:
    answer = row["result"]
    if "number" in answer:
        gross = None if row["number"] is None else text_of(amount_of(row, "gross"))
        yield from differs("the document", row["number"], answer["number"])
        # Where all of it is forfeited there is no document.
        yield from differs("gross", gross, answer["gross"] if answer["number"] else None)
    else:
        moved = None if row["moved_minor"] is None else text_of(amount_of(row, "moved"))
        yield from differs("moved", moved, answer["amount"])
