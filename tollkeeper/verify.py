"""The books checked against themselves: each invariant recomputed from what is stored."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from activities.ledger import digest
from activities.postgres import Connection, Pool
from contracts.contract import Contract, HoldEffect, SettlementWindow, TrendWindow
from contracts.errors import EngagementError
from contracts.explanation import Explanation
from contracts.fields import canonical
from contracts.indicators import Indicator
from contracts.money import Money
from lifecycle.bet import Reading, Verdict, assess, read_trends, reading_for
from lifecycle.ledger import Group, Posting, tax_of_part
from lifecycle.orders import Assessed, TrendRead
from tollkeeper.queries import DOCUMENTS, Row, money, snapshot

SECONDS = 600.0
"""Longest wait for the next rows of a check; a sum over a whole ledger takes its time."""
ROWS_AHEAD = 1_000


class Check(BaseModel):
    """One invariant: how many objects it was checked on, and each one that breaks it."""

    model_config = ConfigDict(frozen=True)

    id: str
    rule: str
    title: str
    checked: int
    violations: tuple[str, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        return not self.violations


class Verification(BaseModel):
    """All checks on one state of the database."""

    model_config = ConfigDict(frozen=True)

    checks: tuple[Check, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


Judge = Callable[[Row], Iterator[str]]
"""From a row about one object to what is wrong with it: found, expected."""


@dataclass(frozen=True)
class Invariant:
    """A query with one row an object, called `name`, and a judgement of each row."""

    id: str
    rule: str
    title: str
    query: str
    judge: Judge


INVARIANTS: list[Invariant] = []


def invariant(id: str, rule: str, title: str, query: str) -> Callable[[Judge], Judge]:
    """Register a judgement; the checks run in the order of this file."""

    def register(judge: Judge) -> Judge:
        INVARIANTS.append(Invariant(id, rule, title, query, judge))
        return judge

    return register


async def verify(pool: Pool) -> Verification:
    """Check every invariant on one snapshot of the database; nothing is written."""
    checks: list[Check] = []
    async with snapshot(pool) as connection:
        for query, rules in groupby(INVARIANTS, key=lambda rule: rule.query):
            checks += await _checked(connection, query, list(rules))
    return Verification(checks=tuple(checks))


async def _checked(connection: Connection, query: str, rules: list[Invariant]) -> list[Check]:
    """Invariants that look at the same rows, in one pass over them."""
    checked, violations = 0, defaultdict[str, list[str]](list)
    async for row in connection.cursor(query, prefetch=ROWS_AHEAD, timeout=SECONDS):
        checked += 1
        for rule in rules:
            violations[rule.id] += [f"{row['name']}: {fault}" for fault in _faults(rule, row)]
    return [
        Check(
            id=rule.id,
            rule=rule.rule,
            title=rule.title,
            checked=checked,
            violations=tuple(violations[rule.id]),
        )
        for rule in rules
    ]


def _faults(rule: Invariant, row: Row) -> list[str]:
    """What is wrong with one object; what can no longer be read is wrong as well."""
    try:
        return list(rule.judge(row))
    except (ValueError, TypeError, LookupError, ArithmeticError, EngagementError) as unreadable:
        why = str(unreadable).partition("\n")[0]
        return [f"found what cannot be read ({why}), expected it as it was written"]


def _differs(what: str, found: object, expected: object) -> Iterator[str]:
    if found != expected:
        yield f"found {what} {found}, expected {expected}"


def _amount(row: Row, name: str) -> Money:
    return money(row[f"{name}_minor"], row["currency"])


# The ledger.

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
    group = Group(code=row["code"], postings=tuple(map(_posting, row["postings"])))
    yield from _differs("postings with digest", digest(group), row["digest"])


def _posting(stored: dict[str, Any]) -> Posting:
    return Posting(
        account=stored["account"],
        side=stored["side"],
        amount=Money(stored["amount_minor"], stored["currency"]),
        fee=stored["fee"],
        hold=stored["hold"],
        invoice=stored["invoice"],
    )


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
    yield from _differs(f"a difference in {row['currency']} of", _amount(row, "sum"), _zero(row))


def _zero(row: Row) -> Money:
    return Money(0, row["currency"])


@invariant(
    "accounts-not-negative",
    "c.5-4",
    "No account of an invoice, a hold or a fee line is on its wrong side",
    """
    select 'engagement ' || g.engagement_id || ', account ' || a.code || ' ' || a.name
           || coalesce(', ' || d.dimension, '') as name, p.currency,
           sum(case p.side when a.normal then p.amount_minor else -p.amount_minor end) as sum_minor
    from posting p
    join journal_group g on g.id = p.group_id
    join account a on a.code = p.account
    cross join lateral (select case
        when a.code in ('1100', '1120', '2400') then p.invoice
        when a.code in ('M40', 'M49') then p.hold
        else p.fee
    end as dimension) d
    where a.never_negative
    group by g.engagement_id, a.code, d.dimension, p.currency
    order by g.engagement_id, a.code, d.dimension, p.currency
    """,
)
def _accounts_not_negative(row: Row) -> Iterator[str]:
    balance = _amount(row, "sum")
    if balance.minor < 0:
        yield f"found {balance} {row['currency']}, expected 0 or more"


# Documents.


@invariant(
    "documents-add-up",
    "c.5-7",
    "The lines of a document come to its net, net and tax to its gross, and its tax is the rate",
    """
    select i.number as name, i.*, coalesce(l.lines_minor, 0) as lines_minor
    from invoice i left join (
        select number, sum(net_minor) as lines_minor from invoice_line group by number
    ) l using (number)
    order by i.number
    """,
)
def _documents_add_up(row: Row) -> Iterator[str]:
    net, tax = _amount(row, "net"), _amount(row, "tax")
    yield from _differs("lines of together", _amount(row, "lines"), net)
    yield from _differs("gross", _amount(row, "gross"), net + tax)
    # A credit note takes back a part of its invoice's tax, rounded over all parts.
    if row["document"] == "invoice":
        yield from _differs("tax", tax, net.share(Fraction(row["tax_rate"])))


@invariant(
    "claims-in-ledger",
    "c.5-3",
    "What an invoice claims now, and what was credited, come to its gross",
    f"select number as name, * from ({DOCUMENTS}) d where document = 'invoice' order by number",
)
def _claims_in_ledger(row: Row) -> Iterator[str]:
    payable, withheld = _amount(row, "payable"), _amount(row, "withheld")
    credited, gross = _amount(row, "credited"), _amount(row, "gross")
    if payable + withheld + credited != gross:
        yield (
            f"found open {payable} + withheld {withheld} + credited {credited}, "
            f"expected the gross {gross}"
        )


@invariant(
    "credits-within-invoice",
    "c.5-8",
    "Credit notes never exceed their invoice, in net and in tax",
    """
    select i.number as name, i.currency, i.net_minor, i.tax_minor,
           sum(c.net_minor) as credited_net_minor, sum(c.tax_minor) as credited_tax_minor
    from invoice i join invoice c on c.corrects = i.number
    group by i.number order by i.number
    """,
)
def _credits_within_invoice(row: Row) -> Iterator[str]:
    for part in ("net", "tax"):
        credited, invoiced = _amount(row, f"credited_{part}"), _amount(row, part)
        if credited.minor > invoiced.minor:
            yield f"found {part} {credited} credited, expected at most {invoiced}"


@invariant(
    "numbers-without-gap",
    "c.5-9",
    "The numbers of a series and year run from 1 to its last, each once",
    """
    select series, year, series || ' of ' || year as name, coalesce(last, 0) as last,
           coalesce(sequences, '{}') as sequences
    from invoice_series full join (
        select series, year, array_agg(sequence) as sequences from invoice group by series, year
    ) issued using (series, year)
    order by series, year
    """,
)
def _numbers_without_gap(row: Row) -> Iterator[str]:
    def number(sequence: int) -> str:
        return f"{row['series']}-{row['year']}-{sequence:06}"

    before = 0
    for sequence in sorted(row["sequences"]):
        if sequence == before:
            yield f"found {number(sequence)} twice, expected it once"
        if sequence > before + 1:
            yield f"found none from {number(before + 1)} to {number(sequence - 1)}, expected no gap"
        before = sequence
    yield from _differs("the last number", number(before), number(row["last"]))


@invariant(
    "numbers-in-order",
    "c.5-9",
    "A document has the number of its series and place, and left after the one before it",
    """
    select i.number as name, i.series, i.year, i.sequence, i.issued_on, o.id as sent,
           lag(i.number) over before as earlier, lag(o.id) over before as earlier_sent
    from invoice i left join outbox o on o.key = i.number
    window before as (partition by i.series, i.year order by i.sequence)
    order by i.series, i.year, i.sequence
    """,
)
def _numbers_in_order(row: Row) -> Iterator[str]:
    number = f"{row['series']}-{row['year']}-{row['sequence']:06}"
    yield from _differs("the number", row["name"], number)
    yield from _differs("the year of issue", row["issued_on"].year, row["year"])
    if row["sent"] and row["earlier_sent"] and row["sent"] < row["earlier_sent"]:
        yield f"found it issued before {row['earlier']}, expected after"


@invariant(
    "claims-billed-once",
    "c.5-10",
    "A tranche is billed, or credited, on one line",
    """
    select claim as name, array_agg(number || '/' || line order by number, line) as lines
    from invoice_line group by claim order by claim
    """,
)
def _claims_billed_once(row: Row) -> Iterator[str]:
    if len(row["lines"]) > 1:
        yield f"found {', '.join(row['lines'])}, expected one line"


@invariant(
    "documents-sent",
    "c.1-4",
    "Every document is in the outbox, with its own amounts",
    """
    select i.number as name, i.currency, i.document, i.net_minor, i.tax_minor, i.gross_minor,
           o.kind, o.payload
    from invoice i left join outbox o on o.key = i.number order by i.number
    """,
)
def _documents_sent(row: Row) -> Iterator[str]:
    payload = row["payload"]
    if payload is None:
        yield "found no message in the outbox, expected one"
        return
    yield from _differs("a message about", row["kind"], row["document"])
    yield from _differs("a message with net", payload["net"], str(_amount(row, "net")))
    yield from _differs("a message with tax", payload["tax"]["amount"], str(_amount(row, "tax")))
    yield from _differs("a message with gross", payload["gross"], str(_amount(row, "gross")))


# Holds and verdicts.


@invariant(
    "holds-within-placed",
    "c.5-5",
    "A hold is placed once, and no more is decided than was placed",
    """
    select b.hold_id as name, b.currency, b.held_minor, (
        select count(*) from hold_movement m where m.hold_id = b.hold_id and movement = 'placed'
    ) as placements
    from hold_balance b order by b.hold_id
    """,
)
def _holds_within_placed(row: Row) -> Iterator[str]:
    yield from _differs("placements:", row["placements"], 1)
    if (held := _amount(row, "held")).minor < 0:
        yield f"found {held} held, expected 0 or more"


@invariant(
    "holds-in-ledger",
    "c.5-5",
    "The ledger holds what the hold holds: net while not invoiced, gross where withheld",
    """
    select b.hold_id as name, b.*, coalesce(i.tax_minor, 0) as tax_minor,
           coalesce(p.stake_minor, 0) as stake_minor,
           coalesce(p.withheld_minor, 0) as withheld_minor
    from hold_balance b
    left join invoice i on i.number = b.invoice
    left join (
        select hold, sum(minor) filter (where account = 'M40') as stake_minor,
               sum(minor) filter (where account = '1120') as withheld_minor
        from posting, lateral (
            select case side when 'D' then amount_minor else -amount_minor end as minor
        ) signed
        group by hold
    ) p on p.hold = b.hold_id
    order by b.hold_id
    """,
)
def _holds_in_ledger(row: Row) -> Iterator[str]:
    held, tax, nothing = _amount(row, "held"), _amount(row, "tax"), _zero(row)
    stake, withheld = held, nothing
    if row["effect"] == HoldEffect.WITHHOLD_PAYMENT:
        placed, decided = _amount(row, "placed"), _amount(row, "placed") - held
        stake, withheld = nothing, held + tax - tax_of_part(tax, placed, nothing, decided)
    yield from _differs("stake not invoiced (M40)", _amount(row, "stake"), stake)
    yield from _differs("withheld (1120)", _amount(row, "withheld"), withheld)


@invariant(
    "decisions-on-record",
    "BET-02",
    "What left a hold has a decision on record, of the amount that the verdict gives",
    """
    select left_hold.key as name, left_hold.*, h.currency,
           v.result->'verdict'->>left_hold.decision as given
    from (
        select key, hold_id, m.movement, m.amount_minor as moved_minor,
               d.decision, d.amount_minor as decided_minor
        from (select * from hold_movement where movement <> 'placed') m
        full join decision_record d using (key, hold_id)
    ) left_hold
    join hold h using (hold_id)
    left join verdict v on v.key = regexp_replace(left_hold.key, ':(release|forfeit)$', ':verdict')
    order by left_hold.key
    """,
)
def _decisions_on_record(row: Row) -> Iterator[str]:
    if row["movement"] is None or row["decision"] is None:
        yield (
            f"found the movement {row['movement']} and the decision {row['decision']}, "
            "expected both alike"
        )
        return
    if row["given"] is None:
        yield "found no verdict, expected the one that decided"
        return
    given = row["given"].removesuffix(f" {row['currency']}")
    yield from _differs("the decision", row["decision"], row["movement"])
    yield from _differs("moved", str(_amount(row, "moved")), given)
    yield from _differs("decided", str(_amount(row, "decided")), given)


@invariant(
    "verdicts-recompute",
    "INV-12",
    "A verdict comes out again from the contract and the readings that were known",
    """
    select v.key as name, v.kind, v.bet, v.window_id, v.started_on, v.result,
           c.document::text as contract, c.indicators::text as indicators, coalesce((
               select jsonb_agg(
                   to_jsonb(r) || jsonb_build_object('value', r.value::text) order by r.id
               )
               from reading r where r.engagement_id = v.engagement_id and r.id <= v.last_reading
           ), '[]') as readings
    from verdict v
    join engagement e using (engagement_id)
    join contract_version c
      on c.contract_id = e.contract_id and c.version = e.contract_version
    order by v.key
    """,
)
def _verdicts_recompute(row: Row) -> Iterator[str]:
    contract = _contract(row["contract"])
    bet = contract.bet(row["bet"])
    window = {window.id: window for window in bet.windows}[row["window_id"]]
    indicators = _indicators(row["indicators"])
    readings = _readings(row["readings"])
    match window:
        case TrendWindow():
            read = read_trends(bet, window, row["started_on"], readings, indicators)
            found = TrendRead.model_validate(row["result"]).trends
            yield from _differs("trends", _words(found), _words(read))
        case SettlementWindow():
            measured = {}
            for name in window.settles:
                reading = reading_for(window, row["started_on"], indicators[name], readings)
                if reading is None:
                    yield f"found no reading of {name} that counts, expected one"
                    return
                measured[name] = reading
            yield from _verdict_differs(
                Assessed.model_validate(row["result"]).verdict,
                assess(contract, bet, window, measured, indicators),
            )


def _verdict_differs(found: Verdict | None, expected: Verdict) -> Iterator[str]:
    yield from _differs("the verdict", _parts(found), _parts(expected))
    if _parts(found) == _parts(expected):
        yield from _differs("an explanation with digest", _digest(found), _digest(expected))


def _parts(verdict: Verdict | None) -> str:
    parts = [
        f"{part.indicator} released {part.released} forfeited {part.forfeited}"
        for part in (verdict.indicators if verdict else ())
    ]
    return ", ".join(parts) or "nothing decided"


def _readings(stored: Iterable[dict[str, Any]]) -> list[Reading]:
    """In the order they came; a later one of the same day corrects the earlier."""
    readings = map(Reading.model_validate, stored)
    by_day = {(reading.indicator, reading.measured_on): reading for reading in readings}
    return list(by_day.values())


def _words(trends: dict[str, Any]) -> str:
    return ", ".join(f"{indicator} {trend}" for indicator, trend in sorted(trends.items()))


# Engagements.


@invariant(
    "loss-bound",
    "INV-05",
    "Before PROCEED no more than the loss bound is invoiced",
    """
    select 'engagement ' || e.engagement_id as name, c.document::text as contract, (
        select coalesce(sum(case when i.corrects is null then i.net_minor else -i.net_minor end), 0)
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
    bound = _contract(row["contract"]).loss_bound()
    invoiced = money(row["invoiced_minor"], bound.currency)
    if invoiced.minor > bound.minor:
        yield f"found {invoiced} invoiced before PROCEED, expected at most {bound}"


@invariant(
    "fee-adds-up",
    "INV-06",
    "Fixed, released, forfeited and held are within the fee, and are the fee when it is closed",
    """
    select 'engagement ' || e.engagement_id as name, c.document::text as contract,
           e.proceeded_at, e.closed_at, c.document->>'currency' as currency,
           (select coalesce(sum(case p.side when 'C' then amount_minor else -amount_minor end), 0)
            from posting p join journal_group g on g.id = p.group_id
            where g.engagement_id = e.engagement_id and p.account = '4000') as fixed_minor,
           h.*
    from engagement e
    join contract_version c
      on c.contract_id = e.contract_id and c.version = e.contract_version
    cross join lateral (
        select coalesce(sum(held_minor), 0) as held_minor,
               coalesce(sum(released_minor), 0) as released_minor,
               coalesce(sum(forfeited_minor), 0) as forfeited_minor
        from hold_balance b where b.engagement_id = e.engagement_id
    ) h
    order by e.engagement_id
    """,
)
def _fee_adds_up(row: Row) -> Iterator[str]:
    contract = _contract(row["contract"])
    fee = sum((line.amount for line in contract.fees), _zero(row))
    fixed, held = _amount(row, "fixed"), _amount(row, "held")
    released, forfeited = _amount(row, "released"), _amount(row, "forfeited")
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
    "Every line and every decision has an explanation of its own amount, under its contract",
    """
    select number || '/' || line as name, i.currency, l.net_minor,
           i.contract_id || '@v' || i.contract_version as contract,
           jsonb_build_array(l.explanation) as explanations
    from invoice_line l join invoice i using (number)
    union all
    select d.key, d.currency, d.amount_minor, e.contract_id || '@v' || e.contract_version,
           d.explanations
    from decision_record d join engagement e using (engagement_id)
    order by name
    """,
)
def _amounts_explained(row: Row) -> Iterator[str]:
    explanations = [Explanation.model_validate(entry) for entry in row["explanations"]]
    explained = sum((explanation.amount for explanation in explanations), _zero(row))
    yield from _differs("an explanation of", explained, _amount(row, "net"))
    for explanation in explanations:
        yield from _differs("an explanation under", explanation.contract, row["contract"])


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
    yield from _differs("a document with digest", _digest(row["document"]), row["digest"])


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
    yield from _differs("the book", row["found"], row["expected"])


# Effects.


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
    where e.result ?| array['number', 'hold', 'document']
    order by e.key
    """,
)
def _answers_on_record(row: Row) -> Iterator[str]:
    answer = row["result"]
    if "number" in answer:
        gross = None if row["number"] is None else _text(_amount(row, "gross"))
        yield from _differs("the document", row["number"], answer["number"])
        yield from _differs("gross", gross, answer["gross"])
    else:
        moved = None if row["moved_minor"] is None else _text(_amount(row, "moved"))
        yield from _differs("moved", moved, answer["amount"])


def _text(amount: Money) -> str:
    return f"{amount} {amount.currency}"


def _digest(value: object) -> str:
    return sha256(canonical(value).encode()).hexdigest()


@lru_cache(maxsize=64)
def _contract(document: str) -> Contract:
    return Contract.model_validate_json(document)


@lru_cache(maxsize=64)
def _indicators(stored: str) -> dict[str, Indicator]:
    return {entry["id"]: Indicator.model_validate(entry) for entry in json.loads(stored)}
