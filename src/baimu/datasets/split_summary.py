"""What is in one split of a data set, in numbers: of objects, or of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.identity_summary import IdentitySummary, summarize_identities
from baimu.datasets.labels import LabelSource
from baimu.datasets.map_summary import MapSummary, summarize_maps
from baimu.datasets.sequence_summary import SequenceSummary, summarize_sequences
from baimu.datasets.source import (
    ClassificationSource,
    DetectionSource,
    IdentitySource,
    ImageSource,
    ReadingSource,
    SegmentationSource,
    SequenceSource,
    TextSource,
)
from baimu.datasets.text_summary import LineSummary, TextSummary, summarize_lines, summarize_texts

PERCENTILES = (0, 10, 50, 90, 100)


@dataclass(frozen=True)
class ObjectSummary:
    """Of a detection data set. Box sides are the square root of the area, in pixels; sizes are (height, width)."""

    images: int
    empty_images: int
    objects: int
    crowd_objects: int
    objects_per_class: dict[str, int]
    objects_per_image: list[float]  # at PERCENTILES
    box_sides: list[float]  # at PERCENTILES
    small_medium_large: tuple[int, int, int]  # by COCO's bounds, 32 and 96 pixels a side
    image_sizes: dict[tuple[int, int], int]  # how many images have each size

    counted = "objects"  # by class

    @property
    def per_class(self) -> dict[str, int]:
        return self.objects_per_class

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("images", f"{self.images:,}"),
            ("  without objects", f"{self.empty_images:,}"),
            ("  commonest size", _size_text(self.images, self.image_sizes)),
            ("objects an image *", _numbers(self.objects_per_image)),
            ("box side in pixels *", _numbers(self.box_sides)),
            ("small / medium / large boxes", " / ".join(f"{n:,}" for n in self.small_medium_large)),
            ("crowd or difficult objects", f"{self.crowd_objects:,}"),
        ]

    def to_dict(self) -> dict[str, Any]:
        sizes, boxes = _size_list(self.image_sizes), list(self.small_medium_large)
        return {**asdict(self), "image_sizes": sizes, "small_medium_large": boxes}


@dataclass(frozen=True)
class LabelSummary:
    """Of a classification data set; sizes are (height, width)."""

    images: int
    multi_label: bool
    unlabelled_images: int
    labels: int
    unknown_labels: int  # of which nobody knows whether the image has them
    images_per_class: dict[str, int]
    labels_per_image: list[float]  # at PERCENTILES
    image_sides: list[float]  # the shorter ones, at PERCENTILES
    image_sizes: dict[tuple[int, int], int]  # how many images have each size

    counted = "images"  # by class

    @property
    def per_class(self) -> dict[str, int]:
        return self.images_per_class

    def rows(self) -> list[tuple[str, str]]:
        rows = [
            ("images", f"{self.images:,}"),
            ("  commonest size", _size_text(self.images, self.image_sizes)),
            ("shorter side in pixels *", _numbers(self.image_sides)),
        ]
        if self.multi_label:
            rows += [
                ("  without labels", f"{self.unlabelled_images:,}"),
                ("labels an image *", _numbers(self.labels_per_image)),
                ("labels nobody knows of", f"{self.unknown_labels:,}"),
            ]
        return rows

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "image_sizes": _size_list(self.image_sizes)}


@dataclass(frozen=True)
class ImageSummary:
    """Of images of which nothing is known, or inputs of pairs; sizes are (height, width)."""

    images: int
    image_sides: list[float]  # the shorter ones, at PERCENTILES
    image_sizes: dict[tuple[int, int], int]  # how many images have each size

    counted = ""
    per_class: Mapping[str, int] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("images", f"{self.images:,}"),
            ("  commonest size", _size_text(self.images, self.image_sizes)),
            ("shorter side in pixels *", _numbers(self.image_sides)),
        ]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "image_sizes": _size_list(self.image_sizes)}


def summarize_split(
    source: ImageSource | TextSource,
) -> (
    ObjectSummary
    | LabelSummary
    | ImageSummary
    | IdentitySummary
    | LineSummary
    | MapSummary
    | TextSummary
    | SequenceSummary
):
    """Counts of one split, from its annotations alone."""
    if isinstance(source, SegmentationSource):
        return summarize_maps(source)
    if isinstance(source, ReadingSource):
        return summarize_lines(source)
    if isinstance(source, TextSource):
        return summarize_texts(source)
    if isinstance(source, ClassificationSource):
        return _labels(source)
    if isinstance(source, IdentitySource):
        return summarize_identities(source)
    if isinstance(source, SequenceSource):
        return summarize_sequences(source)
    return _objects(source) if isinstance(source, DetectionSource) else _images(source)


def _images(source: ImageSource) -> ImageSummary:
    sizes = Counter(source.size(i) for i in range(len(source)))
    sides = np.repeat([min(size) for size in sizes], list(sizes.values()))
    return ImageSummary(len(source), _percentiles(sides), dict(sizes.most_common()))


def _labels(source: ClassificationSource) -> LabelSummary:
    if isinstance(source, LabelSource):
        images, marks, known = source.all_marks()
    else:
        own, unknown = ([each(i) for i in range(len(source))] for each in (source.labels, source.unknown))
        counts = [len(part) for part in (*own, *unknown)]
        images = np.repeat(np.tile(np.arange(len(source)), 2), counts)
        marks = _joined([*own, *unknown], (0,)).astype(np.int64)
        known = np.arange(len(marks)) < sum(map(len, own))
    per_image = np.bincount(images[known], minlength=len(source))
    sizes = Counter(source.size(i) for i in range(len(source)))
    return LabelSummary(
        images=len(source),
        multi_label=source.multi_label,
        unlabelled_images=int((per_image == 0).sum()),
        labels=int(known.sum()),
        unknown_labels=int((~known).sum()),
        images_per_class=_by_name(source.classes, np.bincount(marks[known], minlength=len(source.classes)).tolist()),
        labels_per_image=_percentiles(per_image),
        image_sides=_percentiles(np.repeat([min(size) for size in sizes], list(sizes.values()))),
        image_sizes=dict(sizes.most_common()),
    )


def _objects(source: DetectionSource) -> ObjectSummary:
    counts, boxes, labels, crowd = _all_objects(source)
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    small, large = int((sides < 32).sum()), int((sides >= 96).sum())
    per_class = np.bincount(labels, minlength=len(source.classes)).tolist()
    sizes = Counter(source.size(i) for i in range(len(source)))
    return ObjectSummary(
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


def _size_list(sizes: Mapping[tuple[int, int], int]) -> list[dict[str, int]]:
    return [{"height": height, "width": width, "images": count} for (height, width), count in sizes.items()]


def _numbers(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.0f}" for value in values) or "–"


def _size_text(images: int, sizes: Mapping[tuple[int, int], int]) -> str:
    if not sizes:
        return "–"
    (height, width), count = next(iter(sizes.items()))
    more = f" and {len(sizes) - 1} more sizes" if len(sizes) > 1 else ""
    return f"{width}x{height} ({count / images:.0%}){more}"
