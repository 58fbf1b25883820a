"""``baimu predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baimu.cli.scaling import Address, Engine, OnError, Workers, check_engine, predict_on_ray

if TYPE_CHECKING:
    from baimu.results import Result

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] SOURCE",
        help='The model, unless --model names it; then images, folders, patterns such as "a/*.jpg", URLs, videos, '
        "camera:0, @FILE with a path a line.",
    ),
]
Json = Annotated[
    typer.FileTextWrite | None,
    typer.Option(metavar="FILE", encoding="utf-8", lazy=False, help="JSON file for the results."),
]
Csv = Annotated[
    typer.FileTextWrite | None,
    typer.Option(metavar="FILE", encoding="utf-8", lazy=False, help="CSV file for the results."),
]
MinScore = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Leave out what scores less; by default 0.3 for objects, 0 for classes."),
]
Top = Annotated[
    int | None, typer.Option(min=1, help="Classes to tell of an image, at most; by default 5. For classifiers.")
]
Maps = Annotated[
    Path | None, typer.Option(help="Folder for label maps, as PNG files whose values are labels. For segmenters.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="An option of the model's task, such as classes=cat,dog, scales=0.75,1 or lexicon=words.txt: see "
        "docs/inference.md; repeat at will.",
    ),
]


def predict(
    sources: Sources,
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint, run folder, or name.tag of published weights: see baimu weights list."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the annotated pictures and videos.")] = Path("predictions"),
    json: Json = None,
    csv: Csv = None,
    min_score: MinScore = None,
    top: Top = None,
    maps: Maps = None,
    settings: Settings = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 1,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
    on_error: OnError = "stop",
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Find the objects in images and videos, or their classes, whatever the model was trained for.

    Every image is drawn with its result into --out; a video becomes a video, a camera one until Ctrl-C.

    Example: baimu predict photo.jpg --model fcos_r50_fpn.coco

    Example: baimu predict runs/demo photo.jpg --out found --json found.json

    Example: baimu predict runs/flowers garden/ --top 3 --csv flowers.csv

    Example: baimu predict runs/cells photos/ --maps labels --set scales=0.75,1,1.25 --set flip=true

    Example: baimu predict runs/horses photos/ --set to=zebra --out zebras

    Example: baimu predict runs/receipts line.png --set lexicon=words.txt

    Example: baimu predict runs/demo @million.txt --engine ray --json found.json --on-error record

    Example: baimu predict runs/spam "Free entry in a weekly competition"
    """
    from baimu.cli.settings import parse_options
    from baimu.inference.predictor import load_model
    from baimu.inference.saving import save_predictions
    from baimu.inference.tasks import options_of
    from baimu.results.records import Records

    check_engine(engine, address, workers)

    if model is None:
        model, *sources = sources
    if not sources:
        raise typer.BadParameter("name a model and what to look at: runs/demo photo.jpg", param_hint="SOURCE")

    def report(found: Result, drawn_in: Path | None) -> None:
        records.add(found.to_dict(), found.columns, found.to_rows())
        typer.echo(f"{found.source}: {found.summary}" + (f" → {drawn_in}" if drawn_in else ""))

    usual = {"score_threshold": min_score, "top": top}
    words = [f"{name}={value}" for name, value in usual.items() if value is not None] + (settings or [])
    network = load_model(model)
    options = parse_options(words, f"option of {network.task}", options_of(network))
    options |= {"batch_size": batch_size, "device": device, "on_error": on_error, "maps": maps}
    if engine == "ray":
        predict_on_ray(model, sources, out, json=json, csv=csv, address=address, workers=workers, **options)
        return
    with Records(json, csv, errors=on_error == "record") as records:  # what was found before an interrupt is kept
        save_predictions(network, sources, out, report=report, **options)
