"""Ledger, documents, holds and projection: the files of the folder schema, in their order."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = Path(__file__).parent / "schema"


def upgrade() -> None:
    driver = op.get_bind().connection.dbapi_connection
    assert driver is not None
    for area in sorted(SCHEMA.glob("*.sql")):
        script = area.read_text(encoding="utf-8")
        # The simple protocol: a script holds many statements.
        driver.run_async(lambda connection, script=script: connection.execute(script))
