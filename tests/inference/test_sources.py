"""Every kind of source becomes the same pixels, and a bad one says what is wrong before work begins."""

from __future__ import annotations

import http.server
import io
import threading

import numpy as np
import PIL.Image
import pytest
import torch

from baimu.errors import DataError, ImageError
from baimu.inference import sources
from baimu.inference.pixels import rgb_from_array, rgb_from_tensor
from baimu.inference.predictor import predict
from baimu.inference.sources import image_names, open_images


def _read(source) -> list[np.ndarray]:
    return [item.read() for item in open_images(source).items]


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def test_one_image_in_every_form(image, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(_png(image))
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
    forms = [path, str(path), image, tensor, tensor[None], tensor / 255, PIL.Image.fromarray(image), path.read_bytes()]
    for form in [*forms, [path], (image,), iter([tensor]), image[None], image.astype(np.int64), image / 255]:
        [pixels] = _read(form)
        np.testing.assert_array_equal(pixels, image)
        assert pixels.dtype == np.uint8


def test_half_precision_tensors(image):
    for dtype in (torch.float16, torch.bfloat16):
        pixels = rgb_from_tensor(torch.from_numpy(image).permute(2, 0, 1).to(dtype) / 255, "x")
        assert np.abs(pixels.astype(int) - image).max() <= 1


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 7]], np.uint8), [[0, 0, 0], [7, 7, 7]]),
        (np.array([[[0], [7]]], np.uint8), [[0, 0, 0], [7, 7, 7]]),
        (np.array([[False, True]]), [[0, 0, 0], [255, 255, 255]]),
        (np.array([[0, 65535]], np.uint16), [[0, 0, 0], [255, 255, 255]]),
        (np.array([[0.0, 1.0005]], np.float32), [[0, 0, 0], [255, 255, 255]]),
        (np.array([[[9, 8, 7, 255], [9, 8, 7, 0]]], np.uint8), [[9, 8, 7], [255, 255, 255]]),
        (np.array([[[0, 0, 0, 0.5], [0, 0, 0, 1]]]), [[127, 127, 127], [0, 0, 0]]),
    ],
    ids=["grey", "one channel", "bool", "uint16", "float", "alpha", "float alpha"],
)
def test_arrays_of_every_kind(array, expected):
    np.testing.assert_array_equal(rgb_from_array(array, "x")[0], expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[0.0, 200.0]]), "0…1.*0 to 200"),
        (np.array([[0.0, -0.5]]), "0…1"),
        (np.array([[0.0, np.nan]]), "nan"),
        (np.array([[0, 256]]), "0…255.*256"),
        (np.zeros((3, 4, 5), np.uint8), r"\(3, 4, 5\)"),
        (np.zeros((4,), np.uint8), r"\(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.array([["a"]]), "numbers"),
        (np.array([[1j]]), "numbers"),
    ],
)
def test_arrays_that_mean_nothing_are_refused(array, message):
    with pytest.raises(ImageError, match=f"thing: .*{message}"):
        rgb_from_array(array, "thing")


def test_tensors_are_channels_first():
    with pytest.raises(ImageError, match=r"\(C, H, W\)"):
        rgb_from_tensor(torch.zeros(8, 9, 3), "x")


@pytest.fixture
def folder(tmp_path):
    """Images here and below, other files, a hidden one, names that sort badly."""
    for name in ("b.JPG", "a.png", "10.png", "9.png", "sub/c.webp", "图/ü [x].bmp", ".hidden.png", ".cache/d.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (4, 4)).save(path, "PNG")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


def test_folders_are_read_in_order_with_their_subfolders(folder):
    images = open_images(folder)
    names = [item.name.removeprefix(f"{folder}/") for item in images.items]
    assert names == ["10.png", "9.png", "a.png", "b.JPG", "sub/c.webp", "图/ü [x].bmp"]
    assert images.count == 6
    assert all(item.is_file for item in images.items)


def test_patterns(folder):
    assert [item.name for item in open_images(f"{folder}/*.png").items] == [
        f"{folder}/{n}.png" for n in ("10", "9", "a")
    ]
    assert open_images(f"{folder}/**").count == 6
    assert open_images(str(folder / "图" / "ü [x].bmp")).count == 1  # a file's name comes before a pattern
    with pytest.raises(DataError, match=r"1 files or folders, none of them an image"):
        open_images(f"{folder}/*.txt")
    with pytest.raises(DataError, match=r"\*\.gif: the pattern matches nothing; give some that end in"):
        open_images(f"{folder}/*.gif")


def test_a_named_file_is_tried_whatever_its_suffix(folder, image):
    (folder / "picture.dat").write_bytes(_png(image))
    np.testing.assert_array_equal(_read(folder / "picture.dat")[0], image)
    with pytest.raises(ImageError, match=r"notes\.txt"):
        _read(folder / "notes.txt")


def test_missing_empty_and_unknown_sources(tmp_path, folder):
    with pytest.raises(DataError, match=r"gone\.jpg: there is no such file"):
        open_images(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match=r"gone\.mp4: there is no such file"):
        open_images(str(tmp_path / "gone.mp4"))
    with pytest.raises(DataError, match=r"gone\.jpg: .*entry 1 of the list"):
        open_images([folder / "a.png", tmp_path / "gone.jpg"])
    with pytest.raises(DataError, match="a folder or a video by itself"):
        open_images([folder])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: the folder holds no images"):
        open_images(tmp_path / "empty")
    for nonsense in (None, 1.5, True, object()):
        with pytest.raises(DataError, match="cannot look for objects"):
            open_images(nonsense)
    with pytest.raises(DataError, match="image 1: cannot look for objects in dict"):
        open_images([folder / "a.png", {}])
    for address, message in (
        ("ftp://host/a.jpg", "ftp"),
        ("camera:front", "camera:0"),
        ("https://host/a.mp4", "download"),
    ):
        with pytest.raises(DataError, match=message):
            open_images(address)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_gives_boxes_in_the_upright_picture(orientation, finder, picture, tmp_path):
    """The stored pixels are turned; file, bytes and PIL image all answer in the picture as people see it."""
    upright, box = picture(60, 100, (10, 20, 40, 50)), (10, 20, 40, 50)
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # transposition that stores it so
    stored = PIL.Image.fromarray(upright)
    stored = stored if undo is None else stored.transpose(PIL.Image.Transpose(undo))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    stored.save(path, quality=95, exif=exif)
    for source in (path, path.read_bytes(), PIL.Image.open(path)):
        [found] = predict(finder, source)
        assert found.size == (60, 100)
        np.testing.assert_allclose(found.boxes, [box], atol=2)


def test_grey_deep_and_transparent_files(finder, picture, tmp_path):
    """A 16-bit grey file, one with alpha and a palette are looked at like any other."""
    deep = np.linspace(0, 65535, 40 * 50).reshape(40, 50).astype(np.uint16)
    PIL.Image.fromarray(deep).save(tmp_path / "deep.png")
    colour = PIL.Image.fromarray(picture(40, 50, (10, 10, 30, 30)))
    colour.convert("RGBA").save(tmp_path / "alpha.png")
    colour.quantize(8).save(tmp_path / "palette.png")
    colour.convert("L").save(tmp_path / "grey.png")
    names = ("alpha", "palette", "grey", "deep")
    results = predict(finder, [tmp_path / f"{n}.png" for n in names])
    assert [len(r) for r in results] == [1, 1, 0, 0]
    np.testing.assert_array_equal(_read(tmp_path / "deep.png")[0][..., 0], (deep.astype(int) + 128) // 257)


def test_a_pil_image_of_a_cut_file_is_named(tmp_path):
    """Pillow opens a file by its header and finds the damage only when the pixels are asked for."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "cut.png"
    path.write_bytes(_png(noise)[:4000])
    with pytest.raises(ImageError, match=r"cut\.png"):
        _read(PIL.Image.open(path))


def test_a_data_set_is_a_source(finder):
    from baimu.datasets.playground import Playground

    scenes = Playground(3, size=48)
    images = open_images(scenes)
    assert images.count == 3
    assert [item.name for item in images.items] == [scenes.name(i) for i in range(3)]
    assert [r.size for r in predict(finder, scenes)] == [(48, 48)] * 3


class _Web(http.server.BaseHTTPRequestHandler):
    data = b""

    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/a.png")
            self.end_headers()
            return
        self.send_response(200 if self.path == "/a" else 404)
        self.end_headers()
        self.wfile.write(self.data)

    def log_message(self, *_):
        pass


@pytest.fixture
def web(image):
    _Web.data = _png(image)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_urls(web, image, monkeypatch):
    [item] = open_images(f"{web}/a").items
    np.testing.assert_array_equal(item.read(), image)
    assert (item.name, item.is_file) == (f"{web}/a", False)
    np.testing.assert_array_equal(_read([f"{web}/a", image])[0], image)
    for page in ("gone", "away"):
        with pytest.raises(ImageError, match=f"{web}/{page}: cannot be downloaded"):
            _read(f"{web}/{page}")
    monkeypatch.setattr(sources, "URL_BYTES", 10)
    with pytest.raises(ImageError, match="larger than"):
        _read(f"{web}/a")
    monkeypatch.setattr(sources, "URL_BYTES", 10_000)
    monkeypatch.setattr(sources, "URL_SECONDS", 0.0)
    with pytest.raises(ImageError, match=f"{web}/a"):
        _read(f"{web}/a")


def test_a_url_of_no_image_is_named(web):
    _Web.data = b"<html>"
    with pytest.raises(ImageError, match=f"{web}/a: "):
        _read(f"{web}/a")


def test_a_text_file_names_images(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text(
        "\ufeffphotos/9.png\n\nhttp://127.0.0.1:1/a.jpg\nphotos/gone.png\n", encoding="utf-8"
    )
    images = open_images("@names.txt")
    items = list(images.items)
    assert [item.name for item in items] == ["photos/9.png", "http://127.0.0.1:1/a.jpg", "photos/gone.png"]
    assert [item.is_file for item in items] == [True, False, True]
    assert items[0].read().shape == (4, 4, 3)
    with pytest.raises(ImageError, match=r"photos/gone\.png: there is no such file"):
        items[2].read()


@pytest.mark.parametrize(
    ("data", "message"), [(b"\n\n", "names no images"), (b"a.jpg\n\xff\xfe\n", "give a text file in UTF-8")]
)
def test_a_text_file_that_names_none_or_is_none(tmp_path, data, message):
    (tmp_path / "names.txt").write_bytes(data)
    with pytest.raises(DataError, match=message):
        list(open_images(f"@{tmp_path}/names.txt").items)


def test_a_file_may_begin_with_an_at_sign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PIL.Image.new("RGB", (5, 4)).save("@a.png")
    assert [item.name for item in open_images("@a.png").items] == ["@a.png"]


def test_names_of_images_are_those_of_their_items(folder):
    for source in (str(folder), f"{folder}/*.png", f"{folder}/9.png", "http://127.0.0.1:1/a.jpg"):
        assert list(image_names(source)) == [item.name for item in open_images(source).items]


def test_what_has_no_single_images_has_no_names(tmp_path):
    (tmp_path / "empty").mkdir()
    for source, message in ((f"{tmp_path}/empty", "holds no images"), ("rtsp://127.0.0.1:1/a", "only single images")):
        with pytest.raises(DataError, match=message):
            next(image_names(source))
