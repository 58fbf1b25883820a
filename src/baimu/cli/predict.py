"""``baimu predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from baimu.results import Detections


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
        typer.Option(metavar="FILE", encoding="utf-8", lazy=False, help="JSON file for the detections."),
    ] = None,
    csv: Annotated[
        typer.FileTextWrite | None,
        typer.Option(metavar="FILE", encoding="utf-8", lazy=False, help="CSV file for the detections."),
    ] = None,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Leave out detections below this score.")] = 0.3,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 1,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
) -> None:
    """Find objects in images and videos.

    Every image is drawn with its detections into --out; a video becomes a video, a camera one until Ctrl-C.

    Example: baimu predict photo.jpg --model fcos_r50_fpn.coco

    Example: baimu predict runs/demo photo.jpg --out found --json found.json
    """
    from baimu.cli.records import write_csv, write_json
    from baimu.inference.saving import save_predictions

    if model is None:
        model, *sources = sources
    if not sources:
        raise typer.BadParameter("name a model and what to look at: runs/demo photo.jpg", param_hint="SOURCE")
    records = []

    def report(found: Detections, drawn_in: Path) -> None:
        records.append(found.to_dict())
        typer.echo(f"{found.source}: {_count(found.class_names)} → {drawn_in}")

    try:
        save_predictions(
            model, sources, out, batch_size=batch_size, score_threshold=min_score, device=device, report=report
        )
    finally:  # what was found before an interrupt or a broken image is kept
        if json:
            write_json(records, json)
        if csv:
            write_csv(records, csv)


def _count(names: list[str]) -> str:
    counts = {name: names.count(name) for name in names}
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "nothing"
