"""Pages played as they say: one office, every command, and what each prints."""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from tests.e2e.conftest import EXAMPLES, Answer, Installed
from tests.e2e.test_installed import printed, up
from tollkeeper.cli import main
from tollkeeper.independent import verify
from tollkeeper.views.export import State

BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REFUSED = re.compile(
    r"[A-Z][a-z]\w+: |REFUSED  |R1 is not closed yet: |The two sides do NOT agree\."
)
LEFT_OUT = "..."
BOOKED = re.compile(r"booked \d{4}-\d\d-\d\d \d\d:\d\d")
"""By the clock on the wall, which is another one each time a page is played."""
DELIVERED_SECONDS = 60


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
    """The commands of a page, in their order."""
    for kind, body in BLOCK.findall(page):
        if kind == "sh":
            yield from map(Step, body.splitlines())
        else:
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, *shown = part.splitlines()
                yield Step(command, tuple(shown))


def shows(shown: Sequence[str], said: Sequence[str]) -> bool:
    """Whether these are the lines that were said, but for those left out and the width of columns.

    When something was booked is not compared.
    """
    if not shown:
        return not said
    first, *rest = shown
    if first == LEFT_OUT:
        return any(shows(rest, said[start:]) for start in range(len(said) + 1))
    return bool(said) and _words(first) == _words(said[0]) and shows(rest, said[1:])


def _words(line: str) -> list[str]:
    return BOOKED.sub("booked", line).split()


class Player:
    """A folder in which a page is played."""

    def __init__(self, tollkeeper: Installed, folder: Path, running: ExitStack) -> None:
        self.tollkeeper = tollkeeper
        self.folder = folder
        self.running = running

    def play(self, step: Step) -> Answer:
        words = shlex.split(step.command)
        match words:
            case ["make", "demo"]:
                demo = self.tollkeeper(self.folder, "demo --contract examples/key-account.yaml")
                # What it starts is told on the standard error, before the story on the other.
                return Answer(words, demo.returncode, demo.stderr + demo.stdout, "")
            case [".venv/bin/tollkeeper" | "tollkeeper", "up"]:
                self.running.enter_context(up(self.tollkeeper, self.folder))
                return Answer(words, 0, (self.folder / "up.log").read_text(), "")
            case ["tollkeeper" | "tollkeeper-verify", *_]:
                if words[1] == "export":
                    self.delivered()
                return called(words)
            case ["cat", name]:
                (self.folder / name).write_text("\n".join(step.shown) + "\n", encoding="utf-8")
        return subprocess.run(
            step.command, shell=True, cwd=self.folder, capture_output=True, text=True, check=False
        )

    def delivered(self) -> None:
        """Documents leave behind the scenes, or are refused; the last ones have just been issued."""
        listing = shlex.split("tollkeeper export list --book sandbox --json")
        until = time.monotonic() + DELIVERED_SECONDS
        while waiting := [row for row in printed(called(listing)) if row["state"] != State.FAILED]:
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


Played = list[tuple[Step, Answer]]


@contextmanager
def playing(tollkeeper: Installed, folder: Path, page: str) -> Iterator[Played]:
    """Every step of a page with its answer; the office that it started runs until the block ends."""
    shutil.copytree(EXAMPLES, folder / "examples")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        for name in [name for name in os.environ if name.startswith("TOLLKEEPER_")]:
            patch.delenv(name)
        patch.chdir(folder)
        player = Player(tollkeeper, folder, running)
        yield [(step, player.play(step)) for step in steps(page)]


def require_shown(played: Played) -> None:
    """Each command ended as the page has it, and printed what stands below it."""
    for step, answer in played:
        told = f"$ {step.command}\n{answer.stdout}{answer.stderr}"
        assert answer.returncode == step.code, told
        assert "Traceback" not in told
        said = (answer.stdout + answer.stderr).splitlines()
        assert not step.shown or shows(step.shown, said), told
