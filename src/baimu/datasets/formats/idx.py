"""idx files, as MNIST, Fashion-MNIST and EMNIST come: a header of sizes, then the numbers; ``.gz`` too.

A file of images (``train-images-idx3-ubyte``) goes with the file of labels of the same name
(``train-labels-idx1-ubyte``). Names that begin or end with ``train`` are the training split; ``val``, ``t10k`` and
``test`` are what they say. ``classes.txt`` beside them, one name a line, names the labels; without it their numbers do.

The format, from MNIST's page: two zero bytes, a byte for the type (8: uint8), one for the count of dimensions, each
dimension as a big-endian uint32, the numbers in row-major order.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.flat import ProblemLog
from baimu.datasets.labels import LabelSource, single_labels
from baimu.errors import DataError

_IMAGES = re.compile(r"(.*?)[-_.]?images?[-_.]idx[34][-_.]ubyte(\.gz)?", re.IGNORECASE)
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4"}
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "t10k": "test", "test": "test"}
_BLOCK = 1 << 24  # bytes


@dataclass(frozen=True, eq=False)
class ImageStack:
    """Images of one size in one array, ``pixels`` (M, H, W) or (M, H, W, 3) uint8; ``root`` is their file."""

    root: str
    pixels: np.ndarray
    numbers: np.ndarray  # (N,) which image of the file each is, from 0

    def __len__(self) -> int:
        return len(self.numbers)

    def name(self, index: int) -> str:
        return f"{self.root}, image {self.numbers[index]}"

    def image_id(self, index: int) -> int:
        return int(self.numbers[index])

    def size(self, index: int) -> tuple[int, int]:
        return self.pixels.shape[1], self.pixels.shape[2]

    def image(self, index: int, at_least: int | None) -> np.ndarray:
        del at_least  # there is no cheaper smaller picture
        pixels = self.pixels[self.numbers[index]]
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, 2)

    def take(self, indices: np.ndarray) -> ImageStack:
        return replace(self, numbers=self.numbers[indices])

    def joined(self, other: ImageStack) -> ImageStack:
        if self.pixels.shape[1:] != other.pixels.shape[1:]:
            raise DataError(f"{self.root} and {other.root}: hold images of two sizes and cannot be joined")
        numbers = np.concatenate([self.numbers, other.numbers + len(self.pixels)])
        return ImageStack(f"{self.root}+{Path(other.root).name}", np.concatenate([self.pixels, other.pixels]), numbers)


def find_idx(path: Path) -> dict[str, Callable[[], LabelSource]]:
    """The splits of a folder of idx files, or the one whose images ``path`` is; empty when it is neither."""
    if path.is_file():
        return {"all": partial(read_idx, path)} if _IMAGES.fullmatch(path.name) else {}
    files = [entry for entry in sorted(path.glob("*")) if _IMAGES.fullmatch(entry.name) and entry.is_file()]
    found: dict[str, Path] = {}
    for file in files:
        split = _split_of(file)
        held = found.get(split)
        if held is not None and held.with_suffix("") != file and file.with_suffix("") != held:
            raise DataError(f"{path}: holds two data sets, {held.name} and {file.name}; name the file of images")
        found.setdefault(split, file)  # the plain file comes before its .gz
    order = [*dict.fromkeys(_SPLITS.values()), "all"]
    return {split: partial(read_idx, found[split]) for split in order if split in found}


def read_idx(images: str | Path) -> LabelSource:
    """The images of an idx file with the labels of the file that goes with it.

    Raises :class:`~baimu.errors.DataError` for a file that is absent, of another type or damaged, when there are not as
    many labels as images, and for labels that ``classes.txt`` does not name.
    """
    images = Path(images)
    file = _labels_of(images)
    pixels, labels = read_array(images), read_array(file)
    if pixels.dtype != np.uint8 or not (pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] in (1, 3))):
        raise DataError(
            f"{images}: holds {pixels.dtype} numbers of shape {pixels.shape}; images are uint8 of shape (N, H, W) or "
            "(N, H, W, 3)"
        )
    if 0 in pixels.shape:
        raise DataError(f"{images}: holds no image, its shape is {pixels.shape}; give another file")
    if labels.ndim != 1 or labels.shape[0] != len(pixels):
        raise DataError(
            f"{file}: holds {' x '.join(map(str, labels.shape))} labels for the {len(pixels)} images of "
            f"{images.name}; give files that belong together"
        )
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    labels = labels.astype(np.int64)
    classes = _class_names(images.parent, labels)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        raise DataError(
            f"{file}: label {labels[wrong[0]]} of image {wrong[0]} is none of the {len(classes)} lines of classes.txt, "
            f"as {len(wrong):,} in all; correct one of the files"
        )
    pictures = ImageStack(str(images), pixels, np.arange(len(pixels)))
    return single_labels(pictures, classes, labels, str(images), ProblemLog())


def read_array(file: Path) -> np.ndarray:
    """The array of an idx file. Raises :class:`~baimu.errors.DataError` unless type, sizes and length are right."""
    try:
        with gzip.open(file) if file.suffix.lower() == ".gz" else open(file, "rb") as stream:
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES or head[3] == 0:
                raise DataError(
                    f"{file}: is no idx file of whole numbers: it begins with {head.hex(' ') or 'nothing'}, where "
                    "00 00 08 and the count of dimensions should stand; download it again"
                )
            kind, ndim = np.dtype(_TYPES[head[2]]), head[3]
            sizes = stream.read(4 * ndim)
            if len(sizes) < 4 * ndim:
                raise DataError(f"{file}: is cut off in its header; download it again")
            sizes = np.frombuffer(sizes, ">u4").tolist()
            length = math.prod(sizes) * kind.itemsize
            data = _read(stream, length + 1)  # one more, to see whether something follows
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file}: cannot be read ({reason}); check the path, or download it again") from None
    if len(data) != length:
        having = "more" if len(data) > length else f"{len(data):,}"
        raise DataError(
            f"{file}: is damaged or cut off: its header says {' x '.join(map(str, sizes))} = {length:,} bytes, and "
            f"there are {having}; download it again"
        )
    return np.frombuffer(data, kind).reshape(sizes).astype(kind.newbyteorder("="), copy=False)


def _read(stream: Any, most: int) -> bytes:
    """At most so many bytes. A wrong header may promise more than any memory holds, so none is set aside for them."""
    blocks, got = [], 0
    while got < most and (block := stream.read(min(most - got, _BLOCK))):
        blocks.append(block)
        got += len(block)
    return b"".join(blocks)


def _split_of(images: Path) -> str:
    """By a word of the name; ``all`` where none says it."""
    match = _IMAGES.fullmatch(images.name)
    words = re.split(r"[-_.]", match[1].lower()) if match else []
    return next((_SPLITS[word] for word in words if word in _SPLITS), "all")


def _labels_of(images: Path) -> Path:
    """The file of labels that goes with a file of images."""
    name = re.sub(r"images?([-_.])idx[34]", r"labels\1idx1", images.name, flags=re.IGNORECASE)
    names = {name, name.removesuffix(".gz"), f"{name.removesuffix('.gz')}.gz"}
    for file in (images.with_name(name), *(images.with_name(n) for n in sorted(names))):
        if file.is_file():
            return file
    raise DataError(f"{images}: its labels are missing; put {name} beside it")


def _class_names(folder: Path, labels: np.ndarray) -> tuple[str, ...]:
    file = folder / "classes.txt"
    if not file.is_file():
        return tuple(str(i) for i in range(int(labels.max(initial=0)) + 1))
    return read_class_names(file)


def read_class_names(file: Path) -> tuple[str, ...]:
    """One name a line, each once. Raises :class:`~baimu.errors.DataError`."""
    try:
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); save it as UTF-8 text, one class a line") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise DataError(f"{file}: {f'names {twice[0]!r} twice' if twice else 'is empty'}; give each class one line")
    return names
