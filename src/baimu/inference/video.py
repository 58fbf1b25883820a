"""Video files and cameras in, video files out, through PyAV (an extra). Frames are RGB uint8 (H, W, 3), upright."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baimu.errors import DataError

if TYPE_CHECKING:
    import PIL.Image

SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".mpg",
        ".mpeg",
        ".mts",
        ".m2ts",
        ".ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
    }
)
"""Lower-case suffixes that make a file a video."""


def video_rate(path: str) -> float | None:
    """Frames a second of a video file, or None where it does not say.

    Raises :class:`~baimu.errors.DataError` for a file without pictures, or if PyAV is not installed.
    """
    with _opened(path, path) as container:
        rate = container.streams.video[0].average_rate
        return float(rate) if rate else None


def video_frames(path: str) -> Iterator[np.ndarray]:
    """The frames of a video file or network stream, turned the way they are meant to be seen.

    Damage that stops the decoder raises :class:`~baimu.errors.DataError`; smaller damage it conceals, as players do.
    """
    return _frames(path, path)


def camera_frames(index: int) -> Iterator[np.ndarray]:
    """The frames of the camera with this number, without end."""
    name = f"camera {index}"
    if sys.platform.startswith("linux"):
        device = Path(f"/dev/video{index}")
        if not device.exists():
            found = ", ".join(sorted(p.name.removeprefix("video") for p in Path("/dev").glob("video*")))
            raise DataError(f"{name}: there is no {device}; cameras here: {found or 'none'}")
        return _frames(str(device), name, format="v4l2")
    if sys.platform == "darwin":
        return _frames(str(index), name, format="avfoundation", options={"framerate": "30"})
    raise DataError(f"{name}: cameras are read on Linux and macOS only; elsewhere pass a generator of frames")


def save_video(path: str | Path, frames: Iterable[np.ndarray | PIL.Image.Image], fps: float = 25.0) -> Path:
    """Write RGB frames of one size to a video; the codec follows the suffix (H.264 for .mp4, .mov and .mkv).

    An odd width or height is filled up by repeating the last column or row, because the codecs ask for even ones. The
    file appears when it is complete. Raises :class:`~baimu.errors.DataError` for an unknown suffix, frames of
    different sizes, no frames, or a place that cannot be written.
    """
    av = _av(str(path))
    path = Path(path)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    size = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(part), "w") as container:
            stream: Any = None
            for frame in frames:
                pixels = np.asarray(frame)
                size = size or pixels.shape
                if pixels.shape != size:
                    raise DataError(f"{path}: frames of {size} and {pixels.shape}; a video has one size")
                pixels = np.pad(pixels, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
                if stream is None:
                    rate = Fraction(fps).limit_denominator(10_000)
                    stream = container.add_stream(container.default_video_codec, rate=rate)
                    stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            if stream is None:
                raise DataError(f"{path}: there are no frames to write")
            container.mux(stream.encode(None))
        part.replace(path)
    except (OSError, ValueError, av.FFmpegError) as error:
        raise DataError(
            f"{path}: cannot be written as a video ({error}); check the suffix, the folder and the disk"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def _frames(address: str, name: str, **options: Any) -> Iterator[np.ndarray]:
    av = _av(name)
    count = 0
    with _opened(address, name, **options) as container:
        container.streams.video[0].thread_type = "AUTO"
        try:
            for frame in container.decode(video=0):
                turns = round(frame.rotation / 90)  # counter-clockwise, from the file's display matrix
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
                count += 1
        except av.FFmpegError as error:
            raise DataError(f"{name}: frame {count} cannot be decoded ({error}); the file may be cut off") from None


@contextlib.contextmanager
def _opened(address: str, name: str, **options: Any) -> Iterator[Any]:
    av = _av(name)
    try:
        container = av.open(address, **options)
    except (OSError, ValueError, av.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{name}: cannot be opened as a video ({reason}); see whether a player shows it, or convert it to MP4"
        ) from None
    with container:
        if not container.streams.video:
            raise DataError(f"{name}: holds no pictures; give a video file")
        yield container


def _av(name: str) -> Any:
    try:
        import av
    except ImportError:
        raise DataError(f"{name}: video needs PyAV; install it with: pip install 'baimu[video]'") from None
    return av
