"""A classification data set, held in flat arrays: pictures from wherever they come, and the labels of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from baimu.datasets.flat import ProblemLog, Problems, Texts, ranges
from baimu.datasets.images import decode_image, image_size
from baimu.datasets.source import ClassificationSource, Problem
from baimu.errors import DataError, ImageError


class Pictures(Protocol):
    """N images without their labels."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str: ...

    def image_id(self, index: int) -> int | str: ...

    def size(self, index: int) -> tuple[int, int]: ...

    def image(self, index: int, at_least: int | None) -> np.ndarray: ...

    def take(self, indices: np.ndarray) -> Any:
        """Those of ``indices``, in this order."""
        ...

    def joined(self, other: Any) -> Any:
        """These and ``other``'s, which are of the same kind."""
        ...


class Labelled(Protocol):
    """What has labels: a data set, or a classifier."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def multi_label(self) -> bool: ...


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files below ``root``."""

    root: str
    files: Texts  # relative to root, with forward slashes
    sizes: np.ndarray  # (N, 2) int32 height, width

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return os.path.join(self.root, self.files[index])

    def image_id(self, index: int) -> str:
        """Path below ``root``."""
        return self.files[index]

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.sizes[index].tolist()
        return height, width

    def image(self, index: int, at_least: int | None) -> np.ndarray:
        return decode_image(self.name(index), at_least=at_least)

    def take(self, indices: np.ndarray) -> ImageFiles:
        return replace(self, files=self.files.take(indices), sizes=self.sizes[indices])

    def joined(self, other: ImageFiles) -> ImageFiles:
        root = os.path.commonpath([self.root, other.root])
        files = [os.path.relpath(s.name(i), root) for s in (self, other) for i in range(len(s))]
        return ImageFiles(root, Texts.of(files), np.concatenate([self.sizes, other.sizes]))


@dataclass(frozen=True, eq=False)
class LabelSource:
    """The :class:`~baimu.datasets.source.ClassificationSource` that every reader returns.

    Everything that grows with the data is a numpy array; subsets share the arrays of labels.
    """

    root: str  # the folder or file that it was read from
    pictures: Pictures
    classes: tuple[str, ...]
    multi_label: bool
    spans: np.ndarray  # (N, 2) int64: the image's first mark, and their count
    marks: np.ndarray  # (T,) int64 labels
    known: np.ndarray  # (T,) bool; where false, nobody knows whether the image has that label
    problems: Problems

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        kind = "multi-label, " if self.multi_label else ""
        return f"LabelSource({self.root!r}: {kind}{len(self)} images, {len(self.classes)} classes)"

    def name(self, index: int) -> str:
        return self.pictures.name(index)

    def image_id(self, index: int) -> int | str:
        return self.pictures.image_id(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.pictures.size(index)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return self.pictures.image(index, at_least)

    def labels(self, index: int) -> np.ndarray:
        first, count = self.spans[index].tolist()
        part = slice(first, first + count)
        return self.marks[part][self.known[part]]

    def unknown(self, index: int) -> np.ndarray:
        first, count = self.spans[index].tolist()
        part = slice(first, first + count)
        return self.marks[part][~self.known[part]]

    def all_marks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every mark of every image: the image (T,), the label (T,), and whether it is known (T,)."""
        rows = ranges(self.spans[:, 0], self.spans[:, 1])
        return np.repeat(np.arange(len(self)), self.spans[:, 1]), self.marks[rows], self.known[rows]

    def select(self, indices: Sequence[int] | np.ndarray) -> LabelSource:
        """The subset of these images, in this order; their problems, and those of no image, go along."""
        chosen = np.asarray(indices, np.int64).reshape(-1)
        problems = self.problems.for_images(chosen, len(self))
        return replace(self, pictures=self.pictures.take(chosen), spans=self.spans[chosen], problems=problems)

    def like(self, other: Labelled, name: str = "the training data") -> LabelSource:
        """The same data with the labels of ``other``, which is called ``name`` in messages, matched by their names.

        Raises :class:`~baimu.errors.DataError` for images of a class that ``other`` lacks, and for several labels an
        image where ``other`` has one.
        """
        classes = tuple(other.classes)
        if self.multi_label and not other.multi_label:
            raise DataError(f"{self.root}: has any number of labels an image, {name} one; give both the same kind")
        counts = np.bincount(self.all_marks()[1], minlength=len(self.classes))
        foreign = {own: int(count) for own, count in zip(self.classes, counts, strict=True) if own not in classes}
        foreign = {own: count for own, count in foreign.items() if count}
        if foreign:
            raise DataError(
                f"{self.root}: has {sum(foreign.values()):,} images of {_list(foreign)}, unknown to {name} "
                f"(which has {_list(classes)}); train with such images too, or take them out here"
            )
        place = np.array([classes.index(own) if own in classes else -1 for own in self.classes], np.int64)
        return replace(self, classes=classes, multi_label=other.multi_label, marks=place[self.marks])

    def joined(self, other: LabelSource) -> LabelSource:
        """The images of both, ``other``'s after these; its classes must be among these."""
        if type(self.pictures) is not type(other.pictures):
            raise DataError(f"{self.root} and {other.root}: have pictures of two kinds and cannot be joined")
        other = other.like(self)
        return replace(
            self,
            root=os.path.commonpath([self.root, other.root]),
            pictures=self.pictures.joined(other.pictures),
            spans=np.concatenate([self.spans, other.spans + np.array([len(self.marks), 0])]),
            marks=np.concatenate([self.marks, other.marks]),
            known=np.concatenate([self.known, other.known]),
            problems=self.problems.joined(other.problems, len(self)),
        )


def image_files(root: str | os.PathLike[str], files: list[str], log: ProblemLog) -> tuple[ImageFiles, np.ndarray]:
    """The images whose header can be read, and their positions in ``files`` (relative to ``root``, forward slashes);
    the others are logged."""
    root, kept, sizes = os.fspath(root), [], []
    for position, file in enumerate(files):
        path = os.path.join(root, file)
        try:
            sizes.append(image_size(path))
            kept.append(position)
        except ImageError as error:
            log.add(path, "", str(error).removeprefix(f"{path}: "), "image left out", code=error.code)
    pictures = ImageFiles(root, Texts.of(files[i] for i in kept), np.array(sizes, np.int32).reshape(-1, 2))
    return pictures, np.array(kept, np.int64)


def labelled(
    pictures: Pictures,
    classes: Sequence[str],
    *,
    counts: np.ndarray,
    marks: np.ndarray,
    known: np.ndarray,
    multi_label: bool,
    root: str,
    log: ProblemLog,
) -> LabelSource:
    """A data set of ``counts`` (N,) ``marks`` (T,) an image. Raises :class:`~baimu.errors.DataError`, which names
    ``root``, without images."""
    if not len(pictures):
        raise DataError(f"{root}: no image is left to use{_first(log.problems())}", "F103")
    spans = np.stack([np.cumsum(counts) - counts, counts], 1).astype(np.int64)
    return LabelSource(
        root, pictures, tuple(classes), multi_label, spans, marks.astype(np.int64), known, log.problems()
    )


def single_labels(
    pictures: Pictures, classes: Sequence[str], labels: np.ndarray, root: str, log: ProblemLog
) -> LabelSource:
    """:func:`labelled` with one label (N,) an image, all of them known."""
    one = np.ones(len(labels), np.int64)
    known = one.astype(bool)
    return labelled(pictures, classes, counts=one, marks=labels, known=known, multi_label=False, root=root, log=log)


def require_classes(source: ClassificationSource) -> None:
    """Raise :class:`~baimu.errors.DataError` where there is nothing to tell apart."""
    if len(source.classes) >= (1 if source.multi_label else 2):
        return
    have = f"all images are of one class, {source.classes[0]!r}" if source.classes else "no image has a label"
    raise DataError(
        f"{getattr(source, 'root', source)}: {have}, and there is nothing to tell apart; give images of two classes or "
        f"more, in class folders the folder that holds them all{_first(source.problems)}"
    )


def stratified(source: ClassificationSource, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of two parts, the second of ``count`` images, with nearly the same share of every class (within one
    image); of an image with several labels its rarest counts. A function of the labels and ``seed`` alone.
    """
    strata = _rarest(source)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]  # by class, at random within
    sizes = np.unique(strata, return_counts=True)[1]
    ranks = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = (ranks + 0.5) / np.repeat(sizes, sizes)  # evenly over 0…1 for each class, so that any cut takes its share
    order = order[np.argsort(place, kind="stable")]
    return np.sort(order[count:]), np.sort(order[:count])


def _rarest(source: ClassificationSource) -> np.ndarray:
    """Of each image its label that the fewest images have; −1 without labels."""
    if isinstance(source, LabelSource):
        images, labels, known = source.all_marks()
        images, labels = images[known], labels[known]
    else:
        each = [source.labels(i) for i in range(len(source))]
        images = np.repeat(np.arange(len(source)), [len(own) for own in each])
        labels = np.concatenate([*each, np.zeros(0, np.int64)])
    counts = np.bincount(labels, minlength=len(source.classes))
    rarest = np.full(len(source), -1, np.int64)
    commonest_first = np.argsort(-counts[labels], kind="stable")
    rarest[images[commonest_first]] = labels[commonest_first]  # of equal positions numpy keeps the last
    return rarest


def _first(problems: Sequence[Problem]) -> str:
    """The first problems as lines below an error's message."""
    return "".join(f"\n  {problem}" for problem in problems[:5]) + ("\n  …" if len(problems) > 5 else "")


def _list(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
