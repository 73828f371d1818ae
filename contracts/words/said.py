"""One thing said in both languages, so that neither can say more than the other. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


@dataclass(frozen=True)
class Said:
    """The same in English and in Chinese."""

    en: str
    zh: str

    def text(self, language: Language) -> str:
        return self.en if language is Language.EN else self.zh

    def __bool__(self) -> bool:
        return bool(self.en)


Words = Said | str | int
"""What may be part of a sentence; a text or a number is the same in both languages."""


@dataclass(frozen=True)
class Point:
    """One entry of a list below a sentence, such as one row of a table."""

    said: Said


Told = Said | Point
"""What an explanation consists of: sentences, and the points that they list."""


def say(en: str, zh: str, /, **parts: Words) -> Said:
    """A sentence with its parts in place, each in the language of the sentence."""
    said = {name: same(part) for name, part in parts.items()}
    return Said(
        en.format_map({name: part.en for name, part in said.items()}),
        zh.format_map({name: part.zh for name, part in said.items()}),
    )


def same(words: Words) -> Said:
    return words if isinstance(words, Said) else Said(str(words), str(words))


def listed(parts: Iterable[Words], en: str = "and", zh: str = "和") -> Said:
    """`a, b and c`."""
    items = [same(part) for part in parts]
    return Said(
        _listed([item.en for item in items], ", ", f" {en} "),
        _listed([item.zh for item in items], "、", zh),
    )


def _listed(items: list[str], comma: str, last: str) -> str:
    return last.join([comma.join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def apart(parts: Iterable[Said]) -> Said:
    """`a; b; c`, for parts that are long."""
    items = list(parts)
    return Said("; ".join(item.en for item in items), "；".join(item.zh for item in items))


def joined(sentences: Iterable[Said]) -> Said:
    """Sentences one after the other."""
    said = [sentence for sentence in sentences if sentence]
    return Said(" ".join(each.en for each in said), "".join(each.zh for each in said))
