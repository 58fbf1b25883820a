"""``baimu explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from baimu.results import Result


def explain(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] SOURCE",
            help="The model, unless --model names it; then images, folders, patterns, URLs or videos, as for predict.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint, run folder, or name.tag of published weights: see baimu weights list."),
    ] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", help="The class to explain; by default the best of each image.")
    ] = None,
    level: Annotated[
        int | None,
        typer.Option(help="Of the backbone's maps: 5 has stride 32, 2 has 4; by default the coarsest that it gives."),
    ] = None,
    detection: Annotated[
        int | None, typer.Option(min=0, help="One detection alone, as predict numbers them, the best is 0.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="grad_cam or hires_cam; by default the first for classifiers, the second for detectors."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("explanations"),
    json: Annotated[
        typer.FileTextWrite | None,
        typer.Option(metavar="FILE", encoding="utf-8", lazy=False, help="JSON file for the coarse heat maps."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
) -> None:
    """Show where in an image a model sees a class (Grad-CAM).

    Every image is drawn under its heat map into --out. Works for classifiers and detectors.

    Example: baimu explain photo.jpg --model runs/flowers --class rose

    Example: baimu explain runs/demo photo.jpg --level 4 --detection 0
    """
    from baimu.cli.records import write_json
    from baimu.inference.explaining import Explaining
    from baimu.inference.saving import save_predictions

    if model is None:
        model, *sources = sources
    if not sources:
        raise typer.BadParameter("name a model and what to look at: runs/demo photo.jpg", param_hint="SOURCE")
    records = []

    def report(found: Result, drawn_in: Path | None) -> None:
        records.append(found.to_dict())
        typer.echo(f"{found.source}: {found.summary} → {drawn_in}")

    save_predictions(
        model,
        sources,
        out,
        report=report,
        task=Explaining,
        fold=False,
        device=device,
        class_name=class_name,
        level=level,
        detection=detection,
        method=method,
    )
    if json:
        write_json(records, json)
