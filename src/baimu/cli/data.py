"""``baimu data``."""

from __future__ import annotations

from typing import Annotated

import typer


def data(
    source: Annotated[str, typer.Argument(help="COCO json or folder, VOC or YOLO folder, data.yaml, or playground.")],
) -> None:
    """Summarise a data set: splits, classes, object sizes, and every problem found.

    Example: baimu data playground:train=100,val=20
    """
    import baimu

    typer.echo(str(baimu.data(source)))
