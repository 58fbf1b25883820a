"""What is in one split of sequences with an object to follow, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from baimu.datasets.sequences import FrameSequences
from baimu.datasets.source import SequenceSource

PERCENTILES = (0, 10, 50, 90, 100)
LOOKED_AT = 400  # frames of a drawn data set, whose boxes have to be drawn to be known


@dataclass(frozen=True)
class SequenceSummary:
    """Of sequences. Box sides are the square root of the area, in pixels; steps are how far the object's centre moves
    from frame to frame, in such sides; of a playground both are of some frames only."""

    sequences: int
    frames: int
    frames_without: int | None  # the object; None where not all frames were looked at
    lengths: list[float]  # frames of a sequence, at PERCENTILES
    box_sides: list[float]  # at PERCENTILES
    steps: list[float]  # at PERCENTILES
    image_sizes: dict[tuple[int, int], int]  # how many sequences have each size

    counted = ""
    per_class: Mapping[str, int] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str]]:
        (height, width), count = next(iter(self.image_sizes.items()), ((0, 0), 0))
        without = "–" if self.frames_without is None else f"{self.frames_without:,}"
        return [
            ("sequences", f"{self.sequences:,}"),
            ("  commonest size", f"{width}x{height} ({count / max(1, self.sequences):.0%})"),
            ("frames", f"{self.frames:,}"),
            ("  without the object", without),
            ("frames a sequence *", " / ".join(f"{v:.0f}" for v in self.lengths)),
            ("box side in pixels *", " / ".join(f"{v:.0f}" for v in self.box_sides)),
            ("step a frame in box sides *", " / ".join(f"{v:.2f}" for v in self.steps)),
        ]

    def to_dict(self) -> dict[str, Any]:
        sizes = [{"height": h, "width": w, "sequences": n} for (h, w), n in self.image_sizes.items()]
        return {**asdict(self), "image_sizes": sizes}


def summarize_sequences(source: SequenceSource) -> SequenceSummary:
    """Counts of one split, from its annotations alone."""
    lengths = [source.frames(i) for i in range(len(source))]
    places = [(i, t) for i, length in enumerate(lengths) for t in range(length)]
    every = isinstance(source, FrameSequences) or len(places) <= LOOKED_AT
    if not every:  # the first frames of sequences that lie evenly
        chosen = np.linspace(0, len(source) - 1, min(len(source), LOOKED_AT // 4)).astype(int)
        places = [(int(i), t) for i in np.unique(chosen) for t in range(min(4, lengths[i]))]
    boxes = np.array([source.box(*place) for place in places], float).reshape(-1, 4)
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    follows = np.array([a[0] == b[0] for a, b in pairwise(places)], bool)
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1) / sides[1:]
    sizes = Counter(source.size(i) for i in range(len(source)))
    return SequenceSummary(
        sequences=len(source),
        frames=sum(lengths),
        frames_without=int(np.isnan(sides).sum()) if every else None,
        lengths=_percentiles(np.array(lengths, float)),
        box_sides=_percentiles(sides),
        steps=_percentiles(steps[follows]),
        image_sizes=dict(sizes.most_common()),
    )


def _percentiles(values: np.ndarray) -> list[float]:
    values = values[np.isfinite(values)]
    return np.percentile(values, PERCENTILES).tolist() if len(values) else []
