"""Online bootstrapping of pixels: High-performance Semantic Segmentation Using Very Deep Fully Convolutional Networks
(Wu, Shen, van den Hengel 2016), arXiv 1604.04339 §2.2; segmentation's OHEM."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from baimu.targets import UNDECIDED


@torch.no_grad()
def hard_pixels(
    logits: Float[Tensor, "b k h w"], labels: Integer[Tensor, "b h w"], threshold: float = 0.7, least: int = 100_000
) -> Bool[Tensor, "b h w"]:
    """The pixels whose own class has a probability below ``threshold``, and at least the ``least`` hardest ones an
    image, counted over the whole batch (of fewer, all but the surest); never one of the label 255.

    The numbers are mmsegmentation's; HRNet's training has 0.9 and 131,072.
    """
    known = labels != UNDECIDED
    own = labels.long().where(known, 0)[:, None]
    sure = logits.float().softmax(1).gather(1, own)[:, 0].where(known, 2.0)  # undecided ones are sorted last
    last = (known.sum() - 1).clamp(0, least * labels.shape[0])
    bound = sure.flatten().sort().values.gather(0, last[None]).clamp(min=threshold)
    return (sure < bound) & known
