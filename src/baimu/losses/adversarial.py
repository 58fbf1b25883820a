"""What a discriminator and its generator lose, elementwise on logits: each asks that they say ``real`` or not.

The caller takes means: a discriminator half of ``loss(real images, True)`` and half of ``loss(fakes, False)``, a
generator ``loss(fakes, True)``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

GanLoss = Callable[[Tensor, bool], Tensor]


def vanilla_gan_loss(logits: Float[Tensor, "*n"], real: bool) -> Float[Tensor, "*n"]:
    """``−log p`` of the answer that is asked for (1406.2661; the generator's is the non-saturating one of its §3)."""
    return F.softplus(-logits.float() if real else logits.float())


def least_squares_gan_loss(logits: Float[Tensor, "*n"], real: bool) -> Float[Tensor, "*n"]:
    """``(x − 1)²`` or ``x²`` (1611.04076 Eq. 9, without its halves)."""
    return (logits.float() - float(real)).square()
