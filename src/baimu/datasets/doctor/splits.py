"""Whether one file stands in two splits; by what the file system says, so that links are seen through."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

from baimu.datasets.doctor.files import image_names
from baimu.datasets.doctor.report import Finding

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened

ORDER = ("train", "trainval", "val", "test")
"""Splits from the one that gives a shared image away to the one that keeps it."""


def pairs(names: Any) -> list[tuple[str, str]]:
    """Splits that must have nothing in common, in :data:`ORDER`."""
    known = [name for name in ORDER if name in names]
    return [pair for pair in combinations(known, 2) if pair not in (("train", "trainval"), ("trainval", "val"))]


def check(opened: Opened) -> Iterator[Finding]:
    """S101."""
    if len(opened.splits) < 2:
        return
    files = {split: identities(image_names(part)) for split, part in opened.splits.items()}
    for first, second in pairs(files):
        for identity in files[first].keys() & files[second].keys():
            one, other = files[first][identity], files[second][identity]
            name = "" if one == other else f" as {other}"
            yield Finding("S101", one, "", f"stands in {first} and in {second}{name}", "used in both", first, one)


def identities(names: list[str]) -> dict[tuple[int, int], str]:
    """Files by device and number; those that are not there have none."""
    found: dict[tuple[int, int], str] = {}
    for name in names:
        try:
            about = os.stat(name)
        except OSError:
            continue
        found.setdefault((about.st_dev, about.st_ino), name)
    return found
