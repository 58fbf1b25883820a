"""Distances between images in the eyes of a trained classifier (1603.08155, 1609.04802 §2.2.1)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baimu.backbones.vgg import VGG, vgg19
from baimu.preprocess import imagenet


class VGGFeatures(nn.Module):
    """The last map of VGG-19 before its fifth pooling, after its ReLU: φ5,4 of SRGAN, of images in 0…1.

    Nothing in it learns. Its parameters are random until trained ones are put in by :meth:`load`: ``trained`` says
    whether they were.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network: VGG = vgg19(out=(4,)).requires_grad_(False).eval()
        self.trained = False
        self.register_buffer("mean", torch.tensor(imagenet.mean)[:, None, None] / 255, persistent=False)
        self.register_buffer("std", torch.tensor(imagenet.std)[:, None, None] / 255, persistent=False)

    def load(self, state: dict[str, Tensor]) -> None:
        """The parameters of our ``vgg19`` or of a classifier on it, whose head is left. Raises ``RuntimeError`` where
        they are another network's."""
        own = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
        self.network.load_state_dict(own or state)
        self.trained = True

    def train(self, mode: bool = True) -> VGGFeatures:
        return super().train(False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 512 h2 w2"]:
        return self.network((images - self.mean) / self.std)[-1]
