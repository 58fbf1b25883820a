"""Multi-object tracking: HOTA (2009.07736), CLEAR MOT (Bernardin, Stiefelhagen 2008) and IDF1 (1609.01775).

Own code, equal to TrackEval to the last digit and, where they overlap, to py-motmetrics (tests/metrics/test_mot.py):
TrackEval's package installs OpenCV, which nothing else here needs. Overlap is IoU of continuous boxes.

HOTA is the mean over 19 IoU thresholds of ``√(DetA · AssA)``: how much is found, and how long it stays the same
track. MOTA counts misses, false finds and switches of identity; IDF1 how much of all is found under the one identity
that suits each truth best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from baimu.datasets.formats.mot import TrackRows
from baimu.ops.boxes import box_iou

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""HOTA's IoU thresholds."""
IOU = 0.5
"""Least overlap of a truth and what was found of it, for CLEAR MOT and IDF1."""
DISTRACTORS = (2, 7, 8, 12)
"""Classes of MOT17 that are neither to be found nor wrong to find: static person, person on vehicle, distractor,
reflection."""
_EPS = np.finfo(float).eps

Frame = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Numbers of the truths and of the tracks in one frame, each from 0 without gaps, and their IoU (G, T)."""


@dataclass(frozen=True, eq=False)
class MotCounts:
    """What is counted in a sequence; of several, the sums. The first seven are one number a threshold."""

    tp: np.ndarray
    fn: np.ndarray
    fp: np.ndarray
    iou: np.ndarray  # sum over matches
    association: np.ndarray  # sums over matches of their Jaccard index, recall and precision in time
    association_recall: np.ndarray
    association_precision: np.ndarray
    matches: int = 0  # CLEAR MOT from here
    misses: int = 0
    false_finds: int = 0
    switches: int = 0
    overlap: float = 0.0  # sum over matches
    fragments: int = 0
    mostly_tracked: int = 0
    partly_tracked: int = 0
    mostly_lost: int = 0
    id_tp: int = 0
    id_fn: int = 0
    id_fp: int = 0

    def __add__(self, other: MotCounts) -> MotCounts:
        return MotCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def figures(self) -> dict[str, float]:
        """Shares in 0…1 (MOTA may fall below 0), then counts. Without any match LocA is 1, as TrackEval has it."""
        tp = np.maximum(1, self.tp)
        det = self.tp / np.maximum(1, self.tp + self.fn + self.fp)
        ass = self.association / tp
        located = np.maximum(1e-10, self.iou) / np.maximum(1e-10, self.tp)
        truths = self.matches + self.misses
        return {
            "hota": float(np.sqrt(det * ass).mean()),
            "det_a": float(det.mean()),
            "ass_a": float(ass.mean()),
            "loc_a": float(located.mean()),
            "mota": (self.matches - self.false_finds - self.switches) / max(1, truths),
            "motp": self.overlap / max(1, self.matches),
            "idf1": self.id_tp / max(1, self.id_tp + 0.5 * (self.id_fp + self.id_fn)),
            "id_precision": self.id_tp / max(1, self.id_tp + self.id_fp),
            "id_recall": self.id_tp / max(1, self.id_tp + self.id_fn),
            "precision": self.matches / max(1, self.matches + self.false_finds),
            "recall": self.matches / max(1, truths),
            "switches": self.switches,
            "fragments": self.fragments,
            "false_finds": self.false_finds,
            "misses": self.misses,
            "mostly_tracked": self.mostly_tracked,
            "mostly_lost": self.mostly_lost,
        }

    def by_threshold(self) -> dict[str, np.ndarray]:
        """HOTA, DetA, AssA and LocA at each of :data:`ALPHAS`."""
        det = self.tp / np.maximum(1, self.tp + self.fn + self.fp)
        ass = self.association / np.maximum(1, self.tp)
        located = np.maximum(1e-10, self.iou) / np.maximum(1e-10, self.tp)
        return {"HOTA": np.sqrt(det * ass), "DetA": det, "AssA": ass, "LocA": located}


@dataclass(frozen=True)
class MotScores:
    """The counts of every sequence by name. Printed, a table of the sequences and all together."""

    sequences: Mapping[str, MotCounts]

    @property
    def together(self) -> MotCounts:
        return reduce(MotCounts.__add__, self.sequences.values())

    def figures(self) -> dict[str, float]:
        """Of all sequences together, as :meth:`MotCounts.figures`."""
        return self.together.figures()

    def table(self) -> list[dict[str, object]]:
        rows = {**self.sequences, "all": self.together} if len(self.sequences) > 1 else self.sequences
        return [{"sequence": name, **counts.figures()} for name, counts in rows.items()]

    def __str__(self) -> str:
        rows = self.table()
        width = max(len(str(row["sequence"])) for row in rows)
        names = [name for name in rows[0] if name != "sequence"]
        lines = [f"{'':<{width}}  " + "  ".join(f"{name:>6}" for name in names)]
        for row in rows:
            cells = (f"{row[n]:.3f}" if isinstance(row[n], float) else str(row[n]) for n in names)
            told = "  ".join(f"{cell:>{max(6, len(name))}}" for cell, name in zip(cells, names, strict=True))
            lines.append(f"{row['sequence']!s:<{width}}  {told}")
        return "\n".join(lines)


def score_tracks(truth: Mapping[str, TrackRows], found: Mapping[str, TrackRows]) -> MotScores:
    """Score the tracks of each sequence against its truth; a sequence that was not looked at is all misses.

    Rows of ``truth`` with ``score`` 0 are not counted, as MOTChallenge marks them; its benchmarks of persons also want
    :func:`without_distractors` before. Raises ``ValueError`` for an id
    that stands twice in a frame, and for sequences that are not in ``truth``.
    """
    strange = sorted(set(found) - set(truth))
    if strange:
        raise ValueError(f"no truth for the sequences {', '.join(strange)}; there is: {', '.join(sorted(truth))}")
    return MotScores({name: _counts(rows, found.get(name, TrackRows.empty())) for name, rows in truth.items()})


def without_distractors(truth: TrackRows, found: TrackRows, kept: int = 1) -> tuple[TrackRows, TrackRows]:
    """MOT17's preparation: of the truth only class ``kept``; of what was found, nothing that lies on a distractor."""
    numbers = np.union1d(truth.frames, found.frames)
    keep = np.ones(len(found), bool)
    for number in numbers:
        here, there = np.flatnonzero(truth.frames == number), np.flatnonzero(found.frames == number)
        iou = _iou(truth.boxes[here], found.boxes[there])
        iou[iou < IOU - _EPS] = 0
        rows, columns = linear_sum_assignment(-iou)
        real = iou[rows, columns] > _EPS
        distracted = np.isin(truth.classes[here[rows[real]]], DISTRACTORS)
        keep[there[columns[real][distracted]]] = False
    return truth.take(truth.classes == kept), found.take(keep)


def _counts(truth: TrackRows, found: TrackRows) -> MotCounts:
    truth = truth.take(truth.scores != 0)
    frames = list(_frames(truth, found))
    sides = (len(np.unique(truth.ids)), len(np.unique(found.ids)))
    lengths = (np.zeros(sides[0]), np.zeros(sides[1]))
    for truths, tracks, _ in frames:
        lengths[0][truths] += 1
        lengths[1][tracks] += 1
    clear = _clear(frames, lengths[0])
    return MotCounts(**_hota(frames, lengths), **clear, **_identity(frames, lengths))


def _frames(truth: TrackRows, found: TrackRows) -> Iterator[Frame]:
    truth_ids, found_ids = (np.unique(rows.ids, return_inverse=True)[1] for rows in (truth, found))
    for number in np.union1d(truth.frames, found.frames):
        here, there = np.flatnonzero(truth.frames == number), np.flatnonzero(found.frames == number)
        for ids, kind in ((truth_ids[here], "truth"), (found_ids[there], "tracks")):
            if len(np.unique(ids)) < len(ids):
                raise ValueError(f"frame {number} of the {kind} has an id twice; give each object its own")
        yield truth_ids[here], found_ids[there], _iou(truth.boxes[here], found.boxes[there])


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return box_iou(torch.from_numpy(a.astype(np.float64)), torch.from_numpy(b.astype(np.float64))).numpy()


def _hota(frames: list[Frame], lengths: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Matches are chosen so that they also suit the whole sequence: IoU times the soft Jaccard index in time of the two
    tracks (Eq. 11 and its note on the Hungarian algorithm)."""
    together = np.zeros((len(lengths[0]), len(lengths[1])))
    for truths, tracks, iou in frames:
        either = iou.sum(0)[None] + iou.sum(1)[:, None] - iou
        together[np.ix_(truths, tracks)] += np.divide(iou, either, out=np.zeros_like(iou), where=either > _EPS)
    alike = together / np.maximum(lengths[0][:, None] + lengths[1] - together, _EPS)

    count = len(ALPHAS)
    tp, overlap = np.zeros(count), np.zeros(count)
    pairs = np.zeros((count, *together.shape))
    for truths, tracks, iou in frames:
        rows, columns = linear_sum_assignment(-alike[np.ix_(truths, tracks)] * iou)
        matched = iou[rows, columns]
        good = matched >= ALPHAS[:, None] - _EPS
        tp += good.sum(1)
        overlap += (good * matched).sum(1)
        pairs[:, truths[rows], tracks[columns]] += good
    shape = (-1, 1)
    sizes = {
        "association": lengths[0].reshape(shape) + lengths[1] - pairs,
        "association_recall": np.broadcast_to(lengths[0].reshape(shape), pairs.shape),
        "association_precision": np.broadcast_to(lengths[1], pairs.shape),
    }
    ass = {name: (pairs * pairs / np.maximum(1, size)).sum((1, 2)) for name, size in sizes.items()}
    return {"tp": tp, "fn": lengths[0].sum() - tp, "fp": lengths[1].sum() - tp, "iou": overlap, **ass}


def _clear(frames: list[Frame], length: np.ndarray) -> dict[str, Any]:
    """A match of the last frame is kept as long as it overlaps enough; else the sum of IoU is largest.

    As in TrackEval, a frame without any truth or any track is passed over: it ends no match and interrupts no track.
    """
    last_known = np.full(len(length), -1)  # the track that each truth was ever found as last
    now = np.full(len(length), -1)  # … and in the frame before
    found_in, began = np.zeros(len(length)), np.zeros(len(length))
    matches, tracks_seen, switches, overlap = 0, 0, 0, 0.0
    for truths, tracks, iou in frames:
        tracks_seen += len(tracks)
        if not (len(truths) and len(tracks)):
            continue
        score = np.where(iou >= IOU - _EPS, 1000 * (now[truths][:, None] == tracks) + iou, 0)
        rows, columns = linear_sum_assignment(-score)
        real = score[rows, columns] > _EPS
        rows, columns = rows[real], columns[real]
        who, as_ = truths[rows], tracks[columns]
        switches += int(((last_known[who] >= 0) & (last_known[who] != as_)).sum())
        before, now = now, np.full(len(length), -1)
        last_known[who] = now[who] = as_
        began += (now >= 0) & (before < 0)
        found_in[who] += 1
        matches += len(who)
        overlap += float(iou[rows, columns].sum())
    share = found_in / np.maximum(1, length)
    tracked, partly = share > 0.8, (share >= 0.2) & (share <= 0.8)
    return {
        "matches": matches,
        "misses": int(length.sum()) - matches,
        "false_finds": tracks_seen - matches,
        "switches": switches,
        "overlap": overlap,
        "fragments": int((began[began > 0] - 1).sum()),
        "mostly_tracked": int(tracked.sum()),
        "partly_tracked": int(partly.sum()),
        "mostly_lost": len(length) - int(tracked.sum()) - int(partly.sum()),
    }


def _identity(frames: list[Frame], lengths: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """One track for each truth, so that most frames agree; leaving a side alone costs the same in all pairings."""
    agree = np.zeros((len(lengths[0]), len(lengths[1])))
    for truths, tracks, iou in frames:
        agree[np.ix_(truths, tracks)] += iou >= IOU
    id_tp = int(agree[linear_sum_assignment(agree, maximize=True)].sum())
    return {"id_tp": id_tp, "id_fn": int(lengths[0].sum()) - id_tp, "id_fp": int(lengths[1].sum()) - id_tp}
