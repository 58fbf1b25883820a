"""Whether an exported file says the same as the model it was made of, asked as users ask: with ``predict``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from baimu.deploy.calibrating import calibration_inputs
from baimu.deploy.graph import KINDS, Graph, example
from baimu.errors import BaimuError
from baimu.inference.predictor import Predictor
from baimu.inference.sources import Item
from baimu.inference.tasks import medium_of
from baimu.results import Classification, Detections, Embedding, Picture, Segmentation
from baimu.results.reading import Reading
from baimu.results.text_label import TextLabel
from baimu.runtimes.exported import Exported

MOST = 128
"""Images that are taken of the user's, at most."""
LOOKED_AT = 32
"""Of which the proof takes, at most; the rest is for the ranges of 8 bits."""
SIDES = ((120, 160), (167, 250), (97, 128), (160, 120))
"""Height and width of the scenes that are drawn where no images are given."""
BATCHES = (1, 3)
BY_TENSOR = ("text_recognition", "text_classification", "semantic_segmentation")
"""Tasks whose results may be the same where their tensors are not: those are compared as well."""


class Tolerance(NamedTuple):
    """What may differ in a precision."""

    share: float  # of results (objects, pixels, characters) that must be the same
    iou: float  # of the same object, above
    score: float  # difference of its score; of a probability, as a share of the image's largest
    cosine: float  # of an embedding, at least
    level: float  # difference of a pixel in 0…255 that is still the same


TOLERANCES = {
    "fp32": Tolerance(0.995, 0.95, 0.01, 0.99999, 2),
    "fp16": Tolerance(0.98, 0.90, 0.02, 0.999, 4),
    "bf16": Tolerance(0.95, 0.85, 0.05, 0.99, 12),
    "int8": Tolerance(0.85, 0.75, 0.15, 0.95, 24),
}
"""By precision. In 8 bits this says that nothing is broken; whether it is good enough, ``baimu eval`` says."""


class Proof(NamedTuple):
    """That an exported file says the same as its model."""

    same: int  # results: objects, classes, pixels, texts, tensors
    of: int
    difference: float  # the largest, of a score, a probability, a level, a share of pixels, or a tensor's largest value
    words: str


class Comparison(NamedTuple):
    """Of the results for one image."""

    same: int
    of: int
    difference: float  # the largest, of a score, probability or level
    worst: str  # what differs most, in words; empty where nothing does


def samples(model: Any, images: Any) -> list[Item]:
    """The images (or texts) to ask about: the user's, at most :data:`MOST`, or drawn ones of several sizes."""
    if images is not None:
        return list(islice(medium_of(model).open(images).items, MOST))
    if model.task == "tracking":
        return []
    if model.task == "text_classification":
        return list(medium_of(model).open(["a first text", "and another, longer one of some words", "word"]).items)
    from baimu.datasets.playground import Playground

    return [
        Item(f"scene {i} ({h}x{w})", partial(Playground(8, size=(h, w), empty=0.0).image, i))
        for i, (h, w) in enumerate(SIDES)
    ]


def prove(
    model: Any, exported: Exported, items: Sequence[Item], precision: str, options: Mapping[str, Any] | None = None
) -> Proof:
    """How like the two are; raises :class:`~baimu.errors.BaimuError` above the tolerance. ``options`` are those that
    it was exported with."""
    tolerance, items = TOLERANCES[precision], items[:LOOKED_AT]
    _same_classes(model, exported)
    if model.task == "tracking":
        return _same_tensors(model, exported, _followed(model), tolerance)
    own = {name: value for name, value in (options or {}).items() if name != "raw"}
    if model.task == "detection":
        own["score_threshold"] = None  # all that the model lets through
    found: list[Comparison] = []
    for batch_size in BATCHES:
        answers = [
            list(Predictor(one, fold=False, **own).stream(items, batch_size=batch_size)) for one in (model, exported)
        ]
        if getattr(model, "needs_masks", False) and not exported.needs_masks:  # raw: boxes alone
            answers[0] = [replace(one, masks=None) for one in answers[0]]
        found += [compare(a, b, tolerance) for a, b in zip(*answers, strict=True)]
    same, of = sum(one.same for one in found), sum(one.of for one in found)
    if not of:
        raise BaimuError(
            "the model finds nothing in these images, so nothing is proven; give images with objects in them, or "
            "verify=False"
        )
    words = f"{same} of {of} the same in {len(items)} images and batches of {', '.join(map(str, BATCHES))}"
    if same < tolerance.share * of:
        worst = max((one for one in found if one.worst), key=lambda one: one.difference)
        raise BaimuError(
            f"{exported.path.name}: the exported file differs from the model: {words}, at least {tolerance.share:.1%} "
            f"must be; {worst.worst}"
        )
    difference = max(one.difference for one in found)
    words += f", largest difference {difference:.2g}"
    if model.task in BY_TENSOR:
        tensors = _same_tensors(model, exported, _inputs(model, items), tolerance)
        difference, words = max(difference, tensors.difference), f"{words}; {tensors.words}"
    return Proof(same, of, difference, words)


def _same_classes(model: Any, exported: Exported) -> None:
    """What the file says of its classes; a result tells a class by its number only."""
    wanted, found = tuple(model.classes), exported.classes
    if len(wanted) != len(found):
        raise BaimuError(f"{exported.path.name}: names {len(found)} classes, the model {len(wanted)}")
    for number, (a, b) in enumerate(zip(wanted, found, strict=True)):
        if a != b:
            raise BaimuError(f"{exported.path.name}: class {number} is named {b!r}, the model's {a!r}")


def compare(expected: Any, found: Any, tolerance: Tolerance) -> Comparison:
    """Two results for the same image."""
    where = expected.source
    if isinstance(expected, Detections):
        return _compare_objects(expected, found, tolerance)
    if isinstance(expected, Classification | TextLabel):
        names, a, b = expected.names, expected.probabilities, found.probabilities
        largest = max(float(a.max()), 1e-6)
        return _compare_values(
            a / largest, b / largest, tolerance.score, lambda i: f"{where}: {names[i]} (of {largest:.3g})"
        )
    if isinstance(expected, Embedding):
        cosine = float(expected.vector @ found.vector)
        same = cosine >= tolerance.cosine
        return Comparison(int(same), 1, 1 - cosine, "" if same else f"{where}: cosine {cosine:.6f}")
    if isinstance(expected, Segmentation):
        equal = expected.labels == found.labels
        names, other = expected.names, f"{where}: {(~equal).sum()} of {equal.size} pixels have another class"
        if not equal.all():
            row, column = np.argwhere(~equal)[0]
            a, b = (names[int(one.labels[row, column])] for one in (expected, found))
            other += f", first at row {row}, column {column}: {b} for {a}"
        return Comparison(int(equal.sum()), equal.size, float((~equal).mean()), "" if equal.all() else other)
    if isinstance(expected, Picture):
        a, b = expected.made.astype(np.float32), found.made.astype(np.float32)
        return _compare_values(a.ravel(), b.ravel(), tolerance.level, lambda i: f"{where}: pixel value {i}")
    if isinstance(expected, Reading):
        same = expected.text == found.text
        words = "" if same else f"{where}: reads {found.text!r} for {expected.text!r}"
        return Comparison(int(same), 1, abs(expected.score - found.score), words)
    raise TypeError(f"cannot compare {type(expected).__name__}")


def _compare_values(a: Any, b: Any, limit: float, name: Any) -> Comparison:
    gap = np.abs(np.asarray(a) - np.asarray(b))
    most = int(gap.argmax())
    words = "" if gap[most] <= limit else f"{name(most)} is {b[most]:.4g} for {a[most]:.4g}"
    return Comparison(int((gap <= limit).sum()), gap.size, float(gap[most]), words)


def _compare_objects(expected: Detections, found: Detections, tolerance: Tolerance) -> Comparison:
    """Each object with the best partner of its class; an object of either side without one counts as different."""
    from baimu.ops.boxes import box_iou

    total = max(len(expected), len(found))
    if not total:
        return Comparison(0, 0, 0.0, "")
    if not len(expected) or not len(found):
        words = f"{expected.source}: {len(found)} objects for {len(expected)}"
        return Comparison(0, total, 1.0, words)
    iou = box_iou(torch.from_numpy(expected.boxes), torch.from_numpy(found.boxes)).numpy()
    gap = np.abs(expected.scores[:, None] - found.scores[None])
    fits = (expected.labels[:, None] == found.labels[None]) & (iou > tolerance.iou) & (gap <= tolerance.score)
    if expected.masks is not None:
        fits &= _mask_iou(expected, found) > tolerance.iou
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(fits, -1.0 - iou + gap, 0.0))
    paired = fits[rows, columns]
    same = int(paired.sum())
    difference = float(gap[rows, columns][paired].max(initial=0.0))
    words = ""
    if same < total:
        lonely = np.setdiff1d(np.arange(len(expected)), rows[paired])
        if len(lonely):
            i = int(lonely[0])
            label, score = expected.names[int(expected.labels[i])], expected.scores[i]
            words = f"{expected.source}: {label} {score:.3f} at {np.round(expected.boxes[i], 1).tolist()} is not found"
        else:
            words = f"{expected.source}: {len(found)} objects for {len(expected)}"
    return Comparison(same, total, difference, words)


def _mask_iou(expected: Detections, found: Detections) -> np.ndarray:
    """Of each pair of objects; 1 where neither has a pixel, 0 everywhere where ``found`` has no masks."""
    from baimu.ops.masks import mask_iou

    if found.masks is None:
        return np.zeros((len(expected), len(found)))
    a, b = (torch.from_numpy(np.asarray(one.masks)) for one in (expected, found))
    nothing = ~a.flatten(1).any(1)[:, None] & ~b.flatten(1).any(1)[None]
    return mask_iou(a, b).masked_fill(nothing, 1.0).numpy()


def _same_tensors(model: Any, exported: Exported, batches: Iterable[Sequence[Tensor]], tolerance: Tolerance) -> Proof:
    """Of networks whose answers say too little of their tensors: the tensors themselves."""
    graph = Graph(model.eval(), KINDS[model.task], {})
    worst, count = 0.0, 0
    for inputs in batches:
        with torch.no_grad():
            wanted = graph(*inputs)
        for name, a, b in zip(exported.card.outputs, wanted, exported(*inputs), strict=True):
            if a.shape != b.shape:
                raise BaimuError(f"{exported.path.name}: {name} is of shape {tuple(b.shape)}, not {tuple(a.shape)}")
            gap = float((a - b).abs().max() / a.abs().max().clamp(min=1e-6))
            worst, count = max(worst, gap), count + 1
            if not gap <= tolerance.score:
                raise BaimuError(
                    f"{exported.path.name}: {name} differs from the model's by {gap:.2g} of its largest value, for "
                    f"inputs of {' and '.join(str(tuple(x.shape)) for x in inputs)}; at most {tolerance.score} may be"
                )
    return Proof(count, count, worst, f"{count} tensors differ by at most {worst:.2g} of their largest value")


def _inputs(model: Any, items: Sequence[Item]) -> Iterable[Sequence[Tensor]]:
    """Of each item; of texts, whose words the model may not know, words that it does."""
    if model.task == "text_classification":
        return [example(model, (0, 0), batch=count) for count in BATCHES]
    return calibration_inputs(model, items)


def _followed(model: Any) -> Iterator[Sequence[Tensor]]:
    """An exemplar with several counts of search images."""
    for count in BATCHES:
        exemplar, search = example(model, (0, 0))
        yield exemplar, search[:1].roll(7, 2).repeat(count, 1, 1, 1)
