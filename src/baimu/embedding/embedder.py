"""Images to vectors whose distances say who is who: a backbone, a neck that makes the vector, a head that teaches it.

B images, D dimensions, K identities to learn from. Identities met in use are others: the head, which knows those K,
works in training only.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baimu.layers import shortcuts
from baimu.layers.contracts import Backbone, check_pyramid
from baimu.preprocess import Preprocess, imagenet
from baimu.targets import IdTargets


class Features(NamedTuple):
    """What a neck makes of an image. Methods without a second space of their own give the same twice."""

    raw: Tensor  # (B, D), on which losses measure distances
    embedding: Tensor  # (B, D), by which images are compared


class EmbeddingHead(Protocol):
    """What turns features into losses; its parameters are those of the K identities."""

    num_classes: int

    def losses(self, features: Features, ids: Int[Tensor, " b"]) -> dict[str, Tensor]:
        """Weighted float32 scalars by name; samples with an id below 0 teach nothing."""
        ...


class Embedder(nn.Module):
    """A method of embedding from its three parts. ``dim`` is D, ``size`` (height, width) what the neck is made for,
    ``None`` where any will do.

    ``flip``: ``embed`` adds the embedding of the mirrored image to that of the image, face recognition's test-time
    habit.
    """

    task = "embedding"
    spec: tuple[str, dict[str, Any]] | None = None  # set by create_model

    def __init__(
        self,
        backbone: Backbone,
        neck: nn.Module,
        head: nn.Module,
        *,
        dim: int,
        size: tuple[int, int] | None = None,
        preprocess: Preprocess = imagenet,
    ) -> None:
        super().__init__()
        check_pyramid(backbone, type(self).__name__)
        self.backbone, self.neck = backbone, neck
        self.head: Any = head
        self.num_classes: int = self.head.num_classes
        self.classes: tuple[str, ...] = tuple(f"class {i}" for i in range(self.num_classes))
        self.dim, self.size, self.preprocess = dim, size, preprocess
        self.flip = False

    def features(self, images: Float[Tensor, "b 3 h w"]) -> Features:
        """Normalised images → both kinds of features."""
        return self.neck(self.backbone(images)[-1])

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Normalised images → embeddings, of any length; compared by their angles."""
        return self.features(images).embedding

    def losses(self, images: Float[Tensor, "b 3 h w"], targets: IdTargets) -> dict[str, Tensor]:
        """One training pass over normalised images."""
        return self.head.losses(self.features(images), targets.ids)

    @torch.no_grad()
    def embed(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Normalised images → embeddings of length 1, float32: their dot product is the cosine of the angle."""
        found = self(images).float()
        if self.flip:
            found = found + self(images.flip(3)).float()
        return F.normalize(found, dim=1)

    predict = shortcuts.predict
    optimize = shortcuts.optimize
