"""Postings of a change order's delta; a negative amount is posted on the other side. Pure."""

from collections.abc import Iterable
from typing import Unpack

from contracts.money import Money
from lifecycle.ledger.accounts import Account
from lifecycle.ledger.journal import Amounts, Group, Of, Posting, credit, debit, group, total


def earned_anew(parts: Iterable[tuple[str, Money]]) -> Group:
    """E01: each billed line has earned more or less than was posted; its fee and the difference."""
    return group(
        "E01",
        [
            line
            for fee, net in parts
            for line in (
                _debit(Account.UNBILLED_EARNED, net, fee=fee),
                _debit(Account.REVENUE_FIXED, -net, fee=fee),
            )
        ],
    )


def delta_invoiced(nets: Amounts, taxes: Amounts, *, invoice: str) -> Group:
    """E02: the delta is to be paid; lines of it may be negative, all of it is not."""
    return group(
        "E02",
        [
            _debit(Account.RECEIVABLE_OPEN, total(nets, taxes), invoice=invoice),
            *_cleared(nets, taxes, invoice),
        ],
    )


def delta_credited(
    nets: Amounts, taxes: Amounts, *, invoice: str, note: str, settled: Money
) -> Group:
    """E23: what a delta credit note takes off one invoice, or adds where that is negative.

    Args:
        settled: what was paid of it, gross: it becomes the customer's credit.
    """
    open_part = total(nets, taxes) - settled
    lower = {name: -amount for name, amount in nets.items()}
    lower_taxes = {name: -amount for name, amount in taxes.items()}
    return group(
        "E23",
        [
            _debit(Account.RECEIVABLE_OPEN, -open_part, invoice=invoice, item=note),
            _debit(Account.CUSTOMER_CREDIT, -settled, invoice=invoice, item=note),
            *_cleared(lower, lower_taxes, invoice),
        ],
    )


def _cleared(nets: Amounts, taxes: Amounts, invoice: str) -> list[Posting]:
    return [
        *(
            _debit(Account.UNBILLED_EARNED, -net, fee=fee, invoice=invoice)
            for fee, net in nets.items()
        ),
        *(
            _debit(Account.VAT_OUTPUT, -tax, invoice=invoice, item=code)
            for code, tax in taxes.items()
        ),
    ]


def _debit(account: Account, amount: Money, **of: Unpack[Of]) -> Posting:
    return debit(account, amount, **of) if amount.minor >= 0 else credit(account, -amount, **of)
