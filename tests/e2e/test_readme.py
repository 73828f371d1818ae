"""README.md, played as a new user would: the demo, then an engagement from hand to hand."""

import re

import pytest

from tests.e2e.conftest import CHECKOUT, Installed
from tests.e2e.playing import playing, require_shown

PAGE = CHECKOUT / "README.md"

pytestmark = pytest.mark.timeout(600)


def test_every_command_of_the_readme_does_what_it_shows(
    tollkeeper: Installed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (demo,) = re.findall(r"<!-- demo output -->(.*?)<!-- /demo output -->", page, re.DOTALL)
    (use,) = re.findall(r"^## Use it$(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    with playing(tollkeeper, tmp_path_factory.mktemp("readme"), demo + use) as played:
        require_shown(played)
