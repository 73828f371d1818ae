"""`tollkeeper contract`: check a document, print the schema for editors."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from contracts.contract import Contract
from contracts.document import MAX_BYTES, DocumentRefused, Fault, decode, json_schema, read_contract
from contracts.errors import NotFound
from tollkeeper.cli.screen import TABLES, Output, dump, err, out


def register(parent: App) -> None:
    app = App(name="contract", help="The contract document.")
    parent.command(app)
    app.command(check)
    app.command(schema)


def load(path: Path) -> Contract:
    """The contract in a file.

    Raises:
        NotFound: no such file.
        DocumentRefused: with every fault in it.
    """
    try:
        with path.open("rb") as file:
            # One byte more than allowed is enough to be refused as too large.
            data = file.read(MAX_BYTES + 1)
    except OSError as missing:
        raise NotFound(f"{path}: {missing.strerror}, expected a contract document") from missing
    return read_contract(decode(data, str(path)), str(path))


def check(
    files: Annotated[list[Path], Parameter(required=True)], /, *, output: Output = TABLES
) -> None:
    """Check contract documents, and name every fault with file, line and column.

    Parameters
    ----------
    files
        Contract documents in YAML or JSON.
    """
    faults: list[Fault] = []
    for path in files:
        try:
            contract = load(path)
        except DocumentRefused as refused:
            faults += refused.faults
            if not output.json:
                for fault in refused.faults:
                    err.print(str(fault), markup=False)
        else:
            if not output.json:
                out.print(
                    f"{path}: {contract.id} version {contract.version} is well-formed", markup=False
                )
    if output.json:
        dump({"ok": not faults, "faults": [fault.as_json() for fault in faults]})
    if faults:
        sys.exit(1)


def schema() -> None:
    """Print the JSON Schema of contract documents, for editors."""
    dump(json_schema())
