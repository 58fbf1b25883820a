"""``baimu predict`` and ``baimu explain`` with a classifier: lines, pictures, JSON and CSV of its classes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from baimu.weights.archive import write_archive
from baimu.weights.checkpoint import describe
from baimu.zoo import create_model

NAMES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a network that always says cat 0.7, dog 0.2, owl 0.1, but by where the picture is bright."""
    model = create_model("resnet18", num_classes=3, small_images=True)
    model.preprocess, model.classes = model.preprocess.replace(size=32), NAMES
    with torch.no_grad():
        model.head.linear.weight.mul_(1e-6)
        model.head.linear.bias.copy_(torch.tensor([0.7, 0.2, 0.1]).log())
    folder = tmp_path_factory.mktemp("runs") / "classifier"
    folder.mkdir()
    write_archive(
        folder / "best.safetensors", {f"model.{k}": v for k, v in model.state_dict().items()}, describe(model)
    )
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def test_classes_are_printed_drawn_and_written(baimu, classifier: Path, photo: Path, tmp_path: Path) -> None:
    out, records, rows = tmp_path / "out", tmp_path / "a.json", tmp_path / "a.csv"
    done = baimu("predict", photo, "--model", classifier, "--out", out, "--top", 2, "--json", records, "--csv", rows)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{photo}: cat 70.0%, dog 20.0% → {out / 'photo.jpg'}\n"
    assert PIL.Image.open(out / "photo.jpg").width >= 80
    [record] = json.loads(records.read_text())
    assert (record["source"], record["height"], record["width"]) == (str(photo), 64, 80)
    assert [(row["name"], row["label"]) for row in record["classes"]] == [("cat", 0), ("dog", 1)]
    table = list(csv.reader(rows.read_text().splitlines()))
    assert table == [
        ["source", "name", "label", "score"],
        [str(photo), "cat", "0", "0.7000"],
        [str(photo), "dog", "1", "0.2000"],
    ]


def test_min_score_leaves_classes_out(baimu, classifier: Path, photo: Path, tmp_path: Path) -> None:
    done = baimu("predict", classifier, photo, "--min-score", 0.5, "--out", tmp_path / "out")
    assert done.stdout.startswith(f"{photo}: cat 70.0% → ")


def test_top_is_not_an_option_of_detectors(baimu, run_folder: Path, photo: Path, tmp_path: Path) -> None:
    done = baimu("predict", run_folder, photo, "--top", 3, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "unknown option of detection 'top'" in done.stderr


def test_options_of_the_task_are_set(baimu, run_folder: Path, photo: Path, tmp_path: Path) -> None:
    words = ["predict", run_folder, photo, "--out", tmp_path / "out", "--json", tmp_path / "found.json"]
    done = baimu(*words, "--min-score", 0, "--set", "max_detections=3")
    assert done.exit_code == 0, done.output
    [record] = json.loads((tmp_path / "found.json").read_text())
    assert len(record["objects"]) == 3
    kept = sorted({found["name"] for found in record["objects"]})[:1]
    done = baimu(*words, "--min-score", 0, "--set", "max_detections=3", "--set", f"classes={kept[0]}")
    assert done.exit_code == 0, done.output
    [record] = json.loads((tmp_path / "found.json").read_text())
    assert sorted({found["name"] for found in record["objects"]}) == kept


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "max_detectoins=3"], "unknown option of detection 'max_detectoins'. Did you mean max_detections?"),
        (["--set", "max_detections=few"], "max_detections=few: give a whole number"),
        (["--set", "max_detections"], "'max_detections' is not a setting; write key=value, for example flip=true"),
        (["--min-score", 0.5, "--set", "score_threshold=0.2"], "score_threshold is given twice: score_threshold=0.5"),
        (["--set", "classes=disc,dog"], "unknown class 'dog'"),
    ],
)
def test_wrong_options_are_named(
    baimu, run_folder: Path, photo: Path, tmp_path: Path, words: list[object], message: str
) -> None:
    done = baimu("predict", run_folder, photo, "--out", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_explain_draws_and_writes_the_heat(baimu, classifier: Path, photo: Path, tmp_path: Path) -> None:
    out, heat = tmp_path / "out", tmp_path / "heat.json"
    done = baimu("explain", photo, "--model", classifier, "--class", "dog", "--level", 4, "--out", out, "--json", heat)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{photo}: dog 20.0% → {out / 'photo.jpg'}\n"
    [record] = json.loads(heat.read_text())
    assert np.shape(record["map"]) == (8, 8)
    assert (record["name"], record["height"], record["width"]) == ("dog", 64, 80)
    assert (out / "photo.jpg").exists()


def test_explain_a_detector(baimu, run_folder: Path, photo: Path, tmp_path: Path) -> None:
    done = baimu("explain", run_folder, photo, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "photo.jpg").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--class", "dgo"], "unknown class 'dgo'. Did you mean dog?"),
        (["--level", 9], "level 9 is not among the maps of this backbone: 2, 3, 4, 5"),
        (["--detection", 0], "a classifier has no detections"),
    ],
)
def test_wrong_questions_are_one_message(baimu, classifier: Path, photo: Path, tmp_path: Path, words, message) -> None:
    done = baimu("explain", classifier, photo, "--out", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_explain_needs_something_to_look_at(baimu, classifier: Path) -> None:
    assert baimu("explain", classifier).exit_code == 2
