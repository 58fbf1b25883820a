"""COCO json: what is right is read exactly, what is wrong is skipped alone and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from baimu.datasets.formats.coco import find_coco, read_coco
from baimu.datasets.source import DetectionSource
from baimu.errors import DataError, ImageError
from tests.datasets.files import coco_json, write_coco, write_image

GOOD = {"id": 11, "image_id": 2, "category_id": 7, "bbox": [10, 5, 20.5, 30], "area": 123.5, "iscrowd": 0}


def read(folder: Path, *annotations: Any, **more: Any) -> Any:
    return read_coco(write_coco(folder, coco_json(annotations, **more)))


def test_a_right_file(tmp_path: Path) -> None:
    crowd = {"id": 12, "image_id": 2, "category_id": 3, "bbox": [0, 0, 60, 40], "iscrowd": 1}
    source = read(tmp_path, GOOD, crowd)
    assert isinstance(source, DetectionSource)
    assert source.classes == ("dog", "cat")  # ascending category id
    assert source.category_ids == (3, 7)
    assert len(source) == 2
    assert len(source.objects(0)) == 0  # an image without objects stays
    assert (source.image_id(1), source.size(1)) == (2, (40, 60))
    assert source.name(1) == str(tmp_path / "images" / "2.jpg")
    objects = source.objects(1)
    np.testing.assert_array_equal(objects.boxes, np.float32([[10, 5, 30.5, 35], [0, 0, 60, 40]]))
    assert objects.boxes.dtype == np.float32
    assert objects.labels.tolist() == [1, 0]
    assert objects.crowd.tolist() == [False, True]
    assert objects.areas.tolist() == [123.5, 2400]
    assert objects.ids.tolist() == [11, 12]
    assert objects.masks is None
    assert list(source.problems) == []
    assert source.image(1).shape == (40, 60, 3)


BAD = {
    "zero width": ({"bbox": [10, 5, 0, 30]}, "has no area"),
    "negative height": ({"bbox": [10, 5, 20, -3]}, "has no area"),
    "not a number": ({"bbox": [10, float("nan"), 20, 30]}, "not made of finite numbers"),
    "infinite": ({"bbox": [10, 5, float("inf"), 30]}, "not made of finite numbers"),
    "three numbers": ({"bbox": [10, 5, 20]}, "not made of finite numbers"),
    "words": ({"bbox": ["a", 5, 20, 30]}, "not made of finite numbers"),
    "no box": ({"bbox": None}, "not made of finite numbers"),
    "outside": ({"bbox": [60, 5, 20, 30]}, "lies outside"),
    "far outside": ({"bbox": [1e6, -1e6, 20, 30]}, "lies outside"),
    "unknown category": ({"category_id": 8}, "unknown category 8"),
    "category as a list": ({"category_id": [7]}, "unknown category"),
    "unknown image": ({"image_id": 5}, "image 5, which is not in 'images'"),
    "image as a list": ({"image_id": [5]}, "not in 'images'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_annotation_is_skipped_alone(tmp_path: Path, kind: str) -> None:
    change, reason = BAD[kind]
    source = read(tmp_path, GOOD, {**GOOD, "id": 99, **change}, {**GOOD, "id": 12})
    assert source.objects(1).ids.tolist() == [11, 12]
    (problem,) = source.problems
    assert problem.record == "annotation 99"
    assert problem.file == str(tmp_path / "annotations.json")
    assert reason in problem.problem
    assert problem.action == "annotation skipped"


def test_annotations_that_are_no_records(tmp_path: Path) -> None:
    source = read(tmp_path, GOOD, 17, "x")
    assert len(source.objects(1)) == 1
    assert [p.record for p in source.problems] == ["annotation 2 of the list", "annotation 3 of the list"]


def test_a_box_partly_outside_is_clipped_and_told(tmp_path: Path) -> None:
    rounding = {**GOOD, "id": 12, "bbox": [50, 30, 10.3, 10]}  # 0.3 pixels are rounding, not an error
    source = read(tmp_path, {**GOOD, "bbox": [-5, 5, 20, 50]}, rounding)
    np.testing.assert_array_equal(source.objects(1).boxes, np.float32([[0, 5, 15, 40], [50, 30, 60, 40]]))
    (problem,) = source.problems
    assert "(-5, 5) to (15, 55) of a 60x40 image lies partly outside" in problem.problem
    assert problem.action == "box clipped to the image"


def test_ids_used_twice(tmp_path: Path) -> None:
    source = read(tmp_path, GOOD, dict(GOOD), {**GOOD, "bbox": [1, 1, 5, 5]}, {**GOOD, "id": "x", "bbox": [2, 2, 5, 5]})
    assert source.objects(1).ids.tolist() == [11, 12, 13]  # the repeat is gone, nothing else is lost
    assert [p.action for p in source.problems] == [
        "the second skipped", "kept under the new id 12", "kept under the new id 13",
    ]  # fmt: skip


def test_images_that_cannot_be_used(tmp_path: Path) -> None:
    def image(key: Any, name: Any, **size: Any) -> dict[str, Any]:
        return {"id": key, "file_name": name, "height": 40, "width": 60, **size}

    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "folder.jpg").mkdir()
    (tmp_path / "images" / "text.jpg").write_text("text")
    write_image(tmp_path / "secret.jpg")
    records = [
        image(1, "1.jpg"),
        image(4, "gone.jpg"),
        image(5, "../secret.jpg"),
        image(6, str(tmp_path / "secret.jpg")),
        image(7, "a\\..\\..\\secret.jpg"),
        image(8, "folder.jpg"),
        image(1, "2.jpg"),
        image(9, None),
        image(None, "2.jpg"),
        image(10, "text.jpg", width=None),
        "no record",
        image(2, "2.jpg", height=-3),
    ]
    source = read(tmp_path, GOOD, {**GOOD, "id": 12, "image_id": 4}, images=records)
    assert [source.image_id(i) for i in range(len(source))] == [1, 2]
    assert source.size(1) == (40, 60)  # from the file, as the record's is no size
    assert len(source.objects(1)) == 1
    told = {p.record: p.problem for p in source.problems}
    assert told["image 4"] == told["image 8"] == "is missing"
    assert all("leaves the image folder" in told[f"image {i}"] for i in (5, 6, 7))
    assert "'1.jpg' and '2.jpg'" in told["image 1"]
    assert "not an image" in told["image 10"]
    assert "height -3" in told["image 2"]
    assert {"image 8 of the list", "image 9 of the list", "image 11 of the list"} <= told.keys()
    assert len(source.problems) == 11


def test_a_wrong_size_stops_at_the_image_by_name(tmp_path: Path) -> None:
    images = [{"id": 2, "file_name": "2.jpg", "height": 400, "width": 600}]
    with pytest.raises(ImageError, match=r"2.jpg: is 60x40 .* annotations say 600x400"):
        read(tmp_path, GOOD, images=images).image(0)


def test_a_picture_annotated_without_its_exif_turn_is_used_so(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 8
    file = write_coco(tmp_path, coco_json([GOOD]))
    write_image(tmp_path / "images" / "2.jpg", exif=exif)
    assert read_coco(file).image(1).shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": []}, "lists no image"),
        ({"categories": []}, "defines no category"),
        ({"categories": [{"id": 1}, 5]}, "defines no category"),
        ({"annotations": None}, "has no list 'annotations'"),
        ({"images": {}}, "not a COCO detection file"),
        (
            {"images": [{"id": 1, "file_name": "9.jpg"}]},
            "none of its 1 images is there, the first being '9.jpg'; looked in",
        ),
        ({"images": [{"id": 1, "file_name": "../1.jpg"}]}, "no image is left to use\n.*leaves the image folder"),
    ],
)
def test_files_without_use(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    file = write_coco(tmp_path, {**coco_json([GOOD]), **change})
    with pytest.raises(DataError, match=reason) as caught:
        read_coco(file)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", '{"a": 1}'])
def test_what_is_not_json_or_not_coco(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"x\.json: (cannot be read as JSON|is not a COCO)"):
        read_coco(file)


def test_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    file = write_coco(tmp_path, coco_json([GOOD]))
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(coco_json([GOOD]), indent=1).replace("\n", "\r\n").encode())
    assert len(read_coco(file).objects(1)) == 1


def test_masks(tmp_path: Path) -> None:
    polygon = [10.0, 5.0, 30.0, 5.0, 30.0, 35.0]
    runs = {"size": [40, 60], "counts": [400, 900, 1100]}
    text = coco_mask.encode(np.asfortranarray(np.eye(40, 60, dtype=np.uint8)))
    text = {"size": [40, 60], "counts": text["counts"].decode()}
    rows = [
        {**GOOD, "id": i, "segmentation": s} for i, s in enumerate((polygon and [polygon], runs, text, [[1, 2]], None))
    ]
    file = write_coco(tmp_path, coco_json(rows))
    assert read_coco(file).objects(1).masks is None
    source = read_coco(file, masks=True)
    masks = source.objects(1).masks
    assert masks is not None
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], 40, 60)))
    np.testing.assert_array_equal(masks[0], expected.astype(bool))
    assert masks[1].sum() == 900
    np.testing.assert_array_equal(masks[2], np.eye(40, 60, dtype=bool))
    box = np.zeros((40, 60), bool)
    box[5:35, 10:30] = True  # x2 = 30.5 rounds to even
    np.testing.assert_array_equal(masks[3], box)  # without a usable outline the box is the mask
    np.testing.assert_array_equal(masks[4], box)
    damaged, summary = source.problems
    assert damaged.record == "annotation 3"
    assert (summary.problem, summary.action) == ("2 of 5 objects have no outline", "their boxes serve as masks")
    assert source.select([1]).objects(0).masks.sum() == masks.sum()
    assert source.objects(0).masks.shape == (0, 40, 60)


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_train2017.json", "images/train2017"),
        ("annotations/instances_train.json", "images"),
        ("annotations/train.json", "train"),
        ("train/_annotations.coco.json", "train"),
        ("train.json", "."),
    ],
)
def test_layouts(tmp_path: Path, name: str, images: str) -> None:
    for i in (1, 2):
        write_image(tmp_path / images / f"{i}.jpg")
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(coco_json([GOOD])))
    found = find_coco(tmp_path)
    assert list(found) == ["train"]
    source = found["train"]()
    assert Path(source.name(1)).resolve() == (tmp_path / images / "2.jpg").resolve()


def test_a_folder_with_two_candidates_is_not_guessed(tmp_path: Path) -> None:
    for year in (2014, 2017):
        write_coco(tmp_path, coco_json([GOOD]), f"annotations/instances_train{year}.json")
    with pytest.raises(DataError, match=r"instances_train2014\.json, .*2017\.json could each be the train split"):
        find_coco(tmp_path)


def test_missing_images_of_a_real_file(shared: Path) -> None:
    source = read_coco(shared / "data" / "coco_keypoints_sample" / "test_coco.json")
    assert len(source) == 1
    assert [p.problem for p in source.problems] == ["is missing"] * 3
    assert source.image(0).shape == (425, 640, 3)


def test_real_outlines(shared: Path) -> None:
    source = read_coco(shared / "data" / "usgra_seg" / "instances.json", masks=True)
    assert len(source) == 204
    assert source.classes == ("nerve", "vessel")
    objects = source.objects(0)
    assert objects.masks is not None
    np.testing.assert_allclose(objects.masks.sum(axis=(1, 2)), objects.areas, rtol=0.1)
