"""The class of each pixel of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from baimu.errors import unknown
from baimu.masks import Masks
from baimu.results.result import Result, extra

if TYPE_CHECKING:
    import pandas


class Area(NamedTuple):
    """What one class has of an image."""

    label: int
    name: str
    pixels: int
    share: float  # of all pixels
    score: float  # mean probability of its pixels; nan where it is not known


@dataclass(frozen=True, eq=False)
class Segmentation(Result):
    """What each pixel of an image shows.

    ``labels`` (H, W) uint8 in 0…K−1 into ``names``, in the pixels of the source, whose ``size`` this is. ``confidence``
    (H, W) uint8, where it was asked for, is the probability of each pixel's class in 255ths. ``source``, ``image`` and
    ``read`` as of :class:`~baimu.results.result.Result`. Raises ``ValueError`` when shapes, types or labels do not fit.
    """

    labels: np.ndarray
    names: tuple[str, ...]
    size: tuple[int, int]
    source: str = ""
    confidence: np.ndarray | None = None
    image: np.ndarray | None = None
    read: Callable[[], np.ndarray] | None = None

    def __post_init__(self) -> None:
        for name, values in (("labels", self.labels), ("confidence", self.confidence)):
            if values is not None and (values.shape != tuple(self.size) or values.dtype != np.uint8):
                raise ValueError(f"{name} must be uint8 {tuple(self.size)}, got {values.dtype} {values.shape}")
        if self.labels.max(initial=0) >= len(self.names):
            raise ValueError(f"labels must lie in 0…{len(self.names) - 1}, the class names given")

    @property
    def areas(self) -> list[Area]:
        """The classes that the image shows, the largest first."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names))
        sums = np.full(len(counts), np.nan)
        if self.confidence is not None:
            sums = np.bincount(self.labels.ravel(), self.confidence.ravel(), minlength=len(self.names)) / 255
        order = [k for k in np.argsort(-counts, kind="stable").tolist() if counts[k]]
        total = max(1, self.labels.size)
        return [
            Area(k, self.names[k], int(counts[k]), float(counts[k] / total), float(sums[k] / counts[k])) for k in order
        ]

    def mask(self, name: str) -> np.ndarray:
        """(H, W) bool, true where the image shows the class; an unknown one offers the nearest."""
        if name not in self.names:
            raise unknown("class", name, self.names)
        return self.labels == self.names.index(name)

    @property
    def summary(self) -> str:
        """The shares of the classes: ``background 81.2%, nerve 18.8%``."""
        return ", ".join(f"{area.name} {area.share:.1%}" for area in self.areas) or "nothing"

    def to_dict(self) -> dict[str, Any]:
        """The classes that are there, each with its pixels as COCO's run lengths, ready for JSON; the image stays
        behind. ``score`` is None where no confidence was asked for."""
        areas = self.areas
        masks = Masks.of(self.labels == np.array([area.label for area in areas], np.uint8)[:, None, None])
        rows = [
            {
                "name": area.name,
                "label": area.label,
                "pixels": area.pixels,
                "share": area.share,
                "score": None if self.confidence is None else area.score,
                "mask": mask,
            }
            for area, mask in zip(areas, masks.to_coco(), strict=True)
        ]
        return {"source": self.source, "height": self.size[0], "width": self.size[1], "areas": rows}

    columns = ("source", "name", "label", "pixels", "share", "score")

    def to_rows(self) -> list[tuple[Any, ...]]:
        """One row a class that is there, the largest first; without a score where no confidence was asked for."""
        return [
            (
                *(self.source, area.name, area.label, area.pixels, f"{area.share:.6f}"),
                "" if self.confidence is None else f"{area.score:.4f}",
            )
            for area in self.areas
        ]

    def to_pandas(self) -> pandas.DataFrame:
        """One row a class that is there, the largest first (needs pandas)."""
        return extra("pandas").DataFrame([{**area._asdict(), "source": self.source} for area in self.areas])

    def save_map(self, path: str | Path) -> Path:
        """Write the labels as a palette PNG: its values are the labels, its colours those of the drawings."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        nothing = np.zeros((*self.size, 3), np.uint8)
        self.draw(nothing, labels_only=True).save(path, format="PNG")
        return path
