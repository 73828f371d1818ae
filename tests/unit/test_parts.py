"""What several contracts state in common is stated once, and written out where it is used."""

import json
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from contracts.contract import Contract
from contracts.document import DocumentRefused, json_schema, read_contract, read_document
from contracts.errors import NotFound, Refused
from contracts.indicators import catalogue
from contracts.kinds import KINDS, PARTS, kind_of
from contracts.parts import AnyPart, TaxTable, below
from tollkeeper.cli import app
from tollkeeper.cli import contract as cli
from tollkeeper.cli.contract import load, read
from tollkeeper.cli.screen import Output

FOLDER = Path(__file__).parents[2] / "examples/parts"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml")}
CONTRACT = "after-sales.yaml"
CATALOG = "lanhai-indicators.yaml"


def changed(name: str, *changes: tuple[str, str]) -> str:
    text = TEXTS[name]
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def contract(*changes: tuple[str, str], **files: str) -> Contract:
    """The contract of the example; a file it uses may have another text."""

    def find(path: str) -> AnyPart:
        return read_document(files.get(path.split(".")[0], TEXTS[path]), path, PARTS)

    return read_contract(changed(CONTRACT, *changes), "as.yaml", find)


def refusal(*changes: tuple[str, str], **files: str) -> list[str]:
    with pytest.raises(DocumentRefused) as refused:
        contract(*changes, **files)
    return [str(fault) for fault in refused.value.faults]


def part_refusal(name: str, *changes: tuple[str, str]) -> list[str]:
    with pytest.raises(DocumentRefused) as refused:
        read_document(changed(name, *changes), name, PARTS)
    return [str(fault).split(": ", 1)[1] for fault in refused.value.faults]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_a_document_of_some_kind(path):
    assert kind_of(read(path, KINDS)).title


def test_what_is_used_is_written_out():
    read = contract()
    assert read.uses == ("cn.yaml", "cn-vat.yaml", "lanhai-indicators.yaml")
    assert (read.tax.code, read.tax.rate) == ("CN-VAT-SERVICES", Fraction(6, 100))
    assert read.calendar.overrides == {date(2026, 12, 31): "off"}
    assert [entry.id for entry in read.own_indicators] == ["installation-first-pass-rate"]
    assert read.indicators()["installation-first-pass-rate"].min_sample == 1000
    assert read.indicators().keys() > catalogue().indicators.keys()


def test_a_contract_that_is_read_needs_its_files_no_more():
    read = contract()
    stored = Contract.model_validate_json(read.model_dump_json())
    assert stored == read.model_copy(update={"uses": ()})
    assert stored.digest() == read.digest()
    again = json.dumps(read.model_dump(mode="json"), ensure_ascii=False)
    assert read_contract(again, "as.json") == stored


def test_it_is_the_same_agreement_whether_it_uses_a_part_or_states_it():
    stated = (
        ("calendar: {part: cn}", "calendar: {country: CN, overrides: {2026-12-31: off}, "
         "provisional_years: [2027, 2028]}"),
        ("code: CN-VAT-SERVICES, part: cn-vat", "code: CN-VAT-SERVICES, rate: 6%"),
        ("cn.yaml, cn-vat.yaml, ", ""),
    )  # fmt: skip
    assert contract(*stated).digest() == contract().digest()
    catalog = changed(CATALOG, ("in 30 days, divided", "in 60 days, divided"))
    other = contract(**{"lanhai-indicators": catalog})
    assert other.digest() != contract().digest()


def test_a_contract_without_parts_has_the_digest_that_it_always_had():
    text = (FOLDER.parent / "key-account.yaml").read_text(encoding="utf-8")
    dumped = read_contract(text, "ka.yaml").model_dump(mode="json")
    assert not {"uses", "own_indicators"} & dumped.keys()
    assert dumped["calendar"] == {"country": "CN", "overrides": {}}


# The calendar.


def test_a_provisional_year_is_covered_and_marked():
    calendar = contract().working_calendar()
    assert calendar.id == "CN@2026-2028,provisional:2027+2028"
    assert not calendar.is_working_day(date(2027, 10, 1))
    assert not calendar.is_working_day(date(2026, 12, 31))
    assert calendar.is_working_day(date(2027, 12, 31))


def test_a_year_that_is_neither_decreed_nor_provisional_is_not_covered():
    text = changed("cn.yaml", ("provisional_years: [2027, 2028]\n", ""))
    assert contract(cn=text).working_calendar().id == "CN@2026-2026"


def test_a_provisional_year_is_named_once():
    assert part_refusal("cn.yaml", ("[2027, 2028]", "[2027, 2027]")) == [
        "provisional_years[1]: found '2027' a second time, expected each id once [duplicate_id]"
    ]


# The tax table.


@pytest.mark.parametrize(
    ("on", "rate"),
    [("2016-05-01", 17), ("2018-04-30", 17), ("2018-05-01", 16), ("2026-03-02", 13)],
)
def test_the_rate_is_the_one_in_force_on_that_day(on, rate):
    table = read_document(TEXTS["cn-vat.yaml"], "cn-vat.yaml", PARTS)
    assert isinstance(table, TaxTable)
    assert table.rate("CN-VAT-GOODS", date.fromisoformat(on)) == Fraction(rate, 100)


def test_before_the_first_rate_there_is_none():
    text = changed("cn-vat.yaml", ("6%, effective_on: 2016-05-01", "6%, effective_on: 2026-03-03"))
    assert refusal(**{"cn-vat": text}) == [
        "as.yaml:35:28: tax.code: found no rate of CN-VAT-SERVICES in force on 2026-03-02, "
        "expected 2026-03-03 or later [rate_not_in_force]"
    ]


def test_a_code_is_one_of_the_table():
    assert refusal(("CN-VAT-SERVICES", "CN-VAT-SERVICE")) == [
        "as.yaml:35:28: tax.code: found 'CN-VAT-SERVICE', expected one of CN-VAT-SERVICES, "
        "CN-VAT-GOODS (did you mean CN-VAT-SERVICES?) [unknown_ref]"
    ]


def test_other_faults_of_a_tax_are_told_as_ever():
    assert refusal(("code: CN-VAT-SERVICES, ", "")) == [
        "as.yaml:35:6: tax.code: found nothing, expected the required key code [required_field]"
    ]
    (fault,) = refusal(("effective_on: 2026-03-02", "effective_on: soon"))
    assert ": effective_on: " in fault


def test_from_one_day_on_a_code_has_one_rate():
    assert part_refusal("cn-vat.yaml", ("2019-04-01", "2018-05-01")) == [
        "rates[3].effective_on: found 'CN-VAT-GOODS from 2018-05-01' a second time, "
        "expected each id once [duplicate_id]"
    ]


# The indicator catalogue.


def test_an_own_indicator_keeps_the_rules_of_the_shipped_ones():
    """BET-06, direction and role are those of the house's own entry."""
    assert refusal(("after: P6M", "after: P5M"))[0].endswith(
        "found 'installation-first-pass-rate' in a window that ends after P5M, "
        "expected a window of P6M or longer [BET-06]"
    )
    text = changed(CATALOG, ("higher_is_better", "lower_is_better"))
    assert refusal(**{"lanhai-indicators": text}) == [
        "as.yaml:116:17: bets[0].indicators[0].target: found 0.88, "
        "expected less than the baseline 0.83, as lower is better [direction]"
    ]
    text = changed(CATALOG, ("bet_role: settlement", "bet_role: trend"))
    assert "[IND-01]" in refusal(**{"lanhai-indicators": text})[0]


def test_an_indicator_that_no_used_catalogue_has_is_refused():
    (fault,) = refusal((", lanhai-indicators.yaml", ""))
    assert "found 'installation-first-pass-rate', expected an indicator of the catalogue" in fault


CATALOG_REFUSED = [
    (
        ("value: 0.83", "value: 0.84"),
        "example.value: found 0.84, expected 0.83, as the formula gives it [example]",
    ),
    (
        ("annual_cny: 1140000", "annual_cny: 1"),
        "example.annual_cny: found 1, expected 1140000, as the formula gives it [example]",
    ),
    (
        ("example: 60000", "example: 0"),
        "formula: found formula 'passed_installations / installations', column 22: found 0 for the "
        "divisor installations, as installations = 0, expected another number [example]",
    ),
    (
        ("formula: passed_installations /", "formula: passed /"),
        "formula: found a formula over passed, installations, "
        "expected one over passed_installations, installations [formula_names]",
    ),
    (
        ("expression: delta *", "expression: 0.05 *"),
        "monetisation.expression: found a formula over installations_annual, cost_per_revisit, "
        "expected one over delta, installations_annual, cost_per_revisit [formula_names]",
    ),
    (
        ("formula: passed_installations / installations", "formula: a ** b"),
        "formula: found 'a ** b' with '*' at column 4, expected a name in small letters",
    ),
    (
        (", cost_per_revisit: 95", ""),
        "monetisation.parameters[1]: found 'cost_per_revisit' without a value, "
        "expected its value in example.parameters",
    ),
    (
        ("id: installation-first-pass-rate", "id: win-rate-count"),
        "id: found 'win-rate-count', which the shipped catalogue has, "
        "expected an id of its own [duplicate_id]",
    ),
    (
        ("id: installation-first-pass-rate", "id: registered-users"),
        "id: found the vanity metric 'registered-users', expected a measure of value instead, "
        "service-led-repurchase-rate [IND-06]",
    ),
    (
        ("vanity_flag: none", "vanity_flag: vanity_if_alone"),
        "bet_role: found settlement for what flatters when alone, "
        "expected trend or diagnostic [IND-06]",
    ),
    (
        ("higher_is_better", "target_band"),
        "band: found no band, expected one, as the direction is target_band [direction]",
    ),
    (
        ("data_source:", "band: [0.7, 0.9]\n    data_source:"),
        "band: found a band, expected none, as the direction is higher_is_better [direction]",
    ),
    (
        ("direction: higher_is_better", "direction: target_band\n    band: [0.9, 0.7]"),
        "band: found 0.9 to 0.7, expected the lower bound first [direction]",
    ),
    (
        ("repeat-repair-rate", "repeat-repair"),
        "gaming.counter_indicator: found 'repeat-repair', expected an indicator of the catalogue "
        "(did you mean repeat-repair-rate?) [unknown_indicator]",
    ),
    (
        ("repeat-repair-rate", "installation-first-pass-rate"),
        "gaming.counter_indicator: found 'installation-first-pass-rate', "
        "expected an indicator of the catalogue",
    ),
    (
        ("overlap_group: installation-quality", "overlap_group: installation-qualiti"),
        "monetisation.overlap_group: found 'installation-qualiti', "
        "expected a group of the catalogue (did you mean installation-quality?) [unknown_ref]",
    ),
    (("count: 1000", "count: 0"), "min_sample.count: found '0', expected 1 or more [invalid_value]"),
    (
        ("name: installations,", "name: passed_installations,"),
        "inputs[1].name: found 'passed_installations' a second time",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CATALOG_REFUSED, ids=lambda given: str(given)[:40])
def test_a_catalogue_that_does_not_hold_together_is_refused(change, message):
    assert part_refusal(CATALOG, change)[0].startswith(f"indicators[0].{message}")


def test_a_group_of_the_shipped_catalogue_is_not_defined_again():
    assert part_refusal(CATALOG, ("{id: installation-quality", "{id: ka-growth"))[0] == (
        "overlap_groups[0].id: found 'ka-growth', which the shipped catalogue has, "
        "expected an id of its own [duplicate_id]"
    )


def test_an_indicator_may_also_be_written_out_in_the_contract_and_is_checked_there():
    document = contract().model_dump(mode="json")
    document["own_indicators"][0]["example"]["value"] = "0.84"
    with pytest.raises(DocumentRefused) as refused:
        read_contract(json.dumps(document), "as.json")
    (fault,) = refused.value.faults
    assert fault.path == "own_indicators[0].example.value"
    document["own_indicators"] *= 2
    with pytest.raises(DocumentRefused, match=r"own_indicators.1..id: found .* a second time"):
        read_contract(json.dumps(document), "as.json")


# Naming and finding parts.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("{part: cn}", "{part: cnn}"),
            "as.yaml:32:18: calendar.part: found 'cnn', expected one of cn "
            "(did you mean cn?) [unknown_part]",
        ),
        (
            ("uses: [cn.yaml, ", "uses: ["),
            "as.yaml:32:18: calendar.part: found 'cn', expected the id of a part under uses "
            "[unknown_part]",
        ),
        (
            ("{part: cn}", "{part: [cn]}"),
            "as.yaml:32:18: calendar.part: found a list, expected one of cn [unknown_part]",
        ),
        (
            ("{part: cn}", "{part: cn, country: weekdays}"),
            "as.yaml:32:31: calendar.country: found country beside part, "
            "expected the one or the other [unknown_field]",
        ),
        (
            ("part: cn-vat}", "part: cn-vat, rate: 9%}"),
            "as.yaml:35:65: tax.rate: found rate beside part, "
            "expected the one or the other [unknown_field]",
        ),
        (
            ("uses: [cn.yaml, cn-vat.yaml", "uses: [cn.yaml, cn.yaml, cn-vat.yaml"),
            "as.yaml:13:17: uses[1]: found Calendar 'cn' a second time, "
            "expected each id once [duplicate_id]",
        ),
        (
            ("uses: [cn.yaml, cn-vat.yaml", "uses: [cn.yaml, {}, cn-vat.yaml"),
            "as.yaml:13:17: uses[1]: found a mapping, expected text [invalid_type]",
        ),
    ],
)
def test_a_part_is_named_by_its_id(change, message):
    assert refusal(change) == [message]


def test_faults_in_a_used_file_are_told_of_that_file_and_all_at_once():
    texts = {
        "cn": changed("cn.yaml", ("country: CN", "country: CH")),
        "cn-vat": changed("cn-vat.yaml", ("rate: 6%", "rate: 0.06")),
    }
    assert refusal(("currency: CNY", "currency: EURO"), **texts) == [
        "cn.yaml:7:10: country: found 'CH', expected one of CN, weekdays [unknown_value]",
        "cn-vat.yaml:7:75: rates[0].rate: found '0.06', expected a share such as 30% or 1/3 "
        "[invalid_value]",
    ]


def test_only_parts_are_used():
    (fault,) = refusal(cn=TEXTS[CONTRACT])
    assert fault == (
        "cn.yaml:3:7: kind: found 'Contract', expected one of Calendar, TaxTable, "
        "IndicatorCatalog [unknown_value]"
    )


def test_without_files_nothing_is_used():
    with pytest.raises(DocumentRefused) as refused:
        read_contract(TEXTS[CONTRACT], "as.yaml")
    assert str(refused.value.faults[0]) == (
        "as.yaml:13:8: uses[0]: found 'cn.yaml', expected none where there are no files [uses]"
    )


@pytest.mark.parametrize(
    "path",
    ["../cn.yaml", "/etc/passwd", "a/../../cn.yaml", "a//b", "./a", "", "C:\\a", "a\\b", "file:a"],
)
def test_a_path_stays_below_the_folder_of_the_contract(path):
    with pytest.raises(Refused, match="expected a path below the folder of this document"):
        below(path)


def written(folder: Path, **texts: str) -> Path:
    for name, text in {**{Path(n).stem: t for n, t in TEXTS.items()}, **texts}.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / CONTRACT


def test_a_contract_in_a_folder_is_read_with_the_files_beside_it(tmp_path):
    read = load(written(tmp_path))
    assert read == contract()


@pytest.mark.parametrize(
    ("used", "message"),
    [
        ("../cn.yaml", "found '../cn.yaml', expected a path below the folder of this document, "
         "such as calendars/cn-2027.yaml"),
        ("missing.yaml", "found no file missing.yaml, expected one with a part"),
        ("folder", "found no file folder, expected one with a part"),
        ("outside.yaml", "found 'outside.yaml', which leads elsewhere, "
         "expected a file in this folder"),
    ],
)  # fmt: skip
def test_a_file_that_may_not_be_used_is_refused_where_it_is_named(tmp_path, used, message):
    (tmp_path / "contracts" / "folder").mkdir(parents=True)
    (tmp_path / "elsewhere.yaml").write_text(TEXTS["cn.yaml"], encoding="utf-8")
    (tmp_path / "contracts" / "outside.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    text = changed(CONTRACT, ("uses: [cn.yaml", f"uses: [{used}"))
    path = written(tmp_path / "contracts", **{"after-sales": text})
    with pytest.raises(DocumentRefused) as refused:
        load(path)
    assert str(refused.value) == f"{path}:13:8: uses[0]: {message} [uses]"


def test_a_file_that_is_not_there_is_told_with_what_was_looked_for(tmp_path):
    with pytest.raises(NotFound, match=r"none.yaml: .*, expected a document$"):
        load(tmp_path / "none.yaml")


# The commands.


def test_the_check_says_what_each_file_is(capsys):
    cli.check([FOLDER / name for name in (CONTRACT, "cn.yaml", "cn-vat.yaml", CATALOG)])
    told = [line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()]
    provisional = "; the working days of 2027, 2028 are provisional"
    assert told == [
        f"after-sales.yaml: contract AS-2026-011 version 1 is well-formed{provisional}",
        f"cn.yaml: calendar cn is well-formed{provisional}",
        "cn-vat.yaml: tax table cn-vat is well-formed",
        "lanhai-indicators.yaml: indicator catalog lanhai is well-formed",
    ]


def test_the_check_says_to_a_program_what_is_wrong_and_what_is_not(capsys, tmp_path):
    path = written(tmp_path, cn=changed("cn.yaml", ("country: CN", "country: CH")))
    with pytest.raises(SystemExit):
        cli.check([path, tmp_path / "cn-vat.yaml"], output=Output(json=True))
    told = json.loads(capsys.readouterr().out)
    assert told["documents"] == [
        {"file": str(tmp_path / "cn-vat.yaml"), "kind": "tax table", "id": "cn-vat"}
    ]
    assert [fault["file"] for fault in told["faults"]] == [str(tmp_path / "cn.yaml")]


@pytest.mark.parametrize("name", ["tax-table", "TaxTable", "taxtable"])
def test_a_schema_is_asked_for_by_the_name_of_its_kind(capsys, name):
    cli.schema(kind=name)
    assert json.loads(capsys.readouterr().out)["$id"] == "urn:tollkeeper:tax-table:v1"


def test_an_unknown_kind_is_told_with_those_there_are():
    with pytest.raises(CycloptsError, match="found 'tax', expected one of contract, "):
        app(["contract", "schema", "--kind", "tax"], exit_on_error=False, print_error=False)


# Schemas.


def test_the_schema_of_a_contract_offers_the_parts():
    schema = json_schema()
    assert schema["properties"]["uses"]["items"]["type"] == "string"
    ways = [way["$ref"] for way in schema["properties"]["calendar"]["anyOf"]]
    assert ways == ["#/$defs/WorkingDays", "#/$defs/CalendarOfPart"]
    assert schema["$defs"]["TaxOfPart"]["required"] == ["clause", "code", "part"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.slug)
def test_every_kind_has_a_schema(kind):
    schema = json_schema(kind)
    assert schema["$id"] == f"urn:tollkeeper:{kind.slug}:v1"
    assert schema["properties"]["kind"]["const"] == kind.name
