"""What a contract may come to: its rules over assumptions, never over readings. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod

from contracts.errors import TermsError
from contracts.money import Money, round_half_away
from contracts.outcome.readings import Forecast, Possibility, Readings, Series
from lifecycle.settlement import Settlement, Settler

MAX_CASES = 20_000


@dataclass(frozen=True)
class Case:
    """One way in which everything may come, with its probability and what is settled then."""

    possibilities: tuple[str, ...]
    probability: Fraction
    settlement: Settlement


@dataclass(frozen=True)
class Outlook:
    """What is to be expected of a contract.

    `expected` is the probability-weighted amount, rounded once; `most_likely` the amount with the
    greatest probability, the lower one of two alike. Always: `expected_by_period` sums to `expected_exact`.
    """

    cases: tuple[Case, ...]
    expected: Money
    expected_exact: Fraction
    most_likely: Money
    most_likely_probability: Fraction
    lowest: Money
    highest: Money
    expected_by_period: tuple[Fraction, ...]


def outlook(settler: Settler, forecast: Forecast) -> Outlook:
    """Settle every case of a forecast by the rules of the contract.

    Raises:
        TermsError: more cases than can be settled, an input that is assumed twice, or what the
            settlement refuses.
    """
    cases = tuple(_cases(settler, forecast))
    amounts: dict[int, Fraction] = {}
    exact = Fraction(0)
    by_period = [Fraction(0)] * len(cases[0].settlement.periods)
    for case in cases:
        paid = case.settlement.paid_in_all
        amounts[paid.minor] = amounts.get(paid.minor, Fraction(0)) + case.probability
        exact += case.probability * paid.exact
        for n, settled in enumerate(case.settlement.periods):
            by_period[n] += case.probability * settled.payment.exact
    likely = min(amounts, key=lambda minor: (-amounts[minor], minor))
    currency = settler.contract.currency
    unit = Money(1, currency).exact
    return Outlook(
        cases=cases,
        expected=Money(round_half_away(exact / unit), currency),
        expected_exact=exact,
        most_likely=Money(likely, currency),
        most_likely_probability=amounts[likely],
        lowest=Money(min(amounts), currency),
        highest=Money(max(amounts), currency),
        expected_by_period=tuple(by_period),
    )


def _cases(settler: Settler, forecast: Forecast) -> Iterator[Case]:
    count = prod(len(unknown.possibilities) for unknown in forecast.unknowns)
    if count > MAX_CASES:
        raise TermsError(f"unknowns: found {count} cases, expected at most {MAX_CASES}")
    for chosen in product(*(unknown.possibilities for unknown in forecast.unknowns)):
        probability = prod((each.probability for each in chosen), start=Fraction(1))
        if probability:
            settlement = settler.settle(_assumed(forecast, chosen))
            yield Case(tuple(each.id for each in chosen), probability, settlement)


def _assumed(forecast: Forecast, chosen: tuple[Possibility, ...]) -> Readings:
    """The data of one case; it looks like readings, and lives no longer than the case."""
    series: dict[str, Series] = {}
    given: list[tuple[str, Mapping[str, Series]]] = [("certain", forecast.certain)]
    given += [(f"unknowns, {each.id}", each.series) for each in chosen]
    for where, values in given:
        for name, assumed in values.items():
            if name in series:
                raise TermsError(f"{where}: found {name} a second time, expected it once")
            series[name] = assumed
    events = (*forecast.events, *(event for each in chosen for event in each.events))
    return Readings.model_construct(
        apiVersion="tollkeeper/v1",
        kind="Readings",
        contract=forecast.contract,
        series=series,
        events=events,
    )
