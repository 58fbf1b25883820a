"""YOLO text files: fractions to pixels, polygons, data.yaml and folder layouts, bad lines skipped alone and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from baimu.datasets.formats.yolo import find_yolo, read_yolo
from baimu.datasets.source import DetectionSource
from baimu.errors import DataError
from tests.datasets.files import write_image, write_yolo

BOX = "1 0.5 0.5 0.5 0.25\n"  # 15, 15, 45, 25 of 60x40


def read(root: Path, text: str | None, *, masks: bool = False) -> DetectionSource:
    write_yolo(root, {"a": text})
    return read_yolo(root / "images", classes=["cat", "dog"], root=root, masks=masks)


def test_boxes_and_polygons(tmp_path: Path) -> None:
    source = read(tmp_path, BOX + "0 0.1 0.2 0.3 0.2 0.3 0.6\n", masks=True)
    assert isinstance(source, DetectionSource)
    objects = source.objects(0)
    np.testing.assert_allclose(objects.boxes, [[15, 15, 45, 25], [6, 8, 18, 24]], rtol=1e-6)
    assert objects.labels.tolist() == [1, 0]
    assert objects.masks is not None
    assert objects.masks[0].sum() == 300
    assert 60 < objects.masks[1].sum() < 110  # half of the box of 12x16
    assert (source.image_id(0), source.size(0), source.category_ids) == ("images/a", (40, 60), (0, 1))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2 0.5 0.5 0.5 0.5", "class 2, but there are 2 classes"),
        ("-1 0.5 0.5 0.5 0.5", "class -1"),
        ("0.5 0.5 0.5 0.5 0.5", r"class 0.5"),
        ("1 0.5 0.5 0.5", "has 4 columns"),
        ("1 0.5 0.5 0.5 0.5 0.9", "has 6 columns"),
        ("1 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "has 8 columns"),
        ("1,0.5,0.5,0.5,0.5", "not numbers separated by blanks"),
        ("cat 0.5 0.5 0.5 0.5", "not numbers"),
        ("nan 0.5 0.5 0.5 0.5", "not numbers"),
        ("1 0.5 nan 0.5 0.5", "not finite"),
        ("1 0.5 inf 0.5 0.5", "not finite"),
        ("1 0.5 0.5 0 0.5", "has no area"),
        ("1 0.5 0.5 -0.5 0.5", "has no area"),
        ("1 300 200 30 20", "fractions of the image, not pixels"),
        ("1 1.5 0.5 0.5 0.5", "lies outside"),
        ("1 0.1 0.1 0.1 0.1 0.1 0.1", "has no area"),
        (BOX.strip(), "repeats an earlier line"),
    ],
)
def test_a_bad_line_is_skipped_alone(tmp_path: Path, line: str, reason: str) -> None:
    source = read(tmp_path, f"{BOX}\n{line}\n0 0.5 0.5 0.5 0.5\n")
    assert source.objects(0).labels.tolist() == [1, 0]
    (problem,) = source.problems
    assert (problem.file, problem.record) == (str(tmp_path / "labels" / "a.txt"), "line 3")
    assert reason in problem.problem


def test_images_without_labels_stay(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": None, "b": "", "c": "\ufeff" + BOX.replace("\n", "\r\n")})
    source = read_yolo(tmp_path / "images", classes=["cat", "dog"])
    assert [len(source.objects(i)) for i in range(3)] == [0, 0, 1]
    assert list(source.problems) == []


def test_orphans_and_broken_images(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": BOX, "b": BOX})
    (tmp_path / "images" / "b.jpg").write_bytes(b"<html>")
    (tmp_path / "labels" / "gone.txt").write_text(BOX)
    (tmp_path / "labels" / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "labels" / "a.txt").write_bytes(b"\xff\xfe\x00")
    source = read_yolo(tmp_path / "images", classes=["cat", "dog"])
    assert len(source) == 1
    told = {Path(p.file).name: p.problem for p in source.problems}
    assert told["gone.txt"] == "there is no image of this name"
    assert "web page" in told["b.jpg"]
    assert "cannot be read as text" in told["a.txt"]
    assert len(told) == 3


@pytest.mark.parametrize("names", ["[cat, dog]", "{0: cat, 1: dog}"])
@pytest.mark.parametrize("train", ["images/train", "[images/train]", "../images/train", "list.txt"])
def test_data_yaml(tmp_path: Path, names: str, train: str) -> None:
    write_yolo(tmp_path, {"train/a": BOX, "train/b": BOX, "val/c": BOX})
    lines = ["./images/train/a.jpg", str(tmp_path / "images/train/b.jpg")]
    (tmp_path / "list.txt").write_text("\r\n".join(lines))
    (tmp_path / "data.yaml").write_text(
        f"\ufefftrain: {train}\r\nval: images/val\r\nnames: {names}\r\n", encoding="utf-8"
    )
    for path in (tmp_path, tmp_path / "data.yaml"):
        found = find_yolo(path)
        assert list(found) == ["train", "val"]
        source = found["train"]()
        assert source.classes == ("cat", "dog")
        assert [source.image_id(i) for i in range(len(source))] == ["images/train/a", "images/train/b"]
        assert source.objects(1).labels.tolist() == [1]


def test_data_yaml_with_a_path_of_its_own(tmp_path: Path) -> None:
    write_yolo(tmp_path / "here", {"train/a": BOX})
    (tmp_path / "x.yaml").write_text(f"path: {tmp_path / 'here'}\ntrain: images/train\nnames: [cat, dog]\n")
    assert len(find_yolo(tmp_path / "x.yaml")["train"]()) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("train: [", "cannot be read as YAML"),
        ("- 1", "needs at least 'train'"),
        ("train: images\n", "names no class"),
        ("train: images\nnames: []\n", "names no class"),
        ("train: images\nnames: {0: cat, 2: dog}\n", "without gaps"),
        ("train: nowhere\nnames: [cat]\n", "'nowhere' is not there or leaves the data root; looked for"),
        ("train: ../../etc\nnames: [cat]\n", "leaves the data root"),
        ("train: /etc\nnames: [cat]\n", "leaves the data root"),
        ("train: empty\nnames: [cat]\n", "holds no image"),
        ("train: list.txt\nnames: [cat]\n", "holds no image"),
    ],
)
def test_bad_data_yaml(tmp_path: Path, text: str, reason: str) -> None:
    root = tmp_path / "set"
    (root / "empty").mkdir(parents=True)
    write_image(tmp_path / "outside.jpg")
    (root / "list.txt").write_text("../outside.jpg\n")
    file = root / "data.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        find_yolo(file)["train"]()
    assert str(file) in str(caught.value)


def test_names_in_a_list_that_leave_the_root_are_refused_alone(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_yolo(root, {"a": BOX})
    write_image(tmp_path / "outside.jpg")
    (root / "list.txt").write_text("../outside.jpg\nimages/a.jpg\nimages/gone.jpg\n/etc/passwd\n")
    (root / "data.yaml").write_text("train: list.txt\nnames: [cat, dog]\n")
    source = find_yolo(root)["train"]()
    assert len(source) == 1
    assert [(p.record, p.action) for p in source.problems] == [
        ("line 1", "refused; image left out"),
        ("line 3", "image left out"),
        ("line 4", "refused; image left out"),
    ]


@pytest.mark.parametrize("layout", [("images/train", "images/val"), ("train/images", "valid/images")])
def test_layouts_without_yaml(tmp_path: Path, layout: tuple[str, str]) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    for folder in layout:
        image = write_image(tmp_path / folder / "a.jpg")
        label = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt")
        label.parent.mkdir(parents=True)
        label.write_text(BOX)
    found = find_yolo(tmp_path)
    assert {split: read().objects(0).labels.tolist() for split, read in found.items()} == {"train": [1], "val": [1]}


def test_class_names_are_asked_for(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": BOX})
    read_all = find_yolo(tmp_path)["all"]
    with pytest.raises(DataError, match=r"class names are missing; write one a line into .*classes\.txt"):
        read_all()
    (tmp_path / "classes.txt").write_text("\n")
    with pytest.raises(DataError, match="names no class"):
        read_all()
