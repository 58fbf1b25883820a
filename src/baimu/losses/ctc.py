"""Connectionist temporal classification: how improbable a network finds a text, whatever its alignment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def ctc_loss(
    log_p: Float[Tensor, "b t k1"], labels: Int[Tensor, "b l"], steps: Int[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """``−log p(labels)`` of each row: p summed over all its alignments with the first ``steps`` of T (Graves et al.,
    ICML 2006, Eq. 8).

    ``log_p`` are log probabilities, the blank's in the last column K; ``labels`` are 0…K−1, then −1. An alignment
    needs a step a label, and a blank between two equal ones. Where there are not so many, the loss is ``inf`` and
    its gradient zero. float32.
    """
    lengths = (labels >= 0).sum(1)
    loss = F.ctc_loss(
        log_p.float().transpose(0, 1),
        labels.clamp(min=0),
        steps,
        lengths,
        blank=log_p.shape[2] - 1,
        reduction="none",
        zero_infinity=True,  # its gradient would be nan
    )
    return loss.masked_fill(steps < steps_needed(labels), torch.inf)


def steps_needed(labels: Int[Tensor, "b l"]) -> Int[Tensor, " b"]:
    """The least steps that an alignment of ``labels`` has: one each, and one between equal neighbours."""
    equal = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] >= 0)
    return (labels >= 0).sum(1) + equal.sum(1)
