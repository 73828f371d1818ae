"""`tollkeeper reading`: measured values of indicators."""

from decimal import Decimal

from cyclopts import App

from contracts.commands import AddReading
from tollkeeper.cli.common import Asked, OneDay, at_the_desk, signed
from tollkeeper.cli.screen import TABLES, Output, dump, out
from tollkeeper.office import Office

app = App(name="reading")


@app.command
def add(
    engagement: str,
    indicator: str,
    /,
    *,
    value: str,
    on: OneDay,
    sample: int,
    source: str,
    evidence: str,
    asked: Asked,
    output: Output = TABLES,
) -> None:
    """Store a reading; a later one of the same day corrects it.

    Parameters
    ----------
    indicator
        Its id in the catalogue.
    value
        The value in the indicator's unit, in plain digits; a ratio is 0.28, not 28%.
    on
        The day it was measured for.
    sample
        How many items it was measured over.
    source
        The system it comes from.
    evidence
        What proves it: a signed extract, a hash.
    """

    async def storing(office: Office) -> AddReading:
        reading = AddReading.model_validate(
            {
                **await signed(office, engagement, asked),
                "indicator": indicator,
                "measured_on": on,
                "value": value,
                "sample": sample,
                "source": source,
                "evidence": evidence,
            }
        )
        await office.desk.add_reading(engagement, reading)
        return reading

    reading = at_the_desk(storing)
    if output.json:
        return dump(reading)
    out.print(f"{indicator} on {on}: {Decimal(reading.value):f} is on record")
