"""The example contract, and short ways to say what the pure rules are asked."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from pydantic import BaseModel

from contracts.commands import Command
from contracts.contract import SettlementWindow, TrendWindow
from contracts.document import read_contract
from contracts.events import Event
from contracts.indicators import catalogue
from contracts.money import Money, parse_amount
from lifecycle.bet import Reading

EXAMPLE = Path(__file__).parents[3] / "examples" / "key-account.yaml"
CONTRACT = read_contract(EXAMPLE.read_text(encoding="utf-8"), EXAMPLE.name)
CATALOGUE = catalogue().indicators
CALENDAR = CONTRACT.working_calendar()
PLAN = CONTRACT.micro_consulting.plan
BET = CONTRACT.bet("B1")
WINDOWS = {window.id: window for window in BET.windows}

C = TypeVar("C", bound=Command)
M = TypeVar("M", bound=BaseModel)

property_of = settings(deadline=None)
"""For all that hypothesis thinks of; the machine may be busy, so no example has a deadline."""

amounts = st.integers(min_value=1, max_value=10**12).map(lambda minor: Money(minor, "CNY"))
shares = st.fractions(min_value=0, max_value=1, max_denominator=10_000)


def cny(amount: str) -> Money:
    """`cny("1800000.00")`, as the contract writes it."""
    return parse_amount(amount, "CNY")


def beijing(instant: str) -> datetime:
    """`beijing("2024-09-02 09:00")`, in the contract's own time zone."""
    return datetime.fromisoformat(instant).replace(tzinfo=ZoneInfo("Asia/Shanghai"))


def say(command: type[C], by: str, at: datetime, **content: object) -> C:
    """A command; its id is what is said, by whom and when."""
    command_id = f"{command.__name__} {by} {at:%Y-%m-%dT%H:%M}"
    return command.model_validate({"command_id": command_id, "by": by, "at": at, **content})


def settlement(window_id: str) -> SettlementWindow:
    window = WINDOWS[window_id]
    assert isinstance(window, SettlementWindow)
    return window


def trend_window(window_id: str) -> TrendWindow:
    window = WINDOWS[window_id]
    assert isinstance(window, TrendWindow)
    return window


def reading(indicator: str, measured_on: str | date, value: str, sample: int = 400) -> Reading:
    """A reading that came in at noon of the day it was measured on."""
    day = date.fromisoformat(measured_on) if isinstance(measured_on, str) else measured_on
    return Reading(
        indicator=indicator,
        measured_on=day,
        value=Decimal(value),
        sample=sample,
        source="CRM",
        evidence=f"report-{day.isoformat()}",
        occurred_at=beijing(f"{day.isoformat()} 12:00"),
    )


@contextmanager
def unchanged(*inputs: BaseModel) -> Iterator[None]:
    """Whatever happens inside, the inputs are afterwards what they were."""
    before = [given.model_dump_json() for given in inputs]
    try:
        yield
    finally:
        assert [given.model_dump_json() for given in inputs] == before


def travels(value: M) -> bool:
    """Whether a value comes out of JSON as it went in, as it does between two processes."""
    return type(value).model_validate_json(value.model_dump_json()) == value


def plain(events: Sequence[Event]) -> bool:
    """Whether the facts are JSON already, so that a reader finds what the rule wrote."""
    return all(json.loads(json.dumps(event.facts)) == event.facts for event in events)
