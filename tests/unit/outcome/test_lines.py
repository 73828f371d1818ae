"""What is paid and deducted: amounts, units, bands, rate cards, instalments, and where it is rounded."""

from fractions import Fraction

import pytest

from tests.unit.outcome.conftest import (
    Series,
    contract,
    exact,
    payments,
    settled,
    value,
    values,
)

ONE = """
    periods: {{every: P1M, count: {count}}}
    inputs: [{{id: n}}, {{id: base}}]
    parameters: [{{id: half, value: 50%}}]
    measures:
      - {{id: x, kind: latest, of: n}}
      - {{id: y, kind: latest, of: base}}
    lines: [{{id: fee, clause: "1", {line}}}]
    """


def one(line: str, n: Series, base: Series = (), count: int | None = None) -> list[Fraction]:
    """The payments of a contract with this line alone, which may use x and y."""
    return payments(settled(ONE.format(line=line, count=count or len(n)), n=n, base=base))


# Amounts


def test_an_amount_is_earned_anew_in_each_period_or_is_the_entitlement_to_date():
    assert one("kind: amount, amount: 100 * x", [1, 3, 2]) == exact("100 300 200")
    to_date = "kind: amount, amount: 100 * x, basis: to_date"
    assert one(to_date, [1, 3, 2]) == exact("100 200 -100")


def test_a_line_pays_or_deducts():
    assert one("kind: amount, amount: x, effect: deducts", [7]) == exact("-7")
    assert one("kind: amount, amount: -x", [7]) == exact("-7")
    assert one("kind: amount, amount: -x, effect: deducts", [7]) == exact("7")


@pytest.mark.parametrize(
    ("due", "paid"),
    [
        ("every_period", "1 2 3 4"),
        ("last_period", "0 0 0 4"),
        ("[2, 3]", "0 2 3 0"),
    ],
)
def test_a_line_is_asked_for_in_the_periods_in_which_it_is_due(due, paid):
    line = f"kind: amount, amount: x, due: {due}"
    assert one(line, [1, 2, 3, 4]) == exact(paid)


def test_an_entitlement_to_date_stands_between_the_periods_in_which_it_is_due():
    line = "kind: amount, amount: x, basis: to_date, due: [1, 3]"
    assert one(line, [10, 20, 30, 40]) == exact("10 0 20 0")


def test_a_missing_entitlement_to_date_leaves_what_was_due():
    line = "kind: amount, amount: x, basis: to_date"
    assert one(line, [10, None, 30]) == exact("10 0 20")


def test_a_missing_subject_keeps_what_was_due_to_date():
    terms = """
        periods: {every: P1M, count: 3}
        inputs: [{id: sold}]
        measures: [{id: sales, kind: latest, of: sold, each: subject}]
        lines: [{id: fee, clause: "1", kind: amount, amount: sales, basis: to_date}]
        """
    settlement = settled(terms, sold={"a": [10, None, 30], "b": [5, 7, None]})
    assert payments(settlement) == exact("15 2 20")  # 15, 10 + 7, 30 + 7


def test_a_line_has_its_own_cap_and_floor():
    line = "kind: amount, amount: 100 * x, cap: 250, floor: 50"
    assert one(line, [0, "0.5", 1, "2.5", 3]) == exact("50 50 100 250 250")
    assert one("kind: amount, amount: x, cap: y", [9, 9], [5, None]) == exact("5 0")


def test_a_cap_on_what_each_subject_is_paid():
    terms = """
        periods: {every: P1M, count: 1}
        inputs: [{id: saved}]
        measures: [{id: savings, kind: sum, of: saved, each: subject}]
        lines: [{id: fee, clause: "1", kind: amount, amount: 50% * savings, cap: 100}]
        """
    settlement = settled(terms, saved={"a": [300], "b": [80]})
    assert value(settlement, "fee") == {"a": 100, "b": 40}
    assert payments(settlement) == exact("140")


@pytest.mark.parametrize(
    ("asked", "paid"),
    # 10 % of 8, 9.96, 9.949, 10.00, 10.01: above 1 before it is rounded to cents, or after
    [("before_rounding", "0 0 0 0 1"), ("after_rounding", "0 0 0 0 0")],
)
def test_a_minimum_is_asked_before_the_line_is_rounded_or_after(asked, paid):
    terms = f"""
        periods: {{every: P1M, count: 5}}
        rounding: {{decimals: 2, mode: half_away, at: each_line}}
        inputs: [{{id: n}}]
        measures: [{{id: x, kind: latest, of: n}}]
        lines:
          - {{id: fee, clause: "1", kind: amount, amount: 10% * x,
             minimum: {{more_than: 1, asked: {asked}}}}}
        """
    assert payments(settled(terms, n=[8, "9.96", "9.949", 10, "10.01"])) == exact(paid)


@pytest.mark.parametrize(
    ("comparison", "paid"),
    [("at_least: 1", "0 1 1.01"), ("more_than: 1", "0 0 1.01")],
)
def test_a_minimum_says_whether_it_is_met_on_the_limit(comparison, paid):
    line = f"kind: amount, amount: x, minimum: {{{comparison}, asked: after_rounding}}"
    assert one(line, ["0.99", 1, "1.01"]) == exact(paid)


def test_a_minimum_that_is_missing_leaves_the_amount_missing():
    line = "kind: amount, amount: x, minimum: {at_least: y, asked: before_rounding}, if_missing: 3"
    assert one(line, [9, 9, 4], [5, None, 5]) == exact("9 0 0")


# Units


@pytest.mark.parametrize(
    ("counted", "paid"),
    [
        # 41 days of 1 % of 50 million a week
        ("started_units", "3000000 2500000 0"),
        ("full_units", "2500000 2500000 0"),
        ("pro_rata", "2928571.43 2500000 0"),
    ],
)
def test_units_are_full_started_or_pro_rata(counted, paid):
    line = f"kind: units, quantity: x, unit_size: 7, counted: {counted}, rate: 1% * 50000000"
    assert one(line, [41, 35, 0]) == exact(paid)


@pytest.mark.parametrize(
    ("counted", "paid"),
    [("started_units", "-30"), ("full_units", "-20"), ("pro_rata", "-25")],
)
def test_units_of_less_than_nothing_mirror_those_of_more(counted, paid):
    line = f"kind: units, quantity: x, counted: {counted}, rate: 10"
    assert one(line, ["-2.5"]) == exact(paid)


def test_a_unit_is_one_where_no_size_is_stated():
    assert one("kind: units, quantity: x, counted: full_units, rate: 10", ["2.9"]) == exact("20")


def test_units_wait_for_what_is_missing():
    line = "kind: units, quantity: x, counted: pro_rata, rate: y"
    assert one(line, [2, 2, None], [5, None, 5]) == exact("10 0 0")


# Bands

TAPER = """kind: bands, of: x, better: higher, applied: {applied}, on_a_limit: {on_a_limit},
    bands: [{{up_to: 100, rate: 50%}}, {{up_to: 200, rate: 30%}}, {{rate: 10%}}]"""


def test_each_band_pays_its_piece_of_the_way():
    for on_a_limit in ("band_below", "band_above"):
        line = TAPER.format(applied="each_band", on_a_limit=on_a_limit)
        # 50; 50 + 18; 50 + 30; 50 + 30 + 10
        paid = one(line, [0, 100, 160, 200, 300])
        assert paid == exact("0 50 68 80 90")


@pytest.mark.parametrize(
    ("on_a_limit", "paid"),
    [
        ("band_below", "49.5 50 30.3 60 20.1"),
        ("band_above", "49.5 30 30.3 20 20.1"),
    ],
)
def test_the_whole_amount_has_the_rate_of_its_band_and_a_limit_its_side(on_a_limit, paid):
    line = TAPER.format(applied="whole_amount", on_a_limit=on_a_limit)
    assert one(line, [99, 100, 101, 200, 201]) == exact(paid)


SHARE = """kind: bands, of: x, against: y, better: lower, on_a_limit: band_below,
    applied: {applied}, bands: [{{up_to: 80% * y, rate: 15%}}, {{up_to: 90% * y, rate: 30%}},
    {{up_to: 110% * y, rate: 50%}}, {{rate: 20%}}]"""


def test_a_gain_is_paid_and_a_pain_is_charged_along_the_bands():
    line = SHARE.format(applied="each_band")
    paid = one(line, [750, 950, 1000, 1050, 1300], [1000] * 5)
    # 100 * 50% + 100 * 30% + 50 * 15%; 50 * 50%; 0; -50 * 50%; -(100 * 50% + 200 * 20%)
    assert paid == exact("87.5 25 0 -25 -90")


def test_a_gain_may_have_the_rate_of_its_band_on_the_whole_way():
    paid = one(SHARE.format(applied="whole_amount"), [750, 1300], [1000, 1000])
    assert paid == exact("37.5 -60")  # 250 * 15%; -300 * 20%


def test_a_target_that_moves_turns_pain_into_gain():
    line = """kind: bands, of: x, against: y, better: lower, on_a_limit: band_below,
        basis: to_date, applied: each_band, bands: [{up_to: 97.5% * y, rate: 0},
        {up_to: 102.5% * y, rate: 50%}, {rate: 1}]"""
    # of 1,000,000: -(25,000 * 50% + 15,000); of 1,080,000: 27,000 * 50% (97.5% is 1,053,000)
    assert one(line, [1040000] * 2, [1000000, 1080000]) == exact("-27500 41000")


def test_bands_wait_for_a_limit_a_rate_or_a_value_that_is_missing():
    line = """kind: bands, of: x, better: higher, applied: each_band, on_a_limit: band_below,
        bands: [{up_to: y, rate: 1}, {rate: 2}]"""
    assert one(line, [5, 5, None], [3, None, 3]) == exact("7 0 0")  # 3 + 2 * 2


@pytest.mark.parametrize(
    "bands", ["[{up_to: 5, rate: 1}]", "[{rate: 1}, {rate: 2}]", "[{rate: 1}, {up_to: 5, rate: 2}]"]
)
def test_the_last_band_and_only_the_last_is_open(bands):
    line = f"kind: bands, of: x, better: higher, applied: each_band, on_a_limit: band_below, bands: {bands}"
    with pytest.raises(Exception, match="up_to in every band but the last"):
        one(line, [1])


# Rate cards


def test_a_rate_card_prices_each_thing_up_to_its_most():
    line = """kind: rate_card, items: [
        {id: audit, rate: 120.50, quantity: x},
        {id: training, rate: 80, quantity: y, at_most: 10}]"""
    # 2 * 120.5 + 80 * 3; 2 * 120.5 + 80 * 10
    assert one(line, [2, 2, 2], [3, 12, None]) == exact("481 1041 0")


# Instalments

MONTHLY = "kind: instalments, of: {of}, count: {count}, remainder: {remainder}, round: {round}"
CENTS = "{decimals: 2, mode: half_away}"


@pytest.mark.parametrize(
    ("remainder", "first", "last"),
    # 11 * 41,666.67 is 458,333.37
    [("last", "41666.67", "41666.63"), ("first", "41666.63", "41666.67")],
)
def test_one_instalment_takes_the_remainder(remainder, first, last):
    line = MONTHLY.format(of=500000, count=12, remainder=remainder, round=CENTS)
    paid = one(line, [1] * 14)
    assert paid == exact(" ".join([first, *["41666.67"] * 10, last, "0 0"]))
    assert sum(paid) == 500000


@pytest.mark.parametrize(
    ("mode", "paid"), [("floor", "33.33 33.33 33.34"), ("ceiling", "33.34 33.34 33.32")]
)
def test_instalments_are_rounded_alike(mode, paid):
    line = MONTHLY.format(of=100, count=3, remainder="last", round=f"{{decimals: 2, mode: {mode}}}")
    assert one(line, [1] * 3) == exact(paid)


@pytest.mark.parametrize(
    ("remainder", "paid"),
    # 33.33 twice, then (200 - 66.66) / 4 = 33.335 is 33.34 three times, and the rest is 33.32
    [
        ("last", "33.33 33.33 33.34 33.34 33.34 33.32"),
        ("first", "33.33 33.33 33.32 33.34 33.34 33.34"),
    ],
)
def test_what_is_left_is_spread_anew_when_the_amount_changes(remainder, paid):
    terms = f"""
        periods: {{every: P1M, count: 6}}
        parameters:
          - id: price
            value: 199.98
            changes: [{{clause: "A1", effective_on: 2025-03-01, add: 0.02}}]
        lines:
          - {{id: fee, clause: "1", kind: instalments, of: price, count: 6,
             remainder: {remainder}, round: {CENTS}}}
        """
    assert payments(settled(terms)) == exact(paid)


def test_instalments_grow_from_the_day_of_a_change_on():
    terms = f"""
        periods: {{every: P1M, count: 4}}
        parameters:
          - {{id: price, value: 1200, changes: [
               {{clause: "A1", effective_on: 2025-02-15, value: 1500}},
               {{clause: "A2", effective_on: 2025-04-01, add: -300}}]}}
        lines:
          - {{id: fee, clause: "1", kind: instalments, of: price, count: 4, remainder: last,
             round: {CENTS}}}
        """
    # 1200 / 4; (1500 - 300) / 3 = 400 twice; 1200 - 1100
    assert payments(settled(terms)) == exact("300 400 400 100")


def test_an_advance_is_set_off_from_the_period_of_its_recovery():
    terms = f"""
        periods: {{every: P1M, count: 5}}
        inputs: [{{id: achieved}}]
        measures: [{{id: achievement, kind: sum, of: achieved}}]
        lines:
          - {{id: advance, clause: "1", kind: instalments, of: 60% * 100000, count: 4,
             remainder: last, round: {CENTS}, recovered_in: 5}}
          - {{id: final, clause: "2", kind: amount, amount: achievement, due: last_period}}
        """
    over = settled(terms, achieved=[None, None, None, None, 110000])
    assert payments(over) == exact("15000 15000 15000 15000 50000")
    under = settled(terms, achieved=[None, None, None, None, 55000])
    assert payments(under) == exact("15000 15000 15000 15000 -5000")


# Rounding


def test_money_is_rounded_on_each_line_or_once_on_the_sum():
    terms = """
        periods: {{every: P1M, count: 2}}
        rounding: {{decimals: 2, mode: half_away, at: {at}}}
        lines:
          - {{id: a, clause: "1", kind: amount, amount: 0.005}}
          - {{id: b, clause: "2", kind: amount, amount: 0.005}}
          - {{id: c, clause: "3", kind: amount, amount: 0.004}}
        """
    assert payments(settled(terms.format(at="each_line"))) == exact("0.02 0.02")
    # 0.014 to date, then 0.028
    assert payments(settled(terms.format(at="sum"))) == exact("0.01 0.02")


def test_a_line_may_be_rounded_in_its_own_way_or_only_where_it_is_shown():
    terms = """
        periods: {every: P1M, count: 1}
        rounding: {decimals: 2, mode: half_away, at: each_line}
        lines:
          - {id: whole, clause: "1", kind: amount, amount: 12.5, round: {decimals: 0, mode: half_even}}
          - {id: shown, clause: "2", kind: amount, amount: 1 / 3,
             round: {decimals: 1, mode: floor, result: shown}}
        """
    settlement = settled(terms)
    assert value(settlement, "whole") == 12
    assert value(settlement, "shown") == Fraction(1, 3)
    assert settlement.shown(1, "shown") == Fraction("0.3")
    assert payments(settlement) == exact("12.33")


@pytest.mark.parametrize(
    ("mode", "rounded"),
    [
        ("half_away", "3 2 -3 -2"),
        ("half_even", "2 2 -2 -2"),
        ("half_down", "2 2 -2 -2"),
        ("away", "3 3 -3 -3"),
        ("towards_zero", "2 2 -2 -2"),
        ("ceiling", "3 3 -2 -2"),
        ("floor", "2 2 -3 -3"),
    ],
)
def test_every_mode_of_rounding(mode, rounded):
    # 2.5 lies half-way, 2.4 does not
    found = []
    for amount in ("2.5", "2.4", "-2.5", "-2.4"):
        terms = f"""
            periods: {{every: P1M, count: 1}}
            rounding: {{decimals: 0, mode: {mode}, at: sum}}
            lines: [{{id: fee, clause: "1", kind: amount, amount: {amount}}}]
            """
        found += payments(settled(terms))
    assert found == exact(rounded)


def test_three_and_a_half_is_even_up():
    terms = """
        periods: {every: P1M, count: 1}
        rounding: {decimals: 0, mode: half_even, at: sum}
        lines: [{id: fee, clause: "1", kind: amount, amount: 3.5}]
        """
    assert payments(settled(terms)) == exact("4")


def test_an_average_price_may_be_rounded_before_it_is_multiplied():
    terms = """
        periods: {{every: P1M, count: 1}}
        inputs: [{{id: cost}}, {{id: pieces}}]
        measures:
          - {{id: price, kind: ratio, numerator: cost, denominator: pieces, taken: pooled{round}}}
        lines: [{{id: fee, clause: "1", kind: amount, amount: 3000 * price}}]
        """
    rounded = terms.format(round=", round: {decimals: 2, mode: half_away}")
    assert payments(settled(rounded, cost=[1], pieces=[3])) == exact("990")
    assert payments(settled(terms.format(round=""), cost=[1], pieces=[3])) == exact("1000")


def test_a_currency_without_decimals_is_paid_in_whole_units():
    yen = contract(
        """
        periods: {every: P1M, count: 2}
        rounding: {decimals: 0, mode: half_away, at: sum}
        lines: [{id: fee, clause: "1", kind: amount, amount: 1000.5}]
        """,
        currency="JPY",
    )
    assert payments(settled(yen)) == exact("1001 1000")  # 2001 to date


def test_a_bonus_and_a_malus_stand_beside_the_fee():
    terms = """
        periods: {every: P1M, count: 2}
        inputs: [{id: rate}]
        measures: [{id: reached, kind: latest, of: rate}]
        lines:
          - {id: fee, clause: "1", kind: amount, amount: 1000}
          - {id: bonus, clause: "2", kind: amount, amount: "max(0, reached - 95) * 10"}
          - {id: malus, clause: "3", effect: deducts, kind: amount,
             amount: "max(0, 95 - reached) * 20"}
        """
    settlement = settled(terms, rate=[98, 90])
    assert payments(settlement) == exact("1030 900")
    assert values(settlement, "malus") == exact("0 100")


def test_a_change_after_the_last_instalment_is_due_at_once():
    terms = f"""
        periods: {{every: P1M, count: 5}}
        parameters:
          - {{id: price, value: 300, changes: [
               {{clause: "A1", effective_on: 2025-04-01, value: 400}}]}}
        lines:
          - {{id: fee, clause: "1", kind: instalments, of: price, count: 3, remainder: last,
             round: {CENTS}}}
        """
    assert payments(settled(terms)) == exact("100 100 100 100 0")
