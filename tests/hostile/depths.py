"""Bit depths and colour modes: each kind of pixel that a file may hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms

from tests.hostile.case import Case, encoded, gradient, grey, noise, on_white, refused, right
from tests.hostile.written import bmp, bmp_runs, chunk, gif, gif_frame, png, pnm, tga
from tests.hostile.written_tiff import CMYK, FLOAT, LAB, PALETTE, RGB, SIGNED, WHITE_IS_ZERO, big_tiff, tiff

COLOURS = np.random.default_rng(7).integers(0, 256, (128, 3), np.uint8)


def samples(depth: int, channels: int) -> np.ndarray:
    """(24, 41, C) of all values that ``depth`` bits hold; an odd width ends rows within a byte."""
    rng = np.random.default_rng(depth * 10 + channels)
    return rng.integers(0, 2**depth, (24, 41, channels), np.uint16)


def from_bits(values: np.ndarray, depth: int) -> np.ndarray:
    """Values of ``depth`` bits as real numbers in 0…255."""
    return values.astype(np.float64) * (255 / (2**depth - 1))


def pngs() -> Iterator[Case]:
    kinds = {0: (1, (1, 2, 4, 8, 16)), 2: (3, (8, 16)), 3: (1, (1, 2, 4, 8)), 4: (2, (8, 16)), 6: (4, (8, 16))}
    for colour, (channels, depths) in kinds.items():
        for depth in depths:
            values = samples(min(depth, 7) if colour == 3 else depth, channels)
            palette = chunk(b"PLTE", COLOURS[: 2 ** min(depth, 7)].tobytes()) if colour == 3 else b""
            reals = COLOURS[values[..., 0]].astype(np.float64) if colour == 3 else from_bits(values, depth)
            if colour in (4, 6):
                reals = on_white(np.broadcast_to(reals[..., :-1], (24, 41, 3)), reals[..., -1])
            shown = grey(reals) if colour == 0 else np.floor(reals + 0.5).astype(np.uint8)
            # Of 16-bit colours Pillow gives the upper byte, at most 1 below; grey ones come whole. Alpha may add 1.
            tolerance = (colour in (4, 6)) + (colour != 0 and depth == 16)
            for interlaced in (False, True):
                data = png(values, depth=depth, colour=colour, interlaced=interlaced, before=palette)
                name = f"png of colour type {colour}, {depth} bits{', interlaced' if interlaced else ''}"
                yield right(name, data, shown, tolerance)
    for kind in range(5):
        yield right(f"png, filter {kind}", png(noise(), filtered=kind), noise())
        values = samples(16, 1)
        yield right(
            f"16-bit png, filter {kind}", png(values, depth=16, colour=0, filtered=kind), grey(from_bits(values, 16))
        )
    for depth in (1, 2, 4, 8):
        values = samples(min(depth, 7), 1)
        clear = np.where(values == 1, 0, 255)[..., 0]
        data = png(values, depth=depth, colour=0, before=chunk(b"tRNS", b"\0\1"))
        yield right(f"{depth}-bit grey png, level 1 clear", data, on_white(grey(from_bits(values, depth)), clear))
        palette = chunk(b"PLTE", COLOURS[: 2 ** min(depth, 7)].tobytes()) + chunk(b"tRNS", b"\xff\x33")
        shown = on_white(COLOURS[values[..., 0]], np.where(values == 1, 0x33, 255)[..., 0])
        yield right(
            f"{depth}-bit palette png, colour 1 half clear",
            png(values, depth=depth, colour=3, before=palette),
            shown,
            1,
        )
    values = noise(below=2) * 255
    clear = np.where((values == (255, 0, 0)).all(2), 0, 255)
    data = png(values, before=chunk(b"tRNS", b"\0\xff\0\0\0\0"))
    yield right("rgb png, one colour clear", data, on_white(values, clear))
    for part, name in ((b"gAMA", "gamma"), (b"cHRM", "chromaticities"), (b"sRGB", "rendering intent")):
        body = {b"gAMA": struct.pack(">I", 22000), b"cHRM": struct.pack(">8I", *range(1, 9)), b"sRGB": b"\0"}[part]
        yield right(f"png with {name}", png(noise(), before=chunk(part, body)), noise())


def tiffs() -> Iterator[Case]:
    shown = noise()
    for order, end in (("<", "little"), (">", "big")):
        values = samples(16, 1)
        yield right(
            f"{end}-endian 16-bit tiff", tiff(values, bits=16, order=order), grey(from_bits(values, 16)), suffix=".tif"
        )
        data = tiff(values / np.float32(65535), bits=32, kind=FLOAT, order=order)
        yield right(f"{end}-endian float tiff in 0…1", data, grey(from_bits(values, 16)), 1, suffix=".tif")
        data = tiff(values.astype(np.int32) % 256 - 3, bits=32, kind=SIGNED, order=order)
        yield right(
            f"{end}-endian signed 32-bit tiff", data, grey((values.astype(int) % 256 - 3).clip(0)), suffix=".tif"
        )
        data = tiff(shown, colour=RGB, order=order, strips=5)
        yield right(f"{end}-endian tiff in strips", data, shown, suffix=".tif")
        data = tiff(samples(16, 3), colour=RGB, bits=16, order=order)
        yield right(f"{end}-endian 48-bit tiff", data, np.floor(from_bits(samples(16, 3), 16) + 0.5), 1, suffix=".tif")
    for bits in (1, 2, 4, 8):
        values = samples(bits, 1)
        yield right(
            f"{bits}-bit grey tiff",
            tiff(values if bits < 8 else values.astype(np.uint8), bits=bits),
            grey(from_bits(values, bits)),
            suffix=".tif",
        )
        data = tiff(values if bits < 8 else values.astype(np.uint8), bits=bits, colour=WHITE_IS_ZERO)
        yield right(f"{bits}-bit tiff, white is zero", data, grey(255 - from_bits(values, bits)), suffix=".tif")
    yield right("tiff in planes", tiff(shown, colour=RGB, planes=True), shown, suffix=".tif")
    yield right("deflated tiff", tiff(shown, colour=RGB, deflate=True, strips=3), shown, suffix=".tif")
    yield right("bigtiff", big_tiff(shown), shown, suffix=".tif")
    numbers = noise(channels=1, below=128)
    table = np.vstack([COLOURS, np.zeros((128, 3), np.uint8)]).T.ravel().astype(int) * 257
    data = tiff(numbers, colour=PALETTE, tags={320: ("H", table.tolist())})
    yield right("palette tiff", data, COLOURS[numbers[..., 0]], suffix=".tif")
    data = tiff(np.dstack([shown, numbers]), colour=RGB, tags={338: ("H", [2])})
    yield right("tiff with alpha", data, on_white(shown, numbers[..., 0]), 1, suffix=".tif")
    data = tiff(np.dstack([shown, numbers]), colour=RGB, tags={338: ("H", [0])})
    yield right("tiff with a fourth channel that is no alpha", data, shown, suffix=".tif")
    inks = np.dstack([255 - shown, np.zeros_like(numbers)])
    yield right("cmyk tiff", tiff(inks, colour=CMYK), shown, suffix=".tif")
    bad = {"nan": np.nan, "negative": -1.0}
    for name, value in bad.items():
        values = np.full((4, 5, 1), 0.5, np.float32)
        values[0, 0] = value
        yield right(
            f"float tiff with {name}",
            tiff(values, bits=32, kind=FLOAT),
            grey(np.where(values == 0.5, 127.5, 0)),
            suffix=".tif",
        )
    for name, value in {"infinity": np.inf, "1e20": 1e20}.items():
        data = tiff(np.full((4, 5, 1), value, np.float32), bits=32, kind=FLOAT)
        yield refused(f"float tiff of {name}", data, "no known range", suffix=".tif")
    for method in ("tiff_lzw", "packbits", "tiff_deflate", "tiff_adobe_deflate"):
        yield right(f"tiff by {method}", encoded(shown, "TIFF", compression=method), shown, suffix=".tif")
    black = noise(channels=1, below=2)[..., 0].astype(bool)
    for method in ("group3", "group4", "packbits"):
        data = encoded(Image.fromarray(black), "TIFF", compression=method)
        yield right(f"fax tiff by {method}", data, grey(black * 255), suffix=".tif")
    yield right(
        "tiff holding a jpeg",
        encoded(gradient(), "TIFF", compression="jpeg", quality=98),
        gradient(),
        12,
        suffix=".tif",
    )
    for pages in (2, 30):
        more = [Image.fromarray(np.zeros_like(shown))] * (pages - 1)
        yield right(
            f"tiff of {pages} pages", encoded(shown, "TIFF", save_all=True, append_images=more), shown, suffix=".tif"
        )


def bitmaps() -> Iterator[Case]:
    shown = noise()
    for top_down in (False, True):
        way = "from the top" if top_down else "from the bottom"
        for bits in (1, 4, 8):
            numbers = noise(24, 41, 1, min(2**bits, 128))[..., 0]
            palette = COLOURS[: min(2**bits, 128)]
            data = bmp(numbers, bits, palette=palette, top_down=top_down)
            yield right(f"{bits}-bit bmp {way}", data, palette[numbers], suffix=".bmp")
        for bits in (16, 24, 32):
            pixels = np.floor((shown >> 3) * (255 / 31) + 0.5) if bits == 16 else shown
            yield right(
                f"{bits}-bit bmp {way}",
                bmp(shown, bits, top_down=top_down),
                pixels,
                1 if bits == 16 else 0,
                suffix=".bmp",
            )
    for bits in (4, 8):
        numbers = np.repeat(noise(24, 10, 1, 16)[..., 0], 4, 1)
        yield right(f"bmp of runs, {bits} bits", bmp_runs(numbers, COLOURS[:16], bits), COLOURS[numbers], suffix=".bmp")
    yield right("dib without file header", bmp(shown, 24)[14:], shown, suffix=".dib")
    letters = noise(below=2)
    for kind, pixels in ((1, 255 - letters[..., :1] * 255), (4, 255 - letters[..., :1] * 255)):
        yield right(f"pnm P{kind}", pnm(letters[..., :1], kind, comment="# made\n"), grey(pixels), suffix=".pbm")
    for highest in (1, 100, 255, 1000, 65535):
        values = noise().astype(np.uint16) * highest // 255
        reals = values * (255 / highest)
        for kind in (2, 5):
            yield right(
                f"pnm P{kind} up to {highest}",
                pnm(values[..., :1], kind, highest),
                grey(reals[..., :1]),
                1,
                suffix=".pgm",
            )
        for kind in (3, 6):
            yield right(
                f"pnm P{kind} up to {highest}", pnm(values, kind, highest), np.floor(reals + 0.5), 1, suffix=".ppm"
            )
    flat = np.repeat(noise(24, 10), 4, 1)
    alpha = noise(24, 40, 1)[..., 0]
    for runs in (False, True):
        for top_down in (False, True):
            way = f"{', in runs' if runs else ''}{'' if top_down else ', from the bottom'}"
            options = {"runs": runs, "top_down": top_down}
            yield right(f"tga{way}", tga(flat, **options), flat, suffix=".tga")
            yield right(f"grey tga{way}", tga(flat[..., 0], **options), grey(flat[..., 0]), suffix=".tga")
            numbers = flat[..., 0] % 128
            yield right(f"palette tga{way}", tga(numbers, palette=COLOURS, **options), COLOURS[numbers], suffix=".tga")
            yield right(
                f"rgba tga{way}", tga(np.dstack([flat, alpha]), **options), on_white(flat, alpha), 1, suffix=".tga"
            )


def pictures_that_move() -> Iterator[Case]:
    numbers = noise(channels=1, below=128)[..., 0]
    shown, other = COLOURS[numbers], gif_frame(numbers[::-1])
    clear = np.where(numbers == 5, 0, 255)
    for interlaced in (False, True):
        way = ", interlaced" if interlaced else ""
        frame = gif_frame(numbers, interlaced=interlaced)
        yield right(f"gif{way}", gif((24, 40), COLOURS, frame), shown, suffix=".gif")
        yield right(f"gif that moves{way}", gif((24, 40), COLOURS, frame, other, other), shown, suffix=".gif")
        frame = gif_frame(numbers, interlaced=interlaced, clear=5)
        yield right(
            f"gif with a clear colour{way}", gif((24, 40), COLOURS, frame), on_white(shown, clear), suffix=".gif"
        )
    frame = gif_frame(numbers, palette=COLOURS[::-1])
    yield right(
        "gif with its frame's own colours", gif((24, 40), COLOURS, frame), COLOURS[::-1][numbers], suffix=".gif"
    )
    frames = [Image.fromarray(noise(24, 40)), Image.fromarray(noise(24, 40)[::-1])]
    yield right("png that moves", encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]), noise(24, 40))
    data = encoded(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:])
    yield right("webp that moves", data, noise(24, 40), suffix=".webp")
    steady = [Image.fromarray(gradient()), Image.fromarray(gradient()[::-1].copy())]
    data = encoded(steady[0], "AVIF", quality=100, subsampling="4:4:4", save_all=True, append_images=steady[1:])
    yield right("avif that moves", data, gradient(), 8, suffix=".avif")


def srgb(lab: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of D50 in bytes, L* in 0…255 and the others with a sign, as sRGB."""
    light = lab[..., 0] * (100 / 255)
    a, b = (lab[..., i].astype(np.int8).astype(np.float64) for i in (1, 2))
    f = (light + 16) / 116 + np.stack([a / 500, 0 * a, -b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * np.reshape([0.9642, 1, 0.8249], (3, 1, 1))
    matrix = [[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]]  # D50 to sRGB, Bradford
    linear = np.tensordot(matrix, xyz, 1).clip(0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.floor(curved.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)


def modes() -> Iterator[Case]:
    shown, alpha = gradient(), noise(channels=1)[..., 0]
    see_through = Image.fromarray(np.dstack([shown, alpha]))
    yield right(
        "webp with alpha",
        encoded(see_through, "WEBP", lossless=True, exact=True),
        on_white(shown, alpha),
        1,
        suffix=".webp",
    )
    data = encoded(see_through, "AVIF", quality=100, subsampling="4:4:4")
    yield right("avif with alpha", data, on_white(shown, alpha), 12, suffix=".avif")
    yield right("jpeg 2000 with alpha", encoded(see_through, "JPEG2000"), on_white(shown, alpha), 1, suffix=".jp2")
    yield right("jpeg 2000", encoded(shown, "JPEG2000"), shown, suffix=".jp2")
    yield right("jpeg 2000, bare codes", encoded(shown, "JPEG2000", no_jp2=True), shown, suffix=".j2k")
    yield right("grey jpeg 2000", encoded(shown[..., 0], "JPEG2000"), grey(shown[..., 0]), suffix=".jp2")
    deep = samples(16, 1)[..., 0]
    yield right(
        "16-bit jpeg 2000", encoded(Image.fromarray(deep), "JPEG2000"), grey(from_bits(deep, 16)), suffix=".jp2"
    )
    lossy = encoded(shown, "JPEG2000", irreversible=True, quality_mode="dB", quality_layers=[50])
    yield right("jpeg 2000 that loses", lossy, shown, 8, suffix=".jp2")
    for name, subsampling in (("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)):
        data = encoded(shown, "JPEG", quality=98, subsampling=subsampling)
        yield right(f"jpeg {name}", data, shown, 12, suffix=".jpg")
    yield right("rgb jpeg", encoded(shown, "JPEG", quality=98, keep_rgb=True), shown, 8, suffix=".jpg")
    inks = Image.fromarray(np.dstack([255 - shown, np.zeros_like(shown[..., :1])]), "CMYK")
    yield right("cmyk jpeg", encoded(inks, "JPEG", quality=98), shown, 8, suffix=".jpg")
    lab = np.dstack([noise(channels=1, below=120) + 60, noise(24, 40, 2, below=20) - 10])  # far from the edges of sRGB
    yield right("lab tiff", tiff(lab, colour=LAB), srgb(lab), 3, suffix=".tif")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for form, suffix in (("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp")):
        options = {"PNG": {}, "JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}[form]
        tolerance = 8 if form == "JPEG" else 0
        data = encoded(shown, form, icc_profile=profile, **options)
        yield right(f"{form.lower()} with its colour profile", data, shown, tolerance, suffix=suffix)
        data = encoded(shown, form, icc_profile=b"no profile" * 50, **options)
        yield right(f"{form.lower()} with a broken profile", data, shown, tolerance, suffix=suffix)


def cases() -> Iterator[Case]:
    for part in (pngs, tiffs, bitmaps, pictures_that_move, modes):
        yield from part()
