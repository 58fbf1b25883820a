"""Series of frame files with one object each to follow, in flat arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from baimu.datasets.flat import ProblemLog, Problems, Texts
from baimu.datasets.images import decode_image, image_size
from baimu.datasets.source import SequenceSource
from baimu.errors import DataError, ImageError


@dataclass(frozen=True, eq=False)
class FrameSequences:
    """S series below ``root``: the :class:`~baimu.datasets.source.SequenceSource` that every reader returns."""

    root: str
    names: Texts
    files: Texts  # of all frames of all series, relative to root
    spans: np.ndarray  # (S, 2) int64: a series' first frame, and their count
    boxes: np.ndarray  # (F, 4) float64
    sizes: np.ndarray  # (S, 2) int64 height, width
    problems: Problems
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"FrameSequences({self.root!r}: {len(self)} sequences, {int(self.spans[:, 1].sum())} frames)"

    def name(self, index: int) -> str:
        return os.path.join(self.root, self.names[index])

    def image_id(self, index: int) -> str:
        """The series' name below the root."""
        return self.names[index]

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.sizes[index].tolist()
        return height, width

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        """The first frame."""
        return decode_image(self.file(index, 0), at_least=at_least)

    def frames(self, index: int) -> int:
        return int(self.spans[index, 1])

    def frame(self, index: int, number: int) -> np.ndarray:
        """Raises :class:`~baimu.errors.ImageError` for a frame of another size than the first, too."""
        image = decode_image(self.file(index, number))
        if image.shape[:2] != self.size(index):
            height, width = self.size(index)
            raise ImageError(
                f"{self.file(index, number)}: is {image.shape[1]}x{image.shape[0]}, the first frame {width}x{height}; "
                "a sequence has frames of one size"
            )
        return image

    def box(self, index: int, number: int) -> np.ndarray:
        return self.boxes[self.spans[index, 0] + range(self.frames(index))[number]]

    def file(self, index: int, number: int) -> str:
        """Path of a frame."""
        return os.path.join(self.root, self.files[int(self.spans[index, 0]) + range(self.frames(index))[number]])

    def select(self, indices: Sequence[int] | np.ndarray) -> FrameSequences:
        """The subset of these series, in this order; frames are shared."""
        chosen = np.asarray(indices, np.int64).reshape(-1)
        return replace(
            self,
            names=self.names.take(chosen),
            spans=self.spans[chosen],
            sizes=self.sizes[chosen],
            problems=self.problems.for_images(chosen, len(self)),
        )


def gather(
    root: str | os.PathLike[str], series: Sequence[tuple[str, Sequence[str], np.ndarray]], log: ProblemLog
) -> FrameSequences:
    """Series given as name, frame files (relative to ``root``) and boxes (L, 4).

    A series of which fewer than two frames have a box is left out and reported. Raises
    :class:`~baimu.errors.DataError` when none is left.
    """
    kept, sizes = [], []
    for name, files, boxes in series:
        known = np.flatnonzero(np.isfinite(boxes).all(1))
        if len(known) < 2:
            log.add(os.path.join(root, name), "", "fewer than two frames have a box", "sequence left out", code="T110")
            continue
        try:
            size = image_size(os.path.join(root, files[0]))
        except ImageError as error:
            log.add(os.path.join(root, name), "", str(error), "sequence left out", code="T116")
            continue
        kept.append((name, files, boxes))
        sizes.append(size)
    if not kept:
        first = f"; the first problem: {log.problems()[0]}" if len(log) else ""
        raise DataError(f"{root}: no sequence is left to use{first}", "F103")
    counts = np.array([len(files) for _, files, _ in kept], np.int64)
    return FrameSequences(
        str(root),
        Texts.of(name for name, _, _ in kept),
        Texts.of(file for _, files, _ in kept for file in files),
        np.stack([np.cumsum(counts) - counts, counts], 1),
        np.concatenate([boxes for _, _, boxes in kept]).astype(np.float64),
        np.array(sizes, np.int64),
        log.problems(),
    )


def boxes_of(source: SequenceSource, index: int) -> np.ndarray:
    """(L, 4): the object in every frame of a series."""
    return np.stack([source.box(index, number) for number in range(source.frames(index))])
