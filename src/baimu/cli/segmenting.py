"""Options of segmenters that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from baimu.results import Result

Window = Annotated[
    int | None, typer.Option(min=1, help="Look through windows of so many pixels of the input. For segmenters.")
]
Scales = Annotated[
    str | None, typer.Option(help="Sizes of the input to take the mean over, as 0.75,1,1.25. For segmenters.")
]
Flip = Annotated[bool, typer.Option("--flip", help="Look at mirror images too. For segmenters.")]
Maps = Annotated[
    Path | None, typer.Option(help="Folder for label maps, as PNG files whose values are labels. For segmenters.")
]


def given(window: int | None, scales: str | None, flip: bool) -> dict[str, Any]:
    """Those that were given, as of :func:`baimu.predict`."""
    options: dict[str, Any] = {} if window is None else {"window": window}
    if scales:
        try:
            options["scales"] = [float(word) for word in scales.split(",")]
        except ValueError:
            raise typer.BadParameter(f"{scales!r}: write numbers, as 0.75,1,1.25", param_hint="--scales") from None
    return options | ({"flip": True} if flip else {})


def save_map(found: Result, folder: Path) -> None:
    """The labels of an image or frame as ``folder/NAME.png``."""
    from baimu.results import Segmentation

    if not isinstance(found, Segmentation):
        raise typer.BadParameter("only a segmenter makes label maps", param_hint="--maps")
    path = Path(found.source.replace("#", "-"))
    found.save_map(folder / f"{path.stem if path.suffix else path.name}.png")
