"""Journal groups: one business event each, balanced per ledger, and their exact mirror. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import reduce
from operator import add
from types import MappingProxyType
from typing import TypeAlias, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict

from contracts.money import Money
from lifecycle.ledger.accounts import Account

Amounts: TypeAlias = Mapping[str, Money]
"""Nets by fee line, taxes by tax code, parts by hold or advance, values by level."""

NOTHING: Amounts = MappingProxyType({})


class Side(StrEnum):
    DEBIT = "D"
    CREDIT = "C"

    @property
    def other(self) -> "Side":
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT


class Posting(BaseModel):
    """One line; `amount` is positive. The dimensions say what it belongs to.

    `item` is the tax code on 2400, the receipt, refund or credit note on 1000 and 2300 (and on the
    1100 that it settles), the dispute on 1130, the advance on 2110, the level on M10 to M39.
    """

    model_config = ConfigDict(frozen=True)

    account: Account
    side: Side
    amount: Money
    fee: str | None = None
    hold: str | None = None
    invoice: str | None = None
    item: str | None = None


class Group(BaseModel):
    """One business event: its E-number and its postings, balanced."""

    model_config = ConfigDict(frozen=True)

    code: str
    postings: tuple[Posting, ...]


def group(code: str, lines: Sequence[Posting]) -> Group:
    """A group of the lines that are not zero; anything but balanced, positive lines is our mistake."""
    postings = tuple(line for line in lines if line.amount.minor)
    assert postings, f"{code}: nothing to post"
    assert all(line.amount.minor > 0 for line in postings), f"{code}: negative posting"
    assert balanced(postings), f"{code}: debits and credits differ"
    return Group(code=code, postings=postings)


def balanced(postings: Iterable[Posting]) -> bool:
    """Whether debits equal credits in each ledger and currency."""
    sums = Counter[tuple[str, str]]()
    for line in postings:
        sign = 1 if line.side is Side.DEBIT else -1
        sums[line.account.ledger, line.amount.currency] += sign * line.amount.minor
    return not any(sums.values())


def mirror(original: Group) -> Group:
    """E30: an administrative reversal, every line on the opposite side; post it with `reverses`."""
    sides = (line.model_copy(update={"side": line.side.other}) for line in original.postings)
    return Group(code="E30", postings=tuple(sides))


class Of(TypedDict, total=False):
    """What a line belongs to."""

    fee: str | None
    hold: str | None
    invoice: str | None
    item: str | None


def debit(account: Account, amount: Money, **of: Unpack[Of]) -> Posting:
    return Posting(account=account, side=Side.DEBIT, amount=amount, **of)


def credit(account: Account, amount: Money, **of: Unpack[Of]) -> Posting:
    return Posting(account=account, side=Side.CREDIT, amount=amount, **of)


def vat_charged(taxes: Amounts, invoice: str) -> list[Posting]:
    """One line a tax code."""
    return [
        credit(Account.VAT_OUTPUT, tax, invoice=invoice, item=code) for code, tax in taxes.items()
    ]


def vat_taken_back(taxes: Amounts, invoice: str) -> list[Posting]:
    """One line a tax code."""
    return [
        debit(Account.VAT_OUTPUT, tax, invoice=invoice, item=code) for code, tax in taxes.items()
    ]


def reduced(nets: Amounts, invoice: str) -> list[Posting]:
    """Revenue given up, one line a fee."""
    return [
        debit(Account.REVENUE_REDUCTION, net, fee=fee, invoice=invoice) for fee, net in nets.items()
    ]


def given_back(gross: Money, settled: Money, invoice: str, note: str) -> list[Posting]:
    """What a credit note takes off an invoice: off what is open, and to the customer's credit what
    was `settled` of it before.
    """
    return [
        credit(Account.RECEIVABLE_OPEN, gross - settled, invoice=invoice, item=note),
        credit(Account.CUSTOMER_CREDIT, settled, invoice=invoice, item=note),
    ]


def refund_right(revenue: Account, net: Money, **of: Unpack[Of]) -> list[Posting]:
    """Revenue that is a liability while it may be claimed back."""
    return [debit(revenue, net, **of), credit(Account.REFUND_LIABILITY, net, **of)]


def total(*amounts: Money | Amounts) -> Money:
    """The sum of amounts and of all the values of mappings."""
    values = (
        value
        for amount in amounts
        for value in ([amount] if isinstance(amount, Money) else amount.values())
    )
    return reduce(add, values)
