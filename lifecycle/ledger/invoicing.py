"""Postings of invoices. Nothing but an advance is invoiced before performance: E04 is not used. Pure."""

from collections.abc import Sequence
from functools import reduce
from operator import sub
from typing import NamedTuple

from contracts.money import Money
from lifecycle.ledger.accounts import Account
from lifecycle.ledger.journal import (
    NOTHING,
    Amounts,
    Group,
    credit,
    debit,
    group,
    refund_right,
    total,
    vat_charged,
)


class Refundable(NamedTuple):
    """A net part of an invoice that is to be paid now, and is claimed back if the hold is forfeited."""

    hold: str
    fee: str
    net: Money


def invoiced(
    nets: Amounts,
    taxes: Amounts,
    *,
    invoice: str,
    retained: Amounts = NOTHING,
    withheld: Amounts = NOTHING,
    tax_on_release: bool = False,
    advances: Amounts = NOTHING,
    advance_taxes: Amounts = NOTHING,
    refundable: Sequence[Refundable] = (),
) -> Group:
    """E02, E03, E06, E17: an invoice over earned money.

    E06 where an advance is deducted, else E17 where a part is refundable, else E03 where the
    retained part carries no tax yet, else E02. E17 clears 1200 as every invoice does, for the fee
    was earned before, and moves the refundable part from revenue at risk to the refund liability.

    Args:
        nets: by fee, before any deduction.
        taxes: by tax code, before the tax of advances; with `tax_on_release` without the tax of
            the retained part.
        retained: by hold; gross, or net with `tax_on_release`.
        withheld: by hold, gross.
        advances: by advance, net; their tax, by tax code, in `advance_taxes`.
    """
    code = "E03" if tax_on_release else "E02"
    code = "E17" if refundable else code
    code = "E06" if advances else code
    deducted = (retained, withheld, advances, advance_taxes)
    open_part = reduce(
        sub, (amount for part in deducted for amount in part.values()), total(nets, taxes)
    )
    charged = {
        tax_code: tax - advance_taxes[tax_code] if tax_code in advance_taxes else tax
        for tax_code, tax in taxes.items()
    }
    return group(
        code,
        [
            debit(Account.RECEIVABLE_OPEN, open_part, invoice=invoice),
            *(
                debit(Account.ADVANCES, net, invoice=invoice, item=advance)
                for advance, net in advances.items()
            ),
            *(
                debit(Account.RECEIVABLE_RETAINED, part, hold=hold, invoice=invoice)
                for hold, part in retained.items()
            ),
            *(
                debit(Account.RECEIVABLE_WITHHELD, part, hold=hold, invoice=invoice)
                for hold, part in withheld.items()
            ),
            *(
                credit(Account.UNBILLED_EARNED, net, fee=fee, invoice=invoice)
                for fee, net in nets.items()
            ),
            *vat_charged(charged, invoice),
            *(
                line
                for part in refundable
                for line in refund_right(
                    Account.REVENUE_AT_RISK,
                    part.net,
                    fee=part.fee,
                    hold=part.hold,
                    invoice=invoice,
                )
            ),
        ],
    )


def advance_invoiced(net: Money, taxes: Amounts, *, advance: str, invoice: str) -> Group:
    """E05: an advance is invoiced, before anything is earned."""
    return group(
        "E05",
        [
            debit(Account.RECEIVABLE_OPEN, total(net, taxes), invoice=invoice),
            credit(Account.ADVANCES, net, invoice=invoice, item=advance),
            *vat_charged(taxes, invoice),
        ],
    )
