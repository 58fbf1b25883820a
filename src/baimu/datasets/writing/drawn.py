"""Objects that come from no file, such as the playground's, as writers want them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.columns import Columns
from baimu.datasets.flat import ProblemLog, Texts
from baimu.datasets.outlines import Outlines
from baimu.datasets.source import DetectionSource
from baimu.masks import Masks, decode_runs


@dataclass(frozen=True, eq=False)
class DrawnSource(FileSource):
    """The objects of ``source`` in arrays; its pixels are asked of itself."""

    source: Any = None

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return self.source.image(index, at_least=at_least)


def drawn(source: DetectionSource) -> DrawnSource:
    """All objects of a source, with their masks where it has some."""
    things = [source.objects(i) for i in range(len(source))]
    counts = np.array([len(own) for own in things], np.int64)
    masked = bool(things) and all(own.masks is not None for own in things)
    packed = [text for own in things if own.masks is not None for text in Masks.of(own.masks).counts]
    columns = Columns(
        boxes=np.concatenate([own.boxes for own in things]),
        labels=np.concatenate([own.labels for own in things]),
        crowd=np.concatenate([own.crowd for own in things]),
        areas=np.concatenate([own.areas for own in things]),
        ids=np.arange(1, counts.sum() + 1),
        outlines=Outlines.of([[decode_runs(text).astype(np.uint32)] for text in packed]) if masked else None,
    )
    return DrawnSource(
        root="",
        classes=tuple(source.classes),
        category_ids=tuple(source.category_ids),
        files=Texts.of(source.name(i) for i in range(len(source))),
        image_ids=np.arange(1, len(source) + 1),
        sizes=np.array([source.size(i) for i in range(len(source))], np.int32),
        spans=np.stack([np.cumsum(counts) - counts, counts], 1),
        columns=columns,
        problems=ProblemLog().problems(),
        source=source,
    )
