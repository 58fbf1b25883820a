"""Image files to RGB pixels, by Pillow alone: right way up, whatever their mode, or an error that names the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from baimu.datasets.decoders import load, open_image
from baimu.errors import DataError, ImageError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".avif", ".mpo"}
    | {".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"}
)
"""Lower-case suffixes by which a folder's images are found. A file that is named may have any suffix."""

_BAND = 1 << 22
"""Pixels that are brought to RGB at once, so that a large image needs little more than itself and its result."""

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
_TURNED: dict[Image.Transpose, Callable[[np.ndarray], np.ndarray]] = {
    _TURNS[2]: lambda a: a[:, ::-1],
    _TURNS[3]: lambda a: a[::-1, ::-1],
    _TURNS[4]: lambda a: a[::-1],
    _TURNS[5]: lambda a: a.swapaxes(0, 1),
    _TURNS[6]: lambda a: np.rot90(a, -1),
    _TURNS[7]: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    _TURNS[8]: lambda a: np.rot90(a, 1),
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
    truncated or damaged, more than ``PIL.Image.MAX_IMAGE_PIXELS`` pixels (fewer of formats whose decoders hold more:
    two thirds as many of WebP, a third of JPEG 2000), a progressive JPEG of more than 100 scans, or not of
    ``annotated_size``.
    """
    label = "image bytes" if isinstance(source, bytes) else os.fspath(source)
    with open_image(source, label) as image:
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
            load(image)
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
    with open_image(source, label) as image:
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
                if _is_folder(entry):
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


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """As the list of the folder above says, but of links; one that leads in a circle is found out when it is read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _turn(image: Image.Image) -> Image.Transpose | None:
    """The transposition that EXIF asks for and Pillow leaves to us; unreadable EXIF asks for none."""
    if image.format == "TIFF":  # Pillow turns these by itself
        return None
    try:
        file = getattr(image, "fp", None)
        if image.format == "PNG" and "exif" not in image.info and file is not None:
            # PngImageFile.getexif would decode all pixels to look for EXIF that nearly never comes after them.
            image.info["exif"] = _late_exif(file)
        return _TURNS.get(Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged metadata must not cost the pixels
        return None


def _late_exif(file: IO[bytes]) -> bytes:
    """The content of a PNG's eXIf chunk, which is found by its chunk headers alone; empty where there is none."""
    position, found = file.tell(), b""
    file.seek(8)
    while not found and len(header := file.read(8)) == 8 and header[4:] != b"IEND":
        size = int.from_bytes(header[:4])
        if header[4:] == b"eXIf":
            found = b"Exif\0\0" + file.read(size)
        file.seek(size + 4, os.SEEK_CUR)
    file.seek(position)
    return found


def _shown_size(image: Image.Image, turn: Image.Transpose | None) -> tuple[int, int]:
    swapped = turn in (_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8])
    return (image.width, image.height) if swapped else (image.height, image.width)


def _pixels(image: Image.Image, turn: Image.Transpose | None) -> np.ndarray:
    width, height = image.size
    rows = max(1, _BAND // max(1, width))
    highest = _highest(image, rows) if image.mode in ("I", "F") else None
    if height <= rows:
        picture = _to_rgb(image, highest)
        return np.array(picture if turn is None else picture.transpose(turn))
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        part = image.crop((0, top, width, min(height, top + rows)))
        pixels[top : top + rows] = np.asarray(_to_rgb(part, highest))
    return pixels if turn is None else np.ascontiguousarray(_TURNED[turn](pixels))


def _to_rgb(image: Image.Image, highest: float | None) -> Image.Image:
    """``highest``: of 32-bit values, that of the whole image."""
    clear = image.info.get("transparency")
    if image.mode == "RGB" and clear is None:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        grey = _to_8_bit(values, highest)
        return Image.fromarray(
            np.where(values == clear, 255, grey).astype(np.uint8) if clear is not None else grey
        ).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))
        assert converted is not None
        return converted
    return image.convert("RGB")


def _highest(image: Image.Image, rows: int) -> float:
    """The highest of all values of 32 bits. Raises :class:`~baimu.errors.ImageError` where their range is not known."""
    bands = (image.crop((0, top, image.width, min(image.height, top + rows))) for top in range(0, image.height, rows))
    highest = max((float(_positive(np.asarray(band)).max(initial=0)) for band in bands), default=0.0)
    if not np.isfinite(highest) or highest > 2**32 - 1:
        raise ImageError(f"grey values up to {highest:g} have no known range; convert it to 8 or 16 bits", "I114")
    return highest


def _positive(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values.astype(np.float64), copy=False, nan=0.0, posinf=np.inf, neginf=0.0).clip(0)


def _to_8_bit(values: np.ndarray, highest: float | None) -> np.ndarray:
    """Grey values (H, W) to uint8: of 16 bits, or of 32 of which ``highest`` is the highest."""
    if highest is None:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    floating = values.dtype.kind == "f"
    values = _positive(values)
    if floating and highest <= 1:
        values = values * 255
    elif highest > 65535:
        values = values / 16843009  # (2**32 - 1) / 255
    elif highest > 255:
        values = values / 257
    return (values + 0.5).astype(np.uint8)
