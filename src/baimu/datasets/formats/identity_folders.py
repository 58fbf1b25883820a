"""Identities in the files that classes are in: a folder each (LFW, CASIA, faces of any kind), lists, idx files.

``pairs.txt`` in the folder or beside it names the pairs that verification is scored on
(:mod:`baimu.datasets.formats.pair_list`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from baimu.datasets.formats.csv_list import find_csv
from baimu.datasets.formats.folder import find_folders
from baimu.datasets.formats.idx import find_idx
from baimu.datasets.formats.pair_list import find_pair_list, read_pair_list
from baimu.datasets.identities import Identities, of_labels
from baimu.datasets.labels import LabelSource


def find_identity_folders(path: Path) -> dict[str, Callable[[], Identities]]:
    """The splits of a folder of identity folders; empty when ``path`` is none."""
    return {split: partial(_with_pairs, read, path) for split, read in find_folders(path).items()}


def find_verified_folders(path: Path) -> dict[str, Callable[[], Identities]]:
    """Identity folders with a list of pairs, which tells them from all other folders."""
    found = find_identity_folders(path) if path.is_dir() else {}
    return found if found and find_pair_list(path) else {}


def find_identity_lists(path: Path) -> dict[str, Callable[[], Identities]]:
    """The splits of a list, or of idx files, whose labels are identities."""
    found = find_csv(path) or find_idx(path)
    return {split: partial(_identities, read) for split, read in found.items()}


def _identities(read: Callable[[], LabelSource]) -> Identities:
    return of_labels(read())


def _with_pairs(read: Callable[[], LabelSource], path: Path) -> Identities:
    source = of_labels(read())
    file = find_pair_list(Path(source.root), path)
    return source if file is None else replace(source, pairs=read_pair_list(file, source))
