"""The C++ program of deploy/cpp/libtorch: it says of exported models what Python says of the models."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from baimu.datasets.images import decode_image
from baimu.datasets.playground import Playground
from baimu.deploy.export import export
from baimu.inference.predictor import predict
from baimu.ops.nms import keep_best
from baimu.ops.roi import roi_align
from baimu.results import Detections
from tests.deploy.cpp_models import MODELS, classifier

SOURCES = Path(__file__).resolve().parents[2] / "deploy/cpp/libtorch"
SIDES = ((60, 90), (97, 64), (40, 40), (75, 131), (128, 50))
"""Heights and widths of the images: a batch of them needs padding on both sides."""

Built = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def built() -> Built:
    """Runs a program of the build, which is made once for these sources, this torch and this compiler."""
    fcntl = pytest.importorskip("fcntl", reason="needs a system with fcntl")
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if shutil.which("cmake") is None or compiler is None:
        pytest.skip("needs cmake and a C++ compiler on the PATH")
    state = hashlib.sha256(f"{torch.__version__} {torch.__path__} {compiler} {SOURCES}".encode())
    for path in sorted(SOURCES.rglob("*")):
        if path.is_file():
            state.update(path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME", tempfile.gettempdir())) / "baimu-tests"
    folder = cache / f"libtorch-{state.hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several workers one builds
        if not (folder / "done").exists():
            _build(folder)
    return lambda name, *words, **options: subprocess.run(
        [folder / name, *map(str, words)], capture_output=True, text=True, timeout=120, check=False, **options
    )


def _build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    flags = ("-DCMAKE_CXX_FLAGS_RELEASE=-O1", "-DCMAKE_CXX_FLAGS=-Werror", f"-DPython3_EXECUTABLE={sys.executable}")
    _succeed("cmake", "-S", str(SOURCES), "-B", str(folder), *flags)
    _succeed("cmake", "--build", str(folder), "--parallel", "2")
    (folder / "done").touch()


def _succeed(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def _lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def files(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the exported models."""
    folder = tmp_path_factory.mktemp("models")
    root = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join(filter(None, (str(root / "src"), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "tests.deploy.cpp_models", str(folder)]
    done = subprocess.run(
        command, cwd=root, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """PPM files of several sizes."""
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{i}.ppm" for i in range(len(SIDES))]
    for i, (path, size) in enumerate(zip(paths, SIDES, strict=True)):
        Image.fromarray(Playground(8, size=size, empty=0.0).image(i)).save(path)
    return paths


def _same_objects(found: Sequence[dict[str, Any]], expected: Sequence[Detections]) -> None:
    assert [one["source"] for one in found] == [one.source for one in expected]
    assert any(len(one) for one in expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours["height"], ours["width"]) == theirs.size
        assert [one["name"] for one in ours["objects"]] == theirs.class_names
        boxes = np.array([one["box"] for one in ours["objects"]]).reshape(-1, 4)
        np.testing.assert_allclose(boxes, theirs.boxes, rtol=0, atol=1e-2)
        np.testing.assert_allclose([one["score"] for one in ours["objects"]], theirs.scores, rtol=0, atol=1e-4)


def test_its_own_tests(built):
    done = built("check_images")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["fcos", "faster_rcnn"])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_detectors_as_in_python_whatever_the_batch(built, files, images, name, batch):
    found = _lines(built("baimu_predict", files / f"{name}.torchscript", *images, "--batch", batch))
    _same_objects(found, predict(MODELS[name](), images, batch_size=batch))


@pytest.mark.parametrize("name", ["fcos", "faster_rcnn"])
def test_batches_of_equal_sizes_say_what_single_images_do(built, files, images, name):
    command = (files / f"{name}.torchscript", *images, *images[::-1], "--equal-sizes", "--batch")
    found = _lines(built("baimu_predict", *command, 10))
    _same_objects(found, predict(MODELS[name](), [*images, *images[::-1]], batch_size=1))


def _same_classes(found: Sequence[dict[str, Any]], expected: Sequence[Any]) -> None:
    assert [one["source"] for one in found] == [one.source for one in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert [one["name"] for one in ours["classes"]] == [guess.name for guess in theirs.best]
        scores = [guess.score for guess in theirs.best]
        np.testing.assert_allclose([one["score"] for one in ours["classes"]], scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["classifier", "cubic_classifier", "free_classifier", "padded_classifier"])
@pytest.mark.parametrize("batch", [1, 6])
def test_classifiers_as_in_python(built, files, images, name, batch):
    pictures = [*images, images[0], images[0]]  # the last two share a batch whatever their size
    found = _lines(built("baimu_predict", files / f"{name}.torchscript", *pictures, "--batch", batch, "--top", 3))
    _same_classes(found, predict(MODELS[name](), pictures, top=3))


def test_compiled_by_inductor(built, images, tmp_path):
    model = classifier()
    path = export(model, tmp_path / "net.aoti.pt2", format="aotinductor", verify=False)
    _same_classes(_lines(built("baimu_predict", path, *images, "--batch", 4)), predict(model, images))


def test_paths_on_standard_input_come_out_in_their_order(built, files, images):
    path = files / "classifier.torchscript"
    names = [str(images[i % len(images)]) for i in range(17)]
    done = built("baimu_predict", path, "-", "--batch", 4, "--latency", 5, input="\n".join(names) + "\n")
    assert [one["source"] for one in _lines(done)] == names


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(30, 41), (200, 47), (61, 300), (60, 45), (33, 90), (20, 80), (55, 89), (1, 1)])
def test_resizes_to_the_bytes_of_pillow(built, images, tmp_path, interpolation, size):
    out = tmp_path / "out.ppm"
    done = built("check_images", images[0], *size, interpolation, out)
    assert done.returncode == 0, done.stderr
    way = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    expected = Image.open(images[0]).resize(size[::-1], way)
    np.testing.assert_array_equal(np.asarray(Image.open(out)), np.asarray(expected))


def test_jpeg_and_png_as_in_python(built, images, tmp_path):
    picture = Image.open(images[0])
    turned, clear = tmp_path / "turned.jpg", tmp_path / "clear.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(turned, exif=exif, quality=95)
    layer = picture.convert("RGBA")
    layer.putalpha(picture.convert("L"))
    layer.save(clear)
    for path in (turned, clear):
        expected = decode_image(path)
        height, width = expected.shape[:2]
        out = tmp_path / "out.ppm"
        done = built("check_images", path, height, width, "bilinear", out)
        if "built without" in done.stderr:
            pytest.skip(f"the build has no reader for this: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        difference = np.abs(np.asarray(Image.open(out)).astype(int) - expected.astype(int))
        assert difference.max() <= (1 if path == clear else 4)  # decoders of JPEG may differ in rounding
        assert difference.mean() < 0.5


class Asked(nn.Module):
    """A graph without inputs: what operators give here, each beside what they gave when it was made."""

    def __init__(self, ask: Callable[..., Tensor], cases: Sequence[tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.ask, self.count = ask, len(cases)
        for i, case in enumerate(cases):
            for j, tensor in enumerate((*case, ask(*case))):
                self.register_buffer(f"case{i}_{j}", tensor.clone())
        self.inputs = len(cases[0])

    def forward(self) -> tuple[Tensor, ...]:
        out: list[Tensor] = []
        for i in range(self.count):
            *case, expected = (getattr(self, f"case{i}_{j}") for j in range(self.inputs + 1))
            out += [self.ask(*case), expected + 0]
        return tuple(out)


def _check_operator(
    built: Built, folder: Path, ask: Callable[..., Tensor], cases: Sequence[tuple[Tensor, ...]]
) -> None:
    with torch.no_grad():
        graph = torch.jit.trace(Asked(ask, cases), (), check_trace=False)
    torch.jit.save(graph, str(folder / "asked.torchscript"))
    done = built("check_operators", folder / "asked.torchscript")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("largest difference") == len(cases)


def _boxes(*shape: int) -> Tensor:
    start = torch.rand(*shape, 2) * 40
    return torch.cat([start, start + torch.rand(*shape, 2) * 30], -1)


def test_keep_best(built, tmp_path):
    torch.manual_seed(0)
    boxes, scores, groups = _boxes(2, 300), torch.rand(2, 300) - 0.1, torch.randint(0, 3, (2, 300))
    ties = scores.mul(8).round() / 8
    broken = boxes.clone()
    broken[0, :20, 2], broken[1, 5:9, 0] = torch.inf, torch.nan
    many = (_boxes(1, 1500), torch.rand(1, 1500), torch.randint(0, 40, (1, 1500)))
    edge = torch.tensor([[[0.0, 0, 5, 1], [0, 0, 3, 1], [0, 0, 5, 1]]])  # an IoU of exactly 3/5
    cases = [
        (boxes, scores, groups),
        (boxes.round(), ties, groups),
        (broken, scores, groups),
        many,
        (edge, torch.tensor([[0.9, 0.8, 0.7]]), torch.zeros(1, 3, dtype=torch.int64)),
        (boxes[:, :0], scores[:, :0], groups[:, :0]),
    ]
    _check_operator(built, tmp_path, lambda *case: keep_best(*case, 0.6), cases)


@pytest.mark.parametrize(("ratio", "aligned"), [(0, True), (2, True), (0, False), (2, False)])
def test_roi_align(built, tmp_path, ratio, aligned):
    torch.manual_seed(0)
    maps = [torch.rand(2, 5, 24, 32), torch.rand(2, 5, 12, 16)]
    rois = torch.cat([_boxes(2, 30) * 2, _boxes(2, 5) * 5 - 60, torch.zeros(2, 2, 4)], 1)  # outside, and without extent
    levels = torch.randint(0, 2, (2, 37))

    def ask(first: Tensor, second: Tensor, rois: Tensor, levels: Tensor) -> Tensor:
        return roi_align([first, second], rois, levels, [4.0, 8.0], 5, ratio, aligned)

    _check_operator(built, tmp_path, ask, [(*maps, rois, levels)])


def test_lstm(built, tmp_path):
    torch.manual_seed(0)
    layer = nn.LSTM(6, 4, batch_first=True).requires_grad_(False)
    weights = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0]

    def ask(sequence: Tensor, *weights: Tensor) -> Tensor:
        return torch.ops.baimu.lstm(sequence, list(weights))

    _check_operator(built, tmp_path, ask, [(torch.randn(3, 11, 6), *(w.data for w in weights))])


def test_benchmark_prints_a_row_for_each_batch(built, files, images):
    path = files / "classifier.torchscript"
    done = built("baimu_predict", path, images[0], "--benchmark")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [int(row[0]) for row in rows] == [1, 2, 4, 8, 16]
    for size, batch_ms, image_ms, rate in rows:
        assert float(batch_ms) / int(size) == pytest.approx(float(image_ms), abs=0.02)
        assert float(rate) > 0


def test_what_is_wrong_is_said_with_exit_code_2(built, files, images, tmp_path):
    path = files / "classifier.torchscript"
    damaged, foreign, other = (tmp_path / name for name in ("damaged.torchscript", "foreign.torchscript", "net.onnx"))
    damaged.write_bytes(path.read_bytes()[:-200])
    torch.jit.save(torch.jit.script(nn.ReLU()), str(foreign))
    shutil.copy(path, other)
    for words, said in {
        (tmp_path / "none.torchscript", images[0]): "there is no such file",
        (damaged, images[0]): "damaged.torchscript: is damaged",
        (foreign, images[0]): "was not exported by baimu",
        (other, images[0]): "format=torchscript",
        (path,): "no image was given",
        (path, images[0], "--batch", "0"): "--batch 0",
        (path, images[0], "--bach", "2"): "--bach: no option",
        (path, images[0], "--top"): "its value is missing",
    }.items():
        done = built("baimu_predict", *words)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert said in done.stderr, done.stderr


def test_an_image_that_cannot_be_read_has_its_line_too(built, files, images, tmp_path):
    path = files / "classifier.torchscript"
    short = tmp_path / "short.ppm"
    short.write_bytes(images[0].read_bytes()[:-9])
    done = built("baimu_predict", path, images[0], short, images[1], "--batch", 3)
    first, second, third = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 2
    assert len(first["classes"]) == len(third["classes"]) == 5
    assert "is truncated" in second["error"]
    assert str(short) in done.stderr


def test_candidates_before_nms_are_refused(built, files, images):
    done = built("baimu_predict", files / "raw.torchscript", images[0])
    assert (done.returncode, done.stdout) == (2, "")
    assert "without raw" in done.stderr
