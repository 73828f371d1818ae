"""Every small grammar of the contract reads one spelling, exactly."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.calendar import Period
from contracts.fields import (
    Clause,
    Count,
    Day,
    Id,
    Instant,
    Quantity,
    Share,
    Span,
    Terms,
    Title,
    canonical,
    percent,
)


def read(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Count, "0", 0),
        (Count, "10", 10),
        (Count, 10, 10),
        (Share, "30%", Fraction(3, 10)),
        (Share, "30 %", Fraction(3, 10)),
        (Share, "33.333333%", Fraction(33333333, 10**8)),
        (Share, "1/3", Fraction(1, 3)),
        (Share, "0", Fraction(0)),
        (Share, "1", Fraction(1)),
        (Share, "100%", Fraction(1)),
        (Quantity, "81.25", Decimal("81.25")),
        (Quantity, "-0.5", Decimal("-0.5")),
        (Quantity, "11200000", Decimal(11200000)),
        (Span, "P6M", Period(months=6)),
        (Day, "2024-02-29", date(2024, 2, 29)),
        (Id, "KA-2024_017", "KA-2024_017"),
        (Clause, "6.1(a)", "6.1(a)"),
        (Clause, "第三条", "第三条"),
        (Instant, "2024-08-30T09:00:00Z", datetime(2024, 8, 30, 9, tzinfo=UTC)),
        (Instant, "2024-08-30t09:00:00z", datetime(2024, 8, 30, 9, tzinfo=UTC)),
        (Instant, "2024-08-30T17:00:00+08:00", datetime(2024, 8, 30, 9, tzinfo=UTC)),
        (Instant, "2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        (
            Instant,
            "2099-12-31T23:59:59.9999999Z",
            datetime(2099, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ),
    ],
)
def test_a_value_is_read_exactly(kind, text, value):
    assert read(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Count, ["", "010", "1_0", "-1", "+1", "1.0", "1e3", "１", "1 ", "9" * 10, True, 1.0,
                 -1, 10**9]),
        (Share, ["", "0.3", "30", "30  %", "30\n%", "-1%", "101%", "3/2", "1/0", "１%", 1, 0.3]),
        (Quantity, ["", "1e3", "1_0", ".5", "5.", "+1", "01", "NaN", "１", "1" * 19, 1, 1.5, None]),
        (Span, ["", "P", "3M", "P0D", 3, None]),
        (Day, ["", "20240830", "2024-8-30", "2024-02-30", "1999-12-31", "2100-01-01", 0, None,
               date(1999, 12, 31),
               "2024-08-30T00:00:00", datetime(2024, 8, 30)]),  # noqa: DTZ001
        (Id, ["", "-a", "a b", "a.b", "é", "А", "a" * 49, "a\n", 1, None]),
        (Clause, ["", " 3", "x" * 33, "a\nb", 3.1, None]),
        (Instant, ["", "2024-08-30", "2024-08-30T09", "2024-08-30T09:00Z", "2024-08-30 09:00:00Z",
                   "2024-08-30T09:00:00", "2024-08-30T09:00:00+0800", "2024-08-30T09:00:00,5Z",
                   "20240830T090000Z", "2024-W35-5T09:00:00Z", "2024-08-30T24:00:00Z",
                   "2024-02-30T09:00:00Z", "2016-12-31T23:59:60Z", "2024-08-30T09:00:00+25:00",
                   "1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "now", 1725008400, 1.5, True,
                   None, date(2024, 8, 30), datetime(2024, 8, 30)]),  # noqa: DTZ001
    ],
)  # fmt: skip
def test_anything_else_is_refused(kind, values):
    for value in values:
        with pytest.raises(ValidationError):
            read(kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Count, "010", "found '010', expected a whole number in plain digits, such as 10"),
        (Share, "0.3", "found '0.3', expected a share such as 30% or 1/3"),
        (Share, "101%", "found '101%', expected a share between 0% and 100%"),
        (Quantity, "1e3", "found '1e3', expected a plain decimal number such as 81.25"),
        (Span, "3M", "found '3M', expected a period such as P3M, P1Y or P10D"),
        (Day, "now", "found 'now', expected a date such as 2024-08-30"),
        (Day, "2024-02-30", "found '2024-02-30', expected a day that the calendar has"),
        (Day, "2100-01-01", "found '2100-01-01', expected a date from 2000-01-01 to 2099-12-31"),
        (Count, 10**9, "found 1000000000, expected 0 to 999999999"),
        (Instant, "now", "found 'now', expected a time such as 2024-08-30T09:00:00Z"),
        (
            Instant,
            "2024-08-30T09:00:00",
            "found '2024-08-30T09:00:00', expected a time with its zone: Z, or an offset as +08:00",
        ),
        (
            Instant,
            "2024-08-30T09:00:00+00:60",
            "found '2024-08-30T09:00:00+00:60', expected an offset of at most 23:59",
        ),
        (
            Instant,
            "2024-08-30T09:60:00Z",
            "found '2024-08-30T09:60:00Z', "
            "expected a day that the calendar has and a time of the day",
        ),
        (
            Instant,
            "2100-01-01T00:00:00Z",
            "found '2100-01-01T00:00:00Z', expected a time from 2000 to 2099 in UTC",
        ),
    ],
)
def test_a_refusal_says_what_was_found_and_what_is_expected(kind, value, message):
    with pytest.raises(ValidationError) as refused:
        read(kind, value)
    assert str(refused.value.errors()[0]["ctx"]["error"]) == message


@pytest.mark.parametrize("kind", [Count, Share, Quantity, Span, Day, Instant])
def test_a_number_that_python_does_not_print_is_refused_in_words(kind):
    with pytest.raises(ValidationError) as refused:
        read(kind, 10**5000)
    message = str(refused.value.errors()[0]["ctx"]["error"])
    assert "found a number of more than 18 digits, expected " in message.replace("'", "")


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [
        (Count, st.integers(0, 10**9 - 1)),
        (Share, st.fractions(0, 1, max_denominator=10**8)),
        (Quantity, st.decimals(-(10**17), 10**17, allow_nan=False, places=9)),
        (Span, st.builds(Period, st.integers(0, 9999), st.integers(1, 99999))),
        (Day, st.dates(date(2000, 1, 1), date(2099, 12, 31))),
        (
            Instant,
            st.datetimes(
                datetime(2000, 1, 2),  # noqa: DTZ001
                datetime(2099, 12, 30),  # noqa: DTZ001
                timezones=st.integers(-1439, 1439).map(lambda n: timezone(timedelta(minutes=n))),
            ),
        ),
    ],
)
def test_a_value_survives_the_wire(kind, strategy):
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    @given(strategy)
    def round_trip(value):
        assert adapter.validate_json(adapter.dump_json(value)) == value

    round_trip()


@given(st.fractions(0, 1, max_denominator=10**4))
def test_a_share_for_people_is_the_same_share(share):
    assert read(Share, percent(share)) == share


@pytest.mark.parametrize(
    ("share", "text"),
    [
        ("3/10", "30%"),
        ("5/8", "62.5%"),
        ("1/3", "1/3"),
        ("0", "0%"),
        ("1", "100%"),
        ("14/15", "14/15"),
    ],
)
def test_a_share_is_a_percentage_where_that_is_exact(share, text):
    assert percent(Fraction(share)) == text


def test_terms_are_immutable_and_know_every_key():
    title = Title(en="Go-live", zh="系统上线")
    with pytest.raises(ValidationError):
        title.en = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Title.model_validate({"en": "Go-live", "fr": "Mise en service"})
    assert issubclass(Title, Terms)


def test_the_canonical_text_does_not_depend_on_the_order_of_keys():
    assert canonical({"b": 1, "a": [True, None]}) == '{"a":[true,null],"b":1}'
    assert canonical({"a": [True, None], "b": 1}) == canonical({"b": 1, "a": [True, None]})
    assert canonical(Title(en="Go-live", zh="系统上线")) == '{"en":"Go-live","zh":"系统上线"}'
