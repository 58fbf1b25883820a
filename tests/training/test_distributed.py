"""Two processes on the CPU (gloo) are one with the double batch, whatever each of them sees."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import nn

import baimu
from baimu.ops.distributed import reduce_mean
from baimu.recipes import Recipe
from baimu.targets import Batch, Targets
from baimu.training.assemble import build_accelerator
from baimu.training.launch import join_processes
from baimu.training.loop import Training, fit, optimise
from baimu.training.results_csv import read_results
from baimu.training.saver import Saver
from tests.training import tiny
from tests.training.test_loop import Duel, DuelTask
from tests.training.tiny import TinyDetector, TinyTask, assert_same, make_batch, run, start, weights_of


def in_two_processes(work: Callable[[int], None], seconds: float = 60) -> None:
    """Call ``work(rank)`` in two forked processes that form a group; an error in either is an error here."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(2):
        child = os.fork()
        if child == 0:
            _one_of_two(work, rank, port, seconds)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0, 0]


def _one_of_two(work: Callable[[int], None], rank: int, port: int, seconds: float) -> None:
    try:
        AcceleratorState._reset_state(True)
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT=str(port)
        )
        dist.init_process_group("gloo", timeout=timedelta(seconds=seconds))
        join_processes()
        work(rank)
        dist.barrier()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


class StillDetector(TinyDetector):
    """Without dropout and batch norm, which see each process's images apart."""

    def __init__(self) -> None:
        super().__init__(dropout=0.0)
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU())


def assert_close_weights(one: Path, other: Path) -> None:
    left, right = weights_of(one), weights_of(other)
    for name in left:
        if not name.startswith("random"):
            torch.testing.assert_close(left[name], right[name], rtol=1e-4, atol=1e-6)


def test_the_mean_over_processes_has_no_gradient_and_alone_is_the_value() -> None:
    value = torch.tensor(3.0, requires_grad=True)
    assert reduce_mean(value * 2).item() == 6.0
    assert not reduce_mean(value * 2).requires_grad

    def work(rank: int) -> None:
        assert reduce_mean(torch.tensor(float(rank * 4))).item() == 2.0

    in_two_processes(work)


def test_two_processes_have_the_gradient_of_one_with_the_double_batch(tmp_path: Path) -> None:
    alone = start(tmp_path, model=StillDetector, ema_decay=0.0)
    parts = next(iter(alone.task.steps(0, 0)))
    optimise(alone, parts)
    expected = {name: p.grad.clone() for name, p in alone.model.named_parameters() if p.grad is not None}
    assert int(parts[0].targets.valid[:2].sum()) != int(parts[0].targets.valid[2:].sum())  # their normalisers differ

    def work(rank: int) -> None:
        training = start(tmp_path, model=StillDetector, ema_decay=0.0)
        mine = next(iter(training.task.steps(0, 0)))
        assert mine[0].indices == [[0, 1], [2, 3]][rank]
        optimise(training, mine)
        for name, parameter in training.model.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[name])

    in_two_processes(work)


def test_a_whole_run_of_two_processes_equals_one_alone(tmp_path: Path) -> None:
    alone, two = tmp_path / "alone", tmp_path / "two"
    changes = {"accumulate": 2, "clip_norm": 1.0, "save_every": 4}
    run(alone, model=StillDetector, **changes)
    in_two_processes(lambda rank: fit(start(two, model=StillDetector, **changes)))
    assert_close_weights(alone, two)
    for one, other in zip(read_results(alone / "results.csv"), read_results(two / "results.csv"), strict=True):
        assert abs(one["loss"] - other["loss"]) < 1e-3 * abs(one["loss"])  # the row is the mean over processes


class OneSidedTask(TinyTask):
    """The first process never sees an object."""

    def steps(self, epoch: int, skip: int) -> Iterator[Sequence[Batch]]:
        rank = self.accelerator.process_index
        for step in range(skip, self.steps_per_epoch):
            yield [make_batch([3 * step, 3 * step + 3] if rank == 0 else [3 * step + 1, 3 * step + 2], epoch)]


def test_a_process_without_objects_does_not_stop_the_other(tmp_path: Path) -> None:
    def work(rank: int) -> None:
        training = start(tmp_path, task=OneSidedTask)
        fit(training)
        assert training.place.step == 12

    in_two_processes(work)
    assert all(torch.isfinite(t).all() for t in weights_of(tmp_path).values() if t.is_floating_point())


def test_two_processes_continue_bit_for_bit(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def straight(rank: int) -> None:
        run(whole, save_every=4)

    def stopped(rank: int) -> None:
        save_last = Saver.save_last

        def save_and_stop(saver: Saver, training: Training) -> None:
            save_last(saver, training)
            dist.barrier()
            os._exit(0)

        Saver.save_last = save_and_stop
        run(broken, save_every=4)

    def continued(rank: int) -> None:
        run(broken, save_every=4, resume=True)

    for work in (straight, stopped, continued):
        in_two_processes(work)
    saved = weights_of(whole)
    assert not torch.equal(saved["random.0.host"], saved["random.1.host"])
    assert_same(saved, weights_of(broken))


def test_two_optimisers_on_two_processes(tmp_path: Path) -> None:
    alone, two = tmp_path / "alone", tmp_path / "two"
    run(alone, model=Duel, task=DuelTask, seed=3)
    in_two_processes(lambda rank: fit(start(two, model=Duel, task=DuelTask, seed=3)))
    assert_close_weights(alone, two)


def test_sharded_parameters_train_save_and_continue_like_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FSDP 2. Accelerate shards on GPUs only, so it is told that this CPU is one."""

    def sharding(recipe: Recipe, folder: Path) -> Accelerator:
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_CPU
        accelerator = build_accelerator(recipe, folder)
        accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy="no_wrap")
        for state in (PartialState, AcceleratorState):
            state._shared_state["distributed_type"] = DistributedType.FSDP
        return accelerator

    alone, two = tmp_path / "alone", tmp_path / "two"
    changes = {"ema_decay": 0.0, "optimizer": "adam", "lr": 0.005, "schedule": "constant", "accumulate": 2}
    changes |= {"clip_norm": 1.0, "l1": 0.001, "l2": 0.01}
    run(alone, epochs=3, model=StillDetector, **changes)
    monkeypatch.setattr(tiny, "build_accelerator", sharding)

    def work(rank: int) -> None:
        run(two, epochs=2, model=StillDetector, **changes)
        continued = start(two, epochs=3, model=StillDetector, resume=True, **changes)
        assert hasattr(next(continued.model.parameters()), "full_tensor")
        fit(continued)

    in_two_processes(work)
    assert_close_weights(alone, two)


class Halves(TinyTask):
    """One step of two images of 64 pixels; only the first, which is the first process's, holds objects."""

    def steps(self, epoch: int, skip: int) -> Iterator[Sequence[Batch]]:
        images = torch.randint(0, 255, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        boxes = torch.tensor([[4.0, 4.0, 30.0, 30.0], [8.0, 20.0, 60.0, 62.0], [40.0, 2.0, 50.0, 12.0]])
        targets = Targets.collate([boxes, boxes[:0]], [torch.tensor([0, 1, 2]), torch.zeros(0)], [(64, 64)] * 2)
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        mine = slice(rank, rank + 1) if world == 2 else slice(0, 2)
        targets = Targets(targets.boxes[mine], targets.labels[mine], targets.sizes[mine])
        yield [Batch(images[mine], targets, [], ["a", "b"][mine])]


@pytest.mark.parametrize("name", ["retinanet_r18_fpn", "fcos_r18_fpn", "fcos_center_r18_fpn", "faster_rcnn_r18_fpn"])
def test_detectors_on_two_processes_one_of_which_sees_no_object(tmp_path: Path, name: str) -> None:
    def gradients() -> dict[str, torch.Tensor]:
        model = lambda: baimu.create_model(name, num_classes=3)  # noqa: E731
        training = start(tmp_path, model=model, task=Halves, ema_decay=0.0, clip_norm=None)
        optimise(training, next(iter(training.task.steps(0, 0))))
        found = {n: p.grad for n, p in training.model.named_parameters() if p.requires_grad}
        assert all(gradient is not None for gradient in found.values())
        return found

    expected = gradients()
    random_sampling = name.startswith("faster_rcnn")

    def work(rank: int) -> None:
        found = gradients()
        for key, gradient in found.items():
            assert torch.isfinite(gradient).all()
            if not random_sampling:
                assert (gradient - expected[key]).norm() <= 0.01 * expected[key].norm() + 1e-6, (
                    key
                )  # kinks of L1 and ReLU in float32

    in_two_processes(work)
