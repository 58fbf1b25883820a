"""``baimu.convert``: trained parameters from any file to one of this library, or to one of their source's names."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from baimu.errors import CheckpointError
from baimu.preprocess import Preprocess
from baimu.weights.archive import is_archive, read_document, write_archive
from baimu.weights.checkpoint import FORMAT, checkpoint_path, read_trained
from baimu.weights.fit import compare
from baimu.weights.keys import COUNTERS, Facts, Route, State, convert_back
from baimu.weights.outline import BACKBONE, outline
from baimu.weights.recognise import source_named
from baimu.weights.trained import Trained


def convert(
    source: str | Path,
    out: str | Path,
    *,
    to: str | None = None,
    as_: str | None = None,
    origin: str | None = None,
    part: str | None = None,
    classes: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    **arguments: Any,
) -> Path:
    """Write the parameters of ``source`` to ``out``; returns ``out``. Arguments as for :func:`baimu.load`.

    Without ``to``: a checkpoint of this library (``.safetensors``) that :func:`baimu.load` reads by itself. With ``to``
    (``"openmmlab"``, ``"torchvision"``, …): that library's names and values, as ``.safetensors`` or, with what it keeps
    beside them, ``.pth``. Values and types are kept bit for bit. Raises :class:`~baimu.errors.CheckpointError` where
    the other library has no such network or parameters.
    """
    out = Path(out)
    if out.suffix not in (".safetensors", ".pth", ".pt") or (to is None and out.suffix != ".safetensors"):
        endings = "must end in .safetensors" if to is None else "must end in .safetensors, .pth or .pt"
        raise CheckpointError(f"{out}: a file of {to or 'baimu'} {endings}")
    names = tuple(classes) if classes else None
    trained = read_trained(
        source, as_=as_, origin=origin, part=part, classes=names, preprocess=preprocess, arguments=arguments
    )
    trained = replace(trained, classes=names or trained.classes)
    out.parent.mkdir(parents=True, exist_ok=True)
    if to is None:
        _write_ours(trained, out)
    else:
        _write_theirs(trained, out, to, _absent(trained.path))
    return out


def _write_ours(trained: Trained, out: Path) -> None:
    """A checkpoint of this library. What the source may lack is written as of a fresh network, and noted."""
    own = _fresh(trained, torch.device("meta"))
    missing = [key for key in own if key not in trained.state]
    if not all(re.search(COUNTERS, key) for key in missing):
        own = _fresh(trained, torch.device("cpu"))
    fresh = {key: torch.zeros_like(own[key], device="cpu") if own[key].is_meta else own[key] for key in missing}
    tensors = trained.state | fresh
    document = {
        "format": FORMAT,
        "version": version("baimu"),
        "model": [trained.name, trained.arguments],
        "classes": list(trained.classes),
        "preprocess": trained.preprocess.to_dict(),
        "part": trained.part,
        "converted": {"from": trained.origin, "file": trained.path.name, "absent": sorted(fresh)},
    }
    write_archive(out, {f"model.{key}": value for key, value in tensors.items()}, document)
    _say(trained, ())


def _write_theirs(trained: Trained, out: Path, to: str, absent: set[str]) -> None:
    target = source_named(to)
    if trained.name is None:
        raise CheckpointError(
            f"{trained.path}: the run began with a model object; its network has no name to convert by"
        )
    route = target.route(trained.name)
    try:
        theirs = convert_back({k: v for k, v in trained.state.items() if k not in absent}, route)
    except CheckpointError as error:
        raise CheckpointError(f"{trained.path}: cannot be written for {to}: {error}") from None
    other = _differences(trained, to, route)
    theirs = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in theirs.items()}
    part = out.with_name(f".{out.name}.part")
    try:
        buffer = io.BytesIO()  # the writers themselves end the process on a full disk, or raise what is no OSError
        if out.suffix == ".safetensors":
            from safetensors.torch import save

            buffer.write(save(theirs, metadata={"format": "pt"}))
        else:
            torch.save(target.wrap(theirs, _facts(trained)), buffer)
        part.write_bytes(buffer.getbuffer())
        os.replace(part, out)
    except OSError as error:
        raise CheckpointError(
            f"{out}: cannot be written ({error.strerror or error}); make room or choose another place"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    _say(trained, other)


def _differences(trained: Trained, to: str, route: Route) -> list[str]:
    """What the other library's own network of this name does otherwise than the one that was trained."""
    name = trained.name or ""
    other = [
        f"networks of {to} have {key}={value!r} of {name}, this one {trained.arguments.get(key, 'its default')}"
        for key, value in route.arguments.items()
        if trained.arguments.get(key) != value
    ]
    apart = [key for key in trained.state if any(re.search(pattern, key) for pattern in route.elsewhere)]
    if apart:
        other.append(f"{len(apart)} parameters are not in such a file and stay out ({', '.join(apart[:2])}, …)")
    shapes = outline(name, route.arguments).shapes(len(trained.classes), trained.part)
    state = {key: value for key, value in trained.state.items() if trained.part == "model" or key.startswith(BACKBONE)}
    fit = compare(shapes, state, may_miss=route.may_miss)
    return other if fit.whole else [*other, f"its shapes are not those of {name} there:{fit.report()}"]


def _fresh(trained: Trained, device: torch.device) -> State:
    with device:
        own = trained.build().state_dict()
    return {key: value for key, value in own.items() if trained.part == "model" or key.startswith(BACKBONE)}


def _facts(trained: Trained) -> Facts:
    place = outline(trained.name or "", trained.arguments).stride_in_3x3
    return Facts(trained.classes, trained.preprocess, {} if place is None else {"stride_in_3x3": place})


def _absent(path: Path) -> set[str]:
    """Our names that the source of a converted file did not have."""
    file = checkpoint_path(path)
    return set(read_document(file).get("converted", {}).get("absent", ())) if is_archive(file) else set()


def _say(trained: Trained, more: Sequence[str]) -> None:
    if said := (*trained.assumed, *more):
        warnings.warn(f"{trained.path}: {'; '.join(said)}", stacklevel=4)
