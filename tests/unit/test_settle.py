"""Settle, forecast and compare from files: as the documentation shows it, and what holds always."""

import json
import re
import shlex
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from contracts.contract import Contract
from contracts.difference import differences
from contracts.document import read_contract
from contracts.errors import TermsError
from contracts.indicators import catalogue
from contracts.kinds import FORECAST, OUTCOME, READINGS
from contracts.outcome.outcome import OutcomeContract
from contracts.outcome.readings import Forecast, Readings
from lifecycle.bet import Reading, assess, reading_for
from lifecycle.engagement_terms import in_outcome_terms
from lifecycle.forecast import outlook
from lifecycle.reasons import Reason, exact, reasons_for
from lifecycle.settlement import Settler
from tollkeeper.cli import app
from tollkeeper.cli.contract import load, read

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SHOWN = re.findall(
    r"```console\n\$ (tollkeeper contract [^\n]+)\n(.*?)```",
    "\n".join(
        page.read_text(encoding="utf-8")
        for page in (ROOT / "docs/cli.md", ROOT / "docs/contract-language.md")
    ),
    flags=re.DOTALL,
)
RUNNING = [(call, text) for call, text in SHOWN if "draft" not in call]


def run(call, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    app(shlex.split(call)[1:], exit_on_error=False, result_action="return_value")
    return capsys.readouterr().out


def pattern(shown: str) -> str:
    """What an output has to look like; a line of `...` stands for lines left out."""
    lines = [line.rstrip() for line in shown.rstrip("\n").split("\n")]
    return "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r" *\n" for line in lines)


@pytest.mark.parametrize(("call", "shown"), RUNNING, ids=[call for call, _ in RUNNING])
def test_a_command_prints_what_the_documentation_shows(call, shown, capsys, monkeypatch):
    printed = run(call, capsys, monkeypatch)
    whole = shown.rstrip("\n").endswith("...")
    assert re.match(pattern(shown) + ("" if whole else r"\n*\Z"), printed), printed


def example() -> Contract:
    path = EXAMPLES / "key-account.yaml"
    return read_contract(path.read_text(encoding="utf-8"), path.name)


def outcome_contract(name: str) -> OutcomeContract:
    return read(EXAMPLES / name, [OUTCOME])


def readings(name: str) -> Readings:
    return read(EXAMPLES / name, [READINGS])


@pytest.mark.parametrize("live", [date(2025, 4, 27), date(2025, 8, 31), date(2024, 9, 30)])
@pytest.mark.parametrize("days_before_the_end", [0, 5, 27, 40])
def test_an_engagement_settles_to_the_same_amounts_as_its_workflows(live, days_before_the_end):
    """Every window of the bet, by the language and by the rules that the workflows run."""
    contract = example()
    bet = contract.bet("B1")
    terms = in_outcome_terms(contract, live)
    windows = [window for window in bet.windows if window.reads == "settlement"]
    reached = {
        "win-rate-count": "0.28",
        "ka-dso-days": "84.37",
        "ka-average-output": "11750000",
    }
    released: dict[str, Fraction] = {}
    data = []
    for window, end in zip(windows, terms.outcome.periods.ends, strict=True):
        day = date.fromordinal(end.toordinal() - days_before_the_end)
        measured = {}
        for name in window.settles:
            entry = catalogue().indicators[name]
            reading = Reading.model_validate(
                {
                    "indicator": name,
                    "measured_on": day,
                    "value": reached[name],
                    "sample": entry.min_sample,
                    "source": "crm",
                    "evidence": "e",
                    "occurred_at": "2026-01-01T00:00:00Z",
                }
            )
            data.append(
                {
                    "input": name.replace("-", "_"),
                    "on": day,
                    "value": reached[name],
                    "sample": entry.min_sample,
                }
            )
            if reading_for(window, live, entry, [reading]):
                measured[name] = reading
        if len(measured) == len(window.settles):
            verdict = assess(contract, bet, window, measured, catalogue().indicators)
            released |= {each.indicator: each.released.exact for each in verdict.indicators}
    settled = Settler(terms).settle(
        Readings.model_validate(
            {
                "apiVersion": "tollkeeper/v1",
                "kind": "Readings",
                "contract": contract.id,
                "events": [{"event": "go_live", "on": live}],
                "readings": data,
            }
        )
    )
    to_date = settled.periods[-1].to_date
    stakes = {name: to_date[f"stake_{name.replace('-', '_')}"] for name in reached}
    assert stakes == {name: released.get(name, Fraction(0)) for name in reached}


def test_the_example_settles_to_what_the_demo_books(capsys, monkeypatch):
    """1,360,000 fixed and 351,000 released, as in README.md."""
    call = (
        "tollkeeper contract settle examples/key-account.yaml "
        "--readings examples/key-account.readings.yaml --json"
    )
    settled = json.loads(run(call, capsys, monkeypatch))
    assert settled["paid_in_all"] == "1711000.00"
    assert [period["payment"] for period in settled["periods"]] == ["1576000.00", "135000.00"]


def test_an_engagement_without_a_go_live_is_told_what_is_missing(tmp_path, capsys, monkeypatch):
    file = tmp_path / "r.yaml"
    file.write_text("apiVersion: tollkeeper/v1\nkind: Readings\ncontract: KA-2024-017\n")
    call = f"tollkeeper contract settle examples/key-account.yaml --readings {file}"
    with pytest.raises(TermsError, match="found no go_live for KA-2024-017, expected the day"):
        run(call, capsys, monkeypatch)


def told(reason: Reason) -> list[Reason]:
    return [reason, *(each for below in reason.because for each in told(below))]


def test_reasons_reach_from_the_payment_to_the_readings():
    settlement = Settler(outcome_contract("service-desk.yaml")).settle(
        readings("service-desk.readings.yaml")
    )
    whole = told(reasons_for(settlement, 2))
    by_name = {reason.name: reason for reason in whole}
    assert whole[0].value == "63600.00 EUR"
    assert by_name["quality"].calculation.endswith("attainment 13/15")
    assert by_name["quality"].clause == "4.3"
    assert "solved = 1460 (2026-05-01 to 2026-07-31, verified, acd-q2)" in (
        by_name["first_contact_rate"].evidence
    )
    # From parameters (1) over measures (3), scores (7), amounts (12) and caps (15) to the payment (20).
    assert {1, 3, 7, 11, 12, 15, 20} <= {reason.stage for reason in whole}


def test_a_correction_that_arrives_later_is_a_lower_payment_and_no_other_case():
    data = readings("service-desk.readings.yaml")
    settler = Settler(outcome_contract("service-desk.yaml"))
    without = data.model_copy(update={"readings": data.readings[:-1]})
    corrected, before = settler.settle(data), settler.settle(without)
    # (1460 - 1420) / 2000 of the calls, of 15 points from baseline to target, of 30 % of 60,000.
    lower = Fraction(40, 2000) / Fraction(15, 100) * 18_000
    earned = [s.to_date["quality_share"] for s in (before.periods[-1], corrected.periods[-1])]
    assert earned[0] - earned[1] == lower == 2_400
    assert corrected.periods[:3] == before.periods[:3]


def test_a_restatement_says_what_it_was_what_it_is_and_why():
    settlement = Settler(outcome_contract("service-desk.yaml")).settle(
        readings("service-desk.readings.yaml")
    )
    (restated,) = settlement.periods[3].restated
    assert (restated.number, restated.line) == (2, "quality_share")
    assert (restated.was, restated.now) == (Fraction(15_600), Fraction(13_200))
    reason = next(r for r in told(reasons_for(settlement, 4)) if "restated" in r.name)
    evidence = [proof for each in told(reason) for proof in each.evidence]
    assert "solved = 1420 (2026-05-01 to 2026-07-31, verified, audit-2027-01)" in evidence


def test_days_are_told_as_days():
    settlement = Settler(outcome_contract("schemes/delay-damages-started-weeks.yaml")).settle(
        readings("schemes/ld-03.readings.yaml")
    )
    days = {r.name: r.value for r in told(reasons_for(settlement, 1)) if r.value[:2] == "20"}
    assert days == {"completion_due": "2025-06-30", "taken_over_on": "2025-08-10"}


def test_a_forecast_with_certain_inputs_is_the_settlement():
    contract = outcome_contract("service-desk.yaml")
    series = {"solved": ["1330", "1460", "1620", "1500"], "calls": ["1900", "2000", "2100", "1980"]}
    head = {"apiVersion": "tollkeeper/v1", "contract": contract.id}
    sure = Forecast.model_validate({**head, "kind": "Forecast", "certain": series})
    seen = Readings.model_validate({**head, "kind": "Readings", "series": series})
    settler = Settler(contract)
    view, settled = outlook(settler, sure), settler.settle(seen)
    payments = [each.payment.exact for each in settled.periods]
    assert view.expected == view.most_likely == view.lowest == view.highest == settled.paid_in_all
    assert list(view.expected_by_period) == payments


def test_a_forecast_weighs_its_cases():
    """60 % of 216,000; 30 % of 108,000 and 50 % of half of it; 50 % of 216,000 and 50 % of half of it."""
    terms = in_outcome_terms(example(), date(2025, 4, 27))
    view = outlook(Settler(terms), read(EXAMPLES / "key-account.forecast.yaml", [FORECAST]))
    assert view.expected_exact == 1_360_000 + 129_600 + 32_400 + 27_000 + 108_000 + 54_000
    assert sum(case.probability for case in view.cases) == 1
    assert sum(view.expected_by_period) == view.expected_exact


def test_assumptions_and_readings_never_mix(capsys, monkeypatch):
    call = (
        "tollkeeper contract settle examples/key-account.yaml "
        "--readings examples/key-account.forecast.yaml"
    )
    with pytest.raises(TermsError, match="found 'Forecast', expected Readings"):
        run(call, capsys, monkeypatch)


def test_versions_of_two_contracts_are_not_settled_together():
    one, other = outcome_contract("service-desk.yaml"), outcome_contract("schemes/gap.yaml")
    with pytest.raises(TermsError, match="found SD-2026-004 and GAP, expected versions of one"):
        Settler(one, other)


def test_the_json_names_the_document_that_was_settled(capsys, monkeypatch):
    call = (
        "tollkeeper contract settle examples/service-desk.yaml "
        "--readings examples/service-desk.readings.yaml --json"
    )
    settled = json.loads(run(call, capsys, monkeypatch))
    assert settled["digest"] == outcome_contract("service-desk.yaml").digest()


def test_what_an_amendment_moves_is_no_change():
    before, after = outcome_contract("service-desk.yaml"), outcome_contract("service-desk-v2.yaml")
    turned = after.outcome.model_copy(update={"inputs": tuple(reversed(after.outcome.inputs))})
    moved = after.model_copy(update={"outcome": turned})
    assert differences(before, moved) == differences(before, after)


@pytest.mark.parametrize(
    ("update", "refused"),
    [
        ({"id": "OTHER"}, "expected versions of one contract"),
        ({"version": 1}, "expected a later one"),
        ({"effective_on": date(2025, 1, 1)}, "when version 1 took effect"),
    ],
)
def test_only_later_versions_of_one_contract_are_compared(update, refused):
    before = outcome_contract("service-desk.yaml")
    after = outcome_contract("service-desk-v2.yaml").model_copy(update=update)
    with pytest.raises(TermsError, match=refused):
        differences(before, after)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(1, 3), "1/3"),
        (Fraction(5, 8), "0.625"),
        (Fraction(-7), "-7"),
        (Fraction(10**20), "100000000000000000000"),
        (None, "missing"),
        ({"a": Fraction(1, 2), "b": None}, "a: 0.5, b: missing"),
    ],
)
def test_a_value_is_told_exactly(value, text):
    assert exact(value) == text


def test_an_engagement_may_bet_on_an_indicator_of_its_own():
    contract = load(EXAMPLES / "parts/after-sales.yaml")
    (own,) = contract.own_indicators
    terms = in_outcome_terms(contract, date(2026, 9, 30))
    (read_as,) = (each for each in terms.outcome.inputs if each.title == own.name)
    assert read_as.unit == own.unit
