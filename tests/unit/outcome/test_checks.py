"""What the values of an outcome contract must say together."""

import pytest

from contracts.document import DocumentRefused, Kind, read_document
from contracts.outcome.checks import OUTCOME_CHECKS, check_outcome
from contracts.outcome.outcome import OutcomeContract

CHECKED = Kind("outcome contract", OutcomeContract, check_outcome, key="outcome")

BASE = """apiVersion: tollkeeper/v1
kind: Contract
id: SERVICE
version: 1
title: {en: Service levels and a bonus}
signed_on: 2025-01-01
effective_on: 2025-01-01
currency: EUR
timezone: Europe/Berlin
parties:
  consultant: {name: {en: Provider}}
  client: {name: {en: Buyer}}
calendar: {country: weekdays}
outcome:
  periods: {every: P3M, count: 4, settled: {after: P10D, falls_on_a_day_off: next_working_day}}
  rounding: {decimals: 2, mode: half_away, at: each_line}
  parameters:
    - {id: goal, value: 100}
    - {id: fee, value: goal * 50, changes: [{clause: "9", effective_on: 2025-07-01, value: 6000}]}
    - {id: heavy, value: 60%}
    - {id: season, day: 2025-06-01}
    - {id: season_end, day: 2025-08-31}
  inputs:
    - {id: solved, indicator: first-contact-resolution}
    - {id: asked, indicator: first-contact-resolution, exclusions: [outage]}
    - {id: days_open}
    - {id: hours}
  events:
    - {id: opened}
    - {id: closed}
    - {id: handover}
  excuses: [holiday]
  measures:
    - {id: rate, kind: ratio, taken: pooled, numerator: solved, denominator: asked, deemed: {asked: 2}}
    - {id: speed, kind: mean, of: days_open, window: {over: fixed, from_day: season, to_day: season_end}}
    - {id: by_site, kind: sum, of: hours, each: subject}
    - {id: sites, kind: across_subjects, take: sum, of: by_site}
    - {id: opened_on, kind: event_day, of: opened}
    - {id: closed_on, kind: event_day, of: closed}
    - id: open
      kind: elapsed
      from_day: opened_on
      to_day: closed_on
      counted: working_days
      excused: [holiday]
  baselines:
    - {id: easiest, kind: ratchet, of: goal, better: higher}
  scores:
    - id: quick
      clause: "1"
      of: speed
      scoring:
        kind: steps
        steps: [{at_least: 90, gives: 100%}, {at_least: 80, gives: 50%}]
        otherwise: 0
    - id: curved
      clause: "1"
      of: sites
      scoring: {kind: curve, knots: [{at: 0, gives: 0}, {at: goal, gives: 100%}]}
    - {id: way, clause: "1", of: rate, baseline: 0, target: easiest, scoring: {kind: clamped_linear}}
  totals:
    - id: score
      kind: weighted_sum
      missing: zero
      of:
        - {score: quick, weight: heavy}
        - {score: curved, weight: 30%}
        - {score: way, weight: 10%}
    - {id: before, kind: previous, of: score, initial: 0}
  gates:
    - {id: good, kind: threshold, of: score, passes: {at_least: 10%}, on: exact, missing: fails}
    - {id: handed_over, kind: evidence, event: handover}
  lines:
    - {id: bonus, clause: "2", kind: amount, amount: fee * score, gates: [good]}
    - id: work
      clause: "3"
      kind: bands
      of: sites
      better: higher
      applied: each_band
      on_a_limit: band_below
      bands: [{up_to: 10, rate: 5}, {up_to: goal, rate: 4}, {rate: 3}]
    - {id: credit, clause: "4", kind: amount, effect: deducts, amount: open, gates: [handed_over]}
  caps:
    - {id: yearly, clause: "5", of: [bonus, work], scope: to_date, at_most: 30000}
    - {id: overall, clause: "5", of: [yearly, credit], scope: to_date, at_most: 40000}
  retentions:
    - id: kept
      clause: "6"
      of: [bonus]
      rate: 5%
      states: [{after: handover, factor: 50%}]
      round: {decimals: 2, mode: half_away}
  payment:
    clause: "7"
    negative: paid_back
    minimum: {at_least: 10}
    payers: [{party: north, share: 50%}, {party: south, share: 50%}]
  statement:
    - {id: left, formula: 40000 - earned}
"""


def changed(*changes):
    """The document with the first occurrence of each text replaced."""
    text = BASE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def read(text):
    return read_document(text, "service.yaml", [CHECKED])


def refusal(*changes):
    """The faults without file and place."""
    with pytest.raises(DocumentRefused) as refused:
        read(changed(*changes))
    return [str(fault).split(": ", 1)[1] for fault in refused.value.faults]


def test_the_document_has_no_problem():
    assert check_outcome(read(BASE)) == []


def test_every_rule_has_a_sentence():
    assert all(rule.__doc__ for rule in OUTCOME_CHECKS)


def test_every_fault_is_told_at_once_each_at_its_place():
    with pytest.raises(DocumentRefused) as refused:
        read(
            changed(
                ("of: days_open", "of: day_open"),
                ("weight: 10%", "weight: 20%"),
                ("fee * score", "fees * score"),
                ("signed_on: 2025-01-01", "signed_on: 2025-02-01"),
            )
        )
    assert [str(fault) for fault in refused.value.faults] == [
        "service.yaml:7:15: effective_on: "
        "found 2025-01-01, expected the signing date 2025-02-01 or later [date_order]",
        "service.yaml:35:35: outcome.measures[1].of: found 'day_open', expected an input: "
        "solved, asked, days_open, hours (did you mean days_open?) [unknown_ref]",
        "service.yaml:68:32: outcome.totals[0].of[2].weight: "
        "found 110% for the weights, expected 100% [sum_mismatch]",
        "service.yaml:74:54: outcome.lines[0].amount: found 'fees', "
        "expected a value that is known here (did you mean fee?) [unknown_ref]",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "id: heavy, value",
            "id: goal, value",
            "outcome.parameters[2].id: found 'goal' a second time, expected each id once [duplicate_id]",
        ),
        (
            "{id: left, ",
            "{id: asked, ",
            "outcome.statement[0].id: found 'asked' a second time, expected each id once [duplicate_id]",
        ),
        (
            "party: south",
            "party: north",
            "outcome.payment.payers[1].party: found 'north' a second time, expected each id once "
            "[duplicate_id]",
        ),
        (
            "{id: left, ",
            "{id: earned, ",
            "outcome.statement[0].id: found 'earned', which is a figure of every settlement, "
            "expected another name [reserved_name]",
        ),
        (
            "{id: left, ",
            "{id: floor, ",
            "outcome.statement[0].id: found 'floor', which is a function, expected another name "
            "[reserved_name]",
        ),
    ],
)
def test_a_name_stands_for_one_thing(old, new, fault):
    assert fault in refusal((old, new))


def test_the_items_of_a_rate_card_are_named_once():
    item = "{id: visit, rate: 5, quantity: sites}"
    assert refusal(
        (
            "kind: amount, effect: deducts, amount: open",
            f"kind: rate_card, items: [{item}, {item}], effect: deducts, cap: open",
        )
    ) == [
        "outcome.lines[2].items[1].id: found 'visit' a second time, expected each id once "
        "[duplicate_id]"
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "kind: mean, of: days_open",
            "kind: mean, of: rate",
            "outcome.measures[1].of: found 'rate', a measure, expected an input: "
            "solved, asked, days_open, hours [unknown_ref]",
        ),
        (
            "numerator: solved",
            "numerator: goal",
            "outcome.measures[0].numerator: found 'goal', a parameter, expected an input: "
            "solved, asked, days_open, hours [unknown_ref]",
        ),
        (
            "deemed: {asked: 2}",
            "deemed: {hours: 2}",
            "outcome.measures[0].deemed.hours: found 'hours', an input, "
            "expected an input of this ratio: solved, asked [unknown_ref]",
        ),
        (
            "kind: event_day, of: opened",
            "kind: event_day, of: openned",
            "outcome.measures[4].of: found 'openned', expected an event: "
            "opened, closed, handover (did you mean opened?) [unknown_ref]",
        ),
        (
            "over: fixed, from_day: season, to_day: season_end",
            "over: subject, since: visit, length: P1M",
            "outcome.measures[1].window.since: found 'visit', expected an event: "
            "opened, closed, handover [unknown_ref]",
        ),
        (
            "excused: [holiday]",
            "excused: [holidays]",
            "outcome.measures[6].excused[0]: found 'holidays', expected one of the excuses: "
            "holiday (did you mean holiday?) [unknown_ref]",
        ),
        (
            "kind: evidence, event: handover",
            "kind: evidence, event: hand_over",
            "outcome.gates[1].event: found 'hand_over', expected an event: "
            "opened, closed, handover (did you mean handover?) [unknown_ref]",
        ),
        (
            "after: handover",
            "after: asked",
            "outcome.retentions[0].states[0].after: found 'asked', an input, expected an event: "
            "opened, closed, handover [unknown_ref]",
        ),
        (
            "gates: [good]",
            "gates: [good, score]",
            "outcome.lines[0].gates[1]: found 'score', a total, expected a gate: "
            "good, handed_over [unknown_ref]",
        ),
        (
            "of: [bonus]",
            "of: [bonuss]",
            "outcome.retentions[0].of[0]: found 'bonuss', expected a line, or a cap that stands before: "
            "bonus, work, credit, yearly, overall (did you mean bonus?) [unknown_ref]",
        ),
    ],
)
def test_what_is_referred_to_is_there(old, new, fault):
    assert fault in refusal((old, new))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "amount: open",
            "amount: open * days_open",
            "outcome.lines[2].amount: found 'days_open', an input, expected speed, which reads it "
            "[unusable_name]",
        ),
        (
            "formula: 40000 - earned",
            "formula: earned * closed",
            "outcome.statement[0].formula: found 'closed', an event, expected closed_on, "
            "which reads it [unusable_name]",
        ),
        (
            "of: goal, better",
            "of: overall, better",
            "outcome.baselines[0].of: found 'overall', a cap that is known only later, "
            "expected a value that is known here [unusable_name]",
        ),
        (
            "{id: heavy, value: 60%}",
            "{id: heavy, value: 60% + 0 * late}\n    - {id: late, value: 1}",
            "outcome.parameters[2].value: found 'late', a parameter that is known only later, "
            "expected one of days_in_period, goal, fee [unusable_name]",
        ),
        (
            "exclusions: [outage]",
            "exclusions: [outage], excluded_as: rate",
            "outcome.inputs[1].excluded_as: found 'rate', a measure that is known only later, expected "
            "one of days_in_period, goal, fee, heavy, season, season_end [unusable_name]",
        ),
        (
            "minimum: {at_least: 10}",
            "minimum: {at_least: paid}",
            "outcome.payment.minimum.at_least: found 'paid', a figure of the settlement that is known "
            "only later, expected a value that is known here [unusable_name]",
        ),
    ],
)
def test_a_formula_names_what_is_known_when_it_is_computed(old, new, fault):
    assert refusal((old, new)) == [fault]


@pytest.mark.parametrize("value", ["before", "gross", "overall", "kept", "left"])
def test_what_looks_back_may_name_any_value(value):
    assert read(changed(("previous, of: score", f"previous, of: {value}")))


def test_the_statement_may_name_the_figures_of_the_settlement():
    assert read(changed(("40000 - earned", "gross - retained + earned - paid + due - payment")))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "of: [bonus, work], scope",
            "of: [bonus, overall], scope",
            "outcome.caps[0].of[1]: found 'overall', a cap, expected a line, or a cap that stands "
            "before: bonus, work, credit [unknown_ref]",
        ),
        (
            "of: [yearly, credit]",
            "of: [yearly, credit, work]",
            "outcome.caps[1].of[2]: found 'work', which counts in yearly already, "
            "expected each line and cap counted once [counted_twice]",
        ),
        (
            "of: [bonus]",
            "of: [bonus, bonus]",
            "outcome.retentions[0].of[1]: found 'bonus', which counts in kept already, "
            "expected each line and cap counted once [counted_twice]",
        ),
    ],
)
def test_caps_go_from_narrow_to_wide(old, new, fault):
    assert refusal((old, new)) == [fault]


def test_a_value_made_of_itself_is_told_with_the_way_round():
    expected = "expected no value made of itself; kind: previous gives that of the period before"
    assert refusal(
        ("of: goal, better", "of: score, better"),
        ("amount: open", "amount: open + credit"),
    ) == [
        f"outcome.baselines[0].of: found easiest -> score -> way -> easiest, {expected} [cycle]",
        f"outcome.lines[2].amount: found credit -> credit, {expected} [cycle]",
    ]


def test_a_window_may_begin_anew_after_what_its_own_measure_decides():
    restarts = "{id: sites, kind: sum, of: hours, window: {over: to_date, restarts_after: good}}"
    old = "{id: sites, kind: across_subjects, take: sum, of: by_site}"
    assert read(changed((old, restarts)))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "    - {id: hours}\n",
            "    - {id: hours}\n    - {id: minutes}\n",
            "outcome.inputs[4].id: found 'minutes', which nothing uses, "
            "expected a measure that reads it [no_effect]",
        ),
        (
            "    - {id: handover}\n",
            "    - {id: handover}\n    - {id: strike}\n",
            "outcome.events[3].id: found 'strike', which nothing uses, expected a measure, a window, "
            "a gate or a retention that waits for it [no_effect]",
        ),
        (
            ", gates: [good]",
            "",
            "outcome.gates[0].id: found 'good', which nothing uses, "
            "expected a score, a line or a formula that asks for it [no_effect]",
        ),
    ],
)
def test_what_nothing_uses_has_no_effect(old, new, fault):
    assert refusal((old, new)) == [fault]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "effective_on: 2025-07-01, value: 6000}",
            "effective_on: 2025-07-01, value: 6000}, {clause: '9', effective_on: 2025-07-01, times: 2}",
            "outcome.parameters[1].changes[1].effective_on: found 2025-07-01, "
            "expected later than 2025-07-01 of the change before [date_order]",
        ),
        (
            "{every: P3M, count: 4, settled",
            "{start: 2025-03-01, ends: [2025-02-28, 2025-12-31], settled",
            "outcome.periods.ends[0]: found 2025-02-28, expected the start 2025-03-01 or later "
            "[date_order]",
        ),
    ],
)
def test_dates_are_in_order(old, new, fault):
    assert refusal((old, new)) == [fault]


@pytest.mark.parametrize(
    ("new", "fault"),
    [
        ("due: [4, 5]", ".due[1]: found 5, expected 1 to 4, the number of periods [period_range]"),
        ("due: []", ".due: found an empty list, expected at least one period [too_short]"),
    ],
)
def test_lines_are_due_in_periods_that_there_are(new, fault):
    assert refusal(("gates: [good]}", f"gates: [good], {new}}}")) == [f"outcome.lines[0]{fault}"]


def test_a_line_of_the_final_settlement_needs_one():
    line = ("gates: [good]}", "gates: [good], due: final_settlement}")
    assert refusal(line) == [
        "outcome.lines[0].due: found final_settlement, expected every_period, last_period, "
        "or periods.final_settlement [period_range]"
    ]
    assert read(changed(line, FINAL))


@pytest.mark.parametrize(
    ("count", "recovered", "fault"),
    [
        (5, 3, ".count: found 5, expected 1 to 4, the number of periods [period_range]"),
        (0, 3, ".count: found 0, expected 1 to 4, the number of periods [period_range]"),
        (4, 5, ".recovered_in: found 5, expected 2 to 4, the number of periods [period_range]"),
        (4, 1, ".recovered_in: found 1, expected 2 to 4, the number of periods [period_range]"),
    ],
)
def test_instalments_end_with_the_periods(count, recovered, fault):
    terms = (
        f"kind: instalments, of: fee, count: {count}, remainder: last, recovered_in: {recovered}, "
        "round: {decimals: 2, mode: half_away}"
    )
    told = refusal(("kind: amount, amount: fee * score", terms))
    assert told == [f"outcome.lines[0]{fault}"]


def test_working_days_need_a_calendar():
    expected = "expected a calendar at the top of the contract, such as {country: CN}"
    assert refusal(("calendar: {country: weekdays}\n", "")) == [
        "outcome.periods.settled.falls_on_a_day_off: found next_working_day without a calendar, "
        f"{expected} [calendar_missing]",
        f"outcome.measures[6].counted: found working_days without a calendar, {expected} "
        "[calendar_missing]",
    ]


def test_calendar_days_need_none():
    assert read(
        changed(
            ("calendar: {country: weekdays}\n", ""),
            (", falls_on_a_day_off: next_working_day", ""),
            ("counted: working_days", "counted: calendar_days"),
        )
    )


def test_the_calendar_covers_the_periods_and_their_settlement():
    years = (
        ("country: weekdays", "country: CN"),
        ("_on: 2025-01-01", "_on: 2090-01-01"),
        ("_on: 2025-01-01", "_on: 2090-01-01"),
        ("day: 2025-06-01", "day: 2090-06-01"),
        ("day: 2025-08-31", "day: 2090-08-31"),
    )
    assert refusal(*years) == [
        "calendar: found no decreed working days of 2090 for CN, expected the days off and the "
        "working weekends of 2090 in calendar.overrides, or 2090 in calendar.provisional_years "
        "[calendar_coverage]"
    ]
    decreed = ("country: CN", "country: CN, overrides: {2090-05-01: off}")
    (told,) = refusal(*years, decreed)  # the last quarter is settled in January
    assert told.startswith("calendar: found no decreed working days of 2091 for CN")
    both = ("country: CN", "country: CN, overrides: {2090-05-01: off, 2091-01-01: off}")
    assert read(changed(*years, both))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "season_end, day: 2025-08-31",
            "season_end, day: 2025-05-31",
            "to_day: found 2025-05-31, expected 2025-06-01 of from_day, or later [window_order]",
        ),
        (
            "season_end, day: 2025-08-31",
            "season_end, day: 2026-01-01",
            "to_day: found 2026-01-01, expected 2025-12-31, when the last period ends, or earlier "
            "[window_order]",
        ),
        (
            "from_day: season,",
            "from_day: goal,",
            "from_day: found goal, a number, expected a day, such as a parameter with day "
            "[invalid_value]",
        ),
    ],
)
def test_a_fixed_window_ends_within_the_periods(old, new, fault):
    assert refusal((old, new)) == [f"outcome.measures[1].window.{fault}"]


LATER = ("kind: sum, of: hours", "kind: sum, of: hours, window: {over: period, later_by: P1M}")
FINAL = ("count: 4, settled", "count: 4, final_settlement: {after: P1M}, settled")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            (),
            "found days up to 2026-01-31 for the period to 2025-12-31, settled on 2026-01-12, "
            "expected a later settlement, such as periods.final_settlement [window_order]",
        ),
        (
            (FINAL, ("negative: paid_back", "negative: paid_back\n    later_data: ignored")),
            "found days up to 2025-04-30 for the period to 2025-03-31, settled on 2025-04-10, "
            "expected a later settlement, such as periods.final_settlement "
            "with payment.later_data: supersedes [window_order]",
        ),
    ],
)
def test_what_is_observed_later_needs_a_later_settlement(changes, fault):
    assert refusal(LATER, *changes) == [f"outcome.measures[2].window.later_by: {fault}"]


@pytest.mark.parametrize(
    "changes",
    [
        (FINAL,),
        (("after: P10D", "after: P31D"), ("paid_back", "paid_back\n    later_data: ignored")),
    ],
)
def test_what_is_observed_later_is_known_at_a_later_settlement(changes):
    assert read(changed(LATER, *changes))


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("from_day: opened_on", "from_day: 30", "measures[6].from_day"),
        ("kind: event_day, of: closed", "kind: day_after, of: 30, after: P1M", "measures[5].of"),
        ("event: handover", "event: handover, not_before: 30", "gates[1].not_before"),
        (
            "after: handover",
            "after: handover, not_before: 30",
            "retentions[0].states[0].not_before",
        ),
    ],
)
def test_a_number_is_no_day(old, new, path):
    assert (
        f"outcome.{path}: found 30, a number, expected a day, such as a parameter with day "
        "[invalid_value]"
    ) in refusal((old, new))


def test_a_formula_of_agreed_numbers_has_a_value():
    assert refusal(
        ("amount: open", "amount: open / 2 + 1 / (goal - 100)"),
        ("factor: 50%", "not_before: season / (100 - goal), factor: 50%"),
    ) == [
        "outcome.retentions[0].states[0].not_before: found 0 for the divisor (100 - goal), "
        "as goal = 100, expected another number [no_value]"
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "kind: across_subjects, take: sum",
            "kind: across_subjects, take: percentile",
            "outcome.measures[3].percentile: found nothing, expected the required key percentile "
            "[required_field]",
        ),
        (
            "kind: across_subjects, take: sum",
            "kind: across_subjects, take: percentile, percentile: 90",
            "outcome.measures[3].percentile: found 90, expected a share, such as 90% [invalid_value]",
        ),
        (
            "kind: across_subjects, take: sum",
            "kind: across_subjects, take: sum, percentile: 90%",
            "outcome.measures[3].percentile: found a percentile of a sum, expected take: percentile "
            "[no_effect]",
        ),
        (
            "of: score, initial: 0",
            "of: score, periods: 0",
            "outcome.totals[1].periods: found 0, expected 1 or more [invalid_value]",
        ),
        (
            "kind: ratchet, of: goal, better: higher",
            "kind: previous_year, of: goal, years: 0",
            "outcome.baselines[0].years: found 0, expected 1 or more [invalid_value]",
        ),
        (
            "kind: amount, amount: fee * score",
            "kind: units, quantity: fee * score, unit_size: goal - 100, counted: pro_rata, rate: 1",
            "outcome.lines[0].unit_size: found goal - 100, expected more than 0 [invalid_value]",
        ),
    ],
)
def test_numbers_make_sense(old, new, fault):
    assert refusal((old, new)) == [fault]


def test_an_excluded_reading_counts_as_a_number():
    told = refusal(("exclusions: [outage]", "exclusions: [outage], excluded_as: goal"))
    assert told == ["outcome.inputs[1].excluded_as: found goal, expected a number [invalid_value]"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("every: P3M", "every: P999Y", "periods.every: found P11988M, expected at most P100Y"),
        (
            "after: P10D",
            "after: P101Y",
            "periods.settled.after: found P1212M, expected at most P100Y",
        ),
        (
            "every: P3M, count: 4",
            "every: P1Y, count: 101",
            "periods.count: found 101 periods of P12M, expected at most 100 years in all",
        ),
        (
            "after: P10D",
            "working_days: 999999999",
            "periods.settled.working_days: found 999999999, expected at most 366",
        ),
        (
            "kind: ratchet, of: goal, better: higher",
            "kind: best_previous, of: goal, better: higher, years: 999999999",
            "baselines[0].years: found 999999999, expected at most 100",
        ),
    ],
)
def test_nothing_reaches_beyond_a_century(old, new, fault):
    assert f"outcome.{fault} [invalid_value]" in refusal((old, new))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "passes: {at_least: 10%}",
            "passes: {at_least: goal, less_than: 100}",
            "outcome.gates[0].passes: found at_least goal and less_than 100, which no number meets, "
            "expected a lower limit below the upper one [unreachable]",
        ),
        (
            "minimum: {at_least: 10}",
            "minimum: {more_than: 5, at_most: 3}",
            "outcome.payment.minimum: found more_than 5 and at_most 3, which no number meets, "
            "expected a lower limit below the upper one [unreachable]",
        ),
        (
            "{at_least: 90, gives: 100%}, {at_least: 80, gives: 50%}",
            "{at_least: 80, gives: 50%}, {at_least: 90, gives: 100%}",
            "outcome.scores[0].scoring.steps[1]: found at_least 90 after at_least 80, "
            "expected a step that is the first to hold for some number [unreachable]",
        ),
        (
            "{at_least: 90, gives: 100%}, {at_least: 80, gives: 50%}",
            "{less_than: 90, gives: 0}, {more_than: goal, gives: 1}, {at_most: goal, gives: 2},"
            " {at_least: 0, gives: 3}",
            "outcome.scores[0].scoring.steps[3]: found at_least 0 after less_than 90, more_than goal, "
            "at_most goal, expected a step that is the first to hold for some number [unreachable]",
        ),
    ],
)
def test_a_condition_can_be_met(old, new, fault):
    assert refusal((old, new)) == [fault]


@pytest.mark.parametrize(
    "steps",
    [
        "{more_than: 90, gives: 1}, {at_least: 90, gives: 2}",  # 90 itself is left
        "{at_least: easiest, gives: 1}, {at_least: 90, gives: 2}",  # easiest is not agreed
        "{at_least: 10, at_most: 20, gives: 1}, {at_least: 5, at_most: 30, gives: 2}",
    ],
)
def test_a_step_of_which_something_is_left_is_reached(steps):
    assert read(changed(("{at_least: 90, gives: 100%}, {at_least: 80, gives: 50%}", steps)))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "{at: 0, gives: 0}",
            "{at: 100, gives: 0}",
            "outcome.scores[1].scoring.knots[1].at: found goal after 100, expected more than 100 "
            "[value_order]",
        ),
        (
            "{kind: curve, knots: [{at: 0, gives: 0}, {at: goal, gives: 100%}]}",
            "{kind: table, rows: [{at: 9, gives: 0}, {at: 3, gives: 1}], between: row_below, before: 0}",
            "outcome.scores[1].scoring.rows[1].at: found 3 after 9, expected more than 9 [value_order]",
        ),
        (
            "{up_to: 10, rate: 5}",
            "{up_to: 110, rate: 5}",
            "outcome.lines[1].bands[1].up_to: found goal after 110, expected more than 110 [value_order]",
        ),
        (
            "scope: to_date, at_most: 30000",
            "scope: to_date, at_most: 30000, at_least: 31000",
            "outcome.caps[0].at_most: found 30000, below at_least 31000, expected 31000 or more "
            "[value_order]",
        ),
        (
            "gates: [good]}",
            "gates: [good], floor: goal, cap: 99}",
            "outcome.lines[0].cap: found 99, below floor goal, expected goal or more [value_order]",
        ),
        (
            "baseline: 0, target: easiest",
            "baseline: 100, target: goal",
            "outcome.scores[2].target: found goal, which is also the baseline, "
            "expected a target that is not the baseline [direction]",
        ),
    ],
)
def test_limits_are_in_order(old, new, fault):
    assert refusal((old, new)) == [fault]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            (
                ("weight: heavy", "weight: 33.33%"),
                ("weight: 30%", "weight: 33.33%"),
                ("weight: 10%", "weight: 33.33%"),
            ),
            "99.99% for the weights",
        ),
        (
            (
                (
                    "{id: heavy, value: 60%}",
                    "{id: heavy, value: 60%, changes: "
                    "[{clause: '9', effective_on: 2025-04-01, add: 5%}]}",
                ),
            ),
            "105% for the weights on 2025-06-30",
        ),
    ],
)
def test_agreed_weights_are_exactly_the_whole(changes, found):
    assert refusal(*changes) == [
        f"outcome.totals[0].of[2].weight: found {found}, expected 100% [sum_mismatch]"
    ]


def test_weights_that_are_measured_are_not_added_up():
    assert read(changed(("weight: heavy", "weight: rate")))


@pytest.mark.parametrize(
    ("old", "new", "path", "most"),
    [
        (
            "rounding: {decimals: 2",
            "rounding: {decimals: 3",
            "rounding.decimals",
            "2, the decimals of EUR",
        ),
        (
            "round: {decimals: 2",
            "round: {decimals: 3",
            "retentions[0].round.decimals",
            "2, the decimals of EUR",
        ),
    ],
)
def test_what_is_paid_has_the_decimals_of_the_currency(old, new, path, most):
    assert refusal((old, new)) == [f"outcome.{path}: found 3, expected at most {most} [scale]"]


def test_a_single_line_may_be_rounded_finer():
    assert read(changed(("gates: [good]}", "gates: [good], round: {decimals: 4, mode: floor}}")))


@pytest.mark.parametrize(
    ("changes", "path", "name"),
    [
        (
            (("minimum: {at_least: 10}", "minimum: {at_least: by_site}"),),
            "payment.minimum.at_least",
            "by_site",
        ),
        ((("at_most: 30000", "at_most: by_site * 9"),), "caps[0].at_most", "by_site"),
        ((("40000 - earned", "earned / by_site"),), "statement[0].formula", "by_site"),
    ],
)
def test_money_is_one_number_for_all_subjects(changes, path, name):
    assert refusal(*changes) == [
        f"outcome.{path}: found {name!r}, which has a value for each subject, "
        "expected a value of all subjects, such as one of kind across_subjects [per_subject]"
    ]


SOLVED = "{id: solved, indicator: first-contact-resolution}"
OPEN = "{id: days_open}"


def test_an_indicator_is_one_of_the_catalogue():
    assert refusal((OPEN, "{id: days_open, indicator: cost-per-contct}")) == [
        "outcome.inputs[2].indicator: found 'cost-per-contct', "
        "expected an indicator of the catalogue (did you mean cost-per-contact?) [unknown_indicator]"
    ]


def test_a_vanity_metric_decides_nothing_ind_06():
    vanity = (OPEN, "{id: days_open, indicator: download-count}")
    assert refusal(vanity) == [
        "outcome.inputs[2].indicator: found the vanity metric 'download-count', on which quick depends, "
        "expected a measure of value instead, self-service-containment-rate [IND-06]"
    ]
    guarded = ("of: score, passes", "of: speed, passes")
    unscored = ("of: speed\n", "of: rate\n")
    (told,) = refusal(vanity, guarded, unscored)
    assert "on which good depends" in told


def test_a_vanity_metric_may_be_shown_ind_06():
    shown = (OPEN, "{id: days_open, indicator: download-count}")
    unscored = ("of: speed\n", "of: rate\n")
    assert read(changed(shown, unscored))


GUARDRAIL = "kind: guardrail, of: speed, passes: {at_least: 0}, on: exact, missing: fails}"
GUARDED = (
    ("    - {id: handed_over", f"    - {{id: guard, {GUARDRAIL}\n    - {{id: handed_over"),
    ("gates: [good]", "gates: [good, guard]"),
    ("of: speed\n", "of: rate\n"),
)
"""The bonus is stopped by `speed`, and paid for other things."""


def test_only_an_indicator_that_may_settle_carries_money_ind_01():
    trend = (OPEN, "{id: days_open, indicator: lines-per-key-account}")
    assert refusal(trend) == [
        "outcome.inputs[2].indicator: found 'lines-per-key-account', whose role is trend, for bonus, "
        "expected an indicator of role settlement [IND-01]"
    ]
    assert read(changed(trend, *GUARDED))


def test_value_is_paid_once_inv_15():
    twin = (OPEN, "{id: days_open, indicator: cost-per-contact}")
    assert refusal(twin) == [
        "outcome.inputs[2].indicator: found 'cost-per-contact' beside 'first-contact-resolution', "
        "both of group contact-cost, expected one indicator of that group [INV-15]"
    ]
    assert read(changed(twin, *GUARDED))


def test_a_cost_centre_is_not_paid_for_margins_fnd_04():
    margin = (OPEN, "{id: days_open, indicator: win-rate-count}")
    centre = ("calendar:", "value_position: cost_centre\ncalendar:")
    assert refusal(margin, centre) == [
        "outcome.inputs[2].indicator: found 'win-rate-count', a gain of margin, for bonus, "
        "expected an indicator of cost, as value_position is cost_centre [FND-04]"
    ]
    assert read(changed(margin))
    assert read(changed(margin, ("calendar:", "value_position: profit_centre\ncalendar:")))
    assert read(changed(margin, centre, *GUARDED))


BY_SITE = "of: hours, each: subject}"
TO_DATE = "of: hours, each: subject, window: {over: to_date}}"


def test_a_total_to_date_is_not_earned_anew_in_each_period():
    assert refusal((BY_SITE, TO_DATE)) == [
        "outcome.lines[1].basis: found each_period of 'by_site', a total over days of earlier periods, "
        "expected to_date, or a difference to a previous value [counted_again]"
    ]


@pytest.mark.parametrize(
    "change",
    [
        ("id: work\n", "id: work\n      basis: to_date\n"),
        ("id: work\n", "id: work\n      due: last_period\n"),
        ("      of: sites\n      better", "      of: sites - last_sites\n      better"),
    ],
    ids=["to date", "due once", "a difference"],
)
def test_a_total_to_date_may_be_an_entitlement_or_a_difference(change):
    last = "    - {id: last_sites, kind: previous, of: sites, initial: 0}\n    - {id: opened_on,"
    assert read(changed((BY_SITE, TO_DATE), change, ("    - {id: opened_on,", last)))
