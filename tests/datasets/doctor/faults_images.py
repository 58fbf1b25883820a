"""Faults of image files, in the formats that have some."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

from PIL import Image

from tests.datasets.doctor.planting import Expected, fault
from tests.datasets.doctor.sets import CLASSES, HEIGHT, WIDTH, picture

BASES = ("coco", "voc", "yolo", "folders", "csv_list", "maps", "lines")
FEW = ("coco", "yolo", "folders")
SIZES = {"lines": (16, 48)}


def file_of(base: str, slot: int) -> str:
    return {
        "coco": f"images/train/{slot}.jpg",
        "voc": f"JPEGImages/train{slot}.jpg",
        "yolo": f"images/train/{slot}.jpg",
        "folders": f"train/{CLASSES[slot % 2]}/{slot}.jpg",
        "csv_list": f"images/train/train{slot}.jpg",
        "maps": f"train/images/{slot}.jpg",
        "lines": f"images/train/{slot}.png",
    }[base]


def in_val(base: str, slot: int) -> str:
    slot %= 5
    name = file_of(base, slot).replace("train", "val")
    if base == "folders":  # cats have even numbers
        name = name.replace("dog", "cat").replace(f"/{slot}.", f"/{slot // 2 * 2}.")
    return name


def unreadable(base: str, slot: int, code: str) -> list[Expected]:
    """What is found of an image whose header cannot be read."""
    record = f"image {slot + 1}" if base == "coco" else ""
    found = [(code, file_of(base, slot), record)]
    if base == "voc":  # its list still names it
        found.append(("F107", "ImageSets/Main/train.txt", f"line {slot + 1}"))
    return found


def huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\0\0\0\1IDAT\0" + struct.pack(">I", zlib.crc32(b"IDAT\0"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data


@fault(*BASES)
def image_empty(root: Path, slot: int, base: str) -> list[Expected]:
    (root / file_of(base, slot)).write_bytes(b"")
    return unreadable(base, slot, "I102")


@fault(*BASES)
def image_web_page(root: Path, slot: int, base: str) -> list[Expected]:
    (root / file_of(base, slot)).write_bytes(b"<!DOCTYPE html><html>404</html>")
    return unreadable(base, slot, "I103")


@fault(*BASES)
def image_garbage(root: Path, slot: int, base: str) -> list[Expected]:
    (root / file_of(base, slot)).write_bytes(bytes(range(200)) * 3)
    return unreadable(base, slot, "I104")


@fault(*FEW)
def image_huge(root: Path, slot: int, base: str) -> list[Expected]:
    (root / file_of(base, slot)).write_bytes(huge_png())
    return unreadable(base, slot, "I105")


@fault("yolo", "folders")
def image_pipe(root: Path, slot: int, base: str) -> list[Expected]:
    (root / file_of(base, slot)).unlink()
    os.mkfifo(root / file_of(base, slot))
    return unreadable(base, slot, "I106")


@fault("coco", "voc")
def image_turned(root: Path, slot: int, base: str) -> list[Expected]:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(picture(50 + slot))).save(root / file_of(base, slot), exif=exif)
    if base == "voc":
        return [("I108", f"Annotations/train{slot}.xml", "size")]
    return [("I108", file_of(base, slot), f"image {slot + 1}")]


@fault(*BASES)
def image_other_suffix(root: Path, slot: int, base: str) -> list[Expected]:
    (root / file_of(base, slot)).write_bytes(picture(50 + slot, SIZES.get(base, (HEIGHT, WIDTH)), "BMP"))
    return [("I110", file_of(base, slot), "")]


@fault("folders", "csv_list")
def image_long(root: Path, slot: int, base: str) -> list[Expected]:
    (root / file_of(base, slot)).write_bytes(picture(50 + slot, (10, 400)))
    return [("I111", file_of(base, slot), "")]


@fault("folders", "csv_list")
def image_tiny(root: Path, slot: int, base: str) -> list[Expected]:
    (root / file_of(base, slot)).write_bytes(picture(50 + slot, (6, 7)))
    return [("I112", file_of(base, slot), "")]


@fault("folders", "csv_list")
def image_animated(root: Path, slot: int, base: str) -> list[Expected]:
    frames = [Image.open(io.BytesIO(picture(50 + slot + 100 * i))).convert("P") for i in range(3)]
    frames[0].save(root / file_of(base, slot), "GIF", save_all=True, append_images=frames[1:])
    return [("I110", file_of(base, slot), ""), ("I113", file_of(base, slot), "")]


@fault(*BASES, deep=True)
def image_truncated(root: Path, slot: int, base: str) -> list[Expected]:
    file = root / file_of(base, slot)
    file.write_bytes(picture(50 + slot, SIZES.get(base, (HEIGHT, WIDTH)), file.suffix[1:].replace("jpg", "jpeg")))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 2 // 3])
    return [("I114", file_of(base, slot), f"image {slot + 1}" if base == "coco" else "")]


@fault(*FEW, deep=True)
def image_twice(root: Path, slot: int, base: str) -> list[Expected]:
    later = file_of(base, slot + 2)
    (root / later).write_bytes((root / file_of(base, slot)).read_bytes())
    return [("I115", later, "")]


def saved_again(root: Path, one: str, other: str) -> None:
    Image.open(root / one).save(root / other, quality=80)


@fault(*FEW, deep=True)
def image_nearly_twice(root: Path, slot: int, base: str) -> list[Expected]:
    saved_again(root, file_of(base, slot), file_of(base, slot + 2))
    return [("I116", file_of(base, slot + 2), "")]


@fault("coco", "folders", "maps", deep=True)
def image_plain(root: Path, slot: int, base: str) -> list[Expected]:
    Image.new("RGB", (WIDTH, HEIGHT), (10 * slot, 90, 40)).save(root / file_of(base, slot))
    return [("I117", file_of(base, slot), "")]


@fault("coco", "yolo", "folders", "maps", "lines", deep=True)
def image_in_val(root: Path, slot: int, base: str) -> list[Expected]:
    (root / in_val(base, slot)).write_bytes((root / file_of(base, slot)).read_bytes())
    return [("S102", file_of(base, slot), "")]


@fault("coco", "yolo", "folders", deep=True)
def image_nearly_in_val(root: Path, slot: int, base: str) -> list[Expected]:
    saved_again(root, file_of(base, slot), in_val(base, slot))
    return [("S103", file_of(base, slot), "")]


@fault("yolo", "folders", "csv_list", "maps", "lines")
def image_linked_into_val(root: Path, slot: int, base: str) -> list[Expected]:
    (root / in_val(base, slot)).unlink()
    os.symlink(root / file_of(base, slot), root / in_val(base, slot))
    return [("S101", file_of(base, slot), "")]
