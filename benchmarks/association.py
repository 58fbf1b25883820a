"""Association alone: ByteTrack with one batched Kalman filter against other libraries', at 100 and 1,000 objects.

    python benchmarks/association.py --out benchmarks/results/association.json

A crowd walks through a picture of 1920x1080 (of 1,000 objects three times as wide and high): each object keeps its size
and speed, is missed in one frame of ten, and is told with noise and a random score; one detection of twenty is false.
Every library gets the same detections of the same frames, made beforehand, frame by frame, as its own kind of
detections, and runs as it stands with the same thresholds (0.6, 0.9, 30 frames). Peers are those that are installed:
``supervision`` up to 0.26 (its ``ByteTrack``), ``trackers`` and ``boxmot``. Medians over the turns of the mean of all
frames; CPU seconds beside wall seconds, for a machine that others use too. What is told is compared: tracks that are
told a frame, and changes of identity.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from baimu.results import Detections
from baimu.tracking.bytetrack import ByteTrack
from turns import ratios, take_turns

FRAMES = 60
HIGH, LIMIT, BUFFER = 0.6, 0.9, 30

Frames = list[tuple[np.ndarray, np.ndarray]]
"""Boxes (N, 4) float32 and scores (N,) float32 of each."""
Tracked = list[np.ndarray]
"""Boxes and ids (T, 5) of each frame."""


class Run(Protocol):
    """All frames once; what was told only if it is to be collected, which is not timed."""

    def __call__(self, *, collect: bool = False) -> Tracked: ...


def crowd(objects: int, seed: int = 0) -> tuple[Frames, list[np.ndarray]]:
    """Detections of each frame, and whose each is, −1 for a false one."""
    rng = np.random.default_rng(seed)
    wide = 1 if objects <= 100 else 3
    width, height = 1920 * wide, 1080 * wide
    centre, speed = rng.uniform((0, 0), (width, height), (objects, 2)), rng.normal(0, 3, (objects, 2))
    size = rng.uniform((25, 60), (60, 150), (objects, 2))
    frames, owners = [], []
    for _ in range(FRAMES):
        centre = centre + speed + rng.normal(0, 0.3, (objects, 2))
        seen = np.flatnonzero(rng.random(objects) > 0.1)
        false = objects // 20
        c = np.concatenate(
            [centre[seen] + rng.normal(0, 1, (len(seen), 2)), rng.uniform((0, 0), (width, height), (false, 2))]
        )
        s = np.concatenate([size[seen] * rng.normal(1, 0.02, (len(seen), 2)), rng.uniform(25, 150, (false, 2))])
        boxes = np.concatenate([c - s / 2, c + s / 2], 1).astype(np.float32)
        scores = np.concatenate([rng.beta(8, 2, len(seen)), rng.uniform(0.1, 0.6, false)]).astype(np.float32)
        frames.append((boxes, scores))
        owners.append(np.r_[seen, [-1] * false])
    return frames, owners


def ours(frames: Frames) -> Run:
    each = [Detections(b, s, np.zeros(len(b), np.int64), ("person",), (1080, 1920)) for b, s in frames]

    def run(*, collect: bool = False) -> Tracked:
        tracker = ByteTrack(high=HIGH, match_limit=LIMIT, buffer=BUFFER)
        told = [tracker.update(detections) for detections in each]
        return [np.column_stack([found.boxes, found.ids]) for found in told] if collect else []

    return run


def with_supervision(frames: Frames) -> Run:
    import supervision as sv

    tables = [np.column_stack([boxes, scores]) for boxes, scores in frames]

    def run(*, collect: bool = False) -> Tracked:
        tracker = sv.ByteTrack(  # pyright: ignore[reportAttributeAccessIssue]
            track_activation_threshold=HIGH, minimum_matching_threshold=LIMIT, lost_track_buffer=BUFFER, frame_rate=30
        )
        rows = []
        for table in tables:
            told = tracker.update_with_tensors(table)
            if collect:  # its tracks change in place
                rows.append(np.array([[*t.tlbr, t.external_track_id] for t in told]).reshape(-1, 5))
        return rows

    return run


def with_trackers(frames: Frames) -> Run:
    import supervision as sv
    from trackers import ByteTrackTracker  # pyright: ignore[reportMissingImports]

    each = [sv.Detections(xyxy=b, confidence=s, class_id=np.zeros(len(b), int)) for b, s in frames]

    def run(*, collect: bool = False) -> Tracked:
        tracker = ByteTrackTracker(
            lost_track_buffer=BUFFER, frame_rate=30, track_activation_threshold=HIGH + 0.1, high_conf_det_threshold=HIGH
        )
        told = [tracker.update(detections) for detections in each]
        return [np.column_stack([found.xyxy, np.asarray(found.tracker_id)]) for found in told] if collect else []

    return run


def with_boxmot(frames: Frames) -> Run:
    from boxmot import ByteTrack as Theirs  # pyright: ignore[reportMissingImports]

    picture = np.zeros((8, 8, 3), np.uint8)
    tables = [np.column_stack([boxes, scores, np.zeros(len(boxes), np.float32)]) for boxes, scores in frames]

    def run(*, collect: bool = False) -> Tracked:
        tracker = Theirs(track_thresh=HIGH, match_thresh=LIMIT, track_buffer=BUFFER, frame_rate=30)
        told = [np.asarray(tracker.update(table, picture)) for table in tables]
        return [rows.reshape(-1, rows.shape[-1] or 8)[:, :5] for rows in told] if collect else []

    return run


PEERS = {"supervision": with_supervision, "trackers": with_trackers, "boxmot": with_boxmot}


def told(tracked: Tracked, frames: Frames, owners: list[np.ndarray]) -> dict[str, float]:
    """Tracks told a frame, and how often the track of an object changes: a track is whose detection lies nearest."""
    last: dict[int, int] = {}
    changes = 0
    for rows, (boxes, _), owner in zip(tracked, frames, owners, strict=True):
        if not len(rows):
            continue
        nearest = np.abs(rows[:, None, :4] - boxes).sum(2).argmin(1)
        for number, who in zip(rows[:, 4].astype(int), owner[nearest], strict=True):
            if who >= 0:
                changes += last.get(int(who), number) != number
                last[int(who)] = number
    return {
        "tracks_a_frame": round(float(np.mean([len(rows) for rows in tracked])), 1),
        "identity_changes": int(changes),
    }


def measure(objects: int, turns: int) -> dict[str, Any]:
    frames, owners = crowd(objects)
    runs: dict[str, Run] = {"baimu": ours(frames)}
    for name, make in PEERS.items():
        try:
            run = make(frames)
            run()
        except (ImportError, AttributeError, TypeError) as error:
            print(f"{name}: left out ({error})")
            continue
        runs[name] = run
    times = take_turns(runs, turns)
    a_frame = {name: {key: value / FRAMES for key, value in row.items()} for name, row in times.items()}
    peers = {name: row["wall_ms"] for name, row in times.items() if name != "baimu"}
    fastest = min(peers, key=peers.__getitem__) if peers else None
    return {
        "objects": objects,
        "ms_a_frame": a_frame,
        "fastest_peer": fastest,
        "share_of_fastest_peer": ratios(times, fastest)["baimu"] if fastest else None,
        "told": {name: told(run(collect=True), frames, owners) for name, run in runs.items()},
    }


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--objects", type=int, nargs="+", default=[100, 1000])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "machine": f"{platform.processor() or platform.machine()}, one thread",
        "versions": {name: installed(name) for name in ("numpy", "scipy", "torch", *PEERS)},
        "frames": FRAMES,
        "turns": arguments.turns,
        "crowds": [measure(objects, arguments.turns) for objects in arguments.objects],
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
