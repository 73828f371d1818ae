"""Histories at random: after each command nothing is broken, after each history every invariant holds."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.money.histories.books import Books, books_on
from tests.integration.money.histories.machine import Histories, Tally

settings.register_profile(
    "test", max_examples=200, stateful_step_count=25, derandomize=True, database=None
)
settings.register_profile("nightly", max_examples=5_000, stateful_step_count=50)
PROFILE = settings.get_profile(os.environ.get("TOLLKEEPER_HISTORIES", "test"))


@pytest.fixture(scope="module")
def books(databases) -> Iterator[Books]:
    with books_on(databases.dsn, "histories") as books:
        yield books


@pytest.mark.timeout(0)
def test_no_history_breaks_an_invariant(books):
    tally = Tally()
    run_state_machine_as_test(
        lambda: Histories(books, tally),
        settings=settings(
            PROFILE,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )
    print(tally)
