"""Engagements: bounds, final accounts, explanations, books apart."""

from collections.abc import Iterator

from contracts.explanation import Explanation
from tollkeeper.verify.core import amount_of, contract_from, differs, digest_of, invariant, zero
from tollkeeper.views.base import Row, money


@invariant(
    "loss-bound",
    "INV-05",
    "Before PROCEED no more than the loss bound is invoiced",
    """
    select 'engagement ' || e.engagement_id as name, c.document::text as contract, (
        select coalesce(sum(case i.document when 'invoice' then i.net_minor else -i.net_minor end), 0)
        from invoice i
        left join event issued on issued.engagement_id = i.engagement_id
          and issued.type in ('invoice.issued', 'credit_note.issued')
          and issued.facts->>'number' = i.number
        where i.engagement_id = e.engagement_id and not exists (
            select 1 from event p
            where p.engagement_id = e.engagement_id and p.type = 'engagement.proceeded'
              and p.id < issued.id
        )
    ) as invoiced_minor
    from engagement e join contract_version c
      on c.contract_id = e.contract_id and c.version = e.contract_version
    order by e.engagement_id
    """,
)
def _loss_bound(row: Row) -> Iterator[str]:
    bound = contract_from(row["contract"]).loss_bound()
    invoiced = money(row["invoiced_minor"], bound.currency)
    if invoiced.minor > bound.minor:
        yield f"found {invoiced} invoiced before PROCEED, expected at most {bound}"


@invariant(
    "fee-adds-up",
    "INV-06",
    "Fixed, released, forfeited and held are within the fee, and are the fee when it is closed",
    """
    select 'engagement ' || e.engagement_id as name, c.document::text as contract,
           e.proceeded_at, e.closed_at, f.currency, f.fixed_minor, h.*
    from engagement e
    join fixed_fee f using (engagement_id)
    join contract_version c
      on c.contract_id = e.contract_id and c.version = e.contract_version
    cross join lateral (
        select coalesce(sum(held_minor), 0) as held_minor,
               coalesce(sum(released_minor), 0) as released_minor,
               coalesce(sum(forfeited_minor), 0) as forfeited_minor
        from hold_balance b where b.engagement_id = e.engagement_id and b.bet is not null
    ) h
    order by e.engagement_id
    """,
)
def _fee_adds_up(row: Row) -> Iterator[str]:
    contract = contract_from(row["contract"])
    fee = sum((line.amount for line in contract.fees), zero(row))
    fixed, held = amount_of(row, "fixed"), amount_of(row, "held")
    released, forfeited = amount_of(row, "released"), amount_of(row, "forfeited")
    found = f"found fixed {fixed} + released {released} + forfeited {forfeited} + held {held}"
    settled = fixed + released + forfeited
    if (settled + held).minor > fee.minor:
        yield f"{found}, expected at most the fee {fee}"
    if row["closed_at"]:
        # Without PROCEED it was shelved, and closed with the micro-consulting fee alone.
        due = fee if row["proceeded_at"] else contract.loss_bound()
        if settled != due or held.minor:
            yield f"{found}, expected {due} and nothing held in a closed engagement"


@invariant(
    "amounts-explained",
    "c.5-19",
    "Every line, hold and decision has an explanation of its own amount, under its contract",
    """
    select number || '/' || line as name, i.currency, l.net_minor,
           i.contract_id || '@v' || i.contract_version as contract,
           jsonb_build_array(l.explanation) as explanations
    from invoice_line l join invoice i using (number)
    union all
    select d.key, d.currency, d.amount_minor, e.contract_id || '@v' || e.contract_version,
           d.explanations
    from decision_record d join engagement e using (engagement_id)
    union all
    select m.key || ' ' || m.movement, h.currency, m.amount_minor,
           e.contract_id || '@v' || e.contract_version,
           case when m.explanation is null then '[]' else jsonb_build_array(m.explanation) end
    from hold_movement m join hold h using (hold_id) join engagement e using (engagement_id)
    where m.movement = 'placed'
    order by name
    """,
)
def _amounts_explained(row: Row) -> Iterator[str]:
    explanations = [Explanation.model_validate(entry) for entry in row["explanations"]]
    explained = sum((explanation.amount for explanation in explanations), zero(row))
    yield from differs("an explanation of", explained, amount_of(row, "net"))
    for explanation in explanations:
        # What was decided under a version is booked as decided, after a change order as well.
        name, _, version = explanation.contract.rpartition("@v")
        contract, _, latest = row["contract"].rpartition("@v")
        if name != contract or int(version) > int(latest):
            yield f"found an explanation under {explanation.contract}, expected {row['contract']}"


@invariant(
    "contracts-unaltered",
    "c.1-2",
    "Every contract version has the digest that it was registered with",
    """
    select contract_id || '@v' || version as name, document, digest from contract_version
    order by contract_id, version
    """,
)
def _contracts_unaltered(row: Row) -> Iterator[str]:
    yield from differs("a document with digest", digest_of(row["document"]), row["digest"])


@invariant(
    "books-apart",
    "sandbox",
    "Test-clock engagements are in the sandbox book and series, all others in the live ones",
    """
    select 'engagement ' || engagement_id as name, book as found,
           case clock when 'test' then 'sandbox' else 'live' end as expected
    from engagement
    union all
    select number, i.book, e.book from invoice i join engagement e using (engagement_id)
    union all
    select 'series of ' || number, case when series like 'TEST-%' then 'sandbox' else 'live' end,
           e.book
    from invoice i join engagement e using (engagement_id)
    union all
    select 'journal group ' || key, g.book, e.book
    from journal_group g join engagement e using (engagement_id)
    union all
    select 'message ' || key, o.book, e.book from outbox o join engagement e using (engagement_id)
    order by name
    """,
)
def _books_apart(row: Row) -> Iterator[str]:
    yield from differs("the book", row["found"], row["expected"])
