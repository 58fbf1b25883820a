"""Faults of images with label maps."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tests.datasets.doctor.planting import Expected, edit_lines, fault
from tests.datasets.doctor.sets import map_bytes, picture, put


def map_file(slot: int) -> str:
    return f"train/masks/{slot}.png"


@fault("maps")
def no_map(root: Path, slot: int) -> list[Expected]:
    (root / map_file(slot)).unlink()
    return [("M201", f"train/images/{slot}.jpg", "")]


@fault("maps")
def no_image(root: Path, slot: int) -> list[Expected]:
    put(root / "train" / "masks" / f"more{slot}.png", map_bytes(slot))
    return [("M202", f"train/masks/more{slot}.png", "")]


@fault("maps")
def second_map(root: Path, slot: int) -> list[Expected]:
    put(root / "train" / "masks" / f"{slot}_mask.png", map_bytes(slot))
    return [("M203", f"train/masks/{slot}_mask.png", "")]


@fault("maps")
def other_size(root: Path, slot: int) -> list[Expected]:
    Image.new("L", (30, 20)).save(root / map_file(slot))
    return [("M204", map_file(slot), "")]


@fault("maps")
def map_garbage(root: Path, slot: int) -> list[Expected]:
    (root / map_file(slot)).write_bytes(b"no picture at all")
    return [("M205", map_file(slot), "")]


@fault("maps")
def map_truncated(root: Path, slot: int) -> list[Expected]:
    (root / map_file(slot)).write_bytes(map_bytes(slot)[:75])
    return [("M205", map_file(slot), "")]


@fault("maps")
def strange_value(root: Path, slot: int) -> list[Expected]:
    (root / map_file(slot)).write_bytes(map_bytes(slot, (0, 1, 77)))
    return [("M206", map_file(slot), "")]


@fault("maps")
def undecided(root: Path, slot: int) -> list[Expected]:
    (root / map_file(slot)).write_bytes(map_bytes(slot, (255,)))
    return [("M211", map_file(slot), "")]


@fault("maps")
def lossy(root: Path, slot: int) -> list[Expected]:
    (root / map_file(slot)).unlink()
    put(root / "train" / "masks" / f"{slot}.jpg", map_bytes(slot, (1,), "JPEG"))
    return [("M210", f"train/masks/{slot}.jpg", "")]


@fault("maps", alone=True)
def no_class_file(root: Path, slot: int) -> list[Expected]:
    (root / "classes.txt").unlink()
    return [("M207", "", "")]


@fault("maps", alone=True)
def two_values(root: Path, slot: int) -> list[Expected]:
    for file in root.rglob("masks/*.png"):
        file.write_bytes(map_bytes(int(file.stem), (0, 255)))
    (root / "classes.txt").write_text("background\ncat\n")
    return [("M208", "", "label maps")]


@fault("maps", alone=True)
def background_unnamed(root: Path, slot: int) -> list[Expected]:
    (root / "classes.txt").write_text("cat\ndog\n")
    return [("M209", "", "class file")]


@fault("maps", alone=True, readable=False)
def colours(root: Path, slot: int) -> list[Expected]:
    for file in root.rglob("masks/*.png"):
        values = np.asarray(Image.open(io.BytesIO(map_bytes(int(file.stem)))))
        Image.fromarray(np.stack([values * 90, values * 20, values], -1)).save(file)
    (root / "classes.txt").unlink()
    return [("M212", "", "")]


@fault("maps", alone=True, readable=False)
def class_named_twice(root: Path, slot: int) -> list[Expected]:
    (root / "classes.txt").write_text("background\ncat\ncat\n")
    return [("C102", "classes.txt", "")]


@fault("maps", alone=True)
def class_unused(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "classes.txt", lambda lines: lines.append("zebra"))
    return [("C104", "", "class zebra")]


@fault("maps", alone=True)
def class_not_in_val(root: Path, slot: int) -> list[Expected]:
    for file in (root / "val" / "masks").iterdir():
        file.write_bytes(map_bytes(int(file.stem), (0, 1)))
    return [("C106", "", "class dog")]


@fault("maps", alone=True)
def image_of_other_shape(root: Path, slot: int) -> list[Expected]:
    put(root / "train" / "images" / f"{slot}.jpg", picture(slot, (30, 30)))
    return [("M204", map_file(slot), "")]
