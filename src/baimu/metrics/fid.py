"""How near two sets of images are: the Fréchet distance of their features (FID, 1706.08500).

Published figures are of one Inception network of 2015; this takes any classifier of ours, and its figures compare with
those of the same classifier alone. They are of use from some thousand images on, and more than there are features.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from baimu.datasets.transforms import to_input


def fid(first: Iterable[np.ndarray], second: Iterable[np.ndarray], classifier: Any) -> float:
    """The distance of two sets of RGB uint8 images (H, W, 3), of any sizes, in the eyes of ``classifier``.

    Raises ``ValueError`` for fewer than two images in a set.
    """
    one, other = (statistics(features(images, classifier)) for images in (first, second))
    return frechet_distance(*one, *other)


def frechet_distance(mean1: np.ndarray, covariance1: np.ndarray, mean2: np.ndarray, covariance2: np.ndarray) -> float:
    """``|μ1 − μ2|² + tr(Σ1 + Σ2 − 2 (Σ1 Σ2)^½)`` of two Gaussians: means (D,), covariances (D, D).

    The trace of that root is the one of ``(A Σ2 A)^½`` with ``A² = Σ1``. This matrix is symmetric, so that its root is
    that of its eigenvalues, and exists also where fewer images than features leave the covariances without an inverse.
    """
    values, vectors = linalg.eigh(np.asarray(covariance1, np.float64))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    inner = linalg.eigvalsh(root @ np.asarray(covariance2, np.float64) @ root)
    apart = np.asarray(mean1, np.float64) - np.asarray(mean2, np.float64)
    return float(apart @ apart + np.trace(covariance1) + np.trace(covariance2) - 2 * np.sqrt(inner.clip(0)).sum())


def statistics(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and unbiased covariance (D, D) of features (N, D)."""
    if len(rows) < 2:
        raise ValueError(f"a covariance needs at least two images, got {len(rows)}")
    return rows.mean(0), np.atleast_2d(np.cov(rows, rowvar=False))


@torch.inference_mode()
def features(images: Iterable[np.ndarray], classifier: Any) -> np.ndarray:
    """(N, D) float64: the means over the last map, which the classifier's head reads. Images come in as it knows them;
    it is in evaluation mode meanwhile."""
    training, device = classifier.training, next(classifier.parameters()).device
    rows = [np.zeros((0, classifier.backbone.channels[-1]))]
    try:
        classifier.eval()
        for image in images:
            pixels, _ = to_input(image, classifier.preprocess)
            batch = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].to(device)
            last: Tensor = classifier.backbone(classifier.preprocess.normalize(batch))[-1]
            rows.append(last.mean((2, 3)).double().cpu().numpy())
    finally:
        classifier.train(training)
    return np.concatenate(rows)
