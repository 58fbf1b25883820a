"""What is not a number, in an image, loss, gradient or statistic, stops a training, is named, and is never saved."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baimu.errors import TrainingError
from baimu.targets import Targets
from baimu.training.finite import FiniteWatch, Look
from baimu.training.loop import Training, fit
from tests.training.test_loop import Duel, DuelTask
from tests.training.tiny import TinyDetector, assert_same, start, weights_of


class Poisoned(TinyDetector):
    """``place`` becomes ``value`` in the step that counts ``at``."""

    def __init__(self, place: str, value: float = math.nan, at: int = 9) -> None:
        super().__init__()
        self.place, self.value, self.at, self.calls = place, value, at, 0

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        self.calls += self.training
        now = self.training and self.calls == self.at
        losses = super().losses(images * (self.value if now and self.place == "data" else 1.0), targets)
        if now and self.place == "gradient":  # finite itself, and as steep as can be: the root of nothing
            zero = self.head.bias[0] - self.head.bias[0].detach()
            losses["cls"] = losses["cls"] + (zero.square().sqrt() if math.isnan(self.value) else zero.abs().sqrt())
        return losses

    def after_step(self) -> None:
        if self.place == "statistic" and self.calls == self.at:
            self.backbone[1].running_var[0] = self.value


def stopped(training: Training, message: str) -> None:
    """It stops with this message, and both its files and its parameters are finite."""
    with pytest.raises(TrainingError, match=message):
        fit(training)
    saved = weights_of(training.saver.folder)
    for tensors in (saved, dict(training.model.named_parameters())):
        assert all(torch.isfinite(tensor).all() for tensor in tensors.values() if tensor.is_floating_point())


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_gradient(tmp_path: Path, value: float, clip_norm: float | None, optimizer: str) -> None:
    """Saved after every step: without a look at gradients, the step after would come too late."""
    changes = {"clip_norm": clip_norm, "optimizer": optimizer, "lr": 0.005, "save_every": 1}
    training = start(tmp_path, model=lambda: Poisoned("gradient", value), **changes)
    stopped(
        training,
        r"^gradient norm is (nan|inf) at step 9; images: image 8, image 9, image 10, image 11\. The last checkpoint is "
        r"intact\. Not finite: head\.bias\. Look at these images",
    )
    assert start(tmp_path, resume=True, optimizer=optimizer, lr=0.005).place.step == 8


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_data(tmp_path: Path, value: float) -> None:
    training = start(tmp_path, model=lambda: Poisoned("data", value), save_every=1)
    stopped(
        training, r"^cls is nan at step 9; images: image 8, image 9, image 10, image 11\. The last checkpoint is int"
    )
    assert start(tmp_path, resume=True).place.step == 8


def test_a_statistic_is_not_saved(tmp_path: Path) -> None:
    """The loss of that step is finite still."""
    training = start(tmp_path, model=lambda: Poisoned("statistic"), save_every=1)
    stopped(
        training,
        r"last\.safetensors: not written, for after step 9 model\.backbone\.1\.running_var is nan.* is intact\. Begin",
    )
    assert start(tmp_path, resume=True).place.step == 8


def test_the_first_of_two_optimisers(tmp_path: Path) -> None:
    """Neither of them learns from such a step."""

    class Steep(Duel):
        def d_losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
            weight = self.critic[0].weight
            return {**super().d_losses(images, targets), "root": (weight - weight.detach()).abs().sqrt().sum()}

    training = start(tmp_path, model=Steep, task=DuelTask)
    before = {name: tensor.clone() for name, tensor in training.model.named_parameters()}
    with pytest.raises(TrainingError, match=r"^gradient norm is nan at step 1; .*Not finite: critic\.0\.weight\."):
        fit(training)
    assert_same(before, dict(training.model.named_parameters()))


def test_on_a_gpu_the_parameter_that_has_learned_it_is_named() -> None:
    """There the figure is read a step later, when the gradient is gone."""
    poisoned, whole = nn.Parameter(torch.tensor([1.0, math.nan])), nn.Parameter(torch.ones(2))
    watch = FiniteWatch()
    watch._waiting.append(
        Look(torch.tensor([math.inf]), None, ("gradient norm",), ("image 3",), 4, {"a": whole, "b": poisoned})
    )
    with pytest.raises(TrainingError, match=r"^gradient norm is inf at step 4; images: image 3\. .*Not finite: b\. "):
        watch.settle()


def test_finite_numbers_pass(tmp_path: Path) -> None:
    training = start(tmp_path, model=lambda: Poisoned("nothing"))
    fit(training)
    assert training.place.step == 12
