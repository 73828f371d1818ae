"""`tollkeeper contract`: check documents, print their schemas for editors."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import App, Parameter
from pydantic import BaseModel

from contracts.contract import Contract
from contracts.document import (
    CONTRACT,
    DocumentRefused,
    Fault,
    Kind,
    decode,
    json_schema,
    read_document,
)
from contracts.errors import NotFound, Refused, TermsError
from contracts.kinds import KINDS, PARTS, kind_of
from contracts.parts import AnyPart, below
from tollkeeper.cli.screen import TABLES, Output, dump, err, out

Model = TypeVar("Model", bound=BaseModel)


app = App(name="contract")
app.command(
    "tollkeeper.cli.explain:explain",
    help="Say the whole contract in plain words, for both parties to agree on.",
)
app.command(
    "tollkeeper.cli.settle:settle",
    help="Settle a contract from a file of readings, period by period.",
)
app.command(
    "tollkeeper.cli.settle:forecast",
    help="What a contract may come to: the expected and the most likely amount, from assumptions alone.",
)
app.command(
    "tollkeeper.cli.settle:diff",
    help="What an amendment changes: in words, and in money over a history.",
)


def load(path: Path) -> Contract:
    """The contract in a file, with the parts that it uses written out.

    Raises:
        NotFound: no such file.
        DocumentRefused: with every fault in it, or in a file that it uses.
        TermsError: a contract that no engagement runs under.
    """
    contract = read(path, [kind for kind in KINDS if kind.name == CONTRACT.name])
    if not isinstance(contract, Contract):
        found = kind_of(contract).title
        raise TermsError(f"{path}: found an {found}, expected one that an engagement runs under")
    return contract


def read(path: Path, kinds: Sequence[Kind[Model]]) -> Model:
    """The document in a file, which is one of these kinds. Raises: as `load`."""
    try:
        with path.open("rb") as file:
            # One byte more than allowed is enough to be refused as too large.
            data = file.read(max(kind.limits.bytes for kind in kinds) + 1)
    except OSError as missing:
        kind = f"a {kinds[0].title} document" if len(kinds) == 1 else "a document"
        raise NotFound(f"{path}: {missing.strerror}, expected {kind}") from missing
    return read_document(decode(data, str(path)), str(path), kinds, _parts_beside(path))


def _parts_beside(path: Path) -> Callable[[str], AnyPart]:
    """Finds the parts that a document names; none of them is outside of its folder."""

    def find(used: str) -> AnyPart:
        file = path.parent / below(used)
        if not file.resolve().is_relative_to(path.parent.resolve()):
            message = f"found {used!r}, which leads elsewhere, expected a file in this folder"
            raise Refused(message, "uses")
        if not file.is_file():
            raise Refused(f"found no file {used}, expected one with a part", "uses")
        return read(file, PARTS)

    return find


@app.command
def check(
    files: Annotated[list[Path], Parameter(required=True)], /, *, output: Output = TABLES
) -> None:
    """Check documents of any kind, and name every fault with file, line and column.

    Parameters
    ----------
    files
        Contracts, parts that contracts use, readings or forecasts, in YAML or JSON.
    """
    faults: list[Fault] = []
    documents: list[dict[str, Any]] = []
    for path in files:
        try:
            document = read(path, KINDS)
        except DocumentRefused as refused:
            faults += refused.faults
            if not output.json:
                for fault in refused.faults:
                    err.print(str(fault), markup=False)
        else:
            about = _about(document)
            documents.append({"file": str(path), **about})
            if not output.json:
                out.print(f"{path}: {_sentence(**about)}", markup=False)
    if output.json:
        dump(
            {
                "ok": not faults,
                "documents": documents,
                "faults": [fault.as_json() for fault in faults],
            }
        )
    if faults:
        sys.exit(1)


def _about(document: BaseModel) -> dict[str, Any]:
    """What a document is, and the years in which its clocks run on a forecast."""
    calendar = getattr(document, "calendar", document)
    given = {
        "kind": kind_of(document).title,
        "id": getattr(document, "id", None),
        "contract": getattr(document, "contract", None),
        "version": getattr(document, "version", None),
        "provisional_years": list(getattr(calendar, "provisional_years", ())),
    }
    return {name: value for name, value in given.items() if value}


def _sentence(
    kind: str,
    id: str = "",
    contract: str = "",
    version: int = 0,
    provisional_years: Sequence[int] = (),
) -> str:
    name = id or f"of {contract}"
    numbered = f" version {version}" if version else ""
    years = ", ".join(map(str, provisional_years))
    forecast = f"; the working days of {years} are provisional" if years else ""
    return f"{kind} {name}{numbered} is well-formed{forecast}"


def _kind(name: str) -> Kind[BaseModel]:
    """The kind that is meant by `tax-table`, or by `TaxTable`."""
    for kind in KINDS:
        if kind.slug.replace("-", "") == name.lower().replace("-", ""):
            return kind
    raise ValueError(f"found {name!r}, expected one of {', '.join(kind.slug for kind in KINDS)}")


@app.command
def schema(
    *, kind: Annotated[str, Parameter(validator=lambda _, name: _kind(name))] = CONTRACT.slug
) -> None:
    """Print the JSON Schema of a kind of document, for editors.

    Parameters
    ----------
    kind
        What the document is.
    """
    dump(json_schema(_kind(kind)))
