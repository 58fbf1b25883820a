"""The objects in one image of a series, each with the number by which it is known from image to image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from baimu.results.detections import Detections


@dataclass(frozen=True, eq=False, kw_only=True)
class Tracks(Detections):
    """The objects followed, in one frame: :class:`Detections` in the order of their ``ids`` (N,) int64, from 1 on.

    ``boxes`` are the tracker's own estimates, ``scores`` and ``labels`` those of the detection that each was last seen
    as. Raises ``ValueError`` when an id stands twice, and as :class:`Detections`.
    """

    ids: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ids.shape != (len(self.boxes),):
            raise ValueError(f"ids must be (N,) as boxes, N = {len(self.boxes)}; got {self.ids.shape}")
        if len(np.unique(self.ids)) != len(self.ids):
            raise ValueError(f"ids must differ within a frame (source {self.source!r}); got {self.ids.tolist()}")

    def __getitem__(self, keep: Any) -> Tracks:
        if isinstance(keep, int | np.integer):
            keep = [int(keep)]
        keep = np.arange(len(self))[keep]
        masks = None if self.masks is None else self.masks[keep]
        boxes, scores, labels, ids = (a[keep] for a in (self.boxes, self.scores, self.labels, self.ids))
        return replace(self, boxes=boxes, scores=scores, labels=labels, ids=ids, masks=masks)

    @property
    def summary(self) -> str:
        """Who is there: ``2 car (#1, #4), 1 dog (#3)``."""
        groups: dict[str, list[str]] = {}
        for name, number in zip(self.class_names, self.ids, strict=True):
            groups.setdefault(name, []).append(f"#{number}")
        return ", ".join(f"{len(found)} {name} ({', '.join(found)})" for name, found in groups.items()) or "nothing"

    def to_dict(self, masks: Literal["rle", "polygons"] | None = "rle") -> dict[str, Any]:
        record = super().to_dict(masks)
        for row, number in zip(record["objects"], self.ids, strict=True):
            row["id"] = int(number)
        return record

    columns = (*Detections.columns, "id")

    def to_rows(self) -> list[tuple[Any, ...]]:
        """One row a track."""
        return [(*row, int(number)) for row, number in zip(super().to_rows(), self.ids, strict=True)]

    def without_picture(self) -> Tracks:
        """The same tracks, without the frame's pixels or the way to them."""
        return replace(self, image=None, read=None)

    def to_mot(self, frame: int) -> list[str]:
        """MOTChallenge's result lines ``frame,id,left,top,width,height,score,-1,-1,-1``; its frames count from 1."""
        return [
            f"{frame},{number},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.4f},-1,-1,-1"
            for number, (x1, y1, x2, y2), score in zip(self.ids, self.boxes.astype(float), self.scores, strict=True)
        ]

    def to_pandas(self) -> Any:
        """One row a track, with its id (needs pandas)."""
        table = super().to_pandas()
        table.insert(0, "id", self.ids)
        return table

    def to_supervision(self) -> Any:
        """As ``supervision.Detections`` with ``tracker_id`` (needs supervision)."""
        found = super().to_supervision()
        found.tracker_id = self.ids
        return found
