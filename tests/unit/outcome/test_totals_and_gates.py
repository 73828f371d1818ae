"""Several scores as one, and what must hold before a score counts or an amount is due."""

from fractions import Fraction

import pytest

from tests.unit.outcome.conftest import (
    Series,
    event,
    exact,
    known,
    payments,
    reading,
    settled,
    value,
    values,
)

THREE = """
    periods: {{every: P1M, count: 1}}
    inputs: [{{id: a}}, {{id: b}}, {{id: c}}]
    parameters: [{{id: high, value: 0.9}}]
    measures:
      - {{id: x, kind: latest, of: a}}
      - {{id: y, kind: latest, of: b}}
      - {{id: z, kind: latest, of: c}}
    totals: [{{id: total, {total}}}]
    """


def total(terms: str, **series: Series) -> object:
    settlement = settled(THREE.format(total=terms), None, as_of=None, **series)
    return value(settlement, "total")


# Weights


WEIGHTS = """of: [{{score: x, weight: 50%}}, {{score: y, weight: 30%}}, {{score: z, weight: 20%}}],
    kind: weighted_sum, missing: {missing}"""


@pytest.mark.parametrize(
    ("missing", "number"),
    [
        ("renormalised", "0.575"),  # (0.5 * 0.8 + 0.3 * 0.2) / 0.8
        ("zero", "0.46"),  # 0.5 * 0.8 + 0.3 * 0.2
        ("missing", "-"),
    ],
)
def test_a_missing_score_makes_the_other_weights_grow_or_counts_nothing(missing, number):
    found = total(WEIGHTS.format(missing=missing), a=["0.8"], b=["0.2"], c=[None])
    assert [found] == exact(number)


def test_weights_that_do_not_sum_to_one_keep_their_sum_when_they_grow():
    terms = """kind: weighted_sum, missing: renormalised,
        of: [{score: x, weight: 2}, {score: y, weight: 3}, {score: z, weight: 5}]"""
    # 10 points in all: (2 * 1 + 3 * 0.5) * 10 / 5
    assert total(terms, a=[1], b=["0.5"], c=[None]) == 7
    assert total(terms, a=[1], b=["0.5"], c=["0.2"]) == Fraction("4.5")  # 2 + 1.5 + 1


def test_without_any_score_a_weighted_sum_is_missing_unless_missing_is_zero():
    nothing: Series = [None]
    for missing, number in (("renormalised", "-"), ("zero", "0"), ("missing", "-")):
        found = total(WEIGHTS.format(missing=missing), a=nothing, b=nothing, c=nothing)
        assert [found] == exact(number)


def test_each_score_has_its_cap_before_its_weight_and_the_sum_its_limits_after():
    terms = """kind: weighted_sum, missing: missing, {limits}
        of: [{{score: x, weight: 50%, cap: 1}}, {{score: y, weight: 50%, cap: high}},
             {{score: z, weight: 100%}}]"""
    given: dict[str, Series] = {"a": ["1.4"], "b": ["0.95"], "c": ["0.25"]}
    # 0.5 * 1 + 0.5 * 0.9 + 0.25
    assert total(terms.format(limits=""), **given) == Fraction("1.2")
    assert total(terms.format(limits="cap: 110%,"), **given) == Fraction("1.1")
    assert total(terms.format(limits="floor: 1.3,"), **given) == Fraction("1.3")


def test_a_sum_is_missing_where_a_cap_of_it_is():
    terms = """kind: weighted_sum, missing: zero,
        of: [{score: x, weight: 1, cap: y}]"""
    assert total(terms, a=[5], b=[2], c=[0]) == 2
    assert total(terms, a=[5], b=[None], c=[0]) is None


@pytest.mark.parametrize(
    ("missing", "number"), [("renormalised", "0.5"), ("zero", "1/3"), ("missing", "-")]
)
def test_equal_weights_are_shared_by_those_that_have_a_score(missing, number):
    terms = f"kind: equal_weights, of: [x, y, z], missing: {missing}"
    # (0.8 + 0.2) / 2, or / 3
    assert [total(terms, a=["0.8"], b=[None], c=["0.2"])] == exact(number)
    assert total(terms, a=["0.8"], b=["0.5"], c=["0.2"]) == Fraction("0.5")


def test_equal_weights_of_no_score_are_missing_or_nothing():
    nothing: Series = [None]
    for missing, number in (("renormalised", "-"), ("zero", "0"), ("missing", "-")):
        terms = f"kind: equal_weights, of: [x, y, z], missing: {missing}"
        assert [total(terms, a=nothing, b=nothing, c=nothing)] == exact(number)


def test_the_weakest_link_counts():
    terms = "kind: combined, take: minimum, of: [x, y, z], missing: missing"
    assert total(terms, a=["0.8"], b=["0.5"], c=["0.9"]) == Fraction("0.5")


# Points


def test_bonus_points_are_earned_outside_the_denominator_up_to_the_cap():
    terms = "kind: points, earned: [x, y], bonus: [z], out_of: 40, missing: missing, cap: 100%"
    assert total(terms, a=[18], b=[12], c=[4]) == Fraction("0.85")  # 34 / 40
    assert total(terms, a=[20], b=[18], c=[4]) == 1  # 42 / 40
    without_cap = "kind: points, earned: [x, y], bonus: [z], out_of: 40, missing: missing"
    assert total(without_cap, a=[20], b=[18], c=[4]) == Fraction("1.05")


@pytest.mark.parametrize(("missing", "number"), [("zero", "0.75"), ("missing", "-")])
def test_missing_points_are_not_earned_or_make_the_share_missing(missing, number):
    terms = f"kind: points, earned: [x, y], bonus: [z], out_of: 40, missing: {missing}"
    assert [total(terms, a=[18], b=[12], c=[None])] == exact(number)


def test_points_out_of_nothing_are_missing():
    terms = "kind: points, earned: [x], out_of: y + z, missing: zero"
    assert total(terms, a=[18], b=[0], c=[0]) is None
    assert total(terms, a=[18], b=[None], c=[30]) is None


# Repeats


@pytest.mark.parametrize(
    ("factors", "points"),
    [
        ("[1, 2]", "3 2 6 6 0 3 -"),  # a third failure in a row counts as the second
        ("[1, 2, 4]", "3 2 12 12 0 3 -"),
        ("[2]", "6 2 6 6 0 6 -"),
    ],
)
def test_a_failure_that_repeats_counts_more(factors, points):
    terms = f"""
        periods: {{every: P1M, count: 8}}
        inputs: [{{id: severity}}]
        measures: [{{id: found, kind: latest, of: severity}}]
        totals:
          - {{id: points, kind: repeat, of: found, fails: {{more_than: 0}}, factors: {factors}}}
        """
    # The second failure is a light one; a missing month ends the row.
    settlement = settled(terms, severity=[3, 1, 3, 3, 0, 3, None, 3])
    found = values(settlement, "points")
    assert found[:7] == exact(points)
    assert found[7] == found[0]


# Peers


@pytest.mark.parametrize(
    ("better", "equals", "rank"),
    [
        ("higher", "not_beaten", "1/2"),  # better than 10 and 20 of 10 20 30 40
        ("higher", "half", "5/8"),
        ("higher", "beaten", "3/4"),
        ("lower", "not_beaten", "1/4"),
        ("lower", "half", "3/8"),
        ("lower", "beaten", "1/2"),
    ],
)
def test_a_peer_rank_is_the_share_of_the_others_that_one_is_better_than(better, equals, rank):
    terms = f"""
        periods: {{every: P1M, count: 1}}
        inputs: [{{id: rate}}]
        measures: [{{id: rates, kind: latest, of: rate, each: subject}}]
        totals:
          - {{id: rank, kind: peer_rank, of: rates, own_subject: us, better: {better}, equals: {equals}}}
        """
    peers: Series = {"a": [10], "b": [20], "c": [30], "d": [40], "e": [None], "us": [30]}
    assert value(settled(terms, rate=peers), "rank") == Fraction(rank)


def test_a_peer_rank_without_peers_or_without_an_own_value_is_missing():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: rate}]
        measures: [{id: rates, kind: latest, of: rate, each: subject}]
        totals:
          - {id: rank, kind: peer_rank, of: rates, own_subject: us, better: higher, equals: half}
        """
    peers: Series = {"a": [None, 3], "us": [1, None]}
    assert values(settled(terms, rate=peers), "rank") == exact("- -")


def test_a_cohort_factor_pays_out_all_that_was_withheld():
    terms = """
        periods: {every: P1Y, count: 1}
        inputs: [{id: revenue}, {id: reached}]
        measures:
          - {id: income, kind: latest, of: revenue, each: subject}
          - {id: score, kind: latest, of: reached, each: subject}
          - {id: withheld, kind: formula, formula: 2% * income}
          - {id: weighted, kind: formula, formula: withheld * score}
        totals:
          - {id: pool, kind: across_subjects, take: sum, of: withheld}
          - {id: claims, kind: across_subjects, take: sum, of: weighted}
          - {id: factor, kind: formula, formula: pool / claims}
        lines:
          - {id: kept, clause: "1", effect: deducts, kind: amount, amount: withheld}
          - {id: back, clause: "2", kind: amount, amount: weighted * factor}
        """
    settlement = settled(
        terms,
        revenue={"a": [100000], "b": [200000], "c": [300000]},
        reached={"a": ["0.5"], "b": ["0.9"], "c": ["0.3"]},
    )
    # 12000 withheld; claims 1000 + 3600 + 1800 = 6400
    assert value(settlement, "factor") == Fraction(12000, 6400)
    assert value(settlement, "back") == {"a": 1875, "b": 6750, "c": 3375}
    assert payments(settlement) == exact("0")


def test_cohorts_that_fail_alone_have_a_second_test_together():
    terms = """
        periods: {every: P1Y, count: 1}
        inputs: [{id: good}, {id: all}]
        measures:
          - {id: reached, kind: sum, of: good, each: subject}
          - {id: size, kind: sum, of: all, each: subject}
          - {id: rate, kind: formula, formula: reached / size}
        scores:
          - {id: failed, clause: "1", of: rate,
             scoring: {kind: steps, steps: [{less_than: 80%, gives: 1}], otherwise: 0}}
        totals:
          - {id: pool_reached, kind: across_subjects, take: sum, of: reached, only: failed}
          - {id: pool_size, kind: across_subjects, take: sum, of: size, only: failed}
          - {id: pooled, kind: formula, formula: pool_reached / pool_size, if_missing: 0}
          - {id: passed_alone, kind: across_subjects, take: count, of: failed, where: {at_most: 0}}
          - {id: passed_pooled, kind: across_subjects, take: count, of: failed, only: failed}
        gates:
          - {id: second_test, kind: threshold, of: pooled, passes: {at_least: 70%}, on: exact,
             missing: fails}
        lines:
          - {id: alone, clause: "2", kind: amount, amount: 100 * passed_alone}
          - {id: together, clause: "3", kind: amount, amount: 60 * passed_pooled,
             gates: [second_test]}
        """
    sizes: Series = {"a": [10], "b": [20], "c": [30]}
    # a passes alone; b and c reach 15 + 21 of 50, 72 %
    both = settled(terms, good={"a": [9], "b": [15], "c": [21]}, all=sizes)
    assert payments(both) == exact("220")
    # b and c reach 15 + 19 of 50, 68 %
    neither = settled(terms, good={"a": [9], "b": [15], "c": [19]}, all=sizes)
    assert payments(neither) == exact("100")
    # nobody fails
    everybody = settled(terms, good={"a": [9], "b": [16], "c": [24]}, all=sizes)
    assert payments(everybody) == exact("300")


# Thresholds

GATE = """
    periods: {{every: P1M, count: {count}}}
    inputs: [{{id: rate}}]
    measures: [{{id: reached, kind: latest, of: rate}}]
    gates:
      - {{id: gate, kind: {kind}, of: reached, passes: {passes}, on: {on}, missing: {missing}}}
    lines:
      - {{id: fee, clause: "1", kind: amount, amount: 100, gates: [gate]}}
    """


def gated(
    passes: str = "{at_least: 2%}",
    on: str = "exact",
    missing: str = "fails",
    kind: str = "threshold",
    count: int = 1,
) -> str:
    return GATE.format(passes=passes, on=on, missing=missing, kind=kind, count=count)


@pytest.mark.parametrize("kind", ["threshold", "guardrail"])
@pytest.mark.parametrize(
    ("passes", "passed"),
    [
        ("{at_least: 2%}", "0 1 1"),
        ("{more_than: 2%}", "0 0 1"),
        ("{at_most: 2%}", "1 1 0"),
        ("{less_than: 2%}", "1 0 0"),
        ("{at_least: 1.99%, less_than: 2%}", "1 0 0"),
    ],
)
def test_a_gate_says_whether_the_limit_itself_passes(kind, passes, passed):
    settlement = settled(gated(passes, kind=kind, count=3), rate=["0.0199", "0.02", "0.0201"])
    assert values(settlement, "gate") == exact(passed)
    assert payments(settlement) == [100 * gate for gate in exact(passed) if gate is not None]


@pytest.mark.parametrize(
    ("on", "passed"),
    [
        ("exact", "0 0 1"),
        ("{decimals: 3, mode: half_away}", "0 1 1"),  # 1.94% to 1.9%, 1.95% to 2.0%
        ("{decimals: 3, mode: half_even}", "0 1 1"),
        ("{decimals: 3, mode: half_down}", "0 0 1"),
        ("{decimals: 3, mode: floor}", "0 0 1"),
        ("{decimals: 3, mode: ceiling}", "1 1 1"),
        ("{decimals: 3, mode: away}", "1 1 1"),
        ("{decimals: 3, mode: towards_zero}", "0 0 1"),
    ],
)
def test_a_gate_looks_at_the_exact_or_at_the_rounded_value(on, passed):
    settlement = settled(gated(on=on, count=3), rate=["0.0194", "0.0195", "0.02"])
    assert values(settlement, "gate") == exact(passed)


@pytest.mark.parametrize(
    ("missing", "gate", "paid", "waits"),
    [
        ("fails", "0", "0", {}),
        ("passes", "1", "100", {}),
        ("undecided", "-", "0", {"fee": "gate gate"}),
    ],
)
def test_a_gate_without_its_value_fails_passes_or_stays_undecided(missing, gate, paid, waits):
    settlement = settled(gated(missing=missing), rate=[None])
    assert values(settlement, "gate") == exact(gate)
    assert payments(settlement) == exact(paid)
    assert settlement.periods[0].waiting == waits


def test_what_an_undecided_gate_lets_through_later_is_paid_later():
    readings = known(
        reading("rate", "2025-01-31", "0.03", received_on="2025-02-10"),
        reading("rate", "2025-02-28", "0.01"),
    )
    settlement = settled(gated(missing="undecided", count=2), readings)
    assert payments(settlement) == exact("0 100")


@pytest.mark.parametrize("while_closed", ["lost", "waits"])
def test_an_undecided_gate_leaves_an_entitlement_to_date_as_it_was(while_closed):
    terms = f"""
        periods: {{every: P1M, count: 3}}
        inputs: [{{id: rate}}]
        measures: [{{id: reached, kind: latest, of: rate}}]
        gates:
          - {{id: gate, kind: threshold, of: reached, passes: {{at_least: 1}}, on: exact,
             missing: undecided}}
          - {{id: first, kind: threshold, of: reached, passes: {{at_least: 1}}, on: exact,
             missing: undecided, stays_passed: true}}
        lines:
          - {{id: fee, clause: "1", kind: amount, amount: 100, basis: to_date, gates: [gate],
             while_closed: {while_closed}}}
        """
    settlement = settled(terms, rate=[1, None, 1])
    assert payments(settlement) == exact("100 0 0")
    assert settlement.periods[1].waiting == {"fee": "gate gate"}
    assert values(settlement, "first") == exact("1 1 1")


def test_a_closed_gate_takes_an_entitlement_to_date_back_or_holds_it():
    terms = """
        periods: {{every: P1M, count: 3}}
        inputs: [{{id: rate}}]
        measures: [{{id: reached, kind: latest, of: rate}}]
        gates:
          - {{id: gate, kind: guardrail, of: reached, passes: {{at_least: 1}}, on: exact,
             missing: fails}}
        lines:
          - {{id: fee, clause: "1", kind: amount, amount: 100 * reached, basis: to_date,
             gates: [gate], while_closed: {while_closed}}}
        """
    rate: Series = [2, 0, 3]
    assert payments(settled(terms.format(while_closed="lost"), rate=rate)) == exact("200 -200 300")
    assert payments(settled(terms.format(while_closed="waits"), rate=rate)) == exact("200 0 100")


def test_a_limit_that_is_missing_leaves_the_gate_undecided():
    assert values(settled(gated("{at_least: reached / reached}"), rate=[5]), "gate") == exact("1")
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: rate}, {id: limit}]
        measures: [{id: reached, kind: latest, of: rate}, {id: least, kind: latest, of: limit}]
        gates:
          - {id: gate, kind: threshold, of: reached, passes: {at_least: least}, on: exact,
             missing: fails}
        """
    assert values(settled(terms, rate=[5], limit=[None]), "gate") == exact("-")


def test_what_waits_behind_a_gate_is_paid_once_it_opens_and_what_is_lost_is_not():
    terms = """
        periods: {{every: P1M, count: 5}}
        inputs: [{{id: good}}]
        measures:
          - {{id: week, kind: latest, of: good}}
          - {{id: run, kind: run, of: week, where: {{at_least: 1}}, counted: in_a_row}}
        gates:
          - {{id: qualified, kind: threshold, of: run, passes: {{at_least: 3}}, on: exact,
             missing: fails, stays_passed: {stays}}}
        lines:
          - {{id: fee, clause: "1", kind: amount, amount: 100, gates: [qualified],
             while_closed: {while_closed}}}
        """
    good: Series = [1, 1, 1, 0, 1]
    paid = {
        ("waits", "true"): "0 0 300 100 100",  # accrued from the first month, and then for good
        ("lost", "true"): "0 0 100 100 100",
        ("waits", "false"): "0 0 300 0 0",
        ("lost", "false"): "0 0 100 0 0",
    }
    for (while_closed, stays), expected in paid.items():
        settlement = settled(terms.format(while_closed=while_closed, stays=stays), good=good)
        assert payments(settlement) == exact(expected)
    waiting = settled(terms.format(while_closed="waits", stays="true"), good=good).periods
    assert [period.waiting for period in waiting[:3]] == [{"fee": "gate qualified"}] * 2 + [{}]


def test_all_gates_of_a_line_must_be_open():
    terms = """
        periods: {every: P1M, count: 4}
        inputs: [{id: saved}, {id: complained}]
        measures:
          - {id: savings, kind: latest, of: saved}
          - {id: complaints, kind: latest, of: complained}
        gates:
          - {id: enough, kind: threshold, of: savings, passes: {at_least: 100}, on: exact,
             missing: fails}
          - {id: no_harm, kind: guardrail, of: complaints, passes: {at_most: 5}, on: exact,
             missing: fails}
        lines:
          - {id: share, clause: "1", kind: amount, amount: 50% * savings,
             gates: [enough, no_harm]}
        """
    # The whole saving is shared from the first unit on, once the gate is passed.
    settlement = settled(terms, saved=[99, 100, 300, 300], complained=[0, 5, 6, None])
    assert payments(settlement) == exact("0 50 0 0")


def test_each_subject_has_its_own_gate():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: rate}]
        measures: [{id: reached, kind: latest, of: rate, each: subject}]
        gates:
          - {id: passed, kind: threshold, of: reached, passes: {at_least: 80}, on: exact,
             missing: undecided}
        lines:
          - {id: lost, clause: "1", kind: amount, amount: reached, gates: [passed]}
          - {id: late, clause: "2", kind: amount, amount: 1000 * reached, gates: [passed],
             while_closed: waits}
        """
    settlement = settled(terms, rate={"north": [79, 80], "south": [90, 60]})
    assert values(settlement, "passed") == [{"north": 0, "south": 1}, {"north": 1, "south": 0}]
    # 90 and 90000; then 80, and 79000 + 80000 of the north
    assert payments(settlement) == exact("90090 159080")


@pytest.mark.parametrize(
    ("closed", "scores", "totals"), [("zero", "0 80", "30 70"), ("missing", "- 80", "60 70")]
)
def test_a_gate_of_a_score_makes_it_zero_or_missing(closed, scores, totals):
    terms = f"""
        periods: {{every: P1M, count: 2}}
        inputs: [{{id: rate}}, {{id: answers}}]
        measures:
          - {{id: reached, kind: latest, of: rate}}
          - {{id: sample, kind: latest, of: answers}}
        gates:
          - {{id: enough, kind: threshold, of: sample, passes: {{at_least: 30}}, on: exact,
             missing: undecided}}
        scores:
          - {{id: score, clause: "1", of: reached, scoring: {{kind: affine, slope: 1}},
             gates: [enough], while_closed: {closed}}}
        totals:
          - {{id: total, kind: equal_weights, of: [score, 60], missing: renormalised}}
        """
    settlement = settled(terms, rate=[80, 80], answers=[29, 30])
    assert values(settlement, "score") == exact(scores)
    assert values(settlement, "total") == exact(totals)
    assert values(settled(terms, rate=[80], answers=[None]), "score")[0] is None


# Evidence


def test_an_evidence_gate_opens_with_its_event():
    terms = """
        periods: {every: P1M, count: 4}
        events: [{id: certified}]
        gates: [{id: gate, kind: evidence, event: certified}]
        lines:
          - {id: fee, clause: "1", kind: amount, amount: 100, gates: [gate], while_closed: waits}
        """
    readings = known(events=[event("certified", "2025-02-28")])
    assert payments(settled(terms, readings)) == exact("0 200 100 100")
    late = known(events=[event("certified", "2025-02-28", received_on="2025-03-15")])
    assert payments(settled(terms, late)) == exact("0 0 300 100")
    assert payments(settled(terms, known())) == exact("0 0 0 0")


@pytest.mark.parametrize(
    ("earliest", "opens"),
    [("2025-03-31", "0 0 1 1"), ("2025-04-01", "0 0 0 1"), ("2025-01-01", "0 1 1 1")],
)
def test_an_evidence_gate_needs_its_event_and_its_earliest_date(earliest, opens):
    terms = f"""
        periods: {{every: P1M, count: 4}}
        parameters: [{{id: earliest, day: {earliest}}}]
        events: [{{id: certified}}]
        gates: [{{id: gate, kind: evidence, event: certified, not_before: earliest}}]
        """
    readings = known(events=[event("certified", "2025-02-14")])
    assert values(settled(terms, readings), "gate") == exact(opens)
    assert values(settled(terms, known()), "gate") == exact("0 0 0 0")


@pytest.mark.parametrize(("basis", "paid"), [("each_period", "0 0 30 4"), ("to_date", "0 0 20 4")])
def test_what_waits_is_released_when_the_gate_opens_though_nothing_new_is_due(basis, paid):
    terms = f"""
        periods: {{every: P1M, count: 4}}
        inputs: [{{id: n}}]
        events: [{{id: certified}}]
        measures: [{{id: x, kind: latest, of: n}}]
        gates: [{{id: gate, kind: evidence, event: certified}}]
        lines:
          - {{id: fee, clause: "1", kind: amount, amount: x, basis: {basis}, due: [1, 2],
             gates: [gate], while_closed: waits}}
          - {{id: other, clause: "2", kind: amount, amount: 4, due: last_period}}
        """
    readings = known(events=[event("certified", "2025-03-10")], n=[10, 20, 99, 99])
    assert payments(settled(terms, readings)) == exact(paid)
    never = settled(terms, n=[10, 20, 99, 99])
    assert payments(never) == exact("0 0 0 4")
    assert [period.waiting for period in never.periods] == [{"fee": "gate gate"}] * 4


def test_what_waits_is_released_in_the_final_settlement():
    terms = """
        periods: {every: P1M, count: 2, final_settlement: {after: P6M}}
        events: [{id: certified}]
        gates: [{id: gate, kind: evidence, event: certified}]
        lines:
          - {id: fee, clause: "1", kind: amount, amount: 100, gates: [gate], while_closed: waits}
        """
    readings = known(events=[event("certified", "2025-07-10")])
    assert payments(settled(terms, readings)) == exact("0 0 200")
    assert payments(settled(terms)) == exact("0 0 0")
