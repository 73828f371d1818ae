"""Public schemes as contract documents: each gives its published numbers, by rules alone."""

import re
from difflib import ndiff
from pathlib import Path

import pytest

from contracts.kinds import OUTCOME, READINGS
from tests.schemes import (
    FOLDER,
    answers,
    expected_names,
    found_at,
    given_names,
    outcome_cases,
    pairs,
    read,
    runs,
    settled,
)

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "lifecycle", "activities", "workflows", "tollkeeper")
SCHEMES = re.compile(
    r"\b(gap[-_ ]to[-_ ]goal|cquin|qof|hwm|nec[34]?|x16|x20|jct|retent|retainages?|aia|g70[23]"
    r"|sla|aws|ec2|telus|ccs|texas|fidic|nhs)\b",
    re.IGNORECASE,
)
DOCUMENTS = sorted(path.name for path in FOLDER.glob("*.yaml") if not path.name.startswith("cases"))


@pytest.mark.parametrize("case", outcome_cases())
def test_a_scheme_gives_the_numbers_of_its_source(case):
    assert [str(answer) for answer in answers(case) if not answer.ok] == []


@pytest.mark.parametrize("case", outcome_cases())
def test_every_expected_number_of_a_case_is_given_by_a_contract(case):
    assert given_names(case) == expected_names(case)


def test_no_case_is_given_that_nobody_expects():
    assert set(runs()) <= set(outcome_cases())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_of_the_folder_is_well_formed_and_used(name):
    kind = READINGS if name.endswith(".readings.yaml") else OUTCOME
    read(name, kind)
    used = {used for each in runs().values() for run in each for used in run[:2]}
    used |= {used for pair in pairs() for used in (*pair.contracts, pair.readings)}
    assert name in used


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.setting)
def test_one_line_of_the_document_decides(pair):
    first, second = (
        (FOLDER / name).read_text(encoding="utf-8").splitlines() for name in pair.contracts
    )
    changed = [line[0] for line in ndiff(first, second) if line[0] in "+-"]
    assert sorted(changed) == ["+", "-"]

    given = [
        found_at(settled(name, pair.readings), pair.value, several=True) for name in pair.contracts
    ]
    assert given[0] != given[1]


def test_no_scheme_is_named_in_the_code():
    # Not in its data: indicators of the catalogue are about service levels, too.
    files = (
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".sql", ".html", ".yaml", ".toml"}
    )
    named = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if SCHEMES.search(line)
    ]
    assert named == []
