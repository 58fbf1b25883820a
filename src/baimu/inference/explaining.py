"""Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization (Selvaraju, Cogswell, Das, Vedantam,
Parikh, Batra 2016), arXiv 1610.02391.

How much a map's channel speaks for a class is the mean gradient of the class's score with respect to it (Eq. 1); the
channels' sum under these weights, where it is positive, shows where they speak (Eq. 2). For a linear head on a mean
this is CAM (1512.04150) but for a factor. B images, C channels of the map, D detections.

Differences from the paper, which explains classifiers (and captions): for a detector, the score is the sum of the
scores of the detections that are to be explained, through NMS and all stages before it. And such a score depends on the
place: the mean over the map forgets which of twenty equal cells was asked about, and all of them glow. So a detector's
gradients are not averaged but taken cell by cell, as in *HiResCAM* (Draelos, Carin 2020, 2011.08891); where gradients
are the same everywhere, as under a linear head on a mean, both are one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from baimu.detection.detector import Detector, full_sizes
from baimu.errors import BaimuError, DataError, unknown
from baimu.inference.detecting import label_of
from baimu.inference.predictor import Predictor, load_model
from baimu.inference.sources import open_images
from baimu.preprocess import Frame
from baimu.results import Explanation

Method = Literal["grad_cam", "hires_cam"]


def explain(
    model: nn.Module | str | Path,
    source: Any,
    *,
    class_name: str | None = None,
    level: int | None = None,
    detection: int | None = None,
    score_threshold: float = 0.3,
    method: Method | None = None,
    batch_size: int = 1,
    stream: bool = False,
    device: str | torch.device | None = None,
) -> list[Explanation] | Iterator[Explanation]:
    """Where in every image of ``source`` the model sees a class: a heat map each, in the image's own pixels.

    ``model``, ``source``, ``batch_size``, ``stream``, ``device`` and errors as of :func:`baimu.predict`; the model's
    parameters, gradients and mode stay as they are. ``class_name``: by default the best of each image. ``level``: of
    the backbone's maps, 5 has stride 32 and 2 has 4; by default the coarsest that it gives.

    A classifier explains the class's logit. A detector explains the class's detections of at least ``score_threshold``
    together, or if there is none its best; or one ``detection`` alone: its position in what :func:`baimu.predict`
    finds, of the class if one is given, the best is 0. ``method``: by default ``grad_cam`` for classifiers and
    ``hires_cam``, which minds the place, for detectors.
    """
    images = open_images(source)
    if images.endless and not stream:
        raise DataError(f"{source}: has no end; pass stream=True and go through the results as they come")
    predictor = Predictor(
        model if isinstance(model, nn.Module) else load_model(model),
        task=Explaining,
        device=device,
        fold=False,
        class_name=class_name,
        level=level,
        detection=detection,
        score_threshold=score_threshold,
        method=method,
    )
    results = predictor.stream(images.items, batch_size=batch_size)
    return results if stream else list(results)


def grad_cam(activations: Float[Tensor, "b c h w"], gradients: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
    """Eq. 1 and 2: 0 where nothing speaks for the class."""
    return hires_cam(activations, gradients.mean((2, 3), keepdim=True))


def hires_cam(activations: Float[Tensor, "b c h w"], gradients: Float[Tensor, "b c _ _"]) -> Float[Tensor, "b h w"]:
    """The same with each cell's own gradient (2011.08891)."""
    return (activations * gradients).sum(1).relu()


class Answer(NamedTuple):
    """Maps (B, h, w), the cells' height and width in pixels, and what they explain: labels and scores (B,), boxes."""

    maps: Tensor
    cell: tuple[float, float]
    sizes: Tensor
    labels: Tensor
    scores: Tensor
    boxes: list[Tensor]


class Explaining:
    """A way to ask any model with a backbone. Arguments as of :func:`explain`."""

    def __init__(
        self,
        model: Any,
        *,
        class_name: str | None = None,
        level: int | None = None,
        detection: int | None = None,
        score_threshold: float = 0.3,
        method: Method | None = None,
    ) -> None:
        self.names = tuple(model.classes)
        self.label = None if class_name is None else label_of(class_name, self.names)
        self.detection, self.score_threshold = detection, score_threshold
        self.pads = isinstance(model, Detector)
        self.settings: dict[str, Any] = {}
        out = getattr(getattr(model, "backbone", None), "out", ())
        if not out:
            raise BaimuError(
                f"{type(model).__name__}: has no backbone whose maps could be explained; classifiers and detectors have"
            )
        if level is not None and level not in out:
            raise BaimuError(
                f"level {level} is not among the maps of this backbone: {', '.join(map(str, out))}; give one of them"
            )
        if detection is not None and not self.pads:
            raise BaimuError("a classifier has no detections; leave detection away")
        methods = {"grad_cam": grad_cam, "hires_cam": hires_cam}
        method = method or ("hires_cam" if self.pads else "grad_cam")
        if method not in methods:
            raise unknown("method", method, methods)
        self.place, self.cam = -1 if level is None else out.index(level), methods[method]

    def ask(self, model: Any, images: Tensor, sizes: Tensor | None) -> Answer:
        sizes = full_sizes(images) if sizes is None else sizes
        with torch.inference_mode(False), torch.enable_grad(), _maps_of(model.backbone) as maps:
            images = images.clone().requires_grad_()  # so that there is a gradient where all parameters are frozen
            judge = self._detections if self.pads else self._class
            labels, scores, boxes, total = judge(model, images, sizes)
            activations = maps[self.place]
            (gradients,) = torch.autograd.grad(total, activations, materialize_grads=True)
        cam = self.cam(activations.detach().float(), gradients.float())
        cell = images.shape[2] / cam.shape[1], images.shape[3] / cam.shape[2]
        return Answer(cam, cell, sizes, labels, scores.detach(), boxes)

    def _class(self, model: Any, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Labels and scores (B,), no boxes, and the sum of the logits."""
        del sizes
        logits = model(images).float()
        labels = (
            logits.argmax(1) if self.label is None else torch.full_like(logits[:, 0], self.label, dtype=torch.int64)
        )
        scores = logits.sigmoid() if model.multi_label else logits.softmax(1)
        own = labels[:, None]
        return labels, scores.gather(1, own)[:, 0], [images.new_zeros(0, 4)] * len(images), logits.gather(1, own).sum()

    def _detections(self, model: Any, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Labels and best scores (B,), the boxes, and the sum of the scores of what is to be explained."""
        outputs = model.outputs(images, sizes)
        found = model.nms(*model.decode(outputs, sizes), model.iou_threshold, model.max_detections)
        chosen = self._choose(found.scores.detach(), found.labels)
        first = chosen.int().argmax(1, keepdim=True)
        labels = found.labels.gather(1, first)[:, 0].masked_fill(~chosen.any(1), -1)
        scores = found.scores * chosen
        boxes = [b[c].detach() for b, c in zip(found.boxes, chosen, strict=True)]
        return labels, scores.amax(1), boxes, scores.sum()

    def _choose(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(B, D) bool, which detections are to be explained; none where there is none of the class."""
        own = labels >= 0
        if self.label is not None:
            own &= labels == self.label
        if self.detection is not None:
            return own & (own.cumsum(1) == self.detection + 1)
        best = own & (own.cumsum(1) == 1)
        if self.label is None:
            own &= labels == labels[:, :1]
        strong = own & (scores >= self.score_threshold)
        return torch.where(strong.any(1, keepdim=True), strong, best)

    def results(self, answer: Answer, frames: Sequence[Frame], names: Sequence[str]) -> list[Explanation]:
        columns = (c.tolist() for c in (answer.sizes, answer.labels, answer.scores))
        rows = zip(answer.maps.cpu().numpy(), *columns, answer.boxes, frames, names, strict=True)
        return [self._result(answer.cell, *row) for row in rows]

    def _result(
        self,
        cell: tuple[float, float],
        cam: np.ndarray,
        size: list[int],
        label: int,
        score: float,
        boxes: Tensor,
        frame: Frame,
        name: str,
    ) -> Explanation:
        if label < 0 and self.detection is not None:
            raise DataError(f"{name}: there is no detection {self.detection}; the best is 0, see baimu.predict")
        rows, columns = (int(np.ceil(length / side)) for length, side in zip(size, cell, strict=True))
        cam = cam[:rows, :columns]  # padding beyond the image says nothing of it
        cam = cam / max(float(cam.max()), np.finfo(np.float32).tiny)
        in_source = frame.to_source(boxes.float().cpu().numpy())
        return Explanation(cam, cell, frame, label, score, self.names, frame.source_size, name, in_source)


@contextlib.contextmanager
def _maps_of(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Inside, the list fills with the maps of the backbone's next pass, the very tensors that all after it reads."""
    maps: list[Tensor] = []

    def keep(module: nn.Module, images: Any, out: list[Tensor]) -> None:
        maps.extend(out)

    hook = backbone.register_forward_hook(keep)
    try:
        yield maps
    finally:
        hook.remove()
