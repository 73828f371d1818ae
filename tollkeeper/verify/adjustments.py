"""Caps, advances, gain share and service credits: recomputed from contract, documents and reports."""

from collections.abc import Iterator, Mapping
from typing import Any

from contracts.contract import Contract
from contracts.money import Money, parse_amount
from lifecycle.caps import authorised, by_level, price
from lifecycle.gain_share import Report, benefit_to_date, fee_to_date
from lifecycle.invoice import Purpose
from lifecycle.service_credits import limit
from lifecycle.tax import Taxed
from tollkeeper.verify.core import amount_of, contract_from, differs, invariant, zero
from tollkeeper.views.base import Row

LEVELS = """
    select e.engagement_id as name, c.document->>'currency' as currency,
           c.document::text as contract, coalesce((
               select jsonb_agg(l order by l.level) from cap_level l
               where l.engagement_id = e.engagement_id
           ), '[]') as levels, coalesce((
               select jsonb_agg(jsonb_build_object(
                   'fee', l.fee, 'purpose', i.purpose,
                   'sign', case i.document when 'invoice' then 1 else -1 end,
                   'net_minor', l.net_minor, 'tax_minor', l.tax_minor
               )) from invoice i join invoice_line l using (number)
               where i.engagement_id = e.engagement_id
           ), '[]') as lines, coalesce((
               select jsonb_agg(q.payload->'levels') from approval_request q
               where q.engagement_id = e.engagement_id
                 and q.decision = 'gain_share' and q.state = 'pending'
           ), '[]') as reservations
    from engagement e join contract_version c
      on c.contract_id = e.contract_id and c.version = e.contract_version
    order by e.engagement_id
"""


@invariant(
    "caps-kept",
    "c.5-11",
    "At every level, reserved and billed stay within what is authorised",
    LEVELS,
)
def _caps_kept(row: Row) -> Iterator[str]:
    for level in row["levels"]:
        used = Money(level["reserved_minor"] + level["billed_minor"], row["currency"])
        limit = Money(level["authorised_minor"], row["currency"])
        if used.minor > limit.minor:
            yield f"found {level['level']} reserved and billed {used}, expected at most {limit}"


@invariant(
    "caps-authorised",
    "c.5-11",
    "Every level is authorised for what the contract says",
    LEVELS,
)
def _caps_authorised(row: Row) -> Iterator[str]:
    yield from _levels_differ(row, "authorised", authorised(contract_from(row["contract"])))


@invariant(
    "caps-billed",
    "c.5-11",
    "Every level has billed what the lines of its documents come to",
    LEVELS,
)
def _caps_billed(row: Row) -> Iterator[str]:
    contract = contract_from(row["contract"])
    lines = (_counted(contract, line, row["currency"]) for line in row["lines"])
    yield from _levels_differ(row, "billed", by_level(contract, lines))


@invariant(
    "caps-reserved",
    "c.5-11",
    "Every level has reserved what pending requests would bill",
    LEVELS,
)
def _caps_reserved(row: Row) -> Iterator[str]:
    reserved: dict[str, Money] = {}
    for levels in row["reservations"]:
        for level, text in levels.items():
            amount = parse_amount(text.partition(" ")[0], row["currency"])
            reserved[level] = reserved.get(level, zero(row)) + amount
    yield from _levels_differ(row, "reserved", reserved)


@invariant(
    "advances-in-ledger",
    "c.5-3",
    "What is left of an advance is what was invoiced, less what was deducted and credited",
    """
    select i.number as name, i.currency, i.net_minor, i.tax_minor, d.*, n.*, coalesce((
               select sum(case p.side when 'C' then p.amount_minor else -p.amount_minor end)
               from posting p join journal_group g on g.id = p.group_id
               where g.engagement_id = i.engagement_id and p.account = '2110'
           ), 0) as left_minor
    from invoice i
    cross join lateral (
        select coalesce(sum(advance_minor - advance_tax_minor), 0) as deducted_minor,
               coalesce(sum(advance_tax_minor), 0) as deducted_tax_minor
        from invoice where engagement_id = i.engagement_id
    ) d
    cross join lateral (
        select coalesce(sum(net_minor), 0) as credited_minor,
               coalesce(sum(tax_minor), 0) as credited_tax_minor
        from invoice_line where corrects_number = i.number
    ) n
    where i.purpose = 'advance' and i.document = 'invoice' order by i.number
    """,
)
def _advances_in_ledger(row: Row) -> Iterator[str]:
    left = amount_of(row, "net") - amount_of(row, "deducted") - amount_of(row, "credited")
    tax = amount_of(row, "tax") - amount_of(row, "deducted_tax") - amount_of(row, "credited_tax")
    yield from differs("left", amount_of(row, "left"), left)
    if tax.minor < 0:
        yield f"found {-tax} more tax deducted and credited than invoiced, expected at most all of it"


@invariant(
    "gain-share-true-ups",
    "c.5-18",
    "The true-ups of a gain share come to the fee on the benefit to date of all reports at once",
    """
    select e.engagement_id as name, c.document->>'currency' as currency,
           c.document::text as contract, jsonb_agg(g order by g.id) as reports
    from gain_share g join engagement e using (engagement_id)
    join contract_version c
      on c.contract_id = e.contract_id and c.version = e.contract_version
    group by e.engagement_id, c.document order by e.engagement_id
    """,
)
def _gain_share_true_ups(row: Row) -> Iterator[str]:
    contract, last = contract_from(row["contract"]), row["reports"][-1]
    if contract.gain_share is None:
        yield "found reports of a benefit, expected a contract with a gain share"
        return
    reports = [
        Report(
            period=report["period"],
            benefit=Money(report["benefit_minor"], row["currency"]),
            evidence=report["evidence"],
        )
        for report in row["reports"]
    ]
    benefit = benefit_to_date(reports, row["currency"])
    expected = fee_to_date(contract.gain_share, benefit)
    last_benefit, last_fee, charged = (
        Money(minor, row["currency"])
        for minor in (
            last["benefit_to_date_minor"],
            last["fee_to_date_minor"],
            sum(report["amount_minor"] for report in row["reports"]),
        )
    )
    yield from differs("benefit to date", last_benefit, benefit)
    yield from differs("fee to date", last_fee, expected)
    yield from differs("true-ups of together", charged, expected)


@invariant(
    "service-credits-within-limit",
    "E25",
    "Service credits, granted and asked for, stay within the share of the fee that was agreed then",
    """
    select q.engagement_id as name, q.currency, agreed.contract,
           sum(q.amount_minor) over (partition by q.engagement_id order by asked.id) as granted_minor
    from approval_request q
    join event asked
      on asked.type = 'approval.requested' and asked.facts->>'request' = q.request_id
    cross join lateral (  -- in force by the event before it
        select c.document::text as contract
        from event t join contract_version c
          on t.facts->>'contract' = c.contract_id || '@v' || c.version
        where t.engagement_id = q.engagement_id and t.id < asked.id
          and t.type in ('engagement.opened', 'change_order.applied')
        order by t.id desc limit 1
    ) agreed
    where q.decision = 'service_credit' and q.state in ('pending', 'approved')
    order by asked.id
    """,
)
def _service_credits_within_limit(row: Row) -> Iterator[str]:
    granted, most = amount_of(row, "granted"), limit(contract_from(row["contract"]))
    if granted.minor > most.minor:
        yield f"found {granted} granted, expected at most {most}"


def _counted(contract: Contract, line: dict[str, Any], currency: str) -> tuple[str, Money]:
    part = Taxed(*(Money(line[f"{name}_minor"], currency) for name in ("net", "tax")))
    purpose, fee = Purpose(line["purpose"]), line["fee"]
    return fee, price(contract, purpose, fee, part, line["sign"])


def _levels_differ(row: Row, what: str, expected: Mapping[str, Money]) -> Iterator[str]:
    found = {
        level["level"]: Money(level[f"{what}_minor"], row["currency"]) for level in row["levels"]
    }
    for level in sorted(found.keys() | expected.keys()):
        wanted = expected.get(level, zero(row))
        yield from differs(f"{level} {what}", found.get(level, zero(row)), wanted)
