"""How well pixels are classified: one confusion matrix over a whole data set, and what follows from it.

K classes. Undecided pixels (255 in the truth) do not count; what was found is compared at the size of the truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

FIGURES = ("miou", "macc", "aacc", "mdice", "fwiou")
"""In the order of a run's results; the first decides which checkpoint is best."""

WORST = 12
"""So many of the worst images are remembered."""


class PoorImage(NamedTuple):
    """One of the images that were found worst: its position among those scored, and the mean IoU of its own classes."""

    image: int
    miou: float


@dataclass(frozen=True, eq=False)
class MapScores:
    """The figures, each in 0…1 or nan where undefined, and what lies behind them, by class.

    ``miou`` and ``mdice`` are means over the classes that are there or were found, ``macc`` over those that are there;
    ``aacc`` is the share of all pixels that are right, ``fwiou`` the IoU weighed by what is there.
    """

    classes: tuple[str, ...]
    images: int
    confusion: np.ndarray  # (K, K) int64 pixels, row truth, column found
    worst: tuple[PoorImage, ...]  # the worst first

    @property
    def class_pixels(self) -> np.ndarray:
        """(K,) pixels that show each class."""
        return self.confusion.sum(1)

    @property
    def class_found(self) -> np.ndarray:
        """(K,) pixels that were found to show it."""
        return self.confusion.sum(0)

    @property
    def class_iou(self) -> np.ndarray:
        """(K,) TP / (TP + FP + FN); nan where a class is neither there nor found."""
        return _share(self._right, self.class_pixels + self.class_found - self._right)

    @property
    def class_dice(self) -> np.ndarray:
        """(K,) 2 TP / (2 TP + FP + FN), which is F1; nan likewise."""
        return _share(2 * self._right, self.class_pixels + self.class_found)

    @property
    def class_accuracy(self) -> np.ndarray:
        """(K,) the share of a class's pixels that was found, its recall; nan where it is not there."""
        return _share(self._right, self.class_pixels)

    @property
    def class_precision(self) -> np.ndarray:
        """(K,) the share of what was found that is right; nan where nothing was."""
        return _share(self._right, self.class_found)

    @property
    def _right(self) -> np.ndarray:
        return self.confusion.diagonal()

    @property
    def miou(self) -> float:
        return _mean(self.class_iou)

    @property
    def macc(self) -> float:
        return _mean(self.class_accuracy)

    @property
    def mdice(self) -> float:
        return _mean(self.class_dice)

    @property
    def aacc(self) -> float:
        total = self.confusion.sum()
        return float(self._right.sum() / total) if total else math.nan

    @property
    def fwiou(self) -> float:
        total = self.confusion.sum()
        return float((np.nan_to_num(self.class_iou) * self.class_pixels).sum() / total) if total else math.nan

    def figures(self) -> dict[str, float]:
        """The figures by name, in the order of :data:`FIGURES`; undefined ones are nan."""
        return {name: getattr(self, name) for name in FIGURES}

    def table(self) -> list[dict[str, Any]]:
        """Rows for printing: all classes together, then each, with its share of all pixels."""
        total = max(1, int(self.confusion.sum()))
        names = ("class", "share", "iou", "dice", "accuracy", "precision")
        mean = ("all", 1.0, self.miou, self.mdice, self.macc, _mean(self.class_precision))
        columns = (
            self.class_pixels / total,
            self.class_iou,
            self.class_dice,
            self.class_accuracy,
            self.class_precision,
        )
        rows = [mean, *zip(self.classes, *(column.tolist() for column in columns), strict=True)]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """Figures, classes and confusion matrix ready for JSON (undefined: None)."""
        rows = [{k: _json(v) for k, v in row.items()} for row in self.table()[1:]]
        figures = {name: _json(value) for name, value in self.figures().items()}
        return {**figures, "images": self.images, "classes": rows, "confusion": self.confusion.tolist()}

    def __str__(self) -> str:
        rows = self.table()
        width = max(5, *(len(row["class"]) for row in rows))
        shares = [name for name in rows[0] if name != "class"]
        lines = ["  ".join(f"{name} {_three(value)}" for name, value in self.figures().items())]
        lines.append(f"{'class':<{width}}  " + "  ".join(f"{name:>9}" for name in shares))
        for row in rows:
            lines.append(f"{row['class']:<{width}}  " + "  ".join(f"{_three(row[name]):>9}" for name in shares))
        return "\n".join(lines)


def confusion_of(truth: np.ndarray, found: np.ndarray, num_classes: int) -> np.ndarray:
    """(K, K) int64: pixels of each pair of classes in two label maps of one shape; labels from K on do not count in the
    truth. Raises ``ValueError`` for shapes that differ and for such a label that was found."""
    if truth.shape != found.shape:
        raise ValueError(f"label maps must be of one shape, got {truth.shape} and {found.shape}")
    if found.max(initial=0) >= num_classes:
        raise ValueError(f"labels that were found must lie in 0…{num_classes - 1}, got {found.max()}")
    counts = np.bincount(truth.astype(np.int64).ravel() * num_classes + found.ravel(), minlength=num_classes**2)
    return counts[: num_classes**2].reshape(num_classes, num_classes)


def score_maps(confusions: Sequence[np.ndarray], classes: Sequence[str]) -> MapScores:
    """The scores of all images from the confusion matrix (K, K) of each."""
    zero = np.zeros((len(classes), len(classes)), np.int64)
    own = [_image_iou(confusion) for confusion in confusions]
    order = sorted((i for i, iou in enumerate(own) if not math.isnan(iou)), key=lambda i: own[i])[:WORST]
    worst = tuple(PoorImage(i, own[i]) for i in order)
    return MapScores(tuple(classes), len(confusions), sum(confusions, zero), worst)


def _image_iou(confusion: np.ndarray) -> float:
    """Mean IoU of the classes that are in one image or were found in it; 1 where all of it is right."""
    right = confusion.diagonal()
    return _mean(_share(right, confusion.sum(0) + confusion.sum(1) - right))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), math.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _three(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
