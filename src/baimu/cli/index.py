"""``baimu index``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def index(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The images to be found: a folder or a pattern.")],
    model: Annotated[
        str, typer.Option(help="Checkpoint or run folder of an embedder, or name.tag of published weights.")
    ],
    out: Annotated[Path | None, typer.Option(help="File to write; by default FOLDER.index, beside the folder.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32,
    workers: Annotated[int, typer.Option(min=0, help="Threads that read images ahead.")] = 2,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
) -> None:
    """Embed all images of a folder, to be searched by baimu search.

    Example: baimu index photos --model runs/faces
    """
    import baimu
    from baimu.errors import DataError
    from baimu.inference.searching import SUFFIX

    if out is None:
        if not Path(folder).is_dir():
            raise DataError(f"{folder}: is no folder, beside which the index would be written; name a file with --out")
        out = Path(folder).absolute().with_name(Path(folder).absolute().name + SUFFIX)
    made = baimu.index(folder, model, out=out, batch_size=batch_size, workers=workers, device=device)
    typer.echo(f"{len(made):,} images, {made.vectors.shape[1]} numbers each → {out}")
