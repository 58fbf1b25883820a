"""Pascal VOC: boxes from 1 with their last pixel, splits by lists or folders, what is wrong skipped alone and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baimu.datasets.formats.voc import find_voc, read_voc
from baimu.datasets.source import DetectionSource
from baimu.errors import DataError
from tests.datasets.files import voc_object, write_image, write_voc


def test_boxes_classes_and_difficult_objects(tmp_path: Path) -> None:
    write_voc(tmp_path, "b", [voc_object("dog", (1, 1, 60, 40)), voc_object("cat", (11, 6, 30, 35), difficult=1)])
    write_voc(tmp_path, "a", [])
    source = read_voc(tmp_path)
    assert isinstance(source, DetectionSource)
    assert (source.classes, source.category_ids) == (("cat", "dog"), (0, 1))
    assert [source.image_id(i) for i in range(2)] == ["a", "b"]
    assert len(source.objects(0)) == 0  # annotated, and without objects
    objects = source.objects(1)
    np.testing.assert_array_equal(objects.boxes, np.float32([[0, 0, 60, 40], [10, 5, 30, 35]]))
    assert objects.labels.tolist() == [1, 0]
    assert objects.crowd.tolist() == [False, True]
    assert objects.areas.tolist() == [2400, 600]
    assert list(source.problems) == []
    assert source.image(1).shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (voc_object("cat", (5, 5, 5, 5)), "has no area"),
        (voc_object("cat", (9, 5, 5, 9)), "has no area"),
        (voc_object("cat", ("nan", 5, 9, 9)), "not made of finite numbers"),
        (voc_object("cat", (1, 5, "inf", 9)), "not made of finite numbers"),
        (voc_object("cat", (100, 5, 120, 9)), "lies outside"),
        (voc_object("cat", ("x", 5, 9, 9)), "no bndbox of four numbers"),
        ("<object><name>cat</name></object>", "no bndbox of four numbers"),
        (voc_object("", (1, 1, 9, 9)), "has no class name"),
    ],
)
def test_a_bad_object_is_skipped_alone(tmp_path: Path, item: str, reason: str) -> None:
    good = voc_object("cat", (1, 1, 9, 9))
    write_voc(tmp_path, "a", [good, item, good])
    source = read_voc(tmp_path)
    assert len(source.objects(0)) == 2
    (problem,) = source.problems
    assert problem.file == str(tmp_path / "Annotations" / "a.xml")
    assert problem.record.startswith("object 2")
    assert reason in problem.problem


def test_boxes_from_zero_stay_at_the_edge_and_are_counted(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", [voc_object("cat", (0, 0, 9, 9)), voc_object("cat", (3, 0, 9, 9))])
    source = read_voc(tmp_path)
    np.testing.assert_array_equal(source.objects(0).boxes, np.float32([[0, 0, 9, 9], [2, 0, 9, 9]]))
    assert [p.problem for p in source.problems] == ["2 boxes start at 0 although VOC counts pixels from 1"]


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", [voc_object("cat", (1, 1, 9, 9))])
    write_voc(tmp_path, "cut", [])
    (tmp_path / "Annotations" / "cut.xml").write_text("<annotation><object>")
    write_voc(tmp_path, "broken", [])
    (tmp_path / "JPEGImages" / "broken.jpg").write_bytes(b"")
    (tmp_path / "Annotations" / "lonely.xml").write_text("<annotation/>")
    write_image(tmp_path / "JPEGImages" / "bare.jpg")
    write_image(tmp_path / "JPEGImages" / "a.png")
    source = read_voc(tmp_path)
    assert [source.image_id(i) for i in range(len(source))] == ["a"]
    told = {Path(p.file).name: p.problem for p in source.problems}
    assert "not readable XML" in told["cut.xml"]
    assert "empty" in told["broken.jpg"]
    assert told["lonely.xml"] == "there is no image lonely.*"
    assert told["bare.jpg"] == "has no annotation file"
    assert "shares its name" in told.get("a.jpg", "") + told.get("a.png", "")
    assert len(source.problems) == 5


def test_a_wrong_size_is_taken_from_the_file(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", [voc_object("cat", (1, 1, 9, 9))], said=(400, 600))
    write_voc(tmp_path, "b", [voc_object("cat", (1, 1, 9, 9))], said=(0, 0))
    source = read_voc(tmp_path)
    assert source.size(0) == source.size(1) == (40, 60)
    (problem,) = source.problems
    assert problem.problem == "says 600x400, but a.jpg is 60x40"


def test_a_picture_annotated_without_its_exif_turn_is_used_so(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for stem, said in (("unturned", (40, 60)), ("turned", (60, 40))):
        write_voc(tmp_path, stem, [voc_object("cat", (1, 1, 30, 40))], said=said)
        write_image(tmp_path / "JPEGImages" / f"{stem}.jpg", exif=exif)
    source = read_voc(tmp_path)
    for index, size in ((0, (60, 40)), (1, (40, 60))):
        assert source.size(index) == size
        assert source.image(index).shape[:2] == size
    (problem,) = source.problems
    assert "unturned.jpg is annotated at 60x40, without its EXIF rotation" in problem.problem


def test_lists(tmp_path: Path) -> None:
    for stem in "abcd":
        write_voc(tmp_path, stem, [voc_object(stem, (1, 1, 9, 9))])
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_bytes(b"\xef\xbb\xbfc\r\na 1\r\n\r\na -1\r\n../x\r\n")
    (lists / "val.txt").write_text("b\n")
    (lists / "test.txt").write_text("zzz\n")
    (lists / "cat_train.txt").write_text("d 1\n")
    found = find_voc(tmp_path)
    assert sorted(found) == ["all", "test", "train", "val"]
    train, val = found["train"](), found["val"]()
    assert [train.image_id(i) for i in range(len(train))] == ["c", "a"]
    assert [(p.record, p.code) for p in train.problems] == [("line 4", "F113"), ("line 5", "F107")]
    assert train.classes == val.classes == ("a", "b", "c", "d")  # of all images, so that splits agree
    assert val.objects(0).labels.tolist() == [1]
    assert list(val.problems) == []
    with pytest.raises(DataError, match=r"test\.txt: names no annotated image"):
        found["test"]()


def test_class_file_sets_the_order_and_unknown_names_are_skipped(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", [voc_object("cat", (1, 1, 9, 9)), voc_object("dog", (1, 1, 9, 9))])
    (tmp_path / "classes.txt").write_text("\ufeffzebra\r\ndog\r\n", encoding="utf-8")
    source = read_voc(tmp_path)
    assert source.classes == ("zebra", "dog")
    assert source.objects(0).labels.tolist() == [1]
    assert [(p.record, p.problem) for p in source.problems] == [("object 1 (cat)", "has the unknown class 'cat'")]


def test_xml_beside_images_in_split_folders(tmp_path: Path) -> None:
    for split, stem, name in (("train", "a", "cat"), ("valid", "b", "ant")):
        write_voc(tmp_path / "x", stem, [voc_object(name, (1, 1, 9, 9))])
        (tmp_path / split).mkdir()
        (tmp_path / "x" / "JPEGImages" / f"{stem}.jpg").rename(tmp_path / split / f"{stem}.jpg")
        (tmp_path / "x" / "Annotations" / f"{stem}.xml").rename(tmp_path / split / f"{stem}.xml")
    found = find_voc(tmp_path)
    assert {split: read().classes for split, read in found.items()} == dict.fromkeys(("train", "val"), ("ant", "cat"))


def test_no_class_at_all(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", [])
    with pytest.raises(DataError, match="no object class"):
        read_voc(tmp_path)


def test_blood_cells(shared: Path) -> None:
    """364 images and 4,888 boxes, of which two have no size and are reported."""
    found = find_voc(shared / "data" / "bccd")
    source = found["all"]()
    assert len(source) == 364
    labels = np.concatenate([source.objects(i).labels for i in range(364)])
    assert source.classes == ("Platelets", "RBC", "WBC")
    assert np.bincount(labels).tolist() == [361, 4155 - 2, 372]
    told = {(Path(p.file).name, p.record, p.action) for p in source.problems}
    assert told == {
        ("BloodImage_00338.xml", "object 13 (RBC)", "annotation skipped"),
        ("BloodImage_00343.xml", "object 4 (RBC)", "annotation skipped"),
    }
    splits = {name: len(read()) for name, read in found.items() if name != "all"}
    assert splits == {"train": 205, "val": 87, "trainval": 292, "test": 72}


def write_masks(root: Path, stem: str, values: np.ndarray, mode: str = "P") -> None:
    (root / "SegmentationObject").mkdir(exist_ok=True)
    picture = Image.fromarray(values.astype(np.uint8), "L")
    if mode == "P":
        picture = picture.copy()
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tolist())
    picture.convert(mode).save(root / "SegmentationObject" / f"{stem}.png")


def test_masks_are_the_pixels_of_the_objects_number(tmp_path: Path) -> None:
    objects = [voc_object("cat", (1, 1, 20, 20)), voc_object("", (1, 1, 9, 9)), voc_object("dog", (31, 11, 50, 40))]
    values = np.zeros((40, 60), np.uint8)
    values[2:15, 3:18], values[12:38, 32:49], values[1:5, 20:25], values[20, 40] = 1, 3, 2, 255
    write_voc(tmp_path, "a", [*objects, voc_object("dog", (51, 1, 60, 9))])
    write_voc(tmp_path, "b", [objects[0]])  # not segmented
    write_voc(tmp_path, "c", [])
    write_masks(tmp_path, "a", values)
    write_masks(tmp_path, "c", np.zeros((40, 60)))
    source = read_voc(tmp_path, masks=True)
    assert [source.image_id(i) for i in range(len(source))] == ["a", "c"]
    masks = source.objects(0).masks
    assert masks is not None
    np.testing.assert_array_equal(masks[0], values == 1)
    np.testing.assert_array_equal(masks[1], values == 3)  # the second of the file has no name and was skipped
    assert masks[2].sum() == 90  # not drawn in the file: its box
    assert source.objects(1).masks.shape == (0, 40, 60)
    told = [str(problem) for problem in source.problems]
    assert any("no masks of 1 annotated images" in line for line in told)
    assert any("1 of 3 objects have no outline" in line for line in told)
    assert read_voc(tmp_path).objects(0).masks is None
    assert len(read_voc(tmp_path)) == 3


def test_damaged_masks_are_told(tmp_path: Path) -> None:
    for stem in "abc":
        write_voc(tmp_path, stem, [voc_object("cat", (1, 1, 20, 20))])
    write_masks(tmp_path, "a", np.ones((20, 30)))
    write_masks(tmp_path, "b", np.ones((40, 60)), mode="RGB")
    write_masks(tmp_path, "c", np.ones((40, 60)))
    (tmp_path / "SegmentationObject" / "c.png").write_bytes(b"no picture")
    source = read_voc(tmp_path, masks=True)
    told = [p.problem for p in source.problems]
    assert told[:2] == ["is (20, 30), the image (40, 60)", "is (40, 60, 3), the image (40, 60)"]
    assert told[2].startswith("cannot be read")
    assert source.objects(0).masks.sum() == 400


def test_with_masks_the_lists_of_segmented_images_count(tmp_path: Path) -> None:
    for stem in "abcd":
        write_voc(tmp_path, stem, [voc_object("cat", (1, 1, 20, 20))])
    for folder, members in (("Main", {"train": "ab", "val": "cd"}), ("Segmentation", {"train": "a", "val": "c"})):
        (tmp_path / "ImageSets" / folder).mkdir(parents=True)
        for name, stems in members.items():
            (tmp_path / "ImageSets" / folder / f"{name}.txt").write_text("\n".join(stems))
    for stem in "ac":
        write_masks(tmp_path, stem, np.ones((40, 60)))
    lengths = {masks: [len(find_voc(tmp_path, masks=masks)[s]()) for s in ("train", "val")] for masks in (False, True)}
    assert lengths == {False: [2, 2], True: [1, 1]}
