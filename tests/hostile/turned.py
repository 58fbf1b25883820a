"""Every format that can say which way up it is, in all eight ways, and in ways that do not exist."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.hostile.case import UNDO, Case, encoded, gradient, grey, on_white, right
from tests.hostile.written import chunk, png
from tests.hostile.written_tiff import RGB, tiff

LOSSLESS_JPEG = {"quality": 98, "subsampling": 0}


def exif(orientation: int, order: str = "<") -> bytes:
    """A TIFF header with this one tag."""
    mark = b"II" if order == "<" else b"MM"
    tag = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", 1) + tag + bytes(4)


def with_exif(jpeg: bytes, orientation: int, order: str = "<") -> bytes:
    """The JPEG with an APP1 segment at its head."""
    body = b"Exif\0\0" + exif(orientation, order)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def forms(shown: np.ndarray, number: int) -> Iterator[tuple[str, str, bytes, np.ndarray, int]]:
    """(name, suffix, file, pixels as they are shown, tolerance) of a picture stored the way ``number`` says."""
    stored = np.ascontiguousarray(UNDO[number](shown))
    with_tag = Image.Exif()
    with_tag[0x0112] = number
    alpha = np.ascontiguousarray(shown[..., 2])
    see_through = np.ascontiguousarray(np.dstack([stored, UNDO[number](alpha)]))
    jpeg = encoded(stored, "JPEG", **LOSSLESS_JPEG)
    late = chunk(b"eXIf", exif(number))
    yield "jpeg", ".jpg", with_exif(jpeg, number), shown, 8
    yield "big-endian jpeg", ".jpg", with_exif(jpeg, number, ">"), shown, 8
    progressive = encoded(stored, "JPEG", progressive=True, **LOSSLESS_JPEG)
    yield "progressive jpeg", ".jpg", with_exif(progressive, number), shown, 8
    flat = encoded(Image.fromarray(stored[..., 0]), "JPEG", quality=98)
    yield "grey jpeg", ".jpg", with_exif(flat, number), grey(shown[..., 0]), 8
    inks = encoded(
        Image.fromarray(255 - np.dstack([stored, np.full_like(stored[..., :1], 255)]), "CMYK"), "JPEG", quality=98
    )
    yield "cmyk jpeg", ".jpg", with_exif(inks, number), shown, 12
    frames = [Image.fromarray(np.full_like(stored, 77))]
    yield (
        "mpo",
        ".mpo",
        encoded(stored, "MPO", save_all=True, append_images=frames, exif=with_tag, **LOSSLESS_JPEG),
        shown,
        8,
    )
    yield "png", ".png", png(stored, before=late), shown, 0
    yield "png with exif behind its pixels", ".png", png(stored, after=late), shown, 0
    yield "rgba png", ".png", png(see_through, colour=6, before=late), on_white(shown, alpha), 1
    yield "lossless webp", ".webp", encoded(stored, "WEBP", lossless=True, exif=with_tag), shown, 0
    yield "webp", ".webp", encoded(stored, "WEBP", quality=100, exif=with_tag), shown, 24
    yield "avif", ".avif", encoded(stored, "AVIF", quality=100, subsampling="4:4:4", exif=with_tag), shown, 8
    yield "tiff", ".tif", tiff(stored, colour=RGB, tags={274: ("H", [number])}), shown, 0
    yield "deflated tiff", ".tif", encoded(stored, "TIFF", compression="tiff_deflate", tiffinfo={274: number}), shown, 0


def cases() -> Iterator[Case]:
    shown = gradient()
    for number in UNDO:
        for name, suffix, data, pixels, tolerance in forms(shown, number):
            yield right(f"{name} stored as {number}", data, pixels, tolerance, suffix=suffix)
    jpeg = encoded(shown, "JPEG", **LOSSLESS_JPEG)
    for number in (0, 9, 255, 65535):
        yield right(f"jpeg of orientation {number}", with_exif(jpeg, number), shown, 8, suffix=".jpg")
        yield right(f"png of orientation {number}", png(shown, before=chunk(b"eXIf", exif(number))), shown)
        data = tiff(shown, colour=RGB, tags={274: ("H", [number])})
        yield right(f"tiff of orientation {number}", data, shown, suffix=".tif")
    for name, broken in {
        "empty": b"",
        "cut": exif(6)[:12],
        "text": b"no exif at all",
        "loop": exif(1)[:-4] + b"\x08\0\0\0",
    }.items():
        yield right(f"png with exif that is {name}", png(shown, before=chunk(b"eXIf", broken)), shown)
