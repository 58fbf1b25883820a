"""From a model and a source to results in the source's own pixels: ``baimu.predict`` and :class:`Predictor`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from baimu.environment import device_of
from baimu.errors import DataError, unknown
from baimu.inference.batches import Broken, Ready, group, or_broken, read_ahead
from baimu.inference.options import check_count
from baimu.inference.sources import Item
from baimu.inference.tasks import Task, medium_of, task_of
from baimu.layers.fold import fold_norms
from baimu.results import Unread
from baimu.runtimes.exported import Exported
from baimu.targets import Batch

Precision = Literal["fp32", "bf16", "fp16"]
OnError = Literal["stop", "record"]
"""What follows on an image that cannot be read: the error, or a result that says so."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def predict(
    model: nn.Module | str | Path,
    source: Any,
    *,
    batch_size: int = 1,
    mix_sizes: bool = True,
    workers: int = 0,
    stream: bool = False,
    device: str | torch.device | None = None,
    precision: Precision = "fp32",
    on_error: OnError = "stop",
    **options: Any,
) -> list[Any] | Iterator[Any]:
    """What a model says of every image of ``source``, in its order; a single image gives a list of one.

    ``model`` is a model, a checkpoint, a run folder or published weights (``"fcos_r50_fpn.coco"``); ``source`` whatever
    :func:`~baimu.inference.sources.open_images` takes. Results are in the pixels of the upright source image.
    With ``stream`` an iterator comes back that reads, predicts and forgets batch by batch: use it for videos and for
    cameras, which never end. (Results hold the pixels of frames and arrays; those of files are read again when drawn.)

    ==============  =====================================  =========================================================
    task            result                                 ``options``
    ==============  =====================================  =========================================================
    detection       :class:`~baimu.results.Detections`     ``score_threshold`` (0.3): lowest score; ``iou_threshold``
                                                           (of NMS), ``max_detections`` (an image): the model's own;
                                                           ``classes``: names to keep
    classification  :class:`~baimu.results.Classification` ``top`` (5), ``score_threshold`` (0): the classes that are
                                                           told, at most so many, of no lower probability
    embedding       :class:`~baimu.results.Embedding`      ``flip``: add the embedding of the mirrored image
    generation      :class:`~baimu.results.Picture`        ``to``: the domain to make, of two; ``tile`` (512): pixels
                                                           of the squares that large images are cut into, 0: never
    text            :class:`~baimu.results.Reading`        ``beam`` (0, greedy): texts that are followed at once;
    recognition                                            ``lexicon``, ``language_model``: text files;
                                                           ``alternatives`` (0): further texts that are told
    text            :class:`~baimu.results.TextLabel`      as of classification; ``source``: a text, a file with a
    classification                                         text a line, or a list of texts
    semantic        :class:`~baimu.results.Segmentation`   ``confidence`` (False): how sure each pixel is; ``window``,
    segmentation                                           ``window_stride`` (pixels): look through windows;
                                                           ``scales`` (1.0,), ``flip`` (False): the mean over these
                                                           sizes of the input, and over its mirror images
    ==============  =====================================  =========================================================

    ``mix_sizes=False`` forms batches of equal input sizes only, so that no result depends on the padding its neighbours
    need; where a model does not know padding, they always are. ``workers``: threads that read and resize ahead.
    ``device``: the model is moved there. ``precision``: of autocast.

    Raises :class:`~baimu.errors.DataError` before the first image for a source that is missing or empty, and
    :class:`~baimu.errors.ImageError` at the image that cannot be read: none is left out. With ``on_error="record"``
    such an image has a :class:`~baimu.results.Unread` for a result, and the others follow.
    """
    network = model if isinstance(model, nn.Module) else load_model(model)
    images = medium_of(network).open(source)
    if images.endless and not stream:
        raise DataError(f"{source}: has no end; pass stream=True and go through the results as they come")
    predictor = Predictor(
        network,
        device=device,
        precision=precision,
        fold=images.count != 1,  # for a single image the copy costs what it saves
        **options,
    )
    how: dict[str, Any] = {"batch_size": batch_size, "mix_sizes": mix_sizes, "workers": workers, "on_error": on_error}
    results = predictor.stream(images.items, **how)
    return results if stream else list(results)


def load_model(name: str | Path) -> nn.Module:
    """The trained model of a checkpoint, a run folder, or published weights (``name.tag``), as :func:`baimu.load`."""
    from baimu.weights.checkpoint import load

    return load(name)


def place(model: nn.Module, device: str | torch.device | None) -> None:
    """Move ``model`` to ``device``; None: to the GPU where there is one, but an exported file stays where it is."""
    if device is None and not isinstance(model, Exported):
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device is not None:
        model.to(device if isinstance(model, Exported) else device_of(device))


class Predictor:
    """A model ready to look at many images. It leaves the model's mode and thresholds as it found them.

    ``task`` is another way to ask than that of the model's own task; ``options`` are the task's, as of :func:`predict`.
    With ``fold`` a faster copy runs in the model's place (:func:`~baimu.layers.fold.fold_norms`): it computes
    with the parameters and settings that the model has now, and results differ by rounding.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        task: Callable[..., Task] | None = None,
        device: str | torch.device | None = None,
        precision: Precision = "fp32",
        fold: bool = True,
        **options: Any,
    ) -> None:
        if precision not in _DTYPES:
            raise unknown("precision", precision, _DTYPES)
        self.task = task_of(model, task, options)
        self.medium = medium_of(self.task)
        if device is not None:
            model = model.to(device if isinstance(model, Exported) else device_of(device))
        fold = fold and any(isinstance(layer, nn.Conv2d) for layer in model.modules())
        self.model: Any = fold_norms(model) if fold else model
        weights = next(self.model.parameters(), None)
        self.device = torch.device("cpu") if weights is None else weights.device
        self.dtype = _DTYPES[precision]

    def __call__(self, source: Any, **options: Any) -> Iterator[Any]:
        """The result of each image of ``source`` as they come; ``options`` as for :meth:`stream`."""
        return self.stream(self.medium.open(source).items, **options)

    def stream(
        self,
        items: Iterable[Item],
        *,
        batch_size: int = 1,
        mix_sizes: bool = True,
        workers: int = 0,
        on_error: OnError = "stop",
    ) -> Iterator[Any]:
        """The result of each item, in order. With ``workers=0`` an item is read when its batch is due, not before."""
        if on_error not in get_args(OnError):
            raise unknown("on_error", on_error, get_args(OnError))
        check_count("batch_size", batch_size)
        check_count("workers", workers, 0)
        prepare: Callable[[Item], Any] = partial(self.medium.prepare, preprocess=self.model.preprocess)
        if on_error == "record":
            prepare = partial(or_broken, prepare)
        images = read_ahead(items, prepare, workers)
        return self._stream(group(images, batch_size, mix_sizes and self.task.pads))

    def _stream(self, batches: Iterable[list[Ready | Broken]]) -> Iterator[Any]:
        for batch in batches:
            ready = [image for image in batch if isinstance(image, Ready)]
            results: Iterator[Any] = iter(())
            if ready:
                made = self.predict_batch(self.medium.collate(ready, self.model.preprocess))
                results = map(self.medium.attach, made, ready)
            for image in batch:
                yield Unread(image.item.name, str(image.error)) if isinstance(image, Broken) else next(results)

    def predict_batch(self, batch: Batch) -> Sequence[Any]:
        """The results of a batch from the data room or from here, one for each image, in its source's pixels."""
        images, sizes = batch.inputs.to(self.device, non_blocking=True), batch.targets.sizes
        sizes = None if sizes is None else sizes.to(self.device, non_blocking=True)
        autocast = torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
        with _set_for_inference(self.model, self.task.settings), torch.no_grad(), autocast:
            answer = self.task.ask(self.model, self.model.preprocess.normalize(images, sizes), sizes)
        return self.task.results(answer, batch.frames, batch.names)


@contextlib.contextmanager
def _set_for_inference(model: nn.Module, settings: Mapping[str, Any]) -> Iterator[None]:
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
