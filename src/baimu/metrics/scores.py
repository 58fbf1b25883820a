"""What COCO's protocol says of detections: twelve figures for boxes, twelve for masks, and what lies behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

FIGURES = (
    "box_ap",
    "box_ap50",
    "box_ap75",
    "box_ap_small",
    "box_ap_medium",
    "box_ap_large",
    "box_ar_1",
    "box_ar_10",
    "box_ar_100",
    "box_ar_small",
    "box_ar_medium",
    "box_ar_large",
)
"""The twelve COCO figures, in pycocotools' order."""

MASK_FIGURES = tuple(name.replace("box", "mask") for name in FIGURES)
"""The same, of masks."""


def figure_names(*, masks: bool) -> tuple[str, ...]:
    """All figures in the order of a run's results: with ``masks`` each mask figure and then its box figure."""
    return tuple(name for pair in zip(MASK_FIGURES, FIGURES, strict=True) for name in pair) if masks else FIGURES


RECALLS = np.linspace(0.0, 1.0, 101)
"""The recalls at which :attr:`BoxScores.precision` is given."""


@dataclass(frozen=True, eq=False)
class MaskScores:
    """COCO's twelve figures of masks, each in 0…1 or nan where undefined, and what lies behind them, by class."""

    mask_ap: float
    mask_ap50: float
    mask_ap75: float
    mask_ap_small: float
    mask_ap_medium: float
    mask_ap_large: float
    mask_ar_1: float
    mask_ar_10: float
    mask_ar_100: float
    mask_ar_small: float
    mask_ar_medium: float
    mask_ar_large: float
    class_ap: np.ndarray  # (K,) over all thresholds
    class_ap50: np.ndarray  # (K,)
    class_ar: np.ndarray  # (K,) at 100 detections
    precision: np.ndarray  # (K, 101) at IoU .5, at RECALLS
    precision_scores: np.ndarray  # (K, 101) the score at which each of these recalls is reached; 0: never


@dataclass(frozen=True, eq=False)
class BoxScores:
    """COCO's twelve figures, each in 0…1 or nan where undefined, and what lies behind them, by class."""

    box_ap: float
    box_ap50: float
    box_ap75: float
    box_ap_small: float
    box_ap_medium: float
    box_ap_large: float
    box_ar_1: float
    box_ar_10: float
    box_ar_100: float
    box_ar_small: float
    box_ar_medium: float
    box_ar_large: float
    classes: tuple[str, ...]
    images: int
    class_ap: np.ndarray  # (K,) over all thresholds
    class_ap50: np.ndarray  # (K,)
    class_ar: np.ndarray  # (K,) at 100 detections
    class_objects: np.ndarray  # (K,) int64, crowd not counted
    class_detections: np.ndarray  # (K,) int64, as given, before COCO's limit of 100
    precision: np.ndarray  # (K, 101) at IoU .5, at RECALLS
    precision_scores: np.ndarray  # (K, 101) the score at which each of these recalls is reached; 0: never
    confusion: np.ndarray  # (K + 1, K + 1) int64, row truth, column found, the last of each is background
    confusion_score: float  # detections below it are not in the confusion matrix
    masks: MaskScores | None = None  # where both the detections and the data have masks

    def figures(self) -> dict[str, float]:
        """The figures by name, in the order of :func:`figure_names`; undefined ones are nan."""
        of_masks = {} if self.masks is None else vars(self.masks)
        return {name: {**vars(self), **of_masks}[name] for name in figure_names(masks=self.masks is not None)}

    def table(self) -> list[dict[str, Any]]:
        """Rows for printing: all classes together, then each of them, with object and detection counts."""
        names = ["class", "objects", "detections", "ap", "ap50", "ar"]
        total = ["all", int(self.class_objects.sum()), int(self.class_detections.sum())]
        total += [self.box_ap, self.box_ap50, self.box_ar_100]
        columns = [self.class_objects, self.class_detections, self.class_ap, self.class_ap50, self.class_ar]
        if self.masks is not None:
            names += ["mask_ap", "mask_ap50"]
            total += [self.masks.mask_ap, self.masks.mask_ap50]
            columns += [self.masks.class_ap, self.masks.class_ap50]
        rows = [total, *zip(self.classes, *(c.tolist() for c in columns), strict=True)]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """Figures, classes and confusion matrix ready for JSON (undefined: None); the curves stay in the arrays."""
        rows = [{k: _json(v) for k, v in row.items()} for row in self.table()[1:]]
        return {
            **{name: _json(value) for name, value in self.figures().items()},
            "images": self.images,
            "classes": rows,
            "confusion": self.confusion.tolist(),
            "confusion_score": self.confusion_score,
        }

    def __str__(self) -> str:
        rows = self.table()
        width = max(5, *(len(str(row["class"])) for row in rows))
        figures = [name for name in rows[0] if name not in ("class", "objects", "detections")]
        titles = [name.replace("_", " ").replace("ap", "AP").replace("ar", "AR") for name in figures]
        lines = [f"{'class':<{width}}  objects  detections  " + "  ".join(f"{title:>5}" for title in titles)]
        for row in rows:
            pairs = zip(titles, (row[name] for name in figures), strict=True)
            cells = [f"{'–' if math.isnan(value) else f'{value:.3f}':>{max(5, len(title))}}" for title, value in pairs]
            lines.append(f"{row['class']:<{width}}  {row['objects']:>7}  {row['detections']:>10}  {'  '.join(cells)}")
        return "\n".join(lines)


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
