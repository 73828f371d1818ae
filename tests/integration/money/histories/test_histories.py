"""Histories at random: after each command nothing is broken, after each history every invariant holds,
and, of every fifth, each engagement can still be closed.

The 200 of each test run are the same each time, so that what they come to can be asserted;
`TOLLKEEPER_HISTORIES=nightly` takes 5,000 longer ones, others each time.
"""

import os
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import cast

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.money.histories.agreements import AGREEMENTS
from tests.integration.money.histories.books import Books, books_on
from tests.integration.money.histories.ending import Ending
from tests.integration.money.histories.machine import Histories, Tally

settings.register_profile("histories", max_examples=10, stateful_step_count=20, database=None)
settings.register_profile("nightly", max_examples=250, stateful_step_count=40, print_blob=True)
NIGHTLY = os.environ.get("TOLLKEEPER_HISTORIES") == "nightly"
PROFILE = settings.get_profile("nightly" if NIGHTLY else "histories")
STARTS = 5
"""Of each agreement: what is tried resembles what was tried before, so that several starts see more."""

COMMANDS = """
    AddReading ApplyChange ApplyCredit AskAgain AskRefund AskReversal AssessWindow AssignReceipt
    BillMicroConsulting BillMilestone CloseAccount CloseHoldDispute ClosePeriod DecideHold DisputeHold
    EndDispute EndHoldClock EvaluateMilestone ExpireRequest ExtendHold ForfeitHoldback
    GrantServiceCredit IssueAdvance LookAtHold LookAtRequest MatchReceipt OpenDispute OpenEngagement
    PlaceHold PlaceHoldback ProposeChange ReadTrend Record RecordReceipts RejectRequest
    ReleaseHoldback ReportGainShare RequestCredit RequestRefund RequestWriteOff ReverseReceipt
    RuleDispute SendRefund ServeCureNotice SettleRefund SignRequest UnapplyCredit WithdrawRequest
""".split()

POSTED = """
    E01 E02 E03 E05 E06 E07 E08 E09 E10 E11 E12 E13 E14 E15 E16 E17 E18 E19 E20 E21 E22 E23 E24 E25
    E26 E27 E28 E30 E31 E32 E33
""".split()


@pytest.fixture(scope="module")
def books(databases) -> Iterator[Books]:
    with books_on(databases.dsn, "histories") as books:
        yield books


@pytest.mark.timeout(0)
def test_no_history_breaks_an_invariant(books):
    """Seen with `-s`: how often each command was done and refused, and each posting was made."""
    tally = Tally()
    for agreement, start in product(AGREEMENTS, range(STARTS)):
        machine = Ending if NIGHTLY or start == 0 else Histories
        histories = partial(machine, books, tally, agreement)
        run_state_machine_as_test(
            cast(type[Histories], histories if NIGHTLY else seed(start)(histories)),
            settings=settings(
                PROFILE,
                deadline=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    print(f"\n{tally}")
    assert [command for command in COMMANDS if not tally.done[command]] == []
    assert [posting for posting in POSTED if not tally.posted[posting]] == []
