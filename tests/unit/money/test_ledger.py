"""The ledger: groups balance, E-numbers post what they say, parts of a whole end at zero."""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.money import Money
from lifecycle import ledger
from lifecycle.ledger import (
    Account,
    Group,
    Posting,
    Refundable,
    Side,
    advance_credited,
    advance_invoiced,
    balanced,
    block_lifted,
    clawed_back,
    credit_applied,
    credited,
    delta_credited,
    delta_invoiced,
    dispute_opened,
    dispute_rejected,
    dispute_upheld,
    earned,
    earned_anew,
    gain_share_earned,
    gain_share_lowered,
    invoiced,
    mirror,
    missed_before_earned,
    payment_withheld,
    received,
    refund_lapsed,
    refund_reserved,
    refunded,
    retention_billed,
    retention_forfeited,
    retention_released,
    service_credited,
    stake_hit,
    stake_missed,
    stake_opened,
    tax_of_part,
    total,
    value_authorised,
    value_billed,
    value_credited,
    value_freed,
    value_lowered,
    value_reserved,
    withheld_forfeited,
    withheld_released,
    written_off,
)
from tests.unit.lifecycle.conftest import amounts, cny, property_of, shares, travels

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "money" / "ledger.md").read_text(encoding="utf-8")
CHART = (ROOT / "tollkeeper" / "migrations" / "versions" / "schema" / "40_ledger.sql").read_text(
    encoding="utf-8"
)

FEE, HOLD, INVOICE, NOTE, LATER = "project", "HB1", "INV-4", "CN-2", "INV-9"
AT_RISK = Account.REVENUE_AT_RISK
NONE = Money(0, "CNY")


def taxed(tax: Money) -> dict[str, Money]:
    return {"S": tax}


Event = Callable[[Money, Money], Group]
EVENTS: dict[str, Event] = {
    "E01 earned": lambda net, tax: earned(net, fee=FEE),
    "E01 earned_anew": lambda net, tax: earned_anew([(FEE, net + net), ("micro", net)]),
    "E02 delta_invoiced": lambda net, tax: delta_invoiced(
        {FEE: net + net, "micro": net}, taxed(tax), invoice=INVOICE
    ),
    "E02 invoiced": lambda net, tax: invoiced(
        {FEE: net + net + net, "micro": net},
        {"S": tax + tax + tax, "Z": tax},
        invoice=INVOICE,
        retained={"R1": net},
        withheld={HOLD: net + tax},
    ),
    "E03 invoiced": lambda net, tax: invoiced(
        {FEE: net + net + net},
        taxed(tax + tax),
        invoice=INVOICE,
        retained={"R1": net},
        withheld={HOLD: net + tax},
        tax_on_release=True,
    ),
    "E05 advance_invoiced": lambda net, tax: advance_invoiced(
        net, taxed(tax), advance="A1", invoice=INVOICE
    ),
    "E06 invoiced": lambda net, tax: invoiced(
        {FEE: net + net + net + net},
        {"S": tax + tax + tax, "Z": tax},
        invoice=INVOICE,
        retained={"R1": net},
        withheld={HOLD: net + tax},
        advances={"A1": net},
        advance_taxes=taxed(tax),
    ),
    "E07 received": lambda net, tax: received(net, receipt="B1"),
    "E08 credit_applied": lambda net, tax: credit_applied(net, source="B1", invoice=INVOICE),
    "E09 retention_released": lambda net, tax: retention_released(
        net + tax, hold="R1", invoice=INVOICE
    ),
    "E10 retention_billed": lambda net, tax: retention_billed(
        net, taxed(tax), hold="R1", invoice=INVOICE, release=LATER
    ),
    "E11 withheld_released": lambda net, tax: withheld_released(
        net + tax, hold=HOLD, invoice=INVOICE
    ),
    "E12 withheld_forfeited": lambda net, tax: withheld_forfeited(
        net, taxed(tax), fee=FEE, hold=HOLD, invoice=INVOICE
    ),
    "E13 retention_forfeited": lambda net, tax: retention_forfeited(
        net, taxed(tax), fee=FEE, hold="R1", invoice=INVOICE
    ),
    "E14 stake_opened": lambda net, tax: stake_opened(net, fee=FEE, hold=HOLD),
    "E15 stake_hit": lambda net, tax: stake_hit(
        net, taxed(tax), fee=FEE, hold=HOLD, invoice=INVOICE
    ),
    "E15 stake_hit(earned=True)": lambda net, tax: stake_hit(
        net, taxed(tax), fee=FEE, hold=HOLD, invoice=INVOICE, earned=True
    ),
    "E15 block_lifted": lambda net, tax: block_lifted(net, fee=FEE, hold=HOLD),
    "E16 stake_missed": lambda net, tax: stake_missed(net, fee=FEE, hold=HOLD),
    "E16 stake_missed(earned=True)": lambda net, tax: stake_missed(
        net, fee=FEE, hold=HOLD, earned=True
    ),
    "E16 missed_before_earned": lambda net, tax: missed_before_earned(net, fee=FEE, hold=HOLD),
    "E17 invoiced": lambda net, tax: invoiced(
        {FEE: net + net},
        taxed(tax),
        invoice=INVOICE,
        refundable=[Refundable(hold=HOLD, fee=FEE, net=net)],
    ),
    "E18 clawed_back": lambda net, tax: clawed_back(
        net + net, taxed(tax), fee=FEE, hold=HOLD, invoice=INVOICE, note=NOTE, settled=net
    ),
    "E19 refund_lapsed": lambda net, tax: refund_lapsed(
        net, fee=FEE, hold=HOLD, invoice=INVOICE, revenue=AT_RISK
    ),
    "E20 refunded": lambda net, tax: refunded(net, refund="RF1"),
    "E21 dispute_opened": lambda net, tax: dispute_opened(net + tax, invoice=INVOICE, dispute="D1"),
    "E21 dispute_rejected": lambda net, tax: dispute_rejected(
        net + tax, invoice=INVOICE, dispute="D1"
    ),
    "E22 dispute_upheld": lambda net, tax: dispute_upheld(
        {FEE: net, "micro": net}, taxed(tax), invoice=INVOICE, dispute="D1"
    ),
    "E23 credited": lambda net, tax: credited(
        {FEE: net, "micro": net}, taxed(tax), invoice=INVOICE, note=NOTE, settled=net
    ),
    "E23 delta_credited": lambda net, tax: delta_credited(
        {FEE: net + net}, taxed(tax), invoice=INVOICE, note=NOTE, settled=net
    ),
    "E24 gain_share_earned": lambda net, tax: gain_share_earned(net, fee=FEE),
    "E24 gain_share_lowered": lambda net, tax: gain_share_lowered(net, fee=FEE),
    "E25 service_credited": lambda net, tax: service_credited(
        {FEE: net + net}, taxed(tax), invoice=INVOICE, note=NOTE, settled=net
    ),
    "E26 written_off": lambda net, tax: written_off(net, taxed(tax), invoice=INVOICE),
    "E27 value_reserved": lambda net, tax: value_reserved({"contract": net}),
    "E27 value_freed": lambda net, tax: value_freed({"contract": net}),
    "E27 value_billed": lambda net, tax: value_billed(
        {"contract": net, f"fee:{FEE}": net}, invoice=INVOICE, reserved={"contract": net}
    ),
    "E27 value_credited": lambda net, tax: value_credited({"contract": net}, invoice=NOTE),
    "E28 value_authorised": lambda net, tax: value_authorised({"contract": net}),
    "E28 value_lowered": lambda net, tax: value_lowered({"contract": net}),
    "E30 mirror": lambda net, tax: mirror(received(net, receipt="B1")),
    "E31 payment_withheld": lambda net, tax: payment_withheld(
        net + tax, hold=HOLD, invoice=INVOICE
    ),
    "E32 refund_reserved": lambda net, tax: refund_reserved(
        net, fee=FEE, hold=HOLD, invoice=INVOICE, revenue=Account.REVENUE_FIXED
    ),
    "E33 advance_credited": lambda net, tax: advance_credited(
        net + net, taxed(tax + tax), advance="A1", invoice=INVOICE, note=NOTE, settled=net
    ),
}

SIGNED = {"E01 earned_anew", "E02 delta_invoiced", "E23 delta_credited"}
"""What a change order posts: less is on the other side."""

EXPECTED = """
E01 earned
  1200 D 1000.00  project -   -      -
  4000 C 1000.00  project -   -      -
E01 earned_anew
  1200 D 2000.00  project -   -      -
  4000 C 2000.00  project -   -      -
  1200 D 1000.00  micro   -   -      -
  4000 C 1000.00  micro   -   -      -
E02 delta_invoiced
  1100 D 3060.00  -       -   INV-4  -
  1200 C 2000.00  project -   INV-4  -
  1200 C 1000.00  micro   -   INV-4  -
  2400 C   60.00  -       -   INV-4  S
E02 invoiced
  1100 D 2180.00  -       -   INV-4  -
  1110 D 1000.00  -       R1  INV-4  -
  1120 D 1060.00  -       HB1 INV-4  -
  1200 C 3000.00  project -   INV-4  -
  1200 C 1000.00  micro   -   INV-4  -
  2400 C  180.00  -       -   INV-4  S
  2400 C   60.00  -       -   INV-4  Z
E03 invoiced
  1100 D 1060.00  -       -   INV-4  -
  1110 D 1000.00  -       R1  INV-4  -
  1120 D 1060.00  -       HB1 INV-4  -
  1200 C 3000.00  project -   INV-4  -
  2400 C  120.00  -       -   INV-4  S
E05 advance_invoiced
  1100 D 1060.00  -       -   INV-4  -
  2110 C 1000.00  -       -   INV-4  A1
  2400 C   60.00  -       -   INV-4  S
E06 invoiced
  1100 D 1120.00  -       -   INV-4  -
  2110 D 1000.00  -       -   INV-4  A1
  1110 D 1000.00  -       R1  INV-4  -
  1120 D 1060.00  -       HB1 INV-4  -
  1200 C 4000.00  project -   INV-4  -
  2400 C  120.00  -       -   INV-4  S
  2400 C   60.00  -       -   INV-4  Z
E07 received
  1000 D 1000.00  -       -   -      B1
  2300 C 1000.00  -       -   -      B1
E08 credit_applied
  2300 D 1000.00  -       -   INV-4  B1
  1100 C 1000.00  -       -   INV-4  B1
E09 retention_released
  1100 D 1060.00  -       R1  INV-4  -
  1110 C 1060.00  -       R1  INV-4  -
E10 retention_billed
  1100 D 1060.00  -       R1  INV-9  -
  1110 C 1000.00  -       R1  INV-4  -
  2400 C   60.00  -       -   INV-9  S
E11 withheld_released
  1100 D 1060.00  -       HB1 INV-4  -
  1120 C 1060.00  -       HB1 INV-4  -
E12 withheld_forfeited
  4090 D 1000.00  project HB1 INV-4  -
  2400 D   60.00  -       -   INV-4  S
  1120 C 1060.00  -       HB1 INV-4  -
E13 retention_forfeited
  4090 D 1000.00  project R1  INV-4  -
  2400 D   60.00  -       -   INV-4  S
  1110 C 1060.00  -       R1  INV-4  -
E14 stake_opened
  M40  D 1000.00  project HB1 -      -
  M49  C 1000.00  project HB1 -      -
E15 stake_hit
  M40  C 1000.00  project HB1 -      -
  M49  D 1000.00  project HB1 -      -
  1100 D 1060.00  -       HB1 INV-4  -
  4020 C 1000.00  project HB1 INV-4  -
  2400 C   60.00  -       -   INV-4  S
E15 stake_hit(earned=True)
  M40  C 1000.00  project HB1 -      -
  M49  D 1000.00  project HB1 -      -
  1100 D 1060.00  -       HB1 INV-4  -
  1200 C 1000.00  project HB1 INV-4  -
  2400 C   60.00  -       -   INV-4  S
E15 block_lifted
  M40  C 1000.00  project HB1 -      -
  M49  D 1000.00  project HB1 -      -
E16 stake_missed
  M40  C 1000.00  project HB1 -      -
  M49  D 1000.00  project HB1 -      -
E16 stake_missed(earned=True)
  M40  C 1000.00  project HB1 -      -
  M49  D 1000.00  project HB1 -      -
  4090 D 1000.00  project HB1 -      -
  1200 C 1000.00  project HB1 -      -
E16 missed_before_earned
  4090 D 1000.00  project HB1 -      -
  1200 C 1000.00  project HB1 -      -
E17 invoiced
  1100 D 2060.00  -       -   INV-4  -
  1200 C 2000.00  project -   INV-4  -
  2400 C   60.00  -       -   INV-4  S
  4020 D 1000.00  project HB1 INV-4  -
  2200 C 1000.00  project HB1 INV-4  -
E18 clawed_back
  2200 D 2000.00  project HB1 INV-4  -
  2400 D   60.00  -       -   INV-4  S
  1100 C 1060.00  -       -   INV-4  CN-2
  2300 C 1000.00  -       -   INV-4  CN-2
E19 refund_lapsed
  2200 D 1000.00  project HB1 INV-4  -
  4020 C 1000.00  project HB1 INV-4  -
E20 refunded
  2300 D 1000.00  -       -   -      RF1
  1000 C 1000.00  -       -   -      RF1
E21 dispute_opened
  1130 D 1060.00  -       -   INV-4  D1
  1100 C 1060.00  -       -   INV-4  D1
E21 dispute_rejected
  1100 D 1060.00  -       -   INV-4  D1
  1130 C 1060.00  -       -   INV-4  D1
E22 dispute_upheld
  4090 D 1000.00  project -   INV-4  -
  4090 D 1000.00  micro   -   INV-4  -
  2400 D   60.00  -       -   INV-4  S
  1130 C 2060.00  -       -   INV-4  D1
E23 credited
  4090 D 1000.00  project -   INV-4  -
  4090 D 1000.00  micro   -   INV-4  -
  2400 D   60.00  -       -   INV-4  S
  1100 C 1060.00  -       -   INV-4  CN-2
  2300 C 1000.00  -       -   INV-4  CN-2
E23 delta_credited
  1100 C 1060.00  -       -   INV-4  CN-2
  2300 C 1000.00  -       -   INV-4  CN-2
  1200 D 2000.00  project -   INV-4  -
  2400 D   60.00  -       -   INV-4  S
E24 gain_share_earned
  1200 D 1000.00  project -   -      -
  4030 C 1000.00  project -   -      -
E24 gain_share_lowered
  4030 D 1000.00  project -   -      -
  1200 C 1000.00  project -   -      -
E25 service_credited
  4090 D 2000.00  project -   INV-4  -
  2400 D   60.00  -       -   INV-4  S
  1100 C 1060.00  -       -   INV-4  CN-2
  2300 C 1000.00  -       -   INV-4  CN-2
E26 written_off
  5100 D 1000.00  -       -   INV-4  -
  2400 D   60.00  -       -   INV-4  S
  1100 C 1060.00  -       -   INV-4  -
E27 value_reserved
  M20  D 1000.00  -       -   -      contract
  M29  C 1000.00  -       -   -      contract
E27 value_freed
  M29  D 1000.00  -       -   -      contract
  M20  C 1000.00  -       -   -      contract
E27 value_billed
  M29  D 1000.00  -       -   -      contract
  M20  C 1000.00  -       -   -      contract
  M30  D 1000.00  -       -   INV-4  contract
  M39  C 1000.00  -       -   INV-4  contract
  M30  D 1000.00  -       -   INV-4  fee:project
  M39  C 1000.00  -       -   INV-4  fee:project
E27 value_credited
  M39  D 1000.00  -       -   CN-2   contract
  M30  C 1000.00  -       -   CN-2   contract
E28 value_authorised
  M10  D 1000.00  -       -   -      contract
  M19  C 1000.00  -       -   -      contract
E28 value_lowered
  M19  D 1000.00  -       -   -      contract
  M10  C 1000.00  -       -   -      contract
E30 mirror
  1000 C 1000.00  -       -   -      B1
  2300 D 1000.00  -       -   -      B1
E31 payment_withheld
  1120 D 1060.00  -       HB1 INV-4  -
  1100 C 1060.00  -       HB1 INV-4  -
E32 refund_reserved
  4000 D 1000.00  project HB1 INV-4  -
  2200 C 1000.00  project HB1 INV-4  -
E33 advance_credited
  2110 D 2000.00  -       -   INV-4  A1
  2400 D  120.00  -       -   INV-4  S
  1100 C 1120.00  -       -   INV-4  CN-2
  2300 C 1000.00  -       -   INV-4  CN-2
"""


def shown(posting: Posting) -> str:
    """A line of the golden text: account, side, amount, and what it belongs to."""
    of = (posting.fee, posting.hold, posting.invoice, posting.item)
    words = (posting.account, posting.side, posting.amount, *(each or "-" for each in of))
    return " ".join(map(str, words))


def golden() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in EXPECTED.strip().splitlines():
        if line.startswith("E"):
            found[line] = []
        else:
            found[list(found)[-1]].append(" ".join(line.split()))
    return found


def balances(groups: Sequence[Group]) -> Counter[str]:
    """Debits less credits of every account, in minor units."""
    totals: Counter[str] = Counter()
    for posting in (line for group in groups for line in group.postings):
        totals[posting.account.value] += signed(posting)
    return totals


def signed(posting: Posting) -> int:
    return posting.amount.minor if posting.side is Side.DEBIT else -posting.amount.minor


def by_dimension(groups: Sequence[Group]) -> set[int]:
    """The balances of every account by all that its lines belong to, each once."""
    totals: Counter[tuple[str | None, ...]] = Counter()
    for line in (line for group in groups for line in group.postings):
        totals[line.account, line.fee, line.hold, line.invoice, line.item] += signed(line)
    return set(totals.values())


# Each posting.


@pytest.mark.parametrize("event", EVENTS)
def test_each_money_event_posts_as_its_e_number_says(event: str) -> None:
    group = EVENTS[event](cny("1000.00"), cny("60.00"))
    assert group.code == event[:3]
    assert [shown(line) for line in group.postings] == golden()[event]


@pytest.mark.parametrize("event", EVENTS)
@property_of
@given(net=amounts, tax=st.one_of(st.just(NONE), amounts))
def test_every_group_balances_per_ledger_and_posts_only_what_is_above_zero(
    event: str, net: Money, tax: Money
) -> None:
    group = EVENTS[event](net, tax)

    sums = balances([group])
    memo = sum(minor for account, minor in sums.items() if account.startswith("M"))
    assert memo == 0 == sum(sums.values()) - memo
    assert balanced(group.postings)
    assert all(posting.amount.minor > 0 for posting in group.postings)
    assert {posting.amount.currency for posting in group.postings} == {"CNY"}
    assert travels(group)


@pytest.mark.parametrize("event", EVENTS)
@property_of
@given(net=amounts, tax=amounts)
def test_a_reversal_strikes_its_group_from_every_account_and_dimension(
    event: str, net: Money, tax: Money
) -> None:
    group = EVENTS[event](net, tax)
    reversal = mirror(group)

    assert reversal.code == "E30"
    assert by_dimension([group, reversal]) == {0}
    assert mirror(reversal).postings == group.postings


@pytest.mark.parametrize(
    ("event", "minor"),
    [(event, minor) for event in EVENTS for minor in (0, -1) if not minor or event not in SIGNED],
)
def test_a_group_of_nothing_or_less_is_our_own_mistake(event: str, minor: int) -> None:
    with pytest.raises(AssertionError, match=r"E[0-9]{2}: (nothing|negative)"):
        EVENTS[event](Money(minor, "CNY"), NONE)


def test_more_deducted_than_invoiced_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="E02: negative posting"):
        invoiced({FEE: cny("1.00")}, {}, invoice=INVOICE, withheld={HOLD: cny("1.01")})


def test_the_tax_of_an_advance_under_a_code_that_is_not_charged_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="E06: debits and credits differ"):
        invoiced(
            {FEE: cny("100.00")},
            {"S": cny("6.00")},
            invoice=INVOICE,
            advances={"A1": cny("10.00")},
            advance_taxes={"Z": cny("0.60")},
        )


def test_without_tax_no_tax_is_posted() -> None:
    group = invoiced({FEE: cny("1000.00")}, {"Z": NONE}, invoice=INVOICE)
    assert [line.account.value for line in group.postings] == ["1100", "1200"]


def test_an_invoice_that_deducts_an_advance_is_e06_whatever_else_it_does() -> None:
    group = invoiced(
        {FEE: cny("100.00")},
        {},
        invoice=INVOICE,
        retained={"R1": cny("5.00")},
        tax_on_release=True,
        advances={"A1": cny("10.00")},
        refundable=[Refundable(hold=HOLD, fee=FEE, net=cny("20.00"))],
    )
    assert group.code == "E06"


# Pairs that undo each other.

UNDONE = {
    "E14 stake_opened": "E16 stake_missed",
    "E21 dispute_opened": "E21 dispute_rejected",
    "E24 gain_share_earned": "E24 gain_share_lowered",
    "E27 value_reserved": "E27 value_freed",
    "E28 value_authorised": "E28 value_lowered",
    "E31 payment_withheld": "E11 withheld_released",
}


@pytest.mark.parametrize("event", UNDONE)
@property_of
@given(net=amounts, tax=amounts)
def test_an_event_and_the_one_that_undoes_it_leave_nothing(
    event: str, net: Money, tax: Money
) -> None:
    assert by_dimension([EVENTS[event](net, tax), EVENTS[UNDONE[event]](net, tax)]) == {0}


@pytest.mark.parametrize("revenue", [Account.REVENUE_FIXED, AT_RISK, Account.REVENUE_GAIN_SHARE])
def test_a_reserved_refund_that_lapses_leaves_the_revenue_as_it_was(revenue: Account) -> None:
    of = {"fee": FEE, "hold": HOLD, "invoice": INVOICE}
    net = cny("1000.00")
    groups = [
        refund_reserved(net, **of, revenue=revenue),
        refund_lapsed(net, **of, revenue=revenue),
    ]
    assert by_dimension(groups) == {0}


# From the whole to its parts.

Parts = list[tuple[Money, Money]]


@st.composite
def partitions(draw: st.DrawFn) -> tuple[Money, Money, Parts]:
    """A net amount, its tax, and the parts of both, decided one after the other."""
    nets = draw(st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=8))
    net = Money(sum(nets), "CNY")
    tax = net.share(draw(shares))
    parts, done = [], NONE
    for part in (Money(each, "CNY") for each in nets):
        parts.append((part, tax_of_part(tax, net, done, part)))
        done += part
    return net, tax, parts


def decided(
    parts: Parts, first_won: bool, won: Callable[..., Group], lost: Callable[..., Group]
) -> tuple[list[Group], Money]:
    """The parts won and lost in turn, and what was won in all, gross."""
    groups, gained = [], NONE
    for at, (net, tax) in enumerate(parts):
        if (at % 2 == 0) is first_won:
            groups.append(won(net, tax))
            gained += net + tax
        else:
            groups.append(lost(net, tax))
    return groups, gained


@property_of
@given(drawn=partitions(), first_won=st.booleans())
def test_an_invoiced_holdback_ends_at_exactly_zero_withheld(
    drawn: tuple[Money, Money, Parts], first_won: bool
) -> None:
    """What was won is payable, what was lost is credited, and nothing is left of either."""
    net, tax, parts = drawn
    groups, payable = decided(
        parts,
        first_won,
        EVENTS["E11 withheld_released"],
        EVENTS["E12 withheld_forfeited"],
    )
    withheld = invoiced({FEE: net}, taxed(tax), invoice=INVOICE, withheld={HOLD: net + tax})

    left = balances([earned(net, fee=FEE, revenue=AT_RISK), withheld, *groups])
    assert (left["1120"], left["1200"], left["1100"]) == (0, 0, payable.minor)
    # What is kept of the revenue and its tax is what is payable.
    assert -(left["4020"] + left["4090"]) - left["2400"] == payable.minor


@property_of
@given(drawn=partitions(), first_won=st.booleans())
def test_a_retention_taxed_with_its_invoice_ends_at_exactly_zero_retained(
    drawn: tuple[Money, Money, Parts], first_won: bool
) -> None:
    net, tax, parts = drawn
    groups, payable = decided(
        parts,
        first_won,
        EVENTS["E09 retention_released"],
        EVENTS["E13 retention_forfeited"],
    )
    retained = invoiced({FEE: net}, taxed(tax), invoice=INVOICE, retained={"R1": net + tax})

    left = balances([earned(net, fee=FEE), retained, *groups])
    assert (left["1110"], left["1200"], left["1100"]) == (0, 0, payable.minor)
    assert -(left["4000"] + left["4090"]) - left["2400"] == payable.minor


@property_of
@given(drawn=partitions(), first_won=st.booleans())
def test_a_retention_taxed_on_release_ends_at_zero_and_taxes_only_what_is_released(
    drawn: tuple[Money, Money, Parts], first_won: bool
) -> None:
    net, _, parts = drawn
    groups, payable = decided(
        parts,
        first_won,
        EVENTS["E10 retention_billed"],
        lambda part, _: EVENTS["E13 retention_forfeited"](part, NONE),
    )
    won = [tax for at, (_, tax) in enumerate(parts) if (at % 2 == 0) is first_won]
    retained = invoiced({FEE: net}, {}, invoice=INVOICE, retained={"R1": net}, tax_on_release=True)

    left = balances([earned(net, fee=FEE), retained, *groups])
    assert (left["1110"], left["1200"], left["1100"]) == (0, 0, payable.minor)
    assert -left["2400"] == sum(tax.minor for tax in won)


@pytest.mark.parametrize("before", [False, True], ids=["earned when won", "earned before"])
@property_of
@given(drawn=partitions(), first_won=st.booleans())
def test_a_holdback_that_is_not_invoiced_ends_with_no_stake_open(
    before: bool, drawn: tuple[Money, Money, Parts], first_won: bool
) -> None:
    net, _, parts = drawn
    variant = "(earned=True)" if before else ""
    groups, payable = decided(
        parts, first_won, EVENTS[f"E15 stake_hit{variant}"], EVENTS[f"E16 stake_missed{variant}"]
    )
    opened = [stake_opened(net, fee=FEE, hold=HOLD)]
    if before:
        opened.append(earned(net, fee=FEE))

    left = balances([*opened, *groups])
    assert (left["M40"], left["M49"], left["1200"]) == (0, 0, 0)
    assert left["1100"] == payable.minor
    assert -(left["4000"] + left["4020"] + left["4090"]) - left["2400"] == payable.minor


@property_of
@given(drawn=partitions(), rest=amounts, rate=shares)
def test_an_advance_deducted_in_parts_ends_at_exactly_zero(
    drawn: tuple[Money, Money, Parts], rest: Money, rate: Fraction
) -> None:
    """Every fen of the fee is claimed once, and its tax is charged once."""
    net, tax, parts = drawn
    groups = [advance_invoiced(net, taxed(tax), advance="A1", invoice=INVOICE)]
    claimed, charged = net + tax, tax
    for number, (part, part_tax) in enumerate(parts):
        fee, fee_tax = part + rest, part_tax + rest.share(rate)
        groups.append(earned(fee, fee=FEE))
        groups.append(
            invoiced(
                {FEE: fee},
                taxed(fee_tax),
                invoice=f"{LATER}{number}",
                advances={"A1": part},
                advance_taxes=taxed(part_tax),
            )
        )
        claimed += fee + fee_tax - part - part_tax
        charged += fee_tax - part_tax

    left = balances(groups)
    assert (left["2110"], left["1200"]) == (0, 0)
    assert (left["1100"], -left["2400"]) == (claimed.minor, charged.minor)
    assert claimed.minor == -left["4000"] + charged.minor


@property_of
@given(drawn=partitions(), paid=shares)
def test_an_advance_credited_in_parts_leaves_nothing_and_what_was_paid_is_the_customers(
    drawn: tuple[Money, Money, Parts], paid: Fraction
) -> None:
    """What is open goes first; no revenue comes of it."""
    net, tax, parts = drawn
    payment = (net + tax).share(paid)
    groups = [advance_invoiced(net, taxed(tax), advance="A1", invoice=INVOICE)]
    if payment.minor:
        groups += [received(payment, receipt="B1")]
        groups += [credit_applied(payment, source="B1", invoice=INVOICE)]
    rest = net + tax - payment
    for part, part_tax in parts:
        settled = Money(max((part + part_tax - rest).minor, 0), net.currency)
        rest = Money(max((rest - part - part_tax).minor, 0), net.currency)
        group = advance_credited(
            part, taxed(part_tax), advance="A1", invoice=INVOICE, note=NOTE, settled=settled
        )
        groups.append(group)
    left = balances(groups)
    assert (left["2110"], left["2400"], left["1100"]) == (0, 0, 0)
    assert -left["2300"] == payment.minor


@property_of
@given(drawn=partitions(), first_won=st.booleans(), paid=st.booleans())
def test_a_refundable_part_ends_with_no_refund_liability(
    drawn: tuple[Money, Money, Parts], first_won: bool, paid: bool
) -> None:
    net, tax, parts = drawn

    def lapsed(part: Money, _: Money) -> Group:
        return refund_lapsed(part, fee=FEE, hold=HOLD, invoice=INVOICE, revenue=AT_RISK)

    def claimed_back(part: Money, part_tax: Money) -> Group:
        settled = part + part_tax if paid else NONE
        return clawed_back(
            part, taxed(part_tax), fee=FEE, hold=HOLD, invoice=INVOICE, note=NOTE, settled=settled
        )

    groups, kept = decided(parts, first_won, lapsed, claimed_back)
    opened = [
        earned(net, fee=FEE, revenue=AT_RISK),
        invoiced(
            {FEE: net},
            taxed(tax),
            invoice=INVOICE,
            refundable=[Refundable(hold=HOLD, fee=FEE, net=net)],
        ),
    ]
    if paid:
        opened.append(received(net + tax, receipt="B1"))
        opened.append(credit_applied(net + tax, source="B1", invoice=INVOICE))

    assert balances(opened)["4020"] == 0  # no revenue while it may be claimed back
    left = balances([*opened, *groups])
    assert (left["2200"], left["1200"]) == (0, 0)
    # What was paid and is claimed back is owed to the customer; else it is owed no more.
    owed = (net + tax - kept).minor
    assert (left["1100"], -left["2300"]) == ((0, owed) if paid else (kept.minor, 0))
    assert -left["4020"] - left["2400"] == kept.minor


@property_of
@given(drawn=partitions(), over=amounts)
def test_money_that_came_in_ends_at_zero_on_its_invoices_and_with_the_customer(
    drawn: tuple[Money, Money, Parts], over: Money
) -> None:
    net, tax, parts = drawn
    groups = [earned(net, fee=FEE), invoiced({FEE: net}, taxed(tax), invoice=INVOICE)]
    groups.append(received(net + tax + over, receipt="B1"))
    for part, part_tax in parts:
        groups.append(credit_applied(part + part_tax, source="B1", invoice=INVOICE))
    groups.append(refunded(over, refund="RF1"))

    left = balances(groups)
    assert (left["1100"], left["2300"], left["1000"]) == (0, 0, (net + tax).minor)


@property_of
@given(drawn=partitions(), upheld_first=st.booleans())
def test_disputed_parts_end_at_zero_whether_upheld_or_rejected(
    drawn: tuple[Money, Money, Parts], upheld_first: bool
) -> None:
    net, tax, parts = drawn
    groups, credited_gross = decided(
        parts,
        upheld_first,
        lambda part, part_tax: dispute_upheld(
            {FEE: part}, taxed(part_tax), invoice=INVOICE, dispute="D1"
        ),
        lambda part, part_tax: dispute_rejected(part + part_tax, invoice=INVOICE, dispute="D1"),
    )
    opened = [
        earned(net, fee=FEE),
        invoiced({FEE: net}, taxed(tax), invoice=INVOICE),
        dispute_opened(net + tax, invoice=INVOICE, dispute="D1"),
    ]
    left = balances([*opened, *groups])
    assert (left["1130"], left["1100"]) == (0, (net + tax - credited_gross).minor)
    assert -(left["4000"] + left["4090"]) - left["2400"] == left["1100"]


# The tax of a part (R3, R6).


def taxes(tax: Money, net: Money, parts: Sequence[Money]) -> list[Money]:
    """The tax of each part, decided one after the other."""
    done, found = NONE, []
    for part in parts:
        found.append(tax_of_part(tax, net, done, part))
        done += part
    return found


def test_four_credit_notes_take_back_exactly_the_tax_of_the_invoice_r6() -> None:
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


def test_the_holdback_of_the_example_splits_without_a_rest() -> None:
    tax = cny("32400.00")  # 6 % of 540,000.00
    parts = [cny("243000.00"), cny("81000.00"), cny("121500.00"), cny("94500.00")]
    assert taxes(tax, cny("540000.00"), parts) == [
        cny("14580.00"),
        cny("4860.00"),
        cny("7290.00"),
        cny("5670.00"),
    ]


@property_of
@given(drawn=partitions())
def test_the_parts_of_the_tax_come_to_the_tax_exactly_r3(
    drawn: tuple[Money, Money, Parts],
) -> None:
    net, tax, parts = drawn
    assert total(*(part_tax for _, part_tax in parts)) == tax
    for part, part_tax in parts:
        assert part_tax.minor >= 0
        # Two roundings of half a fen each, at most.
        assert abs(part_tax.minor - Fraction(tax.minor * part.minor, net.minor)) <= 1


# The chart of accounts, the functions and the page about them.


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading of the page, without its head."""
    text = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def chart() -> list[tuple[str, ...]]:
    """Code, name, ledger, normal side, never negative: as the database has it."""
    rows = re.findall(r"\('(\w+)', +'([^']+)', +'(\w+)', +'([DC])', (\w+)\)", CHART)
    assert len(rows) == CHART.split("insert into account")[1].split(";")[0].count("('")
    return rows


def functions() -> dict[str, str]:
    """Every function that posts something, with its docstring."""
    made = (getattr(ledger, name) for name in ledger.__all__)
    return {
        each.__name__: inspect.getdoc(each) or ""
        for each in made
        if inspect.isfunction(each) and inspect.signature(each).return_annotation is Group
    }


def test_the_database_has_the_accounts_that_are_posted_to() -> None:
    assert [(code, kind) for code, _, kind, *_ in chart()] == [
        (account.value, account.ledger) for account in Account
    ]


def test_the_page_has_the_chart_of_the_database() -> None:
    bounded = {"yes": "true", "no": "false"}
    told = [
        (code, name, kind, side, bounded[never])
        for code, name, kind, side, never, *_ in rows("The chart of accounts")
    ]
    assert told == chart()


def test_the_page_has_every_posting_with_the_accounts_it_moves() -> None:
    told = {}
    for code, _, function, *cells in rows("The postings"):
        accounts = tuple(set(re.findall(r"\b(?:\d{4}|M\d\d)\b", cell)) for cell in cells)
        told[f"{code} {function.strip('`')}"] = accounts
    posted = {}
    for event, post in EVENTS.items():
        postings = post(cny("1000.00"), cny("60.00")).postings
        posted[event] = tuple(
            {line.account.value for line in postings if line.side is side} for side in Side
        )
    assert told == posted


def test_every_function_names_its_e_numbers_and_every_e_number_has_its_function() -> None:
    named = {
        (code, function)
        for function, told in functions().items()
        for code in re.findall(r"E\d\d", told.split(":")[0])
    }
    assert named == {(event[:3], re.split(r"[ (]", event)[1]) for event in EVENTS}
    unused = {"E04", "E29"}
    assert {code for code, _ in named} | unused == {f"E{n:02}" for n in range(1, 34)}
