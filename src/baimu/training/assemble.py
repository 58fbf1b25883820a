"""From a model and a recipe to a training that can start: devices, wrapping, optimisers, average, record."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from torch import nn

from baimu.errors import TrainingError, unknown
from baimu.recipes import Recipe
from baimu.training.ema import moving_average
from baimu.training.finite import FiniteWatch
from baimu.training.launch import cpu_only
from baimu.training.loop import Place, Training
from baimu.training.optimizers import build_optimizer, build_schedule
from baimu.training.penalties import build_penalties, gate_weights
from baimu.training.progress import Progress
from baimu.training.record import Record
from baimu.training.results_csv import ResultsFile
from baimu.training.saver import Saver
from baimu.training.step import Phase, TrainStep

if TYPE_CHECKING:
    from baimu.training.tasks import Task

TRACKERS = ("tensorboard", "wandb", "mlflow")
"""What follows a training elsewhere, by its name and its package's."""
_UNSHARDED = {"ema_decay": "moving average", "l0": "gates", "precise_bn_batches": "precise batch norm"}
"""Recipe fields that FSDP leaves no room for, and what they ask for."""


def check_trackers(names: Sequence[Any]) -> None:
    """Raise for a tracker that there is not, and for one whose package is not installed."""
    for name in names:
        if not isinstance(name, str):
            continue  # an object of Accelerate's is what it is
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        if find_spec(name) is None:
            raise TrainingError(f"tracker={name}: its package is not installed; pip install 'baimu[{name}]'")


def build_accelerator(recipe: Recipe, folder: Path, tracker: str | Sequence[str] | None = None) -> Accelerator:
    """Accelerate at the recipe's precision, on the devices that the environment gives this process.

    FSDP comes from Accelerate's own configuration (``accelerate launch --use_fsdp --fsdp_version 2``). Raises
    :class:`~baimu.errors.TrainingError` for what cannot be sharded: version 1, a moving average, gates,
    precise batch norm.
    """
    AcceleratorState._reset_state()  # a training before this one in the same process may have had another precision
    GradientState._reset_state()
    names: list[Any] = [tracker] if isinstance(tracker, str) else list(tracker or ())
    check_trackers(names)
    accelerator = Accelerator(
        cpu=cpu_only(),
        mixed_precision="no" if recipe.precision == "fp32" else recipe.precision,
        log_with=names or None,
        project_dir=folder,
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    if accelerator.distributed_type == DistributedType.FSDP:
        if not accelerator.is_fsdp2:
            raise TrainingError("FSDP version 1 is not supported; set fsdp_version to 2 in Accelerate's configuration")
        for field, thing in _UNSHARDED.items():
            if getattr(recipe, field):
                raise TrainingError(f"sharded weights have no {thing}; set {field}=0 or train without FSDP")
    if names:
        accelerator.init_trackers(folder.name, config=_flat(recipe))
    return accelerator


def assemble(
    model: nn.Module, task: Task, recipe: Recipe, accelerator: Accelerator, folder: Path, progress: Progress
) -> Training:
    """A training that stands at its beginning. ``model`` moves to the device and is trained in place."""
    main = accelerator.is_main_process
    gate_weights(model, recipe)
    model.to(accelerator.device)
    if recipe.channels_last:
        model.to(memory_format=torch.channels_last)
    average = moving_average(model, recipe.ema_decay) if recipe.ema_decay else None
    whole = deepcopy(model) if accelerator.distributed_type == DistributedType.FSDP else None
    results = ResultsFile(folder / "results.csv" if main else None, task.score_names)
    return Training(
        accelerator=accelerator,
        recipe=recipe,
        task=task,
        model=model,
        phases=build_phases(model, task, recipe, accelerator),
        average=average,
        whole=whole,
        place=Place(),
        record=Record(results, task.score, task.steps_per_epoch, progress, accelerator),
        saver=Saver(folder),
        watch=FiniteWatch(),
    )


def build_phases(model: nn.Module, task: Task, recipe: Recipe, accelerator: Accelerator) -> list[Phase]:
    """The task's phases, each with its own wrapped step: processes exchange the gradients of its parameters only."""
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    chosen = [list(spec.parameters(model)) for spec in task.phases]
    if accelerator.distributed_type == DistributedType.FSDP and len(chosen) > 1:
        raise TrainingError("a training of several optimisers cannot be sharded; train without FSDP")
    idle = trainable.difference(*chosen)
    if idle or not all(chosen):
        raise TrainingError(
            f"phases leave parameters without an optimiser, or have none: {', '.join(sorted(idle)[:5])}"
        )

    phases = []
    for spec, names in zip(task.phases, chosen, strict=True):
        own = dict(model.named_parameters())
        for name in trainable:
            own[name].requires_grad_(name in names)
        penalties = build_penalties(model, names, recipe)
        step: nn.Module = TrainStep(model, channels_last=recipe.channels_last, penalties=penalties)
        if recipe.compile:
            step.compile()
        optimizer = build_optimizer(model, {name: own[name] for name in names}, recipe)
        schedule = build_schedule(optimizer, recipe, recipe.epochs * task.steps_per_epoch)
        step, wrapped = accelerator.prepare(step, optimizer)
        own = dict(model.named_parameters())  # sharding has put others in their place
        others = [own[name] for name in trainable.difference(names)]
        phases.append(Phase(spec.method, step, {name: own[name] for name in names}, others, wrapped, schedule))
    return phases


def _flat(recipe: Recipe) -> dict[str, int | float | str | bool]:
    """Values that every tracker takes."""
    values = recipe.model_dump().items()
    return {key: value if isinstance(value, int | float | str | bool) else str(value) for key, value in values}
