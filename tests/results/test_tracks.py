"""Tracks: what they promise beyond detections."""

from __future__ import annotations

import numpy as np
import pytest

from baimu.results import Tracks


def make(ids: list[int], labels: list[int] | None = None) -> Tracks:
    count = len(ids)
    boxes = np.array([[10 * i, 0, 10 * i + 8, 6] for i in range(count)], np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, count).astype(np.float32)
    own = np.zeros(count, np.int64) if labels is None else np.array(labels, np.int64)
    return Tracks(boxes, scores, own, ("car", "dog"), (40, 60), "street#3", ids=np.array(ids, np.int64))


def test_ids_are_checked() -> None:
    with pytest.raises(ValueError, match="must differ"):
        make([2, 2])
    with pytest.raises(ValueError, match="ids must be"):
        Tracks(
            np.zeros((1, 4), np.float32),
            np.ones(1, np.float32),
            np.zeros(1, np.int64),
            ("a",),
            (9, 9),
            ids=np.zeros(2, int),
        )


def test_a_choice_keeps_ids_with_their_boxes() -> None:
    tracks = make([3, 5, 9])
    assert tracks[1].ids.tolist() == [5]
    assert tracks[np.array([True, False, True])].ids.tolist() == [3, 9]
    assert [t.ids.tolist() for t in tracks] == [[3], [5], [9]]
    assert tracks.filter(min_score=0.6).ids.tolist() == [3, 5]


def test_told_in_words_json_and_motchallenge() -> None:
    tracks = make([1, 4, 3], [0, 0, 1])
    assert tracks.summary == "2 car (#1, #4), 1 dog (#3)"
    assert make([]).summary == "nothing"
    assert [row["id"] for row in tracks.to_dict()["objects"]] == [1, 4, 3]
    assert tracks.to_mot(7)[1] == "7,4,10.00,0.00,8.00,6.00,0.7000,-1,-1,-1"


def test_for_other_libraries() -> None:
    pytest.importorskip("pandas")
    assert make([1, 4]).to_pandas()["id"].tolist() == [1, 4]
    pytest.importorskip("supervision")
    assert make([1, 4]).to_supervision().tracker_id.tolist() == [1, 4]
