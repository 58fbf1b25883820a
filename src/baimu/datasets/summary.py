"""What is in a data set, and what is wrong with it: ``baimu data DIR``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.images import header_sizes
from baimu.datasets.open import Source, splits
from baimu.datasets.source import DetectionSource, Problem
from baimu.errors import ImageError

PERCENTILES = (0, 10, 50, 90, 100)
SHOWN_PROBLEMS = 20
_LEGEND = "* least / 10 % / median / 90 % / most"


@dataclass(frozen=True)
class SplitSummary:
    """One split. Box sides are the square root of the area, in pixels; sizes are (height, width)."""

    images: int
    empty_images: int
    objects: int
    crowd_objects: int
    objects_per_class: dict[str, int]
    objects_per_image: list[float]  # at PERCENTILES
    box_sides: list[float]  # at PERCENTILES
    small_medium_large: tuple[int, int, int]  # by COCO's bounds, 32 and 96 pixels a side
    image_sizes: dict[tuple[int, int], int]  # how many images have each size


@dataclass(frozen=True)
class DataSummary:
    """What :func:`data` found: the splits by name, and every problem once. Printed, it is a table."""

    source: str
    classes: tuple[str, ...]
    splits: dict[str, SplitSummary]
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, ready for JSON."""
        values = asdict(self)
        for split in values["splits"].values():
            sizes = split["image_sizes"].items()
            split["image_sizes"] = [{"height": h, "width": w, "images": n} for (h, w), n in sizes]
            split["small_medium_large"] = list(split["small_medium_large"])
        return {**values, "classes": list(self.classes), "problems": [asdict(p) for p in self.problems]}

    def __str__(self) -> str:
        names = list(self.splits)
        rows = [["", *names], *_rows(self.splits), ["objects", *("" for _ in names)]]
        rows += [[f"  {c}", *(f"{self.splits[n].objects_per_class[c]:,}" for n in names)] for c in self.classes]
        return "\n".join([self.source, *_table(rows), _LEGEND, *self._problem_lines()])

    def _problem_lines(self) -> list[str]:
        if not self.problems:
            return ["no problems found"]
        kinds = Counter(problem.action for problem in self.problems)
        lines = [f"{len(self.problems):,} problems: " + ", ".join(f"{n:,} x {kind}" for kind, n in kinds.most_common())]
        lines += [f"  {problem}" for problem in self.problems[:SHOWN_PROBLEMS]]
        left = len(self.problems) - SHOWN_PROBLEMS
        return lines + ([f"  … and {left:,} more (to_dict() lists them all)"] if left > 0 else [])


def data(source: Source) -> DataSummary:
    """Summarise a data set: every split that it has, its classes, objects and sizes, and what is wrong with it.

    ``source`` is what :func:`~baimu.datasets.open.open_data` takes. Besides the annotations, the header of every image
    file is read, so that missing, damaged and wrongly sized files are found; pixels are not decoded. Raises
    :class:`~baimu.errors.DataError` when there is nothing that could be used.
    """
    found = splits(source)
    name = source if isinstance(source, str) else getattr(source, "root", None) or str(source)
    return summarize(name, found, [problem for part in found.values() for problem in _file_problems(part)])


def summarize(name: str, splits: Mapping[str, DetectionSource], more: Iterable[Problem] = ()) -> DataSummary:
    """Summary of opened ``splits`` from their annotations alone, with their problems and ``more``."""
    problems = [problem for part in splits.values() for problem in part.problems]
    return DataSummary(
        source=name,
        classes=tuple(next(iter(splits.values())).classes),
        splits={title: _summarise(part) for title, part in splits.items()},
        problems=tuple(dict.fromkeys([*problems, *more])),
    )


def _file_problems(source: DetectionSource) -> Iterable[Problem]:
    """Files whose header cannot be read or contradicts the annotations; their use would stop with the same message."""
    for index in range(len(source)) if isinstance(source, FileSource) else ():
        file = source.name(index)
        record = f"image {source.image_id(index)}"
        try:
            shown, stored = header_sizes(file)
        except ImageError as error:
            yield Problem(file, record, str(error).removeprefix(f"{file}: "), "training stops at this image")
            continue
        height, width = source.size(index)
        text = f"is {shown[1]}x{shown[0]}, annotated at {width}x{height}"
        if (height, width) not in (shown, stored):
            yield Problem(file, record, text, "training stops at this image; correct the annotation file")
        elif shown != (height, width):
            yield Problem(file, record, f"{text}, without its EXIF rotation", "image used without the rotation")


def _summarise(source: DetectionSource) -> SplitSummary:
    counts, boxes, labels, crowd = _all_objects(source)
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    small, large = int((sides < 32).sum()), int((sides >= 96).sum())
    per_class = np.bincount(labels, minlength=len(source.classes)).tolist()
    sizes = Counter(source.size(i) for i in range(len(source)))
    return SplitSummary(
        images=len(source),
        empty_images=int((counts == 0).sum()),
        objects=len(boxes),
        crowd_objects=int(crowd.sum()),
        objects_per_class=_by_name(source.classes, per_class),
        objects_per_image=_percentiles(counts),
        box_sides=_percentiles(sides),
        small_medium_large=(small, len(boxes) - small - large, large),
        image_sizes=dict(sizes.most_common()),
    )


def _all_objects(source: DetectionSource) -> tuple[np.ndarray, ...]:
    """Objects an image, and boxes, labels and crowd flags of them all."""
    if isinstance(source, FileSource):  # without drawing masks
        every = source.all_objects()
        return source.spans[:, 1], every.boxes, every.labels, every.crowd
    parts = [source.objects(i) for i in range(len(source))]
    counts = np.array([len(part) for part in parts], np.int64)
    boxes = _joined([part.boxes for part in parts], (0, 4))
    labels = _joined([part.labels for part in parts], (0,)).astype(np.int64)
    return counts, boxes, labels, _joined([part.crowd for part in parts], (0,)).astype(bool)


def _by_name(classes: Sequence[str], counts: Sequence[int]) -> dict[str, int]:
    totals = dict.fromkeys(classes, 0)
    for name, count in zip(classes, counts, strict=True):
        totals[name] += count
    return totals


def _joined(arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(shape)


def _percentiles(values: np.ndarray) -> list[float]:
    return [round(float(v), 1) for v in np.percentile(values, PERCENTILES)] if len(values) else []


def _rows(parts: dict[str, SplitSummary]) -> list[list[str]]:
    def row(title: str, cells: Iterable[str]) -> list[str]:
        return [title, *cells]

    every = list(parts.values())
    return [
        row("images", (f"{part.images:,}" for part in every)),
        row("  without objects", (f"{part.empty_images:,}" for part in every)),
        row("  commonest size", (_size_text(part) for part in every)),
        row("objects an image *", (_numbers(part.objects_per_image) for part in every)),
        row("box side in pixels *", (_numbers(part.box_sides) for part in every)),
        row("small / medium / large boxes", (" / ".join(f"{n:,}" for n in part.small_medium_large) for part in every)),
        row("crowd or difficult objects", (f"{part.crowd_objects:,}" for part in every)),
    ]


def _numbers(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.0f}" for value in values) or "–"


def _size_text(part: SplitSummary) -> str:
    if not part.image_sizes:
        return "–"
    (height, width), count = next(iter(part.image_sizes.items()))
    more = f" and {len(part.image_sizes) - 1} more sizes" if len(part.image_sizes) > 1 else ""
    return f"{width}x{height} ({count / part.images:.0%}){more}"


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]
