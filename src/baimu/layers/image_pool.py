"""A pool of images that a generator made before (1612.07828 §2.3): a discriminator that sees them beside the newest
does not follow a generator that goes round in circles."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ImagePool(nn.Module):
    """At most ``size`` images; 0 keeps none and gives back what it is given.

    What it holds is part of a training, not of the trained model: it is in no state dict, but :meth:`memory` and
    :meth:`recall` carry it over to a continued run. It draws from torch's generator of the CPU.
    """

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        self.size = size
        self.images: list[Tensor] = []

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """As many images: while there is room, each is kept and given back; then, of even chances, either it is given
        back, or one of the pool is, in whose place it is kept."""
        return torch.stack([self._one(image) for image in images.detach()]) if self.size else images

    def _one(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image)
            return image
        if torch.rand(()) <= 0.5:
            return image
        place = int(torch.randint(self.size, ()))
        older, self.images[place] = self.images[place], image
        return older

    def memory(self) -> dict[str, Tensor]:
        """What :meth:`recall` needs."""
        return {"images": torch.stack(self.images)} if self.images else {}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Hold what another pool held."""
        self.images = [*memory["images"]] if "images" in memory else []
