"""docs/cli.md, played: the demo, then the life of one engagement with every example of the page."""

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.conftest import CHECKOUT, Answer, Installed
from tests.e2e.playing import BLOCK, Played, playing, require_shown
from tests.forgery import forged, refusal
from tollkeeper.signing import KEY, Signer

PAGE = CHECKOUT / "docs" / "cli.md"
LIFE = CHECKOUT / "tests" / "data" / "life-of-e8.txt"

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(sha256(b"docs/cli.md").digest()))
"""Signs the bundle of the page, so that its fingerprint there is the one that is printed."""

VARYING = (
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),  # chosen at each start
    (re.compile(r"\S+ \S+ +failed +\S+ \S+"), "failed"),  # deliveries are of today
    (re.compile(r"written \S+ \S+ UTC"), "written"),
)

# The demo and a hundred commands are played before the first test begins.
pytestmark = pytest.mark.timeout(600)


def sections() -> dict[str, str]:
    """What stands below each heading of the page."""
    _, *parts = re.split(r"^#{2,3} (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    headings = [heading.replace("`", "") for heading in parts[::2]]
    return dict(zip(headings, parts[1::2], strict=True))


def life() -> list[str]:
    lines = LIFE.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def woven() -> str:
    """The page in the order of life, with what it leaves out."""
    told = sections()
    return "".join(
        told[line.strip("[]")] if line.startswith("[") else f"```sh\n{line}\n```\n"
        for line in life()
    )


def masked(line: str) -> str:
    """Without what differs from one play to the next; the folder is that of the page."""
    line = line.replace(str(Path.cwd()), "/srv")
    for pattern, name in VARYING:
        line = pattern.sub(name, line)
    return line


@pytest.fixture(scope="module")
def played(tollkeeper: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("cli-page")
    pem = SIGNER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    data = folder / ".tollkeeper"
    data.mkdir(mode=0o700)
    data.joinpath(KEY).touch(mode=0o600)
    data.joinpath(KEY).write_bytes(pem)
    with playing(tollkeeper, folder, woven()) as played:
        yield played


def test_every_example_of_the_page_is_played() -> None:
    with_examples = {name for name, text in sections().items() if BLOCK.search(text)}
    assert {line.strip("[]") for line in life() if line.startswith("[")} == with_examples
    examples = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert all(body.startswith("$ ") for _, body in examples)


def test_every_command_of_the_page_does_what_it_shows(played: Played) -> None:
    require_shown(
        [
            (
                replace(step, shown=tuple(map(masked, step.shown))),
                Answer(
                    answer.args, answer.returncode, masked(answer.stdout), masked(answer.stderr)
                ),
            )
            for step, answer in played
        ]
    )


def test_a_tax_altered_by_the_holder_of_the_key_is_refused_as_the_page_says(played: Played) -> None:
    def alter(documents: list[dict[str, str]]) -> None:
        documents[6]["tax"] = "8100.01 CNY"

    bundle = forged(Path("key-account-1.zip").read_bytes(), SIGNER, "documents.json", alter)
    assert f"REFUSED  {refusal(bundle)}\n" in PAGE.read_text(encoding="utf-8")
