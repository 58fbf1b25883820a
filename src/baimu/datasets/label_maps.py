"""Segmentation data sets: images with a class for each pixel, from map files, from outlined objects, or drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from baimu.datasets.annotations import FileSource, require_masks
from baimu.datasets.flat import Problems, Texts
from baimu.datasets.labels import ImageFiles
from baimu.datasets.map_code import MapCode
from baimu.datasets.playground import Playground
from baimu.datasets.source import Problem, SegmentationSource
from baimu.errors import DataError
from baimu.targets import UNDECIDED

BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class MapSource:
    """N images with a map file each: the :class:`~baimu.datasets.source.SegmentationSource` that readers return."""

    root: str
    classes: tuple[str, ...]
    pictures: ImageFiles
    maps: Texts  # map files relative to root, with forward slashes
    code: MapCode
    problems: Problems

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        return f"MapSource({self.root!r}: {len(self)} images, {len(self.classes)} classes)"

    def name(self, index: int) -> str:
        return self.pictures.name(index)

    def image_id(self, index: int) -> str:
        return self.pictures.image_id(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.pictures.size(index)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return self.pictures.image(index, at_least)

    def map_name(self, index: int) -> str:
        """Path of the map file."""
        return os.path.join(self.root, self.maps[index])

    def label_map(self, index: int) -> np.ndarray:
        labels = self.code.read(self.map_name(index))
        if labels.shape != self.size(index):
            (height, width), (h, w) = self.size(index), labels.shape
            raise DataError(f"{self.map_name(index)}: is {w}x{h}, its image {width}x{height}; make them equal")
        return labels

    def select(self, indices: Sequence[int] | np.ndarray) -> MapSource:
        """The subset of these images, in this order; their problems, and those of no image, go along."""
        chosen = np.asarray(indices, np.int64).reshape(-1)
        problems = self.problems.for_images(chosen, len(self))
        return replace(self, pictures=self.pictures.take(chosen), maps=self.maps.take(chosen), problems=problems)

    def like(self, other: Any, name: str = "the training data") -> MapSource:
        """The same data with the classes of ``other``, called ``name`` in messages, matched by their names."""
        classes = tuple(other.classes)
        check_known(self.root, self.classes, classes, name)
        place = np.array([classes.index(own) for own in self.classes], np.int64)
        return replace(self, classes=classes, code=self.code.with_labels(place))

    def joined(self, other: MapSource) -> MapSource:
        """The images of both, ``other``'s after these."""
        if self.classes != other.classes or not self.code.like(other.code):
            raise DataError(f"{self.root} and {other.root}: name their classes otherwise and cannot be joined")
        root = os.path.commonpath([self.root, other.root])
        maps = [os.path.relpath(s.map_name(i), root) for s in (self, other) for i in range(len(s))]
        problems = self.problems.joined(other.problems, len(self))
        return replace(
            self, root=root, pictures=self.pictures.joined(other.pictures), maps=Texts.of(maps), problems=problems
        )


@dataclass(frozen=True, eq=False)
class PaintedSource:
    """The outlined objects of a detection data set as label maps: 0 is background, then the classes.

    Large objects are painted first, so that small ones lie on them; what only a crowd covers is undecided.
    """

    objects: FileSource

    def __post_init__(self) -> None:
        require_masks(self.objects)

    @property
    def root(self) -> str:
        return self.objects.root

    @property
    def classes(self) -> tuple[str, ...]:
        return (BACKGROUND, *self.objects.classes)

    @property
    def problems(self) -> Sequence[Problem]:
        return self.objects.problems

    def __len__(self) -> int:
        return len(self.objects)

    def name(self, index: int) -> str:
        return self.objects.name(index)

    def image_id(self, index: int) -> int | str:
        return self.objects.image_id(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.objects.size(index)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return self.objects.image(index, at_least=at_least)

    def label_map(self, index: int) -> np.ndarray:
        things = self.objects.objects(index)
        labels = np.zeros(self.size(index), np.uint8)
        assert things.masks is not None
        areas = things.masks.sum((1, 2))
        for i in np.lexsort((-areas, ~things.crowd)).tolist():
            labels[things.masks[i]] = UNDECIDED if things.crowd[i] else things.labels[i] + 1
        return labels

    def select(self, indices: Sequence[int]) -> PaintedSource:
        return PaintedSource(self.objects.select(indices))

    def like(self, other: Any, name: str = "the training data") -> PaintedSource:
        """The same data with the classes of ``other``, matched by their names."""
        classes = tuple(other.classes)
        check_known(self.root, self.classes, classes, name)
        return PaintedSource(self.objects.with_classes(classes[1:], range(1, len(classes))))

    def joined(self, other: PaintedSource) -> PaintedSource:
        """The images of both."""
        return PaintedSource(self.objects.joined(other.objects))


@dataclass(frozen=True, eq=False)
class SceneMaps:
    """The playground's scenes with the class of each pixel: 0 is the ground, called background."""

    scenes: Playground
    problems: Sequence[Problem] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return (BACKGROUND, *self.scenes.classes)

    def __len__(self) -> int:
        return len(self.scenes)

    def name(self, index: int) -> str:
        return self.scenes.name(index)

    def image_id(self, index: int) -> int:
        return self.scenes.image_id(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.scenes.size(index)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return self.scenes.image(index, at_least=at_least)

    def label_map(self, index: int) -> np.ndarray:
        return self.scenes.semantic(index)

    def select(self, indices: Sequence[int]) -> SceneMaps:
        return SceneMaps(self.scenes.select(indices))


def check_known(root: str, own: Sequence[str], known: Sequence[str], name: str) -> None:
    """Raise :class:`~baimu.errors.DataError` for classes that ``known``, those of ``name``, lack."""
    foreign = [c for c in own if c not in known]
    if foreign:
        raise DataError(
            f"{root}: has the classes {', '.join(foreign)}, unknown to {name} (which has {', '.join(known)}); name "
            "them alike, or call a class void that is not to count"
        )


def same_maps(val: Any, train: Any) -> Any:
    """``val`` with the classes of ``train``, by their names."""
    if tuple(val.classes) == tuple(train.classes):
        return val
    if isinstance(val, MapSource | PaintedSource):
        return val.like(train)
    raise DataError(f"training has the classes {list(train.classes)}, validation {list(val.classes)}; they must agree")


def require_two_classes(source: SegmentationSource) -> None:
    """Raise :class:`~baimu.errors.DataError` where there is nothing to tell apart."""
    if len(source.classes) < 2:
        raise DataError(
            f"{getattr(source, 'root', source)}: has the classes {list(source.classes)}; a segmenter tells two or more "
            "apart, background among them"
        )
