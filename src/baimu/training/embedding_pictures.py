"""The pictures and the page of an embedding run's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from baimu.datasets.source import IdentitySource, Splits
from baimu.draw.charts import save
from baimu.draw.classes import enlarged
from baimu.draw.curves import training_curves
from baimu.draw.identity_charts import distance_histogram, match_characteristic, roc_curve, sizes_of_identities
from baimu.draw.matches import Neighbour, match_sheet
from baimu.draw.sheet import enlargement, resized, sheet
from baimu.metrics.embedding import IdentityScores
from baimu.targets import Batch
from baimu.training.page import write_page, write_summary
from baimu.training.results_csv import read_results

SHOWN = 32  # images of a batch
QUERIES, ANSWERS = 8, 7  # of the sheets of neighbours: rows, and images a row
CELL = 120  # pixels of their longer side


def draw_identity_data(folder: Path, splits: Splits[IdentitySource], batch: Batch) -> None:
    """identities.png, train_batches.png (a batch as the network gets it), data.txt (what is in the data, in numbers)
    and problems.txt (what was wrong in it)."""
    write_summary(folder, splits)
    counts = {"To learn from": _counts(splits.train), "Held out": _counts(splits.val)}
    save(sizes_of_identities(counts), folder / "identities.png")
    identity_batch_sheet(batch, splits.train.classes).save(folder / "train_batches.png")


def _counts(source: IdentitySource) -> np.ndarray:
    ids = np.array([source.shown(i).identity for i in range(len(source))], np.int64)
    return np.bincount(ids[ids >= 0], minlength=len(source.classes))


def identity_batch_sheet(batch: Batch, names: tuple[str, ...]) -> Image.Image:
    """The first images of a batch, and who they are."""
    images = batch.inputs[:SHOWN].permute(0, 2, 3, 1).cpu().numpy()
    scale = max(1, enlargement([images.shape[1:3]]) // 2)
    pictures = [enlarged(Image.fromarray(image), scale) for image in images]
    return sheet(pictures, titles=[names[i] if i >= 0 else "nobody" for i in batch.targets.ids[:SHOWN].tolist()])


def draw_identity_results(
    folder: Path, splits: Splits[IdentitySource], model: nn.Module, scores: IdentityScores
) -> None:
    """curves.png, neighbours.png (what is found for held-out queries), misses.png (the queries whose first answer is
    wrong, where there are any), distances.png, roc.png, cmc.png and report.html."""
    charts = {
        "curves": ("Training curves", training_curves(read_results(folder / "results.csv"))),
        "distances": (
            "Distances of pairs of one identity and of two",
            distance_histogram(scores.verification.similarity, scores.verification.same),
        ),
        "roc": ("True accepts at a rate of false ones", roc_curve(*scores.verification.roc)),
        "cmc": ("Queries answered among the first k", match_characteristic(scores.retrieval.cmc)),
    }
    pictures = [(title, save(chart, folder / f"{name}.png")) for name, (title, chart) in charts.items()]
    answered = np.flatnonzero(scores.retrieval.answerable)
    wrong = answered[scores.retrieval.ranked.first[answered] > 0]
    sheets = [("neighbours", "Held-out queries (left) and the images nearest to them", answered)]
    if len(wrong):
        worst = wrong[np.argsort(scores.retrieval.ranked.precision[wrong], kind="stable")]
        sheets.append(("misses", "Queries whose first answer is wrong, the worst ones", worst[:QUERIES]))
    for place, (name, title, rows) in enumerate(sheets):
        neighbour_sheet(splits.val, scores, rows).save(folder / f"{name}.png")
        pictures.insert(place, (title, folder / f"{name}.png"))
    pictures.append(("Images of an identity", folder / "identities.png"))
    pictures.append(("A training batch as the network gets it", folder / "train_batches.png"))
    rows, figures = scores.table(), list(scores.figures().items())
    tables = [
        ("Figures of the held-out identities", ("figure", "value"), figures),
        ("Identities that are found worst", tuple(rows[0]), [tuple(row.values()) for row in rows]),
    ]
    facts = {name.replace("_", " "): dict(figures)[name] for name in ("recall_at_1", "mean_ap", "verification")}
    counts = {"identities": f"{len(splits.train.classes):,} learned, {len(splits.val.classes):,} held out"}
    write_page(folder, splits, model, facts={**counts, **facts}, scores=tables, pictures=pictures)


def neighbour_sheet(source: IdentitySource, scores: IdentityScores, rows: np.ndarray) -> Image.Image:
    """Of up to eight ``rows`` of the search, evenly spaced: the query and its nearest images, right ones framed in
    green."""
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, QUERIES).round().astype(int))]
    search, ids = scores.retrieval, scores.ids
    shown = []
    for row in chosen.tolist():
        query = int(search.queries[row])
        answers = [
            Neighbour(_picture(source, image), f"{cosine:.2f}", bool(ids[image] == ids[query]))
            for image, cosine in zip(search.neighbours[row].tolist(), search.similarity[row].tolist(), strict=True)
            if image >= 0
        ]
        shown.append((_picture(source, query), source.classes[ids[query]], answers[:ANSWERS]))
    return match_sheet(shown)


def _picture(source: IdentitySource, index: int) -> Image.Image:
    return resized(Image.fromarray(source.image(index, at_least=CELL)), CELL)
