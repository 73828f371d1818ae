"""The pages about money, played one after the other in one office that has begun the tour."""

import pytest

from tests.e2e.conftest import CHECKOUT, Installed
from tests.e2e.playing import playing, require_shown

MONEY = CHECKOUT / "docs" / "money"
NEXT = "## A hold, and two signatures\n"
PAGES = ("adjustments", "approvals", "holds", "change-orders", "receivables")

pytestmark = pytest.mark.timeout(600)


def test_every_command_about_money_does_what_its_page_shows(
    tollkeeper: Installed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    begun, then, _ = (MONEY / "tour.md").read_text(encoding="utf-8").partition(NEXT)
    assert then
    pages = [(MONEY / f"{page}.md").read_text(encoding="utf-8") for page in PAGES]
    with playing(tollkeeper, tmp_path_factory.mktemp("money"), "".join([begun, *pages])) as played:
        require_shown(played)
