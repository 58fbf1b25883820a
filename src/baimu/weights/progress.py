"""What a person sees of a download: a bar on a terminal, a line for each tenth elsewhere; always on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

_MIB = 2**20


@contextlib.contextmanager
def shown(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A function to call with (bytes that are here, bytes of the whole or None), as often as one likes."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(name)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}", markup=False), BarColumn(), *columns, console=console) as bar:
        task = bar.add_task(name, total=None)
        yield lambda here, whole: bar.update(task, completed=here, total=whole)


class _Lines:
    """A line at the beginning and one each time another tenth is here."""

    def __init__(self, name: str) -> None:
        self.name, self.tenth = name, -1

    def __call__(self, here: int, whole: int | None) -> None:
        tenth = 10 * here // whole if whole else 0
        if tenth > self.tenth:
            self.tenth = tenth
            of = f"{here / _MIB:.1f} of {whole / _MIB:.1f} MiB" if whole else f"{here / _MIB:.1f} MiB"
            print(f"{self.name}: {of}", file=sys.stderr, flush=True)
