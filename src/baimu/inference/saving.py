"""Predictions as files for people: an annotated picture for each image, an annotated video for each video."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import nn

from baimu.errors import DataError
from baimu.inference import video
from baimu.inference.predictor import OnError, Predictor, load_model
from baimu.inference.searching import Index, embedder_of, search
from baimu.inference.sources import Images
from baimu.inference.tasks import medium_of
from baimu.results import Matches, Result, Segmentation, Unread

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
"""Suffixes that an annotated picture keeps; of any other image it becomes a PNG."""


def save_predictions(
    model: nn.Module | str | Path,
    sources: Sequence[str],
    out: str | Path,
    *,
    batch_size: int = 1,
    on_error: OnError = "stop",
    maps: str | Path | None = None,
    report: Callable[[Result, Path | None], None] = lambda found, path: None,
    **options: Any,
) -> list[Path]:
    """Draw the results of every source into the folder ``out``; returns the files written, in order.

    ``sources``: what :func:`~baimu.inference.sources.open_images` takes as text. A folder keeps its subfolders; two
    sources of one name get ``name.jpg`` and ``name-2.jpg``. A camera is recorded until Ctrl-C. ``report`` is called
    with the result of every image or frame and its file; texts have none, and neither has an image that cannot be read
    (:class:`~baimu.results.Unread`, with ``on_error="record"``). ``maps``: folder for the label maps of a segmenter.
    ``options`` as for :class:`Predictor`.

    Raises :class:`~baimu.errors.DataError` for a source that is missing or empty before anything is written, and where
    ``out`` cannot be written or the image itself would be overwritten.
    """
    network = model if isinstance(model, nn.Module) else load_model(model)
    medium = medium_of(network)
    opened = [(source, medium.open(source)) for source in sources]
    predictor = Predictor(network, **options)
    written: dict[Path, None] = {}
    names, map_names = Names(), Names()
    for source, images in opened:
        stream = predictor.stream(images.items, batch_size=batch_size, on_error=on_error)
        if maps is not None:
            stream = _with_maps(stream, Path(maps), map_names)
        if not medium.drawn:
            for found in stream:
                report(found, None)
            continue
        if images.endless or Path(source).suffix.lower() in video.SUFFIXES:
            path = Path(out, names.free(Path(_file_name(source)).with_suffix(".mp4")))
            refuse_source(path, source)
            _record(stream, images, path, report)
            written[path] = None
            continue
        folder = folder_of(source)
        for found in stream:
            path = Path(out, names.free(picture_name(found.source, folder)))
            if isinstance(found, Unread):  # its name stays free of others
                report(found, None)
                continue
            refuse_source(path, found.source)
            save_picture(found, path)
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
    names = Names()
    for source in sources:
        folder = folder_of(source)
        for found in search(held, source, model=network, **options):
            path = Path(out, names.free(picture_name(found.source, folder)))
            refuse_source(path, found.source)
            save_picture(found, path)
            yield found, path


def save_picture(found: Result, path: Path, part: Path | None = None) -> None:
    """Draw a result to ``path``; by way of ``part``, a file of the same suffix, where nobody may see half a picture."""
    _write(found.save, path, part)


def save_map(found: Result, path: Path, part: Path | None = None) -> None:
    """Write the labels of a segmentation; ``part`` as for :func:`save_picture`."""
    if not isinstance(found, Segmentation):
        raise DataError(f"{found.source}: only a segmenter makes label maps; leave out the folder for them")
    _write(found.save_map, path, part)


def _write(save: Callable[[Path], Any], path: Path, part: Path | None) -> None:
    try:
        save(part or path)
        if part is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from None


def folder_of(source: str) -> Path | None:
    """The source, where it is a folder."""
    folder = Path(source)
    return folder if folder.is_dir() else None


def picture_name(name: str, folder: Path | None) -> Path:
    """Where the picture of an image goes, below the folder for all: an image of a ``folder`` keeps its subfolders."""
    path = Path(_file_name(name))
    if folder is not None and Path(name).is_relative_to(folder):
        path = Path(name).relative_to(folder)
    return path if path.suffix.lower() in PICTURES else path.with_suffix(".png")


def _file_name(address: str) -> str:
    """The last part of a path or URL; ``camera:0`` and the like become names that every file system takes."""
    last = address.partition("?")[0].rstrip("/").rpartition("/")[2]
    return "".join(c if c.isalnum() or c in "-_. " else "-" for c in last) or "picture"


class Numbers(Protocol):
    """The number that each name was last given; a dictionary is one."""

    def get(self, name: str, /) -> int | None: ...

    def __setitem__(self, name: str, number: int, /) -> None: ...


class Names:
    """The names of one call's files: the second of a name is ``name-2``, and so on."""

    def __init__(self, numbers: Numbers | None = None) -> None:
        self._numbers: Numbers = {} if numbers is None else numbers

    def free(self, name: Path) -> str:
        """``name`` as text, numbered where this call has given it away already."""
        last = self._numbers.get(str(name))
        if last is None:
            self._numbers[str(name)] = 1
            return str(name)
        tried = ((i, str(name.with_stem(f"{name.stem}-{i}"))) for i in count(last + 1))
        number, free = next((i, new) for i, new in tried if self._numbers.get(new) is None)
        self._numbers[str(name)] = number
        self._numbers[free] = 1
        return free


def refuse_source(path: Path, source: str) -> None:
    """Raises :class:`~baimu.errors.DataError` where ``path`` is the source itself."""
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise DataError(f"{source}: its picture would overwrite the image itself; choose another folder for pictures")


def map_name(name: str) -> Path:
    """The file of an image's or frame's label map."""
    path = Path(name.replace("#", "-"))
    return Path(f"{path.stem if path.suffix else path.name}.png")


def _with_maps(stream: Iterator[Result], folder: Path, names: Names) -> Iterator[Result]:
    for found in stream:
        path = folder / names.free(map_name(found.source))
        if not isinstance(found, Unread):
            save_map(found, path)
        yield found


def _record(
    stream: Iterator[Result], images: Images, path: Path, report: Callable[[Result, Path | None], None]
) -> None:
    with _until_interrupted(images.endless) as running:

        def frames() -> Iterator[np.ndarray]:
            for found in stream:
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
