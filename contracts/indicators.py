"""The indicator catalogue: what is measured, in which unit, which way is better, when readable. Pure."""

import json
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from contracts.errors import NotFound
from contracts.fields import Count, Id, Quantity, Terms, Text, Title
from contracts.formula import Formula


class Direction(StrEnum):
    HIGHER_IS_BETTER = "higher_is_better"
    LOWER_IS_BETTER = "lower_is_better"
    TARGET_BAND = "target_band"


class BetRole(StrEnum):
    """Only `settlement` may carry money in a bet; `trend` may be read at month 3 (IND-01)."""

    SETTLEMENT = "settlement"
    TREND = "trend"
    DIAGNOSTIC = "diagnostic"


class Indicator(BaseModel):
    """One measured thing, as the catalogue defines it.

    `readable_at_months` counts from the measuring start; before it the indicator cannot settle
    (BET-06). A reading over fewer than `min_sample` items is no reading (sr-sample).
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: Title
    unit: str
    direction: Direction
    readable_at_months: int
    min_sample: int
    bet_role: BetRole
    value_type: str
    overlap_group: str


class CatalogueTerms(Terms):
    """A part of the catalogue; it holds nothing that the product does not know."""


Figure = Annotated[
    Quantity, BeforeValidator(lambda given: Decimal(given) if type(given) is int else given)
]
"""A quantity; JSON also has whole numbers."""


class Input(CatalogueTerms):
    """One of the numbers that a reading is computed from; `example` is invented."""

    name: Text
    unit: Text
    description: Text
    example: Figure


class MinSample(CatalogueTerms):
    """A reading over fewer than `count` of these is none (sr-sample)."""

    count: Annotated[Count, Field(ge=1)]
    of: Text


class Gaming(CatalogueTerms):
    """How the number can be made to look good, and what is watched beside it (sr-counter)."""

    risk: Text
    guard: Text
    vanity_flag: Literal["none", "watch", "vanity_if_alone"]
    counter_indicator: Id


class Monetisation(CatalogueTerms):
    """What an improvement is worth: gross, a year, from `delta` and the parameters (sr-net).

    `delta` is in the unit of the indicator and positive when better.
    """

    expression: Formula
    parameters: tuple[Text, ...]
    value_type: Literal[
        "margin_gain", "cost_saving", "cost_avoidance", "financing_saving", "risk_reduction"
    ]
    overlap_group: Id
    confidence: Literal["low", "medium", "high"]


class Example(CatalogueTerms):
    """What the formulas give for the invented inputs and parameters.

    `parameters` are the values of those that the shipped catalogue does not have.
    """

    value: Figure
    delta: Figure
    annual_cny: Figure
    parameters: Mapping[Text, Figure] = Field(default_factory=dict)


class CatalogueEntry(CatalogueTerms):
    """Everything the catalogue says about an indicator; an engagement carries `indicator` alone."""

    id: Id
    name: Title
    model: Literal["key_account", "after_sales"]
    line: Id
    definition: Title
    inputs: Annotated[tuple[Input, ...], Field(min_length=1)]
    formula: Formula
    unit: Text
    direction: Direction
    band: tuple[Figure, Figure] | None = None
    data_source: Annotated[tuple[Text, ...], Field(min_length=1)]
    frequency: Literal["daily", "weekly", "monthly", "quarterly", "semiannual"]
    timing: Literal["leading", "lagging"]
    readable_at_months: Annotated[Count, Field(ge=1)]
    min_sample: MinSample
    bet_role: BetRole
    gaming: Gaming
    monetisation: Monetisation
    example: Example

    @property
    def indicator(self) -> Indicator:
        return Indicator(
            id=self.id,
            name=self.name,
            unit=self.unit,
            direction=self.direction,
            readable_at_months=self.readable_at_months,
            min_sample=self.min_sample.count,
            bet_role=self.bet_role,
            value_type=self.monetisation.value_type,
            overlap_group=self.monetisation.overlap_group,
        )


class Parameter(CatalogueTerms):
    """A number that turns an improvement into money; a contract agrees its own value."""

    unit: str
    illustrative_value: Decimal
    description: str


class OverlapGroup(CatalogueTerms):
    """Indicators that see the same money: one of them is paid (sr-overlap, INV-15)."""

    id: str
    name: Mapping[str, str]
    lead_indicator: str
    related_groups: tuple[str, ...]


class Catalogue(BaseModel):
    """All indicators by id, and the vanity metrics that may never carry money (IND-06)."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    version: str
    entries: Mapping[str, CatalogueEntry]
    indicators: Mapping[str, Indicator]
    parameters: Mapping[str, Parameter]
    overlap_groups: Mapping[str, OverlapGroup]
    rejected: Mapping[str, tuple[str, ...]]

    def entry(self, indicator_id: str) -> CatalogueEntry:
        """Raises: NotFound, with the nearest id."""
        if indicator_id not in self.entries:
            near = get_close_matches(indicator_id, self.entries, n=1)
            expected = f"one of the catalogue{f', nearest is {near[0]}' if near else ''}"
            raise NotFound(f"found indicator {indicator_id!r}, expected {expected}")
        return self.entries[indicator_id]


@cache
def catalogue() -> Catalogue:
    """The catalogue that ships with the product; `rejected` maps to what to use instead."""
    text = files("contracts").joinpath("data/indicators.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text, parse_float=Decimal)
    entries = {entry["id"]: _entry(entry) for entry in loaded["indicators"]}
    return Catalogue(
        version=loaded["version"],
        entries=entries,
        indicators={id: entry.indicator for id, entry in entries.items()},
        parameters=loaded["parameters"],
        overlap_groups={group["id"]: group for group in loaded["overlap_groups"]},
        rejected={entry["id"]: tuple(entry["use_instead"]) for entry in loaded["rejected"]},
    )


def _entry(loaded: dict[str, Any]) -> CatalogueEntry:
    return CatalogueEntry.model_validate(loaded | {"formula": loaded["formula"]["expression"]})
