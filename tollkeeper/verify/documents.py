"""Invoices and credit notes: sums, numbers, claims, messages."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from lifecycle.invoice import retention_now
from tollkeeper.verify.core import amount_of, contract_from, differs, invariant, zero
from tollkeeper.views.base import Row


@invariant(
    "documents-add-up",
    "c.5-7",
    "The lines of a document come to its net and its tax, so do its tax groups, and with them its gross",
    """
    select i.number as name, i.*, coalesce(l.net, 0) as lines_net_minor,
           coalesce(l.tax, 0) as lines_tax_minor, coalesce(l.deferred, 0) as lines_deferred_minor,
           coalesce(t.net, 0) as groups_net_minor, coalesce(t.tax, 0) as groups_tax_minor
    from invoice i left join (
        select number, sum(net_minor) as net, sum(tax_minor) as tax, sum(deferred_minor) as deferred
        from invoice_line group by number
    ) l using (number) left join (
        select number, sum(net_minor) as net, sum(tax_minor) as tax from invoice_tax group by number
    ) t using (number)
    order by i.number
    """,
)
def _documents_add_up(row: Row) -> Iterator[str]:
    net, tax, deferred = (amount_of(row, name) for name in ("net", "tax", "deferred"))
    yield from differs("lines of together", amount_of(row, "lines_net"), net)
    yield from differs("tax of lines of together", amount_of(row, "lines_tax"), tax)
    yield from differs("taxed later on lines", amount_of(row, "lines_deferred"), deferred)
    yield from differs("taxed in groups", amount_of(row, "groups_net"), net - deferred)
    yield from differs("tax of groups of together", amount_of(row, "groups_tax"), tax)
    yield from differs("gross", amount_of(row, "gross"), net + tax)


@invariant(
    "tax-by-rate",
    "c.6",
    "The lines of a code and rate come to its tax group, whose tax is the rate, with their signs",
    """
    select number || ' ' || tax_code || ' ' || tax_rate as name, i.currency, i.purpose, l.lines,
           t.tax_rate, t.net_minor, t.tax_minor,
           jsonb_path_query_array(c.document, '$.fees[*] ? (@.prices == "gross").id') as gross_fees
    from invoice_tax t join invoice i using (number)
    join contract_version c on c.contract_id = i.contract_id and c.version = i.contract_version
    full join (
        select number, tax_code, tax_rate, jsonb_agg(jsonb_build_object(
                   'fee', fee, 'taxable', net_minor - deferred_minor, 'tax', tax_minor,
                   'corrects', corrects_number
               ) order by line) as lines
        from invoice_line group by number, tax_code, tax_rate
    ) l using (number, tax_code, tax_rate)
    order by number, tax_code, tax_rate
    """,
)
def _tax_by_rate(row: Row) -> Iterator[str]:
    if row["lines"] is None or row["tax_rate"] is None:
        yield "found lines or a group alone, expected both"
        return
    lines, rate = row["lines"], Fraction(row["tax_rate"])
    yield from differs("taxed on lines", sum(line["taxable"] for line in lines), row["net_minor"])
    yield from differs("tax on lines", sum(line["tax"] for line in lines), row["tax_minor"])
    # A delta of a small net may have its rounding on the other side.
    for line in lines if row["purpose"] != "delta" else ():
        if line["taxable"] * line["tax"] < 0:
            yield f"found tax {line['tax']} on {line['taxable']}, expected it on the same side of 0"
    # A line that corrects another takes back a part of its tax instead.
    charged = [line for line in lines if not line["corrects"]]
    exact = sum(line["taxable"] for line in charged) * rate
    tax = sum(line["tax"] for line in charged)
    # Prices with the tax inside fix the gross: their net is rounded first, and the tax is the rest.
    gross = any(line["fee"] in row["gross_fees"] for line in charged)
    if abs(tax - exact) > (1 + rate / 2 if gross else Fraction(1, 2)):
        due = Decimal(exact.numerator) / exact.denominator
        yield f"found tax {tax} minor units, expected {rate} of what is taxed, {due:.2f}"


@invariant(
    "claims-in-ledger",
    "c.5-3",
    "What an invoice claims now, and what was paid, credited and written off, come to its gross",
    "select number as name, * from invoice_settlement order by number",
)
def _claims_in_ledger(row: Row) -> Iterator[str]:
    """What was credited after it was paid went to the customer's credit, and is no part of the claim."""
    names = ("open", "retained", "withheld", "disputed", "paid", "credited", "written_off")
    parts = {name: amount_of(row, name) for name in (*names, "billed_again")}
    returned = amount_of(row, "returned")
    found = sum(parts.values(), zero(row)) - returned
    expected = amount_of(row, "gross") - amount_of(row, "advance")
    if found != expected:
        words = [f"{name.replace('_', ' ')} {part}" for name, part in parts.items() if part.minor]
        less = f" less returned {returned}" if returned.minor else ""
        yield (
            f"found {' + '.join(words) or 'nothing'}{less}, "
            f"expected the gross without the advance, {expected}"
        )


@invariant(
    "retained-and-withheld",
    "c.5-3",
    "The ledger took from the open claim of an invoice what the document retains and withholds",
    """
    select i.number as name, i.currency, i.retained_minor, i.withheld_minor, i.advance_minor,
           coalesce(p.retained, 0) as found_retained_minor,
           coalesce(p.withheld, 0) as found_withheld_minor,
           coalesce(p.advance, 0) as found_advance_minor
    from invoice i left join lateral (
        select sum(p.amount_minor) filter (where p.account = '1110') as retained,
               sum(p.amount_minor) filter (where p.account = '1120') as withheld,
               sum(p.amount_minor) filter (where p.account = '2110') + i.advance_tax_minor as advance
        from posting p join journal_group g on g.id = p.group_id
        where p.invoice = i.number and p.side = 'D' and g.code in ('E02', 'E03', 'E06', 'E17')
    ) p on true
    where i.document = 'invoice' order by i.number
    """,
)
def _retained_and_withheld(row: Row) -> Iterator[str]:
    for part in ("retained", "withheld", "advance"):
        yield from differs(part, amount_of(row, f"found_{part}"), amount_of(row, part))


@invariant(
    "retention-to-date",
    "c.5-12",
    "What milestone invoices retain is the rate of their base to date, up to the limit",
    """
    select 'engagement ' || i.engagement_id as name, i.currency, c.document::text as contract,
           sum(i.retained_minor) as retained_minor, sum(l.net) as net_minor, sum(l.gross) as gross_minor
    from invoice i
    join contract_version c on c.contract_id = i.contract_id and c.version = i.contract_version
    cross join lateral (
        select coalesce(sum(net_minor), 0) as net, coalesce(sum(net_minor + tax_minor), 0) as gross
        from invoice_line where number = i.number and fee = c.document->'retention'->>'fee'
    ) l
    where i.purpose = 'milestone' and c.document ? 'retention' and not exists (
        -- Under terms that were amended between them, each kept to its own.
        select 1 from invoice other
        where other.engagement_id = i.engagement_id and other.purpose = 'milestone'
          and other.contract_version <> i.contract_version
    )
    group by i.engagement_id, i.currency, c.document order by i.engagement_id
    """,
)
def _retention_to_date(row: Row) -> Iterator[str]:
    contract, nothing = contract_from(row["contract"]), zero(row)
    terms = contract.retention
    assert terms
    fee, base = contract.fee(terms.fee).amount, amount_of(row, terms.base)
    expected = retention_now(terms, fee, nothing, base, nothing)
    yield from differs("retained", amount_of(row, "retained"), expected)


@invariant(
    "credits-in-ledger",
    "c.5-3",
    "The credit notes about an invoice come to what the ledger has as credited",
    """
    select s.number as name, s.currency, s.credited_minor, (
        select coalesce(sum(
            case d.document when 'credit_note' then 1 else 0 end * (c.net_minor + c.tax_minor)
        ), 0)
        from invoice_line c join invoice d on d.number = c.number
        where c.corrects_number = s.number
    )::bigint as notes_minor
    from invoice_settlement s order by s.number
    """,
)
def _credits_in_ledger(row: Row) -> Iterator[str]:
    yield from differs("credited", amount_of(row, "credited"), amount_of(row, "notes"))


CREDITS = """
    select {name} as name, currency, sum(net_minor) as net_minor, sum(tax_minor) as tax_minor,
           sum(taken_net_minor) as taken_net_minor, sum(taken_tax_minor) as taken_tax_minor
    from (
        select number, line, tax_code, tax_rate, currency, net_minor, tax_minor,
               taken_minor as taken_net_minor, taken_tax_minor
        from billed_line
    ) lines
    group by {by}, currency having bool_or(taken_net_minor <> 0 or taken_tax_minor <> 0)
    order by {by}
"""


def _within(row: Row) -> Iterator[str]:
    for part in ("net", "tax"):
        taken, billed = amount_of(row, f"taken_{part}"), amount_of(row, part)
        if not min(0, billed.minor) <= taken.minor <= max(0, billed.minor):
            yield f"found {part} {taken} credited, expected at most {billed}"


@invariant(
    "credits-within-invoice",
    "c.5-8",
    "Credit notes never exceed their invoice, in net and in tax",
    CREDITS.format(name="number", by="number"),
)
def _credits_within_invoice(row: Row) -> Iterator[str]:
    yield from _within(row)


@invariant(
    "credits-within-rate",
    "c.5-8",
    "Credit notes never exceed a tax group of their invoice",
    CREDITS.format(
        name="number || ' ' || tax_code || ' ' || tax_rate", by="number, tax_code, tax_rate"
    ),
)
def _credits_within_rate(row: Row) -> Iterator[str]:
    yield from _within(row)


@invariant(
    "credits-within-line",
    "c.5-8",
    "Credit notes never exceed a line, and a line taken back whole has no tax left",
    CREDITS.format(name="number || '/' || line", by="number, line"),
)
def _credits_within_line(row: Row) -> Iterator[str]:
    yield from _within(row)
    if amount_of(row, "taken_net") == amount_of(row, "net"):
        yield from differs("tax credited", amount_of(row, "taken_tax"), amount_of(row, "tax"))


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
    yield from differs("the last number", number(before), number(row["last"]))


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
    yield from differs("the number", row["name"], number)
    yield from differs("the year of issue", row["issued_on"].year, row["year"])
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
    yield from differs("a message about", row["kind"], row["document"])
    yield from differs("a message with net", payload["net"], str(amount_of(row, "net")))
    yield from differs("a message with tax", payload["tax"], str(amount_of(row, "tax")))
    yield from differs("a message with gross", payload["gross"], str(amount_of(row, "gross")))
