"""What was measured, as it is on record."""

from activities.postgres import Connection
from lifecycle.bet import Reading


async def readings_of(connection: Connection, engagement_id: str) -> list[Reading]:
    """Of each indicator and day the reading that came in last; it corrects the earlier ones."""
    rows = await connection.fetch(
        """
        select distinct on (indicator, measured_on)
               indicator, measured_on, value, sample, source, evidence, occurred_at
        from reading where engagement_id = $1 order by indicator, measured_on, id desc
        """,
        engagement_id,
    )
    return [Reading(**dict(row)) for row in rows]
