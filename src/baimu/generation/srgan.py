"""Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network (Ledig et al. 2017), arXiv
1609.04802.

SRResNet enlarges an image by residual blocks at its own size and pixel shuffles at the end, where all the work would be
S² as dear; trained on the squared error it has the best PSNR, and no texture. SRGAN trains it on: a discriminator wants
results that could be photographs, and what is compared with the truth are not pixels but features of VGG-19.
Dims: B images, H x W pixels of the small image, S the scale; pixels in 0…1.

| | here | elsewhere |
|---|---|---|
| range of large images | 0…1, of small ones too | paper: −1…1 |
| small images | MATLAB's bicubic of a crop, rounded to 8 bits | the same; other rules cost up to a decibel of PSNR |
| crops of a dense discriminator | ``crop`` pixels, a multiple of 16 | paper: 96 |
| ``features`` of VGG-19 | the user's, see :class:`SRGAN`; without, squared error: the paper's SRGAN-MSE | its own |
| SRGAN's start | random, or a trained SRResNet with ``--weights``, as in the paper | trained SRResNet |
| length | the paper's steps with 200 of 16 crops an epoch | 10^6 steps; SRGAN 2 x 10^5, the rate a tenth half way |

``msrresnet`` is BasicSR's form (xinntao/BasicSR, whose checkpoints load): no norms, which colour results by the crop,
all kernels 3x3, LeakyReLU, and what is learned is added to the bilinearly enlarged input; L1.
Published, PSNR of the luma, borders of S pixels cut: Set5 x4, SRResNet 32.05, SRGAN 29.40 (paper, Table 2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.generation.perceptual import VGGFeatures
from baimu.generation.translator import Phases, Translator, mean_loss
from baimu.layers.conv import ConvNorm
from baimu.layers.norm import batch_norm
from baimu.losses.adversarial import vanilla_gan_loss
from baimu.losses.boxes import l1_loss
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe
from baimu.targets import ImageTargets
from baimu.zoo import model

PAPER = Recipe(
    epochs=5000,
    batch_size=16,
    optimizer="adam",
    lr=1e-4,
    lr_batch_size=None,
    weight_decay=0.0,
    schedule="constant",
    warmup_steps=0,
    resize="none",
    size=96,
    crops=16,
    eval_every=25,
)
"""Adam 1e-4, 16 random crops of 96 x 96 a step, 10^6 steps of SRResNet (§3.2): 5000 epochs of 200 steps on DIV2K's 800
images; how many it is on other data follows their number."""
ADVERSARIAL = PAPER.replace(epochs=1000, schedule="step", milestones=(0.5,), drop=0.1)
"""From the trained SRResNet 10^5 steps at 1e-4 and 10^5 at 1e-5."""
BASICSR = PAPER.replace(lr=2e-4, size=128, vertical_flip=0.5, schedule="cosine", square_momentum=0.99)
"""BasicSR's: crops of 128, turned and flipped, 10^6 steps at 2e-4 along a cosine (there with four restarts), beta 2 of
0.99."""

VGG_SCALE = 1 / 12.75
"""Of VGG's features, so that their squared error is about as large as that of pixels (§3.2)."""


class SRResNet(nn.Module):
    """The paper's generator: (B, 3, H, W) in 0…1 → (B, 3, S H, S W). ``scale`` is 2, 3 or 4."""

    def __init__(self, scale: int = 4, *, width: int = 64, depth: int = 16) -> None:
        super().__init__()
        self.first = ConvNorm(3, width, 9, act=nn.PReLU)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
        self.middle = ConvNorm(width, width, norm=batch_norm, relu=False)
        self.up = nn.Sequential(*(_Shuffle(width, step) for step in steps_of(scale)))
        self.last = nn.Conv2d(width, 3, 9, 1, 4)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 sh sw"]:
        x = self.first(images)
        return self.last(self.up(x + self.middle(self.blocks(x))))


class ResidualBlock(nn.Module):
    """Conv, norm, PReLU, conv, norm, and the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = ConvNorm(width, width, norm=batch_norm, act=nn.PReLU)
        self.outer = ConvNorm(width, width, norm=batch_norm, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(self.inner(x))


class _Shuffle(nn.Module):
    def __init__(self, width: int, step: int) -> None:
        super().__init__()
        self.conv, self.act, self.step = nn.Conv2d(width, width * step**2, 3, 1, 1), nn.PReLU(), step

    def forward(self, x: Tensor) -> Tensor:
        return self.act(F.pixel_shuffle(self.conv(x), self.step))


class MSRResNet(nn.Module):
    """BasicSR's generator: (B, 3, H, W) in 0…1 → (B, 3, S H, S W). ``scale`` is 2, 3 or 4."""

    def __init__(self, scale: int = 4, *, width: int = 64, depth: int = 16) -> None:
        super().__init__()
        self.scale, self.steps = scale, steps_of(scale)
        self.conv_first = nn.Conv2d(3, width, 3, 1, 1)
        self.body = nn.Sequential(*(PlainBlock(width) for _ in range(depth)))
        self.upconv = nn.ModuleList(nn.Conv2d(width, width * step**2, 3, 1, 1) for step in self.steps)
        self.conv_hr = nn.Conv2d(width, width, 3, 1, 1)
        self.conv_last = nn.Conv2d(width, 3, 3, 1, 1)
        for layer in self.modules():  # a tenth of He's, so that it begins as the bilinear enlargement
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                layer.weight.data *= 0.1
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 sh sw"]:
        x = self.body(F.leaky_relu(self.conv_first(images), 0.1))
        for conv, step in zip(self.upconv, self.steps, strict=True):
            x = F.leaky_relu(F.pixel_shuffle(conv(x), step), 0.1)
        x = self.conv_last(F.leaky_relu(self.conv_hr(x), 0.1))
        return x + F.interpolate(images, scale_factor=self.scale, mode="bilinear", align_corners=False)


class PlainBlock(nn.Module):
    """``x + conv(relu(conv(x)))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


def steps_of(scale: int) -> tuple[int, ...]:
    """The pixel shuffles that make ``scale``."""
    known = {2: (2,), 3: (3,), 4: (2, 2)}
    if scale not in known:
        raise ValueError(f"scale must be one of {', '.join(map(str, known))}, got {scale}")
    return known[scale]


class Discriminator(nn.Module):
    """Eight 3x3 convolutions, every second of stride 2, and two dense layers: (B, 3, crop, crop) in 0…1 → a logit
    (B, 1) that it is a photograph."""

    def __init__(self, crop: int = 96, *, width: int = 64) -> None:
        super().__init__()
        if crop < 16 or crop % 16:
            raise ValueError(f"crop must be a multiple of 16, got {crop}")
        self.crop = crop
        widths = [width * 2 ** (i // 2) for i in range(8)]
        stages, before = [], 3
        for i, after in enumerate(widths):
            norm = batch_norm if i else None
            stages.append(ConvNorm(before, after, 3, stride=1 + i % 2, norm=norm, act=lambda: nn.LeakyReLU(0.2)))
            before = after
        self.stages = nn.Sequential(*stages)
        self.hidden = nn.Linear(before * (crop // 16) ** 2, 16 * width)
        self.judge = nn.Linear(16 * width, 1)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1"]:
        return self.judge(F.leaky_relu(self.hidden(self.stages(images).flatten(1)), 0.2))


class SuperResolution(Translator):
    """A ``generator`` of large images trained on the distance of pixels: squared, or absolute with ``l1``."""

    learns_from = "images"
    phases: Phases = (("losses", ()),)

    def __init__(self, generator: nn.Module, scale: int, *, depth: int = 16, l1: bool = False) -> None:
        """``depth`` counts residual blocks, which say how far the generator looks."""
        unit = Preprocess(mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0), resize="none", size=96, pad_to=1)
        super().__init__(unit)
        self.generator, self.scale, self.l1 = generator, scale, l1
        self.reach = 2 * depth + 8

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 sh sw"]:
        """Small images in 0…1 → large ones, which may overshoot."""
        return self.generator(images)

    def generate(self, images: Tensor, to: int = 1) -> Tensor:
        del to  # there is one direction
        return self(images)

    def losses(self, images: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        made, truth = self(images), self.preprocess.normalize(targets.images)
        return {"pixels": mean_loss(l1_loss(made, truth) if self.l1 else (made.float() - truth).square())}


class SRGAN(SuperResolution):
    """SRResNet against a discriminator of crops.

    ``features``: whatever :func:`baimu.load` takes that holds our ``vgg19`` (a file, or published weights such as
    ``vgg19.imagenet``): training puts its parameters into :attr:`perceptual`, which no checkpoint holds. Without it
    the content is compared by pixels.
    """

    phases: Phases = (("d_losses", ("discriminator",)), ("g_losses", ("generator",)))

    def __init__(
        self,
        generator: nn.Module,
        discriminator: Discriminator,
        scale: int,
        *,
        features: str | None = None,
        adversarial_weight: float = 1e-3,
    ) -> None:
        super().__init__(generator, scale)
        self.discriminator, self.features, self.adversarial_weight = discriminator, features, adversarial_weight
        self._perceptual = (VGGFeatures(),) if features else ()  # in a tuple it is no part of the model's parameters
        self.preprocess = self.preprocess.replace(size=discriminator.crop)

    @property
    def perceptual(self) -> VGGFeatures | None:
        """The network whose features compare images, if there is one."""
        return self._perceptual[0] if self._perceptual else None

    def d_losses(self, images: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        """Photographs are real, enlargements are not."""
        with torch.no_grad():
            made = self(images)
        fake, real = self.discriminator(made), self.discriminator(self.preprocess.normalize(targets.images))
        return {
            "d_fake": mean_loss(vanilla_gan_loss(fake, False)),
            "d_real": mean_loss(vanilla_gan_loss(real, True)),
        }

    def g_losses(self, images: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        """The same content, and to be taken for real (Eq. 3)."""
        made, truth = self(images), self.preprocess.normalize(targets.images)
        judged = self.discriminator(made)
        return {
            "g_content": mean_loss(self._content(made, truth)),
            "g_gan": mean_loss(vanilla_gan_loss(judged, True), self.adversarial_weight),
        }

    def _content(self, made: Tensor, truth: Tensor) -> Tensor:
        if self.perceptual is None:
            return (made.float() - truth).square()
        features = self.perceptual.to(made.device)
        with torch.no_grad():
            wanted = features(truth)
        return (VGG_SCALE * (features(made).float() - wanted.float())).square()


@model("srresnet", task="generation", paper="1609.04802", recipe=PAPER, reported={"psnr_y_set5": 32.05})
def srresnet(*, scale: int = 4, width: int = 64, depth: int = 16) -> SuperResolution:
    """SRResNet: enlarges four times (``scale``: 2, 3 or 4), on the squared error: 1.5 M parameters."""
    return SuperResolution(SRResNet(scale, width=width, depth=depth), scale, depth=depth)


@model("msrresnet", task="generation", paper="1609.04802", recipe=BASICSR)
def msrresnet(*, scale: int = 4, width: int = 64, depth: int = 16) -> SuperResolution:
    """SRResNet without norms, as BasicSR has it, on the absolute error: 1.5 M parameters."""
    return SuperResolution(MSRResNet(scale, width=width, depth=depth), scale, depth=depth, l1=True)


@model("msrresnet_x2", task="generation", paper="1609.04802", recipe=BASICSR)
def msrresnet_x2(*, width: int = 64, depth: int = 16) -> SuperResolution:
    """As ``msrresnet``, twice as large."""
    return msrresnet(scale=2, width=width, depth=depth)


@model("msrresnet_x3", task="generation", paper="1609.04802", recipe=BASICSR.replace(size=126))
def msrresnet_x3(*, width: int = 64, depth: int = 16) -> SuperResolution:
    """As ``msrresnet``, three times as large."""
    return msrresnet(scale=3, width=width, depth=depth)


@model("msrresnet_small", task="generation", paper="1609.04802", recipe=BASICSR.replace(lr=1e-3, size=96, batch_size=8))
def msrresnet_small(*, scale: int = 4, width: int = 32, depth: int = 6) -> SuperResolution:
    """Six blocks of half the width, which a CPU trains: 0.2 M parameters."""
    return msrresnet(scale=scale, width=width, depth=depth)


@model("srgan", task="generation", paper="1609.04802", recipe=ADVERSARIAL, reported={"psnr_y_set5": 29.40})
def srgan(*, scale: int = 4, width: int = 64, depth: int = 16, crop: int = 96, features: str | None = None) -> SRGAN:
    """SRGAN: SRResNet, a discriminator of crops, and the features of VGG-19 that the user has."""
    generator = SRResNet(scale, width=width, depth=depth)
    return SRGAN(generator, Discriminator(crop, width=width), scale, features=features)
