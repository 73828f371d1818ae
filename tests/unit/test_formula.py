"""Formulas are exact, closed and quick to refuse."""

import copy
import math
import pickle
import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from contracts import formula as module
from contracts.errors import TermsError
from contracts.formula import (
    FUNCTIONS,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_FRACTION_DIGITS,
    MAX_LENGTH,
    NUMBER,
    Formula,
    Number,
)

NAMES = ("a", "b", "ka_count")

inputs = st.fixed_dictionaries(
    {
        "a": st.integers(-20, 20),
        "b": st.decimals(-20, 20, allow_nan=False, places=2),
        "ka_count": st.fractions(-3, 3, max_denominator=12),
    }
)
expressions = st.recursive(
    st.sampled_from([*NAMES, "0", "7", "0.1", "12.50", "30%", "1.25%"]),
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("({})".format, inner),
        st.builds("-({})".format, inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "floor", "ceiling"]), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("{}({}, {}, {})".format, st.sampled_from(["max", "clamp"]), *[inner] * 3),
    ),
    max_leaves=12,
)


class LowAboveHigh(Exception):
    pass


def clamped(value: Fraction, low: Fraction, high: Fraction) -> Fraction:
    if low > high:
        raise LowAboveHigh
    return sorted([low, value, high])[1]


def by_python(text: str, values: dict[str, Number]) -> Fraction:
    """Python's own grammar over fractions."""
    known = {
        "floor": lambda value: Fraction(math.floor(value)),
        "ceiling": lambda value: Fraction(math.ceil(value)),
        "clamp": clamped,
        "number": lambda text: Fraction(text[:-1]) / 100 if text[-1] == "%" else Fraction(text),
    }
    exact = {name: Fraction(value) for name, value in values.items()}
    return Fraction(eval(re.sub(rf"\b{NUMBER.pattern}", r'number("\g<0>")', text), known, exact))


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(TermsError) as refused:
        act()
    return str(refused.value)


def refusal_of(text: str, values: Mapping[str, Number]) -> str:
    return refusal(lambda: Formula(text).evaluate(values))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1 + 0.2", "3/10"),
        ("1 / 3 * 3", "1"),
        ("1 - 2 - 3", "-4"),
        ("8 / 4 / 2", "1"),
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("-2 * -3", "6"),
        ("2 - -3", "5"),
        ("-(1 + 2) * 2", "-6"),
        ("  7  ", "7"),
        ("1.25%", "1/80"),
        ("30% * 10", "3"),
        ("-0.000000001%", "-1/100000000000"),
        ("min(3, 2, 4)", "2"),
        ("max(1/3, 0.3)", "1/3"),
        ("-max (1, 2) * 3", "-6"),
        ("abs(2 - 5)", "3"),
        ("floor(7 / 2)", "3"),
        ("floor(-7 / 2)", "-4"),
        ("ceiling(7 / 2)", "4"),
        ("ceiling(-7 / 2)", "-3"),
        ("clamp(5, 1, 3)", "3"),
        ("clamp(-5, 1, 3)", "1"),
        ("clamp(2, 1, 3)", "2"),
        ("clamp(9, 2, 2)", "2"),
    ],
)
def test_a_formula_is_the_arithmetic_of_school(text, expected):
    formula = Formula(text)
    assert formula.evaluate({}) == formula.constant == Fraction(expected)
    assert type(formula.constant) is Fraction


@pytest.mark.parametrize("text", ["a", "0 * a", "1 / 0", "1 / 0 * 0", "min(1, 2 / (1 - 1))"])
def test_a_formula_with_a_name_or_an_error_has_no_constant(text):
    assert Formula(text).constant is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a - (1 - 2) * 3", "5"),
        ("a * (4 - 1) - 2 / 4", "11/2"),
        ("max(1 + 1, a, 2 * 5)", "10"),
        ("clamp(a, 1 - 1, 2 / 2)", "1"),
        ("1 - 2 - a", "-3"),
    ],
)
def test_what_is_computed_beforehand_changes_nothing(text, expected):
    assert Formula(text).evaluate({"a": 2}) == Fraction(expected)


@given(expressions, inputs)
def test_a_formula_says_what_python_says(text, values):
    formula = Formula(text)
    try:
        expected = by_python(text, values)
    except ZeroDivisionError:
        assert "found 0 for the divisor" in refusal_of(text, values)
    except LowAboveHigh:
        assert "found low above high in clamp(" in refusal_of(text, values)
    else:
        assert formula.evaluate(values) == expected


@given(expressions, inputs)
def test_the_same_text_and_inputs_give_the_same(text, values):
    def outcome() -> object:
        try:
            return Formula(text).evaluate(dict(reversed(values.items())))
        except TermsError as refused:
            return str(refused)

    assert Formula(text) == Formula(text)
    assert outcome() == outcome()


anything = st.text() | st.text(alphabet="ab_10.,%+-*/() e\u00a0１\ud800\0'\"[]:,=<", max_size=30)
anything |= st.lists(st.sampled_from([*FUNCTIONS, *"a1(),%-/"]), max_size=30).map("".join)


@given(anything)
def test_any_text_is_a_formula_or_refused(text):
    try:
        formula = Formula(text)
        formula.evaluate(dict.fromkeys(formula.names, 1))
    except TermsError:
        pass


def test_the_names_of_a_formula_are_its_inputs_in_order():
    formula = Formula("(won - lost) / (won + 2 * ka_count)")
    assert formula.names == ("won", "lost", "ka_count")
    assert formula.evaluate({"won": 4, "lost": 1, "ka_count": 1, "more": 9}) == Fraction(1, 2)


def test_a_formula_is_a_value():
    formula = Formula("a / b")
    assert str(formula) == "a / b"
    assert formula == Formula("a / b") != Formula("a/b")
    assert len({formula, Formula("a / b")}) == 1
    functional = Formula("max(a, 0) / clamp(b, 1, 9)")
    assert pickle.loads(pickle.dumps(functional)).evaluate({"a": 1, "b": 3}) == Fraction(1, 3)
    for copied in (copy.deepcopy(formula), pickle.loads(pickle.dumps(formula))):
        assert copied == formula
        assert copied.evaluate({"a": 1, "b": 3}) == Fraction(1, 3)


OPERAND = (
    "a name in small letters such as ka_count, a number such as 0.25 or 30%, "
    "a function such as max, or ("
)
FUNCTION = "one of abs, ceiling, clamp, floor, max, min"
OPERATOR = "one of + - * / or the end"
PER_CENT = "a per cent sign directly after its number, such as 2%"
COMPARISON = "no comparison; what compares is a gate, a step or a condition"
COMMA = "no comma; thousands are not separated"


@pytest.mark.parametrize(
    ("text", "column", "found", "expected"),
    [
        ("", 1, "its end", OPERAND),
        ("a +", 4, "its end", OPERAND),
        ("(a + b", 7, "its end", "one of + - * / or )"),
        ("(a b)", 4, "'b'", "one of + - * / or )"),
        ("a)", 2, "')'", OPERATOR),
        ("()", 2, "')'", OPERAND),
        ("a b", 3, "'b'", OPERATOR),
        ("+a", 1, "'+'", OPERAND),
        ("--a", 2, "'-'", OPERAND),
        # More than arithmetic.
        ("9 ** 9", 4, "'*'", OPERAND),
        ("a ^ 2", 3, "'^'", OPERATOR),
        ("a // b", 4, "'/'", OPERAND),
        ("a % b", 3, "'%'", PER_CENT),
        ("a << 9", 3, "'<'", COMPARISON),
        ("a == b", 3, "'='", COMPARISON),
        ("a < b", 3, "'<'", COMPARISON),
        ("a and b", 3, "'and'", OPERATOR),
        ("not a", 5, "'a'", OPERATOR),
        ("a if b else 1", 3, "'if'", OPERATOR),
        ("a := 1", 3, "':'", OPERATOR),
        ("a, b", 2, "','", COMMA),
        ("a; b", 2, "';'", OPERATOR),
        ("a # b", 3, "'#'", OPERATOR),
        ("a.real", 1, "'a.real'", OPERAND),
        ("a[0]", 2, "'['", OPERATOR),
        ("[a for a in b]", 1, "'['", OPERAND),
        ("{a}", 1, "'{'", OPERAND),
        ("lambda: 1", 7, "':'", OPERATOR),
        ("'a'", 1, '"\'"', OPERAND),
        ("f'{a}'", 2, '"\'"', OPERATOR),
        ("`a`", 1, "'`'", OPERAND),
        ("True", 1, "'True'", OPERAND),
        ("a(b)", 1, "the function 'a'", FUNCTION),
        # Functions.
        ("1 + maxi(a, b)", 5, "the function 'maxi'", f"{FUNCTION}, nearest is max"),
        ("MAX(a, b)", 1, "the function 'MAX'", f"{FUNCTION}, nearest is max"),
        ("ceil(a)", 1, "the function 'ceil'", f"{FUNCTION}, nearest is ceiling"),
        ("eval('a')", 1, "the function 'eval'", FUNCTION),
        ("__import__('os')", 1, "the function '__import__'", FUNCTION),
        ("max", 4, "its end", "( after the function max"),
        ("min + 1", 5, "'+'", "( after the function min"),
        ("max()", 5, "')'", OPERAND),
        ("max(a,)", 7, "')'", OPERAND),
        ("max(a b)", 7, "'b'", "one of + - * / , or )"),
        ("max(a, b", 9, "its end", "one of + - * / , or )"),
        ("max((a, b))", 7, "','", "one of + - * / or )"),
        ("2 * max(a)", 5, "1 argument", "max(a, b, ...)"),
        ("min(1)", 1, "1 argument", "min(a, b, ...)"),
        ("abs(a, b)", 1, "2 arguments", "abs(a)"),
        ("floor(a, 2)", 1, "2 arguments", "floor(a)"),
        ("ceiling(a, 2)", 1, "2 arguments", "ceiling(a)"),
        ("clamp(a, 2)", 1, "2 arguments", "clamp(x, low, high)"),
        ("clamp(a, 1, 2, 3)", 1, "4 arguments", "clamp(x, low, high)"),
        ("max(a, b)(1)", 10, "'('", OPERATOR),
        ("max.min(1, 2)", 1, "'max.min'", OPERAND),
        # Names.
        ("__import__", 1, "'__import__'", OPERAND),
        ("_a", 1, "'_a'", OPERAND),
        ("KA_count", 1, "'KA_count'", OPERAND),
        ("a" * 49, 1, repr("a" * 49), OPERAND),
        ("ａ", 1, "'ａ'", OPERAND),
        ("客户数", 1, "'客户数'", OPERAND),
        ("n\u0430me", 1, "'n\u0430me'", OPERAND),
        # Numbers.
        ("1e5", 1, "'1e5'", OPERAND),
        ("1_000", 1, "'1_000'", OPERAND),
        ("1,000", 2, "','", COMMA),
        ("0x1F", 1, "'0x1F'", OPERAND),
        ("0o17", 1, "'0o17'", OPERAND),
        ("1j", 1, "'1j'", OPERAND),
        ("007", 1, "'007'", OPERAND),
        (".5", 1, "'.5'", OPERAND),
        ("5.", 1, "'5.'", OPERAND),
        ("1.2.3", 1, "'1.2.3'", OPERAND),
        ("30 %", 4, "'%'", PER_CENT),
        ("30%%", 4, "'%'", PER_CENT),
        ("30%5", 4, "'5'", OPERATOR),
        ("(30)%", 5, "'%'", PER_CENT),
        ("a%", 2, "'%'", PER_CENT),
        ("%", 1, "'%'", OPERAND),
        ("007%", 1, "'007%'", OPERAND),
        ("1e5%", 1, "'1e5%'", OPERAND),
        ("１２", 1, "'１２'", OPERAND),
        ("٣", 1, "'٣'", OPERAND),
        ("9" * 19, 1, repr("9" * 19), OPERAND),
        ("0.0000000001", 1, "'0.0000000001'", OPERAND),
        # Invisible characters.
        ("a\0", 2, r"'\x00'", OPERATOR),
        ("a\n+ b", 2, r"'\n'", OPERATOR),
        ("a\u00a0+ b", 2, r"'\xa0'", OPERATOR),
        ("a\u200b", 2, r"'\u200b'", OPERATOR),
        ("\ud800", 1, r"'\ud800'", OPERAND),
        ("\ufeffa", 1, r"'\ufeff'", OPERAND),
        ("a − b", 3, "'−'", OPERATOR),
    ],
)
def test_what_the_grammar_does_not_say_is_refused_where_it_stands(text, column, found, expected):
    where = f"formula {text!r}, column {column}"
    assert refusal(lambda: Formula(text)) == f"{where}: found {found}, expected {expected}"


def test_parentheses_go_so_deep_and_no_deeper():
    assert Formula("(" * MAX_DEPTH + "7" + ")" * MAX_DEPTH).evaluate({}) == 7
    assert Formula(" + ".join(["(1)"] * 50)).evaluate({}) == 50
    for name in ("abs", "-abs"):
        assert abs(Formula(f"{name}(" * MAX_DEPTH + "7" + ")" * MAX_DEPTH).evaluate({})) == 7
        with pytest.raises(TermsError, match="expected at most 20 parentheses"):
            Formula(f"{name}(" * (MAX_DEPTH + 1))
    deeper = "(" * (MAX_DEPTH + 1) + "7" + ")" * (MAX_DEPTH + 1)
    assert refusal(lambda: Formula(deeper)).endswith(
        f"column {MAX_DEPTH + 1}: found '(', expected at most 20 parentheses inside one another"
    )


def test_a_formula_is_so_long_and_no_longer():
    assert Formula("a" + " " * (MAX_LENGTH - 1)).names == ("a",)
    assert refusal(lambda: Formula("a" + " " * MAX_LENGTH)) == (
        "found a formula of 501 characters, expected at most 500"
    )


@pytest.mark.parametrize(
    ("text", "values", "message"),
    [
        (
            "a / b",
            {"a": 1, "b": Decimal("0.00")},
            "column 3: found 0 for the divisor b, as b = 0.00, expected another number",
        ),
        (
            "a / (b - 2 * a) + 1",
            {"a": 1, "b": 2},
            "column 3: found 0 for the divisor (b - 2 * a), as b = 2, a = 1, "
            "expected another number",
        ),
        ("1 / 0", {}, "column 3: found 0 for the divisor 0, expected another number"),
        (
            "7 / max(a, 0)",
            {"a": -1, "max": 5},
            "column 3: found 0 for the divisor max(a, 0), as a = -1, expected another number",
        ),
        (
            "1 + clamp(a, b, 2)",
            {"a": 1, "b": Decimal("2.5")},
            "column 5: found low above high in clamp(a, b, 2), as a = 1, b = 2.5, "
            "expected low at most high",
        ),
        (
            "clamp(1, 3, 2)",
            {},
            "column 1: found low above high in clamp(1, 3, 2), expected low at most high",
        ),
    ],
)
def test_what_has_no_value_names_the_formula_and_what_is_wrong(text, values, message):
    assert refusal_of(text, values) == f"formula {text!r}, {message}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"won_value": 1, "decided_valu": 1},
            "column 13: found 'decided_value' without a value, "
            "expected a name that has one, nearest is decided_valu",
        ),
        ({}, "column 1: found 'won_value' without a value, expected a name that has one"),
        (
            {"won_value": None, "won_values": None},
            "column 1: found 'won_value' without a value, expected a name that has one",
        ),
    ],
)
def test_a_name_without_a_value_is_told_with_the_nearest(values, message):
    text = "won_value / decided_value"
    assert refusal_of(text, values) == f"formula {text!r}, {message}"


@pytest.mark.parametrize("value", [0.1, True, "1", 1j, float("nan")])
def test_a_value_is_exact_or_refused(value):
    assert refusal_of("2 * a", {"a": value}) == (
        f"formula '2 * a', column 5: found a as {type(value).__name__}, "
        "expected an int, a Decimal or a Fraction"
    )


LARGEST = 10**MAX_DIGITS - 1
BEYOND = (
    LARGEST + 1,
    -(LARGEST + 1),
    10**1_000_000,
    Decimal("1e41"),
    Decimal("1e-41"),
    Decimal("1e999999999"),
    Decimal("1e-999999999"),
    Decimal("0e999999999"),
    Decimal(f"0.{'7' * 1_000_000}"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("-Infinity"),
)


@pytest.mark.parametrize("value", BEYOND, ids=range(len(BEYOND)))
def test_a_value_out_of_range_is_refused_at_once(value):
    started = time.process_time()
    refused = refusal_of("a + 1", {"a": value})
    assert time.process_time() - started < 0.1
    assert refused == (
        "formula 'a + 1', column 1: found a value of a out of range, "
        "expected a finite number of at most 40 digits"
    )


LARGEST_OF_A_FRACTION = 10**MAX_FRACTION_DIGITS - 1


@pytest.mark.parametrize("value", [Fraction(LARGEST_OF_A_FRACTION), Fraction(1, LARGEST + 1)])
def test_a_fraction_may_be_as_long_as_earlier_formulas_make_it(value):
    assert Formula("a").evaluate({"a": value}) == value
    assert Formula("-a").evaluate({"a": -value}) == value


@pytest.mark.parametrize(
    "value",
    [
        Fraction(LARGEST_OF_A_FRACTION + 1),
        Fraction(-LARGEST_OF_A_FRACTION - 1, 7),
        Fraction(1, LARGEST_OF_A_FRACTION + 1),
    ],
    ids=range(3),
)
def test_a_fraction_out_of_range_is_refused(value):
    assert refusal_of("a", {"a": value}).endswith(
        "found a value of a out of range, expected a finite number of at most 400 digits"
    )


@pytest.mark.parametrize(
    "text", ["(" * 10**7, "a" * 10**7, "9**" * 10**6, "\0" * 10**7, "max(" * 10**6]
)
def test_a_huge_text_is_refused_at_once(text):
    started = time.process_time()
    assert len(refusal(lambda: Formula(text))) < 100
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize("sign", "+-*/")
def test_the_longest_formula_over_the_longest_decimals_is_quick(sign):
    formula = Formula(sign.join(["a", "b"] * (MAX_LENGTH // 4)))
    values = {"a": Fraction(LARGEST, LARGEST - 2), "b": Fraction(LARGEST - 6, LARGEST - 10)}
    started = time.process_time()
    formula.evaluate(values)
    assert time.process_time() - started < 0.1


NAMED = [first + second for first in "abcdefg" for second in "abcdefghijklmnopqrstuvw"]
LONG = {
    name: Fraction(LARGEST_OF_A_FRACTION - 2 * n, LARGEST_OF_A_FRACTION - 2 * n - 1)
    for n, name in enumerate([*NAMED, "a", "b"])
}


@pytest.mark.parametrize(
    "text",
    [
        *(sign.join(["a", "b"] * (MAX_LENGTH // 4)) for sign in "+-*/"),
        *(sign.join(NAMED) for sign in "+-*/"),
        f"({'*'.join(NAMED[:80])})/({'+'.join(NAMED[80:])})",
        f"max({','.join(NAMED)})",
        f"floor({'*'.join(NAMED)})",
        f"1+clamp({'*'.join(NAMED[:80])},0,{'+'.join(NAMED[80:])})",
    ],
    ids=range(12),
)
def test_the_longest_formula_over_the_longest_fractions_ends_soon(text):
    started = time.process_time()
    Formula(text).evaluate(LONG)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text",
    ["9" * 500, "9" * 499 + "%", "-" * 500, "max(" * 125, "abs" * 166 + "(1)", "max(1" + ",1" * 247,
     "(" * 20 + "1", "9" * 18 + f"*{'9' * 18}" * 25 + "*", "1/0+" * 124 + "1/", "a%" * 250],
    ids=range(10),
)  # fmt: skip
def test_a_hostile_text_is_refused_at_once(text):
    started = time.process_time()
    assert "expected" in refusal(lambda: Formula(text))
    assert time.process_time() - started < 0.1


class Fee(BaseModel):
    rate: Formula


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("1.25%", "1.25%"),
        ("max(a, 0) / 2", "max(a, 0) / 2"),
        (7, "7"),
        (-7, "-7"),
        (Decimal("0.250"), "0.250"),
        (Decimal("1E+3"), "1000"),
        (Formula("a / b"), "a / b"),
    ],
)
def test_a_field_takes_a_formula_and_travels_as_its_text(given, text):
    fee = Fee.model_validate({"rate": given})
    assert fee.rate == Formula(text)
    assert fee.model_dump() == fee.model_dump(mode="json") == {"rate": text}
    assert Fee.model_validate_json(fee.model_dump_json()) == fee


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a ** 2", f"found 'a ** 2' with '*' at column 4, expected {OPERAND}"),
        (
            "': found x' + maxi(1, 2)",
            f'found "\': found x\' + maxi(1, 2)" with "\'" at column 1, expected {OPERAND}',
        ),
        (
            "maxi(1, 2)",
            "found 'maxi(1, 2)' with the function 'maxi' at column 1, "
            f"expected {FUNCTION}, nearest is max",
        ),
        ("a+" * 60, f"found '{'a+' * 49}a…' with its end at column 121, expected {OPERAND}"),
        ("1" * 501, "found a formula of 501 characters, expected at most 500"),
        (True, "found True, expected a number or a formula such as won / decided"),
        (0.1, "found 0.1, expected a number or a formula such as won / decided"),
        (None, "found None, expected a number or a formula such as won / decided"),
        *(
            (far, "found a number out of range, expected a finite number of at most 40 digits")
            for far in (Decimal("1e999999999"), Decimal("NaN"), 10**100_000)
        ),
    ],
    ids=range(11),
)
def test_a_bad_formula_in_a_field_is_told_as_what_was_found_and_expected(given, message):
    with pytest.raises(ValidationError) as refused:
        Fee.model_validate({"rate": given})
    assert [str(error["ctx"]["error"]) for error in refused.value.errors()] == [message]


def test_the_schema_of_a_field_takes_text_and_numbers():
    for mode in ("validation", "serialization"):
        rate = Fee.model_json_schema(mode=mode)["properties"]["rate"]
        assert rate["type"] == ["string", "number"]
        assert all(name in rate["description"] for name in FUNCTIONS)
        assert [Formula(text).text for text in rate["examples"]] == rate["examples"]


def test_the_page_has_the_grammar_and_the_refusals_as_they_are():
    page = (Path(__file__).parents[2] / "docs/indicators.md").read_text(encoding="utf-8")
    grammar, refusals = page.split("```text\n")[1:]
    for line in grammar.split("```")[0].splitlines():
        assert f"    {line}\n" in str(module.__doc__)
    for line in refusals.split("```")[0].splitlines():
        text = line.split("'")[1]
        values = {"won": 1, "decided_value": 1} if "nearest" in line else {"won": 1, "decided": 0}
        assert refusal_of(text, values) == line
