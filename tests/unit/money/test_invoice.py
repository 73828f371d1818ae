"""What stands on a document with several fees: rates, prices, retention, an advance, credits."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calendar import Period
from contracts.commercial import Advance, Retention, RetentionStep
from contracts.contract import Contract, MilestoneLine, Tax
from contracts.errors import TransitionError
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Title
from contracts.money import Money
from lifecycle.invoice import (
    BilledLine,
    Correction,
    Draft,
    Line,
    TaxGroup,
    credit_of,
    deduct,
    draft,
    fixed_fee_line,
    milestone_lines,
    parts_of,
    retain,
    retention_now,
    without_forfeited,
)
from lifecycle.tax import Taxed, nothing
from tests.unit.lifecycle.conftest import CONTRACT, cny, property_of, travels

PROOF = Input(name="acceptance", value="accepted", source="wang.fang")
NONE = nothing("CNY")
FEES = ("project", "licences", "travel", "hosting")
"""6 % net, 13 % with its tax inside, 6 % with its tax inside, 13 % net."""


def with_fees() -> Contract:
    project = CONTRACT.fee("project")
    more = tuple(
        project.model_copy(update={"id": id, "tax": tax, "prices": prices})
        for id, tax, prices in [
            ("licences", "VAT-13", "gross"),
            ("travel", None, "gross"),
            ("hosting", "VAT-13", "net"),
        ]
    )
    return CONTRACT.model_copy(
        update={
            "fees": (*CONTRACT.fees, *more),
            "taxes": (Tax(clause="3.4", code="VAT-13", rate=Fraction(13, 100)),),
        }
    )


RATES = with_fees()
amounts = st.integers(min_value=1, max_value=10**9).map(lambda minor: Money(minor, "CNY"))
of_fees = st.lists(st.tuples(st.sampled_from(FEES), amounts), min_size=1, max_size=8)


def priced(*lines: tuple[str, Money]) -> Draft:
    return draft(
        RATES,
        [
            fixed_fee_line(RATES, f"T{n}", fee, "4.1", Title(en=fee), amount, PROOF)
            for n, (fee, amount) in enumerate(lines)
        ],
    )


def billed(document: Draft) -> list[BilledLine]:
    return [
        BilledLine(
            number="INV-1",
            line=position,
            fee=line.fee,
            clause=line.clause,
            title=line.title,
            tax_code=line.tax_code,
            tax_rate=line.tax_rate,
            billed=Taxed(line.taxable, line.tax),
            taken=NONE,
        )
        for position, line in enumerate(document.lines, start=1)
    ]


def retention(**update: Any) -> Retention:
    step = RetentionStep(id="all", clause="7.2", after=Period.parse("P1Y"), share=Fraction(1))
    terms: dict[str, Any] = {
        "id": "R1",
        "clause": "7.1",
        "fee": "project",
        "rate": Fraction(5, 100),
        "base": "net",
        "tax": "invoice",
        "release": (step,),
    }
    return Retention(**(terms | update))


# Several rates.


def test_each_code_and_rate_has_one_tax_of_all_its_lines():
    document = priced(("project", cny("0.25")), ("hosting", cny("10.00")), ("project", cny("0.25")))
    assert [(group.code, group.net, group.tax) for group in document.groups] == [
        ("CN-VAT-6", cny("0.50"), cny("0.03")),  # 0.03, where 0.015 twice would be 0.04
        ("VAT-13", cny("10.00"), cny("1.30")),
    ]
    assert document.nets() == {"project": cny("0.50"), "hosting": cny("10.00")}
    assert document.taxes() == {"CN-VAT-6": cny("0.03"), "VAT-13": cny("1.30")}


def test_a_price_with_its_tax_inside_explains_its_net():
    (line,) = priced(("licences", cny("100.00"))).lines
    assert (line.net, line.tax) == (cny("88.50"), cny("11.50"))
    assert line.explanation.amount == line.net
    assert [step.formula for step in line.explanation.steps] == [
        "gross = amount",
        "net = gross 100.00 / (1 + 13/100)",
    ]


@property_of
@given(lines=of_fees)
def test_a_document_adds_up_by_line_by_fee_and_by_rate(lines):
    """c.5-7"""
    document = priced(*lines)
    for parts in (document.lines, document.groups):
        assert sum(part.net.minor for part in parts) == document.net.minor
        assert sum(part.tax.minor for part in parts) == document.tax.minor
    assert sum(net.minor for net in document.nets().values()) == document.net.minor
    assert sum(tax.minor for tax in document.taxes().values()) == document.tax.minor
    for (fee, amount), line in zip(lines, document.lines, strict=True):
        gross = RATES.fee(fee).prices == "gross"
        assert (line.net + line.tax if gross else line.net) == amount
        assert line.explanation.amount == line.net
    assert travels(document)


@property_of
@given(lines=of_fees, data=st.data())
def test_the_order_of_the_lines_changes_no_amount(lines, data):
    def found(document: Draft) -> list[tuple[str, int, int]]:
        return sorted((line.fee, line.net.minor, line.tax.minor) for line in document.lines)

    assert found(priced(*data.draw(st.permutations(lines)))) == found(priced(*lines))


# A milestone.


def test_a_milestone_bills_all_its_lines_each_with_a_claim_of_its_own():
    first, *rest = RATES.milestones
    line = MilestoneLine(
        clause="4.5", title=Title(en="Licences"), fee="licences", amount=cny("100.00")
    )
    contract = RATES.model_copy(
        update={"milestones": (first.model_copy(update={"more": (line,)}), *rest)}
    )
    lines = milestone_lines(contract, "M1", "eng.E1.milestone.M1", PROOF)
    assert [(line.claim, line.fee, line.clause) for line in lines] == [
        ("eng.E1.milestone.M1", "project", "4.1"),
        ("eng.E1.milestone.M1:2", "licences", "4.5"),
    ]


def test_what_a_hold_forfeited_of_a_milestone_is_not_billed_and_the_other_lines_stay():
    whole = priced(("project", cny("100.00")), ("travel", cny("10.00")), ("travel", cny("10.00")))
    rest = without_forfeited(whole, cny("30.00"))
    assert rest is not None
    assert [(line.net, line.tax) for line in rest.lines] == [
        (cny("70.00"), cny("4.20")),
        *((line.net, line.tax) for line in whole.lines[1:]),
    ]
    assert rest.lines[0].explanation.amount == cny("70.00")
    others = without_forfeited(whole, cny("100.00"))
    assert others is not None
    assert others.lines == whole.lines[1:]
    assert without_forfeited(priced(("project", cny("1.00"))), cny("1.00")) is None


@property_of
@given(lines=of_fees, first=amounts, forfeited=st.fractions(0, 1, max_denominator=50))
def test_whatever_is_forfeited_the_nets_that_were_earned_are_billed(lines, first, forfeited):
    whole = priced(("travel", first), *lines)
    part = whole.lines[0].net.share(forfeited)
    rest = without_forfeited(whole, part)
    assert rest is not None
    assert rest.net == whole.net - part
    for line in rest.lines[-len(lines) :]:
        before = next(each for each in whole.lines if each.claim == line.claim)
        assert line.net == before.net
        if line.prices == "gross":
            assert line.tax == before.tax


# Retention (R7).


def test_retention_to_date_is_rounded_and_this_invoice_is_the_rest_r7():
    """5 % of three times 33.33: 1.6665, 3.333, 4.9995."""
    before, kept = cny("0.00"), []
    for n in range(3):
        base = Money(3333 * n, "CNY")
        kept.append(retention_now(retention(), cny("99.99"), base, cny("33.33"), before))
        before += kept[-1]
    assert kept == [cny("1.67"), cny("1.66"), cny("1.67")]


@property_of
@given(
    nets=st.lists(amounts, min_size=1, max_size=6),
    rate=st.fractions(0, 1, max_denominator=100),
    limit=st.none() | st.fractions(0, 1, max_denominator=100),
)
def test_retention_to_date_is_the_rate_of_the_base_to_date_up_to_the_limit(nets, rate, limit):
    """c.5-12, whatever the invoices it comes in."""
    terms, fee = retention(rate=rate, limit=limit), Money(sum(n.minor for n in nets), "CNY")
    base = before = cny("0.00")
    for net in nets:
        now = retention_now(terms, fee, base, net, before)
        assert 0 <= now.minor <= net.minor + 1
        base, before = base + net, before + now
        most = base.share(rate) if limit is None else fee.share(limit)
        assert before.minor == min(base.share(rate).minor, most.minor)


def test_a_retention_taxed_on_the_invoice_is_a_part_of_the_claim_with_its_tax_inside():
    document = retain(priced(("project", cny("1000.00"))), retention(), cny("50.00"))
    assert (document.net, document.tax) == (cny("1000.00"), cny("60.00"))
    assert document.retained == Taxed(cny("47.17"), cny("2.83"))  # 60.00 * 50.00 / 1,060.00
    assert document.payable == cny("1010.00")


def test_a_retention_taxed_at_its_release_leaves_its_tax_out():
    """E03: tax on N - R alone; other fees of the same rate keep theirs."""
    document = retain(
        priced(("project", cny("1000.00")), ("travel", cny("106.00"))),
        retention(tax="release"),
        cny("50.00"),
    )
    assert (document.net, document.deferred) == (cny("1100.00"), cny("50.00"))
    (group,) = document.groups
    assert (group.net, group.tax) == (cny("1050.00"), cny("63.00"))
    assert document.retained == Taxed(cny("50.00"), cny("0.00"))
    assert document.payable == cny("1113.00")


@property_of
@given(
    lines=of_fees,
    rate=st.fractions(0, 1, max_denominator=100),
    tax=st.sampled_from(["invoice", "release"]),
    recovered=st.fractions(0, 1, max_denominator=100),
    advance=st.none() | amounts,
)
def test_what_is_to_be_paid_is_never_less_than_nothing(lines, rate, tax, recovered, advance):
    terms = retention(rate=rate, tax=tax)
    document = priced(("project", cny("1.00")), *lines)
    net = document.of_fee("project").net
    document = retain(document, terms, retention_now(terms, net, cny("0.00"), net, cny("0.00")))
    if advance:
        line = billed(priced(("project", advance)))[0]
        document = deduct(document, an_advance(recovered), line)
    assert document.payable.minor >= 0
    parts = (document.retained.gross, document.withheld.gross, document.advance.gross)
    assert document.gross == sum(parts, document.payable)
    assert document.taxes()["CN-VAT-6"].minor >= document.advance.tax.minor
    assert sum(group.net.minor for group in document.groups) == (
        document.net.minor - document.deferred.minor
    )
    assert travels(document)


# The advance (E06).


def an_advance(recovered: Fraction) -> Advance:
    return Advance(
        id="A1",
        clause="3.6",
        title=Title(en="Advance"),
        fee="project",
        amount=cny("1.00"),
        recovered=recovered,
    )


def test_an_advance_is_deducted_by_its_share_until_nothing_is_left_of_it_and_its_tax():
    (line,) = billed(priced(("project", cny("100.05"))))
    deducted = []
    for net in ("200.00", "200.00", "200.00"):
        document = deduct(priced(("project", cny(net))), an_advance(Fraction(1, 5)), line)
        taken = Taxed(line.taken.net + document.advance.net, line.taken.tax + document.advance.tax)
        line = line.model_copy(update={"taken": taken})
        deducted.append(document.advance)
    assert [part.net for part in deducted] == [cny("40.00"), cny("40.00"), cny("20.05")]
    assert line.left == NONE
    assert (
        deduct(priced(("hosting", cny("9.00"))), an_advance(Fraction(1, 5)), line).advance == NONE
    )


# Credits (R6).


def credited(document: Draft, parts: list[tuple[BilledLine, Taxed]]) -> Draft:
    return draft(
        RATES,
        [
            credit_of(
                line, part, claim=f"C{n}", clause="9", explanation=document.lines[0].explanation
            )
            for n, (line, part) in enumerate(parts)
        ],
    )


@property_of
@given(lines=of_fees, cuts=st.lists(st.fractions(0, 1, max_denominator=20), max_size=5))
def test_a_document_credited_whole_in_any_parts_ends_at_zero_by_line_and_by_rate(lines, cuts):
    """c.5-8"""
    document = priced(*lines)
    left, by_rate = billed(document), {group.code: group.tax for group in document.groups}
    for cut in [*cuts, Fraction(1)]:
        gross = Money(sum(line.left.gross.minor for line in left), "CNY").share(cut)
        parts = parts_of(left, gross)
        if not parts:
            continue
        note = credited(document, parts)
        assert note.gross == gross
        for group in note.groups:
            by_rate[group.code] -= group.tax
            assert by_rate[group.code].minor >= 0
        given_back = {line.line: part for line, part in parts}
        left = [
            line.model_copy(
                update={
                    "taken": Taxed(
                        line.taken.net + given_back.get(line.line, NONE).net,
                        line.taken.tax + given_back.get(line.line, NONE).tax,
                    )
                }
            )
            for line in left
        ]
    assert {line.left for line in left} == {NONE}
    assert set(by_rate.values()) == {cny("0.00")}


def test_a_credit_has_the_code_and_rate_of_its_line_whatever_the_contract_says_now():
    line = billed(priced(("project", cny("100.00"))))[0].model_copy(
        update={"tax_code": "CN-VAT-9", "tax_rate": Fraction(9, 100)}
    )
    note = credited(priced(("project", cny("1.00"))), [(line, line.part(cny("50.00")))])
    (group,) = note.groups
    assert (group.code, group.net, group.tax) == ("CN-VAT-9", cny("50.00"), cny("3.00"))
    assert group.calculation.rule == "R6 cumulative over the parts of a line"
    corrects = note.lines[0].corrects
    assert corrects
    assert (corrects.number, corrects.line) == ("INV-1", 1)


def test_a_part_that_was_to_be_taxed_later_has_no_tax_to_give_back():
    """E13, where the retention has its tax at release."""
    (line,) = billed(priced(("project", cny("950.00"))))
    note = draft(
        RATES,
        [
            credit_of(
                line,
                Taxed(cny("50.00"), cny("0.00")),
                claim="C1",
                clause="7.1",
                explanation=priced(("project", cny("1.00"))).lines[0].explanation,
                untaxed=True,
            )
        ],
    )
    assert (note.net, note.tax, note.deferred) == (cny("50.00"), cny("0.00"), cny("50.00"))
    assert note.groups[0].net == cny("0.00")


@pytest.mark.parametrize("prices", ["net", "gross"])
def test_a_delta_of_both_signs_has_taxes_of_both_signs_that_come_to_that_of_the_sum(prices):
    fee = "project" if prices == "net" else "travel"
    document = priced((fee, cny("100.00")), (fee, cny("-33.33")))
    assert [line.tax.minor > 0 for line in document.lines] == [True, False]
    assert document.tax == priced((fee, cny("66.67"))).tax


# What a document says of itself.


def test_one_rate_of_net_and_gross_prices_has_one_calculation_of_both():
    """6 % of 100.00, and the tax inside 106.00."""
    document = priced(("project", cny("100.00")), ("travel", cny("106.00")))
    assert document.groups == (
        TaxGroup(
            code="CN-VAT-6",
            rate=Fraction(3, 50),
            net=cny("200.00"),
            tax=cny("12.00"),
            calculation=Calculation(
                formula="tax = net * 3/50 (CN-VAT-6) + gross - gross / (1 + 3/50) (CN-VAT-6)",
                exact="12",
                rounded="12.00",
                rule="R1 half away from zero, once per code and rate",
            ),
        ),
    )


def test_what_is_taken_back_beside_what_is_billed_is_calculated_beside_it():
    (line,) = billed(priced(("project", cny("50.00"))))
    own = priced(("project", cny("0.25"))).lines[0]
    back = credit_of(
        line, line.part(cny("10.00")), claim="C1", clause="9", explanation=own.explanation
    )
    bill = fixed_fee_line(RATES, "T1", "project", "4.1", Title(en="a"), cny("0.25"), PROOF)
    (group,) = draft(RATES, [bill, back]).groups
    assert group.calculation == Calculation(
        formula="tax = net * 3/50 (CN-VAT-6) + part of the tax of the corrected lines (CN-VAT-6)",
        exact="123/200",  # 0.015 and 0.60
        rounded="0.62",
        rule="R1 half away from zero, once per code and rate, R6 cumulative over the parts of a line",
    )


def test_a_price_with_its_tax_inside_shows_both_steps_to_its_net():
    (line,) = priced(("licences", cny("100.00"))).lines
    assert line.explanation.steps == (
        Calculation(formula="gross = amount", exact="100.00"),
        Calculation(
            formula="net = gross 100.00 / (1 + 13/100)",
            exact="10000/113",
            rounded="88.50",
            rule="R1 half away from zero, once per code and rate, R2 spread over its lines",
        ),
    )


def test_what_was_forfeited_is_the_last_step_to_the_net_of_a_milestone():
    whole = priced(("travel", cny("106.00")), ("project", cny("10.00")))
    rest = without_forfeited(whole, cny("30.00"))
    assert rest is not None
    first = rest.lines[0]
    assert (first.amount, first.net, first.prices, first.tax) == (
        cny("70.00"),
        cny("70.00"),
        "net",
        cny("4.20"),
    )
    before = whole.lines[0].explanation
    assert first.explanation == before.model_copy(
        update={
            "amount": cny("70.00"),
            "inputs": (
                *before.inputs,
                Input(name="forfeited", value="30.00", source="decision"),
            ),
            "steps": (
                *before.steps,
                Calculation(formula="net = 100.00 - forfeited", exact="70.00"),
            ),
        }
    )
    assert rest.lines[1] == whole.lines[1]


def test_a_milestone_line_has_its_own_title_clause_amount_and_the_proof_of_all():
    first, *rest = RATES.milestones
    own = MilestoneLine(
        clause="4.5", title=Title(en="Licences"), fee="licences", amount=cny("100.00")
    )
    contract = RATES.model_copy(
        update={"milestones": (first.model_copy(update={"more": (own,)}), *rest)}
    )
    line = milestone_lines(contract, "M1", "eng.E1.milestone.M1", PROOF)[1]
    assert (line.title, line.amount) == (own.title, own.amount)
    assert line.explanation == Explanation(
        what="Licences",
        amount=cny("100.00"),
        contract="KA-2024-017@v1",
        clause="4.5",
        inputs=(Input(name="amount", value="100.00", source="clause 4.5"), PROOF),
        steps=(Calculation(formula="gross = amount", exact="100.00"),),
    )


def test_a_credit_has_the_title_of_its_line_unless_it_has_one_of_its_own():
    (line,) = billed(priced(("project", cny("50.00"))))
    because = priced(("project", cny("1.00"))).lines[0].explanation
    part = line.part(cny("10.00"))
    plain = credit_of(line, part, claim="C1", clause="9", explanation=because)
    assert plain == Line(
        claim="C1",
        fee="project",
        clause="9",
        title=line.title,
        amount=cny("10.00"),
        explanation=because,
        corrects=Correction(
            number="INV-1",
            line=1,
            tax_code="CN-VAT-6",
            tax_rate=Fraction(3, 50),
            tax=cny("0.60"),
        ),
    )
    titled = credit_of(
        line, part, claim="C1", clause="9", explanation=because, title=Title(en="Clawback")
    )
    assert titled == plain.model_copy(update={"title": Title(en="Clawback")})


def test_the_part_of_a_document_that_corrects_one_other_is_only_its_lines():
    (first,) = billed(priced(("project", cny("50.00"))))
    other = first.model_copy(update={"number": "INV-2"})
    note = credited(
        priced(("project", cny("1.00"))),
        [(first, first.part(cny("10.00"))), (other, other.part(cny("20.00")))],
    )
    assert note.correcting("INV-2").lines == note.lines[1:]
    assert note.correcting("INV-2").net == cny("20.00")
    assert priced(("project", cny("1.00"))).correcting("INV-2").lines == ()


def test_a_document_that_is_all_withheld_has_nothing_to_be_paid_yet():
    document = priced(("project", cny("100.00"))).all_withheld()
    assert document.withheld == Taxed(cny("100.00"), cny("6.00"))
    assert (document.gross, document.payable) == (cny("106.00"), cny("0.00"))


def test_a_fee_that_a_document_does_not_have_is_nothing_of_it():
    document = priced(("project", cny("100.00")), ("travel", cny("106.00")))
    assert document.of_fee("project") == Taxed(cny("100.00"), cny("6.00"))
    assert document.of_fee("hosting") == NONE


# Retention and advance, in figures.


def test_nothing_retained_leaves_a_document_as_it_is():
    document = priced(("project", cny("100.00")))
    assert retain(document, retention(tax="release"), cny("0.00")) is document
    assert retain(document, retention(), cny("0.01")).payable == cny("105.99")


def test_a_retention_is_never_below_nothing_where_more_was_retained_before():
    found = retention_now(retention(), cny("99.99"), cny("10.00"), cny("10.00"), cny("5.00"))
    assert found == cny("0.00")


def test_an_invoice_retains_no_more_than_it_bills_where_less_was_retained_before():
    """5 % of 100.00 to date is 5.00, and nothing was retained; the invoice bills 2.00."""
    found = retention_now(retention(), cny("200.00"), cny("98.00"), cny("2.00"), cny("0.00"))
    assert found == cny("2.00")


def test_what_holds_keep_of_a_line_counts_as_taken_back():
    """6 % of 99.99 is 6.00; of what may be claimed back the tax follows from what was taken before."""
    (line,) = billed(priced(("project", cny("99.99"))))
    withheld = Taxed(cny("33.33"), cny("2.00"))
    assert line.without_held(withheld, cny("0.00")).left == Taxed(cny("66.66"), cny("4.00"))
    assert line.without_held(withheld, cny("0.01")).left == Taxed(cny("66.65"), cny("4.00"))
    assert line.without_held(withheld, cny("66.66")).left == NONE
    # Where nothing may be claimed back, a hold's own tax stays as it is.
    own = Taxed(cny("33.33"), cny("1.99"))
    assert line.without_held(own, cny("0.00")).left == Taxed(cny("66.66"), cny("4.01"))
    with pytest.raises(TransitionError):
        line.without_held(withheld, cny("66.67"))


def test_a_retention_stops_at_its_limit_of_the_fee():
    """5 % of 100.00 to date is 5.00; 3 % of the fee of 100.00 is 3.00, and 2.50 was retained."""
    terms = retention(limit=Fraction(3, 100))
    found = retention_now(terms, cny("100.00"), cny("50.00"), cny("50.00"), cny("2.50"))
    assert found == cny("0.50")


def test_a_part_taxed_later_is_spread_over_the_lines_of_its_fee_and_touches_no_other_rate():
    """12.00 over 100.00 and 20.00 is 10.00 and 2.00; 6 % of 90.00, 18.00 and 50.25 is 9.495."""
    document = retain(
        priced(
            ("project", cny("100.00")),
            ("hosting", cny("10.00")),
            ("project", cny("20.00")),
            ("micro", cny("50.25")),
        ),
        retention(tax="release"),
        cny("12.00"),
    )
    assert [(line.net, line.deferred, line.tax) for line in document.lines] == [
        (cny("100.00"), cny("10.00"), cny("5.40")),
        (cny("10.00"), cny("0.00"), cny("1.30")),
        (cny("20.00"), cny("2.00"), cny("1.08")),
        (cny("50.25"), cny("0.00"), cny("3.02")),
    ]
    assert document.retained == Taxed(cny("12.00"), cny("0.00"))


def test_an_advance_takes_no_more_than_is_to_be_paid():
    """50.00 of 106.00 is retained; 52.83 with its tax of 3.17 are the 56.00 that are left."""
    (line,) = billed(priced(("project", cny("1000.00"))))
    document = retain(priced(("project", cny("100.00"))), retention(), cny("50.00"))
    found = deduct(document, an_advance(Fraction(1)), line)
    assert found.advance == Taxed(cny("52.83"), cny("3.17"))
    assert found.payable == cny("0.00")


def test_an_advance_is_deducted_by_its_share_of_its_own_fee_alone():
    """A fifth of 100.00, not of 200.00."""
    (line,) = billed(priced(("project", cny("1000.00"))))
    document = priced(("project", cny("100.00")), ("hosting", cny("100.00")))
    found = deduct(document, an_advance(Fraction(1, 5)), line)
    assert found.advance == Taxed(cny("20.00"), cny("1.20"))
    assert found.payable == cny("197.80")  # 106.00 + 113.00 - 21.20


def test_a_document_without_the_fee_deducts_no_tax_of_the_advance_either():
    """Of the 2.40 that belong to the 40.00 deducted so far, 2.00 were."""
    (line,) = billed(priced(("project", cny("1000.00"))))
    behind = line.model_copy(update={"taken": Taxed(cny("40.00"), cny("2.00"))})
    document = priced(("travel", cny("106.00")))
    assert deduct(document, an_advance(Fraction(1, 5)), behind) == document


def test_the_last_fen_of_an_advance_is_deducted():
    (line,) = billed(priced(("project", cny("100.00"))))
    last = line.model_copy(update={"taken": Taxed(cny("99.99"), cny("6.00"))})
    found = deduct(priced(("project", cny("100.00"))), an_advance(Fraction(1, 5)), last)
    assert found.advance == Taxed(cny("0.01"), cny("0.00"))


def test_the_tax_of_an_advance_is_deducted_from_a_tax_of_its_own_code_alone():
    (line,) = billed(priced(("project", cny("1000.00"))))
    before = line.model_copy(update={"tax_code": "CN-VAT-9"})
    found = deduct(priced(("project", cny("100.00"))), an_advance(Fraction(1, 5)), before)
    assert found.advance == Taxed(cny("20.00"), cny("0.00"))


def test_a_line_beside_a_correction_has_the_tax_it_has_alone():
    """0.015 is 0.02; with the 0.25 that is taken back it would be the smaller half of 0.03."""
    (line,) = billed(priced(("project", cny("50.00"))))
    because = priced(("project", cny("0.25"))).lines[0].explanation
    back = credit_of(line, line.part(cny("0.25")), claim="C1", clause="9", explanation=because)
    bill = fixed_fee_line(RATES, "T1", "project", "4.1", Title(en="a"), cny("0.25"), PROOF)
    assert [each.tax for each in draft(RATES, [back, bill]).lines] == [cny("0.02"), cny("0.02")]
