"""What was observed: statistics, ratios, runs, days that passed, and what stands for a missing value."""

from fractions import Fraction

import pytest

from contracts.outcome.readings import Excuse
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

# Statistics


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("sum", "26"),
        ("mean", "13/2"),  # 26 / 4
        ("median", "5"),  # between 4 and 6
        ("minimum", "3"),
        ("maximum", "13"),
        ("count", "4"),
        ("latest", "13"),
        ("first", "4"),
    ],
)
def test_a_statistic_is_one_number_out_of_the_readings_of_a_period(kind, number):
    terms = f"""
        periods: {{every: P1M, count: 1}}
        inputs: [{{id: hours}}]
        measures: [{{id: figure, kind: {kind}, of: hours}}]
        """
    readings = known(
        reading("hours", "2024-12-31", 99),  # the day before
        reading("hours", "2025-01-01", 4),
        reading("hours", "2025-01-08", 6),
        reading("hours", "2025-01-15", 3),
        reading("hours", "2025-01-31", 13),
        reading("hours", "2025-02-01", 99),  # the day after
    )
    assert value(settled(terms, readings), "figure") == Fraction(number)


@pytest.mark.parametrize("kind", ["sum", "mean", "median", "minimum", "maximum", "latest", "first"])
def test_out_of_no_readings_a_statistic_is_missing(kind):
    terms = f"""
        periods: {{every: P1M, count: 2}}
        inputs: [{{id: hours}}]
        measures: [{{id: figure, kind: {kind}, of: hours}}]
        """
    assert values(settled(terms, hours=[None, 0]), "figure") == exact("- 0")


def test_the_count_of_no_readings_is_zero():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: hours}]
        measures: [{id: figure, kind: count, of: hours}]
        """
    assert values(settled(terms, hours=[None, 7]), "figure") == exact("0 1 0")


def test_a_median_of_an_odd_number_of_readings_is_the_middle_one():
    terms = """
        periods: {every: P3M, count: 1}
        inputs: [{id: hours}]
        measures: [{id: figure, kind: median, of: hours}]
        """
    readings = known(*(reading("hours", f"2025-01-0{n}", v) for n, v in ((1, 9), (2, 1), (3, 5))))
    assert value(settled(terms, readings), "figure") == 5


def test_only_readings_that_meet_the_condition_count():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: hours}]
        parameters: [{id: long, value: 8}]
        measures: [{id: long_days, kind: count, of: hours, where: {more_than: long}}]
        """
    readings = known(
        *(reading("hours", f"2025-01-0{n}", v) for n, v in ((1, 7), (2, 8), (3, "8.01"), (4, 12)))
    )
    assert value(settled(terms, readings), "long_days") == 2  # 8.01 and 12


def test_readings_beyond_a_limit_count_as_the_limit():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: cost}]
        measures:
          - {id: mean_cost, kind: mean, of: cost, truncate: {at_least: 10, at_most: 100}}
          - {id: high_only, kind: mean, of: cost, truncate: {at_most: 100}}
        """
    readings = known(
        *(reading("cost", f"2025-01-0{n}", v) for n, v in ((1, 4), (2, 10), (3, 100), (4, 1000)))
    )
    settlement = settled(terms, readings)
    assert value(settlement, "mean_cost") == 55  # (10 + 10 + 100 + 100) / 4
    assert value(settlement, "high_only") == Fraction("53.5")  # (4 + 10 + 100 + 100) / 4


def test_a_statistic_is_missing_where_its_truncation_is():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: cost}, {id: agreed}]
        measures:
          - {id: most, kind: latest, of: agreed}
          - {id: capped, kind: sum, of: cost, truncate: {at_most: most}}
        """
    assert values(settled(terms, cost=[90, 90], agreed=[50, None]), "capped") == exact("50 -")


def test_a_reading_over_fewer_items_than_the_minimum_sample_is_no_reading():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: mark}]
        measures: [{id: satisfaction, kind: mean, of: mark, min_sample: 30}]
        """
    readings = known(
        reading("mark", "2025-01-10", 4, sample=30),
        reading("mark", "2025-01-20", 1, sample=29),
        reading("mark", "2025-02-10", 5, sample=29),
    )
    assert values(settled(terms, readings), "satisfaction") == exact("4 -")


def test_readings_over_fewer_items_in_all_than_the_minimum_are_no_measure():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: mark}]
        measures: [{id: satisfaction, kind: mean, of: mark, min_sample_in_all: 30}]
        """
    readings = known(
        reading("mark", "2025-01-10", 4, sample=20),
        reading("mark", "2025-01-20", 5, sample=9),  # 29 in all
        reading("mark", "2025-02-10", 4, sample=20),
        reading("mark", "2025-02-20", 5, sample=10),  # 30 in all
    )
    assert values(settled(terms, readings), "satisfaction") == exact("- 9/2 -")


def test_a_reading_that_is_reported_missing_adds_nothing_to_the_sample():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: mark}]
        measures: [{id: satisfaction, kind: mean, of: mark, min_sample_in_all: 30}]
        """
    readings = known(
        reading("mark", "2025-01-10", 4, sample=29),
        reading("mark", "2025-01-20", None, sample=10),
    )
    assert value(settled(terms, readings), "satisfaction") is None


# Ratios


def test_a_pooled_ratio_differs_from_the_mean_of_its_periods_ratios():
    terms = """
        periods: {every: P1Y, count: 1}
        inputs: [{id: treated}, {id: seen}]
        measures:
          - {id: pooled, kind: ratio, numerator: treated, denominator: seen,
             taken: pooled, times: 100}
          - {id: averaged, kind: ratio, numerator: treated, denominator: seen,
             taken: mean_of_ratios, times: 100}
        """
    quarters = {"2025-03-31": (10, 20), "2025-06-30": (90, 100), "2025-09-30": (45, 50)}
    quarters["2025-12-31"] = (20, 40)
    readings = known(
        *(reading("treated", on, part) for on, (part, _) in quarters.items()),
        *(reading("seen", on, whole) for on, (_, whole) in quarters.items()),
    )
    settlement = settled(terms, readings)
    assert value(settlement, "pooled") == Fraction(16500, 210)  # (10 + 90 + 45 + 20) / 210
    assert value(settlement, "averaged") == 70  # (50 + 90 + 90 + 50) / 4


def test_a_mean_of_ratios_leaves_out_days_without_all_inputs_or_with_nothing_to_divide_by():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: won}, {id: decided}]
        measures:
          - {id: rate, kind: ratio, numerator: won, denominator: decided, taken: mean_of_ratios}
        """
    readings = known(
        reading("won", "2025-01-01", 1),
        reading("decided", "2025-01-01", 4),
        reading("won", "2025-01-02", 1),  # nothing decided is reported
        reading("won", "2025-01-03", 0),
        reading("decided", "2025-01-03", 0),
        reading("won", "2025-01-04", None),
        reading("decided", "2025-01-04", 9),
        reading("won", "2025-01-05", 3),
        reading("decided", "2025-01-05", 4),
    )
    assert value(settled(terms, readings), "rate") == Fraction(1, 2)  # (1/4 + 3/4) / 2


def test_a_ratio_over_nothing_is_missing_and_never_zero():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: won}, {id: decided}]
        measures: [{id: rate, kind: ratio, numerator: won, denominator: decided, taken: pooled}]
        """
    settlement = settled(terms, won=[0, 0, None], decided=[0, 5, 5])
    assert values(settlement, "rate") == exact("- 0 -")


def test_numerator_and_denominator_are_formulas_over_inputs():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: won}, {id: lost}]
        measures:
          - {id: rate, kind: ratio, numerator: won - lost, denominator: won + lost, taken: pooled}
        """
    assert value(settled(terms, won=[30], lost=[10]), "rate") == Fraction(1, 2)  # 20 / 40


def test_a_ratio_over_less_than_its_minimum_is_missing():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: won}, {id: decided}]
        measures:
          - {id: rate, kind: ratio, numerator: won, denominator: decided, taken: pooled,
             min_denominator: 10}
        """
    assert values(settled(terms, won=[3, 3], decided=[9, 10]), "rate") == exact("- 3/10")


def test_days_that_no_reading_covers_count_as_deemed():
    terms = """
        periods: {start: 2025-12-22, every: P10D, count: 1}
        inputs: [{id: down}, {id: minutes}]
        measures:
          - id: uptime
            kind: ratio
            numerator: minutes - down
            denominator: minutes
            taken: pooled
            times: 100
            window: {over: rolling, length: P1Y}
            deemed: {minutes: 1440, down: 0}
        """
    readings = known(
        reading("minutes", "2025-12-22 to 2025-12-31", 14400),
        reading("down", "2025-12-22 to 2025-12-31", 288),
    )
    # 365 days of 1440 minutes, of which 288 were down: not 288 of 10 days
    assert value(settled(terms, readings), "uptime") == Fraction(100) * (525600 - 288) / 525600


def test_a_day_that_is_reported_missing_is_not_deemed():
    terms = """
        periods: {every: P10D, count: 1}
        inputs: [{id: down}, {id: minutes}]
        measures:
          - id: faults
            kind: ratio
            numerator: down
            denominator: minutes
            taken: pooled
            deemed: {minutes: 1440, down: 0}
        """
    readings = known(
        reading("minutes", "2025-01-01", 1440),
        reading("down", "2025-01-01", 720),
        reading("minutes", "2025-01-02", 1440),
        reading("down", "2025-01-02", None),
    )
    # one day known, one left out, eight deemed
    assert value(settled(terms, readings), "faults") == Fraction(720, 9 * 1440)


def test_deemed_days_may_come_from_another_measure():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: calls}, {id: days}, {id: usual}]
        measures:
          - {id: a_day, kind: ratio, numerator: calls, denominator: days, taken: pooled,
             deemed: {calls: usual_calls, days: 1}}
          - {id: usual_calls, kind: latest, of: usual}
        """
    readings = known(
        reading("calls", "2025-01-01 to 2025-01-10", 200),
        reading("days", "2025-01-01 to 2025-01-10", 10),
        reading("usual", "2025-01-31", 41),
    )
    # 200 and 21 days of 41, over 31 days
    assert value(settled(terms, readings), "a_day") == Fraction(200 + 21 * 41, 31)


# Missing is a value of its own


def test_a_missing_value_stays_missing_unless_something_counts_instead():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: hits}, {id: usual}]
        measures:
          - {id: plain, kind: latest, of: hits}
          - {id: usual_hits, kind: latest, of: usual}
          - {id: zero, kind: latest, of: hits, if_missing: 0}
          - {id: other, kind: latest, of: hits, if_missing: usual_hits}
          - {id: twice, kind: formula, formula: 2 * plain}
        """
    settlement = settled(terms, hits=[None, 5], usual=[7, 7])
    assert values(settlement, "plain") == exact("- 5")
    assert values(settlement, "zero") == exact("0 5")
    assert values(settlement, "other") == exact("7 5")
    assert values(settlement, "twice") == exact("- 10")


def test_a_line_without_its_value_waits_and_says_for_what():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: hits}]
        measures: [{id: reached, kind: latest, of: hits}]
        lines: [{id: fee, clause: "1", kind: amount, amount: 100 * reached}]
        """
    settlement = settled(terms, hits=[None, 3])
    assert payments(settlement) == exact("0 300")
    assert settlement.periods[0].waiting == {"fee": "a value of reached"}
    assert settlement.periods[1].waiting == {}


@pytest.mark.parametrize(
    ("take", "missing", "number"),
    [
        ("sum", "left_out", "6"),
        ("mean", "left_out", "3"),
        ("median", "left_out", "3"),
        ("minimum", "left_out", "2"),
        ("maximum", "left_out", "4"),
        ("count", "left_out", "2"),
        ("sum", "missing", "-"),
        ("mean", "missing", "-"),
        ("median", "missing", "-"),
        ("minimum", "missing", "-"),
        ("maximum", "missing", "-"),
        ("count", "missing", "-"),
    ],
)
def test_several_values_are_combined_with_or_without_the_missing_one(take, missing, number):
    terms = f"""
        periods: {{every: P1M, count: 1}}
        inputs: [{{id: a}}, {{id: b}}, {{id: c}}]
        measures:
          - {{id: x, kind: latest, of: a}}
          - {{id: y, kind: latest, of: b}}
          - {{id: z, kind: latest, of: c}}
          - {{id: all, kind: combined, take: {take}, of: [x, y, z], missing: {missing}}}
        """
    assert values(settled(terms, a=[2], b=[None], c=[4]), "all") == exact(number)


def test_the_mean_with_last_month_is_this_month_alone_in_the_first():
    terms = """
        periods: {every: P1M, count: 4}
        inputs: [{id: uptime}]
        measures:
          - {id: month, kind: latest, of: uptime}
          - {id: last_month, kind: previous, of: month}
          - {id: figure, kind: combined, take: mean, of: [month, last_month], missing: left_out}
        """
    settlement = settled(terms, uptime=["99", "98", None, "97"])
    # 99; (98 + 99) / 2; 98 alone; 97 alone
    assert values(settlement, "figure") == exact("99 197/2 98 97")


# Exclusions, declared and verified


EXCLUSIONS = """
    periods: {every: P1M, count: 1}
    inputs:
      - {id: down, exclusions: [maintenance, force_majeure]}
      - {id: served, exclusions: [maintenance], excluded_as: 100}
    measures:
      - {id: downtime, kind: sum, of: down}
      - {id: reports, kind: count, of: down}
      - {id: service, kind: mean, of: served}
    """


def test_a_reading_with_an_agreed_reason_is_left_out_or_counts_as_agreed():
    readings = known(
        reading("down", "2025-01-02", 30),
        reading("down", "2025-01-03", 500, excluded_for="maintenance"),
        reading("served", "2025-01-02", 90),
        reading("served", "2025-01-03", 10, excluded_for="maintenance"),
    )
    settlement = settled(EXCLUSIONS, readings)
    assert value(settlement, "downtime") == 30
    assert value(settlement, "reports") == 1
    assert value(settlement, "service") == 95  # (90 + 100) / 2


def test_a_reading_that_is_excluded_later_no_longer_counts():
    readings = known(
        reading("down", "2025-01-02", 30),
        reading("down", "2025-01-03", 500),
        reading("down", "2025-01-03", 500, excluded_for="force_majeure", received_on="2025-01-20"),
    )
    assert value(settled(EXCLUSIONS, readings), "downtime") == 30


@pytest.mark.parametrize(("accepts", "number"), [("declared", "12"), ("verified", "5")])
def test_an_input_accepts_what_is_declared_or_only_what_is_verified(accepts, number):
    terms = f"""
        periods: {{every: P1M, count: 1}}
        inputs: [{{id: saved, accepts: {accepts}}}]
        measures: [{{id: savings, kind: sum, of: saved}}]
        """
    readings = known(
        reading("saved", "2025-01-10", 7),
        reading("saved", "2025-01-20", 5, status="verified"),
    )
    assert value(settled(terms, readings), "savings") == Fraction(number)


def test_of_two_reports_the_verified_one_counts_and_then_the_later_one():
    terms = """
        periods: {every: P1M, count: 1, settled: {after: P1M}}
        inputs: [{id: saved}, {id: spent}]
        measures:
          - {id: savings, kind: latest, of: saved}
          - {id: spending, kind: latest, of: spent}
        """
    readings = known(
        reading("saved", "2025-01-31", 5, status="verified", received_on="2025-02-01"),
        reading("saved", "2025-01-31", 9, received_on="2025-02-10"),
        reading("spent", "2025-01-31", 1, received_on="2025-02-02"),
        reading("spent", "2025-01-31", 2, received_on="2025-02-03"),
    )
    settlement = settled(terms, readings)
    assert value(settlement, "savings") == 5
    assert value(settlement, "spending") == 2


# Runs


def test_a_run_counts_periods_in_a_row_or_in_all_with_gaps():
    terms = """
        periods: {every: P1M, count: 7}
        inputs: [{id: rate}]
        measures:
          - {id: monthly, kind: latest, of: rate}
          - {id: in_a_row, kind: run, of: monthly, where: {at_least: 95}, counted: in_a_row}
          - {id: in_all, kind: run, of: monthly, where: {at_least: 95}, counted: in_all}
        """
    settlement = settled(terms, rate=[95, 96, "94.99", 97, None, 98, 99])
    assert values(settlement, "in_a_row") == exact("1 2 0 1 0 1 2")
    assert values(settlement, "in_all") == exact("1 2 2 3 3 4 5")


@pytest.mark.parametrize(("taken", "runs"), [("longest", "3 1"), ("latest", "1 0")])
def test_a_run_of_readings_is_the_longest_or_the_one_still_open(taken, runs):
    terms = f"""
        periods: {{every: P1M, count: 2}}
        inputs: [{{id: clean}}]
        measures:
          - {{id: run, kind: run_of_readings, of: clean, where: {{at_least: 1}}, taken: {taken}}}
        """
    weeks = ("01", "05", "09", "13", "17", "21")
    readings = known(
        *(
            reading("clean", f"2025-01-{d}", v)
            for d, v in zip(weeks, (True, True, True, False, None, True), strict=True)
        ),
        reading("clean", "2025-02-03", True),
        reading("clean", "2025-02-10", None),
    )
    assert values(settled(terms, readings), "run") == exact(runs)


def test_an_excluded_reading_does_not_break_a_run_of_readings():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: clean, exclusions: [audit]}]
        measures:
          - {id: run, kind: run_of_readings, of: clean, where: {at_least: 1}, taken: longest}
        """
    readings = known(
        reading("clean", "2025-01-01", True),
        reading("clean", "2025-01-08", False, excluded_for="audit"),
        reading("clean", "2025-01-15", True),
    )
    assert value(settled(terms, readings), "run") == 2


# Values of earlier periods


def test_previous_is_the_value_of_an_earlier_period_and_its_initial_value_before():
    terms = """
        periods: {every: P1M, count: 4}
        inputs: [{id: stock}]
        measures:
          - {id: level, kind: latest, of: stock}
          - {id: before, kind: previous, of: level, initial: 100}
          - {id: two_before, kind: previous, of: 2 * level, periods: 2}
        """
    settlement = settled(terms, stock=[10, None, 30, 40])
    assert values(settlement, "before") == exact("100 10 - 30")
    assert values(settlement, "two_before") == exact("- - 20 -")


def test_a_mark_is_the_best_value_so_far():
    terms = """
        periods: {every: P1M, count: 4}
        inputs: [{id: worth}]
        measures:
          - {id: level, kind: latest, of: worth}
          - {id: high, kind: high_water_mark, of: level, start: 100}
          - {id: low, kind: low_water_mark, of: level, start: 100}
          - {id: from_nothing, kind: high_water_mark, of: level}
        """
    settlement = settled(terms, worth=[90, None, 120, 110])
    assert values(settlement, "high") == exact("100 100 120 120")
    assert values(settlement, "low") == exact("90 90 90 90")
    assert values(settlement, "from_nothing") == exact("90 90 120 120")


def test_a_performance_fee_is_paid_on_new_highs_after_fee():
    terms = """
        periods: {every: P1Y, count: 3}
        rounding: {decimals: 2, mode: half_away, at: sum}
        inputs: [{id: worth}]
        measures:
          - {id: gross_worth, kind: latest, of: worth}
          - {id: last_mark, kind: previous, of: mark, initial: 100}
          - {id: net, kind: formula, formula: gross_worth - fee}
          - {id: mark, kind: high_water_mark, of: net, start: 100}
        lines:
          - {id: fee, clause: "1", kind: amount, amount: "20% * max(0, gross_worth - last_mark)"}
        """
    settlement = settled(terms, worth=[105, 102, "106.5"])
    assert values(settlement, "fee") == exact("1 0 0.5")  # 20% of 5, of nothing, of 2.5
    assert values(settlement, "mark") == exact("104 104 106")
    assert payments(settlement) == exact("1 0 0.5")


# Judgement and measures of subjects


def test_a_judgement_counts_only_with_the_name_of_who_judged():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: fit, type: judgement}]
        measures: [{id: judged, kind: latest, of: fit}]
        """
    readings = known(reading("fit", "2025-01-31", 4, by="steering committee"))
    assert value(settled(terms, readings), "judged") == 4


def test_a_measure_of_each_subject_is_a_column_that_flows_through_formulas():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: sales}, {id: all_sales}]
        measures:
          - {id: of_site, kind: sum, of: sales, each: subject}
          - {id: of_all, kind: sum, of: all_sales}
          - {id: share, kind: formula, formula: of_site / of_all}
          - {id: best, kind: across_subjects, take: maximum, of: share}
        lines: [{id: fee, clause: "1", kind: amount, amount: 1000 * share}]
        """
    settlement = settled(terms, sales={"north": [10, 30], "south": [40, None]}, all_sales=[50, 60])
    assert values(settlement, "share") == [
        {"north": Fraction(1, 5), "south": Fraction(4, 5)},
        {"north": Fraction(1, 2), "south": None},
    ]
    assert values(settlement, "best") == exact("4/5 1/2")
    # 200 + 800; 500, while that of the south waits
    assert payments(settlement) == exact("1000 500")
    assert settlement.periods[1].waiting == {"fee": "a value of share"}


def test_a_ratio_and_a_run_are_taken_for_each_subject():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: won}, {id: decided}]
        measures:
          - {id: rate, kind: ratio, numerator: won, denominator: decided, taken: pooled,
             each: subject}
          - {id: good, kind: run, of: rate, where: {at_least: 50%}, counted: in_a_row}
          - {id: weeks, kind: run_of_readings, of: won, where: {at_least: 1}, taken: longest,
             each: subject}
        """
    settlement = settled(
        terms, won={"a": [1, 2, 1], "b": [2, 0, 3]}, decided={"a": [2, 4, 4], "b": [2, 3, 4]}
    )
    assert value(settlement, "rate") == {"a": Fraction(1, 4), "b": Fraction(3, 4)}
    assert values(settlement, "good") == [{"a": 1, "b": 1}, {"a": 2, "b": 0}, {"a": 0, "b": 1}]
    assert values(settlement, "weeks")[1] == {"a": 1, "b": 0}


def test_the_previous_value_of_each_subject_is_its_own():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: sales}]
        measures:
          - {id: of_site, kind: sum, of: sales, each: subject}
          - {id: before, kind: previous, of: of_site, initial: 0}
          - {id: more, kind: formula, formula: of_site - before}
        """
    settlement = settled(terms, sales={"north": [10, 30], "south": [40, 45]})
    assert values(settlement, "more") == [{"north": 10, "south": 40}, {"north": 20, "south": 5}]


@pytest.mark.parametrize(
    ("setting", "number"),
    [
        ("take: sum", "60"),
        ("take: mean", "20"),
        ("take: median", "16"),
        ("take: minimum", "4"),
        ("take: maximum", "40"),
        ("take: count", "3"),
        ("take: percentile, percentile: 50%", "16"),
        ("take: percentile, percentile: 67%", "40"),  # two of three are less than 67%
        ("take: percentile, percentile: 2/3", "16"),  # two of three are just that
        ("take: sum, where: {at_least: 16}", "56"),
        ("take: sum, where: {more_than: 16}", "40"),
        ("take: sum, without: [c]", "20"),
        ("take: sum, only: chosen", "44"),
    ],
)
def test_one_number_is_taken_across_all_subjects(setting, number):
    terms = f"""
        periods: {{every: P1M, count: 1}}
        inputs: [{{id: sales}}, {{id: open}}]
        measures:
          - {{id: of_site, kind: sum, of: sales, each: subject}}
          - {{id: chosen, kind: latest, of: open, each: subject}}
          - {{id: figure, kind: across_subjects, {setting}, of: of_site}}
        """
    sales: Series = {"a": [4], "b": [16], "c": [40], "d": [None]}
    chosen = {"a": [True], "b": [False], "c": [True], "d": [True]}
    assert value(settled(terms, sales=sales, open=chosen), "figure") == Fraction(number)


# Days that passed

ELAPSED = """
    periods: {{every: P1Y, count: 1}}
    parameters: [{{id: due_on, day: 2025-06-30}}]
    events: [{{id: finished}}]
    excuses: [strike, flood]
    measures:
      - {{id: finished_on, kind: event_day, of: finished}}
      - {{id: late, kind: elapsed, from_day: due_on, to_day: finished_on, {settings}}}
    """


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ("counted: calendar_days", "41"),
        ("counted: calendar_days, first_day: not_counted", "41"),
        ("counted: calendar_days, first_day: counted", "42"),
        # five weeks of five days, 4 to 8 August; 30 June itself is a Monday, 10 August a Sunday
        ("counted: working_days", "29"),
        ("counted: working_days, first_day: counted", "30"),
        ("counted: calendar_days, excused: [strike]", "38"),
        ("counted: calendar_days, excused: [strike, flood]", "37"),  # 7 July is in both
        ("counted: working_days, excused: [strike]", "28"),  # one of the three is a weekday
    ],
)
def test_days_late_are_counted_as_stated(settings, days):
    readings = known(events=[event("finished", "2025-08-10")]).model_copy(
        update={
            "excused": _excuses(("strike", "2025-07-05", "2025-07-07"))
            + _excuses(("flood", "2025-07-07", "2025-07-08"))
        }
    )
    settlement = settled(ELAPSED.format(settings=settings), readings)
    assert value(settlement, "finished_on") == day("2025-08-10")
    assert value(settlement, "late") == Fraction(days)


def _excuses(*given: tuple[str, str, str]) -> tuple[Excuse, ...]:
    return tuple(
        Excuse.model_validate({"reason": reason, "from_day": first, "to_day": last})
        for reason, first, last in given
    )


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ("counted: calendar_days, early: zero", "0"),
        ("counted: calendar_days, early: negative", "-5"),
        ("counted: working_days, early: negative", "-3"),  # Thursday 26, Friday 27, Monday 30
    ],
)
def test_days_before_the_date_are_no_days_or_count_below_zero(settings, days):
    readings = known(events=[event("finished", "2025-06-25")])
    assert value(settled(ELAPSED.format(settings=settings), readings), "late") == Fraction(days)


def test_on_the_day_itself_nothing_is_late():
    readings = known(events=[event("finished", "2025-06-30")])
    for early in ("zero", "negative"):
        terms = ELAPSED.format(settings=f"counted: calendar_days, early: {early}")
        assert value(settled(terms, readings), "late") == 0


def test_days_run_on_until_the_end_of_the_period_or_are_missing():
    running = """
        periods: {start: 2025-07-01, every: P1M, count: 3}
        parameters: [{id: due_on, day: 2025-07-10}]
        events: [{id: finished}]
        measures:
          - {id: finished_on, kind: event_day, of: finished}
          - {id: running, kind: elapsed, from_day: due_on, to_day: finished_on,
             counted: calendar_days, until_then: runs_on}
          - {id: final, kind: elapsed, from_day: due_on, to_day: finished_on,
             counted: calendar_days, until_then: missing}
        """
    settlement = settled(running, known(events=[event("finished", "2025-09-01")]))
    assert values(settlement, "running") == exact("21 52 53")  # to 31 July, 31 August, 1 September
    assert values(settlement, "final") == exact("- - 53")


def test_working_days_follow_the_calendar_that_is_agreed():
    terms = """
        periods: {every: P1Y, count: 1}
        parameters: [{id: due_on, day: 2025-09-26}]
        events: [{id: finished}]
        measures:
          - {id: finished_on, kind: event_day, of: finished}
          - {id: late, kind: elapsed, from_day: due_on, to_day: finished_on, counted: working_days}
        """
    readings = known(events=[event("finished", "2025-10-10")])
    # Sunday 28 September works, 29 and 30 September, then eight days of holidays, 9 and 10 October
    assert value(settled(contract(terms, country="CN"), readings), "late") == 5
    assert value(settled(contract(terms, country="weekdays"), readings), "late") == 10


def test_the_day_of_an_event_is_its_first_day_as_known_by_the_end_of_the_period():
    terms = """
        periods: {every: P1M, count: 3}
        events: [{id: live}]
        measures:
          - {id: live_on, kind: event_day, of: live}
          - {id: each_live_on, kind: event_day, of: live, each: subject}
        """
    readings = known(
        events=[
            event("live", "2025-02-20"),
            event("live", "2025-02-10"),
            event("live", "2025-01-31", subject="north"),
            event("live", "2025-03-01", subject="south", received_on="2025-04-01"),
        ]
    )
    settlement = settled(terms, readings)
    first = day("2025-02-10")
    assert values(settlement, "live_on") == [None, first, first]
    assert values(settlement, "each_live_on") == [{"north": day("2025-01-31")}] * 3


# Ratios of readings that do not match


def test_a_reading_that_is_missing_takes_its_day_out_of_a_pooled_ratio():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: won}, {id: decided}]
        measures: [{id: rate, kind: ratio, numerator: won, denominator: decided, taken: pooled}]
        """
    readings = known(
        reading("won", "2025-01-10", None),
        reading("decided", "2025-01-10", 100),
        reading("won", "2025-01-20", 10),
        reading("decided", "2025-01-20", 20),
    )
    assert value(settled(terms, readings), "rate") == Fraction(1, 2)  # and not 10 / 120


def test_a_mean_of_ratios_keeps_a_day_and_days_apart():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: won}, {id: decided}]
        measures:
          - {id: rate, kind: ratio, numerator: won, denominator: decided, taken: mean_of_ratios}
        """
    readings = known(
        reading("won", "2025-01-31", 1),
        reading("decided", "2025-01-31", 4),
        reading("won", "2025-01-25 to 2025-01-31", 3),
        reading("decided", "2025-01-25 to 2025-01-31", 4),
    )
    assert value(settled(terms, readings), "rate") == Fraction(1, 2)  # (1/4 + 3/4) / 2


def test_deemed_days_are_those_of_the_window_alone():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: calls}, {id: days}]
        measures:
          - {id: a_day, kind: ratio, numerator: calls, denominator: days, taken: pooled,
             deemed: {calls: 10, days: 1}}
        """
    readings = known(
        reading("calls", "2024-12-27 to 2025-01-05", 200),
        reading("days", "2024-12-27 to 2025-01-05", 10),
    )
    # 26 days of January are not covered
    assert value(settled(terms, readings), "a_day") == Fraction(200 + 260, 10 + 26)
