"""``baimu export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Checkpoint, run folder, or name.tag.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default the model's name with the ending of the format.")
    ] = None,
    format: Annotated[
        str, typer.Option(help="onnx, openvino, torch (torch.export), aotinductor, torchscript, mnn.")
    ] = "onnx",
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8, as far as the format has it.")] = "fp32",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE|HxW", help="Fix the input: a square that images are fitted into, or height x width."
        ),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Images that the proof, and the ranges of int8, are taken from: file or folder.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Of a detector: end before NMS.")] = False,
    verify: Annotated[bool, typer.Option(help="Compare with the model before the file is left.")] = True,
    licence: Annotated[str, typer.Option(help="Licence of the weights, told in the file (SPDX).")] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the task, such as to=zebra; repeat at will."),
    ] = None,
) -> None:
    """Write a model for another runtime, and prove that it says the same.

    The file holds normalisation, network, decoding and NMS, and states its classes and preprocessing; baimu predict,
    eval, bench and serve take it like any model.

    Example: baimu export runs/mine --format onnx --images my_photos/images

    Example: baimu export runs/mine --format openvino --precision int8 --images my_photos/images --out mine_int8.xml

    Example: baimu export runs/mine --format aotinductor --size 640
    """
    import baimu
    from baimu.cli.settings import parse_settings

    baimu.export(
        model,
        out,
        format=format,
        precision=precision,  # pyright: ignore[reportArgumentType]  (it says which there are)
        size=_size(size) if size else None,
        images=images,
        raw=raw,
        verify=verify,
        licence=licence,
        report=typer.echo,
        **parse_settings(settings or ()),
    )


def _size(text: str) -> int | tuple[int, int]:
    try:
        sides = [int(part) for part in text.lower().split("x")]
        if len(sides) == 1:
            return sides[0]
        height, width = sides
        return height, width
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a side nor HEIGHTxWIDTH", param_hint="--size") from None
