"""Persons cut out of cameras' pictures, whose file names say who and by which camera: Market-1501, DukeMTMC-reID.

``0002_c1s1_000451_03.jpg`` is identity 2 by camera 1. ``bounding_box_train`` is the training split; ``query`` and
``bounding_box_test`` together are the test split: who is looked for, and where. Identity −1 are cuts that show nobody
rightly; as in the benchmark they are left out. 0 are persons that no query looks for. A folder of such names
without these subfolders is all there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from baimu.datasets.flat import ProblemLog
from baimu.datasets.identities import GALLERY, QUERY, Identities, identities
from baimu.datasets.images import SUFFIXES
from baimu.datasets.labels import image_files

TRAIN, TEST, LOOKED_FOR = ("bounding_box_train", "train"), ("bounding_box_test", "gallery", "test"), "query"
PERSON = re.compile(r"(-?\d+)_c(\d+)")
JUNK = "-1"
ENOUGH = 0.9  # of the names must say who and where, so that a folder counts as one of persons


def find_person_crops(path: Path) -> dict[str, Callable[[], Identities]]:
    """The splits of a folder of such images, to be read when called; empty when ``path`` is none."""
    if not path.is_dir():
        return {}
    train, test = (next((path / n for n in names if _is_one(path / n)), None) for names in (TRAIN, TEST))
    found: dict[str, Callable[[], Identities]] = {}
    if train is not None:
        found["train"] = partial(read_person_crops, train)
    if test is not None and _is_one(path / LOOKED_FOR):
        found["test"] = partial(read_person_crops, test, path / LOOKED_FOR)
    if not found and _is_one(path):
        found["all"] = partial(read_person_crops, path)
    return found


def read_person_crops(gallery: str | Path, query: str | Path | None = None) -> Identities:
    """The images of ``gallery``; with ``query`` those besides, which alone are looked for, and not among themselves.

    Left out and named in ``problems``: images whose name says nothing, or cannot be read, and those of nobody. Raises
    :class:`~baimu.errors.DataError` when nothing is left.
    """
    folders = [Path(gallery), *([] if query is None else [Path(query)])]
    root, log = folders[0] if query is None else folders[0].parent, ProblemLog()
    files: list[str] = []
    names: list[str] = []
    numbers: list[tuple[int, int]] = []
    for folder in folders:
        role = QUERY | GALLERY if query is None else GALLERY if folder == folders[0] else QUERY
        junk = 0
        for file in _images(folder):
            said = PERSON.match(file.name)
            if said is None:
                log.add(str(file), "", "its name does not say who and where (0002_c1…)", "image left out")
            elif said[1] == JUNK:
                junk += 1
            else:
                files.append(file.relative_to(root).as_posix())
                names.append(said[1])
                numbers.append((int(said[2]), role))
        if junk:
            log.add(str(folder), "", f"{junk} images show nobody rightly (identity -1)", "images left out")
    pictures, kept = image_files(root, files, log)
    cameras, roles = np.array(numbers, np.int64).reshape(-1, 2)[kept].T
    return identities(pictures, [names[i] for i in kept], str(root), log, cameras=cameras, roles=roles)


def _images(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file())


def _is_one(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    images = _images(folder)
    return bool(images) and sum(PERSON.match(f.name) is not None for f in images) >= ENOUGH * len(images)
