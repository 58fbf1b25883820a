"""What is measured of a model that makes images, on held-out images.

Of pairs and of enlarged images PSNR and SSIM against the truth; of super-resolution on the luma too, with borders of S
pixels left out, and beside bicubic enlargement. Of two domains there is no truth: how near the patches of what is made
are to those of the domain (:mod:`baimu.metrics.swd`), and how well the way there and back preserves an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from baimu.datasets.batches import eval_lists
from baimu.datasets.image_batches import eval_image_batches, members, resampled
from baimu.inference.predictor import Predictor
from baimu.metrics.images import WINDOW, ImageScores, luma, mean_scores, psnr, ssim
from baimu.metrics.swd import sliced_wasserstein
from baimu.training.together import in_turn, place_of, together

FIGURES: dict[str, tuple[str, ...]] = {
    "image pairs": ("psnr", "ssim", "l1"),
    "image domains": ("likeness", "cycle_psnr", "swd_to_a", "swd_to_b", "cycle_psnr_a", "cycle_psnr_b"),
    "images": ("psnr_y", "psnr", "ssim_y", "gain_y", "bicubic_y"),
}
"""By what a model learns from; the first decides which checkpoint is best."""


def score_translator(
    model: Any, source: Any, *, batch_size: int, workers: int, precision: Any, accelerator: Accelerator | None
) -> ImageScores:
    """All figures of ``model`` on ``source``, the same in every process."""
    score = _score_domains if model.learns_from == "image domains" else _score_truth
    return score(model, source, batch_size, workers, precision, accelerator)


def _score_truth(
    model: Any, source: Any, batch_size: int, workers: int, precision: Any, accelerator: Accelerator | None
) -> ImageScores:
    """Process r takes the images r, r + n, …; those of several sizes come one by one."""
    rank, world = place_of(accelerator)
    size = batch_size if model.preprocess.resize == "stretch" else 1
    lists = eval_lists(len(source), size, rank=rank, world=world)
    judge = _enlarged_figures if model.learns_from == "images" else _pair_figures
    share = []
    predictor = Predictor(model, precision=precision)
    for batch in eval_image_batches(model, source, lists, workers):
        found = predictor.predict_batch(batch)
        truths, smalls = (planes.permute(0, 2, 3, 1).numpy() for planes in (batch.targets.images, batch.inputs))
        rows = zip(batch.names, found, truths, smalls, strict=True)
        share += [(name, judge(result.made, truth, small, model.scale)) for name, result, truth, small in rows]

    def finish(shares: list[Any]) -> ImageScores:
        names, rows = zip(*in_turn(shares), strict=True)
        return mean_scores(names, rows)

    return together(accelerator, share, finish)


def _pair_figures(made: np.ndarray, truth: np.ndarray, small: np.ndarray, scale: int) -> dict[str, float]:
    del small, scale
    apart = np.abs(made.astype(np.float64) - truth).mean() / 255
    return {"psnr": psnr(made, truth), "ssim": _ssim(made, truth), "l1": float(apart)}


def _enlarged_figures(made: np.ndarray, truth: np.ndarray, small: np.ndarray, scale: int) -> dict[str, float]:
    y, true_y = luma(made), luma(truth)
    plain = luma(resampled(small, (truth.shape[0], truth.shape[1])))
    found, usual = psnr(y, true_y, border=scale), psnr(plain, true_y, border=scale)
    return {
        "psnr_y": found,
        "psnr": psnr(made, truth, border=scale),
        "ssim_y": _ssim(y, true_y, scale),
        "gain_y": found - usual if np.isfinite([found, usual]).all() else float("nan"),
        "bicubic_y": usual,
    }


def _ssim(made: np.ndarray, truth: np.ndarray, border: int = 0) -> float:
    """Not a number for images smaller than its window."""
    small = min(made.shape[:2]) - 2 * border < WINDOW
    return float("nan") if small else ssim(made, truth, border=border)


def _score_domains(
    model: Any, source: Any, batch_size: int, workers: int, precision: Any, accelerator: Accelerator | None
) -> ImageScores:
    """Images of one domain as of the other and back; every process has a share, the first puts them together.

    ``likeness`` is 1 / (1 + the mean distance of both directions): 1 where what is made cannot be told from what is
    real by its patches.
    """
    rank, world = place_of(accelerator)
    size = batch_size if model.preprocess.resize == "stretch" else 1
    share = []
    for own, positions in enumerate(members(source)):
        lists = [positions[part].tolist() for part in eval_lists(len(positions), size, rank=rank, world=world)]
        for batch in eval_image_batches(model, source, lists, workers):
            share.append([own, *_there_and_back(model, batch, own, precision)])

    def finish(shares: list[Any]) -> ImageScores:
        real, made, back = ([[], []] for _ in range(3))
        for own, images, there, again in (part for parts in shares for part in parts):
            real[own] += images
            made[1 - own] += there
            back[own] += again
        return _domain_figures(real, made, back)

    return together(accelerator, share, finish)


def _there_and_back(model: Any, batch: Any, own: int, precision: Any) -> Iterator[list[np.ndarray]]:
    """Images, what they become, and what that becomes again, each (H, W, 3) uint8."""
    yield [*batch.inputs.permute(0, 2, 3, 1).numpy()]
    for to in (1 - own, own):
        found = Predictor(model, precision=precision, fold=False, to=model.classes[to]).predict_batch(batch)
        made = torch.from_numpy(np.stack([result.made for result in found])).permute(0, 3, 1, 2)
        batch = type(batch)(made, batch.targets, batch.frames, batch.names)
        yield [result.made for result in found]


def _domain_figures(real: list[Any], made: list[Any], back: list[Any]) -> ImageScores:
    cycles = [
        float(np.mean([psnr(again, image) for again, image in zip(*pair, strict=True)])) if pair[0] else float("nan")
        for pair in zip(back, real, strict=True)
    ]
    apart = [
        sliced_wasserstein(m, r) if len({x.shape for x in (*m, *r)}) == 1 else float("nan")
        for m, r in zip(made, real, strict=True)
    ]
    figures = {
        "likeness": 1 / (1 + float(np.mean(apart))),
        "cycle_psnr": float(np.mean(cycles)),
        "swd_to_a": apart[0],
        "swd_to_b": apart[1],
        "cycle_psnr_a": cycles[0],
        "cycle_psnr_b": cycles[1],
    }
    return ImageScores(figures)
