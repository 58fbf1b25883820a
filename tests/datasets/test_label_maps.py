"""Images with label maps: every layout, values and colours, class files, and what is wrong in them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baimu.datasets.formats.class_files import NamedClass, read_classes
from baimu.datasets.formats.map_folders import find_maps
from baimu.datasets.label_maps import MapSource, PaintedSource, SceneMaps
from baimu.datasets.open import open_data, open_source
from baimu.datasets.playground import Playground
from baimu.datasets.source import SegmentationSource
from baimu.datasets.summary import data
from baimu.errors import DataError

KIND = "semantic_segmentation"


def labels_of(seed: int, values: tuple[int, ...] = (0, 1, 2), size: tuple[int, int] = (12, 16)) -> np.ndarray:
    """Every value occurs."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array(values, np.uint8), size)
    labels[0, : len(values)] = values
    return labels


def write(folder: Path, name: str, labels: np.ndarray, *, image: Path | None = None, mode: str = "L") -> None:
    """A map, and its image beside it in ``image`` or in ``folder``'s sibling ``images``."""
    picture = Image.fromarray(labels)
    if mode == "P":
        picture.putpalette([i * 7 % 256 for i in range(768)])
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{name}.png")
    image = image or folder.parent / "images"
    image.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(1).integers(0, 255, (*labels.shape[:2], 3), np.uint8)
    Image.fromarray(pixels).save(image / f"{name.removesuffix('_mask')}.jpg")


def whole(path: Path) -> MapSource:
    source = open_source(path, kind=KIND)
    assert isinstance(source, MapSource)
    assert isinstance(source, SegmentationSource)
    return source


def test_images_and_masks_with_a_class_file(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path / "masks", f"{i:04}", labels_of(i, (0, 1, 2, 255)), mode="P")
    (tmp_path / "classes.txt").write_text("background\nnerve\nvessel\n")
    source = whole(tmp_path)
    assert source.classes == ("background", "nerve", "vessel")
    assert len(source.problems) == 0
    for i in range(5):
        np.testing.assert_array_equal(source.label_map(i), labels_of(i, (0, 1, 2, 255)))
        assert source.image(i).shape == (12, 16, 3)
    part = pickle.loads(pickle.dumps(source.select([3, 1])))
    assert [Path(part.name(i)).name for i in range(2)] == ["0003.jpg", "0001.jpg"]
    train, val = open_data(tmp_path, kind=KIND)
    assert (len(train), len(val)) == (4, 1)


def test_splits_in_every_order_of_folders(tmp_path: Path) -> None:
    layouts = {
        "a": ("images/train", "masks/train", "images/val", "masks/val"),
        "b": ("train/images", "train/labels", "val/images", "val/labels"),
        "c": ("train", "trainannot", "val", "valannot"),
        "d": ("train", "train_labels", "val", "val_labels"),
        "e": ("images/training", "annotations/training", "images/validation", "annotations/validation"),
    }
    for name, (train, train_maps, val, val_maps) in layouts.items():
        for i in range(3):
            write(tmp_path / name / train_maps, f"x{i}", labels_of(i), image=tmp_path / name / train)
        write(tmp_path / name / val_maps, "y", labels_of(7), image=tmp_path / name / val)
        splits = open_data(tmp_path / name, kind=KIND)
        assert (len(splits.train), len(splits.val)) == (3, 1), name
        assert splits.train.classes == splits.val.classes == ("background", "class 1", "class 2")
        drawn = open_data(tmp_path / name, kind=KIND, val_fraction=0.5)
        assert (len(drawn.train), len(drawn.val)) == (2, 2), name


def test_maps_with_an_ending_and_without_a_partner(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a_mask", labels_of(0))
    write(tmp_path / "masks", "b_mask", labels_of(1))
    (tmp_path / "images" / "b.jpg").rename(tmp_path / "images" / "c.jpg")
    source = whole(tmp_path)
    assert [Path(source.name(i)).stem for i in range(len(source))] == ["a"]
    said = "\n".join(map(str, source.problems))
    assert "c.jpg: has no label map" in said
    assert "b_mask.png: belongs to no image" in said
    assert "has no class file" in said


def test_a_map_of_another_size_is_left_out(tmp_path: Path) -> None:
    for i in range(2):
        write(tmp_path / "masks", str(i), labels_of(i))
    Image.fromarray(labels_of(0, size=(6, 8))).save(tmp_path / "masks" / "0.png")
    source = whole(tmp_path)
    assert len(source) == 1
    assert any("is 8x6, its image 16x12" in str(problem) for problem in source.problems)


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("128 64 128 road\n0 0 0 Void\n255 0 10\tcar park\n", ("road", "car park")),
        ("name,r,g,b\nroad,128,64,128\nvoid,0,0,0\ncar park,255,0,10\n", ("road", "car park")),
        ("# CVAT\nroad:128,64,128::\nignored:0,0,0::\ncar park:255,0,10::\n", ("road", "car park")),
    ],
)
def test_colours_and_the_files_that_name_them(tmp_path: Path, text: str, classes: tuple[str, ...]) -> None:
    colours = np.array([[128, 64, 128], [255, 0, 10], [0, 0, 0]], np.uint8)
    for i in range(3):
        write(tmp_path / "labels", str(i), colours[labels_of(i)])
    (tmp_path / "label_colors.txt").write_text(text)
    source = whole(tmp_path)
    assert source.classes == classes
    expected = labels_of(1)
    np.testing.assert_array_equal(source.label_map(1), np.array([0, 1, 255])[expected])


def test_colours_that_nobody_names(tmp_path: Path) -> None:
    colours = np.array([[128, 64, 128], [255, 0, 10], [0, 0, 0]], np.uint8)
    write(tmp_path / "labels", "a", colours[labels_of(0)])
    with pytest.raises(DataError, match=r"label_colors\.txt, one class a line as .*found: 0 0 0, 128 64 128, 255 0 10"):
        whole(tmp_path)
    (tmp_path / "label_colors.txt").write_text("128 64 128 road\n0 0 0 sky\n")
    with pytest.raises(
        DataError, match=r"a\.png: \d+ pixels, the first at \(1, 0\), have the colour 255 0 10, which is"
    ):
        whole(tmp_path).label_map(0)


def test_values_that_stand_for_nothing_are_told_when_read(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a", labels_of(0, (0, 1, 7)))
    (tmp_path / "classes.txt").write_text("ground\ncell\n")
    with pytest.raises(DataError, match=r"a\.png: .* have the value 7, which is no class; add it to the class file"):
        whole(tmp_path).label_map(0)


def test_black_and_white_masks(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a", labels_of(0, (0, 255)))
    source = whole(tmp_path)
    assert source.classes == ("background", "foreground")
    np.testing.assert_array_equal(source.label_map(0), labels_of(0, (0, 255)) == 255)
    assert any("255 taken as the class 'foreground'" in str(problem) for problem in source.problems)


def test_a_class_file_without_background(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a", labels_of(0))
    (tmp_path / "classes.txt").write_text("nerve\nvessel\n")
    source = whole(tmp_path)
    assert source.classes == ("background", "nerve", "vessel")
    assert any("0 taken as background" in str(problem) for problem in source.problems)


def test_16_bit_grey_saved_as_colour_and_one_bit(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a", labels_of(0).astype(np.uint16))
    write(tmp_path / "masks", "b", labels_of(1)[..., None].repeat(3, 2))
    source = whole(tmp_path)
    np.testing.assert_array_equal(source.label_map(0), labels_of(0))
    np.testing.assert_array_equal(source.label_map(1), labels_of(1))
    Image.fromarray(labels_of(2, (0, 1)) == 1).save(tmp_path / "masks" / "a.png")
    np.testing.assert_array_equal(whole(tmp_path).label_map(0), labels_of(2, (0, 1)))


def test_pascal_voc(tmp_path: Path) -> None:
    for i in range(4):
        write(
            tmp_path / "SegmentationClass",
            f"2007_{i}",
            labels_of(i, (0, 15, 255)),
            image=tmp_path / "JPEGImages",
            mode="P",
        )
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_0\n2007_2\n2007_9\n")
    (lists / "val.txt").write_text("2007_3\n")
    train, val = open_data(tmp_path, kind=KIND)
    assert (len(train), len(val)) == (2, 1)
    assert len(train.classes) == 21
    assert train.classes[15] == "person"
    np.testing.assert_array_equal(val.label_map(0), labels_of(3, (0, 15, 255)))
    assert any("2007_9: names no image" in str(problem) for problem in train.problems)


def test_cityscapes_ids_and_train_ids(tmp_path: Path) -> None:
    for split in ("train", "val"):
        maps, images = tmp_path / "gtFine" / split / "bonn", tmp_path / "leftImg8bit" / split / "bonn"
        ids = labels_of(0, (0, 7, 26, 33))
        write(maps, "bonn_0_gtFine_labelIds", ids, image=images)
        (images / "bonn_0_gtFine_labelIds.jpg").rename(images / "bonn_0_leftImg8bit.jpg")
    splits = open_data(tmp_path, kind=KIND)
    assert len(splits.train.classes) == 19
    expected = np.select([ids == 7, ids == 26, ids == 33], [0, 13, 18], 255)
    np.testing.assert_array_equal(splits.val.label_map(0), expected)
    for split in ("train", "val"):
        maps = tmp_path / "gtFine" / split / "bonn"
        Image.fromarray(expected.astype(np.uint8)).save(maps / "bonn_0_gtFine_labelTrainIds.png")
    np.testing.assert_array_equal(open_data(tmp_path, kind=KIND).val.label_map(0), expected)


def test_ade20k_has_no_class_zero(tmp_path: Path) -> None:
    for split in ("training", "validation"):
        write(tmp_path / "annotations" / split, "ADE_1", labels_of(0, (0, 1, 2)), image=tmp_path / "images" / split)
    (tmp_path / "objectInfo150.txt").write_text("Idx\tRatio\tName\n1\t0.1\twall\n2\t0.1\tbuilding, edifice\n")
    splits = open_data(tmp_path, kind=KIND)
    assert splits.train.classes == ("wall", "building")
    np.testing.assert_array_equal(splits.val.label_map(0), np.array([255, 0, 1])[labels_of(0, (0, 1, 2))])


def test_outlines_are_painted_small_on_large_on_crowds(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    boxes = {(0, 0, 20, 8): (3, 0), (2, 2, 6, 6): (5, 0), (10, 5, 14, 10): (3, 1)}
    rows = [
        {"id": i + 1, "image_id": 1, "category_id": c, "iscrowd": crowd, "bbox": [x1, y1, x2 - x1, y2 - y1],
         "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]], "area": (x2 - x1) * (y2 - y1)}
        for i, ((x1, y1, x2, y2), (c, crowd)) in enumerate(boxes.items())
    ]  # fmt: skip
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
        "categories": [{"id": 3, "name": "cell"}, {"id": 5, "name": "core"}],
        "annotations": rows,
    }
    (tmp_path / "x.json").write_text(json.dumps(document))
    source = open_source(tmp_path / "x.json", kind=KIND)
    assert isinstance(source, PaintedSource)
    assert source.classes == ("background", "cell", "core")
    expected = np.zeros((10, 20), np.uint8)
    expected[:8] = 1
    expected[2:6, 2:6] = 2
    expected[8:, 10:14] = 255
    np.testing.assert_array_equal(source.label_map(0), expected)


def test_the_playground_says_what_each_pixel_shows() -> None:
    splits = open_data("playground:train=4,val=2,size=64", kind=KIND)
    assert isinstance(splits.train, SceneMaps)
    assert splits.train.classes[0] == "background"
    assert len(splits.train.classes) == 13
    scenes = Playground(4, size=64, seed=0)
    np.testing.assert_array_equal(splits.train.label_map(3), scenes.semantic(3))
    assert set(np.unique(splits.train.label_map(3))) == {0, *(scenes.objects(3).labels + 1)}


def test_held_out_maps_are_matched_by_the_names_of_classes(tmp_path: Path) -> None:
    for name, text in (
        ("one", "ground\ncell\ncore\n"),
        ("two", "core\nground\ncell\n"),
        ("three", "core\nground\nfly\n"),
    ):
        write(tmp_path / name / "masks", "a", labels_of(0))
        (tmp_path / name / "classes.txt").write_text(text)
    splits = open_data(tmp_path / "one", kind=KIND, val=tmp_path / "two")
    np.testing.assert_array_equal(splits.val.label_map(0), np.array([2, 0, 1])[labels_of(0)])
    with pytest.raises(DataError, match=r"three: has the classes fly, unknown to the training data"):
        open_data(tmp_path / "one", kind=KIND, val=tmp_path / "three")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tall tree", NamedClass("tall tree")),
        ("3 tall tree", NamedClass("tall tree", 3)),
        ("3: tall tree", NamedClass("tall tree", 3)),
        ("1 2 3\ttall tree", NamedClass("tall tree", None, 66051)),
        ("tall tree:1,2,3:trunk,crown:", NamedClass("tall tree", None, 66051)),
        ("tall tree, 1, 2, 3", NamedClass("tall tree", None, 66051)),
    ],
)
def test_lines_of_class_files(tmp_path: Path, line: str, expected: NamedClass) -> None:
    (tmp_path / "classes.txt").write_text(f"# by hand\n\n{line}\n")
    assert read_classes(tmp_path / "classes.txt") == [expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no class"),
        ("cat\ncat\n", "two classes have the name 'cat'"),
        ("0 cat\n0 dog\n", "two classes have the value 0"),
        ("300 0 0 cat\n", r"line 1: the colour 300 0 0 of 'cat' is not in 0…255"),
    ],
)
def test_class_files_that_cannot_be_meant(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_classes(tmp_path / "classes.txt")


def test_values_stand_in_class_files(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a", labels_of(0, (0, 4, 9)))
    (tmp_path / "classes.txt").write_text("0: ground\n4: tall tree\n9: ignore\n")
    source = whole(tmp_path)
    assert source.classes == ("ground", "tall tree")
    np.testing.assert_array_equal(
        source.label_map(0), np.array([0, 0, 0, 0, 1, 0, 0, 0, 0, 255])[labels_of(0, (0, 4, 9))]
    )


def test_what_is_not_one(tmp_path: Path) -> None:
    assert find_maps(tmp_path) == {}
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    assert find_maps(tmp_path) == {}, "YOLO's labels are texts"
    (tmp_path / "classes.txt").write_text("cat\n")
    with pytest.raises(DataError, match="no object has an outline"):
        open_source(tmp_path, kind=KIND)


def test_the_summary_counts_pixels(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a", labels_of(0, (0, 1, 255)))
    text = str(data(str(tmp_path), kind=KIND))
    assert "label maps read" in text
    assert f"{(labels_of(0, (0, 1, 255)) == 1).sum()}" in text
    assert "undecided pixels" in text


def test_the_real_maps(shared: Path) -> None:
    splits = open_data(shared / "data" / "usgra_seg", kind=KIND)
    assert (len(splits.train), len(splits.val)) == (163, 41)
    assert splits.train.classes == ("background", "nerve", "vessel")
    assert not splits.train.problems
    with Image.open(splits.val.map_name(5)) as picture:
        np.testing.assert_array_equal(splits.val.label_map(5), np.asarray(picture))
