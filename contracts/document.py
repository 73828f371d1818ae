"""From the text of a contract to the contract, or to every fault in it with its place. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, NoReturn, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from contracts.checks import Loc, Problem, check, nearest
from contracts.contract import PERSON_ID, Contract
from contracts.errors import TermsError
from contracts.fields import CLAUSE, ID

# No contract comes near these; they keep a hostile text below a second and below 100 MB.
MAX_BYTES = 256 * 1024
MAX_NODES = 10_000
MAX_DEPTH = 32
MAX_SHOWN = 200

KEY = "[key]"
"""As the last part of a `Loc`: the key itself, not its value. The word is pydantic's."""

# Plain scalars of YAML 1.2 that are no text here. Numbers stay text, for our own exact grammars.
CONSTANTS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")

# Controls, surrogates, noncharacters, and whatever is invisible or turns the reading direction.
HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff]"
)

DISCRIMINATORS = ("reads", "kind")
"""The keys that choose between kinds of windows and kinds of scoring."""

PATTERNS = {
    ID: "letters, digits, - and _, at most 48, such as KA-2024-017",
    PERSON_ID: "small letters, digits, and . _ -, at most 48, such as chen.yu",
    CLAUSE: "a clause of at most 32 characters, such as 4.1",
}
TYPES = {
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


class Mark(NamedTuple):
    """A place in the text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a document, told to the person who wrote it."""

    file: str
    line: int
    column: int
    path: str
    found: str
    expected: str
    rule: str
    nearest: str | None = None

    def __str__(self) -> str:
        path = f"{self.path}: " if self.path else ""
        hint = f" (did you mean {self.nearest}?)" if self.nearest else ""
        return (
            f"{self.file}:{self.line}:{self.column}: {path}"
            f"found {self.found}, expected {self.expected}{hint} [{self.rule}]"
        )

    def as_json(self) -> dict[str, str | int | None]:
        return asdict(self)


class DocumentRefused(TermsError):
    """The document is no contract; `faults` are all of them, in the order of the document."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


def decode(data: bytes, name: str) -> str:
    """The text of a file in UTF-8; a byte order mark is dropped.

    Raises:
        DocumentRefused: another encoding.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as undecodable:
        before = data[: undecodable.start].decode("utf-8-sig")
        found = f"the byte {data[undecodable.start]:#04x}"
        fault = Fault(name, *_mark_after(before), "", found, "text in UTF-8", "encoding")
        raise DocumentRefused([fault]) from undecodable


def read_contract(text: str, name: str) -> Contract:
    """The contract that a YAML or JSON document states.

    Args:
        name: how the document is called in its faults, usually its path.

    Raises:
        DocumentRefused: with every fault. What values say together is judged only once each of
            them is well-formed.
    """
    document = _Document(name)
    data = document.read(text)
    try:
        contract = Contract.model_validate(data)
    except ValidationError as invalid:
        raise DocumentRefused(document.faults(_problems(invalid, data))) from invalid
    faults = document.faults(check(contract))
    if faults:
        raise DocumentRefused(faults)
    return contract


def json_schema() -> dict[str, Any]:
    """The JSON Schema with which editors help to write a contract."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:tollkeeper:contract:v1",
        **Contract.model_json_schema(),
        "title": "Tollkeeper contract, version 1",
    }


class _Document:
    """One YAML document as plain data, and the place of each key and value in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._unreadable: list[Fault] = []
        self._spoiled: set[Loc] = set()
        self._keys: dict[Loc, Mark] = {}
        self._values: dict[Loc, Mark] = {}

    def read(self, text: str) -> object:
        """Mappings, lists and scalars; each scalar is its own text, but for null, true and false.

        Raises:
            DocumentRefused: what cannot be read any further.
        """
        text = text.removeprefix("\ufeff")
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MAX_BYTES:
            self._stop(Mark(1, 1), f"{size} bytes", f"at most {MAX_BYTES}", "too_large")
        if hidden := HIDDEN.search(text):
            self._refuse_hidden(_mark_after(text[: hidden.start()]), (), hidden[0])
            raise DocumentRefused(self._unreadable)
        try:
            return self._only_document(YAML(typ="safe", pure=True).parse(text))
        except YAMLError as broken:
            at = getattr(broken, "problem_mark", None) or getattr(broken, "context_mark", None)
            found = f"no YAML: {getattr(broken, 'problem', None) or broken}"
            mark = Mark(at.line + 1, at.column + 1) if at else Mark(1, 1)
            self._stop(mark, found, "YAML 1.2, indented with spaces", "yaml_syntax")
        except (ValueError, OverflowError):  # how the parser fails on "\UFFFFFFFF"
            latest = next(reversed(self._values.values()), Mark(1, 1))
            found, expected = 'an escape beyond "\\U0010FFFF"', "a character of Unicode"
            self._stop(latest, found, expected, "yaml_syntax")

    def faults(self, problems: Iterable[Problem]) -> list[Fault]:
        """What could not be read, and the problems elsewhere."""
        return self._unreadable + [
            self._fault(self._mark(problem.loc), problem)
            for problem in problems
            if not any(problem.loc[:n] in self._spoiled for n in range(len(problem.loc) + 1))
        ]

    def _only_document(self, events: Iterator[Any]) -> object:
        self._events = events
        self._nodes = 0
        next(events)
        start = next(events)
        if isinstance(start, StreamEndEvent):
            self._stop(_mark(start), "an empty document", "a contract", "empty")
        if start.version or start.tags:
            self._refuse(_mark(start), (), "a YAML directive", "none", "yaml_directive")
        data = self._node(next(events), ())
        next(events)
        if not isinstance(end := next(events), StreamEndEvent):
            self._stop(_mark(end), "a second document", "one document", "yaml_documents")
        return data

    def _node(self, event: NodeEvent, loc: Loc) -> object:
        self._values[loc] = self._stand(event, loc)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            found, expected = f"more than {MAX_NODES} values", f"at most {MAX_NODES}"
            self._stop(_mark(event), found, expected, "too_many")
        if len(loc) > MAX_DEPTH:
            found, expected = f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH} levels"
            self._stop(_mark(event), found, expected, "yaml_depth")
        self._refuse_devices(event, loc)
        if isinstance(event, AliasEvent):
            return None
        if isinstance(event, ScalarEvent):
            return self._scalar(event, loc)
        return self._list(loc) if isinstance(event, SequenceStartEvent) else self._mapping(loc)

    def _stand(self, event: NodeEvent, loc: Loc) -> Mark:
        """Where the value is; an empty one is found at its key, or at its list."""
        if isinstance(event, ScalarEvent) and event.style is None and not event.value:
            return self._keys.get(loc) or self._values.get(loc[:-1], _mark(event))
        return _mark(event)

    def _scalar(self, event: ScalarEvent, loc: Loc) -> str | bool | None:
        text: str = event.value
        if hidden := HIDDEN.search(text):
            self._refuse_hidden(_mark(event), loc, hidden[0])
        return CONSTANTS[text] if event.style is None and text in CONSTANTS else text

    def _list(self, loc: Loc) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, (*loc, len(items))))
        return items

    def _mapping(self, loc: Loc) -> dict[str, object]:
        data: dict[str, object] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, loc)
            place = (*loc, key)
            if key in data:
                expected = f"each key once; line {self._keys[place].line} has it already"
                found = f"the key {key!r} a second time"
                self._refuse(_mark(event), place, found, expected, "yaml_duplicate_key")
            self._keys[place] = _mark(event)
            data[key] = self._node(next(self._events), place)
        return data

    def _key(self, event: NodeEvent, loc: Loc) -> str:
        mark = _mark(event)
        if not isinstance(event, ScalarEvent):
            self._stop(mark, "a key that is no text", "a text key", "yaml_key")
        key: str = event.value
        place = (*loc, key)
        self._refuse_devices(event, place)
        if hidden := HIDDEN.search(key):
            self._refuse_hidden(mark, place, hidden[0])
        if event.style is None and key == "<<":
            self._refuse(mark, place, "a merge key", "the keys written out", "yaml_merge")
        if event.style is None and (key in CONSTANTS or NUMBER.fullmatch(key)):
            self._refuse(mark, place, f"the key {key!r}", "a text key", "yaml_key")
        return key

    def _refuse_devices(self, event: NodeEvent, loc: Loc) -> None:
        """Anchors, aliases and tags: with them a value is not what it reads like."""
        if event.anchor:
            kind = "alias *" if isinstance(event, AliasEvent) else "anchor &"
            found, expected = f"the {kind}{event.anchor}", "the value written out"
            self._refuse(_mark(event), loc, found, expected, "yaml_alias")
        if tag := getattr(event, "tag", None):
            self._refuse(_mark(event), loc, f"the tag {tag}", "a value without a tag", "yaml_tag")

    def _refuse_hidden(self, mark: Mark, loc: Loc, character: str) -> None:
        found = f"the character U+{ord(character):04X}"
        expected = "text without control, invisible and direction marks"
        self._refuse(mark, loc, found, expected, "yaml_character")

    def _refuse(self, mark: Mark, loc: Loc, found: str, expected: str, rule: str) -> None:
        self._unreadable.append(self._fault(mark, Problem(loc, found, expected, rule)))
        self._spoiled.add(loc)

    def _stop(self, mark: Mark, found: str, expected: str, rule: str) -> NoReturn:
        self._refuse(mark, (), found, expected, rule)
        raise DocumentRefused(self._unreadable)

    def _mark(self, loc: Loc) -> Mark:
        """The place of a key or a value; of what is not there, the place where it belongs."""
        if loc[-1:] == (KEY,):
            return self._keys[loc[:-1]]
        while loc not in self._values:
            loc = loc[:-1]
        return self._values[loc]

    def _fault(self, mark: Mark, problem: Problem) -> Fault:
        return Fault(
            self.name,
            *mark,
            path=_short(_path(problem.loc)),
            found=_short(problem.found),
            expected=_short(problem.expected),
            rule=problem.rule,
            nearest=problem.nearest,
        )


def _mark(event: Event) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _mark_after(text: str) -> Mark:
    return Mark(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _path(loc: Loc) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != KEY:
            path += f".{part}" if re.fullmatch(r"[\w-]+", part) else f"[{part!r}]"
    return path.removeprefix(".")


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _problems(invalid: ValidationError, data: object) -> list[Problem]:
    """What the models refuse, in our words, without what only follows from another refusal."""
    problems = []
    for error in invalid.errors(include_url=False, include_input=False):
        loc = _place(error["loc"], data)
        if not _follows(error["type"], _at(loc, data)):
            problems.append(_problem(error, loc, data))
    if any(problem.loc == ("currency",) for problem in problems):
        return [p for p in problems if p.loc[-1] != "amount" or p.rule != "invalid_value"]
    return problems


def _follows(kind: str, value: object) -> bool:
    """A list counts as too short without its refused entries; a default needs its neighbours."""
    return kind == "default_factory_not_called" or (kind == "too_short" and bool(value))


def _problem(error: ErrorDetails, loc: Loc, data: object) -> Problem:
    value, context = _at(loc, data), error.get("ctx", {})
    match error["type"]:
        case "missing":
            return _missing(loc)
        case "extra_forbidden":
            key, names = str(loc[-1]), _field_names(error["loc"])
            found, expected = f"the key {key!r}", f"one of {', '.join(names)}"
            return Problem((*loc, KEY), found, expected, "unknown_field", nearest(key, names))
        case "literal_error" | "enum":
            return _unknown_value(loc, value, context["expected"])
        case "union_tag_not_found":
            return _missing((*loc, *_quoted(context["discriminator"])))
        case "union_tag_invalid":
            loc = (*loc, *_quoted(context["discriminator"]))
            return _unknown_value(loc, _at(loc, data), context["expected_tags"])
        case "value_error":
            found, _, expected = str(context["error"]).rpartition(", expected ")
            found = found.removeprefix("found ")
            found = _shown(value) if found == repr(value) else found
            return Problem(loc, found, expected, "invalid_value")
        case "string_pattern_mismatch":
            return Problem(loc, _shown(value), PATTERNS[context["pattern"]], "invalid_value")
        case "greater_than_equal":
            return Problem(loc, _shown(value), f"{context['ge']} or more", "invalid_value")
        case "string_too_long":
            expected = f"at most {context['max_length']} characters"
            return Problem(loc, _shown(value), expected, "too_long")
        case "string_too_short" | "too_short":
            return Problem(loc, _shown(value), "at least one", "too_short")
        case kind:
            return Problem(loc, _shown(value), TYPES.get(kind, error["msg"]), "invalid_type")


def _missing(loc: Loc) -> Problem:
    return Problem(loc, "nothing", f"the required key {loc[-1]}", "required_field")


def _unknown_value(loc: Loc, value: object, expected: str) -> Problem:
    choices = _quoted(expected)
    near = nearest(value, choices) if isinstance(value, str) else None
    words = f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    return Problem(loc, _shown(value), words, "unknown_value", near)


def _quoted(text: str) -> list[str]:
    return re.findall("'([^']*)'", text)


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list" if value else "an empty list"
    return repr(value)


def _at(loc: Loc, data: object) -> object:
    for part in loc:
        data = _child(data, part)
    return data


def _child(data: object, part: str | int) -> object:
    if isinstance(data, list) and isinstance(part, int):
        return data[part]
    return data.get(part) if isinstance(data, dict) else None


def _place(loc: Loc, data: object) -> Loc:
    """The place in the document; pydantic's own also names the chosen kind of window or scoring."""
    place: Loc = ()
    for n, part in enumerate(loc, start=1):
        if isinstance(data, dict) and part in (data.get(name) for name in DISCRIMINATORS):
            if n < len(loc) or part not in data:
                continue
        place = (*place, part)
        data = _child(data, part)
    return place


def _field_names(loc: Loc) -> list[str]:
    """The keys that the contract knows where `loc`, a place of pydantic's, ends."""
    models: list[type[BaseModel]] = [Contract]
    for part in loc[:-1]:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        if fields:
            models = [model for field in fields for model in _models(field.annotation)]
        else:
            models = [model for model in models if _is_kind(model, part)] or models
    return [name for model in models for name in model.model_fields]


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _is_kind(model: type[BaseModel], kind: str | int) -> bool:
    return any(kind in get_args(field.annotation) for field in model.model_fields.values())
