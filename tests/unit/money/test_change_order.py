"""Change orders: what is billed and its deltas are the bill of the last version; what cannot change."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.commands import RejectMilestone, SubmitEvidence
from contracts.commercial import Advance
from contracts.contract import Contract, MilestoneLine, Phase, Tax
from contracts.errors import TransitionError
from contracts.explanation import Calculation, Explanation, Input
from contracts.fields import Title
from contracts.money import Money
from lifecycle import milestone
from lifecycle.change_limits import Standing, require_possible
from lifecycle.change_order import (
    MICRO,
    Bill,
    EditKind,
    PricedChange,
    Pricing,
    Tranche,
    billed_as,
    billed_of,
    document,
    edits,
    price,
)
from lifecycle.invoice import BilledLine, Correction
from lifecycle.ledger import Account, delta_credited, delta_invoiced, earned_anew
from lifecycle.milestone import MilestoneState, MilestoneWork
from lifecycle.tax import Taxed, nothing
from tests.unit.lifecycle.conftest import CALENDAR, CONTRACT, beijing, cny, property_of, say

FEES = {
    "project": (None, "net"),
    "travel": (None, "net"),
    "licences": ("VAT-13", "gross"),
    "fares": ("VAT-9", "net"),
}
MILESTONES = ("M1", "M2", "M3")
NOTHING = cny("0.00")


def version(number: int, amounts: dict[str, dict[str, int]]) -> Contract:
    """The example contract at these amounts, in minor units by milestone and fee."""
    fees = [
        CONTRACT.fee("project").model_copy(update={"id": id, "tax": tax, "prices": prices})
        for id, (tax, prices) in FEES.items()
    ]
    taxes = (
        Tax(clause="3", code="VAT-13", rate=Fraction(13, 100)),
        Tax(clause="3", code="VAT-9", rate=Fraction(9, 100)),
    )
    milestones = []
    for name, lines in amounts.items():
        own, *more = [
            MilestoneLine(clause="4", title=Title(en=fee), fee=fee, amount=Money(minor, "CNY"))
            for fee, minor in lines.items()
        ]
        terms = CONTRACT.milestone(name)
        milestones.append(
            terms.model_copy(update={"fee": own.fee, "amount": own.amount, "more": tuple(more)})
        )
    return CONTRACT.model_copy(
        update={
            "version": number,
            "fees": (CONTRACT.fees[0], *fees),
            "taxes": taxes,
            "milestones": tuple(milestones),
        }
    )


@st.composite
def versions(draw: st.DrawFn, count: int = 3) -> list[Contract]:
    """Versions of a contract with the same lines at other amounts, small ones as well."""
    minor = st.one_of(st.integers(1, 60), st.integers(1, 10**9))
    lines = {
        name: draw(st.lists(st.sampled_from(list(FEES)), min_size=1, max_size=4, unique=True))
        for name in MILESTONES
    }
    return [
        version(number, {name: {fee: draw(minor) for fee in fees} for name, fees in lines.items()})
        for number in range(1, count + 1)
    ]


def billed(contract: Contract, names: Sequence[str], forfeited: Money = NOTHING) -> list[Bill]:
    """The invoices of these milestones, as they are issued."""
    found = []
    for name in names:
        number = f"QM-INV-2025-00000{name[1:]}"
        bill = Bill(number=number, what=name, forfeited=forfeited, tranches=())
        tranches = [
            Tranche(fee=fee, net=part.net, lines=(line(contract, number, position, fee, part),))
            for position, (fee, part) in enumerate(billed_as(contract, bill).items(), start=1)
        ]
        found.append(bill.model_copy(update={"tranches": tuple(tranches)}))
    return found


def line(contract: Contract, number: str, position: int, fee: str, part: Taxed) -> BilledLine:
    tax = contract.tax_of(fee)
    return BilledLine(
        number=number,
        line=position,
        fee=fee,
        clause="4",
        title=Title(en=fee),
        tax_code=tax.code,
        tax_rate=tax.rate,
        billed=part,
        taken=nothing("CNY"),
    )


def corrected(bills: Sequence[Bill], pricing: Pricing, delta: str) -> list[Bill]:
    """What the books have afterwards: what a delta invoice bills more is a line of its own."""
    parts = {(each.line.number, each.line.line): each.part for each in pricing.corrections}
    after: list[Bill] = []
    for bill in bills:
        tranches: list[Tranche] = []
        for tranche in bill.tranches:
            lines = []
            more: list[BilledLine] = []
            for each in tranche.lines:
                part = parts.get((each.number, each.line))
                if part is None:
                    lines.append(each)
                elif pricing.document == "invoice" and (part.net.minor, part.tax.minor) > (0, 0):
                    lines.append(each)
                    position = len(more) + 100 * len(after) + len(tranches)
                    own = {"number": delta, "line": position, "billed": part}
                    more.append(each.model_copy(update=own))
                else:
                    now = Taxed(each.billed.net + part.net, each.billed.tax + part.tax)
                    lines.append(each.model_copy(update={"billed": now}))
            tranches.append(tranche.model_copy(update={"lines": (*lines, *more)}))
        after.append(bill.model_copy(update={"tranches": tuple(tranches)}))
    return after


def by_line(bills: Sequence[Bill]) -> dict[tuple[str, str], int]:
    return {
        (bill.what, tranche.fee): sum(each.billed.net.minor for each in tranche.lines)
        for bill in bills
        for tranche in bill.tranches
    }


def by_code(bills: Sequence[Bill]) -> dict[tuple[str, str], int]:
    taxes = Counter[tuple[str, str]]()
    for bill in bills:
        for tranche in bill.tranches:
            for each in tranche.lines:
                taxes[bill.what, each.tax_code] += each.billed.tax.minor
    return dict(taxes)


def priced(old: Contract, new: Contract, bills: Sequence[Bill]) -> Pricing:
    """Without those that go up and down so that net and gross have different signs."""
    try:
        return price(old, new, bills)
    except TransitionError:
        assume(False)
        raise


@property_of
@given(versions(), st.integers(0, 3), st.booleans())
def test_a_bill_with_its_deltas_is_the_bill_of_the_last_version_c_5_17(
    three: list[Contract], prefix: int, lose: bool
) -> None:
    first, second, third = three
    own = [terms.amount.minor for each in three for terms in each.milestones]
    forfeited = Money(min(own) // 3 if lose else 0, "CNY")
    bills = billed(first, MILESTONES[:prefix], forfeited)
    assume(all(len(b.tranches) == len(first.lines_of(b.what)) for b in bills))
    for old, new in ((first, second), (second, third)):
        try:
            pricing = priced(old, new, bills)
        except TransitionError:
            return
        bills = corrected(bills, pricing, f"QM-INV-2025-10000{new.version}")
        expected = billed(new, MILESTONES[:prefix], forfeited)
        assert by_line(bills) == by_line(expected)
        assert by_code(bills) == by_code(expected)


@property_of
@given(versions(), st.integers(1, 3))
def test_two_change_orders_come_to_the_same_as_one(three: list[Contract], prefix: int) -> None:
    first, second, third = three
    bills = billed(first, MILESTONES[:prefix])
    at_once = priced(first, third, bills).delta
    one = priced(first, second, bills)
    other = priced(second, third, corrected(bills, one, "QM-INV-2025-100002")).delta
    assert (at_once.net, at_once.tax) == (one.delta.net + other.net, one.delta.tax + other.tax)


@property_of
@given(versions(2), st.integers(1, 3))
def test_the_delta_is_one_document_over_all_lines(two: list[Contract], prefix: int) -> None:
    old, new = two
    pricing = priced(old, new, billed(old, MILESTONES[:prefix]))
    if pricing.document is None:
        assert not pricing.corrections
        return
    delta = document(new, pricing, "eng.E1.change.CO1")
    assert len(delta.lines) == len(pricing.corrections)
    sign = 1 if pricing.document == "invoice" else -1
    assert delta.net.minor == sign * pricing.delta.net.minor >= 0
    assert delta.tax.minor == sign * pricing.delta.tax.minor
    assert delta.gross.minor >= 0
    assert all(each.corrects and each.explanation.amount == each.net for each in delta.lines)
    assert len({each.claim for each in delta.lines}) == len(delta.lines)


def test_a_delta_has_the_tax_that_the_whole_document_would_have() -> None:
    """0.10 + 0.10 at 6 % is 0.01; each line alone would have 0.01."""
    old = version(1, {"M1": {"project": 10, "travel": 5}})
    new = version(2, {"M1": {"project": 10, "travel": 10}})
    pricing = price(old, new, billed(old, ["M1"]))
    assert (pricing.delta.net, pricing.delta.tax) == (cny("0.05"), cny("0.00"))
    assert pricing.document == "invoice"


def test_lines_that_are_not_billed_are_priced_and_not_corrected() -> None:
    old = version(1, {"M1": {"project": 10_000}, "M2": {"project": 20_000}})
    new = version(2, {"M1": {"project": 10_000}, "M2": {"project": 25_000}, "M3": {"project": 700}})
    pricing = price(old, new, billed(old, ["M1"]))
    assert pricing.document is None
    found = {each.what: (each.billed, each.before, each.after) for each in pricing.lines}
    assert found["M1"] == (cny("100.00"), cny("100.00"), cny("100.00"))
    assert found["M2"] == (None, cny("200.00"), cny("250.00"))
    assert found["M3"] == (None, None, cny("7.00"))
    assert pricing.size == cny("57.00")


def test_authority_is_measured_by_what_goes_up_or_down_and_not_by_the_difference() -> None:
    old = version(1, {"M1": {"project": 100_000}, "M2": {"project": 100_000}})
    new = version(2, {"M1": {"project": 160_000}, "M2": {"project": 40_000}})
    assert price(old, new, ()).size == cny("600.00")


def test_what_changes_is_named_by_its_kind_and_its_clause() -> None:
    old = version(1, {"M1": {"project": 10}, "M2": {"project": 20}})
    new = version(2, {"M1": {"project": 30}, "M3": {"project": 20}})
    new = new.model_copy(update={"signed_on": new.signed_on.replace(year=2025)})
    found = {(each.kind, each.difference.path) for each in edits(old, new)}
    assert found == {
        (EditKind.DATE_MOVED, "signed_on"),
        (EditKind.AMOUNT_CHANGED, "milestones[M1].amount"),
        (EditKind.MILESTONE_REMOVED, "milestones[M2]"),
        (EditKind.MILESTONE_ADDED, "milestones[M3]"),
    }
    assert str(edits(old, new)[1]) == (
        "amount changed: milestones[M1].amount (clause 4.1): 0.10 CNY -> 0.30 CNY"
    )


def test_a_bill_is_named_by_the_key_of_its_invoice() -> None:
    assert billed_of("milestone", "eng.E7.milestone.M1:bill") == "M1"
    assert billed_of("micro", "eng.E7.micro.key-account:fee") == MICRO


# In figures and in words.


def test_a_billed_line_says_what_it_was_is_and_adds() -> None:
    old = version(1, {"M1": {"project": 10_000, "licences": 11_300}})
    new = version(2, {"M1": {"project": 13_000, "licences": 9_040}})
    pricing = price(old, new, billed(old, ["M1"]))
    assert [each for each in pricing.lines if each.what == "M1"] == [
        PricedChange(
            what="M1",
            fee="project",
            clause="4.1",
            billed=cny("100.00"),
            before=cny("100.00"),
            after=cny("130.00"),
            delta=Taxed(cny("30.00"), cny("1.80")),
        ),
        PricedChange(
            what="M1",
            fee="licences",
            clause="4",
            billed=cny("100.00"),
            before=cny("100.00"),
            after=cny("80.00"),
            delta=Taxed(cny("-20.00"), cny("-2.60")),
        ),
    ]
    assert pricing.delta == Taxed(cny("10.00"), cny("-0.80"))
    assert [(each.before, each.after) for each in pricing.corrections] == [
        (cny("100.00"), cny("130.00")),
        (cny("100.00"), cny("80.00")),
    ]
    assert pricing.edits == tuple(map(str, edits(old, new)))


def test_the_holdback_and_micro_consulting_are_priced_as_well() -> None:
    micro = CONTRACT.fees[0].model_copy(update={"amount": cny("90000.00")})
    project = CONTRACT.fees[1].model_copy(update={"amount": cny("2000000.00")})
    new = changed(fees=(micro, project))
    pricing = price(CONTRACT, new, ())
    found = {each.what: each for each in pricing.lines}
    assert found["holdback HB1"] == PricedChange(
        what="holdback HB1",
        fee="project",
        clause=CONTRACT.holdback.clause,
        before=cny("540000.00"),
        after=cny("600000.00"),
    )
    assert found[MICRO] == PricedChange(
        what=MICRO,
        fee="micro",
        clause=micro.clause,
        before=cny("100000.00"),
        after=cny("90000.00"),
    )
    assert pricing.authorised == {
        "contract": cny("190000.00"),
        "fee:micro": cny("-10000.00"),
        "fee:project": cny("200000.00"),
    }
    assert pricing.size == cny("60000.00")
    assert (pricing.document, pricing.delta) == (None, nothing("CNY"))


def test_a_micro_consulting_that_is_billed_is_corrected_by_its_fee() -> None:
    fee = CONTRACT.fees[0]
    new = changed(fees=(fee.model_copy(update={"amount": cny("90000.00")}), *CONTRACT.fees[1:]))
    bill = Bill(number="QM-INV-2025-000001", what=MICRO, forfeited=NOTHING, tranches=())
    part = billed_as(CONTRACT, bill)["micro"]
    assert part == Taxed(cny("100000.00"), cny("6000.00"))
    own = line(CONTRACT, bill.number, 1, "micro", part)
    tranche = Tranche(fee="micro", net=part.net, lines=(own,))
    pricing = price(CONTRACT, new, [bill.model_copy(update={"tranches": (tranche,)})])
    assert (pricing.document, pricing.delta) == (
        "credit_note",
        Taxed(cny("-10000.00"), cny("-600.00")),
    )


@pytest.mark.parametrize(
    ("after", "amount", "tax", "formula"),
    [
        (13_000, "30.00", "1.80", "net = new - old"),
        (7_000, "30.00", "1.80", "net = old - new"),
    ],
)
def test_a_line_of_the_delta_document_names_both_versions_and_the_line_it_corrects(
    after: int, amount: str, tax: str, formula: str
) -> None:
    old, new = (version(n, {"M1": {"project": m}}) for n, m in ((1, 10_000), (2, after)))
    pricing = price(old, new, billed(old, ["M1"]))
    (found,) = document(new, pricing, "eng.E1.change.CO1").lines
    assert (found.claim, found.fee, found.clause, found.title) == (
        "eng.E1.change.CO1:QM-INV-2025-000001/1",
        "project",
        "4",
        Title(en="project"),
    )
    assert found.amount == cny(amount)
    assert found.corrects == Correction(
        number="QM-INV-2025-000001",
        line=1,
        tax_code="CN-VAT-6",
        tax_rate=Fraction(3, 50),
        tax=cny(tax),
    )
    assert found.explanation == Explanation(
        what="project, change order CO1",
        amount=cny(amount),
        contract="KA-2024-017@v2",
        clause="4",
        inputs=(
            Input(name="old", value="100.00", source="KA-2024-017, version before"),
            Input(
                name="new",
                value=str(Money(after, "CNY")),
                source="KA-2024-017@v2, clause 4",
            ),
        ),
        steps=(Calculation(formula=formula, exact=amount),),
    )


def after_one_delta(net: str) -> tuple[Contract, list[Bill], Pricing]:
    """M1 billed with 100.00, raised by 30.00 with a delta invoice, and then changed to `net`."""
    first = version(1, {"M1": {"project": 10_000}})
    second = version(2, {"M1": {"project": 13_000}})
    bills = corrected(
        billed(first, ["M1"]), price(first, second, billed(first, ["M1"])), "QM-INV-2025-000009"
    )
    third = version(3, {"M1": {"project": cny(net).minor}})
    return third, bills, price(second, third, bills)


@pytest.mark.parametrize(
    ("net", "parts"),
    [
        ("110.00", [("000009", "-20.00", "-1.20")]),
        ("100.00", [("000009", "-30.00", "-1.80")]),  # all of the delta, nothing of the bill
        ("99.99", [("000009", "-30.00", "-1.80"), ("000001", "-0.01", "0.00")]),
        ("90.00", [("000009", "-30.00", "-1.80"), ("000001", "-10.00", "-0.60")]),
        ("140.00", [("000001", "10.00", "0.60")]),
        ("130.01", [("000001", "0.01", "0.00")]),
    ],
)
def test_less_is_taken_off_the_latest_line_first_and_more_is_added_to_the_first(
    net: str, parts: list[tuple[str, str, str]]
) -> None:
    _, _, pricing = after_one_delta(net)
    assert [
        (each.line.number[-6:], str(each.part.net), str(each.part.tax))
        for each in pricing.corrections
    ] == parts


def test_a_delta_that_is_taken_off_whole_leaves_the_lines_before_it_alone() -> None:
    """100.00, then 30.00 and 20.00 more; 20.00 less."""
    versions = [
        version(n, {"M1": {"project": m}}) for n, m in ((1, 10_000), (2, 13_000), (3, 15_000))
    ]
    bills = billed(versions[0], ["M1"])
    for old, new in pairwise(versions):
        bills = corrected(bills, price(old, new, bills), f"QM-INV-2025-00000{new.version}")
    pricing = price(versions[2], version(4, {"M1": {"project": 13_000}}), bills)
    assert [(each.line.number[-1:], each.part) for each in pricing.corrections] == [
        ("3", Taxed(cny("-20.00"), cny("-1.20")))
    ]


def test_a_line_that_goes_whole_takes_its_own_tax_and_the_first_line_has_the_rest() -> None:
    """The line of 30.00 had 1.81 as its part of a document's tax; 1.80 are to be taken off."""
    third, bills, _ = after_one_delta("100.00")
    (bill,), second = bills, version(2, {"M1": {"project": 13_000}})
    (tranche,) = bill.tranches
    first, more = tranche.lines
    more = more.model_copy(update={"billed": Taxed(cny("30.00"), cny("1.81"))})
    spread = tranche.model_copy(update={"lines": (first, more)})
    pricing = price(second, third, [bill.model_copy(update={"tranches": (spread,)})])
    assert [each.part for each in pricing.corrections] == [
        Taxed(cny("-30.00"), cny("-1.81")),
        Taxed(cny("0.00"), cny("0.01")),
    ]


def test_what_was_forfeited_of_a_milestone_is_part_of_no_version() -> None:
    """30.00 of 100.00, then of 120.00."""
    old, new = (version(n, {"M1": {"project": m}}) for n, m in ((1, 10_000), (2, 12_000)))
    pricing = price(old, new, billed(old, ["M1"], forfeited=cny("30.00")))
    found = next(each for each in pricing.lines if each.what == "M1")
    assert (found.billed, found.before, found.after) == (cny("70.00"), cny("70.00"), cny("90.00"))


def test_a_price_with_its_tax_inside_stays_the_fixed_point_of_a_bill() -> None:
    """100.00 is 88.50 and 11.50, though 13 % of 88.50 would be 11.51."""
    bill = Bill(number="N", what="M1", forfeited=NOTHING, tranches=())
    assert billed_as(version(1, {"M1": {"licences": 10_000}}), bill) == {
        "licences": Taxed(cny("88.50"), cny("11.50"))
    }


def test_a_date_and_a_list_inside_a_milestone_are_no_milestone() -> None:
    moved = CONTRACT.effective_on.replace(year=2025)
    new = changed(effective_on=moved, milestones=milestones("M1", evidence=("letter",)))
    kinds = {each.difference.path: each.kind for each in edits(CONTRACT, new)}
    assert kinds["effective_on"] is EditKind.DATE_MOVED
    assert kinds["milestones[M1].evidence[letter]"] is EditKind.CLAUSE_CHANGED


def test_a_line_that_bears_a_part_of_the_difference_says_so() -> None:
    third, _, pricing = after_one_delta("90.00")
    steps = [
        each.explanation.steps[0].formula
        for each in document(third, pricing, "eng.E1.change.CO2").lines
    ]
    assert steps == ["net = old - new, as far as it is of this line"] * 2


def test_a_bill_keeps_its_lines() -> None:
    old = version(1, {"M1": {"project": 10_000}})
    new = version(2, {"M1": {"travel": 10_000, "fares": 5_000}})
    expected = (
        r"^M1 is billed as QM-INV-2025-000001: found lines of fares, travel in the new version, "
        r"expected those of project$"
    )
    with pytest.raises(TransitionError, match=expected):
        price(old, new, billed(old, ["M1"]))


def test_a_bill_is_not_lowered_to_what_was_forfeited_before_it() -> None:
    """30.00 of 100.00 is forfeited; at 30.00 there would have been nothing to bill."""
    old, new = (version(n, {"M1": {"project": m}}) for n, m in ((1, 10_000), (2, 3_000)))
    expected = r"found lines of nothing in the new version, expected those of project$"
    with pytest.raises(TransitionError, match=expected):
        price(old, new, billed(old, ["M1"], forfeited=cny("30.00")))


def test_a_delta_is_on_one_side_of_zero_net_and_with_its_tax() -> None:
    """1.00 less at 6 % and 0.95 more at 13 %: 0.05 less net, 0.06 more tax."""
    old = version(1, {"M1": {"project": 1_000, "licences": 1_130}})
    new = version(2, {"M1": {"project": 900, "licences": 1_130 + 107}})
    expected = (
        r"^found a delta of -0\.05 CNY net and 0\.01 with tax, expected both on one side of 0; raise "
        r"and lower billed lines in two change orders$"
    )
    with pytest.raises(TransitionError, match=expected):
        price(old, new, billed(old, ["M1"]))


# What cannot change.


def standing(**update: Any) -> Standing:
    settled: dict[str, Any] = {
        "closed": False,
        "staked": None,
        "begun": (Phase.CONSULTING,),
        "handed_in": frozenset(),
        "accepted": frozenset(),
        "billed": frozenset(),
        "retired": frozenset(),
        "in_use": {},
        "taxed": frozenset(),
        "held_back": {},
        "advanced": None,
    }
    return Standing(**settled | update)


def changed(**update: Any) -> Contract:
    return CONTRACT.model_copy(update={"version": 2, **update})


def advance(amount: str, clause: str = "3.4") -> Advance:
    return Advance(
        id="AD1",
        clause=clause,
        title=Title(en="Advance"),
        fee="project",
        amount=cny(amount),
        recovered=Fraction(1, 4),
    )


def milestones(name: str, **update: Any) -> tuple[Any, ...]:
    return tuple(
        terms.model_copy(update=update) if terms.id == name else terms
        for terms in CONTRACT.milestones
    )


def without(name: str) -> tuple[Any, ...]:
    return tuple(terms for terms in CONTRACT.milestones if terms.id != name)


def added(phase: Phase, name: str = "M9") -> tuple[Any, ...]:
    new = CONTRACT.milestone("M1").model_copy(update={"id": name, "phase": phase})
    return (*CONTRACT.milestones, new)


M1_BILLED = {
    "handed_in": frozenset({"M1"}),
    "accepted": frozenset({"M1"}),
    "billed": frozenset({"M1"}),
}

REFUSED = [
    (changed(version=3), {}, "found version 3, expected 2"),
    (changed(id="X"), {}, "found contract X, expected KA-2024-017"),
    (changed(), {"closed": True}, "the engagement is closed"),
    (changed(currency="EUR"), {}, "currency: found it changed"),
    (changed(timezone="Europe/Berlin"), {}, "timezone: found it changed"),
    (changed(bets=()), {"in_use": {"bets": "it is staked"}}, "bets: found it changed.*staked"),
    (
        changed(holdback=CONTRACT.holdback.model_copy(update={"rate": Fraction(1, 10)})),
        {"staked": "it is placed"},
        r"HB1: found 180000\.00, expected 540000\.00 on the same terms, for it is placed; with another rate",
    ),
    (
        changed(holdback=CONTRACT.holdback.model_copy(update={"clause": "5.2"})),
        {"staked": "window W6 is over"},
        r"HB1: found other terms, expected 540000\.00 on the same terms, for window W6 is over",
    ),
    (
        changed(tax=CONTRACT.tax.model_copy(update={"rate": Fraction(13, 100)})),
        {"taxed": frozenset({"project"})},
        "fee project: found tax CN-VAT-6 of 13/100",
    ),
    (
        changed(fees=CONTRACT.fees[1:]),
        {"taxed": frozenset({"micro"})},
        "micro: found it removed",
    ),
    (changed(milestones=without("M1")), M1_BILLED, "M1: found it removed.*it is accepted"),
    (
        changed(milestones=without("M1")),
        {"handed_in": frozenset({"M1"})},
        "M1: found it removed.*evidence is handed in",
    ),
    (changed(milestones=without("M1")), {"held_back": {"M1": cny("5.00")}}, "a hold is on it"),
    (changed(milestones=milestones("M1", amount=cny("9.00"))), M1_BILLED, "retroactive"),
    (
        changed(milestones=milestones("M1", amount=cny("9.00"))),
        {"accepted": frozenset({"M1"}), "handed_in": frozenset({"M1"})},
        "M1: found 9.00 of project.*accepted and not billed yet",
    ),
    (
        changed(milestones=milestones("M1", amount=cny("9.00"))),
        {"held_back": {"M1": cny("10.00")}},
        "M1: found 9.00, expected at least the 10.00",
    ),
    (
        changed(milestones=milestones("M1", evidence=("letter",))),
        {"handed_in": frozenset({"M1"})},
        "M1: found other terms of acceptance",
    ),
    (
        changed(milestones=milestones("M1", phase=Phase.DESIGN_BUILD)),
        {},
        "M1: found it in design_build, expected consulting",
    ),
    (
        changed(milestones=added(Phase.CONSULTING)),
        {"begun": (Phase.CONSULTING, Phase.DESIGN_BUILD)},
        "M9: found it added to consulting, which is over",
    ),
    (
        changed(milestones=added(Phase.CONSULTING)),
        {"accepted": frozenset({"M1"})},
        "M9: found it added to consulting, which is over",
    ),
    (
        changed(milestones=added(Phase.DESIGN_BUILD)),
        {
            "begun": (Phase.CONSULTING, Phase.DESIGN_BUILD),
            "accepted": frozenset({"M1", "M2", "M3", "M4"}),
        },
        "M9: found it added to design_build, which is over",
    ),
    (changed(milestones=added(Phase.DESIGN_BUILD)), {"retired": frozenset({"M9"})}, "added again"),
]


@pytest.mark.parametrize(("new", "settled", "message"), REFUSED)
def test_what_is_settled_stays(new: Contract, settled: dict[str, Any], message: str) -> None:
    with pytest.raises(TransitionError, match=message):
        require_possible(CONTRACT, new, standing(**settled), retroactive=False)


ALLOWED = [
    (changed(milestones=milestones("M1", amount=cny("9.00"))), {}, False),
    (changed(milestones=milestones("M1", amount=cny("9.00"))), M1_BILLED, True),
    (changed(milestones=without("M2")), M1_BILLED, False),
    (changed(milestones=added(Phase.DESIGN_BUILD)), M1_BILLED, False),
    (changed(milestones=added(Phase.CONSULTING)), {}, False),
    (changed(bets=()), {}, False),
    (
        changed(holdback=CONTRACT.holdback.model_copy(update={"rate": Fraction(1, 10)})),
        {"accepted": frozenset({"M1", "M4"})},
        False,
    ),
    (
        changed(milestones=added(Phase.DESIGN_BUILD)),
        {
            "begun": (Phase.CONSULTING, Phase.DESIGN_BUILD),
            "accepted": frozenset({"M1", "M2", "M4"}),
        },
        False,
    ),
    (
        changed(
            fees=(
                CONTRACT.fees[0],
                CONTRACT.fees[1].model_copy(update={"amount": cny("1820000.00")}),
            ),
            holdback=CONTRACT.holdback.model_copy(update={"rate": Fraction(54, 182)}),
        ),
        {"staked": "it is placed"},
        False,
    ),
]


@pytest.mark.parametrize(("new", "settled", "retroactive"), ALLOWED)
def test_what_is_still_to_come_may_change(
    new: Contract, settled: dict[str, Any], retroactive: bool
) -> None:
    require_possible(CONTRACT, new, standing(**settled), retroactive=retroactive)


@pytest.mark.parametrize(
    ("before", "after", "left", "refused"),
    [
        (advance("100.00"), advance("60.00"), None, None),
        (advance("100.00"), advance("100.00"), "60.00", None),
        (advance("100.00"), advance("60.00"), "60.00", None),
        (advance("100.00"), None, "0.00", None),
        (None, advance("60.00"), None, None),
        (advance("100.00"), advance("59.99"), "60.00", "AD1: found it changed.* or of 60.00"),
        (advance("100.00"), advance("60.00", "3.5"), "60.00", "AD1: found it changed"),
        (advance("100.00"), None, "60.00", "AD1: found it changed"),
        (advance("100.00"), advance("60.00"), "0.00", "AD1: found it changed.* or gone"),
        (None, advance("60.00"), "0.00", "advance: found one added, expected none"),
    ],
)
def test_an_advance_that_is_invoiced_gives_up_what_was_credited_of_it(
    before: Advance | None, after: Advance | None, left: str | None, refused: str | None
) -> None:
    old, new = CONTRACT.model_copy(update={"advance": before}), changed(advance=after)
    come = standing(advanced=left and cny(left))
    if refused is None:
        require_possible(old, new, come, retroactive=False)
    else:
        with pytest.raises(TransitionError, match=refused):
            require_possible(old, new, come, retroactive=False)


def test_another_party_is_another_contract() -> None:
    client = CONTRACT.parties.client.model_copy(update={"entity": "ZZ"})
    new = changed(parties=CONTRACT.parties.model_copy(update={"client": client}))
    with pytest.raises(TransitionError, match="client: found entity ZZ, expected HD"):
        require_possible(CONTRACT, new, standing(), retroactive=True)


def test_a_line_is_not_added_to_a_bill() -> None:
    more = MilestoneLine(clause="4", title=Title(en="more"), fee="micro", amount=cny("1.00"))
    new = changed(milestones=milestones("M1", more=(more,)))
    with pytest.raises(
        TransitionError, match="M1: found lines of project, micro, expected project"
    ):
        require_possible(CONTRACT, new, standing(**M1_BILLED), retroactive=True)


# Postings.


def test_more_and_less_earned_are_posted_line_by_line() -> None:
    group = earned_anew([("a", cny("7.00")), ("b", cny("-2.00"))])
    assert [(p.account, p.side.value, str(p.amount), p.fee) for p in group.postings] == [
        (Account.UNBILLED_EARNED, "D", "7.00", "a"),
        (Account.REVENUE_FIXED, "C", "7.00", "a"),
        (Account.UNBILLED_EARNED, "C", "2.00", "b"),
        (Account.REVENUE_FIXED, "D", "2.00", "b"),
    ]


def test_a_delta_invoice_claims_the_sum_and_clears_what_was_earned() -> None:
    group = delta_invoiced({"a": cny("7.00"), "b": cny("-2.00")}, {"VAT": cny("0.30")}, invoice="N")
    assert [(p.account, p.side.value, str(p.amount)) for p in group.postings] == [
        (Account.RECEIVABLE_OPEN, "D", "5.30"),
        (Account.UNBILLED_EARNED, "C", "7.00"),
        (Account.UNBILLED_EARNED, "D", "2.00"),
        (Account.VAT_OUTPUT, "C", "0.30"),
    ]


def test_a_delta_credit_note_takes_off_what_is_open_and_gives_back_what_was_paid() -> None:
    group = delta_credited(
        {"a": cny("5.00")}, {"VAT": cny("0.30")}, invoice="N", note="CN", settled=cny("1.30")
    )
    assert [(p.account, p.side.value, str(p.amount)) for p in group.postings] == [
        (Account.RECEIVABLE_OPEN, "C", "4.00"),
        (Account.CUSTOMER_CREDIT, "C", "1.30"),
        (Account.UNBILLED_EARNED, "D", "5.00"),
        (Account.VAT_OUTPUT, "D", "0.30"),
    ]


# A milestone that is on its way.


def test_a_milestone_in_delivery_goes_on_under_the_new_terms() -> None:
    work = MilestoneWork(terms=CONTRACT.milestone("M1"))
    new = changed(milestones=milestones("M1", evidence=("letter",)))
    assert milestone.amended(work, new).terms.evidence == ("letter",)


def test_a_milestone_that_the_new_version_does_not_have_is_withdrawn() -> None:
    work = MilestoneWork(terms=CONTRACT.milestone("M1"))
    gone = milestone.amended(work, changed(milestones=without("M1")))
    assert gone.state is MilestoneState.WITHDRAWN
    submission = say(SubmitEvidence, "sun.hao", beijing("2024-10-08 09:00"), evidence={"a": "b"})
    with pytest.raises(TransitionError, match="M1 is withdrawn"):
        milestone.submit(gone, submission, CALENDAR)
    rejection = say(RejectMilestone, "wang.fang", beijing("2024-10-08 09:00"), reasons=("late",))
    with pytest.raises(TransitionError, match="M1 is withdrawn"):
        milestone.reject(gone, rejection)
