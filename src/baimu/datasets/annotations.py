"""A detection data set of image files, held in flat arrays, and the checks that every format's annotations pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from baimu.datasets.columns import Columns, Records
from baimu.datasets.flat import ProblemLog, Problems, Texts, ranges
from baimu.datasets.images import decode_image
from baimu.datasets.source import DetectionSource, Objects
from baimu.errors import DataError


@dataclass(frozen=True, eq=False)
class FileSource:
    """N images in files below ``root``: the :class:`~baimu.datasets.source.DetectionSource` that every reader returns.

    Everything that grows with the data is a numpy array; subsets share the object arrays.
    """

    root: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    files: Texts  # relative to root, with forward slashes
    image_ids: np.ndarray | Texts
    sizes: np.ndarray  # (N, 2) int32 height, width
    spans: np.ndarray  # (N, 2) int64: the image's first object, and their count
    columns: Columns
    problems: Problems
    records: Records | None = None

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        counts = f"{len(self)} images, {int(self.spans[:, 1].sum())} objects, {len(self.classes)} classes"
        return f"FileSource({self.root!r}: {counts}, {len(self.problems)} problems)"

    def name(self, index: int) -> str:
        """Path of the image file."""
        return os.path.join(self.root, self.files[index])

    def image_id(self, index: int) -> int | str:
        value = self.image_ids[index]
        return value if isinstance(value, str) else int(value)

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.sizes[index].tolist()
        return height, width

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        """RGB uint8 (H, W, 3); ``at_least`` as for :func:`~baimu.datasets.images.decode_image`."""
        return decode_image(self.name(index), at_least=at_least, annotated_size=self.size(index))

    def objects(self, index: int) -> Objects:
        """The image's objects; masks where the data set was opened with them (an object without outline: its box)."""
        first, count = self.spans[index].tolist()
        part, columns = slice(first, first + count), self.columns
        masks = None
        if columns.outlines is not None:
            masks = np.zeros((count, *self.size(index)), bool)
            for mask, i in zip(masks, range(first, first + count), strict=True):
                drawn = columns.outlines.mask(i, self.size(index))
                if drawn is None:
                    x1, y1, x2, y2 = np.round(columns.boxes[i]).astype(int)
                    mask[y1:y2, x1:x2] = True
                else:
                    mask[:] = drawn
        boxes, labels, crowd, areas, ids = (array[part] for array in columns.arrays)
        return Objects(boxes, labels, crowd, areas, ids, masks)

    def record(self, index: int, row: int) -> tuple[str, str]:
        """File and record of an image's annotation, for messages; ``row`` counts in ``columns``."""
        numbers, records = self.columns.numbers, self.records
        if records is None or numbers is None:
            return self.name(index), f"annotation {int(self.columns.ids[row])}"
        name = f" ({self.classes[int(self.columns.labels[row])]})" if records.word == "object" else ""
        return records.file(index), f"{records.word} {int(numbers[row])}{name}"

    def all_objects(self) -> Columns:
        """The objects of all images, in the order of the images."""
        return self.columns.take(ranges(self.spans[:, 0], self.spans[:, 1]))

    def select(self, indices: Sequence[int] | np.ndarray) -> FileSource:
        """The subset of these images, in this order; their problems, and those of no image, go along."""
        chosen = np.asarray(indices, np.int64).reshape(-1)
        ids = self.image_ids.take(chosen)
        files, problems = self.files.take(chosen), self.problems.for_images(chosen, len(self))
        sizes, spans, records = self.sizes[chosen], self.spans[chosen], self.records
        if records is not None and len(records.files) > 1:
            records = replace(records, files=records.files.take(chosen))
        return replace(self, files=files, image_ids=ids, sizes=sizes, spans=spans, problems=problems, records=records)

    def like(self, other: DetectionSource) -> FileSource:
        """The same data set with the labels of ``other``; as :meth:`with_classes`."""
        return self.with_classes(other.classes, other.category_ids)

    def with_classes(self, classes: Sequence[str], category_ids: Sequence[int]) -> FileSource:
        """The same data set with the labels of another, matched by class name; raises DataError for a foreign class."""
        classes = tuple(classes)
        foreign = [name for name in self.classes if name not in classes]
        if foreign:
            raise DataError(
                f"{self.root}: has classes {foreign} that the training data ({list(classes)}) lack; "
                "give both the same class names"
            )
        if classes == self.classes:
            return self
        labels = np.array([classes.index(name) for name in self.classes], np.int64)[self.columns.labels]
        columns = replace(self.columns, labels=labels)
        return replace(self, classes=classes, category_ids=tuple(category_ids), columns=columns)

    def with_problems(self, more: Problems) -> FileSource:
        """The same data set with further problems that belong to no image."""
        return replace(self, problems=self.problems.joined(more, len(self))) if len(more) else self

    def joined(self, other: FileSource) -> FileSource:
        """The images of both, ``other``'s after these; class names must agree."""
        other = other.like(self)
        root = os.path.commonpath([self.root, other.root])
        files = [os.path.relpath(s.name(i), root) for s in (self, other) for i in range(len(s))]
        if isinstance(self.image_ids, Texts) or isinstance(other.image_ids, Texts):
            ids: np.ndarray | Texts = Texts.of(str(s.image_id(i)) for s in (self, other) for i in range(len(s)))
        else:
            ids = np.concatenate([self.image_ids, other.image_ids])
        records = None
        if self.records is not None and other.records is not None:
            both = [*self.records.spread(len(self)), *other.records.spread(len(other))]
            records = replace(self.records, files=Texts.of(both))
        shift = np.array([len(self.columns.boxes), 0])
        return replace(
            self,
            root=root,
            files=Texts.of(files),
            image_ids=ids,
            sizes=np.concatenate([self.sizes, other.sizes]),
            spans=np.concatenate([self.spans, other.spans + shift]),
            columns=self.columns.joined(other.columns),
            problems=self.problems.joined(other.problems, len(self)),
            records=records,
        )


def without_masks(source: DetectionSource) -> DetectionSource:
    """The same data set for those who need no masks, which then are not drawn either."""
    if isinstance(source, FileSource) and source.columns.outlines is not None:
        return replace(source, columns=replace(source.columns, outlines=None))
    return source


def has_masks(source: DetectionSource) -> bool:
    """Whether objects of ``source`` have masks of their own, not only their boxes in their place."""
    if not isinstance(source, FileSource):
        return len(source) > 0 and source.objects(0).masks is not None
    if source.columns.outlines is None:
        return False
    drawn = source.columns.outlines.drawn[ranges(source.spans[:, 0], source.spans[:, 1])]
    return len(drawn) == 0 or bool(drawn.any())


def require_masks(source: DetectionSource) -> None:
    """Raise :class:`~baimu.errors.DataError` where no object of ``source`` has an outline."""
    if has_masks(source):
        return
    if isinstance(source, FileSource) and source.columns.outlines is None:
        raise DataError(f"{source.root}: was opened without outlines; open it with open_data(…, masks=True)")
    place = source.root if isinstance(source, FileSource) else source.name(0)
    raise DataError(
        f"{place}: no object has an outline, and this model learns from masks. Add them (COCO: 'segmentation'; YOLO: "
        "lines of class x1 y1 x2 y2 x3 y3 …; VOC: SegmentationObject/*.png), or take one that finds boxes"
    )


def leaves_root(name: str) -> bool:
    """Whether a file name written in an annotation would leave the folder it is meant for."""
    parts = name.replace("\\", "/").split("/")
    return not name or ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in name


def assemble(
    *,
    root: str | os.PathLike[str],
    classes: Sequence[str],
    category_ids: Sequence[int],
    files: Sequence[str],
    image_ids: Sequence[Any],
    sizes: np.ndarray,
    images: np.ndarray,
    columns: Columns,
    record: Callable[[int], tuple[str, str]],
    log: ProblemLog,
    records: Records | None = None,
) -> FileSource:
    """Check T annotations of N images all at once, leave the bad ones out, and sort the rest by image.

    ``images`` (T,) is the image of each, ``record(t)`` names its file and record in messages. A box with a number
    that is not finite, without area, or outside its image is skipped; one partly outside is clipped (reported when by
    more than half a pixel, which is more than rounding).
    """
    if not classes:
        raise DataError(f"{root}: no object class is defined; a detector needs at least one{_first(log)}", "F104")
    if not len(files):
        raise DataError(f"{root}: no image is left to use{_first(log)}", "F103")
    boxes = columns.boxes.astype(np.float64).reshape(-1, 4)
    limits = np.tile(sizes[images][:, ::-1].astype(np.float64).reshape(-1, 2), 2)
    finite = np.asarray(np.isfinite(boxes).all(axis=1))
    boxes = np.where(finite[:, None], boxes, 0)
    clipped = boxes.clip(0, limits).astype(np.float32)
    overlaps = ((boxes[:, :2] < limits[:, :2]) & (boxes[:, 2:] > 0)).all(axis=1)
    outside = finite & (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & ~overlaps
    solid = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    cut = np.abs(clipped - boxes).max(axis=1, initial=0) > 0.5
    turned = finite & (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    faults = (
        ("B101", ~finite, "is not made of finite numbers", "annotation skipped"),
        ("B102", finite & ~outside & ~solid & ~turned, "has no area", "annotation skipped"),
        ("B106", turned, "ends before it begins and has no area", "annotation skipped"),
        ("B103", outside, "lies outside it", "annotation skipped"),
        ("B104", solid & cut, "lies partly outside it", "box clipped to the image"),
    )
    for code, rows, what, action in faults:
        for t in np.flatnonzero(rows).tolist():
            x1, y1, x2, y2 = columns.boxes[t].tolist()
            height, width = sizes[images[t]].tolist()
            text = f"box ({x1:g}, {y1:g}) to ({x2:g}, {y2:g}) of a {width}x{height} image {what}"
            log.add(*record(t), text, action, image=int(images[t]), code=code, box=(x1, y1, x2, y2))
    keep = np.flatnonzero(solid)
    keep = keep[np.argsort(images[keep], kind="stable")]
    box_areas = (clipped[:, 2] - clipped[:, 0]) * (clipped[:, 3] - clipped[:, 1])
    areas = np.where(columns.areas > 0, columns.areas, box_areas)
    checked = replace(columns, boxes=clipped, areas=areas.astype(np.float32)).take(keep)
    if checked.outlines is not None:
        bare = len(keep) - int(np.count_nonzero(checked.outlines.drawn))
        if 0 < bare < len(keep):
            text = f"{bare:,} of {len(keep):,} objects have no outline"
            log.add(os.fspath(root), "", text, "their boxes serve as masks", code="M104")
    counts = np.bincount(images[keep], minlength=len(files))
    return FileSource(
        root=os.fspath(root),
        classes=tuple(classes),
        category_ids=tuple(category_ids),
        files=Texts.of(files),
        image_ids=_image_ids(image_ids),
        sizes=np.asarray(sizes, np.int32).reshape(-1, 2),
        spans=np.stack([np.cumsum(counts) - counts, counts], axis=1).astype(np.int64),
        columns=checked,
        problems=log.problems(),
        records=records,
    )


def _image_ids(ids: Sequence[Any]) -> np.ndarray | Texts:
    if all(type(i) is int and abs(i) < 2**63 for i in ids):
        return np.array(ids, np.int64)
    return Texts.of(map(str, ids))


def _first(log: ProblemLog) -> str:
    problems = log.problems()
    return "".join(f"\n  {problem}" for problem in problems[:5]) + ("\n  …" if len(problems) > 5 else "")
