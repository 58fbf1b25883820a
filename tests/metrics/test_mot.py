"""HOTA, CLEAR MOT and IDF1 against TrackEval and py-motmetrics, and against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from baimu.datasets.formats.mot import TrackRows
from baimu.metrics.mot import score_tracks, without_distractors


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


def frames_for_trackeval(truth: TrackRows, found: TrackRows) -> dict:
    from trackeval.datasets._base_dataset import _BaseDataset

    numbers = range(1, int(max(truth.frames.max(), found.frames.max(initial=0))) + 1)
    ids = {}
    data: dict = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for name, part in (("gt", truth), ("tracker", found)):
        ids[name] = np.unique(part.ids, return_inverse=True)[1]
        data[f"num_{name}_ids"], data[f"num_{name}_dets"] = len(np.unique(part.ids)), len(part)
    for t in numbers:
        here, there = truth.frames == t, found.frames == t
        data["gt_ids"].append(ids["gt"][here])
        data["tracker_ids"].append(ids["tracker"][there])
        iou = _BaseDataset._calculate_box_ious(truth.boxes[here], found.boxes[there], box_format="x0y0x1y1")
        data["similarity_scores"].append(iou)
    return {**data, "num_timesteps": len(numbers)}


@pytest.mark.parametrize("seed", range(5))
def test_equals_trackeval(seed: int) -> None:
    pytest.importorskip("trackeval")
    from trackeval.metrics import CLEAR, HOTA, Identity

    truth, found = moving(seed)
    data = frames_for_trackeval(truth, found)
    quiet = {"PRINT_CONFIG": False}
    hota, clear, identity = (
        HOTA().eval_sequence(data),
        CLEAR(quiet).eval_sequence(data),
        Identity(quiet).eval_sequence(data),
    )
    scores = score_tracks({"a": truth}, {"a": found})
    figures, curves = scores.figures(), scores.together.by_threshold()
    for name in ("HOTA", "DetA", "AssA", "LocA"):
        np.testing.assert_allclose(curves[name], hota[name], rtol=1e-12)
    expected = {
        "mota": clear["MOTA"], "motp": clear["MOTP"], "switches": clear["IDSW"], "fragments": clear["Frag"],
        "false_finds": clear["CLR_FP"], "misses": clear["CLR_FN"], "mostly_tracked": clear["MT"],
        "mostly_lost": clear["ML"], "recall": clear["CLR_Re"], "precision": clear["CLR_Pr"],
        "idf1": identity["IDF1"], "id_precision": identity["IDP"], "id_recall": identity["IDR"],
    }  # fmt: skip
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, rel=1e-12), name
    assert 0.2 < figures["hota"] < 0.9
    assert figures["switches"] > 0


def test_several_sequences_are_combined_as_trackeval_does() -> None:
    pytest.importorskip("trackeval")
    from trackeval.metrics import CLEAR, HOTA, Identity

    pairs = {str(seed): moving(seed, frames=10 + 5 * seed) for seed in range(3)}
    quiet = {"PRINT_CONFIG": False}
    scores = score_tracks({n: t for n, (t, _) in pairs.items()}, {n: f for n, (_, f) in pairs.items()}).figures()
    for metric, names in (
        (HOTA(), {"hota": "HOTA", "ass_a": "AssA", "loc_a": "LocA"}),
        (CLEAR(quiet), {"mota": "MOTA", "motp": "MOTP"}),
        (Identity(quiet), {"idf1": "IDF1"}),
    ):
        each = {name: metric.eval_sequence(frames_for_trackeval(*pair)) for name, pair in pairs.items()}
        whole = metric.combine_sequences(each)
        for ours, theirs in names.items():
            assert scores[ours] == pytest.approx(np.mean(whole[theirs]), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_equals_py_motmetrics_where_they_overlap(seed: int) -> None:
    mm = pytest.importorskip("motmetrics")
    truth, found = moving(seed)
    account = mm.MOTAccumulator(auto_id=True)
    for t in range(1, int(truth.frames.max()) + 1):
        here, there = truth.frames == t, found.frames == t
        iou = frames_for_trackeval(truth.take(here), found.take(there))["similarity_scores"][-1] if here.any() else None
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
