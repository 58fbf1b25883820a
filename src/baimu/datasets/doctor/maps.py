"""Label maps, each of which is read: values that stand for nothing, and maps that teach nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from baimu.datasets.doctor.report import Finding
from baimu.datasets.label_maps import MapSource
from baimu.errors import DataError
from baimu.targets import UNDECIDED

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened

LOSSY = (".jpg", ".jpeg")


def check(opened: Opened) -> Iterator[Finding]:
    """M205, M206, M210, M211."""
    for split, part in opened.splits.items():
        if not isinstance(part, MapSource):
            continue
        for index in range(len(part)):
            file = part.map_name(index)
            if os.path.splitext(file)[1].lower() in LOSSY:
                yield Finding("M210", file, "", "is a JPEG", "read as it is", split, part.name(index))
            if (error := fault(part, index)) is not None:
                text = str(error).removeprefix(f"{file}: ")
                yield Finding(error.code, file, "", text, "training stops at this map", split, part.name(index))
            elif (part.label_map(index) == UNDECIDED).all():
                yield Finding("M211", file, "", "has no decided pixel", "teaches nothing", split, part.name(index))


def fault(source: MapSource, index: int) -> DataError | None:
    """What makes a map unusable."""
    try:
        source.label_map(index)
    except DataError as error:
        return error
    return None
