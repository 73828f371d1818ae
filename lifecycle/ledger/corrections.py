"""Postings of disputes, credit notes and write-offs. Pure."""

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
    reduced,
    total,
    vat_taken_back,
)


def dispute_opened(gross: Money, *, invoice: str, dispute: str) -> Group:
    """E21: a part of an invoice is disputed."""
    return group(
        "E21",
        [
            debit(Account.RECEIVABLE_DISPUTED, gross, invoice=invoice, item=dispute),
            credit(Account.RECEIVABLE_OPEN, gross, invoice=invoice, item=dispute),
        ],
    )


def dispute_rejected(gross: Money, *, invoice: str, dispute: str) -> Group:
    """E21: a disputed part is to be paid after all: the dispute is rejected or withdrawn."""
    return group(
        "E21",
        [
            debit(Account.RECEIVABLE_OPEN, gross, invoice=invoice, item=dispute),
            credit(Account.RECEIVABLE_DISPUTED, gross, invoice=invoice, item=dispute),
        ],
    )


def dispute_upheld(nets: Amounts, taxes: Amounts, *, invoice: str, dispute: str) -> Group:
    """E22: a disputed part is credited."""
    gross = total(nets, taxes)
    return group(
        "E22",
        [
            *reduced(nets, invoice),
            *vat_taken_back(taxes, invoice),
            credit(Account.RECEIVABLE_DISPUTED, gross, invoice=invoice, item=dispute),
        ],
    )


def credited(nets: Amounts, taxes: Amounts, *, invoice: str, note: str, settled: Money) -> Group:
    """E23: a credit note takes a part of an invoice back.

    Args:
        settled: what was paid of that part, gross: it becomes the customer's credit.
    """
    return group("E23", _credit_note(nets, taxes, invoice, note, settled))


def service_credited(
    nets: Amounts, taxes: Amounts, *, invoice: str, note: str, settled: Money
) -> Group:
    """E25: a credit note for service below its level; otherwise as E23."""
    return group("E25", _credit_note(nets, taxes, invoice, note, settled))


def advance_credited(
    net: Money, taxes: Amounts, *, advance: str, invoice: str, note: str, settled: Money
) -> Group:
    """E33: a credit note gives back what no invoice will deduct of an advance; nothing was earned with it.

    Args:
        settled: what was paid of that part, gross: it becomes the customer's credit.
    """
    return group(
        "E33",
        [
            debit(Account.ADVANCES, net, invoice=invoice, item=advance),
            *vat_taken_back(taxes, invoice),
            *given_back(total(net, taxes), settled, invoice, note),
        ],
    )


def written_off(loss: Money, relief: Amounts, *, invoice: str) -> Group:
    """E26: an open part will not be paid; `relief` is the tax of it that the law gives back."""
    return group(
        "E26",
        [
            debit(Account.WRITE_OFF, loss, invoice=invoice),
            *vat_taken_back(relief, invoice),
            credit(Account.RECEIVABLE_OPEN, total(loss, relief), invoice=invoice),
        ],
    )


def _credit_note(
    nets: Amounts, taxes: Amounts, invoice: str, note: str, settled: Money
) -> list[Posting]:
    return [
        *reduced(nets, invoice),
        *vat_taken_back(taxes, invoice),
        *given_back(total(nets, taxes), settled, invoice, note),
    ]
