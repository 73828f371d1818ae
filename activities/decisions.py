"""Every kind of decision that can be asked for, with the module that carries it out.

Whoever signs requests imports this, so that each kind is registered.
"""

from activities import (
    books,
    change_orders,
    credits,
    disputes,
    gain_share,
    hold_decisions,
    holds,
    refunds,
    service_credits,
)
from activities.approvals import CARRY_OUT

__all__ = [
    "CARRY_OUT",
    "books",
    "change_orders",
    "credits",
    "disputes",
    "gain_share",
    "hold_decisions",
    "holds",
    "refunds",
    "service_credits",
]
