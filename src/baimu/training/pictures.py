"""The pictures and the page of a detection run's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from baimu.datasets.annotations import without_masks
from baimu.datasets.loader import eval_batches
from baimu.datasets.source import DetectionSource, Objects, Splits
from baimu.datasets.transforms import resize_masks
from baimu.detection.detector import Detector
from baimu.draw.charts import save
from baimu.draw.curves import confusion_matrix, label_statistics, precision_recall, training_curves
from baimu.draw.sheet import batch_sheet, comparison_sheet
from baimu.inference.predictor import Predictor
from baimu.masks import Masks
from baimu.metrics.scores import RECALLS, BoxScores
from baimu.results import Detections
from baimu.targets import Batch
from baimu.training.page import write_page, write_summary
from baimu.training.results_csv import read_results

SHOWN = 12  # held-out images in predictions.png
LONGEST = 640  # pixels of an image there


def draw_data(folder: Path, splits: Splits[DetectionSource], batch: Batch) -> None:
    """labels.png, train_batches.png (a batch as the network gets it), data.txt (what is in the data, in numbers) and
    problems.txt (what was wrong in it)."""
    train: Any = without_masks(splits.train)
    write_summary(folder, splits)
    save(label_statistics(train), folder / "labels.png")
    batch_sheet(batch, splits.train.classes).save(folder / "train_batches.png")


def draw_results(folder: Path, splits: Splits[DetectionSource], model: Detector, scores: BoxScores) -> None:
    """curves.png, pr_curves.png (of masks: mask_pr_curves.png), confusion_matrix.png, predictions.png (truth at the
    left) and report.html."""
    names = splits.val.classes
    save(training_curves(read_results(folder / "results.csv")), folder / "curves.png")
    save(precision_recall(RECALLS, scores.precision, names), folder / "pr_curves.png")
    if scores.masks is not None:
        save(precision_recall(RECALLS, scores.masks.precision, names), folder / "mask_pr_curves.png")
    save(confusion_matrix(scores.confusion, names), folder / "confusion_matrix.png")
    draw_predictions(folder / "predictions.png", splits.val, model)
    report(folder, splits, model, scores)


def draw_predictions(path: Path, source: DetectionSource, model: Detector) -> None:
    """Truth and detections of some images, evenly spaced over ``source``; large images are made smaller."""
    chosen = np.unique(np.linspace(0, len(source) - 1, SHOWN).round().astype(int)).tolist()
    some = source.select(chosen)
    predictor = Predictor(model)
    found = [f for batch in eval_batches(some, model.preprocess, 1) for f in predictor.predict_batch(batch)]
    rows = [_smaller(some.image(i), some.objects(i), found[i]) for i in range(len(some))]
    images, truths, found = zip(*rows, strict=True)
    comparison_sheet(images, truths, found, masks=all(f.masks is not None for f in found)).save(path)


def _smaller(image: np.ndarray, truth: Objects, found: Detections) -> tuple[np.ndarray, Any, Detections]:
    """The three at a scale where the longer side has at most ``LONGEST`` pixels."""
    scale = min(1.0, LONGEST / max(image.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    picture = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
    if found.masks is not None:
        smaller = [resize_masks(mask[None], (height, width)) for mask in found.masks]  # one after the other
        masks = Masks.of(np.concatenate([np.zeros((0, height, width), bool), *smaller]))
        drawn = None if truth.masks is None else resize_masks(truth.masks, (height, width))
        found, truth = replace(found, masks=masks, size=(height, width)), replace(truth, masks=drawn)
    found = replace(found, boxes=found.boxes * np.float32(scale), size=(height, width))
    return picture, replace(truth, boxes=truth.boxes * np.float32(scale)), found


def report(folder: Path, splits: Splits[DetectionSource], model: Detector, scores: BoxScores) -> None:
    """report.html: the figures, the table per class, the recipe, the problems of the data and all pictures."""
    facts: dict[str, Any] = {}
    if scores.masks is not None:
        facts |= {"mask AP": scores.masks.mask_ap, "mask AP50": scores.masks.mask_ap50}
    facts |= {"box AP": scores.box_ap, "box AP50": scores.box_ap50, "box AP75": scores.box_ap75}
    classes = scores.table()
    tables = [
        ("Scores on the held-out images", tuple(classes[0]), [tuple(row.values()) for row in classes]),
        ("COCO figures", ("figure", "value"), list(scores.figures().items())),
    ]
    pictures = [
        ("Predictions on held-out images, truth at the left", folder / "predictions.png"),
        ("Training curves", folder / "curves.png"),
        ("Precision and recall by class", folder / "pr_curves.png"),
        ("Truth and what was found", folder / "confusion_matrix.png"),
        ("Objects of the training set", folder / "labels.png"),
        ("A training batch as the network gets it", folder / "train_batches.png"),
    ]
    if scores.masks is not None:
        pictures.insert(3, ("Precision and recall of masks by class", folder / "mask_pr_curves.png"))
    write_page(folder, splits, model, facts=facts, scores=tables, pictures=pictures)
