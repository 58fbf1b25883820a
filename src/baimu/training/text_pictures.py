"""The pictures and the page of the run folder of a model of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from baimu.datasets.source import Splits, TextSource
from baimu.draw.charts import save
from baimu.draw.class_charts import class_counts, class_figures, reliability_diagram
from baimu.draw.curves import confusion_matrix, training_curves
from baimu.metrics.classification import ClassScores
from baimu.training.page import write_page, write_summary
from baimu.training.results_csv import read_results
from baimu.words import TextPreprocess

SHOWN = 12  # texts as the network sees them
LONGEST = 300  # characters of a text in a table


def draw_text_data(folder: Path, splits: Splits[TextSource], preprocess: TextPreprocess) -> None:
    """labels.png, words.txt (the first texts as the network sees them, and what the vocabulary lacks), data.txt (what
    is in the data, in numbers) and problems.txt (what was wrong in it)."""
    write_summary(folder, splits)
    names = splits.train.classes
    counts = {"Texts to learn from": _counts(splits.train), "Held-out texts": _counts(splits.val)}
    save(class_counts(counts, names), folder / "labels.png")
    lines = [f"{preprocess.size:,} numbers: those of words, of padding and of unknown words", ""]
    held_out = [preprocess.shown(splits.val.text(i)) for i in range(len(splits.val))]
    unknown, total = sum(words.count("·") for words in held_out), sum(map(len, held_out))
    lines.append(f"{unknown / max(total, 1):.1%} of the words of held-out texts are unknown (·)")
    for index in range(min(SHOWN, len(splits.val))):
        label = names[int(splits.val.labels(index)[0])]
        lines += ["", f"{label}: {splits.val.text(index)}", f"    {' | '.join(held_out[index])}"]
    (folder / "words.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _counts(source: TextSource) -> np.ndarray:
    labels = [source.labels(i) for i in range(len(source))]
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=len(source.classes))


def draw_text_results(folder: Path, splits: Splits[TextSource], model: nn.Module, scores: ClassScores) -> None:
    """curves.png, classes.png, reliability.png, confusion_matrix.png, mistakes.txt and report.html."""
    names = splits.val.classes
    figures = {"F1": scores.class_f1, "precision": scores.class_precision, "recall": scores.class_recall}
    charts = {
        "curves": ("Training curves", training_curves(read_results(folder / "results.csv"))),
        "classes": ("Scores by class", class_figures(names, figures)),
        "reliability": ("What probabilities are worth", reliability_diagram(*scores.reliability, scores.ece)),
    }
    if scores.confusion is not None:
        charts["confusion_matrix"] = ("Truth and what was found", confusion_matrix(scores.confusion, names))
    pictures = [(title, save(chart, folder / f"{name}.png")) for name, (title, chart) in charts.items()]
    pictures.append(("Texts of each class", folder / "labels.png"))
    mistakes: list[tuple[Any, ...]] = [
        (names[m.truth], names[m.found], m.probability, splits.val.text(m.image)[:LONGEST]) for m in scores.mistakes
    ]
    lines = [f"{truth}\t{found}\t{p:.3f}\t{text}\n" for truth, found, p, text in mistakes]
    (folder / "mistakes.txt").write_text("".join(lines), encoding="utf-8")
    classes = [
        {**row, "auc": auc} for row, auc in zip(scores.table(), [scores.macro_auc, *scores.class_auc], strict=True)
    ]
    values = [*scores.figures().items(), ("macro_auc", scores.macro_auc)]
    tables = [
        ("Scores on the held-out texts", tuple(classes[0]), [tuple(row.values()) for row in classes]),
        ("Figures", ("figure", "value"), values),
        ("The surest mistakes", ("truth", "told", "probability", "text"), mistakes),
    ]
    facts = {"macro F1": scores.macro_f1, "accuracy": scores.top1, "AUC": scores.macro_auc}
    write_page(folder, splits, model, facts=facts, scores=tables, pictures=pictures)
