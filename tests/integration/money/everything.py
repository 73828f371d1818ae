"""One engagement to which everything happens that can happen to its money, for tests of its bundle."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from activities.approvals import Approvals
from activities.billing.advances import Advances
from contracts.calendar import Period
from contracts.commercial import (
    Advance,
    Authority,
    AutomaticPolicy,
    Decision,
    GainBand,
    GainShare,
    HoldClocks,
    HoldEffect,
    MissHold,
    Payment,
    Retention,
    RetentionStep,
)
from contracts.commercial import Approvals as ApprovalTerms
from contracts.commercial import ServiceCredits as ServiceCreditClause
from contracts.contract import Contract, MilestoneLine, Tax
from contracts.events import Event, EventType
from contracts.fields import Title
from contracts.money import Money, parse_amount
from contracts.setting import Book
from lifecycle.orders import Billed, Order, Placed
from lifecycle.orders.adjustments import IssueAdvance
from lifecycle.orders.approvals import RejectRequest
from lifecycle.orders.receivables import CreditReason
from lifecycle.receivables import BankReceipt, DisputeState, RefundState
from tests.integration.conftest import LIVE_ON, Story
from tests.integration.money import test_adjustments as adjustments
from tests.integration.money import test_change_order as changes
from tests.integration.money import test_holds as holds
from tests.integration.money.house import House

LIVE = LIVE_ON.isoformat()
Final = Literal[Decision.RELEASE, Decision.FORFEIT]


def cny(text: str) -> Money:
    return parse_amount(text, "CNY")


def agreed(contract: Contract) -> Contract:
    """With every commercial clause; M2 also bills licences, at another rate and with the tax inside."""
    licences = contract.fees[1].model_copy(
        update={
            "id": "licences",
            "title": Title(en="Licences"),
            "amount": cny("10000.03"),
            "tax": "CN-VAT-13",
            "prices": "gross",
        }
    )
    line = MilestoneLine(
        clause="4.2", title=licences.title, fee=licences.id, amount=licences.amount
    )
    first, second, *rest = contract.milestones
    people = ("gao.feng", "li.wei", "sun.hao", "chen.yu")
    decided = (Decision.RELEASE, Decision.FORFEIT)
    update = {
        "fees": (*contract.fees, licences),
        "taxes": (Tax(clause="3.4", code="CN-VAT-13", rate=Fraction(13, 100)),),
        "milestones": (first, second.model_copy(update={"more": (line,)}), *rest),
        "payment": Payment(clause="3.5", days=30),
        "approvals": ApprovalTerms(
            clause="8.1",
            needed=2,
            authority=tuple(Authority(person=person) for person in people),
            automatic=(
                AutomaticPolicy(id="AP1", clause="8.2", decisions=decided, of="HB1"),
                AutomaticPolicy(
                    id="AP2",
                    clause="8.2",
                    decisions=(Decision.SERVICE_CREDIT,),
                    up_to=cny("5000.00"),
                ),
            ),
        ),
        "hold_clocks": HoldClocks(clause="8.3", review=20, decision=5, default="forfeit"),
        "retention": Retention(
            id="RT1",
            clause="7.3",
            fee="project",
            rate=Fraction(1, 19),
            base="net",
            tax="release",
            limit=Fraction(3, 100),
            release=(
                RetentionStep(
                    id="R3M", clause="7.3(a)", after=Period(months=3), share=Fraction(1, 3)
                ),
                RetentionStep(
                    id="R9M", clause="7.3(b)", after=Period(months=9), share=Fraction(2, 3)
                ),
            ),
        ),
        "advance": Advance(
            id="AD1",
            clause="3.6",
            title=Title(en="Advance"),
            fee="project",
            amount=cny("100000.01"),
            recovered=Fraction(1, 6),
        ),
        "service_credits": ServiceCreditClause(clause="7.2", fee="project", limit=Fraction(1, 50)),
        "gain_share": GainShare(
            id="X1",
            clause="9.1",
            title=Title(en="Gain share"),
            dead_band=cny("100000.00"),
            bands=(
                GainBand(share=Fraction(1, 9), up_to=cny("1000000.00")),
                GainBand(share=Fraction(1, 5)),
            ),
            pain=Fraction(1, 4),
            cap=cny("150000.00"),
            floor=cny("50000.00"),
        ),
        "miss_holds": (
            MissHold(
                id="MH1",
                clause="7.5",
                indicator="ka-dso-days",
                limit=Decimal(100),
                missed="above",
                times=2,
                of=3,
                effect="withhold_payment",
                milestone="M4",
                share=Fraction(1, 7),
            ),
        ),
    }
    return changes.read(contract, **update)


class Told(Story):
    """A story that is in the timeline as the processes tell it."""

    async def consulted(self) -> Billed:
        await self.tell(EventType.FINAL_SUBMITTED, "2024-09-27")
        return await super().consulted()

    async def accepted(self, milestone: str, day: str) -> None:
        terms = self.contract.milestone(milestone)
        at = self.order(Order[Any], "", day).at
        until = self.contract.working_calendar().working_days_after(
            at, terms.acceptance.working_days
        )
        facts = {"milestone": milestone, "evidence": {"proof": f"{milestone}.pdf"}}
        await self.tell(EventType.MILESTONE_SUBMITTED, day, **facts, accept_by=until.isoformat())
        await self.tell(EventType.MILESTONE_ACCEPTED, day, milestone=milestone, deemed=False)

    async def delivered(self, id: str, day: str = "2024-12-02") -> Billed:
        await self.accepted(id, day)
        return await super().delivered(id, day)

    async def placed(self) -> Placed:
        await self.tell(EventType.WENT_LIVE, LIVE)
        return await super().placed()

    async def tell(self, kind: EventType, day: str, **facts: Any) -> None:
        at = self.order(Order[Any], "", day).at
        event = Event(type=kind, occurred_at=at, actor="wang.fang", facts=facts)
        await self.recorded(day, "engagement", self.contract.id, None, events=(event,))


class Everything:
    """What is done, part by part, in the order of an engagement's life."""

    def __init__(self, one: Told) -> None:
        self.one = one
        self.holds = holds.Desk(one)
        self.changes = changes.Desk(one)
        self.house = House(one.pool, one.id)

    async def played(self) -> None:
        await self.one.opened()
        await self.one.consulted()
        await self.one.proceeded()
        await self.advance_billed()
        m1 = await self.part_of_a_blocked_milestone_forfeited()
        m2 = await self.one.delivered("M2", "2024-12-06")
        await self.billed_milestone_raised_then_lowered()
        await self.payment_withheld_then_silence(f"{m2.number}/1")
        await self.refund_right_reserved(f"{m2.number}/1")
        await self.money_came_in(str(m1.number), str(m2.number))
        await self.disputed(str(m1.number))
        await self.credited(str(m2.number))
        await self.one.delivered("M3", "2024-12-30")
        await self.one.delivered("M4", LIVE)
        await self.one.placed()
        await self.misses_its_limit()
        await self.benefit_shared()
        await self.retention_steps()
        await self.bet_settled()
        await self.asked_and_not_decided()

    async def advance_billed(self) -> None:
        order = self.one.order(IssueAdvance, "advance", "2024-10-15")
        await Advances(self.one.pool).issue_advance(order.model_copy(update={"by": "sun.hao"}))

    async def decided(self, decision: Final, hold: str, amount: str, name: str) -> None:
        await self.holds.decide(decision, hold, amount, name)
        await self.holds.signed_by_two(name)

    async def part_of_a_blocked_milestone_forfeited(self) -> Billed:
        await self.holds.place("H1", "100000.00", milestone="M1")
        await self.holds.signed_by_two("place-H1")
        await self.one.delivered("M1", "2024-12-05")
        await self.decided(Decision.FORFEIT, "H1", "60000.01", "F1")
        await self.decided(Decision.RELEASE, "H1", "39999.99", "R1")
        return await self.one.billing.bill_milestone(self.one.milestone("M1", "2024-12-06"))

    async def billed_milestone_raised_then_lowered(self) -> None:
        contract = changes.amended(self.one.contract, M2="280000.07")
        await self.changes.agreed("CO1", contract, retroactive=True)
        contract = changes.amended(contract, M2="265000.05")
        await self.changes.agreed("CO2", contract, retroactive=True)
        self.one.contract = contract

    async def payment_withheld_then_silence(self, line: str) -> None:
        await self.holds.place("H2", "50000.01", effect=HoldEffect.WITHHOLD_PAYMENT, line=line)
        await self.holds.signed_by_two("place-H2")
        await self.decided(Decision.RELEASE, "H2", "20000.00", "R2")
        await self.holds.clock_ended("H2")
        await self.holds.clock_ended("H2")

    async def refund_right_reserved(self, line: str) -> None:
        await self.holds.place("H3", "30000.00", effect=HoldEffect.RESERVE_REFUND, line=line)
        await self.holds.signed_by_two("place-H3")
        await self.decided(Decision.FORFEIT, "H3", "10000.01", "F3")
        await self.decided(Decision.RELEASE, "H3", "19999.99", "R3")

    async def money_came_in(self, m1: str, m2: str) -> None:
        for reference, amount, text in (("B1", "500.00", m1), ("B2", "300000.00", m2)):
            receipt = BankReceipt(
                book=Book.SANDBOX,
                seller="QM",
                account="CN62",
                reference=reference,
                received_on=date(2025, 1, 2),
                amount=cny(amount),
                text=text,
                customer="HD",
            )
            await self.house.took(receipt)
        await self.house.unapplied("TEST-QM/CN62/B1", m1)
        await self.house.applied("TEST-QM/CN62/B1", m1, 200)
        refund = await self.house.refund("P1", "TEST-QM/CN62/B1", 300)
        await self.house.signed(refund, "gao.feng", "li.wei")
        await self.house.settled("P1", RefundState.CONFIRMED)

    async def disputed(self, invoice: str) -> None:
        await self.house.dispute("D1", invoice, 1000)
        await self.house.signed(await self.house.ruling("D1", 333), "gao.feng", "li.wei")
        await self.house.dispute("D2", invoice, 500)
        await self.house.ended("D2", DisputeState.WITHDRAWN, "wang.fang")

    async def credited(self, invoice: str) -> None:
        micro = await self.one.pool.fetchval("select number from invoice where purpose = 'micro'")
        await self.house.signed(await self.house.credit("C1", invoice, 777))
        await self.house.signed(await self.house.write_off("W1", micro, 5))
        await self.advance_credited()
        await adjustments.granted(self.one, "SC1", invoice, 3_000)
        asked = await adjustments.granted(self.one, "SC2", invoice, 7_000)
        await adjustments.signed(self.one, asked)

    async def advance_credited(self) -> None:
        """Before M3 and M4 deduct the rest."""
        number = await self.one.pool.fetchval(
            "select number from invoice where purpose = 'advance'"
        )
        await self.house.signed(await self.house.credit("C2", number, 1_111, CreditReason.ADVANCE))

    async def misses_its_limit(self) -> None:
        for day in ("2025-02-03", "2025-03-03", "2025-04-03"):
            await self.one.measured("ka-dso-days", "101.5", day)

    async def benefit_shared(self) -> None:
        for period, benefit in (("Q1", 1_100_000), ("Q2", -700_000), ("Q3", 0), ("Q4", -900_000)):
            await adjustments.settled(self.one, period, benefit)
        await self.report_turned_down("Q5", 3_000_000)
        await adjustments.settled(self.one, "Q5", 2_900_000, request="-2")

    async def report_turned_down(self, period: str, benefit: int) -> None:
        asked = await adjustments.reported(self.one, period, benefit)
        no = self.one.order(
            RejectRequest, "no", "2025-02-14", request=asked.request, reason="no baseline"
        )
        await Approvals(self.one.pool).reject_request(no.model_copy(update={"by": "gao.feng"}))

    async def retention_steps(self) -> None:
        await self.holds.clock_ended("RT1")
        await self.decided(Decision.FORFEIT, "RT1", "12345.67", "F4")
        await self.holds.clock_ended("RT1")

    async def bet_settled(self) -> None:
        await self.one.trend_read()
        await self.one.settled("W6")
        await self.one.settled("W12")

    async def asked_and_not_decided(self) -> None:
        """Of what the miss withheld, a part waits for approval."""
        await self.holds.decide(Decision.RELEASE, "MH1", "1.00", "R5")
        await self.holds.sign("R5", "gao.feng")
