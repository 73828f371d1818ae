"""A contract document is read exactly, or refused with every fault in its place."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field

from contracts import kinds
from contracts.contract import Contract
from contracts.document import (
    CONTRACT,
    LIMITS,
    DocumentRefused,
    Fault,
    Kind,
    Limits,
    decode,
    json_schema,
    read_contract,
    read_document,
)
from contracts.errors import Refused
from contracts.fields import Count, Id, Share, Terms, Text
from contracts.problems import Problem

MAX_BYTES, MAX_NODES = LIMITS
EXAMPLES = Path(__file__).parents[2] / "examples"
KEY_ACCOUNT = (EXAMPLES / "key-account.yaml").read_text(encoding="utf-8")


def changed(*changes: tuple[str, str]) -> str:
    """The key-account contract with the first occurrence of each text replaced."""
    text = KEY_ACCOUNT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def faults(text: str, name: str = "ka.yaml") -> tuple[Fault, ...]:
    with pytest.raises(DocumentRefused) as refused:
        read_contract(text, name)
    return refused.value.faults


def refusal(text: str) -> list[str]:
    return [str(fault) for fault in faults(text)]


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_accepted(example):
    assert read_document(example.read_text(encoding="utf-8"), example.name, kinds.KINDS)


def test_a_contract_is_the_same_in_yaml_and_in_json():
    contract = read_contract(KEY_ACCOUNT, "ka.yaml")
    for indent in (None, 2, "\t"):
        text = json.dumps(contract.model_dump(mode="json"), indent=indent, ensure_ascii=False)
        assert read_contract(text, "ka.json") == contract


def test_a_contract_survives_the_wire_exactly():
    contract = read_contract(KEY_ACCOUNT, "ka.yaml")
    assert Contract.model_validate_json(contract.model_dump_json()) == contract


# Golden messages: file, line, column, path, found, expected, hint, rule.


def test_a_fee_with_separators_is_refused_at_its_place():
    assert refusal(changed(("amount: 100000.00", "amount: 1_000_000"))) == [
        "ka.yaml:42:13: fees[0].amount: found '1_000_000', "
        "expected a plain amount such as 1000000.00 [invalid_value]"
    ]


def test_milestones_one_fen_short_are_refused_with_both_sums():
    text = changed(
        ("amount: 270000.00\n    evidence: [go-live", "amount: 269999.99\n    evidence: [go-live")
    )
    assert refusal(text) == [
        "ka.yaml:83:13: milestones[3].amount: found 1259999.99 for the milestones of fee project, "
        "expected 1260000.00 = 1800000.00 less holdback 540000.00 [BET-02]"
    ]


def test_an_unknown_indicator_is_refused_once_and_with_the_nearest_name():
    assert refusal(changed(("indicator: win-rate-count", "indicator: win-rate-cuont"))) == [
        "ka.yaml:102:20: bets[0].indicators[0].indicator: found 'win-rate-cuont', "
        "expected an indicator of the catalogue (did you mean win-rate-count?) [unknown_indicator]"
    ]


def test_a_duplicate_key_is_refused_with_the_line_of_the_first():
    assert refusal(changed(("  fee: micro\n", "  fee: micro\n  fee: micro\n"))) == [
        "ka.yaml:52:3: micro_consulting.fee: found the key 'fee' a second time, "
        "expected each key once; line 51 has it already [yaml_duplicate_key]"
    ]


def test_a_misspelt_key_is_refused_together_with_the_one_that_is_missing():
    assert refusal(changed(("amount: 360000.00", "amout: 360000.00"))) == [
        "ka.yaml:54:5: milestones[0].amount: found nothing, "
        "expected the required key amount [required_field]",
        "ka.yaml:59:5: milestones[0].amout: found the key 'amout', expected one of id, clause, "
        "title, phase, fee, amount, evidence, acceptance, go_live, more (did you mean amount?) "
        "[unknown_field]",
    ]


def test_the_nearest_key_is_one_of_that_kind_of_window():
    assert refusal(changed(("settles: [ka-average-output]", "settle: [ka-average-output]"))) == [
        "ka.yaml:123:9: bets[0].windows[2].settles: found nothing, "
        "expected the required key settles [required_field]",
        "ka.yaml:123:66: bets[0].windows[2].settle: found the key 'settle', expected one of reads, "
        "id, clause, after, settles, reading_within, readings_due (did you mean settles?) "
        "[unknown_field]",
    ]
    trend = faults(changed(("after: P3M", "aftr: P3M")))[-1]
    assert (trend.nearest, trend.expected) == ("after", "one of reads, id, clause, after")


def test_all_faults_come_at_once_in_the_order_of_the_document():
    text = changed(
        ("after: P6M", "after: 6 months"),
        ("currency: CNY", "currency: EURO"),
        ("rate: 30%", "rate: 130%"),
        ("  fee: micro\n", "  fee: micro\n  fee: micro\n"),
        ("roles: [expert]", "roles: [exprt]"),
    )
    found = faults(text)
    assert [fault.path for fault in found] == [
        "currency",
        "parties.consultant.people[0].roles[0]",
        "micro_consulting.fee",
        "holdback.rate",
        "bets[0].windows[1].after",
    ]
    assert [(fault.line, fault.column) for fault in found] == sorted(
        (fault.line, fault.column) for fault in found
    )


def test_a_wrong_currency_is_the_only_fault_though_no_amount_can_be_read():
    assert refusal(changed(("currency: CNY", "currency: EURO"))) == [
        "ka.yaml:11:11: currency: found 'EURO', expected one of CNY, EUR, GBP, HKD, JPY, KRW, KWD, "
        "SGD, TWD, USD [currency]"
    ]
    assert [fault.path for fault in faults(changed(("currency: CNY\n", "")))] == ["currency"]


def test_a_fault_is_also_data():
    (fault,) = faults(changed(("product: key-account", "product: key-acount")))
    assert fault.as_json() == {
        "file": "ka.yaml",
        "line": 50,
        "column": 12,
        "path": "micro_consulting.product",
        "found": "'key-acount'",
        "expected": "one of key-account, after-sales",
        "rule": "unknown_value",
        "nearest": "key-account",
    }


def test_what_was_found_is_shown_shortened_and_without_hidden_characters():
    (fault,) = faults(changed(("id: KA-2024-017", f"id: {'x' * 5000}")))
    assert len(fault.found) == 200
    assert fault.found.endswith("…")
    (fault,) = faults(changed(("id: KA-2024-017", 'id: "a\\nb"')))
    assert fault.found == r"'a\nb'"


# Documents of several kinds, and models that nest unions.


class Number(Terms):
    kind: Literal["number"]
    value: Count


class Steps(Terms):
    kind: Literal["steps"]
    steps: Annotated[tuple["Rate", ...], Field(min_length=2)]
    named: Annotated[dict[Id, "Rate"], Field(default_factory=dict)]


Rate = Annotated[Number | Steps, Field(discriminator="kind")]


def even(value: int) -> int:
    if value % 2:
        raise Refused(f"found {value}, expected an even number", "EVEN-01")
    return value


class Tariff(Terms):
    kind: Literal["Tariff"]
    rates: tuple[Rate, ...]
    pieces: Annotated[Count, Field(le=8), AfterValidator(even)] = 2
    share: Share | Rate = Fraction(0)
    series: tuple[Count, ...] | dict[Text, tuple[Count, ...]] = ()
    code: Annotated[str, Field(alias="as")] = ""


class Draft(Terms):
    kind: Literal["Tariff"]
    draft: Text


KINDS: list[Kind[BaseModel]] = [
    CONTRACT,
    Kind("tariff", Tariff, lambda tariff: [], limits=Limits(bytes=300_000, values=40)),
    Kind(
        "tariff draft",
        Draft,
        lambda draft: [Problem(("draft",), repr(draft.draft), "another", "taste")],
        key="draft",
    ),
]


def refused(text: str, kinds: Sequence[Kind[BaseModel]] = KINDS) -> list[str]:
    with pytest.raises(DocumentRefused) as refusal:
        read_document(text, "t.yaml", kinds)
    return [str(fault).removeprefix("t.yaml:") for fault in refusal.value.faults]


def test_a_document_is_read_by_the_model_of_its_kind():
    assert read_document("{kind: Tariff, rates: []}", "t.yaml", KINDS) == Tariff(
        kind="Tariff", rates=()
    )
    assert read_document(KEY_ACCOUNT, "ka.yaml", KINDS) == read_contract(KEY_ACCOUNT, "ka.yaml")


def test_of_two_kinds_with_one_name_a_key_tells_which_it_is():
    assert refused("kind: Tariff\ndraft: x\n") == [
        "2:8: draft: found 'x', expected another [taste]"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rates: []",
            "1:1: kind: found nothing, expected the required key kind with one of Contract, Tariff "
            "[required_field]",
        ),
        (
            "kind: Tarif",
            "1:7: kind: found 'Tarif', expected one of Contract, Tariff (did you mean Tariff?) "
            "[unknown_value]",
        ),
        (
            "kind: [Tariff]",
            "1:7: kind: found a list, expected one of Contract, Tariff [unknown_value]",
        ),
        ("kind: &a Tarif", "1:7: kind: found the anchor &a, expected the value written out"),
    ],
)
def test_no_value_is_judged_before_the_kind_is_known(text, message):
    (fault,) = refused(text)
    assert fault.startswith(message)


def test_a_document_of_another_kind_is_told_as_that():
    assert refusal("kind: Tariff\nrates: []\n") == [
        "ka.yaml:1:7: kind: found 'Tariff', expected Contract [unknown_value]"
    ]


def test_every_kind_has_its_own_limits():
    many = ", ".join(["{kind: number, value: 1}"] * 13)
    assert refused(f"{{kind: Tariff, rates: [{many}]}}") == [
        "1:1: found more than 40 values, expected at most 40 [too_many]"
    ]
    assert refused(f"kind: Tariff\ndraft: {'x' * 262200}") == [
        "1:1: found 262220 bytes, expected at most 262144 [too_large]"
    ]
    assert refused(f"kind: Tariff\nrates: {'x' * 300_000}") == [
        "1:1: found 300020 bytes, expected at most 300000 [too_large]"
    ]


def test_faults_inside_unions_inside_unions_are_in_their_place():
    text = """kind: Tariff
rates:
  - kind: steps
    steps:
      - {kind: number, value: one}
      - kind: steps
        steps: [{kind: number, valu: 1}, {kind: step}]
        named: {number: {kind: number, value: 1, kind_of: x}, "a b": {kind: number, value: 1}}
  - {kind: steps, steps: [{kind: number, value: 1}]}
"""
    assert refused(text) == [
        "5:31: rates[0].steps[0].value: found 'one', expected a whole number in plain digits, "
        "such as 10 [invalid_value]",
        "7:17: rates[0].steps[1].steps[0].value: found nothing, expected the required key value "
        "[required_field]",
        "7:32: rates[0].steps[1].steps[0].valu: found the key 'valu', expected one of kind, value "
        "(did you mean value?) [unknown_field]",
        "7:49: rates[0].steps[1].steps[1].kind: found 'step', expected one of number, steps "
        "(did you mean steps?) [unknown_value]",
        "8:50: rates[0].steps[1].named.number.kind_of: found the key 'kind_of', "
        "expected one of kind, value (did you mean kind?) [unknown_field]",
        "8:63: rates[0].steps[1].named['a b']: found 'a b', "
        "expected letters, digits, - and _, at most 48, such as KA-2024-017 [invalid_value]",
        "9:26: rates[1].steps: found a list, expected at least 2 [too_short]",
    ]


def test_a_refusal_of_a_model_has_the_rule_that_it_names():
    assert refused("{kind: Tariff, rates: [], pieces: 3}") == [
        "1:35: pieces: found 3, expected an even number [EVEN-01]"
    ]
    assert refused("{kind: Tariff, rates: [], pieces: 10}") == [
        "1:35: pieces: found '10', expected 8 or less [invalid_value]"
    ]


def test_a_field_may_have_another_name_in_the_document():
    assert refused("{kind: Tariff, rates: [], as: {}, ass: x}") == [
        "1:31: as: found a mapping, expected text [invalid_type]",
        "1:35: ass: found the key 'ass', expected one of kind, rates, pieces, share, series, as "
        "(did you mean as?) [unknown_field]",
    ]


def test_a_value_of_one_form_or_another_is_told_once_and_in_place():
    assert refused("{kind: Tariff, rates: [], share: {kind: number, value: x}}") == [
        "1:56: share.value: found 'x', expected a whole number in plain digits, such as 10 "
        "[invalid_value]"
    ]
    assert refused("{kind: Tariff, rates: [], share: 30}") == [
        "1:34: share: found '30', expected a share such as 30% or 1/3, "
        "or a mapping of keys to values [invalid_value]"
    ]
    assert refused("{kind: Tariff, rates: [], series: {a: [1, x]}}") == [
        "1:43: series.a[1]: found 'x', expected a whole number in plain digits, such as 10 "
        "[invalid_value]"
    ]
    assert refused("{kind: Tariff, rates: [], series: 1}") == [
        "1:35: series: found '1', expected a list, or a mapping of keys to values [invalid_type]"
    ]


# Bad input: YAML. The place is part of the message where the fault has one.

YAML_REFUSED = {
    "nothing": (
        "",
        "ka.yaml:1:1: found an empty document, expected a mapping of keys to values [empty]",
    ),
    "only a comment": (
        "# x\n",
        "ka.yaml:2:1: found an empty document, expected a mapping of keys to values [empty]",
    ),
    "null": (
        "--- ~",
        "ka.yaml:1:5: found nothing, expected a mapping of keys to values [invalid_type]",
    ),
    "a list": (
        "- a",
        "ka.yaml:1:1: found a list, expected a mapping of keys to values [invalid_type]",
    ),
    "a text": (
        "hello",
        "ka.yaml:1:1: found 'hello', expected a mapping of keys to values [invalid_type]",
    ),
    "two documents": (
        "a: 1\n---\nb: 2\n",
        "ka.yaml:2:1: found a second document, expected one document [yaml_documents]",
    ),
    "a directive": (
        "%YAML 1.1\n---\na: yes\n",
        "ka.yaml:2:1: found a YAML directive, expected none [yaml_directive]",
    ),
    "tab indentation": (
        "a:\n\tb: 1\n",
        "ka.yaml:2:1: found no YAML: found character '\\t' that cannot start any token, "
        "expected YAML 1.2, indented with spaces [yaml_syntax]",
    ),
    "a second colon": (
        "a: b: c\n",
        "ka.yaml:1:5: found no YAML: mapping values are not allowed here, "
        "expected YAML 1.2, indented with spaces [yaml_syntax]",
    ),
    "an open quote": (
        'a: "b\n',
        "ka.yaml:2:1: found no YAML: found unexpected end of stream, "
        "expected YAML 1.2, indented with spaces [yaml_syntax]",
    ),
    "an impossible escape": (
        'a: [b, "\\UFFFFFFFF"]',
        'ka.yaml:1:5: found an escape beyond "\\U0010FFFF", '
        "expected a character of Unicode [yaml_syntax]",
    ),
    "a list as key": (
        "? [a]\n: b\n",
        "ka.yaml:1:3: found a key that is no text, expected a text key [yaml_key]",
    ),
    "brackets without end": (
        "[" * 2000,
        "ka.yaml:1:34: found more than 32 levels, expected at most 32 levels [yaml_depth]",
    ),
    "braces without end": (
        "{a: " * 2000,
        "ka.yaml:1:133: found more than 32 levels, expected at most 32 levels [yaml_depth]",
    ),
    "too many values": (
        "- a\n" * (MAX_NODES + 1),
        "ka.yaml:10000:3: found more than 10000 values, expected at most 10000 [too_many]",
    ),
    "too large": (
        "a: " + "x" * (1 << 20),
        "ka.yaml:1:1: found 1048579 bytes, expected at most 262144 [too_large]",
    ),
    "a NUL": (
        "a: \0",
        "ka.yaml:1:4: found the character U+0000, "
        "expected text without control, invisible and direction marks [yaml_character]",
    ),
    "a lone surrogate": (
        "a: \ud800",
        "ka.yaml:1:4: found the character U+D800, "
        "expected text without control, invisible and direction marks [yaml_character]",
    ),
    "a direction mark in a comment": (
        "a: 1 # \u202e\n",
        "ka.yaml:1:8: found the character U+202E, "
        "expected text without control, invisible and direction marks [yaml_character]",
    ),
}


@pytest.mark.parametrize(("text", "message"), YAML_REFUSED.values(), ids=YAML_REFUSED)
def test_what_is_no_plain_yaml_is_refused_with_one_clear_fault(text, message):
    assert refusal(text) == [message]


IN_PLACE_REFUSED = {
    "an anchor": ("&a micro", "the anchor &a, expected the value written out [yaml_alias]"),
    "an alias": ("*a", "the alias *a, expected the value written out [yaml_alias]"),
    "a tag": ("!!binary micro", "the tag tag:yaml.org,2002:binary, expected a value without a tag"),
    "a call": (
        "!!python/object/apply:os.system micro",
        "the tag tag:yaml.org,2002:python/object/apply:os.system, expected a value without a tag",
    ),
    "a bare tag": ("! micro", "the tag !, expected a value without a tag [yaml_tag]"),
    "an escaped direction mark": ('"micro\\u202e"', "the character U+202E, expected text without"),
    "an escaped NUL": ('"micro\\x00"', "the character U+0000, expected text without control"),
    "a zero-width space": ('"micro\\u200b"', "the character U+200B, expected text without control"),
}


@pytest.mark.parametrize(("value", "found"), IN_PLACE_REFUSED.values(), ids=IN_PLACE_REFUSED)
def test_a_value_that_is_not_what_it_reads_like_is_refused(value, found):
    (message,) = refusal(changed(("  fee: micro\n", f"  fee: {value}\n")))
    assert message.startswith(f"ka.yaml:51:8: micro_consulting.fee: found {found}")


KEYS_REFUSED = {
    "a number": ("1", "micro_consulting.1: found the key '1', expected a text key [yaml_key]"),
    "a float": (
        "1.5",
        "micro_consulting['1.5']: found the key '1.5', expected a text key [yaml_key]",
    ),
    "null": ("~", "micro_consulting['~']: found the key '~', expected a text key [yaml_key]"),
    "true": ("true", "micro_consulting.true: found the key 'true', expected a text key [yaml_key]"),
    "a merge": (
        "<<",
        "micro_consulting['<<']: found a merge key, expected the keys written out [yaml_merge]",
    ),
}


@pytest.mark.parametrize(("key", "found"), KEYS_REFUSED.values(), ids=KEYS_REFUSED)
def test_a_key_that_is_no_text_is_refused(key, found):
    text = changed(("  fee: micro\n", f"  {key}: x\n  fee: micro\n"))
    assert refusal(text) == [f"ka.yaml:51:3: {found}"]


def test_a_word_that_older_yaml_takes_for_a_boolean_is_text():
    on, country = faults(changed(("country: CN", "on: x\n  country: NO")))
    assert str(on).startswith("ka.yaml:31:3: calendar.on: found the key 'on', expected one of")
    assert str(country) == (
        "ka.yaml:32:12: calendar.country: found 'NO', expected one of CN, weekdays [unknown_value]"
    )


def test_billion_laughs_are_refused_without_being_told():
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    found = faults("\n".join(lines))
    assert sum(fault.rule == "yaml_alias" for fault in found) == 10 + 9 * 9


# Bad input: money, shares, counts, dates, periods, and the other grammars.

AMOUNTS_REFUSED = [
    "NaN", "sNaN", ".nan", "Infinity", "-Infinity", ".inf", "1e999999", "1E+3", "1.0e+3",
    "１２３.４５", "١٢٣", "²", "1_000", '" 12 "', '"12\\n"', "+5", "1,000.00", "1.000,00", "1'000",
    "0x10", "0o10", "010", ".", ".5", "5.", "--5", "--", "1" * 5000, "12:30:00", "ten", "'=1+1'",
]  # fmt: skip


@pytest.mark.parametrize("amount", AMOUNTS_REFUSED)
def test_an_amount_has_one_spelling(amount):
    (fault,) = faults(changed(("amount: 100000.00", f"amount: {amount}")))
    assert (fault.line, fault.path) == (42, "fees[0].amount")
    assert "amount" in fault.expected


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ("-5.00", "found -5.00, expected an amount above zero"),
        ("-0", "found '-0', expected a plain amount such as 1000000.00"),
        ("0.00", "found 0.00, expected an amount above zero"),
        ("1 000", "found '1 000', expected an amount with its currency, such as 12.50 CNY"),
        ("'12 '", "found '12 ', expected an amount with its currency, such as 12.50 CNY"),
        ("", "found nothing, expected a plain amount such as 1000000.00"),
        ("true", "found true, expected a plain amount such as 1000000.00"),
        ("[1]", "found a list, expected a plain amount such as 1000000.00"),
        ("{}", "found a mapping, expected a plain amount such as 1000000.00"),
    ],
)
def test_an_amount_that_cannot_be_owed_is_refused(amount, message):
    assert refusal(changed(("amount: 100000.00", f"amount: {amount}"))) == [
        f"ka.yaml:42:{13 if amount else 5}: fees[0].amount: {message} [invalid_value]"
    ]


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ("12.345", "found '12.345', expected at most 2 decimals for CNY [scale]"),
        ("10000000000000", "found '10000000000000', expected an amount below 10^15 minor units "
         "[range]"),
        ("12.50 EURO", "found '12.50 EURO', expected an amount with its currency, such as "
         "12.50 CNY [currency]"),
    ],
)  # fmt: skip
def test_an_amount_out_of_its_currency_is_refused_with_the_rule(amount, message):
    assert refusal(changed(("amount: 100000.00", f"amount: {amount}"))) == [
        f"ka.yaml:42:13: fees[0].amount: {message}"
    ]


@pytest.mark.parametrize(
    ("currency", "amount"), [("JPY", "12.5"), ("KWD", "12.3456"), ("EUR", "12.345")]
)
def test_an_amount_has_no_more_decimals_than_its_currency(currency, amount):
    text = changed(("currency: CNY", f"currency: {currency}"), ("100000.00", amount))
    found = next(fault for fault in faults(text) if fault.path == "fees[0].amount")
    digits = {"JPY": 0, "KWD": 3, "EUR": 2}[currency]
    assert found.expected == f"at most {digits} decimals for {currency}"


@pytest.mark.parametrize("code", ["eur", "EU", "EURO", "XXX", "BTC", "€", "ＥＵＲ", "''", "[CNY]"])
def test_a_currency_is_one_of_the_list(code):
    (fault,) = faults(changed(("currency: CNY", f"currency: {code}")))
    assert fault.path == "currency"


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2024-W35-5", "a date such as 2024-08-30"),
        ("20240830", "a date such as 2024-08-30"),
        ("2024-8-30", "a date such as 2024-08-30"),
        ("２０２４-08-30", "a date such as 2024-08-30"),
        ('" 2024-08-30"', "a date such as 2024-08-30"),
        ("2024-08-30 10:00:00", "a date such as 2024-08-30"),
        ("2024-08-30T00:00:00Z", "a date such as 2024-08-30"),
        ("2024-08-30T24:00:00Z", "a date such as 2024-08-30"),
        ("1767600000", "a date such as 2024-08-30"),
        ("30.08.2024", "a date such as 2024-08-30"),
        ("now", "a date such as 2024-08-30"),
        ("yesterday", "a date such as 2024-08-30"),
        ("infinity", "a date such as 2024-08-30"),
        ("", "a date such as 2024-08-30"),
        ("[2024-08-30]", "a date such as 2024-08-30"),
        ("2024-02-30", "a day that the calendar has"),
        ("2023-02-29", "a day that the calendar has"),
        ("2100-02-29", "a day that the calendar has"),
        ("2024-13-01", "a day that the calendar has"),
        ("0001-01-01", "a date from 2000-01-01 to 2099-12-31"),
        ("9999-12-31", "a date from 2000-01-01 to 2099-12-31"),
    ],
)
def test_a_date_is_a_day_of_the_calendar_in_one_spelling(day, expected):
    (fault,) = faults(changed(("signed_on: 2024-08-30", f"signed_on: {day}")))
    assert (fault.line, fault.path, fault.expected) == (9, "signed_on", expected)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../x", "EST5", "Asia", "''", "/etc/passwd"])
def test_a_time_zone_is_one_of_the_tz_database(zone):
    (fault,) = faults(changed(("timezone: Asia/Shanghai", f"timezone: {zone}")))
    assert fault.expected == "a time zone such as Asia/Shanghai"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("working_days: 10", "working_days: 010", "a whole number in plain digits, such as 10"),
        ("working_days: 10", "working_days: 1_0", "a whole number in plain digits, such as 10"),
        ("working_days: 10", "working_days: -1", "a whole number in plain digits, such as 10"),
        ("working_days: 10", "working_days: 1.0", "a whole number in plain digits, such as 10"),
        ("working_days: 10", "working_days: true", "a whole number such as 10"),
        ("version: 1", "version: 0", "1 or more"),
        ("rate: 30%", "rate: 0.3", "a share such as 30% or 1/3"),
        ("rate: 30%", "rate: 30", "a share such as 30% or 1/3"),
        ("rate: 30%", "rate: 101%", "a share between 0% and 100%"),
        ("rate: 30%", "rate: 1/0", "a share such as 30% or 1/3"),
        ("target: 0.28", "target: 28%", "a plain decimal number such as 81.25"),
        ("target: 0.28", "target: .nan", "a plain decimal number such as 81.25"),
        ("after: P3M", "after: 3M", "a period such as P3M, P1Y or P10D"),
        ("after: P3M", "after: P1.5M", "a period such as P3M, P1Y or P10D"),
        ("after: P3M", "after: P0D", "a period such as P3M, P1Y or P10D"),
        ("deemed: true", "deemed: yes", "true or false"),
        ("deemed: true", "deemed: 'true'", "true or false"),
        ("deemed: true", "deemed: 1", "true or false"),
        ("go_live: true", "go_live: on", "true or false"),
        ("id: M1", "id: M 1", "letters, digits, - and _, at most 48, such as KA-2024-017"),
        ("id: M1", "id: М1", "letters, digits, - and _, at most 48, such as KA-2024-017"),
        (
            "id: gao.feng",
            "id: Gao",
            "small letters, digits, and . _ -, at most 48, such as chen.yu",
        ),
        ('clause: "3.3"', 'clause: " 3"', "a clause of at most 32 characters, such as 4.1"),
        ("name: 陈宇", f"name: {'陈' * 501}", "at most 500 characters"),
        ("name: 陈宇", "name: ''", "at least one"),
        ("name: 陈宇", "name: null", "text"),
        ("roles: [expert]", "roles: []", "at least one"),
        ("roles: [expert]", "roles: expert", "a list"),
        ("zh: 项目费}", "zh: {}}", "text"),
        ("title: {en: Go-live, zh: 系统上线}", "title: Go-live", "a mapping of keys to values"),
        (
            "effect: block_invoicing",
            "effect: block",
            "one of block_invoicing, withhold_payment, reserve_refund",
        ),
        ("reads: trend", "reads: trends", "one of trend, settlement"),
        ("reads: trend}", "x: trend}", "the required key reads"),
        (
            "scoring: {kind: binary, at_target: met}",
            "scoring: {kind: cliff}",
            "one of binary, clamped_linear, steps, affine, curve, table, shortfall, per_unit, logistic",
        ),
        (
            "scoring: {kind: binary, at_target: met}",
            "scoring: binary",
            "a mapping of keys to values",
        ),
        (
            "scoring: {kind: binary, at_target: met}",
            "scoring: {kind: clamped_linear, floor: 90%, cap: 10%}",
            "floor < cap",
        ),
        ("apiVersion: tollkeeper/v1", "apiVersion: tollkeeper/v2", "tollkeeper/v1"),
        (
            "country: CN",
            "country: CN\n  overrides: {2024-13-01: off}",
            "a day that the calendar has",
        ),
        ("country: CN", "country: CN\n  overrides: {2024-10-01: of}", "one of working, off"),
    ],
)
def test_a_value_outside_its_grammar_is_refused_with_what_is_expected(old, new, message):
    (fault,) = faults(changed((old, new)))
    assert fault.expected == message


@given(st.text())
@settings(deadline=None)
def test_any_text_is_read_or_refused(text):
    with pytest.raises(DocumentRefused) as refused:
        read_contract(text, "ka.yaml")
    assert refused.value.faults


PIECES = [
    "a", "b: c", "1e5", "null", "é", "- ", "? ", ": ", ", ", "\n", "\n  ", "\t", "\r", "~", "@",
    "`", "{", "}", "[", "]", "&a ", "*a ", "!", "!!str ", "!<x", "%YAML 1.1\n", "%TAG", "---",
    "...", "|9\n", ">-\n", "|+", "'", '"', "\\", '"\\UFFFFFFFF"', '"\\u12"', "<<: ", "#", "\0",
    "\ud800", "\ufeff",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(deadline=None)
def test_any_pieces_of_yaml_are_read_or_refused(text):
    with pytest.raises(DocumentRefused):
        read_contract(text, "ka.yaml")


@given(st.integers(0, len(KEY_ACCOUNT)), st.integers(0, 12), st.sampled_from(PIECES))
@settings(deadline=None, max_examples=50)
def test_a_damaged_contract_is_read_or_refused(start, length, piece):
    text = KEY_ACCOUNT[:start] + piece + KEY_ACCOUNT[start + length :]
    with suppress(DocumentRefused):
        read_contract(text, "ka.yaml")


HOSTILE = {
    "brackets": "[" * MAX_BYTES,
    "many values": "- a\n" * (MAX_BYTES // 4),
    "long scalar": "a: " + "x" * (MAX_BYTES - 3),
    "many lines": "a: " + "x\n " * (MAX_BYTES // 3 - 1),
    "long tag": "!" * MAX_BYTES,
    "many aliases": "a: &a [a]\nb: [" + "*a," * (MAX_NODES - 10) + "]",
    "many unknown keys": "".join(f"k{n}: 1\n" for n in range(MAX_NODES // 2 - 1)),
    "many second keys": "a: 1\n" * (MAX_NODES // 2 - 1),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_document_is_refused_within_a_second(text):
    before = time.process_time()
    assert faults(text)
    assert time.process_time() - before < 1


def test_a_file_is_text_in_utf_8():
    assert decode("a: 启明\n".encode(), "ka.yaml") == "a: 启明\n"
    assert decode(b"\xef\xbb\xbfa: 1\n", "ka.yaml") == "a: 1\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a: 1\nb: é\n".encode("latin-1"), "ka.yaml:2:4: found the byte 0xe9"),
        ("a: 1\n".encode("utf-16"), "ka.yaml:1:1: found the byte 0xff"),
        ("a: 启\nb: ".encode() + b"\xff", "ka.yaml:2:4: found the byte 0xff"),
    ],
)
def test_another_encoding_is_refused_at_its_first_byte(data, message):
    with pytest.raises(DocumentRefused) as refused:
        decode(data, "ka.yaml")
    assert str(refused.value) == f"{message}, expected text in UTF-8 [encoding]"


def test_a_byte_order_mark_does_not_move_the_places():
    text = changed(("# yaml-language-server: $schema=contract.schema.json\n", ""))
    text = text.replace("tollkeeper/v1", "v1")
    assert [fault.column for fault in faults("\ufeff" + text)] == [13]


def test_the_schema_asks_only_for_what_a_document_must_state():
    schema = json_schema()
    assert schema["$id"] == "urn:tollkeeper:contract:v1"
    required = {name: set(model.get("required", ())) for name, model in schema["$defs"].items()}
    assert required["MicroConsulting"] == {"clause", "product", "fee"}
    assert required["SettlementWindow"] == {"reads", "id", "clause", "after", "settles"}
    assert required["WorkingDays"] == {"country"}


def test_the_schema_lets_editors_read_numbers_as_numbers():
    properties = json_schema()["$defs"]
    assert properties["FeeLine"]["properties"]["amount"]["type"] == ["string", "number"]
    assert properties["BetIndicator"]["properties"]["target"]["type"] == ["number", "string"]
    assert properties["AcceptanceClock"]["properties"]["working_days"]["type"] == [
        "integer",
        "string",
    ]
