"""`tollkeeper contract check`: what is wrong in a document, and where, for people and for scripts."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import EXAMPLES
from tollkeeper.cli import main

KEY_ACCOUNT = (EXAMPLES / "key-account.yaml").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Checked:
    """What a check printed, and its exit code."""

    code: int
    out: str
    err: str


Check = Callable[..., Checked]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    def checked(*arguments: object) -> Checked:
        monkeypatch.setattr(sys, "argv", ["tollkeeper", "contract", "check", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Checked(ended.value.code, *capsys.readouterr())

    return checked
