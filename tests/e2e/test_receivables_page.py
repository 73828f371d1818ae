"""docs/money/receivables.md, played after the demo, whose invoices it pays, disputes and credits."""

import pytest

from tests.e2e.conftest import CHECKOUT, Installed
from tests.e2e.playing import playing, require_shown

PAGE = CHECKOUT / "docs" / "money" / "receivables.md"
BEFORE = "```sh\nmake demo\ntollkeeper up\n```\n"

pytestmark = pytest.mark.timeout(600)


def test_every_command_about_receivables_does_what_the_page_shows(
    tollkeeper: Installed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = BEFORE + PAGE.read_text(encoding="utf-8")
    with playing(tollkeeper, tmp_path_factory.mktemp("receivables"), page) as played:
        require_shown(played)
