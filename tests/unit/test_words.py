"""A contract in plain words says all of its document, in both languages alike."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from contracts.calendar import Period
from contracts.contract import Contract
from contracts.document import Kind, decode, read_document
from contracts.errors import NotFound
from contracts.fields import Title
from contracts.formula import Formula
from contracts.kinds import CONTRACTS, PARTS
from contracts.money import Money
from contracts.outcome.basics import Window, WindowKind
from contracts.outcome.outcome import OutcomeContract
from contracts.words.page import WIDTH, columns, wrapped
from contracts.words.said import Language, Point, Said, listed, say
from lifecycle.order import ORDER, stage_of
from tollkeeper.cli.explain import explain, explained

ROOT = Path(__file__).parents[2]
EXAMPLES = [ROOT / "examples" / "key-account.yaml", *sorted((ROOT / "examples").rglob("*.yaml"))]


SIGNED: Sequence[Kind[Contract | OutcomeContract]] = CONTRACTS


def contract_in(file: Path) -> Contract | OutcomeContract:
    def part(used: str) -> Any:
        return read_document((file.parent / used).read_text("utf-8"), used, PARTS)

    return read_document(decode(file.read_bytes(), file.name), file.name, SIGNED, part)


def is_contract(file: Path) -> bool:
    return re.search(r"^kind: Contract$", file.read_text("utf-8"), re.MULTILINE) is not None


CONTRACT_FILES = [file for file in dict.fromkeys(EXAMPLES) if is_contract(file)]


# A specimen: every kind of term, with every field filled. A new field is in it by itself.

NUMBERS = count(1)


def fresh() -> int:
    return next(NUMBERS)


SIMPLE: dict[type, Any] = {
    str: lambda: f"n{fresh()}",
    bool: lambda: True,
    int: fresh,
    Fraction: lambda: Fraction(1, fresh() + 1),
    Decimal: lambda: Decimal(fresh()),
    date: lambda: date(2030, 1, 1) + timedelta(days=fresh()),
    Period: lambda: Period(months=fresh(), days=fresh()),
    Formula: lambda: Formula(f"f{fresh()} + {fresh()}"),
    Money: lambda: Money(100 * fresh(), "CNY"),
}


def samples(annotation: Any) -> list[Any]:
    """Values of every type that a field may have."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return samples(inner[0])
    if origin in (Union, UnionType):
        return [value for each in inner if each is not NoneType for value in samples(each)]
    if origin is Literal:
        return [inner[0]]
    if origin is tuple:
        entries = samples(inner[0])
        return [tuple(entries) if inner[1] is Ellipsis else (samples(inner[0])[0], entries[0])]
    if origin is not None:
        return [dict(zip(samples(inner[0]), samples(inner[1]), strict=False))]
    if issubclass(annotation, BaseModel):
        return list(specimens(annotation))
    if issubclass(annotation, Enum):
        return list(annotation)[:1]
    return [SIMPLE[annotation]()]


def specimens(model: type[BaseModel]) -> Iterator[Any]:
    """As many as it takes to have every type of value in every field."""
    model.model_rebuild()
    if model is Window:
        for over, needed in Window.NEEDS.items():
            given = {name: samples(Window.model_fields[name].annotation)[0] for name in needed}
            yield Window.model_construct(over=over, earlier_by=Period(2, 3), **given)
        yield Window.model_construct(
            over=WindowKind.PERIOD, later_by=Period(4, 5), restarts_after=Formula("used_up")
        )
        return
    most = max(len(samples(field.annotation)) for field in model.model_fields.values())
    for n in range(most):
        given = {}
        for name, field in model.model_fields.items():
            values = samples(field.annotation)
            given[name] = values[n % len(values)]
        yield model.model_construct(**given)


# Every value in a contract, and the others that could stand in its place.

Way = tuple[Any, ...]


def leaves(value: Any, annotation: Any, way: Way = ()) -> Iterator[tuple[Way, list[Any]]]:
    """Each value that a document states, with its alternatives."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if name in value.model_fields_set and not field.exclude:
                yield from leaves(getattr(value, name), field.annotation, (*way, name))
    elif isinstance(value, tuple):
        for n, item in enumerate(value):
            yield from leaves(item, annotation, (*way, n))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, annotation, (*way, key))
    elif value is not None:
        yield way, alternatives(value, annotation)


def alternatives(value: Any, annotation: Any) -> list[Any]:
    if isinstance(value, Enum):
        return [each for each in type(value) if each is not value]
    if value in (choices := list(literals(annotation))):
        return [each for each in choices if each != value]
    match value:
        case bool():
            return [not value]
        case int() | Decimal():
            return [value + 1]
        case Fraction():
            return [value / 2 if value else Fraction(1, 2)]
        case date():
            return [value + timedelta(days=1)]
        case Period(months=months, days=days):
            return [Period(months + 1, days), Period(months, days + 1)]
        case Formula(text=text):
            return [Formula(f"1 + {text}")]
        case Money(minor=minor, currency=currency):
            return [Money(minor + 1, currency)]
        case str():
            return [f"{value}x"]
    raise AssertionError(f"no alternative for {value!r}")


def literals(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for inner in get_args(annotation):
            yield from literals(inner)


def replaced(value: Any, way: Way, new: Any) -> Any:
    if not way:
        return new
    first, rest = way[0], way[1:]
    if isinstance(value, BaseModel):
        return value.model_copy(update={first: replaced(getattr(value, first), rest, new)})
    if isinstance(value, tuple):
        return (*value[:first], replaced(value[first], rest, new), *value[first + 1 :])
    return {key: replaced(each, rest, new) if key == first else each for key, each in value.items()}


def said(contract: Any) -> dict[Language, str]:
    """All words of a contract, without their layout."""
    page = explained(contract)
    words = [page.title]
    for section in page.sections:
        words += [section.heading, *section.intro]
        for item in section.items:
            words.append(item.head)
            words += [each.said if isinstance(each, Point) else each for each in item.told]
    return {language: "\n".join(each.text(language) for each in words) for language in Language}


def languages_of(contract: Any, way: Way) -> list[Language]:
    """A title is told in its own language, and the English one stands in where there is no other."""
    holder = contract
    for part in way[:-1]:
        holder = (
            getattr(holder, part)
            if isinstance(part, str) and hasattr(holder, part)
            else holder[part]
        )
    if isinstance(holder, Title) and (way[-1] == "zh" or holder.zh is not None):
        return [Language(way[-1])]
    return list(Language)


def unsaid(contract: Any, within: Way = ()) -> list[str]:
    """The values of a contract that could be another one without a change in its words."""
    before = said(contract)
    found = []
    for way, others in leaves(contract, type(contract)):
        if way[: len(within)] != within:
            continue
        texts = [before, *(said(replaced(contract, way, other)) for other in others)]
        for language in languages_of(contract, way):
            if len({text[language] for text in texts}) < len(texts):
                found.append(f"{'.'.join(map(str, way))} ({language.value})")
    return found


@pytest.mark.parametrize("file", CONTRACT_FILES, ids=lambda file: file.stem)
def test_no_value_of_a_contract_changes_without_a_change_in_its_words(file):
    assert unsaid(contract_in(file)) == []


def test_an_engagement_contract_states_nothing_that_its_words_leave_out():
    for specimen in specimens(Contract):
        assert unsaid(specimen) == []


def test_outcome_terms_state_nothing_that_their_words_leave_out():
    """Each entry of each list by itself, as the text of all of them together is long."""
    for specimen in specimens(OutcomeContract):
        lists = {name: each for name, each in specimen.outcome if isinstance(each, tuple) and each}
        bare = specimen.outcome.model_copy(update=dict.fromkeys(lists, ()))
        assert unsaid(specimen.model_copy(update={"outcome": bare})) == []
        for name, entries in lists.items():
            for entry in entries:
                alone = bare.model_copy(update={name: (entry,)})
                contract = specimen.model_copy(update={"outcome": alone})
                assert unsaid(contract, ("outcome", name)) == []


@pytest.mark.parametrize("file", CONTRACT_FILES, ids=lambda file: file.stem)
def test_the_text_keeps_within_its_columns_and_names_every_clause(file):
    contract = contract_in(file)
    clauses = set(re.findall(r"'clause': '([^']+)'", str(contract.model_dump(mode="json"))))
    for language in Language:
        text = explained(contract).text(language)
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert max(map(columns, lines)) <= WIDTH
        assert not re.search(r"^ *[，。；：）]", text, re.MULTILINE)
        told = {
            clause for clause in clauses if f"Clause {clause}" in text or f"第{clause}条" in text
        }
        assert told == clauses


def test_the_side_of_each_boundary_is_said():
    contract = contract_in(ROOT / "examples/schemes/service-level-tiers.yaml")
    text = said(contract)[Language.EN]
    assert (
        "x at least 99.0 (exactly 99.0 counts) and less than 99.9 (exactly 99.9 does not count): 10"
        in text
    )
    assert "低于99.9（恰为99.9时不算在内）：10" in said(contract)[Language.ZH]


def test_amounts_are_grouped_and_shares_are_per_cents():
    text = said(contract_in(ROOT / "examples/key-account.yaml"))[Language.EN]
    assert "30% of the fee `project`, Project fee, 540,000.00 CNY" in text
    assert "baseline 24%, target 28%" in text
    assert "baseline 11,200,000 CNY/account/year" in text


def test_a_name_is_said_to_be_what_its_title_says():
    text = said(contract_in(ROOT / "examples/schemes/nec-option-c.yaml"))[Language.EN]
    assert "Here `prices` is The Prices (in GBP)." in text


def test_the_order_of_operations_has_twenty_one_stages():
    assert [stage.number for stage in ORDER] == list(range(1, 22))


def test_every_piece_acts_at_the_stage_at_which_its_value_comes_to_be():
    for specimen in specimens(OutcomeContract):
        outcome = specimen.outcome
        pieces = [*outcome.parameters, *outcome.nodes(), *outcome.caps, *outcome.retentions]
        for piece in [*pieces, *outcome.statement]:
            assert piece.id in stage_of(piece, outcome).acting(outcome)


def test_every_name_of_a_contract_is_in_the_order_of_operations():
    for specimen in specimens(OutcomeContract):
        outcome = specimen.outcome
        acting = {name for stage in ORDER for name in stage.acting(outcome)}
        named = [*outcome.inputs, *outcome.events, *outcome.parameters, *outcome.nodes()]
        named += [*outcome.caps, *outcome.retentions, *outcome.statement]
        assert {each.id for each in named} | set(outcome.excuses) <= acting


def test_a_contract_is_explained_in_english_and_then_in_chinese(capsys):
    explain(ROOT / "examples/key-account.yaml")
    text = capsys.readouterr().out
    assert text.startswith("# Contract KA-2024-017, version 1")
    assert "\n# 合同KA-2024-017，第1版" in text
    assert "[bold]" not in text


def test_one_language_is_told_alone(capsys):
    explain(ROOT / "examples/key-account.yaml", language=Language.ZH)
    assert capsys.readouterr().out.startswith("# 合同KA-2024-017")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NotFound):
        explain(tmp_path / "none.yaml")


def test_sentences_are_put_together_in_each_language():
    both = say("{a} of {b}", "{b}的{a}", a=Said("half", "一半"), b=listed(["x", "y", "z"]))
    assert both == Said("half of x, y and z", "x、y和z的一半")


def test_chinese_breaks_at_the_width_and_never_before_a_full_stop():
    lines = list(wrapped("合" * 49 + "。" + "同" * 3, "- "))
    assert [columns(line) for line in lines] == [98, 12]
    assert lines[1] == "  合。同同同"
