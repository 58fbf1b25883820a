"""Faults of Pascal VOC folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PIL import Image

from tests.datasets.doctor.planting import Expected, edit_lines, fault
from tests.datasets.doctor.sets import CLASSES, boxes, map_bytes, picture

TRAIN_LIST = "ImageSets/Main/train.txt"


def xml(slot: int) -> str:
    return f"Annotations/train{slot}.xml"


def record(k: int = 0) -> str:
    return f"object {k + 1} ({CLASSES[k]})"


def element(name: str, corners: Any, difficult: Any = 0) -> str:
    box = "".join(f"<{key}>{v}</{key}>" for key, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox></object>"


def replace_object(root: Path, slot: int, text: str, k: int = 0) -> None:
    """Line k + 1 of an XML file is its object k."""
    edit_lines(root / xml(slot), lambda lines: lines.__setitem__(k + 1, text))


def append_object(root: Path, slot: int, text: str) -> None:
    edit_lines(root / xml(slot), lambda lines: lines.insert(4, text))


for name, code, corners in (
    ("word", "B101", ("left", 5, 20, 20)),
    ("empty_corner", "B101", ("", 5, 20, 20)),
    ("not_finite", "B101", ("nan", 5, 20, 20)),
    ("click", "B102", (9, 9, 9, 20)),
    ("outside", "B103", (70, 5, 90, 20)),
    ("partly_outside", "B104", (1, 25, 50, 60)),
    ("turned", "B106", (30, 5, 10, 20)),
    ("whole", "B115", (1, 1, 60, 40)),
):

    def plant(root: Path, slot: int, code: str = code, corners: Any = corners) -> list[Expected]:
        replace_object(root, slot, element("cat", corners))
        return [(code, xml(slot), record())]

    plant.__name__ = f"box_{name}"
    fault("voc")(plant)


@fault("voc")
def no_class_name(root: Path, slot: int) -> list[Expected]:
    replace_object(root, slot, element("", (5, 5, 20, 20)))
    return [("A104", xml(slot), "object 1")]


@fault("voc")
def class_unknown(root: Path, slot: int) -> list[Expected]:
    replace_object(root, slot, element("tiger", (5, 5, 20, 20)))
    return [("A103", xml(slot), "object 1 (tiger)")]


@fault("voc")
def difficult_two(root: Path, slot: int) -> list[Expected]:
    replace_object(root, slot, element("cat", (5, 28, 20, 37), difficult=2))
    return [("A109", xml(slot), record())]


@fault("voc")
def box_twice(root: Path, slot: int) -> list[Expected]:
    x, y, w, h = boxes(slot)[0]
    append_object(root, slot, element("cat", (x + 1, y + 1, x + w, y + h)))
    return [("B107", xml(slot), "object 4 (cat)")]


@fault("voc")
def box_of_two_classes(root: Path, slot: int) -> list[Expected]:
    x, y, w, h = boxes(slot)[0]
    append_object(root, slot, element("bird", (x + 1, y + 1, x + w, y + h)))
    return [("B108", xml(slot), "object 4 (bird)")]


@fault("voc", alone=True)
def from_zero(root: Path, slot: int) -> list[Expected]:
    replace_object(root, slot, element("cat", (0, 0, 13, 19)))
    return [("B114", "", "")]


@fault("voc")
def size_wrong(root: Path, slot: int) -> list[Expected]:
    file = root / xml(slot)
    file.write_text(file.read_text().replace("<width>60</width>", "<width>99</width>"))
    return [("I107", xml(slot), "size")]


@fault("voc")
def xml_broken(root: Path, slot: int) -> list[Expected]:
    file = root / xml(slot)
    file.write_text(file.read_text()[:-20])
    return [("F101", xml(slot), ""), ("F107", TRAIN_LIST, f"line {slot + 1}")]


@fault("voc")
def xml_of_no_image(root: Path, slot: int) -> list[Expected]:
    (root / "Annotations" / f"gone{slot}.xml").write_text("<annotation/>")
    return [("F105", f"Annotations/gone{slot}.xml", "")]


@fault("voc")
def image_without_xml(root: Path, slot: int) -> list[Expected]:
    (root / "JPEGImages" / f"more{slot}.jpg").write_bytes(picture(60 + slot))
    return [("F108", f"JPEGImages/more{slot}.jpg", "")]


@fault("voc")
def two_images_of_a_name(root: Path, slot: int) -> list[Expected]:
    (root / "JPEGImages" / f"train{slot}.png").write_bytes(picture(60 + slot, format="PNG"))
    return [("F110", f"JPEGImages/train{slot}.png", "")]


@fault("voc")
def listed_and_absent(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / TRAIN_LIST, lambda lines: lines.append(f"nobody{slot}"))
    lines = (root / TRAIN_LIST).read_text().splitlines()
    return [("F107", TRAIN_LIST, f"line {lines.index(f'nobody{slot}') + 1}")]


@fault("voc")
def listed_twice(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / TRAIN_LIST, lambda lines: lines.append(f"train{slot}"))
    return [("F113", TRAIN_LIST, f"line {len((root / TRAIN_LIST).read_text().splitlines())}")]


@fault("voc")
def in_two_lists(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "ImageSets" / "Main" / "val.txt", lambda lines: lines.append(f"train{slot}"))
    return [("S101", f"JPEGImages/train{slot}.jpg", "")]


@fault("voc", alone=True)
def class_unused(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "classes.txt", lambda lines: lines.append("zebra"))
    return [("C104", "", "class zebra")]


@fault("voc", alone=True)
def class_only_in_val(root: Path, slot: int) -> list[Expected]:
    for file in (root / "Annotations").glob("train*.xml"):
        file.write_text(re.sub(r"<object><name>bird.*?</object>", "", file.read_text(), flags=re.DOTALL))
    return [("C105", "", "class bird")]


@fault("voc_masks")
def mask_missing(root: Path, slot: int) -> list[Expected]:
    (root / "SegmentationObject" / f"train{slot}.png").unlink()
    return [("M201", "SegmentationObject", "")]


@fault("voc_masks")
def mask_of_other_size(root: Path, slot: int) -> list[Expected]:
    Image.new("L", (30, 20)).save(root / "SegmentationObject" / f"train{slot}.png")
    return [("M204", f"SegmentationObject/train{slot}.png", ""), ("M104", "", "")]


@fault("voc_masks")
def mask_broken(root: Path, slot: int) -> list[Expected]:
    file = root / "SegmentationObject" / f"train{slot}.png"
    file.write_bytes(map_bytes(slot)[:40])
    return [("M205", f"SegmentationObject/train{slot}.png", ""), ("M104", "", "")]
