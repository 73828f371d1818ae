"""Try an installed wheel: run with `python -I` from an empty folder, in its own environment."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path, PurePosixPath

DISTRIBUTION = "tollkeeper"
PACKAGES = ("contracts", "lifecycle", "activities", "workflows", "tollkeeper")
EXAMPLES = "examples"
CHECKOUT = Path(__file__).resolve().parents[2]


def written() -> set[PurePosixPath]:
    """Every file below the five packages of the checkout, and the examples, which ship with them."""
    files = {
        PurePosixPath(path.relative_to(CHECKOUT).as_posix())
        for package in (*PACKAGES, EXAMPLES)
        for path in (CHECKOUT / package).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    return {DISTRIBUTION / file if file.parts[0] == EXAMPLES else file for file in files}


def shipped() -> set[PurePosixPath]:
    """Every file of the installed wheel, without its metadata, its script and compiled code."""
    return {
        PurePosixPath(file.as_posix())
        for file in distribution(DISTRIBUTION).files or []
        if not file.parts[0].endswith(".dist-info")
        and file.parts[0] != ".."
        and file.suffix != ".pyc"
    }


def modules(files: set[PurePosixPath]) -> Iterator[str]:
    """Importable modules among `files`: migrations run in a database, `__main__` is a command."""
    for file in sorted(files):
        if file.suffix == ".py" and "migrations" not in file.parts and file.stem != "__main__":
            parts = file.parent.parts if file.stem == "__init__" else file.with_suffix("").parts
            yield ".".join(parts)


def problems() -> Iterator[str]:
    """What is wrong with the installed wheel, one sentence each."""
    files = shipped()
    for file in sorted(written() - files):
        yield f"{file} is in the checkout but not in the wheel"
    for file in sorted(files - written()):
        yield f"{file} is in the wheel but belongs to none of {', '.join(PACKAGES)}"
    if not any(file.is_relative_to("tollkeeper/migrations") for file in files):
        yield "the wheel holds no file of tollkeeper/migrations"

    owners = packages_distributions()
    for package in PACKAGES:
        if set(owners.get(package, [])) != {DISTRIBUTION}:
            yield f"{package} belongs to {owners.get(package)}, expected {DISTRIBUTION} alone"

    for module in modules(files):
        try:
            importlib.import_module(module)
        except Exception as error:
            yield f"{module} cannot be imported: {error!r}"

    version = distribution(DISTRIBUTION).version
    command = [str(Path(sys.executable).with_name(DISTRIBUTION)), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0 or version not in answer.stdout:
        yield f"{' '.join(command)} said {answer.stdout + answer.stderr!r}, expected {version}"


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or f"ok         {len(shipped())} files, five packages, one command")
    sys.exit(bool(found))
