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

    @classmethod
    def of(cls, preprocess: Preprocess) -> InGraph:
        return cls(**{f.name: getattr(preprocess, f.name) for f in fields(Preprocess)})

    def normalize(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Padding is the byte next to the mean, which a graph that is not told the sizes normalises to nearly 0."""
        if sizes is None:
            return images
        rows = torch.arange(images.shape[2], device=images.device) < sizes[:, :1]
        columns = torch.arange(images.shape[3], device=images.device) < sizes[:, 1:]
        mean = (self.mean * 3)[:3][:: -1 if self.channel_order == "bgr" else 1]
        colour = images.new_tensor([round(x) for x in mean])[:, None, None]
        return torch.where((rows[:, :, None] & columns[:, None])[:, None], images, colour)


class Exported(nn.Module):
    """A trained model in the file of another program. It predicts, is scored and drawn like the one it was made of,
    and cannot be trained.

    ``classes``, ``preprocess`` and the facts of its task are those that the file states; what the graph holds, such as
    an IoU threshold, can be read and not set.
    """

    def __init__(self, session: Session, path: Path, runtime: str, threads: int, device: str | None = None) -> None:
        super().__init__()
        self.session, self.card, self.path = session, session.card, path
        self.runtime, self.threads, self.device = runtime, threads, device or "cpu"
        card = session.card
        self.task, self.classes, self.spec = card.task, tuple(card.classes), card.model
        preprocess = preprocess_from_dict(card.preprocess)
        if isinstance(preprocess, Preprocess):
            preprocess = InGraph.of(preprocess)
        self.preprocess = preprocess
        for name, value in card.facts.items():
            if hasattr(type(self), name):
                raise CheckpointError(f"{path}: states {name}, which is not for a file to say; export it again")
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
        fixed = self.card.fixed_size
        if any(side not in (None, given) for side, given in zip(fixed, images.shape[2:], strict=False)):
            takes = "x".join("any" if side is None else str(side) for side in fixed)
            raise BaimuError(
                f"{self.path}: takes images of {takes} pixels (height x width), got "
                f"{images.shape[2]}x{images.shape[3]}; resize them as its preprocess says, or export it for that size"
            )
        if images.is_floating_point():  # what was scaled or turned after it was read
            if images.numel() and images.min() < -1:  # smooth scaling goes a little below 0
                raise BaimuError(
                    f"{self.path}: takes pixels of 0 to 255 and normalises them itself, got {float(images.min()):.3g}; "
                    "give them as its own preprocess leaves them"
                )
            images = images.round().clamp(0, 255).to(torch.uint8)
        try:
            return tuple(self.session.run(images, *others))
        except Exception as error:  # runtimes raise what they like
            said = str(error).strip().rpartition("\n")[2]
            raise BaimuError(f"{self.path}: fails in {self.runtime} for {list(images.shape)} ({said})") from error

    predict = shortcuts.predict

    def to(self, device: Any = None, *_: Any, **__: Any) -> Exported:
        """Computing on ``device`` from now on, where its runtime can."""
        if device is not None and str(device) != self.device:
            self.session = module_of(self.runtime).open_session(self.path, threads=self.threads, device=str(device))
            self.device = str(device)
        return self

    def train(self, mode: bool = True) -> Exported:
        if mode:
            raise BaimuError(f"{self.path}: an exported file cannot be trained; train the model it was made of")
        return super().train(mode)


class ExportedDetector(Exported):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
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
            suppress = {"no_nms": no_nms, "multiclass_nms": multiclass_nms}[self.card.facts["nms"]]
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
    makes: int  # the domain, of two

    def translate(self, images: Tensor, to: int = 1) -> Tensor:
        if self.classes and to != self.makes:
            raise BaimuError(
                f"{self.path}: makes {self.classes[self.makes]} of {self.classes[1 - self.makes]} only; export the "
                f"model again with to={self.classes[to]}"
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
        return self._method(self.card.facts["follower"])(self, **options)

    def _method(self, name: str) -> Any:
        module = self.card.facts["module"]
        if not module.startswith("baimu.tracking."):
            raise CheckpointError(f"{self.path}: names {module}, which is no method of tracking; export it again")
        return getattr(importlib.import_module(module), name)


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
    threads = threads or torch.get_num_threads()
    session = module_of(name).open_session(path, threads=threads, device=device)
    if session.card.task not in KINDS:
        raise CheckpointError(
            f"{path}: is of the task {session.card.task!r}, which this version of baimu does not know"
        )
    return KINDS[session.card.task](session, path, name, threads, device)
