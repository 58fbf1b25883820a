"""The pictures and the page of the run folder of a reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from baimu.datasets.source import ReadingSource, Splits
from baimu.draw.charts import figure, name_ticks, save, styled
from baimu.draw.class_charts import class_counts
from baimu.draw.curves import training_curves
from baimu.draw.lines import INK, draw_reading, with_rows
from baimu.draw.sheet import sheet
from baimu.inference.predictor import Predictor
from baimu.metrics.text import Mix, Read, ReadingScores
from baimu.targets import Batch
from baimu.training.page import write_page, write_summary
from baimu.training.results_csv import read_results

SHOWN = 24  # lines of a picture
MIXES = 30  # bars


def draw_line_data(folder: Path, splits: Splits[ReadingSource], batch: Batch) -> None:
    """labels.png (how often each character occurs), train_batches.png (lines as the network gets them), data.txt (what
    is in the data, in numbers) and problems.txt (what was wrong in it)."""
    write_summary(folder, splits)
    names = splits.train.classes
    counts = {"Characters to learn from": _counts(splits.train), "Held-out characters": _counts(splits.val)}
    counts = {title: np.array([own[c] for c in names]) for title, own in counts.items()}
    save(class_counts(counts, [_shown(c) for c in names]), folder / "labels.png")
    line_batch(batch, names).save(folder / "train_batches.png")


def _counts(source: ReadingSource) -> Counter[str]:
    return Counter("".join(source.text(i) for i in range(len(source))))


def _shown(character: str) -> str:
    return {" ": "space", "": "nothing"}.get(character, character)


def line_batch(batch: Batch, names: Sequence[str]) -> Image.Image:
    """The first lines of a batch with their texts, padding cut off."""
    targets, pictures = batch.targets.to("cpu"), []
    for image, labels, size in zip(batch.inputs, targets.labels.tolist(), targets.sizes.tolist(), strict=True):
        line = Image.fromarray(image[:, : size[0], : size[1]].permute(1, 2, 0).cpu().numpy())
        text = "".join(str(names[label]) for label in labels if label >= 0)
        pictures.append(with_rows(line, [(text, [INK] * len(text), "")]))
    return sheet(pictures[:SHOWN], 4)


def draw_line_results(folder: Path, splits: Splits[ReadingSource], model: nn.Module, scores: ReadingScores) -> None:
    """curves.png, mixes.png, worst.png and best.png (where there are such readings), readings.txt (all wrong ones that
    are remembered) and report.html."""
    pictures: list[tuple[str, Path]] = []
    for name, title, rows in (
        ("worst", "The worst readings: what was read, and under it what stands there", scores.worst),
        ("best", "The longest lines without a mistake", scores.best),
    ):
        if rows:
            reading_sheet(splits.val, model, rows[:SHOWN]).save(folder / f"{name}.png")
            pictures.append((title, folder / f"{name}.png"))
    curves = save(training_curves(read_results(folder / "results.csv")), folder / "curves.png")
    pictures.append(("Training curves", curves))
    if scores.mixes:
        pictures.append(("Characters that are mixed up", save(mix_bars(scores.mixes), folder / "mixes.png")))
    pictures.append(("Characters of the data", folder / "labels.png"))
    pictures.append(("A training batch as the network gets it", folder / "train_batches.png"))
    lines = [f"{splits.val.name(row.line)}\t{row.truth}\t{row.found}\n" for row in scores.worst]
    (folder / "readings.txt").write_text("".join(lines), encoding="utf-8")
    characters = [{**row, "character": _shown(row["character"])} for row in scores.table()]
    tables = [
        ("Figures on the held-out lines", ("figure", "value"), list(scores.figures().items())),
        ("Worst readings", ("line", "truth", "read", "edits", "probability"), _rows(splits.val, scores.worst)),
    ]
    if characters:
        tables.append(("Characters", tuple(characters[0]), [tuple(row.values()) for row in characters]))
    facts: dict[str, Any] = {"CER": scores.cer, "WER": scores.wer, "line accuracy": scores.accuracy}
    write_page(folder, splits, model, facts=facts, scores=tables, pictures=pictures)


def _rows(source: ReadingSource, reads: Sequence[Read]) -> list[tuple[Any, ...]]:
    return [(Path(source.name(r.line)).name, r.truth, r.found, r.edits, r.score) for r in reads]


def reading_sheet(source: ReadingSource, model: nn.Module, rows: Sequence[Read]) -> Image.Image:
    """The lines of ``rows``, each with what is read and what stands there."""
    images = [source.image(row.line) for row in rows]
    found = Predictor(model)(images)
    return sheet([draw_reading(i, f, truth=row.truth) for i, f, row in zip(images, found, rows, strict=True)], 3)


def mix_bars(mixes: Sequence[Mix]) -> Any:
    """How often a character was read as another, left out or put in: the most frequent ones."""
    shown = mixes[:MIXES]
    made = figure(7.2, min(max(2.6, 1.2 + 0.22 * len(shown)), 14))
    axes = styled(made.subplots(), "Truth → read", "times")
    places = list(range(len(shown)))
    axes.barh(places, [mix.count for mix in shown], color="#2563eb", height=0.72, alpha=0.75)
    name_ticks(axes.yaxis, places, [f"{_shown(mix.truth)} → {_shown(mix.found)}" for mix in shown])
    axes.set(ylim=(len(shown) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    return made
