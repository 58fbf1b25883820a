"""What the folder of every run has, whatever its task: the data in numbers, and the page that tells the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from baimu.datasets.source import Splits
from baimu.datasets.summary import summarize
from baimu.draw.report import Picture, Table, write_report
from baimu.training.results_csv import read_results

SHOWN_PROBLEMS = 200  # in the report; problems.txt has them all


def settings_of(folder: Path) -> dict[str, Any]:
    """The model, the data and the recipe of a run."""
    return yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))


def write_summary(folder: Path, splits: Splits[Any]) -> None:
    """data.txt (what is in the data, in numbers) and problems.txt (what was wrong in it)."""
    summary = summarize(settings_of(folder)["data"], splits._asdict())
    (folder / "data.txt").write_text(f"{summary}\n", encoding="utf-8")
    (folder / "problems.txt").write_text("".join(f"{line}\n" for line in summary.problems), encoding="utf-8")


def write_page(
    folder: Path,
    splits: Splits[Any],
    model: nn.Module,
    *,
    facts: Mapping[str, Any],
    scores: Sequence[Table],
    pictures: Sequence[Picture],
) -> None:
    """report.html: the task's ``facts``, tables of ``scores`` and ``pictures`` beside what every run has to tell."""
    settings, rows = settings_of(folder), read_results(folder / "results.csv")
    about = {
        "model": settings["model"],
        "data": settings["data"],
        "images": f"{len(splits.train):,} train, {len(splits.val):,} held out",
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": rows[-1]["step"] if rows else 0,
        "minutes": rows[-1]["seconds"] / 60 if rows else 0.0,
    }
    tables = [*scores, ("Recipe", ("field", "value"), [(k, str(v)) for k, v in settings["recipe"].items()])]
    problems = [(p.file, p.record, p.problem, p.action) for source in splits for p in source.problems]
    if problems:
        title = f"Problems of the data ({len(problems):,}; all in problems.txt)"
        tables.append((title, ("file", "record", "problem", "what was done"), problems[:SHOWN_PROBLEMS]))
    write_report(
        folder / "report.html",
        title=f"{settings['model']}: {folder.name}",
        facts={**about, **facts},
        tables=tables,
        pictures=pictures,
    )
