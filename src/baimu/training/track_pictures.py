"""The pictures and the page of the run folder of a tracker of one object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from baimu.datasets.source import SequenceSource, Splits
from baimu.draw.boxes import draw_objects
from baimu.draw.charts import save
from baimu.draw.curves import training_curves
from baimu.draw.sheet import enlargement, sheet
from baimu.draw.tracks import one_pass_curves
from baimu.metrics.sot import PRECISION, SUCCESS, Followed, SotScores
from baimu.targets import Batch
from baimu.training.page import write_page, write_summary
from baimu.training.results_csv import read_results

SHOWN = 12  # pairs of a batch
SEQUENCES, FRAMES = 6, 5  # of the sheets of followed sequences
TRUTH, FOUND = 3, 0  # labels, whose colours are far apart


def draw_pairs(folder: Path, splits: Splits[SequenceSource], batch: Batch) -> None:
    """train_batches.png (pairs as the network gets them), data.txt (what is in the data, in numbers) and problems.txt
    (what was wrong in it)."""
    write_summary(folder, splits)
    pair_sheet(batch).save(folder / "train_batches.png")


def pair_sheet(batch: Batch) -> Image.Image:
    """The first pairs of a batch: the exemplar, and beside it the search image with the target's box."""
    pictures, titles = [], []
    targets = batch.targets.to("cpu")
    for i in range(min(SHOWN, len(batch))):
        search = batch.inputs[i].permute(1, 2, 0).cpu().numpy()
        exemplar = targets.exemplars[i].permute(1, 2, 0).numpy()
        label = TRUTH if targets.positive[i] else FOUND
        drawn = draw_objects(search, targets.boxes[i : i + 1].numpy(), np.array([label]), _NAMES, show_names=False)
        page = Image.new("RGB", (exemplar.shape[1] + drawn.width + 4, drawn.height), "white")
        page.paste(Image.fromarray(exemplar), (0, 0))
        page.paste(drawn, (exemplar.shape[1] + 4, 0))
        pictures.append(page)
        titles.append(batch.names[i].rpartition("/")[2] if targets.positive[i] else "another object")
    return sheet(pictures, titles=titles)


_NAMES = {TRUTH: "truth", FOUND: "found"}


def draw_tracking(folder: Path, splits: Splits[SequenceSource], model: nn.Module, scores: SotScores) -> None:
    """curves.png, success.png, best.png and worst.png (followed sequences) and report.html."""
    figures = scores.figures()
    charts = one_pass_curves(
        (SUCCESS, scores.success), (PRECISION, scores.precision), figures["success_auc"], figures["precision_20"]
    )
    pictures = [("Success and precision on held-out sequences", save(charts, folder / "success.png"))]
    rows = scores.table()
    order = sorted(range(len(rows)), key=lambda i: -rows[i]["ao"])
    for name, title, chosen in (
        ("worst", "The sequences followed worst: truth in one colour, what was found in the other", order[::-1]),
        ("best", "The sequences followed best", order),
    ):
        shown = [(i, scores.sequences[i]) for i in chosen[:SEQUENCES]]
        followed_sheet(splits.val, shown).save(folder / f"{name}.png")
        pictures.append((title, folder / f"{name}.png"))
    curves = save(training_curves(read_results(folder / "results.csv")), folder / "curves.png")
    pictures += [
        ("Training curves; the scores of epochs are of a part of the held-out sequences", curves),
        ("A training batch as the network gets it: exemplar and search image", folder / "train_batches.png"),
    ]
    tables = [
        ("Sequences", tuple(rows[0]), [tuple(row.values()) for row in rows]),
        ("Figures", ("figure", "value"), list(figures.items())),
    ]
    facts = {name.replace("_", " "): figures[name] for name in ("ao", "success_auc", "precision_20")}
    write_page(folder, splits, model, facts=facts, scores=tables, pictures=pictures)


def followed_sheet(source: SequenceSource, rows: list[tuple[int, Followed]]) -> Image.Image:
    """A row of evenly spaced frames of each sequence, by its index, with the true and the found box."""
    pictures, titles = [], []
    for index, followed in rows:
        skipped = source.frames(index) - len(followed.truth)
        late = skipped if np.isnan(source.box(index, 0)).any() else 0  # began where the object was first there
        for number in np.linspace(0, len(followed.truth) - 1, FRAMES).astype(int):
            boxes = np.stack([followed.truth[number], followed.found[number]])
            known = np.isfinite(boxes).all(1)
            frame = source.frame(index, late + int(number))
            labels, scale = np.array([TRUTH, FOUND])[known], enlargement([frame.shape[:2]])
            pictures.append(draw_objects(frame, boxes[known], labels, _NAMES, scale=scale))
            overlap = followed.iou[number]
            titles.append(f"{followed.name.rpartition('/')[2]} {number}: {overlap:.2f}")
    return sheet(pictures, FRAMES, titles=titles, cell=260)
