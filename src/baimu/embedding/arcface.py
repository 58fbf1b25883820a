"""ArcFace: Additive Angular Margin Loss for Deep Face Recognition (Deng, Guo, Xue, Zafeiriou 2018), arXiv 1801.07698.

Every identity has a centre on the sphere of embeddings. The cosine of the angle θ between an embedding and each centre,
times a scale, is a logit; to count as right, the own centre must be nearer by an angle ``m``: its logit is ``s cos(θ +
m)`` (Eq. 3). Identities contract around their centres and move apart, and so do those met later, who have no centre.

B images, D dimensions (512), K identities, θ the angle to the own centre.

Differences:

======================  ========================  ===============================  ===========================
what                    paper                     insightface's arcface_torch      here
======================  ========================  ===============================  ===========================
gradient of the margin  that of Eq. 3             that of ``s cos θ`` (the margin  Eq. 3's; ``like="insightface"``
                                                  is put in without autograd)
θ + m beyond π          falls on, by              rises again (and gives no other  ``cos θ − m sin m``;
                        ``cos θ − m sin m``       gradient than elsewhere)         ``like="insightface"`` rises
dropout in the neck     0.4                       0                                0.4 (``dropout=``)
centres start as        Xavier                    normal of deviation 0.01         the latter
last norm's scale       fixed at 1                fixed at 1                       fixed at 1
schedule                SGD 0.1, a tenth at 100   polynomial, 20 epochs            the paper's, as shares
                        k and 160 k of 180 k
other backbones         –                         –                                ``arcface_r18``: the map's mean
                                                                                   in place of all its cells
======================  ========================  ===============================  ===========================

CosFace (Wang et al. 2018, arXiv 1801.09414) takes ``m`` off the cosine: ``margin=(1, 0, 0.35)``; the combined margin
(Eq. 4) is ``margin=(m1, m2, m3)``; ``interclass_filter`` is insightface's guard against one person under two names.

Reported: LFW accuracy 99.82 % (ResNet-100, MS1MV2; Table 4); of insightface's model zoo TAR at FAR 1e-4 on IJB-C 96.37
% (r50) and 96.85 % (r100, both MS1MV3). :func:`baimu.load` reads its files, which are for research only.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baimu.backbones.iresnet import iresnet18, iresnet34, iresnet50, iresnet100
from baimu.backbones.resnet import resnet18
from baimu.embedding.embedder import Embedder, Features
from baimu.errors import unknown
from baimu.layers.contracts import Backbone
from baimu.layers.pooling import Mean
from baimu.losses.classification import cross_entropy_loss
from baimu.losses.margin import Margin, combined_margin_logits, straight_through_margin_logits
from baimu.preprocess import signed
from baimu.recipes import Recipe
from baimu.zoo import model

DIM = 512


class FlatNeck(nn.Module):
    """Option E (§3.1): norm, dropout, one linear layer from all cells of the map, norm. The last norm scales nothing,
    so that no dimension can be shut off."""

    def __init__(self, channels: int, cells: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.dropout = dropout
        self.linear = nn.Linear(channels * cells, dim)
        self.last_norm = unscaled_norm(dim)

    def forward(self, maps: Tensor) -> Features:
        """The last map (B, C, H, W) of as many cells as the neck was made for."""
        flat = self.norm(maps).flatten(1)
        found = self.last_norm(self.linear(F.dropout(flat, self.dropout, self.training)))
        return Features(found, found)


class PooledNeck(nn.Module):
    """Option E from the mean of the map, so that images may have any size: for backbones that see more than faces."""

    def __init__(self, channels: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.pool = Mean()
        self.dropout = dropout
        self.linear = nn.Linear(channels, dim)
        self.last_norm = unscaled_norm(dim)

    def forward(self, maps: Tensor) -> Features:
        """The last map (B, C, H, W)."""
        found = self.last_norm(self.linear(F.dropout(self.pool(maps), self.dropout, self.training)))
        return Features(found, found)


def unscaled_norm(dim: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(dim)
    norm.weight.requires_grad_(False)
    return norm


class MarginHead(nn.Module):
    """A centre for each identity, and cross entropy over the cosines to them, which ``margin`` makes logits. All of it
    in float32: a scale of 64 leaves bfloat16 no digit of the loss."""

    def __init__(self, dim: int, num_classes: int, margin: Margin) -> None:
        super().__init__()
        self.num_classes, self.margin = num_classes, margin
        self.weight = nn.Parameter(torch.empty(num_classes, dim))
        nn.init.normal_(self.weight, std=0.01)

    def cosines(self, embedding: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Of the angles to every centre."""
        with torch.autocast(embedding.device.type, enabled=False):
            return F.linear(F.normalize(embedding.float()), F.normalize(self.weight.float())).clamp(-1, 1)

    def losses(self, features: Features, ids: Int[Tensor, " b"]) -> dict[str, Tensor]:
        logits = self.margin(self.cosines(features.embedding), ids)
        known = ids >= 0
        losses = cross_entropy_loss(logits, ids.clamp(min=0)) * known
        return {"margin": losses.sum() / known.sum().clamp(min=1)}


def make_margin(
    like: str, scale: float, margin: float | tuple[float, float, float], interclass_filter: float
) -> Margin:
    """The logits of ``margin``, an angle or all three of Eq. 4, by the paper or like insightface (see the table)."""
    m1, m2, m3 = margin if isinstance(margin, tuple | list) else (1.0, margin, 0.0)
    given = {"scale": scale, "m2": m2, "m3": m3, "interclass_filter": interclass_filter}
    if like == "paper":
        return partial(combined_margin_logits, m1=m1, **given)
    if like != "insightface":
        raise unknown("definitions to be like", like, ("paper", "insightface"))
    if m1 != 1:
        raise ValueError(f"insightface has m1 = 1 only, got {m1}; take like='paper'")
    return partial(straight_through_margin_logits, **given)


def arcface(
    backbone: Backbone,
    num_classes: int,
    *,
    size: int | None = 112,
    dim: int = DIM,
    dropout: float = 0.4,
    scale: float = 64.0,
    margin: float | tuple[float, float, float] = 0.5,
    interclass_filter: float = 0.0,
    like: str = "paper",
) -> Embedder:
    """ArcFace on any backbone, for square images of ``size`` pixels; ``None``: of any, from the mean of the last map.

    ``margin``: the angle in radians, or (m1, m2, m3) of Eq. 4.
    """
    channels = backbone.channels[-1]
    if size is None:
        neck: nn.Module = PooledNeck(channels, dim, dropout)
    else:
        neck = FlatNeck(channels, (-(-size // backbone.strides[-1])) ** 2, dim, dropout)
    head = MarginHead(dim, num_classes, make_margin(like, scale, margin, interclass_filter))
    preprocess = signed.replace(resize="stretch", size=size or recipe.size, pad_to=1)
    return Embedder(backbone, neck, head, dim=dim, size=None if size is None else (size, size), preprocess=preprocess)


recipe = Recipe(
    epochs=16,
    batch_size=512,
    lr=0.1,
    lr_batch_size=512,
    weight_decay=5e-4,
    milestones=(100 / 180, 160 / 180),
    warmup_steps=0,
    resize="stretch",
    size=112,
    crop_area=(1.0, 1.0),
)
"""§4.1, on MS1MV2: 180,000 steps of 512 aligned faces; mirrored at random and nothing else."""


@model("arcface_iresnet18", task="embedding", paper="1801.07698", recipe=recipe)
def arcface_iresnet18(num_classes: int = 85742, *, backbone: Backbone | None = None, **options) -> Embedder:
    """ArcFace with IResNet-18: 24.0 M parameters without the centres."""
    return arcface(backbone or iresnet18(), num_classes, **options)


@model("arcface_iresnet34", task="embedding", paper="1801.07698", recipe=recipe)
def arcface_iresnet34(num_classes: int = 85742, *, backbone: Backbone | None = None, **options) -> Embedder:
    """ArcFace with IResNet-34: 34.1 M parameters without the centres."""
    return arcface(backbone or iresnet34(), num_classes, **options)


@model("arcface_iresnet50", task="embedding", paper="1801.07698", recipe=recipe, reported={"ijbc_tar_at_1e-4": 96.37})
def arcface_iresnet50(num_classes: int = 85742, *, backbone: Backbone | None = None, **options) -> Embedder:
    """ArcFace with IResNet-50: 43.6 M parameters without the centres."""
    return arcface(backbone or iresnet50(), num_classes, **options)


@model("arcface_iresnet100", task="embedding", paper="1801.07698", recipe=recipe, reported={"lfw_accuracy": 99.82})
def arcface_iresnet100(num_classes: int = 85742, *, backbone: Backbone | None = None, **options) -> Embedder:
    """ArcFace with IResNet-100, the paper's: 65.2 M parameters without the centres."""
    return arcface(backbone or iresnet100(), num_classes, **options)


@model("arcface_r18", task="embedding", paper="1801.07698", recipe=recipe)
def arcface_r18(
    num_classes: int = 85742,
    *,
    backbone: Backbone | None = None,
    size: int | None = None,
    small_images: bool = False,
    **options,
) -> Embedder:
    """ArcFace with ResNet-18 and the mean of its map, for images of any size and for processors: 11.4 M parameters.

    ``small_images``: ResNet's stem for images of about 32 pixels.
    """
    return arcface(backbone or resnet18(out=(5,), small_images=small_images), num_classes, size=size, **options)
