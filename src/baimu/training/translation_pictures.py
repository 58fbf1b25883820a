"""The pictures and the page of a run that makes images: what it learns from, samples along the way, and the end."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import numpy as np

from baimu.datasets.batches import eval_lists
from baimu.datasets.image_batches import eval_image_batches, members, resampled
from baimu.datasets.source import Splits
from baimu.draw.charts import save
from baimu.draw.curves import training_curves
from baimu.draw.translations import translation_sheet
from baimu.inference.predictor import Predictor
from baimu.metrics.images import ImageScores
from baimu.targets import Batch
from baimu.training.page import write_page, write_summary
from baimu.training.results_csv import read_results
from baimu.training.translation_scores import FIGURES

SHOWN = 6  # rows of a sheet
TOLD = 200  # rows of a table
ALONG = 4  # sheets of samples in the report

TITLES = {
    "image pairs": ("input", "output", "truth"),
    "image domains": ("input", "output", "and back"),
    "images": ("bicubic", "output", "truth"),
}

CURVES = {
    "image pairs": ("psnr",),
    "image domains": ("likeness", "swd_to_a", "swd_to_b"),
    "images": ("psnr_y", "bicubic_y"),
}
"""Figures that can stand on one axis."""


def draw_image_data(folder: Path, splits: Splits[Any], batch: Batch, model: Any) -> None:
    """train_batches.png (a batch as the network gets it), data.txt and problems.txt."""
    write_summary(folder, splits)
    inputs, truths = (planes[:SHOWN].permute(0, 2, 3, 1).numpy() for planes in (batch.inputs, batch.targets.images))
    titles = ("input", "truth") if model.learns_from != "image domains" else tuple(splits.train.classes)
    translation_sheet([*zip(inputs, truths, strict=True)], titles).save(folder / "train_batches.png")


def samples(model: Any, source: Any, count: int = SHOWN) -> tuple[list[list[np.ndarray]], list[str]]:
    """The first held-out images (of two domains as many of each): rows of pictures, and the names of the images."""
    rows, names = [], []
    if model.learns_from == "image domains":
        for own, positions in enumerate(members(source)):
            lists = [[int(i)] for i in positions[: count // 2]]
            for batch in eval_image_batches(model, source, lists):
                made = _asked(model, batch, to=model.classes[1 - own])
                again = Batch(_as_inputs(made), batch.targets, batch.frames, batch.names)
                rows.append([_image(batch.inputs), made, _asked(model, again, to=model.classes[own])])
                names.append(f"{model.classes[own]}, {PurePath(batch.names[0]).name}")
        return rows, names
    for batch in eval_image_batches(model, source, eval_lists(min(count, len(source)), 1, rank=0, world=1)):
        truth, first = _image(batch.targets.images), _image(batch.inputs)
        if model.scale > 1:
            first = resampled(first, (truth.shape[0], truth.shape[1]))
        rows.append([first, _asked(model, batch), truth])
        names.append(PurePath(batch.names[0]).name)
    return rows, names


def write_samples(model: Any, source: Any, file: Path) -> None:
    """The same held-out images as ``model`` makes them now."""
    rows, names = samples(model, source)
    file.parent.mkdir(parents=True, exist_ok=True)
    translation_sheet(rows, TITLES[model.learns_from], notes=names).save(file)


def draw_image_results(folder: Path, splits: Splits[Any], model: Any, scores: ImageScores) -> None:
    """curves.png, results.png, of super-resolution details.png, and report.html."""
    rows, names = samples(model, splits.val)
    titles = TITLES[model.learns_from]
    translation_sheet(rows, titles, notes=names).save(folder / "results.png")
    pictures = [("Held-out images: " + ", ".join(titles), folder / "results.png")]
    if model.scale > 1:
        translation_sheet([[_middle(p) for p in row] for row in rows], titles, notes=names).save(folder / "details.png")
        pictures.append(("Their middles, pixel by pixel", folder / "details.png"))
    left_out = {*FIGURES[model.learns_from]} - {*CURVES[model.learns_from]}
    history = [{k: v for k, v in row.items() if k not in left_out} for row in read_results(folder / "results.csv")]
    pictures.append(("Training curves", save(training_curves(history), folder / "curves.png")))
    every = sorted((folder / "samples").glob("epoch_*.png"))
    chosen = sorted({round(i * (len(every) - 1) / max(1, ALONG - 1)) for i in range(ALONG)}) if every else []
    pictures += [(f"After {every[i].stem.replace('_', ' ')}", every[i]) for i in chosen]
    pictures.append(("A training batch as the network gets it", folder / "train_batches.png"))
    tables: list[Any] = [("Figures", ("figure", "value"), [*scores.figures().items()])]
    if table := scores.table()[:TOLD]:
        tables.insert(0, ("Held-out images, the worst first", tuple(table[0]), [tuple(r.values()) for r in table]))
    facts = dict([*scores.figures().items()][:3])
    write_page(folder, splits, model, facts=facts, scores=tables, pictures=pictures)


def _asked(model: Any, batch: Batch, **options: Any) -> np.ndarray:
    return Predictor(model, fold=False, **options).predict_batch(batch)[0].made


def _as_inputs(image: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(image.transpose(2, 0, 1).copy())[None]


def _image(planes: Any) -> np.ndarray:
    return planes[0].permute(1, 2, 0).cpu().numpy()


def _middle(picture: np.ndarray, side: int = 128) -> np.ndarray:
    top, left = (max(0, (length - side) // 2) for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
