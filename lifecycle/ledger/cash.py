"""Postings of money that came in or went out. Receipts are in the invoice's currency: no E29. Pure."""

from contracts.money import Money
from lifecycle.ledger.accounts import Account
from lifecycle.ledger.journal import Group, credit, debit, group


def received(amount: Money, *, receipt: str) -> Group:
    """E07: money came in; all of it is the customer's credit until it is applied (E08)."""
    return group(
        "E07",
        [
            debit(Account.CASH_CLEARING, amount, item=receipt),
            credit(Account.CUSTOMER_CREDIT, amount, item=receipt),
        ],
    )


def credit_applied(amount: Money, *, source: str, invoice: str) -> Group:
    """E08: credit of the customer pays an invoice; `source` is the receipt or credit note it is from."""
    return group(
        "E08",
        [
            debit(Account.CUSTOMER_CREDIT, amount, invoice=invoice, item=source),
            credit(Account.RECEIVABLE_OPEN, amount, invoice=invoice, item=source),
        ],
    )


def refunded(amount: Money, *, refund: str) -> Group:
    """E20: a refund of the customer's credit is confirmed."""
    return group(
        "E20",
        [
            debit(Account.CUSTOMER_CREDIT, amount, item=refund),
            credit(Account.CASH_CLEARING, amount, item=refund),
        ],
    )
