"""Bringing the database schema up to date."""

import asyncio
from importlib.resources import as_file, files


async def migrate(dsn: str) -> None:
    """Bring the schema up to date; safe to run from several processes at once."""
    await asyncio.to_thread(_upgrade, dsn)


def _upgrade(dsn: str) -> None:
    # Imported here: only migrating needs SQLAlchemy, and it takes a second to load.
    from alembic import command
    from alembic.config import Config

    with as_file(files("tollkeeper").joinpath("migrations")) as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts))
        config.set_main_option("path_separator", "os")
        config.attributes["dsn"] = dsn
        command.upgrade(config, "head")
