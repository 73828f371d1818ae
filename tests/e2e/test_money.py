"""The tour of the money, played as its page says: one office, every command, and what each prints."""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
import structlog

from tests.e2e.conftest import CHECKOUT, EXAMPLES, Answer, Installed
from tests.e2e.test_installed import printed, up
from tollkeeper.cli import main
from tollkeeper.independent import verify

PAGE = CHECKOUT / "docs" / "money" / "tour.md"
BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REFUSED = re.compile(r"[A-Z][a-z]\w+: |R1 is not closed yet: ")
LEFT_OUT = "..."
DELIVERED_SECONDS = 60

# A hundred commands are played before the first test begins.
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Step:
    """A command of the page, and the lines that stand below it."""

    command: str
    shown: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """A refusal is shown as such."""
        return int(any(REFUSED.match(line) for line in self.shown))


def steps(page: str) -> Iterator[Step]:
    for kind, body in BLOCK.findall(page):
        if kind == "sh":
            yield from map(Step, body.splitlines())
        else:
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, *shown = part.splitlines()
                yield Step(command, tuple(shown))


STEPS = list(steps(PAGE.read_text(encoding="utf-8")))


def shows(shown: Sequence[str], said: Sequence[str]) -> bool:
    """Whether these are the lines that were said, but for those left out and the width of columns."""
    if not shown:
        return not said
    first, *rest = shown
    if first == LEFT_OUT:
        return any(shows(rest, said[start:]) for start in range(len(said) + 1))
    return bool(said) and first.split() == said[0].split() and shows(rest, said[1:])


class Tour:
    """A folder in which the page is played."""

    def __init__(self, tollkeeper: Installed, folder: Path, running: ExitStack) -> None:
        self.tollkeeper = tollkeeper
        self.folder = folder
        self.running = running

    def play(self, step: Step) -> Answer:
        words = shlex.split(step.command)
        match words:
            case ["tollkeeper", "up"]:
                self.running.enter_context(up(self.tollkeeper, self.folder))
                return Answer(words, 0, "", "")
            case ["tollkeeper" | "tollkeeper-verify", *_]:
                if words[1:3] == ["export", "reconcile"]:
                    self.delivered()
                return called(words)
            case ["cat", name]:
                (self.folder / name).write_text("\n".join(step.shown) + "\n", encoding="utf-8")
        return subprocess.run(
            step.command, shell=True, cwd=self.folder, capture_output=True, text=True, check=False
        )

    def delivered(self) -> None:
        """Documents leave behind the scenes; the last ones have just been issued."""
        until = time.monotonic() + DELIVERED_SECONDS
        while waiting := printed(
            called(shlex.split("tollkeeper export list --book sandbox --json"))
        ):
            assert time.monotonic() < until, waiting
            time.sleep(0.2)


def called(words: list[str]) -> Answer:
    """The command inside this process: a hundred of them would start for longer than they work."""
    code = 0
    with (
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", words)
        try:
            if words[0] == "tollkeeper-verify":
                code = verify.main()
            else:
                main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    structlog.reset_defaults()  # the log went to a standard error that is gone
    return Answer(words, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def played(
    tollkeeper: Installed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[tuple[Step, Answer]]]:
    """Every step of the page with its answer; the office still runs."""
    folder = tmp_path_factory.mktemp("tour")
    shutil.copytree(EXAMPLES, folder / "examples")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        for name in [name for name in os.environ if name.startswith("TOLLKEEPER_")]:
            patch.delenv(name)
        patch.chdir(folder)
        tour = Tour(tollkeeper, folder, running)
        yield [(step, tour.play(step)) for step in STEPS]


def test_every_command_of_the_tour_does_what_the_page_shows(
    played: list[tuple[Step, Answer]],
) -> None:
    for step, answer in played:
        told = f"$ {step.command}\n{answer.stdout}{answer.stderr}"
        assert answer.returncode == step.code, told
        assert "Traceback" not in told
        said = (answer.stdout + answer.stderr).splitlines()
        assert not step.shown or shows(step.shown, said), told


def test_what_was_earned_with_its_tax_is_what_was_paid_or_is_owed(
    played: list[tuple[Step, Answer]],
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
