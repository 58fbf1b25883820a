"""From a model and a source to detections in the source's own pixels: ``baimu.predict`` and :class:`Predictor`."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from baimu.datasets.transforms import resize_image
from baimu.errors import CheckpointError, DataError, unknown
from baimu.inference.pasting import paste_packed
from baimu.inference.sources import Item, open_images
from baimu.layers.fold import fold_norms
from baimu.ops.nms import Detected
from baimu.preprocess import Frame
from baimu.results import Detections
from baimu.targets import Batch, Targets

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def predict(
    model: nn.Module | str | Path,
    source: Any,
    *,
    score_threshold: float = 0.3,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
    classes: Sequence[str] | None = None,
    batch_size: int = 1,
    mix_sizes: bool = True,
    workers: int = 0,
    stream: bool = False,
    device: str | torch.device | None = None,
    precision: Precision = "fp32",
) -> list[Detections] | Iterator[Detections]:
    """Detections of every image of ``source``, in its order; a single image gives a list of one.

    ``model`` is a detector, a checkpoint, a run folder or published weights (``"fcos_r50_fpn.coco"``); ``source``
    whatever :func:`~baimu.inference.sources.open_images` takes. Boxes are in the pixels of the upright source image.
    With ``stream`` an iterator comes back that reads, detects and forgets batch by batch: use it for videos and for
    cameras, which never end. (Results hold the pixels of frames and arrays; those of files are read again when drawn.)

    ``score_threshold``: lowest score. ``iou_threshold`` (of NMS), ``max_detections`` (an image): None, the model's own.
    ``classes``: names to keep. ``mix_sizes=False`` forms batches of equal input sizes only, so that no result depends
    on the padding its neighbours need. ``workers``: threads that read and resize ahead. ``device``: the model is moved
    there. ``precision``: of autocast.

    Raises :class:`~baimu.errors.DataError` before the first image for a source that is missing or empty, and
    :class:`~baimu.errors.ImageError` at the image that cannot be read: none is left out.
    """
    images = open_images(source)
    if images.endless and not stream:
        raise DataError(f"{source}: has no end; pass stream=True and go through the results as they come")
    predictor = Predictor(
        model if isinstance(model, nn.Module) else load_model(model),
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
        classes=classes,
        device=device,
        precision=precision,
        fold=images.count != 1,  # for a single image the copy costs what it saves
    )
    results = predictor.stream(images.items, batch_size=batch_size, mix_sizes=mix_sizes, workers=workers)
    return results if stream else list(results)


def load_model(name: str | Path) -> nn.Module:
    """The trained model of a checkpoint, a run folder, or published weights (``name.tag``), as :func:`baimu.load`."""
    from baimu.weights.catalog import entries, is_tag
    from baimu.weights.checkpoint import load
    from baimu.zoo import list_models

    if Path(name).exists() or is_tag(str(name)):
        return load(name)
    if str(name) in list_models():
        published = ", ".join(e.tag for e in entries(f"{name}.*")[:3])
        raise CheckpointError(
            f"{name}: the name of an untrained model; train it (baimu train {name} --data …) and give its run folder"
            + (f", or use published weights: {published}" if published else "")
        )
    raise CheckpointError(
        f"{name}: there is no such checkpoint or run folder; check the path, or see baimu weights list"
    )


class Predictor:
    """A detector ready to look at many images. It leaves the model's mode and thresholds as it found them.

    Arguments as for :func:`predict`; ``score_threshold=None`` keeps all that the model lets through, as evaluation
    needs. With ``fold`` a faster copy runs in the model's place (:func:`~baimu.layers.fold.fold_norms`): it computes
    with the parameters and settings that the model has now, and results differ by rounding.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        classes: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        precision: Precision = "fp32",
        fold: bool = True,
    ) -> None:
        if device is not None:
            model = model.to(device)
        fold = fold and any(isinstance(layer, nn.Conv2d) for layer in model.modules())
        self.model: Any = fold_norms(model) if fold else model
        weights = next(self.model.parameters(), None)
        self.device = torch.device("cpu") if weights is None else weights.device
        self.names = tuple(self.model.classes)
        self.labels = None if classes is None else _labels_of(classes, self.names)
        self.score_threshold = score_threshold
        self.dtype = _DTYPES[precision]
        settings = {"iou_threshold": iou_threshold, "max_detections": max_detections}
        own = getattr(self.model, "score_threshold", None)
        if score_threshold is not None and own is not None and score_threshold < own:
            settings["score_threshold"] = score_threshold
        self._settings = {name: value for name, value in settings.items() if value is not None}

    def __call__(self, source: Any, **options: Any) -> Iterator[Detections]:
        """Detections of each image of ``source`` as they come; ``options`` as for :meth:`stream`."""
        return self.stream(open_images(source).items, **options)

    def stream(
        self, items: Iterable[Item], *, batch_size: int = 1, mix_sizes: bool = True, workers: int = 0
    ) -> Iterator[Detections]:
        """Detections of each item, in order. With ``workers=0`` an item is read when its batch is due, not before."""
        if batch_size < 1 or workers < 0:
            raise ValueError(f"batch_size must be at least 1 and workers at least 0, got {batch_size} and {workers}")
        return self._stream(items, batch_size, mix_sizes, workers)

    def _stream(self, items: Iterable[Item], batch_size: int, mix_sizes: bool, workers: int) -> Iterator[Detections]:
        for ready in _batches(self._prepared(items, workers), batch_size, mix_sizes):
            found = self.detect_batch(self._collate(ready))
            for f, r in zip(found, ready, strict=True):
                yield replace(f, image=r.image, read=r.item.read if r.image is None else None)

    def detect_batch(self, batch: Batch) -> list[Detections]:
        """Detections of a batch from the data room or from here, one for each image, in its source's pixels."""
        images = batch.images.to(self.device, non_blocking=True)
        sizes = batch.targets.sizes.to(self.device, non_blocking=True)
        autocast = torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
        with _set_for_inference(self.model, self._settings), torch.inference_mode(), autocast:
            detected = self.model.detect(self.model.preprocess.normalize(images, sizes), sizes)
        masks = [None] * len(batch) if detected.masks is None else detected.masks
        rows = zip(*_to_host(detected), masks, batch.frames, batch.names, strict=True)
        return [self._result(*row) for row in rows]

    def _result(
        self,
        boxes: np.ndarray,
        scores: np.ndarray,
        labels: np.ndarray,
        masks: Tensor | None,
        frame: Frame,
        name: str,
    ) -> Detections:
        keep = labels >= 0
        if self.score_threshold is not None:
            keep &= scores >= np.float32(self.score_threshold)
        if self.labels is not None:
            keep &= np.isin(labels, self.labels)
        boxes, size = frame.to_source(boxes[keep]), frame.source_size
        packed = None
        if masks is not None:
            packed = paste_packed(masks[torch.from_numpy(keep.nonzero()[0]).to(masks.device)], boxes, size)
        return Detections(boxes, scores[keep], labels[keep], self.names, size, name, packed)

    def _prepared(self, items: Iterable[Item], workers: int) -> Iterator[_Ready]:
        """The items read and resized, in order; with workers, by threads that run at most twice their number ahead."""
        if workers == 0:
            yield from map(self._prepare, items)
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="baimu-read")
        waiting: deque[Future[_Ready]] = deque()
        try:
            remaining = iter(items)
            waiting.extend(pool.submit(self._prepare, item) for item in islice(remaining, 2 * workers))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(self._prepare, item) for item in islice(remaining, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _prepare(self, item: Item) -> _Ready:
        image = item.read()
        frame = self.model.preprocess.frame(*image.shape[:2])
        return _Ready(item, resize_image(image, frame.size), frame, None if item.is_file else image)

    def _collate(self, ready: list[_Ready]) -> Batch:
        frames = [r.frame for r in ready]
        height, width = self.model.preprocess.batch_size_of(frames)
        pixels = np.zeros((len(ready), height, width, 3), np.uint8)
        for place, r in zip(pixels, ready, strict=True):
            h, w = r.frame.size
            place[r.frame.top : r.frame.top + h, r.frame.left : r.frame.left + w] = r.pixels
        nothing = [torch.zeros(0, 4)] * len(ready), [torch.zeros(0, dtype=torch.int64)] * len(ready)
        targets = Targets.collate(*nothing, [(f.top + f.size[0], f.left + f.size[1]) for f in frames])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # channels-last in memory
        return Batch(images, targets, frames, [r.item.name for r in ready])


class _Ready(NamedTuple):
    item: Item
    pixels: np.ndarray  # at input size
    frame: Frame
    image: np.ndarray | None  # the source, where it cannot be read again


def _batches(prepared: Iterable[_Ready], batch_size: int, mix_sizes: bool) -> Iterator[list[_Ready]]:
    batch: list[_Ready] = []
    for ready in prepared:
        if batch and not mix_sizes and ready.frame.size != batch[0].frame.size:
            yield batch
            batch = []
        batch.append(ready)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _labels_of(classes: Sequence[str], names: tuple[str, ...]) -> list[int]:
    for name in classes:
        if name not in names:
            raise unknown("class", name, names)
    return [names.index(name) for name in classes]


@contextlib.contextmanager
def _set_for_inference(model: nn.Module, settings: dict[str, Any]) -> Iterator[None]:
    """Evaluation mode and these attributes inside the block; outside, each module as it was."""
    training = [module for module in model.modules() if module.training]
    before = {name: getattr(model, name) for name in settings}
    try:
        if training:
            model.eval()
        for name, value in settings.items():
            setattr(model, name, value)
        yield
    finally:
        for module in training:
            module.training = True
        for name, value in before.items():
            setattr(model, name, value)


def _to_host(detected: Detected) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Boxes (D, 4), scores (D,) and labels (D,) of each image, padding as it is, in one transfer from the device."""
    columns = [detected.boxes.float(), detected.scores.float()[..., None], detected.labels.float()[..., None]]
    packed: Tensor = torch.cat(columns, 2).cpu()  # labels are exact in float32 up to 2^24
    rows = packed.numpy()
    return [r[:, :4] for r in rows], [r[:, 4] for r in rows], [r[:, 5].astype(np.int64) for r in rows]
