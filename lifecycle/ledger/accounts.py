"""The chart of accounts. Pure."""

from enum import StrEnum
from typing import Literal


class Account(StrEnum):
    """Codes that begin with M are of the memo ledger: agreed, not money yet."""

    CASH_CLEARING = "1000"
    RECEIVABLE_OPEN = "1100"
    RECEIVABLE_RETAINED = "1110"
    RECEIVABLE_WITHHELD = "1120"
    RECEIVABLE_DISPUTED = "1130"
    UNBILLED_EARNED = "1200"
    ADVANCES = "2110"
    REFUND_LIABILITY = "2200"
    CUSTOMER_CREDIT = "2300"
    VAT_OUTPUT = "2400"
    REVENUE_FIXED = "4000"
    REVENUE_AT_RISK = "4020"
    REVENUE_GAIN_SHARE = "4030"
    REVENUE_REDUCTION = "4090"
    WRITE_OFF = "5100"
    AUTHORISED = "M10"
    AUTHORISED_CONTRA = "M19"
    RESERVED = "M20"
    RESERVED_CONTRA = "M29"
    BILLED = "M30"
    BILLED_CONTRA = "M39"
    STAKE_OPEN = "M40"
    STAKE_CONTRA = "M49"

    @property
    def ledger(self) -> Literal["money", "memo"]:
        return "memo" if self.value.startswith("M") else "money"
