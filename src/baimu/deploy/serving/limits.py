"""What a request may cost, and the answer to one that costs more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

from baimu.errors import BaimuError

SLOWEST = 16 << 10
"""Bytes a second that a client sends and takes at least, after the seconds that everyone has."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one server. ``pixels`` are of an image as its header states them, before it is decoded; of a model that
    makes larger pictures, or maps of many classes, fewer are taken (:func:`pixels_for`). ``held_bytes`` bounds the
    bodies of all requests together."""

    body_bytes: int = 16 << 20
    pixels: int = 40_000_000
    files: int = 16  # of one request
    queue: int = 128  # images that wait or are worked on
    seconds: float = 30.0  # from the whole request to its answer
    read_seconds: float = 10.0  # for a request to come, and a second more for every SLOWEST bytes of it
    connections: int = 512
    held_bytes: int = 512 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise BaimuError(f"{field.name} must be above 0, got {getattr(self, field.name)}")


class Refusal(Exception):
    """A request that is answered with an error: its HTTP status, a word for programs, and a sentence for people."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def to_dict(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "message": self.message}}


class Budget:
    """An amount that requests share; the event loop's own, so without a lock."""

    def __init__(self, most: int) -> None:
        self.most, self.used = most, 0

    @property
    def left(self) -> int:
        return self.most - self.used

    @contextlib.contextmanager
    def share(self) -> Iterator[Callable[[int], bool]]:
        """Inside, a function that takes so much more, or tells that less was left; at the end all is given back."""
        taken = 0

        def take(amount: int) -> bool:
            nonlocal taken
            if amount > self.left:
                return False
            self.used += amount
            taken += amount
            return True

        try:
            yield take
        finally:
            self.used -= taken


LOGITS = 400_000_000
"""Numbers of a segmenter's answer at the size of the source, 1.6 GB: more pixels than that are not taken."""


def pixels_for(model: object, limits: Limits) -> int:
    """Pixels that an image for ``model`` may have, so that neither it nor what is made of it passes the bound."""
    task = getattr(model, "task", None)
    if task == "generation":
        return limits.pixels // getattr(model, "scale", 1) ** 2
    if task == "semantic_segmentation":
        return min(limits.pixels, LOGITS // max(1, len(getattr(model, "classes", ()))))
    return limits.pixels
