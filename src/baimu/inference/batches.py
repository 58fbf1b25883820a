"""From a series of images to batches of network input, read ahead by threads where that is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from baimu.datasets.transforms import to_input
from baimu.inference.sources import Item
from baimu.preprocess import Frame, Preprocess
from baimu.targets import Batch, Targets


class Ready(NamedTuple):
    """One image, read and resized."""

    item: Item
    pixels: np.ndarray  # at input size
    frame: Frame
    image: np.ndarray | None  # the source, where it cannot be read again


def read_ahead(items: Iterable[Item], preprocess: Preprocess, workers: int) -> Iterator[Ready]:
    """The items read and resized, in order; with workers, by threads that run at most twice their number ahead."""
    prepare = partial(_prepare, preprocess=preprocess)
    if workers == 0:
        yield from map(prepare, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="baimu-read")
    waiting: deque[Future[Ready]] = deque()
    try:
        remaining = iter(items)
        waiting.extend(pool.submit(prepare, item) for item in islice(remaining, 2 * workers))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(prepare, item) for item in islice(remaining, 1))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare(item: Item, preprocess: Preprocess) -> Ready:
    image = item.read()
    pixels, frame = to_input(image, preprocess)
    return Ready(item, pixels, frame, None if item.is_file else image)


def group(images: Iterable[Ready], batch_size: int, mix_sizes: bool) -> Iterator[list[Ready]]:
    """Batches in order; without ``mix_sizes`` a new one begins wherever the input size changes."""
    batch: list[Ready] = []
    for ready in images:
        if batch and not mix_sizes and ready.frame.size != batch[0].frame.size:
            yield batch
            batch = []
        batch.append(ready)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def collate(ready: list[Ready], preprocess: Preprocess) -> Batch:
    """One batch without objects, padded at the right and bottom."""
    frames = [r.frame for r in ready]
    height, width = preprocess.batch_size_of(frames)
    pixels = np.zeros((len(ready), height, width, 3), np.uint8)
    sizes = []
    for place, r in zip(pixels, ready, strict=True):
        top, left = max(0, r.frame.top), max(0, r.frame.left)
        bottom, right = top + r.frame.size[0], left + r.frame.size[1]
        place[top:bottom, left:right] = r.pixels
        sizes.append((bottom, right))
    nothing = [torch.zeros(0, 4)] * len(ready), [torch.zeros(0, dtype=torch.int64)] * len(ready)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # channels-last in memory
    return Batch(images, Targets.collate(*nothing, sizes), frames, [r.item.name for r in ready])
