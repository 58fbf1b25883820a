"""Image files to RGB pixels, by Pillow alone: right way up, whatever their mode, or an error that names the file."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from baimu.errors import DataError, ImageError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".avif", ".mpo"}
    | {".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"}
)
"""Lower-case suffixes by which a folder's images are found. A file that is named may have any suffix."""

# Only raster formats that Pillow decodes itself; EPS, for one, would start Ghostscript on a stranger's file.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA", "DIB")

_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(
    source: str | os.PathLike[str] | bytes,
    *,
    at_least: int | None = None,
    annotated_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """The image as RGB uint8 (H, W, 3), EXIF orientation applied; of an animation or a stack, the first picture.

    Transparent pixels are laid over white, so that colours hidden behind alpha 0 do not show. 16-bit values are
    divided by 257 (0…65535 to 0…255, not saturated). 32-bit integers and floats say nothing about their range:
    floats up to 1.0 are scaled by 255, values up to 255 are kept, up to 65535 divided by 257, larger integers taken
    as full 32-bit; negative values and NaN become 0.

    ``at_least``: a JPEG may come at 1/2, 1/4 or 1/8 of its size (rounded up), which decodes faster, as long as its
    shorter side stays >= ``at_least`` pixels; other formats come in full size.
    ``annotated_size``: the (height, width) that its annotations were made at. Where only the pixels *without* EXIF
    rotation have that size, they are returned, so that annotations and pixels agree; where neither do, it raises.

    Raises :class:`~baimu.errors.ImageError`: missing, not a regular file (a folder, a pipe), empty, not an image,
    truncated or damaged, more than ``PIL.Image.MAX_IMAGE_PIXELS`` pixels, or not of ``annotated_size``.
    """
    label = "image bytes" if isinstance(source, bytes) else os.fspath(source)
    with _open(source, label) as image:
        turn = _turn(image)
        if annotated_size is not None and _shown_size(image, turn) != annotated_size:
            if _shown_size(image, None) != annotated_size:
                raise ImageError(
                    f"{label}: is {_text(_shown_size(image, turn))} pixels wide and high, but its annotations say "
                    f"{_text(annotated_size)}; correct the annotation file, or restore the image that was annotated",
                    "I107",
                )
            turn = None
        if at_least is not None and image.format == "JPEG":
            image.draft("", (at_least, at_least))
        try:
            image.load()
            return _pixels(image, turn)
        except ImageError as error:
            raise ImageError(f"{label}: {error}", "I114") from None
        except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error, …
            raise ImageError(
                f"{label}: damaged or truncated ({error}); replace the file or remove it", "I114"
            ) from None


def rgb_from_pillow(image: Image.Image) -> np.ndarray:
    """An opened Pillow image as RGB uint8 (H, W, 3), by the rules of :func:`decode_image`; Pillow's own errors pass."""
    return _pixels(image, _turn(image))


def image_size(source: str | os.PathLike[str] | bytes) -> tuple[int, int]:
    """Height, width as :func:`decode_image` would return them; reads the header only. Raises as it does."""
    return header_sizes(source)[0]


def header_sizes(source: str | os.PathLike[str] | bytes) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) with EXIF orientation applied, and without; reads the header only."""
    return read_header(source)[:2]


class Header(NamedTuple):
    """What the first bytes of an image file say."""

    shown: tuple[int, int]  # height, width with EXIF orientation applied
    stored: tuple[int, int]  # and without
    format: str  # Pillow's name of it
    animated: bool  # it holds several pictures


def read_header(source: str | os.PathLike[str] | bytes) -> Header:
    """The header alone. Raises as :func:`decode_image` does."""
    label = "image bytes" if isinstance(source, bytes) else os.fspath(source)
    with _open(source, label) as image:
        shown, stored = _shown_size(image, _turn(image)), _shown_size(image, None)
        return Header(shown, stored, image.format or "", bool(getattr(image, "is_animated", False)))


def find_images(folder: Path) -> list[Path]:
    """The files below ``folder`` with an image suffix, sorted; hidden ones and linked folders are passed over."""
    return sorted(map(Path, walk_images(folder)))


def walk_images(folder: str | os.PathLike[str]) -> Iterator[str]:
    """The paths of :func:`find_images` in their order, one after another: memory holds the names of one folder and of
    those above it, and nothing is asked of a file but its name. Raises :class:`~baimu.errors.DataError` for a folder
    that may not be read."""
    names, folders = [], set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():  # which the folder's own list says, but of links
                    if not entry.is_symlink():
                        folders.add(entry.name)
                        names.append(entry.name)
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    names.append(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise DataError(f"{os.fspath(folder)}: cannot be listed ({error.strerror}); change its permissions") from None
    for name in sorted(names):
        path = os.path.join(folder, name)
        if name in folders:
            yield from walk_images(path)
        else:
            yield path


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)  # an older Pillow lacks AVIF


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _open(source: str | os.PathLike[str] | bytes, label: str) -> Image.Image:
    """The image with its header read and its pixel count within the limit."""
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
        raise _too_large(label) from None
    except Exception as error:  # a damaged header raises anything from SyntaxError to OverflowError
        raise ImageError(f"{label}: {(why := _why_not(source, error))[0]}", why[1]) from None
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise _too_large(label)
    return image


def _too_large(label: str) -> ImageError:
    error = ImageError(
        f"{label}: has more than {Image.MAX_IMAGE_PIXELS} pixels, which could fill the memory; "
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


def _turn(image: Image.Image) -> Image.Transpose | None:
    """The transposition that EXIF asks for and Pillow leaves to us; unreadable EXIF asks for none."""
    if image.format == "TIFF":  # Pillow turns these by itself
        return None
    try:
        file = getattr(image, "fp", None)
        if image.format == "PNG" and "exif" not in image.info and file is not None and _has_late_exif(file):
            image.load()
        # PngImageFile.getexif would decode all pixels to look for EXIF that nearly never comes after them.
        return _TURNS.get(Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged metadata must not cost the pixels
        return None


def _has_late_exif(file: IO[bytes]) -> bool:
    """Whether a PNG has an eXIf chunk, by its chunk headers alone."""
    position, found = file.tell(), False
    file.seek(8)
    while not found and len(header := file.read(8)) == 8 and header[4:] != b"IEND":
        found = header[4:] == b"eXIf"
        file.seek(int.from_bytes(header[:4]) + 4, os.SEEK_CUR)
    file.seek(position)
    return found


def _shown_size(image: Image.Image, turn: Image.Transpose | None) -> tuple[int, int]:
    swapped = turn in (_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8])
    return (image.width, image.height) if swapped else (image.height, image.width)


def _pixels(image: Image.Image, turn: Image.Transpose | None) -> np.ndarray:
    picture = _to_rgb(image)
    return np.array(picture if turn is None else picture.transpose(turn))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bit(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))
        assert converted is not None
        return converted
    return image.convert("RGB")


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Grey values (H, W) of 16 or 32 bits to uint8; see :func:`decode_image`."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    floating = values.dtype.kind == "f"
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=np.inf, neginf=0.0).clip(0)
    highest = values.max(initial=0)
    if not np.isfinite(highest) or highest > 2**32 - 1:
        raise ImageError(f"grey values up to {highest:g} have no known range; convert it to 8 or 16 bits")
    if floating and highest <= 1:
        values = values * 255
    elif highest > 65535:
        values = values / 16843009  # (2**32 - 1) / 255
    elif highest > 255:
        values = values / 257
    return (values + 0.5).astype(np.uint8)
