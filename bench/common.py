"""What the benchmarks share: an office of their own, people who act at once, pairs of runs."""

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from contracts.commands import CompleteStep, Decide
from contracts.contract import Contract, Role
from contracts.document import read_contract
from contracts.errors import NotFound
from contracts.setting import ClockKind
from contracts.working_days import WorkingDays
from tollkeeper.assembly import whole_office
from tollkeeper.cli.screen import out, table, told
from tollkeeper.desk import Desk
from tollkeeper.office import Office
from tollkeeper.receiver import Receiver, receiving
from tollkeeper.settings import Settings
from tollkeeper.story import Story

EXAMPLE = Path(__file__).parents[1] / "examples" / "key-account.yaml"
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 30.0


def example() -> Contract:
    return read_contract(EXAMPLE.read_text(encoding="utf-8"), str(EXAMPLE))


def signed_today(contract: Contract) -> Contract:
    """The same agreement for a live clock, with the working days of a plain week."""
    today = datetime.now(UTC).date()
    return contract.model_copy(
        update={
            "id": f"{contract.id}-today",
            "signed_on": today,
            "effective_on": today,
            # Those of its country may not be decreed yet for the weeks to come.
            "calendar": WorkingDays(country="weekdays"),
        }
    )


@asynccontextmanager
async def own_office() -> AsyncIterator[tuple[Office, Receiver]]:
    """An office with new servers in a temporary folder, and the receiver of all it sends."""
    with TemporaryDirectory(prefix="tollkeeper-bench-") as folder, receiving() as receiver:
        url, secret = receiver.url, SecretStr(receiver.secret)
        # Not validated, since that would read the environment and `.env` of the one who measures.
        settings = Settings.model_construct(
            data=Path(folder) / "data",
            finance_url=url,
            finance_secret=secret,
            notice_url=url,
            notice_secret=secret,
            sandbox_url=url,
            sandbox_secret=secret,
        )
        async with whole_office(settings, told) as office:
            yield office, receiver


class AtOnce(Story):
    """The story's people, none of whom lets another wait: no time passes, on either clock."""

    def __init__(
        self, desk: Desk, engagement_id: str, contract: Contract, clock: ClockKind
    ) -> None:
        super().__init__(desk, engagement_id, contract)
        self.clock = clock

    async def opened(self) -> None:
        await self._until(self.moment)
        by = self._who(Role.DELIVERY_LEAD)
        await self.desk.open(self.id, self.contract, self.clock, self.moment, by)

    async def _until(self, moment: datetime) -> None:
        if self.clock is ClockKind.LIVE:
            self.moment = datetime.now(UTC)

    async def consulting(self) -> bool:
        """Whether micro-consulting is on record as running; a live clock does not wait for that."""
        try:
            return bool(await self.desk.micro_consulting(self.id))
        except NotFound:
            return False

    async def _micro(self, update: str, command: CompleteStep | Decide) -> None:
        await eventually(self.consulting)
        await super()._micro(update, command)


async def eventually(so: Callable[[], Awaitable[bool]]) -> None:
    """Return when it is so.

    Raises:
        TimeoutError: it is not, for half a minute.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await so():
                return
            await asyncio.sleep(POLL_SECONDS)


def compare(
    title: str, per_second: str, pairs: Mapping[str, Sequence[tuple[float, float]]]
) -> None:
    """Print rates against the bare ones of the same run.

    Args:
        pairs: for each subject its rate and the bare rate, run by run.
    """
    rows = []
    for subject, runs in pairs.items():
        ratios = sorted(ours / bare for ours, bare in runs)
        rows.append(
            (
                subject,
                f"{median(ours for ours, _ in runs):,.0f}",
                f"{median(bare for _, bare in runs):,.0f}",
                f"{median(ratios):.2f}",
                f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
                len(runs),
            )
        )
    unit = f"{per_second}/s>"
    table(title, ["", unit, f"bare {unit}", "ratio>", "range>", "pairs>"], rows)
    out.print("Ratio: median over pairs, ours and then bare. The rates are medians of their own.")
    out.print(machine())


def machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, temporalio {version('temporalio')}, "
        f"asyncpg {version('asyncpg')}; load {os.getloadavg()[0]:.1f}"
    )
