"""The installed wheel, used as people use it: the demo, the books, the office that runs."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.e2e.conftest import EXAMPLES, Answer, Installed
from tollkeeper.embedded import Embedded
from tollkeeper.embedded.folder import works_in

DATA = ".tollkeeper"
START_SECONDS = 60
STOP_SECONDS = 30


def printed(answer: Answer) -> Any:
    """The JSON that a call printed; it was done."""
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def empty_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    folder = factory.mktemp(name)
    (folder / "contract.yaml").write_bytes((EXAMPLES / "key-account.yaml").read_bytes())
    return folder


def test_what_runs_is_the_wheel_and_not_the_checkout(tollkeeper: Installed, tmp_path: Path) -> None:
    program = "import tollkeeper, contracts; print(tollkeeper.__file__, contracts.__file__)"
    python = str(tollkeeper.venv / "bin" / "python")
    where = subprocess.run(
        [python, "-c", program],
        cwd=tmp_path,
        env=tollkeeper.environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    for file in where.stdout.split():
        assert Path(file).is_relative_to(tollkeeper.venv)


# The demo, twice in one folder.


@dataclass(frozen=True)
class Played:
    """A folder in which the demo was played, then its other story, and what each printed."""

    folder: Path
    first: Answer
    second: Answer


@pytest.fixture(scope="module")
def played(tollkeeper: Installed, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = empty_folder(tmp_path_factory, "played")
    return Played(
        folder,
        tollkeeper(folder, "demo --contract contract.yaml"),
        tollkeeper(folder, "demo --shelved --json"),
    )


def test_the_demo_tells_the_story_and_accounts_for_the_whole_fee(played: Played) -> None:
    assert played.first.returncode == 0, played.first.stderr
    lines = [line.split() for line in played.first.stdout.splitlines()]
    # fixed + released + forfeited = the fee, nothing held; invoiced is what was not forfeited
    assert ["project", "3.2", "1,800,000.00", "1,260,000.00", "0.00", "351,000.00", "189,000.00",
            "1,611,000.00", "96,660.00", "0.00"] in lines  # fmt: skip
    assert lines[-1] == ["The", "books", "hold."]


def test_a_second_demo_in_the_folder_is_an_engagement_of_its_own(played: Played) -> None:
    outcome = printed(played.second)
    assert outcome["ok"]
    assert outcome["engagement"]["id"] == "key-account-2"
    [document] = outcome["invoices"]
    assert document["number"] == "TEST-QM-INV-2024-000003"  # the first has two of that year


def test_the_other_story_is_shelved_and_resumed(played: Played) -> None:
    happened = [event["type"] for event in printed(played.second)["timeline"]]
    turns = ["engagement.shelved", "engagement.resumed", "engagement.proceeded"]
    assert [event for event in happened if event in turns] == turns


def test_afterwards_the_records_answer_though_nothing_runs(
    tollkeeper: Installed, played: Played
) -> None:
    verified = printed(tollkeeper(played.folder, "ledger verify --json"))
    assert verified["ok"]
    assert all(check["ok"] for check in verified["checks"])
    documents = printed(tollkeeper(played.folder, "invoice list --json"))
    assert len(documents) == 7 + 1
    why = tollkeeper(played.folder, "explain TEST-QM-INV-2024-000001/1")
    assert why.returncode == 0
    assert "100,000.00 CNY" in why.stdout
    assert "contract KA-2024-017@v1, clause 3.1" in why.stdout


async def test_one_altered_cent_is_found_and_its_group_named(
    tollkeeper: Installed, played: Played
) -> None:
    async def add(cents: int) -> str:
        async with Embedded(played.folder / DATA, temporal=False) as addresses:
            connection = await asyncpg.connect(addresses.dsn)
            # Otherwise the database itself refuses.
            await connection.execute("set session_replication_role = replica")
            group: str = await connection.fetchval(
                """
                update posting p set amount_minor = amount_minor + $1 from journal_group g
                where g.id = p.group_id and line = 1 and key like '%key-account-1.bet%W6:release%'
                returning g.key
                """,
                cents,
            )
            await connection.close()
        return group

    group = await add(1)
    verified = tollkeeper(played.folder, "ledger verify")
    await add(-1)
    assert verified.returncode == 1
    assert "BROKEN" in verified.stdout
    assert f"groups-balance: {group} (group " in verified.stderr
    assert f"groups-unaltered: {group} (group " in verified.stderr


# The office that runs.


@dataclass(frozen=True)
class Office:
    """`tollkeeper up` in a folder of its own."""

    tollkeeper: Installed
    folder: Path
    process: "subprocess.Popen[bytes]"
    addresses: dict[str, str]

    def call(self, line: str, **settings: str) -> Answer:
        return self.tollkeeper(self.folder, line, **settings)

    def ask(self, line: str) -> Any:
        return printed(self.call(f"{line} --json"))

    def servers(self) -> list[int]:
        """The processes that work in its data folder."""
        pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
        return [pid for pid in pids if works_in(pid, self.folder / DATA)]

    def servers_left(self, after_seconds: float) -> list[int]:
        until = time.monotonic() + after_seconds
        while self.servers() and time.monotonic() < until:
            time.sleep(0.05)
        return self.servers()


@contextmanager
def up(tollkeeper: Installed, folder: Path) -> Iterator[Office]:
    """An office that runs; stopped, if the test has not."""
    log = folder / "up.log"
    process = tollkeeper.start(folder, "up", log)
    try:
        until = time.monotonic() + START_SECONDS
        while "running; Ctrl-C stops it" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        addresses = dict(re.findall(r"^(.+?) +(http\S+)$", log.read_text(), re.MULTILINE))
        yield Office(tollkeeper, folder, process, addresses)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


@pytest.fixture(scope="module")
def office(tollkeeper: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with up(tollkeeper, empty_folder(tmp_path_factory, "office")) as office:
        yield office


OPEN = "engagement open {} --contract contract.yaml --by sun.hao --clock test"
POSITION = "engagement position {} profit_centre --assessed-by margin --role {} --by {}"


@pytest.fixture(scope="module")
def e2(office: Office) -> str:
    """An engagement that waits for both of its positions."""
    opened = office.ask(OPEN.format("E2"))
    return str(opened["engagement_id"])


def test_an_engagement_takes_its_first_steps_from_the_command_line(office: Office) -> None:
    opened = office.ask(OPEN.format("E1"))
    assert (opened["engagement_id"], opened["clock"]) == ("E1", "test")
    assert office.ask(OPEN.format("E1")) == opened  # it is the same engagement

    office.ask(POSITION.format("E1", "unit_head", "li.wei"))
    agreed = office.ask(POSITION.format("E1", "group_management", "gao.feng"))
    assert agreed["events"] == ["value_position.answered", "value_position.agreed"]

    for step in ("S01", "S02"):
        office.ask(f"step done E1 {step} --by chen.yu --minutes 120")
    clock = office.ask("clock show E1")
    assert clock["now"] == opened["opened_at"].replace("Z", "+00:00")
    # The client has not brought its material: it is reminded, when that is due.
    assert office.ask("clock advance E1 --next")["now"] == clock["next_due"]
    assert office.ask("engagement timeline E1")[-1]["type"] == "reminder.raised"
    advanced = office.ask("clock advance E1 --to 2025-01-01")
    assert advanced["now"] == "2025-01-01T00:00:00+00:00"

    processes = {each["kind"]: each for each in office.ask("engagement show E1")["processes"]}
    waiting = processes["micro_consulting"]["waiting"]
    assert (waiting["for_whom"], waiting["overdue"]) == ("client", True)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("step done E2 S11 --by chen.yu", 1, "NotFound: engagement E2 has no"),
        ("engagement resume E2 --by chen.yu", 1, "NotAuthorised: found 'chen.yu'"),
        ("engagement resume E2 --by li.wei", 1, "TransitionError: the engagement is in phase"),
        ("clock advance E2 --to 2001-01-01", 1, "TransitionError: the clock of E2"),
        ("clock show E9", 1, "NotFound: found engagement 'E9'"),
        (OPEN.format("E/1"), 1, "TermsError: engagement_id: found 'E/1'"),
        ("explain nonsense", 1, "NotFound: found 'nonsense', expected a document line"),
        ("decide E2 PROCEED --by li.wei", 2, "--role"),
        ("clock advance E2 --to 2024-13-01", 2, "Invalid value for --to: found '2024-13-01'"),
    ],
)
def test_a_refusal_names_its_kind_on_standard_error(
    office: Office, e2: str, line: str, code: int, said: str
) -> None:
    answer = office.call(line)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_temporal_server_that_refuses_is_unreachable(office: Office, e2: str) -> None:
    answer = office.call(f"clock advance {e2} --next", TOLLKEEPER_TEMPORAL="127.0.0.1:1")
    assert answer.returncode == 3
    assert "Unavailable: no Temporal server answers at 127.0.0.1:1" in answer.stderr


def test_a_second_office_in_the_folder_is_told_who_holds_it(office: Office) -> None:
    second = office.call("up")
    assert second.returncode == 3
    holder = f"{office.folder / DATA} is in use by process {office.process.pid}"
    assert f"AlreadyRunning: {holder}" in second.stderr


def test_metrics_and_status_answer(office: Office, e2: str) -> None:
    status = httpx.get(office.addresses["status"]).json()
    assert e2 in [engagement["id"] for engagement in status]
    assert "\ntollkeeper_" in httpx.get(office.addresses["metrics"]).text
    assert "\ntemporal_" in httpx.get(office.addresses["SDK metrics"]).text


def test_an_office_that_is_killed_loses_nothing_and_one_that_is_stopped_leaves_nothing(
    tollkeeper: Installed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = empty_folder(tmp_path_factory, "killed")
    with up(tollkeeper, folder) as office:
        opened = office.ask(OPEN.format("E1"))
        assert len(office.servers()) >= 2
        office.process.kill()
        assert office.servers_left(after_seconds=10) == []
    with up(tollkeeper, folder) as office:
        assert office.ask(OPEN.format("E1")) == opened
        office.ask(POSITION.format("E1", "unit_head", "li.wei"))
        office.process.send_signal(signal.SIGTERM)
        assert office.process.wait(STOP_SECONDS) == 0
        assert office.servers_left(after_seconds=0) == []
    [engagement] = printed(tollkeeper(folder, "engagement list --json"))
    assert engagement["waiting"][0]["for_whom"] == "group_management"
