"""Orders, answers and the states of processes: their names, and that they survive the journey."""

import inspect
import pkgutil
from collections.abc import Iterator
from datetime import date, timedelta
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

import workflows
from contracts.commands import AnswerPosition, CloseEngagement, CompleteStep, Receipt, Stance
from contracts.contract import Phase, Role
from contracts.events import Event
from contracts.setting import ClockKind, Setting
from lifecycle import (
    approval,
    bet,
    hold,
    invoice,
    ledger,
    micro_consulting,
    milestone,
    orders,
    process,
    value_position,
)
from lifecycle.approval import RequestState
from lifecycle.bet import Trend, Verdict, assess
from lifecycle.hold import HoldState
from lifecycle.micro_consulting import MicroWork, clocks, complete_step
from lifecycle.milestone import Acceptance, MilestoneState, MilestoneWork
from lifecycle.orders import (
    Answer,
    Assessed,
    AssessWindow,
    Billed,
    BillMicroConsulting,
    BillMilestone,
    CloseAccount,
    Closed,
    Decided,
    Deliver,
    Delivered,
    Done,
    EvaluateMilestone,
    ForfeitHoldback,
    OpenEngagement,
    Order,
    Placed,
    PlaceHoldback,
    ReadTrend,
    Record,
    ReleaseHoldback,
    TrendRead,
    Wait,
)
from lifecycle.orders.approvals import ExpireRequest, LookAtRequest, Requested, RequestSeen
from lifecycle.orders.change_orders import ApplyChange, ChangeApplied
from lifecycle.orders.holds import EndHoldClock, HoldMoved, HoldNow, LookAtHold
from lifecycle.orders.receivables import AskRefund, Refunding, SendRefund, SettleRefund
from lifecycle.process import (
    BetState,
    ChangeOrderState,
    EngagementPhase,
    EngagementState,
    HoldProcessState,
    MicroState,
    MilestoneProcessState,
    ProcessState,
    Report,
    RequestProcessState,
)
from lifecycle.receivables import RefundState
from lifecycle.value_position import ValuePosition
from tests.unit.lifecycle.conftest import (
    BET,
    CALENDAR,
    CATALOGUE,
    CONTRACT,
    PLAN,
    beijing,
    cny,
    reading,
    say,
    settlement,
    travels,
)


def kinds(module: ModuleType, base: type[Any]) -> list[type[Any]]:
    """The classes that a module defines below a base; `Order[Done]` is pydantic's doing."""
    return [
        kind
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, base)
        and kind is not base
        and kind.__module__ == module.__name__
        and name.isidentifier()
    ]


def ordered() -> list[type[Order[Any]]]:
    """What processes order: the classes that the modules of `workflows` name."""
    modules = [
        import_module(f"workflows.{module.name}")
        for module in pkgutil.iter_modules(workflows.__path__)
    ]
    named = {kind for module in modules for kind in vars(module).values() if inspect.isclass(kind)}
    found = {kind for kind in named if issubclass(kind, Order) and kind is not Order}
    return sorted(found, key=lambda kind: kind.__name__)


NAMES_AND_ANSWERS: dict[type[Order[Any]], tuple[str, type[Answer]]] = {
    OpenEngagement: ("open_engagement", Done),
    Record: ("record", Done),
    BillMicroConsulting: ("bill_micro_consulting", Billed),
    EvaluateMilestone: ("evaluate_milestone", Done),
    BillMilestone: ("bill_milestone", Billed),
    PlaceHoldback: ("place_holdback", Placed),
    ReadTrend: ("read_trend", TrendRead),
    AssessWindow: ("assess_window", Assessed),
    ReleaseHoldback: ("release_holdback", Decided),
    ForfeitHoldback: ("forfeit_holdback", Decided),
    CloseAccount: ("close_account", Closed),
    LookAtHold: ("look_at_hold", HoldNow),
    EndHoldClock: ("end_hold_clock", HoldMoved),
    LookAtRequest: ("look_at_request", RequestSeen),
    ExpireRequest: ("expire_request", Requested),
    ApplyChange: ("apply_change", ChangeApplied),
    SendRefund: ("send_refund", Refunding),
    AskRefund: ("ask_refund", Refunding),
    SettleRefund: ("settle_refund", Refunding),
}


@pytest.mark.parametrize("order", ordered(), ids=lambda kind: kind.__name__)
def test_every_order_names_its_activity_and_its_answer(order):
    assert (order.activity(), order.answer()) == NAMES_AND_ANSWERS[order]


# One of each, as full as it can be.

AT = beijing("2025-09-15 23:59:59")
ACCEPTANCE = Acceptance(by="wang.fang", at=AT, deemed=False, evidence={"process-set": "doc-17"})
WAIT = Wait(for_whom="client", why="S03", since=AT, due_at=AT + timedelta(days=3), overdue=True)
INDICATORS = tuple(CATALOGUE[terms.indicator] for terms in BET.indicators)
SETTING = Setting(
    engagement_id="E7", clock=ClockKind.TEST, calendar=CALENDAR, people=CONTRACT.people()
)


def verdict() -> Verdict:
    measured = {
        "win-rate-count": reading("win-rate-count", "2025-09-15", "0.2799"),
        "ka-dso-days": reading("ka-dso-days", "2025-09-15", "87.916666667"),
    }
    return assess(CONTRACT, BET, settlement("W6"), measured, CATALOGUE)


def micro_work() -> tuple[MicroWork, list[Event]]:
    work = MicroWork(plan=PLAN, started_at=AT, step_open_since=AT)
    step = say(CompleteStep, "chen.yu", AT, step="S01", minutes=480, evidence="doc-1")
    return complete_step(work, step)


def each_order() -> Iterator[Order[Any]]:
    about: dict[str, Any] = {
        "key": "eng.E7.bet.B1:W6:verdict",
        "engagement_id": "E7",
        "workflow_id": "eng.E7.bet.B1",
        "at": AT,
        "by": "clause:6.3",
    }
    work, events = micro_work()
    yield OpenEngagement(
        **about, contract=CONTRACT, indicators=INDICATORS, clock=ClockKind.LIVE, phase="decision"
    )
    yield Record(
        **about,
        seq=3,
        kind="micro_consulting",
        subject="key-account",
        state="step S02",
        detail={
            "steps": [done.model_dump(mode="json") for done in work.done],
            "clocks": clocks(work, AT).model_dump(mode="json"),
        },
        events=tuple(events),
        wait=WAIT,
        finished=False,
        phase="micro_consulting",
    )
    yield BillMicroConsulting(**about, evidence="S11 done")
    yield EvaluateMilestone(**about, milestone="M1", acceptance=ACCEPTANCE)
    yield BillMilestone(**about, milestone="M1", acceptance=ACCEPTANCE)
    yield PlaceHoldback(**about, bet="B1")
    yield ReadTrend(**about, bet="B1", window="W3", started_on=date(2025, 3, 15))
    yield AssessWindow(**about, bet="B1", window="W6", started_on=date(2025, 3, 15))
    yield ReleaseHoldback(**about, bet="B1", window="W6")
    yield ForfeitHoldback(**about, bet="B1", window="W6")
    yield CloseAccount(**about, shelved=True, note="given up")
    yield LookAtHold(**about, hold="eng.E7.hold.H1")
    yield EndHoldClock(**about, hold="eng.E7.hold.H1", due_at=AT)
    yield LookAtRequest(**about, request="eng.E7.request.R1")
    yield ExpireRequest(**about, request="eng.E7.request.R1")
    yield ApplyChange(**about, change="eng.E7.change.CO1")
    yield SendRefund(**about, refund="eng.E7.refund.RF1")
    yield AskRefund(**about, refund="eng.E7.refund.RF1")
    yield SettleRefund(
        **about, refund="eng.E7.refund.RF1", state=RefundState.CONFIRMED, evidence="statement 17"
    )


def each_answer() -> Iterator[Answer]:
    yield Done()
    yield Billed(number="QM-INV-2025-000001", gross=cny("106000.00"))
    yield Placed(hold="eng.E7.hold.HB1", amount=cny("540000.00"), invoice="QM-INV-2025-000005")
    yield TrendRead(trends={"ka-dso-days": Trend.IMPROVING})
    yield Assessed(missing=("ka-dso-days",))
    yield Assessed(verdict=verdict(), decided_at=AT)
    yield Decided(amount=cny("81000.00"), document=None)
    yield Decided(amount=cny("81000.00"), waits_for="request R1 is to be signed by gao.feng")
    yield Billed(gross=cny("0.00"), blocked_by=("eng.E7.hold.H1",))
    yield HoldNow(
        hold="eng.E7.hold.H1",
        state=HoldState.CURING,
        held=cny("10.00"),
        reserved=cny("5.00"),
        since=AT,
        due_at=AT,
        disputed=True,
        waits_for="consultant",
        why="cure notice",
    )
    yield HoldMoved(hold="eng.E7.hold.H1", state=HoldState.DECISION_DUE, due_at=AT)
    asked: dict[str, Any] = {
        "request": "eng.E7.request.R1",
        "state": RequestState.PENDING,
        "digest": "0" * 64,
        "expires_at": AT,
        "signed": ("gao.feng",),
        "missing": ("li.wei",),
    }
    yield Requested(**asked, decided_by="gao.feng, li.wei", document="QM-CN-2025-000001")
    yield RequestSeen(**asked, what="release of 5.00 CNY")
    yield ChangeApplied(
        state="applied", contract=CONTRACT, running=("eng.E7",), document="QM-INV-2025-000009"
    )
    yield Refunding(refund="eng.E7.refund.RF1", state=RefundState.UNKNOWN)
    yield Refunding(refund="eng.E7.refund.RF1", state=RefundState.CONFIRMED, evidence="paid")
    yield Closed(
        fee=cny("1900000.00"),
        fixed=cny("1360000.00"),
        released=cny("243000.00"),
        forfeited=cny("297000.00"),
    )


def each_state() -> Iterator[ProcessState]:
    common: dict[str, Any] = {
        "setting": SETTING,
        "now": AT,
        "seq": 12,
        "answers": {"c1": Receipt(command_id="c1", events=("mc.step_completed",), digest="{}")},
    }
    work, _ = micro_work()
    accepted = MilestoneWork(
        terms=CONTRACT.milestone("M1"),
        state=MilestoneState.ACCEPTED,
        evidence=ACCEPTANCE.evidence,
        submissions=2,
        submitted_at=AT,
        rejected_at=AT,
        acceptance=ACCEPTANCE,
    )
    answer = say(
        AnswerPosition,
        "li.wei",
        AT,
        role=Role.UNIT_HEAD,
        stance=Stance.PROFIT_CENTRE,
        assessed_by="margin per year",
    )
    yield MicroState(**common, work=work, terms=CONTRACT.micro_consulting, billed=True)
    yield MilestoneProcessState(**common, work=accepted)
    yield BetState(
        **common,
        bet=BET,
        clause="5.1",
        started_on=date(2025, 3, 15),
        live_at=AT,
        over=("W3",),
        placed=True,
    )
    yield HoldProcessState(**common, hold="eng.E7.hold.H1")
    yield RequestProcessState(**common, request="eng.E7.request.R1", asked_at=AT)
    yield ChangeOrderState(**common, change="eng.E7.change.CO1", due_at=AT)
    yield EngagementState(
        **common,
        contract=CONTRACT,
        indicators=INDICATORS,
        opened_by="sun.hao",
        opened_at=AT,
        opened=True,
        phase=EngagementPhase.OPERATING,
        position=ValuePosition(margin_bet=True, round=2, answers={Role.UNIT_HEAD: answer}),
        micro=work,
        micro_rounds=2,
        decided_at=AT,
        begun=(Phase.CONSULTING, Phase.DESIGN_BUILD),
        accepted={"M1": AT},
        bets_running=True,
        bets_settled=("B1",),
        closing=say(CloseEngagement, "sun.hao", AT, note="reviewed"),
        reports={"eng.E7.bet.B1": 7},
    )


def name(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("order", list(each_order()), ids=name)
def test_every_order_arrives_as_it_was_given(order):
    assert travels(order)


@pytest.mark.parametrize("answer", list(each_answer()), ids=name)
def test_every_answer_arrives_as_it_was_given(answer):
    assert travels(answer)


@pytest.mark.parametrize(
    "message",
    [Deliver(key="eng.E7.milestone.M1:bill", queue="finance"), Delivered(key="k1", status=202)],
    ids=name,
)
def test_every_delivery_arrives_as_it_was_given(message):
    assert travels(message)


@pytest.mark.parametrize("state", list(each_state()), ids=name)
def test_every_process_goes_on_in_its_next_run_as_it_was(state):
    assert travels(state)


def test_a_report_of_a_child_brings_its_work_along():
    work, _ = micro_work()
    facts = {"work": work.model_dump(mode="json")}
    report = Report(child="eng.E7.micro", seq=1, at=AT, facts=facts)

    arrived = Report.model_validate_json(report.model_dump_json())

    assert arrived == report
    assert MicroWork.model_validate(arrived.facts["work"]) == work


def test_no_order_answer_or_state_is_missing_above():
    assert {type(order) for order in each_order()} == set(ordered())
    assert {type(answer) for answer in each_answer()} == {order.answer() for order in ordered()}
    assert {type(state) for state in each_state()} == set(kinds(process, ProcessState))


def test_what_is_not_over_yet_is_asked_for_again():
    """A window without its readings, a blocked milestone, a refund on its way; and what is looked at."""
    again = [type(answer) for answer in each_answer() if not answer.final()]
    assert again == [Assessed, Decided, Decided, Billed, HoldNow, RequestSeen, Refunding]


MODULES = [
    approval, bet, hold, invoice, ledger, micro_consulting, milestone, orders, process,
    value_position,
]  # fmt: skip
VALUES = [kind for module in MODULES for kind in kinds(module, BaseModel)]


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_nothing_but_the_state_of_a_process_is_changed_in_place(kind):
    """A refused command is undone by taking the old state back, which must be as it was."""
    assert bool(kind.model_config.get("frozen")) is not issubclass(kind, ProcessState)
