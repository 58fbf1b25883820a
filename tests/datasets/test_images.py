"""Every kind of image file becomes the right RGB pixels, or an ImageError that names the file; nothing hangs."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baimu.datasets.images import decode_image, find_images, header_sizes, image_size, rgb_from_pillow, walk_images
from baimu.errors import DataError, ImageError


def gradient(height: int = 24, width: int = 40) -> np.ndarray:
    """Smooth and without symmetry, so that a wrong turn shows even after JPEG."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 2], axis=2).astype(np.uint8)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(form: str, orientation: int) -> None:
    undo: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),  # stored a quarter to the left; EXIF 6 says: turn it right to show
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    shown = gradient()
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](shown)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    data = encoded(stored, form, exif=exif, **options)
    assert np.abs(decode_image(data).astype(int) - shown).max() <= (12 if form == "JPEG" else 0)
    assert image_size(data) == shown.shape[:2]


def test_exif_after_the_pixels_of_a_png_counts_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(gradient()), "PNG", exif=exif)
    start = data.index(b"eXIf") - 4
    length = 12 + int.from_bytes(data[start : start + 4])
    moved = data[:start] + data[start + length : -12] + data[start : start + length] + data[-12:]
    assert image_size(moved) == (40, 24)
    np.testing.assert_array_equal(decode_image(moved), np.rot90(gradient(), -1))


def test_broken_exif_does_not_cost_the_pixels() -> None:
    data = encoded(Image.fromarray(gradient()), "PNG", exif=b"Exif\x00\x00garbage that is no EXIF")
    np.testing.assert_array_equal(decode_image(data), gradient())


def test_8_bit_modes() -> None:
    grey = gradient()[..., 0]
    rgb = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(grey), "PNG")), rgb)
    black_white = Image.fromarray(grey).convert("1")
    found = decode_image(encoded(black_white, "PNG"))
    np.testing.assert_array_equal(found[..., 0], np.asarray(black_white) * np.uint8(255))
    palette = Image.fromarray(gradient()).quantize(64)
    np.testing.assert_array_equal(decode_image(encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))


def test_cmyk_jpeg_is_close_to_its_rgb() -> None:
    picture = Image.fromarray(gradient()).convert("CMYK")
    found = decode_image(encoded(picture, "JPEG", quality=98, subsampling=0))
    assert np.abs(found.astype(int) - gradient()).mean() < 3


def test_lab_tiff() -> None:
    lab = Image.merge("LAB", [Image.new("L", (4, 3), v) for v in (255, 128, 128)])
    assert decode_image(encoded(lab, "TIFF")).min() > 250  # L* = 100 is white


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_colours_behind_alpha_are_white(mode: str) -> None:
    if mode == "P":
        picture = Image.new("P", (2, 1))
        picture.putpalette([200, 10, 10, 10, 200, 10])
        picture.putpixel((1, 0), 1)
        data = encoded(picture, "PNG", transparency=0)
        expected = [[255, 255, 255], [10, 200, 10]]
    elif mode == "RGB":  # one colour declared transparent
        picture = Image.new("RGB", (2, 1), (200, 10, 10))
        picture.putpixel((1, 0), (10, 200, 10))
        data = encoded(picture, "PNG", transparency=(200, 10, 10))
        expected = [[255, 255, 255], [10, 200, 10]]
    else:
        picture = Image.new(mode, (2, 1), (80, 0) if mode == "LA" else (80, 80, 80, 0))
        picture.putpixel((1, 0), (80, 255) if mode == "LA" else (80, 80, 80, 255))
        data = encoded(picture, "PNG")
        expected = [[255] * 3, [80] * 3]
    np.testing.assert_array_equal(decode_image(data)[0], expected)


def test_half_transparent_is_blended_with_white() -> None:
    data = encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 51)), "PNG")
    np.testing.assert_array_equal(decode_image(data)[0, 0], [204] * 3)


def test_16_bit_grey_is_scaled_not_saturated() -> None:
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    found = decode_image(encoded(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(found[..., 1].ravel(), np.arange(256))
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(values), "TIFF")), found)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 7, 255]], np.int32), [0, 7, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[-5, 0, 2**31 - 1]], np.int32), [0, 0, 127]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, -1.0, 200.0]], np.float32), [0, 0, 200]),
        (np.array([[0, 257, 65535]], np.float32), [0, 1, 255]),
    ],
)
def test_32_bit_grey(values: np.ndarray, expected: list[int]) -> None:
    assert decode_image(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == expected


def test_floats_of_unknown_range_are_refused() -> None:
    with pytest.raises(ImageError, match="no known range"):
        decode_image(encoded(Image.fromarray(np.array([[1e20]], np.float32)), "TIFF"))


def test_animation_gives_its_first_picture() -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_image(data), np.asarray(frames[0]))


@pytest.mark.parametrize(("at_least", "shape"), [(300, (301, 405)), (150, (151, 203)), (40, (76, 102)), (10, (38, 51))])
def test_reduced_jpeg_keeps_the_asked_size(at_least: int, shape: tuple[int, int]) -> None:
    y, x = np.mgrid[:301, :405]
    picture = np.stack([x / 405, y / 301, (x + y) / 706], axis=2) * 255
    data = encoded(Image.fromarray(picture.astype(np.uint8)), "JPEG", quality=95)
    found = decode_image(data, at_least=at_least)
    assert found.shape[:2] == shape
    assert min(shape) >= at_least
    centres = [((np.arange(n) + 0.5) * (405 / n if n == shape[1] else 301 / n)).astype(int) for n in shape]
    assert np.abs(found - picture[centres[0]][:, centres[1]]).mean() < 4  # the same picture, smaller


def test_reduced_jpeg_turns_and_other_formats_stay_whole() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(gradient(200, 320))
    assert decode_image(encoded(picture, "JPEG", exif=exif), at_least=100).shape == (160, 100, 3)
    assert decode_image(encoded(picture, "PNG"), at_least=10).shape == (200, 320, 3)


def test_annotated_size_decides_about_the_turn() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(gradient()), "PNG", exif=exif)
    assert header_sizes(data) == ((40, 24), (24, 40))
    assert decode_image(data, annotated_size=(40, 24)).shape == (40, 24, 3)
    np.testing.assert_array_equal(decode_image(data, annotated_size=(24, 40)), gradient())
    with pytest.raises(ImageError, match="24x40 pixels wide and high, but its annotations say 100x50; correct"):
        decode_image(data, annotated_size=(50, 100))


BAD = {
    "empty": (b"", "empty"),
    "page": (b"\n<!DOCTYPE html><html>404</html>", "web page"),
    "text": (b"not an image at all", "not an image"),
    "cut jpeg": (encoded(Image.fromarray(gradient(200, 200)), "JPEG")[:2000], "truncated"),
    "cut png": (encoded(Image.fromarray(gradient(200, 200)), "PNG")[:300], "truncated"),
    "cut header": (encoded(Image.fromarray(gradient()), "PNG")[:20], "damaged"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "not an image"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    content, reason = BAD[kind]
    file = tmp_path / "Bild 7 百目\n.jpg"
    file.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        decode_image(file)
    assert str(caught.value).startswith(str(file))
    assert reason in str(caught.value)
    with pytest.raises(ImageError, match=r"^image bytes: "):
        decode_image(content)


def test_flipped_bit_in_a_png_is_refused() -> None:
    data = bytearray(encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)), "PNG"))
    data[len(data) // 2] ^= 16
    with pytest.raises(ImageError, match="damaged"):
        decode_image(bytes(data))


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/zero")):
        for read in (decode_image, image_size):
            with pytest.raises(ImageError, match="not a regular file"):
                read(path)
    with pytest.raises(ImageError, match="no such file"):
        decode_image(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="null"):
        decode_image("a\0b.jpg")


def test_pixel_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "bomb.png"
    file.write_bytes(encoded(Image.new("1", (400, 300)), "PNG"))
    for limit in (50_000, 100_000):  # Pillow itself only warns up to twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ImageError, match=r"more than .* raise PIL\.Image\.MAX_IMAGE_PIXELS"), _no_warning_fails():
            decode_image(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode_image(file).shape == (300, 400, 3)


def _no_warning_fails() -> object:
    import warnings

    return warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning)


def test_pillow_images_follow_the_same_rules() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(gradient()).convert("RGBA"), "PNG", exif=exif)
    np.testing.assert_array_equal(rgb_from_pillow(Image.open(io.BytesIO(data))), decode_image(data))
    np.testing.assert_array_equal(rgb_from_pillow(Image.fromarray(gradient())), gradient())


def test_odd_images(shared: Path) -> None:
    folder = shared / "data" / "odd_images"
    upright, turned = (decode_image(folder / name) for name in ("color.jpg", "color_exif.jpg"))
    assert turned.shape == (upright.shape[1], upright.shape[0], 3)
    shapes = {"grayscale.jpg": (300, 400, 3), "gray_alpha.png": (400, 500, 3), "palette.gif": (300, 400, 3)}
    assert {name: decode_image(folder / name).shape for name in shapes} == shapes
    for name in ("broken.jpg", "uint16-5channel.tif", "optflow.flo"):
        with pytest.raises(ImageError, match=name):
            decode_image(folder / name)


def test_find_images_is_sorted_and_passes_over_what_is_hidden(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/z.png", "a/notes.txt", ".hidden/c.png", "a/.d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.relative_to(tmp_path).as_posix() for p in find_images(tmp_path)] == ["a/z.png", "b.JPG"]


def test_a_walk_has_the_order_of_sorted_paths_and_looks_at_names_alone(tmp_path: Path, monkeypatch) -> None:
    names = ("a/b.png", "a-1/c.png", "a.png", "a/a/z.png", "b/.hidden.png", ".b/c.png", "B.PNG", "a0.png")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    wanted = sorted(p for p in tmp_path.rglob("*") if p.suffix.lower() == ".png" and "/." not in str(p))
    wanted = [str(p) for p in wanted if "link/" not in str(p)]
    monkeypatch.setattr("os.stat", None)
    monkeypatch.setattr("os.lstat", None)
    assert list(walk_images(tmp_path)) == wanted


def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path, monkeypatch) -> None:
    def refuse(folder: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match="cannot be listed"):
        list(walk_images(tmp_path))
