"""``baimu eval``."""

from __future__ import annotations

from typing import Annotated

import typer

from baimu.cli.segmenting import Flip, Scales, Window, given


def eval(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Checkpoint or run folder.")],
    data: Annotated[str, typer.Option(help="Whatever baimu train takes for this model: see baimu train --help.")],
    split: Annotated[
        str | None, typer.Option(help="Split of the data set to score; by default val, else test, else all.")
    ] = None,
    val_fraction: Annotated[
        float | None, typer.Option(help="Score the share of images that training with this option held out.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 8,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load images.")] = 0,
    window: Window = None,
    scales: Scales = None,
    flip: Flip = False,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
) -> None:
    """Score a trained model on a data set.

    Prints the figures of its task and a table of the classes: of a detector COCO's twelve, of a classifier accuracy,
    precision and recall, calibration, of a segmenter mean IoU, accuracy and Dice.

    Example: baimu eval runs/demo --data playground:val=50

    Example: baimu eval runs/mine --data my_photos --split test

    Example: baimu eval runs/cells --data my_cells --scales 0.75,1,1.25 --flip
    """
    import baimu

    scores = baimu.eval(
        model,
        data,
        split=split,
        val_fraction=val_fraction,
        batch_size=batch_size,
        workers=workers,
        device=device,
        **given(window, scales, flip),
    )
    typer.echo(str(scores))
