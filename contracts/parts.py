"""Reusable parts that several contracts state in common: calendars, tax tables, indicators. Pure."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from contracts.checks_indicators import check_indicator, unknown_indicator
from contracts.errors import Refused
from contracts.fields import Day, Id, Share, Terms, Title
from contracts.indicators import CatalogueEntry, catalogue
from contracts.problems import Loc, Problem, Problems, nearest, repeated
from contracts.working_days import WorkingDays


class Part(Terms):
    """What every part states; a document that uses it names it by its id."""

    apiVersion: Literal["tollkeeper/v1"]
    id: Id
    title: Title


class Calendar(Part, WorkingDays):
    """Working days as they are decreed, for all contracts of a place."""

    kind: Literal["Calendar"]


class Rate(Terms):
    """A rate of tax, from a day on until the next one of its code."""

    code: Id
    title: Title
    rate: Share
    effective_on: Day


class TaxTable(Part):
    """Rates of tax and the days from which they are in force."""

    kind: Literal["TaxTable"]
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)]

    def rate(self, code: str, on: date) -> Fraction:
        """The rate in force on that day.

        Raises:
            Refused: a code that the table does not have, or has only from a later day on.
        """
        rates = {rate.effective_on: rate.rate for rate in self.rates if rate.code == code}
        if not rates:
            codes = list(dict.fromkeys(rate.code for rate in self.rates))
            raise _unknown("code", code, codes, "unknown_ref")
        in_force = [day for day in rates if day <= on]
        if not in_force:
            message = f"found no rate of {code} in force on {on}, expected {min(rates)} or later"
            raise Refused(message, "rate_not_in_force", at="code")
        return rates[max(in_force)]


class Group(Terms):
    """Indicators that see the same money."""

    id: Id
    title: Title


class IndicatorCatalog(Part):
    """A house's own indicators, each as the shipped catalogue has them."""

    kind: Literal["IndicatorCatalog"]
    overlap_groups: tuple[Group, ...] = ()
    indicators: Annotated[tuple[CatalogueEntry, ...], Field(min_length=1)]


def below(path: str) -> PurePosixPath:
    """The path of a used file, from the folder of the document that uses it.

    Raises:
        Refused: an absolute path, a drive, or one that leads out of that folder.
    """
    steps = path.split("/")
    if {"", ".", ".."} & {*steps} or {"\\", ":"} & {*path}:
        expected = "a path below the folder of this document, such as calendars/cn-2027.yaml"
        raise Refused(f"found {path!r}, expected {expected}", "uses")
    return PurePosixPath(path)


AnyPart = Calendar | TaxTable | IndicatorCatalog
OnePart = TypeVar("OnePart", Calendar, TaxTable, IndicatorCatalog)


class Parts:
    """The parts that a document uses; its terms name them by id."""

    def __init__(self, parts: Sequence[AnyPart] = ()) -> None:
        self._parts = parts

    def calendar(self, given: Mapping[str, Any]) -> WorkingDays:
        """The working days of the named calendar. Raises: Refused."""
        _alone(given, WorkingDays.model_fields)
        part = self._named(Calendar, given["part"])
        return WorkingDays(**part.model_dump(include=set(WorkingDays.model_fields)))

    def tax(self, given: Mapping[str, Any], on: date) -> dict[str, Any]:
        """The tax with the rate that the named table has in force on that day. Raises: Refused."""
        _alone(given, ["rate"])
        table, code = self._named(TaxTable, given["part"]), given.get("code")
        # What is no text is told of the code itself.
        rate = table.rate(code, on) if isinstance(code, str) else Fraction(0)
        return {**{key: given[key] for key in given if key != "part"}, "rate": rate}

    def indicators(self, named: Collection[str]) -> list[CatalogueEntry]:
        """Those of the used catalogues that are among the named."""
        catalogs = self._all(IndicatorCatalog).values()
        return [entry for each in catalogs for entry in each.indicators if entry.id in named]

    def _named(self, kind: type[OnePart], part_id: object) -> OnePart:
        known = self._all(kind)
        if not isinstance(part_id, str) or part_id not in known:
            raise _unknown("part", part_id, list(known), "unknown_part")
        return known[part_id]

    def _all(self, kind: type[OnePart]) -> dict[str, OnePart]:
        return {part.id: part for part in self._parts if isinstance(part, kind)}


def _alone(given: Mapping[str, Any], stated: Collection[str]) -> None:
    for key in stated:
        if key in given:
            message = f"found {key} beside part, expected the one or the other"
            raise Refused(message, "unknown_field", at=key)


def _unknown(key: str, wanted: object, known: list[str], rule: str) -> Refused:
    expected = f"one of {', '.join(known)}" if known else "the id of a part under uses"
    near = nearest(wanted, known) if isinstance(wanted, str) else None
    return Refused(f"found {wanted!r}, expected {expected}", rule, at=key, nearest=near)


def check_calendar(calendar: Calendar) -> Problems:
    """A provisional year is named once."""
    years = calendar.provisional_years
    yield from repeated((("provisional_years", i), str(year)) for i, year in enumerate(years))


def check_tax_table(table: TaxTable) -> Problems:
    """From one day on a code has one rate."""
    yield from repeated(
        (("rates", i, "effective_on"), f"{rate.code} from {rate.effective_on}")
        for i, rate in enumerate(table.rates)
    )


def check_catalog(catalog: IndicatorCatalog) -> Problems:
    """Each indicator keeps the rules of the shipped catalogue, and names what there is."""
    shipped, own = catalogue(), [entry.id for entry in catalog.indicators]
    groups = {*shipped.overlap_groups, *(group.id for group in catalog.overlap_groups)}
    for i, each in enumerate(catalog.overlap_groups):
        if each.id in shipped.overlap_groups:
            found = f"{each.id!r}, which the shipped catalogue has"
            yield Problem(("overlap_groups", i, "id"), found, "an id of its own", "duplicate_id")
    yield from repeated((("indicators", i, "id"), name) for i, name in enumerate(own))
    for i, entry in enumerate(catalog.indicators):
        loc: Loc = ("indicators", i)
        yield from check_indicator(loc, entry)
        counter, group = entry.gaming.counter_indicator, entry.monetisation.overlap_group
        known = {*shipped.indicators, *own} - {entry.id}
        if counter not in known:
            yield unknown_indicator((*loc, "gaming", "counter_indicator"), counter, known)
        if group not in groups:
            at, expected = (*loc, "monetisation", "overlap_group"), "a group of the catalogue"
            yield Problem(at, repr(group), expected, "unknown_ref", nearest(group, groups))
