"""The catalogue that a bet chooses its indicators from, and what its page says about it."""

import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from contracts.errors import NotFound
from contracts.fields import Title
from contracts.indicators import BetRole, CatalogueEntry, Direction, Indicator, catalogue

CATALOGUE = catalogue()
INDICATORS = CATALOGUE.indicators
ENTRIES = CATALOGUE.entries
PAGE = Path(__file__).parents[2] / "docs/indicators.md"

each_entry = pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.id)


def test_the_catalogue_is_the_composed_one():
    assert len(INDICATORS) == 99
    assert all(key == indicator.id for key, indicator in INDICATORS.items())


def test_three_visible_lines_two_hidden_ones_and_after_sales_ind_02():
    lines = Counter(entry.line for entry in ENTRIES.values() if entry.model == "key_account")
    assert lines == {"esp-plus": 12, "tas-plus": 13, "mci": 11, "ecm": 5, "pbm": 5}
    assert len(ENTRIES) - lines.total() == 53


def test_key_account_results_are_slow_and_after_sales_results_faster():
    settling = [i for i in INDICATORS.values() if i.bet_role is BetRole.SETTLEMENT]
    assert len(settling) == 12 + 23
    at_month_3 = {i.overlap_group for i in settling if i.readable_at_months <= 3}
    assert sum(i.readable_at_months <= 3 for i in settling) == 10
    assert "new-business" not in at_month_3
    assert "ka-growth" not in at_month_3


def test_every_settlement_indicator_runs_one_way():
    for indicator in INDICATORS.values():
        if indicator.bet_role is BetRole.SETTLEMENT:
            assert indicator.direction is not Direction.TARGET_BAND


def test_every_indicator_can_be_read_and_belongs_to_a_group():
    for indicator in INDICATORS.values():
        assert indicator.readable_at_months in {3, 6, 12}
        assert indicator.min_sample > 0
        assert indicator.unit
        assert indicator.overlap_group in CATALOGUE.overlap_groups
        assert indicator.name.en
        assert indicator.name.zh


def test_what_travels_with_an_engagement_is_small():
    assert ENTRIES["ka-dso-days"].indicator == INDICATORS["ka-dso-days"]
    assert max(len(indicator.model_dump_json()) for indicator in INDICATORS.values()) < 300


@each_entry
def test_an_entry_says_what_is_measured_from_what(entry: CatalogueEntry) -> None:
    assert all([entry.name.en, entry.name.zh, entry.definition.en, entry.definition.zh])
    assert all([entry.unit, entry.min_sample.of, *entry.data_source])
    assert all(given.unit and given.description for given in entry.inputs)


@each_entry
def test_the_names_of_a_formula_are_its_inputs(entry: CatalogueEntry) -> None:
    names = [given.name for given in entry.inputs]
    assert sorted(entry.formula.names) == sorted(names)
    parameters = entry.monetisation.parameters
    assert sorted(entry.monetisation.expression.names) == sorted(["delta", *parameters])


@each_entry
def test_the_worked_example_recomputes(entry: CatalogueEntry) -> None:
    """A value is stated to four decimals, money a year to the whole yuan."""
    inputs = {given.name: given.example for given in entry.inputs}
    assert round(entry.formula.evaluate(inputs), 4) == Fraction(entry.example.value)

    parameters = {
        name: CATALOGUE.parameters[name].illustrative_value
        for name in entry.monetisation.parameters
    }
    worth = entry.monetisation.expression.evaluate({"delta": entry.example.delta, **parameters})
    assert round(worth) == entry.example.annual_cny
    assert entry.example.delta > 0


def test_one_worked_example_by_hand():
    """150,000,000 / 600,000,000 * 365 = 91.25 days; 10 / 365 * 600,000,000 * 6 % = 986,301.37."""
    entry = CATALOGUE.entry("ka-dso-days")
    inputs: dict[str, Decimal | Fraction | int] = {
        "average_receivables": 150_000_000,
        "credit_sales": 600_000_000,
        "days_in_period": 365,
    }
    assert entry.formula.evaluate(inputs) == Fraction("91.25")
    worth = entry.monetisation.expression.evaluate(
        {"delta": 10, "ka_revenue_annual": 600_000_000, "cost_of_capital_rate": Decimal("0.06")}
    )
    assert worth == Fraction(72_000_000, 73)
    assert entry.example.annual_cny == 986_301


@each_entry
def test_a_band_is_given_where_the_target_is_one(entry: CatalogueEntry) -> None:
    assert (entry.band is not None) == (entry.direction is Direction.TARGET_BAND)
    if entry.band:
        assert entry.band[0] < entry.band[1]


@each_entry
def test_the_counter_indicator_is_another_of_the_catalogue(entry: CatalogueEntry) -> None:
    """sr-counter."""
    assert entry.gaming.counter_indicator in ENTRIES.keys() - {entry.id}
    assert entry.gaming.risk
    assert entry.gaming.guard


def test_what_flatters_when_alone_carries_no_money():
    alone = [e for e in ENTRIES.values() if e.gaming.vanity_flag == "vanity_if_alone"]
    assert alone
    assert all(entry.bet_role is not BetRole.SETTLEMENT for entry in alone)


def test_every_parameter_is_used_and_has_a_unit():
    used = {name for entry in ENTRIES.values() for name in entry.monetisation.parameters}
    assert used == CATALOGUE.parameters.keys()
    assert all(parameter.unit for parameter in CATALOGUE.parameters.values())


@pytest.mark.parametrize("group", CATALOGUE.overlap_groups.values(), ids=lambda group: group.id)
def test_the_lead_of_a_group_may_settle_if_any_of_the_group_may(group):
    """sr-overlap."""
    roles = {i.bet_role for i in INDICATORS.values() if i.overlap_group == group.id}
    lead = INDICATORS[group.lead_indicator]
    assert lead.overlap_group == group.id
    assert (lead.bet_role is BetRole.SETTLEMENT) == (BetRole.SETTLEMENT in roles)


def test_related_groups_are_related_both_ways():
    groups = CATALOGUE.overlap_groups
    for group in groups.values():
        assert all(group.id in groups[other].related_groups for other in group.related_groups)


@pytest.mark.parametrize("vanity", sorted(CATALOGUE.rejected))
def test_a_vanity_metric_names_what_to_use_instead_ind_06(vanity):
    assert vanity not in INDICATORS
    instead = CATALOGUE.rejected[vanity]
    assert instead
    assert set(instead) <= INDICATORS.keys()


def test_an_unknown_entry_is_told_with_the_nearest():
    message = r"^found indicator 'ka-dso', expected one of the catalogue, nearest is ka-dso-days$"
    with pytest.raises(NotFound, match=message):
        CATALOGUE.entry("ka-dso")
    with pytest.raises(NotFound, match=r"^found indicator 'x', expected one of the catalogue$"):
        CATALOGUE.entry("x")


def test_the_catalogue_is_read_once():
    assert catalogue() is catalogue()


def test_the_catalogue_is_read_fast():
    def milliseconds() -> float:
        started = time.process_time()
        catalogue.__wrapped__()
        return (time.process_time() - started) * 1000

    assert min(milliseconds() for _ in range(3)) < 50


def cells(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def both(name: Title) -> str:
    return f"{name.zh}<br>{name.en}"


def aim(indicator: Indicator) -> str:
    match indicator.direction:
        case Direction.HIGHER_IS_BETTER:
            return "higher"
        case Direction.LOWER_IS_BETTER:
            return "lower"
        case Direction.TARGET_BAND:
            return "{} to {}".format(*ENTRIES[indicator.id].band or ())


def told() -> Iterator[str]:
    """The rows of the page, as the catalogue has them."""
    for i in INDICATORS.values():
        readable = f"month {i.readable_at_months}"
        yield cells(
            f"`{i.id}`", both(i.name), i.unit, aim(i), i.bet_role, readable, i.overlap_group
        )
    for group in CATALOGUE.overlap_groups.values():
        related = ", ".join(group.related_groups)
        yield cells(f"`{group.id}`", group.name["zh"], f"`{group.lead_indicator}`", related)
    for vanity, instead in CATALOGUE.rejected.items():
        yield cells(f"`{vanity}`", " or ".join(f"`{name}`" for name in instead))


def test_the_page_has_the_catalogue_as_it_is():
    """The message of a failure has the rows to paste."""
    page = PAGE.read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `")] == list(told())
