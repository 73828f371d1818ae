"""What one command leaves for another: credits beside holds, retention beside change orders."""

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from activities.receivables.credits import request_credit
from activities.receivables.disputes import end_dispute, open_dispute, rule_dispute
from contracts.calendar import Period
from contracts.commercial import Approvals as ApprovalTerms
from contracts.commercial import (
    Authority,
    AutomaticPolicy,
    Decision,
    GainBand,
    HoldEffect,
    Retention,
    RetentionStep,
    ServiceCredits,
)
from contracts.contract import Contract, MilestoneLine, Tax
from contracts.errors import LossBoundExceeded, TransitionError
from contracts.fields import Title
from contracts.money import Money
from lifecycle.orders.receivables import (
    CreditReason,
    EndDispute,
    OpenDispute,
    RequestCredit,
    RuleDispute,
)
from lifecycle.receivables import DisputeState
from tests.integration.conftest import LIVE_ON, Story
from tests.integration.money import test_change_order as changes
from tests.integration.money import test_holds as holds
from tests.integration.money.test_adjustments import CLAUSES, granted, reported, signed
from tests.integration.money.test_change_order import amended, read
from tests.integration.money.test_holds import account, cny, sound

PEOPLE = ("gao.feng", "li.wei", "sun.hao", "chen.yu")
M1, M2 = "TEST-QM-INV-2024-000002", "TEST-QM-INV-2024-000003"
STEPS = (
    RetentionStep(id="R3M", clause="7.3(a)", after=Period(months=3), share=Fraction(1, 3)),
    RetentionStep(id="R9M", clause="7.3(b)", after=Period(months=9), share=Fraction(2, 3)),
)
LATER: dict[str, Any] = {"version": 2, "effective_on": date(2024, 12, 5)}


@pytest.fixture
def contract(key_account: Contract) -> Contract:
    """The verdict is carried out by the clause, all else by two of four people."""
    decided = (Decision.RELEASE, Decision.FORFEIT)
    return read(
        key_account,
        approvals=ApprovalTerms(
            clause="8.1",
            authority=tuple(Authority(person=person) for person in PEOPLE),
            automatic=(AutomaticPolicy(id="AP1", clause="8.2", decisions=decided, of="HB1"),),
        ),
    )


def licensed(contract: Contract, *, own: bool) -> Contract:
    """With licences of 10,000.03, the tax of 13 % inside: on M2, or a milestone of their own."""
    first, second, *rest = contract.milestones
    project = contract.fees[1]
    title, price = Title(en="Licences"), cny("10000.03")
    fee = project.model_copy(
        update={
            "id": "licences",
            "title": title,
            "amount": price,
            "tax": "CN-VAT-13",
            "prices": "gross",
        }
    )
    line = MilestoneLine(clause="4.2", title=title, fee=fee.id, amount=price)
    with_line = second.model_copy(update={"more": (line,)})
    alone = second.model_copy(update={"id": "L1", "fee": fee.id, "amount": price})
    return read(
        contract,
        fees=(*contract.fees, fee),
        milestones=(first, second, alone, *rest) if own else (first, with_line, *rest),
        taxes=(Tax(clause="3.4", code="CN-VAT-13", rate=Fraction(13, 100)),),
    )


def retaining(contract: Contract, rate: str, limit: str | None = None, **terms: Any) -> Contract:
    retention = Retention(
        id="RT1",
        clause="7.3",
        fee="project",
        rate=Fraction(rate),
        base=terms.get("base", "gross"),
        tax=terms.get("tax", "invoice"),
        limit=Fraction(limit) if limit else None,
        release=STEPS,
    )
    return read(contract, retention=retention)


def priced(contract: Contract, **amounts: str) -> Contract:
    """Milestones at other amounts that come to the same."""
    milestones = tuple(
        each.model_copy(update={"amount": cny(amounts.get(each.id, str(each.amount)))})
        for each in contract.milestones
    )
    return read(contract, milestones=milestones)


class Desk(holds.Desk):
    """The commands of people about holds, and about what else is on their invoices."""

    async def credit(self, name: str, invoice: str, amount: str, *lines: int) -> Any:
        order = RequestCredit(
            **self.about(self.request(name), "2025-02-10", "sun.hao"),
            credit=f"eng.{self.id}.credit.{name}",
            invoice=invoice,
            lines=lines,
            amount=cny(amount),
            code=CreditReason.GOODWILL,
            reason="late",
        )
        await request_credit(self.story.pool, order)
        return await self.signed_by_two(name, "2025-02-10")

    async def dispute(self, name: str, invoice: str, amount: str) -> None:
        order = OpenDispute(
            **self.about(f"{self.named(name)}:open", "2025-02-10", "wang.fang"),
            dispute=self.named(name),
            invoice=invoice,
            lines=(),
            amount=cny(amount),
            reason="not delivered",
        )
        await open_dispute(self.story.pool, order)

    async def rule(self, name: str, upheld: str) -> None:
        order = RuleDispute(
            **self.about(self.request(f"rule-{name}"), "2025-02-11", "sun.hao"),
            dispute=self.named(name),
            upheld=cny(upheld),
            reason="half was there",
        )
        await rule_dispute(self.story.pool, order)

    async def reject(self, name: str) -> None:
        order = EndDispute(
            **self.about(f"{self.named(name)}:rejected", "2025-02-11", "sun.hao"),
            dispute=self.named(name),
            state=DisputeState.REJECTED,
            reason="it was there",
        )
        await end_dispute(self.story.pool, order)

    def named(self, dispute: str) -> str:
        return f"eng.{self.id}.dispute.{dispute}"

    async def held(self, name: str, amount: str, day: str = "2024-12-05", **on: Any) -> None:
        await self.place(name, amount, day, **on)
        await self.signed_by_two(f"place-{name}", day)

    async def decided(self, decision: Any, hold: str, amount: str, name: str, day: str) -> None:
        await self.decide(decision, hold, amount, name, day)
        await self.signed_by_two(name, day)

    async def changed(self, name: str, contract: Contract, *, retroactive: bool = False) -> None:
        desk = changes.Desk(self.story)
        await desk.propose(name, contract, retroactive=retroactive)
        for side in ("gao.feng", "sun.hao"):
            await desk.sign(name, side)


@pytest.fixture
def begun(story: Any) -> Callable[..., Any]:
    """Makes an engagement that has proceeded, with some milestones accepted."""

    async def make(contract: Contract, *milestones: str) -> tuple[Story, Desk]:
        one = story(contract=contract)
        await one.opened()
        await one.consulted()
        await one.proceeded()
        for milestone in milestones:
            await one.delivered(milestone)
        return one, Desk(one)

    return make


async def settled(one: Story, contract: Contract, *delivered: str) -> None:
    """The rest of the story."""
    for milestone in contract.milestones:
        if milestone.id not in delivered:
            day = LIVE_ON.isoformat() if milestone.go_live else "2024-12-02"
            await one.delivered(milestone.id, day)
    await one.placed()
    await one.trend_read()
    await one.settled("W6")
    await one.settled("W12")


# Credits beside holds.


async def test_a_credit_takes_nothing_of_a_line_whose_payment_is_withheld(begun, contract, pool):
    """Another line was open, so that the withheld one was credited, and then forfeited as well."""
    _, desk = await begun(licensed(contract, own=False), "M1", "M2")
    await desk.held("H1", "8849.58", line=f"{M2}/2", effect=HoldEffect.WITHHOLD_PAYMENT)
    with pytest.raises(TransitionError, match=r"line 2, expected at most the 0\.00 that is left"):
        await desk.credit("C1", M2, "10000.03", 2)
    await desk.decided(Decision.FORFEIT, "H1", "8849.58", "f1", "2024-12-06")
    await desk.credit("C2", M2, "1000.00", 1)
    assert await sound(pool)


async def test_a_dispute_is_not_upheld_for_what_a_hold_keeps(begun, contract, pool):
    _, desk = await begun(licensed(contract, own=False), "M1", "M2")
    await desk.held("H1", "270000.00", line=f"{M2}/1", effect=HoldEffect.RESERVE_REFUND)
    await desk.dispute("D1", M2, "20000.00")
    with pytest.raises(TransitionError, match=r"expected at most the 10000\.03 that is left; what"):
        await desk.rule("D1", "20000.00")
    await desk.rule("D1", "10000.03")
    await desk.signed_by_two("rule-D1", "2025-02-11")
    assert await sound(pool)


@pytest.mark.parametrize("how", ["credited", "disputed"])
async def test_what_a_verdict_may_claim_back_is_not_credited_before(begun, contract, pool, how):
    """What the verdict forfeited was not there any more, and the engagement could never close."""
    holdback = contract.holdback.model_copy(update={"effect": HoldEffect.RESERVE_REFUND})
    one, desk = await begun(read(contract, holdback=holdback))
    for milestone in one.contract.milestones:
        await one.delivered(milestone.id, LIVE_ON.isoformat())
    invoice = (await one.placed()).invoice
    refused = pytest.raises(TransitionError, match=r"expected at most the 0\.00 that is left; what")
    if how == "credited":
        with refused:
            await desk.credit("C1", invoice, "572400.00")
    else:
        await desk.dispute("D1", invoice, "572400.00")
        with refused:
            await desk.rule("D1", "572400.00")
        await desk.reject("D1")
    await one.trend_read()
    await one.settled("W6")
    await one.settled("W12")
    await one.closed()
    assert await sound(pool)


async def test_a_line_credited_and_then_withheld_whole_has_no_tax_left(begun, contract, pool):
    """Of 0.26, 0.01 is tax: a cent less than the 0.25 carry, so that the rest carries one more."""
    _, desk = await begun(contract, "M1")
    await desk.credit("C1", M1, "0.26")
    effect = HoldEffect.WITHHOLD_PAYMENT
    await desk.held("H1", "359999.75", "2025-02-11", line=f"{M1}/1", effect=effect)
    assert await account(pool, "1120") == "381599.74"
    await desk.decided(Decision.FORFEIT, "H1", "359999.75", "f1", "2025-02-12")
    assert await account(pool, "1120") == "0.00"
    assert await sound(pool)


async def test_no_more_is_reserved_to_be_claimed_back_than_is_to_be_paid(begun, contract, pool):
    """What is retained is decided on there: silence would have forfeited what nobody owes yet."""
    _, desk = await begun(retaining(contract, "1/10"), "M1")
    effect = HoldEffect.RESERVE_REFUND
    with pytest.raises(TransitionError, match=r"at most 324000\.00, which is there to be held"):
        await desk.held("H1", "324000.01", line=f"{M1}/1", effect=effect)
    await desk.held("H2", "324000.00", line=f"{M1}/1", effect=effect)
    await desk.decided(Decision.FORFEIT, "H2", "324000.00", "f1", "2024-12-06")
    assert await sound(pool)


# A fee with the tax inside.


@pytest.mark.parametrize("lost", ["3000.00", "8849.58"], ids=["a part", "all of it"])
async def test_a_price_with_its_tax_inside_adds_up_when_this_was_never_invoiced(
    begun, contract, pool, lost
):
    """INV-06: the tax of what is forfeited before the invoice stands on no document."""
    one, desk = await begun(licensed(contract, own=True))
    await desk.held("H1", lost, "2024-11-05", milestone="L1")
    await desk.decided(Decision.FORFEIT, "H1", lost, "f1", "2024-11-06")
    await settled(one, one.contract)
    assert str((await one.closed()).fixed) == "1370000.03"
    assert await sound(pool)


async def test_a_price_with_its_tax_inside_adds_up_when_it_was_changed_after_a_part_was_forfeited(
    begun, contract, pool
):
    one, desk = await begun(licensed(contract, own=True), "M1")
    await desk.held("H1", "3000.00", "2024-11-05", milestone="L1")
    await desk.decided(Decision.FORFEIT, "H1", "3000.00", "f1", "2024-11-06")
    await one.delivered("L1")
    agreed = one.contract
    for version, price in enumerate(("11000.07", "7777.77"), start=2):
        change = {"amount": cny(price)}
        agreed = read(
            agreed,
            version=version,
            effective_on=LATER["effective_on"],
            fees=tuple(
                fee.model_copy(update=change) if fee.id == "licences" else fee
                for fee in agreed.fees
            ),
            milestones=tuple(
                each.model_copy(update=change) if each.id == "L1" else each
                for each in agreed.milestones
            ),
        )
        await desk.changed(f"CO{version}", agreed, retroactive=True)
        assert await sound(pool)
    await settled(one, agreed, "M1", "L1")
    await one.closed()
    assert await sound(pool)


# Retention beside releases and change orders.


async def test_retention_that_grows_after_a_release_gives_all_its_tax_in_the_end(
    begun, contract, pool
):
    """Of 0.62 retained first, 0.04 is tax, where 0.58 of the whole carry 0.03."""
    shifted = priced(retaining(contract, "1/10"), M1="5.85", M2="629994.15")
    one, desk = await begun(shifted, "M1")
    await desk.decided(Decision.RELEASE, "RT1", "0.58", "r1", "2024-12-06")
    await one.delivered("M2")
    assert await account(pool, "1110") == "66779.38"
    await desk.decided(Decision.RELEASE, "RT1", "62999.41", "r2", "2024-12-07")
    assert await account(pool, "1110") == "0.00"
    assert await sound(pool)


@pytest.mark.parametrize(("base", "tax"), [("gross", "invoice"), ("net", "release")])
async def test_retention_agreed_later_is_of_later_invoices_alone(begun, contract, pool, base, tax):
    """It was reckoned over those before as well, and came to more than the invoice."""
    shifted = priced(contract, M1="610000.00", M2="20000.00")
    one, desk = await begun(shifted, "M1")
    await desk.changed("CO1", read(retaining(shifted, "1/10", base=base, tax=tax), **LATER))
    await one.delivered("M2", "2024-12-09")
    retained = "2120.00" if base == "gross" else "2000.00"
    assert await account(pool, "1110") == retained
    assert await sound(pool)


async def test_an_invoice_never_retains_more_than_it_bills(begun, contract, pool):
    """A change order has raised the fee, and with it the limit: the rest waits for the next one."""
    shifted = priced(retaining(contract, "1/5", "1/20"), M3="10000.00", M4="620000.00")
    one, desk = await begun(shifted, "M1", "M2")
    before = Money(9_000_000, "CNY")
    assert await account(pool, "1110") == str(before)
    await desk.changed("CO1", amended(shifted, M4="2000000.00"))
    await one.delivered("M3", "2024-12-09")
    assert await account(pool, "1110") == str(before + cny("10600.00"))
    assert await sound(pool)


async def test_no_gain_is_shared_before_it_is_decided_to_proceed(story, contract, pool):
    """INV-05: it used up the loss bound, and micro-consulting could not be invoiced any more."""
    one = story(contract=read(contract, gain_share=CLAUSES["gain_share"]))
    await one.opened()
    with pytest.raises(
        LossBoundExceeded, match="found a benefit of 2024-Q4 for X1, expected PROCEED"
    ):
        await reported(one, "2024-Q4", 500_000)
    await one.consulted()
    assert await sound(pool)


async def test_a_fee_with_its_tax_inside_bears_no_loss(begun, contract, pool):
    """What it bore and what it was billed again differed by a cent of tax, beyond its level."""
    bands, whole = (GainBand(share=Fraction(1)),), Fraction(1)
    limits: dict[str, Any] = {"cap": cny("150000.00"), "floor": cny("50000.00")}
    share = CLAUSES["gain_share"].model_copy(
        update={"dead_band": None, "bands": bands, "pain": whole, **limits}
    )
    one, _ = await begun(read(licensed(contract, own=True), gain_share=share), "M1", "L1")
    await signed(one, await reported(one, "Q1", -8_000))
    fees = "select fee from invoice_line join invoice using (number) where purpose = 'gain_share'"
    assert [row["fee"] for row in await pool.fetch(fees)] == ["project"]
    await signed(one, await reported(one, "Q2", 10_000))
    assert await sound(pool)


async def test_service_credits_keep_to_the_limit_that_was_agreed_when_they_were_asked_for(
    begun, contract, pool
):
    """A change order has lowered the fee since; what was granted stands."""
    clause = ServiceCredits(clause="7.2", fee="project", limit=Fraction(1, 50))
    one, desk = await begun(read(contract, service_credits=clause), "M1")
    await signed(one, await granted(one, "S1", M1, 36_000))
    await desk.changed("CO1", amended(one.contract, M3="60000.00"))
    with pytest.raises(TransitionError, match=r"36000\.00 of 30000\.00 is granted or asked for"):
        await granted(one, "S2", M1, 1)
    assert await sound(pool)


# With the mends in change_orders.py and retention.py.


@pytest.mark.parametrize("tax", ["prices", "rate"])
async def test_the_tax_of_what_is_accepted_and_not_billed_yet_is_not_changed(
    begun, contract, pool, tax
):
    """It was earned net of the tax agreed then: unbilled earned went below zero."""
    agreed = licensed(contract, own=False)
    one, desk = await begun(agreed, "M1")
    await desk.held("H1", "1000.00", milestone="M2")
    await one.delivered("M2")
    net = tuple(
        fee.model_copy(update={"prices": "net"}) if fee.id == "licences" else fee
        for fee in agreed.fees
    )
    lower = (Tax(clause="3.4", code="CN-VAT-13", rate=Fraction(9, 100)),)
    changed = read(agreed, **LATER | ({"fees": net} if tax == "prices" else {"taxes": lower}))
    with pytest.raises(TransitionError, match="fee licences: found tax CN-VAT-13 of"):
        await desk.changed("CO1", changed)
    assert await sound(pool)


async def test_more_is_forfeited_of_what_is_taxed_later_than_is_taxed_now(begun, contract, pool):
    agreed = retaining(contract, "3/5", base="net", tax="release")
    _, desk = await begun(agreed, "M1")
    await desk.decided(Decision.FORFEIT, "RT1", "216000.00", "f1", "2024-12-06")
    assert await account(pool, "1110") == "0.00"
    assert await sound(pool)


async def test_what_is_taxed_later_is_forfeited_after_the_rest_was_credited(begun, contract, pool):
    agreed = retaining(contract, "1/10", base="net", tax="release")
    _, desk = await begun(agreed, "M1")
    await desk.credit("C1", M1, "343440.00")
    await desk.decided(Decision.FORFEIT, "RT1", "36000.00", "f1", "2024-12-06")
    assert await account(pool, "1110") == "0.00"
    assert await sound(pool)
