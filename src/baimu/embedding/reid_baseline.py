"""Bag of Tricks and A Strong Baseline for Deep Person Re-identification (Luo, Gu, Liao, Lai, Jiang 2019), arXiv
1903.07071.

Two losses want two spaces: the triplet loss wants distances, the classification of identities wants angles. Between
them the paper puts one batch norm (BNNeck): the triplet and centre losses see the feature before it, the identity loss
and the search the feature behind it. The other tricks: the last stage keeps its map (last stride 1), smoothed labels,
random erasing, a rising rate at the start, P identities with K images each in a batch.

B images, D dimensions (2048), K identities, f the feature before the norm.

Differences (``like=``):

====================  =====================  ==========================  =====================  ======================
what                  paper                  reid-strong-baseline        fast-reid's bagtricks  here
====================  =====================  ==========================  =====================  ======================
ResNet's stem         with ReLU              without                     with                   with; ``like=``
its pooling           pads both sides        as there                    at the end, as Caffe   both; ``like=``
smoothed labels       ε/K for every class    ε/K                         ε/(K−1) for others     ε/K; ``like=``
centre loss           0.0005                 0.0005                      none                   0.0005; ``like=``
centres learn by      –                      SGD 0.5 of the loss before  –                      the same step, taken in
                                             its weight                                         the training pass
triplets without one  –                      the sample itself is its    as there               they do not count
of another image                             own positive
random erasing        0.02 to 0.4 of area    mean after normalisation    the same               0.02 to 1/3, the mean
====================  =====================  ==========================  =====================  ======================

Generalized-mean pooling (``gem=True``) is of AGW (2001.04193) and fast-reid's stronger baselines; ``margin=None`` is
the soft margin of 1703.07737.

Reported (Table 6 and the repository): Market-1501 rank-1 94.5 %, mAP 85.9 %; DukeMTMC-reID 86.4 %, 76.4 %.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baimu.backbones.resnet import ResNet, resnet18, resnet50
from baimu.embedding.embedder import Embedder, Features
from baimu.errors import unknown
from baimu.layers.contracts import Backbone
from baimu.layers.pooling import GeM, Mean
from baimu.losses.classification import cross_entropy_loss
from baimu.losses.triplet import center_loss, pair_distance, soft_margin_triplet_loss, triplet_loss
from baimu.ops.distributed import reduce_mean
from baimu.preprocess import imagenet
from baimu.recipes import Recipe
from baimu.sample.hardest import mine_hardest
from baimu.zoo import model

LIKE = ("paper", "strong_baseline", "fastreid")
LAST_STRIDE_1: dict[str, Any] = {"out": (5,), "output_stride": 16, "dilate_from": 0}
"""§3.4: the last stage keeps the map, and nothing is spread in turn."""


class BNNeck(nn.Module):
    """§3.5, Fig. 5c: the map's mean (or GeM), f, and behind one batch norm whose shift stays 0 the embedding."""

    def __init__(self, channels: int, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool
        self.norm = nn.BatchNorm1d(channels)
        self.norm.bias.requires_grad_(False)

    def forward(self, maps: Tensor) -> Features:
        """The last map (B, C, H, W)."""
        raw = self.pool(maps).float()
        return Features(raw, self.norm(raw))


class IdentityHead(nn.Module):
    """The identity loss behind the neck, batch-hard triplet and centre loss before it (§3.6, Eq. 7).

    ``margin``: of the triplet loss, ``None`` for the soft one. ``center_weight`` 0: no centre loss, and no centres.
    """

    centers: Tensor

    def __init__(
        self, dim: int, num_classes: int, *, smoothing: float, margin: float | None, center_weight: float
    ) -> None:
        super().__init__()
        self.num_classes, self.smoothing, self.margin = num_classes, smoothing, margin
        self.center_weight, self.center_lr = center_weight, 0.5
        self.classify = nn.Linear(dim, num_classes, bias=False)
        nn.init.normal_(self.classify.weight, std=0.001)
        if center_weight:
            self.register_buffer("centers", torch.randn(num_classes, dim))

    def losses(self, features: Features, ids: Int[Tensor, " b"]) -> dict[str, Tensor]:
        known = ids >= 0
        share = known / known.sum().clamp(min=1)
        losses = {
            "id": (
                cross_entropy_loss(self.classify(features.embedding), ids.clamp(min=0), self.smoothing) * share
            ).sum(),
            "triplet": self.triplet(features.raw, ids),
        }
        if self.center_weight:
            losses["center"] = self.center_weight * self.center(features.raw, ids.clamp(min=0), share)
        return losses

    def triplet(self, raw: Float[Tensor, "b d"], ids: Int[Tensor, " b"]) -> Tensor:
        """The mean over the samples that have both a positive and a negative."""
        hardest = mine_hardest(raw, ids)
        positive, negative = pair_distance(raw, raw[hardest.positive]), pair_distance(raw, raw[hardest.negative])
        if self.margin is None:
            losses = soft_margin_triplet_loss(positive, negative)
        else:
            losses = triplet_loss(positive, negative, self.margin)
        return (losses * hardest.valid).sum() / hardest.valid.sum().clamp(min=1)

    def center(self, raw: Float[Tensor, "b d"], ids: Int[Tensor, " b"], share: Float[Tensor, " b"]) -> Tensor:
        """The mean of the centre losses; in training, the centres then make their step."""
        centers = self.centers[ids]
        if self.training and torch.is_grad_enabled():
            self.move_centers(raw.detach(), ids, share)
        return (center_loss(raw, centers) * share).sum()

    @torch.no_grad()
    def move_centers(self, raw: Float[Tensor, "b d"], ids: Int[Tensor, " b"], share: Float[Tensor, " b"]) -> None:
        """One step of SGD on the mean loss of all processes' samples: ``c −= lr · 2 Σ (c − f) / B``."""
        step = torch.zeros_like(self.centers).index_add_(0, ids, 2 * (self.centers[ids] - raw) * share[:, None])
        self.centers -= self.center_lr * reduce_mean(step)


def reid_baseline(
    backbone: Backbone,
    num_classes: int,
    *,
    gem: bool = False,
    smoothing: float = 0.1,
    margin: float | None = 0.3,
    center_weight: float | None = None,
    like: str = "paper",
) -> Embedder:
    """The strong baseline on any backbone whose map holds no negative values. ``center_weight``: by ``like``."""
    if like not in LIKE:
        raise unknown("definitions to be like", like, LIKE)
    if like == "fastreid":
        smoothing *= num_classes / max(num_classes - 1, 1)
    if center_weight is None:
        center_weight = 0.0 if like == "fastreid" else 0.0005
    if isinstance(backbone, ResNet) and like == "strong_baseline":
        backbone.act1 = nn.Identity()
    if isinstance(backbone, ResNet) and like == "fastreid":
        backbone.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    dim = backbone.channels[-1]
    head = IdentityHead(dim, num_classes, smoothing=smoothing, margin=margin, center_weight=center_weight)
    preprocess = imagenet.replace(pad_to=1, **recipe.sizes())
    return Embedder(backbone, BNNeck(dim, GeM() if gem else Mean()), head, dim=dim, preprocess=preprocess)


recipe = Recipe(
    epochs=120,
    batch_size=64,
    images_per_identity=4,
    optimizer="adam",
    lr=3.5e-4,
    lr_batch_size=None,
    weight_decay=5e-4,
    milestones=(40 / 120, 70 / 120),
    warmup_steps=2020,
    warmup_start=0.01,
    resize="stretch",
    size=256,
    width=128,
    crop_area=(1.0, 1.0),
    crop_padding=10,
    random_erasing=0.5,
)
"""§3 on Market-1501, whose epoch is 202 steps of 64 of its 12,936 images: 10 epochs of rising rate."""


@model("reid_baseline_r50", task="embedding", paper="1903.07071", recipe=recipe, reported={"rank1": 94.5, "map": 85.9})
def reid_baseline_r50(num_classes: int = 751, *, backbone: Backbone | None = None, **options: Any) -> Embedder:
    """Strong re-identification baseline with ResNet-50, last stride 1: 23.5 M parameters without the identities."""
    return reid_baseline(backbone or resnet50(**LAST_STRIDE_1), num_classes, **options)


@model("reid_baseline_r18", task="embedding", paper="1903.07071", recipe=recipe)
def reid_baseline_r18(
    num_classes: int = 751, *, backbone: Backbone | None = None, small_images: bool = False, **options: Any
) -> Embedder:
    """Strong re-identification baseline with ResNet-18: 11.2 M parameters without the identities.

    ``small_images``: ResNet's stem for images of about 32 pixels.
    """
    return reid_baseline(backbone or resnet18(small_images=small_images, **LAST_STRIDE_1), num_classes, **options)
