"""The summary counts right and names every problem, those of image files too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import baimu
from baimu.datasets.summary import SHOWN_PROBLEMS, data
from baimu.errors import DataError
from tests.datasets.files import coco_json, voc_object, write_classes, write_coco, write_image, write_voc


def test_counts(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", [voc_object("cat", (1, 1, 40, 40)), voc_object("dog", (1, 1, 10, 10), difficult=1)])
    write_voc(tmp_path, "b", [], size=(30, 30))
    write_voc(tmp_path, "c", [voc_object("cat", (1, 1, 3, 12))], size=(40, 60))
    summary = data(tmp_path)
    part = summary.splits["all"]
    assert (part.images, part.empty_images, part.objects, part.crowd_objects) == (3, 1, 3, 1)
    assert part.objects_per_class == {"cat": 2, "dog": 1}
    assert part.image_sizes == {(40, 60): 2, (30, 30): 1}
    assert part.small_medium_large == (2, 1, 0)
    assert part.box_sides == [6.0, 6.8, 10.0, 34.0, 40.0]
    assert summary.problems == ()
    text = str(summary)
    for words in ("images", "60x40 (67%) and 1 more size", "no problems found", "  cat"):
        assert words in text
    assert json.loads(json.dumps(summary.to_dict()))["splits"]["all"]["images"] == 3


def test_problems_of_annotations_and_files(tmp_path: Path) -> None:
    rows = [{"id": i, "image_id": 1, "category_id": 7, "bbox": [1, 1, 0, 0]} for i in range(30)]
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 40, "width": 60} for i in (1, 2)]
    file = write_coco(tmp_path, coco_json(rows, images))
    write_image(tmp_path / "images" / "1.jpg", (50, 60))
    (tmp_path / "images" / "2.jpg").write_bytes(b"")
    summary = data(file)
    assert len(summary.problems) == 32
    told = {Path(p.file).name: str(p) for p in summary.problems}
    assert "is 60x50, annotated at 60x40" in told["1.jpg"]
    assert "empty" in told["2.jpg"]
    text = str(summary)
    assert "32 problems: 30 x annotation skipped" in text
    assert f"and {32 - SHOWN_PROBLEMS} more" in text
    assert text.count("has no area") == SHOWN_PROBLEMS


def test_it_is_a_verb_and_knows_the_playground() -> None:
    summary = baimu.data("playground:train=5,val=2,size=64")
    assert [part.images for part in summary.splits.values()] == [5, 2]
    with pytest.raises(DataError, match="no such file"):
        baimu.data("absent")


def test_labels_are_counted(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train/cat": 3, "train/dog": 2, "val/cat": 1})
    (tmp_path / "train" / "cat" / "notes.txt").write_text("x")
    summary = data(tmp_path)
    part = summary.splits["train"]
    assert (part.images, part.images_per_class, part.image_sizes) == (5, {"cat": 3, "dog": 2}, {(20, 24): 5})
    assert (summary.classes, list(summary.splits)) == (("cat", "dog"), ["train", "val"])
    text = str(summary)
    assert "24x20 (100%)" in text
    assert ["dog", "2", "0"] in [line.split() for line in text.splitlines()]
    assert "1 problems: 1 x files passed over" in text
    assert json.loads(json.dumps(summary.to_dict()))["splits"]["val"]["images_per_class"] == {"cat": 1}


def test_several_labels_are_counted_and_those_nobody_knows(tmp_path: Path) -> None:
    for name in "abc":
        write_image(tmp_path / f"{name}.png", (8, 9))
    (tmp_path / "list.csv").write_text("image,p,q\na,1,1\nb,0,\nc,1,0\n")
    part = data(tmp_path / "list.csv").splits["all"]
    assert (part.multi_label, part.labels, part.unknown_labels, part.unlabelled_images) == (True, 3, 1, 1)
    assert part.images_per_class == {"p": 2, "q": 1}
    assert part.labels_per_image == [0.0, 0.2, 1.0, 1.8, 2.0]
    assert "labels nobody knows of" in str(data(tmp_path / "list.csv"))
