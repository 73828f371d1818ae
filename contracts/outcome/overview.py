"""A contract as its checks see it: what stands where, and what is agreed before any reading. Pure."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from fractions import Fraction
from functools import cached_property

from contracts.errors import CalendarNotCovered, TermsError
from contracts.formula import Formula
from contracts.outcome.basics import ValueOf
from contracts.outcome.graph import LISTS, Named, made_of, named, places
from contracts.outcome.outcome import OutcomeContract
from contracts.outcome.payment import OWN_NAMES
from contracts.problems import nearest

MAX_COMPARED = 50_000
"""Names that are looked through for the one that was meant, in all."""


class Overview:
    """Looked at once; each check asks for what it needs."""

    def __init__(self, contract: OutcomeContract) -> None:
        self.contract = contract
        self.outcome = contract.outcome
        self.pieces = list(named(contract.outcome))
        self.lists = {piece.name: piece.list for piece in reversed(self.pieces)}
        self.places = list(places(contract.outcome, ("outcome",)))
        self._compared = 0

    def of(self, *lists: str) -> list[Named]:
        """The pieces of some lists, in the order of the document."""
        return [piece for piece in self.pieces if piece.list in lists]

    def ids(self, *lists: str) -> list[str]:
        return [piece.name for piece in self.of(*lists)]

    def described(self, name: str) -> str:
        """A name, and what it stands for, if it does."""
        if name in OWN_NAMES:
            return f"{name!r}, a figure of the settlement"
        return f"{name!r}, {LISTS[self.lists[name]]}" if name in self.lists else repr(name)

    def nearest(self, word: str, names: Collection[str]) -> str | None:
        """The name that was probably meant; no longer looked for where very many are wrong."""
        self._compared += len(names)
        return nearest(word, names) if self._compared <= MAX_COMPARED else None

    @cached_property
    def made_of(self) -> dict[str, list[str]]:
        """What each piece looks at, in this period or in an earlier one."""
        return {piece.name: list(made_of(piece.part)) for piece in self.pieces}

    def depending(self, lists: Iterable[str], without: Collection[str] = ()) -> dict[str, Named]:
        """Of each name the first piece of these lists that depends on it, by way of others too."""
        found: dict[str, Named] = {}
        for piece in self.of(*lists):
            waiting = [piece.name]
            while waiting:
                name = waiting.pop()
                if name not in found and name not in without:
                    found[name] = piece
                    waiting += self.made_of.get(name, ())
        return found

    @cached_property
    def last_days(self) -> list[date]:
        """The last day of each period, without pauses."""
        return self.outcome.periods.last_days(self.contract.start)

    @cached_property
    def in_force(self) -> list[tuple[date, dict[str, Fraction]]]:
        """The parameters on the last day of the first period, and of each one before which some changed.

        Only those that are made of agreed numbers.
        """
        changes = sorted(c.effective_on for each in self.outcome.parameters for c in each.changes)
        days = {bisect_right(changes, day): day for day in reversed(self.last_days)}
        return [(day, self._parameters(day)) for day in sorted(days.values())]

    def _parameters(self, day: date) -> dict[str, Fraction]:
        values: dict[str, Fraction] = {}
        for parameter in self.outcome.parameters:
            value = parameter.on(day, value_of(values))
            if value is not None:
                values[parameter.id] = value
        return values

    @cached_property
    def agreed(self) -> dict[str, Fraction]:
        """The parameters that are the same in every period."""
        (_, first), *later = self.in_force
        return {
            name: value
            for name, value in first.items()
            if all(values.get(name) == value for _, values in later)
        }

    def value(self, formula: Formula | None) -> Fraction | None:
        """What a formula comes to in every period; None where that is not agreed."""
        return None if formula is None else value_of(self.agreed)(formula)

    @cached_property
    def settled_on(self) -> list[date] | None:
        """The day of each settlement, the final one last; None where the calendar ends before."""
        periods, calendar = self.outcome.periods, self.contract.working_calendar()
        try:
            calendar.is_working_day(self.last_days[-1])
            days = [periods.settled.day(last, calendar) for last in self.last_days]
            if periods.final_settlement is not None:
                days.append(periods.final_settlement.day(days[-1], calendar))
        except CalendarNotCovered:
            return None
        return days


def value_of(values: Mapping[str, Fraction]) -> ValueOf:
    """The value of formulas over these numbers; None where another one is needed, or an error."""

    def value(formula: Formula) -> Fraction | None:
        try:
            return formula.evaluate(values) if _all_in(formula, values) else None
        except TermsError:
            return None

    return value


def _all_in(formula: Formula, values: Mapping[str, Fraction]) -> bool:
    return all(name in values for name in formula.names)
