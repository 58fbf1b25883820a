"""What writers of data sets share: what images are called in the copy, and what the copy cannot hold."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

Splits = Mapping[str, Any]
"""The sources of a data set by the name of the split; ``all`` where there are none."""


class Losses:
    """What a format cannot hold, counted: said in the end, never dropped in silence."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        """``what`` reads on behind a number: ``boxes of a pixel or less: left out``."""
        if count:
            self._counts[what] += int(count)

    def lines(self) -> tuple[str, ...]:
        return tuple(f"{count:,} {what}" for what, count in self._counts.items())


def picture_names(source: Any) -> list[str]:
    """The names of a split's images below the folder that holds them all, with forward slashes; drawn ones get .png."""
    names = [os.path.abspath(source.name(i)) for i in range(len(source))]
    if not names:
        return []
    folder = os.path.commonpath([os.path.dirname(name) for name in names])
    below = (PurePosixPath(os.path.relpath(name, folder)).as_posix() for name in names)
    return [name if os.path.splitext(name)[1] else f"{name}.png" for name in below]


def distinct(names: Mapping[str, list[str]], *, flat: bool = False) -> dict[str, list[str]]:
    """Names whose stems are their own, in each split, or with ``flat`` in all of them, without folders and blanks.

    A name that is taken gets its split, or a number, in front.
    """
    taken: set[str] = set()
    found: dict[str, list[str]] = {}
    for split, own in names.items():
        if not flat:
            taken = set()
        found[split] = []
        for name in own:
            plain = "_".join(name.replace("/", "__").split()) if flat else name
            folder, last = os.path.split(plain)
            candidates = [last, f"{split}_{last}"]
            number = 0
            while True:
                new = os.path.join(folder, candidates.pop(0) if candidates else f"{(number := number + 1)}_{last}")
                if os.path.splitext(new)[0] not in taken:
                    break
            taken.add(os.path.splitext(new)[0])
            found[split].append(new)
    return found


def renamed(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> int:
    """How many names have changed."""
    return sum(a != b for split in before for a, b in zip(before[split], after[split], strict=True))


def copy_picture(source: Any, index: int, target: Path) -> None:
    """The image file as it is; a PNG of its pixels where there is no file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.isfile(source.name(index)):
        shutil.copyfile(source.name(index), target)
    else:
        Image.fromarray(source.image(index)).save(target, "PNG")


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """A text file in UTF-8, its folder made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
