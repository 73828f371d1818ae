"""Why an amount of the contract is not billed yet: what it waits for, whom, since and until when."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import computed_field

from activities.postgres import Connection, Pool
from activities.readings import readings_of
from contracts.calendar import add_period
from contracts.contract import BetIndicator, Contract, FeeLine, Milestone, Role, SettlementWindow
from contracts.events import EventType
from contracts.fields import Title
from contracts.indicators import Indicator
from contracts.money import Money
from contracts.step_plan import Lead
from lifecycle.bet import Reading, Verdict, reading_for, stakes
from lifecycle.micro_consulting import LEADERS, SIGNATORIES
from lifecycle.milestone import Acceptance, MilestoneState
from lifecycle.orders import Assessed
from lifecycle.process import EngagementPhase
from tollkeeper.queries import (
    EngagementDetail,
    Happening,
    HoldBalance,
    Process,
    View,
    Waiting,
    contract_of,
    engagement_of,
    holds_of,
    money,
    snapshot,
)


class Reason(StrEnum):
    """Why an amount is not billed; the last two are final."""

    VALUE_POSITION = "value_position"
    STEP = "step"
    DECISION = "decision"
    PHASE = "phase"
    EVIDENCE = "evidence"
    ACCEPTANCE = "acceptance"
    GO_LIVE = "go_live"
    WINDOW = "window"
    READING = "reading"
    WORKING_DAYS = "working_days"
    REFUSED = "refused"
    BOOKING = "booking"
    SHELVED = "shelved"
    FORFEITED = "forfeited"


FINAL = (Reason.SHELVED, Reason.FORFEITED)


class Then(StrEnum):
    """What the engine does when the clock runs out."""

    REMINDER = "reminder"
    ESCALATION = "escalation"
    DEEMED_ACCEPTANCE = "deemed_acceptance"
    SETTLEMENT = "settlement"
    READINGS_OVERDUE = "readings_overdue"


class Awaited(Waiting):
    """What is waited for now, with the people who can end it; instants are in the contract's time zone."""

    people: tuple[str, ...]
    then: Then | None


class Unbilled(View):
    """An amount, net, that is not billed, or is invoiced on `invoice` and withheld by `hold`.

    `why` is its own condition; `awaited` is what is waited for now, which may come earlier on the
    line. `decision` is the key under which `explain` tells a forfeiture.
    """

    what: str
    title: Title
    fee: str
    clause: str
    amount: Money
    reason: Reason
    why: str
    awaited: Awaited | None = None
    hold: str | None = None
    invoice: str | None = None
    decision: str | None = None


class FeeSum(View):
    """One fee line or more, net. Always: amount == billed + waiting + never, `difference` is zero.

    `billed` is what the ledger has as invoiced and payable; `withheld` is the part of `waiting` that
    is invoiced already.
    """

    fees: tuple[str, ...]
    amount: Money
    billed: Money
    waiting: Money
    withheld: Money
    never: Money

    @computed_field  # type: ignore[prop-decorator]
    @property
    def difference(self) -> Money:
        return self.amount - self.billed - self.waiting - self.never


class ReasonSum(View):
    """All that is not billed for one reason, net."""

    reason: Reason
    amount: Money


class WhyNot(View):
    """Everything of an engagement that is not billed at `now`; what never will be stands apart."""

    engagement: str
    contract: str
    timezone: str
    phase: str
    now: datetime
    waiting: tuple[Unbilled, ...]
    never: tuple[Unbilled, ...]
    by_reason: tuple[ReasonSum, ...]
    fees: tuple[FeeSum, ...]
    total: FeeSum


@dataclass(frozen=True)
class Records:
    """What the database has on one engagement.

    `billed` is the net amount by fee line that is invoiced and not withheld, as the ledger has it;
    `booked` are the keys of the orders that billed, released or forfeited; `verdicts` are by window.
    """

    contract: Contract
    indicators: Mapping[str, Indicator]
    engagement: EngagementDetail
    now: datetime
    billed: Mapping[str, Money]
    booked: frozenset[str]
    verdicts: Mapping[str, Verdict]
    holds: Sequence[HoldBalance]
    readings: Sequence[Reading]
    events: Sequence[Happening]

    def id(self, *path: str) -> str:
        return ".".join(("eng", self.engagement.id, *path))

    def process(self, *path: str) -> Process | None:
        return next((p for p in self.engagement.processes if p.id == self.id(*path)), None)

    def milestone(self, terms: Milestone) -> Process | None:
        return self.process("milestone", terms.id)

    def is_billed(self, terms: Milestone) -> bool:
        return f"{self.id('milestone', terms.id)}:bill" in self.booked

    @property
    def given_up(self) -> bool:
        phases = (EngagementPhase.SHELVED, EngagementPhase.CLOSED)
        return self.engagement.proceeded_at is None and self.engagement.phase in phases


async def why_not(pool: Pool, engagement_id: str) -> WhyNot:
    """Each amount of an engagement's contract that is not billed, and why.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        records = await _records(connection, engagement_id)
    return compose(records)


def compose(records: Records) -> WhyNot:
    """The answer from what is on record alone."""
    found = [
        line
        for lines in (_micro_consulting(records), _milestones(records), _stakes(records))
        for line in lines
        if line.amount.minor
    ]
    contract = records.contract
    return WhyNot(
        engagement=records.engagement.id,
        contract=records.engagement.contract,
        timezone=contract.timezone,
        phase=records.engagement.phase,
        now=_local(records, records.now),
        waiting=tuple(line for line in found if line.reason not in FINAL),
        never=tuple(line for line in found if line.reason in FINAL),
        by_reason=tuple(
            ReasonSum(reason=reason, amount=_total(records, lines))
            for reason in Reason
            if (lines := [line for line in found if line.reason is reason])
        ),
        fees=tuple(_fee_sum(records, found, [fee]) for fee in contract.fees),
        total=_fee_sum(records, found, contract.fees),
    )


def _fee_sum(records: Records, found: Sequence[Unbilled], fees: Sequence[FeeLine]) -> FeeSum:
    nothing = Money(0, records.contract.currency)
    names = tuple(fee.id for fee in fees)
    lines = [line for line in found if line.fee in names]
    waiting = [line for line in lines if line.reason not in FINAL]
    return FeeSum(
        fees=names,
        amount=sum((fee.amount for fee in fees), nothing),
        billed=sum((records.billed.get(name, nothing) for name in names), nothing),
        waiting=_total(records, waiting),
        withheld=_total(records, (line for line in waiting if line.invoice)),
        never=_total(records, (line for line in lines if line.reason in FINAL)),
    )


def _total(records: Records, lines: Iterable[Unbilled]) -> Money:
    return sum((line.amount for line in lines), Money(0, records.contract.currency))


# Each part of the contract, in its order.


def _micro_consulting(records: Records) -> Iterator[Unbilled]:
    """The fee, until the last step is done and it is invoiced."""
    terms = records.contract.micro_consulting
    path = ("micro", terms.product)
    if f"{records.id(*path)}:fee" in records.booked:
        return
    fee, process = records.contract.fee(terms.fee), records.process(*path)
    if records.engagement.phase == EngagementPhase.VALUE_POSITIONING:
        reason, why = Reason.VALUE_POSITION, "both answers on the value position agree first"
    elif process and process.state == "gate open":
        reason, why = Reason.BOOKING, "every step is done, its invoice is being booked"
    else:
        reason, why = Reason.STEP, "every step of micro-consulting is done first"
    reason, why = _obstacle(process) or (reason, why)
    yield Unbilled(
        what="micro-consulting",
        title=fee.title,
        fee=fee.id,
        clause=fee.clause,
        amount=fee.amount,
        reason=reason,
        why=why,
        awaited=_front(records),
    )


def _milestones(records: Records) -> Iterator[Unbilled]:
    """Each milestone, until it is accepted and invoiced."""
    for terms in records.contract.milestones:
        if not records.is_billed(terms):
            reason, why = _why_not_accepted(records, terms)
            process = records.milestone(terms)
            yield Unbilled(
                what=f"milestone {terms.id}",
                title=terms.title,
                fee=terms.fee,
                clause=terms.clause,
                amount=terms.amount,
                reason=reason,
                why=why,
                awaited=_awaited(records, process)
                if process
                else _front(records, _before(records, terms)),
            )


def _why_not_accepted(records: Records, terms: Milestone) -> tuple[Reason, str]:
    process = records.milestone(terms)
    if process is None:
        before = _before(records, terms)
        begins = f"phase {terms.phase.value} begins when {_ids(before)} billed"
        return _not_proceeded(records) or (Reason.PHASE, begins)
    if obstacle := _obstacle(process):
        return obstacle
    match MilestoneState(process.state):
        case MilestoneState.IN_DELIVERY:
            return Reason.EVIDENCE, _missing_evidence(records, terms, process)
        case MilestoneState.IN_ACCEPTANCE:
            return Reason.ACCEPTANCE, "handed in, neither accepted nor rejected"
        case MilestoneState.ACCEPTED | MilestoneState.BILLED:
            return Reason.BOOKING, "accepted, its invoice is being booked"
        case MilestoneState.WITHDRAWN:
            return Reason.BOOKING, "withdrawn by a change order that is being booked"


def _missing_evidence(records: Records, terms: Milestone, process: Process) -> str:
    missing = f"evidence is missing: {', '.join(terms.evidence)}"
    for event in reversed(records.events):
        if event.process == process.id and event.type is EventType.MILESTONE_REJECTED:
            return f"rejected ({'; '.join(event.facts['reasons'])}), {missing}"
    return missing


def _stakes(records: Records) -> Iterator[Unbilled]:
    """Each indicator's part of the holdback, until the verdict of its window is booked."""
    contract = records.contract
    bet = contract.bet(contract.holdback.bet)
    parts = stakes(contract, bet)
    for window in bet.windows:
        if isinstance(window, SettlementWindow):
            verdict = records.verdicts.get(window.id)
            for name in window.settles:
                terms = bet.indicator(name)
                if verdict is None:
                    reason, why, awaited = _why_not_settled(records, window, name)
                    yield _stake(records, terms, parts[name], reason, why, awaited)
                else:
                    yield from _decided(records, window, terms, verdict)


def _decided(
    records: Records, window: SettlementWindow, terms: BetIndicator, verdict: Verdict
) -> Iterator[Unbilled]:
    """What a verdict took for good, and what it gave while that is not booked yet."""
    (part,) = (each for each in verdict.indicators if each.indicator == terms.indicator)
    bet = records.id("bet", records.contract.holdback.bet)
    if f"{bet}:{window.id}:release" not in records.booked:
        process = records.process("bet", records.contract.holdback.bet)
        won = (Reason.BOOKING, f"won in window {window.id}, its release is being booked")
        reason, why = _obstacle(process) or won
        awaited = _awaited(records, process) if process else None
        yield _stake(records, terms, part.released, reason, why, awaited)
    forfeit = f"{bet}:{window.id}:forfeit"
    lost = _stake(
        records,
        terms,
        part.forfeited,
        Reason.FORFEITED,
        f"lost in window {window.id}: {part.explanation.what}",
        None,
    )
    yield lost.model_copy(update={"decision": forfeit if forfeit in records.booked else None})


def _stake(
    records: Records,
    terms: BetIndicator,
    amount: Money,
    reason: Reason,
    why: str,
    awaited: Awaited | None,
) -> Unbilled:
    holdback = records.contract.holdback
    hold = next((hold for hold in records.holds if hold.bet == holdback.bet), None)
    return Unbilled(
        what=f"stake {terms.indicator}",
        title=records.indicators[terms.indicator].name,
        fee=holdback.fee,
        clause=terms.clause,
        amount=amount,
        reason=reason,
        why=why,
        awaited=awaited,
        hold=hold.id if hold else None,
        invoice=hold.invoice if hold else None,
    )


def _why_not_settled(
    records: Records, window: SettlementWindow, name: str
) -> tuple[Reason, str, Awaited | None]:
    process = records.process("bet", records.contract.holdback.bet)
    if process is None:
        before = [m for m in records.contract.milestones if not records.is_billed(m)]
        live = (Reason.GO_LIVE, f"the bet starts at go-live, when {_ids(before)} billed")
        return *(_not_proceeded(records) or live), _front(records, before)
    started_on = date.fromisoformat(process.detail["started_on"])
    runs = _window_runs(records, process, window, started_on)
    if runs.due_at and runs.due_at > records.now:
        return Reason.WINDOW, runs.why, runs
    because = _obstacle(process) or _why_not_read(records, process, window, name, started_on)
    return *because, _awaited(records, process)


def _window_runs(
    records: Records, process: Process, window: SettlementWindow, started_on: date
) -> Awaited:
    """A stake waits for its own window, also while the bet still waits for an earlier one."""
    (go_live,) = (terms for terms in records.contract.milestones if terms.go_live)
    accepted = records.milestone(go_live)
    assert accepted
    ends_on = add_period(started_on, window.after)
    return Awaited(
        process=process.id,
        for_whom="calendar",
        why=f"window {window.id} runs until {ends_on}",
        since=_local(records, Acceptance.model_validate(accepted.detail["acceptance"]).at),
        due_at=_local(records, records.contract.working_calendar().end_of_day(ends_on)),
        overdue=False,
        people=(),
        then=Then.SETTLEMENT,
    )


def _why_not_read(
    records: Records, process: Process, window: SettlementWindow, name: str, started_on: date
) -> tuple[Reason, str]:
    """Which reading is missing, or too small to count (sr-sample); a window settles as one."""
    if process.state != f"window {window.id}":
        return Reason.READING, f"window {window.id} is over, but {process.state} comes first"

    def read(indicator: Indicator) -> Reading | None:
        return reading_for(window, started_on, indicator, records.readings)

    missing = [each for each in window.settles if read(records.indicators[each]) is None]
    if not missing:
        return Reason.BOOKING, f"measured, the verdict of window {window.id} is being booked"
    if name not in missing:
        others = f"window {window.id} has no reading of {', '.join(missing)}"
        return Reason.READING, f"measured, but {others}"
    indicator = records.indicators[name]
    if small := read(indicator.model_copy(update={"min_sample": 0})):
        return Reason.READING, (
            f"the sample of the reading of {small.measured_on} is too small: found {small.sample}, "
            f"expected {indicator.min_sample} or more"
        )
    return Reason.READING, f"no reading in the last {window.reading_within} of window {window.id}"


def _not_proceeded(records: Records) -> tuple[Reason, str] | None:
    """Before both signed PROCEED nothing but the micro-consulting can be earned (INV-05)."""
    if records.given_up:
        closed = records.engagement.phase == EngagementPhase.CLOSED
        ever = "closed without PROCEED" if closed else "unless the business lead resumes it"
        return Reason.SHELVED, f"the engagement is shelved, {ever}"
    if records.engagement.proceeded_at is None:
        return Reason.DECISION, f"{' and '.join(SIGNATORIES)} sign PROCEED first"
    return None


def _obstacle(process: Process | None) -> tuple[Reason, str] | None:
    """What stops a process wherever it stands: a refused order, or a year without working days."""
    match process and process.waiting:
        case Waiting(for_whom="operations", why=why):
            return Reason.REFUSED, why
        case Waiting(for_whom="calendar", overdue=True, why=why):
            return Reason.WORKING_DAYS, why
    return None


def _before(records: Records, terms: Milestone) -> list[Milestone]:
    """The milestones of earlier phases that are still to be billed."""
    return [
        earlier
        for earlier in records.contract.milestones
        if earlier.phase is not terms.phase and not records.is_billed(earlier)
    ]


# Who is waited for, and until when.


def _front(records: Records, before: Sequence[Milestone] = ()) -> Awaited | None:
    """What the line as a whole waits for: an earlier milestone, micro-consulting, the engagement."""
    line = [
        *(records.milestone(terms) for terms in before),
        *(p for p in records.engagement.processes if p.kind == "micro_consulting"),
        records.process(),
    ]
    return next((_awaited(records, p) for p in line if p and p.waiting), None)


def _awaited(records: Records, process: Process) -> Awaited | None:
    wait = process.waiting
    if wait is None:
        return None
    for_whom, roles = _who(records, wait)
    here = {
        "for_whom": for_whom,
        "since": _local(records, wait.since),
        "due_at": wait.due_at and _local(records, wait.due_at),
    }
    everyone = records.contract.people().everyone
    return Awaited(
        **wait.model_dump() | here,
        people=tuple(person.id for person in everyone if set(roles) & set(person.roles)),
        then=_then(records, process, wait),
    )


def _who(records: Records, wait: Waiting) -> tuple[str, tuple[Role, ...]]:
    """Whom a process waits for, without those who have signed, and the roles that can end the wait."""
    match wait.for_whom:
        case "readings":
            return wait.for_whom, (Role.IT_LEAD,)
        case "calendar":
            return wait.for_whom, (Role.DELIVERY_LEAD,) if wait.overdue else ()
        case Lead.CLIENT.value | Lead.CONSULTANT.value as lead:
            return lead, LEADERS[Lead(lead)]
        case names:
            signed = _signed(records, wait.process)
            roles = tuple(Role(name) for name in names.split(" and ") if name in set(Role))
            left = tuple(role for role in roles if role not in signed)
            return " and ".join(left) or names, left


def _signed(records: Records, process: str) -> set[str]:
    """The roles whose signatures stand at the gate of a process."""
    signed: set[str] = set()
    for event in records.events:
        if event.process == process and event.type is EventType.DECISION_SIGNED:
            signed.add(event.facts["role"])
        elif event.process == process and event.type in (
            EventType.DECISION_SPLIT,
            EventType.REWORK_ORDERED,
        ):
            signed.clear()
    return signed


def _then(records: Records, process: Process, wait: Waiting) -> Then | None:
    if wait.due_at is None:
        return None
    match process.kind:
        case "micro_consulting":
            return Then.ESCALATION if _reminded(records, wait) else Then.REMINDER
        case "milestone":
            deemed = records.contract.milestone(process.subject).acceptance.deemed
            return Then.DEEMED_ACCEPTANCE if deemed else Then.ESCALATION
        case "value_bet" if wait.for_whom == "readings":
            return Then.READINGS_OVERDUE
    return None


def _reminded(records: Records, wait: Waiting) -> bool:
    """Whether the first of the two clocks of this wait has run out already."""
    return any(
        event.type is EventType.REMINDER_RAISED
        and event.process == wait.process
        and event.facts["why"] == wait.why
        and datetime.fromisoformat(event.facts["since"]) == wait.since
        for event in records.events
    )


def _local(records: Records, instant: datetime) -> datetime:
    return instant.astimezone(ZoneInfo(records.contract.timezone))


def _ids(milestones: Sequence[Milestone]) -> str:
    names = ", ".join(terms.id for terms in milestones) or "every milestone"
    return f"{names} {'are' if len(milestones) > 1 else 'is'}"


# What is on record.


async def _records(connection: Connection, engagement_id: str) -> Records:
    contract = await contract_of(connection, engagement_id)
    engagement = await engagement_of(connection, engagement_id)
    indicators = await connection.fetchval(
        """
        select c.indicators from engagement e join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        where engagement_id = $1
        """,
        engagement_id,
    )
    booked = await connection.fetch(
        """
        select key from invoice where engagement_id = $1
        union all
        select m.key from hold_movement m join hold using (hold_id) where engagement_id = $1
        """,
        engagement_id,
    )
    holds = await holds_of(connection, engagement_id)
    known = [Indicator.model_validate(entry) for entry in indicators]
    return Records(
        contract=contract,
        indicators={indicator.id: indicator for indicator in known},
        engagement=engagement,
        now=engagement.clock_now or datetime.now(UTC),
        billed=await _billed(connection, engagement_id, contract, holds),
        booked=frozenset(row["key"] for row in booked),
        verdicts=await _verdicts(connection, engagement_id, contract),
        holds=holds,
        readings=await readings_of(connection, engagement_id),
        events=await _events(connection, engagement_id),
    )


async def _billed(
    connection: Connection, engagement_id: str, contract: Contract, holds: Sequence[HoldBalance]
) -> dict[str, Money]:
    """By fee line: earned less still unbilled less taken back, less what an invoice withholds."""
    rows = await connection.fetch(
        """
        select fee, sum(case side when 'C' then amount_minor else -amount_minor end) as minor
        from posting p join journal_group g on g.id = p.group_id
        where g.engagement_id = $1 and account in ('1200', '4000', '4020', '4090') group by fee
        """,
        engagement_id,
    )
    billed = {row["fee"]: money(row["minor"], contract.currency) for row in rows}
    for hold in holds:
        if hold.invoice:
            billed[hold.fee] -= hold.held
    return billed


async def _verdicts(
    connection: Connection, engagement_id: str, contract: Contract
) -> dict[str, Verdict]:
    bet = contract.bet(contract.holdback.bet)
    keys = [
        f"eng.{engagement_id}.bet.{bet.id}:{window.id}:verdict"
        for window in bet.windows
        if isinstance(window, SettlementWindow)
    ]
    rows = await connection.fetch("select window_id, result from verdict where key = any($1)", keys)
    found = {row["window_id"]: Assessed.model_validate(row["result"]).verdict for row in rows}
    return {window: verdict for window, verdict in found.items() if verdict}


async def _events(connection: Connection, engagement_id: str) -> list[Happening]:
    """The events that tell how far a wait has come."""
    rows = await connection.fetch(
        """
        select workflow_id as process, type, occurred_at, actor, command_id, facts
        from event where engagement_id = $1 and type = any($2) order by id
        """,
        engagement_id,
        [
            EventType.REMINDER_RAISED,
            EventType.DECISION_SIGNED,
            EventType.DECISION_SPLIT,
            EventType.REWORK_ORDERED,
            EventType.MILESTONE_REJECTED,
        ],
    )
    return [Happening(**dict(row)) for row in rows]
