"""The databases of clovaai's text recognition benchmark (MJSynth, SynthText, IIIT5K, …), by the extra ``text``.

``num-samples`` says how many there are; ``image-000000001`` is an encoded image, ``label-000000001`` its text.
"""

from __future__ import annotations

import functools
import importlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.flat import ProblemLog
from baimu.datasets.images import decode_image, image_size
from baimu.datasets.lines import Lines, clean, make_lines
from baimu.errors import DataError, ImageError


def is_lmdb(folder: Path) -> bool:
    return (folder / "data.mdb").is_file()


@functools.lru_cache(maxsize=16)
def _opened(folder: str, process: int) -> Any:
    """The database, once a ``process``: a handle must not be used behind a fork."""
    del process
    try:
        lmdb = importlib.import_module("lmdb")
    except ImportError:
        raise DataError(f"{folder}: is an LMDB; reading it needs lmdb: pip install 'baimu[text]'") from None
    return lmdb.open(folder, readonly=True, lock=False, readahead=False, meminit=False)


def _get(folder: str, key: str) -> bytes:
    with _opened(folder, os.getpid()).begin() as transaction:
        value = transaction.get(key.encode())
    if value is None:
        raise DataError(f"{folder}: has no entry {key!r}; the database is incomplete")
    return bytes(value)


@dataclass(frozen=True, eq=False)
class LmdbImages:
    """:class:`~baimu.datasets.labels.Pictures` of a database."""

    folder: str
    numbers: np.ndarray  # (N,) int64, from 1
    sizes: np.ndarray  # (N, 2) int32 height, width

    def __len__(self) -> int:
        return len(self.numbers)

    def name(self, index: int) -> str:
        return f"{self.folder}#{self.numbers[index]}"

    def image_id(self, index: int) -> int:
        return int(self.numbers[index])

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.sizes[index].tolist()
        return height, width

    def image(self, index: int, at_least: int | None) -> np.ndarray:
        try:
            return decode_image(_get(self.folder, f"image-{self.numbers[index]:09d}"), at_least=at_least)
        except ImageError as error:
            raise ImageError(f"{self.name(index)}: {error}") from None

    def take(self, indices: np.ndarray) -> LmdbImages:
        return replace(self, numbers=self.numbers[indices], sizes=self.sizes[indices])

    def joined(self, other: LmdbImages) -> LmdbImages:
        raise DataError(f"{self.folder} and {other.folder}: databases cannot be joined; leave val_fraction away")


def read_lmdb(folder: str | Path) -> Lines:
    """All entries of one database; those without text or readable image are left out and stand in ``problems``."""
    place, log = str(folder), ProblemLog()
    numbers, sizes, texts = [], [], []
    for number in range(1, int(_get(place, "num-samples")) + 1):
        record = f"entry {number}"
        try:
            text = clean(_get(place, f"label-{number:09d}").decode("utf-8"))
            size = image_size(_get(place, f"image-{number:09d}"))
        except (DataError, UnicodeDecodeError) as error:
            log.add(place, record, str(error), "entry left out")
            continue
        if not text:
            log.add(place, record, "has no text", "entry left out")
            continue
        numbers.append(number)
        sizes.append(size)
        texts.append(text)
    pictures = LmdbImages(place, np.array(numbers, np.int64), np.array(sizes, np.int32).reshape(-1, 2))
    return make_lines(place, pictures, texts, [""] * len(texts), log)
