"""The tree behind a number: clause, inputs with evidence, steps and the rounding that made it. Pure."""

from pydantic import BaseModel, ConfigDict

from contracts.money import Money


class Input(BaseModel):
    """One input; `source` says where it comes from: the contract, a reading, an acceptance."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: str
    source: str
    evidence: str | None = None


class Calculation(BaseModel):
    """One step; `exact` before rounding, `rounded` and `rule` where this is the place of rounding."""

    model_config = ConfigDict(frozen=True)

    formula: str
    exact: str
    rounded: str | None = None
    rule: str | None = None


class Explanation(BaseModel):
    """Why an amount is what it is."""

    model_config = ConfigDict(frozen=True)

    what: str
    amount: Money
    contract: str
    clause: str
    inputs: tuple[Input, ...] = ()
    steps: tuple[Calculation, ...] = ()
    because: tuple["Explanation", ...] = ()
