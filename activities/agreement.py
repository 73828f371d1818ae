"""The contract an engagement runs under, as the database holds it."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from activities.postgres import Connection
from contracts.calendar import BusinessCalendar, local_date
from contracts.contract import Contract
from contracts.errors import NotAuthorised, NotFound, TransitionError
from contracts.events import EventType
from contracts.fields import canonical
from contracts.indicators import Indicator
from contracts.setting import Book


@dataclass(frozen=True)
class Agreement:
    """One engagement with its contract version and the indicators frozen with it."""

    engagement_id: str
    contract: Contract
    document: str
    """The canonical text of the contract."""
    indicators: dict[str, Indicator]
    book: Book
    proceeded_at: datetime | None

    def local_date(self, instant: datetime) -> date:
        """The date in the contract's time zone, on which a document is dated."""
        return local_date(instant, self.contract.timezone)


async def agreement(connection: Connection, engagement_id: str) -> Agreement:
    """Read it, and lock the engagement's row: effects of one engagement never overtake each other.

    Raises:
        NotFound: no such engagement.
    """
    row = await connection.fetchrow(
        """
        select e.engagement_id, e.book, e.proceeded_at, c.document, c.indicators
        from engagement e join contract_version c
          on c.contract_id = e.contract_id and c.version = e.contract_version
        where e.engagement_id = $1
        for update of e
        """,
        engagement_id,
    )
    if row is None:
        raise NotFound(f"found engagement {engagement_id!r}, expected one that was opened")
    document = canonical(row["document"])
    indicators = [Indicator.model_validate(entry) for entry in row["indicators"]]
    return Agreement(
        engagement_id=engagement_id,
        contract=_contract(document),
        document=document,
        indicators={indicator.id: indicator for indicator in indicators},
        book=Book(row["book"]),
        proceeded_at=row["proceeded_at"],
    )


def require_named(terms: Agreement, person: str) -> None:
    """Only the contract's people ask for something about its money.

    Raises:
        NotAuthorised: somebody else.
    """
    names = [each.id for each in terms.contract.people().everyone]
    if person not in names:
        raise NotAuthorised(
            f"found {person!r}, expected one of the contract's people: {', '.join(names)}"
        )


async def require_running(connection: Connection, terms: Agreement) -> None:
    """Refuse what begins something new in an engagement that is closed.

    Raises:
        TransitionError: it is.
    """
    closed_at = await connection.fetchval(
        "select closed_at from engagement where engagement_id = $1", terms.engagement_id
    )
    if closed_at is not None:
        day = terms.local_date(closed_at).isoformat()
        raise TransitionError(
            f"engagement {terms.engagement_id}: found it closed on {day}, expected one that runs"
        )


async def working_days_of(connection: Connection, terms: Agreement) -> BusinessCalendar:
    """The contract's working days with those that were decreed since, in the order they came."""
    rows = await connection.fetch(
        "select facts from event where workflow_id = $1 and type = $2 order by id",
        f"eng.{terms.engagement_id}",
        EventType.CALENDAR_SET,
    )
    calendar = _calendar(terms.document)
    for row in rows:
        facts = row["facts"]
        calendar = calendar.with_days(
            facts["decree"],
            [date.fromisoformat(day) for day in facts["working"]],
            [date.fromisoformat(day) for day in facts["off"]],
            facts["last_year"],
        )
    return calendar


@lru_cache(maxsize=256)
def _calendar(document: str) -> BusinessCalendar:
    return _contract(document).working_calendar()


@lru_cache(maxsize=256)
def _contract(document: str) -> Contract:
    return Contract.model_validate(json.loads(document))
