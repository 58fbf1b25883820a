"""``baimu data``."""

from __future__ import annotations

from typing import Annotated

import typer


def data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="COCO json or folder, VOC or YOLO folder, data.yaml, class folders, CSV list, idx files, playground.",
        ),
    ],
) -> None:
    """Summarise a data set and its problems.

    Prints the images, and objects or labels, of each split and class, the sizes, and every record that is wrong.

    Example: baimu data playground:train=100,val=20
    """
    import baimu

    typer.echo(str(baimu.data(source)))
