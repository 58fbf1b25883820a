"""Makers of images in the one engine: run folder, two optimisers, resume with a pool, scores, data that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.utils import set_seed

import baimu
from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.idx import ImageStack
from baimu.datasets.image_batches import reduced
from baimu.datasets.open import open_data
from baimu.datasets.picture_lists import INPUTS, DerivedPairs
from baimu.datasets.playground_images import by_night
from baimu.datasets.source import Splits
from baimu.errors import BaimuError, CheckpointError, DataError
from baimu.metrics.images import ImageScores, luma, psnr
from baimu.training import train as train_module
from baimu.training.generation import GenerationTask
from baimu.training.memory import memories, recall
from baimu.training.run import Run
from baimu.training.tasks import task_of
from baimu.training.translation_scores import FIGURES
from baimu.weights.archive import read_document, write_archive
from baimu.weights.checkpoint import describe, part, read_checkpoint
from baimu.zoo import create_model, recipe_of
from tests.training.tiny import assert_same, weights_of

QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 2, "workers": 0, "channels_last": False}
DATA = "playground:train=4,val=3,size=32"
SMALL: dict[str, dict[str, Any]] = {
    "pix2pix": {"arguments": {"levels": 5, "width": 4}, "size": 32},
    "cyclegan": {"arguments": {"blocks": 1, "width": 4, "pool_size": 3}, "size": 32},
    "msrresnet": {"arguments": {"scale": 2, "depth": 1, "width": 4}, "size": 24, "crops": 2},
    "srgan": {"arguments": {"scale": 2, "depth": 1, "width": 4, "crop": 16}, "size": 16, "crops": 2},
}
FILES = {
    "best.safetensors", "curves.png", "data.txt", "last.safetensors", "problems.txt", "recipe.yaml", "report.html",
    "results.csv", "results.png", "samples", "train_batches.png",
}  # fmt: skip


@pytest.fixture(scope="module", params=SMALL)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / request.param
    return baimu.train(request.param, DATA, out=out, **QUICK, **SMALL[request.param])


def test_the_run_folder_is_complete(run: Run) -> None:
    model: Any = run.model()
    more = {"details.png"} if model.scale > 1 else set()
    assert {path.name for path in run.folder.iterdir()} == FILES | more
    assert [path.name for path in sorted((run.folder / "samples").iterdir())] == ["epoch_0001.png", "epoch_0002.png"]
    assert tuple(run.scores) == FIGURES[model.learns_from]
    columns = {name for method, _ in model.phases for name in getattr(run, "losses", ())} | {"loss", "lr"}
    assert columns <= set(run.history[-1])
    page = run.report.read_text()
    assert "After epoch 0001" in page
    assert FIGURES[model.learns_from][0] in page


def test_every_phase_has_its_optimiser_and_all_parameters_moved(run: Run) -> None:
    tensors, document = read_checkpoint(run.last)
    name, arguments = document["model"]
    set_seed(0)
    fresh: Any = create_model(name, **arguments)
    assert set(document["schedules"]) == {method for method, _ in fresh.phases}
    moved = part(tensors, "model")
    for key, parameter in fresh.named_parameters():
        assert not torch.equal(moved[key], parameter), key


def test_the_file_scores_as_the_run_did_and_predicts(run: Run, tmp_path: Path) -> None:
    scores = baimu.eval(run.folder, DATA, batch_size=2)
    assert isinstance(scores, ImageScores)
    assert scores.figures() == pytest.approx(run.scores, abs=1e-4, nan_ok=True)
    (found,) = run.model().predict(np.zeros((20, 28, 3), np.uint8))
    assert found.made.shape[:2] == (20 * found.scale, 28 * found.scale)


def test_domains_keep_their_names(tmp_path: Path) -> None:
    done = baimu.train("cyclegan", DATA, out=tmp_path / "out", **{**QUICK, "epochs": 1}, **SMALL["cyclegan"])
    model: Any = baimu.load(done.folder)
    assert model.classes == ("day", "night")
    assert read_document(done.best)["classes"] == ["day", "night"]
    with pytest.raises(CheckpointError, match="the model knows the domains day, night, the data has A, B"):
        GenerationTask.matched(type("Other", (), {"classes": ("A", "B")})(), model)


@pytest.mark.parametrize("name", ["cyclegan", "pix2pix"])
def test_a_stopped_run_continues_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The pools included, with what they hold and what they will draw; dropout; stopped in mid-epoch."""
    changes = {**QUICK, "epochs": 4, "save_every": 1, "ema_decay": 0.5, **SMALL[name]}
    straight = baimu.train(name, DATA, out=tmp_path / "straight", **changes)
    real, calls = train_module.fit.__globals__["optimise"], []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setitem(train_module.fit.__globals__, "optimise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        baimu.train(name, DATA, out=tmp_path / "broken", **changes)
    if name == "cyclegan":
        kept = part(weights_of(tmp_path / "broken"), "memory.0")
        assert {key: value.shape for key, value in kept.items()} == {
            f"pools.{domain}:images": (3, 3, 32, 32) for domain in "ab"
        }
    continued = baimu.train(name, DATA, resume=tmp_path / "broken", workers=1)
    for file in ("last.safetensors", "best.safetensors"):
        assert_same(weights_of(straight.folder, file), weights_of(continued.folder, file))
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.history] for r in (straight, continued)]
    assert str(rows[0]) == str(rows[1])


def test_memories_are_kept_by_the_names_of_their_parts() -> None:
    torch.manual_seed(0)
    one, other = (create_model("cyclegan", blocks=1, width=4, pool_size=2) for _ in range(2))
    assert memories(one) == {}
    one.get_submodule("pools.b")(torch.rand(3, 3, 8, 8))
    kept = memories(one)
    assert [*kept] == ["pools.b:images"]
    recall(other, kept)
    assert all(torch.equal(value, kept[key]) for key, value in memories(other).items())
    recall(other, {})
    assert memories(other) == {}


def test_pixels_learn_to_be_another_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs whose result is a function of each pixel."""
    monkeypatch.setitem(INPUTS, "night", lambda image: (by_night(image), image))

    def pairs(source: Any) -> DerivedPairs:
        stack = ImageStack("scenes", np.stack([source.image(i) for i in range(len(source))]), np.arange(len(source)))
        return DerivedPairs("scenes", stack, ProblemLog().problems(), how="night")

    splits = Splits(*map(pairs, open_data("playground:train=24,val=4,size=32", kind="images")))
    changes = {**QUICK, "epochs": 18, "batch_size": 4, "lr": 2e-3, "crop_share": 1.0, "eval_every": 18, "size": 32}
    arguments = {"levels": 5, "width": 8, "dropout": 0.0}
    done = baimu.train("pix2pix", splits, out=tmp_path / "out", arguments=arguments, **changes)
    untouched = np.mean([psnr(*splits.val.pair(i)) for i in range(4)])
    assert done.scores["psnr"] > untouched + 3, (done.scores["psnr"], untouched)


def test_the_figures_of_enlargement_are_on_the_luma_without_borders(tmp_path: Path) -> None:
    """A network that adds nothing: bilinear enlargement, measured by hand."""
    model: Any = create_model("msrresnet", scale=2, depth=1, width=4).eval()
    torch.nn.init.zeros_(model.generator.conv_last.weight)
    val = open_data("playground:train=1,val=2,size=33", kind="images").val
    scores = GenerationTask.score_model(model, val, batch_size=4)
    for i, row in enumerate(scores.rows):
        truth = val.image(i)[:32, :32]
        small = torch.from_numpy(reduced(truth, 2)).permute(2, 0, 1)[None].float()
        made = torch.nn.functional.interpolate(small, scale_factor=2, mode="bilinear").round()[0].permute(1, 2, 0)
        expected = psnr(luma(made.numpy()), luma(truth), border=2)
        assert row["psnr_y"] == pytest.approx(expected, abs=0.02)
        assert row["gain_y"] == pytest.approx(row["psnr_y"] - row["bicubic_y"])
    assert scores.figures()["psnr_y"] == pytest.approx(np.mean([row["psnr_y"] for row in scores.rows]))


def test_recipes_are_fitted_to_the_count_of_images() -> None:
    splits = open_data("playground:train=400,val=10,size=32", kind="images")
    few = open_data("playground:train=10,val=10,size=32", kind="images")
    pix, enlarge = recipe_of("pix2pix"), recipe_of("msrresnet")
    assert GenerationTask.fitted(pix, splits, scratch=True).epochs == 200  # as published
    assert GenerationTask.fitted(pix.replace(epochs=60), splits, scratch=True).eval_every == 3
    found = GenerationTask.fitted(enlarge, few, scratch=True)
    assert (found.crops, found.epochs, found.eval_every) == (100, 200, 10)
    assert GenerationTask.fitted(enlarge, splits, scratch=True).crops == 3


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("pix2pix", {"size": 40}, "size=40: this model's images have sides of a multiple of 32 pixels"),
        ("pix2pix", {"resize": "crop"}, "resize=crop is for classifiers and detectors"),
        ("cyclegan", {"mosaic": 0.5}, "mosaic is for detectors or classifiers"),
        ("msrresnet", {"resize": "stretch"}, "super-resolution learns from crops of whole images"),
        ("srgan", {"size": 32}, "the discriminator is made for crops of 16; set model.crop as well"),
    ],
)
def test_recipes_that_do_not_fit_are_answered(tmp_path: Path, name: str, changes: Any, message: str) -> None:
    with pytest.raises(BaimuError, match=message):
        baimu.train(name, DATA, out=tmp_path / "out", **{**QUICK, **SMALL[name], **changes})


def test_data_of_another_kind_are_answered(tmp_path: Path, shared: Path) -> None:
    with pytest.raises(DataError, match="is a data set for detection, and this model is for image pairs"):
        baimu.train("pix2pix", shared / "data" / "bccd", out=tmp_path / "out", **QUICK, **SMALL["pix2pix"])


@pytest.mark.parametrize(
    ("name", "kind"), [("pix2pix", "image pairs"), ("cyclegan_resnet6", "image domains"), ("srgan", "images")]
)
def test_a_name_says_what_it_learns_from(name: str, kind: str) -> None:
    assert task_of(name) is GenerationTask
    assert GenerationTask.opening(name) == {"kind": kind}
    with torch.device("meta"):
        assert GenerationTask.opening(create_model(name)) == {"kind": kind}


def test_features_are_the_users(tmp_path: Path) -> None:
    """Parameters of a VGG-19 that the user has compare the images; nothing of them is in a checkpoint."""
    torch.manual_seed(0)
    judge: Any = create_model("vgg19", num_classes=2, small_images=True, hidden=8)
    file = tmp_path / "vgg19.safetensors"
    write_archive(file, {f"model.{k}": v for k, v in judge.state_dict().items()}, describe(judge))
    splits, own = open_data(DATA, kind="images"), SMALL["srgan"]["arguments"]
    recipe = recipe_of("srgan").replace(size=16)
    model: Any = create_model("srgan", features=str(file), **own)
    GenerationTask.prepare(model, splits, recipe)
    assert model.perceptual.trained
    found = dict(model.perceptual.network.named_parameters())
    assert all(torch.equal(found[key], value) for key, value in judge.backbone.named_parameters() if key in found)
    assert not any("perceptual" in key or "network" in key for key in model.state_dict())
    other: Any = create_model("msrresnet", **SMALL["msrresnet"]["arguments"])
    write_archive(file, {f"model.{k}": v for k, v in other.state_dict().items()}, describe(other))
    model.perceptual.trained = False
    with pytest.raises(CheckpointError, match="is no VGG-19, which features= asks for"):
        GenerationTask.prepare(model, splits, recipe)
