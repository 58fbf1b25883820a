"""A model as one graph of tensors: bytes in, what the task says out, whatever the method.

B images, K classes, D detections, N candidates.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from baimu.errors import BaimuError, unknown
from baimu.ops.nms import multiclass_nms, no_nms

Tensors = tuple[Tensor, ...]


class Graph(nn.Module):
    """Normalise, then whatever :data:`KINDS` says of the task. Takes uint8 RGB images (B, 3, H, W) as the model's
    preprocessing resizes them and, where the task has them, the valid sizes (B, 2)."""

    def __init__(self, model: Any, kind: Kind, options: dict[str, Any], half: torch.dtype | None = None) -> None:
        super().__init__()
        self.model, self.kind, self.options, self.precision = model, kind, options, half

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> Tensors:
        if self.kind.normalizes:
            images = self.model.preprocess.normalize(images, sizes)
        if self.precision is None:
            return self.kind.ask(self.model, images, sizes, **self.options)
        with torch.autocast(images.device.type, self.precision):
            return self.kind.ask(self.model, images, sizes, **self.options)


class Kind(NamedTuple):
    """How a task becomes a graph."""

    ask: Callable[..., Tensors]
    outputs: Callable[..., tuple[str, ...]]  # names, for the same model and options
    takes_sizes: bool = False
    normalizes: bool = True
    inputs: tuple[str, ...] = ("images",)
    facts: tuple[str, ...] = ()  # attributes of the model that the file states

    def known(self) -> tuple[str, ...]:
        """Options that it takes."""
        return tuple(p.name for p in inspect.signature(self.ask).parameters.values() if p.kind is p.KEYWORD_ONLY)


def detect(model: Any, images: Tensor, sizes: Tensor, *, raw: bool = False) -> Tensors:
    """Boxes (B, D, 4), scores, labels (B, D) and counts (B,), with masks where the model has them; ``raw``: of the N
    candidates before NMS, a score of 0 is none."""
    outputs = model.outputs(images, sizes)
    candidates = model.decode(outputs, sizes)
    if raw:
        if model.nms not in (multiclass_nms, no_nms):
            raise BaimuError(f"raw: {model.nms} is not known to who opens the file; export the model without raw")
        return tuple(candidates)
    found = model.complete(outputs, model.nms(*candidates, model.iou_threshold, model.max_detections))
    return tuple(part for part in found if part is not None)


def _detected(model: Any, *, raw: bool = False) -> tuple[str, ...]:
    if raw:
        return "boxes", "scores", "labels"
    return ("boxes", "scores", "labels", "counts", *(("masks",) if model.needs_masks else ()))


def classify(model: Any, images: Tensor, sizes: Tensor | None) -> Tensors:
    """Probabilities (B, K)."""
    del sizes
    return (model.classify(images),)


def segment(model: Any, images: Tensor, sizes: Tensor | None) -> Tensors:
    """Logits (B, K, H, W) of every pixel."""
    del sizes
    if model.window is not None:
        raise BaimuError(
            "window: looking through windows is no fixed graph; export the model without window, and give the "
            "exported one its images in pieces"
        )
    return (model.segment(images),)


def embed(model: Any, images: Tensor, sizes: Tensor | None) -> Tensors:
    """Embeddings of length 1 (B, D)."""
    del sizes
    return (model.embed(images),)


def read(model: Any, images: Tensor, sizes: Tensor) -> Tensors:
    """Log probabilities of each column (B, T, K + 1), and the columns (B,) that each line has."""
    return tuple(model.read(images, sizes))


def tell(model: Any, words: Tensor, sizes: Tensor | None) -> Tensors:
    """Probabilities (B, K) of texts as numbers of words (B, T)."""
    del sizes
    return (model.tell(words),)


def translate(model: Any, images: Tensor, sizes: Tensor | None, *, to: str | None = None) -> Tensors:
    """RGB in 0…255 (B, 3, S H, S W); ``to``: the domain, of two, by default the second."""
    del sizes
    return (model.translate(images, domain_of(model, to)),)


def domain_of(model: Any, to: str | None) -> int:
    if to is None:
        return 1
    if to not in model.classes:
        raise unknown("domain", to, model.classes)
    return model.classes.index(to)


def follow(model: Any, exemplar: Tensor, search: Tensor) -> Tensors:
    """Of one exemplar (1, 3, h, w) in search images (B, 3, H, W), both bytes: what the network says of them."""
    normalize = model.preprocess.normalize
    found = model(normalize(exemplar), normalize(search))
    return tuple(found) if isinstance(found, tuple) else (found,)


def _names(*names: str) -> Callable[..., tuple[str, ...]]:
    return lambda model, **options: names


def _followed(model: Any) -> tuple[str, ...]:
    return ("logits", "deltas") if hasattr(model, "regress") else ("response",)


KINDS: dict[str, Kind] = {
    "detection": Kind(
        detect,
        _detected,
        takes_sizes=True,
        inputs=("images", "sizes"),
        facts=("needs_masks", "iou_threshold", "max_detections", "score_threshold"),
    ),
    "classification": Kind(classify, _names("probabilities"), facts=("multi_label",)),
    "semantic_segmentation": Kind(
        segment, _names("logits"), facts=("align_corners", "window", "window_stride", "num_classes")
    ),
    "embedding": Kind(embed, _names("embeddings"), facts=("dim", "size", "flip", "num_classes")),
    "text_recognition": Kind(
        read, _names("log_probabilities", "steps"), takes_sizes=True, inputs=("images", "sizes"), facts=("num_classes",)
    ),
    "text_classification": Kind(tell, _names("probabilities"), normalizes=False, inputs=("words",)),
    "generation": Kind(translate, _names("pictures"), facts=("learns_from", "scale", "reach", "multiple", "least")),
    "tracking": Kind(
        follow,
        _followed,
        normalizes=False,
        inputs=("exemplar", "search"),
        facts=("exemplar_size", "search_size", "track_size", "stride"),
    ),
}
"""By the ``task`` of a model."""


def facts_of(model: Any, kind: Kind, options: dict[str, Any]) -> dict[str, Any]:
    """What the file states of the model besides its classes and preprocessing."""
    facts = {name: getattr(model, name) for name in kind.facts if hasattr(model, name)}
    if model.task == "detection" and options.get("raw"):
        facts |= {"nms": model.nms.__name__, "needs_masks": False}
    if model.task == "generation":
        facts["makes"] = domain_of(model, options.get("to"))
    if model.task == "tracking":
        follower = type(model.tracker())
        facts |= {"follower": follower.__name__, "module": follower.__module__}
        if hasattr(model, "sizes"):
            facts["sizes"] = model.sizes.tolist()
    return facts


def example(model: Any, size: tuple[int, int], batch: int = 2) -> Sequence[Tensor]:
    """Inputs by which a graph is made: noise of this size."""
    draw = torch.Generator().manual_seed(0)

    def noise(count: int, height: int, width: int) -> Tensor:
        return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=draw)

    if model.task == "tracking":
        small, large = model.exemplar_size, getattr(model, "track_size", model.search_size)
        return noise(1, small, small), noise(batch + 1, large, large)
    if model.task == "text_classification":
        return (torch.randint(1, 2 + model.preprocess.size // 2, (batch, 24), generator=draw),)
    images = noise(batch, *size)
    if not KINDS[model.task].takes_sizes:
        return (images,)
    sizes = torch.tensor([size] * batch)
    sizes[-1] -= torch.tensor([0, 3])  # of the last image not all is valid
    return images, sizes
