"""Faults of YOLO folders and lists."""

from __future__ import annotations

from pathlib import Path

from tests.datasets.doctor.planting import Expected, edit_lines, fault
from tests.datasets.doctor.sets import boxes, picture, yolo_line


def labels(slot: int) -> str:
    return f"labels/train/{slot}.txt"


for name, code, line in (
    ("word", "A101", "0 a 0.5 0.5 0.5"),
    ("commas", "A101", "0,0.5,0.5,0.2,0.2"),
    ("name_for_number", "A101", "cat 0.5 0.5 0.2 0.2"),
    ("four_columns", "A110", "0 0.5 0.5 0.2"),
    ("score_behind", "A110", "0 0.5 0.5 0.2 0.2 0.9"),
    ("odd_polygon", "A110", "0 0.5 0.5 0.2 0.2 0.3 0.3 0.4"),
    ("class_too_high", "A103", "3 0.5 0.5 0.2 0.2"),
    ("class_negative", "A103", "-1 0.5 0.5 0.2 0.2"),
    ("class_half", "A103", "0.5 0.5 0.5 0.2 0.2"),
    ("nan", "B101", "0 nan 0.5 0.2 0.2"),
    ("infinite", "B101", "0 0.5 0.5 inf 0.2"),
    ("pixels", "B111", "0 30 20 12 10"),
    ("no_width", "B102", "0 0.5 0.5 0 0.2"),
    ("outside", "B103", "0 1.4 0.5 0.2 0.2"),
    ("partly_outside", "B104", "0 0.95 0.9 0.3 0.1"),
    ("negative_width", "B106", "0 0.5 0.5 -0.2 0.2"),
    ("hair", "B105", "0 0.5 0.9 0.004 0.1"),
    ("whole", "B115", "0 0.5 0.5 1 1"),
    ("thread", "B116", "0 0.5 0.9 0.95 0.026"),
):

    def plant(root: Path, slot: int, code: str = code, line: str = line) -> list[Expected]:
        edit_lines(root / labels(slot), lambda lines: lines.append(line))
        return [(code, labels(slot), "line 4")]

    plant.__name__ = f"line_{name}"
    fault("yolo")(plant)


def add(root: Path, slot: int, line: str, code: str) -> list[Expected]:
    edit_lines(root / labels(slot), lambda lines: lines.append(line))
    return [(code, labels(slot), "line 4")]


@fault("yolo")
def line_repeated(root: Path, slot: int) -> list[Expected]:
    return add(root, slot, yolo_line(1, boxes(slot)[1]), "A105")


@fault("yolo")
def box_twice(root: Path, slot: int) -> list[Expected]:
    return add(root, slot, f" {yolo_line(1, boxes(slot)[1])}0", "B107")


@fault("yolo")
def box_of_two_classes(root: Path, slot: int) -> list[Expected]:
    return add(root, slot, yolo_line(2, boxes(slot)[1]), "B108")


@fault("yolo", alone=True)
def polygon_flat(root: Path, slot: int) -> list[Expected]:
    found = add(root, slot, "0 0.1 0.9 0.3 0.95 0.2 0.925", "M106")
    return [*found, ("M104", "", "")]


@fault("yolo", alone=True)
def polygon_outside(root: Path, slot: int) -> list[Expected]:
    found = add(root, slot, "0 0.8 0.8 1.2 0.8 1.2 0.95 0.8 0.95", "M107")
    return [*found, ("B104", labels(slot), "line 4"), ("M104", "", "")]


@fault("yolo")
def labels_of_no_image(root: Path, slot: int) -> list[Expected]:
    (root / "labels" / "train" / f"gone{slot}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return [("F105", f"labels/train/gone{slot}.txt", "")]


@fault("yolo")
def labels_no_text(root: Path, slot: int) -> list[Expected]:
    (root / labels(slot)).write_bytes(b"\xff\xfe0 0.5")
    return [("F101", labels(slot), "")]


@fault("yolo")
def two_images_of_a_name(root: Path, slot: int) -> list[Expected]:
    (root / "images" / "train" / f"{slot}.png").write_bytes(picture(60 + slot, format="PNG"))
    return [("F110", f"images/train/{slot}.png", "")]


def rewrite(root: Path, old: str, new: str) -> None:
    file = root / "data.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


@fault("yolo", alone=True)
def names_twice(root: Path, slot: int) -> list[Expected]:
    rewrite(root, "[cat, dog, bird]", "[cat, dog, bird, cat]")
    return [("C102", "", "class cat")]


@fault("yolo", alone=True)
def names_unused(root: Path, slot: int) -> list[Expected]:
    rewrite(root, "[cat, dog, bird]", "[cat, dog, bird, zebra]")
    return [("C104", "", "class zebra")]


@fault("yolo", alone=True)
def names_alike(root: Path, slot: int) -> list[Expected]:
    rewrite(root, "[cat, dog, bird]", "[cat, dog, bird, ' DOG']")
    for split in ("train", "val"):
        edit_lines(root / "labels" / split / "0.txt", lambda lines: lines.append("3 0.5 0.9 0.1 0.1"))
    return [("C108", "", "class  DOG")]


@fault("yolo", alone=True, readable=False)
def names_with_gaps(root: Path, slot: int) -> list[Expected]:
    rewrite(root, "[cat, dog, bird]", "{0: cat, 1: dog, 3: bird}")
    return [("C113", "data.yaml", "")]


@fault("yolo", alone=True, readable=False)
def names_none(root: Path, slot: int) -> list[Expected]:
    rewrite(root, "[cat, dog, bird]", "[]")
    return [("F104", "data.yaml", "")]


@fault("yolo", alone=True, readable=False)
def yaml_broken(root: Path, slot: int) -> list[Expected]:
    rewrite(root, "[cat", "[[cat")
    return [("F101", "data.yaml", "")]


@fault("yolo", alone=True, readable=False)
def yaml_without_splits(root: Path, slot: int) -> list[Expected]:
    rewrite(root, "train: images/train\nval: images/val\n", "")
    return [("F102", "data.yaml", "")]


@fault("yolo", alone=True, readable=False)
def split_not_there(root: Path, slot: int) -> list[Expected]:
    rewrite(root, "val: images/val", "val: images/elsewhere")
    return [("F116", "data.yaml", "")]


@fault("yolo", alone=True, readable=False)
def split_empty(root: Path, slot: int) -> list[Expected]:
    for file in (root / "images" / "val").iterdir():
        file.unlink()
    return [("F103", "data.yaml", "")]


@fault("yolo_lists")
def list_leaves_root(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "train.txt", lambda lines: lines.append(f"../{slot}.jpg"))
    return [("F106", "train.txt", f"line {last(root)}")]


@fault("yolo_lists")
def list_of_absent(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "train.txt", lambda lines: lines.append(f"images/train/gone{slot}.jpg"))
    return [("F107", "train.txt", f"line {last(root)}")]


@fault("yolo_lists")
def list_repeats(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "train.txt", lambda lines: lines.append(f"images/train/{slot}.jpg"))
    return [("F113", "train.txt", f"line {last(root)}")]


@fault("yolo_lists")
def list_shares(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "val.txt", lambda lines: lines.append(f"images/train/{slot}.jpg"))
    return [("S101", f"images/train/{slot}.jpg", "")]


def last(root: Path) -> int:
    return len((root / "train.txt").read_text().splitlines())
