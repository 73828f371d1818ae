"""What people of both sides do about the money of an engagement with three invoices."""

from datetime import UTC, date, datetime
from typing import Any

from activities.approvals import Approvals
from activities.postgres import Pool
from activities.receivables.credits import request_credit, request_write_off
from activities.receivables.disputes import end_dispute, open_dispute, rule_dispute
from activities.receivables.receipts import (
    apply_credit,
    assign_receipt,
    reverse_receipt,
    take_in,
    unapply_credit,
)
from activities.receivables.refunds import request_refund, settle_refund
from contracts.money import Money
from contracts.setting import Book
from lifecycle.orders.approvals import RejectRequest, Requested, SignRequest
from lifecycle.orders.receivables import (
    Applied,
    ApplyCredit,
    AssignReceipt,
    CreditReason,
    EndDispute,
    OpenDispute,
    RequestCredit,
    RequestRefund,
    RequestWriteOff,
    ReverseReceipt,
    RuleDispute,
    SettleRefund,
    UnapplyCredit,
)
from lifecycle.receivables import BankReceipt
from tests.integration.conftest import Story

MICRO, M1, M2 = (f"QM-INV-2024-00000{number}" for number in (1, 2, 3))
"""106,000.00 due on 2024-09-27; 381,600.00 and 286,200.00 of 2024-12-02."""

NOW = datetime(2025, 2, 1, tzinfo=UTC)


def yuan(amount: int) -> Money:
    return Money(amount * 100, "CNY")


def came(
    reference: str, amount: int, text: str = "", customer: str | None = "HD", **more: Any
) -> Any:
    given: dict[str, Any] = {"book": Book.LIVE, "account": "CN62", "received_on": date(2025, 1, 2)}
    return BankReceipt(
        seller="QM",
        reference=reference,
        amount=yuan(amount),
        text=text,
        customer=customer,
        **given | more,
    )


class House:
    """The desk, without its processes."""

    def __init__(self, pool: Pool, engagement: str = "E1") -> None:
        self.pool = pool
        self.engagement = engagement

    def about(self, key: str, by: str = "sun.hao") -> dict[str, Any]:
        return {
            "key": key,
            "engagement_id": self.engagement,
            "workflow_id": f"eng.{self.engagement}",
            "at": NOW,
            "by": by,
        }

    async def took(self, *receipts: BankReceipt) -> list[Any]:
        return await take_in(self.pool, receipts, "clerk", NOW)

    async def applied(
        self, source: str, invoice: str, amount: int | None = None, command: str = "1"
    ) -> Applied:
        about = self.about(f"{source}:apply:{command}")
        wanted = None if amount is None else yuan(amount)
        return await apply_credit(
            self.pool, ApplyCredit(**about, source=source, invoice=invoice, amount=wanted)
        )

    async def unapplied(self, source: str, invoice: str) -> Applied:
        about = self.about(f"{source}:unapply:{invoice}")
        return await unapply_credit(
            self.pool, UnapplyCredit(**about, source=source, invoice=invoice, reason="a slip")
        )

    async def bounced(self, receipt: str, day: int = 20) -> Any:
        order = ReverseReceipt(
            key=f"receipt.{receipt}:reverse",
            at=datetime(2025, 1, day, tzinfo=UTC),
            by="clerk",
            receipt=receipt,
            reason="no funds",
        )
        return await reverse_receipt(self.pool, order)

    async def assigned(self, receipt: str, customer: str = "HD") -> Any:
        order = AssignReceipt(
            key=f"receipt.{receipt}:assign:{customer}",
            at=NOW,
            by="clerk",
            receipt=receipt,
            customer=customer,
        )
        return await assign_receipt(self.pool, order)

    async def refund(self, id: str, source: str, amount: int) -> Requested:
        order = RequestRefund(
            **self.about(f"eng.{self.engagement}.request.{id}"),
            refund=self.id("refund", id),
            source=source,
            amount=yuan(amount),
            pay_to="CN99 HENGDA",
            reason="paid twice",
        )
        return await request_refund(self.pool, order)

    async def settled(self, id: str, state: Any, by: str = "clerk") -> Any:
        refund = self.id("refund", id)
        order = SettleRefund(
            **self.about(f"{refund}:{state.value}", by),
            refund=refund,
            state=state,
            evidence="statement 17",
        )
        return await settle_refund(self.pool, order)

    async def dispute(self, id: str, invoice: str, amount: int | None, *lines: int, by="wang.fang"):
        order = OpenDispute(
            **self.about(f"{self.id('dispute', id)}:open", by),
            dispute=self.id("dispute", id),
            invoice=invoice,
            lines=lines,
            amount=None if amount is None else yuan(amount),
            reason="not delivered",
        )
        return await open_dispute(self.pool, order)

    async def ended(self, id: str, state: Any, by: str) -> Any:
        dispute = self.id("dispute", id)
        order = EndDispute(
            **self.about(f"{dispute}:{state.value}", by),
            dispute=dispute,
            state=state,
            reason="seen",
        )
        return await end_dispute(self.pool, order)

    async def ruling(self, id: str, upheld: int) -> Requested:
        order = RuleDispute(
            **self.about(f"eng.{self.engagement}.request.rule-{id}"),
            dispute=self.id("dispute", id),
            upheld=yuan(upheld),
            reason="half was there",
        )
        return await rule_dispute(self.pool, order)

    async def credit(
        self, id: str, invoice: str, amount: int, code: CreditReason = CreditReason.GOODWILL
    ) -> Requested:
        order = RequestCredit(
            **self.about(f"eng.{self.engagement}.request.{id}"),
            credit=self.id("credit", id),
            invoice=invoice,
            amount=yuan(amount),
            code=code,
            reason="late",
        )
        return await request_credit(self.pool, order)

    async def write_off(self, id: str, invoice: str, amount: int) -> Requested:
        order = RequestWriteOff(
            **self.about(f"eng.{self.engagement}.request.{id}"),
            write_off=self.id("write-off", id),
            invoice=invoice,
            amount=yuan(amount),
            reason="not worth a claim",
        )
        return await request_write_off(self.pool, order)

    async def signed(self, requested: Requested, *people: str) -> Requested:
        for person in people or ("gao.feng", "li.wei"):
            order = SignRequest(
                **self.about(f"{requested.request}:sign:{person}", person),
                request=requested.request,
                digest=requested.digest,
            )
            requested = await Approvals(self.pool).sign_request(order)
        return requested

    async def rejected(self, requested: Requested) -> Requested:
        order = RejectRequest(
            **self.about(f"{requested.request}:reject:gao.feng", "gao.feng"),
            request=requested.request,
            reason="no",
        )
        return await Approvals(self.pool).reject_request(order)

    def id(self, kind: str, id: str) -> str:
        return f"eng.{self.engagement}.{kind}.{id}"

    async def open(self, invoice: str) -> Money:
        row = await self.pool.fetchrow(
            "select open_minor, currency from invoice_settlement where number = $1", invoice
        )
        assert row is not None
        return Money(row["open_minor"], row["currency"])

    async def account(self, code: str) -> Money:
        """The balance of an account, debits less credits."""
        minor = await self.pool.fetchval(
            """
            select coalesce(sum(case side when 'D' then amount_minor else -amount_minor end), 0)::bigint
            from posting where account = $1
            """,
            code,
        )
        return Money(minor, "CNY")


async def invoiced(one: Story) -> House:
    """An engagement with three invoices: 106,000, 381,600 and 286,200, all open."""
    await one.opened()
    await one.consulted()
    await one.proceeded()
    await one.delivered("M1")
    await one.delivered("M2")
    return House(one.pool, one.id)
