"""Postings of what is earned and not invoiced yet. Pure."""

from contracts.money import Money
from lifecycle.ledger.accounts import Account
from lifecycle.ledger.journal import Group, credit, debit, group


def earned(net: Money, *, fee: str, revenue: Account = Account.REVENUE_FIXED) -> Group:
    """E01: accepted, so earned, not invoiced yet."""
    return group(
        "E01", [debit(Account.UNBILLED_EARNED, net, fee=fee), credit(revenue, net, fee=fee)]
    )


def gain_share_earned(net: Money, *, fee: str) -> Group:
    """E24: a share of the benefit is earned; the invoice over it is E02."""
    return group(
        "E24",
        [
            debit(Account.UNBILLED_EARNED, net, fee=fee),
            credit(Account.REVENUE_GAIN_SHARE, net, fee=fee),
        ],
    )


def gain_share_lowered(net: Money, *, fee: str) -> Group:
    """E24: a true-up takes back what is earned and not invoiced; what is invoiced takes E23."""
    return group(
        "E24",
        [
            debit(Account.REVENUE_GAIN_SHARE, net, fee=fee),
            credit(Account.UNBILLED_EARNED, net, fee=fee),
        ],
    )
