"""HOTA, CLEAR MOT and IDF1 against py-motmetrics and figures worked out by hand; TrackEval: test_equality.py."""

from __future__ import annotations

import numpy as np
import pytest

from baimu.datasets.formats.mot import TrackRows
from baimu.metrics.mot import score_tracks, without_distractors
from tests.metrics.equality.tracks import for_trackeval


def rows(frames, ids, boxes, scores=None, classes=None) -> TrackRows:
    count = len(frames)
    scores = np.ones(count) if scores is None else np.asarray(scores, float)
    classes = np.ones(count, np.int64) if classes is None else np.asarray(classes, np.int64)
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    nowhere = np.zeros(count, np.int64)  # lines of a file, which these rows stand in none of
    return TrackRows(
        np.asarray(frames, np.int64), np.asarray(ids, np.int64), boxes, scores, classes, np.ones(count), nowhere
    )


def moving(seed: int, *, objects: int = 6, frames: int = 25) -> tuple[TrackRows, TrackRows]:
    """A truth, and tracks of it that are shaken, lost, mixed up and imagined."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    corner, speed, size = (
        rng.uniform(0, 100, (objects, 2)),
        rng.normal(0, 3, (objects, 2)),
        rng.uniform(20, 50, (objects, 2)),
    )
    names = 10 * np.arange(objects) + 3
    for t in range(1, frames + 1):
        corner = corner + speed
        boxes = np.concatenate([corner, corner + size], 1)
        there = rng.random(objects) > 0.1
        truth += [(t, i, *box) for i, box in zip(np.flatnonzero(there) + 1, boxes[there], strict=True)]
        if rng.random() < 0.15:
            a, b = rng.choice(objects, 2, replace=False)
            names[[a, b]] = names[[b, a]]
        if rng.random() < 0.1:
            names[rng.integers(objects)] = 1000 + t
        seen = there & (rng.random(objects) > 0.15)
        shaken = boxes + rng.normal(0, 4, boxes.shape)
        found += [(t, i, *box) for i, box in zip(names[seen], shaken[seen], strict=True)]
        if rng.random() < 0.3:
            place = rng.uniform(0, 100, 2)
            found.append((t, 5000 + t % 3, *place, *(place + 30)))
    return tuple(rows([r[0] for r in part], [r[1] for r in part], [r[2:] for r in part]) for part in (truth, found))


@pytest.mark.parametrize("seed", range(3))
def test_equals_py_motmetrics_where_they_overlap(seed: int) -> None:
    mm = pytest.importorskip("motmetrics")
    truth, found = moving(seed)
    account = mm.MOTAccumulator(auto_id=True)
    for t in range(1, int(truth.frames.max()) + 1):
        here, there = truth.frames == t, found.frames == t
        iou = for_trackeval(truth.take(here), found.take(there))["similarity_scores"][-1] if here.any() else None
        distance = np.where(iou >= 0.5, 1 - iou, np.nan) if iou is not None else np.zeros((0, there.sum()))
        account.update(truth.ids[here].tolist(), found.ids[there].tolist(), distance)
    names = [
        "idf1",
        "mota",
        "motp",
        "num_switches",
        "num_false_positives",
        "num_misses",
        "mostly_tracked",
        "mostly_lost",
    ]
    theirs = mm.metrics.create().compute(account, metrics=names, name="a").loc["a"]
    ours = score_tracks({"a": truth}, {"a": found}).figures()
    assert ours["idf1"] == pytest.approx(theirs["idf1"], rel=1e-9)
    assert ours["mota"] == pytest.approx(theirs["mota"], rel=1e-9)
    assert ours["motp"] == pytest.approx(1 - theirs["motp"], rel=1e-9)
    for mine, name in (("switches", "num_switches"), ("false_finds", "num_false_positives"), ("misses", "num_misses"),
                       ("mostly_lost", "mostly_lost")):  # fmt: skip
        assert ours[mine] == theirs[name]


def line(ids, frames=None) -> TrackRows:
    frames = np.arange(1, 11) if frames is None else frames
    return rows(frames, ids, np.tile([0, 0, 10, 10], (len(frames), 1)))


def test_a_change_of_identity_halfway() -> None:
    figures = score_tracks({"a": line([1] * 10)}, {"a": line([1] * 5 + [2] * 5)}).figures()
    expected = {"mota": 0.9, "switches": 1, "idf1": 0.5, "det_a": 1, "ass_a": 0.5, "hota": 0.5**0.5}
    assert {name: figures[name] for name in expected} == pytest.approx(expected)


def test_every_second_frame_dropped() -> None:
    figures = score_tracks({"a": line([1] * 10)}, {"a": line([1] * 5, np.arange(1, 11, 2))}).figures()
    expected = {"recall": 0.5, "mota": 0.5, "idf1": 2 / 3, "det_a": 0.5, "ass_a": 0.5, "hota": 0.5}
    assert {name: figures[name] for name in expected} == pytest.approx(expected)


def test_a_frame_without_any_track_interrupts_none() -> None:
    """As TrackEval counts: a gap of one track is a fragment, a frame in which nothing at all was found is not."""
    gap = np.array([1, 2, 4, 5])
    alone = score_tracks({"a": line([1] * 5, np.arange(1, 6))}, {"a": line([1] * 4, gap)}).figures()
    assert (alone["fragments"], alone["misses"], alone["switches"]) == (0, 1, 0)
    two = [(t, i, 50 * i, 0, 50 * i + 10, 10) for t in range(1, 6) for i in (1, 2)]
    truth, found = ([r for r in two if keep(r)] for keep in (lambda r: True, lambda r: r[:2] != (3, 1)))
    both = score_tracks(
        *({"a": rows([r[0] for r in t], [r[1] for r in t], [r[2:] for r in t])} for t in (truth, found))
    )
    assert both.figures()["fragments"] == 1


def test_a_perfect_tracker_and_none_at_all() -> None:
    truth, _ = moving(0)
    best = score_tracks({"a": truth}, {"a": truth}).figures()
    assert all(best[name] == pytest.approx(1) for name in ("hota", "mota", "motp", "idf1", "loc_a"))
    none = score_tracks({"a": truth}, {}).figures()
    assert (none["hota"], none["mota"], none["idf1"], none["misses"]) == (0, 0, 0, len(truth))
    assert str(score_tracks({"a": truth, "b": truth}, {})).splitlines()[-1].startswith("all")


def test_what_is_not_to_be_counted() -> None:
    truth = rows([1, 1, 1], [1, 2, 3], [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], [1, 0, 1], [1, 1, 8])
    found = rows([1, 1], [7, 8], [[0, 0, 10, 10], [40, 0, 50, 10]])
    assert score_tracks({"a": truth}, {"a": found}).figures()["misses"] == 0
    figures = score_tracks(*({"a": part} for part in without_distractors(truth, found))).figures()
    assert (figures["false_finds"], figures["misses"], figures["mota"]) == (0, 0, 1)


def test_an_id_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="frame 1 of the tracks"):
        score_tracks({"a": line([1] * 10)}, {"a": rows([1, 1], [4, 4], [[0, 0, 9, 9], [0, 0, 8, 8]])})
    with pytest.raises(ValueError, match="no truth"):
        score_tracks({"a": line([1] * 10)}, {"b": line([1] * 10)})
