"""The ledger: groups balance, E-numbers post what they say, tax splits to the last fen."""

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.money import Money
from lifecycle.ledger import (
    Account,
    Dimensions,
    Group,
    Side,
    earned,
    invoiced,
    stake_hit,
    stake_missed,
    stake_opened,
    tax_of_part,
    withheld_forfeited,
    withheld_released,
)
from tests.unit.lifecycle.conftest import amounts, cny, property_of, shares, travels

OF = Dimensions(fee="project", hold="eng.E7.hold.HB1", invoice="QM-INV-2025-000004")
NET, TAX, GROSS = cny("1000.00"), cny("60.00"), cny("1060.00")  # 6 %

EVENTS: dict[str, Callable[[Money, Money], Group]] = {
    "a milestone is accepted": lambda net, tax: earned(net, OF),
    "at-risk money is earned": lambda net, tax: earned(net, OF, Account.REVENUE_AT_RISK),
    "it is invoiced": lambda net, tax: invoiced(net, tax, OF),
    "it is invoiced and withheld": lambda net, tax: invoiced(net, tax, OF, withheld=True),
    "a withheld part is released": lambda net, tax: withheld_released(net + tax, OF),
    "a withheld part is forfeited": lambda net, tax: withheld_forfeited(net, tax, OF),
    "a stake is opened": lambda net, tax: stake_opened(net, OF),
    "a stake is won": lambda net, tax: stake_hit(net, tax, OF),
    "a stake is lost": lambda net, tax: stake_missed(net, OF),
}
EXPECTED = {
    "a milestone is accepted": ("E01", "1200 D 1000.00", "4000 C 1000.00"),
    "at-risk money is earned": ("E01", "1200 D 1000.00", "4020 C 1000.00"),
    "it is invoiced": ("E02", "1100 D 1060.00", "1200 C 1000.00", "2400 C 60.00"),
    "it is invoiced and withheld": ("E02", "1120 D 1060.00", "1200 C 1000.00", "2400 C 60.00"),
    "a withheld part is released": ("E11", "1100 D 1060.00", "1120 C 1060.00"),
    "a withheld part is forfeited": ("E12", "4090 D 1000.00", "2400 D 60.00", "1120 C 1060.00"),
    "a stake is opened": ("E14", "M40 D 1000.00", "M49 C 1000.00"),
    "a stake is won": (
        "E15",
        *("M40 C 1000.00", "M49 D 1000.00"),
        *("1100 D 1060.00", "4020 C 1000.00", "2400 C 60.00"),
    ),
    "a stake is lost": ("E16", "M40 C 1000.00", "M49 D 1000.00"),
}


def balances(groups: Sequence[Group]) -> Counter[str]:
    """Debits less credits of every account, in minor units."""
    totals: Counter[str] = Counter()
    for group in groups:
        for posting in group.postings:
            sign = 1 if posting.side is Side.DEBIT else -1
            totals[posting.account.value] += sign * posting.amount.minor
    return totals


def balanced(group: Group) -> bool:
    """Whether debits are credits in the money ledger, and in the memo ledger."""
    sums = balances([group])
    memo = sum(minor for account, minor in sums.items() if account.startswith("M"))
    return memo == 0 == sum(sums.values()) - memo


@pytest.mark.parametrize("event", EVENTS)
def test_each_money_event_posts_as_its_e_number_says(event):
    group = EVENTS[event](NET, TAX)
    lines = [f"{line.account} {line.side} {line.amount}" for line in group.postings]
    assert (group.code, *lines) == EXPECTED[event]


@pytest.mark.parametrize("event", EVENTS)
def test_every_posting_says_to_which_fee_hold_and_invoice_it_belongs(event):
    for posting in EVENTS[event](NET, TAX).postings:
        assert (posting.fee, posting.hold, posting.invoice) == (OF.fee, OF.hold, OF.invoice)


@pytest.mark.parametrize("event", EVENTS)
@property_of
@given(net=amounts, tax=st.one_of(st.just(Money(0, "CNY")), amounts))
def test_every_group_balances_per_ledger_and_posts_only_what_is_above_zero(event, net, tax):
    group = EVENTS[event](net, tax)

    assert balanced(group)
    assert all(posting.amount.minor > 0 for posting in group.postings)
    assert {posting.amount.currency for posting in group.postings} == {"CNY"}
    assert travels(group)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("minor", [0, -1])
def test_a_group_of_nothing_or_less_is_our_own_mistake(event, minor):
    with pytest.raises(AssertionError, match=r"E[0-9]{2}: (nothing|negative)"):
        EVENTS[event](Money(minor, "CNY"), Money(0, "CNY"))


def test_without_tax_no_tax_is_posted():
    assert [line.account.value for line in invoiced(NET, cny("0.00"), OF).postings] == [
        "1100",
        "1200",
    ]


# From placed to settled, in both ways a holdback can be kept.

decisions = st.tuples(amounts, shares, shares).map(
    lambda drawn: [drawn[0].share(part) for part in sorted({drawn[1], drawn[2]})] + [drawn[0]]
)
"""The net amount decided to date, up to the whole."""


@property_of
@given(to_date=decisions, rate=shares, first_won=st.booleans())
def test_an_invoiced_holdback_ends_at_exactly_zero_withheld(to_date, rate, first_won):
    """What was won is payable, what was lost is credited, and nothing is left of either."""
    net = to_date[-1]
    tax = net.share(rate)
    groups = [earned(net, OF, Account.REVENUE_AT_RISK), invoiced(net, tax, OF, withheld=True)]
    before, won, payable = Money(0, "CNY"), first_won, 0
    for until in to_date:
        part = until - before
        if not part.minor:
            continue
        part_tax = tax_of_part(tax, net, before, part)
        if won:
            groups.append(withheld_released(part + part_tax, OF))
            payable += (part + part_tax).minor
        else:
            groups.append(withheld_forfeited(part, part_tax, OF))
        before, won = until, not won

    left = balances(groups)
    assert (left["1120"], left["1200"], left["1100"]) == (0, 0, payable)
    # What is kept of the revenue and its tax is what is payable.
    assert -(left["4020"] + left["4090"]) - left["2400"] == payable


@property_of
@given(to_date=decisions, rate=shares, first_won=st.booleans())
def test_a_holdback_that_is_not_invoiced_ends_with_no_stake_open(to_date, rate, first_won):
    groups = [stake_opened(to_date[-1], OF)]
    before, won, kept = Money(0, "CNY"), first_won, 0
    for until in to_date:
        part = until - before
        if not part.minor:
            continue
        if won:
            groups.append(stake_hit(part, part.share(rate), OF))
            kept += part.minor
        else:
            groups.append(stake_missed(part, OF))
        before, won = until, not won

    left = balances(groups)
    assert (left["M40"], left["M49"], left["4020"]) == (0, 0, -kept)


# The tax of a part (R3, R6).


def taxes(tax: Money, net: Money, parts: Sequence[Money]) -> list[Money]:
    """The tax of each part, decided one after the other."""
    done, found = Money(0, tax.currency), []
    for part in parts:
        found.append(tax_of_part(tax, net, done, part))
        done += part
    return found


def test_four_credit_notes_take_back_exactly_the_tax_of_the_invoice_r6():
    """The Lago case: 279.16 at 20 % carry 55.83; taxed each alone they would take back 55.84."""
    parts = [cny("68.33"), cny("57.50"), cny("85.00"), cny("68.33")]
    assert [part.share(Fraction(1, 5)) for part in parts] == [
        cny("13.67"),
        cny("11.50"),
        cny("17.00"),
        cny("13.67"),
    ]
    assert taxes(cny("55.83"), cny("279.16"), parts) == [
        cny("13.67"),  # 55.83 * 68.33 / 279.16 = 13.6655
        cny("11.50"),  # 55.83 * 125.83 / 279.16 = 25.1652, less 13.67
        cny("16.99"),  # 55.83 * 210.83 / 279.16 = 42.1645, less 25.17
        cny("13.67"),  # 55.83 less 42.16
    ]


def test_the_holdback_of_the_example_splits_without_a_rest():
    tax = cny("32400.00")  # 6 % of 540,000.00
    parts = [cny("243000.00"), cny("81000.00"), cny("121500.00"), cny("94500.00")]
    assert taxes(tax, cny("540000.00"), parts) == [
        cny("14580.00"),
        cny("4860.00"),
        cny("7290.00"),
        cny("5670.00"),
    ]


@property_of
@given(
    parts=st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=12),
    rate=shares,
)
def test_the_parts_of_the_tax_come_to_the_tax_exactly_r3(parts, rate):
    amounts_of = [Money(part, "CNY") for part in parts]
    net = Money(sum(parts), "CNY")
    tax = net.share(rate)

    found = taxes(tax, net, amounts_of)

    assert sum(part.minor for part in found) == tax.minor
    for part, of in zip(found, amounts_of, strict=True):
        assert part.minor >= 0
        # Two roundings of half a fen each, at most.
        assert abs(part.minor - Fraction(tax.minor * of.minor, net.minor)) <= 1
