"""Models in files: what of a checkpoint belongs to the model, and ``baimu.load`` for whatever holds parameters."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from baimu.errors import CheckpointError, nearest_path
from baimu.preprocess import Preprocess, preprocess_from_dict
from baimu.runtimes.exported import open_exported
from baimu.runtimes.session import format_of
from baimu.weights.archive import is_archive, read_archive
from baimu.weights.catalog import entries, entry, is_tag, published, resolve
from baimu.weights.fit import compare
from baimu.weights.foreign import read_foreign
from baimu.weights.keys import COUNTERS
from baimu.weights.outline import Unfilled
from baimu.weights.trained import Adopted, Trained, adopt, same_classes, wanted_classes
from baimu.zoo import index

FORMAT = 1
"""Version of the document. A reader refuses a later one."""


def load(
    source: str | Path,
    *,
    model: nn.Module | None = None,
    classes: Sequence[str] | int | None = None,
    as_: str | None = None,
    origin: str | None = None,
    part: str | None = None,
    preprocess: Preprocess | None = None,
    **arguments: Any,
) -> Any:
    """A trained model in evaluation mode, ready to predict, and to train further.

    ``source`` is a run folder (its best) or a checkpoint of this library, in which a moving average comes before what
    it averages; ``name.tag`` of published weights; or a file that another library wrote (``.pth``, ``.pt``,
    ``.safetensors``, ``.pkl``), which is recognised by its names and shapes.

    ``classes``: names (or a count) for the heads, where other than the file's; rows of classes that the file names are
    copied, the rest starts fresh, with a warning that says so. ``model``: an object to load into, needed where a run
    began with one. For foreign files: ``as_`` names the network and ``arguments`` are of that name
    (``as_="fcos_r50_fpn", stride_in_3x3=True``), ``origin`` the source, ``part`` the dictionary in the file,
    ``preprocess`` the input; what neither they nor the file say is assumed, with a warning. A file of a backbone alone
    gives the backbone, a feature pyramid; with ``classes`` the classifier on it, whose head starts fresh. A file of
    :func:`baimu.export` gives an :class:`~baimu.runtimes.exported.Exported`, which predicts and cannot be trained.

    Raises :class:`~baimu.errors.CheckpointError` for a file that is absent, damaged or of another model, with the share
    of its parameters that match the nearest.
    """
    if format_of(source) is not None:
        given = {"model": model, "classes": classes, "as_": as_, "origin": origin, "part": part, **arguments}
        if named := [name for name, value in {**given, "preprocess": preprocess}.items() if value is not None]:
            raise CheckpointError(f"{source}: an exported file is as it is; leave {', '.join(named)} away")
        return open_exported(source)
    trained = read_trained(
        source, as_=as_, origin=origin, part=part, preprocess=preprocess, classes=classes, arguments=arguments
    )
    names = wanted_classes(trained, classes)
    network: Any = _built(trained, names) if model is None else model
    if names:
        network.classes = names
    everything = same_classes(trained, names)
    said = [*trained.assumed, _load_all(network, trained) if everything else adopt(network, trained).words()]
    network.preprocess, network.licence = trained.preprocess, trained.licence
    if said := "; ".join(filter(None, said)):
        warnings.warn(f"{trained.path}: {said}", stacklevel=2)
    return network.eval()


def _built(trained: Trained, classes: Sequence[str]) -> Any:
    """The network for these classes, or the backbone if there are none."""
    every = same_classes(trained, classes) and trained.may_miss == (COUNTERS,)
    with Unfilled() if every else contextlib.nullcontext():
        if trained.part == "model" and not classes:
            return trained.build()
        return trained.build(len(classes)) if classes else trained.build().backbone


def _load_all(network: Any, trained: Trained) -> str:
    """Load every parameter; those that ``trained`` lacks and may lack stay as they are, in words."""
    state, own, left = trained.state, network.state_dict(), []
    if trained.part == "backbone" and not hasattr(network, "backbone"):
        state, left = part(state, "backbone"), [key for key in state if not key.startswith("backbone.")]
    absent = {k: v for k, v in own.items() if k not in state and any(re.search(p, k) for p in trained.may_miss)}
    load_parameters(network, absent | state, trained.path)
    fresh = [key for key in absent if not re.search(COUNTERS, key)]
    return Adopted(fresh, [], [], left).words()


def read_trained(
    source: str | Path,
    *,
    as_: str | None = None,
    origin: str | None = None,
    part: str | None = None,
    preprocess: Preprocess | None = None,
    classes: Sequence[str] | int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Trained:
    """The parameters that :func:`load` would load, under our names, with what a network needs to have them."""
    path, known = Path(source), None
    if not path.exists() and is_tag(str(source)):
        known = entry(str(source))
        path = resolve(known.tag)
    elif not os.path.lexists(path):
        raise _absent(str(source))
    file = checkpoint_path(path)
    if path.is_dir() or is_archive(file):
        return _read_own(file)
    names = None if isinstance(classes, int) else classes
    given: dict[str, Any] = {"origin": origin, "preprocess": preprocess, "classes": names}
    licence = ""
    if known := known or published(file):
        facts = {"origin": known.source, "preprocess": known.preprocess, "classes": known.classes}
        given = {key: given[key] or value for key, value in facts.items()}
        as_, arguments = as_ or known.name, {**known.arguments, **(arguments or {})}
        licence = known.licence
    return replace(read_foreign(file, as_=as_, part=part, arguments=arguments, **given), licence=licence)


def _absent(name: str) -> CheckpointError:
    """What to say of a name that is neither a path nor published weights."""
    if "://" in name:
        return CheckpointError(f"{name}: is an address, which is not downloaded from; fetch the file and give its path")
    if name in index():
        published = ", ".join(e.tag for e in entries(f"{name}.*")[:3])
        return CheckpointError(
            f"{name}: the name of an untrained model; train it (baimu train {name} --data …) and give its run folder"
            + (f", or use published weights: {published}" if published else "")
        )
    near = nearest_path(name)
    return CheckpointError(
        f"{name}: there is no such checkpoint or run folder{near or '; check the path, or see baimu weights list'}"
    )


def _read_own(file: Path) -> Trained:
    tensors, document = read_checkpoint(file)
    return _trained(file, document, judged_parameters(tensors))


def _trained(file: Path, document: Mapping[str, Any], state: dict[str, Tensor]) -> Trained:
    name, arguments = document["model"] or (None, {})
    preprocess, of = preprocess_from_dict(document["preprocess"]), document.get("part", "model")
    return Trained(file, "baimu", name, dict(arguments), state, tuple(document["classes"]), preprocess, of)


def checkpoint_path(path: str | Path) -> Path:
    """``path`` itself if it is a file, else the best, or failing that the last, checkpoint of a run folder."""
    path = Path(path)
    if not path.is_dir():
        return path
    for name in ("best.safetensors", "last.safetensors"):
        if (path / name).exists():
            return path / name
    raise CheckpointError(
        f"{path}: holds neither best.safetensors nor last.safetensors; give a run folder or a checkpoint"
    )


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and document of a checkpoint whose checksum is right and whose format this version knows."""
    tensors, document = read_archive(path)
    if document.get("format", 0) > FORMAT:
        raise CheckpointError(f"{path}: written by baimu {document['version']}, later than this one; update baimu")
    return tensors, document


def describe(model: Any) -> dict[str, Any]:
    """What a file must state of ``model`` so that :func:`load` can make it again."""
    return {
        "format": FORMAT,
        "version": version("baimu"),
        "model": getattr(model, "spec", None),
        "classes": list(getattr(model, "classes", ())),
        "preprocess": model.preprocess.to_dict(),
    }


def rebuild(path: Path, document: Mapping[str, Any]) -> nn.Module:
    """The network that a file names, with fresh parameters."""
    return _trained(path, document, {}).build()


def judged_parameters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's state: the moving average where the file holds one."""
    return part(tensors, "average") or part(tensors, "model")


def part(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The tensors named ``kind.*``, under the rest of their names."""
    return {name.removeprefix(f"{kind}."): t for name, t in tensors.items() if name.startswith(f"{kind}.")}


def load_parameters(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy all of ``tensors`` into ``model``; nothing is copied unless every name and shape fits."""
    fit = compare({name: tensor.shape for name, tensor in model.state_dict().items()}, tensors)
    if not fit.whole:
        raise CheckpointError(
            f"{path}: belongs to another model or class count. Build the model that the file was trained as, or start "
            f"a new run from the parameters that fit with train(…, weights=path).{fit.report()}"
        )
    model.load_state_dict(dict(tensors))
