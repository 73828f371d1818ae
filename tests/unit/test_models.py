"""Most models are built when they are first used; a mistake in one is found here, not then."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from pydantic import BaseModel

import contracts
import lifecycle
import tollkeeper.views


def below(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for kind in base.__subclasses__():
        yield kind
        yield from below(kind)


def test_every_model_can_be_built() -> None:
    for package in (contracts, lifecycle, tollkeeper.views):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    for kind in below(BaseModel):
        if kind.__module__.startswith(("contracts.", "lifecycle.", "tollkeeper.")):
            kind.model_rebuild()
            assert kind.__pydantic_complete__, kind
