"""Faults of class folders and lists of images."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.datasets.doctor.planting import Expected, edit_lines, fault
from tests.datasets.doctor.sets import picture, put


@fault("folders", alone=True)
def strangers(root: Path, slot: int) -> list[Expected]:
    put(root / "train" / "cat" / "notes.txt", "these are cats")
    return [("F111", "train/cat", "")]


@fault("folders")
def loose_image(root: Path, slot: int) -> list[Expected]:
    put(root / "train" / f"loose{slot}.jpg", picture(60 + slot))
    return [("F112", f"train/loose{slot}.jpg", "")]


@fault("folders", alone=True)
def empty_class(root: Path, slot: int) -> list[Expected]:
    for split in ("train", "val"):
        (root / split / "zebra").mkdir()
    return [("C104", "train/zebra", ""), ("C104", "val/zebra", "")]


@fault("folders", alone=True)
def class_without_val(root: Path, slot: int) -> list[Expected]:
    for i in range(3):
        put(root / "train" / "zebra" / f"{i}.jpg", picture(200 + i))
    return [("C106", "", "class zebra")]


@fault("folders", alone=True)
def class_without_train(root: Path, slot: int) -> list[Expected]:
    put(root / "val" / "zebra" / "a.jpg", picture(200))
    return [("C110", "", "class zebra")]


@fault("folders", alone=True)
def classes_alike(root: Path, slot: int) -> list[Expected]:
    for split in ("train", "val"):
        put(root / split / "Dog" / "a.jpg", picture(len(split) + 200))
    return [("C108", "", "class dog")]


@fault("folders", alone=True)
def one_class(root: Path, slot: int) -> list[Expected]:
    for split in ("train", "val"):
        shutil.rmtree(root / split / "dog")
    return [("C111", "", "class cat")]


@fault("folders", alone=True, readable=False)
def val_broken(root: Path, slot: int) -> list[Expected]:
    for file in (root / "val").rglob("*.jpg"):
        file.write_bytes(b"no image")
    return [("F103", "val", "")]


def add(root: Path, row: str) -> str:
    edit_lines(root / "train.csv", lambda lines: lines.append(row))
    return f"line {len((root / 'train.csv').read_text().splitlines())}"


@fault("csv_list")
def row_without_label(root: Path, slot: int) -> list[Expected]:
    put(root / "images" / f"free{slot}.jpg", picture(60 + slot))
    return [("X102", "train.csv", add(root, f"images/free{slot}.jpg,"))]


@fault("csv_list")
def row_without_image(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "train.csv", lambda lines: lines.__setitem__(slot + 1, ",cat"))
    return [("A101", "train.csv", f"line {slot + 2}")]


@fault("csv_list")
def row_repeated(root: Path, slot: int) -> list[Expected]:
    return [("F113", "train.csv", add(root, f"images/train/train{slot}.jpg,cat"))]


@fault("csv_list")
def row_of_absent(root: Path, slot: int) -> list[Expected]:
    return [("F107", "train.csv", add(root, f"images/train/gone{slot}.jpg,cat"))]


@fault("csv_list")
def row_leaves_root(root: Path, slot: int) -> list[Expected]:
    return [("F106", "train.csv", add(root, f"../{slot}.jpg,cat"))]


@fault("csv_list")
def row_of_unknown_class(root: Path, slot: int) -> list[Expected]:
    put(root / "images" / f"free{slot}.jpg", picture(60 + slot))
    return [("A103", "train.csv", add(root, f"images/free{slot}.jpg,catt"))]


@fault("csv_list")
def row_in_both(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "val.csv", lambda lines: lines.append(f"images/train/train{slot}.jpg,cat"))
    return [("S101", f"images/train/train{slot}.jpg", "")]


@fault("csv_list", alone=True)
def class_unused(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "classes.txt", lambda lines: lines.append("zebra"))
    return [("C104", "", "class zebra")]


@fault("csv_flags")
def flag_repeated(root: Path, slot: int) -> list[Expected]:
    return [("F113", "train.csv", add(root, f"images/train/train{slot}.jpg,1,0"))]
