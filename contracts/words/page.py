"""A page of explanations, as text of 100 columns that is Markdown too. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from unicodedata import east_asian_width

from contracts.words.said import Language, Point, Said, Told, joined

WIDTH = 100
WIDE = "\u2e80-\u9fff\uff00-\uffef"
TOKEN = re.compile(rf"(\s+)|[（《]*(?:[{WIDE}]|[^\s{WIDE}]+)[，。；：、）》！？]*")
"""A blank, or what no line break parts: a word, or a Chinese character with its punctuation."""


@dataclass(frozen=True)
class Item:
    """One term of the contract: its name, what is said about it, and the points of that."""

    head: Said
    told: tuple[Told, ...] = ()

    def lines(self, language: Language) -> Iterator[str]:
        sentences = [each for each in self.told if isinstance(each, Said)]
        yield from wrapped(joined([self.head, *sentences]).text(language), "- ")
        for each in self.told:
            if isinstance(each, Point):
                yield from wrapped(each.said.text(language), "  - ")


@dataclass(frozen=True)
class Section:
    """Terms of one kind under a heading; `intro` holds for all of them."""

    heading: Said
    items: tuple[Item, ...]
    intro: tuple[Said, ...] = ()


@dataclass(frozen=True)
class Page:
    """All that a contract says."""

    title: Said
    sections: tuple[Section, ...]

    def text(self, language: Language) -> str:
        return "\n".join(self._lines(language)) + "\n"

    def _lines(self, language: Language) -> Iterable[str]:
        yield f"# {self.title.text(language)}"
        for number, section in enumerate(self.sections, start=1):
            yield from ("", f"## {number}. {section.heading.text(language)}", "")
            if section.intro:
                yield from wrapped(joined(section.intro).text(language), "")
                if section.items:
                    yield ""
            for item in section.items:
                yield from item.lines(language)


def wrapped(text: str, bullet: str) -> Iterator[str]:
    """Lines of at most `WIDTH` columns; Chinese characters take two, and break anywhere."""
    line, used, blank = bullet, columns(bullet), ""
    for token in TOKEN.finditer(text):
        word = token[0]
        if token[1]:
            blank = " "
            continue
        if line.strip(" -") and used + columns(blank + word) > WIDTH:
            yield line
            line, used, blank = " " * len(bullet), len(bullet), ""
        line, used, blank = line + blank + word, used + columns(blank + word), ""
    yield line


def columns(text: str) -> int:
    """How wide a text is on the screen."""
    return sum(2 if east_asian_width(each) in "WF" else 1 for each in text)
