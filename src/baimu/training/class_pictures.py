"""The pictures and the page of a classification run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, nn

from baimu.datasets.source import ClassificationSource, Splits
from baimu.draw.charts import save
from baimu.draw.class_charts import class_counts, class_figures, reliability_diagram
from baimu.draw.classes import enlarged, write_rows
from baimu.draw.colours import class_colour
from baimu.draw.curves import confusion_matrix, precision_recall, training_curves
from baimu.draw.sheet import enlargement, resized, sheet
from baimu.metrics.classification import ClassScores, Mistake
from baimu.metrics.scores import RECALLS
from baimu.targets import Batch
from baimu.training.page import write_page, write_summary
from baimu.training.results_csv import read_results

SHOWN = 25  # images of a batch
CELL = 260  # pixels of the longer side of a mistake
LEAST_SHARE = 0.05  # of a class in a mixed image, to be told


def draw_class_data(folder: Path, splits: Splits[ClassificationSource], batch: Batch) -> None:
    """labels.png, train_batches.png (a batch as the network gets it), data.txt (what is in the data, in numbers) and
    problems.txt (what was wrong in it)."""
    write_summary(folder, splits)
    counts = {"Images to learn from": _counts(splits.train), "Held-out images": _counts(splits.val)}
    save(class_counts(counts, splits.train.classes), folder / "labels.png")
    class_batch_sheet(batch, splits.train.classes).save(folder / "train_batches.png")


def _counts(source: ClassificationSource) -> np.ndarray:
    labels = [source.labels(i) for i in range(len(source))]
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=len(source.classes))


def class_batch_sheet(batch: Batch, names: Sequence[str]) -> Image.Image:
    """The first images of a batch with their classes, and the shares of these where images were mixed."""
    images = batch.inputs[:SHOWN].permute(0, 2, 3, 1).cpu().numpy()
    scale = enlargement([images.shape[1:3]])
    pictures = [enlarged(Image.fromarray(image), scale) for image in images]
    return sheet(pictures, titles=[_title(shares, names) for shares in batch.targets.shares[:SHOWN]])


def _title(shares: Tensor, names: Sequence[str]) -> str:
    told = [(share, names[k]) for k, share in enumerate(shares.tolist()) if share > LEAST_SHARE]
    told.sort(key=lambda pair: -pair[0])
    whole = len(told) == 1 or all(share == 1 for share, _ in told)
    return ", ".join(name if whole else f"{name} {share:.2f}" for share, name in told) or "no label"


def draw_class_results(
    folder: Path, splits: Splits[ClassificationSource], model: nn.Module, scores: ClassScores
) -> None:
    """curves.png, classes.png, reliability.png, confusion_matrix.png (of several labels: pr_curves.png), mistakes.png
    (where there are any) and report.html."""
    names = splits.val.classes
    charts = {
        "curves": ("Training curves", training_curves(read_results(folder / "results.csv"))),
        "classes": ("Scores by class", class_figures(names, _by_class(scores))),
        "reliability": ("What probabilities are worth", reliability_diagram(*scores.reliability, scores.ece)),
    }
    if scores.confusion is not None:
        charts["confusion_matrix"] = ("Truth and what was found", confusion_matrix(scores.confusion, names))
    else:
        curves = precision_recall(RECALLS, scores.precision, names, ap=scores.class_ap)
        charts["pr_curves"] = ("Precision and recall by class", curves)
    pictures = [(title, save(chart, folder / f"{name}.png")) for name, (title, chart) in charts.items()]
    if scores.mistakes:
        mistake_sheet(splits.val, scores.mistakes).save(folder / "mistakes.png")
        pictures.insert(
            0,
            (
                "The surest mistakes on held-out images: above what they are, on them what was said",
                folder / "mistakes.png",
            ),
        )
    pictures.append(("Images of each class", folder / "labels.png"))
    pictures.append(("A training batch as the network gets it", folder / "train_batches.png"))
    classes, figures = scores.table(), list(scores.figures().items())
    tables = [
        ("Scores on the held-out images", tuple(classes[0]), [tuple(row.values()) for row in classes]),
        ("Figures", ("figure", "value"), figures),
    ]
    facts = {name.replace("_", " "): value for name, value in figures[:3]}
    write_page(folder, splits, model, facts=facts, scores=tables, pictures=pictures)


def _by_class(scores: ClassScores) -> dict[str, np.ndarray]:
    first = {"AP": scores.class_ap, "AUC": scores.class_auc} if scores.multi_label else {"F1": scores.class_f1}
    return {**first, "precision": scores.class_precision, "recall": scores.class_recall}


def mistake_sheet(source: ClassificationSource, mistakes: Sequence[Mistake]) -> Image.Image:
    """The images of ``mistakes``: above each what it is, on it what was said of it, and how surely."""
    pictures, titles = [], []
    for image, truth, found, probability in mistakes:
        picture = resized(Image.fromarray(source.image(image, at_least=CELL)), CELL)
        said = truth if found < 0 else found
        row = (source.classes[said], f"{probability:.0%}", probability, class_colour(said))
        pictures.append(write_rows(picture, [row]))
        titles.append(f"not {source.classes[found]}" if truth < 0 else source.classes[truth])
    return sheet(pictures, titles=titles)
