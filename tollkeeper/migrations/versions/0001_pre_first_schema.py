"""Ledger, documents, holds and projection."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    driver = op.get_bind().connection.dbapi_connection
    assert driver is not None
    # The simple protocol: a script holds many statements.
    driver.run_async(lambda connection: connection.execute(script))
