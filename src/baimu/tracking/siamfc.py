"""Fully-Convolutional Siamese Networks for Object Tracking.

Luca Bertinetto, Jack Valmadre, João F. Henriques, Andrea Vedaldi, Philip H. S. Torr, 2016, arXiv 1606.09549.

One network maps the object as it was in the first frame, the *exemplar*, and a larger square around its last place, the
*search* image. The exemplar's map is the kernel of a convolution over the other: its response is high where the two
look alike (Eq. 1). Nothing is learned while tracking. The square is searched at three scales; of the best one's
response, enlarged sixteen times and held to the middle by a Hann window, the peak is the new place.

Dims: B pairs, R x R cells of the response (17 for 127 and 255 pixels), S scales.

==========================  ====================================================================================
differs from the paper      how (after siamfc-pytorch, whose figures and weights are the ones in use)
==========================  ====================================================================================
response                    times 0.001; the paper learns a gain and a bias
labels                      positive where |dx| + |dy| ≤ 16 pixels; Euclidean in the paper
training crops              of 255 pixels as in the paper, shifted by up to 4 and stretched by up to 5 %
                            (siamfc-pytorch: 239, cut from such)
scales                      3 as SiamFC-3s; ``scales=5`` with the paper's numbers
place                       the centre stays in the frame; the reference lets it leave
size of the search square   within 0.2 … 5 of the first, as in the paper's code; siamfc-pytorch has no bound
==========================  ====================================================================================

Published: OTB-2013 AUC 0.608, VOT-2015 EAO 0.274 (paper); OTB-2015 AUC 0.578, GOT-10k AO 0.355 (siamfc-pytorch).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from baimu.backbones.alexnet import AlexNet
from baimu.layers.contracts import Backbone
from baimu.layers.norm import Norm, batch_norm, with_numbers
from baimu.losses.classification import binary_cross_entropy_loss
from baimu.ops.correlation import correlate
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe
from baimu.results import Tracks
from baimu.targets import PairTargets
from baimu.tracking.siamese import Target, Window, context_side, crop, hann
from baimu.zoo import model

OUTPUT_SCALE = 0.001
"""Of the response: the sum over 6 x 6 x 256 products is too large for a logistic loss."""
RADIUS = 16
"""Pixels from the target's centre within which a place of the search image is the target."""
PIXELS = Preprocess(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), resize="none", pad_to=1)
"""Raw RGB in 0…255."""


def response_labels(size: int, radius: float) -> Bool[Tensor, "r r"]:
    """Which cells are the target: those at most ``radius`` cells from the middle, in steps along the grid (Eq. 4)."""
    steps = (torch.arange(size) - (size - 1) / 2).abs()
    return steps[:, None] + steps <= radius


def balanced_weights(positive: Bool[Tensor, "b r r"]) -> Float[Tensor, "b r r"]:
    """Half of the weight for all positive cells of the batch together, half for the others; in all 1 (§2.2)."""
    count = positive.sum()
    share = torch.where(positive, 0.5 / count.clamp(min=1), 0.5 / (positive.numel() - count).clamp(min=1))
    return share / share.sum()


class SiamFC(nn.Module):
    """``forward(exemplars, search)`` → responses (B, R, R), logits: normalised images of ``exemplar_size`` and larger.

    ``tracker`` makes the follower of an object. The two sizes are pixels; ``radius`` is that of the labels.
    """

    task = "tracking"

    def __init__(
        self, backbone: Backbone, *, exemplar_size: int = 127, search_size: int = 255, radius: float = RADIUS
    ) -> None:
        super().__init__()
        self.embed: Any = backbone  # the φ of the paper
        self.exemplar_size, self.search_size, self.radius = exemplar_size, search_size, radius
        self.stride = backbone.strides[-1]
        self.classes: tuple[str, ...] = ()
        self.preprocess = PIXELS

    def features(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        return self.embed(images)[-1]

    def respond(self, exemplars: Tensor, search: Tensor) -> Float[Tensor, "b r r"]:
        """From the features of both; one exemplar answers for all search images."""
        return correlate(search, exemplars)[:, 0] * OUTPUT_SCALE

    def forward(
        self, exemplars: Float[Tensor, "n 3 h w"], search: Float[Tensor, "b 3 h2 w2"]
    ) -> Float[Tensor, "b r r"]:
        return self.respond(self.features(exemplars), self.features(search))

    def losses(self, search: Float[Tensor, "b 3 h w"], targets: PairTargets) -> dict[str, Tensor]:
        """Of normalised search images with their exemplars."""
        return self.loss(self(self.preprocess.normalize(targets.exemplars), search), targets)

    def loss(self, response: Float[Tensor, "b r r"], targets: PairTargets) -> dict[str, Tensor]:
        """The balanced logistic loss; a pair of two objects has no positive cell."""
        labels = response_labels(response.shape[-1], self.radius / self.stride).to(response.device)
        positive = labels & targets.positive[:, None, None]
        loss = binary_cross_entropy_loss(response, positive.float())
        return {"response": (loss * balanced_weights(positive)).sum()}

    def tracker(self, **options: Any) -> SiamFCTracker:
        """A follower with this network; ``options`` as of :class:`SiamFCTracker`."""
        return SiamFCTracker(self, **options)


class SiamFCTracker:
    """A :class:`~baimu.tracking.siamese.SingleTracker`: the defaults are those of SiamFC-3s.

    ``scales`` sizes of the search square, ``scale_step`` apart; all but the present one count ``scale_penalty`` of
    their response, and the size takes ``scale_rate`` of a change. ``window``: share of the Hann window, against jumps.
    """

    upscale = 16  # of the response, bicubic

    def __init__(
        self,
        network: Any,
        *,
        scales: int = 3,
        scale_step: float = 1.0375,
        scale_penalty: float = 0.9745,
        scale_rate: float = 0.59,
        window: float = 0.176,
    ) -> None:
        self.network = network.eval()
        self.factors = scale_step ** np.linspace(-(scales // 2), scales // 2, scales)
        self.penalty = np.where(np.arange(scales) == scales // 2, 1.0, scale_penalty)
        self.scale_rate, self.window = scale_rate, window

    @torch.no_grad()
    def init(self, frame: UInt8[np.ndarray, "h w 3"], box: np.ndarray) -> None:
        """Begin with the object in ``box`` (x1, y1, x2, y2). Raises ``ValueError`` for a box without area."""
        net = self.network
        self.target = Target.of(box, frame)
        self.fill = frame.mean((0, 1)).round()
        side = context_side(self.target.width, self.target.height)
        self.side = side * net.search_size / net.exemplar_size
        self.bounds = 0.2 * self.side, 5 * self.side
        self.exemplar = net.features(self._input([self.look(frame, side, net.exemplar_size)]))

    @torch.no_grad()
    def update(self, frame: UInt8[np.ndarray, "h w 3"]) -> Tracks:
        """Where it is now, with the sigmoid of the peak of the response as its score."""
        net = self.network
        crops = [self.look(frame, self.side * factor, net.search_size) for factor in self.factors]
        return self.decide(net.respond(self.exemplar, net.features(self._input(crops))), frame)

    def decide(self, responses: Float[Tensor, "s r r"], frame: UInt8[np.ndarray, "h w 3"]) -> Tracks:
        """Move to the peak of the best scale's response (§2.4), and tell it."""
        side = responses.shape[-1] * self.upscale
        large = F.interpolate(responses[:, None].float(), (side, side), mode="bicubic", align_corners=False)[:, 0]
        weighted = large.cpu().numpy() * self.penalty[:, None, None]
        best = int(weighted.max((1, 2)).argmax())
        chosen = weighted[best] - weighted[best].min()
        chosen = chosen / (chosen.sum() + 1e-16)
        window = hann(side)
        chosen = (1 - self.window) * chosen + self.window * window / window.sum()
        row, column = np.unravel_index(chosen.argmax(), chosen.shape)

        factor = self.factors[best]
        pixels = self.network.stride / self.upscale * self.side * factor / self.network.search_size
        self.target.y += float(row - (side - 1) / 2) * pixels
        self.target.x += float(column - (side - 1) / 2) * pixels
        growth = float(np.clip(self.side * (1 - self.scale_rate + self.scale_rate * factor), *self.bounds) / self.side)
        self.side *= growth
        self.target.width, self.target.height = self.target.width * growth, self.target.height * growth
        self.target.x = min(max(self.target.x, 0.0), float(frame.shape[1]))
        self.target.y = min(max(self.target.y, 0.0), float(frame.shape[0]))
        return self.target.told(float(responses[best].max().sigmoid()), frame)

    def look(self, frame: UInt8[np.ndarray, "h w 3"], side: float, size: int) -> UInt8[Tensor, "3 s s"]:
        """The square of ``side`` pixels around the target, as the network sees it."""
        whole = round(side)
        # the target's centre is a place between pixels, of which the first has its middle at 0.5
        left, top = (int(np.round(c - 0.5 - (whole - 1) / 2)) for c in (self.target.x, self.target.y))
        return crop(frame, Window(left, top, whole, whole), size, self.fill)

    def _input(self, crops: list[Tensor]) -> Tensor:
        weights = next(self.network.parameters(), None)  # none where an exported graph holds them
        pictures = torch.stack(crops) if weights is None else torch.stack(crops).to(weights.device)
        return self.network.preprocess.normalize(pictures)


recipe = Recipe(
    epochs=50,
    batch_size=8,
    lr=0.01,
    lr_batch_size=None,
    weight_decay=5e-4,
    schedule="exponential",
    lr_floor=1e-3,
    warmup_steps=0,
    resize="none",
    flip=0.0,
    pairs_per_epoch=53_200,
    frame_range=100,
    exemplar_jitter=(4.0, 0.05),
    search_jitter=(4.0, 0.05),
)
"""SGD, 50 epochs of 53,200 pairs, rates from 1e-2 to 1e-5 (§3.2; momentum and decay of siamfc-pytorch)."""


@model(
    "siamfc_alexnet",
    task="tracking",
    paper="1606.09549",
    recipe=recipe,
    reported={"otb2013_auc": 0.608, "vot2015_eao": 0.274},
)
def siamfc_alexnet(*, norm: Norm = batch_norm, width: float = 1.0, **options: Any) -> SiamFC:
    """SiamFC with AlexNet without padding (siamfc-pytorch's AlexNetV1)."""
    numbers = partial(with_numbers, eps=1e-6, momentum=0.05)
    return SiamFC(AlexNet(norm=numbers(norm), width=width), **options)
