"""``baimu eval``."""

from __future__ import annotations

from typing import Annotated

import typer


def eval(
    model: Annotated[str, typer.Argument(help="Checkpoint or run folder.")],
    data: Annotated[str, typer.Option(help="Data set: COCO json or folder, VOC or YOLO folder, or playground.")],
    split: Annotated[str, typer.Option(help="Part of the data set to score.")] = "val",
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 8,
) -> None:
    """Score a trained model on a data set: COCO's twelve figures and the average precision of each class.

    Example: baimu eval runs/demo --data playground:val=50
    """
    import baimu

    typer.echo(str(baimu.eval(model, data, split=split, batch_size=batch_size)))
