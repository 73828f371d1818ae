"""From the text of a document to what it states, or to every fault in it with its place. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar, get_args

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

from contracts.checks import check
from contracts.contract import MAX_USES, Contract
from contracts.errors import Refused, TermsError
from contracts.parts import AnyPart, Parts
from contracts.problems import PATTERNS, Loc, Problem, nearest

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

TYPES = {
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


BOUNDS = {
    "greater_than": ("more than {}", "gt"),
    "greater_than_equal": ("{} or more", "ge"),
    "less_than": ("less than {}", "lt"),
    "less_than_equal": ("{} or less", "le"),
}
"""Of a number: the words, and where pydantic has the bound."""

UNIONS = ("tagged-union", "union")

Schema = Mapping[str, Any]
"""A core schema of pydantic's: what it validates, as data."""

Model = TypeVar("Model", bound=BaseModel, covariant=True)


class Limits(NamedTuple):
    """The most that a document may hold."""

    bytes: int
    values: int


# No contract comes near these; they keep a hostile text below a second and below 100 MB.
LIMITS = Limits(bytes=256 * 1024, values=10_000)


@dataclass(frozen=True)
class Kind(Generic[Model]):
    """A kind of document: its model, and what is checked once each of its values is well-formed.

    Where two kinds have one name, `key` is at the top of the documents of this one only.
    """

    title: str
    model: type[Model]
    check: Callable[[Any], Iterable[Problem]]
    key: str | None = None
    limits: Limits = LIMITS

    @property
    def name(self) -> str:
        """What a document of this kind has under `kind`."""
        (name,) = get_args(self.model.model_fields["kind"].annotation)
        return str(name)

    @property
    def slug(self) -> str:
        return self.title.replace(" ", "-")


CONTRACT = Kind("contract", Contract, check)


class Mark(NamedTuple):
    """A place in the text; both count from 1."""

    line: int
    column: int


START = Mark(1, 1)


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
    """The document, or one that it uses, is not well-formed; `faults` are all of them in order."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
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


def no_part(path: str) -> AnyPart:
    """Finds the part in a file that a document uses: there is none.

    Raises:
        Refused: the file is none that may be used.
        DocumentRefused: what is in it is no part.
    """
    raise Refused(f"found {path!r}, expected none where there are no files", "uses")


def read_document(
    text: str,
    name: str,
    kinds: Sequence[Kind[Model]],
    find: Callable[[str], AnyPart] = no_part,
) -> Model:
    """What a YAML or JSON document states; its key `kind` says which of `kinds` it is.

    Args:
        name: how the document is called in its faults, usually its path.
        find: gives the part in a file that is named under `uses`; it raises as `no_part`.

    Raises:
        DocumentRefused: with every fault. What values say together is judged only once each of
            them is well-formed, and no value before the kind is known and the used files are read.
    """
    most = zip(*(kind.limits for kind in kinds), strict=True)
    document = _Document(name, Limits(*map(max, most)))
    data = document.read(text)
    kind = _kind_of(data, kinds)
    if isinstance(kind, Problem):
        raise DocumentRefused(document.faults([kind]))
    document.keep(kind.limits)
    parts = _used(document, data, find) if "uses" in kind.model.model_fields else Parts()
    try:
        model = kind.model.model_validate(data, context=parts)
    except ValidationError as invalid:
        problems = _problems(invalid, data, _Shape(kind.model))
        raise DocumentRefused(document.faults(problems)) from invalid
    faults = document.faults(kind.check(model))
    if faults:
        raise DocumentRefused(faults)
    return model


def read_contract(text: str, name: str, find: Callable[[str], AnyPart] = no_part) -> Contract:
    """The contract that a document states. Raises: DocumentRefused, as `read_document`."""
    return read_document(text, name, [CONTRACT], find)


def json_schema(kind: Kind[BaseModel] = CONTRACT) -> dict[str, Any]:
    """The JSON Schema with which editors help to write a document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tollkeeper:{kind.slug}:v1",
        **kind.model.model_json_schema(),
        "title": f"Tollkeeper {kind.title}, version 1",
    }


def _kind_of(data: object, kinds: Sequence[Kind[Model]]) -> Kind[Model] | Problem:
    if not isinstance(data, dict):
        return Problem((), _shown(data), TYPES["dict_type"], "invalid_type")
    names = list(dict.fromkeys(kind.name for kind in kinds))
    if "kind" not in data:
        return _missing(("kind",), f" with {_one_of(names)}")
    if data["kind"] not in names:
        return _unknown_value(("kind",), data["kind"], names)
    named = [kind for kind in kinds if kind.name == data["kind"]]
    return max(named, key=lambda kind: kind.key in data)


def _used(document: "_Document", data: object, find: Callable[[str], AnyPart]) -> Parts:
    paths = data.get("uses") if isinstance(data, dict) else None
    parts: dict[tuple[str, str], AnyPart] = {}
    problems: list[Problem] = []
    elsewhere: list[Fault] = []
    for i, path in enumerate(paths[:MAX_USES] if isinstance(paths, list) else ()):
        if not isinstance(path, str):
            continue  # told with the other values
        try:
            part = find(path)
        except DocumentRefused as refused:
            elsewhere += refused.faults
        except Refused as refused:
            problems.append(_refusal(("uses", i), path, refused))
        else:
            if (part.kind, part.id) in parts:
                found, expected = f"{part.kind} {part.id!r} a second time", "each id once"
                problems.append(Problem(("uses", i), found, expected, "duplicate_id"))
            parts[part.kind, part.id] = part
    if problems or elsewhere:
        raise DocumentRefused([*document.faults(problems), *elsewhere])
    return Parts(list(parts.values()))


class _Document:
    """One YAML document as plain data, and the place of each key and value in it."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self._limits = limits
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
        self._size = len(text.encode("utf-8", "surrogatepass"))
        self._nodes = 0
        self.keep(self._limits)
        if hidden := HIDDEN.search(text):
            self._refuse_hidden(_mark_after(text[: hidden.start()]), (), hidden[0])
            raise DocumentRefused(self.faults([]))
        try:
            return self._only_document(YAML(typ="safe", pure=True).parse(text))
        except YAMLError as broken:
            at = getattr(broken, "problem_mark", None) or getattr(broken, "context_mark", None)
            found = f"no YAML: {getattr(broken, 'problem', None) or broken}"
            mark = Mark(at.line + 1, at.column + 1) if at else START
            self._stop(mark, found, "YAML 1.2, indented with spaces", "yaml_syntax")
        except (ValueError, OverflowError):  # how the parser fails on "\UFFFFFFFF"
            latest = next(reversed(self._values.values()), START)
            found, expected = 'an escape beyond "\\U0010FFFF"', "a character of Unicode"
            self._stop(latest, found, expected, "yaml_syntax")

    def keep(self, limits: Limits, mark: Mark = START) -> None:
        """Raises: DocumentRefused, if what was read up to now is more."""
        if self._size > limits.bytes:
            self._stop(mark, f"{self._size} bytes", f"at most {limits.bytes}", "too_large")
        if self._nodes > limits.values:
            found, expected = f"more than {limits.values} values", f"at most {limits.values}"
            self._stop(mark, found, expected, "too_many")

    def faults(self, problems: Iterable[Problem]) -> list[Fault]:
        """What could not be read, and the problems elsewhere, in the order of the document."""
        elsewhere = [
            self._fault(self._mark(problem.loc), problem)
            for problem in problems
            if not any(problem.loc[:n] in self._spoiled for n in range(len(problem.loc) + 1))
        ]
        return sorted(self._unreadable + elsewhere, key=lambda fault: (fault.line, fault.column))

    def _only_document(self, events: Iterator[Any]) -> object:
        self._events = events
        next(events)
        start = next(events)
        if isinstance(start, StreamEndEvent):
            self._stop(_mark(start), "an empty document", TYPES["dict_type"], "empty")
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
        self.keep(self._limits, _mark(event))
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
        raise DocumentRefused(self.faults([]))

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


def _problems(invalid: ValidationError, data: object, shape: "_Shape") -> list[Problem]:
    """What the models refuse, in our words, without what only follows from another refusal."""
    problems = []
    for error in invalid.errors(include_url=False, include_input=False):
        loc = shape.place(error["loc"])
        if not _follows(error, _at(loc, data)):
            problems.append(_problem(error, loc, data, shape))
    if any(problem.loc == ("currency",) for problem in problems):
        problems = [p for p in problems if p.loc == ("currency",) or p.rule != "currency"]
    return _of_one_form(problems)


def _of_one_form(problems: list[Problem]) -> list[Problem]:
    """A value of one form or another is refused by each; where one fits further, by that alone."""
    inside = {p.loc[:n] for p in problems for n, part in enumerate(p.loc) if part != KEY}
    told: dict[Loc, Problem] = {}
    for problem in problems:
        first = told.setdefault(problem.loc, problem)
        if problem is not first and problem.expected not in first.expected:
            expected = f"{first.expected}, or {problem.expected}"
            told[problem.loc] = replace(first, expected=expected)
    return [problem for problem in told.values() if problem.loc not in inside]


def _follows(error: ErrorDetails, value: object) -> bool:
    """A list counts as too short without its refused entries; a default needs its neighbours."""
    if error["type"] == "too_short" and isinstance(value, list | dict):
        return len(value) >= int(error["ctx"]["min_length"])
    return error["type"] == "default_factory_not_called"


def _problem(error: ErrorDetails, loc: Loc, data: object, shape: "_Shape") -> Problem:
    value, context = _at(loc, data), error.get("ctx", {})
    match error["type"]:
        case "missing":
            return _missing(loc)
        case "extra_forbidden":
            key, names = str(loc[-1]), shape.keys(error["loc"][:-1])
            found, near = f"the key {key!r}", nearest(key, names)
            return Problem((*loc, KEY), found, _one_of(names), "unknown_field", near)
        case "literal_error" | "enum":
            return _unknown_value(loc, value, _quoted(context["expected"]))
        case "union_tag_not_found":
            return _missing((*loc, *_quoted(context["discriminator"])))
        case "union_tag_invalid":
            loc = (*loc, *_quoted(context["discriminator"]))
            return _unknown_value(loc, _at(loc, data), _quoted(context["expected_tags"]))
        case "value_error":
            return _refusal(loc, value, context["error"])
        case "string_pattern_mismatch":
            pattern = context["pattern"]
            expected = PATTERNS.get(pattern, f"text of the form {pattern}")
            return Problem(loc, _shown(value), expected, "invalid_value")
        case bound if bound in BOUNDS:
            words, name = BOUNDS[bound]
            return Problem(loc, _shown(value), words.format(context[name]), "invalid_value")
        case "string_too_long":
            expected = f"at most {context['max_length']} characters"
            return Problem(loc, _shown(value), expected, "too_long")
        case "too_long":
            found, expected = (
                f"{context['actual_length']} entries",
                f"at most {context['max_length']}",
            )
            return Problem(loc, found, expected, "too_long")
        case "string_too_short" | "too_short":
            least = context["min_length"]
            expected = f"at least {'one' if least == 1 else least}"
            return Problem(loc, _shown(value), expected, "too_short")
        case kind:
            return Problem(loc, _shown(value), TYPES.get(kind, error["msg"]), "invalid_type")


def _refusal(loc: Loc, value: object, error: ValueError) -> Problem:
    rule, near = "invalid_value", None
    if isinstance(error, Refused):
        rule, near = error.rule, error.nearest
        if error.at:
            loc, value = (*loc, error.at), _child(value, error.at)
    found, _, expected = str(error).rpartition(", expected ")
    found = found.removeprefix("found ")
    found = _shown(value) if found == repr(value) else found
    return Problem(loc, found, expected, rule, near)


def _missing(loc: Loc, choices: str = "") -> Problem:
    return Problem(loc, "nothing", f"the required key {loc[-1]}{choices}", "required_field")


def _unknown_value(loc: Loc, value: object, choices: list[str]) -> Problem:
    near = nearest(value, choices) if isinstance(value, str) else None
    return Problem(loc, _shown(value), _one_of(choices), "unknown_value", near)


def _one_of(names: list[str]) -> str:
    return f"one of {', '.join(names)}" if len(names) > 1 else names[0]


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
    if loc[-1:] == (KEY,):
        return loc[-2]
    for part in loc:
        data = _child(data, part)
    return data


def _child(data: object, part: str | int) -> object:
    if isinstance(data, list) and isinstance(part, int):
        return data[part]
    return data.get(part) if isinstance(data, dict) else None


class _Shape:
    """What pydantic expects where; with it, pydantic's places become those in the document."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._root: Schema = model.__pydantic_core_schema__
        self._shared = {each["ref"]: each for each in self._root.get("definitions", ())}

    def place(self, loc: Loc) -> Loc:
        """The place in the document; pydantic's own also names the chosen member of each union."""
        schemas, place = self._bare([self._root]), loc[:0]
        for part in loc:
            if part == KEY or all(schema["type"] not in UNIONS for schema in schemas):
                place = (*place, part)
            schemas = self._below(schemas, part)
        return place

    def keys(self, loc: Loc) -> list[str]:
        """The keys of the model at a place of pydantic's."""
        schemas = self._bare([self._root])
        for part in loc:
            schemas = self._below(schemas, part)
        found = [schema["fields"].items() for schema in schemas if "fields" in schema]
        return [str(_names(name, field)[0]) for fields in found for name, field in fields]

    def _bare(self, schemas: Iterable[Schema]) -> list[Schema]:
        """Without what is wrapped around them: validators, defaults, references."""
        bare = []
        for schema in schemas:
            while "schema" in schema or "schema_ref" in schema:
                schema = schema.get("schema") or self._shared[schema["schema_ref"]]
            bare.append(schema)
        return bare

    def _below(self, schemas: list[Schema], part: str | int) -> list[Schema]:
        return self._bare(below for schema in schemas for below in _children(schema, part))


def _children(schema: Schema, part: str | int) -> Iterable[Schema]:
    match schema["type"]:
        case "model-fields":
            fields = schema["fields"].items()
            return [field for name, field in fields if part in _names(name, field)]
        case "tagged-union":
            return [choice for tag, choice in schema["choices"].items() if str(tag) == part]
        case "union":
            choices = [each[0] if isinstance(each, tuple) else each for each in schema["choices"]]
            return [choice for choice in choices if _is_labelled(choice, str(part))] or choices
        case "tuple":
            return list(schema["items_schema"])
        case "list":
            return [schema["items_schema"]]
        case "dict":
            return [schema["values_schema"]]
    return ()


def _names(name: str, field: Schema) -> tuple[str, ...]:
    """How a document may call a field: by its alias, the first key of it, or its own name."""
    alias = field.get("validation_alias", name)
    while isinstance(alias, list):
        alias = alias[0]
    return (alias, name)


def _is_labelled(schema: Schema, label: str) -> bool:
    """Whether pydantic names this member of a union so: by its model, or by its type."""
    model = schema["cls"].__name__ if "cls" in schema else schema["type"]
    return label.startswith((model, schema["type"]))
