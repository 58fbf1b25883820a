"""``baimu convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    source: Annotated[
        str,
        typer.Argument(metavar="WEIGHTS", help="File of any source, checkpoint, run folder, or name.tag."),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="File to write: .safetensors, or with --to also .pth or .pt.")
    ],
    to: Annotated[
        str | None, typer.Option(help="Library whose names to write, for example openmmlab; by default baimu.")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Network that the file is of, where not recognised.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--from", help="Library that wrote the file, where not recognised.")
    ] = None,
    part: Annotated[str | None, typer.Option(help="Part of a file that holds several state dicts.")] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Names of the classes, with commas: cat,dog.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Argument of the network, for example stride_in_3x3=false."),
    ] = None,
) -> None:
    """Convert weights between baimu and other libraries.

    Values are kept bit for bit. What the file does not say is assumed, and said.

    Example: baimu convert retinanet_r50.pth retinanet_r50.safetensors

    Example: baimu convert runs/mine mine.pth --to openmmlab
    """
    import baimu
    from baimu.cli.settings import parse_settings

    names = [name.strip() for name in classes.split(",")] if classes else None
    written = baimu.convert(
        source, out, to=to, as_=as_, origin=origin, part=part, classes=names, **parse_settings(settings or ())
    )
    typer.echo(f"{source} → {written}")
