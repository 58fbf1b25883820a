"""Models in files: what of a checkpoint belongs to the model, and ``baimu.load``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from baimu.errors import CheckpointError
from baimu.preprocess import Preprocess
from baimu.weights.archive import read_archive
from baimu.zoo import create_model

FORMAT = 1
"""Version of the document. A reader refuses a later one."""


def load(path: str | Path, *, model: nn.Module | None = None) -> nn.Module:
    """The trained model of a checkpoint or of a run folder (its best), in evaluation mode, ready to predict.

    Where a moving average was kept, it is the average that is loaded. The network is built by the name and arguments
    that the file states; a run that began with a model object states none, so ``model`` must then be such an object.
    Raises :class:`~baimu.errors.CheckpointError` for a file that is absent, damaged or of another model.
    """
    file = checkpoint_path(path)
    tensors, document = read_checkpoint(file)
    if model is None:
        model = rebuild(file, document)
    load_parameters(model, judged_parameters(tensors), file)
    describe_like(model, document)
    return model.eval()


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


def describe_like(model: Any, document: Mapping[str, Any]) -> None:
    """Give ``model`` the class names and the preprocessing that a file states."""
    model.classes = tuple(document["classes"])
    model.preprocess = Preprocess.from_dict(document["preprocess"])


def rebuild(path: Path, document: Mapping[str, Any]) -> nn.Module:
    """The network that a file names, with fresh parameters."""
    if document["model"] is None:
        raise CheckpointError(
            f"{path}: the run began with a model object, so the file cannot name it; "
            "build the same object and pass it: baimu.load(path, model=…)"
        )
    name, arguments = document["model"]
    return create_model(name, **arguments)


def judged_parameters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's state: the moving average where the file holds one."""
    return part(tensors, "average") or part(tensors, "model")


def part(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The tensors named ``kind.*``, under the rest of their names."""
    return {name.removeprefix(f"{kind}."): t for name, t in tensors.items() if name.startswith(f"{kind}.")}


def load_parameters(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy all of ``tensors`` into ``model``; nothing is copied unless every name and shape fits."""
    own = model.state_dict()
    others = [
        f"{n}: {_shape(own[n])} here, {_shape(t)} in the file"
        for n, t in tensors.items()
        if n in own and own[n].shape != t.shape
    ]
    missing = [f"{n}: not in the file" for n in own if n not in tensors]
    unknown = [f"{n}: not in the model" for n in tensors if n not in own]
    wrong = others + missing + unknown
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(
            f"{path}: belongs to another model or class count ({'; '.join(wrong[:3])}{more}). Build the model that the "
            "file was trained as, or start a new run from the parameters that fit with train(…, weights=path)"
        )
    model.load_state_dict(dict(tensors))


def transfer_parameters(model: nn.Module, path: str | Path) -> list[str]:
    """Start ``model`` from the parameters of another run where name and shape fit; returns the names left fresh.

    Raises :class:`~baimu.errors.CheckpointError` if nothing fits.
    """
    file = checkpoint_path(path)
    own = model.state_dict()
    found = judged_parameters(read_checkpoint(file)[0])
    fitting = {n: t for n, t in found.items() if n in own and own[n].shape == t.shape}
    if not fitting:
        raise CheckpointError(
            f"{file}: not one of its {len(found)} tensors fits this model; use a checkpoint of the same method"
        )
    model.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
