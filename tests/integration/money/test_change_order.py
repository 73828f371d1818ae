"""Change orders on a real PostgreSQL: priced, agreed by both sides, applied on their day, corrected once."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import pytest

from activities.approvals import Approvals
from activities.change_orders import ChangeOrders
from activities.receivables.credits import request_credit
from activities.receivables.receipts import take_in
from contracts.calendar import Period
from contracts.commercial import Authority, HoldEffect, Retention, RetentionStep
from contracts.contract import Contract, MilestoneLine, Tax
from contracts.errors import EngagementError, NotAuthorised, TransitionError
from contracts.fields import Title
from contracts.money import Money, parse_amount
from contracts.setting import Book, ClockKind
from lifecycle.approval import RequestState
from lifecycle.orders import PlaceHoldback
from lifecycle.orders.approvals import RejectRequest, SignRequest
from lifecycle.orders.change_orders import ApplyChange, ProposeChange
from lifecycle.orders.receivables import CreditReason, RequestCredit
from lifecycle.receivables import BankReceipt
from tests.forgery import said
from tests.integration.money import everything
from tollkeeper.bundle import bundle
from tollkeeper.signing import signer_of
from tollkeeper.verify import verify
from tollkeeper.views.change_orders import what_if
from tollkeeper.views.documents import invoice, invoices
from tollkeeper.views.ledger import balances


def cny(amount: str) -> Money:
    return parse_amount(amount, "CNY")


def at(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T10:00:00+08:00")


def read(contract: Contract, **update: Any) -> Contract:
    return Contract.model_validate_json(contract.model_copy(update=update).model_dump_json())


def amended(contract: Contract, day: str = "2024-12-05", **amounts: str) -> Contract:
    """The next version: milestones at other amounts, and their fee at what that comes to."""
    milestones = tuple(
        terms.model_copy(update={"amount": cny(amounts.get(terms.id, str(terms.amount)))})
        for terms in contract.milestones
    )
    more = sum(
        new.amount.minor - old.amount.minor
        for new, old in zip(milestones, contract.milestones, strict=True)
    )
    micro, project, *others = contract.fees
    # The holdback stays what it was: a share of the fee that is lower by as much as the fee is higher.
    held = contract.holdback_amount()
    total = Money(project.amount.minor + more, "CNY")
    rate = Fraction(held.minor, total.minor)
    return read(
        contract,
        version=contract.version + 1,
        effective_on=date.fromisoformat(day),
        fees=(micro, project.model_copy(update={"amount": total}), *others),
        milestones=milestones,
        holdback=contract.holdback.model_copy(update={"rate": rate}),
    )


class Desk:
    """The commands of people about the change orders of one engagement."""

    def __init__(self, story: Any) -> None:
        self.story, self.id, self.pool = story, story.id, story.pool
        self.changes, self.approvals = ChangeOrders(story.pool), Approvals(story.pool)

    def about(self, key: str, day: str, by: str) -> dict[str, Any]:
        return {
            "key": key,
            "engagement_id": self.id,
            "workflow_id": f"eng.{self.id}",
            "at": at(day),
            "by": by,
        }

    async def propose(
        self,
        name: str,
        contract: Contract,
        *,
        retroactive: bool = False,
        by: str = "chen.yu",
        day: str = "2024-12-05",
    ) -> Any:
        return await self.changes.propose_change(
            ProposeChange(
                **self.about(f"eng.{self.id}.request.{name}", day, by),
                change=name,
                contract=contract,
                retroactive=retroactive,
                reason="the scope grew",
            )
        )

    async def sign(self, name: str, by: str, day: str = "2024-12-06") -> Any:
        request = f"eng.{self.id}.request.{name}"
        digest = await self.pool.fetchval(
            "select digest from approval_request where request_id = $1", request
        )
        order = SignRequest(
            **self.about(f"{request}:sign:{by}", day, by), request=request, digest=digest
        )
        return await self.approvals.sign_request(order)

    async def agreed(
        self, name: str, contract: Contract, *, retroactive: bool = False, day: str = "2024-12-06"
    ) -> Any:
        await self.propose(name, contract, retroactive=retroactive, day=day)
        await self.sign(name, "gao.feng", day)
        return await self.sign(name, "sun.hao", day)

    async def applied(self, name: str, day: str) -> Any:
        change = f"eng.{self.id}.change.{name}"
        order = ApplyChange(**self.about(f"{change}:apply", day, change), change=change)
        return await self.changes.apply_change(order)

    async def state(self, name: str) -> str:
        found: str = await self.pool.fetchval(
            "select state from change_order where change_id = $1", f"eng.{self.id}.change.{name}"
        )
        return found

    async def version(self) -> int:
        found: int = await self.pool.fetchval(
            "select contract_version from engagement where engagement_id = $1", self.id
        )
        return found


@pytest.fixture
def contract(key_account: Contract) -> Contract:
    authority = tuple(
        Authority(person=person) for person in ("gao.feng", "li.wei", "sun.hao", "chen.yu")
    )
    approvals = key_account.approvals.model_copy(update={"authority": authority})
    return read(key_account, approvals=approvals)


@pytest.fixture
def desk(story: Any, contract: Contract) -> Callable[..., Any]:
    async def begun(terms: Contract = contract) -> Desk:
        one = story("E1", terms)
        await one.opened()
        await one.consulted()
        await one.proceeded()
        return Desk(one)

    return begun


async def accounts(pool: Any, of: str | None = "E1") -> dict[str, str]:
    return {row.account: str(row.balance) for row in await balances(pool, of)}


async def sound(pool: Any) -> None:
    assert [check for check in (await verify(pool)).checks if not check.ok] == []


async def test_it_is_in_force_when_both_sides_have_signed(desk, pool, contract):
    one = await desk()
    asked = await one.propose("CO1", amended(contract, M2="300000.00"))
    assert asked.missing == ("gao.feng", "li.wei", "sun.hao")
    first = await one.sign("CO1", "gao.feng")
    assert (first.state, await one.version()) == (RequestState.PENDING, 1)
    again = await one.sign("CO1", "li.wei")
    assert (again.state, await one.version()) == (RequestState.PENDING, 1)  # the same side twice
    done = await one.sign("CO1", "sun.hao")
    assert (done.state, done.document) == (RequestState.APPROVED, None)
    assert (await one.version(), await one.state("CO1")) == (2, "applied")
    assert (await accounts(pool))[
        "M10"
    ] == "3860000.00"  # contract and fees: 2 x (1,900,000 + 30,000)
    await one.story.delivered("M2", "2024-12-09")
    (_, billed) = await invoices(pool, "E1")
    assert (str(billed.net), billed.contract) == ("300000.00", f"{contract.id}@v2")
    await sound(pool)


async def test_a_raise_of_a_billed_milestone_is_one_invoice(desk, pool, contract):
    one = await desk()
    await one.story.delivered("M1")
    done = await one.agreed("CO1", amended(contract, M1="360000.10"), retroactive=True)
    delta = await invoice(pool, done.document)
    (line,) = delta.lines
    assert (delta.document, delta.purpose, str(delta.net), str(delta.tax)) == (
        "invoice", "delta", "0.10", "0.01",
    )  # fmt: skip
    assert line.corrects is not None
    assert line.corrects.endswith("000002/1")
    found = await accounts(pool)
    assert found["1100"] == "487600.11"  # (100,000 + 360,000.10) with 6 %: 106,000 + 381,600.11
    assert (found["4000"], found["1200"]) == ("460000.10", "0.00")
    await sound(pool)


async def test_a_cut_of_an_open_invoice_is_one_credit_note(desk, pool, contract):
    one = await desk()
    billed = await one.story.delivered("M1")
    done = await one.agreed("CO1", amended(contract, M1="300000.00"), retroactive=True)
    note = await invoice(pool, done.document)
    assert (note.document, str(note.net), note.corrects) == (
        "credit_note", "60000.00", billed.number,
    )  # fmt: skip
    found = await accounts(pool)
    assert (found["1100"], found.get("2300", "0.00")) == ("424000.00", "0.00")
    assert (found["4000"], found["2400"]) == ("400000.00", "24000.00")
    await sound(pool)


async def test_what_goes_up_and_what_goes_down_is_one_document_of_net_zero(desk, pool, contract):
    one = await desk()
    await one.story.delivered("M1")
    await one.story.delivered("M2")
    changed = amended(contract, M1="370000.00", M2="260000.00")
    done = await one.agreed("CO1", changed, retroactive=True)
    delta = await invoice(pool, done.document)
    assert [str(line.net) for line in delta.lines] == ["10000.00", "-10000.00"]
    assert (delta.document, str(delta.gross)) == ("invoice", "0.00")
    await sound(pool)


async def test_a_credit_note_may_raise_one_invoice_and_cut_another(desk, pool, contract):
    one = await desk()
    await one.story.delivered("M1")
    await one.story.delivered("M2")
    changed = amended(contract, M1="300000.00", M2="280000.00")
    done = await one.agreed("CO1", changed, retroactive=True)
    note = await invoice(pool, done.document)
    assert [str(line.net) for line in note.lines] == ["60000.00", "-10000.00"]
    assert (note.document, str(note.net)) == ("credit_note", "50000.00")
    await sound(pool)


async def test_a_chain_of_change_orders_ends_at_the_last_version(desk, pool, contract):
    one = await desk()
    await one.story.delivered("M1")
    second = amended(contract, M1="400000.07")
    await one.agreed("CO1", second, retroactive=True)
    third = amended(second, M1="350000.03")
    done = await one.agreed("CO2", third, retroactive=True)
    # The latest bill is taken back first: all of the delta invoice, then a part of the first one.
    note = await invoice(pool, done.document)
    assert [str(line.net) for line in note.lines] == ["40000.07", "9999.97"]
    fourth = amended(third, M1="360000.00")
    await one.agreed("CO3", fourth, retroactive=True)
    found = await accounts(pool)
    assert (found["1100"], found["4000"]) == ("487600.00", "460000.00")  # as if nothing had changed
    await sound(pool)


async def test_several_rates_and_prices_with_tax_inside_come_out_to_the_cent(desk, pool, contract):
    fees = tuple(
        contract.fees[0].model_copy(
            update={
                "id": id, "title": Title(en=id), "amount": cny(amount), "tax": tax, "prices": prices,
            }
        )
        for id, amount, tax, prices in [
            ("licences", "100.00", "CN-VAT-13", "gross"), ("travel", "333.33", None, "net"),
        ]
    )  # fmt: skip
    first, *rest = contract.milestones
    more = tuple(
        MilestoneLine(clause="4.1", title=Title(en=fee.id), fee=fee.id, amount=fee.amount)
        for fee in fees
    )
    terms = read(
        contract,
        fees=(*contract.fees, *fees),
        taxes=(Tax(clause="3.4", code="CN-VAT-13", rate=Fraction(13, 100)),),
        milestones=(first.model_copy(update={"more": more}), *rest),
    )
    one = await desk(terms)
    await one.story.delivered("M1")
    dearer = tuple(
        line.model_copy(update={"amount": cny(amount)})
        for line, amount in zip(more, ["133.35", "299.99"], strict=True)
    )
    changed = read(
        amended(terms, M1="360000.10"),
        fees=tuple(
            fee.model_copy(update={"amount": cny({"licences": "133.35", "travel": "299.99"}[fee.id])})
            if fee.id in {"licences", "travel"}
            else fee
            for fee in amended(terms, M1="360000.10").fees
        ),
        milestones=(
            first.model_copy(update={"amount": cny("360000.10"), "more": dearer}), *rest,
        ),
    )  # fmt: skip
    done = await one.agreed("CO1", changed, retroactive=True)
    delta = await invoice(pool, done.document)
    # Licences 133.35 / 1.13 = 118.01 net after 88.50; travel 299.99 after 333.33. Less is positive here.
    assert [str(line.net) for line in delta.lines] == ["-0.10", "-29.51", "33.34"]
    # 13 %: 15.34 after 11.50. 6 % of 360,300.09 is 21,618.01, after 21,620.00.
    assert {tax.code: str(tax.tax) for tax in delta.taxes} == {
        "CN-VAT-6": "1.99",
        "CN-VAT-13": "-3.84",
    }
    await sound(pool)


async def test_without_retroactive_what_is_billed_stays(desk, pool, contract):
    one = await desk()
    await one.story.delivered("M1")
    with pytest.raises(TransitionError, match=r"M1: found 370000.00 of project.*retroactive"):
        await one.propose("CO1", amended(contract, M1="370000.00"))


async def test_what_cannot_change_while_it_runs_is_told_all_at_once(desk, contract):
    one = await desk()
    await one.story.delivered("M1")
    other = contract.tax.model_copy(update={"rate": Fraction(13, 100)})
    changed = read(amended(contract), timezone="Europe/Berlin", tax=other)
    with pytest.raises(TransitionError) as refused:
        await one.propose("CO1", changed)
    assert "timezone" in str(refused.value)
    assert "fee project: found tax CN-VAT-6 of 13/100" in str(refused.value)


async def test_only_one_is_under_way_at_a_time(desk, contract):
    one = await desk()
    await one.propose("CO1", amended(contract, M2="300000.00"))
    with pytest.raises(TransitionError, match=r"change\.CO1: found it waiting for its signatures"):
        await one.propose("CO2", amended(contract, M2="310000.00"))
    request = f"eng.{one.id}.request.CO1"
    await one.approvals.reject_request(
        RejectRequest(
            **one.about(f"{request}:reject", "2024-12-06", "gao.feng"),
            request=request,
            reason="too dear",
        )
    )
    await one.agreed("CO2", amended(contract, M2="310000.00"))
    assert await one.version() == 2


async def test_somebody_else_of_each_side_has_to_be_able_to_sign(desk, contract):
    authority = contract.approvals.authority[:3]
    alone = contract.approvals.model_copy(update={"authority": authority})
    one = await desk(read(contract, approvals=alone))
    words = r"nobody of the consultant with authority for .*, not counting 'sun.hao'"
    with pytest.raises(NotAuthorised, match=words):
        await one.propose("CO1", amended(one.story.contract, M2="300000.00"), by="sun.hao")


async def test_an_agreed_one_waits_for_its_day(desk, pool, contract):
    one = await desk()
    await one.agreed("CO1", amended(contract, "2025-01-06", M2="300000.00"))
    assert (await one.version(), await one.state("CO1")) == (1, "agreed")
    with pytest.raises(TransitionError, match="waiting for 2025-01-06"):
        await one.propose("CO2", amended(contract, M2="310000.00"))
    done = await one.applied("CO1", "2025-01-06")
    assert (done.state, done.contract.version, await one.version()) == ("applied", 2, 2)
    assert await one.applied("CO1", "2025-01-06") == done
    await sound(pool)


async def test_one_that_became_impossible_before_its_day_lapses(desk, pool, contract):
    one = await desk()
    await one.agreed("CO1", amended(contract, "2025-01-06", M2="300000.00"))
    await one.story.delivered("M2", "2024-12-20")
    done = await one.applied("CO1", "2025-01-06")
    assert (done.state, await one.state("CO1"), await one.version()) == ("lapsed", "lapsed", 1)
    why = await pool.fetchval("select refusal from change_order")
    assert "M2: found 300000.00 of project, expected 270000.00 of project, for it is billed" in why
    await one.agreed("CO2", amended(contract, M2="300000.00"), retroactive=True)
    assert await one.version() == 2
    await sound(pool)


async def test_no_more_is_taken_off_than_is_neither_credited_nor_held(desk, pool, contract):
    one = await desk()
    billed = await one.story.delivered("M1")
    credit = f"eng.{one.id}.credit.C1"
    await request_credit(
        pool,
        RequestCredit(
            **one.about(f"eng.{one.id}.request.C1", "2024-12-05", "chen.yu"),
            credit=credit,
            invoice=billed.number,
            amount=cny("106000.00"),
            code=CreditReason.ERROR,
            reason="late",
        ),
    )
    await one.sign("C1", "gao.feng")
    await one.sign("C1", "sun.hao")
    with pytest.raises(TransitionError, match=r"at most the 260000\.00 that is neither"):
        await one.agreed("CO1", amended(contract, M1="60000.00"), retroactive=True)
    await sound(pool)


async def test_fifty_signatures_at_once_apply_it_once(desk, pool, contract):
    one = await desk()
    await one.story.delivered("M1")
    await one.propose("CO1", amended(contract, M1="370000.00"), retroactive=True)
    await one.sign("CO1", "sun.hao", "2024-12-05")

    async def last(by: str) -> bool:
        try:
            await one.sign("CO1", by)
        except EngagementError:
            return False
        return True

    done = await asyncio.gather(*(last(("gao.feng", "li.wei")[n % 2]) for n in range(50)))
    assert any(done)
    deltas = [each for each in await invoices(pool, "E1") if each.purpose == "delta"]
    assert len(deltas) == 1
    await sound(pool)


async def test_what_was_paid_becomes_credit_when_it_is_taken_off(desk, pool, contract):
    one = await desk()
    billed = await one.story.delivered("M1")
    paid = BankReceipt(
        book=Book.SANDBOX,
        seller="QM",
        account="A1",
        reference="R1",
        received_on=date(2024, 12, 4),
        amount=cny("350000.00"),
        payer="Hengda",
        text=billed.number,
        customer="HD",
    )
    await take_in(pool, [paid], "sun.hao", at("2024-12-05"))
    await one.agreed("CO1", amended(contract, M1="300000.00"), retroactive=True)
    found = await accounts(pool, None)
    # 381,600 less 350,000 paid was open; of the 63,600 taken off, 32,000 had been paid.
    assert (found["1100"], found["2300"]) == ("106000.00", "32000.00")
    await sound(pool)


@pytest.mark.parametrize("tax", ["invoice", "release"])
async def test_a_delta_retains_nothing_and_leaves_what_is_retained(desk, pool, contract, tax):
    retention = Retention(
        id="R1",
        clause="7",
        fee="project",
        rate=Fraction(1, 20),
        base="net",
        tax=tax,
        release=(RetentionStep(id="S1", clause="7.1", after=Period(months=12), share=Fraction(1)),),
    )
    terms = read(contract, retention=retention)
    one = await desk(terms)
    await one.story.delivered("M1")
    retained = (await accounts(pool))["1110"]
    second = amended(terms, M1="380000.00")
    raised = await one.agreed("CO1", second, retroactive=True)
    assert str((await invoice(pool, raised.document)).tax) == "1200.00"
    await one.agreed("CO2", amended(second, M1="355000.00"), retroactive=True)
    assert (await accounts(pool))["1110"] == retained
    await sound(pool)
    with pytest.raises(TransitionError, match=r"retention: found it changed"):
        await one.propose("CO3", read(amended(second), version=4, retention=None))
    with pytest.raises(TransitionError, match="expected at most"):
        await one.agreed("CO4", amended(amended(second), M1="0.01"), retroactive=True)


# After the go-live milestone.


def grown(contract: Contract, day: str = "2024-12-06", **amounts: str) -> Contract:
    """The next version, whose holdback is the same share of a fee that is another."""
    changed = amended(contract, day, **amounts)
    micro, project = changed.fees
    rest = sum(terms.amount.minor for terms in changed.milestones)
    total = Money(int(rest / (1 - contract.holdback.rate)), "CNY")
    fees = (micro, project.model_copy(update={"amount": total}))
    return read(changed, fees=fees, holdback=contract.holdback)


@pytest.mark.parametrize("effect", list(HoldEffect))
async def test_the_holdback_may_change_until_every_milestone_is_accepted(
    desk, pool, contract, effect
):
    """Measured since the 2nd, of an amount that was agreed on the 6th: it is placed on the 6th."""
    one = await desk(
        read(contract, holdback=contract.holdback.model_copy(update={"effect": effect}))
    )
    for name in ("M1", "M2", "M4"):
        await one.story.delivered(name, "2024-12-02")
    # M1, billed, 20,000 more; M3, open, 50,000 more; 70 % of 1,900,000 in all, 30 % at stake.
    second = grown(one.story.contract, M1="380000.00", M3="410000.00")
    assert str(second.fees[1].amount) == "1900000.00"
    done = await one.agreed("CO1", second, retroactive=True)
    assert str((await invoice(pool, done.document)).net) == "20000.00"
    await one.story.delivered("M3", "2024-12-20")
    with pytest.raises(TransitionError, match=r"every milestone is accepted, and it is being"):
        await one.propose("CO2", grown(second, M1="390000.00"), day="2024-12-21")
    order = one.story.bet_order(PlaceHoldback, "place", "2024-12-02")
    placed = await one.story.holdbacks.place_holdback(order)
    assert await one.story.holdbacks.place_holdback(order) == placed
    assert str(placed.amount) == "570000.00"
    assert await pool.fetchval("select placed_at from hold") == at("2024-12-06")
    if placed.invoice:
        bill = await invoice(pool, placed.invoice)
        assert (bill.issued_on, bill.contract) == (date(2024, 12, 6), second.reference())
    await one.story.trend_read()
    await one.story.settled("W6")
    await one.story.settled("W12")
    account = await one.story.closed()
    assert (str(account.fee), str(account.fixed)) == ("2000000.00", "1430000.00")
    await sound(pool)


async def test_the_holdback_stays_when_a_window_is_over_before_all_is_accepted(
    desk, pool, contract
):
    one = await desk()
    await one.story.delivered("M4", "2025-01-15")
    second = grown(contract, "2025-07-15", M3="410000.00")
    over = r"for window W6 is over, and what it wins or loses is known; with another rate it stays"
    await one.propose("CO1", second, day="2025-07-15")
    await one.sign("CO1", "gao.feng", "2025-07-15")
    with pytest.raises(TransitionError, match=over):
        await one.sign("CO1", "sun.hao", "2025-07-16")
    await what_if(pool, "E1", second, retroactive=False)
    await pool.execute("update engagement set clock_now = $1", at("2025-07-16"))
    with pytest.raises(TransitionError, match=over):
        await what_if(pool, "E1", second, retroactive=False)
    await sound(pool)


async def test_a_window_that_waited_for_its_readings_is_explained_under_the_version_in_force(
    pool, contract, tmp_path
):
    """W6 ended before the change order and was assessed after it: its bundle was refused."""
    one = everything.Told(pool, contract, "E1", ClockKind.TEST)
    await one.live()
    second = amended(contract, "2025-07-20", M1="380000.00")
    await Desk(one).agreed("CO1", second, retroactive=True, day="2025-07-20")
    released, _ = await one.settled("W6")
    assert released.document
    assert (await invoice(pool, released.document)).contract == second.reference()
    await sound(pool)
    signer = signer_of(tmp_path)
    said(await bundle(pool, "E1", signer), signer.fingerprint)


async def test_what_is_at_stake_is_an_amount_whose_rate_follows_the_fee(desk, pool, contract):
    one = await desk()
    for name in ("M1", "M2", "M3", "M4"):
        await one.story.delivered(name, "2024-12-02")
    await one.story.placed()
    with pytest.raises(TransitionError, match=r"found 548571\.43, expected 540000\.00 on the same"):
        await one.propose("CO1", grown(contract, M1="380000.00"))
    await one.agreed("CO1", amended(contract, M1="380000.00"), retroactive=True)
    await one.story.settled("W6")
    await one.story.settled("W12")
    account = await one.story.closed()
    assert (str(account.fee), str(account.fixed)) == ("1920000.00", "1380000.00")
    await sound(pool)
