"""From what a user names, a path or ``playground``, to data sets: format recognised, splits found or made."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.formats.coco import find_coco
from baimu.datasets.formats.csv_columns import split_options
from baimu.datasets.formats.csv_list import find_csv
from baimu.datasets.formats.folder import find_folders
from baimu.datasets.formats.idx import find_idx
from baimu.datasets.formats.voc import find_voc
from baimu.datasets.formats.yolo import find_yolo
from baimu.datasets.labels import LabelSource, require_classes, stratified
from baimu.datasets.source import ClassificationSource, DetectionSource, ImageSource, Splits
from baimu.errors import DataError, unknown

Source = str | os.PathLike[str] | ImageSource | Splits
Found = dict[str, Callable[[], Any]]
"""The splits of one source, each to be read when called."""

KINDS: dict[str, type] = {"detection": DetectionSource, "classification": ClassificationSource}
"""What a task learns from."""

_FORMATS: tuple[tuple[str, Callable[..., Found]], ...] = (
    ("detection", find_coco),
    ("detection", find_voc),
    ("detection", find_yolo),
    ("classification", find_csv),
    ("classification", find_idx),
    ("classification", find_folders),
)

_LOOKED_FOR = {
    "detection": """
  COCO: a .json file, annotations/instances_train*.json and ..._val*.json, train/_annotations.coco.json, or one .json
  VOC:  Annotations/*.xml with JPEGImages/, or .xml files beside their images
  YOLO: data.yaml, or images/ with labels/ and classes.txt""",
    "classification": """
  idx:  train-images-idx3-ubyte with train-labels-idx1-ubyte, or .gz of them
  CSV:  a list with columns such as image and label, or train.csv with val.csv or test.csv
  class folders: CLASS/*.jpg, or train/CLASS/*.jpg with val/CLASS/*.jpg or test/CLASS/*.jpg""",
}

_PLAYGROUND = {"train": 1000, "val": 200, "size": 160, "seed": 0}


def open_data(
    source: Source,
    *,
    kind: str = "detection",
    val: Source | None = None,
    val_fraction: float | None = None,
    seed: int = 0,
    masks: bool = False,
) -> Splits:
    """Open a data set for training.

    ``source`` is recognised by itself. For the ``kind`` ``detection``: a COCO .json or folder, a VOC or YOLO folder, a
    YOLO ``data.yaml``, ``"playground"`` or ``"playground:train=1000,val=200,size=160,seed=0"``. For ``classification``:
    a folder of class folders, a list (:mod:`baimu.datasets.formats.csv_list`), idx files. Or an opened source or
    :class:`Splits`. Validation images are, in this order:

    - ``val``, a data set of its own, whose classes are matched by name;
    - with ``val_fraction``, that share of *all* images found (test ones too), drawn by ``seed`` alone;
    - the splits that stand in the data: train and val, else trainval or train against test;
    - a fifth of the images, drawn by ``seed``.

    Images are drawn evenly from all classes where each has labels. ``masks`` keeps polygons and run lengths, where the
    format has them. Raises :class:`~baimu.errors.DataError`.
    """
    if isinstance(source, Splits):
        for part in source:
            _check_kind(part, kind)
        opened = source
    else:
        opened = _opened(source, kind, val, val_fraction, seed, masks)
    if isinstance(opened.train, ClassificationSource):
        require_classes(opened.train)
    return opened


def _opened(
    source: Source, kind: str, val: Source | None, val_fraction: float | None, seed: int, masks: bool
) -> Splits:
    found = _found(source, kind, masks)
    if val is not None:
        train = _one(found, ("train", "trainval", "all"), source)
        return Splits(train, _matched(open_source(val, kind=kind, masks=masks), train))
    if val_fraction is None:
        for first, second in (("train", "val"), ("trainval", "test"), ("train", "test")):
            if first in found and second in found:
                train = found[first]()
                return Splits(train, _matched(found[second](), train))
    fraction = 0.2 if val_fraction is None else val_fraction
    return _drawn(_whole(found, source), fraction, seed)


def open_source(
    source: Source, split: str | None = None, *, kind: str = "detection", masks: bool = False
) -> ImageSource:
    """One data set, to be measured on or looked at: the named ``split``, else val, else test, else all there is."""
    found = {"train": lambda: source.train, "val": lambda: source.val} if isinstance(source, Splits) else None
    found = found or _found(source, kind, masks)
    if split is None:
        return _one(found, ("val", "test", "all", "train", "trainval"), source)
    if split not in found:
        raise unknown(f"split of {source}", split, found)
    return found[split]()


def splits(source: Source, *, kind: str | None = None, masks: bool = False) -> dict[str, Any]:
    """Every split found in a data set, by name; those that only repeat others left out. Without ``kind``, of whatever
    kind it is."""
    if isinstance(source, Splits):
        return {"train": source.train, "val": source.val}
    found = _found(source, kind, masks)
    doubled = {"all"} if len(found) > 1 else set()
    if {"train", "val"} <= found.keys():
        doubled.add("trainval")
    names = [name for name in found if name not in doubled]
    return {name: found[name]() for name in names}


def _found(source: Any, kind: str | None, masks: bool) -> Found:
    if isinstance(source, ImageSource):
        _check_kind(source, kind)
        return {"all": lambda: source}
    if not isinstance(source, str | os.PathLike) or not os.fspath(source):
        raise DataError(f"the data must be a path, 'playground' or a data set, not {source!r}")
    if isinstance(source, str) and source.partition(":")[0] == "playground":
        if kind == "classification":
            raise DataError("playground: its pictures hold several objects and no label; train a detector on them")
        return _playground(source)
    path = Path(source).expanduser()
    file = split_options(path)[0]
    if not file.exists():
        raise DataError(f"{file}: there is no such file or folder; check the path (it is read from {Path.cwd()})")
    # Formats of the kind that is asked for come first, but class folders last: nearly any data set has some folders.
    for of_kind, find in sorted(_FORMATS, key=lambda f: (f[1] is find_folders, kind not in (None, f[0]))):
        found = find(file, masks=masks) if of_kind == "detection" else find(path)
        if found and kind not in (None, of_kind):
            raise DataError(f"{file}: is a data set for {of_kind}, and this model is for {kind}; {_looked_for(kind)}")
        if found:
            return found
    if file.is_dir() and not any(file.iterdir()):
        raise DataError(f"{file}: the folder is empty; {_looked_for(kind)}")
    raise DataError(f"{file}: is no data set that can be recognised; {_looked_for(kind)}")


def _looked_for(kind: str | None) -> str:
    return "looked for" + "".join(text for of_kind, text in _LOOKED_FOR.items() if kind in (None, of_kind))


def _check_kind(source: ImageSource, kind: str | None) -> None:
    if kind is not None and not isinstance(source, KINDS[kind]):
        raise DataError(f"{source!r}: is no data set for {kind}; give one whose images have what this model learns")


def _playground(text: str) -> Found:
    from baimu.datasets.playground import Playground

    options = dict(_PLAYGROUND)
    for pair in filter(None, text.partition(":")[2].split(",")):
        key, _, value = (part.strip() for part in pair.partition("="))
        if key not in options:
            raise unknown("playground option", key, options)
        if not value.isdigit() or (key != "seed" and int(value) == 0):
            raise DataError(
                f"{text}: {key}={value!r} must be a whole number, as in playground:train=1000,val=200,size=160"
            )
        options[key] = int(value)
    # Seeds of train and val differ, so that the scenes of val stay the same whatever the length of train.
    count, size, seed = ("train", "val"), options["size"], 2 * options["seed"]
    return {name: partial(Playground, options[name], size=size, seed=seed + i) for i, name in enumerate(count)}


def _one(found: Found, names: tuple[str, ...], source: Source) -> Any:
    for name in names:
        if name in found:
            return found[name]()
    raise DataError(f"{source}: has the splits {', '.join(found)}, but none of {', '.join(names)}")


def _whole(found: Found, source: Source) -> Any:
    """All images of a source: everything at once where the format reads so, else its splits one after the other."""
    if "all" in found:
        return found["all"]()
    parts = [read() for name, read in found.items() if name != "trainval"]
    whole = parts[0]
    for part in parts[1:]:
        if not isinstance(whole, FileSource | LabelSource):
            raise DataError(f"{source}: has its own splits; leave val_fraction away")
        whole = whole.joined(part)
    return whole


def _drawn(whole: Any, fraction: float, seed: int) -> Splits:
    if not 0 < fraction < 1:
        raise DataError(f"val_fraction must lie between 0 and 1, got {fraction}")
    if len(whole) < 2:
        raise DataError(f"{len(whole)} image cannot be split into training and validation; give both, or more images")
    count = min(max(round(len(whole) * fraction), 1), len(whole) - 1)
    if isinstance(whole, ClassificationSource):
        return Splits(*(whole.select(part.tolist()) for part in stratified(whole, count, seed)))
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(whole))
    return Splits(*(whole.select(np.sort(part).tolist()) for part in (order[count:], order[:count])))


def _matched(val: Any, train: Any) -> Any:
    """``val`` with the labels of ``train``."""
    if isinstance(val, LabelSource):
        return val.like(train)
    if tuple(val.classes) == tuple(train.classes):
        return val
    if isinstance(val, FileSource):
        return val.with_classes(train.classes, train.category_ids)
    raise DataError(f"training has the classes {list(train.classes)}, validation {list(val.classes)}; they must agree")
