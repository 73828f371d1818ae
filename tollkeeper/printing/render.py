"""The same paper is always the same bytes: no clock, no font of the machine, no name of a file."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Literal

import typst
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

from contracts.errors import TermsError
from tollkeeper.printing.model import Paper, PrintedDocument, PrintLanguage

HERE = Path(str(files("tollkeeper.printing")))
FONTS, TEMPLATES = HERE / "fonts", HERE / "templates"
STANDARDS: list[Literal["a-3a", "ua-1"]] = ["a-3a", "ua-1"]
"""To be kept for decades and read aloud; a character without a glyph is refused by both."""


def render(
    paper: Paper, language: PrintLanguage = PrintLanguage.BOTH, fonts: Path | None = None
) -> bytes:
    """The PDF.

    Args:
        fonts: a folder of further fonts, for characters that the shipped ones lack.

    Raises:
        TermsError: characters without a glyph, or a folder without fonts.
    """
    content = paper.model_dump_json()
    further = _fonts(fonts) if fonts else []
    if fonts and not further:
        raise TermsError(f"TOLLKEEPER_FONTS: found no font in {fonts}, expected OpenType fonts")
    _require_glyphs(content, [*_fonts(FONTS), *further])
    template = "document.typ" if isinstance(paper, PrintedDocument) else "decision.typ"
    pdf: bytes = typst.compile(
        TEMPLATES / template,
        root=TEMPLATES,
        font_paths=[FONTS, fonts] if fonts else [FONTS],
        ignore_system_fonts=True,
        pdf_standards=[*STANDARDS],
        sys_inputs={
            "paper": content,
            "language": language.value,
            "fonts": json.dumps(sorted({font.family for font in further})),
        },
    )
    return pdf


def _fonts(folder: Path) -> list[typst.FontInfo]:
    found = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder]
    )
    fonts: list[typst.FontInfo] = found.fonts()
    return fonts


def _require_glyphs(content: str, fonts: list[typst.FontInfo]) -> None:
    missing = set(content)
    for font in fonts:
        with TTFont(font.path, fontNumber=font.index, lazy=True) as file:
            missing -= {chr(code) for code in file.getBestCmap()}
    if missing:
        found = ", ".join(f"{sign} (U+{ord(sign):04X})" for sign in sorted(missing))
        raise TermsError(
            f"found characters without a glyph: {found}; expected a font that has them in the "
            "folder that TOLLKEEPER_FONTS names"
        )
