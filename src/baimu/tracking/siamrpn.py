"""High Performance Visual Tracking with Siamese Region Proposal Network (SiamRPN).

Bo Li, Junjie Yan, Wei Wu, Zheng Zhu, Xiaolin Hu, 2018, CVPR.

Where SiamFC asks at several scales how alike two maps are, SiamRPN lets the exemplar make the *kernels* of a region
proposal network, once in the first frame: for each of k anchors at each place of the search image it then tells target
from background and regresses the box (§3.2). The size is tracked without trying scales. A candidate counts less, the
more it differs from the last box in size and shape, and the farther it is from the last place (§4.3).

Two heads: :class:`UpChannelHead` is the paper's, whose convolutions raise the exemplar's channels by 2k and 4k;
:class:`DepthwiseHead` correlates channel by channel (SiamRPN++, 1812.11703 §3.3) with an eighth of the parameters, as
pysot's published AlexNet has it (the ``_dw`` name).

Dims: B pairs, k anchors a place, R x R places (21 for 127 and 287 pixels), P = k R² candidates, anchor by anchor.

==========================  ====================================================================================
differs from the paper      how
==========================  ====================================================================================
backbone                    without groups and with batch norm, as pysot's; all of it learns (paper: the last two of
                            ImageNet's)
correlation of kernels      over the root of the count of its products (64): random values give logits of tens
                            without it, and learn nothing; published kernels are made larger when they are loaded
search image                255 pixels in training, 287 in tracking (pysot); 271 in the paper
loss of boxes               smooth L1, summed over the coordinates; the ``_dw`` name has pysot's L1
inference numbers           pysot's for AlexNet
``blur``, grey              probability of the first in the recipe; the second is 0 in pysot, too
tracked boxes               pysot adds half a pixel when a box comes in and not when it goes out; here both ways
==========================  ====================================================================================

Published: VOT-2016 EAO 0.344, OTB-2015 AUC 0.637 (paper); VOT-2018 EAO 0.352, VOT-2016 0.393 (pysot, ``_dw``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from baimu.backbones.alexnet import AlexNet
from baimu.layers.contracts import Backbone
from baimu.layers.conv import ConvNorm
from baimu.layers.norm import Norm, batch_norm
from baimu.losses.boxes import l1_loss, smooth_l1_loss
from baimu.losses.classification import cross_entropy_loss
from baimu.ops.boxes import box_iou, cxcywh_to_xyxy, decode_deltas, encode_deltas, xyxy_to_cxcywh
from baimu.ops.correlation import correlate, correlate_depthwise
from baimu.recipes import Recipe
from baimu.results import Tracks
from baimu.sample.random import sample_random
from baimu.targets import PairTargets
from baimu.tracking.siamese import Target, Window, context_side, crop, hann
from baimu.tracking.siamfc import PIXELS
from baimu.zoo import model

RATIOS, SCALE, STRIDE = (0.33, 0.5, 1.0, 2.0, 3.0), 8, 8
POSITIVE, NEGATIVE = 0.6, 0.3  # IoU of an anchor with the target from which, and below which, it answers
SAMPLED, SAMPLED_POSITIVE = 64, 16  # anchors of a pair that train, at most
AROUND = 3  # places around an object that is not the exemplar's, which train as background
BOX_WEIGHT = 1.2
KERNEL = 4
"""Side of a kernel that an exemplar of 6 x 6 cells becomes."""


def anchor_sizes(ratios: Sequence[float] = RATIOS, scale: int = SCALE, stride: int = STRIDE) -> Float[Tensor, "k 2"]:
    """Width and height of each anchor: of about the area ``(stride · scale)²``, height / width = ratio. Sides are cut
    to whole numbers before they are scaled, as the weights were trained."""
    widths = [int(math.sqrt(stride * stride / ratio)) for ratio in ratios]
    return torch.tensor([[w * scale, int(w * ratio) * scale] for w, ratio in zip(widths, ratios, strict=True)]).float()


def anchors_at(sizes: Float[Tensor, "k 2"], places: int, stride: int, centre: float) -> Float[Tensor, "p 4"]:
    """xyxy anchors of ``places`` x ``places`` places ``stride`` apart, the middle one at ``centre``: by anchor, row,
    column."""
    steps = (torch.arange(places) - places // 2) * stride + centre
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    middle = torch.stack([columns, rows], -1).expand(len(sizes), -1, -1, -1)
    return cxcywh_to_xyxy(torch.cat([middle, sizes[:, None, None].expand_as(middle)], -1)).reshape(-1, 4)


def assign_anchors(anchors: Float[Tensor, "p 4"], targets: PairTargets, places: int, stride: int) -> Int[Tensor, "b p"]:
    """0 where an anchor answers for the target, −1 background, −2 neither (§4.2).

    Of a pair of two objects nothing is the target, and background are only the places around the object that is there:
    it must be told from the exemplar, the rest is easy.
    """
    iou = box_iou(targets.boxes[:, None], anchors[None])[:, 0]
    answer = torch.full(iou.shape, -2, device=iou.device)
    answer[iou < NEGATIVE] = -1
    answer[iou > POSITIVE] = 0

    centre = (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2
    middle = (anchors[0, :2] + anchors[-1, :2] + anchors[0, 2:] + anchors[-1, 2:]) / 4
    # in places from the middle one; half a place more before rounding up, as the reference has it
    own = places // 2 + torch.ceil((centre - middle) / stride + 0.5)
    steps = torch.arange(places, device=iou.device)
    near = (steps >= own[..., None] - AROUND) & (steps <= own[..., None] + AROUND)
    square = near[:, 1, :, None] & near[:, 0, None, :]
    others = torch.where(square, -1, -2).flatten(1).repeat(1, len(anchors) // places**2)
    return torch.where(targets.positive[:, None], answer, others)


class SiamRPNOutput(NamedTuple):
    """Of P candidates, anchor by anchor."""

    logits: Float[Tensor, "b p 2"]  # background, target
    deltas: Float[Tensor, "b p 4"]


class UpChannelHead(nn.Module):
    """The exemplar's map becomes ``out`` kernels over all channels (§3.2); ``adjust``: a 1x1 convolution after them."""

    def __init__(self, channels: int, out: int, *, adjust: bool) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(channels, channels * out, 3)
        self.search = nn.Conv2d(channels, channels, 3)
        self.adjust = nn.Conv2d(out, out, 1) if adjust else nn.Identity()
        self.scale = 1 / (KERNEL * math.sqrt(channels))

    def kernels(self, exemplar: Tensor) -> Tensor:
        """What the exemplar's map is turned into, once."""
        return self.kernel(exemplar)

    def forward(self, kernels: Tensor, search: Tensor) -> Float[Tensor, "b out r r"]:
        return self.adjust(correlate(self.search(search), kernels) * self.scale)


class DepthwiseHead(nn.Module):
    """Channel by channel correlation, then two 1x1 convolutions to ``out`` channels."""

    def __init__(self, channels: int, out: int, *, norm: Norm = batch_norm) -> None:
        super().__init__()
        self.kernel = ConvNorm(channels, channels, 3, padding=0, norm=norm)
        self.search = ConvNorm(channels, channels, 3, padding=0, norm=norm)
        self.mix = ConvNorm(channels, channels, 1, norm=norm)
        self.out = nn.Conv2d(channels, out, 1)

    def kernels(self, exemplar: Tensor) -> Tensor:
        """What the exemplar's map is turned into, once."""
        return self.kernel(exemplar)

    def forward(self, kernels: Tensor, search: Tensor) -> Float[Tensor, "b out r r"]:
        return self.out(self.mix(correlate_depthwise(self.search(search), kernels)))


class SiamRPN(nn.Module):
    """``forward(exemplars, search)`` → :class:`SiamRPNOutput`, of normalised images.

    ``head(channels, out, of)`` makes the head of the ``classes`` (2k) and of the ``boxes`` (4k). Sizes are pixels:
    ``search_size`` in training, ``track_size`` in tracking.
    """

    task = "tracking"
    sizes: Tensor  # (k, 2) of the anchors, pixels

    def __init__(
        self,
        backbone: Backbone,
        head: Any,
        *,
        ratios: Sequence[float] = RATIOS,
        exemplar_size: int = 127,
        search_size: int = 255,
        track_size: int = 287,
        box_loss: Any = smooth_l1_loss,
    ) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self.exemplar_size, self.search_size, self.track_size = exemplar_size, search_size, track_size
        self.stride, self.box_loss = backbone.strides[-1], box_loss
        self.classify = head(backbone.channels[-1], 2 * len(ratios), "classes")
        self.regress = head(backbone.channels[-1], 4 * len(ratios), "boxes")
        self.register_buffer("sizes", anchor_sizes(ratios, SCALE, self.stride), persistent=False)
        self.classes: tuple[str, ...] = ()
        self.preprocess = PIXELS.replace(channel_order="bgr")

    def features(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        return self.backbone(images)[-1]

    def kernels(self, exemplars: Tensor) -> tuple[Tensor, Tensor]:
        """What the heads keep of normalised exemplars."""
        features = self.features(exemplars)
        return self.classify.kernels(features), self.regress.kernels(features)

    def respond(self, kernels: tuple[Tensor, Tensor], search: Tensor) -> SiamRPNOutput:
        """To normalised search images."""
        features = self.features(search)
        logits, deltas = self.classify(kernels[0], features), self.regress(kernels[1], features)
        return SiamRPNOutput(_by_candidate(logits, 2), _by_candidate(deltas, 4))

    def forward(self, exemplars: Float[Tensor, "n 3 h w"], search: Float[Tensor, "b 3 h2 w2"]) -> SiamRPNOutput:
        return self.respond(self.kernels(exemplars), search)

    def losses(self, search: Float[Tensor, "b 3 h w"], targets: PairTargets) -> dict[str, Tensor]:
        """Of normalised search images with their exemplars."""
        return self.loss(self(self.preprocess.normalize(targets.exemplars), search), targets)

    def loss(self, outputs: SiamRPNOutput, targets: PairTargets) -> dict[str, Tensor]:
        """Half the mean over the positives and half that over the negatives of the batch, and the boxes' loss: the mean
        over each pair's positives, times 1.2 (Eq. 5, 6)."""
        places = math.isqrt(outputs.logits.shape[1] // len(self.sizes))
        anchors = anchors_at(self.sizes.cpu(), places, self.stride, self.search_size / 2).to(self.sizes.device)
        assigned = assign_anchors(anchors, targets, places, self.stride)
        chosen = self.sample(assigned)
        positive, negative = chosen.positive & chosen.valid, ~chosen.positive & chosen.valid

        logits = outputs.logits.gather(1, chosen.index[..., None].expand(-1, -1, 2))
        entropy = cross_entropy_loss(logits.flatten(0, 1), chosen.positive.long().flatten()).reshape(positive.shape)
        halves = [0.5 * (entropy * part).sum() / part.sum().clamp(min=1) for part in (positive, negative)]

        wanted = encode_deltas(anchors[chosen.index], targets.boxes[:, None].expand(*chosen.index.shape, 4))
        deltas = outputs.deltas.gather(1, chosen.index[..., None].expand(-1, -1, 4))
        box = self.box_loss(deltas, wanted).sum(-1) * positive / positive.sum(1, keepdim=True).clamp(min=1)
        return {"cls": halves[0] + halves[1], "box": BOX_WEIGHT * box.sum() / len(box)}

    def sample(self, assigned: Int[Tensor, "b p"]) -> Any:
        """64 anchors a pair, at most 16 of them positive; a pair of two objects has 16."""
        found = sample_random(assigned, count=SAMPLED, positive_share=SAMPLED_POSITIVE / SAMPLED)
        room = torch.where((assigned == 0).any(1), SAMPLED - SAMPLED_POSITIVE, SAMPLED_POSITIVE)[:, None]
        fits = found.positive | ((~found.positive & found.valid).cumsum(1) <= room)
        return found._replace(valid=found.valid & fits)

    def tracker(self, **options: Any) -> SiamRPNTracker:
        """A follower with this network; ``options`` as of :class:`SiamRPNTracker`."""
        return SiamRPNTracker(self, **options)


def _by_candidate(maps: Float[Tensor, "b c r r"], parts: int) -> Float[Tensor, "b p n"]:
    """Channels (part, anchor) → candidates by anchor, row, column, with their parts last."""
    return maps.unflatten(1, (parts, -1)).flatten(2).transpose(1, 2)


class SiamRPNTracker:
    """A :class:`~baimu.tracking.siamese.SingleTracker`; the numbers are pysot's for AlexNet.

    ``penalty``: how much a change of size and shape costs; ``window``: share of the Hann window, against jumps;
    ``rate``: of the size's change, times the candidate's own score; ``smallest``: side of a box, pixels.
    """

    def __init__(
        self,
        network: Any,
        *,
        penalty: float = 0.16,
        window: float = 0.4,
        rate: float = 0.3,
        smallest: float = 10.0,
    ) -> None:
        self.network = network.eval()
        self.penalty, self.window, self.rate, self.smallest = penalty, window, rate, smallest

    @torch.no_grad()
    def init(self, frame: UInt8[np.ndarray, "h w 3"], box: np.ndarray) -> None:
        """Begin with the object in ``box`` (x1, y1, x2, y2). Raises ``ValueError`` for a box without area."""
        net = self.network
        self.target = Target.of(box, frame)
        self.fill = np.floor(frame.mean((0, 1)))
        side = context_side(self.target.width, self.target.height)
        self.kernels = net.kernels(self._input(self.look(frame, side, net.exemplar_size)))

    @torch.no_grad()
    def update(self, frame: UInt8[np.ndarray, "h w 3"]) -> Tracks:
        """Where it is now, with the network's probability as its score."""
        net = self.network
        side = context_side(self.target.width, self.target.height) * net.track_size / net.exemplar_size
        found = net.respond(self.kernels, self._input(self.look(frame, side, net.track_size)))
        return self.decide(found, frame)

    def decide(self, found: SiamRPNOutput, frame: UInt8[np.ndarray, "h w 3"]) -> Tracks:
        """Move to the candidate that is likeliest after the penalty and the window (§4.3), and tell it."""
        net, target = self.network, self.target
        places = math.isqrt(found.logits.shape[1] // len(net.sizes))
        anchors = anchors_at(net.sizes.cpu(), places, net.stride, 0.0)
        boxes = xyxy_to_cxcywh(decode_deltas(anchors, found.deltas[0].cpu())).double().numpy()
        score = found.logits[0].float().softmax(-1)[:, 1].cpu().double().numpy()

        scale = net.exemplar_size / context_side(target.width, target.height)  # of the search image
        size = _change(_padded(boxes[:, 2], boxes[:, 3]) / _padded(target.width * scale, target.height * scale))
        shape = _change((target.width / target.height) / (boxes[:, 2] / boxes[:, 3]))
        factor = np.exp(-(size * shape - 1) * self.penalty)
        window = np.tile(hann(places).ravel(), len(net.sizes))
        best = int((factor * score * (1 - self.window) + window * self.window).argmax())

        x, y, width, height = boxes[best] / scale
        rate = factor[best] * score[best] * self.rate
        self.target = Target(
            target.x + x,
            target.y + y,
            target.width * (1 - rate) + width * rate,
            target.height * (1 - rate) + height * rate,
        )
        self.target.hold(frame, self.smallest)
        return self.target.told(float(score[best]), frame)

    def look(self, frame: UInt8[np.ndarray, "h w 3"], side: float, size: int) -> UInt8[Tensor, "3 s s"]:
        """The square of ``side`` pixels around the target, as the network sees it: the reference's, which lies up to a
        pixel to the left and above of the middle."""
        whole = round(side)
        left, top = (math.floor(c - 0.5 - whole / 2) for c in (self.target.x, self.target.y))
        return crop(frame, Window(left, top, whole, whole), size, self.fill)

    def _input(self, picture: Tensor) -> Tensor:
        return self.network.preprocess.normalize(picture[None].to(self.network.sizes.device))


def _change(ratio: Any) -> Any:
    return np.maximum(ratio, 1 / ratio)


def _padded(width: Any, height: Any) -> Any:
    """Side of the square of a box with its context."""
    padding = (width + height) / 2
    return np.sqrt((width + padding) * (height + padding))


recipe = Recipe(
    epochs=50,
    batch_size=128,
    lr=0.01,
    lr_batch_size=128,
    weight_decay=1e-4,
    clip_norm=10.0,
    schedule="exponential",
    lr_floor=0.05,
    warmup_steps=23_437,
    warmup_start=0.5,
    resize="none",
    flip=0.0,
    pairs_per_epoch=600_000,
    frame_range=100,
    negative_pairs=0.05,
    exemplar_jitter=(4.0, 0.05),
    search_jitter=(64.0, 0.18),
    blur=0.2,
    color_jitter=0.1,
)
"""pysot's for AlexNet: 50 epochs of 600,000 pairs, five of them warm-up, 1e-2 to 5e-4; its principal components of
colour are ``color_jitter`` here. (The paper: 1e-2 to 1e-6.)"""


@model(
    "siamrpn_alexnet",
    task="tracking",
    paper="CVPR 2018",
    recipe=recipe,
    reported={"vot2016_eao": 0.344, "otb2015_auc": 0.637},
)
def siamrpn_alexnet(*, norm: Norm = batch_norm, width: float = 1.0, **options: Any) -> SiamRPN:
    """SiamRPN with AlexNet without padding and the paper's head of kernels from the exemplar."""

    def head(channels: int, out: int, of: str) -> UpChannelHead:
        return UpChannelHead(channels, out, adjust=of == "boxes")

    return SiamRPN(AlexNet(groups=1, last_norm=True, norm=norm, width=width), head, **options)


@model("siamrpn_alexnet_dw", task="tracking", paper="CVPR 2018", recipe=recipe, reported={"vot2018_eao": 0.352})
def siamrpn_alexnet_dw(*, norm: Norm = batch_norm, width: float = 1.0, **options: Any) -> SiamRPN:
    """SiamRPN with AlexNet and a head that correlates channel by channel (pysot's siamrpn_alex_dwxcorr)."""

    def head(channels: int, out: int, of: str) -> DepthwiseHead:
        del of
        return DepthwiseHead(channels, out, norm=norm)

    backbone = AlexNet(groups=1, last_norm=True, norm=norm, width=width)
    return SiamRPN(backbone, head, **{"box_loss": l1_loss, **options})
