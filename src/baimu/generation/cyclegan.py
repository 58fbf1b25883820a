"""Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu, Park, Isola, Efros 2017), arXiv
1703.10593.

Without pairs nobody says what an image is to become. Two generators learn at once, A → B and B → A: each result must
look like its domain to a discriminator, and the way there and back must lead to the image itself, so that nothing of it
is thrown away. Dims: B images, H x W pixels in −1…1; A and B the domains.

| | here | paper and reference |
|---|---|---|
| decay of the rate | linear by steps over the second half | by epochs; of batch 1 the same but for the last |
| pools under several processes | each has its own | not trained so |
| norms in evaluation | instance norm, as in training | the same |

A step: both generators, then both discriminators on the fakes of just now and of the pools, made once. Reference:
junyanz/pytorch-CycleGAN-and-pix2pix, whose checkpoints, one generator a file, load as A → B.
Published: FCN scores of Cityscapes labels → photo, of the paper (Table 2): per-pixel accuracy 0.52.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baimu.generation.pix2pix import PAPER, PatchGAN
from baimu.generation.translator import Translator, init_normal_gan, mean_loss
from baimu.layers.image_pool import ImagePool
from baimu.layers.norm import Norm, instance_norm
from baimu.losses.adversarial import GanLoss, least_squares_gan_loss
from baimu.losses.boxes import l1_loss
from baimu.preprocess import signed
from baimu.targets import ImageTargets
from baimu.zoo import model


class ResNetGenerator(nn.Module):
    """Johnson's network (1603.08155) with instance norm: two convolutions of stride 2, ``blocks`` residual blocks on a
    quarter of the size, two transposed ones: images (B, C, H, W) → (B, C', H, W) in −1…1, H and W multiples of 4."""

    def __init__(
        self,
        blocks: int = 9,
        *,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        norm: Norm = instance_norm,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        bias = isinstance(norm(1), nn.InstanceNorm2d)  # which leaves the mean to the convolution
        self.stem = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(in_channels, width, 7, bias=bias), norm(width), nn.ReLU()
        )
        self.down = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(w, 2 * w, 3, 2, 1, bias=bias), norm(2 * w), nn.ReLU())
                for w in (width, 2 * width)
            )
        )
        self.blocks = nn.Sequential(*(ReflectedBlock(4 * width, norm, dropout) for _ in range(blocks)))
        self.up = nn.Sequential(
            *(
                nn.Sequential(nn.ConvTranspose2d(2 * w, w, 3, 2, 1, 1, bias=bias), norm(w), nn.ReLU())
                for w in (2 * width, width)
            )
        )
        self.last = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7))
        init_normal_gan(self)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        return torch.tanh(self.last(self.up(self.blocks(self.down(self.stem(images))))))


class ReflectedBlock(nn.Module):
    """``x + norm(conv(relu(norm(conv(x)))))``, 3x3 with reflected borders, no ReLU after the sum."""

    def __init__(self, channels: int, norm: Norm, dropout: float = 0.0) -> None:
        super().__init__()
        bias = isinstance(norm(1), nn.InstanceNorm2d)
        self.pad = nn.ReflectionPad2d(1)
        self.conv1, self.norm1 = nn.Conv2d(channels, channels, 3, bias=bias), norm(channels)
        self.conv2, self.norm2 = nn.Conv2d(channels, channels, 3, bias=bias), norm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.dropout(torch.relu(self.norm1(self.conv1(self.pad(x)))))
        return x + self.norm2(self.conv2(self.pad(inner)))


class CycleGAN(Translator):
    """Images of two domains to each other. ``generator`` has a network for each domain that makes its images
    (``b``: B of A), ``discriminator`` one that judges them; ``pools`` are of fakes."""

    learns_from = "image domains"
    phases = (("g_losses", ("generator",)), ("d_losses", ("discriminator",)))

    def __init__(
        self,
        generators: tuple[nn.Module, nn.Module],
        discriminators: tuple[nn.Module, nn.Module],
        *,
        multiple: int = 4,
        gan_loss: GanLoss = least_squares_gan_loss,
        cycle_weight: float = 10.0,
        identity_weight: float = 0.5,
        pool_size: int = 50,
    ) -> None:
        """``generators`` and ``discriminators`` of A, then B; ``identity_weight`` is a share of ``cycle_weight``."""
        super().__init__(signed.replace(resize="stretch", size=256, pad_to=1), multiple, least=2 * multiple)
        self.generator = nn.ModuleDict(dict(zip("ab", generators, strict=True)))
        self.discriminator = nn.ModuleDict(dict(zip("ab", discriminators, strict=True)))
        self.pools = nn.ModuleDict({domain: ImagePool(pool_size) for domain in "ab"})
        self.gan_loss, self.cycle_weight, self.identity_weight = gan_loss, cycle_weight, identity_weight
        self.classes: tuple[str, ...] = ("A", "B")

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Normalised images of A as of B, in −1…1."""
        return self.generator["b"](images)

    def generate(self, images: Tensor, to: int = 1) -> Tensor:
        return self(images) if to == 1 else self.generator["a"](images)

    def g_losses(self, images: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        """To be taken for real, to come back unchanged, and (§5.2) to leave alone what is of the domain already, of
        ``images`` of A and ``targets.images`` of B (Eq. 3)."""
        real = {"a": images, "b": self.preprocess.normalize(targets.images)}
        made, losses = {}, {}
        for to, other in (("b", "a"), ("a", "b")):
            made[to] = self.generator[to](real[other])
            back = self.generator[other](made[to])
            judged = self.discriminator[to](made[to])
            losses[f"g_gan_{to}"] = mean_loss(self.gan_loss(judged, True))
            losses[f"g_cycle_{other}"] = mean_loss(l1_loss(back, real[other]), self.cycle_weight)
            if self.identity_weight:
                same = self.generator[to](real[to])
                losses[f"g_identity_{to}"] = mean_loss(
                    l1_loss(same, real[to]), self.identity_weight * self.cycle_weight
                )
        targets.made.update({to: fakes.detach() for to, fakes in made.items()})
        return losses

    def d_losses(self, images: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        """Real images are real; fakes, those of :meth:`g_losses` and those of the pools, are not. Half of each."""
        real = {"a": images, "b": self.preprocess.normalize(targets.images)}
        losses = {}
        for to, other in (("b", "a"), ("a", "b")):
            if to not in targets.made:
                with torch.no_grad():
                    targets.made[to] = self.generator[to](real[other])
            fakes = self.pools[to](targets.made[to])
            losses[f"d_real_{to}"] = mean_loss(self.gan_loss(self.discriminator[to](real[to]), True), 0.5)
            losses[f"d_fake_{to}"] = mean_loss(self.gan_loss(self.discriminator[to](fakes), False), 0.5)
        return losses


@model("cyclegan", task="generation", paper="1703.10593", recipe=PAPER)
def cyclegan(*, blocks: int = 9, width: int = 64, pool_size: int = 50, identity_weight: float = 0.5) -> CycleGAN:
    """CycleGAN with ResNets of nine blocks: twice 11.4 M parameters, and twice 2.8 M that judge them."""
    generators = (ResNetGenerator(blocks, width=width), ResNetGenerator(blocks, width=width))
    discriminators = (PatchGAN(3, width=width, norm=instance_norm), PatchGAN(3, width=width, norm=instance_norm))
    return CycleGAN(generators, discriminators, pool_size=pool_size, identity_weight=identity_weight)


@model("cyclegan_resnet6", task="generation", paper="1703.10593", recipe=PAPER.replace(size=128, crop_share=128 / 143))
def cyclegan_resnet6(
    *, blocks: int = 6, width: int = 64, pool_size: int = 50, identity_weight: float = 0.5
) -> CycleGAN:
    """CycleGAN with ResNets of six blocks, for images of 128 pixels: twice 7.8 M parameters."""
    return cyclegan(blocks=blocks, width=width, pool_size=pool_size, identity_weight=identity_weight)
