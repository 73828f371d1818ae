"""Months clamp, working days are the decreed ones, and nothing is guessed."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

import chinese_calendar  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calendar import BusinessCalendar, Period, add_period, country_calendar
from contracts.errors import CalendarNotCovered, TermsError

CHINA = country_calendar("CN", "Asia/Shanghai", 2018, 2026, {})
WEEKDAYS = country_calendar("weekdays", "Europe/Berlin", 2024, 2027, {})

days = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize(
    ("text", "months", "days", "canonical"),
    [
        ("P3M", 3, 0, "P3M"),
        ("P1Y", 12, 0, "P12M"),
        ("P1Y6M", 18, 0, "P18M"),
        ("P10D", 0, 10, "P10D"),
        ("P1M15D", 1, 15, "P1M15D"),
        ("P0Y3M", 3, 0, "P3M"),
    ],
)
def test_a_period_is_months_and_days(text, months, days, canonical):
    assert Period.parse(text) == Period(months, days)
    assert str(Period.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "P", "3M", "p3m", "P3W", "PT3H", "P1.5M", "P-1M", "-P1M", "P3M ", "P３M", "P0D", "P0M",
     "P1D1M", "P99999M"],
)  # fmt: skip
def test_anything_else_is_no_period(text):
    with pytest.raises(TermsError, match="expected a period such as P3M, P1Y or P10D"):
        Period.parse(text)


@given(st.integers(0, 9999), st.integers(0, 99999))
def test_a_period_survives_its_text(months, days):
    if months or days:
        assert Period.parse(str(Period(months, days))) == Period(months, days)


@given(days, st.integers(1, 240))
def test_months_clamp_to_the_month_end(start, months):
    end = add_period(start, Period(months=months))
    years, month = divmod(start.month - 1 + months, 12)
    last = monthrange(start.year + years, month + 1)[1]
    assert end == date(start.year + years, month + 1, min(start.day, last))


@pytest.mark.parametrize(
    ("start", "period", "end"),
    [
        ("2026-01-31", "P1M", "2026-02-28"),
        ("2024-01-31", "P1M", "2024-02-29"),
        ("2024-02-29", "P1Y", "2025-02-28"),
        ("2026-02-28", "P1M", "2026-03-28"),
        ("2026-01-31", "P1M1D", "2026-03-01"),
        ("2026-11-30", "P3M", "2027-02-28"),
    ],
)
def test_a_month_is_never_thirty_days(start, period, end):
    found = add_period(date.fromisoformat(start), Period.parse(period))
    assert found == date.fromisoformat(end)


def test_two_sources_agree_on_every_chinese_working_day():
    assert (CHINA.first_year, CHINA.last_year) == (2018, 2026)
    day = date(2018, 1, 1)
    while day.year <= 2026:
        assert CHINA.is_working_day(day) == chinese_calendar.is_workday(day), day
        day += timedelta(days=1)


@given(
    st.dates(date(2018, 1, 1), date(2026, 8, 31)),
    st.times(timezones=st.just(UTC)),
    st.integers(1, 60),
)
def test_the_nth_working_day_is_that_of_a_second_source(day, time, count):
    start = datetime.combine(day, time)
    end = CHINA.local_date(CHINA.working_days_after(start, count))
    opened = CHINA.local_date(start)
    passed = (opened + timedelta(days=n) for n in range(1, (end - opened).days + 1))
    assert sum(map(chinese_calendar.is_workday, passed)) == count
    assert chinese_calendar.is_workday(end)


@pytest.mark.parametrize(
    ("start", "count", "end"),
    [
        # Friday evening in Shanghai; Monday is the first working day.
        ("2024-09-06T12:00:00Z", 1, "2024-09-09T15:59:59Z"),
        # 16:30 UTC on Sunday is Monday there already, and that day never counts.
        ("2024-09-08T16:30:00Z", 1, "2024-09-10T15:59:59Z"),
        # National Day 2024: 1 to 7 October off, 29 September and 12 October decreed.
        ("2024-09-27T02:00:00Z", 2, "2024-09-30T15:59:59Z"),
        ("2024-09-30T02:00:00Z", 1, "2024-10-08T15:59:59Z"),
        ("2024-10-11T02:00:00Z", 1, "2024-10-12T15:59:59Z"),
        ("2024-09-06T12:00:00Z", 0, "2024-09-06T15:59:59Z"),
    ],
)
def test_a_clock_ends_with_the_last_second_of_a_working_day(start, count, end):
    assert CHINA.working_days_after(datetime.fromisoformat(start), count) == (
        datetime.fromisoformat(end)
    )


def test_a_window_ends_with_its_last_day_in_the_zone_of_the_contract():
    assert CHINA.period_after(date(2024, 8, 31), Period.parse("P6M")) == (
        datetime(2025, 2, 28, 15, 59, 59, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("zone", "day", "end"),
    [
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-29T21:59:59Z"),  # 23 hours
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-25T22:59:59Z"),  # 25 hours
        ("Pacific/Kiritimati", date(2026, 1, 1), "2026-01-01T09:59:59Z"),  # +14:00
        ("Pacific/Pago_Pago", date(2026, 1, 1), "2026-01-02T10:59:59Z"),  # -11:00
        ("Asia/Kathmandu", date(2026, 1, 1), "2026-01-01T18:14:59Z"),  # +05:45
    ],
)
def test_a_day_ends_when_it_ends_in_its_zone(zone, day, end):
    calendar = BusinessCalendar("test", zone, 2026, 2026)
    assert calendar.end_of_day(day) == datetime.fromisoformat(end)
    assert calendar.local_date(calendar.end_of_day(day)) == day


def test_a_clock_that_runs_out_of_the_calendar_is_refused():
    with pytest.raises(
        CalendarNotCovered, match=r"covers 2018 to 2026; a clock reaches 2027-01-01"
    ):
        CHINA.working_days_after(datetime(2026, 12, 31, 4, tzinfo=UTC), 1)
    with pytest.raises(CalendarNotCovered):
        CHINA.is_working_day(date(2017, 12, 31))


def test_a_year_that_is_only_forecast_is_covered_once_it_has_overrides():
    assert country_calendar("CN", "Asia/Shanghai", 2098, 2099, {}).last_year == 2097
    day_off = {date(2098, 10, 1): False}
    opened = country_calendar("CN", "Asia/Shanghai", 2098, 2099, day_off)
    assert opened.last_year == 2098
    assert not opened.is_working_day(date(2098, 10, 1))


def test_an_override_wins_over_the_published_calendar():
    overrides = {date(2024, 10, 1): True, date(2024, 10, 8): False, date(2024, 10, 12): False}
    calendar = country_calendar("CN", "Asia/Shanghai", 2024, 2024, overrides)
    assert {day: calendar.is_working_day(day) for day in overrides} == overrides
    assert CHINA.is_working_day(date(2024, 10, 12))  # a decreed Saturday


def test_weekdays_know_no_holidays_but_overrides():
    assert WEEKDAYS.is_working_day(date(2024, 12, 25))
    assert not WEEKDAYS.is_working_day(date(2024, 12, 28))
    overrides = {date(2024, 12, 25): False, date(2024, 12, 28): True}
    own = country_calendar("weekdays", "Europe/Berlin", 2024, 2024, overrides)
    assert {day: own.is_working_day(day) for day in overrides} == overrides
