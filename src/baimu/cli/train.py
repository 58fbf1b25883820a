"""``baimu train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from baimu.recipes import Recipe

DATA = (
    "For detectors a COCO json or folder, VOC or YOLO folder, data.yaml, or playground; for classifiers a folder of "
    "class folders, a CSV list, or a folder of idx files; for text see docs/text.md; "
    "to make images of images see docs/generation.md."
)


def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model: see baimu models.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="Recipe fields to change; --dry-run lists them all. model.KEY=VALUE is an argument of the model.",
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help=DATA)] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write; by default a new one below runs.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out, or the newest of this model.")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(help="What to start from: checkpoint, run folder, name.tag, or a file of another library."),
    ] = None,
    devices: Annotated[int | None, typer.Option(min=1, help="Processes to train with, one a GPU.")] = None,
    val: Annotated[str | None, typer.Option(help="Data set to score on, where it is not part of --data.")] = None,
    val_fraction: Annotated[
        float | None,
        typer.Option(help="Share of all images to hold out, whatever splits the data has; without any, a fifth."),
    ] = None,
    tracker: Annotated[str | None, typer.Option(help="tensorboard, wandb or mlflow.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the recipe, with --data as fitted to the data, and stop.")
    ] = False,
) -> None:
    """Train a model on your own data.

    Writes a run folder: checkpoints, scores, curves, pictures, report.

    Example: baimu train fcos_r50_fpn --data my_photos epochs=24 lr=0.005

    Example: baimu train resnet18 --data photos_in_class_folders

    Example: baimu train fcos_r50_fpn --dry-run epochs=24
    """
    import baimu
    from baimu.cli.settings import parse_settings, split_arguments
    from baimu.zoo import recipe_of

    changes, arguments = split_arguments(parse_settings(settings or ()))
    recipe = recipe_of(model).replace(**changes)  # a wrong name or field is answered before anything is written
    if dry_run:
        _print_recipe(recipe if data is None else _fitted(model, data, val, val_fraction, weights, changes))
        return
    if data is None:
        raise typer.BadParameter("say what to train on, for example --data my_photos", param_hint="--data")
    run = baimu.train(
        model,
        data,
        out=out,
        resume=resume,
        weights=weights,
        devices=devices,
        val=val,
        val_fraction=val_fraction,
        tracker=tracker,
        arguments=arguments,
        **changes,
    )
    typer.echo(str(run))


def _fitted(
    model: str, data: str, val: str | None, val_fraction: float | None, weights: str | None, changes: dict[str, Any]
) -> Recipe:
    from baimu.training.train import plan

    return plan(model, data, {"val": val, "val_fraction": val_fraction}, changes, scratch=weights is None)[1]


def _print_recipe(recipe: Recipe) -> None:
    from baimu.cli.settings import format_setting
    from baimu.cli.table import print_table

    fields = type(recipe).model_fields
    rows = [(name, format_setting(value), fields[name].description or "") for name, value in recipe]
    print_table(("field", "value", "meaning"), rows)
