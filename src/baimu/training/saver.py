"""A whole training in a file and back: weights, average, optimisers, schedules, random states, place in the data, and
what parts of the model remember."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor

from baimu.errors import TrainingError
from baimu.training.memory import memories, recall
from baimu.training.sharding import laid_out_like, whole
from baimu.training.step import Phase
from baimu.weights.archive import write_archive
from baimu.weights.checkpoint import describe, load_parameters, part

if TYPE_CHECKING:
    from baimu.training.loop import Training

COUNTS = ("step", "mu_product")
"""State of an optimiser that is one number a parameter, on the host unless a fused kernel reads it."""


class Saver:
    """Writes ``last.safetensors`` (everything) and ``best.safetensors`` (the judged weights) into a run folder.

    Every process must call it, because random states and sharded parameters are gathered; the first one writes.
    Nothing is written before all losses so far are known to be finite.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save_last(self, training: Training) -> None:
        """The state of the whole training, enough to continue it bit for bit."""
        training.watch.settle()
        self._write(training, "last.safetensors", *capture(training))

    def save_best(self, training: Training) -> None:
        """The weights that were evaluated last, with the recipe and their scores."""
        tensors = dict(_prefixed("model", training.judged().state_dict()))
        document = {
            **describe(training.model),
            "recipe": training.recipe.model_dump(mode="json"),
            "place": asdict(training.place),
            "scores": training.record.state()["evaluations"][-1],
        }
        self._write(training, "best.safetensors", tensors, document)

    def _write(self, training: Training, name: str, tensors: Mapping[str, Tensor], document: dict[str, Any]) -> None:
        if training.accelerator.is_main_process:
            _refuse_nan(self.folder / name, tensors, training.place.step)
            write_archive(self.folder / name, tensors, document)
        training.accelerator.wait_for_everyone()  # no process may read the file before it is there


def _refuse_nan(path: Path, tensors: Mapping[str, Tensor], step: int) -> None:
    """Losses and gradients may be finite while statistics or an optimiser's arithmetic are not."""
    wrong = [n for n, t in tensors.items() if n.startswith(("model.", "average.")) and bool(t.isnan().any())]
    if wrong:
        raise TrainingError(
            f"{path}: not written, for after step {step} {wrong[0]} is nan, and {len(wrong) - 1} more; the checkpoint "
            f"written before is intact. Begin a new run with weights={str(path)!r} and a lower lr or clip_norm"
        )


def capture(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and document of everything that :func:`restore` puts back."""
    tensors = dict(_prefixed("model", training.model.state_dict()))
    if training.average is not None:
        tensors.update(_prefixed("average", training.average.module.state_dict()))
    for phase in training.phases:
        tensors.update(_prefixed(f"optimizer.{phase.method}", dict(_optimizer_state(phase))))
    states = gather_object([random_state()])
    for rank, (device_states, _) in enumerate(states):
        tensors.update(_prefixed(f"random.{rank}", device_states))
    for rank, memory in enumerate(gather_object([memories(training.model)])):
        tensors.update(_prefixed(f"memory.{rank}", memory))
    scaler = training.accelerator.scaler
    document = {
        **describe(training.model),
        "recipe": training.recipe.model_dump(mode="json"),
        "data": training.task.fingerprint,
        "place": asdict(training.place),
        "record": training.record.state(),
        "average_updates": 0 if training.average is None else int(training.average.n_averaged),
        "schedules": {phase.method: _schedule_state(phase) for phase in training.phases},
        "scaler": None if scaler is None else scaler.state_dict(),
        "random": [host_states for _, host_states in states],
    }
    return tensors, document


def restore(training: Training, tensors: Mapping[str, Tensor], document: Mapping[str, Any], path: Path) -> None:
    """Put everything back into a freshly assembled training, the model's own parameters excepted: they were loaded
    before it was wrapped."""
    if training.average is not None:
        load_parameters(training.average.module, part(tensors, "average"), path)
        training.average.n_averaged.fill_(document["average_updates"])
    for phase in training.phases:
        _restore_optimizer(phase, part(tensors, f"optimizer.{phase.method}"))
        _restore_schedule(phase, document["schedules"][phase.method])
    if training.accelerator.scaler is not None and document["scaler"] is not None:
        training.accelerator.scaler.load_state_dict(document["scaler"])
    for name, value in document["place"].items():
        setattr(training.place, name, value)
    training.record.restore(document["record"])
    rank = training.accelerator.process_index
    if rank < len(document["random"]):  # a run continued on more processes seeds the new ones afresh
        restore_random(part(tensors, f"random.{rank}"), document["random"][rank])
        recall(training.model, part(tensors, f"memory.{rank}"))


def random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The generators of torch (as tensors) and of Python and numpy (as JSON values)."""
    tensors = {"host": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    return tensors, {
        "python": random.getstate(),
        "numpy": [name, np.asarray(keys).tolist(), position, has_gauss, gauss],
    }


def restore_random(tensors: Mapping[str, Tensor], host: Mapping[str, Any]) -> None:
    """Inverse of :func:`random_state`."""
    torch.set_rng_state(tensors["host"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    version, internal, gauss = host["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(host["numpy"]))  # noqa: NPY002


def _prefixed(kind: str, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    return ((f"{kind}.{name}", whole(tensor.detach())) for name, tensor in tensors.items())


def _optimizer_state(phase: Phase) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in phase.parameters.items():
        for key, value in phase.optimizer.state.get(parameter, {}).items():
            if value is not None:
                yield f"{name}.{key}", value


def _restore_optimizer(phase: Phase, tensors: Mapping[str, Tensor]) -> None:
    fused = phase.optimizer.defaults.get("fused")
    for full_name, value in tensors.items():
        name, _, key = full_name.rpartition(".")
        parameter = phase.parameters[name]
        if key not in COUNTS:
            value = laid_out_like(parameter, value)
        elif fused:
            value = value.to(parameter.device)
        phase.optimizer.state[parameter][key] = value


def _schedule_state(phase: Phase) -> dict[str, Any]:
    state = phase.schedule.state_dict()
    return {key: state[key] for key in ("last_epoch", "base_lrs", "_last_lr", "_step_count")}


def _restore_schedule(phase: Phase, state: Mapping[str, Any]) -> None:
    phase.schedule.load_state_dict({**state, "lr_lambdas": [None] * len(state["base_lrs"])})
    for group, rate in zip(phase.optimizer.param_groups, state["_last_lr"], strict=True):
        group["lr"] = rate
