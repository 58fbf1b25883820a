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
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.annotations import Columns, FileSource, assemble, leaves_root
from baimu.datasets.flat import ProblemLog
from baimu.datasets.images import image_size
from baimu.datasets.outlines import Outlines, read_outline
from baimu.errors import DataError, ImageError

SPLIT_PATTERNS = {
    split: (
        f"annotations/instances_{split}*.json",
        *(f"annotations/{name}.json" for name in names),
        *(f"{name}/_annotations.coco.json" for name in names),
        *(f"{name}.json" for name in names),
    )
    for split, names in {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}.items()
}


def find_coco(path: Path, *, masks: bool = False) -> dict[str, Callable[[], FileSource]]:
    """The splits of a COCO file or folder, to be read when called; empty when ``path`` is neither."""
    if path.is_file():
        return {"all": partial(read_coco, path, masks=masks)} if path.suffix.lower() == ".json" else {}
    found: dict[str, Callable[[], FileSource]] = {}
    for split, patterns in SPLIT_PATTERNS.items():
        files = next((hits for pattern in patterns if (hits := sorted(path.glob(pattern)))), [])
        if len(files) > 1:
            names = ", ".join(str(file.relative_to(path)) for file in files)
            raise DataError(f"{path}: {names} could each be the {split} split; name the file that you mean")
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
    data = _load(file)
    log = ProblemLog()
    category_ids, classes = _categories(file, data, log)
    kept, root = _images(file, data, None if images is None else Path(images), log)
    index = {record["id"]: i for i, record in enumerate(kept)}
    annotations = _annotations(file, data, index, set(category_ids), log)
    label_of = {category: label for label, category in enumerate(category_ids)}
    owners = np.array([index[a["image_id"]] for a in annotations], np.int64)
    sizes = np.array([[record["height"], record["width"]] for record in kept], np.int64).reshape(-1, 2)
    boxes = _matrix([a.get("bbox") for a in annotations])
    boxes[:, 2:] += boxes[:, :2]
    outlines = _outlines(file, annotations, owners, sizes, log) if masks else None
    columns = Columns(
        boxes=boxes,
        labels=np.array([label_of[a["category_id"]] for a in annotations], np.int64),
        crowd=np.array([a.get("iscrowd") in (1, True) for a in annotations], bool),
        areas=_vector([a.get("area") for a in annotations]),
        ids=_annotation_ids(file, annotations, boxes, log),
        outlines=outlines,
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
    )


def _load(file: Path) -> dict[str, Any]:
    collecting = gc.isenabled()
    gc.disable()  # a million live dictionaries make every collection slow, and there is no garbage yet
    try:
        data = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file; check the path") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); export the annotations again") from None
    finally:
        if collecting:
            gc.enable()
    if not isinstance(data, dict) or not all(isinstance(data.get(k), list) for k in ("images", "categories")):
        raise DataError(f"{file}: is not a COCO detection file: it needs the lists 'images', 'annotations', 'categories'")
    return data


def _looks_like_coco(file: Path) -> bool:
    """Whether the file names COCO's lists; keys may stand anywhere, so the whole text is searched."""
    text = file.read_bytes() if file.is_file() else b""
    return b'"images"' in text and b'"categories"' in text


def _categories(file: Path, data: dict[str, Any], log: ProblemLog) -> tuple[tuple[int, ...], tuple[str, ...]]:
    names: dict[int, str] = {}
    for position, category in enumerate(data["categories"]):
        record = category if isinstance(category, dict) else {}
        key, name = record.get("id"), record.get("name")
        if type(key) is not int or not isinstance(name, str) or not name:
            log.add(str(file), f"category {position + 1} of the list", "has no integer id or no name", "category skipped")
        elif key in names:
            log.add(str(file), f"category {key}", f"is defined twice ({names[key]!r}, {name!r})", "the first one kept")
        else:
            if name in names.values():
                log.add(str(file), f"category {key}", f"shares the name {name!r} with another", "both kept")
            names[key] = name
    if not names:
        raise DataError(f"{file}: defines no category; a detector needs at least one class under 'categories'")
    ids = tuple(sorted(names))
    return ids, tuple(names[i] for i in ids)


def _images(
    file: Path, data: dict[str, Any], root: Path | None, log: ProblemLog
) -> tuple[list[dict[str, Any]], Path]:
    """The image records that can be used, with sizes, and the folder that their names are relative to."""
    if not data["images"]:
        raise DataError(f"{file}: lists no image; 'images' is empty")
    records: dict[Any, dict[str, Any]] = {}
    for position, record in enumerate(data["images"]):
        name = record.get("file_name") if isinstance(record, dict) else None
        key = record.get("id") if isinstance(record, dict) else None
        if not isinstance(name, str) or type(key) not in (int, str):
            log.add(str(file), f"image {position + 1} of the list", "has no file_name or no id", "image left out")
        elif leaves_root(name):
            log.add(str(file), f"image {key}", f"the name {name!r} leaves the image folder", "refused, image left out")
        elif key in records:
            first = records[key]["file_name"]
            log.add(str(file), f"image {key}", f"the id belongs to {first!r} and {name!r}", "the second left out")
        else:
            records[key] = record
    folders = image_folders(file) if root is None else [root]
    names = [record["file_name"] for record in records.values()]
    present = {folder: _present(folder, names) for folder in folders}
    root = max(folders, key=lambda folder: len(present[folder]), default=file.parent)
    if records and not present.get(root):
        looked = ", ".join(map(str, folders)) or str(root)
        raise DataError(
            f"{file}: none of its {len(records)} images is there, the first being {names[0]!r}; looked in {looked}. "
            "Put the images into one of these folders"
        )
    kept = []
    for record in records.values():
        if record["file_name"] not in present[root]:
            log.add(str(root / record["file_name"]), f"image {record['id']}", "is missing", "image left out")
        elif _sized(file, root, record, log):
            kept.append(record)
    return kept, root


def _present(folder: Path, names: Iterable[str]) -> set[str]:
    """Those of the names that are regular files in the folder; each subfolder is listed once."""
    listed: dict[str, set[str]] = {}
    found = set()
    for name in names:
        parent, _, last = name.rpartition("/")
        if parent not in listed:
            try:
                with os.scandir(folder / parent) as entries:
                    listed[parent] = {entry.name for entry in entries if entry.is_file()}
            except OSError:
                listed[parent] = set()
        if last in listed[parent]:
            found.add(name)
    return found


def _sized(file: Path, root: Path, record: dict[str, Any], log: ProblemLog) -> bool:
    """Whether the record has a size, by itself or now from the image's header."""
    height, width = record.get("height"), record.get("width")
    if type(height) is int and type(width) is int and 0 < height < 2**31 and 0 < width < 2**31:
        return True
    path, text = root / record["file_name"], f"has height {height!r}, width {width!r}"
    try:
        record["height"], record["width"] = image_size(path)
    except ImageError as error:
        log.add(str(path), f"image {record['id']}", str(error).removeprefix(f"{path}: "), "image left out")
        return False
    if height is not None or width is not None:
        log.add(str(file), f"image {record['id']}", text, "size taken from the file")
    return True


def _annotations(
    file: Path, data: dict[str, Any], images: dict[Any, int], categories: set[int], log: ProblemLog
) -> list[dict[str, Any]]:
    """The annotations that belong to a known image and category."""
    rows = data.get("annotations")
    if not isinstance(rows, list):
        raise DataError(f"{file}: has no list 'annotations'; for images without objects write an empty list")
    try:
        good = [a["image_id"] in images and a["category_id"] in categories for a in rows]
        if all(good):
            return rows
    except (KeyError, TypeError):
        pass
    listed = {r["id"] for r in data["images"] if isinstance(r, dict) and type(r.get("id")) in (int, str)}
    kept = []
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            log.add(str(file), f"annotation {position + 1} of the list", "is not an object", "annotation skipped")
            continue
        image, category = row.get("image_id"), row.get("category_id")
        problem = ""
        if type(image) not in (int, str) or (image not in images and image not in listed):
            problem = f"belongs to image {image!r}, which is not in 'images'"
        elif image not in images:
            problem = f"belongs to image {image!r}, which is left out"
        elif type(category) is not int or category not in categories:
            problem = f"has the unknown category {category!r}"
        if problem:
            log.add(str(file), f"annotation {row.get('id')}", problem, "annotation skipped")
        else:
            kept.append(row)
    return kept


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


def _annotation_ids(file: Path, rows: list[dict[str, Any]], boxes: np.ndarray, log: ProblemLog) -> np.ndarray:
    """Unique int64 ids; an annotation without a proper one, or with another's, is kept under a new id."""
    ids = [row.get("id") for row in rows]
    proper = [type(i) is int and 0 <= i < 2**62 for i in ids]
    if all(proper) and len(set(ids)) == len(ids):
        return np.array(ids, np.int64)
    fresh = max((i for i, good in zip(ids, proper, strict=True) if good), default=0)
    taken: dict[int, int] = {}
    for t, (old, good) in enumerate(zip(ids, proper, strict=True)):
        if good and old not in taken:
            taken[old] = t
            continue
        what = "is used twice" if good else "is not a whole number"
        first = taken.get(old) if good else None
        same = ("image_id", "category_id", "bbox")
        if first is not None and all(rows[first].get(k) == rows[t].get(k) for k in same):
            log.add(str(file), f"annotation {old}", "stands there twice", "the second skipped")
            boxes[t] = np.nan
        fresh += 1
        ids[t] = fresh
        log.add(str(file), f"annotation {old}", f"the id {what}", f"kept under the new id {fresh}")
    return np.array(ids, np.int64)


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
            text = f"segmentation {error}"
            log.add(str(file), f"annotation {row.get('id')}", text, "the box serves as mask", image=int(owners[t]))
    return Outlines.of(outlines)
