"""What becomes of the lines: caps by scope, retention, what was paid, set-off, minimum, payers."""

from fractions import Fraction

import pytest

from contracts.outcome.readings import Paid, Readings
from tests.unit.outcome.conftest import (
    Series,
    event,
    exact,
    known,
    payments,
    reading,
    settled,
    values,
)

TWO = """
    periods: {{every: P1M, count: {count}}}
    rounding: {{decimals: 2, mode: half_away, at: {at}}}
    inputs: [{{id: n}}, {{id: m}}]
    measures: [{{id: x, kind: latest, of: n}}, {{id: y, kind: latest, of: m}}]
    lines:
      - {{id: a, clause: "1", kind: amount, amount: x{effect}}}
      - {{id: b, clause: "2", kind: amount, amount: y{effect}}}
    caps:
      - {caps}
    """


def capped(
    caps: str, n: Series, m: Series | None = None, effect: str = "", at: str = "sum"
) -> list[Fraction]:
    """The payments of two lines, x and y, under some caps."""
    count = len(n)
    terms = TWO.format(
        caps="\n      - ".join(caps.splitlines()),
        count=count,
        effect=f", effect: {effect}" if effect else "",
        at=at,
    )
    return payments(settled(terms, n=n, m=m if m is not None else [0] * count))


# Caps


def test_a_cap_limits_each_period_or_the_amount_to_date():
    each = '{id: cap, clause: "3", of: [a, b], scope: each_period, at_most: 100}'
    assert capped(each, [60, 80, 120], [0, 30, 0]) == exact("60 100 100")
    to_date = '{id: cap, clause: "3", of: [a, b], scope: to_date, at_most: 150}'
    assert capped(to_date, [60, 80, 120], [0, 30, 0]) == exact("60 90 0")


def test_a_cap_to_date_makes_room_again_when_something_is_taken_back():
    to_date = '{id: cap, clause: "3", of: [a, b], scope: to_date, at_most: 150}'
    # 200 to date is 150; 170 still is 150; 120
    assert capped(to_date, [200, -30, -50]) == exact("150 0 -30")


def test_a_cap_on_deductions_limits_what_is_deducted():
    each = '{id: cap, clause: "3", of: [a, b], scope: each_period, at_most: 100}'
    assert capped(each, [60, 80], [0, 30], effect="deducts") == exact("-60 -100")
    to_date = '{id: cap, clause: "3", of: [a, b], scope: to_date, at_most: 100}'
    assert capped(to_date, [60, 80], [0, 30], effect="deducts") == exact("-60 -40")


def test_a_floor_fills_up_what_is_missing_to_it():
    each = '{id: cap, clause: "3", of: [a, b], scope: each_period, at_least: 50, at_most: 80}'
    assert capped(each, [10, 60, 90]) == exact("50 60 80")
    to_date = '{id: cap, clause: "3", of: [a, b], scope: to_date, at_least: 50}'
    assert capped(to_date, [10, 20, 90]) == exact("50 0 70")  # 10, 30 and 120 to date


def test_excess_may_count_again_in_the_next_period():
    terms = '{{id: cap, clause: "3", of: [a], scope: each_period, at_most: 100, excess: {excess}}}'
    given: Series = [160, 70, 60, 0]
    assert capped(terms.format(excess="lapses"), given) == exact("100 70 60 0")
    # 60 over; 70 + 60 is 30 over; 60 + 30
    assert capped(terms.format(excess="carried_forward"), given) == exact("100 100 90 0")


def test_unused_room_may_be_used_in_the_next_period():
    terms = '{{id: cap, clause: "3", of: [a], scope: each_period, at_most: 100, unused: {unused}}}'
    given: Series = [40, 130, 150, 90]
    assert capped(terms.format(unused="lapses"), given) == exact("40 100 100 90")
    # 60 left; 130 of 160 leaves 30; 150 is more than 130
    assert capped(terms.format(unused="carried_forward"), given) == exact("40 130 130 90")


def test_a_carry_in_a_limit_to_date_is_refused():
    cap = '{id: cap, clause: "3", of: [a], scope: to_date, at_most: 1, unused: carried_forward}'
    with pytest.raises(Exception, match="found a carry in a limit to date"):
        capped(cap, [1])


def test_a_cap_has_at_least_one_limit():
    with pytest.raises(Exception, match="found neither limit"):
        capped('{id: cap, clause: "3", of: [a], scope: to_date}', [1])


def test_caps_are_nested_from_the_narrowest_to_the_widest():
    line = '{id: measure, clause: "3", of: [a], scope: each_period, at_most: 100}'
    pool = '{id: contract, clause: "4", of: [measure, b], scope: to_date, at_most: 250}'
    # 100 + 20; 100 + 30 is 250 to date; nothing is left
    assert capped(f"{line}\n{pool}", [150, 150, 150], [20, 30, 40]) == exact("120 130 0")


def test_the_order_of_two_scopes_changes_the_amount():
    month = '{id: month, clause: "3", of: [a], scope: each_period, at_most: 100}'
    month_first = f'{month}\n{{id: all, clause: "4", of: [month], scope: to_date, at_most: 150}}'
    assert capped(month_first, [200, 20, 80]) == exact("100 20 30")
    alone = '{id: all, clause: "4", of: [a], scope: to_date, at_most: 150}'
    assert capped(alone, [200, 20, 80]) == exact("150 0 0")


def test_the_limit_of_a_cap_is_a_formula_of_the_period():
    share = '{id: cap, clause: "3", of: [a], scope: each_period, at_most: 10% * y}'
    terms = TWO.format(caps=share, count=3, effect=", effect: deducts", at="sum")
    # At most 10 % of what is invoiced; without an invoice nothing can be decided.
    settlement = settled(terms, n=[50, 50, 50], m=[1000, 300, None])
    assert values(settlement, "cap") == exact("50 30 -")
    assert payments(settlement) == exact("-1050 -330 0")
    assert settlement.periods[2].waiting == {"b": "a value of y", "cap": "a value of y"}


def test_a_missing_limit_keeps_what_is_carried():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: n}, {id: m}]
        measures: [{id: x, kind: latest, of: n}, {id: y, kind: latest, of: m}]
        lines: [{id: a, clause: "1", kind: amount, amount: x}]
        caps:
          - {id: cap, clause: "3", of: [a], scope: each_period, at_most: y,
             excess: carried_forward}
        """
    # 60 over in January wait over February
    settlement = settled(terms, n=[160, 0, 30], m=[100, None, 100])
    assert payments(settlement) == exact("100 0 90")


def test_a_cap_rounds_nothing_where_the_contract_rounds_the_sum():
    caps = """{id: one, clause: "3", of: [a], scope: each_period, at_most: 1 / 3}
{id: two, clause: "4", of: [b], scope: each_period, at_most: 1 / 3}"""
    # 2/3, 4/3, 6/3 to date
    assert capped(caps, [1, 1, 1], [1, 1, 1]) == exact("0.67 0.66 0.67")
    assert capped(caps, [1, 1, 1], [1, 1, 1], at="each_line") == exact("0.66 0.66 0.66")


# Retention

RETENTION = """
    periods: {every: P1M, count: 6}
    rounding: {decimals: 2, mode: half_away, at: sum}
    inputs: [{id: done}]
    events: [{id: completed}, {id: defects_certificate}]
    measures: [{id: work, kind: latest, of: done}]
    lines: [{id: price, clause: "1", kind: amount, amount: work, basis: to_date}]
    retentions:
      - id: kept
        clause: "X16"
        rate: 5%
        free_amount: 100000
        states:
          - {after: completed, factor: 50%}
          - {after: defects_certificate, factor: 0%}
        round: {decimals: 2, mode: half_away}
    """
WORK: Series = [60000, 400000, 1000000, 1000000, 1040000, 1040000]


def test_retention_is_a_function_of_the_amount_to_date_and_of_the_state():
    readings = known(
        events=[event("completed", "2025-04-10"), event("defects_certificate", "2025-06-20")],
        done=WORK,
    )
    settlement = settled(RETENTION, readings)
    # 5% beyond 100,000; half of it after completion, for new work too; nothing in the end
    assert values(settlement, "kept") == exact("0 15000 45000 22500 23500 0")
    assert payments(settlement) == exact("60000 325000 570000 22500 39000 23500")


def test_a_state_needs_its_event_and_its_earliest_date():
    terms = """
        periods: {every: P1M, count: 4}
        parameters: [{id: earliest, day: 2025-03-31}]
        events: [{id: made_good}]
        lines: [{id: price, clause: "1", kind: amount, amount: 1000, basis: to_date}]
        retentions:
          - {id: kept, clause: "2", rate: 3%, round: {decimals: 2, mode: half_away},
             states: [{after: made_good, not_before: earliest, factor: 0%}]}
        """
    early = known(events=[event("made_good", "2025-01-15")])
    assert values(settled(terms, early), "kept") == exact("30 30 0 0")
    late = known(events=[event("made_good", "2025-04-01")])
    assert values(settled(terms, late), "kept") == exact("30 30 30 0")
    assert values(settled(terms, known()), "kept") == exact("30 30 30 30")


def test_a_limit_stops_the_retention():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: done}]
        measures: [{id: work, kind: latest, of: done}]
        lines: [{id: price, clause: "1", kind: amount, amount: work, basis: to_date}]
        retentions:
          - {id: kept, clause: "2", rate: 5%, limit: 3% * 2000000,
             round: {decimals: 0, mode: floor}}
        """
    settlement = settled(terms, done=[1000000, 1199999, 1500000])
    assert values(settlement, "kept") == exact("50000 59999 60000")


def test_a_retention_may_be_kept_of_some_lines_only():
    terms = """
        periods: {every: P1M, count: 1}
        lines:
          - {id: work, clause: "1", kind: amount, amount: 1000}
          - {id: travel, clause: "2", kind: amount, amount: 200}
        retentions:
          - {id: kept, clause: "3", of: [work], rate: 10%, round: {decimals: 2, mode: half_away}}
          - {id: tax, clause: "4", rate: 1%, round: {decimals: 2, mode: half_away}}
        """
    settlement = settled(terms)
    assert values(settlement, "retained") == exact("112")  # 100 + 12
    assert payments(settlement) == exact("1088")


def test_nothing_is_retained_of_less_than_nothing():
    terms = """
        periods: {every: P1M, count: 1}
        lines: [{id: work, clause: "1", kind: amount, amount: -1000}]
        retentions:
          - {id: kept, clause: "3", rate: 10%, round: {decimals: 2, mode: half_away}}
        """
    assert payments(settled(terms)) == exact("-1000")


def test_a_retention_whose_rate_is_missing_stays_as_it_was():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: share}]
        measures: [{id: rate, kind: latest, of: share}]
        lines: [{id: work, clause: "1", kind: amount, amount: 1000}]
        retentions:
          - {id: kept, clause: "3", rate: rate, round: {decimals: 2, mode: half_away}}
        """
    settlement = settled(terms, share=["0.1", None, "0.1"])
    assert values(settlement, "kept") == exact("100 100 300")
    assert payments(settlement) == exact("900 1000 800")
    assert settlement.periods[1].waiting == {"kept": "a value of rate"}


def test_a_payment_of_parts_of_a_cent_comes_to_rest():
    terms = """
        periods: {every: P1M, count: 5}
        inputs: [{id: done}]
        measures: [{id: work, kind: latest, of: done}]
        lines: [{id: price, clause: "1", kind: amount, amount: work, basis: to_date}]
        retentions:
          - {id: kept, clause: "2", rate: 50%, round: {decimals: 3, mode: half_away}}
        """
    # 0.005 is earned to date, month after month: a cent, and never back and forth
    assert payments(settled(terms, done=["0.01"] * 5)) == exact("0.01 0 0 0 0")


# What was paid

PLAIN = """
    periods: {{every: P1M, count: {count}}}
    inputs: [{{id: n}}]
    measures: [{{id: x, kind: latest, of: n}}]
    lines: [{{id: fee, clause: "1", kind: amount, amount: x}}]
    payment: {{clause: "9", {payment}}}
    """


def paying(payment: str, n: Series) -> list[Fraction]:
    return payments(settled(PLAIN.format(payment=payment, count=len(n)), n=n))


def test_a_negative_payment_is_paid_back_or_set_off_and_never_refunded():
    given: Series = [100, -250, 80, 90, 50]
    assert paying("negative: paid_back", given) == exact("100 -250 80 90 50")
    # 100, -150, -70, 20, 70 to date
    assert paying("negative: set_off", given) == exact("100 0 0 0 0")
    assert paying("negative: set_off", [100, -50, 80, 10]) == exact("100 0 30 10")


@pytest.mark.parametrize(
    ("below", "paid"),
    [
        # 40; 40 + 60 is not more than 100; + 1
        ("waits", "0 0 101 0 0 130"),
        ("lapses", "0 0 0 0 0 130"),
    ],
)
def test_less_than_the_minimum_waits_or_lapses(below, paid):
    terms = f"negative: paid_back, minimum: {{more_than: 100}}, below_minimum: {below}"
    given: Series = [40, 60, 1, 0, 0, 130]
    assert paying(terms, given) == exact(paid)


def test_a_minimum_says_whether_it_is_met_on_the_limit():
    assert paying("negative: paid_back, minimum: {at_least: 100}", [100, 99]) == exact("100 0")
    assert paying("negative: paid_back, minimum: {more_than: 100}", [100, 99]) == exact("0 199")


def test_what_has_lapsed_never_comes_back():
    terms = "negative: paid_back, minimum: {at_least: 10}, below_minimum: lapses"
    settlement = settled(PLAIN.format(payment=terms, count=4), n=[9, 20, "9.99", 10])
    assert payments(settlement) == exact("0 20 0 10")
    assert [period.lapsed for period in settlement.periods] == exact("9 9 18.99 18.99")


def test_a_minimum_that_is_missing_lets_the_payment_wait():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: limit}]
        measures: [{id: least, kind: latest, of: limit}]
        lines: [{id: fee, clause: "1", kind: amount, amount: 50}]
        payment:
          {clause: "9", negative: paid_back, minimum: {at_least: least}, below_minimum: lapses}
        """
    assert payments(settled(terms, limit=[None, 10])) == exact("0 100")


def test_a_minimum_does_not_hold_back_what_is_owed_to_the_client():
    terms = "negative: paid_back, minimum: {at_least: 100}"
    assert paying(terms, [200, -5]) == exact("200 -5")


def test_payments_that_were_made_differently_are_taken_as_they_were_made():
    terms = PLAIN.format(payment="negative: paid_back", count=3)
    given = known(n=[100, 100, 100])
    paid = [
        Paid.model_validate({"on": "2025-02-10", "amount": "90"}),
        Paid.model_validate({"on": "2025-03-10", "amount": "120"}),
    ]
    readings = given.model_copy(update={"paid": tuple(paid)})
    settlement = settled(terms, readings)
    # 100; 200 - 90; 300 - 210
    assert payments(settlement) == exact("100 110 90")
    assert values(settlement, "paid") == exact("0 90 210")
    assert payments(settled(terms, given.model_copy(update={"paid": ()}))) == exact("100 200 300")


# Payers


def test_several_payers_share_each_payment_to_the_last_unit():
    terms = """negative: paid_back, payers: [
        {party: city, share: 1/3}, {party: region, share: 1/3}, {party: state, share: 1/3}]"""
    settlement = settled(PLAIN.format(payment=terms, count=3), n=[100, "0.01", "0.01"])
    parts = [
        {party: str(part) for party, part in period.by_payer.items()}
        for period in settlement.periods
    ]
    # To date 33.34 33.33 33.33; 33.34 33.34 33.33; 33.34 each
    assert parts == [
        {"city": "33.34", "region": "33.33", "state": "33.33"},
        {"city": "0.00", "region": "0.01", "state": "0.00"},
        {"city": "0.00", "region": "0.00", "state": "0.01"},
    ]


def test_a_refund_goes_back_by_the_same_parts():
    terms = """negative: paid_back, payers: [
        {party: city, share: 70%}, {party: region, share: 30%}]"""
    settlement = settled(PLAIN.format(payment=terms, count=3), n=["100.01", "-50", "-50.01"])
    parts = [[part.exact for part in p.by_payer.values()] for p in settlement.periods]
    # 70.007 is 70.01; then 35.007 is 35.01 of 50.01; then nothing is left
    assert parts == [exact("70.01 30"), exact("-35 -15"), exact("-35.01 -15")]


def test_payers_pay_the_whole():
    terms = "negative: paid_back, payers: [{party: city, share: 70%}]"
    with pytest.raises(Exception, match="found payers for 7/10 of the payment, expected 1"):
        paying(terms, [1])


def test_a_payer_without_a_share_pays_nothing():
    terms = "negative: paid_back, payers: [{party: a, share: 100%}, {party: b, share: 0%}]"
    settlement = settled(PLAIN.format(payment=terms, count=1), n=["0.01"])
    assert {k: str(v) for k, v in settlement.periods[0].by_payer.items()} == {
        "a": "0.01",
        "b": "0.00",
    }


# Corrections and late readings


def late(later_data: str, *readings: dict[str, object], count: int = 3) -> list[Fraction]:
    payment = f"negative: paid_back, later_data: {later_data}"
    return payments(settled(PLAIN.format(payment=payment, count=count), known(*readings)))


CORRECTED = (
    reading("n", "2025-01-31", 100),
    reading("n", "2025-01-31", 70, received_on="2025-02-10"),
    reading("n", "2025-02-28", 50),
    reading("n", "2025-03-31", 50),
)


def test_a_correction_supersedes_what_was_settled_or_is_ignored():
    # 70 + 50 less 100
    assert late("supersedes", *CORRECTED) == exact("100 20 50")
    assert late("ignored", *CORRECTED) == exact("100 50 50")


def test_what_is_received_late_is_paid_late_or_never():
    readings = (
        reading("n", "2025-01-31", 100, received_on="2025-03-31"),
        reading("n", "2025-02-28", 50),
        reading("n", "2025-03-31", 50),
    )
    assert late("supersedes", *readings) == exact("0 50 150")
    assert late("ignored", *readings) == exact("0 50 50")


def test_what_is_received_after_the_last_settlement_changes_nothing():
    readings = (
        reading("n", "2025-01-31", 100),
        reading("n", "2025-02-28", 50, received_on="2025-04-01"),
    )
    assert late("supersedes", *readings, count=2) == exact("100 0")


def test_a_settlement_may_wait_for_the_readings():
    terms = """
        periods: {every: P1M, count: 2, settled: {after: P15D}}
        inputs: [{id: n}]
        measures: [{id: x, kind: latest, of: n}]
        lines: [{id: fee, clause: "1", kind: amount, amount: x}]
        """
    readings = known(
        reading("n", "2025-01-31", 100, received_on="2025-02-15"),
        reading("n", "2025-02-28", 50, received_on="2025-03-16"),
    )
    assert payments(settled(terms, readings)) == exact("100 0")


def test_a_report_after_its_time_does_not_count():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: n, reported_within: P10D}]
        measures: [{id: x, kind: latest, of: n}]
        lines: [{id: fee, clause: "1", kind: amount, amount: x}]
        """

    def received(on: str) -> Readings:
        return known(
            reading("n", "2025-01-31", 100, received_on=on), reading("n", "2025-02-28", 50)
        )

    assert payments(settled(terms, received("2025-02-10"))) == exact("0 150")
    assert payments(settled(terms, received("2025-02-11"))) == exact("0 50")


def test_a_correction_reaches_the_state_of_later_periods():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: n}]
        measures:
          - {id: x, kind: latest, of: n}
          - {id: high, kind: high_water_mark, of: x, start: 100}
          - {id: before, kind: previous, of: high, initial: 100}
        lines: [{id: fee, clause: "1", kind: amount, amount: "max(0, x - before)"}]
        """
    readings = known(
        reading("n", "2025-01-31", 120),
        reading("n", "2025-02-28", 130),
        reading("n", "2025-01-31", 140, received_on="2025-03-05"),
        reading("n", "2025-03-31", 150),
    )
    # 20 and 10; with the correction 40, 0 and 10: 50 less 30
    assert payments(settled(terms, readings)) == exact("20 10 20")


def test_a_measure_to_date_sees_late_readings_though_settled_periods_are_final():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: n}]
        measures: [{id: x, kind: sum, of: n, window: {over: to_date}}]
        lines: [{id: fee, clause: "1", kind: amount, amount: x, basis: to_date}]
        payment: {clause: "9", negative: paid_back, later_data: ignored}
        """
    readings = known(
        reading("n", "2025-01-31", 100),
        reading("n", "2025-01-31", 70, received_on="2025-02-10"),
        reading("n", "2025-02-28", 50),
    )
    assert payments(settled(terms, readings)) == exact("100 20")


def test_two_reports_of_the_same_thing_on_the_same_day_are_refused_in_any_order():
    one = reading("n", "2025-01-31", 100, received_on="2025-02-01")
    other = reading("n", "2025-01-31", 90, received_on="2025-02-01")
    later = reading("n", "2025-01-31", 80, received_on="2025-02-02")
    for order in ((one, other, later), (one, later, other), (later, one, other)):
        with pytest.raises(Exception, match="found two reports of n on 2025-01-31"):
            late("supersedes", *order)
    same = reading("n", "2025-01-31", 100, received_on="2025-02-01")
    assert late("supersedes", one, same) == exact("0 100 0")


# The statement


def test_the_statement_has_figures_of_the_settlement_too():
    terms = """
        periods: {every: P1M, count: 2}
        parameters: [{id: price, value: 1000}]
        inputs: [{id: done}]
        measures: [{id: share, kind: latest, of: done}]
        lines: [{id: work, clause: "1", kind: amount, amount: price * share, basis: to_date}]
        retentions:
          - {id: kept, clause: "2", rate: 10%, round: {decimals: 2, mode: half_away}}
        statement:
          - {id: to_finish, formula: price - earned}
          - {id: done_so_far, formula: 100 * gross / price,
             round: {decimals: 1, mode: half_away, result: shown}}
          - {id: this_time, formula: payment + paid + retained}
        """
    settlement = settled(terms, done=["0.3333", "0.6785"])
    # 333.30 less 33.33; 678.50 less 67.85
    assert payments(settlement) == exact("299.97 310.68")
    assert values(settlement, "to_finish") == exact("700.03 389.35")
    assert values(settlement, "this_time") == exact("333.30 678.50")
    assert [settlement.shown(n, "done_so_far") for n in (1, 2)] == exact("33.3 67.9")


def test_a_figure_that_is_not_there_is_refused_with_the_nearest_name():
    settlement = settled("statement: [{id: to_finish, formula: 1 - earned}]")
    with pytest.raises(Exception, match=r"found 'to_finsh', .* nearest is to_finish"):
        settlement.shown(1, "to_finsh")
