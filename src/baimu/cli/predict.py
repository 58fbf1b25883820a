"""``baimu predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baimu.cli.reading import Beam, LanguageModel, Lexicon
from baimu.cli.reading import given as of_readers
from baimu.cli.segmenting import Flip, Maps, Scales, Window, save_map
from baimu.cli.segmenting import given as of_segmenters

if TYPE_CHECKING:
    from baimu.results import Result

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] SOURCE",
        help='The model, unless --model names it; then images, folders, patterns such as "a/*.jpg", URLs, videos, '
        "camera:0.",
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
To = Annotated[
    str | None, typer.Option(help="Domain to make, where the model knows two; by default the second. For CycleGAN.")
]
Tile = Annotated[
    int | None,
    typer.Option(min=0, help="Pixels of the squares that large images are cut into, 0: never. For super-resolution."),
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
    beam: Beam = None,
    lexicon: Lexicon = None,
    language_model: LanguageModel = None,
    to: To = None,
    tile: Tile = None,
    window: Window = None,
    scales: Scales = None,
    flip: Flip = False,
    maps: Maps = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 1,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
) -> None:
    """Find the objects in images and videos, or their classes, whatever the model was trained for.

    Every image is drawn with its result into --out; a video becomes a video, a camera one until Ctrl-C.

    Example: baimu predict photo.jpg --model fcos_r50_fpn.coco

    Example: baimu predict runs/demo photo.jpg --out found --json found.json

    Example: baimu predict runs/flowers garden/ --top 3 --csv flowers.csv

    Example: baimu predict runs/cells photos/ --maps labels --scales 0.75,1,1.25 --flip

    Example: baimu predict runs/horses photos/ --to zebra --out zebras

    Example: baimu predict runs/receipts line.png --lexicon words.txt

    Example: baimu predict runs/spam "Free entry in a weekly competition"
    """
    from baimu.cli.records import write_csv, write_json
    from baimu.inference.saving import save_predictions

    if model is None:
        model, *sources = sources
    if not sources:
        raise typer.BadParameter("name a model and what to look at: runs/demo photo.jpg", param_hint="SOURCE")
    records, columns, rows = [], (), []

    def report(found: Result, drawn_in: Path | None) -> None:
        nonlocal columns
        records.append(found.to_dict())
        columns = found.columns
        rows.extend(found.to_rows())
        if maps is not None:
            save_map(found, maps)
        typer.echo(f"{found.source}: {found.summary}" + (f" → {drawn_in}" if drawn_in else ""))

    given = {"score_threshold": min_score, "top": top, "to": to, "tile": tile}
    given |= of_segmenters(window, scales, flip) | of_readers(beam, lexicon, language_model)
    options = {name: value for name, value in given.items() if value is not None}
    try:
        save_predictions(model, sources, out, batch_size=batch_size, device=device, report=report, **options)
    finally:  # what was found before an interrupt or a broken image is kept
        if json:
            write_json(records, json)
        if csv:
            write_csv(columns, rows, csv)
