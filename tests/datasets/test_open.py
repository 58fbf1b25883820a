"""Formats are recognised, splits found or made from a seed, and errors say what was looked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from baimu.datasets.annotations import FileSource
from baimu.datasets.open import open_data, open_source, splits
from baimu.datasets.source import DetectionSource, Splits
from baimu.errors import DataError, UnknownNameError
from tests.datasets.files import coco_json, voc_object, write_coco, write_image, write_voc, write_yolo


def ids(source: DetectionSource) -> list[int | str]:
    return [source.image_id(i) for i in range(len(source))]


def voc(root: Path, count: int = 10) -> Path:
    for i in range(count):
        write_voc(root, f"{i}", [voc_object("cat" if i % 2 else "dog", (1, 1, 9, 9))])
    return root


def test_the_three_formats_are_recognised(tmp_path: Path) -> None:
    box = {"id": 1, "image_id": 2, "category_id": 7, "bbox": [1, 1, 5, 5]}
    coco = write_coco(tmp_path / "coco", coco_json([box]))
    write_yolo(tmp_path / "yolo", {"a": "0 .5 .5 .5 .5", "b": ""})
    (tmp_path / "yolo" / "classes.txt").write_text("cat\n")
    (tmp_path / "yolo" / "data.yml").write_text("train: images\nnames: [cat]\n")
    for path in (coco, coco.parent, voc(tmp_path / "voc", 2), tmp_path / "yolo", tmp_path / "yolo" / "data.yml"):
        for name in (path, str(path)):
            train, val = open_data(name)
            assert (len(train), len(val)) == (1, 1)


def test_a_made_split_is_seeded_complete_and_disjoint(tmp_path: Path) -> None:
    root = voc(tmp_path)
    train, val = open_data(root, seed=3)
    assert (len(train), len(val)) == (8, 2)
    assert sorted([*ids(train), *ids(val)]) == [f"{i}" for i in range(10)]
    assert ids(open_data(root, seed=3).val) == ids(val)
    assert len({tuple(ids(open_data(root, seed=s).val)) for s in range(8)}) > 3
    assert len(open_data(root, val_fraction=0.5).val) == 5
    assert len(open_data(root, val_fraction=0.999).train) == 1


def test_found_splits_are_used_unless_a_fraction_is_given(tmp_path: Path) -> None:
    root = voc(tmp_path)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, members in {"train": "12", "val": "3", "trainval": "123", "test": "4"}.items():
        (lists / f"{name}.txt").write_text("\n".join(members))
    assert [ids(s) for s in open_data(root)] == [["1", "2"], ["3"]]
    assert sum(map(len, open_data(root, val_fraction=0.2))) == 10
    (lists / "val.txt").unlink()
    assert [ids(s) for s in open_data(root)] == [["1", "2", "3"], ["4"]]
    (lists / "trainval.txt").unlink()
    assert [ids(s) for s in open_data(root)] == [["1", "2"], ["4"]]
    assert ids(open_source(root)) == ["4"]
    assert ids(open_source(root, "train")) == ["1", "2"]
    assert list(splits(root)) == ["train", "test"]
    with pytest.raises(UnknownNameError, match="Did you mean train"):
        open_source(root, "trian")


def coco_pair(root: Path, val_categories: list[dict]) -> Path:
    for split in ("train", "val"):
        for i in (1, 2):
            write_image(root / f"{split}2017" / f"{i}.jpg", seed=i)
        data = coco_json([{"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 1, 5, 5]}])
        if split == "val":
            data["categories"] = val_categories
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(data))
    return root


def test_classes_of_validation_follow_training(tmp_path: Path) -> None:
    root = coco_pair(tmp_path, [{"id": 7, "name": "cat"}])
    train, val = open_data(root)
    assert train.classes == val.classes == ("dog", "cat")
    assert val.category_ids == (3, 7)
    assert val.objects(0).labels.tolist() == train.objects(0).labels.tolist() == [1]


def test_foreign_classes_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has classes \['cow'\] that the training data"):
        open_data(coco_pair(tmp_path, [{"id": 7, "name": "cow"}]))


def test_separate_validation_data_and_joining(tmp_path: Path) -> None:
    root = coco_pair(tmp_path / "coco", coco_json([])["categories"])
    file = root / "annotations" / "instances_val2017.json"
    train, val = open_data(root, val=file)
    assert Path(val.name(0)).parent.name == "val2017"
    assert Path(train.name(0)).parent.name == "train2017"
    every = open_data(root, val_fraction=0.25)
    assert [len(s) for s in every] == [3, 1]
    names = {str(Path(s.name(i)).relative_to(root)) for s in every for i in range(len(s))}
    assert names == {f"{split}2017/{i}.jpg" for split in ("train", "val") for i in (1, 2)}
    for part in every:
        for i in range(len(part)):
            assert len(part.objects(i)) == int(Path(part.name(i)).stem == "1")
            assert part.image(i).shape == (40, 60, 3)


def test_opened_data_pass_through(tmp_path: Path) -> None:
    source = open_source(voc(tmp_path))
    assert isinstance(source, FileSource)
    pair = open_data(source, val_fraction=0.3)
    assert open_data(pair) is pair
    assert open_source(pair) is pair.val
    assert open_source(source) is source
    assert open_data(source, val=pair.val) == Splits(source, pair.val)


def test_playground() -> None:
    train, val = open_data("playground:train=7,val=3,size=64")
    assert (len(train), len(val)) == (7, 3)
    assert train.image(0).shape == (64, 64, 3)
    longer = open_data("playground:train=9, val=3, size=64")
    np.testing.assert_array_equal(longer.val.image(2), val.image(2))  # whatever the length of train
    assert not np.array_equal(train.image(0), val.image(0))
    other = open_data("playground:size=64,seed=1")
    assert [len(s) for s in other] == [1000, 200]
    assert not any(np.array_equal(a.image(0), b.image(0)) for a in other for b in (train, val))
    with pytest.raises(UnknownNameError, match="Did you mean size"):
        open_data("playground:sice=64")
    for wrong in ("size=x", "train=0", "val=-1", "seed="):
        with pytest.raises(DataError, match="whole number"):
            open_data(f"playground:{wrong}")


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    for path, reason in (
        (tmp_path / "absent", "there is no such file or folder"),
        (tmp_path / "empty", "the folder is empty; looked for\n  COCO"),
        (tmp_path / "other", "no data set that can be recognised; looked for\n  COCO"),
        (tmp_path / "other" / "notes.txt", "no data set that can be recognised"),
    ):
        with pytest.raises(DataError, match=reason) as caught:
            open_data(path)
        assert str(path) in str(caught.value)
    for nothing in ("", 7, None):
        with pytest.raises(DataError, match="the data must be"):
            open_data(nothing)  # pyright: ignore[reportArgumentType]


def test_what_cannot_be_split(tmp_path: Path) -> None:
    source = open_source(voc(tmp_path))
    with pytest.raises(DataError, match="1 image cannot be split"):
        open_data(source.select([0]))
    for fraction in (0.0, 1.0, -1.0):
        with pytest.raises(DataError, match="between 0 and 1"):
            open_data(source, val_fraction=fraction)
    with pytest.raises(DataError, match="leave val_fraction away"):
        open_data("playground:train=4,val=2", val_fraction=0.5)


def test_a_held_out_fifth_of_the_blood_cells(shared: Path) -> None:
    train, val = open_data(shared / "data" / "bccd", val_fraction=0.2)
    assert (len(train), len(val)) == (291, 73)
    assert len(train.problems) + len(val.problems) == 2
    assert not set(ids(train)) & set(ids(val))
