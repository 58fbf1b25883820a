"""``baimu.train``: a model, a data set, and what else the caller wants otherwise → a run."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list, set_seed
from torch import Tensor, nn

from baimu import zoo
from baimu.datasets.open import open_data
from baimu.datasets.source import Splits
from baimu.errors import CheckpointError, TrainingError
from baimu.recipes import Recipe, coco_1x
from baimu.training.assemble import assemble, build_accelerator
from baimu.training.launch import join_processes, launch, launched_already
from baimu.training.loop import Training, fit
from baimu.training.progress import Progress
from baimu.training.run import Run, choose_folder, write_settings
from baimu.training.saver import restore
from baimu.training.tasks import DetectionTask
from baimu.weights.archive import read_document
from baimu.weights.checkpoint import (
    load_parameters,
    part,
    read_checkpoint,
    read_trained,
    rebuild,
)
from baimu.weights.trained import Trained, adopt

_FREE_ON_RESUME = {"epochs", "workers", "eval_every", "save_every", "patience"}


def train(
    model: str | nn.Module,
    data: Any,
    *,
    out: str | Path | None = None,
    resume: bool | str | Path | None = None,
    weights: str | Path | None = None,
    devices: int | None = None,
    val: Any = None,
    val_fraction: float | None = None,
    split_seed: int = 0,
    tracker: str | Sequence[str] | None = None,
    **changes: Any,
) -> Run:
    """Train ``model`` on ``data`` and write a run folder: checkpoints, scores, curves, pictures, report.

    ``model`` is a name of the catalogue, built for the data's classes, or a model object, which is trained in place.
    ``data`` is a path to a COCO, VOC or YOLO data set, ``"playground"``, a data source or ``Splits``; ``val``,
    ``val_fraction`` and ``split_seed`` are for :func:`~baimu.datasets.open.open_data`. ``changes`` are fields of the
    model's :class:`~baimu.recipes.Recipe`.

    ``out``: the folder, by default a new one below ``runs``. ``resume=True`` (with ``out``, or of the newest run of
    that name) or a run's path continues bit for bit where its last checkpoint stands; the recipe is then the run's own.
    ``weights``: whatever :func:`baimu.load` takes; its parameters are taken where they fit, heads by the names of their
    classes, and the run says what starts fresh. ``devices``: processes to
    start, one a GPU; torchrun and ``accelerate launch`` do without it. ``tracker``: tensorboard, wandb or mlflow.

    Raises :class:`~baimu.errors.TrainingError` for a folder that cannot be written and for losses that are not finite,
    and the errors of data, names and checkpoints; the last good checkpoint is whole after each of them.
    """
    arguments: dict[str, Any] = {
        "model": model,
        "data": data,
        "split": {"val": val, "val_fraction": val_fraction, "seed": split_seed},
        "weights": weights,
        "tracker": tracker,
        "changes": changes,
    }
    if devices is not None and devices > 1 and not launched_already():
        folder = choose_folder(_name_of(model), out, resume)
        launch(devices, _train, {**arguments, "out": folder, "resume": bool(resume)})
        return Run(folder)
    return _train(**arguments, out=out, resume=resume)


def _train(
    model: str | nn.Module,
    data: Any,
    out: str | Path | None,
    resume: bool | str | Path | None,
    weights: str | Path | None,
    tracker: str | Sequence[str] | None,
    split: dict[str, Any],
    changes: dict[str, Any],
) -> Run:
    """:func:`train` in this process, which may be one of several."""
    state = join_processes()
    own = [choose_folder(_name_of(model), out, resume) if state.is_main_process else Path()]
    folder = broadcast_object_list(own)[0]
    last = folder / "last.safetensors"
    checkpoint = read_checkpoint(last) if resume and last.exists() else None

    recipe = resolve_recipe(model, changes, checkpoint and checkpoint[1], last)
    splits = open_data(data, masks=_needs_masks(model), **split)
    set_seed(recipe.seed)
    network, note = build(model, splits, weights, checkpoint, last)
    network.preprocess = network.preprocess.replace(resize=recipe.resize, size=recipe.size, max_size=recipe.max_size)
    network.classes = tuple(splits.train.classes)

    accelerator = build_accelerator(recipe, folder, tracker)
    task = DetectionTask(splits, network.preprocess, recipe, accelerator, masks=_needs_masks(network))
    progress = Progress(recipe.epochs, task.steps_per_epoch, task.score, quiet=not accelerator.is_main_process)
    training = assemble(network, task, recipe, accelerator, folder, progress)
    if checkpoint is not None:
        _check_data(checkpoint[1]["data"], task.fingerprint, last)
        restore(training, *checkpoint, last)
    if accelerator.is_main_process:
        write_settings(folder, {"model": _name_of(model), "data": str(data), "recipe": recipe.model_dump(mode="json")})
    if checkpoint is None:
        training.record.results.keep(0)
        set_seed(recipe.seed, device_specific=True)
        if accelerator.is_main_process:
            task.draw_data(folder)
    progress.note(f"{folder}: {note}")
    _run(training, progress, folder)
    return Run(folder)


def _run(training: Training, progress: Progress, folder: Path) -> None:
    """Fit, then judge the best file as it lies on the disk."""
    try:
        with progress:
            fit(training)
        tensors, _ = read_checkpoint(folder / "best.safetensors")
        best = training.judged()
        load_parameters(best, part(tensors, "model"), folder / "best.safetensors")
        progress.note(training.task.draw_results(best, folder))
    except KeyboardInterrupt:
        last = folder / "last.safetensors"
        kept = f"{last} holds step {read_document(last)['place']['step']}" if last.exists() else "nothing was saved yet"
        progress.note(f"interrupted; {kept}. Continue with resume=True, out={str(folder)!r}")
        raise
    finally:
        training.accelerator.end_training()


def resolve_recipe(
    model: str | nn.Module, changes: dict[str, Any], document: dict[str, Any] | None, last: Path
) -> Recipe:
    """The method's recipe with ``changes``; when continuing, the run's own, of which only the length may be changed."""
    if document is None:
        name = model if isinstance(model, str) else (getattr(model, "spec", None) or (None,))[0]
        return (zoo.recipe_of(name) if name else coco_1x).replace(**changes)
    own = Recipe(**document["recipe"])
    changed = own.replace(**changes)
    for key in changes:
        if getattr(changed, key) != getattr(own, key) and key not in _FREE_ON_RESUME:
            raise TrainingError(
                f"{last}: the run was begun with {key}={getattr(own, key)}, which cannot change when it is continued; "
                f"leave {key} away, or start a new run with weights={str(last)!r}"
            )
    return changed


def build(
    model: str | nn.Module,
    splits: Splits,
    weights: str | Path | None,
    checkpoint: tuple[dict[str, Tensor], dict[str, Any]] | None,
    last: Path,
) -> tuple[Any, str]:
    """The network to train, for the classes of ``splits``, and a line that says where its parameters come from."""
    classes = len(splits.train.classes)
    if checkpoint is not None:
        tensors, document = checkpoint
        network = _same_model(model, document, last)
        load_parameters(network, part(tensors, "model"), last)
        place = document["place"]
        return network, f"continues after epoch {place['epoch']}, step {place['step']}"
    trained = None if weights is None else read_trained(weights)
    network: Any = _new_model(model, classes, trained) if isinstance(model, str) else model
    if network.num_classes != classes:
        raise TrainingError(
            f"the model has num_classes={network.num_classes}, the data {classes} classes "
            f"({', '.join(splits.train.classes)}); build it with num_classes={classes}"
        )
    if trained is not None:
        network.classes = tuple(splits.train.classes)
        said = [f"starts from {trained.path}", adopt(network, trained).words(), *trained.assumed]
        if trained.preprocess is not None:
            network.preprocess = network.preprocess.like(trained.preprocess)
        return network, "; ".join(filter(None, said))
    if isinstance(model, str):
        return network, f"{model} starts from random values; all of its layers learn"
    return network, "trains the model as given"


def _new_model(name: str, classes: int, trained: Trained | None) -> nn.Module:
    """By name: as ``trained`` was made, or else for training from scratch where the method has such a form."""
    arguments: dict[str, Any] = {} if trained is None else trained.arguments_for(name)
    if trained is None and "scratch" in inspect.signature(zoo.builder_of(name)).parameters:
        arguments = {"scratch": True}
    return zoo.create_model(name, **arguments, num_classes=classes)


def _same_model(model: str | nn.Module, document: dict[str, Any], last: Path) -> nn.Module:
    if isinstance(model, nn.Module):
        return model
    if document["model"] is not None and document["model"][0] != model:
        name = document["model"][0]
        raise CheckpointError(
            f"{last}: is a training of {name}, not of {model}; continue it as {name} or choose another out"
        )
    return rebuild(last, document)


def _check_data(was: dict[str, Any], now: dict[str, Any], last: Path) -> None:
    for key, value in was.items():
        if now.get(key) != value:
            raise CheckpointError(
                f"{last}: the run was begun with {key} = {value}, the data now has {now.get(key)}; "
                "continue with the same data, or start a new run from these weights"
            )


def _needs_masks(model: str | nn.Module) -> bool:
    """Whether a model, or what the name function of this name says it returns, learns from masks."""
    if not isinstance(model, str):
        return getattr(model, "needs_masks", False)
    builder = zoo.builder_of(model)
    kind = inspect.signature(builder).return_annotation
    return getattr(getattr(inspect.getmodule(builder), str(kind), kind), "needs_masks", False)


def _name_of(model: str | nn.Module) -> str:
    if isinstance(model, str):
        zoo.builder_of(model)  # a wrong name must not leave a folder behind
        return model
    spec = getattr(model, "spec", None)
    return spec[0] if spec else type(model).__name__.lower()
