"""Files and folders: names that collide, that no tool can write, and images that nothing lists."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baimu.datasets.annotations import FileSource
from baimu.datasets.doctor.report import Finding
from baimu.datasets.images import find_images
from baimu.datasets.label_maps import MapSource, PaintedSource
from baimu.datasets.labels import ImageFiles
from baimu.datasets.sequences import FrameSequences

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened


def check(opened: Opened) -> Iterator[Finding]:
    """F109, F110, F114, F115."""
    named = {split: image_names(part) for split, part in opened.splits.items()}
    by_lower: dict[str, set[str]] = defaultdict(set)
    for split, names in named.items():
        for name in names:
            by_lower[name.lower()].add(name)
            if not os.path.basename(name).isprintable() or name != name.strip():
                yield Finding("F115", name, "", f"the name is {os.path.basename(name)!r}", split=split, image=name)
    for names in by_lower.values():
        first, *others = sorted(names)
        for other in others:
            yield Finding("F114", other, "", f"differs from {os.path.basename(first)} only in case", image=other)
    if opened.format == "yolo":
        yield from _shared_labels(opened)
    if opened.format == "coco" and not opened.failures:
        yield from _unlisted(opened)


def image_names(part: Any) -> list[str]:
    """The paths of a split's image files; none where it has no files."""
    if isinstance(part, FrameSequences):
        return [part.file(i, k) for i in range(len(part)) for k in range(part.frames(i))]
    files = isinstance(part, FileSource | MapSource | PaintedSource) or isinstance(
        getattr(part, "pictures", None), ImageFiles
    )
    return [part.name(i) for i in range(len(part))] if files else []


def _shared_labels(opened: Opened) -> Iterator[Finding]:
    """Images whose names differ by their suffixes alone have one label file."""
    for split, part in opened.splits.items():
        first: dict[str, str] = {}
        for name in image_names(part):
            other = first.setdefault(os.path.splitext(name)[0], name)
            if other != name:
                text = f"has the label file of {os.path.basename(other)}"
                yield Finding("F110", name, "", text, "both get its objects", split, name)


def _unlisted(opened: Opened) -> Iterator[Finding]:
    """Images beside those of a COCO file that no split lists."""
    parts = [part for part in opened.splits.values() if isinstance(part, FileSource)]
    known = {os.path.normpath(name) for part in parts for name in image_names(part)}
    known |= {os.path.normpath(problem.file) for part in parts for problem in part.problems}
    for root in dict.fromkeys(part.root for part in parts):
        for file in map(str, find_images(Path(root))):
            if os.path.normpath(file) not in known:
                yield Finding("F109", file, "", "no annotation file lists it", "never used", image=file)
