"""``baimu.train``: a model, a data set, and what else the caller wants otherwise → a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list, set_seed
from torch import Tensor, nn

from baimu import zoo
from baimu.datasets.open import open_data
from baimu.datasets.source import Splits
from baimu.datasets.workers import naming_images
from baimu.errors import CheckpointError, DataError, TrainingError, writing
from baimu.layers.gates import remove_gates
from baimu.preprocess import preprocess_from_dict
from baimu.recipes import Recipe, coco_1x
from baimu.training.assemble import assemble, build_accelerator
from baimu.training.launch import join_processes, launch, launched_already
from baimu.training.loop import Training, fit
from baimu.training.penalties import gate_weights
from baimu.training.progress import Progress
from baimu.training.run import MEND, Run, choose_folder, write_settings
from baimu.training.saver import restore
from baimu.training.tasks import task_of
from baimu.weights.archive import read_document
from baimu.weights.checkpoint import (
    load_parameters,
    part,
    read_checkpoint,
    read_trained,
    rebuild,
)
from baimu.weights.trained import Trained, adopt

_FREE_ON_RESUME = {"epochs", "accumulate", "workers", "eval_every", "save_every", "patience"}
_TOLD = ("epochs", "batch_size", "optimizer", "lr", "size", "precision")
"""Recipe fields that a run tells where they are not as published; recipe.yaml has them all."""


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
    arguments: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Run:
    """Train ``model`` on ``data`` and write a run folder: checkpoints, scores, curves, pictures, report.

    ``model`` is a name of the catalogue, built for the data's classes with ``arguments`` of that name beside, or a
    model object, which is trained in place. ``data`` is what the model's task learns from: a path to a COCO, VOC or
    YOLO data set, to class folders, a list or idx files, ``"playground"``, a data source or ``Splits``; ``val``,
    ``val_fraction`` and ``split_seed`` are for :func:`~baimu.datasets.open.open_data`. ``changes`` are fields of the
    model's :class:`~baimu.recipes.Recipe`; a classifier's is first fitted to the data
    (:func:`~baimu.training.fitting.fitted`), and the run says how.

    ``out``: the folder, by default a new one below ``runs``. ``resume=True`` (with ``out``, or of the newest run of
    that name) or a run's path continues bit for bit where its last checkpoint stands; the recipe is then the run's own.
    ``weights``: whatever :func:`baimu.load` takes; its parameters are taken where they fit, heads by the names of their
    classes, and the run says what starts fresh. ``devices``: processes to
    start, one a GPU; torchrun and ``accelerate launch`` do without it. ``tracker``: tensorboard, wandb or mlflow.

    Raises :class:`~baimu.errors.TrainingError` for a folder that cannot be written and for losses that are not finite,
    and the errors of data, names and checkpoints; the last good checkpoint is whole after each of them.
    """
    given: dict[str, Any] = {
        "model": model,
        "data": data,
        "split": {"val": val, "val_fraction": val_fraction, "seed": split_seed},
        "weights": weights,
        "tracker": tracker,
        "arguments": dict(arguments or {}),
        "changes": changes,
    }
    if devices is not None and devices > 1 and not launched_already():
        folder = choose_folder(_name_of(model), out, resume)
        launch(devices, _train, {**given, "out": folder, "resume": bool(resume)})
        return Run(folder)
    return _train(**given, out=out, resume=resume)


def _train(
    model: str | nn.Module,
    data: Any,
    out: str | Path | None,
    resume: bool | str | Path | None,
    weights: str | Path | None,
    tracker: str | Sequence[str] | None,
    split: dict[str, Any],
    arguments: dict[str, Any],
    changes: dict[str, Any],
) -> Run:
    """:func:`train` in this process, which may be one of several."""
    state = join_processes()
    own = [choose_folder(_name_of(model), out, resume) if state.is_main_process else Path()]
    folder = broadcast_object_list(own)[0]
    last = folder / "last.safetensors"
    checkpoint = read_checkpoint(last) if resume and last.exists() else None

    kind = task_of(model)
    recipe = resolve_recipe(model, changes, checkpoint and checkpoint[1], last)
    said = ""
    if checkpoint is None:
        splits, recipe, said = plan(model, data, split, changes, scratch=weights is None)
    else:
        splits = _opened(data, kind.opening(model), split)
    set_seed(recipe.seed)
    network, note = build(model, splits, weights, arguments, checkpoint, last)
    kind.prepare(network, splits, recipe)

    accelerator = build_accelerator(recipe, folder, tracker)
    task = kind(splits, network, recipe, accelerator)
    progress = Progress(recipe.epochs, task.steps_per_epoch, task.score, quiet=not accelerator.is_main_process)
    training = assemble(network, task, recipe, accelerator, folder, progress)
    if checkpoint is not None:
        _check_data(checkpoint[1]["data"], task.fingerprint, last)
    with writing(folder, MEND, TrainingError), naming_images():
        if accelerator.is_main_process:
            settings = {"model": _name_of(model), "data": str(data), "recipe": recipe.model_dump(mode="json")}
            write_settings(folder, settings)
        if checkpoint is not None:
            restore(training, *checkpoint, last)
        else:
            training.record.results.keep(0)
            set_seed(recipe.seed, device_specific=True)
            if accelerator.is_main_process:
                task.draw_data(folder)
        progress.note(f"{folder}: {'; '.join(filter(None, (note, said)))}")
        _run(training, progress, folder)
    return Run(folder)


def _run(training: Training, progress: Progress, folder: Path) -> None:
    """Fit, then judge the best file as it lies on the disk."""
    try:
        with progress:
            fit(training)
        remove_gates(training.model)  # a model object that was given stays as it was made
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


def plan(
    model: str | nn.Module, data: Any, split: dict[str, Any], changes: dict[str, Any], *, scratch: bool
) -> tuple[Splits, Recipe, str]:
    """What :func:`train` would learn from, by which recipe, and how that was fitted to the data, in words."""
    published, kind = resolve_recipe(model, changes, None, Path()), task_of(model)
    splits = _opened(data, kind.opening(model), split)
    recipe = kind.fitted(published, splits, scratch=scratch).replace(**changes)
    said = [f"{key}={getattr(recipe, key)}" for key in _TOLD if getattr(recipe, key) != getattr(published, key)]
    return splits, recipe, f"the recipe is fitted to the data: {', '.join(said)}" if said else ""


def _opened(data: Any, opening: dict[str, Any], split: dict[str, Any]) -> Splits:
    splits = open_data(data, **opening, **split)
    for name, source in splits._asdict().items():
        if len(source) == 0:
            raise DataError(f"the {name} split holds no image; give another val_fraction or more images")
    return splits


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
    arguments: dict[str, Any],
    checkpoint: tuple[dict[str, Tensor], dict[str, Any]] | None,
    last: Path,
) -> tuple[Any, str]:
    """The network to train, for the classes of ``splits``, and a line that says where its parameters come from."""
    _check_arguments(model, arguments, splits)
    if checkpoint is not None:
        tensors, document = checkpoint
        network = _same_model(model, arguments, document, last)
        gate_weights(network, Recipe(**document["recipe"]))
        network.preprocess = preprocess_from_dict(document["preprocess"])  # perhaps that of other weights
        load_parameters(network, part(tensors, "model"), last)
        place = document["place"]
        return network, f"continues after epoch {place['epoch']}, step {place['step']}"
    trained = None if weights is None else read_trained(weights)
    network, particular = _new_model(model, splits, arguments, trained)
    task_of(network).check(network, splits)
    if trained is not None:
        network.classes = tuple(splits.train.classes)
        said = [f"starts from {trained.path}", particular, adopt(network, trained).words(), *trained.assumed]
        network.preprocess = network.preprocess.like(trained.preprocess)
        return network, "; ".join(filter(None, said))
    if isinstance(model, str):
        said = [f"{model} starts from random values; all of its layers learn", particular]
        return network, "; ".join(filter(None, said))
    return network, "trains the model as given"


def _new_model(
    model: str | nn.Module, splits: Splits, arguments: dict[str, Any], trained: Trained | None
) -> tuple[Any, str]:
    """The object, or by name: as ``trained`` was made, or else for training from scratch."""
    if not isinstance(model, str):
        return model, ""
    own = {} if trained is None else trained.arguments_for(model)
    try:
        return task_of(model).make(model, splits, {**own, **arguments}, scratch=trained is None)
    except (TypeError, ValueError) as error:
        if not arguments:
            raise
        raise TrainingError(f"{error}; the arguments that were given are {arguments}") from error


def _check_arguments(model: str | nn.Module, arguments: dict[str, Any], splits: Splits) -> None:
    if arguments and not isinstance(model, str):
        raise TrainingError(f"arguments={arguments} are for a model by name; this one is made already")
    if arguments.get("num_classes", len(splits.train.classes)) != len(splits.train.classes):
        raise TrainingError(
            f"num_classes={arguments['num_classes']}, but the data has {len(splits.train.classes)}; leave it away"
        )


def _same_model(model: str | nn.Module, arguments: dict[str, Any], document: dict[str, Any], last: Path) -> nn.Module:
    if isinstance(model, nn.Module):
        return model
    if document["model"] is not None and document["model"][0] != model:
        name = document["model"][0]
        raise CheckpointError(
            f"{last}: is a training of {name}, not of {model}; continue it as {name} or choose another out"
        )
    own = {} if document["model"] is None else document["model"][1]
    for key, value in arguments.items():
        if own.get(key) != value:
            raise TrainingError(f"{last}: the run was begun with {key}={own.get(key)}, which cannot change")
    return rebuild(last, document)


def _check_data(was: dict[str, Any], now: dict[str, Any], last: Path) -> None:
    for key, value in was.items():
        if now.get(key) != value:
            raise CheckpointError(
                f"{last}: the run was begun with {key} = {value}, the data now has {now.get(key)}; "
                "continue with the same data, or start a new run from these weights"
            )


def _name_of(model: str | nn.Module) -> str:
    if isinstance(model, str):
        zoo.builder_of(model)  # a wrong name must not leave a folder behind
        return model
    spec = getattr(model, "spec", None)
    return spec[0] if spec else type(model).__name__.lower()
