"""Checkpoints that other libraries wrote: recognised, renamed, and told what they need to predict right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from baimu.errors import CheckpointError
from baimu.preprocess import Preprocess
from baimu.weights.classes import assumed_names
from baimu.weights.darknet import is_darknet, read_darknet
from baimu.weights.outline import Unfilled, build, outline
from baimu.weights.recognise import Recognised, recognise
from baimu.weights.stored import read_stored
from baimu.weights.trained import Trained, is_named
from baimu.zoo import model_info


def read_foreign(
    path: str | Path,
    *,
    as_: str | None = None,
    origin: str | None = None,
    part: str | None = None,
    classes: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Trained:
    """The parameters of a foreign file under our names.

    ``as_`` (the network), ``origin`` (the source), ``preprocess`` and ``arguments`` (of the network's name) come before
    what the file says, ``classes`` name its classes where it does not; what nobody says is assumed, in
    ``Trained.assumed``.
    Raises :class:`~baimu.errors.CheckpointError` for a file that is no checkpoint or of no network here.
    """
    if is_darknet(path):
        return _from_darknet(Path(path), as_, classes, preprocess, arguments or {})
    stored = read_stored(path, part=part)
    found = recognise(stored, as_=as_, origin=origin, arguments=arguments)
    own = outline(found.name, found.arguments).preprocess
    return Trained(
        path=stored.path,
        origin=found.origin,
        name=found.name,
        part=found.part,
        arguments=found.arguments,
        state=found.state,
        classes=_names(found, classes),
        preprocess=preprocess or _fitted(found.facts.preprocess, own),
        may_miss=found.route.may_miss,
        assumed=_assumed(found, _names(found, classes), preprocess, arguments or {}),
    )


def _from_darknet(
    path: Path, as_: str | None, classes: Sequence[str] | None, preprocess: Preprocess | None, given: Mapping[str, Any]
) -> Trained:
    """A file without names and shapes: read for the network ``as_``, of ``num_classes`` in ``given``, or as many as are
    named, or ImageNet's."""
    if as_ is None:
        raise CheckpointError(f"{path}: a Darknet file does not say of which network it is; tell it: as_='darknet53'")
    count = given.get("num_classes") or len(classes or ()) or 1000
    arguments = {**given, "num_classes": count}
    with torch.device("meta"), Unfilled():
        model = build(as_, arguments)
    usual = assumed_names(count, model_info(as_).task)
    said = f"how images were normalised is not in the file: taken as {as_} has it (preprocess= tells)"
    return Trained(
        path=path,
        origin="darknet",
        name=as_,
        arguments=arguments,
        state=read_darknet(path, model).state,
        classes=tuple(classes) if classes and len(classes) == count else usual,
        preprocess=preprocess or outline(as_, arguments).preprocess,
        assumed=() if preprocess else (said,),
    )


def _names(found: Recognised, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Of the file, or as given, or else those that its kind usually has; none for a backbone."""
    if found.part == "backbone":
        return ()
    if "num_classes" not in found.arguments:  # a maker of images
        return ()
    count = found.arguments["num_classes"]
    usual = assumed_names(count, model_info(found.name).task)
    return next((tuple(n) for n in (found.facts.classes, classes) if n and len(n) == count), usual)


def _fitted(facts: Preprocess | None, own: Preprocess) -> Preprocess:
    """What a file says in the place of the network's own; sizes of another task are none of its own."""
    if facts is None:
        return own
    return own.like(facts) if (facts.resize == "crop") != (own.resize == "crop") else facts


def _assumed(
    found: Recognised, names: Sequence[str], preprocess: Preprocess | None, arguments: Mapping[str, Any]
) -> tuple[str, ...]:
    said = []
    if found.also:
        said.append(f"the shapes are also those of {', '.join(found.also)}: taken for {found.name} (as_= chooses)")
    if preprocess is None and found.facts.preprocess is None:
        said.append(f"how images were normalised is not in the file: taken as {found.name} has it (preprocess= tells)")
    place = outline(found.name, found.arguments).stride_in_3x3
    if place is not None and not {"stride_in_3x3"} & (found.facts.arguments.keys() | arguments.keys()):
        style = "3x3 (pytorch style)" if place else "first 1x1 (caffe style)"
        said.append(f"its ResNet is taken to halve maps in the {style}: stride_in_3x3={not place} says otherwise")
    if names and not any(map(is_named, names)):
        said.append("its classes have no names (classes= names them)")
    return tuple(said)
