"""What a measure is compared with, how it moves, and the score that follows."""

from fractions import Fraction

import pytest

from tests.unit.outcome.conftest import (
    Series,
    exact,
    known,
    payments,
    reading,
    settled,
    value,
    values,
)

EARLIER = [
    reading("spend", "2022-06-30", 90),
    reading("spend", "2023-06-30", 70),
    reading("spend", "2024-06-30", 80),
    reading("spend", "2025-06-30", 60),
]


@pytest.mark.parametrize("kind", ["fixed", "control_group"])
def test_a_baseline_is_agreed_or_measured_elsewhere(kind):
    terms = f"""
        periods: {{every: P1M, count: 2}}
        inputs: [{{id: spend}}, {{id: spend_elsewhere}}]
        measures:
          - {{id: spent, kind: sum, of: spend}}
          - {{id: elsewhere, kind: sum, of: spend_elsewhere}}
        baselines: [{{id: start, kind: {kind}, of: 2 * elsewhere}}]
        lines: [{{id: fee, clause: "1", kind: amount, amount: start - spent}}]
        """
    settlement = settled(terms, spend=[30, 30], spend_elsewhere=[40, None])
    assert values(settlement, "start") == exact("80 -")
    assert payments(settlement) == exact("50 0")


@pytest.mark.parametrize(
    ("setting", "number"),
    [
        ("kind: previous_year", "80"),
        ("kind: previous_year, years: 2", "70"),  # two years ago
        ("kind: previous_year, years: 4", "-"),
        ("kind: best_previous, years: 3, better: lower", "70"),
        ("kind: best_previous, years: 3, better: higher", "90"),
        ("kind: best_previous, years: 1, better: lower", "80"),
        ("kind: best_previous, years: 9, better: higher", "90"),  # as many as are known
    ],
)
def test_a_baseline_is_the_same_measure_in_earlier_years(setting, number):
    terms = f"""
        periods: {{every: P1Y, count: 1}}
        inputs: [{{id: spend}}]
        measures: [{{id: spent, kind: sum, of: spend}}]
        baselines: [{{id: before, {setting}, of: spent}}]
        """
    assert values(settled(terms, known(*EARLIER)), "before") == exact(number)


def test_the_best_of_earlier_years_needs_a_better_side():
    with pytest.raises(Exception, match="better: higher or lower"):
        settled("baselines: [{id: best, kind: best_previous, of: 1}]")


def test_the_previous_year_of_a_month_is_the_same_month_in_leap_years_too():
    terms = """
        periods: {start: 2025-02-01, every: P1M, count: 2}
        inputs: [{id: hours}]
        measures: [{id: worked, kind: sum, of: hours}]
        baselines: [{id: before, kind: previous_year, of: worked}]
        """
    days = ("2024-01-31", "2024-02-01", "2024-02-29", "2024-03-01", "2024-03-31", "2024-04-01")
    readings = known(*(reading("hours", on, 10**n) for n, on in enumerate(days)))
    # February 2024 has its 29th, March its 31st
    assert values(settled(terms, readings), "before") == exact("110 11000")


def test_the_previous_year_of_a_formula_moves_every_measure_below_it():
    terms = """
        periods: {every: P1Y, count: 1}
        parameters: [{id: factor, value: 10}]
        inputs: [{id: spend}, {id: heads}]
        measures:
          - {id: spent, kind: sum, of: spend}
          - {id: staff, kind: latest, of: heads}
          - {id: a_head, kind: formula, formula: factor * spent / staff}
        baselines: [{id: before, kind: previous_year, of: a_head}]
        """
    readings = known(
        *EARLIER, reading("heads", "2024-12-31", 16), reading("heads", "2025-12-31", 20)
    )
    settlement = settled(terms, readings)
    assert value(settlement, "a_head") == 30  # 10 * 60 / 20
    assert value(settlement, "before") == 50  # 10 * 80 / 16


def test_the_previous_year_of_each_subject_over_the_whole():
    terms = """
        periods: {every: P1Y, count: 1}
        inputs: [{id: sales}, {id: market}]
        measures:
          - {id: sold, kind: sum, of: sales, each: subject}
          - {id: all, kind: sum, of: market}
          - {id: share, kind: formula, formula: sold / all}
        baselines: [{id: before, kind: previous_year, of: share}]
        """
    readings = known(
        reading("sales", "2024-12-31", 10, subject="north"),
        reading("sales", "2025-12-31", 30, subject="north"),
        reading("sales", "2025-12-31", 15, subject="south"),
        reading("market", "2024-12-31", 50),
        reading("market", "2025-12-31", 60),
    )
    settlement = settled(terms, readings)
    assert value(settlement, "share") == {"north": Fraction(1, 2), "south": Fraction(1, 4)}
    assert value(settlement, "before") == {"north": Fraction(1, 5), "south": None}


PEERS: Series = {"us": [10], "a": [20], "b": [40], "c": [90], "d": [None]}


@pytest.mark.parametrize(
    ("setting", "number"),
    [
        ("take: median", "30"),  # of 10 20 40 90
        ("take: median, own_subject: us", "40"),  # of 20 40 90
        ("take: mean", "40"),
        ("take: mean, own_subject: us", "50"),
        ("take: percentile, percentile: 75%", "40"),  # three of four do not exceed it
        ("take: percentile, percentile: 76%", "90"),
        ("take: percentile, percentile: 0", "10"),
        ("take: percentile, percentile: 100%, own_subject: c", "40"),
    ],
)
def test_a_baseline_is_what_the_peers_reach(setting, number):
    terms = f"""
        periods: {{every: P1M, count: 1}}
        inputs: [{{id: rate}}]
        measures: [{{id: rates, kind: latest, of: rate, each: subject}}]
        baselines: [{{id: peers, kind: peers, of: rates, {setting}}}]
        """
    assert value(settled(terms, rate=PEERS), "peers") == Fraction(number)


@pytest.mark.parametrize(
    ("weather", "closure", "number"),
    [
        (5, -2, "103"),
        (12, 3, "110"),  # + 15, but up by at most 10
        (10, 0, "110"),
        (-1, -3, "96"),
        (-3, -4, "95"),  # - 7, but down by at most 5
        (20, -15, "105"),  # together, not one by one
        (None, 3, "-"),
    ],
)
def test_an_adjusted_baseline_moves_up_and_down_by_different_limits(weather, closure, number):
    terms = """
        periods: {every: P1Y, count: 1}
        inputs: [{id: degree_days}, {id: site_closed}]
        measures:
          - {id: weather, kind: latest, of: degree_days}
          - {id: closure, kind: latest, of: site_closed}
        baselines:
          - id: adjusted
            kind: adjusted
            of: 100
            adjustments:
              - {clause: "2.1", kind: routine, by: weather}
              - {clause: "2.2", kind: non_routine, by: closure}
            up_by_at_most: 10
            down_by_at_most: 5
        """
    settlement = settled(terms, degree_days=[weather], site_closed=[closure])
    assert values(settlement, "adjusted") == exact(number)


def test_an_adjusted_baseline_is_missing_where_one_of_its_limits_is():
    terms = """
        periods: {every: P1Y, count: 2}
        inputs: [{id: agreed}]
        measures: [{id: most, kind: latest, of: agreed}]
        baselines:
          - {id: adjusted, kind: adjusted, of: 100, up_by_at_most: most,
             adjustments: [{clause: "2", kind: routine, by: 7}]}
        """
    assert values(settled(terms, agreed=[5, None]), "adjusted") == exact("105 -")


def test_an_adjusted_baseline_without_limits_moves_as_far_as_it_must():
    terms = """
        periods: {every: P1Y, count: 1}
        baselines:
          - {id: adjusted, kind: adjusted, of: 100,
             adjustments: [{clause: "2", kind: routine, by: -250}]}
        """
    assert value(settled(terms), "adjusted") == -150


@pytest.mark.parametrize(
    ("better", "targets"), [("higher", "80 85 85 85 90"), ("lower", "80 80 80 80 80")]
)
def test_a_ratchet_never_becomes_easier(better, targets):
    terms = f"""
        periods: {{every: P1M, count: 5}}
        inputs: [{{id: rate}}]
        measures: [{{id: reached, kind: latest, of: rate}}]
        baselines: [{{id: target, kind: ratchet, of: reached, better: {better}}}]
        """
    assert values(settled(terms, rate=[80, 85, 82, None, 90]), "target") == exact(targets)


def test_a_score_is_the_way_from_baseline_to_target_in_both_directions():
    terms = """
        periods: {every: P1M, count: 4}
        inputs: [{id: days}]
        parameters: [{id: from_days, value: 90}, {id: to_days, value: 60}]
        measures: [{id: outstanding, kind: latest, of: days}]
        scores:
          - {id: paid_sooner, clause: "1", of: outstanding, baseline: from_days, target: to_days,
             scoring: {kind: clamped_linear}}
        """
    # (75 - 90) / (60 - 90)
    assert values(settled(terms, days=[95, 75, 60, 50]), "paid_sooner") == exact("0 1/2 1 1")


def test_a_score_without_baseline_and_target_scores_the_value_itself():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: rate}]
        measures: [{id: reached, kind: latest, of: rate}]
        scores:
          - {id: score, clause: "1", of: reached,
             scoring: {kind: shortfall, target: 98, better: higher}}
        """
    assert values(settled(terms, rate=[75, 98, None]), "score") == exact("23 0 -")


def test_a_score_without_any_way_to_go_is_missing():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: rate}]
        measures: [{id: reached, kind: latest, of: rate}]
        scores:
          - {id: score, clause: "1", of: reached, baseline: 5, target: 10 / 2,
             scoring: {kind: binary, at_target: met}}
        """
    assert values(settled(terms, rate=[75]), "score") == exact("-")


def test_a_score_is_rounded_where_the_contract_says_so():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: rate}]
        measures: [{id: reached, kind: latest, of: rate}]
        scores:
          - {id: used, clause: "1", of: reached, baseline: 0, target: 3,
             scoring: {kind: clamped_linear}, round: {decimals: 2, mode: half_away}}
          - {id: shown, clause: "1", of: reached, baseline: 0, target: 3,
             scoring: {kind: clamped_linear},
             round: {decimals: 2, mode: half_away, result: shown}}
        """
    settlement = settled(terms, rate=[2])
    assert value(settlement, "used") == Fraction("0.67")
    assert value(settlement, "shown") == Fraction(2, 3)
    assert settlement.shown(1, "shown") == Fraction("0.67")


def test_the_better_of_achievement_and_improvement_counts():
    terms = """
        periods: {every: P1Y, count: 3}
        inputs: [{id: rate}]
        measures: [{id: reached, kind: latest, of: rate}]
        baselines: [{id: before, kind: previous_year, of: reached}]
        scores:
          - {id: achievement, clause: "1", of: reached, baseline: 50, target: 90,
             scoring: {kind: clamped_linear}}
          - {id: improvement, clause: "1", of: reached, baseline: before, target: before + 20,
             scoring: {kind: clamped_linear}}
        totals:
          - {id: best, kind: combined, take: maximum, of: [achievement, improvement],
             missing: left_out}
        """
    settlement = settled(terms, rate=[70, 75, 90])
    assert values(settlement, "achievement") == exact("1/2 5/8 1")
    assert values(settlement, "improvement") == exact("- 1/4 3/4")
    assert values(settlement, "best") == exact("1/2 5/8 1")
