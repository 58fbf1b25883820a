"""What all networks have that make images of images: how the rest of the library trains and asks them.

Dims: B images, H x W input pixels, S the scale.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baimu.layers.shortcuts import optimize, predict
from baimu.preprocess import Preprocess

Phases = tuple[tuple[str, tuple[str, ...]], ...]
"""The parts of a training step, in order: the method that gives the losses, and the children that learn from it."""


class Translator(nn.Module, ABC):
    """A model with a ``generator`` and, where it has an opponent, a ``discriminator``.

    A subclass says ``learns_from``: ``"image pairs"`` (inputs and what they are to become), ``"image domains"`` (two
    sets of images that do not belong together) or ``"images"`` (of which smaller ones are made); its ``phases`` and
    the methods that they name, each ``(images, targets) -> losses`` with normalised ``images`` and
    :class:`~baimu.targets.ImageTargets`; and :meth:`generate`.
    """

    task = "generation"
    learns_from: ClassVar[str]
    phases: ClassVar[Phases]
    classes: tuple[str, ...] = ()  # of two domains their names
    scale = 1  # output pixels an input pixel
    reach: int | None = None  # input pixels around an output pixel that it depends on; None: on all of the image

    def __init__(self, preprocess: Preprocess, multiple: int = 1, least: int = 1) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.multiple, self.least = multiple, least  # sides of inputs are multiples of the one, and at least the other
        self.spec: tuple[str, dict[str, Any]] | None = None

    @abstractmethod
    def generate(self, images: Tensor, to: int) -> Tensor:
        """Normalised images of sides that are multiples → as ``forward``; ``to``: the domain, where there are two."""

    def translate(self, images: Float[Tensor, "b 3 h w"], to: int = 1) -> Float[Tensor, "b 3 sh sw"]:
        """Normalised images of any size → RGB in 0…255, float32, S times as large.

        Sides that are no multiples of ``multiple`` are continued by reflection at the right and bottom, and the result
        is cut back.
        """
        height, width = images.shape[2:]
        padded = reflected(images, self.multiple, self.least)
        made = self.preprocess.restore(self.generate(padded, to).float())
        return made[:, :, : height * self.scale, : width * self.scale].clamp(0, 255)

    predict = predict
    optimize = optimize


def reflected(images: Tensor, multiple: int, least: int = 1) -> Tensor:
    """Continued at the right and bottom to sides that are multiples, and at least ``least``, by reflection as often as
    that takes."""
    for dim in (2, 3):
        side = images.shape[dim]
        wanted = (max(side, least) + multiple - 1) // multiple * multiple
        if wanted > side:
            places = torch.arange(wanted, device=images.device) % max(2 * side - 2, 1)
            images = images.index_select(dim, torch.where(places < side, places, 2 * side - 2 - places))
    return images


def init_normal_gan(module: nn.Module, std: float = 0.02) -> None:
    """Weights N(0, ``std``), norms' scales N(1, ``std``), biases zero (1511.06434 §3, 1611.07004 §6.2)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(layer.weight, 1.0, std)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def mean_loss(values: Tensor, weight: float = 1.0) -> Tensor:
    """``weight`` times the mean, float32."""
    return weight * values.float().mean()
