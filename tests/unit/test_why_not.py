"""Why an amount is not billed, from records alone: each reason, whom it waits for, and the sums."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from contracts.commercial import Advance, Decision, HoldEffect, HoldKind
from contracts.contract import Contract, SettlementWindow
from contracts.document import read_contract
from contracts.events import EventType
from contracts.fields import Title
from contracts.money import Money
from contracts.setting import Book, ClockKind
from lifecycle.approval import Request, RequestState
from lifecycle.bet import Reading, assess
from lifecycle.hold import HoldState
from tests.unit.test_docs import HANDBOOK, rows, section, words
from tollkeeper.cli import why_not as command
from tollkeeper.on_record import Claim, Disputed, Lost, Records, TakenBack
from tollkeeper.views.engagements import EngagementDetail, Happening, Process, Waiting
from tollkeeper.views.holds import HoldBalance
from tollkeeper.why_not import Reason, Then, Unbilled, WhyNot, compose

ROOT = Path(__file__).parents[2]
NOW = datetime(2025, 3, 3, 1, tzinfo=UTC)
GATE = "decision gate: PROCEED, SHELVE or REWORK_ONCE"
MICRO, BET = "eng.E1.micro.key-account", "eng.E1.bet.B1"
LIVE_AT = "2025-01-15T10:00:00+08:00"
ENDS_W6 = datetime(2025, 7, 15, 15, 59, 59, tzinfo=UTC)


@pytest.fixture(scope="module")
def contract() -> Contract:
    path = ROOT / "examples" / "key-account.yaml"
    return read_contract(path.read_text(encoding="utf-8"), path.name)


def wait(process: str, for_whom: str, why: str, **fields: Any) -> Waiting:
    given = {"since": NOW, "due_at": None, "overdue": False} | fields
    return Waiting(process=process, for_whom=for_whom, why=why, **given)


def process(id: str, state: str, waiting: Waiting | None = None, **detail: Any) -> Process:
    path = id.split(".")[2:]
    kinds = {"micro": "micro_consulting", "bet": "value_bet", "change": "change_order"}
    return Process(
        id=id,
        kind=kinds.get(path[0], path[0]) if path else "engagement",
        subject=path[1] if path else "KA-2024-017",
        state=state,
        finished=False,
        detail=detail,
        waiting=waiting,
    )


def happened(type: EventType, process: str, **facts: object) -> Happening:
    return Happening(type=type, process=process, occurred_at=NOW, actor="engine", facts=facts)


def hold(name: str, held: int, **fields: Any) -> HoldBalance:
    given = {
        "id": f"eng.E1.hold.{name}",
        "engagement": "E1",
        "timezone": "Asia/Shanghai",
        "book": Book.SANDBOX,
        "clause": "8.1",
        "kind": HoldKind.ADMIN_BLOCK,
        "effect": HoldEffect.BLOCK_INVOICING,
        "fee": "project",
        "bet": None,
        "milestone": None,
        "invoice": None,
        "on": "project",
        "state": HoldState.ACTIVE,
        "disputed": False,
        "due_at": None,
        "reason": "scope is disputed",
        "placed": yuan(held),
        "held": yuan(held),
        "reserved": yuan(0),
        "released": yuan(0),
        "forfeited": yuan(0),
    }
    return HoldBalance(**given | fields)


def request(name: str, decision: Decision, amount: int, **fields: Any) -> Request:
    given: dict[str, Any] = {
        "id": f"eng.E1.request.{name}",
        "engagement_id": "E1",
        "workflow_id": "eng.E1",
        "decision": decision,
        "payload": {},
        "digest": "0" * 64,
        "effect_key": name,
        "amount": yuan(amount),
        "requested_by": "sun.hao",
        "requested_at": NOW,
        "expires_at": NOW + timedelta(days=14),
        "needed": 2,
    }
    return Request(**given | fields)


def yuan(amount: int) -> Money:
    return Money(amount * 100, "CNY")


def records(
    contract: Contract,
    processes: Sequence[Process] = (),
    *,
    phase: str = "consulting",
    **given: Any,
) -> Records:
    """An engagement that has proceeded and was billed its micro-consulting, unless said."""
    engagement = EngagementDetail(
        id="E1",
        contract="KA-2024-017@v1",
        title=contract.title,
        book=Book.SANDBOX,
        clock=ClockKind.TEST,
        clock_now=NOW,
        phase=phase,
        opened_at=NOW,
        proceeded_at=given.pop("proceeded_at", NOW),
        closed_at=None,
        held=yuan(0),
        invoiced=yuan(0),
        waiting=(),
        consultant=contract.parties.consultant.name,
        client=contract.parties.client.name,
        timezone=contract.timezone,
        processes=tuple(processes),
        clocks=None,
    )
    known = Records(
        contract=contract,
        indicators=contract.indicators(),
        engagement=engagement,
        now=NOW,
        billed={"micro": yuan(100_000)},
        booked=frozenset({f"{MICRO}:fee"}),
        verdicts={},
        holds=[],
        readings=[],
        events=[],
    )
    return replace(known, **given)


def operating(contract: Contract, state: str, waiting: Waiting | None, **given: Any) -> Records:
    """Every milestone is billed, and the bet runs from 15 January 2025."""
    bills = {f"eng.E1.milestone.{terms.id}:bill" for terms in contract.milestones}
    go_live = {"by": "wang.fang", "at": LIVE_AT, "deemed": False, "evidence": {}}
    processes = (
        process("eng.E1.milestone.M4", "billed", acceptance=go_live),
        process(BET, state, waiting, started_on="2025-01-15"),
    )
    defaults: dict[str, Any] = {
        "phase": "operating",
        "billed": {"micro": yuan(100_000), "project": yuan(1_260_000)},
        "booked": frozenset({f"{MICRO}:fee", *bills}),
    }
    return records(contract, processes, **defaults | given)


def line(found: WhyNot, what: str) -> Unbilled:
    (only,) = (each for each in (*found.waiting, *found.never) if each.what == what)
    return only


def reading(indicator: str, value: str, day: date, sample: int = 10_000) -> Reading:
    return Reading(
        indicator=indicator,
        measured_on=day,
        value=Decimal(value),
        sample=sample,
        source="ERP",
        evidence="x.csv",
        occurred_at=NOW,
    )


def verdict_of_w6(contract: Contract) -> dict[str, Any]:
    """216,000.00 won; of 108,000.00 three eighths won, five eighths lost."""
    (bet,) = contract.bets
    window = next(w for w in bet.windows if w.id == "W6")
    assert isinstance(window, SettlementWindow)
    on = date(2025, 7, 10)
    measured = {
        "win-rate-count": reading("win-rate-count", "0.29", on),
        "ka-dso-days": reading("ka-dso-days", "87.5", on),
    }
    return {"W6": assess(contract, bet, window, measured, contract.indicators())}


def test_the_fee_that_is_submitted_waits_for_its_booking(contract: Contract) -> None:
    found = compose(
        records(
            contract,
            [process(MICRO, "gate open")],
            phase="micro_consulting",
            proceeded_at=None,
            billed={},
            booked=frozenset(),
        )
    )
    fee = line(found, "micro-consulting")
    assert (fee.reason, fee.awaited) == (Reason.BOOKING, None)
    assert found.total.waiting == found.total.amount == yuan(1_900_000)
    assert found.total.difference == yuan(0)


def test_an_accepted_milestone_waits_for_its_booking(contract: Contract) -> None:
    found = compose(records(contract, [process("eng.E1.milestone.M1", "accepted")]))
    assert line(found, "milestone M1").reason is Reason.BOOKING
    assert [fee.difference for fee in found.fees] == [yuan(0), yuan(0)]


@pytest.mark.parametrize(
    ("events", "who", "people"),
    [
        ([], "business_lead and it_lead", ("li.wei", "zhao.min")),
        ([("decision.signed", "business_lead")], "it_lead", ("zhao.min",)),
        ([("decision.signed", "it_lead")], "business_lead", ("li.wei",)),
        (
            [
                ("decision.signed", "it_lead"),
                ("decision.signed", "business_lead"),
                ("decision.split", None),
            ],
            "business_lead and it_lead",
            ("li.wei", "zhao.min"),
        ),
    ],
)
def test_who_has_signed_is_waited_for_no_longer_until_the_signatures_differ(
    contract: Contract, events: list[tuple[str, str]], who: str, people: tuple[str, ...]
) -> None:
    gate = process(MICRO, "gate open", wait(MICRO, "business_lead and it_lead", GATE, due_at=NOW))
    signed = [happened(EventType(type), MICRO, role=role) for type, role in events]
    found = compose(records(contract, [gate], phase="decision", proceeded_at=None, events=signed))
    milestone = line(found, "milestone M1")
    assert (milestone.reason, milestone.clause) == (Reason.DECISION, "4.1")
    assert milestone.awaited
    assert (milestone.awaited.for_whom, milestone.awaited.people) == (who, people)


def test_a_reminder_that_went_out_leaves_the_escalation(contract: Contract) -> None:
    gate = process(MICRO, "gate open", wait(MICRO, "business_lead and it_lead", GATE, due_at=NOW))

    def then(*events: Happening) -> Then | None:
        answer = compose(
            records(contract, [gate], phase="decision", proceeded_at=None, events=events)
        )
        awaited = line(answer, "milestone M1").awaited
        assert awaited
        return awaited.then

    of_this_wait = {"why": GATE, "since": NOW.isoformat()}
    before = {"why": GATE, "since": (NOW - timedelta(days=30)).isoformat()}
    assert then() is Then.REMINDER
    assert then(happened(EventType.REMINDER_RAISED, MICRO, **before)) is Then.REMINDER
    assert then(happened(EventType.REMINDER_RAISED, MICRO, **of_this_wait)) is Then.ESCALATION


@pytest.mark.parametrize(
    ("for_whom", "why", "reason", "people"),
    [
        ("operations", "eng.E1.milestone.M1:bill was refused: ...", Reason.REFUSED, ()),
        ("calendar", "calendar CN@2024-2026 covers ...", Reason.WORKING_DAYS, ("sun.hao",)),
    ],
)
def test_what_stops_a_process_wherever_it_stands_is_the_reason(
    contract: Contract, for_whom: str, why: str, reason: Reason, people: tuple[str, ...]
) -> None:
    id = "eng.E1.milestone.M1"
    stopped = process(id, "accepted", wait(id, for_whom, why, overdue=True))
    milestone = line(compose(records(contract, [stopped])), "milestone M1")
    assert (milestone.reason, milestone.why) == (reason, why)
    assert milestone.awaited
    assert (milestone.awaited.people, milestone.awaited.overdue) == (people, True)


def test_instants_are_in_the_time_zone_of_the_contract(contract: Contract) -> None:
    id = "eng.E1.milestone.M2"
    waiting = wait(id, "acceptor", "accept or reject", due_at=ENDS_W6)
    milestone = line(
        compose(records(contract, [process(id, "in_acceptance", waiting)])), "milestone M2"
    )
    assert milestone.awaited
    assert milestone.awaited.model_dump(mode="json")["due_at"] == "2025-07-15T23:59:59+08:00"
    assert milestone.awaited.then is Then.DEEMED_ACCEPTANCE


def test_a_stake_of_a_later_window_waits_for_its_own_end_then_for_the_window_before(
    contract: Contract,
) -> None:
    late = wait(BET, "readings", "window W6 has no reading of ka-dso-days", overdue=True)
    known = operating(contract, "window W6", late, now=datetime(2025, 12, 1, tzinfo=UTC))
    stake = line(compose(known), "stake ka-average-output")
    assert (stake.reason, stake.why) == (Reason.WINDOW, "window W12 runs until 2026-01-15")
    assert stake.awaited
    assert stake.awaited.since == datetime.fromisoformat(LIVE_AT)
    assert stake.awaited.then is Then.SETTLEMENT

    over = replace(known, now=datetime(2026, 2, 1, tzinfo=UTC))
    stake = line(compose(over), "stake ka-average-output")
    assert (stake.reason, stake.why) == (
        Reason.READING,
        "window W12 is over, but window W6 comes first",
    )
    assert stake.awaited
    assert (stake.awaited.for_whom, stake.awaited.people) == ("readings", ("zhao.min",))


def test_a_window_that_is_measured_waits_for_the_booking_of_its_verdict(
    contract: Contract,
) -> None:
    on = date(2025, 7, 10)
    both = [reading("win-rate-count", "0.29", on), reading("ka-dso-days", "87.5", on)]
    found = compose(operating(contract, "window W6", None, now=ENDS_W6, readings=both))
    assert line(found, "stake win-rate-count").reason is Reason.BOOKING
    assert line(found, "stake ka-dso-days").reason is Reason.BOOKING


def test_what_a_verdict_gave_and_took_waits_for_its_booking_then_what_it_took_is_gone(
    contract: Contract,
) -> None:
    decided = operating(contract, "window W6", None, verdicts=verdict_of_w6(contract))
    found = compose(decided)
    assert [(each.what, str(each.amount), each.reason) for each in found.waiting] == [
        ("stake win-rate-count", "216000.00", Reason.BOOKING),
        ("stake ka-dso-days", "40500.00", Reason.BOOKING),
        ("stake ka-dso-days", "67500.00", Reason.BOOKING),
        ("stake ka-average-output", "216000.00", Reason.WINDOW),
    ]
    assert (found.never, found.total.difference) == ((), yuan(0))

    keys = {f"{BET}:W6:release", f"{BET}:W6:forfeit"}
    billed = {"micro": yuan(100_000), "project": yuan(1_516_500)}
    found = compose(replace(decided, booked=decided.booked | keys, billed=billed))
    assert [each.what for each in found.waiting] == ["stake ka-average-output"]
    (lost,) = found.never
    assert (str(lost.amount), lost.clause) == ("67500.00", "6.1(b)")
    assert lost.decision == f"{BET}:W6:forfeit"
    assert lost.why.endswith("stake 108000.00, score 3/8")
    assert found.total.difference == yuan(0)


@pytest.mark.parametrize(
    ("state", "gain", "people"),
    [
        (
            RequestState.PENDING,
            "won in window W6, asked to be decided as HB1-W6-release",
            ("li.wei",),
        ),
        (
            RequestState.REJECTED,
            "won in window W6, HB1-W6-release was rejected by li.wei: too early; to be asked again",
            (),
        ),
        (
            RequestState.EXPIRED,
            "won in window W6, HB1-W6-release was expired by li.wei: too early; to be asked again",
            (),
        ),
    ],
)
def test_what_a_verdict_decided_waits_for_signatures_where_no_policy_covers_it(
    contract: Contract, state: RequestState, gain: str, people: tuple[str, ...]
) -> None:
    asked = request(
        "HB1-W6-release",
        Decision.RELEASE,
        256_500,
        subject="eng.E1.hold.HB1",
        effect_key=f"{BET}:W6:release",
        signed=("gao.feng",),
        state=state,
        decided_by="li.wei",
        reason="too early",
    )
    waiting = wait(BET, "approval", "as the bet says it")
    known = operating(
        contract, "window W6", waiting, verdicts=verdict_of_w6(contract), requests=[asked]
    )
    found = compose(known)
    won, rest, lost, _ = found.waiting
    assert {each.reason for each in (won, rest, lost)} == {Reason.APPROVAL}
    assert won.why == rest.why == gain
    assert lost.why == gain.replace("won", "lost")
    assert won.awaited
    assert won.awaited.people == people
    assert won.awaited.then is (Then.EXPIRY if people else None)
    assert [each.awaited.people for each in found.asked] == ([people] if people else [])
    assert found.total.difference == yuan(0)


def test_what_is_held_of_a_milestone_stands_apart_and_holds_up_the_rest_once_accepted(
    contract: Contract,
) -> None:
    cured = wait("eng.E1.hold.H1", "cure", "100000.00 CNY held, cure notice served", due_at=NOW)
    held = hold("H1", 100_000, milestone="M1", state=HoldState.CURING)
    lost = Lost("eng.E1.hold.H1:decide:F1", held.id, yuan(60_000), "gao.feng, li.wei")
    processes = [
        process("eng.E1.milestone.M1", "in_delivery"),
        process(held.id, "curing", cured),
    ]
    found = compose(records(contract, processes, holds=[held], lost=[lost]))
    own, kept = found.waiting[:2]
    assert (own.what, str(own.amount), own.reason) == (
        "milestone M1",
        "200000.00",
        Reason.EVIDENCE,
    )
    assert (kept.what, str(kept.amount), kept.reason, kept.why) == (
        "milestone M1, hold H1",
        "100000.00",
        Reason.HOLD,
        "scope is disputed; cure notice served",
    )
    assert kept.awaited
    assert (kept.awaited.for_whom, kept.awaited.then) == ("cure", Then.DECISION_DUE)
    (gone,) = found.never
    assert (str(gone.amount), gone.why) == ("60000.00", "forfeited by gao.feng, li.wei")
    assert gone.decision == lost.key
    assert found.total.difference == yuan(0)

    accepted = process("eng.E1.milestone.M1", "accepted", wait("x", "hold", "held by H1"))
    found = compose(records(contract, [accepted, processes[1]], holds=[held], lost=[lost]))
    own = line(found, "milestone M1")
    assert (own.reason, own.why) == (Reason.HOLD, "accepted, not invoiced while held by H1")
    assert own.awaited == kept.awaited


@pytest.mark.parametrize(
    ("state", "default", "who", "people", "then"),
    [
        (HoldState.ACTIVE, "escalate", "release", ("gao.feng", "li.wei", "sun.hao"), "decision_due"),
        (HoldState.DECISION_DUE, "escalate", "decision", ("gao.feng", "li.wei", "sun.hao"), "escalation"),
        (HoldState.DECISION_DUE, "forfeit", "decision", ("gao.feng", "li.wei", "sun.hao"), "forfeiture"),
        (HoldState.DECISION_DUE, "release", "approval", ("gao.feng", "li.wei"), "release"),
    ],
)  # fmt: skip
def test_a_hold_names_who_can_end_it_and_what_silence_means(
    contract: Contract,
    state: HoldState,
    default: str,
    who: str,
    people: tuple[str, ...],
    then: str,
) -> None:
    held = hold("H1", 100_000, milestone="M1", state=state)
    asked = request("R1", Decision.RELEASE, 40_000, subject=held.id, requested_by="sun.hao")
    waiting = wait(held.id, who, "100000.00 CNY held", due_at=NOW)
    known = records(
        contract,
        [process(held.id, state.value, waiting)],
        holds=[held],
        defaults={held.id: default},
        requests=[asked],
    )
    kept = line(compose(known), "milestone M1, hold H1")
    assert kept.awaited
    assert (kept.awaited.people, kept.awaited.then) == (people, Then(then))


def test_what_invoices_keep_back_is_gross_and_no_part_of_what_is_not_billed(
    contract: Contract,
) -> None:
    kept = hold("RT1", 63_000, kind=HoldKind.RETENTION, effect=HoldEffect.WITHHOLD_PAYMENT)
    refundable = hold("H2", 50_000, effect=HoldEffect.RESERVE_REFUND, invoice="I1")
    dispute = Disputed("eng.E1.dispute.D1", "I1", "two tests fail", "li.wei", NOW)
    ruling = request(
        "D1-uphold", Decision.DISPUTE_RULING, 1_000, subject=dispute.id, requested_by="sun.hao"
    )
    known = operating(
        contract,
        "window W3",
        None,
        holds=[kept, refundable],
        disputes=[dispute],
        requests=[ruling],
        claims=[
            Claim("1110", yuan(66_780), "I1", kept.id),
            Claim("1130", yuan(10_600), "I1", item=dispute.id),
            Claim("2110", yuan(7_000), item="AD1"),
            Claim("2200", yuan(50_000), hold=refundable.id),
        ],
    )
    found = compose(known)
    assert [(each.what, each.invoice, str(each.amount)) for each in found.not_payable] == [
        ("retention RT1", "I1", "66780.00"),
        ("dispute D1", "I1", "10600.00"),
    ]
    assert [(each.what, each.invoice, str(each.amount)) for each in found.returnable] == [
        ("advance AD1", None, "7000.00"),
        ("hold H2", "I1", "50000.00"),
    ]
    ruled = found.not_payable[1].awaited
    assert ruled
    assert (ruled.people, ruled.then) == (("gao.feng", "li.wei"), Then.EXPIRY)
    assert found.total.difference == yuan(0)


@pytest.mark.parametrize(
    ("billed", "expected"),
    [
        # A quarter of M2, M3 and M4, 900,000.00, is more than what is left.
        (("M1",), [("170000.00", "deducted by 25% of the milestones to come")]),
        # A quarter of M4, 270,000.00.
        (
            ("M1", "M2", "M3"),
            [
                ("67500.00", "deducted by 25% of the milestones to come"),
                ("102500.00", "no milestone to come deducts it; `tollkeeper credit` gives it back"),
            ],
        ),
        (
            ("M1", "M2", "M3", "M4"),
            [("170000.00", "no milestone to come deducts it; `tollkeeper credit` gives it back")],
        ),
    ],
)
def test_what_no_milestone_deducts_of_an_advance_is_to_be_credited(
    contract: Contract, billed: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    advance = Advance(
        id="AD1",
        clause="3.4",
        title=Title(en="Advance"),
        fee="project",
        amount=yuan(170_000),
        recovered=Fraction(1, 4),
    )
    known = records(
        contract.model_copy(update={"advance": advance}),
        booked=frozenset({f"{MICRO}:fee", *(f"eng.E1.milestone.{id}:bill" for id in billed)}),
        claims=[Claim("2110", yuan(170_000), "I1", item="AD1")],
    )
    found = compose(known).returnable
    assert [(str(each.amount), each.why) for each in found] == expected
    assert {(each.invoice, each.clause) for each in found} == {("I1", "3.4")}


def test_what_a_credit_note_took_back_is_never_billed(contract: Contract) -> None:
    taken = TakenBack("CN1", "project", "4.1", "dispute", "I1", yuan(1_000))
    known = operating(
        contract,
        "window W3",
        None,
        taken_back=[taken],
        billed={"micro": yuan(100_000), "project": yuan(1_259_000)},
    )
    found = compose(known)
    (gone,) = found.never
    assert (gone.reason, gone.why, gone.document) == (
        Reason.CREDITED,
        "credited on I1: dispute",
        "CN1",
    )
    assert found.total.difference == yuan(0)


def test_a_change_order_is_asked_for_until_it_is_in_force(contract: Contract) -> None:
    id = "eng.E1.change.CO1"
    asked = request("CO1", Decision.CHANGE_ORDER, 5_000, subject=id)
    (one,) = compose(records(contract, requests=[asked])).asked
    assert (one.decision, one.awaited.then) == (Decision.CHANGE_ORDER, Then.EXPIRY)

    agreed = asked.model_copy(update={"state": RequestState.APPROVED})
    waiting = wait(id, "effective date", "change order CO1 takes effect", due_at=NOW)
    (one,) = compose(records(contract, [process(id, "agreed", waiting)], requests=[agreed])).asked
    assert (one.awaited.for_whom, one.awaited.then) == ("effective date", Then.IN_FORCE)
    assert compose(records(contract, requests=[agreed])).asked == ()


@pytest.mark.parametrize("effect", [HoldEffect.WITHHOLD_PAYMENT, HoldEffect.RESERVE_REFUND])
def test_stakes_that_are_invoiced_are_billed_and_not_settled_with_the_tax_among_them(
    contract: Contract, effect: HoldEffect
) -> None:
    held = hold("HB1", 540_000, effect=effect, bet="B1", invoice="I5")
    withheld = effect is HoldEffect.WITHHOLD_PAYMENT
    claim = Claim("1120", yuan(572_400), "I5", held.id)
    if not withheld:
        claim = Claim("2200", yuan(540_000), hold=held.id)
    found = compose(
        operating(
            contract,
            "window W3",
            None,
            holds=[held],
            claims=[claim],
            billed={"micro": yuan(100_000), "project": yuan(1_800_000)},
        )
    )
    lines = found.not_payable if withheld else found.returnable
    assert {(each.hold, each.invoice) for each in lines} == {(held.id, "I5")}
    assert [str(each.amount) for each in lines] == (
        ["228960.00", "114480.00", "228960.00"]
        if withheld
        else ["216000.00", "108000.00", "216000.00"]
    )
    assert {each.reason for each in lines} == {Reason.WINDOW}
    assert (found.waiting, found.total.difference) == ((), yuan(0))


def test_reasons_come_with_their_sums_in_the_order_of_the_line(contract: Contract) -> None:
    found = compose(records(contract, [process("eng.E1.milestone.M1", "in_delivery")]))
    assert [(each.reason, str(each.amount)) for each in found.by_reason] == [
        (Reason.PHASE, "900000.00"),
        (Reason.EVIDENCE, "360000.00"),
        (Reason.GO_LIVE, "540000.00"),
    ]


def test_books_that_do_not_agree_with_the_records_show_a_difference(contract: Contract) -> None:
    """A billed amount without its order: the fee line is named with what is apart."""
    wrong = records(contract, billed={"micro": yuan(100_000), "project": yuan(360_000)})
    micro, project = compose(wrong).fees
    assert (micro.difference, project.difference) == (yuan(0), yuan(-360_000))


def test_the_command_prints_the_identity_and_fails_where_it_does_not_hold(
    contract: Contract, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = records(contract, [process("eng.E1.milestone.M1", "in_delivery")])
    monkeypatch.setattr(command, "in_the_records", lambda look: compose(right))
    command.why_not("E1")
    printed = capsys.readouterr().out
    for title in ("Not billed yet", "By reason"):
        assert f"{title}, in the contract's prices\n" in printed
    assert "milestone M1             4.1     360,000.00  evidence" in printed
    assert (
        "billed 100,000.00 + not billed yet 1,800,000.00 + never billed 0.00 = fees 1,900,000.00 CNY"
    ) in printed

    wrong = replace(right, billed={})
    monkeypatch.setattr(command, "in_the_records", lambda look: compose(wrong))
    with pytest.raises(SystemExit, match="1"):
        command.why_not("E1")
    assert "difference of 100,000.00 in fee micro" in capsys.readouterr().err


def test_every_reason_is_in_the_handbook_in_the_order_of_the_line() -> None:
    told = rows(section(HANDBOOK, "## 12. Why is it not billed?"))
    reasons = [words(first)[0] for first, *_ in told if words(first)]
    assert reasons == [reason.value for reason in Reason]
