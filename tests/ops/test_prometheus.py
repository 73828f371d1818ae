"""What Prometheus itself says: about our metrics, our alert rules, and a scrape of both ports.

Run by `make check`; needs the Debian package `prometheus`.
"""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from ruamel.yaml import YAML
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.postgres import connect
from tollkeeper.database import migrate
from tollkeeper.embedded import Embedded
from tollkeeper.embedded.server import free_ports
from tollkeeper.exporter import Exporter
from tollkeeper.sealing import Rounds
from tollkeeper.settings import product_version
from tollkeeper.telemetry import telemetry

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULE_TESTS = ("tollkeeper.rules.test.yml", "tollkeeper.rules.days.test.yml")
CASES = ("firing", "quiet", "no data")
READY_SECONDS = 60


class Ports(NamedTuple):
    """`host:port` of the exporter and of the SDK."""

    exporter: str
    sdk: str


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: apt-get install prometheus", pytrace=False)
    return found


def promtool(*arguments: str, fed: str | None = None) -> str:
    """What promtool says; it must find nothing wrong."""
    done = subprocess.run(
        [program("promtool"), *arguments],
        cwd=PROMETHEUS,
        input=fed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def loaded(file: str) -> Any:
    return YAML(typ="safe", pure=True).load(PROMETHEUS / file)


def alerts() -> dict[str, Any]:
    groups = loaded("tollkeeper.rules.yml")["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def get(url: str) -> str:
    with urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


@activity.defn
async def nothing() -> None:
    """A worker has at least one activity."""


async def nobody_waits() -> object:
    return []


@pytest.fixture(scope="module")
async def ports(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ports]:
    """An exporter and a worker, as they run in production."""
    [port] = free_ports(1)
    sdk = f"127.0.0.1:{port}"
    async with Embedded(tmp_path_factory.mktemp("data"), ui=False) as addresses:
        assert addresses.dsn is not None
        assert addresses.temporal is not None
        await migrate(addresses.dsn)
        client = await Client.connect(addresses.temporal, runtime=telemetry(sdk))
        async with (
            await connect(addresses.dsn) as pool,
            Exporter(pool, nobody_waits, Rounds()) as exporter,
            Worker(client, task_queue="nothing", activities=[nothing]),
        ):
            yield Ports(exporter.address.removeprefix("http://"), sdk)


@contextmanager
def prometheus(folder: Path, ports: Ports) -> Iterator[str]:
    """A server with our configuration, but for the ports and for more haste; its URL."""
    config = loaded("prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / file) for file in config["rule_files"]]
    for job, target in zip(config["scrape_configs"], ports, strict=True):
        job["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(json.dumps(config))  # which is YAML too
    [port] = free_ports(1)
    server = subprocess.Popen(
        [
            program("prometheus"),
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ],
        cwd=folder,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def asked(url: str, query: str) -> dict[str, float]:
    """The value of each job, as soon as both have one."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = json.loads(get(f"{url}/api/v1/query?query={quote(query)}"))
        except URLError:  # it is still starting
            answer = {"data": {"result": []}}
        values = {
            each["metric"]["job"]: float(each["value"][1]) for each in answer["data"]["result"]
        }
        if len(values) == 2:
            return values
        time.sleep(0.2)
    pytest.fail(f"after {READY_SECONDS} s {query} has {values}, expected a value for both jobs")


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", "tollkeeper.rules.yml")


def test_each_alert_does_what_its_cases_say() -> None:
    """O-02."""
    promtool("test", "rules", *RULE_TESTS)


def test_each_alert_has_a_firing_a_quiet_and_a_no_data_case() -> None:
    """O-02."""
    tests = [test for file in RULE_TESTS for test in loaded(file)["tests"]]
    assert sorted(test["name"] for test in tests) == sorted(
        f"{alert}: {case}" for alert in alerts() for case in CASES
    )
    for test in tests:
        alert, _, case = test["name"].partition(": ")
        checks = test["alert_rule_test"]
        assert {check["alertname"] for check in checks} == {alert}
        fires = any(check.get("exp_alerts") for check in checks)
        assert case == "no data" or fires == (case == "firing"), test["name"]


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    """O-03."""
    alert = alerts()[name]
    assert re.fullmatch(r"Tollkeeper([A-Z][a-z]+)+", name)
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"]
    runbook = ROOT / alert["annotations"]["runbook"]
    assert runbook.parent == ROOT / "docs/runbooks"
    assert runbook.read_text(encoding="utf-8").startswith(f"# {name}\n")


async def test_promtool_accepts_the_metrics(ports: Ports) -> None:
    """O-04: ours and the SDK's."""
    for port in ports:
        scrape = await asyncio.to_thread(get, f"http://{port}/metrics")
        assert promtool("check", "metrics", fed=scrape) == ""


async def test_prometheus_scrapes_the_exporter_and_the_worker(ports: Ports, tmp_path: Path) -> None:
    """O-01."""

    def seen() -> None:
        with prometheus(tmp_path, ports) as url:
            assert asked(url, "up") == {"tollkeeper": 1, "tollkeeper-worker": 1}
            version = f'tollkeeper_build_info{{version="{product_version()}"}}'
            pollers = 'temporal_num_pollers{poller_type="activity_task"}'
            both = asked(url, f"{version} or sum by (job) ({pollers})")
            assert both["tollkeeper"] == 1
            assert both["tollkeeper-worker"] > 0
            groups = json.loads(get(f"{url}/api/v1/rules"))["data"]["groups"]
            assert [rule["name"] for group in groups for rule in group["rules"]] == [*alerts()]

    await asyncio.to_thread(seen)
