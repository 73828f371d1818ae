"""Settling an outcome contract: the fixed order of operations, from readings to payments. Pure.

What is paid is always what is due to date less what was paid to date, so that late data and
corrections need no case of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from difflib import get_close_matches
from fractions import Fraction
from functools import cached_property

from contracts.calendar import ONE_DAY, BusinessCalendar
from contracts.errors import TermsError
from contracts.money import MINOR_DIGITS, Money, allocate
from contracts.outcome.basics import AssessmentPeriod, Value, round_to
from contracts.outcome.graph import values_used
from contracts.outcome.lines import Line
from contracts.outcome.outcome import Outcome, OutcomeContract
from contracts.outcome.payment import Cap, Payment, Retention
from contracts.outcome.readings import Readings
from lifecycle.evaluation import Plan, Row, Rows, View, finished
from lifecycle.evidence import ALONE, Evidence


@dataclass(frozen=True)
class Restatement:
    """A line of an earlier period that is another amount since more became known, signed."""

    number: int
    line: str
    was: Fraction
    now: Fraction


@dataclass(frozen=True)
class SettledPeriod:
    """One settlement. Always: payment = earned - paid, unless it waits, is set off or has lapsed.

    Amounts are signed: positive is due to the consultant. `values` are those of the period, the
    settlement's own among them; `waiting` are the lines that cannot be settled yet, with the reason.
    """

    period: AssessmentPeriod
    contract: str
    values: Row
    gross: Money
    retained: Money
    earned: Money
    paid: Money
    payment: Money
    by_payer: dict[str, Money]
    lapsed: Fraction
    to_date: dict[str, Fraction]
    waiting: dict[str, str]
    restated: tuple["Restatement", ...]
    rows: Rows = field(repr=False, compare=False)
    """The values behind it, as they were known then."""


@dataclass(frozen=True)
class Settlement:
    """All periods that were settled by the day of asking."""

    contract: OutcomeContract
    periods: tuple[SettledPeriod, ...]

    def shown(self, number: int, name: str) -> Value:
        """A value of a period as it is printed: rounded where the contract rounds what is shown.

        Raises:
            TermsError: the contract has no value of that name.
        """
        settled = self.periods[number - 1]
        if name not in settled.values:
            near = get_close_matches(name, settled.values, n=1)
            hint = f", nearest is {near[0]}" if near else ""
            raise TermsError(f"found {name!r}, expected a value of the contract{hint}")
        return shown(settled.rows.plans[number - 1], name, settled.values[name])

    @property
    def paid_in_all(self) -> Money:
        nothing = Money(0, self.contract.currency)
        return sum((settled.payment for settled in self.periods), nothing)


def shown(plan: Plan, name: str, value: Value) -> Value:
    """A value as it is printed: rounded where the contract rounds what is shown."""
    node = plan.named.get(name)
    if node is None or node.round is None or node.round.result != "shown":
        return value
    if isinstance(value, Mapping):
        return {s: None if v is None else node.round.apply(v) for s, v in value.items()}
    return None if value is None else node.round.apply(value)


class Settler:
    """Settles one contract, or one with its amendments, as often as asked.

    Args:
        versions: the contract, or its versions in the order of their effective dates; each period
            follows the version in force on its last day.

    Raises:
        TermsError: no version, versions of different contracts, or a value made of itself.
    """

    def __init__(self, *versions: OutcomeContract) -> None:
        if not versions:
            raise TermsError("found no contract, expected one")
        if len(ids := dict.fromkeys(version.id for version in versions)) > 1:
            raise TermsError(f"found {' and '.join(ids)}, expected versions of one contract")
        self.versions = versions
        self.contract = versions[-1]
        self._begun = _begun(self.contract, versions[0].start)
        self._plans = [Plan(version) for version in versions]
        self.calendar = self._begun.working_calendar()

    def settle(self, readings: Readings, as_of: date | None = None) -> Settlement:
        """Every period that is settled by `as_of`, with what was known on each settlement day.

        Args:
            as_of: without it, every period of the contract is settled.

        Raises:
            TermsError: readings of another contract, or readings that the contract does not admit.
        """
        if readings.contract != self.contract.id:
            raise TermsError(
                f"contract: found readings of {readings.contract!r}, "
                f"expected those of {self.contract.id}"
            )
        periods = assessment_periods(self._begun, readings, self.calendar)
        evidence = Evidence([v.outcome for v in self.versions], readings, periods)
        plans = [self._plan(period.last_day) for period in periods]
        rows = Rows(plans, periods, evidence, self.calendar)
        accounts: list[Accounts] = []
        settled: list[SettledPeriod] = []
        for period in periods:
            if as_of is not None and period.settled_on > as_of:
                break
            if self._must_look_again(evidence, settled, period):
                rows, before = Rows(plans, periods, evidence, self.calendar), accounts
                accounts = []
            else:
                before = []
            rows.known_on = period.settled_on
            while len(accounts) < period.number:
                row = rows.add()
                view = View(rows, len(accounts))
                accounts.append(booked(view, row, accounts[-1] if accounts else Accounts()))
            restated = restatements(plans, before, accounts)
            view = View(rows, period.number - 1)
            settled.append(paid(view, accounts[-1], settled, readings, restated))
        return Settlement(self.contract, tuple(settled))

    def _plan(self, day: date) -> Plan:
        """The terms in force on a day; before the first version, that one."""
        in_force = self._plans[0]
        for version, plan in zip(self.versions, self._plans, strict=True):
            if version.effective_on <= day:
                in_force = plan
        return in_force

    def _must_look_again(
        self, evidence: Evidence, settled: Sequence["SettledPeriod"], period: AssessmentPeriod
    ) -> bool:
        """Whether something became known since the last settlement that belongs to earlier periods."""
        if not settled or self.contract.outcome.payment.later_data == "ignored":
            return False
        last = settled[-1].period.settled_on
        return self._looks_forward or any(last < day <= period.settled_on for day in evidence.late)

    @cached_property
    def _looks_forward(self) -> bool:
        """Whether a measure observes days after its period, which only a later settlement knows."""
        return any(
            getattr(getattr(node, "window", None) or node, "later_by", None) is not None
            for version in self.versions
            for node in version.outcome.nodes()
        )


def _begun(contract: OutcomeContract, start: date) -> OutcomeContract:
    """The contract with periods from that day on: an amendment does not begin them anew."""
    periods = contract.outcome.periods
    stated = periods.model_copy(update={"start": periods.start or start})
    outcome = contract.outcome.model_copy(update={"periods": stated})
    return contract.model_copy(update={"outcome": outcome})


@dataclass
class Accounts:
    """The amounts to date of one period, signed.

    `held` are lines by subject, `behind_gates` what waits for a gate; `room` and `excess` are what
    caps carry forward.
    """

    due: dict[str, Fraction] = field(default_factory=dict)
    held: dict[str, dict[str, Fraction]] = field(default_factory=dict)
    behind_gates: dict[str, dict[str, Fraction]] = field(default_factory=dict)
    excess: dict[str, Fraction] = field(default_factory=dict)
    room: dict[str, Fraction] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    gross: Fraction = Fraction(0)
    retained: Fraction = Fraction(0)


def restatements(
    plans: Sequence[Plan], before: Sequence[Accounts], now: Sequence[Accounts]
) -> tuple[Restatement, ...]:
    """The lines of earlier periods whose amounts are not what they were when they were settled."""
    changed = []
    for index in range(len(before)):
        for line in plans[index].outcome.lines:
            was, is_now = (_of_period(line, accounts, index) for accounts in (before, now))
            if was != is_now:
                changed.append(Restatement(index + 1, line.id, was, is_now))
    return tuple(changed)


def _of_period(line: Line, accounts: Sequence[Accounts], index: int) -> Fraction:
    """What a line came to in a period, or to date where that is its basis."""
    to_date = accounts[index].due[line.id]
    if line.basis == "to_date" or index == 0:
        return to_date
    return to_date - accounts[index - 1].due.get(line.id, Fraction(0))


def booked(view: View, row: Row, before: Accounts) -> Accounts:
    """Lines, caps and retentions of one period (steps 11 to 17); their values join the row."""
    plan = view.rows.plans[view.index]
    outcome, now = plan.outcome, Accounts()
    for line in outcome.lines:
        now.due[line.id] = entitled(line, view, row, before, now)
    for cap in outcome.caps:
        row[cap.id] = capped(cap, outcome, view, before, now)
    inner = {member for cap in outcome.caps for member in cap.of}
    roots = [name for name in now.due if name not in inner]
    now.gross = outcome.rounding.apply(sum((now.due[name] for name in roots), Fraction(0)))
    row["gross"] = now.gross
    for retention in outcome.retentions:
        kept = retained(retention, view, now)
        if kept is None:
            now.waiting[retention.id] = missing_for(view, retention)
            previous = view.last(retention.id)
            kept = previous if previous is not None else Fraction(0)
        row[retention.id] = kept
        now.retained += kept
    row["retained"] = now.retained
    row["earned"] = now.gross - now.retained
    return now


def entitled(line: Line, view: View, row: Row, before: Accounts, now: Accounts) -> Fraction:
    """What a line comes to, to date, over all subjects; what is not decided stays as it was before."""
    held = dict(before.held.get(line.id, {}))
    behind = dict(before.behind_gates.get(line.id, {}))
    if line.is_due(view.period.number, view.period.count):
        value = row[line.id]
        column = value if isinstance(value, Mapping) else {ALONE: value}
        if line.basis == "to_date":
            held = {subject: held[subject] for subject in held if subject in column}
        for subject, amount in column.items():
            reason = _entitle(line, replace(view, subject=subject), amount, held, behind)
            if reason is not None:
                now.waiting[line.id] = reason
    else:
        if not behind and line.id in before.waiting:
            now.waiting[line.id] = before.waiting[line.id]
        for subject in tuple(behind):
            shut = _shut(line, replace(view, subject=subject))
            if shut:
                now.waiting[line.id] = _waits_for(shut)
            else:
                _release(line, subject, held, behind)
    now.held[line.id], now.behind_gates[line.id] = held, behind
    return sum(held.values(), Fraction(0))


def _entitle(
    line: Line,
    view: View,
    amount: Fraction | None,
    held: dict[str, Fraction],
    behind: dict[str, Fraction],
) -> str | None:
    """Enter the amount of one subject; answers what it waits for."""
    if amount is None:
        return missing_for(view, line)
    signed = amount if line.effect == "pays" else -amount
    shut, earlier = _shut(line, view), behind.get(view.subject, Fraction(0))
    if line.while_closed == "waits" or not shut:
        behind[view.subject] = signed if line.basis == "to_date" else earlier + signed
    elif line.basis == "to_date" and False in shut.values():
        held[view.subject] = Fraction(0)
    if not shut:
        _release(line, view.subject, held, behind)
        return None
    lost = line.while_closed == "lost" and False in shut.values()
    return None if lost else _waits_for(shut)


def _shut(line: Line, view: View) -> dict[str, bool | None]:
    """The gates of a line that are not open: False is closed, None undecided."""
    passed = {gate: view[gate] for gate in line.gates}
    return {gate: None if value is None else False for gate, value in passed.items() if value != 1}


def _waits_for(shut: Mapping[str, bool | None]) -> str:
    closed = [gate for gate, passed in shut.items() if passed is False]
    return f"gate {' and '.join(closed or shut)}"


def _release(
    line: Line, subject: str, held: dict[str, Fraction], behind: dict[str, Fraction]
) -> None:
    """What waited behind the gates is due."""
    amount = behind.pop(subject)
    before = Fraction(0) if line.basis == "to_date" else held.get(subject, Fraction(0))
    held[subject] = before + amount


def capped(
    cap: Cap, outcome: Outcome, view: View, before: Accounts, now: Accounts
) -> Fraction | None:
    """A limit on a sum (steps 15 and 16), counted in the direction of its members."""
    deducts = _deducts(cap, outcome)
    sign = -1 if deducts else 1
    total = sign * sum((now.due[name] for name in cap.of), Fraction(0))
    held = sign * before.due.get(cap.id, Fraction(0))
    most = view.value_of(cap.at_most) if cap.at_most is not None else None
    least = view.value_of(cap.at_least) if cap.at_least is not None else None
    if (most is None) != (cap.at_most is None) or (least is None) != (cap.at_least is None):
        now.waiting[cap.id] = missing_for(view, cap)
        now.due[cap.id] = sign * held
        for carried, then in ((now.excess, before.excess), (now.room, before.room)):
            carried[cap.id] = then.get(cap.id, Fraction(0))
        return None
    if cap.scope == "each_period":
        earlier = sign * sum((before.due.get(name, Fraction(0)) for name in cap.of), Fraction(0))
        total = total - earlier + before.excess.get(cap.id, Fraction(0))
        if most is not None:
            most += before.room.get(cap.id, Fraction(0))
    amount = total if most is None else min(total, most)
    amount = amount if least is None else max(amount, least)
    if outcome.rounding.at == "each_line":
        amount = outcome.rounding.apply(amount)
    if cap.excess == "carried_forward":
        now.excess[cap.id] = max(total - amount, Fraction(0))
    if cap.unused == "carried_forward" and most is not None:
        now.room[cap.id] = max(most - amount, Fraction(0))
    now.due[cap.id] = sign * (held + amount if cap.scope == "each_period" else amount)
    return amount


def _deducts(cap: Cap, outcome: Outcome) -> bool:
    effects = {line.id: line.effect == "deducts" for line in outcome.lines}
    inner = {other.id: other for other in outcome.caps}
    return all(
        _deducts(inner[name], outcome) if name in inner else effects[name] for name in cap.of
    )


def retained(retention: Retention, view: View, now: Accounts) -> Fraction | None:
    """What is kept back of the amount to date in the state of this period (step 17)."""
    if retention.of == "all":
        amount = now.gross
    else:
        amount = sum((now.due[name] for name in retention.of), Fraction(0))
    rate, free = view.value_of(retention.rate), view.value_of(retention.free_amount)
    if rate is None or free is None:
        return None
    kept = rate * max(amount - free, Fraction(0))
    if retention.limit is not None:
        limit = view.value_of(retention.limit)
        if limit is None:
            return None
        kept = min(kept, limit)
    return retention.round.apply(kept * factor_of(retention, view))


def factor_of(retention: Retention, view: View) -> Fraction:
    """The factor of the last state that was reached: its event is recorded, its date has come."""
    factor = Fraction(1)
    for state in retention.states:
        if view.recorded(state.after) is None:
            continue
        earliest = view.value_of(state.not_before) if state.not_before is not None else None
        if earliest is not None and earliest > view.period.settled_on.toordinal():
            continue
        factor = state.factor
    return factor


def paid(
    view: View,
    accounts: Accounts,
    settled: Sequence[SettledPeriod],
    readings: Readings,
    restated: tuple[Restatement, ...],
) -> SettledPeriod:
    """Steps 18 to 21: less what was paid, split by payer, set-off and minimum."""
    contract = view.rows.plans[view.index].contract
    terms, row = contract.outcome.payment, view.rows.rows[view.index]
    mode = contract.outcome.rounding.mode
    digits = MINOR_DIGITS[contract.currency]
    # What is paid to date is in minor units, and so is what it is compared with.
    earned = round_to(accounts.gross - accounts.retained, digits, mode)
    before = _paid_before(view.period, settled, readings)
    lapsed = settled[-1].lapsed if settled else Fraction(0)
    due = earned - before - lapsed
    payment = due
    if due < 0 and terms.negative == "set_off":
        payment = Fraction(0)
    elif due > 0 and terms.minimum:
        enough = terms.minimum.holds(due, view.value_of)
        payment = due if enough else Fraction(0)
        lapsed += due if enough is False and terms.below_minimum == "lapses" else 0

    def money(amount: Fraction) -> Money:
        return Money(int(round_to(amount, digits, mode) * 10**digits), contract.currency)

    row["paid"], row["due"], row["payment"] = before, due, money(payment).exact
    for figure in contract.outcome.statement:
        row[figure.id] = finished(figure, view.value_of(figure.formula), view)
    payments = [*(each.payment for each in settled), money(payment)]
    return SettledPeriod(
        period=view.period,
        contract=contract.reference(),
        values=dict(row),
        gross=money(accounts.gross),
        retained=money(accounts.retained),
        earned=money(earned),
        paid=money(before),
        payment=money(payment),
        by_payer=_by_payer(terms, payments),
        lapsed=lapsed,
        to_date=dict(accounts.due),
        waiting=dict(accounts.waiting),
        restated=restated,
        rows=view.rows,
    )


def _paid_before(
    period: AssessmentPeriod, settled: Sequence[SettledPeriod], readings: Readings
) -> Fraction:
    """What was paid before a settlement: as recorded, or as it was settled."""
    if readings.paid is not None:
        amounts = [p.amount for p in readings.paid if p.on < period.settled_on]
        return sum((amount for amount in amounts if amount is not None), Fraction(0))
    return sum((each.payment.exact for each in settled), Fraction(0))


def _by_payer(terms: Payment, payments: Sequence[Money]) -> dict[str, Money]:
    """This payment by payer: of all payments to date each has its share, to the minor unit (R2)."""
    if not terms.payers:
        return {}
    shares = [payer.share for payer in terms.payers]
    nothing = Money(0, payments[-1].currency)
    now = allocate(sum(payments, nothing), shares)
    before = allocate(sum(payments[:-1], nothing), shares)
    parts = zip(terms.payers, now, before, strict=True)
    return {payer.party: after - earlier for payer, after, earlier in parts}


def missing_for(view: View, piece: Line | Cap | Retention) -> str:
    """Which inputs and measures are missing below a piece, told by name."""
    plan, row = view.rows.plans[view.index], view.rows.rows[view.index]
    names = [use.name for use in values_used(piece)]
    found: dict[str, None] = {}
    while names:
        name = names.pop(0)
        value = row.get(name)
        if value is None or (isinstance(value, Mapping) and None in value.values()):
            below = [used for used in plan.uses.get(name, ()) if row.get(used) is None]
            names += below
            if not below:
                found[name] = None
    return f"a value of {', '.join(found)}" if found else "a value"


def assessment_periods(
    contract: OutcomeContract, readings: Readings, calendar: BusinessCalendar
) -> list[AssessmentPeriod]:
    """The periods of a contract, and the final settlement if there is one.

    Where pauses move the end, as these readings record them.
    """
    terms = contract.outcome.periods
    ends = terms.last_days(contract.start)
    if terms.pauses == "move_the_end":
        paused_to = date.min
        for pause in sorted(readings.pauses, key=lambda pause: (pause.from_day, pause.to_day)):
            first = max(pause.from_day, paused_to + ONE_DAY)
            if first <= pause.to_day:
                days = pause.to_day - first + ONE_DAY
                ends = [end + days if end >= first else end for end in ends]
                paused_to = pause.to_day
    firsts = [contract.start, *(end + ONE_DAY for end in ends)]
    periods = [
        AssessmentPeriod(number, len(ends), first, last, terms.settled.day(last, calendar))
        for number, (first, last) in enumerate(zip(firsts, ends, strict=False), start=1)
    ]
    if terms.final_settlement is not None:
        last_one = periods[-1]
        day = terms.final_settlement.day(last_one.settled_on, calendar)
        begins = last_one.last_day + ONE_DAY
        number = last_one.number + 1
        periods.append(AssessmentPeriod(number, last_one.count, begins, max(day, begins), day))
    return periods
