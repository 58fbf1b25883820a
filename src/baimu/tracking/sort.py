"""Simple Online and Realtime Tracking (SORT).

Alex Bewley, Zongyuan Ge, Lionel Ott, Fabio Ramos, Ben Upcroft, 2016, arXiv 1602.00763.

A track is a Kalman filter of a box: its centre, area and aspect ratio, of which all but the ratio move at constant
speed. In each frame the predicted boxes and the detections are paired so that the sum of IoU is largest (§3.3); a pair
below ``iou_threshold`` is parted again. What is left of the detections begins new tracks, which are told once they
were found in ``min_hits`` further frames in a row; a track that is missed in more than ``max_age`` frames ends (§3.4).
Everything is an array over tracks; there is no loop over them.

Dims: T tracks, N detections of a frame.

==========================  ====================================================================================
differs                     how
==========================  ====================================================================================
classes                     a track and a detection of two classes are not paired (``across_classes=True``: as in
                            the paper, which has one class)
assignment                  of all pairs that overlap, then the threshold, as in the paper; the reference skips
                            the solver where no two pairs above the threshold contend, whatever lies below
filter                      the reference's (7, 7) matrices have no term between two coordinates; here are their
                            entries alone (:mod:`baimu.ops.kalman`), with equal results
low scores                  left to the detector, as in the reference; ``score_threshold`` leaves detections out
camera motion               not compensated, as in the paper
==========================  ====================================================================================

The paper's: MOTA 33.4 on MOT15 test with its detections (Table 1).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from baimu.assign.one_to_one import pair_up
from baimu.ops.kalman import correct, predict, start
from baimu.results import Detections, Tracks
from baimu.tracking.table import Boxes, TrackTable, overlaps

# Variances of centre x, centre y, area, ratio, in the reference's code: the paper gives none.
MEASURED = np.array([1.0, 1.0, 10.0, 10.0])
FIRST, FIRST_VELOCITY = np.full(4, 10.0), np.array([1e4, 1e4, 1e4, 0.0])
PROCESS, PROCESS_VELOCITY = np.ones(4), np.array([1e-2, 1e-2, 1e-4, 0.0])


def to_centre_area_ratio(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """xyxy → (centre x, centre y, area, width / height)."""
    x1, y1, x2, y2 = boxes.T.astype(np.float64)
    width, height = x2 - x1, np.maximum(y2 - y1, 1e-6)  # a flat box has no ratio
    return np.stack([(x1 + x2) / 2, (y1 + y2) / 2, width * height, width / height], 1)


def from_centre_area_ratio(state: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """Inverse of :func:`to_centre_area_ratio`; an area or ratio below zero counts as none."""
    x, y, area, ratio = state.T
    width = np.sqrt((area * ratio).clip(0))
    height = np.divide(area.clip(0), width, out=np.zeros_like(width), where=width > 0)
    return np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)


class Sort:
    """``update`` takes the detections of one frame after the other and tells the tracks in it.

    ``iou_threshold``: least overlap of a pair, 0…1. ``max_age``: frames that a track may be missed and live on.
    ``min_hits``: frames in a row that a track must be found in after its first, to be told; in the first ``min_hits``
    frames every track is. Detections below ``score_threshold`` are left out. ``boxes``: told are the filter's,
    or the detections' own.
    """

    def __init__(
        self,
        *,
        iou_threshold: float = 0.3,
        max_age: int = 1,
        min_hits: int = 3,
        score_threshold: float = 0.0,
        across_classes: bool = False,
        boxes: Boxes = "filtered",
    ) -> None:
        self.iou_threshold, self.max_age, self.min_hits = iou_threshold, max_age, min_hits
        self.score_threshold, self.across_classes = score_threshold, across_classes
        self.boxes: Boxes = boxes
        self.reset()

    def reset(self) -> None:
        """Forget everything, for the next video."""
        self.table, self.frame, self.next_id = TrackTable.empty(), 0, 1

    def update(self, detections: Detections) -> Tracks:
        """The tracks that were found in this frame, with their boxes after it."""
        self.frame += 1
        detections = detections[detections.scores >= self.score_threshold]
        measured = to_centre_area_ratio(detections.boxes)
        table = self._predicted()
        rows, columns = self._pairs(table, detections)
        table.see(rows, detections, columns)
        table.motion.put(rows, correct(table.motion.take(rows), measured[columns], MEASURED))

        new = np.setdiff1d(np.arange(len(detections)), columns)
        table = table.begin(start(measured[new], FIRST, FIRST_VELOCITY), detections, new, self.next_id, self.frame)
        self.next_id += len(new)
        table.hits[table.began == self.frame] = 0  # the first detection does not count
        table.confirmed = (table.hits >= self.min_hits) | (self.frame <= self.min_hits)
        shown, estimated = (table.missed == 0) & table.confirmed, from_centre_area_ratio(table.motion.position)
        found = table.tell(shown, estimated, detections, self.boxes)
        self.table = table.take(table.missed <= self.max_age)
        return found

    def _predicted(self) -> TrackTable:
        """The tracks as expected in this frame, not yet seen in it; an area does not shrink below zero."""
        table = self.table
        position, velocity = table.motion.position, table.motion.velocity
        velocity[position[:, 2] + velocity[:, 2] <= 0, 2] = 0
        table.motion = predict(table.motion, PROCESS, PROCESS_VELOCITY)
        table.hits[table.missed > 0] = 0
        table.missed += 1
        table.matched[:] = -1
        return table

    def _pairs(self, table: TrackTable, detections: Detections) -> tuple[np.ndarray, np.ndarray]:
        boxes = from_centre_area_ratio(table.motion.position)
        iou = overlaps(table, boxes, detections, across_classes=self.across_classes)
        rows, columns = pair_up(iou)
        near = iou[rows, columns] >= self.iou_threshold
        return rows[near], columns[near]
