"""Fingerprints: equal for equal files, close for pictures that look alike, and found without comparing all with all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from PIL import Image
from scipy.fft import dctn

BITS, BANDS = 64, 8
CLOSE = BANDS - 2
"""Bits by which the hashes of two like pictures may differ: so few leave at least two of the bands untouched."""
LIKE = 6.0
"""Mean difference in grey values, 0…255, of two like pictures' thumbnails of equal brightness."""
CROWDED = 64
"""Pictures that share two bands are compared each with each; where there are more, with so many in their order."""
_GREY, _SMALL = 32, 16


def content_hash(data: bytes) -> bytes:
    """Of the file as it is."""
    return hashlib.blake2b(data, digest_size=16).digest()


def picture_hash(image: np.ndarray) -> tuple[int, np.ndarray, bool]:
    """64 bits from the low frequencies of a picture (H, W, 3) uint8, its grey thumbnail (256,) uint8, and whether it is
    of a single colour, where bits say nothing."""
    picture = Image.fromarray(image).convert("L")
    grey = np.asarray(picture.resize((_GREY, _GREY), Image.Resampling.BOX), np.float64)
    low = np.asarray(dctn(grey, norm="ortho"))[:_LOW, :_LOW].ravel()[_RANK]
    bits = low > np.median(low)
    small = np.asarray(picture.resize((_SMALL, _SMALL), Image.Resampling.BOX)).ravel()
    return int(np.packbits(bits).view(">u8")[0]), small, bool((image == image[:1, :1]).all())


_LOW = 9
_RANK = np.argsort(np.add.outer(np.arange(_LOW), np.arange(_LOW)).ravel(), kind="stable")[1 : BITS + 1]
"""The 64 lowest frequencies but the mean, among the 81."""


def alike(hashes: np.ndarray, thumbnails: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of positions whose pictures look the same; ``hashes`` (N,) uint64, ``thumbnails`` (N, 256) uint8.

    Two hashes that differ in at most six bits have two of eight bands of 8 bits in common, so only those that share
    two bands are compared: the work grows with N, not with its square.
    """
    known: set[tuple[int, int]] = set()
    bands = hashes.astype(np.uint64).view(np.uint8).reshape(-1, BANDS).astype(np.int64)
    for first, second in combinations(range(BANDS), 2):
        keys = bands[:, first] << 8 | bands[:, second]
        order = np.lexsort((hashes, keys))
        reach = 1
        while reach < min(CROWDED, len(order)):
            one, other = order[:-reach], order[reach:]
            together = keys[one] == keys[other]
            if not together.any():
                break
            one, other = one[together], other[together]
            differ = (hashes[one] ^ hashes[other]).view(np.uint8).reshape(-1, 8)
            near = np.unpackbits(differ, axis=1).sum(1) <= CLOSE
            for pair in zip(one[near].tolist(), other[near].tolist(), strict=True):
                a, b = sorted(pair)
                if (a, b) not in known and _difference(thumbnails[a], thumbnails[b]) <= LIKE:
                    known.add((a, b))
                    yield a, b
            reach += 1


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    gap = one.astype(np.float32) - other
    return float(np.abs(gap - gap.mean()).mean())
