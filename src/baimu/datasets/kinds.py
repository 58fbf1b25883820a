"""What tasks learn from: the files that are read, how a part is set aside, and how the rest is told the same names.

Another kind of data is one more entry of :data:`KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from baimu.datasets.formats.coco import find_coco
from baimu.datasets.formats.csv_list import find_csv
from baimu.datasets.formats.folder import find_folders
from baimu.datasets.formats.idx import find_idx
from baimu.datasets.formats.voc import find_voc
from baimu.datasets.formats.yolo import find_yolo
from baimu.datasets.labels import require_classes, stratified
from baimu.datasets.source import ClassificationSource, DetectionSource
from baimu.errors import DataError, unknown

Found = dict[str, Callable[[], Any]]
"""The splits of one data set by name, each to be read when called; empty where a format is not recognised."""


def drawn(source: Any, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of two parts, the second of ``count`` images, drawn by ``seed`` alone."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(source))
    return np.sort(order[count:]), np.sort(order[:count])


def same_classes(val: Any, train: Any) -> Any:
    """``val`` with the labels of ``train``, by the names of the classes, if it can (``like``) or has them."""
    if hasattr(val, "like"):
        return val.like(train)
    if tuple(val.classes) == tuple(train.classes):
        return val
    raise DataError(f"training has the classes {list(train.classes)}, validation {list(val.classes)}; they must agree")


def scenes(text: str) -> Found:
    """The playground with the options that ``text`` names after a colon."""
    from baimu.datasets.playground import Playground

    options = playground_options(text, {"train": 1000, "val": 200, "size": 160, "seed": 0})
    # Seeds of train and val differ, so that the scenes of val stay the same whatever the length of train.
    count, size, seed = ("train", "val"), options["size"], 2 * options["seed"]
    return {name: partial(Playground, options[name], size=size, seed=seed + i) for i, name in enumerate(count)}


def playground_options(text: str, usual: dict[str, int]) -> dict[str, int]:
    """``usual`` with what ``text`` ("playground:train=100,size=96") has otherwise."""
    options = dict(usual)
    for pair in filter(None, text.partition(":")[2].split(",")):
        key, _, value = (part.strip() for part in pair.partition("="))
        if key not in options:
            raise unknown("playground option", key, options)
        if not value.isdigit() or (key != "seed" and int(value) == 0):
            raise DataError(
                f"{text}: {key}={value!r} must be a whole number, as in playground:train=1000,val=200,size=160"
            )
        options[key] = int(value)
    return options


@dataclass(frozen=True)
class Kind:
    """One kind of data.

    ``formats`` find the splits of a path, in the order in which they are asked; ``looked_for`` tells the user what they
    know. ``options`` are the keywords that ``formats`` take. ``playground`` draws such data, where it can. ``part``
    sets a share aside, ``match`` gives held-out data the names of the training's, ``require`` raises where a data set
    cannot be learned from.
    """

    source: type
    formats: tuple[Callable[..., Found], ...]
    looked_for: str
    options: tuple[str, ...] = ()
    playground: Callable[[str], Found] | None = None
    part: Callable[[Any, int, int], tuple[np.ndarray, np.ndarray]] = drawn
    match: Callable[[Any, Any], Any] = same_classes
    require: Callable[[Any], None] | None = None

    def find(self, format: Callable[..., Found], path: Path, options: dict[str, Any]) -> Found:
        """The splits of ``path`` if it is of this format; other kinds' options are none of its business."""
        return format(path, **{key: value for key, value in options.items() if key in self.options})


KINDS: dict[str, Kind] = {
    "detection": Kind(
        DetectionSource,
        (find_coco, find_voc, find_yolo),
        """
  COCO: a .json file, annotations/instances_train*.json and ..._val*.json, train/_annotations.coco.json, or one .json
  VOC:  Annotations/*.xml with JPEGImages/, or .xml files beside their images
  YOLO: data.yaml, or images/ with labels/ and classes.txt""",
        options=("masks",),
        playground=scenes,
    ),
    "classification": Kind(
        ClassificationSource,
        (find_csv, find_idx, find_folders),
        """
  idx:  train-images-idx3-ubyte with train-labels-idx1-ubyte, or .gz of them
  CSV:  a list with columns such as image and label, or train.csv with val.csv or test.csv
  class folders: CLASS/*.jpg, or train/CLASS/*.jpg with val/CLASS/*.jpg or test/CLASS/*.jpg""",
        part=stratified,
        require=require_classes,
    ),
}
"""By the name that a task calls its data."""

LAST = (find_folders,)
"""Formats that nearly any folder has: asked when all others, of any kind, have said no."""
