"""``baimu predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[str, typer.Argument(help="Checkpoint or run folder.")],
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Images, folders, patterns, URLs, videos.")],
    out: Annotated[Path, typer.Option(help="Folder for the annotated pictures.")] = Path("predictions"),
    json: Annotated[Path | None, typer.Option(help="Also write the detections to this file.")] = None,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Leave out detections below this score.")] = 0.25,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 1,
) -> None:
    """Find objects in images or videos and draw them.

    Example: baimu predict runs/demo photo.jpg --out found --json found.json
    """
