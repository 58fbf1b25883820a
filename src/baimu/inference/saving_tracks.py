"""Tracks as files for people and for benchmarks: an annotated video or annotated frames, and MOTChallenge's text."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from baimu.datasets.formats.mot import write_mot
from baimu.draw.tracks import Trails
from baimu.errors import DataError
from baimu.inference import video
from baimu.inference.saving import PICTURES
from baimu.inference.tracking import open_frames, track
from baimu.results import Tracks

TEXT = "tracks.txt"


def save_tracks(
    source: str | Path,
    out: str | Path,
    *,
    trail: int = 30,
    report: Callable[[Tracks], None] = lambda found: None,
    **options: Any,
) -> list[Tracks]:
    """Follow the objects of ``source`` and draw them; returns the tracks of every frame, without pictures.

    ``out`` is a video file, or a folder, which gets a video for a video and else a picture for each frame; beside them
    lies ``tracks.txt``. ``trail``: frames of the way that is drawn behind an object. ``report`` is called with the
    tracks of every frame. ``options`` as for :func:`~baimu.inference.tracking.track`. Raises
    :class:`~baimu.errors.DataError` where ``out`` cannot be written.
    """
    out, images = Path(out), open_frames(source)
    if images.endless:
        raise DataError(f"{source}: has no end; follow it from Python: baimu.track(…, stream=True)")
    told: list[Tracks] = []

    def pictures() -> Iterator[tuple[str, np.ndarray]]:
        trails = _Trails(trail)
        found: Any = track(source, stream=True, **options)
        for tracks in found:
            report(tracks)
            told.append(tracks.without_picture())
            yield tracks.source, np.asarray(tracks.draw(trails=trails.after(tracks)))

    film = out if out.suffix.lower() in video.SUFFIXES else None
    if film is None and Path(source).suffix.lower() in video.SUFFIXES:
        film = out / f"{Path(source).stem}.mp4"
    if film is not None:
        video.save_video(film, (picture for _, picture in pictures()), images.fps or 25.0)
    else:
        _save_frames(out, pictures())
    write_mot((out.parent if film == out else out) / TEXT, told)
    return told


def _save_frames(out: Path, pictures: Iterator[tuple[str, np.ndarray]]) -> None:
    for name, pixels in pictures:
        path = out / Path(name.replace("#", "-")).name
        path = path if path.suffix.lower() in PICTURES else path.with_suffix(".png")
        if path.exists() and Path(name).exists() and path.samefile(name):
            raise DataError(f"{name}: its picture would overwrite the frame itself; choose another folder than {out}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from None


class _Trails:
    """Where the foot of each box stood in the last frames."""

    def __init__(self, length: int) -> None:
        self._places: dict[int, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=max(1, length)))

    def after(self, tracks: Tracks) -> Trails:
        for number, (x1, _, x2, y2) in zip(tracks.ids.tolist(), tracks.boxes.tolist(), strict=True):
            self._places[number].append(((x1 + x2) / 2, y2))
        return self._places
