"""``baimu data``."""

from __future__ import annotations

from typing import Annotated

import typer


def data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="COCO json or folder, VOC or YOLO folder, data.yaml, images with masks, class folders, CSV list, idx "
            "files, a list of line images or of texts, trainA with trainB, a folder of images, photos:from=grey, "
            "playground.",
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(help="What to read it as, where it could be several: semantic_segmentation, classification, …"),
    ] = None,
) -> None:
    """Summarise a data set and its problems.

    Prints the images, and objects or labels, of each split and class, the sizes, and every record that is wrong.

    Example: baimu data playground:train=100,val=20

    Example: baimu data my_photos --kind semantic_segmentation
    """
    import baimu

    typer.echo(str(baimu.data(source, kind=kind)))
