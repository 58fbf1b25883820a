"""What only pixels tell: damage behind a good header, doubles, and pictures that training and validation share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from baimu.datasets.doctor.files import image_names
from baimu.datasets.doctor.hashing import alike, content_hash, picture_hash
from baimu.datasets.doctor.images import image_record
from baimu.datasets.doctor.report import Finding
from baimu.datasets.doctor.splits import ORDER, identities, pairs
from baimu.datasets.images import decode_image
from baimu.errors import ImageError

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened

ENOUGH = 64  # pixels of the shorter side, in which a JPEG may be decoded


class Seen(NamedTuple):
    """A picture that could be decoded."""

    split: str
    file: str
    content: bytes
    bits: int
    thumbnail: np.ndarray


def check(opened: Opened) -> Iterator[Finding]:
    """I114 to I117, S102, S103."""
    if opened.format in ("mot", "sequences"):  # frames that follow one another look alike
        return
    seen: list[Seen] = []
    known: set[str] = set()
    ranked = sorted(opened.splits.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else 0)
    for split, part in ranked:
        shared = {name for other, own in ranked if other != split for name in image_names(own)}
        for index, file in enumerate(image_names(part)):
            if file not in known:
                yield from _look(part, index, split, file, seen, file in shared)
            known.add(file)
    yield from _exact(seen)
    yield from _near(seen)


def _look(part: Any, index: int, split: str, file: str, seen: list[Seen], shared: bool) -> Iterator[Finding]:
    try:
        data = Path(file).read_bytes()
        image = decode_image(file, at_least=ENOUGH)
    except ImageError as error:
        if error.code == "I114":
            text = str(error).removeprefix(f"{file}: ")
            yield Finding("I114", file, image_record(part, index), text, "training stops at this image", split, file)
        return
    except OSError:
        return
    bits, thumbnail, plain = picture_hash(image)
    if plain:
        yield Finding("I117", file, "", "all pixels have one colour", "used as it is", split, file)
    elif not shared:  # the file itself is in another split: said already
        seen.append(Seen(split, file, content_hash(data), bits, thumbnail))


def _exact(seen: list[Seen]) -> Iterator[Finding]:
    first: dict[bytes, Seen] = {}
    places = identities([one.file for one in seen])
    own = set(places.values())  # of links to one file the first alone: the others are said already
    for one in seen:
        if one.file not in own:
            continue
        other = first.setdefault(one.content, one)
        if other is one:
            continue
        if one.split == other.split:
            yield Finding("I115", one.file, "", f"is {other.file} again", "used twice", one.split, one.file)
        elif (other.split, one.split) in pairs((one.split, other.split)):
            text = f"stands in {one.split} too, as {one.file}"
            yield Finding("S102", other.file, "", text, "used in both", other.split, other.file)


def _near(seen: list[Seen]) -> Iterator[Finding]:
    if not seen:
        return
    hashes = np.array([one.bits for one in seen], np.uint64)
    for a, b in alike(hashes, np.stack([one.thumbnail for one in seen])):
        one, other = seen[a], seen[b]
        if one.content == other.content:
            continue
        if one.split == other.split:
            text = f"looks like {one.file}"
            yield Finding("I116", other.file, "", text, "both used", other.split, other.file)
        elif (one.split, other.split) in pairs((one.split, other.split)):
            text = f"looks like {other.file} of {other.split}"
            yield Finding("S103", one.file, "", text, "used in both", one.split, one.file)
