"""The postings of each money event, double entry in minor units (E-numbers name the event). Pure.

Two ledgers that never mix: `money`, and `memo` for what is agreed but not invoiced. A journal group
is one business event and balances per ledger and currency.
"""

from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from contracts.money import Money, round_half_away


class Account(StrEnum):
    RECEIVABLE_OPEN = "1100"
    RECEIVABLE_WITHHELD = "1120"
    UNBILLED_EARNED = "1200"
    VAT_OUTPUT = "2400"
    REVENUE_FIXED = "4000"
    REVENUE_AT_RISK = "4020"
    REVENUE_REDUCTION = "4090"
    STAKE_OPEN = "M40"
    STAKE_CONTRA = "M49"


class Side(StrEnum):
    DEBIT = "D"
    CREDIT = "C"


class Posting(BaseModel):
    """One line; `amount` is positive. The dimensions say what it belongs to."""

    model_config = ConfigDict(frozen=True)

    account: Account
    side: Side
    amount: Money
    fee: str
    hold: str | None = None
    invoice: str | None = None


class Group(BaseModel):
    """One business event: its E-number and its postings, balanced."""

    model_config = ConfigDict(frozen=True)

    code: str
    postings: tuple[Posting, ...]


class Dimensions(BaseModel):
    """What the postings of one group belong to."""

    model_config = ConfigDict(frozen=True)

    fee: str
    hold: str | None = None
    invoice: str | None = None


Line = tuple[Account, Side, Money]


def _group(code: str, lines: Sequence[Line], of: Dimensions) -> Group:
    postings = tuple(
        Posting(account=account, side=side, amount=amount, **of.model_dump())
        for account, side, amount in lines
        if amount.minor
    )
    assert postings, f"{code}: nothing to post"
    assert all(posting.amount.minor > 0 for posting in postings), f"{code}: negative posting"
    return Group(code=code, postings=postings)


def earned(net: Money, of: Dimensions, revenue: Account = Account.REVENUE_FIXED) -> Group:
    """E01: accepted, so earned, not invoiced yet."""
    lines = [
        (Account.UNBILLED_EARNED, Side.DEBIT, net),
        (revenue, Side.CREDIT, net),
    ]
    return _group("E01", lines, of)


def invoiced(net: Money, tax: Money, of: Dimensions, *, withheld: bool = False) -> Group:
    """E02: an invoice over earned money; `withheld` posts the claim where it is not yet payable."""
    receivable = Account.RECEIVABLE_WITHHELD if withheld else Account.RECEIVABLE_OPEN
    lines = [
        (receivable, Side.DEBIT, net + tax),
        (Account.UNBILLED_EARNED, Side.CREDIT, net),
        (Account.VAT_OUTPUT, Side.CREDIT, tax),
    ]
    return _group("E02", lines, of)


def withheld_released(gross: Money, of: Dimensions) -> Group:
    """E11: an invoiced, withheld part becomes payable."""
    lines = [
        (Account.RECEIVABLE_OPEN, Side.DEBIT, gross),
        (Account.RECEIVABLE_WITHHELD, Side.CREDIT, gross),
    ]
    return _group("E11", lines, of)


def withheld_forfeited(net: Money, tax: Money, of: Dimensions) -> Group:
    """E12: an invoiced, withheld part is lost; the credit note takes back its tax."""
    lines = [
        (Account.REVENUE_REDUCTION, Side.DEBIT, net),
        (Account.VAT_OUTPUT, Side.DEBIT, tax),
        (Account.RECEIVABLE_WITHHELD, Side.CREDIT, net + tax),
    ]
    return _group("E12", lines, of)


def stake_opened(stake: Money, of: Dimensions) -> Group:
    """E14: a stake is agreed and not invoiced (memo)."""
    return _group("E14", _stake(stake, Side.DEBIT), of)


def stake_hit(net: Money, tax: Money, of: Dimensions) -> Group:
    """E15: a part of the stake is won, earned and invoiced in one."""
    lines = [
        *_stake(net, Side.CREDIT),
        (Account.RECEIVABLE_OPEN, Side.DEBIT, net + tax),
        (Account.REVENUE_AT_RISK, Side.CREDIT, net),
        (Account.VAT_OUTPUT, Side.CREDIT, tax),
    ]
    return _group("E15", lines, of)


def stake_missed(net: Money, of: Dimensions) -> Group:
    """E16: a part of the stake is lost; a decision is recorded, no money moves."""
    return _group("E16", _stake(net, Side.CREDIT), of)


def tax_of_part(tax: Money, net: Money, done: Money, part: Money) -> Money:
    """The tax inside the next part of an invoiced amount, by cumulative rounding (R3, R6).

    Args:
        tax: tax of the whole; net: the whole, net; done: net of the parts before; part: this one.

    Returns:
        Parts that come to exactly `tax` when the whole is done.
    """
    until = round_half_away(Fraction(tax.minor * (done.minor + part.minor), net.minor))
    before = round_half_away(Fraction(tax.minor * done.minor, net.minor))
    return Money(until - before, tax.currency)


def _stake(amount: Money, side: Side) -> list[Line]:
    other = Side.CREDIT if side is Side.DEBIT else Side.DEBIT
    return [(Account.STAKE_OPEN, side, amount), (Account.STAKE_CONTRA, other, amount)]
