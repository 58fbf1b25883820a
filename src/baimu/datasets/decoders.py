"""Image files opened and decoded by Pillow within bounds of memory and time that hold for each of its decoders."""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Iterator
from functools import cache
from typing import IO, Any

import numpy as np
from PIL import Image

from baimu.errors import ImageError

# Only raster formats that Pillow decodes itself; EPS, for one, would start Ghostscript on a stranger's file.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA", "DIB")

_USUAL = 12
"""Bytes a pixel, with which Pillow's bound of pixels is a bound of a gibibyte."""

_HUNGRY = {"WEBP": 18, "AVIF": 14, "JPEG2000": 36, "bmp_rle": 96}
"""What decoding holds a pixel at its peak where that is more, or, of JPEG 2000 and of runs in BMP, which Pillow decodes
in Python, what it would hold if it held as much more as it takes longer."""

SCANS = 100
"""A progressive JPEG of more passes over its pixels is not decoded: usual ones have ten, and hostile ones a million."""

_SCALED = {"L;2": 85, "L;4": 17}
"""By which Pillow multiplies grey of few bits, but not the level that a PNG declares transparent."""


def open_image(source: str | os.PathLike[str] | bytes, label: str) -> Image.Image:
    """The image with its header read and its pixel count within the bound: Pillow's ``MAX_IMAGE_PIXELS``, and fewer for
    decoders that hold more than 12 bytes a pixel. Raises :class:`~baimu.errors.ImageError`, starting with ``label``."""
    try:
        if not isinstance(source, bytes) and not stat.S_ISREG(os.stat(source).st_mode):
            raise ImageError(f"{label}: is not a regular file (a folder, pipe or device); give an image file", "I106")
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_formats())
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{label}: there is no such file; check the path", "I101") from None
    except PermissionError:
        raise ImageError(f"{label}: may not be read; change its permissions", "I104") from None
    except Image.DecompressionBombError:
        raise _too_large(label, Image.MAX_IMAGE_PIXELS or 0) from None
    except Exception as error:  # a damaged header raises anything from SyntaxError to OverflowError
        raise ImageError(f"{label}: {(why := _why_not(source, error))[0]}", why[1]) from None
    if Image.MAX_IMAGE_PIXELS is not None:
        limit = Image.MAX_IMAGE_PIXELS * _USUAL // max(_USUAL, _hunger(image))
        if image.width * image.height > limit:
            raise _too_large(label, limit)
    _scale_transparency(image)
    return image


def load(image: Image.Image) -> None:
    """Decode the pixels. Raises whatever Pillow's decoders do (OSError, SyntaxError, ValueError, struct.error,
    zlib.error, …), and :class:`~baimu.errors.ImageError` without a label for what they let pass: a PNG whose checksums
    are wrong or whose pixels end early, and a JPEG of endless passes."""
    if image.info.get("progressive") and _contents(image).count(b"\xff\xda") > SCANS:
        error = ImageError(
            f"has more than {SCANS} scans, which take longer than its pixels are worth; save it anew", "I105"
        )
        error.too_large = True
        raise error
    data = _contents(image) if image.format == "PNG" else b""
    if not all(zlib.crc32(kind + body) == crc for kind, body, crc in _chunks(data) if kind == b"IDAT"):
        raise ImageError("damaged (a checksum of its pixels is wrong); replace the file or remove it", "I114")
    image.load()
    if data and _ends_black(image) and _is_short(data):
        raise ImageError(
            "damaged or truncated (it holds fewer pixels than it says); replace the file or remove it", "I114"
        )


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)  # an older Pillow lacks AVIF


def _hunger(image: Image.Image) -> int:
    """Bytes a pixel."""
    return max(_HUNGRY.get(kind or "", 0) for kind in (image.format, _tile(image)[0]))


def _tile(image: Image.Image) -> tuple[Any, ...]:
    """The first piece of the file that is to be decoded: by what, where it goes, where it lies, and how."""
    tiles = getattr(image, "tile", None)
    return tuple(tiles[0]) if tiles else ("", None, 0, None)


def _too_large(label: str, limit: int) -> ImageError:
    error = ImageError(
        f"{label}: has more than {limit} pixels, which could fill the memory; "
        "if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS, or scale it down",
        "I105",
    )
    error.too_large = True
    return error


def _why_not(source: str | os.PathLike[str] | bytes, error: Exception) -> tuple[str, str]:
    """What the file is instead of an image, with the mend, and the rule that it breaks."""
    try:
        if isinstance(source, bytes):
            head = source[:256]
        else:
            with open(source, "rb") as file:
                head = file.read(256)
    except (OSError, ValueError) as reason:
        return f"cannot be read ({reason})", "I104"
    if not head:
        return "is empty (0 bytes); copy or download it again", "I102"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "is a web page or XML text, not an image; download it again", "I103"
    reason = "" if isinstance(error, Image.UnidentifiedImageError) else f" ({error})"
    return f"is damaged or not an image that Pillow can read{reason}; replace it, or convert it to PNG or JPEG", "I104"


def _scale_transparency(image: Image.Image) -> None:
    """The transparent level or colour of a PNG as Pillow will give its pixels: of eight bits."""
    clear = image.info.get("transparency")
    raw = _tile(image)[3]
    if image.format != "PNG":
        return
    if isinstance(clear, int) and raw in _SCALED:
        image.info["transparency"] = clear * _SCALED[raw]
    elif isinstance(clear, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(level >> 8 for level in clear)


def _contents(image: Image.Image) -> bytes:
    """The whole file, which is left where it was."""
    file: IO[bytes] | None = getattr(image, "fp", None)
    if file is None:
        return b""
    position = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(position)
    return data


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Kind, content and checksum of each complete part of a PNG, to its end."""
    at = 8
    while len(png) >= at + 12:
        size = int.from_bytes(png[at : at + 4])
        kind, body, crc = png[at + 4 : at + 8], png[at + 8 : at + 8 + size], png[at + 8 + size : at + 12 + size]
        if len(crc) < 4:
            return
        yield kind, body, int.from_bytes(crc)
        if kind == b"IEND":
            return
        at += 12 + size


def _ends_black(image: Image.Image) -> bool:
    """Whether one of the last two rows is all zero, as it is where pixels are missing: the last to come of an
    interlaced picture is an odd row."""
    rows = np.asarray(image.crop((0, max(0, image.height - 2), image.width, image.height)))
    return not rows.reshape(len(rows), -1).any(1).all()


def _is_short(png: bytes) -> bool:
    """Whether the pixels that are there are fewer than the header says."""
    parts = list(_chunks(png))
    header = next(body for kind, body, _ in parts if kind == b"IHDR")
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    bits = header[8] * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[header[9]]
    adam7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    wanted = 0
    for left, top, across, down in adam7 if header[12] else [(0, 0, 1, 1)]:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        wanted += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
    stream, found = zlib.decompressobj(), 0
    for kind, body, _ in parts:
        while kind == b"IDAT" and body and found < wanted:
            found += len(stream.decompress(body, 1 << 20))
            body = stream.unconsumed_tail
    return found < wanted
