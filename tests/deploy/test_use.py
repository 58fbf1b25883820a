"""An exported file is used as any model: scored, followed with, asked by the command line and without this library."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from typer.testing import CliRunner

import baimu
from baimu.cli.main import app
from baimu.datasets.open import open_data
from baimu.deploy import export as exporting
from baimu.errors import BaimuError
from baimu.results import Detections
from baimu.targets import Targets
from tests.deploy.models import FREE, classifier, embedder, follower, retinanet, seeded

DATA = "playground:train=16,val=16,size=64"


@seeded
def learn() -> Any:
    """A detector after some steps on the sixteen scenes that it is asked about."""
    source = open_data(DATA, kind="detection").val
    model: Any = retinanet(len(source.classes))
    model.preprocess, model.classes = FREE, tuple(source.classes)
    images = torch.stack([torch.from_numpy(source.image(i)).permute(2, 0, 1) for i in range(len(source))])
    objects = [source.objects(i) for i in range(len(source))]
    boxes, labels = ([torch.from_numpy(getattr(one, name)) for one in objects] for name in ("boxes", "labels"))
    targets = Targets.collate(boxes, labels, [(64, 64)] * len(objects))
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    model.train()
    for _ in range(300):
        loss = torch.stack(list(model.losses(model.preprocess.normalize(images), targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def learned() -> Any:
    return learn()


@pytest.fixture(scope="module")
def exported(learned: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return baimu.export(learned, tmp_path_factory.mktemp("exported") / "it.onnx")


def test_an_exported_detector_scores_as_its_model(learned: Any, exported: Path) -> None:
    wanted = baimu.eval(learned, DATA)
    assert wanted.box_ap > 0.2
    found = baimu.eval(exported, DATA)
    assert abs(found.box_ap - wanted.box_ap) < 0.001  # a tenth of a point
    assert abs(found.box_ap50 - wanted.box_ap50) < 0.001
    np.testing.assert_allclose(found.class_ap, wanted.class_ap, atol=0.001)


def test_a_quantised_detector_scores_nearly_as_its_model(learned: Any, tmp_path: Path) -> None:
    source = open_data(DATA, kind="detection").val
    images = [source.image(i) for i in range(len(source))]
    path = baimu.export(learned, tmp_path / "it.onnx", precision="int8", images=images, verify=False)
    assert baimu.eval(path, DATA).box_ap50 > baimu.eval(learned, DATA).box_ap50 - 0.1


def run(*words: Any) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_line_takes_the_file_like_a_model(exported: Path, tmp_path: Path) -> None:
    source = open_data(DATA, kind="detection").val
    for i in range(2):
        PIL.Image.fromarray(source.image(i)).save(tmp_path / f"{i}.png")
    first = Counter(baimu.load(exported).predict(tmp_path / "0.png")[0].class_names)
    assert first
    said = run("predict", exported, tmp_path / "0.png", "--out", tmp_path / "out")
    assert all(f"{count} {name}" in said for name, count in first.items())
    assert "AP" in run("eval", exported, "--data", DATA)
    out = tmp_path / "tracks"
    assert "2 frames" in run("track", tmp_path / "[01].png", "--model", exported, "--tracker", "sort", "--out", out)


def test_the_command_line_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "load_model", lambda name: classifier())
    out = tmp_path / "it.torchscript"
    words = ("--format", "torchscript", "--out", out, "--size", "64x96", "--licence", "MIT")
    said = run("export", "runs/mine", *words)
    assert "it.torchscript: torchscript fp32" in said
    assert "the same in 4 images" in said
    assert (baimu.load(out).card.licence, baimu.load(out).card.fixed_size) == ("MIT", (64, 96))
    assert "not compared" in run("export", "runs/mine", *words[:4], "--no-verify")
    wrong = CliRunner().invoke(app, ["export", "runs/mine", "--size", "6x4x3"])
    assert wrong.exit_code == 2
    assert "neither a side nor HEIGHTxWIDTH" in wrong.output


def test_an_exported_follower_follows_as_its_model(tmp_path: Path) -> None:
    model = follower()
    exported = baimu.load(baimu.export(model, tmp_path / "it.onnx"))
    draw = np.random.default_rng(0)
    target, frames = draw.integers(0, 256, (24, 24, 3), np.uint8), []
    for number in range(4):
        frame = np.full((120, 160, 3), 90, np.uint8)
        frame[40:64, 30 + 6 * number : 54 + 6 * number] = target
        frames.append(frame)
    wanted, found = (baimu.track(frames, model=one, box=(30, 40, 54, 64)) for one in (model, exported))
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_allclose(b.boxes, a.boxes, atol=0.1)


def test_an_exported_embedder_serves_a_tracker(tmp_path: Path) -> None:
    model = embedder()
    exported = baimu.load(baimu.export(model, tmp_path / "it.onnx"))
    frame = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    box = Detections(
        np.array([[10, 10, 40, 60]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("a",), (80, 80)
    )
    tracks = baimu.track([frame] * 3, detections=[box] * 3, tracker="deepsort", embed=exported)
    assert len(tracks) == 3


def test_an_exported_classifier_is_drawn_and_told_like_its_model(tmp_path: Path) -> None:
    model = classifier()
    exported = baimu.load(baimu.export(model, tmp_path / "it.onnx"))
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    a, b = (one.predict(image)[0] for one in (model, exported))
    assert (a.names, a.size, a.draw(image).size) == (b.names, b.size, b.draw(image).size)


def test_the_example_without_this_library_finds_the_same(
    learned: Any, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = [part for part in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "onnxruntime" in part]
    assert "baimu" not in example.replace('["baimu"]', "")
    image = PIL.Image.fromarray(open_data(DATA, kind="detection").val.image(3))
    image.save(tmp_path / "photo.png")
    shutil.copy(exported, tmp_path / "mine.onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(example.replace("photo.jpg", "photo.png"), "docs/export.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    wanted = learned.predict(np.asarray(image), score_threshold=None)[0]
    assert len(said) == len(wanted) > 0
    for line, name, score in zip(said, wanted.class_names, wanted.scores, strict=True):
        assert line.startswith(f"{name} ")
        assert abs(float(line.split()[1]) - score) < 0.01


def test_an_exported_file_refuses_what_is_normalised_already(tmp_path: Path) -> None:
    model = classifier()
    exported = baimu.load(baimu.export(model, tmp_path / "it.torchscript", format="torchscript"))
    pixels = torch.randint(0, 256, (2, 3, 64, 64))
    with torch.no_grad():
        wanted = exported(pixels.to(torch.uint8))[0]
        torch.testing.assert_close(exported(pixels.float() + 0.3)[0], wanted)
        with pytest.raises(BaimuError, match=r"it.torchscript: takes pixels of 0 to 255 .* got -2"):
            exported(model.preprocess.normalize(pixels.float().clamp(max=5), None))
