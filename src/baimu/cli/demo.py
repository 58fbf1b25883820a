"""``baimu demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Recipe fields to change, for example epochs=12.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder to write; numbered where a run stands already.")] = Path(
        "runs/demo"
    ),
) -> None:
    """Train a small detector and show the result.

    It learns from drawn scenes in about five minutes on two cores and is scored on scenes that it has not seen.

    Example: baimu demo
    """
    import baimu
    from baimu.cli.settings import parse_settings

    baimu.demo(out=out, **parse_settings(settings or ()))
