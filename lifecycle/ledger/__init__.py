"""The postings of each money event, double entry in minor units (E-numbers name the event). Pure.

Two ledgers that never mix: `money`, and `memo` for what is agreed but not invoiced. A journal group
is one business event and balances per ledger and currency.
"""

from lifecycle.ledger.accounts import Account
from lifecycle.ledger.cash import credit_applied, received, refunded
from lifecycle.ledger.changes import delta_credited, delta_invoiced, earned_anew
from lifecycle.ledger.corrections import (
    advance_credited,
    credited,
    dispute_opened,
    dispute_rejected,
    dispute_upheld,
    service_credited,
    written_off,
)
from lifecycle.ledger.earning import earned, gain_share_earned, gain_share_lowered
from lifecycle.ledger.holds import (
    block_lifted,
    clawed_back,
    missed_before_earned,
    payment_withheld,
    refund_lapsed,
    refund_reserved,
    retention_billed,
    retention_forfeited,
    retention_released,
    stake_hit,
    stake_missed,
    stake_opened,
    withheld_forfeited,
    withheld_released,
)
from lifecycle.ledger.invoicing import Refundable, advance_invoiced, invoiced
from lifecycle.ledger.journal import (
    Amounts,
    Group,
    Posting,
    Side,
    balanced,
    mirror,
    total,
)
from lifecycle.ledger.memo import (
    value_authorised,
    value_billed,
    value_credited,
    value_freed,
    value_lowered,
    value_reserved,
)
from lifecycle.ledger.tax import tax_of_part

__all__ = [
    "Account",
    "Amounts",
    "Group",
    "Posting",
    "Refundable",
    "Side",
    "advance_credited",
    "advance_invoiced",
    "balanced",
    "block_lifted",
    "clawed_back",
    "credit_applied",
    "credited",
    "delta_credited",
    "delta_invoiced",
    "dispute_opened",
    "dispute_rejected",
    "dispute_upheld",
    "earned",
    "earned_anew",
    "gain_share_earned",
    "gain_share_lowered",
    "invoiced",
    "mirror",
    "missed_before_earned",
    "payment_withheld",
    "received",
    "refund_lapsed",
    "refund_reserved",
    "refunded",
    "retention_billed",
    "retention_forfeited",
    "retention_released",
    "service_credited",
    "stake_hit",
    "stake_missed",
    "stake_opened",
    "tax_of_part",
    "total",
    "value_authorised",
    "value_billed",
    "value_credited",
    "value_freed",
    "value_lowered",
    "value_reserved",
    "withheld_forfeited",
    "withheld_released",
    "written_off",
]
