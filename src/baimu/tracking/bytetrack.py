"""ByteTrack: Multi-Object Tracking by Associating Every Detection Box.

Yifu Zhang, Peize Sun, Yi Jiang, Dongdong Yu, Fucheng Weng, Zehuan Yuan, Ping Luo, Wenyu Liu, Xinggang Wang, 2021,
arXiv 2110.06864.

A detection of low score is often an object half hidden, and so not to be thrown away: tracks are first paired with the
detections of high score, then those left over with the ones of low score, which lie where a track expects them; what
lies elsewhere is background (Algorithm 1). Only detections of high score begin tracks. Places come from DeepSORT's
Kalman filter, and nothing but overlap decides: a pair's cost is ``1 − IoU · score``, in the second step ``1 − IoU``.

A track that is missed is *lost* and lives on through ``buffer`` frames, in which it keeps its height; one that begins
after the first frame is told from its second detection on, and forgotten if that does not come in the next frame.
Everything is an array over tracks; there is no loop over them.

Dims: T tracks, N detections of a frame.

==========================  ====================================================================================
differs                     how
==========================  ====================================================================================
classes                     a track and a detection of two classes are not paired (``across_classes=True``: as in
                            the paper, which has one class)
filter                      the reference's (8, 8) matrices have no term between two coordinates; here are their
                            entries alone (:mod:`baimu.ops.kalman`), with equal results
end of a lost track         after ``buffer`` frames; by the order of its statements the reference can still find it
                            in the one after
boxes                       continuous; the reference's overlap counts pixels (+1)
scores at a threshold       one equal to ``high`` is of neither kind in the reference, here it is low
frame rate                  ``buffer`` is in frames; the reference scales it by frame rate / 30
camera motion               not compensated, as in the paper
==========================  ====================================================================================

The paper's: MOTA 80.3, IDF1 77.3, HOTA 63.1 on MOT17 test with its YOLOX-X (Table 4).
"""

from __future__ import annotations

import numpy as np

from baimu.assign.one_to_one import pair_up
from baimu.results import Detections, Tracks
from baimu.tracking.deepsort import (
    corrected,
    from_centre_ratio_height,
    predicted,
    started,
    to_centre_ratio_height,
)
from baimu.tracking.table import Boxes, TrackTable, iou_of, overlaps

NEW_MARGIN = 0.1  # a track begins with a score so far above ``high``
LOW_LIMIT, UNCONFIRMED_LIMIT = 0.5, 0.7  # largest cost of a pair in the second step, and of a track seen only once
SAME = 0.85  # overlap above which a lost and a found track are one


class ByteTrack:
    """``update`` takes the detections of one frame after the other, those of low score too, and tells the tracks in it.

    ``high``: detections above this score may begin tracks (``high + 0.1``) and are paired first; ``low``: the others
    above this one are paired with what is left. ``match_limit``: largest cost ``1 − IoU · score`` of a pair in the
    first step. ``buffer``: frames that a track may be missed and live on. ``fuse_scores=False`` leaves the score out of
    the cost, as the paper does on MOT20. ``boxes``: told are the filter's, or the detections' own.
    """

    def __init__(
        self,
        *,
        high: float = 0.6,
        low: float = 0.1,
        match_limit: float = 0.9,
        buffer: int = 30,
        fuse_scores: bool = True,
        across_classes: bool = False,
        boxes: Boxes = "filtered",
    ) -> None:
        self.high, self.low, self.match_limit, self.buffer = high, low, match_limit, buffer
        self.fuse_scores, self.across_classes = fuse_scores, across_classes
        self.boxes: Boxes = boxes
        self.reset()

    def reset(self) -> None:
        """Forget everything, for the next video."""
        self.table, self.frame, self.next_id = TrackTable.empty(), 0, 1

    def update(self, detections: Detections) -> Tracks:
        """The confirmed tracks that were found in this frame, with their boxes after it."""
        self.frame += 1
        table, measured = self._predicted(), to_centre_ratio_height(detections.boxes)
        rows, columns = self._pairs(table, detections)
        table.see(rows, detections, columns)
        table.motion.put(rows, corrected(table.motion.take(rows), measured[columns]))
        table.confirmed[rows] = True

        table = table.take(table.confirmed & (table.missed <= self.buffer))
        strong = detections.scores >= self.high + NEW_MARGIN
        strong[columns] = False
        new = np.flatnonzero(strong)
        table = table.begin(started(measured[new]), detections, new, self.next_id, self.frame)
        self.next_id += len(new)
        table.confirmed |= self.frame == 1
        self.table = self._without_doubles(table)
        shown, estimated = self.table.confirmed & (self.table.missed == 0), self.table.motion.position
        return self.table.tell(shown, from_centre_ratio_height(estimated), detections, self.boxes)

    def _predicted(self) -> TrackTable:
        """The tracks as expected in this frame, not yet seen in it; those seen only once stay where they are."""
        table = self.table
        known = np.flatnonzero(table.confirmed)
        motion = table.motion.take(known)
        motion.velocity[table.missed[known] > 0, 3] = 0
        table.motion.put(known, predicted(motion))
        table.missed += 1
        table.matched[:] = -1
        return table

    def _pairs(self, table: TrackTable, detections: Detections) -> tuple[np.ndarray, np.ndarray]:
        """Algorithm 1: known tracks with high scores; those found last time with low scores; new tracks with what is
        left of the high ones."""
        boxes, scores = from_centre_ratio_height(table.motion.position), detections.scores
        iou = overlaps(table, boxes, detections, across_classes=self.across_classes)
        fused = iou * scores if self.fuse_scores else iou
        high = np.flatnonzero(scores > self.high)
        low = np.flatnonzero((scores > self.low) & (scores <= self.high))

        known = np.flatnonzero(table.confirmed)
        first, high_used = _paired(known, high, fused, self.match_limit)
        recent = known[table.missed[known] == 1]
        second, low_used = _paired(np.setdiff1d(recent, first), low, iou, LOW_LIMIT)
        fresh = np.flatnonzero(~table.confirmed)
        third, rest_used = _paired(fresh, np.setdiff1d(high, high_used), fused, UNCONFIRMED_LIMIT)
        return np.concatenate([first, second, third]), np.concatenate([high_used, low_used, rest_used])

    def _without_doubles(self, table: TrackTable) -> TrackTable:
        """Where a lost and a found track cover each other, the one that has been followed longer remains."""
        lost, found = np.flatnonzero(table.missed > 0), np.flatnonzero(table.missed == 0)
        if not len(lost) or not len(found):
            return table
        boxes = from_centre_ratio_height(table.motion.position)
        both = iou_of(boxes[lost], boxes[found]) > SAME
        if not self.across_classes:
            both &= table.labels[lost, None] == table.labels[found]
        one, other = lost[both.nonzero()[0]], found[both.nonzero()[1]]
        followed = self.frame - table.missed - table.began
        lost_goes = followed[other] > followed[one]
        keep = np.ones(len(table), bool)
        keep[one[lost_goes]] = keep[other[~lost_goes]] = False
        return table.take(keep)


def _paired(rows: np.ndarray, columns: np.ndarray, likeness: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of these tracks and detections of least ``1 − likeness``, none of it above ``limit``."""
    first, second = pair_up(likeness[np.ix_(rows, columns)] - (1 - limit))
    return rows[first], columns[second]
