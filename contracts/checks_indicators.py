"""What an indicator must keep to that the shipped catalogue does not have. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

from contracts.errors import TermsError
from contracts.formula import Formula
from contracts.indicators import BetRole, CatalogueEntry, Direction, catalogue
from contracts.problems import Loc, Problem, Problems, nearest, repeated


def check_indicator(loc: Loc, entry: CatalogueEntry) -> Problems:
    """What is wrong with an indicator that is not of the shipped catalogue."""
    if entry.id.casefold() in catalogue().indicators:
        found, expected = f"{entry.id!r}, which the shipped catalogue has", "an id of its own"
        yield Problem((*loc, "id"), found, expected, "duplicate_id")
    yield from vanity((*loc, "id"), entry.id)
    if entry.gaming.vanity_flag == "vanity_if_alone" and entry.bet_role is BetRole.SETTLEMENT:
        found = "settlement for what flatters when alone"
        yield Problem((*loc, "bet_role"), found, "trend or diagnostic", "IND-06")
    yield from _band(loc, entry)
    yield from repeated(((*loc, "inputs", i, "name"), g.name) for i, g in enumerate(entry.inputs))
    yield from _example(loc, entry)


def _band(loc: Loc, entry: CatalogueEntry) -> Problems:
    aims_at_band = entry.direction is Direction.TARGET_BAND
    if aims_at_band != (entry.band is not None):
        found = "no band" if aims_at_band else "a band"
        expected = f"{'one' if aims_at_band else 'none'}, as the direction is {entry.direction}"
        yield Problem((*loc, "band"), found, expected, "direction")
    elif entry.band and entry.band[0] >= entry.band[1]:
        found = f"{entry.band[0]:f} to {entry.band[1]:f}"
        yield Problem((*loc, "band"), found, "the lower bound first", "direction")


def _example(loc: Loc, entry: CatalogueEntry) -> Problems:
    """The formulas give what the example says: a value to four decimals, money to whole units."""
    worth, example = entry.monetisation, entry.example
    shipped = {name: each.illustrative_value for name, each in catalogue().parameters.items()}
    known = {**shipped, **example.parameters}
    for i, name in enumerate(worth.parameters):
        if name not in known:
            found, expected = f"{name!r} without a value", "its value in example.parameters"
            at = (*loc, "monetisation", "parameters", i)
            yield Problem(at, found, expected, "unknown_ref", nearest(name, known))
            return
    inputs = {given.name: given.example for given in entry.inputs}
    agreed = {"delta": example.delta, **{name: known[name] for name in worth.parameters}}
    yield from _computed(
        (*loc, "formula"), entry.formula, inputs, (*loc, "example", "value"), example.value, 4
    )
    yield from _computed(
        (*loc, "monetisation", "expression"),
        worth.expression,
        agreed,
        (*loc, "example", "annual_cny"),
        example.annual_cny,
        0,
    )


def _computed(
    loc: Loc, formula: Formula, values: Mapping[str, Decimal], at: Loc, stated: Decimal, digits: int
) -> Problems:
    if set(formula.names) != set(values):
        found = f"a formula over {', '.join(formula.names) or 'nothing'}"
        yield Problem(loc, found, f"one over {', '.join(values)}", "formula_names")
        return
    try:
        value = round(formula.evaluate(values), digits)
    except TermsError as impossible:
        found, _, expected = str(impossible).rpartition(", expected ")
        yield Problem(loc, found, expected, "example")
        return
    if value != Fraction(stated):
        expected = f"{Decimal(value.numerator) / value.denominator:f}, as the formula gives it"
        yield Problem(at, f"{stated:f}", expected, "example")


def unknown_indicator(loc: Loc, wanted: str, known: Iterable[str]) -> Problem:
    expected = "an indicator of the catalogue"
    return Problem(loc, repr(wanted), expected, "unknown_indicator", nearest(wanted, known))


def vanity(loc: Loc, wanted: str) -> list[Problem]:
    instead = catalogue().rejected.get(wanted.casefold())
    expected = f"a measure of value instead, {' or '.join(instead or ())}"
    found = f"the vanity metric {wanted!r}"
    return [Problem(loc, found, expected, "IND-06")] if instead else []
