"""What is in a split of a segmentation data set, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from baimu.datasets.source import SegmentationSource
from baimu.targets import UNDECIDED

COUNTED = 200
"""So many maps, evenly spaced, are read to count pixels."""


@dataclass(frozen=True)
class MapSummary:
    """Pixels are those of the ``maps`` that were read; sizes are (height, width)."""

    images: int
    maps: int
    pixels_per_class: dict[str, int]
    undecided: float  # share of all pixels
    images_per_class: dict[str, int]  # maps that have the class
    image_sizes: dict[tuple[int, int], int]  # how many images have each size

    counted = "pixels"  # by class

    @property
    def per_class(self) -> dict[str, int]:
        return self.pixels_per_class

    def rows(self) -> list[tuple[str, str]]:
        (height, width), count = next(iter(self.image_sizes.items()), ((0, 0), 0))
        more = f" and {len(self.image_sizes) - 1} more sizes" if len(self.image_sizes) > 1 else ""
        rare = min(self.images_per_class, key=lambda name: self.images_per_class[name], default="")
        return [
            ("images", f"{self.images:,}"),
            ("  commonest size", f"{width}x{height} ({count / max(1, self.images):.0%}){more}"),
            ("label maps read", f"{self.maps:,}"),
            ("undecided pixels", f"{self.undecided:.1%}"),
            ("rarest class", f"{rare}, in {self.images_per_class.get(rare, 0):,} maps"),
        ]

    def to_dict(self) -> dict[str, Any]:
        sizes = [{"height": h, "width": w, "images": count} for (h, w), count in self.image_sizes.items()]
        return {**asdict(self), "image_sizes": sizes}


def summarize_maps(source: SegmentationSource) -> MapSummary:
    """Counts of one split; of many maps some are read, and one that is wrong raises a
    :class:`~baimu.errors.DataError`."""
    chosen = np.unique(np.linspace(0, len(source) - 1, COUNTED).round().astype(int)).tolist() if len(source) else []
    pixels, images = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for i in chosen:
        own = np.bincount(source.label_map(i).ravel(), minlength=256)
        pixels += own
        images += own > 0
    sizes = Counter(source.size(i) for i in range(len(source)))
    names = source.classes
    return MapSummary(
        images=len(source),
        maps=len(chosen),
        pixels_per_class=dict(zip(names, pixels.tolist(), strict=False)),
        undecided=float(pixels[UNDECIDED] / max(1, pixels.sum())),
        images_per_class=dict(zip(names, images.tolist(), strict=False)),
        image_sizes=dict(sizes.most_common()),
    )
