"""Logits of identities as angles, with a margin that the right one must win by. Dims: B samples, K identities.

The cosines between a sample and every identity's centre become logits of a cross entropy; what the papers differ in is
what they do to the cosine of the sample's own identity. A label of −1 is a sample whose identity is none of these K:
nothing of its row is moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Margin = Callable[[Tensor, Tensor], Tensor]
"""Cosines (B, K) in −1…1 and identities (B,) → logits (B, K)."""

LEAST_SINE = 1e-6  # squared: what keeps the root's gradient finite where a sample lies on its centre


def arcface_logits(
    cosine: Float[Tensor, "b k"], ids: Int[Tensor, " b"], *, scale: float = 64.0, margin: float = 0.5
) -> Float[Tensor, "b k"]:
    """``s cos(θ + m)`` of the own identity, ``s cos θ`` of the others (ArcFace, 1801.07698 Eq. 3), in float32.

    Past θ + m = π the cosine would rise again and draw a sample away from its centre: from there on it is
    ``cos θ − m sin m``, as in the authors' first code, which falls on. Gradients are those of this formula.
    """
    return combined_margin_logits(cosine, ids, scale=scale, m2=margin)


def cosface_logits(
    cosine: Float[Tensor, "b k"], ids: Int[Tensor, " b"], *, scale: float = 64.0, margin: float = 0.35
) -> Float[Tensor, "b k"]:
    """``s (cos θ − m)`` of the own identity, ``s cos θ`` of the others (CosFace, 1801.09414 Eq. 4), in float32."""
    return combined_margin_logits(cosine, ids, scale=scale, m3=margin)


def combined_margin_logits(
    cosine: Float[Tensor, "b k"],
    ids: Int[Tensor, " b"],
    *,
    scale: float = 64.0,
    m1: float = 1.0,
    m2: float = 0.0,
    m3: float = 0.0,
    interclass_filter: float = 0.0,
) -> Float[Tensor, "b k"]:
    """``s (cos(m1 θ + m2) − m3)`` of the own identity (1801.07698 Eq. 4), in float32, with exact gradients.

    ``interclass_filter``: cosines of *other* identities above it become 0 and give no gradient; on data gathered from
    the web they are mostly the same person under another name. 0: none. Past π as :func:`arcface_logits` says, for
    m1 = 1.
    """
    cosine = without_near_ones(cosine.float(), ids, interclass_filter)
    own = ids.clamp(min=0)[:, None]
    mine = cosine.gather(1, own)
    sine = (1 - mine.square()).clamp(min=LEAST_SINE**2).sqrt()
    if m1 == 1:
        moved = mine * math.cos(m2) - sine * math.sin(m2)
        moved = torch.where(mine > math.cos(math.pi - m2), moved, mine - m2 * math.sin(m2))
    else:
        moved = (m1 * torch.atan2(sine, mine) + m2).cos()
    return scale * cosine.scatter(1, own, torch.where(ids[:, None] >= 0, moved - m3, mine))


def straight_through_margin_logits(
    cosine: Float[Tensor, "b k"],
    ids: Int[Tensor, " b"],
    *,
    scale: float = 64.0,
    m2: float = 0.0,
    m3: float = 0.0,
    interclass_filter: float = 0.0,
) -> Float[Tensor, "b k"]:
    """:func:`combined_margin_logits` (of m1 = 1) as insightface's arcface_torch has it, by which its networks learned.

    It moves the cosines in place and out of autograd's sight, so that the gradient is that of ``s cos θ``, without the
    factor ``sin(θ + m) / sin θ``; and past π the logit rises again, which then costs nothing.
    """
    cosine = without_near_ones(cosine.float(), ids, interclass_filter)
    own = ids.clamp(min=0)[:, None]
    with torch.no_grad():
        mine = cosine.gather(1, own)
        shift = (mine.clamp(-1, 1).acos() + m2).cos() - mine - m3 if m2 else torch.full_like(mine, -m3)
        shift = shift * (ids[:, None] >= 0)
    return scale * cosine.scatter_add(1, own, shift)


def without_near_ones(cosine: Float[Tensor, "b k"], ids: Int[Tensor, " b"], threshold: float) -> Float[Tensor, "b k"]:
    """Cosines of other identities above ``threshold`` replaced by 0; nothing is where it is 0."""
    if threshold <= 0:
        return cosine
    others = torch.arange(cosine.shape[1], device=cosine.device) != ids[:, None]
    return cosine.masked_fill((cosine > threshold) & others, 0.0)
