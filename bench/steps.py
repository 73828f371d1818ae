"""Effects on holdbacks through the one write path, against their bare rows."""


async def measure() -> bool:
    return True
