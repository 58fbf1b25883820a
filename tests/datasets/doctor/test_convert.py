"""Conversions: exact there and back wherever the format can hold it, and what it cannot is said."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import baimu
from baimu.datasets.open import splits
from baimu.errors import DataError, UnknownNameError
from tests.datasets.doctor.sets import HEIGHT, MAKERS, WIDTH, picture, put

DETECTION = ("coco", "voc", "yolo")
OPTIONS = {"masks": True}


def rough(root: Path, *, masks: bool = False, crowd: bool = False) -> Path:
    """A COCO set with boxes of any float32, an image without objects, and names that need care."""
    rng = np.random.default_rng(0)
    names = ("cat & dog", "größe", "a < b", "naïve 百")
    for split, count in (("train", 5), ("val", 3)):
        images, rows = [], []
        for i in range(count):
            put(root / "images" / split / f"bild-{i}.jpg", picture(i + 50 * len(split)))
            images.append({"id": i, "file_name": f"bild-{i}.jpg", "width": WIDTH, "height": HEIGHT})
            for k in range(0 if i == 1 else 4):
                x, y = rng.uniform(0, 30, 2)
                w, h = rng.uniform(1.5, 10, 2)
                row: dict[str, Any] = {"id": 10 * i + k, "image_id": i, "category_id": k, "bbox": [x, y, w, h]}
                row["iscrowd"] = int(crowd and k == 3)
                if masks:
                    x, y, w, h = (float(round(v)) for v in (x, y, w + 1, h + 1))
                    x = 1.0 + 14 * k
                    row["bbox"] = [x, y, w, h]
                    row["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
                rows.append(row)
        categories = [{"id": k, "name": name} for k, name in enumerate(names)]
        data = {"images": images, "annotations": rows, "categories": categories}
        put(root / "annotations" / f"instances_{split}.json", json.dumps(data))
    return root


def same_objects(one: Any, other: Any, *, masks: bool = False) -> None:
    assert one.keys() == other.keys()
    for split in one:
        a, b = one[split], other[split]
        assert (a.classes, len(a)) == (b.classes, len(b))
        by_name = {Path(b.name(i)).stem: i for i in range(len(b))}
        for i in range(len(a)):
            x, y = a.objects(i), b.objects(by_name[Path(a.name(i)).stem])
            np.testing.assert_array_equal(x.boxes, y.boxes)
            np.testing.assert_array_equal(x.labels, y.labels)
            np.testing.assert_array_equal(x.crowd, y.crowd)
            np.testing.assert_allclose(x.areas, y.areas, rtol=1e-6)
            assert Path(a.name(i)).read_bytes() == Path(b.name(by_name[Path(a.name(i)).stem])).read_bytes()
            if masks:
                np.testing.assert_array_equal(x.masks, y.masks)


def names_fit(root: Path) -> Path:
    """The same stems in train and val would be renamed in VOC, where all images lie together."""
    for file in (root / "images" / "val").iterdir():
        file.rename(file.with_name(f"v{file.name}"))
    path = root / "annotations" / "instances_val.json"
    path.write_text(path.read_text().replace("bild-", "vbild-"))
    return root


@pytest.mark.parametrize(("there", "back"), product(DETECTION, DETECTION))
def test_boxes_come_back_exactly(tmp_path: Path, there: str, back: str) -> None:
    root = names_fit(rough(tmp_path / "source"))
    first = baimu.convert_data(str(root), tmp_path / "there", to=there)
    second = baimu.convert_data(str(tmp_path / "there"), tmp_path / "back", to=back)
    assert first.lost == second.lost == ()
    same_objects(splits(str(root)), splits(str(tmp_path / "there")))
    same_objects(splits(str(root)), splits(str(tmp_path / "back")))
    assert baimu.check_data(str(tmp_path / "back")).severities["error"] == 0


@pytest.mark.parametrize("to", DETECTION)
def test_masks_come_back_to_the_pixel(tmp_path: Path, to: str) -> None:
    root = names_fit(rough(tmp_path / "source", masks=True))
    told = baimu.convert_data(str(root), tmp_path / "there", to=to)
    same_objects(splits(str(root), masks=True), splits(str(tmp_path / "there"), masks=True), masks=True)
    assert bool(told.lost) == (to == "voc")  # pixels in place of points
    if to != "voc":
        baimu.convert_data(str(tmp_path / "there"), tmp_path / "back", to="coco")
        same_objects(splits(str(root), masks=True), splits(str(tmp_path / "back"), masks=True), masks=True)


def test_outlines_with_holes_and_parts_become_one_polygon_of_the_same_pixels(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:20, 4:24], mask[8:12, 8:14], mask[25:35, 30:50] = 1, 0, 1
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(mask.T.ravel(), prepend=0)), [mask.size]])).tolist()
    put(tmp_path / "coco" / "images" / "a.jpg", picture(1))
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 46, 31], "area": int(mask.sum()), "iscrowd": 0}
    row["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": runs}
    data = {"images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}], "annotations": [row]}
    put(tmp_path / "coco" / "annotations.json", json.dumps({**data, "categories": [{"id": 1, "name": "ring"}]}))
    told = baimu.convert_data(str(tmp_path / "coco"), tmp_path / "yolo", to="yolo")
    objects = splits(str(tmp_path / "yolo"), masks=True)["all"].objects(0)
    assert objects.masks is not None
    np.testing.assert_array_equal(objects.masks[0], mask.astype(bool))
    assert any("one polygon around the same pixels" in line for line in told.lost)


def test_names_that_a_voc_list_would_cut_are_changed(tmp_path: Path) -> None:
    put(tmp_path / "source" / "images" / "train" / "a b.jpg", picture(1))
    put(tmp_path / "source" / "labels" / "train" / "a b.txt", "0 0.5 0.5 0.5 0.5\n")
    put(tmp_path / "source" / "data.yaml", "train: images/train\nnames: [cat]\n")
    told = baimu.convert_data(str(tmp_path / "source"), tmp_path / "voc", to="voc")
    assert told.lost == ("1 image files: renamed",)
    assert splits(str(tmp_path / "voc"))["train"].image_id(0) == "a_b"


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    root = rough(tmp_path / "source", crowd=True)
    path = root / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    data["annotations"][0] |= {"bbox": [3, 3, 1, 1], "area": 0.5}
    data["annotations"][1] |= {"area": 2.0}
    for category in data["categories"]:
        category["id"] += 5
    for row in data["annotations"]:
        row["category_id"] += 5
    path.write_text(json.dumps(data))
    told = {to: baimu.convert_data(str(root), tmp_path / to, to=to).lost for to in ("voc", "yolo")}
    assert any(line.startswith("1 boxes of a pixel or less: left out") for line in told["voc"])
    assert any(line.startswith("6 crowd or difficult objects: left out") for line in told["yolo"])
    for lines in told.values():
        assert any("class ids" in line for line in lines)
        assert any("areas: those of the boxes" in line for line in lines)
    assert any("image files: renamed" in line for line in told["voc"])
    crowd = splits(str(tmp_path / "voc"))["val"]
    assert sum(crowd.objects(i).crowd.sum() for i in range(len(crowd))) == 2


@pytest.mark.parametrize(("make", "there"), [("folders", "csv"), ("csv_list", "folders"), ("csv_flags", "csv")])
def test_labels_come_back(tmp_path: Path, make: str, there: str) -> None:
    root = MAKERS[make](tmp_path / "source")
    assert baimu.convert_data(str(root), tmp_path / "there", to=there).lost == ()
    back = "csv" if make == "csv_flags" else {"csv": "folders", "folders": "csv"}[there]
    assert baimu.convert_data(str(tmp_path / "there"), tmp_path / "back", to=back).lost == ()
    for other in ("there", "back"):
        one, two = splits(str(root)), splits(str(tmp_path / other))
        assert one.keys() == two.keys()
        for split in one:
            assert one[split].classes == two[split].classes
            assert _by_content(one[split]) == _by_content(two[split])


def _by_content(part: Any) -> dict[bytes, tuple[list[str], list[str]]]:
    named = {}
    for i in range(len(part)):
        labels = [[part.classes[k] for k in kind(i).tolist()] for kind in (part.labels, part.unknown)]
        named[Path(part.name(i)).read_bytes()] = (labels[0], labels[1])
    return named


@pytest.mark.parametrize(("make", "there"), product(("tsv", "text_csv", "text_folders"), ("tsv", "csv", "folders")))
def test_texts_come_back(tmp_path: Path, make: str, there: str) -> None:
    root = MAKERS[make](tmp_path / "source")
    lost = baimu.convert_data(str(root), tmp_path / "there", to=there).lost
    one, two = splits(str(root)), splits(str(tmp_path / "there"))
    for split in one:
        a, b = one[split], two[split]
        pairs = [sorted((p.classes[int(p.labels(i)[0])], p.text(i)) for i in range(len(p))) for p in (a, b)]
        assert pairs[0] == pairs[1]
    assert bool(lost) == (there == "folders" and make != "text_folders")  # their order
    assert all("order of their classes" in line for line in lost)


def test_texts_with_tabs_and_breaks_are_exact_in_csv_and_said_in_tsv(tmp_path: Path) -> None:
    text = '"label","text"\n"good","one\ttwo\nthree words here"\n"bad","nothing of that kind"\n'
    put(tmp_path / "source" / "list.csv", text)
    baimu.convert_data(str(tmp_path / "source"), tmp_path / "csv", to="csv")
    one, two = splits(str(tmp_path / "source"))["all"], splits(str(tmp_path / "csv"))["all"]
    assert [one.text(i) for i in range(2)] == [two.text(i) for i in range(2)]
    told = baimu.convert_data(str(tmp_path / "source"), tmp_path / "tsv", to="tsv")
    assert told.lost == ("1 texts with tabs or line breaks: blanks in their place",)


def test_maps_come_back(tmp_path: Path) -> None:
    root = MAKERS["maps"](tmp_path / "source")
    assert baimu.convert_data(str(root), tmp_path / "there", to="maps").lost == ()
    one, two = splits(str(root)), splits(str(tmp_path / "there"))
    for split in one:
        assert one[split].classes == two[split].classes
        for i in range(len(one[split])):
            np.testing.assert_array_equal(one[split].label_map(i), two[split].label_map(i))


def test_outlined_objects_become_maps(tmp_path: Path) -> None:
    root = MAKERS["coco_masks"](tmp_path / "source")
    told = baimu.convert_data(str(root), tmp_path / "there", to="maps")
    maps = splits(str(tmp_path / "there"))["train"]
    assert maps.classes == ("background", "cat", "dog", "bird")
    assert set(np.unique(maps.label_map(0))) == {0, 1, 2, 3}
    assert told.lost
    bare = MAKERS["coco"](tmp_path / "bare")
    with pytest.raises(DataError, match="no object has an outline"):
        baimu.convert_data(str(bare), tmp_path / "none", to="maps")


def test_lines_come_back(tmp_path: Path) -> None:
    for make in ("lines", "line_files"):
        root = MAKERS[make](tmp_path / make)
        assert baimu.convert_data(str(root), tmp_path / f"{make}_there", to="lines").lost == ()
        one, two = splits(str(root)), splits(str(tmp_path / f"{make}_there"))
        for split in one:
            assert list(one[split].texts) == list(two[split].texts)
            assert [one[split].size(i) for i in range(5)] == [two[split].size(i) for i in range(5)]


def test_tracks_come_back_and_become_frames(tmp_path: Path) -> None:
    root = MAKERS["mot"](tmp_path / "source")
    assert baimu.convert_data(str(root), tmp_path / "there", to="mot").lost == ()
    for name in ("seq0", "seq1"):
        files = [folder / name / "gt" / "gt.txt" for folder in (root, tmp_path / "there")]
        assert files[0].read_text() == files[1].read_text()
    told = baimu.convert_data(str(root), tmp_path / "coco", to="coco")
    frames = splits(str(tmp_path / "coco"))["all"]
    assert (len(frames), frames.classes) == (20, ("class 1",))
    np.testing.assert_array_equal(frames.objects(2).boxes, [[5, 3, 15, 15], [37, 20, 46, 34]])
    assert told.lost == ("4 tracks: their ids are lost",)


def test_a_turned_image_keeps_its_boxes(tmp_path: Path) -> None:
    """Annotated on the pixels as they are stored: YOLO's fractions are of the image as it is shown."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    (tmp_path / "source" / "images").mkdir(parents=True)
    image.save(tmp_path / "source" / "images" / "a.jpg", exif=exif)
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [40, 5, 15, 20], "iscrowd": 0}
    data = {"images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}], "annotations": [row]}
    put(tmp_path / "source" / "annotations.json", json.dumps({**data, "categories": [{"id": 1, "name": "cat"}]}))
    told = baimu.convert_data(str(tmp_path / "source"), tmp_path / "yolo", to="yolo")
    one, two = splits(str(tmp_path / "source"))["all"], splits(str(tmp_path / "yolo"))["all"]
    np.testing.assert_array_equal(one.image(0), two.image(0))
    np.testing.assert_array_equal(one.objects(0).boxes, two.objects(0).boxes)
    assert any("EXIF" in line for line in told.lost)


def test_foreign_formats_are_refused(tmp_path: Path) -> None:
    root = MAKERS["folders"](tmp_path / "source")
    with pytest.raises(UnknownNameError, match="unknown format for classification data 'coco'"):
        baimu.convert_data(str(root), tmp_path / "out", to="coco")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="class folders cannot hold several labels"):
        baimu.convert_data(str(MAKERS["csv_flags"](tmp_path / "flags")), tmp_path / "out", to="folders")


def test_the_playground_becomes_files(tmp_path: Path) -> None:
    for to in DETECTION:
        baimu.convert_data("playground:train=3,val=2,size=64", tmp_path / to, to=to)
        one, two = splits("playground:train=3,val=2,size=64"), splits(str(tmp_path / to))
        for i in range(3):
            np.testing.assert_array_equal(one["train"].objects(i).boxes, two["train"].objects(i).boxes)
            np.testing.assert_array_equal(one["train"].image(i), two["train"].image(i))
