"""ImageNet Classification with Deep Convolutional Neural Networks (Krizhevsky, Sutskever, Hinton 2012), as the Siamese
trackers have it (1606.09549 Table 1): five convolutions, two poolings, batch norm, and no padding anywhere.

Without padding a map is the same function of every place of the image, so that the map of a shifted image is the
shifted map: what a template is compared with may lie anywhere. Stride 8 in all: 127 pixels leave 6 cells, 255 leave 22.
Dims: B images, C channels.

| | here | elsewhere |
|---|---|---|
| ``groups`` | 2 in conv2, conv4 and conv5, as in AlexNet and SiamFC | 1 in SiamRPN (pysot) |
| ``last_norm`` | none: conv5 ends in a bias (SiamFC) | batch norm in pysot |
| norm behind a bias | yes, as both trackers' published weights | |

These maps have no classifier: ImageNet's AlexNet pads and normalises otherwise.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from baimu.layers.conv import ConvNorm, init_fan_out
from baimu.layers.norm import Norm, batch_norm

WIDTHS = (96, 256, 384, 384, 256)


class AlexNet(nn.Module):
    """Images (B, 3, H, W) → one map of 256 channels at stride 8, ``(side − 79) // 8`` cells a side.

    ``width`` scales all channels but the last, for tests and small data.
    """

    def __init__(
        self, *, groups: int = 2, last_norm: bool = False, norm: Norm = batch_norm, width: float = 1.0
    ) -> None:
        super().__init__()
        widths = [max(2, 2 * round(w * width / 2)) for w in WIDTHS[:4]] + [WIDTHS[4]]
        one, two, three, four, five = widths
        self.conv1 = ConvNorm(3, one, 11, stride=2, padding=0, norm=norm, bias=True)
        self.conv2 = ConvNorm(one, two, 5, padding=0, norm=norm, bias=True, groups=groups)
        self.conv3 = ConvNorm(two, three, 3, padding=0, norm=norm, bias=True)
        self.conv4 = ConvNorm(three, four, 3, padding=0, norm=norm, bias=True, groups=groups)
        last = norm if last_norm else None
        self.conv5 = ConvNorm(four, five, 3, padding=0, norm=last, bias=True, relu=False, groups=groups)
        self.pool = nn.MaxPool2d(3, 2)
        self.channels, self.strides = (five,), (8,)
        init_fan_out(self)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        x = self.pool(self.conv1(images))
        x = self.pool(self.conv2(x))
        return [self.conv5(self.conv4(self.conv3(x)))]
