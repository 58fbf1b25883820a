"""Writing COCO's JSON: ``annotations/instances_SPLIT.json`` with ``images/SPLIT``; without splits, ``annotations.json``
with ``images``. What another COCO file says besides (info, licences, attributes) is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.formats.coco import load_coco
from baimu.datasets.outlines import Outlines
from baimu.datasets.writing.places import Losses, Splits, copy_picture, distinct, picture_names, renamed
from baimu.masks import encode_runs


def write_coco(splits: Splits, out: Path) -> Losses:
    """Every split as a file of its own."""
    losses = Losses()
    names = {split: picture_names(part) for split, part in splits.items()}
    unique = distinct(names)
    losses.add("image files: renamed", renamed(names, unique))
    for split, part in splits.items():
        folder = out / "images" if split == "all" else out / "images" / split
        for index, name in enumerate(unique[split]):
            copy_picture(part, index, folder / name)
        file = out / "annotations.json" if split == "all" else out / "annotations" / f"instances_{split}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(_content(part, unique[split]), ensure_ascii=False), encoding="utf-8")
    return losses


def _content(part: FileSource, names: list[str]) -> dict[str, Any]:
    raw = load_coco(Path(part.records.file(0))) if part.records and part.records.word == "annotation" else {}
    before = {key: _by_id(raw.get(key, [])) for key in ("images", "annotations", "categories")}
    numbers = [part.image_id(i) for i in range(len(part))]
    ids = numbers if all(isinstance(n, int) for n in numbers) else list(range(1, len(part) + 1))
    images = [
        {
            **before["images"].get(number, {}),
            "id": number,
            "file_name": name,
            "height": part.size(i)[0],
            "width": part.size(i)[1],
        }
        for i, (number, name) in enumerate(zip(ids, names, strict=True))
    ]
    categories = [
        {**before["categories"].get(number, {}), "id": number, "name": name}
        for number, name in zip(part.category_ids, part.classes, strict=True)
    ]
    annotations = _annotations(part, ids, before["annotations"])
    more = {key: value for key, value in raw.items() if key not in before}
    return {**more, "images": images, "annotations": annotations, "categories": categories}


def _by_id(rows: list[Any]) -> dict[Any, dict[str, Any]]:
    found: dict[Any, dict[str, Any]] = {}
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("id"), int | str):
            found.setdefault(row["id"], row)
    return found


def _annotations(part: FileSource, ids: list[Any], before: dict[Any, dict[str, Any]]) -> list[dict[str, Any]]:
    columns, rows = part.columns, []
    for index, (first, count) in enumerate(part.spans.tolist()):
        for t in range(first, first + count):
            number = int(columns.ids[t])
            old = before.get(number, {})
            x1, y1, x2, y2 = columns.boxes[t].astype(np.float64).tolist()
            row = {
                **old,
                "id": number,
                "image_id": ids[index],
                "category_id": int(part.category_ids[int(columns.labels[t])]),
                "bbox": old["bbox"] if _same(old.get("bbox"), columns.boxes[t]) else [x1, y1, x2 - x1, y2 - y1],
                "area": old["area"] if _is_area(old.get("area")) else float(columns.areas[t]),
                "iscrowd": int(columns.crowd[t]),
            }
            outline = None if columns.outlines is None else segmentation(columns.outlines, t, part.size(index))
            if outline is None:
                row.pop("segmentation", None)
            elif not old:
                row["segmentation"] = outline
            rows.append(row)
    return rows


def _same(bbox: Any, box: np.ndarray) -> bool:
    """Whether an old ``bbox`` says what was read: then its numbers stay, to the last digit."""
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError):
        return False
    return bool((np.array([x, y, x + width, y + height]).astype(np.float32) == box).all())


def _is_area(area: Any) -> bool:
    return isinstance(area, int | float) and area > 0


def segmentation(outlines: Outlines, row: int, size: tuple[int, int]) -> Any:
    """COCO's ``segmentation`` of an object, None where it has none."""
    first, last = outlines.object_spans[row]
    parts = [outlines.words[start:stop] for start, stop in outlines.part_spans[first:last]]
    if not parts:
        return None
    if outlines.are_runs[row]:
        runs = parts[0].astype(np.int64)
        return {"size": list(size), "counts": encode_runs(runs, np.array([len(runs)]))[0]}
    return [part.view(np.float32).astype(np.float64).tolist() for part in parts]
