"""``baimu search``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def search(
    index: Annotated[str, typer.Argument(metavar="INDEX", help="A file that baimu index wrote.")],
    sources: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Images or folders to look for.")],
    top: Annotated[int, typer.Option(min=1, help="Images to find for each.")] = 10,
    out: Annotated[Path, typer.Option(help="Folder for the sheets: each image with those that were found.")] = Path(
        "matches"
    ),
    json: Annotated[
        typer.FileTextWrite | None,
        typer.Option(metavar="FILE", encoding="utf-8", lazy=False, help="JSON file for the results."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model that made the index, if it lies elsewhere now.")] = None,
    engine: Annotated[
        str, typer.Option(help="torch, or faiss, faiss-ivf, faiss-hnsw (pip install 'baimu[faiss]').")
    ] = "torch",
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
) -> None:
    """Find the images of an index that are most like another.

    Example: baimu search photos.index who.jpg --top 5
    """
    from baimu.cli.records import write_json
    from baimu.inference.saving import save_matches

    records = []
    for found, drawn_in in save_matches(index, sources, out, top=top, model=model, engine=engine, device=device):
        records.append(found.to_dict())
        typer.echo(f"{found.source}: {found.summary} → {drawn_in}")
    if json:
        write_json(records, json)
