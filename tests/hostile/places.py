"""Names that mislead or are hard to write, and what is no regular file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.case import Case, encoded, gradient, noise, right
from tests.hostile.written import png
from tests.hostile.wrong import whole

NAMES = {
    "with a newline": "new\nline.png",
    "with a tab and a return": "tab\tand\rreturn.png",
    "in Chinese": "百目 图像.png",
    "from right to left": "صورة.png",
    "of emoji": "👁️‍🗨️.png",
    "of combined letters": "e\u0301te\u0301.png",
    "with quotes": 'it\'s "one".png',
    "with a percent": "100%25s %n.png",
    "with stars": "[a]*?.png",
    "with a dash in front": "-rf --help.png",
    "with an at in front": "@names.png",
    "like an address": "http:∕∕a.png",
    "like a camera": "camera:0.png",
    "with a colon": "photos:from=grey.png",
    "with spaces around": "  a  .png",
    "of 255 bytes": "n" * 251 + ".png",
    "in capitals": "PHOTO.PNG",
    "with many dots": "..a...b.png",
    "with a backslash": "a\\..\\b.png",
    "of bytes that are no text": os.fsdecode(b"caf\xe9 \xff.png"),
    "with markup": "<b>bold<∕b>&amp;.png",
    "with an escape": "\x1b[31mred.png",
}


def cases() -> Iterator[Case]:
    for name, file_name in NAMES.items():
        yield right(f"a name {name}", png(noise()), noise(), file_name=file_name)
    formats = whole()
    suffixes = [".jpg", ".png", ".tif", ".webp", ".bmp", ".gif", ".ppm", ".tga"]
    for position, (name, (own, data, pixels, tolerance)) in enumerate(formats.items()):
        if name == "tga":  # which has no signature and is known by its suffix alone
            continue
        others = [suffix for suffix in suffixes if suffix != own]
        suffix = others[position % len(others)]
        yield right(f"{name} called {suffix}", data, pixels, tolerance, suffix=suffix)
    yield right(
        "jpeg without a suffix", encoded(gradient(), "JPEG", quality=98, subsampling=0), gradient(), 8, suffix=""
    )
    yield right("png called text", png(noise()), noise(), suffix=".txt")
    yield right("png with two suffixes", png(noise()), noise(), suffix=".jpg.png")
    for name, (put, says) in _irregular().items():
        yield Case(name, "refused", put=put, says=says, suffix=".jpg")
    yield Case("a link to a good file", "right", put=_link_to_good, pixels=noise())


def _irregular() -> dict[str, tuple[Callable[[Path], None], str]]:
    return {
        "a pipe": (os.mkfifo, "not a regular file"),
        "a folder": (Path.mkdir, "not a regular file"),
        "a socket": (_listen, "not a regular file"),
        "a link to endless zeros": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        "a link to a terminal": (lambda path: path.symlink_to("/dev/null"), "not a regular file"),
        "a link to a pipe": (_link_to_pipe, "not a regular file"),
        "a link to nothing": (lambda path: path.symlink_to("nothing"), "no such file"),
        "a link to itself": (lambda path: path.symlink_to(path.name), ""),
    }


def _listen(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)  # the name of a socket may have 107 bytes
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def _link_to_pipe(path: Path) -> None:
    pipe = path.with_name("." + path.name)
    os.mkfifo(pipe)
    path.symlink_to(pipe)


def _link_to_good(path: Path) -> None:
    good = path.with_name("." + path.name)
    good.write_bytes(png(noise()))
    path.symlink_to(good)
