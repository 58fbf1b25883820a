"""``baimu bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bench(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Checkpoint, run folder, name.tag, exported file, or untrained name.")
    ],
    runtimes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="eager, folded, onnx, openvino, torch, torchscript, mnn, and, which take minutes, optimized, "
            "compiled, aotinductor; by default what is installed and takes none.",
        ),
    ] = None,
    precisions: Annotated[
        str, typer.Option(metavar="A,B,…", help="fp32, bf16, fp16, int8; the last needs --images.")
    ] = "fp32",
    batch_sizes: Annotated[str, typer.Option(metavar="1,8,…", help="Images a call.")] = "1",
    threads: Annotated[
        str | None, typer.Option(metavar="1,2,…", help="Threads that a runtime computes with; by default torch's.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE|HxW", help="Fix the input: a square that images are fitted into, or height x width."
        ),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Images to measure on, and for the ranges of int8; by default drawn scenes.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Score each runtime and precision on these, as baimu eval.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of --data to score.")] = None,
    seconds: Annotated[float, typer.Option(help="That each combination is timed.")] = 10.0,
    device: Annotated[str | None, typer.Option(help="For example cuda; by default cpu.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for bench.json, bench.png and the exported files.")] = Path("bench"),
) -> None:
    """Measure a model here: runtimes, precisions, batch sizes and threads, each combination in a process of its own.

    The table has latency of a batch, images a second with and without reading them, CPU time, memory, size and, with
    --data, the score; combinations take turns, so that a busy machine hurts all alike.

    Example: baimu bench runs/mine --data my_photos

    Example: baimu bench runs/mine --precisions fp32,int8 --images my_photos/images --batch-sizes 1,8 --threads 1,2

    Example: baimu bench resnet18 --runtimes eager,onnx --seconds 1 --out resnet18_speed
    """
    import baimu

    found = baimu.bench(
        model,
        runtimes=None if runtimes is None else _words(runtimes),
        precisions=_words(precisions),
        batch_sizes=_numbers(batch_sizes, "--batch-sizes"),
        threads=None if threads is None else _numbers(threads, "--threads"),
        size=_size(size),
        images=images,
        data=data,
        split=split,
        seconds=seconds,
        device=device,
        out=out,
        report=lambda words: typer.echo(words, err=True),
    )
    typer.echo(str(found))
    typer.echo(f"{out / 'bench.json'}" + (f", {out / 'bench.png'}" if found.measured else ""))


def _size(text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    sides = [int(side) for side in text.lower().split("x") if side.isdecimal()]
    if len(sides) not in (1, 2) or len(sides) != len(text.lower().split("x")):
        raise typer.BadParameter(f"{text!r} is neither a side nor HEIGHTxWIDTH", param_hint="--size")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(word) for word in _words(text)]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of whole numbers such as 1,8", param_hint=option) from None
