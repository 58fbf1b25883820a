"""Folders of images alone, of pairs of images, and of two domains of images.

Images: a folder of them, or ``train/`` with ``val/`` or ``test/`` (DIV2K's names too), or idx files.

Pairs: two folders with files of equal names, ``trainA``, ``trainB`` with ``testA``, ``testB``, ``A/train`` and so on,
``A`` and ``B``, ``input`` and ``target``; images with input and result side by side; or any images, of which the input
is made. Behind the path stands which is the input: ``photos:from=grey``, ``photos:from=edges``, ``facades:from=right``
(of the halves; ``left`` unless said otherwise), ``maps:from=B`` (of two folders; the first unless said otherwise).

Domains: ``trainA`` and ``trainB`` with ``testA`` and ``testB``, of any names and counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.csv_columns import split_options
from baimu.datasets.formats.folder import SPLITS
from baimu.datasets.formats.idx import find_idx
from baimu.datasets.images import SUFFIXES, find_images, image_size
from baimu.datasets.labels import LabelSource, image_files, single_labels
from baimu.datasets.picture_lists import INPUTS, DerivedPairs, FilePairs, PictureList, picture_list
from baimu.errors import DataError, ImageError, unknown

SIDES = (("A", "B"), ("input", "target"), ("input", "output"), ("source", "target"))
"""Names of folders of pairs: inputs, and what they are to become."""

FEW = 20  # images that are looked at to see whether all are twice as wide as high


def find_pictures(path: Path) -> dict[str, Callable[[], PictureList]]:
    """The splits of a folder of images, to be read when called; empty when it holds none."""
    if not path.is_dir() or path.is_file():
        return {}
    stacks = find_idx(path)
    if stacks:
        return {split: partial(_of_stack, read) for split, read in stacks.items()}
    plain = {_plain(folder.name): folder for folder in sorted(path.iterdir()) if folder.is_dir()}
    splits = {s: plain[n] for s, names in SPLITS.items() for n in names if n in plain and find_images(plain[n])}
    if "train" in splits:
        return {split: partial(read_pictures, folder) for split, folder in splits.items()}
    return {"all": partial(read_pictures, path)} if find_images(path) else {}


def read_pictures(root: str | Path) -> PictureList:
    """All images below ``root``; those whose header cannot be read are left out and named in ``problems``."""
    root, log = Path(root), ProblemLog()
    files = [image.relative_to(root).as_posix() for image in find_images(root)]
    return picture_list(image_files(root, files, log)[0], str(root), log)


def find_pairs(path: Path) -> dict[str, Callable[[], PictureList]]:
    """The splits of pairs of images, to be read when called; empty where nothing says that there are pairs."""
    path, options = split_options(path)
    if options and [*options] != ["from"]:  # of a list
        return {}
    given = options.get("from")
    if given in INPUTS:
        return {split: partial(_derived, read, given) for split, read in find_pictures(path).items()}
    found = _two_folders(path)
    if given and found:
        names = next(iter(found.values()))[0]
        if given not in names:
            raise unknown(f"input of {path}", given, (*names, *INPUTS))
        found = {split: (n, f if given == names[0] else f[::-1]) for split, (n, f) in found.items()}
    if given and not found:
        raise DataError(f"{path}: holds no folders {given} and its partner; from= is one of {', '.join(INPUTS)}")
    if not all(_same_names(*folders) for _, folders in found.values()):
        return {}
    return {split: partial(read_pairs, *folders) for split, (_, folders) in found.items()}


def find_halves(path: Path) -> dict[str, Callable[[], PictureList]]:
    """The splits of images that are all twice as wide as high: input at the left, result at the right."""
    found = find_pictures(path) if path.is_dir() else {}
    if not found or not all(_twice_as_wide(image) for image in find_images(path)[:FEW]):
        return {}
    return {split: partial(_derived, read, "left") for split, read in found.items()}


def find_domains(path: Path) -> dict[str, Callable[[], LabelSource]]:
    """The splits of ``trainA`` and ``trainB`` and the like; empty when there are none."""
    return {split: partial(read_domains, *folders) for split, (_, folders) in _two_folders(path).items()}


def read_pairs(inputs: Path, results: Path) -> FilePairs:
    """The images of two folders that have the same name, whatever their suffixes. Images without a partner, and those
    that cannot be read, are left out and named in ``problems``."""
    log = ProblemLog()
    (root, first), (_, second) = ((folder, _by_stem(folder)) for folder in (inputs, results))
    for own, other, where in ((first, second, results), (second, first, inputs)):
        for stem in own.keys() - other.keys():
            log.add(str(own[stem]), "", f"has no partner of its name in {where}", "image left out")
    both = sorted(first.keys() & second.keys())
    pictures, kept = image_files(root, [first[stem].relative_to(root).as_posix() for stem in both], log)
    names = [second[both[i]].relative_to(results).as_posix() for i in kept]
    partners, whole = image_files(results, names, log)
    return FilePairs(str(root.parent), pictures.take(whole), log.problems(), partners=partners)


def read_domains(first: Path, second: Path) -> LabelSource:
    """The images of two folders, of the classes A and B."""
    log, root = ProblemLog(), first.parent
    files = [[image.relative_to(root).as_posix() for image in find_images(folder)] for folder in (first, second)]
    pictures, kept = image_files(root, [*files[0], *files[1]], log)
    labels = (kept >= len(files[0])).astype(np.int64)
    return single_labels(pictures, ("A", "B"), labels, str(root), log)


def _of_stack(read: Callable[[], LabelSource]) -> PictureList:
    source = read()
    return PictureList(source.root, source.pictures, source.problems)


def _derived(read: Callable[[], PictureList], how: str) -> DerivedPairs:
    source = read()
    return DerivedPairs(source.root, source.pictures, source.problems, how=how)


def _two_folders(path: Path) -> dict[str, tuple[tuple[str, str], tuple[Path, Path]]]:
    """By split the names of the two sides and their folders."""
    if not path.is_dir():
        return {}
    for names in SIDES:
        alone = {folder.name for folder in path.iterdir() if folder.is_dir() and find_images(folder)} == {*names}
        whole = _folders(path, ("{0}",), names) if alone else {}
        for split, words in SPLITS.items():
            forms = ("{0}{1}", "{0}_{1}", "{1}/{0}", "{0}/{1}")
            patterns = [form.format(word, "{0}") for word in words for form in forms]
            if found := _folders(path, patterns, names):
                whole = {k: v for k, v in whole.items() if k != "all"} | {split: found["all"]}
        if "train" in whole or "all" in whole:
            return {split: (names, folders) for split, folders in whole.items()}
    return {}


def _folders(path: Path, patterns: Any, names: tuple[str, str]) -> Mapping[str, tuple[Path, Path]]:
    for pattern in patterns:
        first, second = (path / pattern.format(name) for name in names)
        if first.is_dir() and second.is_dir() and find_images(first) and find_images(second):
            return {"all": (first, second)}
    return {}


def _by_stem(folder: Path) -> dict[str, Path]:
    return {image.relative_to(folder).with_suffix("").as_posix(): image for image in find_images(folder)}


def _same_names(first: Path, second: Path) -> bool:
    """Whether most images of the smaller folder have a partner."""
    one, other = _by_stem(first).keys(), _by_stem(second).keys()
    return 2 * len(one & other) >= min(len(one), len(other))


def _twice_as_wide(image: Path) -> bool:
    try:
        height, width = image_size(image)
    except ImageError:
        return image.suffix.lower() in SUFFIXES
    return width == 2 * height


def _plain(name: str) -> str:
    """``DIV2K_train_HR`` as ``train``."""
    return re.sub(r"^div2k_|_hr$", "", name.lower())
