"""The objects in an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from baimu.errors import unknown
from baimu.masks import Masks
from baimu.results.result import Result, extra

if TYPE_CHECKING:
    import pandas
    import supervision


@dataclass(frozen=True, eq=False)
class Detections(Result):
    """The objects found in one image, best score first.

    ``boxes`` (N, 4) float32 xyxy in pixels of the source image, ``scores`` (N,) float32 in 0…1, ``labels`` (N,)
    int64 in 0…K−1 into ``names``; ``size`` is the source's (height, width). ``masks``, where the method makes them,
    are packed: ``masks[i]`` is a bool array (H, W), ``np.asarray(masks)`` all of them (N, H, W), which is also what may
    be given here. ``source`` is the image's path or another name. ``image`` is the RGB uint8 source, kept only
    where ``read`` cannot get it from its file again.
    Raises ``ValueError`` when shapes, finiteness or labels do not fit.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    size: tuple[int, int]
    source: str = ""
    masks: Masks | None = None
    image: np.ndarray | None = None
    read: Callable[[], np.ndarray] | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or self.scores.shape != (count,) or self.labels.shape != (count,):
            shapes = f"{self.boxes.shape}, {self.scores.shape}, {self.labels.shape}"
            raise ValueError(f"boxes, scores, labels must be (N, 4), (N,), (N,); got {shapes}")
        if not (np.isfinite(self.boxes).all() and np.isfinite(self.scores).all()):
            raise ValueError(f"boxes and scores must be finite (source {self.source!r})")
        if count and (self.labels.min() < 0 or self.labels.max() >= len(self.names)):
            raise ValueError(f"labels must lie in 0…{len(self.names) - 1}, the class names given")
        if self.masks is not None and not isinstance(self.masks, Masks):
            object.__setattr__(self, "masks", Masks.of(self.masks))
        if self.masks is not None and self.masks.shape != (count, *self.size):
            raise ValueError(f"masks must be {(count, *self.size)}, got {self.masks.shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, keep: Any) -> Detections:
        """The detections chosen by an index, a slice, an index array or a bool mask."""
        if isinstance(keep, int | np.integer):
            keep = [int(keep)]
        keep = np.arange(len(self))[keep]
        masks = None if self.masks is None else self.masks[keep]
        return replace(self, boxes=self.boxes[keep], scores=self.scores[keep], labels=self.labels[keep], masks=masks)

    def __iter__(self) -> Iterator[Detections]:
        return (self[i] for i in range(len(self)))

    def filter(
        self, *, min_score: float = 0.0, classes: Sequence[str] | None = None, min_area: float = 0.0
    ) -> Detections:
        """Those of at least ``min_score`` and ``min_area`` (square pixels) and, if given, of the named classes."""
        for name in classes or ():
            if name not in self.names:
                raise unknown("class", name, self.names)
        keep = (self.scores >= min_score) & (self.areas >= min_area)
        if classes is not None:
            keep &= np.isin(self.labels, [self.names.index(name) for name in classes])
        return self[keep]

    @property
    def areas(self) -> np.ndarray:
        """(N,) box areas in square pixels."""
        return (self.boxes[:, 2] - self.boxes[:, 0]) * (self.boxes[:, 3] - self.boxes[:, 1])

    @property
    def class_names(self) -> list[str]:
        """The name of each detection's class."""
        return [self.names[label] for label in self.labels]

    @property
    def summary(self) -> str:
        """How many there are of each class: ``2 cat, 1 dog``."""
        counts = Counter(self.class_names)
        return ", ".join(f"{number} {name}" for name, number in counts.items()) or "nothing"

    def to_dict(self, masks: Literal["rle", "polygons"] | None = "rle") -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON; the image stays behind.

        ``masks``, if there are any: ``rle``, COCO's ``{"size": [H, W], "counts": text}``; ``polygons``, lists of
        x, y, x, y, … along the pixels' borders (:func:`~baimu.masks.mask_to_polygons`); None leaves them out.
        """
        objects = [
            {"box": box.tolist(), "score": float(score), "label": int(label), "name": self.names[label]}
            for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True)
        ]
        if self.masks is not None and masks == "rle":
            for row, segmentation in zip(objects, self.masks.to_coco(), strict=True):
                row["mask"] = segmentation
        elif self.masks is not None and masks == "polygons":
            for row, polygons in zip(objects, self.masks.to_polygons(), strict=True):
                row["polygons"] = [polygon.ravel().tolist() for polygon in polygons]
        elif masks not in ("rle", "polygons", None):
            raise unknown("form of masks", masks, ("rle", "polygons"))
        return {"source": self.source, "height": self.size[0], "width": self.size[1], "objects": objects}

    columns = ("source", "name", "label", "score", "x1", "y1", "x2", "y2")

    def to_rows(self) -> list[tuple[Any, ...]]:
        """One row a detection, without masks."""
        return [
            (self.source, self.names[label], int(label), f"{score:.4f}", *(f"{side:.2f}" for side in box))
            for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True)
        ]

    def to_coco(self, image_id: int | str = 0, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """COCO results: xywh boxes, masks as run lengths; ``category_ids`` maps our labels to the data set's own ids
        (default: label + 1).

        pycocotools takes areas from ``bbox`` where there is one. To have it sort masks into small, medium and large by
        their own areas, as is done here and elsewhere, leave ``bbox`` away in what it scores as ``segm``.
        """
        ids = range(1, len(self.names) + 1) if category_ids is None else category_ids
        xywh = self.boxes.astype(np.float64)  # float32 differences would round what the metric does not
        xywh[:, 2:] -= xywh[:, :2]
        rows: list[dict[str, Any]] = [
            {"image_id": image_id, "category_id": int(ids[label]), "bbox": box.tolist(), "score": float(score)}
            for box, score, label in zip(xywh, self.scores, self.labels, strict=True)
        ]
        for row, segmentation in zip(rows, [] if self.masks is None else self.masks.to_coco(), strict=False):
            row["segmentation"] = segmentation
        return rows

    def to_pandas(self) -> pandas.DataFrame:
        """One row a detection, without masks (needs pandas)."""
        pandas = extra("pandas")
        columns = {c: self.boxes[:, i] for i, c in enumerate(("x1", "y1", "x2", "y2"))}
        return pandas.DataFrame(
            {**columns, "score": self.scores, "label": self.labels, "name": self.class_names, "source": self.source}
        )

    def to_supervision(self) -> supervision.Detections:
        """The same detections as ``supervision.Detections`` (needs supervision)."""
        supervision = extra("supervision")
        return supervision.Detections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=self.labels,
            mask=None if self.masks is None else np.asarray(self.masks),
            data={"class_name": np.array(self.class_names, dtype=np.str_)},
        )
