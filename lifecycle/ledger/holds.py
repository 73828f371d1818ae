"""Postings of holds: retained, withheld, staked or refundable, then released or forfeited. Pure."""

from contracts.money import Money
from lifecycle.ledger.accounts import Account
from lifecycle.ledger.journal import (
    Amounts,
    Group,
    Posting,
    credit,
    debit,
    given_back,
    group,
    refund_right,
    total,
    vat_charged,
    vat_taken_back,
)


def retention_released(gross: Money, *, hold: str, invoice: str) -> Group:
    """E09: a retained part, taxed when it was invoiced, becomes payable."""
    return group("E09", _payable(Account.RECEIVABLE_RETAINED, gross, hold, invoice))


def retention_billed(net: Money, taxes: Amounts, *, hold: str, invoice: str, release: str) -> Group:
    """E10: a retained part becomes payable with the tax it did not carry yet.

    Args:
        invoice: the one that retains it; `release`: the document that now bills it.
    """
    return group(
        "E10",
        [
            debit(Account.RECEIVABLE_OPEN, total(net, taxes), hold=hold, invoice=release),
            credit(Account.RECEIVABLE_RETAINED, net, hold=hold, invoice=invoice),
            *vat_charged(taxes, release),
        ],
    )


def withheld_released(gross: Money, *, hold: str, invoice: str) -> Group:
    """E11: an invoiced, withheld part becomes payable."""
    return group("E11", _payable(Account.RECEIVABLE_WITHHELD, gross, hold, invoice))


def withheld_forfeited(net: Money, taxes: Amounts, *, fee: str, hold: str, invoice: str) -> Group:
    """E12: an invoiced, withheld part is lost; the credit note takes back its tax."""
    return group("E12", _lost(Account.RECEIVABLE_WITHHELD, net, taxes, fee, hold, invoice))


def retention_forfeited(net: Money, taxes: Amounts, *, fee: str, hold: str, invoice: str) -> Group:
    """E13: a retained part is lost; no `taxes` where it was to carry its tax on release."""
    return group("E13", _lost(Account.RECEIVABLE_RETAINED, net, taxes, fee, hold, invoice))


def stake_opened(net: Money, *, fee: str, hold: str) -> Group:
    """E14: a stake is agreed and not invoiced (memo)."""
    return group(
        "E14",
        [
            debit(Account.STAKE_OPEN, net, fee=fee, hold=hold),
            credit(Account.STAKE_CONTRA, net, fee=fee, hold=hold),
        ],
    )


def stake_hit(
    net: Money, taxes: Amounts, *, fee: str, hold: str, invoice: str, earned: bool = False
) -> Group:
    """E15: a part of the stake is won and invoiced, and earned with it unless it was `earned` before."""
    from_account = Account.UNBILLED_EARNED if earned else Account.REVENUE_AT_RISK
    return group(
        "E15",
        [
            *_struck(net, fee, hold),
            debit(Account.RECEIVABLE_OPEN, total(net, taxes), hold=hold, invoice=invoice),
            credit(from_account, net, fee=fee, hold=hold, invoice=invoice),
            *vat_charged(taxes, invoice),
        ],
    )


def block_lifted(net: Money, *, fee: str, hold: str) -> Group:
    """E15: a milestone may be invoiced after all; the invoice is a posting of its own (memo)."""
    return group("E15", _struck(net, fee, hold))


def stake_missed(net: Money, *, fee: str, hold: str, earned: bool = False) -> Group:
    """E16: a part of the stake is lost; money moves only where it was `earned` before."""
    given_up = _given_up(net, fee, hold) if earned else []
    return group("E16", [*_struck(net, fee, hold), *given_up])


def missed_before_earned(net: Money, *, fee: str, hold: str) -> Group:
    """E16: what was lost before is earned now, and given up with it."""
    return group("E16", _given_up(net, fee, hold))


def clawed_back(
    net: Money,
    taxes: Amounts,
    *,
    fee: str,
    hold: str,
    invoice: str,
    note: str,
    settled: Money,
) -> Group:
    """E18: a refundable part is claimed back by a credit note; `settled` is what was paid of it, gross."""
    return group(
        "E18",
        [
            debit(Account.REFUND_LIABILITY, net, fee=fee, hold=hold, invoice=invoice),
            *vat_taken_back(taxes, invoice),
            *given_back(total(net, taxes), settled, invoice, note),
        ],
    )


def refund_lapsed(net: Money, *, fee: str, hold: str, invoice: str, revenue: Account) -> Group:
    """E19: the right to claim back ends; the part returns to the revenue it was taken from."""
    return group(
        "E19",
        [
            debit(Account.REFUND_LIABILITY, net, fee=fee, hold=hold, invoice=invoice),
            credit(revenue, net, fee=fee, hold=hold, invoice=invoice),
        ],
    )


def payment_withheld(gross: Money, *, hold: str, invoice: str) -> Group:
    """E31: payment of an issued invoice is withheld afterwards."""
    return group(
        "E31",
        [
            debit(Account.RECEIVABLE_WITHHELD, gross, hold=hold, invoice=invoice),
            credit(Account.RECEIVABLE_OPEN, gross, hold=hold, invoice=invoice),
        ],
    )


def refund_reserved(net: Money, *, fee: str, hold: str, invoice: str, revenue: Account) -> Group:
    """E32: a part of a fee already earned and invoiced may be claimed back from now on."""
    return group("E32", refund_right(revenue, net, fee=fee, hold=hold, invoice=invoice))


def _payable(held_in: Account, gross: Money, hold: str, invoice: str) -> list[Posting]:
    return [
        debit(Account.RECEIVABLE_OPEN, gross, hold=hold, invoice=invoice),
        credit(held_in, gross, hold=hold, invoice=invoice),
    ]


def _lost(
    held_in: Account, net: Money, taxes: Amounts, fee: str, hold: str, invoice: str
) -> list[Posting]:
    return [
        debit(Account.REVENUE_REDUCTION, net, fee=fee, hold=hold, invoice=invoice),
        *vat_taken_back(taxes, invoice),
        credit(held_in, total(net, taxes), hold=hold, invoice=invoice),
    ]


def _given_up(net: Money, fee: str, hold: str) -> list[Posting]:
    return [
        debit(Account.REVENUE_REDUCTION, net, fee=fee, hold=hold),
        credit(Account.UNBILLED_EARNED, net, fee=fee, hold=hold),
    ]


def _struck(net: Money, fee: str, hold: str) -> list[Posting]:
    return [
        credit(Account.STAKE_OPEN, net, fee=fee, hold=hold),
        debit(Account.STAKE_CONTRA, net, fee=fee, hold=hold),
    ]
