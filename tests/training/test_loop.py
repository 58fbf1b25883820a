"""The loop: accumulation, phases with their own optimisers, the average, stopping, and figures that are not finite."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baimu.errors import TrainingError
from baimu.targets import Targets
from baimu.training.assemble import assemble, build_accelerator
from baimu.training.finite import FiniteWatch, Look
from baimu.training.loop import fit, optimise
from baimu.training.progress import Progress
from baimu.training.results_csv import read_results
from baimu.training.step import PhaseSpec
from baimu.weights.checkpoint import judged_parameters, part
from tests.training.tiny import RECIPE, TinyDetector, TinyTask, assert_same, run, start, weights_of


class PlainDetector(TinyDetector):
    """Without what couples the images of a batch (batch norm) or is random (dropout); counts images, not positives."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU())

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        raw = self.head(self.backbone(images)).float()
        return {"cls": raw[:, 0].square().mean(), "box": (raw[:, 1] - targets.boxes.mean()).abs().mean()}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_parts_add_up_to_the_gradient_of_the_mean(tmp_path: Path) -> None:
    training = start(tmp_path, model=PlainDetector, accumulate=2)
    parts = next(iter(training.task.steps(0, 0)))
    reference = PlainDetector()
    reference.load_state_dict(training.model.state_dict())
    totals = []
    for p in parts:
        losses = reference.losses(reference.preprocess.normalize(p.inputs, p.targets.sizes), p.targets)
        totals.append(sum(losses.values()))
    mean = torch.stack(totals).mean()
    mean.backward()
    figures = optimise(training, parts)
    torch.testing.assert_close(torch.stack(list(figures.values())).sum(), mean.detach())
    for name, gradient in gradients(reference).items():
        torch.testing.assert_close(dict(training.model.named_parameters())[name].grad, gradient)


def test_a_step_is_the_optimiser_s_own(tmp_path: Path) -> None:
    """Two steps of the engine are two steps of plain torch, bit for bit."""
    training = start(tmp_path, model=PlainDetector, warmup_steps=0, schedule="constant", ema_decay=0.0, clip_norm=0.5)
    reference = PlainDetector()
    reference.load_state_dict(training.model.state_dict())
    recipe = training.recipe
    optimizer = torch.optim.SGD(reference.parameters(), recipe.lr, 0.9, weight_decay=recipe.weight_decay)
    for (batch,), _ in zip(training.task.steps(0, 0), range(2), strict=False):
        optimise(training, [batch])
        optimizer.zero_grad()
        losses = reference.losses(reference.preprocess.normalize(batch.inputs, batch.targets.sizes), batch.targets)
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        optimizer.step()
    assert_same(training.model.state_dict(), reference.state_dict())


def test_the_average_follows_its_formula(tmp_path: Path) -> None:
    training = start(tmp_path, ema_decay=0.5)
    name, average, before = "head.weight", None, []
    for step, (batch,) in zip(range(6), training.task.steps(0, 0), strict=True):
        optimise(training, [batch])
        value = dict(training.model.named_parameters())[name].detach().double()
        decay = min(0.5, (1 + step) / (10 + step)) if step else 0.0
        average = value if average is None else decay * average + (1 - decay) * value
        before.append(decay)
    assert before[1:3] == [2 / 11, 3 / 12]
    torch.testing.assert_close(training.judged().head.weight.double(), average, rtol=1e-6, atol=1e-8)
    assert training.judged().head.weight.dtype == torch.float32
    running = training.judged().backbone[1].running_mean
    assert not torch.equal(running, training.model.backbone[1].running_mean)


def test_each_step_has_the_rate_of_its_place_in_the_schedule(tmp_path: Path) -> None:
    """A straight line over the twelve steps of a run, which ends where nothing is left of the rate."""
    training = run(tmp_path, epochs=2, schedule="linear", warmup_steps=0, lr=0.005)
    rates = [row["lr"] for row in read_results(tmp_path / "results.csv")]
    assert rates == pytest.approx([0.005 * (1 - step / 12) for step in range(12)])
    assert [group["lr"] for group in training.phases[0].optimizer.param_groups] == pytest.approx([0.0])


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_what_is_judged_is_in_evaluation_mode(tmp_path: Path, ema_decay: float) -> None:
    """Every part of it, in the middle of a training, with or without an average; so that a score is one number."""
    training = start(tmp_path, ema_decay=ema_decay)
    training.model.train()
    judged = training.judged()
    assert not [name for name, module in judged.named_modules() if module.training]
    assert training.task.evaluate(judged) == training.task.evaluate(judged)


def test_what_is_loaded_is_the_average_and_not_what_it_averages(tmp_path: Path) -> None:
    """Of both files of a run: the weights that were scored."""
    training = run(tmp_path, epochs=1, ema_decay=0.9)
    wanted = training.judged().state_dict()
    assert not torch.equal(wanted["head.weight"], training.model.state_dict()["head.weight"])
    for name in ("best.safetensors", "last.safetensors"):
        assert_same(wanted, dict(judged_parameters(weights_of(tmp_path, name))))


class Duel(TinyDetector):
    """Two parts that learn in turn: the critic from both images and forgeries, the painter from the critic."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 1, 1))
        self.painter = nn.Conv2d(3, 3, 3, padding=1)
        del self.backbone, self.head

    def d_losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        forged = self.painter(images)
        assert not forged.requires_grad  # the painter does not learn here, so that no graph of it is kept
        return {"real": (self.critic(images) - 1).square().mean(), "fake": self.critic(forged).square().mean()}

    def g_losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        return {"fool": (self.critic(self.painter(images)) - 1).square().mean()}


class DuelTask(TinyTask):
    phases = (PhaseSpec("d_losses", ("critic",)), PhaseSpec("g_losses", ("painter",)))

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return {"score": -float(model.painter.weight.square().sum())}


def test_two_optimisers_take_turns_in_the_same_loop(tmp_path: Path) -> None:
    training = start(tmp_path, model=Duel, task=DuelTask, accumulate=2, momentum=0.0)
    parts = next(iter(training.task.steps(0, 0)))
    before = {k: v.clone() for k, v in training.model.state_dict().items()}
    critic_only, _ = training.phases
    training.phases = [critic_only]
    optimise(training, parts)
    after_critic = training.model.state_dict()
    assert torch.equal(before["painter.weight"], after_critic["painter.weight"])
    assert not torch.equal(before["critic.0.weight"], after_critic["critic.0.weight"])

    figures = optimise(start(tmp_path, model=Duel, task=DuelTask), parts)
    assert list(figures) == ["real", "fake", "fool"]


def test_a_training_of_two_optimisers_is_saved_and_continued(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(whole, model=Duel, task=DuelTask, optimizer="adam", lr=0.005, epochs=2, seed=1)
    run(broken, model=Duel, task=DuelTask, optimizer="adam", lr=0.005, epochs=2, seed=1)
    assert part(weights_of(whole), "optimizer.g_losses").keys() >= {"painter.weight.exp_avg", "painter.weight.step"}
    resumed = start(broken, model=Duel, task=DuelTask, optimizer="adam", lr=0.005, epochs=2, seed=1, resume=True)
    assert resumed.place.step == 12
    assert [len(phase.optimizer.state) for phase in resumed.phases] == [4, 2]


def test_parameters_without_a_phase_are_refused(tmp_path: Path) -> None:
    class Forgetful(TinyTask):
        phases = (PhaseSpec("losses", ("head",)),)

    with pytest.raises(TrainingError, match=r"without an optimiser.*backbone\.0\.bias"):
        start(tmp_path, task=Forgetful)


def test_patience_stops_and_the_best_is_kept(tmp_path: Path) -> None:
    scores = iter([0.1, 0.5, math.nan, 0.5, 0.4, 0.9])

    class Scripted(TinyTask):
        def evaluate(self, model: nn.Module) -> dict[str, float]:
            return {"score": next(scores)}

    training = run(tmp_path, task=Scripted, epochs=6, patience=3)
    assert training.place.epoch == 5
    assert training.record.best is not None
    assert training.record.best["epoch"] == 2
    assert float(weights_of(tmp_path, "best.safetensors")["model.head.bias"].sum()) != float(
        weights_of(tmp_path)["average.head.bias"].sum()
    )


def test_evaluation_waits_for_its_epochs_and_never_misses_the_last(tmp_path: Path) -> None:
    training = run(tmp_path, epochs=5, eval_every=2)
    assert [e["epoch"] for e in training.record.evaluations] == [2, 4, 5]
    rows = read_results(tmp_path / "results.csv")
    assert [row["epoch"] for row in rows if "score" in row] == [2, 4, 5]


class Breaking(TinyDetector):
    """Its box loss becomes ``value`` in the step that counts ``at``."""

    def __init__(self, at: int, value: float) -> None:
        super().__init__()
        self.at, self.value, self.calls = at, value, 0

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        losses = super().losses(images, targets)
        if self.training:
            self.calls += 1
        return {**losses, "box": losses["box"] * (self.value if self.calls == self.at else 1.0)}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_names_it(tmp_path: Path, value: float) -> None:
    training = start(tmp_path, model=lambda: Breaking(9, value), save_every=4)
    with pytest.raises(
        TrainingError, match=r"^box is (nan|inf) at step 9; images: image 8, image 9, image 10, image 11"
    ):
        fit(training)
    saved = weights_of(tmp_path)
    assert all(torch.isfinite(tensor).all() for tensor in saved.values() if tensor.is_floating_point())
    assert start(tmp_path, resume=True).place.step == 8
    own = training.model.state_dict()
    assert all(torch.isfinite(tensor).all() for tensor in own.values() if tensor.is_floating_point())


class Steep(TinyDetector):
    """A finite loss with a gradient that is not."""

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        losses = super().losses(images, targets)
        return {**losses, "root": (self.head.bias[0] - self.head.bias[0].detach()).abs().sqrt()}


def test_a_gradient_that_is_not_finite_stops_when_clipping(tmp_path: Path) -> None:
    training = start(tmp_path, model=Steep, clip_norm=1.0)
    before = {name: tensor.clone() for name, tensor in training.model.named_parameters()}
    with pytest.raises(TrainingError, match=r"^gradient norm is (nan|inf) at step 1; images: image 0"):
        fit(training)
    assert_same(before, dict(training.model.named_parameters()))


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"channels_last": True}, {"optimizer": "adamw"}])
def test_options_train(tmp_path: Path, changes: dict[str, Any]) -> None:
    training = run(tmp_path, epochs=1, lr=0.001, **changes)
    rows = read_results(tmp_path / "results.csv")
    assert training.place.step == 6
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert all(p.dtype == torch.float32 for p in training.model.parameters())


def test_what_is_compiled_is_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled(self, backend="eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    run(tmp_path / "compiled", model=PlainDetector, epochs=1, compile=True)
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0
    run(tmp_path / "eager", model=PlainDetector, epochs=1)
    for name, tensor in weights_of(tmp_path / "eager").items():
        torch.testing.assert_close(weights_of(tmp_path / "compiled")[name], tensor, rtol=1e-4, atol=1e-6)


class Later:
    """Stands for a GPU's event: says when it was waited for."""

    def __init__(self) -> None:
        self.waited = False

    def synchronize(self) -> None:
        self.waited = True


def test_on_a_gpu_figures_are_read_a_step_later_and_before_a_save() -> None:
    watch = FiniteWatch()
    events = [Later(), Later()]
    for step, event in enumerate(events, start=1):
        figures = torch.tensor([1.0, math.nan if step == 2 else 0.0])
        watch._waiting.append(Look(figures, event, ("cls", "box"), (f"image {step}",), step))  # type: ignore[arg-type]
    watch.settle(before=2)
    assert [event.waited for event in events] == [True, False]
    with pytest.raises(TrainingError, match=r"^box is nan at step 2; images: image 2\."):
        watch.settle()


def test_scores_go_to_a_tracker(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    recipe = RECIPE.replace(epochs=1)
    accelerator = build_accelerator(recipe, tmp_path, "tensorboard")
    task = TinyTask(recipe, accelerator)
    fit(assemble(TinyDetector(), task, recipe, accelerator, tmp_path, Progress(1, 6, "score", quiet=True)))
    accelerator.end_training()
    events = tensorboard.EventAccumulator(str(next(tmp_path.rglob("events.*")).parent))
    events.Reload()
    assert {"cls", "box", "loss", "lr", "score"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
