"""Histories that are carried to their end: whatever has happened, an engagement can be closed."""

from datetime import datetime, timedelta
from typing import Any

from activities.change_orders import ChangeOrders
from activities.closing import Books as BooksAsAWhole
from activities.receivables.disputes import end_dispute
from contracts.commercial import Decision
from contracts.errors import CalendarNotCovered, CapExceeded, EngagementError
from contracts.money import Money
from lifecycle.orders.approvals import AskAgain, ExpireRequest, WithdrawRequest
from lifecycle.orders.books import AskReversal
from lifecycle.orders.change_orders import ApplyChange
from lifecycle.orders.holds import CloseHoldDispute, DecideHold
from lifecycle.orders.receivables import CreditReason, EndDispute
from lifecycle.receivables import DisputeState
from tests.integration.money.histories.books import Row
from tests.integration.money.histories.machine import Engagement, Histories

FOR_OTHERS = (CalendarNotCovered, CapExceeded)
"""Working days to be decreed, a ceiling to be raised: nothing of a history."""


class Ending(Histories):
    """After each history people settle all that is open: so nothing is stuck, and nothing is lost."""

    refused: list[EngagementError]

    def teardown(self) -> None:
        super().teardown()
        for engagement in self.engagements:
            if not engagement.closed:
                self.end(engagement)
        assert not self.books.violations()

    def end(self, engagement: Engagement) -> None:
        self.refused = []
        self.at = self.now = self.now + timedelta(days=1)
        self.look()
        self._questions_answered(engagement)
        if not engagement.consulted:
            self._consulted(engagement)
        if engagement.proceeded:
            self._carried_on(engagement)
        self._close(engagement, shelved=not engagement.proceeded)
        waits = any(isinstance(refused, FOR_OTHERS) for refused in self.refused)
        assert engagement.closed or waits, [str(refused) for refused in self.refused]

    def _refused(self, name: str, refused: EngagementError) -> None:
        super()._refused(name, refused)
        if hasattr(self, "refused"):
            self.refused.append(refused)

    def own(self, kind: str, engagement: Engagement) -> list[Row]:
        self.look()
        return [each for each in self.seen[kind] if each["engagement_id"] == engagement.id]

    def _questions_answered(self, engagement: Engagement) -> None:
        """What is asked for is withdrawn, what is disputed is to be paid, what was written off as well."""
        for pending in self.own("pending", engagement):
            self._given_up(pending)
        for disputed in self.own("disputes", engagement):
            dispute = disputed["dispute_id"]
            reject = EndDispute(
                **self.about(engagement.id, f"{dispute}:end:last", self.seller(0)),
                dispute=dispute,
                state=DisputeState.REJECTED,
                reason="it was delivered",
            )
            self.give(lambda order: end_dispute(self.books.pool, order), reject)
        for hold in self.own("holds", engagement):
            if hold["disputed"]:
                about = self.about(engagement.id, f"{hold['hold_id']}:last", self.seller(0))
                close = CloseHoldDispute(**about, hold=hold["hold_id"], ruling="as placed")
                self.give(self.holds.close_hold_dispute, close)
        for group in self.own("groups", engagement):
            if group["code"] == "E26":
                about = self.asked(engagement.id, self.seller(0))
                reverse = AskReversal(**about, group=group["key"], reason="it is paid after all")
                self._decided(self.give(BooksAsAWhole(self.books.pool).ask_reversal, reverse))
        self._released(engagement)

    def _given_up(self, pending: Row) -> None:
        id, expires_at = pending["request_id"], datetime.fromisoformat(pending["expires_at"])
        if expires_at < self.at:
            about = self.about(pending["engagement_id"], f"{id}:expire", id) | {"at": expires_at}
            self.give(self.approvals.expire_request, ExpireRequest(**about, request=id))
        else:
            about = self.about(pending["engagement_id"], f"{id}:last", pending["requested_by"])
            self.give(self.approvals.withdraw_request, WithdrawRequest(**about, request=id))

    def _carried_on(self, engagement: Engagement) -> None:
        for change in self.own("changes", engagement):
            id, due_at = change["change_id"], datetime.fromisoformat(change["due_at"])
            self._until(due_at)
            about = self.about(engagement.id, f"{id}:apply", id) | {"at": due_at}
            apply = ApplyChange(**about, change=id)
            self.give(ChangeOrders(self.books.pool).apply_change, apply)
        for milestone in self.books.contract(engagement.id).milestones:
            if milestone.id not in engagement.accepted:
                self._accepted(engagement, milestone.id)
            self._billed(engagement, milestone.id)
        self._held_back(engagement)
        for window in self.contract.bets[0].windows:
            self._measure(engagement, window, "1/3")
            self._assess(engagement, window)
        for verdict in self.own("verdicts", engagement):
            for released in (True, False):
                self._settle(engagement, verdict, released)
        for pending in self.own("pending", engagement):
            self._given_up(pending)
        for ended in self.own("ended", engagement):
            again = AskAgain(
                **self.asked(engagement.id, self.seller(0)), request=ended["request_id"]
            )
            if ended["request_id"].endswith(("-release", "-forfeit")):
                self._decided(self.give(self.approvals.ask_again, again))
        self._released(engagement)
        self._advance_credited(engagement)

    def _released(self, engagement: Engagement) -> None:
        for hold in self.own("holds", engagement):
            if hold["decidable"] and hold["free_minor"]:
                release = DecideHold(
                    **self.asked(engagement.id, self.seller(0)),
                    hold=hold["hold_id"],
                    decision=Decision.RELEASE,
                    amount=self.money(hold["free_minor"]),
                    reason="the end",
                )
                self._decided(self.give(self.holds.decide_hold, release))

    def _advance_credited(self, engagement: Engagement) -> None:
        """What no milestone deducted."""
        for invoice in self.own("advances", engagement):
            (row,) = self.books.fetch(
                f"""
                select i.gross_minor - (
                    select coalesce(sum(advance_minor), 0) from invoice
                    where engagement_id = '{engagement.id}'
                ) - (
                    select coalesce(sum(net_minor + tax_minor), 0) from invoice_line
                    where corrects_number = i.number
                ) as left_minor
                from invoice i where number = '{invoice["number"]}'
                """
            )
            left: Money = self.money(int(row["left_minor"]))
            if left.minor:
                reason = CreditReason.ADVANCE
                self._decided(self._credit(invoice, left, self.seller(0), code=reason))

    def _decided(self, asked: Any) -> None:
        if asked is not None:
            self.approve_all(asked.request)
