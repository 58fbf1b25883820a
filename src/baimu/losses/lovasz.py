"""The Lovász-Softmax loss (Berman, Rannen Triki, Blaschko 2018), arXiv 1705.08790.

1 − IoU is a function of the set of wrong pixels. Its Lovász extension is the tightest convex function of real errors
that agrees with it on sets: errors are sorted, and each is weighed by what the IoU loses when its pixel joins those
before it. Dims: N pixels, K classes.

Neither loss is elementwise: a pixel's share depends on the others', so both are scalars.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from baimu.targets import UNDECIDED


def lovasz_weights(truth: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """What 1 − IoU of each column grows by with every further wrong pixel; ``truth`` is 0 or 1, in the order of falling
    errors (Algorithm 1)."""
    total = truth.sum(0)
    common = total - truth.cumsum(0)
    union = total + (1 - truth).cumsum(0)
    lost = 1 - common / union
    return torch.cat([lost[:1], lost[1:] - lost[:-1]])


def lovasz_softmax_loss(probabilities: Float[Tensor, "n k"], labels: Integer[Tensor, " n"]) -> Float[Tensor, ""]:
    """The extension at the errors ``|truth − p|`` of each class (Eq. 8, 9), mean over the classes that some pixel has.

    Pixels of the label 255 do not count; 0 where no pixel does.
    """
    p = probabilities.float()
    known = labels != UNDECIDED
    truth = F.one_hot(labels.long().where(known, 0), p.shape[1]).to(p.dtype) * known[:, None]
    errors = (truth - p).abs() * known[:, None]  # of pixels that do not count 0: they come last and weigh nothing
    errors, order = errors.sort(0, descending=True)
    weights = lovasz_weights(truth.gather(0, order))
    present = truth.any(0)
    losses = (errors * weights.detach()).sum(0).where(present, 0.0)
    return losses.sum() / present.sum().clamp(min=1)


def lovasz_hinge_loss(logits: Float[Tensor, " n"], truth: Bool[Tensor, " n"]) -> Float[Tensor, ""]:
    """The extension at the hinge errors ``1 − logit · (±1)`` of one class against the rest (Eq. 6, 7)."""
    signs = truth.float() * 2 - 1
    errors, order = (1 - logits.float() * signs).sort(0, descending=True)
    weights = lovasz_weights(truth.float()[order, None])[:, 0]
    return (errors.relu() * weights.detach()).sum()
