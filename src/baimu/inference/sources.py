"""Whatever a user calls images, as one lazy series of named pictures in its order: N images give N items."""

from __future__ import annotations

import glob
import http.client
import itertools
import os
import re
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from torch import Tensor

from baimu.datasets.images import SUFFIXES, decode_image, find_images, rgb_from_pillow, walk_images
from baimu.datasets.source import DetectionSource
from baimu.errors import DataError, ImageError, nearest_path
from baimu.inference import video
from baimu.inference.pixels import rgb_from_array, rgb_from_tensor

URL_BYTES = 64 << 20
"""A longer answer from a URL is refused."""
URL_SECONDS = 60.0
"""A download that takes longer is given up; a server that is silent for a third of that, too."""

NO_IMAGES = "the folder holds no images"
_STREAMS = ("rtsp", "rtsps", "rtmp", "srt", "udp")


class Item(NamedTuple):
    """One image, not yet read."""

    name: str  # path, URL, "clip.mp4#12", "image 3"
    read: Callable[[], np.ndarray]  # RGB uint8 (H, W, 3); raises ImageError that names the image
    is_file: bool = False  # ``name`` is an image file, which can be read again


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a source, to be gone through once."""

    items: Iterable[Item]
    count: int | None = None  # None: not known beforehand
    endless: bool = False  # a camera or a network stream
    fps: float | None = None  # of a video


def open_images(source: Any) -> Images:
    """Open what the user gave; nothing is decoded or downloaded before its turn comes.

    =========================  ========================================================================================
    path (``str``, ``Path``)   an image file, whatever its suffix, or a video file
    folder                     its image files and those of its subfolders, sorted by path; hidden ones are passed over
    ``"a/**/*.jpg"``           the image files it matches, sorted by path
    ``"@names.txt"``           the images that a UTF-8 text file names, a path or URL a line; it is read as it goes
    ``"http(s)://…"``          one image, downloaded (at most 64 MiB, one minute); the network is used for nothing else
    ``0``, ``"camera:0"``      a camera, without end; also ``"rtsp://…"``
    ``PIL.Image``              EXIF orientation applied, like a file
    ``numpy``                  (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA; (N, H, W, C) is N images
    ``torch``                  (C, H, W), or (N, C, H, W) for N images; on any device
    ``bytes``                  an encoded image
    list, tuple, generator     any of these that is *one* image, in order; a generator is read as it goes
    data set                   the images of a :class:`~baimu.datasets.source.DetectionSource`
    =========================  ========================================================================================

    Arrays and tensors are uint8, or floats in 0…1 (:func:`~baimu.inference.pixels.rgb_from_array`). Raises
    :class:`~baimu.errors.DataError` at once for a missing path, a folder or pattern without images, or a wrong type.
    """
    if isinstance(source, bool):
        raise DataError(f"cannot look for objects in {source!r}")
    if isinstance(source, int):
        return Images(_named(video.camera_frames(source), f"camera:{source}"), endless=True)
    if isinstance(source, str) and (
        address := re.match(r"(camera|[a-z][a-z0-9+.-]+(?=://)):(.*)", source, re.IGNORECASE)
    ):
        return _address(source, *address.groups())
    if isinstance(source, str | os.PathLike):
        return _path(os.fspath(source))
    if isinstance(source, np.ndarray | Tensor) and source.ndim == 4:
        return open_images(list(source))
    if isinstance(source, np.ndarray | Tensor | PIL.Image.Image | bytes):
        return Images([_one(source, 0)], 1)
    if isinstance(source, DetectionSource):
        return Images((Item(source.name(i), partial(source.image, i)) for i in range(len(source))), len(source))
    if isinstance(source, list | tuple):
        items = [_one(element, i) for i, element in enumerate(source)]
        return Images(items, len(items))
    if isinstance(source, Iterable):
        return Images(_one(element, i) for i, element in enumerate(source))
    raise DataError(f"cannot look for objects in {type(source).__name__}; give a path, an image, an array or a list")


def _one(element: Any, position: int) -> Item:
    """One image of a list; what can hold several is refused, so that N inputs give N results."""
    name = f"image {position}"
    if isinstance(element, np.ndarray):
        return Item(name, partial(rgb_from_array, element, name))
    if isinstance(element, Tensor):
        return Item(name, partial(rgb_from_tensor, element, name))
    if isinstance(element, PIL.Image.Image):
        return Item(name, partial(_pillow, element, name))
    if isinstance(element, bytes):
        return Item(name, partial(_bytes, element, name))
    if isinstance(element, str) and element.lower().startswith(("http://", "https://")):
        return Item(element, partial(_download, element))
    if isinstance(element, str | os.PathLike):
        path = Path(element)
        if path.is_file() and path.suffix.lower() not in video.SUFFIXES:
            return _file(path)
        if not path.exists():
            near = nearest_path(path) or "; check the path"
            raise DataError(f"{element}: there is no such file (entry {position} of the list){near}")
        raise DataError(f"{element}: a list holds single images; give a folder or a video by itself")
    raise DataError(f"{name}: cannot look for objects in {type(element).__name__}; give a path, an image or an array")


def _path(path: str) -> Images:
    here = Path(path)
    if here.is_dir():
        return _files(find_images(here), f"{path}: {NO_IMAGES}")
    if here.suffix.lower() in video.SUFFIXES and here.exists():
        return Images(_named(video.video_frames(path), path), fps=video.video_rate(path))
    if here.exists():
        return Images([_file(here)], 1)
    if path.startswith("@"):
        list_of = Path(path[1:])
        return Images(_listed_item(name, f"@{list_of}, line {number}") for number, name in _listed(list_of))
    if glob.has_magic(path):
        matches = sorted(Path(match) for match in glob.glob(path, recursive=True))
        images = [p for p in matches if p.suffix.lower() in SUFFIXES and p.is_file()]
        none = f"matches {len(matches)} files or folders, none of them an image" if matches else "matches nothing"
        return _files(images, f"{path}: the pattern {none}")
    raise DataError(f"{path}: there is no such file or folder{nearest_path(path) or '; check the path'}")


def image_names(source: str) -> Iterator[str]:
    """The names of the items of :func:`open_images`, for a text source of single images; a folder is walked as it goes.

    Raises as it does, and for videos and cameras, whose frames have no place of their own.
    """
    folder = Path(source)
    if folder.is_dir():
        names, complaint = walk_images(folder), f"{source}: {NO_IMAGES}"
    else:
        opened = open_images(source)
        if opened.endless or opened.fps is not None:
            raise DataError(
                f"{source}: only single images are looked at in parts; give videos and cameras by themselves"
            )
        names, complaint = (item.name for item in opened.items), f"{source}: names no images"
    first = next(names, None)
    if first is None:
        raise DataError(complaint)
    yield first
    yield from names


def named_item(name: str) -> Item:
    """The image file or URL of a name; whether it is there is seen when it is read."""
    if name.lower().startswith(("http://", "https://")):
        return Item(name, partial(_download, name))
    return _file(name)


def _listed_item(name: str, place: str) -> Item:
    item = named_item(name)
    return item._replace(read=partial(_read_listed, item.read, place))


def _read_listed(read: Callable[[], np.ndarray], place: str) -> np.ndarray:
    try:
        return read()
    except ImageError as error:
        raise ImageError(f"{error} ({place})") from None


def _listed(file: Path) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are not blank. Raises at once if the file cannot be read or names nothing."""
    if not file.is_file():
        raise DataError(f"@{file}: there is no such text file; give one with the path of an image a line")
    names = _lines(file)
    first = next(names, None)
    if first is None:
        raise DataError(f"@{file}: names no images; write the path of one a line")
    return itertools.chain([first], names)


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with file.open(encoding="utf-8-sig") as lines:
            numbered = ((number, line.rstrip("\n")) for number, line in enumerate(lines, 1))
            yield from (pair for pair in numbered if pair[1])
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"@{file}: cannot be read ({error}); give a text file in UTF-8") from None


def _address(source: str, scheme: str, rest: str) -> Images:
    scheme = scheme.lower()
    if scheme == "camera":
        if not rest.isdecimal():
            raise DataError(f"{source}: give the camera's number, as in camera:0")
        return open_images(int(rest))
    if scheme in ("http", "https"):
        suffix = Path(source.partition("?")[0]).suffix.lower()
        if suffix in video.SUFFIXES:
            raise DataError(f"{source}: download the video and give the file; only images are read from a URL")
        return Images([_one(source, 0)], 1)
    if scheme in _STREAMS:
        return Images(_named(video.video_frames(source), source), endless=True)
    raise DataError(f"{source}: {scheme}:// is not read; give http(s)://, {_STREAMS[0]}:// or a path")


def _files(paths: Sequence[Path], complaint: str) -> Images:
    if not paths:
        raise DataError(f"{complaint}; give some that end in {', '.join(sorted(SUFFIXES))}")
    return Images([_file(path) for path in paths], len(paths))


def _file(path: Path | str) -> Item:
    return Item(str(path), partial(decode_image, path), is_file=True)


def _named(frames: Iterator[np.ndarray], name: str) -> Iterator[Item]:
    for number, frame in enumerate(frames):
        yield Item(f"{name}#{number}", partial(_same, frame))


def _same(frame: np.ndarray) -> np.ndarray:
    return frame


def _pillow(image: PIL.Image.Image, name: str) -> np.ndarray:
    try:
        return rgb_from_pillow(image)
    except Exception as error:  # a lazily opened file may only now show its damage, as in decode_image
        raise ImageError(f"{getattr(image, 'filename', '') or name}: {error}") from None


def _bytes(data: bytes, name: str) -> np.ndarray:
    try:
        return decode_image(data)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None


def _download(url: str) -> np.ndarray:
    """The image behind ``url``. Redirections lead to http(s) only; size and time are limited."""
    handlers = (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    )
    opener = urllib.request.OpenerDirector()  # build_opener would add ftp and file
    for handler in handlers:
        opener.add_handler(handler())
    request = urllib.request.Request(url, headers={"User-Agent": "baimu"})
    deadline = time.monotonic() + URL_SECONDS
    data = bytearray()
    try:
        with opener.open(request, timeout=URL_SECONDS / 3) as answer:
            while part := answer.read1(1 << 16):
                data += part
                if len(data) > URL_BYTES:
                    raise ImageError(f"{url}: is larger than {URL_BYTES >> 20} MiB; download it and give the file")
                if time.monotonic() > deadline:
                    raise ImageError(f"{url}: took longer than {URL_SECONDS:g} s; download it and give the file")
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ImageError(f"{url}: cannot be downloaded ({reason}); download it yourself and give the file") from None
    return _bytes(bytes(data), url)
