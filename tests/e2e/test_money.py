"""The tour of the money, played as its page says, and its books against hand arithmetic."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.e2e.conftest import CHECKOUT, Installed
from tests.e2e.playing import Played, called, playing, require_shown
from tests.e2e.test_installed import printed

PAGE = CHECKOUT / "docs" / "money" / "tour.md"

# A hundred commands are played before the first test begins.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def played(tollkeeper: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    page = PAGE.read_text(encoding="utf-8")
    with playing(tollkeeper, tmp_path_factory.mktemp("tour"), page) as played:
        yield played


def test_every_command_of_the_tour_does_what_the_page_shows(played: Played) -> None:
    require_shown(played)


def test_what_was_earned_with_its_tax_is_what_was_paid_or_is_owed(
    played: Played,
) -> None:
    accounts = {
        account["account"]: Decimal(account["balance"].split()[0])
        for account in printed(called(["tollkeeper", "ledger", "balance", "--json"]))
    }
    # Micro-consulting, milestones and licences; the bet; the gain share; what was taken back.
    fixed = Decimal(150_000 + 600_000 + 600_000 + 480_000 + 720_000 + 400_000 + 200_000 + 50_000)
    won, gain = Decimal(120_000 + 50_000), Decimal(60_000 + 240_000)
    reduced = Decimal(50_000 + 40_000 + 10_000 + 20_000 + 120_000)
    assert (accounts["4000"], accounts["4020"]) == (fixed, won)
    assert (accounts["4030"], accounts["4090"]) == (gain, reduced)
    licences = 400_000 + 200_000 + 50_000 - 40_000
    earned = fixed + won + gain - reduced
    tax = (earned - licences) * Decimal("0.06") + licences * Decimal("0.13")
    assert accounts["2400"] == tax
    paid = Decimal(159_000 + 400_000 + 300_000 + 5_000 + 636_000 - 18_400 - 349_800)
    assert accounts["1000"] == paid
    assert earned + tax == paid + accounts["1100"] - accounts["2300"]
    # Nothing is retained, withheld, disputed, unbilled, deducted or refundable any more.
    assert not any(accounts[name] for name in ("1110", "1120", "1130", "1200", "2110", "2200"))
