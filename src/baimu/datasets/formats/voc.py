"""Pascal VOC: one XML file an image. ``Annotations/*.xml``, ``JPEGImages/*``, ``ImageSets/Main/{train,val,…}.txt``.

Also read: XML files beside their images, in one folder or in ``train``, ``valid``/``val`` and ``test``.

VOC counts pixels from 1 and its corners belong to the box: ``xmin = 1, xmax = 640`` is the whole width of 640.
In continuous coordinates from 0 that is ``xmin − 1`` to ``xmax``, and so it is read here, as detectron2 does. Many
tools write 0-based corners instead; a 0 is then kept at the image's edge, and one problem tells how many there were.
A box whose written corners coincide (``xmax <= xmin``) was a click, not a one-pixel object, and is skipped.

Classes are the names in all XML files in alphabetical order, or the lines of ``classes.txt`` in the root. Objects
marked ``difficult`` become crowd objects: they neither train nor count as misses. An image without an XML file
was not annotated and is left out; one whose XML has no object stays.

Masks, when asked for, are ``SegmentationObject/*.png``: pixels of value n belong to the n-th object of the XML file,
255 is the undecided border. Only images that have this file are then taken, by the lists in ``ImageSets/Segmentation``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from baimu.datasets.annotations import FileSource, assemble
from baimu.datasets.columns import Columns, Records
from baimu.datasets.decoders import load, open_image
from baimu.datasets.flat import ProblemLog, Texts
from baimu.datasets.images import find_images, header_sizes
from baimu.datasets.outlines import Outline, Outlines
from baimu.errors import DataError, ImageError
from baimu.masks import Masks, decode_runs

MASKS = "SegmentationObject"
LISTS = ("train", "val", "trainval", "test")
FOLDERS = {"train": ("train",), "val": ("valid", "val"), "test": ("test",)}


def find_voc(path: Path, *, masks: bool = False) -> dict[str, Callable[[], FileSource]]:
    """The splits of a VOC folder, to be read when called; empty when ``path`` is none."""
    if not path.is_dir():
        return {}
    if _has_xml(path / "Annotations") or _has_xml(path):
        whole = cache(partial(read_voc, path, masks=masks))
        of_masks = masks and (path / "ImageSets" / "Segmentation").is_dir()
        lists = {name: path / "ImageSets" / ("Segmentation" if of_masks else "Main") / f"{name}.txt" for name in LISTS}
        found = {name: partial(_listed, whole, file) for name, file in lists.items() if file.is_file()}
        return {**found, "all": whole}
    folders = {s: path / name for s, names in FOLDERS.items() for name in names if _has_xml(path / name)}
    if not folders:
        return {}
    whole_classes = cache(lambda: tuple(sorted(set().union(*(read_voc(f).classes for f in folders.values())))))
    return {
        split: (lambda folder=folder: read_voc(folder, classes=whole_classes(), masks=masks))
        for split, folder in folders.items()
    }


def read_voc(root: str | Path, *, classes: Sequence[str] | None = None, masks: bool = False) -> FileSource:
    """All annotated images below a VOC root; with ``masks``, those whose objects have some. What is wrong is skipped
    alone and stands in ``problems``."""
    root = Path(root)
    log, rows = ProblemLog(), _Rows()
    masked = masks and (root / MASKS).is_dir()
    xml_folder = root / "Annotations" if (root / "Annotations").is_dir() else root
    images = {}
    for image in find_images(root / "JPEGImages" if (root / "JPEGImages").is_dir() else root):
        first = images.setdefault(image.stem, image)
        if first is not image:
            log.add(str(image), "", f"shares its name with {first.name}", "image left out", code="F110")
    annotated, bare = set(), 0
    for xml in sorted(xml_folder.glob("*.xml")):
        annotated.add(xml.stem)
        if masked and xml.stem in images and not (root / MASKS / f"{xml.stem}.png").is_file():
            bare += 1
        elif xml.stem in images:
            _read_file(xml, images[xml.stem], root, rows, log)
        else:
            log.add(str(xml), "", f"there is no image {xml.stem}.*", "annotation file skipped", code="F105")
    for stem in sorted(images.keys() - annotated):
        log.add(str(images[stem]), "", "has no annotation file", "image left out", code="F108")
    if bare:
        log.add(str(root / MASKS), "", f"has no masks of {bare:,} annotated images", "images left out", code="M201")
    return _source(root, classes, rows, log, _outlines(root, rows, log) if masks else None)


@dataclass
class _Rows:
    """What the XML files say, in order."""

    files: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # of each object in its file, from 1
    records: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # the XML file of each image


def _source(
    root: Path, classes: Sequence[str] | None, rows: _Rows, log: ProblemLog, outlines: Outlines | None
) -> FileSource:
    classes = tuple(classes or _class_file(root) or sorted(set(rows.names)))
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of.get(name, -1) for name in rows.names], np.int64)
    for t in np.flatnonzero(labels < 0).tolist():
        text = f"has the unknown class {rows.names[t]!r}"
        log.add(*rows.records[t], text, "annotation skipped", image=rows.owners[t], code="A103")
    boxes = np.array(rows.boxes, np.float64).reshape(-1, 4)
    boxes[:, 0] -= boxes[:, 2] > boxes[:, 0]
    boxes[:, 1] -= boxes[:, 3] > boxes[:, 1]
    from_zero = boxes[:, :2] == -1
    if from_zero.any():
        text = f"{int(from_zero.any(1).sum())} boxes start at 0 although VOC counts pixels from 1"
        log.add(str(root), "", text, "kept from the image's edge", code="B114")
        boxes[:, :2][from_zero] = 0
    count = len(boxes)
    columns = Columns(
        boxes=boxes,
        labels=labels,
        crowd=np.array(rows.difficult, bool),
        areas=np.full(count, np.nan),
        ids=np.arange(1, count + 1),
        outlines=outlines,
        numbers=np.array(rows.numbers, np.int64),
    )
    known = np.flatnonzero(labels >= 0)
    return assemble(
        root=root,
        classes=classes,
        category_ids=range(len(classes)),
        files=rows.files,
        image_ids=rows.ids,
        sizes=np.array(rows.sizes, np.int64).reshape(-1, 2),
        images=np.array(rows.owners, np.int64)[known],
        columns=columns.take(known),
        record=lambda t: rows.records[known[t]],
        log=log,
        records=Records("object", Texts.of(rows.notes)),
    )


def _outlines(root: Path, rows: _Rows, log: ProblemLog) -> Outlines:
    """The runs of each object's pixels in its image's mask file."""
    outlines: list[Outline] = [[] for _ in rows.owners]
    objects: dict[int, list[int]] = {}
    for t, image in enumerate(rows.owners):
        objects.setdefault(image, []).append(t)
    for image, mine in objects.items():
        file = root / MASKS / f"{rows.ids[image]}.png"
        if not file.exists():
            continue
        try:
            with open_image(file, str(file)) as picture:
                load(picture)
                values = np.asarray(picture)  # of a palette picture, the numbers of its colours
        except Exception as error:  # of a damaged file as in decode_image
            reason = str(error).removeprefix(f"{file}: ")
            log.add(str(file), "", f"cannot be read ({reason})", "the boxes serve as masks", image=image, code="M205")
            continue
        if values.shape != rows.sizes[image]:
            text = f"is {values.shape}, the image {rows.sizes[image]}"
            log.add(str(file), "", text, "the boxes serve as masks", image=image, code="M204")
            continue
        packed = Masks.of(values == np.array([rows.numbers[t] for t in mine])[:, None, None])
        for t, text, area in zip(mine, packed.counts, packed.areas, strict=True):
            outlines[t] = [decode_runs(text).astype(np.uint32)] if area else []
    return Outlines.of(outlines)


def _read_file(xml: Path, image: Path, root: Path, rows: _Rows, log: ProblemLog) -> None:
    """Add one annotated image, or log why it is left out."""
    try:
        tree = ElementTree.fromstring(xml.read_bytes())
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        log.add(str(xml), "", f"is not readable XML ({error})", "image and its annotations left out", code="F101")
        return
    index = len(rows.files)
    try:
        size = _size(xml, tree, image, log, index)
    except ImageError as error:
        text = str(error).removeprefix(f"{image}: ")
        log.add(str(image), "", text, "image and its annotations left out", code=error.code)
        return
    rows.files.append(image.relative_to(root).as_posix())
    rows.ids.append(image.stem)
    rows.notes.append(str(xml))
    rows.sizes.append(size)
    for number, item in enumerate(tree.findall("object"), start=1):
        name = (item.findtext("name") or "").strip()
        record = (str(xml), f"object {number}" + (f" ({name})" if name else ""))
        try:
            box = [float(item.findtext(f"bndbox/{corner}", "")) for corner in ("xmin", "ymin", "xmax", "ymax")]
        except ValueError:
            log.add(*record, "has no bndbox of four numbers", "annotation skipped", image=index, code="B101")
            continue
        if not name:
            log.add(*record, "has no class name", "annotation skipped", image=index, code="A104")
            continue
        rows.owners.append(index)
        rows.names.append(name)
        rows.boxes.append(box)
        rows.difficult.append(_difficult(item, record, log, index))
        rows.numbers.append(number)
        rows.records.append(record)


def _difficult(item: ElementTree.Element, record: tuple[str, str], log: ProblemLog, index: int) -> bool:
    text = (item.findtext("difficult") or "").strip()
    if text not in ("", "0", "1"):
        log.add(*record, f"difficult is {text!r}, neither 0 nor 1", "taken as 0", image=index, code="A109")
    return text == "1"


def _size(xml: Path, tree: ElementTree.Element, image: Path, log: ProblemLog, index: int) -> tuple[int, int]:
    """Height, width of the image as annotated: without EXIF rotation where only that agrees with the XML."""
    shown, stored = header_sizes(image)
    try:
        said = int(tree.findtext("size/height", "")), int(tree.findtext("size/width", ""))
    except ValueError:
        said = shown
    if said == shown or said == (0, 0):  # some tools write 0 for "not known"
        return shown
    if said == stored:
        text = f"{image.name} is annotated at {said[1]}x{said[0]}, without its EXIF rotation"
        log.add(str(xml), "size", text, "image used without the rotation", image=index, code="I108")
        return stored
    text = f"says {said[1]}x{said[0]}, but {image.name} is {shown[1]}x{shown[0]}"
    log.add(str(xml), "size", text, "size taken from the image", image=index, code="I107")
    return shown


def _listed(whole: Callable[[], FileSource], file: Path) -> FileSource:
    """The images that an ImageSets list names, one a line (a second column is passed over)."""
    source = whole()
    place = {source.image_id(i): i for i in range(len(source))}
    log, indices = ProblemLog(), dict[int, None]()
    for number, line in enumerate(file.read_text("utf-8-sig", "replace").splitlines(), start=1):
        name = line.split()[0] if line.split() else ""
        if name and name not in place:
            log.add(str(file), f"line {number}", f"there is no annotated image {name!r}", "line skipped", code="F107")
        elif place.get(name) in indices:
            log.add(str(file), f"line {number}", f"names {name!r} again", "taken once", code="F113")
        elif name:
            indices[place[name]] = None
    if not indices:
        raise DataError(f"{file}: names no annotated image; write one image name without suffix a line", "F103")
    return source.select(list(indices)).with_problems(log.problems())


def _class_file(root: Path) -> list[str]:
    file = root / "classes.txt"
    lines = file.read_text("utf-8-sig").splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip()]


def _has_xml(folder: Path) -> bool:
    return folder.is_dir() and any(name.endswith(".xml") for name in os.listdir(folder))
