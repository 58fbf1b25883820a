"""The records of a COCO file, one kind at a time: those that can be used, and a problem for each that cannot."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.annotations import leaves_root
from baimu.datasets.flat import ProblemLog
from baimu.datasets.images import image_size
from baimu.errors import DataError, ImageError

FEW = 3  # boxes that say nothing of a habit, if there are no more
_LEFT_OUT = "image and its annotations left out"


def read_categories(file: Path, data: dict[str, Any], log: ProblemLog) -> tuple[tuple[int, ...], tuple[str, ...]]:
    names: dict[int, str] = {}
    for position, category in enumerate(data["categories"]):
        record = category if isinstance(category, dict) else {}
        key, name = record.get("id"), record.get("name")
        if type(key) is not int or not isinstance(name, str) or not name:
            log.add(
                str(file),
                f"category {position + 1} of the list",
                "has no integer id or no name",
                "category skipped",
                code="C103",
            )
        elif key in names:
            log.add(
                str(file),
                f"category {key}",
                f"is defined twice ({names[key]!r}, {name!r})",
                "the first one kept",
                code="C101",
            )
        else:
            if name in names.values():
                log.add(
                    str(file), f"category {key}", f"shares the name {name!r} with another", "both kept", code="C102"
                )
            names[key] = name
    if not names:
        raise DataError(f"{file}: defines no category; a detector needs at least one class under 'categories'", "F104")
    ids = tuple(sorted(names))
    return ids, tuple(names[i] for i in ids)


def read_images(
    file: Path, data: dict[str, Any], folders: Sequence[Path], log: ProblemLog
) -> tuple[list[dict[str, Any]], Path]:
    """The image records that can be used, each with a size, and the one of ``folders`` that holds most of them."""
    if not data["images"]:
        raise DataError(f"{file}: lists no image; 'images' is empty", "F103")
    records = _named_images(file, data["images"], log)
    names = [record["file_name"] for record in records]
    present = {folder: _present(folder, names) for folder in folders}
    root = max(folders, key=lambda folder: len(present[folder]), default=file.parent)
    if records and not present.get(root):
        looked = ", ".join(map(str, folders)) or str(root)
        raise DataError(
            f"{file}: none of its {len(records)} images is there, the first being {names[0]!r}; looked in {looked}. "
            "Put the images into one of these folders",
            "F103",
        )
    kept = []
    for record in records:
        if record["file_name"] not in present[root]:
            log.add(str(root / record["file_name"]), f"image {record['id']}", "is missing", _LEFT_OUT, code="I101")
        elif _sized(file, root, record, log):
            kept.append(record)
    return kept, root


def _named_images(file: Path, rows: list[Any], log: ProblemLog) -> list[dict[str, Any]]:
    """The records with an id of their own and a file name that stays inside the image folder."""
    records: dict[int | str, dict[str, Any]] = {}
    for position, row in enumerate(rows):
        record = row if isinstance(row, dict) else {}
        key, name = record.get("id"), record.get("file_name")
        if not isinstance(name, str) or not isinstance(key, int | str):
            log.add(str(file), f"image {position + 1} of the list", "has no file_name or no id", _LEFT_OUT, code="I119")
        elif leaves_root(name):
            text = f"the name {name!r} leaves the image folder"
            log.add(str(file), f"image {key}", text, f"refused; {_LEFT_OUT}", code="F106")
        elif key in records:
            first = records[key]["file_name"]
            text = f"the id belongs to {first!r} and {name!r}"
            log.add(str(file), f"image {key}", text, "the second left out", code="I120")
        else:
            records[key] = record
    return list(records.values())


def read_annotations(
    file: Path, data: dict[str, Any], images: dict[Any, int], categories: set[int], log: ProblemLog
) -> list[dict[str, Any]]:
    """The annotations that belong to a known image and category."""
    rows = data.get("annotations")
    if not isinstance(rows, list):
        raise DataError(f"{file}: has no list 'annotations'; for images without objects write an empty list", "F102")
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
            log.add(
                str(file),
                f"annotation {position + 1} of the list",
                "is not an object",
                "annotation skipped",
                code="A101",
            )
            continue
        image, category = row.get("image_id"), row.get("category_id")
        if not isinstance(image, int | str | float) or (image not in images and image not in listed):
            code, problem = "A102", f"belongs to image {image!r}, which is not in 'images'"
        elif image not in images:  # reported with its image
            continue
        elif not isinstance(category, int | float) or category not in categories:
            code, problem = "A103", f"has the unknown category {category!r}"
        else:
            kept.append(row)
            continue
        owner = images.get(image, -1) if isinstance(image, int | str | float) else -1
        log.add(str(file), f"annotation {row.get('id')}", problem, "annotation skipped", image=owner, code=code)
    return kept


def unique(file: Path, rows: list[dict[str, Any]], log: ProblemLog) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The annotations without exact repeats, and their ids; one that has none, or another's, gets a new one."""
    ids: list[Any] = [row.get("id") for row in rows]
    proper = [type(i) is int and 0 <= i < 2**62 for i in ids]
    if all(proper) and len(set(ids)) == len(ids):
        return rows, np.array(ids, np.int64)
    fresh = max((i for i, good in zip(ids, proper, strict=True) if good), default=0)
    owner: dict[int, dict[str, Any]] = {}
    kept, unique = [], []
    for row, old, good in zip(rows, ids, proper, strict=True):
        if not good or old in owner:
            if good and all(owner[old].get(k) == row.get(k) for k in ("image_id", "category_id", "bbox")):
                log.add(str(file), f"annotation {old}", "stands there twice", "the second skipped", code="A105")
                continue
            fresh += 1
            what = "the id is used twice" if good else "the id is not a whole number from 0"
            log.add(
                str(file), f"annotation {old}", what, f"kept under the new id {fresh}", code="A106" if good else "A107"
            )
        else:
            owner[old] = row
        kept.append(row)
        unique.append(old if good and owner[old] is row else fresh)
    return kept, np.array(unique, np.int64)


def log_fields(file: Path, rows: list[dict[str, Any]], owners: np.ndarray, log: ProblemLog) -> None:
    """Report ``iscrowd`` and ``area`` that are not what they should be; what is used in their place stands there."""
    for t, row in enumerate(rows):
        crowd, area = row.get("iscrowd", 0), row.get("area", 1)
        if crowd not in (0, 1):
            where, text = f"annotation {row.get('id')}", f"iscrowd is {crowd!r}, neither 0 nor 1"
            log.add(str(file), where, text, "taken as 0", image=int(owners[t]), code="A109")
        if area is not None and not (isinstance(area, int | float) and area > 0):
            where, text = f"annotation {row.get('id')}", f"area is {area!r}, not a number above 0"
            log.add(str(file), where, text, "the box's area taken", image=int(owners[t]), code="B113")


def log_habits(file: str, boxes: np.ndarray, sizes: np.ndarray, log: ProblemLog) -> None:
    """Report a file whose boxes (T, 4) all seem to be written in another way than x, y, width, height in pixels."""
    if len(boxes) < FEW or not np.isfinite(boxes).all():
        return
    limits = np.tile(sizes[:, ::-1], 2)
    ends = boxes[:, :2] + boxes[:, 2:]
    if (boxes >= 0).all() and (boxes <= 1).all() and (boxes != boxes.round()).any():
        log.add(file, "", "all boxes lie within 0…1, as fractions of the image do", "taken as pixels", code="B109")
    elif (
        (ends > limits[:, :2] + 1).any(1).mean() >= 0.3
        and (boxes[:, 2:] > boxes[:, :2]).all()
        and (boxes <= limits + 1).all()
    ):
        text = "the boxes leave their images, but would all fit as corners x1, y1, x2, y2"
        log.add(file, "", text, "taken as x, y, width, height", code="B110")


def _present(folder: Path, names: Iterable[str]) -> set[str]:
    """Those of the names that are regular files in the folder; each subfolder is listed once."""
    listed: dict[str, set[str]] = {}
    found = set()
    for name in names:
        parent, _, last = name.rpartition("/")
        if parent not in listed:
            try:
                with os.scandir(folder / parent) as entries:
                    listed[parent] = {entry.name for entry in entries if _is_file(entry)}
            except OSError:
                listed[parent] = set()
        if last in listed[parent]:
            found.add(name)
    return found


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads in a circle
        return False


def _sized(file: Path, root: Path, record: dict[str, Any], log: ProblemLog) -> bool:
    """Whether the record has a size, by itself or now from the image's header."""
    height, width = record.get("height"), record.get("width")
    if all(isinstance(side, int | float) and 0 < side < 2**31 and side == int(side) for side in (height, width)):
        return True
    path, text = root / record["file_name"], f"has height {height!r}, width {width!r}"
    try:
        record["height"], record["width"] = image_size(path)
    except ImageError as error:
        log.add(
            str(path),
            f"image {record['id']}",
            str(error).removeprefix(f"{path}: "),
            "image and its annotations left out",
            code=error.code,
        )
        return False
    if height is not None or width is not None:
        log.add(str(file), f"image {record['id']}", text, "size taken from the file", code="I109")
    return True
