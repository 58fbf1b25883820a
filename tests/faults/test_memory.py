"""A step that does not fit into memory is done again in smaller parts, and the run is that of so many parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import baimu
from baimu.errors import TrainingError
from baimu.targets import Targets
from baimu.training import detection
from baimu.training.loop import fit, optimise
from baimu.training.results_csv import read_results
from baimu.training.smaller import Before
from tests.training.small import QUICK, small_data, small_fcos
from tests.training.test_loop import Duel, DuelTask
from tests.training.tiny import RECIPE, TinyDetector, TinyTask, assert_same, run, start, weights_of


class Cramped(TinyDetector):
    """Holds ``room`` images from its ``since``-th pass on; more of them fail after the whole pass, which has changed
    statistics and random states by then."""

    room, since = 2, 1

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        losses = super().losses(images, targets)
        self.passes += self.training
        if self.training and self.passes >= self.since and len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return losses


class CrampedToOne(Cramped):
    room = 1


class CrampedLate(Cramped):
    since = 8


@pytest.mark.parametrize(("model", "parts"), [(Cramped, 2), (CrampedToOne, 4)])
def test_a_run_without_room_is_that_of_more_parts(tmp_path: Path, model: type[TinyDetector], parts: int) -> None:
    changes = {"clip_norm": 1.0, "save_every": 4}
    training = run(tmp_path / "cramped", model=model, **changes)
    run(tmp_path / "parts", accumulate=parts, **changes)
    assert training.recipe.accumulate == parts
    assert_same(weights_of(tmp_path / "cramped"), weights_of(tmp_path / "parts"))
    assert_same(
        weights_of(tmp_path / "cramped", "best.safetensors"), weights_of(tmp_path / "parts", "best.safetensors")
    )
    rows = [read_results(tmp_path / name / "results.csv") for name in ("cramped", "parts")]
    for one, other in zip(*rows, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_in_the_middle_of_an_epoch_the_run_goes_on_from_that_step(tmp_path: Path) -> None:
    """As one that was stopped there, and continued with more parts."""
    training = run(tmp_path / "cramped", model=CrampedLate)
    assert (training.place.step, training.recipe.accumulate) == (12, 2)

    class Stopping(TinyTask):
        def steps(self, epoch: int, skip: int) -> Any:
            for number, parts in enumerate(super().steps(epoch, skip)):
                if epoch == 1 and number == 1:
                    raise KeyboardInterrupt
                yield parts

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", task=Stopping, save_every=7)
    run(tmp_path / "stopped", resume=True, accumulate=2)
    tensors = [weights_of(tmp_path / name) for name in ("cramped", "stopped")]
    assert_same(*tensors)


def test_what_a_step_may_have_changed_is_put_back(tmp_path: Path) -> None:
    training = start(tmp_path, model=Cramped)
    before = Before(training)
    before.take()
    state = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    random = torch.get_rng_state()
    parts = next(iter(training.task.steps(0, 0)))
    with pytest.raises(torch.OutOfMemoryError):
        optimise(training, parts)
    assert not torch.equal(state["backbone.1.running_mean"], training.model.backbone[1].running_mean)
    before.put_back()
    assert_same(state, training.model.state_dict())
    assert torch.equal(random, torch.get_rng_state())


def refused(folder: Path, message: str, **options: Any) -> None:
    training = start(folder, **options)
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    with pytest.raises(TrainingError, match=message):
        fit(training)
    assert_same(before, training.model.state_dict())


def test_where_not_one_image_fits_that_is_said(tmp_path: Path) -> None:
    class Full(Cramped):
        room = 0

    refused(tmp_path, r"^step 1 does not fit into memory, 1 images at a time; .* is intact\. .*lower size$", model=Full)


def test_what_would_change_what_is_learned_is_not_done_but_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two optimisers, of which one may have learned already; and images that a loss compares with each other."""

    class CrampedDuel(Duel):
        def d_losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    mend = r"^step 1 does not fit into memory, 4 images at a time; .*continue with resume=True, accumulate=2$"
    refused(tmp_path / "duel", mend, model=CrampedDuel, task=DuelTask)
    monkeypatch.setattr("tests.training.tiny.RECIPE", RECIPE.replace(images_per_identity=2))
    refused(tmp_path / "pairs", mend, model=Cramped)


def test_an_optimiser_without_room_is_named_for_its_step_cannot_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start(tmp_path, optimizer="adamw", lr=0.005)

    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(training.phases[0].optimizer, "step", full)
    with pytest.raises(TrainingError, match=r"^what the optimiser keeps of each parameter does not fit .*\(sgd\)"):
        fit(training)


def test_a_training_tells_it_and_writes_it_into_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network: Any = small_fcos(3)
    own = network.losses

    def cramped(images: Tensor, targets: Targets) -> dict[str, Tensor]:
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return own(images, targets)

    monkeypatch.setattr(network, "losses", cramped)
    monkeypatch.setattr(detection.DetectionTask, "draw_data", lambda *_: None)
    monkeypatch.setattr(detection.DetectionTask, "draw_scores", staticmethod(lambda *_: None))
    done = baimu.train(network, small_data(), out=tmp_path / "run", **{**QUICK, "epochs": 1})
    told = capsys.readouterr().out
    assert "step 1 does not fit into memory, 4 images at a time; from here on each step has 2 parts of 2" in told
    assert yaml.safe_load((done.folder / "recipe.yaml").read_text())["recipe"]["accumulate"] == 2
    assert [row["step"] for row in done.history] == [1, 2]
