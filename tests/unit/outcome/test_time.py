"""Periods, windows, settlement days, pauses, amendments, and what was known when."""

from datetime import date
from fractions import Fraction

import pytest

from contracts.errors import TermsError
from contracts.outcome.readings import Pause, Readings
from lifecycle.settlement import Settlement, Settler
from tests.unit.outcome.conftest import (
    Series,
    contract,
    day,
    event,
    exact,
    known,
    payments,
    reading,
    settled,
    value,
    values,
)

# Periods


def periods(terms: str, readings: Readings | None = None, country: str | None = None) -> list[str]:
    settlement = settled(contract(f"periods: {terms}", country=country), readings)
    return [f"{p.period.first_day} {p.period.last_day}" for p in settlement.periods]


def settlement_days(terms: str, country: str | None = "weekdays") -> list[str]:
    settlement = settled(contract(f"periods: {terms}", country=country))
    return [str(p.period.settled_on) for p in settlement.periods]


def test_months_are_counted_from_the_start_and_never_drift():
    assert periods("{start: 2025-01-31, every: P1M, count: 3}") == [
        "2025-01-31 2025-02-27",
        "2025-02-28 2025-03-30",
        "2025-03-31 2025-04-29",
    ]


def test_periods_may_be_days_or_years_and_begin_with_the_contract():
    assert periods("{every: P10D, count: 2}") == ["2025-01-01 2025-01-10", "2025-01-11 2025-01-20"]
    assert periods("{every: P1Y, count: 1}") == ["2025-01-01 2025-12-31"]
    assert periods("{every: P1M15D, count: 1}") == ["2025-01-01 2025-02-15"]


def test_periods_may_end_on_stated_days():
    assert periods("{ends: [2025-03-15, 2025-03-16, 2026-01-01]}") == [
        "2025-01-01 2025-03-15",
        "2025-03-16 2025-03-16",
        "2025-03-17 2026-01-01",
    ]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ("{every: P1M}", "expected every and count, or ends"),
        ("{count: 3}", "expected every and count, or ends"),
        ("{every: P1M, count: 3, ends: [2025-03-15]}", "expected every and count, or ends"),
        ("{start: 2025-01-01}", "expected every and count, or ends"),
        ("{every: P1M, count: 401}", "expected 1 to 400"),
        ("{ends: [2025-03-15, 2025-03-15]}", "each later than the last"),
        ("{ends: [2025-03-15, 2025-02-15]}", "each later than the last"),
    ],
)
def test_periods_are_counted_in_one_way(terms, message):
    with pytest.raises(Exception, match=message):
        periods(terms)


# Settlement days


@pytest.mark.parametrize(
    ("settled_when", "days"),
    [
        ("{}", "2025-05-31 2025-06-30"),  # a Saturday and a Monday
        ("{after: P1M}", "2025-06-30 2025-07-30"),
        ("{after: P15D}", "2025-06-15 2025-07-15"),
        ("{working_days: 3}", "2025-06-04 2025-07-03"),
        ("{after: P10D, working_days: 1}", "2025-06-11 2025-07-11"),
        ("{falls_on_a_day_off: next_working_day}", "2025-06-02 2025-06-30"),
        ("{falls_on_a_day_off: stays}", "2025-05-31 2025-06-30"),
        # 15 June is a Sunday
        ("{after: P15D, falls_on_a_day_off: previous_working_day}", "2025-06-13 2025-07-15"),
        ("{after: P15D, falls_on_a_day_off: next_working_day}", "2025-06-16 2025-07-15"),
    ],
)
def test_a_period_is_settled_after_days_then_working_days_then_rolled(settled_when, days):
    terms = f"{{start: 2025-05-01, every: P1M, count: 2, settled: {settled_when}}}"
    assert settlement_days(terms) == days.split()


def test_working_days_of_the_settlement_follow_the_agreed_calendar():
    terms = "{start: 2025-09-01, every: P1M, count: 1, settled: {working_days: 2}}"
    # 1 to 8 October are holidays, Saturday 11 October works
    assert settlement_days(terms, "CN") == ["2025-10-10"]
    three = "{start: 2025-09-01, every: P1M, count: 1, settled: {working_days: 3}}"
    assert settlement_days(three, "CN") == ["2025-10-11"]
    assert settlement_days(terms) == ["2025-10-02"]


def test_what_is_known_on_the_settlement_day_itself_counts():
    terms = """
        periods: {every: P1M, count: 1, settled: {working_days: 3}}
        inputs: [{id: n}]
        measures: [{id: x, kind: latest, of: n}]
        """
    # 31 January is a Friday, 5 February the third working day
    on_time = known(reading("n", "2025-01-31", 7, received_on="2025-02-05"))
    assert values(settled(terms, on_time), "x") == exact("7")
    too_late = known(reading("n", "2025-01-31", 7, received_on="2025-02-06"))
    assert values(settled(terms, too_late), "x") == exact("-")


def test_a_period_is_settled_once_its_settlement_day_has_come():
    terms = """
        periods: {every: P1M, count: 3, settled: {after: P10D}}
        lines: [{id: fee, clause: "1", kind: amount, amount: 100}]
        """
    for as_of, count in (
        ("2025-02-09", 0),
        ("2025-02-10", 1),
        ("2025-03-10", 2),
        ("2025-04-09", 2),
        ("2026-01-01", 3),
    ):
        assert len(settled(terms, as_of=as_of).periods) == count


# Windows

WINDOW = """
    periods: {{start: {start}, every: P1M, count: {count}}}
    inputs: [{{id: n}}]
    parameters: [{{id: opens, day: 2025-02-10}}, {{id: closes, day: 2025-03-20}}]
    events: [{{id: enrolled}}]
    measures: [{{id: x, kind: sum, of: n, window: {window}{each}}}]
    """


def seen(
    window: str,
    readings: Readings,
    *,
    start: str = "2025-01-01",
    count: int = 3,
    each: str = "",
) -> list[object]:
    terms = WINDOW.format(window=window, start=start, count=count, each=each)
    return values(settled(terms, readings), "x")


def digits(*days: str) -> Readings:
    """The first day counts 1, the second 10, and so on, so that a sum tells which days it has."""
    return known(*(reading("n", on, 10**n) for n, on in enumerate(days)))


def test_a_window_over_the_period_has_both_its_days():
    days = digits("2024-12-31", "2025-01-01", "2025-01-31", "2025-02-01", "2025-03-31")
    assert seen("{over: period}", days) == exact("110 1000 10000")


def test_a_window_to_date_begins_with_the_first_period():
    days = digits("2024-12-31", "2025-01-01", "2025-02-28", "2025-03-31", "2025-04-01")
    assert seen("{over: to_date}", days) == exact("10 110 1110")


def test_a_rolling_window_keeps_to_month_ends():
    days = digits(
        "2024-11-01", "2024-12-01", "2025-01-01", "2025-02-01", "2025-02-28", "2025-03-31"
    )
    # from 1 November, from 1 December, from 1 January
    assert seen("{over: rolling, length: P3M}", days) == exact("111 11110 111100")


def test_a_rolling_window_of_days_counts_its_days():
    days = digits("2025-01-24", "2025-01-25", "2025-01-31", "2025-02-22", "2025-02-21")
    assert seen("{over: rolling, length: P7D}", days, count=2) == exact("110 1000")


def test_a_rolling_year_over_a_leap_day():
    days = digits("2024-02-28", "2024-02-29", "2024-03-01", "2025-02-28")
    found = seen("{over: rolling, length: P1Y}", days, start="2025-02-01", count=1)
    assert found == exact("1100")


def test_a_fixed_window_gives_nothing_before_its_last_day():
    days = digits("2025-02-09", "2025-02-10", "2025-03-20", "2025-03-21")
    window = "{over: fixed, from_day: opens, to_day: closes}"
    assert seen(window, days, count=4) == exact("- - 110 110")


def test_a_window_may_be_moved_back():
    days = digits("2023-12-31", "2024-01-01", "2024-01-31", "2024-02-29", "2025-02-28")
    window = "{over: period, earlier_by: P1Y}"
    assert seen(window, days, count=2) == exact("110 1000")
    # a month back from February is all of January, from March all of February
    days = digits("2025-01-01", "2025-01-31", "2025-02-01", "2025-02-28")
    assert seen("{over: period, earlier_by: P1M}", days) == exact("- 11 1100")


def test_what_is_observed_a_year_after_the_service_is_paid_when_it_is_known():
    terms = """
        periods: {every: P6M, count: 4}
        inputs: [{id: jobs}]
        measures:
          - {id: kept, kind: sum, of: jobs, window: {over: period, later_by: P12M}}
        lines: [{id: fee, clause: "1", kind: amount, amount: 100 * kept}]
        """
    readings = known(
        reading("jobs", "2025-12-31", 100),
        reading("jobs", "2026-01-01", 3),
        reading("jobs", "2026-06-30", 4),
        reading("jobs", "2026-12-31", 5),
        reading("jobs", "2027-01-01", 100),
    )
    settlement = settled(terms, readings)
    # The first half of 2025 is paid at the end of June 2026, the second at the end of the year.
    assert payments(settlement) == exact("0 0 700 500")
    assert settlement.periods[0].waiting == {"fee": "a value of kept"}


def test_the_window_of_a_subject_counts_from_its_own_event():
    readings = known(
        reading("n", "2025-01-09", 1, subject="ann"),
        reading("n", "2025-01-10", 10, subject="ann"),
        reading("n", "2025-02-09", 100, subject="ann"),
        reading("n", "2025-02-10", 1000, subject="ann"),
        reading("n", "2025-02-28", 10, subject="bob"),
        events=[
            event("enrolled", "2025-01-10", subject="ann"),
            event("enrolled", "2025-02-14", subject="bob"),
            event("enrolled", "2025-03-01", subject="eve"),
        ],
    )
    window = "{{over: subject, since: enrolled, length: P1M, first_day: {first_day}}}"
    counted = seen(window.format(first_day="counted"), readings, each=", each: subject")
    # ann from 10 January to 9 February; bob from 14 February to 13 March
    assert counted == [
        {"ann": None},
        {"ann": 110, "bob": None},
        {"ann": 110, "bob": 10, "eve": None},
    ]
    later = seen(window.format(first_day="not_counted"), readings, each=", each: subject")
    assert later[1] == {"ann": 1100, "bob": None}  # 11 January to 10 February


def test_a_subject_whose_event_has_happened_counts_though_nothing_was_read():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: offence}]
        events: [{id: released}]
        measures:
          - {id: offences, kind: count, of: offence, each: subject,
             window: {over: subject, since: released, length: P1M}}
          - {id: cohort, kind: across_subjects, take: count, of: offences}
          - {id: reoffended, kind: across_subjects, take: count, of: offences,
             where: {more_than: 0}}
        """
    readings = known(
        reading("offence", "2025-02-01", 1, subject="p1"),
        events=[event("released", "2025-01-05", subject=f"p{n}") for n in (1, 2, 3)],
    )
    settlement = settled(terms, readings)
    assert values(settlement, "cohort") == exact("0 3 3")
    assert values(settlement, "reoffended") == exact("0 1 1")


def test_days_that_were_used_up_count_no_more():
    terms = """
        periods: {start: 2025-01-01, every: P1M, count: 5}
        inputs: [{id: down}]
        measures:
          - id: downtime
            kind: sum
            of: down
            window: {over: rolling, length: P3M, restarts_after: claimed}
        gates:
          - {id: claimed, kind: threshold, of: downtime, passes: {at_least: 10}, on: exact,
             missing: fails}
        lines: [{id: credit, clause: "1", kind: amount, amount: 5, gates: [claimed]}]
        """
    settlement = settled(terms, down=[6, 5, 5, 4, 1])
    # 6; 11 is a claim; from March on 5, 9, 10
    assert values(settlement, "downtime") == exact("6 11 5 9 10")
    assert payments(settlement) == exact("0 5 0 0 5")


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ("{over: rolling}", "without length"),
        ("{over: fixed, from_day: opens}", "without to_day"),
        ("{over: subject, length: P1M}", "without since"),
        ("{over: period, length: P1M}", "found length in a window over period"),
        ("{over: to_date, since: enrolled}", "found since in a window over to_date"),
    ],
)
def test_a_window_states_what_it_needs_and_no_more(window, message):
    with pytest.raises(Exception, match=message):
        seen(window, known())


# Dated changes


def test_a_parameter_changes_from_its_effective_date_on():
    terms = """
        periods: {every: P1M, count: 5}
        parameters:
          - id: rate
            value: 100
            changes:
              - {clause: "A2", effective_on: 2025-04-01, times: 1.1}
              - {clause: "A1", effective_on: 2025-02-28, value: 200}
              - {clause: "A3", effective_on: 2025-05-31, add: -20}
          - {id: closes, day: 2025-06-30, changes: [
               {clause: "A4", effective_on: 2025-03-01, add: 14}]}
        statement:
          - {id: days_left, formula: closes - 739000}
        """
    settlement = settled(terms)
    # in force on the last day of the period
    assert values(settlement, "rate") == exact("100 200 200 220 200")
    moved = values(settlement, "closes")
    assert moved[2] == date(2025, 7, 14).toordinal()
    assert moved[1] == date(2025, 6, 30).toordinal()


# Pauses

PAUSED = "{{every: P1M, count: 3, pauses: {pauses}}}"


def pause(first: str, last: str) -> Pause:
    return Pause.model_validate({"from_day": first, "to_day": last})


def test_a_pause_moves_every_later_end_or_changes_nothing():
    readings = known().model_copy(update={"pauses": (pause("2025-02-10", "2025-02-19"),)})
    assert periods(PAUSED.format(pauses="move_the_end"), readings) == [
        "2025-01-01 2025-01-31",
        "2025-02-01 2025-03-10",
        "2025-03-11 2025-04-10",
    ]
    assert periods(PAUSED.format(pauses="change_nothing"), readings)[1] == "2025-02-01 2025-02-28"


def test_several_pauses_add_up_in_any_order():
    pauses = (pause("2025-03-01", "2025-03-05"), pause("2025-02-28", "2025-02-28"))
    readings = known().model_copy(update={"pauses": pauses})
    # February ends on 1 March, which lies in the second pause: 5 days more
    expected = ["2025-01-01 2025-01-31", "2025-02-01 2025-03-06", "2025-03-07 2025-04-06"]
    assert periods(PAUSED.format(pauses="move_the_end"), readings) == expected
    turned = known().model_copy(update={"pauses": pauses[::-1]})
    assert periods(PAUSED.format(pauses="move_the_end"), turned) == expected


def test_days_in_two_pauses_are_paused_once():
    pauses = (pause("2025-02-01", "2025-02-10"), pause("2025-02-06", "2025-02-12"))
    readings = known().model_copy(update={"pauses": pauses})
    # 12 days in all
    assert periods(PAUSED.format(pauses="move_the_end"), readings)[1] == "2025-02-01 2025-03-12"


# Amendments

PRICED = """
    periods: {{every: P1M, count: {count}}}
    inputs: [{{id: n}}]
    measures: [{{id: x, kind: latest, of: n}}]
    lines: [{{id: fee, clause: "1", kind: amount, amount: {price} * x{basis}}}]
    """


def amended(
    readings: Readings, basis: str = "", price: int = 20, count: int = 4, on: str = "2025-03-01"
) -> Settlement:
    first = contract(PRICED.format(price=10, count=4, basis=basis))
    second = contract(
        PRICED.format(price=price, count=count, basis=basis), version=2, effective_on=on
    )
    return Settler(first, second).settle(readings)


def test_each_period_follows_the_version_in_force_on_its_last_day():
    settlement = amended(known(n=[1, 1, 1, 1]))
    assert payments(settlement) == exact("10 10 20 20")
    names = [period.contract for period in settlement.periods]
    assert names == ["TEST@v1", "TEST@v1", "TEST@v2", "TEST@v2"]
    assert payments(amended(known(n=[1, 1, 1, 1]), on="2025-03-31")) == exact("10 10 20 20")
    assert payments(amended(known(n=[1, 1, 1, 1]), on="2025-04-01")) == exact("10 10 10 20")


def test_an_amendment_does_not_begin_the_periods_anew():
    settlement = amended(known(n=[1, 1, 1, 1]))
    assert [p.period.first_day.month for p in settlement.periods] == [1, 2, 3, 4]


def test_an_amendment_to_date_settles_the_difference_at_once():
    settlement = amended(known(n=[1, 2, 3, 4]), basis=", basis: to_date")
    assert payments(settlement) == exact("10 10 40 20")  # 10, 20, 60, 80 to date


def test_an_amendment_may_add_periods():
    settlement = amended(known(n=[1] * 6), count=6)
    assert payments(settlement) == exact("10 10 20 20 20 20")


def test_a_correction_of_an_old_period_follows_the_old_version():
    readings = known(
        *(reading("n", f"2025-{month}", 1) for month in ("01-31", "02-28", "03-31", "04-30")),
        reading("n", "2025-01-31", 3, received_on="2025-03-10"),
    )
    # two more at the old price
    assert payments(amended(readings)) == exact("10 10 40 20")


def test_the_working_days_of_an_amended_contract_begin_with_its_first_version():
    terms = """
        periods: {every: P6M, count: 3, settled: {working_days: 1}}
        lines: [{id: fee, clause: "1", kind: amount, amount: 5}]
        """
    first = contract(terms, effective_on="2024-01-01", country="CN")
    second = contract(terms, version=2, effective_on="2025-01-01", country="CN")
    days = [p.period.settled_on for p in Settler(first, second).settle(known()).periods]
    assert days == [date(2024, 7, 1), date(2025, 1, 2), date(2025, 7, 1)]


def test_a_settler_needs_a_contract_and_its_readings():
    with pytest.raises(TermsError, match="found no contract"):
        Settler()
    other = known().model_copy(update={"contract": "OTHER"})
    with pytest.raises(TermsError, match="found readings of 'OTHER', expected those of TEST"):
        settled("", other)


# Withheld first, or paid first and taken back


def test_withheld_first_and_paid_first_come_to_the_same_in_the_end():
    rate: Series = [None, None, "0.8"]
    terms = """
        periods: {{every: P4M, count: 3}}
        inputs: [{{id: n}}]
        measures: [{{id: score, kind: latest, of: n}}]
        lines:
          - {{id: fixed, clause: "1", kind: amount, amount: 700}}
          - {lines}
        """
    withheld = terms.format(
        lines='{id: release, clause: "2", kind: amount, amount: 900 * score, due: last_period}'
    )
    advanced = terms.format(
        lines="""{id: advance, clause: "2", kind: amount, amount: 300}
          - {id: taken_back, clause: "3", effect: deducts, kind: amount,
             amount: 900 * (1 - score), due: last_period}"""
    )
    late, early = settled(withheld, n=rate), settled(advanced, n=rate)
    assert payments(late) == exact("700 700 1420")
    assert payments(early) == exact("1000 1000 820")
    assert sum(payments(late)) == sum(payments(early)) == Fraction(2820)
    assert value(late, "earned") == value(early, "earned")


# The final settlement


def test_a_final_settlement_is_counted_from_the_last_one_and_earns_nothing_anew():
    terms = """
        periods: {every: P1M, count: 2, settled: {after: P10D}, final_settlement: {after: P3M}}
        lines:
          - {id: fee, clause: "1", kind: amount, amount: 100}
          - {id: last, clause: "2", kind: amount, amount: 7, due: last_period}
          - {id: final, clause: "3", kind: amount, amount: 30, due: final_settlement}
        """
    settlement = settled(terms)
    assert payments(settlement) == exact("100 107 30")
    days = [str(period.period.settled_on) for period in settlement.periods]
    assert days == ["2025-02-10", "2025-03-10", "2025-06-10"]


def test_what_arrives_after_the_last_period_is_paid_in_the_final_settlement():
    terms = """
        periods: {{every: P1M, count: 2, final_settlement: {{after: P1M}}}}
        inputs: [{{id: n}}]
        measures: [{{id: x, kind: latest, of: n}}]
        lines: [{{id: fee, clause: "1", kind: amount, amount: x, basis: {basis}}}]
        """
    readings = known(
        reading("n", "2025-01-31", 10),
        reading("n", "2025-02-28", 20, received_on="2025-03-15"),
        reading("n", "2025-03-20", 99),  # after the service
    )
    assert payments(settled(terms.format(basis="each_period"), readings)) == exact("10 0 20")
    assert payments(settled(terms.format(basis="to_date"), readings)) == exact("10 0 10")


def test_what_is_observed_after_the_last_period_is_paid_in_the_final_settlement():
    terms = """
        periods: {every: P6M, count: 2, final_settlement: {after: P1Y}}
        inputs: [{id: jobs}]
        measures:
          - {id: kept, kind: sum, of: jobs, window: {over: period, later_by: P12M}}
        lines: [{id: fee, clause: "1", kind: amount, amount: 100 * kept}]
        """
    readings = known(reading("jobs", "2026-03-31", 3), reading("jobs", "2026-12-31", 4))
    assert payments(settled(terms, readings)) == exact("0 0 700")


# Days that are calculated


@pytest.mark.parametrize(
    ("setting", "day_after"),
    [
        ("after: P1M", "2025-02-28"),
        ("after: P10D", "2025-02-10"),
        ("after: P1M1D", "2025-03-01"),
        # 31 January is a Friday
        ("working_days: 1", "2025-02-03"),
        ("after: P1D, working_days: 1", "2025-02-03"),
        ("after: P1D, falls_on_a_day_off: stays", "2025-02-01"),
        ("after: P1D, falls_on_a_day_off: next_working_day", "2025-02-03"),
        ("after: P1D, falls_on_a_day_off: previous_working_day", "2025-01-31"),
    ],
)
def test_a_day_after_another_in_months_days_and_working_days(setting, day_after):
    terms = f"""
        periods: {{every: P1M, count: 1}}
        parameters: [{{id: delivered, day: 2025-01-31}}]
        measures: [{{id: due_on, kind: day_after, of: delivered, {setting}}}]
        """
    assert value(settled(contract(terms, country="weekdays")), "due_on") == day(day_after)


@pytest.mark.parametrize("number", ["0.5", "-1", "0", "10000000"])
def test_a_number_that_is_no_day_is_refused(number):
    terms = f"""
        periods: {{every: P1M, count: 1}}
        measures:
          - {{id: late, kind: elapsed, from_day: {number}, to_day: 739252, counted: calendar_days}}
        """
    with pytest.raises(TermsError, match=r"late, period 1: .*day"):
        settled(terms)


def test_part_of_a_year_is_paid_by_its_days():
    terms = """
        periods: {ends: [2025-02-15, 2025-03-31]}
        lines: [{id: fee, clause: "1", kind: amount, amount: 36500 * days_in_period / 365}]
        """
    settlement = settled(terms)
    assert values(settlement, "days_in_period") == exact("46 44")
    assert payments(settlement) == exact("4600 4400")
