"""Which parts of an image speak for an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from baimu.preprocess import Frame
from baimu.results.result import Result


@dataclass(frozen=True, eq=False)
class Explanation(Result):
    """How much each place of an image speaks for the class ``label``.

    ``map`` (h, w) float32 in 0…1, 1 where it is most, is as coarse as the network's own; ``heat`` is the same in pixels
    of the source. A cell of it is ``cell`` (height, width) pixels of the network's input, in which ``frame`` says where
    the image lies. ``score`` is the class's probability, or the best of the detections that are explained, whose
    ``boxes`` (n, 4) are xyxy in source pixels. Where a detector found nothing to explain, ``label`` is −1 and the map
    zero. ``names``, ``size``, ``source``, ``image`` and ``read`` as of :class:`~baimu.results.result.Result`.
    """

    map: np.ndarray
    cell: tuple[float, float]
    frame: Frame
    label: int
    score: float
    names: tuple[str, ...]
    size: tuple[int, int]
    source: str = ""
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    image: np.ndarray | None = None
    read: Callable[[], np.ndarray] | None = None

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.names[self.label] if self.label >= 0 else "nothing"

    @property
    def heat(self) -> np.ndarray:
        """(H, W) float32 in 0…1 in source pixels, interpolated; 0 where the network did not look."""
        return self.heat_at(*self.size)

    def heat_at(self, height: int, width: int) -> np.ndarray:
        """``heat`` for the image scaled to ``height`` x ``width``."""
        y = (np.arange(height) + 0.5) * (self.size[0] / height * self.frame.scale_y) + self.frame.top
        x = (np.arange(width) + 0.5) * (self.size[1] / width * self.frame.scale_x) + self.frame.left
        rows = _weights(y, self.cell[0], self.map.shape[0]) * _seen(y, self.frame.top, self.frame.size[0])
        columns = _weights(x, self.cell[1], self.map.shape[1]) * _seen(x, self.frame.left, self.frame.size[1])
        return (rows @ self.map @ columns.T).astype(np.float32)

    @property
    def summary(self) -> str:
        """What is explained: ``cat 93.1%``."""
        return f"{self.name} {self.score:.1%}"

    def to_dict(self) -> dict[str, Any]:
        """Class, score, boxes and the coarse map as plain numbers, ready for JSON."""
        return {
            "source": self.source,
            "height": self.size[0],
            "width": self.size[1],
            "name": self.name,
            "label": self.label,
            "score": self.score,
            "boxes": self.boxes.tolist(),
            "map": self.map.tolist(),
        }


def _weights(places: np.ndarray, cell: float, cells: int) -> np.ndarray:
    """(n, cells) shares of the two cells whose centres are next to each place, of one beyond the last centre."""
    position = (places / cell - 0.5).clip(0, cells - 1)
    return (1 - np.abs(position[:, None] - np.arange(cells))).clip(0).astype(np.float32)


def _seen(places: np.ndarray, start: int, length: int) -> np.ndarray:
    """(n, 1) whether each place lies in the part of the input that the image fills."""
    first = max(0, start)
    return ((places >= first) & (places <= first + length))[:, None]
