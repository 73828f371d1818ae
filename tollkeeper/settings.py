"""Where things run and where documents go: environment variables, or a `.env` beside the data."""

from functools import cache
from importlib.metadata import version
from pathlib import Path

from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict

from activities.export import Receivers
from contracts.setting import Book

TASK_QUEUE = "tollkeeper-engagements"
EXPORT_QUEUE = "tollkeeper-exports"

FOR_FINANCE, NOTICE = ("invoice", "credit_note", "release"), "notice"
"""The kinds of messages in the outbox."""


class Settings(BaseSettings):
    """Each is set as `TOLLKEEPER_` and its name in capitals; what is not set is embedded."""

    model_config = SettingsConfigDict(env_prefix="TOLLKEEPER_", env_file=".env", extra="ignore")

    data: Path = Field(Path(".tollkeeper"), description="the data folder of the embedded servers")
    dsn: str | None = Field(None, description="a PostgreSQL to use in place of the embedded one")
    temporal: str | None = Field(None, description="a Temporal address to use, host:port")
    temporal_namespace: str = Field("default", description="the Temporal namespace")
    build_id: str | None = Field(None, description="the commit that runs; versions the workers")
    finance_url: HttpUrl | None = Field(
        None, description="receives invoices, credit notes and releases"
    )
    notice_url: HttpUrl | None = Field(None, description="receives reminders and escalations")
    sandbox_url: HttpUrl | None = Field(None, description="receives everything of test clocks")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="port of /metrics and /status; 0 picks a free one"
    )
    sdk_metrics_port: int = Field(
        0, ge=0, le=65535, description="port of the Temporal SDK's metrics; 0 picks one"
    )

    def receivers(self) -> Receivers:
        """Which message goes where; the sandbox never reaches finance."""
        live = {kind: self.finance_url for kind in FOR_FINANCE} | {NOTICE: self.notice_url}
        wanted = {(Book.LIVE.value, kind): url for kind, url in live.items()}
        wanted |= {(Book.SANDBOX.value, kind): self.sandbox_url for kind in live}
        return {key: str(url) for key, url in wanted.items() if url is not None}


@cache
def product_version() -> str:
    return version("tollkeeper")
