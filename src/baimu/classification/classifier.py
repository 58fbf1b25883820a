"""An image's classes: any backbone with a head, one label an image or several.

B images, K classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baimu.backbones.stages import Stages
from baimu.errors import unknown
from baimu.layers import shortcuts
from baimu.layers.activations import activation
from baimu.losses.bi_tempered import bi_tempered_binary_loss, bi_tempered_loss
from baimu.losses.classification import (
    binary_cross_entropy_loss,
    binary_focal_loss,
    soft_cross_entropy_loss,
    softmax_focal_loss,
)
from baimu.preprocess import Preprocess, imagenet
from baimu.recipes import Recipe
from baimu.targets import ClassTargets

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, K) and shares (B, K) → (B,), or (B, K) where classes are judged one by one."""

LOSSES: dict[str, Loss] = {
    "cross_entropy": soft_cross_entropy_loss,
    "focal": softmax_focal_loss,
    "bi_tempered": bi_tempered_loss,
    "bce": binary_cross_entropy_loss,
}
MULTI_LABEL_LOSSES: dict[str, Loss] = {
    "bce": binary_cross_entropy_loss,
    "focal": binary_focal_loss,
    "bi_tempered": bi_tempered_binary_loss,
}
"""Those of each class on its own. Numbers other than the defaults: a ``functools.partial`` of the function."""


class Classifier(nn.Module):
    """``backbone`` and its head. With ``multi_label`` each class is a question of its own, else they exclude another.

    ``loss`` is a function, or a name of :data:`LOSSES`, with ``multi_label`` of :data:`MULTI_LABEL_LOSSES`; by default
    cross entropy, over a sigmoid for ``multi_label``.
    ``dropout`` (before the last linear layer) is the paper's unless given. ``auxiliary``: train with the auxiliary
    classifiers of the paper, if it has any; nothing but ``losses`` in training mode runs them.
    """

    task = "classification"
    spec: tuple[str, dict[str, Any]] | None = None  # set by create_model

    def __init__(
        self,
        backbone: Stages,
        *,
        num_classes: int = 1000,
        dropout: float | None = None,
        loss: str | Loss | None = None,
        multi_label: bool = False,
        auxiliary: bool = True,
    ) -> None:
        super().__init__()
        losses = MULTI_LABEL_LOSSES if multi_label else LOSSES
        if isinstance(loss, str) and loss not in losses:
            raise unknown("loss of several labels" if multi_label else "loss", loss, losses)
        self.backbone = backbone
        self.dropout = backbone.dropout if dropout is None else dropout
        self.multi_label = multi_label
        self.has_auxiliary = auxiliary
        loss = loss or ("bce" if multi_label else "cross_entropy")
        self.class_loss = losses[loss] if isinstance(loss, str) else loss
        self.preprocess: Preprocess = imagenet.replace(resize="crop", size=224)
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh head for other classes; the backbone stays as it is. Raises ``ValueError`` below 1."""
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        self.classes: tuple[str, ...] = tuple(f"class {i}" for i in range(num_classes))
        self.head = self.backbone.make_head(num_classes, self.dropout)
        self.auxiliary = self.backbone.auxiliary_heads(num_classes) if self.has_auxiliary else nn.ModuleDict()

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k"]:
        """Normalised images → logits."""
        return self.head(self.backbone(images))

    def loss(self, logits: Float[Tensor, "b k"], targets: ClassTargets) -> dict[str, Tensor]:
        """The mean over images, or over the labels that are known, as a float32 scalar."""
        known = targets.shares >= 0
        losses = self.class_loss(logits, targets.shares.clamp(min=0))
        known = known if losses.dim() == 2 else known.any(1)
        return {"class": (losses * known).sum() / known.sum().clamp(min=1)}

    def losses(self, images: Float[Tensor, "b 3 h w"], targets: ClassTargets) -> dict[str, Tensor]:
        """One training pass over normalised images; in training mode with the weighted loss of each auxiliary head."""
        if not (self.training and self.auxiliary):
            return self.loss(self(images), targets)
        maps, inner = self.backbone.with_inner_maps(images)
        losses = self.loss(self.head(maps), targets)
        for name, head in self.auxiliary.items():
            losses[name] = self.backbone.auxiliary_weight * self.loss(head(inner[name]), targets)["class"]
        return losses

    @torch.no_grad()
    def classify(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k"]:
        """Probabilities of normalised images: of each class on its own with ``multi_label``, else their sum is 1."""
        logits = self(images).float()
        return logits.sigmoid() if self.multi_label else logits.softmax(1)

    predict = shortcuts.predict
    optimize = shortcuts.optimize


def make_classifier(
    build: Callable[..., Stages],
    recipe: Recipe,
    preprocess: Preprocess | None,
    num_classes: int,
    options: dict[str, Any],
) -> Classifier:
    """The catalogue's classifier of a backbone function: each of ``options`` goes to the part that has it.

    ``act`` may be a name of :data:`~baimu.layers.activations.ACTIVATIONS`: unlike a factory, a checkpoint can hold it.
    """
    if "act" in options:
        options = {**options, "act": activation(options["act"])}
    own = inspect.signature(Classifier).parameters
    mine = {key: value for key, value in options.items() if key in own}
    backbone = build(**{key: value for key, value in options.items() if key not in own})
    model = Classifier(backbone, num_classes=num_classes, **mine)
    model.preprocess = (preprocess or imagenet).replace(pad_to=1, **recipe.sizes())
    return model
