"""An engagement in which everything happens that the verification has something to say about."""

import json
from datetime import date
from fractions import Fraction
from typing import Any, Literal

from activities.billing.advances import Advances
from activities.billing.gain_share import GainShares
from activities.billing.service_credits import ServiceCredits
from activities.change_orders import ChangeOrders
from activities.closing import Books
from activities.holds.by_people import Holds
from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.contract import Contract
from contracts.document import read_contract
from contracts.money import Money
from contracts.setting import Book, ClockKind
from lifecycle.orders.adjustments import GrantServiceCredit, IssueAdvance, ReportGainShare
from lifecycle.orders.approvals import Requested
from lifecycle.orders.books import AskReversal, ClosePeriod
from lifecycle.orders.change_orders import ProposeChange
from lifecycle.orders.holds import DecideHold, PlaceHold
from lifecycle.receivables import RefundState
from tests.integration.conftest import Story
from tests.integration.money.histories.agreements import ADVANCE, GAIN_SHARE, SERVICE_CREDITS
from tests.integration.money.house import House, came, yuan

Decided = Literal[Decision.RELEASE, Decision.FORFEIT]


def agreed(contract: Contract) -> Contract:
    """With an advance, service credits and a gain share."""
    clauses = {"advance": ADVANCE, "gain_share": GAIN_SHARE, "service_credits": SERVICE_CREDITS}
    return _read(contract, id="KA-2024-020", **clauses)


class Eventful(House):
    """Its events, in the order in which they can happen."""

    def __init__(self, pool: Any, contract: Contract, id: str) -> None:
        super().__init__(pool, id)
        self.contract = agreed(contract)
        self.story = Story(pool, self.contract, id, ClockKind.LIVE)
        self.number: dict[str, str] = {}

    async def happens(self) -> None:
        await self.billed()
        await self.held()
        await self.paid()
        await self.put_right()
        await self.adjusted()
        await self.amended()
        await self.closed()

    async def billed(self) -> None:
        """All of M3 is held before it is accepted, and forfeited: there is no invoice."""
        await self.story.opened()
        billed = {"micro": await self.story.consulted()}
        await self.story.proceeded()
        advance = self.story.order(IssueAdvance, "advance", "2024-10-15")
        await Advances(self.pool).issue_advance(advance.model_copy(update={"by": "sun.hao"}))
        for milestone in ("M1", "M2"):
            billed[milestone] = await self.story.delivered(milestone)
        self.number = {name: answer.number or "" for name, answer in billed.items()}
        await self.hold("H1", 360_000, HoldEffect.BLOCK_INVOICING, milestone="M3")
        await self.decided("F1", "H1", Decision.FORFEIT, "360000.00")
        await self.story.delivered("M3")

    async def held(self) -> None:
        """Of a part of M1 some is released, and some is asked for."""
        await self.hold("H2", 120_000, HoldEffect.WITHHOLD_PAYMENT, line=f"{self.number['M1']}/1")
        await self.decided("R1", "H2", Decision.RELEASE, "33333.33")
        await self.decision("R2", "H2", Decision.RELEASE, "10000.00")

    async def paid(self) -> None:
        """A receipt bounces, one is paid back in part, one was for another invoice."""
        await self.took(
            came("TX1", 106_000, self.number["micro"]),
            came("TX2", 1_060, self.number["M2"]),
            came("TX3", 1_000),
            came("TX4", 2_120),
        )
        await self.bounced("QM/CN62/TX2")
        await self.signed(await self.refund("RF1", "QM/CN62/TX3", 400))
        await self.settled("RF1", RefundState.CONFIRMED)
        await self.refund("RF2", "QM/CN62/TX3", 100)
        await self.applied("QM/CN62/TX4", self.number["M2"])
        group = f"QM/CN62/TX4:apply:1:E08:{self.number['M2']}"
        reversal = self.asked(AskReversal, "RV1", group=group, reason="for another invoice")
        await self.signed(await Books(self.pool).ask_reversal(reversal))

    async def put_right(self) -> None:
        """One dispute is upheld in part, one is open; a credit note, and a write-off."""
        await self.dispute("D1", self.number["M1"], 10_600)
        await self.signed(await self.ruling("D1", 5_300))
        await self.dispute("D2", self.number["M2"], 1_060)
        await self.signed(await self.credit("C1", self.number["micro"], 5_300))
        await self.signed(await self.write_off("W1", self.number["M1"], 1_000))

    async def adjusted(self) -> None:
        credit = self.asked(
            GrantServiceCredit,
            "SC1",
            credit="SC1",
            invoice=self.number["M2"],
            amount=yuan(1_000),
            reason="answered after four hours",
            evidence="ticket-77",
        )
        await self.signed(await ServiceCredits(self.pool).grant_service_credit(credit))
        await self.signed(await self.benefit("2025-Q1", 1_100_000))
        await self.signed(await self.benefit("2025-Q2", -200_000))
        await self.benefit("2025-Q3", 50_000)

    async def amended(self) -> None:
        """M1 costs more from the start, M2 less: one delta document."""
        change = self.asked(
            ProposeChange,
            "CO1",
            "chen.yu",
            change="CO1",
            contract=_second(self.contract),
            retroactive=True,
            reason="the scope grew",
        )
        requested = await ChangeOrders(self.pool).propose_change(change)
        await self.signed(requested, "gao.feng", "sun.hao")

    async def closed(self) -> None:
        close = self.asked(
            ClosePeriod,
            "books.live.QM.2024-10:close",
            engagement_id="",
            workflow_id="",
            book=Book.LIVE,
            entity="QM",
            month="2024-10",
        )
        await Books(self.pool).close_period(close)

    # How they are asked for.

    def asked(self, order: type[Any], name: str, by: str = "sun.hao", /, **fields: Any) -> Any:
        key = name if ":" in name else f"eng.{self.engagement}.request.{name}"
        return order(**self.about(key, by) | fields)

    async def hold(self, name: str, amount: int, effect: HoldEffect, **on: str) -> None:
        order = self.asked(
            PlaceHold,
            f"place-{name}",
            hold=name,
            kind=HoldKind.ADMIN_BLOCK,
            effect=effect,
            amount=yuan(amount),
            reason="the scope is disputed",
            **on,
        )
        await self.signed(await Holds(self.pool).place_hold(order))

    async def decision(self, name: str, hold: str, decision: Decided, amount: str) -> Requested:
        order = self.asked(
            DecideHold,
            name,
            hold=self.id("hold", hold),
            decision=decision,
            amount=Money(int(amount.replace(".", "")), "CNY"),
            reason="agreed",
        )
        return await Holds(self.pool).decide_hold(order)

    async def decided(self, name: str, hold: str, decision: Decided, amount: str) -> Requested:
        return await self.signed(await self.decision(name, hold, decision, amount))

    async def benefit(self, period: str, amount: int) -> Requested:
        order = self.asked(
            ReportGainShare,
            f"gain-{period}",
            period=period,
            benefit=yuan(amount),
            evidence=f"sha256:{period}",
        )
        return await GainShares(self.pool).report_gain_share(order)


def _second(contract: Contract) -> Contract:
    """Version 2: M1 at 370,000.10 and M2 at 260,000.00, li.wei approves nothing any more, and one of the
    others is enough. What is held back is what it was.
    """
    amounts = {"M1": Money(37_000_010, "CNY"), "M2": yuan(260_000)}
    milestones = [
        each.model_copy(update={"amount": amounts.get(each.id, each.amount)})
        for each in contract.milestones
    ]
    micro, project = contract.fees
    others = [each for each in contract.approvals.authority if each.person != "li.wei"]
    fee = project.amount + Money(10, "CNY")
    rate = Fraction(contract.holdback_amount().minor, fee.minor)
    return _read(
        contract,
        version=2,
        effective_on=date(2024, 12, 5),
        fees=[micro, project.model_copy(update={"amount": fee})],
        milestones=milestones,
        holdback=contract.holdback.model_copy(update={"rate": rate}),
        approvals=contract.approvals.model_copy(update={"needed": 1, "authority": others}),
    )


def _read(contract: Contract, **update: Any) -> Contract:
    changed = contract.model_copy(update=update).model_dump_json(warnings=False)
    return read_contract(json.dumps(json.loads(changed)), contract.id)
