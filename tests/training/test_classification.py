"""Classifiers in the same engine: run folder, resume, processes, evaluation, and data that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import baimu
from baimu import zoo
from baimu.datasets.source import Splits
from baimu.errors import BaimuError, CheckpointError, DataError, TrainingError, UnknownNameError
from baimu.metrics.classification import ClassScores, figure_names
from baimu.recipes import imagenet_90
from baimu.training import train as train_module
from baimu.training.assemble import build_accelerator
from baimu.training.classification import ClassificationTask
from baimu.training.detection import DetectionTask
from baimu.training.fitting import fitted
from baimu.training.run import Run
from baimu.training.tasks import task_of
from tests.datasets.files import write_classes
from tests.training.small import QUICK as QUICK_DETECTOR
from tests.training.small import small_data, small_fcos
from tests.training.small_classes import CLASSES, QUICK, colours, mixed_colours, small_classes
from tests.training.test_distributed import in_two_processes
from tests.training.tiny import assert_same, weights_of

FILES = {
    "best.safetensors", "classes.png", "confusion_matrix.png", "curves.png", "data.txt", "labels.png",
    "last.safetensors", "problems.txt", "recipe.yaml", "reliability.png", "report.html", "results.csv",
    "train_batches.png",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "first"
    return baimu.train("small_net", small_classes(), out=out, arguments={"dropout": 0.25}, **QUICK)


def test_a_run_says_how_it_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baimu.train("small_net", small_classes(), out=tmp_path / "out", **{**QUICK, "epochs": 1})
    said = capsys.readouterr().out
    assert "starts from random values; all of its layers learn; built for small images (16 pixels)" in said
    assert "the recipe is fitted to the data: optimizer=adamw, lr=0.001, size=16\n" in said


def test_the_run_folder_is_complete(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} - {"mistakes.png"} == FILES
    assert set(run.scores) == set(figure_names(multi_label=False))
    assert {"class", "loss", "lr", "top1", "macro_f1", "ece"} <= set(run.history[-1])
    assert "red" in (run.folder / "data.txt").read_text()
    page = run.report.read_text()
    assert "Scores on the held-out images" in page
    assert "top1" in page


def test_the_model_knows_its_data(run: Run) -> None:
    model: Any = run.model()
    assert model.classes == CLASSES
    assert model.spec == ("small_net", {"small_images": True, "num_classes": 3, "multi_label": False, "dropout": 0.25})
    assert (model.preprocess.resize, model.preprocess.size, model.preprocess.crop_share) == ("crop", 16, 1.0)
    assert model.dropout == 0.25


def test_eval_of_the_file_is_the_score_of_the_run(run: Run) -> None:
    scores = baimu.eval(run.folder, small_classes(), batch_size=2)
    assert isinstance(scores, ClassScores)
    assert scores.figures() == pytest.approx(run.scores, abs=1e-6, nan_ok=True)
    # by hand: the model on the pixels themselves
    model, val = run.model().eval(), small_classes().val
    images = torch.from_numpy(np.stack([val.image(i) for i in range(7)])).permute(0, 3, 1, 2)
    found = model.classify(model.preprocess.normalize(images)).argmax(1)
    assert scores.top1 == pytest.approx(np.mean([int(found[i]) == val.labels(i)[0] for i in range(7)]))


def test_it_learns(tmp_path: Path) -> None:
    splits = Splits(colours(90), colours(60, first=1000))
    done = baimu.train("small_net", splits, out=tmp_path / "out", **{**QUICK, "epochs": 4, "lr": 0.02})
    assert done.scores["top1"] > 0.95  # chance: a third


def test_several_labels(tmp_path: Path) -> None:
    splits = Splits(mixed_colours(60), mixed_colours(40, first=1))
    changes = {**QUICK, "epochs": 4, "lr": 0.02, "label_smoothing": 0.0}
    done = baimu.train("small_net", splits, out=tmp_path / "out", **changes)
    model: Any = done.model()
    assert model.multi_label
    assert model.spec[1]["multi_label"]
    assert set(done.scores) == set(figure_names(multi_label=True))
    assert done.scores["mean_ap"] > 0.9  # chance: a half
    assert (done.folder / "pr_curves.png").exists()
    assert baimu.eval(done.folder, splits).figures() == pytest.approx(done.scores, abs=1e-6, nan_ok=True)
    single = baimu.eval(done.folder, colours(9))  # one label an image can be judged by a model of several
    assert isinstance(single, ClassScores)


def test_a_stopped_run_continues_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Augmentation, mixing, worker processes, batch norm and the average included; stopped in mid-epoch."""
    changes = {
        **QUICK, "epochs": 3, "save_every": 1, "accumulate": 2, "ema_decay": 0.9, "crop_area": (0.3, 1.0),
        "color_jitter": 0.3, "auto_augment": "trivial", "random_erasing": 0.5, "mixup_alpha": 0.2, "cutmix_alpha": 1.0,
    }  # fmt: skip
    straight = baimu.train("small_net", small_classes(), out=tmp_path / "straight", **changes)
    real, calls = train_module.fit.__globals__["optimise"], []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setitem(train_module.fit.__globals__, "optimise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        baimu.train("small_net", small_classes(), out=tmp_path / "broken", **changes)
    assert "last.safetensors holds step 4" in capsys.readouterr().out
    continued = baimu.train("small_net", small_classes(), resume=tmp_path / "broken", workers=2)
    for name in ("last.safetensors", "best.safetensors"):
        assert_same(weights_of(straight.folder, name), weights_of(continued.folder, name))
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.history] for r in (straight, continued)]
    assert str(rows[0]) == str(rows[1])  # as text, for nan is not nan


def test_what_cannot_change_when_a_run_is_continued(run: Run) -> None:
    with pytest.raises(CheckpointError, match="begun with train_images = 14, the data now has 15"):
        baimu.train("small_net", small_classes(15), resume=run.folder)
    with pytest.raises(TrainingError, match=r"begun with dropout=0\.25, which cannot change"):
        baimu.train("small_net", small_classes(), resume=run.folder, arguments={"dropout": 0.5})
    with pytest.raises(TrainingError, match=r"begun with label_smoothing=0\.1, which cannot change"):
        baimu.train("small_net", small_classes(), resume=run.folder, label_smoothing=0.0)


def test_two_processes_score_as_one(run: Run, tmp_path: Path) -> None:
    """Seven images for two processes: one has an image more."""
    expected = baimu.eval(run.folder, small_classes()).figures()

    def work(rank: int) -> None:
        accelerator = build_accelerator(imagenet_90, tmp_path)
        options = {"batch_size": 2, "accelerator": accelerator}
        scores = ClassificationTask.score_model(run.model(), small_classes().val, **options)
        assert scores.images == 7, rank
        assert scores.figures() == pytest.approx(expected, abs=1e-6, nan_ok=True)

    in_two_processes(work)


def test_eval_matches_classes_by_name(run: Run, tmp_path: Path) -> None:
    write_classes(tmp_path / "some", {"blue": 3, "green": 2})
    scores = baimu.eval(run.folder, tmp_path / "some")
    assert isinstance(scores, ClassScores)
    assert scores.classes == CLASSES
    assert scores.class_images.tolist() == [0, 2, 3]
    write_classes(tmp_path / "more", {"blue": 3, "pink": 2})
    with pytest.raises(DataError, match=r"more: has 2 images of pink, unknown to the model"):
        baimu.eval(run.folder, tmp_path / "more")
    with pytest.raises(DataError, match="has any number of labels an image, the model one"):
        baimu.eval(run.folder, mixed_colours(5))


@pytest.mark.parametrize(
    ("name", "size", "arguments", "scratch", "small", "told"),
    [
        ("small_net", 16, {}, True, True, "built for small images (16 pixels)"),
        ("small_net", 16, {}, False, False, ""),
        ("small_net", 16, {"small_images": False}, True, False, ""),
        ("small_net", 80, {}, True, False, ""),
        ("plain_net", 16, {}, True, False, ""),
    ],
)
def test_small_images_get_a_network_for_them(
    name: str, size: int, arguments: dict[str, Any], scratch: bool, small: bool, told: str
) -> None:
    splits = Splits(colours(6, size), colours(3, size))
    model, said = ClassificationTask.make(name, splits, arguments, scratch=scratch)
    assert (model.backbone.small_images, said) == (small, told)  # pyright: ignore[reportAttributeAccessIssue]


def test_weights_start_a_run_for_other_classes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_classes(tmp_path / "data", {"blue": 5, "pink": 5})
    options = {**QUICK, "epochs": 1, "lr": 1e-9}
    done = baimu.train("small_net", root, out=tmp_path / "out", weights=run.folder, **options)
    said = capsys.readouterr().out
    assert "classes that come along by name: blue (1); classes that start fresh: pink (1)" in said
    before, after = weights_of(run.folder, "best.safetensors"), weights_of(done.folder, "best.safetensors")
    torch.testing.assert_close(before["model.head.linear.weight"][2], after["model.head.linear.weight"][0])


def test_the_task_is_the_models() -> None:
    assert task_of("small_net") is task_of(zoo.create_model("small_net")) is ClassificationTask
    assert task_of("small_fcos") is task_of(small_fcos()) is task_of("mask_rcnn_r50_fpn") is DetectionTask
    with pytest.raises(TrainingError, match="Linear: nothing here trains its task None"):
        task_of(nn.Linear(1, 1))
    with pytest.raises(UnknownNameError, match="smal_net"):
        task_of("smal_net")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"data": small_data()}, DataError, "is no data set for classification"),
        ({"data": "playground"}, DataError, "playground: has nothing for classification"),
        ({"data": "absent"}, DataError, "absent: there is no such file or folder"),
        ({"data": Splits(colours(6), colours(6).select([]))}, DataError, "the val split holds no image"),
        ({"mosaic": 0.5}, BaimuError, "mosaic is for detectors; classifiers have crop_area"),
        ({"resize": "letterbox"}, BaimuError, "resize=letterbox pads images; a classifier takes crop, stretch or none"),
        ({"auto_augment": "rnd"}, BaimuError, "unknown auto_augment 'rnd'. Did you mean rand"),
        ({"arguments": {"dropuot": 0.1}}, UnknownNameError, r"unknown argument of .* 'dropuot'\. Did you mean dropout"),
        ({"arguments": {"num_classes": 7}}, TrainingError, "num_classes=7, but the data has 3; leave it away"),
        ({"model": small_fcos(3), "arguments": {"x": 1}, "data": small_data()}, TrainingError, "by name"),
        ({"model": zoo.create_model("small_net", num_classes=5)}, TrainingError, "num_classes=5, the data 3 classes"),
        ({"data": Splits(mixed_colours(6), mixed_colours(6)), "model": zoo.create_model("small_net", num_classes=3)},
         TrainingError, "the model is for one label an image, the data has any number .*multi_label=True"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    tmp_path: Path, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    quick = {k: v for k, v in QUICK.items() if k not in given}
    with pytest.raises(error, match=message):
        baimu.train(**{"model": "small_net", "data": small_classes(), "out": tmp_path / "out", **quick, **given})
    assert not (tmp_path / "out" / "results.csv").exists()


def test_a_detector_refuses_to_cut_objects_away(tmp_path: Path) -> None:
    with pytest.raises(BaimuError, match="resize=crop cuts objects away"):
        baimu.train("small_fcos", small_data(), out=tmp_path, resize="crop", **QUICK_DETECTOR)


@pytest.mark.parametrize(
    ("count", "side", "scratch", "expected"),
    [
        (20_000, 28, True, {"size": 28, "crop_padding": 1, "epochs": 10, "batch_size": 128, "lr": 2e-3}),
        (1_650, 100, True, {"size": 96, "crop_share": 0.96, "crop_padding": 0, "epochs": 40, "lr": 1e-3}),
        (1_650, 100, False, {"size": 224, "crop_share": 0.875, "epochs": 40, "lr": 1e-4}),
        (50, 500, True, {"size": 224, "crop_share": 0.875, "epochs": 40}),
        (1_281_167, 400, True, {"size": 224, "epochs": 90, "optimizer": "sgd", "lr": 0.1, "batch_size": 256}),
    ],
)
def test_a_recipe_is_fitted_to_the_data(count: int, side: int, scratch: bool, expected: dict[str, Any]) -> None:
    class Sized:
        multi_label = False

        def __len__(self) -> int:
            return count

        def size(self, index: int) -> tuple[int, int]:
            return side + index % 2, side

    recipe = fitted(imagenet_90, Splits(Sized(), Sized()), scratch=scratch)  # pyright: ignore[reportArgumentType]
    assert {key: getattr(recipe, key) for key in expected} == expected
