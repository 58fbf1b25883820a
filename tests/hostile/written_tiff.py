"""TIFF files written from arrays, one tag after another."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from tests.hostile.written import packed

TYPES = {"B": 1, "H": 3, "I": 4, "Q": 16}
"""The number of each kind of value in a tag, by its letter in ``struct``."""

GREY, WHITE_IS_ZERO, RGB, PALETTE, CMYK, LAB = 1, 0, 2, 3, 5, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3


def tiff(
    samples: np.ndarray,
    *,
    colour: int = GREY,
    bits: int = 8,
    kind: int = UNSIGNED,
    order: str = "<",
    strips: int = 1,
    planes: bool = False,
    deflate: bool = False,
    tags: dict[int, tuple[str, Any]] | None = None,
    next_page: int = 0,
) -> bytes:
    """``samples`` (H, W, C) in ``strips`` parts; with ``planes`` each channel for itself. ``tags``: number to letter of
    ``struct`` and values, further ones or others than would be written."""
    height, width, channels = samples.shape
    rows = -(-height // strips)
    layers = [samples[..., c : c + 1] for c in range(channels)] if planes else [samples]
    parts = [_coded(layer[top : top + rows], bits, order) for layer in layers for top in range(0, height, rows)]
    parts = [zlib.compress(part) for part in parts] if deflate else parts
    starts = np.cumsum([8, *map(len, parts)]).tolist()
    written: dict[int, tuple[str, Any]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * channels),
        259: ("H", [8 if deflate else 1]),
        262: ("H", [colour]),
        273: ("I", starts[:-1]),
        277: ("H", [channels]),
        278: ("I", [rows]),
        279: ("I", [len(part) for part in parts]),
        284: ("H", [2 if planes else 1]),
        339: ("H", [kind] * channels),
        **(tags or {}),
    }
    body = b"".join(parts)
    body += b"\0" * (len(body) % 2)
    mark = b"II" if order == "<" else b"MM"
    return (
        mark + struct.pack(order + "HI", 42, 8 + len(body)) + body + directory(written, 8 + len(body), order, next_page)
    )


def directory(tags: dict[int, tuple[str, Any]], start: int, order: str = "<", next_page: int = 0) -> bytes:
    """The tags of a page that lies at ``start``, ascending, and behind them the values that have no room in them."""
    rows, beyond = b"", b""
    free = start + 2 + 12 * len(tags) + 4
    for number, (letter, values) in sorted(tags.items()):
        value = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(value) > 4:
            value, beyond = struct.pack(order + "I", free + len(beyond)), beyond + value + b"\0" * (len(value) % 2)
        rows += struct.pack(order + "HHI", number, TYPES[letter], len(values)) + value.ljust(4, b"\0")
    return struct.pack(order + "H", len(tags)) + rows + struct.pack(order + "I", next_page) + beyond


def _coded(part: np.ndarray, bits: int, order: str) -> bytes:
    if bits < 8:
        return packed(part, bits).tobytes()
    return part.astype(part.dtype.newbyteorder(order)).tobytes()


def big_tiff(samples: np.ndarray) -> bytes:
    """RGB (H, W, 3) in the form with offsets of 64 bits."""
    height, width, channels = samples.shape
    body = samples.tobytes()
    rows = [(256, "I", width), (257, "I", height), (259, "H", 1), (262, "H", RGB)]
    rows += [(273, "Q", 16), (277, "H", channels), (278, "I", height), (279, "Q", len(body))]
    text = b""
    for number, letter, value in rows:
        text += struct.pack("<HHQ", number, TYPES[letter], 1) + struct.pack("<" + letter, value).ljust(8, b"\0")
    bits = struct.pack("<HHQ4H", 258, TYPES["H"], 3, 8, 8, 8, 0)
    text = text[:40] + bits + text[40:]
    start = 16 + len(body)
    return b"II" + struct.pack("<HHHQ", 43, 8, 0, start) + body + struct.pack("<Q", len(rows) + 1) + text + bytes(8)
