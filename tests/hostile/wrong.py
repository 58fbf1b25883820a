"""Files that are damaged, cut, or no images at all."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from tests.hostile.case import Case, encoded, gradient, noise, refused
from tests.hostile.written import END, PNG, bmp, chunk, gif, gif_frame, png, png_header, pnm, tga
from tests.hostile.written_tiff import RGB, tiff

LOSSY = {"jpeg", "progressive jpeg", "webp", "avif", "jpeg 2000"}


def whole() -> dict[str, tuple[str, bytes, np.ndarray, int]]:
    """A good file of every format: suffix, bytes, pixels, tolerance."""
    flat, shown = noise(), gradient()
    numbers = noise(channels=1, below=100)[..., 0]
    colours = np.random.default_rng(3).integers(0, 256, (128, 3), np.uint8)
    jpeg = {"quality": 95, "subsampling": 0}
    return {
        "jpeg": (".jpg", encoded(shown, "JPEG", **jpeg), shown, 12),
        "progressive jpeg": (".jpg", encoded(shown, "JPEG", progressive=True, **jpeg), shown, 12),
        "png": (".png", png(flat), flat, 0),
        "interlaced png": (".png", png(flat, interlaced=True), flat, 0),
        "gif": (".gif", gif((24, 40), colours, gif_frame(numbers)), colours[numbers], 0),
        "bmp": (".bmp", bmp(flat, 24), flat, 0),
        "tiff": (".tif", tiff(flat, colour=RGB), flat, 0),
        "deflated tiff": (".tif", tiff(flat, colour=RGB, deflate=True), flat, 0),
        "webp": (".webp", encoded(shown, "WEBP", quality=100), shown, 24),
        "lossless webp": (".webp", encoded(flat, "WEBP", lossless=True), flat, 0),
        "avif": (".avif", encoded(shown, "AVIF", quality=100, subsampling="4:4:4"), shown, 8),
        "jpeg 2000": (".jp2", encoded(shown, "JPEG2000"), shown, 0),
        "ppm": (".ppm", pnm(flat, 6), flat, 0),
        "text ppm": (".ppm", pnm(flat, 3), flat, 0),
        "tga": (".tga", tga(np.repeat(noise(24, 10), 4, 1), runs=True), np.repeat(noise(24, 10), 4, 1), 0),
    }


def cut() -> Iterator[Case]:
    """The first part of a good file. Where only its last bytes are gone, all pixels may still be there."""
    for name, (suffix, data, pixels, tolerance) in whole().items():
        for share in (0.02, 0.3, 0.6, 0.9):
            part = data[: int(len(data) * share)]
            # a bare code stream of JPEG 2000 and an interlaced picture are made to be shown in part
            yield refused(f"{name}, the first {share:.0%}", part, suffix=suffix)
        yield Case(
            f"{name} without its last byte", "either", partial(bytes, data[:-1]), pixels, tolerance, suffix=suffix
        )
        yield Case(
            f"{name} with a page behind it",
            "either",
            partial(bytes, data + b"<html>" * 50),
            pixels,
            tolerance,
            suffix=suffix,
        )


def flipped() -> Iterator[Case]:
    """One to three bits changed, anywhere."""
    checked = {"png", "interlaced png"}  # each part of the file has a checksum
    for name, (suffix, data, pixels, tolerance) in whole().items():
        for seed in range(5):
            rng, changed = random.Random(f"{name} {seed}"), bytearray(data)
            for _ in range(1 + seed % 3):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            outcome = "either" if name in checked else "any"
            yield Case(
                f"{name}, bits flipped {seed}", outcome, partial(bytes, changed), pixels, tolerance, suffix=suffix
            )


def foreign() -> Iterator[Case]:
    """What is no image, or of a format that is not read."""
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as file:
        file.writestr("photo.png", png(noise()))
    texts = {
        "nothing": (b"", "is empty (0 bytes)"),
        "a page": (b"\n<!DOCTYPE html><html>404 Not Found</html>", "web page"),
        "a page in capitals": (b"  <HTML><BODY>login</BODY></HTML>", "web page"),
        "xml": (b"<?xml version='1.0'?><annotation/>", "XML"),
        "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "XML"),
        "json": (b'{"error": "not found"}', "not an image"),
        "text": ("Bild 7 百目\n".encode(), "not an image"),
        "a git lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "not an image"),
        "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "not an image"),
        "pdf": (b"%PDF-1.7\n1 0 obj\n", "not an image"),
        "a script": (b"#!/bin/sh\nexit 1\n", "not an image"),
        "a program": (b"\x7fELF" + bytes(200), "not an image"),
        "a pickle": (pickle.dumps({"a": 1}), "not an image"),
        "a zip": (box.getvalue(), "not an image"),
        "zeros": (bytes(5000), "not an image"),
        "ones": (b"\xff" * 5000, "not an image"),
        "noise": (random.Random(0).randbytes(5000), "not an image"),
        "the signature of a png": (PNG, ""),
        "the signature of a jpeg": (b"\xff\xd8\xff", ""),
        "the signature of a webp": (b"RIFF\xff\xff\xff\xffWEBPVP8 ", ""),
        "the signature of a tiff": (b"II*\0\x08\0\0\0", ""),
        "the signature of a gif": (b"GIF89a", ""),
        "the signature of a bmp": (b"BM" + bytes(12), ""),
        "an mp4": (b"\0\0\0\x20ftypisom" + bytes(400), "not an image"),
        "half a heif": (b"\0\0\0\x20ftypheic" + bytes(400), "not an image"),
    }
    for name, (data, says) in texts.items():
        yield refused(name, data, says, suffix=".jpg")
    for form in ("ICO", "PCX", "SGI", "ICNS", "PDF", "EPS", "DDS", "IM", "QOI"):
        picture = Image.fromarray(noise(32, 32))
        yield refused(f"a picture as {form.lower()}", encoded(picture, form), "not an image", suffix=".png")


def lying() -> Iterator[Case]:
    """Parts that are missing, doubled, in a wrong order, or not what they say."""
    flat = noise()
    body = png(flat)[33:-12]
    head = png_header(40, 24)
    wrong_sum = bytearray(png(flat))
    wrong_sum[-14] ^= 1
    pngs = {
        "png without pixels": PNG + head + END,
        "png without header": PNG + body + END,
        "png with its header behind": PNG + body + head + END,
        "png of width 0": PNG + png_header(0, 24) + body + END,
        "png of height 0": PNG + png_header(40, 0) + body + END,
        "png of 3 bits": PNG + png_header(40, 24, 3) + body + END,
        "png of colour type 5": PNG + png_header(40, 24, 8, 5) + body + END,
        "png with a wrong checksum": bytes(wrong_sum),
        "png, twice as high as its pixels": PNG + png_header(40, 48) + body + END,
        "png with a chunk of 2 GB": PNG + head + struct.pack(">I", 2**31 - 1) + b"IDAT" + b"x" * 100,
        "png with pixels of rubbish": PNG + head + chunk(b"IDAT", b"rubbish" * 30) + END,
    }
    for name, data in pngs.items():
        yield refused(name, data)
    yield refused("palette png without palette", png(flat[..., :1] % 4, colour=3, depth=2))
    tags = {
        "no strips": {273: ("I", [])},
        "strips beyond the end": {273: ("I", [10**9])},
        "no width": {256: ("I", [0])},
    }
    tags |= {
        "99 channels": {277: ("H", [99])},
        "7 bits": {258: ("H", [7])},
        "an unknown compression": {259: ("H", [4711])},
    }
    tags |= {"negative sizes": {256: ("I", [2**32 - 1])}}
    for name, changed in tags.items():
        yield refused(f"tiff with {name}", tiff(flat, colour=RGB, tags=changed), suffix=".tif")
    yield refused("tiff of five channels", tiff(noise(channels=5), colour=RGB), suffix=".tif")
    yield refused("tiff of float colours", tiff(flat.astype(np.float32), colour=RGB, bits=32, kind=3), suffix=".tif")
    for number in (0, 300):  # beyond its palette
        changed = bytearray(bmp(flat[..., 0] % 16, 4, palette=flat[0, :16]))
        changed[28:30] = struct.pack("<H", number)
        yield refused(f"bmp of {number} bits", bytes(changed), suffix=".bmp")
    yield refused("gif without pictures", gif((24, 40), flat[0]), suffix=".gif")
    yield refused("ppm of words", b"P3\nwide high\n255\n1 2 3", suffix=".ppm")
    yield refused("ppm of negative numbers", b"P3\n2 1\n255\n-1 -2 -3 4 5 6", suffix=".ppm")
    yield refused("ppm above its highest", b"P3\n2 1\n255\n256 1 1 1 1 1", suffix=".ppm")


def cases() -> Iterator[Case]:
    for part in (cut, flipped, foreign, lying):
        yield from part()
