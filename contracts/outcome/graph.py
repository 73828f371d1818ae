"""What is made of what in outcome terms, each use with its place in the document. Pure."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from pydantic import BaseModel

from contracts.formula import Formula, NoResult
from contracts.outcome.basics import Node, Window
from contracts.outcome.gates import Evidence
from contracts.outcome.lines import Line
from contracts.outcome.measures import (
    Calculated,
    Combined,
    DayAfter,
    EventDay,
    Mark,
    Previous,
    Ratio,
    RunOfReadings,
    Statistic,
)
from contracts.outcome.outcome import Outcome, Score
from contracts.outcome.payment import Cap, Retention, RetentionState
from contracts.problems import Loc

LISTS = {
    "parameters": "a parameter",
    "inputs": "an input",
    "events": "an event",
    "measures": "a measure",
    "baselines": "a baseline",
    "scores": "a score",
    "totals": "a total",
    "gates": "a gate",
    "lines": "a line",
    "caps": "a cap",
    "retentions": "a retention",
    "statement": "a figure of the statement",
}
"""The lists whose entries have a name, in the order of the document, and what an entry is."""


class Place(NamedTuple):
    """Something inside a piece of terms; `looks_back` where its value is that of earlier periods."""

    loc: Loc
    value: object
    looks_back: bool


def places(value: object, loc: Loc = (), looks_back: bool = False) -> Iterator[Place]:
    """A piece of terms and everything inside, in the order of the document."""
    yield Place(loc, value, looks_back)
    if isinstance(value, BaseModel):
        back: frozenset[str] = getattr(type(value), "LOOKS_BACK", frozenset())
        for name in type(value).model_fields:
            yield from places(getattr(value, name), (*loc, name), looks_back or name in back)
    elif isinstance(value, tuple):
        for n, item in enumerate(value):
            yield from places(item, (*loc, n), looks_back)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from places(item, (*loc, key), looks_back)


class Use(NamedTuple):
    """One name, at the place where it is used."""

    loc: Loc
    name: str
    looks_back: bool = False


def values_used(part: BaseModel, loc: Loc = ()) -> Iterator[Use]:
    """The values that the formulas of a piece name."""
    for place in places(part, loc):
        if isinstance(place.value, Formula) and not _is_read(part, place.loc[len(loc) :]):
            for name in place.value.names:
                yield Use(place.loc, name, place.looks_back)


def gates_used(part: BaseModel, loc: Loc = ()) -> Iterator[Use]:
    """The gates of a score or a line."""
    if isinstance(part, Score | Line):
        for n, gate in enumerate(part.gates):
            yield Use((*loc, "gates", n), gate)


def inputs_used(part: BaseModel, loc: Loc = ()) -> Iterator[Use]:
    """The inputs that a measure looks at."""
    if isinstance(part, Ratio):
        for field in READ:
            for name in getattr(part, field).names:
                yield Use((*loc, field), name)
    elif isinstance(part, Statistic | RunOfReadings):
        yield Use((*loc, "of"), part.of)


def events_used(part: BaseModel, loc: Loc = ()) -> Iterator[Use]:
    """The events that a piece looks at."""
    if isinstance(part, EventDay):
        yield Use((*loc, "of"), part.of)
    for place in places(part, loc):
        match place.value:
            case Window(since=str(event)):
                yield Use((*place.loc, "since"), event)
            case Evidence(event=event):
                yield Use((*place.loc, "event"), event)
            case RetentionState(after=event):
                yield Use((*place.loc, "after"), event)


def members_used(part: BaseModel, loc: Loc = ()) -> Iterator[Use]:
    """The lines and caps whose sum a cap or a retention looks at."""
    if isinstance(part, Cap | Retention) and part.of != "all":
        for n, name in enumerate(part.of):
            yield Use((*loc, "of", n), name)


READ = ("numerator", "denominator")
"""The formulas of a ratio: they are over inputs."""


def _is_read(part: BaseModel, inside: Loc) -> bool:
    return isinstance(part, Ratio) and inside[0] in READ


def uses(node: Node) -> tuple[str, ...]:
    """The names that a value is made of in the same period, each once."""
    same_period = [use.name for use in values_used(node) if not use.looks_back]
    return tuple(dict.fromkeys((*same_period, *(use.name for use in gates_used(node)))))


def read_inputs(node: Node) -> tuple[str, ...]:
    """The inputs or events that a measure looks at."""
    if isinstance(node, EventDay):
        return (node.of,)
    return tuple(dict.fromkeys(use.name for use in inputs_used(node)))


class Named(NamedTuple):
    """A piece with a name, and the list that it stands in."""

    loc: Loc
    part: BaseModel
    list: str
    name: str


def named(outcome: Outcome) -> Iterator[Named]:
    """Every piece with a name, in the order of the document."""
    for each in LISTS:
        for n, part in enumerate(getattr(outcome, each)):
            yield Named(("outcome", each, n), part, each, part.id)


def made_of(part: BaseModel) -> Iterator[str]:
    """Whatever a piece looks at, in this period or in an earlier one."""
    for kind in (values_used, gates_used, inputs_used, events_used, members_used):
        yield from (use.name for use in kind(part))


A_DAY, A_CENTURY = Fraction(730_000), 36_525


def days(outcome: Outcome) -> frozenset[str]:
    """The names whose values are days, as far as their terms show it."""
    reported = {each.id for each in outcome.inputs if each.type == "day"}
    found = {each.id for each in outcome.parameters if each.day is not None}
    for _ in outcome.measures:
        more = {node.id for node in outcome.nodes() if _gives_a_day(node, reported, found)}
        if more <= found:
            break
        found |= more
    return frozenset(found)


def _gives_a_day(node: Node, reported: set[str], days: set[str]) -> bool:
    match node:
        case EventDay() | DayAfter():
            return True
        case Statistic(kind="latest" | "first" | "minimum" | "maximum"):
            return node.of in reported
        case Calculated(formula=formula) | Previous(of=formula) | Mark(of=formula):
            return _is_day(formula, days)
        case Combined(take="minimum" | "maximum"):
            return all(_is_day(formula, days) for formula in node.of)
    return False


def _is_day(formula: Formula, days: set[str]) -> bool:
    """Whether a formula stays near the days in it: a day and some days, not the days between two."""
    values = {name: A_DAY if name in days else Fraction(1) for name in formula.names}
    try:
        return abs(formula.evaluate(values) - A_DAY) < A_CENTURY
    except NoResult:
        return False
