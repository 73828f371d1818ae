"""The catalogue that a bet chooses its indicators from."""

import pytest

from contracts.indicators import BetRole, Direction, catalogue

INDICATORS = catalogue().indicators


def test_the_catalogue_is_the_composed_one():
    assert len(INDICATORS) == 99
    assert all(key == indicator.id for key, indicator in INDICATORS.items())


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
        assert indicator.overlap_group
        assert indicator.name.en
        assert indicator.name.zh


@pytest.mark.parametrize("vanity", sorted(catalogue().rejected))
def test_a_vanity_metric_names_what_to_use_instead_ind_06(vanity):
    assert vanity not in INDICATORS
    instead = catalogue().rejected[vanity]
    assert instead
    assert set(instead) <= INDICATORS.keys()


def test_the_catalogue_is_read_once():
    assert catalogue() is catalogue()
