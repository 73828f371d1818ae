"""The books checked against themselves: each invariant recomputed from what is stored.

One module an area; the checks run in the order in which the areas are named here.
"""

# isort: off
from tollkeeper.verify import (
    ledger,
    documents,
    holds,
    adjustments,
    approvals,
    changes,
    engagements,
    effects,
    books,
    receivables,
)

# isort: on
from tollkeeper.verify.core import INVARIANTS, Check, Verification, verify

__all__ = [
    "INVARIANTS",
    "Check",
    "Verification",
    "adjustments",
    "approvals",
    "books",
    "changes",
    "documents",
    "effects",
    "engagements",
    "holds",
    "ledger",
    "receivables",
    "verify",
]
