"""Readings of indicators: written once, corrected by a later reading of the same day."""

from activities.agreement import agreement
from activities.holds.misses import look_for_misses
from activities.measured import readings_of
from activities.postgres import Connection, Pool, once
from activities.timeline import write_events
from contracts.commands import AddReading
from contracts.contract import Role
from contracts.errors import TermsError
from contracts.events import EventType
from contracts.fields import canonical
from lifecycle.orders import Done, Order


class StoreReading(Order[Done]):
    """Store one reading; the key is the command's id, and of its times the first holds."""

    reading: AddReading

    def content(self) -> str:
        return canonical(self.reading.model_dump(mode="json", exclude={"at", "received_at"}))


async def add_reading(pool: Pool, engagement_id: str, reading: AddReading) -> None:
    """Store a reading of an indicator that the engagement's contract bets on.

    Raises:
        NotFound: no such engagement.
        NotAuthorised: only the client's IT lead signs for a source (sr-source).
        TermsError: the contract does not bet on that indicator, or the day is still to come.
    """
    order = StoreReading(
        key=f"eng.{engagement_id}.reading.{reading.command_id}",
        engagement_id=engagement_id,
        workflow_id=f"eng.{engagement_id}",
        at=reading.at,
        by=reading.by,
        reading=reading,
    )
    await once(pool, order, lambda connection: _store(connection, order))


async def _store(connection: Connection, order: StoreReading) -> Done:
    terms = await agreement(connection, order.engagement_id)
    reading = order.reading
    if reading.indicator not in terms.indicators:
        raise TermsError(
            f"found a reading of {reading.indicator!r}, expected an indicator that contract "
            f"{terms.contract.id} bets on: {', '.join(sorted(terms.indicators))}"
        )
    terms.contract.people().require(reading.by, Role.IT_LEAD)
    today = terms.local_date(reading.at)
    if reading.measured_on > today:
        raise TermsError(
            f"found a reading of {reading.measured_on} reported on {today}, expected that day or an "
            "earlier one"
        )
    await connection.execute(
        """
        insert into reading
            (key, engagement_id, indicator, measured_on, value, sample, source, evidence,
             recorded_by, occurred_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        order.key,
        order.engagement_id,
        reading.indicator,
        reading.measured_on,
        reading.value,
        reading.sample,
        reading.source,
        reading.evidence,
        reading.by,
        reading.at,
    )
    observed = reading.makes(
        EventType.READING_ADDED,
        indicator=reading.indicator,
        measured_on=reading.measured_on.isoformat(),
        value=f"{reading.value:f}",
    )
    await write_events(connection, order, terms.book, [observed])
    if terms.contract.miss_holds:
        readings = await readings_of(connection, order.engagement_id)
        await look_for_misses(connection, order, terms, reading.indicator, readings)
    return Done()
