"""What holds of every outcome contract, over contracts that are made up."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.outcome.outcome import OutcomeContract
from contracts.outcome.readings import Forecast, Readings
from lifecycle.forecast import outlook
from lifecycle.settlement import Settlement, Settler
from tests.unit.outcome.conftest import known, payments

property_of = settings(deadline=None, derandomize=True, max_examples=100)

Terms = dict[str, Any]

PERIODS = 4
START = date(2025, 1, 1)
INPUTS = ("p", "q")
MODES = ["half_away", "half_even", "half_down", "away", "towards_zero", "ceiling", "floor"]
DECIMALS = 2


def agreed(outcome: Mapping[str, object]) -> OutcomeContract:
    return OutcomeContract.model_validate(
        {
            "apiVersion": "tollkeeper/v1",
            "kind": "Contract",
            "id": "TEST",
            "version": 1,
            "title": {"en": "Made up"},
            "signed_on": "2025-01-01",
            "effective_on": "2025-01-01",
            "currency": "CNY",
            "timezone": "Asia/Shanghai",
            "parties": {"consultant": {"name": {"en": "A"}}, "client": {"name": {"en": "B"}}},
            "outcome": outcome,
        }
    )


def settle(contract: OutcomeContract, readings: Readings) -> Settlement:
    return Settler(contract).settle(readings)


# Made-up terms


def decimals(low: int, high: int, places: int = 2) -> st.SearchStrategy[str]:
    """Numbers as a document has them."""
    return st.integers(low * 10**places, high * 10**places).map(
        lambda n: f"{Decimal(n).scaleb(-places):f}"
    )


def ascending(draw: st.DrawFn, count: int, low: int = 0, high: int = 100) -> list[str]:
    """That many different numbers in order."""
    numbers = st.lists(st.integers(low, high), min_size=count, max_size=count, unique=True)
    return [str(n) for n in sorted(draw(numbers))]


def rising(draw: st.DrawFn, count: int) -> list[str]:
    """That many numbers in order, some of them alike."""
    shares = st.lists(st.integers(0, 40), min_size=count, max_size=count)
    return [f"{Decimal(n).scaleb(-1):f}" for n in sorted(draw(shares))]


def rounding(draw: st.DrawFn) -> Terms:
    modes = st.sampled_from(MODES)
    return {"decimals": draw(st.integers(0, 6)), "mode": draw(modes)}


def maybe(draw: st.DrawFn, name: str, value: st.SearchStrategy[Any]) -> Terms:
    return {name: draw(value)} if draw(st.booleans()) else {}


WINDOWS = st.sampled_from(
    [{"over": "period"}, {"over": "to_date"}, {"over": "rolling", "length": "P2M"}]
)


def measure(draw: st.DrawFn, name: str, before: list[str]) -> Terms:
    """A measure that is not lower where a reading is higher."""
    kinds = ["statistic", "formula", "combined", "high_water_mark", "run"]
    kind = draw(st.sampled_from(kinds if before else kinds[:1]))
    below = st.sampled_from(before or ["0"])
    terms: Terms = {"id": name, **maybe(draw, "if_missing", decimals(0, 50))}
    if draw(st.integers(0, 4)) == 0:
        terms["round"] = rounding(draw)
    match kind:
        case "statistic":
            statistics = ["sum", "mean", "median", "minimum", "maximum", "latest", "first"]
            terms |= {"kind": draw(st.sampled_from(statistics)), "window": draw(WINDOWS)}
            terms |= maybe(draw, "truncate", st.just({"at_least": "5", "at_most": "90"}))
            return {**terms, "of": draw(st.sampled_from(INPUTS))}
        case "formula":
            formula = f"{draw(decimals(0, 3))} * {draw(below)} + {draw(decimals(0, 20))}"
            return {**terms, "kind": "formula", "formula": formula}
        case "combined":
            take = draw(st.sampled_from(["sum", "mean", "median", "minimum", "maximum"]))
            missing = draw(st.sampled_from(["left_out", "missing"]))
            two = [draw(below), draw(below)]
            return {**terms, "kind": "combined", "take": take, "of": two, "missing": missing}
        case "run":
            side, limit = draw(st.sampled_from(["at_least", "more_than"])), draw(decimals(0, 60))
            counted = draw(st.sampled_from(["in_a_row", "in_all"]))
            where = {side: limit}
            return {**terms, "kind": "run", "of": draw(below), "where": where, "counted": counted}
        case _:
            return {**terms, "kind": kind, "of": draw(below)}


RISING = [
    "binary", "clamped_linear", "steps", "affine", "curve", "table", "per_unit", "logistic"
]  # fmt: skip


def scoring(draw: st.DrawFn) -> Terms:
    """A scoring that is not lower where the value is higher."""
    kind = draw(st.sampled_from(RISING))
    match kind:
        case "binary":
            return {"kind": kind, "at_target": draw(st.sampled_from(["met", "missed"]))}
        case "clamped_linear":
            return {"kind": kind, "floor": "10%", "cap": draw(st.sampled_from(["50%", "1"]))}
        case "steps":
            limits, gives = ascending(draw, 3)[::-1], rising(draw, 4)[::-1]
            sides = [draw(st.sampled_from(["at_least", "more_than"])) for _ in limits]
            steps = [
                {side: limit, "gives": given}
                for side, limit, given in zip(sides, limits, gives[:3], strict=True)
            ]
            return {"kind": kind, "steps": steps, "otherwise": gives[3]}
        case "affine":
            limits = rising(draw, 2)
            line = {"slope": draw(decimals(0, 2)), "offset": draw(decimals(-20, 20))}
            rounded = {"round": rounding(draw)} if draw(st.booleans()) else {}
            return {"kind": kind, **line, **rounded, "at_least": limits[0], "at_most": limits[1]}
        case "curve":
            at, gives = ascending(draw, 3), rising(draw, 4)
            side = draw(st.sampled_from(["before", "after"]))
            jump = {"at": at[1], "gives": gives[1], "jumps_to": gives[2], "at_the_jump": side}
            ends = {"at": at[0], "gives": gives[0]}, {"at": at[2], "gives": gives[3]}
            return {"kind": kind, "knots": [ends[0], jump, ends[1]]}
        case "table":
            gives = rising(draw, 4)
            between = draw(st.sampled_from(["row_below", "row_above", "straight_line"]))
            rows = [
                {"at": at, "gives": given}
                for at, given in zip(ascending(draw, 3), gives[1:], strict=True)
            ]
            return {"kind": kind, "rows": rows, "between": between, "before": gives[0]}
        case "per_unit":
            counted = draw(st.sampled_from(["full_units", "started_units", "pro_rata"]))
            unit = {"start": draw(decimals(0, 50)), "unit_size": draw(decimals(1, 20))}
            most = maybe(draw, "at_most", decimals(0, 5))
            given = {"gives": draw(decimals(0, 2)), "direction": "above", "counted": counted}
            return {"kind": kind, **unit, **given, **most}
        case _:
            return {"kind": kind, "midpoint": "40", "steepness": "0.1", "decimals": 6}


def line(draw: st.DrawFn, name: str, values: list[str], gates: list[str]) -> Terms:
    """A line that does not pay less where a value is higher."""
    of, kind = draw(st.sampled_from(values)), draw(st.sampled_from(["amount", "units", "bands"]))
    terms: Terms = {"id": name, "clause": name, "kind": kind}
    terms["basis"] = draw(st.sampled_from(["each_period", "to_date"]))
    terms |= maybe(draw, "cap", decimals(0, 500)) | maybe(draw, "floor", decimals(0, 40))
    terms |= maybe(draw, "if_missing", decimals(0, 20))
    if draw(st.booleans()) and gates:
        terms["gates"] = [draw(st.sampled_from(gates))]
        # What is held while a gate is closed may be more than what is due once it opens.
        if terms["basis"] == "each_period":
            terms["while_closed"] = draw(st.sampled_from(["lost", "waits"]))
    if draw(st.booleans()):
        side = draw(st.sampled_from(["at_least", "more_than"]))
        asked = draw(st.sampled_from(["before_rounding", "after_rounding"]))
        terms["minimum"] = {side: draw(decimals(0, 30)), "asked": asked}
    if draw(st.integers(0, 3)) == 0:
        terms["round"] = rounding(draw)
    match kind:
        case "amount":
            return {**terms, "amount": f"{draw(decimals(0, 10, 4))} * {of}"}
        case "units":
            counted = draw(st.sampled_from(["full_units", "started_units", "pro_rata"]))
            size, rate = draw(decimals(1, 30)), draw(decimals(0, 10, 3))
            return {**terms, "quantity": of, "unit_size": size, "counted": counted, "rate": rate}
        case _:
            whole = draw(st.booleans())
            rates = rising(draw, 3) if whole else [draw(decimals(0, 3)) for _ in range(3)]
            bands: list[Terms] = [
                {"up_to": limit, "rate": rate}
                for limit, rate in zip(ascending(draw, 2), rates[:2], strict=True)
            ]
            return {
                **terms,
                "of": of,
                "better": "higher",
                "applied": "whole_amount" if whole else "each_band",
                "on_a_limit": draw(st.sampled_from(["band_below", "band_above"])),
                "bands": [*bands, {"rate": rates[2]}],
            }


def cap(draw: st.DrawFn, name: str, of: list[str], scopes: list[str]) -> Terms:
    terms: Terms = {"id": name, "clause": name, "of": of}
    terms["scope"] = draw(st.sampled_from(scopes))
    terms["at_most"] = draw(decimals(50, 900))
    if terms["scope"] == "to_date":
        return terms | maybe(draw, "at_least", decimals(0, 50))
    carry = st.sampled_from(["lapses", "carried_forward"])
    return terms | {"excess": draw(carry), "unused": draw(carry)}


def caps(draw: st.DrawFn, lines: list[Terms]) -> list[Terms]:
    """No cap, one on the first line, or one inside another.

    A limit in each period is none on an entitlement to date: what comes earlier may lapse there,
    what comes later not. The same holds of what an inner limit lets through later. A floor in each
    period also fills up what still waits for a gate, and so is one to date.
    """
    first, others = lines[0], lines[1:]
    basis = [each["basis"] for each in lines]
    inner = cap(draw, "inner", [first["id"]], SCOPES if basis[0] == "each_period" else SCOPES[:1])
    steady = set(basis) == {"each_period"} and inner.get("unused") == "lapses"
    members = ["inner", *(each["id"] for each in others)]
    outer = cap(draw, "outer", members, SCOPES if steady else SCOPES[:1])
    chosen: list[Terms] = draw(st.sampled_from([[], [inner], [inner, outer]]))
    return chosen


SCOPES = ["to_date", "each_period"]


def retention(draw: st.DrawFn) -> Terms:
    return {
        "id": "kept",
        "clause": "R",
        "rate": draw(decimals(0, 1)),
        "free_amount": draw(decimals(0, 200)),
        **maybe(draw, "limit", decimals(0, 100)),
        "states": [{"after": "completed", "factor": "50%"}],
        "round": {"decimals": DECIMALS, "mode": draw(st.sampled_from(MODES))},
    }


@st.composite
def outcomes(draw: st.DrawFn, limited: bool = True) -> Terms:
    """Terms that are made of monotone pieces; `limited` ones may have caps, retention and set-off."""
    measures: list[Terms] = []
    for n in range(draw(st.integers(1, 4))):
        measures.append(measure(draw, f"m{n}", [each["id"] for each in measures]))
    names = [each["id"] for each in measures]
    scores = [
        {
            "id": f"s{n}",
            "clause": f"S{n}",
            "of": draw(st.sampled_from(names)),
            "baseline": "10",
            "target": draw(st.sampled_from(["30", "80"])),
            "scoring": scoring(draw),
        }
        for n in range(draw(st.integers(1, 3)))
    ]
    for score in scores:
        if score["scoring"]["kind"] not in ("binary", "clamped_linear"):
            del score["baseline"], score["target"]
    score_names = [score["id"] for score in scores]
    missing = draw(st.sampled_from(["renormalised", "zero", "missing"]))
    weighted = [{"score": name, "weight": draw(decimals(0, 3))} for name in score_names]
    total = {"id": "total", "kind": "weighted_sum", "of": weighted, "missing": missing}
    gate = {
        "id": "gate",
        "kind": draw(st.sampled_from(["threshold", "guardrail"])),
        "of": draw(st.sampled_from(names)),
        "passes": {draw(st.sampled_from(["at_least", "more_than"])): draw(decimals(0, 60))},
        "on": draw(st.sampled_from(["exact", {"decimals": 0, "mode": "half_even"}])),
        "missing": draw(st.sampled_from(["fails", "passes", "undecided"])),
        "stays_passed": draw(st.booleans()),
    }
    values = [*names, *score_names, "total"]
    lines = [line(draw, f"l{n}", values, ["gate"]) for n in range(draw(st.integers(1, 3)))]
    at = draw(st.sampled_from(["each_line", "sum"]))
    terms: Terms = {
        "periods": {"every": "P1M", "count": PERIODS, "settled": {"after": "P10D"}},
        "rounding": {"decimals": DECIMALS, "mode": draw(st.sampled_from(MODES)), "at": at},
        "inputs": [{"id": name} for name in INPUTS],
        "events": [{"id": "completed"}],
        "measures": measures,
        "scores": scores,
        "totals": [total],
        "gates": [gate],
        "lines": lines,
        "payment": {"clause": "P", "negative": "paid_back", "payers": draw(PAYERS)},
    }
    if limited:
        terms["caps"] = caps(draw, lines)
        terms["retentions"] = [retention(draw)] if draw(st.booleans()) else []
        terms["payment"]["negative"] = draw(st.sampled_from(["paid_back", "set_off"]))
    return terms


PAYERS = st.sampled_from(
    [
        [],
        [{"party": "a", "share": "1/3"}, {"party": "b", "share": "2/3"}],
        [{"party": party, "share": "1/7"} for party in "abcdefg"],
    ]
)

Values = list[str | None]
numbers = st.one_of(st.none(), decimals(0, 120))
series = st.fixed_dictionaries(
    {name: st.lists(numbers, min_size=PERIODS, max_size=PERIODS) for name in INPUTS}
)


@st.composite
def reports(draw: st.DrawFn) -> list[dict[str, object]]:
    """Readings, some of them corrected, some of them received late."""
    given: dict[object, dict[str, object]] = {}
    for _ in range(draw(st.integers(0, 12))):
        on = START + timedelta(days=draw(st.sampled_from([0, 20, 30, 31, 58, 80, 89, 119])))
        late = timedelta(days=draw(st.sampled_from([0, 5, 11, 40, 45])))
        name, verified = draw(st.sampled_from(INPUTS)), draw(st.booleans())
        given[name, on, late, verified] = {
            "input": name,
            "on": str(on),
            "received_on": str(on + late),
            "value": draw(numbers),
            "status": "verified" if verified else "declared",
        }
    return list(given.values())


COMPLETED = {"event": "completed", "on": "2025-03-15"}


# More value never pays less


@property_of
@given(outcomes(), series, st.data())
def test_more_value_never_pays_less_in_a_contract_of_monotone_pieces(outcome, low, data):
    more = {
        name: [
            None if v is None else f"{Decimal(v) + data.draw(st.integers(0, 40)):f}" for v in values
        ]
        for name, values in low.items()
    }
    settler = Settler(agreed(outcome))
    less_settled = settler.settle(known(events=[COMPLETED], **low))
    more_settled = settler.settle(known(events=[COMPLETED], **more))
    for less, greater in zip(less_settled.periods, more_settled.periods, strict=True):
        assert less.earned.minor <= greater.earned.minor
    assert less_settled.paid_in_all.minor <= more_settled.paid_in_all.minor


# Parts sum to the whole


@property_of
@given(outcomes(), reports())
def test_the_payers_pay_each_payment_and_no_more_than_their_share(outcome, given_reports):
    settlement = settle(agreed(outcome), known(*given_reports, events=[COMPLETED]))
    terms = settlement.contract.outcome.payment
    to_date: dict[str, Fraction] = {}
    in_all = Fraction(0)
    for period in settlement.periods:
        parts = period.by_payer
        in_all += period.payment.exact
        if terms.payers:
            assert sum(part.minor for part in parts.values()) == period.payment.minor
        for payer in terms.payers:
            paid = to_date.get(payer.party, Fraction(0)) + parts[payer.party].exact
            to_date[payer.party] = paid
            assert abs(paid - payer.share * in_all) < Fraction(1, 100)


@property_of
@given(outcomes(limited=False), reports())
def test_the_lines_sum_to_the_gross_amount_where_nothing_limits_them(outcome, given_reports):
    settlement = settle(agreed(outcome), known(*given_reports))
    rounds = settlement.contract.outcome.rounding
    for period in settlement.periods:
        lines = sum(period.to_date.values(), Fraction(0))
        assert period.gross.exact == rounds.apply(lines)
        assert period.earned == period.gross


@property_of
@given(outcomes(), reports())
def test_payments_sum_to_what_is_earned_to_date(outcome, given_reports):
    settlement = settle(agreed(outcome), known(*given_reports, events=[COMPLETED]))
    paid = list(accumulate(payments(settlement)))
    for period, to_date in zip(settlement.periods, paid, strict=True):
        earned = period.earned.exact
        assert earned == period.gross.exact - period.retained.exact
        if settlement.contract.outcome.payment.negative == "paid_back":
            assert to_date == earned
        else:
            assert to_date >= earned
    if settlement.contract.outcome.payment.negative == "set_off":
        # No more is paid than was earned at some time.
        earned_so_far = [Fraction(0), *(p.earned.exact for p in settlement.periods)]
        assert paid == [max(earned_so_far[: n + 2]) for n in range(len(paid))]


@property_of
@given(
    st.integers(1, 10**9),
    st.integers(1, 60),
    st.sampled_from(["first", "last"]),
    st.sampled_from(MODES),
    st.integers(-2, 2),
)
def test_instalments_sum_to_the_amount_and_are_alike_but_for_one(
    minor, count, remainder, mode, places
):
    amount = f"{Decimal(minor).scaleb(-2):f}"
    instalments = {
        "id": "fee",
        "clause": "1",
        "kind": "instalments",
        "of": amount,
        "count": count,
        "remainder": remainder,
        "round": {"decimals": places, "mode": mode},
    }
    outcome = {
        "periods": {"every": "P1M", "count": count + 1},
        "rounding": {"decimals": 2, "mode": "half_away", "at": "sum"},
        "lines": [instalments],
        "payment": {"clause": "9", "negative": "paid_back"},
    }
    paid = payments(settle(agreed(outcome), known()))
    assert sum(paid) == Fraction(amount)
    assert paid[count] == 0
    alike = paid[1:count] if remainder == "first" else paid[: count - 1]
    assert len(set(alike)) <= 1
    for each in alike:
        assert (each * Fraction(10) ** places).denominator == 1


@property_of
@given(
    st.integers(1, 10**9),
    st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=4),
    st.sampled_from(["first", "last"]),
)
def test_instalments_sum_to_the_amount_as_it_was_changed(minor, changes, remainder):
    dated = [
        {
            "clause": f"A{n}",
            "effective_on": f"2025-{n:02}-15",
            "add": f"{Decimal(change).scaleb(-2):f}",
        }
        for n, change in enumerate(changes, start=2)
    ]
    price = {"id": "price", "value": f"{Decimal(minor).scaleb(-2):f}", "changes": dated}
    fee = {"id": "fee", "clause": "1", "kind": "instalments", "of": "price", "count": 6}
    outcome = {
        "periods": {"every": "P1M", "count": 6},
        "rounding": {"decimals": 2, "mode": "half_away", "at": "sum"},
        "parameters": [price],
        "lines": [{**fee, "remainder": remainder, "round": {"decimals": 2, "mode": "half_away"}}],
        "payment": {"clause": "9", "negative": "paid_back"},
    }
    paid = payments(settle(agreed(outcome), known()))
    assert sum(paid) == Fraction(minor + sum(changes), 100)


# Splitting a period never changes the cumulative result


@st.composite
def year_ends(draw: st.DrawFn) -> list[str]:
    """The ends of periods that make up the year, wherever it is cut."""
    days = draw(st.sets(st.integers(0, 363), max_size=10))
    return [str(START + timedelta(days=day)) for day in sorted(days)] + ["2025-12-31"]


@st.composite
def cumulative(draw: st.DrawFn) -> Terms:
    """Terms of which the amount to date is a function of all readings to date."""
    taken = st.sampled_from(["sum", "mean", "median", "minimum", "maximum", "count", "latest"])
    to_date = {"over": "to_date"}
    measures: list[Terms] = [
        {"id": "x", "kind": draw(taken), "of": "p", "window": to_date, "if_missing": "0"},
        {"id": "in_period", "kind": "sum", "of": "p", "if_missing": "0"},
        {
            "id": "rate",
            "kind": "ratio",
            "numerator": "p",
            "denominator": "p + q",
            "taken": "pooled",
            "window": to_date,
            "times": "100",
            "if_missing": "0",
        },
    ]
    score = {"id": "s", "clause": "S", "of": "rate", "scoring": scoring(draw)}
    fee = line(draw, "fee", ["x", "rate", "s"], [])
    fee["basis"] = "to_date"
    each = {"id": "each", "clause": "E", "kind": "amount", "amount": "1.2345 * in_period"}
    terms: Terms = {
        "rounding": {"decimals": 2, "mode": draw(st.sampled_from(MODES)), "at": "sum"},
        "inputs": [{"id": name} for name in INPUTS],
        "events": [{"id": "completed"}],
        "measures": measures,
        "scores": [score],
        "lines": [fee, each],
        "retentions": [retention(draw)] if draw(st.booleans()) else [],
        "payment": {"clause": "P", "negative": "paid_back"},
    }
    if draw(st.booleans()):
        limits = {"scope": "to_date", "at_most": draw(decimals(50, 2000))}
        terms["caps"] = [{"id": "cap", "clause": "C", "of": ["fee", "each"], **limits}]
    return terms


days_of_the_year = st.lists(
    st.tuples(st.integers(0, 364), st.sampled_from(INPUTS), decimals(0, 120)),
    max_size=15,
    unique_by=lambda reading: reading[:2],
)


@property_of
@given(cumulative(), year_ends(), days_of_the_year)
def test_splitting_a_period_never_changes_the_cumulative_result(outcome, ends, days):
    readings = known(
        *(
            {"input": name, "on": str(START + timedelta(days=n)), "value": number}
            for n, name, number in days
        ),
        events=[COMPLETED],
    )
    whole, months, parts = (
        settle(agreed({**outcome, "periods": periods}), readings)
        for periods in (
            {"every": "P1Y", "count": 1},
            {"every": "P1M", "count": 12},
            {"ends": ends},
        )
    )
    assert whole.paid_in_all == months.paid_in_all == parts.paid_in_all
    last = [each.periods[-1] for each in (whole, months, parts)]
    assert last[0].gross == last[1].gross == last[2].gross
    assert last[0].retained == last[1].retained == last[2].retained


# Rounding happens once


@property_of
@given(outcomes(limited=False), series)
def test_the_total_is_the_exact_total_rounded_once_at_the_sum(outcome, given_series):
    outcome["rounding"]["at"] = "sum"
    for each in outcome["lines"]:
        each.pop("round", None)
        each.pop("gates", None)
        each.pop("while_closed", None)
        each["basis"] = "each_period"
    settlement = settle(agreed(outcome), known(events=(), **given_series))
    exact_total = Fraction(0)
    for period in settlement.periods:
        for each in settlement.contract.outcome.lines:
            amount = period.values[each.id]
            assert not isinstance(amount, Mapping)
            exact_total += amount or 0
        assert period.earned.exact == settlement.contract.outcome.rounding.apply(exact_total)


@property_of
@given(outcomes(), reports(), st.integers(-2, 2))
def test_no_amount_has_more_decimals_than_are_stated(outcome, given_reports, places):
    outcome["rounding"]["decimals"] = places
    for each in outcome.get("retentions", []):
        each["round"]["decimals"] = places
    settlement = settle(agreed(outcome), known(*given_reports, events=[COMPLETED]))
    unit = Fraction(10) ** -places
    for period in settlement.periods:
        for money in (period.gross, period.retained, period.earned, period.paid, period.payment):
            assert (money.exact / unit).denominator == 1
    each_line = outcome["rounding"]["at"] == "each_line"
    for each in outcome["lines"]:
        if each_line and "round" not in each and "if_missing" not in each:
            for period in settlement.periods:
                amount = period.values[each["id"]]
                assert amount is None or (amount / unit).denominator == 1


# The order in which readings stand, and when they are asked for


@property_of
@given(outcomes(), reports(), st.randoms(use_true_random=False))
def test_the_order_of_readings_makes_no_difference(outcome, given_reports, order):
    contract = agreed(outcome)
    in_order = settle(contract, known(*given_reports, events=[COMPLETED]))
    shuffled = list(given_reports)
    order.shuffle(shuffled)
    assert settle(contract, known(*shuffled, events=[COMPLETED])).periods == in_order.periods


@property_of
@given(outcomes(), reports(), series)
def test_settling_again_gives_the_same(outcome, given_reports, given_series):
    readings = known(*given_reports, events=[COMPLETED])
    other = known(events=(), **given_series)
    settler = Settler(agreed(outcome))
    first = settler.settle(readings)
    assert settler.settle(other).periods == settle(agreed(outcome), other).periods
    assert settler.settle(readings).periods == first.periods


@property_of
@given(outcomes(), reports(), st.sampled_from(["supersedes", "ignored"]))
def test_what_is_known_later_never_changes_what_was_settled(outcome, given_reports, later_data):
    outcome["payment"]["later_data"] = later_data
    settler = Settler(agreed(outcome))
    all_of_it = settler.settle(known(*given_reports, events=[COMPLETED])).periods
    for number, period in enumerate(all_of_it, start=1):
        on = period.period.settled_on
        then = [each for each in given_reports if str(each["received_on"]) <= str(on)]
        happened = [COMPLETED] if COMPLETED["on"] <= str(on) else []
        as_it_was = settler.settle(known(*then, events=happened), on).periods
        as_it_is_told = settler.settle(known(*given_reports, events=[COMPLETED]), on).periods
        assert as_it_was == as_it_is_told == all_of_it[:number]


# Forecast and settlement


@property_of
@given(outcomes(), series)
def test_a_forecast_with_certain_inputs_is_the_settlement(outcome, values):
    settler = Settler(agreed(outcome))
    head = {"apiVersion": "tollkeeper/v1", "kind": "Forecast", "contract": settler.contract.id}
    sure = Forecast.model_validate({**head, "certain": values, "events": [COMPLETED]})
    view = outlook(settler, sure)
    settlement = settler.settle(known(events=[COMPLETED], **values))
    assert view.expected == view.most_likely == view.lowest == settlement.paid_in_all
    assert list(view.expected_by_period) == payments(settlement)


@property_of
@given(outcomes(), series, series, st.integers(1, 99))
def test_an_expected_value_lies_between_its_cases_and_weighs_them(outcome, one, other, per_cent):
    settler = Settler(agreed(outcome))
    cases = [
        {"id": "one", "probability": f"{per_cent}%", "series": one},
        {"id": "other", "probability": f"{100 - per_cent}%", "series": other},
    ]
    view = outlook(
        settler,
        Forecast.model_validate(
            {
                "apiVersion": "tollkeeper/v1",
                "kind": "Forecast",
                "contract": settler.contract.id,
                "unknowns": [{"id": "all", "possibilities": cases}],
            }
        ),
    )
    paid = [settler.settle(known(**values)).paid_in_all.exact for values in (one, other)]
    assert view.expected_exact == (per_cent * paid[0] + (100 - per_cent) * paid[1]) / 100
    assert (view.lowest.exact, view.highest.exact) == (min(paid), max(paid))
