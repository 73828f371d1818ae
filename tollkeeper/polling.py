"""What a worker does again and again beside its processes; whatever breaks a round, the next one comes."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

OUTAGE_SECONDS = 3.0

log = structlog.get_logger()


async def polling(look: Callable[[], Awaitable[object]], seconds: float, waits: str) -> None:
    """Look again after that many seconds, until cancelled; outages are waited out.

    Args:
        waits: what the log says of a round that broke, such as `relay waits`.
    """
    while True:
        try:
            await look()
        except Exception as broken:  # whatever it is, the rounds must not end with it
            log.warning(waits, reason=repr(broken))
            await asyncio.sleep(OUTAGE_SECONDS)
        await asyncio.sleep(seconds)
