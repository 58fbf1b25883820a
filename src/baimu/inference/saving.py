"""Predictions as files for people: an annotated picture for each image, an annotated video for each video."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from baimu.errors import DataError
from baimu.inference import video
from baimu.inference.predictor import Predictor, load_model
from baimu.inference.searching import Index, embedder_of, search
from baimu.inference.sources import Images
from baimu.inference.tasks import medium_of
from baimu.results import Matches, Result

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
"""Suffixes that an annotated picture keeps; of any other image it becomes a PNG."""


def save_predictions(
    model: nn.Module | str | Path,
    sources: Sequence[str],
    out: str | Path,
    *,
    batch_size: int = 1,
    report: Callable[[Result, Path | None], None] = lambda found, path: None,
    **options: Any,
) -> list[Path]:
    """Draw the results of every source into the folder ``out``; returns the files written, in order.

    ``sources``: what :func:`~baimu.inference.sources.open_images` takes as text. A folder keeps its subfolders; two
    sources of one name get ``name.jpg`` and ``name-2.jpg``. A camera is recorded until Ctrl-C. ``report`` is called
    with the result of every image or frame and its file; texts have none. ``options`` as for :class:`Predictor`.

    Raises :class:`~baimu.errors.DataError` for a source that is missing or empty before anything is written, and where
    ``out`` cannot be written or the image itself would be overwritten.
    """
    network = model if isinstance(model, nn.Module) else load_model(model)
    medium = medium_of(network)
    opened = [(source, medium.open(source)) for source in sources]
    predictor = Predictor(network, **options)
    written: dict[Path, None] = {}
    for source, images in opened:
        if not medium.drawn:
            for found in predictor.stream(images.items, batch_size=batch_size):
                report(found, None)
            continue
        if images.endless or Path(source).suffix.lower() in video.SUFFIXES:
            path = _free(Path(out), Path(_file_name(source)).with_suffix(".mp4"), written, source)
            _record(predictor, images, path, batch_size, report)
            written[path] = None
            continue
        for found in predictor.stream(images.items, batch_size=batch_size):
            path = _free(Path(out), _picture_name(found.source, source), written, found.source)
            _save(found, path)
            written[path] = None
            report(found, path)
    return list(written)


def save_matches(
    index: Index | str | Path, sources: Sequence[str], out: str | Path, *, model: Any = None, **options: Any
) -> Iterator[tuple[Matches, Path]]:
    """Search every image of ``sources`` and draw it with its answers into the folder ``out``: each result and its file.

    ``options`` as of :func:`~baimu.inference.searching.search`; errors too, and those of files as of
    :func:`save_predictions`.
    """
    held = index if isinstance(index, Index) else Index.load(index)
    network = embedder_of(held, model)
    written: dict[Path, None] = {}
    for source in sources:
        for found in search(held, source, model=network, **options):
            path = _free(Path(out), _picture_name(found.source, source), written, found.source)
            _save(found, path)
            written[path] = None
            yield found, path


def _save(found: Result, path: Path) -> None:
    try:
        found.save(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from None


def _picture_name(name: str, source: str) -> Path:
    inside = Path(source).is_dir() and Path(name).is_relative_to(source)
    path = Path(name).relative_to(source) if inside else Path(_file_name(name))
    return path if path.suffix.lower() in PICTURES else path.with_suffix(".png")


def _file_name(address: str) -> str:
    """The last part of a path or URL; ``camera:0`` and the like become names that every file system takes."""
    last = address.partition("?")[0].rstrip("/").rpartition("/")[2]
    return "".join(c if c.isalnum() or c in "-_. " else "-" for c in last) or "picture"


def _free(out: Path, name: Path, written: dict[Path, None], source: str) -> Path:
    """``out / name``, numbered where this call has written it already."""
    numbered = (name if i == 1 else name.with_stem(f"{name.stem}-{i}") for i in count(1))
    path = next(out / candidate for candidate in numbered if out / candidate not in written)
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise DataError(f"{source}: its picture would overwrite the image itself; choose another folder than {out}")
    return path


def _record(
    predictor: Predictor, images: Images, path: Path, batch_size: int, report: Callable[[Result, Path | None], None]
) -> None:
    with _until_interrupted(images.endless) as running:

        def frames() -> Iterator[np.ndarray]:
            for found in predictor.stream(images.items, batch_size=batch_size):
                report(found, path)
                yield np.asarray(found.draw())
                if not running():
                    return

        video.save_video(path, frames(), images.fps or 25.0)


@contextlib.contextmanager
def _until_interrupted(endless: bool) -> Iterator[Callable[[], bool]]:
    """Inside, Ctrl-C ends an endless recording, so that what was recorded is saved, and not the program."""
    if not endless:
        yield lambda: True
        return
    stopped: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
    try:
        yield lambda: not stopped
    finally:
        signal.signal(signal.SIGINT, before)
