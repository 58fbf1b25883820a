"""COCO's JSON: one file a split, boxes as x, y, width, height in continuous pixels from 0.

Splits are found in a folder by these names, first match first (``*`` is any year or name):
``annotations/instances_train*.json`` and ``…val*.json``, ``annotations/{train,val,test}.json``,
``{train,valid,val,test}/_annotations.coco.json``, ``{train,val,test}.json``, and, without splits, the only
``*.json`` in the folder or in ``annotations`` that has images and categories. A file's images are looked for in the
folder that holds most of them: see :func:`image_folders`.

Labels follow ascending category id. Every image of the file is a sample, with or without objects.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.annotations import FileSource, assemble
from baimu.datasets.columns import Columns, Records
from baimu.datasets.flat import ProblemLog, Texts
from baimu.datasets.formats.coco_records import (
    log_fields,
    log_habits,
    read_annotations,
    read_categories,
    read_images,
    unique,
)
from baimu.datasets.outlines import Outlines, read_outline
from baimu.errors import DataError

SPLIT_PATTERNS = {
    split: (
        f"annotations/instances_{split}*.json",
        *(f"annotations/{name}.json" for name in names),
        *(f"{name}/_annotations.coco.json" for name in names),
        *(f"{name}.json" for name in names),
    )
    for split, names in {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}.items()
}

# Polygons are most of a file and of its parsing time. No text can match by chance: inside a string quotes are escaped.
_POLYGONS = re.compile(rb'"segmentation"\s*:\s*\[[-+\d.eE,\s\[\]]*\](?=\s*[,}])')


def find_coco(path: Path, *, masks: bool = False) -> dict[str, Callable[[], FileSource]]:
    """The splits of a COCO file or folder, to be read when called; empty when ``path`` is neither."""
    if path.is_file():
        return {"all": partial(read_coco, path, masks=masks)} if path.suffix.lower() == ".json" else {}
    found: dict[str, Callable[[], FileSource]] = {}
    for split, patterns in SPLIT_PATTERNS.items():
        files = next((hits for pattern in patterns if (hits := sorted(path.glob(pattern)))), [])
        if len(files) > 1:
            names = ", ".join(str(file.relative_to(path)) for file in files)
            raise DataError(f"{path}: {names} could each be the {split} split; name the file that you mean", "F116")
        if files:
            found[split] = partial(read_coco, files[0], masks=masks)
    if not found:
        alone = [file for file in [*path.glob("*.json"), *path.glob("annotations/*.json")] if _looks_like_coco(file)]
        if len(alone) == 1:
            found["all"] = partial(read_coco, alone[0], masks=masks)
    return found


def image_folders(file: Path) -> list[Path]:
    """Where the images of an annotation file may lie, in the order of preference.

    For ``D/annotations/instances_val2017.json``: ``D/val2017``, ``D/images/val2017``, ``D/val``, ``D/images/val``,
    ``D/images``, ``D`` and ``D/annotations``; for ``D/x.json`` the same with ``x``, from ``D``.
    """
    home = file.parent.parent if file.parent.name == "annotations" else file.parent
    stem = file.stem.removeprefix("instances_")
    names = [stem, stem.rstrip("0123456789")]
    folders = [home / top / name for name in names if name for top in ("", "images")]
    folders += [home / "images", home, file.parent]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def read_coco(file: str | Path, images: str | Path | None = None, *, masks: bool = False) -> FileSource:
    """One COCO JSON file with its images (in ``images``, or where :func:`image_folders` finds them).

    With ``masks``, ``segmentation`` is kept and the objects have masks. What is wrong is skipped alone and stands in
    ``problems``; raises :class:`~baimu.errors.DataError` when the file is no COCO file or leaves nothing to use.
    """
    file = Path(file)
    data = load_coco(file, outlines=masks)
    log = ProblemLog()
    category_ids, classes = read_categories(file, data, log)
    kept, root = read_images(file, data, image_folders(file) if images is None else [Path(images)], log)
    index = {record["id"]: i for i, record in enumerate(kept)}
    annotations, ids = unique(file, read_annotations(file, data, index, set(category_ids), log), log)
    label_of = {category: label for label, category in enumerate(category_ids)}
    owners = np.array([index[a["image_id"]] for a in annotations], np.int64)
    sizes = np.array([[record["height"], record["width"]] for record in kept], np.int64).reshape(-1, 2)
    boxes = _matrix([a.get("bbox") for a in annotations])
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    log_habits(str(file), boxes, sizes[owners], log)
    log_fields(file, annotations, owners, log)
    outlines = _outlines(file, annotations, owners, sizes, log) if masks else None
    columns = Columns(
        boxes=corners,
        labels=np.array([label_of[a["category_id"]] for a in annotations], np.int64),
        crowd=np.array([a.get("iscrowd") in (1, True) for a in annotations], bool),
        areas=_vector([a.get("area") for a in annotations]),
        ids=ids,
        outlines=outlines,
        numbers=ids,
    )
    return assemble(
        root=root,
        classes=classes,
        category_ids=category_ids,
        files=[record["file_name"] for record in kept],
        image_ids=[record["id"] for record in kept],
        sizes=sizes,
        images=owners,
        columns=columns,
        record=lambda t: (str(file), f"annotation {annotations[t].get('id')}"),
        log=log,
        records=Records("annotation", Texts.of([str(file)])),
    )


def load_coco(file: Path, *, outlines: bool = True) -> dict[str, Any]:
    """What stands in a file; without ``outlines``, no ``segmentation``, which is most of it."""
    collecting = gc.isenabled()
    gc.disable()  # a million live dictionaries make every collection slow, and there is no garbage yet
    try:
        text = file.read_bytes()
        data = json.loads(text if outlines else _POLYGONS.sub(b'"segmentation":null', text))
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file; check the path") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); export the annotations again", "F101") from None
    finally:
        if collecting:
            gc.enable()
    lacking = [k for k in ("images", "categories") if not isinstance(data, dict) or not isinstance(data.get(k), list)]
    if lacking:
        raise DataError(
            f"{file}: is not a COCO detection file: of the lists 'images', 'annotations', 'categories' it lacks "
            f"{' and '.join(map(repr, lacking))}; export the annotations again",
            "F102",
        )
    return data


def _looks_like_coco(file: Path) -> bool:
    """Whether the file names COCO's lists, all but one at least; keys may stand anywhere in the text."""
    text = file.read_bytes() if file.is_file() else b""
    return sum(name in text for name in (b'"images"', b'"annotations"', b'"categories"')) >= 2


def _matrix(boxes: list[Any]) -> np.ndarray:
    """(T, 4) float64; NaN where a box is not four numbers, which the checks then report."""
    try:
        return np.array(boxes, np.float64).reshape(len(boxes), 4)
    except (ValueError, TypeError, OverflowError):
        return np.array([_four(box) for box in boxes], np.float64).reshape(-1, 4)


def _four(box: Any) -> list[float]:
    try:
        x, y, width, height = (float(value) for value in box)
    except (ValueError, TypeError, OverflowError):
        return [np.nan] * 4
    return [x, y, width, height]


def _vector(areas: list[Any]) -> np.ndarray:
    try:
        return np.array(areas, np.float64).reshape(len(areas))
    except (ValueError, TypeError, OverflowError):
        return np.array([a if type(a) in (int, float) and abs(a) < 1e30 else np.nan for a in areas], np.float64)


def _outlines(
    file: Path, rows: list[dict[str, Any]], owners: np.ndarray, sizes: np.ndarray, log: ProblemLog
) -> Outlines:
    outlines = []
    for t, row in enumerate(rows):
        segmentation = row.get("segmentation")
        try:
            height, width = sizes[owners[t]].tolist()
            outlines.append(read_outline(segmentation, (height, width)) if segmentation else [])
        except (ValueError, TypeError, OverflowError) as error:
            outlines.append([])
            text, code = f"segmentation {error}", "M101" if isinstance(segmentation, list) else "M102"
            log.add(
                str(file),
                f"annotation {row.get('id')}",
                text,
                "the box serves as mask",
                image=int(owners[t]),
                code=code,
            )
    return Outlines.of(outlines)
