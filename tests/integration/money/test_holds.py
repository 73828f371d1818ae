"""Holds by people: placed, approved, released, forfeited, cured, disputed, defaulted, on three effects."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import pytest

from activities.approvals import Approvals
from activities.holds.by_people import Holds
from contracts.calendar import Period
from contracts.commercial import (
    Advance,
    Authority,
    AutomaticPolicy,
    Decision,
    HoldClocks,
    HoldEffect,
    HoldKind,
    MissHold,
    Retention,
    RetentionStep,
)
from contracts.commercial import (
    Approvals as ApprovalTerms,
)
from contracts.contract import Contract
from contracts.errors import KeyReused, NotAuthorised, TermsError, TransitionError
from contracts.fields import Title
from contracts.money import Money, parse_amount
from contracts.setting import ClockKind
from lifecycle.approval import RequestState
from lifecycle.hold import HoldState
from lifecycle.orders.approvals import (
    AskAgain,
    ExpireRequest,
    RejectRequest,
    SignRequest,
    WithdrawRequest,
)
from lifecycle.orders.holds import (
    CloseHoldDispute,
    DecideHold,
    DisputeHold,
    EndHoldClock,
    ExtendHold,
    LookAtHold,
    PlaceHold,
    ServeCureNotice,
)
from tests.forgery import said
from tests.integration.conftest import Story
from tests.integration.money import everything
from tests.integration.money.house import House
from tollkeeper.bundle import bundle
from tollkeeper.signing import signer_of
from tollkeeper.verify import verify
from tollkeeper.views.approvals import approval, approvals
from tollkeeper.views.documents import invoices
from tollkeeper.views.holds import holds
from tollkeeper.views.ledger import balances

NET = "360000.00"
CLOCKS = HoldClocks(clause="8.3", review=20, cure=10, decision=5, default="escalate", extensions=1)


def cny(text: str) -> Money:
    return parse_amount(text, "CNY")


def at(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T10:00:00+08:00")


def end_of(day: str) -> datetime:
    return at(day) + timedelta(hours=13, minutes=59, seconds=59)


class Desk:
    """The commands of people about the holds of one engagement."""

    def __init__(self, story: Any) -> None:
        self.story = story
        self.id = story.id
        self.holds, self.approvals = Holds(story.pool), Approvals(story.pool)

    def about(self, key: str, day: str, by: str) -> dict[str, Any]:
        return {
            "key": key,
            "engagement_id": self.id,
            "workflow_id": f"eng.{self.id}",
            "at": at(day),
            "by": by,
        }

    def request(self, name: str) -> str:
        return f"eng.{self.id}.request.{name}"

    def hold(self, name: str) -> str:
        return f"eng.{self.id}.hold.{name}"

    async def place(self, name: str, amount: str, day: str = "2024-12-05", **on: Any) -> Any:
        effect = on.pop("effect", HoldEffect.BLOCK_INVOICING)
        return await self.holds.place_hold(
            PlaceHold(
                **self.about(
                    self.request(on.pop("request", f"place-{name}")), day, on.pop("by", "sun.hao")
                ),
                hold=name,
                kind=HoldKind.ADMIN_BLOCK,
                effect=effect,
                amount=cny(amount),
                reason="scope is disputed",
                **on,
            )
        )

    async def decide(
        self,
        decision: Literal[Decision.RELEASE, Decision.FORFEIT],
        hold: str,
        amount: str,
        name: str,
        day: str = "2024-12-06",
        by: str = "sun.hao",
    ) -> Any:
        return await self.holds.decide_hold(
            DecideHold(
                **self.about(self.request(name), day, by),
                hold=self.hold(hold),
                decision=decision,
                amount=cny(amount),
                reason="agreed",
            )
        )

    async def sign(
        self, name: str, by: str, day: str = "2024-12-06", digest: str | None = None
    ) -> Any:
        request = self.request(name)
        stored = await self.story.pool.fetchval(
            "select digest from approval_request where request_id = $1", request
        )
        return await self.approvals.sign_request(
            SignRequest(
                **self.about(f"{request}:sign:{by}", day, by),
                request=request,
                digest=digest or stored,
            )
        )

    async def signed_by_two(self, name: str, day: str = "2024-12-06") -> Any:
        await self.sign(name, "gao.feng", day)
        return await self.sign(name, "li.wei", day)

    async def look(self, name: str) -> Any:
        about = self.about(f"{self.hold(name)}:look", "2024-12-06", self.id)
        return await self.holds.look_at_hold(LookAtHold(**about, hold=self.hold(name)))

    async def clock_ended(self, name: str) -> Any:
        seen = await self.look(name)
        about = self.about(
            f"{self.hold(name)}:clock:{seen.due_at.isoformat()}", "2024-12-06", self.id
        )
        about["at"] = seen.due_at
        return await self.holds.end_hold_clock(
            EndHoldClock(**about, hold=self.hold(name), due_at=seen.due_at)
        )


@pytest.fixture
def contract(key_account: Contract) -> Contract:
    approvals = ApprovalTerms(
        clause="8.1",
        needed=2,
        expire_after=10,
        authority=(
            Authority(person="gao.feng"),
            Authority(person="li.wei", up_to=cny("500000.00")),
            Authority(person="sun.hao", up_to=cny("500000.00")),
            Authority(person="chen.yu", up_to=cny("1000.00")),
        ),
    )
    return key_account.model_copy(update={"approvals": approvals, "hold_clocks": CLOCKS})


@pytest.fixture
async def desk(story: Any, contract: Contract) -> Desk:
    one = story("E1", contract)
    await one.opened()
    await one.consulted()
    await one.proceeded()
    return Desk(one)


async def held(pool: Any, name: str) -> Any:
    (found,) = [hold for hold in await holds(pool) if hold.id.endswith(f".hold.{name}")]
    return found


async def account(pool: Any, code: str) -> str:
    found = {balance.account: balance.balance for balance in await balances(pool)}
    return str(found[code]) if code in found else "0.00"


async def sound(pool: Any) -> bool:
    broken = [check for check in (await verify(pool)).checks if not check.ok]
    assert broken == []
    return True


async def test_a_hold_by_a_person_waits_for_two_others(desk, pool):
    asked = await desk.place("H1", "100000.00", milestone="M1")
    assert (asked.state, asked.signed, asked.missing) == (
        RequestState.PENDING,
        (),
        ("gao.feng", "li.wei"),
    )
    assert await holds(pool) == []
    await desk.sign("place-H1", "gao.feng")
    assert await holds(pool) == []
    done = await desk.sign("place-H1", "li.wei")
    assert (done.state, done.decided_by) == (RequestState.APPROVED, "gao.feng, li.wei")
    hold = await held(pool, "H1")
    assert (str(hold.placed), str(hold.held), hold.state) == (
        "100000.00",
        "100000.00",
        HoldState.ACTIVE,
    )
    assert await account(pool, "M40") == "100000.00"


async def test_a_blocked_milestone_is_invoiced_when_the_hold_is_released(desk, pool):
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1")
    blocked = await desk.story.delivered("M1")
    assert (blocked.number, blocked.blocked_by) == (None, (desk.hold("H1"),))
    await desk.decide(Decision.RELEASE, "H1", "100000.00", "R1")
    await desk.signed_by_two("R1")
    billed = await desk.story.billing.bill_milestone(desk.story.milestone("M1"))
    assert str(billed.gross) == "381600.00"
    assert await account(pool, "M40") == "0.00"
    assert await sound(pool)


async def test_a_forfeited_part_of_a_blocked_milestone_is_never_invoiced(desk, pool):
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1")
    await desk.story.delivered("M1")
    await desk.decide(Decision.FORFEIT, "H1", "60000.00", "F1")
    await desk.signed_by_two("F1")
    assert await account(pool, "4090") == "60000.00"
    assert (await desk.story.billing.bill_milestone(desk.story.milestone("M1"))).blocked_by
    await desk.decide(Decision.RELEASE, "H1", "40000.00", "R1")
    await desk.signed_by_two("R1")
    billed = await desk.story.billing.bill_milestone(desk.story.milestone("M1"))
    assert str(billed.gross) == "318000.00"
    assert await account(pool, "1200") == "0.00"
    assert await sound(pool)


async def test_payment_of_an_issued_line_is_withheld_then_part_released_part_forfeited(desk, pool):
    billed = await desk.story.delivered("M1")
    line = f"{billed.number}/1"
    await desk.place("H1", "120000.01", effect=HoldEffect.WITHHOLD_PAYMENT, line=line)
    await desk.signed_by_two("place-H1")
    assert await account(pool, "1120") == "127200.01"
    await desk.decide(Decision.RELEASE, "H1", "33333.33", "R1")
    await desk.signed_by_two("R1")
    await desk.decide(Decision.FORFEIT, "H1", "86666.68", "F1")
    done = await desk.signed_by_two("F1")
    assert await account(pool, "1120") == "0.00"
    note = [document for document in await invoices(pool) if document.number == done.document]
    assert str(note[0].net) == "86666.68"
    assert (await held(pool, "H1")).state is HoldState.SETTLED
    assert await sound(pool)


async def test_a_reserved_refund_is_clawed_back_from_what_is_open(desk, pool):
    billed = await desk.story.delivered("M1")
    line = f"{billed.number}/1"
    await desk.place("H1", "50000.00", effect=HoldEffect.RESERVE_REFUND, line=line)
    await desk.signed_by_two("place-H1")
    assert await account(pool, "2200") == "50000.00"
    await desk.decide(Decision.FORFEIT, "H1", "20000.00", "F1")
    await desk.signed_by_two("F1")
    assert await account(pool, "2200") == "30000.00"
    assert await account(pool, "1100") == "466400.00"
    await desk.decide(Decision.RELEASE, "H1", "30000.00", "R1")
    await desk.signed_by_two("R1")
    assert await account(pool, "2200") == "0.00"
    # The fee was earned all the same: what is given back of it does not keep the account open.
    assert await pool.fetchval("select fixed_minor from fixed_fee") == 460_000_00
    assert await sound(pool)


async def test_what_is_asked_for_is_reserved_until_it_is_decided(desk, pool):
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1")
    await desk.decide(Decision.RELEASE, "H1", "70000.00", "R1")
    with pytest.raises(
        TransitionError, match=r"at most 30000.00 of 100000.00 still held \(70000.00"
    ):
        await desk.decide(Decision.FORFEIT, "H1", "30000.01", "F1")
    about = desk.about(f"{desk.request('R1')}:reject", "2024-12-07", "gao.feng")
    await desk.approvals.reject_request(
        RejectRequest(**about, request=desk.request("R1"), reason="too early")
    )
    await desk.decide(Decision.FORFEIT, "H1", "100000.00", "F2")
    with pytest.raises(TransitionError, match=r"at most 0\.00"):
        await desk.approvals.ask_again(
            AskAgain(
                **desk.about(desk.request("R2"), "2024-12-08", "sun.hao"),
                request=desk.request("R1"),
            )
        )


async def test_an_approval_is_of_the_payload_that_was_looked_at(desk):
    await desk.place("H1", "100000.00", milestone="M1")
    with pytest.raises(TransitionError, match="found an approval of payload 0000"):
        await desk.sign("place-H1", "gao.feng", digest="0" * 64)


async def test_nobody_approves_twice_or_their_own_or_beyond_their_authority(desk):
    await desk.place("H1", "100000.00", milestone="M1")
    with pytest.raises(NotAuthorised, match="who asked for it"):
        await desk.sign("place-H1", "sun.hao")
    with pytest.raises(NotAuthorised, match="expected one with that authority"):
        await desk.sign("place-H1", "chen.yu")
    first = await desk.sign("place-H1", "gao.feng")
    assert await desk.sign("place-H1", "gao.feng") == first


async def test_a_request_that_nobody_decides_expires_and_frees_what_it_reserved(desk, pool):
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1")
    await desk.decide(Decision.RELEASE, "H1", "100000.00", "R1", "2024-12-06")
    with pytest.raises(TransitionError, match="was open until 2024-12-20"):
        await desk.sign("R1", "gao.feng", "2024-12-23")
    about = desk.about(f"{desk.request('R1')}:expire", "2024-12-23", "clock")
    await desk.approvals.expire_request(ExpireRequest(**about, request=desk.request("R1")))
    assert str((await held(pool, "H1")).reserved) == "0.00"
    with pytest.raises(TransitionError, match="found it expired"):
        await desk.sign("R1", "li.wei", "2024-12-24")


async def test_only_who_asked_takes_a_request_back(desk):
    await desk.place("H1", "100000.00", milestone="M1")
    request = desk.request("place-H1")
    for person in ("gao.feng", "sun.hao"):
        about = desk.about(f"{request}:withdraw:{person}", "2024-12-06", person)
        order = WithdrawRequest(**about, request=request)
        if person == "gao.feng":
            with pytest.raises(TransitionError, match="who asked for it"):
                await desk.approvals.withdraw_request(order)
        else:
            assert (await desk.approvals.withdraw_request(order)).state is RequestState.SUPERSEDED


async def test_a_cure_clock_runs_in_working_days_then_the_decision_is_due_then_it_escalates(
    desk, pool
):
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1", "2024-12-06")
    about = desk.about(f"{desk.hold('H1')}:cure-notice", "2024-12-09", "wang.fang")
    cured = await desk.holds.serve_cure_notice(
        ServeCureNotice(**about, hold=desk.hold("H1"), proof="courier 7")
    )
    assert (cured.state, cured.due_at.date().isoformat()) == (HoldState.CURING, "2024-12-23")
    due = await desk.clock_ended("H1")
    assert (due.state, due.due_at.date().isoformat()) == (HoldState.DECISION_DUE, "2024-12-30")
    late = await desk.clock_ended("H1")
    assert (late.state, late.due_at) == (HoldState.DECISION_DUE, None)
    assert str((await held(pool, "H1")).held) == "100000.00"


async def test_a_dispute_stops_the_clock_and_gives_back_the_working_days_that_were_left(desk):
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1", "2024-12-06")
    assert (await desk.look("H1")).due_at.date().isoformat() == "2025-01-06"
    about = desk.about(f"{desk.hold('H1')}:dispute:D1", "2024-12-16", "li.wei")
    await desk.holds.dispute_hold(DisputeHold(**about, hold=desk.hold("H1"), reason="no basis"))
    assert (await desk.look("H1")).disputed
    about = desk.about(f"{desk.hold('H1')}:dispute:D1:close", "2025-02-05", "li.wei")
    closed = await desk.holds.close_hold_dispute(
        CloseHoldDispute(**about, hold=desk.hold("H1"), ruling="basis found")
    )
    # Fourteen working days were left on 16 December; 5 February 2025 is the first after new year.
    assert closed.due_at.date().isoformat() == "2025-02-24"


@pytest.fixture
async def silent(story, contract):
    """A hold of 100,000.00 that is to be decided; silence forfeits it."""
    clocks = CLOCKS.model_copy(update={"default": "forfeit"})
    one = story("E1", contract.model_copy(update={"hold_clocks": clocks}))
    await one.opened()
    await one.consulted()
    await one.proceeded()
    desk = Desk(one)
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1")
    await desk.clock_ended("H1")
    return desk


async def test_silence_decides_as_the_clause_says(silent, pool):
    desk = silent
    settled = await desk.clock_ended("H1")
    assert settled.state is HoldState.SETTLED
    row = await pool.fetchrow("select * from decision_record")
    assert (row["decided_by"], row["decision"], row["amount_minor"]) == (
        "clause:8.3",
        "forfeited",
        10_000_000,
    )


async def test_silence_decides_what_nobody_asked_for_and_leaves_the_rest_to_those_who_were_asked(
    silent, pool
):
    """Its clock stood in the past, and its process would have asked for that for ever."""
    await silent.decide(Decision.RELEASE, "H1", "40000.00", "R1", day="2025-01-07")
    decided = await silent.clock_ended("H1")
    assert (decided.state, decided.due_at) == (HoldState.DECISION_DUE, None)
    left = await held(pool, "H1")
    assert (str(left.forfeited), str(left.reserved)) == ("60000.00", "40000.00")
    await silent.signed_by_two("R1", "2025-01-20")
    assert (await held(pool, "H1")).state is HoldState.SETTLED
    assert await sound(pool)


async def test_two_disputes_of_one_kind_at_one_instant_are_two_events(desk, pool):
    """The second was taken for the first, and the timeline lacked it."""
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1", "2024-12-06")
    for number in ("D1", "D2"):
        about = desk.about(f"{desk.hold('H1')}:dispute:{number}", "2024-12-16", "li.wei")
        dispute = DisputeHold(**about, hold=desk.hold("H1"), reason="no basis")
        await desk.holds.dispute_hold(dispute)
        about = desk.about(f"{desk.hold('H1')}:dispute:{number}:close", "2024-12-16", "li.wei")
        close = CloseHoldDispute(**about, hold=desk.hold("H1"), ruling="basis found")
        await desk.holds.close_hold_dispute(close)
    told = await pool.fetch("select type from event where type like 'hold.dispute%' order by id")
    assert [row["type"] for row in told] == ["hold.disputed", "hold.dispute_closed"] * 2


async def test_more_time_is_given_as_often_as_the_clause_allows(desk):
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1")
    await desk.clock_ended("H1")
    about = desk.about(desk.request("X1"), "2025-01-07", "sun.hao")
    await desk.holds.extend_hold(ExtendHold(**about, hold=desk.hold("H1"), reason="audit"))
    await desk.signed_by_two("X1", "2025-01-08")
    assert (await desk.look("H1")).state is HoldState.ACTIVE
    await desk.clock_ended("H1")
    about = desk.about(desk.request("X2"), "2025-02-20", "sun.hao")
    with pytest.raises(TransitionError, match="found it extended 1 times, expected at most 1"):
        await desk.holds.extend_hold(ExtendHold(**about, hold=desk.hold("H1"), reason="audit"))


@pytest.mark.parametrize(
    ("on", "error", "message"),
    [
        ({"milestone": "M1", "line": "X/1"}, TermsError, "blocks invoicing is on a milestone"),
        (
            {"effect": HoldEffect.WITHHOLD_PAYMENT, "milestone": "M1"},
            TermsError,
            "is on an invoice line",
        ),
        ({"milestone": "M1", "amount": "360000.01"}, TransitionError, "at most 360000.00"),
        ({"milestone": "M1", "by": "nobody"}, NotAuthorised, "found 'nobody'"),
    ],
)
async def test_a_hold_that_fits_nothing_is_refused(desk, pool, on, error, message):
    with pytest.raises(error, match=message):
        await desk.place("H1", on.pop("amount", "1.00"), **on)
    assert await pool.fetchval("select count(*) from approval_request") == 0


async def test_fifty_requests_at_once_never_reserve_more_than_is_held(desk, pool):
    await desk.place("H1", "100000.00", milestone="M1")
    await desk.signed_by_two("place-H1")
    asked = await asyncio.gather(
        *(desk.decide(Decision.RELEASE, "H1", "9000.00", f"R{i}") for i in range(50)),
        return_exceptions=True,
    )
    refused = [answer for answer in asked if isinstance(answer, BaseException)]
    assert all(isinstance(error, TransitionError) for error in refused)
    assert (len(asked) - len(refused), str((await held(pool, "H1")).reserved)) == (11, "99000.00")


async def test_people_do_not_decide_what_a_bet_decides_nor_take_the_names_of_the_contract(
    desk, pool
):
    await desk.story.delivered("M1")
    await desk.story.placed()
    with pytest.raises(TransitionError, match="is decided by the verdicts of bet B1"):
        await desk.decide(Decision.RELEASE, "HB1", "1.00", "R1")
    with pytest.raises(TransitionError, match="which the contract's own decisions use"):
        await desk.place("HB1-W6-release", "1.00", milestone="M2", request="HB1-W6-release")
    with pytest.raises(TransitionError, match="to be placed by the contract"):
        await desk.place("HB1", "1.00", milestone="M2")


async def test_two_requests_of_one_id_are_refused_in_words(desk):
    await desk.place("H1", "100.00", milestone="M1", request="Q1")
    with pytest.raises(KeyReused):
        await desk.place("H2", "100.00", milestone="M1", request="Q1")


def retaining(pool: Any, contract: Contract, **steps: tuple[str, str]) -> Story:
    """An engagement that retains 5 % of each invoice, with the span and share of each step."""
    retention = Retention(
        id="RT1",
        clause="7.1",
        fee="project",
        rate=Fraction(5, 100),
        base="gross",
        tax="invoice",
        limit=Fraction(1, 20),
        release=tuple(
            RetentionStep(id=id, clause="7.2", after=Period.parse(after), share=Fraction(share))
            for id, (after, share) in steps.items()
        ),
    )
    terms = contract.model_copy(update={"retention": retention})
    return everything.Told(pool, terms, "E1", ClockKind.TEST)


async def test_a_step_of_retention_needs_no_working_days_of_a_year_that_has_none_yet(
    pool, contract
):
    """The clause decides: nobody has days to sign it, so none are counted."""
    one = retaining(pool, contract, R3Y=("P3Y", "1"))
    await one.live()
    released = await Desk(one).clock_ended("RT1")
    assert released.state is HoldState.SETTLED
    decided = await approval(pool, "E1", "R3Y")
    assert (decided.decided_by, decided.needed) == ("clause:7.2", 0)
    assert decided.expires_at == decided.requested_at == end_of("2028-01-15")
    assert await sound(pool)


async def test_a_clock_that_ended_while_all_was_reserved_ends_when_that_is_free_again(
    pool, contract
):
    """The answer was kept, though nothing was done: the step could not be due any more."""
    one = retaining(pool, contract, R1Y=("P1Y", "1"))
    await one.live()
    desk = Desk(one)
    held_back = await held(pool, "RT1")
    due_at = (await desk.look("RT1")).due_at
    await desk.decide(Decision.FORFEIT, "RT1", str(held_back.held), "F1")
    about = desk.about(f"{desk.hold('RT1')}:clock", "2024-12-06", desk.id) | {"at": due_at}
    order = EndHoldClock(**about, hold=desk.hold("RT1"), due_at=due_at)
    assert (await desk.holds.end_hold_clock(order)).early
    no = desk.about(f"{desk.request('F1')}:reject", "2024-12-07", "gao.feng")
    await desk.approvals.reject_request(
        RejectRequest(**no, request=desk.request("F1"), reason="it is due")
    )
    ended = await desk.holds.end_hold_clock(order)
    assert (ended.state, ended.early) == (HoldState.SETTLED, False)
    assert await sound(pool)


async def test_a_step_of_retention_that_people_released_before_is_passed_over(pool, contract):
    """It was refused for good as a release of less than nothing, and no later step ever came."""
    one = retaining(pool, contract, R3M=("P3M", "1/3"), R9M=("P9M", "2/3"))
    await one.live()
    desk = Desk(one)
    await desk.decide(Decision.RELEASE, "RT1", "25000.00", "R1", day="2025-01-20")
    await desk.signed_by_two("R1", day="2025-01-20")
    assert (await desk.look("RT1")).due_at == end_of("2025-10-15")
    assert (await desk.clock_ended("RT1")).state is HoldState.SETTLED
    assert await sound(pool)


async def test_what_is_retained_after_all_was_released_can_be_decided_again(pool, contract):
    """c.5-5: it was held by a hold that was settled, and could not be decided any more."""
    one = retaining(pool, contract, R3M=("P3M", "1"))
    await one.opened()
    await one.consulted()
    await one.proceeded()
    await one.delivered("M1")
    desk = Desk(one)
    await desk.decide(Decision.RELEASE, "RT1", "18000.00", "R1")
    await desk.signed_by_two("R1")
    assert (await held(pool, "RT1")).state is HoldState.SETTLED
    await one.delivered("M2", "2024-12-12")
    assert (await held(pool, "RT1")).state is HoldState.ACTIVE
    assert await sound(pool)
    await desk.decide(Decision.RELEASE, "RT1", "13500.00", "R2", day="2024-12-13")
    await desk.signed_by_two("R2", day="2024-12-13")
    assert (await held(pool, "RT1")).state is HoldState.SETTLED


async def test_what_is_retained_after_the_last_step_is_released_by_it_as_soon(
    pool, contract, tmp_path
):
    """Nobody was to decide about it, and no step was to come."""
    one = retaining(pool, contract, R3M=("P3M", "1/2"), R6M=("P6M", "1/2"))
    desk, blocked = Desk(one), ("M1", "M2", "M3")
    await one.opened()
    await one.consulted()
    await one.proceeded()
    with pytest.raises(TransitionError, match="which the contract's own decisions use"):
        await desk.place("H9", "1.00", milestone="M4", request="R6M-M4")
    for name in blocked:
        amount = str(one.contract.milestone(name).amount)
        await desk.place(f"H-{name}", amount, milestone=name)
        await desk.signed_by_two(f"place-H-{name}")
    for milestone in one.contract.milestones:
        await one.delivered(milestone.id, "2025-01-15" if milestone.go_live else "2024-12-06")
    await one.placed()
    await desk.clock_ended("RT1")

    async def billed(name: str, day: str) -> Any:
        amount = str(one.contract.milestone(name).amount)
        await desk.decide(Decision.RELEASE, f"H-{name}", amount, f"free-{name}", day)
        await desk.signed_by_two(f"free-{name}", day)
        await one.billing.bill_milestone(
            one.milestone(name, "2024-12-06").model_copy(update={"at": at(day)})
        )
        return (await desk.look("RT1")).due_at

    # Between the steps it waits for the next one; after the last it waits no longer, each time.
    assert await billed("M1", "2025-05-12") == end_of("2025-07-15")
    await desk.clock_ended("RT1")
    for name in ("M2", "M3"):
        assert await billed(name, "2025-08-18") == at("2025-08-18")
        assert (await desk.clock_ended("RT1")).state is HoldState.SETTLED
    asked = [each.id for each in await approvals(pool, "E1") if each.decided_by == "clause:7.2"]
    assert asked == [desk.request(step) for step in ("R3M", "R6M", "R6M-M2", "R6M-M3")]
    assert await sound(pool)
    signer = signer_of(tmp_path)
    said(await bundle(pool, "E1", signer), signer.fingerprint)


async def test_a_reading_is_taken_after_the_release_of_a_cured_hold_was_turned_down(pool, contract):
    """Measured anew on the day that was asked about already, it was refused."""
    clause = MissHold(
        id="MH1",
        clause="7.5",
        indicator="ka-dso-days",
        limit=Decimal(100),
        missed="above",
        effect="block_invoicing",
        milestone="M3",
        share=Fraction(1, 7),
    )
    terms = contract.model_copy(update={"miss_holds": (clause,)})
    one = everything.Told(pool, terms, "E1", ClockKind.TEST)
    await one.opened()
    await one.consulted()
    await one.proceeded()
    desk = Desk(one)
    await one.measured("ka-dso-days", "101.5", "2024-12-02")
    notice = desk.about(f"{desk.hold('MH1')}:notice", "2024-12-03", "sun.hao")
    await desk.holds.serve_cure_notice(
        ServeCureNotice(**notice, hold=desk.hold("MH1"), proof="letter.pdf")
    )
    await one.measured("ka-dso-days", "99", "2024-12-04")
    asked = desk.request("MH1-cured-2024-12-04")
    no = desk.about(f"{asked}:reject", "2024-12-05", "gao.feng")
    await desk.approvals.reject_request(RejectRequest(**no, request=asked, reason="not yet"))
    await one.measured("ka-dso-days", "98.5", "2024-12-04", command="corrected")
    assert await pool.fetchval("select count(*) from reading") == 3
    assert str((await held(pool, "MH1")).reserved) == "0.00"


@pytest.mark.parametrize("elsewhere", ["disputed", "written off"])
async def test_a_claim_back_gives_no_credit_for_what_was_never_paid(desk, pool, elsewhere):
    """E18: the customer had credit for an invoice of which nothing was open, and nothing paid."""
    number = (await desk.story.delivered("M1")).number
    await desk.place("H1", "50000.00", effect=HoldEffect.RESERVE_REFUND, line=f"{number}/1")
    await desk.signed_by_two("place-H1")
    house = House(pool, "E1")
    if elsewhere == "disputed":
        await house.dispute("D1", number, 381_600)
    else:
        await house.signed(await house.write_off("W1", number, 381_600))
    await desk.decide(Decision.FORFEIT, "H1", "20000.00", "F1")
    with pytest.raises(TransitionError, match=r"at most 0\.00: 0\.00 is open and 0\.00 paid"):
        await desk.signed_by_two("F1")
    assert await account(pool, "2300") == "0.00"
    assert await sound(pool)


async def test_a_claim_back_gives_back_what_the_advance_paid(pool, contract):
    """Of 381,600.00 the advance paid 106,000.00; the rest is open."""
    advance = Advance(
        id="AD1",
        clause="3.6",
        title=Title(en="Advance"),
        fee="project",
        amount=cny("100000.00"),
        recovered=Fraction(1, 2),
    )
    terms = contract.model_copy(update={"advance": advance})
    one = everything.Told(pool, terms, "E1", ClockKind.TEST)
    await one.opened()
    await one.consulted()
    await one.proceeded()
    await everything.Everything(one).advance_billed()
    desk = Desk(one)
    line = f"{(await one.delivered('M1')).number}/1"
    await desk.place("H1", NET, effect=HoldEffect.RESERVE_REFUND, line=line)
    await desk.signed_by_two("place-H1")
    await desk.decide(Decision.FORFEIT, "H1", NET, "F1")
    await desk.signed_by_two("F1")
    assert await account(pool, "2300") == "106000.00"
    assert await sound(pool)


async def test_a_hold_by_a_person_has_no_name_that_a_policy_is_about(story, contract, pool):
    """Named as a milestone, a hold on any invoice was placed and released without approval."""
    policy = AutomaticPolicy(
        id="AP9", clause="8.2", decisions=(Decision.PLACE_HOLD, Decision.RELEASE), of="M2"
    )
    approvals = contract.approvals.model_copy(update={"automatic": (policy,)})
    one = story("E1", contract.model_copy(update={"approvals": approvals}))
    await one.opened()
    await one.consulted()
    await one.proceeded()
    line = f"{(await one.delivered('M1')).number}/1"
    with pytest.raises(TransitionError, match="of the name of milestone M2"):
        await Desk(one).place("M2", "1.00", effect=HoldEffect.WITHHOLD_PAYMENT, line=line)
    assert await holds(pool) == []
