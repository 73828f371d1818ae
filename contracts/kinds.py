"""Every kind of document, by the name under its key `kind`. Pure."""

from pydantic import BaseModel

from contracts.document import CONTRACT, Kind, Limits
from contracts.outcome.checks import check_outcome
from contracts.outcome.outcome import OutcomeContract
from contracts.outcome.readings import Forecast, Readings
from contracts.parts import (
    AnyPart,
    Calendar,
    IndicatorCatalog,
    TaxTable,
    check_calendar,
    check_catalog,
    check_tax_table,
)

PARTS: tuple[Kind[AnyPart], ...] = (
    Kind("calendar", Calendar, check_calendar),
    Kind("tax table", TaxTable, check_tax_table),
    Kind("indicator catalog", IndicatorCatalog, check_catalog),
)
"""What a contract may use."""

OUTCOME = Kind("outcome contract", OutcomeContract, check_outcome, key="outcome")
CONTRACTS = (CONTRACT, OUTCOME)
"""What two parties can sign: an engagement's contract, and one that consists of outcome terms."""

DATA = Limits(bytes=8 * 1024**2, values=400_000)
READINGS = Kind("readings", Readings, lambda _: [], limits=DATA)
FORECAST = Kind("forecast", Forecast, lambda _: [], limits=DATA)

KINDS: tuple[Kind[BaseModel], ...] = (*CONTRACTS, READINGS, FORECAST, *PARTS)


def kind_of(document: BaseModel) -> Kind[BaseModel]:
    """Which kind a document is that was read."""
    return next(kind for kind in KINDS if kind.model is type(document))
