"""The tracks of a tracker as arrays, one row each, and what every tracker by association does with them.

Dims: T tracks, D filtered coordinates, N detections of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch

from baimu.masks import Masks
from baimu.ops.boxes import box_iou
from baimu.ops.kalman import Motion
from baimu.results import Detections
from baimu.results.tracks import Tracks

Boxes = Literal["filtered", "detected"]
"""Which boxes a tracker tells: the filter's estimates, as the papers do, or the detections', which follow at once what
changes its shape."""


@dataclass
class TrackTable:
    """T tracks in the order in which they began; every field but ``motion``, with (T, D), is an array (T,)."""

    motion: Motion
    ids: np.ndarray  # int64, from 1
    labels: np.ndarray  # int64
    scores: np.ndarray  # float32, of the last detection
    matched: np.ndarray  # int64: the detection of this frame, or −1
    hits: np.ndarray  # int64: detections so far (SORT: in a row)
    missed: np.ndarray  # int64: frames since the last
    began: np.ndarray  # int64: number of its first frame, from 1
    confirmed: np.ndarray  # bool

    @classmethod
    def empty(cls, coordinates: int = 4) -> TrackTable:
        no_motion = Motion(*(np.zeros((0, coordinates)) for _ in Motion._fields))
        others = {"scores": np.float32, "confirmed": np.bool_}
        names = (f.name for f in fields(cls) if f.name != "motion")
        return cls(no_motion, **{name: np.zeros(0, others.get(name, np.int64)) for name in names})

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> TrackTable:
        """The tracks of an index or a bool mask."""
        arrays: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        motion = arrays.pop("motion").take(rows)
        return TrackTable(motion, **{name: array[rows] for name, array in arrays.items()})

    def begin(
        self, motion: Motion, detections: Detections, chosen: np.ndarray, first_id: int, frame: int
    ) -> TrackTable:
        """These tracks and new ones, each of a chosen detection: one hit, not confirmed."""
        count = len(chosen)
        new = {
            "ids": first_id + np.arange(count),
            "labels": detections.labels[chosen],
            "scores": detections.scores[chosen],
            "matched": chosen,
            "hits": np.ones(count, np.int64),
            "missed": np.zeros(count, np.int64),
            "began": np.full(count, frame),
            "confirmed": np.zeros(count, bool),
        }
        joined = {name: np.concatenate([getattr(self, name), values]) for name, values in new.items()}
        return TrackTable(self.motion.joined(motion), **joined)

    def see(self, rows: np.ndarray, detections: Detections, chosen: np.ndarray) -> None:
        """Note that these tracks were found as these detections; the filter is the tracker's own business."""
        self.labels[rows], self.scores[rows] = detections.labels[chosen], detections.scores[chosen]
        self.matched[rows] = chosen
        self.hits[rows] += 1
        self.missed[rows] = 0

    def tell(self, shown: np.ndarray, boxes: np.ndarray, detections: Detections, kind: Boxes) -> Tracks:
        """The tracks of the bool mask ``shown`` as a result; ``boxes`` (T, 4) xyxy are the filter's of all of them."""
        rows = np.flatnonzero(shown)
        if kind == "detected":
            seen = self.matched >= 0
            boxes[seen] = detections.boxes[self.matched[seen]]
        masks = None if detections.masks is None else _masks_of(detections.masks, self.matched[rows])
        return Tracks(
            boxes[rows].astype(np.float32),
            self.scores[rows],
            self.labels[rows],
            detections.names,
            detections.size,
            detections.source,
            masks,
            detections.image,
            detections.read,
            ids=self.ids[rows],
        )


def _masks_of(masks: Masks, chosen: np.ndarray) -> Masks:
    """The masks of the chosen detections; −1, a track that was not seen, has an empty one."""
    pixels = masks.size[0] * masks.size[1]
    nothing = Masks.of(np.zeros((1, *masks.size), bool)).counts[0] if pixels else ""
    return Masks(tuple(masks.counts[i] if i >= 0 else nothing for i in chosen), masks.size)


def overlaps(table: TrackTable, boxes: np.ndarray, detections: Detections, *, across_classes: bool) -> np.ndarray:
    """(T, N) IoU of the tracks, which are at ``boxes`` (T, 4), with the detections; 0 for a pair of two classes,
    unless ``across_classes``."""
    iou = iou_of(boxes, detections.boxes.astype(np.float64))
    if not across_classes and len(detections.names) > 1:
        iou[table.labels[:, None] != detections.labels] = 0
    return iou


def iou_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) IoU of float64 boxes (n, 4) and (m, 4)."""
    return box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
