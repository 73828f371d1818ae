"""The rounding table, with the cases in which other systems lose a cent: every place where money is split."""

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest

from contracts.calendar import Period
from contracts.commercial import Retention, RetentionStep
from contracts.money import Money, allocate, parse_amount
from lifecycle.invoice import retention_now
from lifecycle.ledger import tax_of_part
from lifecycle.tax import Taxed, gross_parts, nothing, taxed
from tests.unit.outcome.conftest import settled, value

TABLE = json.loads((Path(__file__).parents[1] / "data/rounding.json").read_text(encoding="utf-8"))
RULES = [f"R{number}" for number in range(1, 13)]

Given = Mapping[str, Any]


def cny(text: str) -> Money:
    return parse_amount(text, "CNY")


def fraction(share: str) -> Fraction:
    percent = share.removesuffix("%")
    return Fraction(percent) / (100 if percent != share else 1)


def shown(amounts: Sequence[Fraction | Money]) -> list[str]:
    return [
        str(amount if isinstance(amount, Money) else Money(int(amount * 100), "CNY"))
        for amount in amounts
    ]


def differences(to_date: Sequence[Fraction]) -> list[Fraction]:
    return [now - before for before, now in pairwise([Fraction(0), *to_date])]


def share(given: Given) -> list[str]:
    """One rounding, and the rest by subtraction."""
    total = cny(given["total"])
    part = total.share(fraction(given["part"]))
    return shown([part, total - part])


def allocated(given: Given) -> list[str]:
    return shown(allocate(cny(given["total"]), [Fraction(each) for each in given["weights"]]))


def tax_of_parts(given: Given) -> list[str]:
    parts = [cny(part) for part in given["parts"]]
    done = list(accumulate(parts, initial=cny("0.00")))
    return shown(
        [
            tax_of_part(cny(given["tax"]), done[-1], before, part)
            for before, part in zip(done[:-1], parts, strict=True)
        ]
    )


def gross_prices(given: Given) -> list[str]:
    """Net and tax of each line of a document whose prices have the tax inside."""
    parts = taxed([cny(price) for price in given["prices"]], fraction(given["rate"]), "gross")
    return shown([amount for part in parts for amount in part])


def tax_of_lines(given: Given) -> list[str]:
    parts = taxed([cny(net) for net in given["nets"]], fraction(given["rate"]), "net")
    return shown([part.tax for part in parts])


def credits_by_rate(given: Given) -> list[str]:
    """The tax of each credit note by rate; the last one leaves nothing."""
    lines = [taxed([cny(net)], fraction(rate), "net")[0] for net, rate in given["lines"]]
    taken, taxes = [nothing("CNY") for _ in lines], []
    for gross in given["gross"]:
        parts = gross_parts(lines, taken, cny(gross))
        taken = [
            Taxed(done.net + part.net, done.tax + part.tax)
            for done, part in zip(taken, parts, strict=True)
        ]
        taxes += [part.tax for part in parts]
    assert taken == lines
    return shown(taxes)


def payments(given: Given) -> list[str]:
    """Due to date, less paid to date."""
    shares = [fraction(each) for each in given["to_date"]]
    settlement = settled(
        f"""
        periods: {{every: P1M, count: {len(shares)}}}
        inputs: [{{id: done}}, {{id: whole}}]
        measures:
          - {{id: part, kind: latest, of: done}}
          - {{id: all, kind: latest, of: whole}}
        lines:
          - {{id: fee, clause: "1", kind: amount, basis: to_date, amount: {given["total"]} * part / all}}
        """,
        done=[share.numerator for share in shares],
        whole=[share.denominator for share in shares],
    )
    return shown([period.payment for period in settlement.periods])


def instalments(given: Given) -> list[str]:
    settlement = settled(
        f"""
        periods: {{every: P1M, count: {len(given["totals"])}}}
        inputs: [{{id: price}}]
        measures: [{{id: agreed, kind: latest, of: price}}]
        lines:
          - id: fee
            clause: "1"
            kind: instalments
            of: agreed
            count: {len(given["totals"])}
            remainder: {given["remainder"]}
            round: {{decimals: 2, mode: half_away}}
        """,
        price=given["totals"],
    )
    return shown([period.payment for period in settlement.periods])


def retention(given: Given) -> list[str]:
    """What is kept back of each."""
    settlement = settled(
        f"""
        periods: {{every: P1M, count: {len(given["work"])}}}
        inputs: [{{id: work}}]
        measures: [{{id: work_done, kind: sum, of: work}}]
        lines: [{{id: works, clause: "1", kind: amount, amount: work_done}}]
        retentions:
          - id: kept
            clause: "2"
            rate: {given["rate"]}
            limit: {given["limit"]}
            round: {{decimals: 2, mode: half_away}}
        """,
        work=given["work"],
    )
    return shown(differences([period.retained.exact for period in settlement.periods]))


def retention_of_invoices(given: Given) -> list[str]:
    """What each invoice, its postings and its print have as retained."""
    terms = Retention(
        id="R1",
        clause="1",
        fee="project",
        rate=fraction(given["rate"]),
        base="net",
        tax="invoice",
        limit=fraction(given["limit"]) if "limit" in given else None,
        release=(
            RetentionStep(id="all", clause="2", after=Period.parse("P1Y"), share=Fraction(1)),
        ),
    )
    nets = [cny(net) for net in given["nets"]]
    base, kept = cny("0.00"), [cny("0.00")]
    for net in nets:
        to_date = list(accumulate(kept))[-1]
        kept.append(retention_now(terms, cny(given["fee"]), base, net, to_date))
        base += net
    return shown(kept[1:])


def stepped_retention(given: Given) -> list[str]:
    """What is paid, where the rate and the part that is let go change from step to step."""
    settlement = settled(
        f"""
        periods: {{every: P1M, count: {len(given["work"])}}}
        inputs: [{{id: work}}, {{id: keep}}, {{id: let_go}}]
        measures:
          - {{id: work_done, kind: latest, of: work}}
          - {{id: kept_now, kind: latest, of: keep}}
          - {{id: free_now, kind: latest, of: let_go}}
          - {{id: held_before, kind: previous, of: held, initial: 0}}
          - {{id: held, kind: formula, formula: held_before * (1 - free_now) + kept_now * work_done}}
        lines:
          - {{id: works, clause: "1", kind: amount, amount: work_done}}
          - {{id: retained_so_far, clause: "2", kind: amount, effect: deducts, basis: to_date, amount: held}}
        """,
        work=given["work"],
        keep=[str(float(fraction(each))) for each in given["keeps"]],
        let_go=[str(float(fraction(each))) for each in given["lets_go"]],
    )
    assert value(settlement, "held") == 0
    return shown([period.payment for period in settlement.periods])


def gain_share(given: Given) -> list[str]:
    """Tiers, then the cap, then the floor, of the benefit to date; less what was paid to date."""
    settlement = settled(
        f"""
        periods: {{every: P1M, count: {len(given["benefits"])}}}
        inputs: [{{id: benefit}}]
        measures: [{{id: so_far, kind: sum, of: benefit, window: {{over: to_date}}}}]
        lines:
          - id: fee
            clause: "1"
            kind: bands
            basis: to_date
            of: so_far
            better: higher
            applied: each_band
            bands: [{{up_to: 1000, rate: 10%}}, {{rate: 25%}}]
        caps: [{{id: within, clause: "2", of: [fee], scope: to_date, at_most: 300, at_least: -50}}]
        """,
        benefit=given["benefits"],
    )
    return shown([period.payment for period in settlement.periods])


def printed(given: Given) -> list[str]:
    """What is printed rounded, and what is reckoned from it."""
    settlement = settled(
        f"""
        periods: {{every: P1M, count: 1}}
        measures:
          - id: daily
            kind: formula
            formula: 10% * {given["price"]} / (20% * {given["days"]})
            round: {{decimals: 0, mode: half_away, result: shown}}
        lines:
          - {{id: damages, clause: "1", kind: amount, amount: {given["late"]} * daily}}
        """
    )
    return [str(settlement.shown(1, "daily")), *shown([settlement.paid_in_all])]


PLACES: dict[str, Callable[[Given], list[str]]] = {
    "allocate": allocated,
    "credits_by_rate": credits_by_rate,
    "gain_share": gain_share,
    "gross_prices": gross_prices,
    "instalments": instalments,
    "payments": payments,
    "retention": retention,
    "retention_of_invoices": retention_of_invoices,
    "share": share,
    "shown": printed,
    "stepped_retention": stepped_retention,
    "tax_of_lines": tax_of_lines,
    "tax_of_parts": tax_of_parts,
}


@pytest.mark.parametrize("row", TABLE["cases"], ids=lambda row: f"{row['rule']} {row['case']}")
def test_money_is_rounded_as_the_table_says(row):
    assert PLACES[row["place"]](row["given"]) == row["gives"]


@pytest.mark.parametrize(
    "row",
    [row for row in TABLE["cases"] if "total" in row["given"] and row["rule"] != "R4"],
    ids=lambda row: f"{row['rule']} {row['case']}",
)
def test_the_parts_come_to_the_whole(row):
    parts = [cny(part).minor for part in row["gives"]]
    assert sum(parts) == cny(row["given"]["total"]).minor


def test_every_rule_has_a_case_or_a_reason_why_not():
    named = {row["rule"] for row in [*TABLE["cases"], *TABLE["not_yet"]]}
    assert named == set(RULES)


def test_what_has_no_place_yet_is_exactly_this():
    """A place that is built moves its row to the cases."""
    assert [f"{row['rule']} {row['what']}" for row in TABLE["not_yet"]] == [
        "R9 amounts in the functional currency",
        "R10 cash rounding",
        "R12 the policy as a parameter with a versioned id",
    ]
    assert all(row["reason"] for row in TABLE["not_yet"])
