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
from baimu.datasets.formats.identity_folders import (
    find_identity_folders,
    find_identity_lists,
    find_verified_folders,
)
from baimu.datasets.formats.idx import find_idx
from baimu.datasets.formats.line_list import find_lines
from baimu.datasets.formats.map_folders import find_maps
from baimu.datasets.formats.omniglot import find_omniglot
from baimu.datasets.formats.person_crops import find_person_crops
from baimu.datasets.formats.pictures import find_domains, find_halves, find_pairs, find_pictures
from baimu.datasets.formats.sequences import find_sequences, find_tracks
from baimu.datasets.formats.text_list import find_texts
from baimu.datasets.formats.voc import find_voc
from baimu.datasets.formats.yolo import find_yolo
from baimu.datasets.identities import require_identities, unmatched, unseen
from baimu.datasets.label_maps import PaintedSource, require_two_classes, same_maps
from baimu.datasets.labels import require_classes, stratified
from baimu.datasets.lines import require_lines
from baimu.datasets.picture_lists import require_images
from baimu.datasets.playgrounds import (
    Found,
    characters,
    day_and_night,
    drawn_lines,
    drawn_maps,
    drawn_pairs,
    moving_scenes,
    scenes,
)
from baimu.datasets.source import (
    ClassificationSource,
    DetectionSource,
    IdentitySource,
    ImageSource,
    PairSource,
    ReadingSource,
    SegmentationSource,
    SequenceSource,
    TextSource,
)
from baimu.errors import DataError


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


def find_painted(path: Path) -> Found:
    """The outlined objects of a COCO or YOLO data set as label maps."""
    found = find_coco(path, masks=True) or find_yolo(path, masks=True)
    return {name: partial(lambda read: PaintedSource(read()), read) for name, read in found.items()}


def require_two(source: ClassificationSource) -> None:
    """Raise :class:`~baimu.errors.DataError` unless there are two domains."""
    if len(source.classes) != 2 or source.multi_label:
        raise DataError(
            f"{getattr(source, 'root', source)}: holds the classes {', '.join(source.classes)}; what is translated are "
            "two domains, each image of one: give trainA and trainB, or two class folders"
        )


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
    "sequences": Kind(
        SequenceSource,
        (find_sequences, find_tracks),
        """
  one object: a folder of frames with groundtruth_rect.txt or groundtruth.txt (OTB, GOT-10k, VOT, LaSOT), or a folder of
        such folders, also below train/, val/ and test/
  MOTChallenge: img1/ with gt/gt.txt, or a folder of such folders; each track is a sequence""",
        playground=moving_scenes,
    ),
    "semantic_segmentation": Kind(
        SegmentationSource,
        (find_maps, find_painted),
        """
  label maps: images/ with masks/ (or labels/, annotations/, …), in train/, val/ or not; classes.txt or label_colors.txt
              names their values or colours. VOC: JPEGImages/ with SegmentationClass/. Cityscapes: leftImg8bit/, gtFine/
  outlines:   COCO .json or YOLO polygons, which are painted""",
        playground=drawn_maps,
        match=same_maps,
        require=require_two_classes,
    ),
    "text_classification": Kind(
        TextSource,
        (find_texts,),
        """
  texts: a list of label<TAB>text, a .csv with columns such as label and text, train.tsv with val.tsv or test.tsv, or
         a folder of .txt files for each class""",
        part=stratified,
        require=require_classes,
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
    "text_recognition": Kind(
        ReadingSource,
        (find_lines,),
        """
  lines: a list of path<TAB>text (or path, "text"), train.txt with val.txt or test.txt, folders train and val with a
         list in each, images with .gt.txt files beside them, or an LMDB of clovaai's benchmark""",
        playground=drawn_lines,
        require=require_lines,
    ),
    "embedding": Kind(
        IdentitySource,
        (find_person_crops, find_omniglot, find_verified_folders, find_identity_lists, find_identity_folders),
        """
  identity folders: PERSON/*.jpg, or train/PERSON/*.jpg with val/ or test/; pairs.txt beside them for verification
  person crops: bounding_box_train/0002_c1….jpg with bounding_box_test/ and query/ (Market-1501), or such names alone
  Omniglot: images_background*.zip with images_evaluation.zip, or the folders that are in them
  lists and idx files as for classification""",
        playground=characters,
        part=unseen,
        match=unmatched,
        require=require_identities,
    ),
    "image pairs": Kind(
        PairSource,
        (find_pairs, find_halves),
        """
  pairs: trainA/ and trainB/ (or A/ and B/, input/ and target/) with files of equal names; images twice as wide as high
  any images, of which the input is made: PATH:from=grey, PATH:from=edges, or PATH:from=left of such halves""",
        playground=drawn_pairs,
        require=require_images,
    ),
    "image domains": Kind(
        ClassificationSource,
        (find_domains, find_csv, find_idx, find_folders),
        """
  domains: trainA/ and trainB/ with testA/ and testB/, or two class folders""",
        playground=day_and_night,
        part=stratified,
        require=require_two,
    ),
    "images": Kind(
        ImageSource,
        (find_pictures,),
        """
  images: a folder of images, or train/ with val/ or test/, or idx files""",
        playground=scenes,
        require=require_images,
    ),
}
"""By the name that a task calls its data."""

LAST = (find_folders, find_identity_folders, find_halves, find_pictures)
"""Formats that nearly any folder has: asked when all others, of any kind, have said no."""

ASKED = (
    find_pairs,
    find_domains,
    find_halves,
    find_pictures,
    find_identity_lists,
    find_verified_folders,
    find_identity_folders,
)
"""Formats of images alone, or of classes under another name, which other data have too: asked only where their kind is
wanted, or none."""
