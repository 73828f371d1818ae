"""Working days as a document states them. Pure."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.calendar import BusinessCalendar, country_calendar
from contracts.fields import Count, Day, Terms


class WorkingDays(Terms):
    """Where working days come from; `overrides` decrees single days, and opens a year not yet published.

    `provisional_years` are covered though they are only forecast.
    """

    country: Literal["CN", "weekdays"]
    overrides: dict[Day, Literal["working", "off"]] = Field(default_factory=dict)
    # Left out where empty, so that a contract without has the digest that it always had.
    provisional_years: Annotated[
        tuple[Annotated[Count, Field(ge=2000, le=2099)], ...],
        Field(exclude_if=lambda years: not years),
    ] = ()

    def covering(self, timezone: str, first_year: int, last_year: int) -> BusinessCalendar:
        return country_calendar(
            self.country,
            timezone,
            first_year,
            last_year,
            {day: kind == "working" for day, kind in self.overrides.items()},
            self.provisional_years,
        )
