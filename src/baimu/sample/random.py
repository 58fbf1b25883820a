"""Which assigned priors count in the loss. Dims: B images, P priors, S sampled."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor


class Sampled(NamedTuple):
    """S places an image, fixed; ``valid`` is false on those that hold nothing."""

    index: Int[Tensor, "b s"]  # into the P priors
    positive: Bool[Tensor, "b s"]
    valid: Bool[Tensor, "b s"]


Sampler = Callable[[Tensor], Sampled]
"""Assignment (B, P) → :class:`Sampled`."""


def sample_random(assigned: Int[Tensor, "b p"], *, count: int, positive_share: float) -> Sampled:
    """At most ``count`` priors an image at random: up to ``positive_share`` of them positive, negatives fill the rest.

    ``assigned`` is an assigner's answer: object index, −1 background, −2 ignore.
    """
    count = min(count, assigned.shape[1])
    draw = torch.rand(assigned.shape, device=assigned.device)
    wanted = max(1, int(count * positive_share)) if positive_share > 0 else 0
    positive_key, positives = draw.masked_fill(assigned < 0, -1).topk(min(wanted, count))
    negative_key, negatives = draw.masked_fill(assigned != -1, -1).topk(count)
    is_positive = positive_key >= 0
    room = count - is_positive.sum(1, keepdim=True)
    is_negative = (negative_key >= 0) & (torch.arange(count, device=draw.device) < room)
    index = torch.cat([positives, negatives], 1)
    positive = torch.cat([is_positive, torch.zeros_like(is_negative)], 1)
    valid = torch.cat([is_positive, is_negative], 1)
    # at most `count` of these places are valid: bring them to the front and cut
    order = valid.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count]
    return Sampled(index.gather(1, order), positive.gather(1, order), valid.gather(1, order))


def sample_all(assigned: Int[Tensor, "b p"]) -> Sampled:
    """Every prior that is not ignored."""
    index = torch.arange(assigned.shape[1], device=assigned.device).expand(assigned.shape)
    return Sampled(index, assigned >= 0, assigned != -2)
