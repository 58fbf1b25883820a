"""What a person sees while a training runs: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from baimu.training.loop import Place
    from baimu.training.results_csv import Row

_PLAIN_SECONDS = 10.0  # least time between two plain lines
_SPEED_STEPS = 50  # the speed shown is that of this many steps


class Progress:
    """Epoch, step, steps a second, time left, memory, every loss, rate and last score.

    A context manager; ``quiet`` shows nothing, for all processes but the first.
    """

    def __init__(self, epochs: int, steps_per_epoch: int, score: str, *, quiet: bool = False) -> None:
        self.epochs, self.steps_per_epoch, self.score = epochs, steps_per_epoch, score
        self.quiet = quiet
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._times: deque[float] = deque(maxlen=_SPEED_STEPS)
        self._losses: dict[str, float] = {}
        self._last_score = ""
        self._printed = time.perf_counter()

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self.quiet:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note(self, text: str) -> None:
        """One line that stays."""
        if not self.quiet:
            self._console.print(text, markup=False)

    def step(self, place: Place, lr: float) -> None:
        """A step is done; costs nothing but a look at the clock."""
        if self.quiet:
            return
        self._times.append(time.perf_counter())
        if self._live is not None:
            self._live.update(self._table(place, lr))
        elif self._times[-1] - self._printed >= _PLAIN_SECONDS and self._losses:
            self._print(self._line(place, lr))

    def row(self, row: Row, shown: tuple[str, ...]) -> None:
        """New means of the losses named ``shown``, and scores if the row has them, which always make a line."""
        self._losses = {key: row[key] for key in shown if key in row}
        if self.score in row:
            self._last_score = f"{self.score} {row[self.score]:.3f}"
            losses = "  ".join(f"{key} {value:.3f}" for key, value in self._losses.items())
            self._print(
                f"epoch {row['epoch']}/{self.epochs}  {self._last_score}  {losses}  {_duration(row['seconds'])}"
            )
            self._times.clear()

    def _print(self, line: str) -> None:
        self._printed = time.perf_counter()
        self.note(line)

    def _facts(self, place: Place, lr: float) -> list[str]:
        speed = (len(self._times) - 1) / max(1e-9, self._times[-1] - self._times[0]) if len(self._times) > 1 else 0.0
        left = self.epochs * self.steps_per_epoch - place.step
        return [
            f"epoch {place.epoch + 1}/{self.epochs}",
            f"step {place.batch}/{self.steps_per_epoch}",
            f"{speed:.2f} it/s" if speed else "– it/s",
            f"ETA {_duration(left / speed) if speed else '–'}",
            f"{_memory_gb():.1f} GB",
            *(f"{key} {value:.3f}" for key, value in self._losses.items()),
            f"lr {lr:.2e}",
            *([self._last_score] if self._last_score else []),
        ]

    def _line(self, place: Place, lr: float) -> str:
        return "  ".join(self._facts(place, lr))

    def _table(self, place: Place, lr: float) -> Table:
        width = 24
        filled = round(width * place.batch / self.steps_per_epoch)
        grid = Table.grid(padding=(0, 2))
        facts = self._facts(place, lr)
        grid.add_row(f"[cyan]{'━' * filled}[/][dim]{'━' * (width - filled)}[/]", *facts[:5])
        lines = Table.grid()
        lines.add_row(grid)
        lines.add_row("  ".join(facts[5:]))
        return lines


def _duration(seconds: float) -> str:
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _memory_gb() -> float:
    """Most GPU memory reserved so far, or without a GPU the process's largest resident size."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
