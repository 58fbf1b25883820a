"""From a series of images to batches of network input, read ahead by threads where that is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch

from baimu.datasets.transforms import to_input
from baimu.errors import ImageError
from baimu.inference.sources import Images, Item, open_images
from baimu.preprocess import Frame, Preprocess
from baimu.targets import Batch, Targets

R = TypeVar("R")


class Ready(NamedTuple):
    """One image, read and resized; or one text, its words numbered."""

    item: Item
    pixels: np.ndarray  # at input size; of a text the numbers of its words
    frame: Frame
    image: np.ndarray | None  # the source, where it cannot be read again


class Broken(NamedTuple):
    """One image that cannot be read, in its place among the others."""

    item: Item
    error: ImageError


class Medium(Protocol):
    """What a model looks at: images, or texts. How a source of them is opened, and a batch made of its items."""

    drawn: bool  # whether a result can be drawn on what it is about

    def open(self, source: Any) -> Images:
        """What the user gave as one lazy series. Raises :class:`~baimu.errors.DataError` for what is missing."""
        ...

    def prepare(self, item: Item, preprocess: Any) -> Ready:
        """An item, read and made ready for a batch."""
        ...

    def collate(self, ready: list[Ready], preprocess: Any) -> Batch: ...

    def attach(self, found: Any, ready: Ready) -> Any:
        """The result with what it is about."""
        ...


class ImageMedium:
    """Images, as :func:`~baimu.inference.sources.open_images` opens them."""

    drawn = True

    def open(self, source: Any) -> Images:
        return open_images(source)

    def prepare(self, item: Item, preprocess: Preprocess) -> Ready:
        image = item.read()
        pixels, frame = to_input(image, preprocess)
        return Ready(item, pixels, frame, None if item.is_file else image)

    def collate(self, ready: list[Ready], preprocess: Preprocess) -> Batch:
        return collate(ready, preprocess)

    def attach(self, found: Any, ready: Ready) -> Any:
        return replace(found, image=ready.image, read=ready.item.read if ready.image is None else None)


IMAGES = ImageMedium()


def or_broken(prepare: Callable[[Item], Ready], item: Item) -> Ready | Broken:
    """The item made ready, or why it cannot be read."""
    try:
        return prepare(item)
    except ImageError as error:
        return Broken(item, error)


def read_ahead(items: Iterable[Item], prepare: Callable[[Item], R], workers: int) -> Iterator[R]:
    """The items made ready, in order; with workers, by threads that run at most twice their number ahead."""
    if workers == 0:
        yield from map(prepare, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="baimu-read")
    waiting: deque[Future[R]] = deque()
    try:
        remaining = iter(items)
        waiting.extend(pool.submit(prepare, item) for item in islice(remaining, 2 * workers))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(prepare, item) for item in islice(remaining, 1))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def group(images: Iterable[Ready | Broken], batch_size: int, mix_sizes: bool) -> Iterator[list[Ready | Broken]]:
    """Batches in order; without ``mix_sizes`` a new one begins wherever the input size changes. What is broken keeps
    its place in the batch, so that the others of all batches stay together."""
    batch: list[Ready | Broken] = []
    size = None
    for ready in images:
        if not mix_sizes and isinstance(ready, Ready):
            if batch and size not in (None, ready.frame.size):
                yield batch
                batch = []
            size = ready.frame.size
        batch.append(ready)
        if len(batch) == batch_size:
            yield batch
            batch, size = [], None
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
