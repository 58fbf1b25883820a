"""What all results have: the image that they are about, and the way to a picture."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    import PIL.Image


class Result:
    """What a model says of one image. A subclass is a frozen dataclass with these fields and its own.

    ``size`` is the image's (height, width), ``source`` its path or another name. ``image`` is the RGB uint8 image
    itself, kept only where ``read`` cannot get it from its file again.
    """

    names: tuple[str, ...]
    size: tuple[int, int]
    source: str
    image: np.ndarray | None
    read: Callable[[], np.ndarray] | None

    def draw(self, image: np.ndarray | PIL.Image.Image | None = None, **options: Any) -> PIL.Image.Image:
        """The image with the result drawn on it: the one given, else ``image``, else what ``read`` reads.

        ``options`` as of :func:`baimu.draw.boxes.draw_detections`, :func:`baimu.draw.classes.draw_classes` or
        :func:`baimu.draw.heat.draw_explanation`. Raises ``ValueError`` where there is no image.
        """
        from baimu.draw.results import draw_result

        return draw_result(self._picture(image), self, **options)

    @property
    def summary(self) -> str:
        """In a few words."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON; the image stays behind."""
        raise NotImplementedError

    columns: ClassVar[tuple[str, ...]] = ("source", "summary")
    """Of :meth:`to_rows`."""

    def to_rows(self) -> list[tuple[Any, ...]]:
        """The result as rows of a table for people, such as a CSV file: scores to four digits, pixels to two; none
        where there is nothing to tell."""
        return [(self.source, self.summary)]

    def save(self, path: str | Path, **options: Any) -> Path:
        """Draw and write the picture to ``path``; the format follows its suffix."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.draw(**options).save(path)
        return path

    def _picture(self, image: np.ndarray | PIL.Image.Image | None) -> np.ndarray | PIL.Image.Image:
        if image is None:
            image = self.image
        if image is None and self.read is not None:
            image = self.read()
        if image is None:
            raise ValueError(f"the image of this result ({self.source!r}) is not here; pass it: result.draw(image)")
        return image


def extra(name: str) -> Any:
    """The module of an optional dependency, or an ``ImportError`` that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"this needs {name}; install it with: pip install 'baimu[{name}]'", name=name) from None
