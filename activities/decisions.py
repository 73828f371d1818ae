"""Every kind of decision that can be asked for, with the module that carries it out.

Whoever carries out requests imports this, so that each kind is registered.
"""

from activities import change_orders, closing
from activities.approvals import CARRY_OUT
from activities.billing import gain_share, service_credits
from activities.holds import by_people, decisions
from activities.receivables import credits, disputes, refunds
from contracts.commercial import Decision

__all__ = [
    "by_people",
    "change_orders",
    "closing",
    "credits",
    "decisions",
    "disputes",
    "gain_share",
    "refunds",
    "service_credits",
]

assert set(Decision) == CARRY_OUT.keys(), "a decision that nothing carries out"
