"""``baimu train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    model: Annotated[str, typer.Argument(help="Name of a model: see baimu models.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Recipe fields to change. --dry-run lists them all."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Data set: COCO json or folder, VOC or YOLO folder, data.yaml, or playground.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write. Default: a new one below runs/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in --out stopped.")] = False,
    weights: Annotated[str | None, typer.Option(help="Checkpoint whose parameters to start from.")] = None,
    devices: Annotated[int | None, typer.Option(min=1, help="Processes to train with, one a device.")] = None,
    val_fraction: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of images to hold out where the data has no split.")
    ] = 0.2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe and stop.")] = False,
) -> None:
    """Train a model on your own data and write a run folder: checkpoints, scores, curves, pictures, report.

    Example: baimu train fcos_r50_fpn --data FOLDER epochs=24 lr=0.005

    Example: baimu train fcos_r50_fpn --dry-run epochs=24
    """
    import baimu
    from baimu.cli.settings import parse_settings

    changes = parse_settings(settings or ())
    if dry_run:
        from baimu.zoo import recipe_of

        typer.echo(recipe_of(model).replace(**changes).describe())
        return
    if data is None:
        raise typer.BadParameter("say what to train on, for example --data FOLDER", param_hint="--data")
    run = baimu.train(
        model,
        data,
        out=out,
        resume=resume,
        weights=weights,
        devices=devices,
        val_fraction=val_fraction,
        **changes,
    )
    typer.echo(str(run))
