"""``baimu predict --engine ray``: its options, and what a person sees of it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from baimu.deploy.crew import Progress

Engine = Annotated[
    str,
    typer.Option(
        metavar="[local|ray]",
        help="Where: in this process, or over a Ray cluster, where what is done outlives an interrupt "
        "(pip install 'baimu[ray]').",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Of the Ray cluster; by default RAY_ADDRESS, else one on this machine for as long as it takes."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes of --engine ray; by default one a CPU, or a GPU with --device cuda."),
]
OnError = Annotated[
    str,
    typer.Option(
        "--on-error",
        metavar="[stop|record]",
        help="At an image that cannot be read: stop, or write its error in the place of a result and go on.",
    ),
]

PLAIN_SECONDS = 30.0
"""Between two lines where there is no terminal."""


def check_engine(engine: str, address: str | None, workers: int | None) -> None:
    """Raises for an engine that there is not, and for options of the other one."""
    from baimu.errors import unknown

    if engine not in ("local", "ray"):
        raise unknown("engine", engine, ("local", "ray"))
    if engine == "local" and (address or workers):
        raise typer.BadParameter("is for --engine ray", param_hint="--address" if address else "--workers")


def predict_on_ray(model: str, sources: list[str], out: Any, **options: Any) -> None:
    """As :func:`baimu.predict_many`, with a line of how far it is on stderr, and one of what was done at the end."""
    from baimu.deploy.scale import FOLDER, predict_many

    typer.echo(f"what is done is kept in {out / FOLDER}: the same command goes on where this one ends", err=True)
    done = predict_many(model, sources, out, report=_Line(), **options)
    told = [
        f"{done.images:,} images",
        *([f"{done.before:,} of them done before"] if done.before else []),
        *([f"{done.unread:,} not read"] if done.unread else []),
        *([f"{done.deaths} workers lost and replaced"] if done.deaths else []),
    ]
    typer.echo(f"{', '.join(told)} → {out}")


class _Line:
    """One line that is written over on a terminal, a new one now and then elsewhere."""

    def __init__(self) -> None:
        self.live, self.told = sys.stderr.isatty(), 0.0

    def __call__(self, progress: Progress) -> None:
        whole = progress.done == progress.images
        if not whole and time.monotonic() - self.told < (0.2 if self.live else PLAIN_SECONDS):
            return
        self.told = time.monotonic()
        line = tell(progress)
        typer.echo(f"\r\x1b[K{line}" if self.live else line, err=True, nl=whole or not self.live)


def tell(progress: Progress) -> str:
    """``1,024/1,000,000 images  118.3/s  ETA 2:20:44  8 workers``, then what went wrong."""
    left = progress.left
    facts = [
        f"{progress.done:,}/{progress.images:,} images",
        f"{progress.rate:.1f}/s" if progress.rate else "–/s",
        "ETA –" if left is None else f"ETA {int(left) // 3600}:{int(left) // 60 % 60:02}:{int(left) % 60:02}",
        f"{len(progress.workers)} workers",
    ]
    if progress.unread:
        facts.append(f"{progress.unread:,} not read")
    if progress.deaths:
        facts.append(f"{progress.deaths} workers lost")
    return "  ".join(facts)
