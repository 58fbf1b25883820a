"""YOLO text files: one line an object, ``class x_centre y_centre width height`` as fractions of the image.

A line of a class and three or more points (``class x1 y1 x2 y2 x3 y3 …``) is a polygon; its box is the smallest
around it. Class names come from ``data.yaml`` (``names`` as a list or by number) or from ``classes.txt`` or
``obj.names`` in the root; ``data.yaml`` also names the splits. Without it these folders are looked for:
``images/{train,val,test}``, ``{train,valid,val,test}/images``, ``images``. The labels of ``…/images/a/b.jpg`` are in
``…/labels/a/b.txt``, or beside the image. An image without a label file has no objects, as in YOLO's own tools.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from baimu.datasets.annotations import FileSource, assemble, leaves_root
from baimu.datasets.columns import Columns, Records
from baimu.datasets.flat import ProblemLog, Texts
from baimu.datasets.images import SUFFIXES, find_images, image_size
from baimu.datasets.outlines import Outlines
from baimu.errors import DataError, ImageError

SPLITS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
FRACTION = 2  # above, a coordinate is no fraction of the image that a tool has rounded
CLASS_FILES = ("classes.txt", "obj.names", "labels/classes.txt")


def find_yolo(path: Path, *, masks: bool = False) -> dict[str, Callable[[], FileSource]]:
    """The splits of a YOLO folder or ``data.yaml``, to be read when called; empty when ``path`` is neither."""
    if path.is_file():
        return _from_yaml(path, masks) if path.suffix.lower() in (".yaml", ".yml") else {}
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (path / name).is_file():
            return _from_yaml(path / name, masks)
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        folders = [path / layout for n in names for layout in (f"images/{n}", f"{n}/images")]
        hit = next((folder for folder in folders if folder.is_dir() and _label_folder(folder).is_dir()), None)
        if hit is not None:
            found[split] = hit
    if not found and (path / "images").is_dir() and (path / "labels").is_dir():
        found["all"] = path / "images"
    if not found:
        return {}
    classes = partial(_class_names, path)
    return {
        s: (lambda folder=f: read_yolo(folder, classes=classes(), root=path, masks=masks)) for s, f in found.items()
    }


def read_yolo(
    images: str | Path | Sequence[Path], *, classes: Sequence[str], root: str | Path | None = None, masks: bool = False
) -> FileSource:
    """The images of a folder (or these files) with their label files, as one split.

    ``root`` is what file names are relative to. With ``masks``, polygons are kept. What is wrong is skipped alone and
    stands in ``problems``.
    """
    if isinstance(images, str | Path):
        root = Path(root or images)
        files = find_images(Path(images))
        if not files:
            raise DataError(f"{images}: holds no image", "F103")
    else:
        root, files = Path(root or "/"), list(images)
    log = ProblemLog()
    names: list[str] = []
    sizes: list[tuple[int, int]] = []
    owners: list[int] = []
    labels: list[int] = []
    boxes: list[tuple[float, ...]] = []
    outlines: list[list[np.ndarray]] = []
    records: list[tuple[str, int]] = []
    notes: list[str] = []
    for image in files:
        try:
            height, width = image_size(image)
        except ImageError as error:
            text = str(error).removeprefix(f"{image}: ")
            log.add(str(image), "", text, "image and its annotations left out", code=error.code)
            continue
        index = len(names)
        names.append(image.relative_to(root).as_posix())
        sizes.append((height, width))
        notes.append(str(_label_file(image)))
        for label, points, number in _read_labels(Path(notes[-1]), len(classes), log, index):
            corners = points.reshape(-1, 2) * (width, height)
            if len(corners) == 2:
                corners = np.stack([corners[0] - corners[1] / 2, corners[0] + corners[1] / 2])
                polygon = []
            else:
                polygon = [corners.astype(np.float32).ravel()]
            owners.append(index)
            labels.append(label)
            boxes.append((*corners.min(0), *corners.max(0)) if polygon else tuple(corners.ravel()))
            outlines.append(polygon)
            records.append((notes[-1], number))
    _orphans(files, log)
    columns = Columns(
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        crowd=np.zeros(len(boxes), bool),
        areas=np.full(len(boxes), np.nan),
        ids=np.arange(1, len(boxes) + 1),
        outlines=Outlines.of(outlines) if masks else None,
        numbers=np.array([number for _, number in records], np.int64),
    )
    return assemble(
        root=root,
        classes=classes,
        category_ids=range(len(classes)),
        files=names,
        image_ids=[name.rpartition(".")[0] for name in names],
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        images=np.array(owners, np.int64),
        columns=columns,
        record=lambda t: (records[t][0], f"line {records[t][1]}"),
        log=log,
        records=Records("line", Texts.of(notes)),
    )


def _read_labels(file: Path, num_classes: int, log: ProblemLog, image: int) -> list[tuple[int, np.ndarray, int]]:
    """Class, numbers and number of each good line; 4 numbers are a box, 6 and more a polygon."""
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.add(str(file), "", f"cannot be read as text ({error})", "its annotations skipped", image=image, code="F101")
        return []
    rows, seen = [], set()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        code, problem, label, values = "", "", -1, np.empty(0)
        try:
            values = np.array(words, np.float64)
            label = int(values[0])
        except (ValueError, OverflowError):
            code, problem = "A101", f"{line.strip()[:60]!r} is not numbers separated by blanks"
        if problem:
            pass
        elif len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
            code, problem = "A110", f"has {len(values)} columns; a box has 5, a polygon 7, 9, 11, …"
        elif label != values[0] or not 0 <= label < num_classes:
            problem = f"has class {words[0]}, but there are {num_classes} classes, from 0 to {num_classes - 1}"
            code = "A103"
        elif not np.isfinite(values).all():
            code, problem = "B101", "has a number that is not finite"
        elif np.abs(values[1:]).max() > FRACTION:
            code, problem = "B111", "has numbers far above 1; coordinates are fractions of the image, not pixels"
        elif tuple(words) in seen:
            code, problem = "A105", "repeats an earlier line"
        if problem:
            log.add(str(file), f"line {number}", problem, "annotation skipped", image=image, code=code)
        else:
            seen.add(tuple(words))
            rows.append((label, values[1:], number))
    return rows


def _label_folder(images: Path) -> Path:
    """``…/labels/…`` for ``…/images/…`` (the last such part), or the folder itself."""
    parts = list(images.parts)
    for i in range(len(parts) - 1, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            return Path(*parts)
    return images


def _label_file(image: Path) -> Path:
    file = _label_folder(image.parent) / f"{image.stem}.txt"
    beside = image.with_suffix(".txt")
    return beside if not file.exists() and beside.exists() else file


def _orphans(images: Sequence[Path], log: ProblemLog) -> None:
    """Report the label files that no image goes with."""
    beside = {image.parent: _label_folder(image.parent) for image in images}
    for home, folder in sorted(beside.items()):
        stems = {file.stem for file in home.iterdir() if file.suffix.lower() in SUFFIXES}  # listed in this split or not
        for file in sorted(folder.glob("*.txt")) if folder.is_dir() else ():
            if file.stem not in stems and file.name != "classes.txt" and folder.name != folder.root:
                log.add(str(file), "", "there is no image of this name", "label file skipped", code="F105")


def _class_names(root: Path) -> list[str]:
    for name in CLASS_FILES:
        if (root / name).is_file():
            lines = (root / name).read_text("utf-8-sig").splitlines()
            names = [line.strip() for line in lines if line.strip()]
            if names:
                return names
            raise DataError(f"{root / name}: names no class; write one class name a line", "F104")
    raise DataError(
        f"{root}: the class names are missing; write one a line into {root / 'classes.txt'}, or a data.yaml",
        "F104",
    )


def _told(error: Exception) -> str:
    """One line of what YAML says in several: where, and what it met."""
    mark = getattr(error, "problem_mark", None)
    return str(error) if mark is None else f"line {mark.line + 1}: {getattr(error, 'problem', error)}"


def _from_yaml(file: Path, masks: bool) -> dict[str, Callable[[], FileSource]]:
    try:
        data = yaml.safe_load(file.read_text("utf-8-sig"))
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as YAML ({_told(error)}); mend it there", "F101") from None
    if not isinstance(data, dict) or not any(data.get(k) for k in ("train", "val", "test")):
        raise DataError(f"{file}: needs at least 'train' (a folder of images) and 'names' (the class names)", "F102")
    root, classes = _yaml_root(file, data), _yaml_names(file, data)
    found: dict[str, Callable[[], FileSource]] = {}
    for split in ("train", "val", "test"):
        if data.get(split):
            found[split] = partial(_read_entries, file, root, split, data[split], classes, masks)
    return found


def _yaml_root(file: Path, data: dict[str, Any]) -> Path:
    """The folder that ``path`` names (from the file's own folder), or the file's folder where that does not exist."""
    home = file.parent.resolve()
    root = home / str(data.get("path") or ".")
    return root.resolve() if os.path.isdir(root) else home  # Path raises for a long name


def _yaml_names(file: Path, data: dict[str, Any]) -> list[str]:
    names = data.get("names")
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            had = ", ".join(map(str, names))
            raise DataError(f"{file}: 'names' must number the classes 0, 1, 2, … without gaps; it has {had}", "C113")
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{file}: names no class; list the class names under 'names'", "F104")
    return [str(name) for name in names]


def _read_entries(file: Path, root: Path, split: str, entries: Any, classes: list[str], masks: bool) -> FileSource:
    """The images of one split: a folder, a text file that lists images, or several of them."""
    images: dict[Path, None] = {}
    log = ProblemLog()
    for entry in entries if isinstance(entries, list) else [entries]:
        place = _inside(file, root, split, str(entry))
        if place.is_dir():
            images |= dict.fromkeys(find_images(place))
            continue
        for number, line in enumerate(place.read_text("utf-8-sig").splitlines(), start=1):
            name = line.strip().removeprefix("./")
            if Path(name).is_relative_to(root):
                name = Path(name).relative_to(root).as_posix()
            path = root / name
            if not name:
                continue
            if leaves_root(name):
                log.add(str(place), f"line {number}", f"{name!r} leaves {root}", "refused; image left out", code="F106")
            elif not path.is_file():
                text = f"there is no image {name!r}"
                log.add(str(place), f"line {number}", text, "image left out", code="F107")
            elif path in images:
                log.add(str(place), f"line {number}", f"names {name!r} again", "taken once", code="F113")
            else:
                images[path] = None
    if not images:
        raise DataError(f"{file}: {split}: {entries!r} holds no image; looked below {root}", "F103")
    return read_yolo(list(images), classes=classes, root=root, masks=masks).with_problems(log.problems())


def _inside(file: Path, root: Path, split: str, entry: str) -> Path:
    """An entry's place below ``root``. Roboflow writes ``../train/images`` for ``train/images``; both are taken."""
    candidates = [root / entry]
    if entry.startswith("../"):
        candidates = [root / entry.removeprefix("../")]
    for place in candidates:
        if place.resolve().is_relative_to(root.resolve()) and os.path.exists(place):  # Path raises for a long name
            return place
    looked = ", ".join(map(str, candidates))
    raise DataError(f"{file}: {split}: {entry!r} is not there or leaves the data root; looked for {looked}", "F116")
