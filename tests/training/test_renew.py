"""What is evaluated has the statistics of its own weights on the batches that the recipe asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from baimu.training.loop import fit
from baimu.training.renew import renew_statistics
from tests.training.test_distributed import in_two_processes
from tests.training.tiny import TinyDetector, TinyTask, assert_same, run, start, weights_of


def still() -> TinyDetector:
    return TinyDetector(dropout=0.0)


def features(model: Any, task: TinyTask, epoch: int, count: int) -> torch.Tensor:
    """What the first batches of an epoch are before the norm, (C, N)."""
    batches = [part for parts in task.steps(epoch, 0) for part in parts][:count]
    maps = [model.backbone[0](model.preprocess.normalize(batch.inputs)) for batch in batches]
    return torch.cat(maps).transpose(0, 1).flatten(1)


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_judged_model_has_the_exact_statistics_of_the_next_epochs_first_batches(
    tmp_path: Path, ema_decay: float
) -> None:
    training = start(tmp_path, model=still, ema_decay=ema_decay, precise_bn_batches=3, accumulate=2)
    fit(training)
    judged: Any = training.judged()
    with torch.no_grad():
        values = features(judged, training.task, training.place.epoch, 3)
    torch.testing.assert_close(judged.backbone[1].running_mean, values.mean(1))
    torch.testing.assert_close(judged.backbone[1].running_var, values.var(1))
    saved = weights_of(tmp_path, "best.safetensors")
    if training.record.state()["evaluations"][-1]["score"] >= training.record.state()["evaluations"][0]["score"]:
        assert torch.equal(saved["model.backbone.1.running_mean"], judged.backbone[1].running_mean)


def test_weights_and_random_states_are_what_they_are_without(tmp_path: Path) -> None:
    """Dropout draws in those passes, and the training that follows does not notice."""
    plain, precise = tmp_path / "plain", tmp_path / "precise"
    run(plain)
    run(precise, precise_bn_batches=2)
    left, right = weights_of(plain), weights_of(precise)
    buffers = {f"{kind}.backbone.1.{name}" for kind in ("model", "average") for name in ("running_mean", "running_var")}
    different = {name for name in left if not torch.equal(left[name], right[name])}
    assert different
    assert different <= buffers


def test_more_batches_than_an_epoch_has_are_all_of_them(tmp_path: Path) -> None:
    training = start(tmp_path, model=still, ema_decay=0, precise_bn_batches=1000)
    renew_statistics(training)
    model: Any = training.model
    with torch.no_grad():
        values = features(model, training.task, 0, 1000)
    assert values.shape[1] == 24 * 16
    torch.testing.assert_close(model.backbone[1].running_mean, values.mean(1))


def test_two_processes_get_the_statistics_of_both(tmp_path: Path) -> None:
    alone = start(tmp_path, model=still, precise_bn_batches=6)
    renew_statistics(alone)
    expected = {name: value.clone() for name, value in alone.average.module.state_dict().items()}

    def work(rank: int) -> None:
        training = start(tmp_path, model=still, precise_bn_batches=6)
        renew_statistics(training)
        found = training.average.module.state_dict()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value)

    in_two_processes(work)


def test_a_continued_run_is_the_run_that_was_not_interrupted(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(whole, precise_bn_batches=2)
    first = start(broken, precise_bn_batches=2)
    first.recipe = first.recipe.replace(epochs=1)
    fit(first)
    run(broken, precise_bn_batches=2, resume=True)
    assert_same(weights_of(whole), weights_of(broken))
