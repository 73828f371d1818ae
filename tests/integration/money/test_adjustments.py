"""Caps, advance, service credits and gain share on a real PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import pytest

from activities.agreement import agreement
from activities.approvals import Approvals
from activities.billing.advances import Advances
from activities.billing.caps import authorise
from activities.billing.gain_share import GainShares
from activities.billing.service_credits import ServiceCredits
from activities.postgres import transaction, write_effect
from activities.receivables.receipts import take_in
from contracts.commercial import (
    Advance,
    AutomaticPolicy,
    Ceiling,
    Decision,
    GainBand,
    GainShare,
)
from contracts.commercial import ServiceCredits as ServiceCreditClause
from contracts.contract import Contract
from contracts.errors import CapExceeded, LossBoundExceeded, NotAuthorised, TransitionError
from contracts.fields import Title
from contracts.money import Money
from contracts.setting import Book
from lifecycle.approval import RequestState
from lifecycle.orders import Billed, Done
from lifecycle.orders.adjustments import GrantServiceCredit, IssueAdvance, ReportGainShare
from lifecycle.orders.approvals import (
    AskAgain,
    ExpireRequest,
    RejectRequest,
    Requested,
    SignRequest,
)
from lifecycle.receivables import BankReceipt
from tests.integration.conftest import Story
from tollkeeper.verify import verify
from tollkeeper.views.adjustments import caps, gain_share_reports, service_credits
from tollkeeper.views.documents import DocumentDetail, invoice


def cny(major: int) -> Money:
    return Money(major * 100, "CNY")


CLAUSES = {
    "advance": Advance(
        id="ADV1",
        clause="3.4",
        title=Title(en="Advance on the project fee"),
        fee="project",
        amount=cny(180_000),
        recovered=Fraction(1, 4),
    ),
    "service_credits": ServiceCreditClause(clause="7.2", fee="project", limit=Fraction(1, 50)),
    "gain_share": GainShare(
        id="X1",
        clause="9.1",
        title=Title(en="Gain share"),
        dead_band=cny(100_000),
        bands=(
            GainBand(share=Fraction(1, 10), up_to=cny(1_000_000)),
            GainBand(share=Fraction(1, 5)),
        ),
        pain=Fraction(1, 4),
        cap=cny(150_000),
        floor=cny(50_000),
    ),
}


@pytest.fixture
def agreed(key_account: Contract) -> Contract:
    return key_account.model_copy(update=CLAUSES)


@pytest.fixture
async def one(story: Any, agreed: Contract) -> Story:
    """An engagement that has proceeded."""
    made: Story = story(contract=agreed)
    await made.opened()
    await made.consulted()
    await made.proceeded()
    return made


async def advanced(one: Story, by: str = "sun.hao") -> Billed:
    order = one.order(IssueAdvance, "advance", "2024-10-15")
    return await Advances(one.pool).issue_advance(order.model_copy(update={"by": by}))


async def reported(
    one: Story, period: str, benefit: int, *, request: str = "", day: str = "2025-02-03"
) -> Requested:
    order = one.order(
        ReportGainShare,
        f"gain-{period}{request}",
        day,
        "request",
        period=period,
        benefit=cny(benefit),
        evidence=f"sha256:{period}",
    )
    return await GainShares(one.pool).report_gain_share(order.model_copy(update={"by": "sun.hao"}))


async def granted(one: Story, credit: str, number: str, amount: int) -> Requested:
    order = one.order(
        GrantServiceCredit,
        f"credit-{credit}",
        "2025-02-03",
        "request",
        credit=credit,
        invoice=number,
        amount=cny(amount),
        reason="answered after four hours",
        evidence="ticket-77",
    )
    named = order.model_copy(update={"by": "sun.hao"})
    return await ServiceCredits(one.pool).grant_service_credit(named)


async def signed(one: Story, asked: Requested) -> Requested:
    """By two people with authority, the last of whom carries it out."""
    for person, day in (("li.wei", "2025-02-10"), ("gao.feng", "2025-02-11")):
        order = one.order(
            SignRequest,
            f"{asked.request}:{person}",
            day,
            request=asked.request,
            digest=asked.digest,
        )
        answer = await Approvals(one.pool).sign_request(order.model_copy(update={"by": person}))
    return answer


async def asked_again(one: Story, lapsed: Requested) -> Requested:
    order = one.order(AskAgain, "again", "2025-04-01", "request", request=lapsed.request)
    return await Approvals(one.pool).ask_again(order.model_copy(update={"by": "sun.hao"}))


async def settled(one: Story, period: str, benefit: int, **more: str) -> Requested:
    return await signed(one, await reported(one, period, benefit, **more))


async def paper_of(one: Story, done: Requested) -> DocumentDetail:
    """The document that an approved request issued."""
    assert done.document
    return await invoice(one.pool, done.document)


async def levels(one: Story) -> dict[str, tuple[str, str, str, str]]:
    return {
        cap.level: (str(cap.authorised), str(cap.reserved), str(cap.billed), str(cap.left))
        for cap in await caps(one.pool, one.id)
    }


async def balance(one: Story, account: str) -> int:
    """Of one account of the engagement, debit less credit."""
    found: int = await one.pool.fetchval(
        """
        select coalesce(sum(case p.side when 'D' then p.amount_minor else -p.amount_minor end), 0)::bigint
        from posting p join journal_group g on g.id = p.group_id
        where g.engagement_id = $1 and p.account = $2
        """,
        one.id,
        account,
    )
    return found


async def documents(one: Story) -> int:
    found: int = await one.pool.fetchval("select count(*) from invoice")
    return found


async def is_verified(one: Story) -> bool:
    verification = await verify(one.pool)
    assert [check for check in verification.checks if not check.ok] == []
    return True


async def test_a_contract_is_authorised_when_it_is_opened_and_used_by_each_invoice(one):
    await one.delivered("M1")
    assert await levels(one) == {
        "contract": ("2050000.00", "0.00", "460000.00", "1590000.00"),
        "fee:micro": ("100000.00", "0.00", "100000.00", "0.00"),
        "fee:project": ("1800000.00", "0.00", "360000.00", "1440000.00"),
        "gain_share:X1": ("150000.00", "0.00", "0.00", "150000.00"),
    }
    assert await is_verified(one)


async def test_an_invoice_beyond_a_ceiling_is_refused_before_anything_is_written(story, agreed):
    """c.5-11: names the level; no number is taken."""
    ceiling = Ceiling(clause="3.9", level="project", amount=cny(600_000))
    one = story(contract=agreed.model_copy(update={"ceilings": (ceiling,)}))
    await one.opened()
    await one.consulted()
    await one.proceeded()
    await one.delivered("M1")
    with pytest.raises(
        CapExceeded,
        match=r"level fee:project: found 270000\.00 CNY .* the 240000\.00 that is left of 600000\.00",
    ):
        await one.delivered("M2")
    assert await documents(one) == 2
    assert (await levels(one))["fee:project"] == ("600000.00", "0.00", "360000.00", "240000.00")
    assert await is_verified(one)


@pytest.mark.parametrize(("ceiling", "left"), [(400_000, "40000.00"), (350_000, None)])
async def test_an_amendment_lowers_a_level_as_far_as_it_is_not_used(one, ceiling, left):
    """E28: of 1,800,000.00, 360,000.00 is billed."""
    await one.delivered("M1")
    order = one.order(IssueAdvance, "amendment", "2025-01-10")

    async def amended() -> None:
        async with transaction(one.pool) as connection:
            terms = await agreement(connection, one.id)
            lower = Ceiling(clause="3.9", level="project", amount=cny(ceiling))
            contract = terms.contract.model_copy(update={"ceilings": (lower,)})
            await authorise(connection, order, replace(terms, contract=contract), terms.contract)
            await write_effect(connection, order, order.activity(), "{}", Done())

    if left is None:
        with pytest.raises(CapExceeded, match=r"fee:project: .* the -10000\.00 that is left"):
            await amended()
    else:
        await amended()
        assert (await levels(one))["fee:project"] == ("400000.00", "0.00", "360000.00", left)


async def test_an_advance_is_billed_once_and_deducted_by_the_invoices_of_its_fee(one):
    """E05, E06: it counts against the cap when the invoices that deduct it are issued."""
    billed = await advanced(one)
    assert billed.gross == cny(190_800)  # 180,000 and 6 %
    assert (await levels(one))["fee:project"][2] == "0.00"
    assert await balance(one, "2110") == -18_000_000
    again = one.order(IssueAdvance, "again", "2024-10-16").model_copy(update={"by": "sun.hao"})
    with pytest.raises(TransitionError, match="ADV1"):
        await Advances(one.pool).issue_advance(again)
    await one.delivered("M1")  # deducts a quarter of 360,000
    assert await balance(one, "2110") == -9_000_000
    assert (await levels(one))["fee:project"][2] == "360000.00"
    await one.delivered("M2")
    await one.delivered("M3")
    assert await balance(one, "2110") == 0
    assert (await levels(one))["fee:project"][2] == "990000.00"
    assert await is_verified(one)


async def test_no_advance_before_the_decision_to_proceed(story, agreed):
    """INV-05."""
    one = story(contract=agreed)
    await one.opened()
    with pytest.raises(LossBoundExceeded, match=r"advance ADV1 to be invoiced, expected PROCEED"):
        await advanced(one)


async def test_only_delivery_lead_and_finance_bill_an_advance(one):
    with pytest.raises(NotAuthorised, match=r"'li\.wei', expected .* delivery lead or finance"):
        await advanced(one, "li.wei")


async def test_an_advance_that_no_invoice_would_deduct_is_refused(one):
    """M2 to M4 come to 900,000; a quarter of that is enough, and of 540,000 it is not."""
    await one.delivered("M1")
    await one.delivered("M2")
    await one.delivered("M3")
    with pytest.raises(TransitionError, match=r"found 180000\.00 CNY .* at most the 67500\.00"):
        await advanced(one)


async def test_an_engagement_with_a_rest_of_its_advance_does_not_close(one):
    await advanced(one)
    with pytest.raises(TransitionError, match=r"account 2110 \(Advances\) stands at 180000\.00"):
        await one.closed(shelved=True)


async def test_nothing_new_is_charged_in_an_engagement_that_is_closed(one):
    await one.closed(shelved=True)
    with pytest.raises(TransitionError, match="found it closed on 2026-02-02"):
        await advanced(one)
    with pytest.raises(TransitionError, match="found it closed on 2026-02-02"):
        await reported(one, "2025-Q1", 1_100_000)


async def test_a_benefit_is_billed_once_it_is_approved_and_reserved_until_then(one):
    """E24, E02, E27."""
    asked = await reported(one, "2025-Q1", 1_100_000)
    assert asked.state is RequestState.PENDING
    assert (await levels(one))["gain_share:X1"] == ("150000.00", "110000.00", "0.00", "40000.00")
    assert (await levels(one))["contract"][1] == "110000.00"
    assert await is_verified(one)
    with pytest.raises(TransitionError, match="waiting for approval"):
        await reported(one, "2025-Q2", 1)
    done = await signed(one, asked)
    assert (await levels(one))["gain_share:X1"] == ("150000.00", "0.00", "110000.00", "40000.00")
    paper = await paper_of(one, done)
    assert (paper.net, paper.gross) == (cny(110_000), cny(116_600))
    assert await balance(one, "4030") == -11_000_000
    assert await balance(one, "1200") == 0
    assert await is_verified(one)


async def test_a_report_that_comes_to_nothing_frees_what_it_reserved(one):
    asked = await reported(one, "2025-Q1", 1_100_000)
    no = one.order(RejectRequest, "no", "2025-02-04", request=asked.request, reason="no baseline")
    await Approvals(one.pool).reject_request(no.model_copy(update={"by": "gao.feng"}))
    assert (await levels(one))["gain_share:X1"][1] == "0.00"
    with pytest.raises(TransitionError, match="expected the period to be reported anew"):
        await asked_again(one, asked)
    asked = await reported(one, "2025-Q1", 600_000, request="-2")
    late = one.order(ExpireRequest, "late", "2025-03-31", request=asked.request)
    await Approvals(one.pool).expire_request(late)
    assert (await levels(one))["gain_share:X1"][1] == "0.00"
    assert [row.state.value for row in await gain_share_reports(one.pool, one.id)] == [
        "rejected",
        "expired",
    ]
    assert await documents(one) == 1
    assert await is_verified(one)


async def test_a_lower_benefit_to_date_credits_what_was_billed_before(one):
    """R8: 110,000, then 1,100,000 - 600,000 earns 40,000 to date."""
    first = await settled(one, "2025-Q1", 1_100_000)
    second = await settled(one, "2025-Q2", -600_000)
    paper = await paper_of(one, second)
    assert (paper.document, paper.net, paper.corrects) == (
        "credit_note",
        cny(70_000),
        first.document,
    )
    assert (await levels(one))["gain_share:X1"][2] == "40000.00"
    unchanged = await settled(one, "2025-Q3", 0)
    assert unchanged.document is None
    assert await is_verified(one)


async def test_a_correction_of_a_period_is_trued_up(one):
    await settled(one, "2025-Q1", 1_100_000)
    await settled(one, "2025-Q2", 100_000)  # 130,000 to date
    await settled(one, "2025-Q1", 500_000, request="-corrected", day="2025-02-04")
    last = (await gain_share_reports(one.pool, one.id))[-1]
    assert (last.benefit_to_date, last.fee_to_date, last.amount) == (
        cny(600_000),
        cny(50_000),
        cny(-80_000),
    )
    assert await is_verified(one)


async def test_a_loss_is_credited_on_the_fees_and_billed_there_again_when_it_is_made_good(one):
    """Pain share: never below what the invoices come to; the levels end where they began."""
    await one.delivered("M1")
    before = await levels(one)
    pain = await settled(one, "2025-Q1", -300_000)  # a quarter of 200,000
    paper = await paper_of(one, pain)
    assert (paper.document, paper.net) == ("credit_note", cny(50_000))
    assert (await levels(one))["fee:project"][2] == "310000.00"
    assert (await levels(one))["gain_share:X1"][2] == "0.00"
    await settled(one, "2025-Q2", 10_300_000)  # the cap, from 50,000 below zero
    after = await levels(one)
    assert after["fee:project"] == before["fee:project"]
    assert after["gain_share:X1"] == ("150000.00", "0.00", "150000.00", "0.00")
    assert await is_verified(one)


async def test_a_true_up_goes_back_over_the_latest_documents_first(one):
    """One credit note on two invoices: what the second quarter earned, and part of the first."""
    first = await settled(one, "2025-Q1", 1_000_000)  # 90,000
    second = await settled(one, "2025-Q2", 200_000)  # 130,000 to date
    down = await settled(one, "2025-Q3", -700_000)  # 40,000 to date
    paper = await paper_of(one, down)
    assert paper.net == cny(90_000)
    assert [(line.corrects, line.net) for line in paper.lines] == [
        (f"{second.document}/1", cny(40_000)),
        (f"{first.document}/1", cny(50_000)),
    ]
    assert await is_verified(one)


async def test_of_fifty_reports_at_once_one_is_taken(one):
    """What the others would bill is not reserved beside it."""
    told = await asyncio.gather(
        *(reported(one, f"P{n}", 1_100_000) for n in range(50)), return_exceptions=True
    )
    assert sum(isinstance(each, Requested) for each in told) == 1
    assert {type(each) for each in told} == {Requested, TransitionError}
    assert (await levels(one))["gain_share:X1"][1] == "110000.00"
    assert await is_verified(one)


async def test_a_loss_beyond_what_is_invoiced_is_refused(story, agreed):
    """c.5-8: a credit note never exceeds its invoices."""
    one = story(contract=agreed)
    await one.opened()
    await one.proceeded()
    with pytest.raises(TransitionError, match=r"found 50000\.00 CNY to credit, expected at most"):
        await reported(one, "2025-Q1", -300_000)


async def test_a_policy_of_the_contract_settles_a_benefit_at_once(story, agreed):
    policy = AutomaticPolicy(id="AP9", clause="8.9", decisions=(Decision.GAIN_SHARE,), of="X1")
    approvals = agreed.approvals.model_copy(update={"automatic": (policy,)})
    one = story(contract=agreed.model_copy(update={"approvals": approvals}))
    await one.opened()
    await one.consulted()
    await one.proceeded()
    done = await reported(one, "2025-Q1", 1_100_000)
    assert (done.state, done.decided_by) == (RequestState.APPROVED, "policy:AP9")
    assert (await levels(one))["gain_share:X1"] == ("150000.00", "0.00", "110000.00", "40000.00")
    assert await is_verified(one)


async def test_a_service_credit_is_a_credit_note_within_the_limit(one):
    """E25: 2 % of 1,800,000."""
    billed = await one.delivered("M1")
    done = await signed(one, await granted(one, "SC1", billed.number, 30_000))
    paper = await paper_of(one, done)
    assert (paper.document, paper.net, paper.gross) == ("credit_note", cny(30_000), cny(31_800))
    assert paper.corrects == billed.number
    assert (await levels(one))["fee:project"][2] == "330000.00"
    lapsed = await granted(one, "SC2", billed.number, 5_000)
    late = one.order(ExpireRequest, "late", "2025-03-31", request=lapsed.request)
    await Approvals(one.pool).expire_request(late)
    await asked_again(one, lapsed)
    with pytest.raises(TransitionError, match=r"found 2000\.00 CNY, .* at most 1000\.00, .* 7\.2"):
        await granted(one, "SC3", billed.number, 2_000)
    assert [(row.id, row.state.value) for row in await service_credits(one.pool, one.id)] == [
        ("SC1", "approved"),
        ("SC2", "expired"),
        ("SC2", "pending"),
    ]
    assert await is_verified(one)


async def test_a_service_credit_on_a_paid_invoice_is_the_customers_credit(one):
    """E25: of 31,800 gross, 1,600 is still open."""
    billed = await one.delivered("M1")
    receipt = BankReceipt(
        book=Book.SANDBOX,
        seller="QM",
        account="CN62",
        reference="B1",
        received_on=date(2025, 1, 2),
        amount=cny(380_000),  # of 381,600
        customer="HD",
        text=f"payment of {billed.number}",
    )
    await take_in(one.pool, (receipt,), "clerk", datetime(2025, 1, 2, tzinfo=UTC))
    await signed(one, await granted(one, "SC1", billed.number, 30_000))
    posted = await one.pool.fetch(
        """
        select account, side, amount_minor from posting p join journal_group g on g.id = p.group_id
        where g.code = 'E25' order by account
        """
    )
    assert [tuple(row) for row in posted] == [
        ("1100", "C", 160_000),
        ("2300", "C", 3_020_000),
        ("2400", "D", 180_000),
        ("4090", "D", 3_000_000),
    ]
    assert await is_verified(one)


async def test_a_service_credit_is_on_the_fee_that_its_clause_is_about(one):
    micro = "TEST-QM-INV-2024-000001"
    with pytest.raises(TransitionError, match="found no line of fee project"):
        await granted(one, "SC1", micro, 1)


DAMAGES = [
    (
        "caps-kept",
        "update posting set amount_minor = 1 where account in ('M10', 'M19')",
        "E1: found contract reserved and billed 570000.00, expected at most 0.01",
    ),
    (
        "caps-authorised",
        "update posting set amount_minor = 1 where account in ('M10', 'M19')",
        "E1: found fee:project authorised 0.01, expected 1800000.00",
    ),
    (
        "caps-billed",
        "update posting set amount_minor = 1 where account in ('M30', 'M39')",
        "E1: found fee:micro billed 0.01, expected 100000.00",
    ),
    (
        "caps-reserved",
        "update approval_request set state = 'rejected', decided_at = now() where state = 'pending'",
        "E1: found gain_share:X1 reserved 30000.00, expected 0.00",
    ),
    (
        "gain-share-true-ups",
        "update gain_share set amount_minor = amount_minor + 1",
        "E1: found true-ups of together 110000.01, expected 110000.00",
    ),
    (
        "service-credits-within-limit",
        "update approval_request set amount_minor = 3600001 where decision = 'service_credit'",
        "E1: found 36000.01 granted, expected at most 36000.00",
    ),
]


@pytest.mark.parametrize(("check", "damage", "found"), DAMAGES)
async def test_damage_to_what_is_authorised_or_charged_is_found(one, check, damage, found):
    billed = await one.delivered("M1")
    await signed(one, await granted(one, "SC1", billed.number, 30_000))
    await settled(one, "2025-Q1", 1_100_000)
    await reported(one, "2025-Q2", 150_000)
    assert await is_verified(one)
    for table in ("posting", "gain_share"):
        await one.pool.execute(f"alter table {table} disable trigger all")
    await one.pool.execute(damage)
    violations = {each.id: each.violations for each in (await verify(one.pool)).checks}
    assert found in violations[check]
