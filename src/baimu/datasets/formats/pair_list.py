"""Lists of image pairs that verification is scored on, of one identity or of two.

LFW's ``pairs.txt``: a first line ``folds<TAB>pairs of each kind in a fold``, then lines ``name i j`` (two images of one
identity) and ``name i other j``, whose files are ``name/name_0001.jpg``. Or lines ``path path 1`` (of one identity) and
``path path 0``, below the folder; those are ten folds in their order.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from baimu.datasets.identities import Identities
from baimu.datasets.source import Pairs
from baimu.errors import DataError

NAME = "pairs.txt"
FOLDS = 10


def find_pair_list(*folders: Path) -> Path | None:
    """The list in one of the folders, or beside the first."""
    return next((place / NAME for place in (*folders, folders[0].parent) if (place / NAME).is_file()), None)


def read_pair_list(file: Path, source: Identities) -> Pairs:
    """The pairs of ``file`` as positions in ``source``.

    Raises :class:`~baimu.errors.DataError` with the line for what is no pair, and for an image that is not there: a
    score over other pairs than the list's could be compared with nothing.
    """
    position = {Path(str(source.image_id(i))).with_suffix("").as_posix(): i for i in range(len(source))}
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    header = re.fullmatch(r"(\d+)[\t ,]+(\d+)", lines[0]) if lines else None
    rows: list[tuple[int, int, bool]] = []
    for number, line in enumerate(lines[1:] if header else lines, start=2 if header else 1):
        if not line:
            continue
        pair = _pair(re.split(r"\t|,|\s+", line))
        if pair is None:
            raise DataError(
                f"{file}, line {number}: {line!r} is no pair; write 'name 1 2', 'name 1 other 2' or 'a b 1'"
            )
        for name in pair[:2]:
            if name not in position:
                raise DataError(f"{file}, line {number}: there is no image {name} in {source.root}")
        rows.append((position[pair[0]], position[pair[1]], pair[2]))
    if not rows:
        raise DataError(f"{file}: names no pair")
    first, second, same = (np.array(column) for column in zip(*rows, strict=True))
    folds, size = (int(header[1]), 2 * int(header[2])) if header else (FOLDS, -(-len(rows) // FOLDS))
    fold = np.arange(len(rows)) // max(size, 1)
    if fold[-1] >= folds:
        raise DataError(f"{file}: has {len(rows)} pairs, but its first line says {folds} folds of {size}")
    return Pairs(first.astype(np.int64), second.astype(np.int64), same.astype(bool), fold)


def _pair(words: list[str]) -> tuple[str, str, bool] | None:
    """Both images without their suffix, and whether they are of one identity."""
    match words:
        case [name, first, second] if first.isdigit() and second.isdigit() and "/" not in name:
            return _numbered(name, first), _numbered(name, second), True
        case [name, first, other, second] if first.isdigit() and second.isdigit():
            return _numbered(name, first), _numbered(other, second), False
        case [first, second, ("0" | "1") as same]:
            one, two = (Path(path).with_suffix("").as_posix() for path in (first, second))
            return one, two, same == "1"
    return None


def _numbered(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}"
