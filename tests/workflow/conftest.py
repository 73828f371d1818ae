"""A real Temporal server, a real PostgreSQL and a worker, shared by the tests of processes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.export.port import Endpoint
from activities.postgres import connect
from contracts.contract import Contract
from contracts.document import read_contract
from tollkeeper.database import migrate
from tollkeeper.desk import Desk
from tollkeeper.embedded import Embedded
from tollkeeper.worker import working

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> Contract:
    path = EXAMPLES / f"{name}.yaml"
    return read_contract(path.read_text(encoding="utf-8"), path.name)


@asynccontextmanager
async def office(
    data: Path, dynamic_config: Sequence[str] = (), provider: Endpoint | None = None
) -> AsyncIterator[Desk]:
    """A desk with servers of its own, and a worker that works; the provider pays refunds."""
    async with Embedded(data, ui=False, dynamic_config=dynamic_config) as addresses:
        assert addresses.dsn
        assert addresses.temporal
        await migrate(addresses.dsn)
        pool = await connect(addresses.dsn)
        client = await Client.connect(addresses.temporal, data_converter=pydantic_data_converter)
        async with working(client, pool, {}, provider=provider):
            yield Desk(client, pool)
        await pool.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the shared servers."""
    return tmp_path_factory.mktemp("office")


@pytest.fixture(scope="session")
async def desk(data: Path) -> AsyncIterator[Desk]:
    async with office(data) as desk:
        yield desk


@pytest.fixture(scope="session")
def ids() -> "count[int]":
    return count(1)


@pytest.fixture
def engagement_id(ids: "count[int]") -> str:
    """A fresh engagement on the shared servers."""
    return f"E{next(ids)}"
