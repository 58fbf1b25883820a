"""Faults of COCO files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tests.datasets.doctor.planting import TRAIN_JSON, VAL_JSON, Expected, edit, fault
from tests.datasets.doctor.sets import HEIGHT, WIDTH, boxes, picture


def annotation(slot: int, k: int = 0) -> int:
    """The id of an image's k-th annotation."""
    return 10 * slot + k + 1


def change(root: Path, slot: int, k: int = 0, **values: Any) -> str:
    """Set keys of an annotation; ``bbox`` sets its area too. Gives its record."""
    if "bbox" in values and "area" not in values:
        try:
            values["area"] = abs(values["bbox"][2] * values["bbox"][3]) or 1
        except (TypeError, IndexError):
            values["area"] = 1

    def set_values(data: dict[str, Any]) -> None:
        row = next(a for a in data["annotations"] if a["id"] == annotation(slot, k))
        row.update(values)

    edit(root, set_values)
    return f"annotation {annotation(slot, k)}"


def add(root: Path, slot: int, **values: Any) -> None:
    """A further annotation of an image."""
    row = {"id": 900 + slot, "image_id": slot + 1, "category_id": 1, "iscrowd": 0, **values}
    edit(root, lambda data: data["annotations"].append(row))


for name, code, bbox in (
    ("nan", "B101", [float("nan"), 1, 5, 5]),
    ("infinite", "B101", [1, 1, float("inf"), 5]),
    ("three_numbers", "B101", [1, 1, 5]),
    ("words", "B101", "somewhere"),
    ("none", "B101", None),
    ("zero_width", "B102", [5, 5, 0, 9]),
    ("zero_height", "B102", [5, 5, 9, 0]),
    ("right_of_image", "B103", [WIDTH + 5, 5, 9, 9]),
    ("above_image", "B103", [5, -30, 9, 9]),
    ("partly_left", "B104", [-6, 20, 15, 9]),
    ("partly_below", "B104", [30, 30, 9, 25]),
    ("hair", "B105", [5, 5, 0.4, 9]),
    ("speck", "B105", [5, 5, 0.2, 0.2]),
    ("negative_width", "B106", [25, 5, -9, 9]),
    ("negative_both", "B106", [25, 25, -9, -9]),
    ("whole", "B115", [0, 0, WIDTH, HEIGHT]),
    ("thread", "B116", [1, 30.5, 57, 1.05]),
):

    def plant(root: Path, slot: int, code: str = code, bbox: Any = bbox) -> list[Expected]:
        return [(code, TRAIN_JSON, change(root, slot, bbox=bbox))]

    plant.__name__ = f"box_{name}"
    fault("coco")(plant)


for name, code, values in (
    ("area_too_large", "B112", {"area": 5000}),
    ("area_zero", "B113", {"area": 0}),
    ("area_negative", "B113", {"area": -4.5}),
    ("area_words", "B113", {"area": "big"}),
    ("category_unknown", "A103", {"category_id": 77}),
    ("category_word", "A103", {"category_id": "cat"}),
    ("crowd_two", "A109", {"iscrowd": 2}),
    ("crowd_word", "A109", {"iscrowd": "yes"}),
):

    def plant(root: Path, slot: int, code: str = code, values: Any = values) -> list[Expected]:
        return [(code, TRAIN_JSON, change(root, slot, 1, **values))]

    plant.__name__ = name
    fault("coco")(plant)


@fault("coco")
def image_unknown(root: Path, slot: int) -> list[Expected]:
    add(root, slot, image_id=5000, bbox=[1, 1, 5, 5], area=25)
    return [("A102", TRAIN_JSON, f"annotation {900 + slot}")]


@fault("coco")
def box_twice(root: Path, slot: int) -> list[Expected]:
    add(root, slot, bbox=list(boxes(slot)[0]), area=280)
    return [("B107", TRAIN_JSON, f"annotation {900 + slot}")]


@fault("coco")
def box_of_two_classes(root: Path, slot: int) -> list[Expected]:
    add(root, slot, bbox=list(boxes(slot)[1]), area=280)
    return [("B108", TRAIN_JSON, f"annotation {900 + slot}")]


@fault("coco")
def annotation_repeated(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d["annotations"].append(dict(d["annotations"][3 * slot])))
    return [("A105", TRAIN_JSON, f"annotation {annotation(slot)}")]


@fault("coco")
def id_twice(root: Path, slot: int) -> list[Expected]:
    add(root, slot, id=annotation(slot), bbox=[1, 28, 7, 8], area=56)
    return [("A106", TRAIN_JSON, f"annotation {annotation(slot)}")]


@fault("coco")
def id_word(root: Path, slot: int) -> list[Expected]:
    add(root, slot, id=f"a{slot}", bbox=[1, 28, 7, 8], area=56)
    return [("A107", TRAIN_JSON, f"annotation a{slot}")]


@fault("coco")
def id_negative(root: Path, slot: int) -> list[Expected]:
    add(root, slot, id=-5 - slot, bbox=[1, 28, 7, 8], area=56)
    return [("A107", TRAIN_JSON, f"annotation {-5 - slot}")]


@fault("coco", alone=True)
def not_an_object(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d["annotations"].insert(slot, "a box"))
    return [("A101", TRAIN_JSON, f"annotation {slot + 1} of the list")]


@fault("coco", alone=True)
def fractions(root: Path, slot: int) -> list[Expected]:
    def divide(data: dict[str, Any]) -> None:
        for row in data["annotations"]:
            x, y, w, h = row["bbox"]
            row["bbox"] = [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT]
            row["area"] = 1

    edit(root, divide)
    records = [f"annotation {annotation(i, k)}" for i in range(10) for k in range(3)]
    return [("B109", TRAIN_JSON, ""), *(("B105", TRAIN_JSON, record) for record in records)]


@fault("coco", alone=True)
def corners(root: Path, slot: int) -> list[Expected]:
    found: list[Expected] = [("B110", TRAIN_JSON, "")]

    def turn(data: dict[str, Any]) -> None:
        for row in data["annotations"]:
            x, y, w, h = row["bbox"]
            row["bbox"] = [x, y, x + w, y + h]
            if x + x + w > WIDTH + 0.5 or y + y + h > HEIGHT + 0.5:
                found.append(("B104", TRAIN_JSON, f"annotation {row['id']}"))

    edit(root, turn)
    return found


def image_file(slot: int) -> str:
    return f"images/train/{slot}.jpg"


@fault("coco")
def image_missing(root: Path, slot: int) -> list[Expected]:
    (root / image_file(slot)).unlink()
    return [("I101", image_file(slot), f"image {slot + 1}")]


@fault("coco")
def size_wrong(root: Path, slot: int) -> list[Expected]:
    (root / image_file(slot)).write_bytes(picture(50 + slot, (48, 80)))
    return [("I107", image_file(slot), f"image {slot + 1}")]


@fault("coco")
def size_none(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d["images"][slot].update(width=0))
    return [("I109", TRAIN_JSON, f"image {slot + 1}")]


@fault("coco")
def listed_twice(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d["images"].append({**d["images"][slot], "id": 700 + slot}))
    return [("I118", image_file(slot), f"image {700 + slot}")]


@fault("coco")
def nameless(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d["images"][slot].pop("file_name"))
    return [("I119", TRAIN_JSON, f"image {slot + 1} of the list"), ("F109", image_file(slot), "")]


@fault("coco")
def image_id_twice(root: Path, slot: int) -> list[Expected]:
    (root / "images" / "train" / f"more{slot}.jpg").write_bytes(picture(60 + slot))
    new = {"id": slot + 1, "file_name": f"more{slot}.jpg", "width": WIDTH, "height": HEIGHT}
    edit(root, lambda d: d["images"].append(new))
    return [("I120", TRAIN_JSON, f"image {slot + 1}"), ("F109", f"images/train/more{slot}.jpg", "")]


@fault("coco")
def leaves_root(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d["images"][slot].update(file_name=f"../train/{slot}.jpg"))
    return [("F106", TRAIN_JSON, f"image {slot + 1}"), ("F109", image_file(slot), "")]


@fault("coco")
def unlisted(root: Path, slot: int) -> list[Expected]:
    (root / "images" / "train" / f"new{slot}.jpg").write_bytes(picture(70 + slot))
    return [("F109", f"images/train/new{slot}.jpg", "")]


@fault("coco")
def case_clash(root: Path, slot: int) -> list[Expected]:
    (root / "images" / "train" / f"{slot}.JPG").write_bytes(picture(80 + slot))
    new = {"id": 800 + slot, "file_name": f"{slot}.JPG", "width": WIDTH, "height": HEIGHT}
    edit(root, lambda d: d["images"].append(new))
    return [("F114", image_file(slot), "")]


@fault("coco")
def control_character(root: Path, slot: int) -> list[Expected]:
    name = f"a\nb{slot}.jpg"
    (root / image_file(slot)).rename(root / "images" / "train" / name)
    edit(root, lambda d: d["images"][slot].update(file_name=name))
    return [("F115", f"images/train/{name}", "")]


@fault("coco", alone=True)
def category_twice(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d["categories"].append({"id": 1, "name": "lion"}))
    return [("C101", TRAIN_JSON, "category 1")]


@fault("coco", alone=True)
def category_name_twice(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d["categories"].append({"id": 9, "name": "cat"}))
    return [("C102", TRAIN_JSON, "category 9")]


@fault("coco", alone=True)
def category_nameless(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d["categories"].append({"id": 9}))
    return [("C103", TRAIN_JSON, "category 4 of the list")]


def in_both(root: Path, change: Any) -> None:
    for file in (TRAIN_JSON, VAL_JSON):
        edit(root, change, file)


@fault("coco", alone=True)
def class_unused(root: Path, slot: int) -> list[Expected]:
    in_both(root, lambda d: d["categories"].append({"id": 9, "name": "zebra"}))
    return [("C104", "", "class zebra")]


def without(data: dict[str, Any], category: int, keep: int = 0) -> None:
    mine = [a for a in data["annotations"] if a["category_id"] == category]
    data["annotations"] = [a for a in data["annotations"] if a["category_id"] != category] + mine[:keep]


@fault("coco", alone=True)
def class_not_in_train(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: without(d, 3))
    return [("C105", "", "class bird")]


@fault("coco", alone=True)
def class_not_in_val(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: without(d, 3), VAL_JSON)
    return [("C106", "", "class bird")]


@fault("coco", alone=True)
def class_rare(root: Path, slot: int) -> list[Expected]:
    in_both(root, lambda d: without(d, 3, keep=1))
    more = [
        {"id": 5000 + i, "image_id": 1, "category_id": 1, "bbox": [i % 40, i // 40, 5 + i % 3, 6], "area": 30}
        for i in range(400)
    ]
    edit(root, lambda d: d["annotations"].extend(more))
    return [("C107", "", "class bird")]


@fault("coco", alone=True)
def class_spelled_twice(root: Path, slot: int) -> list[Expected]:
    def split_cats(data: dict[str, Any]) -> None:
        data["categories"].append({"id": 9, "name": "Cat"})
        data["annotations"][0]["category_id"] = 9

    in_both(root, split_cats)
    return [("C108", "", "class Cat")]


@fault("coco", alone=True)
def class_ids_exchanged(root: Path, slot: int) -> list[Expected]:
    def exchange(data: dict[str, Any]) -> None:
        data["categories"][0]["name"], data["categories"][1]["name"] = "dog", "cat"

    edit(root, exchange, VAL_JSON)
    return [("C109", "", "class 1"), ("C109", "", "class 2")]


@fault("coco", alone=True)
def class_foreign(root: Path, slot: int) -> list[Expected]:
    def add_class(data: dict[str, Any]) -> None:
        data["categories"].append({"id": 9, "name": "zebra"})
        data["annotations"][0]["category_id"] = 9

    edit(root, add_class, VAL_JSON)
    return [("C110", "", "class zebra")]


def same_in_val(root: Path, slot: int) -> Path:
    return root / "images" / "val" / f"{slot % 5}.jpg"


@fault("coco")
def linked_into_val(root: Path, slot: int) -> list[Expected]:
    same_in_val(root, slot).unlink()
    os.link(root / image_file(slot), same_in_val(root, slot))
    return [("S101", image_file(slot), "")]


@fault("coco", alone=True, readable=False)
def broken_json(root: Path, slot: int) -> list[Expected]:
    file = root / VAL_JSON
    file.write_text(file.read_text()[:-9])
    return [("F101", VAL_JSON, "")]


@fault("coco", alone=True, readable=False)
def no_annotations(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d.pop("annotations"), VAL_JSON)
    return [("F102", VAL_JSON, "")]


@fault("coco", alone=True, readable=False)
def no_images(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d.update(images=[]), VAL_JSON)
    return [("F103", VAL_JSON, "")]


@fault("coco", alone=True, readable=False)
def images_elsewhere(root: Path, slot: int) -> list[Expected]:
    shutil.rmtree(root / "images" / "val")
    return [("F103", VAL_JSON, "")]


@fault("coco", alone=True, readable=False)
def no_categories(root: Path, slot: int) -> list[Expected]:
    edit(root, lambda d: d.update(categories=[]), VAL_JSON)
    return [("F104", VAL_JSON, "")]


@fault("coco", alone=True, readable=False)
def two_train_files(root: Path, slot: int) -> list[Expected]:
    shutil.copy(root / TRAIN_JSON, root / "annotations" / "instances_train2.json")
    return [("F116", "", "")]


def outline(x: float, y: float, w: float, h: float) -> list[float]:
    return [x, y, x + w, y, x + w, y + h, x, y + h]


SIZE = [HEIGHT, WIDTH]
BARE: Expected = ("M104", "images/train", "")
for name, code, make, more in (
    ("two_points", "M101", lambda b: [[1, 1, 5, 5]], [BARE]),
    ("odd_numbers", "M101", lambda b: [[1, 1, 5, 1, 5, 5, 1]], [BARE]),
    ("not_finite", "M101", lambda b: [[1, 1, 5, 1, float("nan"), 5]], [BARE]),
    ("runs_of_other_size", "M102", lambda b: {"size": [9, 9], "counts": [81]}, [BARE]),
    ("runs_too_short", "M102", lambda b: {"size": SIZE, "counts": [100, 20]}, [BARE]),
    ("runs_no_text", "M102", lambda b: {"size": SIZE, "counts": "\u00e4"}, [BARE]),
    ("none", "M104", lambda b: None, []),
    ("far_from_box", "M105", lambda b: [outline(b[0], b[1], 5, 5)], []),
    ("line", "M106", lambda b: [[5, 5, 15, 15, 10, 10]], []),
    ("runs_empty", "M106", lambda b: {"size": SIZE, "counts": [HEIGHT * WIDTH]}, []),
):

    def plant(root: Path, slot: int, code: str = code, make: Any = make, more: list[Expected] = more) -> list[Expected]:
        record = change(root, slot, segmentation=make(boxes(slot)[0]))
        return [(code, *(("images/train", "") if code == "M104" else (TRAIN_JSON, record))), *more]

    plant.__name__ = f"outline_{name}"
    fault("coco_masks")(plant)


@fault("coco_masks")
def outline_leaves_image(root: Path, slot: int) -> list[Expected]:
    record = change(root, slot, 2, bbox=[44, 10, 16, 10], segmentation=[outline(44, 10, 20, 10)])
    return [("M107", TRAIN_JSON, record)]


@fault("coco_masks")
def crowd_of_polygons(root: Path, slot: int) -> list[Expected]:
    return [("A112", TRAIN_JSON, change(root, slot, iscrowd=1))]
