"""Who carries out what people order about the money of an engagement."""

from collections.abc import Awaitable, Callable
from typing import Any

from activities.approvals import Approvals
from activities.billing.advances import Advances
from activities.billing.gain_share import GainShares
from activities.billing.service_credits import ServiceCredits
from activities.change_orders import ChangeOrders
from activities.closing import Books
from activities.holds.by_people import Holds
from activities.postgres import Pool
from activities.receivables.credits import request_credit, request_write_off
from activities.receivables.disputes import end_dispute, open_dispute, rule_dispute
from activities.receivables.receipts import apply_credit, unapply_credit
from activities.receivables.refunds import request_refund, settle_refund
from lifecycle.orders import A, Order
from lifecycle.orders.adjustments import GrantServiceCredit, IssueAdvance, ReportGainShare
from lifecycle.orders.approvals import AskAgain, RejectRequest, SignRequest, WithdrawRequest
from lifecycle.orders.books import AskReversal
from lifecycle.orders.change_orders import ProposeChange
from lifecycle.orders.holds import (
    CloseHoldDispute,
    DecideHold,
    DisputeHold,
    ExtendHold,
    PlaceHold,
    ServeCureNotice,
)
from lifecycle.orders.receivables import (
    ApplyCredit,
    EndDispute,
    OpenDispute,
    RequestCredit,
    RequestRefund,
    RequestWriteOff,
    RuleDispute,
    SettleRefund,
    UnapplyCredit,
)

BY: dict[type[Order[Any]], Callable[[Pool, Any], Awaitable[Any]]] = {
    PlaceHold: lambda pool, order: Holds(pool).place_hold(order),
    DecideHold: lambda pool, order: Holds(pool).decide_hold(order),
    ExtendHold: lambda pool, order: Holds(pool).extend_hold(order),
    ServeCureNotice: lambda pool, order: Holds(pool).serve_cure_notice(order),
    DisputeHold: lambda pool, order: Holds(pool).dispute_hold(order),
    CloseHoldDispute: lambda pool, order: Holds(pool).close_hold_dispute(order),
    SignRequest: lambda pool, order: Approvals(pool).sign_request(order),
    RejectRequest: lambda pool, order: Approvals(pool).reject_request(order),
    WithdrawRequest: lambda pool, order: Approvals(pool).withdraw_request(order),
    AskAgain: lambda pool, order: Approvals(pool).ask_again(order),
    ProposeChange: lambda pool, order: ChangeOrders(pool).propose_change(order),
    ReportGainShare: lambda pool, order: GainShares(pool).report_gain_share(order),
    GrantServiceCredit: lambda pool, order: ServiceCredits(pool).grant_service_credit(order),
    IssueAdvance: lambda pool, order: Advances(pool).issue_advance(order),
    AskReversal: lambda pool, order: Books(pool).ask_reversal(order),
    ApplyCredit: apply_credit,
    UnapplyCredit: unapply_credit,
    RequestCredit: request_credit,
    RequestWriteOff: request_write_off,
    OpenDispute: open_dispute,
    EndDispute: end_dispute,
    RuleDispute: rule_dispute,
    RequestRefund: request_refund,
    SettleRefund: settle_refund,
}


async def carry_out(pool: Pool, order: Order[A]) -> A:
    """Carry out an order of a person, in one transaction."""
    answer: A = await BY[type(order)](pool, order)
    return answer
