"""Where things run and where documents go: environment variables, or a `.env` beside the data."""

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from activities.export.port import Endpoint, Receivers, read_address
from activities.export.signature import read_secrets
from contracts.errors import TermsError
from contracts.setting import Book

TASK_QUEUE = "tollkeeper-engagements"
EXPORT_QUEUE = "tollkeeper-exports"

FOR_FINANCE, NOTICE = ("invoice", "credit_note", "release"), "notice"
"""The kinds of messages in the outbox."""


def _secrets(text: SecretStr) -> SecretStr:
    read_secrets(text.get_secret_value())
    return text


Address = Annotated[str, AfterValidator(read_address)]
Secrets = Annotated[SecretStr, AfterValidator(_secrets)]


class Settings(BaseSettings):
    """Each is set as `TOLLKEEPER_` and its name in capitals; what is not set is embedded."""

    model_config = SettingsConfigDict(env_prefix="TOLLKEEPER_", env_file=".env", extra="ignore")

    data: Path = Field(Path(".tollkeeper"), description="the data folder of the embedded servers")
    dsn: str | None = Field(None, description="a PostgreSQL to use in place of the embedded one")
    temporal: str | None = Field(None, description="a Temporal address to use, host:port")
    temporal_namespace: str = Field("default", description="the Temporal namespace")
    build_id: str | None = Field(None, description="the commit that runs; versions the workers")
    finance_url: Address | None = Field(
        None, description="receives invoices, credit notes and releases"
    )
    finance_secret: Secrets | None = Field(None, description="signs what goes there over HTTP")
    notice_url: Address | None = Field(None, description="receives reminders and escalations")
    notice_secret: Secrets | None = Field(None, description="signs what goes there over HTTP")
    sandbox_url: Address | None = Field(None, description="receives everything of test clocks")
    sandbox_secret: Secrets | None = Field(None, description="signs what goes there over HTTP")
    checkpoints: Path | None = Field(
        None,
        description="where signed checkpoints of the journal go; in the data folder, unless set",
    )
    refund_url: Address | None = Field(
        None, description="a payment provider for refunds; without one people confirm them"
    )
    refund_secret: Secrets | None = Field(None, description="signs what goes there")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="port of /metrics and /status; 0 picks a free one"
    )
    sdk_metrics_port: int = Field(
        0, ge=0, le=65535, description="port of the Temporal SDK's metrics; 0 picks one"
    )

    fonts: Path | None = Field(
        None, description="a folder of further fonts, for characters that printed documents lack"
    )

    def receivers(self) -> Receivers:
        """Which message goes where; the sandbox never reaches finance.

        Raises:
            TermsError: something would be sent unsigned.
        """
        finance = self._endpoint("finance", self.finance_url, self.finance_secret)
        notice = self._endpoint("notice", self.notice_url, self.notice_secret)
        sandbox = self._endpoint("sandbox", self.sandbox_url, self.sandbox_secret)
        live = dict.fromkeys(FOR_FINANCE, finance) | {NOTICE: notice}
        wanted = {(Book.LIVE.value, kind): endpoint for kind, endpoint in live.items()}
        wanted |= {(Book.SANDBOX.value, kind): sandbox for kind in live}
        return {key: endpoint for key, endpoint in wanted.items() if endpoint is not None}

    def checkpoints_folder(self) -> Path:
        return self.checkpoints or self.data / "checkpoints"

    def secrets(self, book: Book) -> tuple[bytes, ...]:
        """What is signed with where the documents of a book go."""
        return _read(self.finance_secret if book is Book.LIVE else self.sandbox_secret)

    def provider(self) -> Endpoint | None:
        """Where approved refunds of the live book are sent and asked about.

        Raises:
            TermsError: it would be sent unsigned, or into a folder.
        """
        provider = self._endpoint("refund", self.refund_url, self.refund_secret)
        if provider is not None and provider.folder is not None:
            raise TermsError(
                f"TOLLKEEPER_REFUND_URL: found {self.refund_url!r}, expected https://HOST/PATH: a "
                "folder cannot be asked what became of a refund"
            )
        return provider

    def _endpoint(self, name: str, url: str | None, secret: SecretStr | None) -> Endpoint | None:
        if url is None:
            return None
        try:
            return Endpoint(url, _read(secret))
        except TermsError as refused:
            raise TermsError(f"TOLLKEEPER_{name.upper()}_SECRET: {refused}") from refused


def _read(secret: SecretStr | None) -> tuple[bytes, ...]:
    return read_secrets(secret.get_secret_value()) if secret else ()


@cache
def product_version() -> str:
    return version("tollkeeper")
