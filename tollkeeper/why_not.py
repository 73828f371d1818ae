"""Why an amount is not billed, or billed and not to be paid yet: what it waits for, whom, until when."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import computed_field

from activities.postgres import Pool
from contracts.calendar import add_period
from contracts.commercial import Decision, HoldEffect, HoldKind
from contracts.contract import BetIndicator, FeeLine, Milestone, Role, SettlementWindow
from contracts.events import EventType
from contracts.fields import Title, percent, short_id
from contracts.indicators import Indicator
from contracts.money import Money, allocate
from contracts.step_plan import Lead
from contracts.words.values import period
from lifecycle.advance import recoverable
from lifecycle.approval import Request, RequestState, missing, with_authority
from lifecycle.bet import Reading, Verdict, reading_for, stakes
from lifecycle.hold import OPEN, HoldState
from lifecycle.invoice import Purpose
from lifecycle.ledger import Account
from lifecycle.micro_consulting import LEADERS, SIGNATORIES
from lifecycle.milestone import Acceptance, MilestoneState
from lifecycle.process import EngagementPhase
from lifecycle.tax import Prices
from tollkeeper.on_record import Claim, Records, TakenBack, records_of
from tollkeeper.views.base import View, snapshot
from tollkeeper.views.engagements import Process, Waiting
from tollkeeper.views.holds import HoldBalance


class Reason(StrEnum):
    """Why an amount is not billed, or not to be paid yet; the last three are final."""

    VALUE_POSITION = "value_position"
    STEP = "step"
    DECISION = "decision"
    PHASE = "phase"
    EVIDENCE = "evidence"
    ACCEPTANCE = "acceptance"
    HOLD = "hold"
    GO_LIVE = "go_live"
    WINDOW = "window"
    READING = "reading"
    APPROVAL = "approval"
    RETENTION = "retention"
    DISPUTE = "dispute"
    ADVANCE = "advance"
    WORKING_DAYS = "working_days"
    REFUSED = "refused"
    BOOKING = "booking"
    SHELVED = "shelved"
    FORFEITED = "forfeited"
    CREDITED = "credited"


FINAL = (Reason.SHELVED, Reason.FORFEITED, Reason.CREDITED)


class Then(StrEnum):
    """What the engine does when the clock runs out."""

    REMINDER = "reminder"
    ESCALATION = "escalation"
    DEEMED_ACCEPTANCE = "deemed_acceptance"
    SETTLEMENT = "settlement"
    READINGS_OVERDUE = "readings_overdue"
    DECISION_DUE = "decision_due"
    RELEASE = "release"
    FORFEITURE = "forfeiture"
    EXPIRY = "expiry"
    IN_FORCE = "in_force"


class Awaited(Waiting):
    """What is waited for now, with the people who can end it; instants are in the contract's time zone."""

    people: tuple[str, ...]
    then: Then | None


class Unbilled(View):
    """An amount that is not billed, in the contract's prices: net, unless its fee has the tax inside.

    `why` is its own condition; `awaited` is what is waited for now, which may come earlier on the
    line. `decision` is the key under which `explain` tells a forfeiture, `document` what took it back.
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
    decision: str | None = None
    document: str | None = None


class Unsettled(View):
    """A part of what is billed that is not to be paid yet, or may have to be given back."""

    what: str
    amount: Money
    reason: Reason
    why: str
    clause: str | None = None
    invoice: str | None = None
    hold: str | None = None
    awaited: Awaited | None = None


class Asked(View):
    """A decision about money that is asked for, or a change order that both sides signed."""

    id: str
    decision: Decision
    subject: str
    amount: Money
    basis: Prices
    """Whether `amount` is net or gross."""
    requested_by: str
    awaited: Awaited


class FeeSum(View):
    """One fee line or more. Always: amount == billed + waiting + never, `difference` is zero.

    `billed` is what the ledger counts as billed, less what was credited.
    """

    fees: tuple[str, ...]
    amount: Money
    billed: Money
    waiting: Money
    never: Money

    @computed_field  # type: ignore[prop-decorator]
    @property
    def difference(self) -> Money:
        return self.amount - self.billed - self.waiting - self.never


class ReasonSum(View):
    """All that is not billed for one reason."""

    reason: Reason
    amount: Money


class WhyNot(View):
    """Everything of an engagement that is not billed at `now`, or billed and not settled for good.

    `not_payable` is gross: what invoices retain, withhold or have in dispute. `returnable` is net:
    what may be claimed back, and the rest of an advance. `asked` is what waits for signatures.
    """

    engagement: str
    contract: str
    timezone: str
    phase: str
    now: datetime
    waiting: tuple[Unbilled, ...]
    never: tuple[Unbilled, ...]
    not_payable: tuple[Unsettled, ...]
    returnable: tuple[Unsettled, ...]
    asked: tuple[Asked, ...]
    by_reason: tuple[ReasonSum, ...]
    fees: tuple[FeeSum, ...]
    total: FeeSum


async def why_not(pool: Pool, engagement_id: str) -> WhyNot:
    """Each amount of an engagement that is not billed, or not to be paid yet, and why.

    Raises:
        NotFound: no such engagement.
    """
    async with snapshot(pool) as connection:
        records = await records_of(connection, engagement_id)
    return compose(records)


def compose(records: Records) -> WhyNot:
    """The answer from what is on record alone."""
    undecided, lost = _stakes(records)
    not_billed = [] if _is_invoiced(records) else undecided
    parts = (
        _micro_consulting(records),
        _milestones(records),
        not_billed,
        lost,
        _taken_back(records),
    )
    found = [line for lines in parts for line in lines if line.amount.minor]
    contract = records.contract
    return WhyNot(
        engagement=records.engagement.id,
        contract=records.engagement.contract,
        timezone=contract.timezone,
        phase=records.engagement.phase,
        now=_local(records, records.now),
        waiting=tuple(line for line in found if line.reason not in FINAL),
        never=tuple(line for line in found if line.reason in FINAL),
        not_payable=tuple(_unsettled(records, undecided, NOT_PAYABLE)),
        returnable=tuple(_unsettled(records, undecided, RETURNABLE)),
        asked=tuple(_asked(records)),
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
    return FeeSum(
        fees=names,
        amount=sum((fee.amount for fee in fees), nothing),
        billed=sum((records.billed.get(name, nothing) for name in names), nothing),
        waiting=_total(records, (line for line in lines if line.reason not in FINAL)),
        never=_total(records, (line for line in lines if line.reason in FINAL)),
    )


def _total(records: Records, lines: Iterable[Unbilled]) -> Money:
    return _sum(records, (line.amount for line in lines))


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
    """Each line of each milestone, until it is accepted and invoiced; what is held of it apart."""
    for terms in records.contract.milestones:
        held = _blocking(records, terms)
        lost = [each for each in records.lost if records.hold(each.hold).milestone == terms.id]
        apart = _sum(records, (*(hold.held for hold in held), *(each.amount for each in lost)))
        if not records.is_billed(terms):
            reason, why = _why_not_accepted(records, terms)
            for position, line in enumerate(records.contract.lines_of(terms.id), start=1):
                yield Unbilled(
                    what=f"milestone {terms.id}" + (f", line {position}" if position > 1 else ""),
                    title=line.title,
                    fee=line.fee,
                    clause=line.clause,
                    amount=line.amount if position > 1 else line.amount - apart,
                    reason=reason,
                    why=why,
                    awaited=_awaited_for(records, terms, reason),
                )
        for hold in held:
            yield _of_hold(
                terms, hold, hold.held, Reason.HOLD, _held(hold), _awaited_about(records, hold)
            )
        for each in lost:
            why = f"forfeited by {each.decided_by}"
            line_lost = _of_hold(
                terms, records.hold(each.hold), each.amount, Reason.FORFEITED, why, None
            )
            yield line_lost.model_copy(update={"decision": each.key})


def _blocking(records: Records, terms: Milestone) -> list[HoldBalance]:
    """The holds that keep a milestone from being invoiced."""
    return [
        hold
        for hold in records.holds
        if hold.milestone == terms.id and hold.state in OPEN and hold.held.minor
    ]


def _of_hold(
    terms: Milestone,
    hold: HoldBalance,
    amount: Money,
    reason: Reason,
    why: str,
    awaited: Awaited | None,
) -> Unbilled:
    return Unbilled(
        what=f"milestone {terms.id}, hold {short_id(hold.id)}",
        title=terms.title,
        fee=terms.fee,
        clause=hold.clause,
        amount=amount,
        reason=reason,
        why=why,
        awaited=awaited,
        hold=hold.id,
    )


def _held(hold: HoldBalance) -> str:
    """Why it is held, and how far its clocks have come."""
    if hold.disputed:
        return f"{hold.reason}; disputed, its clocks stand still"
    match hold.state:
        case HoldState.CURING:
            return f"{hold.reason}; cure notice served"
        case HoldState.DECISION_DUE:
            return f"{hold.reason}; to be released or forfeited"
        case _:
            return hold.reason


def _awaited_for(records: Records, terms: Milestone, reason: Reason) -> Awaited | None:
    process = records.milestone(terms)
    if process is None:
        return _front(records, _before(records, terms))
    if reason is Reason.HOLD:
        waits = (_awaited_about(records, hold) for hold in _blocking(records, terms))
        return next((wait for wait in waits if wait), None)
    return _awaited(records, process)


def _why_not_accepted(records: Records, terms: Milestone) -> tuple[Reason, str]:
    process = records.milestone(terms)
    if process is None:
        before = _before(records, terms)
        begins = f"phase {terms.phase.value} begins when {_ids(before)} accepted"
        return _not_proceeded(records) or (Reason.PHASE, begins)
    if obstacle := _obstacle(process):
        return obstacle
    match MilestoneState(process.state):
        case MilestoneState.IN_DELIVERY:
            return Reason.EVIDENCE, _missing_evidence(records, terms, process)
        case MilestoneState.IN_ACCEPTANCE:
            return Reason.ACCEPTANCE, "handed in, neither accepted nor rejected"
        case MilestoneState.ACCEPTED | MilestoneState.BILLED:
            if held := _blocking(records, terms):
                names = ", ".join(short_id(hold.id) for hold in held)
                return Reason.HOLD, f"accepted, not invoiced while held by {names}"
            return Reason.BOOKING, "accepted, its invoice is being booked"
        case MilestoneState.WITHDRAWN:
            return Reason.BOOKING, "withdrawn by a change order that is being booked"


def _missing_evidence(records: Records, terms: Milestone, process: Process) -> str:
    missing = f"evidence is missing: {', '.join(terms.evidence)}"
    for event in reversed(records.events):
        if event.process == process.id and event.type is EventType.MILESTONE_REJECTED:
            return f"rejected ({'; '.join(event.facts['reasons'])}), {missing}"
    return missing


def _stakes(records: Records) -> tuple[list[Unbilled], list[Unbilled]]:
    """Each indicator's part of the holdback that is not decided yet, and what was lost of it."""
    contract = records.contract
    bet = contract.bet(contract.holdback.bet)
    parts = stakes(contract, bet)
    undecided: list[Unbilled] = []
    lost: list[Unbilled] = []
    for window in bet.windows:
        if isinstance(window, SettlementWindow):
            verdict = records.verdicts.get(window.id)
            for name in window.settles:
                terms = bet.indicator(name)
                if verdict is None:
                    why = _why_not_settled(records, window, name)
                    undecided.append(_stake(records, terms, parts[name], *why))
                else:
                    undecided += _undecided(records, window, terms, verdict)
                    lost += _lost(records, window, terms, verdict)
    return [stake for stake in undecided if stake.amount.minor], lost


def _undecided(
    records: Records, window: SettlementWindow, terms: BetIndicator, verdict: Verdict
) -> Iterator[Unbilled]:
    """What a verdict gave and took while that is not booked yet."""
    (part,) = (each for each in verdict.indicators if each.indicator == terms.indicator)
    gain, loss = _decision_keys(records, window)
    won = gain in records.booked or not verdict.released.minor
    for key, amount, what in ((gain, part.released, "won"), (loss, part.forfeited, "lost")):
        if key not in records.booked:
            # The loss is asked for when the gain is decided.
            waits_for = key if won else gain
            yield _stake(records, terms, amount, *_deciding(records, window, waits_for, what))


def _deciding(
    records: Records, window: SettlementWindow, key: str, what: str
) -> tuple[Reason, str, Awaited | None]:
    """How far the decision that a verdict asks for has come."""
    process = records.process("bet", records.contract.holdback.bet)
    awaited = _awaited(records, process) if process else None
    given = f"{what} in window {window.id}"
    latest = [request for request in records.requests if request.effect_key == key][-1:]
    if obstacle := _obstacle(process):
        return *obstacle, awaited
    for request in latest:
        name = short_id(request.id)
        if request.state is RequestState.PENDING:
            why = f"{given}, asked to be decided as {name}"
            return Reason.APPROVAL, why, _signatures(records, request)
        if request.state is not RequestState.APPROVED:
            ended = f"{request.state.value} by {request.decided_by}: {request.reason}"
            return Reason.APPROVAL, f"{given}, {name} was {ended}; to be asked again", awaited
    return Reason.BOOKING, f"{given}, its decision is being booked", awaited


def _lost(
    records: Records, window: SettlementWindow, terms: BetIndicator, verdict: Verdict
) -> Iterator[Unbilled]:
    """What a verdict took for good."""
    (part,) = (each for each in verdict.indicators if each.indicator == terms.indicator)
    _, key = _decision_keys(records, window)
    if key in records.booked:
        why = f"lost in window {window.id}: {part.explanation.what}"
        stake = _stake(records, terms, part.forfeited, Reason.FORFEITED, why, None)
        yield stake.model_copy(update={"decision": key})


def _decision_keys(records: Records, window: SettlementWindow) -> tuple[str, str]:
    bet = records.id("bet", records.contract.holdback.bet)
    return f"{bet}:{window.id}:release", f"{bet}:{window.id}:forfeit"


def _stake(
    records: Records,
    terms: BetIndicator,
    amount: Money,
    reason: Reason,
    why: str,
    awaited: Awaited | None,
) -> Unbilled:
    hold = _bet_hold(records)
    return Unbilled(
        what=f"stake {terms.indicator}",
        title=records.indicators[terms.indicator].name,
        fee=records.contract.holdback.fee,
        clause=terms.clause,
        amount=amount,
        reason=reason,
        why=why,
        awaited=awaited,
        hold=hold.id if hold else None,
    )


def _bet_hold(records: Records) -> HoldBalance | None:
    bet = records.contract.holdback.bet
    return next((hold for hold in records.holds if hold.bet == bet), None)


def _is_invoiced(records: Records) -> bool:
    """Whether the stakes were invoiced when their hold was placed."""
    hold = _bet_hold(records)
    return hold is not None and hold.effect is not HoldEffect.BLOCK_INVOICING


def _taken_back(records: Records) -> Iterator[Unbilled]:
    """What documents took back of a fee line, or billed of it again."""
    for each in records.taken_back:
        fee = records.contract.fee(each.fee)
        yield Unbilled(
            what=f"fee {each.fee}",
            title=fee.title,
            fee=each.fee,
            clause=each.clause,
            amount=each.amount,
            reason=Reason.FORFEITED if each.purpose == Purpose.FORFEIT else Reason.CREDITED,
            why=_how_taken(each),
            document=each.number,
        )


def _how_taken(each: TakenBack) -> str:
    if each.amount.minor < 0:
        return "billed again"
    purpose = each.purpose.replace("_", " ")
    return f"credited on {each.corrects}: {purpose}" if each.corrects else f"credited: {purpose}"


def _why_not_settled(
    records: Records, window: SettlementWindow, name: str
) -> tuple[Reason, str, Awaited | None]:
    process = records.process("bet", records.contract.holdback.bet)
    if process is None:
        before = _to_be_accepted(records)
        live = (Reason.GO_LIVE, f"the bet starts at go-live, when {_ids(before)} accepted")
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


def _to_be_accepted(records: Records) -> list[Milestone]:
    return [terms for terms in records.contract.milestones if not records.is_accepted(terms)]


def _before(records: Records, terms: Milestone) -> list[Milestone]:
    """The milestones of earlier phases that are still to be accepted."""
    return [each for each in _to_be_accepted(records) if each.phase is not terms.phase]


# What is billed, and not settled for good.

NOT_PAYABLE = (
    Account.RECEIVABLE_RETAINED,
    Account.RECEIVABLE_WITHHELD,
    Account.RECEIVABLE_DISPUTED,
)
RETURNABLE = (Account.REFUND_LIABILITY, Account.ADVANCES)


def _unsettled(
    records: Records, stakes: Sequence[Unbilled], accounts: Sequence[Account]
) -> Iterator[Unsettled]:
    """What stands on these accounts, with what it waits for."""
    for claim in records.claims:
        match Account(claim.account):
            case account if account not in accounts:
                continue
            case Account.RECEIVABLE_DISPUTED:
                yield _in_dispute(records, claim)
            case Account.ADVANCES:
                yield from _advance(records, claim)
            case _:
                hold = records.hold(claim.hold or "")
                if hold.bet is not None:
                    yield from _held_stakes(hold, claim, stakes)
                else:
                    yield _held_claim(records, hold, claim)


def _held_stakes(
    hold: HoldBalance, claim: Claim, stakes: Sequence[Unbilled]
) -> Iterator[Unsettled]:
    """The claim of a bet, by the stakes that are not decided."""
    if not stakes:
        return
    amounts = allocate(claim.amount, [stake.amount.exact for stake in stakes])
    for stake, amount in zip(stakes, amounts, strict=True):
        yield Unsettled(
            what=stake.what,
            amount=amount,
            reason=stake.reason,
            why=stake.why,
            clause=stake.clause,
            invoice=hold.invoice,
            hold=hold.id,
            awaited=stake.awaited,
        )


def _held_claim(records: Records, hold: HoldBalance, claim: Claim) -> Unsettled:
    retained = hold.kind is HoldKind.RETENTION
    return Unsettled(
        what=f"{'retention' if retained else 'hold'} {short_id(hold.id)}",
        amount=claim.amount,
        reason=Reason.RETENTION if retained else Reason.HOLD,
        why=_steps(records) if retained else _held(hold),
        clause=hold.clause,
        invoice=claim.invoice or hold.invoice,
        hold=hold.id,
        awaited=_awaited_about(records, hold)
        or (_front(records, _to_be_accepted(records)) if retained else None),
    )


def _steps(records: Records) -> str:
    retention = records.contract.retention
    steps = retention.release if retention else ()
    each = ", ".join(
        f"{percent(step.share)} {period(step.after).en} after go-live" for step in steps
    )
    return f"to be paid {each}"


def _in_dispute(records: Records, claim: Claim) -> Unsettled:
    (dispute,) = (each for each in records.disputes if each.id == claim.item)
    rulings = (
        request
        for request in _pending(records, dispute.id)
        if request.decision is Decision.DISPUTE_RULING
    )
    ruling = next(rulings, None)
    return Unsettled(
        what=f"dispute {short_id(dispute.id)}",
        amount=claim.amount,
        reason=Reason.DISPUTE,
        why=f"{dispute.reason}, raised by {dispute.raised_by}",
        invoice=claim.invoice,
        awaited=_signatures(records, ruling)
        if ruling
        else Awaited(
            process=dispute.id,
            for_whom="ruling",
            why="withdrawn, rejected or upheld",
            since=_local(records, dispute.raised_at),
            due_at=None,
            overdue=False,
            people=(),
            then=None,
        ),
    )


def _advance(records: Records, claim: Claim) -> Iterator[Unsettled]:
    """What the milestones to come deduct, and apart from it what they do not come to."""
    advance = records.contract.advance
    rest = Unsettled(
        what=f"advance {claim.item}",
        amount=claim.amount,
        reason=Reason.ADVANCE,
        why="no milestone to come deducts it; `tollkeeper credit` gives it back",
        clause=advance.clause if advance else None,
        invoice=claim.invoice,
    )
    before = [m for m in records.contract.milestones if not records.is_billed(m)]
    deducted = min(_to_be_deducted(records, before), claim.amount, key=lambda each: each.minor)
    if advance and deducted.minor:
        why = f"deducted by {percent(advance.recovered)} of the milestones to come"
        later = {"amount": deducted, "why": why}
        yield rest.model_copy(update=later | {"awaited": _front(records, before)})
    if (claim.amount - deducted).minor:
        yield rest.model_copy(update={"amount": claim.amount - deducted})


def _to_be_deducted(records: Records, before: Sequence[Milestone]) -> Money:
    """What those milestones would deduct of the advance, net."""
    contract, advance = records.contract, records.contract.advance
    if advance is None:
        return Money(0, contract.currency)
    to_come = {each.id for each in before}
    amount = recoverable(contract, {m.id for m in contract.milestones} - to_come)
    if contract.fee(advance.fee).prices == "net":
        return amount
    return amount.share(1 / (1 + contract.tax_of(advance.fee).rate))


# What is asked for.


def _asked(records: Records) -> Iterator[Asked]:
    """Every decision that nobody has made yet, and the change orders that are not in force yet."""
    for request in records.requests:
        if request.state is RequestState.PENDING:
            yield _asked_for(request, _signatures(records, request))
            continue
        change = records.process_of(request.subject)
        if change is not None and change.kind == "change_order":
            awaited = None if change.finished else _awaited(records, change)
            if awaited is not None and request.state is RequestState.APPROVED:
                yield _asked_for(request, awaited)


def _asked_for(request: Request, awaited: Awaited) -> Asked:
    return Asked(
        id=request.id,
        decision=request.decision,
        subject=request.subject,
        amount=request.amount,
        basis=request.basis,
        requested_by=request.requested_by,
        awaited=awaited,
    )


def _signatures(records: Records, request: Request) -> Awaited:
    """Who can still sign a request, and until when."""
    signed = ", ".join(request.signed) or "nobody yet"
    return Awaited(
        process=request.id,
        for_whom="approval",
        why=f"signed by {signed}, {request.needed} needed",
        since=_local(records, request.requested_at),
        due_at=_local(records, request.expires_at),
        overdue=False,
        people=tuple(missing(request, records.contract)),
        then=Then.EXPIRY,
    )


def _pending(records: Records, subject: str) -> list[Request]:
    return [
        request
        for request in records.requests
        if request.subject == subject and request.state is RequestState.PENDING
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


def _awaited_about(records: Records, hold: HoldBalance) -> Awaited | None:
    """What a hold waits for, with those who can sign what is asked about it."""
    process = records.process_of(hold.id)
    return _awaited(records, process) if process else None


def _awaited(records: Records, process: Process) -> Awaited | None:
    wait = process.waiting
    if wait is None:
        return None
    for_whom, people = _who(records, wait)
    here = {
        "for_whom": for_whom,
        "since": _local(records, wait.since),
        "due_at": wait.due_at and _local(records, wait.due_at),
    }
    return Awaited(**wait.model_dump() | here, people=people, then=_then(records, process, wait))


def _who(records: Records, wait: Waiting) -> tuple[str, tuple[str, ...]]:
    """Whom a process waits for, without those who have signed, and the people who can end the wait."""
    match wait.for_whom:
        case "readings":
            return wait.for_whom, _named(records, Role.IT_LEAD)
        case "calendar":
            return wait.for_whom, _named(records, Role.DELIVERY_LEAD) if wait.overdue else ()
        case Lead.CLIENT.value | Lead.CONSULTANT.value as lead:
            return lead, _named(records, *LEADERS[Lead(lead)])
        case "approval":
            able = (missing(each, records.contract) for each in _pending(records, wait.process))
            return wait.for_whom, tuple(dict.fromkeys(name for names in able for name in names))
        case "release" | "decision":
            able_to = with_authority(records.contract, records.hold(wait.process).held)
            return wait.for_whom, tuple(entry.person for entry in able_to)
        case names:
            signed = _signed(records, wait.process)
            roles = tuple(Role(name) for name in names.split(" and ") if name in set(Role))
            left = tuple(role for role in roles if role not in signed)
            return " and ".join(left) or names, _named(records, *left)


def _named(records: Records, *roles: Role) -> tuple[str, ...]:
    everyone = records.contract.people().everyone
    return tuple(person.id for person in everyone if set(roles) & set(person.roles))


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
        case "hold":
            return _silence(records, records.hold(process.id))
        case "change_order":
            return Then.IN_FORCE
    return None


def _silence(records: Records, hold: HoldBalance) -> Then:
    """What the end of the clock of a hold means."""
    if hold.kind is HoldKind.RETENTION:
        return Then.RELEASE
    if hold.state is not HoldState.DECISION_DUE:
        return Then.DECISION_DUE
    means = {"release": Then.RELEASE, "forfeit": Then.FORFEITURE}
    return means.get(records.defaults.get(hold.id, ""), Then.ESCALATION)


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


def _sum(records: Records, amounts: Iterable[Money]) -> Money:
    return sum(amounts, Money(0, records.contract.currency))
