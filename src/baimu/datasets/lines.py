"""Lines of text as images, and what stands in them; the characters that occur are the classes.

Texts are compared as they are written, in Unicode's composed form (NFC), without blanks around them. Characters of one
case alone (only capitals, or only small letters) are a choice not to tell cases apart: what is held out against them
is folded to that case.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from baimu.datasets.flat import ProblemLog, Problems, Texts
from baimu.datasets.labels import Pictures
from baimu.errors import DataError


@dataclass(frozen=True, eq=False)
class Lines:
    """The :class:`~baimu.datasets.source.ReadingSource` that every reader of files returns."""

    root: str  # the folder or file that it was read from
    pictures: Pictures
    texts: Texts
    places: Texts  # "line 12" of the list, for messages
    classes: tuple[str, ...]  # characters, by their code points
    problems: Problems

    multi_label = False

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        return f"Lines({self.root!r}: {len(self)} lines, {len(self.classes)} characters)"

    def name(self, index: int) -> str:
        return self.pictures.name(index)

    def image_id(self, index: int) -> int | str:
        return self.pictures.image_id(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.pictures.size(index)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return self.pictures.image(index, at_least)

    def text(self, index: int) -> str:
        return self.texts[index]

    def select(self, indices: Sequence[int] | np.ndarray) -> Lines:
        """The subset of these lines, in this order; their problems, and those of no line, go along."""
        chosen = np.asarray(indices, np.int64).reshape(-1)
        problems = self.problems.for_images(chosen, len(self))
        texts, places = self.texts.take(chosen), self.places.take(chosen)
        return replace(self, pictures=self.pictures.take(chosen), texts=texts, places=places, problems=problems)

    def like(self, other: Any, name: str = "the training data") -> Lines:
        """The same lines for a reader of the characters of ``other``, which is called ``name`` in messages.

        Where these are of one case, so the texts become. A text with a character that they lack stays, as one that
        cannot be read right, and is named in ``problems``.
        """
        fold, log = folding(other.classes), ProblemLog()
        texts = Texts.of(map(fold, self.texts))
        folded = sum(a != b for a, b in zip(self.texts, texts, strict=True))
        if folded:
            log.add(self.root, "", f"{folded:,} texts have letters of both cases, {name} of one", "case not told apart")
        known = set(other.classes)
        for index, text in enumerate(texts):
            if strange := sorted(set(text) - known):
                problem = f"{text!r} has {_shown(strange)}, unknown to {name}"
                log.add(self.name(index), self.places[index], problem, "counts as a mistake of the reader", image=index)
        problems = self.problems.joined(log.problems(), 0)
        return replace(self, texts=texts, classes=tuple(other.classes), problems=problems)

    def without(self, why: Mapping[int, str]) -> Lines:
        """All but the lines of these positions, which stand in ``problems`` with what is said of them."""
        log = ProblemLog()
        for index, problem in why.items():
            log.add(self.name(index), self.places[index], f"{self.text(index)!r}: {problem}", "line left out")
        kept = self.select([i for i in range(len(self)) if i not in why])
        return replace(kept, problems=kept.problems.joined(log.problems(), 0))

    def joined(self, other: Lines) -> Lines:
        """The lines of both, ``other``'s after these, with the characters of both."""
        if type(self.pictures) is not type(other.pictures):
            raise DataError(f"{self.root} and {other.root}: have pictures of two kinds and cannot be joined")
        return replace(
            self,
            root=os.path.commonpath([self.root, other.root]),
            pictures=self.pictures.joined(other.pictures),
            texts=Texts.of([*self.texts, *other.texts]),
            places=Texts.of([*self.places, *other.places]),
            classes=tuple(sorted({*self.classes, *other.classes})),
            problems=self.problems.joined(other.problems, len(self)),
        )


def make_lines(
    root: str,
    pictures: Pictures,
    texts: Sequence[str],
    places: Sequence[str],
    log: ProblemLog,
    characters: Iterable[str] | None = None,
) -> Lines:
    """A data set of ``pictures`` and their ``texts``, and where these stand; ``characters``, if only these may occur.

    Raises :class:`~baimu.errors.DataError`, which names ``root``, without any line.
    """
    if not len(pictures):
        first = "".join(f"\n  {problem}" for problem in log.problems()[:5])
        raise DataError(f"{root}: no line of text is left to use{first}", "F103")
    classes = sorted(set("".join(texts)) if characters is None else set(characters))
    return Lines(root, pictures, Texts.of(texts), Texts.of(places), tuple(classes), log.problems())


def clean(text: str) -> str:
    """As texts are kept: composed, without blanks around them."""
    return unicodedata.normalize("NFC", text).strip()


def folding(classes: Sequence[str]) -> Callable[[str], str]:
    """What texts become for a reader of these characters: of one case, where the characters are."""
    small, capital = any(c.islower() for c in classes), any(c.isupper() for c in classes)
    if small == capital:
        return str
    return str.lower if small else str.upper


def require_lines(source: Any) -> None:
    """Raise :class:`~baimu.errors.DataError` where there is nothing to read."""
    if not source.classes:
        raise DataError(f"{getattr(source, 'root', source)}: no line has a text, and there is nothing to learn to read")


def _shown(characters: Sequence[str]) -> str:
    return ", ".join(f"{c!r} (U+{ord(c):04X})" for c in characters[:5]) + (", …" if len(characters) > 5 else "")
