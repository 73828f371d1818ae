"""Every bad input of the corpus is refused in its own words, at once; what is only odd is read."""

import ast
import re
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CycloptsError
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from contracts.calendar import BusinessCalendar, Period, add_period, local_date
from contracts.commands import (
    AcceptMilestone,
    AddReading,
    CompleteStep,
    Decide,
    Outcome,
    SubmitEvidence,
)
from contracts.commercial import HoldEffect, HoldKind
from contracts.contract import Contract, Role
from contracts.document import DocumentRefused, decode, read_contract
from contracts.errors import EngagementError
from contracts.money import Money, allocate, parse_amount
from lifecycle.hold import Hold
from lifecycle.micro_consulting import MicroWork, complete_step, decide
from lifecycle.milestone import MilestoneWork, accept, submit
from tollkeeper.cli import app
from tollkeeper.cli.common import well_formed

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
EXAMPLE = (ROOT / "examples" / "key-account.yaml").read_text(encoding="utf-8")
EVERY_CLAUSE = (ROOT / "examples" / "managed-rollout.yaml").read_text(encoding="utf-8")
MONEY: TypeAdapter[Money] = TypeAdapter(Money)

SECONDS, BYTES = 1.0, 100_000_000
"""The most that any input may take: of CPU, and of memory."""

ITEMS = {"C": 44, "M": 26, "D": 22}
NOT_YET = {"M-24", "D-19", "D-20"}
"""What events over HTTP bring with them."""


# The faces of the program. Each takes what a case gives and returns what was read, or raises.


def text_of(given: Any) -> str:
    """`{repeat: x, times: 9}`, `example`, `every clause`, or the text itself; a list is joined."""
    match given:
        case list():
            return "".join(map(text_of, given))
        case {"repeat": piece, "times": times}:
            return str(piece * times)
        case "example":
            return EXAMPLE
        case "every clause":
            return EVERY_CLAUSE
    assert isinstance(given, str), given
    return given


def document(given: dict[str, Any]) -> str:
    text = text_of(given.get("text", "example"))
    for old, new in given.get("replace", {}).items():
        assert old in text, old
        text = text.replace(old, text_of(new), 1)
    data = text.encode(given.get("encoding", "utf-8"))
    return read_contract(decode(data, "ka.yaml"), "ka.yaml").id


def example_with(key: str, given: Any) -> Contract:
    text, times = re.subn(rf"{key}: .*", lambda _: f"{key}: {text_of(given)}", EXAMPLE, count=1)
    assert times == 1
    return read_contract(text, "ka.yaml")


def amount(given: Any) -> str:
    return written(example_with("amount", given).fees[0].amount)


def json_amount(given: str) -> str:
    """The same in a document that is JSON."""
    text = example_with("amount", "0.01").model_dump_json().replace('"0.01 CNY"', given, 1)
    return written(read_contract(text, "ka.json").fees[0].amount)


def top(key: str) -> Callable[[Any], str]:
    return lambda given: str(getattr(example_with(key, given), key))


def wire(given: Any) -> str:
    return written(MONEY.validate_json(text_of(given)))


def reading(key: str) -> Callable[[Any], str]:
    """A field of a reading, as JSON."""
    fields = {
        "command_id": '"r1"',
        "by": '"zhao.min"',
        "at": '"2026-01-05T10:00:00Z"',
        "indicator": '"ka-dso-days"',
        "measured_on": '"2026-01-05"',
        "value": '"81.25"',
        "sample": "40",
        "source": '"ERP"',
        "evidence": '"dso.csv"',
    }

    def read(given: Any) -> str:
        parts = (f'"{name}": {value}' for name, value in (fields | {key: text_of(given)}).items())
        found = getattr(AddReading.model_validate_json(f"{{{', '.join(parts)}}}"), key)
        return str(found.isoformat() if isinstance(found, date) else found)

    return read


def naive(given: str) -> str:
    """A time that was made inside the program."""
    at = datetime.fromisoformat(given)
    return AcceptMilestone(command_id="a", by="wang.fang", at=at).at.isoformat()


READING = "reading add E1 ka-dso-days --value 81 --sample 9 --source ERP --evidence d.csv --by z"


def command_line(words: str, option: str) -> Callable[[str], str]:
    def parsed(given: str) -> str:
        call = [*words.split(), option, given]
        _, bound, _ = app.parse_args(call, exit_on_error=False, print_error=False)
        return str(bound.arguments[option.strip("-")].isoformat())

    return parsed


def hold(*parts: str) -> str:
    nothing = money("0.00 CNY")
    held = Hold(
        id="HB1",
        kind=HoldKind.VALUE_BET,
        effect=HoldEffect.BLOCK_INVOICING,
        clause="5.1",
        fee="project",
        placed=money("100.00 CNY"),
        placed_tax=nothing,
        decided_tax=nothing,
        released=nothing,
        forfeited=nothing,
        reserved=nothing,
        placed_by="contract",
        placed_at=instant("2025-04-27T09:00:00Z"),
    )
    for part in parts:
        released = money(part if " " in part else f"{part} CNY")
        held.require(released)
        held = held.model_copy(update={"released": held.released + released})
    return written(held.held)


def split(given: dict[str, Any]) -> str:
    return " + ".join(map(str, allocate(money(given["total"]), list(map(Fraction, given["over"])))))


def share(given: dict[str, str]) -> str:
    return written(money(given["of"]).share(Fraction(given["part"])))


def later(given: dict[str, str]) -> str:
    return add_period(date.fromisoformat(given["day"]), Period.parse(given["by"])).isoformat()


def end_of_day(given: dict[str, str]) -> str:
    calendar = BusinessCalendar("test", given["zone"], 2000, 2099)
    day = date.fromisoformat(given["day"])
    assert calendar.local_date(calendar.end_of_day(day)) == day
    return calendar.end_of_day(day).isoformat()


def day_there(given: dict[str, str]) -> str:
    return local_date(datetime.fromisoformat(given["at"]), given["zone"]).isoformat()


def answer(given: dict[str, str]) -> str:
    """A milestone is handed in, and the client accepts it."""
    contract = read_contract(EXAMPLE, "ka.yaml")
    work = MilestoneWork(terms=contract.milestone("M1"))
    proofs = dict.fromkeys(work.terms.evidence, "proof.pdf")
    handed_in = SubmitEvidence(
        command_id="s", by="sun.hao", at=instant(given["submitted"]), evidence=proofs
    )
    work, _ = submit(work, handed_in, contract.working_calendar())
    accepted = AcceptMilestone(command_id="a", by="wang.fang", at=instant(given["accepted"]))
    return accept(work, accepted)[0].state.value


def begun(opened: str) -> MicroWork:
    plan = read_contract(EXAMPLE, "ka.yaml").micro_consulting.plan
    return MicroWork(plan=plan, started_at=instant(opened), step_open_since=instant(opened))


def step(given: dict[str, str]) -> str:
    work, done = begun(given["opened"]), instant(given["done"])
    command = CompleteStep(command_id="d", by="chen.yu", at=done, step="S01", minutes=0)
    return str(complete_step(work, command)[0].current())


def gate(given: dict[str, str]) -> str:
    """Both sides may sign from the last step on."""
    opened, signed = instant(given["opened"]), instant(given["signed"])
    work = begun(given["opened"])
    for each in work.plan.steps:
        done = CompleteStep(
            command_id=each.id, by="chen.yu", at=opened, step=each.id, minutes=each.minutes
        )
        work, _ = complete_step(work, done)
    signature = Decide(
        command_id="g",
        by="li.wei",
        at=signed,
        role=Role.BUSINESS_LEAD,
        outcome=Outcome.PROCEED,
        reason="as discussed",
    )
    return str(decide(work, signature)[0])


def money(text: str) -> Money:
    return parse_amount(*text.split(" "))


def written(amount: Money) -> str:
    return f"{amount} {amount.currency}"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


FACES: dict[str, Callable[..., str]] = {
    "document": document,
    "amount": amount,
    "json_amount": json_amount,
    "currency": top("currency"),
    "timezone": top("timezone"),
    "signed_on": top("signed_on"),
    "wire": wire,
    "value": reading("value"),
    "sample": reading("sample"),
    "at": reading("at"),
    "measured_on": reading("measured_on"),
    "naive": naive,
    "--to": command_line("clock advance E1", "--to"),
    "--on": command_line(READING, "--on"),
    "hold": hold,
    "split": split,
    "share": share,
    "later": later,
    "end_of_day": end_of_day,
    "local_date": day_there,
    "answer": answer,
    "step": step,
    "gate": gate,
}
SEQUENCES = {"hold"}
"""Faces to which a list is one story, and not so many cases."""


# What a face refuses, in one shape.


@dataclass(frozen=True)
class Refusal:
    code: str
    place: str
    message: str


Refused = (DocumentRefused, ValidationError, CycloptsError, EngagementError)
"""All that may come out; anything else is a crash."""


def refusals(call: Callable[[], str]) -> list[Refusal]:
    try:
        call()
    except DocumentRefused as refused:
        return [Refusal(f.rule, f"{f.line}:{f.column}", str(f)) for f in refused.faults]
    except ValidationError as refused:
        return [Refusal(_code(error), "", _told(refused)) for error in refused.errors()]
    except CycloptsError as refused:
        return [Refusal("usage", "", str(refused))]
    except EngagementError as refused:
        return [Refusal(type(refused).__name__, "", str(refused))]
    return []


def _code(error: Any) -> str:
    default = "invalid_value" if error["type"] == "value_error" else error["type"]
    return str(getattr(error.get("ctx", {}).get("error"), "rule", default))


def _told(refused: ValidationError) -> str:
    """What the command line says about a command that is not well-formed."""
    with pytest.raises(EngagementError) as told, well_formed():
        raise refused
    return str(told.value)


# The corpus.


@dataclass(frozen=True)
class Case:
    item: str
    name: str
    call: Callable[[], str]
    expected: dict[str, Any]


def load() -> dict[str, dict[str, Any]]:
    items = [
        item
        for file in sorted(CORPUS.glob("*.yaml"))
        for item in YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    ]
    assert len({item["id"] for item in items}) == len(items)
    return {item["id"]: item for item in items}


def cases(item: dict[str, Any]) -> list[Case]:
    found: list[Case] = []
    for stated in item["cases"]:
        if "to" not in stated:
            continue
        face, given = FACES[stated["to"]], stated["given"]
        story = stated["to"] in SEQUENCES
        for one in [given] if story or not isinstance(given, list) else given:
            arguments = one if story else [one]
            found.append(
                Case(
                    item["id"],
                    f"{item['id']} {stated['to']} {len(found) + 1}",
                    lambda face=face, arguments=arguments: face(*arguments),  # type: ignore[misc]
                    stated | {"given": one},
                )
            )
    return found


ALL = load()
CASES = [case for item in ALL.values() for case in cases(item)]
REFUSED = [case for case in CASES if "refused" in case.expected]
READ = [case for case in CASES if "gives" in case.expected]


def fitting(case: Case, found: list[Refusal]) -> list[Refusal]:
    """The refusals that are as the case says."""
    code, says, at = (case.expected.get(key) for key in ("refused", "says", "at"))
    return [
        each
        for each in found
        if each.code == code and str(says) in each.message and at in (None, each.place)
    ]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_bad_input_is_refused_in_its_own_words_and_place(case):
    found = refusals(case.call)
    assert found, "it was accepted"
    assert fitting(case, found), found


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_an_odd_input_is_read_as_it_is_written(case):
    gives = case.expected["gives"]
    assert case.call() == (case.expected["given"] if gives == "given" else gives)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_input_takes_a_second_or_100_mb(case):
    before = time.process_time()
    refusals(case.call)
    assert time.process_time() - before < SECONDS
    tracemalloc.start()
    try:
        refusals(case.call)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < BYTES


def test_no_two_inputs_are_told_alike():
    told: dict[str, str] = {}
    for case in REFUSED:
        for each in fitting(case, refusals(case.call)):
            assert told.setdefault(each.message, case.item) == case.item, each.message


def test_the_corpus_has_every_item_of_its_tables():
    assert ALL.keys() == {f"{table}-{n:02}" for table in ITEMS for n in range(1, ITEMS[table] + 1)}


def test_what_the_program_does_not_have_yet_is_a_short_list():
    waiting = {
        item["id"]: case["not_yet"]
        for item in ALL.values()
        for case in item["cases"]
        if "not_yet" in case
    }
    assert waiting.keys() == NOT_YET
    assert all("events over HTTP" in why for why in waiting.values())


def test_what_is_tested_elsewhere_is_there():
    for item in ALL.values():
        for case in item["cases"]:
            if "elsewhere" in case:
                file, _, name = case["elsewhere"].partition("::")
                tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
                names = {getattr(node, "name", "") for node in tree.body}
                assert name in names, case["elsewhere"]


def test_every_case_says_what_is_expected_of_it():
    for item in ALL.values():
        assert item["cases"], item["id"]
        for case in item["cases"]:
            kinds = [
                {"to", "given", "refused", "says"} <= case.keys(),
                {"to", "given", "gives"} <= case.keys(),
                case.keys() == {"not_yet"},
                case.keys() == {"elsewhere"},
            ]
            assert kinds.count(True) == 1, (item["id"], case)
