"""What goes wrong outside is said in a sentence, with the exit code of its kind, and no traceback."""

import os
import socket

import pytest

from tests.e2e.conftest import EXAMPLES

KEY_ACCOUNT = EXAMPLES / "key-account.yaml"
REFUSED, USAGE, UNREACHABLE = 1, 2, 3


@pytest.fixture
def nobody_listens() -> str:
    """An address that refuses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["contract", "check", "none.yaml"], REFUSED, "NotFound: none.yaml: No such file"),
        (["demo", "--contract", "none.yaml"], REFUSED, "NotFound: none.yaml: No such file"),
        (["demo", "--contract", "."], REFUSED, "NotFound: .: Is a directory"),
        (["clock", "advance", "E1"], REFUSED, "TermsError: expected one of --to DATE and --next"),
        (
            ["clock", "advance", "E1", "--to", "soon"],
            USAGE,
            "Invalid value for --to: found 'soon', expected a time such as",
        ),
        (["reading", "add", "E1"], USAGE, "requires an argument"),
        (["elsewhere"], USAGE, 'Unknown command "elsewhere"'),
        (["clock", "show", "E1"], UNREACHABLE, "Unavailable: nothing runs in .tollkeeper"),
        (["ledger", "verify"], UNREACHABLE, "Unavailable: nothing runs in .tollkeeper"),
        (["explain", "nonsense"], UNREACHABLE, "Unavailable: nothing runs in .tollkeeper"),
    ],
)
def test_a_wrong_call_is_answered_in_a_sentence(call, words, code, said):
    answer = call(*words)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert said in answer.stderr


@pytest.mark.parametrize("words", [["up"], ["clock", "show", "E1"], ["ledger", "verify"]])
def test_a_data_folder_that_is_a_file_is_named(call, tmp_path, monkeypatch, words):
    file = tmp_path / "data"
    file.touch()
    monkeypatch.setenv("TOLLKEEPER_DATA", str(file))
    answer = call(*words)
    assert answer.returncode == UNREACHABLE
    assert "Unavailable: " in answer.stderr
    assert f"'{file}" in answer.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
@pytest.mark.parametrize("words", [["up"], ["clock", "show", "E1"], ["ledger", "verify"]])
def test_a_data_folder_of_somebody_else_is_named(call, tmp_path, monkeypatch, words):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o000)
    monkeypatch.setenv("TOLLKEEPER_DATA", str(folder))
    answer = call(*words)
    assert answer.returncode == UNREACHABLE
    assert f"{folder}/lock" in answer.stderr


@pytest.mark.parametrize(
    "words", [["up"], ["worker"], ["clock", "show", "E1"], ["engagement", "list"]]
)
def test_a_database_that_refuses_is_unreachable(call, monkeypatch, nobody_listens, words):
    monkeypatch.setenv("TOLLKEEPER_DSN", f"postgresql://nobody@{nobody_listens}/none")
    monkeypatch.setenv("TOLLKEEPER_TEMPORAL", nobody_listens)
    answer = call(*words)
    assert answer.returncode == UNREACHABLE
    assert "Unavailable: " in answer.stderr
    assert "onnect" in answer.stderr


def test_a_setting_that_is_not_well_formed_is_named(call, monkeypatch):
    monkeypatch.setenv("TOLLKEEPER_METRICS_PORT", "none")
    answer = call("up")
    assert (answer.returncode, answer.stdout) == (REFUSED, "")
    assert (
        "TermsError: metrics_port: found 'none', expected it to be a valid integer" in answer.stderr
    )
