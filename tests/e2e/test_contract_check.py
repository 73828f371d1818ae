"""`tollkeeper contract check`: what is wrong in a document and where, for people and for scripts."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import EXAMPLES

KEY_ACCOUNT = (EXAMPLES / "key-account.yaml").read_text(encoding="utf-8")

FAULTS = [
    (
        ("amount: 100000.00", "amount: 1_000_000"),
        "42:13: fees[0].amount: found '1_000_000', "
        "expected a plain amount such as 1000000.00 [invalid_value]",
    ),
    (
        ("amount: 360000.00", "amount: 359999.99"),  # a fen short
        "83:13: milestones[3].amount: found 1259999.99 for the milestones of fee project, "
        "expected 1260000.00 = 1800000.00 less holdback 540000.00 [BET-02]",
    ),
    (
        ("indicator: win-rate-count", "indicator: win-rate-cont"),
        "102:20: bets[0].indicators[0].indicator: found 'win-rate-cont', "
        "expected an indicator of the catalogue (did you mean win-rate-count?) [unknown_indicator]",
    ),
    (
        ("fee: micro\n", "fee: micro\n  fee: micro\n"),
        "52:3: micro_consulting.fee: found the key 'fee' a second time, "
        "expected each key once; line 51 has it already [yaml_duplicate_key]",
    ),
]


def changed(change: tuple[str, str], folder: Path) -> Path:
    assert change[0] in KEY_ACCOUNT
    file = folder / "contract.yaml"
    file.write_text(KEY_ACCOUNT.replace(*change, 1), encoding="utf-8")
    return file


def test_every_example_is_well_formed(call):
    files = sorted(EXAMPLES.glob("*.yaml"))
    checked = call("contract", "check", *files)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert [line.partition(":")[0] for line in checked.stdout.splitlines()] == list(map(str, files))


@pytest.mark.parametrize(("change", "fault"), FAULTS)
def test_a_fault_is_named_with_file_line_and_column(call, tmp_path, change, fault):
    file = changed(change, tmp_path)
    checked = call("contract", "check", file)
    assert (checked.returncode, checked.stdout) == (1, "")
    assert checked.stderr == f"{file}:{fault}\n"


def test_one_faulty_document_among_others_fails_the_check_and_the_others_are_told(call, tmp_path):
    good, (change, fault) = EXAMPLES / "after-sales.yaml", FAULTS[0]
    checked = call("contract", "check", changed(change, tmp_path), good)
    assert checked.returncode == 1
    assert checked.stdout.startswith(f"{good}: ")
    assert fault in checked.stderr


def test_a_script_reads_the_faults_as_json(call, tmp_path):
    change, _ = FAULTS[2]
    file = changed(change, tmp_path)
    checked = call("contract", "check", file, "--json")
    assert (checked.returncode, checked.stderr) == (1, "")
    assert json.loads(checked.stdout) == {
        "ok": False,
        "documents": [],
        "faults": [
            {
                "file": str(file),
                "line": 102,
                "column": 20,
                "path": "bets[0].indicators[0].indicator",
                "found": "'win-rate-cont'",
                "expected": "an indicator of the catalogue",
                "rule": "unknown_indicator",
                "nearest": "win-rate-count",
            }
        ],
    }
    example = EXAMPLES / "key-account.yaml"
    well_formed = call("contract", "check", example, "--json")
    assert well_formed.returncode == 0
    about = {"file": str(example), "kind": "contract", "id": "KA-2024-017", "version": 1}
    assert json.loads(well_formed.stdout) == {"ok": True, "documents": [about], "faults": []}
