"""Good files changed by chance, the same at every run: bits, bytes, pieces, numbers of lengths and sizes."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers at which programs go wrong."""


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def write(data: bytearray, rng: random.Random) -> None:
    """Bytes of no sense."""
    at = rng.randrange(len(data))
    data[at : at + rng.choice((1, 4, 20))] = rng.randbytes(rng.choice((1, 4, 20)))


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def remove(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.randint(1, 200)]


def repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    part = data[at : at + rng.randint(1, 300)]
    data[at:at] = part * rng.choice((1, 1, 3, 50))


def move(data: bytearray, rng: random.Random) -> None:
    at, to = rng.randrange(len(data)), rng.randrange(len(data))
    part = data[at : at + rng.randint(1, 100)]
    data[to : to + len(part)] = part


def number(data: bytearray, rng: random.Random) -> None:
    """An extreme one of 8, 16 or 32 bits, near the head, where sizes and lengths stand."""
    at = rng.randrange(min(len(data), rng.choice((32, 200, 2000))))
    order, (letter, size) = rng.choice("<>"), rng.choice((("B", 1), ("H", 2), ("I", 4)))
    data[at : at + size] = struct.pack(order + letter, rng.choice(EXTREMES) % 256**size)


WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip,
    flip,
    write,
    cut,
    remove,
    repeat,
    move,
    number,
    number,
)


def mutated(seeds: list[bytes], seed: int) -> bytes:
    """Change number ``seed`` of one of the ``seeds``; now and then the head of one with the rest of another."""
    rng = random.Random(seed)
    data = bytearray(rng.choice(seeds))
    if rng.random() < 0.1:
        other = rng.choice(seeds)
        data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            rng.choice(WAYS)(data, rng)
    if data[:4] == b"\x89PNG" and rng.random() < 0.7:
        data = summed(data)
    return bytes(data)


def summed(png: bytearray) -> bytearray:
    """The PNG with right checksums, so that what was changed comes to be looked at."""
    at = 8
    while at + 12 <= len(png):
        size = int.from_bytes(png[at : at + 4])
        if at + 12 + size > len(png):
            break
        png[at + 8 + size : at + 12 + size] = struct.pack(">I", zlib.crc32(png[at + 4 : at + 8 + size]))
        at += 12 + size
    return png
