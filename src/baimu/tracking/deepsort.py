"""Simple Online and Realtime Tracking with a Deep Association Metric (DeepSORT).

Nicolai Wojke, Alex Bewley, Dietrich Paulus, 2017, arXiv 1703.07402.

SORT forgets who a track was as soon as it is hidden. DeepSORT keeps the last ``budget`` appearance vectors of each
track and pairs by the smallest cosine distance between a detection and these (Eq. 2), as far as the Kalman filter
believes the place (Eq. 1, gated at the 95 % quantile of χ² with four degrees of freedom). Tracks that were seen more
recently choose first (the matching cascade, Listing 1); then new tracks and those missed only once get what is left
by IoU, as in SORT. A track is told when it was found in its first ``confirm_hits`` frames, and can be found again up
to ``max_age`` frames after the last time.

The filter's coordinates are centre x, centre y, width / height and height, all at constant speed; its noise grows with
the height, so that what is near may move more. Everything but the steps of the cascade is an array over tracks.

Dims: T tracks, N detections of a frame, D numbers of an appearance vector.

==========================  ====================================================================================
differs                     how
==========================  ====================================================================================
appearance                  any function from a frame and boxes to vectors (``embed``), not one network
classes                     a track and a detection of two classes are not paired (``across_classes=True``: as in
                            the paper, which has one class)
filter                      the reference's (8, 8) matrices have no term between two coordinates; here are their
                            entries alone (:mod:`baimu.ops.kalman`), with equal results
cost                        of appearance alone, as the paper's experiments set λ = 0 (§2.2)
``confidence`` of NMS       left to the detector; ``score_threshold`` is the reference's 0.3 of its experiments
camera motion               not compensated, as in the paper
==========================  ====================================================================================

The paper's: MOTA 61.4 on MOT16 test with the detections of POI (Table 1).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from baimu.assign.one_to_one import pair_up
from baimu.errors import DataError
from baimu.ops.kalman import Motion, correct, predict, squared_distance, start
from baimu.results import Detections, Tracks
from baimu.tracking.table import Boxes, TrackTable, overlaps

Embed = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""An RGB frame (H, W, 3) uint8 and boxes (N, 4) xyxy in its pixels → appearance vectors (N, D), of any length."""

CHI2_95 = 9.4877
"""The 95 % quantile of χ² with four degrees of freedom."""
POSITION, VELOCITY = 1 / 20, 1 / 160
"""Standard deviations of a place and of its speed, in heights of the box."""


def to_centre_ratio_height(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """xyxy → (centre x, centre y, width / height, height)."""
    x1, y1, x2, y2 = boxes.T.astype(np.float64)
    height = np.maximum(y2 - y1, 1e-6)  # a flat box has no ratio
    return np.stack([(x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / height, height], 1)


def from_centre_ratio_height(state: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """Inverse of :func:`to_centre_ratio_height`."""
    x, y, ratio, height = state.T
    half = ratio * height / 2
    return np.stack([x - half, y - height / 2, x + half, y + height / 2], 1)


def variances(heights: Float[np.ndarray, " t"], *, place: float, ratio: float) -> Float[np.ndarray, "t 4"]:
    """Of the four coordinates: ``place`` heights squared, and ``ratio`` squared for the aspect ratio."""
    noise = np.repeat((place * heights[:, None]) ** 2, 4, axis=1)
    noise[:, 2] = ratio**2
    return noise


def started(measured: Float[np.ndarray, "n 4"]) -> Motion:
    """New tracks at rest, twice as unsure of their place as a measurement and ten times of their speed."""
    height = measured[:, 3]
    return start(
        measured, variances(height, place=2 * POSITION, ratio=1e-2), variances(height, place=10 * VELOCITY, ratio=1e-5)
    )


def predicted(motion: Motion) -> Motion:
    """One frame later; the process noise is that of the height so far."""
    height = motion.position[:, 3]
    return predict(motion, variances(height, place=POSITION, ratio=1e-2), variances(height, place=VELOCITY, ratio=1e-5))


def measurement_noise(motion: Motion) -> Float[np.ndarray, "t 4"]:
    """How far a detection may lie from its track; that of the ratio is a tenth, not a hundredth."""
    return variances(motion.position[:, 3], place=POSITION, ratio=1e-1)


def corrected(motion: Motion, measured: Float[np.ndarray, "t 4"]) -> Motion:
    """After track t was measured at ``measured[t]``."""
    return correct(motion, measured, measurement_noise(motion))


class Gallery:
    """The last ``budget`` appearance vectors of each of T tracks, of length 1; rows go as the tracks' own."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.vectors = np.zeros((0, budget, 0), np.float32)
        self.counts = np.zeros(0, np.int64)  # vectors seen so far

    def begin(self, vectors: Float[np.ndarray, "n d"]) -> None:
        """New tracks with one vector each."""
        new = np.zeros((len(vectors), self.budget, vectors.shape[1]), np.float32)
        new[:, 0] = vectors
        if len(new):
            old = self.vectors if len(self.vectors) else new[:0]
            self.vectors = np.concatenate([old, new])
            self.counts = np.concatenate([self.counts, np.ones(len(new), np.int64)])

    def add(self, rows: np.ndarray, vectors: Float[np.ndarray, "n d"]) -> None:
        """One more vector of each of these tracks, in the place of its oldest."""
        if not len(rows):
            return
        self.vectors[rows, self.counts[rows] % self.budget] = vectors
        self.counts[rows] += 1

    def keep(self, rows: np.ndarray) -> None:
        """Only these tracks, by a bool mask."""
        if not rows.all():
            self.vectors, self.counts = self.vectors[rows], self.counts[rows]

    def distance(self, rows: np.ndarray, vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "t n"]:
        """Smallest cosine distance, 0…2, of each vector from those of each track of ``rows`` (Eq. 2)."""
        if not len(rows) or not len(vectors):
            return np.zeros((len(rows), len(vectors)), np.float32)
        used = min(self.budget, int(self.counts[rows].max()))
        closeness = (self.vectors[rows, :used].reshape(len(rows) * used, -1) @ vectors.T).reshape(len(rows), used, -1)
        closeness[np.arange(used)[None] >= self.counts[rows, None]] = -1  # a place not yet filled
        return 1 - closeness.max(1)


class DeepSort:
    """``update`` takes the detections of one frame after the other, with its picture, and tells the tracks in it.

    ``embed``: see :data:`Embed`; vectors may also be given to ``update``. ``max_distance``: largest cosine distance of
    a pair; ``iou_threshold``: least overlap of a pair in the last step. ``max_age``: frames after which a track can
    still be found again. ``confirm_hits``: frames in a row that a new track must be found in. ``budget``: vectors kept
    of a track. ``told_after``: frames that a track is still told, where it is expected, after it was last found; the
    reference's 1. Detections below ``score_threshold`` are left out. ``boxes``: told are the filter's, or of a track
    that was found in the frame its detection's own.
    """

    def __init__(
        self,
        embed: Embed | None = None,
        *,
        max_distance: float = 0.2,
        iou_threshold: float = 0.3,
        max_age: int = 30,
        confirm_hits: int = 3,
        budget: int = 100,
        told_after: int = 1,
        score_threshold: float = 0.3,
        across_classes: bool = False,
        boxes: Boxes = "filtered",
    ) -> None:
        self.embed, self.max_distance, self.iou_threshold = embed, max_distance, iou_threshold
        self.max_age, self.confirm_hits, self.budget, self.told_after = max_age, confirm_hits, budget, told_after
        self.score_threshold, self.across_classes = score_threshold, across_classes
        self.boxes: Boxes = boxes
        self.reset()

    def reset(self) -> None:
        """Forget everything, for the next video."""
        self.table, self.frame, self.next_id = TrackTable.empty(), 0, 1
        self.gallery = Gallery(self.budget)

    def update(self, detections: Detections, vectors: Float[np.ndarray, "n d"] | None = None) -> Tracks:
        """The confirmed tracks that were found in this frame or missed for ``told_after`` frames at most.

        ``vectors`` are the detections' where they are known; else ``embed`` makes them from the detections' picture.
        """
        self.frame += 1
        keep = detections.scores >= self.score_threshold
        detections, vectors = detections[keep], None if vectors is None else vectors[keep]
        vectors = _normal(self._embedded(detections) if vectors is None else vectors)
        measured = to_centre_ratio_height(detections.boxes)

        table = self.table
        table.motion = predicted(table.motion)
        table.missed += 1
        table.matched[:] = -1
        rows, columns = self._pairs(table, detections, measured, vectors)
        table.see(rows, detections, columns)
        table.motion.put(rows, corrected(table.motion.take(rows), measured[columns]))
        self.gallery.add(rows, vectors[columns])
        table.confirmed |= table.hits >= self.confirm_hits

        alive = (table.missed == 0) | (table.confirmed & (table.missed < self.max_age))
        self.gallery.keep(alive)
        new = np.setdiff1d(np.arange(len(detections)), columns)
        self.gallery.begin(vectors[new])
        table = table.take(alive).begin(started(measured[new]), detections, new, self.next_id, self.frame)
        self.next_id += len(new)
        self.table = table
        shown = table.confirmed & (table.missed <= self.told_after)
        return table.tell(shown, from_centre_ratio_height(table.motion.position), detections, self.boxes)

    def _embedded(self, detections: Detections) -> np.ndarray:
        if not len(detections):
            return np.zeros((0, self.gallery.vectors.shape[2]), np.float32)
        picture = detections.image if detections.image is not None or not detections.read else detections.read()
        if self.embed is None or picture is None:
            lacks = "a function embed(frame, boxes)" if self.embed is None else "the picture of the detections"
            raise DataError(
                f"{detections.source or 'detections'}: DeepSORT needs {lacks}, or vectors given to update(); "
                "without appearance, take bytetrack or sort"
            )
        vectors = np.asarray(self.embed(picture, detections.boxes), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(detections):
            raise DataError(f"embed gave {vectors.shape} for {len(detections)} boxes; it must be (N, D)")
        return vectors

    def _pairs(
        self, table: TrackTable, detections: Detections, measured: np.ndarray, vectors: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The cascade, then IoU; pairs in no particular order."""
        pairs = _Pairs(len(table), len(detections))
        confirmed = np.flatnonzero(table.confirmed)
        gain = self.max_distance - self.gallery.distance(confirmed, vectors)
        motion = table.motion.take(confirmed)
        gain[squared_distance(motion, measured, measurement_noise(motion)) > CHI2_95] = 0
        if not self.across_classes:
            gain[table.labels[confirmed, None] != detections.labels] = 0
        for age in np.unique(table.missed[confirmed]):  # those seen last choose first
            choosing = np.flatnonzero(table.missed[confirmed] == age)
            pairs.make(confirmed[choosing], gain[choosing])

        left = np.flatnonzero(pairs.free_rows & (~table.confirmed | (table.missed == 1)))
        boxes = from_centre_ratio_height(table.motion.position)
        iou = overlaps(table, boxes, detections, across_classes=self.across_classes)[left]
        pairs.make(left, iou - self.iou_threshold)
        return pairs.made()


class _Pairs:
    """Pairs made step by step, each among those that are still free."""

    def __init__(self, rows: int, columns: int) -> None:
        self.free_rows, self.free_columns = np.ones(rows, bool), np.ones(columns, bool)
        self._steps: list[tuple[np.ndarray, np.ndarray]] = []

    def make(self, rows: np.ndarray, gain: np.ndarray) -> None:
        """The best pairs of these rows, with ``gain`` (len(rows), all columns)."""
        columns = np.flatnonzero(self.free_columns)
        first, second = pair_up(gain[:, columns])
        found = rows[first], columns[second]
        self.free_rows[found[0]], self.free_columns[found[1]] = False, False
        self._steps.append(found)

    def made(self) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = zip(*self._steps, strict=True)
        return np.concatenate(rows), np.concatenate(columns)


def _normal(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; one that is all zeros stays so."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
