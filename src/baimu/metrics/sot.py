"""Single-object tracking: OTB's success and precision, GOT-10k's AO, VOT's EAO, accuracy and robustness.

*One pass* (OTB, 1504.03298 §4; GOT-10k, 1810.11981 §4): the tracker is told the box of the first frame and follows to
the end. OTB's success is the area under the curve of the share of frames above an IoU, at 21 thresholds, its precision
the share within 20 pixels of the centre, the first frame among them, and both are means over sequences; GOT-10k's AO is
the mean IoU of all frames but the first of each sequence, of boxes that are held to the frame, and SR the share of
these frames above 0.5 and 0.75.

*With resets* (VOT 2016 to 2019, as pysot's toolkit computes them): where the tracker's box no longer touches the truth
it has failed, and starts again five frames later. Accuracy is the mean IoU without the ten frames after a start,
robustness 100 times the failures a frame, and EAO the expected mean IoU of a sequence of usual length.

Boxes are xyxy and continuous; frames without a truth are left out everywhere. VOT's rotated boxes count by their
upright bounds here, so that figures of VOT's own data are not the benchmark's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from baimu.datasets.source import SequenceSource
from baimu.results import Tracks

SUCCESS = np.linspace(0, 1, 21)
PRECISION = np.arange(51)
"""Pixels."""
SKIPPED, BURN_IN = 5, 10
"""Frames after a failure until the next start, and after a start that accuracy leaves out."""
LENGTHS = {"vot2016": (108, 371), "vot2018": (100, 356), "vot2019": (46, 291)}
"""Frames of sequences of usual length."""

LEFT_OUT, STARTED, FAILED, RUNS = 0, 1, 2, 3
"""Marks of the frames of a run with resets; the first three, which have no overlap, as VOT's files have them."""

Report = Callable[[Tracks], None]


@dataclass(frozen=True)
class Followed:
    """One sequence after one pass: its name, truth and what was found, (L, 4) each, the frames' height and width, and
    seconds in all."""

    name: str
    truth: np.ndarray
    found: np.ndarray
    size: tuple[int, int]
    seconds: float = 0.0

    @property
    def iou(self) -> np.ndarray:
        """(L,), NaN where there is no truth."""
        return paired_iou(self.truth, self.found)

    @property
    def later(self) -> np.ndarray:
        """IoU in the annotated frames after the first, of boxes held to the frame as GOT-10k's toolkit does: the corner
        is moved into the frame, and what then reaches out of it on the other side is cut."""
        iou = paired_iou(*(_held(boxes[1:], self.size) for boxes in (self.truth, self.found)))
        return iou[np.isfinite(iou)]

    @property
    def distance(self) -> np.ndarray:
        """(L,) pixels between the centres, NaN where there is no truth."""
        return np.linalg.norm(
            (self.truth[:, :2] + self.truth[:, 2:] - self.found[:, :2] - self.found[:, 2:]) / 2, axis=1
        )


@dataclass(frozen=True)
class SotScores:
    """Of all sequences after one pass. Printed, a table of the sequences and all together."""

    sequences: Sequence[Followed]

    def figures(self) -> dict[str, float]:
        """``success_auc`` and ``precision_20`` of OTB, ``ao``, ``sr_50`` and ``sr_75`` of GOT-10k, frames a second."""
        seconds, frames = sum(s.seconds for s in self.sequences), sum(len(s.truth) - 1 for s in self.sequences)
        of_otb = {"success_auc": float(self.success.mean()), "precision_20": float(self.precision[20])}
        later = np.concatenate([one.later for one in self.sequences])
        return {**of_otb, **_overlaps(later), "fps": frames / seconds if seconds else 0.0}

    def table(self) -> list[dict[str, Any]]:
        return [SotScores([one])._row() for one in self.sequences]

    def _row(self) -> dict[str, Any]:
        figures = {name: value for name, value in self.figures().items() if name != "fps"}
        return {"sequence": PurePath(self.sequences[0].name).name, "frames": len(self.sequences[0].truth), **figures}

    @property
    def success(self) -> np.ndarray:
        """(21,): the share of frames above each of :data:`SUCCESS`, the mean over sequences."""
        return np.mean([success_curve(one.iou) for one in self.sequences], axis=0)

    @property
    def precision(self) -> np.ndarray:
        """(51,): the share of frames within each of :data:`PRECISION`, the mean over sequences."""
        return np.mean([precision_curve(one.distance) for one in self.sequences], axis=0)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, ready for JSON."""
        curves = {"success": self.success.tolist(), "precision": self.precision.tolist()}
        return {"figures": self.figures(), "sequences": self.table(), **curves}

    def __str__(self) -> str:
        rows = self.table()
        width = max(8, *(len(row["sequence"]) for row in rows))
        names = [name for name in rows[0] if name not in ("sequence", "frames")]
        lines = ["  ".join(f"{name} {value:.3f}" for name, value in self.figures().items())]
        lines.append(f"{'sequence':<{width}}  frames  " + "  ".join(f"{name:>12}" for name in names))
        for row in rows:
            cells = "  ".join(f"{row[name]:>12.3f}" for name in names)
            lines.append(f"{row['sequence']:<{width}}  {row['frames']:>6}  {cells}")
        return "\n".join(lines)


def paired_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(L,) IoU of boxes (L, 4) row by row; NaN where a number is."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    both = (high - low).clip(0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - both
    return both / np.maximum(union, np.finfo(float).eps)


def success_curve(iou: np.ndarray) -> np.ndarray:
    """(21,): share of frames strictly above each threshold."""
    return (iou[np.isfinite(iou), None] > SUCCESS).mean(0)


def precision_curve(distance: np.ndarray) -> np.ndarray:
    """(51,): share of frames at most so many pixels away."""
    return (distance[np.isfinite(distance), None] <= PRECISION).mean(0)


def _overlaps(iou: np.ndarray) -> dict[str, float]:
    if not len(iou):
        return dict.fromkeys(("ao", "sr_50", "sr_75"), float("nan"))
    return {"ao": float(iou.mean()), "sr_50": float((iou > 0.5).mean()), "sr_75": float((iou > 0.75).mean())}


def _held(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    limits = np.array([size[1], size[0]], float)
    low = boxes[:, :2].clip(0, limits)
    return np.concatenate([low, low + (boxes[:, 2:] - boxes[:, :2]).clip(0, limits - low)], 1)


@dataclass(frozen=True)
class ResetRun:
    """One sequence with resets: a mark for each annotated frame (L,), and its IoU (L,), NaN where no tracker ran."""

    name: str
    iou: np.ndarray
    marks: np.ndarray

    @property
    def failures(self) -> int:
        return int((self.marks == FAILED).sum())


def run_once(
    tracker: Any, source: SequenceSource, index: int, *, most: int | None = None, report: Report = lambda found: None
) -> Followed:
    """Follow a sequence from its first annotated frame to the end, or through ``most`` frames; ``tracker`` is a
    :class:`~baimu.tracking.siamese.SingleTracker`, and ``report`` is called with each of its results."""
    truth = np.stack([source.box(index, number) for number in range(source.frames(index))])
    first = int(np.flatnonzero(np.isfinite(truth).all(1))[0])
    truth = truth[first : None if most is None else first + most]
    found, seconds = [truth[0]], 0.0
    for number in range(len(truth)):
        frame = source.frame(index, first + number)
        began = time.perf_counter()
        if number == 0:
            tracker.init(frame, truth[0])
        else:
            told = tracker.update(frame)
            seconds += time.perf_counter() - began
            found.append(told.boxes[0].astype(float))
            report(told)
    return Followed(source.name(index), truth, np.stack(found), source.size(index), seconds)


def run_with_resets(tracker: Any, source: SequenceSource, index: int) -> ResetRun:
    """Follow a sequence, starting again :data:`SKIPPED` frames after each failure; ``tracker`` as of :func:`run_once`.

    Frames without a truth are shown to the tracker and do not count.
    """
    iou: list[float] = []
    marks: list[int] = []
    start, running = 0, False
    for number in range(source.frames(index)):
        truth = source.box(index, number)
        if not np.isfinite(truth).all():
            if running:
                tracker.update(source.frame(index, number))
            continue
        overlap, mark = np.nan, LEFT_OUT
        if running:
            found = tracker.update(source.frame(index, number)).boxes.astype(float)
            overlap, mark = float(paired_iou(truth[None], found)[0]), RUNS
            if overlap == 0:
                overlap, mark, start, running = np.nan, FAILED, len(iou) + SKIPPED, False
        elif len(iou) >= start:
            tracker.init(source.frame(index, number), truth)
            mark, running = STARTED, True
        iou.append(overlap)
        marks.append(mark)
    return ResetRun(source.name(index), np.array(iou), np.array(marks))


def vot_figures(runs: Sequence[ResetRun], lengths: tuple[int, int] = LENGTHS["vot2018"]) -> dict[str, float]:
    """``accuracy``, ``robustness`` (100 times failures a frame) and ``eao`` over sequences of ``lengths`` frames."""
    inside = np.concatenate([_after_burn_in(run) for run in runs])
    frames = sum(len(run.iou) for run in runs)
    accuracy = float(np.nanmean(inside)) if np.isfinite(inside).any() else float("nan")
    return {
        "accuracy": accuracy,
        "robustness": 100 * sum(run.failures for run in runs) / frames,
        "eao": expected_overlap(runs, lengths),
    }


def _after_burn_in(run: ResetRun) -> np.ndarray:
    iou = run.iou.copy()
    for start in np.flatnonzero(run.marks == STARTED):
        iou[start : start + BURN_IN] = np.nan
    return iou


def expected_overlap(runs: Sequence[ResetRun], lengths: tuple[int, int]) -> float:
    """Expected average overlap (Kristan et al. 2015, as pysot has it): the mean, over the lengths from the first to the
    last, of the mean IoU that a sequence so long is expected to have.

    A run falls into fragments, from the first frame or :data:`SKIPPED` frames after a failure to the next of these
    places. A fragment that failed goes on with IoU 0 however long, one that reached the end as far as it goes. NaN
    where no sequence is as long as the first length.
    """
    longest = max(len(run.iou) for run in runs)
    rows = [row for run in runs for row in _fragments(run, longest)]
    table = np.stack(rows)
    curve = [_mean_until(table, length) for length in range(lengths[0], min(lengths[1], longest) + 1)]
    return float(np.mean(curve)) if curve else float("nan")


def _mean_until(table: np.ndarray, length: int) -> float:
    """The mean IoU of the fragments that have so many frames, without their first, where the tracker was told."""
    if length == 1:
        return 1.0
    known = np.isfinite(table[:, length - 1])
    return float(table[known, 1:length].mean()) if known.any() else 0.0


def _fragments(run: ResetRun, longest: int) -> Iterator[np.ndarray]:
    """(longest,) IoU of each: 0 after a failure, NaN after the end."""
    ends = [int(place) + SKIPPED for place in np.flatnonzero(run.marks == FAILED)]
    starts = [0, *(end for end in ends if end <= len(run.iou))]
    for i, start in enumerate(starts):
        failed = i + 1 < len(starts)
        row = np.full(longest, 0.0 if failed else np.nan)
        fragment = run.iou[start : starts[i + 1] + 1] if failed else run.iou[start:]
        row[: len(fragment)] = np.nan_to_num(fragment)
        yield row
