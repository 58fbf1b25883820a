"""Images and label maps in folders.

==============  =======================================================================================================
Pascal VOC      ``JPEGImages``, ``SegmentationClass`` and lists in ``ImageSets/Segmentation``; VOC's classes, or those
                of a class file
Cityscapes      ``leftImg8bit/SPLIT/CITY/*_leftImg8bit.png``, ``gtFine/SPLIT/CITY/*_gtFine_labelTrainIds.png``, or
                ``…_labelIds.png``, of which the 19 classes that count are taken
ADE20K          ``images/{training,validation}``, ``annotations/…`` and ``objectInfo150.txt``; 0 is undecided
any other       ``images`` with ``masks`` (or ``labels``, ``annotations``, …), in splits (``train/images``,
                ``images/train``) or not; or ``train`` with ``train_labels`` or ``trainannot``, as CamVid
==============  =======================================================================================================

A map belongs to the image of its name, in the same subfolder; an ending such as ``_mask`` or ``_gt`` is passed over.
Pixels are values (grey or palette pictures: the palette's colours say nothing) or colours, which a class file explains
(:mod:`baimu.datasets.formats.class_files`). 255 is undecided.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from baimu.datasets.flat import ProblemLog, Texts
from baimu.datasets.formats.class_files import NamedClass, find_class_file, read_classes
from baimu.datasets.formats.folder import SPLITS
from baimu.datasets.images import SUFFIXES, find_images, image_size
from baimu.datasets.label_maps import MapSource
from baimu.datasets.labels import image_files
from baimu.datasets.map_code import MapCode, code_of, survey
from baimu.errors import DataError, ImageError
from baimu.targets import UNDECIDED
from baimu.weights.catalog import class_names

MAPS = (
    "masks", "mask", "labels", "label", "annotations", "annotation", "SegmentationClass", "label_maps", "segmentations",
    "groundtruth", "ground_truth", "gt",
)  # fmt: skip
"""Folders of maps, beside one of :data:`IMAGES`."""
IMAGES = ("images", "image", "imgs", "img", "JPEGImages")
BESIDE = ("_labels", "_label", "annot", "_annotations", "_masks", "_mask", "_gt")
"""What a folder of maps has behind the name of its folder of images."""
ENDINGS = re.compile(
    r"[_-](leftImg8bit|gtFine_labelTrainIds|gtFine_labelIds|mask|labels?|seg|gt|annotation|L)$", re.IGNORECASE
)

CITYSCAPES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label ids that count, in the order of the classes; every other id is undecided."""

Found = dict[str, Callable[[], MapSource]]


@dataclass(frozen=True)
class Folders:
    """Where the images of a split and their maps lie."""

    images: Path
    maps: Path
    pattern: str = "*"  # of the map files' names


def find_maps(path: Path) -> Found:
    """The splits of a folder of images and label maps, to be read when called; empty when ``path`` is none."""
    if not path.is_dir():
        return {}
    if _holds_images(path / "SegmentationClass") and (path / "JPEGImages").is_dir():
        return _voc(path)
    folders = _cityscapes(path) or _splits(path)
    if not folders:
        return {}
    shared = cache(partial(_code, path, folders))
    return {split: (lambda split=split: _read(path, folders[split], *shared())) for split in folders}


def _cityscapes(path: Path) -> dict[str, Folders]:
    found: dict[str, Folders] = {}
    for split in ("train", "val", "test"):
        images, maps = path / "leftImg8bit" / split, path / "gtFine" / split
        if images.is_dir() and maps.is_dir():
            for kind in ("labelTrainIds", "labelIds"):
                if any(maps.rglob(f"*_gtFine_{kind}.png")):
                    found[split] = Folders(images, maps, f"*_gtFine_{kind}.png")
                    break
    return found


def _splits(path: Path) -> dict[str, Folders]:
    """Splits by the folders' names; one called ``all`` where there are none."""
    found: dict[str, Folders] = {}
    for split, names in SPLITS.items():
        for name in names:
            candidates = [*_pairs(path / name), *((a / name, b / name) for a, b in _pairs(path, bare=True))]
            candidates += [(path / name, path / f"{name}{ending}") for ending in BESIDE]
            hit = next((pair for pair in candidates if all(_holds_images(folder) for folder in pair)), None)
            if hit is not None:
                found.setdefault(split, Folders(*hit))
    if not found:
        hit = next((pair for pair in _pairs(path) if all(_holds_images(folder) for folder in pair)), None)
        return {} if hit is None else {"all": Folders(*hit)}
    return found


def _pairs(path: Path, *, bare: bool = False) -> Iterator[tuple[Path, Path]]:
    """Folders of images and of maps side by side in ``path``; ``bare``: that hold none themselves."""
    for images in IMAGES:
        for maps in MAPS:
            a, b = path / images, path / maps
            if a.is_dir() and b.is_dir() and not (bare and _direct(a)):
                yield a, b


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and next(iter(find_images(folder)), None) is not None


def _direct(folder: Path) -> bool:
    return any(entry.is_file() and entry.suffix.lower() in SUFFIXES for entry in folder.iterdir())


def _code(path: Path, folders: dict[str, Folders]) -> tuple[tuple[str, ...], MapCode, ProblemLog]:
    """The classes and code of all splits together, and what was assumed."""
    log = ProblemLog()
    files = [str(file) for own in folders.values() for file in sorted(own.maps.rglob(own.pattern)) if _is_image(file)]
    if any("labelIds" in own.pattern for own in folders.values()):
        names: dict[int, str] = dict(zip(CITYSCAPES, class_names("cityscapes_maps"), strict=True))
        return *_fixed([NamedClass(names.get(i, "void"), i) for i in range(34)]), log
    if any("labelTrainIds" in own.pattern for own in folders.values()):
        return *_fixed([NamedClass(name, i) for i, name in enumerate(class_names("cityscapes_maps"))]), log
    if (path / "objectInfo150.txt").is_file():
        return *_fixed([NamedClass("void", 0), *_ade_classes(path / "objectInfo150.txt")]), log
    file = find_class_file(path, path.parent, *(own.maps for own in folders.values()))
    named = [] if file is None else read_classes(file)
    return *code_of(str(path), named, survey(files), log), log


def _fixed(named: list[NamedClass]) -> tuple[tuple[str, ...], MapCode]:
    """Classes by value; those called void, of which there may be many, are undecided."""
    real = [row for row in named if row.name != "void"]
    codes = {row.value: UNDECIDED for row in named if row.value is not None} | {UNDECIDED: UNDECIDED}
    codes |= {row.value: label for label, row in enumerate(real) if row.value is not None}
    values = sorted(codes)
    labels = np.array([codes[value] for value in values], np.uint8)
    return tuple(row.name for row in real), MapCode(np.array(values, np.int64), labels, colours=False)


def _ade_classes(file: Path) -> list[NamedClass]:
    """The first column numbers the classes, the last names them, with other words for the same behind commas."""
    with open(file, encoding="utf-8-sig", newline="") as text:
        rows = [row for row in csv.reader(text, delimiter="\t") if row and row[0].strip().isdigit()]
    return [NamedClass(row[-1].partition(",")[0].strip(), int(row[0])) for row in rows]


def _read(root: Path, folders: Folders, classes: tuple[str, ...], code: MapCode, assumed: ProblemLog) -> MapSource:
    """The images of one split that have a map of their size."""
    log = ProblemLog()
    for problem in assumed.problems():
        log.add(problem.file, problem.record, problem.problem, problem.action, code=problem.code)
    maps = _by_name(folders, log)
    pairs = []
    for image in find_images(folders.images):
        file = maps.pop(_key(image, folders.images), None)
        if file is None:
            log.add(str(image), "", f"has no label map in {folders.maps}", "image left out", code="M201")
        else:
            pairs.append((image, file))
    for file in maps.values():
        log.add(str(file), "", "belongs to no image", "map passed over", code="M202")
    return _source(root, pairs, classes, code, log)


def _source(
    root: Path, pairs: list[tuple[Path, Path]], classes: tuple[str, ...], code: MapCode, log: ProblemLog
) -> MapSource:
    pictures, kept = image_files(root, [image.relative_to(root).as_posix() for image, _ in pairs], log)
    files, good = [], []
    for i, position in enumerate(kept.tolist()):
        file = pairs[position][1]
        try:
            size = image_size(file)
        except ImageError as error:
            log.add(str(file), "", str(error).removeprefix(f"{file}: "), "image left out", code="M205")
            continue
        if size != pictures.size(i):
            height, width = pictures.size(i)
            text = f"is {size[1]}x{size[0]}, its image {width}x{height}"
            log.add(str(file), "", text, "image left out", code="M204")
            continue
        files.append(file.relative_to(root).as_posix())
        good.append(i)
    if not files:
        first = "".join(f"\n  {problem}" for problem in log.problems()[:5])
        raise DataError(f"{root}: no image with a label map is left to use{first}", "F103")
    return MapSource(str(root), classes, pictures.take(np.array(good)), Texts.of(files), code, log.problems())


def _by_name(folders: Folders, log: ProblemLog) -> dict[tuple[str, str], Path]:
    """The map files by what they share with their images."""
    found: dict[tuple[str, str], Path] = {}
    for file in sorted(folders.maps.rglob(folders.pattern)):
        if not _is_image(file):
            continue
        first = found.setdefault(_key(file, folders.maps), file)
        if first is not file:
            log.add(str(file), "", f"is a second map beside {first.name}", "map passed over", code="M203")
    return found


def _key(file: Path, folder: Path) -> tuple[str, str]:
    stem = file.stem
    while (short := ENDINGS.sub("", stem)) not in (stem, ""):
        stem = short
    return file.parent.relative_to(folder).as_posix(), stem


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _voc(path: Path) -> Found:
    """The lists of ``ImageSets/Segmentation`` and everything that has a map."""
    folders = Folders(path / "JPEGImages", path / "SegmentationClass")
    whole = cache(lambda: _read(path, folders, *_voc_code(path, folders)))
    lists = {name: path / "ImageSets" / "Segmentation" / f"{name}.txt" for name in ("train", "val", "trainval", "test")}
    return {
        **{name: partial(_listed, path, whole, file) for name, file in lists.items() if file.is_file()},
        "all": whole,
    }


def _voc_code(path: Path, folders: Folders) -> tuple[tuple[str, ...], MapCode, ProblemLog]:
    log, file = ProblemLog(), find_class_file(path)
    seen = survey([str(found) for found in sorted(folders.maps.rglob("*")) if _is_image(found)])
    own = class_names("voc_maps")
    named = [NamedClass(name) for name in own] if file is None else read_classes(file)
    if file is None and max((v for v in seen.values if v != UNDECIDED), default=0) >= len(own):
        named = []
    return *code_of(str(path), named, seen, log), log


def _listed(root: Path, whole: Callable[[], MapSource], file: Path) -> MapSource:
    source = whole()
    place = {Path(source.image_id(i)).stem: i for i in range(len(source))}
    names = [line.split()[0] for line in file.read_text("utf-8-sig", "replace").splitlines() if line.split()]
    log = ProblemLog()
    for name in names:
        if name not in place:
            log.add(str(file), name, "names no image with a label map", "line skipped", code="F107")
    chosen = [place[name] for name in dict.fromkeys(names) if name in place]
    if not chosen:
        raise DataError(f"{file}: names no image of {root} that has a label map; write one name without suffix a line")
    part = source.select(chosen)
    return MapSource(
        part.root, part.classes, part.pictures, part.maps, part.code, part.problems.joined(log.problems(), len(part))
    )
