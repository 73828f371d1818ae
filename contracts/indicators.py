"""The indicator catalogue: what is measured, in which unit, which way is better, when readable. Pure."""

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from contracts.fields import Title


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


class Catalogue(BaseModel):
    """All indicators by id, and the vanity metrics that may never carry money (IND-06)."""

    model_config = ConfigDict(frozen=True)

    version: str
    indicators: Mapping[str, Indicator]
    rejected: Mapping[str, tuple[str, ...]]


@cache
def catalogue() -> Catalogue:
    """The catalogue that ships with the product; `rejected` maps to what to use instead."""
    text = files("contracts").joinpath("data/indicators.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return Catalogue(
        version=loaded["version"],
        indicators={entry["id"]: _indicator(entry) for entry in loaded["indicators"]},
        rejected={entry["id"]: tuple(entry["use_instead"]) for entry in loaded["rejected"]},
    )


def _indicator(entry: dict[str, Any]) -> Indicator:
    return Indicator(
        **{
            key: entry[key]
            for key in ("id", "name", "unit", "direction", "readable_at_months", "bet_role")
        },
        min_sample=entry["min_sample"]["count"],
        value_type=entry["monetisation"]["value_type"],
        overlap_group=entry["monetisation"]["overlap_group"],
    )
