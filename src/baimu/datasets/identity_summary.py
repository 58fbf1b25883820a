"""What is in one split of images of identities, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from baimu.datasets.identities import Identities
from baimu.datasets.source import IdentitySource

PERCENTILES = (0, 10, 50, 90, 100)
LISTED = 100
"""Identities that are listed one by one; of more, their groups where they have some."""


@dataclass(frozen=True)
class IdentitySummary:
    """Of images of identities; sizes are (height, width)."""

    images: int
    identities: int
    images_of_nobody: int
    images_per_identity: list[float]  # at PERCENTILES
    single_images: int  # identities with one image, which no search can find again
    cameras: int
    queries: int  # images that are looked for
    gallery: int  # images that may be found
    pairs: int  # that the data name for verification
    per_class: dict[str, int]  # images of each identity, or of each group of them
    image_sides: list[float]  # the shorter ones, at PERCENTILES
    image_sizes: dict[tuple[int, int], int]  # how many images have each size

    counted = "images"

    def rows(self) -> list[tuple[str, str]]:
        (height, width), count = next(iter(self.image_sizes.items()), ((0, 0), 0))
        more = f" and {len(self.image_sizes) - 1} more sizes" if len(self.image_sizes) > 1 else ""
        return [
            ("images", f"{self.images:,}"),
            ("  commonest size", f"{width}x{height} ({count / max(self.images, 1):.0%}){more}"),
            ("shorter side in pixels *", _numbers(self.image_sides)),
            ("identities", f"{self.identities:,}"),
            ("  with one image only", f"{self.single_images:,}"),
            ("images an identity *", _numbers(self.images_per_identity)),
            ("cameras", f"{self.cameras:,}" if self.cameras else "not told"),
            ("queries / gallery", f"{self.queries:,} / {self.gallery:,}"),
            ("pairs for verification", f"{self.pairs:,}" if self.pairs else "none named"),
        ]

    def to_dict(self) -> dict[str, Any]:
        sizes = [{"height": h, "width": w, "images": count} for (h, w), count in self.image_sizes.items()]
        return {**asdict(self), "image_sizes": sizes}


def summarize_identities(source: IdentitySource) -> IdentitySummary:
    """Counts of one split, from its annotations alone."""
    shown = [source.shown(i) for i in range(len(source))]
    known = np.array([s.identity for s in shown if s.identity >= 0], np.int64)
    counts = np.bincount(known, minlength=len(source.classes))
    sizes = Counter(source.size(i) for i in range(len(source)))
    names = source.groups if isinstance(source, Identities) and len(source.classes) > LISTED else source.classes
    listed: Counter[str] = Counter()
    for name, count in zip(names, counts.tolist(), strict=True):
        listed[name] += count
    return IdentitySummary(
        images=len(source),
        identities=len(source.classes),
        images_of_nobody=len(shown) - len(known),
        images_per_identity=_percentiles(counts),
        single_images=int((counts == 1).sum()),
        cameras=len({s.camera for s in shown if s.camera >= 0}),
        queries=sum(s.query for s in shown),
        gallery=sum(s.gallery for s in shown),
        pairs=0 if source.pairs is None else len(source.pairs.same),
        per_class=dict(listed) if len(listed) <= LISTED else {},
        image_sides=_percentiles(np.repeat([min(size) for size in sizes], list(sizes.values()))),
        image_sizes=dict(sizes.most_common()),
    )


def _percentiles(values: np.ndarray) -> list[float]:
    return [round(float(v), 1) for v in np.percentile(values, PERCENTILES)] if len(values) else []


def _numbers(values: list[float]) -> str:
    return " / ".join(f"{value:.0f}" for value in values) or "–"
