"""A run is a folder: which one a training writes, and what can be read from it afterwards."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from baimu.errors import TrainingError, nearest_path
from baimu.training.results_csv import Row, read_results
from baimu.weights.archive import read_document
from baimu.weights.checkpoint import load

RUNS = Path("runs")
"""Where runs go that are not told where, below the working directory."""

MEND = (
    "checkpoints that were written before are intact. Free space there or make it writable, then continue with "
    "resume=True"
)
"""After a file of a run could not be written."""


@dataclass(frozen=True)
class Run:
    """A training's folder. ``Run(folder)`` also opens one that was trained long ago."""

    folder: Path

    @property
    def best(self) -> Path:
        """The checkpoint with the best score on the held-out data: the weights to use."""
        return self.folder / "best.safetensors"

    @property
    def last(self) -> Path:
        """The checkpoint that training continues from."""
        return self.folder / "last.safetensors"

    @property
    def report(self) -> Path:
        """Everything about the run on one page."""
        return self.folder / "report.html"

    @property
    def scores(self) -> dict[str, float]:
        """The best checkpoint's figures on the held-out data; nan where undefined."""
        figures = read_document(self.best)["scores"]
        return {k: float("nan") if v is None else v for k, v in figures.items() if k not in ("epoch", "step")}

    @property
    def history(self) -> list[Row]:
        """The rows of results.csv."""
        return read_results(self.folder / "results.csv")

    def model(self) -> nn.Module:
        """The best model, ready to predict."""
        return load(self.best)

    def __str__(self) -> str:
        if not self.best.exists():
            return f"{self.folder}: not evaluated yet"
        document = read_document(self.best)
        defined = {name: value for name, value in self.scores.items() if not math.isnan(value)}
        scores = "  ".join(f"{name} {value:.3f}" for name, value in list(defined.items())[:3])
        best = f"best after epoch {document['place']['epoch']}  {scores}"
        return f"{self.folder}: {best}\nweights {self.best}\nreport  {self.report}"


def choose_folder(name: str, out: str | Path | None, resume: bool | str | Path | None) -> Path:
    """The folder that a training of ``name`` writes to; made if need be, and proved writable.

    Without ``out`` a new ``runs/name-1``, ``-2``, …; with ``resume=True`` the newest of these. ``resume`` may also be
    the run folder or its last checkpoint. Raises :class:`~baimu.errors.TrainingError` for a folder that holds a run
    which is not to be continued, that is not there to be continued, or that cannot be written.
    """
    if resume and not isinstance(resume, bool):
        asked = Path(resume)
        folder = asked.parent if asked.suffix == ".safetensors" else asked
        if out is not None and Path(out).resolve() != folder.resolve():
            raise TrainingError(f"out={out}, but resume={resume} continues in {folder}; leave out away")
    elif resume:
        folder = _newest(name) if out is None else Path(out)
    else:
        folder = _next(name) if out is None else Path(out)
        held = next((f for f in ("last.safetensors", "results.csv") if (folder / f).exists()), None)
        if held:
            raise TrainingError(
                f"{folder}: holds a run already ({held}); continue it with resume=True or choose another out"
            )
    if resume and not (_begun(folder) or (folder.is_dir() and not any(folder.iterdir()))):  # empty: nothing saved yet
        raise TrainingError(
            f"{folder}: no run to continue{nearest_path(folder) or '; give a run folder, or start without resume'}"
        )
    _make_writable(folder)
    return folder


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """recipe.yaml: the model, the data and every resolved field of the recipe."""
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")


def change_recipe(folder: Path, recipe: dict[str, Any]) -> None:
    """Put another recipe into recipe.yaml."""
    settings = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    write_settings(folder, {**settings, "recipe": recipe})


def _numbered(name: str) -> list[tuple[int, Path]]:
    found = ((re.fullmatch(rf"{re.escape(name)}-(\d+)", path.name), path) for path in RUNS.glob(f"{name}-*"))
    return sorted((int(match[1]), path) for match, path in found if match)


def _next(name: str) -> Path:
    return RUNS / f"{name}-{max((number for number, _ in _numbered(name)), default=0) + 1}"


def _begun(folder: Path) -> bool:
    """Whether a training got so far as to say what it does."""
    return any((folder / file).exists() for file in ("recipe.yaml", "last.safetensors"))


def _newest(name: str) -> Path:
    numbered = [pair for pair in _numbered(name) if _begun(pair[1])]
    if not numbered:
        raise TrainingError(f"no run of {name} below {RUNS.resolve()} to continue; give its folder as out")
    return numbered[-1][1]


def _make_writable(folder: Path) -> None:
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise TrainingError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another out or change its permissions"
        ) from None
