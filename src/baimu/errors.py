"""The errors a user can meet. Each message names the file or argument, the record, and the mend."""

from __future__ import annotations

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator
from itertools import islice
from os import PathLike
from pathlib import Path

LISTED = 10_000
"""Of a larger folder only so many names are looked at for the one that was meant."""
OF_DISKS = {errno.ENOSPC, errno.EROFS, errno.EIO, errno.EFBIG, errno.EACCES, errno.EPERM, getattr(errno, "EDQUOT", 0)}
"""What a file system answers that is full, read-only, broken, or somebody else's."""


class BaimuError(Exception):
    """Anything that is wrong with what the user gave or with the place it is written to."""


class DataError(BaimuError):
    """A data set, an image or an annotation cannot be used; ``code`` is its rule in docs/data_rules.md, if any."""

    def __init__(self, message: str = "", code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ImageError(DataError):
    """One image cannot be decoded into right pixels; the message starts with its path."""

    too_large = False  # whether it has more pixels than are decoded


class CheckpointError(BaimuError):
    """A checkpoint is damaged, or belongs to another model or another class count."""


class DownloadError(CheckpointError):
    """Weights cannot be fetched; the message names the address, where the file would lie, and the mend."""


class UnknownNameError(BaimuError, KeyError):
    """A model, recipe field, class or option that does not exist; the message offers the nearest ones."""

    def __str__(self) -> str:  # KeyError would print the repr of its argument
        return str(self.args[0])


class ArgumentError(BaimuError, ValueError, TypeError):
    """A value of another type than can be used, or out of its range; the message names the argument and its range."""


class TrainingError(BaimuError):
    """Training cannot go on: a loss that is not finite, an unwritable run folder, a full disk."""


def unknown(kind: str, name: str, known: Iterable[str], *, listed: str = "") -> UnknownNameError:
    """An :class:`UnknownNameError` that offers the (at most three) nearest of the ``known`` names.

    ``listed``: where all of them stand, for the user to whom none is near.
    """
    name, known = str(name), sorted(known)
    likeness = {one: difflib.SequenceMatcher(None, one, name).ratio() for one in known}
    least = max(0.5, max(likeness.values(), default=0) - 0.2)  # what is much less alike than the nearest only distracts
    order = sorted(known, key=lambda one: (one.startswith(name), likeness[one]), reverse=True)
    near = [one for one in order if likeness[one] >= least][:3]
    if near:
        hint = f"Did you mean {' or '.join(near)}?"
    elif listed:
        hint = f"See {listed}."
    elif known:
        hint = f"Known: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}."
    else:
        hint = "There are none here; leave it away."
    return UnknownNameError(f"unknown {kind} {name!r}. {hint}")


def nearest_path(path: str | PathLike[str]) -> str:
    """``"; did you mean PATH?"`` for a path that is not there, if one much like it is; else an empty text."""
    path = Path(path)
    if path.exists():
        return ""
    try:
        there = {entry.stem: entry for entry in islice(path.parent.iterdir(), LISTED)}  # endings alike say nothing
    except OSError:
        return ""
    near = difflib.get_close_matches(path.stem, there, 1, 0.75)
    return f"; did you mean {there[near[0]]}?" if near else ""


@contextlib.contextmanager
def writing(place: Path, mend: str, kind: type[BaimuError] = BaimuError) -> Iterator[None]:
    """Inside, a file below the folder ``place`` that cannot be written is an error of ``kind`` with its mend.

    A failing write does not say of which file it was, so only what file systems answer is taken for one; an error that
    names a file elsewhere, of the data perhaps, passes as it is.
    """
    try:
        yield
    except OSError as error:
        named = isinstance(error.filename, str | Path)
        if not (Path(error.filename).is_relative_to(place) if named else error.errno in OF_DISKS):
            raise
        what = error.filename if named else place
        raise kind(f"{what}: cannot be written ({error.strerror or error}); {mend}") from error
