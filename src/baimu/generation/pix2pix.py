"""Image-to-Image Translation with Conditional Adversarial Networks (Isola, Zhu, Zhou, Efros 2017), arXiv 1611.07004.

An L1 loss alone makes the mean of all that could be right, which is grey and blurred. A discriminator that sees the
input beside the result, and says of each 70 x 70 patch whether it is real, asks for one of the sharp possibilities; the
L1 loss holds it to the right one. The generator is a U-Net: what input and output share, such as edges, passes by the
bottleneck. Dims: B images, C channels, H x W pixels, L levels; pixels in −1…1.

| | here | paper and reference |
|---|---|---|
| batch norm in evaluation | each image's own statistics, whatever the batch | of the test batch, which is one image |
| dropout in evaluation | none, so that results repeat; ``generator.noise = True`` is the paper's | the only noise |
| the discriminator's fakes | made without a gradient, and again for the generator, whose dropout differs | made once |
| decay of the rate | linear by steps over the second half | by epochs; of batch 1 the same but for the last |
| input of another size | continued by reflection to multiples of 2^L and cut back | scaled to 256 x 256 |

Order of a step: discriminator, generator. Reference: junyanz/pytorch-CycleGAN-and-pix2pix, whose checkpoints load.
Published: FCN scores of Cityscapes labels → photo, of the paper (Table 1): per-pixel accuracy 0.66.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.generation.translator import Translator, init_normal_gan, mean_loss
from baimu.layers.conv import ConvNorm
from baimu.layers.norm import Norm, batch_norm_by_image
from baimu.losses.adversarial import GanLoss, vanilla_gan_loss
from baimu.losses.boxes import l1_loss
from baimu.preprocess import signed
from baimu.recipes import Recipe
from baimu.targets import ImageTargets
from baimu.zoo import model

PAPER = Recipe(
    epochs=200,
    batch_size=1,
    optimizer="adam",
    lr=2e-4,
    lr_batch_size=None,
    momentum=0.5,
    weight_decay=0.0,
    schedule="linear",
    hold=0.5,
    warmup_steps=0,
    resize="stretch",
    size=256,
    crop_share=256 / 286,
)
"""Adam 2e-4 with beta 0.5, 100 epochs and 100 more to zero, one image a step: scaled to 286, a random 256 of it, and
flipped (§6.2, facades)."""


class UNet(nn.Module):
    """The generator: L convolutions of stride 2 down to the bottleneck, as many up, each of which sees the map of its
    size on the way down: images (B, C, H, W) → (B, C', H, W) in −1…1. H and W are multiples of 2^L.

    Maps have ``width`` to 8 ``width`` channels. Dropout follows the inner decoder levels of full width, the innermost
    excepted: three of them in a net of eight levels.
    """

    def __init__(
        self,
        levels: int = 8,
        *,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        norm: Norm = batch_norm_by_image,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if levels < 5:
            raise ValueError(f"a U-Net has at least 5 levels, got {levels}")
        widths = [width * min(2**level, 8) for level in range(levels)]
        bias = isinstance(norm(1), nn.InstanceNorm2d)  # which leaves the mean to the convolution
        outer, inner = [in_channels, *widths[:-1]], [2 * w for w in widths[:-1]] + widths[-1:]
        above = [out_channels, *widths[:-1]]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1, bias=bias) for a, b in zip(outer, widths, strict=True))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1, bias=bias or level == 0)
            for level, (a, b) in enumerate(zip(inner, above, strict=True))
        )
        self.down_norms = nn.ModuleDict({str(level): norm(widths[level]) for level in range(1, levels - 1)})
        self.up_norms = nn.ModuleDict({str(level): norm(above[level]) for level in range(1, levels)})
        self.levels, self.dropout, self.dropped, self.noise = levels, dropout, range(4, levels - 1), False
        init_normal_gan(self)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        maps, x = [], images
        for level, conv in enumerate(self.down):
            x = conv(x if level == 0 else F.leaky_relu(x, 0.2))
            x = self.down_norms[str(level)](x) if str(level) in self.down_norms else x
            maps.append(x)
        x = maps.pop()
        for level in reversed(range(1, self.levels)):
            x = self.up_norms[str(level)](self.up[level](F.relu(x)))
            if level in self.dropped:
                x = F.dropout(x, self.dropout, self.training or self.noise)
            x = torch.cat([maps.pop(), x], 1)
        return torch.tanh(self.up[0](F.relu(x)))


class PatchGAN(nn.Module):
    """The discriminator: of each patch of 70 x 70 pixels (with three ``layers`` of stride 2) a logit that it is real.

    (B, C, H, W) → (B, 1, H / 8 − 2, W / 8 − 2). ``layers=0`` looks at single pixels.
    """

    def __init__(self, in_channels: int, *, width: int = 64, layers: int = 3, norm: Norm = batch_norm_by_image) -> None:
        super().__init__()
        bias = isinstance(norm(1), nn.InstanceNorm2d)
        widths = [width * min(2**level, 8) for level in range(max(layers, 1) + 1)]
        side, pad = (4, 1) if layers else (1, 0)
        stages = [ConvNorm(in_channels, width, side, stride=2 if layers else 1, padding=pad, act=_leaky)]
        for level, (before, after) in enumerate(itertools.pairwise(widths), start=1):
            stride = 2 if level < layers else 1
            stages.append(ConvNorm(before, after, side, stride=stride, padding=pad, norm=norm, bias=bias, act=_leaky))
        self.stages = nn.Sequential(*stages)
        self.judge = nn.Conv2d(widths[-1], 1, side, 1, pad, bias=bias or layers > 0)
        init_normal_gan(self)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h2 w2"]:
        return self.judge(self.stages(images))


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


class Pix2Pix(Translator):
    """Images to images of which there are pairs: ``generator`` any network of images, ``discriminator`` one of input
    and result side by side (twice the channels)."""

    learns_from = "image pairs"
    phases = (("d_losses", ("discriminator",)), ("g_losses", ("generator",)))

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        multiple: int,
        gan_loss: GanLoss = vanilla_gan_loss,
        l1_weight: float = 100.0,
    ) -> None:
        super().__init__(signed.replace(resize="stretch", size=256, pad_to=1), multiple)
        self.generator, self.discriminator = generator, discriminator
        self.gan_loss, self.l1_weight = gan_loss, l1_weight

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """What the generator makes of normalised ``images``, in −1…1."""
        return self.generator(images)

    def generate(self, images: Tensor, to: int = 1) -> Tensor:
        del to  # there is one direction
        return self(images)

    def d_losses(self, images: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        """Real pairs are real, made ones are not; half of each, which slows the discriminator down (§3.3)."""
        with torch.no_grad():
            made = self.generator(images)
        truth = self.preprocess.normalize(targets.images)
        fake, real = (self.discriminator(torch.cat([images, shown], 1)) for shown in (made, truth))
        return {
            "d_fake": mean_loss(self.gan_loss(fake, False), 0.5),
            "d_real": mean_loss(self.gan_loss(real, True), 0.5),
        }

    def g_losses(self, images: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        """To be taken for real, and to be right (Eq. 4)."""
        made = self.generator(images)
        judged = self.discriminator(torch.cat([images, made], 1))
        truth = self.preprocess.normalize(targets.images)
        return {
            "g_gan": mean_loss(self.gan_loss(judged, True)),
            "g_l1": mean_loss(l1_loss(made, truth), self.l1_weight),
        }


@model("pix2pix", task="generation", paper="1611.07004", recipe=PAPER)
def pix2pix(*, levels: int = 8, width: int = 64, dropout: float = 0.5, l1_weight: float = 100.0) -> Pix2Pix:
    """pix2pix with the U-Net of eight levels: 54.4 M parameters, and 2.8 M that judge them."""
    generator, discriminator = UNet(levels, width=width, dropout=dropout), PatchGAN(6, width=width)
    return Pix2Pix(generator, discriminator, multiple=2**levels, l1_weight=l1_weight)


@model("pix2pix_unet128", task="generation", paper="1611.07004", recipe=PAPER.replace(size=128, crop_share=128 / 143))
def pix2pix_unet128(*, levels: int = 7, width: int = 64, dropout: float = 0.5, l1_weight: float = 100.0) -> Pix2Pix:
    """pix2pix with the U-Net of seven levels, for images of 128 pixels: 41.8 M parameters, and 2.8 M to judge them."""
    return pix2pix(levels=levels, width=width, dropout=dropout, l1_weight=l1_weight)
