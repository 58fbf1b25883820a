"""Class folders: one folder a class, named after it, with its images anywhere below.

``train/CLASS/…`` with ``val/CLASS/…`` or ``test/CLASS/…`` are splits; without them ``CLASS/…`` is all there is. Classes
are the names in alphabetical order, as torchvision's ``ImageFolder`` has them, so that labels agree with its.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from baimu.datasets.flat import ProblemLog
from baimu.datasets.images import SUFFIXES, find_images
from baimu.datasets.labels import LabelSource, image_files, single_labels

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


def find_folders(path: Path) -> dict[str, Callable[[], LabelSource]]:
    """The splits of a folder of class folders, to be read when called; empty when ``path`` is none."""
    if not path.is_dir():
        return {}
    by_name = {folder.name.lower(): folder for folder in _folders(path)}
    splits = {s: by_name[n] for s, names in SPLITS.items() for n in names if n in by_name and _folders(by_name[n])}
    if "train" in splits:
        return {split: partial(read_folders, folder) for split, folder in splits.items()}
    if any(_has_image(folder) for folder in by_name.values()):
        return {"all": partial(read_folders, path)}
    return {}


def read_folders(root: str | Path) -> LabelSource:
    """All images in the class folders of ``root``.

    Left out and named in ``problems``: images in no class folder, files that are no images, images whose header cannot
    be read, and classes without any image. Raises :class:`~baimu.errors.DataError` when fewer than two classes are
    left.
    """
    root, log = Path(root), ProblemLog()
    files, labels, names = [], [], []
    for folder in _folders(root):
        images = find_images(folder)
        _log_strangers(folder, log)
        files += [image.relative_to(root).as_posix() for image in images]
        labels += [len(names)] * len(images)
        names.append(folder.name)
    loose = [entry for entry in sorted(root.iterdir()) if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    for image in loose:
        log.add(str(image), "", "lies in no class folder", "image left out", code="F112")
    pictures, kept = image_files(root, files, log)
    own = np.array(labels, np.int64)[kept]
    counts = np.bincount(own, minlength=len(names))
    for name, count in zip(names, counts, strict=True):
        if count == 0:
            log.add(str(root / name), "", "holds no image that can be read", "class left out", code="C104")
    full = np.flatnonzero(counts)
    return single_labels(pictures, [names[i] for i in full], np.searchsorted(full, own), str(root), log)


def _folders(path: Path) -> list[Path]:
    """The folders in ``path`` but hidden ones, in alphabetical order."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _has_image(folder: Path) -> bool:
    return any(os.path.splitext(name)[1].lower() in SUFFIXES for _, _, files in os.walk(folder) for name in files)


def _log_strangers(folder: Path, log: ProblemLog) -> None:
    """One problem for all files in ``folder`` that are no images by their suffix."""
    strange = sorted(
        name
        for _, folders, files in os.walk(folder)
        for name in files
        if not name.startswith(".") and os.path.splitext(name)[1].lower() not in SUFFIXES
    )
    if strange:
        shown = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
        log.add(
            str(folder),
            "",
            f"holds {len(strange)} files that are no images ({shown})",
            "files passed over",
            code="F111",
        )
