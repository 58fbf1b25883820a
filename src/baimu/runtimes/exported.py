"""Exported files as models: the same ``predict``, results and scores, whatever executes them."""

from __future__ import annotations

import importlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baimu.errors import BaimuError, CheckpointError
from baimu.layers import shortcuts
from baimu.ops.nms import Detected, multiclass_nms, no_nms
from baimu.preprocess import Preprocess, preprocess_from_dict
from baimu.runtimes.session import Session, format_of, module_of


class InGraph(Preprocess):
    """The preprocessing of a graph that normalises for itself: it takes the bytes of the resized images."""

    def normalize(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        del sizes
        return images


class Exported(nn.Module):
    """A trained model in the file of another program. It predicts, is scored and drawn like the one it was made of,
    and cannot be trained.

    ``classes``, ``preprocess`` and the facts of its task are those that the file states; what the graph holds, such as
    an IoU threshold, can be read and not set.
    """

    def __init__(self, session: Session, path: Path) -> None:
        super().__init__()
        self.session, self.card, self.path = session, session.card, path
        card = session.card
        self.task, self.classes, self.spec = card.task, tuple(card.classes), card.model
        preprocess = preprocess_from_dict(card.preprocess)
        if isinstance(preprocess, Preprocess):
            preprocess = InGraph(**{f.name: getattr(preprocess, f.name) for f in fields(Preprocess)})
        self.preprocess = preprocess
        for name, value in card.facts.items():
            nn.Module.__setattr__(self, name, value)
        self.eval()

    def __setattr__(self, name: str, value: Any) -> None:
        facts = {} if "card" not in self.__dict__ else self.card.facts
        if name in facts and value != facts[name] and name not in self.free:
            raise BaimuError(
                f"{self.path}: {name}={value} cannot be had of this file, whose graph holds {name}={facts[name]}; "
                f"export it again from a model with that {name}"
            )
        super().__setattr__(name, value)

    free: tuple[str, ...] = ()  # facts that are not part of the graph

    def forward(self, images: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """The tensors of the graph, named by ``card.outputs``, of uint8 RGB images (B, 3, H, W) as ``preprocess``
        resizes them."""
        fixed = self.card.fixed_size if images.ndim == 4 else None
        if fixed is not None and tuple(images.shape[2:]) != tuple(fixed):
            raise BaimuError(
                f"{self.path}: takes images of {fixed[0]}x{fixed[1]} pixels (height x width), got "
                f"{images.shape[2]}x{images.shape[3]}; export it with a free size, or resize as its preprocess says"
            )
        if images.is_floating_point():  # what was scaled or turned after it was read
            images = images.round().clamp(0, 255).to(torch.uint8)
        return tuple(self.session.run(images, *others))

    predict = shortcuts.predict

    def train(self, mode: bool = True) -> Exported:
        if mode:
            raise BaimuError(f"{self.path}: an exported file cannot be trained; train the model it was made of")
        return super().train(mode)


class ExportedDetector(Exported):
    def __init__(self, session: Session, path: Path) -> None:
        super().__init__(session, path)
        self.raw = "counts" not in self.card.outputs
        if self.raw:  # the graph ends before them
            self.free = ("iou_threshold", "max_detections")

    iou_threshold: float
    max_detections: int

    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detected:
        """As :meth:`baimu.detection.detector.Detector.detect`, of images in bytes."""
        if sizes is None:
            sizes = torch.tensor([images.shape[2:]]).expand(len(images), 2)
        found = self(images, sizes)
        if self.raw:
            suppress = no_nms if self.card.facts.get("nms") == "no_nms" else multiclass_nms
            return suppress(found[0], found[1], found[2], self.iou_threshold, self.max_detections)
        return Detected(*found)


class ExportedClassifier(Exported):
    def classify(self, images: Tensor) -> Tensor:
        return self(images)[0]


class ExportedSegmenter(Exported):
    def segment(self, images: Tensor) -> Tensor:
        return self(images)[0]


class ExportedEmbedder(Exported):
    def embed(self, images: Tensor) -> Tensor:
        return self(images)[0]


class ExportedReader(Exported):
    def read(self, images: Tensor, sizes: Tensor | None = None) -> Any:
        from baimu.text.crnn import Columns

        if sizes is None:
            sizes = torch.tensor([images.shape[2:]]).expand(len(images), 2)
        return Columns(*self(images, sizes))


class ExportedTextClassifier(Exported):
    def tell(self, words: Tensor) -> Tensor:
        return self(words)[0]


class ExportedTranslator(Exported):
    to: int

    def translate(self, images: Tensor, to: int = 1) -> Tensor:
        if self.classes and to != self.to:
            raise BaimuError(
                f"{self.path}: makes {self.classes[self.to]} of {self.classes[1 - self.to]} only; export the model "
                f"again with to={self.classes[to]}"
            )
        return self(images)[0]


class ExportedTracker(Exported):
    """A follower's network: it is shown the exemplar with every search image, which are both bytes."""

    def features(self, images: Tensor) -> Tensor:
        return images

    kernels = features

    def respond(self, exemplar: Tensor, search: Tensor) -> Any:
        found = self(exemplar, search)
        return found[0] if len(found) == 1 else self._method("SiamRPNOutput")(*found)

    def tracker(self, **options: Any) -> Any:
        return self._method(self.card.facts["tracker"])(self, **options)

    def _method(self, name: str) -> Any:
        return getattr(importlib.import_module(self.card.facts["module"]), name)


KINDS: dict[str, type[Exported]] = {
    "detection": ExportedDetector,
    "classification": ExportedClassifier,
    "semantic_segmentation": ExportedSegmenter,
    "embedding": ExportedEmbedder,
    "text_recognition": ExportedReader,
    "text_classification": ExportedTextClassifier,
    "generation": ExportedTranslator,
    "tracking": ExportedTracker,
}
"""By the task that the file states."""


def open_exported(path: str | Path, *, threads: int | None = None, device: str | None = None) -> Exported:
    """The model in an exported file, ready to predict. ``threads``: that it computes with (default: as many as torch).
    ``device``: where, in the words of its runtime; by default where it was exported for.

    Raises :class:`~baimu.errors.CheckpointError` for a file that is damaged or not of this library, and
    :class:`~baimu.errors.BaimuError` with the line that installs the runtime where that is absent.
    """
    path = Path(path)
    name = format_of(path)
    if name is None:
        raise CheckpointError(f"{path}: is no exported file; these end with .onnx, .xml, .pt2, .torchscript or .mnn")
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; check the path")
    session = module_of(name).open_session(path, threads=threads or torch.get_num_threads(), device=device)
    return KINDS[session.card.task](session, path)
