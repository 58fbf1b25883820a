"""Omniglot (Lake, Salakhutdinov, Tenenbaum 2015): handwritten characters of many alphabets, 20 drawings each.

The zip files as they are published (``images_background.zip``, ``images_evaluation.zip``, or the two small
``images_background_small1.zip`` and ``…_small2.zip``), or the folders that were in them:
``images_background/ALPHABET/character01/0709_01.png``. A character is an identity, an alphabet a group of them. The
background set is for training, the evaluation set for testing; without the latter, alphabets are set aside.
Characters that lie in two files (both small sets hold Greek and Latin) are taken once.
"""

from __future__ import annotations

import functools
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from baimu.datasets.flat import ProblemLog, Texts
from baimu.datasets.identities import Identities, identities
from baimu.datasets.images import decode_image, find_images, image_size
from baimu.datasets.labels import image_files
from baimu.errors import DataError, ImageError

SET = re.compile(r"images_(background|evaluation)(_small\d)?(\.zip)?")
DRAWING = re.compile(r"(?:.*/)?([^/]+)/(character\d+)/([^/]+\.png)")


@dataclass(frozen=True, eq=False)
class ZippedImages:
    """Images in zip files, read where they lie."""

    archives: tuple[str, ...]
    archive: np.ndarray  # (N,) which of them holds it
    members: Texts
    sizes: np.ndarray  # (N, 2) int32 height, width

    def __len__(self) -> int:
        return len(self.members)

    def name(self, index: int) -> str:
        return os.path.join(self.archives[self.archive[index]], self.members[index])

    def image_id(self, index: int) -> str:
        return self.members[index]

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.sizes[index].tolist()
        return height, width

    def image(self, index: int, at_least: int | None) -> np.ndarray:
        del at_least  # drawings are small
        archive = self.archives[self.archive[index]]
        try:
            data = _opened(archive, os.getpid()).read(self.members[index])
        except (OSError, zipfile.BadZipFile) as error:
            raise ImageError(f"{archive}: cannot be read any more ({error}); put the file back") from None
        try:
            return decode_image(data)
        except ImageError as error:
            raise ImageError(f"{self.name(index)}: {error}") from None

    def take(self, indices: np.ndarray) -> ZippedImages:
        return replace(
            self, archive=self.archive[indices], members=self.members.take(indices), sizes=self.sizes[indices]
        )

    def joined(self, other: ZippedImages) -> ZippedImages:
        return ZippedImages(
            self.archives + other.archives,
            np.concatenate([self.archive, other.archive + len(self.archives)]),
            Texts.of([*self.members, *other.members]),
            np.concatenate([self.sizes, other.sizes]),
        )


@functools.lru_cache(maxsize=8)
def _opened(archive: str, process: int) -> zipfile.ZipFile:
    """Each process has a handle of its own: forked ones would share the place in the file that is read next."""
    del process
    return zipfile.ZipFile(archive)


def find_omniglot(path: Path) -> dict[str, Callable[[], Identities]]:
    """The splits of a folder of Omniglot's files or folders, or of one of them; empty when ``path`` is neither."""
    if SET.fullmatch(path.name):
        return {"all": partial(read_omniglot, (path,))} if _is_one(path) else {}
    if not path.is_dir():
        return {}
    sets: dict[str, list[Path]] = {"background": [], "evaluation": []}
    for entry in sorted(path.iterdir()):
        kind = SET.fullmatch(entry.name)
        if kind and _is_one(entry):
            sets[kind[1]].append(entry)
    if sets["background"] and sets["evaluation"]:
        names = {"train": sets["background"], "test": sets["evaluation"]}
    else:
        names = {"all": sets["background"] + sets["evaluation"]}
    return {split: partial(read_omniglot, tuple(parts)) for split, parts in names.items() if parts}


def _is_one(path: Path) -> bool:
    return path.is_dir() or zipfile.is_zipfile(path)


def read_omniglot(sets: tuple[Path, ...]) -> Identities:
    """All drawings of ``sets``, zip files or folders. A zip file and the folder that was in it are one set.

    Left out and named in ``problems``: drawings that an earlier set holds as well, and files that cannot be read.
    """
    zipped = [path for path in sets if path.suffix == ".zip" and path.with_suffix("") not in sets]
    root, log, taken = Path(os.path.commonpath(sets)), ProblemLog(), {}
    names: list[str] = []
    parts: list[Identities] = []
    for path in (*(p for p in sets if p.is_dir()), *zipped):
        found = {member: said for member in _members(path) if (said := DRAWING.fullmatch(member))}
        drawings = {member: said.groups() for member, said in found.items()}
        doubled = Counter(taken[d] for d in drawings.values() if d in taken)
        for other, count in doubled.items():
            log.add(str(path), "", f"{count} drawings are in {other} too", "drawings taken once")
        own = [member for member, drawing in drawings.items() if drawing not in taken]
        taken.update({drawings[member]: path.name for member in own})
        pictures, kept = image_files(path, own, log) if path.is_dir() else _zipped(path, own, log)
        names = ["/".join(drawings[own[i]][:2]) for i in kept]
        if names:
            alphabets = [drawings[own[i]][0] for i in kept]
            parts.append(identities(pictures, names, str(path), ProblemLog(), groups=alphabets))
    if not parts:
        raise DataError(f"{root}: no drawing (ALPHABET/character01/….png) is in {', '.join(p.name for p in sets)}")
    whole = functools.reduce(Identities.joined, parts)
    return replace(whole, root=str(root), problems=log.problems())


def _members(path: Path) -> list[str]:
    if path.is_dir():
        return [file.relative_to(path).as_posix() for file in find_images(path)]
    with zipfile.ZipFile(path) as archive:
        return sorted(archive.namelist())


def _zipped(path: Path, members: list[str], log: ProblemLog) -> tuple[ZippedImages, np.ndarray]:
    sizes, kept = [], []
    with zipfile.ZipFile(path) as archive:
        for position, member in enumerate(members):
            try:
                sizes.append(image_size(archive.read(member)))
                kept.append(position)
            except (ImageError, zipfile.BadZipFile) as error:
                log.add(f"{path}/{member}", "", str(error), "drawing left out")
    own = Texts.of(members[i] for i in kept)
    archive_of = np.zeros(len(kept), np.int64)
    return ZippedImages((str(path),), archive_of, own, np.array(sizes, np.int32).reshape(-1, 2)), np.array(
        kept, np.int64
    )
