"""A picture that a model made of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baimu.results.result import Result

if TYPE_CHECKING:
    import PIL.Image

QUALITY = 95
"""Of a JPEG that a made picture is saved as."""


@dataclass(frozen=True, eq=False)
class Picture(Result):
    """``made`` (H', W', 3) uint8 RGB: the source ``scale`` times as large, or of its size, as of the domain ``kind``.

    ``size``, ``source``, ``image`` and ``read`` as of :class:`~baimu.results.result.Result`. Raises ``ValueError``
    where type or shape do not fit.
    """

    made: np.ndarray
    size: tuple[int, int]
    source: str = ""
    scale: int = 1
    kind: str = ""
    names: tuple[str, ...] = ()
    image: np.ndarray | None = None
    read: Callable[[], np.ndarray] | None = None

    def __post_init__(self) -> None:
        wanted = (self.scale * self.size[0], self.scale * self.size[1], 3)
        if self.made.shape != wanted or self.made.dtype != np.uint8:
            raise ValueError(f"made must be uint8 of shape {wanted}, got {self.made.dtype} {self.made.shape}")

    @property
    def summary(self) -> str:
        """Its size, and what it is a picture of: ``3072x2048, zebra``."""
        return ", ".join(filter(None, (f"{self.made.shape[1]}x{self.made.shape[0]}", self.kind)))

    def draw(
        self, image: np.ndarray | PIL.Image.Image | None = None, *, beside: bool = False, **options: Any
    ) -> PIL.Image.Image:
        """The picture that was made; with ``beside`` the source, enlarged as much, at its left."""
        from PIL import Image

        return super().draw(image, **options) if beside else Image.fromarray(self.made)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write what :meth:`draw` gives to ``path``; the format follows its suffix, a JPEG is hardly compressed."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = self.draw(**options)
        if path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
            picture.save(path, quality=QUALITY)
        else:
            picture.save(path)
        return path

    def to_dict(self) -> dict[str, Any]:
        """Sizes and names, ready for JSON; the pixels stay behind."""
        height, width = self.made.shape[:2]
        own = {"source": self.source, "height": self.size[0], "width": self.size[1]}
        return {**own, "made": {"height": height, "width": width, "kind": self.kind}}

    columns = ("source", "kind", "width", "height")

    def to_rows(self) -> list[tuple[Any, ...]]:
        """One row, what was made."""
        return [(self.source, self.kind, self.made.shape[1], self.made.shape[0])]
