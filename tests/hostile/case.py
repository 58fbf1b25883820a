"""One hostile file: its bytes, its name, and what must come of it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from baimu.errors import ImageError

Outcome = Literal["right", "refused", "either", "any"]
"""``either``: right pixels or a refusal, as where only the file's last bytes are cut away. ``any``: whatever pixels, or
a refusal, for formats without a checksum, in which a changed bit is another picture."""


@dataclass(frozen=True)
class Case:
    """``make`` gives the bytes; ``put`` instead writes what is no regular file. ``pixels`` are RGB uint8 (H, W, 3), of
    which each may be ``tolerance`` away. ``says``: what the refusal says behind the path."""

    name: str
    outcome: Outcome
    make: Callable[[], bytes] | None = None
    pixels: np.ndarray | None = None
    tolerance: int = 0
    says: str = ""
    suffix: str = ".png"
    file_name: str | None = None  # where it is what the case is about
    put: Callable[[Path], None] | None = None
    heavy: bool = False  # costs so much that only the guarded process reads it

    def place(self, folder: Path, number: int) -> Path:
        """Write it into ``folder``; names sort as numbers do."""
        path = folder / (self.file_name or f"{number:03} {self.name}{self.suffix}".replace("/", "∕"))
        if self.make is not None:
            path.write_bytes(self.make())
        if self.put is not None:
            self.put(path)
        return path

    def judge(self, path: str | os.PathLike[str], read: Callable[[], np.ndarray]) -> str:
        """What is wrong with the outcome of ``read``: nothing, or a sentence."""
        try:
            found = read()
        except ImageError as error:
            if self.outcome == "right":
                return f"was refused: {error}"
            if not str(error).startswith(f"{os.fspath(path)}: "):
                return f"the refusal does not begin with the path: {error}"
            return "" if self.says in str(error) else f"the refusal does not say {self.says!r}: {error}"
        if self.outcome == "refused":
            return f"was read as {found.shape}"
        if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3 or not found.flags.c_contiguous:
            return f"became {found.dtype} {found.shape}"
        if self.outcome == "any" or self.pixels is None:
            return ""
        if found.shape != self.pixels.shape:
            return f"became {found.shape}, not {self.pixels.shape}"
        away = int(np.abs(found.astype(int) - self.pixels).max())
        return "" if away <= self.tolerance else f"is {away} away from the right pixels"


def right(name: str, data: bytes | Callable[[], bytes], pixels: np.ndarray, tolerance: int = 0, **more: object) -> Case:
    return Case(name, "right", _made(data), np.ascontiguousarray(pixels), tolerance, **more)  # type: ignore[arg-type]


def refused(name: str, data: bytes | Callable[[], bytes], says: str = "", **more: object) -> Case:
    return Case(name, "refused", _made(data), says=says, **more)  # type: ignore[arg-type]


def _made(data: bytes | Callable[[], bytes]) -> Callable[[], bytes]:
    return (lambda: data) if isinstance(data, bytes) else data


def encoded(image: Image.Image | np.ndarray, form: str, **options: object) -> bytes:
    """By Pillow's encoder."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def gradient(height: int = 24, width: int = 40) -> np.ndarray:
    """Smooth and without symmetry, so that a wrong turn shows in formats that lose something too."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], 2).astype(np.uint8)


def noise(height: int = 24, width: int = 40, channels: int = 3, below: int = 256) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, below, (height, width, channels), np.uint8)


def grey(values: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 1) numbers in 0…255 as RGB, to the nearest whole ones."""
    values = values.reshape(*values.shape[:2], 1)
    return np.repeat(np.floor(values.astype(np.float64) + 0.5).astype(np.uint8), 3, 2)


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) with alpha (H, W) of 0…255, laid over white."""
    share = alpha[..., None].astype(np.float64) / 255
    return np.floor(colours * share + 255 * (1 - share) + 0.5).astype(np.uint8)


UNDO: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),  # stored a quarter to the left; EXIF 6 says: turn it right to show
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""How a picture is stored that the EXIF orientation brings upright."""
