"""``baimu eval``."""

from __future__ import annotations

from typing import Annotated

import typer


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
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="An option of scoring its task, of a segmenter such as scales=0.75,1; repeat at will.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
) -> None:
    """Score a trained model on a data set.

    Prints the figures of its task and a table of the classes: of a detector COCO's twelve, of a classifier accuracy,
    precision and recall, calibration, of a segmenter mean IoU, accuracy and Dice.

    Example: baimu eval runs/demo --data playground:val=50

    Example: baimu eval runs/mine --data my_photos --split test

    Example: baimu eval runs/cells --data my_cells --set scales=0.75,1,1.25 --set flip=true
    """
    import baimu
    from baimu.cli.settings import parse_options
    from baimu.training.evaluate import OPTION, options_of

    network = baimu.load(model)
    scores = baimu.eval(
        network,
        data,
        split=split,
        val_fraction=val_fraction,
        batch_size=batch_size,
        workers=workers,
        device=device,
        **parse_options(settings or (), OPTION, options_of(network)),
    )
    typer.echo(str(scores))
