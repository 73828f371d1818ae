"""What no single value of an outcome contract shows: names, effects, order, sums, days. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from itertools import chain, islice, pairwise

from pydantic import BaseModel

from contracts.calendar import ONE_DAY, Period, add_period
from contracts.checks_indicators import unknown_indicator
from contracts.errors import TermsError
from contracts.fields import YEARS, percent
from contracts.formula import FUNCTIONS, Formula
from contracts.indicators import BetRole, Indicator, catalogue
from contracts.money import MINOR_DIGITS
from contracts.outcome.baselines import EarlierYear, Peers
from contracts.outcome.basics import Condition, Node, Window, WindowKind
from contracts.outcome.gates import Evidence, Threshold
from contracts.outcome.graph import (
    LISTS,
    Named,
    Place,
    Use,
    events_used,
    gates_used,
    inputs_used,
    members_used,
    read_inputs,
    uses,
    values_used,
)
from contracts.outcome.lines import Bands, Instalments, Line, RateCard, Units
from contracts.outcome.measures import (
    AcrossSubjects,
    Calculated,
    Combined,
    DayAfter,
    Elapsed,
    Previous,
    Ratio,
    Statistic,
    Truncation,
)
from contracts.outcome.outcome import Input, OutcomeContract, Periods, Score, Settling
from contracts.outcome.overview import Overview, value_of
from contracts.outcome.payment import OWN_NAMES, Cap, RetentionState
from contracts.outcome.totals import WeightedSum
from contracts.problems import Loc, Problem, Problems, repeated
from contracts.scoring import Affine, Curve, PerUnit, Steps, Table

NODES = ("measures", "baselines", "scores", "totals", "gates", "lines")
"""The lists whose values are computed first, each after those that it is made of."""

MONEY = ("lines", "caps", "retentions")

USED_BY = {
    "inputs": "a measure that reads it",
    "events": "a measure, a window, a gate or a retention that waits for it",
    "gates": "a score, a line or a formula that asks for it",
}
"""What must be there for an entry of these lists to have an effect."""

LIMITS: tuple[tuple[type[BaseModel], str, str], ...] = (
    (Affine, "at_least", "at_most"),
    (Cap, "at_least", "at_most"),
    (Line, "floor", "cap"),
    (WeightedSum, "floor", "cap"),
    (Truncation, "at_least", "at_most"),
)
"""Pieces with a lower limit and an upper one."""

DAY_FIELDS: tuple[tuple[type[BaseModel], *tuple[str, ...]], ...] = (
    (Window, "from_day", "to_day"),
    (Elapsed, "from_day", "to_day"),
    (DayAfter, "of"),
    (Evidence, "not_before"),
    (RetentionState, "not_before"),
)
"""The formulas that come to a day."""

DAYS = range(date(YEARS[0], 1, 1).toordinal(), date(YEARS[-1], 12, 31).toordinal() + 1)

CENTURY = 1200
"""Its months."""
WORKING_DAYS = 366

MAX_NAMED = 12
"""Names that a message lists; of more it only says what they are."""
MAX_CYCLES = 50


def check_outcome(contract: OutcomeContract) -> list[Problem]:
    """Everything that is wrong between the values, in the order of `OUTCOME_CHECKS`.

    Nothing else is judged while a span is longer than any calendar.
    """
    terms = Overview(contract)
    too_long = list(spans_are_short(terms))
    return too_long or [problem for problems in OUTCOME_CHECKS for problem in problems(terms)]


def spans_are_short(terms: Overview) -> Problems:
    """Nothing reaches further than a century, and no working days further than a year."""
    for place in terms.places:
        match place.value:
            case Period() as span if _months(span) > CENTURY:
                yield _invalid(place.loc, span, "at most P100Y")
            case Periods(every=Period() as span, count=int() as count) if (
                _months(span) * count > CENTURY
            ):
                found = f"{count} periods of {span}"
                yield _invalid((*place.loc, "count"), found, "at most 100 years in all")
            case Settling() | DayAfter() as part if part.working_days > WORKING_DAYS:
                expected = f"at most {WORKING_DAYS}"
                yield _invalid((*place.loc, "working_days"), part.working_days, expected)
            case EarlierYear(years=years) if years > CENTURY // 12:
                yield _invalid((*place.loc, "years"), years, f"at most {CENTURY // 12}")


def _months(span: Period) -> Fraction:
    return span.months + Fraction(span.days, 30)


def _invalid(loc: Loc, found: object, expected: str) -> Problem:
    return Problem(loc, str(found), expected, "invalid_value")


def ids_are_unique(terms: Overview) -> Problems:
    """Whatever a formula can name is named once; so are payers, and the items of a rate card."""
    yield from repeated(((*piece.loc, "id"), piece.name) for piece in terms.pieces)
    yield from repeated(
        (("outcome", "payment", "payers", n, "party"), payer.party)
        for n, payer in enumerate(terms.outcome.payment.payers)
    )
    for i, line in enumerate(terms.outcome.lines):
        if isinstance(line, RateCard):
            yield from repeated(
                (("outcome", "lines", i, "items", n, "id"), item.id)
                for n, item in enumerate(line.items)
            )


def names_are_free(terms: Overview) -> Problems:
    """No piece is called like a function, or like a figure that the settlement itself computes."""
    for piece in terms.pieces:
        if piece.name in OWN_NAMES or piece.name in FUNCTIONS:
            what = "function" if piece.name in FUNCTIONS else "figure of every settlement"
            found, expected = f"{piece.name!r}, which is a {what}", "another name"
            yield Problem((*piece.loc, "id"), found, expected, "reserved_name")


def references_exist(terms: Overview) -> Problems:
    """What is named outside of formulas is in the document, and of the right sort."""
    sorts = (("inputs", inputs_used), ("events", events_used), ("gates", gates_used))
    known = {where: dict.fromkeys(terms.ids(where)) for where, _ in sorts}
    for piece in terms.pieces:
        for where, asked in sorts:
            for use in asked(piece.part, piece.loc):
                yield from _unknown(use, terms, known[where], LISTS[where])
        if isinstance(piece.part, Ratio):
            inputs = read_inputs(piece.part)
            for name in piece.part.deemed:
                use = Use((*piece.loc, "deemed", name), name)
                yield from _unknown(use, terms, inputs, "an input of this ratio")
        if isinstance(piece.part, Elapsed):
            for n, reason in enumerate(piece.part.excused):
                use = Use((*piece.loc, "excused", n), reason)
                yield from _unknown(use, terms, terms.outcome.excuses, "one of the excuses")


def _unknown(use: Use, terms: Overview, known: Collection[str], sort: str) -> Problems:
    if use.name not in known:
        names = f": {', '.join(known)}" if len(known) <= MAX_NAMED else ""
        expected = f"{sort}{names}" if known else f"{sort}, and there is none"
        near = terms.nearest(use.name, known)
        yield Problem(use.loc, terms.described(use.name), expected, "unknown_ref", near)


def formulas_name_values(terms: Overview) -> Problems:
    """A formula is made of values that are known when it is computed; inputs are read by measures."""
    ever = {*terms.ids(*LISTS.keys() - {"inputs", "events"}), *OWN_NAMES}
    for loc, part, known in _in_order(terms):
        for use in values_used(part, loc):
            usable = ever if use.looks_back else known
            if use.name not in usable:
                yield _misnamed(use, terms, usable)


def _in_order(terms: Overview) -> Iterator[tuple[Loc, BaseModel, Collection[str]]]:
    """Every piece with formulas, and the names that have a value when it is computed."""
    known = dict.fromkeys(["days_in_period"])
    for piece in terms.of("parameters"):
        yield piece.loc, piece.part, known
        known[piece.name] = None
    for piece in terms.of("inputs"):
        yield piece.loc, piece.part, known
    known |= dict.fromkeys(terms.ids(*NODES))
    for piece in terms.of(*NODES):
        yield piece.loc, piece.part, known
    for stage, figures in (("caps", ["gross"]), ("retentions", ["retained", "earned"])):
        for piece in terms.of(stage):
            yield piece.loc, piece.part, known
            known[piece.name] = None
        known |= dict.fromkeys(figures)
    yield ("outcome", "payment"), terms.outcome.payment, known
    known |= dict.fromkeys(OWN_NAMES)
    for piece in terms.of("statement"):
        yield piece.loc, piece.part, known
        known[piece.name] = None


def _misnamed(use: Use, terms: Overview, usable: Collection[str]) -> Problem:
    found, where = terms.described(use.name), terms.lists.get(use.name)
    many = len(usable) > MAX_NAMED
    expected = "a value that is known here" if many else f"one of {', '.join(usable)}"
    if where is None and use.name not in OWN_NAMES:
        near = terms.nearest(use.name, usable)
        return Problem(use.loc, found, expected, "unknown_ref", near)
    if where in ("inputs", "events"):
        readers = (piece for piece in terms.of("measures") if use.name in _read(piece))
        names = " or ".join(piece.name for piece in islice(readers, MAX_NAMED))
        expected = f"{names}, which reads it" if names else USED_BY["inputs"]
    else:
        found += " that is known only later"
    return Problem(use.loc, found, expected, "unusable_name")


def _read(piece: Named) -> Sequence[str]:
    return read_inputs(piece.part) if isinstance(piece.part, Node) else ()


def exclusions_count_as_numbers(terms: Overview) -> Problems:
    """What an excluded reading counts as does not change."""
    parameters = terms.ids("parameters")
    for i, given in enumerate(terms.outcome.inputs):
        counted = given.excluded_as
        # Other names are told by `formulas_name_values`, and what has no value by `formulas_have_values`.
        if counted is not None and counted.names and set(counted.names).issubset(parameters):
            yield _invalid(("outcome", "inputs", i, "excluded_as"), counted, "a number")


def caps_go_from_narrow_to_wide(terms: Overview) -> Problems:
    """A cap is over lines and over caps before it; nothing is counted in two caps."""
    known = dict.fromkeys(terms.ids("lines"))
    inside: dict[str, str] = {}
    for piece in terms.of("caps", "retentions"):
        counted = inside if piece.list == "caps" else {}
        for use in members_used(piece.part, piece.loc):
            yield from _unknown(use, terms, known, "a line, or a cap that stands before")
            if use.name in counted:
                found = f"{use.name!r}, which counts in {counted[use.name]} already"
                yield Problem(use.loc, found, "each line and cap counted once", "counted_twice")
            counted.setdefault(use.name, piece.name)
        if piece.list == "caps":
            known[piece.name] = None


def nothing_is_made_of_itself(terms: Overview) -> Problems:
    """Values have an order in which each comes after those that it is made of."""
    nodes = {piece.name: piece for piece in reversed(terms.of(*NODES))}
    order = {name: n for n, name in enumerate(reversed(nodes))}
    made_of = {name: [used for used in _made_of(nodes[name]) if used in nodes] for name in order}
    for cycle in islice(_cycles(made_of), MAX_CYCLES):
        start = cycle.index(min(cycle, key=order.__getitem__))
        way = [*cycle[start:], *cycle[:start], cycle[start]]
        first = nodes[way[0]]
        asked = chain(values_used(first.part, first.loc), gates_used(first.part, first.loc))
        loc = next(use.loc for use in asked if use.name == way[1] and not use.looks_back)
        expected = "no value made of itself; kind: previous gives that of the period before"
        yield Problem(loc, " -> ".join(way), expected, "cycle")


def _made_of(piece: Named) -> Sequence[str]:
    return uses(piece.part) if isinstance(piece.part, Node) else ()


def _cycles(made_of: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Values each of which is made of the next, and the last of the first; no value in two of them."""
    while True:
        try:
            return TopologicalSorter(made_of).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1][:0:-1]
        yield cycle
        made_of = {name: used for name, used in made_of.items() if name not in cycle}


def everything_has_an_effect(terms: Overview) -> Problems:
    """Inputs, events and gates are there to be used."""
    used = {name for names in terms.made_of.values() for name in names}
    told = chain(references_exist(terms), formulas_name_values(terms))
    misspelt = {problem.nearest for problem in told}
    for piece in terms.of(*USED_BY):
        if piece.name not in used and piece.name not in misspelt:
            found = f"{piece.name!r}, which nothing uses"
            yield Problem((*piece.loc, "id"), found, USED_BY[piece.list], "no_effect")


def dates_are_in_order(terms: Overview) -> Problems:
    """Signing comes before effect, each change after the one before, the first end after the start."""
    contract = terms.contract
    if contract.effective_on < contract.signed_on:
        expected = f"the signing date {contract.signed_on} or later"
        yield Problem(("effective_on",), str(contract.effective_on), expected, "date_order")
    first_end = terms.last_days[0]
    if first_end < contract.start:
        expected = f"the start {contract.start} or later"
        yield Problem(("outcome", "periods", "ends", 0), str(first_end), expected, "date_order")
    for i, parameter in enumerate(terms.outcome.parameters):
        for n, (before, change) in enumerate(pairwise(parameter.changes), start=1):
            if change.effective_on <= before.effective_on:
                loc = ("outcome", "parameters", i, "changes", n, "effective_on")
                expected = f"later than {before.effective_on} of the change before"
                yield Problem(loc, str(change.effective_on), expected, "date_order")


def amounts_fall_due(terms: Overview) -> Problems:
    """Lines are due in periods that there are, and so are instalments."""
    count = len(terms.last_days)
    for i, line in enumerate(terms.outcome.lines):
        loc: Loc = ("outcome", "lines", i)
        if line.due == "final_settlement" and terms.outcome.periods.final_settlement is None:
            expected = "every_period, last_period, or periods.final_settlement"
            yield Problem((*loc, "due"), line.due, expected, "period_range")
        elif line.due == ():
            yield Problem((*loc, "due"), "an empty list", "at least one period", "too_short")
        elif isinstance(line.due, tuple):
            for n, number in enumerate(line.due):
                yield from _within((*loc, "due", n), number, 1, count)
        if isinstance(line, Instalments):
            yield from _within((*loc, "count"), line.count, 1, count)
            if line.recovered_in is not None:
                yield from _within((*loc, "recovered_in"), line.recovered_in, 2, count)


def _within(loc: Loc, number: int, least: int, count: int) -> Problems:
    if not least <= number <= count:
        expected = f"{least} to {count}, the number of periods"
        yield Problem(loc, str(number), expected, "period_range")


def working_days_are_known(terms: Overview) -> Problems:
    """Where working days are counted, a calendar is agreed, and it covers the periods."""
    counted = list(chain.from_iterable(map(_working_days, terms.places)))
    calendar = terms.contract.calendar
    if calendar is None:
        expected = "a calendar at the top of the contract, such as {country: CN}"
        for loc, found in counted:
            yield Problem(loc, f"{found} without a calendar", expected, "calendar_missing")
    elif counted and terms.settled_on is None:
        year = terms.contract.working_calendar().last_year + 1
        found = f"no decreed working days of {year} for {calendar.country}"
        expected = (
            f"the days off and the working weekends of {year} in calendar.overrides, "
            f"or {year} in calendar.provisional_years"
        )
        yield Problem(("calendar",), found, expected, "calendar_coverage")


def _working_days(place: Place) -> Iterator[tuple[Loc, str]]:
    """Where working days are counted, and how."""
    part = place.value
    if isinstance(part, Settling | DayAfter):
        if part.working_days:
            yield (*place.loc, "working_days"), f"{part.working_days} working days"
        if part.falls_on_a_day_off != "stays":
            yield (*place.loc, "falls_on_a_day_off"), part.falls_on_a_day_off
    elif isinstance(part, Elapsed) and part.counted == "working_days":
        yield (*place.loc, "counted"), part.counted


def windows_come_to_an_end(terms: Overview) -> Problems:
    """What a window looks at is known in time: when its period is settled for the last time."""
    for place in terms.places:
        window = place.value
        if isinstance(window, Window) and window.over is WindowKind.FIXED:
            yield from _fixed_days(window, place.loc, terms)
        elif isinstance(window, Window) and window.over is not WindowKind.SUBJECT:
            yield from _observed_in_time(window, place.loc, terms)


def _observed_in_time(window: Window, loc: Loc, terms: Overview) -> Problems:
    settled_on = terms.settled_on
    if window.later_by is None or settled_on is None:
        return
    again = terms.outcome.payment.later_data == "supersedes"
    for last, settled in zip(terms.last_days, settled_on, strict=False):
        known_on = settled_on[-1] if again else settled
        earlier = window.earlier_by or Period()
        start = add_period(last + ONE_DAY, Period(-earlier.months, -earlier.days))
        ends = add_period(start, window.later_by) - ONE_DAY
        if ends > known_on:
            found = f"days up to {ends} for the period to {last}, settled on {known_on}"
            expected = "a later settlement, such as periods.final_settlement"
            if not again:
                expected += " with payment.later_data: supersedes"
            yield Problem((*loc, "later_by"), found, expected, "window_order")
            return


def _fixed_days(window: Window, loc: Loc, terms: Overview) -> Problems:
    ordinals = {name: terms.value(getattr(window, name)) for name in ("from_day", "to_day")}
    days = {name: date.fromordinal(int(x)) for name, x in ordinals.items() if x and _is_day(x)}
    last = days.get("to_day")
    if last is None:
        return
    end = terms.last_days[-1]
    if terms.outcome.periods.final_settlement is not None and terms.settled_on is not None:
        end = max(end, terms.settled_on[-1])
    if last < days.get("from_day", last):
        expected = f"{days['from_day']} of from_day, or later"
        yield Problem((*loc, "to_day"), str(last), expected, "window_order")
    elif last > end and not (window.earlier_by or window.later_by):
        expected = f"{end}, when the last period ends, or earlier"
        yield Problem((*loc, "to_day"), str(last), expected, "window_order")


def days_are_days(terms: Overview) -> Problems:
    """Where a day is asked for, no number stands."""
    for place in terms.places:
        for kind, *fields in DAY_FIELDS:
            for name in fields if isinstance(place.value, kind) else ():
                formula = getattr(place.value, name)
                value = terms.value(formula)
                if value is not None and not _is_day(value):
                    expected = "a day, such as a parameter with day"
                    yield _invalid((*place.loc, name), f"{formula}, a number", expected)


def _is_day(value: Fraction) -> bool:
    return value.denominator == 1 and int(value) in DAYS


def formulas_have_values(terms: Overview) -> Problems:
    """A formula of agreed numbers alone has a value: no divisor is zero, no clamp the wrong way."""
    for place in terms.places:
        formula = place.value
        if isinstance(formula, Formula) and all(name in terms.agreed for name in formula.names):
            try:
                formula.evaluate(terms.agreed)
            except TermsError as refused:
                _, _, words = str(refused).partition(": found ")
                found, _, expected = words.rpartition(", expected ")
                yield Problem(place.loc, found, expected, "no_value")


def numbers_make_sense(terms: Overview) -> Problems:
    """A unit has a size, a percentile is a share, what looks back looks back at least one period."""
    for place in terms.places:
        part, loc = place.value, place.loc
        if isinstance(part, Units | PerUnit):
            size = terms.value(part.unit_size)
            if size is not None and size <= 0:
                yield _invalid((*loc, "unit_size"), part.unit_size, "more than 0")
        if isinstance(part, AcrossSubjects | Peers):
            yield from _percentile(part, (*loc, "percentile"), terms)
        if isinstance(part, Previous) and part.periods == 0:
            yield _invalid((*loc, "periods"), part.periods, "1 or more")
        if isinstance(part, EarlierYear) and part.years == 0:
            yield _invalid((*loc, "years"), part.years, "1 or more")


def _percentile(part: AcrossSubjects | Peers, loc: Loc, terms: Overview) -> Problems:
    share = terms.value(part.percentile)
    if part.take == "percentile" and part.percentile is None:
        yield Problem(loc, "nothing", "the required key percentile", "required_field")
    elif part.take != "percentile" and part.percentile is not None:
        yield Problem(loc, f"a percentile of a {part.take}", "take: percentile", "no_effect")
    elif share is not None and not 0 < share <= 1:
        yield _invalid(loc, part.percentile, "a share, such as 90%")


def conditions_can_hold(terms: Overview) -> Problems:
    """There is a number that meets a condition."""
    for place in terms.places:
        condition = place.value
        if isinstance(condition, Condition) and _met_by([condition], terms) == [range(0)]:
            found = f"{_words(condition)}, which no number meets"
            expected = "a lower limit below the upper one"
            yield Problem(place.loc, found, expected, "unreachable")


def steps_can_be_reached(terms: Overview) -> Problems:
    """For every step there is a number for which no earlier one holds."""
    for place in terms.places:
        steps = place.value.steps if isinstance(place.value, Steps) else ()
        taken: set[int] = set()
        reach = _met_by(steps, terms)
        for n, numbers in enumerate(reach):
            if numbers and taken.issuperset(numbers):
                before = (
                    _words(step)
                    for step, others in zip(steps, reach[:n], strict=False)
                    if others and others[0] <= numbers[-1] and numbers[0] <= others[-1]
                )
                found = f"{_words(steps[n])} after {', '.join(islice(before, MAX_NAMED))}"
                expected = "a step that is the first to hold for some number"
                yield Problem((*place.loc, "steps", n), found, expected, "unreachable")
            taken.update(numbers or ())


def _met_by(conditions: Sequence[Condition], terms: Overview) -> list[range | None]:
    """The cases for which each condition holds, where its limits are agreed.

    The limits of all conditions cut the numbers into cases: 0 is below the first, 1 on it, 2 between
    it and the next, and so on.
    """
    limits = [_limits(condition, terms) for condition in conditions]
    agreed = sorted({limit for each in limits if each for _, limit in each})
    case = {limit: 2 * n + 1 for n, limit in enumerate(agreed)}
    return [
        None if each is None else _cases([(name, case[x]) for name, x in each], 2 * len(agreed) + 1)
        for each in limits
    ]


def _limits(condition: Condition, terms: Overview) -> list[tuple[str, Fraction]] | None:
    stated = [(name, terms.value(limit)) for name, limit in condition.comparisons()]
    agreed = [(name, limit) for name, limit in stated if limit is not None]
    return agreed if len(agreed) == len(stated) else None


def _cases(comparisons: Iterable[tuple[str, int]], count: int) -> range:
    first, end = 0, count
    for name, at in comparisons:
        match name:
            case "at_least":
                first = at
            case "more_than":
                first = at + 1
            case "at_most":
                end = at + 1
            case _:
                end = at
    return range(first, max(first, end))


def _words(condition: Condition) -> str:
    return " and ".join(f"{name} {limit}" for name, limit in condition.comparisons())


def limits_are_in_order(terms: Overview) -> Problems:
    """Knots, rows and bands go upwards, no floor is above its cap, a target is not its baseline."""
    for place in terms.places:
        yield from _rising(place, terms)
        for kind, low, high in LIMITS:
            if isinstance(place.value, kind):
                yield from _not_below(place, low, high, terms)
        if isinstance(place.value, Score):
            start, end = terms.value(place.value.baseline), terms.value(place.value.target)
            if start is not None and start == end:
                found = f"{place.value.target}, which is also the baseline"
                expected = "a target that is not the baseline"
                yield Problem((*place.loc, "target"), found, expected, "direction")


def _rising(place: Place, terms: Overview) -> Problems:
    match place.value:
        case Curve(knots=knots):
            limits = [(("knots", n, "at"), knot.at) for n, knot in enumerate(knots)]
        case Table(rows=rows):
            limits = [(("rows", n, "at"), row.at) for n, row in enumerate(rows)]
        case Bands(bands=bands):
            limits = [(("bands", n, "up_to"), b.up_to) for n, b in enumerate(bands) if b.up_to]
        case _:
            return
    known = [(loc, limit, x) for loc, limit in limits if (x := terms.value(limit)) is not None]
    for (_, before, low), (loc, limit, high) in pairwise(known):
        if high <= low:
            found, expected = f"{limit} after {before}", f"more than {before}"
            yield Problem((*place.loc, *loc), found, expected, "value_order")


def _not_below(place: Place, low: str, high: str, terms: Overview) -> Problems:
    floor, cap = getattr(place.value, low), getattr(place.value, high)
    lowest, highest = terms.value(floor), terms.value(cap)
    if lowest is not None and highest is not None and highest < lowest:
        found, expected = f"{cap}, below {low} {floor}", f"{floor} or more"
        yield Problem((*place.loc, high), found, expected, "value_order")


ACCUMULATING = (WindowKind.TO_DATE, WindowKind.FIXED, WindowKind.SUBJECT)
"""Windows over days that an earlier period has counted already."""


def amounts_are_counted_once(terms: Overview) -> Problems:
    """What a total has counted in an earlier period is not earned anew in the next."""
    nodes = {node.id: node for node in terms.outcome.nodes()}
    for n, line in enumerate(terms.outcome.lines):
        if line.basis == "each_period" and line.due == "every_period" and len(terms.last_days) > 1:
            total = _total_below(line, nodes)
            if total is not None:
                found = f"each_period of {total!r}, a total over days of earlier periods"
                expected = "to_date, or a difference to a previous value"
                yield Problem(("outcome", "lines", n, "basis"), found, expected, "counted_again")


def _total_below(line: Line, nodes: Mapping[str, Node]) -> str | None:
    """The total that a line is a multiple of; None where it looks back, as a difference does."""
    total, waiting, seen = None, [line.id], set[str]()
    while waiting:
        node = nodes.get(waiting.pop())
        if node is None or node.id in seen:
            continue
        seen.add(node.id)
        if isinstance(node, Previous):
            return None
        if isinstance(node, Statistic) and node.kind in ("sum", "count"):
            over_again = node.window.over in ACCUMULATING and node.window.restarts_after is None
            total = node.id if over_again else total
        elif isinstance(node, Calculated | Combined | AcrossSubjects | Line):
            waiting += [use.name for use in values_used(node)]
    return total


def weights_are_whole(terms: Overview) -> Problems:
    """Weights that are agreed are exactly 100 %, in every period."""
    for place in terms.places:
        if not isinstance(place.value, WeightedSum):
            continue
        for day, parameters in terms.in_force:
            weights = [value_of(parameters)(term.weight) for term in place.value.of]
            known = [weight for weight in weights if weight is not None]
            total = sum(known, Fraction(0))
            if len(known) == len(weights) and total != 1:
                since = f" on {day}" if day > terms.last_days[0] else ""
                loc = (*place.loc, "of", len(weights) - 1, "weight")
                found = f"{percent(total)} for the weights{since}"
                yield Problem(loc, found, "100%", "sum_mismatch")
                break


def money_is_payable(terms: Overview) -> Problems:
    """What is settled is rounded to what can be paid in the currency; a single line may be finer."""
    currency = terms.contract.currency
    most = MINOR_DIGITS[currency]
    roundings: list[tuple[Loc, int]] = [(("rounding",), terms.outcome.rounding.decimals)]
    for i, retention in enumerate(terms.outcome.retentions):
        roundings.append((("retentions", i, "round"), retention.round.decimals))
    for loc, decimals in roundings:
        if decimals > most:
            expected = f"at most {most}, the decimals of {currency}"
            yield Problem(("outcome", *loc, "decimals"), str(decimals), expected, "scale")


def money_is_one_number(terms: Overview) -> Problems:
    """What comes after the lines asks for values of all subjects together."""
    asked = list(values_used(terms.outcome.payment, ("outcome", "payment")))
    for piece in terms.of("caps", "retentions", "statement"):
        asked += values_used(piece.part, piece.loc)
    columns = _columns(terms)
    for use in asked:
        if use.name in columns:
            found = f"{use.name!r}, which has a value for each subject"
            expected = "a value of all subjects, such as one of kind across_subjects"
            yield Problem(use.loc, found, expected, "per_subject")


def _columns(terms: Overview) -> set[str]:
    """The values that are there for each subject: those of a measure, and all that are made of them."""
    nodes = {node.id: node for node in terms.outcome.nodes() if not node.REDUCES}
    made_into: dict[str, list[str]] = {}
    for name, node in nodes.items():
        for used in chain(values_used(node), gates_used(node)):
            made_into.setdefault(used.name, []).append(name)
    waiting = [name for name, node in nodes.items() if getattr(node, "each", None)]
    waiting += [each.id for each in terms.outcome.parameters if each.by_subject]
    columns: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in columns:
            columns.add(name)
            waiting += made_into.get(name, ())
    return columns


def indicators_are_known(terms: Overview) -> Problems:
    """An input is an indicator of the catalogue; a vanity metric is only ever shown (IND-06)."""
    known, depending = catalogue(), terms.depending(("scores", "gates", *MONEY))
    for loc, name, indicator in _indicators(terms):
        instead = known.rejected.get(indicator.casefold())
        if instead is None and indicator not in known.indicators:
            yield unknown_indicator(loc, indicator, known.indicators)
        elif instead is not None and name in depending:
            found = f"the vanity metric {indicator!r}, on which {depending[name].name} depends"
            expected = f"a measure of value instead, {' or '.join(instead)}"
            yield Problem(loc, found, expected, "IND-06")


def indicators_may_settle(terms: Overview) -> Problems:
    """Money depends on indicators of role settlement (IND-01), in a cost centre on no margin (FND-04)."""
    for loc, entry, amount in _paid_for(terms):
        if entry.bet_role is not BetRole.SETTLEMENT:
            found = f"{entry.id!r}, whose role is {entry.bet_role.value}, for {amount.name}"
            yield Problem(loc, found, "an indicator of role settlement", "IND-01")
        if terms.contract.value_position == "cost_centre" and entry.value_type == "margin_gain":
            found = f"{entry.id!r}, a gain of margin, for {amount.name}"
            expected = "an indicator of cost, as value_position is cost_centre"
            yield Problem(loc, found, expected, "FND-04")


def value_is_counted_once(terms: Overview) -> Problems:
    """Within an overlap group one indicator carries money (INV-15)."""
    groups: dict[str, str] = {}
    for loc, entry, _ in _paid_for(terms):
        first = groups.setdefault(entry.overlap_group, entry.id)
        if first != entry.id:
            found = f"{entry.id!r} beside {first!r}, both of group {entry.overlap_group}"
            yield Problem(loc, found, "one indicator of that group", "INV-15")


def _indicators(terms: Overview) -> Iterator[tuple[Loc, str, str]]:
    """The inputs that are an indicator: where that stands, the input, the indicator."""
    for piece in terms.of("inputs"):
        if isinstance(piece.part, Input) and piece.part.indicator is not None:
            yield (*piece.loc, "indicator"), piece.name, piece.part.indicator


def _paid_for(terms: Overview) -> Iterator[tuple[Loc, Indicator, Named]]:
    """The indicators that carry money, each with the first amount that depends on it.

    A guardrail stops money, and carries none.
    """
    known = catalogue().indicators
    guardrails = {
        gate.id
        for gate in terms.outcome.gates
        if isinstance(gate, Threshold) and gate.kind == "guardrail"
    }
    depending = terms.depending(MONEY, without=guardrails)
    for loc, name, indicator in _indicators(terms):
        if indicator in known and name in depending:
            yield loc, known[indicator], depending[name]


OUTCOME_CHECKS = (
    ids_are_unique,
    names_are_free,
    references_exist,
    formulas_name_values,
    exclusions_count_as_numbers,
    caps_go_from_narrow_to_wide,
    nothing_is_made_of_itself,
    everything_has_an_effect,
    dates_are_in_order,
    amounts_fall_due,
    working_days_are_known,
    days_are_days,
    windows_come_to_an_end,
    formulas_have_values,
    numbers_make_sense,
    conditions_can_hold,
    steps_can_be_reached,
    limits_are_in_order,
    amounts_are_counted_once,
    weights_are_whole,
    money_is_payable,
    money_is_one_number,
    indicators_are_known,
    indicators_may_settle,
    value_is_counted_once,
)
