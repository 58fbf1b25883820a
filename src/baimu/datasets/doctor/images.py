"""Image files, by their headers: whether they can be read, and are what annotations and names say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from baimu.datasets.annotations import FileSource
from baimu.datasets.doctor.files import image_names
from baimu.datasets.doctor.report import Finding
from baimu.datasets.images import Header, read_header
from baimu.datasets.sequences import FrameSequences
from baimu.datasets.source import Problem
from baimu.errors import ImageError

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened

TINY, LONG = 8, 20  # pixels of the shorter side; times that the longer side is as long
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "BMP": (".bmp", ".dib"),
    "DIB": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TGA": (".tga",),
}
"""By Pillow's name of the format."""


def check(opened: Opened) -> Iterator[Finding]:
    """I101 to I113, I118, as far as readers have not reported them."""
    seen: set[str] = set()
    for split, part in opened.splits.items():
        of_frames = isinstance(part, FrameSequences)
        own: dict[str, int] = {}
        for index, file in enumerate(image_names(part)):
            if not of_frames and own.setdefault(file, index) != index:
                yield Finding(
                    "I118", file, f"image {part.image_id(index)}", "is listed before", "used twice", split, file
                )
                continue
            if file in seen:  # of several tracks, or of two splits
                continue
            seen.add(file)
            yield from _one(part, index, file, split)


def _one(part: Any, index: int, file: str, split: str) -> Iterator[Finding]:
    try:
        header = read_header(file)
    except ImageError as error:
        code, record = "T116" if isinstance(part, FrameSequences) else error.code, image_record(part, index)
        text = str(error).removeprefix(f"{file}: ")
        yield Finding(code, file, record, text, "training stops at this image", split, file)
        return
    if says_sizes(part) and (problem := size_problem(part, index, header)) is not None:
        yield Finding(problem.code, file, problem.record, problem.problem, problem.action, split, file)
    suffix = os.path.splitext(file)[1].lower()
    if suffix not in SUFFIXES.get(header.format, (suffix,)):
        text = f"is {header.format} by its content"
        yield Finding("I110", file, "", text, "read by its content", split, file)
    if header.animated and header.format != "MPO":
        yield Finding("I113", file, "", "holds several pictures", "the first is used", split, file)
    height, width = header.shown
    if min(height, width) < TINY:
        yield Finding("I112", file, "", f"is {width}x{height}", "used as it is", split, file)
    elif max(height, width) > LONG * min(height, width):
        yield Finding("I111", file, "", f"is {width}x{height}", "used as it is", split, file)


def says_sizes(part: Any) -> bool:
    """Whether sizes are those of the annotations, as COCO's are; other readers have looked at the image themselves."""
    return isinstance(part, FileSource) and part.records is not None and part.records.word == "annotation"


def image_record(part: Any, index: int) -> str:
    """What an image is called in messages, besides its file."""
    return f"image {part.image_id(index)}" if says_sizes(part) else ""


def size_problem(source: FileSource, index: int, header: Header) -> Problem | None:
    """How the header of an image contradicts its annotations; its use would stop with the same message."""
    height, width = source.size(index)
    shown, stored = header.shown, header.stored
    text, record = f"is {shown[1]}x{shown[0]}, annotated at {width}x{height}", f"image {source.image_id(index)}"
    if (height, width) not in (shown, stored):
        action = "training stops at this image; correct the annotation file"
        return Problem(source.name(index), record, text, action, "I107")
    if shown != (height, width):
        text = f"{text}, without its EXIF rotation"
        return Problem(source.name(index), record, text, "image used without the rotation", "I108")
    return None
