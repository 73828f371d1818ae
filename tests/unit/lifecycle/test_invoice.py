"""What stands on a document: lines with their reasons, and the tax of all of them at once."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.contract import Contract
from contracts.explanation import Calculation, Explanation, Input
from contracts.money import Money
from contracts.setting import Book
from lifecycle.invoice import Draft, Line, draft, due_on, fixed_fee_line, series
from tests.unit.lifecycle.conftest import (
    CONTRACT,
    amounts,
    cny,
    property_of,
    shares,
    travels,
    unchanged,
)

M1 = CONTRACT.milestone("M1")
ACCEPTED = Input(
    name="acceptance", value="accepted on 2024-10-10", source="wang.fang", evidence="doc-17"
)


def line(net: Money, claim: str = "eng.E7.milestone.M1") -> Line:
    return fixed_fee_line(CONTRACT, claim, M1.fee, M1.clause, M1.title, net, ACCEPTED)


def taxed(rate: Fraction) -> Contract:
    return CONTRACT.model_copy(update={"tax": CONTRACT.tax.model_copy(update={"rate": rate})})


def tax_calculation(priced: Draft) -> Calculation:
    (group,) = priced.groups
    return group.calculation


def test_a_milestone_is_invoiced_with_six_percent_on_top():
    priced = draft(CONTRACT, (line(M1.amount),))

    assert priced.net == cny("360000.00")
    assert priced.tax == cny("21600.00")  # 6 % of 360,000.00
    assert priced.gross == cny("381600.00")
    (group,) = priced.groups
    assert (group.code, group.rate) == ("CN-VAT-6", Fraction(3, 50))


def test_a_line_says_from_which_clause_and_on_which_proof_it_is_due():
    billed = line(M1.amount)

    assert (billed.claim, billed.clause, billed.title) == ("eng.E7.milestone.M1", "4.1", M1.title)
    assert billed.explanation == Explanation(
        what="Four-level processes approved",
        amount=cny("360000.00"),
        contract="KA-2024-017@v1",
        clause="4.1",
        inputs=(Input(name="amount", value="360000.00", source="clause 4.1"), ACCEPTED),
        steps=(Calculation(formula="net = amount", exact="360000.00"),),
    )


def test_tax_is_rounded_once_per_document_and_not_once_per_line():
    three = tuple(line(cny("0.25"), f"T{n}") for n in range(3))

    assert draft(CONTRACT, three[:1]).tax == cny("0.02")  # 0.015, three times 0.02 would be 0.06
    assert draft(CONTRACT, three).tax == cny("0.05")  # 0.045


def test_the_tax_of_four_lines_is_that_of_their_sum():
    """The Lago case: 55.832 for 279.16; line by line 13.67 + 11.50 + 17.00 + 13.67 = 55.84."""
    nets = ("68.33", "57.50", "85.00", "68.33")
    priced = draft(taxed(Fraction(1, 5)), tuple(line(cny(net), net) for net in nets))
    assert (priced.net, priced.tax, priced.gross) == (cny("279.16"), cny("55.83"), cny("334.99"))


def test_the_rounding_of_the_tax_is_explained_r1():
    priced = draft(CONTRACT, tuple(line(cny("0.25"), f"T{n}") for n in range(3)))
    assert tax_calculation(priced) == Calculation(
        formula="tax = net * 3/50 (CN-VAT-6)",
        exact="9/200",
        rounded="0.05",
        rule="R1 half away from zero, once per code and rate",
    )


def test_a_document_is_due_at_once_unless_the_contract_gives_days():
    at_once = CONTRACT.model_copy(update={"payment": None})
    assert due_on(at_once, date(2024, 12, 20)) == date(2024, 12, 20)
    assert due_on(CONTRACT, date(2024, 12, 20)) == date(2025, 1, 19)


@pytest.mark.parametrize(
    ("book", "document", "name"),
    [
        (Book.LIVE, "invoice", "QM-INV"),
        (Book.LIVE, "credit_note", "QM-CN"),
        (Book.SANDBOX, "invoice", "TEST-QM-INV"),
        (Book.SANDBOX, "credit_note", "TEST-QM-CN"),
    ],
)
def test_each_kind_of_document_of_each_book_has_its_own_numbers(book, document, name):
    assert series(CONTRACT, book, document) == name


@property_of
@given(nets=st.lists(amounts, min_size=1, max_size=8), rate=shares)
def test_every_document_adds_up_whatever_its_lines_and_its_rate(nets, rate):
    contract = taxed(rate)
    with unchanged(contract):
        priced = draft(contract, tuple(line(net, f"T{n}") for n, net in enumerate(nets)))

    assert priced.net.minor == sum(net.minor for net in nets)
    assert priced.gross == priced.net + priced.tax
    assert abs(priced.tax.minor - priced.net.minor * rate) <= Fraction(1, 2)
    assert [billed.explanation.amount for billed in priced.lines] == nets
    assert travels(priced)
