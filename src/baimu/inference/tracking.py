"""Following objects through a video: ``baimu.track``, with the results of a detector or with one object named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from baimu.datasets.formats.mot import TrackRows, is_sequence, open_sequence, read_mot
from baimu.datasets.images import image_size
from baimu.errors import ArgumentError, BaimuError, DataError, unknown
from baimu.inference.options import check_options, option_names
from baimu.inference.predictor import Predictor, load_model, place
from baimu.inference.sources import Images, open_images
from baimu.results import Detections, Tracks
from baimu.tracking.bytetrack import ByteTrack
from baimu.tracking.deepsort import DeepSort, Embed
from baimu.tracking.sort import Sort

_DETECT = ("detection", "instance_segmentation")
LEAST_SCORE = 0.3
"""Of detections, for trackers that have no use for lower ones."""


class Associating(Protocol):
    """A plain stateful tracker of many objects."""

    def update(self, detections: Detections) -> Tracks:
        """The tracks in this frame, from its detections."""
        ...


TRACKERS: dict[str, Callable[..., Associating]] = {"sort": Sort, "bytetrack": ByteTrack, "deepsort": DeepSort}
"""By the names that :func:`track` takes."""


def track(
    source: Any,
    *,
    model: nn.Module | str | Path | None = None,
    detections: Any = None,
    tracker: str | Associating = "bytetrack",
    box: Any = None,
    embed: Embed | nn.Module | str | Path | None = None,
    min_score: float | None = None,
    batch_size: int = 1,
    device: str | torch.device | None = None,
    stream: bool = False,
    **options: Any,
) -> list[Tracks] | Iterator[Tracks]:
    """The objects in every frame of ``source``, each known by its id.

    ``source``: a video, a folder of frames, a MOTChallenge sequence, or whatever else
    :func:`~baimu.inference.sources.open_images` takes, in the order of time. What is followed:

    - with a detector for ``model`` (a model, checkpoint, run folder or published weights), all that it finds of at
      least ``min_score``; or what ``detections`` say, a MOTChallenge file or the :class:`Detections` of each frame.
      ``tracker`` brings them together: ``sort``, ``bytetrack``, ``deepsort``, or an object with ``update(detections)``;
      ``options`` are those of its class, but that ``boxes`` are ``detected`` unless told otherwise. DeepSORT needs
      ``embed``: a function of a frame and boxes, or an embedder.
    - with a tracker of one object for ``model`` (``siamfc_alexnet``, …), the one in ``box`` (x1, y1, x2, y2) of the
      first frame, whose result is that box; ``options`` are those of the model's ``tracker``.

    With ``stream`` an iterator comes back that forgets what it has told; use it for long videos and for cameras. By
    default detectors tell what scores 0.3, for ByteTrack its ``low``. Raises :class:`~baimu.errors.DataError` for a
    source that is missing or empty, and :class:`~baimu.errors.BaimuError` where something to follow with is missing.
    """
    images = open_frames(source)
    if images.endless and not stream:
        raise DataError(f"{source}: has no end; pass stream=True and go through the results as they come")
    network: Any = load_model(model) if isinstance(model, str | Path) else model
    if getattr(network, "task", None) == "tracking":
        if box is None:
            raise BaimuError(
                "a tracker of one object needs to know where it is in the first frame: box=(x1, y1, x2, y2), or on the "
                "command line --box X,Y,WIDTH,HEIGHT"
            )
        place(network, device)
        results = follow(images, network.tracker(**_known(options, network)), np.asarray(box, float))
    else:
        if box is not None:
            raise BaimuError("box is for a tracker of one object, such as a trained siamfc_alexnet; leave it away")
        if (network is None) == (detections is None):
            raise BaimuError("give a model that detects or detections, one of the two: what is to be followed?")
        if network is not None and network.task not in _DETECT:
            raise BaimuError(f"model: is one of {network.task}, which finds no boxes; give a detector")
        associating = _associating(tracker, embed, device, options)
        least = getattr(associating, "low", LEAST_SCORE) if min_score is None else min_score
        if network is not None:
            predictor = Predictor(network, device=device, score_threshold=least)
            found: Iterable[Detections] = predictor.stream(images.items, batch_size=batch_size)
        else:
            found = _given(images, detections, min_score or 0.0)
        results = map(associating.update, found)
    return results if stream else list(results)


def open_frames(source: Any) -> Images:
    """As :func:`~baimu.inference.sources.open_images`; of a MOTChallenge sequence its frames and their rate."""
    if isinstance(source, str | Path) and is_sequence(Path(source)):
        sequence = open_sequence(source)
        return replace(open_images([str(frame) for frame in sequence.frames]), fps=sequence.fps)
    return open_images(source)


def follow(images: Images, tracker: Any, box: np.ndarray) -> Iterator[Tracks]:
    """The one object of ``box`` (4,) in all frames; ``tracker`` is a
    :class:`~baimu.tracking.siamese.SingleTracker`."""
    for number, item in enumerate(images.items):
        frame = item.read()
        if number == 0:
            try:
                tracker.init(frame, box)
            except ValueError as error:
                raise BaimuError(f"{item.name}: {error}") from None
            one = np.zeros(1, np.int64)
            size = (frame.shape[0], frame.shape[1])
            told = Tracks(box.astype(np.float32)[None], np.ones(1, np.float32), one, ("target",), size, ids=one + 1)
        else:
            told = tracker.update(frame)
        kept = None if item.is_file else frame
        yield replace(told, source=item.name, image=kept, read=item.read if item.is_file else None)


def _associating(
    tracker: str | Associating, embed: Any, device: str | torch.device | None, options: Mapping[str, Any]
) -> Associating:
    if not isinstance(tracker, str):
        if options:
            raise BaimuError(f"{', '.join(options)}: options are for a tracker by name; this one is made already")
        if not hasattr(tracker, "update"):
            raise ArgumentError(f"tracker={tracker!r}: give one of {', '.join(TRACKERS)}, or an object with update()")
        return tracker
    if tracker not in TRACKERS:
        raise unknown("tracker", tracker, TRACKERS)
    check_options(f"option of {tracker}", options, option_names(TRACKERS[tracker]))
    options = {"boxes": "detected", **options}  # a filter lags behind what changes its shape, which people see
    if tracker != "deepsort":
        return TRACKERS[tracker](**options)
    if isinstance(embed, str | Path):
        embed = load_model(embed)
    if embed is None:
        raise BaimuError(
            "deepsort needs embed: a trained embedder (reid_baseline_r50, …), or a function of a frame and boxes; "
            "bytetrack and sort do without"
        )
    return DeepSort(Appearance(embed, device) if isinstance(embed, nn.Module) else embed, **options)


def _known(options: Mapping[str, Any], network: Any) -> Mapping[str, Any]:
    """Options of a model's ``tracker``, whose class is named by what it returns."""
    kind = type(network.tracker())
    check_options(f"option of {kind.__name__}", options, option_names(kind))
    return options


class Appearance:
    """What an embedder says of the boxes in a frame: a :data:`~baimu.tracking.deepsort.Embed`."""

    def __init__(self, model: nn.Module, device: str | torch.device | None = None) -> None:
        self.predictor = Predictor(model, device=device)

    def __call__(self, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Unit vectors (N, D) of the boxes' pixels; of a box outside the frame the nearest pixel's."""
        height, width = frame.shape[:2]
        crops = []
        for x1, y1, x2, y2 in boxes:
            left, top = min(max(int(x1), 0), width - 1), min(max(int(y1), 0), height - 1)
            right, bottom = max(left + 1, min(round(x2), width)), max(top + 1, min(round(y2), height))
            crops.append(np.ascontiguousarray(frame[top:bottom, left:right]))
        return np.stack([found.vector for found in self.predictor(crops, batch_size=max(1, len(crops)))])


def _given(images: Images, detections: Any, min_score: float) -> Iterator[Detections]:
    """The detections of each frame, with its picture within reach."""
    if isinstance(detections, str | Path):
        detections = read_mot(detections)
    if isinstance(detections, TrackRows):
        rows = detections
        numbered = ((n, item, None) for n, item in enumerate(images.items, 1))
    else:
        rows = TrackRows.empty()
        numbered = ((n, item, found) for n, (item, found) in enumerate(zip(images.items, detections, strict=True), 1))
    for number, item, found in numbered:
        frame = None if item.is_file else item.read()
        if found is None:
            size = image_size(item.name) if frame is None else frame.shape[:2]
            found = rows.detections(number, (size[0], size[1]), item.name)
        found = found[found.scores >= min_score]
        yield replace(found, source=item.name, image=frame, read=item.read if frame is None else None)
