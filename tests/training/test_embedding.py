"""Embedders in the same engine: run folder, resume, processes, evaluation, and data that do not fit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

import baimu
from baimu.backbones.stages import Stages
from baimu.datasets.characters import Characters
from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.idx import ImageStack
from baimu.datasets.identities import Identities
from baimu.datasets.identities import identities as make_identities
from baimu.datasets.source import Splits
from baimu.embedding.arcface import arcface, recipe
from baimu.embedding.embedder import Features
from baimu.embedding.reid_baseline import IdentityHead, reid_baseline
from baimu.embedding.reid_baseline import recipe as reid_recipe
from baimu.errors import BaimuError, TrainingError
from baimu.metrics.embedding import FIGURES, IdentityScores
from baimu.training.assemble import build_accelerator
from baimu.training.embedding import EmbeddingTask
from baimu.training.embedding_fitting import fitted_to_identities
from baimu.training.optimizers import lr_factor
from baimu.training.run import Run
from baimu.zoo import model, recipe_of
from tests.training.test_distributed import in_two_processes
from tests.training.tiny import assert_same, weights_of

FILES = {
    "best.safetensors", "cmc.png", "curves.png", "data.txt", "distances.png", "identities.png", "last.safetensors",
    "neighbours.png", "problems.txt", "recipe.yaml", "report.html", "results.csv", "roc.png", "train_batches.png",
}  # fmt: skip
QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 8, "workers": 0, "precision": "fp32", "channels_last": False}


class SmallStages(Stages):
    def __init__(self, *, small_images: bool = False) -> None:
        super().__init__({3: (16, 4)}, out=(3,))
        self.small_images = small_images
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 4, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 4, 2, 1), nn.ReLU()
        )

    def parts(self, level: int) -> list[nn.Module]:
        return [self.layers]


@model("small_arc", task="embedding", paper="1801.07698", recipe=recipe)
def small_arc(num_classes: int = 4, *, size: int | None = None, **options: Any) -> Any:
    """A tiny ArcFace."""
    return arcface(SmallStages(), num_classes, size=size, dim=8, **options)


@model("small_flat", task="embedding", paper="1801.07698", recipe=recipe)
def small_flat(num_classes: int = 4, **options: Any) -> Any:
    """A tiny ArcFace whose last layer is made for one size."""
    return arcface(SmallStages(), num_classes, dim=8, **options)


@model("small_reid", task="embedding", paper="1903.07071", recipe=reid_recipe)
def small_reid(num_classes: int = 4, **options: Any) -> Any:
    """A tiny strong baseline."""
    return reid_baseline(SmallStages(), num_classes, **options)


def characters(train: int = 4, val: int = 3, images: int = 4, size: int = 16) -> Splits[Any]:
    return Splits(Characters(range(train), images, size), Characters(range(-val, 0), images, size))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "first"
    return baimu.train("small_reid", characters(), out=out, **QUICK)


def test_the_run_folder_is_complete(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} - {"misses.png"} == FILES
    assert set(run.scores) == set(FIGURES)
    assert {"id", "triplet", "center", "loss", "lr", "recall_at_1"} <= set(run.history[-1])
    assert "identities" in (run.folder / "data.txt").read_text()
    page = run.report.read_text()
    assert "Held-out queries" in page
    assert "recall_at_1" in page


def test_the_model_knows_its_data(run: Run) -> None:
    made: Any = run.model()
    assert made.classes == tuple(f"character {i}" for i in range(4))
    assert made.spec == ("small_reid", {"num_classes": 4})
    assert (made.preprocess.size, made.preprocess.width) == (16, None), "characters are no standing persons"


def test_eval_of_the_file_is_the_score_of_the_run(run: Run) -> None:
    scores = baimu.eval(run.folder, characters(), batch_size=5)
    assert isinstance(scores, IdentityScores)
    assert scores.figures() == pytest.approx(run.scores, abs=1e-6, nan_ok=True)
    val, made = characters().val, cast(Any, run.model().eval())
    images = torch.from_numpy(np.stack([val.image(i) for i in range(12)])).permute(0, 3, 1, 2)
    vectors = made.embed(made.preprocess.normalize(images))
    nearest = (vectors @ vectors.T).fill_diagonal_(-2).argmax(1)
    ids = torch.arange(12) // 4
    assert scores.figures()["recall_at_1"] == pytest.approx((ids[nearest] == ids).float().mean().item())


def test_predict_gives_embeddings(run: Run) -> None:
    image = characters().val.image(0)
    (found,) = baimu.predict(run.folder, image)
    (same,) = baimu.predict(run.folder, image)
    assert found.vector.shape == (16,)
    assert found.similarity(same) == pytest.approx(1)
    assert len(found.to_dict()["embedding"]) == 16
    (mirrored,) = baimu.predict(run.folder, image, flip=True)
    (turned,) = baimu.predict(run.folder, np.ascontiguousarray(image[:, ::-1]), flip=True)
    assert mirrored.similarity(turned) == pytest.approx(1, abs=1e-5)
    assert found.draw().size[0] == 16


def test_a_stopped_run_continues_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Centres, which no optimiser moves, included; stopped in mid-epoch."""
    changes = {**QUICK, "epochs": 3, "save_every": 1, "crop_area": (0.3, 1.0), "random_erasing": 0.5}
    straight = baimu.train("small_reid", characters(), out=tmp_path / "straight", **changes)
    from baimu.training import train as train_module

    real, calls = train_module.fit.__globals__["optimise"], []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setitem(train_module.fit.__globals__, "optimise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        baimu.train("small_reid", characters(), out=tmp_path / "stopped", **changes)
    monkeypatch.undo()
    continued = baimu.train("small_reid", characters(), out=tmp_path / "stopped", resume=True)
    assert_same(weights_of(straight.folder), weights_of(continued.folder))
    assert any("centers" in key for key in weights_of(straight.folder))


def hues(identities: int, first: int, images: int = 10) -> Identities:
    """Noise of a hue that is the identity's, as bright as chance will have it."""
    rng = np.random.default_rng(first)
    angle = np.repeat((np.arange(identities) + first / 1000) * 2 * np.pi / identities, images)
    colour = 0.5 + 0.2 * np.stack([np.cos(angle + shift) for shift in (0, 2.1, 4.2)], 1)
    bright = rng.uniform(0.5, 1.2, (len(angle), 1))
    pixels = (255 * colour * bright)[:, None, None] + rng.normal(0, 8, (len(angle), 16, 16, 3))
    names = [f"{first}-{i // images}" for i in range(len(angle))]
    stack = ImageStack("hues", pixels.clip(0, 255).astype(np.uint8), np.arange(len(angle)))
    return make_identities(stack, names, "hues", ProblemLog())


@pytest.mark.parametrize(("name", "arguments"), [("small_arc", {"scale": 16.0, "dropout": 0.0}), ("small_reid", {})])
def test_it_learns(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    """Hues that it never saw, whatever their brightness."""
    splits = Splits(hues(16, 0), hues(8, 500))
    changes = {**QUICK, "epochs": 12, "batch_size": 32, "lr": 0.01, "flip": 0.0, "eval_every": 1, "crop_padding": 0}
    changes |= {"random_erasing": 0.0}
    done = baimu.train(name, splits, out=tmp_path / "out", arguments=arguments, **changes)
    assert done.scores["recall_at_1"] > 0.9  # chance: 9 of 79
    assert done.scores["auc"] > 0.9


def test_the_last_layer_is_made_for_the_images(tmp_path: Path) -> None:
    done = baimu.train("small_flat", characters(size=32), out=tmp_path / "a", **{**QUICK, "epochs": 1})
    made: Any = done.model()
    assert made.size == (32, 32)
    assert made.spec[1]["size"] == 32
    with pytest.raises(TrainingError, match=r"made for images of 32x32 pixels, the recipe gives 16x16.*size=16"):
        baimu.train("small_flat", characters(size=32), out=tmp_path / "b", **{**QUICK, "size": 16})


def test_two_processes_move_the_same_centers_and_score_the_same(tmp_path: Path) -> None:
    def work(rank: int) -> None:
        torch.manual_seed(0)
        head, raw = IdentityHead(5, 4, smoothing=0.1, margin=0.3, center_weight=0.0005), torch.randn(8, 5)
        ids = torch.arange(8) // 2
        alone, whole = copy.deepcopy(head).train(), ids[4 * rank : 4 * rank + 4]
        part = raw[4 * rank : 4 * rank + 4]
        head.train().losses(Features(part, part), whole)
        expected = alone.centers.clone()
        for i in range(8):  # one process with all of the batch
            expected[ids[i]] -= 0.5 * 2 * (alone.centers[ids[i]] - raw[i]) / 8
        torch.testing.assert_close(head.centers, expected)
        made = small_reid()
        scores = EmbeddingTask.score_model(
            made, characters().val, batch_size=3, accelerator=build_accelerator(reid_recipe, tmp_path)
        )
        assert scores.figures().keys() == set(FIGURES)
        assert len(scores.retrieval.queries) == 12

    in_two_processes(work)


@pytest.mark.parametrize(
    ("changes", "splits", "message"),
    [
        ({"mosaic": 0.5}, characters(), "mosaic makes images of nobody"),
        ({"resize": "shortest"}, characters(), "takes crop, stretch or none"),
        ({"batch_size": 6}, characters(), "multiple of images_per_identity=4"),
        ({}, characters(val=1), "the held-out images show 1 identities"),
        ({}, characters(images=1), "at most 1 times"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, changes: dict[str, Any], splits: Any, message: str) -> None:
    with pytest.raises(BaimuError, match=message):
        baimu.train("small_reid", splits, out=tmp_path / "out", **{**QUICK, "workers": 0, **changes})


def test_a_model_object_of_other_identities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"num_classes=9, the data 4 identities"):
        baimu.train(small_arc(num_classes=9), characters(), out=tmp_path / "out", **QUICK)


def test_recipes_are_fitted() -> None:
    splits = characters(size=40)
    found = fitted_to_identities(reid_recipe, splits, scratch=True)
    assert (found.size, found.width, found.optimizer, found.images_per_identity) == (32, None, "adamw", 4)
    assert found.epochs == 60
    kept = fitted_to_identities(reid_recipe, splits, scratch=False)
    assert (kept.optimizer, kept.epochs, kept.lr) == ("adam", 120, 3.5e-4)
    persons: Splits[Any] = Splits(_Upright(range(4), 4), _Upright(range(-3, 0), 4))
    person = fitted_to_identities(reid_recipe, persons, scratch=True)
    assert (person.size, person.width) == (256, 128), "as published, however small the cuts"
    assert EmbeddingTask.make("small_flat", splits, {}, scratch=False)[0].size == (112, 112)


class _Upright(Characters):
    def size(self, index: int) -> tuple[int, int]:
        return 128, 64


def test_the_rate_rises_as_in_the_strong_baseline() -> None:
    """Over ten epochs of 202 steps, from a hundredth: 0.01, 0.109, 0.208, …"""
    factor = lr_factor(recipe_of("reid_baseline_r50"), 120 * 202)
    found = [factor(202 * epoch) for epoch in range(11)]
    assert found == pytest.approx([0.01 + 0.099 * epoch for epoch in range(11)])
    assert [factor(202 * epoch) for epoch in (39, 40, 69, 70, 119)] == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])
