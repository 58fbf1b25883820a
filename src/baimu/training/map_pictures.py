"""The pictures and the page of a segmentation run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from baimu.datasets.map_transforms import resize_labels
from baimu.datasets.source import SegmentationSource, Splits
from baimu.draw.charts import save
from baimu.draw.class_charts import class_counts, class_figures
from baimu.draw.curves import confusion_matrix, training_curves
from baimu.draw.label_maps import overlay, with_legend
from baimu.draw.sheet import enlargement, sheet
from baimu.inference.predictor import Predictor
from baimu.metrics.segmentation import MapScores
from baimu.targets import Batch
from baimu.training.page import write_page, write_summary
from baimu.training.results_csv import read_results

SHOWN = 8  # held-out images in predictions.png, and of a batch
LONGEST = 420  # pixels of an image there
VEIL = 0.65  # opacity of labels there
COUNTED = 200  # maps of each split whose pixels are counted


def draw_map_data(folder: Path, splits: Splits[SegmentationSource], batch: Batch) -> None:
    """labels.png, train_batches.png (a batch as the network gets it), data.txt (what is in the data, in numbers) and
    problems.txt (what was wrong in it)."""
    write_summary(folder, splits)
    counts = {"Thousands of pixels to learn from": _pixels(splits.train), "Held out, thousands": _pixels(splits.val)}
    save(class_counts(counts, splits.train.classes), folder / "labels.png")
    map_batch_sheet(batch, splits.train.classes).save(folder / "train_batches.png")


def _pixels(source: SegmentationSource) -> np.ndarray:
    """(K,) of some maps, evenly spaced over ``source``."""
    total = np.zeros(256, np.int64)
    for i in np.unique(np.linspace(0, len(source) - 1, COUNTED).round().astype(int)).tolist():
        total += np.bincount(source.label_map(i).ravel(), minlength=256)
    return np.rint(total[: len(source.classes)] / 1000).astype(np.int64)


def map_batch_sheet(batch: Batch, names: Sequence[str]) -> Image.Image:
    """The first images of a batch, each beside itself under its labels, padding cut off."""
    images = batch.inputs[:SHOWN].permute(0, 2, 3, 1).cpu().numpy()
    labels = batch.targets.labels[:SHOWN].cpu().numpy()
    sizes = batch.targets.sizes[:SHOWN].tolist()
    scale = enlargement([tuple(size) for size in sizes])
    pictures: list[Any] = []
    for image, map, (height, width) in zip(images, labels, sizes, strict=True):
        picture = np.ascontiguousarray(image[:height, :width])
        pictures += [overlay(picture, map[:height, :width], names, scale=scale, opacity=o) for o in (0.0, VEIL)]
    return with_legend(sheet(pictures, 4, cell=LONGEST), names)


def draw_map_results(folder: Path, splits: Splits[SegmentationSource], model: nn.Module, scores: MapScores) -> None:
    """curves.png, classes.png, confusion_matrix.png, predictions.png, worst.png (where there is any mistake; truth in
    the middle of both) and report.html."""
    names = splits.val.classes
    by_class = {"IoU": scores.class_iou, "accuracy": scores.class_accuracy, "precision": scores.class_precision}
    charts = {
        "curves": ("Training curves", training_curves(read_results(folder / "results.csv"))),
        "classes": ("IoU by class", class_figures(names, by_class)),
        "confusion_matrix": ("Pixels: truth and what was found", confusion_matrix(scores.confusion, names)),
    }
    some = np.unique(np.linspace(0, len(splits.val) - 1, SHOWN).round().astype(int)).tolist()
    comparison(splits.val, model, some).save(folder / "predictions.png")
    shown = "image, truth and what was found"
    pictures = [(f"Held-out images: {shown}", folder / "predictions.png")]
    poor = [image for image, miou in scores.worst[:SHOWN] if miou < 1]
    if poor:
        comparison(splits.val, model, poor).save(folder / "worst.png")
        pictures.append((f"The images that were found worst: {shown}", folder / "worst.png"))
    pictures += [(title, save(chart, folder / f"{name}.png")) for name, (title, chart) in charts.items()]
    pictures.append(("Pixels of each class", folder / "labels.png"))
    pictures.append(("A training batch as the network gets it", folder / "train_batches.png"))
    classes, figures = scores.table(), list(scores.figures().items())
    tables = [
        ("Scores on the held-out images", tuple(classes[0]), [tuple(row.values()) for row in classes]),
        ("Figures", ("figure", "value"), figures),
    ]
    titles = {"miou": "mean IoU", "macc": "mean accuracy", "aacc": "right pixels"}
    facts = {title: scores.figures()[name] for name, title in titles.items()}
    write_page(folder, splits, model, facts=facts, scores=tables, pictures=pictures)


def comparison(source: SegmentationSource, model: nn.Module, chosen: Sequence[int]) -> Image.Image:
    """Of each image the picture, the truth and what ``model`` finds, side by side, two images a row."""
    predictor = Predictor(model)
    pictures: list[Any] = []
    titles: list[str] = []
    for i in chosen:
        image = source.image(i)
        (found,) = predictor([image])
        scale = min(1.0, LONGEST / max(image.shape[:2]))
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        small = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
        maps = (resize_labels(labels, (height, width)) for labels in (source.label_map(i), found.labels))
        grown = enlargement([(height, width)])
        pictures.append(small.resize((width * grown, height * grown), Image.Resampling.NEAREST))
        pictures += [overlay(small, map, source.classes, scale=grown, opacity=VEIL) for map in maps]
        titles += [Path(source.name(i)).name, "truth", "found"]
    return with_legend(sheet(pictures, 6, titles=titles), source.classes)
