"""From what a user names, a path or ``playground``, to data sets: format recognised, splits found or made."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.formats.coco import find_coco
from baimu.datasets.formats.voc import find_voc
from baimu.datasets.formats.yolo import find_yolo
from baimu.datasets.source import DetectionSource, Splits
from baimu.errors import DataError, unknown

Source = str | os.PathLike[str] | DetectionSource | Splits

_LOOKED_FOR = """looked for
  COCO: a .json file, annotations/instances_train*.json and ..._val*.json, train/_annotations.coco.json, or one .json
  VOC:  Annotations/*.xml with JPEGImages/, or .xml files beside their images
  YOLO: data.yaml, or images/ with labels/ and classes.txt"""

_PLAYGROUND = {"train": 1000, "val": 200, "size": 160, "seed": 0}


def open_data(
    source: Source,
    *,
    val: Source | None = None,
    val_fraction: float | None = None,
    seed: int = 0,
    masks: bool = False,
) -> Splits:
    """Open a data set for training.

    ``source``: a COCO .json or folder, a VOC or YOLO folder, a YOLO ``data.yaml`` (recognised by itself); or
    ``"playground"``, ``"playground:train=1000,val=200,size=160,seed=0"``; or an opened :class:`DetectionSource` or
    :class:`Splits`. Validation images are, in this order:

    - ``val``, a data set of its own, whose classes are matched by name;
    - with ``val_fraction``, that share of *all* images found (test ones too), drawn by ``seed`` alone;
    - the splits that stand in the data: train and val, else trainval or train against test;
    - a fifth of the images, drawn by ``seed``.

    ``masks`` keeps polygons and run lengths, where the format has them. Raises :class:`~baimu.errors.DataError`.
    """
    if isinstance(source, Splits):
        return source
    if val is not None:
        train = _one(_found(source, masks), ("train", "trainval", "all"), source)
        return Splits(train, _matched(open_source(val, masks=masks), train))
    found = _found(source, masks)
    if val_fraction is None:
        for first, second in (("train", "val"), ("trainval", "test"), ("train", "test")):
            if first in found and second in found:
                train = found[first]()
                return Splits(train, _matched(found[second](), train))
    fraction = 0.2 if val_fraction is None else val_fraction
    return _drawn(_whole(found, source), fraction, seed)


def open_source(source: Source, split: str | None = None, *, masks: bool = False) -> DetectionSource:
    """One data set, to be measured on or looked at: the named ``split``, else val, else test, else all there is."""
    found = {"train": lambda: source.train, "val": lambda: source.val} if isinstance(source, Splits) else None
    found = found or _found(source, masks)
    if split is None:
        return _one(found, ("val", "test", "all", "train", "trainval"), source)
    if split not in found:
        raise unknown(f"split of {source}", split, found)
    return found[split]()


def splits(source: Source, *, masks: bool = False) -> dict[str, DetectionSource]:
    """Every split found in a data set, by name; those that only repeat others left out."""
    if isinstance(source, Splits):
        return {"train": source.train, "val": source.val}
    found = _found(source, masks)
    doubled = {"all"} if len(found) > 1 else set()
    if {"train", "val"} <= found.keys():
        doubled.add("trainval")
    names = [name for name in found if name not in doubled]
    return {name: found[name]() for name in names}


def _found(source: Any, masks: bool) -> dict[str, Callable[[], DetectionSource]]:
    """The splits of one source, each to be read when called."""
    if isinstance(source, str) and source.partition(":")[0] == "playground":
        return _playground(source)
    if isinstance(source, DetectionSource):
        return {"all": lambda: source}
    if not isinstance(source, str | os.PathLike) or not os.fspath(source):
        raise DataError(f"the data must be a path, 'playground' or a data set, not {source!r}")
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; check the path (it is read from {Path.cwd()})")
    found: dict[str, Callable[[], Any]] = (
        find_coco(path, masks=masks) or find_voc(path, masks=masks) or find_yolo(path, masks=masks)
    )
    if found:
        return found
    if path.is_dir() and not any(path.iterdir()):
        raise DataError(f"{path}: the folder is empty; {_LOOKED_FOR}")
    raise DataError(f"{path}: is no data set that can be recognised; {_LOOKED_FOR}")


def _playground(text: str) -> dict[str, Callable[[], DetectionSource]]:
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
    return {
        "train": lambda: Playground(options["train"], size=options["size"], seed=2 * options["seed"]),
        "val": lambda: Playground(options["val"], size=options["size"], seed=2 * options["seed"] + 1),
    }


def _one(found: dict[str, Callable[[], DetectionSource]], names: tuple[str, ...], source: Source) -> DetectionSource:
    for name in names:
        if name in found:
            return found[name]()
    raise DataError(f"{source}: has the splits {', '.join(found)}, but none of {', '.join(names)}")


def _whole(found: dict[str, Callable[[], DetectionSource]], source: Source) -> DetectionSource:
    """All images of a source: everything at once where the format reads so, else its splits one after the other."""
    if "all" in found:
        return found["all"]()
    parts = [read() for name, read in found.items() if name != "trainval"]
    whole = parts[0]
    for part in parts[1:]:
        if not isinstance(whole, FileSource) or not isinstance(part, FileSource):
            raise DataError(f"{source}: has its own splits; leave val_fraction away")
        whole = whole.joined(part)
    return whole


def _drawn(whole: DetectionSource, fraction: float, seed: int) -> Splits:
    if not 0 < fraction < 1:
        raise DataError(f"val_fraction must lie between 0 and 1, got {fraction}")
    if len(whole) < 2:
        raise DataError(f"{len(whole)} image cannot be split into training and validation; give both, or more images")
    count = min(max(round(len(whole) * fraction), 1), len(whole) - 1)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(whole))
    return Splits(*(whole.select(np.sort(part).tolist()) for part in (order[count:], order[:count])))


def _matched(val: DetectionSource, train: DetectionSource) -> DetectionSource:
    """``val`` with the labels of ``train``."""
    if tuple(val.classes) == tuple(train.classes):
        return val
    if isinstance(val, FileSource):
        return val.with_classes(train.classes, train.category_ids)
    raise DataError(f"training has the classes {list(train.classes)}, validation {list(val.classes)}; they must agree")
