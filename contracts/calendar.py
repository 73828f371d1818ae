"""Working days, month arithmetic and clocks of a contract, as data. Pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from contracts.errors import CalendarNotCovered, TermsError

PERIOD = re.compile(r"P(?:([0-9]{1,3})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,5})D)?", re.ASCII)
SATURDAY = 5
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """Calendar months and days. `P1M` is a month, never 30 days."""

    months: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Read `P6M`, `P1Y`, `P10D` or `P1M15D`.

        Raises:
            TermsError: anything else, and the empty period.
        """
        match = PERIOD.fullmatch(text)
        years, months, days = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
        if not years and not months and not days:
            raise TermsError(f"found {text!r}, expected a period such as P3M, P1Y or P10D")
        return cls(12 * years + months, days)

    def __str__(self) -> str:
        months = f"{self.months}M" if self.months else ""
        days = f"{self.days}D" if self.days or not self.months else ""
        return f"P{months}{days}"


def add_period(start: date, period: Period) -> date:
    """The date that many months and days later; a month end clamps: 31 January + P1M = 28 February."""
    return start + relativedelta(months=period.months, days=period.days)


def local_date(instant: datetime, timezone: str) -> date:
    """The date in that time zone at that instant."""
    return instant.astimezone(ZoneInfo(timezone)).date()


@dataclass(frozen=True)
class BusinessCalendar:
    """Which days count as working days, for stated years, in one time zone; it travels as data.

    `first_year` to `last_year` are the years for which `days_off` and `days_on` are complete.
    """

    id: str
    timezone: str
    first_year: int
    last_year: int
    days_off: tuple[date, ...] = field(default=())
    days_on: tuple[date, ...] = field(default=())

    @cached_property
    def _off(self) -> frozenset[date]:
        return frozenset(self.days_off)

    @cached_property
    def _on(self) -> frozenset[date]:
        return frozenset(self.days_on)

    def is_working_day(self, day: date) -> bool:
        """Monday to Friday but for holidays, and the weekends that are decreed as working days.

        Raises:
            CalendarNotCovered: the year is outside the calendar; nothing is guessed.
        """
        if not self.first_year <= day.year <= self.last_year:
            raise CalendarNotCovered(
                f"calendar {self.id} covers {self.first_year} to {self.last_year}; "
                f"a clock reaches {day.isoformat()}, expected that year's working days"
            )
        return day in self._on or (day.weekday() < SATURDAY and day not in self._off)

    def end_of_day(self, day: date) -> datetime:
        """The last instant of that day in the contract's time zone, as UTC, to the second."""
        midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(self.timezone))
        return midnight.astimezone(UTC) - timedelta(seconds=1)

    def local_date(self, instant: datetime) -> date:
        """The contract's own date at that instant."""
        return local_date(instant, self.timezone)

    def working_days_after(self, start: datetime, days: int) -> datetime:
        """End of the `days`-th working day after the day of `start`; that day itself never counts."""
        return self.end_of_day(self.working_day_after(self.local_date(start), days))

    def working_day_after(self, day: date, days: int) -> date:
        """The `days`-th working day after a day, which itself never counts."""
        while days > 0:
            day += ONE_DAY
            days -= self.is_working_day(day)
        return day

    def period_after(self, start: date, period: Period) -> datetime:
        """End of the last day of a window of calendar months and days that opened on `start`."""
        return self.end_of_day(add_period(start, period))

    def working_days_between(self, start: datetime, end: datetime) -> int:
        """How many working days follow the day of `start`, up to the day of `end`."""
        day, last, days = self.local_date(start), self.local_date(end), 0
        while day < last:
            day += ONE_DAY
            days += self.is_working_day(day)
        return days

    def with_days(
        self, decree: str, working: Collection[date], off: Collection[date], last_year: int
    ) -> "BusinessCalendar":
        """With days that were decreed later; `decree` names where they come from."""
        return replace(
            self,
            id=f"{self.id}+{decree}",
            last_year=max(self.last_year, last_year),
            days_off=tuple(sorted({*self.days_off, *off} - {*working})),
            days_on=tuple(sorted({*self.days_on, *working} - {*off})),
        )


DayOff = Literal["stays", "next_working_day", "previous_working_day"]
"""Where a day goes that is no working day."""


def due_day(
    start: date, after: Period, working_days: int, day_off: DayOff, calendar: BusinessCalendar
) -> date:
    """The day a period and then some working days after `start`, which itself never counts.

    Raises:
        CalendarNotCovered: it has to know the working days of a year that the calendar does not.
    """
    day = calendar.working_day_after(add_period(start, after), working_days)
    step = -ONE_DAY if day_off == "previous_working_day" else ONE_DAY
    while day_off != "stays" and not calendar.is_working_day(day):
        day += step
    return day


def country_calendar(
    country: str,
    timezone: str,
    first_year: int,
    last_year: int,
    overrides: Mapping[date, bool],
    provisional: Collection[int] = (),
) -> BusinessCalendar:
    """The public holidays and decreed working weekends of a country, as data.

    Args:
        country: ISO 3166 code, or `weekdays` for Monday to Friday without holidays.
        overrides: day to "is a working day"; wins over the published calendar. A year that is
            not decreed yet is covered only when it has overrides, or is provisional.
        provisional: years to cover though they are only forecast, without make-up days.

    Returns:
        A calendar that covers `first_year` up to the last year that is published, overridden or
        provisional; its id says which of its years are provisional.
    """
    # Imported here: it has the days of all countries, and what runs carries its own as data.
    import holidays

    off = {day for day, works in overrides.items() if not works}
    on = {day for day, works in overrides.items() if works}
    years = range(first_year, last_year + 1) if country != "weekdays" else ()
    for year in years:
        published = holidays.country_holidays(country, years=year)
        decreed = {day for day in published.weekend_workdays if day.year == year}
        # China decrees its make-up days each November; a year without them is only a forecast.
        if country == "CN" and not decreed and year not in provisional:
            if not any(day.year == year for day in overrides):
                last_year = year - 1
                break
        else:
            off |= {day for day in published if day.year == year} - on
            on |= decreed - off
    forecast = [str(year) for year in sorted(provisional) if first_year <= year <= last_year]
    marked = f",provisional:{'+'.join(forecast)}" if forecast else ""
    return BusinessCalendar(
        id=f"{country}@{first_year}-{last_year}{marked}",
        timezone=timezone,
        first_year=first_year,
        last_year=last_year,
        days_off=tuple(sorted(off)),
        days_on=tuple(sorted(on)),
    )
