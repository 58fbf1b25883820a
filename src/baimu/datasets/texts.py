"""Texts with a label each, held in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from baimu.datasets.flat import ProblemLog, Problems, Texts
from baimu.errors import DataError


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """The :class:`~baimu.datasets.source.TextSource` that every reader returns."""

    root: str  # the folder or file that it was read from
    names: Texts  # file and line of each
    texts: Texts
    marks: np.ndarray  # (N,) int64 labels
    classes: tuple[str, ...]
    problems: Problems

    multi_label = False

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"LabelledTexts({self.root!r}: {len(self)} texts, {len(self.classes)} classes)"

    def name(self, index: int) -> str:
        return self.names[index]

    def text(self, index: int) -> str:
        return self.texts[index]

    def labels(self, index: int) -> np.ndarray:
        return self.marks[index : index + 1]

    def unknown(self, index: int) -> np.ndarray:
        return self.marks[:0]

    def select(self, indices: Sequence[int] | np.ndarray) -> LabelledTexts:
        """The subset of these texts, in this order; their problems, and those of no text, go along."""
        chosen = np.asarray(indices, np.int64).reshape(-1)
        return replace(
            self,
            names=self.names.take(chosen),
            texts=self.texts.take(chosen),
            marks=self.marks[chosen],
            problems=self.problems.for_images(chosen, len(self)),
        )

    def like(self, other: Any, name: str = "the training data") -> LabelledTexts:
        """The same texts with the labels of ``other``, which is called ``name`` in messages, matched by their names.

        Raises :class:`~baimu.errors.DataError` for texts of a class that ``other`` lacks.
        """
        classes = tuple(other.classes)
        counts = np.bincount(self.marks, minlength=len(self.classes)).tolist()
        foreign = [own for own, count in zip(self.classes, counts, strict=True) if count and own not in classes]
        if foreign:
            raise DataError(
                f"{self.root}: has texts of {', '.join(foreign)}, unknown to {name} (which has {', '.join(classes)}); "
                "train with such texts too, or take them out here"
            )
        place = np.array([classes.index(own) if own in classes else -1 for own in self.classes], np.int64)
        return replace(self, classes=classes, marks=place[self.marks])

    def joined(self, other: LabelledTexts) -> LabelledTexts:
        """The texts of both, ``other``'s after these; its classes must be among these."""
        other = other.like(self, self.root)
        return replace(
            self,
            names=Texts.of([*self.names, *other.names]),
            texts=Texts.of([*self.texts, *other.texts]),
            marks=np.concatenate([self.marks, other.marks]),
            problems=self.problems.joined(other.problems, len(self)),
        )


def labelled_texts(
    root: str, names: Sequence[str], texts: Sequence[str], labels: Sequence[str], log: ProblemLog
) -> LabelledTexts:
    """A data set whose classes are the labels that occur, sorted. Raises :class:`~baimu.errors.DataError`, which names
    ``root``, without any text."""
    if not texts:
        first = "".join(f"\n  {problem}" for problem in log.problems()[:5])
        raise DataError(f"{root}: no text with a label is left to use{first}", "F103")
    classes = sorted(set(labels), key=lambda c: (not c.isdigit(), int(c) if c.isdigit() else 0, c))
    number = {name: label for label, name in enumerate(classes)}
    marks = np.array([number[label] for label in labels], np.int64)
    return LabelledTexts(root, Texts.of(names), Texts.of(texts), marks, tuple(classes), log.problems())
