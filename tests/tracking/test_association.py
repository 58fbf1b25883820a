"""The trackers by association against slow ones of their references' making, and what each promises on its own."""

from __future__ import annotations

import numpy as np
import pytest

from baimu.errors import DataError
from baimu.results import Detections
from baimu.tracking.bytetrack import ByteTrack
from baimu.tracking.deepsort import DeepSort, from_centre_ratio_height, to_centre_ratio_height
from baimu.tracking.sort import Sort, from_centre_area_ratio, to_centre_area_ratio
from tests.tracking.slow import SlowByteTrack, SlowDeepSort, SlowSort
from tests.tracking.worlds import SIZE, told, world


def same(found, slow, numbers: dict[int, int]) -> None:
    """Equal boxes, and an id of ours for each of theirs, the same in all frames."""
    assert len(found) == len(slow)
    if not len(found):
        return
    order = np.argsort([box[0] for _, box in slow])
    ours = np.argsort(found.boxes[:, 0])
    np.testing.assert_allclose(found.boxes[ours], np.stack([slow[i][1] for i in order]), atol=2e-3)
    for mine, theirs in zip(found.ids[ours], order, strict=True):
        assert numbers.setdefault(slow[theirs][0], int(mine)) == mine


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_age", [1, 4])
def test_sort_equals_the_reference_told_slowly(seed: int, max_age: int) -> None:
    fast, slow, numbers = Sort(max_age=max_age), SlowSort(max_age=max_age), {}
    for boxes, scores, _, _ in world(seed):
        same(fast.update(told(boxes, scores)), slow.update(boxes.astype(float), scores), numbers)
    assert len(numbers) > 5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fuse", [True, False])
def test_bytetrack_equals_the_reference_told_slowly(seed: int, fuse: bool) -> None:
    fast, slow, numbers = ByteTrack(buffer=4, fuse_scores=fuse), SlowByteTrack(buffer=4, fuse=fuse), {}
    for boxes, scores, _, _ in world(seed, objects=20):
        found = fast.update(told(boxes, scores))
        same(found, slow.update(boxes.astype(float), scores.astype(np.float32)), numbers)
    assert len(numbers) > 5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("max_age", [2, 30])
def test_deepsort_equals_the_reference_told_slowly(seed: int, max_age: int) -> None:
    fast, numbers = DeepSort(max_age=max_age, budget=5, score_threshold=0.0), {}
    slow = SlowDeepSort(max_age=max_age, budget=5)
    for boxes, scores, vectors, _ in world(seed, objects=8, frames=30):
        same(fast.update(told(boxes, scores), vectors), slow.update(boxes.astype(float), vectors), numbers)
    assert len(numbers) > 3


@pytest.mark.parametrize("make", [Sort, ByteTrack, lambda: DeepSort(lambda frame, boxes: np.ones((len(boxes), 3)))])
def test_frames_without_detections_and_the_first_after_a_reset(make) -> None:
    tracker = make()
    picture = np.zeros((*SIZE, 3), np.uint8)
    none = told(np.zeros((0, 4), np.float32), np.zeros(0))
    box = Detections(np.array([[10, 10, 60, 90]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("car",),
                     SIZE, image=picture)  # fmt: skip
    assert len(tracker.update(none)) == 0
    for _ in range(4):
        last = tracker.update(box)
    first_id = int(last.ids[0])
    for _ in range(3):
        tracker.update(none)
    tracker.reset()
    again = [tracker.update(box) for _ in range(4)][-1]
    assert first_id == 1
    assert again.ids.tolist() == [1]
    np.testing.assert_allclose(again.boxes, box.boxes, atol=0.5)


@pytest.mark.parametrize("make", [Sort, ByteTrack])
def test_classes_are_tracked_apart_unless_asked_otherwise(make) -> None:
    box, score = np.array([[10, 10, 60, 90]], np.float32), np.ones(1)
    ids = {}
    for across in (False, True):
        tracker = make(across_classes=across)
        frames = [tracker.update(told(box, score, np.array([label]))) for label in (0, 0, 0, 1, 1, 1, 1, 1)]
        ids[across] = {int(i) for found in frames for i in found.ids}
        assert frames[-1].labels.tolist() == [1]
    assert ids == {False: {1, 2}, True: {1}}


def test_a_track_keeps_its_mask_and_an_expected_one_has_an_empty_mask() -> None:
    mask = np.zeros((1, *SIZE), bool)
    mask[0, 20:40, 20:40] = True
    box = np.array([[20, 20, 40, 40]], np.float32)
    seen = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), ("car",), SIZE, masks=mask)
    tracker = DeepSort()
    for _ in range(4):
        found = tracker.update(seen, np.ones((1, 2), np.float32))
    assert np.array_equal(np.asarray(found.masks), mask)
    expected = tracker.update(seen[:0], np.ones((0, 2), np.float32))
    assert expected.ids.tolist() == [1]
    assert not np.asarray(expected.masks).any()


def test_detected_boxes_are_those_of_the_detector() -> None:
    tracker, plain = ByteTrack(boxes="detected"), ByteTrack()
    for boxes, scores, _, _ in world(1):
        found, filtered = tracker.update(told(boxes, scores)), plain.update(told(boxes, scores))
        assert found.ids.tolist() == filtered.ids.tolist()
        assert all((boxes == box).all(1).any() for box in found.boxes)


def test_deepsort_finds_again_who_was_hidden_and_bytetrack_does_not_mix_them() -> None:
    """Two objects that pass each other while both are hidden: appearance tells them apart."""
    look = np.eye(2, dtype=np.float32)
    tracker, ids = DeepSort(), []
    for t in range(24):
        x = np.array([100 + 10 * t, 340 - 10 * t], np.float32)
        boxes = np.stack([x, [100, 104], x + 40, [180, 184]], 1)
        hidden = 10 <= t < 15
        keep = slice(0, 0) if hidden else slice(None)
        found = tracker.update(told(boxes[keep], np.ones(2)[keep]), look[keep])
        if t in (9, 23):
            ids.append(found.ids[np.argsort(found.boxes[:, 0])].tolist())
    assert ids[0] == ids[1][::-1]  # they have changed sides and kept their numbers


def test_deepsort_says_what_it_lacks() -> None:
    found = told(np.array([[0, 0, 9, 9]], np.float32), np.ones(1))
    with pytest.raises(DataError, match="bytetrack or sort"):
        DeepSort().update(found)
    with pytest.raises(DataError, match="picture"):
        DeepSort(lambda frame, boxes: np.ones((1, 2))).update(found)
    shown = Detections(found.boxes, found.scores, found.labels, found.names, SIZE, image=np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(DataError, match=r"\(N, D\)"):
        DeepSort(lambda frame, boxes: np.ones(3)).update(shown)


def test_boxes_come_back_from_the_filters_coordinates() -> None:
    boxes = np.array([[0.0, 0, 10, 20], [3, 5, 90, 6]])
    np.testing.assert_allclose(from_centre_area_ratio(to_centre_area_ratio(boxes)), boxes, atol=1e-9)
    np.testing.assert_allclose(from_centre_ratio_height(to_centre_ratio_height(boxes)), boxes, atol=1e-9)
    gone = from_centre_area_ratio(np.array([[5.0, 5.0, -1.0, 1.0]]))
    np.testing.assert_allclose(gone, [[5, 5, 5, 5]])
