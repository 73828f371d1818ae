"""The steps of micro-consulting as data, and the standard plan of each product (MC-S01 to MC-S11). Pure."""

from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import Field

from contracts.fields import Count, Id, Terms, Text, Title


class Lead(StrEnum):
    CONSULTANT = "consultant"
    CLIENT = "client"


class Mode(StrEnum):
    ONLINE = "online"
    OFFLINE = "offline"


class Step(Terms):
    """One step; `minutes` is planned consultant effort and zero where the client leads."""

    id: Id
    title: Title
    lead: Lead
    mode: Mode
    minutes: Count
    output: Text


class StepPlan(Terms):
    """The steps in order. A rework starts again at `rework_from` and is free within `rework_minutes`."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    rework_from: Id
    rework_minutes: Count

    def minutes(self, mode: Mode) -> int:
        """Planned consultant effort online or offline, in minutes (INV-04)."""
        return sum(step.minutes for step in self.steps if step.mode is mode)

    def from_step(self, step_id: str) -> tuple[Step, ...]:
        """The steps from that one on."""
        ids = [step.id for step in self.steps]
        return self.steps[ids.index(step_id) :]


@cache
def _products() -> dict[str, Any]:
    # Imported here: the plans are data of ours, and most that load this module need none of them.
    from ruamel.yaml import YAML

    text = files("contracts").joinpath("data/step_plans.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return loaded


def standard_plan(product: str) -> StepPlan:
    """The plan that applies when a contract states none (MC-12)."""
    return StepPlan.model_validate(_products()[product])
