"""``baimu demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/demo"),
) -> None:
    """Train a small detector on drawn scenes, score it on unseen ones, and show the result: about five minutes.

    Example: baimu demo
    """
    import baimu

    baimu.demo(out=out)
