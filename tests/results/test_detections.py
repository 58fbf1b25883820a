"""Detections: what they refuse, and every way out of them."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as coco

from baimu.datasets.outlines import polygon_to_mask
from baimu.errors import UnknownNameError
from baimu.masks import Masks
from baimu.results import Detections

NAMES = ("cat", "dog", "owl")


def _make(count: int = 3, **changes) -> Detections:
    values = {
        "boxes": np.array([[0, 0, 10, 20], [5, 5, 15, 10], [1, 2, 3, 4]], np.float32)[:count],
        "scores": np.array([0.9, 0.6, 0.3], np.float32)[:count],
        "labels": np.array([2, 0, 2])[:count],
        "names": NAMES,
        "size": (32, 48),
        "source": "photo.jpg",
        **changes,
    }
    return Detections(**values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.zeros((3, 5), np.float32)}, r"\(3, 5\)"),
        ({"scores": np.zeros(2, np.float32)}, r"\(2,\)"),
        ({"labels": np.zeros((3, 1), int)}, r"\(3, 1\)"),
        ({"boxes": np.full((3, 4), np.nan, np.float32)}, "finite.*photo.jpg"),
        ({"scores": np.full(3, np.inf, np.float32)}, "finite"),
        ({"labels": np.array([0, 1, 3])}, "0…2"),
        ({"labels": np.array([0, -1, 1])}, "0…2"),
        ({"masks": np.zeros((3, 48, 32), bool)}, r"\(3, 32, 48\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        _make(**changes)


def test_length_and_slices():
    masks = np.arange(3)[:, None, None] * np.ones((1, 32, 48)) > 0
    found = _make(masks=masks)
    assert len(found) == 3
    assert found[0].scores.tolist() == [pytest.approx(0.9)]
    assert found[-1].boxes.tolist() == [[1, 2, 3, 4]]
    assert found[1:].labels.tolist() == [0, 2]
    assert found[[2, 0]].labels.tolist() == [2, 2]
    assert found[found.scores > 0.5].class_names == ["owl", "cat"]
    assert found[1:].masks.shape == (2, 32, 48)
    assert [len(one) for one in found] == [1, 1, 1]
    assert found[1:].source == "photo.jpg"
    with pytest.raises(IndexError):
        found[3]


def test_filter():
    found = _make()
    assert found.areas.tolist() == [200, 50, 4]
    assert found.filter(min_score=0.5).class_names == ["owl", "cat"]
    assert found.filter(classes=["owl"]).scores.tolist() == pytest.approx([0.9, 0.3])
    assert len(found.filter(classes=["dog"])) == 0
    assert len(found.filter(classes=[])) == 0
    assert found.filter(min_area=50).areas.tolist() == [200, 50]
    with pytest.raises(UnknownNameError, match="Did you mean owl"):
        found.filter(classes=["owll"])


def test_the_summary_counts_each_class():
    assert (_make().summary, _make(0).summary) == ("2 owl, 1 cat", "nothing")


def test_to_dict_is_json():
    document = json.loads(json.dumps(_make().to_dict()))
    assert (document["source"], document["height"], document["width"]) == ("photo.jpg", 32, 48)
    assert document["objects"][1] == {"box": [5, 5, 15, 10], "score": pytest.approx(0.6), "label": 0, "name": "cat"}


def test_to_coco():
    rows = json.loads(json.dumps(_make().to_coco(image_id=7)))
    assert rows[1] == {"image_id": 7, "category_id": 1, "bbox": [5, 5, 10, 5], "score": pytest.approx(0.6)}
    assert [r["category_id"] for r in _make().to_coco("a", category_ids=[18, 20, 90])] == [90, 18, 90]
    assert _make(0).to_coco() == []


def _with_masks(count: int = 3) -> tuple[Detections, np.ndarray]:
    dense = np.random.default_rng(0).random((3, 32, 48))[:count] < 0.3
    return _make(count, masks=dense), dense


def test_masks_are_packed_and_come_back_whole():
    found, dense = _with_masks()
    assert isinstance(found.masks, Masks)
    np.testing.assert_array_equal(np.asarray(found.masks), dense)
    np.testing.assert_array_equal(np.asarray(found.filter(classes=["owl"]).masks), dense[[0, 2]])
    assert _with_masks(0)[0].masks.shape == (0, 32, 48)


def test_masks_as_coco_results_are_what_pycocotools_decodes():
    found, dense = _with_masks()
    rows = json.loads(json.dumps(found.to_coco(7)))
    np.testing.assert_array_equal([coco.decode(row["segmentation"]) for row in rows], dense)
    assert "segmentation" not in _make().to_coco()[0]


def test_masks_in_a_document():
    found, dense = _with_masks()
    rows = json.loads(json.dumps(found.to_dict()))["objects"]
    np.testing.assert_array_equal([coco.decode(row["mask"]) for row in rows], dense)
    rows = json.loads(json.dumps(found.to_dict(masks="polygons")))["objects"]
    for row, mask in zip(rows, dense, strict=True):
        parts = [polygon_to_mask(np.array(polygon, np.float32), (32, 48)) for polygon in row["polygons"]]
        np.testing.assert_array_equal(np.any(parts, axis=0), mask)
    assert found.to_dict(masks=None) == _make().to_dict()
    with pytest.raises(UnknownNameError, match="polygons"):
        found.to_dict(masks="polygon")  # pyright: ignore[reportArgumentType]


def test_to_coco_rounds_no_difference():
    """Width is the exact difference of the float32 corners, as the metric takes it."""
    boxes = np.array([[0.1, 0.1, 300.7, 200.3]], np.float32)
    row = _make(1, boxes=boxes).to_coco()[0]
    assert row["bbox"][2] == float(boxes[0, 2]) - float(boxes[0, 0])


@pytest.mark.parametrize("count", [0, 3])
def test_to_pandas(count):
    table = _make(count).to_pandas()
    assert list(table.columns) == ["x1", "y1", "x2", "y2", "score", "label", "name", "source"]
    assert len(table) == count
    assert table["name"].tolist() == ["owl", "cat", "owl"][:count]


@pytest.mark.parametrize("count", [0, 3])
def test_to_supervision(count):
    found = _make(count, masks=np.zeros((count, 32, 48), bool))
    theirs = found.to_supervision()
    assert theirs.mask.dtype == bool
    np.testing.assert_array_equal(theirs.xyxy, found.boxes)
    np.testing.assert_array_equal(theirs.confidence, found.scores)
    np.testing.assert_array_equal(theirs.class_id, found.labels)
    assert theirs.mask.shape == (count, 32, 48)
    assert theirs.data["class_name"].tolist() == found.class_names


def test_a_missing_extra_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'baimu\[pandas\]'"):
        _make().to_pandas()


def test_draw_without_an_image_asks_for_it():
    with pytest.raises(ValueError, match=r"photo\.jpg.*draw\(image\)"):
        _make().draw()


@pytest.mark.parametrize("kept", [True, False])
def test_save_draws_on_the_kept_image_or_reads_it_again(kept, tmp_path):
    pixels = np.full((32, 48, 3), 200, np.uint8)
    found = _make(image=pixels) if kept else _make(read=lambda: pixels)
    path = found.save(tmp_path / "图" / "drawn.png")
    drawn = np.asarray(PIL.Image.open(path))
    assert drawn.shape == (32, 48, 3)
    assert (drawn != 200).any()
