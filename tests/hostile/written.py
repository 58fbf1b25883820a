"""Image files written from arrays by these few lines, not by the library that reads them: PNG, BMP, PNM, TGA, GIF."""

from __future__ import annotations

import itertools
import struct
import zlib

import numpy as np

ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
"""First row, first column, rows and columns between, of each pass of an interlaced PNG."""


def packed(samples: np.ndarray, depth: int) -> np.ndarray:
    """Rows (H, W·C) of ``depth`` bits a sample, highest bit first, as rows of bytes."""
    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        return np.ascontiguousarray(rows.astype(">u2")).view(np.uint8).reshape(len(rows), -1)
    bits = rows[..., None] >> np.arange(depth - 1, -1, -1) & 1
    return np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1)


# PNG ------------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int, depth: int = 8, colour: int = 2, interlaced: bool = False) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


PNG = b"\x89PNG\r\n\x1a\n"
END = chunk(b"IEND", b"")


def png(
    samples: np.ndarray,
    *,
    depth: int = 8,
    colour: int = 2,
    interlaced: bool = False,
    filtered: int = 0,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """``samples`` (H, W, C); colour 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA. ``before`` and ``after``:
    chunks around the pixels."""
    passes = [(0, 0, 1, 1)] if not interlaced else ADAM7
    step = max(1, samples.shape[2] * depth // 8)
    lines = b""
    for top, left, down, right in passes:
        part = samples[top::down, left::right]
        if part.size:
            lines += _filtered(packed(part, depth), filtered, step)
    height, width = samples.shape[:2]
    head = png_header(width, height, depth, colour, interlaced)
    return PNG + head + before + chunk(b"IDAT", zlib.compress(lines)) + after + END


def _filtered(rows: np.ndarray, kind: int, step: int) -> bytes:
    """Each row as its difference from what ``kind`` (0…4) predicts of the byte at the left and of the row above."""
    rows = rows.astype(np.int64)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    left, corner = (np.pad(a, ((0, 0), (step, 0)))[:, : rows.shape[1]] for a in (rows, above))
    guess = left + above - corner
    gaps = np.stack([np.abs(guess - a) for a in (left, above, corner)])
    paeth = np.choose(gaps.argmin(0), [left, above, corner])  # the first of equal ones, as the format says
    predicted = [np.zeros_like(rows), left, above, (left + above) // 2, paeth][kind]
    body = ((rows - predicted) % 256).astype(np.uint8)
    return np.hstack([np.full((len(rows), 1), kind, np.uint8), body]).tobytes()


# BMP ------------------------------------------------------------------------------------------------------------------


def bmp_header(
    width: int, height: int, bits: int, compression: int = 0, *, colours: int = 0, size: int = 0, extra: int = 0
) -> bytes:
    """File and information header; a negative height says that the rows come from the top."""
    start = 54 + extra + 4 * colours
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, size, 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", start + size, 0, 0, start) + info


def bmp(samples: np.ndarray, bits: int, *, palette: np.ndarray | None = None, top_down: bool = False) -> bytes:
    """Palette numbers (H, W) of 1, 4 or 8 bits; RGB (H, W, 3) for 16 (5 bits each), 24 and 32."""
    height, width = samples.shape[:2]
    rows = samples if top_down else samples[::-1]
    if bits <= 8:
        body = packed(rows, bits)
    elif bits == 16:
        r, g, b = (rows[..., i].astype(np.uint16) >> 3 for i in range(3))
        body = (r << 10 | g << 5 | b).astype("<u2").view(np.uint8).reshape(height, -1)
    else:
        body = np.dstack([rows[..., ::-1], np.zeros((height, width, bits // 8 - 3), np.uint8)]).reshape(height, -1)
    body = np.pad(body, ((0, 0), (0, -body.shape[1] % 4)))
    colours = b"" if palette is None else np.pad(palette[:, ::-1], ((0, 0), (0, 1))).tobytes()
    count = 0 if palette is None else len(palette)
    signed = -height if top_down else height
    return bmp_header(width, signed, bits, colours=count, size=body.size) + colours + body.tobytes()


def bmp_runs(numbers: np.ndarray, palette: np.ndarray, bits: int) -> bytes:
    """The same, its rows as runs of equal numbers: RLE8 and RLE4."""
    body = b""
    for row in numbers[::-1]:
        edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
        for start, end in itertools.pairwise(edges):
            value = int(row[start])
            body += bytes([end - start, value if bits == 8 else value << 4 | value])
        body += b"\0\0"
    body += b"\0\1"
    colours = np.pad(palette[:, ::-1], ((0, 0), (0, 1))).tobytes()
    height, width = numbers.shape
    return bmp_header(width, height, bits, 1 if bits == 8 else 2, colours=len(palette), size=len(body)) + colours + body


# PNM, TGA -------------------------------------------------------------------------------------------------------------


def pnm(samples: np.ndarray, kind: int, highest: int = 255, comment: str = "") -> bytes:
    """P1…P6: 1 and 4 black on white, 2 and 5 grey, 3 and 6 RGB; the first three as text."""
    height, width = samples.shape[:2]
    head = f"P{kind}\n{comment}{width} {height}\n" + ("" if kind in (1, 4) else f"{highest}\n")
    rows = samples.reshape(height, -1)
    if kind <= 3:
        return (head + "\n".join(" ".join(map(str, row)) for row in rows.tolist()) + "\n").encode()
    if kind == 4:
        return head.encode() + packed(rows, 1).tobytes()
    return head.encode() + rows.astype(">u2" if highest > 255 else np.uint8).tobytes()


def tga(samples: np.ndarray, *, runs: bool = False, top_down: bool = True, palette: np.ndarray | None = None) -> bytes:
    """Grey or palette numbers (H, W), RGB (H, W, 3), RGBA (H, W, 4)."""
    height, width = samples.shape[:2]
    pixels = samples if top_down else samples[::-1]
    if samples.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: samples.shape[2]]]
    depth = 8 * (1 if samples.ndim == 2 else samples.shape[2])
    kind = (1 if palette is not None else 3 if depth == 8 else 2) + 8 * runs
    count = 0 if palette is None else len(palette)
    head = struct.pack("<BBBHHBHHHHBB", 0, count > 0, kind, 0, count, 24 * (count > 0), 0, 0, width, height, depth, 0)
    head = head[:-1] + bytes([0x20 * top_down | 8 * (depth == 32)])
    flat = pixels.reshape(height, width, -1)
    body = b"".join(_tga_runs(row) for row in flat) if runs else flat.tobytes()
    return head + (b"" if palette is None else palette[:, ::-1].tobytes()) + body


def _tga_runs(row: np.ndarray) -> bytes:
    """Runs of at most 128 equal pixels, and what is between them as it is."""
    edges = [0, *(np.flatnonzero((np.diff(row.astype(int), axis=0) != 0).any(1)) + 1).tolist(), len(row)]
    packets = b""
    for start, end in itertools.pairwise(edges):
        for at in range(start, end, 128):
            length = min(128, end - at)
            packets += bytes([127 + length if length > 1 else 0]) + row[at].tobytes()
    return packets


# GIF ------------------------------------------------------------------------------------------------------------------


def gif_frame(
    numbers: np.ndarray,
    *,
    at: tuple[int, int] = (0, 0),
    interlaced: bool = False,
    clear: int | None = None,
    palette: np.ndarray | None = None,
) -> bytes:
    """A picture of palette numbers (H, W) below 128, of which ``clear`` is transparent, at ``at`` (left, top)."""
    height, width = numbers.shape
    rows = np.concatenate([numbers[a::b] for a, b in ((0, 8), (4, 8), (2, 4), (1, 2))]) if interlaced else numbers
    control = b"" if clear is None else b"\x21\xf9\x04\x01\x0a\x00" + bytes([clear]) + b"\0"
    local = b"" if palette is None else _gif_palette(palette)
    flags = 0x40 * interlaced | (0x80 | 6 if local else 0)
    place = struct.pack("<HHHHB", *at, width, height, flags)
    return control + b"," + place + local + b"\x07" + _gif_codes(rows.ravel()) + b"\0"


def _gif_codes(numbers: np.ndarray) -> bytes:
    """Eight-bit codes without compression: the table is cleared before codes would have nine bits."""
    codes = bytearray()
    for start in range(0, len(numbers), 100):
        codes += b"\x80" + numbers[start : start + 100].astype(np.uint8).tobytes()
    codes += b"\x81"
    return b"".join(bytes([len(codes[i : i + 255])]) + codes[i : i + 255] for i in range(0, len(codes), 255))


def _gif_palette(palette: np.ndarray) -> bytes:
    return np.pad(palette, ((0, 128 - len(palette)), (0, 0))).astype(np.uint8).tobytes()


def gif(size: tuple[int, int], palette: np.ndarray, *frames: bytes) -> bytes:
    """A screen of (height, width) and its pictures."""
    screen = struct.pack("<HHBBB", size[1], size[0], 0x80 | 6, 0, 0)
    return b"GIF89a" + screen + _gif_palette(palette) + b"".join(frames) + b";"
