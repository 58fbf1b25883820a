"""``baimu predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from baimu.results import Result


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] SOURCE",
            help='The model, unless --model names it; then images, folders, patterns such as "a/*.jpg", URLs, videos, '
            "camera:0.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint, run folder, or name.tag of published weights: see baimu weights list."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the annotated pictures and videos.")] = Path("predictions"),
    json: Annotated[
        typer.FileTextWrite | None,
        typer.Option(metavar="FILE", encoding="utf-8", lazy=False, help="JSON file for the results."),
    ] = None,
    csv: Annotated[
        typer.FileTextWrite | None,
        typer.Option(metavar="FILE", encoding="utf-8", lazy=False, help="CSV file for the results."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Leave out what scores less; by default 0.3 for objects, 0 for classes."),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Classes to tell of an image, at most; by default 5. For classifiers.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 1,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
) -> None:
    """Find the objects in images and videos, or their classes, whatever the model was trained for.

    Every image is drawn with its result into --out; a video becomes a video, a camera one until Ctrl-C.

    Example: baimu predict photo.jpg --model fcos_r50_fpn.coco

    Example: baimu predict runs/demo photo.jpg --out found --json found.json

    Example: baimu predict runs/flowers garden/ --top 3 --csv flowers.csv
    """
    from baimu.cli.records import write_csv, write_json
    from baimu.inference.saving import save_predictions

    if model is None:
        model, *sources = sources
    if not sources:
        raise typer.BadParameter("name a model and what to look at: runs/demo photo.jpg", param_hint="SOURCE")
    records = []

    def report(found: Result, drawn_in: Path) -> None:
        records.append(found.to_dict())
        typer.echo(f"{found.source}: {found.summary} → {drawn_in}")

    given = {"score_threshold": min_score, "top": top}
    options = {name: value for name, value in given.items() if value is not None}
    try:
        save_predictions(model, sources, out, batch_size=batch_size, device=device, report=report, **options)
    finally:  # what was found before an interrupt or a broken image is kept
        if json:
            write_json(records, json)
        if csv:
            write_csv(records, csv)
