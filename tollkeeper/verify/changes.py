"""Change orders: agreed by both sides, and billed as if their version had been in force from the start."""

from collections import Counter
from collections.abc import Iterator

from contracts.money import Money
from lifecycle.change_order import Bill, billed_as, billed_of
from tollkeeper.verify.core import amount_of, contract_from, differs, invariant
from tollkeeper.views.base import Row


@invariant(
    "changes-agreed",
    "c.5-13",
    "A change order that both sides agreed on has a signature of each, on the version that is in force",
    """
    select c.change_id as name, c.state, c.digest, c.version, q.state as request, e.contract_version,
           q.payload->>'sha256' as signed, n.digest as registered, o.document::text as contract,
           array(select person from approval_signature s where s.request_id = c.request_id) as people
    from change_order c
    join approval_request q using (request_id)
    join engagement e on e.engagement_id = c.engagement_id
    join contract_version o on o.contract_id = e.contract_id and o.version = c.version - 1
    left join contract_version n on n.contract_id = e.contract_id and n.version = c.version
    where c.state <> 'proposed' order by c.change_id
    """,
)
def _changes_agreed(row: Row) -> Iterator[str]:
    yield from differs("a request that is", row["request"], "approved")
    yield from differs("a signature of", row["signed"], row["digest"])
    parties = contract_from(row["contract"]).parties
    for side in (parties.client, parties.consultant):
        if not {person.id for person in side.people} & set(row["people"]):
            yield f"found no signature of {side.entity}, expected one"
    if row["state"] == "applied":
        yield from differs("version in force with digest", row["registered"], row["digest"])
        if row["contract_version"] < row["version"]:
            yield f"found version {row['contract_version']} in force, expected {row['version']}"


@invariant(
    "changes-billed",
    "c.5-17",
    "What was billed under an earlier version, with its deltas, is the bill of the version in force",
    """
    select i.number as name, i.currency, i.purpose, i.key, billed.document::text as billed_under,
           current.document::text as current, coalesce((
               select sum(forfeited_minor) from hold_balance h
               where h.engagement_id = i.engagement_id and h.effect = 'block_invoicing'
                 and i.key = 'eng.' || h.engagement_id || '.milestone.' || h.milestone || ':bill'
           ), 0)::bigint as forfeited_minor, (
               select jsonb_agg(jsonb_build_object('fee', l.fee, 'net', l.net_minor))
               from invoice_line l where l.number = i.number
           ) as lines, coalesce((
               select jsonb_agg(jsonb_build_object(
                   'fee', l.fee, 'code', l.tax_code,
                   'net', case d.document when 'invoice' then l.net_minor else -l.net_minor end,
                   'tax', case d.document when 'invoice' then l.tax_minor else -l.tax_minor end
               ))
               from invoice_line l join invoice d on d.number = l.number and d.purpose = 'delta'
               join invoice_line o on o.number = l.corrects_number and o.line = l.corrects_line
               where coalesce(o.corrects_number, o.number) = i.number
           ), '[]') as deltas
    from invoice i join engagement e using (engagement_id)
    join contract_version billed
      on billed.contract_id = i.contract_id and billed.version = i.contract_version
    join contract_version current
      on current.contract_id = e.contract_id and current.version = e.contract_version
    where i.document = 'invoice' and i.purpose in ('micro', 'milestone')
      and i.contract_version <> e.contract_version
    order by i.number
    """,
)
def _changes_billed(row: Row) -> Iterator[str]:
    before, after = contract_from(row["billed_under"]), contract_from(row["current"])
    bill = Bill(
        number=row["name"],
        what=billed_of(row["purpose"], row["key"]),
        forfeited=amount_of(row, "forfeited"),
        tranches=(),
    )
    one, other = billed_as(before, bill), billed_as(after, bill)
    net, tax = Counter[str](), Counter[str]()
    for line in (*row["lines"], *row["deltas"]):
        net[line["fee"]] += line["net"]
    for fee, part in other.items():
        found = Money(net[fee], row["currency"])
        yield from differs(f"{fee} billed and corrected to", found, part.net)
    for line in row["deltas"]:
        tax[line["code"]] += line["tax"]
    for fee, part in other.items():
        tax[after.tax_of(fee).code] -= part.tax.minor - one[fee].tax.minor
    for code, minor in sorted(tax.items()):
        yield from differs(f"a delta of tax {code} that is off by", minor, 0)
