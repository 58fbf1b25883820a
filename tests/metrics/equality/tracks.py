"""HOTA, IDF1 and CLEAR MOT against TrackEval, sequences combined as its tables combine them."""

from __future__ import annotations

from typing import Any

import numpy as np
from trackeval.datasets._base_dataset import _BaseDataset
from trackeval.metrics import CLEAR, HOTA, Identity

from baimu.datasets.formats.mot import TrackRows
from baimu.metrics.mot import score_tracks
from tests.metrics.equality.case import Case, Subject

QUIET = {"PRINT_CONFIG": False}
NAMES = {
    "mota": "MOTA", "motp": "MOTP", "switches": "IDSW", "fragments": "Frag", "false_finds": "CLR_FP",
    "misses": "CLR_FN", "mostly_tracked": "MT", "mostly_lost": "ML", "recall": "CLR_Re", "precision": "CLR_Pr",
    "idf1": "IDF1", "id_precision": "IDP", "id_recall": "IDR",
}  # fmt: skip
CURVES = ("HOTA", "DetA", "AssA", "LocA")


def rows(table: list[tuple]) -> TrackRows:
    """Rows of frame, id, and corners."""
    columns = np.array([row[:2] for row in table], np.int64).reshape(-1, 2)
    boxes = np.array([row[2:] for row in table], float).reshape(-1, 4)
    ones = np.ones(len(table))
    return TrackRows(columns[:, 0], columns[:, 1], boxes, ones, ones.astype(np.int64), ones, np.arange(len(table)))


def random_case(seed: int) -> list[tuple[TrackRows, TrackRows]]:
    """One to three sequences: whole-number boxes and so ties, identical boxes, frames empty on a side, exchanged
    identities, imagined tracks, ids with gaps, and sequences without any truth or any track."""
    rng = np.random.default_rng(seed)
    return [_sequence(rng) for _ in range(rng.integers(1, 4))]


def _sequence(rng: np.random.Generator) -> tuple[TrackRows, TrackRows]:
    objects, frames = int(rng.integers(0, 6)), int(rng.integers(1, 16))
    whole, shake = rng.random() < 0.5, rng.choice([0.0, 1.0, 4.0])
    corner, speed = rng.uniform(0, 60, (objects, 2)), rng.normal(0, 2, (objects, 2))
    size = rng.uniform(10, 40, (objects, 2))
    if objects > 1 and rng.random() < 0.2:  # two objects in one place
        corner[1], speed[1], size[1] = corner[0], speed[0], size[0]
    truth, found = [], []
    ids, names = 3 * np.arange(objects) + rng.integers(1, 9), 10 * np.arange(objects) + 3
    seen_at_all = rng.random() > 0.05
    for t in range(1, frames + 1):
        corner = corner + speed
        boxes = np.concatenate([corner, corner + size], 1)
        shaken = boxes + rng.normal(0, shake, boxes.shape)
        if whole:
            boxes, shaken = boxes.round(), shaken.round()
        there = (rng.random(objects) > 0.1) & (rng.random() > 0.1)
        seen = (rng.random(objects) > 0.2) & (rng.random() > 0.15) & seen_at_all
        if objects > 1 and rng.random() < 0.2:
            a, b = rng.choice(objects, 2, replace=False)
            names[[a, b]] = names[[b, a]]
        if objects and rng.random() < 0.1:
            names[rng.integers(objects)] = 1000 + t
        truth += [(t, i, *box) for i, box in zip(ids[there], boxes[there], strict=True)]
        found += [(t, i, *_upright(box)) for i, box in zip(names[seen], shaken[seen], strict=True)]
        if rng.random() < 0.2 and seen_at_all:
            found.append((t, 5000 + t % 3, *rng.uniform(0, 60, 2), *rng.uniform(60, 90, 2)))
    return rows(truth), rows(found)


def _upright(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:2], np.maximum(box[2:], box[:2] + 1)])


def for_trackeval(truth: TrackRows, found: TrackRows) -> dict[str, Any]:
    """A sequence as TrackEval's data sets give it to its metrics: every frame from 1 on, ids from 0 without gaps."""
    numbers = range(1, int(max(truth.frames.max(initial=0), found.frames.max(initial=0))) + 1)
    ids = {}
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": [], "num_timesteps": len(numbers)}
    for name, part in (("gt", truth), ("tracker", found)):
        ids[name] = np.unique(part.ids, return_inverse=True)[1]
        data[f"num_{name}_ids"], data[f"num_{name}_dets"] = len(np.unique(part.ids)), len(part)
    for t in numbers:
        here, there = truth.frames == t, found.frames == t
        data["gt_ids"].append(ids["gt"][here])
        data["tracker_ids"].append(ids["tracker"][there])
        data["similarity_scores"].append(
            _BaseDataset._calculate_box_ious(truth.boxes[here], found.boxes[there], box_format="x0y0x1y1")
        )
    return data


def trackeval(sequences: list[tuple[TrackRows, TrackRows]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    data = [for_trackeval(*pair) for pair in sequences]
    for metric in (HOTA(), CLEAR(QUIET), Identity(QUIET)):
        whole |= metric.combine_sequences({str(i): metric.eval_sequence(one) for i, one in enumerate(data)})
    return {name: whole[theirs] for name, theirs in NAMES.items()} | {name: whole[name] for name in CURVES}


def compare(seed: int) -> Case:
    sequences = random_case(seed)
    scores = score_tracks(*({str(i): pair[side] for i, pair in enumerate(sequences)} for side in (0, 1)))
    figures, curves = scores.figures(), scores.together.by_threshold()
    ours = {name: figures[name] for name in NAMES} | {name: curves[name] for name in CURVES}
    return Case(ours, trackeval(sequences), set().union(*(_traits(*pair) for pair in sequences)))


def _traits(truth: TrackRows, found: TrackRows) -> set[str]:
    frames = np.arange(1, 1 + max(truth.frames.max(initial=0), found.frames.max(initial=0)))
    there, seen = np.isin(frames, truth.frames), np.isin(frames, found.frames)
    ids = np.unique(truth.ids)
    twins = any(len(np.unique(b, axis=0)) < len(b) for t in frames for b in [truth.boxes[truth.frames == t]])
    has = {
        "frame without truth": bool((~there).any()),
        "frame without tracks": bool((~seen).any()),
        "frame without either": bool((~there & ~seen).any()),
        "no truth at all": not len(truth),
        "no tracks at all": not len(found),
        "ids with gaps": bool((np.diff(ids) > 1).any()),
        "identical boxes": twins,
        "whole-number boxes": bool(len(truth)) and bool((truth.boxes == truth.boxes.round()).all()),
    }
    return {name for name, true in has.items() if true}


TRAITS = (
    *("frame without truth", "frame without tracks", "frame without either", "no truth at all", "no tracks at all"),
    *("ids with gaps", "identical boxes", "whole-number boxes"),
)
TRACKS = Subject("HOTA, IDF1, CLEAR MOT", "TrackEval", ("trackeval",), 1e-9, TRAITS, compare)
