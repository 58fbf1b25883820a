"""Fonts for pictures and charts: DejaVu Sans, which ships with matplotlib; where it lacks a letter, a system font."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from PIL import ImageFont

# Files of common CJK fonts, best first, matched against what lies in the system's font folders.
FALLBACKS = (
    "notosanscjk",
    "sourcehansans",
    "wqy",
    "droidsansfallback",
    "pingfang",
    "hiragino",
    "msyh",
    "simhei",
    "arialuni",
)
FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)


@functools.lru_cache(maxsize=64)
def font(size: int, path: Path | None = None) -> ImageFont.FreeTypeFont:
    """The face at ``path`` (default: DejaVu Sans Bold) at ``size`` pixels."""
    return ImageFont.truetype(str(path or dejavu()), size, layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def dejavu() -> Path:
    import matplotlib  # without pyplot, and only when something is drawn

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


@functools.lru_cache(maxsize=4096)
def face_for(text: str) -> Path | None:
    """The font file that can write ``text``: None for DejaVu, and if there is no better one."""
    letters = {ord(letter) for letter in text if not letter.isspace()}
    if not letters - _letters(dejavu()):
        return None
    for path in _fallback_files():
        if not letters - _letters(path):
            return path
    return None


def legible(text: str) -> str:
    """The text with an empty box for each letter that its font lacks."""
    known = _letters(face_for(text) or dejavu())
    return "".join(letter if letter.isspace() or ord(letter) in known else "□" for letter in text)


@functools.lru_cache(maxsize=16)
def _letters(path: Path) -> frozenset[int]:
    """Code points that a font file has glyphs for; none if it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@functools.cache
def _fallback_files() -> tuple[Path, ...]:
    """The first file of each known CJK family on this machine."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for place, _, files in os.walk(os.path.expanduser(folder)):
            for file in sorted(files):
                plain = file.lower().replace("-", "").replace("_", "")
                family = next((f for f in FALLBACKS if plain.startswith(f)), None)
                if family and plain.endswith((".ttf", ".ttc", ".otf")):
                    found.setdefault(family, Path(place, file))
    return tuple(found[family] for family in FALLBACKS if family in found)
