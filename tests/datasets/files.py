"""Small data sets written to a folder, for the tests of readers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def write_image(file: Path, size: tuple[int, int] = (40, 60), seed: int = 0, **options: Any) -> Path:
    """Noise of (height, width)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(file, **options)
    return file


def coco_json(annotations: Sequence[Any], images: Sequence[Any] | None = None, **more: Any) -> dict[str, Any]:
    """Two images of 60x40 and the categories 7 cat, 3 dog (in this order), unless told otherwise."""
    if images is None:
        images = [{"id": i, "file_name": f"{i}.jpg", "height": 40, "width": 60} for i in (1, 2)]
    categories = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories, **more}


def write_coco(folder: Path, data: Mapping[str, Any], name: str = "annotations.json") -> Path:
    for i in (1, 2):
        write_image(folder / "images" / f"{i}.jpg", seed=i)
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def voc_object(name: str, box: Sequence[Any], *, difficult: int = 0) -> str:
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{corners}</bndbox></object>"


def write_voc(
    root: Path,
    stem: str,
    objects: Sequence[str],
    *,
    size: tuple[int, int] = (40, 60),
    said: tuple[int, int] | None = None,
) -> None:
    """An image of ``size`` and its XML, which says ``said`` (height, width)."""
    write_image(root / "JPEGImages" / f"{stem}.jpg", size)
    height, width = said or size
    text = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>{''.join(objects)}"
    (root / "Annotations").mkdir(exist_ok=True)
    (root / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{text}</annotation>", encoding="utf-8")


def write_yolo(root: Path, labels: Mapping[str, str | None], size: tuple[int, int] = (40, 60)) -> None:
    """``labels`` maps image names like ``train/a`` to their label text, None for no label file."""
    for seed, (name, text) in enumerate(labels.items()):
        write_image(root / "images" / f"{name}.jpg", size, seed)
        file = root / "labels" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            file.write_text(text, encoding="utf-8")


def write_classes(root: Path, counts: Mapping[str, int], size: tuple[int, int] = (20, 24)) -> Path:
    """Class folders with so many images each; names such as ``train/cat`` make splits."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            write_image(root / name / f"{i}.png", size, seed=100 * number + i)
    return root


def idx_bytes(array: np.ndarray, kind: int = 8) -> bytes:
    """An idx file's content: magic number, sizes, numbers."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, kind, array.ndim]) + sizes + array.astype({8: ">u1", 12: ">i4"}[kind]).tobytes()


def write_idx(root: Path, prefix: str, labels: Sequence[int], *, size: tuple[int, ...] = (6, 5)) -> None:
    """A pair of plain idx files; image i is filled with i."""
    root.mkdir(parents=True, exist_ok=True)
    pixels = np.stack([np.full(size, i, np.uint8) for i in range(len(labels))])
    (root / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
    (root / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(np.array(labels)))
