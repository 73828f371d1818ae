"""Small contracts in their own language, and short ways to settle them and to say what comes out."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from textwrap import dedent, indent

from contracts.document import Kind, read_document
from contracts.outcome.outcome import OutcomeContract
from contracts.outcome.readings import Readings
from lifecycle.settlement import Settlement, Settler

KIND = Kind("outcome contract", OutcomeContract, lambda _: (), key="outcome")

HEADER = """\
apiVersion: tollkeeper/v1
kind: Contract
id: TEST
version: {version}
title: {{en: A small contract}}
signed_on: 2025-01-01
effective_on: {effective_on}
currency: {currency}
timezone: Asia/Shanghai
parties:
  consultant: {{name: {{en: Consultant}}}}
  client: {{name: {{en: Client}}}}
{calendar}outcome:
"""

USUAL = {
    "periods": "{every: P1M, count: 12}",
    "rounding": "{decimals: 2, mode: half_away, at: sum}",
    "lines": '[{id: fee, clause: "1", kind: amount, amount: 0}]',
    "payment": '{clause: "9", negative: paid_back}',
}
"""What a contract says where its terms are silent."""

Given = str | int | bool | None
Series = Sequence[Given] | Mapping[str, Sequence[Given]]


def contract(
    terms: str,
    *,
    version: int = 1,
    effective_on: str = "2025-01-01",
    currency: str = "CNY",
    country: str | None = None,
) -> OutcomeContract:
    """The contract with these terms and the usual ones; it begins in January 2025, in months."""
    terms = dedent(terms).strip("\n")
    stated = set(re.findall(r"^(\w+):", terms, re.MULTILINE))
    usual = [f"{key}: {value}" for key, value in USUAL.items() if key not in stated]
    calendar = f"calendar: {{country: {country}}}\n" if country else ""
    header = HEADER.format(
        version=version, effective_on=effective_on, currency=currency, calendar=calendar
    )
    body = indent("\n".join([terms, *usual]), "  ")
    return read_document(f"{header}{body}\n", "test.yaml", [KIND])


def known(
    *readings: Mapping[str, object],
    events: Sequence[Mapping[str, object]] = (),
    **series: Series,
) -> Readings:
    """What is known: single readings, events, and series with one value for each period."""
    return Readings.model_validate(
        {
            "apiVersion": "tollkeeper/v1",
            "kind": "Readings",
            "contract": "TEST",
            "readings": readings,
            "events": events,
            "series": {name: _given(values) for name, values in series.items()},
        }
    )


def _given(values: Series) -> object:
    if isinstance(values, Mapping):
        return {subject: _given(each) for subject, each in values.items()}
    return [str(v) if type(v) is int else v for v in values]


def reading(name: str, days: str, value: Given, **more: object) -> dict[str, object]:
    """A reading of one day, or of `2025-01-01 to 2025-01-07`."""
    first, _, last = days.partition(" to ")
    when = {"from_day": first, "to_day": last} if last else {"on": first}
    return {"input": name, "value": str(value) if type(value) is int else value, **when, **more}


def event(name: str, on: str, **more: object) -> dict[str, object]:
    return {"event": name, "on": on, **more}


def settled(
    terms: str | OutcomeContract,
    readings: Readings | None = None,
    *,
    as_of: str | None = None,
    **series: Series,
) -> Settlement:
    """The settlement of a contract; `settled(terms, hits=[1, 2])` has one value for each period."""
    agreed = contract(terms) if isinstance(terms, str) else terms
    given = readings or known(events=(), **series)
    day = date.fromisoformat(as_of) if as_of else None
    return Settler(agreed).settle(given, day)


def values(settlement: Settlement, name: str) -> list[object]:
    """A value of each period, exact; None is missing, a column is one value for each subject."""
    return [period.values[name] for period in settlement.periods]


def value(settlement: Settlement, name: str) -> object:
    """The same in the last period that was settled."""
    return values(settlement, name)[-1]


def payments(settlement: Settlement) -> list[Fraction]:
    return [period.payment.exact for period in settlement.periods]


def exact(text: str) -> list[Fraction | None]:
    """`exact("0 1/2 -")`: numbers apart by blanks, and `-` for a missing one."""
    return [None if each == "-" else Fraction(each) for each in text.split()]


def day(text: str) -> Fraction:
    """A day as formulas see it."""
    return Fraction(date.fromisoformat(text).toordinal())
