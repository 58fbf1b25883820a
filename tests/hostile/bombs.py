"""Small files that ask for much: pixels, memory, or time. And the sizes at the edge of what is let through."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from tests.hostile.case import Case, encoded, grey, noise, refused, right
from tests.hostile.turned import exif
from tests.hostile.written import END, PNG, bmp_header, chunk, gif, gif_frame, png, png_header
from tests.hostile.written_tiff import FLOAT, RGB, directory, tiff

LARGE = "has more than"
SIDE = 9459
"""Its square is Pillow's bound of pixels, but for a few."""


def zeros(count: int) -> bytes:
    """So many zero bytes, deflated, in little memory."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(min(1 << 20, count - at))) for at in range(0, count, 1 << 20)]
    return b"".join([*parts, packer.flush()])


def black_png(height: int, width: int, *, depth: int = 8, colour: int = 2) -> bytes:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    lines = zeros(height * (1 + -(-width * channels * depth // 8)))
    palette = chunk(b"PLTE", bytes(3)) if colour == 3 else b""
    return PNG + png_header(width, height, depth, colour) + palette + chunk(b"IDAT", lines) + END


def black_tiff(height: int, width: int, *, channels: int = 3, bits: int = 8, kind: int = 1) -> bytes:
    """One deflated strip."""
    body = zeros(height * width * channels * bits // 8)
    tags = {256: ("I", [width]), 257: ("I", [height]), 258: ("H", [bits] * channels), 259: ("H", [8])}
    tags |= {262: ("H", [RGB if channels > 1 else 1]), 273: ("I", [8]), 277: ("H", [channels]), 278: ("I", [height])}
    tags |= {279: ("I", [len(body)]), 339: ("H", [kind] * channels)}
    body += b"\0" * (len(body) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory(tags, 8 + len(body))


def sized_jpeg(height: int, width: int, **options: object) -> bytes:
    """A small JPEG whose frame says another size."""
    data = bytearray(encoded(noise(16, 16), "JPEG", **options))
    frame = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def scans(count: int, size: int = 16) -> bytes:
    """A JPEG whose last scan comes so many times."""
    data = encoded(np.zeros((size, size, 3), np.uint8), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def too_large() -> Iterator[Case]:
    for height, width in ((30_000, 30_000), (65_535, 65_535), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (2**31 - 1, 1)):
        yield refused(f"png of {height}x{width}", PNG + png_header(width, height) + chunk(b"IDAT", b"") + END, LARGE)
    yield refused("png of 30000x30000 that is all there", partial(black_png, 30_000, 30_000, depth=1, colour=0), LARGE)
    yield refused("jpeg of 65000x65000", sized_jpeg(65_000, 65_000), LARGE, suffix=".jpg")
    yield refused("progressive jpeg of 65500x65500", sized_jpeg(65_500, 65_500, progressive=True), LARGE, suffix=".jpg")
    screen = gif((65_535, 65_535), noise()[0], gif_frame(noise(channels=1, below=100)[..., 0]))
    yield refused("gif with a screen of 65535x65535", screen, LARGE, suffix=".gif")
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\2\2\x44\1\0"
    yield refused("gif with a frame of 65535x65535", gif((4, 4), noise()[0], frame), LARGE, suffix=".gif")
    yield refused("bmp of 60000x60000", bmp_header(60_000, 60_000, 24), LARGE, suffix=".bmp")
    tags = {256: ("I", [100_000]), 257: ("I", [100_000])}
    yield refused("tiff of 100000x100000", tiff(noise(), colour=RGB, tags=tags), LARGE, suffix=".tif")
    yield refused("ppm of 99999x99999", b"P6\n99999 99999\n255\n" + bytes(100), LARGE, suffix=".ppm")
    yield refused("pbm of 99999x99999", b"P4\n99999 99999\n" + bytes(100), LARGE, suffix=".pbm")
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65_535, 65_535, 24, 0)
    yield refused("tga of 65535x65535", head + b"\xff\0\0\0" * 20, LARGE, suffix=".tga")
    data = bytearray(encoded(noise(), "JPEG2000"))
    at = data.index(b"\xff\x51") + 6
    data[at : at + 8] = struct.pack(">II", 99_999, 99_999)
    at = data.index(b"ihdr") + 4
    data[at : at + 8] = struct.pack(">II", 99_999, 99_999)
    yield refused("jpeg 2000 of 99999x99999", bytes(data), suffix=".jp2")
    yield refused("webp of 16383x16383", webp_of(16_383, 16_383), LARGE, suffix=".webp")


def webp_of(height: int, width: int) -> bytes:
    """A lossless WebP whose header says a size."""
    data = bytearray(encoded(noise(16, 16), "WEBP", lossless=True))
    at = data.index(b"VP8L") + 9
    bits = int.from_bytes(data[at : at + 4], "little") >> 28
    data[at : at + 4] = (width - 1 | (height - 1) << 14 | bits << 28).to_bytes(4, "little")
    return bytes(data)


def costly() -> Iterator[Case]:
    """Within the bound of pixels, but asking for memory or time in another way."""
    flat = noise()
    bomb = b"note\0\0" + zeros(200 << 20)
    yield Case("png with a note of 200 MB", "either", partial(png, flat, before=chunk(b"zTXt", bomb)), flat)
    data = b"note\0\1\0\0\0" + zeros(200 << 20)
    yield Case("png with a note of 200 MB behind", "either", partial(png, flat, after=chunk(b"iTXt", data)), flat)
    yield Case("png with a profile of 200 MB", "either", partial(png, flat, before=chunk(b"iCCP", bomb)), flat)
    many = b"".join(chunk(b"tEXt", b"k%d\0v" % i) for i in range(20_000))
    yield Case("png with 20,000 notes", "either", partial(png, flat, before=many), flat)
    longer = PNG + png_header(40, 24) + chunk(b"IDAT", zeros(300 << 20)) + END
    yield Case("png of more pixels than it says", "either", partial(bytes, longer), np.zeros((24, 40, 3), np.uint8))
    empty = b"".join(chunk(b"IDAT", b"") for _ in range(50_000))
    yield Case("png of 50,000 empty parts", "either", partial(png, flat, before=empty), flat)
    yield refused("jpeg of 20,000 scans", partial(scans, 20_000), "scans", suffix=".jpg")
    yield refused("jpeg of 500 scans", partial(scans, 500, 64), "scans", suffix=".jpg")
    yield right("jpeg of 30 scans", partial(scans, 30), np.zeros((16, 16, 3), np.uint8), suffix=".jpg")
    loop = tiff(flat, colour=RGB, next_page=8)
    yield Case("tiff whose pages go in a circle", "either", partial(bytes, loop), flat, suffix=".tif")
    for number, (letter, count) in {700: ("B", 2**31), 34665: ("I", 2**30), 320: ("H", 2**30)}.items():
        data = bytearray(tiff(flat, colour=RGB, tags={number: (letter, [0] * 8)}))
        at = data.rindex(struct.pack("<HH", number, {"B": 1, "I": 4, "H": 3}[letter]))
        data[at + 4 : at + 8] = struct.pack("<I", count - 1)
        yield Case(f"tiff with {count:,} values of tag {number}", "any", partial(bytes, data), suffix=".tif")
    frames = [gif_frame(np.zeros((1, 1), np.uint8))] * 20_000
    yield right("gif of 20,000 frames", gif((1, 1), flat[0], *frames), np.tile(flat[0, 0], (1, 1, 1)), suffix=".gif")
    delta = b"\0\2\xff\xff" * 50
    rows = bmp_header(40_000_000, 1, 8, 1, colours=2, size=len(delta)) + bytes(8) + delta
    yield refused("bmp of runs with leaps in one endless row", rows, LARGE, suffix=".bmp")
    ends = b"\1\0\0\0" * 50
    rows = bmp_header(40_000_000, 2, 8, 1, colours=2, size=len(ends)) + bytes(8) + ends
    yield refused("bmp of runs with endless ends of rows", rows, LARGE, suffix=".bmp")
    yield refused("ppm of one endless number", b"P3\n9999 8000\n255\n" + b"1" * 2_000_000, suffix=".ppm")
    yield refused("ppm of one endless note", b"P3\n9999 8000\n255\n#" + b"1" * 2_000_000, suffix=".ppm")


def long_ones() -> Iterator[Case]:
    """One pixel wide or high, as far as the format goes."""
    line = (np.arange(65_535) % 251).astype(np.uint8)
    for shape in ((1, 65_535, 1), (65_535, 1, 1)):
        values = line.reshape(shape)
        name = f"{shape[0]}x{shape[1]}"
        yield right(f"png of {name}", png(values, colour=0), grey(values))
        yield right(f"interlaced png of {name}", png(values, colour=0, interlaced=True), grey(values))
        yield right(f"tiff of {name}", tiff(values), grey(values), suffix=".tif")
        yield right(f"bmp of {name}", encoded(values[..., 0], "BMP"), grey(values), suffix=".bmp")
        yield right(
            f"float tiff of {name}", tiff(values / np.float32(255), bits=32, kind=FLOAT), grey(values), suffix=".tif"
        )
        short = np.zeros((min(shape[0], 65_500), min(shape[1], 65_500), 3), np.uint8)
        yield right(f"jpeg of {short.shape[0]}x{short.shape[1]}", encoded(short, "JPEG"), short, suffix=".jpg")
        short = short[:16_383, :16_383]
        yield right(
            f"webp of {short.shape[0]}x{short.shape[1]}", encoded(short, "WEBP", lossless=True), short, suffix=".webp"
        )
    for form in ("PNG", "BMP", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "WEBP", "JPEG", "AVIF"):
        one = np.full((1, 1, 3), 200, np.uint8)
        options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}.get(form, {})
        tolerance = 3 if form in ("JPEG", "AVIF") else 0
        yield right(f"{form.lower()} of 1x1", encoded(one, form, **options), one, tolerance)


def largest() -> Iterator[Case]:
    """As many pixels as are let through, of the kinds that cost most."""
    pngs = {"rgb": {}, "rgba": {"colour": 6}, "16-bit": {"depth": 16, "colour": 0}, "palette": {"colour": 3}}
    for name, options in pngs.items():
        yield Case(f"largest {name} png", "right", partial(black_png, SIDE, SIDE, **options), heavy=True)
    tiffs = {"rgb": {}, "float": {"channels": 1, "bits": 32, "kind": FLOAT}, "32-bit": {"channels": 1, "bits": 32}}
    for name, options in tiffs.items():
        make = partial(black_tiff, SIDE, SIDE, **options)
        yield Case(f"largest {name} tiff", "right", make, suffix=".tif", heavy=True)
    plain = {"progressive": True, "subsampling": 0}
    yield Case(
        "largest progressive jpeg", "right", partial(plain_image, SIDE, "JPEG", **plain), suffix=".jpg", heavy=True
    )
    with_exif = partial(plain_image, SIDE, "JPEG", exif=b"Exif\0\0" + exif(6))
    yield Case("largest turned jpeg", "right", with_exif, suffix=".jpg", heavy=True)
    make = partial(plain_image, 7723, "WEBP", lossless=True, quality=0, method=0)
    yield Case("largest webp", "right", make, suffix=".webp", heavy=True)
    make = partial(plain_image, 5461, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[500])
    yield Case("largest jpeg 2000", "right", make, suffix=".jp2", heavy=True)
    yield Case("largest avif", "right", partial(plain_image, 8757, "AVIF", speed=10), suffix=".avif", heavy=True)


def plain_image(side: int, form: str, **options: object) -> bytes:
    return encoded(Image.new("RGB", (side, side), (10, 20, 30)), form, **options)


def cases() -> Iterator[Case]:
    for part in (too_large, costly, long_ones, largest):
        yield from part()
