"""The clocks of holds in a bundle: cured, disputed, extended, decided by silence, forged."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import pytest

from activities.postgres import Pool
from contracts.calendar import Period
from contracts.commercial import (
    Approvals,
    Authority,
    Decision,
    HoldClocks,
    MissHold,
    Retention,
    RetentionStep,
)
from contracts.contract import Contract
from contracts.events import Event, EventType
from contracts.setting import ClockKind
from lifecycle.orders.approvals import ExpireRequest
from lifecycle.orders.holds import CloseHoldDispute, DisputeHold, ExtendHold, ServeCureNotice
from tests.forgery import Alter, forged_all, refusal, said
from tests.integration.conftest import LIVE_ON, Databases
from tests.integration.money import test_holds as holds
from tests.integration.money.everything import Told
from tests.integration.money.test_change_order import read
from tollkeeper.bundle import bundle
from tollkeeper.signing import Signer, signer_of
from tollkeeper.verify import verify as ledger_verify

Silence = Literal["forfeit", "escalate"]


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer_of(tmp_path_factory.mktemp("keys"))


def agreed(contract: Contract, default: Silence = "forfeit") -> Contract:
    people = ("gao.feng", "li.wei", "sun.hao")
    steps = (("R3M", "P3M", Fraction(1, 3)), ("R9M", "P9M", Fraction(2, 3)))
    return read(
        contract,
        approvals=Approvals(
            clause="8.1", needed=2, authority=tuple(Authority(person=each) for each in people)
        ),
        hold_clocks=HoldClocks(clause="8.3", review=20, cure=10, decision=5, default=default),
        retention=Retention(
            id="RT1",
            clause="7.3",
            fee="project",
            rate=Fraction(1, 20),
            base="gross",
            tax="invoice",
            release=tuple(
                RetentionStep(id=id, clause="7.3", after=Period.parse(after), share=share)
                for id, after, share in steps
            ),
        ),
        miss_holds=(
            MissHold(
                id="MH1",
                clause="7.5",
                indicator="ka-dso-days",
                limit=Decimal(100),
                missed="above",
                effect="block_invoicing",
                milestone="M3",
                share=Fraction(1, 7),
            ),
        ),
    )


class Clocks:
    """What people and the calendar do to holds, hold by hold."""

    def __init__(self, one: Told) -> None:
        self.one = one
        self.desk = holds.Desk(one)

    async def played(self) -> None:
        await self.one.opened()
        await self.one.consulted()
        await self.one.proceeded()
        await self.missed_then_cured()
        for hold, milestone in (("H1", "M1"), ("H2", "M2"), ("H3", "M2")):
            await self.desk.place(hold, "50000.00", milestone=milestone)
            await self.desk.signed_by_two(f"place-{hold}")
        await self.expired()
        await self.decreed("2024-12-09", working=("2024-12-21",), off=("2024-12-24",))
        await self.cured_too_late_and_disputed_twice()
        await self.extended_then_silence()
        await self.disputed_and_decided()
        await self.retention_steps()

    async def missed_then_cured(self) -> None:
        await self.one.measured("ka-dso-days", "101.5", "2024-12-02")
        await self.noticed("MH1", "2024-12-03")
        await self.one.measured("ka-dso-days", "99", "2024-12-17")
        await self.desk.signed_by_two("MH1-cured-2024-12-17", "2024-12-18")

    async def expired(self) -> None:
        """Ten working days end on the first day of the decreed ones."""
        await self.desk.decide(Decision.RELEASE, "H2", "1.00", "R9")
        request = self.desk.request("R9")
        about = self.desk.about(f"{request}:expire", "2024-12-20", "clock")
        about["at"] = holds.end_of("2024-12-20")
        await self.desk.approvals.expire_request(ExpireRequest(**about, request=request))

    async def decreed(self, day: str, working: tuple[str, ...], off: tuple[str, ...]) -> None:
        facts = {"decree": "D1", "working": working, "off": off, "last_year": 2026}
        await self.one.tell(EventType.CALENDAR_SET, day, **facts)

    async def cured_too_late_and_disputed_twice(self) -> None:
        await self.noticed("H1", "2024-12-10")
        await self.disputed("H1", "D1", "2024-12-12", "2025-01-06")
        await self.desk.clock_ended("H1")
        await self.disputed("H1", "D2", "2025-01-16", "2025-02-05")
        await self.desk.clock_ended("H1")

    async def extended_then_silence(self) -> None:
        await self.desk.clock_ended("H2")
        about = self.desk.about(self.desk.request("X1"), "2025-01-07", "sun.hao")
        order = ExtendHold(**about, hold=self.desk.hold("H2"), reason="audit")
        await self.desk.holds.extend_hold(order)
        await self.desk.signed_by_two("X1", "2025-01-08")
        await self.desk.clock_ended("H2")
        await self.desk.clock_ended("H2")

    async def disputed_and_decided(self) -> None:
        """A dispute that outlives its hold, and one that is open."""
        await self.desk.decide(Decision.RELEASE, "H3", "20000.00", "R1", "2024-12-11")
        await self.desk.signed_by_two("R1", "2024-12-11")
        await self.disputed("H3", "D3", "2024-12-13", None)

    async def retention_steps(self) -> None:
        await self.one.delivered("M1", "2025-01-10")
        await self.one.delivered("M4", LIVE_ON.isoformat())
        await self.one.placed()
        await self.desk.clock_ended("RT1")
        await self.disputed("RT1", "D4", "2025-10-10", "2025-10-20")
        await self.desk.clock_ended("RT1")

    async def noticed(self, hold: str, day: str) -> None:
        about = self.desk.about(f"{self.desk.hold(hold)}:notice", day, "wang.fang")
        order = ServeCureNotice(**about, hold=self.desk.hold(hold), proof="courier 7")
        await self.desk.holds.serve_cure_notice(order)

    async def disputed(self, hold: str, dispute: str, day: str, until: str | None) -> None:
        name, key = self.desk.hold(hold), f"{self.desk.hold(hold)}:dispute:{dispute}"
        opened = DisputeHold(**self.desk.about(key, day, "li.wei"), hold=name, reason="no basis")
        await self.desk.holds.dispute_hold(opened)
        if until:
            about = self.desk.about(f"{key}:close", until, "li.wei")
            closed = CloseHoldDispute(**about, hold=name, ruling="basis found")
            await self.desk.holds.close_hold_dispute(closed)


@pytest.fixture(scope="module")
async def clocks(
    databases: Databases, key_account: Contract, signer: Signer
) -> AsyncIterator[bytes]:
    async with databases.copy() as pool:
        await Clocks(Told(pool, agreed(key_account), "E1", ClockKind.TEST)).played()
        assert [check.id for check in (await ledger_verify(pool)).checks if not check.ok] == []
        yield await bundle(pool, "E1", signer)


def test_every_date_of_the_clocks_is_recomputed(clocks: bytes, signer: Signer) -> None:
    lines = said(clocks, signer.fingerprint)
    assert not [line for line in lines if "NOT" in line]
    (counted,) = [line for line in lines if "each clock of a hold" in line]
    assert int(counted.split()[1]) > 40


# Forged: wherever the date stands, unless something says otherwise.


@dataclass(frozen=True)
class Moved:
    """A date, or another text, that is put for another one in all files, but for some events."""

    found: str
    forged: str
    hold: str
    but: tuple[str, ...] = ()

    def __call__(self, entries: Any) -> None:
        for each in entries["groups"] if isinstance(entries, dict) else entries:
            if each.get("type") not in self.but and f".{self.hold}" in str(each):
                self._replace(each)

    def _replace(self, node: Any) -> None:
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if isinstance(value, str):
                node[key] = value.replace(self.found, self.forged)
            elif isinstance(value, dict | list):
                self._replace(value)


def event(kind: str, hold: str | None = None, **facts: str) -> Alter:
    """Of one event of the timeline: facts, or when it was."""

    def alter(timeline: Any) -> None:
        told = of(timeline, kind, hold)[0]
        for name, value in facts.items():
            place = told["facts"] if name in told["facts"] else told
            assert place[name] != value
            place[name] = value

    return alter


def of(timeline: Any, kind: str, hold: str | None) -> list[Any]:
    about = hold and f"eng.E1.hold.{hold}"
    return [
        each for each in timeline if each["type"] == kind and each["facts"].get("hold") == about
    ]


def without(kind: str, hold: str | None = None) -> Alter:
    return lambda timeline: timeline.remove(of(timeline, kind, hold)[-1])


def of_hold(name: str, **stated: object) -> Alter:
    def alter(entries: Any) -> None:
        (found,) = [each for each in entries if each["id"] == f"eng.E1.hold.{name}"]
        assert found.keys() >= stated.keys()
        found.update(stated)

    return alter


DATED = ("timeline.json", "requests.json", "holds.json", "decisions.json", "journal.json")


def everywhere(alter: Alter) -> dict[str, Alter]:
    return dict.fromkeys(DATED, alter)


FORGERIES: dict[str, tuple[dict[str, Alter], str, str]] = {
    "the cure clock ends a day later": (
        {"timeline.json": event("hold.cure_noticed", "H1", due_at="2024-12-24T15:59:59+00:00")},
        "timeline.json: [31].facts.due_at",
        "recomputed  2024-12-23 15:59:59+00:00",
    ),
    "a dispute does not stop the clock": (
        {"timeline.json": event("hold.dispute_closed", "H1", due_at="2024-12-23T15:59:59+00:00")},
        "timeline.json: [33].facts.due_at",
        "recomputed  2025-01-16 15:59:59+00:00",
    ),
    "a dispute comes after the clock has ended": (
        {"timeline.json": event("hold.disputed", "H1", occurred_at="2024-12-24T02:00:00+00:00")},
        "timeline.json: [32]",
        "eng.E1.hold.H1 waited until 2024-12-23T15:59:59+00:00",
    ),
    "the decision is due before the clock has ended": (
        {
            "timeline.json": event(
                "hold.decision_due",
                "H1",
                occurred_at="2025-01-15T15:59:59+00:00",
                due_at="2025-01-22T15:59:59+00:00",
            )
        },
        "timeline.json: [34].occurred_at",
        "recomputed  2025-01-16 15:59:59+00:00",
    ),
    "the decision clock ends a day later": (
        {"timeline.json": event("hold.decision_due", "H2", due_at="2025-01-14T15:59:59+00:00")},
        "timeline.json: [40].facts.due_at",
        "recomputed  2025-01-13 15:59:59+00:00",
    ),
    "silence decides a day early": (
        everywhere(Moved("2025-02-18", "2025-02-17", "H2", but=("hold.decision_due",))),
        "requests.json: [8].requested_at",
        "recomputed  2025-02-18 15:59:59+00:00",
    ),
    "silence decides while it is disputed": (
        {"timeline.json": without("hold.dispute_closed", "H1")},
        "timeline.json: [36]",
        "eng.E1.hold.H1 is disputed since 2025-01-16T02:00:00+00:00",
    ),
    "an effect is posted on another day than it was decided": (
        dict.fromkeys(
            ("holds.json", "decisions.json", "journal.json"),
            Moved("2025-02-18", "2025-02-17", "H2"),
        ),
        "journal.json: groups[",
        "recomputed  2025-02-18T15:59:59+00:00",
    ),
    "more time is given for longer": (
        {"timeline.json": event("hold.extended", "H2", due_at="2025-02-12T15:59:59+00:00")},
        "timeline.json: [45].facts.due_at",
        "recomputed  2025-02-11 15:59:59+00:00",
    ),
    "more time is given twice": (
        {
            "timeline.json": lambda timeline: timeline.insert(
                46, of(timeline, "hold.extended", "H2")[0]
            )
        },
        "timeline.json: [46]",
        "eng.E1.hold.H2 is active, not decision_due",
    ),
    "a cure comes after its clock": (
        {
            "timeline.json": event(
                "hold.cure_noticed",
                "MH1",
                occurred_at="2024-12-02T03:00:00+00:00",
                due_at="2024-12-16T15:59:59+00:00",
            )
        },
        "requests.json: [5].requested_at",
        "recomputed  by 2024-12-16 15:59:59+00:00",
    ),
    "a step of the retention is released before its day": (
        everywhere(Moved("2025-04-15", "2025-04-14", "R3M"))
        | {
            name: Moved("2025-04-15", "2025-04-14", "RT1")
            for name in ("holds.json", "decisions.json", "journal.json")
        },
        "requests.json: [9].requested_at",
        "recomputed  2025-04-15 15:59:59+00:00",
    ),
    "a step of the retention is released while it is disputed": (
        {"timeline.json": without("hold.dispute_closed", "RT1")},
        "timeline.json: [72]",
        "eng.E1.hold.RT1 is disputed since 2025-10-10T02:00:00+00:00",
    ),
    "the go-live is another day": (
        {"timeline.json": event("engagement.went_live", occurred_at="2025-01-14T02:00:00+00:00")},
        "timeline.json: [66].occurred_at",
        "recomputed  2025-01-15T02:00:00+00:00",
    ),
    "until when a hold waits now": (
        {"holds.json": of_hold("H3", due_at="2025-01-07T15:59:59+00:00")},
        "holds.json: [2].due_at",
        "recomputed  2025-01-06 15:59:59+00:00",
    ),
    "a clock that is not there": (
        {"holds.json": of_hold("H3", due_at=None)},
        "holds.json: [2].due_at",
        "recomputed  2025-01-06 15:59:59+00:00",
    ),
    "since when a hold is disputed": (
        {"holds.json": of_hold("H3", disputed_at=None)},
        "holds.json: [2].disputed_at",
        "recomputed  2024-12-13 02:00:00+00:00",
    ),
    "a state that nothing led to": (
        {"holds.json": of_hold("H3", state="curing")},
        "holds.json: [2].state",
        "recomputed  active",
    ),
    "how often a hold was given more time": (
        {"holds.json": of_hold("H2", extensions=0)},
        "holds.json: [1].extensions",
        "recomputed  1",
    ),
    "days that were decreed are left out": (
        {"timeline.json": without("calendar.set")},
        "timeline.json: [30].facts.due_at",
        "recomputed  2024-12-24 15:59:59+00:00",
    ),
    "a request expires a day early": (
        {
            "requests.json": lambda requests: requests[3].update(
                decided_at="2024-12-19T15:59:59+00:00"
            ),
            "timeline.json": Moved(
                "2024-12-20T15", "2024-12-19T15", "R9", but=("approval.requested",)
            ),
        },
        "requests.json: [3].decided_at",
        "recomputed  2024-12-20 15:59:59+00:00",
    ),
    "the end of a request in the timeline": (
        {"timeline.json": Moved("2024-12-20T15", "2024-12-23T15", "R9", but=("approval.decided",))},
        "timeline.json: [28].facts.expires_at",
        "recomputed  2024-12-20 15:59:59+00:00",
    ),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_date_that_is_forged_is_found_and_its_place_named(
    clocks: bytes, signer: Signer, what: str
) -> None:
    alterations, place, recomputed = FORGERIES[what]
    said_so = refusal(forged_all(clocks, signer, alterations))
    assert place in said_so.splitlines()[0]
    assert recomputed in said_so


async def test_a_clock_whose_end_decides_nothing_is_told_by_its_process(
    pool: Pool, key_account: Contract, signer: Signer
) -> None:
    """Until then it is said that the end is not recomputed; people are asked from there on."""
    one = Told(pool, agreed(key_account, "escalate"), "E1", ClockKind.TEST)
    desk = holds.Desk(one)
    await one.opened()
    await one.consulted()
    await one.proceeded()
    await desk.place("H1", "50000.00", milestone="M1")
    await desk.signed_by_two("place-H1")
    await desk.clock_ended("H1")
    await desk.clock_ended("H1")
    before = said(await bundle(pool, "E1", signer), signer.fingerprint)
    assert [line for line in before if "NOT" in line] == [
        "NOT RECOMPUTED: holds.json: [0].due_at: the end at 2025-01-13T15:59:59+00:00, "
        "not in the timeline yet"
    ]
    due_at = holds.end_of("2025-01-13")
    raised = Event(type=EventType.ESCALATION_RAISED, occurred_at=due_at, actor=desk.hold("H1"))
    await one.recorded("2025-01-14", "hold", "H1", None, "hold", "H1", events=(raised,))
    data = await bundle(pool, "E1", signer)
    assert not [line for line in said(data, signer.fingerprint) if "NOT" in line]

    def a_day_early(timeline: Any) -> None:
        (told,) = [each for each in timeline if each["type"] == "escalation.raised"]
        told["occurred_at"] = holds.end_of("2025-01-12").isoformat()

    said_so = refusal(forged_all(data, signer, {"timeline.json": a_day_early}))
    assert "recomputed  2025-01-13 15:59:59+00:00" in said_so
