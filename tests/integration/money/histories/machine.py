"""Random histories of every command about money: what is refused writes nothing, what is repeated is one."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import wraps
from itertools import count
from typing import Any, Literal, NamedTuple, TypeVar

import httpx
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from activities.approvals import Approvals
from activities.billing.advances import Advances
from activities.billing.gain_share import GainShares
from activities.billing.invoices import Billing
from activities.billing.service_credits import ServiceCredits
from activities.books.seals import seal
from activities.change_orders import ChangeOrders
from activities.closing import Books as BooksAsAWhole
from activities.engagements import Engagements
from activities.export.port import Endpoint
from activities.holdbacks import Holdbacks
from activities.holds.by_people import Holds
from activities.postgres import transaction
from activities.readings import add_reading
from activities.receivables.credits import request_credit, request_write_off
from activities.receivables.disputes import end_dispute, open_dispute, rule_dispute
from activities.receivables.receipts import (
    apply_credit,
    assign_receipt,
    match_receipt,
    record_receipts,
    reverse_receipt,
    unapply_credit,
)
from activities.receivables.refunds import Refunds, request_refund, settle_refund
from activities.value_bets import ValueBets
from contracts.calendar import add_period
from contracts.commands import AddReading
from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.contract import Contract, Party, SettlementWindow, Window
from contracts.errors import (
    EngagementError,
    KeyReused,
    NotAuthorised,
    TransitionError,
    Unavailable,
)
from contracts.events import Event, EventType
from contracts.money import Money
from contracts.setting import Book, ClockKind
from lifecycle.approval import RequestState
from lifecycle.milestone import Acceptance
from lifecycle.orders import (
    AssessWindow,
    BillMicroConsulting,
    BillMilestone,
    CloseAccount,
    EvaluateMilestone,
    ForfeitHoldback,
    OpenEngagement,
    Order,
    PlaceHoldback,
    ReadTrend,
    Record,
    ReleaseHoldback,
    Wait,
)
from lifecycle.orders.adjustments import GrantServiceCredit, IssueAdvance, ReportGainShare
from lifecycle.orders.approvals import (
    AskAgain,
    ExpireRequest,
    LookAtRequest,
    RejectRequest,
    SignRequest,
    WithdrawRequest,
)
from lifecycle.orders.books import AskReversal, ClosePeriod
from lifecycle.orders.change_orders import ApplyChange, ProposeChange
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
from lifecycle.orders.receivables import (
    ApplyCredit,
    AskRefund,
    AssignReceipt,
    CreditReason,
    EndDispute,
    MatchReceipt,
    OpenDispute,
    RecordReceipts,
    RequestCredit,
    RequestRefund,
    RequestWriteOff,
    ReverseReceipt,
    RuleDispute,
    SendRefund,
    SettleRefund,
    UnapplyCredit,
)
from lifecycle.receivables import BankReceipt, DisputeState, RefundState
from tests.integration.money.histories.agreements import AGREEMENTS, amended
from tests.integration.money.histories.books import Books, Row

CarryOut = Callable[[Any], Awaitable[Any]]
Fate = Literal[Decision.RELEASE, Decision.FORFEIT]
Rule = TypeVar("Rule", bound=Callable[..., None])

SHARES = {
    "all": (Fraction(1), 0),
    "half": (Fraction(1, 2), 0),
    "a third": (Fraction(1, 3), 0),
    "two sevenths": (Fraction(2, 7), 0),
    "a fen": (Fraction(0), 1),
    "all but a fen": (Fraction(1), -1),
    "a fen too much": (Fraction(1), 1),
}
WHICH = st.integers(0, 9)
"""Which of those that are there; counted round."""
SHARE = st.sampled_from(list(SHARES))
LATE = st.sampled_from([0] * 12 + [3, 40])
"""Days for which a command has lain on somebody's desk."""


class Retry(NamedTuple):
    """Which of the orders before is handed in again, counted back, and whether as it was."""

    back: int
    altered: bool


STAGES = ["opened", "proceeded", "delivered", "live", "paid", "closed"]

RETRY = st.sampled_from(
    [None] * 14 + [Retry(back, altered) for back in (0, 1, 6) for altered in (False, True)]
)
"""Almost a third of the commands are followed by one that was carried out before."""


class Tally:
    """What the histories of a run came to."""

    def __init__(self) -> None:
        self.histories = 0
        self.done = Counter[str]()
        self.refused = Counter[str]()
        self.again = Counter[str]()
        self.posted = Counter[str]()
        self.decided = Counter[str]()

    def __str__(self) -> str:
        commands = sorted(self.done.keys() | self.refused.keys())
        width = max(map(len, commands), default=0)
        return "\n".join(
            [
                f"{self.histories} histories, {sum(self.done.values())} commands done, "
                f"{sum(self.refused.values())} refused, retries {dict(self.again)}",
                *(
                    f"{name:<{width}} {self.done[name]:>6} done {self.refused[name]:>6} refused"
                    for name in commands
                ),
                f"journal groups {dict(sorted(self.posted.items()))}",
                f"decided {dict(sorted(self.decided.items()))}",
            ]
        )


def command(*there: str, clause: str | None = None, **drawn: Any) -> Callable[[Rule], Any]:
    """A rule that is drawn when there is what it is about; an earlier order may be repeated after it."""

    def possible(machine: "Histories") -> bool:
        agreed = clause is None or getattr(machine.contract, clause)
        return bool(agreed) and all(machine.seen[each] for each in there)

    def decorate(act: Rule) -> Any:
        @precondition(possible)
        @rule(late=LATE, retry=RETRY, **drawn)
        @wraps(act)
        def step(machine: "Histories", late: int, retry: Retry | None, **given: Any) -> None:
            machine.at = max(machine.now - timedelta(days=late), machine.begun_at)
            act(machine, **given)
            machine.look()
            if retry is not None:
                machine.repeat(retry)

        return step

    return decorate


def request(*there: str, **drawn: Any) -> Callable[[Rule], Any]:
    """A command that asks for a decision: more often than not, people decide at once."""

    def decorate(ask: Rule) -> Any:
        @command(*there, signed=st.sampled_from([True, True, False]), **drawn)
        @wraps(ask)
        def step(machine: "Histories", signed: bool, **given: Any) -> None:
            asked = ask(machine, **given)
            if signed and asked is not None:
                machine.approve_all(asked.request)

        return step

    return decorate


class Engagement:
    """One engagement, as its processes know it."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.consulted = self.proceeded = self.closed = False
        self.accepted: dict[str, Acceptance] = {}
        self.live_on: date | None = None
        self.records = count(1)


class Bank:
    """The payment provider: it answers as the next command says."""

    def __init__(self) -> None:
        self.answer = "confirmed"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        match self.answer:
            case "lost":
                raise httpx.ReadTimeout("no answer", request=request)
            case "refused":
                return httpx.Response(422 if request.method == "POST" else 404)
            case state:
                return httpx.Response(200, json={"state": state, "evidence": "bank 4711"})


class Histories(RuleBasedStateMachine):
    """Each rule is a command as the desk or a process gives it, about something that is there."""

    def __init__(self, books: Books, tally: Tally, agreement: str) -> None:
        super().__init__()
        self.books = books
        self.tally = tally
        self.books.empty()
        self.written = self.books.fingerprint()
        self.seen: dict[str, list[Row]] = {}
        self.names = count(1)
        self.done: list[tuple[CarryOut, Any, Any]] = []
        self.engagements: list[Engagement] = []
        self.contract = AGREEMENTS[agreement]
        self.clock = ClockKind.LIVE
        self.now = self.at = self.begun_at = datetime(2024, 1, 1, tzinfo=UTC)
        pool = books.pool
        self.bank = Bank()
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.bank))
        self.refunds = Refunds(pool, client, Endpoint("https://bank.test/refunds", (b"secret",)))
        self.holds, self.approvals, self.billing = Holds(pool), Approvals(pool), Billing(pool)

    # Carrying out.

    def give(self, carry_out: CarryOut, order: Any) -> Any:
        """Carry out an order; the answer, or nothing where it is refused: then nothing is written."""
        name = type(order).__name__
        try:
            answer = self.books.run(self._awaited(carry_out, order))
        except EngagementError as refused:
            return self._refused(name, refused)
        self.tally.done[name] += 1
        self.written = self.books.fingerprint()
        if not isinstance(order, Record | SendRefund | AskRefund) and _final(answer):
            self.done.append((carry_out, order, answer))
        return answer

    def _refused(self, name: str, refused: EngagementError) -> None:
        assert not isinstance(refused, Unavailable), refused
        assert str(refused), "a refusal says why"
        assert self.books.fingerprint() == self.written, f"{name} wrote, then: {refused}"
        self.tally.refused[name] += 1

    async def _awaited(self, carry_out: CarryOut, order: Any) -> Any:
        return await carry_out(order)

    def repeat(self, retry: Retry) -> None:
        """Of the same key: the same content has the same answer, other content none; nothing is written."""
        if not self.done:
            return
        carry_out, order, answer = self.done[-1 - retry.back % len(self.done)]
        if retry.altered:
            # A month is closed once, whoever asks: that is said in words of its own.
            closes = isinstance(order, ClosePeriod)
            with pytest.raises((NotAuthorised, TransitionError) if closes else KeyReused):
                self.books.run(self._awaited(carry_out, _altered(order, self.contract)))
        else:
            assert self.books.run(self._awaited(carry_out, order)) == answer
        assert self.books.fingerprint() == self.written
        self.tally.again["refused" if retry.altered else "same answer"] += 1

    def look(self) -> None:
        """What is there now; none of it is broken."""
        broken, seen = self.books.look()
        assert not broken, broken
        seen["open"] = [each for each in seen["invoices"] if each["open_minor"]]
        seen["advances"] = [each for each in seen["invoices"] if each["purpose"] == "advance"]
        seen["unnamed"] = [each for each in seen["receipts"] if not each["named"]]
        seen["decidable"] = [each for each in seen["holds"] if each["decidable"]]
        seen["curable"] = [each for each in seen["holds"] if each["curable"]]
        self.seen = seen

    def teardown(self) -> None:
        violations = self.books.violations()
        assert not violations, violations
        self.tally.histories += 1
        for query, counter in (
            ("select code, count(*) from journal_group group by 1", self.tally.posted),
            (
                """
                select concat_ws(' ', effect, decision), count(*)
                from decision_record join hold using (hold_id) group by 1
                union all
                select decision, count(*) from approval_request where state = 'approved' group by 1
                """,
                self.tally.decided,
            ),
        ):
            counter.update({row[0]: row[1] for row in self.books.fetch(query)})

    # How orders look.

    def about(self, engagement: str, key: str, by: str, *path: str) -> dict[str, Any]:
        return {
            "key": key,
            "engagement_id": engagement,
            "workflow_id": ".".join(("eng", engagement, *path)),
            "at": self.at,
            "by": by,
        }

    def asked(self, engagement: str, by: str) -> dict[str, Any]:
        """A request by a person; its name is new."""
        return self.about(engagement, f"eng.{engagement}.request.{self.name('R')}", by)

    def step(self, engagement: Engagement, by: str, what: str, *path: str) -> dict[str, Any]:
        """An order of a process."""
        process = ".".join(("eng", engagement.id, *path))
        return self.about(engagement.id, f"{process}:{what}", by, *path)

    def bet_step(self, engagement: Engagement, what: str, window: Window | None = None) -> Any:
        (bet,) = self.contract.bets
        name = f"{window.id}:{what}" if window else what
        about = self.step(engagement, f"clause:{bet.clause}", name, "bet", bet.id)
        if window is not None:
            about |= {"window": window.id, "at": self.window_end(engagement, window)}
        return about | {"bet": bet.id}

    def window_end(self, engagement: Engagement, window: Window) -> datetime:
        assert engagement.live_on
        return self.contract.working_calendar().period_after(engagement.live_on, window.after)

    def name(self, prefix: str) -> str:
        return f"{prefix}{next(self.names)}"

    def engagement(self, which: int) -> Engagement:
        return self.engagements[which % len(self.engagements)]

    def pick(self, kind: str, which: int) -> Row:
        return self.seen[kind][which % len(self.seen[kind])]

    def part(self, minor: int, share: str) -> Money:
        """A part of an amount, or just outside of it."""
        of, more = SHARES[share]
        return self.money(int(minor * of) + more)

    def money(self, minor: int) -> Money:
        return Money(minor, self.contract.currency)

    def seller(self, which: int) -> str:
        return _person(self.contract.parties.consultant, which)

    def client(self, which: int) -> str:
        return _person(self.contract.parties.client, which)

    def anyone(self, which: int) -> str:
        people = self.contract.people().everyone
        return people[which % len(people)].id

    @property
    def book(self) -> Book:
        return Book.LIVE if self.clock is ClockKind.LIVE else Book.SANDBOX

    # The life of an engagement.

    @initialize(
        clock=st.sampled_from(list(ClockKind)),
        stage=st.sampled_from(STAGES),
        further=st.booleans(),
    )
    def begin(self, clock: ClockKind, stage: str, further: bool) -> None:
        """Opened, and carried some way: from there on anything may happen.

        `further` with the advance invoiced, and a hold that is to be decided.
        """
        self.clock = clock
        self.now = datetime.fromisoformat(f"{self.contract.effective_on}T10:00:00+08:00")
        self.at = self.begun_at = self.now
        one = self._opened("E1")
        self.now = self.at = self.now + timedelta(days=25)
        if stage != "opened":
            self._consulted(one)
            self._proceeded(one)
            if further and self.contract.advance:
                self._advance(one.id, self.seller(1))
        milestones = {"proceeded": 0, "opened": 0, "delivered": 2}.get(stage)
        for milestone in self.contract.milestones[:milestones]:
            self.now = self.at = self.now + timedelta(days=14)
            self._accepted(one, milestone.id)
            self._billed(one, milestone.id)
        if one.live_on:
            self._held_back(one)
        self.look()
        if stage == "delivered":
            last = self.contract.milestones[-1]
            self._place(
                one.id,
                1,
                effect=HoldEffect.BLOCK_INVOICING,
                milestone=last.id,
                amount=self.part(last.amount.minor, "half"),
            )
        if stage in {"paid", "closed"}:
            for invoice in self.seen["open"]:
                more = 1_000_00 if stage == "paid" else 0
                self._pay(self.money(invoice["open_minor"] + more), invoice["number"])
        if stage == "paid":
            self._pay(self.money(7_00), "")
            self.look()
            self._refund(one.id, 0, "a third")
        self._all_approved()
        self.look()
        if further and stage == "delivered":
            for hold in self.seen["holds"]:
                self._end_clock(hold)
        if stage == "closed":
            self._settled(one)
            self._close(one, shelved=False)
        self.look()

    def _settled(self, engagement: Engagement) -> None:
        """Everything decided and paid: it could be closed."""
        for window in self.contract.bets[0].windows:
            self._measure(engagement, window, "1/3")
            self._assess(engagement, window)
            self.look()
            for verdict in self.seen["verdicts"]:
                for released in (True, False):
                    self._settle(engagement, verdict, released)
            self._all_approved()
        for _ in range(2):  # A retention is released in two steps.
            for hold in self.seen["holds"]:
                self._end_clock(hold)
        self.look()
        for invoice in self.seen["open"]:
            self._pay(self.money(invoice["open_minor"]), invoice["number"])

    def _all_approved(self) -> None:
        self.look()
        for asked in self.seen["pending"]:
            self.approve_all(asked["request_id"])

    @command()
    def open_another(self) -> None:
        if len(self.engagements) == 1:
            self._opened("E2")

    @rule(days=st.sampled_from([1, 5, 12, 33, 100]))
    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    @command(which=WHICH)
    def consult(self, which: int) -> None:
        self._consulted(self.engagement(which))

    @command(which=WHICH)
    def proceed(self, which: int) -> None:
        engagement = self.engagement(which)
        if not (engagement.proceeded or engagement.closed):
            self._proceeded(engagement)

    @command(which=WHICH, milestone=WHICH)
    def accept(self, which: int, milestone: int) -> None:
        engagement = self.engagement(which)
        terms = self.contract.milestones[milestone % len(self.contract.milestones)]
        if engagement.proceeded and terms.id not in engagement.accepted:
            self._accepted(engagement, terms.id)

    @command(which=WHICH, milestone=WHICH)
    def bill(self, which: int, milestone: int) -> None:
        engagement = self.engagement(which)
        if engagement.accepted and not engagement.closed:
            accepted = list(engagement.accepted)
            self._billed(engagement, accepted[milestone % len(accepted)])

    @command(which=WHICH)
    def place_holdback(self, which: int) -> None:
        engagement = self.engagement(which)
        if engagement.live_on and not engagement.closed:
            self._held_back(engagement)

    @command(which=WHICH, shelved=st.booleans())
    def close_account(self, which: int, shelved: bool) -> None:
        engagement = self.engagement(which)
        if not shelved or (engagement.consulted and not engagement.proceeded):
            self._close(engagement, shelved)

    def _close(self, engagement: Engagement, shelved: bool) -> None:
        order = CloseAccount(
            **self.step(engagement, "clause:1", "close"), shelved=shelved, note="reviewed"
        )
        if self.give(Engagements(self.books.pool).close_account, order) is not None:
            engagement.closed = True

    def _opened(self, id: str) -> Engagement:
        engagement = Engagement(id)
        known = self.contract.indicators()
        named = {terms.indicator for bet in self.contract.bets for terms in bet.indicators}
        named |= {hold.indicator for hold in self.contract.miss_holds}
        order = OpenEngagement(
            **self.step(engagement, self.seller(0), "open"),
            contract=self.contract,
            indicators=tuple(known[name] for name in sorted(named)),
            clock=self.clock,
            phase="value_positioning",
        )
        assert self.give(Engagements(self.books.pool).open_engagement, order)
        self.engagements.append(engagement)
        return engagement

    def _consulted(self, engagement: Engagement) -> None:
        product = self.contract.micro_consulting.product
        order = BillMicroConsulting(
            **self.step(engagement, "clause:2.1", "fee", "micro", product), evidence="S11"
        )
        engagement.consulted = True
        self.give(self.billing.bill_micro_consulting, order)

    def _proceeded(self, engagement: Engagement) -> None:
        self._happened(engagement, EventType.PROCEEDED)
        engagement.proceeded = True

    def _happened(self, engagement: Engagement, type: EventType) -> None:
        seq = next(engagement.records)
        order = Record(
            **self.step(engagement, self.client(0), f"#{seq}"),
            seq=seq,
            kind="engagement",
            subject=self.contract.id,
            state="consulting",
            detail={},
            events=(Event(type=type, occurred_at=self.at, actor=self.client(0)),),
            wait=Wait(for_whom="milestones", why="acceptance", since=self.at),
            finished=False,
            phase="consulting",
        )
        assert self.give(Engagements(self.books.pool).record, order)

    def _accepted(self, engagement: Engagement, milestone: str) -> None:
        acceptance = Acceptance(
            by=self.client(0), at=self.at, deemed=False, evidence={"proof": f"{milestone}.pdf"}
        )
        order = EvaluateMilestone(
            **self.step(engagement, acceptance.by, "evaluate", "milestone", milestone),
            milestone=milestone,
            acceptance=acceptance,
        )
        if self.give(self.billing.evaluate_milestone, order) is None:
            return
        engagement.accepted[milestone] = acceptance
        if self.contract.milestone(milestone).go_live:
            engagement.live_on = self.contract.working_calendar().local_date(self.at)
            self._happened(engagement, EventType.WENT_LIVE)

    def _billed(self, engagement: Engagement, milestone: str) -> None:
        acceptance = engagement.accepted[milestone]
        about = self.step(engagement, "clause:4", "bill", "milestone", milestone)
        order = BillMilestone(
            **about | {"at": acceptance.at}, milestone=milestone, acceptance=acceptance
        )
        self.give(self.billing.bill_milestone, order)

    def _held_back(self, engagement: Engagement) -> None:
        about = self.bet_step(engagement, "place")
        at = engagement.accepted[_go_live(self.contract)].at
        self.give(Holdbacks(self.books.pool).place_holdback, PlaceHoldback(**about | {"at": at}))

    # The value bet.

    @command(which=WHICH, window=WHICH, scale=st.sampled_from(["0", "1/3", "1", "3/2", "-1"]))
    def measure(self, which: int, window: int, scale: str) -> None:
        """All that a window settles, on a day that counts."""
        if self.engagement(which).live_on is not None:
            self._measure(self.engagement(which), self._window(window), scale)

    def _measure(self, engagement: Engagement, terms: Window, scale: str) -> None:
        assert engagement.live_on
        if not isinstance(terms, SettlementWindow):
            return
        day = add_period(engagement.live_on, terms.after) - timedelta(days=5)
        self._until(datetime.combine(day, self.begun_at.timetz()) + timedelta(days=1))
        for name in terms.settles:
            agreed = self.contract.bets[0].indicator(name)
            way = (agreed.target - agreed.baseline) * Decimal(Fraction(scale).numerator)
            value = agreed.baseline + way / Decimal(Fraction(scale).denominator)
            self._measured(engagement, name, day, value)

    @command(
        clause="miss_holds",
        which=WHICH,
        days=st.integers(0, 30),
        value=st.sampled_from(["0.70", "0.79", "0.9"]),
    )
    def look_closely(self, which: int, days: int, value: str) -> None:
        """A reading of what a hold places itself for."""
        day = (self.at - timedelta(days=days)).date()
        name = self.contract.miss_holds[0].indicator
        self._measured(self.engagement(which), name, day, Decimal(value))

    def _measured(self, engagement: Engagement, name: str, day: date, value: Decimal) -> None:
        reading = AddReading(
            command_id=self.name("reading-"),
            by=self._it_lead(),
            at=self.at,
            indicator=name,
            measured_on=day,
            value=round(value, 4),
            sample=1_000,
            source="CRM",
            evidence="sha256:1",
        )

        async def stored(reading: AddReading) -> None:
            await add_reading(self.books.pool, engagement.id, reading)

        self.give(stored, reading)

    @command(which=WHICH, window=WHICH)
    def assess(self, which: int, window: int) -> None:
        engagement = self.engagement(which)
        if engagement.live_on is not None and not engagement.closed:
            self._assess(engagement, self._window(window))

    def _assess(self, engagement: Engagement, terms: Window) -> None:
        self._until(self.window_end(engagement, terms))
        bets, settles = ValueBets(self.books.pool), isinstance(terms, SettlementWindow)
        about = self.bet_step(engagement, "verdict" if settles else "trend", terms)
        about |= {"started_on": engagement.live_on}
        if settles:
            self.give(bets.assess_window, AssessWindow(**about))
        else:
            self.give(bets.read_trend, ReadTrend(**about))

    @command("verdicts", which=WHICH, released=st.booleans())
    def settle(self, which: int, released: bool) -> None:
        """What a verdict gives or takes; asked again until it is decided."""
        verdict = self.pick("verdicts", which)
        (engagement,) = [each for each in self.engagements if each.id == verdict["engagement_id"]]
        if not engagement.closed:
            self._settle(engagement, verdict, released)

    def _settle(self, engagement: Engagement, verdict: Row, released: bool) -> None:
        if not verdict["released" if released else "forfeited"]:
            return
        (window,) = [
            each for each in self.contract.bets[0].windows if each.id == verdict["window_id"]
        ]
        holdbacks = Holdbacks(self.books.pool)
        about = self.bet_step(engagement, "release" if released else "forfeit", window)
        about["at"] = datetime.fromisoformat(verdict["decided_at"])
        if released:
            self.give(holdbacks.release_holdback, ReleaseHoldback(**about))
        else:
            self.give(holdbacks.forfeit_holdback, ForfeitHoldback(**about))

    def _window(self, which: int) -> Window:
        windows = self.contract.bets[0].windows
        return windows[which % len(windows)]

    def _until(self, instant: datetime) -> None:
        self.now = max(self.now, instant)
        self.at = max(self.at, instant)

    def _it_lead(self) -> str:
        people = self.contract.parties.client.people
        return next(person.id for person in people if "it_lead" in person.roles)

    # Holds.

    @request(which=WHICH, milestone=WHICH, share=SHARE, by=WHICH)
    def block(self, which: int, milestone: int, share: str, by: int) -> Any:
        terms = self.contract.milestones[milestone % len(self.contract.milestones)]
        return self._place(
            self.engagement(which).id,
            by,
            effect=HoldEffect.BLOCK_INVOICING,
            milestone=terms.id,
            amount=self.part(terms.amount.minor, share),
        )

    @request(
        "invoices",
        which=WHICH,
        line=WHICH,
        share=SHARE,
        by=WHICH,
        effect=st.sampled_from([HoldEffect.WITHHOLD_PAYMENT, HoldEffect.RESERVE_REFUND]),
    )
    def hold_line(self, which: int, line: int, share: str, by: int, effect: HoldEffect) -> Any:
        invoice = self.pick("invoices", which)
        held = invoice["lines"][line % len(invoice["lines"])]
        return self._place(
            invoice["engagement_id"],
            by,
            effect=effect,
            line=f"{invoice['number']}/{held['line']}",
            amount=self.part(held["net"], share),
        )

    def _place(self, engagement: str, by: int, **held: Any) -> Any:
        order = PlaceHold(
            **self.asked(engagement, self.anyone(by)),
            hold=self.name("H"),
            kind=HoldKind.ADMIN_BLOCK,
            reason="scope is disputed",
            **held,
        )
        return self.give(self.holds.place_hold, order)

    @request(
        "decidable",
        which=WHICH,
        share=SHARE,
        by=WHICH,
        decision=st.sampled_from([Decision.RELEASE, Decision.FORFEIT]),
    )
    def decide_hold(self, which: int, share: str, by: int, decision: Fate) -> Any:
        hold = self.pick("decidable", which)
        order = DecideHold(
            **self.asked(hold["engagement_id"], self.anyone(by)),
            hold=hold["hold_id"],
            decision=decision,
            amount=self.part(hold["free_minor"], share),
            reason="agreed",
        )
        return self.give(self.holds.decide_hold, order)

    @command("curable", which=WHICH, by=WHICH)
    def notify_cure(self, which: int, by: int) -> None:
        hold = self.pick("curable", which)
        key = f"{hold['hold_id']}:cure-notice"
        about = self.about(hold["engagement_id"], key, self.anyone(by))
        order = ServeCureNotice(**about, hold=hold["hold_id"], proof="courier 7")
        self.give(self.holds.serve_cure_notice, order)

    @command("holds", which=WHICH, by=WHICH)
    def dispute_hold(self, which: int, by: int) -> None:
        """Where it is disputed already, the dispute is closed."""
        hold = self.pick("holds", which)
        key = f"{hold['hold_id']}:dispute:{self.name('D')}"
        about = self.about(hold["engagement_id"], key, self.anyone(by))
        if hold["disputed"]:
            close = CloseHoldDispute(**about, hold=hold["hold_id"], ruling="as placed")
            self.give(self.holds.close_hold_dispute, close)
        else:
            order = DisputeHold(**about, hold=hold["hold_id"], reason="no basis")
            self.give(self.holds.dispute_hold, order)

    @command("holds", which=WHICH, by=WHICH, extended=st.booleans())
    def end_clock(self, which: int, by: int, extended: bool) -> None:
        """The clock of a hold runs out, as its process sees it; perhaps people want more time."""
        hold = self.pick("holds", which)
        ended = self._end_clock(hold)
        if extended and ended is not None:
            about = self.asked(hold["engagement_id"], self.anyone(by))
            order = ExtendHold(**about, hold=hold["hold_id"], reason="an audit")
            if asked := self.give(self.holds.extend_hold, order):
                self.approve_all(asked.request)

    def _end_clock(self, hold: Row) -> Any:
        engagement, hold_id = hold["engagement_id"], hold["hold_id"]
        look = LookAtHold(**self.about(engagement, f"{hold_id}:look", hold_id), hold=hold_id)
        due_at = self.give(self.holds.look_at_hold, look).due_at
        if due_at is None:
            return None
        self._until(due_at)
        about = self.about(engagement, f"{hold_id}:clock:{due_at.isoformat()}", hold_id)
        order = EndHoldClock(**about | {"at": due_at}, hold=hold_id, due_at=due_at)
        return self.give(self.holds.end_hold_clock, order)

    # Approvals.

    @command("pending", which=WHICH)
    def approve(self, which: int) -> None:
        self.at = self.now
        self.approve_all(self.pick("pending", which)["request_id"])

    def approve_all(self, request: str) -> None:
        """Whoever may sign does, until it is decided."""
        engagement = request.split(".")[1]
        look = LookAtRequest(**self.about(engagement, f"{request}:look", request), request=request)
        seen = self.give(self.approvals.look_at_request, look)
        for person in seen.missing:
            if seen is not None and seen.state is RequestState.PENDING:
                seen = self._sign(request, person, seen.digest)

    @command("pending", which=WHICH, by=WHICH, stale=st.sampled_from([False] * 9 + [True]))
    def sign(self, which: int, by: int, stale: bool) -> None:
        request = self.pick("pending", which)
        digest = "0" * 64 if stale else request["digest"]
        self._sign(request["request_id"], self.anyone(by), digest)

    def _sign(self, request: str, by: str, digest: str) -> Any:
        about = self.about(request.split(".")[1], f"{request}:sign:{by}", by)
        order = SignRequest(**about, request=request, digest=digest)
        return self.give(self.approvals.sign_request, order)

    @command("pending", which=WHICH, by=WHICH)
    def reject(self, which: int, by: int) -> None:
        request = self.pick("pending", which)
        id, person = request["request_id"], self.anyone(by)
        about = self.about(request["engagement_id"], f"{id}:reject:{person}", person)
        order = RejectRequest(**about, request=id, reason="too early")
        self.give(self.approvals.reject_request, order)

    @command("pending", which=WHICH, by=WHICH, own=st.sampled_from([True, True, False]))
    def withdraw(self, which: int, by: int, own: bool) -> None:
        request = self.pick("pending", which)
        id = request["request_id"]
        person = request["requested_by"] if own else self.anyone(by)
        about = self.about(request["engagement_id"], f"{id}:withdraw:{person}", person)
        self.give(self.approvals.withdraw_request, WithdrawRequest(**about, request=id))

    @command("pending", which=WHICH)
    def expire(self, which: int) -> None:
        request = self.pick("pending", which)
        id, expires_at = request["request_id"], datetime.fromisoformat(request["expires_at"])
        self._until(expires_at)
        about = self.about(request["engagement_id"], f"{id}:expire", id) | {"at": expires_at}
        self.give(self.approvals.expire_request, ExpireRequest(**about, request=id))

    @request("ended", which=WHICH, by=WHICH)
    def ask_again(self, which: int, by: int) -> Any:
        request = self.pick("ended", which)
        about = self.asked(request["engagement_id"], self.anyone(by))
        order = AskAgain(**about, request=request["request_id"])
        return self.give(self.approvals.ask_again, order)

    # Money that comes in.

    @command(
        "invoices",
        which=WHICH,
        share=st.sampled_from([*SHARES, "all", "double", "double"]),
        says=st.sampled_from(["number", "number", "amount", "nobody"]),
        days=st.integers(0, 20),
    )
    def pay(self, which: int, share: str, says: str, days: int) -> None:
        """A receipt that names an invoice, or is just what is open, or says not even who paid."""
        invoice = self.pick("invoices", which)
        room = invoice["open_minor"] or invoice["gross_minor"]
        amount = self.money(2 * room) if share == "double" else self.part(room, share)
        self._pay(
            amount if amount.minor > 0 else self.money(1),
            invoice["number"] if says == "number" else "",
            self.contract.parties.client.entity if says == "amount" else None,
            days,
        )

    def _pay(self, amount: Money, number: str, customer: str | None = None, days: int = 0) -> None:
        receipt = BankReceipt(
            book=self.book,
            seller=self.contract.parties.consultant.entity,
            account="CN62",
            reference=self.name("REF"),
            received_on=(self.at - timedelta(days=days)).date(),
            amount=amount,
            text=f"for {number}" if number else "",
            customer=customer,
        )
        told: dict[str, Any] = {"at": self.at, "by": "clerk"}
        record = RecordReceipts(key=f"receipts.{receipt.id}", receipts=(receipt,), **told)
        if self.give(lambda order: record_receipts(self.books.pool, order), record):
            match = MatchReceipt(key=f"receipt.{receipt.id}:match", receipt=receipt.id, **told)
            assert self.give(lambda order: match_receipt(self.books.pool, order), match)

    @command("unnamed", which=WHICH)
    def assign(self, which: int) -> None:
        receipt = self.pick("unnamed", which)["receipt_id"]
        order = AssignReceipt(
            key=f"receipt.{receipt}:assign:{self.name('A')}",
            at=self.at,
            by="clerk",
            receipt=receipt,
            customer=self.contract.parties.client.entity,
        )
        self.give(lambda order: assign_receipt(self.books.pool, order), order)

    @command("receipts", which=WHICH)
    def bounce(self, which: int) -> None:
        receipt = self.pick("receipts", which)["receipt_id"]
        order = ReverseReceipt(
            key=f"receipt.{receipt}:reverse",
            at=self.at,
            by="clerk",
            receipt=receipt,
            reason="no funds",
        )
        self.give(lambda order: reverse_receipt(self.books.pool, order), order)

    @command("credits", "open", which=WHICH, credit=WHICH, share=st.none() | SHARE)
    def apply(self, which: int, credit: int, share: str | None) -> None:
        source, invoice = self.pick("credits", credit), self.pick("open", which)
        about = self.about(
            invoice["engagement_id"], f"{source['source']}:apply:{self.name('C')}", self.seller(0)
        )
        order = ApplyCredit(
            **about,
            source=source["source"],
            invoice=invoice["number"],
            amount=self.part(source["free_minor"], share) if share else None,
        )
        self.give(lambda order: apply_credit(self.books.pool, order), order)

    @command("payments", which=WHICH)
    def unapply(self, which: int) -> None:
        payment = self.pick("payments", which)
        key = f"{payment['source']}:unapply:{self.name('C')}"
        order = UnapplyCredit(
            **self.about(payment["engagement_id"], key, self.seller(0)),
            source=payment["source"],
            invoice=payment["invoice"],
            reason="a slip",
        )
        self.give(lambda order: unapply_credit(self.books.pool, order), order)

    # Refunds.

    @request("credits", which=WHICH, engagement=WHICH, share=SHARE, by=WHICH)
    def ask_refund(self, which: int, engagement: int, share: str, by: int) -> Any:
        return self._refund(self.engagement(engagement).id, which, share, by)

    def _refund(self, id: str, which: int, share: str, by: int = 0) -> Any:
        source = self.pick("credits", which)
        order = RequestRefund(
            **self.asked(id, self.anyone(by)),
            refund=f"eng.{id}.refund.{self.name('RF')}",
            source=source["source"],
            amount=self.part(source["free_minor"], share),
            pay_to="CN99",
            reason="paid twice",
        )
        return self.give(lambda order: request_refund(self.books.pool, order), order)

    @command(
        "refunds",
        which=WHICH,
        answer=st.sampled_from(["confirmed", "failed", "pending", "lost", "refused"]),
        first=st.booleans(),
    )
    def send_refund(self, which: int, answer: str, first: bool) -> None:
        """Sent, or asked about; what the provider says is put on record, as the process does it."""
        refund = self.pick("refunds", which)
        engagement, id = refund["engagement_id"], refund["refund_id"]
        self.bank.answer = answer
        about = self.about(engagement, f"{id}:send", id)
        if first:
            said = self.give(self.refunds.send_refund, SendRefund(**about, refund=id))
        else:
            said = self.give(self.refunds.ask_refund, AskRefund(**about, refund=id))
        if said is not None and said.settled:
            self._settle_refund(refund, said.state, id)

    @command(
        "refunds",
        which=WHICH,
        state=st.sampled_from([RefundState.CONFIRMED, RefundState.FAILED]),
    )
    def settle_by_hand(
        self, which: int, state: Literal[RefundState.CONFIRMED, RefundState.FAILED]
    ) -> None:
        self._settle_refund(self.pick("refunds", which), state, "clerk")

    def _settle_refund(self, refund: Row, state: Any, by: str) -> None:
        id = refund["refund_id"]
        order = SettleRefund(
            **self.about(refund["engagement_id"], f"{id}:{state.value}", by),
            refund=id,
            state=state,
            evidence="statement 17",
        )
        self.give(lambda order: settle_refund(self.books.pool, order), order)

    # Disputes, credits, write-offs.

    @command("open", which=WHICH, share=st.none() | SHARE, line=WHICH, by=WHICH)
    def dispute(self, which: int, share: str | None, line: int, by: int) -> None:
        invoice = self.pick("open", which)
        engagement, name = invoice["engagement_id"], self.name("D")
        lines = [each["line"] for each in invoice["lines"]]
        dispute = f"eng.{engagement}.dispute.{name}"
        order = OpenDispute(
            **self.about(engagement, f"{dispute}:open", self.client(by)),
            dispute=dispute,
            invoice=invoice["number"],
            lines=() if share else (lines[line % len(lines)],),
            amount=self.part(invoice["open_minor"], share) if share else None,
            reason="hours",
        )
        self.give(lambda order: open_dispute(self.books.pool, order), order)

    @command("disputes", which=WHICH, withdrawn=st.booleans(), by=WHICH)
    def end_dispute(self, which: int, withdrawn: bool, by: int) -> None:
        found = self.pick("disputes", which)
        dispute = found["dispute_id"]
        person = self.client(by) if withdrawn else self.seller(by)
        order = EndDispute(
            **self.about(found["engagement_id"], f"{dispute}:end:{self.name('')}", person),
            dispute=dispute,
            state=DisputeState.WITHDRAWN if withdrawn else DisputeState.REJECTED,
            reason="as agreed",
        )
        self.give(lambda order: end_dispute(self.books.pool, order), order)

    @request("disputes", which=WHICH, share=SHARE, by=WHICH)
    def rule_on_dispute(self, which: int, share: str, by: int) -> Any:
        found = self.pick("disputes", which)
        order = RuleDispute(
            **self.asked(found["engagement_id"], self.anyone(by)),
            dispute=found["dispute_id"],
            upheld=self.part(found["amount_minor"], share),
            reason="half the hours",
        )
        return self.give(lambda order: rule_dispute(self.books.pool, order), order)

    @request("invoices", which=WHICH, share=SHARE, line=st.none() | WHICH, by=WHICH)
    def credit(self, which: int, share: str, line: int | None, by: int) -> Any:
        invoice = self.pick("invoices", which)
        lines = [each["line"] for each in invoice["lines"]]
        chosen = () if line is None else (lines[line % len(lines)],)
        creditable = invoice["open_minor"] + invoice["paid_minor"]
        return self._credit(invoice, self.part(creditable, share), self.anyone(by), chosen)

    @request("advances", which=WHICH, share=SHARE, by=WHICH)
    def credit_advance(self, which: int, share: str, by: int) -> Any:
        invoice = self.pick("advances", which)
        amount = self.part(invoice["not_deducted_minor"], share)
        return self._credit(invoice, amount, self.anyone(by), code=CreditReason.ADVANCE)

    def _credit(
        self,
        invoice: Row,
        amount: Money,
        by: str,
        lines: tuple[int, ...] = (),
        code: CreditReason = CreditReason.ERROR,
    ) -> Any:
        engagement = invoice["engagement_id"]
        order = RequestCredit(
            **self.asked(engagement, by),
            credit=f"eng.{engagement}.credit.{self.name('K')}",
            invoice=invoice["number"],
            lines=lines,
            amount=amount,
            code=code,
            reason="wrong rate",
        )
        return self.give(lambda order: request_credit(self.books.pool, order), order)

    @request("open", which=WHICH, share=SHARE, by=WHICH)
    def write_off(self, which: int, share: str, by: int) -> Any:
        invoice = self.pick("open", which)
        engagement = invoice["engagement_id"]
        order = RequestWriteOff(
            **self.asked(engagement, self.anyone(by)),
            write_off=f"eng.{engagement}.write-off.{self.name('W')}",
            invoice=invoice["number"],
            amount=self.part(invoice["open_minor"], share),
            reason="not worth the letter",
        )
        return self.give(lambda order: request_write_off(self.books.pool, order), order)

    # Advance, service credits, gain share.

    @command(clause="advance", which=WHICH, by=WHICH)
    def advance(self, which: int, by: int) -> None:
        self._advance(self.engagement(which).id, self.seller(by))

    def _advance(self, id: str, by: str) -> None:
        order = IssueAdvance(**self.about(id, f"eng.{id}.advance", by))
        self.give(Advances(self.books.pool).issue_advance, order)

    @request("invoices", clause="service_credits", which=WHICH, share=SHARE, by=WHICH)
    def credit_service(self, which: int, share: str, by: int) -> Any:
        invoice = self.pick("invoices", which)
        order = GrantServiceCredit(
            **self.asked(invoice["engagement_id"], self.anyone(by)),
            credit=self.name("SC"),
            invoice=invoice["number"],
            amount=self.part(self._service_credit_limit(), share),
            reason="answered late",
            evidence="ticket 7",
        )
        return self.give(ServiceCredits(self.books.pool).grant_service_credit, order)

    def _service_credit_limit(self) -> int:
        clause = self.contract.service_credits
        assert clause
        return self.contract.fee(clause.fee).amount.share(clause.limit).minor

    @request(
        clause="gain_share",
        which=WHICH,
        by=WHICH,
        period=st.sampled_from(["Q1", "Q2", "Q3"]),
        benefit=st.sampled_from(
            [-700_000_00, -40_000_00, 0, 333_333_33, 1_500_000_00, 4_000_000_00]
        ),
    )
    def share_gain(self, which: int, by: int, period: str, benefit: int) -> Any:
        order = ReportGainShare(
            **self.asked(self.engagement(which).id, self.anyone(by)),
            period=period,
            benefit=self.money(benefit),
            evidence="sha256:2",
        )
        return self.give(GainShares(self.books.pool).report_gain_share, order)

    # Change orders.

    @request(
        which=WHICH,
        milestone=WHICH,
        more=st.sampled_from(["1/10", "-1/7", "1/3", "-1/50"]),
        days=st.sampled_from([0, 20]),
        by=WHICH,
        retroactive=st.sampled_from([True, True, False]),
    )
    def change(
        self, which: int, milestone: int, more: str, days: int, by: int, retroactive: bool
    ) -> Any:
        if self.engagement(which).live_on:
            return None
        id = self.engagement(which).id
        contract = self.books.contract(id)
        terms = contract.milestones[milestone % len(contract.milestones)]
        day = (self.at + timedelta(days=days)).date()
        order = ProposeChange(
            **self.asked(id, self.client(by)),
            change=self.name("CO"),
            contract=amended(contract, terms.id, Fraction(more), day),
            retroactive=retroactive,
            reason="the scope changed",
        )
        return self.give(ChangeOrders(self.books.pool).propose_change, order)

    @command("changes", which=WHICH)
    def apply_change(self, which: int) -> None:
        change = self.pick("changes", which)
        id, due_at = change["change_id"], datetime.fromisoformat(change["due_at"])
        self._until(due_at)
        about = self.about(change["engagement_id"], f"{id}:apply", id) | {"at": due_at}
        self.give(ChangeOrders(self.books.pool).apply_change, ApplyChange(**about, change=id))

    # The books as a whole.

    @command(months=st.integers(1, 4), by=WHICH)
    def close_period(self, months: int, by: int) -> None:
        entity = self.contract.parties.consultant.entity
        year, month_of_year = divmod(self.now.year * 12 + self.now.month - 1 - months, 12)
        month = f"{year}-{month_of_year + 1:02}"
        order = ClosePeriod(
            key=f"books.{self.book.value}.{entity}.{month}:close",
            at=self.now,
            by=self.seller(by),
            book=self.book,
            entity=entity,
            month=month,
        )
        self.give(BooksAsAWhole(self.books.pool).close_period, order)

    @rule()
    def seal(self) -> None:
        async def sealed() -> None:
            async with transaction(self.books.pool) as connection:
                await seal(connection, self.book)

        self.books.run(sealed())
        self.written = self.books.fingerprint()

    @request("groups", which=WHICH, by=WHICH)
    def reverse(self, which: int, by: int) -> Any:
        group = self.pick("groups", which)
        about = self.asked(group["engagement_id"], self.anyone(by))
        order = AskReversal(**about, group=group["key"], reason="booked twice")
        return self.give(BooksAsAWhole(self.books.pool).ask_reversal, order)


def _final(answer: Any) -> bool:
    return answer is None or answer.final()


def _person(party: Party, which: int) -> str:
    return party.people[which % len(party.people)].id


def _go_live(contract: Contract) -> str:
    return next(milestone.id for milestone in contract.milestones if milestone.go_live)


def _altered(order: Any, contract: Contract) -> Any:
    """Another order under the same key."""
    changes: dict[str, Any]
    match order:
        case AddReading():
            changes = {"value": order.value + 1}
        case RecordReceipts(receipts=(receipt,)):
            more = receipt.amount + Money(1, receipt.amount.currency)
            changes = {"receipts": (receipt.model_copy(update={"amount": more}),)}
        case MatchReceipt():
            changes = {"receipt": f"{order.receipt}-2"}
        case AssignReceipt():
            changes = {"customer": f"{order.customer}-2"}
        case ReverseReceipt():
            changes = {"reason": "a mistake of the bank"}
        case SettleRefund():
            other = {RefundState.CONFIRMED, RefundState.FAILED} - {order.state}
            changes = {"state": other.pop()}
        case Order():
            other_person = next(
                person.id for person in contract.people().everyone if person.id != order.by
            )
            changes = {"by": other_person}
    return order.model_copy(update=changes)
