"""The values of an outcome contract, period by period, each after those it is made of. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter

from contracts.calendar import ONE_DAY, BusinessCalendar, Period, add_period
from contracts.errors import TermsError
from contracts.formula import Formula, NoResult
from contracts.outcome.basics import (
    AssessmentPeriod,
    Column,
    Node,
    Value,
    Window,
    WindowKind,
    as_day,
)
from contracts.outcome.graph import days, events_used, read_inputs, uses, values_used
from contracts.outcome.lines import Instalments, Line
from contracts.outcome.outcome import OutcomeContract
from contracts.outcome.payment import AmountRounding
from lifecycle.evidence import ALONE, Evidence, Report

Row = dict[str, Value]
"""The values of one period by name."""


class Plan:
    """The terms of a contract in an order in which each comes after those it is made of.

    Raises:
        TermsError: a value is made of itself; it names the way round.
    """

    def __init__(self, contract: OutcomeContract) -> None:
        self.contract = contract
        self.outcome = contract.outcome
        nodes = {node.id: node for node in self.outcome.nodes()}
        self.nodes = nodes
        self.named = nodes | {figure.id: figure for figure in self.outcome.statement}
        inputs = self.outcome.inputs
        self.if_none = {each.id: each.if_none for each in inputs if each.if_none is not None}
        self.days = days(self.outcome)
        self.uses = {name: uses(node) for name, node in nodes.items()}
        self.looks_back = {
            name: tuple(use.name for use in values_used(node) if use.looks_back)
            for name, node in nodes.items()
        }
        try:
            order = TopologicalSorter(self.uses).static_order()
            self.order = [nodes[name] for name in order if name in nodes]
        except CycleError as cycle:
            way = " <- ".join(cycle.args[1])
            raise TermsError(
                f"found {way}, expected no value that is made of itself; "
                "previous gives the value of the period before"
            ) from cycle


class Rows:
    """The values of all periods up to now; what is received after `known_on` does not exist yet.

    Args:
        plans: the terms in force in each period.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        periods: Sequence[AssessmentPeriod],
        evidence: Evidence,
        calendar: BusinessCalendar,
    ) -> None:
        self.plans = plans
        self.periods = periods
        self.evidence = evidence
        self.calendar = calendar
        self.known_on = date.max
        self.rows: list[Row] = []

    def add(self) -> Row:
        """Compute the next period."""
        plan, row = self.plans[len(self.rows)], Row()
        self.rows.append(row)
        at = View(self, len(self.rows) - 1)
        days = at.period.last_day - at.period.first_day + ONE_DAY
        row["days_in_period"] = Fraction(days.days)
        for parameter in plan.outcome.parameters:
            day, value_of = at.period.last_day, at.value_of
            row[parameter.id] = (
                {each: parameter.on(day, value_of, each) for each in parameter.by_subject}
                if parameter.by_subject
                else parameter.on(day, value_of)
            )
        for node in plan.order:
            row[node.id] = self.computed(node, at)
        return row

    def computed(self, node: Node, at: "View") -> Value:
        """The value of a node, for each subject if what it is made of has subjects."""
        subjects = self._subjects(node, at)
        try:
            if subjects is None:
                return finished(node, node.value(at), at)
            views = ((subject, replace(at, subject=subject)) for subject in sorted(subjects))
            return {subject: finished(node, node.value(view), view) for subject, view in views}
        except TermsError as refused:
            where = f"{node.id}, period {at.period.number}"
            raise TermsError(f"{where}: {refused}") from refused

    def _subjects(self, node: Node, at: "View") -> set[str] | None:
        if node.REDUCES:
            return None
        row = self.rows[at.index]
        before = self.rows[at.index - 1] if at.index else Row()
        plan = self.plans[at.index]
        made_of = [row.get(name) for name in plan.uses.get(node.id, ())]
        made_of += [before.get(name) for name in plan.looks_back.get(node.id, ())]
        columns = [value for value in made_of if isinstance(value, Mapping)]
        if getattr(node, "each", None) is None and not columns:
            return None
        subjects = {subject for column in columns for subject in column}
        if getattr(node, "each", None) is not None:
            window = getattr(node, "window", None)
            looks_forward = getattr(window or node, "later_by", None) is not None
            by = date.max if looks_forward else at.period.last_day
            for name in (*read_inputs(node), *(use.name for use in events_used(node))):
                subjects |= self.evidence.subjects(name, by, self.known_on)
        return subjects


def finished(node: Node, value: Fraction | None, at: "View") -> Fraction | None:
    """What stands for a missing value, and the rounding at this place, if the terms say so."""
    if value is None and node.if_missing is not None:
        value = at.value_of(node.if_missing)
    if isinstance(node, Line):
        return line_amount(node, value, at)
    if value is not None and node.round is not None and node.round.result == "used":
        return node.round.apply(value)
    return value


def line_amount(line: Line, value: Fraction | None, at: "View") -> Fraction | None:
    """An amount after its own cap and floor, its minimum, and the rounding of the line."""
    if value is None:
        return None
    for limit, choose in ((line.cap, min), (line.floor, max)):
        if limit is not None:
            bound = at.value_of(limit)
            if bound is None:
                return None
            value = choose(value, bound)
    if line.while_closed == "lost" and any(at[gate] == 0 for gate in line.gates):
        return Fraction(0)
    rounded = line_rounding(line, at.rows.plans[at.index].outcome.rounding, value)
    if line.minimum is None:
        return rounded
    asked = value if line.minimum.asked == "before_rounding" else rounded
    enough = line.minimum.holds(asked, at.value_of)
    return None if enough is None else rounded if enough else Fraction(0)


def line_rounding(line: Line, rounding: AmountRounding, value: Fraction) -> Fraction:
    if line.round is not None and not isinstance(line, Instalments):
        return line.round.apply(value) if line.round.result == "used" else value
    return rounding.apply(value) if rounding.at == "each_line" else value


@dataclass(frozen=True, slots=True)
class View:
    """One period, and there one subject, as a piece of terms sees it: `contracts.outcome.basics.At`."""

    rows: Rows
    index: int
    subject: str = ALONE
    moved_back: Period | None = None

    @property
    def period(self) -> AssessmentPeriod:
        return self.rows.periods[self.index]

    @property
    def calendar(self) -> BusinessCalendar:
        return self.rows.calendar

    def __getitem__(self, name: str) -> Fraction | None:
        if self.moved_back is not None and name in self.rows.plans[self.index].nodes:
            node = self.rows.plans[self.index].nodes[name]
            has_subjects = isinstance(self.rows.rows[self.index].get(name), Mapping)
            view = self if has_subjects else replace(self, subject=ALONE)
            return finished(node, node.value(view), view)
        value = self.rows.rows[self.index].get(name)
        return value.get(self.subject) if isinstance(value, Mapping) else value

    def value_of(self, formula: Formula) -> Fraction | None:
        if formula.constant is not None:
            return formula.constant
        values: dict[str, Fraction] = {}
        for name in formula.names:
            value = self[name]
            if value is None:
                return None
            values[name] = value
        try:
            return formula.evaluate(values)
        except NoResult:
            return None

    def before(self, formula: Formula, periods: int = 1) -> Fraction | None:
        if periods == 0:
            return self.value_of(formula)
        if periods > self.index:
            return None
        return replace(self, index=self.index - periods).value_of(formula)

    def last(self, name: str) -> Fraction | None:
        return replace(self, index=self.index - 1)[name] if self.index else None

    def earlier(self, formula: Formula, by: Period) -> Fraction | None:
        moved = self.moved_back or Period()
        months, days = moved.months + by.months, moved.days + by.days
        return replace(self, moved_back=Period(months, days)).value_of(formula)

    def column(self, name: Formula) -> Column:
        row = self.rows.rows[self.index]
        subjects = {
            subject
            for used in name.names
            if isinstance(column := row.get(used), Mapping)
            for subject in column
        }
        if not subjects:
            return {ALONE: self.value_of(name)}
        return {s: replace(self, subject=s).value_of(name) for s in subjects}

    def readings(self, name: str, window: Window) -> Sequence[Report] | None:
        days = self.days(window)
        if days is None:
            return None
        reports = self.rows.evidence.between(name, self.subject, *days, self.rows.known_on)
        return reports or self._none(name, days[1])

    def _none(self, name: str, last_day: date) -> list[Report]:
        """What stands for an input of which nothing is reported."""
        stands = self.rows.plans[self.index].if_none.get(name)
        if stands is None:
            return []
        value = self.value_of(stands)
        told = "nothing reported"
        return [Report(name, self.subject, last_day, last_day, value, 1, True, last_day, told)]

    def happened(self, event: str, later_by: Period | None = None) -> date | None:
        last_day = self.period.last_day
        by = _moved_end(last_day, later_by, 1) if later_by is not None else last_day
        return self.rows.evidence.happened(event, self.subject, by, self.rows.known_on)

    def recorded(self, event: str) -> date | None:
        return self.rows.evidence.happened(
            event, self.subject, self.period.settled_on, self.rows.known_on
        )

    def excused_days(self, reasons: Sequence[str], first: date, last: date) -> list[date]:
        return self.rows.evidence.excused(reasons, first, last)

    def days(self, window: Window) -> tuple[date, date] | None:
        """The first and the last day of a window; None while it is not over, or never begins."""
        days = self._placed(window)
        if days is None:
            return None
        first, last = days
        if window.restarts_after is not None:
            first = max(first, self._restart(window.restarts_after))
        for period, sign in ((self.moved_back, -1), (window.earlier_by, -1), (window.later_by, 1)):
            if period is not None:
                first, last = _moved(first, period, sign), _moved_end(last, period, sign)
        waits = window.later_by is not None or window.over in (
            WindowKind.FIXED,
            WindowKind.SUBJECT,
        )
        known = self.rows.known_on if window.later_by is not None else self.period.last_day
        return None if waits and last > known else (first, last)

    def _placed(self, window: Window) -> tuple[date, date] | None:
        period = self.period
        match window.over:
            case WindowKind.PERIOD:
                return period.first_day, period.last_day
            case WindowKind.TO_DATE:
                return self.rows.periods[0].first_day, period.last_day
            case WindowKind.ROLLING:
                assert window.length is not None
                return _moved_end(period.last_day, window.length, -1) + ONE_DAY, period.last_day
            case WindowKind.FIXED:
                assert window.from_day is not None
                assert window.to_day is not None
                start, end = self.value_of(window.from_day), self.value_of(window.to_day)
                if start is None or end is None:
                    return None
                return as_day(start), as_day(end)
            case WindowKind.SUBJECT:
                assert window.since is not None
                assert window.length is not None
                since = self.happened(window.since)
                if since is None:
                    return None
                first = since if window.first_day == "counted" else since + ONE_DAY
                return first, add_period(first, window.length) - ONE_DAY

    def _restart(self, condition: Formula) -> date:
        for index in range(self.index - 1, -1, -1):
            if replace(self, index=index).value_of(condition) == 1:
                return self.rows.periods[index].last_day + ONE_DAY
        return date.min


def _moved(day: date, by: Period, sign: int) -> date:
    return add_period(day, Period(sign * by.months, sign * by.days))


def _moved_end(day: date, by: Period, sign: int) -> date:
    """The last day of a window moves with the day after it, so that month ends stay month ends."""
    return _moved(day + ONE_DAY, by, sign) - ONE_DAY
